// SPDX-License-Identifier: Apache-2.0
/*
 * The measuring client: sends prepared SOAP over plain HTTP/1.1 connections that stay open, and counts
 * answers and bytes. bench/run drives it, once against a tenkyu host and once against the peer.
 *
 * It parses nothing that it measures: an answer is read into one large block and judged by its status and
 * length alone, so that the server is what is timed. What must be known of an answer (how many objects it
 * has, which value it tells) is looked for after the clock has stopped.
 *
 *   client PORT USER PASSWORD bulk ROUNDS PATH...     properties of all VMs ("all": every property)
 *   client PORT USER PASSWORD single SECONDS CONNECTIONS PATH
 *   client PORT USER PASSWORD notify ROUNDS           power one VM off and on, a filter on all VMs
 *   client PORT USER PASSWORD power ROUNDS NAME       the same for the VM called NAME and a filter on it
 *
 * Each prints one line per round or run: key=value pairs. Any unexpected answer ends it with status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_BLOCK = 1 << 20,  /* bytes that a connection reads into at first; it grows with the answer */
    MAX_VMS = 100000,       /* VMs whose ids are kept */
    MAX_CONNECTIONS = 256,  /* of the single reads */
    BETWEEN_ROUNDS_MS = 20, /* lets a wait be parked, and an operation end, before the next is timed */
    ANSWER_TIMEOUT_MS = 300000,
};

/* One connection and the answer that it holds. */
struct connection {
    int fd;
    char *data;      /* the answer, header and body, ended by a NUL; owned */
    size_t length;   /* bytes read of it */
    size_t capacity; /* bytes allocated */
    size_t body;     /* where the body begins; 0 until the header is complete */
    size_t end;      /* where a body of known length ends; 0 while unknown or chunked */
    bool chunked;
    int64_t first_ns; /* when its first byte came */
};

/* The server under test, and what its service content and login told. */
struct session {
    uint16_t port;
    char cookie[256];    /* "name=value" */
    char collector[128]; /* ids of its managers */
    char view_manager[128];
    char session_manager[128];
    char root_folder[128];
    char view[128]; /* of all VMs */
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("client: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void pause_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
    char *made;
    va_list args;
    va_start(args, format);
    if (vasprintf(&made, format, args) < 0) {
        fail("out of memory");
    }
    va_end(args);
    return made;
}

/* ---- HTTP ----------------------------------------------------------------------------------------- */

static void open_connection(struct connection *c, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    *c = (struct connection){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        fail("cannot connect to port %u: %s", port, strerror(errno));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->capacity = FIRST_BLOCK;
    c->data = malloc(c->capacity);
    if (c->data == NULL) {
        fail("out of memory");
    }
}

static void close_connection(struct connection *c)
{
    close(c->fd);
    free(c->data);
}

/* A whole request with this SOAP body, to be sent as often as wanted. */
static char *prepare(const struct session *s, const char *body)
{
    char *envelope =
        text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
             "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\" "
             "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><Body>%s</Body></Envelope>",
             body);
    char *request =
        text("POST /sdk HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: text/xml; charset=utf-8\r\n"
             "SOAPAction: \"urn:vim25/6.5\"\r\nCookie: %s\r\nContent-Length: %zu\r\n\r\n%s",
             s->port, s->cookie, strlen(envelope), envelope);
    free(envelope);
    return request;
}

static void send_request(struct connection *c, const char *request, size_t length)
{
    c->length = c->body = c->end = 0;
    c->chunked = false;
    while (length > 0) {
        ssize_t n = send(c->fd, request, length, MSG_NOSIGNAL);
        if (n <= 0) {
            fail("cannot send: %s", strerror(errno));
        }
        request += n;
        length -= (size_t)n;
    }
}

/* Looks for the end of the header and for how the body is delimited. */
static void read_header(struct connection *c)
{
    c->data[c->length] = '\0';
    const char *end = strstr(c->data, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    c->body = (size_t)(end + 4 - c->data);
    const char *known = strcasestr(c->data, "\r\nContent-Length:");
    const char *chunked = strcasestr(c->data, "\r\nTransfer-Encoding: chunked");
    if (known != NULL && known < end) {
        c->end = c->body + strtoull(known + 17, NULL, 10);
    } else if (chunked != NULL && chunked < end) {
        c->chunked = true;
    } else {
        fail("an answer of unknown length");
    }
}

static bool is_complete(const struct connection *c)
{
    if (c->body == 0) {
        return false;
    }
    if (c->chunked) {
        return c->length >= c->body + 5 && memcmp(c->data + c->length - 5, "0\r\n\r\n", 5) == 0;
    }
    return c->length >= c->end;
}

/* Reads what is there; true when the answer is complete. */
static bool receive(struct connection *c)
{
    size_t wanted = c->end > c->length ? c->end + 1 : c->length + FIRST_BLOCK / 2;
    if (c->capacity < wanted) {
        c->capacity = wanted > 2 * c->capacity ? wanted : 2 * c->capacity;
        c->data = realloc(c->data, c->capacity);
        if (c->data == NULL) {
            fail("out of memory");
        }
    }
    ssize_t n = recv(c->fd, c->data + c->length, c->capacity - c->length - 1, 0);
    if (n <= 0) {
        fail("the connection ended: %s", n == 0 ? "closed" : strerror(errno));
    }
    if (c->length == 0) {
        c->first_ns = now_ns();
    }
    c->length += (size_t)n;
    if (c->body == 0) {
        read_header(c);
    }
    return is_complete(c);
}

static void check_status(const struct connection *c)
{
    if (strncmp(c->data, "HTTP/1.1 200", 12) != 0) {
        fail("unexpected answer: %.2000s", c->data);
    }
}

static void receive_all(struct connection *c)
{
    while (!receive(c)) {
    }
    c->data[c->length] = '\0';
    check_status(c);
}

/* Sends a body once and returns the answer's text, which lives until the connection's next use. */
static const char *ask(const struct session *s, struct connection *c, const char *body)
{
    char *request = prepare(s, body);
    send_request(c, request, strlen(request));
    free(request);
    receive_all(c);
    return c->data + c->body;
}

/* The text of the first element with this name in `xml`, which need not have attributes. */
static void find_text(const char *xml, const char *element, char *to, size_t size)
{
    char open[64];
    snprintf(open, sizeof(open), "<%s", element);
    const char *at = strstr(xml, open);
    const char *start = at != NULL ? strchr(at, '>') : NULL;
    const char *end = start != NULL ? strchr(start, '<') : NULL;
    if (end == NULL || (size_t)(end - start) > size) {
        fail("no <%s> in: %.2000s", element, xml);
    }
    memcpy(to, start + 1, (size_t)(end - start - 1));
    to[end - start - 1] = '\0';
}

static unsigned count(const char *xml, const char *what)
{
    unsigned n = 0;
    for (const char *at = xml; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        n++;
    }
    return n;
}

/* ---- the VI API ----------------------------------------------------------------------------------- */

static void log_in(struct session *s, const char *user, const char *password)
{
    struct connection c;
    open_connection(&c, s->port);
    const char *answer =
        ask(s, &c,
            "<RetrieveServiceContent xmlns=\"urn:vim25\"><_this type=\"ServiceInstance\">ServiceInstance"
            "</_this></RetrieveServiceContent>");
    find_text(answer, "propertyCollector", s->collector, sizeof(s->collector));
    find_text(answer, "viewManager", s->view_manager, sizeof(s->view_manager));
    find_text(answer, "sessionManager", s->session_manager, sizeof(s->session_manager));
    find_text(answer, "rootFolder", s->root_folder, sizeof(s->root_folder));
    char *body = text("<Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">%s</_this><userName>%s"
                      "</userName><password>%s</password></Login>",
                      s->session_manager, user, password);
    ask(s, &c, body);
    free(body);
    const char *cookie = strcasestr(c.data, "\r\nSet-Cookie:");
    if (cookie == NULL || sscanf(cookie + 13, " %255[^;\r]", s->cookie) != 1) {
        fail("no cookie in: %.1000s", c.data);
    }
    body = text("<CreateContainerView xmlns=\"urn:vim25\"><_this type=\"ViewManager\">%s</_this>"
                "<container type=\"Folder\">%s</container><type>VirtualMachine</type>"
                "<recursive>true</recursive></CreateContainerView>",
                s->view_manager, s->root_folder);
    find_text(ask(s, &c, body), "returnval", s->view, sizeof(s->view));
    free(body);
    close_connection(&c);
}

/* As good clients do: a server keeps what sessions have made until they end. */
static void log_out(struct session *s)
{
    struct connection c;
    open_connection(&c, s->port);
    char *body = text("<Logout xmlns=\"urn:vim25\"><_this type=\"SessionManager\">%s</_this></Logout>",
                      s->session_manager);
    ask(s, &c, body);
    free(body);
    close_connection(&c);
}

/* A PropertySpec of VirtualMachine and an ObjectSpec of all VMs (id NULL) or of one, as a filter spec's
 * members. */
static char *selection(const struct session *s, const char *id, char **paths, int n)
{
    char *set = text("<propSet><type>VirtualMachine</type>");
    for (int i = 0; i < n; i++) {
        char *longer = strcmp(paths[i], "all") == 0 ? text("%s<all>true</all>", set)
                                                    : text("%s<pathSet>%s</pathSet>", set, paths[i]);
        free(set);
        set = longer;
    }
    char *made =
        id != NULL ? text("%s</propSet><objectSet><obj type=\"VirtualMachine\">%s</obj></objectSet>", set, id)
                   : text("%s</propSet><objectSet><obj type=\"ContainerView\">%s</obj>"
                          "<skip>true</skip><selectSet xsi:type=\"TraversalSpec\"><name>view</name>"
                          "<type>ContainerView</type><path>view</path><skip>false</skip></selectSet>"
                          "</objectSet>",
                          set, s->view);
    free(set);
    return made;
}

static char *retrieve(const struct session *s, const char *id, char **paths, int n)
{
    char *select = selection(s, id, paths, n);
    char *body = text("<RetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">%s</_this>"
                      "<specSet>%s</specSet><options></options></RetrievePropertiesEx>",
                      s->collector, select);
    free(select);
    return body;
}

struct vm {
    char id[32];
};

/* The VMs of the view, in its order; the one called `name` alone when that is not NULL. */
static unsigned list_vms(const struct session *s, const char *name, struct vm *vms)
{
    static const char obj[] = "<obj type=\"VirtualMachine\">";
    struct connection c;
    char *path = "name";
    unsigned n = 0;
    open_connection(&c, s->port);
    char *body = retrieve(s, NULL, &path, 1);
    const char *at = ask(s, &c, body);
    free(body);
    char *wanted = text(">%s</val>", name != NULL ? name : "");
    while ((at = strstr(at, obj)) != NULL && n < MAX_VMS) {
        at += strlen(obj);
        const char *value = strstr(at, "</val>");
        const char *found = strstr(at, wanted);
        if (name == NULL || (found != NULL && value != NULL && found < value)) {
            size_t length = strcspn(at, "<");
            snprintf(vms[n++].id, sizeof(vms[0].id), "%.*s", (int)length, at);
        }
    }
    free(wanted);
    close_connection(&c);
    if (n == 0) {
        fail("no virtual machine%s%s", name != NULL ? " " : "", name != NULL ? name : "");
    }
    return n;
}

/* ---- what is measured ----------------------------------------------------------------------------- */

/* All pages of one read of all VMs. */
static void bulk_round(const struct session *s, struct connection *c, const char *request)
{
    int64_t start_ns = now_ns();
    size_t bytes = 0;
    unsigned objects = 0;
    int64_t counting_ns = 0;
    send_request(c, request, strlen(request));
    for (;;) {
        receive_all(c);
        int64_t received_ns = now_ns();
        bytes += c->length - c->body;
        objects += count(c->data + c->body, "<obj type=\"VirtualMachine\">");
        const char *token = strstr(c->data + c->body, "<token>");
        if (token == NULL) {
            counting_ns += now_ns() - received_ns;
            break;
        }
        char *body =
            text("<ContinueRetrievePropertiesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">"
                 "%s</_this><token>%.*s</token></ContinueRetrievePropertiesEx>",
                 s->collector, (int)strcspn(token + 7, "<"), token + 7);
        char *next = prepare(s, body);
        counting_ns += now_ns() - received_ns;
        send_request(c, next, strlen(next));
        free(body);
        free(next);
    }
    printf("seconds=%.6f bytes=%zu objects=%u\n", (double)(now_ns() - start_ns - counting_ns) / 1e9, bytes,
           objects);
}

static void bulk(const struct session *s, int argc, char **argv)
{
    struct connection c;
    open_connection(&c, s->port);
    char *body = retrieve(s, NULL, argv + 1, argc - 1);
    char *request = prepare(s, body);
    for (int i = 0; i < atoi(argv[0]); i++) {
        bulk_round(s, &c, request);
    }
    free(request);
    free(body);
    close_connection(&c);
}

/* Each connection asks for the property of one VM after another, without a pause. */
static void single(const struct session *s, char **argv)
{
    static struct vm vms[MAX_VMS];
    static struct connection connections[MAX_CONNECTIONS];
    enum { REQUESTS = 1024 };
    static char *requests[REQUESTS];
    static size_t lengths[REQUESTS];
    int n = atoi(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    unsigned n_vms = list_vms(s, NULL, vms);
    for (unsigned i = 0; i < REQUESTS; i++) {
        char *body = retrieve(s, vms[i * 7919u % n_vms].id, argv + 2, 1);
        requests[i] = prepare(s, body);
        lengths[i] = strlen(requests[i]);
        free(body);
    }
    unsigned sent = 0;
    int64_t start_ns = now_ns(), end_ns = start_ns + (int64_t)(atof(argv[0]) * 1e9);
    uint64_t answers = 0, bytes = 0;
    for (int i = 0; i < n && i < MAX_CONNECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        open_connection(&connections[i], s->port);
        epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event);
        send_request(&connections[i], requests[sent % REQUESTS], lengths[sent % REQUESTS]);
        sent++;
    }
    while (now_ns() < end_ns) {
        struct epoll_event events[MAX_CONNECTIONS];
        int ready = epoll_wait(epoll, events, MAX_CONNECTIONS, ANSWER_TIMEOUT_MS);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (receive(c)) {
                check_status(c);
                answers++;
                bytes += c->length - c->body;
                send_request(c, requests[sent % REQUESTS], lengths[sent % REQUESTS]);
                sent++;
            }
        }
    }
    double seconds = (double)(now_ns() - start_ns) / 1e9;
    printf("seconds=%.6f answers=%llu bytes=%llu\n", seconds, (unsigned long long)answers,
           (unsigned long long)bytes);
}

/* Waits for updates until one says `wanted`, and sets *version to that of the last. The first answer's
 * first byte is timed: it is when the client learns that something happened. */
static void await(const struct session *s, struct connection *c, const char *wanted, char *version,
                  size_t size, int64_t *ret_first_ns)
{
    bool first = true;
    for (;;) {
        receive_all(c);
        if (first && ret_first_ns != NULL) {
            *ret_first_ns = c->first_ns;
        }
        first = false;
        const char *answer = c->data + c->body;
        find_text(answer, "version", version, size);
        if (wanted == NULL || strstr(answer, wanted) != NULL) {
            return;
        }
        char *body = text("<WaitForUpdatesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">%s</_this>"
                          "<version>%s</version></WaitForUpdatesEx>",
                          s->collector, version);
        char *request = prepare(s, body);
        send_request(c, request, strlen(request));
        free(body);
        free(request);
    }
}

static void wait_from(const struct session *s, struct connection *c, const char *version)
{
    char *body = text("<WaitForUpdatesEx xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">%s</_this>"
                      "<version>%s</version></WaitForUpdatesEx>",
                      s->collector, version);
    char *request = prepare(s, body);
    send_request(c, request, strlen(request));
    free(body);
    free(request);
}

/* Powers the VM to the other state and times from the request's sending to the first byte and to the end
 * of the update that tells the new state. */
static void power_round(const struct session *s, struct connection *waiter, struct connection *caller,
                        const char *id, bool on, char *version, size_t size)
{
    wait_from(s, waiter, version);
    pause_ms(BETWEEN_ROUNDS_MS);
    char *body = text("<Power%s_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">%s</_this>"
                      "</Power%s_Task>",
                      on ? "OnVM" : "OffVM", id, on ? "OnVM" : "OffVM");
    char *request = prepare(s, body);
    int64_t start_ns = now_ns(), first_ns;
    send_request(caller, request, strlen(request));
    await(s, waiter, on ? ">poweredOn<" : ">poweredOff<", version, size, &first_ns);
    int64_t end_ns = now_ns();
    receive_all(caller);
    printf("on=%d first_ms=%.4f told_ms=%.4f\n", on, (double)(first_ns - start_ns) / 1e6,
           (double)(end_ns - start_ns) / 1e6);
    fflush(stdout);
    free(body);
    free(request);
    pause_ms(BETWEEN_ROUNDS_MS);
}

/* A filter on the power state of all VMs, or of `name` alone; then the VM is switched back and forth. */
static void notify(const struct session *s, const char *rounds, const char *name)
{
    static struct vm vms[MAX_VMS];
    struct connection waiter, caller;
    char version[64] = "";
    char *path = "runtime.powerState";
    unsigned n = list_vms(s, name, vms);
    open_connection(&waiter, s->port);
    open_connection(&caller, s->port);
    char *select = selection(s, name != NULL ? vms[0].id : NULL, &path, 1);
    char *body = text("<CreateFilter xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">%s</_this>"
                      "<spec>%s</spec><partialUpdates>false</partialUpdates></CreateFilter>",
                      s->collector, select);
    ask(s, &waiter, body);
    free(body);
    free(select);
    wait_from(s, &waiter, "");
    await(s, &waiter, NULL, version, sizeof(version), NULL);
    unsigned told = count(waiter.data + waiter.body, "<objectSet>");
    while (strstr(waiter.data + waiter.body, "<truncated>true") != NULL) {
        wait_from(s, &waiter, version);
        await(s, &waiter, NULL, version, sizeof(version), NULL);
        told += count(waiter.data + waiter.body, "<objectSet>");
    }
    if (told != n) {
        fail("the filter told of %u objects of %u", told, n);
    }
    const char *id = vms[name != NULL ? 0 : n / 2].id;
    bool on = strstr(waiter.data + waiter.body, ">poweredOff<") != NULL;
    for (int i = 0; i < 2 * atoi(rounds); i++, on = !on) {
        power_round(s, &waiter, &caller, id, on, version, sizeof(version));
    }
    close_connection(&waiter);
    close_connection(&caller);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fail("usage: client PORT USER PASSWORD bulk|single|notify|power ARGUMENT...");
    }
    struct session session = {.port = (uint16_t)atoi(argv[1])};
    const char *what = argv[4];
    log_in(&session, argv[2], argv[3]);
    if (strcmp(what, "bulk") == 0 && argc >= 7) {
        bulk(&session, argc - 5, argv + 5);
    } else if (strcmp(what, "single") == 0 && argc == 8) {
        single(&session, argv + 5);
    } else if (strcmp(what, "notify") == 0) {
        notify(&session, argv[5], NULL);
    } else if (strcmp(what, "power") == 0 && argc == 7) {
        notify(&session, argv[5], argv[6]);
    } else {
        fail("unknown measurement \"%s\"", what);
    }
    log_out(&session);
    return 0;
}
