// SPDX-License-Identifier: Apache-2.0
/*
 * Answers. The answerer, on whatever thread, makes libmicrohttpd's response object and leaves it in the
 * request; the server thread queues it, at once or when the resumed connection comes by. So nothing of
 * libmicrohttpd's connection is touched by two threads.
 *
 * Also here: ranges of files (RFC 9110 14), and connections that are switched to another protocol.
 */
#include "vim/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- Common to all answers ------------------------------------------------------------------------- */

void http_request_detach(struct http_request *request)
{
    g_return_if_fail(request->phase == HTTP_PHASE_HANDLED && !request->detached && request->response == NULL);
    http_count_suspended(request->connection->server);
    request->detached = true;
    MHD_suspend_connection(request->connection->mhd);
}

/* Takes the response (never NULL). When detached, the request is the server thread's after this. */
static void answer(struct http_request *request, unsigned status, struct MHD_Response *response,
                   uint64_t length)
{
    struct http_server *server = request->connection->server;

    if (request->response != NULL) {
        g_critical("an HTTP request was answered twice");
        MHD_destroy_response(response);
        return;
    }
    request->status = status;
    request->response = response;
    request->response_bytes = length;
    if (request->detached) {
        http_unwatch(request);
        MHD_resume_connection(request->connection->mhd);
        http_uncount_suspended(server);
    }
}

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_headers(struct MHD_Response *response, const char *content_type,
                        const struct http_header *headers)
{
    bool good = content_type == NULL || add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (; headers != NULL && headers->name != NULL; headers++) {
        good &= add_header(response, headers->name, headers->value);
    }
    return good;
}

static void answer_500(struct http_request *request)
{
    answer(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
           MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), 0);
}

void http_respond(struct http_request *request, unsigned status, const char *content_type, struct buffer body,
                  const struct http_header *headers)
{
    struct MHD_Response *response;
    uint64_t length = body.length;

    if (length > 0) {
        response = MHD_create_response_from_buffer_with_free_callback(body.length, body.data, g_free);
    } else {
        buffer_free(&body);
        response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    }
    if (status < 200 || status > 599 || !add_headers(response, content_type, headers)) {
        MHD_destroy_response(response);
        answer_500(request);
        return;
    }
    answer(request, status, response, length);
}

void http_respond_text(struct http_request *request, unsigned status, const char *text)
{
    struct buffer body = BUFFER_INIT;
    buffer_append_string(&body, text);
    http_respond(request, status, "text/plain; charset=utf-8", body, NULL);
}

/* On the server thread, with an answer there: gives it to libmicrohttpd. */
enum MHD_Result http_queue_response(struct http_request *request)
{
    struct http_connection *connection = request->connection;
    const struct http_server_options *options = &connection->server->options;
    struct MHD_Response *response = g_steal_pointer(&request->response);

    request->phase = HTTP_PHASE_HANDLED;
    connection->deadline_ms = http_now_ms() + options->send_timeout_ms +
                              (int64_t)(request->response_bytes * 1000 / options->min_rate);
    enum MHD_Result r = MHD_queue_response(connection->mhd, request->status, response);
    MHD_destroy_response(response);
    if (r != MHD_YES && request->upgrade != NULL) {
        /* This client cannot switch. */
        http_stream_discard(g_steal_pointer(&request->upgrade));
        response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
        r = MHD_queue_response(connection->mhd, MHD_HTTP_BAD_REQUEST, response);
        MHD_destroy_response(response);
    }
    return r;
}

/* --- Ranges of files ------------------------------------------------------------------------------- */

/* Reads digits. False when there are none or too many. */
static bool read_number(const char **text, uint64_t *ret)
{
    const char *p = *text;
    uint64_t value = 0;

    for (; g_ascii_isdigit(*p); p++) {
        if (value > (INT64_MAX - 9) / 10) {
            return false;
        }
        value = value * 10 + (uint64_t)(*p - '0');
    }
    if (p == *text) {
        return false;
    }
    *text = p;
    *ret = value;
    return true;
}

enum range {
    RANGE_WHOLE = 1, /* none was asked for, or none that we serve */
    RANGE_PART,
    RANGE_OUTSIDE, /* none of it is in the file */
};

/* Understands "bytes=FIRST-LAST", "bytes=FIRST-" and "bytes=-COUNT". */
static enum range parse_range(const char *text, uint64_t size, uint64_t *ret_first, uint64_t *ret_length)
{
    uint64_t first, last = UINT64_MAX;

    if (text == NULL || g_ascii_strncasecmp(text, "bytes=", 6) != 0) {
        return RANGE_WHOLE;
    }
    text += 6;
    if (*text == '-') {
        uint64_t count;
        text++;
        if (!read_number(&text, &count) || *text != '\0') {
            return RANGE_WHOLE;
        }
        if (count == 0 || size == 0) {
            return RANGE_OUTSIDE;
        }
        *ret_length = MIN(count, size);
        *ret_first = size - *ret_length;
        return RANGE_PART;
    }
    if (!read_number(&text, &first) || *text++ != '-' || (*text != '\0' && !read_number(&text, &last)) ||
        *text != '\0' || last < first) {
        return RANGE_WHOLE;
    }
    if (first >= size) {
        return RANGE_OUTSIDE;
    }
    *ret_first = first;
    *ret_length = MIN(last, size - 1) - first + 1;
    return RANGE_PART;
}

/* A range counts only for GET, and only for the file that the client has the other part of. */
static const char *wanted_range(const struct http_request *request, const struct http_file *file)
{
    const char *if_range = http_request_header(request, MHD_HTTP_HEADER_IF_RANGE);

    if (strcmp(request->method, MHD_HTTP_METHOD_GET) != 0 ||
        (if_range != NULL &&
         (file->etag == NULL || g_str_has_prefix(if_range, "W/") || strcmp(if_range, file->etag) != 0))) {
        return NULL;
    }
    return http_request_header(request, MHD_HTTP_HEADER_RANGE);
}

static void answer_outside(struct http_request *request, const struct http_file *file)
{
    g_autofree char *range = g_strdup_printf("bytes */%" G_GUINT64_FORMAT, file->size);
    const struct http_header headers[] = {{MHD_HTTP_HEADER_CONTENT_RANGE, range}, {NULL, NULL}};
    struct buffer body = BUFFER_INIT;

    close(file->fd);
    http_respond(request, MHD_HTTP_RANGE_NOT_SATISFIABLE, NULL, body, headers);
}

void http_respond_file(struct http_request *request, const struct http_file *file)
{
    uint64_t first = 0, length = file->size;
    enum range range = parse_range(wanted_range(request, file), file->size, &first, &length);
    struct MHD_Response *response;

    if (range == RANGE_OUTSIDE) {
        answer_outside(request, file);
        return;
    }
    if (length > 0) {
        response = MHD_create_response_from_fd_at_offset64(length, file->fd, file->offset + first);
    } else {
        response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
    }
    if (length == 0 || response == NULL) {
        close(file->fd);
    }
    g_autofree char *content_range =
        g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, first,
                        first + length - 1, file->size);
    if (response == NULL ||
        !add_headers(response, file->content_type ?: "application/octet-stream", file->headers) ||
        !add_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes") ||
        (file->etag != NULL && !add_header(response, MHD_HTTP_HEADER_ETAG, file->etag)) ||
        (range == RANGE_PART && !add_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, content_range))) {
        g_clear_pointer(&response, MHD_destroy_response);
        answer_500(request);
        return;
    }
    answer(request, range == RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response, length);
}

/* --- Other protocols ------------------------------------------------------------------------------- */

static void free_stream(struct http_stream *stream)
{
    buffer_free(&stream->extra);
    g_free(stream);
}

/* The switch did not happen: the function is told so. */
void http_stream_discard(struct http_stream *stream)
{
    stream->fn(stream->data, NULL);
    free_stream(stream);
}

static gpointer stream_thread(gpointer data)
{
    struct http_stream *stream = data;
    struct http_server *server = stream->server;

    stream->fn(stream->data, stream);

    g_mutex_lock(&server->lock);
    g_queue_unlink(&server->streams, &stream->link); /* the server no longer shuts the fd down */
    g_mutex_unlock(&server->lock);
    shutdown(stream->fd, SHUT_WR);
    MHD_upgrade_action(stream->handle, MHD_UPGRADE_ACTION_CLOSE);
    free_stream(stream);

    g_mutex_lock(&server->lock);
    server->n_streams--;
    server->ended_threads = g_slist_prepend(server->ended_threads, g_thread_self());
    g_cond_broadcast(&server->changed);
    g_mutex_unlock(&server->lock);
    return NULL;
}

/* Starts the thread, unless the server stops. */
static bool start_stream(struct http_server *server, struct http_stream *stream)
{
    g_mutex_lock(&server->lock);
    GSList *ended = g_steal_pointer(&server->ended_threads);
    bool started = !atomic_load(&server->stopping);
    if (started) {
        g_queue_push_tail_link(&server->streams, &stream->link);
        server->n_streams++;
        started = g_thread_try_new("http-stream", stream_thread, stream, NULL) != NULL;
        if (!started) {
            server->n_streams--;
            g_queue_unlink(&server->streams, &stream->link);
        }
    }
    g_mutex_unlock(&server->lock);
    for (GSList *link = ended; link != NULL; link = link->next) {
        g_thread_join(link->data);
    }
    g_slist_free(ended);
    return started;
}

/* libmicrohttpd's: the 101 was sent. The last that happens with the request until the stream ends. */
static void on_switched(void *data, struct MHD_Connection *mhd, void *context, const char *extra,
                        size_t extra_length, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct http_request *request = data;
    struct http_server *server = request->connection->server;
    struct http_stream *stream = g_steal_pointer(&request->upgrade);

    (void)mhd;
    (void)context;
    request->connection->deadline_ms = 0;
    stream->server = server;
    stream->link.data = stream;
    stream->handle = handle;
    stream->fd = fd;
    buffer_append(&stream->extra, extra, extra_length);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (!start_stream(server, stream)) {
        http_stream_discard(stream);
        MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    }
}

void http_upgrade(struct http_request *request, const char *protocol, const struct http_header *headers,
                  http_stream_fn fn, void *data)
{
    struct http_stream *stream = g_new0(struct http_stream, 1);
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_switched, request);

    stream->fn = fn;
    stream->data = data;
    if (!add_header(response, MHD_HTTP_HEADER_UPGRADE, protocol) || !add_headers(response, NULL, headers)) {
        MHD_destroy_response(response);
        http_stream_discard(stream);
        answer_500(request);
        return;
    }
    request->upgrade = stream;
    answer(request, MHD_HTTP_SWITCHING_PROTOCOLS, response, 0);
}

int http_stream_fd(const struct http_stream *stream)
{
    return stream->fd;
}

bool http_stream_has_pending(const struct http_stream *stream)
{
    return stream->extra_used < stream->extra.length;
}

ssize_t http_stream_read(struct http_stream *stream, void *buffer, size_t length)
{
    if (http_stream_has_pending(stream)) {
        size_t n = MIN(length, stream->extra.length - stream->extra_used);
        memcpy(buffer, stream->extra.data + stream->extra_used, n);
        stream->extra_used += n;
        return (ssize_t)n;
    }
    ssize_t n;
    do {
        n = recv(stream->fd, buffer, length, 0);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t http_stream_write(struct http_stream *stream, const void *data, size_t length)
{
    ssize_t n;
    do {
        n = send(stream->fd, data, length, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
