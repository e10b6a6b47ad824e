// SPDX-License-Identifier: Apache-2.0
/*
 * What a VirtualMachineConfigSpec makes of a configuration. Works in memory: it looks at files and networks
 * but changes none, so that a spec that cannot be applied changes nothing. Here are the devices and the whole;
 * the machine's own members are in vm_spec_machine.c.
 */
#include "host/vm/vm_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/storage/disk_image.h"
#include "host/vm/port_address.h"
#include "host/vm/vm_host_device.h"
#include "vim/value.h"

static const int64_t disk_max_kb = INT64_C(62) << 30; /* 62 TiB, as VMFS */

/* ---- devices ---------------------------------------------------------------------------------------- */

struct device_changes {
    struct host *host;
    struct vm_change *change;
    const char *folder;    /* "[ds] folder" of the machine */
    GHashTable *keys;      /* the client's temporary keys -> ours */
    GPtrArray *added_keys; /* ours (GINT_TO_POINTER) of what each change added, by the change's index */
    bool on;
};

static char *property_of(unsigned index, const char *member)
{
    return g_strdup_printf("deviceChange[%u].device.%s", index, member);
}

/* Whether one of a disk's files is there. */
static bool disk_exists(const struct datastore *datastore, const char *path)
{
    g_autofree char *data = datastore_path_with_suffix(path, DISK_IMAGE_DATA_SUFFIX);
    g_autofree char *flat = datastore_path_with_suffix(path, DISK_IMAGE_FLAT_SUFFIX);
    struct stat st;
    return fstatat(datastore->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstatat(datastore->fd, data, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstatat(datastore->fd, flat, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A name for a new disk: like the machine's folder, with a number for the second and later ones. */
static char *new_disk_path(struct device_changes *d)
{
    const char *name = d->change->config->name;
    g_autofree char *safe = g_strdup(name);
    g_strdelimit(safe, "/\\%\"", '_');
    for (unsigned n = 0;; n++) {
        g_autofree char *numbered = n == 0 ? g_strdup(safe) : g_strdup_printf("%s_%u", safe, n);
        char *path = g_str_has_suffix(d->folder, "]") ? g_strdup_printf("%s %s.vmdk", d->folder, numbered)
                                                      : g_strdup_printf("%s/%s.vmdk", d->folder, numbered);
        bool used = false;
        const struct VirtualHardware *hardware = d->change->config->hardware;
        for (uint32_t i = 0; i < hardware->device.n && !used; i++) {
            const struct VirtualDevice *device = hardware->device.items[i];
            used = vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type) &&
                   g_strcmp0(((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName,
                             path) == 0;
        }
        struct datastore *datastore = NULL;
        g_autofree char *relative = NULL;
        VIM_FAULT_AUTO fault = host_resolve(d->host, path, "", &datastore, &relative);
        used = used || (fault == NULL && disk_exists(datastore, relative));
        if (!used) {
            return path;
        }
        g_free(path);
    }
}

static struct vim_fault *prepare_new_disk(struct device_changes *d, struct VirtualDisk *disk, unsigned index)
{
    struct VirtualDiskFlatVer2BackingInfo *backing = (void *)disk->backing;
    g_autofree char *property = property_of(index, "backing.fileName");
    const char *given = backing->fileName != NULL ? backing->fileName : "";
    if (disk->capacityInBytes.set) {
        disk->capacityInKB = disk->capacityInBytes.value / 1024;
    }
    if (disk->capacityInKB <= 0 || disk->capacityInKB > disk_max_kb) {
        g_autofree char *capacity = property_of(index, "capacityInKB");
        return fault_invalid_device_spec(capacity, (int32_t)index, "%s is out of range", capacity);
    }
    vim_set_optional(&disk->capacityInBytes, disk->capacityInKB * 1024);
    if (given[0] != '\0') {
        struct datastore *datastore = NULL;
        g_autofree char *relative = NULL;
        struct vim_fault *fault = host_resolve(d->host, given, property, &datastore, &relative);
        if (fault != NULL) {
            return fault;
        }
        /* What is there already is somebody's disk: it must not even be in danger of being cleaned up. */
        if (g_str_has_suffix(given, ".vmdk") && disk_exists(datastore, relative)) {
            return fault_file_already_exists(given, "%s: %s exists already", property, given);
        }
    }
    if (!g_str_has_suffix(given, ".vmdk")) { /* the server chooses the name */
        char *path = new_disk_path(d);
        g_free(backing->fileName);
        backing->fileName = path;
    }
    if (backing->uuid == NULL || backing->uuid[0] == '\0') {
        char uuid[37];
        disk_image_new_uuid(uuid);
        vim_set_string(&backing->uuid, uuid);
    } else if (!g_uuid_string_is_valid(backing->uuid)) {
        g_autofree char *uuid = property_of(index, "backing.uuid");
        return fault_invalid_device_backing(uuid, (int32_t)index, "%s: \"%s\" is not a UUID", uuid,
                                            backing->uuid);
    }
    g_ptr_array_add(d->change->new_disks, disk);
    return NULL;
}

static struct vim_fault *prepare_disk(struct device_changes *d, struct VirtualDevice *device, bool create,
                                      unsigned index)
{
    struct VirtualDisk *disk = (struct VirtualDisk *)device;
    if (!vim_is_a(device->backing, &VirtualDiskFlatVer2BackingInfo_type)) {
        g_autofree char *property = property_of(index, "backing");
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s: disks are VirtualDiskFlatVer2BackingInfo", property);
    }
    struct VirtualDiskFlatVer2BackingInfo *backing = (void *)device->backing;
    g_autofree char *property = property_of(index, "backing.fileName");
    if (backing->diskMode == NULL || backing->diskMode[0] == '\0') {
        vim_set_string(&backing->diskMode, "persistent");
    }
    struct vim_fault *fault = vm_disk_check_mode(backing, index, d->on);
    if (fault != NULL) {
        return fault;
    }
    fault = create ? prepare_new_disk(d, disk, index) : NULL;
    struct datastore *datastore = NULL;
    g_autofree char *relative = NULL;
    if (fault == NULL) {
        fault = host_resolve(d->host, backing->fileName, property, &datastore, &relative);
    }
    if (fault != NULL) {
        return fault;
    }
    vim_ref_set(&backing->datastore, &datastore->ref);
    if (!create) {
        struct disk_image_info info;
        g_autofree char *message = NULL;
        int error = disk_image_get_info(datastore->fd, relative, &info, &message);
        if (error != 0) {
            return host_file_fault(backing->fileName, error, message);
        }
        disk->capacityInKB = info.capacity_bytes / 1024;
        vim_set_optional(&disk->capacityInBytes, info.capacity_bytes);
        vim_set_optional(&backing->thinProvisioned, info.provisioning == DISK_IMAGE_THIN);
        vim_set_optional(&backing->eagerlyScrub, info.provisioning == DISK_IMAGE_THICK_EAGER);
        fault = vm_disk_check_sharing(backing, index, g_str_equal(info.format, "raw"));
        disk_image_info_clear(&info);
        return fault;
    }
    bool eager = backing->eagerlyScrub.set && backing->eagerlyScrub.value;
    if (!backing->thinProvisioned.set || eager) {
        vim_set_optional(&backing->thinProvisioned, !eager);
    }
    vim_set_optional(&backing->eagerlyScrub, eager);
    return vm_disk_check_sharing(backing, index, eager); /* it is made flat when it is to be shared */
}

static struct vim_fault *prepare_file(struct device_changes *d, struct VirtualDevice *device, unsigned index)
{
    struct VirtualDeviceFileBackingInfo *backing = (void *)device->backing;
    g_autofree char *property = property_of(index, "backing.fileName");
    struct datastore *datastore = NULL;
    g_autofree char *relative = NULL;
    struct vim_fault *fault = host_resolve(d->host, backing->fileName, property, &datastore, &relative);
    if (fault == NULL) {
        vim_ref_set(&backing->datastore, &datastore->ref);
    }
    bool port = vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualParallelPort_type);
    static const char *const kept[] = {".vmx", ".vmdk", ".qcow2", ".nvram", ".vmsd", ".vmss", ".iso", NULL};
    for (size_t i = 0; fault == NULL && port && kept[i] != NULL; i++) {
        if (g_str_has_suffix(relative, kept[i])) { /* a guest's words would be appended to it */
            fault = fault_invalid_device_backing(property, (int32_t)index,
                                                 "%s: a port does not write to "
                                                 "a %s file",
                                                 property, kept[i]);
        }
    }
    if (fault == NULL && vim_is_a(device, &VirtualCdrom_type)) {
        struct hypervisor_file file;
        fault = vm_files_open_device(d->host, device, &file); /* is it there? */
        if (fault == NULL) {
            close(file.fd);
        }
    }
    return fault;
}

static void make_mac(struct VirtualEthernetCard *card, const char *uuid, int32_t key)
{
    /* The OUI that VMware's products use for generated addresses; the rest from the machine's UUID. */
    guint hash = g_str_hash(uuid) + (guint)key;
    g_free(card->macAddress);
    card->macAddress =
        g_strdup_printf("00:0c:29:%02x:%02x:%02x", hash >> 16 & 0xff, hash >> 8 & 0xff, hash & 0xff);
    vim_set_string(&card->addressType, "generated");
}

static struct vim_fault *prepare_network(struct device_changes *d, struct VirtualDevice *device,
                                         unsigned index)
{
    struct VirtualEthernetCard *card = (struct VirtualEthernetCard *)device;
    g_autofree char *property = property_of(index, "backing.deviceName");
    if (!vim_is_a(device->backing, &VirtualEthernetCardNetworkBackingInfo_type)) {
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s: adapters connect to a named network", property);
    }
    struct VirtualEthernetCardNetworkBackingInfo *backing = (void *)device->backing;
    if (g_strcmp0(backing->deviceName, HOST_NETWORK_NAME) != 0) {
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "there is no network \"%s\" here; \"%s\" is", backing->deviceName,
                                            HOST_NETWORK_NAME);
    }
    struct vim_ref network = {&Network_type, (char *)HOST_NETWORK_ID};
    vim_ref_set(&backing->network, &network);
    unsigned mac[6];
    char rest;
    bool given = card->macAddress != NULL && card->macAddress[0] != '\0';
    if (given && sscanf(card->macAddress, "%2x:%2x:%2x:%2x:%2x:%2x%c", &mac[0], &mac[1], &mac[2], &mac[3],
                        &mac[4], &mac[5], &rest) != 6) {
        g_autofree char *address = property_of(index, "macAddress");
        return fault_invalid_device_spec(address, (int32_t)index, "%s: \"%s\" is not a MAC address", address,
                                         card->macAddress);
    }
    if (!given) {
        make_mac(card, d->change->config->uuid, device->key);
    } else if (card->addressType == NULL || card->addressType[0] == '\0') {
        vim_set_string(&card->addressType, "manual");
    }
    return NULL;
}

/* What kinds of backing there are for the rest; a sound card needs none, and gets its only one. */
static struct vim_fault *check_backing(struct VirtualDevice *device, unsigned index)
{
    g_autofree char *property = property_of(index, "backing");
    bool port = vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualParallelPort_type);
    if (vim_is_a(device, &VirtualSoundCard_type) && device->backing == NULL) {
        struct VirtualSoundCardDeviceBackingInfo *backing = VirtualSoundCardDeviceBackingInfo_new();
        backing->deviceName = g_strdup("");
        device->backing = (struct VirtualDeviceBackingInfo *)backing;
    }
    if (port && device->backing == NULL) {
        return fault_invalid_device_backing(property, (int32_t)index, "%s is missing", property);
    }
    if (vim_is_a(device->backing, &VirtualCdromPassthroughBackingInfo_type) ||
        vim_is_a(device->backing, &VirtualFloppyDeviceBackingInfo_type)) {
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s: a %s is not supported by this host", property,
                                            device->backing->vim_type->name);
    }
    return NULL;
}

/* Checks the backing of a device that is added or edited, and completes it. */
static struct vim_fault *prepare(struct device_changes *d, struct VirtualDevice *device, bool create,
                                 unsigned index)
{
    bool removable = vim_is_a(device, &VirtualCdrom_type) || vim_is_a(device, &VirtualEthernetCard_type) ||
                     vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualFloppy_type) ||
                     vim_is_a(device, &VirtualParallelPort_type) || vim_is_a(device, &VirtualSoundCard_type);
    if (removable && device->connectable == NULL) {
        device->connectable = VirtualDeviceConnectInfo_new();
        device->connectable->startConnected = true;
        device->connectable->allowGuestControl = true;
        device->connectable->connected = true;
    }
    if (vim_is_a(device, &VirtualDisk_type)) {
        return prepare_disk(d, device, create, index);
    }
    if (vim_is_a(device, &VirtualSCSIController_type)) {
        return vm_disk_check_bus(device, index);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        return prepare_network(d, device, index);
    }
    PORT_ADDRESS_AUTO address = {0};
    struct vim_fault *fault = check_backing(device, index);
    if (fault == NULL) {
        fault = port_address_of(device, index, &address);
    }
    if (fault == NULL && vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
        fault = prepare_file(d, device, index);
    }
    return fault != NULL ? fault : vm_host_device_check(device, index);
}

static struct vim_fault *hot_plug_check(const struct device_changes *d, const struct VirtualDevice *device,
                                        unsigned index, const char *verb)
{
    bool hot = vim_is_a(device, &VirtualEthernetCard_type) ||
               (vim_is_a(device, &VirtualDisk_type) && device->controllerKey.set &&
                device->controllerKey.value >= 1000);
    if (!d->on || hot) {
        return NULL;
    }
    return fault_invalid_power_state(VirtualMachinePowerState_poweredOff, VirtualMachinePowerState_poweredOn,
                                     "deviceChange[%u]: a %s is %s while the machine is powered off", index,
                                     device->vim_type->name, verb);
}

static struct vim_fault *add_device(struct device_changes *d, const struct VirtualDeviceConfigSpec *spec,
                                    unsigned index)
{
    struct VirtualMachineConfigInfo *config = d->change->config;
    struct VirtualDevice *device = vim_copy(spec->device);
    int32_t temporary = device->key;
    if (device->controllerKey.set) {
        gpointer real = NULL;
        if (g_hash_table_lookup_extended(d->keys, GINT_TO_POINTER(device->controllerKey.value), NULL,
                                         &real)) {
            device->controllerKey.value = GPOINTER_TO_INT(real);
        }
    }
    device->key = 0; /* so that no lookup by key finds the client's own number */
    struct vim_fault *fault = vm_device_place(config, device, index);
    if (fault == NULL) {
        fault = hot_plug_check(d, device, index, "added");
    }
    if (fault != NULL) {
        vim_free(device);
        return fault;
    }
    g_hash_table_insert(d->keys, GINT_TO_POINTER(temporary), GINT_TO_POINTER(device->key));
    d->added_keys->pdata[index] = GINT_TO_POINTER(device->key);
    vim_array_add_object(&config->hardware->device, device);
    g_ptr_array_add(d->change->added, device);
    fault = prepare(d, device, spec->fileOperation == VirtualDeviceConfigSpecFileOperation_create, index);
    if (fault == NULL) {
        vm_device_describe(device);
    }
    return fault;
}

static struct vim_fault *device_not_found(unsigned index, int32_t key)
{
    g_autofree char *property = property_of(index, "key");
    return fault_device_not_found(property, (int32_t)index, "%s: the machine has no device %d", property,
                                  key);
}

static struct vim_fault *bad_operation(const struct VirtualDeviceConfigSpec *spec, unsigned index,
                                       const char *why)
{
    g_autofree char *property = g_strdup_printf("deviceChange[%u].operation", index);
    return fault_invalid_device_operation(property, (int32_t)index, spec->operation, spec->fileOperation,
                                          "%s: %s", property, why);
}

static struct vim_fault *remove_device(struct device_changes *d, const struct VirtualDeviceConfigSpec *spec,
                                       unsigned index)
{
    struct VirtualHardware *hardware = d->change->config->hardware;
    struct VirtualDevice *device = vm_device_by_key(d->change->config, spec->device->key);
    if (device == NULL) {
        return device_not_found(index, spec->device->key);
    }
    if (device->key < 1000) {
        return bad_operation(spec, index, "every machine has this device");
    }
    for (uint32_t i = 0; i < hardware->device.n; i++) {
        const struct VirtualDevice *other = hardware->device.items[i];
        if (other->controllerKey.set && other->controllerKey.value == device->key) {
            return bad_operation(spec, index, "the controller has devices");
        }
    }
    struct vim_fault *fault = hot_plug_check(d, device, index, "removed");
    if (fault != NULL) {
        return fault;
    }
    if (spec->fileOperation == VirtualDeviceConfigSpecFileOperation_destroy) {
        if (!vim_is_a(device, &VirtualDisk_type)) {
            return bad_operation(spec, index, "only the files of disks are destroyed");
        }
        g_ptr_array_add(d->change->removed_files,
                        g_strdup(((struct VirtualDeviceFileBackingInfo *)device->backing)->fileName));
    }
    g_ptr_array_add(d->change->removed, vim_copy(device));
    for (uint32_t i = 0; i < hardware->device.n; i++) {
        if (hardware->device.items[i] == device) {
            vim_array_remove(&hardware->device, &VirtualDevice_type, i);
            break;
        }
    }
    return NULL;
}

static struct vim_fault *edit_disk(struct device_changes *d, struct VirtualDevice *device,
                                   const struct VirtualDeviceConfigSpec *spec, unsigned index)
{
    struct VirtualDisk *disk = (struct VirtualDisk *)device;
    const struct VirtualDisk *wanted = (const struct VirtualDisk *)spec->device;
    int64_t kb = wanted->capacityInKB;
    if (wanted->capacityInBytes.set && wanted->capacityInBytes.value != disk->capacityInBytes.value) {
        kb = wanted->capacityInBytes.value / 1024;
    }
    g_autofree char *property = property_of(index, "capacityInKB");
    if (kb < disk->capacityInKB || kb > disk_max_kb) {
        return fault_invalid_device_spec(property, (int32_t)index,
                                         "%s: a disk grows; it has %" G_GINT64_FORMAT " KB", property,
                                         disk->capacityInKB);
    }
    const struct VirtualDeviceFileBackingInfo *backing = (void *)device->backing;
    const struct VirtualDeviceFileBackingInfo *wanted_backing = (void *)wanted->backing;
    if (vim_is_a(wanted_backing, &VirtualDeviceFileBackingInfo_type) && wanted_backing->fileName != NULL &&
        wanted_backing->fileName[0] != '\0' && !g_str_equal(wanted_backing->fileName, backing->fileName)) {
        return bad_operation(spec, index, "another file is attached by removing the disk and adding it");
    }
    if (kb != disk->capacityInKB && vim_is_a(backing, &VirtualDiskFlatVer2BackingInfo_type) &&
        ((const struct VirtualDiskFlatVer2BackingInfo *)(const void *)backing)->parent != NULL) {
        return bad_operation(spec, index, "a disk with snapshots does not grow");
    }
    disk->capacityInKB = kb;
    vim_set_optional(&disk->capacityInBytes, kb * 1024);
    return vm_disk_edit_backing(d->host, device->backing, wanted->backing, index, d->on);
}

static struct vim_fault *edit_video(struct device_changes *d, struct VirtualMachineVideoCard *card,
                                    const struct VirtualMachineVideoCard *wanted, unsigned index)
{
    bool other =
        (wanted->videoRamSizeInKB.set && wanted->videoRamSizeInKB.value != card->videoRamSizeInKB.value) ||
        (wanted->numDisplays.set && wanted->numDisplays.value != card->numDisplays.value);
    if (d->on && other) {
        return fault_invalid_power_state(
            VirtualMachinePowerState_poweredOff, VirtualMachinePowerState_poweredOn,
            "deviceChange[%u]: the screen is changed while the machine is powered off", index);
    }
    if (wanted->enable3DSupport.set && wanted->enable3DSupport.value && !card->enable3DSupport.value) {
        g_autofree char *property = property_of(index, "enable3DSupport");
        return fault_invalid_device_spec(property, (int32_t)index, "%s: there is no 3D here", property);
    }
    if (wanted->videoRamSizeInKB.set) {
        card->videoRamSizeInKB = wanted->videoRamSizeInKB;
    }
    if (wanted->numDisplays.set) {
        card->numDisplays = wanted->numDisplays;
    }
    if (wanted->useAutoDetect.set) {
        card->useAutoDetect = wanted->useAutoDetect;
    }
    return NULL;
}

static struct vim_fault *edit_device(struct device_changes *d, const struct VirtualDeviceConfigSpec *spec,
                                     unsigned index)
{
    struct VirtualDevice *device = vm_device_by_key(d->change->config, spec->device->key);
    if (device == NULL) {
        return device_not_found(index, spec->device->key);
    }
    struct vim_fault *fault = NULL;
    if (vim_is_a(device, &VirtualDisk_type) && vim_is_a(spec->device, &VirtualDisk_type)) {
        fault = edit_disk(d, device, spec, index);
    } else if (device->vim_type != spec->device->vim_type) {
        fault = bad_operation(spec, index, "a device does not become one of another type");
    } else if (vim_is_a(device, &VirtualParallelPort_type) && d->on && !vim_equal(device, spec->device)) {
        fault = hot_plug_check(d, device, index, "edited");
    } else if (vim_is_a(device, &VirtualCdrom_type) || vim_is_a(device, &VirtualEthernetCard_type) ||
               vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualParallelPort_type) ||
               vim_is_a(device, &VirtualFloppy_type)) {
        if (spec->device->backing != NULL) {
            vim_free(device->backing);
            device->backing = vim_copy(spec->device->backing);
        }
        VM_SPEC_MERGE(device->connectable, spec->device->connectable);
        if (vim_is_a(device, &VirtualEthernetCard_type)) {
            vim_set_string(&((struct VirtualEthernetCard *)device)->macAddress,
                           ((struct VirtualEthernetCard *)spec->device)->macAddress);
        }
        if (vim_is_a(device, &VirtualSerialPort_type)) {
            ((struct VirtualSerialPort *)device)->yieldOnPoll =
                ((const struct VirtualSerialPort *)spec->device)->yieldOnPoll;
        }
        fault = prepare(d, device, false, index);
    } else if (vim_is_a(device, &VirtualMachineVideoCard_type)) {
        fault = edit_video(d, (struct VirtualMachineVideoCard *)device,
                           (const struct VirtualMachineVideoCard *)spec->device, index);
    } else if (!vim_equal(device, spec->device)) {
        fault = bad_operation(spec, index, "this device is not edited");
    }
    if (fault == NULL) {
        vm_device_describe(device);
        g_ptr_array_add(d->change->edited, device);
    }
    return fault;
}

/* Whether the hypervisor takes what was added and edited, now that all of it is there. */
static struct vim_fault *check_devices(const struct device_changes *d,
                                       const struct VirtualMachineConfigSpec *spec)
{
    const struct VirtualMachineConfigInfo *config = d->change->config;
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < spec->deviceChange.n && fault == NULL; i++) {
        const struct VirtualDeviceConfigSpec *one = spec->deviceChange.items[i];
        gpointer real = GINT_TO_POINTER(one->device->key);
        g_autofree char *message = NULL;
        if (one->operation == VirtualDeviceConfigSpecOperation_add) {
            real = g_ptr_array_index(d->added_keys, i);
        }
        const struct VirtualDevice *device = vm_device_by_key(config, GPOINTER_TO_INT(real));
        if (one->operation == VirtualDeviceConfigSpecOperation_remove || device == NULL) {
            continue;
        }
        int error = hypervisor_check_device(d->host->hypervisor, config, device, &message);
        g_autofree char *property = g_strdup_printf("deviceChange[%u].device", i);
        if (error == -ENOTSUP) {
            fault = fault_device_not_supported(device->vim_type->name, message, "%s: %s", property, message);
        } else if (error != 0) {
            fault = fault_invalid_device_spec(property, (int32_t)i, "%s: %s", property, message);
        }
    }
    return fault;
}

static struct vim_fault *apply_devices(struct device_changes *d, const struct VirtualMachineConfigSpec *spec)
{
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < spec->deviceChange.n && fault == NULL; i++) {
        const struct VirtualDeviceConfigSpec *one = spec->deviceChange.items[i];
        g_ptr_array_add(d->added_keys, NULL);
        switch (one->operation) {
        case VirtualDeviceConfigSpecOperation_add:
            fault = add_device(d, one, i);
            break;
        case VirtualDeviceConfigSpecOperation_remove:
            fault = remove_device(d, one, i);
            break;
        case VirtualDeviceConfigSpecOperation_edit:
            fault = edit_device(d, one, i);
            break;
        case VirtualDeviceConfigSpecOperation_unset:
            fault = bad_operation(one, i, "the operation is missing");
            break;
        }
    }
    return fault;
}

/* ---- the whole -------------------------------------------------------------------------------------- */

static struct vim_fault *apply_all(struct device_changes *d, const struct VirtualMachineConfigSpec *spec)
{
    struct VirtualMachineConfigInfo *config = d->change->config;
    if (spec->changeVersion != NULL && spec->changeVersion[0] != '\0' &&
        !g_str_equal(spec->changeVersion, config->changeVersion)) {
        return fault_concurrent_access("changeVersion is \"%s\" by now: read the configuration again",
                                       config->changeVersion);
    }
    struct vim_fault *fault = vm_spec_apply_machine(d->host, config, spec, d->on);
    if (fault == NULL) {
        fault = apply_devices(d, spec);
    }
    if (fault == NULL) {
        fault = check_devices(d, spec);
    }
    if (fault == NULL) {
        fault = vm_spec_check_board(d->host, config, spec);
    }
    return fault;
}

struct vim_fault *vm_spec_apply(struct host *host, const struct VirtualMachineConfigInfo *config,
                                const char *folder, const struct VirtualMachineConfigSpec *spec,
                                bool powered_on, struct vm_change **ret)
{
    struct vm_change *change = g_new0(struct vm_change, 1);
    change->config = vim_copy(config);
    change->new_disks = g_ptr_array_new();
    change->removed_files = g_ptr_array_new_with_free_func(g_free);
    change->added = g_ptr_array_new();
    change->removed = g_ptr_array_new_with_free_func(vim_free);
    change->edited = g_ptr_array_new();
    g_autoptr(GHashTable) keys = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) added_keys = g_ptr_array_new();
    struct device_changes d = {host, change, folder, keys, added_keys, powered_on};
    struct vim_fault *fault = apply_all(&d, spec);
    if (fault != NULL) {
        vm_change_free(change);
        return fault;
    }
    vm_device_link(change->config);
    change->config->modified = vim_now_us(host->server);
    g_free(change->config->changeVersion);
    change->config->changeVersion = g_strdup_printf("%" G_GINT64_FORMAT, change->config->modified);
    *ret = change;
    return NULL;
}

void vm_change_free(struct vm_change *change)
{
    if (change != NULL) {
        vim_free(change->config);
        g_ptr_array_unref(change->new_disks);
        g_ptr_array_unref(change->removed_files);
        g_ptr_array_unref(change->added);
        g_ptr_array_unref(change->removed);
        g_ptr_array_unref(change->edited);
        g_free(change);
    }
}

void vm_disk_paths(const char *vmdk, GPtrArray *paths)
{
    g_ptr_array_add(paths, g_strdup(vmdk));
    g_ptr_array_add(paths, datastore_path_with_suffix(vmdk, ".qcow2"));
}

GPtrArray *vm_change_paths(struct vm_change *change)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < change->new_disks->len; i++) {
        const struct VirtualDevice *disk = g_ptr_array_index(change->new_disks, i);
        vm_disk_paths(((struct VirtualDeviceFileBackingInfo *)disk->backing)->fileName, paths);
        if (vm_disk_is_shared(disk->backing)) {
            vm_disk_flat_path(((struct VirtualDeviceFileBackingInfo *)disk->backing)->fileName, paths);
        }
    }
    return paths;
}

static struct vim_fault *make_disk(struct host *host, struct VirtualDisk *disk)
{
    const struct VirtualDiskFlatVer2BackingInfo *backing = (void *)disk->backing;
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    struct vim_fault *fault = host_resolve(host, backing->fileName, "backing.fileName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    bool eager = backing->eagerlyScrub.set && backing->eagerlyScrub.value;
    bool thin = backing->thinProvisioned.set && backing->thinProvisioned.value;
    struct disk_image_options options = {
        .capacity_bytes = disk->capacityInKB * 1024,
        .flat = vm_disk_is_shared(disk->backing),
        .provisioning = eager  ? DISK_IMAGE_THICK_EAGER
                        : thin ? DISK_IMAGE_THIN
                               : DISK_IMAGE_THICK_LAZY,
        .adapter_type = "lsilogic",
        .uuid = backing->uuid,
    };
    int error = disk_image_create(datastore->fd, path, &options, &message);
    return error == 0 ? NULL : host_file_fault(backing->fileName, error, message);
}

struct vim_fault *vm_change_make_disks(struct host *host, struct vm_change *change)
{
    struct vim_fault *fault = NULL;
    guint made = 0;
    while (fault == NULL && made < change->new_disks->len) {
        fault = make_disk(host, g_ptr_array_index(change->new_disks, made));
        made += fault == NULL;
    }
    for (guint i = 0; fault != NULL && i < made; i++) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        const struct VirtualDevice *disk = g_ptr_array_index(change->new_disks, i);
        vm_disk_paths(((struct VirtualDeviceFileBackingInfo *)disk->backing)->fileName, paths);
        vm_disk_flat_path(((struct VirtualDeviceFileBackingInfo *)disk->backing)->fileName, paths);
        journal_remove_files(host, paths);
    }
    return fault;
}
