// SPDX-License-Identifier: Apache-2.0
/*
 * A QEMU that a guest has taken over, as the QMP client sees it: any bytes as greeting, replies and events.
 * Commands end with a reply or an error, never with a crash or a hang, and events are what they claim to be.
 *
 * An input is what QEMU sends; a line ">" stands for a command of ours that it awaits before it goes on, for
 * a moment: it may as well answer what was not asked, or nothing. After the last byte it hangs up.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor/qemu/qmp.h"
#include "hypervisor/qemu/qemu.h"

enum {
    N_COMMANDS = 4,
    PATIENCE_MS = 5,     /* of QEMU with a command that does not come */
    ANSWER_MS = 1000000, /* a reply that never comes ends with the connection; else it is a hang */
};

struct monitor {
    int fd;
    const char *bytes;
    size_t length;
};

static void send_bytes(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* the client has given up */
        }
        bytes += n;
        length -= (size_t)n;
    }
}

static void await_command(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    char bytes[4096];

    if (poll(&poller, 1, PATIENCE_MS) > 0) {
        (void)!recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    }
}

static gpointer monitor_main(gpointer data)
{
    const struct monitor *monitor = data;
    static const char border[] = "\n>\n";
    const char *at = monitor->bytes;
    size_t left = monitor->length;

    for (unsigned n = 0; left > 0; n++) {
        const char *end = n < 2 * N_COMMANDS ? memmem(at, left, border, strlen(border)) : NULL;
        size_t length = end != NULL ? (size_t)(end - at) + 1 : left;
        send_bytes(monitor->fd, at, length);
        if (end != NULL) {
            await_command(monitor->fd);
            length += strlen(border) - 1;
        }
        at += length;
        left -= length;
    }
    shutdown(monitor->fd, SHUT_RDWR);
    return NULL;
}

/* As qemu.c looks at events. */
static void on_event(void *data, const char *name, struct json_object *arguments)
{
    unsigned *n_events = data;

    g_assert_nonnull(name);
    g_assert_true(arguments == NULL || json_object_is_type(arguments, json_type_object));
    if (arguments != NULL) {
        g_assert_nonnull(qemu_json_string(arguments, "status"));
    }
    ++*n_events;
}

static void run_commands(struct qmp *qmp)
{
    int fd = STDERR_FILENO; /* any: it is not looked at */
    int last = 0;

    for (unsigned i = 0; i < N_COMMANDS; i++) {
        struct json_object *reply = NULL;
        char *message = NULL;
        struct json_object *arguments = i % 2 == 0 ? NULL : qemu_json("id", "a\"b\n", NULL);
        int error = qmp_execute(qmp, "command", arguments, &fd, i == 2, ANSWER_MS, &reply, &message);
        g_assert_cmpint(error, <=, 0);
        g_assert_cmpint(error, !=, -ETIMEDOUT);
        g_assert_true((error != 0) == (message != NULL));
        g_assert_true(error == 0 || reply == NULL);
        g_assert_true(message == NULL || g_utf8_validate(message, -1, NULL));
        /* A connection that has ended stays so. */
        g_assert_true(last == 0 || error == last);
        last = error == -EPROTO || error == -ECONNRESET ? error : 0;
        json_object_put(reply);
        g_free(message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    unsigned n_events = 0;
    struct qmp *qmp = NULL;
    g_autofree char *message = NULL;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    struct monitor monitor = {fds[1], (const char *)data, size};
    struct qmp_handler handler = {on_event, &n_events};
    GThread *thread = g_thread_new("monitor", monitor_main, &monitor);
    int error = qmp_new(fds[0], &handler, ANSWER_MS, &qmp, &message);
    g_assert_true((error != 0) == (message != NULL));
    g_assert_true((error == 0) == (qmp != NULL));
    if (error == 0) {
        run_commands(qmp);
        qmp_join(qmp);
        qmp_free(qmp);
    }
    g_thread_join(thread);
    close(fds[1]);
    return 0;
}
