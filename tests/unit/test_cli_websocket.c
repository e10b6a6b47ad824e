// SPDX-License-Identifier: Apache-2.0
/*
 * The WebSocket client against a small server on a loopback socket, which does what a test tells it: greets
 * before it is asked, answers wrongly, refuses, breaks off. Frames are checked as bytes of RFC 6455.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/client.h"
#include "cli/websocket.h"

/* What the server does after it has read the request. */
enum script {
    ECHO = 1, /* greets in the same bytes as the handshake, echoes one frame, agrees to the close */
    BAD_ACCEPT,
    REFUSE,    /* 409 with a text */
    BREAK_OFF, /* closes without a close frame */
    SILENT,    /* closes without an answer */
};

struct server {
    int listener;
    enum script script;
    GThread *thread;
};

static void read_exactly(int fd, void *bytes, size_t length)
{
    g_assert_cmpint(recv(fd, bytes, length, MSG_WAITALL), ==, (ssize_t)length);
}

/* Reads a short masked frame with FIN, as a client must send it; returns its opcode. */
static int read_frame(int fd, char *ret_text, size_t *ret_length)
{
    unsigned char head[6];
    read_exactly(fd, head, sizeof(head));
    g_assert_cmpint(head[0] & 0xf0, ==, 0x80);
    g_assert_cmpint(head[1] & 0x80, ==, 0x80);
    size_t length = head[1] & 0x7f;
    g_assert_cmpuint(length, <, 126);
    read_exactly(fd, ret_text, length);
    for (size_t i = 0; i < length; i++) {
        ret_text[i] ^= (char)head[2 + i % 4];
    }
    *ret_length = length;
    return head[0] & 0x0f;
}

static void serve_echo(int fd, const char *accept)
{
    char text[126];
    size_t length;
    g_autofree char *answer = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                              "sec-websocket-accept:  %s\r\n\r\n\x82\x05"
                                              "hello",
                                              accept);
    g_assert_cmpint(file_write_all(fd, answer, strlen(answer)), ==, 0);
    g_assert_cmpint(read_frame(fd, text, &length), ==, 2);
    g_assert_cmpmem(text, length, "ping", 4);
    g_assert_cmpint(file_write_all(fd,
                                   "\x82\x02"
                                   "ok",
                                   4),
                    ==, 0);
    g_assert_cmpint(read_frame(fd, text, &length), ==, 8);
    g_assert_cmpint(file_write_all(fd, "\x88\x02\x03\xe8", 4), ==, 0); /* close, 1000 */
}

static void serve_client(const struct server *server, int fd, const char *accept)
{
    static const char body[] = "somebody else uses the console\n";
    g_autofree char *answer = NULL;
    char byte;
    switch (server->script) {
    case ECHO:
        serve_echo(fd, accept);
        break;
    case BAD_ACCEPT:
        answer = g_strdup("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n");
        g_assert_cmpint(file_write_all(fd, answer, strlen(answer)), ==, 0);
        break;
    case REFUSE:
        answer = g_strdup_printf("HTTP/1.1 409 Conflict\r\nContent-Length: %zu\r\n\r\n", strlen(body));
        g_assert_cmpint(file_write_all(fd, answer, strlen(answer)), ==, 0);
        g_assert_cmpint(file_write_all(fd, body, strlen(body)), ==, 0);
        break;
    case BREAK_OFF:
        answer =
            g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
        g_assert_cmpint(file_write_all(fd, answer, strlen(answer)), ==, 0);
        break;
    case SILENT:
        break;
    }
    shutdown(fd, SHUT_WR);
    (void)!recv(fd, &byte, 1, 0); /* until the client has gone, so that nothing it was sent is lost */
}

static void *serve(void *data)
{
    struct server *server = data;
    char request[4096] = "";
    size_t length = 0;
    int fd = accept(server->listener, NULL, NULL);
    while (strstr(request, "\r\n\r\n") == NULL) {
        ssize_t got = recv(fd, request + length, sizeof(request) - 1 - length, 0);
        g_assert_cmpint(got, >, 0);
        length += (size_t)got;
        request[length] = '\0';
    }
    g_assert_true(g_str_has_prefix(request, "GET /ticket/1 HTTP/1.1\r\n"));
    g_assert_nonnull(strstr(request, "\r\nSec-WebSocket-Version: 13\r\n"));
    const char *key = strstr(request, "Sec-WebSocket-Key: ") + strlen("Sec-WebSocket-Key: ");
    g_autofree char *key_text = g_strndup(key, strcspn(key, "\r"));
    g_autofree char *accept_text = cli_websocket_accept(key_text);
    serve_client(server, fd, accept_text);
    close(fd);
    return NULL;
}

/* Starts a server; its URL is freed with g_free. */
static char *server_start(struct server *server, enum script script)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    server->script = script;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(server->listener, (struct sockaddr *)&address, size), ==, 0);
    g_assert_cmpint(listen(server->listener, 1), ==, 0);
    g_assert_cmpint(getsockname(server->listener, (struct sockaddr *)&address, &size), ==, 0);
    server->thread = g_thread_new("server", serve, server);
    return g_strdup_printf("http://127.0.0.1:%d", ntohs(address.sin_port));
}

static void server_stop(struct server *server)
{
    g_thread_join(server->thread);
    close(server->listener);
}

static void take(void *data, const unsigned char *bytes, size_t length)
{
    g_string_append_len(data, (const char *)bytes, (gssize)length);
}

/* Opens a WebSocket to the server. */
static int open_websocket(const char *url, GString *received, struct cli_websocket **ret,
                          struct cli_error *error)
{
    struct cli_server remembered = {.url = (char *)url, .trust = CLI_TRUST_ANY};
    struct cli_client *client = cli_client_new(&remembered);
    CURL *curl = NULL;
    g_assert_cmpint(cli_client_open(client, &curl, error), ==, CLI_OK);
    int code = cli_websocket_new(curl, url, "/ticket/1", take, received, ret, error);
    cli_client_free(client);
    return code;
}

/* Works until so much is received, or the connection has ended, and returns whether it lives. */
static bool work_until(struct cli_websocket *websocket, const GString *received, size_t length)
{
    while (cli_websocket_work(websocket)) {
        if (received->len >= length) {
            return true;
        }
        struct pollfd fd = {.fd = cli_websocket_fd(websocket), .events = cli_websocket_events(websocket)};
        g_assert_cmpint(poll(&fd, 1, 30000), ==, 1);
    }
    return false;
}

static void test_echo(void)
{
    struct server server;
    struct cli_websocket *websocket = NULL;
    struct cli_error error = {0};
    g_autoptr(GString) received = g_string_new(NULL);
    g_autofree char *url = server_start(&server, ECHO);
    g_assert_cmpint(open_websocket(url, received, &websocket, &error), ==, CLI_OK);
    g_assert_true(work_until(websocket, received, 5)); /* came with the handshake: no poll would tell */
    g_assert_cmpstr(received->str, ==, "hello");
    cli_websocket_send(websocket, "ping", 4);
    g_assert_true(work_until(websocket, received, 7));
    g_assert_cmpstr(received->str, ==, "hellook");
    cli_websocket_close(websocket);
    g_assert_false(work_until(websocket, received, SIZE_MAX));
    g_assert_true(cli_websocket_closed_well(websocket));
    cli_websocket_free(websocket);
    server_stop(&server);
}

static void check_refused(enum script script, const char *message)
{
    struct server server;
    struct cli_websocket *websocket = NULL;
    struct cli_error error = {0};
    g_autoptr(GString) received = g_string_new(NULL);
    g_autofree char *url = server_start(&server, script);
    g_assert_cmpint(open_websocket(url, received, &websocket, &error), ==, CLI_FAILED);
    g_assert_null(websocket);
    g_assert_cmpstr(error.message, ==, message);
    cli_error_clear(&error);
    server_stop(&server);
}

static void test_bad_accept(void)
{
    check_refused(BAD_ACCEPT, "the server does not speak WebSocket as it should");
}

static void test_refuse(void)
{
    check_refused(REFUSE, "there is no console: somebody else uses the console");
}

static void test_silent(void)
{
    check_refused(SILENT, "the console's connection failed: Connection reset by peer");
}

static void test_break_off(void)
{
    struct server server;
    struct cli_websocket *websocket = NULL;
    struct cli_error error = {0};
    g_autoptr(GString) received = g_string_new(NULL);
    g_autofree char *url = server_start(&server, BREAK_OFF);
    g_assert_cmpint(open_websocket(url, received, &websocket, &error), ==, CLI_OK);
    g_assert_false(work_until(websocket, received, SIZE_MAX));
    g_assert_false(cli_websocket_closed_well(websocket));
    cli_websocket_free(websocket);
    server_stop(&server);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/websocket/echo", test_echo);
    g_test_add_func("/cli/websocket/bad-accept", test_bad_accept);
    g_test_add_func("/cli/websocket/refuse", test_refuse);
    g_test_add_func("/cli/websocket/silent", test_silent);
    g_test_add_func("/cli/websocket/break-off", test_break_off);
    return g_test_run();
}
