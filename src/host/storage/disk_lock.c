// SPDX-License-Identifier: Apache-2.0
/*
 * Locks on the data of virtual disks; see disk_lock.h.
 *
 * QEMU's protocol, as its user documentation tells and its locks in /proc/locks show: byte 100 + n is
 * read-locked by who makes use of permission n, byte 200 + n by who does not let others have it. Who finds
 * the other byte locked by somebody else may not go on. A read lock is enough, because it is looked for with
 * a test for a write lock; so a file that is open for reading only can be locked as well.
 */
#include "host/storage/disk_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

enum {
    USED_FIRST_BYTE = 100,
    DENIED_FIRST_BYTE = 200,
    PERMISSIONS = 4,
};

/* QEMU's permissions on a block node. */
enum {
    CONSISTENT_READ = 1 << 0,
    WRITE = 1 << 1,
    WRITE_UNCHANGED = 1 << 2,
    RESIZE = 1 << 3,
};

/* What a use is in permissions. */
struct permissions {
    unsigned used;
    unsigned denied; /* to others */
};

static struct permissions permissions_of(enum disk_lock_use use)
{
    switch (use) {
    case DISK_LOCK_READ:
        return (struct permissions){CONSISTENT_READ, WRITE | RESIZE};
    case DISK_LOCK_WRITE:
        break;
    }
    return (struct permissions){CONSISTENT_READ | WRITE | RESIZE,
                                CONSISTENT_READ | WRITE | WRITE_UNCHANGED | RESIZE};
}

static int set_byte(int fd, int byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        return 0;
    }
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* -EBUSY when another open file holds a lock on the byte. */
static int test_byte(int fd, int byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) {
        return -errno;
    }
    return lock.l_type == F_UNLCK ? 0 : -EBUSY;
}

int disk_lock_probe(int fd, enum disk_lock_use use)
{
    struct permissions permissions = permissions_of(use);
    int error = 0;
    for (int n = 0; n < PERMISSIONS && error == 0; n++) {
        if ((permissions.used & 1U << n) != 0) {
            error = test_byte(fd, DENIED_FIRST_BYTE + n);
        }
        if (error == 0 && (permissions.denied & 1U << n) != 0) {
            error = test_byte(fd, USED_FIRST_BYTE + n);
        }
    }
    return error;
}

int disk_lock_take(int fd, enum disk_lock_use use)
{
    struct permissions permissions = permissions_of(use);
    int error = 0;
    for (int n = 0; n < PERMISSIONS && error == 0; n++) {
        if ((permissions.used & 1U << n) != 0) {
            error = set_byte(fd, USED_FIRST_BYTE + n, F_RDLCK);
        }
        if (error == 0 && (permissions.denied & 1U << n) != 0) {
            error = set_byte(fd, DENIED_FIRST_BYTE + n, F_RDLCK);
        }
    }
    if (error ==
        0) { /* who comes at the same time sees ours, and we see his: one of both, or both, give up */
        error = disk_lock_probe(fd, use);
    }
    for (int n = 0; n < PERMISSIONS && error != 0; n++) {
        (void)set_byte(fd, USED_FIRST_BYTE + n, F_UNLCK);
        (void)set_byte(fd, DENIED_FIRST_BYTE + n, F_UNLCK);
    }
    return error;
}
