// SPDX-License-Identifier: Apache-2.0
/*
 * The VirtualMachine object: what it shows, and the frame of its operations. See vm.h.
 */
#include "host/vm/vm.h"

#include "host/guest/guest_agent.h"
#include "host/guest/guest_state.h"

#include <string.h>

#include "host/snapshot/snapshot.h"
#include "host/vm/port_link.h"
#include "vim/method.h"
#include "vim/value.h"

struct vm *vm_ref(struct vm *vm)
{
    g_atomic_ref_count_inc(&vm->references);
    return vm;
}

void vm_unref(struct vm *vm)
{
    if (vm != NULL && g_atomic_ref_count_dec(&vm->references)) {
        g_mutex_clear(&vm->job);
        g_mutex_clear(&vm->storage);
        g_free(vm->id);
        g_free(vm->vmx_path);
        snapshot_list_free(vm->snapshots);
        g_free(vm);
    }
}

static void code_free(void *vm)
{
    vm_unref(vm);
}

struct vim_ref vm_reference(const struct vm *vm)
{
    return (struct vim_ref){&VirtualMachine_type, vm->id};
}

static struct vim_object *object_of(struct vm *vm)
{
    return vim_inventory_find(vm->host->server->inventory, vm->id);
}

struct vm *vm_find(struct host *host, const char *id)
{
    struct vim_ref ref = {&VirtualMachine_type, (char *)id};
    vim_read_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &ref);
    struct vm *vm = object != NULL ? vm_ref(object->code) : NULL;
    vim_read_unlock(host->server->inventory);
    return vm;
}

struct vim_fault *vm_of_call(struct vim_call *call, struct vm **ret)
{
    vim_read_lock(call->server->inventory);
    struct vim_object *object = vim_call_object(call);
    struct vm *vm = object != NULL ? vm_ref(object->code) : NULL;
    vim_read_unlock(call->server->inventory);
    if (vm == NULL) {
        return vim_call_gone(&call->request.target);
    }
    *ret = vm;
    return NULL;
}

/* ---- what is derived from a configuration ---------------------------------------------------------- */

static unsigned count_devices(const struct VirtualMachineConfigInfo *config, const struct vim_type *type)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        n += vim_is_a(config->hardware->device.items[i], type);
    }
    return n;
}

static struct VirtualMachineConfigSummary *config_summary(const struct VirtualMachineConfigInfo *config)
{
    struct VirtualMachineConfigSummary *summary = VirtualMachineConfigSummary_new();
    summary->name = g_strdup(config->name);
    summary->template = config->template;
    summary->vmPathName = g_strdup(config->files->vmPathName);
    vim_set_optional(&summary->memorySizeMB, config->hardware->memoryMB);
    vim_set_optional(&summary->numCpu, config->hardware->numCPU);
    vim_set_optional(&summary->numEthernetCards, (int32_t)count_devices(config, &VirtualEthernetCard_type));
    vim_set_optional(&summary->numVirtualDisks, (int32_t)count_devices(config, &VirtualDisk_type));
    summary->uuid = g_strdup(config->uuid);
    summary->instanceUuid = g_strdup(config->instanceUuid);
    summary->guestId = g_strdup(config->guestId);
    summary->guestFullName = g_strdup(config->guestFullName);
    summary->annotation = g_strdup(config->annotation);
    return summary;
}

/* The datastores, or networks, that the devices name: references without repetition. */
static void add_once(void *list, const struct vim_ref *ref)
{
    const struct vim_array *known = list;
    for (uint32_t i = 0; i < known->n; i++) {
        if (vim_ref_equal(&((struct vim_ref *)known->items)[i], ref)) {
            return;
        }
    }
    vim_array_add_ref(list, ref);
}

static void used_datastores(struct host *host, const struct VirtualMachineConfigInfo *config, void *list)
{
    struct datastore_path path = {NULL, NULL};
    const char *rule = NULL;
    if (datastore_path_parse(config->files->vmPathName, -1, &path, &rule) == 0) {
        struct datastore *datastore = host_datastore(host, path.datastore);
        if (datastore != NULL) {
            add_once(list, &datastore->ref);
        }
        datastore_path_clear(&path);
    }
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
            const struct vim_ref *ref =
                &((const struct VirtualDeviceFileBackingInfo *)device->backing)->datastore;
            if (ref->id != NULL) {
                add_once(list, ref);
            }
        }
    }
}

static void used_networks(const struct VirtualMachineConfigInfo *config, void *list)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device->backing, &VirtualEthernetCardNetworkBackingInfo_type)) {
            const struct vim_ref *ref =
                &((const struct VirtualEthernetCardNetworkBackingInfo *)device->backing)->network;
            if (ref->id != NULL) {
                add_once(list, ref);
            }
        }
    }
}

/* ---- showing --------------------------------------------------------------------------------------- */

static struct VirtualMachineRuntimeInfo *new_runtime(const struct vm *vm)
{
    struct VirtualMachineRuntimeInfo *runtime = VirtualMachineRuntimeInfo_new();
    runtime->host = vim_ref_copy(&vm->host->about_host);
    runtime->connectionState = VirtualMachineConnectionState_connected;
    runtime->powerState = VirtualMachinePowerState_poweredOff;
    runtime->faultToleranceState = VirtualMachineFaultToleranceState_notConfigured;
    runtime->recordReplayState = VirtualMachineRecordReplayState_inactive;
    vim_set_optional(&runtime->cleanPowerOff, true);
    return runtime;
}

static struct GuestInfo *new_guest(const struct VirtualMachineConfigInfo *config)
{
    struct GuestInfo *guest = GuestInfo_new();
    guest->toolsStatus = VirtualMachineToolsStatus_toolsNotInstalled;
    guest->toolsRunningStatus = g_strdup("guestToolsNotRunning");
    guest->toolsVersionStatus = g_strdup("guestToolsNotInstalled");
    guest->guestId = g_strdup(config->guestId);
    guest->guestFullName = g_strdup(config->guestFullName);
    guest->guestState = g_strdup("notRunning");
    return guest;
}

static struct VirtualMachineSummary *new_summary(const struct vm *vm, const struct VirtualMachine *machine)
{
    struct VirtualMachineSummary *summary = VirtualMachineSummary_new();
    summary->vm = vim_ref_make(&VirtualMachine_type, vm->id);
    summary->runtime = vim_copy(machine->runtime);
    summary->config = config_summary(machine->config);
    summary->guest = VirtualMachineGuestSummary_new();
    summary->guest->guestId = g_strdup(machine->config->guestId);
    summary->guest->guestFullName = g_strdup(machine->config->guestFullName);
    summary->guest->toolsStatus = machine->guest->toolsStatus;
    summary->guest->toolsRunningStatus = g_strdup(machine->guest->toolsRunningStatus);
    summary->quickStats = VirtualMachineQuickStats_new();
    summary->quickStats->guestHeartbeatStatus = ManagedEntityStatus_gray;
    summary->overallStatus = ManagedEntityStatus_green;
    return summary;
}

/* What machines can do here. */
struct VirtualMachineCapability *vm_capability(const struct host *host)
{
    struct VirtualMachineCapability *can = VirtualMachineCapability_new();
    can->bootOptionsSupported = true;
    can->multipleCoresPerSocketSupported = true;
    can->snapshotOperationsSupported = true;
    can->multipleSnapshotsSupported = true;
    can->snapshotConfigSupported = true;
    can->poweredOffSnapshotsSupported = true;
    can->memorySnapshotsSupported = true;
    can->revertToSnapshotSupported = true;
    can->quiescedSnapshotsSupported = true;
    can->disableSnapshotsSupported = true;
    can->lockSnapshotsSupported = true;
    can->bootRetryOptionsSupported = true;
    can->settingVideoRamSizeSupported = true;
    can->settingDisplayTopologySupported = true;
    can->nestedHVSupported = true;
    can->vPMCSupported = g_str_equal(hypervisor_info(host->hypervisor)->accelerator, "kvm");
    vim_set_optional(&can->secureBootSupported, true);
    return can;
}

static struct VirtualMachine *new_properties(const struct vm *vm, struct VirtualMachineConfigInfo *config)
{
    struct VirtualMachine *machine = VirtualMachine_new();
    machine->parent = vim_ref_make(&Folder_type, HOST_VM_FOLDER_ID);
    machine->resourcePool = vim_ref_make(&ResourcePool_type, HOST_POOL_ID);
    machine->environmentBrowser = vim_ref_make(&EnvironmentBrowser_type, HOST_BROWSER_ID);
    machine->name = g_strdup(config->name);
    machine->overallStatus = ManagedEntityStatus_green;
    machine->configStatus = ManagedEntityStatus_green;
    machine->guestHeartbeatStatus = ManagedEntityStatus_gray;
    machine->capability = vm_capability(vm->host);
    machine->capability->snapshotOperationsSupported = !vm->invented;
    machine->config = config;
    machine->runtime = new_runtime(vm);
    machine->guest = new_guest(config);
    machine->summary = new_summary(vm, machine);
    used_datastores(vm->host, config, &machine->datastore);
    used_networks(config, &machine->network);
    return machine;
}

/* The lists of others that name the machine. */
static void list_in(struct vm *vm, const char *id, const char *path, bool add)
{
    struct vim_object *object = vim_inventory_find(vm->host->server->inventory, id);
    struct vim_ref ref = vm_reference(vm);
    if (object != NULL && add) {
        vim_ref_list_add(object, path, &ref);
    } else if (object != NULL) {
        vim_ref_list_remove(object, path, &ref);
    }
}

static void list_in_all(struct vm *vm, const void *refs, bool add)
{
    const struct vim_array *list = refs;
    for (uint32_t i = 0; i < list->n; i++) {
        list_in(vm, ((const struct vim_ref *)list->items)[i].id, "vm", add);
    }
}

struct vm *vm_show(struct host *host, const char *id, const char *vmx_path,
                   struct VirtualMachineConfigInfo *config)
{
    struct vm *vm = g_new0(struct vm, 1);
    g_atomic_ref_count_init(&vm->references);
    g_mutex_init(&vm->job);
    g_mutex_init(&vm->storage);
    vm->host = host;
    vm->id = g_strdup(id);
    vm->vmx_path = g_strdup(vmx_path);
    vm->lock_fd = -1;
    struct VirtualMachine *machine = new_properties(vm, config);
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_add(host->server->inventory, &VirtualMachine_type, id, machine);
    object->code = vm_ref(vm);
    object->code_free = code_free;
    list_in_all(vm, &machine->datastore, true);
    list_in_all(vm, &machine->network, true);
    list_in(vm, HOST_ID, "vm", true);
    list_in(vm, HOST_POOL_ID, "vm", true);
    list_in(vm, HOST_VM_FOLDER_ID, "childEntity", true);
    vim_write_unlock(host->server->inventory);
    vm_storage_refresh(vm);
    return vm;
}

void vm_hide(struct vm *vm)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *object = object_of(vm);
    if (object != NULL) {
        snapshot_hide_all(vm);
        list_in(vm, HOST_VM_FOLDER_ID, "childEntity", false);
        list_in(vm, HOST_POOL_ID, "vm", false);
        list_in(vm, HOST_ID, "vm", false);
        list_in_all(vm, &VIM_PROPERTIES(object, VirtualMachine)->network, false);
        list_in_all(vm, &VIM_PROPERTIES(object, VirtualMachine)->datastore, false);
        vim_inventory_remove(inventory, object);
    }
    vim_write_unlock(inventory);
}

struct VirtualMachineConfigInfo *vm_config(struct vm *vm)
{
    struct VirtualMachineConfigInfo *config = NULL;
    vim_read_lock(vm->host->server->inventory);
    struct vim_object *object = object_of(vm);
    if (object != NULL) {
        config = vim_copy(VIM_PROPERTIES(object, VirtualMachine)->config);
    }
    vim_read_unlock(vm->host->server->inventory);
    return config;
}

enum VirtualMachinePowerState vm_power_state(struct vm *vm)
{
    enum VirtualMachinePowerState state = VirtualMachinePowerState_unset;
    vim_read_lock(vm->host->server->inventory);
    struct vim_object *object = object_of(vm);
    if (object != NULL) {
        state = VIM_PROPERTIES(object, VirtualMachine)->runtime->powerState;
    }
    vim_read_unlock(vm->host->server->inventory);
    return state;
}

/* Moves the machine between the lists of its old and new datastores (or networks). */
static void set_used(struct vm *vm, struct vim_object *object, const char *path, struct vim_array *now,
                     struct vim_array *before)
{
    bool same = now->n == before->n;
    for (uint32_t i = 0; same && i < now->n; i++) {
        same = vim_ref_equal(&((struct vim_ref *)now->items)[i], &((struct vim_ref *)before->items)[i]);
    }
    if (!same) {
        list_in_all(vm, before, false);
        list_in_all(vm, now, true);
    }
    vim_set(object, path, now);
}

void vm_set_config(struct vm *vm, struct VirtualMachineConfigInfo *config)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    struct VirtualMachineConfigSummary *summary = config_summary(config);
    struct vim_array datastores = {0};
    struct vim_array networks = {0};
    used_datastores(vm->host, config, &datastores);
    used_networks(config, &networks);
    vim_write_lock(inventory);
    struct vim_object *object = object_of(vm);
    if (object != NULL) {
        struct VirtualMachine *machine = object->properties;
        set_used(vm, object, "datastore", &datastores, (struct vim_array *)(void *)&machine->datastore);
        set_used(vm, object, "network", &networks, (struct vim_array *)(void *)&machine->network);
        vim_set_text(object, "name", config->name);
        vim_set_data(object, "summary.config", summary);
        vim_set_data(object, "config", config);
    }
    vim_write_unlock(inventory);
}

static void set_runtime(struct vim_object *object, enum VirtualMachinePowerState state, int64_t now_us)
{
    struct VirtualMachineRuntimeInfo *runtime = vim_copy(VIM_PROPERTIES(object, VirtualMachine)->runtime);
    runtime->powerState = state;
    runtime->bootTime = state == VirtualMachinePowerState_poweredOn ? now_us : 0;
    g_clear_pointer(&runtime->question, vim_free); /* who does not run asks nothing */
    runtime->suspendTime = state == VirtualMachinePowerState_suspended ? now_us : 0;
    vim_set_data(object, "summary.runtime", vim_copy(runtime));
    vim_set_data(object, "runtime", runtime);
}

void vm_set_power_state(struct vm *vm, enum VirtualMachinePowerState state)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    bool on = state == VirtualMachinePowerState_poweredOn;
    vim_write_lock(inventory);
    struct vim_object *object = object_of(vm);
    enum VirtualMachinePowerState before =
        object != NULL ? VIM_PROPERTIES(object, VirtualMachine)->runtime->powerState : state;
    if (before != state) {
        set_runtime(object, state, vim_now_us(vm->host->server));
        guest_state_reset(object, on ? "running" : "notRunning");
        if (!on) {
            struct VirtualMachineQuickStats *none = VirtualMachineQuickStats_new();
            none->guestHeartbeatStatus = ManagedEntityStatus_gray;
            vim_set_data(object, "summary.quickStats", none);
        }
    }
    vim_write_unlock(inventory);
    if (before != state && on) {
        guest_agent_connect(vm, before == VirtualMachinePowerState_suspended);
        port_links_begin(vm);
    } else if (before != state) {
        guest_agent_disconnect(vm);
        port_links_end(vm);
    }
}

void vm_guest_restarted(struct vm *vm)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    guest_agent_restart(vm);
    vim_write_lock(inventory);
    struct vim_object *object = object_of(vm);
    if (object != NULL &&
        VIM_PROPERTIES(object, VirtualMachine)->runtime->powerState == VirtualMachinePowerState_poweredOn) {
        guest_state_reset(object, "running");
    }
    vim_write_unlock(inventory);
}

void vm_config_complete(struct vm *vm, struct VirtualMachineConfigInfo *config)
{
    (void)vm;
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        vm_device_describe(config->hardware->device.items[i]);
    }
    vm_device_link(config);
}

/* ---- the frame of an operation ---------------------------------------------------------------------- */

struct vim_fault *vm_begin(struct vm *vm, struct vim_task *task)
{
    struct vim_ref ref = vm_reference(vm);
    if (!g_mutex_trylock(&vm->job)) {
        return fault_task_in_progress(*vim_task_ref(task), "another operation on %s is under way", vm->id);
    }
    enum VirtualMachinePowerState state = vm_power_state(vm);
    if (state == VirtualMachinePowerState_unset) {
        g_mutex_unlock(&vm->job);
        return vim_call_gone(&ref);
    }
    if (state == VirtualMachinePowerState_poweredOn) {
        return NULL; /* its process has the lock */
    }
    struct vim_fault *fault = vm_lock_take(vm);
    if (fault != NULL && vim_fault_type(fault) == &FileLocked_type) {
        g_mutex_unlock(&vm->job);
        return fault;
    }
    /* What has no folder any more, or is on a full or read-only datastore, can still be destroyed; who needs the lock
     * asks for it. */
    vm->lock_fault = fault;
    return NULL;
}

void vm_end(struct vm *vm)
{
    vm_lock_release(vm, vm_power_state(vm) == VirtualMachinePowerState_poweredOn);
    vm_storage_refresh(vm);
    g_mutex_unlock(&vm->job);
}

struct vim_fault *vm_require_power(struct vm *vm, enum VirtualMachinePowerState required)
{
    enum VirtualMachinePowerState state = vm_power_state(vm);
    if (state == required) {
        return NULL;
    }
    return fault_invalid_power_state(required, state, "the virtual machine is %s; it must be %s",
                                     VirtualMachinePowerState_type.values[state],
                                     VirtualMachinePowerState_type.values[required]);
}

struct vim_fault *vm_require_accessible(struct vm *vm)
{
    bool accessible = false;
    vim_read_lock(vm->host->server->inventory);
    struct vim_object *object = object_of(vm);
    if (object != NULL) {
        accessible = VIM_PROPERTIES(object, VirtualMachine)->runtime->connectionState ==
                     VirtualMachineConnectionState_connected;
    }
    vim_read_unlock(vm->host->server->inventory);
    return accessible ? NULL
                      : fault_invalid_vm_config(vm->vmx_path,
                                                "%s could not be read; mend it, unregister the "
                                                "machine and register it again",
                                                vm->vmx_path);
}

static struct vim_fault *run(struct vim_task *task, void *data)
{
    struct vm_task *work = data;
    struct vim_fault *fault = vm_begin(work->vm, task);
    if (fault == NULL) {
        fault = work->run(task, work->vm, work->data);
        vm_end(work->vm);
    }
    return fault;
}

static void work_free(void *data)
{
    struct vm_task *work = data;
    vm_unref(work->vm);
    if (work->data_free != NULL) {
        work->data_free(work->data);
    }
    g_free(work);
}

struct vim_fault *vm_task_start(struct vim_call *call, const char *description_id,
                                struct vim_fault *(*fn)(struct vim_task *task, struct vm *vm, void *data),
                                void *data, void (*data_free)(void *data), bool cancelable,
                                struct vim_ref *ret_task)
{
    struct vm *vm = NULL;
    struct vim_fault *fault = vm_of_call(call, &vm);
    if (fault != NULL) {
        if (data_free != NULL) {
            data_free(data);
        }
        return fault;
    }
    struct vm_task *work = g_new0(struct vm_task, 1);
    *work = (struct vm_task){vm, data, data_free, fn};
    struct vim_task_spec spec = {
        .description_id = description_id,
        .entity = vm_reference(vm),
        .run = run,
        .data = work,
        .data_free = work_free,
        .cancelable = cancelable,
    };
    return vim_task_start(call->server, call, &spec, ret_task);
}
