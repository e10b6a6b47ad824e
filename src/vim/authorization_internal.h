// SPDX-License-Identifier: Apache-2.0
/*
 * How the policy in force is changed; for the AuthorizationManager's methods (authorization_manager.c) and
 * the user accounts (user_directory.c). Changes come one after the other:
 *
 *   begin -> change the copy -> commit: check, save, put in force, tell        (or cancel)
 *
 * A change may block for the disk. The inventory lock is not held by the caller.
 */
#pragma once

#include "vim/authorization_policy.h"

struct Event;

/* An event that is posted when the change is in force. */
struct authorization_news {
    struct Event *event; /* owned */
    char *sentence;      /* for people; owned */
};
GPtrArray *authorization_news_new(void);
/* Takes both. */
void authorization_news_add(GPtrArray *news, struct Event *event, char *sentence);

/* A copy of the policy in force, to be changed. Every other change waits until this one is committed or
 * cancelled. */
struct policy *authorization_begin(struct vim_authorization *authorization);
void authorization_cancel(struct vim_authorization *authorization, struct policy *next);
/* Saves the policy, which is moved in, and puts it in force. AuthMinimumAdminPermission, or SystemError when
 * it cannot be saved; nothing has changed then. Permissions that come, change and go are told as events, after
 * those in `news`, which is moved in and may be NULL. */
struct vim_fault *authorization_commit(struct vim_authorization *authorization, struct policy *next,
                                       const char *user_name, GPtrArray *news);

/* The policy in force (any inventory lock). */
const struct policy *authorization_policy(const struct vim_authorization *authorization);
/* What somebody may do with the object (any inventory lock). */
struct vim_privilege_set authorization_held(const struct vim_authorization *authorization,
                                            const struct principal *who, struct vim_object *object);
/* As vim_authorized for somebody who need not be logged in (any inventory lock). */
bool authorization_allows(const struct vim_authorization *authorization, const struct principal *who,
                          struct vim_object *object, enum vim_privilege privilege);
/* Who is logged in. */
struct principal session_principal(const struct vim_session *session);
/* NoPermission when the other user holds a privilege somewhere that the caller lacks there: who could change the
 * other's password would have it too. No lock held. */
struct vim_fault *authorization_check_outranks(struct vim_call *call, const char *user_name);
/* A group exists when somebody belongs to it. */
bool authorization_group_exists(struct users *users, const char *group);
/* The entity above, or NULL (any inventory lock). */
struct vim_object *authorization_parent(const struct vim_authorization *authorization,
                                        const struct vim_object *entity);
