// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual machines come and go: CreateVM_Task, RegisterVM_Task, UnregisterVM, Destroy_Task, Rename_Task.
 * The order of steps, and what a crash between them leaves, is drawn in journal.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/snapshot/snapshot.h"
#include "vim/event.h"
#include "vim/value.h"

enum {
    NAME_MAX_BYTES = 80, /* of a virtual machine's name: what the VI API allows */
};

struct vim_fault *vm_check_name(struct host *host, const char *name, const struct vm *except)
{
    struct vim_inventory *inventory = host->server->inventory;
    if (name == NULL || name[0] == '\0' || strlen(name) > NAME_MAX_BYTES) {
        return fault_invalid_name(name, (struct vim_ref){0}, "a name has 1 to %d bytes", NAME_MAX_BYTES);
    }
    struct vim_fault *fault = NULL;
    vim_read_lock(inventory);
    struct vim_object *folder = vim_inventory_find(inventory, HOST_VM_FOLDER_ID);
    const struct Folder *vms = folder->properties;
    for (uint32_t i = 0; fault == NULL && i < vms->childEntity.n; i++) {
        struct vim_object *object = vim_inventory_find(inventory, vms->childEntity.items[i].id);
        if (object->code != except && g_str_equal(((struct ManagedEntity *)object->properties)->name, name)) {
            fault = fault_duplicate_name(name, object->ref, "the name \"%s\" is taken", name);
        }
    }
    vim_read_unlock(inventory);
    return fault;
}

static void release_name(struct host *host, const char *name)
{
    g_mutex_lock(&host->lock);
    if (name != NULL) {
        g_hash_table_remove(host->reserved_names, name);
    }
    g_mutex_unlock(&host->lock);
}

/* Keeps a name from being taken by two machines that are made at the same time. */
static struct vim_fault *reserve_name(struct host *host, const char *name)
{
    struct vim_fault *fault = NULL;
    g_mutex_lock(&host->lock);
    bool first = name == NULL || g_hash_table_add(host->reserved_names, g_strdup(name));
    g_mutex_unlock(&host->lock);
    if (!first) {
        return fault_duplicate_name(name, (struct vim_ref){0}, "a machine named \"%s\" is being made", name);
    }
    fault = vm_check_name(host, name, NULL);
    if (fault != NULL) {
        release_name(host, name);
    }
    return fault;
}

/* A name as a folder's and files' name: what datastore paths do not allow becomes '_'. */
static char *file_name(const char *name)
{
    char *safe = g_strdup(name);
    for (char *at = safe; *at != '\0'; at++) {
        if (*at == '/' || *at == '\\' || *at == '%' || *at == '"' || (unsigned char)*at < 0x20) {
            *at = '_';
        }
    }
    if (safe[0] == '.') {
        safe[0] = '_';
    }
    return safe;
}

/* Where a new machine's .vmx goes. */
struct place {
    struct datastore *datastore; /* borrowed */
    char *folder;                /* owned */
    char *vmx;                   /* owned; within the datastore */
    bool new_folder;             /* ours to make */
};

static void place_clear(struct place *place)
{
    g_free(place->folder);
    g_free(place->vmx);
}

static bool exists(int dir_fd, const char *path)
{
    struct stat st;
    return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* "[ds]": a folder named like the machine, with a number when there is one already; "[ds] a/b.vmx": there. */
static struct vim_fault *find_place(struct host *host, const struct VirtualMachineConfigSpec *spec,
                                    struct place *ret)
{
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    const char *text = spec->files != NULL ? spec->files->vmPathName : NULL;
    if (text == NULL) {
        return fault_invalid_argument("config.files.vmPathName",
                                      "config.files.vmPathName names the datastore: \"[datastore1]\"");
    }
    struct vim_fault *fault = host_resolve(host, text, "config.files.vmPathName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *name = file_name(spec->name);
    ret->datastore = datastore;
    if (g_str_has_suffix(path, ".vmx")) {
        ret->vmx = g_steal_pointer(&path);
        ret->folder = datastore_path_dirname(ret->vmx);
        ret->new_folder = ret->folder[0] != '\0' && !exists(datastore->fd, ret->folder);
        if (exists(datastore->fd, ret->vmx)) {
            return fault_file_already_exists(text, "%s exists already", text);
        }
        return NULL;
    }
    ret->folder = datastore_path_join(path, name);
    for (int n = 1; exists(datastore->fd, ret->folder); n++) {
        g_free(ret->folder);
        g_autofree char *numbered = g_strdup_printf("%s_%d", name, n);
        ret->folder = datastore_path_join(path, numbered);
    }
    g_autofree char *file = g_strconcat(name, ".vmx", NULL);
    ret->vmx = datastore_path_join(ret->folder, file);
    ret->new_folder = true;
    return NULL;
}

/* ---- create ----------------------------------------------------------------------------------------- */

struct create {
    struct host *host;
    struct VirtualMachineConfigSpec *spec;
};

static void create_free(void *data)
{
    struct create *create = data;
    vim_free(create->spec);
    g_free(create);
}

static struct vim_fault *make_files(struct host *host, const struct place *place, struct vm_change *change,
                                    const char *vmx_path)
{
    if (place->new_folder) {
        int error = file_mkdir(place->datastore->fd, place->folder, 0755);
        if (error != 0) {
            return host_file_fault(vmx_path, error, "its folder cannot be made");
        }
    }
    struct vim_fault *fault = vm_change_make_disks(host, change);
    return fault != NULL ? fault : vm_save(host, vmx_path, change->config);
}

/* Everything from the journal to the registration. */
static struct vim_fault *make(struct host *host, const struct place *place, struct vm_change *change,
                              const char *id, const char *vmx_path)
{
    g_autoptr(GPtrArray) paths = vm_change_paths(change);
    g_ptr_array_add(paths, g_strdup(vmx_path));
    if (place->new_folder) {
        g_autofree char *folder = datastore_path_format(place->datastore->name, place->folder);
        g_ptr_array_add(paths, g_strconcat(folder, "/", NULL));
    }
    int error = journal_begin(host, id, JOURNAL_CREATE, vmx_path, paths);
    if (error != 0) {
        return host_state_fault(error, "the journal");
    }
    struct vim_fault *fault = make_files(host, place, change, vmx_path);
    if (fault == NULL) {
        fault = registry_add(host, id, vmx_path);
    }
    if (fault != NULL) {
        journal_remove_files(host, paths);
    }
    (void)journal_end(host, id);
    return fault;
}

static struct vim_fault *create_run(struct vim_task *task, void *data)
{
    struct create *create = data;
    struct host *host = create->host;
    struct place place = {0};
    struct vm_change *change = NULL;
    struct vim_fault *fault = reserve_name(host, create->spec->name);
    if (fault != NULL) {
        return fault;
    }
    fault = find_place(host, create->spec, &place);
    g_autofree char *folder = NULL;
    g_autofree char *vmx_path = NULL;
    if (fault == NULL) {
        struct VirtualMachineConfigInfo *empty = vm_spec_new_config();
        folder = datastore_path_format(place.datastore->name, place.folder);
        vmx_path = datastore_path_format(place.datastore->name, place.vmx);
        vim_set_string(&empty->files->vmPathName, vmx_path);
        fault = vm_spec_apply(host, empty, folder, create->spec, false, &change);
        vim_free(empty);
    }
    if (fault == NULL) {
        g_autofree char *id = registry_new_id(host);
        fault = make(host, &place, change, id, vmx_path);
        if (fault == NULL) {
            VM_AUTO vm = vm_show(host, id, vmx_path, g_steal_pointer(&change->config));
            struct vim_ref ref = vm_reference(vm);
            vim_task_set_result(task, vim_any_ref(&ref));
            vm_event(vm, task, VmCreatedEvent, "%s was created", create->spec->name);
        }
    }
    release_name(host, create->spec->name);
    vm_change_free(change);
    place_clear(&place);
    return fault;
}

static struct vim_fault *create_start(struct vim_call *call, const struct VirtualMachineConfigSpec *spec,
                                      const struct vim_ref *pool, struct vim_ref *ret)
{
    struct host *host = call->server->hooks_data;
    if (pool->id != NULL) {
        struct vim_fault *fault = vim_call_require(call, pool, VIM_PRIVILEGE_RESOURCE_ASSIGN_VM_TO_POOL);
        if (fault != NULL) {
            return fault;
        }
    }
    struct vim_fault *fault = vm_check_access(call, spec);
    if (fault != NULL) {
        return fault;
    }
    struct create *create = g_new0(struct create, 1);
    create->host = host;
    create->spec = vim_copy(spec);
    struct vim_task_spec task = {
        .description_id = "Folder.createVm",
        .entity = call->request.target,
        .run = create_run,
        .data = create,
        .data_free = create_free,
    };
    return vim_task_start(call->server, call, &task, ret);
}

static struct vim_fault *create_vm(struct vim_call *call, const struct CreateVM_Task_args *args,
                                   struct CreateVM_Task_result *ret)
{
    if (!g_str_equal(call->request.target.id, HOST_VM_FOLDER_ID)) {
        return fault_not_supported("virtual machines are made in the folder \"%s\"", HOST_VM_FOLDER_ID);
    }
    return create_start(call, args->config, &args->pool, &ret->returnval);
}

static struct vim_fault *create_child_vm(struct vim_call *call, const struct CreateChildVM_Task_args *args,
                                         struct CreateChildVM_Task_result *ret)
{
    return create_start(call, args->config, &call->request.target, &ret->returnval);
}

/* ---- register --------------------------------------------------------------------------------------- */

struct registration {
    struct host *host;
    char *path;
    char *name; /* or NULL */
};

static void registration_free(void *data)
{
    struct registration *registration = data;
    g_free(registration->path);
    g_free(registration->name);
    g_free(registration);
}

static struct vim_fault *register_run(struct vim_task *task, void *data)
{
    const struct registration *r = data;
    struct host *host = r->host;
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    struct VirtualMachineConfigInfo *config = NULL;
    struct vim_fault *fault = host_resolve(host, r->path, "path", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *vmx_path = datastore_path_format(datastore->name, path);
    VM_AUTO known = registry_find_path(host, vmx_path);
    if (known != NULL) {
        return fault_already_exists(known->id, "%s is registered as %s", vmx_path, known->id);
    }
    fault = vm_load(host, vmx_path, &config);
    if (fault == NULL && r->name != NULL) {
        vim_set_string(&config->name, r->name);
    }
    if (fault == NULL) {
        fault = vm_check_name(host, config->name, NULL);
    }
    if (fault == NULL && r->name != NULL) {
        fault = vm_save(host, vmx_path, config);
    }
    g_autofree char *id = fault == NULL ? registry_new_id(host) : NULL;
    if (fault == NULL) {
        fault = registry_add(host, id, vmx_path);
    }
    if (fault != NULL) {
        vim_free(config);
        return fault;
    }
    VM_AUTO vm = vm_show(host, id, vmx_path, config);
    snapshot_show(vm);
    g_autofree char *state = vm_load_key(host, vmx_path, "checkpoint.vmState");
    if (state != NULL && state[0] != '\0') {
        vm_set_power_state(vm, VirtualMachinePowerState_suspended);
    }
    struct vim_ref ref = vm_reference(vm);
    vim_task_set_result(task, vim_any_ref(&ref));
    vm_event(vm, task, VmRegisteredEvent, "%s was registered", vmx_path);
    return NULL;
}

static struct vim_fault *register_vm(struct vim_call *call, const struct RegisterVM_Task_args *args,
                                     struct RegisterVM_Task_result *ret)
{
    if (args->asTemplate) {
        return fault_invalid_argument("asTemplate", "a standalone host has no templates");
    }
    struct vim_fault *fault = vm_check_file_access(call, args->path);
    if (fault != NULL) {
        return fault;
    }
    struct registration *registration = g_new0(struct registration, 1);
    registration->host = call->server->hooks_data;
    registration->path = g_strdup(args->path);
    registration->name = g_strdup(args->name);
    struct vim_task_spec task = {
        .description_id = "Folder.registerVm",
        .entity = call->request.target,
        .run = register_run,
        .data = registration,
        .data_free = registration_free,
    };
    return vim_task_start(call->server, call, &task, &ret->returnval);
}

/* ---- unregister, destroy ---------------------------------------------------------------------------- */

struct vim_fault *vm_unregister_call(struct vim_call *call, const struct UnregisterVM_args *args)
{
    (void)args;
    struct vm *vm = NULL;
    struct vim_fault *fault = vm_of_call(call, &vm);
    if (fault != NULL) {
        return fault;
    }
    if (!g_mutex_trylock(&vm->job)) {
        vm_unref(vm);
        return fault_task_in_progress((struct vim_ref){0},
                                      "an operation on the virtual machine is under way");
    }
    if (vm_power_state(vm) == VirtualMachinePowerState_poweredOn) {
        fault = vm_require_power(vm, VirtualMachinePowerState_poweredOff);
    }
    /* A journal that was left over would take the files with the machine at the next start. */
    if (fault == NULL && journal_end(vm->host, vm->id) != 0) {
        fault = fault_system_error("journal", "the journal of %s cannot be removed", vm->id);
    }
    if (fault == NULL) {
        fault = registry_remove(vm->host, vm->id);
    }
    if (fault == NULL) {
        vm_event(vm, (struct vim_task *)NULL, VmRemovedEvent, "%s was unregistered", vm->vmx_path);
        vm_hide(vm);
    }
    vm_end(vm);
    vm_unref(vm);
    return fault;
}

static char *folder_of(const char *text)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    if (datastore_path_parse(text, -1, &path, &rule) != 0) {
        return NULL;
    }
    g_autofree char *folder = datastore_path_dirname(path.path);
    return datastore_path_format(path.datastore, folder);
}

/* What the host has written for the machine into its folder: words of ports, pictures of the screen. */
static void add_written_files(struct vm *vm, const struct VirtualMachineConfigInfo *config, GPtrArray *paths)
{
    g_autofree char *folder = folder_of(vm->vmx_path);
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        const struct VirtualDeviceFileBackingInfo *file = (const void *)device->backing;
        bool port = vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualParallelPort_type);
        if (port && vim_is_a(file, &VirtualDeviceFileBackingInfo_type)) {
            g_autofree char *place = folder_of(file->fileName);
            if (g_strcmp0(place, folder) == 0) {
                g_ptr_array_add(paths, g_strdup(file->fileName));
            }
        }
    }
    for (int n = 0;; n++) {
        g_autofree char *suffix = g_strdup_printf("-%d.png", n);
        g_autofree char *picture = datastore_path_with_suffix(vm->vmx_path, suffix);
        g_autofree char *path = NULL;
        struct datastore *datastore = NULL;
        VIM_FAULT_AUTO fault = host_resolve(vm->host, picture, "", &datastore, &path);
        if (fault != NULL || !exists(datastore->fd, path)) {
            break;
        }
        g_ptr_array_add(paths, g_steal_pointer(&picture));
    }
}

/* All files that are the machine's own: its disks, .vmx and what stands beside it under its name. */
static GPtrArray *owned_files(struct vm *vm, const struct VirtualMachineConfigInfo *config)
{
    static const char *const suffixes[] = {".vmx", ".vmsd", VM_MEMORY_SUFFIX, ".vmxf", VM_LOCK_SUFFIX, NULL};
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device, &VirtualDisk_type) &&
            vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
            vm_disk_paths(((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName, paths);
            vm_disk_own_flat_path(
                vm->host, ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName, paths);
        }
    }
    for (const char *const *suffix = suffixes; *suffix != NULL; suffix++) {
        g_ptr_array_add(paths, datastore_path_with_suffix(vm->vmx_path, *suffix));
    }
    vm_board_files_list(vm->host, vm->vmx_path, paths);
    snapshot_add_files(vm, paths);
    add_written_files(vm, config, paths);
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    if (datastore_path_parse(vm->vmx_path, -1, &path, &rule) == 0) {
        g_autofree char *folder = datastore_path_dirname(path.path);
        g_autofree char *log = datastore_path_join(folder, "tenkyu.log");
        g_ptr_array_add(paths, datastore_path_format(path.datastore, log));
        if (folder[0] != '\0') {
            g_autofree char *text = datastore_path_format(path.datastore, folder);
            g_ptr_array_add(paths, g_strconcat(text, "/", NULL));
        }
    }
    return paths;
}

static struct vim_fault *destroy_run(struct vim_task *task, struct vm *vm, void *data)
{
    (void)data;
    struct host *host = vm->host;
    if (vm_power_state(vm) == VirtualMachinePowerState_poweredOn) {
        return vm_require_power(vm, VirtualMachinePowerState_poweredOff);
    }
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    g_autoptr(GPtrArray) paths = owned_files(vm, config);
    vim_free(config);
    int error = journal_begin(host, vm->id, JOURNAL_DESTROY, vm->vmx_path, paths);
    if (error != 0) {
        return host_state_fault(error, "the journal");
    }
    struct vim_fault *fault = registry_remove(host, vm->id);
    if (fault == NULL) {
        vm_event(vm, task, VmRemovedEvent, "%s was destroyed", vm->vmx_path);
        vm_hide(vm);
        journal_remove_files(host, paths);
    }
    (void)journal_end(host, vm->id);
    return fault;
}

struct vim_fault *vm_destroy_call(struct vim_call *call, const struct Destroy_Task_args *args,
                                  struct Destroy_Task_result *ret)
{
    (void)args;
    struct vim_fault *fault =
        vim_call_require(call, &call->request.target, VIM_PRIVILEGE_VIRTUAL_MACHINE_INVENTORY_DELETE);
    return fault != NULL ? fault
                         : vm_task_start(call, "VirtualMachine.destroy", destroy_run, NULL, NULL, false,
                                         &ret->returnval);
}

/* ---- rename ----------------------------------------------------------------------------------------- */

static struct vim_fault *rename_run(struct vim_task *task, struct vm *vm, void *data)
{
    const char *name = data;
    struct vim_fault *fault = vm_require_accessible(vm);
    if (fault == NULL) {
        fault = vm_check_name(vm->host, name, vm);
    }
    if (fault == NULL && vm_power_state(vm) != VirtualMachinePowerState_poweredOn) {
        fault = vm_lock_take(vm); /* it is ours, unless it could not be made */
    }
    if (fault != NULL) {
        return fault;
    }
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    g_autofree char *old = g_strdup(config->name);
    vim_set_string(&config->name, name);
    fault = vm_save(vm->host, vm->vmx_path, config);
    if (fault != NULL) {
        vim_free(config);
        return fault;
    }
    vm_set_config(vm, config);
    vm_event(vm, task, VmRenamedEvent, "%s was renamed to %s", old, name);
    return NULL;
}

struct vim_fault *vm_rename_call(struct vim_call *call, const struct Rename_Task_args *args,
                                 struct Rename_Task_result *ret)
{
    struct vim_fault *fault =
        vim_call_require(call, &call->request.target, VIM_PRIVILEGE_VIRTUAL_MACHINE_CONFIG_RENAME);
    return fault != NULL ? fault
                         : vm_task_start(call, "VirtualMachine.rename", rename_run, g_strdup(args->newName),
                                         g_free, false, &ret->returnval);
}

const struct Folder_methods host_folder_methods = {
    .CreateVM_Task = create_vm,
    .RegisterVM_Task = register_vm,
};

const struct ResourcePool_methods host_resource_pool_methods = {
    .CreateChildVM_Task = create_child_vm,
};
