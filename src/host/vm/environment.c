// SPDX-License-Identifier: Apache-2.0
/*
 * EnvironmentBrowser: what a virtual machine may be configured with here, for clients that ask before they
 * create one. The guests come from the table in guest_os.c, the limits from what the planners take.
 */
#include <stdio.h>
#include <string.h>

#include "host/vm/guest_os.h"
#include "host/vm/vm.h"
#include "host/vm/vm_host_device.h"
#include "vim/value.h"

enum {
    MEMORY_MAX_MB = 6128 << 10, /* of one machine */
    VIDEO_MIN_KB = 16 << 10,
    VIDEO_MAX_KB = 256 << 10,
    DISKS_MAX = 60 + 24 + 60 + 4, /* on all controllers */
};
#define DEFAULT_VERSION "vmx-14"

/* A machine of any of these is the same here; the number decides what other products make of its files. */
static const char *const versions[] = {"vmx-07", "vmx-08", "vmx-09", "vmx-10",
                                       "vmx-11", "vmx-12", "vmx-13", DEFAULT_VERSION};

static struct IntOption *int_option(int32_t min, int32_t max, int32_t value)
{
    struct IntOption *option = IntOption_new();
    option->min = min;
    option->max = max;
    option->defaultValue = value;
    return option;
}

static struct BoolOption *bool_option(bool supported)
{
    struct BoolOption *option = BoolOption_new();
    option->supported = supported;
    return option;
}

/* ---- guests ------------------------------------------------------------------------------------------ */

static void add_limits(struct GuestOsDescriptor *d, const struct guest_os *guest, int32_t max_cpus)
{
    const struct guest_os_profile *p = guest->profile;
    int64_t memory = guest->bits == 64 ? p->max_memory_mb : MIN(p->max_memory_mb, 64 << 10);
    d->supportedMaxCPUs = MIN(p->max_cpus, max_cpus);
    d->numSupportedPhysicalSockets = d->supportedMaxCPUs;
    d->numSupportedCoresPerSocket = d->supportedMaxCPUs;
    vim_set_optional(&d->numRecommendedPhysicalSockets, 1);
    vim_set_optional(&d->numRecommendedCoresPerSocket, 1);
    d->supportedMinMemMB = p->min_memory_mb;
    d->supportedMaxMemMB = (int32_t)MIN(memory, MEMORY_MAX_MB);
    d->recommendedMemMB = p->recommended_memory_mb;
    d->recommendedColorDepth = 24;
    d->supportedNumDisks = DISKS_MAX;
    d->recommendedDiskSizeMB = p->disk_gb << 10;
    d->numSupportedFloppyDevices = 2;
    d->vRAMSizeInKB = int_option(VIDEO_MIN_KB, VIDEO_MAX_KB, VIDEO_MIN_KB);
}

static void add_devices(struct GuestOsDescriptor *d, const struct guest_os_profile *p)
{
    static const enum guest_os_disk disks[] = {GUEST_OS_PVSCSI, GUEST_OS_SAS,  GUEST_OS_LSI,
                                               GUEST_OS_NVME,   GUEST_OS_AHCI, GUEST_OS_IDE};
    static const enum guest_os_card cards[] = {GUEST_OS_VMXNET3, GUEST_OS_E1000E, GUEST_OS_E1000,
                                               GUEST_OS_PCNET};
    for (size_t i = 0; i < G_N_ELEMENTS(disks); i++) {
        if ((p->disks & disks[i]) != 0) {
            vim_array_add_string(&d->supportedDiskControllerList, guest_os_disk_type(disks[i]));
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
        if ((p->cards & cards[i]) != 0) {
            vim_array_add_string(&d->supportedEthernetCard, guest_os_card_type(cards[i]));
        }
    }
    if ((p->disk & (GUEST_OS_LSI | GUEST_OS_SAS | GUEST_OS_PVSCSI)) != 0) {
        vim_set_string(&d->recommendedSCSIController, guest_os_disk_type(p->disk));
    }
    vim_set_string(&d->recommendedDiskController, guest_os_disk_type(p->disk));
    vim_set_string(&d->recommendedCdromController,
                   (p->disks & GUEST_OS_IDE) != 0 ? "VirtualIDEController" : "VirtualAHCIController");
    vim_set_string(&d->recommendedEthernetCard, guest_os_card_type(p->card));
    bool usb3 = (p->traits & GUEST_OS_USB3) != 0;
    vim_array_add_string(&d->supportedUSBControllerList, "VirtualUSBController");
    if (usb3) {
        vim_array_add_string(&d->supportedUSBControllerList, "VirtualUSBXHCIController");
    }
    vim_set_string(&d->recommendedUSBController, usb3 ? "VirtualUSBXHCIController" : "VirtualUSBController");
}

static struct GuestOsDescriptor *describe_guest(const struct guest_os *guest, int32_t max_cpus)
{
    const struct guest_os_profile *p = guest->profile;
    struct GuestOsDescriptor *d = GuestOsDescriptor_new();
    bool legacy = (p->traits & GUEST_OS_LEGACY) != 0, smc = (p->traits & GUEST_OS_SMC) != 0;
    d->id = g_strdup(guest->id);
    d->family = g_strdup(p->family);
    d->fullName = g_strdup(guest->full_name);
    add_limits(d, guest, max_cpus);
    add_devices(d, p);
    vim_set_optional(&d->supportsSlaveDisk, true);
    d->smcRequired = smc;
    d->smcRecommended = smc;
    d->usbRecommended = (p->traits & GUEST_OS_USB3) != 0;
    if (!smc) { /* it starts by EFI only */
        vim_array_add_string(&d->supportedFirmware, "bios");
    }
    if ((p->traits & GUEST_OS_EFI) != 0) {
        vim_array_add_string(&d->supportedFirmware, "efi");
    }
    vim_set_string(&d->recommendedFirmware, p->firmware);
    vim_set_string(&d->supportLevel, smc ? "unsupported" : legacy ? "legacy" : "supported");
    d->supportedForCreate = !smc;
    d->supportsPvscsiControllerForBoot = (p->disks & GUEST_OS_PVSCSI) != 0;
    d->supportsHotPlugPCI = !legacy;
    vim_set_optional(&d->supportsSecureBoot, (p->traits & GUEST_OS_SECURE_BOOT) != 0);
    vim_set_optional(&d->defaultSecureBoot, false);
    vim_set_optional(&d->supportsTPM20, (p->traits & GUEST_OS_TPM) != 0);
    vim_set_optional(&d->persistentMemorySupported, false);
    d->vvtdSupported = bool_option(false);
    d->vbsSupported = bool_option(false);
    return d;
}

/* ---- hardware ---------------------------------------------------------------------------------------- */

static struct ResourceAllocationOption *allocation_option(int32_t shares)
{
    struct ResourceAllocationOption *option = ResourceAllocationOption_new();
    option->sharesOption = SharesOption_new();
    option->sharesOption->sharesOption = int_option(0, 1000000, shares);
    option->sharesOption->defaultLevel = SharesLevel_normal;
    return option;
}

static void add_device_options(struct VirtualHardwareOption *hardware)
{
    static const struct {
        const char *type;
        const char *controller;
        bool hot;
    } kinds[] = {
        {"ParaVirtualSCSIController", "VirtualPCIController", true},
        {"VirtualAHCIController", "VirtualPCIController", false},
        {"VirtualCdrom", "VirtualIDEController", false},
        {"VirtualDisk", "VirtualSCSIController", true},
        {"VirtualE1000", "VirtualPCIController", true},
        {"VirtualE1000e", "VirtualPCIController", true},
        {"VirtualEnsoniq1371", "VirtualPCIController", false},
        {"VirtualFloppy", "VirtualSIOController", false},
        {"VirtualHdAudioCard", "VirtualPCIController", false},
        {"VirtualIDEController", NULL, false},
        {"VirtualKeyboard", "VirtualPS2Controller", false},
        {"VirtualLsiLogicController", "VirtualPCIController", true},
        {"VirtualLsiLogicSASController", "VirtualPCIController", true},
        {"VirtualMachineVideoCard", "VirtualPCIController", false},
        {"VirtualNVMEController", "VirtualPCIController", true},
        {"VirtualPCIController", NULL, false},
        {"VirtualPCIPassthrough", "VirtualPCIController", false},
        {"VirtualPCNet32", "VirtualPCIController", true},
        {"VirtualPS2Controller", NULL, false},
        {"VirtualParallelPort", "VirtualSIOController", false},
        {"VirtualPointingDevice", "VirtualPS2Controller", false},
        {"VirtualSIOController", NULL, false},
        {"VirtualSerialPort", "VirtualSIOController", false},
        {"VirtualSoundBlaster16", "VirtualPCIController", false},
        {"VirtualTPM", "VirtualPCIController", false},
        {"VirtualUSBController", "VirtualPCIController", false},
        {"VirtualUSBXHCIController", "VirtualPCIController", false},
        {"VirtualVmxnet3", "VirtualPCIController", true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        /* Controllers have places that are free while the machine runs, but only adapters and disks are plugged. */
        bool controller = g_str_has_suffix(kinds[i].type, "Controller");
        struct VirtualDeviceOption *option = VirtualDeviceOption_new();
        option->type = g_strdup(kinds[i].type);
        option->controllerType = g_strdup(kinds[i].controller);
        option->plugAndPlay = kinds[i].hot && !controller;
        option->hotRemoveSupported = option->plugAndPlay;
        vim_array_add_object(&hardware->virtualDeviceOption, option);
    }
}

static struct VirtualHardwareOption *hardware_option(const char *version, int32_t max_cpus)
{
    struct VirtualHardwareOption *hardware = VirtualHardwareOption_new();
    hardware->hwVersion = (int32_t)g_ascii_strtoll(version + strlen("vmx-"), NULL, 10);
    add_device_options(hardware);
    for (int32_t n = 1; n <= max_cpus; n++) {
        vim_array_add(&hardware->numCPU, &vim_type_int, &n);
    }
    hardware->numCoresPerSocket = int_option(1, max_cpus, 1);
    hardware->memoryMB = LongOption_new();
    hardware->memoryMB->min = 4;
    hardware->memoryMB->max = MEMORY_MAX_MB;
    hardware->memoryMB->defaultValue = 32;
    hardware->numPCIControllers = int_option(1, 1, 1);
    hardware->numIDEControllers = int_option(2, 2, 2);
    hardware->numUSBControllers = int_option(0, 1, 0);
    hardware->numUSBXHCIControllers = int_option(0, 1, 0);
    hardware->numSIOControllers = int_option(1, 1, 1);
    hardware->numPS2Controllers = int_option(1, 1, 1);
    hardware->numNVDIMMControllers = int_option(0, 0, 0);
    hardware->numTPMDevices = int_option(0, 1, 0);
    hardware->resourceConfigOption = ResourceConfigOption_new();
    hardware->resourceConfigOption->cpuAllocationOption = allocation_option(1000);
    hardware->resourceConfigOption->memoryAllocationOption = allocation_option(10);
    return hardware;
}

/* Whether a guest is asked for; no list asks for all. */
static bool is_wanted(const struct EnvironmentBrowserConfigOptionQuerySpec *spec, const char *id)
{
    bool wanted = spec == NULL || spec->guestId.n == 0;
    for (uint32_t i = 0; spec != NULL && i < spec->guestId.n; i++) {
        wanted |= g_strcmp0(spec->guestId.items[i], id) == 0;
    }
    return wanted;
}

static struct vim_fault *config_option(struct host *host, const char *key,
                                       const struct EnvironmentBrowserConfigOptionQuerySpec *spec,
                                       struct VirtualMachineConfigOption **ret)
{
    const char *version = NULL;
    int32_t max_cpus = hypervisor_info(host->hypervisor)->max_cpus;
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        if (g_str_equal(versions[i], key != NULL && key[0] != '\0' ? key : DEFAULT_VERSION)) {
            version = versions[i];
        }
    }
    if (version == NULL) {
        return fault_invalid_argument("key", "there is no hardware version \"%s\" here", key);
    }
    struct VirtualMachineConfigOption *option = VirtualMachineConfigOption_new();
    option->version = g_strdup(version);
    option->description = g_strdup_printf("Hardware version %s", version + strlen("vmx-"));
    for (size_t i = 0; i < guest_os_count; i++) {
        if (is_wanted(spec, guest_os_list[i].id)) {
            if (g_str_equal(guest_os_list[i].id, "otherGuest")) {
                option->guestOSDefaultIndex = (int32_t)option->guestOSDescriptor.n;
            }
            vim_array_add_object(&option->guestOSDescriptor, describe_guest(&guest_os_list[i], max_cpus));
        }
    }
    option->hardwareOptions = hardware_option(version, max_cpus);
    option->capabilities = vm_capability(host);
    option->datastore = DatastoreOption_new();
    struct VirtualMachineConfigInfo *empty = vm_spec_new_config();
    for (uint32_t i = 0; i < empty->hardware->device.n; i++) {
        vim_array_add_object(&option->defaultDevice, vim_copy(empty->hardware->device.items[i]));
    }
    vim_free(empty);
    vim_array_add_string(&option->supportedMonitorType, "release");
    *ret = option;
    return NULL;
}

/* ---- what the host has ------------------------------------------------------------------------------- */

static void add_named(void *array, struct VirtualMachineTargetInfo *info, const char *name)
{
    info->name = g_strdup(name);
    vim_array_add_object(array, info);
}

static void add_datastores(struct host *host, struct ConfigTarget *target)
{
    g_autoptr(GPtrArray) all = host_datastores_copy(host);
    vim_read_lock(host->server->inventory);
    for (guint i = 0; i < all->len; i++) {
        const struct datastore *datastore = g_ptr_array_index(all, i);
        struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &datastore->ref);
        if (object == NULL) {
            continue;
        }
        const struct Datastore *shown = VIM_PROPERTIES(object, Datastore);
        struct VirtualMachineDatastoreInfo *info = VirtualMachineDatastoreInfo_new();
        info->datastore = vim_copy(shown->summary);
        info->capability = vim_copy(shown->capability);
        info->maxFileSize = shown->info != NULL ? shown->info->maxFileSize : 0;
        vim_set_optional(&info->maxVirtualDiskCapacity, INT64_C(62) << 40);
        info->mode = g_strdup(datastore->read_only ? "readOnly" : "readWrite");
        add_named(&target->datastore, (struct VirtualMachineTargetInfo *)info, datastore->name);
    }
    vim_read_unlock(host->server->inventory);
}

static void add_network(struct host *host, struct ConfigTarget *target)
{
    vim_read_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_NETWORK_ID);
    if (object != NULL) {
        struct VirtualMachineNetworkInfo *info = VirtualMachineNetworkInfo_new();
        info->network = vim_copy(VIM_PROPERTIES(object, Network)->summary);
        add_named(&target->network, (struct VirtualMachineTargetInfo *)info, HOST_NETWORK_NAME);
    }
    vim_read_unlock(host->server->inventory);
}

static void add_paths(void *array, enum host_device_kind kind, const struct vim_type *type)
{
    g_autoptr(GPtrArray) paths = host_device_list(kind);
    for (guint i = 0; i < paths->len; i++) {
        add_named(array, vim_new(type), g_ptr_array_index(paths, i));
    }
}

/* As the VI API numbers the parts of "0000:3b:00.1". */
static void set_address(struct HostPciDevice *pci)
{
    unsigned domain, bus, slot, function;
    if (sscanf(pci->id, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4) {
        pci->bus = (int8_t)bus;
        pci->slot = (int8_t)slot;
        pci->function = (int8_t)function;
    }
}

static void add_pci(struct host *host, struct ConfigTarget *target)
{
    g_autoptr(GPtrArray) devices = host_pci_list();
    for (guint i = 0; i < devices->len; i++) {
        const struct host_pci_device *found = g_ptr_array_index(devices, i);
        struct VirtualMachinePciPassthroughInfo *info = VirtualMachinePciPassthroughInfo_new();
        struct HostPciDevice *pci = info->pciDevice = HostPciDevice_new();
        pci->id = g_strdup(found->id);
        set_address(pci);
        pci->classId = (int16_t)found->class_id;
        pci->vendorId = (int16_t)found->vendor;
        pci->deviceId = (int16_t)found->device;
        pci->subVendorId = (int16_t)found->sub_vendor;
        pci->subDeviceId = (int16_t)found->sub_device;
        pci->vendorName = g_strdup_printf("Vendor %04x", (unsigned)found->vendor);
        pci->deviceName = g_strdup_printf("Device %04x (%s)", (unsigned)found->device,
                                          found->driver != NULL ? found->driver : "no driver");
        info->systemId = g_strdup(host->name);
        add_named(&target->pciPassthrough, (struct VirtualMachineTargetInfo *)info, found->id);
    }
}

/* ---- methods ----------------------------------------------------------------------------------------- */

static struct vim_fault *check_host(const struct vim_ref *host)
{
    return host->id == NULL || g_str_equal(host->id, HOST_ID)
               ? NULL
               : fault_invalid_argument("host", "this host is %s", HOST_ID);
}

static struct vim_fault *query_descriptor(struct vim_call *call,
                                          const struct QueryConfigOptionDescriptor_args *args,
                                          struct QueryConfigOptionDescriptor_result *ret)
{
    struct host *host = call->server->hooks_data;
    (void)args;
    for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
        struct VirtualMachineConfigOptionDescriptor *one = VirtualMachineConfigOptionDescriptor_new();
        one->key = g_strdup(versions[i]);
        one->description = g_strdup_printf("Hardware version %s", versions[i] + strlen("vmx-"));
        vim_array_add_ref(&one->host, &host->about_host);
        one->createSupported = true;
        one->defaultConfigOption = g_str_equal(versions[i], DEFAULT_VERSION);
        one->runSupported = true;
        one->upgradeSupported = true;
        vim_array_add_object(&ret->returnval, one);
    }
    return NULL;
}

static struct vim_fault *query_option(struct vim_call *call, const struct QueryConfigOption_args *args,
                                      struct QueryConfigOption_result *ret)
{
    struct vim_fault *fault = check_host(&args->host);
    return fault != NULL ? fault : config_option(call->server->hooks_data, args->key, NULL, &ret->returnval);
}

static struct vim_fault *query_option_ex(struct vim_call *call, const struct QueryConfigOptionEx_args *args,
                                         struct QueryConfigOptionEx_result *ret)
{
    struct vim_fault *fault = args->spec != NULL ? check_host(&args->spec->host) : NULL;
    return fault != NULL
               ? fault
               : config_option(call->server->hooks_data, args->spec != NULL ? args->spec->key : NULL,
                               args->spec, &ret->returnval);
}

static struct vim_fault *query_target(struct vim_call *call, const struct QueryConfigTarget_args *args,
                                      struct QueryConfigTarget_result *ret)
{
    struct host *host = call->server->hooks_data;
    struct vim_fault *fault = check_host(&args->host);
    if (fault != NULL) {
        return fault;
    }
    struct ConfigTarget *target = ConfigTarget_new();
    vim_read_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_ID);
    const struct HostHardwareSummary *hardware = VIM_PROPERTIES(object, HostSystem)->summary->hardware;
    target->numCpus = hardware->numCpuThreads;
    target->numCpuCores = hardware->numCpuCores;
    vim_read_unlock(host->server->inventory);
    target->numNumaNodes = 1;
    target->maxMemMBOptimalPerf = (int32_t)(host_memory_bytes() >> 20);
    add_datastores(host, target);
    add_network(host, target);
    add_paths(&target->cdRom, HOST_DEVICE_CDROM, &VirtualMachineCdromInfo_type);
    add_paths(&target->serial, HOST_DEVICE_SERIAL, &VirtualMachineSerialInfo_type);
    add_paths(&target->parallel, HOST_DEVICE_PARALLEL, &VirtualMachineParallelInfo_type);
    add_pci(host, target);
    ret->returnval = target;
    return NULL;
}

static struct vim_fault *query_capabilities(struct vim_call *call,
                                            const struct QueryTargetCapabilities_args *args,
                                            struct QueryTargetCapabilities_result *ret)
{
    struct host *host = call->server->hooks_data;
    struct vim_fault *fault = check_host(&args->host);
    if (fault != NULL) {
        return fault;
    }
    vim_read_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_ID);
    ret->returnval = vim_copy(VIM_PROPERTIES(object, HostSystem)->capability);
    vim_read_unlock(host->server->inventory);
    return NULL;
}

const struct EnvironmentBrowser_methods host_environment_browser_methods = {
    .QueryConfigOptionDescriptor = query_descriptor,
    .QueryConfigOption = query_option,
    .QueryConfigOptionEx = query_option_ex,
    .QueryConfigTarget = query_target,
    .QueryTargetCapabilities = query_capabilities,
};
