// SPDX-License-Identifier: Apache-2.0
/*
 * The QMP client against a scripted monitor at the other end of a socket pair: what it sends, what it
 * makes of answers, and that no answer, nonsense or a death leaves it standing.
 */
#include "hypervisor/qemu/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONG_MS = 20000 };

static const char GREETING[] = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": "
                               "8}}, \"capabilities\": []}}\r\n";

/* One thing that the monitor does. */
struct step {
    enum { EXPECT = 1, SEND, SEND_BYTEWISE, FLOOD, EXPECT_FD, WAIT_HANGUP, CLOSE } what;
    const char *text; /* a part of the next line that must come, or what to send */
};

struct monitor {
    int fd;
    const struct step *steps; /* ended by what 0 */
    GThread *thread;
    int received_fd; /* from EXPECT_FD, or -1 */
};

struct events {
    GMutex lock;
    GCond changed;
    GString *log; /* "NAME{data};" for each */
};

/* Reads one line; descriptors that come with it go into *ret_fd. */
static char *read_line(int fd, int *ret_fd)
{
    GString *line = g_string_new(NULL);
    char byte;

    for (;;) {
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = {.iov_base = &byte, .iov_len = 1};
        struct msghdr message = {
            .msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        if (n <= 0) {
            return g_string_free(line, FALSE);
        }
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
            memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
        }
        if (byte == '\n') {
            return g_string_free(line, FALSE);
        }
        g_string_append_c(line, byte);
    }
}

static void send_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* the client has given up on us, as some tests want */
        }
        text += n;
        length -= (size_t)n;
    }
}

static void run_step(struct monitor *monitor, const struct step *step)
{
    switch (step->what) {
    case EXPECT:
    case EXPECT_FD: {
        g_autofree char *line = read_line(monitor->fd, &monitor->received_fd);
        if (strstr(line, step->text) == NULL) {
            g_error("the monitor expected %s and got %s", step->text, line);
        }
        g_assert_true(step->what == EXPECT || monitor->received_fd >= 0);
        break;
    }
    case SEND:
        send_all(monitor->fd, step->text, strlen(step->text));
        break;
    case SEND_BYTEWISE:
        for (const char *at = step->text; *at != '\0'; at++) {
            send_all(monitor->fd, at, 1);
        }
        break;
    case FLOOD: {
        g_autofree char *flood = g_malloc(QMP_LINE_MAX_BYTES + (1 << 20));
        memset(flood, ' ', QMP_LINE_MAX_BYTES + (1 << 20));
        send_all(monitor->fd, flood, QMP_LINE_MAX_BYTES + (1 << 20));
        break;
    }
    case WAIT_HANGUP: {
        g_autofree char *line = read_line(monitor->fd, &monitor->received_fd);
        g_assert_cmpstr(line, ==, "");
        break;
    }
    case CLOSE:
        shutdown(monitor->fd, SHUT_RDWR);
        break;
    }
}

static gpointer monitor_main(gpointer data)
{
    struct monitor *monitor = data;

    for (const struct step *step = monitor->steps; step->what != 0; step++) {
        run_step(monitor, step);
    }
    return NULL;
}

static void on_event(void *data, const char *name, struct json_object *arguments)
{
    struct events *events = data;

    g_mutex_lock(&events->lock);
    g_string_append_printf(
        events->log, "%s%s;", name,
        arguments != NULL ? json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN) : "");
    g_cond_broadcast(&events->changed);
    g_mutex_unlock(&events->lock);
}

struct fixture {
    struct monitor monitor;
    struct events events;
    struct qmp *qmp;
    int result; /* of qmp_new */
    char *message;
};

static void start(struct fixture *fixture, const struct step *steps, int timeout_ms)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    memset(fixture, 0, sizeof(*fixture));
    g_mutex_init(&fixture->events.lock);
    g_cond_init(&fixture->events.changed);
    fixture->events.log = g_string_new(NULL);
    fixture->monitor = (struct monitor){.fd = fds[1], .steps = steps, .received_fd = -1};
    fixture->monitor.thread = g_thread_new("monitor", monitor_main, &fixture->monitor);
    struct qmp_handler handler = {.event = on_event, .data = &fixture->events};
    fixture->result = qmp_new(fds[0], &handler, timeout_ms, &fixture->qmp, &fixture->message);
}

static void stop(struct fixture *fixture)
{
    qmp_free(fixture->qmp);
    g_thread_join(fixture->monitor.thread);
    close(fixture->monitor.fd);
    if (fixture->monitor.received_fd >= 0) {
        close(fixture->monitor.received_fd);
    }
    g_string_free(fixture->events.log, TRUE);
    g_mutex_clear(&fixture->events.lock);
    g_cond_clear(&fixture->events.changed);
    g_free(fixture->message);
}

#define CAPABILITIES                            \
    {EXPECT, "qmp_capabilities"},               \
    {                                           \
        SEND, "{\"return\": {}, \"id\": 1}\r\n" \
    }
#define OPENING {SEND, GREETING}, CAPABILITIES

static void test_command(void)
{
    static const struct step steps[] = {
        OPENING,
        {EXPECT, "{\"execute\":\"query-x\",\"arguments\":{\"a\":1},\"id\":2}"},
        {SEND, "{\"return\": {\"size\": 18446744073709551615}, \"id\": 2}\r\n"},
        {0, NULL},
    };
    struct fixture fixture;
    struct json_object *reply = NULL, *size;

    start(&fixture, steps, LONG_MS);
    g_assert_cmpint(fixture.result, ==, 0);
    struct json_object *arguments = json_object_new_object();
    json_object_object_add(arguments, "a", json_object_new_int(1));
    g_assert_cmpint(qmp_execute(fixture.qmp, "query-x", arguments, NULL, 0, LONG_MS, &reply, NULL), ==, 0);
    g_assert_true(json_object_object_get_ex(reply, "size", &size));
    g_assert_cmpuint(json_object_get_uint64(size), ==, UINT64_MAX);
    json_object_put(reply);
    stop(&fixture);
}

static void test_errors(void)
{
    static const struct step steps[] = {
        OPENING,
        {EXPECT, "\"a\""},
        {SEND, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no luck\"}, \"id\": 2}\r\n"},
        {EXPECT, "\"b\""},
        {SEND, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"what?\"}, \"id\": 3}\r\n"},
        {EXPECT, "\"c\""},
        {SEND, "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"where?\"}, \"id\": 4}\r\n"},
        {0, NULL},
    };
    struct fixture fixture;
    g_autofree char *message = NULL;

    start(&fixture, steps, LONG_MS);
    g_assert_cmpint(qmp_execute(fixture.qmp, "a", NULL, NULL, 0, LONG_MS, NULL, &message), ==, -EIO);
    g_assert_cmpstr(message, ==, "no luck");
    g_assert_cmpint(qmp_execute(fixture.qmp, "b", NULL, NULL, 0, LONG_MS, NULL, NULL), ==, -ENOSYS);
    g_assert_cmpint(qmp_execute(fixture.qmp, "c", NULL, NULL, 0, LONG_MS, NULL, NULL), ==, -ENODEV);
    stop(&fixture);
}

/* Events before, between and packed together with replies, whatever the packets' borders. */
static void test_events(void)
{
    static const struct step steps[] = {
        {SEND_BYTEWISE, GREETING},
        CAPABILITIES,
        {EXPECT, "\"a\""},
        {SEND, "{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\r\n"
               "{\"return\": {}, \"id\": 2}\n{\"event\": \"RESET\", \"data\": {\"guest\": true}}\n"},
        {SEND_BYTEWISE, "{\"event\": \"RESUME\"}\r\n\r\n"},
        {0, NULL},
    };
    struct fixture fixture;

    start(&fixture, steps, LONG_MS);
    g_assert_cmpint(qmp_execute(fixture.qmp, "a", NULL, NULL, 0, LONG_MS, NULL, NULL), ==, 0);
    g_mutex_lock(&fixture.events.lock);
    while (strstr(fixture.events.log->str, "RESUME") == NULL) {
        g_cond_wait(&fixture.events.changed, &fixture.events.lock);
    }
    g_assert_cmpstr(fixture.events.log->str, ==, "STOP;RESET{\"guest\":true};RESUME;");
    g_mutex_unlock(&fixture.events.lock);
    stop(&fixture);
}

/* Every event before the end has been handed on when qmp_join() returns. */
static void test_join(void)
{
    static const struct step steps[] = {
        OPENING,
        {SEND, "{\"event\": \"SHUTDOWN\"}\n"},
        {CLOSE, NULL},
        {0, NULL},
    };
    struct fixture fixture;

    start(&fixture, steps, LONG_MS);
    qmp_join(fixture.qmp);
    g_assert_cmpstr(fixture.events.log->str, ==, "SHUTDOWN;");
    stop(&fixture);
}

static void test_descriptors(void)
{
    static const struct step steps[] = {
        OPENING,
        {EXPECT_FD, "getfd"},
        {SEND, "{\"return\": {}, \"id\": 2}\n"},
        {0, NULL},
    };
    struct fixture fixture;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    start(&fixture, steps, LONG_MS);
    g_assert_cmpint(qmp_execute(fixture.qmp, "getfd", NULL, &fd, 1, LONG_MS, NULL, NULL), ==, 0);
    stop(&fixture);
    close(fd);
}

/* A late answer belongs to nobody, and the connection goes on. */
static void test_no_answer(void)
{
    static const struct step steps[] = {
        OPENING,
        {EXPECT, "\"slow\""},
        {EXPECT, "\"quick\""},
        {SEND, "{\"return\": {\"slow\": 1}, \"id\": 2}\n{\"return\": {\"quick\": 1}, \"id\": 3}\n"},
        {0, NULL},
    };
    struct fixture fixture;
    struct json_object *reply = NULL;
    g_autofree char *message = NULL;

    start(&fixture, steps, LONG_MS);
    g_assert_cmpint(qmp_execute(fixture.qmp, "slow", NULL, NULL, 0, 20, NULL, &message), ==, -ETIMEDOUT);
    g_assert_nonnull(message);
    g_assert_cmpint(qmp_execute(fixture.qmp, "quick", NULL, NULL, 0, LONG_MS, &reply, NULL), ==, 0);
    g_assert_true(json_object_object_get_ex(reply, "quick", NULL));
    json_object_put(reply);
    stop(&fixture);
}

/* A peer that does not even read. */
static void test_no_reader(void)
{
    static const struct step steps[] = {OPENING, {0, NULL}};
    struct fixture fixture;
    g_autofree char *text = g_strnfill(8 << 20, 'x');

    start(&fixture, steps, LONG_MS);
    struct json_object *arguments = json_object_new_object();
    json_object_object_add(arguments, "text", json_object_new_string(text));
    g_assert_cmpint(qmp_execute(fixture.qmp, "a", arguments, NULL, 0, 50, NULL, NULL), ==, -ETIMEDOUT);
    /* Half a message is on its way: nothing sensible can follow it. */
    g_assert_cmpint(qmp_execute(fixture.qmp, "b", NULL, NULL, 0, LONG_MS, NULL, NULL), ==, -ETIMEDOUT);
    stop(&fixture);
}

static void test_no_greeting(void)
{
    static const struct step steps[] = {{WAIT_HANGUP, NULL}, {0, NULL}};
    struct fixture fixture;

    start(&fixture, steps, 20);
    g_assert_cmpint(fixture.result, ==, -ETIMEDOUT);
    g_assert_nonnull(fixture.message);
    stop(&fixture);
}

static void test_death(void)
{
    static const struct step steps[] = {OPENING, {EXPECT, "\"a\""}, {CLOSE, NULL}, {0, NULL}};
    struct fixture fixture;
    g_autofree char *message = NULL;

    start(&fixture, steps, LONG_MS);
    g_assert_cmpint(qmp_execute(fixture.qmp, "a", NULL, NULL, 0, LONG_MS, NULL, &message), ==, -ECONNRESET);
    g_assert_nonnull(message);
    g_assert_cmpint(qmp_execute(fixture.qmp, "b", NULL, NULL, 0, LONG_MS, NULL, NULL), ==, -ECONNRESET);
    stop(&fixture);
}

static void check_nonsense(const struct step *what)
{
    const struct step steps[] = {OPENING, {EXPECT, "\"a\""}, *what, {0, NULL}};
    struct fixture fixture;

    start(&fixture, steps, LONG_MS);
    g_assert_cmpint(fixture.result, ==, 0);
    g_assert_cmpint(qmp_execute(fixture.qmp, "a", NULL, NULL, 0, LONG_MS, NULL, NULL), ==, -EPROTO);
    g_assert_cmpint(qmp_execute(fixture.qmp, "b", NULL, NULL, 0, LONG_MS, NULL, NULL), ==, -EPROTO);
    stop(&fixture);
}

static void test_nonsense(void)
{
    static const char *const lines[] = {
        "hello\n",
        "[]\n",
        "{}\n",
        "{\"return\": {}}\n",
        "{\"return\": {}, \"id\": \"2\"}\n",
        "{\"return\": {}, \"id\": 77}\n",
        "{\"return\": {}, \"id\": 0}\n",
        "{\"return\": {}, \"id\": 2} x\n",
        "{\"return\": {}, \"id\": 2\n",
        "{\"event\": 1}\n",
        "{\"event\": \"X\", \"data\": 1}\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        check_nonsense(&(struct step){SEND, lines[i]});
    }
    g_autofree char *open = g_strnfill(QMP_DEPTH_MAX + 1, '[');
    g_autofree char *close = g_strnfill(QMP_DEPTH_MAX + 1, ']');
    g_autofree char *deep = g_strdup_printf("{\"id\": 2, \"return\": %s%s}\n", open, close);
    check_nonsense(&(struct step){SEND, deep});
    GString *many = g_string_new("{\"id\": 2, \"return\": [{}");
    for (unsigned i = 0; i < QMP_VALUES_MAX; i++) {
        g_string_append(many, ",{}");
    }
    g_string_append(many, "]}\n");
    check_nonsense(&(struct step){SEND, many->str});
    g_string_free(many, TRUE);
    check_nonsense(&(struct step){FLOOD, NULL});
}

struct caller {
    struct qmp *qmp;
    const char *command;
    int result;
    char *reply;
};

static gpointer caller_main(gpointer data)
{
    struct caller *caller = data;
    struct json_object *reply = NULL;

    caller->result = qmp_execute(caller->qmp, caller->command, NULL, NULL, 0, LONG_MS, &reply, NULL);
    caller->reply = g_strdup(json_object_get_string(reply));
    json_object_put(reply);
    return NULL;
}

/* Answers in another order than the questions find their callers. */
static void test_two_callers(void)
{
    static const struct step steps[] = {
        OPENING,
        {EXPECT, "\"id\":"},
        {EXPECT, "\"id\":"},
        {SEND, "{\"return\": \"third\", \"id\": 3}\n{\"return\": \"second\", \"id\": 2}\n"},
        {0, NULL},
    };
    struct fixture fixture;

    start(&fixture, steps, LONG_MS);
    struct caller a = {.qmp = fixture.qmp, .command = "a"}, b = {.qmp = fixture.qmp, .command = "b"};
    GThread *thread_a = g_thread_new("a", caller_main, &a);
    GThread *thread_b = g_thread_new("b", caller_main, &b);
    g_thread_join(thread_a);
    g_thread_join(thread_b);
    g_assert_cmpint(a.result, ==, 0);
    g_assert_cmpint(b.result, ==, 0);
    g_assert_cmpstr(a.reply, !=, b.reply);
    g_free(a.reply);
    g_free(b.reply);
    stop(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/command", test_command);
    g_test_add_func("/qmp/errors", test_errors);
    g_test_add_func("/qmp/events", test_events);
    g_test_add_func("/qmp/join", test_join);
    g_test_add_func("/qmp/descriptors", test_descriptors);
    g_test_add_func("/qmp/no_answer", test_no_answer);
    g_test_add_func("/qmp/no_reader", test_no_reader);
    g_test_add_func("/qmp/no_greeting", test_no_greeting);
    g_test_add_func("/qmp/death", test_death);
    g_test_add_func("/qmp/nonsense", test_nonsense);
    g_test_add_func("/qmp/two_callers", test_two_callers);
    return g_test_run();
}
