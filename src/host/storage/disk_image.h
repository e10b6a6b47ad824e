// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual disks as files: the descriptor `name.vmdk` and, beside it, the data `name.qcow2`, or `name-flat.vmdk`
 * of a disk that is plain bytes.
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

/* The data's name, made of the descriptor's with datastore_path_with_suffix. */
#define DISK_IMAGE_DATA_SUFFIX ".qcow2"
#define DISK_IMAGE_FLAT_SUFFIX "-flat.vmdk"

struct disk_image_options {
    int64_t capacity_bytes; /* a multiple of 512, above 0 */
    enum disk_image_provisioning provisioning;
    const char *adapter_type; /* see struct vmdk_new_options */
    const char *uuid;         /* as the VI API writes it (disk_image_new_uuid), or NULL for none */
    bool flat;                /* plain bytes, which several machines can share; never an overlay */
    int64_t timeout_ms;       /* 0: a minute, and for eager ones time enough for 20 MB/s */
    const char *parent;       /* an overlay: the descriptor beside it that it builds on, or NULL */
    uint32_t parent_cid;      /* with parent: its content id */
};

struct disk_image_info {
    int64_t capacity_bytes;  /* what a guest sees */
    int64_t allocated_bytes; /* what the two files take on the datastore */
    enum disk_image_provisioning provisioning;
    const char *format;   /* of the data: "qcow2" or "raw" */
    char uuid[37];        /* as the VI API writes it; "" for none */
    char content_id[9];   /* the CID, eight hex digits */
    char *data_path;      /* owned: the data's path on the datastore */
    char *adapter_type;   /* owned: "lsilogic"; "" when the descriptor does not say */
    int hardware_version; /* of the virtual hardware that it was made for; 0 when the descriptor does not say */
    char *parent_path;    /* owned: the parent's descriptor on the datastore, or NULL */
};

/* A UUID for a new disk, as the VI API writes it. */
void disk_image_new_uuid(char ret[37]);

/* qemu-img's option that sets space aside so: "preallocation=falloc". */
const char *disk_image_preallocation(enum disk_image_provisioning provisioning);

/* Makes an empty disk's data in an opened file, synced, and nothing else. */
int disk_image_make_data(int fd, const struct disk_image_options *options, char **ret_message);
/* Writes the descriptor of data that are there already, under the name that goes with it; it may replace one. */
int disk_image_describe(int dir_fd, const char *path, const struct disk_image_options *options,
                        char **ret_message);
/* Writes a disk's descriptor under another name, for data of the name data_name beside it. */
int disk_image_rename(int from_dir_fd, const char *from, int to_dir_fd, const char *to, const char *data_name,
                      char **ret_message);

/* Makes a disk; the folder must exist. -EEXIST: one of the two files is there already. */
int disk_image_create(int dir_fd, const char *path, const struct disk_image_options *options,
                      char **ret_message);

/* *ret is cleared with disk_image_info_clear. */
int disk_image_get_info(int dir_fd, const char *path, struct disk_image_info *ret, char **ret_message);
void disk_image_info_clear(struct disk_image_info *info);

/* Opens a disk's data, for a hypervisor. The caller closes *ret_fd. *ret_format is "qcow2" or "raw"; with NULL only
 * qcow2 will do, and another one is -EMEDIUMTYPE. */
int disk_image_open(int dir_fd, const char *path, bool read_only, int *ret_fd, const char **ret_format,
                    char **ret_message);

/*
 * Grows a disk that no virtual machine has open (-EBUSY). -EINVAL: not a multiple of 512, or smaller than
 * it is. What is added has its space set aside as the rest has, and with zero it is written. On failure it is as large as
 * before.
 */
int disk_image_grow(int dir_fd, const char *path, int64_t capacity_bytes, bool zero, char **ret_message);

/* Makes an overlay build on another disk beside it, which has the same contents as the one before. */
int disk_image_set_parent(int dir_fd, const char *path, const char *parent, char **ret_message);

/* Sets space aside for a thick disk that is about to have this capacity; the disk may be in use. -ENOSPC. */
int disk_image_reserve(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message);

/* Notes the new capacity in the descriptor, after a running virtual machine's hypervisor has grown it. */
int disk_image_note_capacity(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message);

/* Notes in the descriptor that the data's space is set aside in another way by now. */
int disk_image_note_provisioning(int dir_fd, const char *path, enum disk_image_provisioning provisioning,
                                 char **ret_message);
/* Changes the UUID, written as the VI API does. -EINVAL: it is none. */
int disk_image_set_uuid(int dir_fd, const char *path, const char *uuid, char **ret_message);

/* What a guest with an old boot loader computes with. */
struct disk_image_geometry {
    int64_t cylinders;
    int32_t heads;
    int32_t sectors; /* per track */
};
int disk_image_get_geometry(int dir_fd, const char *path, struct disk_image_geometry *ret,
                            char **ret_message);
/* How many of a hundred clusters do not follow the one before them in the file; 0 for plain bytes. Nobody may write
 * to the disk (-EBUSY). */
int disk_image_get_fragmentation(int dir_fd, const char *path, int *ret_percent, char **ret_message);

/* Deletes a disk that nobody has open (-EBUSY). When only the data cannot be deleted the disk is gone, and the error
 * says so. */
int disk_image_delete(int dir_fd, const char *path, char **ret_message);
