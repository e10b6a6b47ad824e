// SPDX-License-Identifier: Apache-2.0
/*
 * The remembered server; see server.h.
 */
#include "cli/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "cli/js.h"

enum { MAX_FILE_BYTES = 64 * 1024 };

static const char *const trust_names[] = {
    [CLI_TRUST_SYSTEM] = "system",
    [CLI_TRUST_PIN] = "pin",
    [CLI_TRUST_CA_FILE] = "ca-file",
    [CLI_TRUST_ANY] = "any",
};

int cli_server_url(const char *text, char **ret)
{
    g_autofree char *full =
        strstr(text, "://") != NULL ? g_strdup(text) : g_strdup_printf("https://%s", text);
    g_autoptr(GUri) uri = g_uri_parse(full, G_URI_FLAGS_PARSE_RELAXED, NULL);
    const char *scheme = uri != NULL ? g_uri_get_scheme(uri) : "";
    const char *host = uri != NULL ? g_uri_get_host(uri) : NULL;
    if ((strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0) || host == NULL || *host == '\0' ||
        g_uri_get_userinfo(uri) != NULL) {
        return -EINVAL;
    }
    int port = g_uri_get_port(uri);
    int usual = strcmp(scheme, "https") == 0 ? 443 : 80;
    *ret = g_uri_join(G_URI_FLAGS_NONE, scheme, NULL, host, port == usual ? -1 : port, "", NULL, NULL);
    return 0;
}

gboolean cli_server_is_local(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
    const char *host = uri != NULL ? g_uri_get_host(uri) : NULL;
    struct in_addr address;
    bool loopback =
        host != NULL && inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
    return loopback || g_strcmp0(host, "localhost") == 0 || g_strcmp0(host, "::1") == 0;
}

char *cli_server_file(void)
{
    return g_build_filename(g_get_user_config_dir(), "tenkyu", "session.json", NULL);
}

static enum cli_trust trust_by_name(const char *name)
{
    for (unsigned i = 1; i < G_N_ELEMENTS(trust_names); i++) {
        if (g_strcmp0(name, trust_names[i]) == 0) {
            return (enum cli_trust)i;
        }
    }
    return 0;
}

int cli_server_load(struct cli_server *ret)
{
    g_autofree char *path = cli_server_file();
    g_autofree char *text = NULL;
    int error = file_read(AT_FDCWD, path, MAX_FILE_BYTES, &text, NULL);
    if (error != 0) {
        return error == -ENOTDIR ? -ENOENT : error;
    }
    g_autoptr(json_object) tree = json_tokener_parse(text);
    struct cli_server server = {
        .url = g_strdup(js_text(tree, "url")),
        .user = g_strdup(js_text(tree, "user")),
        .session = g_strdup(js_text(tree, "session")),
        .trust = trust_by_name(js_text(tree, "trust")),
        .pin = g_strdup(js_text(tree, "pin")),
        .thumbprint = g_strdup(js_text(tree, "thumbprint")),
        .ca_file = g_strdup(js_text(tree, "ca_file")),
    };
    if (server.url == NULL || server.user == NULL || server.session == NULL || server.trust == 0 ||
        (server.trust == CLI_TRUST_PIN && server.pin == NULL) ||
        (server.trust == CLI_TRUST_CA_FILE && server.ca_file == NULL)) {
        cli_server_clear(&server);
        return -EINVAL;
    }
    *ret = server;
    return 0;
}

int cli_server_save(const struct cli_server *server)
{
    g_autofree char *path = cli_server_file();
    g_autofree char *folder = g_path_get_dirname(path);
    g_autoptr(json_object) tree =
        js_object(NULL, "url:s", server->url, "user:s", server->user, "session:s", server->session, "trust:s",
                  trust_names[server->trust], "pin:s", server->pin, "thumbprint:s", server->thumbprint,
                  "ca_file:s", server->ca_file, NULL);
    const char *text =
        json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    int error = file_mkdir(AT_FDCWD, folder, 0700);
    return error != 0 ? error : file_replace(AT_FDCWD, path, text, strlen(text), 0600);
}

int cli_server_forget(void)
{
    g_autofree char *path = cli_server_file();
    int error = file_remove(AT_FDCWD, path);
    return error == -ENOENT || error == -ENOTDIR ? 0 : error;
}

void cli_server_clear(struct cli_server *server)
{
    g_free(server->url);
    g_free(server->user);
    g_free(server->session);
    g_free(server->pin);
    g_free(server->thumbprint);
    g_free(server->ca_file);
    *server = (struct cli_server){0};
}
