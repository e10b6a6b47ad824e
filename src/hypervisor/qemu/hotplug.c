// SPDX-License-Identifier: Apache-2.0
/*
 * Changes to the devices of a running guest: adding and removing, media, links, sizes. The functions have
 * the contracts of hypervisor.h. What QEMU is told to make comes from the same planner as at a start.
 *
 * A device added here and its block node, network back end and fdset carry the names that a start would
 * have given them, so removing does not depend on how, or by which server, it was added.
 */
#include "hypervisor/qemu/block.h"
#include "hypervisor/qemu/device.h"
#include "hypervisor/qemu/qemu.h"
#include "vim/types.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

enum { UNPLUG_MS = 20000 /* until a guest that does not let go is left alone */ };

/* Removes what stands behind a device that is gone. What is not there is no failure. */
static void remove_backend(struct qemu_vm *vm, int32_t key)
{
    char name[QEMU_NAME_SIZE];

    qemu_vm_remove_nodes(vm, key);
    qemu_node_name(key, name);
    qemu_vm_remove_fds(vm, name);
    qemu_netdev_name(key, name);
    qemu_vm_execute(vm, "netdev_del", qemu_json("id", name, NULL), NULL);
}

/* Gives QEMU the file, and fills what the planner must know of it. `name` has the fd's name on return. */
static int give_file(struct qemu_vm *vm, const struct VirtualDevice *device,
                     const struct hypervisor_file *file, char name[static QEMU_NAME_SIZE],
                     struct qemu_file *ret, char **ret_message)
{
    int fd = -1, error;

    *ret = (struct qemu_file){
        .device_key = device->key,
        .fd_name = name,
        .read_only = file->read_only,
        .format = file->format,
    };
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        qemu_netdev_name(device->key, name);
        return qemu_vm_execute_fd(vm, "getfd", qemu_json("fdname", name, NULL), file->fd, ret_message);
    }
    qemu_node_name(device->key, name);
    error = qemu_reopen_file(file, false, &fd, ret_message);
    if (error == 0) {
        error = qemu_vm_add_fd(vm, fd, name, &ret->fdset, ret_message);
        close(fd);
    }
    return error;
}

/* Makes what is planned. On failure, what was made of it is removed again. */
static int make_planned(struct qemu_vm *vm, int32_t key, const struct qemu_device_plan *plan,
                        char **ret_message)
{
    guint made = 0;
    int error = 0;

    for (guint i = 0; i < plan->blockdevs->len && error == 0; i++) {
        error = qemu_vm_execute(vm, "blockdev-add", json_object_get(g_ptr_array_index(plan->blockdevs, i)),
                                ret_message);
    }
    if (error == 0 && plan->netdev != NULL) {
        error = qemu_vm_execute(vm, "netdev_add", json_object_get(plan->netdev), ret_message);
    }
    for (; made < plan->devices->len && error == 0; made++) {
        error = qemu_vm_execute(vm, "device_add", json_object_get(g_ptr_array_index(plan->devices, made)),
                                ret_message);
    }
    if (error == 0) {
        return 0;
    }
    while (made-- > 0) {
        const char *id = qemu_json_string(g_ptr_array_index(plan->devices, made), "id");
        qemu_vm_execute(vm, "device_del", qemu_json("id", id, NULL), NULL);
    }
    remove_backend(vm, key);
    return error;
}

int qemu_plug(struct hypervisor *hv, const char *id, const struct VirtualMachineConfigInfo *config,
              const struct VirtualDevice *device, const struct hypervisor_file *file, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    struct qemu_device_plan plan;
    struct qemu_file given;
    char name[QEMU_NAME_SIZE];
    int error = 0;

    if (vm == NULL) {
        return -ENOENT;
    }
    if (vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualFloppy_type)) {
        return hypervisor_fail(ret_message, -ENOTSUP,
                               "a serial port or floppy drive cannot be added to a running guest");
    }
    remove_backend(vm, device->key); /* an earlier try may have died half way */
    if (file != NULL) {
        error = give_file(vm, device, file, name, &given, ret_message);
    }
    if (error != 0) {
        return error;
    }
    error = qemu_device_plan(config, device, &given, file != NULL ? 1 : 0, 0, &plan, ret_message);
    if (error != 0) {
        if (file != NULL) {
            qemu_vm_remove_fds(vm, name);
        }
        return error;
    }
    error = make_planned(vm, device->key, &plan, ret_message);
    qemu_device_plan_clear(&plan);
    const struct VirtualDeviceConnectInfo *connectable = device->connectable;
    if (error == 0 && vim_is_a(device, &VirtualEthernetCard_type) && connectable != NULL &&
        !connectable->connected && !connectable->startConnected) {
        error = qemu_vm_set_link(vm, device->key, false, ret_message);
    }
    return error;
}

/* Waits until the guest has let go of a device, or refused to. */
static int wait_deleted(struct qemu_vm *vm, const char *name, char **ret_message)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)UNPLUG_MS * 1000;
    bool deleted, refused;

    g_mutex_lock(&vm->lock);
    do {
        deleted = g_hash_table_contains(vm->deleted, name);
        refused = g_hash_table_contains(vm->not_deleted, name) || vm->state == HYPERVISOR_VM_GONE;
    } while (!deleted && !refused && g_cond_wait_until(&vm->changed, &vm->lock, end_us));
    g_hash_table_remove(vm->deleted, name);
    g_mutex_unlock(&vm->lock);
    if (deleted) {
        return 0;
    }
    return refused ? hypervisor_fail(ret_message, -EBUSY, "the guest does not let the device go")
                   : hypervisor_fail(ret_message, -ETIMEDOUT, "the guest did not let the device go in time");
}

int qemu_unplug(struct hypervisor *hv, const char *id, const struct VirtualDevice *device, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    g_autofree char *message = NULL;
    char name[QEMU_NAME_SIZE];

    if (vm == NULL) {
        return -ENOENT;
    }
    qemu_device_name(device->key, name);
    g_mutex_lock(&vm->lock);
    g_hash_table_remove(vm->deleted, name);
    g_hash_table_remove(vm->not_deleted, name);
    g_mutex_unlock(&vm->lock);
    int error = qemu_vm_execute(vm, "device_del", qemu_json("id", name, NULL), &message);
    if (error == 0) {
        error = wait_deleted(vm, name, ret_message);
    } else if (error == -ENODEV) {
        error = 0; /* a guest that was too slow for an earlier call has let go since */
    } else {
        *ret_message = g_steal_pointer(&message);
    }
    if (error == 0) {
        remove_backend(vm, device->key);
    }
    return error;
}

static void add_key(GArray *keys, int32_t key)
{
    for (guint i = 0; i < keys->len; i++) {
        if (g_array_index(keys, int32_t, i) == key) {
            return;
        }
    }
    if (key != 0) {
        g_array_append_val(keys, key);
    }
}

/* The keys of devices whose files QEMU has been given: one may have died before it made the device. */
static int add_files(struct qemu_vm *vm, GArray *keys, char **ret_message)
{
    struct json_object *sets = NULL;
    struct json_object *fds = NULL;

    int error = qemu_vm_query(vm, "query-fdsets", NULL, &sets, ret_message);
    if (error != 0) {
        return error;
    }
    size_t n = json_object_is_type(sets, json_type_array) ? json_object_array_length(sets) : 0;
    for (size_t i = 0; i < n; i++) {
        bool has = json_object_object_get_ex(json_object_array_get_idx(sets, i), "fds", &fds);
        if (has && json_object_is_type(fds, json_type_array) && json_object_array_length(fds) > 0) {
            add_key(keys, qemu_node_key(qemu_json_string(json_object_array_get_idx(fds, 0), "opaque")));
        }
    }
    json_object_put(sets);
    return 0;
}

int qemu_get_devices(struct hypervisor *hv, const char *id, int32_t **ret_keys, size_t *ret_n,
                     char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(int32_t));
    struct json_object *children = NULL;

    if (vm == NULL) {
        return -ENOENT;
    }
    int error =
        qemu_vm_query(vm, "qom-list", qemu_json("path", "/machine/peripheral", NULL), &children, ret_message);
    if (error != 0) {
        return error;
    }
    size_t n = json_object_is_type(children, json_type_array) ? json_object_array_length(children) : 0;
    for (size_t i = 0; i < n; i++) {
        add_key(keys, qemu_device_key(qemu_json_string(json_object_array_get_idx(children, i), "name")));
    }
    json_object_put(children);
    error = add_files(vm, keys, ret_message);
    if (error != 0) {
        return error;
    }
    *ret_n = keys->len;
    *ret_keys = (int32_t *)g_array_free(g_steal_pointer(&keys), FALSE);
    return 0;
}

/* Adds the medium's block node and puts it into the open drive. */
static int insert_medium(struct qemu_vm *vm, const struct VirtualDevice *device,
                         const struct hypervisor_file *file, char **ret_message)
{
    char device_name[QEMU_NAME_SIZE], node[QEMU_NAME_SIZE];
    struct qemu_file given;

    qemu_device_name(device->key, device_name);
    int error = give_file(vm, device, file, node, &given, ret_message);
    if (error != 0) {
        return error;
    }
    g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, given.fdset);
    struct json_object *protocol = qemu_json("driver", "file", "filename", path, NULL);
    struct json_object *image = qemu_json("driver", "raw", "node-name", node, NULL);
    json_object_object_add(protocol, "read-only", json_object_new_boolean(given.read_only));
    json_object_object_add(image, "read-only", json_object_new_boolean(given.read_only));
    json_object_object_add(image, "file", protocol);
    error = qemu_vm_execute(vm, "blockdev-add", image, ret_message);
    if (error == 0) {
        error = qemu_vm_execute(vm, "blockdev-insert-medium",
                                qemu_json("id", device_name, "node-name", node, NULL), ret_message);
    }
    if (error != 0) {
        remove_backend(vm, device->key);
    }
    return error;
}

int qemu_change_medium(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                       const struct hypervisor_file *file, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    g_autofree char *message = NULL;
    char name[QEMU_NAME_SIZE];

    if (vm == NULL) {
        return -ENOENT;
    }
    if (!vim_is_a(device, &VirtualCdrom_type) && !vim_is_a(device, &VirtualFloppy_type)) {
        return hypervisor_fail(ret_message, -EINVAL, "the device has no medium to change");
    }
    /* Forced: a guest that has locked the drive must not keep the disc for ever. */
    qemu_device_name(device->key, name);
    struct json_object *arguments = qemu_json("id", name, NULL);
    json_object_object_add(arguments, "force", json_object_new_boolean(true));
    int error = qemu_vm_execute(vm, "blockdev-open-tray", arguments, ret_message);
    if (error == 0) {
        error = qemu_vm_execute(vm, "blockdev-remove-medium", qemu_json("id", name, NULL), ret_message);
    }
    if (error != 0) {
        return error;
    }
    remove_backend(vm, device->key);
    if (file != NULL) {
        error = insert_medium(vm, device, file, ret_message);
    }
    int closed = qemu_vm_execute(vm, "blockdev-close-tray", qemu_json("id", name, NULL), &message);
    if (error == 0 && closed != 0) {
        *ret_message = g_steal_pointer(&message);
        error = closed;
    }
    return error;
}

/* Gives QEMU what a port is to be connected to, under this name. */
static int give_port_file(struct qemu_vm *vm, const struct VirtualDevice *device,
                          const struct hypervisor_file *file, const char *name, struct qemu_file *ret,
                          char **ret_message)
{
    bool port = vim_is_a(device->backing, &VirtualDeviceDeviceBackingInfo_type);
    int fd = -1;

    *ret = (struct qemu_file){.device_key = device->key, .fd_name = name};
    if (qemu_serial_is_socket(device)) {
        g_autofree char *socket_name = g_strdup_printf(QEMU_SERIAL_SOCKET, device->key);
        int error = file != NULL ? 0 : qemu_vm_listen(vm, socket_name, &fd, ret_message);
        if (error == 0) {
            error = qemu_vm_execute_fd(vm, "getfd", qemu_json("fdname", name, NULL),
                                       file != NULL ? file->fd : fd, ret_message);
        }
        if (fd >= 0) {
            close(fd);
        }
        return error;
    }
    if (file == NULL) {
        return hypervisor_fail(ret_message, -EINVAL, "the port has nothing to write to");
    }
    int error = qemu_reopen(file->fd, port ? O_RDWR | O_NONBLOCK : O_WRONLY | O_APPEND, &fd);
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the port's file cannot be used: %s", g_strerror(-error));
    }
    error = qemu_vm_add_fd(vm, fd, name, &ret->fdset, ret_message);
    close(fd);
    return error;
}

int qemu_change_port(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                     const struct hypervisor_file *file, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    bool connected = device->connectable == NULL || device->connectable->connected;
    char chardev[QEMU_NAME_SIZE], name[QEMU_NAME_SIZE];
    struct qemu_file given = {0};
    int error = 0;

    if (vm == NULL) {
        return -ENOENT;
    }
    if (!vim_is_a(device, &VirtualSerialPort_type)) {
        return hypervisor_fail(ret_message, -ENOTSUP, "only serial ports are connected while a guest runs");
    }
    qemu_chardev_name(device->key, chardev);
    qemu_node_name(device->key, name);
    if (connected) {
        error = give_port_file(vm, device, file, name, &given, ret_message);
    }
    if (error == 0) {
        struct json_object *arguments = qemu_json("id", chardev, NULL);
        json_object_object_add(arguments, "backend", qemu_port_backend(device, connected, &given));
        error = qemu_vm_execute(vm, "chardev-change", arguments, ret_message);
    }
    if (!connected || error != 0) {
        qemu_vm_remove_fds(vm, name); /* of a file that is open no more */
    }
    return error;
}

int qemu_vm_set_link(struct qemu_vm *vm, int32_t key, bool connected, char **ret_message)
{
    char name[QEMU_NAME_SIZE];

    qemu_device_name(key, name);
    struct json_object *arguments = qemu_json("name", name, NULL);
    json_object_object_add(arguments, "up", json_object_new_boolean(connected));
    return qemu_vm_execute(vm, "set_link", arguments, ret_message);
}

int qemu_set_link(struct hypervisor *hv, const char *id, const struct VirtualDevice *device, bool connected,
                  char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    return vm == NULL ? -ENOENT : qemu_vm_set_link(vm, device->key, connected, ret_message);
}

int qemu_resize_disk(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                     int64_t capacity_bytes, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    char node[QEMU_NAME_SIZE];

    if (vm == NULL) {
        return -ENOENT;
    }
    int error = qemu_vm_top_node(vm, device->key, node, ret_message);
    if (error != 0) {
        return error;
    }
    struct json_object *arguments = qemu_json("node-name", node, NULL);
    json_object_object_add(arguments, "size", json_object_new_int64(capacity_bytes));
    return qemu_vm_execute(vm, "block_resize", arguments, ret_message);
}
