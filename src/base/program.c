// SPDX-License-Identifier: Apache-2.0
/*
 * Starts other programs; see program.h.
 */
#include "base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FDS_MAX = 64, FIRST_FD = 3 };

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
