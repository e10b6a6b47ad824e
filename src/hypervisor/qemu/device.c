// SPDX-License-Identifier: Apache-2.0
/*
 * The planner of single devices: the way in, controllers and cards; see device.h. Disks are in drive.c, ports
 * in port.c, and where a device sits on the PCI bus in board.c.
 */
#include "hypervisor/qemu/planning.h"

#include "hypervisor/hypervisor_ops.h"
#include "vim/types.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    CONTROLLERS_MAX = 4, /* of one kind, except IDE */
    PASSTHROUGH_FIRST_KEY = 13000,
    NVME_SERIAL_MAX = 20,
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
           !vim_is_a(device->backing, &VirtualSerialPortFileBackingInfo_type) &&
           !vim_is_a(device->backing, &VirtualSerialPortDeviceBackingInfo_type);
}

void qemu_json_add_string(struct json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

void qemu_json_add_int(struct json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

void qemu_json_add_bool(struct json_object *object, const char *name, bool value)
{
    json_object_object_add(object, name, json_object_new_boolean(value));
}

struct json_object *qemu_json_device(const char *driver, const char *id, ...)
{
    struct json_object *device = json_object_new_object();
    va_list pairs;

    qemu_json_add_string(device, "driver", driver);
    qemu_json_add_string(device, "id", id);
    va_start(pairs, id);
    for (const char *name = va_arg(pairs, const char *); name != NULL; name = va_arg(pairs, const char *)) {
        qemu_json_add_string(device, name, va_arg(pairs, const char *));
    }
    va_end(pairs);
    return device;
}

static const char *label(const struct VirtualDevice *device)
{
    const struct Description *info = device->deviceInfo;
    return info != NULL && info->label != NULL ? info->label : device->vim_type->name;
}

int planning_invalid(const struct planning *planning, const char *why)
{
    return hypervisor_fail(planning->ret_message, -EINVAL, "%s (key %d) %s", label(planning->device),
                           planning->device->key, why);
}

int planning_unsupported(const struct planning *planning)
{
    return hypervisor_fail(planning->ret_message, -ENOTSUP, "%s (%s) is not available with QEMU",
                           label(planning->device), planning->device->vim_type->name);
}

void planning_add_device(const struct planning *planning, struct json_object *device)
{
    if (planning->boot_index > 0) {
        qemu_json_add_int(device, "bootindex", planning->boot_index);
    }
    g_ptr_array_add(planning->plan->devices, device);
}

void planning_add_option(const struct planning *planning, const char *option, char *value)
{
    g_ptr_array_add(planning->plan->options, g_strdup(option));
    g_ptr_array_add(planning->plan->options, value);
}

const char *planning_model(const struct planning *planning, const char *slot, int number)
{
    g_autofree char *key = g_strdup_printf("%s%d.tenkyu.virtualDev", slot, number);
    return qemu_extra(planning->config, key);
}

const struct VirtualController *planning_controller(const struct planning *planning)
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
        return planning_invalid(planning, "has a bus number beyond 3");
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
    qemu_board_place(planning->chipset, device, slot, 0);
    planning_add_device(planning, device);
    return 0;
}

static int plan_scsi_controller(const struct planning *planning)
{
    const struct VirtualController *controller = (const struct VirtualController *)planning->device;
    const char *model = planning_model(planning, "scsi", controller->busNumber);

    if (model != NULL && g_ascii_strcasecmp(model, "virtio") == 0) {
        return plan_simple_controller(planning, "virtio-scsi-pci", QEMU_SLOT_SCSI);
    }
    if (model != NULL) {
        int slot = 0;
        return plan_is_virtio_blk(planning, controller) ? controller_slot(planning, QEMU_SLOT_SCSI, &slot)
                                                        : planning_unsupported(planning);
    }
    if (vim_is_a(planning->device, &ParaVirtualSCSIController_type)) {
        return plan_simple_controller(planning, "pvscsi", QEMU_SLOT_SCSI);
    }
    if (vim_is_a(planning->device, &VirtualLsiLogicSASController_type)) {
        return plan_simple_controller(planning, "mptsas1068", QEMU_SLOT_SCSI);
    }
    if (vim_is_a(planning->device, &VirtualLsiLogicController_type)) {
        return plan_simple_controller(planning, "lsi53c895a", QEMU_SLOT_SCSI);
    }
    return planning_unsupported(planning); /* BusLogic */
}

static int plan_nvme_controller(const struct planning *planning)
{
    char serial[NVME_SERIAL_MAX + 1];
    int slot = 0;

    int error = controller_slot(planning, QEMU_SLOT_NVME, &slot);
    if (error != 0) {
        return error;
    }
    snprintf(serial, sizeof(serial), "NVME%05d", planning->device->key);
    struct json_object *device = qemu_json_device("nvme", planning->name, "serial", serial, NULL);
    qemu_board_place(planning->chipset, device, slot, 0);
    planning_add_device(planning, device);
    return 0;
}

/* USB 2 is one EHCI function and, for slow devices, three UHCI functions that share its ports. */
static int plan_usb_controller(const struct planning *planning)
{
    const struct VirtualUSBController *usb = (const struct VirtualUSBController *)planning->device;

    if (!usb->ehciEnabled.set || !usb->ehciEnabled.value) {
        struct json_object *device = qemu_json_device("piix3-usb-uhci", planning->name, NULL);
        qemu_board_place(planning->chipset, device, QEMU_SLOT_USB, 0);
        planning_add_device(planning, device);
        return 0;
    }
    struct json_object *ehci = qemu_json_device("ich9-usb-ehci1", planning->name, NULL);
    qemu_board_place(planning->chipset, ehci, QEMU_SLOT_USB, 7);
    qemu_json_add_bool(ehci, "multifunction", true);
    planning_add_device(planning, ehci);
    g_autofree char *bus = g_strconcat(planning->name, ".0", NULL);
    for (int i = 0; i < 3; i++) {
        g_autofree char *driver = g_strdup_printf("ich9-usb-uhci%d", i + 1);
        g_autofree char *name = g_strdup_printf("%s-uhci%d", planning->name, i + 1);
        struct json_object *uhci = qemu_json_device(driver, name, "masterbus", bus, NULL);
        qemu_board_place(planning->chipset, uhci, QEMU_SLOT_USB, i);
        qemu_json_add_bool(uhci, "multifunction", true);
        qemu_json_add_int(uhci, "firstport", 2 * i);
        planning_add_device(planning, uhci);
    }
    return 0;
}

static int plan_xhci_controller(const struct planning *planning)
{
    struct json_object *device = qemu_json_device("qemu-xhci", planning->name, NULL);

    qemu_board_place(planning->chipset, device, QEMU_SLOT_XHCI, 0);
    planning_add_device(planning, device);
    return 0;
}

/* Cards */

/* The guest's sound goes nowhere: the screen that clients see has no sound. */
static int plan_sound(const struct planning *planning)
{
    const struct VirtualDevice *device = planning->device;
    g_autofree char *audio = g_strdup_printf("audio-%d", device->key);
    struct json_object *card = NULL;

    planning_add_option(planning, "-audiodev", g_strdup_printf("none,id=%s", audio));
    if (vim_is_a(device, &VirtualSoundBlaster16_type)) {
        planning_add_device(planning, qemu_json_device("sb16", planning->name, "audiodev", audio, NULL));
        return 0;
    }
    bool hd = vim_is_a(device, &VirtualHdAudioCard_type);
    if (hd) {
        card = qemu_json_device(planning->chipset == QEMU_CHIPSET_Q35 ? "ich9-intel-hda" : "intel-hda",
                                planning->name, NULL);
    } else if (vim_is_a(device, &VirtualEnsoniq1371_type)) {
        card = qemu_json_device("ES1370", planning->name, "audiodev", audio, NULL);
    } else {
        return planning_unsupported(planning);
    }
    qemu_board_place(planning->chipset, card, QEMU_SLOT_SOUND, 0);
    planning_add_device(planning, card);
    if (hd) {
        g_autofree char *bus = g_strconcat(planning->name, ".0", NULL);
        g_autofree char *codec = g_strconcat(planning->name, "-codec", NULL);
        planning_add_device(planning,
                            qemu_json_device("hda-duplex", codec, "bus", bus, "audiodev", audio, NULL));
    }
    return 0;
}

/* A PCI device of the host, which the kernel's VFIO gives to QEMU. */
static int plan_passthrough(const struct planning *planning)
{
    const struct VirtualPCIPassthroughDeviceBackingInfo *backing =
        (const struct VirtualPCIPassthroughDeviceBackingInfo *)planning->device->backing;
    int32_t index = planning->device->key - PASSTHROUGH_FIRST_KEY;

    if (!vim_is_a(backing, &VirtualPCIPassthroughDeviceBackingInfo_type) || backing->id == NULL) {
        return planning_invalid(planning, "names no PCI device of the host");
    }
    if (index < 0 || index >= qemu_board_passthrough_max(planning->chipset)) {
        return planning_invalid(planning, planning->chipset == QEMU_CHIPSET_Q35
                                              ? "is beyond the eight that there is room for"
                                              : "is a second one, for which the 440BX has no room");
    }
    struct json_object *device = qemu_json_device("vfio-pci", planning->name, "host", backing->id, NULL);
    qemu_board_place(planning->chipset, device, QEMU_SLOT_PASSTHROUGH, index);
    planning_add_device(planning, device);
    return 0;
}

static int plan_device(const struct planning *planning)
{
    const struct VirtualDevice *device = planning->device;

    if (vim_is_a(device, &VirtualSCSIController_type)) {
        return plan_scsi_controller(planning);
    }
    if (vim_is_a(device, &VirtualSATAController_type)) {
        return plan_simple_controller(planning, "ich9-ahci", QEMU_SLOT_SATA);
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
    if (vim_is_a(device, &VirtualParallelPort_type)) {
        return plan_parallel(planning);
    }
    if (vim_is_a(device, &VirtualSoundCard_type)) {
        return plan_sound(planning);
    }
    if (vim_is_a(device, &VirtualTPM_type)) {
        return plan_tpm(planning);
    }
    if (vim_is_a(device, &VirtualPCIPassthrough_type)) {
        return plan_passthrough(planning);
    }
    /* The board has these anyway. VMCI has no counterpart in QEMU and no guest needs it. */
    if (vim_is_a(device, &VirtualController_type) || vim_is_a(device, &VirtualKeyboard_type) ||
        vim_is_a(device, &VirtualPointingDevice_type) || vim_is_a(device, &VirtualMachineVideoCard_type) ||
        vim_is_a(device, &VirtualMachineVMCIDevice_type)) {
        return 0;
    }
    return planning_unsupported(planning);
}

/* The files that a device must have, invented, for a plan that nobody carries out. */
static size_t invent_file(const struct VirtualDevice *device, struct qemu_file *ret)
{
    *ret = (struct qemu_file){.device_key = device->key, .fd_name = "0", .format = "socket"};
    if (vim_is_a(device, &VirtualDisk_type)) {
        ret->format = "qcow2";
    } else if (!vim_is_a(device, &VirtualTPM_type) && !vim_is_a(device, &VirtualSerialPort_type) &&
               !vim_is_a(device, &VirtualParallelPort_type)) {
        return 0;
    }
    return 1;
}

int qemu_device_check(const struct VirtualMachineConfigInfo *config, const struct VirtualDevice *device,
                      struct qemu_device_plan *ret, char **ret_message)
{
    struct qemu_file file;
    size_t n_files = invent_file(device, &file);

    return qemu_device_plan(config, device, &file, n_files, 0, ret, ret_message);
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
        .options = g_ptr_array_new_with_free_func(g_free),
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
    int error = qemu_board_chipset(config, &planning.chipset);
    if (error != 0) {
        error = hypervisor_fail(ret_message, error, "tenkyu.chipset is neither 440bx nor q35");
    } else {
        error = plan_device(&planning);
    }
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
    g_clear_pointer(&plan->options, g_ptr_array_unref);
}
