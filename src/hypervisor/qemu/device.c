// SPDX-License-Identifier: Apache-2.0
/*
 * The planner of single devices; see device.h.
 *
 * The slots of the one PCI bus of a 440BX, which the keys and bus numbers of the VI API just fill:
 *
 *    0  host bridge                  6 ..  9  SCSI controllers, by bus number
 *    1  PIIX3: ISA, IDE, ACPI       10 .. 13  SATA controllers
 *    2  video card                  14 .. 17  NVMe controllers
 *    3  balloon                          18  USB 1 and 2
 *    4  channels                         19  USB 3
 *    5  random numbers              20 .. 29  network adapters, by key from 4000
 */
#include "hypervisor/qemu/device.h"

#include "hypervisor/hypervisor_ops.h"
#include "vim/types.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SLOT_SCSI = 6,
    SLOT_SATA = 10,
    SLOT_NVME = 14,
    SLOT_USB = 18,
    SLOT_XHCI = 19,
    SLOT_NETWORK = 20,
    CONTROLLERS_MAX = 4, /* of one kind, except IDE */
    IDE_CONTROLLERS_MAX = 2,
    NETWORK_MAX = 10,
    NETWORK_FIRST_KEY = 4000,
    NETWORK_FIRST_UNIT = 7, /* a VI API unit number: those below belong to the fixed devices */
    SERIAL_FIRST_KEY = 9000,
    SERIAL_MAX = 4,
    FLOPPY_FIRST_KEY = 8000,
    FLOPPY_MAX = 2,
    SERIAL_NUMBER_MAX = 20, /* what IDE and NVMe carry */
};

void qemu_device_name(int32_t key, char out[static QEMU_NAME_SIZE])
{
    snprintf(out, QEMU_NAME_SIZE, "dev-%d", key);
}

void qemu_node_name(int32_t key, char out[static QEMU_NAME_SIZE])
{
    snprintf(out, QEMU_NAME_SIZE, "disk-%d", key);
}

void qemu_netdev_name(int32_t key, char out[static QEMU_NAME_SIZE])
{
    snprintf(out, QEMU_NAME_SIZE, "net-%d", key);
}

void qemu_chardev_name(int32_t key, char out[static QEMU_NAME_SIZE])
{
    snprintf(out, QEMU_NAME_SIZE, "char-%d", key);
}

int32_t qemu_device_key(const char *name)
{
    int key, end = 0;
    return sscanf(name, "dev-%d%n", &key, &end) == 1 && name[end] == '\0' ? key : 0;
}

int32_t qemu_node_key(const char *name)
{
    int key;
    return sscanf(name, "disk-%d", &key) == 1 || sscanf(name, "file-%d", &key) == 1 ? key : 0;
}

bool qemu_serial_is_socket(const struct VirtualDevice *device)
{
    return vim_is_a(device, &VirtualSerialPort_type) &&
           !vim_is_a(device->backing, &VirtualSerialPortFileBackingInfo_type);
}

static void add_string(struct json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

static void add_int(struct json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

static void add_bool(struct json_object *object, const char *name, bool value)
{
    json_object_object_add(object, name, json_object_new_boolean(value));
}

struct json_object *qemu_json_device(const char *driver, const char *id, ...)
{
    struct json_object *device = json_object_new_object();
    va_list pairs;

    add_string(device, "driver", driver);
    add_string(device, "id", id);
    va_start(pairs, id);
    for (const char *name = va_arg(pairs, const char *); name != NULL; name = va_arg(pairs, const char *)) {
        add_string(device, name, va_arg(pairs, const char *));
    }
    va_end(pairs);
    return device;
}

void qemu_json_pci(struct json_object *device, int slot, int function)
{
    char address[16];

    snprintf(address, sizeof(address), "%x.%x", (unsigned int)slot, (unsigned int)function);
    add_string(device, "bus", "pci.0");
    add_string(device, "addr", address);
}

/* What the planning of one device needs, to keep parameter lists short. Everything is borrowed. */
struct planning {
    const struct VirtualMachineConfigInfo *config;
    const struct VirtualDevice *device;
    const struct qemu_file *files;
    size_t n_files;
    int boot_index;
    struct qemu_device_plan *plan;
    char **ret_message;
    char name[QEMU_NAME_SIZE]; /* of the device */
};

static const char *label(const struct VirtualDevice *device)
{
    const struct Description *info = device->deviceInfo;
    return info != NULL && info->label != NULL ? info->label : device->vim_type->name;
}

static int invalid(const struct planning *planning, const char *why)
{
    return hypervisor_fail(planning->ret_message, -EINVAL, "%s (key %d) %s", label(planning->device),
                           planning->device->key, why);
}

static int unsupported(const struct planning *planning)
{
    return hypervisor_fail(planning->ret_message, -ENOTSUP, "%s (%s) is not available with QEMU",
                           label(planning->device), planning->device->vim_type->name);
}

/* Puts a device_add argument into the plan, which owns it from now on. */
static void add_device(const struct planning *planning, struct json_object *device)
{
    if (planning->boot_index > 0) {
        add_int(device, "bootindex", planning->boot_index);
    }
    g_ptr_array_add(planning->plan->devices, device);
}

static const struct VirtualController *find_controller(const struct planning *planning)
{
    const struct VirtualHardware *hardware = planning->config->hardware;

    for (uint32_t i = 0; planning->device->controllerKey.set && i < hardware->device.n; i++) {
        const struct VirtualDevice *device = hardware->device.items[i];
        if (device->key == planning->device->controllerKey.value &&
            vim_is_a(device, &VirtualController_type)) {
            return (const struct VirtualController *)device;
        }
    }
    return NULL;
}

/* Controllers */

/* The slot of a controller of a kind that has one slot for each bus number. */
static int controller_slot(const struct planning *planning, int first_slot, int *ret_slot)
{
    int32_t bus = ((const struct VirtualController *)planning->device)->busNumber;

    if (bus < 0 || bus >= CONTROLLERS_MAX) {
        return invalid(planning, "has a bus number beyond 3");
    }
    *ret_slot = first_slot + bus;
    return 0;
}

static int plan_simple_controller(const struct planning *planning, const char *driver, int first_slot)
{
    int slot = 0;

    int error = controller_slot(planning, first_slot, &slot);
    if (error != 0) {
        return error;
    }
    struct json_object *device = qemu_json_device(driver, planning->name, NULL);
    qemu_json_pci(device, slot, 0);
    add_device(planning, device);
    return 0;
}

static int plan_scsi_controller(const struct planning *planning)
{
    if (vim_is_a(planning->device, &ParaVirtualSCSIController_type)) {
        return plan_simple_controller(planning, "pvscsi", SLOT_SCSI);
    }
    if (vim_is_a(planning->device, &VirtualLsiLogicSASController_type)) {
        return plan_simple_controller(planning, "mptsas1068", SLOT_SCSI);
    }
    if (vim_is_a(planning->device, &VirtualLsiLogicController_type)) {
        return plan_simple_controller(planning, "lsi53c895a", SLOT_SCSI);
    }
    return unsupported(planning); /* BusLogic */
}

static int plan_nvme_controller(const struct planning *planning)
{
    char serial[SERIAL_NUMBER_MAX + 1];
    int slot = 0;

    int error = controller_slot(planning, SLOT_NVME, &slot);
    if (error != 0) {
        return error;
    }
    snprintf(serial, sizeof(serial), "NVME%05d", planning->device->key);
    struct json_object *device = qemu_json_device("nvme", planning->name, "serial", serial, NULL);
    qemu_json_pci(device, slot, 0);
    add_device(planning, device);
    return 0;
}

/* USB 2 is one EHCI function and, for slow devices, three UHCI functions that share its ports. */
static int plan_usb_controller(const struct planning *planning)
{
    const struct VirtualUSBController *usb = (const struct VirtualUSBController *)planning->device;

    if (!usb->ehciEnabled.set || !usb->ehciEnabled.value) {
        struct json_object *device = qemu_json_device("piix3-usb-uhci", planning->name, NULL);
        qemu_json_pci(device, SLOT_USB, 0);
        add_device(planning, device);
        return 0;
    }
    struct json_object *ehci = qemu_json_device("ich9-usb-ehci1", planning->name, NULL);
    qemu_json_pci(ehci, SLOT_USB, 7);
    add_bool(ehci, "multifunction", true);
    add_device(planning, ehci);
    g_autofree char *bus = g_strconcat(planning->name, ".0", NULL);
    for (int i = 0; i < 3; i++) {
        g_autofree char *driver = g_strdup_printf("ich9-usb-uhci%d", i + 1);
        g_autofree char *name = g_strdup_printf("%s-uhci%d", planning->name, i + 1);
        struct json_object *uhci = qemu_json_device(driver, name, "masterbus", bus, NULL);
        qemu_json_pci(uhci, SLOT_USB, i);
        add_bool(uhci, "multifunction", true);
        add_int(uhci, "firstport", 2 * i);
        add_device(planning, uhci);
    }
    return 0;
}

static int plan_xhci_controller(const struct planning *planning)
{
    struct json_object *device = qemu_json_device("qemu-xhci", planning->name, NULL);

    qemu_json_pci(device, SLOT_XHCI, 0);
    add_device(planning, device);
    return 0;
}

/* Drives */

/* The chain of block nodes of a drive: one JSON object in which each image holds its parent. The last has
 * "backing": null, so that QEMU never opens the file that an image's header names. */
static int plan_nodes(const struct planning *planning, bool discard)
{
    struct json_object *chain = NULL;

    for (size_t i = planning->n_files; i-- > 0;) {
        const struct qemu_file *file = &planning->files[i];
        bool qcow2 = g_strcmp0(file->format, "qcow2") == 0;
        if (!qcow2 && (g_strcmp0(file->format, "raw") != 0 || i + 1 < planning->n_files)) {
            json_object_put(chain);
            return invalid(planning, "has a disk file of an unknown format");
        }
        bool read_only = file->read_only || i > 0;
        g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, file->fdset);
        g_autofree char *suffix = i > 0 ? g_strdup_printf("-%zu", i) : g_strdup("");
        g_autofree char *node = g_strdup_printf("disk-%d%s", planning->device->key, suffix);
        g_autofree char *protocol_node = g_strdup_printf("file-%d%s", planning->device->key, suffix);

        struct json_object *protocol = json_object_new_object();
        add_string(protocol, "driver", "file");
        add_string(protocol, "node-name", protocol_node);
        add_string(protocol, "filename", path);
        add_bool(protocol, "read-only", read_only);
        struct json_object *image = json_object_new_object();
        add_string(image, "driver", qcow2 ? "qcow2" : "raw");
        add_string(image, "node-name", node);
        add_bool(image, "read-only", read_only);
        if (discard && !read_only) {
            add_string(protocol, "discard", "unmap");
            add_string(image, "discard", "unmap");
        }
        json_object_object_add(image, "file", protocol);
        if (qcow2) {
            json_object_object_add(image, "backing", chain);
        }
        chain = image;
    }
    if (chain != NULL) {
        g_ptr_array_add(planning->plan->blockdevs, chain);
    }
    return 0;
}

static const char *disk_uuid(const struct VirtualDevice *device)
{
    if (vim_is_a(device->backing, &VirtualDiskFlatVer2BackingInfo_type)) {
        return ((const struct VirtualDiskFlatVer2BackingInfo *)device->backing)->uuid;
    }
    if (vim_is_a(device->backing, &VirtualDiskSparseVer2BackingInfo_type)) {
        return ((const struct VirtualDiskSparseVer2BackingInfo *)device->backing)->uuid;
    }
    if (vim_is_a(device->backing, &VirtualDiskSeSparseBackingInfo_type)) {
        return ((const struct VirtualDiskSeSparseBackingInfo *)device->backing)->uuid;
    }
    return NULL;
}

/* The serial number that the guest sees. Always given: QEMU's own would count the drives in order. */
static void add_serial_number(const struct planning *planning, struct json_object *drive)
{
    const struct VirtualMachineFlagInfo *flags = planning->config->flags;
    const char *uuid = disk_uuid(planning->device);
    char serial[SERIAL_NUMBER_MAX + 1];
    size_t length = 0;

    if (flags != NULL && flags->diskUuidEnabled.value && uuid != NULL) {
        for (; *uuid != '\0' && length < SERIAL_NUMBER_MAX; uuid++) {
            if (g_ascii_isxdigit(*uuid)) {
                serial[length++] = g_ascii_tolower(*uuid);
            }
        }
        serial[length] = '\0';
    }
    if (length == 0) {
        snprintf(serial, sizeof(serial), "%08d", planning->device->key);
    }
    add_string(drive, "serial", serial);
}

/* SAS addresses a disk by its name (NAA type 5), without which Linux sees none. FNV-1a of what is unique
 * to the disk and stays. */
static void add_world_wide_name(const struct planning *planning, struct json_object *drive)
{
    const char *uuid = disk_uuid(planning->device);
    g_autofree char *text =
        g_strdup_printf("%s/%d", uuid != NULL ? uuid : planning->config->uuid, planning->device->key);
    uint64_t hash = 0xcbf29ce484222325u;

    for (const char *at = text; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    }
    add_int(drive, "wwn", (int64_t)(0x5000000000000000u | hash >> 4));
}

static int plan_scsi_drive(const struct planning *planning, const struct VirtualController *controller,
                           bool cd, struct json_object **ret)
{
    bool paravirtual = vim_is_a(controller, &ParaVirtualSCSIController_type);
    bool sas = vim_is_a(controller, &VirtualLsiLogicSASController_type);
    int32_t unit = planning->device->unitNumber.value;
    int32_t last = paravirtual ? 15 : sas ? 7 : 6; /* unit 7 of parallel SCSI is the controller itself */

    if (unit < 0 || unit > last) {
        return invalid(planning, "has a unit number that its SCSI controller does not reach");
    }
    g_autofree char *bus = g_strdup_printf("dev-%d.0", controller->key);
    struct json_object *drive =
        qemu_json_device(cd ? "scsi-cd" : "scsi-hd", planning->name, "bus", bus, NULL);
    add_int(drive, "channel", 0);
    add_int(drive, "scsi-id", unit);
    add_int(drive, "lun", 0);
    if (sas) {
        add_world_wide_name(planning, drive);
    }
    *ret = drive;
    return 0;
}

static int plan_ata_drive(const struct planning *planning, const struct VirtualController *controller,
                          bool cd, struct json_object **ret)
{
    bool sata = vim_is_a(controller, &VirtualSATAController_type);
    int32_t unit = planning->device->unitNumber.value;

    if (unit < 0 || unit > (sata ? 5 : 1)) {
        return invalid(planning, sata ? "has a unit number beyond 5, the last port of a SATA controller"
                                      : "has a unit number beyond 1, the second drive of an IDE controller");
    }
    if (!sata && (controller->busNumber < 0 || controller->busNumber >= IDE_CONTROLLERS_MAX)) {
        return invalid(planning, "sits on an IDE controller beyond the second");
    }
    g_autofree char *bus = sata ? g_strdup_printf("dev-%d.%d", controller->key, unit)
                                : g_strdup_printf("ide.%d", controller->busNumber);
    struct json_object *drive = qemu_json_device(cd ? "ide-cd" : "ide-hd", planning->name, "bus", bus, NULL);
    add_int(drive, "unit", sata ? 0 : unit);
    *ret = drive;
    return 0;
}

static int plan_nvme_drive(const struct planning *planning, const struct VirtualController *controller,
                           bool cd, struct json_object **ret)
{
    int32_t unit = planning->device->unitNumber.value;

    if (cd || unit < 0 || unit > 63) {
        return invalid(planning, "cannot sit there on an NVMe controller");
    }
    g_autofree char *bus = g_strdup_printf("dev-%d", controller->key);
    struct json_object *drive = qemu_json_device("nvme-ns", planning->name, "bus", bus, NULL);
    add_int(drive, "nsid", unit + 1);
    *ret = drive;
    return 0;
}

/* A disk or a CD drive on its controller. */
static int plan_drive(const struct planning *planning, bool cd)
{
    const struct VirtualController *controller = find_controller(planning);
    struct json_object *drive = NULL;
    char node[QEMU_NAME_SIZE];
    bool nvme = vim_is_a(controller, &VirtualNVMEController_type);
    int error;

    if (!cd && planning->n_files == 0) {
        return invalid(planning, "has no file");
    }
    if (vim_is_a(controller, &VirtualSCSIController_type)) {
        error = plan_scsi_drive(planning, controller, cd, &drive);
    } else if (vim_is_a(controller, &VirtualIDEController_type) ||
               vim_is_a(controller, &VirtualSATAController_type)) {
        error = plan_ata_drive(planning, controller, cd, &drive);
    } else if (nvme) {
        error = plan_nvme_drive(planning, controller, cd, &drive);
    } else {
        error = invalid(planning, "has no controller");
    }
    if (error != 0) {
        return error;
    }
    if (!nvme) { /* an NVMe controller carries the serial number, and leaves errors to the guest */
        add_serial_number(planning, drive);
        add_string(drive, "werror", "stop");
        add_string(drive, "rerror", cd ? "report" : "stop");
    }
    if (planning->n_files > 0) {
        qemu_node_name(planning->device->key, node);
        add_string(drive, "drive", node);
    }
    add_device(planning, drive);
    return plan_nodes(planning, !cd);
}

static int plan_floppy(const struct planning *planning)
{
    int32_t unit = planning->device->key - FLOPPY_FIRST_KEY;
    char node[QEMU_NAME_SIZE];

    if (unit < 0 || unit >= FLOPPY_MAX) {
        return invalid(planning, "is a third floppy drive");
    }
    struct json_object *drive = qemu_json_device("floppy", planning->name, "drive-type", "144", NULL);
    add_int(drive, "unit", unit);
    if (planning->n_files > 0) {
        qemu_node_name(planning->device->key, node);
        add_string(drive, "drive", node);
    }
    add_device(planning, drive);
    return plan_nodes(planning, false);
}

/* Network adapters and serial ports */

static const char *network_driver(const struct VirtualDevice *device)
{
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

static int plan_network(const struct planning *planning)
{
    const struct VirtualEthernetCard *card = (const struct VirtualEthernetCard *)planning->device;
    const char *driver = network_driver(planning->device);
    char netdev_name[QEMU_NAME_SIZE];
    int32_t index = card->key - NETWORK_FIRST_KEY;

    if (driver == NULL) {
        return unsupported(planning);
    }
    if ((index < 0 || index >= NETWORK_MAX) && card->unitNumber.set) {
        index = card->unitNumber.value - NETWORK_FIRST_UNIT;
    }
    if (index < 0 || index >= NETWORK_MAX) {
        return invalid(planning, "is beyond the ten network adapters that there is room for");
    }
    const struct qemu_file *file = planning->n_files > 0 ? &planning->files[0] : NULL;
    if (file != NULL && g_strcmp0(file->format, "tap") != 0) {
        return invalid(planning, "has a file that is not a tap");
    }
    qemu_netdev_name(card->key, netdev_name);
    struct json_object *netdev = json_object_new_object();
    add_string(netdev, "type", file != NULL ? "tap" : "user");
    add_string(netdev, "id", netdev_name);
    if (file != NULL) {
        add_string(netdev, "fd", file->fd_name);
        add_bool(netdev, "vhost", false);
    }
    planning->plan->netdev = netdev;

    struct json_object *device = qemu_json_device(driver, planning->name, "netdev", netdev_name, NULL);
    if (card->macAddress != NULL && card->macAddress[0] != '\0') {
        add_string(device, "mac", card->macAddress);
    }
    qemu_json_pci(device, SLOT_NETWORK + index, 0);
    add_device(planning, device);
    return 0;
}

static int plan_serial(const struct planning *planning)
{
    int32_t index = planning->device->key - SERIAL_FIRST_KEY;
    const struct VirtualDeviceConnectInfo *connectable = planning->device->connectable;
    char chardev[QEMU_NAME_SIZE];

    if (index < 0 || index >= SERIAL_MAX) {
        return invalid(planning, "is beyond the four serial ports that there is room for");
    }
    qemu_chardev_name(planning->device->key, chardev);
    if (planning->n_files > 0 && qemu_serial_is_socket(planning->device)) {
        planning->plan->chardev =
            g_strdup_printf("socket,id=%s,fd=%s,server=on,wait=off", chardev, planning->files[0].fd_name);
    } else if (planning->n_files > 0) {
        planning->plan->chardev = g_strdup_printf("file,id=%s,path=/dev/fdset/%" G_GINT64_FORMAT ",append=on",
                                                  chardev, planning->files[0].fdset);
    } else if (connectable == NULL || connectable->startConnected) {
        return invalid(planning, "has nothing to write to");
    } else {
        planning->plan->chardev = g_strdup_printf("null,id=%s", chardev);
    }
    struct json_object *device = qemu_json_device("isa-serial", planning->name, "chardev", chardev, NULL);
    add_int(device, "index", index);
    add_device(planning, device);
    return 0;
}

static int plan_device(const struct planning *planning)
{
    const struct VirtualDevice *device = planning->device;

    if (vim_is_a(device, &VirtualSCSIController_type)) {
        return plan_scsi_controller(planning);
    }
    if (vim_is_a(device, &VirtualSATAController_type)) {
        return plan_simple_controller(planning, "ich9-ahci", SLOT_SATA);
    }
    if (vim_is_a(device, &VirtualNVMEController_type)) {
        return plan_nvme_controller(planning);
    }
    if (vim_is_a(device, &VirtualUSBController_type)) {
        return plan_usb_controller(planning);
    }
    if (vim_is_a(device, &VirtualUSBXHCIController_type)) {
        return plan_xhci_controller(planning);
    }
    if (vim_is_a(device, &VirtualDisk_type) || vim_is_a(device, &VirtualCdrom_type)) {
        return plan_drive(planning, vim_is_a(device, &VirtualCdrom_type));
    }
    if (vim_is_a(device, &VirtualFloppy_type)) {
        return plan_floppy(planning);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        return plan_network(planning);
    }
    if (vim_is_a(device, &VirtualSerialPort_type)) {
        return plan_serial(planning);
    }
    /* The board has these anyway. VMCI has no counterpart in QEMU and no guest needs it. */
    if (vim_is_a(device, &VirtualController_type) || vim_is_a(device, &VirtualKeyboard_type) ||
        vim_is_a(device, &VirtualPointingDevice_type) || vim_is_a(device, &VirtualMachineVideoCard_type) ||
        vim_is_a(device, &VirtualMachineVMCIDevice_type)) {
        return 0;
    }
    return unsupported(planning);
}

static void put_object(void *object)
{
    json_object_put(object);
}

int qemu_device_plan(const struct VirtualMachineConfigInfo *config, const struct VirtualDevice *device,
                     const struct qemu_file *files, size_t n_files, int boot_index,
                     struct qemu_device_plan *ret, char **ret_message)
{
    struct qemu_device_plan plan = {
        .blockdevs = g_ptr_array_new_with_free_func(put_object),
        .devices = g_ptr_array_new_with_free_func(put_object),
    };
    struct planning planning = {
        .config = config,
        .device = device,
        .files = files,
        .n_files = n_files,
        .boot_index = boot_index,
        .plan = &plan,
        .ret_message = ret_message,
    };

    qemu_device_name(device->key, planning.name);
    int error = plan_device(&planning);
    if (error != 0) {
        qemu_device_plan_clear(&plan);
        return error;
    }
    *ret = plan;
    return 0;
}

void qemu_device_plan_clear(struct qemu_device_plan *plan)
{
    g_clear_pointer(&plan->blockdevs, g_ptr_array_unref);
    g_clear_pointer(&plan->devices, g_ptr_array_unref);
    json_object_put(g_steal_pointer(&plan->netdev));
    g_clear_pointer(&plan->chardev, g_free);
}
