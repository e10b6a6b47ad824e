// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual disks as files; see disk_image.h.
 *
 *   create:  name.qcow2.new~ written and synced -> linked to name.qcow2 -> descriptor written, synced,
 *            renamed to name.vmdk -> folder synced. Dying after any step leaves at most files that nothing
 *            names: the first is removed by the next try, the second has to be removed by hand.
 */
#include "host/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/file.h"
#include "host/datastore_path.h"
#include "host/qemu_img.h"
#include "host/vmdk.h"

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
                     char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *folder = datastore_path_dirname(path);
    g_autofree char *why = NULL;
    const char *file;
    int r = read_descriptor(dir_fd, path, &vmdk, ret_message);

    if (r < 0) {
        return r;
    }
    r = vmdk_get_data_file(vmdk, &file, &why);
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
    if (external_data || big_endian(header + 8, 8) != 0) {
        return -EMEDIUMTYPE;
    }
    size = big_endian(header + 24, 8);
    if (size > INT64_MAX) {
        return -EUCLEAN;
    }
    *ret = (int64_t)size;
    return 0;
}

static const char *data_problem(int r, const char *otherwise)
{
    return r == -EMEDIUMTYPE ? "the disk's data name another file on this machine" : otherwise;
}

int disk_image_open(int dir_fd, const char *path, bool read_only, int *ret_fd, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    AUTO_FD fd = -1;
    int64_t size = 0;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, ret_message);

    if (r < 0) {
        return r;
    }
    r = file_open(dir_fd, data_path, read_only ? O_RDONLY : O_RDWR, 0, &fd);
    if (r == 0) {
        r = read_qcow2_size(fd, &size);
    }
    if (r < 0) {
        return fail(r, ret_message, data_problem(r, "cannot open the disk's data"), data_path);
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int disk_image_get_info(int dir_fd, const char *path, struct disk_image_info *ret, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    g_autofree char *folder = datastore_path_dirname(path);
    AUTO_FD fd = -1;
    struct disk_image_info info = {.provisioning = DISK_IMAGE_THICK_LAZY};
    const char *adapter;
    struct stat st;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, ret_message);

    if (r < 0) {
        return r;
    }
    r = file_open(dir_fd, data_path, O_RDONLY, 0, &fd);
    if (r == 0) {
        r = read_qcow2_size(fd, &info.capacity_bytes);
    }
    if (r == 0 && fstat(fd, &st) < 0) {
        r = -errno;
    }
    if (r < 0) {
        return fail(r, ret_message, data_problem(r, "cannot read the disk's data"), data_path);
    }
    /* st_blocks has units of 512 bytes whatever the block size; a descriptor takes one block. */
    info.allocated_bytes = (int64_t)st.st_blocks * 512 + (int64_t)st.st_blksize;
    if (vmdk_is_thin(vmdk)) {
        info.provisioning = DISK_IMAGE_THIN;
    } else if (vmdk_get_ddb(vmdk, EAGER_KEY) != NULL) {
        info.provisioning = DISK_IMAGE_THICK_EAGER;
    }
    vmdk_get_uuid(vmdk, info.uuid);
    g_snprintf(info.content_id, sizeof(info.content_id), "%08x", vmdk->cid);
    adapter = vmdk_get_ddb(vmdk, "adapterType");
    info.adapter_type = g_strdup(adapter != NULL ? adapter : "");
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

static const char *preallocation(enum disk_image_provisioning provisioning)
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

/* Writes the data under their first name, synced. */
static int make_data(const struct creation *c, char **ret_message)
{
    char size[24];
    const char *args[] = {
        "create",      "-q", "-f", "qcow2", "-o", preallocation(c->options->provisioning),
        QEMU_IMG_FILE, size, NULL,
    };
    AUTO_FD fd = -1;
    int r;

    g_snprintf(size, sizeof(size), "%" G_GINT64_FORMAT, c->options->capacity_bytes);
    if (unlinkat(c->folder_fd, c->new_name, 0) < 0 && errno != ENOENT) {
        return fail(-errno, ret_message, "cannot remove", c->new_name);
    }
    r = file_open(c->folder_fd, c->new_name, O_RDWR | O_CREAT | O_EXCL, FILE_MODE, &fd);
    if (r < 0) {
        return fail(r, ret_message, "cannot make", c->new_name);
    }
    r = qemu_img_run(args, fd, create_timeout_ms(c->options), ret_message);
    if (r < 0) {
        return r;
    }
    return fsync(fd) < 0 ? fail(-errno, ret_message, "cannot sync", c->new_name) : 0;
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

    if (c->options->provisioning == DISK_IMAGE_THICK_EAGER) {
        vmdk_set_ddb(vmdk, EAGER_KEY, "1");
    }
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
        .cid = g_str_hash(options->uuid != NULL ? options->uuid : path) & 0x7fffffff,
        .thin = options->provisioning == DISK_IMAGE_THIN,
    };

    if (!g_str_has_suffix(path, ".vmdk")) {
        *ret_message = g_strdup_printf("%s: a disk's name must end in .vmdk", path);
        return -EINVAL;
    }
    if (vmdk_new(&vmdk_options, ret) < 0) {
        *ret_message = g_strdup_printf("%s: the capacity, the name or the UUID is not valid", path);
        return -EINVAL;
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
    g_autofree char *data_name = datastore_path_with_suffix(datastore_path_basename(path), ".qcow2");
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

/* --- changing --- */

static int resize_data(int fd, int64_t capacity_bytes, bool shrink, char **ret_message)
{
    char size[24];
    const char *grow[] = {"resize", "-q", "-f", "qcow2", QEMU_IMG_FILE, size, NULL};
    const char *back[] = {"resize", "-q", "-f", "qcow2", "--shrink", QEMU_IMG_FILE, size, NULL};
    int r;

    g_snprintf(size, sizeof(size), "%" G_GINT64_FORMAT, capacity_bytes);
    r = qemu_img_run(shrink ? back : grow, fd, TIMEOUT_MS, ret_message);
    if (r < 0) {
        return r;
    }
    if (fsync(fd) < 0) {
        r = -errno;
        *ret_message = g_strdup_printf("cannot sync the disk's data: %s", g_strerror(-r));
    }
    return r;
}

/* Undoes resize_data after the descriptor could not be written, unless it was (only its sync failed). */
static void shrink_back(int dir_fd, const char *path, int fd, int64_t old_bytes, int64_t new_bytes)
{
    g_autofree char *ignored = NULL;
    g_autofree char *ignored_too = NULL;
    g_autofree char *data_path = NULL;
    g_autoptr(vmdk) vmdk = NULL;

    if (read_ours(dir_fd, path, &vmdk, &data_path, &ignored) == 0 &&
        vmdk_get_capacity_bytes(vmdk) != new_bytes) {
        resize_data(fd, old_bytes, true, &ignored_too);
    }
}

int disk_image_grow(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    AUTO_FD fd = -1;
    int64_t old_bytes = 0;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, ret_message);

    if (r < 0) {
        return r;
    }
    r = file_open(dir_fd, data_path, O_RDWR, 0, &fd);
    if (r == 0) {
        r = read_qcow2_size(fd, &old_bytes);
    }
    if (r < 0) {
        return fail(r, ret_message, data_problem(r, "cannot read the disk's data"), data_path);
    }
    if (capacity_bytes < old_bytes || vmdk_set_capacity_bytes(vmdk, capacity_bytes) < 0) {
        *ret_message = g_strdup_printf("%s: a disk can only grow, by whole sectors", path);
        return -EINVAL;
    }
    if (capacity_bytes > old_bytes) {
        r = resize_data(fd, capacity_bytes, false, ret_message);
    }
    if (r == 0) {
        r = write_descriptor(dir_fd, path, vmdk, ret_message);
    }
    if (r < 0 && capacity_bytes > old_bytes) {
        shrink_back(dir_fd, path, fd, old_bytes, capacity_bytes);
    }
    return r;
}

int disk_image_note_capacity(int dir_fd, const char *path, int64_t capacity_bytes, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, ret_message);

    if (r < 0) {
        return r;
    }
    if (vmdk_set_capacity_bytes(vmdk, capacity_bytes) < 0) {
        *ret_message = g_strdup_printf("%s: not a capacity in whole sectors", path);
        return -EINVAL;
    }
    return write_descriptor(dir_fd, path, vmdk, ret_message);
}

int disk_image_delete(int dir_fd, const char *path, char **ret_message)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *data_path = NULL;
    int r = read_ours(dir_fd, path, &vmdk, &data_path, ret_message);

    if (r < 0) {
        return r;
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
