// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of a machine's own keys, boot order and extraConfig; see vmx_config.h. Devices are in
 * vmx_device.c, the engine in vmx_mapping.c.
 */
#include "host/vm/vmx_config.h"

#include <errno.h>
#include <string.h>

#include "host/storage/datastore_path.h"
#include "host/storage/disk_image.h"
#include "host/vm/guest_os.h"
#include "host/vm/vmx_mapping.h"
#include "vim/types.h"
#include "vim/value.h"

static const struct vmx_word limits[] = {{"unlimited", "-1"}, {NULL, NULL}};
static const struct vmx_word power_types[] = {{"default", "preset"}, {NULL, NULL}};
static const struct vmx_word mmu_uses[] = {{"software", "off"}, {"hardware", "on"}, {NULL, NULL}};
static const struct vmx_word exec_uses[] = {
    {"automatic", "hvAuto"}, {"hardware", "hvOn"}, {"software", "hvOff"}, {NULL, NULL}};

static const struct vmx_mapping config_keys[] = {
    {"displayName", "name", NULL, VMX_PLAIN, NULL, 0},
    {"virtualHW.version", "version", "vmx-04", VMX_VERSION, NULL, 0},
    {"guestOS", "guestId", "otherGuest", VMX_GUEST, NULL, 0},
    {"guestOSAltName", "alternateGuestName", "", VMX_PLAIN, NULL, 0},
    {"annotation", "annotation", NULL, VMX_PLAIN, NULL, 0},
    {"uuid.bios", "uuid", NULL, VMX_UUID, NULL, 0},
    {"vc.uuid", "instanceUuid", NULL, VMX_UUID, NULL, 0},
    {"uuid.location", "locationId", NULL, VMX_UUID, NULL, 0},
    {"vm.createDate", "createDate", NULL, VMX_PLAIN, NULL, 0},
    {"tenkyu.template", "template", "FALSE", VMX_PLAIN, NULL, 0},
    {"firmware", "firmware", "bios", VMX_PLAIN, NULL, 0},
    {"numvcpus", "hardware.numCPU", "1", VMX_PLAIN, NULL, 1},
    {"cpuid.coresPerSocket", "hardware.numCoresPerSocket", "1", VMX_PLAIN, NULL, 1},
    {"memsize", "hardware.memoryMB", "32", VMX_PLAIN, NULL, 4},
    {"mem.hotadd", "memoryHotAddEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"vcpu.hotadd", "cpuHotAddEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"vcpu.hotremove", "cpuHotRemoveEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"vhv.enable", "nestedHVEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"vpmc.enable", "vPMCEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"ctkEnabled", "changeTrackingEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"migrate.encryptionMode", "migrateEncryption", NULL, VMX_PLAIN, NULL, 0},
    {"RemoteDisplay.maxConnections", "maxMksConnections", NULL, VMX_PLAIN, NULL, -1},
    {"tools.guest.desktop.autolock", "guestAutoLockEnabled", NULL, VMX_PLAIN, NULL, 0},
    {"tenkyu.swapPlacement", "swapPlacement", NULL, VMX_PLAIN, NULL, 0},
    {"managedBy.extensionKey", "managedBy.extensionKey", NULL, VMX_PLAIN, NULL, 0},
    {"managedBy.type", "managedBy.type", NULL, VMX_PLAIN, NULL, 0},

    {"logging", "flags.enableLogging", "TRUE", VMX_PLAIN, NULL, 0},
    {"disk.EnableUUID", "flags.diskUuidEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"monitor.virtual_mmu", "flags.virtualMmuUsage", "automatic", VMX_WORDS, mmu_uses, 0},
    {"monitor.virtual_exec", "flags.virtualExecUsage", "hvAuto", VMX_WORDS, exec_uses, 0},
    {"sched.cpu.htsharing", "flags.htSharing", "any", VMX_PLAIN, NULL, 0},
    {"snapshot.action", "flags.snapshotPowerOffBehavior", "powerOff", VMX_PLAIN, NULL, 0},
    {"vvtd.enable", "flags.vvtdEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"tenkyu.vbsEnabled", "flags.vbsEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"tenkyu.snapshotDisabled", "flags.snapshotDisabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"tenkyu.snapshotLocked", "flags.snapshotLocked", "FALSE", VMX_PLAIN, NULL, 0},

    {"powerType.powerOff", "defaultPowerOps.powerOffType", "preset", VMX_WORDS, power_types, 0},
    {"powerType.suspend", "defaultPowerOps.suspendType", "preset", VMX_WORDS, power_types, 0},
    {"powerType.reset", "defaultPowerOps.resetType", "preset", VMX_WORDS, power_types, 0},
    {"tenkyu.standbyAction", "defaultPowerOps.standbyAction", "checkpoint", VMX_PLAIN, NULL, 0},

    {"tools.syncTime", "tools.syncTimeWithHost", "FALSE", VMX_PLAIN, NULL, 0},
    {"tools.upgrade.policy", "tools.toolsUpgradePolicy", "manual", VMX_PLAIN, NULL, 0},
    {"tools.deployPkg.fileName", "tools.pendingCustomization", NULL, VMX_PLAIN, NULL, 0},
    {"toolScripts.afterPowerOn", "tools.afterPowerOn", "TRUE", VMX_PLAIN, NULL, 0},
    {"toolScripts.afterResume", "tools.afterResume", "TRUE", VMX_PLAIN, NULL, 0},
    {"toolScripts.beforeSuspend", "tools.beforeGuestStandby", "TRUE", VMX_PLAIN, NULL, 0},
    {"toolScripts.beforePowerOff", "tools.beforeGuestShutdown", "TRUE", VMX_PLAIN, NULL, 0},

    {"bios.bootDelay", "bootOptions.bootDelay", "0", VMX_PLAIN, NULL, 0},
    {"bios.forceSetupOnce", "bootOptions.enterBIOSSetup", "FALSE", VMX_PLAIN, NULL, 0},
    {"uefi.secureBoot.enabled", "bootOptions.efiSecureBootEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"bios.bootRetry.enabled", "bootOptions.bootRetryEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    {"bios.bootRetry.delay", "bootOptions.bootRetryDelay", "10000", VMX_PLAIN, NULL, 0},
    {"tenkyu.networkBootProtocol", "bootOptions.networkBootProtocol", "ipv4", VMX_PLAIN, NULL, 0},

    {"sched.cpu.min", "cpuAllocation.reservation", "0", VMX_PLAIN, NULL, 0},
    {"sched.cpu.max", "cpuAllocation.limit", "-1", VMX_WORDS, limits, -1},
    {"sched.cpu.shares", "cpuAllocation.shares", "normal", VMX_SHARES, NULL, 0},
    {"sched.cpu.latencySensitivity", "latencySensitivity.level", NULL, VMX_PLAIN, NULL, 0},
    {"sched.mem.min", "memoryAllocation.reservation", "0", VMX_PLAIN, NULL, 0},
    {"sched.mem.max", "memoryAllocation.limit", "-1", VMX_WORDS, limits, -1},
    {"sched.mem.shares", "memoryAllocation.shares", "normal", VMX_SHARES, NULL, 0},
    {"sched.mem.pin", "memoryReservationLockedToMax", "FALSE", VMX_PLAIN, NULL, 0},
    {NULL, NULL, NULL, VMX_PLAIN, NULL, 0},
};

/* Keys that are neither properties nor extraConfig. With '*' at the end: all that begin so. */
static const char *const internal_keys[] = {
    ".encoding",
    "config.version",
    "extendedConfigFile",
    "nvram",
    "checkpoint.*",
    "pcibridge*",
    "hpet0.present",
    "svga.present",
    "sched.cpu.units",
    "sched.mem.minsize",
    "virtualhw.productcompatibility",
    "floppy0.present",
    "bios.bootorder",
    "bios.hddorder",
};

static bool is_internal(const char *key)
{
    g_autofree char *folded = g_ascii_strdown(key, -1);

    for (size_t i = 0; i < G_N_ELEMENTS(internal_keys); i++) {
        g_autofree char *known = g_ascii_strdown(internal_keys[i], -1);
        size_t length = strlen(known);

        if (known[length - 1] == '*' ? strncmp(folded, known, length - 1) == 0 : strcmp(folded, known) == 0) {
            return true;
        }
    }
    return false;
}

/* --- boot order --- */

struct boot_order { /* as VirtualMachineBootOptions.bootOrder */
    struct VirtualMachineBootOptionsBootableDevice **items;
    uint32_t n;
};

static void add_disk(struct boot_order *order, int32_t key)
{
    struct VirtualMachineBootOptionsBootableDiskDevice *disk =
        VirtualMachineBootOptionsBootableDiskDevice_new();

    disk->deviceKey = key;
    vim_array_add_object(order, disk);
}

/* The disks that boot, in their order; without one in the file it is the first. */
static void load_disk_order(const struct vmx *vmx, const struct VirtualMachineConfigInfo *config,
                            struct boot_order *order)
{
    const char *text = vmx_get(vmx, "bios.hddOrder");
    g_auto(GStrv) slots = g_strsplit(text != NULL ? text : "", ",", -1);

    for (size_t i = 0; slots[i] != NULL; i++) {
        int32_t key = vmx_device_key(g_strstrip(slots[i]));

        if (key >= 0) {
            add_disk(order, key);
        }
    }
    for (uint32_t i = 0; text == NULL && i < config->hardware->device.n; i++) {
        if (vim_is_a(config->hardware->device.items[i], &VirtualDisk_type)) {
            add_disk(order, config->hardware->device.items[i]->key);
            return;
        }
    }
}

static void load_boot_order(const struct vmx *vmx, const struct VirtualMachineConfigInfo *config,
                            struct boot_order *order)
{
    const char *text = vmx_get(vmx, "bios.bootOrder");
    g_auto(GStrv) words = g_strsplit(text != NULL ? text : "", ",", -1);

    for (size_t i = 0; words[i] != NULL; i++) {
        const char *word = g_strstrip(words[i]);

        if (g_ascii_strcasecmp(word, "hdd") == 0) {
            load_disk_order(vmx, config, order);
        } else if (g_ascii_strcasecmp(word, "cdrom") == 0) {
            vim_array_add_object(order, VirtualMachineBootOptionsBootableCdromDevice_new());
        } else if (g_ascii_strcasecmp(word, "floppy") == 0) {
            vim_array_add_object(order, VirtualMachineBootOptionsBootableFloppyDevice_new());
        } else if (g_ascii_strncasecmp(word, "ethernet", strlen("ethernet")) == 0) {
            struct VirtualMachineBootOptionsBootableEthernetDevice *card =
                VirtualMachineBootOptionsBootableEthernetDevice_new();

            card->deviceKey = MAX(vmx_device_key(word), 4000); /* "ethernet": the first */
            vim_array_add_object(order, card);
        }
    }
}

static void clear_boot_order(struct boot_order *order)
{
    for (uint32_t i = 0; i < order->n; i++) {
        vim_free(order->items[i]);
    }
    g_free(order->items);
}

static bool same_boot_order(const struct boot_order *a, const struct boot_order *b)
{
    bool same = a->n == b->n;

    for (uint32_t i = 0; same && i < a->n; i++) {
        same = vim_equal(a->items[i], b->items[i]);
    }
    return same;
}

static void append_word(GString *words, const char *word)
{
    g_string_append_printf(words, "%s%s", words->len > 0 ? "," : "", word);
}

/* All disks are one word in bootOrder, at the first one's place; that is all the file can say. */
static void format_boot_order(const struct boot_order *order, GString *words, GString *disks)
{
    for (uint32_t i = 0; i < order->n; i++) {
        const struct VirtualMachineBootOptionsBootableDevice *device = order->items[i];

        if (vim_is_a(device, &VirtualMachineBootOptionsBootableDiskDevice_type)) {
            g_autofree char *slot = vmx_device_slot(
                ((const struct VirtualMachineBootOptionsBootableDiskDevice *)device)->deviceKey);

            if (disks->len == 0) {
                append_word(words, "hdd");
            }
            if (slot != NULL) {
                append_word(disks, slot);
            }
        } else if (vim_is_a(device, &VirtualMachineBootOptionsBootableEthernetDevice_type)) {
            g_autofree char *slot = vmx_device_slot(
                ((const struct VirtualMachineBootOptionsBootableEthernetDevice *)device)->deviceKey);

            append_word(words, slot != NULL ? slot : "ethernet0");
        } else if (vim_is_a(device, &VirtualMachineBootOptionsBootableCdromDevice_type)) {
            append_word(words, "cdrom");
        } else if (vim_is_a(device, &VirtualMachineBootOptionsBootableFloppyDevice_type)) {
            append_word(words, "floppy");
        }
    }
}

static void store_boot_order(struct vmx_mapper *mapper, const struct VirtualMachineConfigInfo *config)
{
    g_autoptr(GString) words = g_string_new(NULL);
    g_autoptr(GString) disks = g_string_new(NULL);
    struct boot_order now = {NULL, 0};
    struct boot_order wanted = {NULL, 0};

    if (config->bootOptions != NULL) {
        wanted = (struct boot_order){config->bootOptions->bootOrder.items, config->bootOptions->bootOrder.n};
    }
    load_boot_order(mapper->vmx, config, &now);
    if (!same_boot_order(&now, &wanted)) {
        format_boot_order(&wanted, words, disks);
        vmx_mapper_set(mapper, "bios.bootOrder", words->len > 0 ? words->str : NULL);
        vmx_mapper_set(mapper, "bios.hddOrder", disks->len > 0 ? disks->str : NULL);
    }
    clear_boot_order(&now);
}

/* --- reading --- */

/* What a share level is worth: per processor, and per MB. */
static void complete_shares(struct ResourceAllocationInfo *allocation, int32_t normal, int32_t count)
{
    struct SharesInfo *shares = allocation->shares;
    int64_t worth = (int64_t)normal * count;

    vim_set_optional(&allocation->expandableReservation, false);
    if (shares->level == SharesLevel_custom) {
        return;
    }
    if (shares->level == SharesLevel_low) {
        worth /= 2;
    } else if (shares->level == SharesLevel_high) {
        worth *= 2;
    }
    shares->shares = (int32_t)MIN(worth, INT32_MAX);
}

static void complete_files(struct VirtualMachineConfigInfo *config, const struct vmx_mapper *mapper,
                           const char *path)
{
    struct VirtualMachineFileInfo *files = config->files = VirtualMachineFileInfo_new();
    g_autofree char *slash =
        mapper->folder[0] != '\0' ? g_strconcat(mapper->folder, "/", NULL) : g_strdup("");

    files->vmPathName = datastore_path_format(mapper->datastore, path);
    files->logDirectory = datastore_path_format(mapper->datastore, slash);
    files->snapshotDirectory = g_strdup(files->logDirectory);
    files->suspendDirectory = g_strdup(files->logDirectory);
}

static void complete_config(struct VirtualMachineConfigInfo *config, const struct vmx *vmx)
{
    config->tools->lastInstallInfo =
        ToolsConfigInfoToolsLastInstallInfo_new(); /* nobody here installs them */
    size_t length = 0;
    g_autofree char *text = vmx_format(vmx, &length);
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length);
    const char *full_name = guest_os_full_name(config->guestId);
    struct VirtualMachineDefaultPowerOpInfo *power = config->defaultPowerOps;

    config->changeVersion = g_strndup(sum, 16); /* the same file, the same version */
    config->guestFullName = g_strdup(full_name != NULL ? full_name : config->guestId);
    complete_shares(config->cpuAllocation, 1000, config->hardware->numCPU);
    complete_shares(config->memoryAllocation, 10, config->hardware->memoryMB);
    power->defaultPowerOffType = g_strdup("soft");
    power->defaultSuspendType = g_strdup("hard");
    power->defaultResetType = g_strdup("soft");
}

static void load_disk(struct VirtualDisk *disk, vmx_disk_fn disk_fn, void *disk_data)
{
    struct VirtualDiskFlatVer2BackingInfo *backing = (struct VirtualDiskFlatVer2BackingInfo *)disk->backing;
    struct disk_image_info info = {0};

    if (disk_fn(disk_data, backing->fileName, &info) < 0) {
        return;
    }
    disk->capacityInKB = info.capacity_bytes / 1024;
    vim_set_optional(&disk->capacityInBytes, info.capacity_bytes);
    vim_set_optional(&backing->thinProvisioned, info.provisioning == DISK_IMAGE_THIN);
    if (info.provisioning != DISK_IMAGE_THIN) {
        vim_set_optional(&backing->eagerlyScrub, info.provisioning == DISK_IMAGE_THICK_EAGER);
    }
    if (info.uuid[0] != '\0') {
        vim_set_string(&backing->uuid, info.uuid);
    }
    vim_set_string(&backing->contentId, info.content_id);
    disk_image_info_clear(&info);
}

static void load_disks(struct VirtualMachineConfigInfo *config, vmx_disk_fn disk_fn, void *disk_data)
{
    for (uint32_t i = 0; disk_fn != NULL && i < config->hardware->device.n; i++) {
        if (vim_is_a(config->hardware->device.items[i], &VirtualDisk_type)) {
            load_disk((struct VirtualDisk *)config->hardware->device.items[i], disk_fn, disk_data);
        }
    }
}

static void load_extra(const struct vmx_mapper *mapper, struct VirtualMachineConfigInfo *config)
{
    const char *key;
    const char *value;
    size_t i = 0;

    while (vmx_next(mapper->vmx, &i, &key, &value)) {
        if (!vmx_mapper_is_used(mapper, key) && !is_internal(key)) {
            struct OptionValue *option = OptionValue_new();

            option->key = g_strdup(key);
            option->value = vim_any_string(value);
            vim_array_add_object(&config->extraConfig, option);
        }
    }
}

static GHashTable *used_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static struct VirtualMachineConfigInfo *load(struct vmx_mapper *mapper)
{
    struct VirtualMachineConfigInfo *config = VirtualMachineConfigInfo_new();

    config->hardware = VirtualHardware_new();
    vmx_map_load(mapper, NULL, config_keys, config);
    if (mapper->error == 0) {
        vmx_devices_load(mapper, config);
    }
    return config;
}

int vmx_to_config(const struct vmx *vmx, const char *datastore, const char *path, vmx_disk_fn disk_fn,
                  void *disk_data, struct VirtualMachineConfigInfo **ret, char **ret_message)
{
    g_autofree char *folder = datastore_path_dirname(path);
    g_autoptr(GHashTable) used = used_new();
    struct vmx_mapper mapper = {.vmx = vmx, .datastore = datastore, .folder = folder, .used = used};
    struct VirtualMachineConfigInfo *config = load(&mapper);
    struct boot_order order = {NULL, 0};

    if (mapper.error != 0) {
        vim_free(config);
        *ret_message = mapper.message;
        return mapper.error;
    }
    load_boot_order(vmx, config, &order);
    config->bootOptions->bootOrder.items = order.items;
    config->bootOptions->bootOrder.n = order.n;
    if (config->name == NULL) {
        g_autofree char *stem = datastore_path_with_suffix(datastore_path_basename(path), "");

        config->name = g_steal_pointer(&stem);
    }
    complete_files(config, &mapper, path);
    complete_config(config, vmx);
    load_disks(config, disk_fn, disk_data);
    load_extra(&mapper, config);
    *ret = config;
    return 0;
}

/* --- writing --- */

/* What a file needs so that VMware's products take it for one, and give it the buses that it has here. */
static void begin_file(struct vmx_mapper *mapper, const char *path)
{
    static const struct {
        const char *key;
        const char *value;
    } first[] = {
        {".encoding", "UTF-8"},
        {"config.version", "8"},
        {"pciBridge0.present", "TRUE"},
        {"pciBridge4.present", "TRUE"},
        {"pciBridge4.virtualDev", "pcieRootPort"},
        {"pciBridge4.functions", "8"},
        {"svga.present", "TRUE"},
        {"hpet0.present", "TRUE"},
        {"floppy0.present", "FALSE"}, /* an absent one means TRUE to them */
    };
    g_autofree char *nvram = datastore_path_with_suffix(datastore_path_basename(path), ".nvram");

    for (size_t i = 0; i < G_N_ELEMENTS(first); i++) {
        if (vmx_get(mapper->out, first[i].key) == NULL) {
            vmx_mapper_set(mapper, first[i].key, first[i].value);
        }
    }
    if (vmx_get(mapper->out, "nvram") == NULL) {
        vmx_mapper_set(mapper, "nvram", nvram);
    }
}

static bool begins_with_any(const char *key, const GPtrArray *prefixes)
{
    for (guint i = 0; i < prefixes->len; i++) {
        const char *prefix = prefixes->pdata[i];

        if (g_ascii_strncasecmp(key, prefix, strlen(prefix)) == 0) {
            return true;
        }
    }
    return false;
}

static const struct OptionValue *find_extra(const struct VirtualMachineConfigInfo *config, const char *key)
{
    for (uint32_t i = 0; i < config->extraConfig.n; i++) {
        if (g_ascii_strcasecmp(config->extraConfig.items[i]->key, key) == 0) {
            return config->extraConfig.items[i];
        }
    }
    return NULL;
}

/* Removes the keys that were extraConfig and are not any more. */
static void remove_extra(struct vmx_mapper *mapper, const struct VirtualMachineConfigInfo *config)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    const char *key;
    const char *value;
    size_t i = 0;

    while (vmx_next(mapper->out, &i, &key, &value)) {
        if (!vmx_mapper_is_used(mapper, key) && !is_internal(key) && find_extra(config, key) == NULL) {
            g_ptr_array_add(gone, g_strdup(key));
        }
    }
    for (guint n = 0; n < gone->len; n++) {
        vmx_remove(mapper->out, gone->pdata[n]);
    }
}

static void store_extra(struct vmx_mapper *mapper, const struct VirtualMachineConfigInfo *config,
                        const GPtrArray *removed)
{
    remove_extra(mapper, config);
    for (uint32_t i = 0; i < config->extraConfig.n; i++) {
        const struct OptionValue *option = config->extraConfig.items[i];
        const char *value = option->value != NULL ? vim_any_get_string(option->value) : "";

        if (vmx_mapper_is_used(mapper, option->key) || is_internal(option->key) ||
            begins_with_any(option->key, removed)) {
            continue;
        }
        if (value == NULL) {
            vmx_mapper_fail(mapper, -EINVAL, option->key, "the value is not a string");
        }
        if (mapper->error == 0) {
            int r = 0;

            /* Not vmx_mapper_set: that would note the key as understood. An empty value removes, but one that
             * is empty in the file (ESX writes `scsi0:0.redo = ""`) stays. */
            if (value[0] == '\0' && g_strcmp0(vmx_get(mapper->out, option->key), "") != 0) {
                vmx_remove(mapper->out, option->key);
            } else if (value[0] != '\0') {
                r = vmx_set(mapper->out, option->key, value);
            }
            if (r < 0) {
                vmx_mapper_fail(mapper, r, option->key, "the file cannot hold this key or value");
            }
        }
    }
}

/* ESX writes the reservation of memory under two keys; when the first has changed the second follows. */
static void store_min_size(struct vmx_mapper *mapper, const char *before)
{
    const char *min = vmx_get(mapper->out, "sched.mem.min");

    if (g_strcmp0(before, min) != 0 && vmx_get(mapper->out, "sched.mem.minSize") != NULL) {
        vmx_mapper_set(mapper, "sched.mem.minSize", min != NULL ? min : "0");
    }
}

int vmx_update(struct vmx *vmx, const struct VirtualMachineConfigInfo *config, char **ret_message)
{
    DATASTORE_PATH_AUTO(path);
    g_autofree char *folder = NULL;
    g_autofree char *min_before = g_strdup(vmx_get(vmx, "sched.mem.min"));
    g_autoptr(GHashTable) used = used_new();
    g_autoptr(GPtrArray) removed = g_ptr_array_new_with_free_func(g_free);
    struct vmx_mapper mapper = {.vmx = vmx, .used = used};
    const char *rule = "there is none";

    if (config->files == NULL || config->files->vmPathName == NULL || config->hardware == NULL ||
        datastore_path_parse(config->files->vmPathName, -1, &path, &rule) < 0) {
        *ret_message = g_strdup_printf("config.files.vmPathName: %s", rule);
        return -EINVAL;
    }
    folder = datastore_path_dirname(path.path);
    mapper.datastore = path.datastore;
    mapper.folder = folder;
    /* A first reading shows which keys are understood, also those of devices that go now. Its errors do not
     * matter: what cannot be read is about to be overwritten. */
    mapper.lenient = true;
    vim_free(load(&mapper));
    mapper.lenient = false;

    mapper.out = vmx;
    if (vmx_get(vmx, "config.version") == NULL) {
        begin_file(&mapper, path.path);
    }
    vmx_map_store(&mapper, NULL, config_keys, config);
    vmx_devices_store(&mapper, config, removed);
    store_boot_order(&mapper, config);
    store_extra(&mapper, config, removed);
    store_min_size(&mapper, min_before);
    if (mapper.error != 0) {
        *ret_message = mapper.message;
    }
    return mapper.error;
}
