// SPDX-License-Identifier: Apache-2.0
/*
 * Plans what a machine talks through: network adapters, serial and parallel ports, the TPM. See device.h for
 * the contract, planning.h for what is shared.
 */
#include "hypervisor/qemu/planning.h"

#include "hypervisor/hypervisor_ops.h"
#include "vim/types.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum {
    NETWORK_MAX = 10,
    NETWORK_FIRST_KEY = 4000,
    NETWORK_FIRST_UNIT = 7, /* a VI API unit number: those below belong to the fixed devices */
    SERIAL_FIRST_KEY = 9000,
    SERIAL_MAX = 4,
    PARALLEL_FIRST_KEY = 10000,
    PARALLEL_MAX = 3,
};

/* NULL: QEMU has none. */
static const char *network_driver(const struct planning *planning, int32_t index)
{
    const struct VirtualDevice *device = planning->device;
    const char *model = planning_model(planning, "ethernet", index);

    if (model != NULL) {
        return g_ascii_strcasecmp(model, "virtio") == 0 ? "virtio-net-pci" : NULL;
    }
    if (vim_is_a(device, &VirtualVmxnet3_type)) {
        return "vmxnet3";
    }
    if (vim_is_a(device, &VirtualE1000e_type)) {
        return "e1000e";
    }
    if (vim_is_a(device, &VirtualE1000_type)) {
        return "e1000-82545em"; /* the model that guests of the VI API have drivers installed for */
    }
    return vim_is_a(device, &VirtualPCNet32_type) ? "pcnet" : NULL;
}

int plan_network(const struct planning *planning)
{
    const struct VirtualEthernetCard *card = (const struct VirtualEthernetCard *)planning->device;
    char netdev_name[QEMU_NAME_SIZE];
    int32_t index = card->key - NETWORK_FIRST_KEY;

    if ((index < 0 || index >= NETWORK_MAX) && card->unitNumber.set) {
        index = card->unitNumber.value - NETWORK_FIRST_UNIT;
    }
    if (index < 0 || index >= NETWORK_MAX) {
        return planning_invalid(planning, "is beyond the ten network adapters that there is room for");
    }
    const char *driver = network_driver(planning, index);
    if (driver == NULL) {
        return planning_unsupported(planning);
    }
    const struct qemu_file *file = planning->n_files > 0 ? &planning->files[0] : NULL;
    if (file != NULL && g_strcmp0(file->format, "tap") != 0) {
        return planning_invalid(planning, "has a file that is not a tap");
    }
    qemu_netdev_name(card->key, netdev_name);
    struct json_object *netdev = json_object_new_object();
    qemu_json_add_string(netdev, "type", file != NULL ? "tap" : "user");
    qemu_json_add_string(netdev, "id", netdev_name);
    if (file != NULL) {
        qemu_json_add_string(netdev, "fd", file->fd_name);
        qemu_json_add_bool(netdev, "vhost", false);
    }
    planning->plan->netdev = netdev;

    struct json_object *device = qemu_json_device(driver, planning->name, "netdev", netdev_name, NULL);
    if (card->macAddress != NULL && card->macAddress[0] != '\0') {
        qemu_json_add_string(device, "mac", card->macAddress);
    }
    qemu_board_place(planning->chipset, device, QEMU_SLOT_NETWORK + index, 0);
    planning_add_device(planning, device);
    return 0;
}

static bool is_telnet(const struct VirtualDevice *device)
{
    const struct VirtualDeviceURIBackingInfo *backing = (const void *)device->backing;

    return vim_is_a(backing, &VirtualSerialPortURIBackingInfo_type) && backing->serviceURI != NULL &&
           g_ascii_strncasecmp(backing->serviceURI, "telnet", strlen("telnet")) == 0 &&
           strstr(backing->serviceURI, "://") != NULL;
}

static struct json_object *socket_backend(const struct VirtualDevice *device, const char *fd_name)
{
    struct json_object *name = json_object_new_object();
    struct json_object *address = json_object_new_object();
    struct json_object *data = json_object_new_object();

    qemu_json_add_string(name, "str", fd_name);
    qemu_json_add_string(address, "type", "fd");
    json_object_object_add(address, "data", name);
    json_object_object_add(data, "addr", address);
    qemu_json_add_bool(data, "server", true);
    qemu_json_add_bool(data, "wait", false);
    qemu_json_add_bool(data, "telnet", is_telnet(device));
    return data;
}

struct json_object *qemu_port_backend(const struct VirtualDevice *device, bool connected,
                                      const struct qemu_file *file)
{
    struct json_object *data = NULL;
    const char *type = "null";

    if (connected && file == NULL) {
        return NULL;
    }
    if (!connected) {
        data = json_object_new_object();
    } else if (qemu_serial_is_socket(device)) {
        type = "socket";
        data = socket_backend(device, file->fd_name);
    } else {
        bool port = vim_is_a(device->backing, &VirtualDeviceDeviceBackingInfo_type);
        g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, file->fdset);
        type = !port ? "file" : vim_is_a(device, &VirtualSerialPort_type) ? "serial" : "parallel";
        data = json_object_new_object();
        qemu_json_add_string(data, port ? "device" : "out", path);
        if (!port) {
            qemu_json_add_bool(data, "append", true);
        }
    }
    struct json_object *backend = json_object_new_object();
    qemu_json_add_string(backend, "type", type);
    json_object_object_add(backend, "data", data);
    return backend;
}

/* The same for the command line, which takes no JSON for it. g_free. */
static char *backend_option(const struct VirtualDevice *device, const struct qemu_file *file,
                            const char *type, const char *chardev)
{
    if (strcmp(type, "null") == 0) {
        return g_strdup_printf("null,id=%s", chardev);
    }
    if (strcmp(type, "socket") == 0) {
        return g_strdup_printf("socket,id=%s,fd=%s,server=on,wait=off%s", chardev, file->fd_name,
                               is_telnet(device) ? ",telnet=on" : "");
    }
    return g_strdup_printf("%s,id=%s,path=/dev/fdset/%" G_GINT64_FORMAT "%s", type, chardev, file->fdset,
                           strcmp(type, "file") == 0 ? ",append=on" : "");
}

static int plan_port_backing(const struct planning *planning, const char *chardev)
{
    const struct VirtualDevice *device = planning->device;
    const struct VirtualDeviceConnectInfo *connectable = device->connectable;
    const struct qemu_file *file = planning->n_files > 0 ? &planning->files[0] : NULL;
    struct json_object *type = NULL;

    struct json_object *backend =
        qemu_port_backend(device, connectable == NULL || connectable->startConnected, file);
    if (backend == NULL) {
        return planning_invalid(planning, "has nothing to write to");
    }
    json_object_object_get_ex(backend, "type", &type);
    planning_add_option(planning, "-chardev",
                        backend_option(device, file, json_object_get_string(type), chardev));
    json_object_put(backend);
    return 0;
}

static int plan_port(const struct planning *planning, const char *driver, int32_t index, int32_t max,
                     const char *beyond)
{
    char chardev[QEMU_NAME_SIZE];

    if (index < 0 || index >= max) {
        return planning_invalid(planning, beyond);
    }
    qemu_chardev_name(planning->device->key, chardev);
    int error = plan_port_backing(planning, chardev);
    if (error != 0) {
        return error;
    }
    struct json_object *device = qemu_json_device(driver, planning->name, "chardev", chardev, NULL);
    qemu_json_add_int(device, "index", index);
    planning_add_device(planning, device);
    return 0;
}

int plan_serial(const struct planning *planning)
{
    return plan_port(planning, "isa-serial", planning->device->key - SERIAL_FIRST_KEY, SERIAL_MAX,
                     "is beyond the four serial ports that there is room for");
}

int plan_parallel(const struct planning *planning)
{
    return plan_port(planning, "isa-parallel", planning->device->key - PARALLEL_FIRST_KEY, PARALLEL_MAX,
                     "is beyond the three parallel ports that there is room for");
}

/* TPM */

int plan_tpm(const struct planning *planning)
{
    char chardev[QEMU_NAME_SIZE];

    if (!qemu_board_is_efi(planning->config)) {
        return planning_invalid(planning, "needs EFI firmware");
    }
    if (planning->n_files == 0) {
        return planning_invalid(planning, "has no emulator");
    }
    qemu_chardev_name(planning->device->key, chardev);
    planning_add_option(planning, "-chardev",
                        g_strdup_printf("socket,id=%s,fd=%s", chardev, planning->files[0].fd_name));
    planning_add_option(planning, "-tpmdev", g_strdup_printf("emulator,id=tpm,chardev=%s", chardev));
    planning_add_device(planning, qemu_json_device("tpm-crb", planning->name, "tpmdev", "tpm", NULL));
    return 0;
}
