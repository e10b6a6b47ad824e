// SPDX-License-Identifier: Apache-2.0
/*
 * What a cut-off operation on snapshots leaves, and how it is tidied up. See snapshot.h.
 *
 * Two files decide what there is: the .vmx, which names the disks that the machine goes on in, and the .vmsd,
 * which names the snapshots. The journal lists every overlay, .vmsn and .vmem that an operation may make or
 * leave over. Tidying up has always the same four steps, none of which depends on how far it had come:
 *
 *   1. a machine that runs: the .vmx is made to name the disks that it really writes into
 *   2. a revert whose .vmx is in place: the .vmsd is made to say so
 *   3. listed files that neither the .vmx nor the .vmsd names, directly or as a parent: removed
 *   4. overlays over a state that no snapshot names: merged, by a task in the background
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/snapshot/snapshot.h"
#include "vim/value.h"

#define STATE_KEY "checkpoint.vmState"

GPtrArray *snapshot_doubtful_files(struct vm *vm, const struct snapshot_list *list,
                                   const struct disk_forest *forest)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < forest->nodes->len; i++) {
        const struct disk_node *node = g_ptr_array_index(forest->nodes, i);
        if (node->parent != NULL &&
            node->own) { /* a base disk was not made by a snapshot, and does not go with one */
            vm_disk_paths(node->path, paths);
        }
    }
    for (guint i = 0; i < list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        g_autofree char *memory = snapshot_memory_name(snapshot);
        g_ptr_array_add(paths, snapshot_file_path(vm, snapshot->file));
        if (snapshot->memory) {
            g_ptr_array_add(paths, snapshot_file_path(vm, memory));
        }
    }
    for (guint i = 0; i < list->destroyed->len; i++) {
        vm_disk_own_flat_path(vm->host, g_ptr_array_index(list->destroyed, i), paths);
        vm_disk_paths(g_ptr_array_index(list->destroyed, i), paths);
    }
    g_autofree char *state = vm_load_key(vm->host, vm->vmx_path, STATE_KEY);
    if (state != NULL && state[0] != '\0') {
        g_ptr_array_add(paths, snapshot_file_path(vm, state));
    }
    return paths;
}

void snapshot_add_files(struct vm *vm, GPtrArray *paths)
{
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    g_autoptr(snapshot_list) list = NULL;
    g_autoptr(disk_forest) forest = NULL;
    VIM_FAULT_AUTO fault = snapshot_load_list(vm, &list);
    if (fault == NULL) {
        fault = disk_forest_load(vm->host, config, list, &forest);
    }
    vim_free(config);
    if (fault != NULL) { /* then only what the .vmx says goes */
        return;
    }
    g_autoptr(GPtrArray) doubtful = snapshot_doubtful_files(vm, list, forest);
    for (guint i = 0; i < doubtful->len; i++) {
        g_ptr_array_add(paths, g_strdup(g_ptr_array_index(doubtful, i)));
    }
    for (guint i = 0; i < forest->nodes->len; i++) {
        const struct disk_node *node = g_ptr_array_index(forest->nodes, i);
        if (node->parent == NULL && node->own) {
            vm_disk_own_flat_path(vm->host, node->path, paths);
            vm_disk_paths(node->path, paths);
        }
    }
}

/* Everything that the .vmx and the .vmsd name: a set of "[ds] path". */
static struct vim_fault *named_files(struct vm *vm, GHashTable **ret)
{
    struct VirtualMachineConfigInfo *config = NULL;
    g_autoptr(snapshot_list) list = NULL;
    g_autoptr(disk_forest) forest = NULL;
    struct vim_fault *fault = vm_load(vm->host, vm->vmx_path, &config);
    if (fault == NULL) {
        fault = snapshot_load_list(vm, &list);
    }
    if (fault == NULL) {
        fault = disk_forest_load(vm->host, config, list, &forest);
    }
    vim_free(config);
    if (fault != NULL) {
        return fault;
    }
    snapshot_forget_destroyed(list, forest, false);
    g_autoptr(GPtrArray) paths = snapshot_doubtful_files(vm, list, forest);
    GHashTable *named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < paths->len; i++) {
        g_hash_table_add(named, g_strdup(g_ptr_array_index(paths, i)));
    }
    for (guint i = 0; i < forest->nodes->len; i++) {
        const struct disk_node *node = g_ptr_array_index(forest->nodes, i);
        g_hash_table_add(named, g_strdup(node->path));
        g_hash_table_add(named, datastore_path_with_suffix(node->path, ".qcow2"));
    }
    *ret = named;
    return NULL;
}

struct vim_fault *snapshot_remove_unnamed(struct vm *vm, const GPtrArray *paths)
{
    g_autoptr(GHashTable) named = NULL;
    g_autoptr(GPtrArray) unnamed = g_ptr_array_new();
    struct vim_fault *fault = named_files(vm, &named);
    for (guint i = 0; fault == NULL && i < paths->len; i++) {
        char *path = g_ptr_array_index(paths, i);
        if (!g_hash_table_contains(named, path)) {
            g_ptr_array_add(unnamed, path);
        }
    }
    if (fault == NULL) {
        journal_remove_files(vm->host, unnamed);
    }
    return fault;
}

void snapshot_note_destroyed(struct vm *vm, const struct VirtualDevice *disk)
{
    const struct VirtualDiskFlatVer2BackingInfo *base = (const void *)disk->backing;
    g_autoptr(snapshot_list) list = NULL;
    if (!vim_is_a(base, &VirtualDiskFlatVer2BackingInfo_type) || base->parent == NULL) {
        return;
    }
    while (base->parent != NULL) {
        base = base->parent;
    }
    struct vim_fault *fault = snapshot_load_list(vm, &list);
    if (fault == NULL && list->snapshots->len > 0) {
        g_ptr_array_add(list->destroyed, g_strdup(base->fileName));
        fault = snapshot_save_list(vm, list);
    }
    if (fault != NULL) {
        g_warning("%s: %s will remain when no snapshot needs it: %s", vm->id, base->fileName, fault->message);
        vim_fault_free(fault);
    }
}

void snapshot_forget_destroyed(struct snapshot_list *list, const struct disk_forest *forest, bool in_forest)
{
    for (guint i = list->destroyed->len; i-- > 0;) {
        if ((disk_forest_find(forest, g_ptr_array_index(list->destroyed, i)) != NULL) == in_forest) {
            g_ptr_array_remove_index(list->destroyed, i);
        }
    }
}

struct vim_fault *snapshot_journal_begin(struct vm *vm, const GPtrArray *paths, const struct snapshot *target,
                                         const char *marker)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
    if (target != NULL) {
        g_ptr_array_add(all, snapshot_file_path(vm, target->file));
        g_ptr_array_add(all, marker != NULL ? g_strdup(marker) : snapshot_file_path(vm, target->file));
    }
    for (guint i = 0; i < paths->len; i++) {
        g_ptr_array_add(all, g_strdup(g_ptr_array_index(paths, i)));
    }
    int error = journal_begin(vm->host, vm->id, target != NULL ? JOURNAL_REVERT : JOURNAL_SNAPSHOT,
                              vm->vmx_path, all);
    return error == 0 ? NULL : host_state_fault(error, "the journal");
}

/* ---- after a crash --------------------------------------------------------------------------------- */

static bool same_file(struct host *host, const char *path, const struct hypervisor_image *image)
{
    const char *format = NULL;
    int fd = -1;
    struct stat st;
    VIM_FAULT_AUTO fault = disk_open(host, path, true, &fd, &format);
    if (fault != NULL) {
        return false;
    }
    bool same = fstat(fd, &st) == 0 && st.st_dev == image->device && st.st_ino == image->inode;
    close(fd);
    return same;
}

/* The disk, of those that this one builds on, into which the machine really writes. */
static const char *written_disk(struct vm *vm, const struct VirtualDevice *device)
{
    g_autofree struct hypervisor_image *images = NULL;
    g_autofree char *message = NULL;
    size_t n = 0;
    int error = hypervisor_vm_get_images(vm->host->hypervisor, vm->id, device->key, &images, &n, &message);
    const struct VirtualDiskFlatVer2BackingInfo *backing = (const void *)device->backing;
    for (; error == 0 && n > 0 && backing != NULL; backing = backing->parent) {
        if (same_file(vm->host, backing->fileName, &images[0])) {
            return backing->fileName;
        }
    }
    g_warning("%s: it is not known what %s is written into: %s", vm->id, device->deviceInfo->label,
              message != NULL ? message : "none of its files");
    return NULL;
}

/* Step 1. */
static struct vim_fault *follow_process(struct vm *vm)
{
    struct VirtualMachineConfigInfo *config = NULL;
    bool changed = false;
    struct vim_fault *fault = vm_load(vm->host, vm->vmx_path, &config);
    for (uint32_t i = 0; fault == NULL && i < config->hardware->device.n; i++) {
        struct VirtualDevice *device = config->hardware->device.items[i];
        const char *written = disk_is_dependent(device) ? written_disk(vm, device) : NULL;
        if (written != NULL && !g_str_equal(written, disk_file_name(device))) {
            vim_set_string(&((struct VirtualDeviceFileBackingInfo *)device->backing)->fileName, written);
            changed = true;
        }
    }
    if (fault == NULL && changed) {
        fault = vm_save(vm->host, vm->vmx_path, config);
    }
    vim_free(config);
    if (fault == NULL) {
        g_autofree char *message = NULL;
        int error = hypervisor_vm_release(vm->host->hypervisor, vm->id, &message);
        fault = error == 0 ? NULL : snapshot_hypervisor_fault(error, message);
    }
    return fault;
}

/* Step 2. */
static struct vim_fault *follow_revert(struct vm *vm, const GPtrArray *paths)
{
    g_autoptr(GHashTable) named = NULL;
    g_autoptr(snapshot_list) list = NULL;
    struct vim_fault *fault = paths->len < 2 ? NULL : named_files(vm, &named);
    if (fault == NULL && named != NULL && g_hash_table_contains(named, g_ptr_array_index(paths, 1))) {
        fault = snapshot_load_list(vm, &list);
    }
    for (guint i = 0; list != NULL && i < list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        g_autofree char *path = snapshot_file_path(vm, snapshot->file);
        if (g_str_equal(path, g_ptr_array_index(paths, 0)) &&
            !g_str_equal(path, g_ptr_array_index(paths, 1)) && list->current != snapshot->uid) {
            list->current = snapshot->uid;
            return snapshot_save_list(vm, list);
        }
    }
    return fault;
}

static struct vim_fault *consolidate_run(struct vim_task *task, void *data)
{
    struct vm *vm = data;
    struct vim_fault *fault = vm_begin(vm, task);
    if (fault == NULL) {
        fault = snapshot_consolidate(vm, task, NULL);
        vm_end(vm);
    }
    return fault;
}

static void vm_free_reference(void *vm)
{
    vm_unref(vm);
}

/* Step 4. */
static struct vim_fault *consolidate_later(struct vm *vm)
{
    struct vim_ref ref = {0};
    struct vim_task_spec spec = {
        .description_id = "VirtualMachine.consolidateDisks",
        .entity = vm_reference(vm),
        .run = consolidate_run,
        .data = vm_ref(vm),
        .data_free = vm_free_reference,
        .cancelable = true,
    };
    struct vim_fault *fault = vim_task_start(vm->host->server, NULL, &spec, &ref);
    vim_ref_clear(&ref);
    return fault;
}

static void remove_new(struct vm *vm, const char *text)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    VIM_FAULT_AUTO fault = host_resolve(vm->host, text, "fileName", &datastore, &path);
    if (fault == NULL) {
        g_autofree char *unfinished = g_strconcat(path, FILE_NEW_SUFFIX, NULL);
        (void)file_remove(datastore->fd, unfinished);
    }
}

/* What was being written when the host died. */
static void remove_unfinished(struct vm *vm, const GPtrArray *paths)
{
    g_autofree char *vmsd = datastore_path_with_suffix(vm->vmx_path, SNAPSHOT_LIST_SUFFIX);
    remove_new(vm, vmsd);
    for (guint i = 0; i < paths->len; i++) {
        remove_new(vm, g_ptr_array_index(paths, i));
    }
}

void snapshot_recover(struct vm *vm)
{
    enum journal_kind kind;
    g_autoptr(GPtrArray) paths = NULL;
    if (journal_read(vm->host, vm->id, &kind, &paths) != 0 ||
        (kind != JOURNAL_SNAPSHOT && kind != JOURNAL_REVERT)) {
        return;
    }
    bool runs = vm_power_state(vm) == VirtualMachinePowerState_poweredOn;
    VIM_FAULT_AUTO fault = runs ? follow_process(vm) : vm_lock_take(vm);
    if (fault == NULL) {
        remove_unfinished(vm, paths);
    }
    if (fault == NULL && kind == JOURNAL_REVERT) {
        fault = follow_revert(vm, paths);
    }
    if (fault == NULL) {
        fault = snapshot_remove_unnamed(vm, paths);
    }
    vm_lock_release(vm, runs);
    if (fault == NULL) {
        snapshot_show_all(vm);
        if (snapshot_needs_consolidation(vm)) {
            fault = consolidate_later(vm); /* ends the journal */
        } else {
            (void)journal_end(vm->host, vm->id);
        }
    }
    if (fault != NULL) {
        g_warning("%s: an operation on snapshots that was cut off is not tidied up: %s", vm->id,
                  fault->message);
    }
}
