// SPDX-License-Identifier: Apache-2.0
/*
 * A client of the HTTP tests that sends exactly the bytes it is told to, so that it can be as wrong and as
 * slow as a test wants. Everything has a time-out of 20 seconds: a test fails then, and does not hang.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct reply {
    int status;    /* 0: the connection ended before an answer */
    GString *head; /* with the status line */
    GString *body;
};

static inline int client_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

/* False when the server has ended the connection. */
static inline bool client_send(int fd, const void *data, size_t length)
{
    const char *p = data;
    while (length > 0) {
        ssize_t n = send(fd, p, length, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        p += n;
        length -= (size_t)n;
    }
    return true;
}

static inline bool client_send_text(int fd, const char *text)
{
    return client_send(fd, text, strlen(text));
}

/* 0 at the end, also at a reset. A time-out fails the test. */
static inline size_t client_recv(int fd, void *buffer, size_t length)
{
    ssize_t n = recv(fd, buffer, length, 0);
    g_assert_true(n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK));
    return n > 0 ? (size_t)n : 0;
}

static inline void reply_clear(struct reply *reply)
{
    g_string_free(reply->head, TRUE);
    g_string_free(reply->body, TRUE);
}

/* The value of a header of the answer, to be freed; NULL when it is not there. */
static inline char *reply_header(const struct reply *reply, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(reply->head->str, "\r\n", -1);
    size_t length = strlen(name);
    for (char **line = lines; *line != NULL; line++) {
        if (g_ascii_strncasecmp(*line, name, length) == 0 && (*line)[length] == ':') {
            return g_strdup(g_strstrip(*line + length + 1));
        }
    }
    return NULL;
}

/* Reads one answer, by its Content-Length; a HEAD's has no body. */
static inline struct reply client_read_reply(int fd, bool is_head)
{
    struct reply reply = {0, g_string_new(NULL), g_string_new(NULL)};
    char c;

    while (!g_str_has_suffix(reply.head->str, "\r\n\r\n")) {
        if (client_recv(fd, &c, 1) == 0) {
            return reply;
        }
        g_string_append_c(reply.head, c);
    }
    g_assert_true(g_str_has_prefix(reply.head->str, "HTTP/1.1 "));
    reply.status = atoi(reply.head->str + strlen("HTTP/1.1 "));
    g_autofree char *length_text = reply_header(&reply, "Content-Length");
    size_t length = length_text != NULL && !is_head ? g_ascii_strtoull(length_text, NULL, 10) : 0;
    g_string_set_size(reply.body, length);
    for (size_t at = 0; at < length;) {
        size_t n = client_recv(fd, reply.body->str + at, length - at);
        if (n == 0) {
            g_string_set_size(reply.body, at);
            break;
        }
        at += n;
    }
    return reply;
}

/* Reads one answer, checks its status, and returns its body, to be freed. */
static inline char *client_expect(int fd, int status)
{
    struct reply reply = client_read_reply(fd, false);
    g_assert_cmpint(reply.status, ==, status);
    g_string_free(reply.head, TRUE);
    return g_string_free(reply.body, FALSE);
}

/* The server has nothing more to say and ends the connection. */
static inline void client_expect_end(int fd)
{
    char c;
    g_assert_cmpuint(client_recv(fd, &c, 1), ==, 0);
}
