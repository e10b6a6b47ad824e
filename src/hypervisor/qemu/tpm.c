// SPDX-License-Identifier: Apache-2.0
/*
 * The TPM of a virtual machine: a process of swtpm, one for each machine that has one.
 *
 *   QEMU --- a pair of sockets, commands and the data channel that QEMU hands over --- swtpm --- state folder
 *
 * It is confined as QEMU is (no privileges, a user of its own that is not QEMU's, swtpm's own list of system
 * calls), and reaches nothing but its end of the pair and the folder. It ends by itself when QEMU does, however
 * that ends, since the other end of the pair is QEMU's alone; the record names it so that whoever buries QEMU
 * can wait for that, even after a restart of the server. The folder belongs to its user while it runs.
 */
#include "hypervisor/qemu/qemu.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TPM_END_MS = 2000, /* until one whose QEMU is gone is killed: it takes some 5 ms */
    TPM_CONTROL_FD = PROCESS_FIRST_FD,
    TPM_FOLDER_FD = PROCESS_FIRST_FD + 1,
};

/* Gives the folder and the files in it to a user. */
static int own_folder(int folder_fd, uid_t uid)
{
    int error = 0;
    int list_fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;

    if (dir == NULL || fchown(folder_fd, uid, uid) < 0) {
        error = -errno;
    }
    for (const struct dirent *entry = NULL; error == 0 && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || entry->d_name[1] == '.')) {
            continue;
        }
        if (fchownat(folder_fd, entry->d_name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0) {
            error = -errno;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    } else if (list_fd >= 0) {
        close(list_fd);
    }
    return error;
}

int qemu_tpm_fork(struct qemu_vm *vm, int control_fd, int output_fd, uid_t uid, char **ret_message)
{
    g_autofree char *control = g_strdup_printf("type=unixio,clientfd=%d", TPM_CONTROL_FD);
    g_autofree char *state = g_strdup_printf("dir=/proc/self/fd/%d,mode=0600", TPM_FOLDER_FD);
    char *argv[] = {vm->qemu->capabilities.swtpm,
                    (char *)"socket",
                    (char *)"--tpm2",
                    (char *)"--terminate",
                    (char *)"--ctrl",
                    control,
                    (char *)"--tpmstate",
                    state,
                    NULL};
    const int fds[] = {control_fd, vm->tpm_folder_fd};

    if (vm->qemu->capabilities.swtpm == NULL) {
        return hypervisor_fail(ret_message, -ENOTSUP, "swtpm, which is the TPM, is not installed");
    }
    int error = uid != 0 ? own_folder(vm->tpm_folder_fd, uid) : 0;
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the state of the TPM cannot be given to its process: %s",
                               g_strerror(-error));
    }
    struct process_spec spec = {
        .program = vm->qemu->capabilities.swtpm,
        .argv = argv,
        .fds = fds,
        .n_fds = G_N_ELEMENTS(fds),
        .cwd_fd = vm->folder_fd,
        .output_fd = output_fd,
        .uid = uid,
    };
    return process_fork(&spec, &vm->tpm, ret_message);
}

void qemu_tpm_adopt(struct qemu_vm *vm)
{
    if (vm->record.tpm_pid < 2 ||
        process_open(vm->record.tpm_pid, vm->record.tpm_start_ticks, &vm->tpm) != 0) {
        return;
    }
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int)vm->record.tpm_pid, TPM_FOLDER_FD);
    vm->tpm_folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void qemu_tpm_end(struct qemu_vm *vm)
{
    if (vm->tpm.control_fd >= 0) {
        close(vm->tpm.control_fd); /* it waits to be told to begin, and ends when we hang up */
        vm->tpm.control_fd = -1;
    }
    if (vm->tpm.pidfd >= 0 && process_wait(&vm->tpm, TPM_END_MS) != 0) {
        process_kill(&vm->tpm);
        process_wait(&vm->tpm, QEMU_DEATH_MS);
    }
    if (vm->tpm.pidfd >= 0) {
        process_reap(&vm->tpm, NULL, NULL);
        process_close(&vm->tpm);
    }
    if (vm->tpm_folder_fd >= 0) {
        if (vm->qemu->own_users) {
            own_folder(vm->tpm_folder_fd, 0); /* a later machine may get the user of this one */
        }
        close(vm->tpm_folder_fd);
        vm->tpm_folder_fd = -1;
    }
}
