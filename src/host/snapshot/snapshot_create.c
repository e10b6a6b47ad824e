// SPDX-License-Identifier: Apache-2.0
/*
 * CreateSnapshot_Task, CreateSnapshotEx_Task. See snapshot.h.
 *
 *   [journal] overlays, .vmsn -> .vmx names the overlays -> the process goes over to them, memory to .vmem
 *             -> .vmsd: COMMIT -> [journal gone]
 *
 * The .vmx comes before the process: an overlay that it names and nobody has written into yet reads like the
 * disk beneath it, but what a guest writes into an overlay that no .vmx names would be lost with the process.
 * A fault after that step takes the same way back as the next start after a crash: the overlays are merged.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/guest/guest_agent.h"
#include "host/snapshot/snapshot.h"
#include "host/vm/vmx_mapping.h"
#include "vim/event.h"
#include "vim/value.h"

#define STATE_KEY "checkpoint.vmState"

/* What was asked for. */
struct request {
    char *name;
    char *description; /* or NULL */
    bool memory;
    bool quiesce;
};

static void request_free(void *data)
{
    struct request *request = data;
    g_free(request->name);
    g_free(request->description);
    g_free(request);
}

/* A snapshot in the making. */
struct creation {
    struct vm *vm;
    struct vim_task *task;
    const struct request *request;
    enum VirtualMachinePowerState state;
    struct VirtualMachineConfigInfo *before;
    struct snapshot_list *list;
    struct snapshot *snapshot; /* in list */
    GPtrArray *overlays;
    GPtrArray *doubtful; /* for the journal: see snapshot_doubtful_files */
    GPtrArray *made;     /* of those, what is new */
    bool renamed;        /* the .vmx may name the overlays */
};

/* ---- checks ---------------------------------------------------------------------------------------- */

static struct vim_fault *check_disks(const struct creation *c)
{
    bool memory = c->snapshot->memory;
    for (uint32_t i = 0; i < c->before->hardware->device.n; i++) {
        const struct VirtualDevice *device = c->before->hardware->device.items[i];
        if (memory && vim_is_a(device, &VirtualDisk_type) && !disk_is_dependent(device)) {
            return fault_memory_snapshot_on_independent_disk(
                "%s is independent: memory would not fit to it after a revert", device->deviceInfo->label);
        }
    }
    return NULL;
}

static struct vim_fault *check(const struct creation *c)
{
    const struct VirtualMachineFlagInfo *flags = c->before->flags;
    if (flags != NULL && flags->snapshotDisabled.set && flags->snapshotDisabled.value) {
        return fault_snapshot_disabled("snapshots of this virtual machine are disabled");
    }
    if (snapshot_list_depth(c->list, c->snapshot->uid) > SNAPSHOT_LEVELS_MAX ||
        c->list->snapshots->len > SNAPSHOTS_MAX) {
        return fault_too_many_snapshot_levels("there are %d snapshots one below the other already",
                                              SNAPSHOT_LEVELS_MAX);
    }
    return check_disks(c);
}

/* ---- preparing ------------------------------------------------------------------------------------- */

/* A name for the .vmsn that neither it nor the .vmem has yet. */
static char *snapshot_file_name(const struct vm *vm, uint32_t uid)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    if (datastore_path_parse(vm->vmx_path, -1, &path, &rule) != 0) {
        return g_strdup_printf("Snapshot%u.vmsn", uid);
    }
    g_autofree char *stem = datastore_path_with_suffix(datastore_path_basename(path.path), "");
    return g_strdup_printf("%s-Snapshot%u.vmsn", stem, uid);
}

static void add_entry(struct creation *c)
{
    struct snapshot *snapshot = c->snapshot = snapshot_list_add(c->list);
    bool suspended = c->state == VirtualMachinePowerState_suspended;
    snapshot->file = snapshot_file_name(c->vm, snapshot->uid);
    snapshot->name = g_strdup(c->request->name);
    snapshot->description = g_strdup(c->request->description != NULL ? c->request->description : "");
    snapshot->create_time_us = vim_now_us(c->vm->host->server);
    snapshot->suspended = suspended;
    snapshot->memory = suspended || (c->request->memory && c->state == VirtualMachinePowerState_poweredOn);
    for (uint32_t i = 0; i < c->before->hardware->device.n; i++) {
        const struct VirtualDevice *device = c->before->hardware->device.items[i];
        g_autofree char *slot = disk_is_dependent(device) ? vmx_device_slot(device->key) : NULL;
        if (slot != NULL) {
            snapshot_add_disk(snapshot, slot, disk_file_name(device));
        }
    }
}

/* Names everything that will be made. */
static struct vim_fault *plan(struct creation *c)
{
    g_autoptr(disk_forest) forest = NULL;
    struct host *host = c->vm->host;
    c->before = vm_config(c->vm);
    struct vim_fault *fault = snapshot_load_list(c->vm, &c->list);
    if (fault == NULL) {
        fault = disk_forest_load(host, c->before, c->list, &forest);
    }
    if (fault != NULL) {
        return fault;
    }
    c->doubtful = snapshot_doubtful_files(c->vm, c->list, forest);
    add_entry(c);
    fault = check(c);
    if (fault == NULL) {
        fault = overlays_plan(host, c->before, &c->overlays);
    }
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *memory = snapshot_memory_name(c->snapshot);
    c->made = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < c->overlays->len; i++) {
        vm_disk_paths(((const struct overlay *)g_ptr_array_index(c->overlays, i))->path, c->made);
    }
    g_ptr_array_add(c->made, snapshot_file_path(c->vm, c->snapshot->file));
    g_ptr_array_add(c->made, snapshot_file_path(c->vm, memory));
    for (guint i = 0; i < c->made->len; i++) {
        g_ptr_array_add(c->doubtful, g_strdup(g_ptr_array_index(c->made, i)));
    }
    return NULL;
}

static struct vim_fault *make_files(struct creation *c)
{
    struct vim_fault *fault = overlays_make(c->vm->host, c->overlays);
    return fault != NULL ? fault : snapshot_write_config(c->vm, c->snapshot);
}

/* ---- memory ---------------------------------------------------------------------------------------- */

static bool on_progress(void *data, int percent)
{
    struct vim_task *task = data;
    vim_task_progress(task, percent);
    return !vim_task_is_cancelled(task);
}

static int copy_file(struct vim_task *task, int from, int to)
{
    struct stat st;
    int error = fstat(from, &st) < 0 ? -errno : 0;
    for (off_t at = 0; error == 0 && at < st.st_size;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, 64 << 20, 0);
        error = n < 0 ? -errno : n == 0 ? -EIO : 0;
        at += MAX(n, 0);
        if (error == 0 && !on_progress(task, (int)(at * 100 / MAX(st.st_size, 1)))) {
            error = -ECANCELED;
        }
    }
    return error == 0 && fsync(to) < 0 ? -errno : error;
}

/* A suspended machine's memory is there already: the snapshot gets a copy. */
static struct vim_fault *copy_memory(struct creation *c)
{
    g_autofree char *name = snapshot_memory_name(c->snapshot);
    g_autofree char *state = vm_load_key(c->vm->host, c->vm->vmx_path, STATE_KEY);
    int from = -1;
    int to = -1;
    struct vim_fault *fault =
        state == NULL ? fault_invalid_vm_config(c->vm->vmx_path, "%s names no saved memory", c->vm->vmx_path)
                      : snapshot_open_file(c->vm, state, O_RDONLY, &from);
    if (fault == NULL) {
        fault = snapshot_open_file(c->vm, name, O_WRONLY | O_CREAT | O_TRUNC, &to);
    }
    int error = fault == NULL ? copy_file(c->task, from, to) : 0;
    if (error != 0) {
        fault = host_file_fault(c->vm->vmx_path, error, "the memory cannot be copied");
    }
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    return fault;
}

/* ---- the machine that runs ------------------------------------------------------------------------- */

static void close_files(struct hypervisor_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (files[i].fd >= 0) {
            close(files[i].fd);
        }
    }
    g_free(files);
}

static struct vim_fault *open_overlays(const struct creation *c, struct hypervisor_file **ret)
{
    struct hypervisor_file *files = g_new0(struct hypervisor_file, c->overlays->len + 1);
    struct vim_fault *fault = NULL;
    for (guint i = 0; i < c->overlays->len; i++) {
        const struct overlay *overlay = g_ptr_array_index(c->overlays, i);
        files[i] = (struct hypervisor_file){.device_key = overlay->device_key, .fd = -1, .format = "qcow2"};
        if (fault == NULL) {
            fault = disk_open(c->vm->host, overlay->path, false, &files[i].fd, &files[i].format);
        }
    }
    if (fault != NULL) {
        close_files(files, c->overlays->len);
        return fault;
    }
    *ret = files;
    return NULL;
}

static struct vim_fault *rename_disks(struct creation *c)
{
    struct VirtualMachineConfigInfo *config = vim_copy(c->before);
    overlays_apply(c->overlays, config);
    c->renamed = true;
    struct vim_fault *fault = vm_save(c->vm->host, c->vm->vmx_path, config);
    vim_free(config);
    return fault;
}

/* The one moment of which the snapshot is. */
static struct vim_fault *pivot(struct creation *c, struct hypervisor_file *files, int memory_fd)
{
    g_autofree char *message = NULL;
    struct hypervisor_snapshot snapshot = {
        .overlays = files,
        .n_overlays = c->overlays->len,
        .memory_fd = memory_fd,
        .progress = on_progress,
        .data = c->task,
    };
    struct hypervisor_pause pause = {0};
    /* As the VI API has it: without tools, and with memory, which keeps what is not written yet, not at all. */
    bool frozen = c->request->quiesce && memory_fd < 0 && guest_agent_is_running(c->vm);
    struct vim_fault *fault = frozen ? guest_agent_fsfreeze(c->vm) : NULL;
    if (fault != NULL) {
        return fault;
    }
    int error = hypervisor_vm_snapshot(c->vm->host->hypervisor, c->vm->id, &snapshot, &pause, &message);
    if (frozen) {
        struct vim_fault *thawed = guest_agent_fsthaw(c->vm);
        if (error == 0 && thawed != NULL) {
            return thawed;
        }
        vim_fault_free(thawed);
        c->snapshot->quiesced = true;
    }
    if (error == 0) {
        g_debug("%s: the guest stood still for %" G_GINT64_FORMAT " ms%s", c->vm->id, pause.pause_us / 1000,
                pause.background ? "" : ", and was stopped while memory was saved");
    }
    return error == 0 ? NULL : snapshot_hypervisor_fault(error, message);
}

static struct vim_fault *take_running(struct creation *c)
{
    g_autofree char *memory = snapshot_memory_name(c->snapshot);
    struct hypervisor_file *files = NULL;
    int memory_fd = -1;
    struct vim_fault *fault = open_overlays(c, &files);
    if (fault != NULL) {
        return fault;
    }
    if (c->snapshot->memory) {
        fault = snapshot_open_file(c->vm, memory, O_RDWR | O_CREAT | O_TRUNC, &memory_fd);
    }
    if (fault == NULL) {
        fault = rename_disks(c);
    }
    if (fault == NULL) {
        fault = pivot(c, files, memory_fd);
    }
    close_files(files, c->overlays->len);
    if (memory_fd >= 0) {
        close(memory_fd);
    }
    return fault;
}

static struct vim_fault *take_stopped(struct creation *c)
{
    struct vim_fault *fault = c->snapshot->memory ? copy_memory(c) : NULL;
    return fault != NULL ? fault : rename_disks(c);
}

/* ---- the way back ---------------------------------------------------------------------------------- */

/* Whether the process writes into the overlays. */
static bool has_pivoted(const struct creation *c)
{
    for (guint i = 0; i < c->overlays->len; i++) {
        const struct overlay *overlay = g_ptr_array_index(c->overlays, i);
        g_autofree struct hypervisor_image *images = NULL;
        g_autofree char *message = NULL;
        struct stat st;
        size_t n = 0;
        int fd = -1;
        const char *format = NULL;
        VIM_FAULT_AUTO fault = disk_open(c->vm->host, overlay->path, true, &fd, &format);
        if (fault != NULL) {
            return true; /* not known: the careful answer */
        }
        int error = fstat(fd, &st) < 0 ? -errno
                                       : hypervisor_vm_get_images(c->vm->host->hypervisor, c->vm->id,
                                                                  overlay->device_key, &images, &n, &message);
        close(fd);
        if (error != 0 || n == 0) {
            return true; /* no process any more: it may have */
        }
        if (images[0].inode == st.st_ino && images[0].device == st.st_dev) {
            return true;
        }
    }
    return false;
}

/* The overlays go, with what has been written into them by now; the files of before are named again. */
static void undo(struct creation *c)
{
    struct vim_fault *fault = NULL;
    bool pivoted = c->renamed && c->state == VirtualMachinePowerState_poweredOn && has_pivoted(c);
    if (c->renamed && !pivoted) {
        fault = vm_save(c->vm->host, c->vm->vmx_path, c->before);
    }
    if (fault == NULL) {
        fault = snapshot_remove_unnamed(c->vm, c->made);
    }
    if (fault == NULL && pivoted) {
        fault = snapshot_consolidate(c->vm, NULL, c->overlays);
    }
    if (fault != NULL) { /* all is valid; what is left over shows as consolidationNeeded */
        g_warning("%s: a snapshot that failed is not undone: %s", c->vm->id, fault->message);
        vim_fault_free(fault);
    }
}

/* ---- the task -------------------------------------------------------------------------------------- */

static struct vim_fault *create(struct creation *c)
{
    struct vim_fault *fault = snapshot_journal_begin(c->vm, c->doubtful, NULL, NULL);
    if (fault != NULL) {
        return fault;
    }
    fault = make_files(c);
    if (fault == NULL) {
        fault = c->state == VirtualMachinePowerState_poweredOn ? take_running(c) : take_stopped(c);
    }
    if (fault == NULL) {
        fault = snapshot_save_list(c->vm, c->list);
    }
    if (fault != NULL) {
        undo(c);
    }
    (void)journal_end(c->vm->host, c->vm->id);
    snapshot_show_all(c->vm);
    return fault;
}

static struct vim_fault *create_run(struct vim_task *task, struct vm *vm, void *data)
{
    const struct request *request = data;
    struct creation c = {.vm = vm, .task = task, .request = request, .state = vm_power_state(vm)};
    struct vim_fault *fault = snapshot_require(vm);
    if (fault == NULL) {
        fault = plan(&c);
    }
    if (fault == NULL) {
        fault = create(&c);
    }
    if (fault == NULL) {
        struct vim_ref ref = snapshot_reference(vm, c.snapshot->uid);
        vim_task_set_result(task, vim_any_ref(&ref));
        vim_ref_clear(&ref);
    }
    vim_free(c.before);
    snapshot_list_free(c.list);
    g_clear_pointer(&c.overlays, g_ptr_array_unref);
    g_clear_pointer(&c.doubtful, g_ptr_array_unref);
    g_clear_pointer(&c.made, g_ptr_array_unref);
    return fault;
}

static struct vim_fault *start(struct vim_call *call, const char *description_id, struct request *request,
                               struct vim_ref *ret)
{
    if (request->name[0] == '\0' || strlen(request->name) > SNAPSHOT_NAME_BYTES_MAX) {
        struct vim_fault *fault = fault_invalid_name(request->name, call->request.target,
                                                     "a name has 1 to %d bytes", SNAPSHOT_NAME_BYTES_MAX);
        request_free(request);
        return fault;
    }
    return vm_task_start(call, description_id, create_run, request, request_free, true, ret);
}

struct vim_fault *snapshot_create_call(struct vim_call *call, const struct CreateSnapshot_Task_args *args,
                                       struct CreateSnapshot_Task_result *ret)
{
    struct request *request = g_new0(struct request, 1);
    *request =
        (struct request){g_strdup(args->name), g_strdup(args->description), args->memory, args->quiesce};
    return start(call, "VirtualMachine.createSnapshot", request, &ret->returnval);
}

struct vim_fault *snapshot_create_ex_call(struct vim_call *call,
                                          const struct CreateSnapshotEx_Task_args *args,
                                          struct CreateSnapshotEx_Task_result *ret)
{
    struct request *request = g_new0(struct request, 1);
    *request = (struct request){g_strdup(args->name), g_strdup(args->description), args->memory,
                                args->quiesceSpec != NULL};
    return start(call, "VirtualMachine.createSnapshotEx", request, &ret->returnval);
}
