// SPDX-License-Identifier: Apache-2.0
/*
 * From nothing to a connection with a session: the remembered one, or one from the environment.
 *
 *   TENKYU_URL            the host; other than the remembered one, it needs a password too
 *   TENKYU_USER           whom to log in as (default: root)
 *   TENKYU_PASSWORD       the password, or
 *   TENKYU_PASSWORD_FILE  a file with it in its first line
 *   TENKYU_THUMBPRINT, TENKYU_CA_FILE   how to trust the host, as the options of `tenkyu login`
 */
#pragma once

#include <stdbool.h>

struct cli;
struct cli_error;
struct cli_server;

/* Sets cli->client and cli->content; nothing to do when they are set. An exit code, with cli->error set. */
int cli_connect(struct cli *cli);
/* Ends the connection, and the session where it was opened for this command alone. */
void cli_disconnect(struct cli *cli);

/* Sets cli->client and cli->content for a server, without logging in. */
int cli_connect_to(struct cli *cli, const struct cli_server *server);
/* Logs in on cli->client, whose session it sets. */
int cli_log_in(struct cli *cli, const char *user, const char *password);
/* Logs out, as well as may be: a session that stays ends by itself. */
void cli_log_out(struct cli *cli);

/* The password that a file, or else the environment, gives; *ret is NULL when neither does. Freed with
 * g_free. */
int cli_read_password(const char *file, char **ret, struct cli_error *error);
/* Sets trust, pin, thumbprint or ca_file of a server from options (each may be NULL); ask: an unknown
 * certificate may be shown to the person at the terminal. server->url is set. */
int cli_choose_trust(struct cli_server *server, const char *thumbprint, const char *ca_file, bool insecure,
                     bool ask, struct cli_error *error);
