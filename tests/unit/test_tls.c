// SPDX-License-Identifier: Apache-2.0
/*
 * The server's certificate: made, kept, renewed and mended; and a handshake with the HTTP server that a
 * client verifies by ca.pem.
 */
#include "vim/tls.h"

#include "http_client.h"
#include "vim/http.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define DAY_S (24 * 3600)

struct fixture {
    char *dir;
    int64_t now_s;
    struct tls_credentials *credentials;
};

static void load_with(struct fixture *f, const char *host_name, const char *const *addresses, bool is_new)
{
    g_autofree char *message = NULL;
    struct tls_options options = {
        .state_dir = f->dir, .host_name = host_name, .addresses = addresses, .now_s = f->now_s};
    g_clear_pointer(&f->credentials, tls_credentials_free);
    g_assert_cmpint(tls_credentials_load(&options, &f->credentials, &message), ==, 0);
    g_assert_cmpint(f->credentials->is_new, ==, is_new);
}

static void load(struct fixture *f, bool is_new)
{
    load_with(f, "host.example", NULL, is_new);
}

static void setup(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("test-tls-XXXXXX", NULL);
    f->now_s = time(NULL);
    load(f, true);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    tls_credentials_free(f->credentials);
    g_autofree char *command = g_strdup_printf("rm -r '%s'", f->dir);
    g_assert_cmpint(system(command), ==, 0);
    g_free(f->dir);
}

static char *path_of(struct fixture *f, const char *name)
{
    return g_build_filename(f->dir, "tls", name, NULL);
}

static char *contents(struct fixture *f, const char *name)
{
    g_autofree char *path = path_of(f, name);
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void set_contents(struct fixture *f, const char *name, const char *text)
{
    g_autofree char *path = path_of(f, name);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_file(struct fixture *f, const char *name)
{
    g_autofree char *path = path_of(f, name);
    g_assert_cmpint(unlink(path), ==, 0);
}

static gnutls_x509_crt_t parse(const char *pem)
{
    gnutls_x509_crt_t cert;
    gnutls_datum_t datum = {(unsigned char *)pem, (unsigned)strlen(pem)};
    g_assert_cmpint(gnutls_x509_crt_init(&cert), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_import(cert, &datum, GNUTLS_X509_FMT_PEM), ==, 0);
    return cert;
}

static void test_first_start(struct fixture *f, gconstpointer data)
{
    static const char *const names[] = {"ca.pem", "ca.key", "server.pem", "server.key"};
    static const int modes[] = {0644, 0600, 0644, 0600};

    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = path_of(f, names[i]);
        struct stat st;
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 0777, ==, modes[i]);
    }
    g_assert_cmpuint(strlen(f->credentials->sha1_thumbprint), ==, 20 * 3 - 1);
    g_assert_cmpuint(strlen(f->credentials->sha256_thumbprint), ==, 32 * 3 - 1);
    g_assert_cmpint(f->credentials->expires_s, ==, f->now_s + 397 * DAY_S);
    gnutls_x509_crt_t cert = parse(f->credentials->cert_pem), ca = parse(f->credentials->ca_pem);
    g_assert_cmpint(gnutls_x509_crt_get_pk_algorithm(cert, NULL), ==, GNUTLS_PK_ECDSA);
    g_assert_cmpint(gnutls_x509_crt_get_expiration_time(ca), ==, f->now_s + 3650 * DAY_S);
    g_assert_cmpint(gnutls_x509_crt_get_ca_status(ca, NULL), ==, 1);
    g_assert_cmpint(gnutls_x509_crt_get_ca_status(cert, NULL), ==, 0);
    static const char *const hosts[] = {"host.example", "localhost", "127.0.0.1", "::1"};
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_assert_true(gnutls_x509_crt_check_hostname(cert, hosts[i]));
    }
    g_assert_false(gnutls_x509_crt_check_hostname(cert, "127.0.0.2"));
    gnutls_x509_crt_deinit(cert);
    gnutls_x509_crt_deinit(ca);
}

/* OpenSSL's idea of the thumbprint, and of the chain, if it is installed. */
static void test_second_opinion(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *openssl = g_find_program_in_path("openssl");
    if (openssl == NULL) {
        g_test_skip("openssl is not installed");
        return;
    }
    g_autofree char *cert = path_of(f, "server.pem"), *ca = path_of(f, "ca.pem"), *out = NULL;
    g_autofree char *print = g_strdup_printf("openssl x509 -in '%s' -noout -fingerprint -sha1", cert);
    g_assert_true(g_spawn_command_line_sync(print, &out, NULL, NULL, NULL));
    g_assert_cmpstr(g_strchomp(strchr(out, '=') + 1), ==, f->credentials->sha1_thumbprint);
    g_autofree char *verify =
        g_strdup_printf("openssl verify -x509_strict -purpose sslserver -CAfile '%s' '%s'", ca, cert);
    int status = -1;
    g_assert_true(g_spawn_command_line_sync(verify, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static void test_kept(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *thumbprint = g_strdup(f->credentials->sha256_thumbprint);
    f->now_s += 300 * DAY_S;
    load(f, false);
    g_assert_cmpstr(f->credentials->sha256_thumbprint, ==, thumbprint);
    g_autofree char *key = contents(f, "server.key");
    g_assert_cmpstr(f->credentials->key_pem, ==, key);
    /* The authority's key may be kept elsewhere while it is not needed. */
    remove_file(f, "ca.key");
    load(f, false);
}

static void test_renewed(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *ca = g_strdup(f->credentials->ca_pem);
    g_autofree char *thumbprint = g_strdup(f->credentials->sha256_thumbprint);
    int64_t start_s = f->now_s;
    f->now_s = start_s + 366 * DAY_S;
    load(f, false);
    f->now_s = start_s + 368 * DAY_S;
    load(f, true);
    g_assert_cmpstr(f->credentials->ca_pem, ==, ca);
    g_assert_cmpstr(f->credentials->sha256_thumbprint, !=, thumbprint);
    g_assert_cmpint(f->credentials->expires_s, ==, f->now_s + 397 * DAY_S);
    /* Near its own end the authority is made again too. */
    f->now_s = start_s + 3640 * DAY_S;
    load(f, true);
    g_assert_cmpstr(f->credentials->ca_pem, !=, ca);
}

static void test_names(struct fixture *f, gconstpointer data)
{
    const char *const addresses[] = {"0.0.0.0", "192.0.2.7", "::", "2001:db8::7", "127.0.0.1", NULL};

    (void)data;
    load_with(f, "host.example", addresses, true);
    load_with(f, "host.example", addresses, false);
    load_with(f, "host.example", NULL, false); /* more names than needed do no harm */
    gnutls_x509_crt_t cert = parse(f->credentials->cert_pem);
    g_assert_true(gnutls_x509_crt_check_hostname(cert, "192.0.2.7"));
    g_assert_true(gnutls_x509_crt_check_hostname(cert, "2001:db8::7"));
    g_assert_false(gnutls_x509_crt_check_hostname(cert, "0.0.0.0"));
    gnutls_x509_crt_deinit(cert);
    g_autofree char *long_name = g_strnfill(63, 'a');
    g_autofree char *host = g_strdup_printf("%s.%s.example", long_name, long_name);
    load_with(f, host, NULL, true);
    load_with(f, host, NULL, false);
    load_with(f, "203.0.113.5", NULL, true);
    load_with(f, "203.0.113.5", NULL, false);
}

/* Whatever is missing, cut short, or of another pair: the next start has a working pair again. */
static void test_mended(struct fixture *f, gconstpointer data)
{
    static const char *const names[] = {"ca.pem", "ca.key", "server.pem", "server.key"};

    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        bool is_ca_key = i == 1; /* not needed for now, so nothing is made again */
        g_autofree char *whole = contents(f, names[i]);
        remove_file(f, names[i]);
        load(f, !is_ca_key);
        load(f, false);
        whole[strlen(whole) / 2] = '\0';
        set_contents(f, names[i], whole);
        load(f, !is_ca_key);
        load(f, false);
        set_contents(f, names[i], "");
        load(f, !is_ca_key);
        load(f, false);
    }
    /* A crash between the new key and the new certificate. */
    g_autofree char *old_key = contents(f, "server.key");
    remove_file(f, "server.pem");
    load(f, true);
    set_contents(f, "server.key", old_key);
    load(f, true);
    load(f, false);
    /* Another authority's certificate. */
    g_autofree char *old_ca = contents(f, "ca.pem"), *old_ca_key = contents(f, "ca.key");
    remove_file(f, "ca.pem");
    load(f, true);
    set_contents(f, "ca.pem", old_ca);
    set_contents(f, "ca.key", old_ca_key);
    load(f, true);
    load(f, false);
}

static void test_unreadable(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *path = path_of(f, "server.key");
    g_autofree char *message = NULL;
    struct tls_credentials *credentials = NULL;
    struct tls_options options = {.state_dir = f->dir, .host_name = "host.example", .now_s = f->now_s};
    remove_file(f, "server.key");
    g_assert_cmpint(mkdir(path, 0700), ==, 0); /* something that is no file is not replaced */
    g_assert_cmpint(tls_credentials_load(&options, &credentials, &message), <, 0);
    g_assert_null(credentials);
    g_assert_nonnull(strstr(message, f->dir));
}

/* --- With the HTTP server -------------------------------------------------------------------------- */

static void echo_stream(void *data, struct http_stream *stream)
{
    char buffer[16384];

    (void)data;
    while (stream != NULL) {
        struct pollfd pollfd = {.fd = http_stream_fd(stream), .events = POLLIN};
        poll(&pollfd, 1, http_stream_has_pending(stream) ? 0 : 20000);
        ssize_t n = http_stream_read(stream, buffer, sizeof(buffer));
        if (n == 0 || (n < 0 && n != -EAGAIN)) {
            return;
        }
        for (ssize_t at = 0; at < n;) {
            ssize_t written = http_stream_write(stream, buffer + at, (size_t)(n - at));
            if (written == -EAGAIN) {
                pollfd.events = POLLOUT;
                poll(&pollfd, 1, 20000);
            } else if (written < 0) {
                return;
            } else {
                at += written;
            }
        }
    }
}

static gpointer answer_later(gpointer data)
{
    http_respond_text(data, 200, "later");
    return NULL;
}

static void handler(void *data, struct http_request *request)
{
    (void)data;
    g_assert_true(http_request_is_tls(request));
    if (strcmp(http_request_path(request), "/switch") == 0) {
        http_upgrade(request, "echo", NULL, echo_stream, NULL);
    } else if (strcmp(http_request_path(request), "/later") == 0) {
        http_request_detach(request);
        g_thread_unref(g_thread_new("answer", answer_later, request));
    } else {
        http_respond_text(request, 200, "at once");
    }
}

struct tls_client {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

static int client_handshake(struct tls_client *client, struct fixture *f, uint16_t port,
                            const char *priorities)
{
    gnutls_datum_t ca = {(unsigned char *)f->credentials->ca_pem, (unsigned)strlen(f->credentials->ca_pem)};
    int r;

    client->fd = client_connect(port);
    g_assert_cmpint(gnutls_certificate_allocate_credentials(&client->credentials), ==, 0);
    g_assert_cmpint(gnutls_certificate_set_x509_trust_mem(client->credentials, &ca, GNUTLS_X509_FMT_PEM), ==,
                    1);
    g_assert_cmpint(gnutls_init(&client->session, GNUTLS_CLIENT), ==, 0);
    g_assert_cmpint(gnutls_priority_set_direct(client->session, priorities, NULL), ==, 0);
    gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials);
    gnutls_session_set_verify_cert(client->session, "localhost", 0);
    gnutls_transport_set_int(client->session, client->fd);
    do {
        r = gnutls_handshake(client->session);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    return r;
}

static void client_free(struct tls_client *client)
{
    gnutls_deinit(client->session);
    gnutls_certificate_free_credentials(client->credentials);
    close(client->fd);
}

static void tls_send(struct tls_client *client, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = gnutls_record_send(client->session, data, length);
        g_assert_cmpint(n, >, 0);
        data += n;
        length -= (size_t)n;
    }
}

static void tls_read(struct tls_client *client, char *buffer, size_t length)
{
    while (length > 0) {
        ssize_t n = gnutls_record_recv(client->session, buffer, length);
        g_assert_cmpint(n, >, 0);
        buffer += n;
        length -= (size_t)n;
    }
}

static void expect_reply(struct tls_client *client, const char *request, const char *status, const char *body)
{
    GString *got = g_string_new(NULL);
    char c;
    tls_send(client, request, strlen(request));
    while (!g_str_has_suffix(got->str, "\r\n\r\n")) {
        tls_read(client, &c, 1);
        g_string_append_c(got, c);
    }
    g_assert_true(g_str_has_prefix(got->str, status));
    g_autofree char *rest = g_malloc(strlen(body) + 1);
    tls_read(client, rest, strlen(body));
    g_assert_cmpmem(rest, strlen(body), body, strlen(body));
    g_string_free(got, TRUE);
}

static void test_handshake(struct fixture *f, gconstpointer data)
{
    enum { N = 1 << 20 };
    const char *const listen[] = {"127.0.0.1:0", NULL};
    struct http_server *server = NULL;
    g_autofree char *message = NULL;
    struct http_server_options options = {.listen = listen,
                                          .tls_cert_pem = f->credentials->cert_pem,
                                          .tls_key_pem = f->credentials->key_pem,
                                          .threads = 2,
                                          .handler = handler};
    (void)data;
    g_assert_cmpint(http_server_new(&options, &server, &message), ==, 0);
    uint16_t port = http_server_port(server, 0);

    static const char *const good[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        struct tls_client client = {0};
        g_assert_cmpint(client_handshake(&client, f, port, good[i]), ==, 0);
        expect_reply(&client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 ", "at once");
        expect_reply(&client, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 ", "later");
        /* Switched, the connection still goes through TLS; in pieces larger than its buffers. */
        expect_reply(&client,
                     "GET /switch HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi",
                     "HTTP/1.1 101 ", "hi");
        g_autofree char *out = g_malloc(N), *in = g_malloc(N);
        for (int j = 0; j < N; j++) {
            out[j] = (char)(j * 2654435761u >> 11);
        }
        for (int at = 0; at < N; at += N / 64) {
            tls_send(&client, out + at, N / 64);
            tls_read(&client, in + at, N / 64);
        }
        g_assert_cmpmem(in, N, out, N);
        gnutls_bye(client.session, GNUTLS_SHUT_WR);
        client_free(&client);
    }
    struct tls_client old = {0};
    g_assert_cmpint(client_handshake(&old, f, port, "NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_BROKEN"), <,
                    0);
    client_free(&old);
    /* Plain HTTP on this port is no request. */
    int fd = client_connect(port);
    client_send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    char buffer[100];
    while (client_recv(fd, buffer, sizeof(buffer)) > 0) {
        g_assert_null(g_strstr_len(buffer, sizeof(buffer), "HTTP"));
    }
    close(fd);
    http_server_free(server);

    options.tls_key_pem = "nonsense";
    g_assert_cmpint(http_server_new(&options, &server, &message), ==, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/tls/first-start", struct fixture, NULL, setup, test_first_start, teardown);
    g_test_add("/tls/second-opinion", struct fixture, NULL, setup, test_second_opinion, teardown);
    g_test_add("/tls/kept", struct fixture, NULL, setup, test_kept, teardown);
    g_test_add("/tls/renewed", struct fixture, NULL, setup, test_renewed, teardown);
    g_test_add("/tls/names", struct fixture, NULL, setup, test_names, teardown);
    g_test_add("/tls/mended", struct fixture, NULL, setup, test_mended, teardown);
    g_test_add("/tls/unreadable", struct fixture, NULL, setup, test_unreadable, teardown);
    g_test_add("/tls/handshake", struct fixture, NULL, setup, test_handshake, teardown);
    return g_test_run();
}
