// SPDX-License-Identifier: Apache-2.0
/*
 * Finds and opens devices of the host; see vm_host_device.h.
 */
#include "host/vm/vm_host_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYS_PCI "/sys/bus/pci/devices"

static const char *const prefixes[] = {
    [HOST_DEVICE_CDROM] = "sr|",
    [HOST_DEVICE_SERIAL] = "ttyS|ttyUSB|ttyACM|",
    [HOST_DEVICE_PARALLEL] = "parport|",
};

/* Whether a name in /dev is a prefix and a number. */
static bool is_kind(enum host_device_kind kind, const char *name)
{
    g_auto(GStrv) words = g_strsplit(prefixes[kind], "|", -1);

    for (size_t i = 0; words[i] != NULL && words[i][0] != '\0'; i++) {
        const char *number = g_str_has_prefix(name, words[i]) ? name + strlen(words[i]) : "";
        if (number[0] != '\0' && strspn(number, "0123456789") == strlen(number)) {
            return true;
        }
    }
    return false;
}

/* A ttyS without hardware has a node all the same; its type is 0. */
static bool has_hardware(const char *name)
{
    g_autofree char *path = g_strdup_printf("/sys/class/tty/%s/type", name);
    g_autofree char *type = NULL;

    return !g_str_has_prefix(name, "ttyS") ||
           (g_file_get_contents(path, &type, NULL, NULL) && strcmp(g_strstrip(type), "0") != 0);
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *host_device_list(enum host_device_kind kind)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open("/dev", 0, NULL);

    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        if (is_kind(kind, name) && has_hardware(name)) {
            g_ptr_array_add(paths, g_strconcat("/dev/", name, NULL));
        }
    }
    g_ptr_array_sort(paths, compare_names);
    return paths;
}

static bool kind_of(const struct VirtualDevice *device, enum host_device_kind *ret)
{
    if (vim_is_a(device->backing, &VirtualCdromAtapiBackingInfo_type)) {
        *ret = HOST_DEVICE_CDROM;
    } else if (vim_is_a(device->backing, &VirtualSerialPortDeviceBackingInfo_type)) {
        *ret = HOST_DEVICE_SERIAL;
    } else if (vim_is_a(device->backing, &VirtualParallelPortDeviceBackingInfo_type)) {
        *ret = HOST_DEVICE_PARALLEL;
    } else {
        return false;
    }
    return true;
}

bool vm_host_device_is(const struct VirtualDevice *device)
{
    enum host_device_kind kind;
    return kind_of(device, &kind) || vim_is_a(device, &VirtualPCIPassthrough_type);
}

/* The path that the backing means; NULL: the host has none such. g_free. */
static char *find_path(const struct VirtualDevice *device, enum host_device_kind kind)
{
    const struct VirtualDeviceDeviceBackingInfo *backing = (const void *)device->backing;
    g_autoptr(GPtrArray) paths = host_device_list(kind);

    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);
        if ((backing->useAutoDetect.set && backing->useAutoDetect.value) ||
            g_strcmp0(path, backing->deviceName) == 0) {
            return g_strdup(path);
        }
    }
    return NULL;
}

/* ---- PCI --------------------------------------------------------------------------------------------- */

static int read_hex(const char *id, const char *file)
{
    g_autofree char *path = g_strdup_printf(SYS_PCI "/%s/%s", id, file);
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? (int)g_ascii_strtoull(text, NULL, 16) : 0;
}

static void pci_free(void *data)
{
    struct host_pci_device *device = data;
    g_free(device->id);
    g_free(device->driver);
    g_free(device);
}

static struct host_pci_device *read_pci(const char *id)
{
    struct host_pci_device *device = g_new0(struct host_pci_device, 1);
    g_autofree char *driver = g_strdup_printf(SYS_PCI "/%s/driver", id);
    g_autofree char *group = g_strdup_printf(SYS_PCI "/%s/iommu_group", id);
    g_autofree char *target = g_file_read_link(driver, NULL);

    device->id = g_strdup(id);
    device->vendor = read_hex(id, "vendor");
    device->device = read_hex(id, "device");
    device->sub_vendor = read_hex(id, "subsystem_vendor");
    device->sub_device = read_hex(id, "subsystem_device");
    device->class_id = read_hex(id, "class") >> 8;
    device->driver = target != NULL ? g_path_get_basename(target) : NULL;
    device->has_group = g_file_test(group, G_FILE_TEST_EXISTS);
    return device;
}

static gint compare_pci(gconstpointer a, gconstpointer b)
{
    return strcmp((*(struct host_pci_device *const *)a)->id, (*(struct host_pci_device *const *)b)->id);
}

GPtrArray *host_pci_list(void)
{
    GPtrArray *devices = g_ptr_array_new_with_free_func(pci_free);
    g_autoptr(GDir) dir = g_dir_open(SYS_PCI, 0, NULL);

    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        g_ptr_array_add(devices, read_pci(name));
    }
    g_ptr_array_sort(devices, compare_pci);
    return devices;
}

/* Everything that must be so before QEMU can have the device, in the order in which people set it up. */
static struct vim_fault *check_pci(const struct VirtualDevice *device, unsigned index)
{
    const struct VirtualPCIPassthroughDeviceBackingInfo *backing = (const void *)device->backing;
    g_autofree char *property = g_strdup_printf("deviceChange[%u].device.backing.id", index);
    const struct host_pci_device *found = NULL;
    g_autoptr(GPtrArray) devices = host_pci_list();
    if (!vim_is_a(backing, &VirtualPCIPassthroughDeviceBackingInfo_type) || backing->id == NULL) {
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s names the host's PCI device, such as 0000:3b:00.0", property);
    }
    for (guint i = 0; i < devices->len; i++) {
        const struct host_pci_device *one = g_ptr_array_index(devices, i);
        found = g_strcmp0(one->id, backing->id) == 0 ? one : found;
    }
    if (found == NULL) {
        return fault_invalid_device_backing(property, (int32_t)index, "%s: the host has no PCI device %s",
                                            property, backing->id);
    }
    if (!found->has_group) {
        return fault_device_not_supported("VirtualPCIPassthrough", "no IOMMU",
                                          "%s: %s is in no IOMMU group: the IOMMU is off in the firmware, or "
                                          "on the kernel's command line (intel_iommu=on)",
                                          property, backing->id);
    }
    if (g_strcmp0(found->driver, "vfio-pci") != 0) {
        return fault_device_not_supported(
            "VirtualPCIPassthrough", "not bound to vfio-pci",
            "%s: %s is bound to %s and must be bound to vfio-pci (driver_override in sysfs)", property,
            backing->id, found->driver != NULL ? found->driver : "no driver");
    }
    return NULL;
}

/* ---- for machines ------------------------------------------------------------------------------------ */

struct vim_fault *vm_host_device_check(const struct VirtualDevice *device, unsigned index)
{
    enum host_device_kind kind;
    if (vim_is_a(device, &VirtualPCIPassthrough_type)) {
        return check_pci(device, index);
    }
    if (!kind_of(device, &kind)) {
        return NULL;
    }
    g_autofree char *path = find_path(device, kind);
    g_autofree char *property = g_strdup_printf("deviceChange[%u].device.backing.deviceName", index);
    const struct VirtualDeviceDeviceBackingInfo *backing = (const void *)device->backing;
    return path != NULL
               ? NULL
               : fault_invalid_device_backing(property, (int32_t)index,
                                              "%s: the host has no such device as \"%s\"", property,
                                              backing->deviceName != NULL ? backing->deviceName : "");
}

struct vim_fault *vm_host_device_open(const struct VirtualDevice *device, struct hypervisor_file *ret)
{
    enum host_device_kind kind;
    if (vim_is_a(device, &VirtualPCIPassthrough_type)) {
        return check_pci(device, 0);
    }
    if (!kind_of(device, &kind)) {
        return NULL;
    }
    g_autofree char *path = find_path(device, kind);
    const char *name = ((const struct VirtualDeviceDeviceBackingInfo *)device->backing)->deviceName;
    if (path == NULL) {
        return fault_invalid_device_backing("backing.deviceName", 0, "the host has no such device as \"%s\"",
                                            name != NULL ? name : "");
    }
    int flags = kind == HOST_DEVICE_CDROM ? O_RDONLY : O_RDWR;
    ret->fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* a drive may be empty, a line silent */
    ret->read_only = kind == HOST_DEVICE_CDROM;
    ret->format = kind == HOST_DEVICE_CDROM ? "host_cdrom" : "raw";
    return ret->fd >= 0 ? NULL : host_file_fault(path, -errno, "cannot be opened");
}
