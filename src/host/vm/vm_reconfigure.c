// SPDX-License-Identifier: Apache-2.0
/*
 * ReconfigVM_Task.
 *
 *   check in memory -> [journal] make new disks -> plug into the running machine -> .vmx: COMMIT
 *                   -> delete files of removed disks -> [journal gone] -> show
 *
 * A fault before the commit takes the running machine back the way it came and removes the new disks' files;
 * only a disk that has grown stays so. After a crash the next start removes the files of disks that the .vmx
 * does not name (new ones before the commit, removed ones after it) and brings the devices of the running
 * machine to what the .vmx says.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/disk_image.h"
#include "host/snapshot/snapshot.h"
#include "host/vm/port_link.h"
#include "vim/event.h"
#include "vim/value.h"

/* ---- the running machine ---------------------------------------------------------------------------- */

static struct vim_fault *device_fault(const struct VirtualDevice *device, int error, const char *message)
{
    return error == 0 ? NULL
                      : fault_system_error(g_strerror(-error), "%s: %s", device->deviceInfo->label, message);
}

static struct vim_fault *plug(struct vm *vm, const struct VirtualMachineConfigInfo *config,
                              const struct VirtualDevice *device)
{
    struct hypervisor_file file = {.fd = -1};
    g_autofree char *message = NULL;
    struct vim_fault *fault = vm_files_open_device(vm->host, device, &file);
    if (fault != NULL) {
        return fault;
    }
    int error = hypervisor_vm_plug(vm->host->hypervisor, vm->id, config, device, file.fd >= 0 ? &file : NULL,
                                   &message);
    if (file.fd >= 0) {
        close(file.fd);
    }
    return device_fault(device, error, message);
}

static struct vim_fault *unplug(struct vm *vm, const struct VirtualDevice *device)
{
    g_autofree char *message = NULL;
    int error = hypervisor_vm_unplug(vm->host->hypervisor, vm->id, device, &message);
    return device_fault(device, error, message);
}

static struct vim_fault *change_medium(struct vm *vm, const struct VirtualDevice *drive)
{
    struct hypervisor_file file = {.fd = -1};
    g_autofree char *message = NULL;
    bool connected = drive->connectable == NULL || drive->connectable->connected;
    struct vim_fault *fault = connected ? vm_files_open_device(vm->host, drive, &file) : NULL;
    if (fault != NULL) {
        return fault;
    }
    int error = hypervisor_vm_change_medium(vm->host->hypervisor, vm->id, drive, file.fd >= 0 ? &file : NULL,
                                            &message);
    if (file.fd >= 0) {
        close(file.fd);
    }
    return device_fault(drive, error, message);
}

/* Connects a serial port to what its backing says now. Its place is free before it is taken again. */
static struct vim_fault *change_port(struct vm *vm, const struct VirtualDevice *port)
{
    struct hypervisor_file file = {.fd = -1};
    g_autofree char *message = NULL;
    bool connected = port->connectable == NULL || port->connectable->connected;
    struct VirtualDeviceConnectInfo unplugged = {.vim_type = &VirtualDeviceConnectInfo_type};
    struct VirtualSerialPort cut = *(const struct VirtualSerialPort *)port;
    cut.connectable = &unplugged;
    port_link_end(vm, port->key);
    int error =
        hypervisor_vm_change_port(vm->host->hypervisor, vm->id, (struct VirtualDevice *)&cut, NULL, &message);
    struct vim_fault *fault = device_fault(port, error, message);
    if (fault == NULL && connected) {
        fault = vm_files_open_device(vm->host, port, &file);
    }
    if (fault == NULL && connected) {
        error = hypervisor_vm_change_port(vm->host->hypervisor, vm->id, port, file.fd >= 0 ? &file : NULL,
                                          &message);
        fault = device_fault(port, error, message);
    }
    if (file.fd >= 0) {
        close(file.fd);
    }
    if (fault == NULL) {
        port_link_begin(vm, port);
    }
    return fault;
}

/* What of a device can be edited so that editing it back undoes it: links, media and connections. */
static struct vim_fault *edit(struct vm *vm, const struct VirtualDevice *device)
{
    if (vim_is_a(device, &VirtualSerialPort_type)) {
        return change_port(vm, device);
    }
    if (vim_is_a(device, &VirtualCdrom_type) || vim_is_a(device, &VirtualFloppy_type)) {
        return change_medium(vm, device);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        g_autofree char *message = NULL;
        bool connected = device->connectable == NULL || device->connectable->connected;
        int error = hypervisor_vm_set_link(vm->host->hypervisor, vm->id, device, connected, &message);
        return device_fault(device, error, message);
    }
    return NULL;
}

/* A thick disk's space is there before the guest sees it. */
static struct vim_fault *reserve_growth(struct vm *vm, const struct VirtualDisk *disk)
{
    const char *name = ((const struct VirtualDeviceFileBackingInfo *)disk->backing)->fileName;
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    if (vm->invented) {
        return NULL;
    }
    struct vim_fault *fault = host_resolve(vm->host, name, "backing.fileName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_reserve(datastore->fd, path, disk->capacityInKB * 1024, &message);
    return error == 0 ? NULL : host_file_fault(name, error, message);
}

static struct vim_fault *resize(struct vm *vm, const struct VirtualMachineConfigInfo *before,
                                const struct VirtualDevice *device)
{
    g_autofree char *message = NULL;
    const struct VirtualDisk *disk = (const struct VirtualDisk *)device;
    if (!vim_is_a(device, &VirtualDisk_type) ||
        disk->capacityInKB ==
            ((const struct VirtualDisk *)vm_device_by_key(before, device->key))->capacityInKB) {
        return NULL;
    }
    struct vim_fault *fault = reserve_growth(vm, disk);
    if (fault != NULL) {
        return fault;
    }
    int error =
        hypervisor_vm_resize_disk(vm->host->hypervisor, vm->id, device, disk->capacityInKB * 1024, &message);
    return device_fault(device, error, message);
}

/* A change of the running machine, and how far it has come, so that it can be undone. */
struct running_change {
    struct vm *vm;
    const struct VirtualMachineConfigInfo *before;
    const struct vm_change *change;
    guint removed; /* the first so many of change->removed */
    guint edited;
    guint added;
};

/* Whether connections and backing of a serial port stay as they are: then nobody is to be cut off. */
static bool is_same_port(const struct VirtualDevice *a, const struct VirtualDevice *b)
{
    return vim_is_a(a, &VirtualSerialPort_type) && vim_equal(a->backing, b->backing) &&
           (a->connectable == NULL || a->connectable->connected) ==
               (b->connectable == NULL || b->connectable->connected);
}

/* Brings the running machine to the new configuration. Disks grow last: nothing makes them smaller again. */
static struct vim_fault *change_running(struct running_change *r)
{
    const struct vm_change *change = r->change;
    struct vim_fault *fault = NULL;
    while (fault == NULL && r->removed < change->removed->len) {
        fault = unplug(r->vm, g_ptr_array_index(change->removed, r->removed));
        r->removed += fault == NULL;
    }
    while (fault == NULL && r->edited < change->edited->len) {
        /* Counted also when it failed: a port has lost its old connection by then. */
        const struct VirtualDevice *device = g_ptr_array_index(change->edited, r->edited++);
        fault = is_same_port(device, vm_device_by_key(r->before, device->key)) ? NULL : edit(r->vm, device);
    }
    while (fault == NULL && r->added < change->added->len) {
        fault = plug(r->vm, change->config, g_ptr_array_index(change->added, r->added));
        r->added += fault == NULL;
    }
    for (guint i = 0; fault == NULL && i < change->edited->len; i++) {
        fault = resize(r->vm, r->before, g_ptr_array_index(change->edited, i));
    }
    return fault;
}

static void warn(struct vm *vm, struct vim_fault *fault)
{
    if (fault != NULL) {
        g_warning("%s: %s", vm->id, fault->message);
        vim_fault_free(fault);
    }
}

/* The way back, in the other direction; what cannot be undone is logged. */
static void undo_running(struct running_change *r)
{
    while (r->added > 0) {
        warn(r->vm, unplug(r->vm, g_ptr_array_index(r->change->added, --r->added)));
    }
    while (r->edited > 0) {
        const struct VirtualDevice *device = g_ptr_array_index(r->change->edited, --r->edited);
        const struct VirtualDevice *old = vm_device_by_key(r->before, device->key);
        warn(r->vm, is_same_port(device, old) ? NULL : edit(r->vm, old));
    }
    while (r->removed > 0) {
        warn(r->vm, plug(r->vm, r->before, g_ptr_array_index(r->change->removed, --r->removed)));
    }
}

static bool has_key(const int32_t *keys, size_t n, int32_t key)
{
    for (size_t i = 0; i < n; i++) {
        if (keys[i] == key) {
            return true;
        }
    }
    return false;
}

/* Whether the device can be missing from a machine that runs: because a change was taking it away. */
static bool is_pluggable(const struct VirtualDevice *device, bool controller)
{
    return controller ? vim_is_a(device, &VirtualSCSIController_type) ||
                            vim_is_a(device, &VirtualSATAController_type) ||
                            vim_is_a(device, &VirtualNVMEController_type)
                      : vim_is_a(device, &VirtualDisk_type) || vim_is_a(device, &VirtualEthernetCard_type);
}

void vm_reconcile_devices(struct vm *vm)
{
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    g_autofree char *message = NULL;
    g_autofree int32_t *keys = NULL;
    size_t n = 0;
    int error = config == NULL ? -ENOENT
                               : hypervisor_vm_get_devices(vm->host->hypervisor, vm->id, &keys, &n, &message);
    if (error != 0) {
        vim_free(config);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (vm_device_by_key(config, keys[i]) == NULL) {
            struct VirtualDevice stray = {.vim_type = &VirtualDevice_type, .key = keys[i]};
            struct Description label = {.vim_type = &Description_type,
                                        .label = "a device that was being added"};
            stray.deviceInfo = &label;
            warn(vm, unplug(vm, &stray));
        }
    }
    for (int controller = 1; controller >= 0; controller--) {
        for (uint32_t i = 0; i < config->hardware->device.n; i++) {
            const struct VirtualDevice *device = config->hardware->device.items[i];
            if (is_pluggable(device, controller == 1) && !has_key(keys, n, device->key)) {
                warn(vm, plug(vm, config, device));
            }
        }
    }
    vim_free(config);
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
                                : disk_image_grow(datastore->fd, path, bytes, false, &message);
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
static GPtrArray *journaled_paths(struct vm *vm, struct vm_change *change)
{
    GPtrArray *paths = vm_change_paths(change);
    for (guint i = 0; i < change->removed_files->len; i++) {
        vm_disk_paths(g_ptr_array_index(change->removed_files, i), paths);
        vm_disk_own_flat_path(vm->host, g_ptr_array_index(change->removed_files, i), paths);
    }
    return paths;
}

static void delete_removed(struct vm *vm, const struct vm_change *change)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < change->removed->len; i++) {
        const struct VirtualDevice *device = g_ptr_array_index(change->removed, i);
        if (vim_is_a(device, &VirtualDisk_type) &&
            g_ptr_array_find_with_equal_func(
                change->removed_files,
                ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName, g_str_equal,
                NULL)) {
            snapshot_note_destroyed(vm, device); /* what snapshots need of it goes with them */
        }
    }
    for (guint i = 0; i < change->removed_files->len; i++) {
        vm_disk_own_flat_path(vm->host, g_ptr_array_index(change->removed_files, i), paths);
        vm_disk_paths(g_ptr_array_index(change->removed_files, i), paths);
    }
    journal_remove_files(vm->host, paths);
}

static struct vim_fault *commit(struct vm *vm, const struct VirtualMachineConfigInfo *before,
                                struct vm_change *change, bool running)
{
    g_autoptr(GPtrArray) made = vm_change_paths(change);
    g_autoptr(GPtrArray) paths = journaled_paths(vm, change);
    if (paths->len > 0) {
        int error = journal_begin(vm->host, vm->id, JOURNAL_DISKS, vm->vmx_path, paths);
        if (error != 0) {
            return host_state_fault(error, "the journal");
        }
    }
    struct running_change running_change = {.vm = vm, .before = before, .change = change};
    struct vim_fault *fault = vm_change_make_disks(vm->host, change);
    if (fault == NULL && running) {
        fault = change_running(&running_change);
    }
    if (fault == NULL) {
        fault = grow_disks(vm, before, change, running);
    }
    if (fault == NULL && !vm->invented) {
        fault = vm_save(vm->host, vm->vmx_path, change->config);
    }
    if (fault != NULL) {
        undo_running(&running_change);
        journal_remove_files(vm->host, made);
    } else {
        delete_removed(vm, change);
    }
    if (paths->len > 0) {
        (void)journal_end(vm->host, vm->id);
    }
    return fault;
}

/* A saved memory belongs to the hardware that it was saved with, so that stays as it is. */
static struct vim_fault *check_suspended(struct vm *vm, const struct VirtualMachineConfigInfo *config,
                                         const struct VirtualMachineConfigSpec *spec)
{
    const struct VirtualHardware *hardware = config->hardware;
    bool changes =
        spec->deviceChange.n > 0 || (spec->numCPUs.set && spec->numCPUs.value != hardware->numCPU) ||
        (spec->memoryMB.set && spec->memoryMB.value != hardware->memoryMB) ||
        (spec->firmware != NULL && g_strcmp0(spec->firmware, config->firmware) != 0) ||
        (spec->numCoresPerSocket.set && spec->numCoresPerSocket.value != hardware->numCoresPerSocket.value);
    return changes && vm_power_state(vm) == VirtualMachinePowerState_suspended
               ? vm_require_power(vm, VirtualMachinePowerState_poweredOff)
               : NULL;
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
    if (fault == NULL && !running) {
        fault = vm_lock_take(vm); /* it is ours, unless it could not be made */
    }
    if (fault == NULL) {
        fault = check_suspended(vm, before, spec);
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
