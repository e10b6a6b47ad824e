// SPDX-License-Identifier: Apache-2.0
/*
 * VirtualDiskManager: makes, deletes, moves, copies, extends and converts disks outside of running virtual
 * machines. What is done to files is in disk_image.c and disk_copy.c; this says to which, and that nobody uses them:
 * the machines that have the disk are held, and locks keep off those of other hosts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/datastore_files.h"
#include "host/vm/vm.h"
#include "vim/value.h"

static const int64_t max_capacity_kb = INT64_C(62) << 30; /* 62 TB: what the VI API allows */

bool disk_is_ours(const struct file_place *place, struct disk_image_info *ret)
{
    g_autofree char *message = NULL;
    return g_str_has_suffix(place->path, ".vmdk") &&
           disk_image_get_info(place->datastore->fd, place->path, ret, &message) == 0;
}

/* The same for an operation on disks alone: a fault says what is wrong. */
static struct vim_fault *read_disk(const struct file_place *place, struct disk_image_info *ret)
{
    g_autofree char *message = NULL;
    int error = disk_image_get_info(place->datastore->fd, place->path, ret, &message);
    return error == 0 ? NULL : host_file_fault(place->text, error, message);
}

/* ---- the frame of a task ---------------------------------------------------------------------------- */

/* One operation; what its kind does not need is unset. */
struct disk_task {
    struct host *host;
    struct file_place place; /* the disk, or the source; owned */
    struct file_place to;    /* owned */
    struct disk_copy copy;
    int64_t capacity_kb;
    bool eager_zero; /* what is added to the disk is written with zeros */
    struct vim_fault *(*run)(struct vim_task *task, const struct disk_task *work);
};

static void disk_task_free(void *data)
{
    struct disk_task *work = data;
    file_place_clear(&work->place);
    file_place_clear(&work->to);
    g_free(work);
}

static struct vim_fault *disk_task_run(struct vim_task *task, void *data)
{
    const struct disk_task *work = data;
    struct vim_fault *fault =
        files_journal_begin(work->host, task, work->to.text != NULL ? &work->to : &work->place);
    if (fault == NULL) {
        fault = work->run(task, work);
        files_journal_end(work->host, task);
    }
    host_datastore_refresh(work->host, work->place.datastore);
    if (work->to.datastore != NULL && work->to.datastore != work->place.datastore) {
        host_datastore_refresh(work->host, work->to.datastore);
    }
    return fault;
}

/* Starts `work`, which is copied; its places are moved out of it. */
static struct vim_fault *disk_task_start(struct vim_call *call, struct disk_task *work, const char *id,
                                         bool cancelable, struct vim_ref *ret)
{
    struct vim_task_spec task = {
        .description_id = id,
        .entity = work->place.datastore->ref,
        .run = disk_task_run,
        .data = g_memdup2(work, sizeof(*work)),
        .data_free = disk_task_free,
        .cancelable = cancelable,
    };
    work->place = work->to = (struct file_place){0};
    return vim_task_start(call->server, call, &task, ret);
}

static void disk_task_clear(struct disk_task *work)
{
    file_place_clear(&work->place);
    file_place_clear(&work->to);
}
#define DISK_TASK_AUTO(name) __attribute__((cleanup(disk_task_clear))) struct disk_task name

static struct vim_fault *place_of(struct vim_call *call, const char *text, const char *property,
                                  const struct vim_ref *datacenter, enum vim_privilege privilege,
                                  struct file_place *ret)
{
    struct vim_fault *fault = file_place_of_call(call, text, property, datacenter, privilege, ret);
    return fault != NULL ? fault : file_place_check_target(ret, property);
}

/* ---- specifications --------------------------------------------------------------------------------- */

static struct vim_fault *parse_spec(const struct VirtualDiskSpec *spec, const char *property,
                                    struct disk_copy *ret)
{
    static const struct {
        const char *name;
        enum disk_image_provisioning provisioning;
        bool flat;
    } types[] = {
        {"thin", DISK_IMAGE_THIN, false},
        {"preallocated", DISK_IMAGE_THICK_LAZY, false},
        {"thick", DISK_IMAGE_THICK_LAZY, false},
        {"eagerZeroedThick", DISK_IMAGE_THICK_EAGER, false},
        {"flatMonolithic", DISK_IMAGE_THICK_EAGER, true}, /* which several machines can share */
    };
    static const struct {
        const char *name;
        const char *adapter_type; /* in the descriptor; the newer ones have no word of their own */
    } adapters[] = {
        {"lsiLogic", "lsilogic"}, {"busLogic", "buslogic"}, {"ide", "ide"},       {"lsiLogicSas", "lsilogic"},
        {"pvscsi", "lsilogic"},   {"sata", "lsilogic"},     {"nvme", "lsilogic"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(types) && ret->provisioning == 0; i++) {
        if (g_str_equal(spec->diskType, types[i].name)) {
            ret->provisioning = types[i].provisioning;
            ret->flat = types[i].flat;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(adapters) && ret->adapter_type == NULL; i++) {
        if (g_ascii_strcasecmp(spec->adapterType, adapters[i].name) == 0) {
            ret->adapter_type = adapters[i].adapter_type;
        }
    }
    if (ret->provisioning == 0) {
        g_autofree char *at = g_strdup_printf("%s.diskType", property);
        return fault_invalid_argument(
            at, "%s: \"%s\" is not thin, preallocated, eagerZeroedThick or flatMonolithic", at,
            spec->diskType);
    }
    if (ret->adapter_type == NULL) {
        g_autofree char *at = g_strdup_printf("%s.adapterType", property);
        return fault_invalid_argument(at, "%s: \"%s\" is not lsiLogic, busLogic or ide", at,
                                      spec->adapterType);
    }
    return NULL;
}

/* Kinds of disks that there are not. */
static struct vim_fault *check_spec(const struct VirtualDiskSpec *spec, const char *property)
{
    if (vim_is_a(spec, &DeviceBackedVirtualDiskSpec_type) || vim_is_a(spec, &SeSparseVirtualDiskSpec_type)) {
        return fault_not_supported("%s: disks of %s are not made here", property, spec->vim_type->name);
    }
    return NULL;
}

static struct vim_fault *check_capacity(int64_t kb, const char *property)
{
    return kb > 0 && kb <= max_capacity_kb
               ? NULL
               : fault_invalid_argument(property, "%s: %" G_GINT64_FORMAT " is not 1 KB to 62 TB", property,
                                        kb);
}

/* ---- methods ---------------------------------------------------------------------------------------- */

static struct vim_fault *create_run(struct vim_task *task, const struct disk_task *work)
{
    char uuid[37];
    g_autofree char *message = NULL;
    disk_image_new_uuid(uuid);
    const struct disk_image_options options = {
        .capacity_bytes = work->capacity_kb * 1024,
        .provisioning = work->copy.provisioning,
        .flat = work->copy.flat,
        .adapter_type = work->copy.adapter_type,
        .uuid = uuid,
    };
    int error = disk_image_create(work->place.datastore->fd, work->place.path, &options, &message);
    if (error != 0) {
        return host_file_fault(work->place.text, error, message);
    }
    vim_task_set_result(task, vim_any_string(work->place.text));
    return NULL;
}

static struct vim_fault *create_method(struct vim_call *call, const struct CreateVirtualDisk_Task_args *args,
                                       struct CreateVirtualDisk_Task_result *ret)
{
    DISK_TASK_AUTO(work) = {.host = call->server->hooks_data, .run = create_run};
    struct vim_fault *fault = check_spec(args->spec, "spec");
    if (fault != NULL) {
        return fault;
    }
    if (!vim_is_a(args->spec, &FileBackedVirtualDiskSpec_type)) {
        return fault_not_supported("spec: only disks in files (FileBackedVirtualDiskSpec) are made");
    }
    work.capacity_kb = ((const struct FileBackedVirtualDiskSpec *)args->spec)->capacityKb;
    fault = place_of(call, args->name, "name", &args->datacenter, VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT,
                     &work.place);
    if (fault == NULL) {
        fault = parse_spec(args->spec, "spec", &work.copy);
    }
    if (fault == NULL) {
        fault = check_capacity(work.capacity_kb, "spec.capacityKb");
    }
    if (fault == NULL && !g_str_has_suffix(work.place.path, ".vmdk")) {
        fault = fault_invalid_datastore_path(work.place.datastore->ref, work.place.datastore->name,
                                             args->name, "name: %s: a disk's name ends in .vmdk", args->name);
    }
    return fault != NULL
               ? fault
               : disk_task_start(call, &work, "VirtualDiskManager.createVirtualDisk", false, &ret->returnval);
}

static struct vim_fault *delete_run(struct vim_task *task, const struct disk_task *work)
{
    struct disk_image_info info;
    (void)task;
    struct vim_fault *fault = read_disk(&work->place, &info);
    if (fault != NULL) {
        return fault;
    }
    disk_image_info_clear(&info);
    return file_delete(work->host, &work->place, false);
}

static struct vim_fault *delete_method(struct vim_call *call, const struct DeleteVirtualDisk_Task_args *args,
                                       struct DeleteVirtualDisk_Task_result *ret)
{
    DISK_TASK_AUTO(work) = {.host = call->server->hooks_data, .run = delete_run};
    struct vim_fault *fault = place_of(call, args->name, "name", &args->datacenter,
                                       VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.place);
    return fault != NULL
               ? fault
               : disk_task_start(call, &work, "VirtualDiskManager.deleteVirtualDisk", false, &ret->returnval);
}

/* With `force` the target may be there, but nobody may use it. */
static struct vim_fault *check_replaced(const struct disk_task *work)
{
    return work->copy.force ? files_check_unused(work->host, &work->to) : NULL;
}

static struct vim_fault *copy_run(struct vim_task *task, const struct disk_task *work)
{
    GPtrArray *held = NULL;
    struct vim_fault *fault = files_hold(work->host, task, &work->place, true, &held);
    if (fault == NULL) {
        fault = check_replaced(work);
    }
    if (fault == NULL) {
        fault = disk_copy(task, &work->place, &work->to, &work->copy);
    }
    if (fault == NULL) {
        vim_task_set_result(task, vim_any_string(work->to.text));
    }
    files_release(held);
    return fault;
}

static struct vim_fault *copy_method(struct vim_call *call, const struct CopyVirtualDisk_Task_args *args,
                                     struct CopyVirtualDisk_Task_result *ret)
{
    DISK_TASK_AUTO(work) = {.host = call->server->hooks_data, .run = copy_run};
    struct vim_fault *fault = place_of(call, args->sourceName, "sourceName", &args->sourceDatacenter,
                                       VIM_PRIVILEGE_DATASTORE_BROWSE, &work.place);
    if (fault == NULL) {
        fault = place_of(call, args->destName, "destName", &args->destDatacenter,
                         VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.to);
    }
    if (fault == NULL && args->destSpec != NULL) {
        fault = check_spec(args->destSpec, "destSpec");
    }
    if (fault == NULL && args->destSpec != NULL) {
        fault = parse_spec(args->destSpec, "destSpec", &work.copy);
    }
    work.copy.force = args->force.set && args->force.value;
    return fault != NULL
               ? fault
               : disk_task_start(call, &work, "VirtualDiskManager.copyVirtualDisk", true, &ret->returnval);
}

static struct vim_fault *move_run(struct vim_task *task, const struct disk_task *work)
{
    struct disk_image_info info;
    struct vim_fault *fault = read_disk(&work->place, &info);
    if (fault != NULL) {
        return fault;
    }
    fault = files_check_unused(work->host, &work->place);
    if (fault == NULL) {
        fault = check_replaced(work);
    }
    if (fault == NULL) {
        fault = disk_move(task, &work->place, &info, &work->to, work->copy.force);
    }
    if (fault == NULL) {
        vim_task_set_result(task, vim_any_string(work->to.text));
    }
    disk_image_info_clear(&info);
    return fault;
}

static struct vim_fault *move_method(struct vim_call *call, const struct MoveVirtualDisk_Task_args *args,
                                     struct MoveVirtualDisk_Task_result *ret)
{
    DISK_TASK_AUTO(work) = {.host = call->server->hooks_data, .run = move_run};
    struct vim_fault *fault = place_of(call, args->sourceName, "sourceName", &args->sourceDatacenter,
                                       VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.place);
    if (fault == NULL) {
        fault = place_of(call, args->destName, "destName", &args->destDatacenter,
                         VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.to);
    }
    work.copy.force = args->force.set && args->force.value;
    return fault != NULL
               ? fault
               : disk_task_start(call, &work, "VirtualDiskManager.moveVirtualDisk", true, &ret->returnval);
}

/* ---- changes of a disk ------------------------------------------------------------------------------- */

/* The machines that have the disk, which do not run, show it as it is by now. */
static void show_disk(const GPtrArray *machines)
{
    for (guint i = 0; i < machines->len; i++) {
        struct vm *vm = g_ptr_array_index(machines, i);
        struct VirtualMachineConfigInfo *config = NULL;
        VIM_FAULT_AUTO fault = vm_load(vm->host, vm->vmx_path, &config);
        if (fault == NULL) {
            vm_set_config(vm, config);
        } else {
            g_warning("%s: %s", vm->id, fault->message);
        }
    }
}

/* Does `change` to a disk that nobody uses meanwhile and that stands alone. */
static struct vim_fault *change_disk(struct vim_task *task, const struct disk_task *work,
                                     struct vim_fault *(*change)(struct vim_task *task,
                                                                 const struct disk_task *work,
                                                                 const struct disk_image_info *info))
{
    GPtrArray *held = NULL;
    struct disk_image_info info;
    struct vim_fault *fault = files_hold(work->host, task, &work->place, false, &held);
    if (fault == NULL) {
        fault = read_disk(&work->place, &info);
    }
    if (fault != NULL) {
        files_release(held);
        return fault;
    }
    fault = disk_check_alone(&work->place, &info);
    if (fault == NULL) {
        fault = change(task, work, &info);
    }
    if (fault == NULL) {
        show_disk(held);
    }
    disk_image_info_clear(&info);
    files_release(held);
    return fault;
}

static struct vim_fault *extend(struct vim_task *task, const struct disk_task *work,
                                const struct disk_image_info *info)
{
    g_autofree char *message = NULL;
    (void)task;
    if (work->capacity_kb * 1024 < info->capacity_bytes) {
        return fault_invalid_argument("newCapacityKb",
                                      "newCapacityKb: a disk grows; it has %" G_GINT64_FORMAT " KB",
                                      info->capacity_bytes / 1024);
    }
    int error = disk_image_grow(work->place.datastore->fd, work->place.path, work->capacity_kb * 1024,
                                work->eager_zero, &message);
    return error == 0 ? NULL : host_file_fault(work->place.text, error, message);
}

static struct vim_fault *extend_run(struct vim_task *task, const struct disk_task *work)
{
    return change_disk(task, work, extend);
}

static struct vim_fault *extend_method(struct vim_call *call, const struct ExtendVirtualDisk_Task_args *args,
                                       struct ExtendVirtualDisk_Task_result *ret)
{
    DISK_TASK_AUTO(work) = {
        .host = call->server->hooks_data,
        .capacity_kb = args->newCapacityKb,
        .eager_zero = args->eagerZero.set && args->eagerZero.value,
        .run = extend_run,
    };
    struct vim_fault *fault = place_of(call, args->name, "name", &args->datacenter,
                                       VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.place);
    if (fault == NULL) {
        fault = check_capacity(args->newCapacityKb, "newCapacityKb");
    }
    return fault != NULL
               ? fault
               : disk_task_start(call, &work, "VirtualDiskManager.extendVirtualDisk", false, &ret->returnval);
}

static struct vim_fault *inflate(struct vim_task *task, const struct disk_task *work,
                                 const struct disk_image_info *info)
{
    return info->provisioning == DISK_IMAGE_THICK_EAGER
               ? NULL
               : disk_rewrite(task, &work->place, info, DISK_IMAGE_THICK_EAGER, false);
}

/* The same for what is thick already; a thin disk is inflated by the other name. */
static struct vim_fault *eager_zero(struct vim_task *task, const struct disk_task *work,
                                    const struct disk_image_info *info)
{
    return info->provisioning == DISK_IMAGE_THIN
               ? fault_not_supported("%s is thin: it is inflated, not zeroed", work->place.text)
               : inflate(task, work, info);
}

static struct vim_fault *zero_fill(struct vim_task *task, const struct disk_task *work,
                                   const struct disk_image_info *info)
{
    return disk_rewrite(task, &work->place, info, info->provisioning, true);
}

static struct vim_fault *shrink(struct vim_task *task, const struct disk_task *work,
                                const struct disk_image_info *info)
{
    return info->provisioning != DISK_IMAGE_THIN
               ? fault_not_supported("%s is not thin: its space is set aside on purpose", work->place.text)
               : disk_rewrite(task, &work->place, info, DISK_IMAGE_THIN, false);
}

/* A fresh copy has its clusters in order. Plain bytes have no order of their own. */
static struct vim_fault *defragment(struct vim_task *task, const struct disk_task *work,
                                    const struct disk_image_info *info)
{
    return g_str_equal(info->format, "raw")
               ? NULL
               : disk_rewrite(task, &work->place, info, info->provisioning, false);
}

static struct vim_fault *inflate_run(struct vim_task *task, const struct disk_task *work)
{
    return change_disk(task, work, inflate);
}

static struct vim_fault *eager_zero_run(struct vim_task *task, const struct disk_task *work)
{
    return change_disk(task, work, eager_zero);
}

static struct vim_fault *zero_fill_run(struct vim_task *task, const struct disk_task *work)
{
    return change_disk(task, work, zero_fill);
}

static struct vim_fault *shrink_run(struct vim_task *task, const struct disk_task *work)
{
    return change_disk(task, work, shrink);
}

static struct vim_fault *defragment_run(struct vim_task *task, const struct disk_task *work)
{
    return change_disk(task, work, defragment);
}

/* What the methods that take a disk's name and nothing else have in common. */
struct disk_change_args {
    const char *name;
    const struct vim_ref *datacenter;
    const char *id; /* of the task's description */
    struct vim_fault *(*run)(struct vim_task *task, const struct disk_task *work);
};

static struct vim_fault *change_start(struct vim_call *call, const struct disk_change_args *args,
                                      struct vim_ref *ret)
{
    DISK_TASK_AUTO(work) = {.host = call->server->hooks_data, .run = args->run};
    struct vim_fault *fault = place_of(call, args->name, "name", args->datacenter,
                                       VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.place);
    return fault != NULL ? fault : disk_task_start(call, &work, args->id, true, ret);
}

#define CHANGE_METHOD(function, Method, description)                                                         \
    static struct vim_fault *function##_method(struct vim_call *call, const struct Method##_args *args,      \
                                               struct Method##_result *ret)                                  \
    {                                                                                                        \
        const struct disk_change_args change = {args->name, &args->datacenter, description, function##_run}; \
        return change_start(call, &change, &ret->returnval);                                                 \
    }
CHANGE_METHOD(inflate, InflateVirtualDisk_Task, "VirtualDiskManager.inflateVirtualDisk")
CHANGE_METHOD(eager_zero, EagerZeroVirtualDisk_Task, "VirtualDiskManager.eagerZeroVirtualDisk")
CHANGE_METHOD(zero_fill, ZeroFillVirtualDisk_Task, "VirtualDiskManager.zeroFillVirtualDisk")
CHANGE_METHOD(defragment, DefragmentVirtualDisk_Task, "VirtualDiskManager.defragmentVirtualDisk")

static struct vim_fault *shrink_method(struct vim_call *call, const struct ShrinkVirtualDisk_Task_args *args,
                                       struct ShrinkVirtualDisk_Task_result *ret)
{
    const struct disk_change_args change = {args->name, &args->datacenter,
                                            "VirtualDiskManager.shrinkVirtualDisk", shrink_run};
    if (args->copy.set && !args->copy.value) {
        return fault_not_supported("copy: a disk is shrunk by copying, not in place");
    }
    return change_start(call, &change, &ret->returnval);
}

/* ---- questions --------------------------------------------------------------------------------------- */

/* The VI API writes a disk's UUID here as bytes: "60 00 C2 9x ...-...". */
static char *uuid_as_bytes(const char *uuid)
{
    GString *text = g_string_new(NULL);
    unsigned digits = 0;
    for (const char *at = uuid; *at != '\0'; at++) {
        if (*at == '-') {
            continue;
        }
        if (digits > 0 && digits % 2 == 0) {
            g_string_append_c(text, digits == 16 ? '-' : ' ');
        }
        g_string_append_c(text, g_ascii_tolower(*at));
        digits++;
    }
    return g_string_free(text, FALSE);
}

static struct vim_fault *query_uuid(struct vim_call *call, const struct QueryVirtualDiskUuid_args *args,
                                    struct QueryVirtualDiskUuid_result *ret)
{
    FILE_PLACE_AUTO(place);
    struct disk_image_info info;
    struct vim_fault *fault =
        place_of(call, args->name, "name", &args->datacenter, VIM_PRIVILEGE_DATASTORE_BROWSE, &place);
    if (fault == NULL) {
        fault = read_disk(&place, &info);
    }
    if (fault != NULL) {
        return fault;
    }
    if (info.uuid[0] == '\0') {
        fault = fault_cannot_access_file(place.text, "%s has no UUID", place.text);
    } else {
        ret->returnval = uuid_as_bytes(info.uuid);
    }
    disk_image_info_clear(&info);
    return fault;
}

/* "60 00 c2 9..." or "6000c29..." as the VI API's other form; false when it has not 32 digits. */
static bool uuid_from_bytes(const char *text, char ret[37])
{
    unsigned digits = 0;
    unsigned n = 0;
    for (; *text != '\0'; text++) {
        if (g_ascii_isxdigit(*text) && digits < 32) {
            if (digits == 8 || digits == 12 || digits == 16 || digits == 20) {
                ret[n++] = '-';
            }
            ret[n++] = g_ascii_tolower(*text);
            digits++;
        } else if (*text != ' ' && *text != '-') {
            return false;
        }
    }
    ret[n] = '\0';
    return digits == 32;
}

/* Not of a disk that a machine has: the machine would show the old one. */
static struct vim_fault *set_uuid(struct vim_call *call, const struct SetVirtualDiskUuid_args *args)
{
    struct host *host = call->server->hooks_data;
    FILE_PLACE_AUTO(place);
    char uuid[37];
    g_autofree char *message = NULL;
    struct vim_fault *fault = place_of(call, args->name, "name", &args->datacenter,
                                       VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &place);
    if (fault == NULL && !uuid_from_bytes(args->uuid, uuid)) {
        fault = fault_invalid_argument("uuid", "uuid: \"%s\" is not 16 bytes in hexadecimal", args->uuid);
    }
    if (fault == NULL) {
        fault = files_check_unused(host, &place);
    }
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_set_uuid(place.datastore->fd, place.path, uuid, &message);
    return error == 0 ? NULL : host_file_fault(place.text, error, message);
}

static struct vim_fault *query_geometry(struct vim_call *call,
                                        const struct QueryVirtualDiskGeometry_args *args,
                                        struct QueryVirtualDiskGeometry_result *ret)
{
    FILE_PLACE_AUTO(place);
    struct disk_image_geometry geometry;
    g_autofree char *message = NULL;
    struct vim_fault *fault =
        place_of(call, args->name, "name", &args->datacenter, VIM_PRIVILEGE_DATASTORE_BROWSE, &place);
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_get_geometry(place.datastore->fd, place.path, &geometry, &message);
    if (error != 0) {
        return host_file_fault(place.text, error, message);
    }
    ret->returnval = HostDiskDimensionsChs_new();
    ret->returnval->cylinder = geometry.cylinders;
    ret->returnval->head = geometry.heads;
    ret->returnval->sector = geometry.sectors;
    return NULL;
}

static struct vim_fault *query_fragmentation(struct vim_call *call,
                                             const struct QueryVirtualDiskFragmentation_args *args,
                                             struct QueryVirtualDiskFragmentation_result *ret)
{
    FILE_PLACE_AUTO(place);
    g_autofree char *message = NULL;
    struct vim_fault *fault =
        place_of(call, args->name, "name", &args->datacenter, VIM_PRIVILEGE_DATASTORE_BROWSE, &place);
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_get_fragmentation(place.datastore->fd, place.path, &ret->returnval, &message);
    return error == 0 ? NULL : host_file_fault(place.text, error, message);
}

const struct VirtualDiskManager_methods host_virtual_disk_manager_methods = {
    .CreateVirtualDisk_Task = create_method,
    .DeleteVirtualDisk_Task = delete_method,
    .MoveVirtualDisk_Task = move_method,
    .CopyVirtualDisk_Task = copy_method,
    .ExtendVirtualDisk_Task = extend_method,
    .QueryVirtualDiskFragmentation = query_fragmentation,
    .DefragmentVirtualDisk_Task = defragment_method,
    .ShrinkVirtualDisk_Task = shrink_method,
    .InflateVirtualDisk_Task = inflate_method,
    .EagerZeroVirtualDisk_Task = eager_zero_method,
    .ZeroFillVirtualDisk_Task = zero_fill_method,
    .SetVirtualDiskUuid = set_uuid,
    .QueryVirtualDiskUuid = query_uuid,
    .QueryVirtualDiskGeometry = query_geometry,
};
