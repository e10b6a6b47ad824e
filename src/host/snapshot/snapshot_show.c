// SPDX-License-Identifier: Apache-2.0
/*
 * What clients see of snapshots: VirtualMachine.snapshot and rootSnapshot, a VirtualMachineSnapshot object for
 * each, the files in layoutEx, and consolidationNeeded. See snapshot.h.
 */
#include <stdio.h>
#include <string.h>

#include "host/snapshot/snapshot.h"
#include "vim/value.h"

struct vim_ref snapshot_reference(const struct vm *vm, uint32_t uid)
{
    return (struct vim_ref){&VirtualMachineSnapshot_type, g_strdup_printf("%s-snapshot-%u", vm->id, uid)};
}

uint32_t snapshot_uid_of_call(const struct vim_call *call)
{
    const char *dash = strrchr(call->request.target.id, '-');
    return dash != NULL ? (uint32_t)g_ascii_strtoull(dash + 1, NULL, 10) : 0;
}

static void code_free(void *vm)
{
    vm_unref(vm);
}

/* ---- the tree -------------------------------------------------------------------------------------- */

static enum VirtualMachinePowerState state_of(const struct snapshot *snapshot)
{
    if (!snapshot->memory) {
        return VirtualMachinePowerState_poweredOff;
    }
    return snapshot->suspended ? VirtualMachinePowerState_suspended : VirtualMachinePowerState_poweredOn;
}

/* The trees whose roots have this parent, into an array of them. */
static void add_trees(const struct vm *vm, const struct snapshot_list *list, uint32_t parent, void *array)
{
    for (guint i = 0; i < list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        if (snapshot->parent != parent) {
            continue;
        }
        struct VirtualMachineSnapshotTree *tree = VirtualMachineSnapshotTree_new();
        tree->snapshot = snapshot_reference(vm, snapshot->uid);
        tree->vm = vim_ref_make(&VirtualMachine_type, vm->id);
        tree->name = g_strdup(snapshot->name);
        tree->description = g_strdup(snapshot->description);
        tree->id = (int32_t)snapshot->uid;
        tree->createTime = snapshot->create_time_us;
        tree->state = state_of(snapshot);
        tree->quiesced = snapshot->quiesced;
        vim_set_optional(&tree->replaySupported, false);
        add_trees(vm, list, snapshot->uid, &tree->childSnapshotList);
        vim_array_add_object(array, tree);
    }
}

static struct VirtualMachineSnapshotInfo *info_of(const struct vm *vm, const struct snapshot_list *list)
{
    struct VirtualMachineSnapshotInfo *info = VirtualMachineSnapshotInfo_new();
    if (list->current != 0) {
        info->currentSnapshot = snapshot_reference(vm, list->current);
    }
    add_trees(vm, list, 0, &info->rootSnapshotList);
    return info;
}

static void children_of(const struct vm *vm, const struct snapshot_list *list, uint32_t parent,
                        struct vim_array *ret)
{
    for (guint i = 0; i < list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        if (snapshot->parent == parent) {
            struct vim_ref ref = snapshot_reference(vm, snapshot->uid);
            vim_array_add(ret, &VirtualMachineSnapshot_type, &ref);
        }
    }
}

/* ---- the objects ------------------------------------------------------------------------------------ */

/* (write lock) Takes out the objects of snapshots that `list` does not have; NULL: of all. */
static void remove_objects(struct vm *vm, const struct snapshot_list *list)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    for (guint i = 0; vm->snapshots != NULL && i < vm->snapshots->snapshots->len; i++) {
        const struct snapshot *old = g_ptr_array_index(vm->snapshots->snapshots, i);
        if (list == NULL || snapshot_list_find(list, old->uid) == NULL) {
            struct vim_ref ref = snapshot_reference(vm, old->uid);
            struct vim_object *object = vim_inventory_find(inventory, ref.id);
            if (object != NULL) {
                vim_inventory_remove(inventory, object);
            }
            vim_ref_clear(&ref);
        }
    }
}

/* (write lock) The configuration is moved in. */
static void show_object(struct vm *vm, const struct snapshot_list *list, const struct snapshot *snapshot,
                        struct VirtualMachineConfigInfo *config)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    struct vim_ref ref = snapshot_reference(vm, snapshot->uid);
    struct vim_object *object = vim_inventory_find(inventory, ref.id);
    if (object == NULL) {
        struct VirtualMachineSnapshot *properties = VirtualMachineSnapshot_new();
        properties->vm = vim_ref_make(&VirtualMachine_type, vm->id);
        properties->config = config;
        object = vim_inventory_add(inventory, &VirtualMachineSnapshot_type, ref.id, properties);
        object->code = vm_ref(vm);
        object->code_free = code_free;
    } else {
        vim_set_data(object, "config", config);
    }
    struct vim_array children = {0};
    children_of(vm, list, snapshot->uid, &children);
    vim_set(object, "childSnapshot", &children);
    vim_ref_clear(&ref);
}

void snapshot_hide_all(struct vm *vm)
{
    remove_objects(vm, NULL);
    g_clear_pointer(&vm->snapshots, snapshot_list_free);
}

/* (write lock) Shows the list, which is moved in; configs has one for each snapshot, moved out of. */
static void show_list(struct vm *vm, struct vim_object *object, struct snapshot_list *list,
                      GPtrArray *configs)
{
    for (guint i = 0; i < list->snapshots->len; i++) {
        show_object(vm, list, g_ptr_array_index(list->snapshots, i), g_ptr_array_index(configs, i));
    }
    struct vim_array roots = {0};
    children_of(vm, list, 0, &roots);
    if (list->snapshots->len > 0) {
        vim_set_data(object, "snapshot", info_of(vm, list));
    } else {
        vim_unset(object, "snapshot");
    }
    vim_set(object, "rootSnapshot", &roots);
    remove_objects(vm, list);
    snapshot_list_free(vm->snapshots);
    vm->snapshots = list;
}

/* The configurations of all, in the list's order. One that cannot be read is shown as the machine's own. */
static GPtrArray *load_configs(struct vm *vm, const struct snapshot_list *list)
{
    GPtrArray *configs = g_ptr_array_new();
    for (guint i = 0; i < list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        struct VirtualMachineConfigInfo *config = NULL;
        VIM_FAULT_AUTO fault = snapshot_load_config(vm, snapshot, &config);
        if (fault != NULL) {
            g_warning("%s: the snapshot \"%s\": %s", vm->id, snapshot->name, fault->message);
            config = vm_config(vm);
        }
        g_ptr_array_add(configs, config);
    }
    return configs;
}

void snapshot_show(struct vm *vm)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    struct snapshot_list *list = NULL;
    if (vm->invented) {
        return;
    }
    VIM_FAULT_AUTO fault = snapshot_load_list(vm, &list);
    if (fault != NULL) {
        g_warning("%s: %s", vm->id, fault->message);
        list = snapshot_list_new();
    }
    g_autoptr(GPtrArray) configs = load_configs(vm, list);
    bool needed = snapshot_needs_consolidation(vm);
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find(inventory, vm->id);
    if (object != NULL) {
        show_list(vm, object, list, configs);
        vim_set_bool(object, "runtime.consolidationNeeded", needed);
        vim_set_bool(object, "summary.runtime.consolidationNeeded", needed);
    } else {
        for (guint i = 0; i < configs->len; i++) {
            vim_free(g_ptr_array_index(configs, i));
        }
        snapshot_list_free(list);
    }
    vim_write_unlock(inventory);
    vm_storage_refresh(vm);
}

void snapshot_show_all(struct vm *vm)
{
    struct VirtualMachineConfigInfo *config = NULL;
    VIM_FAULT_AUTO fault = vm_load(vm->host, vm->vmx_path, &config);
    if (fault == NULL) {
        vm_set_config(vm, config);
    } else {
        g_warning("%s: %s", vm->id, fault->message);
    }
    snapshot_show(vm);
}

/* ---- files ----------------------------------------------------------------------------------------- */

static void shown_free(void *data)
{
    struct snapshot_shown *shown = data;
    g_free(shown->data);
    g_free(shown->memory);
    vim_free(shown->config);
    g_free(shown);
}

GPtrArray *snapshot_shown(struct vm *vm)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    GPtrArray *all = g_ptr_array_new_with_free_func(shown_free);
    vim_read_lock(inventory);
    for (guint i = 0; vm->snapshots != NULL && i < vm->snapshots->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(vm->snapshots->snapshots, i);
        struct vim_ref ref = snapshot_reference(vm, snapshot->uid);
        const struct vim_object *object = vim_inventory_find(inventory, ref.id);
        if (object != NULL) {
            g_autofree char *memory = snapshot_memory_name(snapshot);
            struct snapshot_shown *shown = g_new0(struct snapshot_shown, 1);
            shown->uid = snapshot->uid;
            shown->data = snapshot_file_path(vm, snapshot->file);
            shown->memory = snapshot->memory ? snapshot_file_path(vm, memory) : NULL;
            shown->config = vim_copy(VIM_PROPERTIES(object, VirtualMachineSnapshot)->config);
            g_ptr_array_add(all, shown);
        }
        vim_ref_clear(&ref);
    }
    vim_read_unlock(inventory);
    return all;
}
