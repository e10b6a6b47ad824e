// SPDX-License-Identifier: Apache-2.0
/*
 * What is done to a running virtual machine as a whole: end, reset, pause, power button, screen and serial
 * ports. The functions have the contracts of hypervisor.h.
 */
#include "hypervisor/qemu/device.h"
#include "hypervisor/qemu/qemu.h"
#include "hypervisor/qemu/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Waits until the watcher has buried it. */
static bool wait_buried(struct qemu_vm *vm, int timeout_ms)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;

    g_mutex_lock(&vm->lock);
    while (vm->state != HYPERVISOR_VM_GONE && g_cond_wait_until(&vm->changed, &vm->lock, end_us)) {
    }
    bool gone = vm->state == HYPERVISOR_VM_GONE;
    g_mutex_unlock(&vm->lock);
    return gone;
}

int qemu_vm_end(struct qemu_vm *vm, char **ret_message)
{
    g_mutex_lock(&vm->lock);
    vm->expected = true;
    g_mutex_unlock(&vm->lock);
    /* Asked to quit, QEMU closes its disks in order, in some milliseconds: caches and dirty bitmaps are
     * written. One that hangs on a disk is killed instead. */
    int error = qmp_execute(vm->qmp, "quit", NULL, NULL, 0, QEMU_QUIT_MS, NULL, NULL);
    if ((error == 0 || error == -ECONNRESET) && wait_buried(vm, QEMU_QUIT_MS)) {
        return 0;
    }
    error = process_kill(&vm->process);
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the process cannot be killed: %s", g_strerror(-error));
    }
    if (!wait_buried(vm, QEMU_DEATH_MS)) {
        return hypervisor_fail(ret_message, -ETIMEDOUT, "the process was killed and does not end");
    }
    return 0;
}

int qemu_stop(struct hypervisor *hv, const char *id, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    return vm == NULL ? -ENOENT : qemu_vm_end(vm, ret_message);
}

/* Runs a command without arguments on the virtual machine. */
static int command(struct hypervisor *hv, const char *id, const char *name, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    return vm == NULL ? -ENOENT : qemu_vm_execute(vm, name, NULL, ret_message);
}

int qemu_reset(struct hypervisor *hv, const char *id, char **ret_message)
{
    return command(hv, id, "system_reset", ret_message);
}

int qemu_pause(struct hypervisor *hv, const char *id, char **ret_message)
{
    return command(hv, id, "stop", ret_message);
}

int qemu_unpause(struct hypervisor *hv, const char *id, char **ret_message)
{
    return command(hv, id, "cont", ret_message);
}

int qemu_press_power(struct hypervisor *hv, const char *id, char **ret_message)
{
    return command(hv, id, "system_powerdown", ret_message);
}

int qemu_vm_add_fd(struct qemu_vm *vm, int fd, const char *opaque, int64_t *ret_fdset, char **ret_message)
{
    struct json_object *reply = NULL, *fdset;

    int error = qmp_execute(vm->qmp, "add-fd", qemu_json("opaque", opaque, NULL), &fd, 1, QEMU_COMMAND_MS,
                            &reply, ret_message);
    if (error != 0) {
        return error;
    }
    if (json_object_object_get_ex(reply, "fdset-id", &fdset)) {
        *ret_fdset = json_object_get_int64(fdset);
    } else {
        error = hypervisor_fail(ret_message, -EPROTO, "QEMU does not tell where it put a descriptor");
    }
    json_object_put(reply);
    return error;
}

static bool fdset_is_called(struct json_object *fdset, const char *opaque)
{
    struct json_object *fds;

    if (!json_object_object_get_ex(fdset, "fds", &fds) || !json_object_is_type(fds, json_type_array)) {
        return false;
    }
    for (size_t i = 0; i < json_object_array_length(fds); i++) {
        if (strcmp(qemu_json_string(json_object_array_get_idx(fds, i), "opaque"), opaque) == 0) {
            return true;
        }
    }
    return false;
}

void qemu_vm_remove_fds(struct qemu_vm *vm, const char *opaque)
{
    struct json_object *reply = NULL, *id;

    if (qemu_vm_query(vm, "query-fdsets", NULL, &reply, NULL) != 0) {
        return;
    }
    size_t n = json_object_is_type(reply, json_type_array) ? json_object_array_length(reply) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *fdset = json_object_array_get_idx(reply, i);
        if (fdset_is_called(fdset, opaque) && json_object_object_get_ex(fdset, "fdset-id", &id)) {
            struct json_object *arguments = json_object_new_object();
            json_object_object_add(arguments, "fdset-id", json_object_get(id));
            qemu_vm_execute(vm, "remove-fd", arguments, NULL);
        }
    }
    json_object_put(reply);
}

int qemu_screenshot(struct hypervisor *hv, const char *id, int fd, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    int own_fd = -1;
    int64_t fdset;

    if (vm == NULL) {
        return -ENOENT;
    }
    int error = ftruncate(fd, 0) < 0 ? -errno : qemu_reopen(fd, O_WRONLY, &own_fd);
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the picture's file cannot be used: %s",
                               g_strerror(-error));
    }
    error = qemu_vm_add_fd(vm, own_fd, "screenshot", &fdset, ret_message);
    close(own_fd);
    if (error != 0) {
        return error;
    }
    g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, fdset);
    error =
        qemu_vm_execute(vm, "screendump", qemu_json("filename", path, "format", "png", NULL), ret_message);
    qemu_vm_remove_fds(vm, "screenshot");
    return error;
}

/* Gives QEMU one end of a new socket pair, for a client of `protocol`. */
static int add_client(struct qemu_vm *vm, const char *protocol, int *ret_fd, char **ret_message)
{
    int sockets[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0) {
        return hypervisor_fail(ret_message, -errno, "no socket: %s", g_strerror(errno));
    }
    g_autofree char *name = g_strdup_printf("client-%d", sockets[1]);
    int error = qemu_vm_execute_fd(vm, "getfd", qemu_json("fdname", name, NULL), sockets[1], ret_message);
    close(sockets[1]);
    if (error == 0) {
        struct json_object *arguments = qemu_json("protocol", protocol, "fdname", name, NULL);
        json_object_object_add(arguments, "skipauth", json_object_new_boolean(true));
        error = qemu_vm_execute(vm, "add_client", arguments, ret_message);
    }
    if (error != 0) {
        close(sockets[0]);
        return error;
    }
    *ret_fd = sockets[0];
    return 0;
}

int qemu_open_screen(struct hypervisor *hv, const char *id, int *ret_fd, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    return vm == NULL ? -ENOENT : add_client(vm, "vnc", ret_fd, ret_message);
}

/* Whether the character device is a socket, and in *ret_busy whether it has a client. */
static bool find_socket(struct qemu_vm *vm, const char *name, bool *ret_busy)
{
    struct json_object *reply = NULL;
    bool found = false;

    if (qemu_vm_query(vm, "query-chardev", NULL, &reply, NULL) != 0) {
        return false;
    }
    size_t n = json_object_is_type(reply, json_type_array) ? json_object_array_length(reply) : 0;
    for (size_t i = 0; i < n && !found; i++) {
        struct json_object *chardev = json_object_array_get_idx(reply, i);
        const char *filename = qemu_json_string(chardev, "filename");
        bool idle = g_str_has_prefix(filename, "disconnected:");
        if (strcmp(qemu_json_string(chardev, "label"), name) == 0) {
            found = idle || g_str_has_prefix(filename, "unix:");
            *ret_busy = !idle;
        }
    }
    json_object_put(reply);
    return found;
}

int qemu_open_serial(struct hypervisor *hv, const char *id, int32_t device_key, int *ret_fd,
                     char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    char name[QEMU_NAME_SIZE];
    bool busy = false;

    if (vm == NULL) {
        return -ENOENT;
    }
    qemu_chardev_name(device_key, name);
    if (!find_socket(vm, name, &busy)) {
        return hypervisor_fail(ret_message, -ENODEV, "there is no serial port %d to connect to", device_key);
    }
    if (busy) {
        return hypervisor_fail(ret_message, -EBUSY, "the serial port is in use");
    }
    /* When another call was quicker, QEMU itself refuses the second client. */
    int error = add_client(vm, name, ret_fd, ret_message);
    return error == -EIO ? -EBUSY : error;
}
