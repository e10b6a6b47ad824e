// SPDX-License-Identifier: Apache-2.0
/*
 * Starts other programs: no shell, no descriptors but those that are given, an empty environment (English
 * messages), default signals. Safe from any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct program {
    const char *const *argv; /* argv[0] is looked for in PATH; NULL-terminated */
    const int *fds;          /* they become descriptors 3, 4, ... of the program; borrowed */
    size_t n_fds;            /* at most 64 */
    int output_fd;           /* its standard output, or -1 for nowhere */
    int error_fd;            /* its standard error, or -1 for nowhere */
    bool activated; /* descriptor 3 is a listening socket, as systemd hands one over (sd_listen_fds(3)) */
};

/* 0 and the child's pid, which the caller waits for, or a negative errno: -ENOENT, no such program. */
int program_start(const struct program *program, pid_t *ret_pid);

/* Waits for a child's end; what waitpid(2) says of it. */
int program_wait(pid_t pid);

/* Runs a program to its end and gathers what it says on both of its outputs, of which the struct names none: the
 * first 4 KiB. What it leaves running in the background does not hinder. 0 and what waitpid(2) says; a negative
 * errno: it could not be started, or -ETIMEDOUT: it was killed. */
int program_run(const struct program *program, int64_t timeout_ms, GString *said, int *ret_status);
