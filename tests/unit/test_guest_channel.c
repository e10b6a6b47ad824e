// SPDX-License-Identifier: Apache-2.0
/*
 * Channels to guest agents against a scripted agent at the other end of a socket pair: what they send, how they
 * find an agent that is late, slow or confused, and that a hostile guest costs an error and nothing else.
 */
#include "host/guest/guest_channel.h"

#include <errno.h>
#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/timer.h"

enum { LONG_MS = 20000, SHORT_MS = 100 };

struct fixture {
    struct guest_channels *channels;
    struct guest_channel *channel;
    int fd; /* the guest's end */
    GMutex lock;
    GCond changed;
    int ready; /* how often each was told; with lock */
    int lost;
    int woken;
    int ended; /* the errno, negative */
};

static void count(struct fixture *fixture, int *counter, int by)
{
    g_mutex_lock(&fixture->lock);
    *counter += by;
    g_cond_broadcast(&fixture->changed);
    g_mutex_unlock(&fixture->lock);
}

static void on_ready(void *data)
{
    struct fixture *fixture = data;
    count(fixture, &fixture->ready, 1);
}

static void on_lost(void *data)
{
    struct fixture *fixture = data;
    count(fixture, &fixture->lost, 1);
}

static void on_wake(void *data)
{
    struct fixture *fixture = data;
    count(fixture, &fixture->woken, 1);
}

static void on_ended(void *data, int error)
{
    struct fixture *fixture = data;
    count(fixture, &fixture->ended, error);
}

static void wait_for(struct fixture *fixture, const int *counter, int value)
{
    gint64 end = g_get_monotonic_time() + (gint64)LONG_MS * 1000;
    g_mutex_lock(&fixture->lock);
    while (*counter != value) {
        g_assert_true(g_cond_wait_until(&fixture->changed, &fixture->lock, end));
    }
    g_mutex_unlock(&fixture->lock);
}

static void set_up(struct fixture *fixture, gconstpointer data)
{
    int sockets[2];
    (void)data;
    g_mutex_init(&fixture->lock);
    g_cond_init(&fixture->changed);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), ==, 0);
    const struct guest_channel_handler handler = {
        .ready = on_ready, .lost = on_lost, .wake = on_wake, .ended = on_ended, .data = fixture};
    fixture->fd = sockets[0];
    fixture->channels = guest_channels_new();
    fixture->channel = guest_channel_new(fixture->channels, sockets[1], &handler);
}

static void tear_down(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    guest_channel_close(fixture->channel);
    guest_channel_unref(fixture->channel);
    guest_channels_free(fixture->channels);
    if (fixture->fd >= 0) {
        close(fixture->fd);
    }
    g_mutex_clear(&fixture->lock);
    g_cond_clear(&fixture->changed);
}

/* ---- the guest's side --------------------------------------------------------------------------------- */

static void say(struct fixture *fixture, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fixture->fd, text, length, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* nobody listens to us any more, as some tests want */
        }
        text += n;
        length -= (size_t)n;
    }
}

static void say_text(struct fixture *fixture, const char *text)
{
    say(fixture, text, strlen(text));
}

/* The next command. */
static struct json_object *hear(struct fixture *fixture)
{
    g_autoptr(GString) line = g_string_new(NULL);
    char byte = 0;
    while (byte != '\n') {
        g_assert_cmpint(recv(fixture->fd, &byte, 1, 0), ==, 1);
        if (byte == (char)0xFF) {
            g_string_truncate(line, 0);
        } else {
            g_string_append_c(line, byte);
        }
    }
    struct json_object *command = json_tokener_parse(line->str);
    g_assert_nonnull(command);
    return command;
}

static const char *name_of(struct json_object *command)
{
    return json_object_get_string(json_object_object_get(command, "execute"));
}

static int64_t hear_sync(struct fixture *fixture)
{
    struct json_object *command = hear(fixture);
    g_assert_cmpstr(name_of(command), ==, "guest-sync-delimited");
    int64_t id =
        json_object_get_int64(json_object_object_get(json_object_object_get(command, "arguments"), "id"));
    json_object_put(command);
    return id;
}

static void answer_sync(struct fixture *fixture, int64_t id)
{
    g_autofree char *answer = g_strdup_printf("\xff{\"return\": %" G_GINT64_FORMAT "}\n", id);
    say_text(fixture, answer);
}

static void sync_up(struct fixture *fixture)
{
    int ready = fixture->ready;
    answer_sync(fixture, hear_sync(fixture));
    wait_for(fixture, &fixture->ready, ready + 1);
}

/* Answers commands in this order, on a thread; ends with a NULL. A sync is answered with what it asks for. */
struct script {
    struct fixture *fixture;
    const char *const *answers;
};

static void *run_script(void *data)
{
    const struct script *script = data;
    for (const char *const *answer = script->answers; *answer != NULL;) {
        struct json_object *command = hear(script->fixture);
        if (strcmp(name_of(command), "guest-sync-delimited") == 0) {
            answer_sync(script->fixture, json_object_get_int64(json_object_object_get(
                                             json_object_object_get(command, "arguments"), "id")));
        } else {
            say_text(script->fixture, *answer++);
        }
        json_object_put(command);
    }
    return NULL;
}

static int run(struct fixture *fixture, const char *command, const char *answer, struct json_object **ret,
               char **ret_message)
{
    const char *const answers[] = {answer, NULL};
    struct script script = {fixture, answers};
    GThread *thread = g_thread_new("guest", run_script, &script);
    int error = guest_channel_execute(fixture->channel, command, NULL, LONG_MS, false, ret, ret_message);
    g_thread_join(thread);
    return error;
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void *hear_arguments(void *data)
{
    struct fixture *fixture = data;
    struct json_object *command = hear(fixture);
    g_assert_cmpstr(json_object_to_json_string_ext(command, JSON_C_TO_STRING_PLAIN), ==,
                    "{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":\"\\/x\"}}");
    json_object_put(command);
    say_text(fixture, "{\"return\": 7}\n");
    return NULL;
}

static void test_command(struct fixture *fixture, gconstpointer data)
{
    struct json_object *reply = NULL;
    struct json_object *arguments = json_object_new_object();
    (void)data;
    sync_up(fixture);
    json_object_object_add(arguments, "path", json_object_new_string("/x"));
    GThread *thread = g_thread_new("guest", hear_arguments, fixture);
    g_assert_cmpint(
        guest_channel_execute(fixture->channel, "guest-file-open", arguments, LONG_MS, false, &reply, NULL),
        ==, 0);
    g_thread_join(thread);
    g_assert_cmpint(json_object_get_int(reply), ==, 7);
    json_object_put(reply);
}

static void test_errors(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *answer;
        int error;
        const char *message;
    } cases[] = {
        {"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no\"}}\n", -ENOSYS, "no"},
        {"{\"error\": {\"class\": \"CommandDisabled\", \"desc\": \"off\"}}\n", -ENOSYS, "off"},
        {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"two\\nlines\"}}\n", -EIO, "two lines"},
        {"{\"error\": {}}\n", -EIO, "the command failed"},
        {"{\"error\": 5}\n", -EPROTO, NULL},
        {"{}\n", -EPROTO, NULL},
        {"[]\n", -EPROTO, NULL},
        {"{\"return\": {}} x\n", -EPROTO, NULL},
        {"{\"return\": \"\xc3\x28\"}\n", -EPROTO, NULL},
        {"{\"return\": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}\n", -EPROTO, NULL},
    };
    (void)data;
    sync_up(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *message = NULL;
        struct json_object *reply = NULL;
        int ready = fixture->ready;
        g_assert_cmpint(run(fixture, "guest-x", cases[i].answer, &reply, &message), ==, cases[i].error);
        g_assert_null(reply);
        g_assert_nonnull(message);
        if (cases[i].message != NULL) {
            g_assert_cmpstr(message, ==, cases[i].message);
        }
        if (cases[i].error == -EPROTO) { /* it finds the agent again */
            answer_sync(fixture, hear_sync(fixture));
            wait_for(fixture, &fixture->ready, ready + 1);
        }
    }
}

static void test_no_agent(struct fixture *fixture, gconstpointer data)
{
    g_autofree char *message = NULL;
    (void)data;
    g_assert_cmpint(
        guest_channel_execute(fixture->channel, "guest-ping", NULL, LONG_MS, false, NULL, &message), ==,
        -ENOTCONN);
    g_assert_cmpstr(message, ==, "no guest agent answers");
    g_assert_cmpint(guest_channel_execute(fixture->channel, "guest-ping", NULL, SHORT_MS, true, NULL, NULL),
                    ==, -ENOTCONN);
    /* One that starts late finds the first sync. */
    sync_up(fixture);
    g_assert_cmpint(run(fixture, "guest-ping", "{\"return\": {}}\n", NULL, NULL), ==, 0);
}

static void *start_late(void *data)
{
    struct fixture *fixture = data;
    answer_sync(fixture, hear_sync(fixture));
    struct json_object *command = hear(fixture);
    g_assert_cmpstr(name_of(command), ==, "guest-fsfreeze-thaw");
    json_object_put(command);
    say_text(fixture, "{\"return\": 1}\n");
    return NULL;
}

static void test_patient(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    GThread *thread = g_thread_new("guest", start_late, fixture);
    g_assert_cmpint(
        guest_channel_execute(fixture->channel, "guest-fsfreeze-thaw", NULL, LONG_MS, true, NULL, NULL), ==,
        0);
    g_thread_join(thread);
}

static void test_late_answer(struct fixture *fixture, gconstpointer data)
{
    struct json_object *reply = NULL;
    (void)data;
    sync_up(fixture);
    g_assert_cmpint(guest_channel_execute(fixture->channel, "guest-slow", NULL, SHORT_MS, false, NULL, NULL),
                    ==, -ETIMEDOUT);
    json_object_put(hear(fixture));
    say_text(fixture, "{\"return\": \"too late\"}\n");
    answer_sync(fixture, 1); /* an old one, not ours */
    answer_sync(fixture, hear_sync(fixture));
    wait_for(fixture, &fixture->ready, 2);
    g_assert_cmpint(run(fixture, "guest-ping", "{\"return\": \"in time\"}\n", &reply, NULL), ==, 0);
    g_assert_cmpstr(json_object_get_string(reply), ==, "in time");
    json_object_put(reply);
}

static void test_lost(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    sync_up(fixture);
    g_assert_cmpint(guest_channel_execute(fixture->channel, "guest-slow", NULL, SHORT_MS, false, NULL, NULL),
                    ==, -ETIMEDOUT);
    wait_for(fixture, &fixture->lost, 1); /* the sync is not answered either */
    g_assert_cmpint(guest_channel_execute(fixture->channel, "guest-ping", NULL, LONG_MS, false, NULL, NULL),
                    ==, -ENOTCONN);
}

static void test_flood(struct fixture *fixture, gconstpointer data)
{
    const char *what = data;
    g_autofree char *flood = g_malloc(65536);
    sync_up(fixture);
    memset(flood, *what, 65536);
    for (size_t sent = 0; sent < 2 * (size_t)GUEST_ANSWER_MAX_BYTES; sent += 65536) {
        say(fixture, flood, 65536);
    }
    wait_for(fixture, &fixture->ended, -EPROTO);
    g_assert_cmpint(guest_channel_execute(fixture->channel, "guest-ping", NULL, LONG_MS, true, NULL, NULL),
                    ==, -ECONNRESET);
}

static void *close_it(void *data)
{
    struct fixture *fixture = data;
    json_object_put(hear(fixture));
    guest_channel_close(fixture->channel);
    return NULL;
}

static void test_closed_meanwhile(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    sync_up(fixture);
    GThread *thread = g_thread_new("guest", close_it, fixture);
    g_assert_cmpint(guest_channel_execute(fixture->channel, "guest-slow", NULL, LONG_MS, false, NULL, NULL),
                    ==, -ECONNRESET);
    g_thread_join(thread);
    g_assert_cmpint(fixture->ended, ==, 0); /* who closes is not told */
}

static void test_peer_gone(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    sync_up(fixture);
    close(fixture->fd);
    fixture->fd = -1;
    wait_for(fixture, &fixture->ended, -ECONNRESET);
}

/* A guest that resets for ever while nobody reads: what waits for it does not grow. */
static void test_restarts(struct fixture *fixture, gconstpointer data)
{
    int unread = 0;
    (void)data;
    for (int i = 0; i < 20000; i++) {
        guest_channel_restart(fixture->channel);
    }
    g_assert_cmpint(ioctl(fixture->fd, FIONREAD, &unread), ==, 0);
    g_assert_cmpint(unread, >, 0);
    g_assert_cmpint(unread, <, 1024);
    sync_up(fixture);
    guest_channel_restart(fixture->channel);
    wait_for(fixture, &fixture->lost, 1);
    sync_up(fixture);
}

static void test_wake(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    guest_channel_wake_at(fixture->channel, timer_now_ms() + LONG_MS);
    guest_channel_wake_at(fixture->channel, timer_now_ms() + 10);
    wait_for(fixture, &fixture->woken, 1);
}

/* Bytes of no sense, and pieces of sense, from a fixed seed: every command ends, and the channel works still. */
static void test_nonsense(struct fixture *fixture, gconstpointer data)
{
    static const char *const pieces[] = {"{\"return\":",  "{\"error\":", "}\n", "\n",   "[",      "]",
                                         "\xff",          "\"",          "{}",  "null", "-1e999", "\\u0000",
                                         "{\"class\":\"", "desc",        ":",   ","};
    g_autoptr(GRand) random = g_rand_new_with_seed(20221);
    (void)data;
    sync_up(fixture);
    for (int round = 0; round < 300; round++) {
        g_autoptr(GString) noise = g_string_new(NULL);
        int n = g_rand_int_range(random, 1, 40);
        for (int i = 0; i < n; i++) {
            if (g_rand_boolean(random)) {
                g_string_append(noise, pieces[g_rand_int_range(random, 0, G_N_ELEMENTS(pieces))]);
            } else {
                g_string_append_c(noise, (char)g_rand_int_range(random, 0, 256));
            }
        }
        say(fixture, noise->str, noise->len);
        struct json_object *reply = NULL;
        int error = guest_channel_execute(fixture->channel, "guest-ping", NULL, 5, true, &reply, NULL);
        g_assert_true(error == 0 || error == -EPROTO || error == -EIO || error == -ENOSYS ||
                      error == -ETIMEDOUT || error == -ENOTCONN);
        json_object_put(reply);
        char drain[65536];
        while (recv(fixture->fd, drain, sizeof(drain), MSG_DONTWAIT) > 0) {
        }
    }
    guest_channel_restart(fixture->channel);
    const char *const answers[] = {"{\"return\": \"well\"}\n", NULL};
    struct script script = {fixture, answers};
    struct json_object *reply = NULL;
    say_text(fixture, "\n");
    GThread *thread = g_thread_new("guest", run_script, &script);
    int error = guest_channel_execute(fixture->channel, "guest-ping", NULL, LONG_MS, true, &reply, NULL);
    g_assert_cmpint(error, ==, 0);
    g_thread_join(thread);
    g_assert_cmpstr(json_object_get_string(reply), ==, "well");
    json_object_put(reply);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, data, fn) g_test_add("/guest_channel/" path, struct fixture, data, set_up, fn, tear_down)
    ADD("command", NULL, test_command);
    ADD("errors", NULL, test_errors);
    ADD("no_agent", NULL, test_no_agent);
    ADD("patient", NULL, test_patient);
    ADD("late_answer", NULL, test_late_answer);
    ADD("lost", NULL, test_lost);
    ADD("flood/bytes", "x", test_flood);
    ADD("flood/lines", "\n", test_flood);
    ADD("flood/brackets", "[", test_flood);
    ADD("closed_meanwhile", NULL, test_closed_meanwhile);
    ADD("peer_gone", NULL, test_peer_gone);
    ADD("restarts", NULL, test_restarts);
    ADD("wake", NULL, test_wake);
    ADD("nonsense", NULL, test_nonsense);
    return g_test_run();
}
