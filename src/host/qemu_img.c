// SPDX-License-Identifier: Apache-2.0
/*
 * Runs qemu-img; see qemu_img.h.
 */
#include "host/qemu_img.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 4096, /* bytes of what it says that are kept */
};

/* Starts the program with fd as 3 and error_fd as its standard error. */
static int spawn(const char *const *args, int fd, int error_fd, pid_t *ret_pid)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    /* English messages, for map_error(). */
    char *environment[] = {(char *)"LC_ALL=C", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t signals;
    int r;

    g_ptr_array_add(argv, (char *)"qemu-img");
    for (; *args != NULL; args++) {
        g_ptr_array_add(argv, (char *)*args);
    }
    g_ptr_array_add(argv, NULL);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    /* In this order: either may have the number that the other gets. */
    posix_spawn_file_actions_adddup2(&files, error_fd, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&files, fd, 3);
    posix_spawnattr_init(&attributes);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    r = posix_spawnp(ret_pid, "qemu-img", &files, &attributes, (char **)argv->pdata, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return -r;
}

/* Keeps what there is to read; false at the end. */
static bool read_some(int fd, GString *message)
{
    char data[1024];
    ssize_t n = read(fd, data, sizeof(data));

    if (n < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    g_string_append_len(message, data, MIN(n, (ssize_t)(MESSAGE_MAX - message->len)));
    return n > 0;
}

/*
 * Waits for the end of the process and collects what it says. -ETIMEDOUT: it has been killed. It is
 * reaped in any case. *ret_status is that of waitpid(2).
 */
static int wait_for(pid_t pid, int error_fd, int64_t timeout_ms, GString *message, int *ret_status)
{
    int64_t deadline_us = g_get_monotonic_time() + timeout_ms * 1000;
    struct pollfd polled[2] = {
        {.fd = pidfd_open(pid, 0), .events = POLLIN},
        {.fd = error_fd, .events = POLLIN},
    };
    int r = polled[0].fd < 0 ? -errno : 0;

    while (r == 0 && (polled[0].revents & POLLIN) == 0) {
        int64_t left_ms = (deadline_us - g_get_monotonic_time() + 999) / 1000;

        if (left_ms <= 0) {
            r = -ETIMEDOUT;
        } else if (poll(polled, 2, (int)MIN(left_ms, G_MAXINT)) < 0 && errno != EINTR) {
            r = -errno;
        } else if ((polled[1].revents & (POLLIN | POLLHUP)) != 0 && !read_some(error_fd, message)) {
            polled[1].fd = -1; /* it has closed it: poll would say so for ever */
        }
    }
    if (r < 0) {
        kill(pid, SIGKILL);
    }
    if (polled[0].fd >= 0) {
        close(polled[0].fd);
    }
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR) {
    }
    do { /* what it said last */
        errno = 0;
    } while (message->len < MESSAGE_MAX && read_some(error_fd, message) && errno != EAGAIN);
    return r;
}

/* qemu-img has one exit code for all that can happen; what happened is in its words. */
static int map_error(const char *message)
{
    static const struct {
        const char *words;
        int error;
    } known[] = {
        {"No space left on device", -ENOSPC},
        {"Disk quota exceeded", -EDQUOT},
        {"Is another process using the image", -EBUSY},
        {"File too large", -EFBIG},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strstr(message, known[i].words) != NULL) {
            return known[i].error;
        }
    }
    return -EIO;
}

/* The first line of what it said, without what is only ours to know. */
static char *tidy(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", 2);
    const char *line = lines[0] != NULL ? lines[0] : "";

    if (g_str_has_prefix(line, "qemu-img: ")) {
        line += strlen("qemu-img: ");
    }
    if (g_str_has_prefix(line, QEMU_IMG_FILE ": ")) {
        line += strlen(QEMU_IMG_FILE ": ");
    }
    return g_utf8_make_valid(line[0] != '\0' ? line : "qemu-img failed without saying why", -1);
}

int qemu_img_run(const char *const *args, int fd, int64_t timeout_ms, char **ret_message)
{
    g_autoptr(GString) message = g_string_new(NULL);
    int pipe_fds[2];
    int status = 0;
    pid_t pid;
    int r;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        r = -errno;
        *ret_message = g_strdup_printf("no pipe to qemu-img: %s", g_strerror(-r));
        return r;
    }
    /* Only our end: the program's must block when it says much. */
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    r = spawn(args, fd, pipe_fds[1], &pid);
    close(pipe_fds[1]);
    if (r < 0) {
        close(pipe_fds[0]);
        *ret_message = g_strdup_printf("qemu-img could not be started: %s", g_strerror(-r));
        return r;
    }
    r = wait_for(pid, pipe_fds[0], timeout_ms, message, &status);
    close(pipe_fds[0]);
    if (r < 0) {
        *ret_message = r == -ETIMEDOUT ? g_strdup("qemu-img took too long and was ended")
                                       : g_strdup_printf("qemu-img: %s", g_strerror(-r));
        return r;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    *ret_message = tidy(message->str);
    return map_error(message->str);
}
