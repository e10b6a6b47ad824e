// SPDX-License-Identifier: Apache-2.0
/*
 * Overlays over all disks at one moment, with or without the memory of that moment.
 *
 *   disks:   overlay nodes > transaction                                           some milliseconds
 *   memory:  overlay nodes > stop > transaction > migrate with background-snapshot > the guest runs
 *                                               > its memory is written, what it wants to change first
 *   where the kernel does not let QEMU see writes before they happen (userfaultfd):
 *            overlay nodes > stop > transaction > migrate > cont                   until all is written
 *
 * An overlay is added with "backing": null; the transaction then puts it over what is there, whatever its
 * header says. If the server dies in the middle, the record says so, and the next one ends the migration and
 * lets the guest go on; whether the overlays are in place it finds out by asking.
 *
 * A background snapshot that ends early can hang QEMU 7.2 for ever: a processor that holds the big lock waits for
 * a page that nobody writes any more, and who would let go of the page waits for the lock. So it is never
 * cancelled (who cancels waits until it is done, and throws it away), and its space is set aside before.
 */
#include "hypervisor/qemu/block.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FINISH_MS = 10000,        /* until a migration that has completed must be over */
    DEVICES_BYTES = 64 << 20, /* what devices may take in a saved state */
};

/* One snapshot under way. */
struct taking {
    struct qemu_vm *vm;
    const struct hypervisor_snapshot *snapshot;
    struct json_object *actions; /* of the transaction */
    GPtrArray *nodes;            /* of char *: the overlays that QEMU has, and */
    GArray *fdsets;              /* of int64_t: their files */
    bool taken;                  /* they are in place */
    bool was_running;
    bool cancelled;
    int64_t began_us;
    struct hypervisor_pause pause;
    char **ret_message;
};

static bool is_running(struct qemu_vm *vm)
{
    g_mutex_lock(&vm->lock);
    bool running = vm->state == HYPERVISOR_VM_RUNNING;
    g_mutex_unlock(&vm->lock);
    return running;
}

static struct json_object *overlay_node(const char *node, int64_t fdset)
{
    g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, fdset);
    struct json_object *file = qemu_json("driver", "file", "filename", path, "discard", "unmap", NULL);
    struct json_object *image = qemu_json("driver", "qcow2", "node-name", node, "discard", "unmap", NULL);

    json_object_object_add(image, "file", file);
    json_object_object_add(image, "backing", NULL);
    return image;
}

/* Gives QEMU one overlay, and plans the step that puts it in place. */
static int add_overlay(struct taking *t, const struct hypervisor_file *overlay)
{
    char name[QEMU_NAME_SIZE], node[QEMU_NAME_SIZE], top[QEMU_NAME_SIZE];
    int64_t fdset = 0;
    int fd = -1;

    qemu_vm_remove_nodes(t->vm,
                         overlay->device_key); /* an earlier server may have left some that nothing uses */
    int error = qemu_vm_top_node(t->vm, overlay->device_key, top, t->ret_message);
    if (error == 0) {
        error = qemu_reopen_file(overlay, false, &fd, t->ret_message);
    }
    if (error != 0) {
        return error;
    }
    qemu_node_name(overlay->device_key, name);
    qemu_vm_free_node_name(t->vm, overlay->device_key, node);
    error = qemu_vm_add_fd(t->vm, fd, name, &fdset, t->ret_message);
    close(fd);
    if (error == 0) {
        error = qemu_vm_execute(t->vm, "blockdev-add", overlay_node(node, fdset), t->ret_message);
        if (error != 0) {
            qemu_vm_remove_fdset(t->vm, fdset);
        }
    }
    if (error != 0) {
        return error;
    }
    struct json_object *action = qemu_json("type", "blockdev-snapshot", NULL);
    json_object_object_add(action, "data", qemu_json("node", top, "overlay", node, NULL));
    json_object_array_add(t->actions, action);
    g_ptr_array_add(t->nodes, g_strdup(node));
    g_array_append_val(t->fdsets, fdset);
    return 0;
}

/* Takes overlays back that are not in place. */
static void remove_overlays(struct taking *t)
{
    for (guint i = 0; i < t->nodes->len; i++) {
        const char *node = g_ptr_array_index(t->nodes, i);
        qemu_vm_execute(t->vm, "blockdev-del", qemu_json("node-name", node, NULL), NULL);
        qemu_vm_remove_fdset(t->vm, g_array_index(t->fdsets, int64_t, i));
    }
}

static int transact(struct taking *t)
{
    struct json_object *arguments = json_object_new_object();

    if (t->nodes->len == 0) {
        t->taken = true;
        return 0;
    }
    json_object_object_add(arguments, "actions", json_object_get(t->actions));
    int error = qemu_vm_execute(t->vm, "transaction", arguments, t->ret_message);
    t->taken = error == 0;
    return error;
}

static int take_disks(struct taking *t)
{
    t->began_us = g_get_monotonic_time();
    int error = transact(t);
    t->pause = (struct hypervisor_pause){g_get_monotonic_time() - t->began_us, true};
    return error;
}

/* ---- memory ---------------------------------------------------------------------------------------- */

/* Sets aside the space that the memory may take: a disk that gets full in the middle would end it early. */
static int reserve(struct taking *t)
{
    struct json_object *reply = NULL, *bytes;
    int64_t size = 0;

    int error = qemu_vm_query(t->vm, "query-memory-size-summary", NULL, &reply, t->ret_message);
    if (error != 0) {
        return error;
    }
    if (json_object_object_get_ex(reply, "base-memory", &bytes)) {
        size += json_object_get_int64(bytes);
    }
    if (json_object_object_get_ex(reply, "plugged-memory", &bytes)) {
        size += json_object_get_int64(bytes);
    }
    json_object_put(reply);
    size += size / 64 + DEVICES_BYTES;
    if (fallocate(t->snapshot->memory_fd, FALLOC_FL_KEEP_SIZE, 0, size) < 0 && errno != EOPNOTSUPP) {
        return hypervisor_fail(t->ret_message, -errno, "there is no space for the memory: %s",
                               g_strerror(errno));
    }
    return 0;
}

/* Gives back what of it was not needed. */
static int trim(struct taking *t)
{
    struct stat status;
    if (fstat(t->snapshot->memory_fd, &status) < 0 || ftruncate(t->snapshot->memory_fd, status.st_size) < 0 ||
        fsync(t->snapshot->memory_fd) < 0) {
        return hypervisor_fail(t->ret_message, -errno, "the memory cannot be saved: %s", g_strerror(errno));
    }
    return 0;
}

static bool on_progress(void *data, int percent)
{
    struct taking *t = data;

    if (t->snapshot->progress != NULL && !t->cancelled) {
        t->cancelled = !t->snapshot->progress(t->snapshot->data, percent);
    }
    return t->pause.background || !t->cancelled;
}

/* Lets the guest go on. A migration that has just completed takes QEMU a moment more. */
static int go_on(struct taking *t, char **ret_message)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)FINISH_MS * 1000;

    for (;;) {
        struct json_object *reply = NULL;
        int error = qemu_vm_query(t->vm, "query-status", NULL, &reply, ret_message);
        if (error != 0) {
            return error;
        }
        bool finishing = strcmp(qemu_json_string(reply, "status"), "finish-migrate") == 0;
        json_object_put(reply);
        if (!finishing || g_get_monotonic_time() > end_us) {
            return qemu_vm_execute(t->vm, "cont", NULL, ret_message);
        }
        g_usleep(1000);
    }
}

/* The guest is stopped from here until the migration, or we, let it go on. */
static int stop_and_save(struct taking *t)
{
    struct qemu_vm *vm = t->vm;

    t->began_us = g_get_monotonic_time();
    int error = t->was_running ? qemu_vm_execute(vm, "stop", NULL, t->ret_message) : 0;
    if (error == 0) {
        error = transact(t);
    }
    if (error == 0) {
        error = qemu_vm_save_state(vm, on_progress, t, t->ret_message);
    }
    if (t->was_running && !is_running(vm)) {
        g_autofree char *message = NULL; /* the first failure is the one to tell of */
        int second = go_on(t, &message);
        if (error == 0 && second != 0) {
            *t->ret_message = g_steal_pointer(&message);
            error = second;
        }
    }
    g_mutex_lock(&vm->lock);
    t->pause.pause_us = MAX(vm->resumed_us - t->began_us, 0);
    g_mutex_unlock(&vm->lock);
    if (error == 0) {
        on_progress(t, 100); /* a save that was quick may have ended before anybody looked */
    }
    if (error == 0 && t->cancelled) {
        error = hypervisor_fail(t->ret_message, -ECANCELED, "saving the memory was cancelled");
    }
    return error == 0 ? trim(t) : error;
}

static int take_memory(struct taking *t)
{
    struct qemu_vm *vm = t->vm;
    g_autofree char *ignored = NULL;

    /* A guest that stands still anyway would be let go by a background snapshot. */
    t->pause.background = t->was_running && qemu_vm_set_background(vm, true, NULL) == 0;
    int error = qemu_vm_prepare_state(vm, t->snapshot->memory_fd, t->ret_message);
    if (error == 0) {
        error = reserve(t);
    }
    if (error == 0 && t->was_running) {
        error = qemu_vm_set_phase(vm, RECORD_SUSPENDING, t->ret_message);
    }
    if (error == 0) {
        error = stop_and_save(t);
    }
    if (t->was_running) {
        (void)qemu_vm_set_phase(vm, RECORD_RUNNING, &ignored);
    }
    if (t->pause.background) {
        (void)qemu_vm_set_background(vm, false, NULL);
    }
    return error;
}

int qemu_snapshot(struct hypervisor *hv, const char *id, const struct hypervisor_snapshot *snapshot,
                  struct hypervisor_pause *ret, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    int error = 0;

    if (vm == NULL) {
        return -ENOENT;
    }
    struct taking t = {
        .vm = vm,
        .snapshot = snapshot,
        .actions = json_object_new_array(),
        .nodes = g_ptr_array_new_with_free_func(g_free),
        .fdsets = g_array_new(FALSE, FALSE, sizeof(int64_t)),
        .was_running = is_running(vm),
        .ret_message = ret_message,
    };
    for (size_t i = 0; i < snapshot->n_overlays && error == 0; i++) {
        error = add_overlay(&t, &snapshot->overlays[i]);
    }
    if (error == 0) {
        error = snapshot->memory_fd >= 0 ? take_memory(&t) : take_disks(&t);
    }
    if (error != 0 && !t.taken) {
        remove_overlays(&t);
    }
    json_object_put(t.actions);
    g_ptr_array_unref(t.nodes);
    g_array_unref(t.fdsets);
    if (error == 0) {
        *ret = t.pause;
    }
    return error;
}
