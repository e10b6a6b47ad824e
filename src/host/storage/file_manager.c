// SPDX-License-Identifier: Apache-2.0
/*
 * FileManager: makes, deletes, moves and copies files and folders of datastores.
 *
 * What a registered virtual machine uses is not deleted, moved or replaced. A disk (name.vmdk) takes its
 * data with it. A copy appears when it is complete: it is made under its name + FILE_NEW_SUFFIX, which is
 * what a crash may leave, and which the next copy to the same place removes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/datastore_files.h"
#include "host/storage/disk_lock.h"
#include "vim/value.h"

enum {
    MAX_DEPTH = 64, /* of folders in a folder that is copied */
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

#define AUTO_FD __attribute__((cleanup(close_fd))) int

/* ---- delete ----------------------------------------------------------------------------------------- */

static struct vim_fault *delete_plain(const struct file_place *place, const struct stat *st)
{
    const struct datastore *datastore = place->datastore;
    int error = S_ISDIR(st->st_mode) ? file_remove_tree(datastore->fd, place->path)
                                     : file_remove(datastore->fd, place->path);
    return error == 0 ? NULL : host_file_fault(place->text, error, "it cannot be deleted");
}

struct vim_fault *file_delete(struct host *host, const struct file_place *place, bool trees)
{
    struct disk_image_info disk;
    struct stat st;
    int error = file_place_stat(place, &st);
    if (error != 0) {
        return host_file_fault(place->text, error, "it cannot be deleted");
    }
    if (S_ISDIR(st.st_mode) && !trees) {
        return fault_cannot_delete_file(place->text, "%s is a folder", place->text);
    }
    struct vim_fault *fault = files_check_unused(host, place);
    if (fault != NULL) {
        return fault;
    }
    if (S_ISREG(st.st_mode) && disk_is_ours(place, &disk)) {
        g_autofree char *message = NULL;
        disk_image_info_clear(&disk);
        fault = disk_check_childless(place);
        error = fault == NULL ? disk_image_delete(place->datastore->fd, place->path, &message) : 0;
        fault = error == 0 ? fault : host_file_fault(place->text, error, message);
    } else {
        fault = delete_plain(place, &st);
    }
    host_datastore_refresh(host, place->datastore);
    return fault;
}

/* ---- copying folders -------------------------------------------------------------------------------- */

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The entries of a folder that are copied: files and folders, without those in the making. */
static int list_folder(int fd, GPtrArray *names)
{
    int copy = dup(fd);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (dir == NULL) {
        int error = -errno;
        close_fd(&copy);
        return error;
    }
    const struct dirent *at = NULL;
    rewinddir(dir); /* the position is shared with fd */
    while ((errno = 0, at = readdir(dir)) != NULL) {
        if (!is_dot(at->d_name) && !g_str_has_suffix(at->d_name, FILE_NEW_SUFFIX)) {
            g_ptr_array_add(names, g_strdup(at->d_name));
        }
    }
    int error = -errno;
    closedir(dir);
    return error;
}

static int add_size(int fd, const char *name, int depth, int64_t *total);

/* The bytes of all files in a folder. */
static int add_folder_size(int fd, int depth, int64_t *total)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    int error = depth < MAX_DEPTH ? list_folder(fd, names) : -ELOOP;
    for (guint i = 0; i < names->len && error == 0; i++) {
        error = add_size(fd, g_ptr_array_index(names, i), depth + 1, total);
    }
    return error;
}

static int add_size(int fd, const char *name, int depth, int64_t *total)
{
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return -errno;
    }
    if (S_ISREG(st.st_mode)) {
        *total += st.st_size;
    }
    if (!S_ISDIR(st.st_mode)) {
        return 0;
    }
    AUTO_FD inner = -1;
    int error = file_open(fd, name, O_RDONLY | O_DIRECTORY, 0, &inner);
    return error != 0 ? error : add_folder_size(inner, depth, total);
}

static int copy_contents(int from_fd, int to_fd, int depth, struct copy_progress *progress);

/* Opens a file to copy. -EBUSY: it is the data of a disk that somebody writes. */
static int open_source(int dir_fd, const char *path, int *ret_fd)
{
    AUTO_FD fd = -1;
    int error = file_open(dir_fd, path, O_RDONLY, 0, &fd);
    if (error == 0 && disk_lock_probe(fd, DISK_LOCK_READ) == -EBUSY) {
        error = -EBUSY;
    }
    if (error == 0) {
        *ret_fd = fd;
        fd = -1;
    }
    return error;
}

static int copy_file_in(int from_fd, int to_fd, const char *name, mode_t mode, struct copy_progress *progress)
{
    AUTO_FD from = -1;
    AUTO_FD to = -1;
    int error = open_source(from_fd, name, &from);
    if (error == 0) {
        error = file_open(to_fd, name, O_RDWR | O_CREAT | O_EXCL, mode & 0777, &to);
    }
    if (error == 0) {
        error = file_copy_data(from, to, progress);
    }
    return error == 0 && fsync(to) != 0 ? -errno : error;
}

static int copy_entry(int from_fd, int to_fd, const char *name, int depth, struct copy_progress *progress)
{
    struct stat st;
    if (fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return -errno;
    }
    if (S_ISREG(st.st_mode)) {
        return copy_file_in(from_fd, to_fd, name, st.st_mode, progress);
    }
    if (!S_ISDIR(st.st_mode)) {
        return 0; /* links and special files: no client can see them */
    }
    AUTO_FD from = -1;
    AUTO_FD to = -1;
    int error = file_open(from_fd, name, O_RDONLY | O_DIRECTORY, 0, &from);
    if (error == 0 && mkdirat(to_fd, name, 0755) != 0) {
        error = -errno;
    }
    if (error == 0) {
        error = file_open(to_fd, name, O_RDONLY | O_DIRECTORY, 0, &to);
    }
    return error != 0 ? error : copy_contents(from, to, depth, progress);
}

static int copy_contents(int from_fd, int to_fd, int depth, struct copy_progress *progress)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    int error = depth < MAX_DEPTH ? list_folder(from_fd, names) : -ELOOP;
    for (guint i = 0; i < names->len && error == 0; i++) {
        error = vim_task_is_cancelled(progress->task)
                    ? -ECANCELED
                    : copy_entry(from_fd, to_fd, g_ptr_array_index(names, i), depth + 1, progress);
    }
    return error == 0 && fsync(to_fd) != 0 ? -errno : error;
}

/* Makes the folder that the copy grows in, and locks it. A stale one is removed; -EBUSY: one that is not. */
static int begin_folder(int parent_fd, const char *new_name, int *ret_fd)
{
    AUTO_FD fd = -1;
    int error = file_open(parent_fd, new_name, O_RDONLY | O_DIRECTORY, 0, &fd);
    if (error == 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return -EBUSY;
    }
    if (error == 0) {
        error = file_remove_tree(parent_fd, new_name);
        close(fd);
        fd = -1;
    }
    if (error != 0 && error != -ENOENT) {
        return error;
    }
    if (mkdirat(parent_fd, new_name, 0755) != 0) {
        return errno == EEXIST ? -EBUSY : -errno;
    }
    error = file_open(parent_fd, new_name, O_RDONLY | O_DIRECTORY, 0, &fd);
    if (error == 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        error = -EBUSY;
    }
    if (error == 0) {
        *ret_fd = fd;
        fd = -1;
    }
    return error;
}

/* Copies a folder to a name that does not exist. 0 or a negative errno. */
static int copy_folder(const struct file_place *from, const struct file_place *to, struct vim_task *task)
{
    AUTO_FD from_fd = -1;
    AUTO_FD parent_fd = -1;
    AUTO_FD new_fd = -1;
    const char *name = NULL;
    struct copy_progress progress = {.task = task};
    int error = file_open(from->datastore->fd, from->path, O_RDONLY | O_DIRECTORY, 0, &from_fd);
    if (error == 0) {
        error = add_folder_size(from_fd, 0, &progress.total_bytes);
    }
    if (error == 0) {
        error = file_open_parent(to->datastore->fd, to->path, &parent_fd, &name);
    }
    if (error != 0) {
        return error;
    }
    g_autofree char *new_name = g_strconcat(name, FILE_NEW_SUFFIX, NULL);
    error = begin_folder(parent_fd, new_name, &new_fd);
    if (error != 0) {
        return error;
    }
    error = copy_contents(from_fd, new_fd, 0, &progress);
    if (error == 0) {
        error = rename_new(parent_fd, new_name, parent_fd, name);
    }
    if (error != 0) {
        (void)file_remove_tree(parent_fd, new_name);
        return error;
    }
    return fsync(parent_fd) == 0 ? 0 : -errno;
}

/* ---- copying and moving files ----------------------------------------------------------------------- */

static int copy_file(const struct file_place *from, const struct file_place *to, bool replace,
                     struct vim_task *task)
{
    AUTO_FD from_fd = -1;
    NEW_FILE_AUTO(file);
    struct stat st;
    int error = open_source(from->datastore->fd, from->path, &from_fd);
    if (error == 0 && fstat(from_fd, &st) != 0) {
        error = -errno;
    }
    if (error == 0) {
        error = new_file_begin(to->datastore->fd, to->path, st.st_mode & 0777, &file);
    }
    if (error == 0) {
        struct copy_progress progress = {.task = task, .total_bytes = st.st_size};
        error = file_copy_data(from_fd, file.fd, &progress);
    }
    return error == 0 ? new_file_commit(&file, replace) : error;
}

/* Within one file system: one step. */
static int rename_place(const struct file_place *from, const struct file_place *to, bool replace)
{
    AUTO_FD from_fd = -1;
    AUTO_FD to_fd = -1;
    const char *from_name = NULL;
    const char *to_name = NULL;
    int error = file_open_parent(from->datastore->fd, from->path, &from_fd, &from_name);
    if (error == 0) {
        error = file_open_parent(to->datastore->fd, to->path, &to_fd, &to_name);
    }
    if (error == 0 && replace) {
        error = renameat(from_fd, from_name, to_fd, to_name) == 0 ? 0 : -errno;
    } else if (error == 0) {
        error = rename_new(from_fd, from_name, to_fd, to_name);
    }
    if (error == 0 && (fsync(to_fd) != 0 || fsync(from_fd) != 0)) {
        error = -errno;
    }
    return error;
}

/* A move or a copy. */
struct transfer {
    struct host *host;
    struct file_place from; /* owned */
    struct file_place to;   /* owned */
    bool move;
    bool force;
};

static void transfer_free(void *data)
{
    struct transfer *transfer = data;
    file_place_clear(&transfer->from);
    file_place_clear(&transfer->to);
    g_free(transfer);
}

static int transfer_plain(const struct transfer *t, const struct stat *st, bool replace,
                          struct vim_task *task)
{
    bool is_folder = S_ISDIR(st->st_mode);
    int error = t->move ? rename_place(&t->from, &t->to, replace) : -EXDEV;
    if (error != -EXDEV) {
        return error;
    }
    error = is_folder ? copy_folder(&t->from, &t->to, task) : copy_file(&t->from, &t->to, replace, task);
    if (error == 0 && t->move) {
        error = is_folder ? file_remove_tree(t->from.datastore->fd, t->from.path)
                          : file_remove(t->from.datastore->fd, t->from.path);
    }
    return error;
}

/* The target: free, or a file that may be replaced. */
static struct vim_fault *check_target(const struct transfer *t, bool *ret_replace)
{
    struct stat st;
    int error = file_place_stat(&t->to, &st);
    *ret_replace = false;
    if (error == -ENOENT) {
        return NULL;
    }
    if (error != 0) {
        return host_file_fault(t->to.text, error, "it cannot be made");
    }
    if (!t->force || !S_ISREG(st.st_mode)) {
        return fault_file_already_exists(t->to.text, "%s exists already", t->to.text);
    }
    *ret_replace = true;
    return files_check_unused(t->host, &t->to);
}

static struct vim_fault *transfer_checked(const struct transfer *t, const struct stat *st,
                                          struct vim_task *task)
{
    struct disk_image_info disk;
    bool replace = false;
    struct vim_fault *fault = check_target(t, &replace);
    if (fault != NULL) {
        return fault;
    }
    /* The descriptor alone may be copied as a text, but a disk does not lose its data by a move. */
    bool whole = t->move || g_str_has_suffix(t->to.path, ".vmdk");
    if (S_ISREG(st->st_mode) && whole && disk_is_ours(&t->from, &disk)) {
        struct disk_copy options = {.force = replace};
        fault = t->move ? disk_move(task, &t->from, &disk, &t->to, replace)
                        : disk_copy(task, &t->from, &t->to, &options);
        disk_image_info_clear(&disk);
        return fault;
    }
    if (S_ISDIR(st->st_mode) && replace) {
        return fault_file_already_exists(t->to.text, "%s exists already", t->to.text);
    }
    int error = transfer_plain(t, st, replace, task);
    return error == 0 ? NULL
                      : file_copy_fault(t->to.text, error,
                                        t->move ? "it cannot be moved there" : "it cannot be copied there");
}

static struct vim_fault *transfer_run(struct vim_task *task, void *data)
{
    const struct transfer *t = data;
    GPtrArray *held = NULL;
    struct stat st;
    int error = file_place_stat(&t->from, &st);
    if (error == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        error = -ENOENT;
    }
    if (error != 0) {
        return host_file_fault(t->from.text, error, "it cannot be read");
    }
    struct vim_fault *fault =
        t->move ? files_check_unused(t->host, &t->from) : files_hold(t->host, task, &t->from, true, &held);
    if (fault == NULL) {
        fault = files_journal_begin(t->host, task, &t->to);
    }
    if (fault == NULL) {
        fault = transfer_checked(t, &st, task);
        files_journal_end(t->host, task);
    }
    files_release(held);
    host_datastore_refresh(t->host, t->to.datastore);
    if (t->move) {
        host_datastore_refresh(t->host, t->from.datastore);
    }
    return fault;
}

struct transfer_args {
    const char *source;
    const struct vim_ref *source_datacenter;
    const char *destination;
    const struct vim_ref *destination_datacenter;
    bool force;
};

static struct vim_fault *transfer_start(struct vim_call *call, const struct transfer_args *args, bool move,
                                        struct vim_ref *ret)
{
    FILE_PLACE_AUTO(from);
    FILE_PLACE_AUTO(to);
    struct vim_fault *fault = file_place_of_call(
        call, args->source, "sourceName", args->source_datacenter,
        move ? VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT : VIM_PRIVILEGE_DATASTORE_BROWSE, &from);
    if (fault == NULL) {
        fault = file_place_of_call(call, args->destination, "destinationName", args->destination_datacenter,
                                   VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &to);
    }
    if (fault == NULL) {
        fault = file_place_check_target(&from, "sourceName");
    }
    if (fault == NULL) {
        fault = file_place_check_target(&to, "destinationName");
    }
    if (fault != NULL) {
        return fault;
    }
    if (file_place_contains(&from, &to)) {
        return fault_invalid_argument("destinationName", "destinationName: %s is %s itself, or in it",
                                      to.text, from.text);
    }
    struct transfer *transfer = g_new0(struct transfer, 1);
    *transfer = (struct transfer){call->server->hooks_data, from, to, move, args->force};
    struct vim_task_spec task = {
        .description_id = move ? "FileManager.moveFile" : "FileManager.copyFile",
        .entity = to.datastore->ref,
        .run = transfer_run,
        .data = transfer,
        .data_free = transfer_free,
        .cancelable = true,
    };
    from = to = (struct file_place){0}; /* moved */
    return vim_task_start(call->server, call, &task, ret);
}

/* ---- methods ---------------------------------------------------------------------------------------- */

static struct vim_fault *copy_method(struct vim_call *call, const struct CopyDatastoreFile_Task_args *args,
                                     struct CopyDatastoreFile_Task_result *ret)
{
    const struct transfer_args transfer = {
        args->sourceName,
        &args->sourceDatacenter,
        args->destinationName,
        &args->destinationDatacenter,
        args->force.set && args->force.value,
    };
    return transfer_start(call, &transfer, false, &ret->returnval);
}

static struct vim_fault *move_method(struct vim_call *call, const struct MoveDatastoreFile_Task_args *args,
                                     struct MoveDatastoreFile_Task_result *ret)
{
    const struct transfer_args transfer = {
        args->sourceName,
        &args->sourceDatacenter,
        args->destinationName,
        &args->destinationDatacenter,
        args->force.set && args->force.value,
    };
    return transfer_start(call, &transfer, true, &ret->returnval);
}

struct deletion {
    struct host *host;
    struct file_place place; /* owned */
};

static void deletion_free(void *data)
{
    struct deletion *deletion = data;
    file_place_clear(&deletion->place);
    g_free(deletion);
}

static struct vim_fault *delete_run(struct vim_task *task, void *data)
{
    const struct deletion *deletion = data;
    (void)task;
    return file_delete(deletion->host, &deletion->place, true);
}

static struct vim_fault *delete_method(struct vim_call *call,
                                       const struct DeleteDatastoreFile_Task_args *args,
                                       struct DeleteDatastoreFile_Task_result *ret)
{
    FILE_PLACE_AUTO(place);
    struct vim_fault *fault = file_place_of_call(call, args->name, "name", &args->datacenter,
                                                 VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &place);
    if (fault == NULL && place.path[0] == '\0') {
        fault = file_place_check_target(&place, "name");
    }
    if (fault != NULL) {
        return fault;
    }
    struct deletion *deletion = g_new0(struct deletion, 1);
    *deletion = (struct deletion){call->server->hooks_data, place};
    struct vim_task_spec task = {
        .description_id = "FileManager.deleteFile",
        .entity = place.datastore->ref,
        .run = delete_run,
        .data = deletion,
        .data_free = deletion_free,
    };
    place = (struct file_place){0}; /* moved */
    return vim_task_start(call->server, call, &task, &ret->returnval);
}

/* One folder in one that exists. */
static int make_folder(const struct file_place *place)
{
    AUTO_FD parent_fd = -1;
    const char *name = NULL;
    int error = file_open_parent(place->datastore->fd, place->path, &parent_fd, &name);
    if (error == 0 && mkdirat(parent_fd, name, 0755) != 0) {
        error = -errno;
    }
    return error == 0 && fsync(parent_fd) != 0 ? -errno : error;
}

static struct vim_fault *make_directory(struct vim_call *call, const struct MakeDirectory_args *args)
{
    FILE_PLACE_AUTO(place);
    struct stat st;
    struct vim_fault *fault = file_place_of_call(call, args->name, "name", &args->datacenter,
                                                 VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &place);
    if (fault == NULL) {
        fault = file_place_check_target(&place, "name");
    }
    if (fault != NULL) {
        return fault;
    }
    bool parents = args->createParentDirectories.set && args->createParentDirectories.value;
    int error = file_place_stat(&place, &st);
    if (error == 0) {
        return fault_file_already_exists(place.text, "%s exists already", place.text);
    }
    error = parents ? file_mkdir(place.datastore->fd, place.path, 0755) : make_folder(&place);
    if (error == -ENOTDIR) {
        error = -ENOENT; /* a file stands where a folder would have to */
    }
    return error == 0 ? NULL : host_file_fault(place.text, error, "the folder cannot be made");
}

const struct FileManager_methods host_file_manager_methods = {
    .MoveDatastoreFile_Task = move_method,
    .CopyDatastoreFile_Task = copy_method,
    .DeleteDatastoreFile_Task = delete_method,
    .MakeDirectory = make_directory,
};
