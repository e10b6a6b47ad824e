// SPDX-License-Identifier: Apache-2.0
/*
 * A server as the client remembers it between commands: its address, how its certificate is trusted, and
 * the session. Kept in $XDG_CONFIG_HOME/tenkyu/session.json, readable by its owner alone, because the
 * session in it is as good as the password until it ends.
 */
#pragma once

#include <glib.h>

enum cli_trust {
    CLI_TRUST_SYSTEM = 1, /* signed by an authority of this machine, for the name in the URL */
    CLI_TRUST_PIN,        /* has the public key that was accepted at login */
    CLI_TRUST_CA_FILE,    /* signed by the authority in ca_file, for the name in the URL */
    CLI_TRUST_ANY,        /* not checked */
};

/* All strings are owned; those that do not apply are NULL. */
struct cli_server {
    char *url;     /* "https://host:port", as made by cli_server_url() */
    char *user;    /* who is logged in */
    char *session; /* secret of the session */
    enum cli_trust trust;
    char *pin;        /* CLI_TRUST_PIN: "sha256//" and the base64 hash of the public key */
    char *thumbprint; /* CLI_TRUST_PIN: SHA-256 of the certificate that was accepted, to show */
    char *ca_file;    /* CLI_TRUST_CA_FILE: absolute path of a PEM file */
};

/*
 * The canonical form of what a user gives as address: the scheme is https where none is given, and a path
 * such as /sdk is left out. -EINVAL: neither https:// nor http://, or no host. *ret is freed with g_free.
 */
int cli_server_url(const char *text, char **ret);
/* Whether it is an address of this machine, where plain HTTP is nobody's business. */
gboolean cli_server_is_local(const char *url);

/* Where the file is; freed with g_free. */
char *cli_server_file(void);
/* Reads the file. -ENOENT: there is none. -EINVAL: it is damaged. */
int cli_server_load(struct cli_server *ret);
/* Writes the file, whole or not at all. A negative errno. */
int cli_server_save(const struct cli_server *server);
/* Removes the file; 0 when there is none. */
int cli_server_forget(void);
void cli_server_clear(struct cli_server *server);
