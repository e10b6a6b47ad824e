// SPDX-License-Identifier: Apache-2.0
/*
 * vm console: the serial port of a virtual machine on this terminal, through a ticket and a WebSocket.
 *
 * Keys go to the guest one by one, Ctrl-C too; Ctrl-] leaves. When the input is no terminal, it is sent as
 * it is, and its end does not end the console: so a script can feed commands and read what they print.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/session.h"
#include "cli/terminal.h"
#include "cli/websocket.h"

enum {
    ESCAPE = 0x1d,            /* Ctrl-] */
    MAX_QUEUED_BYTES = 65536, /* towards the guest; input waits above that */
    CLOSE_TIMEOUT_MS = 2000,  /* for the server to agree to a close */
};

struct console {
    struct cli_websocket *websocket;
    int out_fd;    /* where the guest's bytes go */
    int out_error; /* negative errno of writing them, or 0 */
    bool raw;      /* the input is a terminal in raw mode */
    bool input_ended;
    bool leaving; /* a close is under way */
};

/* A ticket for a console: "/ticket/..." */
static int acquire(struct cli *cli, json_object *vm, const char *type, char **ret_path)
{
    g_autoptr(json_object) ticket = NULL;
    int code = cli_client_call(cli->client, vm, "AcquireTicket", js_object(NULL, "ticketType:s", type, NULL),
                               &ticket, &cli->error);
    if (code == CLI_OK && js_text(ticket, "ticket") == NULL) {
        return cli_error_set(&cli->error, CLI_FAILED, "the server gave no ticket for the console");
    }
    if (code == CLI_OK) {
        g_autofree char *escaped = g_uri_escape_string(js_text(ticket, "ticket"), NULL, FALSE);
        *ret_path = g_strconcat("/ticket/", escaped, NULL);
    }
    return code;
}

static int print_url(struct cli *cli, json_object *vm)
{
    g_autofree char *path = NULL;
    int code = acquire(cli, vm, "webmks", &path);
    if (code != CLI_OK) {
        return code;
    }
    /* http -> ws, https -> wss */
    g_autofree char *url = g_strconcat("ws", cli_client_url(cli->client) + strlen("http"), path, NULL);
    if (cli->json) {
        cli_print_json(cli, js_object(NULL, "url:s", url, NULL));
    } else {
        fprintf(cli->out, "%s\n", url);
    }
    return CLI_OK;
}

static void on_guest_bytes(void *data, const unsigned char *bytes, size_t length)
{
    struct console *console = data;
    if (console->out_error == 0) {
        console->out_error = file_write_all(console->out_fd, bytes, length);
    }
}

static void leave(struct console *console)
{
    if (!console->leaving) {
        console->leaving = true;
        cli_websocket_close(console->websocket);
    }
}

static void take_input(struct console *console)
{
    char bytes[4096];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
    if (got <= 0) {
        console->input_ended = got == 0 || (errno != EINTR && errno != EAGAIN);
        return;
    }
    char *escape = console->raw ? memchr(bytes, ESCAPE, (size_t)got) : NULL;
    size_t length = escape != NULL ? (size_t)(escape - bytes) : (size_t)got;
    if (length > 0) {
        cli_websocket_send(console->websocket, bytes, length);
    }
    if (escape != NULL) {
        leave(console);
    }
}

static void run_console(struct console *console, int signal_fd)
{
    while (cli_websocket_work(console->websocket) && console->out_error == 0) {
        bool reads = !console->input_ended && !console->leaving &&
                     cli_websocket_queued(console->websocket) < MAX_QUEUED_BYTES;
        struct pollfd fds[] = {
            {.fd = cli_websocket_fd(console->websocket), .events = cli_websocket_events(console->websocket)},
            {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = signal_fd, .events = POLLIN},
        };
        int n = poll(fds, G_N_ELEMENTS(fds), console->leaving ? CLOSE_TIMEOUT_MS : -1);
        if (n == 0) {
            return; /* the server does not answer the close; that is no reason to stay */
        }
        if (fds[1].revents != 0) {
            take_input(console);
        }
        if (fds[2].revents != 0) {
            struct signalfd_siginfo info;
            (void)!read(signal_fd, &info, sizeof(info)); /* or it would be ready for ever */
            leave(console);
        }
    }
}

/* The terminal must be put back when the process is asked to end, so these signals are read, not taken. */
static int open_signals(sigset_t *ret_before)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, ret_before);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int use_console(struct cli *cli, struct console *console, const char *name)
{
    struct termios saved;
    sigset_t before;
    int signal_fd = open_signals(&before);
    console->raw = isatty(STDIN_FILENO) && cli_terminal_raw(STDIN_FILENO, &saved) == 0;
    if (console->raw) { /* said when it is true: keys typed before this may be lost */
        g_autofree char *shown = cli_printable(name, false);
        fprintf(cli->err, "Connected to the serial console of %s; Ctrl-] leaves it.\r\n", shown);
        fflush(cli->err);
    }
    run_console(console, signal_fd);
    if (console->raw) {
        cli_terminal_restore(STDIN_FILENO, &saved);
        fputc('\n', cli->err);
    }
    close(signal_fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (console->out_error != 0) {
        return cli_error_set(&cli->error, CLI_FAILED, "the output: %s", g_strerror(-console->out_error));
    }
    if (!console->leaving && !cli_websocket_closed_well(console->websocket)) {
        return cli_error_set(&cli->error, CLI_FAILED, "the connection to the console broke; is %s still on?",
                             name);
    }
    return CLI_OK;
}

static int open_console(struct cli *cli, json_object *vm, struct console *console)
{
    g_autofree char *path = NULL;
    CURL *curl = NULL;
    int code = acquire(cli, vm, "tenkyu.serial", &path);
    if (code == CLI_OK) {
        code = cli_client_open(cli->client, &curl, &cli->error);
    }
    if (code == CLI_OK) {
        code = cli_websocket_new(curl, cli_client_url(cli->client), path, on_guest_bytes, console,
                                 &console->websocket, &cli->error);
    }
    return code;
}

int cli_run_vm_console(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *name = cli_word(arguments, 0);
    g_autoptr(json_object) vm = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_find_vm(cli, name, &vm);
    }
    if (code != CLI_OK || cli_flag(arguments, "url")) {
        return code != CLI_OK ? code : print_url(cli, vm);
    }
    struct console console = {.out_fd = STDOUT_FILENO};
    code = open_console(cli, vm, &console);
    if (code == CLI_OK) {
        code = use_console(cli, &console, name);
    }
    cli_websocket_free(console.websocket);
    return code;
}
