// SPDX-License-Identifier: Apache-2.0
/*
 * The command line of `tenkyu host`. See docs/man/tenkyu-host.8.
 */
#include "host/host_main.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "host/host.h"

struct arguments {
    char *state_dir;
    char **listen;
    gboolean plain_http;
    char *hypervisor;
    char *accelerator;
    char *user;
    char *password_file;
    char *ready_file;
    char *power_program;
    int sim_vms;
    char *password; /* read from password_file */
};

static void arguments_clear(struct arguments *a)
{
    g_free(a->state_dir);
    g_strfreev(a->listen);
    g_free(a->hypervisor);
    g_free(a->accelerator);
    g_free(a->user);
    g_free(a->password_file);
    g_free(a->ready_file);
    g_free(a->power_program);
    g_free(a->password);
}

static gboolean parse(struct arguments *a, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"state", 0, 0, G_OPTION_ARG_FILENAME, &a->state_dir, "Folder for all that the host keeps", "DIR"},
        {"listen", 0, 0, G_OPTION_ARG_STRING_ARRAY, &a->listen, "Address to answer at; may be repeated",
         "ADDR:PORT"},
        {"plain-http", 0, 0, G_OPTION_ARG_NONE, &a->plain_http, "No TLS: for tests and behind a proxy", NULL},
        {"hypervisor", 0, 0, G_OPTION_ARG_STRING, &a->hypervisor, "qemu (default) or sim", "NAME"},
        {"accelerator", 0, 0, G_OPTION_ARG_STRING, &a->accelerator, "kvm or tcg instead of a probe", "NAME"},
        {"user", 0, 0, G_OPTION_ARG_STRING, &a->user, "At first start: the administrator's name", "NAME"},
        {"password-file", 0, 0, G_OPTION_ARG_FILENAME, &a->password_file,
         "At first start: the administrator's password", "F"},
        {"ready-file", 0, 0, G_OPTION_ARG_FILENAME, &a->ready_file,
         "Gets one line with the URL once requests are answered; a file or a FIFO", "F"},
        {"power-program", 0, 0, G_OPTION_ARG_FILENAME, &a->power_program,
         "Called with \"reboot\" or \"poweroff\" to do that to the machine", "PROGRAM"},
        {"sim-vms", 0, 0, G_OPTION_ARG_INT, &a->sim_vms, "Virtual machines to invent; only with sim", "N"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- a host of virtual machines");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error)) {
        return FALSE;
    }
    if (a->state_dir == NULL || a->listen == NULL || *argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    *argc > 1 ? "unexpected argument \"%s\"" : "%s",
                    *argc > 1 ? (*argv)[1] : "--state DIR and --listen ADDR:PORT are needed");
        return FALSE;
    }
    return TRUE;
}

static int read_password(struct arguments *a)
{
    g_autoptr(GError) error = NULL;
    if (a->password_file == NULL) {
        return 0;
    }
    if (!g_file_get_contents(a->password_file, &a->password, NULL, &error)) {
        fprintf(stderr, "tenkyu host: %s\n", error->message);
        return -1;
    }
    a->password[strcspn(a->password, "\r\n")] = '\0';
    return 0;
}

/* A FIFO's reader may come later: opening it waits, which is what its user wants. */
static int write_ready_file(const char *path, const char *url)
{
    g_autofree char *line = g_strconcat(url, "\n", NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    int error = file_write_all(fd, line, strlen(line));
    close(fd);
    return error;
}

/* Waits until the host is to end; whether the machine goes down with it. */
static bool wait_for_end(const sigset_t *signals)
{
    sigset_t pending;
    int signal_number = 0;
    sigwait(signals, &signal_number);
    /* A service manager may send SIGTERM right behind SIGPWR, and the smaller number is delivered first. */
    sigpending(&pending);
    return signal_number == SIGPWR || sigismember(&pending, SIGPWR) == 1;
}

static int serve(const struct arguments *a)
{
    struct host *host = NULL;
    g_autofree char *message = NULL;
    struct host_options options = {
        .state_dir = a->state_dir,
        .listen = (const char *const *)a->listen,
        .plain_http = a->plain_http,
        .hypervisor = a->hypervisor != NULL ? a->hypervisor : "qemu",
        .accelerator = a->accelerator,
        .user = a->user,
        .password = a->password,
        .power_program = a->power_program,
        .sim_vms = (unsigned)MAX(a->sim_vms, 0),
    };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGPWR);                /* the machine goes down */
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts, so that sigwait gets them */
    if (host_new(&options, &host, &message) != 0) {
        fprintf(stderr, "tenkyu host: %s\n", message);
        return 1;
    }
    g_autofree char *url = host_url(host, 0);
    if (host_first_password(host) != NULL) {
        printf("first start: user %s, password %s\n", a->user != NULL ? a->user : "root",
               host_first_password(host));
        printf("  (shown once; kept in %s/root-password)\n", a->state_dir);
    }
    printf("listening at %s\n", url);
    if (host_fingerprint(host) != NULL) {
        printf("certificate SHA-256 %s\n", host_fingerprint(host));
    }
    fflush(stdout);
    int status = 0;
    int error = a->ready_file != NULL ? write_ready_file(a->ready_file, url) : 0;
    if (error != 0) {
        fprintf(stderr, "tenkyu host: %s: %s\n", a->ready_file, g_strerror(-error));
        status = 1;
    } else {
        if (wait_for_end(&signals)) {
            host_stop_machines(host);
        }
    }
    host_free(host);
    return status;
}

/* The soft limit is small for the sake of programs that use select(), which none here does. */
static void allow_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* else there are fewer connections: see host.c */
    }
}

int host_main(int argc, char **argv)
{
    struct arguments a = {0};
    g_autoptr(GError) error = NULL;
    int status = 2;
    signal(SIGPIPE, SIG_IGN);
    allow_files();
    if (!parse(&a, &argc, &argv, &error)) {
        fprintf(stderr, "tenkyu host: %s\nTry: tenkyu host --help\n", error->message);
    } else {
        status = read_password(&a) == 0 ? serve(&a) : 1;
    }
    arguments_clear(&a);
    return status;
}
