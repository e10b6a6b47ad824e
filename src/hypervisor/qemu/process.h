// SPDX-License-Identifier: Apache-2.0
/*
 * The process of a virtual machine: starts it confined, finds it again, ends it.
 *
 * Starting takes two steps. process_fork() makes a child that is ready in every respect and waits;
 * process_go() lets it become QEMU. In between the caller writes down who the child is. When the caller
 * dies before the second step, the child ends by itself: there is never a QEMU that nobody has a record of.
 * After that the process depends on nothing here: it has its own session and outlives the caller.
 *
 * A process is always addressed by a pidfd that was checked against the start time in /proc, never by its
 * number alone. Functions return 0 or a negative errno and may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    PROCESS_FIRST_FD = 3, /* the number of the first passed descriptor in the process */
};

/* What to run. All members are borrowed. */
struct process_spec {
    const char *program; /* path of the executable */
    char *const *argv;   /* ended by NULL */
    const int *fds;      /* number i becomes PROCESS_FIRST_FD + i; every other descriptor is closed */
    size_t n_fds;
    int cwd_fd;      /* the folder to run in */
    int output_fd;   /* standard output and error; input is /dev/null */
    uid_t uid;       /* user and group to become; 0 stays as it is */
    gid_t extra_gid; /* one further group, when uid is not 0; 0 for none */
};

struct process {
    pid_t pid;
    int pidfd;            /* owned, -1 when not open */
    uint64_t start_ticks; /* field 22 of /proc/PID/stat: with pid it names the process until the next boot */
    int control_fd;       /* owned: the line to a child that still waits, else -1 */
};

/* Makes the child. What fails in the child shows in process_go(). */
int process_fork(const struct process_spec *spec, struct process *ret, char **ret_message);
/* Lets the child go on and returns when it has become the program. On failure it is gone, but must be
 * closed. */
int process_go(struct process *process, char **ret_message);
/* Opens a process of an earlier run. -ESRCH when it is no more, or the number is another process's now. */
int process_open(pid_t pid, uint64_t start_ticks, struct process *ret);
/* Waits until the process is dead. -ETIMEDOUT. A timeout below 0 waits for ever. */
int process_wait(const struct process *process, int timeout_ms);
/* Kills it with SIGKILL; a process that is dead already is success. */
int process_kill(const struct process *process);
/* Collects the exit status of a dead process if it was a child. Returns whether a signal ended it, and in
 * *ret_code the signal or exit code; -ECHILD when it was no child of ours. */
int process_reap(const struct process *process, bool *ret_signalled, int *ret_code);
/* Lets go of it without touching it, except that a child that still waits ends. */
void process_close(struct process *process);

/* The identity of this boot of the machine, without which start times mean nothing. g_free. */
char *process_boot_id(void);
