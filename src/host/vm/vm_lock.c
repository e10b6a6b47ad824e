// SPDX-License-Identifier: Apache-2.0
/*
 * The lock on a virtual machine's files: of several hosts on one datastore, only one changes a machine or
 * runs it.
 *
 * It is a lock (fcntl(2), of the open file description) on name.vmx.lck beside the .vmx. An operation holds it
 * while it lasts (vm_begin); a power on hands the descriptor to the machine's process, and so the machine stays
 * locked as long as that lives, whatever becomes of the host's program. The file tells people who has it.
 *
 * Who finishes with a machine that does not run removes the file, while he holds the lock; who has locked a file
 * that has lost its name by then opens the name again. One that a crash leaves is locked by nobody and in
 * nobody's way.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/vm/vm.h"

enum {
    TRIES = 10,
    OWNER_MAX = 256, /* bytes of the file that are told */
};

/* The lock file: its folder and name. */
struct lock_place {
    int folder_fd;    /* owned */
    char *path;       /* owned */
    const char *name; /* in path */
};

static int open_place(struct vm *vm, struct lock_place *ret)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    VIM_FAULT_AUTO fault = host_resolve(vm->host, vm->vmx_path, "vmPathName", &datastore, &path);
    if (fault != NULL) {
        return -ENOENT;
    }
    ret->path = datastore_path_with_suffix(path, VM_LOCK_SUFFIX);
    int error = file_open_parent(datastore->fd, ret->path, &ret->folder_fd, &ret->name);
    if (error != 0) {
        g_clear_pointer(&ret->path, g_free);
    }
    return error;
}

static void close_place(struct lock_place *place)
{
    close(place->folder_fd);
    g_free(place->path);
}

static bool has_name(const struct lock_place *place, int fd)
{
    struct stat by_name;
    struct stat by_fd;
    return fstatat(place->folder_fd, place->name, &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(fd, &by_fd) == 0 && by_name.st_dev == by_fd.st_dev && by_name.st_ino == by_fd.st_ino;
}

/* Locks the file under the name; flags 0 or O_CREAT. *ret_owner is set with -EBUSY. */
static int lock_file(const struct lock_place *place, int flags, int *ret_fd, char **ret_owner)
{
    for (int i = 0; i < TRIES; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = -1;
        int error = file_open(place->folder_fd, place->name, O_RDWR | flags, 0644, &fd);
        if (error != 0) {
            return error;
        }
        if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
            error = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
            char owner[OWNER_MAX + 1] = {0};
            ssize_t n = pread(fd, owner, OWNER_MAX, 0);
            owner[n > 0 ? n : 0] = '\0';
            *ret_owner = g_utf8_make_valid(g_strchomp(owner), -1);
            close(fd);
            return error;
        }
        if (has_name(place, fd)) {
            *ret_fd = fd;
            return 0;
        }
        close(fd); /* removed by the one before us */
    }
    return -EBUSY;
}

struct vim_fault *vm_lock_take(struct vm *vm)
{
    struct lock_place place = {.folder_fd = -1};
    g_autofree char *owner = NULL;
    int fd = -1;
    if (vm->invented || vm->lock_fd >= 0) {
        return NULL;
    }
    if (vm->lock_fault != NULL) {
        return vim_fault_copy(vm->lock_fault);
    }
    int error = open_place(vm, &place);
    if (error == 0) {
        error = lock_file(&place, O_CREAT, &fd, &owner);
        close_place(&place);
    }
    if (error != 0) {
        return error == -EBUSY ? fault_file_locked(vm->vmx_path, "%s is in use by %s", vm->vmx_path,
                                                   owner != NULL ? owner : "another host")
                               : host_file_fault(vm->vmx_path, error, "it cannot be locked");
    }
    g_autofree char *text = g_strdup_printf("host %s, virtual machine %s\n",
                                            vm->host->name != NULL ? vm->host->name : "", vm->id);
    error = ftruncate(fd, 0) == 0 ? file_write_all(fd, text, strlen(text)) : -errno;
    if (error != 0) {
        close(fd);
        return host_file_fault(vm->vmx_path, error, "it cannot be locked");
    }
    vm->lock_fd = fd;
    return NULL;
}

void vm_lock_release(struct vm *vm, bool runs)
{
    struct lock_place place = {.folder_fd = -1};
    g_autofree char *owner = NULL;
    vim_fault_free(g_steal_pointer(&vm->lock_fault));
    if (vm->invented) {
        return;
    }
    if (!runs && open_place(vm, &place) == 0) {
        /* After a power off the process had it until now. */
        if (vm->lock_fd >= 0 || lock_file(&place, 0, &vm->lock_fd, &owner) == 0) {
            if (has_name(&place, vm->lock_fd)) {
                (void)unlinkat(place.folder_fd, place.name, 0);
            }
        }
        close_place(&place);
    }
    if (vm->lock_fd >= 0) {
        close(vm->lock_fd);
        vm->lock_fd = -1;
    }
}
