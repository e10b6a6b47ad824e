// SPDX-License-Identifier: Apache-2.0
/*
 * Which privileges a VirtualMachineConfigSpec needs: on the virtual machine for what it changes, and on the
 * datastores and networks that it uses. The rules are those of the VI API reference for ReconfigVM_Task.
 */
#include "host/vm/vm.h"
#include "vim/value.h"

/* ---- on the machine ------------------------------------------------------------------------------------- */

static enum vim_privilege privilege_of_device(const struct VirtualDeviceConfigSpec *change)
{
    bool disk = vim_is_a(change->device, &VirtualDisk_type);
    switch (change->operation) {
    case VirtualDeviceConfigSpecOperation_add:
        if (disk && change->fileOperation == VirtualDeviceConfigSpecFileOperation_create) {
            return VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_ADD_NEW_DISK;
        }
        return disk ? VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_ADD_EXISTING_DISK
                    : VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_ADD_REMOVE_DEVICE;
    case VirtualDeviceConfigSpecOperation_remove:
        return disk ? VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_REMOVE_DISK
                    : VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_ADD_REMOVE_DEVICE;
    case VirtualDeviceConfigSpecOperation_edit:
        if (vim_is_a(change->device, &VirtualCdrom_type)) {
            return VIM_PRIVILEGE_VIRTUAL_MACHINE_INTERACT_SET_CD_MEDIA;
        }
        return disk ? VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_DISK_EXTEND
                    : VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_EDIT_DEVICE;
    case VirtualDeviceConfigSpecOperation_unset:
        break;
    }
    return VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_EDIT_DEVICE;
}

/* Which member needs which privilege; the others need Settings. */
static const struct {
    const char *member;
    enum vim_privilege privilege;
} member_privileges[] = {
    {"name", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_RENAME},
    {"annotation", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_ANNOTATION},
    {"numCPUs", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_CPU_COUNT},
    {"numCoresPerSocket", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_CPU_COUNT},
    {"memoryMB", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_MEMORY},
    {"extraConfig", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_ADVANCED_CONFIG},
    {"cpuAllocation", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_RESOURCE},
    {"memoryAllocation", VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_RESOURCE},
};

static enum vim_privilege privilege_of_member(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(member_privileges); i++) {
        if (g_str_equal(member_privileges[i].member, name)) {
            return member_privileges[i].privilege;
        }
    }
    return VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_SETTINGS;
}

struct vim_fault *vm_check_privileges(struct vim_call *call, const struct VirtualMachineConfigSpec *spec)
{
    struct vim_fault *fault = NULL;
    bool empty = spec->deviceChange.n == 0;
    for (unsigned i = 0; i < VirtualMachineConfigSpec_type.n_fields && fault == NULL; i++) {
        const struct vim_field *field = &VirtualMachineConfigSpec_type.fields[i];
        if (vim_field_is_set(field, vim_field_at(field, spec)) && !g_str_equal(field->name, "deviceChange") &&
            !g_str_equal(field->name, "changeVersion")) {
            fault = vim_call_require(call, &call->request.target, privilege_of_member(field->name));
            empty = false;
        }
    }
    if (empty) { /* it changes nothing, and yet takes the machine's job and writes its .vmx */
        fault = vim_call_require(call, &call->request.target, VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_SETTINGS);
    }
    for (uint32_t i = 0; i < spec->deviceChange.n && fault == NULL; i++) {
        fault =
            vim_call_require(call, &call->request.target, privilege_of_device(spec->deviceChange.items[i]));
    }
    return fault;
}

/* ---- on what it uses ------------------------------------------------------------------------------- */

static struct vim_fault *check_datastore(struct vim_call *call, const char *text, const char *property)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    struct vim_fault *fault = host_resolve(call->server->hooks_data, text, property, &datastore, &path);
    return fault != NULL ? fault
                         : vim_call_require(call, &datastore->ref, VIM_PRIVILEGE_DATASTORE_ALLOCATE_SPACE);
}

static struct vim_fault *check_extra(struct vim_call *call, const struct OptionValue *option)
{
    const char *value = vim_any_get_string(option->value);
    bool boot_file = g_str_equal(option->key, "tenkyu.kernel") || g_str_equal(option->key, "tenkyu.initrd");
    return boot_file && value != NULL && value[0] != '\0' ? check_datastore(call, value, option->key) : NULL;
}

static struct vim_fault *check_device(struct vim_call *call, const struct VirtualDevice *device,
                                      const char *property)
{
    const struct VirtualDeviceFileBackingInfo *file = (const void *)device->backing;
    if (vim_is_a(file, &VirtualDeviceFileBackingInfo_type) && file->fileName != NULL &&
        file->fileName[0] != '\0') {
        return check_datastore(call, file->fileName, property);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        struct vim_ref network = {&Network_type, (char *)HOST_NETWORK_ID};
        return vim_call_require(call, &network, VIM_PRIVILEGE_NETWORK_ASSIGN);
    }
    return NULL;
}

struct vim_fault *vm_check_access(struct vim_call *call, const struct VirtualMachineConfigSpec *spec)
{
    struct vim_fault *fault = NULL;
    if (spec->files != NULL && spec->files->vmPathName != NULL) {
        fault = check_datastore(call, spec->files->vmPathName, "files.vmPathName");
    }
    for (uint32_t i = 0; i < spec->extraConfig.n && fault == NULL; i++) {
        fault = check_extra(call, spec->extraConfig.items[i]);
    }
    for (uint32_t i = 0; i < spec->deviceChange.n && fault == NULL; i++) {
        const struct VirtualDeviceConfigSpec *change = spec->deviceChange.items[i];
        if (change->operation != VirtualDeviceConfigSpecOperation_remove) {
            fault = check_device(call, change->device, "deviceChange.device.backing.fileName");
        }
    }
    return fault;
}

struct vim_fault *vm_check_file_access(struct vim_call *call, const char *vmx_path)
{
    struct VirtualMachineConfigInfo *config = NULL;
    struct vim_fault *fault = check_datastore(call, vmx_path, "path");
    if (fault != NULL) {
        return fault;
    }
    VIM_FAULT_AUTO unreadable = vm_load(call->server->hooks_data, vmx_path, &config);
    if (unreadable != NULL) {
        return NULL; /* the task will say so */
    }
    for (uint32_t i = 0; fault == NULL && i < config->extraConfig.n; i++) {
        fault = check_extra(call, config->extraConfig.items[i]);
    }
    for (uint32_t i = 0; fault == NULL && i < config->hardware->device.n; i++) {
        fault = check_device(call, config->hardware->device.items[i], "path");
    }
    vim_free(config);
    return fault;
}
