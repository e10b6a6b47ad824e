// SPDX-License-Identifier: Apache-2.0
/*
 * Device keys, unit numbers and labels, as the VI API's own products number them. A key says where a device
 * is plugged in, so a device keeps its key, and the guest its address, whatever else comes and goes.
 */
#include "host/vm/vm.h"
#include "vim/value.h"

/* Controllers: keys of a kind begin at first_key and count by bus. */
struct controller_kind {
    const struct vim_type *type;
    const char *label;
    const char *summary;
    int32_t first_key;
    int32_t buses;
    int32_t units;         /* places on one controller */
    int32_t reserved_unit; /* its own, or -1 */
    int32_t device_key;    /* of the device in unit 0 of bus 0 */
};

static const struct controller_kind controllers[] = {
    {&VirtualSCSIController_type, "SCSI controller", "SCSI", 1000, 4, 16, 7, 2000},
    {&VirtualIDEController_type, "IDE", "IDE", 200, 2, 2, -1, 3000},
    {&VirtualAHCIController_type, "SATA controller", "AHCI", 15000, 4, 30, -1, 16000},
    {&VirtualNVMEController_type, "NVME controller", "NVME", 31000, 4, 15, -1, 32000},
    {&VirtualUSBController_type, "USB controller", "USB", 7000, 1, 0, -1, 0},
    {&VirtualUSBXHCIController_type, "USB xHCI controller", "USB xHCI", 14000, 1, 0, -1, 0},
};

static const struct controller_kind *controller_kind(const struct VirtualDevice *device)
{
    for (size_t i = 0; i < G_N_ELEMENTS(controllers); i++) {
        if (vim_is_a(device, controllers[i].type)) {
            return &controllers[i];
        }
    }
    return NULL;
}

/* Devices that sit in a fixed controller of every machine, in slots of their own numbering. */
struct slot_kind {
    const struct vim_type *type;
    const char *label;
    int32_t controller_key;
    int32_t first_key;
    int32_t first_unit;
    int32_t places;
};

static const struct slot_kind slots[] = {
    {&VirtualEthernetCard_type, "Network adapter", 100, 4000, 7, 10},
    {&VirtualSerialPort_type, "Serial port", 400, 9000, 0, 4},
    {&VirtualFloppy_type, "Floppy drive", 400, 8000, 0, 2},
    {&VirtualParallelPort_type, "Parallel port", 400, 10000, 0, 3},
    {&VirtualSoundCard_type, "Sound card", 100, 5000, 18, 1},
    {&VirtualTPM_type, "Virtual TPM", 100, 11000, 28, 1},
    {&VirtualMachineVMCIDevice_type, "VMCI device", 100, 12000, 17, 1},
    {&VirtualPCIPassthrough_type, "PCI device", 100, 13000, 40, 8},
};

static const struct slot_kind *slot_kind(const struct VirtualDevice *device)
{
    for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
        if (vim_is_a(device, slots[i].type)) {
            return &slots[i];
        }
    }
    return NULL;
}

struct VirtualDevice *vm_device_by_key(const struct VirtualMachineConfigInfo *config, int32_t key)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        if (config->hardware->device.items[i]->key == key) {
            return config->hardware->device.items[i];
        }
    }
    return NULL;
}

static const struct VirtualDevice *device_at(const struct VirtualMachineConfigInfo *config,
                                             int32_t controller_key, int32_t unit,
                                             const struct VirtualDevice *except)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (device != except && device->controllerKey.set && device->controllerKey.value == controller_key &&
            device->unitNumber.set && device->unitNumber.value == unit) {
            return device;
        }
    }
    return NULL;
}

static struct vim_fault *invalid(unsigned index, const char *member, const char *why)
{
    g_autofree char *property = g_strdup_printf("deviceChange[%u].device.%s", index, member);
    return fault_invalid_device_spec(property, (int32_t)index, "%s: %s", property, why);
}

static struct vim_fault *place_controller(struct VirtualMachineConfigInfo *config,
                                          struct VirtualDevice *device, const struct controller_kind *kind,
                                          unsigned index)
{
    struct VirtualController *controller = (struct VirtualController *)device;
    if (controller->busNumber < 0 || controller->busNumber >= kind->buses) {
        return invalid(index, "busNumber", "there is no such bus");
    }
    if (vm_device_by_key(config, kind->first_key + controller->busNumber) != NULL) {
        return invalid(index, "busNumber", "the bus has a controller already");
    }
    device->key = kind->first_key + controller->busNumber;
    vim_set_optional(&device->controllerKey, 100);
    if (vim_is_a(device, &VirtualSCSIController_type)) {
        vim_set_optional(&device->unitNumber, 3 + controller->busNumber);
        vim_set_optional(&((struct VirtualSCSIController *)device)->scsiCtlrUnitNumber, 7);
        vim_set_optional(&((struct VirtualSCSIController *)device)->hotAddRemove, true);
    } else {
        device->unitNumber.set = false;
    }
    return NULL;
}

/* A disk or CD drive on a controller. */
static struct vim_fault *place_on_controller(struct VirtualMachineConfigInfo *config,
                                             struct VirtualDevice *device, unsigned index)
{
    g_autofree char *property = g_strdup_printf("deviceChange[%u].device.controllerKey", index);
    const struct VirtualDevice *controller =
        device->controllerKey.set ? vm_device_by_key(config, device->controllerKey.value) : NULL;
    const struct controller_kind *kind = controller != NULL ? controller_kind(controller) : NULL;
    if (controller == NULL) {
        return fault_missing_controller(property, (int32_t)index, "%s names no controller of the machine",
                                        property);
    }
    if (kind == NULL || kind->units == 0) {
        return fault_invalid_controller(property, (int32_t)index, controller->key,
                                        "%s: this controller takes no disks", property);
    }
    int32_t unit = device->unitNumber.set ? device->unitNumber.value : -1;
    for (int32_t n = 0; unit < 0 && n < kind->units; n++) {
        if (n != kind->reserved_unit && device_at(config, controller->key, n, device) == NULL) {
            unit = n;
        }
    }
    if (unit < 0) {
        return invalid(index, "controllerKey", "the controller is full");
    }
    if (unit >= kind->units || unit == kind->reserved_unit) {
        return invalid(index, "unitNumber", "the controller has no such unit");
    }
    if (device_at(config, controller->key, unit, device) != NULL) {
        return invalid(index, "unitNumber", "another device has this unit");
    }
    vim_set_optional(&device->unitNumber, unit);
    int32_t per_bus = kind->first_key == 200 ? 2 : kind->units;
    device->key = kind->device_key + (controller->key - kind->first_key) * per_bus + unit;
    return NULL;
}

static struct vim_fault *place_in_slot(struct VirtualMachineConfigInfo *config, struct VirtualDevice *device,
                                       const struct slot_kind *kind, unsigned index)
{
    for (int32_t n = 0; n < kind->places; n++) {
        const struct VirtualDevice *known = vm_device_by_key(config, kind->first_key + n);
        if (known == NULL || known == device) {
            device->key = kind->first_key + n;
            vim_set_optional(&device->controllerKey, kind->controller_key);
            vim_set_optional(&device->unitNumber, kind->first_unit + n);
            return NULL;
        }
    }
    return invalid(index, "key", "the machine has as many devices of this kind as it can have");
}

struct vim_fault *vm_device_place(struct VirtualMachineConfigInfo *config, struct VirtualDevice *device,
                                  unsigned index)
{
    const struct controller_kind *controller = controller_kind(device);
    const struct slot_kind *slot = slot_kind(device);
    if (controller != NULL && controller->first_key != 200) {
        return place_controller(config, device, controller, index);
    }
    if (slot != NULL) {
        return place_in_slot(config, device, slot, index);
    }
    if (vim_is_a(device, &VirtualDisk_type) || vim_is_a(device, &VirtualCdrom_type)) {
        return place_on_controller(config, device, index);
    }
    return fault_device_not_supported(device->vim_type->name, "not supported",
                                      "deviceChange[%u].device: %s cannot be added", index,
                                      device->vim_type->name);
}

/* ---- labels ----------------------------------------------------------------------------------------- */

static void describe(struct VirtualDevice *device, const char *label, const char *summary)
{
    if (device->deviceInfo == NULL) {
        device->deviceInfo = Description_new();
    }
    vim_set_string(&device->deviceInfo->label, label);
    vim_set_string(&device->deviceInfo->summary, summary);
}

static void describe_disk(struct VirtualDevice *device)
{
    const struct VirtualDisk *disk = (const struct VirtualDisk *)device;
    /* Disks count through all controllers in the order of their keys; a label only has to be unique. */
    g_autofree char *label = g_strdup_printf("Hard disk %d", device->key);
    g_autofree char *summary = g_strdup_printf("%'" G_GINT64_FORMAT " KB", disk->capacityInKB);
    describe(device, label, summary);
}

static const char *backing_summary(const struct VirtualDevice *device)
{
    if (vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
        return ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName;
    }
    if (vim_is_a(device->backing, &VirtualDeviceDeviceBackingInfo_type)) {
        return ((const struct VirtualDeviceDeviceBackingInfo *)device->backing)->deviceName;
    }
    if (vim_is_a(device->backing, &VirtualDeviceURIBackingInfo_type)) {
        return ((const struct VirtualDeviceURIBackingInfo *)device->backing)->serviceURI;
    }
    return "";
}

void vm_device_describe(struct VirtualDevice *device)
{
    static const struct {
        int32_t key;
        const char *label;
    } fixed[] = {{100, "PCI controller 0"}, {300, "PS2 controller 0"}, {400, "SIO controller 0"},
                 {500, "Video card"},       {600, "Keyboard"},         {700, "Pointing device"}};
    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++) {
        if (device->key == fixed[i].key) {
            describe(device, fixed[i].label, fixed[i].label);
            return;
        }
    }
    const struct controller_kind *controller = controller_kind(device);
    const struct slot_kind *slot = slot_kind(device);
    if (vim_is_a(device, &VirtualDisk_type)) {
        describe_disk(device);
    } else if (controller != NULL) {
        g_autofree char *label =
            g_strdup_printf("%s %d", controller->label, ((struct VirtualController *)device)->busNumber);
        describe(device, label, controller->summary);
    } else if (slot != NULL) {
        g_autofree char *label = g_strdup_printf("%s %d", slot->label, device->key - slot->first_key + 1);
        describe(device, label, backing_summary(device));
    } else if (vim_is_a(device, &VirtualCdrom_type)) {
        g_autofree char *label = g_strdup_printf("CD/DVD drive %d", device->key - 3000 + 1);
        describe(device, label, backing_summary(device));
    } else if (device->deviceInfo == NULL) {
        describe(device, device->vim_type->name, device->vim_type->name);
    }
}

/* Numbers the disks' labels and rebuilds what each controller lists. */
void vm_device_link(struct VirtualMachineConfigInfo *config)
{
    unsigned disks = 0;
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device, &VirtualDisk_type) && device->deviceInfo != NULL) {
            g_free(device->deviceInfo->label);
            device->deviceInfo->label = g_strdup_printf("Hard disk %u", ++disks);
        }
        if (!vim_is_a(device, &VirtualController_type)) {
            continue;
        }
        struct VirtualController *controller = (struct VirtualController *)device;
        while (controller->device.n > 0) {
            vim_array_remove(&controller->device, &vim_type_int, controller->device.n - 1);
        }
        for (uint32_t k = 0; k < config->hardware->device.n; k++) {
            const struct VirtualDevice *other = config->hardware->device.items[k];
            if (other->controllerKey.set && other->controllerKey.value == device->key) {
                vim_array_add(&controller->device, &vim_type_int, &other->key);
            }
        }
    }
}
