// SPDX-License-Identifier: Apache-2.0
/*
 * Files beneath a folder; see file.h. Everything goes through openat2(2) (Linux 5.6): the kernel
 * resolves a path beneath the folder in one step, which no check by hand can do without a race.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    OPEN_TRIES = 100,      /* openat2 says EAGAIN when somebody renames on the way */
    REMOVE_MAX_DEPTH = 128 /* each level holds a descriptor and a stack frame */
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

#define AUTO_FD __attribute__((cleanup(close_fd))) int

static int fd_steal(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

/* Opens whatever is there. `resolve` adds to the rules of a path beneath a folder. */
static int open_raw(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve, int *ret_fd)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) != 0 ? mode & 07777 : 0,
        .resolve = resolve,
    };

    if (dir_fd != AT_FDCWD) {
        how.resolve |= RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
    }
    for (int i = 0; i < OPEN_TRIES; i++) {
        long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

        if (fd >= 0) {
            *ret_fd = (int)fd;
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return -EAGAIN;
}

int file_open(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd)
{
    AUTO_FD fd = -1;
    struct stat st;
    /* O_NONBLOCK: a FIFO opens at once and is refused below. Regular files do not know it. */
    int r = open_raw(dir_fd, path, flags | O_NONBLOCK | O_NOCTTY, mode, 0, &fd);

    if (r < 0) {
        return r == -ENXIO ? -EINVAL : r; /* ENXIO: a FIFO without a reader, or a socket */
    }
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        return -EINVAL;
    }
    if ((flags & (O_NONBLOCK | O_PATH)) == 0 && fcntl(fd, F_SETFL, flags & ~O_CREAT) < 0) {
        return -errno;
    }
    *ret_fd = fd_steal(&fd);
    return 0;
}

int file_open_parent(int dir_fd, const char *path, int *ret_fd, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    g_autofree char *parent = NULL;
    int r;

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return -EINVAL;
    }
    if (slash == NULL) {
        parent = g_strdup(".");
    } else {
        parent = slash == path ? g_strdup("/") : g_strndup(path, (size_t)(slash - path));
    }
    r = open_raw(dir_fd, parent, O_RDONLY | O_DIRECTORY, 0, 0, ret_fd);
    if (r < 0) {
        return r;
    }
    *ret_name = name;
    return 0;
}

/* Makes one folder in `parent_fd` when it is missing, and opens it. */
static int mkdir_step(int parent_fd, const char *name, mode_t mode, int *ret_fd)
{
    if (mkdirat(parent_fd, name, mode) == 0) {
        if (fsync(parent_fd) < 0) {
            return -errno;
        }
    } else if (errno != EEXIST) {
        return -errno;
    }
    return open_raw(parent_fd, name, O_RDONLY | O_DIRECTORY, 0, 0, ret_fd);
}

int file_mkdir(int dir_fd, const char *path, mode_t mode)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    AUTO_FD fd = -1;
    int r;

    if (path[0] == '\0') {
        return -EINVAL;
    }
    if (path[0] == '/' && dir_fd != AT_FDCWD) {
        return -EXDEV;
    }
    r = open_raw(dir_fd, path[0] == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY, 0, 0, &fd);
    if (r < 0) {
        return r;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        int next;

        if (names[i][0] == '\0' || strcmp(names[i], ".") == 0) {
            continue;
        }
        r = mkdir_step(fd, names[i], mode, &next);
        if (r < 0) {
            return r;
        }
        close(fd);
        fd = next;
    }
    return 0;
}

/* Reads at most `size` bytes; fewer only at the end of the file. */
static ssize_t read_up_to(int fd, char *data, size_t size)
{
    size_t length = 0;

    while (length < size) {
        ssize_t n = read(fd, data + length, size - length);

        if (n == 0) {
            break;
        }
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        length += (size_t)n;
    }
    return (ssize_t)length;
}

int file_read(int dir_fd, const char *path, size_t max_bytes, char **ret, size_t *ret_length)
{
    AUTO_FD fd = -1;
    struct stat st;
    g_autofree char *data = NULL;
    size_t size;
    ssize_t length;
    int r = file_open(dir_fd, path, O_RDONLY, 0, &fd);

    if (r < 0) {
        return r;
    }
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (S_ISDIR(st.st_mode)) {
        return -EISDIR;
    }
    if ((uint64_t)st.st_size > max_bytes) {
        return -EFBIG;
    }
    /* One byte more than there is shows a file that grew meanwhile. */
    size = (size_t)st.st_size + 1;
    data = g_malloc(size);
    length = read_up_to(fd, data, size);
    if (length < 0) {
        return (int)length;
    }
    if ((size_t)length == size) {
        return -EAGAIN;
    }
    data[length] = '\0';
    *ret = g_steal_pointer(&data);
    if (ret_length != NULL) {
        *ret_length = (size_t)length;
    }
    return 0;
}

int file_write_all(int fd, const void *data, size_t length)
{
    const char *next = data;

    while (length > 0) {
        ssize_t n = write(fd, next, length);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        next += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Makes `name` in the folder with the given contents, synced. What a failure leaves is not removed. */
static int write_new(int parent_fd, const char *name, const void *data, size_t length, mode_t mode)
{
    AUTO_FD fd = -1;
    int r;

    /* Not O_TRUNC: a link to some other file under this name must not empty that file. */
    if (unlinkat(parent_fd, name, 0) < 0 && errno != ENOENT) {
        return -errno;
    }
    r = open_raw(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL, mode, 0, &fd);
    if (r < 0) {
        return r;
    }
    r = file_write_all(fd, data, length);
    if (r < 0) {
        return r;
    }
    if (fsync(fd) < 0) {
        return -errno;
    }
    /* Network file systems may report a full disk only here. */
    return close(fd_steal(&fd)) < 0 ? -errno : 0;
}

int file_replace(int dir_fd, const char *path, const void *data, size_t length, mode_t mode)
{
    AUTO_FD parent_fd = -1;
    const char *name;
    g_autofree char *new_name = NULL;
    int r = file_open_parent(dir_fd, path, &parent_fd, &name);

    if (r < 0) {
        return r;
    }
    new_name = g_strconcat(name, FILE_NEW_SUFFIX, NULL);
    r = write_new(parent_fd, new_name, data, length, mode);
    if (r == 0 && renameat(parent_fd, new_name, parent_fd, name) < 0) {
        r = -errno;
    }
    if (r < 0) {
        unlinkat(parent_fd, new_name, 0);
        return r;
    }
    return fsync(parent_fd) < 0 ? -errno : 0;
}

int file_remove(int dir_fd, const char *path)
{
    AUTO_FD parent_fd = -1;
    const char *name;
    int r = file_open_parent(dir_fd, path, &parent_fd, &name);

    if (r < 0) {
        return r;
    }
    if (unlinkat(parent_fd, name, 0) < 0) {
        return -errno;
    }
    return fsync(parent_fd) < 0 ? -errno : 0;
}

static int remove_entry(int parent_fd, const char *name, int depth);

/*
 * Empties a folder. What readdir shows while entries vanish is up to the file system, so it starts again
 * until a whole pass finds nothing. Takes dir_fd.
 */
static int remove_contents(int dir_fd, int depth)
{
    DIR *dir = fdopendir(dir_fd);
    bool found = true;
    int r = 0;

    if (dir == NULL) {
        r = -errno;
        close(dir_fd);
        return r;
    }
    while (found && r == 0) {
        struct dirent *entry;

        found = false;
        rewinddir(dir);
        while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
                found = true;
                r = remove_entry(dirfd(dir), entry->d_name, depth);
            }
        }
        if (r == 0 && errno != 0) {
            r = -errno;
        }
    }
    closedir(dir);
    return r;
}

static int remove_entry(int parent_fd, const char *name, int depth)
{
    int fd;
    int r;

    if (unlinkat(parent_fd, name, 0) == 0) {
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) { /* POSIX names EPERM for a folder */
        return -errno;
    }
    if (depth == 0) {
        return -ELOOP;
    }
    r = open_raw(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV,
                 &fd);
    if (r < 0) {
        return r == -ENOTDIR ? -EPERM : r; /* an immutable file is what EPERM meant */
    }
    r = remove_contents(fd, depth - 1);
    if (r < 0) {
        return r;
    }
    return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int file_remove_tree(int dir_fd, const char *path)
{
    AUTO_FD parent_fd = -1;
    const char *name;
    int r = file_open_parent(dir_fd, path, &parent_fd, &name);

    if (r < 0) {
        return r;
    }
    r = remove_entry(parent_fd, name, REMOVE_MAX_DEPTH);
    if (r < 0) {
        return r;
    }
    return fsync(parent_fd) < 0 ? -errno : 0;
}
