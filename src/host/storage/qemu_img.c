// SPDX-License-Identifier: Apache-2.0
/*
 * Runs qemu-img; see qemu_img.h.
 */
#include "host/storage/qemu_img.h"

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
    OUTPUT_MAX = 65536,
    PROGRESS_MS = 200, /* between questions whether to go on */
};

/* One run. */
struct run {
    struct qemu_img_job job;
    int percent; /* what progress was told last */
};

/* A pipe of which only our end does not wait: the program's must block when it says much. */
static int make_pipe(int ret[2])
{
    if (pipe2(ret, O_CLOEXEC) < 0) {
        return -errno;
    }
    fcntl(ret[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* Starts the program with output_fd and error_fd as its standard output and error. */
static int spawn(const struct run *run, int output_fd, int error_fd, pid_t *ret_pid)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    /* English messages, for map_error(). */
    char *environment[] = {(char *)"LC_ALL=C", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t signals;
    g_autofree int *moved = g_new(int, run->job.n_fds);
    size_t n = 0;
    int r = 0;

    g_ptr_array_add(argv, (char *)"qemu-img");
    for (const char *const *arg = run->job.args; *arg != NULL; arg++) {
        g_ptr_array_add(argv, (char *)*arg);
    }
    g_ptr_array_add(argv, NULL);
    /* Out of the way of the numbers that are to be filled. */
    for (; n < run->job.n_fds; n++) {
        moved[n] = fcntl(run->job.fds[n], F_DUPFD_CLOEXEC, 3 + (int)run->job.n_fds);
        if (moved[n] < 0) {
            r = errno;
            break;
        }
    }
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, error_fd, STDERR_FILENO);
    for (size_t i = 0; i < n; i++) {
        posix_spawn_file_actions_adddup2(&files, moved[i], 3 + (int)i);
    }
    posix_spawnattr_init(&attributes);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (r == 0) {
        r = posix_spawnp(ret_pid, "qemu-img", &files, &attributes, (char **)argv->pdata, environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    while (n > 0) {
        close(moved[--n]);
    }
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

/* The same for the standard output: "    (12.34/100%)", of which only the last counts, or what the caller wants. */
static bool read_output(int fd, struct run *run)
{
    char data[1024];
    ssize_t n = read(fd, data, sizeof(data) - 1);

    if (n < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    data[n] = '\0';
    const char *last = strrchr(data, '(');
    if (run->job.output != NULL) {
        g_string_append_len(run->job.output, data,
                            MIN(n, (ssize_t)OUTPUT_MAX - (ssize_t)run->job.output->len));
    } else if (last != NULL) {
        run->percent = MAX(run->percent, (int)CLAMP(g_ascii_strtod(last + 1, NULL), 0, 100));
    }
    return n > 0;
}

/*
 * Waits for the end of the process and collects what it says. -ETIMEDOUT, -ECANCELED: it has been killed. It
 * is reaped in any case. *ret_status is that of waitpid(2).
 */
static int wait_for(struct run *run, pid_t pid, int output_fd, int error_fd, GString *message,
                    int *ret_status)
{
    int64_t deadline_us = g_get_monotonic_time() + run->job.timeout_ms * 1000;
    struct pollfd polled[3] = {
        {.fd = pidfd_open(pid, 0), .events = POLLIN},
        {.fd = error_fd, .events = POLLIN},
        {.fd = output_fd, .events = POLLIN},
    };
    int r = polled[0].fd < 0 ? -errno : 0;

    while (r == 0 && (polled[0].revents & POLLIN) == 0) {
        int64_t left_ms = (deadline_us - g_get_monotonic_time() + 999) / 1000;
        int64_t wait_ms = run->job.progress != NULL ? MIN(left_ms, PROGRESS_MS) : left_ms;

        if (left_ms <= 0) {
            r = -ETIMEDOUT;
        } else if (poll(polled, 3, (int)MIN(wait_ms, G_MAXINT)) < 0 && errno != EINTR) {
            r = -errno;
        }
        if (r == 0 && (polled[1].revents & (POLLIN | POLLHUP)) != 0 && !read_some(error_fd, message)) {
            polled[1].fd = -1; /* it has closed it: poll would say so for ever */
        }
        if (r == 0 && (polled[2].revents & (POLLIN | POLLHUP)) != 0 && !read_output(output_fd, run)) {
            polled[2].fd = -1;
        }
        if (r == 0 && run->job.progress != NULL && !run->job.progress(run->job.progress_data, run->percent)) {
            r = -ECANCELED;
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
    do {
        errno = 0;
    } while (run->job.output != NULL && run->job.output->len < OUTPUT_MAX && read_output(output_fd, run) &&
             errno != EAGAIN);
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

static int run_program(struct run *run, char **ret_message)
{
    g_autoptr(GString) message = g_string_new(NULL);
    int output[2] = {-1, -1};
    int errors[2] = {-1, -1};
    int status = 0;
    pid_t pid = 0;

    int r = make_pipe(errors);
    if (r == 0) {
        r = make_pipe(output);
    }
    if (r == 0) {
        r = spawn(run, output[1], errors[1], &pid);
    }
    if (r < 0) {
        *ret_message = g_strdup_printf("qemu-img could not be started: %s", g_strerror(-r));
    } else {
        close(output[1]);
        close(errors[1]);
        output[1] = errors[1] = -1;
        r = wait_for(run, pid, output[0], errors[0], message, &status);
        if (r < 0) {
            *ret_message = r == -ETIMEDOUT ? g_strdup("qemu-img took too long and was ended")
                                           : g_strdup_printf("qemu-img: %s", g_strerror(-r));
        } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            *ret_message = tidy(message->str);
            r = map_error(message->str);
        }
    }
    int fds[] = {output[0], output[1], errors[0], errors[1]};
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    return r;
}

int qemu_img_run_job(const struct qemu_img_job *job, char **ret_message)
{
    struct run run = {.job = *job};

    return run_program(&run, ret_message);
}

int qemu_img_run(const char *const *args, int fd, int64_t timeout_ms, char **ret_message)
{
    const struct qemu_img_job job = {.args = args, .fds = &fd, .n_fds = 1, .timeout_ms = timeout_ms};

    return qemu_img_run_job(&job, ret_message);
}

int qemu_img_commit(int overlay_fd, int parent_fd, const char *parent_format, int64_t timeout_ms,
                    qemu_img_progress_fn progress, void *data, char **ret_message)
{
    bool raw = strcmp(parent_format, "raw") == 0;
    g_autofree char *files = g_strdup_printf(
        "json:{\"driver\": \"qcow2\", \"file\": {\"driver\": \"file\", \"filename\": \"" QEMU_IMG_FILE
        "\"}, \"backing\": {\"driver\": \"%s\", \"file\": {\"driver\": \"file\", "
        "\"filename\": \"/proc/self/fd/4\"}%s}}",
        raw ? "raw" : "qcow2", raw ? "" : ", \"backing\": null");
    const char *args[] = {"commit", "-p", "-d", files, NULL};
    const int fds[] = {overlay_fd, parent_fd};
    const struct qemu_img_job job = {
        .args = args,
        .fds = fds,
        .n_fds = 2,
        .timeout_ms = timeout_ms,
        .progress = progress,
        .progress_data = data,
    };

    return qemu_img_run_job(&job, ret_message);
}
