// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the HTTP server share; for nobody else.
 *
 *   http.c           the server: listening, accepting, deadlines, watching detached requests, stopping
 *   http_request.c   from libmicrohttpd's callbacks to a checked request and its body
 *   http_response.c  answers, ranges of files, switched protocols
 *   http_upload.c    the sink that writes files
 *
 * Threads: libmicrohttpd's own ("server threads", each with its connections for life), the watching thread,
 * and whoever answers a detached request. A request belongs to its server thread; by detaching it goes to
 * the answerer, by answering (which resumes the connection) back. Only server threads touch what is
 * libmicrohttpd's, except to resume. Locks, in order: stall_lock of a request; libmicrohttpd's own.
 * server->lock is never held while libmicrohttpd or a function of the user is called.
 */
#pragma once

#include "vim/http.h"

#include <glib.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>

#define HTTP_MAX_LISTEN 8
#define HTTP_MAX_HEADERS 100
/* How much of a refused body is read and thrown away so that the client can read why. */
#define HTTP_DRAIN_BYTES (1024 * 1024)
/* Buffers up to this size stay with their connection and are not counted. */
#define HTTP_SMALL_BODY (16 * 1024)

enum http_phase {
    HTTP_PHASE_NEW = 1, /* the request line has come */
    HTTP_PHASE_BODY,    /* the headers are complete */
    HTTP_PHASE_HANDLED, /* the handler was called, or an answer is decided */
};

struct http_request {
    struct http_connection *connection;
    enum http_phase phase;
    const char *method;  /* libmicrohttpd's, as long as the request */
    const char *raw_uri; /* the same; only its place counts, its contents are cut up by libmicrohttpd */
    size_t raw_uri_length;
    struct buffer uri;       /* path, NUL, query, NUL; the memory is reused */
    size_t query_offset;     /* in uri */
    uint64_t content_length; /* UINT64_MAX: chunked */
    unsigned refused;        /* status to answer with instead of calling the handler, or 0 */
    bool end_connection;     /* the framing cannot be trusted: answer and close */

    struct buffer body;
    size_t counted_bytes; /* of body, in server->buffered_bytes */
    uint64_t received_bytes;
    uint64_t drained_bytes; /* thrown away because of refused */
    int64_t body_start_ms;  /* moved on by the time the sink makes the client wait */

    bool has_sink;
    struct http_sink sink;
    void *sink_data;          /* for the handler */
    GMutex stall_lock;        /* guards the next two; also held while suspending for the sink */
    bool stalled;             /* suspended until the sink has room */
    bool sink_ready;          /* the sink had room again before the connection was suspended */
    int64_t stalled_since_ms; /* 0: not stalled since the last bytes */

    bool detached;     /* written by the server thread only */
    uint64_t watch_id; /* of the closed-function, or 0 */
    void (*closed)(void *data);
    void *closed_data;

    /* The answer; set by the answerer. */
    struct MHD_Response *response; /* a reference is owned; NULL: none yet */
    unsigned status;
    uint64_t response_bytes;     /* for the deadline */
    struct http_stream *upgrade; /* owned until the switch; with a response for it */
};

struct http_connection {
    struct http_server *server;
    struct MHD_Connection *mhd;
    GList link; /* in server->connections */
    int fd;     /* libmicrohttpd's */
    char peer[INET6_ADDRSTRLEN];
    uint16_t peer_port;
    _Atomic int64_t deadline_ms; /* when the watching thread cuts it off; 0: never */
    struct http_request request; /* reused for each request */
};

struct http_stream {
    struct http_server *server;
    GList link; /* in server->streams */
    struct MHD_UpgradeResponseHandle *handle;
    int fd;              /* libmicrohttpd's */
    struct buffer extra; /* bytes that came before the switch */
    size_t extra_used;
    http_stream_fn fn;
    void *data; /* for fn */
};

struct http_listener {
    int fd; /* owned; -1 once stopped */
    uint16_t port;
};

struct http_server {
    struct http_server_options options; /* defaults filled in; the strings are not kept */
    struct MHD_Daemon *daemon;
    struct http_listener listeners[HTTP_MAX_LISTEN];
    size_t n_listeners;
    bool is_tls;

    atomic_bool stopping;
    atomic_uint n_in_handler; /* server threads within functions of the user */
    atomic_uint n_connections;
    _Atomic size_t buffered_bytes; /* of large bodies */

    GThread *watch_thread;
    int epoll_fd; /* listeners, wake_fd, sockets of watched requests */
    int wake_fd;
    atomic_bool watch_ends;
    int64_t accept_again_ms; /* watching thread only: accepting pauses until then; 0: it does not */

    GMutex lock;         /* guards all below */
    GCond changed;       /* n_suspended or n_streams fell, or a closed-function returned */
    GQueue connections;  /* of struct http_connection, by link */
    GHashTable *watched; /* watch_id -> request that is detached and has a closed-function */
    uint64_t last_watch_id;
    uint64_t firing_id;    /* whose closed-function runs now, or 0 */
    unsigned n_suspended;  /* connections that libmicrohttpd must not be stopped with */
    GQueue streams;        /* of struct http_stream, by link: those that may be shut down */
    unsigned n_streams;    /* with a thread that has not ended */
    GSList *ended_threads; /* of streams, to be joined */
};

/* http.c */
void http_count_suspended(struct http_server *server);
void http_uncount_suspended(struct http_server *server);
void http_unwatch(struct http_request *request);
void http_wake_watcher(struct http_server *server);
int64_t http_now_ms(void);

/* http_request.c: libmicrohttpd's callbacks */
void *http_on_uri(void *data, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_on_request(void *data, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_length,
                                void **context);
void http_on_completed(void *data, struct MHD_Connection *mhd, void **context,
                       enum MHD_RequestTerminationCode code);
void http_request_init(struct http_request *request, struct http_connection *connection);
void http_request_clear(struct http_request *request);

/* http_response.c */
enum MHD_Result http_queue_response(struct http_request *request);
void http_stream_discard(struct http_stream *stream);
