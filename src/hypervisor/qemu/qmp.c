// SPDX-License-Identifier: Apache-2.0
/*
 * The QMP client; see qmp.h.
 *
 * Locks, in the order in which they are taken: fd_lock (one command with descriptors at a time, because
 * QEMU keeps only the descriptors that came last), send_lock (one message at a time on the socket), lock
 * (everything else). Only `lock` is taken by the reader thread, and never across the handler.
 */
#include "hypervisor/qemu/qmp.h"

#include "base/json_count.h"

#include <errno.h>
#include <glib.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A command that waits for its reply. Lives on the caller's stack while it is in qmp->calls. */
struct qmp_call {
    int64_t id;
    struct json_object *reply; /* the whole message, owned; NULL until it came */
};

struct qmp {
    int fd; /* owned; shut down, not closed, while the reader thread lives */
    struct qmp_handler handler;
    GThread *reader;  /* NULL once joined */
    GByteArray *line; /* the reader's: what came of a message that is not complete */
    GMutex fd_lock;
    GMutex send_lock;
    GMutex lock;
    GCond changed;    /* with lock: a reply came, the greeting came, or error was set */
    GPtrArray *calls; /* with lock: struct qmp_call, borrowed from the callers' stacks */
    int64_t next_id;  /* with lock */
    bool greeted;     /* with lock */
    int error;        /* with lock: negative errno once the connection is useless, else 0 */
};

static const char *describe(int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return "QEMU does not answer";
    case -ECONNRESET:
        return "QEMU has closed its monitor";
    case -EPROTO:
        return "QEMU sent something that is not QMP";
    default:
        return g_strerror(-error);
    }
}

static int fail(int error, char **ret_message)
{
    if (ret_message != NULL) {
        *ret_message = g_strdup(describe(error));
    }
    return error;
}

/* Ends the connection: every call, present and future, returns error. */
static void set_error(struct qmp *qmp, int error)
{
    g_mutex_lock(&qmp->lock);
    if (qmp->error == 0) {
        qmp->error = error;
    }
    g_cond_broadcast(&qmp->changed);
    g_mutex_unlock(&qmp->lock);
    shutdown(qmp->fd, SHUT_RDWR);
}

/* Gives a reply to the call that waits for it. A reply that nobody waits for any more is dropped. */
static int take_reply(struct qmp *qmp, struct json_object *message)
{
    struct json_object *id;

    if (!json_object_object_get_ex(message, "id", &id) || !json_object_is_type(id, json_type_int)) {
        return -EPROTO;
    }
    int64_t number = json_object_get_int64(id);
    int error = 0;

    g_mutex_lock(&qmp->lock);
    if (number < 1 || number >= qmp->next_id) {
        error = -EPROTO;
    }
    for (guint i = 0; i < qmp->calls->len; i++) {
        struct qmp_call *call = g_ptr_array_index(qmp->calls, i);
        if (call->id == number && call->reply == NULL) {
            call->reply = json_object_get(message);
            g_cond_broadcast(&qmp->changed);
        }
    }
    g_mutex_unlock(&qmp->lock);
    return error;
}

static int take_message(struct qmp *qmp, struct json_object *message)
{
    struct json_object *member;

    if (json_object_object_get_ex(message, "event", &member)) {
        struct json_object *data = NULL;
        if (!json_object_is_type(member, json_type_string)) {
            return -EPROTO;
        }
        if (json_object_object_get_ex(message, "data", &data) &&
            !json_object_is_type(data, json_type_object)) {
            return -EPROTO;
        }
        qmp->handler.event(qmp->handler.data, json_object_get_string(member), data);
        return 0;
    }
    if (json_object_object_get_ex(message, "return", NULL) ||
        json_object_object_get_ex(message, "error", NULL)) {
        return take_reply(qmp, message);
    }
    if (json_object_object_get_ex(message, "QMP", NULL)) {
        g_mutex_lock(&qmp->lock);
        qmp->greeted = true;
        g_cond_broadcast(&qmp->changed);
        g_mutex_unlock(&qmp->lock);
        return 0;
    }
    return -EPROTO;
}

static int take_line(struct qmp *qmp, const char *line, size_t length)
{
    while (length > 0 && g_ascii_isspace(line[length - 1])) {
        length--;
    }
    if (length == 0) {
        return 0;
    }
    if (json_count_values(line, length) > QMP_VALUES_MAX) {
        return -EPROTO;
    }
    struct json_tokener *tokener = json_tokener_new_ex(QMP_DEPTH_MAX);
    if (tokener == NULL) {
        return -ENOMEM;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *message = json_tokener_parse_ex(tokener, line, (int)length);
    bool whole = json_tokener_get_error(tokener) == json_tokener_success &&
                 json_tokener_get_parse_end(tokener) == length;
    json_tokener_free(tokener);

    int error =
        whole && json_object_is_type(message, json_type_object) ? take_message(qmp, message) : -EPROTO;
    json_object_put(message);
    return error;
}

/* Takes the lines that are complete out of qmp->line. Bytes before `searched` hold no line end. */
static int take_lines(struct qmp *qmp, size_t searched)
{
    GByteArray *line = qmp->line;
    size_t start = 0;

    for (;;) {
        const uint8_t *end = memchr(line->data + searched, '\n', line->len - searched);
        if (end == NULL) {
            break;
        }
        size_t length = (size_t)(end - line->data) - start;
        int error = take_line(qmp, (const char *)line->data + start, length);
        if (error != 0) {
            return error;
        }
        start += length + 1;
        searched = start;
    }
    g_byte_array_remove_range(line, 0, (guint)start);
    return line->len > QMP_LINE_MAX_BYTES ? -EPROTO : 0;
}

static gpointer reader_main(gpointer data)
{
    struct qmp *qmp = data;
    uint8_t chunk[16384];
    int error = 0;

    while (error == 0) {
        struct pollfd poller = {.fd = qmp->fd, .events = POLLIN};
        if (poll(&poller, 1, -1) < 0) {
            error = errno == EINTR ? 0 : -errno;
            continue;
        }
        ssize_t n = recv(qmp->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n > 0) {
            size_t searched = qmp->line->len;
            g_byte_array_append(qmp->line, chunk, (guint)n);
            error = take_lines(qmp, searched);
        } else if (n == 0) {
            error = -ECONNRESET;
        } else if (errno != EINTR && errno != EAGAIN) {
            error = errno == EPIPE ? -ECONNRESET : -errno;
        }
    }
    set_error(qmp, error);
    return NULL;
}

/* Sends all of a message. A deadline that passes in the middle of it leaves a connection of no use. */
static int send_message(struct qmp *qmp, const char *text, size_t length, const int *fds, size_t n_fds,
                        int64_t end_us)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * QMP_FDS_MAX)];
    } control = {0};
    size_t sent = 0;

    while (sent < length) {
        struct iovec part = {.iov_base = (char *)text + sent, .iov_len = length - sent};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (n_fds > 0 && sent == 0) {
            message.msg_control = &control;
            message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
            control.header.cmsg_level = SOL_SOCKET;
            control.header.cmsg_type = SCM_RIGHTS;
            control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
            memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
        }
        ssize_t n = sendmsg(qmp->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN) {
            return errno == EPIPE ? -ECONNRESET : -errno;
        }
        int64_t left_us = end_us - g_get_monotonic_time();
        struct pollfd poller = {.fd = qmp->fd, .events = POLLOUT};
        if (left_us <= 0 || (poll(&poller, 1, (int)((left_us + 999) / 1000)) < 0 && errno != EINTR)) {
            if (sent > 0) {
                set_error(qmp, -ETIMEDOUT);
            }
            return -ETIMEDOUT;
        }
    }
    return 0;
}

/* Sends the command and waits for its reply, which goes into call->reply. */
static int exchange(struct qmp *qmp, struct json_object *command, const int *fds, size_t n_fds,
                    int timeout_ms, struct qmp_call *call)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;

    g_mutex_lock(&qmp->lock);
    int error = qmp->error;
    call->id = qmp->next_id++;
    g_ptr_array_add(qmp->calls, call);
    g_mutex_unlock(&qmp->lock);

    if (error == 0) {
        json_object_object_add(command, "id", json_object_new_int64(call->id));
        const char *text = json_object_to_json_string_ext(command, JSON_C_TO_STRING_PLAIN);
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        g_mutex_lock(&qmp->send_lock);
        error = send_message(qmp, line, strlen(line), fds, n_fds, end_us);
        g_mutex_unlock(&qmp->send_lock);
        if (error == -ECONNRESET) {
            error = 0; /* the reader comes to the end as well, and knows why: it may have been nonsense */
        }
    }

    g_mutex_lock(&qmp->lock);
    while (error == 0 && call->reply == NULL) {
        error = qmp->error;
        if (error == 0 && !g_cond_wait_until(&qmp->changed, &qmp->lock, end_us) && call->reply == NULL) {
            error = qmp->error != 0 ? qmp->error : -ETIMEDOUT;
        }
    }
    g_ptr_array_remove_fast(qmp->calls, call);
    g_mutex_unlock(&qmp->lock);
    return error;
}

/* The outcome of a command whose reply came. */
static int read_reply(struct json_object *reply, struct json_object **ret, char **ret_message)
{
    struct json_object *member;

    if (json_object_object_get_ex(reply, "return", &member)) {
        if (ret != NULL) {
            *ret = json_object_get(member);
        }
        return 0;
    }
    struct json_object *error, *text;
    const char *class = "", *description = "the command failed";
    if (json_object_object_get_ex(reply, "error", &error)) {
        if (json_object_object_get_ex(error, "class", &text) && json_object_is_type(text, json_type_string)) {
            class = json_object_get_string(text);
        }
        if (json_object_object_get_ex(error, "desc", &text) && json_object_is_type(text, json_type_string)) {
            description = json_object_get_string(text);
        }
    }
    if (ret_message != NULL) {
        *ret_message = g_utf8_make_valid(description, -1);
    }
    if (strcmp(class, "CommandNotFound") == 0) {
        return -ENOSYS;
    }
    return strcmp(class, "DeviceNotFound") == 0 ? -ENODEV : -EIO;
}

int qmp_execute(struct qmp *qmp, const char *command, struct json_object *arguments, const int *fds,
                size_t n_fds, int timeout_ms, struct json_object **ret, char **ret_message)
{
    struct qmp_call call = {0};

    if (n_fds > QMP_FDS_MAX) {
        json_object_put(arguments);
        return fail(-EINVAL, ret_message);
    }
    struct json_object *message = json_object_new_object();
    json_object_object_add(message, "execute", json_object_new_string(command));
    if (arguments != NULL) {
        json_object_object_add(message, "arguments", arguments);
    }
    if (n_fds > 0) {
        g_mutex_lock(&qmp->fd_lock);
    }
    int error = exchange(qmp, message, fds, n_fds, timeout_ms, &call);
    if (n_fds > 0) {
        g_mutex_unlock(&qmp->fd_lock);
    }
    json_object_put(message);
    if (error != 0) {
        json_object_put(call.reply);
        return fail(error, ret_message);
    }
    error = read_reply(call.reply, ret, ret_message);
    json_object_put(call.reply);
    return error;
}

int qmp_new(int fd, const struct qmp_handler *handler, int timeout_ms, struct qmp **ret, char **ret_message)
{
    struct qmp *qmp = g_new0(struct qmp, 1);
    int64_t end_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    int error = 0;

    qmp->fd = fd;
    qmp->handler = *handler;
    qmp->line = g_byte_array_new();
    qmp->calls = g_ptr_array_new();
    qmp->next_id = 1;
    g_mutex_init(&qmp->fd_lock);
    g_mutex_init(&qmp->send_lock);
    g_mutex_init(&qmp->lock);
    g_cond_init(&qmp->changed);
    qmp->reader = g_thread_new("qmp", reader_main, qmp);

    g_mutex_lock(&qmp->lock);
    while (error == 0 && !qmp->greeted) {
        error = qmp->error;
        if (error == 0 && !g_cond_wait_until(&qmp->changed, &qmp->lock, end_us) && !qmp->greeted) {
            error = qmp->error != 0 ? qmp->error : -ETIMEDOUT;
        }
    }
    g_mutex_unlock(&qmp->lock);
    if (error != 0) {
        fail(error, ret_message);
    } else {
        int64_t left_ms = (end_us - g_get_monotonic_time()) / 1000;
        error = qmp_execute(qmp, "qmp_capabilities", NULL, NULL, 0, (int)MAX(left_ms, 1), NULL, ret_message);
    }
    if (error != 0) {
        qmp_free(qmp);
        return error;
    }
    *ret = qmp;
    return 0;
}

void qmp_join(struct qmp *qmp)
{
    if (qmp->reader != NULL) {
        g_thread_join(qmp->reader);
        qmp->reader = NULL;
    }
}

void qmp_free(struct qmp *qmp)
{
    if (qmp == NULL) {
        return;
    }
    shutdown(qmp->fd, SHUT_RDWR);
    qmp_join(qmp);
    close(qmp->fd);
    g_byte_array_unref(qmp->line);
    g_ptr_array_unref(qmp->calls);
    g_mutex_clear(&qmp->fd_lock);
    g_mutex_clear(&qmp->send_lock);
    g_mutex_clear(&qmp->lock);
    g_cond_clear(&qmp->changed);
    g_free(qmp);
}
