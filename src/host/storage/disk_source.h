// SPDX-License-Identifier: Apache-2.0
/*
 * Reads any virtual disk, to write its contents into a new file: disks of ours, what they build on included, and
 * disks that VMware's products have made. virtual_disk_manager.c copies, imports and converts with it.
 *
 * Nothing that an image says makes us, or qemu-img, open a file: we read the descriptors, open the extents beneath
 * the datastore's folder, and hand qemu-img descriptors only. A disk that others write cannot be read (-EBUSY).
 *
 * Functions return 0 or a negative errno with *ret_message set, a sentence for people (g_free). -EMEDIUMTYPE: a disk
 * of a kind that cannot be read; -EUCLEAN: one that is damaged, or means to do damage. They block; any thread.
 */
#pragma once

#include <glib.h>

#include "host/storage/disk_image.h"
#include "host/storage/qemu_img.h"

/* An opened disk. */
struct disk_source {
    GArray *fds; /* int, owned: what qemu-img gets, from its fourth descriptor on */
    char *node;  /* owned: qemu-img's name of the disk, made of those descriptors */
    int64_t capacity_bytes;
};

/* What it becomes. */
struct disk_target {
    int fd; /* an empty file, open for reading and writing */
    bool flat;
    enum disk_image_provisioning provisioning;
};

/* *ret is cleared with disk_source_clear. */
int disk_source_open(int dir_fd, const char *path, struct disk_source *ret, char **ret_message);
void disk_source_clear(struct disk_source *source);
/* Writes the contents; -ECANCELED when progress did not want to go on, which may be NULL. Not synced. */
int disk_source_write(const struct disk_source *source, const struct disk_target *target,
                      qemu_img_progress_fn progress, void *data, char **ret_message);

/*
 * Whether a disk in the same folder builds on this one; *ret_child is its path (g_free). Whoever changed or removed
 * this one would destroy that.
 */
bool disk_has_children(int dir_fd, const char *path, char **ret_child);
