// SPDX-License-Identifier: Apache-2.0
/*
 * Certificates with GnuTLS: EC P-256 throughout. The authority lives ten years and signs only this
 * server's certificate; that one lives 397 days, the longest that clients accept.
 */
#include "vim/tls.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#define DAY_S (24 * 3600)
#define CA_DAYS 3650
#define SERVER_DAYS 397
#define RENEW_DAYS 30   /* before the end */
#define BACKDATE_S 3600 /* for clients whose clock is behind */
#define MAX_PEM_BYTES (64 * 1024)

/* A certificate with its key, as two files. */
struct pair {
    gnutls_x509_crt_t cert;    /* NULL: missing or broken */
    gnutls_x509_privkey_t key; /* the same */
    bool matches;              /* both are there and belong together */
};

static void pair_clear(struct pair *pair)
{
    if (pair->cert != NULL) {
        gnutls_x509_crt_deinit(pair->cert);
    }
    if (pair->key != NULL) {
        gnutls_x509_privkey_deinit(pair->key);
    }
    *pair = (struct pair){0};
}

static void wipe_free(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        g_free(text);
    }
}

/* All of GnuTLS's errors that we can meet are about memory, its random source or its configuration. */
static int error_of(int r)
{
    return r >= 0 ? 0 : r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO;
}

/* --- Reading --------------------------------------------------------------------------------------- */

/* *ret is NULL when there is no such file. */
static int read_pem(const char *dir, const char *name, char **ret)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = NULL;

    int r = file_read(AT_FDCWD, path, MAX_PEM_BYTES, &text, NULL);
    if (r < 0 && r != -ENOENT) {
        return r;
    }
    *ret = text;
    return 0;
}

static gnutls_x509_crt_t parse_cert(const char *pem)
{
    gnutls_datum_t datum = {(unsigned char *)pem, (unsigned)strlen(pem)};
    gnutls_x509_crt_t cert = NULL;

    if (gnutls_x509_crt_init(&cert) < 0) {
        return NULL;
    }
    if (gnutls_x509_crt_import(cert, &datum, GNUTLS_X509_FMT_PEM) < 0) {
        gnutls_x509_crt_deinit(cert);
        return NULL;
    }
    return cert;
}

static gnutls_x509_privkey_t parse_key(const char *pem)
{
    gnutls_datum_t datum = {(unsigned char *)pem, (unsigned)strlen(pem)};
    gnutls_x509_privkey_t key = NULL;

    if (gnutls_x509_privkey_init(&key) < 0) {
        return NULL;
    }
    if (gnutls_x509_privkey_import(key, &datum, GNUTLS_X509_FMT_PEM) < 0) {
        gnutls_x509_privkey_deinit(key);
        return NULL;
    }
    return key;
}

static bool belong_together(const struct pair *pair)
{
    unsigned char of_cert[64], of_key[64];
    size_t cert_length = sizeof(of_cert), key_length = sizeof(of_key);

    return gnutls_x509_crt_get_key_id(pair->cert, GNUTLS_KEYID_USE_SHA256, of_cert, &cert_length) == 0 &&
           gnutls_x509_privkey_get_key_id(pair->key, GNUTLS_KEYID_USE_SHA256, of_key, &key_length) == 0 &&
           cert_length == key_length && memcmp(of_cert, of_key, key_length) == 0;
}

static int load_pair(const char *dir, const char *cert_name, const char *key_name, struct pair *ret)
{
    g_autofree char *cert_pem = NULL;
    char *key_pem = NULL;

    int r = read_pem(dir, cert_name, &cert_pem);
    if (r == 0) {
        r = read_pem(dir, key_name, &key_pem);
    }
    if (r == 0) {
        ret->cert = cert_pem != NULL ? parse_cert(cert_pem) : NULL;
        ret->key = key_pem != NULL ? parse_key(key_pem) : NULL;
        ret->matches = ret->cert != NULL && ret->key != NULL && belong_together(ret);
    }
    wipe_free(key_pem);
    return r;
}

static bool is_current(gnutls_x509_crt_t cert, int64_t now_s)
{
    return gnutls_x509_crt_get_activation_time(cert) <= now_s &&
           gnutls_x509_crt_get_expiration_time(cert) > now_s + RENEW_DAYS * DAY_S;
}

/* --- Making ---------------------------------------------------------------------------------------- */

/* The certificate's names and addresses, without repetition; freed with g_ptr_array_unref. */
static GPtrArray *wanted_names(const struct tls_options *options)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1", NULL};
    GPtrArray *names = g_ptr_array_new();

    g_ptr_array_add(names, (gpointer)options->host_name);
    for (size_t i = 0; always[i] != NULL; i++) {
        g_ptr_array_add(names, (gpointer)always[i]);
    }
    for (size_t i = 0; options->addresses != NULL && options->addresses[i] != NULL; i++) {
        const char *address = options->addresses[i];
        if (strcmp(address, "0.0.0.0") != 0 && strcmp(address, "::") != 0 && address[0] != '\0' &&
            !g_ptr_array_find_with_equal_func(names, address, g_str_equal, NULL)) {
            g_ptr_array_add(names, (gpointer)address);
        }
    }
    return names;
}

static int add_name(gnutls_x509_crt_t cert, const char *name)
{
    unsigned char address[16];

    if (inet_pton(AF_INET, name, address) == 1) {
        return gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS, address, 4,
                                                    GNUTLS_FSAN_APPEND);
    }
    if (inet_pton(AF_INET6, name, address) == 1) {
        return gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS, address, 16,
                                                    GNUTLS_FSAN_APPEND);
    }
    return gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name),
                                                GNUTLS_FSAN_APPEND);
}

static bool has_all_names(gnutls_x509_crt_t cert, const struct tls_options *options)
{
    g_autoptr(GPtrArray) names = wanted_names(options);

    for (guint i = 0; i < names->len; i++) {
        if (!gnutls_x509_crt_check_hostname2(cert, g_ptr_array_index(names, i),
                                             GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS)) {
            return false;
        }
    }
    return true;
}

/* What both certificates have: key, random serial, life, subject. */
static int begin_cert(struct pair *pair, int64_t now_s, int days, const char *common_name)
{
    unsigned char serial[16], id[64];
    size_t id_length = sizeof(id);
    int r = 0;

    r = r ?: gnutls_x509_privkey_init(&pair->key);
    r = r
            ?: gnutls_x509_privkey_generate(pair->key, GNUTLS_PK_ECDSA,
                                            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    r = r ?: gnutls_x509_crt_init(&pair->cert);
    r = r ?: gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of full length (RFC 5280 4.1.2.2) */
    r = r ?: gnutls_x509_crt_set_version(pair->cert, 3);
    r = r ?: gnutls_x509_crt_set_serial(pair->cert, serial, sizeof(serial));
    r = r ?: gnutls_x509_crt_set_activation_time(pair->cert, now_s - BACKDATE_S);
    r = r ?: gnutls_x509_crt_set_expiration_time(pair->cert, now_s + (int64_t)days * DAY_S);
    r = r ?: gnutls_x509_crt_set_dn_by_oid(pair->cert, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, "Tenkyu", 6);
    r = r
            ?: gnutls_x509_crt_set_dn_by_oid(pair->cert, GNUTLS_OID_X520_COMMON_NAME, 0, common_name,
                                             (unsigned)strlen(common_name));
    r = r ?: gnutls_x509_crt_set_key(pair->cert, pair->key);
    r = r ?: gnutls_x509_crt_get_key_id(pair->cert, 0, id, &id_length);
    return r ?: gnutls_x509_crt_set_subject_key_id(pair->cert, id, id_length);
}

static int make_ca(const struct tls_options *options, struct pair *ret)
{
    /* A common name has at most 64 characters. */
    g_autofree char *name = g_strdup_printf("Tenkyu CA of %.48s", options->host_name);
    int r = 0;

    pair_clear(ret);
    r = r ?: begin_cert(ret, options->now_s, CA_DAYS, name);
    r = r ?: gnutls_x509_crt_set_basic_constraints(ret->cert, 1, 0);
    r = r ?: gnutls_x509_crt_set_key_usage(ret->cert, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    r = r ?: gnutls_x509_crt_sign2(ret->cert, ret->cert, ret->key, GNUTLS_DIG_SHA256, 0);
    ret->matches = r == 0;
    return error_of(r);
}

static int make_server(const struct tls_options *options, const struct pair *ca, struct pair *ret)
{
    g_autofree char *name = g_strdup_printf("%.64s", options->host_name);
    g_autoptr(GPtrArray) names = wanted_names(options);
    unsigned char ca_id[64];
    size_t ca_id_length = sizeof(ca_id);
    int r = 0;

    pair_clear(ret);
    r = r ?: begin_cert(ret, options->now_s, SERVER_DAYS, name);
    for (guint i = 0; i < names->len; i++) {
        r = r ?: add_name(ret->cert, g_ptr_array_index(names, i));
    }
    r = r ?: gnutls_x509_crt_set_basic_constraints(ret->cert, 0, -1);
    r = r ?: gnutls_x509_crt_set_key_usage(ret->cert, GNUTLS_KEY_DIGITAL_SIGNATURE);
    r = r ?: gnutls_x509_crt_set_key_purpose_oid(ret->cert, GNUTLS_KP_TLS_WWW_SERVER, 0);
    r = r ?: gnutls_x509_crt_get_subject_key_id(ca->cert, ca_id, &ca_id_length, NULL);
    r = r ?: gnutls_x509_crt_set_authority_key_id(ret->cert, ca_id, ca_id_length);
    r = r ?: gnutls_x509_crt_sign2(ret->cert, ca->cert, ca->key, GNUTLS_DIG_SHA256, 0);
    ret->matches = r == 0;
    return error_of(r);
}

/* --- Writing --------------------------------------------------------------------------------------- */

static int cert_to_pem(gnutls_x509_crt_t cert, char **ret)
{
    gnutls_datum_t datum;
    int r = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &datum);
    if (r == 0) {
        *ret = g_strndup((const char *)datum.data, datum.size);
        gnutls_free(datum.data);
    }
    return error_of(r);
}

static int key_to_pem(gnutls_x509_privkey_t key, char **ret)
{
    gnutls_datum_t datum;
    int r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &datum);
    if (r == 0) {
        *ret = g_strndup((const char *)datum.data, datum.size);
        explicit_bzero(datum.data, datum.size);
        gnutls_free(datum.data);
    }
    return error_of(r);
}

static int save_pair(const char *dir, const char *cert_name, const char *key_name, const struct pair *pair)
{
    g_autofree char *cert_path = g_build_filename(dir, cert_name, NULL);
    g_autofree char *key_path = g_build_filename(dir, key_name, NULL);
    g_autofree char *cert_pem = NULL;
    char *key_pem = NULL;

    int r = cert_to_pem(pair->cert, &cert_pem);
    if (r == 0) {
        r = key_to_pem(pair->key, &key_pem);
    }
    if (r == 0) {
        r = file_replace(AT_FDCWD, key_path, key_pem, strlen(key_pem), 0600);
    }
    if (r == 0) {
        r = file_replace(AT_FDCWD, cert_path, cert_pem, strlen(cert_pem), 0644);
    }
    wipe_free(key_pem);
    return r;
}

/* --- Together -------------------------------------------------------------------------------------- */

static bool is_signed_by(const struct pair *server, const struct pair *ca)
{
    unsigned status = 0;
    return ca->cert != NULL && gnutls_x509_crt_check_issuer(server->cert, ca->cert) == 1 &&
           gnutls_x509_crt_verify(server->cert, &ca->cert, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) ==
               0 &&
           status == 0;
}

/*
 * Leaves ca with a certificate and server with a working pair. The key of the authority may be missing
 * (kept elsewhere, for safety) as long as the server's certificate need not be made.
 */
static int load_or_make(const struct tls_options *options, const char *dir, struct pair *ca,
                        struct pair *server, bool *ret_is_new)
{
    int r = load_pair(dir, "ca.pem", "ca.key", ca);
    if (r == 0) {
        r = load_pair(dir, "server.pem", "server.key", server);
    }
    if (r < 0) {
        return r;
    }
    if (server->matches && is_current(server->cert, options->now_s) && is_signed_by(server, ca) &&
        has_all_names(server->cert, options)) {
        *ret_is_new = false;
        return 0;
    }
    if (!ca->matches || !is_current(ca->cert, options->now_s) ||
        gnutls_x509_crt_get_ca_status(ca->cert, NULL) <= 0) {
        r = make_ca(options, ca);
        if (r == 0) {
            r = save_pair(dir, "ca.pem", "ca.key", ca);
        }
    }
    if (r == 0) {
        r = make_server(options, ca, server);
    }
    if (r == 0) {
        r = save_pair(dir, "server.pem", "server.key", server);
    }
    *ret_is_new = true;
    return r;
}

static char *thumbprint(gnutls_x509_crt_t cert, gnutls_digest_algorithm_t algorithm)
{
    unsigned char digest[64];
    size_t length = sizeof(digest);

    if (gnutls_x509_crt_get_fingerprint(cert, algorithm, digest, &length) < 0) {
        return NULL;
    }
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < length; i++) {
        g_string_append_printf(text, i == 0 ? "%02X" : ":%02X", digest[i]);
    }
    return g_string_free(text, FALSE);
}

static int to_credentials(const struct pair *ca, const struct pair *server,
                          struct tls_credentials *credentials)
{
    g_autofree char *server_pem = NULL;

    int r = cert_to_pem(server->cert, &server_pem);
    if (r == 0) {
        r = cert_to_pem(ca->cert, &credentials->ca_pem);
    }
    if (r == 0) {
        r = key_to_pem(server->key, &credentials->key_pem);
    }
    if (r < 0) {
        return r;
    }
    credentials->cert_pem = g_strconcat(server_pem, credentials->ca_pem, NULL);
    credentials->sha1_thumbprint = thumbprint(server->cert, GNUTLS_DIG_SHA1);
    credentials->sha256_thumbprint = thumbprint(server->cert, GNUTLS_DIG_SHA256);
    credentials->expires_s = gnutls_x509_crt_get_expiration_time(server->cert);
    return credentials->sha1_thumbprint != NULL && credentials->sha256_thumbprint != NULL ? 0 : -EIO;
}

int tls_credentials_load(const struct tls_options *options, struct tls_credentials **ret, char **ret_message)
{
    g_autofree char *dir = g_build_filename(options->state_dir, "tls", NULL);
    struct tls_credentials *credentials = g_new0(struct tls_credentials, 1);
    struct pair ca = {0}, server = {0};

    int r = file_mkdir(AT_FDCWD, dir, 0755);
    if (r == 0) {
        r = load_or_make(options, dir, &ca, &server, &credentials->is_new);
    }
    if (r == 0) {
        r = to_credentials(&ca, &server, credentials);
    }
    pair_clear(&ca);
    pair_clear(&server);
    if (r < 0) {
        tls_credentials_free(credentials);
        *ret_message = g_strdup_printf("cannot load or make the certificates in %s: %s", dir, g_strerror(-r));
        return r;
    }
    *ret = credentials;
    return 0;
}

void tls_credentials_free(struct tls_credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    g_free(credentials->cert_pem);
    wipe_free(credentials->key_pem);
    g_free(credentials->ca_pem);
    g_free(credentials->sha1_thumbprint);
    g_free(credentials->sha256_thumbprint);
    g_free(credentials);
}
