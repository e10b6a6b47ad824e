// SPDX-License-Identifier: Apache-2.0
/*
 * The server itself: sockets, libmicrohttpd's daemon, and the watching thread.
 *
 * We accept connections ourselves, for several addresses and an exact limit (libmicrohttpd 0.9.75 keeps a
 * lock forever when its own limit is met by an added connection, so it is given a limit that is never
 * met). The watching thread also does what libmicrohttpd does not: it cuts off connections past their
 * deadline, by shutting down the socket, which their server thread then sees as an end; and it sees
 * clients go away whose request is detached, since a suspended socket is not polled.
 */
#include "vim/http_internal.h"

#include "base/timer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Values of epoll_data.u64: a listener's number, this, or a watch id, which starts above it. */
#define EVENT_WAKE HTTP_MAX_LISTEN
#define FIRST_WATCH_ID (HTTP_MAX_LISTEN + 1)

#define ACCEPT_PAUSE_MS 100
#define ACCEPT_BATCH 64
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

int64_t http_now_ms(void)
{
    return timer_now_ms();
}

void http_wake_watcher(struct http_server *server)
{
    uint64_t one = 1;
    ssize_t n = write(server->wake_fd, &one, sizeof(one));
    (void)n; /* fails only when it is awake anyway */
}

/* --- Requests that wait ---------------------------------------------------------------------------- */

void http_count_suspended(struct http_server *server)
{
    g_mutex_lock(&server->lock);
    server->n_suspended++;
    g_mutex_unlock(&server->lock);
}

/* The last touch of the server by an answerer: after this it may be freed. */
void http_uncount_suspended(struct http_server *server)
{
    g_mutex_lock(&server->lock);
    server->n_suspended--;
    g_cond_broadcast(&server->changed);
    g_mutex_unlock(&server->lock);
}

void http_request_on_closed(struct http_request *request, void (*fn)(void *data), void *data)
{
    struct http_server *server = request->connection->server;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT};

    g_return_if_fail(request->detached && request->watch_id == 0);
    request->closed = fn;
    request->closed_data = data;
    g_mutex_lock(&server->lock);
    request->watch_id = event.data.u64 = ++server->last_watch_id;
    g_hash_table_insert(server->watched, &request->watch_id, request);
    /* It fails only for want of kernel memory: then the client's leaving is seen late. */
    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, request->connection->fd, &event);
    g_mutex_unlock(&server->lock);
    if (atomic_load(&server->stopping)) {
        http_wake_watcher(server);
    }
}

/* The answerer's: no closed-function runs after this, except the one that calls it. */
void http_unwatch(struct http_request *request)
{
    struct http_server *server = request->connection->server;
    uint64_t id = request->watch_id;

    if (id == 0) {
        return;
    }
    g_mutex_lock(&server->lock);
    if (g_hash_table_remove(server->watched, &id)) {
        epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, request->connection->fd, NULL);
    }
    while (server->firing_id == id && g_thread_self() != server->watch_thread) {
        g_cond_wait(&server->changed, &server->lock);
    }
    g_mutex_unlock(&server->lock);
    request->watch_id = 0;
}

/* Calls the closed-function of one watched request. The request may be gone when it returns. */
static void fire_closed(struct http_server *server, uint64_t id)
{
    g_mutex_lock(&server->lock);
    struct http_request *request = g_hash_table_lookup(server->watched, &id);
    if (request == NULL) {
        g_mutex_unlock(&server->lock);
        return;
    }
    g_hash_table_remove(server->watched, &id);
    epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, request->connection->fd, NULL);
    void (*fn)(void *data) = request->closed;
    void *data = request->closed_data;
    server->firing_id = id;
    g_mutex_unlock(&server->lock);

    fn(data);

    g_mutex_lock(&server->lock);
    server->firing_id = 0;
    g_cond_broadcast(&server->changed);
    g_mutex_unlock(&server->lock);
}

static void fire_all(struct http_server *server)
{
    for (;;) {
        GHashTableIter iter;
        gpointer key;
        g_mutex_lock(&server->lock);
        g_hash_table_iter_init(&iter, server->watched);
        uint64_t id = g_hash_table_iter_next(&iter, &key, NULL) ? *(uint64_t *)key : 0;
        g_mutex_unlock(&server->lock);
        if (id == 0) {
            return;
        }
        fire_closed(server, id);
    }
}

/* --- Accepting, and cutting off -------------------------------------------------------------------- */

static void listen_events(struct http_server *server, int operation, uint32_t events)
{
    for (size_t i = 0; i < server->n_listeners; i++) {
        struct epoll_event event = {.events = events, .data.u64 = i};
        if (server->listeners[i].fd >= 0) {
            epoll_ctl(server->epoll_fd, operation, server->listeners[i].fd, &event);
        }
    }
}

static void accept_connections(struct http_server *server, int listen_fd)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof(address);
        int fd = accept4(listen_fd, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                /* The socket stays readable: without a pause this thread would spin. */
                listen_events(server, EPOLL_CTL_MOD, 0);
                server->accept_again_ms = http_now_ms() + ACCEPT_PAUSE_MS;
            }
            if (errno != EINTR && errno != ECONNABORTED) {
                return;
            }
        } else if (atomic_fetch_add(&server->n_connections, 1) >= server->options.max_connections) {
            atomic_fetch_sub(&server->n_connections, 1);
            close(fd);
        } else if (MHD_add_connection(server->daemon, fd, (struct sockaddr *)&address, length) != MHD_YES) {
            atomic_fetch_sub(&server->n_connections, 1); /* it has closed the socket */
        }
    }
}

static void sweep(struct http_server *server)
{
    /* Closing then also drops what the client has not taken, instead of keeping it in the kernel. */
    const struct linger drop = {.l_onoff = 1, .l_linger = 0};
    int64_t now = http_now_ms();

    /* A connection leaves the list before its socket is closed, so the lock keeps the fd the right one. */
    g_mutex_lock(&server->lock);
    for (GList *link = server->connections.head; link != NULL; link = link->next) {
        struct http_connection *connection = link->data;
        int64_t deadline = atomic_load_explicit(&connection->deadline_ms, memory_order_relaxed);
        if (deadline != 0 && deadline < now) {
            setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &drop, sizeof(drop));
            shutdown(connection->fd, SHUT_RDWR);
        }
    }
    g_mutex_unlock(&server->lock);
    if (server->accept_again_ms != 0 && server->accept_again_ms <= now) {
        server->accept_again_ms = 0;
        listen_events(server, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void stop_listening(struct http_server *server)
{
    for (size_t i = 0; i < server->n_listeners; i++) {
        if (server->listeners[i].fd >= 0) {
            close(server->listeners[i].fd);
            server->listeners[i].fd = -1;
        }
    }
}

/* How often deadlines are looked at: often enough to be a quarter late at most. */
static int sweep_interval_ms(const struct http_server_options *options)
{
    unsigned shortest = MIN(MIN(options->header_timeout_ms, options->body_timeout_ms),
                            MIN(options->send_timeout_ms, options->idle_timeout_ms));
    return (int)CLAMP(shortest / 4, 20, 1000);
}

static gpointer watch_thread(gpointer data)
{
    struct http_server *server = data;
    int interval_ms = sweep_interval_ms(&server->options);
    int64_t next_sweep_ms = http_now_ms() + interval_ms;

    while (!atomic_load(&server->watch_ends)) {
        struct epoll_event events[64];
        int64_t wait_ms = MIN(next_sweep_ms, server->accept_again_ms ?: INT64_MAX) - http_now_ms();
        int n = epoll_wait(server->epoll_fd, events, G_N_ELEMENTS(events), (int)MAX(wait_ms, 0));
        for (int i = 0; i < n; i++) {
            uint64_t id = events[i].data.u64;
            if (id >= FIRST_WATCH_ID) {
                fire_closed(server, id);
            } else if (id == EVENT_WAKE) {
                uint64_t count;
                ssize_t ignored = read(server->wake_fd, &count, sizeof(count));
                (void)ignored;
            } else if (!atomic_load(&server->stopping)) {
                accept_connections(server, server->listeners[id].fd);
            }
        }
        if (atomic_load(&server->stopping)) {
            stop_listening(server);
            fire_all(server);
        }
        if (http_now_ms() >= next_sweep_ms || server->accept_again_ms != 0) {
            sweep(server);
            next_sweep_ms = http_now_ms() + interval_ms;
        }
    }
    return NULL;
}

/* --- Connections ----------------------------------------------------------------------------------- */

static void write_peer(struct http_connection *connection, const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &in->sin_addr, connection->peer, sizeof(connection->peer));
        connection->peer_port = ntohs(in->sin_port);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], connection->peer, sizeof(connection->peer));
        } else {
            inet_ntop(AF_INET6, &in6->sin6_addr, connection->peer, sizeof(connection->peer));
        }
        connection->peer_port = ntohs(in6->sin6_port);
    }
}

static void on_connection(void *data, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = data;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct http_connection *connection = g_new0(struct http_connection, 1);
        connection->server = server;
        connection->mhd = mhd;
        connection->link.data = connection;
        connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        write_peer(connection, MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
        connection->deadline_ms = http_now_ms() + server->options.header_timeout_ms;
        http_request_init(&connection->request, connection);
        *context = connection;
        g_mutex_lock(&server->lock);
        g_queue_push_tail_link(&server->connections, &connection->link);
        g_mutex_unlock(&server->lock);
    } else {
        struct http_connection *connection = *context;
        g_mutex_lock(&server->lock);
        g_queue_unlink(&server->connections, &connection->link);
        g_mutex_unlock(&server->lock);
        http_request_clear(&connection->request);
        g_free(connection);
        atomic_fetch_sub(&server->n_connections, 1);
    }
}

/* --- Start and stop -------------------------------------------------------------------------------- */

/* Parses "ADDR:PORT", "[ADDR6]:PORT" or ":PORT". */
static int parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length)
{
    const char *colon = strrchr(text, ':');
    guint64 port;

    if (colon == NULL || !g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL)) {
        return -EINVAL;
    }
    g_autofree char *host = g_strndup(text, (gsize)(colon - text));
    size_t length = strlen(host);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        memcpy(ret, &in, sizeof(in));
        *ret_length = sizeof(in);
        return 0;
    }
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &in6.sin6_addr) != 1) {
            return -EINVAL;
        }
    } else if (length > 0) {
        return -EINVAL;
    }
    memcpy(ret, &in6, sizeof(in6));
    *ret_length = sizeof(in6);
    return 0;
}

static int bind_and_listen(int fd, const struct sockaddr_storage *address, socklen_t length, bool only_v6)
{
    int on = 1, v6only = only_v6;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0) {
        return -errno;
    }
    if (bind(fd, (const struct sockaddr *)address, length) < 0 || listen(fd, 1024) < 0) {
        return -errno;
    }
    return 0;
}

static int open_listener(struct http_server *server, const char *text)
{
    struct http_listener *listener = &server->listeners[server->n_listeners];
    struct sockaddr_storage address = {0};
    socklen_t length;

    int r = parse_address(text, &address, &length);
    if (r < 0) {
        return r;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && text[0] == ':' && errno == EAFNOSUPPORT) {
        /* A machine without IPv6: all addresses are then those of IPv4. */
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_port = ((struct sockaddr_in6 *)&address)->sin6_port};
        memset(&address, 0, sizeof(address));
        memcpy(&address, &in, sizeof(in));
        length = sizeof(in);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0) {
        return -errno;
    }
    r = bind_and_listen(fd, &address, length, text[0] != ':');
    if (r == 0 && getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
        r = -errno;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    /* The port is at the same place for both families. */
    *listener = (struct http_listener){fd, ntohs(((struct sockaddr_in *)&address)->sin_port)};
    server->n_listeners++;
    return 0;
}

static int open_listeners(struct http_server *server, const char *const *texts, char **ret_message)
{
    for (size_t i = 0; texts[i] != NULL; i++) {
        int r = i < HTTP_MAX_LISTEN ? open_listener(server, texts[i]) : -E2BIG;
        if (r < 0) {
            *ret_message = g_strdup_printf("cannot listen on \"%s\": %s", texts[i], g_strerror(-r));
            return r;
        }
    }
    return 0;
}

/* libmicrohttpd would decode in place and quietly keep what is wrong; we decode a copy, strictly. */
static size_t keep_escapes(void *data, struct MHD_Connection *mhd, char *text)
{
    (void)data;
    (void)mhd;
    return strlen(text);
}

static int start_daemon(struct http_server *server, const struct http_server_options *options)
{
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
                     MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | (server->is_tls ? MHD_USE_TLS : 0);
    unsigned threads = server->options.threads;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->tls_cert_pem},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->tls_key_pem},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem pool[] = {
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    /* Its limit is divided by the threads, and must never be met by ours. */
    unsigned limit = (server->options.max_connections + 64) * threads;

    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_request, server, MHD_OPTION_URI_LOG_CALLBACK, http_on_uri, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed,
        server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        server->options.max_header_bytes, MHD_OPTION_CONNECTION_LIMIT, limit,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, server->options.max_connections_per_ip,
        MHD_OPTION_CONNECTION_TIMEOUT, MAX(server->options.idle_timeout_ms / 1000, 1),
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, server->is_tls ? tls : none, MHD_OPTION_ARRAY,
        threads > 1 ? pool : none, /* a pool of one is refused */
        MHD_OPTION_END);
    return server->daemon != NULL ? 0 : -EINVAL;
}

static void fill_defaults(struct http_server_options *options)
{
    options->threads = options->threads ?: (unsigned)g_get_num_processors();
    options->max_connections = options->max_connections ?: 4096;
    options->max_header_bytes = MAX(options->max_header_bytes ?: 32 * 1024, 4096);
    options->max_body_bytes = options->max_body_bytes ?: 16 * 1024 * 1024;
    options->max_buffered_bytes = options->max_buffered_bytes ?: 512 * 1024 * 1024;
    options->header_timeout_ms = options->header_timeout_ms ?: 20 * 1000;
    options->body_timeout_ms = options->body_timeout_ms ?: 30 * 1000;
    options->send_timeout_ms = options->send_timeout_ms ?: 60 * 1000;
    options->idle_timeout_ms = options->idle_timeout_ms ?: 960 * 1000; /* pyVmomi keeps its own for 900 s */
    options->min_rate = options->min_rate ?: 4096;
    options->listen = NULL;
    options->tls_cert_pem = options->tls_key_pem = NULL;
}

/* What http_server_new made; the daemon has stopped. */
static void free_server(struct http_server *server)
{
    stop_listening(server);
    if (server->epoll_fd >= 0) {
        close(server->epoll_fd);
    }
    if (server->wake_fd >= 0) {
        close(server->wake_fd);
    }
    g_hash_table_unref(server->watched);
    g_cond_clear(&server->changed);
    g_mutex_clear(&server->lock);
    g_free(server);
}

static int start_server(struct http_server *server, const struct http_server_options *options,
                        char **ret_message)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = EVENT_WAKE};

    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->wake_fd < 0 ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->wake_fd, &event) < 0) {
        int r = -errno;
        *ret_message = g_strdup_printf("cannot start the HTTP server: %s", g_strerror(-r));
        return r;
    }
    int r = open_listeners(server, options->listen, ret_message);
    if (r < 0) {
        return r;
    }
    r = start_daemon(server, options);
    if (r < 0) {
        *ret_message =
            g_strdup(server->is_tls ? "cannot start the HTTP server: are certificate and key valid?"
                                    : "cannot start the HTTP server");
        return r;
    }
    listen_events(server, EPOLL_CTL_ADD, EPOLLIN);
    server->watch_thread = g_thread_new("http-watch", watch_thread, server);
    return 0;
}

int http_server_new(const struct http_server_options *options, struct http_server **ret, char **ret_message)
{
    struct http_server *server = g_new0(struct http_server, 1);

    server->options = *options;
    fill_defaults(&server->options);
    server->is_tls = options->tls_key_pem != NULL;
    server->epoll_fd = server->wake_fd = -1;
    server->last_watch_id = FIRST_WATCH_ID;
    g_mutex_init(&server->lock);
    g_cond_init(&server->changed);
    g_queue_init(&server->connections);
    g_queue_init(&server->streams);
    server->watched = g_hash_table_new(g_int64_hash, g_int64_equal);

    int r = start_server(server, options, ret_message);
    if (r < 0) {
        free_server(server);
        return r;
    }
    *ret = server;
    return 0;
}

uint16_t http_server_port(const struct http_server *server, size_t n)
{
    return n < server->n_listeners ? server->listeners[n].port : 0;
}

/* libmicrohttpd aborts the process when it is stopped with a suspended connection. */
static void wait_until_stoppable(struct http_server *server)
{
    /* From here on no function of the user is called for requests; some may still be running. */
    while (atomic_load(&server->n_in_handler) > 0) {
        g_usleep(1000);
    }
    g_mutex_lock(&server->lock);
    while (server->n_suspended > 0) {
        g_cond_wait(&server->changed, &server->lock);
    }
    /* The switch checks `stopping` under this lock: no stream is added after this. */
    for (GList *link = server->streams.head; link != NULL; link = link->next) {
        shutdown(((struct http_stream *)link->data)->fd, SHUT_RDWR);
    }
    while (server->n_streams > 0) {
        g_cond_wait(&server->changed, &server->lock);
    }
    GSList *ended = g_steal_pointer(&server->ended_threads);
    g_mutex_unlock(&server->lock);
    for (GSList *link = ended; link != NULL; link = link->next) {
        g_thread_join(link->data);
    }
    g_slist_free(ended);
}

void http_server_free(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    atomic_store(&server->stopping, true);
    http_wake_watcher(server);
    wait_until_stoppable(server);

    /* It adds connections until it has seen `stopping`: it must have ended before the daemon does. */
    atomic_store(&server->watch_ends, true);
    http_wake_watcher(server);
    g_thread_join(server->watch_thread);
    MHD_stop_daemon(server->daemon);
    free_server(server);
}
