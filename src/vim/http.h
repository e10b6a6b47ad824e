// SPDX-License-Identifier: Apache-2.0
/*
 * The HTTP server: takes bytes from clients and gives whole, checked requests to one handler. Everything
 * that speaks HTTP (SOAP, VI/JSON, REST, files of datastores, consoles, the web client) is behind it.
 *
 * A request is answered exactly once: at once on the server's thread, or later from any thread after
 * http_request_detach(). A detached request owns no thread and has no time-out; thousands may wait.
 * What is dangerous on the wire is refused before the handler sees it: both Content-Length and
 * Transfer-Encoding (400), other ambiguous framing (400), bad percent-encoding, NUL or invalid UTF-8 in
 * the path (400), bodies over the limit (413), headers over the limit (431, 414), clients that take too
 * long for headers, body or reading the answer, also when they do it byte by byte (cut off).
 *
 * Built on libmicrohttpd in poll mode (in epoll mode a thread stalls when exactly 128 sockets are ready).
 */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct http_request;
struct http_server;
struct http_stream;
struct worker_pool;

/* A header of a response. Lists of them end with a NULL name; a NULL list is empty. */
struct http_header {
    const char *name;
    const char *value;
};

/*
 * Takes the body of an upload piece by piece. All functions run on a thread of the server: they must not
 * block for long (see http_file_sink for one that writes files by a worker).
 */
struct http_sink {
    /*
     * Takes up to length bytes; returns how many it took, or a negative errno. Having taken less than
     * all, it must call http_request_sink_ready() when there is room again; until then the client waits.
     */
    ssize_t (*write)(void *data, const char *bytes, size_t length);
    /*
     * All bytes were given. 0 when they are where they should be: then the handler is called. -EAGAIN:
     * http_request_sink_ready() will be called, and this once more after it. Another negative errno: failed.
     */
    int (*finish)(void *data);
    /*
     * The last call, exactly once: after the request is over, or when the upload broke off. May wait
     * for the sink's own workers; after it http_request_sink_ready() must not be called.
     */
    void (*free)(void *data);
    void *data;
};

/* Answers the request, or detaches it. On a thread of the server: it must not block. */
typedef void (*http_handler)(void *data, struct http_request *request);

struct http_server_options {
    const char *const *listen; /* "127.0.0.1:443", "[::1]:443", ":443" (all addresses, IPv4 and IPv6);
                                   port 0 takes a free one; NULL-terminated, at most 8 */
    const char *tls_cert_pem;  /* the chain, server's own first; NULL with tls_key_pem for plain HTTP */
    const char *tls_key_pem;
    unsigned threads;                /* that serve; 0: one for each processor */
    unsigned max_connections;        /* 0: 4096. More are closed at once */
    unsigned max_connections_per_ip; /* 0: no limit (a proxy in front shows one address) */
    size_t max_header_bytes;         /* memory of one connection for its headers; 0: 32 KiB, at least 4 KiB */
    size_t max_body_bytes;           /* of one buffered body; 0: 16 MiB. Sinks have no limit here */
    size_t max_buffered_bytes;       /* of all large buffered bodies together, above that 503; 0: 512 MiB */
    unsigned header_timeout_ms;      /* for TLS handshake and headers; 0: 20 s */
    unsigned body_timeout_ms;        /* for a body, plus its length by min_rate; 0: 30 s */
    unsigned send_timeout_ms; /* for the client to take an answer, plus its length by min_rate; 0: 60 s */
    unsigned idle_timeout_ms; /* between requests, and without any progress; 0: 960 s. Whole seconds */
    unsigned min_rate;        /* bytes per second a client must manage; 0: 4096 */
    /*
     * Called when the headers are complete, before the body; may be NULL. It may choose a sink, or
     * refuse by http_respond() (the connection ends then, if a body was announced). It must not detach.
     */
    http_handler begin;
    http_handler handler; /* called when the request is complete */
    void *data;           /* for both; outlives the server */
};

/*
 * Starts a server. 0 or a negative errno (-EINVAL: an address or the TLS credentials are not valid); on
 * failure *ret_message is a sentence for people, freed with g_free.
 */
int http_server_new(const struct http_server_options *options, struct http_server **ret, char **ret_message);

/* The real port of the n-th listen address; 0 when there is no n-th. */
uint16_t http_server_port(const struct http_server *server, size_t n);

/*
 * Stops: accepts nothing more, calls the closed-functions of all detached requests and waits until each
 * is answered, breaks the upgraded streams and waits for their functions to return. The caller makes sure
 * that its detached requests will be answered. Not from a thread of the server.
 */
void http_server_free(struct http_server *server);

/*
 * What follows reads a request. From begin and handler, and while detached from any one thread at a time,
 * until it is answered. Strings live as long as the request, and belong to it.
 */
const char *http_request_method(const struct http_request *request);
/* Percent-decoded UTF-8 without NUL; begins with '/' or is "*". ".." is left as it is. */
const char *http_request_path(const struct http_request *request);
/* As the client sent it, without the '?'; "" when there is none. */
const char *http_request_query(const struct http_request *request);
/* The decoded value of a query parameter ('+' is a space), freed with g_free; NULL when it is not there
 * or its encoding is bad. */
char *http_request_query_value(const struct http_request *request, const char *name);
/* The value of a header, the first of several; names in any case. NULL when it is not there. */
const char *http_request_header(const struct http_request *request, const char *name);
/* The value of a cookie without surrounding quotes; NULL when it is not there. */
const char *http_request_cookie(const struct http_request *request, const char *name);
/* Numeric address without port; an IPv4 client of an IPv6 socket is written as IPv4. */
const char *http_request_peer(const struct http_request *request);
uint16_t http_request_peer_port(const struct http_request *request);
bool http_request_is_tls(const struct http_request *request);
/* Content-Length, or -1 when it is not known in advance; 0 without a body. */
int64_t http_request_content_length(const struct http_request *request);
/* The buffered body, not NUL-terminated; empty when a sink took it, and in begin. */
const char *http_request_body(const struct http_request *request, size_t *ret_length);

/* Only in begin: the body goes to the sink instead of memory. The sink is copied. */
void http_request_set_sink(struct http_request *request, const struct http_sink *sink);
/* The data of the sink, for the handler; NULL without a sink. */
void *http_request_sink_data(const struct http_request *request);
/* The sink has room again, or is finished. From any thread, until the sink's free has returned. */
void http_request_sink_ready(struct http_request *request);

/* A sink that writes into a file, by a worker: two buffers of 256 KiB, then the client waits. */
struct http_file_sink {
    int fd;                   /* ownership is taken */
    uint64_t offset;          /* where the first byte goes */
    uint64_t max_bytes;       /* more is -EFBIG, answered with 413 */
    struct worker_pool *pool; /* outlives the server */
    /* Called once, on a server thread, after the fd is closed. error: 0 when all was written and synced
     * (the handler has been called then), else a negative errno; -ECONNABORTED: the client went away. */
    void (*closed)(void *data, int error);
    void *data; /* for closed */
};
/* Only in begin. */
void http_request_set_file_sink(struct http_request *request, const struct http_file_sink *sink);

/*
 * From the handler, on its thread: the request will be answered later, by whoever gets it. To be called
 * before another thread can see the request. The handler must not use the request after handing it on.
 */
void http_request_detach(struct http_request *request);

/*
 * fn(data) is called once when the client closes the connection while the request is detached, or the
 * server stops. The request must still be answered, also from within fn. fn runs on the server's watching
 * thread and must be short. It is not running and will not run when http_respond*() has returned, unless
 * that was called from fn; so never answer while holding a lock that fn takes. After detach, before
 * another thread can see the request.
 */
void http_request_on_closed(struct http_request *request, void (*fn)(void *data), void *data);

/*
 * Each of the following answers the request, which must not be used after it. From the handler, or when
 * detached from any thread. They cannot fail; what cannot be sent (a header with a line break, memory)
 * becomes a 500, and an answer to a client that went away is dropped.
 */

/* Ownership of body is taken (its data was made by g_malloc). content_type may be NULL with no body. */
void http_respond(struct http_request *request, unsigned status, const char *content_type, struct buffer body,
                  const struct http_header *headers);

/* The same with a copy of text as body, as text/plain; for errors. */
void http_respond_text(struct http_request *request, unsigned status, const char *text);

/* A part of a file as body. */
struct http_file {
    int fd;                   /* of a regular file; ownership is taken */
    uint64_t offset;          /* where the body begins in the file */
    uint64_t size;            /* length of the whole body */
    const char *content_type; /* NULL: application/octet-stream */
    const char *etag;         /* with its quotes, for If-Range; or NULL */
    const struct http_header *headers;
};
/* 200, or for GET with a Range of one part 206 or 416 (several parts: the whole, RFC 9110 14.2). */
void http_respond_file(struct http_request *request, const struct http_file *file);

/*
 * Switches the connection to another protocol (101) and calls fn(data, stream) on a thread of its own. When
 * fn returns the connection ends. If the client went away before the switch, fn is called with a NULL
 * stream, on a thread of the server. With a request that cannot be switched (HTTP/1.0) that happens too,
 * and the client gets 400. headers do not contain Connection and Upgrade.
 */
typedef void (*http_stream_fn)(void *data, struct http_stream *stream);
void http_upgrade(struct http_request *request, const char *protocol, const struct http_header *headers,
                  http_stream_fn fn, void *data);

/*
 * An upgraded connection, for its function's thread. The fd is non-blocking and may be polled; what TLS or
 * the server hold back is not seen there, so poll without waiting while http_stream_has_pending().
 */
int http_stream_fd(const struct http_stream *stream);
bool http_stream_has_pending(const struct http_stream *stream);
/* Like recv and send: bytes, 0 at the end (read only), or negative errno: -EAGAIN, -EPIPE... */
ssize_t http_stream_read(struct http_stream *stream, void *buffer, size_t length);
ssize_t http_stream_write(struct http_stream *stream, const void *data, size_t length);
