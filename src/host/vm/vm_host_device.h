// SPDX-License-Identifier: Apache-2.0
/*
 * Devices of the host that a virtual machine may use: CD drives, ports, PCI devices. What there is is what
 * EnvironmentBrowser.QueryConfigTarget lists, and nothing else is opened, whatever name a client gives.
 */
#pragma once

#include <glib.h>

#include "host/host_internal.h"

enum host_device_kind {
    HOST_DEVICE_CDROM = 1, /* /dev/sr0 */
    HOST_DEVICE_SERIAL,    /* /dev/ttyS0, /dev/ttyUSB0 */
    HOST_DEVICE_PARALLEL,  /* /dev/parport0 */
};

/* The paths of all of a kind, sorted (of char *, owned). */
GPtrArray *host_device_list(enum host_device_kind kind);
/* Whether the device is backed by a device of the host, of one of these kinds. */
bool vm_host_device_is(const struct VirtualDevice *device);
/* InvalidDeviceBacking, DeviceNotSupported: why the host has not what the device is backed by. `property` names the
 * device in the client's words: "deviceChange[0].device". */
struct vim_fault *vm_host_device_check(const struct VirtualDevice *device, unsigned index);
/* Opens it; ret->fd stays -1 for a PCI device, which is no file. */
struct vim_fault *vm_host_device_open(const struct VirtualDevice *device, struct hypervisor_file *ret);

/* A PCI device of the host, from sysfs. Strings are owned. */
struct host_pci_device {
    char *id; /* "0000:3b:00.0" */
    int vendor, device, sub_vendor, sub_device;
    int class_id;   /* class and subclass: 0x0200 */
    char *driver;   /* NULL: none bound */
    bool has_group; /* of the IOMMU: it can be given away */
};
/* All of them (of struct host_pci_device *, owned), by address. */
GPtrArray *host_pci_list(void);
