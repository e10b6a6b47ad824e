// SPDX-License-Identifier: Apache-2.0
/*
 * What file_manager.c, virtual_disk_manager.c, datastore_browser.c and folder_files.c share: places that
 * clients name, who uses a file, and files that appear whole or not at all.
 *
 * A file is written under its name + FILE_NEW_SUFFIX, locked while that lasts (flock), and renamed when it
 * is complete. One that is not locked was left by a crash, is listed nowhere and is written over.
 */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "host/storage/disk_image.h"
#include "host/host_internal.h"

/* ---- places ----------------------------------------------------------------------------------------- */

/* A file or folder that a client named. */
struct file_place {
    struct datastore *datastore; /* borrowed; lives as long as the host */
    char *path;                  /* owned: beneath the datastore's folder; "" is that folder */
    char *text;                  /* owned: "[ds] path" */
};
void file_place_clear(struct file_place *place);
#define FILE_PLACE_AUTO(name) \
    __attribute__((cleanup(file_place_clear))) struct file_place name = {NULL, NULL, NULL}

/*
 * Parses "[ds] path" of a call and checks the caller's privilege on the datastore: InvalidDatastorePath,
 * InvalidDatastore, NoPermission, ManagedObjectNotFound for another datacenter than the host's only one.
 * `property` names the argument in messages; the datacenter may be unset.
 */
struct vim_fault *file_place_of_call(struct vim_call *call, const char *text, const char *property,
                                     const struct vim_ref *datacenter, enum vim_privilege privilege,
                                     struct file_place *ret);
/* InvalidDatastorePath for the root folder and for names that are kept for files in the making. */
struct vim_fault *file_place_check_target(const struct file_place *place, const char *property);
/* Whether `inner` is the same place or lies below it. */
bool file_place_contains(const struct file_place *place, const struct file_place *inner);
/* Whether a name in a folder is one that clients are shown: not one in the making, and one that they can
 * name in a datastore path. */
bool file_name_is_shown(const char *name);
/* What is there, without following a link: 0 or a negative errno. */
int file_place_stat(const struct file_place *place, struct stat *ret);

/* ---- users ------------------------------------------------------------------------------------------ */

/*
 * FileLocked when a registered virtual machine uses the file, or one below the folder: its .vmx and what
 * belongs to that, its disks (descriptors and data), and all that it has open while it runs. No lock held.
 */
struct vim_fault *files_check_unused(struct host *host, const struct file_place *place);
/* FileLocked when a virtual machine that runs uses it. No lock held. */
struct vim_fault *files_check_not_open(struct host *host, const struct file_place *place);
/*
 * FileLocked when somebody has locked the file, or one below the folder: another host's machine, or a qemu-img. The
 * hosts on a datastore know nothing of each other's machines, but each machine that runs has its files locked.
 */
struct vim_fault *files_check_unlocked(const struct file_place *place);
/*
 * Keeps the virtual machines that use it from starting and changing: takes their jobs, on a task's thread.
 * FileLocked when one runs (or is suspended, if may_be_suspended is not set), TaskInProgress. *ret is an
 * array of struct vm *, given back with files_release.
 */
struct vim_fault *files_hold(struct host *host, struct vim_task *task, const struct file_place *place,
                             bool may_be_suspended, GPtrArray **ret);
void files_release(GPtrArray *machines);

/*
 * Notes that a task is about to make files at this place, so that the next start removes what a crash leaves of them;
 * of a disk, the descriptor and the data. End it in any case.
 */
struct vim_fault *files_journal_begin(struct host *host, struct vim_task *task,
                                      const struct file_place *place);
void files_journal_end(struct host *host, struct vim_task *task);

/* ---- files in the making ---------------------------------------------------------------------------- */

/* A file that is being written. All-zero with fds of -1 is none. */
struct new_file {
    int parent_fd;  /* of its folder; owned */
    int fd;         /* of the new file, for reading and writing; owned */
    char *name;     /* that it will have; owned */
    char *new_name; /* that it has; owned */
};
#define NEW_FILE_INIT      \
    {                      \
        -1, -1, NULL, NULL \
    }
#define NEW_FILE_AUTO(variable) \
    __attribute__((cleanup(new_file_end))) struct new_file variable = NEW_FILE_INIT

/* Begins an empty file; its folder must exist. -EBUSY: somebody else is writing the same one. */
int new_file_begin(int dir_fd, const char *path, mode_t mode, struct new_file *ret);
/* Syncs it and gives it its name. -EEXIST: there is one already and `replace` is not set. -ESTALE: it was
 * removed meanwhile. */
int new_file_commit(struct new_file *file, bool replace);
/* Removes it unless it was committed. To be called once in any case. */
void new_file_end(struct new_file *file);
/* renameat() that replaces nothing: -EEXIST. */
int rename_new(int from_fd, const char *from, int to_fd, const char *to);

/* How far a copy has come. */
struct copy_progress {
    struct vim_task *task; /* that shows it and may be cancelled */
    int64_t total_bytes;
    int64_t done_bytes;
};
/* Copies all data of a file into an empty one, leaving holes out. -ECANCELED: the task was cancelled. */
int file_copy_data(int from_fd, int to_fd, struct copy_progress *progress);
/* A fault for an errno of a copy, RequestCanceled among them. */
struct vim_fault *file_copy_fault(const char *datastore_path, int error, const char *what);

/* ---- file_manager.c --------------------------------------------------------------------------------- */

/* Deletes a file that nobody uses (a disk with its data) and, if `trees` is set, folders: FileLocked,
 * FileNotFound, FileFault. Blocks. */
struct vim_fault *file_delete(struct host *host, const struct file_place *place, bool trees);

/* ---- virtual_disk_manager.c ------------------------------------------------------------------------- */

/* Whether this is the descriptor of a disk of ours that is complete; then *ret describes it, to be cleared
 * with disk_image_info_clear. */
bool disk_is_ours(const struct file_place *place, struct disk_image_info *ret);

/* ---- disk_copy.c ------------------------------------------------------------------------------------- */

struct disk_copy {
    bool force;                                /* whether the target is replaced */
    bool keep_uuid;                            /* for a move */
    bool flat;                                 /* plain bytes; else as the source has it, or qcow2 */
    const char *adapter_type;                  /* "lsilogic"..., or NULL: as the source has it */
    enum disk_image_provisioning provisioning; /* 0: as the source has it; thin of one that is not ours */
};
/* Copies a disk that nobody changes meanwhile (FileLocked), of ours or of one of VMware's products; what it builds on
 * becomes part of it: FileAlreadyExists, FileFault, InvalidDiskFormat, RequestCanceled. */
struct vim_fault *disk_copy(struct vim_task *task, const struct file_place *from, const struct file_place *to,
                            const struct disk_copy *options);
/* Moves a disk of ours that stands alone. */
struct vim_fault *disk_move(struct vim_task *task, const struct file_place *from,
                            const struct disk_image_info *info, const struct file_place *to, bool force);
/* Writes a disk of ours that stands alone anew, with its space set aside so, and with its contents or blank. */
struct vim_fault *disk_rewrite(struct vim_task *task, const struct file_place *place,
                               const struct disk_image_info *info, enum disk_image_provisioning provisioning,
                               bool blank);
/* NotSupported when another disk builds on it. */
struct vim_fault *disk_check_childless(const struct file_place *place);
/* NotSupported unless the disk stands alone: it builds on no other, and no other builds on it. */
struct vim_fault *disk_check_alone(const struct file_place *place, const struct disk_image_info *info);
