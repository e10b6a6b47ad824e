// SPDX-License-Identifier: Apache-2.0
/*
 * The files of snapshots: .vmsd, .vmsn, .vmem. See snapshot.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "host/snapshot/snapshot.h"
#include "host/vm/vmx.h"
#include "host/vm/vmx_config.h"
#include "host/vm/vmx_mapping.h"
#include "vim/value.h"

#define STATE_KEY "checkpoint.vmState"

/* The machine's folder. */
static struct vim_fault *resolve_folder(const struct vm *vm, struct datastore **ret_datastore,
                                        char **ret_folder)
{
    g_autofree char *path = NULL;
    struct vim_fault *fault = host_resolve(vm->host, vm->vmx_path, "vmPathName", ret_datastore, &path);
    if (fault == NULL) {
        *ret_folder = datastore_path_dirname(path);
    }
    return fault;
}

char *snapshot_file_path(const struct vm *vm, const char *name)
{
    struct datastore *datastore = NULL;
    g_autofree char *folder = NULL;
    VIM_FAULT_AUTO fault = resolve_folder(vm, &datastore, &folder);
    if (fault != NULL) {
        return g_strdup(name);
    }
    g_autofree char *path = datastore_path_join(folder, name);
    return datastore_path_format(datastore->name, path);
}

char *snapshot_memory_name(const struct snapshot *snapshot)
{
    return datastore_path_with_suffix(snapshot->file, SNAPSHOT_MEMORY_SUFFIX);
}

struct vim_fault *snapshot_open_file(struct vm *vm, const char *name, int flags, int *ret_fd)
{
    struct datastore *datastore = NULL;
    g_autofree char *folder = NULL;
    struct vim_fault *fault = resolve_folder(vm, &datastore, &folder);
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *path = datastore_path_join(folder, name);
    int error = file_open(datastore->fd, path, flags, 0600, ret_fd);
    g_autofree char *text = datastore_path_format(datastore->name, path);
    return error == 0 ? NULL : host_file_fault(text, error, "cannot be opened");
}

/* ---- the .vmsd ------------------------------------------------------------------------------------- */

struct vim_fault *snapshot_load_list(struct vm *vm, struct snapshot_list **ret)
{
    struct datastore *datastore = NULL;
    g_autofree char *vmsd = datastore_path_with_suffix(vm->vmx_path, SNAPSHOT_LIST_SUFFIX);
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    g_autofree char *message = NULL;
    size_t length = 0;
    struct vim_fault *fault = host_resolve(vm->host, vmsd, "vmPathName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = file_read(datastore->fd, path, VMX_MAX_BYTES, &text, &length);
    if (error == -ENOENT) {
        *ret = snapshot_list_new();
        return NULL;
    }
    if (error != 0) {
        return host_file_fault(vmsd, error, "cannot be read");
    }
    g_autofree char *folder = datastore_path_dirname(path);
    if (snapshot_list_parse(text, length, datastore->name, folder, ret, &message) != 0) {
        return fault_invalid_snapshot_format("%s: %s", vmsd, message);
    }
    return NULL;
}

struct vim_fault *snapshot_save_list(struct vm *vm, struct snapshot_list *list)
{
    struct datastore *datastore = NULL;
    g_autofree char *vmsd = datastore_path_with_suffix(vm->vmx_path, SNAPSHOT_LIST_SUFFIX);
    g_autofree char *path = NULL;
    g_autofree char *text = NULL;
    size_t length = 0;
    struct vim_fault *fault = host_resolve(vm->host, vmsd, "vmPathName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *folder = datastore_path_dirname(path);
    int error = snapshot_list_format(list, datastore->name, folder, &text, &length);
    if (error != 0) {
        return fault_invalid_name("", vm_reference(vm), "the name or description cannot be written to %s",
                                  vmsd);
    }
    error = file_replace(datastore->fd, path, text, length, 0644);
    return error == 0 ? NULL : host_file_fault(vmsd, error, "cannot be written");
}

/* ---- the .vmsn ------------------------------------------------------------------------------------- */

/* The configuration of then as a dictionary in which the disks are those that the list names. */
static struct vim_fault *read_snapshot(struct vm *vm, const struct snapshot *snapshot,
                                       struct datastore **ret_datastore, char **ret_vmx_path,
                                       struct vmx **ret)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    g_autofree char *text = snapshot_file_path(vm, snapshot->file);
    struct vim_fault *fault = host_resolve(vm->host, vm->vmx_path, "vmPathName", ret_datastore, ret_vmx_path);
    if (fault == NULL) {
        fault = vm_read_dictionary(vm->host, text, false, ret_datastore, &path, &dictionary);
    }
    if (fault != NULL) {
        return fault;
    }
    struct datastore_path folder = {(*ret_datastore)->name, datastore_path_dirname(path)};
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const struct snapshot_disk *disk = g_ptr_array_index(snapshot->disks, i);
        g_autofree char *key = g_strconcat(disk->node, ".fileName", NULL);
        g_autofree char *name = vmx_file_from_api(
            &(struct vmx_mapper){.datastore = folder.datastore, .folder = folder.path}, disk->file_name);
        if (vmx_set(dictionary, key, name) != 0) {
            fault = fault_invalid_snapshot_format("%s: \"%s\" cannot be a disk's place", text, disk->node);
            break;
        }
    }
    g_free(folder.path);
    if (fault == NULL) {
        *ret = g_steal_pointer(&dictionary);
    }
    return fault;
}

struct vim_fault *snapshot_load_config(struct vm *vm, const struct snapshot *snapshot,
                                       struct VirtualMachineConfigInfo **ret)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    struct vim_fault *fault = read_snapshot(vm, snapshot, &datastore, &path, &dictionary);
    return fault != NULL ? fault : vm_config_of(vm->host, dictionary, datastore, path, vm->vmx_path, ret);
}

struct vim_fault *snapshot_write_config(struct vm *vm, const struct snapshot *snapshot)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    g_autofree char *text = snapshot_file_path(vm, snapshot->file);
    struct datastore *datastore = NULL;
    struct vim_fault *fault =
        vm_read_dictionary(vm->host, vm->vmx_path, false, &datastore, &path, &dictionary);
    if (fault != NULL) {
        return fault;
    }
    vmx_remove(dictionary, STATE_KEY); /* of a suspended machine: the snapshot has a memory of its own */
    g_autofree char *folder = datastore_path_dirname(path);
    g_autofree char *file = datastore_path_join(folder, snapshot->file);
    return vm_write_dictionary(datastore, file, text, dictionary);
}

struct vim_fault *snapshot_restore_config(struct vm *vm, const struct snapshot *snapshot,
                                          const struct VirtualMachineConfigInfo *config, const char *state)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    struct datastore *datastore = NULL;
    struct vim_fault *fault = read_snapshot(vm, snapshot, &datastore, &path, &dictionary);
    if (fault != NULL) {
        return fault;
    }
    vmx_remove(dictionary, STATE_KEY);
    if (vmx_update(dictionary, config, &message) != 0 ||
        (state != NULL && vmx_set(dictionary, STATE_KEY, state) != 0)) {
        return fault_invalid_vm_config(vm->vmx_path, "%s: %s", vm->vmx_path,
                                       message != NULL ? message : "the memory's name cannot be written");
    }
    return vm_write_dictionary(datastore, path, vm->vmx_path, dictionary);
}
