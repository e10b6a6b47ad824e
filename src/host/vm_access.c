// SPDX-License-Identifier: Apache-2.0
/*
 * Which privileges a VirtualMachineConfigSpec needs: on the virtual machine for what it changes, and on the
 * datastores and networks that it uses. The rules are those of the VI API reference for ReconfigVM_Task.
 */
#include "host/vm.h"
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
    for (unsigned i = 0; i < VirtualMachineConfigSpec_type.n_fields && fault == NULL; i++) {
        const struct vim_field *field = &VirtualMachineConfigSpec_type.fields[i];
        if (vim_field_is_set(field, vim_field_at(field, spec)) && !g_str_equal(field->name, "deviceChange") &&
            !g_str_equal(field->name, "changeVersion")) {
            fault = vim_call_require(call, &call->request.target, privilege_of_member(field->name));
        }
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

struct vim_fault *vm_check_access(struct vim_call *call, const struct VirtualMachineConfigSpec *spec)
{
    struct vim_fault *fault = NULL;
    if (spec->files != NULL && spec->files->vmPathName != NULL) {
        fault = check_datastore(call, spec->files->vmPathName, "files.vmPathName");
    }
    for (uint32_t i = 0; i < spec->extraConfig.n && fault == NULL; i++) {
        const struct OptionValue *option = spec->extraConfig.items[i];
        const char *value = vim_any_get_string(option->value);
        bool boot_file =
            g_str_equal(option->key, "tenkyu.kernel") || g_str_equal(option->key, "tenkyu.initrd");
        if (boot_file && value != NULL && value[0] != '\0') {
            fault = check_datastore(call, value, option->key);
        }
    }
    for (uint32_t i = 0; i < spec->deviceChange.n && fault == NULL; i++) {
        const struct VirtualDevice *device = spec->deviceChange.items[i]->device;
        const struct VirtualDeviceFileBackingInfo *file = (const void *)device->backing;
        if (spec->deviceChange.items[i]->operation == VirtualDeviceConfigSpecOperation_remove) {
            continue;
        }
        if (vim_is_a(file, &VirtualDeviceFileBackingInfo_type) && file->fileName != NULL &&
            file->fileName[0] != '\0') {
            fault = check_datastore(call, file->fileName, "deviceChange.device.backing.fileName");
        } else if (vim_is_a(device, &VirtualEthernetCard_type)) {
            struct vim_ref network = {&Network_type, (char *)HOST_NETWORK_ID};
            fault = vim_call_require(call, &network, VIM_PRIVILEGE_NETWORK_ASSIGN);
        }
    }
    return fault;
}
