// SPDX-License-Identifier: Apache-2.0
/*
 * The descriptor of a virtual disk: the small text file `name.vmdk` that clients know a disk by.
 *
 * Our disks keep their data beside it, in `name.qcow2`. Their descriptor says
 *
 *     createType="custom"
 *     RW 20971520 QCOW2 "name.qcow2"
 *
 * "custom" is VMware's own word for extents in no usual arrangement, and QCOW2 is a type of extent that
 * no other program knows: so VMware's tools and QEMU see a disk descriptor, and refuse it, instead of
 * taking qcow2 clusters for the sectors of a flat disk. Capacity, adapter, UUID and thin provisioning are
 * where VMware has them (extent line, ddb.*), so that listing a folder shows the truth.
 *
 * A disk that several machines share has plain bytes beside it, in `name-flat.vmdk`, as ESX writes all of its
 * own, because the clusters of qcow2 have one writer. So an ESX disk of that kind is one of ours as it is:
 *
 *     createType="vmfs"
 *     RW 20971520 VMFS "name-flat.vmdk"
 *
 * Other products' disks are recognised and named, in order to say what they are and to import them.
 * Pure functions over bytes; any thread. Format: VMware's "Virtual Disk Format 5.0" technical note.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VMDK_SECTOR_BYTES = 512,
    VMDK_MAX_BYTES = 1024 * 1024, /* of a descriptor; ours have 600 bytes */
    VMDK_MAX_EXTENTS = 65536,     /* 62 TiB in 2 GiB files are 31,744 */
    VMDK_MAX_SECTORS_LOG2 = 53,   /* 4 EiB: bytes stay below 2^63 */
    VMDK_PROBE_BYTES = 512,       /* what vmdk_probe needs of a file's beginning */
};
#define VMDK_NO_PARENT UINT32_C(0xffffffff) /* parentCID of a disk that builds on none */

/* What the first bytes of a .vmdk file show. */
enum vmdk_kind {
    VMDK_KIND_DESCRIPTOR = 1,    /* a text: vmdk_parse tells more */
    VMDK_KIND_MONOLITHIC_SPARSE, /* VMware's hosted sparse extent, descriptor inside */
    VMDK_KIND_STREAM_OPTIMIZED,  /* the same, compressed, as in OVF packages */
    VMDK_KIND_VMFS_SPARSE,       /* ESX's redo log ("COWD") */
    VMDK_KIND_SE_SPARSE,         /* ESX's space-efficient sparse extent */
    VMDK_KIND_QCOW2,             /* a qcow2 image under a wrong name */
    VMDK_KIND_RAW,               /* none of these: the bytes of a flat disk, or not a disk */
};

enum vmdk_access { VMDK_ACCESS_RW = 1, VMDK_ACCESS_RDONLY, VMDK_ACCESS_NONE };

struct vmdk_extent {
    enum vmdk_access access;
    uint64_t sectors; /* of 512 bytes */
    char *type;       /* owned: FLAT, SPARSE, ZERO, VMFS, VMFSSPARSE, VMFSRDM, ..., QCOW2 */
    char *file;       /* owned: beside the descriptor; NULL for ZERO */
    uint64_t offset;  /* sectors from the beginning of a flat file */
};

typedef struct vmdk vmdk; /* only for g_autoptr(vmdk) */

/* A descriptor. Plain: the caller may change members before vmdk_format. */
struct vmdk {
    uint32_t version;       /* 1 to 4 */
    uint32_t cid;           /* changes with the contents when nobody who runs on them can see it */
    uint32_t parent_cid;    /* the parent's cid, or VMDK_NO_PARENT */
    char *create_type;      /* owned: "custom", "vmfs", "monolithicFlat", ... */
    char *parent_file_hint; /* owned: the parent's descriptor, or NULL */
    GPtrArray *extents;     /* of struct vmdk_extent, owned, at least one after vmdk_parse */
    GPtrArray *header;      /* of struct vmdk_pair, owned: other lines before the extents */
    GPtrArray *ddb;         /* of struct vmdk_pair, owned: the ddb.* lines */
};

struct vmdk_pair {
    char *key;   /* owned */
    char *value; /* owned: without quotes */
};

/* What a new disk of ours is made of. Strings are borrowed for the call. */
struct vmdk_new_options {
    int64_t capacity_bytes;   /* a multiple of 512, above 0 */
    const char *data_file;    /* "name.qcow2", or "name-flat.vmdk" */
    bool flat;                /* plain bytes, not qcow2 */
    const char *adapter_type; /* "lsilogic", "buslogic", "ide"; NULL: lsilogic (also for all newer ones) */
    const char *uuid;         /* as the VI API writes it, or NULL for none */
    uint32_t cid;
    bool thin;
};

/* Names the kind of a file by its first bytes (VMDK_PROBE_BYTES of them, or the whole file). */
enum vmdk_kind vmdk_probe(const void *data, size_t length);
/* "monolithicSparse" and so on, for messages; the words of VMware's createType where there is one. */
const char *vmdk_kind_name(enum vmdk_kind kind);

/* Makes the descriptor of a new disk of ours. -EINVAL: capacity, name or UUID. */
int vmdk_new(const struct vmdk_new_options *options, struct vmdk **ret);

/*
 * Parses a descriptor, of ours or of another product. -EINVAL: malformed; -E2BIG; -EMEDIUMTYPE: a disk,
 * but of a kind that has no descriptor text here (vmdk_probe). *ret_message names the line or the kind.
 */
int vmdk_parse(const void *data, size_t length, struct vmdk **ret, char **ret_message);

/* The descriptor's text, to be freed with g_free. */
char *vmdk_format(const struct vmdk *vmdk, size_t *ret_length);

void vmdk_free(struct vmdk *vmdk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vmdk, vmdk_free)

/*
 * Whether this is a disk that is used as it is: one QCOW2 extent in a file beside the descriptor, or one flat one
 * from a file's beginning on that builds on no other disk. Sets *ret_data_file to its name (borrowed), and
 * *ret_format to "qcow2" or "raw". -EMEDIUMTYPE: *ret_message names the kind of disk that it is instead.
 */
int vmdk_get_data_file(const struct vmdk *vmdk, const char **ret_data_file, const char **ret_format,
                       char **ret_message);

/* Whether an extent is the plain bytes of a file. */
bool vmdk_extent_is_flat(const struct vmdk_extent *extent);

int64_t vmdk_get_capacity_bytes(const struct vmdk *vmdk);
/* Sets the capacity of a disk with one extent, and its geometry. -EINVAL: not a multiple of 512, or two. */
int vmdk_set_capacity_bytes(struct vmdk *vmdk, int64_t capacity_bytes);

/* The value of a "ddb." key, given without that prefix ("adapterType"); NULL when there is none. */
const char *vmdk_get_ddb(const struct vmdk *vmdk, const char *key);
/* value NULL removes it. -EINVAL: has what a line cannot hold. */
int vmdk_set_ddb(struct vmdk *vmdk, const char *key, const char *value);
bool vmdk_is_thin(const struct vmdk *vmdk);
/* A disk's UUID as VMware's products make them, "6000c29x-...", of 13 random bytes. */
void vmdk_uuid_from_random(const uint8_t random[13], char ret[37]);
/* The UUID as the VI API writes it; false when there is none. */
bool vmdk_get_uuid(const struct vmdk *vmdk, char ret[37]);
