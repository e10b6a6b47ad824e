// SPDX-License-Identifier: Apache-2.0
/*
 * Consolidation: overlays over a state that no snapshot names are merged into it. See snapshot.h.
 *
 * Merging C into its parent X, of which nobody needs the state and on which nothing else builds:
 *
 *   1. C's data are written into X. C stays as it is and lies over X, so C's contents never change.
 *   2. Now X has the same contents, so whoever names C can be given X, one file after the other:
 *      the .vmx (if the machine goes on in C), the .vmsd, the descriptors that build on C.
 *   3. C's files go.
 *
 * A crash or a cancel at any point leaves a valid chain: a part of what named C names X. If the machine runs
 * in C it is held still from when the process goes over to X until the .vmx names X, so that both have the
 * same contents for as long as it is not certain which of them will be opened next.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "host/storage/disk_image.h"
#include "host/storage/qemu_img.h"
#include "host/snapshot/snapshot.h"
#include "vim/event.h"
#include "vim/value.h"

enum {
    SAVE_TRIES = 3,                  /* of the .vmx while the guest is held */
    COMMIT_BYTES_PER_MS = 10 * 1000, /* the slowest storage that is waited for */
    COMMIT_MS = 60 * 1000,
};

/* A consolidation under way. */
struct merge {
    struct vm *vm;
    struct vim_task *task; /* or NULL */
    struct VirtualMachineConfigInfo *config;
    struct snapshot_list *list;
    struct disk_forest *forest;
    unsigned done;
    unsigned total; /* merges that were to be done at the beginning */
    bool held;      /* the guest is held still, and the .vmx does not yet name what it writes into */
};

static void merge_clear(struct merge *merge)
{
    g_clear_pointer(&merge->config, vim_free);
    g_clear_pointer(&merge->list, snapshot_list_free);
    g_clear_pointer(&merge->forest, disk_forest_free);
}

static struct vim_fault *merge_load(struct merge *merge)
{
    struct vm *vm = merge->vm;
    merge_clear(merge);
    struct vim_fault *fault = vm_load(vm->host, vm->vmx_path, &merge->config);
    if (fault == NULL) {
        fault = snapshot_load_list(vm, &merge->list);
    }
    return fault != NULL ? fault : disk_forest_load(vm->host, merge->config, merge->list, &merge->forest);
}

static bool on_progress(void *data, int percent)
{
    const struct merge *merge = data;
    if (merge->task == NULL) {
        return true;
    }
    unsigned total = MAX(merge->total, merge->done + 1);
    vim_task_progress(merge->task, (int)((merge->done * 100 + (unsigned)CLAMP(percent, 0, 100)) / total));
    return !vim_task_is_cancelled(merge->task);
}

/* ---- the data -------------------------------------------------------------------------------------- */

/* The device whose disk builds on this one, or is it, and the disk next above it in that chain; 0: none. */
static int32_t device_above(const struct disk_forest *forest, const struct disk_node *node,
                            const struct disk_node **ret_above)
{
    for (guint i = 0; i < forest->nodes->len; i++) {
        const struct disk_node *top = g_ptr_array_index(forest->nodes, i);
        const struct disk_node *above = NULL;
        if (top->device_key == 0) {
            continue;
        }
        for (const struct disk_node *at = top; at != NULL; above = at, at = at->parent) {
            if (at == node) {
                *ret_above = above;
                return top->device_key;
            }
        }
    }
    return 0;
}

static struct vim_fault *commit_running(struct merge *merge, int32_t key, const struct disk_node *above,
                                        const int fds[2])
{
    struct host *host = merge->vm->host;
    g_autofree char *message = NULL;
    const char *format = NULL;
    int above_fd = -1;
    struct vim_fault *fault = above != NULL ? disk_open(host, above->path, false, &above_fd, &format) : NULL;
    if (fault != NULL) {
        return fault;
    }
    struct hypervisor_commit commit = {
        .device_key = key,
        .top_fd = fds[0],
        .base_fd = fds[1],
        .above_fd = above_fd,
        .progress = on_progress,
        .data = merge,
    };
    int error = hypervisor_vm_commit(host->hypervisor, merge->vm->id, &commit, &merge->held, &message);
    if (above_fd >= 0) {
        close(above_fd);
    }
    return error == 0 ? NULL : snapshot_hypervisor_fault(error, message);
}

static struct vim_fault *commit_files(struct merge *merge, const struct disk_node *node, const int fds[2],
                                      const char *parent_format)
{
    g_autofree char *message = NULL;
    off_t bytes = lseek(fds[0], 0, SEEK_END);
    int64_t timeout_ms = COMMIT_MS + MAX(bytes, 0) / COMMIT_BYTES_PER_MS;
    int error = qemu_img_commit(fds[0], fds[1], parent_format, timeout_ms, on_progress, merge, &message);
    if (error == 0 && fsync(fds[1]) < 0) {
        error = -errno;
    }
    if (error == -ECANCELED) {
        return fault_request_canceled("the consolidation was cancelled");
    }
    return error == 0 ? NULL : host_file_fault(node->parent->path, error, message);
}

/* Step 1. */
static struct vim_fault *merge_data(struct merge *merge, const struct disk_node *node)
{
    struct host *host = merge->vm->host;
    const struct disk_node *above = NULL;
    const char *formats[2] = {NULL, NULL};
    int fds[2] = {-1, -1};
    int32_t key = vm_power_state(merge->vm) == VirtualMachinePowerState_poweredOn
                      ? device_above(merge->forest, node, &above)
                      : 0;
    struct vim_fault *fault = disk_open(host, node->path, false, &fds[0], &formats[0]);
    if (fault == NULL) {
        fault = disk_open(host, node->parent->path, false, &fds[1], &formats[1]);
    }
    if (fault == NULL) {
        fault =
            key != 0 ? commit_running(merge, key, above, fds) : commit_files(merge, node, fds, formats[1]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return fault;
}

/* ---- the names ------------------------------------------------------------------------------------- */

/* The .vmx, for the machine that goes on in the parent from now on. */
static struct vim_fault *rename_in_vmx(struct merge *merge, const struct disk_node *node)
{
    struct vim_fault *fault = NULL;
    if (node->device_key != 0) {
        struct VirtualDevice *device = vm_device_by_key(merge->config, node->device_key);
        vim_set_string(&((struct VirtualDeviceFileBackingInfo *)device->backing)->fileName,
                       node->parent->path);
        for (int tries = 0; tries == 0 || (fault != NULL && merge->held && tries < SAVE_TRIES); tries++) {
            vim_fault_free(fault);
            fault = vm_save(merge->vm->host, merge->vm->vmx_path, merge->config);
        }
    }
    if (fault == NULL && merge->held) {
        g_autofree char *message = NULL;
        int error = hypervisor_vm_release(merge->vm->host->hypervisor, merge->vm->id, &message);
        merge->held = false;
        fault = error == 0 ? NULL : snapshot_hypervisor_fault(error, message);
    }
    return fault;
}

static struct vim_fault *rename_in_list(struct merge *merge, const struct disk_node *node)
{
    bool changed = false;
    for (guint i = 0; i < merge->list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(merge->list->snapshots, i);
        for (guint n = 0; n < snapshot->disks->len; n++) {
            struct snapshot_disk *disk = g_ptr_array_index(snapshot->disks, n);
            if (g_str_equal(disk->file_name, node->path)) {
                vim_set_string(&disk->file_name, node->parent->path);
                changed = true;
            }
        }
    }
    return changed ? snapshot_save_list(merge->vm, merge->list) : NULL;
}

static struct vim_fault *rename_in_children(struct merge *merge, const struct disk_node *node)
{
    struct host *host = merge->vm->host;
    struct vim_fault *fault = NULL;
    for (guint i = 0; fault == NULL && i < merge->forest->nodes->len; i++) {
        const struct disk_node *child = g_ptr_array_index(merge->forest->nodes, i);
        struct datastore *datastore = NULL;
        g_autofree char *path = NULL;
        g_autofree char *parent = NULL;
        g_autofree char *message = NULL;
        if (child->parent != node) {
            continue;
        }
        fault = host_resolve(host, child->path, "fileName", &datastore, &path);
        if (fault == NULL) {
            fault = host_resolve(host, node->parent->path, "fileName", &datastore, &parent);
        }
        if (fault == NULL) {
            int error = disk_image_set_parent(datastore->fd, path, datastore_path_basename(parent), &message);
            fault = error == 0 ? NULL : host_file_fault(child->path, error, message);
        }
    }
    return fault;
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static struct vim_fault *merge_one(struct merge *merge, const struct disk_node *node)
{
    struct vim_fault *fault = merge_data(merge, node);
    if (fault == NULL) {
        fault = rename_in_vmx(merge, node);
    }
    if (fault == NULL) {
        fault = rename_in_list(merge, node);
    }
    if (fault == NULL) {
        fault = rename_in_children(merge, node);
    }
    if (fault == NULL) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        vm_disk_paths(node->path, paths);
        journal_remove_files(merge->vm->host, paths);
        merge->done++;
    }
    return fault;
}

static bool is_in(const GPtrArray *only, const char *path)
{
    for (guint i = 0; i < only->len; i++) {
        if (g_str_equal(((const struct overlay *)g_ptr_array_index(only, i))->path, path)) {
            return true;
        }
    }
    return false;
}

static unsigned count_merges(const struct disk_forest *forest)
{
    unsigned n = 0;
    for (guint i = 0; i < forest->nodes->len; i++) {
        const struct disk_node *node = g_ptr_array_index(forest->nodes, i);
        n += node->parent != NULL && !node->parent->named && node->parent->children == 1;
    }
    return n;
}

/* The next one, of those in `only`. */
static const struct disk_node *next_merge(const struct disk_forest *forest, const GPtrArray *only)
{
    const struct disk_node *node = disk_forest_next_merge(forest);
    if (node == NULL || only == NULL) {
        return node;
    }
    for (guint i = 0; i < forest->nodes->len; i++) {
        node = g_ptr_array_index(forest->nodes, i);
        if (is_in(only, node->path) && node->parent != NULL && !node->parent->named &&
            node->parent->children == 1) {
            return node;
        }
    }
    return NULL;
}

struct vim_fault *snapshot_consolidate(struct vm *vm, struct vim_task *task, const GPtrArray *only)
{
    struct merge merge = {.vm = vm, .task = task};
    struct vim_fault *fault = merge_load(&merge);
    const struct disk_node *node = fault == NULL ? next_merge(merge.forest, only) : NULL;
    if (node != NULL) {
        g_autoptr(GPtrArray) paths = snapshot_doubtful_files(vm, merge.list, merge.forest);
        merge.total = only != NULL ? only->len : count_merges(merge.forest);
        fault = snapshot_journal_begin(vm, paths, NULL, NULL);
        while (fault == NULL && node != NULL) {
            fault = merge_one(&merge, node);
            if (fault == NULL) {
                fault = merge_load(&merge);
            }
            node = fault == NULL ? next_merge(merge.forest, only) : NULL;
        }
    }
    merge_clear(&merge);
    if (!merge.held) { /* else the next start has to let the guest go on */
        (void)journal_end(vm->host, vm->id);
    }
    snapshot_show_all(vm);
    return fault;
}

bool snapshot_needs_consolidation(struct vm *vm)
{
    struct merge merge = {.vm = vm};
    VIM_FAULT_AUTO fault = merge_load(&merge);
    bool needed = fault == NULL && disk_forest_next_merge(merge.forest) != NULL;
    merge_clear(&merge);
    return needed;
}
