// SPDX-License-Identifier: Apache-2.0
/*
 * Starts other programs; see program.h.
 */
#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FDS_MAX = 64, FIRST_FD = 3, SAID_MAX = 4096 };

/* Who is handed a socket checks that it is meant, by its own number, which only it knows: constant text. */
static const char *const activation[] = {
    "/bin/sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"", "sh", NULL,
};

static GPtrArray *make_argv(const struct program *program)
{
    GPtrArray *argv = g_ptr_array_new();
    for (const char *const *at = program->activated ? activation : NULL; at != NULL && *at != NULL; at++) {
        g_ptr_array_add(argv, (char *)*at);
    }
    for (const char *const *at = program->argv; *at != NULL; at++) {
        g_ptr_array_add(argv, (char *)*at);
    }
    g_ptr_array_add(argv, NULL);
    return argv;
}

static void add_stream(posix_spawn_file_actions_t *actions, int fd, int as)
{
    if (fd >= 0) {
        posix_spawn_file_actions_adddup2(actions, fd, as);
    } else {
        posix_spawn_file_actions_addopen(actions, as, "/dev/null", as == STDIN_FILENO ? O_RDONLY : O_WRONLY,
                                         0);
    }
}

static int spawn(const struct program *program, posix_spawn_file_actions_t *actions, pid_t *ret_pid)
{
    g_autoptr(GPtrArray) argv = make_argv(program);
    g_autofree char *path = g_strconcat("PATH=", g_getenv("PATH") ?: "/usr/sbin:/usr/bin:/sbin:/bin", NULL);
    char *environment[] = {(char *)"LC_ALL=C", path, NULL};
    posix_spawnattr_t attributes;
    sigset_t signals;
    posix_spawnattr_init(&attributes);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error =
        posix_spawnp(ret_pid, argv->pdata[0], actions, &attributes, (char **)argv->pdata, environment);
    posix_spawnattr_destroy(&attributes);
    return -error;
}

int program_start(const struct program *program, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int moved[FDS_MAX];
    size_t n = 0;
    int error = program->n_fds <= FDS_MAX ? 0 : -E2BIG;
    posix_spawn_file_actions_init(&actions);
    add_stream(&actions, -1, STDIN_FILENO);
    add_stream(&actions, program->output_fd, STDOUT_FILENO);
    add_stream(&actions, program->error_fd, STDERR_FILENO);
    while (error == 0 && n < program->n_fds) {
        /* Out of the way of the numbers that are to be filled. */
        moved[n] = fcntl(program->fds[n], F_DUPFD_CLOEXEC, FIRST_FD + FDS_MAX);
        if (moved[n] < 0) {
            error = -errno;
        } else {
            posix_spawn_file_actions_adddup2(&actions, moved[n], FIRST_FD + (int)n);
            n++;
        }
    }
    if (error == 0) {
        error = spawn(program, &actions, ret_pid);
    }
    posix_spawn_file_actions_destroy(&actions);
    while (n > 0) {
        close(moved[--n]);
    }
    return error;
}

int program_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* Keeps what there is to read now; false at the end. */
static bool gather(int fd, GString *said)
{
    char data[1024];
    ssize_t n = 0;
    while ((n = read(fd, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR)) {
        g_string_append_len(said, data, MAX(MIN(n, SAID_MAX - (ssize_t)said->len), 0));
    }
    return n < 0 && errno == EAGAIN;
}

/* Until the process has ended; -ETIMEDOUT. Who has inherited its outputs may live on. */
static int wait_and_gather(int pid_fd, int output_fd, int64_t timeout_ms, GString *said)
{
    int64_t deadline_us = g_get_monotonic_time() + timeout_ms * 1000;
    struct pollfd polled[2] = {{.fd = pid_fd, .events = POLLIN}, {.fd = output_fd, .events = POLLIN}};
    while ((polled[0].revents & POLLIN) == 0) {
        int64_t left_ms = (deadline_us - g_get_monotonic_time() + 999) / 1000;
        if (left_ms <= 0) {
            return -ETIMEDOUT;
        }
        if (poll(polled, 2, (int)MIN(left_ms, G_MAXINT)) < 0 && errno != EINTR) {
            return -errno;
        }
        if (polled[1].revents != 0 && !gather(output_fd, said)) {
            polled[1].fd = -1;
        }
    }
    return 0;
}

int program_run(const struct program *program, int64_t timeout_ms, GString *said, int *ret_status)
{
    struct program run = *program;
    int output[2];
    pid_t pid = 0;
    if (pipe2(output, O_CLOEXEC) < 0) {
        return -errno;
    }
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    run.output_fd = output[1];
    run.error_fd = output[1];
    int error = program_start(&run, &pid);
    close(output[1]);
    if (error == 0) {
        int pid_fd = pidfd_open(pid, 0);
        error = pid_fd >= 0 ? wait_and_gather(pid_fd, output[0], timeout_ms, said) : -errno;
        if (error != 0) {
            kill(pid, SIGKILL);
        }
        if (pid_fd >= 0) {
            close(pid_fd);
        }
        *ret_status = program_wait(pid);
        (void)gather(output[0], said);
    }
    close(output[0]);
    return error;
}
