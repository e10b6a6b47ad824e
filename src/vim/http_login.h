// SPDX-License-Identifier: Apache-2.0
/*
 * Who sends a plain HTTP request (a file, a picture): the owner of a session, or somebody with a name and a password
 * (HTTP Basic, RFC 7617), as programs send them that fetch one file and nothing else.
 *
 * A password takes long to check: take on the server's thread, check on a worker.
 */
#pragma once

#include <stdbool.h>

#include "vim/http.h"
#include "vim/server.h"

struct http_login {
    struct vim_server *server;
    struct http_request *request; /* borrowed; until it is answered */
    struct vim_session *session;  /* a reference, or NULL: he is known by the next two */
    char *user;                   /* owned */
    char *password;               /* owned; wiped when it has been checked */
};

/* Reads what the request says; false when that is nothing: the answer is 401. Cleared with http_login_clear. */
bool http_login_take(struct vim_server *server, struct http_request *request, struct http_login *ret);
/* Checks the password, if there is no session; false: it is wrong, and an event tells of it. Blocks. */
bool http_login_check(struct http_login *login);
/* Whether he has the privilege on the object; false also when there is none. After http_login_check. Any thread. */
bool http_login_allows(const struct http_login *login, const struct vim_ref *object,
                       enum vim_privilege privilege);
void http_login_clear(struct http_login *login);

/* What a 401 carries, so that clients send a name and a password. */
extern const struct http_header http_login_challenge[];
