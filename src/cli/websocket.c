// SPDX-License-Identifier: Apache-2.0
/*
 * A WebSocket client; see websocket.h.
 */
#include "cli/websocket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/random.h"
#include "base/buffer.h"

enum {
    HANDSHAKE_TIMEOUT_MS = 30000,
    MAX_HEADER_BYTES = 32 * 1024,
    MAX_MESSAGE_BYTES = 16 * 1024 * 1024,
    KEY_BYTES = 16,
};

struct cli_websocket {
    CURL *curl; /* owned */
    int fd;     /* curl's */
    wslay_event_context_ptr frames;
    struct buffer early; /* what came behind the handshake's answer */
    size_t early_taken;  /* bytes of it that the frames have */
    cli_websocket_fn receive;
    void *data;
    bool broken;
};

/* ---- bytes ---------------------------------------------------------------------------------------- */

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *bytes, size_t size, int flags, void *data)
{
    (void)flags;
    struct cli_websocket *websocket = data;
    size_t early = websocket->early.length - websocket->early_taken;
    size_t got = MIN(early, size);
    if (early > 0) {
        memcpy(bytes, websocket->early.data + websocket->early_taken, got);
        websocket->early_taken += got;
        return (ssize_t)got;
    }
    CURLcode result = curl_easy_recv(websocket->curl, bytes, size, &got);
    if (result == CURLE_OK && got > 0) {
        return (ssize_t)got;
    }
    wslay_event_set_error(frames, result == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *bytes, size_t size, int flags,
                       void *data)
{
    (void)flags;
    struct cli_websocket *websocket = data;
    size_t sent = 0;
    CURLcode result = curl_easy_send(websocket->curl, bytes, size, &sent);
    if (result == CURLE_OK && sent > 0) {
        return (ssize_t)sent;
    }
    bool later = result == CURLE_AGAIN || result == CURLE_OK;
    wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_genmask(wslay_event_context_ptr frames, uint8_t *bytes, size_t size, void *data)
{
    (void)frames;
    (void)data;
    random_bytes(bytes, size);
    return 0;
}

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *message,
                       void *data)
{
    (void)frames;
    struct cli_websocket *websocket = data;
    if (message->opcode == WSLAY_BINARY_FRAME || message->opcode == WSLAY_TEXT_FRAME) {
        websocket->receive(websocket->data, message->msg, message->msg_length);
    }
}

/* ---- the handshake -------------------------------------------------------------------------------- */

char *cli_websocket_accept(const char *key)
{
    g_autofree char *text =
        g_strconcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", NULL); /* RFC 6455, 1.3 */
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
    guint8 hash[20];
    gsize length = sizeof(hash);
    g_checksum_update(checksum, (const guchar *)text, -1);
    g_checksum_get_digest(checksum, hash, &length);
    return g_base64_encode(hash, length);
}

static int wait_for(int fd, short events, int64_t end_us)
{
    for (;;) {
        int64_t left_ms = (end_us - g_get_monotonic_time()) / 1000;
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int n = poll(&poll_fd, 1, (int)MAX(left_ms, 0));
        if (n > 0) {
            return 0;
        }
        if (n == 0) {
            return -ETIMEDOUT;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static int send_request(struct cli_websocket *websocket, const char *request, int64_t end_us)
{
    for (size_t left = strlen(request); left > 0;) {
        size_t sent = 0;
        CURLcode result = curl_easy_send(websocket->curl, request, left, &sent);
        request += sent;
        left -= sent;
        int error = result == CURLE_AGAIN ? wait_for(websocket->fd, POLLOUT, end_us) : 0;
        if (error != 0 || (result != CURLE_OK && result != CURLE_AGAIN)) {
            return error != 0 ? error : -EIO;
        }
    }
    return 0;
}

/* Reads some more of the server's answer into the early bytes. */
static int read_more(struct cli_websocket *websocket, int64_t end_us)
{
    size_t got = 0;
    CURLcode result = curl_easy_recv(websocket->curl, buffer_reserve(&websocket->early, 4096), 4096, &got);
    buffer_commit(&websocket->early, got);
    if (result == CURLE_AGAIN) {
        return wait_for(websocket->fd, POLLIN, end_us);
    }
    return result == CURLE_OK && got > 0 ? 0 : -ECONNRESET;
}

/* Reads until the empty line that ends the headers; *ret_length is that of the headers with it. */
static int read_headers(struct cli_websocket *websocket, size_t *ret_length, int64_t end_us)
{
    for (;;) {
        const char *end = strstr(buffer_string(&websocket->early), "\r\n\r\n");
        if (end != NULL) {
            *ret_length = (size_t)(end - websocket->early.data) + 4;
            return 0;
        }
        if (websocket->early.length > MAX_HEADER_BYTES) {
            return -EMSGSIZE;
        }
        int error = read_more(websocket, end_us);
        if (error != 0) {
            return error;
        }
    }
}

/* The value of a header in lines "Name: value", freed with g_free; NULL when it is not there. */
static char *find_header(char *const *lines, const char *name)
{
    size_t length = strlen(name);
    for (; *lines != NULL; lines++) {
        if (g_ascii_strncasecmp(*lines, name, length) == 0 && (*lines)[length] == ':') {
            return g_strstrip(g_strdup(*lines + length + 1));
        }
    }
    return NULL;
}

/* The server says no, in the body behind the headers as far as it comes. */
static int refuse(struct cli_websocket *websocket, char *const *lines, int status, int64_t end_us,
                  struct cli_error *error)
{
    g_autofree char *length = find_header(lines, "Content-Length");
    size_t wanted = length != NULL ? (size_t)CLAMP(atoi(length), 0, 4096) : 0;
    while (websocket->early.length - websocket->early_taken < wanted && read_more(websocket, end_us) == 0) {
    }
    g_autofree char *text = g_strstrip(g_strdup(buffer_string(&websocket->early) + websocket->early_taken));
    return cli_error_set(error, status == 404 ? CLI_NOT_FOUND : CLI_FAILED, "there is no console: %s",
                         *text != '\0' ? text : lines[0]);
}

static int judge_answer(struct cli_websocket *websocket, const char *headers, const char *key, int64_t end_us,
                        struct cli_error *error)
{
    g_auto(GStrv) lines = g_strsplit(headers, "\r\n", -1);
    g_autofree char *expected = cli_websocket_accept(key);
    g_autofree char *accept = find_header(lines, "Sec-WebSocket-Accept");
    const char *status = strchr(lines[0], ' ');
    int code = status != NULL ? atoi(status) : 0;
    if (code != 101) {
        return refuse(websocket, lines, code, end_us, error);
    }
    if (g_strcmp0(accept, expected) != 0) {
        return cli_error_set(error, CLI_FAILED, "the server does not speak WebSocket as it should");
    }
    return CLI_OK;
}

static int handshake(struct cli_websocket *websocket, const char *url, const char *path,
                     struct cli_error *error)
{
    unsigned char random[KEY_BYTES];
    random_bytes(random, sizeof(random));
    g_autofree char *key = g_base64_encode(random, sizeof(random));
    g_autofree char *request = g_strdup_printf("GET %s HTTP/1.1\r\n"
                                               "Host: %s\r\n"
                                               "Upgrade: websocket\r\n"
                                               "Connection: Upgrade\r\n"
                                               "Sec-WebSocket-Key: %s\r\n"
                                               "Sec-WebSocket-Version: 13\r\n"
                                               "Sec-WebSocket-Protocol: binary\r\n\r\n",
                                               path, strstr(url, "://") + 3, key);
    int64_t end_us = g_get_monotonic_time() + (int64_t)HANDSHAKE_TIMEOUT_MS * 1000;
    size_t length = 0;
    int problem = send_request(websocket, request, end_us);
    if (problem == 0) {
        problem = read_headers(websocket, &length, end_us);
    }
    if (problem != 0) {
        return cli_error_set(error, CLI_FAILED, "the console's connection failed: %s", g_strerror(-problem));
    }
    g_autofree char *headers = g_strndup(websocket->early.data, length);
    websocket->early_taken = length;
    return judge_answer(websocket, headers, key, end_us, error);
}

/* ---- life ----------------------------------------------------------------------------------------- */

int cli_websocket_new(CURL *curl, const char *url, const char *path, cli_websocket_fn receive, void *data,
                      struct cli_websocket **ret, struct cli_error *error)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_genmask,
        .on_msg_recv_callback = on_message,
    };
    struct cli_websocket *websocket = g_new0(struct cli_websocket, 1);
    websocket->curl = curl;
    websocket->receive = receive;
    websocket->data = data;
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
    websocket->fd = fd;
    int code = handshake(websocket, url, path, error);
    if (code != CLI_OK) {
        cli_websocket_free(websocket);
        return code;
    }
    int problem = wslay_event_context_client_init(&websocket->frames, &callbacks, websocket);
    g_assert(problem == 0); /* fails for want of memory alone */
    wslay_event_config_set_max_recv_msg_length(websocket->frames, MAX_MESSAGE_BYTES);
    *ret = websocket;
    return CLI_OK;
}

void cli_websocket_free(struct cli_websocket *websocket)
{
    if (websocket != NULL) {
        if (websocket->frames != NULL) {
            wslay_event_context_free(websocket->frames);
        }
        curl_easy_cleanup(websocket->curl);
        buffer_free(&websocket->early);
        g_free(websocket);
    }
}

int cli_websocket_fd(const struct cli_websocket *websocket)
{
    return websocket->fd;
}

short cli_websocket_events(const struct cli_websocket *websocket)
{
    bool reads = wslay_event_want_read(websocket->frames);
    bool writes = wslay_event_want_write(websocket->frames);
    return (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

void cli_websocket_send(struct cli_websocket *websocket, const void *bytes, size_t length)
{
    struct wslay_event_msg message = {.opcode = WSLAY_BINARY_FRAME, .msg = bytes, .msg_length = length};
    wslay_event_queue_msg(websocket->frames, &message); /* after a close it is refused, and that is right */
}

size_t cli_websocket_queued(const struct cli_websocket *websocket)
{
    return wslay_event_get_queued_msg_length(websocket->frames);
}

void cli_websocket_close(struct cli_websocket *websocket)
{
    wslay_event_queue_close(websocket->frames, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
}

bool cli_websocket_work(struct cli_websocket *websocket)
{
    if (wslay_event_recv(websocket->frames) != 0 || wslay_event_send(websocket->frames) != 0) {
        websocket->broken = true;
    }
    return !websocket->broken &&
           (wslay_event_want_read(websocket->frames) || wslay_event_want_write(websocket->frames));
}

bool cli_websocket_closed_well(const struct cli_websocket *websocket)
{
    return !websocket->broken || wslay_event_get_close_received(websocket->frames);
}
