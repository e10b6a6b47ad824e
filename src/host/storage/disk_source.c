// SPDX-License-Identifier: Apache-2.0
/*
 * Reads any virtual disk; see disk_source.h.
 *
 *   ours               the chain of descriptors  ->  a qcow2 node on a qcow2 node ..., the last without a parent
 *   one sparse file    the header is checked     ->  a vmdk node on the file, without a parent
 *   several extents    the descriptor is read, its extents are opened, and a new descriptor, in memory, names
 *                      them as the descriptors that qemu-img has
 *
 * QEMU's reader of sparse extents takes one with a capacity of 0 for a descriptor in disguise, and opens the files
 * that it names. The headers of all extents are looked at, so that none of them is.
 */
#include "host/storage/disk_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/datastore_path.h"
#include "host/storage/vmdk.h"

enum {
    FIRST_FD = 4,      /* in qemu-img: 3 is the target */
    CHAIN_MAX = 64,    /* disks that build on each other */
    EXTENTS_MAX = 512, /* each is an open file; of 2 GiB each they are 1 TiB */
    SPARSE_HEADER_BYTES = 512,
    SPARSE_VERSION_MAX = 3,
    TIMEOUT_MS = 60 * 1000,
    BYTES_PER_MS = 10 * 1000, /* the slowest storage that is waited for */
};
static const uint64_t capacity_max_sectors = UINT64_C(62) << 31; /* 62 TiB */

static int fail(int error, char **ret_message, const char *path, const char *what)
{
    *ret_message = g_strdup_printf("%s: %s", path, what);
    return error;
}

static void close_fd(void *fd)
{
    close(*(int *)fd);
}

/* Takes over a descriptor as the next one, and gives the name that it has in qemu-img (g_free). */
static void add_fd(struct disk_source *source, int fd, char **ret_name)
{
    *ret_name = g_strdup_printf("/proc/self/fd/%u", FIRST_FD + source->fds->len);
    g_array_append_val(source->fds, fd);
}

static int add_file(struct disk_source *source, int dir_fd, const char *path, char **ret_name)
{
    int fd = -1;
    int error = file_open(dir_fd, path, O_RDONLY, 0, &fd);
    if (error == 0) {
        add_fd(source, fd, ret_name);
    }
    return error;
}

static int last_fd(const struct disk_source *source)
{
    return g_array_index(source->fds, int, source->fds->len - 1);
}

/* ---- disks of ours ------------------------------------------------------------------------------------ */

/* The node of one disk, onto which `parent` (or "null") is put. Takes nothing over. */
static char *node_of(const char *format, const char *file, const char *parent)
{
    bool qcow2 = g_str_equal(format, "qcow2");
    return g_strdup_printf("{\"driver\": \"%s\", \"file\": {\"driver\": \"file\", \"filename\": \"%s\"}%s%s}",
                           format, file, qcow2 ? ", \"backing\": " : "", qcow2 ? parent : "");
}

/* Opens the data of a disk and of all that it builds on, top first. */
static int open_chain(struct disk_source *source, int dir_fd, const char *path, GPtrArray *formats,
                      GPtrArray *names, char **ret_message)
{
    g_autofree char *at = g_strdup(path);
    for (int depth = 0; at != NULL; depth++) {
        struct disk_image_info info;
        char *name = NULL;
        const char *format = NULL;
        int fd = -1;
        if (depth == CHAIN_MAX) {
            return fail(-ELOOP, ret_message, path, "too many disks build on each other");
        }
        int error = disk_image_get_info(dir_fd, at, &info, ret_message);
        if (error < 0) {
            return error;
        }
        if (depth == 0) {
            source->capacity_bytes = info.capacity_bytes;
        }
        error = disk_image_open(dir_fd, at, true, &fd, &format, ret_message);
        g_free(at);
        at = g_steal_pointer(&info.parent_path);
        disk_image_info_clear(&info);
        if (error < 0) {
            return error;
        }
        add_fd(source, fd, &name);
        g_ptr_array_add(names, name);
        g_ptr_array_add(formats, (gpointer)format);
        if (at != NULL && !g_str_equal(format, "qcow2")) {
            return fail(-EUCLEAN, ret_message, path, "a flat disk builds on another one");
        }
    }
    return 0;
}

static int open_ours(struct disk_source *source, int dir_fd, const char *path, char **ret_message)
{
    g_autoptr(GPtrArray) formats = g_ptr_array_new();
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    int error = open_chain(source, dir_fd, path, formats, names, ret_message);
    if (error < 0) {
        return error;
    }
    g_autofree char *node = g_strdup("null");
    for (guint i = names->len; i-- > 0;) {
        char *next = node_of(g_ptr_array_index(formats, i), g_ptr_array_index(names, i), node);
        g_free(node);
        node = next;
    }
    source->node = g_strconcat("json:", node, NULL);
    return 0;
}

/* ---- sparse extents ----------------------------------------------------------------------------------- */

static uint64_t little_endian(const unsigned char *bytes, int n)
{
    uint64_t number = 0;
    while (n-- > 0) {
        number = number << 8 | bytes[n];
    }
    return number;
}

/* Looks at a hosted sparse extent's header (VMware's "Virtual Disk Format 5.0"): capacity, and where the descriptor
 * is that a single file carries inside (0 bytes: none). */
static int check_sparse(int fd, uint64_t *ret_sectors, off_t *ret_descriptor, size_t *ret_length)
{
    unsigned char header[SPARSE_HEADER_BYTES];
    ssize_t n = pread(fd, header, sizeof(header), 0);
    if (n < 0) {
        return -errno;
    }
    if (n < (ssize_t)sizeof(header)) {
        return -EUCLEAN;
    }
    enum vmdk_kind kind = vmdk_probe(header, sizeof(header));
    if (kind != VMDK_KIND_MONOLITHIC_SPARSE && kind != VMDK_KIND_STREAM_OPTIMIZED) {
        return -EMEDIUMTYPE;
    }
    uint64_t version = little_endian(header + 4, 4);
    uint64_t sectors = little_endian(header + 12, 8);
    uint64_t offset = little_endian(header + 28, 8);
    uint64_t size = little_endian(header + 36, 8);
    if (version < 1 || version > SPARSE_VERSION_MAX || sectors == 0 || sectors > capacity_max_sectors) {
        return -EUCLEAN;
    }
    *ret_sectors = sectors;
    *ret_descriptor = (off_t)(MIN(offset, VMDK_MAX_BYTES) * VMDK_SECTOR_BYTES);
    *ret_length = offset == 0 ? 0 : (size_t)MIN(size * VMDK_SECTOR_BYTES, (uint64_t)VMDK_MAX_BYTES);
    return 0;
}

static int refuse_parent(const struct vmdk *vmdk, const char *path, char **ret_message)
{
    return vmdk->parent_cid == VMDK_NO_PARENT && vmdk->parent_file_hint == NULL
               ? 0
               : fail(-EMEDIUMTYPE, ret_message, path,
                      "it builds on another disk; consolidate its snapshots where it comes from");
}

/* One file with the descriptor inside, which says whether it builds on another disk. */
static int open_sparse(struct disk_source *source, int dir_fd, const char *path, char **ret_message)
{
    g_autofree char *name = NULL;
    g_autofree char *text = NULL;
    g_autoptr(vmdk) vmdk = NULL;
    uint64_t sectors = 0;
    off_t offset = 0;
    size_t length = 0;
    int error = add_file(source, dir_fd, path, &name);
    if (error == 0) {
        error = check_sparse(last_fd(source), &sectors, &offset, &length);
    }
    if (error < 0) {
        return fail(error, ret_message, path, "not a sparse disk with a sound header");
    }
    text = g_malloc0(length + 1);
    ssize_t n = length > 0 ? pread(last_fd(source), text, length, offset) : 0;
    if (n > 0) { /* padded with zeros to whole sectors */
        error = vmdk_parse(text, strnlen(text, (size_t)n), &vmdk, ret_message);
        error = error == 0 ? refuse_parent(vmdk, path, ret_message) : error;
        if (error < 0) {
            return error;
        }
    }
    source->capacity_bytes = (int64_t)(sectors * VMDK_SECTOR_BYTES);
    source->node =
        g_strdup_printf("json:{\"driver\": \"vmdk\", \"file\": {\"driver\": \"file\", \"filename\": "
                        "\"%s\"}, \"backing\": null}",
                        name);
    return 0;
}

/* ---- descriptors with extents -------------------------------------------------------------------------- */

static int check_extent(const struct vmdk_extent *extent, int fd)
{
    struct stat st;
    uint64_t sectors = 0;
    off_t offset = 0;
    size_t length = 0;
    if (vmdk_extent_is_flat(extent)) {
        uint64_t end = (extent->offset + extent->sectors) * VMDK_SECTOR_BYTES;
        if (fstat(fd, &st) < 0) {
            return -errno;
        }
        return (uint64_t)st.st_size >= end ? 0 : -EUCLEAN;
    }
    int error = check_sparse(fd, &sectors, &offset, &length);
    return error == 0 && sectors < extent->sectors ? -EUCLEAN : error;
}

/* The line of the new descriptor, after opening what it names. */
static int add_extent(struct disk_source *source, int dir_fd, const char *folder,
                      const struct vmdk_extent *extent, GString *text, char **ret_message)
{
    bool flat = vmdk_extent_is_flat(extent);
    g_autofree char *path = NULL;
    g_autofree char *name = NULL;
    const char *rule = NULL;
    if (g_ascii_strcasecmp(extent->type, "ZERO") == 0) {
        g_string_append_printf(text, "RW %" G_GUINT64_FORMAT " ZERO\n", extent->sectors);
        return 0;
    }
    if (!flat && g_ascii_strcasecmp(extent->type, "SPARSE") != 0) {
        return fail(-EMEDIUMTYPE, ret_message, extent->type, "extents of this type cannot be read");
    }
    /* VMware puts extents beside the descriptor: a name with a folder in it is not one that it wrote. */
    if (extent->file == NULL || strchr(extent->file, '/') != NULL ||
        datastore_path_parse_relative(extent->file, -1, &path, &rule) != 0 || path[0] == '\0') {
        return fail(-EUCLEAN, ret_message, extent->file != NULL ? extent->file : "",
                    "an extent that is not beside the descriptor");
    }
    g_autofree char *full = datastore_path_join(folder, path);
    int error = add_file(source, dir_fd, full, &name);
    if (error == 0) {
        error = check_extent(extent, last_fd(source));
    }
    if (error < 0) {
        return fail(error, ret_message, full,
                    error == -EUCLEAN       ? "the extent is damaged, or shorter than it should be"
                    : error == -EMEDIUMTYPE ? "extents of this type cannot be read"
                                            : g_strerror(-error));
    }
    g_string_append_printf(text, "RW %" G_GUINT64_FORMAT " %s \"%s\"", extent->sectors,
                           flat ? "FLAT" : "SPARSE", name);
    if (flat) {
        g_string_append_printf(text, " %" G_GUINT64_FORMAT, extent->offset);
    }
    g_string_append_c(text, '\n');
    return 0;
}

static int open_extents(struct disk_source *source, int dir_fd, const char *path, const struct vmdk *vmdk,
                        char **ret_message)
{
    g_autoptr(GString) text =
        g_string_new("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n");
    g_autofree char *folder = datastore_path_dirname(path);
    g_autofree char *name = NULL;
    int error = refuse_parent(vmdk, path, ret_message);
    if (error == 0 && vmdk->extents->len > EXTENTS_MAX) {
        error = fail(-EMEDIUMTYPE, ret_message, path, "it has too many extents");
    }
    if (error == 0 && (uint64_t)vmdk_get_capacity_bytes(vmdk) > capacity_max_sectors * VMDK_SECTOR_BYTES) {
        error = fail(-EUCLEAN, ret_message, path, "it is larger than 62 TiB");
    }
    g_string_append(text, vmdk_extent_is_flat(g_ptr_array_index(vmdk->extents, 0))
                              ? "createType=\"twoGbMaxExtentFlat\"\n"
                              : "createType=\"twoGbMaxExtentSparse\"\n");
    for (guint i = 0; i < vmdk->extents->len && error == 0; i++) {
        error = add_extent(source, dir_fd, folder, g_ptr_array_index(vmdk->extents, i), text, ret_message);
    }
    if (error < 0) {
        return error;
    }
    int fd = memfd_create("tenkyu-vmdk", MFD_CLOEXEC);
    if (fd < 0 || file_write_all(fd, text->str, text->len) < 0) {
        error = errno != 0 ? -errno : -EIO;
        if (fd >= 0) {
            close(fd);
        }
        return fail(error, ret_message, path, "no memory for its descriptor");
    }
    add_fd(source, fd, &name);
    source->capacity_bytes = vmdk_get_capacity_bytes(vmdk);
    source->node =
        g_strdup_printf("json:{\"driver\": \"vmdk\", \"file\": {\"driver\": \"file\", \"filename\": "
                        "\"%s\"}, \"backing\": null}",
                        name);
    return 0;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static int open_foreign(struct disk_source *source, int dir_fd, const char *path, const struct vmdk *vmdk,
                        char **ret_message)
{
    const char *file = NULL;
    const char *format = NULL;
    g_autofree char *why = NULL;
    if (vmdk_get_data_file(vmdk, &file, &format, &why) == 0) {
        return open_ours(source, dir_fd, path, ret_message);
    }
    return open_extents(source, dir_fd, path, vmdk, ret_message);
}

int disk_source_open(int dir_fd, const char *path, struct disk_source *ret, char **ret_message)
{
    struct disk_source source = {.fds = g_array_new(FALSE, FALSE, sizeof(int))};
    g_autofree char *text = NULL;
    g_autoptr(vmdk) vmdk = NULL;
    char head[VMDK_PROBE_BYTES];
    size_t text_length = 0;
    int fd = -1;
    g_array_set_clear_func(source.fds, close_fd);
    int error = file_open(dir_fd, path, O_RDONLY, 0, &fd);
    ssize_t n = error == 0 ? pread(fd, head, sizeof(head), 0) : 0;
    if (fd >= 0) {
        error = n < 0 ? -errno : 0;
        close(fd);
    }
    if (error < 0) {
        fail(error, ret_message, path, "the disk cannot be read");
    } else {
        enum vmdk_kind kind = vmdk_probe(head, (size_t)n);
        if (kind == VMDK_KIND_DESCRIPTOR) {
            error = file_read(dir_fd, path, VMDK_MAX_BYTES, &text, &text_length);
            error = error < 0 ? fail(error, ret_message, path, "the descriptor cannot be read")
                              : vmdk_parse(text, text_length, &vmdk, ret_message);
            error = error < 0 ? error : open_foreign(&source, dir_fd, path, vmdk, ret_message);
        } else if (kind == VMDK_KIND_MONOLITHIC_SPARSE || kind == VMDK_KIND_STREAM_OPTIMIZED) {
            error = open_sparse(&source, dir_fd, path, ret_message);
        } else {
            g_autofree char *what =
                g_strdup_printf("disks of the kind %s cannot be read", vmdk_kind_name(kind));
            error = fail(-EMEDIUMTYPE, ret_message, path, what);
        }
    }
    if (error < 0) {
        disk_source_clear(&source);
        return error;
    }
    *ret = source;
    return 0;
}

void disk_source_clear(struct disk_source *source)
{
    g_clear_pointer(&source->fds, g_array_unref);
    g_clear_pointer(&source->node, g_free);
}

int disk_source_write(const struct disk_source *source, const struct disk_target *target,
                      qemu_img_progress_fn progress, void *data, char **ret_message)
{
    const char *args[] = {
        "convert",    "-p",
        "-O",         target->flat ? "raw" : "qcow2",
        "-o",         disk_image_preallocation(target->provisioning),
        source->node, QEMU_IMG_FILE,
        NULL,
    };
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_array_append_val(fds, target->fd);
    g_array_append_vals(fds, source->fds->data, source->fds->len);
    const struct qemu_img_job job = {
        .args = args,
        .fds = (const int *)(const void *)fds->data,
        .n_fds = fds->len,
        .timeout_ms = TIMEOUT_MS + source->capacity_bytes / BYTES_PER_MS,
        .progress = progress,
        .progress_data = data,
    };
    return qemu_img_run_job(&job, ret_message);
}

bool disk_has_children(int dir_fd, const char *path, char **ret_child)
{
    g_autofree char *folder = datastore_path_dirname(path);
    int fd = -1;
    if (file_open(dir_fd, folder[0] != '\0' ? folder : ".", O_RDONLY | O_DIRECTORY, 0, &fd) < 0) {
        return false;
    }
    g_autofree char *proc = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GDir) dir = g_dir_open(proc, 0, NULL);
    bool found = false;
    for (const char *at = NULL; !found && dir != NULL && (at = g_dir_read_name(dir)) != NULL;) {
        struct disk_image_info info;
        g_autofree char *message = NULL;
        g_autofree char *other = datastore_path_join(folder, at);
        if (!g_str_has_suffix(at, ".vmdk") || disk_image_get_info(dir_fd, other, &info, &message) != 0) {
            continue;
        }
        found = info.parent_path != NULL && g_str_equal(info.parent_path, path);
        if (found) {
            *ret_child = g_steal_pointer(&other);
        }
        disk_image_info_clear(&info);
    }
    close(fd);
    return found;
}
