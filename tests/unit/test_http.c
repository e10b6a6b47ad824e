// SPDX-License-Identifier: Apache-2.0
/*
 * The HTTP server, by clients on 127.0.0.1 that speak raw bytes: what reaches the handler, what is
 * refused, slow clients, detached requests and their races, ranges, sinks, switching, stopping.
 */
#include "vim/http.h"

#include "base/worker_pool.h"
#include "http_client.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

struct slow_sink {
    struct fixture *f;
    struct http_request *request;
};

struct fixture {
    struct http_server *server;
    struct worker_pool *pool;
    uint16_t port;
    char *dir;
    gint handled; /* calls of the handler */

    GMutex lock; /* guards all below */
    GCond changed;
    GPtrArray *parked; /* of http_request */
    unsigned closed;   /* calls of closed-functions */
    bool answer_when_closed;
    GString *sunk;     /* what the slow sink took */
    bool sink_blocked; /* it takes nothing */
    bool sink_waits;
    int sink_error;
    unsigned sinks_freed;
    struct slow_sink slow;
    bool upload_closed;
    int upload_error;
    unsigned streams_refused;
};

/* --- The server's side ----------------------------------------------------------------------------- */

static void echo(struct http_request *request)
{
    BUFFER_AUTO(out);
    size_t length;
    const char *body = http_request_body(request, &length);
    g_autofree char *q = http_request_query_value(request, "q");

    buffer_printf(
        &out, "%s %s ?%s q=%s x=%s c=%s peer=%s tls=%d length=%d body=", http_request_method(request),
        http_request_path(request), http_request_query(request), q ?: "-",
        http_request_header(request, "x-TEST") ?: "-", http_request_cookie(request, "session") ?: "-",
        http_request_peer(request), http_request_is_tls(request), (int)http_request_content_length(request));
    buffer_append(&out, body, length);
    const struct http_header headers[] = {{"X-Answer", "yes"}, {NULL, NULL}};
    struct buffer given = out;
    out = (struct buffer)BUFFER_INIT;
    http_respond(request, 200, "text/plain", given, headers);
}

static void on_closed(void *data)
{
    struct fixture *f = data;
    GPtrArray *answer = NULL;

    g_mutex_lock(&f->lock);
    f->closed++;
    if (f->answer_when_closed) {
        answer = f->parked;
        f->parked = g_ptr_array_new();
    }
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
    for (guint i = 0; answer != NULL && i < answer->len; i++) {
        http_respond_text(g_ptr_array_index(answer, i), 503, "closed");
    }
    if (answer != NULL) {
        g_ptr_array_unref(answer);
    }
}

static gpointer answer_at_once(gpointer data)
{
    http_respond_text(data, 200, "from a thread");
    return NULL;
}

static void answer_job(void *data)
{
    answer_at_once(data);
}

static void park(struct fixture *f, struct http_request *request, bool watch)
{
    http_request_detach(request);
    if (watch) {
        http_request_on_closed(request, on_closed, f);
    }
    g_mutex_lock(&f->lock);
    g_ptr_array_add(f->parked, request);
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void respond_file(struct fixture *f, struct http_request *request)
{
    g_autofree char *path = g_build_filename(f->dir, "file", NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    /* The body is what comes after the first ten bytes. */
    http_respond_file(
        request,
        &(struct http_file){.fd = fd, .offset = 10, .size = (uint64_t)st.st_size - 10, .etag = "\"e1\""});
}

static void echo_stream(void *data, struct http_stream *stream)
{
    struct fixture *f = data;
    char buffer[1000];

    if (stream == NULL) {
        g_mutex_lock(&f->lock);
        f->streams_refused++;
        g_cond_broadcast(&f->changed);
        g_mutex_unlock(&f->lock);
        return;
    }
    for (;;) {
        struct pollfd pollfd = {.fd = http_stream_fd(stream), .events = POLLIN};
        poll(&pollfd, 1, http_stream_has_pending(stream) ? 0 : 20000);
        ssize_t n = http_stream_read(stream, buffer, sizeof(buffer));
        if (n == -EAGAIN) {
            continue;
        }
        if (n <= 0 || memchr(buffer, '.', (size_t)n) != NULL) {
            return;
        }
        g_assert_cmpint(http_stream_write(stream, buffer, (size_t)n), ==, n);
    }
}

static void handler(void *data, struct http_request *request)
{
    struct fixture *f = data;
    const char *path = http_request_path(request);

    g_atomic_int_inc(&f->handled);
    if (strcmp(path, "/park") == 0) {
        park(f, request, true);
    } else if (strcmp(path, "/park-unwatched") == 0) {
        park(f, request, false);
    } else if (strcmp(path, "/race") == 0) {
        http_request_detach(request);
        http_request_on_closed(request, on_closed, f);
        g_assert_cmpint(worker_pool_push(f->pool, answer_job, request), ==, 0);
    } else if (strcmp(path, "/self") == 0) {
        http_request_detach(request);
        http_respond_text(request, 200, "detached and answered");
    } else if (strcmp(path, "/nothing") == 0) {
        return;
    } else if (strcmp(path, "/bad-header") == 0) {
        http_respond(request, 200, "text/plain\r\nX: y", (struct buffer)BUFFER_INIT, NULL);
    } else if (strcmp(path, "/file") == 0) {
        respond_file(f, request);
    } else if (strcmp(path, "/large") == 0) {
        struct buffer body = BUFFER_INIT;
        memset(buffer_reserve(&body, 64 << 20), 'x', 64 << 20);
        buffer_commit(&body, 64 << 20);
        http_respond(request, 200, "text/plain", body, NULL);
    } else if (strcmp(path, "/switch") == 0) {
        http_upgrade(request, "echo", NULL, echo_stream, f);
    } else {
        echo(request);
    }
}

static ssize_t slow_write(void *data, const char *bytes, size_t length)
{
    struct slow_sink *sink = data;
    struct fixture *f = sink->f;
    ssize_t r;

    g_mutex_lock(&f->lock);
    if (f->sink_error != 0) {
        r = f->sink_error;
    } else if (f->sink_blocked) {
        f->sink_waits = true;
        r = 0;
    } else {
        r = (ssize_t)MIN(length, 1000);
        g_string_append_len(f->sunk, bytes, r);
        if ((size_t)r < length) {
            http_request_sink_ready(sink->request); /* at once: before the server has suspended */
        }
    }
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
    return r;
}

static int slow_finish(void *data)
{
    struct slow_sink *sink = data;
    g_mutex_lock(&sink->f->lock);
    int r = sink->f->sink_error;
    g_mutex_unlock(&sink->f->lock);
    return r;
}

static void slow_free(void *data)
{
    struct slow_sink *sink = data;
    g_mutex_lock(&sink->f->lock);
    sink->f->sinks_freed++;
    g_cond_broadcast(&sink->f->changed);
    g_mutex_unlock(&sink->f->lock);
}

static void upload_closed(void *data, int error)
{
    struct fixture *f = data;
    g_mutex_lock(&f->lock);
    f->upload_closed = true;
    f->upload_error = error;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void begin(void *data, struct http_request *request)
{
    struct fixture *f = data;
    const char *path = http_request_path(request);

    if (strcmp(path, "/refused") == 0) {
        http_respond_text(request, 403, "no");
    } else if (strcmp(path, "/sink") == 0) {
        f->slow = (struct slow_sink){f, request};
        http_request_set_sink(request, &(struct http_sink){slow_write, slow_finish, slow_free, &f->slow});
    } else if (strcmp(path, "/upload") == 0) {
        g_autofree char *file = g_build_filename(f->dir, "upload", NULL);
        int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        http_request_set_file_sink(request, &(struct http_file_sink){.fd = fd,
                                                                     .offset = 5,
                                                                     .max_bytes = 5 << 20,
                                                                     .pool = f->pool,
                                                                     .closed = upload_closed,
                                                                     .data = f});
    }
}

static void start(struct fixture *f, const struct http_server_options *more)
{
    const char *const listen[] = {"127.0.0.1:0", NULL};
    struct http_server_options options = more != NULL ? *more : (struct http_server_options){0};
    g_autofree char *message = NULL;

    options.listen = listen;
    options.threads = options.threads ?: 2;
    options.begin = begin;
    options.handler = handler;
    options.data = f;
    g_assert_cmpint(http_server_new(&options, &f->server, &message), ==, 0);
    f->port = http_server_port(f->server, 0);
    g_assert_cmpint(f->port, !=, 0);
}

static void setup(struct fixture *f, gconstpointer data)
{
    g_mutex_init(&f->lock);
    g_cond_init(&f->changed);
    f->parked = g_ptr_array_new();
    f->sunk = g_string_new(NULL);
    f->dir = g_dir_make_tmp("test-http-XXXXXX", NULL);
    f->pool =
        worker_pool_new(&(struct worker_pool_options){.name = "test", .max_threads = 4, .max_queued = 10000});
    start(f, data);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    http_server_free(f->server);
    worker_pool_free(f->pool);
    g_autofree char *command = g_strdup_printf("rm -r '%s'", f->dir);
    g_assert_cmpint(system(command), ==, 0);
    g_free(f->dir);
    g_string_free(f->sunk, TRUE);
    g_ptr_array_unref(f->parked);
    g_cond_clear(&f->changed);
    g_mutex_clear(&f->lock);
}

#define WAIT_FOR(f, condition)                                                  \
    do {                                                                        \
        g_mutex_lock(&(f)->lock);                                               \
        gint64 until = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;        \
        while (!(condition)) {                                                  \
            g_assert_true(g_cond_wait_until(&(f)->changed, &(f)->lock, until)); \
        }                                                                       \
        g_mutex_unlock(&(f)->lock);                                             \
    } while (0)

static void answer_parked(struct fixture *f, const char *text)
{
    g_mutex_lock(&f->lock);
    GPtrArray *parked = f->parked;
    f->parked = g_ptr_array_new();
    g_mutex_unlock(&f->lock);
    for (guint i = 0; i < parked->len; i++) {
        http_respond_text(g_ptr_array_index(parked, i), 200, text);
    }
    g_ptr_array_unref(parked);
}

static void expect_body(int fd, int status, const char *body)
{
    g_autofree char *got = client_expect(fd, status);
    g_assert_cmpstr(got, ==, body);
}

/* --- Requests -------------------------------------------------------------------------------------- */

static void test_request(struct fixture *f, gconstpointer data)
{
    (void)data;
    int fd = client_connect(f->port);
    client_send_text(fd, "POST /a%20b/%C3%A9+c?p=1&q=x%26+y&z HTTP/1.1\r\nHost: h\r\nX-Test:  one \r\n"
                         "Cookie: a=b; session=\"s 1\"; c=d\r\nContent-Length: 5\r\n\r\nhello");
    struct reply reply = client_read_reply(fd, false);
    g_autofree char *header = reply_header(&reply, "X-Answer");
    g_autofree char *type = reply_header(&reply, "Content-Type");
    g_assert_cmpstr(header, ==, "yes");
    g_assert_cmpstr(type, ==, "text/plain");
    g_assert_cmpstr(reply.body->str, ==,
                    "POST /a b/\xc3\xa9+c ?p=1&q=x%26+y&z q=x& y x=one  c=s 1 peer=127.0.0.1 tls=0 length=5 "
                    "body=hello");
    reply_clear(&reply);
    /* The same connection: nothing of the first request is left, and requests may come together. */
    client_send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
                         "PUT http://h:1/abs?q= HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n");
    expect_body(fd, 200, "GET / ? q=- x=- c=- peer=127.0.0.1 tls=0 length=0 body=");
    expect_body(fd, 200, "PUT /abs ?q= q= x=- c=- peer=127.0.0.1 tls=0 length=-1 body=abcdefg");
    close(fd);
}

static void test_large_body(struct fixture *f, gconstpointer data)
{
    (void)data;
    enum { N = 300000 };
    g_autofree char *body = g_malloc(N + 1);
    for (int i = 0; i < N; i++) {
        body[i] = (char)('a' + i % 26);
    }
    body[N] = '\0';
    int fd = client_connect(f->port);
    for (int round = 0; round < 2; round++) {
        g_autofree char *head = g_strdup_printf(
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", N);
        client_send_text(fd, head);
        char go[25];
        for (size_t at = 0; at < sizeof(go);) {
            size_t n = client_recv(fd, go + at, sizeof(go) - at);
            g_assert_cmpuint(n, >, 0);
            at += n;
        }
        g_assert_cmpmem(go, sizeof(go), "HTTP/1.1 100 Continue\r\n\r\n", 25);
        g_assert_true(client_send(fd, body, N));
        g_autofree char *got = client_expect(fd, 200);
        const char *tail = strstr(got, "body=");
        g_assert_nonnull(tail);
        g_assert_cmpstr(tail + 5, ==, body);
    }
    close(fd);
}

static void test_head_and_errors(struct fixture *f, gconstpointer data)
{
    (void)data;
    int fd = client_connect(f->port);
    client_send_text(fd, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
    struct reply reply = client_read_reply(fd, true);
    g_assert_cmpint(reply.status, ==, 200);
    reply_clear(&reply);
    client_send_text(fd, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(fd, 500, "Internal Server Error\n");
    client_send_text(fd, "GET /bad-header HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(fd, 500, "");
    client_send_text(fd, "GET /refused HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(fd, 403, "no");
    client_send_text(fd, "GET /self HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(fd, 200, "detached and answered");
    /* Refused before its body: the body is not read as a request, the connection ends. */
    client_send_text(fd, "POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n");
    expect_body(fd, 403, "no");
    client_expect_end(fd);
    close(fd);
}

struct bad_request {
    const char *text;
    size_t length;
    int status; /* 0: just the end */
};

#define BAD(status, text)              \
    {                                  \
        text, sizeof(text) - 1, status \
    }

static void test_refused(struct fixture *f, gconstpointer data)
{
    static const struct bad_request bad[] = {
        BAD(400,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        BAD(400,
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\nabc"),
        BAD(413, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nabc"),
        BAD(501, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        BAD(400, "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nX: a\001b\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nX(Y): a\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n\r\n"),
        BAD(400, "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(400, "GET /a%2 HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(400, "GET /a% HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(400, "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(400, "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(400, "GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(400, "GET a/b HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(0, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD(505, "GET / HTTP/3.1\r\nHost: h\r\n\r\n"),
        BAD(0, "\026\003\001\002\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    };

    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fd = client_connect(f->port);
        client_send(fd, bad[i].text, bad[i].length);
        struct reply reply = client_read_reply(fd, false);
        if (reply.status != bad[i].status) {
            g_test_message("%s", bad[i].text);
        }
        g_assert_cmpint(reply.status, ==, bad[i].status);
        reply_clear(&reply);
        close(fd);
    }
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, 0);
}

static void expect_status_of(struct fixture *f, GString *request, int status)
{
    int fd = client_connect(f->port);
    client_send(fd, request->str, request->len); /* the server need not take it all */
    g_free(client_expect(fd, status));
    close(fd);
    g_string_free(request, TRUE);
}

static void test_too_large(struct fixture *f, gconstpointer data)
{
    (void)data;
    GString *headers = g_string_new("GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < 40000; i++) {
        g_string_append_c(headers, 'x');
    }
    expect_status_of(f, g_string_append(headers, "\r\n\r\n"), 431);

    GString *many = g_string_new("GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 110; i++) {
        g_string_append_printf(many, "X%d: y\r\n", i);
    }
    expect_status_of(f, g_string_append(many, "\r\n"), 431);

    GString *uri = g_string_new("GET /");
    for (int i = 0; i < 40000; i++) {
        g_string_append_c(uri, 'x');
    }
    expect_status_of(f, g_string_append(uri, " HTTP/1.1\r\n"), 414);
    expect_status_of(f, g_string_new("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n"), 413);
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, 0);

    /* A chunked body says too late how long it is; read to its end, it leaves the connection usable. */
    int fd = client_connect(f->port);
    g_autofree char *chunk = g_strnfill(10000, 'c');
    client_send_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        client_send_text(fd, "2710\r\n");
        client_send_text(fd, chunk);
        client_send_text(fd, "\r\n");
    }
    client_send_text(fd, "0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    g_free(client_expect(fd, 413));
    g_free(client_expect(fd, 200));
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, 1);
    /* An endless one is cut off. */
    client_send_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    unsigned sent = 0;
    while (sent < 10000 && client_send_text(fd, "2710\r\n") && client_send_text(fd, chunk) &&
           client_send_text(fd, "\r\n")) {
        sent++;
    }
    g_assert_cmpuint(sent, <, 10000);
    close(fd);
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, 1);
}

/* All large bodies together have a limit, and give it back. One server thread: its order is ours. */
static void test_buffered_limit(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *body = g_strnfill(60000, 'b');
    const char *head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = client_connect(f->port);
        client_send_text(fds[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        g_free(client_expect(fds[i], 200)); /* the server knows the connection now */
    }
    for (int i = 0; i < 2; i++) {
        client_send_text(fds[i], head);
        client_send(fds[i], body, 50000);
    }
    /* The second has come while the first was held. */
    client_send(fds[0], body, 10000);
    client_send(fds[1], body, 10000);
    g_free(client_expect(fds[0], 200));
    g_free(client_expect(fds[1], 503));
    /* The room comes back soon after the answers: what was counted is counted off, each time. */
    for (int good = 0, tries = 0; good < 3; tries++) {
        g_assert_cmpint(tries, <, 1000);
        client_send_text(fds[1], head);
        client_send(fds[1], body, 60000);
        struct reply reply = client_read_reply(fds[1], false);
        g_assert_true(reply.status == 200 || reply.status == 503);
        good += reply.status == 200;
        reply_clear(&reply);
    }
    close(fds[0]);
    close(fds[1]);
}

/* --- Slow clients ---------------------------------------------------------------------------------- */

/* Sends a byte every few milliseconds until the server ends the connection. */
static void expect_cut_off(struct fixture *f, const char *at_once, const char *byte_by_byte)
{
    int fd = client_connect(f->port);
    gint64 start_us = g_get_monotonic_time();
    client_send_text(fd, at_once);
    for (size_t i = 0;; i++) {
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};
        if (poll(&pollfd, 1, 10) != 0) {
            break;
        }
        g_assert_cmpint(byte_by_byte[i], !=, '\0'); /* it let all of it through */
        client_send(fd, byte_by_byte + i, 1);
    }
    client_expect_end(fd);
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 150 * 1000);
    close(fd);
}

static void test_slow_request(struct fixture *f, gconstpointer data)
{
    (void)data;
    GString *headers = g_string_new("GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 1000; i++) {
        g_string_append(headers, "X: y\r\n");
    }
    expect_cut_off(f, "", headers->str);
    expect_cut_off(f, "GET / HTTP/1.1\r\n", strstr(headers->str, "Host"));
    expect_cut_off(f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n", headers->str);
    g_string_free(headers, TRUE);
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, 0);
}

/* A client that asks for much and takes nothing of it. */
static void test_slow_reader(struct fixture *f, gconstpointer data)
{
    (void)data;
    int fd = client_connect(f->port);
    client_send_text(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    struct pollfd pollfd = {.fd = fd, .events = POLLRDHUP};
    g_assert_cmpint(poll(&pollfd, 1, 20000), ==, 1);
    close(fd);
}

static void test_connection_limit(struct fixture *f, gconstpointer data)
{
    (void)data;
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = client_connect(f->port);
        client_send_text(fds[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        g_free(client_expect(fds[i], 200));
    }
    int more = client_connect(f->port);
    client_expect_end(more);
    close(more);
    /* When one leaves there is room again, as soon as the server has seen it. */
    close(fds[0]);
    for (bool done = false; !done;) {
        int fd = client_connect(f->port);
        client_send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        struct reply reply = client_read_reply(fd, false);
        done = reply.status == 200;
        reply_clear(&reply);
        close(fd);
    }
    close(fds[1]);
    close(fds[2]);
}

/* --- Detached requests ----------------------------------------------------------------------------- */

static unsigned closed_count(struct fixture *f)
{
    g_mutex_lock(&f->lock);
    unsigned closed = f->closed;
    g_mutex_unlock(&f->lock);
    return closed;
}

static void test_parked(struct fixture *f, gconstpointer data)
{
    (void)data;
    enum { N = 300 };
    int fds[N];
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(f->port);
        client_send_text(fds[i], i % 2 ? "POST /park HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy"
                                       : "GET /park-unwatched HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    WAIT_FOR(f, f->parked->len == N);
    /* Others are served meanwhile. */
    int fd = client_connect(f->port);
    client_send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    g_free(client_expect(fd, 200));
    close(fd);
    answer_parked(f, "late");
    for (int i = 0; i < N; i++) {
        expect_body(fds[i], 200, "late");
    }
    /* And again on the same connections, half of which leave without waiting. */
    for (int i = 0; i < N; i++) {
        client_send_text(fds[i], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    WAIT_FOR(f, f->parked->len == N);
    g_assert_cmpuint(closed_count(f), ==, 0);
    for (int i = 0; i < N; i += 2) {
        close(fds[i]);
    }
    WAIT_FOR(f, f->closed == N / 2);
    answer_parked(f, "later");
    for (int i = 1; i < N; i += 2) {
        expect_body(fds[i], 200, "later");
        close(fds[i]);
    }
    g_assert_cmpuint(closed_count(f), ==, N / 2);
}

/* The answer comes from another thread while the server still suspends; some clients leave meanwhile. */
static void test_race(struct fixture *f, gconstpointer data)
{
    (void)data;
    enum { CLIENTS = 8, ROUNDS = 500 };
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_connect(f->port);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            client_send_text(fds[i], "GET /race HTTP/1.1\r\nHost: h\r\n\r\n");
            if ((round + i) % 10 == 0) {
                close(fds[i]);
                fds[i] = client_connect(f->port);
                client_send_text(fds[i], "GET /race HTTP/1.1\r\nHost: h\r\n\r\n");
            }
        }
        for (int i = 0; i < CLIENTS; i++) {
            expect_body(fds[i], 200, "from a thread");
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
}

/* Stopping tells the owners of detached requests, and waits for their answers. */
static void test_stop(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->answer_when_closed = true;
    int idle = client_connect(f->port), parked[5];
    for (int i = 0; i < 5; i++) {
        parked[i] = client_connect(f->port);
        client_send_text(parked[i], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    int stream = client_connect(f->port);
    client_send_text(stream,
                     "GET /switch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    struct reply reply = client_read_reply(stream, false);
    g_assert_cmpint(reply.status, ==, 101);
    reply_clear(&reply);
    WAIT_FOR(f, f->parked->len == 5);
    http_server_free(f->server);
    f->server = NULL;
    g_assert_cmpuint(f->closed, >=, 1);
    g_assert_cmpuint(f->parked->len, ==, 0);
    client_expect_end(idle);
    client_expect_end(stream);
    close(idle);
    close(stream);
    for (int i = 0; i < 5; i++) {
        close(parked[i]);
    }
}

/* --- Files ----------------------------------------------------------------------------------------- */

struct range_case {
    const char *headers;
    int status;
    const char *body;
    const char *content_range;
};

static void test_ranges(struct fixture *f, gconstpointer data)
{
    static const struct range_case cases[] = {
        {"", 200, "abcdefghij", NULL},
        {"Range: bytes=2-4\r\n", 206, "cde", "bytes 2-4/10"},
        {"Range: bytes=8-\r\n", 206, "ij", "bytes 8-9/10"},
        {"Range: bytes=8-100\r\n", 206, "ij", "bytes 8-9/10"},
        {"Range: bytes=-3\r\n", 206, "hij", "bytes 7-9/10"},
        {"Range: bytes=-30\r\n", 206, "abcdefghij", "bytes 0-9/10"},
        {"Range: bytes=10-\r\n", 416, "", "bytes */10"},
        {"Range: bytes=-0\r\n", 416, "", "bytes */10"},
        {"Range: bytes=4-2\r\n", 200, "abcdefghij", NULL},
        {"Range: bytes=1-2,4-5\r\n", 200, "abcdefghij", NULL},
        {"Range: lines=1-2\r\n", 200, "abcdefghij", NULL},
        {"Range: bytes=99999999999999999999-\r\n", 200, "abcdefghij", NULL},
        {"Range: bytes=2-4\r\nIf-Range: \"e1\"\r\n", 206, "cde", "bytes 2-4/10"},
        {"Range: bytes=2-4\r\nIf-Range: \"e2\"\r\n", 200, "abcdefghij", NULL},
    };
    g_autofree char *path = g_build_filename(f->dir, "file", NULL);

    (void)data;
    g_assert_true(g_file_set_contents(path, "0123456789abcdefghij", -1, NULL));
    int fd = client_connect(f->port);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *request =
            g_strdup_printf("GET /file HTTP/1.1\r\nHost: h\r\n%s\r\n", cases[i].headers);
        client_send_text(fd, request);
        struct reply reply = client_read_reply(fd, false);
        g_autofree char *range = reply_header(&reply, "Content-Range");
        g_assert_cmpint(reply.status, ==, cases[i].status);
        g_assert_cmpstr(reply.body->str, ==, cases[i].body);
        g_assert_cmpstr(range, ==, cases[i].content_range);
        reply_clear(&reply);
    }
    client_send_text(fd, "HEAD /file HTTP/1.1\r\nHost: h\r\nRange: bytes=2-4\r\n\r\n");
    struct reply reply = client_read_reply(fd, true);
    g_autofree char *length = reply_header(&reply, "Content-Length");
    g_assert_cmpint(reply.status, ==, 200);
    g_assert_cmpstr(length, ==, "10");
    reply_clear(&reply);
    g_assert_true(g_file_set_contents(path, "0123456789", -1, NULL));
    client_send_text(fd, "GET /file HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(fd, 200, "");
    close(fd);
}

/* --- Uploads --------------------------------------------------------------------------------------- */

static void test_sink(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *body = g_strnfill(50000, 's');
    int fd = client_connect(f->port);
    for (unsigned round = 1; round <= 3; round++) {
        g_mutex_lock(&f->lock);
        f->sink_blocked = true;
        f->sink_waits = false;
        g_string_truncate(f->sunk, 0);
        g_mutex_unlock(&f->lock);
        client_send_text(fd, "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n");
        client_send(fd, body, 50000);
        WAIT_FOR(f, f->sink_waits);
        g_assert_cmpuint(f->sunk->len, ==, 0);
        g_mutex_lock(&f->lock);
        f->sink_blocked = false;
        g_mutex_unlock(&f->lock);
        http_request_sink_ready(f->slow.request);
        g_free(client_expect(fd, 200));
        WAIT_FOR(f, f->sinks_freed == round);
        g_assert_cmpstr(f->sunk->str, ==, body);
    }
    /* An empty upload is one too. */
    client_send_text(fd, "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    g_free(client_expect(fd, 200));
    WAIT_FOR(f, f->sinks_freed == 4);
    /* A sink that fails: the handler is not called. */
    gint handled = g_atomic_int_get(&f->handled);
    g_mutex_lock(&f->lock);
    f->sink_error = -ENOSPC;
    g_mutex_unlock(&f->lock);
    client_send_text(fd, "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n");
    client_send(fd, body, 50000);
    g_free(client_expect(fd, 507));
    client_send_text(fd, "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    g_free(client_expect(fd, 507));
    /* More than is worth reading: answered in the middle, and over. */
    client_send_text(fd, "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 500000000\r\n\r\n12345");
    g_free(client_expect(fd, 507));
    client_expect_end(fd);
    close(fd);
    WAIT_FOR(f, f->sinks_freed == 7);
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, handled);
}

static void test_upload(struct fixture *f, gconstpointer data)
{
    (void)data;
    enum { N = 3 << 20 };
    g_autofree char *body = g_malloc(N);
    for (int i = 0; i < N; i++) {
        body[i] = (char)(i * 2654435761u >> 13);
    }
    int fd = client_connect(f->port);
    g_autofree char *head =
        g_strdup_printf("PUT /upload HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", N);
    client_send_text(fd, head);
    g_assert_true(client_send(fd, body, N));
    g_free(client_expect(fd, 200));
    WAIT_FOR(f, f->upload_closed);
    g_assert_cmpint(f->upload_error, ==, 0);
    g_autofree char *path = g_build_filename(f->dir, "upload", NULL);
    g_autofree char *written = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(path, &written, &length, NULL));
    g_assert_cmpmem(written + 5, length - 5, body, N);
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, 1);

    /* Too much, known only at the end. */
    g_mutex_lock(&f->lock);
    f->upload_closed = false;
    g_mutex_unlock(&f->lock);
    client_send_text(fd, "PUT /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 2 && client_send_text(fd, "300000\r\n") && client_send(fd, body, N); i++) {
        client_send_text(fd, "\r\n");
    }
    WAIT_FOR(f, f->upload_closed);
    g_assert_cmpint(f->upload_error, ==, -EFBIG);
    close(fd);

    /* Broken off. */
    f->upload_closed = false;
    fd = client_connect(f->port);
    client_send_text(fd, head);
    client_send(fd, body, N / 2);
    close(fd);
    WAIT_FOR(f, f->upload_closed);
    g_assert_cmpint(f->upload_error, ==, -ECONNABORTED);
    g_assert_cmpint(g_atomic_int_get(&f->handled), ==, 1);
}

/* --- Switching ------------------------------------------------------------------------------------- */

static void test_switch(struct fixture *f, gconstpointer data)
{
    (void)data;
    int fd = client_connect(f->port);
    /* The first bytes come with the request: they are not lost. */
    client_send_text(fd,
                     "GET /switch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst");
    struct reply reply = client_read_reply(fd, false);
    g_autofree char *upgrade = reply_header(&reply, "Upgrade");
    g_assert_cmpint(reply.status, ==, 101);
    g_assert_cmpstr(upgrade, ==, "echo");
    reply_clear(&reply);
    char got[100];
    size_t n = 0;
    while (n < 5) {
        n += client_recv(fd, got + n, 5 - n);
    }
    client_send_text(fd, "second");
    while (n < 11) {
        n += client_recv(fd, got + n, 11 - n);
    }
    g_assert_cmpmem(got, n, "firstsecond", 11);
    client_send_text(fd, ".");
    client_expect_end(fd);
    close(fd);

    /* HTTP/1.0 has no switching. */
    fd = client_connect(f->port);
    client_send_text(fd, "GET /switch HTTP/1.0\r\nHost: h\r\n\r\n");
    char line[13];
    for (n = 0; n < sizeof(line);) {
        size_t got_now = client_recv(fd, line + n, sizeof(line) - n);
        g_assert_cmpuint(got_now, >, 0);
        n += got_now;
    }
    g_assert_cmpmem(line + 9, 3, "400", 3);
    close(fd);
    WAIT_FOR(f, f->streams_refused == 1);
}

static void test_listen(void)
{
    static const char *const bad[] = {"127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "nohost:1",
                                      "::1:1",     "[::1:1",      "203.0.113.1:0",   NULL};
    struct fixture f = {0};
    struct http_server *server = NULL;
    for (size_t i = 0; bad[i] != NULL; i++) {
        const char *const listen[] = {"127.0.0.1:0", bad[i], NULL};
        g_autofree char *message = NULL;
        struct http_server_options options = {.listen = listen, .handler = handler, .data = &f};
        g_assert_cmpint(http_server_new(&options, &server, &message), <, 0);
        g_assert_nonnull(strstr(message, bad[i]));
        g_assert_null(server);
    }
    const char *const two[] = {"127.0.0.1:0", ":0", NULL};
    g_autofree char *message = NULL;
    struct http_server_options options = {.listen = two, .threads = 1, .handler = handler, .data = &f};
    g_assert_cmpint(http_server_new(&options, &server, &message), ==, 0);
    for (size_t i = 0; i < 2; i++) {
        int fd = client_connect(http_server_port(server, i));
        client_send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        g_autofree char *body = client_expect(fd, 200);
        g_assert_nonnull(strstr(body, "peer=127.0.0.1 "));
        close(fd);
    }
    g_assert_cmpint(http_server_port(server, 2), ==, 0);
    http_server_free(server);
}

int main(int argc, char **argv)
{
    static const struct http_server_options small = {.max_body_bytes = 100000};
    static const struct http_server_options small_sum = {.threads = 1, .max_buffered_bytes = 100000};
    static const struct http_server_options quick = {
        .header_timeout_ms = 200, .body_timeout_ms = 200, .send_timeout_ms = 200, .min_rate = 1 << 30};
    static const struct http_server_options few = {.max_connections = 3};

    g_test_init(&argc, &argv, NULL);
    g_test_add("/http/request", struct fixture, NULL, setup, test_request, teardown);
    g_test_add("/http/large-body", struct fixture, NULL, setup, test_large_body, teardown);
    g_test_add("/http/head-and-errors", struct fixture, NULL, setup, test_head_and_errors, teardown);
    g_test_add("/http/refused", struct fixture, NULL, setup, test_refused, teardown);
    g_test_add("/http/too-large", struct fixture, &small, setup, test_too_large, teardown);
    g_test_add("/http/buffered-limit", struct fixture, &small_sum, setup, test_buffered_limit, teardown);
    g_test_add("/http/slow-request", struct fixture, &quick, setup, test_slow_request, teardown);
    g_test_add("/http/slow-reader", struct fixture, &quick, setup, test_slow_reader, teardown);
    g_test_add("/http/connection-limit", struct fixture, &few, setup, test_connection_limit, teardown);
    g_test_add("/http/parked", struct fixture, NULL, setup, test_parked, teardown);
    g_test_add("/http/race", struct fixture, NULL, setup, test_race, teardown);
    g_test_add("/http/stop", struct fixture, NULL, setup, test_stop, teardown);
    g_test_add("/http/ranges", struct fixture, NULL, setup, test_ranges, teardown);
    g_test_add("/http/sink", struct fixture, NULL, setup, test_sink, teardown);
    g_test_add("/http/upload", struct fixture, NULL, setup, test_upload, teardown);
    g_test_add("/http/switch", struct fixture, NULL, setup, test_switch, teardown);
    g_test_add_func("/http/listen", test_listen);
    return g_test_run();
}
