// SPDX-License-Identifier: Apache-2.0
/*
 * Which virtual machines the host has: STATE/vms.json, ids and paths of .vmx files. Being in this file is
 * what makes a machine exist; it is replaced atomically before anything is shown.
 */
#include <errno.h>

#include "base/file.h"
#include "host/snapshot/snapshot.h"
#include "vim/store.h"
#include "vim/value.h"

#define REGISTRY_NAME "vms.json"
#define NEXT_KEY "next" /* the number of the next machine's id */

static char *registry_path(const struct host *host)
{
    return g_build_filename(host->state_dir, REGISTRY_NAME, NULL);
}

static void add_pair(GPtrArray *pairs, const char *key, const char *value)
{
    struct KeyValue *pair = KeyValue_new();
    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    g_ptr_array_add(pairs, pair);
}

/* (registry lock) */
static int save(struct host *host)
{
    g_autofree char *path = registry_path(host);
    g_autofree char *next = g_strdup_printf("%" G_GUINT64_FORMAT, host->next_vm);
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(vim_free);
    add_pair(pairs, NEXT_KEY, next);
    GHashTableIter iter;
    gpointer id;
    gpointer vmx_path;
    g_hash_table_iter_init(&iter, host->registered);
    while (g_hash_table_iter_next(&iter, &id, &vmx_path)) {
        add_pair(pairs, id, vmx_path);
    }
    return vim_store_save(path, pairs);
}

int registry_load(struct host *host, char **ret_message)
{
    g_autofree char *path = registry_path(host);
    g_autoptr(GPtrArray) pairs = NULL;
    (void)file_remove(host->state_fd, REGISTRY_NAME FILE_NEW_SUFFIX); /* a crash may have left it */
    int error = vim_store_load(path, &pairs, ret_message);
    host->registered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    host->next_vm = 1;
    for (guint i = 0; error == 0 && i < pairs->len; i++) {
        const struct KeyValue *pair = g_ptr_array_index(pairs, i);
        if (g_str_equal(pair->key, NEXT_KEY)) {
            host->next_vm = g_ascii_strtoull(pair->value, NULL, 10);
        } else {
            g_hash_table_insert(host->registered, g_strdup(pair->key), g_strdup(pair->value));
        }
    }
    return error;
}

char *registry_new_id(struct host *host)
{
    g_mutex_lock(&host->registry);
    char *id = g_strdup_printf("vm-%" G_GUINT64_FORMAT, host->next_vm++);
    g_mutex_unlock(&host->registry);
    return id;
}

struct vim_fault *registry_add(struct host *host, const char *id, const char *vmx_path)
{
    g_mutex_lock(&host->registry);
    g_hash_table_insert(host->registered, g_strdup(id), g_strdup(vmx_path));
    int error = save(host);
    if (error != 0) {
        g_hash_table_remove(host->registered, id);
    }
    g_mutex_unlock(&host->registry);
    return error == 0 ? NULL : host_state_fault(error, "the list of virtual machines");
}

struct vim_fault *registry_remove(struct host *host, const char *id)
{
    g_mutex_lock(&host->registry);
    g_autofree char *vmx_path = g_strdup(g_hash_table_lookup(host->registered, id));
    g_hash_table_remove(host->registered, id);
    int error = save(host);
    if (error != 0 && vmx_path != NULL) {
        g_hash_table_insert(host->registered, g_strdup(id), g_steal_pointer(&vmx_path));
    }
    g_mutex_unlock(&host->registry);
    return error == 0 ? NULL : host_state_fault(error, "the list of virtual machines");
}

struct vm *registry_find_path(struct host *host, const char *vmx_path)
{
    g_autofree char *found = NULL;
    GHashTableIter iter;
    gpointer id;
    gpointer path;
    g_mutex_lock(&host->registry);
    g_hash_table_iter_init(&iter, host->registered);
    while (found == NULL && g_hash_table_iter_next(&iter, &id, &path)) {
        if (g_str_equal(path, vmx_path)) {
            found = g_strdup(id);
        }
    }
    g_mutex_unlock(&host->registry);
    return found != NULL ? vm_find(host, found) : NULL;
}

/* A machine whose .vmx cannot be read stays in the list, visible and inaccessible: it is not ours to
 * forget. */
static struct VirtualMachineConfigInfo *unreadable(const char *id, const char *vmx_path)
{
    struct VirtualMachineConfigInfo *config = vm_spec_new_config();
    config->name = g_strdup(id);
    config->files->vmPathName = g_strdup(vmx_path);
    return config;
}

/* A .vmx, or a saved memory, that was being written when the host died: unless another host has the machine. */
static void remove_unfinished(struct host *host, const char *id, const char *vmx_path)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    VM_AUTO vm = vm_find(host, id);
    VIM_FAULT_AUTO fault = host_resolve(host, vmx_path, "vmPathName", &datastore, &path);
    bool runs = vm_power_state(vm) == VirtualMachinePowerState_poweredOn;
    if (fault == NULL && !runs) {
        fault = vm_lock_take(vm);
    }
    if (fault == NULL) {
        g_autofree char *vmx = g_strconcat(path, FILE_NEW_SUFFIX, NULL);
        g_autofree char *memory = datastore_path_with_suffix(path, VM_MEMORY_PART_SUFFIX);
        (void)file_remove(datastore->fd, vmx);
        (void)file_remove(datastore->fd, memory);
        vm_lock_release(vm, runs);
    }
}

/* What a crash left of a machine, and of an operation on its snapshots. */
static void tidy(struct host *host, const char *id, const char *vmx_path)
{
    remove_unfinished(host, id, vmx_path);
    VM_AUTO vm = vm_find(host, id);
    if (vm_power_state(vm) != VirtualMachinePowerState_poweredOn) {
        snapshot_recover(vm);
    }
}

static void set_connection(struct host *host, const char *id, enum VirtualMachineConnectionState state)
{
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, id);
    if (object != NULL) {
        vim_set_enum(object, "runtime.connectionState", (int)state);
        vim_set_enum(object, "summary.runtime.connectionState", (int)state);
    }
    vim_write_unlock(host->server->inventory);
}

static void show_suspended(struct vm *vm)
{
    g_autofree char *state = vm_load_key(vm->host, vm->vmx_path, "checkpoint.vmState");
    if (state != NULL && state[0] != '\0') {
        vm_set_power_state(vm, VirtualMachinePowerState_suspended);
    }
}

static void show_one(struct host *host, const char *id, const char *vmx_path)
{
    struct VirtualMachineConfigInfo *config = NULL;
    VIM_FAULT_AUTO fault = vm_load(host, vmx_path, &config);
    bool readable = fault == NULL;
    if (!readable) {
        g_warning("%s: %s: %s", id, vmx_path, fault->message);
        config = unreadable(id, vmx_path);
    }
    VM_AUTO vm = vm_show(host, id, vmx_path, config);
    if (readable) {
        snapshot_show(vm);
        show_suspended(vm);
    } else {
        set_connection(host, id, VirtualMachineConnectionState_inaccessible);
    }
}

/* The same for one that has been shown without its .vmx, and may run. */
static void show_again(struct host *host, const char *id, const char *vmx_path)
{
    struct VirtualMachineConfigInfo *config = NULL;
    VM_AUTO vm = vm_find(host, id);
    VIM_FAULT_AUTO accessible = vm != NULL ? vm_require_accessible(vm) : NULL;
    if (vm == NULL || accessible == NULL) {
        return;
    }
    VIM_FAULT_AUTO fault = vm_load(host, vmx_path, &config);
    if (fault != NULL) {
        g_warning("%s: %s: %s", id, vmx_path, fault->message);
        return;
    }
    vm_set_config(vm, config);
    snapshot_show(vm);
    set_connection(host, id, VirtualMachineConnectionState_connected);
    if (vm_power_state(vm) == VirtualMachinePowerState_poweredOn) {
        vm_adopted(vm);
    } else {
        show_suspended(vm);
    }
    tidy(host, id, vmx_path);
}

void registry_show_late(struct host *host, const struct datastore *datastore)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free); /* id, path, id, path ... */
    GHashTableIter iter;
    gpointer id;
    gpointer vmx_path;
    g_mutex_lock(&host->registry);
    g_hash_table_iter_init(&iter, host->registered);
    while (g_hash_table_iter_next(&iter, &id, &vmx_path)) {
        DATASTORE_PATH_AUTO(path);
        const char *rule = NULL;
        if (datastore_path_parse(vmx_path, -1, &path, &rule) == 0 &&
            g_str_equal(path.datastore, datastore->name)) {
            g_ptr_array_add(found, g_strdup(id));
            g_ptr_array_add(found, g_strdup(vmx_path));
        }
    }
    g_mutex_unlock(&host->registry);
    for (guint i = 0; i + 1 < found->len; i += 2) {
        show_again(host, g_ptr_array_index(found, i), g_ptr_array_index(found, i + 1));
    }
}

void registry_show(struct host *host)
{
    GHashTableIter iter;
    gpointer id;
    gpointer vmx_path;
    g_hash_table_iter_init(&iter, host->registered);
    while (g_hash_table_iter_next(&iter, &id, &vmx_path)) {
        show_one(host, id, vmx_path);
    }
    g_auto(GStrv) running = hypervisor_adopt(host->hypervisor);
    for (char **at = running; at != NULL && *at != NULL; at++) {
        VM_AUTO vm = vm_find(host, *at);
        if (vm != NULL) {
            vm_adopted(vm);
        } else {
            g_warning("%s runs but is not registered: it is stopped", *at);
            g_autofree char *message = NULL;
            (void)hypervisor_vm_stop(host->hypervisor, *at, &message);
        }
    }
    g_hash_table_iter_init(&iter, host->registered);
    while (g_hash_table_iter_next(&iter, &id, &vmx_path)) {
        tidy(host, id, vmx_path);
    }
}
