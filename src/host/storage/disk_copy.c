// SPDX-License-Identifier: Apache-2.0
/*
 * Copies, converts, imports and moves virtual disks, and rewrites them in place. As in disk_image.h, a descriptor
 * always has its data, also when we die in between:
 *
 *   copy:     data written to name.qcow2.new~, renamed -> descriptor written
 *   move:     data linked under the new name -> new descriptor written -> old descriptor gone -> old name gone
 *   rewrite:  data written to name.qcow2.new~ -> renamed over the old -> descriptor written
 *
 * A rewrite that dies before its last step has the disk's contents, or zeros, as it should, and a descriptor that
 * tells the kind of space that it had before. The old data are locked against writers until the new ones are there.
 *
 * Disks of VMware's products, and disks that build on others, are read by disk_source.c; a copy stands alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/datastore_files.h"
#include "host/storage/disk_lock.h"
#include "host/storage/disk_source.h"
#include "host/storage/vmdk.h"
#include "vim/value.h"

enum {
    DATA_MODE = 0600,
};

static int exists(const struct datastore *datastore, const char *path)
{
    struct file_place place = {(struct datastore *)datastore, (char *)path, NULL};
    struct stat st;
    int error = file_place_stat(&place, &st);
    return error == 0 ? -EEXIST : error == -ENOENT ? 0 : error;
}

/* Where a disk's data are to be. */
static char *data_path_of(const struct file_place *to, bool flat)
{
    return datastore_path_with_suffix(to->path, flat ? DISK_IMAGE_FLAT_SUFFIX : DISK_IMAGE_DATA_SUFFIX);
}

static bool on_progress(void *data, int percent)
{
    struct vim_task *task = data;
    vim_task_progress(task, MIN(percent, 99)); /* 100 is for the end of the task */
    return !vim_task_is_cancelled(task);
}

/* A fault for an errno of disk_image.c and the like; `message` may be NULL. */
static struct vim_fault *disk_fault(const char *text, int error, const char *message)
{
    if (error == -ECANCELED) {
        return fault_request_canceled("the operation was cancelled; nothing of it is left");
    }
    if (error == -EMEDIUMTYPE) {
        return fault_invalid_disk_format("%s: %s", text,
                                         message != NULL ? message : "its kind is not supported");
    }
    return host_file_fault(text, error, message != NULL ? message : "the disk cannot be written there");
}

/* ---- copy -------------------------------------------------------------------------------------------- */

/* A copy under way. */
struct copy {
    struct vim_task *task;
    const struct file_place *from;
    const struct disk_image_info *info; /* of the source; NULL: not a disk of ours */
    const struct file_place *to;
    const struct disk_copy *options;
    enum disk_image_provisioning provisioning; /* of the copy */
    bool flat;                                 /* the copy is plain bytes */
    char *message;                             /* owned: what went wrong, for people, or NULL */
};

/* Whether the bytes of the data can be taken as they are. */
static bool is_plain(const struct copy *copy)
{
    const struct disk_image_info *info = copy->info;
    return info != NULL && info->parent_path == NULL && copy->flat == g_str_equal(info->format, "raw") &&
           (copy->provisioning == info->provisioning ||
            (copy->provisioning == DISK_IMAGE_THICK_LAZY && info->provisioning == DISK_IMAGE_THIN));
}

/* Copies bytes; a thick disk gets its space set aside again, since the copy leaves out what is not written. */
static int copy_plain(struct copy *copy, struct new_file *file)
{
    struct stat st;
    int from_fd = -1;
    int error = file_open(copy->from->datastore->fd, copy->info->data_path, O_RDONLY, 0, &from_fd);
    if (error != 0) {
        return error;
    }
    struct copy_progress progress = {
        .task = copy->task,
        .total_bytes = fstat(from_fd, &st) == 0 ? st.st_size : 0,
    };
    error = disk_lock_take(from_fd, DISK_LOCK_READ);
    if (error == 0) {
        error = file_copy_data(from_fd, file->fd, &progress);
    }
    if (error == 0 && copy->provisioning != DISK_IMAGE_THIN &&
        fallocate(file->fd, FALLOC_FL_KEEP_SIZE, 0, MAX(copy->info->capacity_bytes, st.st_size)) != 0 &&
        errno != EOPNOTSUPP) {
        error = -errno;
    }
    close(from_fd);
    return error;
}

static int copy_converted(struct copy *copy, struct new_file *file, int64_t *ret_capacity_bytes)
{
    struct disk_source source;
    int error = disk_source_open(copy->from->datastore->fd, copy->from->path, &source, &copy->message);
    if (error == 0) {
        const struct disk_target target = {file->fd, copy->flat, copy->provisioning};
        error = disk_source_write(&source, &target, on_progress, copy->task, &copy->message);
        *ret_capacity_bytes = source.capacity_bytes;
        disk_source_clear(&source);
    }
    return error;
}

/* The copy's descriptor. A disk that is moved keeps all that its own says. */
static int write_descriptor(struct copy *copy, const char *data_path, int64_t capacity_bytes)
{
    const struct disk_image_info *info = copy->info;
    const struct disk_copy *options = copy->options;
    char uuid[37];
    if (options->keep_uuid && is_plain(copy)) {
        return disk_image_rename(copy->from->datastore->fd, copy->from->path, copy->to->datastore->fd,
                                 copy->to->path, datastore_path_basename(data_path), &copy->message);
    }
    disk_image_new_uuid(uuid);
    const struct disk_image_options made = {
        .capacity_bytes = capacity_bytes,
        .provisioning = copy->provisioning,
        .flat = copy->flat,
        .adapter_type = options->adapter_type != NULL                   ? options->adapter_type
                        : info != NULL && info->adapter_type[0] != '\0' ? info->adapter_type
                                                                        : NULL,
        .uuid = options->keep_uuid && info != NULL && info->uuid[0] != '\0' ? info->uuid : uuid,
    };
    return disk_image_describe(copy->to->datastore->fd, copy->to->path, &made, &copy->message);
}

static int copy_files(struct copy *copy)
{
    NEW_FILE_AUTO(file);
    const struct file_place *to = copy->to;
    bool force = copy->options->force;
    g_autofree char *data_path = data_path_of(to, copy->flat);
    int64_t capacity_bytes = copy->info != NULL ? copy->info->capacity_bytes : 0;
    int error = force ? 0 : exists(to->datastore, to->path);
    if (error == 0 && !force) {
        error = exists(to->datastore, data_path);
    }
    if (error == 0) {
        error = new_file_begin(to->datastore->fd, data_path, DATA_MODE, &file);
    }
    if (error == 0) {
        error = is_plain(copy) ? copy_plain(copy, &file) : copy_converted(copy, &file, &capacity_bytes);
    }
    if (error == 0) {
        error = new_file_commit(&file, force);
    }
    if (error != 0) {
        return error;
    }
    error = write_descriptor(copy, data_path, capacity_bytes);
    if (error != 0 && !force) {
        (void)file_remove(to->datastore->fd, data_path);
    }
    return error;
}

/* What is true of a copy and a move: nothing stands in the way. */
static struct vim_fault *check_target(const struct file_place *from, const struct disk_image_info *info,
                                      const struct file_place *to)
{
    g_autofree char *data_path = data_path_of(to, false);
    g_autofree char *flat_path = data_path_of(to, true);
    if (!g_str_has_suffix(to->path, ".vmdk")) {
        return fault_invalid_datastore_path(to->datastore->ref, to->datastore->name, to->text,
                                            "%s: a disk's name ends in .vmdk", to->text);
    }
    if (info != NULL && from->datastore == to->datastore &&
        (g_str_equal(info->data_path, data_path) || g_str_equal(info->data_path, flat_path))) {
        return fault_file_already_exists(to->text, "%s has the data of %s", to->text, from->text);
    }
    return NULL;
}

struct vim_fault *disk_copy(struct vim_task *task, const struct file_place *from, const struct file_place *to,
                            const struct disk_copy *options)
{
    struct disk_image_info info;
    struct copy copy = {.task = task, .from = from, .to = to, .options = options};
    int error = disk_image_get_info(from->datastore->fd, from->path, &info, &copy.message);
    bool ours = error == 0;
    struct vim_fault *fault = NULL;
    if (!ours && error != -EMEDIUMTYPE) {
        fault = disk_fault(from->text, error, copy.message);
    }
    g_clear_pointer(&copy.message, g_free);
    if (fault == NULL) {
        copy.info = ours ? &info : NULL;
        fault = check_target(from, copy.info, to);
    }
    if (fault == NULL) {
        bool as_source = ours && options->provisioning == 0 && info.parent_path == NULL;
        copy.provisioning = options->provisioning != 0 ? options->provisioning
                            : as_source                ? info.provisioning
                                                       : DISK_IMAGE_THIN;
        copy.flat = options->flat || (as_source && g_str_equal(info.format, "raw"));
        error = copy_files(&copy);
        fault = error != 0 ? disk_fault(error == -EEXIST ? to->text : from->text, error, copy.message) : NULL;
    }
    if (ours) {
        disk_image_info_clear(&info);
    }
    g_free(copy.message);
    return fault;
}

/* ---- move -------------------------------------------------------------------------------------------- */

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
                      const struct file_place *to, bool force, char **ret_message)
{
    const struct datastore *datastore = from->datastore;
    g_autofree char *data_path = data_path_of(to, g_str_equal(info->format, "raw"));
    int fd = -1;
    int error = file_open(datastore->fd, info->data_path, O_RDONLY, 0, &fd);
    if (error == 0) {
        error = disk_lock_probe(fd, DISK_LOCK_WRITE);
        close(fd);
    }
    if (error == 0 && !force) {
        error = exists(datastore, to->path);
    }
    if (error == 0) {
        error = link_data(datastore, info->data_path, data_path, force);
    }
    if (error != 0) {
        return error;
    }
    error = disk_image_rename(datastore->fd, from->path, datastore->fd, to->path,
                              datastore_path_basename(data_path), ret_message);
    if (error != 0 && !force) {
        (void)file_remove(datastore->fd, data_path);
    }
    if (error == 0) {
        error = file_remove(datastore->fd, from->path);
    }
    return error == 0 ? file_remove(datastore->fd, info->data_path) : error;
}

struct vim_fault *disk_check_childless(const struct file_place *place)
{
    g_autofree char *child = NULL;
    return disk_has_children(place->datastore->fd, place->path, &child)
               ? fault_not_supported("another disk (%s) builds on %s", child, place->text)
               : NULL;
}

struct vim_fault *disk_check_alone(const struct file_place *place, const struct disk_image_info *info)
{
    if (info->parent_path != NULL) {
        return fault_not_supported("%s builds on another disk (%s)", place->text, info->parent_path);
    }
    return disk_check_childless(place);
}

struct vim_fault *disk_move(struct vim_task *task, const struct file_place *from,
                            const struct disk_image_info *info, const struct file_place *to, bool force)
{
    g_autofree char *message = NULL;
    struct vim_fault *fault = check_target(from, info, to);
    if (fault == NULL) {
        fault = disk_check_alone(from, info);
    }
    if (fault != NULL) {
        return fault;
    }
    int error = from->datastore == to->datastore ? move_files(from, info, to, force, &message) : -EXDEV;
    if (error != -EXDEV) {
        return error == 0 ? NULL
                          : host_file_fault(to->text, error,
                                            message != NULL ? message : "the disk cannot be moved there");
    }
    const struct disk_copy options = {.force = force, .keep_uuid = true};
    fault = disk_copy(task, from, to, &options);
    if (fault == NULL) {
        error = disk_image_delete(from->datastore->fd, from->path, &message);
        fault = error == 0 ? NULL : host_file_fault(from->text, error, message);
    }
    return fault;
}

/* ---- rewrite ----------------------------------------------------------------------------------------- */

static int write_blank(const struct disk_image_info *info, const struct disk_target *target,
                       char **ret_message)
{
    const struct disk_image_options options = {
        .capacity_bytes = info->capacity_bytes,
        .provisioning = target->provisioning,
        .flat = target->flat,
    };
    return disk_image_make_data(target->fd, &options, ret_message);
}

static int write_contents(struct vim_task *task, const struct file_place *place,
                          const struct disk_target *target, char **ret_message)
{
    struct disk_source source;
    int error = disk_source_open(place->datastore->fd, place->path, &source, ret_message);
    if (error == 0) {
        error = disk_source_write(&source, target, on_progress, task, ret_message);
        disk_source_clear(&source);
    }
    return error;
}

static int rewrite_files(struct vim_task *task, const struct file_place *place,
                         const struct disk_image_info *info, enum disk_image_provisioning provisioning,
                         bool blank, char **ret_message)
{
    NEW_FILE_AUTO(file);
    int old_fd = -1;
    int error = file_open(place->datastore->fd, info->data_path, O_RDWR, 0, &old_fd);
    if (error != 0) {
        return error;
    }
    error = disk_lock_take(old_fd, blank ? DISK_LOCK_WRITE : DISK_LOCK_READ);
    if (error == 0) {
        error = new_file_begin(place->datastore->fd, info->data_path, DATA_MODE, &file);
    }
    if (error == 0) {
        const struct disk_target target = {file.fd, g_str_equal(info->format, "raw"), provisioning};
        error = blank ? write_blank(info, &target, ret_message)
                      : write_contents(task, place, &target, ret_message);
    }
    if (error == 0) {
        error = new_file_commit(&file, true);
    }
    if (error == 0) {
        error = disk_image_note_provisioning(place->datastore->fd, place->path, provisioning, ret_message);
    }
    close(old_fd);
    return error;
}

struct vim_fault *disk_rewrite(struct vim_task *task, const struct file_place *place,
                               const struct disk_image_info *info, enum disk_image_provisioning provisioning,
                               bool blank)
{
    g_autofree char *message = NULL;
    struct vim_fault *fault = disk_check_alone(place, info);
    if (fault != NULL) {
        return fault;
    }
    int error = rewrite_files(task, place, info, provisioning, blank, &message);
    return error == 0 ? NULL : disk_fault(place->text, error, message);
}
