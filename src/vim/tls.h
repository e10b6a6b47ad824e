// SPDX-License-Identifier: Apache-2.0
/*
 * The server's own certificate: made at the first start, by a certificate authority of its own that is
 * made with it, so that clients can trust one file (ca.pem) for the machine's lifetime. Called once at
 * start, before the HTTP server.
 *
 * In STATE/tls: ca.pem, ca.key, server.pem, server.key; keys are 0600. Each file is replaced as a whole, the
 * key before its certificate; a start that finds a pair that does not fit together, as a crash in
 * between leaves it, makes that pair again. To use another certificate, stop the server and replace all
 * four files, or put a proxy in front.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tls_options {
    const char *state_dir;        /* STATE; the folder tls is made in it */
    const char *host_name;        /* for the certificate's names; may be an address */
    const char *const *addresses; /* numeric, more names; those that mean "any" are left out; may be NULL */
    int64_t now_s;                /* the time, as of time(2) */
};

struct tls_credentials {
    char *cert_pem; /* the server's certificate, then the authority's */
    char *key_pem;  /* the server's key, wiped when freed */
    char *ca_pem;
    char *sha1_thumbprint;   /* of the server's certificate: "AA:BB:..." */
    char *sha256_thumbprint; /* the same */
    int64_t expires_s;       /* of the server's certificate; renewed by a start within 30 days before */
    bool is_new;             /* the certificate was made by this start */
};

/*
 * Loads the credentials, making or renewing what is missing, broken, near its end, or lacks a name. 0 or a
 * negative errno with *ret_message, a sentence for people, freed with g_free. A file that is there but
 * cannot be read is an error, and is not replaced.
 */
int tls_credentials_load(const struct tls_options *options, struct tls_credentials **ret, char **ret_message);

void tls_credentials_free(struct tls_credentials *credentials);
