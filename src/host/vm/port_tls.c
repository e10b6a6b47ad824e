// SPDX-License-Identifier: Apache-2.0
/*
 * Streams of serial ports, with GnuTLS where they are encrypted; see port_tls.h. Protocols and ciphers are those of
 * the system's policy.
 */
#include "host/vm/port_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vm/port_address.h"

enum { GREETING_MS = 10000, SHA1_DIGITS = 40 };

struct port_stream {
    int fd;
    gnutls_session_t session;                     /* NULL: not encrypted */
    gnutls_certificate_credentials_t credentials; /* the same */
};

static int error_of(ssize_t r)
{
    return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED ? -EAGAIN
           : r == GNUTLS_E_MEMORY_ERROR                     ? -ENOMEM
                                                            : -ECONNRESET;
}

static int fail(char **ret_message, int error, const char *what, int r)
{
    *ret_message = g_strdup_printf("%s: %s", what, gnutls_strerror(r));
    return error;
}

/* The host's own certificate for a server; whom to believe, for a client: the system's authorities and our own. */
static int load_credentials(struct port_stream *stream, const struct port_address *address,
                            const char *state_dir, char **ret_message)
{
    g_autofree char *cert = g_build_filename(state_dir, "tls", "server.pem", NULL);
    g_autofree char *key = g_build_filename(state_dir, "tls", "server.key", NULL);
    g_autofree char *ca = g_build_filename(state_dir, "tls", "ca.pem", NULL);
    int r = gnutls_certificate_allocate_credentials(&stream->credentials);
    if (r == 0 && address->server) {
        r = gnutls_certificate_set_x509_key_file(stream->credentials, cert, key, GNUTLS_X509_FMT_PEM);
    } else if (r == 0) {
        (void)gnutls_certificate_set_x509_system_trust(stream->credentials); /* none: it trusts nobody */
        (void)gnutls_certificate_set_x509_trust_file(stream->credentials, ca, GNUTLS_X509_FMT_PEM);
    }
    return r >= 0 ? 0 : fail(ret_message, -EIO, "the certificate cannot be used", r);
}

static int begin_session(struct port_stream *stream, const struct port_address *address, char **ret_message)
{
    unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | (address->server ? GNUTLS_SERVER : GNUTLS_CLIENT);
    unsigned char numeric[sizeof(struct in6_addr)];
    int r = gnutls_init(&stream->session, flags);
    r = r ?: gnutls_set_default_priority(stream->session);
    r = r ?: gnutls_credentials_set(stream->session, GNUTLS_CRD_CERTIFICATE, stream->credentials);
    bool is_name = !address->server && inet_pton(AF_INET, address->peer_name, numeric) != 1 &&
                   inet_pton(AF_INET6, address->peer_name, numeric) != 1;
    if (r == 0 && is_name) {
        r = gnutls_server_name_set(stream->session, GNUTLS_NAME_DNS, address->peer_name,
                                   strlen(address->peer_name));
    }
    if (r < 0) {
        return fail(ret_message, -EIO, "no encryption", r);
    }
    gnutls_transport_set_int(stream->session, stream->fd);
    return 0;
}

static int greet(struct port_stream *stream, int wake_fd, char **ret_message)
{
    int64_t end_us = g_get_monotonic_time() + (int64_t)GREETING_MS * 1000;
    int r;
    while ((r = gnutls_handshake(stream->session)) < 0) {
        if (gnutls_error_is_fatal(r)) {
            return fail(ret_message, -ECONNABORTED, "the far end does not agree on encryption", r);
        }
        int64_t left_ms = (end_us - g_get_monotonic_time()) / 1000;
        struct pollfd polled[] = {
            {.fd = stream->fd, .events = gnutls_record_get_direction(stream->session) ? POLLOUT : POLLIN},
            {.fd = wake_fd, .events = POLLIN},
        };
        if (left_ms <= 0 || poll(polled, G_N_ELEMENTS(polled), (int)left_ms) == 0) {
            return fail(ret_message, -ETIMEDOUT, "the far end does not agree on encryption in time", r);
        }
        if (polled[1].revents != 0) {
            return fail(ret_message, -ECANCELED, "the port is changed", r);
        }
    }
    return 0;
}

static bool has_thumbprint(gnutls_session_t session, const char *wanted)
{
    unsigned n = 0;
    unsigned char hash[32];
    size_t length = sizeof(hash);
    GString *text = g_string_new(NULL);
    const gnutls_datum_t *certs = gnutls_certificate_get_peers(session, &n);
    gnutls_digest_algorithm_t digest = strlen(wanted) == SHA1_DIGITS ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256;
    if (n > 0 && gnutls_fingerprint(digest, &certs[0], hash, &length) == 0) {
        for (size_t i = 0; i < length; i++) {
            g_string_append_printf(text, "%02x", hash[i]);
        }
    }
    bool same = g_str_equal(text->str, wanted);
    g_string_free(text, TRUE);
    return same;
}

static int check_peer(const struct port_stream *stream, const struct port_address *address,
                      char **ret_message)
{
    unsigned status = 0;
    if (address->thumbprint != NULL && !has_thumbprint(stream->session, address->thumbprint)) {
        *ret_message = g_strdup("the far end's certificate has another thumbprint");
        return -EACCES;
    }
    if (!address->verify) {
        return 0;
    }
    int r = gnutls_certificate_verify_peers3(stream->session, address->peer_name, &status);
    if (r < 0 || status != 0) {
        *ret_message = g_strdup_printf("the far end's certificate is not good for %s", address->peer_name);
        return -EACCES;
    }
    return 0;
}

int port_stream_new(const struct port_address *address, const char *state_dir, int fd, int wake_fd,
                    struct port_stream **ret, char **ret_message)
{
    struct port_stream *stream = g_new0(struct port_stream, 1);
    int error = 0;
    stream->fd = fd;
    if (address->tls) {
        error = load_credentials(stream, address, state_dir, ret_message);
        error = error != 0 ? error : begin_session(stream, address, ret_message);
        error = error != 0 ? error : greet(stream, wake_fd, ret_message);
        error = error != 0 || address->server ? error : check_peer(stream, address, ret_message);
    }
    if (error != 0) {
        port_stream_free(stream);
        return error;
    }
    *ret = stream;
    return 0;
}

void port_stream_free(struct port_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (stream->session != NULL) {
        (void)gnutls_bye(stream->session, GNUTLS_SHUT_WR); /* non-blocking: said if there is room to say it */
        gnutls_deinit(stream->session);
    }
    if (stream->credentials != NULL) {
        gnutls_certificate_free_credentials(stream->credentials);
    }
    close(stream->fd);
    g_free(stream);
}

int port_stream_fd(const struct port_stream *stream)
{
    return stream->fd;
}

bool port_stream_is_pending(const struct port_stream *stream)
{
    return stream->session != NULL && gnutls_record_check_pending(stream->session) > 0;
}

ssize_t port_stream_read(struct port_stream *stream, void *bytes, size_t length)
{
    if (stream->session != NULL) {
        ssize_t n = gnutls_record_recv(stream->session, bytes, length);
        return n >= 0 ? n : error_of(n);
    }
    ssize_t n = TEMP_FAILURE_RETRY(recv(stream->fd, bytes, length, MSG_DONTWAIT));
    return n >= 0 ? n : -errno;
}

ssize_t port_stream_write(struct port_stream *stream, const void *bytes, size_t length)
{
    if (stream->session != NULL) {
        ssize_t n = gnutls_record_send(stream->session, bytes, length);
        return n >= 0 ? n : error_of(n);
    }
    ssize_t n = TEMP_FAILURE_RETRY(send(stream->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL));
    return n >= 0 ? n : -errno;
}
