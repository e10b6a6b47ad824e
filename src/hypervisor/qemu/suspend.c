// SPDX-License-Identifier: Apache-2.0
/*
 * Saving a virtual machine's state into a file and loading it: QEMU's migration, with the guest stopped.
 *
 *   stop > migrate > completed > sync > end of the process
 *              └> failed or cancelled > the guest runs on
 *
 * The guest is stopped before the first page is written. That is not only simple: TCG of QEMU before 9
 * loses pages of a guest that runs while it is migrated when its memory is a multiple of 256 KiB, which
 * ours always is. Of a stopped guest there is nothing to lose.
 *
 * If the server dies in the middle, the record says so, and the next one lets the guest run on.
 */
#include "hypervisor/qemu/qemu.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

enum {
    POLL_MS = 100, /* between questions for progress; the end is told by an event */
    CANCEL_MS = 10000,
};

#define BANDWIDTH_MAX (INT64_C(1) << 40) /* bytes a second: no limit, where QEMU's default is 128 MiB */

/* Switches a capability of migrations. */
static int set_capability(struct qemu_vm *vm, const char *name, bool on, char **ret_message)
{
    struct json_object *capability = qemu_json("capability", name, NULL);
    struct json_object *capabilities = json_object_new_array();
    struct json_object *arguments = json_object_new_object();

    json_object_object_add(capability, "state", json_object_new_boolean(on));
    json_object_array_add(capabilities, capability);
    json_object_object_add(arguments, "capabilities", capabilities);
    return qemu_vm_execute(vm, "migrate-set-capabilities", arguments, ret_message);
}

int qemu_vm_set_background(struct qemu_vm *vm, bool on, char **ret_message)
{
    return set_capability(vm, "background-snapshot", on, ret_message);
}

/* Makes QEMU tell when a migration ends, and not hold it back. */
static int prepare(struct qemu_vm *vm, char **ret_message)
{
    int error = set_capability(vm, "events", true, ret_message);
    if (error != 0) {
        return error;
    }
    struct json_object *arguments = json_object_new_object();
    json_object_object_add(arguments, "max-bandwidth", json_object_new_int64(BANDWIDTH_MAX));
    error = qemu_vm_execute(vm, "migrate-set-parameters", arguments, ret_message);
    g_mutex_lock(&vm->lock);
    g_clear_pointer(&vm->migration, g_free);
    g_mutex_unlock(&vm->lock);
    return error;
}

static bool is_end(const char *status)
{
    return g_strcmp0(status, "completed") == 0 || g_strcmp0(status, "failed") == 0 ||
           g_strcmp0(status, "cancelled") == 0;
}

/* Waits up to POLL_MS for the event of the end. */
static bool wait_end(struct qemu_vm *vm)
{
    int64_t end_us = g_get_monotonic_time() + POLL_MS * 1000;

    g_mutex_lock(&vm->lock);
    while (!is_end(vm->migration) && vm->state != HYPERVISOR_VM_GONE &&
           g_cond_wait_until(&vm->changed, &vm->lock, end_us)) {
    }
    bool end = is_end(vm->migration);
    g_mutex_unlock(&vm->lock);
    return end;
}

static int64_t get_int(struct json_object *object, const char *name)
{
    struct json_object *member;
    return json_object_object_get_ex(object, name, &member) ? json_object_get_int64(member) : 0;
}

/* How far a migration is, in percent, from query-migrate's answer. */
static int percent_of(struct json_object *reply)
{
    struct json_object *ram;

    if (!json_object_object_get_ex(reply, "ram", &ram)) {
        return 0;
    }
    int64_t total = get_int(ram, "total"), left = get_int(ram, "remaining");
    return total > 0 && left >= 0 && left <= total ? (int)((total - left) / (total / 99 + 1)) : 0;
}

/* Waits for the end of a migration in either direction; `verb` is what it does. *ret_cancelled: progress
 * wanted no more. */
static int wait_migration(struct qemu_vm *vm, const char *verb, hypervisor_progress_fn progress, void *data,
                          bool *ret_cancelled, char **ret_message)
{
    for (;;) {
        struct json_object *reply = NULL;
        bool end = wait_end(vm);
        int error = qemu_vm_query(vm, "query-migrate", NULL, &reply, ret_message);
        if (error != 0) {
            return error;
        }
        const char *status = qemu_json_string(reply, "status");
        bool completed = strcmp(status, "completed") == 0;
        if (completed || end || is_end(status)) {
            const char *why = qemu_json_string(reply, "error-desc");
            if (!completed) {
                error = hypervisor_fail(ret_message, -EIO, "the state cannot be %s: %s", verb,
                                        why[0] != '\0' ? why : status);
            }
            json_object_put(reply);
            return error;
        }
        int percent = percent_of(reply);
        json_object_put(reply);
        if (progress != NULL && !progress(data, percent)) {
            *ret_cancelled = true;
            return hypervisor_fail(ret_message, -ECANCELED, "saving the memory was cancelled");
        }
    }
}

/* Cancels a migration, if there still is one, and waits until there is none. */
static void cancel(struct qemu_vm *vm)
{
    int64_t give_up_us = g_get_monotonic_time() + CANCEL_MS * 1000;

    if (qemu_vm_execute(vm, "migrate_cancel", NULL, NULL) != 0) {
        return;
    }
    while (g_get_monotonic_time() < give_up_us) {
        struct json_object *reply = NULL;
        if (qemu_vm_query(vm, "query-migrate", NULL, &reply, NULL) != 0) {
            return;
        }
        const char *status = qemu_json_string(reply, "status");
        bool end = status[0] == '\0' || is_end(status);
        json_object_put(reply);
        if (end) {
            return;
        }
        wait_end(vm);
    }
}

int qemu_vm_set_phase(struct qemu_vm *vm, enum record_phase phase, char **ret_message)
{
    vm->record.phase = phase;
    int error = record_write(vm->folder_fd, &vm->record);
    return error == 0 ? 0
                      : hypervisor_fail(ret_message, error, "the process cannot be recorded: %s",
                                        g_strerror(-error));
}

int qemu_vm_prepare_state(struct qemu_vm *vm, int fd, char **ret_message)
{
    if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        return hypervisor_fail(ret_message, -errno, "the state's file cannot be used: %s", g_strerror(errno));
    }
    int error = prepare(vm, ret_message);
    return error != 0 ? error
                      : qemu_vm_execute_fd(vm, "getfd", qemu_json("fdname", "state", NULL), fd, ret_message);
}

int qemu_vm_save_state(struct qemu_vm *vm, hypervisor_progress_fn progress, void *data, char **ret_message)
{
    bool cancelled = false;

    int error = qemu_vm_execute(vm, "migrate", qemu_json("uri", "fd:state", NULL), ret_message);
    if (error == 0) {
        error = wait_migration(vm, "saved", progress, data, &cancelled, ret_message);
    }
    if (cancelled) {
        cancel(vm);
    }
    return error;
}

/* Writes the state of the stopped guest. */
static int save(struct qemu_vm *vm, int fd, hypervisor_progress_fn progress, void *data, char **ret_message)
{
    /* An earlier server may have died while it saved in the background. */
    int error = qemu_vm_set_background(vm, false, ret_message);
    if (error == 0) {
        error = qemu_vm_prepare_state(vm, fd, ret_message);
    }
    if (error == 0) {
        error = qemu_vm_save_state(vm, progress, data, ret_message);
    }
    if (error == 0 && fsync(fd) < 0) {
        error = hypervisor_fail(ret_message, -errno, "the state cannot be saved: %s", g_strerror(errno));
    }
    return error;
}

int qemu_suspend(struct hypervisor *hv, const char *id, int fd, hypervisor_progress_fn progress, void *data,
                 char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);

    if (vm == NULL) {
        return -ENOENT;
    }
    g_mutex_lock(&vm->lock);
    bool was_running = vm->state == HYPERVISOR_VM_RUNNING;
    g_mutex_unlock(&vm->lock);
    int error = was_running ? qemu_vm_set_phase(vm, RECORD_SUSPENDING, ret_message) : 0;
    if (error == 0) {
        error = qemu_vm_execute(vm, "stop", NULL, ret_message);
    }
    if (error == 0) {
        error = save(vm, fd, progress, data, ret_message);
    }
    if (error == 0) {
        if (progress != NULL) {
            progress(data, 100);
        }
        return qemu_vm_end(vm, ret_message);
    }
    if (was_running) {
        g_autofree char *message = NULL; /* the first failure is the one to tell of */
        qemu_vm_execute(vm, "cont", NULL, NULL);
        qemu_vm_set_phase(vm, RECORD_RUNNING, &message);
    }
    return error;
}

int qemu_vm_load_state(struct qemu_vm *vm, int fd, char **ret_message)
{
    bool cancelled = false;

    if (lseek(fd, 0, SEEK_SET) < 0) {
        return hypervisor_fail(ret_message, -errno, "the saved state cannot be read: %s", g_strerror(errno));
    }
    int error = prepare(vm, ret_message);
    if (error == 0) {
        error = qemu_vm_execute_fd(vm, "getfd", qemu_json("fdname", "state", NULL), fd, ret_message);
    }
    if (error == 0) {
        error = qemu_vm_execute(vm, "migrate-incoming", qemu_json("uri", "fd:state", NULL), ret_message);
    }
    return error == 0 ? wait_migration(vm, "loaded", NULL, NULL, &cancelled, ret_message) : error;
}

/* Whether the migration that is under way lets the guest run. */
static bool is_background(struct qemu_vm *vm)
{
    struct json_object *capabilities = NULL, *state = NULL;
    bool on = false;

    if (qemu_vm_query(vm, "query-migrate-capabilities", NULL, &capabilities, NULL) != 0) {
        return false;
    }
    size_t n =
        json_object_is_type(capabilities, json_type_array) ? json_object_array_length(capabilities) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *capability = json_object_array_get_idx(capabilities, i);
        if (strcmp(qemu_json_string(capability, "capability"), "background-snapshot") == 0 &&
            json_object_object_get_ex(capability, "state", &state)) {
            on = json_object_get_boolean(state);
        }
    }
    json_object_put(capabilities);
    return on;
}

int qemu_vm_abandon_suspend(struct qemu_vm *vm, char **ret_message)
{
    /* One in the background ends by itself: QEMU 7.2 can hang when it is cancelled. See snapshot.c. */
    if (!is_background(vm)) {
        cancel(vm);
    }
    return qemu_vm_execute(vm, "cont", NULL, ret_message);
}
