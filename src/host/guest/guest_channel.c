// SPDX-License-Identifier: Apache-2.0
/*
 * Channels to guest agents; see guest_channel.h.
 *
 *   SEEKING --answer to guest-sync-delimited--> READY --time-out, nonsense, reset--> SEEKING
 *
 * While it seeks, a channel sends byte 0xFF, which ends whatever the agent was reading, and a guest-sync-delimited
 * with a random number; everything up to the 0xFF before that number is dropped, so also a late
 * answer. What no agent has read yet stays in the socket, and the first thing that an agent reads when
 * it starts: nothing needs to be sent again, and a guest without an agent costs nothing.
 *
 * One lock guards all channels. Callbacks are put in a list under it, and run when it is released.
 */
#include "host/guest/guest_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/timer.h"

enum {
    DELIMITER = 0xFF,
    SEEK_FIRST_MS = 5000, /* until a sync that was read, and not answered, is sent again; doubled each time */
    SEEK_MAX_MS = 60000,
    READ_BYTES = 65536,
    EVENTS = 64,
    QUEUE_MAX = 256, /* commands that wait for one agent */
};

struct request {
    char *text; /* the line to send, owned */
    size_t length;
    int64_t deadline_ms;
    bool patient;
    guest_reply_fn fn;
    void *data;
};

enum channel_state { SEEKING = 1, READY };

struct guest_channel {
    gatomicrefcount references;
    struct guest_channels *channels;
    struct guest_channel_handler handler;
    /* The rest under channels->lock. */
    int fd; /* owned; -1 once ended */
    enum channel_state state;
    bool lost;         /* while it seeks: no agent answers, as far as anybody was told */
    bool closing;      /* guest_channel_close was called */
    bool closed;       /* ... and is done: no callback any more */
    bool wants_out;    /* epoll watches for room to write */
    bool in_flight;    /* the head of requests was sent */
    GQueue requests;   /* of struct request, owned */
    struct buffer in;  /* of the answer that is coming */
    size_t searched;   /* bytes of it that hold no line end */
    size_t received;   /* bytes since something was last asked */
    struct buffer out; /* what the socket had no room for */
    int64_t sync_id;
    bool sync_is_last;  /* nothing was written after the last sync */
    int64_t sync_at_ms; /* when to sync again */
    int64_t sync_wait_ms;
    int64_t lost_at_ms; /* when to say that it is lost; 0: it was said */
    int64_t wake_at_ms; /* 0: never */
};

enum delivery_kind { DELIVER_READY = 1, DELIVER_LOST, DELIVER_WAKE, DELIVER_ENDED, DELIVER_REPLY };

/* A callback that is to run. */
struct delivery {
    enum delivery_kind kind;
    struct guest_channel *channel; /* a reference */
    int error;
    guest_reply_fn fn;
    void *data;
    struct json_object *reply; /* owned, or NULL */
    char *message;             /* owned, or NULL */
};

struct guest_channels {
    GThread *thread;
    int epoll_fd;
    int wake_fd;
    GMutex lock;
    GCond changed;     /* with lock: a channel is closed */
    GPtrArray *list;   /* with lock: of struct guest_channel, a reference each */
    GQueue deliveries; /* with lock */
    bool stopping;     /* with lock */
};

/* ---- callbacks ---------------------------------------------------------------------------------------- */

static void deliver(struct guest_channel *channel, enum delivery_kind kind, int error)
{
    struct delivery *delivery = g_new0(struct delivery, 1);
    *delivery = (struct delivery){.kind = kind, .channel = guest_channel_ref(channel), .error = error};
    g_queue_push_tail(&channel->channels->deliveries, delivery);
}

/* Takes the request, the reply and the message. */
static void deliver_reply(struct guest_channel *channel, struct request *request, int error,
                          struct json_object *reply, char *message)
{
    struct delivery *delivery = g_new0(struct delivery, 1);
    *delivery = (struct delivery){
        .kind = DELIVER_REPLY,
        .channel = guest_channel_ref(channel),
        .error = error,
        .fn = request->fn,
        .data = request->data,
        .reply = reply,
        .message = message,
    };
    g_queue_push_tail(&channel->channels->deliveries, delivery);
    g_free(request->text);
    g_free(request);
}

static const char *describe(int error)
{
    switch (error) {
    case -ENOTCONN:
        return "no guest agent answers";
    case -ETIMEDOUT:
        return "the guest agent did not answer in time";
    case -ECONNRESET:
        return "the connection to the guest agent has ended";
    case -EPROTO:
        return "the guest agent's answer makes no sense";
    case -EAGAIN:
        return "too many commands wait for the guest agent";
    default:
        return g_strerror(-error);
    }
}

static void fail_request(struct guest_channel *channel, struct request *request, int error)
{
    deliver_reply(channel, request, error, NULL, g_strdup(describe(error)));
}

static void run_delivery(struct delivery *delivery)
{
    const struct guest_channel *channel = delivery->channel;
    const struct guest_channel_handler *handler = &channel->handler;
    switch (delivery->kind) {
    case DELIVER_READY:
        handler->ready(handler->data);
        break;
    case DELIVER_LOST:
        handler->lost(handler->data);
        break;
    case DELIVER_WAKE:
        handler->wake(handler->data);
        break;
    case DELIVER_ENDED:
        handler->ended(handler->data, delivery->error);
        break;
    case DELIVER_REPLY:
        delivery->fn(delivery->data, delivery->error, delivery->reply, delivery->message);
        break;
    }
}

/* Runs the callbacks, without the lock. Those of a channel that is being closed fall away; its replies do not. */
static void run_deliveries(struct guest_channels *channels)
{
    struct delivery *delivery = NULL;
    while ((delivery = g_queue_pop_head(&channels->deliveries)) != NULL) {
        bool wanted = delivery->kind == DELIVER_REPLY || !delivery->channel->closing;
        g_mutex_unlock(&channels->lock);
        if (wanted) {
            run_delivery(delivery);
        }
        guest_channel_unref(delivery->channel);
        json_object_put(delivery->reply);
        g_free(delivery->message);
        g_free(delivery);
        g_mutex_lock(&channels->lock);
    }
}

/* ---- writing (channels->lock) ------------------------------------------------------------------------- */

static void fail_all(struct guest_channel *channel, int error, bool patient_too)
{
    for (GList *link = channel->requests.head; link != NULL;) {
        GList *next = link->next;
        struct request *request = link->data;
        if (patient_too || !request->patient) {
            if (link == channel->requests.head) {
                channel->in_flight = false;
            }
            g_queue_delete_link(&channel->requests, link);
            fail_request(channel, request, error);
        }
        link = next;
    }
}

/* The connection is of no use any more. */
static void end(struct guest_channel *channel, int error)
{
    if (channel->fd < 0) {
        return;
    }
    /* Not left to close: a child that is about to be another program may hold the socket for a moment. */
    (void)epoll_ctl(channel->channels->epoll_fd, EPOLL_CTL_DEL, channel->fd, NULL);
    close(channel->fd);
    channel->fd = -1;
    channel->state = SEEKING;
    channel->lost = true;
    channel->lost_at_ms = 0;
    channel->sync_at_ms = 0;
    channel->wake_at_ms = 0;
    fail_all(channel, -ECONNRESET, true);
    deliver(channel, DELIVER_ENDED, error);
}

static void watch(struct guest_channel *channel, bool out)
{
    if (channel->wants_out != out) {
        struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = channel};
        channel->wants_out = out;
        (void)epoll_ctl(channel->channels->epoll_fd, EPOLL_CTL_MOD, channel->fd, &event);
    }
}

/* Writes what there is room for. */
static void flush(struct guest_channel *channel)
{
    size_t done = 0;
    while (channel->fd >= 0 && done < channel->out.length) {
        ssize_t n = send(channel->fd, channel->out.data + done, channel->out.length - done,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            end(channel, -ECONNRESET);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    if (channel->fd >= 0) {
        memmove(channel->out.data, channel->out.data + done, channel->out.length - done);
        buffer_truncate(&channel->out, channel->out.length - done);
        watch(channel, channel->out.length > 0);
    }
}

/* Sends the next command, if it is its turn. */
static void send_next(struct guest_channel *channel)
{
    struct request *request = g_queue_peek_head(&channel->requests);
    if (channel->state == READY && !channel->in_flight && request != NULL) {
        channel->in_flight = true;
        channel->received = 0;
        channel->sync_is_last = false;
        buffer_append(&channel->out, request->text, request->length);
        flush(channel);
    }
}

/* Whether QEMU has not read all of the last sync yet: then no agent has, and the first one to come will. */
static bool is_sync_unread(const struct guest_channel *channel)
{
    int unread = 0;
    return channel->sync_is_last &&
           (channel->out.length > 0 || (ioctl(channel->fd, SIOCOUTQ, &unread) == 0 && unread > 0));
}

/* A guest that resets for ever must not fill our memory: one sync waits to be read, not more. */
static void send_sync(struct guest_channel *channel)
{
    if (is_sync_unread(channel)) {
        channel->sync_at_ms = timer_now_ms() + SEEK_MAX_MS;
        return;
    }
    channel->sync_is_last = true;
    channel->sync_id = (int64_t)g_random_int() + 1;
    channel->received = 0;
    buffer_append_char(&channel->out, (char)DELIMITER);
    buffer_printf(&channel->out,
                  "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" G_GINT64_FORMAT "}}\n",
                  channel->sync_id);
    channel->sync_at_ms = timer_now_ms() + channel->sync_wait_ms;
    channel->sync_wait_ms = MIN(2 * channel->sync_wait_ms, SEEK_MAX_MS);
    flush(channel);
}

/* Begins to look for the agent. */
static void seek(struct guest_channel *channel)
{
    if (channel->fd < 0) {
        return;
    }
    channel->state = SEEKING;
    channel->sync_wait_ms = SEEK_FIRST_MS;
    channel->lost_at_ms = channel->lost ? 0 : timer_now_ms() + SEEK_FIRST_MS;
    buffer_truncate(&channel->in, 0);
    channel->searched = 0;
    send_sync(channel);
}

static void set_lost(struct guest_channel *channel)
{
    channel->lost_at_ms = 0;
    channel->lost = true;
    fail_all(channel, -ENOTCONN, false);
    deliver(channel, DELIVER_LOST, 0);
}

/* ---- reading (channels->lock) ------------------------------------------------------------------------- */

/* The object that the line is, or NULL. */
static struct json_object *parse(const char *line, size_t length)
{
    while (length > 0 && g_ascii_isspace(line[length - 1])) {
        length--;
    }
    if (length == 0 || !g_utf8_validate(line, (gssize)length, NULL)) {
        return NULL;
    }
    struct json_tokener *tokener = json_tokener_new_ex(GUEST_DEPTH_MAX);
    if (tokener == NULL) {
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *message = json_tokener_parse_ex(tokener, line, (int)length);
    bool whole = json_tokener_get_error(tokener) == json_tokener_success &&
                 json_tokener_get_parse_end(tokener) == length &&
                 json_object_is_type(message, json_type_object);
    json_tokener_free(tokener);
    if (!whole) {
        json_object_put(message);
        return NULL;
    }
    return message;
}

/* A text of the guest's that people can read in one line. */
static char *readable(const char *text)
{
    size_t length = strnlen(text, GUEST_TEXT_MAX_BYTES);
    g_autofree char *part = g_strndup(text, length);
    char *valid = g_utf8_make_valid(part, -1);
    for (char *at = valid; *at != '\0'; at++) {
        *at = g_ascii_iscntrl(*at) ? ' ' : *at;
    }
    return valid;
}

static void take_error(struct guest_channel *channel, struct request *request, struct json_object *error)
{
    struct json_object *text = NULL;
    const char *class = "";
    const char *description = "the command failed";
    if (json_object_object_get_ex(error, "class", &text) && json_object_is_type(text, json_type_string)) {
        class = json_object_get_string(text);
    }
    if (json_object_object_get_ex(error, "desc", &text) && json_object_is_type(text, json_type_string)) {
        description = json_object_get_string(text);
    }
    bool unknown = strcmp(class, "CommandNotFound") == 0 || strcmp(class, "CommandDisabled") == 0;
    deliver_reply(channel, request, unknown ? -ENOSYS : -EIO, NULL, readable(description));
}

/* The answer to the command under way; takes nothing. */
static void take_answer(struct guest_channel *channel, struct json_object *message)
{
    struct json_object *member = NULL;
    struct request *request = g_queue_pop_head(&channel->requests);
    channel->in_flight = false;
    if (json_object_object_get_ex(message, "return", &member)) {
        deliver_reply(channel, request, 0, json_object_get(member), NULL);
    } else if (json_object_object_get_ex(message, "error", &member) &&
               json_object_is_type(member, json_type_object)) {
        take_error(channel, request, member);
    } else {
        fail_request(channel, request, -EPROTO);
        seek(channel);
    }
}

static bool is_sync(const struct guest_channel *channel, struct json_object *message)
{
    struct json_object *id = NULL;
    return message != NULL && json_object_object_get_ex(message, "return", &id) &&
           json_object_is_type(id, json_type_int) && json_object_get_int64(id) == channel->sync_id;
}

static void take_line(struct guest_channel *channel, const char *line, size_t length)
{
    if (channel->state == SEEKING) {
        const char *delimiter = memrchr(line, DELIMITER, length);
        if (delimiter != NULL) {
            length -= (size_t)(delimiter + 1 - line);
            struct json_object *message = parse(delimiter + 1, length);
            if (is_sync(channel, message)) {
                channel->state = READY;
                channel->lost = false;
                channel->lost_at_ms = 0;
                channel->sync_at_ms = 0;
                deliver(channel, DELIVER_READY, 0);
            }
            json_object_put(message);
        }
        return;
    }
    if (!channel->in_flight || length == 0) {
        return; /* nobody asked */
    }
    struct json_object *message = parse(line, length);
    if (message == NULL) {
        channel->in_flight = false;
        fail_request(channel, g_queue_pop_head(&channel->requests), -EPROTO);
        seek(channel);
        return;
    }
    take_answer(channel, message);
    json_object_put(message);
}

/* Takes the lines that are complete. */
static void take_lines(struct guest_channel *channel)
{
    size_t start = 0;
    const char *end = NULL;
    while ((end = memchr(channel->in.data + channel->searched, '\n',
                         channel->in.length - channel->searched)) != NULL) {
        size_t next = (size_t)(end - channel->in.data) + 1;
        channel->searched = next;
        take_line(channel, channel->in.data + start, next - 1 - start);
        if (channel->in.length == 0 || channel->fd < 0) {
            return; /* it seeks anew: the rest was dropped */
        }
        start = next;
        send_next(channel);
    }
    if (channel->fd >= 0) {
        memmove(channel->in.data, channel->in.data + start, channel->in.length - start);
        buffer_truncate(&channel->in, channel->in.length - start);
        channel->searched = channel->in.length;
    }
}

static void receive(struct guest_channel *channel)
{
    char *at = buffer_reserve(&channel->in, READ_BYTES);
    ssize_t n = recv(channel->fd, at, READ_BYTES, MSG_DONTWAIT);
    if (n > 0) {
        buffer_commit(&channel->in, (size_t)n);
        channel->received += (size_t)n;
        if (channel->received > GUEST_ANSWER_MAX_BYTES) {
            end(channel, -EPROTO);
            return;
        }
        take_lines(channel);
        if (channel->fd >= 0) {
            send_next(channel);
        }
        if (channel->in.length == 0) {
            buffer_free(&channel->in); /* a thousand quiet channels need no buffers */
            channel->searched = 0;
        }
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        end(channel, -ECONNRESET);
    }
}

/* ---- the thread --------------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Does what is due, and says when the next thing is (0: never). */
static int64_t serve_time(struct guest_channel *channel, int64_t now)
{
    int64_t next = 0;
    bool unanswered = false;
    for (GList *link = channel->requests.head; link != NULL;) {
        GList *after = link->next;
        struct request *request = link->data;
        if (request->deadline_ms <= now) {
            bool was_sent = channel->in_flight && link == channel->requests.head;
            g_queue_delete_link(&channel->requests, link);
            fail_request(channel, request, channel->lost ? -ENOTCONN : -ETIMEDOUT);
            if (was_sent) {
                channel->in_flight = false;
                unanswered = true;
            }
        } else {
            next = earlier(next, request->deadline_ms);
        }
        link = after;
    }
    if (unanswered) {
        seek(channel); /* its answer may come yet */
    }
    if (channel->lost_at_ms != 0 && channel->lost_at_ms <= now) {
        set_lost(channel);
    }
    if (channel->sync_at_ms != 0 && channel->sync_at_ms <= now) {
        send_sync(channel);
    }
    if (channel->wake_at_ms != 0 && channel->wake_at_ms <= now) {
        channel->wake_at_ms = 0;
        deliver(channel, DELIVER_WAKE, 0);
    }
    next = earlier(next, channel->lost_at_ms);
    next = earlier(next, channel->sync_at_ms);
    return earlier(next, channel->wake_at_ms);
}

/* Ends the channels that are to be closed. */
static void serve_closing(struct guest_channels *channels)
{
    for (guint i = channels->list->len; i-- > 0;) {
        struct guest_channel *channel = g_ptr_array_index(channels->list, i);
        if (channel->closing) {
            end(channel, -ECONNRESET);
            fail_all(channel, -ECONNRESET, true);
        }
    }
    run_deliveries(channels);
    for (guint i = channels->list->len; i-- > 0;) {
        struct guest_channel *channel = g_ptr_array_index(channels->list, i);
        if (channel->closing && channel->fd < 0 && channel->requests.length == 0) {
            channel->closed = true;
            g_cond_broadcast(&channels->changed);
            g_ptr_array_remove_index_fast(channels->list, i);
            guest_channel_unref(channel);
        }
    }
}

static int serve_times(struct guest_channels *channels)
{
    int64_t now = timer_now_ms();
    int64_t next = 0;
    for (guint i = 0; i < channels->list->len; i++) {
        next = earlier(next, serve_time(g_ptr_array_index(channels->list, i), now));
    }
    if (next == 0) {
        return -1;
    }
    return (int)CLAMP(next - now, 0, 3600 * 1000);
}

static void serve_events(struct guest_channels *channels, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        struct guest_channel *channel = events[i].data.ptr;
        uint64_t count = 0;
        if (channel == NULL) {
            (void)!read(channels->wake_fd, &count, sizeof(count));
            continue;
        }
        if (channel->fd >= 0 && (events[i].events & EPOLLOUT) != 0) {
            flush(channel);
        }
        if (channel->fd >= 0 && (events[i].events & ~(unsigned)EPOLLOUT) != 0) {
            receive(channel);
        }
    }
}

static void *channels_main(void *data)
{
    struct guest_channels *channels = data;
    struct epoll_event events[EVENTS];
    g_mutex_lock(&channels->lock);
    while (!channels->stopping) {
        serve_closing(channels);
        int wait_ms = serve_times(channels);
        if (!g_queue_is_empty(&channels->deliveries)) {
            wait_ms = 0;
        }
        g_mutex_unlock(&channels->lock);
        int n = epoll_wait(channels->epoll_fd, events, EVENTS, wait_ms);
        g_mutex_lock(&channels->lock);
        serve_events(channels, events, n);
        run_deliveries(channels);
    }
    g_mutex_unlock(&channels->lock);
    return NULL;
}

static void wake(struct guest_channels *channels)
{
    uint64_t one = 1;
    if (g_thread_self() != channels->thread) {
        (void)!write(channels->wake_fd, &one, sizeof(one));
    }
}

struct guest_channels *guest_channels_new(void)
{
    struct guest_channels *channels = g_new0(struct guest_channels, 1);
    struct epoll_event event = {.events = EPOLLIN};
    g_mutex_init(&channels->lock);
    g_cond_init(&channels->changed);
    channels->list = g_ptr_array_new();
    channels->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    channels->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (channels->epoll_fd < 0 || channels->wake_fd < 0 ||
        epoll_ctl(channels->epoll_fd, EPOLL_CTL_ADD, channels->wake_fd, &event) != 0) {
        g_error("no descriptors for the channels to guest agents: %s", g_strerror(errno));
    }
    g_mutex_lock(&channels->lock); /* the thread compares itself with channels->thread */
    channels->thread = g_thread_new("guest-agents", channels_main, channels);
    g_mutex_unlock(&channels->lock);
    return channels;
}

void guest_channels_free(struct guest_channels *channels)
{
    if (channels == NULL) {
        return;
    }
    g_mutex_lock(&channels->lock);
    g_assert(channels->list->len == 0);
    channels->stopping = true;
    g_mutex_unlock(&channels->lock);
    wake(channels);
    g_thread_join(channels->thread);
    close(channels->epoll_fd);
    close(channels->wake_fd);
    g_ptr_array_unref(channels->list);
    g_mutex_clear(&channels->lock);
    g_cond_clear(&channels->changed);
    g_free(channels);
}

/* ---- a channel's life --------------------------------------------------------------------------------- */

struct guest_channel *guest_channel_ref(struct guest_channel *channel)
{
    g_atomic_ref_count_inc(&channel->references);
    return channel;
}

void guest_channel_unref(struct guest_channel *channel)
{
    if (channel != NULL && g_atomic_ref_count_dec(&channel->references)) {
        buffer_free(&channel->in);
        buffer_free(&channel->out);
        g_free(channel);
    }
}

struct guest_channel *guest_channel_new(struct guest_channels *channels, int fd,
                                        const struct guest_channel_handler *handler)
{
    struct guest_channel *channel = g_new0(struct guest_channel, 1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = channel};
    g_atomic_ref_count_init(&channel->references);
    g_atomic_ref_count_inc(&channel->references); /* the list's */
    channel->channels = channels;
    channel->handler = *handler;
    channel->fd = fd;
    channel->lost = true;
    g_queue_init(&channel->requests);
    g_mutex_lock(&channels->lock);
    g_ptr_array_add(channels->list, channel);
    if (epoll_ctl(channels->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        end(channel, -errno);
    }
    seek(channel);
    g_mutex_unlock(&channels->lock);
    wake(channels);
    return channel;
}

void guest_channel_submit(struct guest_channel *channel, const char *command, struct json_object *arguments,
                          int timeout_ms, int patient, guest_reply_fn fn, void *data)
{
    struct guest_channels *channels = channel->channels;
    struct json_object *message = json_object_new_object();
    struct request *request = g_new0(struct request, 1);
    json_object_object_add(message, "execute", json_object_new_string(command));
    if (arguments != NULL) {
        json_object_object_add(message, "arguments", arguments);
    }
    request->text = g_strconcat(json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN), "\n", NULL);
    request->length = strlen(request->text);
    request->deadline_ms = timer_now_ms() + timeout_ms;
    request->patient = patient;
    request->fn = fn;
    request->data = data;
    json_object_put(message);
    g_mutex_lock(&channels->lock);
    if (channel->fd < 0 || channel->closing) {
        fail_request(channel, request, -ECONNRESET);
    } else if (channel->lost && !patient) {
        fail_request(channel, request, -ENOTCONN);
    } else if (channel->requests.length >= QUEUE_MAX) {
        fail_request(channel, request, -EAGAIN);
    } else {
        g_queue_push_tail(&channel->requests, request);
        send_next(channel);
    }
    g_mutex_unlock(&channels->lock);
    wake(channels);
}

/* A call that waits; on the caller's stack. */
struct waiting {
    GMutex lock;
    GCond done_changed;
    bool done;
    int error;
    struct json_object *reply;
    char *message;
};

static void on_reply(void *data, int error, struct json_object *reply, const char *message)
{
    struct waiting *waiting = data;
    g_mutex_lock(&waiting->lock);
    waiting->error = error;
    waiting->reply = json_object_get(reply);
    waiting->message = g_strdup(message);
    waiting->done = true;
    g_cond_signal(&waiting->done_changed);
    g_mutex_unlock(&waiting->lock);
}

int guest_channel_execute(struct guest_channel *channel, const char *command, struct json_object *arguments,
                          int timeout_ms, int patient, struct json_object **ret, char **ret_message)
{
    struct waiting waiting = {0};
    g_mutex_init(&waiting.lock);
    g_cond_init(&waiting.done_changed);
    guest_channel_submit(channel, command, arguments, timeout_ms, patient, on_reply, &waiting);
    g_mutex_lock(&waiting.lock);
    while (!waiting.done) {
        g_cond_wait(&waiting.done_changed, &waiting.lock);
    }
    g_mutex_unlock(&waiting.lock);
    g_mutex_clear(&waiting.lock);
    g_cond_clear(&waiting.done_changed);
    if (waiting.error == 0 && ret != NULL) {
        *ret = g_steal_pointer(&waiting.reply);
    }
    if (waiting.error != 0 && ret_message != NULL) {
        *ret_message = g_steal_pointer(&waiting.message);
    }
    json_object_put(waiting.reply);
    g_free(waiting.message);
    return waiting.error;
}

void guest_channel_wake_at(struct guest_channel *channel, int64_t at_ms)
{
    g_mutex_lock(&channel->channels->lock);
    if (channel->fd >= 0) {
        channel->wake_at_ms = at_ms;
    }
    g_mutex_unlock(&channel->channels->lock);
    wake(channel->channels);
}

void guest_channel_restart(struct guest_channel *channel)
{
    g_mutex_lock(&channel->channels->lock);
    if (channel->fd >= 0) {
        fail_all(channel, -ECONNRESET, true);
        if (!channel->lost) {
            set_lost(channel);
        }
        seek(channel);
    }
    g_mutex_unlock(&channel->channels->lock);
    wake(channel->channels);
}

void guest_channel_close(struct guest_channel *channel)
{
    struct guest_channels *channels = channel->channels;
    g_mutex_lock(&channels->lock);
    channel->closing = true;
    wake(channels);
    while (!channel->closed && g_thread_self() != channels->thread) {
        g_cond_wait(&channels->changed, &channels->lock);
    }
    g_mutex_unlock(&channels->lock);
}
