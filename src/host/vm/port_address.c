// SPDX-License-Identifier: Apache-2.0
/*
 * Takes the addresses of serial ports apart and makes their sockets; see port_address.h.
 *
 * A pipe is a name and no path: the host runs as root, and whoever may edit a machine could else have it speak to
 * any socket of the system.
 */
#include "host/vm/port_address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vim/faults.h"
#include "vim/types.h"

#define PIPES_FOLDER "pipes"
#define HOST_CHARACTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_%"
#define PIPE_CHARACTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_"

enum {
    HOST_MAX = 255,
    PIPE_MAX = 64,
    TELNET_PORT = 23, /* besides the upper ones the only one that a machine may listen on */
    FIRST_SERVER_PORT = 1024,
    CALL_MS = 10000,
};

struct scheme {
    const char *name;
    bool telnet;
    bool tls;
    int family;
};

static const struct scheme schemes[] = {
    {"tcp", false, false, AF_UNSPEC},    {"tcp4", false, false, AF_INET},
    {"tcp6", false, false, AF_INET6},    {"ssl", false, true, AF_UNSPEC},
    {"tcp+ssl", false, true, AF_UNSPEC}, {"tcp4+ssl", false, true, AF_INET},
    {"tcp6+ssl", false, true, AF_INET6}, {"telnet", true, false, AF_UNSPEC},
    {"telnets", true, true, AF_UNSPEC},
};

/* What a parse works on, for its faults. */
struct parsing {
    unsigned index;
    struct port_address *address;
};

static struct vim_fault *invalid(const struct parsing *parsing, const char *member, const char *why)
{
    g_autofree char *property = g_strdup_printf("deviceChange[%u].device.backing.%s", parsing->index, member);
    return fault_invalid_device_backing(property, (int32_t)parsing->index, "%s: %s", property, why);
}

static struct vim_fault *unsupported(const struct parsing *parsing, const char *member, const char *why)
{
    return fault_not_supported("deviceChange[%u].device.backing.%s: %s", parsing->index, member, why);
}

/* "client" or "server", and nothing else. */
static struct vim_fault *parse_side(const struct parsing *parsing, const char *member, const char *side)
{
    if (g_strcmp0(side, "client") != 0 && g_strcmp0(side, "server") != 0) {
        return invalid(parsing, member, "it is \"client\" or \"server\"");
    }
    parsing->address->server = side[0] == 's';
    return NULL;
}

/* Hex digits, with or without colons, of a SHA-1 or SHA-256 hash; NULL: it is none. g_free. */
static char *parse_thumbprint(const char *text)
{
    GString *digits = g_string_new(NULL);
    for (; *text != '\0'; text++) {
        if (g_ascii_isxdigit(*text)) {
            g_string_append_c(digits, g_ascii_tolower(*text));
        } else if (*text != ':') {
            break;
        }
    }
    bool good = *text == '\0' && (digits->len == 40 || digits->len == 64);
    return g_string_free(digits, !good);
}

/* What follows '#': "verify", "peerName=...", "thumbprint=...", joined by '&'. */
static struct vim_fault *parse_parameters(const struct parsing *parsing, const char *text)
{
    struct port_address *address = parsing->address;
    g_auto(GStrv) words = g_strsplit(text, "&", -1);
    if (!address->tls) {
        return unsupported(parsing, "serviceURI",
                           "parameters are for ssl and telnets; encryption is not negotiated within telnet");
    }
    if (address->server) {
        return unsupported(parsing, "serviceURI", "a server asks its callers for no certificate");
    }
    if (words[0] == NULL) {
        return invalid(parsing, "serviceURI", "there is nothing after #");
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *value = strchr(words[i], '=');
        size_t length = value != NULL ? (size_t)(value - words[i]) : strlen(words[i]);
        g_autofree char *key = g_strndup(words[i], length);
        value = value != NULL ? value + 1 : "";
        if (g_str_equal(key, "verify")) {
            address->verify = true;
        } else if (g_str_equal(key, "peerName") && value[0] != '\0') {
            g_free(address->peer_name);
            address->peer_name = g_strdup(value);
            address->verify = true;
        } else if (g_str_equal(key, "thumbprint")) {
            g_free(address->thumbprint);
            address->thumbprint = parse_thumbprint(value);
            if (address->thumbprint == NULL) {
                return invalid(parsing, "serviceURI",
                               "a thumbprint is a SHA-1 or SHA-256 hash in hex digits");
            }
        } else if (g_str_equal(key, "cipherList")) {
            return unsupported(parsing, "serviceURI", "ciphers are those of the system's policy");
        } else {
            return invalid(parsing, "serviceURI", "there is a parameter after # that is not known");
        }
    }
    return NULL;
}

/* "host:port", "[::1]:port", or of a server ":port". */
static struct vim_fault *parse_authority(const struct parsing *parsing, const char *text)
{
    struct port_address *address = parsing->address;
    const char *colon = strrchr(text, ':');
    guint64 port = 0;
    if (colon == NULL || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL)) {
        return invalid(parsing, "serviceURI", "it does not end with :port");
    }
    address->host = g_strndup(text, (gsize)(colon - text));
    address->port = g_strdup_printf("%u", (unsigned)port);
    size_t length = strlen(address->host);
    if (length > 2 && address->host[0] == '[' && address->host[length - 1] == ']') {
        address->host[length - 1] = '\0';
        memmove(address->host, address->host + 1, length - 1);
    } else if (strchr(address->host, ':') != NULL) {
        return invalid(parsing, "serviceURI", "an IPv6 address stands in [ ]");
    }
    if (address->host[0] == '\0' && !address->server) {
        return invalid(parsing, "serviceURI", "a client needs a host to call");
    }
    if (strspn(address->host, HOST_CHARACTERS) != strlen(address->host) || strlen(address->host) > HOST_MAX ||
        address->host[0] == '-') {
        return invalid(parsing, "serviceURI", "the host is neither a name nor an address");
    }
    if (address->server && port < FIRST_SERVER_PORT && port != TELNET_PORT) {
        return invalid(parsing, "serviceURI", "a machine listens on port 23 or on ports from 1024");
    }
    return NULL;
}

static const struct scheme *find_scheme(const char *name, size_t length)
{
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (strlen(schemes[i].name) == length && g_ascii_strncasecmp(schemes[i].name, name, length) == 0) {
            return &schemes[i];
        }
    }
    return NULL;
}

/* Whether text without a scheme is "host:port", and so tcp, and not a word for the console. */
static bool is_host_and_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    return colon != NULL && colon[1] != '\0' && strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

static struct vim_fault *parse_uri(const struct parsing *parsing,
                                   const struct VirtualDeviceURIBackingInfo *backing)
{
    struct port_address *address = parsing->address;
    const char *uri = backing->serviceURI != NULL ? backing->serviceURI : "";
    if (backing->proxyURI != NULL && backing->proxyURI[0] != '\0') {
        return unsupported(parsing, "proxyURI", "there are no serial port concentrators here");
    }
    const char *rest = strstr(uri, "://");
    address->kind = PORT_CONSOLE;
    if (g_str_has_prefix(uri, "tenkyu:") || (rest == NULL && !is_host_and_port(uri))) {
        return NULL;
    }
    address->kind = PORT_NETWORK;
    const struct scheme *scheme =
        rest != NULL ? find_scheme(uri, (size_t)(rest - uri)) : find_scheme("tcp", strlen("tcp"));
    if (scheme == NULL) {
        return invalid(
            parsing, "serviceURI",
            "the scheme is none of tcp, tcp4, tcp6, ssl, tcp+ssl, tcp4+ssl, tcp6+ssl, telnet, telnets");
    }
    address->telnet = scheme->telnet;
    address->tls = scheme->tls;
    address->family = scheme->family;
    struct vim_fault *fault = parse_side(parsing, "direction", backing->direction);
    if (fault != NULL) {
        return fault;
    }
    g_auto(GStrv) halves = g_strsplit(rest != NULL ? rest + strlen("://") : uri, "#", 2);
    fault = parse_authority(parsing, halves[0] != NULL ? halves[0] : "");
    if (fault == NULL && halves[1] != NULL) {
        fault = parse_parameters(parsing, halves[1]);
    }
    if (fault == NULL && address->peer_name == NULL) {
        address->peer_name = g_strdup(address->host);
    }
    return fault;
}

static struct vim_fault *parse_pipe(const struct parsing *parsing,
                                    const struct VirtualSerialPortPipeBackingInfo *backing)
{
    const char *name = backing->pipeName != NULL ? backing->pipeName : "";
    parsing->address->kind = PORT_PIPE;
    if (name[0] == '\0' || name[0] == '.' || strlen(name) > PIPE_MAX ||
        strspn(name, PIPE_CHARACTERS) != strlen(name)) {
        return invalid(parsing, "pipeName",
                       "a pipe has a name of up to 64 letters, digits, '-', '_' and '.', and no path");
    }
    parsing->address->pipe = g_strdup(name);
    return parse_side(parsing, "endpoint", backing->endpoint);
}

struct vim_fault *port_address_of(const struct VirtualDevice *device, unsigned index,
                                  struct port_address *ret)
{
    PORT_ADDRESS_AUTO address = {.kind = PORT_OTHER, .family = AF_UNSPEC};
    const struct parsing parsing = {.index = index, .address = &address};
    struct vim_fault *fault = NULL;
    const void *backing = device->backing;
    if (vim_is_a(device, &VirtualSerialPort_type) &&
        vim_is_a(backing, &VirtualSerialPortURIBackingInfo_type)) {
        fault = parse_uri(&parsing, backing);
    } else if (vim_is_a(device, &VirtualSerialPort_type) &&
               vim_is_a(backing, &VirtualSerialPortPipeBackingInfo_type)) {
        fault = parse_pipe(&parsing, backing);
    }
    if (fault == NULL) {
        *ret = address;
        address = (struct port_address){0};
    }
    return fault;
}

void port_address_clear(struct port_address *address)
{
    g_free(address->host);
    g_free(address->port);
    g_free(address->pipe);
    g_free(address->peer_name);
    g_free(address->thumbprint);
    *address = (struct port_address){0};
}

bool port_address_is_plain_server(const struct port_address *address)
{
    return (address->kind == PORT_NETWORK || address->kind == PORT_PIPE) && address->server && !address->tls;
}

bool port_address_is_linked(const struct port_address *address)
{
    return (address->kind == PORT_NETWORK || address->kind == PORT_PIPE) &&
           !port_address_is_plain_server(address);
}

/* ---- sockets ----------------------------------------------------------------------------------------- */

/* The address of a pipe, reached through a descriptor: a path may be longer than an address. */
static int pipe_address(int state_fd, const char *name, bool make, int *ret_folder_fd,
                        struct sockaddr_un *ret)
{
    if (make && mkdirat(state_fd, PIPES_FOLDER, 0700) < 0 && errno != EEXIST) {
        return -errno;
    }
    int fd = openat(state_fd, PIPES_FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", fd, name);
    *ret_folder_fd = fd;
    return 0;
}

/* Removes the socket of a machine that runs no more; -EADDRINUSE when somebody listens on it. */
static int remove_stale(int folder_fd, const char *name, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    bool free_now =
        connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
    close(fd);
    if (!free_now) {
        return -EADDRINUSE;
    }
    return unlinkat(folder_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int listen_pipe(const struct port_address *address, int state_fd, int *ret_fd)
{
    struct sockaddr_un name;
    int folder_fd = -1;
    int error = pipe_address(state_fd, address->pipe, true, &folder_fd, &name);
    if (error != 0) {
        return error;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    error = fd < 0 ? -errno : 0;
    for (int attempt = 0; error == 0; attempt++) {
        if (bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0) {
            error = listen(fd, 1) < 0 ? -errno : 0;
            break;
        }
        error = errno != EADDRINUSE || attempt > 0 ? -errno : remove_stale(folder_fd, address->pipe, &name);
    }
    close(folder_fd);
    if (error != 0 && fd >= 0) {
        close(fd);
    } else if (error == 0) {
        *ret_fd = fd;
    }
    return error;
}

/* 0 or a negative errno for what getaddrinfo returned. */
static int lookup_error(int result)
{
    return result == 0 ? 0 : result == EAI_SYSTEM ? -errno : result == EAI_MEMORY ? -ENOMEM : -EADDRNOTAVAIL;
}

static int look_up(const struct port_address *address, struct addrinfo **ret)
{
    const struct addrinfo hints = {
        .ai_family = address->family,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = (address->server ? AI_PASSIVE : 0) | AI_NUMERICSERV,
    };
    return lookup_error(
        getaddrinfo(address->host[0] != '\0' ? address->host : NULL, address->port, &hints, ret));
}

/* One socket for one address. An IPv6 one of all addresses takes IPv4 too, unless only one kind is wanted. */
static int listen_on(const struct port_address *address, const struct addrinfo *info, int *ret_fd)
{
    const int on = 1;
    int only_v6 = address->family == AF_INET6;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (info->ai_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6)) < 0) ||
        bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, 1) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

int port_address_listen(const struct port_address *address, int state_fd, int *ret_fd)
{
    struct addrinfo *infos = NULL;
    if (address->kind == PORT_PIPE) {
        return listen_pipe(address, state_fd, ret_fd);
    }
    int error = look_up(address, &infos);
    if (error != 0) {
        return error;
    }
    error = -EADDRNOTAVAIL;
    for (int v6 = 1; v6 >= 0 && error != 0 && error != -EADDRINUSE; v6--) { /* IPv6 first: it may take both */
        for (const struct addrinfo *info = infos; info != NULL && error != 0; info = info->ai_next) {
            if ((info->ai_family == AF_INET6) == (v6 == 1)) {
                error = listen_on(address, info, ret_fd);
            }
        }
    }
    freeaddrinfo(infos);
    return error;
}

/* Waits for the end of a connect that has begun. */
static int wait_connected(int fd, int wake_fd)
{
    struct pollfd polled[] = {{.fd = fd, .events = POLLOUT}, {.fd = wake_fd, .events = POLLIN}};
    int error = 0;
    socklen_t length = sizeof(error);
    int n = TEMP_FAILURE_RETRY(poll(polled, G_N_ELEMENTS(polled), CALL_MS));
    if (n <= 0) {
        return n < 0 ? -errno : -ETIMEDOUT;
    }
    if (polled[1].revents != 0) {
        return -ECANCELED;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? -errno : -error;
}

static int call_one(int family, const struct sockaddr *name, socklen_t length, int wake_fd, int *ret_fd)
{
    const int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    int error = connect(fd, name, length) < 0 ? -errno : 0;
    if (error == -EINPROGRESS) {
        error = wait_connected(fd, wake_fd);
    }
    if (error != 0) {
        close(fd);
        return error;
    }
    /* A far end that vanished without a word is noticed, in the time that the system takes for that. */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    *ret_fd = fd;
    return 0;
}

int port_address_call(const struct port_address *address, int state_fd, int wake_fd, int *ret_fd)
{
    struct addrinfo *infos = NULL;
    if (address->kind == PORT_PIPE) {
        struct sockaddr_un name;
        int folder_fd = -1;
        int failed = pipe_address(state_fd, address->pipe, false, &folder_fd, &name);
        if (failed == 0) {
            failed = call_one(AF_UNIX, (struct sockaddr *)&name, sizeof(name), wake_fd, ret_fd);
            close(folder_fd);
        }
        return failed;
    }
    int error = look_up(address, &infos);
    if (error != 0) {
        return error;
    }
    error = -EADDRNOTAVAIL;
    for (const struct addrinfo *info = infos; info != NULL && error != 0 && error != -ECANCELED;
         info = info->ai_next) {
        error = call_one(info->ai_family, info->ai_addr, info->ai_addrlen, wake_fd, ret_fd);
    }
    freeaddrinfo(infos);
    return error;
}
