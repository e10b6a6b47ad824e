// SPDX-License-Identifier: Apache-2.0
/*
 * Snapshots of virtual machines, grouped by the file that implements what is declared.
 *
 * A snapshot is an entry in the .vmsd (snapshot_list.h), a .vmsn with the configuration of then, a .vmem when
 * memory was saved, and the disks that its entry names. Those are never written again: the machine goes on in
 * overlays over them. docs/design/snapshots.md has the steps of each operation and what a crash leaves.
 *
 * Everything here blocks on storage and runs with the machine's job, except where it says otherwise.
 */
#pragma once

#include "host/snapshot/snapshot_list.h"
#include "host/vm/vm.h"

/* ---- snapshot_files.c: the files of snapshots -------------------------------------------------------- */

#define SNAPSHOT_LIST_SUFFIX ".vmsd"
#define SNAPSHOT_MEMORY_SUFFIX ".vmem"

/* The machine's .vmsd, an empty list when there is none: InvalidSnapshotFormat, FileFault. */
struct vim_fault *snapshot_load_list(struct vm *vm, struct snapshot_list **ret);
/* Replaces it. */
struct vim_fault *snapshot_save_list(struct vm *vm, struct snapshot_list *list);
/* The configuration of then, with the disks that the list names. */
struct vim_fault *snapshot_load_config(struct vm *vm, const struct snapshot *snapshot,
                                       struct VirtualMachineConfigInfo **ret);
/* Writes the machine's .vmx into the snapshot's new .vmsn. */
struct vim_fault *snapshot_write_config(struct vm *vm, const struct snapshot *snapshot);
/* Replaces the .vmx by the snapshot's .vmsn with this configuration; `state` is the file with memory to resume
 * from, or NULL. */
struct vim_fault *snapshot_restore_config(struct vm *vm, const struct snapshot *snapshot,
                                          const struct VirtualMachineConfigInfo *config, const char *state);
/* The path of a file in the machine's folder, "[ds] folder/name"; g_free. */
char *snapshot_file_path(const struct vm *vm, const char *name);
/* The name of the file with a snapshot's memory; g_free. */
char *snapshot_memory_name(const struct snapshot *snapshot);
/* Opens a file of the machine's folder. */
struct vim_fault *snapshot_open_file(struct vm *vm, const char *name, int flags, int *ret_fd);

/* ---- snapshot_disks.c: which disk builds on which ------------------------------------------------------ */

/* A disk file that the machine or one of its snapshots uses, by itself or through those that build on it. */
struct disk_node {
    char *path;               /* owned: "[ds] folder/name.vmdk" */
    struct disk_node *parent; /* borrowed: in the same forest; NULL: a base disk */
    unsigned children;        /* how many in the forest build on it */
    int32_t device_key;       /* of the device whose disk it is now, or 0 */
    bool named;               /* by the .vmx or by a snapshot: it is somebody's state */
    bool own;                 /* named, or in one folder with what builds on it up to one that is */
};

typedef struct disk_forest disk_forest; /* only for g_autoptr */
struct disk_forest {
    GPtrArray *nodes; /* of struct disk_node, owned; every parent before its children */
};

/* Looks at the descriptors. A file that cannot be read is a fault. */
struct vim_fault *disk_forest_load(struct host *host, const struct VirtualMachineConfigInfo *config,
                                   const struct snapshot_list *list, struct disk_forest **ret);
void disk_forest_free(struct disk_forest *forest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(disk_forest, disk_forest_free)
struct disk_node *disk_forest_find(const struct disk_forest *forest, const char *path);
/*
 * The next disk to be merged into its parent: no snapshot needs the parent's state and nothing else builds on
 * it. NULL: none. What several build on stays, as copying it into each would multiply it.
 */
const struct disk_node *disk_forest_next_merge(const struct disk_forest *forest);
/* Whether a disk takes part in snapshots: is not independent. */
bool disk_is_dependent(const struct VirtualDevice *device);
const char *disk_file_name(const struct VirtualDevice *device);

/* Opens a disk's data; *ret_format is "qcow2" or "raw", which only a base disk is. */
struct vim_fault *disk_open(struct host *host, const char *path, bool read_only, int *ret_fd,
                            const char **ret_format);

/* A new overlay, planned. */
struct overlay {
    int32_t device_key;
    char *path;   /* owned: "[ds] folder/name-000001.vmdk" */
    char *parent; /* owned: the descriptor that it builds on */
};
/* One for every dependent disk of the configuration, with names that are free. GPtrArray of struct overlay. */
struct vim_fault *overlays_plan(struct host *host, const struct VirtualMachineConfigInfo *config,
                                GPtrArray **ret);
/* Makes their files. */
struct vim_fault *overlays_make(struct host *host, const GPtrArray *overlays);
/* Puts them into a configuration in place of their parents. */
void overlays_apply(const GPtrArray *overlays, struct VirtualMachineConfigInfo *config);

/* ---- snapshot_journal.c: what to tidy up after an operation ------------------------------------------- */

/* The files that an operation may make or leave over: overlays of the forest, files of snapshots, new ones.
 * They go at its end unless the .vmx or the .vmsd names them. */
GPtrArray *snapshot_doubtful_files(struct vm *vm, const struct snapshot_list *list,
                                   const struct disk_forest *forest);
/* Adds all files of snapshots, and all disks that the machine or they have, for a machine that is destroyed. */
void snapshot_add_files(struct vm *vm, GPtrArray *paths);
/* Removes those of the paths that are not named by now. When the files cannot be read, none. */
struct vim_fault *snapshot_remove_unnamed(struct vm *vm, const GPtrArray *paths);
/* Notes that a disk's files were to be destroyed with it: those that snapshots name go with these. */
void snapshot_note_destroyed(struct vm *vm, const struct VirtualDevice *disk);
/* Forgets such notes of the disks that are, or that are not, in the forest. */
void snapshot_forget_destroyed(struct snapshot_list *list, const struct disk_forest *forest, bool in_forest);
/* Begins a journal over these files. For a revert, `target` is the snapshot and `marker` a file that the .vmx
 * names when it is done, or NULL. */
struct vim_fault *snapshot_journal_begin(struct vm *vm, const GPtrArray *paths, const struct snapshot *target,
                                         const char *marker);
/* After a start, when the running machines have been adopted: finishes or undoes what was cut off. */
void snapshot_recover(struct vm *vm);

/* ---- snapshot_show.c: what clients see ------------------------------------------------------------------ */

/* Shows tree, files and consolidationNeeded as the files say, also for a machine that has just been shown. What
 * cannot be read is logged and not shown. */
void snapshot_show(struct vm *vm);
/* The same after an operation, with the configuration as the .vmx says. */
void snapshot_show_all(struct vm *vm);
/* What is shown of snapshots' files: GPtrArray of struct snapshot_shown. (no lock held) */
struct snapshot_shown {
    uint32_t uid;
    char *data;                              /* owned: "[ds] folder/name-Snapshot1.vmsn" */
    char *memory;                            /* owned, or NULL */
    struct VirtualMachineConfigInfo *config; /* owned */
};
GPtrArray *snapshot_shown(struct vm *vm);
/* Takes the snapshots' objects out of the inventory. (write lock) */
void snapshot_hide_all(struct vm *vm);
struct vim_ref snapshot_reference(const struct vm *vm, uint32_t uid); /* id owned by the caller */

/* ---- snapshot_merge.c: consolidation --------------------------------------------------------------------- */

/* Merges disks until there is nothing to merge, within a journal. Cancelled or failed, everything stays valid.
 * Only overlays in `only` are merged when that is not NULL (of struct overlay). The task may be NULL. */
struct vim_fault *snapshot_consolidate(struct vm *vm, struct vim_task *task, const GPtrArray *only);
/* Whether there is something to merge. */
bool snapshot_needs_consolidation(struct vm *vm);

/* ---- snapshot.c, snapshot_create.c, snapshot_revert.c, snapshot_remove.c: methods --------------------------- */

extern const struct VirtualMachineSnapshot_methods host_snapshot_methods;
VM_METHOD(snapshot_create_call, CreateSnapshot_Task);
VM_METHOD(snapshot_create_ex_call, CreateSnapshotEx_Task);
VM_METHOD(snapshot_revert_current_call, RevertToCurrentSnapshot_Task);
VM_METHOD(snapshot_remove_all_call, RemoveAllSnapshots_Task);
VM_METHOD(snapshot_consolidate_call, ConsolidateVMDisks_Task);
VM_METHOD(snapshot_revert_call, RevertToSnapshot_Task);
VM_METHOD(snapshot_remove_call, RemoveSnapshot_Task);
/* The uid in a snapshot object's id. */
uint32_t snapshot_uid_of_call(const struct vim_call *call);
/* NotSupported for what has no files, SnapshotLocked, InvalidVmConfig. */
struct vim_fault *snapshot_require(struct vm *vm);
/* A fault for what the hypervisor said. */
struct vim_fault *snapshot_hypervisor_fault(int error, const char *message);
