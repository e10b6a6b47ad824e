// SPDX-License-Identifier: Apache-2.0
/*
 * The users of a host as the API shows and changes them: UserDirectory and HostLocalAccountManager, on top of
 * the user store (users.h).
 *
 * A user and his permissions are in two files. Whatever breaks off in between, nobody gets a permission that
 * was given to somebody else of the same name: what a removed user has left is dropped before another of his
 * name is made.
 */
#include <errno.h>
#include <string.h>

#include "vim/authorization_internal.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/password.h"
#include "vim/session.h"
#include "vim/users.h"
#include "vim/value.h"

/* ---- UserDirectory -------------------------------------------------------------------------------- */

static bool fits(const struct RetrieveUserGroups_args *args, const char *name, const char *full_name)
{
    if (args->exactMatch) {
        return strcmp(name, args->searchStr) == 0;
    }
    g_autofree char *wanted = g_utf8_casefold(args->searchStr, -1);
    g_autofree char *in_name = g_utf8_casefold(name, -1);
    g_autofree char *in_full_name = g_utf8_casefold(full_name, -1);
    return strstr(in_name, wanted) != NULL || strstr(in_full_name, wanted) != NULL;
}

static bool is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static void find_users(const struct RetrieveUserGroups_args *args, GPtrArray *users,
                       struct RetrieveUserGroups_result *ret)
{
    for (guint i = 0; i < users->len; i++) {
        const struct user_info *user = g_ptr_array_index(users, i);
        bool belongs = is_empty(args->belongsToGroup) ||
                       g_strv_contains((const char *const *)user->groups, args->belongsToGroup);
        if (belongs && is_empty(args->belongsToUser) && fits(args, user->name, user->full_name)) {
            struct PosixUserSearchResult *result = PosixUserSearchResult_new();
            result->principal = g_strdup(user->name);
            result->fullName = g_strdup(user->full_name);
            result->id = user->id;
            vim_set_optional(&result->shellAccess, false);
            vim_array_add_object(&ret->returnval, result);
        }
    }
}

/* Groups are what users belong to; none is in another. */
static void find_groups(const struct RetrieveUserGroups_args *args, GPtrArray *users,
                        struct RetrieveUserGroups_result *ret)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < users->len && is_empty(args->belongsToGroup); i++) {
        const struct user_info *user = g_ptr_array_index(users, i);
        bool belongs = is_empty(args->belongsToUser) || strcmp(user->name, args->belongsToUser) == 0;
        for (char **group = user->groups; belongs && *group != NULL; group++) {
            if (fits(args, *group, "") && g_hash_table_add(seen, *group)) {
                struct UserSearchResult *result = UserSearchResult_new();
                result->principal = g_strdup(*group);
                result->group = true;
                vim_array_add_object(&ret->returnval, result);
            }
        }
    }
}

static struct vim_fault *retrieve_user_groups(struct vim_call *call,
                                              const struct RetrieveUserGroups_args *args,
                                              struct RetrieveUserGroups_result *ret)
{
    struct users *users = call->server->users;
    struct vim_fault *fault = vim_call_require(call, &call->request.target, VIM_PRIVILEGE_SYSTEM_VIEW);
    if (fault != NULL) {
        return fault;
    }
    if (!is_empty(args->domain)) {
        return fault_not_found("there is no domain \"%.100s\": all users are local", args->domain);
    }
    if (!is_empty(args->belongsToGroup) && !authorization_group_exists(users, args->belongsToGroup)) {
        return fault_not_found("there is no group \"%.100s\"", args->belongsToGroup);
    }
    if (!is_empty(args->belongsToUser) && !users_exists(users, args->belongsToUser)) {
        return fault_not_found("there is no user \"%.100s\"", args->belongsToUser);
    }
    g_autoptr(GPtrArray) list = users_list(users);
    if (args->findUsers) {
        find_users(args, list, ret);
    }
    if (args->findGroups) {
        find_groups(args, list, ret);
    }
    return NULL;
}

/* ---- HostLocalAccountManager ---------------------------------------------------------------------- */

/* What the user store answers, as a fault. */
static struct vim_fault *store_fault(int error, const char *name)
{
    switch (-error) {
    case 0:
        return NULL;
    case EEXIST:
        return fault_already_exists(name, "there is a user \"%.100s\" already", name);
    case ENOENT:
        return fault_user_not_found(name, true, "there is no user \"%.100s\"", name);
    case EBUSY:
        return fault_auth_minimum_admin_permission("the last user has to stay");
    case EINVAL:
        return fault_invalid_argument("user.id", "\"%.100s\" is not a valid user name", name);
    case EKEYREJECTED:
        return fault_invalid_argument("user.password", "a password has at least %d characters",
                                      PASSWORD_MIN_CHARACTERS);
    default:
        return fault_system_error(g_strerror(-error), "the users could not be saved: %s", g_strerror(-error));
    }
}

static struct vim_fault *check_password(const char *password)
{
    int error = is_empty(password) ? -EINVAL : password_check_quality(password);
    return error == -E2BIG ? fault_invalid_argument("user.password", "a password has at most %d bytes",
                                                    PASSWORD_MAX_BYTES)
                           : store_fault(error != 0 ? -EKEYREJECTED : 0, "");
}

/* The account as others may see it: without the password. */
static struct HostAccountSpec *without_password(const struct HostAccountSpec *spec)
{
    struct HostAccountSpec *shown = HostAccountSpec_new();
    shown->id = g_strdup(spec->id);
    shown->description = g_strdup(spec->description);
    return shown;
}

static bool is_of_user(const struct Permission *permission, const void *name)
{
    return !permission->group && strcmp(permission->principal, name) == 0;
}

/* Drops what a removed user of this name has left. */
static struct vim_fault *forget_permissions(struct vim_call *call, const char *name)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct policy *next = authorization_begin(authorization);
    if (policy_remove(next, is_of_user, name) == 0 || users_exists(call->server->users, name)) {
        authorization_cancel(authorization, next);
        return NULL;
    }
    return authorization_commit(authorization, next, call->session->user_name, NULL);
}

static struct vim_fault *create_user(struct vim_call *call, const struct CreateUser_args *args)
{
    const struct HostAccountSpec *spec = args->user;
    struct vim_fault *fault = check_password(spec->password);
    if (fault == NULL) {
        fault = forget_permissions(call, spec->id);
    }
    if (fault == NULL) {
        int error = users_create(call->server->users, spec->id, spec->password, spec->description, NULL);
        fault = store_fault(error, spec->id);
    }
    if (fault == NULL) {
        struct AccountCreatedEvent *event = AccountCreatedEvent_new();
        event->spec = without_password(spec);
        vim_event_post(call->server, (struct Event *)event, call->session->user_name,
                       "Account %s was created", spec->id);
    }
    return fault;
}

/* Changes the account; its previous description is for the event. */
static struct vim_fault *change_user(struct vim_call *call, const struct HostAccountSpec *spec)
{
    struct users *users = call->server->users;
    struct vim_fault *fault = NULL;
    if (spec->password != NULL) {
        fault = check_password(spec->password); /* first, so that nothing is changed by half */
    }
    if (fault == NULL && spec->password != NULL && strcmp(spec->id, call->session->user_name) != 0) {
        fault = authorization_check_outranks(call, spec->id);
    }
    if (fault == NULL && spec->password != NULL) {
        fault = store_fault(users_set_password(users, spec->id, spec->password), spec->id);
    }
    if (fault == NULL && spec->description != NULL) {
        fault = store_fault(users_update(users, spec->id, spec->description, NULL), spec->id);
    }
    return fault;
}

static struct vim_fault *update_user(struct vim_call *call, const struct UpdateUser_args *args)
{
    const struct HostAccountSpec *spec = args->user;
    struct user_info *before = users_find(call->server->users, spec->id);
    struct vim_fault *fault =
        before != NULL ? change_user(call, spec)
                       : fault_user_not_found(spec->id, true, "there is no user \"%.100s\"", spec->id);
    if (fault == NULL) {
        struct AccountUpdatedEvent *event = AccountUpdatedEvent_new();
        event->spec = without_password(spec);
        event->prevDescription = g_strdup(before->full_name);
        vim_event_post(call->server, (struct Event *)event, call->session->user_name,
                       "Account %s was changed", spec->id);
    }
    user_info_free(before);
    return fault;
}

/* The user goes first: should his permissions then stay, they are nobody's. */
static struct vim_fault *remove_with_permissions(struct vim_call *call, const char *name)
{
    struct vim_server *server = call->server;
    struct policy *next = authorization_begin(server->authorization);
    bool had_permissions = policy_remove(next, is_of_user, name) > 0;
    struct vim_fault *fault = NULL;
    if (!policy_has_admin(next, server->root_folder.id)) {
        fault = fault_auth_minimum_admin_permission(
            "at least one user has to stay an administrator of everything");
    } else {
        fault = store_fault(users_remove(server->users, name), name);
    }
    if (fault != NULL || !had_permissions) {
        authorization_cancel(server->authorization, next);
        return fault;
    }
    return authorization_commit(server->authorization, next, call->session->user_name, NULL);
}

static struct vim_fault *remove_user(struct vim_call *call, const struct RemoveUser_args *args)
{
    struct vim_server *server = call->server;
    const char *name = args->userName;
    struct vim_fault *fault = users_exists(server->users, name) ? authorization_check_outranks(call, name)
                                                                : store_fault(-ENOENT, name);
    if (fault != NULL) {
        return fault;
    }
    fault = remove_with_permissions(call, name);
    if (users_exists(server->users, name)) {
        return fault;
    }
    vim_sessions_end_user(server->sessions, name);
    struct AccountRemovedEvent *event = AccountRemovedEvent_new();
    event->account = g_strdup(name);
    vim_event_post(server, (struct Event *)event, call->session->user_name, "Account %s was removed", name);
    return fault;
}

const struct UserDirectory_methods vim_user_directory_methods = {
    .RetrieveUserGroups = retrieve_user_groups,
};

const struct HostLocalAccountManager_methods vim_local_account_manager_methods = {
    .CreateUser = create_user,
    .UpdateUser = update_user,
    .RemoveUser = remove_user,
};
