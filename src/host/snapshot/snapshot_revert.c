// SPDX-License-Identifier: Apache-2.0
/*
 * RevertToSnapshot_Task, RevertToCurrentSnapshot_Task. See snapshot.h.
 *
 *   [journal] overlays over the snapshot's disks -> the process ends -> .vmx as it was then, with the overlays
 *             and, if there is memory, as a suspended machine's: COMMIT -> .vmsd: current -> files of the state
 *             that is left go -> [journal gone] -> power on
 *
 * After the commit the machine is suspended at the moment of the snapshot (or off), so going on is nothing but
 * a resume, and a crash before it leaves a machine that can be resumed.
 */
#include <errno.h>
#include <string.h>

#include "host/snapshot/snapshot.h"
#include "vim/event.h"
#include "vim/value.h"

struct request {
    uint32_t uid; /* 0: the current one */
    bool suppress_power_on;
};

struct revert {
    struct vm *vm;
    struct vim_task *task;
    struct snapshot_list *list;
    struct snapshot *target;                /* in list */
    struct VirtualMachineConfigInfo *after; /* with the overlays in place */
    GPtrArray *overlays;
    GPtrArray *doubtful;
};

static struct vim_fault *find_target(struct revert *r, uint32_t uid)
{
    struct vim_fault *fault = snapshot_load_list(r->vm, &r->list);
    if (fault != NULL) {
        return fault;
    }
    r->target = snapshot_list_find(r->list, uid != 0 ? uid : r->list->current);
    if (r->target != NULL) {
        return NULL;
    }
    struct vim_ref ref = snapshot_reference(r->vm, uid);
    fault = uid != 0 ? vim_call_gone(&ref) : fault_not_found("the virtual machine has no current snapshot");
    vim_ref_clear(&ref);
    return fault;
}

/* A disk that was destroyed is the machine's again if the snapshot has it. */
static struct vim_fault *keep_disks(struct revert *r)
{
    g_autoptr(disk_forest) forest = NULL;
    g_autoptr(snapshot_list) none = snapshot_list_new();
    struct vim_fault *fault = disk_forest_load(r->vm->host, r->after, none, &forest);
    if (fault == NULL) {
        snapshot_forget_destroyed(r->list, forest, true);
    }
    return fault;
}

static struct vim_fault *plan(struct revert *r)
{
    g_autoptr(disk_forest) forest = NULL;
    struct VirtualMachineConfigInfo *now = vm_config(r->vm);
    struct vim_fault *fault = disk_forest_load(r->vm->host, now, r->list, &forest);
    if (fault == NULL) {
        r->doubtful = snapshot_doubtful_files(r->vm, r->list, forest);
        fault = snapshot_load_config(r->vm, r->target, &r->after);
    }
    if (fault == NULL) {
        fault = keep_disks(r);
    }
    if (fault == NULL) {
        vim_set_string(&r->after->name, now->name); /* other machines may have the old one by now */
        fault = overlays_plan(r->vm->host, r->after, &r->overlays);
    }
    vim_free(now);
    if (fault == NULL) {
        for (guint i = 0; i < r->overlays->len; i++) {
            vm_disk_paths(((const struct overlay *)g_ptr_array_index(r->overlays, i))->path, r->doubtful);
        }
        overlays_apply(r->overlays, r->after);
    }
    return fault;
}

/* From here on the present state is lost. */
static struct vim_fault *end_process(struct revert *r)
{
    struct vm *vm = r->vm;
    g_autofree char *message = NULL;
    if (vm_power_state(vm) != VirtualMachinePowerState_poweredOn) {
        return NULL;
    }
    int error = hypervisor_vm_stop(vm->host->hypervisor, vm->id, &message);
    if (error != 0 && error != -ENOENT) {
        return snapshot_hypervisor_fault(error, message);
    }
    vm_set_power_state(vm, VirtualMachinePowerState_poweredOff);
    return vm_lock_take(vm);
}

static struct vim_fault *switch_over(struct revert *r)
{
    struct vm *vm = r->vm;
    g_autofree char *memory = r->target->memory ? snapshot_memory_name(r->target) : NULL;
    struct vim_fault *fault = overlays_make(vm->host, r->overlays);
    if (fault == NULL) {
        fault = end_process(r);
    }
    if (fault == NULL) {
        fault = snapshot_restore_config(vm, r->target, r->after, memory);
    }
    if (fault == NULL) {
        vm_set_power_state(vm, memory != NULL ? VirtualMachinePowerState_suspended
                                              : VirtualMachinePowerState_poweredOff);
        r->list->current = r->target->uid;
        fault = snapshot_save_list(vm, r->list);
    }
    return fault;
}

static struct vim_fault *revert(struct revert *r)
{
    struct vm *vm = r->vm;
    const char *marker =
        r->overlays->len > 0 ? ((const struct overlay *)g_ptr_array_index(r->overlays, 0))->path : NULL;
    struct vim_fault *fault = snapshot_journal_begin(vm, r->doubtful, r->target, marker);
    if (fault != NULL) {
        return fault;
    }
    fault = switch_over(r);
    /* Whichever state the .vmx names now: the files of the other go. */
    VIM_FAULT_AUTO second = snapshot_remove_unnamed(vm, r->doubtful);
    if (second != NULL) {
        g_warning("%s: files of the state that was left remain: %s", vm->id, second->message);
    }
    (void)journal_end(vm->host, vm->id);
    snapshot_show_all(vm);
    return fault;
}

static struct vim_fault *revert_run(struct vim_task *task, struct vm *vm, void *data)
{
    const struct request *request = data;
    struct revert r = {.vm = vm, .task = task};
    struct vim_fault *fault = snapshot_require(vm);
    if (fault == NULL) {
        fault = find_target(&r, request->uid);
    }
    if (fault == NULL) {
        fault = plan(&r);
    }
    if (fault == NULL) {
        fault = revert(&r);
    }
    if (fault == NULL && r.target->memory && !r.target->suspended && !request->suppress_power_on) {
        fault = vm_power_on(task, vm);
    }
    snapshot_list_free(r.list);
    vim_free(r.after);
    g_clear_pointer(&r.overlays, g_ptr_array_unref);
    g_clear_pointer(&r.doubtful, g_ptr_array_unref);
    return fault;
}

static struct vim_fault *start(struct vim_call *call, const char *description_id, uint32_t uid,
                               const struct vim_ref *host, bool suppress, struct vim_ref *ret)
{
    if (host->id != NULL && !g_str_equal(host->id, HOST_ID)) {
        return fault_invalid_argument("host", "this host is %s", HOST_ID);
    }
    struct request *request = g_new0(struct request, 1);
    *request = (struct request){uid, suppress};
    return vm_task_start(call, description_id, revert_run, request, g_free, false, ret);
}

struct vim_fault *snapshot_revert_call(struct vim_call *call, const struct RevertToSnapshot_Task_args *args,
                                       struct RevertToSnapshot_Task_result *ret)
{
    return start(call, "VirtualMachineSnapshot.revert", snapshot_uid_of_call(call), &args->host,
                 args->suppressPowerOn.set && args->suppressPowerOn.value, &ret->returnval);
}

struct vim_fault *snapshot_revert_current_call(struct vim_call *call,
                                               const struct RevertToCurrentSnapshot_Task_args *args,
                                               struct RevertToCurrentSnapshot_Task_result *ret)
{
    return start(call, "VirtualMachine.revertToCurrentSnapshot", 0, &args->host,
                 args->suppressPowerOn.set && args->suppressPowerOn.value, &ret->returnval);
}
