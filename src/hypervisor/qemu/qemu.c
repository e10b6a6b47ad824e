// SPDX-License-Identifier: Apache-2.0
/*
 * The QEMU backend: opening, adopting, the table of virtual machines, their events and their deaths. See
 * qemu.h for the other files and the locks.
 */
#include "hypervisor/qemu/block.h"
#include "hypervisor/qemu/qemu.h"

#include "base/file.h"
#include "hypervisor/qemu/device.h"
#include "hypervisor/qemu/kvm_probe.h"
#include "hypervisor/qemu/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    KVM_PROBE_MS = 500,
    ADOPT_MS = 5000, /* until a monitor that does not answer is given up */
    MAX_CPUS = 255,  /* what the 440BX board takes */
    LAST_WORDS_BYTES = 4096,
    WATCH_EVENTS = 32,
};

/* JSON and QMP */

struct json_object *qemu_json(const char *name, ...)
{
    struct json_object *object = json_object_new_object();
    va_list pairs;

    va_start(pairs, name);
    while (name != NULL) {
        json_object_object_add(object, name, json_object_new_string(va_arg(pairs, const char *)));
        name = va_arg(pairs, const char *);
    }
    va_end(pairs);
    return object;
}

const char *qemu_json_string(struct json_object *object, const char *name)
{
    struct json_object *member;

    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &member) ||
        !json_object_is_type(member, json_type_string)) {
        return "";
    }
    return json_object_get_string(member);
}

static bool member_is_true(struct json_object *object, const char *name)
{
    struct json_object *member;
    return object != NULL && json_object_object_get_ex(object, name, &member) &&
           json_object_get_boolean(member);
}

int qemu_vm_query(struct qemu_vm *vm, const char *command, struct json_object *arguments,
                  struct json_object **ret, char **ret_message)
{
    return qmp_execute(vm->qmp, command, arguments, NULL, 0, QEMU_COMMAND_MS, ret, ret_message);
}

int qemu_vm_execute(struct qemu_vm *vm, const char *command, struct json_object *arguments,
                    char **ret_message)
{
    return qmp_execute(vm->qmp, command, arguments, NULL, 0, QEMU_COMMAND_MS, NULL, ret_message);
}

int qemu_vm_execute_fd(struct qemu_vm *vm, const char *command, struct json_object *arguments, int fd,
                       char **ret_message)
{
    return qmp_execute(vm->qmp, command, arguments, &fd, 1, QEMU_COMMAND_MS, NULL, ret_message);
}

/* Events of QEMU, on the reader thread of the virtual machine's monitor */

static void push(struct qemu_vm *vm, const struct hypervisor_event *event)
{
    event_queue_push(vm->qemu->events, vm->id, event);
}

static void on_state(struct qemu_vm *vm, enum hypervisor_vm_state state)
{
    struct hypervisor_event event = {.kind = HYPERVISOR_EVENT_STATE, .state = state};

    g_mutex_lock(&vm->lock);
    if (vm->state != HYPERVISOR_VM_GONE) {
        vm->state = state;
    }
    if (state == HYPERVISOR_VM_RUNNING) {
        vm->resumed_us = g_get_monotonic_time();
    }
    g_cond_broadcast(&vm->changed);
    g_mutex_unlock(&vm->lock);
    push(vm, &event);
}

static void on_shutdown(struct qemu_vm *vm, struct json_object *arguments)
{
    struct hypervisor_event event = {.kind = HYPERVISOR_EVENT_GUEST_SHUTDOWN, .state = HYPERVISOR_VM_RUNNING};

    if (!member_is_true(arguments, "guest")) {
        return;
    }
    g_mutex_lock(&vm->lock);
    vm->expected = true;
    g_mutex_unlock(&vm->lock);
    push(vm, &event);
}

static void on_io_error(struct qemu_vm *vm, struct json_object *arguments)
{
    bool stopped = strcmp(qemu_json_string(arguments, "action"), "stop") == 0;
    struct hypervisor_event event = {
        .kind = HYPERVISOR_EVENT_IO_ERROR,
        .state = stopped ? HYPERVISOR_VM_PAUSED : HYPERVISOR_VM_RUNNING,
        .device_key = qemu_node_key(qemu_json_string(arguments, "node-name")),
        .no_space = member_is_true(arguments, "nospace"),
        .reason = qemu_json_string(arguments, "reason"),
    };
    push(vm, &event);
}

static void on_device(struct qemu_vm *vm, GHashTable *set, struct json_object *arguments)
{
    const char *device = qemu_json_string(arguments, "device");

    if (device[0] == '\0') {
        return; /* virtio reports its inner device too, which has no id */
    }
    g_mutex_lock(&vm->lock);
    g_hash_table_add(set, g_strdup(device));
    g_cond_broadcast(&vm->changed);
    g_mutex_unlock(&vm->lock);
}

static void on_migration(struct qemu_vm *vm, struct json_object *arguments)
{
    g_mutex_lock(&vm->lock);
    g_free(vm->migration);
    vm->migration = g_strdup(qemu_json_string(arguments, "status"));
    g_cond_broadcast(&vm->changed);
    g_mutex_unlock(&vm->lock);
}

static void on_event(void *data, const char *name, struct json_object *arguments)
{
    struct qemu_vm *vm = data;

    if (strcmp(name, "STOP") == 0) {
        on_state(vm, HYPERVISOR_VM_PAUSED);
    } else if (strcmp(name, "RESUME") == 0) {
        on_state(vm, HYPERVISOR_VM_RUNNING);
    } else if (strcmp(name, "RESET") == 0) {
        struct hypervisor_event event = {.kind = HYPERVISOR_EVENT_RESET, .state = HYPERVISOR_VM_RUNNING};
        push(vm, &event);
    } else if (strcmp(name, "SHUTDOWN") == 0) {
        on_shutdown(vm, arguments);
    } else if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
        on_io_error(vm, arguments);
    } else if (strcmp(name, "DEVICE_DELETED") == 0) {
        on_device(vm, vm->deleted, arguments);
    } else if (strcmp(name, "DEVICE_UNPLUG_GUEST_ERROR") == 0) {
        on_device(vm, vm->not_deleted, arguments);
    } else if (strcmp(name, "MIGRATION") == 0) {
        on_migration(vm, arguments);
    } else if (strcmp(name, "JOB_STATUS_CHANGE") == 0) {
        g_mutex_lock(&vm->lock);
        vm->job_changes++;
        g_cond_broadcast(&vm->changed);
        g_mutex_unlock(&vm->lock);
    }
}

/* Virtual machines */

struct qemu_vm *qemu_vm_new(struct qemu *qemu, const char *id)
{
    struct qemu_vm *vm = g_new0(struct qemu_vm, 1);

    g_atomic_ref_count_init(&vm->references);
    vm->qemu = qemu;
    vm->id = g_strdup(id);
    vm->folder_fd = -1;
    vm->output_fd = -1;
    vm->process.pidfd = -1;
    vm->process.control_fd = -1;
    vm->tpm.pidfd = -1;
    vm->tpm.control_fd = -1;
    vm->tpm_folder_fd = -1;
    vm->record.slot = -1;
    vm->held_fdset = -1;
    vm->state = HYPERVISOR_VM_PAUSED;
    g_mutex_init(&vm->lock);
    g_cond_init(&vm->changed);
    vm->deleted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    vm->not_deleted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return vm;
}

struct qemu_vm *qemu_vm_ref(struct qemu_vm *vm)
{
    g_atomic_ref_count_inc(&vm->references);
    return vm;
}

void qemu_vm_unref(struct qemu_vm *vm)
{
    if (vm == NULL || !g_atomic_ref_count_dec(&vm->references)) {
        return;
    }
    qmp_free(vm->qmp);
    process_close(&vm->process);
    process_close(&vm->tpm);
    if (vm->tpm_folder_fd >= 0) {
        close(vm->tpm_folder_fd);
    }
    if (vm->output_fd >= 0) {
        close(vm->output_fd);
    }
    if (vm->folder_fd >= 0) {
        close(vm->folder_fd);
    }
    g_hash_table_unref(vm->deleted);
    g_hash_table_unref(vm->not_deleted);
    g_mutex_clear(&vm->lock);
    g_cond_clear(&vm->changed);
    g_free(vm->migration);
    g_free(vm->id);
    g_free(vm);
}

struct qemu_vm *qemu_find(struct hypervisor *hv, const char *id)
{
    struct qemu *qemu = (struct qemu *)hv;

    g_mutex_lock(&qemu->lock);
    struct qemu_vm *vm = g_hash_table_lookup(qemu->vms, id);
    if (vm != NULL) {
        g_mutex_lock(&vm->lock);
        bool visible = vm->started;
        g_mutex_unlock(&vm->lock);
        vm = visible ? qemu_vm_ref(vm) : NULL;
    }
    g_mutex_unlock(&qemu->lock);
    return vm;
}

int qemu_vm_connect(struct qemu_vm *vm, int timeout_ms, char **ret_message)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct qmp_handler handler = {.event = on_event, .data = vm};

    /* By way of the folder's descriptor, since the address is too short for any path. */
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" QEMU_MONITOR_SOCKET,
             vm->folder_fd);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return hypervisor_fail(ret_message, error, "QEMU's monitor cannot be reached: %s",
                               g_strerror(-error));
    }
    return qmp_new(fd, &handler, timeout_ms, &vm->qmp, ret_message);
}

void qemu_vm_publish(struct qemu_vm *vm, enum hypervisor_vm_state state)
{
    struct epoll_event watch = {.events = EPOLLIN, .data = {.ptr = vm}};

    g_mutex_lock(&vm->lock);
    vm->started = true;
    if (state != 0) {
        vm->state = state;
    }
    g_mutex_unlock(&vm->lock);
    epoll_ctl(vm->qemu->epoll_fd, EPOLL_CTL_ADD, vm->process.pidfd, &watch);
}

/* What a line of QEMU says to people: without its name, and without the option that it complains about,
 * which may be a page of JSON. NULL for a line that is a warning, or none of QEMU's. */
static const char *message_of(const char *line)
{
    static const char name[] = "qemu-system-x86_64: ";
    const char *text = strstr(line, name);

    if (text == NULL || strstr(line, "warning: ") != NULL) {
        return NULL;
    }
    text += strlen(name);
    const char *after_json = text[0] == '-' ? strstr(text, "}: ") : NULL;
    return after_json != NULL ? after_json + strlen("}: ") : text;
}

char *qemu_vm_last_words(const struct qemu_vm *vm)
{
    char text[LAST_WORDS_BYTES + 1];
    struct stat status;

    if (vm->output_fd < 0 || fstat(vm->output_fd, &status) < 0) {
        return NULL;
    }
    off_t start = MAX(status.st_size - LAST_WORDS_BYTES, vm->record.output_offset);
    ssize_t n = pread(vm->output_fd, text, LAST_WORDS_BYTES, MAX(start, 0));
    if (n <= 0) {
        return NULL;
    }
    text[n] = '\0';
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *last = NULL, *before = NULL; /* the cause often stands in the line before */
    for (guint i = 0; lines[i] != NULL; i++) {
        const char *message = message_of(lines[i]);
        if (message != NULL) {
            before = last;
            last = message;
        }
    }
    if (last == NULL) {
        return NULL;
    }
    g_autofree char *joined = before != NULL ? g_strconcat(before, "; ", last, NULL) : g_strdup(last);
    return g_utf8_make_valid(joined, -1);
}

void qemu_vm_tidy(struct qemu_vm *vm)
{
    struct qemu *qemu = vm->qemu;

    file_remove_tree(qemu->run_dir_fd, vm->id);
    g_mutex_lock(&qemu->lock);
    if (vm->record.slot >= 0) {
        g_hash_table_remove(qemu->slots, GINT_TO_POINTER(vm->record.slot));
    }
    g_mutex_unlock(&qemu->lock);
}

/* Deaths, on the watcher thread */

/* Why it ended, for people; NULL when that was asked for. */
static char *death_reason(struct qemu_vm *vm, bool expected)
{
    bool signalled = false;
    int code = 0;

    int error = process_reap(&vm->process, &signalled, &code);
    if (expected) {
        return NULL;
    }
    /* Somebody's kill is its own reason; before an abort or an exit, QEMU says why. */
    bool killed = error == 0 && signalled && code != SIGABRT;
    char *reason = killed ? NULL : qemu_vm_last_words(vm);
    if (reason == NULL && error == 0) {
        reason = signalled ? g_strdup_printf("QEMU was ended by signal %d (%s)", code, strsignal(code))
                           : g_strdup_printf("QEMU ended with exit code %d", code);
    }
    return reason != NULL ? reason : g_strdup("QEMU ended");
}

static void bury(struct qemu_vm *vm)
{
    struct qemu *qemu = vm->qemu;

    epoll_ctl(qemu->epoll_fd, EPOLL_CTL_DEL, vm->process.pidfd, NULL);
    qmp_join(vm->qmp); /* what QEMU said last comes before the news of its end */
    g_mutex_lock(&vm->lock);
    bool expected = vm->expected;
    g_mutex_unlock(&vm->lock);
    g_autofree char *reason = death_reason(vm, expected);
    qemu_tpm_end(vm);
    qemu_vm_tidy(vm);
    struct hypervisor_event event = {
        .kind = HYPERVISOR_EVENT_GONE,
        .state = HYPERVISOR_VM_GONE,
        .reason = reason,
    };
    /* Whoever hears of the end may start it again at once. */
    g_mutex_lock(&qemu->lock);
    g_hash_table_steal(qemu->vms, vm->id);
    g_mutex_unlock(&qemu->lock);
    push(vm, &event);
    g_mutex_lock(&vm->lock);
    vm->state = HYPERVISOR_VM_GONE;
    g_cond_broadcast(&vm->changed);
    g_mutex_unlock(&vm->lock);
    qemu_vm_unref(vm); /* the table's */
}

static gpointer watcher_main(gpointer data)
{
    struct qemu *qemu = data;
    struct epoll_event events[WATCH_EVENTS];

    for (;;) {
        int n = epoll_wait(qemu->epoll_fd, events, WATCH_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                return NULL;
            }
            bury(events[i].data.ptr);
        }
    }
}

/* Adopting */

/* Ends what an earlier server left behind and did not finish, and tidies. */
static void end_leftover(struct qemu_vm *vm)
{
    process_kill(&vm->process);
    if (process_wait(&vm->process, QEMU_DEATH_MS) == 0) {
        process_reap(&vm->process, NULL, NULL);
        qemu_tpm_end(vm);
        qemu_vm_tidy(vm);
    }
}

/* The state of a process that answers, or 0 when its guest never ran. */
static enum hypervisor_vm_state ask_state(struct qemu_vm *vm)
{
    struct json_object *reply = NULL;
    enum hypervisor_vm_state state = HYPERVISOR_VM_PAUSED;

    if (qemu_vm_query(vm, "query-status", NULL, &reply, NULL) != 0) {
        return state;
    }
    const char *status = qemu_json_string(reply, "status");
    if (strcmp(status, "running") == 0) {
        state = HYPERVISOR_VM_RUNNING;
    } else if (vm->record.phase == RECORD_STARTING) {
        state = 0;
    }
    json_object_put(reply);
    return state;
}

/* Where QEMU's messages go is known only to the process itself. */
static void reopen_output(struct qemu_vm *vm)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/2", (int)vm->process.pid);
    vm->output_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* Removes a run folder whose process is dead or never was. One without a record is ours only if there is a
 * monitor's socket in it, or nothing: whatever else lies there, somebody else put it there. */
static void tidy_folder(struct qemu_vm *vm, bool has_record)
{
    if (has_record || faccessat(vm->folder_fd, QEMU_MONITOR_SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        qemu_vm_tidy(vm);
    } else {
        unlinkat(vm->qemu->run_dir_fd, vm->id, AT_REMOVEDIR);
    }
}

/* Connects to the virtual machine of a run folder. Returns false when there is none to connect to. A
 * process that lives and does not answer is neither adopted nor touched: its guest may well be at work. */
static bool adopt(struct qemu *qemu, struct qemu_vm *vm)
{
    g_autofree char *message = NULL;

    vm->folder_fd = openat(qemu->run_dir_fd, vm->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (vm->folder_fd < 0) {
        return false;
    }
    int error = record_read(vm->folder_fd, &vm->record);
    if (error == 0) {
        qemu_tpm_adopt(vm);
        error = process_open(vm->record.pid, vm->record.start_ticks, &vm->process);
    }
    if (error == -ENOENT || error == -EPROTO || error == -ESTALE || error == -ESRCH) {
        /* No record, no process: the child of a start ends by itself when its record was not written. */
        qemu_tpm_end(vm);
        tidy_folder(vm, error == -ESTALE || error == -ESRCH);
    }
    if (error != 0) {
        return false; /* and for any other reason, such as too many open files, nothing is touched */
    }
    reopen_output(vm);
    error = qemu_vm_connect(vm, ADOPT_MS, &message);
    if (error != 0) {
        if (vm->record.phase == RECORD_STARTING) {
            end_leftover(vm);
        }
        return false;
    }
    if (vm->record.phase == RECORD_SUSPENDING) {
        g_autofree char *why = NULL;
        qemu_vm_abandon_suspend(vm, &why);
    }
    enum hypervisor_vm_state state = ask_state(vm);
    if (state == 0) {
        end_leftover(vm);
        return false;
    }
    if (vm->record.phase != RECORD_HELD) {
        vm->record.phase = RECORD_RUNNING;
        record_write(vm->folder_fd, &vm->record);
    }
    g_mutex_lock(&qemu->lock);
    g_hash_table_insert(qemu->vms, vm->id, qemu_vm_ref(vm));
    g_mutex_unlock(&qemu->lock);
    qemu_vm_publish(vm, state);
    return true;
}

/* The names in the run folder. */
static GPtrArray *list_run_dir(struct qemu *qemu)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", qemu->run_dir_fd);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        g_ptr_array_add(names, g_strdup(name));
    }
    return names;
}

static char **qemu_adopt(struct hypervisor *hv)
{
    struct qemu *qemu = (struct qemu *)hv;
    g_autoptr(GPtrArray) names = list_run_dir(qemu);
    GPtrArray *adopted = g_ptr_array_new();

    for (guint i = 0; i < names->len; i++) {
        const char *id = g_ptr_array_index(names, i);
        g_mutex_lock(&qemu->lock);
        bool known = g_hash_table_contains(qemu->vms, id);
        g_mutex_unlock(&qemu->lock);
        if (known) {
            continue;
        }
        g_autoptr(qemu_vm) vm = qemu_vm_new(qemu, id);
        if (adopt(qemu, vm)) {
            g_ptr_array_add(adopted, g_strdup(id));
        }
    }
    g_ptr_array_add(adopted, NULL);
    return (char **)g_ptr_array_free(adopted, FALSE);
}

static int qemu_get_state(struct hypervisor *hv, const char *id, enum hypervisor_vm_state *ret)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);

    if (vm == NULL) {
        return -ENOENT;
    }
    g_mutex_lock(&vm->lock);
    *ret = vm->state;
    g_mutex_unlock(&vm->lock);
    return 0;
}

/* Opening and closing */

static void qemu_free(struct hypervisor *hv)
{
    struct qemu *qemu = (struct qemu *)hv;
    const uint64_t one = 1;

    if (qemu->watcher != NULL) {
        TEMP_FAILURE_RETRY(write(qemu->stop_fd, &one, sizeof(one)));
        g_thread_join(qemu->watcher);
    }
    g_clear_pointer(&qemu->vms, g_hash_table_unref); /* ends the readers, which push events */
    if (qemu->events != NULL) {
        event_queue_free(qemu->events);
    }
    g_clear_pointer(&qemu->slots, g_hash_table_unref);
    int fds[] = {qemu->run_dir_fd, qemu->epoll_fd, qemu->stop_fd};
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    g_mutex_clear(&qemu->lock);
    g_free(qemu->program);
    g_free(qemu->version);
    qemu_capabilities_clear(&qemu->capabilities);
    g_free(qemu);
}

static int qemu_check_machine(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                              char **ret_message)
{
    return qemu_capabilities_check_machine(&((struct qemu *)hv)->capabilities, config, ret_message);
}

static int qemu_check_device(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                             const struct VirtualDevice *device, char **ret_message)
{
    return qemu_capabilities_check_device(&((struct qemu *)hv)->capabilities, config, device, ret_message);
}

static int qemu_open_nvram_template(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                                    int *ret_fd, char **ret_message)
{
    const char *path = ((struct qemu *)hv)->capabilities.variables;
    int error = qemu_check_machine(hv, config, ret_message);

    if (error != 0) {
        return error;
    }
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (path != NULL && fd < 0) {
        return hypervisor_fail(ret_message, -errno, "%s cannot be opened: %s", path, g_strerror(errno));
    }
    *ret_fd = fd;
    return 0;
}

static const struct hypervisor_ops qemu_ops = {
    .free = qemu_free,
    .adopt = qemu_adopt,
    .get_state = qemu_get_state,
    .check_machine = qemu_check_machine,
    .check_device = qemu_check_device,
    .open_nvram_template = qemu_open_nvram_template,
    .start = qemu_start,
    .stop = qemu_stop,
    .reset = qemu_reset,
    .pause = qemu_pause,
    .unpause = qemu_unpause,
    .press_power = qemu_press_power,
    .suspend = qemu_suspend,
    .send_keys = qemu_send_keys,
    .screenshot = qemu_screenshot,
    .open_screen = qemu_open_screen,
    .open_serial = qemu_open_serial,
    .plug = qemu_plug,
    .unplug = qemu_unplug,
    .get_devices = qemu_get_devices,
    .change_medium = qemu_change_medium,
    .change_port = qemu_change_port,
    .set_link = qemu_set_link,
    .resize_disk = qemu_resize_disk,
    .get_images = qemu_get_images,
    .snapshot = qemu_snapshot,
    .commit = qemu_commit,
    .release = qemu_release,
    .get_stats = qemu_get_stats,
    .get_device_stats = qemu_get_device_stats,
};

/* Finds QEMU and its version: "QEMU emulator version 7.2.22 (Debian ...)". */
static int find_program(struct qemu *qemu, char **ret_message)
{
    g_autofree char *output = NULL;
    char version[32];

    qemu->program = g_find_program_in_path("qemu-system-x86_64");
    if (qemu->program == NULL) {
        return hypervisor_fail(ret_message, -ENOENT, "qemu-system-x86_64 is not installed");
    }
    char *argv[] = {qemu->program, (char *)"--version", NULL};
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &output, NULL, NULL, NULL) ||
        sscanf(output, "QEMU emulator version %31s", version) != 1) {
        return hypervisor_fail(ret_message, -EIO, "%s does not tell its version", qemu->program);
    }
    qemu->version = g_strdup(version);
    return 0;
}

/* Whether QEMU's own users may open the device, and by which group. */
static bool users_reach_kvm(struct qemu *qemu)
{
    struct stat status;

    if (stat("/dev/kvm", &status) < 0) {
        return false;
    }
    if (!qemu->own_users || (status.st_mode & 06) == 06) {
        return true;
    }
    if ((status.st_mode & 060) == 060 && status.st_gid != 0) {
        qemu->kvm_gid = status.st_gid;
        return true;
    }
    return false;
}

static int choose_accelerator(struct qemu *qemu, const char *wanted, char **ret_message)
{
    g_autofree char *reason = NULL;

    if (wanted == NULL) {
        qemu->kvm = users_reach_kvm(qemu) && kvm_probe("/dev/kvm", KVM_PROBE_MS, &reason) == 0;
        return 0;
    }
    qemu->kvm = strcmp(wanted, "kvm") == 0;
    if (!qemu->kvm && strcmp(wanted, "tcg") != 0) {
        return hypervisor_fail(ret_message, -EINVAL, "there is no accelerator %s, only kvm and tcg", wanted);
    }
    if (qemu->kvm && !users_reach_kvm(qemu)) {
        return hypervisor_fail(ret_message, -EACCES, "/dev/kvm is not there, or its group may not open it");
    }
    return 0;
}

static int open_run_dir(struct qemu *qemu, const char *path, char **ret_message)
{
    int error = file_mkdir(AT_FDCWD, path, 0700);

    if (error == 0) {
        qemu->run_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        error = qemu->run_dir_fd < 0 ? -errno : 0;
    }
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the run folder %s cannot be opened: %s", path,
                               g_strerror(-error));
    }
    if (flock(qemu->run_dir_fd, LOCK_EX | LOCK_NB) < 0) {
        return hypervisor_fail(ret_message, -EBUSY, "another server uses the run folder %s", path);
    }
    return 0;
}

/* The users of earlier virtual machines are taken until they are adopted and end, or tidied away. */
static void reserve_slots(struct qemu *qemu)
{
    g_autoptr(GPtrArray) names = list_run_dir(qemu);

    for (guint i = 0; i < names->len; i++) {
        struct record record;
        int fd = openat(qemu->run_dir_fd, g_ptr_array_index(names, i), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && record_read(fd, &record) == 0 && record.slot >= 0) {
            g_hash_table_add(qemu->slots, GINT_TO_POINTER(record.slot));
        }
        if (fd >= 0) {
            close(fd);
        }
    }
}

static int start_watcher(struct qemu *qemu, char **ret_message)
{
    struct epoll_event stop = {.events = EPOLLIN, .data = {.ptr = NULL}};

    qemu->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    qemu->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (qemu->epoll_fd < 0 || qemu->stop_fd < 0 ||
        epoll_ctl(qemu->epoll_fd, EPOLL_CTL_ADD, qemu->stop_fd, &stop) < 0) {
        return hypervisor_fail(ret_message, -errno, "deaths cannot be watched: %s", g_strerror(errno));
    }
    qemu->watcher = g_thread_new("hv-watcher", watcher_main, qemu);
    return 0;
}

static void unref_vm(void *data)
{
    qemu_vm_unref(data);
}

int hypervisor_qemu_new(const struct hypervisor_options *options, struct hypervisor **ret, char **ret_message)
{
    g_autofree char *message = NULL;
    struct qemu *qemu = g_new0(struct qemu, 1);

    qemu->base.ops = &qemu_ops;
    qemu->run_dir_fd = qemu->epoll_fd = qemu->stop_fd = -1;
    qemu->own_users = geteuid() == 0;
    g_mutex_init(&qemu->lock);
    qemu->vms = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unref_vm);
    qemu->slots = g_hash_table_new(NULL, NULL);
    qemu->events = event_queue_new(options->event, options->event_data);
    int error = find_program(qemu, &message);
    if (error == 0) {
        error = qemu_capabilities_load(qemu->program, &qemu->capabilities, &message);
    }
    if (error == 0) {
        error = choose_accelerator(qemu, options->accelerator, &message);
    }
    if (error == 0) {
        error = open_run_dir(qemu, options->run_dir, &message);
    }
    if (error == 0) {
        reserve_slots(qemu);
        error = start_watcher(qemu, &message);
    }
    if (error != 0) {
        qemu_free(&qemu->base);
        if (ret_message != NULL) {
            *ret_message = g_steal_pointer(&message);
        }
        return error;
    }
    qemu->base.info = (struct hypervisor_info){
        .name = "qemu",
        .version = qemu->version,
        .accelerator = qemu->kvm ? "kvm" : "tcg",
        .max_cpus = MAX_CPUS,
    };
    *ret = &qemu->base;
    return 0;
}
