// SPDX-License-Identifier: Apache-2.0
/*
 * WebSocket: the handshake, what a client may and may not send, and the bridge to a socket: both ways,
 * slow sides, text encoding, silence, and each way to end.
 */
#include "vim/websocket.h"

#include "http_client.h"
#include "vim/http.h"

#include <poll.h>

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80 };

struct fixture {
    struct http_server *server;
    struct websocket_bridge_options options;
    int fd;     /* our end of what the bridge is connected to */
    int client; /* the WebSocket */

    GMutex lock; /* guards all below */
    GCond changed;
    int bridge_fd; /* the bridge's end; -1 once it is taken */
    unsigned refused;
    bool ended;
    int result; /* of websocket_bridge */
};

static void run(void *data, struct websocket *ws)
{
    struct fixture *f = data;
    int result = 0, fd = -1;

    if (ws != NULL) {
        g_mutex_lock(&f->lock);
        fd = f->bridge_fd;
        f->bridge_fd = -1;
        g_mutex_unlock(&f->lock);
        result = websocket_bridge(ws, fd, &f->options);
        close(fd);
    }
    g_mutex_lock(&f->lock);
    f->refused += ws == NULL;
    f->ended = ws != NULL;
    f->result = result;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void handler(void *data, struct http_request *request)
{
    websocket_accept(request, run, data);
}

static void new_pair(struct fixture *f)
{
    int fds[2];
    struct timeval limit = {.tv_sec = 20};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    f->fd = fds[0];
    f->bridge_fd = fds[1];
    f->ended = false;
}

static void setup(struct fixture *f, gconstpointer data)
{
    const char *const listen[] = {"127.0.0.1:0", NULL};
    struct http_server_options options = {.listen = listen, .threads = 1, .handler = handler, .data = f};
    g_autofree char *message = NULL;

    (void)data;
    g_mutex_init(&f->lock);
    g_cond_init(&f->changed);
    new_pair(f);
    f->client = -1;
    g_assert_cmpint(http_server_new(&options, &f->server, &message), ==, 0);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    if (f->client >= 0) {
        close(f->client);
    }
    http_server_free(f->server);
    close(f->fd);
    if (f->bridge_fd >= 0) {
        close(f->bridge_fd);
    }
    g_cond_clear(&f->changed);
    g_mutex_clear(&f->lock);
}

static int wait_result(struct fixture *f)
{
    gint64 until = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    g_mutex_lock(&f->lock);
    while (!f->ended) {
        g_assert_true(g_cond_wait_until(&f->changed, &f->lock, until));
    }
    int result = f->result;
    g_mutex_unlock(&f->lock);
    return result;
}

/* --- A client -------------------------------------------------------------------------------------- */

#define HANDSHAKE                                                                             \
    "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

static void connect_client(struct fixture *f, const char *more_headers, const char *protocol)
{
    g_autofree char *request = g_strconcat(HANDSHAKE, more_headers, "\r\n", NULL);
    f->client = client_connect(http_server_port(f->server, 0));
    client_send_text(f->client, request);
    struct reply reply = client_read_reply(f->client, false);
    g_autofree char *accept = reply_header(&reply, "Sec-WebSocket-Accept");
    g_autofree char *chosen = reply_header(&reply, "Sec-WebSocket-Protocol");
    g_assert_cmpint(reply.status, ==, 101);
    g_assert_cmpstr(accept, ==, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* the example of RFC 6455 1.3 */
    g_assert_cmpstr(chosen, ==, protocol);
    reply_clear(&reply);
}

static bool send_frame(struct fixture *f, int first_byte, const void *data, size_t length, bool masked)
{
    GString *frame = g_string_new(NULL);
    const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    int mask_bit = masked ? 0x80 : 0;

    g_string_append_c(frame, (char)first_byte);
    if (length < 126) {
        g_string_append_c(frame, (char)(mask_bit | (int)length));
    } else {
        int size_bytes = length < 65536 ? 2 : 8;
        g_string_append_c(frame, (char)(mask_bit | (size_bytes == 2 ? 126 : 127)));
        for (int i = size_bytes - 1; i >= 0; i--) {
            g_string_append_c(frame, (char)((guint64)length >> 8 * i));
        }
    }
    if (masked) {
        g_string_append_len(frame, (const char *)mask, 4);
    }
    gsize start = frame->len;
    g_string_append_len(frame, data, (gssize)length);
    for (size_t i = 0; masked && i < length; i++) {
        frame->str[start + i] ^= (char)mask[i % 4];
    }
    bool sent = client_send(f->client, frame->str, frame->len);
    g_string_free(frame, TRUE);
    return sent;
}

static void read_exactly(int fd, void *buffer, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t n = client_recv(fd, (char *)buffer + at, length - at);
        g_assert_cmpuint(n, >, 0);
        at += n;
    }
}

/* Reads a frame; returns its opcode and appends what is in it. The server's are whole and not masked. */
static int read_frame(struct fixture *f, GString *data)
{
    unsigned char head[2], size[8];
    read_exactly(f->client, head, 2);
    g_assert_cmpint(head[0] & 0xf0, ==, FIN);
    g_assert_cmpint(head[1] & 0x80, ==, 0);
    size_t length = head[1];
    if (length >= 126) {
        int size_bytes = length == 126 ? 2 : 8;
        read_exactly(f->client, size, (size_t)size_bytes);
        length = 0;
        for (int i = 0; i < size_bytes; i++) {
            length = length << 8 | size[i];
        }
    }
    gsize start = data->len;
    g_string_set_size(data, start + length);
    read_exactly(f->client, data->str + start, length);
    return head[0] & 0x0f;
}

static void expect_frame(struct fixture *f, int opcode, const void *data, size_t length)
{
    GString *got = g_string_new(NULL);
    g_assert_cmpint(read_frame(f, got), ==, opcode);
    g_assert_cmpmem(got->str, got->len, data, length);
    g_string_free(got, TRUE);
}

/* status 0: none is told. */
static void expect_close(struct fixture *f, int status)
{
    const unsigned char bytes[2] = {(unsigned char)(status >> 8), (unsigned char)status};
    GString *got = g_string_new(NULL);
    int opcode;
    while ((opcode = read_frame(f, got)) != CLOSE) {
        g_string_truncate(got, 0);
    }
    g_assert_cmpmem(got->str, MIN(got->len, 2), bytes, status != 0 ? 2 : 0); /* a reason may follow */
    g_string_free(got, TRUE);
}

static void expect_fd(struct fixture *f, const void *data, size_t length)
{
    g_autofree char *got = g_malloc(length + 1);
    read_exactly(f->fd, got, length);
    g_assert_cmpmem(got, length, data, length);
}

/* --- Tests ----------------------------------------------------------------------------------------- */

static void test_refused(struct fixture *f, gconstpointer data)
{
    static const char *const bad[] = {
        "GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n",
    };

    (void)data;
    f->client = client_connect(http_server_port(f->server, 0));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        client_send_text(f->client, bad[i]);
        g_free(client_expect(f->client, 400));
    }
    client_send_text(f->client,
                     "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n");
    struct reply reply = client_read_reply(f->client, false);
    g_autofree char *version = reply_header(&reply, "Sec-WebSocket-Version");
    g_assert_cmpint(reply.status, ==, 426);
    g_assert_cmpstr(version, ==, "13");
    reply_clear(&reply);
    g_mutex_lock(&f->lock);
    g_assert_cmpuint(f->refused, ==, G_N_ELEMENTS(bad) + 1);
    g_mutex_unlock(&f->lock);
}

static void test_protocols(struct fixture *f, gconstpointer data)
{
    static const struct {
        const char *header;
        const char *chosen;
    } cases[] = {
        {"", NULL},
        {"Sec-WebSocket-Protocol: binary\r\n", "binary"},
        {"Sec-WebSocket-Protocol: uint8utf8, binary,vmware-vvc\r\n", "binary"},
        {"Sec-WebSocket-Protocol: chat,uint8utf8\r\n", "uint8utf8"},
        {"Sec-WebSocket-Protocol: chat\r\n", NULL},
    };

    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        connect_client(f, cases[i].header, cases[i].chosen);
        close(f->client);
        f->client = -1;
        wait_result(f);
        close(f->fd);
        new_pair(f);
    }
}

static void test_binary(struct fixture *f, gconstpointer data)
{
    (void)data;
    connect_client(f, "", NULL);
    send_frame(f, FIN | BINARY, "hello", 5, true);
    expect_fd(f, "hello", 5);
    client_send_text(f->fd, "world");
    expect_frame(f, BINARY, "world", 5);
    /* In parts, with a ping between them, and parts without bytes. */
    send_frame(f, BINARY, "one ", 4, true);
    send_frame(f, FIN | PING, "are you there", 13, true);
    send_frame(f, CONTINUATION, "", 0, true);
    send_frame(f, FIN | CONTINUATION, "two", 3, true);
    expect_frame(f, PONG, "are you there", 13);
    expect_fd(f, "one two", 7);
    send_frame(f, FIN | BINARY, "", 0, true);
    send_frame(f, FIN | PONG, "unasked", 7, true);
    /* The client closes: what it sent before still arrives. */
    send_frame(f, FIN | BINARY, "last", 4, true);
    send_frame(f, FIN | CLOSE, "\x03\xe8", 2, true);
    expect_close(f, 1000);
    expect_fd(f, "last", 4);
    client_expect_end(f->client);
    g_assert_cmpint(wait_result(f), ==, 0);
    client_expect_end(f->fd);
}

static void test_fd_ends(struct fixture *f, gconstpointer data)
{
    (void)data;
    connect_client(f, "", NULL);
    client_send_text(f->fd, "the end");
    shutdown(f->fd, SHUT_RDWR);
    expect_frame(f, BINARY, "the end", 7);
    expect_close(f, 1000);
    send_frame(f, FIN | CLOSE, "\x03\xe8", 2, true);
    client_expect_end(f->client);
    g_assert_cmpint(wait_result(f), ==, 0);
}

static void test_client_vanishes(struct fixture *f, gconstpointer data)
{
    (void)data;
    connect_client(f, "", NULL);
    send_frame(f, FIN | BINARY, "last", 4, true);
    close(f->client);
    f->client = -1;
    expect_fd(f, "last", 4);
    client_expect_end(f->fd);
    g_assert_cmpint(wait_result(f), ==, -ECONNRESET);
}

/* Every byte there is, as text; characters cut in two by the frames. */
static void test_text(struct fixture *f, gconstpointer data)
{
    char bytes[256];
    GString *text = g_string_new(NULL), *got = g_string_new(NULL);

    (void)data;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        g_string_append_unichar(text, (gunichar)i);
    }
    text->str[0] = '\0';
    connect_client(f, "Sec-WebSocket-Protocol: uint8utf8\r\n", "uint8utf8");
    send_frame(f, FIN | TEXT, text->str, text->len, true);
    expect_fd(f, bytes, 256);
    for (gsize i = 0; i < text->len; i += 15) {
        gsize n = MIN(15, text->len - i);
        send_frame(f, (i == 0 ? TEXT : CONTINUATION) | (i + n == text->len ? FIN : 0), text->str + i, n,
                   true);
    }
    expect_fd(f, bytes, 256);
    client_send(f->fd, bytes, 256);
    while (got->len < text->len) {
        g_assert_cmpint(read_frame(f, got), ==, TEXT);
    }
    g_assert_cmpmem(got->str, got->len, text->str, text->len);
    send_frame(f, FIN | BINARY, "\xff\x00z", 3, true); /* this is allowed too */
    expect_fd(f, "\xff\x00z", 3);
    g_string_free(text, TRUE);
    g_string_free(got, TRUE);
}

struct bad_frame {
    const char *protocol; /* header line */
    const char *chosen;
    int first_byte;
    bool masked;
    const char *data;
    size_t length;
    int status;
};

static void test_bad_frames(struct fixture *f, gconstpointer data)
{
    static const char text[] = "Sec-WebSocket-Protocol: uint8utf8\r\n";
    g_autofree char *large = g_strnfill(2000, 'x');
    const struct bad_frame cases[] = {
        {"", NULL, FIN | BINARY, false, "abc", 3, 1002},
        {"", NULL, FIN | PING, false, "abc", 3, 1002},
        {"", NULL, FIN | TEXT, true, "abc", 3, 1003},
        {"", NULL, FIN | BINARY, true, large, 1001, 1009},
        {"", NULL, FIN | 0x40 | BINARY, true, "abc", 3, 1002},
        {"", NULL, FIN | 3, true, "abc", 3, 1002},
        {"", NULL, FIN | CONTINUATION, true, "abc", 3, 1002},
        {"", NULL, PING, true, "abc", 3, 0},
        {"", NULL, FIN | PING, true, large, 126, 0},
        {text, "uint8utf8", FIN | TEXT, true, "\xff", 1, 1007},
        {text, "uint8utf8", FIN | TEXT, true, "\xc4\x80", 2, 1007},
        {text, "uint8utf8", FIN | TEXT, true, "\xe2\x82\xac", 3, 1007},
        {text, "uint8utf8", FIN | TEXT, true, "\xc3", 1, 1007},
    };

    (void)data;
    f->options.max_frame_bytes = 1000;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %zu", i);
        connect_client(f, cases[i].protocol, cases[i].chosen);
        send_frame(f, FIN | BINARY, large, 1000, true);
        send_frame(f, cases[i].first_byte, cases[i].data, cases[i].length, cases[i].masked);
        expect_fd(f, large, 1000); /* what came before was good */
        expect_close(f, cases[i].status);
        send_frame(f, FIN | CLOSE, "", 0, true);
        g_assert_cmpint(wait_result(f), ==, -EPROTO);
        client_expect_end(f->fd);
        close(f->client);
        f->client = -1;
        close(f->fd);
        new_pair(f);
    }
}

/* Pings without end from a client that reads nothing: they are left in its own socket. */
static void test_ping_flood(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *payload = g_strnfill(125, 'p');
    connect_client(f, "", NULL);
    struct timeval limit = {.tv_usec = 300 * 1000};
    setsockopt(f->client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    unsigned sent = 0;
    while (sent < 1000000 && send_frame(f, FIN | PING, payload, 125, true)) {
        sent++;
    }
    g_assert_cmpuint(sent, <, 1000000);
}

struct sender {
    struct fixture *f;
    const char *data;
    size_t length;
    bool to_fd; /* writes at fd's side, else frames at the client's */
};

static gpointer send_all(gpointer data)
{
    struct sender *sender = data;
    if (sender->to_fd) {
        g_assert_true(client_send(sender->f->fd, sender->data, sender->length));
        return NULL;
    }
    for (size_t at = 0; at < sender->length; at += 60000) {
        g_assert_true(
            send_frame(sender->f, FIN | BINARY, sender->data + at, MIN(60000, sender->length - at), true));
    }
    return NULL;
}

/* Much, both ways at once, while nobody takes it at first. */
static void test_slow_sides(struct fixture *f, gconstpointer data)
{
    enum { N = 12 << 20 };
    g_autofree char *one = g_malloc(N), *two = g_malloc(N);
    GString *got = g_string_new(NULL);

    (void)data;
    for (int i = 0; i < N; i++) {
        one[i] = (char)(i * 2654435761u >> 7);
        two[i] = (char)(i * 2246822519u >> 9);
    }
    connect_client(f, "", NULL);
    struct sender to_fd = {f, one, N, false}, to_client = {f, two, N, true};
    GThread *threads[2] = {g_thread_new("to-fd", send_all, &to_fd),
                           g_thread_new("to-client", send_all, &to_client)};
    /* One direction stands still while the other is emptied. */
    while (got->len < N) {
        g_assert_cmpint(read_frame(f, got), ==, BINARY);
    }
    g_assert_cmpmem(got->str, got->len, two, N);
    expect_fd(f, one, N);
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    send_frame(f, FIN | CLOSE, "", 0, true);
    g_assert_cmpint(wait_result(f), ==, 0);
    g_string_free(got, TRUE);
}

static void test_silence(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->options.ping_ms = 200;
    connect_client(f, "", NULL);
    for (int i = 0; i < 5; i++) { /* longer than it would wait for an answer */
        expect_frame(f, PING, "", 0);
        send_frame(f, FIN | PONG, "", 0, true);
    }
    expect_frame(f, PING, "", 0);
    gint64 start_us = g_get_monotonic_time();
    expect_close(f, 1011);
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 150 * 1000);
    g_assert_cmpint(wait_result(f), ==, -ETIMEDOUT);
}

static void test_server_stops(struct fixture *f, gconstpointer data)
{
    (void)data;
    connect_client(f, "", NULL);
    send_frame(f, FIN | BINARY, "a", 1, true);
    expect_fd(f, "a", 1);
    http_server_free(f->server);
    f->server = NULL;
    g_assert_true(f->ended);
    client_expect_end(f->fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/websocket/refused", struct fixture, NULL, setup, test_refused, teardown);
    g_test_add("/websocket/protocols", struct fixture, NULL, setup, test_protocols, teardown);
    g_test_add("/websocket/binary", struct fixture, NULL, setup, test_binary, teardown);
    g_test_add("/websocket/fd-ends", struct fixture, NULL, setup, test_fd_ends, teardown);
    g_test_add("/websocket/client-vanishes", struct fixture, NULL, setup, test_client_vanishes, teardown);
    g_test_add("/websocket/text", struct fixture, NULL, setup, test_text, teardown);
    g_test_add("/websocket/bad-frames", struct fixture, NULL, setup, test_bad_frames, teardown);
    g_test_add("/websocket/ping-flood", struct fixture, NULL, setup, test_ping_flood, teardown);
    g_test_add("/websocket/slow-sides", struct fixture, NULL, setup, test_slow_sides, teardown);
    g_test_add("/websocket/silence", struct fixture, NULL, setup, test_silence, teardown);
    g_test_add("/websocket/server-stops", struct fixture, NULL, setup, test_server_stops, teardown);
    return g_test_run();
}
