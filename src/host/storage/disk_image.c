// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual disks as files; see disk_image.h.
 *
 *   create:  name.qcow2.new~ written and synced -> linked to name.qcow2 -> descriptor written, synced,
 *            renamed to name.vmdk -> folder synced. Dying after any step leaves at most files that nothing
 *            names: the first is removed by the next try, the second has to be removed by hand.
 */
#include "host/storage/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/file.h"
#include "host/storage/datastore_path.h"
#include "host/storage/disk_lock.h"
#include "host/storage/qemu_img.h"
#include "host/storage/vmdk.h"
#include "host/vm/vmx.h"

#define EAGER_KEY "tenkyu.eagerlyScrub" /* the descriptor's mark of an eager zeroed disk */

enum {
    FILE_MODE = 0600,
    UUID_RANDOM_BYTES = 13,
    QCOW2_HEADER_BYTES = 104, /* of version 3, the shortest; of version 2 there is as much in any image */
    TIMEOUT_MS = 60 * 1000,   /* of what does not depend on the capacity */
    EAGER_BYTES_PER_MS = 20 * 1000, /* the slowest storage that is waited for */
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

#define AUTO_FD __attribute__((cleanup(close_fd))) int

/* Says in *ret_message what failed on which file. Returns error. */
static int fail(int error, char **ret_message, const char *what, const char *path)
{
    *ret_message = g_strdup_printf("%s %s: %s", what, path, g_strerror(-error));
    return error;
}

/* --- reading --- */

static int read_descriptor(int dir_fd, const char *path, struct vmdk **ret, char **ret_message)
{
    g_autofree char *text = NULL;
    g_autofree char *why = NULL;
    AUTO_FD fd = -1;
    char head[VMDK_PROBE_BYTES];
    ssize_t n;
    size_t length;
    int r = file_open(dir_fd, path, O_RDONLY, 0, &fd);

    if (r < 0) {
        return fail(r, ret_message, "cannot open the disk", path);
    }
    /* A flat or sparse disk under this name may have terabytes: look before reading. */
    n = pread(fd, head, sizeof(head), 0);
    if (n < 0) {
        return fail(-errno, ret_message, "cannot read the disk", path);
    }
    if (vmdk_probe(head, (size_t)n) != VMDK_KIND_DESCRIPTOR) {
        r = vmdk_parse(head, (size_t)n, ret, &why);
    } else {
        r = file_read(dir_fd, path, VMDK_MAX_BYTES, &text, &length);
        if (r < 0) {
            return fail(r, ret_message, "cannot read the disk", path);
        }
        r = vmdk_parse(text, length, ret, &why);
    }
    if (r < 0) {
        *ret_message = g_strdup_printf("%s: %s", path, why);
    }
    return r;
}

/* Reads the descriptor of a disk of ours and says where its data are. */
static int read_ours(int dir_fd, const char *path, struct vmdk **ret, char **ret_data_path,
                     const char **ret_format, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *folder = datastore_path_dirname(path);
    g_autofree char *why = NULL;
    const char *file;
    int r = read_descriptor(dir_fd, path, &vmdk, ret_message);

    if (r < 0) {
        return r;
    }
    r = vmdk_get_data_file(vmdk, &file, ret_format, &why);
    if (r < 0) {
        *ret_message = g_strdup_printf("%s: %s", path, why);
        return r;
    }
    *ret_data_path = datastore_path_join(folder, file);
    *ret = g_steal_pointer(&vmdk);
    return 0;
}

static int write_descriptor(int dir_fd, const char *path, const struct vmdk *vmdk, char **ret_message)
{
    size_t length = 0;
    g_autofree char *text = vmdk_format(vmdk, &length);
    int r = file_replace(dir_fd, path, text, length, FILE_MODE);

    return r < 0 ? fail(r, ret_message, "cannot write the disk's descriptor", path) : 0;
}

/* A number of n bytes, the highest first. */
static uint64_t big_endian(const unsigned char *bytes, int n)
{
    uint64_t number = 0;

    for (int i = 0; i < n; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

/*
 * The virtual size in a qcow2 image's header (docs/interop/qcow2.txt of QEMU). An image that names another
 * file, as its parent or for its data, is refused: whoever can upload an image could make us open any file.
 */
static int read_qcow2_size(int fd, int64_t *ret)
{
    unsigned char header[QCOW2_HEADER_BYTES];
    ssize_t n = pread(fd, header, sizeof(header), 0);
    uint64_t size;

    if (n < 0) {
        return -errno;
    }
    if (n < (ssize_t)sizeof(header) || memcmp(header, "QFI\xfb", 4) != 0) {
        return -EUCLEAN;
    }
    bool has_features = big_endian(header + 4, 4) >= 3;
    bool external_data = has_features && (header[79] & 4) != 0;
    /* QEMU leaves the place of the parent's name behind when it forgets the name: what counts is its length. */
    if (external_data || (big_endian(header + 8, 8) != 0 && big_endian(header + 16, 4) != 0)) {
        return -EMEDIUMTYPE;
    }
    size = big_endian(header + 24, 8);
    if (size > INT64_MAX) {
        return -EUCLEAN;
    }
    *ret = (int64_t)size;
    return 0;
}

/* The capacity by the data themselves. Plain bytes have no header: the file's length tells, which is never less than
 * the descriptor says (it is more after a crash in the middle of growing). */
static int read_capacity(int fd, const struct vmdk *vmdk, const char *format, int64_t *ret)
{
    struct stat st;

    if (strcmp(format, "qcow2") == 0) {
        return read_qcow2_size(fd, ret);
    }
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (st.st_size < vmdk_get_capacity_bytes(vmdk)) {
        return -EUCLEAN;
    }
    *ret = st.st_size - st.st_size % VMDK_SECTOR_BYTES;
    return 0;
}

static enum disk_image_provisioning provisioning_of(const struct vmdk *vmdk)
{
    if (vmdk_is_thin(vmdk)) {
        return DISK_IMAGE_THIN;
    }
    return vmdk_get_ddb(vmdk, EAGER_KEY) != NULL ? DISK_IMAGE_THICK_EAGER : DISK_IMAGE_THICK_LAZY;
}

static const char *data_problem(int r, const char *otherwise)
{
    return r == -EMEDIUMTYPE ? "the disk's data name another file on this machine" : otherwise;
}

int disk_image_open(int dir_fd, const char *path, bool read_only, int *ret_fd, const char **ret_format,
                    char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    AUTO_FD fd = -1;
    int64_t size = 0;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    if (ret_format == NULL && strcmp(format, "qcow2") != 0) {
        *ret_message = g_strdup_printf("%s: a flat disk, which is not used like this", path);
        return -EMEDIUMTYPE;
    }
    r = file_open(dir_fd, data_path, read_only ? O_RDONLY : O_RDWR, 0, &fd);
    if (r == 0) {
        r = read_capacity(fd, vmdk, format, &size);
    }
    if (r < 0) {
        return fail(r, ret_message, data_problem(r, "cannot open the disk's data"), data_path);
    }
    if (ret_format != NULL) {
        *ret_format = format;
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int64_t ddb_number(const struct vmdk *vmdk, const char *key, gint64 max)
{
    const char *text = vmdk_get_ddb(vmdk, key);
    gint64 number = 0;

    return text != NULL && g_ascii_string_to_signed(text, 10, 1, max, &number, NULL) ? number : 0;
}

int disk_image_get_info(int dir_fd, const char *path, struct disk_image_info *ret, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    g_autofree char *folder = datastore_path_dirname(path);
    AUTO_FD fd = -1;
    struct disk_image_info info = {0};
    const char *adapter;
    struct stat st;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    r = file_open(dir_fd, data_path, O_RDONLY, 0, &fd);
    if (r == 0) {
        r = read_capacity(fd, vmdk, format, &info.capacity_bytes);
        info.format = format;
    }
    if (r == 0 && fstat(fd, &st) < 0) {
        r = -errno;
    }
    if (r < 0) {
        return fail(r, ret_message, data_problem(r, "cannot read the disk's data"), data_path);
    }
    /* st_blocks has units of 512 bytes whatever the block size; a descriptor takes one block. */
    info.allocated_bytes = (int64_t)st.st_blocks * 512 + (int64_t)st.st_blksize;
    info.provisioning = provisioning_of(vmdk);
    vmdk_get_uuid(vmdk, info.uuid);
    g_snprintf(info.content_id, sizeof(info.content_id), "%08x", vmdk->cid);
    adapter = vmdk_get_ddb(vmdk, "adapterType");
    info.adapter_type = g_strdup(adapter != NULL ? adapter : "");
    info.hardware_version = (int)ddb_number(vmdk, "virtualHWVersion", G_MAXINT32);
    info.data_path = g_steal_pointer(&data_path);
    if (vmdk->parent_file_hint != NULL) {
        info.parent_path = datastore_path_join(folder, vmdk->parent_file_hint);
    }
    *ret = info;
    return 0;
}

void disk_image_info_clear(struct disk_image_info *info)
{
    g_clear_pointer(&info->data_path, g_free);
    g_clear_pointer(&info->adapter_type, g_free);
    g_clear_pointer(&info->parent_path, g_free);
}

/* --- making --- */

static char *data_name_of(const char *path, bool flat)
{
    return datastore_path_with_suffix(datastore_path_basename(path),
                                      flat ? DISK_IMAGE_FLAT_SUFFIX : DISK_IMAGE_DATA_SUFFIX);
}

static void set_provisioning(struct vmdk *vmdk, enum disk_image_provisioning provisioning)
{
    vmdk_set_ddb(vmdk, "thinProvisioned", provisioning == DISK_IMAGE_THIN ? "1" : NULL);
    vmdk_set_ddb(vmdk, EAGER_KEY, provisioning == DISK_IMAGE_THICK_EAGER ? "1" : NULL);
}

/* A disk that is being made. */
struct creation {
    const struct disk_image_options *options; /* borrowed */
    int folder_fd;                            /* of the folder that the files are in */
    const char *name;                         /* of the descriptor, borrowed */
    char *data_name;                          /* owned */
    char *new_name;                           /* owned: the data while they are written */
    bool data_made;                           /* data_name is ours to remove on failure */
};

static int64_t create_timeout_ms(const struct disk_image_options *options)
{
    if (options->timeout_ms > 0) {
        return options->timeout_ms;
    }
    return options->provisioning == DISK_IMAGE_THICK_EAGER
               ? TIMEOUT_MS + options->capacity_bytes / EAGER_BYTES_PER_MS
               : TIMEOUT_MS;
}

const char *disk_image_preallocation(enum disk_image_provisioning provisioning)
{
    switch (provisioning) {
    case DISK_IMAGE_THIN:
        return "preallocation=off";
    case DISK_IMAGE_THICK_LAZY:
        return "preallocation=falloc";
    case DISK_IMAGE_THICK_EAGER:
        return "preallocation=full";
    }
    return "preallocation=off";
}

int disk_image_make_data(int fd, const struct disk_image_options *options, char **ret_message)
{
    char size[24];
    const char *args[] = {
        "create",      "-q",
        "-f",          options->flat ? "raw" : "qcow2",
        "-o",          disk_image_preallocation(options->provisioning),
        QEMU_IMG_FILE, size,
        NULL,
    };
    int r;

    g_snprintf(size, sizeof(size), "%" G_GINT64_FORMAT, options->capacity_bytes);
    r = qemu_img_run(args, fd, create_timeout_ms(options), ret_message);
    if (r == 0 && fsync(fd) < 0) {
        r = -errno;
        *ret_message = g_strdup_printf("cannot sync the disk's data: %s", g_strerror(-r));
    }
    return r;
}

/* Writes the data under their first name, synced. */
static int make_data(const struct creation *c, char **ret_message)
{
    AUTO_FD fd = -1;
    int r;

    if (unlinkat(c->folder_fd, c->new_name, 0) < 0 && errno != ENOENT) {
        return fail(-errno, ret_message, "cannot remove", c->new_name);
    }
    r = file_open(c->folder_fd, c->new_name, O_RDWR | O_CREAT | O_EXCL, FILE_MODE, &fd);
    if (r < 0) {
        return fail(r, ret_message, "cannot make", c->new_name);
    }
    return disk_image_make_data(fd, c->options, ret_message);
}

/*
 * Gives the data their name. A link fails where a rename would replace the data of another disk; it works
 * on NFS too, unlike a rename with RENAME_NOREPLACE.
 */
static int publish_data(struct creation *c, char **ret_message)
{
    if (linkat(c->folder_fd, c->new_name, c->folder_fd, c->data_name, 0) < 0) {
        return fail(-errno, ret_message, "cannot make", c->data_name);
    }
    c->data_made = true;
    if (unlinkat(c->folder_fd, c->new_name, 0) < 0) {
        return fail(-errno, ret_message, "cannot remove", c->new_name);
    }
    /* Before the descriptor is written: it must not reach the disk first. */
    return fsync(c->folder_fd) < 0 ? fail(-errno, ret_message, "cannot sync", c->data_name) : 0;
}

static int make_descriptor(const struct creation *c, struct vmdk *vmdk, char **ret_message)
{
    int r;

    set_provisioning(vmdk, c->options->provisioning);
    r = write_descriptor(c->folder_fd, c->name, vmdk, ret_message);
    if (r < 0) {
        /* It was not there before, so whatever is there now came from this try. */
        unlinkat(c->folder_fd, c->name, 0);
    }
    return r;
}

static int create_files(struct creation *c, struct vmdk *vmdk, char **ret_message)
{
    struct stat st;
    int r;

    if (fstatat(c->folder_fd, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        return fail(-EEXIST, ret_message, "cannot make", c->name);
    }
    if (fstatat(c->folder_fd, c->data_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        return fail(-EEXIST, ret_message, "cannot make", c->data_name);
    }
    r = make_data(c, ret_message);
    if (r == 0) {
        r = publish_data(c, ret_message);
    }
    if (r == 0) {
        r = make_descriptor(c, vmdk, ret_message);
    }
    if (r < 0) {
        unlinkat(c->folder_fd, c->new_name, 0);
        if (c->data_made) {
            unlinkat(c->folder_fd, c->data_name, 0);
        }
    }
    return r;
}

/* The descriptor to be. Everything that the options can have wrong shows here, before a file is made. */
static int plan_descriptor(const struct disk_image_options *options, const char *path, const char *data_name,
                           struct vmdk **ret, char **ret_message)
{
    struct vmdk_new_options vmdk_options = {
        .capacity_bytes = options->capacity_bytes,
        .data_file = data_name,
        .adapter_type = options->adapter_type,
        .uuid = options->uuid,
        /* Never the value that stands for "no parent". */
        .cid =
            g_str_hash(options->uuid != NULL && options->parent == NULL ? options->uuid : path) & 0x7fffffff,
        .thin = options->provisioning == DISK_IMAGE_THIN,
        .flat = options->flat,
    };

    if (!g_str_has_suffix(path, ".vmdk")) {
        *ret_message = g_strdup_printf("%s: a disk's name must end in .vmdk", path);
        return -EINVAL;
    }
    if (vmdk_new(&vmdk_options, ret) < 0) {
        *ret_message = g_strdup_printf("%s: the capacity, the name or the UUID is not valid", path);
        return -EINVAL;
    }
    if (options->parent != NULL) {
        (*ret)->parent_file_hint = g_strdup(options->parent);
        (*ret)->parent_cid = options->parent_cid;
    }
    return 0;
}

void disk_image_new_uuid(char ret[37])
{
    uint8_t random[UUID_RANDOM_BYTES];
    random_bytes(random, sizeof(random));
    vmdk_uuid_from_random(random, ret);
}

int disk_image_create(int dir_fd, const char *path, const struct disk_image_options *options,
                      char **ret_message)
{
    g_autofree char *data_name = data_name_of(path, options->flat);
    g_autofree char *new_name = g_strconcat(data_name, FILE_NEW_SUFFIX, NULL);
    g_autoptr(vmdk) vmdk = NULL;
    AUTO_FD folder_fd = -1;
    struct creation creation = {.options = options, .data_name = data_name, .new_name = new_name};
    int r = plan_descriptor(options, path, data_name, &vmdk, ret_message);

    if (r < 0) {
        return r;
    }
    r = file_open_parent(dir_fd, path, &folder_fd, &creation.name);
    if (r < 0) {
        return fail(r, ret_message, "cannot open the folder of", path);
    }
    creation.folder_fd = folder_fd;
    return create_files(&creation, vmdk, ret_message);
}

int disk_image_describe(int dir_fd, const char *path, const struct disk_image_options *options,
                        char **ret_message)
{
    g_autofree char *data_name = data_name_of(path, options->flat);
    g_autoptr(vmdk) vmdk = NULL;
    int r = plan_descriptor(options, path, data_name, &vmdk, ret_message);

    if (r < 0) {
        return r;
    }
    set_provisioning(vmdk, options->provisioning);
    return write_descriptor(dir_fd, path, vmdk, ret_message);
}

int disk_image_rename(int from_dir_fd, const char *from, int to_dir_fd, const char *to, const char *data_name,
                      char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    int r = read_ours(from_dir_fd, from, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    struct vmdk_extent *extent = g_ptr_array_index(vmdk->extents, 0);
    g_free(extent->file);
    extent->file = g_strdup(data_name);
    return write_descriptor(to_dir_fd, to, vmdk, ret_message);
}

/* --- changing --- */

/* What resizing a disk's data needs to know. */
struct resize {
    int fd;
    const char *format;
    enum disk_image_provisioning provisioning; /* of the space that is added */
};

static int resize_data(const struct resize *resize, int64_t old_bytes, int64_t new_bytes, char **ret_message)
{
    char size[24];
    const char *preallocated = disk_image_preallocation(resize->provisioning);
    g_autofree char *option = g_strconcat("--", preallocated, NULL);
    const char *args[] = {
        "resize",      "-q", "-f", resize->format, new_bytes < old_bytes ? "--shrink" : option,
        QEMU_IMG_FILE, size, NULL,
    };
    int64_t timeout_ms = TIMEOUT_MS;
    int r;

    if (resize->provisioning == DISK_IMAGE_THICK_EAGER) {
        timeout_ms += MAX(new_bytes - old_bytes, 0) / EAGER_BYTES_PER_MS;
    }
    g_snprintf(size, sizeof(size), "%" G_GINT64_FORMAT, new_bytes);
    r = qemu_img_run(args, resize->fd, timeout_ms, ret_message);
    if (r < 0) {
        return r;
    }
    if (fsync(resize->fd) < 0) {
        r = -errno;
        *ret_message = g_strdup_printf("cannot sync the disk's data: %s", g_strerror(-r));
    }
    return r;
}

/* Undoes resize_data after the descriptor could not be written, unless it was (only its sync failed). */
static void shrink_back(int dir_fd, const char *path, const struct resize *resize, int64_t old_bytes,
                        int64_t new_bytes)
{
    g_autofree char *ignored = NULL;
    g_autofree char *ignored_too = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    g_autoptr(vmdk) vmdk = NULL;

    if (read_ours(dir_fd, path, &vmdk, &data_path, &format, &ignored) == 0 &&
        vmdk_get_capacity_bytes(vmdk) != new_bytes) {
        resize_data(resize, new_bytes, old_bytes, &ignored_too);
    }
}

int disk_image_grow(int dir_fd, const char *path, int64_t capacity_bytes, bool zero, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    AUTO_FD fd = -1;
    int64_t old_bytes = 0;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    r = file_open(dir_fd, data_path, O_RDWR, 0, &fd);
    if (r == 0) {
        r = read_capacity(fd, vmdk, format, &old_bytes);
    }
    if (r < 0) {
        return fail(r, ret_message, data_problem(r, "cannot read the disk's data"), data_path);
    }
    if (capacity_bytes < old_bytes || vmdk_set_capacity_bytes(vmdk, capacity_bytes) < 0) {
        *ret_message = g_strdup_printf("%s: a disk can only grow, by whole sectors", path);
        return -EINVAL;
    }
    const struct resize resize = {fd, format, zero ? DISK_IMAGE_THICK_EAGER : provisioning_of(vmdk)};
    if (capacity_bytes > old_bytes) {
        r = resize_data(&resize, old_bytes, capacity_bytes, ret_message);
    }
    if (r == 0) {
        r = write_descriptor(dir_fd, path, vmdk, ret_message);
    }
    if (r < 0 && capacity_bytes > old_bytes) {
        shrink_back(dir_fd, path, &resize, old_bytes, capacity_bytes);
    }
    return r;
}

int disk_image_set_parent(int dir_fd, const char *path, const char *parent, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autoptr(vmdk) parent_vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    g_autofree char *parent_data = NULL;
    g_autofree char *folder = datastore_path_dirname(path);
    g_autofree char *parent_path = datastore_path_join(folder, parent);
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r == 0) {
        r = read_ours(dir_fd, parent_path, &parent_vmdk, &parent_data, &format, ret_message);
    }
    if (r < 0) {
        return r;
    }
    g_free(vmdk->parent_file_hint);
    vmdk->parent_file_hint = g_strdup(parent);
    vmdk->parent_cid = parent_vmdk->cid;
    return write_descriptor(dir_fd, path, vmdk, ret_message);
}

int disk_image_reserve(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    AUTO_FD fd = -1;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0 || provisioning_of(vmdk) == DISK_IMAGE_THIN) {
        return r;
    }
    r = file_open(dir_fd, data_path, O_RDWR, 0, &fd);
    if (r == 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, capacity_bytes) < 0 && errno != EOPNOTSUPP) {
        r = -errno;
    }
    return r < 0 ? fail(r, ret_message, "cannot reserve the disk's space in", data_path) : 0;
}

int disk_image_note_capacity(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    if (vmdk_set_capacity_bytes(vmdk, capacity_bytes) < 0) {
        *ret_message = g_strdup_printf("%s: not a capacity in whole sectors", path);
        return -EINVAL;
    }
    vmdk_set_ddb(vmdk, EAGER_KEY, NULL); /* what was added is not written */
    return write_descriptor(dir_fd, path, vmdk, ret_message);
}

int disk_image_note_provisioning(int dir_fd, const char *path, enum disk_image_provisioning provisioning,
                                 char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    set_provisioning(vmdk, provisioning);
    return write_descriptor(dir_fd, path, vmdk, ret_message);
}

int disk_image_set_uuid(int dir_fd, const char *path, const char *uuid, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    char text[48];
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    if (vmx_uuid_from_api(uuid, text) < 0) {
        *ret_message = g_strdup_printf("\"%s\" is not a UUID", uuid);
        return -EINVAL;
    }
    vmdk_set_ddb(vmdk, "uuid", text);
    return write_descriptor(dir_fd, path, vmdk, ret_message);
}

/* --- asking --- */

int disk_image_get_geometry(int dir_fd, const char *path, struct disk_image_geometry *ret, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    *ret = (struct disk_image_geometry){
        .cylinders = ddb_number(vmdk, "geometry.cylinders", G_MAXINT64),
        .heads = (int32_t)ddb_number(vmdk, "geometry.heads", G_MAXINT32),
        .sectors = (int32_t)ddb_number(vmdk, "geometry.sectors", G_MAXINT32),
    };
    return 0;
}

/* A number among what qemu-img check says; 0 when it is not there. */
static int64_t check_number(struct json_object *said, const char *name)
{
    struct json_object *member = NULL;

    return said != NULL && json_object_object_get_ex(said, name, &member) ? json_object_get_int64(member) : 0;
}

int disk_image_get_fragmentation(int dir_fd, const char *path, int *ret_percent, char **ret_message)
{
    static const char *const args[] = {"check", "--output=json", "-f", "qcow2", QEMU_IMG_FILE, NULL};
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    g_autoptr(GString) output = g_string_new(NULL);
    const char *format = NULL;
    AUTO_FD fd = -1;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r == 0 && strcmp(format, "raw") == 0) {
        *ret_percent = 0;
        return 0;
    }
    if (r == 0) {
        r = disk_image_open(dir_fd, path, true, &fd, NULL, ret_message);
    }
    if (r < 0) {
        return r;
    }
    const struct qemu_img_job job = {
        .args = args,
        .fds = &fd,
        .n_fds = 1,
        .timeout_ms = TIMEOUT_MS + vmdk_get_capacity_bytes(vmdk) / EAGER_BYTES_PER_MS,
        .output = output,
    };
    r = qemu_img_run_job(&job, ret_message);
    if (r < 0) {
        return r;
    }
    struct json_object *said = json_tokener_parse(output->str);
    int64_t allocated = check_number(said, "allocated-clusters");
    int64_t fragmented = check_number(said, "fragmented-clusters");
    json_object_put(said);
    *ret_percent = allocated > 0 ? (int)CLAMP(fragmented * 100 / allocated, 0, 100) : 0;
    return 0;
}

int disk_image_delete(int dir_fd, const char *path, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    const char *format = NULL;
    AUTO_FD fd = -1;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, &format, ret_message);

    if (r < 0) {
        return r;
    }
    /* A disk whose data are gone already can still be deleted. */
    r = file_open(dir_fd, data_path, O_RDONLY, 0, &fd);
    if (r == 0) {
        r = disk_lock_take(fd, DISK_LOCK_WRITE);
    }
    if (r < 0 && r != -ENOENT) {
        return fail(r, ret_message, r == -EBUSY ? "the disk is in use:" : "cannot lock the disk", data_path);
    }
    r = file_remove(dir_fd, path);
    if (r < 0) {
        return fail(r, ret_message, "cannot delete the disk", path);
    }
    r = file_remove(dir_fd, data_path);
    if (r < 0 && r != -ENOENT) {
        return fail(r, ret_message, "the disk is deleted, but its data remain in", data_path);
    }
    return 0;
}
