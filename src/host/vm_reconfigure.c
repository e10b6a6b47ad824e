// SPDX-License-Identifier: Apache-2.0
/*
 * ReconfigVM_Task.
 *
 *   check in memory -> [journal] make new disks -> plug into the running machine -> .vmx: COMMIT
 *                   -> delete files of removed disks -> [journal gone] -> show
 *
 * A fault before the commit unplugs what was plugged and removes the new disks' files; what was unplugged,
 * edited or grown in the running machine by then stays so until it is powered off. After a crash the next
 * start removes the files of disks that the .vmx does not name: new ones before the commit, removed ones
 * after it. What a crash left plugged stays so until another device is to take its place.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "host/disk_image.h"
#include "host/vm.h"
#include "vim/event.h"
#include "vim/value.h"

/* ---- the running machine ---------------------------------------------------------------------------- */

static struct vim_fault *plug(struct vm *vm, const struct vm_change *change,
                              const struct VirtualDevice *device)
{
    struct hypervisor_file file = {.fd = -1};
    g_autofree char *message = NULL;
    g_autofree char *ignored = NULL;
    struct vim_fault *fault = vm_files_open_device(vm->host, device, &file);
    if (fault != NULL) {
        return fault;
    }
    /* The place is free by the configuration: what a crash before its commit left there goes. */
    (void)hypervisor_vm_unplug(vm->host->hypervisor, vm->id, device, &ignored);
    int error = hypervisor_vm_plug(vm->host->hypervisor, vm->id, change->config, device,
                                   file.fd >= 0 ? &file : NULL, &message);
    if (file.fd >= 0) {
        close(file.fd);
    }
    return error == 0 ? NULL
                      : fault_system_error(g_strerror(-error), "%s: %s", device->deviceInfo->label, message);
}

static struct vim_fault *unplug(struct vm *vm, const struct VirtualDevice *device)
{
    g_autofree char *message = NULL;
    int error = hypervisor_vm_unplug(vm->host->hypervisor, vm->id, device, &message);
    return error == 0 ? NULL
                      : fault_system_error(g_strerror(-error), "%s: %s", device->deviceInfo->label, message);
}

static struct vim_fault *edit_running(struct vm *vm, const struct VirtualMachineConfigInfo *before,
                                      const struct VirtualDevice *device)
{
    struct hypervisor *hv = vm->host->hypervisor;
    g_autofree char *message = NULL;
    int error = 0;
    bool connected = device->connectable == NULL || device->connectable->connected;
    if (vim_is_a(device, &VirtualDisk_type)) {
        const struct VirtualDisk *old = (const struct VirtualDisk *)vm_device_by_key(before, device->key);
        const struct VirtualDisk *disk = (const struct VirtualDisk *)device;
        if (disk->capacityInKB != old->capacityInKB) {
            error = hypervisor_vm_resize_disk(hv, vm->id, device, disk->capacityInKB * 1024, &message);
        }
    } else if (vim_is_a(device, &VirtualEthernetCard_type)) {
        error = hypervisor_vm_set_link(hv, vm->id, device, connected, &message);
    } else if (vim_is_a(device, &VirtualCdrom_type)) {
        struct hypervisor_file file = {.fd = -1};
        struct vim_fault *fault = connected ? vm_files_open_device(vm->host, device, &file) : NULL;
        if (fault != NULL) {
            return fault;
        }
        error = hypervisor_vm_change_medium(hv, vm->id, device, file.fd >= 0 ? &file : NULL, &message);
        if (file.fd >= 0) {
            close(file.fd);
        }
    }
    return error == 0 ? NULL
                      : fault_system_error(g_strerror(-error), "%s: %s", device->deviceInfo->label, message);
}

/* Brings the running machine to the new configuration; what was plugged is unplugged again on a fault. */
static struct vim_fault *change_running(struct vm *vm, const struct VirtualMachineConfigInfo *before,
                                        const struct vm_change *change)
{
    struct vim_fault *fault = NULL;
    guint plugged = 0;
    for (guint i = 0; i < change->removed->len && fault == NULL; i++) {
        fault = unplug(vm, g_ptr_array_index(change->removed, i));
    }
    for (guint i = 0; i < change->edited->len && fault == NULL; i++) {
        fault = edit_running(vm, before, g_ptr_array_index(change->edited, i));
    }
    while (fault == NULL && plugged < change->added->len) {
        fault = plug(vm, change, g_ptr_array_index(change->added, plugged));
        plugged += fault == NULL;
    }
    for (guint i = 0; fault != NULL && i < plugged; i++) {
        VIM_FAULT_AUTO second = unplug(vm, g_ptr_array_index(change->added, i));
        if (second != NULL) {
            g_warning("%s: %s", vm->id, second->message);
        }
    }
    return fault;
}

/* Disks of a machine that is off grow in their files; of a running one the descriptor follows. */
static struct vim_fault *grow_disks(struct vm *vm, const struct VirtualMachineConfigInfo *before,
                                    const struct vm_change *change, bool running)
{
    struct vim_fault *fault = NULL;
    for (guint i = 0; i < change->edited->len && fault == NULL; i++) {
        const struct VirtualDisk *disk = g_ptr_array_index(change->edited, i);
        const struct VirtualDisk *old = (const struct VirtualDisk *)vm_device_by_key(before, disk->key);
        if (!vim_is_a(disk, &VirtualDisk_type) || disk->capacityInKB == old->capacityInKB) {
            continue;
        }
        const char *name = ((struct VirtualDeviceFileBackingInfo *)disk->backing)->fileName;
        struct datastore *datastore = NULL;
        g_autofree char *path = NULL;
        g_autofree char *message = NULL;
        fault = host_resolve(vm->host, name, "backing.fileName", &datastore, &path);
        if (fault == NULL) {
            int64_t bytes = disk->capacityInKB * 1024;
            int error = running ? disk_image_note_capacity(datastore->fd, path, bytes, &message)
                                : disk_image_grow(datastore->fd, path, bytes, &message);
            fault = error == 0 ? NULL : host_file_fault(name, error, message);
        }
    }
    return fault;
}

/* ---- the task --------------------------------------------------------------------------------------- */

static char *folder_of(const char *vmx_path)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    if (datastore_path_parse(vmx_path, -1, &path, &rule) != 0) {
        return NULL;
    }
    g_autofree char *folder = datastore_path_dirname(path.path);
    return datastore_path_format(path.datastore, folder);
}

/* The files that the .vmx decides about: those of new disks and of removed ones. */
static GPtrArray *journaled_paths(struct vm_change *change)
{
    GPtrArray *paths = vm_change_paths(change);
    for (guint i = 0; i < change->removed_files->len; i++) {
        vm_disk_paths(g_ptr_array_index(change->removed_files, i), paths);
    }
    return paths;
}

static void delete_removed(struct vm *vm, const struct vm_change *change)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < change->removed_files->len; i++) {
        vm_disk_paths(g_ptr_array_index(change->removed_files, i), paths);
    }
    journal_remove_files(vm->host, paths);
}

static struct vim_fault *commit(struct vm *vm, const struct VirtualMachineConfigInfo *before,
                                struct vm_change *change, bool running)
{
    g_autoptr(GPtrArray) made = vm_change_paths(change);
    g_autoptr(GPtrArray) paths = journaled_paths(change);
    if (paths->len > 0) {
        int error = journal_begin(vm->host, vm->id, JOURNAL_DISKS, vm->vmx_path, paths);
        if (error != 0) {
            return host_state_fault(error, "the journal");
        }
    }
    struct vim_fault *fault = vm_change_make_disks(vm->host, change);
    if (fault == NULL && running) {
        fault = change_running(vm, before, change);
    }
    if (fault == NULL) {
        fault = grow_disks(vm, before, change, running);
    }
    if (fault == NULL && !vm->invented) {
        fault = vm_save(vm->host, vm->vmx_path, change->config);
    }
    if (fault != NULL) {
        journal_remove_files(vm->host, made);
    } else {
        delete_removed(vm, change);
    }
    if (paths->len > 0) {
        (void)journal_end(vm->host, vm->id);
    }
    return fault;
}

static struct vim_fault *reconfigure_run(struct vim_task *task, struct vm *vm, void *data)
{
    const struct VirtualMachineConfigSpec *spec = data;
    bool running = vm_power_state(vm) == VirtualMachinePowerState_poweredOn;
    struct vm_change *change = NULL;
    struct VirtualMachineConfigInfo *before = vm_config(vm);
    g_autofree char *folder = folder_of(vm->vmx_path);
    struct vim_fault *fault = vm_require_accessible(vm);
    if (fault == NULL && spec->name != NULL) {
        fault = vm_check_name(vm->host, spec->name, vm);
    }
    if (fault == NULL) {
        fault = vm_spec_apply(vm->host, before, folder, spec, running, &change);
    }
    if (fault == NULL) {
        fault = commit(vm, before, change, running);
    }
    if (fault == NULL) {
        vm_set_config(vm, g_steal_pointer(&change->config));
        vm_event(vm, task, VmReconfiguredEvent, "%s was reconfigured", vm->vmx_path);
    }
    vm_change_free(change);
    vim_free(before);
    return fault;
}

struct vim_fault *vm_reconfigure_call(struct vim_call *call, const struct ReconfigVM_Task_args *args,
                                      struct ReconfigVM_Task_result *ret)
{
    struct vim_fault *fault = vm_check_privileges(call, args->spec);
    if (fault == NULL) {
        fault = vm_check_access(call, args->spec);
    }
    if (fault != NULL) {
        return fault;
    }
    return vm_task_start(call, "VirtualMachine.reconfigure", reconfigure_run, vim_copy(args->spec), vim_free,
                         false, &ret->returnval);
}
