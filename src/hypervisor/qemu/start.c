// SPDX-License-Identifier: Apache-2.0
/*
 * A power on: from a configuration and open files to a guest that runs.
 *
 *   reserve the id and a user slot > run folder, sockets > files > command line > child that waits
 *   > record > QEMU, stopped > monitor > (saved state) > links > the guest runs > record
 *
 * Where the server dies in between: before the record the child ends by itself; after it and before the
 * guest runs, the next server kills the process (it is recorded as starting and is not running); from
 * then on it adopts it. Any failure undoes all of it.
 */
#include "hypervisor/qemu/board.h"
#include "hypervisor/qemu/command.h"
#include "hypervisor/qemu/qemu.h"
#include "hypervisor/qemu/qmp.h"
#include "vim/types.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    GREETING_MS = 60000,    /* until a fresh QEMU must answer; a large memory takes its time */
    DEATH_NOTICE_MS = 2000, /* between the end of its monitor and its death */
    FIRST_UID = 0x70000000, /* beyond what people, services and containers are given */
    SLOTS_MAX = 65536,      /* and as many for TPMs */
};

/* What is gathered for one start. */
struct launch {
    struct qemu *qemu;
    struct qemu_vm *vm;
    const struct hypervisor_start *start;
    GArray *fds;      /* int, owned: what QEMU gets, in order of its numbers from PROCESS_FIRST_FD */
    GArray *files;    /* struct qemu_file */
    GPtrArray *names; /* their fd_name, owned */
    int tpm_fd;       /* the TPM's end of its pair of sockets, owned, or -1 */
    char **ret_message;
};

int qemu_reopen(int fd, int access, int *ret_fd)
{
    char path[64];
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0) {
        return -errno;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int opened = open(path, access | O_CLOEXEC | O_NOCTTY);
    if (opened < 0 && (flags & O_ACCMODE) == (access & O_ACCMODE)) {
        opened = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* it came from elsewhere, and we may not open it ourselves */
    }
    if (opened < 0) {
        return -errno;
    }
    *ret_fd = opened;
    return 0;
}

int qemu_reopen_file(const struct hypervisor_file *file, bool parent, int *ret_fd, char **ret_message)
{
    bool read_only = file->read_only || parent;
    int flags = fcntl(file->fd, F_GETFL);

    if (flags >= 0 && !read_only && (flags & O_ACCMODE) != O_RDWR) {
        return hypervisor_fail(ret_message, -EBADF, "the file of device %d is not open for writing",
                               file->device_key);
    }
    int error = qemu_reopen(file->fd, read_only ? O_RDONLY : O_RDWR, ret_fd);
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the file of device %d cannot be opened: %s",
                               file->device_key, g_strerror(-error));
    }
    return 0;
}

/* Takes fd over and notes it as one that QEMU gets. */
static void pass(struct launch *launch, int fd, int32_t key, const char *format, bool read_only)
{
    int number = PROCESS_FIRST_FD + (int)launch->fds->len;
    char *name = g_strdup_printf("%d", number);
    struct qemu_file file = {
        .device_key = key,
        .fdset = number,
        .fd_name = name,
        .read_only = read_only,
        .format = format,
    };

    g_array_append_val(launch->fds, fd);
    g_ptr_array_add(launch->names, name);
    g_array_append_val(launch->files, file);
}

int qemu_vm_listen(struct qemu_vm *vm, const char *name, int *ret_fd, char **ret_message)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", vm->folder_fd, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || (unlinkat(vm->folder_fd, name, 0) < 0 && errno != ENOENT) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
        int error = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return hypervisor_fail(ret_message, error, "the socket %s cannot be made: %s", name,
                               g_strerror(-error));
    }
    *ret_fd = fd;
    return 0;
}

/* A socket in the run folder that QEMU will serve. Connecting to it works from now on. */
static int pass_listener(struct launch *launch, int32_t key, const char *name)
{
    int fd = -1;

    int error = qemu_vm_listen(launch->vm, name, &fd, launch->ret_message);
    if (error == 0) {
        pass(launch, fd, key, "socket", false);
    }
    return error;
}

/* The run folder. The monitor's socket comes first: it marks the folder as ours. */
static int make_folder(struct launch *launch)
{
    struct qemu_vm *vm = launch->vm;

    if (mkdirat(launch->qemu->run_dir_fd, vm->id, 0700) < 0) {
        int error = -errno;
        return hypervisor_fail(launch->ret_message, error,
                               error == -EEXIST
                                   ? "a process of an earlier server still holds this virtual machine"
                                   : "the run folder cannot be made: %s",
                               g_strerror(-error));
    }
    vm->folder_fd = openat(launch->qemu->run_dir_fd, vm->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (vm->folder_fd < 0) {
        return hypervisor_fail(launch->ret_message, -errno, "the run folder cannot be opened: %s",
                               g_strerror(errno));
    }
    return pass_listener(launch, 0, QEMU_MONITOR_SOCKET);
}

/* A copy in memory that QEMU's own user may read: a kernel is opened by path, with the file's permissions,
 * and not by descriptor as everything else. */
static int copy_for_user(int fd, uid_t uid, int *ret_fd)
{
    struct stat status;

    int copy = memfd_create("tenkyu-kernel", MFD_CLOEXEC);
    if (copy < 0 || fstat(fd, &status) < 0) {
        goto failed;
    }
    for (off_t at = 0; at < status.st_size;) {
        if (sendfile(copy, fd, &at, (size_t)(status.st_size - at)) <= 0) {
            goto failed;
        }
    }
    if (fchmod(copy, 0400) < 0 || fchown(copy, uid, uid) < 0) {
        goto failed;
    }
    *ret_fd = copy;
    return 0;

failed:;
    int error = errno != 0 ? -errno : -EIO;
    if (copy >= 0) {
        close(copy);
    }
    return error;
}

static uid_t user_of(const struct qemu_vm *vm)
{
    return vm->record.slot >= 0 ? (uid_t)(FIRST_UID + vm->record.slot) : 0;
}

static int pass_kernel(struct launch *launch, const struct hypervisor_file *file)
{
    uid_t uid = user_of(launch->vm);
    struct stat status;
    int fd = -1;

    int error = fstat(file->fd, &status) < 0 ? -errno : 0;
    if (error == 0 && uid != 0 && (status.st_mode & S_IROTH) == 0) {
        error = copy_for_user(file->fd, uid, &fd);
    } else if (error == 0) {
        error = qemu_reopen(file->fd, O_RDONLY, &fd);
    }
    if (error != 0) {
        return hypervisor_fail(launch->ret_message, error, "the kernel or initrd cannot be read: %s",
                               g_strerror(-error));
    }
    pass(launch, fd, file->device_key, "raw", true);
    return 0;
}

static const struct VirtualDevice *find_device(const struct VirtualMachineConfigInfo *config, int32_t key)
{
    for (uint32_t i = 0; config->hardware != NULL && i < config->hardware->device.n; i++) {
        if (config->hardware->device.items[i]->key == key) {
            return config->hardware->device.items[i];
        }
    }
    return NULL;
}

/* Keeps the folder with a TPM's state for its process, and gives QEMU one end of the pair between them. */
static int pass_tpm(struct launch *launch, const struct hypervisor_file *file)
{
    int sockets[2];

    launch->vm->tpm_folder_fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    if (launch->vm->tpm_folder_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) {
        return hypervisor_fail(launch->ret_message, -errno, "the TPM cannot be connected: %s",
                               g_strerror(errno));
    }
    launch->tpm_fd = sockets[1];
    pass(launch, sockets[0], file->device_key, "socket", false);
    return 0;
}

/* The code of the EFI firmware, which every virtual machine only reads. */
static int pass_firmware(struct launch *launch)
{
    const struct VirtualMachineConfigInfo *config = launch->start->config;
    const struct qemu_capabilities *capabilities = &launch->qemu->capabilities;
    const char *path = qemu_board_is_secure(config) ? capabilities->firmware_secure : capabilities->firmware;

    if (!qemu_board_is_efi(config)) {
        return 0;
    }
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return hypervisor_fail(launch->ret_message, path != NULL ? -errno : -ENOTSUP,
                               "there is no EFI firmware here; Debian has it in the package ovmf");
    }
    pass(launch, fd, QEMU_KEY_FIRMWARE, "raw", true);
    return 0;
}

static int pass_file(struct launch *launch, size_t index)
{
    const struct hypervisor_file *file = &launch->start->files[index];
    const struct VirtualDevice *device = find_device(launch->start->config, file->device_key);
    int fd = -1, error;

    if (file->device_key == HYPERVISOR_KEY_KERNEL || file->device_key == HYPERVISOR_KEY_INITRD) {
        return pass_kernel(launch, file);
    }
    if (vim_is_a(device, &VirtualTPM_type)) {
        return pass_tpm(launch, file);
    }
    if (device == NULL && file->device_key != HYPERVISOR_KEY_NVRAM) {
        return hypervisor_fail(launch->ret_message, -EINVAL,
                               "there is a file for device %d, which there is not", file->device_key);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type) || g_strcmp0(file->format, "socket") == 0) {
        fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
        error = fd < 0 ? -errno : 0;
    } else if (vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualParallelPort_type)) {
        bool port = vim_is_a(device->backing, &VirtualDeviceDeviceBackingInfo_type);
        error = qemu_reopen(file->fd, port ? O_RDWR | O_NONBLOCK : O_WRONLY | O_APPEND, &fd);
    } else {
        bool parent = false;
        for (size_t i = 0; i < index; i++) {
            parent = parent || launch->start->files[i].device_key == file->device_key;
        }
        error = qemu_reopen_file(file, parent, &fd, launch->ret_message);
        if (error != 0) {
            return error;
        }
    }
    if (error != 0) {
        return hypervisor_fail(launch->ret_message, error, "the file of device %d cannot be used: %s",
                               file->device_key, g_strerror(-error));
    }
    pass(launch, fd, file->device_key, file->format, file->read_only);
    return 0;
}

/* Whether the host has given a file for the device. */
static bool has_file(const struct launch *launch, int32_t key)
{
    for (size_t i = 0; i < launch->start->n_files; i++) {
        if (launch->start->files[i].device_key == key) {
            return true;
        }
    }
    return false;
}

static int pass_files(struct launch *launch)
{
    const struct VirtualHardware *hardware = launch->start->config->hardware;
    int error = 0;

    for (size_t i = 0; i < launch->start->n_files && error == 0; i++) {
        error = pass_file(launch, i);
    }
    for (uint32_t i = 0; hardware != NULL && i < hardware->device.n && error == 0; i++) {
        const struct VirtualDevice *device = hardware->device.items[i];
        if (qemu_serial_is_socket(device) && !has_file(launch, device->key)) {
            g_autofree char *name = g_strdup_printf(QEMU_SERIAL_SOCKET, device->key);
            error = pass_listener(launch, device->key, name);
        }
    }
    if (error == 0) {
        error = pass_firmware(launch);
    }
    return error != 0 ? error : pass_listener(launch, HYPERVISOR_KEY_GUEST_AGENT, "agent.sock");
}

/* The lock, which QEMU has open and knows nothing of: the kernel ends it with the process. */
static int pass_lock(struct launch *launch)
{
    if (launch->start->lock_fd < 0) {
        return 0;
    }
    int fd = fcntl(launch->start->lock_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return hypervisor_fail(launch->ret_message, -errno, "the lock cannot be passed on: %s",
                               g_strerror(errno));
    }
    g_array_append_val(launch->fds, fd);
    return 0;
}

/* Where QEMU's messages go: to the caller's log, or into the run folder. */
static int open_output(struct launch *launch, int *ret_fd)
{
    struct qemu_vm *vm = launch->vm;
    struct stat status;

    int fd = launch->start->log_fd >= 0
                 ? fcntl(launch->start->log_fd, F_DUPFD_CLOEXEC, 0)
                 : openat(vm->folder_fd, QEMU_OUTPUT_FILE, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return hypervisor_fail(launch->ret_message, -errno, "the log cannot be opened: %s",
                               g_strerror(errno));
    }
    vm->record.output_offset = fstat(fd, &status) == 0 ? status.st_size : 0;
    if (qemu_reopen(fd, O_RDONLY | O_NONBLOCK, &vm->output_fd) != 0) {
        vm->output_fd = -1; /* without it, a death has no better reason than a signal or exit code */
    }
    *ret_fd = fd;
    return 0;
}

static int64_t boottime_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Makes the process and its record, in this order of safety: child, record, QEMU. */
static int run(struct launch *launch, char **argv)
{
    struct qemu_vm *vm = launch->vm;
    int output_fd = -1;

    int error = open_output(launch, &output_fd);
    if (error != 0) {
        return error;
    }
    struct process_spec spec = {
        .program = launch->qemu->program,
        .argv = argv,
        .fds = (const int *)launch->fds->data,
        .n_fds = launch->fds->len,
        .cwd_fd = vm->folder_fd,
        .output_fd = output_fd,
        .uid = user_of(vm),
        .extra_gid = launch->qemu->kvm ? launch->qemu->kvm_gid : 0,
    };
    if (launch->tpm_fd >= 0) {
        uid_t tpm_uid = spec.uid != 0 ? spec.uid + SLOTS_MAX : 0;
        error = qemu_tpm_fork(vm, launch->tpm_fd, output_fd, tpm_uid, launch->ret_message);
        close(launch->tpm_fd);
        launch->tpm_fd = -1;
    }
    if (error == 0) {
        error = process_fork(&spec, &vm->process, launch->ret_message);
    }
    close(output_fd);
    if (error != 0) {
        return error;
    }
    vm->record.phase = RECORD_STARTING;
    vm->record.pid = vm->process.pid;
    vm->record.start_ticks = vm->process.start_ticks;
    vm->record.tpm_pid = vm->tpm.pid;
    vm->record.tpm_start_ticks = vm->tpm.start_ticks;
    vm->record.started_ms = boottime_ms();
    error = record_write(vm->folder_fd, &vm->record);
    if (error != 0) {
        return hypervisor_fail(launch->ret_message, error, "the process cannot be recorded: %s",
                               g_strerror(-error));
    }
    if (vm->tpm.pidfd >= 0) {
        error = process_go(&vm->tpm, launch->ret_message);
    }
    return error != 0 ? error : process_go(&vm->process, launch->ret_message);
}

/* Pulls the cables of the adapters that are not to be connected. */
static int set_links(struct launch *launch)
{
    const struct VirtualHardware *hardware = launch->start->config->hardware;
    bool resuming = launch->start->state_fd >= 0;

    for (uint32_t i = 0; i < hardware->device.n; i++) {
        const struct VirtualDevice *device = hardware->device.items[i];
        const struct VirtualDeviceConnectInfo *connectable = device->connectable;
        if (!vim_is_a(device, &VirtualEthernetCard_type) || connectable == NULL ||
            (resuming ? connectable->connected : connectable->startConnected)) {
            continue;
        }
        int error = qemu_vm_set_link(launch->vm, device->key, false, launch->ret_message);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* From a process to a running guest. */
static int bring_up(struct launch *launch)
{
    struct qemu_vm *vm = launch->vm;

    int error = qemu_vm_connect(vm, GREETING_MS, launch->ret_message);
    if (error == 0 && launch->start->state_fd >= 0) {
        error = qemu_vm_load_state(vm, launch->start->state_fd, launch->ret_message);
    }
    if (error == 0) {
        error = set_links(launch);
    }
    if (error == 0) {
        error = qemu_vm_execute(vm, "cont", NULL, launch->ret_message);
    }
    if (error == 0) {
        vm->record.phase = RECORD_RUNNING;
        vm->record.started_ms = boottime_ms();
        error = record_write(vm->folder_fd, &vm->record);
    }
    return error;
}

/* Ends a process that did not come up. When it died by itself, its last words are the best message. */
static void give_up(struct launch *launch, int error)
{
    struct qemu_vm *vm = launch->vm;

    if (vm->process.pidfd < 0) {
        return;
    }
    if (vm->process.control_fd >= 0) {
        close(vm->process.control_fd); /* it waits for us, and ends when we hang up */
        vm->process.control_fd = -1;
    } else if ((error == -ECONNRESET || error == -ECONNREFUSED) &&
               process_wait(&vm->process, DEATH_NOTICE_MS) == 0) {
        char *words = qemu_vm_last_words(vm);
        if (words != NULL) {
            g_free(*launch->ret_message);
            *launch->ret_message = words;
        }
    }
    process_kill(&vm->process);
    process_wait(&vm->process, QEMU_DEATH_MS);
    process_reap(&vm->process, NULL, NULL);
}

static int launch_all(struct launch *launch)
{
    g_auto(GStrv) argv = NULL;

    int error = make_folder(launch);
    if (error == 0) {
        error = pass_files(launch);
    }
    if (error == 0) {
        error = pass_lock(launch);
    }
    if (error != 0) {
        return error;
    }
    struct qemu_command command = {
        .program = launch->qemu->program,
        .config = launch->start->config,
        .files = (const struct qemu_file *)launch->files->data,
        .n_files = launch->files->len,
        .qmp_fd = PROCESS_FIRST_FD,
        .kvm = launch->qemu->kvm,
        .incoming = launch->start->state_fd >= 0,
        .guest = launch->start->guest,
    };
    error = qemu_command_build(&command, &argv, launch->ret_message);
    if (error == 0) {
        error = run(launch, argv);
    }
    /* QEMU alone has its sockets from now on, so that they end when it does. */
    g_array_set_size(launch->fds, 0);
    if (error == 0) {
        error = bring_up(launch);
    }
    return error;
}

static void close_fd(void *fd)
{
    close(*(int *)fd);
}

/* Puts the virtual machine into the table, where others do not see it yet, with a user of its own. */
static int reserve(struct qemu *qemu, struct qemu_vm *vm, char **ret_message)
{
    int32_t slot = 0;

    g_mutex_lock(&qemu->lock);
    if (g_hash_table_contains(qemu->vms, vm->id)) {
        g_mutex_unlock(&qemu->lock);
        return hypervisor_fail(ret_message, -EEXIST, "the virtual machine runs already");
    }
    while (qemu->own_users && slot < SLOTS_MAX && g_hash_table_contains(qemu->slots, GINT_TO_POINTER(slot))) {
        slot++;
    }
    if (slot == SLOTS_MAX) {
        g_mutex_unlock(&qemu->lock);
        return hypervisor_fail(ret_message, -EUSERS, "there is no user left for the process");
    }
    if (qemu->own_users) {
        vm->record.slot = slot;
        g_hash_table_add(qemu->slots, GINT_TO_POINTER(slot));
    }
    g_hash_table_insert(qemu->vms, vm->id, qemu_vm_ref(vm));
    g_mutex_unlock(&qemu->lock);
    return 0;
}

int qemu_start(struct hypervisor *hv, const struct hypervisor_start *start, char **ret_message)
{
    struct qemu *qemu = (struct qemu *)hv;
    g_autoptr(qemu_vm) vm = qemu_vm_new(qemu, start->id);
    struct launch launch = {.qemu = qemu, .vm = vm, .start = start, .ret_message = ret_message, .tpm_fd = -1};

    int error = reserve(qemu, vm, ret_message);
    if (error != 0) {
        return error;
    }
    launch.fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_array_set_clear_func(launch.fds, close_fd);
    launch.files = g_array_new(FALSE, FALSE, sizeof(struct qemu_file));
    launch.names = g_ptr_array_new_with_free_func(g_free);
    error = launch_all(&launch);
    g_array_unref(launch.fds);
    g_array_unref(launch.files);
    g_ptr_array_unref(launch.names);
    if (launch.tpm_fd >= 0) {
        close(launch.tpm_fd);
    }
    if (error == 0) {
        qemu_vm_publish(vm, 0);
        return 0;
    }
    give_up(&launch, error);
    qemu_tpm_end(vm);
    if (vm->folder_fd >= 0) {
        qemu_vm_tidy(vm);
    }
    g_mutex_lock(&qemu->lock);
    g_hash_table_remove(qemu->vms, vm->id);
    g_hash_table_remove(qemu->slots, GINT_TO_POINTER(vm->record.slot));
    g_mutex_unlock(&qemu->lock);
    return error;
}
