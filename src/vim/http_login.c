// SPDX-License-Identifier: Apache-2.0
/*
 * See http_login.h.
 */
#include "vim/http_login.h"

#include <string.h>

#include "vim/authorization.h"
#include "vim/event.h"
#include "vim/http.h"
#include "vim/session.h"
#include "vim/users.h"

enum {
    MAX_USER_BYTES = 64, /* of a user name that may exist */
};

const struct http_header http_login_challenge[] = {
    {"WWW-Authenticate", "Basic realm=\"Tenkyu\", charset=\"UTF-8\""}, {NULL, NULL}};

static void wipe_password(struct http_login *login)
{
    if (login->password != NULL) {
        explicit_bzero(login->password, strlen(login->password));
        g_clear_pointer(&login->password, g_free);
    }
}

/* A name that may be one of the users': others are not worth a password's hash, nor a line in the events. */
static bool is_user_name(const char *name)
{
    size_t length = strlen(name);
    for (const char *at = name; *at != '\0'; at++) {
        if (!g_ascii_isalnum(*at) && strchr("._-@", *at) == NULL) {
            return false;
        }
    }
    return length > 0 && length <= MAX_USER_BYTES;
}

/* "Basic <base64 of name:password>" (RFC 7617). False when there is none, or it makes no sense. */
static bool take_basic(struct http_login *login)
{
    const char *header = http_request_header(login->request, "Authorization");
    if (header == NULL || g_ascii_strncasecmp(header, "Basic ", strlen("Basic ")) != 0) {
        return false;
    }
    gsize length = 0;
    g_autofree guchar *bytes = g_base64_decode(header + strlen("Basic "), &length);
    g_autofree char *text = g_strndup((const char *)bytes, length);
    explicit_bzero(bytes, length);
    char *colon = strchr(text, ':');
    bool good = strlen(text) == length && colon != NULL && g_utf8_validate(text, (gssize)length, NULL);
    if (good) {
        *colon = '\0';
        good = is_user_name(text);
    }
    if (good) {
        login->user = g_strdup(text);
        login->password = g_strdup(colon + 1);
    }
    explicit_bzero(text, strlen(text));
    if (good) {
        explicit_bzero(colon + 1, strlen(colon + 1));
    }
    return good;
}

static bool take_session(struct http_login *login)
{
    const char *secret = http_request_header(login->request, "vmware-api-session-id");
    if (secret == NULL) {
        secret = http_request_cookie(login->request, "vmware_soap_session");
    }
    if (secret != NULL) {
        login->session = vim_session_find(login->server->sessions, secret);
    }
    return login->session != NULL;
}

bool http_login_take(struct vim_server *server, struct http_request *request, struct http_login *ret)
{
    struct http_login login = {.server = server, .request = request};
    bool found = take_session(&login) || take_basic(&login);
    if (found) {
        *ret = login;
    }
    return found;
}

/* Posts what a failed login posts. */
static void post_refused(const struct http_login *login)
{
    const char *peer = http_request_peer(login->request);
    struct BadUsernameSessionEvent *event = BadUsernameSessionEvent_new();
    event->ipAddress = g_strdup(peer);
    vim_event_post(login->server, (struct Event *)event, login->user, "Cannot log in %s@%s", login->user,
                   peer);
}

bool http_login_check(struct http_login *login)
{
    if (login->session != NULL) {
        return true;
    }
    int error = users_authenticate(login->server->users, login->user, login->password,
                                   http_request_peer(login->request), NULL);
    wipe_password(login);
    if (error != 0) {
        post_refused(login);
    }
    return error == 0;
}

bool http_login_allows(const struct http_login *login, const struct vim_ref *ref,
                       enum vim_privilege privilege)
{
    struct vim_server *server = login->server;
    /* Of a session only its user counts; who sent his password has no other. */
    const struct vim_session passing = {.user_name = login->user};
    const struct vim_session *session = login->session != NULL ? login->session : &passing;
    vim_read_lock(server->inventory);
    struct vim_object *object = vim_inventory_find_ref(server->inventory, ref);
    bool allowed = object != NULL && vim_authorized(server->authorization, session, object, privilege);
    vim_read_unlock(server->inventory);
    return allowed;
}

void http_login_clear(struct http_login *login)
{
    vim_session_unref(login->session);
    wipe_password(login);
    g_clear_pointer(&login->user, g_free);
}
