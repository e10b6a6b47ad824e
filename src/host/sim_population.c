// SPDX-License-Identifier: Apache-2.0
/*
 * Invented virtual machines. See sim_population.h. What they show is what a created machine with a disk, a
 * network adapter and a CD drive shows.
 */
#include "host/sim_population.h"

#include "host/vm/guest_os.h"
#include "host/vm/vm.h"
#include "vim/value.h"

static void place(struct VirtualMachineConfigInfo *config, void *device)
{
    struct VirtualDevice *added = device;
    struct vim_fault *fault = vm_device_place(config, added, 0);
    g_assert(fault == NULL);
    vim_array_add_object(&config->hardware->device, added);
    vm_device_describe(added);
}

static struct VirtualDisk *disk(const char *name)
{
    struct VirtualDisk *disk = VirtualDisk_new();
    struct VirtualDiskFlatVer2BackingInfo *backing = VirtualDiskFlatVer2BackingInfo_new();
    backing->fileName = g_strdup_printf("[datastore1] %s/%s.vmdk", name, name);
    backing->datastore = vim_ref_make(&Datastore_type, "datastore-1");
    backing->diskMode = g_strdup("persistent");
    vim_set_optional(&backing->thinProvisioned, true);
    disk->backing = (struct VirtualDeviceBackingInfo *)backing;
    disk->capacityInKB = 10 << 20;
    vim_set_optional(&disk->capacityInBytes, INT64_C(10) << 30);
    vim_set_optional(&disk->controllerKey, 1000);
    return disk;
}

static struct VirtualVmxnet3 *adapter(unsigned n)
{
    struct VirtualVmxnet3 *card = VirtualVmxnet3_new();
    struct VirtualEthernetCardNetworkBackingInfo *backing = VirtualEthernetCardNetworkBackingInfo_new();
    backing->deviceName = g_strdup(HOST_NETWORK_NAME);
    backing->network = vim_ref_make(&Network_type, HOST_NETWORK_ID);
    card->backing = (struct VirtualDeviceBackingInfo *)backing;
    card->connectable = VirtualDeviceConnectInfo_new();
    card->connectable->startConnected = card->connectable->connected = true;
    card->addressType = g_strdup("generated");
    card->macAddress = g_strdup_printf("00:0c:29:%02x:%02x:%02x", n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff);
    return card;
}

static struct VirtualCdrom *cdrom(void)
{
    struct VirtualCdrom *cdrom = VirtualCdrom_new();
    struct VirtualCdromRemotePassthroughBackingInfo *backing = VirtualCdromRemotePassthroughBackingInfo_new();
    backing->deviceName = g_strdup("");
    cdrom->backing = (struct VirtualDeviceBackingInfo *)backing;
    cdrom->connectable = VirtualDeviceConnectInfo_new();
    vim_set_optional(&cdrom->controllerKey, 201);
    return cdrom;
}

static struct VirtualMachineConfigInfo *config_of(unsigned n, const char *name)
{
    struct VirtualMachineConfigInfo *config = vm_spec_new_config();
    config->name = g_strdup(name);
    g_free(config->uuid);
    g_free(config->instanceUuid);
    config->modified = INT64_C(1700000000000000);
    config->uuid = g_strdup_printf("564d0000-0000-4000-8000-%012x", n);
    config->instanceUuid = g_strdup_printf("52000000-0000-4000-8000-%012x", n);
    config->files->vmPathName = g_strdup_printf("[datastore1] %s/%s.vmx", name, name);
    vim_set_string(&config->guestId, "debian10_64Guest");
    vim_set_string(&config->guestFullName, guest_os_full_name("debian10_64Guest"));
    config->hardware->memoryMB = 1024;
    struct VirtualLsiLogicController *controller = VirtualLsiLogicController_new();
    controller->sharedBus = VirtualSCSISharing_noSharing;
    place(config, controller);
    place(config, disk(name));
    place(config, adapter(n));
    place(config, cdrom());
    vm_device_link(config);
    return config;
}

void sim_population_make(struct host *host, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("ha-host_VM%u", i);
        g_autofree char *id = registry_new_id(host);
        struct VirtualMachineConfigInfo *config = config_of(i, name);
        g_autofree char *path = g_strdup(config->files->vmPathName);
        struct hypervisor_start start = {
            .id = id, .config = config, .state_fd = -1, .log_fd = -1, .lock_fd = -1};
        g_autofree char *message = NULL;
        int error = hypervisor_vm_start(host->hypervisor, &start, &message);
        VM_AUTO vm = vm_show(host, id, path, config);
        vm->invented = true;
        if (error == 0) {
            vm_set_power_state(vm, VirtualMachinePowerState_poweredOn);
        }
    }
}
