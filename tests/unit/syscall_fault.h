// SPDX-License-Identifier: Apache-2.0
/*
 * Makes the n-th changing system call of this test program fail. Included by the one source file of a
 * test; it defines write(), fsync(), renameat(), linkat(), unlinkat(), mkdirat() and ftruncate() in the
 * program, which the dynamic linker prefers to libc's, so that the code under test needs no hook for tests.
 * The calls count only between syscall_fault_arm() and syscall_fault_disarm(), and only on that thread.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Thread-local: libc and GLib may write from other threads. */
static __thread struct {
    int countdown;    /* calls until one fails; 0: none will */
    int error;        /* the errno of that failure */
    bool fired;       /* it has failed */
    bool short_write; /* a write that fails has first written half of its data */
} syscall_fault;

static inline void syscall_fault_arm(int nth, int error, bool short_write)
{
    syscall_fault.countdown = nth;
    syscall_fault.error = error;
    syscall_fault.fired = false;
    syscall_fault.short_write = short_write;
}

/* Returns whether a call failed; when not, the code made fewer calls than `nth`. */
static inline bool syscall_fault_disarm(void)
{
    syscall_fault.countdown = 0;
    return syscall_fault.fired;
}

static bool syscall_fault_now(void)
{
    if (syscall_fault.countdown == 0 || --syscall_fault.countdown > 0) {
        return false;
    }
    syscall_fault.fired = true;
    errno = syscall_fault.error;
    return true;
}

ssize_t write(int fd, const void *data, size_t length)
{
    if (syscall_fault_now()) {
        if (syscall_fault.short_write) {
            syscall(SYS_write, fd, data, length / 2);
            errno = syscall_fault.error;
        }
        return -1;
    }
    return syscall(SYS_write, fd, data, length);
}

int fsync(int fd)
{
    return syscall_fault_now() ? -1 : (int)syscall(SYS_fsync, fd);
}

int ftruncate(int fd, off_t length)
{
    return syscall_fault_now() ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int renameat(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
    return syscall_fault_now() ? -1 : (int)syscall(SYS_renameat2, old_dir, old_name, new_dir, new_name, 0);
}

int linkat(int old_dir, const char *old_name, int new_dir, const char *new_name, int flags)
{
    return syscall_fault_now() ? -1 : (int)syscall(SYS_linkat, old_dir, old_name, new_dir, new_name, flags);
}

int unlinkat(int dir, const char *name, int flags)
{
    return syscall_fault_now() ? -1 : (int)syscall(SYS_unlinkat, dir, name, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
    return syscall_fault_now() ? -1 : (int)syscall(SYS_mkdirat, dir, name, mode);
}
