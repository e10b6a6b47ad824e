// SPDX-License-Identifier: Apache-2.0
/*
 * The handshake by hand, the frames by libwslay, without its buffering of messages: a frame's bytes go on
 * as they come. libwslay reads until its callback has nothing more, so the callback says that while the
 * other side is slow.
 */
#include "vim/websocket.h"

#include "base/timer.h"
#include "vim/http.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#define KEY_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */
#define DEFAULT_PING_MS 30000
#define DEFAULT_FRAME_BYTES (1024 * 1024)
#define CHUNK_BYTES (16 * 1024)    /* read from fd, and sent as one frame */
#define MAX_HELD_BYTES (64 * 1024) /* each way, before the source must wait */
#define MAX_DATA_FRAMES 64         /* queued for the client: reading fd stops */
#define MAX_FRAMES 128             /* with pongs: reading the client stops, or its pings would fill memory */
#define CLOSE_MS 2000              /* for the last bytes and the closing handshake */

struct websocket {
    struct http_stream *stream; /* the server's */
    bool as_text;               /* uint8utf8 */
};

/* From the handshake to the stream's thread. */
struct accepted {
    websocket_fn fn;
    void *data;
    bool as_text;
};

struct bridge {
    struct websocket *ws;
    int fd;
    wslay_event_context_ptr wslay;
    struct buffer to_fd; /* not yet written from to_fd_used on */
    size_t to_fd_used;
    uint8_t opcode;      /* of the frame that is being received */
    uint8_t data_opcode; /* of the message that it belongs to */
    unsigned char lead;  /* first byte of a character of two, when its second has not come; else 0 */
    int64_t heard_ms;    /* when the client was heard last */
    bool pinged;         /* since then */
    bool fd_ended;
    bool peer_ended; /* without a closing handshake */
    int error;       /* negative, or 0 */
};

/* --- Handshake ------------------------------------------------------------------------------------- */

/* Whether a comma-separated list, as of Connection, has the word, in any case. */
static bool has_word(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list ?: "", ",", -1);
    for (char **w = words; *w != NULL; w++) {
        if (g_ascii_strcasecmp(g_strstrip(*w), word) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_key(const char *key)
{
    size_t length = 0;
    if (key == NULL || strlen(key) != 24) {
        return false;
    }
    g_free(g_base64_decode(key, &length));
    return length == 16;
}

/* The answer to the client's key; freed with g_free. */
static char *accept_value(const char *key)
{
    guint8 digest[20];
    gsize length = sizeof(digest);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);

    g_checksum_update(checksum, (const guchar *)key, -1);
    g_checksum_update(checksum, (const guchar *)KEY_SUFFIX, -1);
    g_checksum_get_digest(checksum, digest, &length);
    return g_base64_encode(digest, length);
}

static const char *choose_protocol(const struct http_request *request)
{
    const char *offered = http_request_header(request, "Sec-WebSocket-Protocol");
    return has_word(offered, "binary") ? "binary" : has_word(offered, "uint8utf8") ? "uint8utf8" : NULL;
}

static void run_stream(void *data, struct http_stream *stream)
{
    struct accepted *accepted = data;
    struct websocket ws = {.stream = stream, .as_text = accepted->as_text};

    accepted->fn(accepted->data, stream != NULL ? &ws : NULL);
    g_free(accepted);
}

void websocket_accept(struct http_request *request, websocket_fn fn, void *data)
{
    const char *key = http_request_header(request, "Sec-WebSocket-Key");
    const char *version = http_request_header(request, "Sec-WebSocket-Version");

    if (strcmp(http_request_method(request), "GET") != 0 ||
        !has_word(http_request_header(request, "Upgrade"), "websocket") ||
        !has_word(http_request_header(request, "Connection"), "upgrade") || !is_key(key)) {
        http_respond_text(request, 400, "this is for WebSocket clients\n");
        fn(data, NULL);
        return;
    }
    if (g_strcmp0(version, "13") != 0) {
        const struct http_header headers[] = {{"Sec-WebSocket-Version", "13"}, {NULL, NULL}};
        http_respond(request, 426, NULL, (struct buffer)BUFFER_INIT, headers);
        fn(data, NULL);
        return;
    }
    const char *protocol = choose_protocol(request);
    g_autofree char *accept = accept_value(key);
    const struct http_header headers[] = {{"Sec-WebSocket-Accept", accept},
                                          {protocol != NULL ? "Sec-WebSocket-Protocol" : NULL, protocol},
                                          {NULL, NULL}};
    struct accepted *accepted = g_new(struct accepted, 1);
    *accepted = (struct accepted){fn, data, g_strcmp0(protocol, "uint8utf8") == 0};
    http_upgrade(request, "websocket", headers, run_stream, accepted);
}

/* --- From the client to fd ------------------------------------------------------------------------- */

static size_t held(const struct bridge *bridge)
{
    return bridge->to_fd.length - bridge->to_fd_used;
}

/* Whether more of the client's may be read now. */
static bool may_take(const struct bridge *bridge)
{
    return wslay_event_want_read(bridge->wslay) && held(bridge) < MAX_HELD_BYTES &&
           wslay_event_get_queued_msg_count(bridge->wslay) < MAX_FRAMES;
}

/* The client did what it must not: it is told so, and not listened to any more. */
static void refuse_peer(struct bridge *bridge, uint16_t status)
{
    bridge->error = -EPROTO;
    wslay_event_queue_close(bridge->wslay, status, NULL, 0);
    wslay_event_shutdown_read(bridge->wslay);
}

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *buffer, size_t length, int flags, void *data)
{
    struct bridge *bridge = data;

    (void)flags;
    if (!may_take(bridge)) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    ssize_t n = http_stream_read(bridge->ws->stream, buffer, length);
    if (n > 0) {
        bridge->heard_ms = timer_now_ms();
        bridge->pinged = false;
        return n;
    }
    bridge->peer_ended = n != -EAGAIN;
    wslay_event_set_error(wslay, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_frame_start(wslay_event_context_ptr wslay,
                           const struct wslay_event_on_frame_recv_start_arg *arg, void *data)
{
    struct bridge *bridge = data;

    (void)wslay;
    bridge->opcode = arg->opcode;
    if (arg->opcode == WSLAY_TEXT_FRAME || arg->opcode == WSLAY_BINARY_FRAME) {
        bridge->data_opcode = arg->opcode;
        if (arg->opcode == WSLAY_TEXT_FRAME && !bridge->ws->as_text) {
            refuse_peer(bridge, WSLAY_CODE_UNSUPPORTED_DATA);
        }
    }
}

/* libwslay has checked that it is UTF-8; only characters that stand for a byte are allowed. */
static void take_text(struct bridge *bridge, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bridge->lead != 0) {
            buffer_append_char(&bridge->to_fd, (char)((bridge->lead & 3) << 6 | (bytes[i] & 0x3f)));
            bridge->lead = 0;
        } else if (bytes[i] < 0x80) {
            buffer_append_char(&bridge->to_fd, (char)bytes[i]);
        } else if (bytes[i] == 0xc2 || bytes[i] == 0xc3) {
            bridge->lead = bytes[i];
        } else {
            refuse_peer(bridge, WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA);
            return;
        }
    }
}

static void on_frame_chunk(wslay_event_context_ptr wslay,
                           const struct wslay_event_on_frame_recv_chunk_arg *arg, void *data)
{
    struct bridge *bridge = data;

    (void)wslay;
    if (wslay_is_ctrl_frame(bridge->opcode) || bridge->error != 0) {
        return;
    }
    if (bridge->data_opcode == WSLAY_TEXT_FRAME) {
        take_text(bridge, arg->data, arg->data_length);
    } else {
        buffer_append(&bridge->to_fd, arg->data, arg->data_length);
    }
}

static void write_to_fd(struct bridge *bridge)
{
    while (held(bridge) > 0) {
        const char *data = bridge->to_fd.data + bridge->to_fd_used;
        ssize_t n = send(bridge->fd, data, held(bridge), MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK) {
            n = write(bridge->fd, data, held(bridge));
        }
        if (n < 0 && errno != EINTR) {
            if (errno != EAGAIN) {
                bridge->fd_ended = true;
                bridge->error = bridge->error ?: errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
                buffer_truncate(&bridge->to_fd, bridge->to_fd_used);
            }
            return;
        }
        bridge->to_fd_used += n > 0 ? (size_t)n : 0;
    }
    buffer_truncate(&bridge->to_fd, 0);
    bridge->to_fd_used = 0;
}

/* --- From fd to the client ------------------------------------------------------------------------- */

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t length, int flags,
                       void *data)
{
    struct bridge *bridge = data;

    (void)flags;
    ssize_t n = http_stream_write(bridge->ws->stream, bytes, length);
    if (n >= 0) {
        return n;
    }
    bridge->peer_ended = n != -EAGAIN;
    wslay_event_set_error(wslay, n == -EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void queue_data(struct bridge *bridge, const uint8_t *bytes, size_t length)
{
    struct wslay_event_msg message = {WSLAY_BINARY_FRAME, bytes, length};
    uint8_t text[2 * CHUNK_BYTES];

    if (bridge->ws->as_text) {
        size_t n = 0;
        for (size_t i = 0; i < length; i++) {
            if (bytes[i] < 0x80) {
                text[n++] = bytes[i];
            } else {
                text[n++] = (uint8_t)(0xc0 | bytes[i] >> 6);
                text[n++] = (uint8_t)(0x80 | (bytes[i] & 0x3f));
            }
        }
        message = (struct wslay_event_msg){WSLAY_TEXT_FRAME, text, n};
    }
    wslay_event_queue_msg(bridge->wslay, &message);
}

static bool may_read_fd(struct bridge *bridge)
{
    return !bridge->fd_ended && wslay_event_get_write_enabled(bridge->wslay) &&
           wslay_event_get_queued_msg_length(bridge->wslay) < MAX_HELD_BYTES &&
           wslay_event_get_queued_msg_count(bridge->wslay) < MAX_DATA_FRAMES;
}

static void read_from_fd(struct bridge *bridge)
{
    uint8_t bytes[CHUNK_BYTES];

    ssize_t n = read(bridge->fd, bytes, sizeof(bytes));
    if (n > 0) {
        queue_data(bridge, bytes, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        /* A terminal whose other side is gone says EIO. */
        bridge->fd_ended = true;
        if (n < 0 && errno != EIO && errno != ECONNRESET) {
            bridge->error = bridge->error ?: -errno;
        }
    }
}

/* --- The loop -------------------------------------------------------------------------------------- */

/* Pings a silent client; gives it up if that was no use. Returns how long poll may wait. */
static int mind_silence(struct bridge *bridge, unsigned ping_ms)
{
    int64_t now_ms = timer_now_ms();

    if (held(bridge) >= MAX_HELD_BYTES) {
        bridge->heard_ms = now_ms; /* it is we who do not listen */
    }
    int64_t silent_ms = now_ms - bridge->heard_ms;
    if (silent_ms >= 3 * (int64_t)ping_ms) {
        bridge->error = -ETIMEDOUT;
        return 0;
    }
    if (silent_ms >= ping_ms && !bridge->pinged) {
        const struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};
        wslay_event_queue_msg(bridge->wslay, &ping);
        bridge->pinged = true;
    }
    return (int)((bridge->pinged ? 3 : 1) * (int64_t)ping_ms - silent_ms);
}

/* Waits for what can go on and lets it. */
static void carry(struct bridge *bridge, int wait_ms)
{
    struct http_stream *stream = bridge->ws->stream;
    bool take = may_take(bridge);
    bool may_read = may_read_fd(bridge);
    struct pollfd fds[2] = {{.fd = http_stream_fd(stream)}, {.fd = bridge->fd_ended ? -1 : bridge->fd}};

    fds[0].events = (short)((take ? POLLIN : 0) | (wslay_event_want_write(bridge->wslay) ? POLLOUT : 0));
    fds[1].events = (short)((may_read ? POLLIN : 0) | (held(bridge) > 0 ? POLLOUT : 0));
    if (fds[1].events == 0) {
        fds[1].fd = -1; /* poll would not wait on a socket that has been hung up */
    }
    bool pending = take && http_stream_has_pending(stream);
    if (poll(fds, 2, pending ? 0 : wait_ms) < 0) {
        return; /* a signal */
    }
    if (take && (pending || (fds[0].revents & (POLLIN | POLLHUP | POLLERR)))) {
        if (wslay_event_recv(bridge->wslay) != 0 && !bridge->peer_ended) {
            bridge->error = bridge->error ?: -EPROTO; /* a broken frame; a Close is queued */
        }
    } else if (!take && (fds[0].revents & (POLLHUP | POLLERR))) {
        bridge->peer_ended = true;
    }
    if (may_read && (fds[1].revents & (POLLIN | POLLHUP | POLLERR))) {
        read_from_fd(bridge);
    }
    if (wslay_event_want_write(bridge->wslay) && wslay_event_send(bridge->wslay) != 0) {
        bridge->peer_ended = true;
    }
    write_to_fd(bridge);
}

/* The last bytes both ways, and the closing handshake; not for longer than CLOSE_MS. */
static void wind_up(struct bridge *bridge)
{
    int64_t until_ms = timer_now_ms() + CLOSE_MS;
    uint16_t status = bridge->error == 0 ? WSLAY_CODE_NORMAL_CLOSURE : WSLAY_CODE_INTERNAL_SERVER_ERROR;

    wslay_event_queue_close(bridge->wslay, status, NULL, 0); /* no effect if there is one already */
    for (;;) {
        bool to_peer = !bridge->peer_ended &&
                       (wslay_event_want_read(bridge->wslay) || wslay_event_want_write(bridge->wslay));
        bool to_fd = !bridge->fd_ended && held(bridge) > 0;
        int64_t left_ms = until_ms - timer_now_ms();
        if ((!to_peer && !to_fd) || left_ms <= 0) {
            return;
        }
        if (to_peer) {
            carry(bridge, (int)left_ms);
        } else {
            struct pollfd pollfd = {.fd = bridge->fd, .events = POLLOUT};
            poll(&pollfd, 1, (int)left_ms);
            write_to_fd(bridge);
        }
    }
}

int websocket_bridge(struct websocket *ws, int fd, const struct websocket_bridge_options *options)
{
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                           .send_callback = on_send,
                                                           .on_frame_recv_start_callback = on_frame_start,
                                                           .on_frame_recv_chunk_callback = on_frame_chunk};
    unsigned ping_ms = options != NULL && options->ping_ms != 0 ? options->ping_ms : DEFAULT_PING_MS;
    unsigned max_frame =
        options != NULL && options->max_frame_bytes != 0 ? options->max_frame_bytes : DEFAULT_FRAME_BYTES;
    struct bridge bridge = {.ws = ws, .fd = fd, .heard_ms = timer_now_ms()};

    if (wslay_event_context_server_init(&bridge.wslay, &callbacks, &bridge) != 0) {
        return -ENOMEM;
    }
    wslay_event_config_set_no_buffering(bridge.wslay, 1);
    wslay_event_config_set_max_recv_msg_length(bridge.wslay, max_frame);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (bridge.error == 0 && !bridge.fd_ended && !bridge.peer_ended &&
           wslay_event_get_read_enabled(bridge.wslay)) {
        int wait_ms = mind_silence(&bridge, ping_ms);
        if (bridge.error == 0) {
            carry(&bridge, wait_ms);
        }
    }
    /* libwslay stops to read at a broken frame, having queued the reason, and at a regular close. */
    if (bridge.error == 0 && !bridge.fd_ended && !bridge.peer_ended &&
        !wslay_event_get_close_received(bridge.wslay)) {
        bridge.error = -EPROTO;
    }
    bool closed = wslay_event_get_close_received(bridge.wslay) || bridge.fd_ended;
    bool gone = bridge.peer_ended && !closed;
    wind_up(&bridge);
    wslay_event_context_free(bridge.wslay);
    buffer_free(&bridge.to_fd);
    return bridge.error ?: gone ? -ECONNRESET : 0;
}
