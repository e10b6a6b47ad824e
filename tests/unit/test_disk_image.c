// SPDX-License-Identifier: Apache-2.0
/*
 * Disks as files, with the real qemu-img: whichever step fails, there is the whole disk or nothing, and
 * never a descriptor without its data. Where qemu-img itself has to fail, a script takes its place.
 */
#include "host/storage/disk_image.h"
#include "syscall_fault.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

struct fixture {
    char *path; /* a fresh folder, the datastore */
    int fd;     /* open on it */
};

static const struct disk_image_options thin = {
    .capacity_bytes = INT64_C(1) << 30,
    .provisioning = DISK_IMAGE_THIN,
    .uuid = "6000c291-2345-6789-abcd-ef0123456789",
};

static void set_up(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->path = g_dir_make_tmp("tenkyu-test-disk-XXXXXX", NULL);
    g_assert_nonnull(f->path);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
    g_assert_cmpint(file_mkdir(f->fd, "vm", 0700), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    (void)data;
    close(f->fd);
    g_assert_cmpint(file_remove_tree(AT_FDCWD, f->path), ==, 0);
    g_free(f->path);
}

static bool exists(struct fixture *f, const char *path)
{
    struct stat st;

    return fstatat(f->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* How many files are in the folder "vm". */
static guint count_files(struct fixture *f)
{
    g_autofree char *path = g_build_filename(f->path, "vm", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir) != NULL) {
        n++;
    }
    return n;
}

static int create(struct fixture *f, const char *path, const struct disk_image_options *options)
{
    g_autofree char *message = NULL;
    int r = disk_image_create(f->fd, path, options, &message);

    g_assert_cmpint(r < 0, ==, message != NULL);
    return r;
}

static int64_t capacity(struct fixture *f, const char *path)
{
    struct disk_image_info info;
    g_autofree char *message = NULL;
    int64_t bytes;
    int r = disk_image_get_info(f->fd, path, &info, &message);

    if (r < 0) {
        g_error("%s", message);
    }
    bytes = info.capacity_bytes;
    disk_image_info_clear(&info);
    return bytes;
}

static void test_create(struct fixture *f, gconstpointer data)
{
    struct disk_image_info info;
    g_autofree char *message = NULL;
    int fd = -1;

    (void)data;
    g_assert_cmpint(create(f, "vm/a.vmdk", &thin), ==, 0);
    g_assert_cmpint(disk_image_get_info(f->fd, "vm/a.vmdk", &info, &message), ==, 0);
    g_assert_cmpint(info.capacity_bytes, ==, INT64_C(1) << 30);
    g_assert_cmpint(info.allocated_bytes, >, 0);
    g_assert_cmpint(info.allocated_bytes, <, 1 << 20);
    g_assert_cmpint(info.provisioning, ==, DISK_IMAGE_THIN);
    g_assert_cmpstr(info.uuid, ==, thin.uuid);
    g_assert_cmpstr(info.data_path, ==, "vm/a.qcow2");
    g_assert_cmpstr(info.adapter_type, ==, "lsilogic");
    g_assert_cmpuint(strlen(info.content_id), ==, 8);
    g_assert_null(info.parent_path);
    disk_image_info_clear(&info);
    g_assert_cmpuint(count_files(f), ==, 2);
    g_assert_cmpint(disk_image_open(f->fd, "vm/a.vmdk", false, &fd, NULL, &message), ==, 0);
    g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_RDWR);
    close(fd);
    g_assert_cmpint(create(f, "vm/a.vmdk", &thin), ==, -EEXIST);
    g_assert_cmpint(capacity(f, "vm/a.vmdk"), ==, INT64_C(1) << 30);
    g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &message), ==, 0);
    g_assert_cmpuint(count_files(f), ==, 0);
    g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &message), ==, -ENOENT);
}

static void test_thick(struct fixture *f, gconstpointer data)
{
    static const enum disk_image_provisioning kinds[] = {DISK_IMAGE_THICK_LAZY, DISK_IMAGE_THICK_EAGER};

    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct disk_image_options options = {
            .capacity_bytes = 8 << 20, .provisioning = kinds[i], .adapter_type = "ide"};
        struct disk_image_info info;
        g_autofree char *message = NULL;

        g_assert_cmpint(create(f, "vm/a.vmdk", &options), ==, 0);
        g_assert_cmpint(disk_image_get_info(f->fd, "vm/a.vmdk", &info, &message), ==, 0);
        g_assert_cmpint(info.provisioning, ==, kinds[i]);
        g_assert_cmpint(info.allocated_bytes, >=, 8 << 20);
        g_assert_cmpstr(info.adapter_type, ==, "ide");
        g_assert_cmpstr(info.uuid, ==, "");
        disk_image_info_clear(&info);
        g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &message), ==, 0);
    }
}

static void test_names(struct fixture *f, gconstpointer data)
{
    (void)data;
    /* Names that programs less careful take for a protocol, an option or a pattern. */
    g_assert_cmpint(create(f, "vm/nbd:x.vmdk", &thin), ==, 0);
    g_assert_cmpint(create(f, "vm/-o a,b=c %s.vmdk", &thin), ==, 0);
    g_assert_cmpint(create(f, "vm/\xe5\xa4\xa9.vmdk", &thin), ==, 0);
    g_assert_cmpuint(count_files(f), ==, 6);
    g_assert_cmpint(create(f, "vm/a.img", &thin), ==, -EINVAL);
    g_assert_cmpint(create(f, "missing/a.vmdk", &thin), ==, -ENOENT);
    g_assert_cmpint(create(f, "../a.vmdk", &thin), ==, -EXDEV);
    g_assert_cmpuint(count_files(f), ==, 6);
}

/* The data of a disk without a descriptor are not taken; what a crash left is. */
static void test_leftovers(struct fixture *f, gconstpointer data)
{
    g_autofree char *now = NULL;

    (void)data;
    g_assert_cmpint(file_replace(f->fd, "vm/a.qcow2", "precious", 8, 0600), ==, 0);
    g_assert_cmpint(create(f, "vm/a.vmdk", &thin), ==, -EEXIST);
    g_assert_cmpint(file_read(f->fd, "vm/a.qcow2", 100, &now, NULL), ==, 0);
    g_assert_cmpstr(now, ==, "precious");
    g_assert_cmpuint(count_files(f), ==, 1);
    g_assert_cmpint(file_replace(f->fd, "vm/b.qcow2" FILE_NEW_SUFFIX, "half", 4, 0600), ==, 0);
    g_assert_cmpint(create(f, "vm/b.vmdk", &thin), ==, 0);
    g_assert_cmpuint(count_files(f), ==, 3);
}

static void test_create_faults(struct fixture *f, gconstpointer data)
{
    static const int errors[] = {ENOSPC, EIO};
    int steps = 0;

    (void)data;
    for (size_t e = 0; e < G_N_ELEMENTS(errors); e++) {
        for (int nth = 1;; nth++) {
            g_autofree char *message = NULL;
            int r;

            syscall_fault_arm(nth, errors[e], true);
            r = disk_image_create(f->fd, "vm/a.vmdk", &thin, &message);
            if (!syscall_fault_disarm()) {
                g_assert_cmpint(r, ==, 0);
                break;
            }
            steps = MAX(steps, nth);
            g_assert_cmpint(r, ==, -errors[e]);
            g_assert_cmpuint(count_files(f), ==, 0);
        }
        g_assert_cmpint(capacity(f, "vm/a.vmdk"), ==, INT64_C(1) << 30);
        {
            g_autofree char *message = NULL;

            g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &message), ==, 0);
        }
    }
    /* unlink, fsync of the data, link, unlink, fsync, then the five of file_replace. */
    g_assert_cmpint(steps, ==, 10);
}

static void test_grow_faults(struct fixture *f, gconstpointer data)
{
    (void)data;
    for (int nth = 1;; nth++) {
        g_autofree char *message = NULL;
        g_autofree char *delete_message = NULL;
        int64_t now;
        bool fired;
        int r;

        g_assert_cmpint(create(f, "vm/a.vmdk", &thin), ==, 0);
        syscall_fault_arm(nth, ENOSPC, true);
        r = disk_image_grow(f->fd, "vm/a.vmdk", INT64_C(2) << 30, false, &message);
        fired = syscall_fault_disarm();
        now = capacity(f, "vm/a.vmdk");
        g_assert_cmpint(r, ==, fired ? -ENOSPC : 0);
        /* fsync of the data, four calls of file_replace; after its last one the new descriptor stands. */
        g_assert_cmpint(now, ==, fired && nth <= 5 ? INT64_C(1) << 30 : INT64_C(2) << 30);
        g_assert_cmpuint(count_files(f), ==, 2);
        g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &delete_message), ==, 0);
        if (!fired) {
            g_assert_cmpint(nth, ==, 7);
            break;
        }
    }
}

static void test_grow(struct fixture *f, gconstpointer data)
{
    char *message = NULL;
    g_autofree char *text = NULL;

    (void)data;
    g_assert_cmpint(create(f, "vm/a.vmdk", &thin), ==, 0);
    g_assert_cmpint(disk_image_grow(f->fd, "vm/a.vmdk", (INT64_C(1) << 30) - 512, false, &message), ==,
                    -EINVAL);
    g_clear_pointer(&message, g_free);
    g_assert_cmpint(disk_image_grow(f->fd, "vm/a.vmdk", (INT64_C(1) << 30) + 1, false, &message), ==,
                    -EINVAL);
    g_clear_pointer(&message, g_free);
    g_assert_cmpint(disk_image_grow(f->fd, "vm/a.vmdk", INT64_C(1) << 30, false, &message), ==, 0);
    g_assert_cmpint(disk_image_grow(f->fd, "vm/a.vmdk", INT64_C(3) << 30, false, &message), ==, 0);
    g_assert_cmpint(capacity(f, "vm/a.vmdk"), ==, INT64_C(3) << 30);
    g_assert_cmpint(disk_image_note_capacity(f->fd, "vm/a.vmdk", INT64_C(4) << 30, &message), ==, 0);
    g_assert_cmpint(file_read(f->fd, "vm/a.vmdk", 10000, &text, NULL), ==, 0);
    g_assert_nonnull(strstr(text, "RW 8388608 QCOW2 \"a.qcow2\"\n"));
    g_assert_null(message);
}

static void test_delete_faults(struct fixture *f, gconstpointer data)
{
    (void)data;
    for (int nth = 1; nth <= 4; nth++) {
        g_autofree char *message = NULL;

        g_assert_cmpint(create(f, "vm/a.vmdk", &thin), ==, 0);
        syscall_fault_arm(nth, EIO, false);
        g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &message), ==, -EIO);
        g_assert_true(syscall_fault_disarm());
        g_assert_true(exists(f, "vm/a.qcow2") || !exists(f, "vm/a.vmdk"));
        g_assert_cmpint(exists(f, "vm/a.vmdk"), ==, nth == 1);
        unlinkat(f->fd, "vm/a.vmdk", 0);
        unlinkat(f->fd, "vm/a.qcow2", 0);
    }
}

/* An ESX disk is used as it is, as long as its file is not shorter than it says. */
static void test_flat(struct fixture *f, gconstpointer data)
{
    static const char text[] = "# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID=ffffffff\n"
                               "createType=\"vmfs\"\nRW 8 VMFS \"a-flat.vmdk\"\n";
    char bytes[4096] = "contents";
    struct disk_image_info info;
    char *message = NULL;
    const char *format = NULL;
    int fd = -1;

    (void)data;
    g_assert_cmpint(file_replace(f->fd, "vm/a.vmdk", text, strlen(text), 0600), ==, 0);
    g_assert_cmpint(file_replace(f->fd, "vm/a-flat.vmdk", bytes, sizeof(bytes) - 1, 0600), ==, 0);
    g_assert_cmpint(disk_image_get_info(f->fd, "vm/a.vmdk", &info, &message), ==, -EUCLEAN);
    g_clear_pointer(&message, g_free);
    g_assert_cmpint(file_replace(f->fd, "vm/a-flat.vmdk", bytes, sizeof(bytes), 0600), ==, 0);
    g_assert_cmpint(disk_image_get_info(f->fd, "vm/a.vmdk", &info, &message), ==, 0);
    g_assert_cmpstr(info.format, ==, "raw");
    g_assert_cmpstr(info.data_path, ==, "vm/a-flat.vmdk");
    g_assert_cmpint(info.capacity_bytes, ==, 4096);
    g_assert_cmpint(info.provisioning, ==, DISK_IMAGE_THICK_LAZY);
    disk_image_info_clear(&info);
    g_assert_cmpint(disk_image_open(f->fd, "vm/a.vmdk", true, &fd, NULL, &message), ==, -EMEDIUMTYPE);
    g_clear_pointer(&message, g_free);
    g_assert_cmpint(disk_image_open(f->fd, "vm/a.vmdk", true, &fd, &format, &message), ==, 0);
    g_assert_cmpstr(format, ==, "raw");
    close(fd);
    g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &message), ==, 0);
    g_assert_false(exists(f, "vm/a-flat.vmdk"));
}

static void test_foreign(struct fixture *f, gconstpointer data)
{
    static const char flat[] =
        "# Disk DescriptorFile\nversion=1\ncreateType=\"vmfsSparse\"\nRW 8 VMFSSPARSE \"a-delta.vmdk\"\n";
    struct disk_image_info info;
    char *message = NULL;

    (void)data;
    g_assert_cmpint(file_replace(f->fd, "vm/a.vmdk", flat, strlen(flat), 0600), ==, 0);
    g_assert_cmpint(disk_image_get_info(f->fd, "vm/a.vmdk", &info, &message), ==, -EMEDIUMTYPE);
    g_assert_nonnull(strstr(message, "vmfsSparse"));
    g_clear_pointer(&message, g_free);
    g_assert_cmpint(disk_image_delete(f->fd, "vm/a.vmdk", &message), ==, -EMEDIUMTYPE);
    g_clear_pointer(&message, g_free);
    g_assert_true(exists(f, "vm/a.vmdk"));
    g_assert_cmpint(file_replace(f->fd, "vm/s.vmdk", "KDMV\1\0\0\0\3\0\0\0", 12, 0600), ==, 0);
    g_assert_cmpint(disk_image_get_info(f->fd, "vm/s.vmdk", &info, &message), ==, -EMEDIUMTYPE);
    g_assert_nonnull(strstr(message, "monolithicSparse"));
    g_clear_pointer(&message, g_free);
}

/* A script in the place of qemu-img; PATH shows only it. */
static void test_program_faults(struct fixture *f, gconstpointer data)
{
    static const struct {
        const char *script;
        int error;
        const char *message;
    } cases[] = {
        {"echo 'qemu-img: /proc/self/fd/3: Could not: No space left on device' >&2; exit 1", -ENOSPC,
         "Could not*"},
        {"echo 'Is another process using the image [x]?' >&2; exit 1", -EBUSY, "*"},
        {"exit 3", -EIO, "*without saying why*"},
        {"kill -9 $$", -EIO, "*"},
        {"i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done >&2;"
         " exit 1",
         -EIO, "0123456789*"},
        {"echo half >&3; exec 2>&-; while :; do :; done", -ETIMEDOUT, "*too long*"},
    };
    struct disk_image_options options = thin;
    g_autofree char *old_path = g_strdup(g_getenv("PATH"));

    (void)data;
    options.timeout_ms = 300;
    g_setenv("PATH", f->path, TRUE);
    g_assert_cmpint(create(f, "vm/a.vmdk", &options), ==, -ENOENT);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", cases[i].script);
        g_autofree char *message = NULL;

        options.timeout_ms = cases[i].error == -ETIMEDOUT ? 300 : 30000;
        g_assert_cmpint(file_replace(f->fd, "qemu-img", text, strlen(text), 0700), ==, 0);
        g_assert_cmpint(disk_image_create(f->fd, "vm/a.vmdk", &options, &message), ==, cases[i].error);
        g_assert_true(g_pattern_match_simple(cases[i].message, message));
        g_assert_cmpuint(count_files(f), ==, 0);
    }
    g_setenv("PATH", old_path, TRUE);
    g_assert_cmpint(create(f, "vm/a.vmdk", &thin), ==, 0);
}

int main(int argc, char **argv)
{
    g_autofree char *program = NULL;

    g_test_init(&argc, &argv, NULL);
    program = g_find_program_in_path("qemu-img");
    if (program == NULL) {
        g_error("qemu-img is needed for this test (Debian: qemu-utils)");
    }
#define ADD(name, function) g_test_add("/disk_image/" name, struct fixture, NULL, set_up, function, tear_down)
    ADD("create", test_create);
    ADD("thick", test_thick);
    ADD("names", test_names);
    ADD("leftovers", test_leftovers);
    ADD("create-faults", test_create_faults);
    ADD("grow", test_grow);
    ADD("grow-faults", test_grow_faults);
    ADD("delete-faults", test_delete_faults);
    ADD("foreign", test_foreign);
    ADD("flat", test_flat);
    ADD("program-faults", test_program_faults);
    return g_test_run();
}
