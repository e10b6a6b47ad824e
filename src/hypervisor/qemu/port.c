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
    RECONNECT_S = 5, /* between attempts of a port that calls out */
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

/* A port's own network connection, from "tcp://host:port" or "telnet://host:port" of the VI API; a server may
 * leave out the host. Another scheme is -ENOTSUP, nonsense -EINVAL. */
int qemu_serial_parse_uri(const char *uri, bool server, char **ret_host, int *ret_port, bool *ret_telnet)
{
    const char *rest = strstr(uri, "://");
    const char *colon = rest != NULL ? strrchr(rest + 3, ':') : NULL;
    guint64 port = 0;

    if (rest == NULL || colon == NULL || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL)) {
        return -EINVAL;
    }
    bool telnet = g_ascii_strncasecmp(uri, "telnet://", strlen("telnet://")) == 0;
    if (!telnet && g_ascii_strncasecmp(uri, "tcp://", strlen("tcp://")) != 0) {
        return -ENOTSUP;
    }
    g_autofree char *host = g_strndup(rest + 3, (size_t)(colon - rest - 3));
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        memmove(host, host + 1, length - 1);
    }
    if ((host[0] == '\0' && !server) ||
        strspn(host, "0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ.:-_") != strlen(host)) {
        return -EINVAL;
    }
    *ret_host = g_steal_pointer(&host);
    *ret_port = (int)port;
    *ret_telnet = telnet;
    return 0;
}

/* A port with a connection of its own: QEMU listens or calls out itself. */
static int plan_network_port(const struct planning *planning, const char *chardev)
{
    const struct VirtualDeviceURIBackingInfo *backing =
        (const struct VirtualDeviceURIBackingInfo *)planning->device->backing;
    bool server = g_strcmp0(backing->direction, "client") != 0, telnet = false;
    g_autofree char *host = NULL;
    int port = 0;

    if (backing->proxyURI != NULL && backing->proxyURI[0] != '\0') {
        return planning_invalid(planning, "goes through a serial port concentrator, which is not supported");
    }
    int error = qemu_serial_parse_uri(backing->serviceURI, server, &host, &port, &telnet);
    if (error != 0) {
        return planning_invalid(planning, "has a service URI other than tcp://host:port, telnet://host:port "
                                          "or a word for the console");
    }
    g_autofree char *mode =
        server ? g_strdup("server=on,wait=off") : g_strdup_printf("server=off,reconnect=%d", RECONNECT_S);
    planning_add_option(planning, "-chardev",
                        g_strdup_printf("socket,id=%s,host=%s,port=%d,%s,telnet=%s", chardev, host, port,
                                        mode, telnet ? "on" : "off"));
    return 0;
}

/* What a serial or parallel port is connected to. `file` is the kind of character device for its file. */
static int plan_port_backing(const struct planning *planning, const char *chardev)
{
    const struct VirtualDevice *device = planning->device;
    const struct VirtualDeviceConnectInfo *connectable = device->connectable;
    const struct qemu_file *file = planning->n_files > 0 ? &planning->files[0] : NULL;
    bool connected = connectable == NULL || connectable->startConnected;

    if (!connected) {
        planning_add_option(planning, "-chardev", g_strdup_printf("null,id=%s", chardev));
    } else if (qemu_serial_is_network(device)) {
        return plan_network_port(planning, chardev);
    } else if (file != NULL && qemu_serial_is_socket(device)) {
        planning_add_option(planning, "-chardev",
                            g_strdup_printf("socket,id=%s,fd=%s,server=on,wait=off", chardev, file->fd_name));
    } else if (file != NULL && vim_is_a(device->backing, &VirtualDeviceDeviceBackingInfo_type)) {
        planning_add_option(planning, "-chardev",
                            g_strdup_printf("%s,id=%s,path=/dev/fdset/%" G_GINT64_FORMAT,
                                            vim_is_a(device, &VirtualSerialPort_type) ? "serial" : "parallel",
                                            chardev, file->fdset));
    } else if (file != NULL) {
        planning_add_option(planning, "-chardev",
                            g_strdup_printf("file,id=%s,path=/dev/fdset/%" G_GINT64_FORMAT ",append=on",
                                            chardev, file->fdset));
    } else {
        return planning_invalid(planning, "has nothing to write to");
    }
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
