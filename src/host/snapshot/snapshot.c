// SPDX-License-Identifier: Apache-2.0
/*
 * What the operations on snapshots share, RenameSnapshot, and the table of VirtualMachineSnapshot's methods.
 * See snapshot.h.
 */
#include "host/snapshot/snapshot.h"

#include <errno.h>
#include <string.h>

#include "vim/value.h"

struct vim_fault *snapshot_require(struct vm *vm)
{
    if (vm->invented) {
        return fault_not_supported("this virtual machine has no files");
    }
    struct vim_fault *fault = vm_require_accessible(vm);
    struct VirtualMachineConfigInfo *config = fault == NULL ? vm_config(vm) : NULL;
    if (config != NULL && config->flags != NULL && config->flags->snapshotLocked.set &&
        config->flags->snapshotLocked.value) {
        fault = fault_snapshot_locked("the snapshots of this virtual machine are locked");
    }
    vim_free(config);
    return fault;
}

struct vim_fault *snapshot_hypervisor_fault(int error, const char *message)
{
    const char *text = message != NULL ? message : g_strerror(-error);
    if (error == -ENOSPC || error == -EDQUOT) {
        return fault_no_disk_space("", "", "%s", text);
    }
    if (error == -ECANCELED) {
        return fault_request_canceled("%s", text);
    }
    return fault_system_error(g_strerror(-error), "%s", text);
}

static struct vim_fault *rename(struct vm *vm, uint32_t uid, const struct RenameSnapshot_args *args)
{
    g_autoptr(snapshot_list) list = NULL;
    struct vim_fault *fault = snapshot_require(vm);
    if (fault == NULL) {
        fault = snapshot_load_list(vm, &list);
    }
    struct snapshot *snapshot = fault == NULL ? snapshot_list_find(list, uid) : NULL;
    if (fault == NULL && snapshot == NULL) {
        struct vim_ref ref = snapshot_reference(vm, uid);
        fault = vim_call_gone(&ref);
        vim_ref_clear(&ref);
    }
    if (fault != NULL) {
        return fault;
    }
    if (args->name != NULL) {
        vim_set_string(&snapshot->name, args->name);
    }
    if (args->description != NULL) {
        vim_set_string(&snapshot->description, args->description);
    }
    fault = snapshot_save_list(vm, list);
    if (fault == NULL) {
        snapshot_show(vm);
    }
    return fault;
}

static struct vim_fault *rename_call(struct vim_call *call, const struct RenameSnapshot_args *args)
{
    VM_AUTO vm = NULL;
    struct vim_fault *fault = vm_of_call(call, &vm);
    if (fault != NULL) {
        return fault;
    }
    if (args->name != NULL && (args->name[0] == '\0' || strlen(args->name) > SNAPSHOT_NAME_BYTES_MAX)) {
        return fault_invalid_name(args->name, vm_reference(vm), "a name has 1 to %d bytes",
                                  SNAPSHOT_NAME_BYTES_MAX);
    }
    if (!g_mutex_trylock(&vm->job)) {
        return fault_task_in_progress((struct vim_ref){0},
                                      "an operation on the virtual machine is under way");
    }
    if (vm_power_state(vm) != VirtualMachinePowerState_poweredOn) {
        fault = vm_lock_take(vm);
    }
    if (fault == NULL) {
        fault = rename(vm, snapshot_uid_of_call(call), args);
    }
    vm_end(vm);
    return fault;
}

const struct VirtualMachineSnapshot_methods host_snapshot_methods = {
    .RevertToSnapshot_Task = snapshot_revert_call,
    .RemoveSnapshot_Task = snapshot_remove_call,
    .RenameSnapshot = rename_call,
};
