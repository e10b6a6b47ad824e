// SPDX-License-Identifier: Apache-2.0
/*
 * Power: on, off, reset, suspend, resume, and what the hypervisor tells of its own accord.
 *
 * Suspend, and what a crash between the steps leaves:
 *
 *   running --save memory to name.vmss.part--> process gone --rename--> name.vmss --.vmx: COMMIT--> suspended
 *           crash: the machine runs on            crash: powered off, as by a power cut
 *
 * Resume: first the .vmx forgets the saved state (COMMIT), then the process starts with it. The other order
 * could resume an old memory on disks that have changed since, which destroys them; this order loses at
 * worst the memory, as by a power cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "host/system/host_power.h"
#include "host/snapshot/snapshot.h"
#include "host/vm/guest_os.h"
#include "vim/event.h"
#include "vim/value.h"

#define STATE_KEY "checkpoint.vmState" /* VMware's name for the file of a suspended machine */

/* The folder of the machine, opened; and its name. */
static struct vim_fault *resolve_vmx(struct vm *vm, struct datastore **ret_datastore, char **ret_path)
{
    return host_resolve(vm->host, vm->vmx_path, "vmPathName", ret_datastore, ret_path);
}

static struct vim_fault *open_log(struct vm *vm, int *ret_fd)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    struct vim_fault *fault = resolve_vmx(vm, &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *folder = datastore_path_dirname(path);
    g_autofree char *log = datastore_path_join(folder, "tenkyu.log");
    int error = file_open(datastore->fd, log, O_WRONLY | O_CREAT | O_APPEND, 0644, ret_fd);
    return error == 0 ? NULL : host_file_fault(vm->vmx_path, error, "tenkyu.log cannot be opened");
}

static struct vim_fault *hypervisor_fault(int error, const char *message)
{
    if (error == -ENOSPC) {
        return fault_no_disk_space("", "", "%s", message);
    }
    return fault_system_error(g_strerror(-error), "%s", message != NULL ? message : g_strerror(-error));
}

static struct vim_fault *start(struct vm *vm, const struct VirtualMachineConfigInfo *config, int state_fd)
{
    struct vm_files files = {0};
    int log_fd = -1;
    g_autofree char *message = NULL;
    struct vim_fault *fault = NULL;
    if (vm->invented) {
        files.files = g_array_new(FALSE, FALSE, sizeof(struct hypervisor_file));
    } else {
        fault = vm_lock_take(vm); /* we have it, unless the lock could not even be made */
        fault = fault == NULL ? vm_files_open(vm->host, config, &files) : fault;
        fault = fault == NULL ? open_log(vm, &log_fd) : fault;
    }
    if (fault == NULL) {
        struct hypervisor_start start = {
            .id = vm->id,
            .config = config,
            .files = (const struct hypervisor_file *)(void *)files.files->data,
            .n_files = files.files->len,
            .guest = guest_os_board(config->guestId),
            .state_fd = state_fd,
            .log_fd = log_fd,
            .lock_fd = vm->lock_fd,
        };
        int error = hypervisor_vm_start(vm->host->hypervisor, &start, &message);
        fault = error == 0 ? NULL : hypervisor_fault(error, message);
    }
    if (log_fd >= 0) {
        close(log_fd);
    }
    vm_files_close(&files);
    return fault;
}

/* Opens the saved state and makes the .vmx forget it. *ret_fd is -1 when there is none. */
static struct vim_fault *take_state(struct vm *vm, int *ret_fd, char **ret_name)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    struct vim_fault *fault = resolve_vmx(vm, &datastore, &path);
    g_autofree char *name = fault == NULL ? vm_load_key(vm->host, vm->vmx_path, STATE_KEY) : NULL;
    if (fault != NULL || name == NULL || name[0] == '\0') {
        return fault;
    }
    g_autofree char *folder = datastore_path_dirname(path);
    g_autofree char *state = datastore_path_join(folder, name);
    int error = file_open(datastore->fd, state, O_RDONLY, 0, ret_fd);
    if (error != 0) {
        return host_file_fault(vm->vmx_path, error, "the saved state cannot be opened");
    }
    fault = vm_save_key(vm->host, vm->vmx_path, STATE_KEY, NULL);
    if (fault != NULL) {
        close(*ret_fd);
        *ret_fd = -1;
        return fault;
    }
    *ret_name = g_steal_pointer(&name);
    return NULL;
}

/* The memory of a snapshot, from which a revert resumes, stays. */
static void remove_state(struct vm *vm, const char *name)
{
    if (!g_str_has_suffix(name, VM_MEMORY_SUFFIX)) {
        return;
    }
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    VIM_FAULT_AUTO fault = resolve_vmx(vm, &datastore, &path);
    if (fault == NULL) {
        g_autofree char *folder = datastore_path_dirname(path);
        g_autofree char *state = datastore_path_join(folder, name);
        (void)file_remove(datastore->fd, state);
    }
}

/* The firmware's setup is asked for once: this start has shown it. */
static void forget_setup(struct vm *vm, const struct VirtualMachineConfigInfo *config)
{
    if (config->bootOptions == NULL || !config->bootOptions->enterBIOSSetup.value || vm->invented) {
        return;
    }
    VIM_FAULT_AUTO fault = vm_save_key(vm->host, vm->vmx_path, "bios.forceSetupOnce", NULL);
    if (fault != NULL) {
        g_warning("%s: the firmware's setup will be shown again: %s", vm->id, fault->message);
        return;
    }
    struct VirtualMachineConfigInfo *after = vim_copy(config);
    vim_set_optional(&after->bootOptions->enterBIOSSetup, false);
    vm_set_config(vm, after);
}

/* A power-on connects what is to be connected then; whether that changes what is shown. */
static bool settle_connections(struct VirtualMachineConfigInfo *config)
{
    bool changed = false;
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        struct VirtualDeviceConnectInfo *connectable = config->hardware->device.items[i]->connectable;
        if (connectable != NULL && connectable->connected != connectable->startConnected) {
            connectable->connected = connectable->startConnected;
            changed = true;
        }
    }
    return changed;
}

/* Starts with saved memory: what was connected is again, whatever a power-on would connect. */
static struct vim_fault *resume(struct vm *vm, const struct VirtualMachineConfigInfo *config, int state_fd)
{
    struct VirtualMachineConfigInfo *as_it_was = vim_copy(config);
    for (uint32_t i = 0; i < as_it_was->hardware->device.n; i++) {
        struct VirtualDeviceConnectInfo *connectable = as_it_was->hardware->device.items[i]->connectable;
        if (connectable != NULL) {
            connectable->startConnected = connectable->connected;
        }
    }
    struct vim_fault *fault = start(vm, as_it_was, state_fd);
    vim_free(as_it_was);
    return fault;
}

static struct vim_fault *power_on_now(struct vim_task *task, struct vm *vm)
{
    enum VirtualMachinePowerState state = vm_power_state(vm);
    if (state == VirtualMachinePowerState_poweredOn) {
        return vm_require_power(vm, VirtualMachinePowerState_poweredOff);
    }
    struct vim_fault *fault = vm_require_accessible(vm);
    if (fault != NULL) {
        return fault;
    }
    int state_fd = -1;
    bool changed = false;
    g_autofree char *state_name = NULL;
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    vm_event(vm, task, VmStartingEvent, "%s is starting", config->name);
    if (state == VirtualMachinePowerState_suspended) {
        fault = take_state(vm, &state_fd, &state_name);
    }
    if (fault == NULL) {
        changed = state_fd < 0 && settle_connections(config);
        fault = state_fd >= 0 ? resume(vm, config, state_fd) : start(vm, config, state_fd);
        if (fault != NULL && state_name != NULL) { /* it did not run: the saved state is good still */
            VIM_FAULT_AUTO second = vm_save_key(vm->host, vm->vmx_path, STATE_KEY, state_name);
            if (second != NULL) {
                g_warning("%s: the saved state %s is no longer known: %s", vm->id, state_name,
                          second->message);
                vm_set_power_state(vm, VirtualMachinePowerState_poweredOff);
            }
        }
    }
    if (state_fd >= 0) {
        close(state_fd);
    }
    if (fault == NULL) {
        if (changed) {
            vm_set_config(vm, vim_copy(config));
        }
        vm_set_power_state(vm, VirtualMachinePowerState_poweredOn);
        if (state_name != NULL) {
            remove_state(vm, state_name);
        }
        forget_setup(vm, config);
        vm_event(vm, task, VmPoweredOnEvent, "%s is powered on", config->name);
    } else {
        vm_event(vm, task, VmFailedToPowerOnEvent, "%s: %s", config->name, fault->message);
    }
    vim_free(config);
    return fault;
}

static struct vim_fault *power_on_run(struct vim_task *task, struct vm *vm, void *data)
{
    (void)data;
    struct vim_fault *fault = host_power_on_begin(vm->host);
    if (fault == NULL) {
        fault = power_on_now(task, vm);
        host_power_on_end(vm->host);
    }
    return fault;
}

struct vim_fault *vm_power_on(struct vim_task *task, struct vm *vm)
{
    return power_on_run(task, vm, NULL);
}

static struct vim_fault *power_off_run(struct vim_task *task, struct vm *vm, void *data)
{
    (void)data;
    g_autofree char *message = NULL;
    enum VirtualMachinePowerState state = vm_power_state(vm);
    if (state == VirtualMachinePowerState_suspended) { /* powering off throws the saved state away */
        int fd = -1;
        g_autofree char *name = NULL;
        struct vim_fault *fault = take_state(vm, &fd, &name);
        if (fault != NULL) {
            return fault;
        }
        if (fd >= 0) {
            close(fd);
            remove_state(vm, name);
        }
    } else {
        struct vim_fault *fault = vm_require_power(vm, VirtualMachinePowerState_poweredOn);
        if (fault != NULL) {
            return fault;
        }
        int error = hypervisor_vm_stop(vm->host->hypervisor, vm->id, &message);
        if (error != 0 && error != -ENOENT) {
            return hypervisor_fault(error, message);
        }
    }
    vm_set_power_state(vm, VirtualMachinePowerState_poweredOff);
    vm_event(vm, task, VmPoweredOffEvent, "%s is powered off", vm->vmx_path);
    return NULL;
}

struct vim_fault *vm_power_off(struct vim_task *task, struct vm *vm)
{
    return power_off_run(task, vm, NULL);
}

static struct vim_fault *reset_run(struct vim_task *task, struct vm *vm, void *data)
{
    (void)data;
    g_autofree char *message = NULL;
    struct vim_fault *fault = vm_require_power(vm, VirtualMachinePowerState_poweredOn);
    if (fault != NULL) {
        return fault;
    }
    int error = hypervisor_vm_reset(vm->host->hypervisor, vm->id, &message);
    if (error == 0) {
        vm_event(vm, task, VmResettingEvent, "%s was reset", vm->vmx_path);
    }
    return error == 0 ? NULL : hypervisor_fault(error, message);
}

/* ---- suspend ---------------------------------------------------------------------------------------- */

static bool on_progress(void *data, int percent)
{
    struct vim_task *task = data;
    vim_task_progress(task, percent);
    return !vim_task_is_cancelled(task);
}

static struct vim_fault *save_memory(struct vim_task *task, struct vm *vm, int dir_fd, const char *part,
                                     const char *final)
{
    int fd = -1;
    g_autofree char *message = NULL;
    int error = file_open(dir_fd, part, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd);
    if (error != 0) {
        return host_file_fault(vm->vmx_path, error, "the file for the memory cannot be made");
    }
    error = hypervisor_vm_suspend(vm->host->hypervisor, vm->id, fd, on_progress, task, &message);
    close(fd);
    if (error == 0 && renameat(dir_fd, part, dir_fd, final) != 0) {
        error = -errno;
    }
    if (error != 0) {
        (void)file_remove(dir_fd, part);
        if (vim_task_is_cancelled(task)) {
            return fault_request_canceled("the suspend was cancelled");
        }
        return hypervisor_fault(error, message);
    }
    return NULL;
}

static struct vim_fault *suspend_run(struct vim_task *task, struct vm *vm, void *data)
{
    (void)data;
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    g_autofree char *temporary = vm_disk_find_temporary(config);
    vim_free(config);
    struct vim_fault *fault = vm_require_power(vm, VirtualMachinePowerState_poweredOn);
    if (fault == NULL && temporary != NULL) { /* its process ends, and with it what the memory belongs to */
        fault = fault_not_supported("%s throws away what is written to it, so the machine is not suspended",
                                    temporary);
    }
    if (fault == NULL) {
        fault = resolve_vmx(vm, &datastore, &path);
    }
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *final = datastore_path_with_suffix(path, VM_MEMORY_SUFFIX);
    g_autofree char *part = datastore_path_with_suffix(path, VM_MEMORY_PART_SUFFIX);
    fault = save_memory(task, vm, datastore->fd, part, final);
    enum hypervisor_vm_state state = HYPERVISOR_VM_GONE;
    if (fault != NULL &&
        (hypervisor_vm_get_state(vm->host->hypervisor, vm->id, &state) != 0 || state == HYPERVISOR_VM_GONE)) {
        vm_set_power_state(vm, VirtualMachinePowerState_poweredOff); /* its process ended before the fault */
    }
    if (fault == NULL) {
        /* The process had the lock. Another host that was quicker runs the machine by now: from the disks. */
        fault = vm_lock_take(vm);
        if (fault == NULL) {
            fault = vm_save_key(vm->host, vm->vmx_path, STATE_KEY, datastore_path_basename(final));
        }
        vm_set_power_state(vm, fault == NULL ? VirtualMachinePowerState_suspended
                                             : VirtualMachinePowerState_poweredOff);
    }
    if (fault == NULL) {
        vm_event(vm, task, VmSuspendedEvent, "%s is suspended", vm->vmx_path);
    } else {
        vm_event(vm, task, VmFailedToSuspendEvent, "%s: %s", vm->vmx_path, fault->message);
    }
    return fault;
}

struct vim_fault *vm_suspend(struct vim_task *task, struct vm *vm)
{
    return suspend_run(task, vm, NULL);
}

/* ---- methods ---------------------------------------------------------------------------------------- */

struct vim_fault *vm_power_on_call(struct vim_call *call, const struct PowerOnVM_Task_args *args,
                                   struct PowerOnVM_Task_result *ret)
{
    if (args->host.id != NULL && !g_str_equal(args->host.id, HOST_ID)) {
        return fault_invalid_argument("host", "this host is %s", HOST_ID);
    }
    return vm_task_start(call, "VirtualMachine.powerOn", power_on_run, NULL, NULL, false, &ret->returnval);
}

struct vim_fault *vm_power_off_call(struct vim_call *call, const struct PowerOffVM_Task_args *args,
                                    struct PowerOffVM_Task_result *ret)
{
    (void)args;
    return vm_task_start(call, "VirtualMachine.powerOff", power_off_run, NULL, NULL, false, &ret->returnval);
}

struct vim_fault *vm_reset_call(struct vim_call *call, const struct ResetVM_Task_args *args,
                                struct ResetVM_Task_result *ret)
{
    (void)args;
    return vm_task_start(call, "VirtualMachine.reset", reset_run, NULL, NULL, false, &ret->returnval);
}

struct vim_fault *vm_suspend_call(struct vim_call *call, const struct SuspendVM_Task_args *args,
                                  struct SuspendVM_Task_result *ret)
{
    (void)args;
    return vm_task_start(call, "VirtualMachine.suspend", suspend_run, NULL, NULL, true, &ret->returnval);
}

/* ---- what happens by itself --------------------------------------------------------------------------- */

void vm_adopted(struct vm *vm)
{
    VIM_FAULT_AUTO fault = vm_save_key(vm->host, vm->vmx_path, STATE_KEY, NULL);
    if (fault != NULL) {
        g_warning("%s: %s", vm->id, fault->message);
    }
    vm_set_power_state(vm, VirtualMachinePowerState_poweredOn);
    snapshot_recover(vm); /* before anything else: the guest may be held still */
    vm_reconcile_devices(vm);
    enum hypervisor_vm_state state = HYPERVISOR_VM_RUNNING;
    if (hypervisor_vm_get_state(vm->host->hypervisor, vm->id, &state) == 0 && state == HYPERVISOR_VM_PAUSED) {
        const struct vm_trouble trouble = {.kind = VM_TROUBLE_FOUND_STOPPED};
        vm_question_ask(vm, &trouble);
    }
}

/* On the hypervisor's event thread. An end that an operation asked for is shown by that operation. */
void vm_on_event(void *data, const char *id, const struct hypervisor_event *event)
{
    struct host *host = data;
    VM_AUTO vm = g_atomic_int_get(&host->stopping) ? NULL : vm_find(host, id);
    if (vm == NULL) {
        return;
    }
    if (event->kind == HYPERVISOR_EVENT_GUEST_SHUTDOWN) {
        g_atomic_int_set(&vm->guest_shut_down, 1);
        return;
    }
    if (event->kind == HYPERVISOR_EVENT_IO_ERROR && event->state == HYPERVISOR_VM_PAUSED) {
        const struct vm_trouble trouble = {
            .kind = event->no_space ? VM_TROUBLE_NO_SPACE : VM_TROUBLE_IO_ERROR,
            .device_key = event->device_key,
        };
        vm_question_ask(vm, &trouble);
    }
    if (event->kind == HYPERVISOR_EVENT_STATE && event->state == HYPERVISOR_VM_RUNNING) {
        vm_question_withdraw(vm);
    }
    if (event->kind == HYPERVISOR_EVENT_RESET) {
        vm_guest_restarted(vm);
    }
    if (event->kind != HYPERVISOR_EVENT_GONE) {
        return;
    }
    bool by_guest = g_atomic_int_compare_and_exchange(&vm->guest_shut_down, 1, 0);
    if (by_guest || event->reason != NULL) {
        vm_set_power_state(vm, VirtualMachinePowerState_poweredOff);
        vm_event(vm, (struct vim_task *)NULL, VmPoweredOffEvent, "%s: %s", vm->vmx_path,
                 event->reason != NULL ? event->reason : "the guest powered itself off");
    }
}
