// SPDX-License-Identifier: Apache-2.0
/*
 * Certificates for people and for pinning; see certificate.h.
 */
#include "cli/certificate.h"

#include <errno.h>
#include <glib.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>

enum { SHA256_BYTES = 32 };

static char *thumbprint_of(gnutls_x509_crt_t crt)
{
    unsigned char hash[SHA256_BYTES];
    size_t size = sizeof(hash);
    if (gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, hash, &size) != 0) {
        return NULL;
    }
    GString *text = g_string_sized_new(3 * sizeof(hash));
    for (size_t i = 0; i < size; i++) {
        g_string_append_printf(text, "%s%02X", i > 0 ? ":" : "", hash[i]);
    }
    return g_string_free(text, FALSE);
}

static char *pin_of(gnutls_x509_crt_t crt)
{
    gnutls_pubkey_t key = NULL;
    gnutls_datum_t der = {NULL, 0};
    unsigned char hash[SHA256_BYTES];
    char *pin = NULL;
    if (gnutls_pubkey_init(&key) != 0) {
        return NULL;
    }
    if (gnutls_pubkey_import_x509(key, crt, 0) == 0 &&
        gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der) == 0 &&
        gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, hash) == 0) {
        g_autofree char *base64 = g_base64_encode(hash, sizeof(hash));
        pin = g_strconcat("sha256//", base64, NULL);
    }
    gnutls_free(der.data);
    gnutls_pubkey_deinit(key);
    return pin;
}

static char *subject_of(gnutls_x509_crt_t crt)
{
    gnutls_datum_t name = {NULL, 0};
    if (gnutls_x509_crt_get_dn3(crt, &name, 0) != 0) {
        return g_strdup("(unknown)");
    }
    char *subject = g_strndup((const char *)name.data, name.size);
    gnutls_free(name.data);
    return subject;
}

int cli_certificate_read(const char *pem, struct cli_certificate *ret)
{
    gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t data = {(unsigned char *)pem, (unsigned)strlen(pem)};
    if (gnutls_x509_crt_init(&crt) != 0) {
        return -EINVAL;
    }
    struct cli_certificate certificate = {0};
    if (gnutls_x509_crt_import(crt, &data, GNUTLS_X509_FMT_PEM) == 0) {
        g_autoptr(GDateTime) end = g_date_time_new_from_unix_utc(gnutls_x509_crt_get_expiration_time(crt));
        certificate.thumbprint = thumbprint_of(crt);
        certificate.pin = pin_of(crt);
        certificate.subject = subject_of(crt);
        certificate.expires = end != NULL ? g_date_time_format(end, "%Y-%m-%d") : g_strdup("never");
    }
    gnutls_x509_crt_deinit(crt);
    if (certificate.thumbprint == NULL || certificate.pin == NULL) {
        cli_certificate_clear(&certificate);
        return -EINVAL;
    }
    *ret = certificate;
    return 0;
}

void cli_certificate_clear(struct cli_certificate *certificate)
{
    g_free(certificate->thumbprint);
    g_free(certificate->pin);
    g_free(certificate->subject);
    g_free(certificate->expires);
    *certificate = (struct cli_certificate){0};
}

static char next_digit(const char **at)
{
    *at += strspn(*at, ": \t\r\n");
    return **at != '\0' ? g_ascii_toupper(*(*at)++) : '\0';
}

bool cli_thumbprint_equal(const char *a, const char *b)
{
    unsigned digits = 0;
    for (char c; (c = next_digit(&a)) == next_digit(&b); digits++) {
        if (c == '\0') {
            return digits == 2 * SHA256_BYTES;
        }
    }
    return false;
}
