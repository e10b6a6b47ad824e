// SPDX-License-Identifier: Apache-2.0
/*
 * RemoveSnapshot_Task, RemoveAllSnapshots_Task, ConsolidateVMDisks_Task. See snapshot.h.
 *
 *   [journal] .vmsd: COMMIT -> .vmsn, .vmem and disks that nobody names go -> merge -> [journal gone]
 */
#include <errno.h>
#include <string.h>

#include "host/snapshot/snapshot.h"
#include "vim/event.h"
#include "vim/value.h"

struct request {
    uint32_t uid; /* 0: all */
    bool children;
    bool consolidate;
};

/* Takes them out of the list. A snapshot that several build on is taken out, its children go to its parent. */
static struct vim_fault *take_out(struct vm *vm, struct snapshot_list *list, const struct request *request)
{
    struct vim_ref ref = snapshot_reference(vm, request->uid);
    struct vim_fault *fault =
        request->uid != 0 && snapshot_list_find(list, request->uid) == NULL ? vim_call_gone(&ref) : NULL;
    vim_ref_clear(&ref);
    if (fault != NULL) {
        return fault;
    }
    g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (guint i = 0; i < list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        bool below = request->children && snapshot_list_is_below(list, snapshot->uid, request->uid);
        if (request->uid == 0 || snapshot->uid == request->uid || below) {
            g_array_append_val(uids, snapshot->uid);
        }
    }
    for (guint i = 0; i < uids->len; i++) {
        snapshot_list_remove(list, g_array_index(uids, uint32_t, i));
    }
    return NULL;
}

static struct vim_fault *remove_entries(struct vm *vm, const struct request *request)
{
    g_autoptr(snapshot_list) list = NULL;
    g_autoptr(disk_forest) forest = NULL;
    g_autoptr(disk_forest) after = NULL;
    g_autoptr(GPtrArray) doubtful = NULL;
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    struct vim_fault *fault = snapshot_load_list(vm, &list);
    if (fault == NULL) {
        fault = disk_forest_load(vm->host, config, list, &forest);
    }
    if (fault == NULL) {
        doubtful = snapshot_doubtful_files(vm, list, forest);
        fault = take_out(vm, list, request);
    }
    if (fault == NULL) {
        fault = disk_forest_load(vm->host, config, list, &after);
    }
    vim_free(config);
    if (fault == NULL) {
        snapshot_forget_destroyed(list, after, false);
        fault = snapshot_journal_begin(vm, doubtful, NULL, NULL);
    }
    if (fault != NULL) {
        return fault;
    }
    fault = snapshot_save_list(vm, list);
    VIM_FAULT_AUTO second = snapshot_remove_unnamed(vm, doubtful);
    if (second != NULL) {
        g_warning("%s: files of removed snapshots remain: %s", vm->id, second->message);
    }
    if (fault != NULL || !request->consolidate) {
        (void)journal_end(vm->host, vm->id);
    }
    return fault;
}

static struct vim_fault *remove_run(struct vim_task *task, struct vm *vm, void *data)
{
    const struct request *request = data;
    struct vim_fault *fault = snapshot_require(vm);
    if (fault == NULL) {
        fault = remove_entries(vm, request);
    }
    if (fault == NULL && request->consolidate) {
        return snapshot_consolidate(vm, task, NULL);
    }
    snapshot_show_all(vm);
    return fault;
}

static struct vim_fault *consolidate_run(struct vim_task *task, struct vm *vm, void *data)
{
    (void)data;
    struct vim_fault *fault = snapshot_require(vm);
    return fault != NULL ? fault : snapshot_consolidate(vm, task, NULL);
}

static struct vim_fault *start(struct vim_call *call, const char *description_id, struct request values,
                               struct vim_ref *ret)
{
    struct request *request = g_new0(struct request, 1);
    *request = values;
    return vm_task_start(call, description_id, remove_run, request, g_free, true, ret);
}

struct vim_fault *snapshot_remove_call(struct vim_call *call, const struct RemoveSnapshot_Task_args *args,
                                       struct RemoveSnapshot_Task_result *ret)
{
    struct request request = {snapshot_uid_of_call(call), args->removeChildren,
                              !args->consolidate.set || args->consolidate.value};
    return start(call, "VirtualMachineSnapshot.remove", request, &ret->returnval);
}

struct vim_fault *snapshot_remove_all_call(struct vim_call *call,
                                           const struct RemoveAllSnapshots_Task_args *args,
                                           struct RemoveAllSnapshots_Task_result *ret)
{
    struct request request = {0, true, !args->consolidate.set || args->consolidate.value};
    return start(call, "VirtualMachine.removeAllSnapshots", request, &ret->returnval);
}

struct vim_fault *snapshot_consolidate_call(struct vim_call *call,
                                            const struct ConsolidateVMDisks_Task_args *args,
                                            struct ConsolidateVMDisks_Task_result *ret)
{
    (void)args;
    return vm_task_start(call, "VirtualMachine.consolidateDisks", consolidate_run, NULL, NULL, true,
                         &ret->returnval);
}
