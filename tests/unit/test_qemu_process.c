// SPDX-License-Identifier: Apache-2.0
/*
 * The process starter with a shell in QEMU's place: what a process has and has not, that it never runs
 * without its maker's word, how failures read, and that a process is told from another with its number.
 * The records too: they are how a later server finds it.
 */
#include "hypervisor/qemu/process.h"
#include "hypervisor/qemu/record.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char *folder;
    int folder_fd;
    int output_fd;
    struct process_spec spec;
    char *argv[4];
};

static void set_up(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->folder = g_dir_make_tmp("tenkyu-process-XXXXXX", NULL);
    fixture->folder_fd = open(fixture->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *output = g_build_filename(fixture->folder, "output", NULL);
    fixture->output_fd = open(output, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    g_assert_cmpint(fixture->output_fd, >=, 0);
    fixture->argv[0] = (char *)"sh";
    fixture->argv[1] = (char *)"-c";
    fixture->spec = (struct process_spec){
        .program = "/bin/sh",
        .argv = fixture->argv,
        .cwd_fd = fixture->folder_fd,
        .output_fd = fixture->output_fd,
    };
}

static void tear_down(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    close(fixture->folder_fd);
    close(fixture->output_fd);
    g_autofree char *output = g_build_filename(fixture->folder, "output", NULL);
    g_autofree char *record = g_build_filename(fixture->folder, "process.json", NULL);
    g_unlink(output);
    g_unlink(record);
    g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
    g_free(fixture->folder);
}

/* Runs the script to its end and returns what it wrote. */
static char *run_script(struct fixture *fixture, const char *script)
{
    g_autofree char *output = g_build_filename(fixture->folder, "output", NULL), *message = NULL;
    struct process process;
    bool signalled = true;
    int code = -1;
    char *text;

    fixture->argv[2] = (char *)script;
    g_assert_cmpint(process_fork(&fixture->spec, &process, &message), ==, 0);
    if (process_go(&process, &message) != 0) {
        g_error("%s", message);
    }
    g_assert_cmpint(process_wait(&process, -1), ==, 0);
    g_assert_cmpint(process_reap(&process, &signalled, &code), ==, 0);
    g_assert_false(signalled);
    g_assert_cmpint(code, ==, 0);
    process_close(&process);
    g_assert_true(g_file_get_contents(output, &text, NULL, NULL));
    return text;
}

static void test_descriptors(struct fixture *fixture, gconstpointer data)
{
    int pair[2], fds[2];
    (void)data;

    /* One that could be in the way of the numbers to be given, and one that must not be inherited. */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    fds[0] = fcntl(fixture->output_fd, F_DUPFD_CLOEXEC, 50);
    fds[1] = pair[0];
    fixture->spec.fds = fds;
    fixture->spec.n_fds = 2;
    g_autofree char *text = run_script(
        fixture,
        "cd /proc/$$/fd; for fd in 0 1 3 4; do readlink $fd; done; [ -e 5 ] || echo no 5; [ -e 6 ] || "
        "echo no 6; set -- *; echo $#");
    g_autofree char *output = g_build_filename(fixture->folder, "output", NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpstr(lines[0], ==, "/dev/null");
    g_assert_cmpstr(lines[1], ==, output);
    g_assert_cmpstr(lines[2], ==, output);
    g_assert_true(g_str_has_prefix(lines[3], "socket:"));
    g_assert_cmpstr(lines[4], ==, "no 5");
    g_assert_cmpstr(lines[5], ==, "no 6");
    close(fds[0]);
    close(pair[0]);
    close(pair[1]);
}

static void test_surroundings(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(g_setenv("TENKYU_SECRET", "x", TRUE), ==, TRUE);
    g_autofree char *text =
        run_script(fixture, "pwd -P; umask; ulimit -c; cut -d' ' -f6 /proc/$$/stat; echo $$; "
                            "echo ${TENKYU_SECRET-unset}; grep NoNewPrivs /proc/$$/status");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpstr(lines[0], ==, fixture->folder);
    g_assert_cmpstr(lines[1], ==, "0077");
    g_assert_cmpstr(lines[2], ==, "0");
    g_assert_cmpstr(lines[3], ==, lines[4]);
    g_assert_cmpstr(lines[5], ==, "unset");
    g_assert_cmpstr(lines[6], ==, "NoNewPrivs:\t1");
}

static void test_user(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    if (geteuid() != 0) {
        g_test_skip("becoming another user needs root");
        return;
    }
    fixture->spec.uid = 0x70001234;
    fixture->spec.extra_gid = 4242;
    g_autofree char *text =
        run_script(fixture, "grep -E '^(Uid|Gid|Groups|Cap)' /proc/$$/status | tr '\\t' ' '");
    g_assert_cmpstr(text, ==,
                    "Uid: 1879052852 1879052852 1879052852 1879052852\n"
                    "Gid: 1879052852 1879052852 1879052852 1879052852\n"
                    "Groups: 4242 \n"
                    "CapInh: 0000000000000000\n"
                    "CapPrm: 0000000000000000\n"
                    "CapEff: 0000000000000000\n"
                    "CapBnd: 0000000000000000\n"
                    "CapAmb: 0000000000000000\n");
}

static void test_no_program(struct fixture *fixture, gconstpointer data)
{
    struct process process;
    g_autofree char *message = NULL;
    (void)data;

    fixture->spec.program = "/nonexistent/qemu";
    g_assert_cmpint(process_fork(&fixture->spec, &process, &message), ==, 0);
    g_assert_cmpint(process_go(&process, &message), ==, -ENOENT);
    g_assert_nonnull(strstr(message, "run its program"));
    g_assert_cmpint(process_reap(&process, NULL, NULL), ==, 0);
    process_close(&process);
}

/* A child whose maker dies, here: hangs up, before its word never becomes the program. */
static void test_never_told(struct fixture *fixture, gconstpointer data)
{
    g_autofree char *output = g_build_filename(fixture->folder, "output", NULL), *text = NULL,
                    *message = NULL;
    struct process process;
    (void)data;

    fixture->argv[2] = (char *)"echo ran";
    g_assert_cmpint(process_fork(&fixture->spec, &process, &message), ==, 0);
    g_assert_cmpint(process_wait(&process, 20), ==, -ETIMEDOUT);
    close(process.control_fd);
    process.control_fd = -1;
    g_assert_cmpint(process_wait(&process, -1), ==, 0);
    g_assert_cmpint(process_reap(&process, NULL, NULL), ==, 0);
    process_close(&process);
    g_assert_true(g_file_get_contents(output, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "");
}

static void test_identity(struct fixture *fixture, gconstpointer data)
{
    struct process process, again;
    g_autofree char *message = NULL;
    bool signalled = false;
    int code = 0;
    (void)data;

    fixture->argv[2] = (char *)"exec sleep 1000";
    g_assert_cmpint(process_fork(&fixture->spec, &process, &message), ==, 0);
    g_assert_cmpint(process_go(&process, &message), ==, 0);
    g_assert_cmpint(process_open(process.pid, process.start_ticks + 1, &again), ==, -ESRCH);
    g_assert_cmpint(process_open(process.pid, process.start_ticks, &again), ==, 0);
    g_assert_cmpint(process_wait(&again, 0), ==, -ETIMEDOUT);
    g_assert_cmpint(process_kill(&again), ==, 0);
    g_assert_cmpint(process_wait(&process, -1), ==, 0);
    process_close(&again);
    g_assert_cmpint(process_reap(&process, &signalled, &code), ==, 0);
    g_assert_true(signalled);
    g_assert_cmpint(code, ==, SIGKILL);
    g_assert_cmpint(process_kill(&process), ==, 0);
    g_assert_cmpint(process_open(process.pid, process.start_ticks, &again), ==, -ESRCH);
    process_close(&process);
}

static void write_text(struct fixture *fixture, const char *text)
{
    g_autofree char *path = g_build_filename(fixture->folder, "process.json", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_record(struct fixture *fixture, gconstpointer data)
{
    struct record record = {
        .phase = RECORD_SUSPENDING,
        .pid = 1234,
        .start_ticks = UINT64_C(5000000000),
        .slot = 7,
        .started_ms = INT64_C(1) << 40,
        .output_offset = 99,
    };
    struct record read = {0};
    (void)data;

    g_assert_cmpint(record_read(fixture->folder_fd, &read), ==, -ENOENT);
    g_assert_cmpint(record_write(fixture->folder_fd, &record), ==, 0);
    g_assert_cmpint(record_read(fixture->folder_fd, &read), ==, 0);
    g_assert_cmpint(read.phase, ==, RECORD_SUSPENDING);
    g_assert_cmpint(read.pid, ==, 1234);
    g_assert_cmpuint(read.start_ticks, ==, UINT64_C(5000000000));
    g_assert_cmpint(read.slot, ==, 7);
    g_assert_cmpint(read.started_ms, ==, INT64_C(1) << 40);
    g_assert_cmpint(read.output_offset, ==, 99);

    static const char *const broken[] = {
        "", "[]", "{", "{}", "{\"phase\":\"running\",\"pid\":1}", "{\"phase\":\"x\",\"pid\":1234}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        write_text(fixture, broken[i]);
        g_assert_cmpint(record_read(fixture->folder_fd, &read), ==, -EPROTO);
    }
    write_text(fixture, "{\"phase\":\"running\",\"pid\":1234,\"boot_id\":\"another\"}");
    g_assert_cmpint(record_read(fixture->folder_fd, &read), ==, -ESTALE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add(name, struct fixture, NULL, set_up, function, tear_down)
    ADD("/qemu_process/descriptors", test_descriptors);
    ADD("/qemu_process/surroundings", test_surroundings);
    ADD("/qemu_process/user", test_user);
    ADD("/qemu_process/no_program", test_no_program);
    ADD("/qemu_process/never_told", test_never_told);
    ADD("/qemu_process/identity", test_identity);
    ADD("/qemu_process/record", test_record);
    return g_test_run();
}
