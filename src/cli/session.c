// SPDX-License-Identifier: Apache-2.0
/*
 * Connecting and logging in; see session.h.
 */
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/certificate.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/js.h"
#include "cli/server.h"
#include "cli/terminal.h"

enum { MAX_PASSWORD_BYTES = 4096 };

/* ---- trust ---------------------------------------------------------------------------------------- */

static void pin(struct cli_server *server, struct cli_certificate *certificate)
{
    server->trust = CLI_TRUST_PIN;
    server->pin = g_steal_pointer(&certificate->pin);
    server->thumbprint = g_steal_pointer(&certificate->thumbprint);
}

static int judge_certificate(struct cli_server *server, struct cli_certificate *certificate,
                             const char *thumbprint, bool ask, struct cli_error *error)
{
    if (thumbprint != NULL) {
        if (!cli_thumbprint_equal(thumbprint, certificate->thumbprint)) {
            return cli_error_set(error, CLI_FAILED,
                                 "the certificate of %s has another thumbprint, %s; nothing was sent",
                                 server->url, certificate->thumbprint);
        }
        pin(server, certificate);
        return CLI_OK;
    }
    if (!ask || !cli_can_ask()) {
        return cli_error_set(error, CLI_FAILED,
                             "the certificate of %s is not known here; compare its thumbprint with what the "
                             "host shows, and if it is the same run `tenkyu login --thumbprint %s %s`",
                             server->url, certificate->thumbprint, server->url);
    }
    g_autofree char *question =
        g_strdup_printf("The certificate of %s is not known here:\n"
                        "  subject     %s\n"
                        "  expires     %s\n"
                        "  thumbprint  %s\n"
                        "Compare the thumbprint (SHA-256) with what the host shows. Trust it from now on?",
                        server->url, certificate->subject, certificate->expires, certificate->thumbprint);
    if (!cli_ask_yes(question)) {
        return cli_error_set(error, CLI_FAILED, "not logged in, because the certificate is not trusted");
    }
    pin(server, certificate);
    return CLI_OK;
}

int cli_choose_trust(struct cli_server *server, const char *thumbprint, const char *ca_file, bool insecure,
                     bool ask, struct cli_error *error)
{
    if (insecure || g_str_has_prefix(server->url, "http://")) {
        server->trust = CLI_TRUST_ANY;
        return CLI_OK;
    }
    if (ca_file != NULL) {
        server->trust = CLI_TRUST_CA_FILE;
        server->ca_file = g_canonicalize_filename(ca_file, NULL);
        if (access(server->ca_file, R_OK) != 0) {
            return cli_error_set(error, CLI_FAILED, "%s: %s", server->ca_file, g_strerror(errno));
        }
        return CLI_OK;
    }
    bool known = false;
    struct cli_certificate certificate = {0};
    int code = cli_client_probe(server->url, &known, &certificate, error);
    if (code == CLI_OK && known && thumbprint == NULL) {
        server->trust = CLI_TRUST_SYSTEM;
    } else if (code == CLI_OK) {
        code = judge_certificate(server, &certificate, thumbprint, ask, error);
    }
    cli_certificate_clear(&certificate);
    return code;
}

/* ---- password ------------------------------------------------------------------------------------- */

int cli_read_password(const char *file, char **ret, struct cli_error *error)
{
    const char *given = file == NULL ? g_getenv("TENKYU_PASSWORD") : NULL;
    const char *path = file != NULL ? file : g_getenv("TENKYU_PASSWORD_FILE");
    char *password = g_strdup(given);
    if (password == NULL && path != NULL) {
        int problem = file_read(AT_FDCWD, path, MAX_PASSWORD_BYTES, &password, NULL);
        if (problem != 0) {
            return cli_error_set(error, CLI_FAILED, "the password file %s: %s", path, g_strerror(-problem));
        }
        password[strcspn(password, "\r\n")] = '\0';
    }
    *ret = password;
    return CLI_OK;
}

/* ---- connecting ----------------------------------------------------------------------------------- */

int cli_connect_to(struct cli *cli, const struct cli_server *server)
{
    struct cli_client *client = cli_client_new(server);
    g_autoptr(json_object) root = js_ref("ServiceInstance", "ServiceInstance");
    json_object *content = NULL;
    int code = cli_client_call(client, root, "RetrieveServiceContent", NULL, &content, &cli->error);
    if (code == CLI_OK && js_at(content, "propertyCollector") == NULL) {
        json_object_put(content);
        code =
            cli_error_set(&cli->error, CLI_FAILED, "%s does not speak VI/JSON; is it a host?", server->url);
    }
    if (code != CLI_OK) {
        cli_client_free(client);
        return code;
    }
    cli->client = client;
    cli->content = content;
    return CLI_OK;
}

int cli_log_in(struct cli *cli, const char *user, const char *password)
{
    json_object *manager = js_at(cli->content, "sessionManager");
    int code =
        cli_client_call(cli->client, manager, "Login",
                        js_object(NULL, "userName:s", user, "password:s", password, NULL), NULL, &cli->error);
    if (code != CLI_OK && cli_error_is(&cli->error, "InvalidLogin")) {
        return cli_error_set(&cli->error, CLI_NOT_LOGGED_IN, "%s does not accept this user name and password",
                             cli_client_url(cli->client));
    }
    if (code == CLI_OK && cli_client_session(cli->client) == NULL) {
        return cli_error_set(&cli->error, CLI_FAILED, "%s answered to the login without a session",
                             cli_client_url(cli->client));
    }
    return code;
}

void cli_log_out(struct cli *cli)
{
    struct cli_error ignored = {0};
    json_object *manager = js_at(cli->content, "sessionManager");
    cli_client_call(cli->client, manager, "Logout", NULL, NULL, &ignored);
    cli_error_clear(&ignored);
}

/* Opens a session for this command alone, with what the environment says. */
static int connect_by_environment(struct cli *cli, const char *url, const char *password)
{
    const char *user = g_getenv("TENKYU_USER");
    struct cli_server server = {.url = g_strdup(url)};
    int code = cli_choose_trust(&server, g_getenv("TENKYU_THUMBPRINT"), g_getenv("TENKYU_CA_FILE"), false,
                                false, &cli->error);
    if (code == CLI_OK) {
        code = cli_connect_to(cli, &server);
    }
    if (code == CLI_OK) {
        code = cli_log_in(cli, user != NULL ? user : "root", password);
        cli->transient = code == CLI_OK;
    }
    cli_server_clear(&server);
    return code;
}

/* Whether the server still knows the session, so that the environment's password can open a new one. */
static bool session_lives(struct cli *cli)
{
    struct cli_error ignored = {0};
    g_autoptr(json_object) session = NULL;
    int code = cli_client_get(cli->client, js_at(cli->content, "sessionManager"), "currentSession", &session,
                              &ignored);
    cli_error_clear(&ignored);
    return code == CLI_OK && session != NULL;
}

static int connect_remembered(struct cli *cli, const struct cli_server *server, const char *password)
{
    int code = cli_connect_to(cli, server);
    if (code == CLI_OK && password != NULL && !session_lives(cli)) {
        code = cli_log_in(cli, server->user, password);
        cli->transient = code == CLI_OK;
    }
    return code;
}

/* The remembered server is meant, unless the environment names another host or user. */
static bool is_meant(const struct cli_server *server, const char *url)
{
    const char *user = g_getenv("TENKYU_USER");
    return server->url != NULL && (url == NULL || strcmp(url, server->url) == 0) &&
           (user == NULL || strcmp(user, server->user) == 0);
}

int cli_connect(struct cli *cli)
{
    if (cli->client != NULL) {
        return CLI_OK;
    }
    const char *given = g_getenv("TENKYU_URL");
    g_autofree char *url = NULL;
    g_autofree char *password = NULL;
    struct cli_server server = {0};
    if (given != NULL && *given != '\0' && cli_server_url(given, &url) != 0) {
        return cli_error_set(&cli->error, CLI_USAGE, "TENKYU_URL: \"%s\" is not an address", given);
    }
    int code = cli_read_password(NULL, &password, &cli->error);
    int problem = cli_server_load(&server);
    if (code == CLI_OK && problem != 0 && problem != -ENOENT && url == NULL) {
        g_autofree char *path = cli_server_file();
        code = cli_error_set(&cli->error, CLI_NOT_LOGGED_IN,
                             "%s cannot be used (%s); run `tenkyu login https://HOST`", path,
                             g_strerror(-problem));
    } else if (code == CLI_OK && is_meant(&server, url)) {
        code = connect_remembered(cli, &server, password);
    } else if (code == CLI_OK && url != NULL && password != NULL) {
        code = connect_by_environment(cli, url, password);
    } else if (code == CLI_OK) {
        const char *host = url != NULL ? url : server.url != NULL ? server.url : "https://HOST";
        code = cli_error_set(&cli->error, CLI_NOT_LOGGED_IN, "not logged in; run `tenkyu login %s`", host);
    }
    cli_server_clear(&server);
    return code;
}

void cli_disconnect(struct cli *cli)
{
    if (cli->transient) {
        cli_log_out(cli);
    }
    g_clear_pointer(&cli->client, cli_client_free);
    g_clear_pointer(&cli->content, json_object_put);
    cli->transient = false;
}
