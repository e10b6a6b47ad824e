// SPDX-License-Identifier: Apache-2.0
/*
 * A server with its authorization, on which root is logged in, and short ways to what its tests do often. On
 * top of server_fixture.h.
 */
#pragma once

#include "server_fixture.h"

#define ALLOWED(user, id, privilege) allowed(fixture, user, id, VIM_PRIVILEGE_##privilege)

static const struct AuthorizationManager_methods *const methods = &vim_authorization_manager_methods;

struct test {
    struct fixture fixture; /* first: the server is found by it */
    struct vim_session *root;
    struct vim_call call; /* of root, on the AuthorizationManager */
};

/* What is under test besides the AuthorizationManager. */
static const struct HostLocalAccountManager_methods *const accounts = &vim_local_account_manager_methods;
static const struct UserDirectory_methods *const directory = &vim_user_directory_methods;

static inline int start(struct fixture *fixture, char **ret_message)
{
    fixture->server.authorization = vim_authorization_new(&fixture->server, ret_message);
    return fixture->server.authorization == NULL
               ? -1
               : vim_authorization_attach(fixture->server.authorization,
                                          &fixture_object(fixture, "ha-authmgr")->ref, ret_message);
}

static inline struct vim_session *login(struct fixture *fixture, const char *user)
{
    struct vim_session *session = NULL;
    assert_ok(
        vim_session_login(fixture->server.sessions, user, "right", NULL, "192.0.2.1", "test", &session));
    return session;
}

static inline void setup(struct test *test, gconstpointer data)
{
    (void)data;
    g_autofree char *message = NULL;
    fixture_init(&test->fixture);
    test->fixture.server.sessions = vim_sessions_new(&test->fixture.server);
    g_assert_cmpint(start(&test->fixture, &message), ==, 0);
    test->root = login(&test->fixture, "root");
    test->call = fixture_call(&test->fixture, "ha-authmgr", test->root);
    g_ptr_array_set_size(test->fixture.events, 0);
}

static inline void teardown(struct test *test, gconstpointer data)
{
    (void)data;
    fixture_call_clear(&test->call);
    vim_session_unref(test->root);
    vim_sessions_free(test->fixture.server.sessions);
    vim_authorization_free(test->fixture.server.authorization);
    fixture_clear(&test->fixture);
}

/* As after the end of the program: another inventory, and what is in the file. */
static inline void restart(struct test *test)
{
    g_autofree char *message = NULL;
    fixture_call_clear(&test->call);
    vim_session_unref(test->root);
    vim_sessions_free(test->fixture.server.sessions);
    vim_inventory_free(test->fixture.server.inventory);
    vim_authorization_free(test->fixture.server.authorization);
    fixture_fill(&test->fixture);
    test->fixture.server.sessions = vim_sessions_new(&test->fixture.server);
    g_assert_cmpint(start(&test->fixture, &message), ==, 0);
    test->root = login(&test->fixture, "root");
    test->call = fixture_call(&test->fixture, "ha-authmgr", test->root);
    g_ptr_array_set_size(test->fixture.events, 0);
}

static inline bool allowed(struct fixture *fixture, const char *user, const char *id,
                           enum vim_privilege privilege)
{
    struct vim_session session = {.user_name = (char *)user};
    vim_read_lock(fixture->server.inventory);
    bool is = vim_authorized(fixture->server.authorization, user != NULL ? &session : NULL,
                             fixture_object(fixture, id), privilege);
    vim_read_unlock(fixture->server.inventory);
    return is;
}

static inline struct vim_fault *give_by(struct vim_call *call, const char *user, const char *id, int32_t role,
                                        bool propagate)
{
    struct Permission permission = {&Permission_type, .principal = (char *)user, .roleId = role,
                                    .propagate = propagate};
    struct Permission *list[] = {&permission};
    struct SetEntityPermissions_args args = {
        .entity = fixture_object((struct fixture *)call->server, id)->ref, .permission = {list, 1}};
    return methods->SetEntityPermissions(call, &args);
}

static inline void give(struct test *test, const char *user, const char *id, int32_t role, bool propagate)
{
    assert_ok(give_by(&test->call, user, id, role, propagate));
}

static inline struct vim_fault *take(struct vim_call *call, const char *user, const char *id)
{
    struct RemoveEntityPermission_args args = {
        .entity = fixture_object((struct fixture *)call->server, id)->ref, .user = (char *)user};
    return methods->RemoveEntityPermission(call, &args);
}

static inline struct vim_fault *add_role(struct vim_call *call, const char *name, const char *privilege,
                                         int32_t *ret_id)
{
    char *ids[] = {(char *)privilege};
    struct AddAuthorizationRole_args args = {.name = (char *)name,
                                             .privIds = {ids, privilege != NULL ? 1 : 0}};
    struct AddAuthorizationRole_result result = {0};
    struct vim_fault *fault = methods->AddAuthorizationRole(call, &args, &result);
    if (fault == NULL) {
        *ret_id = result.returnval;
    }
    return fault;
}

static const struct AuthorizationRole *shown_role(struct fixture *fixture, int32_t id)
{
    const struct AuthorizationManager *manager =
        VIM_PROPERTIES(fixture_object(fixture, "ha-authmgr"), AuthorizationManager);
    for (uint32_t i = 0; i < manager->roleList.n; i++) {
        if (manager->roleList.items[i]->roleId == id) {
            return manager->roleList.items[i];
        }
    }
    return NULL;
}

static inline uint32_t shown_permissions(struct fixture *fixture, const char *id)
{
    return VIM_PROPERTIES(fixture_object(fixture, id), ManagedEntity)->permission.n;
}

/* A folder in place of the file that is written first: saving fails, for root too. */
static inline char *block_saving(struct fixture *fixture)
{
    char *blocker = g_build_filename(fixture->dir, "authorization.json.new~", NULL);
    g_assert_cmpint(g_mkdir(blocker, 0700), ==, 0);
    return blocker;
}

static inline void allow_saving(char *blocker)
{
    g_assert_cmpint(g_rmdir(blocker), ==, 0);
    g_free(blocker);
}
