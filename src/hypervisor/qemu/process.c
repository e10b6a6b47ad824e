// SPDX-License-Identifier: Apache-2.0
/*
 * Starts and ends QEMU processes; see process.h.
 *
 * What runs between fork and exec is the function run_child() and what it calls: only system calls, since
 * another thread may hold any lock at the moment of the fork. User and group are set by raw system calls,
 * because those of the C library want to do it for every thread.
 */
#include "hypervisor/qemu/process.h"

#include "hypervisor/hypervisor_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { CHILD_FAILED = 126, STAT_BYTES_MAX = 4096 };

/* Where the child failed; indexes step_texts. */
enum child_step { STEP_DESCRIPTORS, STEP_FOLDER, STEP_SESSION, STEP_CAPABILITIES, STEP_USER, STEP_EXEC };

static const char *const step_texts[] = {
    [STEP_DESCRIPTORS] = "pass descriptors",
    [STEP_FOLDER] = "enter the run folder",
    [STEP_SESSION] = "start a session",
    [STEP_CAPABILITIES] = "drop capabilities",
    [STEP_USER] = "become the virtual machine's own user (does this user namespace have it?)",
    [STEP_EXEC] = "run its program",
};

/* What the child sends when it fails. */
struct child_failure {
    enum child_step step;
    int error; /* errno */
};

static void child_fail(int control_fd, enum child_step step)
{
    struct child_failure failure = {.step = step, .error = errno};

    send(control_fd, &failure, sizeof(failure), MSG_NOSIGNAL);
    _exit(CHILD_FAILED);
}

/* Gives every passed descriptor its number and closes the rest. Returns the control socket's new number.
 * `high` has room for n_fds + 2. */
static int child_arrange_fds(const struct process_spec *spec, int *high, int control_fd)
{
    int n = (int)spec->n_fds, free_fd = PROCESS_FIRST_FD + n + 1;

    /* First everything out of the way of the numbers that are to be filled. */
    int control = fcntl(control_fd, F_DUPFD_CLOEXEC, free_fd);
    if (control < 0) {
        child_fail(control_fd, STEP_DESCRIPTORS);
    }
    for (int i = 0; i < n + 1; i++) {
        high[i] = fcntl(i < n ? spec->fds[i] : spec->output_fd, F_DUPFD_CLOEXEC, free_fd);
        if (high[i] < 0) {
            child_fail(control, STEP_DESCRIPTORS);
        }
    }
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || (null_fd != STDIN_FILENO && dup2(null_fd, STDIN_FILENO) < 0) ||
        (null_fd == STDIN_FILENO && fcntl(null_fd, F_SETFD, 0) < 0)) {
        child_fail(control, STEP_DESCRIPTORS);
    }
    for (int i = 0; i < n; i++) {
        if (dup2(high[i], PROCESS_FIRST_FD + i) < 0) {
            child_fail(control, STEP_DESCRIPTORS);
        }
    }
    int last = PROCESS_FIRST_FD + n;
    if (dup2(high[n], STDOUT_FILENO) < 0 || dup2(high[n], STDERR_FILENO) < 0 ||
        dup3(control, last, O_CLOEXEC) < 0 || syscall(SYS_close_range, last + 1, ~0U, 0) < 0) {
        child_fail(control, STEP_DESCRIPTORS);
    }
    return last;
}

static void child_reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signal = 1; signal < NSIG; signal++) {
        sigaction(signal, &action, NULL); /* fails for those that cannot be changed */
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Gives up every capability and the way to get one back, then the user. The bounding set goes first, as
 * that needs a capability itself. */
static void child_drop_privileges(const struct process_spec *spec, int control)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    gid_t groups[1] = {spec->extra_gid};

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        child_fail(control, STEP_CAPABILITIES);
    }
    if (spec->uid != 0) {
        for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
            if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
                child_fail(control, STEP_CAPABILITIES);
            }
        }
        if (syscall(SYS_setgroups, spec->extra_gid != 0 ? 1 : 0, groups) < 0 ||
            syscall(SYS_setresgid, spec->uid, spec->uid, spec->uid) < 0 ||
            syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0) {
            child_fail(control, STEP_USER);
        }
    }
    if (syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        child_fail(control, STEP_CAPABILITIES);
    }
}

static void run_child(const struct process_spec *spec, int *high, int control_fd)
{
    static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL};
    const struct rlimit no_core = {0, 0};
    char go;

    if (fchdir(spec->cwd_fd) < 0) {
        child_fail(control_fd, STEP_FOLDER);
    }
    int control = child_arrange_fds(spec, high, control_fd);
    child_reset_signals();
    umask(077);
    if (setsid() < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0) {
        child_fail(control, STEP_SESSION);
    }
    child_drop_privileges(spec, control);
    /* Nothing comes when the parent has died: then there is no record of us, and nobody wants us. */
    if (recv(control, &go, 1, 0) != 1) {
        _exit(CHILD_FAILED);
    }
    execve(spec->program, spec->argv, environment);
    child_fail(control, STEP_EXEC);
}

/* Reads the start time of a process; -ESRCH when there is none. */
static int read_start_ticks(pid_t pid, uint64_t *ret)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    char text[STAT_BYTES_MAX];

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? -ESRCH : -errno;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) {
        return -ESRCH;
    }
    text[n] = '\0';
    /* The name, field 2, may hold anything; the fields after its last parenthesis are plain. */
    char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL) {
        return -EPROTO;
    }
    *ret = strtoull(at + 1, NULL, 10);
    return 0;
}

int process_fork(const struct process_spec *spec, struct process *ret, char **ret_message)
{
    g_autofree int *high = g_new(int, spec->n_fds + 2);
    int sockets[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
        return hypervisor_fail(ret_message, -errno, "no socket: %s", g_strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        run_child(spec, high, sockets[1]);
    }
    int error = pid < 0 ? -errno : 0;
    close(sockets[1]);
    if (error != 0) {
        close(sockets[0]);
        return hypervisor_fail(ret_message, error, "no process: %s", g_strerror(-error));
    }
    struct process process = {.pid = pid, .pidfd = -1, .control_fd = sockets[0]};
    process.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    error = process.pidfd < 0 ? -errno : read_start_ticks(pid, &process.start_ticks);
    if (error != 0) {
        process_close(&process);
        TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0)); /* it ends, as nobody tells it to go on */
        return hypervisor_fail(ret_message, error, "no process: %s", g_strerror(-error));
    }
    *ret = process;
    return 0;
}

int process_go(struct process *process, char **ret_message)
{
    struct child_failure failure;

    ssize_t n = TEMP_FAILURE_RETRY(send(process->control_fd, "", 1, MSG_NOSIGNAL));
    /* Also when sending failed: why the child is gone is what it has left to read. */
    n = TEMP_FAILURE_RETRY(recv(process->control_fd, &failure, sizeof(failure), 0));
    close(process->control_fd);
    process->control_fd = -1;
    if (n == 0) {
        return 0; /* the exec closed the child's end; a death at this very moment shows later, as any does */
    }
    process_wait(process, -1);
    if (n == (ssize_t)sizeof(failure) && failure.step <= STEP_EXEC) {
        return hypervisor_fail(ret_message, failure.error > 0 ? -failure.error : -EIO,
                               "the process cannot %s: %s", step_texts[failure.step],
                               g_strerror(failure.error));
    }
    return hypervisor_fail(ret_message, -ECHILD, "the process ended at once");
}

int process_open(pid_t pid, uint64_t start_ticks, struct process *ret)
{
    struct process process = {.pid = pid, .start_ticks = start_ticks, .control_fd = -1};
    uint64_t ticks = 0;

    process.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process.pidfd < 0) {
        return errno == EINVAL ? -ESRCH : -errno;
    }
    /* In this order: the descriptor names whoever had the number then, and the start time tells who. */
    int error = read_start_ticks(pid, &ticks);
    if (error == 0 && (ticks != start_ticks || process_wait(&process, 0) == 0)) {
        process_reap(&process, NULL, NULL);
        error = -ESRCH;
    }
    if (error != 0) {
        process_close(&process);
        return error;
    }
    *ret = process;
    return 0;
}

int process_wait(const struct process *process, int timeout_ms)
{
    struct pollfd poller = {.fd = process->pidfd, .events = POLLIN};
    int64_t end_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;

    for (;;) {
        int64_t left_ms = timeout_ms < 0 ? -1 : MAX((end_us - g_get_monotonic_time() + 999) / 1000, 0);
        int n = poll(&poller, 1, (int)left_ms);
        if (n > 0) {
            return 0;
        }
        if (n == 0) {
            return -ETIMEDOUT;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

int process_kill(const struct process *process)
{
    if (syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH) {
        return -errno;
    }
    return 0;
}

int process_reap(const struct process *process, bool *ret_signalled, int *ret_code)
{
    siginfo_t info = {0};

    if (waitid((idtype_t)P_PIDFD, (id_t)process->pidfd, &info, WEXITED | WNOHANG) < 0) {
        return -errno;
    }
    if (info.si_pid == 0) {
        return -EBUSY;
    }
    if (ret_signalled != NULL) {
        *ret_signalled = info.si_code != CLD_EXITED;
    }
    if (ret_code != NULL) {
        *ret_code = info.si_status;
    }
    return 0;
}

void process_close(struct process *process)
{
    if (process->control_fd >= 0) {
        close(process->control_fd);
    }
    if (process->pidfd >= 0) {
        close(process->pidfd);
    }
    process->control_fd = -1;
    process->pidfd = -1;
}

char *process_boot_id(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL)) {
        return g_strdup("");
    }
    return g_strdup(g_strstrip(text));
}
