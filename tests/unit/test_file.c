// SPDX-License-Identifier: Apache-2.0
/*
 * Files beneath a folder: nothing outside can be named, a replaced file is old or new whichever system
 * call fails, removing a tree follows no link.
 */
#include "base/file.h"
#include "syscall_fault.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
    char *path; /* a fresh folder */
    int fd;     /* open on it */
};

static void set_up(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->path = g_dir_make_tmp("tenkyu-test-file-XXXXXX", NULL);
    g_assert_nonnull(f->path);
    f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
    (void)data;
    close(f->fd);
    g_assert_cmpint(file_remove_tree(AT_FDCWD, f->path), ==, 0);
    g_free(f->path);
}

static void put(struct fixture *f, const char *path, const char *text)
{
    g_assert_cmpint(file_replace(f->fd, path, text, strlen(text), 0600), ==, 0);
}

static void assert_contents(struct fixture *f, const char *path, const char *text)
{
    g_autofree char *data = NULL;
    size_t length;

    g_assert_cmpint(file_read(f->fd, path, 1 << 20, &data, &length), ==, 0);
    g_assert_cmpstr(data, ==, text);
    g_assert_cmpuint(length, ==, strlen(text));
}

static bool exists(struct fixture *f, const char *path)
{
    struct stat st;

    return fstatat(f->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_read(struct fixture *f, gconstpointer data)
{
    char *text = (char *)"untouched";
    size_t length = 7;

    (void)data;
    put(f, "a", "hello");
    assert_contents(f, "a", "hello");
    g_assert_cmpint(file_read(f->fd, "a", 4, &text, &length), ==, -EFBIG);
    g_assert_cmpint(file_read(f->fd, "missing", 4, &text, &length), ==, -ENOENT);
    g_assert_cmpint(file_read(f->fd, ".", 1 << 20, &text, &length), ==, -EISDIR);
    g_assert_cmpstr(text, ==, "untouched");
    g_assert_cmpuint(length, ==, 7);
    put(f, "empty", "");
    assert_contents(f, "empty", "");
}

static void test_beneath(struct fixture *f, gconstpointer data)
{
    int fd = -1;
    g_autofree char *absolute = g_build_filename(f->path, "a", NULL);

    (void)data;
    put(f, "a", "hello");
    g_assert_cmpint(file_mkdir(f->fd, "d", 0700), ==, 0);
    g_assert_cmpint(symlinkat("a", f->fd, "link"), ==, 0);
    g_assert_cmpint(symlinkat("/tmp", f->fd, "out"), ==, 0);
    g_assert_cmpint(mkfifoat(f->fd, "fifo", 0600), ==, 0);
    g_assert_cmpint(file_open(f->fd, "../x", O_RDONLY, 0, &fd), ==, -EXDEV);
    g_assert_cmpint(file_open(f->fd, "d/../../x", O_RDONLY, 0, &fd), ==, -EXDEV);
    g_assert_cmpint(file_open(f->fd, absolute, O_RDONLY, 0, &fd), ==, -EXDEV);
    g_assert_cmpint(file_open(f->fd, "link", O_RDONLY, 0, &fd), ==, -ELOOP);
    g_assert_cmpint(file_open(f->fd, "out/x", O_RDONLY | O_CREAT, 0600, &fd), ==, -ELOOP);
    g_assert_cmpint(file_open(f->fd, "fifo", O_RDONLY, 0, &fd), ==, -EINVAL);
    g_assert_cmpint(file_open(f->fd, "fifo", O_WRONLY, 0, &fd), ==, -EINVAL);
    g_assert_cmpint(file_replace(f->fd, "out/x", "x", 1, 0600), ==, -ELOOP);
    g_assert_cmpint(file_replace(f->fd, "../x", "x", 1, 0600), ==, -EXDEV);
    g_assert_cmpint(file_remove_tree(f->fd, "out/x"), ==, -ELOOP);
    g_assert_cmpint(file_remove_tree(f->fd, "../x"), ==, -EXDEV);
    g_assert_cmpint(fd, ==, -1);
    g_assert_cmpint(file_open(f->fd, "a", O_RDWR, 0, &fd), ==, 0);
    g_assert_cmpint(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), ==, O_RDWR);
    g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    close(fd);
}

static void test_mkdir(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(file_mkdir(f->fd, "a/b/c", 0700), ==, 0);
    g_assert_cmpint(file_mkdir(f->fd, "a/b/c", 0700), ==, 0);
    put(f, "a/b/c/file", "x");
    g_assert_cmpint(file_mkdir(f->fd, "a/b/c/file/d", 0700), ==, -ENOTDIR);
    g_assert_cmpint(file_mkdir(f->fd, "../z", 0700), ==, -EXDEV);
    g_assert_cmpint(file_mkdir(f->fd, "/tmp/z", 0700), ==, -EXDEV);
    g_assert_cmpint(file_mkdir(f->fd, "", 0700), ==, -EINVAL);
    g_assert_cmpint(symlinkat("/tmp", f->fd, "out"), ==, 0);
    g_assert_cmpint(file_mkdir(f->fd, "out/tenkyu-test-z", 0700), ==, -ELOOP);
}

static void test_replace(struct fixture *f, gconstpointer data)
{
    g_autofree char *long_name = g_strnfill(252, 'n');
    struct stat st;

    (void)data;
    put(f, "a", "one");
    g_assert_cmpint(fstatat(f->fd, "a", &st, 0), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    put(f, "a", "");
    assert_contents(f, "a", "");
    g_assert_cmpint(file_replace(f->fd, long_name, "x", 1, 0600), ==, -ENAMETOOLONG);
    g_assert_cmpint(file_replace(f->fd, "", "x", 1, 0600), ==, -EINVAL);
    g_assert_cmpint(file_replace(f->fd, "nodir/a", "x", 1, 0600), ==, -ENOENT);
    /* What a crash left is taken over, and a link to another file in its place does no harm. */
    put(f, "other", "precious");
    g_assert_cmpint(linkat(f->fd, "other", f->fd, "a" FILE_NEW_SUFFIX, 0), ==, 0);
    put(f, "a", "two");
    assert_contents(f, "a", "two");
    assert_contents(f, "other", "precious");
    g_assert_false(exists(f, "a" FILE_NEW_SUFFIX));
}

/* Whichever call fails, with whatever error: old or new, and no litter. */
static void test_replace_faults(struct fixture *f, gconstpointer data)
{
    static const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS};
    int steps_seen = 0;

    (void)data;
    for (size_t e = 0; e < G_N_ELEMENTS(errors); e++) {
        for (int nth = 1;; nth++) {
            g_autofree char *now = NULL;
            bool fired;
            int r;

            put(f, "a", "old contents");
            syscall_fault_arm(nth, errors[e], true);
            r = file_replace(f->fd, "a", "the new contents", 16, 0600);
            fired = syscall_fault_disarm();
            g_assert_cmpint(file_read(f->fd, "a", 100, &now, NULL), ==, 0);
            g_assert_cmpint(r, ==, fired ? -errors[e] : 0);
            if (!fired) {
                g_assert_cmpstr(now, ==, "the new contents");
                break;
            }
            steps_seen = MAX(steps_seen, nth);
            /* unlinkat, write, fsync, renameat leave the old; after the folder's fsync the new stands. */
            g_assert_cmpstr(now, ==, nth <= 4 ? "old contents" : "the new contents");
            g_assert_false(exists(f, "a" FILE_NEW_SUFFIX));
        }
    }
    g_assert_cmpint(steps_seen, ==, 5);
}

/* A write that was cut short by a signal or a full disk goes on. */
static void test_write_all(struct fixture *f, gconstpointer data)
{
    int fd = -1;

    (void)data;
    g_assert_cmpint(file_open(f->fd, "a", O_WRONLY | O_CREAT, 0600, &fd), ==, 0);
    syscall_fault_arm(1, EINTR, false);
    g_assert_cmpint(file_write_all(fd, "12345678", 8), ==, 0);
    g_assert_true(syscall_fault_disarm());
    close(fd);
    assert_contents(f, "a", "12345678");
}

static void test_remove(struct fixture *f, gconstpointer data)
{
    (void)data;
    put(f, "keep", "x");
    g_assert_cmpint(file_mkdir(f->fd, "t/u/v", 0700), ==, 0);
    put(f, "t/u/file", "x");
    g_assert_cmpint(symlinkat("../keep", f->fd, "t/link"), ==, 0);
    g_assert_cmpint(symlinkat("..", f->fd, "t/up"), ==, 0);
    for (int i = 0; i < 500; i++) {
        g_autofree char *name = g_strdup_printf("t/u/v/%d", i);
        int fd = openat(f->fd, name, O_CREAT | O_WRONLY, 0600);

        g_assert_cmpint(fd, >=, 0);
        close(fd);
    }
    g_assert_cmpint(file_remove(f->fd, "t"), ==, -EISDIR);
    g_assert_cmpint(file_remove_tree(f->fd, "t"), ==, 0);
    g_assert_false(exists(f, "t"));
    g_assert_true(exists(f, "keep"));
    g_assert_cmpint(file_remove_tree(f->fd, "t"), ==, -ENOENT);
    g_assert_cmpint(file_remove_tree(f->fd, "."), ==, -EINVAL);
    g_assert_cmpint(file_remove_tree(f->fd, ""), ==, -EINVAL);
    g_assert_cmpint(file_remove_tree(f->fd, "keep/"), ==, -EINVAL);
    g_assert_cmpint(file_remove(f->fd, "keep"), ==, 0);
    g_assert_cmpint(file_remove(f->fd, "keep"), ==, -ENOENT);
}

static void test_remove_depth(struct fixture *f, gconstpointer data)
{
    g_autoptr(GString) path = g_string_new("deep");

    (void)data;
    for (int i = 0; i < 130; i++) {
        g_string_append(path, "/d");
    }
    g_assert_cmpint(file_mkdir(f->fd, path->str, 0700), ==, 0);
    g_assert_cmpint(file_remove_tree(f->fd, "deep"), ==, -ELOOP);
    /* Still whole; from further down it can be removed. */
    g_assert_cmpint(file_remove_tree(f->fd, "deep/d/d/d/d"), ==, 0);
    g_assert_cmpint(file_remove_tree(f->fd, "deep"), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/file/" name, struct fixture, NULL, set_up, function, tear_down)
    ADD("read", test_read);
    ADD("beneath", test_beneath);
    ADD("mkdir", test_mkdir);
    ADD("replace", test_replace);
    ADD("replace-faults", test_replace_faults);
    ADD("write-all", test_write_all);
    ADD("remove", test_remove);
    ADD("remove-depth", test_remove_depth);
    return g_test_run();
}
