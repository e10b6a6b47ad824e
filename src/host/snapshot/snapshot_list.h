// SPDX-License-Identifier: Apache-2.0
/*
 * The .vmsd file: the tree of a virtual machine's snapshots, as VMware's products write it.
 *
 *     snapshot.numSnapshots, snapshot.current, snapshot.lastUID
 *     snapshotN.uid .filename .parent .displayName .description .type .createTimeHigh .createTimeLow
 *     snapshotN.numDisks .diskK.fileName .diskK.node
 *
 * A snapshot's disks are named here and nowhere else: what its .vmsn file says of them does not count. Keys
 * that are not understood survive, also those of a snapshot while it moves to another N. Pure functions; the
 * struct is plain, and not safe to share between threads while one changes it.
 */
#pragma once

#include "host/vm/vmx.h"

enum {
    SNAPSHOT_LEVELS_MAX = 32, /* from a root down: what the VI API's products allow */
    SNAPSHOTS_MAX = 1024,
    SNAPSHOT_NAME_BYTES_MAX = 255,
};

struct snapshot_disk {
    char *node;      /* owned: where it is plugged in, "scsi0:0" */
    char *file_name; /* owned: "[datastore] path.vmdk" */
};

struct snapshot {
    uint32_t uid;    /* never 0, never given again within the machine */
    uint32_t parent; /* 0: none */
    char *file;      /* owned: the .vmsn, in the machine's folder */
    char *name;      /* owned */
    char *description;
    int64_t create_time_us; /* since 1970 */
    bool memory;            /* there is a .vmem: the guest ran, or was suspended */
    bool suspended;         /* with memory: the machine was suspended, so reverting leaves it so */
    bool quiesced;
    GPtrArray *disks; /* of struct snapshot_disk, owned */
    GPtrArray *extra; /* of struct snapshot_extra, owned: keys that are not understood */
};

struct snapshot_extra {
    char *key; /* without "snapshotN." */
    char *value;
};

typedef struct snapshot_list snapshot_list; /* only for g_autoptr */
struct snapshot_list {
    struct vmx *dictionary; /* owned: what was read */
    GPtrArray *snapshots;   /* of struct snapshot, owned; every parent before its children */
    uint32_t current;       /* the one that the machine's state goes back to; 0: none */
    uint32_t last_uid;
    GPtrArray
        *destroyed; /* of char *, owned: base disks that go when no snapshot needs them any more (ours) */
};

struct snapshot_list *snapshot_list_new(void);
void snapshot_list_free(struct snapshot_list *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(snapshot_list, snapshot_list_free)

/*
 * Reads a file's contents. File names in it are relative to `folder` ("" or "a/b") of `datastore`, where the
 * .vmx lies. -EINVAL: a number or a parent is wrong, *ret_message says which (g_free).
 */
int snapshot_list_parse(const char *text, size_t length, const char *datastore, const char *folder,
                        struct snapshot_list **ret, char **ret_message);
/* The contents to be written, to be freed with g_free. -EINVAL: a name that the file cannot hold. */
int snapshot_list_format(struct snapshot_list *list, const char *datastore, const char *folder, char **ret,
                         size_t *ret_length);

/* By uid; NULL when there is none. */
struct snapshot *snapshot_list_find(const struct snapshot_list *list, uint32_t uid);
/* A new one with the next uid, child of the current one, at the end of the list. */
struct snapshot *snapshot_list_add(struct snapshot_list *list);
/* Takes one out: its children, and the current state, go to its parent. */
void snapshot_list_remove(struct snapshot_list *list, uint32_t uid);
/* Whether it is `top` or below it. */
bool snapshot_list_is_below(const struct snapshot_list *list, uint32_t uid, uint32_t top);
/* How many there are from this one up to its root, itself included; 0 for uid 0. */
unsigned snapshot_list_depth(const struct snapshot_list *list, uint32_t uid);
void snapshot_add_disk(struct snapshot *snapshot, const char *node, const char *file_name);
