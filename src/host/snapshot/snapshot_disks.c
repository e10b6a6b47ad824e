// SPDX-License-Identifier: Apache-2.0
/*
 * Which disk builds on which, and new overlays. See snapshot.h.
 *
 * An overlay is a disk of ours like any other, `name-000001.vmdk` with `name-000001.qcow2` beside it. Its
 * descriptor names its parent, a file in the same folder; its data do not: what QEMU and qemu-img are given
 * to open is always the chain that the descriptors say.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "host/storage/disk_image.h"
#include "host/snapshot/snapshot.h"
#include "vim/value.h"

enum {
    OVERLAY_NUMBER_MAX = 999999,
    OVERLAY_DIGITS = 6,
};

bool disk_is_dependent(const struct VirtualDevice *device)
{
    if (!vim_is_a(device, &VirtualDisk_type) ||
        !vim_is_a(device->backing, &VirtualDiskFlatVer2BackingInfo_type)) {
        return false;
    }
    const char *mode = ((const struct VirtualDiskFlatVer2BackingInfo *)device->backing)->diskMode;
    return (mode == NULL || !g_str_has_prefix(mode, "independent")) &&
           !vm_disk_is_temporary(device->backing) && !vm_disk_is_shared(device->backing);
}

const char *disk_file_name(const struct VirtualDevice *device)
{
    return ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName;
}

/* ---- the forest ------------------------------------------------------------------------------------ */

static void node_free(void *data)
{
    struct disk_node *node = data;
    g_free(node->path);
    g_free(node);
}

void disk_forest_free(struct disk_forest *forest)
{
    if (forest != NULL) {
        g_ptr_array_unref(forest->nodes);
        g_free(forest);
    }
}

struct disk_node *disk_forest_find(const struct disk_forest *forest, const char *path)
{
    for (guint i = 0; i < forest->nodes->len; i++) {
        struct disk_node *node = g_ptr_array_index(forest->nodes, i);
        if (g_str_equal(node->path, path)) {
            return node;
        }
    }
    return NULL;
}

/* The parent's path, NULL for a base disk. */
static struct vim_fault *read_parent(struct host *host, const char *path, char **ret)
{
    struct datastore *datastore = NULL;
    g_autofree char *relative = NULL;
    g_autofree char *message = NULL;
    struct disk_image_info info;
    struct vim_fault *fault = host_resolve(host, path, "fileName", &datastore, &relative);
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_get_info(datastore->fd, relative, &info, &message);
    if (error != 0) {
        return host_file_fault(path, error, message);
    }
    *ret = info.parent_path != NULL ? datastore_path_format(datastore->name, info.parent_path) : NULL;
    disk_image_info_clear(&info);
    return NULL;
}

/* Adds a disk and what it builds on, parents first. */
static struct vim_fault *add_chain(struct host *host, struct disk_forest *forest, const char *path)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(g_free);
    struct disk_node *parent = NULL;
    char *next = g_strdup(path);
    while (next != NULL) {
        parent = disk_forest_find(forest, next);
        if (parent != NULL || chain->len > 2 * SNAPSHOT_LEVELS_MAX + 1) {
            break;
        }
        g_ptr_array_add(chain, next);
        next = NULL;
        struct vim_fault *fault = read_parent(host, g_ptr_array_index(chain, chain->len - 1), &next);
        if (fault != NULL) {
            return fault;
        }
    }
    if (next != NULL && parent == NULL) { /* a circle, or deeper than anything we make */
        struct vim_fault *fault = host_file_fault(path, -ELOOP, "too many disks build on each other");
        g_free(next);
        return fault;
    }
    g_free(next);
    for (guint i = chain->len; i-- > 0;) {
        struct disk_node *node = g_new0(struct disk_node, 1);
        node->path = g_strdup(g_ptr_array_index(chain, i));
        node->parent = parent;
        if (parent != NULL) {
            parent->children++;
        }
        g_ptr_array_add(forest->nodes, node);
        parent = node;
    }
    return NULL;
}

static bool in_one_folder(const struct disk_node *a, const struct disk_node *b)
{
    g_autofree char *folder_a = g_path_get_dirname(a->path);
    g_autofree char *folder_b = g_path_get_dirname(b->path);
    return g_str_equal(folder_a, folder_b);
}

/* What lies elsewhere may be another machine's, which has lent it. */
static void find_own(struct disk_forest *forest)
{
    for (guint i = forest->nodes->len; i-- > 0;) { /* children come after their parents */
        struct disk_node *node = g_ptr_array_index(forest->nodes, i);
        node->own = node->own || node->named;
        if (node->own && node->parent != NULL && in_one_folder(node, node->parent)) {
            node->parent->own = true;
        }
    }
}

struct vim_fault *disk_forest_load(struct host *host, const struct VirtualMachineConfigInfo *config,
                                   const struct snapshot_list *list, struct disk_forest **ret)
{
    g_autoptr(disk_forest) forest = g_new0(struct disk_forest, 1);
    forest->nodes = g_ptr_array_new_with_free_func(node_free);
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (!vim_is_a(device, &VirtualDisk_type) ||
            !vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
            continue;
        }
        struct vim_fault *fault = add_chain(host, forest, disk_file_name(device));
        if (fault != NULL) {
            return fault;
        }
        struct disk_node *node = disk_forest_find(forest, disk_file_name(device));
        node->named = true;
        node->device_key = device->key;
    }
    for (guint i = 0; i < list->snapshots->len; i++) {
        const struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        for (guint n = 0; n < snapshot->disks->len; n++) {
            const struct snapshot_disk *disk = g_ptr_array_index(snapshot->disks, n);
            struct vim_fault *fault = add_chain(host, forest, disk->file_name);
            if (fault != NULL) {
                return fault;
            }
            disk_forest_find(forest, disk->file_name)->named = true;
        }
    }
    find_own(forest);
    *ret = g_steal_pointer(&forest);
    return NULL;
}

const struct disk_node *disk_forest_next_merge(const struct disk_forest *forest)
{
    /* Parents come first in the list, so this is the merge nearest to a base disk: what is merged upwards is
     * copied only once. */
    for (guint i = 0; i < forest->nodes->len; i++) {
        const struct disk_node *node = g_ptr_array_index(forest->nodes, i);
        const struct disk_node *parent = node->parent;
        if (parent != NULL && parent->own && !parent->named && parent->children == 1) {
            return node;
        }
    }
    return NULL;
}

struct vim_fault *disk_open(struct host *host, const char *path, bool read_only, int *ret_fd,
                            const char **ret_format)
{
    struct datastore *datastore = NULL;
    g_autofree char *relative = NULL;
    g_autofree char *message = NULL;
    struct vim_fault *fault = host_resolve(host, path, "fileName", &datastore, &relative);
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_open(datastore->fd, relative, read_only, ret_fd, ret_format, &message);
    return error == 0 ? NULL : host_file_fault(path, error, message);
}

/* ---- overlays -------------------------------------------------------------------------------------- */

static void overlay_free(void *data)
{
    struct overlay *overlay = data;
    g_free(overlay->path);
    g_free(overlay->parent);
    g_free(overlay);
}

static bool exists(const struct datastore *datastore, const char *path)
{
    g_autofree char *data = datastore_path_with_suffix(path, ".qcow2");
    struct stat st;
    return fstatat(datastore->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstatat(datastore->fd, data, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether an overlay that is planned has this path. */
static bool is_planned(const GPtrArray *overlays, const char *path)
{
    for (guint i = 0; i < overlays->len; i++) {
        if (g_str_equal(((const struct overlay *)g_ptr_array_index(overlays, i))->path, path)) {
            return true;
        }
    }
    return false;
}

/* "web-000012" is "web": overlays are numbered within their base disk's name. */
static void strip_number(char *stem)
{
    size_t length = strlen(stem);
    if (length <= OVERLAY_DIGITS + 1 || stem[length - OVERLAY_DIGITS - 1] != '-') {
        return;
    }
    for (size_t i = length - OVERLAY_DIGITS; i < length; i++) {
        if (!g_ascii_isdigit(stem[i])) {
            return;
        }
    }
    stem[length - OVERLAY_DIGITS - 1] = '\0';
}

/* The next free name beside the parent. */
static struct vim_fault *overlay_name(struct host *host, const GPtrArray *overlays, const char *parent,
                                      char **ret)
{
    struct datastore *datastore = NULL;
    g_autofree char *relative = NULL;
    struct vim_fault *fault = host_resolve(host, parent, "fileName", &datastore, &relative);
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *stem = datastore_path_with_suffix(relative, "");
    strip_number(stem);
    for (int n = 1; n <= OVERLAY_NUMBER_MAX; n++) {
        g_autofree char *path = g_strdup_printf("%s-%0*d.vmdk", stem, OVERLAY_DIGITS, n);
        g_autofree char *text = datastore_path_format(datastore->name, path);
        if (!exists(datastore, path) && !is_planned(overlays, text)) {
            *ret = g_steal_pointer(&text);
            return NULL;
        }
    }
    return host_file_fault(parent, -EEXIST, "there is no name left for an overlay");
}

struct vim_fault *overlays_plan(struct host *host, const struct VirtualMachineConfigInfo *config,
                                GPtrArray **ret)
{
    g_autoptr(GPtrArray) overlays = g_ptr_array_new_with_free_func(overlay_free);
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (!disk_is_dependent(device)) {
            continue;
        }
        char *path = NULL;
        struct vim_fault *fault = overlay_name(host, overlays, disk_file_name(device), &path);
        if (fault != NULL) {
            return fault;
        }
        struct overlay *overlay = g_new0(struct overlay, 1);
        overlay->device_key = device->key;
        overlay->path = path;
        overlay->parent = g_strdup(disk_file_name(device));
        g_ptr_array_add(overlays, overlay);
    }
    *ret = g_steal_pointer(&overlays);
    return NULL;
}

static struct vim_fault *make(struct host *host, const struct overlay *overlay)
{
    struct datastore *datastore = NULL;
    g_autofree char *parent = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    struct disk_image_info info;
    struct vim_fault *fault = host_resolve(host, overlay->parent, "fileName", &datastore, &parent);
    if (fault == NULL) {
        fault = host_resolve(host, overlay->path, "fileName", &datastore, &path);
    }
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_get_info(datastore->fd, parent, &info, &message);
    if (error != 0) {
        return host_file_fault(overlay->parent, error, message);
    }
    struct disk_image_options options = {
        .capacity_bytes = info.capacity_bytes,
        .provisioning = DISK_IMAGE_THIN,
        .adapter_type = info.adapter_type[0] != '\0' ? info.adapter_type : NULL,
        .uuid = info.uuid[0] != '\0' ? info.uuid : NULL, /* what the guest sees is the same disk */
        .parent = datastore_path_basename(parent),
        .parent_cid = (uint32_t)g_ascii_strtoull(info.content_id, NULL, 16),
    };
    error = disk_image_create(datastore->fd, path, &options, &message);
    disk_image_info_clear(&info);
    return error == 0 ? NULL : host_file_fault(overlay->path, error, message);
}

struct vim_fault *overlays_make(struct host *host, const GPtrArray *overlays)
{
    struct vim_fault *fault = NULL;
    for (guint i = 0; i < overlays->len && fault == NULL; i++) {
        fault = make(host, g_ptr_array_index(overlays, i));
    }
    return fault;
}

void overlays_apply(const GPtrArray *overlays, struct VirtualMachineConfigInfo *config)
{
    for (guint i = 0; i < overlays->len; i++) {
        const struct overlay *overlay = g_ptr_array_index(overlays, i);
        struct VirtualDevice *device = vm_device_by_key(config, overlay->device_key);
        vim_set_string(&((struct VirtualDeviceFileBackingInfo *)device->backing)->fileName, overlay->path);
    }
}
