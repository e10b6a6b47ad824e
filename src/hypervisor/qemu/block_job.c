// SPDX-License-Identifier: Apache-2.0
/*
 * Merging images of a disk while the guest runs: QEMU's commit job.
 *
 *   in the middle of a chain:  open base (and what lies above top) for writing > block-commit > concluded
 *   the guest's own image:     open base for writing > block-commit > ready > record "held" > stop
 *                              > job-complete > concluded; the guest writes into base when it is released
 *
 * In the second case the guest stands still from before the process goes over to base until the host has
 * written down that it did. The record says so: a server that finds it leaves the guest alone until its host
 * has looked which image is in use, and then says qemu_release().
 *
 * A job outlives the server. It changes nothing of what the images contain together, so it may as well end by
 * itself; what is found of it later is ended, and the next commit looks at what there is.
 */
#include "hypervisor/qemu/block.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POLL_MS = 200 /* between questions for progress; changes are told by an event */ };

#define JOB_PREFIX "commit-"

/* A job, as query-jobs shows it. */
struct job_state {
    bool found;
    bool ready;
    bool concluded;
    int percent;
    char *error; /* owned, or NULL */
};

static void job_state_clear(struct job_state *state)
{
    g_clear_pointer(&state->error, g_free);
}

static void job_name(int32_t key, char out[static QEMU_NAME_SIZE])
{
    g_snprintf(out, QEMU_NAME_SIZE, JOB_PREFIX "%d", key);
}

static int64_t get_int(struct json_object *object, const char *name)
{
    struct json_object *member;
    return json_object_object_get_ex(object, name, &member) ? json_object_get_int64(member) : 0;
}

static int query_job(struct qemu_vm *vm, const char *name, struct job_state *ret, char **ret_message)
{
    struct json_object *jobs = NULL;

    *ret = (struct job_state){0};
    int error = qemu_vm_query(vm, "query-jobs", NULL, &jobs, ret_message);
    if (error != 0) {
        return error;
    }
    size_t n = json_object_is_type(jobs, json_type_array) ? json_object_array_length(jobs) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *job = json_object_array_get_idx(jobs, i);
        if (strcmp(qemu_json_string(job, "id"), name) == 0) {
            const char *status = qemu_json_string(job, "status");
            const char *why = qemu_json_string(job, "error");
            int64_t total = get_int(job, "total-progress");
            ret->found = true;
            ret->ready = strcmp(status, "ready") == 0;
            ret->concluded = strcmp(status, "concluded") == 0;
            ret->percent = total > 0 ? (int)(get_int(job, "current-progress") * 100 / total) : 0;
            ret->error = why[0] != '\0' ? g_strdup(why) : NULL;
        }
    }
    json_object_put(jobs);
    return 0;
}

/* Waits until a job changes after `seen` changes, but not for long. */
static unsigned wait_change(struct qemu_vm *vm, unsigned seen)
{
    int64_t end_us = g_get_monotonic_time() + POLL_MS * 1000;

    g_mutex_lock(&vm->lock);
    while (vm->job_changes == seen && vm->state != HYPERVISOR_VM_GONE &&
           g_cond_wait_until(&vm->changed, &vm->lock, end_us)) {
    }
    unsigned changes = vm->job_changes;
    g_mutex_unlock(&vm->lock);
    return changes;
}

static void dismiss(struct qemu_vm *vm, const char *name)
{
    qemu_vm_execute(vm, "job-dismiss", qemu_json("id", name, NULL), NULL);
}

/* Waits until the job is ready (if it is one that gets so) or over; then it is dismissed. -EIO: it failed. */
static int wait_job(struct qemu_vm *vm, const char *name, bool until_ready, hypervisor_progress_fn progress,
                    void *data, char **ret_message)
{
    unsigned seen = 0;
    for (;;) {
        struct job_state state;
        g_mutex_lock(&vm->lock);
        seen = vm->job_changes;
        g_mutex_unlock(&vm->lock);
        int error = query_job(vm, name, &state, ret_message);
        if (error != 0) {
            return error;
        }
        if (!state.found || state.concluded) {
            if (state.error != NULL) {
                bool full = strstr(state.error, "No space left") != NULL;
                error = hypervisor_fail(ret_message, full ? -ENOSPC : -EIO, "the images cannot be merged: %s",
                                        state.error);
            }
            job_state_clear(&state);
            dismiss(vm, name);
            return error;
        }
        job_state_clear(&state);
        if (until_ready && state.ready) {
            return 0;
        }
        if (progress != NULL && !progress(data, state.percent)) {
            return hypervisor_fail(ret_message, -ECANCELED, "merging was cancelled");
        }
        (void)wait_change(vm, seen);
    }
}

/* Ends a job without letting it finish. What it has done by then does no harm. */
static void end_job(struct qemu_vm *vm, const char *name)
{
    g_autofree char *ignored = NULL;

    qemu_vm_execute(vm, "job-cancel", qemu_json("id", name, NULL), NULL);
    (void)wait_job(vm, name, false, NULL, NULL, &ignored);
}

/* ---- images ---------------------------------------------------------------------------------------- */

/* Where in the chain the image of a descriptor is; -1: it is not. */
static int find_image(const GPtrArray *chain, int fd)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        return -1;
    }
    for (guint i = 0; i < chain->len; i++) {
        const struct block_image *image = g_ptr_array_index(chain, i);
        if (image->known && image->file.device == status.st_dev && image->file.inode == status.st_ino) {
            return (int)i;
        }
    }
    return -1;
}

/* Adds a descriptor for writing to the fdset that an image is opened from. */
static int add_writable(struct qemu_vm *vm, const struct block_image *image, int fd, char **ret_message)
{
    struct json_object *arguments = json_object_new_object();
    int own_fd = -1;

    int error = qemu_reopen(fd, O_RDWR, &own_fd);
    if (error != 0) {
        json_object_put(arguments);
        return hypervisor_fail(ret_message, error, "an image cannot be opened for writing: %s",
                               g_strerror(-error));
    }
    json_object_object_add(arguments, "fdset-id", json_object_new_int64(image->fdset));
    error = qemu_vm_execute_fd(vm, "add-fd", arguments, own_fd, ret_message);
    close(own_fd);
    return error;
}

/* Closes the descriptor for reading that a set had before: as long as it is open, so are the locks that QEMU took
 * through it, and they keep QEMU itself from writing. */
static void remove_read_only(struct qemu_vm *vm, const struct block_image *image)
{
    struct json_object *arguments = json_object_new_object();

    json_object_object_add(arguments, "fdset-id", json_object_new_int64(image->fdset));
    json_object_object_add(arguments, "fd", json_object_new_int64(image->fd));
    qemu_vm_execute(vm, "remove-fd", arguments, NULL);
}

/* Makes an image in the chain writable; `under` is the next one, or NULL. QEMU's commit would do so itself if
 * the nodes had not been told to be for reading only. */
static int open_for_writing(struct qemu_vm *vm, const struct block_image *image,
                            const struct block_image *under, int fd, char **ret_message)
{
    int error = 0;
    if (!image->read_only && !image->file_read_only) {
        return 0;
    }
    if (image->file_read_only) {
        error = add_writable(vm, image, fd, ret_message);
    }
    if (error != 0) {
        return error;
    }
    g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, image->fdset);
    struct json_object *file = qemu_json("driver", "file", "node-name", image->file_node, "filename", path,
                                         "discard", "unmap", NULL);
    struct json_object *format = qemu_json("driver", image->raw ? "raw" : "qcow2", "node-name", image->node,
                                           "file", image->file_node, "discard", "unmap", NULL);
    struct json_object *options = json_object_new_array();
    struct json_object *arguments = json_object_new_object();
    json_object_object_add(file, "read-only", json_object_new_boolean(false));
    json_object_object_add(format, "read-only", json_object_new_boolean(false));
    if (!image->raw) {
        json_object_object_add(format, "backing", under != NULL ? json_object_new_string(under->node) : NULL);
    }
    json_object_array_add(options, file);
    json_object_array_add(options, format);
    json_object_object_add(arguments, "options", options);
    error = qemu_vm_execute(vm, "blockdev-reopen", arguments, ret_message);
    if (error == 0 && image->file_read_only && image->known) {
        remove_read_only(vm, image);
    }
    return error;
}

/* ---- the commit ------------------------------------------------------------------------------------ */

static const struct block_image *image_at(const GPtrArray *chain, int index)
{
    return index >= 0 && index < (int)chain->len ? g_ptr_array_index(chain, (guint)index) : NULL;
}

/* Starts the job that merges image `top` of the chain into the next. */
static int start_job(struct qemu_vm *vm, const GPtrArray *chain, int top,
                     const struct hypervisor_commit *commit, const char *name, char **ret_message)
{
    const struct block_image *base = image_at(chain, top + 1);

    int error = open_for_writing(vm, base, image_at(chain, top + 2), commit->base_fd, ret_message);
    if (error == 0 && top > 0) { /* QEMU notes its new parent in it, if only by forgetting the name */
        error = open_for_writing(vm, image_at(chain, top - 1), image_at(chain, top), commit->above_fd,
                                 ret_message);
    }
    if (error != 0) {
        return error;
    }
    struct json_object *arguments = qemu_json("job-id", name, "device", image_at(chain, 0)->node, "top-node",
                                              image_at(chain, top)->node, "base-node", base->node, NULL);
    if (top > 0) {
        json_object_object_add(arguments, "backing-file", json_object_new_string(""));
    }
    json_object_object_add(arguments, "auto-dismiss", json_object_new_boolean(false));
    return qemu_vm_execute(vm, "block-commit", arguments, ret_message);
}

/* The guest's own image: goes over to base while the guest stands still. */
static int go_over(struct qemu_vm *vm, const char *name, bool *ret_held, char **ret_message)
{
    g_autofree char *ignored = NULL;

    g_mutex_lock(&vm->lock);
    bool was_running = vm->state == HYPERVISOR_VM_RUNNING;
    g_mutex_unlock(&vm->lock);
    int error = was_running ? qemu_vm_set_phase(vm, RECORD_HELD, ret_message) : 0;
    if (error == 0 && was_running) {
        error = qemu_vm_execute(vm, "stop", NULL, ret_message);
    }
    if (error == 0) {
        error = qemu_vm_execute(vm, "job-complete", qemu_json("id", name, NULL), ret_message);
    }
    if (error == 0) {
        error = wait_job(vm, name, false, NULL, NULL, ret_message);
    }
    if (error == 0) {
        *ret_held = true;
    } else if (was_running) {
        end_job(vm, name);
        qemu_vm_execute(vm, "cont", NULL, NULL);
        (void)qemu_vm_set_phase(vm, RECORD_RUNNING, &ignored);
    }
    return error;
}

/* Lets go of what is not in use any more. QEMU closes descriptors of a set only while the guest runs. */
static void drop_image(struct qemu_vm *vm, int32_t key, int64_t fdset, bool held)
{
    qemu_vm_remove_nodes(vm, key);
    if (held) {
        vm->held_fdset = fdset;
    } else {
        qemu_vm_remove_fdset(vm, fdset);
    }
}

static int commit_image(struct qemu_vm *vm, const GPtrArray *chain, int top,
                        const struct hypervisor_commit *commit, bool *ret_held, char **ret_message)
{
    char name[QEMU_NAME_SIZE];
    bool active = top == 0;

    job_name(commit->device_key, name);
    int error = start_job(vm, chain, top, commit, name, ret_message);
    if (error != 0) {
        return error;
    }
    error = wait_job(vm, name, active, commit->progress, commit->data, ret_message);
    if (error == 0 && active) {
        error = go_over(vm, name, ret_held, ret_message);
    } else if (error == -ECANCELED) {
        end_job(vm, name);
    }
    if (error == 0) {
        drop_image(vm, commit->device_key, image_at(chain, top)->fdset, *ret_held);
    }
    return error;
}

int qemu_commit(struct hypervisor *hv, const char *id, const struct hypervisor_commit *commit, bool *ret_held,
                char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    g_autoptr(GPtrArray) chain = NULL;

    if (vm == NULL) {
        return -ENOENT;
    }
    qemu_vm_remove_nodes(vm, commit->device_key); /* an earlier server may have left some that nothing uses */
    int error = qemu_vm_get_chain(vm, commit->device_key, &chain, ret_message);
    if (error != 0) {
        return error;
    }
    int top = find_image(chain, commit->top_fd), base = find_image(chain, commit->base_fd);
    if (base >= 0 && top < 0) {
        *ret_held = vm->record.phase == RECORD_HELD;
        return 0; /* an earlier server's job has finished it */
    }
    if (base < 0 || base != top + 1 || (top > 0 && find_image(chain, commit->above_fd) != top - 1)) {
        return hypervisor_fail(ret_message, -EINVAL, "the images do not lie on each other in the disk %d",
                               commit->device_key);
    }
    return commit_image(vm, chain, top, commit, ret_held, ret_message);
}

/* Ends what an earlier server has begun. */
static int end_jobs(struct qemu_vm *vm, char **ret_message)
{
    struct json_object *jobs = NULL;

    int error = qemu_vm_query(vm, "query-jobs", NULL, &jobs, ret_message);
    size_t n = error == 0 && json_object_is_type(jobs, json_type_array) ? json_object_array_length(jobs) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = qemu_json_string(json_object_array_get_idx(jobs, i), "id");
        if (g_str_has_prefix(name, JOB_PREFIX)) {
            end_job(vm, name);
        }
    }
    json_object_put(jobs);
    return error;
}

int qemu_release(struct hypervisor *hv, const char *id, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);

    if (vm == NULL) {
        return -ENOENT;
    }
    int error = end_jobs(vm, ret_message);
    if (error != 0 || vm->record.phase != RECORD_HELD) {
        return error;
    }
    error = qemu_vm_execute(vm, "cont", NULL, ret_message);
    if (error == 0 && vm->held_fdset >= 0) {
        qemu_vm_remove_fdset(vm, vm->held_fdset);
        vm->held_fdset = -1;
    }
    return error == 0 ? qemu_vm_set_phase(vm, RECORD_RUNNING, ret_message) : error;
}
