// SPDX-License-Identifier: Apache-2.0
/*
 * VirtualDiskManager: makes, deletes, moves, copies and extends disks outside of virtual machines.
 *
 * As in disk_image.h, a descriptor always has its data, also when we die in between:
 *
 *   copy:  data written to name.qcow2.new~, renamed -> descriptor written
 *   move:  data linked under the new name -> new descriptor written -> old descriptor gone -> old name gone
 *
 * What other products' disks are is told, but they are moved and copied only as plain files (FileManager).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/datastore_files.h"
#include "host/vm.h"
#include "host/vmdk.h"
#include "vim/value.h"

enum {
    DATA_MODE = 0600,
};
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

/* ---- copy and move ---------------------------------------------------------------------------------- */

static int exists(const struct datastore *datastore, const char *path)
{
    struct file_place place = {(struct datastore *)datastore, (char *)path, NULL};
    struct stat st;
    int error = file_place_stat(&place, &st);
    return error == 0 ? -EEXIST : error == -ENOENT ? 0 : error;
}

static int read_descriptor(const struct file_place *place, struct vmdk **ret)
{
    g_autofree char *text = NULL;
    g_autofree char *message = NULL;
    size_t length = 0;
    int error = file_read(place->datastore->fd, place->path, VMDK_MAX_BYTES, &text, &length);
    return error == 0 ? vmdk_parse(text, length, ret, &message) : error;
}

static int write_descriptor(const struct file_place *place, const struct vmdk *vmdk)
{
    size_t length = 0;
    g_autofree char *text = vmdk_format(vmdk, &length);
    return file_replace(place->datastore->fd, place->path, text, length, DATA_MODE);
}

static void set_data_file(struct vmdk *vmdk, const char *data_path)
{
    struct vmdk_extent *extent = g_ptr_array_index(vmdk->extents, 0);
    vim_set_string(&extent->file, datastore_path_basename(data_path));
}

/* The descriptor of a copy. */
static int plan_copy(const struct file_place *from, const struct disk_image_info *info, const char *data_path,
                     const struct disk_copy *options, struct vmdk **ret)
{
    char uuid[37];
    disk_image_new_uuid(uuid);
    enum disk_image_provisioning provisioning =
        options->provisioning != 0 ? options->provisioning : info->provisioning;
    if (provisioning == info->provisioning && options->adapter_type == NULL && options->keep_uuid) {
        int error = read_descriptor(from, ret);
        if (error == 0) {
            set_data_file(*ret, data_path);
        }
        return error;
    }
    struct vmdk_new_options made = {
        .capacity_bytes = info->capacity_bytes,
        .data_file = datastore_path_basename(data_path),
        .adapter_type = options->adapter_type != NULL   ? options->adapter_type
                        : info->adapter_type[0] != '\0' ? info->adapter_type
                                                        : NULL,
        .uuid = options->keep_uuid && info->uuid[0] != '\0' ? info->uuid : uuid,
        .cid = (uint32_t)g_ascii_strtoull(info->content_id, NULL, 16),
        .thin = provisioning == DISK_IMAGE_THIN,
    };
    return vmdk_new(&made, ret);
}

/* Sets space aside for what a thin disk has not allocated yet. Where the file system cannot, it stays thin
 * in truth, as a disk of the kind "preallocated" may. */
static int reserve(int fd, const struct disk_image_info *info, enum disk_image_provisioning wanted)
{
    if (wanted != DISK_IMAGE_THICK_LAZY || info->provisioning != DISK_IMAGE_THIN) {
        return 0;
    }
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, info->capacity_bytes) != 0 && errno != EOPNOTSUPP) {
        return -errno;
    }
    return 0;
}

static int copy_data(struct vim_task *task, const struct file_place *from, const struct disk_image_info *info,
                     const struct disk_copy *options, struct new_file *file)
{
    int from_fd = -1;
    struct stat st;
    int error = file_open(from->datastore->fd, info->data_path, O_RDONLY, 0, &from_fd);
    if (error != 0) {
        return error;
    }
    struct copy_progress progress = {
        .task = task,
        .total_bytes = fstat(from_fd, &st) == 0 ? st.st_size : 0,
        .skip_zeros = options->provisioning == DISK_IMAGE_THIN && info->provisioning != DISK_IMAGE_THIN,
    };
    error = file_copy_data(from_fd, file->fd, &progress);
    if (error == 0) {
        error = reserve(file->fd, info, options->provisioning);
    }
    close(from_fd);
    return error;
}

static int copy_files(struct vim_task *task, const struct file_place *from,
                      const struct disk_image_info *info, const struct file_place *to,
                      const struct disk_copy *options)
{
    NEW_FILE_AUTO(file);
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = datastore_path_with_suffix(to->path, ".qcow2");
    int error = plan_copy(from, info, data_path, options, &vmdk);
    if (error == 0 && !options->force) {
        error = exists(to->datastore, to->path);
    }
    if (error == 0 && !options->force) {
        error = exists(to->datastore, data_path);
    }
    if (error == 0) {
        error = new_file_begin(to->datastore->fd, data_path, DATA_MODE, &file);
    }
    if (error == 0) {
        error = copy_data(task, from, info, options, &file);
    }
    if (error == 0) {
        error = new_file_commit(&file, options->force);
    }
    if (error != 0) {
        return error;
    }
    error = write_descriptor(to, vmdk);
    if (error != 0 && !options->force) {
        (void)file_remove(to->datastore->fd, data_path);
    }
    return error;
}

/* What is true of a copy and a move: nothing stands in the way, and the disk stands alone. */
static struct vim_fault *check_target(const struct file_place *from, const struct disk_image_info *info,
                                      const struct file_place *to)
{
    g_autofree char *data_path = datastore_path_with_suffix(to->path, ".qcow2");
    if (!g_str_has_suffix(to->path, ".vmdk")) {
        return fault_invalid_datastore_path(to->datastore->ref, to->datastore->name, to->text,
                                            "%s: a disk's name ends in .vmdk", to->text);
    }
    if (info->parent_path != NULL) {
        return fault_not_supported("%s builds on another disk (%s)", from->text, info->parent_path);
    }
    if (from->datastore == to->datastore && g_str_equal(info->data_path, data_path)) {
        return fault_file_already_exists(to->text, "%s has the data of %s", to->text, from->text);
    }
    return NULL;
}

struct vim_fault *disk_copy(struct vim_task *task, const struct file_place *from,
                            const struct disk_image_info *info, const struct file_place *to,
                            const struct disk_copy *options)
{
    struct vim_fault *fault = check_target(from, info, to);
    if (fault != NULL) {
        return fault;
    }
    if (options->provisioning == DISK_IMAGE_THICK_EAGER && info->provisioning != DISK_IMAGE_THICK_EAGER) {
        return fault_not_supported("a copy is not made eagerZeroedThick when its source is not");
    }
    int error = copy_files(task, from, info, to, options);
    return error == 0 ? NULL : file_copy_fault(to->text, error, "the disk cannot be copied there");
}

/* Gives data a second name. */
static int link_data(const struct datastore *datastore, const char *from, const char *to, bool replace)
{
    int from_fd = -1;
    int to_fd = -1;
    const char *from_name = NULL;
    const char *to_name = NULL;
    int error = file_open_parent(datastore->fd, from, &from_fd, &from_name);
    if (error != 0) {
        return error;
    }
    error = file_open_parent(datastore->fd, to, &to_fd, &to_name);
    if (error == 0) {
        g_autofree char *new_name = g_strconcat(to_name, FILE_NEW_SUFFIX, NULL);
        if (replace) {
            (void)unlinkat(to_fd, new_name, 0);
        }
        if (linkat(from_fd, from_name, to_fd, replace ? new_name : to_name, 0) != 0 ||
            (replace && renameat(to_fd, new_name, to_fd, to_name) != 0) || fsync(to_fd) != 0) {
            error = -errno;
        }
        close(to_fd);
    }
    close(from_fd);
    return error;
}

/* Within one datastore: no data are copied. */
static int move_files(const struct file_place *from, const struct disk_image_info *info,
                      const struct file_place *to, bool force)
{
    const struct datastore *datastore = from->datastore;
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = datastore_path_with_suffix(to->path, ".qcow2");
    int error = read_descriptor(from, &vmdk);
    if (error == 0 && !force) {
        error = exists(datastore, to->path);
    }
    if (error == 0) {
        error = link_data(datastore, info->data_path, data_path, force);
    }
    if (error != 0) {
        return error;
    }
    set_data_file(vmdk, data_path);
    error = write_descriptor(to, vmdk);
    if (error != 0 && !force) {
        (void)file_remove(datastore->fd, data_path);
    }
    if (error == 0) {
        error = file_remove(datastore->fd, from->path);
    }
    return error == 0 ? file_remove(datastore->fd, info->data_path) : error;
}

struct vim_fault *disk_move(struct vim_task *task, const struct file_place *from,
                            const struct disk_image_info *info, const struct file_place *to, bool force)
{
    g_autofree char *message = NULL;
    struct vim_fault *fault = check_target(from, info, to);
    if (fault != NULL) {
        return fault;
    }
    int error = from->datastore == to->datastore ? move_files(from, info, to, force) : -EXDEV;
    if (error != -EXDEV) {
        return error == 0 ? NULL : host_file_fault(to->text, error, "the disk cannot be moved there");
    }
    const struct disk_copy options = {.force = force, .keep_uuid = true};
    fault = disk_copy(task, from, info, to, &options);
    if (fault == NULL) {
        error = disk_image_delete(from->datastore->fd, from->path, &message);
        fault = error == 0 ? NULL : host_file_fault(from->text, error, message);
    }
    return fault;
}

/* ---- the frame of a task ---------------------------------------------------------------------------- */

/* One operation; what its kind does not need is unset. */
struct disk_task {
    struct host *host;
    struct file_place place; /* the disk, or the source; owned */
    struct file_place to;    /* owned */
    struct disk_copy copy;
    int64_t capacity_kb;
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
    struct vim_fault *fault = work->run(task, work);
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
    } types[] = {
        {"thin", DISK_IMAGE_THIN},
        {"preallocated", DISK_IMAGE_THICK_LAZY},
        {"thick", DISK_IMAGE_THICK_LAZY},
        {"eagerZeroedThick", DISK_IMAGE_THICK_EAGER},
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
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(adapters) && ret->adapter_type == NULL; i++) {
        if (g_ascii_strcasecmp(spec->adapterType, adapters[i].name) == 0) {
            ret->adapter_type = adapters[i].adapter_type;
        }
    }
    if (ret->provisioning == 0) {
        g_autofree char *at = g_strdup_printf("%s.diskType", property);
        return fault_invalid_argument(at, "%s: \"%s\" is not thin, preallocated or eagerZeroedThick", at,
                                      spec->diskType);
    }
    if (ret->adapter_type == NULL) {
        g_autofree char *at = g_strdup_printf("%s.adapterType", property);
        return fault_invalid_argument(at, "%s: \"%s\" is not lsiLogic, busLogic or ide", at,
                                      spec->adapterType);
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
    if (!vim_is_a(args->spec, &FileBackedVirtualDiskSpec_type)) {
        return fault_not_supported("spec: only disks in files (FileBackedVirtualDiskSpec) are made");
    }
    work.capacity_kb = ((const struct FileBackedVirtualDiskSpec *)args->spec)->capacityKb;
    struct vim_fault *fault = place_of(call, args->name, "name", &args->datacenter,
                                       VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.place);
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
    struct disk_image_info info;
    struct vim_fault *fault = files_hold(work->host, task, &work->place, true, &held);
    if (fault == NULL) {
        fault = read_disk(&work->place, &info);
    }
    if (fault != NULL) {
        files_release(held);
        return fault;
    }
    fault = check_replaced(work);
    if (fault == NULL) {
        fault = disk_copy(task, &work->place, &info, &work->to, &work->copy);
    }
    if (fault == NULL) {
        vim_task_set_result(task, vim_any_string(work->to.text));
    }
    disk_image_info_clear(&info);
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

/* ---- extend ----------------------------------------------------------------------------------------- */

/* The machines that have the disk show its new size. */
static void show_capacity(const struct disk_task *work, const GPtrArray *machines)
{
    for (guint i = 0; i < machines->len; i++) {
        struct vm *vm = g_ptr_array_index(machines, i);
        struct VirtualMachineConfigInfo *config = vm_config(vm);
        for (uint32_t k = 0; config != NULL && k < config->hardware->device.n; k++) {
            struct VirtualDisk *disk = (struct VirtualDisk *)config->hardware->device.items[k];
            if (vim_is_a(disk, &VirtualDisk_type) &&
                vim_is_a(disk->backing, &VirtualDeviceFileBackingInfo_type) &&
                g_strcmp0(((const struct VirtualDeviceFileBackingInfo *)disk->backing)->fileName,
                          work->place.text) == 0) {
                disk->capacityInKB = work->capacity_kb;
                vim_set_optional(&disk->capacityInBytes, work->capacity_kb * 1024);
                vm_device_describe((struct VirtualDevice *)disk);
            }
        }
        if (config != NULL) {
            vm_set_config(vm, config);
        }
    }
}

static struct vim_fault *extend_checked(const struct disk_task *work, const struct disk_image_info *info)
{
    g_autofree char *message = NULL;
    if (work->capacity_kb * 1024 < info->capacity_bytes) {
        return fault_invalid_argument("newCapacityKb",
                                      "newCapacityKb: a disk grows; it has %" G_GINT64_FORMAT " KB",
                                      info->capacity_bytes / 1024);
    }
    if (info->parent_path != NULL) {
        return fault_not_supported("%s builds on another disk (%s)", work->place.text, info->parent_path);
    }
    int error =
        disk_image_grow(work->place.datastore->fd, work->place.path, work->capacity_kb * 1024, &message);
    return error == 0 ? NULL : host_file_fault(work->place.text, error, message);
}

static struct vim_fault *extend_run(struct vim_task *task, const struct disk_task *work)
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
    fault = extend_checked(work, &info);
    if (fault == NULL) {
        show_capacity(work, held);
    }
    disk_image_info_clear(&info);
    files_release(held);
    return fault;
}

static struct vim_fault *extend_method(struct vim_call *call, const struct ExtendVirtualDisk_Task_args *args,
                                       struct ExtendVirtualDisk_Task_result *ret)
{
    DISK_TASK_AUTO(work) = {
        .host = call->server->hooks_data,
        .capacity_kb = args->newCapacityKb,
        .run = extend_run,
    };
    struct vim_fault *fault = place_of(call, args->name, "name", &args->datacenter,
                                       VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT, &work.place);
    if (fault == NULL) {
        fault = check_capacity(args->newCapacityKb, "newCapacityKb");
    }
    if (fault == NULL && args->eagerZero.set && args->eagerZero.value) {
        fault = fault_not_supported("eagerZero: what is added to a disk is not written with zeros");
    }
    return fault != NULL
               ? fault
               : disk_task_start(call, &work, "VirtualDiskManager.extendVirtualDisk", false, &ret->returnval);
}

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

const struct VirtualDiskManager_methods host_virtual_disk_manager_methods = {
    .CreateVirtualDisk_Task = create_method,
    .DeleteVirtualDisk_Task = delete_method,
    .MoveVirtualDisk_Task = move_method,
    .CopyVirtualDisk_Task = copy_method,
    .ExtendVirtualDisk_Task = extend_method,
    .QueryVirtualDiskUuid = query_uuid,
};
