// SPDX-License-Identifier: Apache-2.0
/*
 * The files of a virtual machine and the space that they take: layoutEx, storage and summary.storage.
 *
 * Sizes are what files take on the datastore, not how long they are. Committed is what all files take now;
 * uncommitted is what thin disks could still grow by, which is how over-commitment shows: a datastore whose
 * uncommitted is more than its free space cannot hold what it has promised.
 *
 * Read when a machine's configuration or power state changes, on request, and every 20 seconds of one that
 * runs (statistics.c); clients are told only when a figure differs. Blocks on storage; no lock held.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/disk_image.h"
#include "host/snapshot/snapshot.h"
#include "vim/value.h"

struct vm_storage {
    struct VirtualMachineFileLayoutEx *layout;
    struct VirtualMachineStorageInfo *info;
    struct VirtualMachineStorageSummary *summary;
};

/* Files that stand in a machine's folder under its name. */
static const struct {
    const char *suffix;
    const char *type;
} roles[] = {
    {".nvram", "nvram"},       {".vmsd", "snapshotList"},   {".vmss", "suspend"},
    {".vmsn", "snapshotData"}, {".vmem", "snapshotMemory"}, {".vmxf", "extendedConfig"},
    {".png", "screenshot"},
};

/* ---- figures ----------------------------------------------------------------------------------------- */

static struct VirtualMachineUsageOnDatastore *usage_on(struct vm_storage *storage,
                                                       const struct datastore *datastore)
{
    for (uint32_t i = 0; i < storage->info->perDatastoreUsage.n; i++) {
        if (vim_ref_equal(&storage->info->perDatastoreUsage.items[i]->datastore, &datastore->ref)) {
            return storage->info->perDatastoreUsage.items[i];
        }
    }
    struct VirtualMachineUsageOnDatastore *usage = VirtualMachineUsageOnDatastore_new();
    usage->datastore = vim_ref_copy(&datastore->ref);
    vim_array_add_object(&storage->info->perDatastoreUsage, usage);
    return usage;
}

/* Notes a file once and returns its key. *ret_size is what it takes. */
static int32_t add_file(struct vm_storage *storage, const struct datastore *datastore, const char *path,
                        const char *type, int64_t *ret_size)
{
    g_autofree char *name = datastore_path_format(datastore->name, path);
    struct VirtualMachineFileLayoutEx *layout = storage->layout;
    struct stat st;
    int fd = -1;
    *ret_size = 0;
    for (uint32_t i = 0; i < layout->file.n; i++) {
        if (g_str_equal(layout->file.items[i]->name, name)) {
            *ret_size = layout->file.items[i]->size;
            return layout->file.items[i]->key;
        }
    }
    bool there = file_open(datastore->fd, path, O_RDONLY, 0, &fd) == 0 && fstat(fd, &st) == 0;
    if (fd >= 0) {
        close(fd);
    }
    struct VirtualMachineFileLayoutExFileInfo *file = VirtualMachineFileLayoutExFileInfo_new();
    file->key = (int32_t)layout->file.n;
    file->name = g_steal_pointer(&name);
    file->type = g_strdup(type);
    file->size = there ? (int64_t)st.st_blocks * 512 : 0; /* its unit, whatever the file system's block is */
    vim_set_optional(&file->uniqueSize, file->size);
    vim_set_optional(&file->accessible, there);
    vim_array_add_object(&layout->file, file);
    struct VirtualMachineUsageOnDatastore *usage = usage_on(storage, datastore);
    usage->committed += file->size;
    usage->unshared += file->size;
    *ret_size = file->size;
    return file->key;
}

/* ---- disks ------------------------------------------------------------------------------------------- */

/* One link of a disk's chain: its descriptor and data. `grows` is set for the one that is written to. */
static void add_link(struct host *host, struct vm_storage *storage, const char *name,
                     struct VirtualMachineFileLayoutExDiskUnit *unit, bool grows)
{
    struct datastore *datastore = NULL;
    struct disk_image_info info;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    int64_t descriptor_size = 0;
    int64_t data_size = 0;
    VIM_FAULT_AUTO fault = host_resolve(host, name, "fileName", &datastore, &path);
    if (fault != NULL) {
        return;
    }
    int32_t key = add_file(storage, datastore, path, "diskDescriptor", &descriptor_size);
    vim_array_add(&unit->fileKey, &vim_type_int, &key);
    if (disk_image_get_info(datastore->fd, path, &info, &message) != 0) {
        return;
    }
    key = add_file(storage, datastore, info.data_path, "diskExtent", &data_size);
    vim_array_add(&unit->fileKey, &vim_type_int, &key);
    if (grows && info.provisioning == DISK_IMAGE_THIN && info.capacity_bytes > data_size) {
        usage_on(storage, datastore)->uncommitted += info.capacity_bytes - data_size;
    }
    disk_image_info_clear(&info);
}

static const struct VirtualDeviceBackingInfo *parent_of(const struct VirtualDeviceBackingInfo *backing)
{
    return vim_is_a(backing, &VirtualDiskFlatVer2BackingInfo_type)
               ? (const void *)((const struct VirtualDiskFlatVer2BackingInfo *)backing)->parent
               : NULL;
}

/* The API lists a chain from its base on. */
static void add_chain(struct host *host, struct vm_storage *storage,
                      struct VirtualMachineFileLayoutExDiskLayout *disk,
                      const struct VirtualDeviceBackingInfo *top, bool grows)
{
    g_autoptr(GPtrArray) links = g_ptr_array_new();
    for (const struct VirtualDeviceBackingInfo *at = top;
         at != NULL && vim_is_a(at, &VirtualDeviceFileBackingInfo_type); at = parent_of(at)) {
        g_ptr_array_insert(links, 0, (gpointer)at);
    }
    for (guint i = 0; i < links->len; i++) {
        const struct VirtualDeviceFileBackingInfo *backing = g_ptr_array_index(links, i);
        struct VirtualMachineFileLayoutExDiskUnit *unit = VirtualMachineFileLayoutExDiskUnit_new();
        add_link(host, storage, backing->fileName, unit, grows && i + 1 == links->len);
        vim_array_add_object(&disk->chain, unit);
    }
}

/* Adds the disks of a configuration to `list`, an array of VirtualMachineFileLayoutExDiskLayout. */
static void add_disks(struct host *host, struct vm_storage *storage,
                      const struct VirtualMachineConfigInfo *config, void *list)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device, &VirtualDisk_type)) {
            struct VirtualMachineFileLayoutExDiskLayout *disk = VirtualMachineFileLayoutExDiskLayout_new();
            disk->key = device->key;
            add_chain(host, storage, disk, device->backing, list == (void *)&storage->layout->disk);
            vim_array_add_object(list, disk);
        }
    }
}

static int32_t add_snapshot_file(struct vm *vm, struct vm_storage *storage, const char *name,
                                 const char *type)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    int64_t size = 0;
    VIM_FAULT_AUTO fault = host_resolve(vm->host, name, "fileName", &datastore, &path);
    return fault == NULL ? add_file(storage, datastore, path, type, &size) : -1;
}

/* Nothing is written into the disks of snapshots any more, so they do not grow. */
static void add_snapshots(struct vm *vm, struct vm_storage *storage)
{
    g_autoptr(GPtrArray) shown = snapshot_shown(vm);
    for (guint i = 0; i < shown->len; i++) {
        const struct snapshot_shown *snapshot = g_ptr_array_index(shown, i);
        struct VirtualMachineFileLayoutExSnapshotLayout *layout =
            VirtualMachineFileLayoutExSnapshotLayout_new();
        layout->key = snapshot_reference(vm, snapshot->uid);
        layout->dataKey = add_snapshot_file(vm, storage, snapshot->data, "snapshotData");
        layout->memoryKey = snapshot->memory != NULL
                                ? add_snapshot_file(vm, storage, snapshot->memory, "snapshotMemory")
                                : -1;
        add_disks(vm->host, storage, snapshot->config, &layout->disk);
        vim_array_add_object(&storage->layout->snapshot, layout);
    }
}

/* ---- the rest of the folder -------------------------------------------------------------------------- */

static const char *role_of(const char *name, const char *stem)
{
    if (g_str_equal(name, "tenkyu.log")) {
        return "log";
    }
    for (size_t i = 0; g_str_has_prefix(name, stem) && i < G_N_ELEMENTS(roles); i++) {
        if (g_str_has_suffix(name, roles[i].suffix)) {
            return roles[i].type;
        }
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_folder(struct vm_storage *storage, const struct datastore *datastore, const char *vmx)
{
    g_autofree char *folder = datastore_path_dirname(vmx);
    g_autofree char *stem = g_strdup(datastore_path_basename(vmx));
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const struct dirent *at = NULL;
    int64_t size = 0;
    int fd = -1;
    stem[strlen(stem) - strlen(g_str_has_suffix(stem, ".vmx") ? ".vmx" : "")] = '\0';
    if (file_open(datastore->fd, folder[0] != '\0' ? folder : ".", O_RDONLY | O_DIRECTORY, 0, &fd) != 0) {
        return;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return;
    }
    while ((at = readdir(dir)) != NULL) {
        if (role_of(at->d_name, stem) != NULL) {
            g_ptr_array_add(names, g_strdup(at->d_name));
        }
    }
    closedir(dir);
    g_ptr_array_sort(names, by_name); /* the folder's own order would change the keys for no reason */
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = datastore_path_join(folder, name);
        (void)add_file(storage, datastore, path, role_of(name, stem), &size);
    }
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static void read_storage(struct vm *vm, const struct VirtualMachineConfigInfo *config, struct vm_storage *ret)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    int64_t size = 0;
    int64_t now_us = vim_now_us(vm->host->server);
    ret->layout = VirtualMachineFileLayoutEx_new();
    ret->info = VirtualMachineStorageInfo_new();
    ret->summary = VirtualMachineStorageSummary_new();
    ret->layout->timestamp = ret->info->timestamp = ret->summary->timestamp = now_us;
    VIM_FAULT_AUTO fault = host_resolve(vm->host, vm->vmx_path, "vmPathName", &datastore, &path);
    if (fault == NULL) {
        (void)add_file(ret, datastore, path, "config", &size);
        add_disks(vm->host, ret, config, &ret->layout->disk);
        add_snapshots(vm, ret);
        add_folder(ret, datastore, path);
    }
    for (uint32_t i = 0; i < ret->info->perDatastoreUsage.n; i++) {
        const struct VirtualMachineUsageOnDatastore *usage = ret->info->perDatastoreUsage.items[i];
        ret->summary->committed += usage->committed;
        ret->summary->uncommitted += usage->uncommitted;
        ret->summary->unshared += usage->unshared;
    }
}

/* Whether clients know it already: when it was read is no news. */
static bool is_known(const struct VirtualMachine *machine, struct vm_storage *storage)
{
    if (machine->layoutEx == NULL || machine->storage == NULL) {
        return false;
    }
    int64_t now_us = storage->layout->timestamp;
    storage->layout->timestamp = machine->layoutEx->timestamp;
    storage->info->timestamp = machine->storage->timestamp;
    bool same = vim_equal(storage->layout, machine->layoutEx) && vim_equal(storage->info, machine->storage);
    storage->layout->timestamp = storage->info->timestamp = now_us;
    return same;
}

static void show_storage(struct vm *vm, struct vm_storage *storage)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find(inventory, vm->id);
    if (object != NULL && !is_known(object->properties, storage)) {
        vim_set_data(object, "layoutEx", g_steal_pointer(&storage->layout));
        vim_set_data(object, "storage", g_steal_pointer(&storage->info));
        vim_set_data(object, "summary.storage", g_steal_pointer(&storage->summary));
    }
    vim_write_unlock(inventory);
}

void vm_storage_refresh(struct vm *vm)
{
    struct vm_storage storage = {0};
    g_mutex_lock(&vm->storage); /* so that what was read first is not shown last */
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    if (config != NULL) {
        g_atomic_int_set(&vm->storage_moves, vm_power_state(vm) == VirtualMachinePowerState_poweredOn);
        read_storage(vm, config, &storage);
        show_storage(vm, &storage);
    }
    g_mutex_unlock(&vm->storage);
    vim_free(config);
    vim_free(storage.layout);
    vim_free(storage.info);
    vim_free(storage.summary);
}

void vm_storage_round(struct host *host)
{
    g_autoptr(GPtrArray) machines = g_ptr_array_new();
    vim_read_lock(host->server->inventory);
    GPtrArray *objects = vim_inventory_objects(host->server->inventory);
    for (guint i = 0; i < objects->len; i++) {
        const struct vim_object *object = g_ptr_array_index(objects, i);
        struct vm *vm = object->ref.type == &VirtualMachine_type ? object->code : NULL;
        if (vm != NULL && !vm->invented && g_atomic_int_get(&vm->storage_moves)) {
            g_ptr_array_add(machines, vm_ref(vm));
        }
    }
    vim_read_unlock(host->server->inventory);
    for (guint i = 0; i < machines->len; i++) {
        vm_storage_refresh(g_ptr_array_index(machines, i));
        vm_unref(g_ptr_array_index(machines, i));
    }
    host_datastores_refresh(host);
}

struct vim_fault *vm_refresh_storage_call(struct vim_call *call, const struct RefreshStorageInfo_args *args)
{
    (void)args;
    VM_AUTO vm = NULL;
    struct vim_fault *fault = vm_of_call(call, &vm);
    if (fault == NULL) {
        vm_storage_refresh(vm);
        host_datastores_refresh(vm->host);
    }
    return fault;
}
