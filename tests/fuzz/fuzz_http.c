// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes on a connection of the HTTP server: what reaches the handler is what http.h promises of a
 * request, and what comes back is HTTP or nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vim/http.h"

enum {
    MAX_BODY_BYTES = 4096,
};

/* Asks for all that can be asked of a request. */
static void handle(void *data, struct http_request *request)
{
    const char *path = http_request_path(request);
    size_t length = 0;

    (void)data;
    g_assert_nonnull(http_request_method(request));
    g_assert_true(path[0] == '/' || g_str_equal(path, "*"));
    g_assert_true(g_utf8_validate(path, -1, NULL));
    g_assert_nonnull(http_request_query(request));
    g_autofree char *value = http_request_query_value(request, "a");
    g_assert_true(value == NULL || g_utf8_validate(value, -1, NULL));
    g_assert_cmpstr(http_request_peer(request), !=, "");
    const char *host = http_request_header(request, "Host");
    g_assert_true(host == NULL || strpbrk(host, "\r\n") == NULL);
    (void)http_request_cookie(request, "c");
    const char *bytes = http_request_body(request, &length);
    g_assert_cmpuint(length, <=, MAX_BODY_BYTES);
    g_assert_true(http_request_content_length(request) < 0 ||
                  (size_t)http_request_content_length(request) == length);
    BUFFER_AUTO(body);
    buffer_append(&body, bytes, length);
    struct buffer answer = body;
    body = (struct buffer)BUFFER_INIT;
    http_respond(request, 200, "application/octet-stream", answer, NULL);
}

/* Refuses some paths before their body has come. */
static void begin(void *data, struct http_request *request)
{
    (void)data;
    if (g_str_has_prefix(http_request_path(request), "/refused")) {
        http_respond_text(request, 403, "refused\n");
    }
}

static struct http_server *server_start(void)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    struct http_server_options options = {
        .listen = listen,
        .threads = 1,
        .max_body_bytes = MAX_BODY_BYTES,
        .begin = begin,
        .handler = handle,
    };
    struct http_server *server = NULL;
    char *message = NULL;
    if (http_server_new(&options, &server, &message) != 0) {
        g_error("%s", message);
    }
    return server;
}

/* A connection from another of the addresses of loopback each time: ports that were just used rest. */
static int connect_to(uint16_t port, uint32_t nth)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + (nth & 0xffff))};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes)), ==, 0);
    g_assert_cmpint(bind(fd, (const struct sockaddr *)&from, sizeof(from)), ==, 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        struct pollfd poller = {.fd = fd, .events = POLLOUT};
        g_assert_cmpint(errno, ==, EINTR); /* libFuzzer's own alarm; the connection is made all the same */
        g_assert_cmpint(TEMP_FAILURE_RETRY(poll(&poller, 1, -1)), ==, 1);
    }
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_server *server; /* one for all inputs: to start one takes longer than an input */
    static uint32_t nth;
    char start[16] = "";
    char bytes[4096];
    size_t got = 0;
    ssize_t n;

    if (server == NULL) {
        server = server_start();
    }
    int fd = connect_to(http_server_port(server, 0), nth++);
    (void)!TEMP_FAILURE_RETRY(send(fd, data, size, MSG_NOSIGNAL)); /* the server may have heard enough */
    shutdown(fd, SHUT_WR);
    while ((n = TEMP_FAILURE_RETRY(recv(fd, bytes, sizeof(bytes), 0))) > 0) {
        for (ssize_t i = 0; i < n && got < sizeof(start) - 1; i++) {
            start[got++] = bytes[i];
        }
    }
    close(fd);
    g_assert_true(got == 0 || g_str_has_prefix(start, "HTTP/1."));
    return 0;
}
