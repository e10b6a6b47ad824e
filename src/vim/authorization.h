// SPDX-License-Identifier: Apache-2.0
/*
 * Roles, permissions and what they allow. A permission gives a user or group a role on an object, and on
 * everything below it when it propagates; the nearest one up the tree counts (a user's own before his
 * groups'). Kept in STATE/authorization.json, replaced atomically. Any thread.
 */
#pragma once

#include "vim/server.h"

/* A set of privileges. */
struct vim_privilege_set {
    uint64_t bits[4];
};

/* Reads the file; NULL when that cannot be done, and *ret_message says why. Nobody is allowed anything before
 * vim_authorization_attach. */
struct vim_authorization *vim_authorization_new(struct vim_server *server, char **ret_message);
/*
 * To be called once, when server->root_folder is set and the inventory is filled (permissions of entities that
 * do not exist are dropped here), before the server is opened; no lock held. Names the AuthorizationManager,
 * whose properties are kept current from here on, as is ManagedEntity.permission. On the first start the user
 * server->first_admin becomes administrator. -EBADMSG when nobody is administrator, or another negative errno;
 * *ret_message is a sentence for people.
 */
int vim_authorization_attach(struct vim_authorization *authorization, const struct vim_ref *manager,
                             char **ret_message);
/* After the server's workers have ended; the inventory may be gone. */
void vim_authorization_free(struct vim_authorization *authorization);

/* Whether the user has the privilege on the object (any inventory lock held). A task counts as the entity that it
 * works on, and may be read by who started it; other objects that are no managed entities count as the root
 * folder. Everybody has System.View on what lies above something that he has a
 * role on. VIM_PRIVILEGE_BY_ARGUMENT is allowed to every session: the method's code decides. */
bool vim_authorized(struct vim_authorization *authorization, const struct vim_session *session,
                    struct vim_object *object, enum vim_privilege privilege);

/* Appends the ids (int) of the roles that the session has on the object: ManagedEntity.effectiveRole, which is
 * another for each caller (any inventory lock held). */
void vim_effective_roles(struct vim_authorization *authorization, const struct vim_session *session,
                         struct vim_object *object, struct vim_array *ret);

/* A check that is repeated for many objects, such as reading a whole inventory: as vim_authorized with
 * what can be known beforehand known beforehand. Made and used under one hold of an inventory lock. */
struct vim_reader {
    struct vim_authorization *authorization;
    const struct vim_session *session;
    bool everything; /* the user has a role with System.Read at the root and no other permission exists */
};
struct vim_reader vim_reader_new(struct vim_authorization *authorization, const struct vim_session *session);
static inline bool vim_may_read(const struct vim_reader *reader, struct vim_object *object)
{
    return reader->everything ||
           vim_authorized(reader->authorization, reader->session, object, VIM_PRIVILEGE_SYSTEM_READ);
}

extern const struct AuthorizationManager_methods vim_authorization_manager_methods;
extern const struct UserDirectory_methods vim_user_directory_methods;
extern const struct HostLocalAccountManager_methods vim_local_account_manager_methods;
