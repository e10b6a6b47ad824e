// SPDX-License-Identifier: Apache-2.0
/*
 * The members of a VirtualMachineConfigSpec that are the machine's own: identity, processors, memory, firmware,
 * options. What has no effect here and is kept is in the list of docs/virtual-machines.md; what would promise
 * something is refused by name. See vm.h; vm_spec.c calls this.
 */
#include "host/vm/vm_spec.h"

#include <string.h>

#include "host/vm/guest_os.h"
#include "vim/value.h"

enum {
    MEMORY_MIN_MB = 4,
    MEMORY_MAX_MB = 16 << 20,
};

#define CHIPSET_KEY "tenkyu.chipset"

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
    config->tools->lastInstallInfo =
        ToolsConfigInfoToolsLastInstallInfo_new(); /* nothing here installs them */
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
    "locationId",
    "memoryHotAddEnabled",
    "cpuHotAddEnabled",
    "cpuHotRemoveEnabled",
    "latencySensitivity",
    "swapPlacement",
    "guestAutoLockEnabled",
    "managedBy",
    "memoryReservationLockedToMax",
    "nestedHVEnabled",
    "vPMCEnabled",
    "migrateEncryption",
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

static struct vim_fault *apply_identity(struct VirtualMachineConfigInfo *config,
                                        const struct VirtualMachineConfigSpec *spec)
{
    struct vim_fault *fault = apply_uuid(&config->uuid, spec->uuid, "uuid");
    if (fault == NULL) {
        fault = apply_uuid(&config->instanceUuid, spec->instanceUuid, "instanceUuid");
    }
    if (fault == NULL) {
        fault = apply_uuid(&config->locationId, spec->locationId, "locationId");
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
    return NULL;
}

void vm_spec_merge(void *into, const void *from)
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

/* ---- extraConfig ------------------------------------------------------------------------------------ */

static const struct OptionValue *find_extra(const struct OptionValue *const *items, uint32_t n,
                                            const char *key)
{
    for (uint32_t i = 0; i < n; i++) {
        if (g_ascii_strcasecmp(items[i]->key, key) == 0) {
            return items[i];
        }
    }
    return NULL;
}

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
    static const char *const buses[] = {"scsi",   "ide",    "sata",     "nvme",        "ethernet",
                                        "serial", "floppy", "parallel", "pcipassthru", NULL};
    static const char *const singles[] = {"sound.", "vtpm.", "usb.", "usb_xhci.", "ehci.", "vmci0.", NULL};
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
    for (size_t i = 0; singles[i] != NULL; i++) {
        bus |= g_str_has_prefix(lower, singles[i]);
    }
    return bus && part;
}

/* Keys that say what the board and its devices are: a running guest cannot be given others. */
static bool names_board(const char *key)
{
    return g_ascii_strcasecmp(key, CHIPSET_KEY) == 0 || g_ascii_strcasecmp(key, "tenkyu.video") == 0 ||
           (strlen(key) > strlen(".tenkyu.virtualDev") &&
            g_ascii_strcasecmp(key + strlen(key) - strlen(".tenkyu.virtualDev"), ".tenkyu.virtualDev") == 0);
}

static struct vim_fault *apply_extra(struct VirtualMachineConfigInfo *config,
                                     const struct VirtualMachineConfigSpec *spec, bool on)
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
        if (on && names_board(option->key)) {
            const struct OptionValue *now =
                find_extra((const struct OptionValue *const *)config->extraConfig.items,
                           config->extraConfig.n, option->key);
            if (g_strcmp0(now != NULL ? vim_any_get_string(now->value) : "",
                          option->value != NULL ? vim_any_get_string(option->value) : "") != 0) {
                return fault_invalid_power_state(
                    VirtualMachinePowerState_poweredOff, VirtualMachinePowerState_poweredOn,
                    "extraConfig: \"%s\" is changed while the machine is powered off", option->key);
            }
        }
        set_extra(config, option);
    }
    return NULL;
}

/* ---- firmware and board ----------------------------------------------------------------------------- */

static struct vim_fault *apply_firmware(struct VirtualMachineConfigInfo *config,
                                        const struct VirtualMachineConfigSpec *spec, bool on)
{
    bool secure = config->bootOptions != NULL && config->bootOptions->efiSecureBootEnabled.value;
    bool now_secure = spec->bootOptions != NULL && spec->bootOptions->efiSecureBootEnabled.set
                          ? spec->bootOptions->efiSecureBootEnabled.value
                          : secure;
    const char *firmware = spec->firmware != NULL ? spec->firmware : config->firmware;
    bool other = g_strcmp0(firmware, config->firmware) != 0;
    if (spec->firmware != NULL && !g_str_equal(firmware, "bios") && !g_str_equal(firmware, "efi")) {
        return fault_invalid_argument("firmware", "firmware is \"%s\"; there are bios and efi", firmware);
    }
    if (on && (other || secure != now_secure)) {
        return fault_invalid_power_state(VirtualMachinePowerState_poweredOff,
                                         VirtualMachinePowerState_poweredOn,
                                         "%s is changed while the machine is powered off",
                                         other ? "firmware" : "bootOptions.efiSecureBootEnabled");
    }
    if (now_secure && g_strcmp0(firmware, "efi") != 0 && !secure) {
        return fault_invalid_argument("bootOptions.efiSecureBootEnabled",
                                      "bootOptions.efiSecureBootEnabled needs the firmware efi");
    }
    vim_set_string(&config->firmware, firmware);
    /* The board goes with the firmware; a system is not moved from one firmware to the other, it is installed
     * anew. Who names the board in the same breath has it his way. */
    if (other && find_extra((const struct OptionValue *const *)spec->extraConfig.items, spec->extraConfig.n,
                            CHIPSET_KEY) == NULL) {
        const char *chipset = guest_os_chipset(firmware);
        struct OptionValue *option = OptionValue_new();
        option->key = g_strdup(CHIPSET_KEY);
        option->value = vim_any_string(g_str_equal(chipset, "440bx") ? "" : chipset); /* absent means that */
        set_extra(config, option);
        vim_free(option);
    }
    return NULL;
}

struct vim_fault *vm_spec_check_board(struct host *host, const struct VirtualMachineConfigInfo *config,
                                      const struct VirtualMachineConfigSpec *spec)
{
    g_autofree char *message = NULL;
    const char *property = spec->firmware != NULL      ? "firmware"
                           : spec->bootOptions != NULL ? "bootOptions.efiSecureBootEnabled"
                                                       : "extraConfig";
    if (spec->firmware == NULL && spec->bootOptions == NULL && spec->extraConfig.n == 0) {
        return NULL; /* it is as it was: a machine that cannot start can still be changed */
    }
    int error = hypervisor_check_machine(host->hypervisor, config, &message);
    return error == 0 ? NULL : fault_invalid_argument(property, "%s: %s", property, message);
}

/* ---- options ---------------------------------------------------------------------------------------- */

/* A member that is one of some words. */
static struct vim_fault *check_word(const char *property, const char *word, const char *const *words)
{
    if (word == NULL || word[0] == '\0' || g_strv_contains(words, word)) {
        return NULL;
    }
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    return fault_invalid_argument(property, "%s is \"%s\"; there are %s", property, word, all);
}

/* Flags that would promise what there is not. What is set already, in a file of another product, may stay. */
static struct vim_fault *check_flags(const struct VirtualMachineFlagInfo *now,
                                     const struct VirtualMachineFlagInfo *wanted)
{
    static const char *const refused[] = {"disableAcceleration", "useToe",           "runWithDebugInfo",
                                          "recordReplayEnabled", "cbrcCacheEnabled", "vvtdEnabled",
                                          "vbsEnabled"};
    for (size_t i = 0; wanted != NULL && i < G_N_ELEMENTS(refused); i++) {
        const struct vim_field *field = vim_field_by_name(&VirtualMachineFlagInfo_type, refused[i], NULL);
        const void *at = vim_field_at(field, (void *)wanted);
        bool is_set = now != NULL && vim_field_is_set(field, vim_field_at(field, (void *)now)) &&
                      *(const bool *)vim_field_value(field, vim_field_at(field, (void *)now));
        if (vim_field_is_set(field, at) && *(const bool *)vim_field_value(field, at) && !is_set) {
            g_autofree char *property = g_strconcat("flags.", refused[i], NULL);
            return fault_invalid_argument(property, "\"%s\" is not supported by this host", property);
        }
    }
    return NULL;
}

static struct vim_fault *check_options(const struct host *host, const struct VirtualMachineConfigInfo *config,
                                       const struct VirtualMachineConfigSpec *spec)
{
    static const char *const swap[] = {"inherit", "vmDirectory", "hostLocal", NULL};
    static const char *const encryption[] = {"disabled", "opportunistic", NULL};
    static const char *const protocols[] = {"ipv4", "ipv6", NULL};
    struct vim_fault *fault = check_word("swapPlacement", spec->swapPlacement, swap);
    if (fault == NULL) {
        fault = check_word("migrateEncryption", spec->migrateEncryption, encryption);
    }
    if (fault == NULL && spec->bootOptions != NULL) {
        fault =
            check_word("bootOptions.networkBootProtocol", spec->bootOptions->networkBootProtocol, protocols);
    }
    if (fault == NULL) {
        fault = check_flags(config->flags, spec->flags);
    }
    if (fault == NULL && spec->vPMCEnabled.value &&
        !g_str_equal(hypervisor_info(host->hypervisor)->accelerator, "kvm") && !config->vPMCEnabled.value) {
        fault = fault_invalid_argument("vPMCEnabled",
                                       "vPMCEnabled: there are performance counters with KVM only");
    }
    return fault;
}

#define TAKE(member)                                               \
    do {                                                           \
        if (spec->member.set) {                                    \
            vim_set_optional(&config->member, spec->member.value); \
        }                                                          \
    } while (0)

static void apply_options(struct VirtualMachineConfigInfo *config,
                          const struct VirtualMachineConfigSpec *spec)
{
    TAKE(memoryHotAddEnabled);
    TAKE(cpuHotAddEnabled);
    TAKE(cpuHotRemoveEnabled);
    TAKE(guestAutoLockEnabled);
    TAKE(memoryReservationLockedToMax);
    TAKE(nestedHVEnabled);
    TAKE(vPMCEnabled);
    if (spec->createDate != 0) {
        config->createDate = spec->createDate;
    }
    if (spec->swapPlacement != NULL) {
        vim_set_string(&config->swapPlacement, spec->swapPlacement);
    }
    if (spec->migrateEncryption != NULL) {
        vim_set_string(&config->migrateEncryption, spec->migrateEncryption);
    }
    VM_SPEC_MERGE(config->latencySensitivity, spec->latencySensitivity);
    VM_SPEC_MERGE(config->managedBy, spec->managedBy);
    VM_SPEC_MERGE(config->flags, spec->flags);
    VM_SPEC_MERGE(config->tools, spec->tools);
    VM_SPEC_MERGE(config->defaultPowerOps, spec->powerOpInfo);
    VM_SPEC_MERGE(config->bootOptions, spec->bootOptions);
    VM_SPEC_MERGE(config->cpuAllocation, spec->cpuAllocation);
    VM_SPEC_MERGE(config->memoryAllocation, spec->memoryAllocation);
}

struct vim_fault *vm_spec_apply_machine(struct host *host, struct VirtualMachineConfigInfo *config,
                                        const struct VirtualMachineConfigSpec *spec, bool on)
{
    struct vim_fault *fault = check_members(spec);
    if (fault == NULL) {
        fault = check_options(host, config, spec);
    }
    if (fault == NULL) {
        fault = apply_identity(config, spec);
    }
    if (fault == NULL) {
        fault = apply_cpu(host, config, spec, on);
    }
    if (fault == NULL) {
        fault = apply_memory(config, spec, on);
    }
    if (fault == NULL) {
        fault = apply_firmware(config, spec, on);
    }
    if (fault == NULL) {
        fault = apply_extra(config, spec, on);
    }
    if (fault == NULL) {
        apply_options(config, spec);
    }
    return fault;
}
