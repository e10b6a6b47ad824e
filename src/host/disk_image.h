// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual disks as files: the descriptor `name.vmdk` and, beside it, the data `name.qcow2`.
 *
 * Making a disk is all or nothing: the data come first, the descriptor last, each synced, so that after a
 * crash a descriptor always has its data (data without a descriptor may remain; nothing shows them).
 * Deleting goes the other way. Paths are those of datastore_path.h, beneath the datastore's folder dir_fd.
 *
 * Every function blocks on storage and may be called from any thread; two that change one disk must be
 * kept apart by the caller. They return 0 or a negative errno with *ret_message set, a sentence for people
 * (g_free). -EMEDIUMTYPE: a disk of another product; the message names its kind.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How the space of a new disk is set aside. The words of the VI API: thin, preallocated, eager zeroed. */
enum disk_image_provisioning {
    DISK_IMAGE_THIN = 1,
    DISK_IMAGE_THICK_LAZY,  /* reserved in the file system, not written */
    DISK_IMAGE_THICK_EAGER, /* every block written with zeros */
};

struct disk_image_options {
    int64_t capacity_bytes; /* a multiple of 512, above 0 */
    enum disk_image_provisioning provisioning;
    const char *adapter_type; /* see struct vmdk_new_options */
    const char *uuid;         /* as the VI API writes it (disk_image_new_uuid), or NULL for none */
    int64_t timeout_ms;       /* 0: a minute, and for eager ones time enough for 20 MB/s */
};

struct disk_image_info {
    int64_t capacity_bytes;  /* what a guest sees */
    int64_t allocated_bytes; /* what the two files take on the datastore */
    enum disk_image_provisioning provisioning;
    char uuid[37];      /* as the VI API writes it; "" for none */
    char content_id[9]; /* the CID, eight hex digits */
    char *data_path;    /* owned: the data's path on the datastore */
    char *adapter_type; /* owned: "lsilogic"; "" when the descriptor does not say */
    char *parent_path;  /* owned: the parent's descriptor on the datastore, or NULL */
};

/* A UUID for a new disk, as the VI API writes it. */
void disk_image_new_uuid(char ret[37]);

/* Makes a disk; the folder must exist. -EEXIST: one of the two files is there already. */
int disk_image_create(int dir_fd, const char *path, const struct disk_image_options *options,
                      char **ret_message);

/* *ret is cleared with disk_image_info_clear. */
int disk_image_get_info(int dir_fd, const char *path, struct disk_image_info *ret, char **ret_message);
void disk_image_info_clear(struct disk_image_info *info);

/* Opens a disk's data (qcow2), for a hypervisor. The caller closes *ret_fd. */
int disk_image_open(int dir_fd, const char *path, bool read_only, int *ret_fd, char **ret_message);

/*
 * Grows a disk that no virtual machine has open (-EBUSY). -EINVAL: not a multiple of 512, or smaller than
 * it is. On failure it is as large as before.
 */
int disk_image_grow(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message);

/* Notes the new capacity in the descriptor, after a running virtual machine's hypervisor has grown it. */
int disk_image_note_capacity(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message);

/* Deletes a disk. When only the data cannot be deleted the disk is gone, and the error says so. */
int disk_image_delete(int dir_fd, const char *path, char **ret_message);
