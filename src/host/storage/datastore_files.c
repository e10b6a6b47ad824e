// SPDX-License-Identifier: Apache-2.0
/*
 * Places on datastores, who uses them, and files that appear whole or not at all; see datastore_files.h.
 */
#include "host/storage/datastore_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/vm/vm.h"
#include "vim/value.h"

enum {
    BEGIN_TRIES = 10,
    MAX_DEPTH = 64,                     /* of folders */
    COPY_CHUNK_BYTES = 8 * 1024 * 1024, /* between two looks at the task */
    COPY_BUFFER_BYTES = 1024 * 1024,
};

/* ---- places ----------------------------------------------------------------------------------------- */

void file_place_clear(struct file_place *place)
{
    g_clear_pointer(&place->path, g_free);
    g_clear_pointer(&place->text, g_free);
}

struct vim_fault *file_place_of_call(struct vim_call *call, const char *text, const char *property,
                                     const struct vim_ref *datacenter, enum vim_privilege privilege,
                                     struct file_place *ret)
{
    struct host *host = call->server->hooks_data;
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    if (datacenter != NULL && datacenter->id != NULL && !g_str_equal(datacenter->id, HOST_DATACENTER_ID)) {
        return vim_call_gone(datacenter);
    }
    struct vim_fault *fault = host_resolve(host, text, property, &datastore, &path);
    if (fault == NULL) {
        fault = vim_call_require(call, &datastore->ref, privilege);
    }
    if (fault != NULL) {
        return fault;
    }
    ret->datastore = datastore;
    ret->text = datastore_path_format(datastore->name, path);
    ret->path = g_steal_pointer(&path);
    return NULL;
}

struct vim_fault *file_place_check_target(const struct file_place *place, const char *property)
{
    const char *rule = NULL;
    if (place->path[0] == '\0') {
        rule = "this is the datastore itself";
    } else if (g_str_has_suffix(place->path, FILE_NEW_SUFFIX)) {
        rule = "names that end in " FILE_NEW_SUFFIX " are kept for files in the making";
    }
    return rule == NULL
               ? NULL
               : fault_invalid_datastore_path(place->datastore->ref, place->datastore->name, place->text,
                                              "%s: %s: %s", property, place->text, rule);
}

/* Whether `path` is `folder` or lies below it; both within one datastore. */
static bool path_contains(const char *folder, const char *path)
{
    size_t length = strlen(folder);
    return length == 0 ||
           (strncmp(folder, path, length) == 0 && (path[length] == '\0' || path[length] == '/'));
}

bool file_place_contains(const struct file_place *place, const struct file_place *inner)
{
    return place->datastore == inner->datastore && path_contains(place->path, inner->path);
}

bool file_name_is_shown(const char *name)
{
    g_autofree char *path = NULL;
    const char *rule = NULL;
    return !g_str_has_suffix(name, FILE_NEW_SUFFIX) && strchr(name, '/') == NULL &&
           datastore_path_parse_relative(name, -1, &path, &rule) == 0 && path[0] != '\0';
}

int file_place_stat(const struct file_place *place, struct stat *ret)
{
    int parent_fd = -1;
    const char *name = NULL;
    int error = 0;
    if (place->path[0] == '\0') {
        return fstat(place->datastore->fd, ret) == 0 ? 0 : -errno;
    }
    error = file_open_parent(place->datastore->fd, place->path, &parent_fd, &name);
    if (error == 0) {
        error = fstatat(parent_fd, name, ret, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
        close(parent_fd);
    }
    return error == -ENOTDIR ? -ENOENT : error;
}

/* ---- users ------------------------------------------------------------------------------------------ */

static bool covers(const struct file_place *place, const char *text)
{
    DATASTORE_PATH_AUTO(used);
    const char *rule = NULL;
    return text != NULL && datastore_path_parse(text, -1, &used, &rule) == 0 &&
           g_str_equal(used.datastore, place->datastore->name) && path_contains(place->path, used.path);
}

/* A file, or what stands beside it under the same name with another suffix. */
static bool covers_sibling(const struct file_place *place, const char *text, const char *suffix)
{
    DATASTORE_PATH_AUTO(used);
    const char *rule = NULL;
    if (text == NULL || datastore_path_parse(text, -1, &used, &rule) != 0) {
        return false;
    }
    g_autofree char *sibling = datastore_path_with_suffix(used.path, suffix);
    return g_str_equal(used.datastore, place->datastore->name) && path_contains(place->path, sibling);
}

/* A disk and all that it builds on. */
static bool covers_disk(const struct file_place *place, const struct VirtualDeviceBackingInfo *backing)
{
    while (backing != NULL && vim_is_a(backing, &VirtualDeviceFileBackingInfo_type)) {
        const char *name = ((const struct VirtualDeviceFileBackingInfo *)backing)->fileName;
        if (covers(place, name) || covers_sibling(place, name, DISK_IMAGE_DATA_SUFFIX) ||
            covers_sibling(place, name, DISK_IMAGE_FLAT_SUFFIX)) {
            return true;
        }
        backing = vim_is_a(backing, &VirtualDiskFlatVer2BackingInfo_type)
                      ? (const void *)((const struct VirtualDiskFlatVer2BackingInfo *)backing)->parent
                      : NULL;
    }
    return false;
}

static bool covers_file(const struct file_place *place, const struct VirtualMachineFileLayoutEx *layout,
                        int32_t key)
{
    for (uint32_t i = 0; i < layout->file.n; i++) {
        if (layout->file.items[i]->key == key && covers(place, layout->file.items[i]->name)) {
            return true;
        }
    }
    return false;
}

/* What a snapshot needs: its configuration, its memory, its disks and what they build on. */
static bool covers_snapshot(const struct file_place *place, const struct VirtualMachineFileLayoutEx *layout,
                            const struct VirtualMachineFileLayoutExSnapshotLayout *snapshot)
{
    bool found =
        covers_file(place, layout, snapshot->dataKey) || covers_file(place, layout, snapshot->memoryKey);
    for (uint32_t d = 0; d < snapshot->disk.n && !found; d++) {
        const struct VirtualMachineFileLayoutExDiskLayout *disk = snapshot->disk.items[d];
        for (uint32_t u = 0; u < disk->chain.n && !found; u++) {
            for (uint32_t k = 0; k < disk->chain.items[u]->fileKey.n && !found; k++) {
                found = covers_file(place, layout, disk->chain.items[u]->fileKey.items[k]);
            }
        }
    }
    return found;
}

/* (inventory lock) */
static bool uses(const struct VirtualMachine *machine, const struct file_place *place)
{
    static const char *const suffixes[] = {".nvram", VM_TPM_SUFFIX, ".vmsd", ".vmss", VM_LOCK_SUFFIX};
    const struct VirtualMachineConfigInfo *config = machine->config;
    bool off =
        machine->runtime != NULL && machine->runtime->powerState == VirtualMachinePowerState_poweredOff;
    if (config == NULL) {
        return false;
    }
    const char *vmx = config->files != NULL ? config->files->vmPathName : NULL;
    bool found = covers(place, vmx);
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes) && !found; i++) {
        found = covers_sibling(place, vmx, suffixes[i]);
    }
    const struct VirtualMachineFileLayoutEx *layout = machine->layoutEx; /* with what only snapshots name */
    for (uint32_t i = 0; layout != NULL && i < layout->snapshot.n && !found; i++) {
        found = covers_snapshot(place, layout, layout->snapshot.items[i]);
    }
    for (uint32_t i = 0; config->hardware != NULL && i < config->hardware->device.n && !found; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device, &VirtualDisk_type)) {
            found = covers_disk(place, device->backing);
        } else if (!off && vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
            found = covers(place, ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName);
        }
    }
    return found;
}

/* The ids of the machines that use it. */
static GPtrArray *find_users(struct host *host, const struct file_place *place, bool only_running)
{
    struct vim_inventory *inventory = host->server->inventory;
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    vim_read_lock(inventory);
    const struct Folder *folder = vim_inventory_find(inventory, HOST_VM_FOLDER_ID)->properties;
    for (uint32_t i = 0; i < folder->childEntity.n; i++) {
        const struct vim_object *object = vim_inventory_find(inventory, folder->childEntity.items[i].id);
        if (object == NULL || !vim_type_is(object->ref.type, &VirtualMachine_type)) {
            continue;
        }
        const struct VirtualMachine *machine = object->properties;
        bool runs =
            machine->runtime != NULL && machine->runtime->powerState == VirtualMachinePowerState_poweredOn;
        if ((!only_running || runs) && uses(machine, place)) {
            g_ptr_array_add(ids, g_strdup(object->ref.id));
        }
    }
    vim_read_unlock(inventory);
    return ids;
}

static struct vim_fault *check(struct host *host, const struct file_place *place, bool only_running)
{
    g_autoptr(GPtrArray) ids = find_users(host, place, only_running);
    return ids->len == 0 ? NULL
                         : fault_file_locked(place->text, "%s: the virtual machine %s uses it", place->text,
                                             (const char *)g_ptr_array_index(ids, 0));
}

struct vim_fault *files_check_unused(struct host *host, const struct file_place *place)
{
    struct vim_fault *fault = check(host, place, false);
    return fault != NULL ? fault : files_check_unlocked(place);
}

/* -EBUSY when another open file holds a lock of fcntl(2) on any byte. */
static int check_file_lock(int dir_fd, const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = -1;
    int error = file_open(dir_fd, name, O_RDONLY, 0, &fd);
    if (error != 0) {
        return error;
    }
    /* A file system without locks is one where nobody has any. */
    bool locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return locked ? -EBUSY : 0;
}

static int check_locks(int dir_fd, const char *name, int depth)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return -errno;
    }
    if (S_ISREG(st.st_mode)) {
        return check_file_lock(dir_fd, name);
    }
    int fd = -1;
    int error = S_ISDIR(st.st_mode) && depth < MAX_DEPTH
                    ? file_open(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, &fd)
                    : 0;
    DIR *dir = error == 0 && fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *at = NULL;
    while (error == 0 && dir != NULL && (at = readdir(dir)) != NULL) {
        if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0) {
            int one = check_locks(dirfd(dir), at->d_name, depth + 1);
            error =
                one == -EBUSY ? one : 0; /* what cannot be looked at is for the operation itself to tell */
        }
    }
    if (dir != NULL) {
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
    return error;
}

struct vim_fault *files_check_unlocked(const struct file_place *place)
{
    int parent_fd = -1;
    const char *name = NULL;
    if (file_open_parent(place->datastore->fd, place->path, &parent_fd, &name) != 0) {
        return NULL;
    }
    int error = check_locks(parent_fd, name, 0);
    close(parent_fd);
    return error == -EBUSY
               ? fault_file_locked(place->text, "%s is in use, by another host or program", place->text)
               : NULL;
}

struct vim_fault *files_check_not_open(struct host *host, const struct file_place *place)
{
    return check(host, place, true);
}

struct vim_fault *files_hold(struct host *host, struct vim_task *task, const struct file_place *place,
                             bool may_be_suspended, GPtrArray **ret)
{
    g_autoptr(GPtrArray) ids = find_users(host, place, false);
    GPtrArray *machines = g_ptr_array_new();
    struct vim_fault *fault = NULL;
    for (guint i = 0; i < ids->len && fault == NULL; i++) {
        struct vm *vm = vm_find(host, g_ptr_array_index(ids, i));
        if (vm == NULL) {
            continue; /* it is gone, and uses nothing */
        }
        fault = vm_begin(vm, task);
        if (fault != NULL) {
            vm_unref(vm);
            break;
        }
        g_ptr_array_add(machines, vm);
        enum VirtualMachinePowerState state = vm_power_state(vm);
        if (state != VirtualMachinePowerState_poweredOff &&
            (state != VirtualMachinePowerState_suspended || !may_be_suspended)) {
            fault = fault_file_locked(place->text, "%s: the virtual machine %s uses it and is %s",
                                      place->text, vm->id, VirtualMachinePowerState_type.values[state]);
        }
    }
    if (fault != NULL) {
        files_release(machines);
        return fault;
    }
    *ret = machines;
    return NULL;
}

void files_release(GPtrArray *machines)
{
    for (guint i = 0; machines != NULL && i < machines->len; i++) {
        struct vm *vm = g_ptr_array_index(machines, i);
        vm_end(vm);
        vm_unref(vm);
    }
    if (machines != NULL) {
        g_ptr_array_unref(machines);
    }
}

struct vim_fault *files_journal_begin(struct host *host, struct vim_task *task,
                                      const struct file_place *place)
{
    static const char *const suffixes[] = {DISK_IMAGE_DATA_SUFFIX, DISK_IMAGE_FLAT_SUFFIX};
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(paths, g_strdup(place->text));
    for (size_t i = 0; g_str_has_suffix(place->path, ".vmdk") && i < G_N_ELEMENTS(suffixes); i++) {
        g_ptr_array_add(paths, datastore_path_with_suffix(place->text, suffixes[i]));
    }
    int error = journal_begin(host, vim_task_ref(task)->id, JOURNAL_FILES, place->text, paths);
    return error == 0 ? NULL : host_state_fault(error, "the journal");
}

void files_journal_end(struct host *host, struct vim_task *task)
{
    (void)journal_end(host, vim_task_ref(task)->id);
}

/* ---- files in the making ---------------------------------------------------------------------------- */

/* Whether the name still leads to the opened file. */
static bool is_linked(int parent_fd, const char *name, int fd)
{
    struct stat by_name;
    struct stat by_fd;
    return fstatat(parent_fd, name, &by_name, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &by_fd) == 0 &&
           by_name.st_dev == by_fd.st_dev && by_name.st_ino == by_fd.st_ino;
}

static bool has_other_names(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink > 1;
}

/* One try: -EAGAIN when the file under the name was not ours to write over. */
static int open_locked(int parent_fd, const char *name, mode_t mode, int *ret_fd)
{
    int fd = -1;
    int error = file_open(parent_fd, name, O_RDWR | O_CREAT, mode, &fd);
    if (error != 0) {
        return error;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        error = errno == EWOULDBLOCK ? -EBUSY : -errno;
    } else if (!is_linked(parent_fd, name, fd)) {
        error = -EAGAIN; /* its writer has finished it since it was opened: the name is free, or another's */
    } else if (has_other_names(fd)) {
        (void)unlinkat(parent_fd, name, 0); /* under its other name it must keep its contents */
        error = -EAGAIN;
    } else if (ftruncate(fd, 0) != 0) {
        error = -errno;
    }
    if (error != 0) {
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

int new_file_begin(int dir_fd, const char *path, mode_t mode, struct new_file *ret)
{
    const char *name = NULL;
    int parent_fd = -1;
    int fd = -1;
    int error = file_open_parent(dir_fd, path, &parent_fd, &name);
    if (error != 0) {
        return error;
    }
    g_autofree char *new_name = g_strconcat(name, FILE_NEW_SUFFIX, NULL);
    error = -EAGAIN;
    for (int i = 0; i < BEGIN_TRIES && error == -EAGAIN; i++) {
        error = open_locked(parent_fd, new_name, mode, &fd);
    }
    if (error != 0) {
        close(parent_fd);
        return error == -EAGAIN ? -EBUSY : error;
    }
    *ret = (struct new_file){parent_fd, fd, g_strdup(name), g_steal_pointer(&new_name)};
    return 0;
}

int rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
    if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -errno;
    }
    /* A file system without that flag: a link replaces nothing either, but is for files alone. */
    if (linkat(from_fd, from, to_fd, to, 0) != 0) {
        return -errno;
    }
    return unlinkat(from_fd, from, 0) == 0 ? 0 : -errno;
}

int new_file_commit(struct new_file *file, bool replace)
{
    if (fsync(file->fd) != 0) {
        return -errno;
    }
    if (!is_linked(file->parent_fd, file->new_name, file->fd)) {
        return -ESTALE;
    }
    int error = 0;
    if (!replace) {
        error = rename_new(file->parent_fd, file->new_name, file->parent_fd, file->name);
    } else if (renameat(file->parent_fd, file->new_name, file->parent_fd, file->name) != 0) {
        error = -errno;
    }
    if (error == 0) {
        g_clear_pointer(&file->new_name, g_free);
        error = fsync(file->parent_fd) == 0 ? 0 : -errno;
    }
    return error;
}

void new_file_end(struct new_file *file)
{
    if (file->fd >= 0 && file->new_name != NULL && is_linked(file->parent_fd, file->new_name, file->fd)) {
        (void)unlinkat(file->parent_fd, file->new_name, 0);
    }
    if (file->fd >= 0) {
        close(file->fd);
        close(file->parent_fd);
    }
    g_free(file->name);
    g_free(file->new_name);
    *file = (struct new_file)NEW_FILE_INIT;
}

/* ---- copying ---------------------------------------------------------------------------------------- */

static int write_block(int fd, const char *data, size_t length, off_t offset)
{
    while (length > 0) {
        ssize_t n = pwrite(fd, data, length, offset);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            data += n;
            length -= (size_t)n;
            offset += n;
        }
    }
    return 0;
}

/* Copies up to length bytes through memory. Returns how many, 0 at the end of the file, or an error. */
static ssize_t copy_by_hand(int from_fd, int to_fd, off_t offset, size_t length)
{
    g_autofree char *data = g_malloc(COPY_BUFFER_BYTES);
    ssize_t n = 0;
    do {
        n = pread(from_fd, data, MIN(length, (size_t)COPY_BUFFER_BYTES), offset);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return n < 0 ? -errno : 0;
    }
    int error = write_block(to_fd, data, (size_t)n, offset);
    return error != 0 ? error : n;
}

/* The same by the kernel, which may share the blocks. */
static ssize_t copy_some(int from_fd, int to_fd, off_t offset, size_t length)
{
    off_t from = offset;
    off_t to = offset;
    ssize_t n = copy_file_range(from_fd, &from, to_fd, &to, MIN(length, (size_t)COPY_CHUNK_BYTES), 0);
    if (n > 0) {
        return n;
    }
    if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP &&
        errno != EINTR) {
        return -errno;
    }
    return copy_by_hand(from_fd, to_fd, offset, length);
}

/* Where data begin and end from offset on; both are `size` when no more come. */
static void next_data(int fd, off_t offset, off_t size, off_t *ret_begin, off_t *ret_end)
{
    off_t begin = lseek(fd, offset, SEEK_DATA);
    if (begin < 0) {
        begin = errno == ENXIO ? size : offset; /* else the file system does not know: all is data */
        *ret_end = size;
    } else {
        off_t end = lseek(fd, begin, SEEK_HOLE);
        *ret_end = end < 0 || end > size ? size : end;
    }
    *ret_begin = MIN(begin, size);
    *ret_end = MAX(*ret_end, *ret_begin);
}

static void show_progress(struct copy_progress *progress, int64_t bytes)
{
    progress->done_bytes += bytes;
    if (progress->total_bytes > 0) {
        /* 100 is for the end of the task. */
        double part = (double)progress->done_bytes / (double)progress->total_bytes;
        vim_task_progress(progress->task, (int)(99 * MIN(part, 1)));
    }
}

int file_copy_data(int from_fd, int to_fd, struct copy_progress *progress)
{
    struct stat st;
    off_t at = 0;
    if (fstat(from_fd, &st) != 0) {
        return -errno;
    }
    while (at < st.st_size) {
        off_t begin = 0;
        off_t end = 0;
        next_data(from_fd, at, st.st_size, &begin, &end);
        show_progress(progress, begin - at);
        at = begin;
        while (at < end) {
            if (vim_task_is_cancelled(progress->task)) {
                return -ECANCELED;
            }
            ssize_t n = copy_some(from_fd, to_fd, at, (size_t)(end - at));
            if (n <= 0) {
                return n < 0 ? (int)n : -EAGAIN; /* somebody made it shorter meanwhile */
            }
            show_progress(progress, n);
            at += n;
        }
    }
    return ftruncate(to_fd, st.st_size) == 0 ? 0 : -errno;
}

struct vim_fault *file_copy_fault(const char *path, int error, const char *what)
{
    if (error == -ECANCELED) {
        return fault_request_canceled("the copy was cancelled; nothing of it is left");
    }
    return host_file_fault(path, error, what);
}
