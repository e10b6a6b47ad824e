// SPDX-License-Identifier: Apache-2.0
/*
 * login, logout, version.
 */
#include <errno.h>
#include <string.h>

#include "base/version.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/js.h"
#include "cli/run.h"
#include "cli/server.h"
#include "cli/session.h"
#include "cli/terminal.h"

/* What is known of the server from an earlier login to the same address. */
static void reuse_trust(struct cli_server *server, const struct cli_server *old)
{
    if (old->url != NULL && strcmp(old->url, server->url) == 0) {
        server->trust = old->trust;
        server->pin = g_strdup(old->pin);
        server->thumbprint = g_strdup(old->thumbprint);
        server->ca_file = g_strdup(old->ca_file);
    }
}

static int choose_trust(const struct cli_arguments *arguments, const struct cli_server *old,
                        struct cli_server *server, struct cli_error *error)
{
    const char *thumbprint = cli_option(arguments, "thumbprint");
    const char *ca_file = cli_option(arguments, "ca-file");
    bool insecure = cli_flag(arguments, "insecure");
    if ((thumbprint != NULL) + (ca_file != NULL) + insecure > 1) {
        return cli_error_set(error, CLI_USAGE, "--thumbprint, --ca-file and --insecure exclude each other");
    }
    if (thumbprint == NULL && ca_file == NULL && !insecure) {
        thumbprint = g_getenv("TENKYU_THUMBPRINT");
        ca_file = g_getenv("TENKYU_CA_FILE");
    }
    if (thumbprint == NULL && ca_file == NULL && !insecure && old->trust != CLI_TRUST_ANY) {
        reuse_trust(server, old);
    }
    return server->trust != 0 ? CLI_OK : cli_choose_trust(server, thumbprint, ca_file, insecure, true, error);
}

static int find_password(const struct cli_arguments *arguments, const struct cli_server *server, char **ret,
                         struct cli_error *error)
{
    int code = cli_read_password(cli_option(arguments, "password-file"), ret, error);
    if (code == CLI_OK && *ret == NULL) {
        g_autofree char *question = g_strdup_printf("Password of %s at %s:", server->user, server->url);
        *ret = cli_ask(question, true);
        if (*ret == NULL) {
            return cli_error_set(error, CLI_USAGE,
                                 "there is no terminal to ask for the password; give --password-file FILE or "
                                 "set TENKYU_PASSWORD_FILE");
        }
    }
    return code;
}

/* The session that a new one replaces should not stay behind. */
static void end_old_session(const struct cli_server *old, const struct cli_server *server)
{
    if (old->url == NULL || strcmp(old->url, server->url) != 0) {
        return;
    }
    struct cli former = {0};
    if (cli_connect_to(&former, old) == CLI_OK) {
        cli_log_out(&former);
    }
    cli_error_clear(&former.error);
    cli_disconnect(&former);
}

static int log_in(struct cli *cli, const struct cli_arguments *arguments, const struct cli_server *old,
                  struct cli_server *server)
{
    g_autofree char *password = NULL;
    int code = choose_trust(arguments, old, server, &cli->error);
    if (code == CLI_OK && g_str_has_prefix(server->url, "http://") && !cli_server_is_local(server->url)) {
        fprintf(cli->err, "tenkyu: warning: http:// sends the password where others can read it\n");
    }
    if (code == CLI_OK) {
        code = cli_connect_to(cli, server);
    }
    if (code == CLI_OK) {
        code = find_password(arguments, server, &password, &cli->error);
    }
    if (code == CLI_OK) {
        code = cli_log_in(cli, server->user, password);
    }
    if (code != CLI_OK) {
        return code;
    }
    end_old_session(old, server);
    server->session = g_strdup(cli_client_session(cli->client));
    int problem = cli_server_save(server);
    if (problem != 0) {
        g_autofree char *path = cli_server_file();
        cli_log_out(cli);
        return cli_error_set(&cli->error, CLI_FAILED, "the session cannot be kept in %s: %s", path,
                             g_strerror(-problem));
    }
    return CLI_OK;
}

int cli_run_login(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *user = cli_option(arguments, "user");
    struct cli_server old = {0};
    struct cli_server server = {0};
    if (cli_server_url(cli_word(arguments, 0), &server.url) != 0) {
        return cli_error_set(&cli->error, CLI_USAGE,
                             "\"%s\" is not the address of a host, such as https://host or https://host:8443",
                             cli_word(arguments, 0));
    }
    user = user != NULL ? user : g_getenv("TENKYU_USER");
    server.user = g_strdup(user != NULL ? user : "root");
    cli_server_load(&old); /* none, or a damaged one, is as good as all-zero */
    int code = log_in(cli, arguments, &old, &server);
    json_object *about = js_at(cli->content, "about");
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "url:s", server.url, "user:s", server.user, "server:s",
                                      js_text(about, "fullName"), "thumbprint:s", server.thumbprint, NULL));
    } else if (code == CLI_OK) {
        fprintf(cli->out, "Logged in to %s as %s (%s).\n", server.url, server.user,
                js_text(about, "fullName") != NULL ? js_text(about, "fullName") : "unknown product");
    }
    cli_server_clear(&server);
    cli_server_clear(&old);
    return code;
}

int cli_run_logout(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    struct cli_server server = {0};
    int problem = cli_server_load(&server);
    if (problem == -ENOENT) {
        return cli_error_set(&cli->error, CLI_NOT_LOGGED_IN, "not logged in");
    }
    /* A host that cannot be reached ends the session by itself; forgetting it must work nevertheless. */
    if (problem == 0 && cli_connect_to(cli, &server) == CLI_OK) {
        cli_log_out(cli);
    }
    cli_error_clear(&cli->error);
    problem = cli_server_forget();
    if (problem != 0) {
        g_autofree char *path = cli_server_file();
        cli_error_set(&cli->error, CLI_FAILED, "%s cannot be removed: %s", path, g_strerror(-problem));
    } else if (cli->json) {
        cli_print_json(cli, js_object(NULL, "url:s", server.url, NULL));
    } else {
        fprintf(cli->out, "Logged out of %s.\n", server.url != NULL ? server.url : "the host");
    }
    cli_server_clear(&server);
    return (int)cli->error.code;
}

int cli_run_version(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    bool connected = cli_connect(cli) == CLI_OK;
    json_object *about = connected ? js_at(cli->content, "about") : NULL;
    bool not_logged_in = cli->error.code == CLI_NOT_LOGGED_IN;
    if (!connected && !not_logged_in) {
        cli_show_error(cli); /* a host that is down is worth a word, but not a failure of this command */
    }
    cli_error_clear(&cli->error);
    if (cli->json) {
        json_object *server =
            connected ? js_object(NULL, "url:s", cli_client_url(cli->client), "name:s",
                                  js_text(about, "fullName"), "version:s", js_text(about, "version"),
                                  "api_version:s", js_text(about, "apiVersion"), NULL)
                      : NULL;
        cli_print_json(cli, js_object(NULL, "version:s", TENKYU_VERSION, "server:o", server, NULL));
        return CLI_OK;
    }
    fprintf(cli->out, "tenkyu %s\n", TENKYU_VERSION);
    if (connected) {
        fprintf(cli->out, "%s: %s, API %s\n", cli_client_url(cli->client), js_text(about, "fullName"),
                js_text(about, "apiVersion"));
    }
    return CLI_OK;
}
