// SPDX-License-Identifier: Apache-2.0
/*
 * What a VirtualMachineConfigSpec makes of a configuration. Works in memory: it looks at files and networks
 * but changes none, so that a spec that cannot be applied changes nothing.
 */
#include "host/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/disk_image.h"
#include "host/guest_os.h"
#include "vim/value.h"

enum {
    MEMORY_MIN_MB = 4,
    MEMORY_MAX_MB = 16 << 20,
};

static const int64_t disk_max_kb = INT64_C(62) << 30; /* 62 TiB, as VMFS */

/* ---- a new machine ---------------------------------------------------------------------------------- */

static void add_fixed_device(struct VirtualMachineConfigInfo *config, struct VirtualDevice *device,
                             int32_t key, int32_t controller_key, int32_t unit)
{
    device->key = key;
    if (controller_key != 0) {
        vim_set_optional(&device->controllerKey, controller_key);
        vim_set_optional(&device->unitNumber, unit);
    }
    vm_device_describe(device);
    vim_array_add_object(&config->hardware->device, device);
}

static void add_fixed_devices(struct VirtualMachineConfigInfo *config)
{
    struct VirtualIDEController *second = VirtualIDEController_new();
    second->busNumber = 1;
    add_fixed_device(config, (struct VirtualDevice *)VirtualIDEController_new(), 200, 0, 0);
    add_fixed_device(config, (struct VirtualDevice *)second, 201, 0, 0);
    add_fixed_device(config, (struct VirtualDevice *)VirtualPS2Controller_new(), 300, 0, 0);
    add_fixed_device(config, (struct VirtualDevice *)VirtualPCIController_new(), 100, 0, 0);
    add_fixed_device(config, (struct VirtualDevice *)VirtualSIOController_new(), 400, 0, 0);
    add_fixed_device(config, (struct VirtualDevice *)VirtualKeyboard_new(), 600, 300, 0);
    add_fixed_device(config, (struct VirtualDevice *)VirtualPointingDevice_new(), 700, 300, 1);
    struct VirtualMachineVideoCard *video = VirtualMachineVideoCard_new();
    vim_set_optional(&video->videoRamSizeInKB, 16384);
    vim_set_optional(&video->numDisplays, 1);
    add_fixed_device(config, (struct VirtualDevice *)video, 500, 100, 0);
}

static struct ResourceAllocationInfo *default_allocation(int32_t shares)
{
    struct ResourceAllocationInfo *info = ResourceAllocationInfo_new();
    vim_set_optional(&info->reservation, 0);
    vim_set_optional(&info->expandableReservation, false);
    vim_set_optional(&info->limit, -1);
    info->shares = SharesInfo_new();
    info->shares->level = SharesLevel_normal;
    info->shares->shares = shares;
    return info;
}

struct VirtualMachineConfigInfo *vm_spec_new_config(void)
{
    struct VirtualMachineConfigInfo *config = VirtualMachineConfigInfo_new();
    config->changeVersion = g_strdup("0");
    config->version = g_strdup("vmx-14");
    config->uuid = g_uuid_string_random();
    config->instanceUuid = g_uuid_string_random();
    config->guestId = g_strdup("otherGuest");
    config->guestFullName = g_strdup(guest_os_full_name("otherGuest"));
    config->alternateGuestName = g_strdup("");
    config->firmware = g_strdup("bios");
    config->files = VirtualMachineFileInfo_new();
    config->flags = VirtualMachineFlagInfo_new();
    config->tools = ToolsConfigInfo_new();
    config->defaultPowerOps = VirtualMachineDefaultPowerOpInfo_new();
    config->hardware = VirtualHardware_new();
    config->hardware->numCPU = 1;
    vim_set_optional(&config->hardware->numCoresPerSocket, 1);
    config->hardware->memoryMB = 32;
    config->cpuAllocation = default_allocation(1000);
    config->memoryAllocation = default_allocation(320);
    config->bootOptions = VirtualMachineBootOptions_new();
    add_fixed_devices(config);
    return config;
}

/* ---- plain members ---------------------------------------------------------------------------------- */

/* Members of the spec that are understood. Another one that is set is refused by name, unless it asks for
 * what is there anyway. */
static const char *const understood[] = {
    "changeVersion",
    "name",
    "version",
    "createDate",
    "uuid",
    "instanceUuid",
    "guestId",
    "alternateGuestName",
    "annotation",
    "files",
    "tools",
    "flags",
    "powerOpInfo",
    "numCPUs",
    "numCoresPerSocket",
    "memoryMB",
    "deviceChange",
    "cpuAllocation",
    "memoryAllocation",
    "extraConfig",
    "bootOptions",
    "firmware",
    NULL,
};

static bool is_default(const struct vim_field *field, const void *at)
{
    return field->type->kind == VIM_BOOLEAN && !*(const bool *)vim_field_value(field, at);
}

static struct vim_fault *check_members(const struct VirtualMachineConfigSpec *spec)
{
    for (unsigned i = 0; i < VirtualMachineConfigSpec_type.n_fields; i++) {
        const struct vim_field *field = &VirtualMachineConfigSpec_type.fields[i];
        const void *at = vim_field_at(field, spec);
        if (vim_field_is_set(field, at) && !g_strv_contains(understood, field->name) &&
            !is_default(field, at)) {
            return fault_invalid_argument(field->name, "\"%s\" is not supported by this host", field->name);
        }
    }
    return NULL;
}

static struct vim_fault *apply_cpu(struct host *host, struct VirtualMachineConfigInfo *config,
                                   const struct VirtualMachineConfigSpec *spec, bool on)
{
    struct VirtualHardware *hardware = config->hardware;
    int32_t cpus = spec->numCPUs.set ? spec->numCPUs.value : hardware->numCPU;
    int32_t cores = spec->numCoresPerSocket.set ? spec->numCoresPerSocket.value
                                                : MAX(hardware->numCoresPerSocket.value, 1);
    int32_t max = hypervisor_info(host->hypervisor)->max_cpus;
    if (cpus < 1 || cpus > max) {
        return fault_num_virtual_cpus_not_supported(max, cpus, "numCPUs is %d; this host gives 1 to %d", cpus,
                                                    max);
    }
    if (cores == 0 || (spec->numCPUs.set && !spec->numCoresPerSocket.set && cpus % cores != 0)) {
        cores = 1;
    }
    if (cores < 0 || cpus % cores != 0) {
        return fault_invalid_argument("numCoresPerSocket",
                                      "numCoresPerSocket is %d and does not divide numCPUs, which is %d",
                                      cores, cpus);
    }
    if (on && (cpus != hardware->numCPU || cores != hardware->numCoresPerSocket.value)) {
        return fault_invalid_power_state(VirtualMachinePowerState_poweredOff,
                                         VirtualMachinePowerState_poweredOn,
                                         "numCPUs: processors are changed while the machine is powered off");
    }
    hardware->numCPU = cpus;
    vim_set_optional(&hardware->numCoresPerSocket, cores);
    return NULL;
}

static struct vim_fault *apply_memory(struct VirtualMachineConfigInfo *config,
                                      const struct VirtualMachineConfigSpec *spec, bool on)
{
    if (!spec->memoryMB.set || spec->memoryMB.value == config->hardware->memoryMB) {
        return NULL;
    }
    int64_t mb = spec->memoryMB.value;
    if (mb < MEMORY_MIN_MB || mb > MEMORY_MAX_MB || mb % 4 != 0) {
        return fault_invalid_argument("memoryMB",
                                      "memoryMB is %" G_GINT64_FORMAT "; it is a multiple of 4 from %d to %d",
                                      mb, MEMORY_MIN_MB, MEMORY_MAX_MB);
    }
    if (on) {
        return fault_invalid_power_state(VirtualMachinePowerState_poweredOff,
                                         VirtualMachinePowerState_poweredOn,
                                         "memoryMB: memory is changed while the machine is powered off");
    }
    config->hardware->memoryMB = (int32_t)mb;
    return NULL;
}

static struct vim_fault *apply_uuid(char **at, const char *value, const char *property)
{
    if (value != NULL && !g_uuid_string_is_valid(value)) {
        return fault_invalid_argument(property, "\"%s\" is not a UUID", value);
    }
    if (value != NULL) {
        vim_set_string(at, value);
    }
    return NULL;
}

static struct vim_fault *apply_identity(struct host *host, struct VirtualMachineConfigInfo *config,
                                        const struct VirtualMachineConfigSpec *spec, bool on)
{
    struct vim_fault *fault = apply_uuid(&config->uuid, spec->uuid, "uuid");
    if (fault == NULL) {
        fault = apply_uuid(&config->instanceUuid, spec->instanceUuid, "instanceUuid");
    }
    if (fault != NULL) {
        return fault;
    }
    if (spec->guestId != NULL) {
        const char *full_name = guest_os_full_name(spec->guestId);
        if (full_name == NULL) {
            return fault_invalid_argument("guestId", "\"%s\" is not a guest OS identifier", spec->guestId);
        }
        vim_set_string(&config->guestId, spec->guestId);
        vim_set_string(&config->guestFullName, full_name);
    }
    if (spec->firmware != NULL && g_strcmp0(spec->firmware, config->firmware) != 0) {
        if (!g_str_equal(spec->firmware, "bios")) {
            return fault_invalid_argument("firmware", "firmware \"%s\" is not supported by this host",
                                          spec->firmware);
        }
    }
    if (spec->version != NULL) {
        if (!g_str_has_prefix(spec->version, "vmx-") || strlen(spec->version) != 6) {
            return fault_invalid_argument("version", "\"%s\" is not a hardware version such as vmx-14",
                                          spec->version);
        }
        vim_set_string(&config->version, spec->version);
    }
    if (spec->name != NULL) {
        vim_set_string(&config->name, spec->name);
    }
    if (spec->annotation != NULL) {
        vim_set_string(&config->annotation, spec->annotation);
    }
    if (spec->alternateGuestName != NULL) {
        vim_set_string(&config->alternateGuestName, spec->alternateGuestName);
    }
    (void)host;
    (void)on;
    return NULL;
}

/* Takes over the members of `from` that are set. */
static void merge(void *into, const void *from)
{
    const struct vim_type *type = *(const struct vim_type *const *)from;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        if (vim_field_is_set(field, vim_field_at(field, from))) {
            vim_field_clear(field, vim_field_at(field, into));
            vim_field_copy(field, vim_field_at(field, from), vim_field_at(field, into));
        }
    }
}

#define MERGE(config_member, spec_member)                       \
    do {                                                        \
        if ((spec_member) != NULL && (config_member) != NULL) { \
            merge((config_member), (spec_member));              \
        } else if ((spec_member) != NULL) {                     \
            (config_member) = vim_copy(spec_member);            \
        }                                                       \
    } while (0)

static void set_extra(struct VirtualMachineConfigInfo *config, const struct OptionValue *option)
{
    const char *text = vim_any_get_string(option->value);
    for (uint32_t i = 0; i < config->extraConfig.n; i++) {
        if (g_ascii_strcasecmp(config->extraConfig.items[i]->key, option->key) == 0) {
            vim_array_remove(&config->extraConfig, &OptionValue_type, i);
            break;
        }
    }
    if (option->value != NULL && (text == NULL || text[0] != '\0')) { /* an empty value removes the key */
        vim_array_add_object(&config->extraConfig, vim_copy(option));
    }
}

/* Keys that would make or move a device when the .vmx is read again, past the checks of deviceChange. */
static bool names_device_file(const char *key)
{
    static const char *const buses[] = {"scsi",   "ide",    "sata",     "nvme",  "ethernet",
                                        "serial", "floppy", "parallel", "sound", NULL};
    static const char *const parts[] = {".present", ".filename", ".devicetype", ".filetype", NULL};
    g_autofree char *lower = g_ascii_strdown(key, -1);
    bool bus = false;
    bool part = false;
    for (size_t i = 0; buses[i] != NULL; i++) {
        bus |= g_str_has_prefix(lower, buses[i]) && g_ascii_isdigit(lower[strlen(buses[i])]);
    }
    for (size_t i = 0; parts[i] != NULL; i++) {
        part |= g_str_has_suffix(lower, parts[i]);
    }
    return bus && part;
}

static struct vim_fault *apply_extra(struct VirtualMachineConfigInfo *config,
                                     const struct VirtualMachineConfigSpec *spec)
{
    for (uint32_t i = 0; i < spec->extraConfig.n; i++) {
        const struct OptionValue *option = spec->extraConfig.items[i];
        if (names_device_file(option->key)) {
            return fault_invalid_argument("extraConfig", "\"%s\": devices are changed by deviceChange",
                                          option->key);
        }
        if (option->value != NULL && vim_any_get_string(option->value) == NULL) {
            return fault_invalid_argument("extraConfig", "the value of \"%s\" is not a string", option->key);
        }
        set_extra(config, option);
    }
    return NULL;
}

/* ---- devices ---------------------------------------------------------------------------------------- */

struct device_changes {
    struct host *host;
    struct vm_change *change;
    const char *folder; /* "[ds] folder" of the machine */
    GHashTable *keys;   /* the client's temporary keys -> ours */
    bool on;
};

static char *property_of(unsigned index, const char *member)
{
    return g_strdup_printf("deviceChange[%u].device.%s", index, member);
}

/* Whether one of a disk's two files is there. */
static bool disk_exists(const struct datastore *datastore, const char *path)
{
    g_autofree char *data = datastore_path_with_suffix(path, ".qcow2");
    struct stat st;
    return fstatat(datastore->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstatat(datastore->fd, data, &st, AT_SYMLINK_NOFOLLOW) == 0;
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
    if (!g_str_equal(backing->diskMode, "persistent") &&
        !g_str_equal(backing->diskMode, "independent_persistent")) {
        g_autofree char *mode = property_of(index, "backing.diskMode");
        return fault_invalid_device_backing(mode, (int32_t)index, "%s: \"%s\" is not supported by this host",
                                            mode, backing->diskMode);
    }
    struct vim_fault *fault = create ? prepare_new_disk(d, disk, index) : NULL;
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
        disk_image_info_clear(&info);
    } else if (!backing->thinProvisioned.set) {
        vim_set_optional(&backing->thinProvisioned,
                         !(backing->eagerlyScrub.set && backing->eagerlyScrub.value));
    }
    return NULL;
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
    static const char *const kept[] = {".vmx", ".vmdk", ".qcow2", ".nvram", ".vmsd", ".vmss", ".iso", NULL};
    for (size_t i = 0; fault == NULL && vim_is_a(device, &VirtualSerialPort_type) && kept[i] != NULL; i++) {
        if (g_str_has_suffix(relative, kept[i])) { /* a guest's words would be appended to it */
            fault = fault_invalid_device_backing(property, (int32_t)index,
                                                 "%s: a serial port does not write to "
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

/* Checks the backing of a device that is added or edited, and completes it. */
static struct vim_fault *prepare(struct device_changes *d, struct VirtualDevice *device, bool create,
                                 unsigned index)
{
    bool removable = vim_is_a(device, &VirtualCdrom_type) || vim_is_a(device, &VirtualEthernetCard_type) ||
                     vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualFloppy_type);
    if (removable && device->connectable == NULL) {
        device->connectable = VirtualDeviceConnectInfo_new();
        device->connectable->startConnected = true;
        device->connectable->allowGuestControl = true;
        device->connectable->connected = true;
    }
    if (vim_is_a(device, &VirtualDisk_type)) {
        return prepare_disk(d, device, create, index);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        return prepare_network(d, device, index);
    }
    if (vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
        return prepare_file(d, device, index);
    }
    return NULL;
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
    disk->capacityInKB = kb;
    vim_set_optional(&disk->capacityInBytes, kb * 1024);
    (void)d;
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
    } else if (vim_is_a(device, &VirtualCdrom_type) || vim_is_a(device, &VirtualEthernetCard_type) ||
               vim_is_a(device, &VirtualSerialPort_type)) {
        if (spec->device->backing != NULL) {
            vim_free(device->backing);
            device->backing = vim_copy(spec->device->backing);
        }
        MERGE(device->connectable, spec->device->connectable);
        if (vim_is_a(device, &VirtualEthernetCard_type)) {
            vim_set_string(&((struct VirtualEthernetCard *)device)->macAddress,
                           ((struct VirtualEthernetCard *)spec->device)->macAddress);
        }
        fault = prepare(d, device, false, index);
    } else if (!vim_equal(device, spec->device)) {
        fault = bad_operation(spec, index, "this device is not edited");
    }
    if (fault == NULL) {
        vm_device_describe(device);
        g_ptr_array_add(d->change->edited, device);
    }
    return fault;
}

static struct vim_fault *apply_devices(struct device_changes *d, const struct VirtualMachineConfigSpec *spec)
{
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < spec->deviceChange.n && fault == NULL; i++) {
        const struct VirtualDeviceConfigSpec *one = spec->deviceChange.items[i];
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
    struct vim_fault *fault = check_members(spec);
    if (fault == NULL) {
        fault = apply_identity(d->host, config, spec, d->on);
    }
    if (fault == NULL) {
        fault = apply_cpu(d->host, config, spec, d->on);
    }
    if (fault == NULL) {
        fault = apply_memory(config, spec, d->on);
    }
    if (fault == NULL) {
        fault = apply_extra(config, spec);
    }
    if (fault == NULL) {
        MERGE(config->flags, spec->flags);
        MERGE(config->tools, spec->tools);
        MERGE(config->defaultPowerOps, spec->powerOpInfo);
        MERGE(config->bootOptions, spec->bootOptions);
        MERGE(config->cpuAllocation, spec->cpuAllocation);
        MERGE(config->memoryAllocation, spec->memoryAllocation);
        fault = apply_devices(d, spec);
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
    struct device_changes d = {host, change, folder, keys, powered_on};
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
        journal_remove_files(host, paths);
    }
    return fault;
}
