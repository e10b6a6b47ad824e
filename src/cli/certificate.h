// SPDX-License-Identifier: Apache-2.0
/*
 * What the client needs of a server's certificate to ask a person about it and to know it again.
 */
#pragma once

#include <stdbool.h>

/* All strings are owned. */
struct cli_certificate {
    char *thumbprint; /* SHA-256 of the certificate: "AB:CD:..." */
    char *pin;        /* "sha256//" and the base64 SHA-256 of its public key (SubjectPublicKeyInfo) */
    char *subject;    /* distinguished name, such as "CN=host" */
    char *expires;    /* "2030-01-31" */
};

/* Reads a certificate in PEM. -EINVAL when it is none. */
int cli_certificate_read(const char *pem, struct cli_certificate *ret);
void cli_certificate_clear(struct cli_certificate *certificate);

/* Compares thumbprints: case, colons and spaces do not count. */
bool cli_thumbprint_equal(const char *a, const char *b);
