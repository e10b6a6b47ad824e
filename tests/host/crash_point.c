// SPDX-License-Identifier: Apache-2.0
/*
 * A library that test_crash.py preloads into `tenkyu host`: kills the process, or makes a call fail, at the n-th
 * call that changes files or talks to QEMU. The test shares a page with it, through the file that
 * $TENKYU_CRASH_POINT names: three 32-bit numbers.
 *
 *   [0] armed   the test writes n here; counted down to 0 at the n-th call
 *   [1] error   0: the process is killed before the call; else the errno that the call fails with
 *   [2] hits    1 when it has happened
 *
 * Only the agent itself is meant, not the programs that it starts. Writes count when they go to a regular file
 * or, if the process is to be killed, into a Unix socket (QMP); network connections do not count.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARMED, ERROR, HITS };

static _Atomic int32_t *page; /* shared with the test; NULL in other programs */
static pid_t agent;           /* not those that it forks */

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("TENKYU_CRASH_POINT");
    if (path == NULL || strcmp(program_invocation_short_name, "tenkyu") != 0) {
        return;
    }
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
    if (fd < 0 || shared == MAP_FAILED) {
        abort();
    }
    agent = getpid();
    page = shared;
}

/* Counts a call. True: it is to fail with errno as set. */
static bool point(bool may_fail)
{
    if (page == NULL || getpid() != agent || page[ARMED] <= 0 || (page[ERROR] != 0 && !may_fail)) {
        return false;
    }
    if (--page[ARMED] != 0) {
        return false;
    }
    page[HITS] = 1;
    if (page[ERROR] != 0) {
        errno = page[ERROR];
        return true;
    }
    kill(agent, SIGKILL);
    for (;;) {
        pause();
    }
}

static bool point_of_write(int fd)
{
    struct stat st;
    struct sockaddr address;
    socklen_t length = sizeof(address);
    if (page == NULL || fstat(fd, &st) < 0) {
        return false;
    }
    if (S_ISREG(st.st_mode)) {
        return point(true);
    }
    bool local =
        S_ISSOCK(st.st_mode) && getsockname(fd, &address, &length) == 0 && address.sa_family == AF_UNIX;
    return local && point(false);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size)
{
    return point_of_write(fd) ? -1 : REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return point_of_write(fd) ? -1 : REAL(pwrite)(fd, data, size, offset);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    return point_of_write(fd) ? -1 : REAL(send)(fd, data, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return point_of_write(fd) ? -1 : REAL(sendmsg)(fd, message, flags);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return point(true) ? -1 : REAL(renameat)(from_fd, from, to_fd, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return point(true) ? -1 : REAL(linkat)(from_fd, from, to_fd, to, flags);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
    return point(true) ? -1 : REAL(mkdirat)(fd, path, mode);
}

int unlinkat(int fd, const char *path, int flags)
{
    return point(false) ? -1 : REAL(unlinkat)(fd, path, flags);
}

/* The agent's only other system call is openat2, which has no function of its own. */
long syscall(long number, ...)
{
    long argument[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        argument[i] = va_arg(list, long);
    }
    va_end(list);
    if (number == SYS_openat2) {
        const struct open_how *how = (const void *)argument[2];
        if ((how->flags & O_CREAT) != 0 && point(true)) {
            return -1;
        }
    }
    return REAL(syscall)(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                         argument[5]);
}
