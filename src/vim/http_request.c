// SPDX-License-Identifier: Apache-2.0
/*
 * From libmicrohttpd's callbacks to one checked, complete request. The order for each request: the URI is
 * copied and decoded (http_on_uri), the headers are checked, `begin` may choose a sink or refuse, the body
 * comes in pieces, the handler is called, the answer is queued (all http_on_request), and all is tidied
 * for the next request of the connection (http_on_completed).
 *
 * A request that is refused before its body is read is answered at once, which ends the connection, as
 * its bytes cannot be told from a next request. One that is refused within its body is read on, up to a
 * limit, and answered at the end: libmicrohttpd takes no answer in between.
 */
#include "vim/http_internal.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <sys/socket.h>

/* What the walk over the headers of a request finds. */
struct header_check {
    unsigned n_headers;
    unsigned n_hosts;
    unsigned n_lengths;
    unsigned n_encodings;
    bool bad;             /* a name or value that no client sends in good faith */
    const char *end;      /* of the line before, or of the one that was looked at last */
    const char *length;   /* value of Content-Length */
    const char *encoding; /* value of Transfer-Encoding */
};

/* --- The URI --------------------------------------------------------------------------------------- */

/* Appends the decoded text. False when an escape is bad or means NUL. */
static bool decode_percent(struct buffer *out, const char *text, size_t length, bool plus_is_space)
{
    char *to = buffer_reserve(out, length);
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            bool whole = length - i > 2;
            int high = whole ? g_ascii_xdigit_value(text[i + 1]) : -1;
            int low = whole ? g_ascii_xdigit_value(text[i + 2]) : -1;
            if (high < 0 || low < 0 || (high | low) == 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (plus_is_space && c == '+') {
            c = ' ';
        }
        to[n++] = c;
    }
    buffer_commit(out, n);
    return true;
}

/*
 * Takes "/path?query" or "http://authority/path?query" apart into request->uri. False when it is not
 * something to be served.
 */
static bool take_uri(struct http_request *request, const char *uri)
{
    if (g_ascii_strncasecmp(uri, "http://", 7) == 0 || g_ascii_strncasecmp(uri, "https://", 8) == 0) {
        /* The absolute form that proxies use. */
        uri = strchr(uri, ':') + 3;
        uri += strcspn(uri, "/?");
    }
    size_t path_length = strcspn(uri, "?");
    const char *query = uri[path_length] == '?' ? uri + path_length + 1 : "";

    buffer_truncate(&request->uri, 0);
    if (path_length == 0) {
        buffer_append_char(&request->uri, '/');
    }
    if ((path_length > 0 && uri[0] != '/' && strcmp(uri, "*") != 0) ||
        !decode_percent(&request->uri, uri, path_length, false) ||
        !g_utf8_validate(request->uri.data, (gssize)request->uri.length, NULL)) {
        buffer_truncate(&request->uri, 0);
        buffer_append(&request->uri, "/\0", 3); /* readable, though nobody should look */
        request->query_offset = 2;
        return false;
    }
    buffer_append_char(&request->uri, '\0');
    request->query_offset = request->uri.length;
    buffer_append(&request->uri, query, strlen(query) + 1);
    return true;
}

/* The request line is there. libmicrohttpd has not yet cut the URI up. */
void *http_on_uri(void *data, const char *uri, struct MHD_Connection *mhd)
{
    struct http_server *server = data;
    struct http_connection *connection =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct http_request *request = &connection->request;
    /* The time between requests is over; that for the headers of the first one is not prolonged. */
    int64_t deadline = http_now_ms() + server->options.header_timeout_ms;

    connection->deadline_ms = MIN(connection->deadline_ms, deadline);
    request->phase = HTTP_PHASE_NEW;
    request->raw_uri = uri;
    request->raw_uri_length = strlen(uri);
    request->refused = take_uri(request, uri) ? 0 : MHD_HTTP_BAD_REQUEST;
    return request;
}

/* --- The headers ----------------------------------------------------------------------------------- */

static bool is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isalnum(text[i]) && (text[i] == '\0' || strchr("!#$%&'*+-.^_`|~", text[i]) == NULL)) {
            return false;
        }
    }
    return length > 0;
}

static bool is_field_value(const char *text, size_t length)
{
    bool bad = false;
    for (size_t i = 0; i < length; i++) {
        bad |= ((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f;
    }
    return !bad;
}

/*
 * Between name and value there are what was the colon, now NUL, and blanks, unless libmicrohttpd has
 * joined a folded line: it does that wrongly (to the name), and RFC 9112 5.2 lets us refuse it.
 */
static bool is_one_line(const char *name, size_t name_length, const char *value)
{
    const char *p = name + name_length;
    if (value <= p || *p != '\0') {
        return false;
    }
    for (p++; p < value; p++) {
        if (*p != ' ' && *p != '\t') {
            return false;
        }
    }
    return true;
}

/*
 * Lines follow each other with nothing but a line end in between. What libmicrohttpd reads otherwise was cut
 * by a NUL, or is a line that begins with a colon, which it takes for the end of the headers.
 */
static bool follows(const char *line, const char *end)
{
    return line == end + 1 || line == end + 2;
}

/* Whether the headers end with the line that was looked at last, and an empty one. */
static bool ends_there(struct MHD_Connection *mhd, const char *method, const char *end)
{
    size_t size = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    return method + size >= end + 2 && method + size <= end + 4;
}

static enum MHD_Result check_header(void *data, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                    const char *value, size_t value_length)
{
    struct header_check *check = data;

    (void)kind;
    check->n_headers++;
    check->bad |= !is_token(name, name_length) || !is_field_value(value, value_length) ||
                  !is_one_line(name, name_length, value) || !follows(name, check->end);
    check->end = value + value_length;
    if (name_length == strlen("Host") && g_ascii_strcasecmp(name, "Host") == 0) {
        check->n_hosts++;
    } else if (name_length == strlen("Content-Length") && g_ascii_strcasecmp(name, "Content-Length") == 0) {
        check->n_lengths++;
        check->length = value;
    } else if (name_length == strlen("Transfer-Encoding") &&
               g_ascii_strcasecmp(name, "Transfer-Encoding") == 0) {
        check->n_encodings++;
        check->encoding = value;
    }
    return MHD_YES;
}

/*
 * What could make a proxy before us and libmicrohttpd disagree about where the request ends (RFC 9112 6.3).
 * Returns the status to refuse with, or 0, and the length of the body.
 */
static unsigned check_framing(const struct header_check *check, const char *version, uint64_t *ret_length)
{
    guint64 length = 0;

    if (check->bad || check->n_hosts > 1 || check->n_lengths + check->n_encodings > 1) {
        return MHD_HTTP_BAD_REQUEST;
    }
    if (check->n_headers > HTTP_MAX_HEADERS) {
        return MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    }
    if (check->encoding != NULL) {
        if (strcmp(version, MHD_HTTP_VERSION_1_1) != 0) {
            return MHD_HTTP_BAD_REQUEST;
        }
        *ret_length = UINT64_MAX;
        return g_ascii_strcasecmp(check->encoding, "chunked") == 0 ? 0 : MHD_HTTP_NOT_IMPLEMENTED;
    }
    if (check->length != NULL &&
        !g_ascii_string_to_unsigned(check->length, 10, 0, INT64_MAX, &length, NULL)) {
        return MHD_HTTP_BAD_REQUEST;
    }
    *ret_length = length;
    return 0;
}

static bool has_body(const struct http_request *request)
{
    return request->content_length != 0;
}

static void refuse(struct http_request *request, unsigned status)
{
    if (request->refused == 0) {
        request->refused = status;
    }
}

/* Answers for the server itself. */
static enum MHD_Result answer_refused(struct http_request *request)
{
    const char *reason = MHD_get_reason_phrase_for(request->refused);
    struct buffer body = BUFFER_INIT;
    const struct http_header close[] = {{"Connection", "close"}, {NULL, NULL}};

    buffer_printf(&body, "%s\n", reason);
    http_respond(request, request->refused, "text/plain", body, request->end_connection ? close : NULL);
    return http_queue_response(request);
}

static void call_begin(struct http_request *request)
{
    struct http_server *server = request->connection->server;

    atomic_fetch_add(&server->n_in_handler, 1);
    if (atomic_load(&server->stopping)) {
        refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE);
    } else if (server->options.begin != NULL) {
        server->options.begin(server->options.data, request);
    }
    atomic_fetch_sub(&server->n_in_handler, 1);
}

static enum MHD_Result headers_complete(struct http_request *request, struct MHD_Connection *mhd,
                                        const char *method, const char *version)
{
    struct http_server *server = request->connection->server;
    struct header_check check = {.end = version + strlen(version)};

    request->phase = HTTP_PHASE_BODY;
    request->method = method;
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, check_header, &check);
    /* One blank is between method and URI, and one between that, unless a NUL cut it short, and version. */
    check.bad |= request->raw_uri != method + strlen(method) + 1 ||
                 version != request->raw_uri + request->raw_uri_length + 1 ||
                 !ends_there(mhd, method, check.end);
    unsigned status = check_framing(&check, version, &request->content_length);
    if (status != 0) {
        request->refused = status;
        request->end_connection = true;
        return answer_refused(request);
    }
    if (request->refused == 0) {
        call_begin(request);
    }
    if (!request->has_sink && request->response == NULL && request->content_length != UINT64_MAX &&
        request->content_length > server->options.max_body_bytes) {
        refuse(request, MHD_HTTP_CONTENT_TOO_LARGE);
    }
    if (!has_body(request)) {
        return MHD_YES; /* called again at once, and may keep the connection then */
    }
    if (request->response != NULL) {
        return http_queue_response(request);
    }
    if (request->refused != 0) {
        request->end_connection = true;
        return answer_refused(request);
    }
    request->body_start_ms = http_now_ms();
    request->connection->deadline_ms = request->body_start_ms + server->options.body_timeout_ms;
    return MHD_YES;
}

/* --- The body -------------------------------------------------------------------------------------- */

/*
 * Suspends until the sink calls http_request_sink_ready(). False when it has done so already: then the
 * sink is to be asked again now, as nobody would.
 */
static bool stall(struct http_request *request)
{
    struct http_server *server = request->connection->server;
    bool suspended = false;

    request->connection->deadline_ms = 0;
    request->stalled_since_ms = http_now_ms();
    g_mutex_lock(&request->stall_lock);
    if (!request->sink_ready) {
        http_count_suspended(server);
        request->stalled = suspended = true;
        MHD_suspend_connection(request->connection->mhd);
    }
    request->sink_ready = false;
    g_mutex_unlock(&request->stall_lock);
    return suspended;
}

void http_request_sink_ready(struct http_request *request)
{
    struct http_server *server = request->connection->server;

    g_mutex_lock(&request->stall_lock);
    bool resume = request->stalled;
    request->stalled = false;
    request->sink_ready = !resume;
    if (resume) {
        MHD_resume_connection(request->connection->mhd);
    }
    g_mutex_unlock(&request->stall_lock);
    if (resume) {
        http_uncount_suspended(server);
    }
}

static void free_sink(struct http_request *request)
{
    if (request->has_sink) {
        request->has_sink = false;
        request->sink.free(request->sink.data);
    }
}

static void fail_sink(struct http_request *request, int error)
{
    refuse(request, error == -EFBIG                        ? MHD_HTTP_CONTENT_TOO_LARGE
                    : error == -ENOSPC || error == -EDQUOT ? MHD_HTTP_INSUFFICIENT_STORAGE
                                                           : MHD_HTTP_INTERNAL_SERVER_ERROR);
    free_sink(request);
}

/* Gives the bytes to the sink; those not taken are counted in *length and come again. */
static void write_to_sink(struct http_request *request, const char *bytes, size_t *length)
{
    do {
        ssize_t n = request->sink.write(request->sink.data, bytes, *length);
        if (n < 0) {
            fail_sink(request, (int)n);
            *length = 0;
            return;
        }
        bytes += n;
        *length -= (size_t)n;
    } while (*length > 0 && !stall(request));
}

static void drop_body(struct http_request *request)
{
    atomic_fetch_sub(&request->connection->server->buffered_bytes, request->counted_bytes);
    request->counted_bytes = 0;
    buffer_free(&request->body);
}

static void append_to_body(struct http_request *request, const char *bytes, size_t length)
{
    struct http_server *server = request->connection->server;

    if (length > server->options.max_body_bytes - request->body.length) {
        refuse(request, MHD_HTTP_CONTENT_TOO_LARGE);
        drop_body(request);
        return;
    }
    if (request->body.length == 0 && request->content_length != UINT64_MAX) {
        /* What is announced is believed only so far: announcing costs the client nothing. */
        buffer_reserve(&request->body, MIN(request->content_length, 1024 * 1024));
    }
    buffer_append(&request->body, bytes, length);
    if (request->body.capacity > MAX(HTTP_SMALL_BODY, request->counted_bytes)) {
        size_t more = request->body.capacity - request->counted_bytes;
        request->counted_bytes += more;
        if (atomic_fetch_add(&server->buffered_bytes, more) + more > server->options.max_buffered_bytes) {
            refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE);
            drop_body(request);
        }
    }
}

/*
 * Says why, past libmicrohttpd, which takes no answer within a body; then the connection is closed. Best
 * effort: the socket is writable, as nothing but perhaps a "100 Continue" was sent on it since the last
 * answer was taken.
 */
static void send_refusal(struct http_request *request, struct MHD_Connection *mhd)
{
    g_autofree char *answer =
        g_strdup_printf("HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", request->refused,
                        MHD_get_reason_phrase_for(request->refused));
    const union MHD_ConnectionInfo *info =
        request->connection->server->is_tls ? MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)
                                            : NULL;
    ssize_t n = info != NULL ? gnutls_record_send(info->tls_session, answer, strlen(answer))
                             : send(request->connection->fd, answer, strlen(answer), MSG_NOSIGNAL);
    (void)n;
}

static enum MHD_Result drain(struct http_request *request, struct MHD_Connection *mhd, size_t length)
{
    request->drained_bytes += length;
    bool too_long = request->content_length != UINT64_MAX &&
                    request->content_length - request->received_bytes > HTTP_DRAIN_BYTES;
    if (too_long || request->drained_bytes > HTTP_DRAIN_BYTES) {
        send_refusal(request, mhd);
        return MHD_NO;
    }
    return MHD_YES;
}

static enum MHD_Result body_bytes(struct http_request *request, struct MHD_Connection *mhd, const char *bytes,
                                  size_t *length)
{
    struct http_server *server = request->connection->server;
    size_t given = *length;

    if (request->stalled_since_ms != 0) {
        request->body_start_ms += http_now_ms() - request->stalled_since_ms;
        request->stalled_since_ms = 0;
    }
    if (request->refused == 0 && request->has_sink) {
        atomic_fetch_add(&server->n_in_handler, 1);
        bool stopping = atomic_load(&server->stopping);
        if (!stopping) {
            write_to_sink(request, bytes, length);
        }
        atomic_fetch_sub(&server->n_in_handler, 1);
        if (stopping) {
            return MHD_NO;
        }
    } else {
        if (request->refused == 0) {
            append_to_body(request, bytes, given);
        }
        *length = 0;
    }
    request->received_bytes += given - *length;
    if (request->stalled_since_ms == 0) {
        request->connection->deadline_ms =
            request->body_start_ms + server->options.body_timeout_ms +
            (int64_t)(request->received_bytes * 1000 / server->options.min_rate);
    }
    return request->refused != 0 ? drain(request, mhd, given) : MHD_YES;
}

/* --- Complete -------------------------------------------------------------------------------------- */

/* False when the connection is suspended until the sink is ready. */
static bool finish_sink(struct http_request *request)
{
    int r;
    do {
        r = request->sink.finish(request->sink.data);
    } while (r == -EAGAIN && !stall(request));
    if (r == -EAGAIN) {
        return false;
    }
    if (r < 0) {
        fail_sink(request, r);
    }
    return true;
}

/* Calls the user's functions for a request whose bytes have all come. False: it waits for the sink. */
static bool handle(struct http_request *request)
{
    struct http_server *server = request->connection->server;

    if (request->has_sink && !finish_sink(request)) {
        return false;
    }
    request->phase = HTTP_PHASE_HANDLED;
    if (request->refused == 0) {
        server->options.handler(server->options.data, request);
    }
    return true;
}

static enum MHD_Result request_complete(struct http_request *request)
{
    struct http_server *server = request->connection->server;

    request->connection->deadline_ms = 0;
    if (request->response == NULL && request->refused == 0) {
        atomic_fetch_add(&server->n_in_handler, 1);
        bool waits = false;
        if (atomic_load(&server->stopping)) {
            refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE);
        } else {
            waits = !handle(request) || request->detached;
        }
        atomic_fetch_sub(&server->n_in_handler, 1);
        if (waits) {
            return MHD_YES; /* suspended; called again when it is resumed */
        }
        if (request->response == NULL) {
            refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR); /* a handler that did nothing */
        }
    }
    request->phase = HTTP_PHASE_HANDLED;
    return request->response != NULL ? http_queue_response(request) : answer_refused(request);
}

enum MHD_Result http_on_request(void *data, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_length,
                                void **context)
{
    struct http_request *request = *context;

    (void)data;
    (void)url;
    switch (request->phase) {
    case HTTP_PHASE_NEW:
        return headers_complete(request, mhd, method, version);
    case HTTP_PHASE_BODY:
        return *upload_length > 0 ? body_bytes(request, mhd, upload, upload_length)
                                  : request_complete(request);
    case HTTP_PHASE_HANDLED:
        return http_queue_response(request); /* it was detached, and has been answered */
    }
    return MHD_NO;
}

void http_on_completed(void *data, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code)
{
    struct http_server *server = data;
    struct http_request *request = *context;

    (void)mhd;
    (void)code;
    if (request == NULL) {
        return;
    }
    struct http_connection *connection = request->connection;
    struct buffer uri = request->uri, body = request->body;
    free_sink(request);
    if (request->response != NULL) {
        MHD_destroy_response(request->response);
    }
    if (request->upgrade != NULL) {
        http_stream_discard(request->upgrade);
    }
    if (body.capacity > HTTP_SMALL_BODY) {
        drop_body(request);
        body = request->body;
    }
    g_mutex_clear(&request->stall_lock);

    http_request_init(request, connection);
    request->uri = uri;
    request->body = body;
    buffer_truncate(&request->body, 0);
    connection->deadline_ms =
        http_now_ms() + server->options.idle_timeout_ms + server->options.header_timeout_ms;
    *context = NULL;
}

void http_request_init(struct http_request *request, struct http_connection *connection)
{
    memset(request, 0, sizeof(*request));
    request->connection = connection;
    g_mutex_init(&request->stall_lock);
}

void http_request_clear(struct http_request *request)
{
    drop_body(request);
    buffer_free(&request->uri);
    g_mutex_clear(&request->stall_lock);
}

/* --- Reading a request ----------------------------------------------------------------------------- */

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->uri.data;
}

const char *http_request_query(const struct http_request *request)
{
    return request->uri.data + request->query_offset;
}

char *http_request_query_value(const struct http_request *request, const char *name)
{
    const char *part = http_request_query(request);

    for (; *part != '\0'; part += strspn(part, "&")) {
        size_t length = strcspn(part, "&");
        size_t name_length = MIN(strcspn(part, "="), length);
        BUFFER_AUTO(decoded);
        if (decode_percent(&decoded, part, name_length, true) && strcmp(buffer_string(&decoded), name) == 0) {
            size_t at = MIN(name_length + 1, length);
            buffer_truncate(&decoded, 0);
            bool good = decode_percent(&decoded, part + at, length - at, true) &&
                        g_utf8_validate(buffer_string(&decoded), (gssize)decoded.length, NULL);
            return good ? buffer_take(&decoded, NULL) : NULL;
        }
        part += length;
    }
    return NULL;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

const char *http_request_cookie(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection->mhd, MHD_COOKIE_KIND, name);
}

const char *http_request_peer(const struct http_request *request)
{
    return request->connection->peer;
}

uint16_t http_request_peer_port(const struct http_request *request)
{
    return request->connection->peer_port;
}

bool http_request_is_tls(const struct http_request *request)
{
    return request->connection->server->is_tls;
}

int64_t http_request_content_length(const struct http_request *request)
{
    return request->content_length == UINT64_MAX ? -1 : (int64_t)request->content_length;
}

const char *http_request_body(const struct http_request *request, size_t *ret_length)
{
    *ret_length = request->body.length;
    return request->body.data != NULL ? request->body.data : "";
}

void http_request_set_sink(struct http_request *request, const struct http_sink *sink)
{
    g_return_if_fail(!request->has_sink);
    request->has_sink = true;
    request->sink = *sink;
    request->sink_data = sink->data;
}

void *http_request_sink_data(const struct http_request *request)
{
    return request->sink_data;
}
