// SPDX-License-Identifier: Apache-2.0
/*
 * From a virtual device of the VI API to what QEMU is told to make of it: a pure function.
 *
 * command.c calls it for a whole machine, hotplug.c for one device; both get the same objects, because
 * QEMU takes QMP's arguments as JSON on its command line too. Where a device sits in the guest follows
 * from its own key and its controller's bus number alone, never from what else there is: a guest never
 * sees its disk or adapter move because another was added. The table of slots is in board.c.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct VirtualDevice;
struct VirtualMachineConfigInfo;
struct json_object;

enum {
    QEMU_KEY_FIRMWARE = -100, /* beside HYPERVISOR_KEY_...: the code of the EFI firmware, a file */
    QEMU_NAME_SIZE = 32,      /* bytes of any name made by qemu_device_name() and qemu_node_name() */
};

/* A file that QEMU has, or will have when it starts. */
struct qemu_file {
    int32_t device_key;
    int64_t fdset;       /* /dev/fdset/N, for disks, discs and serial ports */
    const char *fd_name; /* "7" or a name given by getfd, for a tap, a kernel or a socket; borrowed */
    bool read_only;
    const char *format; /* borrowed */
};

/* What QEMU is told to make. All members are owned; the arrays hold struct json_object. */
struct qemu_device_plan {
    GPtrArray *blockdevs;       /* arguments of blockdev-add, in order */
    struct json_object *netdev; /* argument of netdev_add, or NULL */
    GPtrArray *options;         /* pairs of strings for the command line alone: "-chardev", its value */
    GPtrArray *devices;         /* arguments of device_add, in order */
};

/*
 * Plans one device of config. files has those with the device's key, the writable top of a disk first. A
 * boot_index of 0 leaves the device out of the boot order. A device that is always there (a keyboard), or
 * has no meaning for QEMU, gives an empty plan. -EINVAL: it cannot sit where the configuration puts it, or
 * lacks its file. -ENOTSUP: QEMU has no such device. Both say more in *ret_message.
 */
int qemu_device_plan(const struct VirtualMachineConfigInfo *config, const struct VirtualDevice *device,
                     const struct qemu_file *files, size_t n_files, int boot_index,
                     struct qemu_device_plan *ret, char **ret_message);
/* The same with invented files, for the refusals alone: whether a start would take the device. */
int qemu_device_check(const struct VirtualMachineConfigInfo *config, const struct VirtualDevice *device,
                      struct qemu_device_plan *ret, char **ret_message);
void qemu_device_plan_clear(struct qemu_device_plan *plan);

/* QEMU's names: of the device, of its top block node, of its network back end, of its character device. */
void qemu_device_name(int32_t key, char out[static QEMU_NAME_SIZE]);
void qemu_node_name(int32_t key, char out[static QEMU_NAME_SIZE]);
void qemu_netdev_name(int32_t key, char out[static QEMU_NAME_SIZE]);
void qemu_chardev_name(int32_t key, char out[static QEMU_NAME_SIZE]);
/* The key in a name made by qemu_device_name(); 0 for any other. */
int32_t qemu_device_key(const char *name);
/* The key in a name made by qemu_node_name() or, for parents of a disk, by the planner; 0 for any other. */
int32_t qemu_node_key(const char *name);

/* Whether the port is a socket: of a console, of the network, or a pipe; no file and no device. One for which the
 * host has no listening socket is for hypervisor_vm_open_serial. */
bool qemu_serial_is_socket(const struct VirtualDevice *device);
/* What a serial or parallel port is connected to, as chardev-change and chardev-add take it; NULL: it needs a file.
 * file may be NULL. A new reference. */
struct json_object *qemu_port_backend(const struct VirtualDevice *device, bool connected,
                                      const struct qemu_file *file);

/* A device_add argument with driver and id; further strings by "name", value pairs, ended by NULL. */
struct json_object *qemu_json_device(const char *driver, const char *id, ...) G_GNUC_NULL_TERMINATED;
