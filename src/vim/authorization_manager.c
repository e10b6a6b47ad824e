// SPDX-License-Identifier: Apache-2.0
/*
 * The AuthorizationManager's methods: they check the caller and his arguments, change a copy of the policy
 * and commit it. See authorization_internal.h.
 *
 * Nobody can give, or take from others, what he does not hold himself: a role with a privilege that the
 * caller lacks on the entity is refused with NoPermission, as VMware documents it for permissions.
 */
#include <string.h>

#include "vim/authorization_internal.h"
#include "vim/faults.h"
#include "vim/session.h"
#include "vim/users.h"
#include "vim/value.h"

enum {
    MAX_NAME_CHARACTERS = 80, /* of a role, as VMware's clients allow */
};

/* ---- checks --------------------------------------------------------------------------------------- */

static struct vim_fault *check_name(const char *name)
{
    bool good = name[0] != '\0' && g_utf8_strlen(name, -1) <= MAX_NAME_CHARACTERS;
    for (const char *at = name; good && *at != '\0'; at++) {
        good = !g_ascii_iscntrl(*at);
    }
    struct vim_ref none = {0};
    return good ? NULL
                : fault_invalid_name(name, none,
                                     "the name of a role has 1 to %d characters, none of them a control",
                                     MAX_NAME_CHARACTERS);
}

static struct vim_fault *read_privileges(char *const *ids, uint32_t n, const char *member,
                                         struct vim_privilege_set *ret)
{
    struct vim_privilege_set set = {{0}};
    for (uint32_t i = 0; i < n; i++) {
        enum vim_privilege privilege = vim_privilege_by_id(ids[i]);
        if (privilege == VIM_PRIVILEGE_BY_ARGUMENT) {
            return fault_invalid_argument(member, "there is no privilege \"%.100s\"", ids[i]);
        }
        vim_privilege_set_add(&set, privilege);
    }
    *ret = set;
    return NULL;
}

/* A role whose privileges are all among those held can be given away and taken back. */
static struct vim_fault *check_held(const struct vim_privilege_set *wanted,
                                    const struct vim_privilege_set *held, const struct vim_ref *entity)
{
    enum vim_privilege missing = vim_privilege_set_missing(wanted, held);
    if (missing == VIM_PRIVILEGE_BY_ARGUMENT) {
        return NULL;
    }
    const char *id = vim_privileges[missing].id;
    return fault_no_permission(*entity, id, "you cannot give or take %s on \"%s\" without having it", id,
                               entity->id);
}

static struct vim_fault *held_by_caller(struct vim_call *call, const struct vim_ref *entity,
                                        struct vim_privilege_set *ret)
{
    struct vim_server *server = call->server;
    vim_read_lock(server->inventory);
    struct vim_object *object = vim_inventory_find_ref(server->inventory, entity);
    if (object != NULL) {
        struct principal caller = session_principal(call->session);
        *ret = authorization_held(server->authorization, &caller, object);
    }
    vim_read_unlock(server->inventory);
    return object != NULL ? NULL : vim_call_gone(entity);
}

/* The same on the root, where roles belong. */
static struct vim_fault *check_held_on_root(struct vim_call *call, const struct vim_privilege_set *wanted)
{
    struct vim_privilege_set held = {{0}};
    struct vim_fault *fault = held_by_caller(call, &call->server->root_folder, &held);
    return fault != NULL ? fault : check_held(wanted, &held, &call->server->root_folder);
}

static struct vim_fault *no_role(int32_t id)
{
    return fault_not_found("there is no role %d", id);
}

/* ---- roles ---------------------------------------------------------------------------------------- */

static struct RoleEventArgument *role_argument(const struct role *role)
{
    struct RoleEventArgument *argument = RoleEventArgument_new();
    argument->roleId = role->shown->roleId;
    argument->name = g_strdup(role->shown->name);
    return argument;
}

static void list_privileges(void *array, const struct vim_privilege_set *set,
                            const struct vim_privilege_set *but)
{
    for (size_t i = 0; i < vim_n_privileges; i++) {
        enum vim_privilege privilege = (enum vim_privilege)i;
        if (vim_privilege_set_has(set, privilege) &&
            (but == NULL || !vim_privilege_set_has(but, privilege))) {
            vim_array_add_string(array, vim_privileges[i].id);
        }
    }
}

static struct vim_fault *add_role(struct vim_call *call, const struct AddAuthorizationRole_args *args,
                                  struct AddAuthorizationRole_result *ret)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct vim_privilege_set set = {{0}};
    struct vim_fault *fault = check_name(args->name);
    if (fault == NULL) {
        fault = read_privileges(args->privIds.items, args->privIds.n, "privIds", &set);
    }
    if (fault == NULL) {
        fault = check_held_on_root(call, &set);
    }
    if (fault != NULL) {
        return fault;
    }
    struct policy *next = authorization_begin(authorization);
    if (policy_role_by_name(next, args->name) != NULL) {
        authorization_cancel(authorization, next);
        return fault_already_exists(args->name, "there is a role \"%s\" already", args->name);
    }
    struct role *role = policy_add_role(next, args->name, &set);
    int32_t id = role->shown->roleId;
    GPtrArray *news = authorization_news_new();
    struct RoleAddedEvent *event = RoleAddedEvent_new();
    event->role = role_argument(role);
    list_privileges(&event->privilegeList, &role->privileges, NULL);
    authorization_news_add(news, (struct Event *)event, g_strdup_printf("Role %s added", args->name));
    fault = authorization_commit(authorization, next, call->session->user_name, news);
    if (fault == NULL) {
        ret->returnval = id;
    }
    return fault;
}

/* Finds a role of our own; the system's cannot be changed. */
static struct vim_fault *find_own_role(const struct policy *policy, int32_t id, struct role **ret)
{
    struct role *role = policy_role(policy, id);
    if (role == NULL) {
        return no_role(id);
    }
    if (role->shown->system) {
        return fault_invalid_argument("roleId", "role \"%s\" belongs to the system", role->shown->name);
    }
    *ret = role;
    return NULL;
}

/* Changes the role in `next` and adds the event. */
static struct vim_fault *change_role(const struct policy *next,
                                     const struct UpdateAuthorizationRole_args *args,
                                     const struct vim_privilege_set *set, GPtrArray *news)
{
    struct role *role = NULL;
    struct vim_fault *fault = find_own_role(next, args->roleId, &role);
    if (fault != NULL) {
        return fault;
    }
    struct role *other = policy_role_by_name(next, args->newName);
    if (other != NULL && other != role) {
        return fault_already_exists(args->newName, "there is a role \"%s\" already", args->newName);
    }
    struct vim_privilege_set before = role->privileges;
    struct RoleUpdatedEvent *event = RoleUpdatedEvent_new();
    event->prevRoleName = g_strdup(role->shown->name);
    policy_set_role(role, args->newName, set);
    event->role = role_argument(role);
    list_privileges(&event->privilegeList, &role->privileges, NULL);
    list_privileges(&event->privilegesAdded, &role->privileges, &before);
    list_privileges(&event->privilegesRemoved, &before, &role->privileges);
    authorization_news_add(news, (struct Event *)event,
                           g_strdup_printf("Role %s changed, now %s", event->prevRoleName, args->newName));
    return NULL;
}

static struct vim_fault *update_role(struct vim_call *call, const struct UpdateAuthorizationRole_args *args)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct vim_privilege_set set = {{0}};
    struct vim_fault *fault = check_name(args->newName);
    if (fault == NULL) {
        fault = read_privileges(args->privIds.items, args->privIds.n, "privIds", &set);
    }
    if (fault == NULL) {
        fault = check_held_on_root(call, &set);
    }
    if (fault != NULL) {
        return fault;
    }
    struct policy *next = authorization_begin(authorization);
    GPtrArray *news = authorization_news_new();
    fault = change_role(next, args, &set, news);
    if (fault != NULL) {
        authorization_cancel(authorization, next);
        g_ptr_array_unref(news);
        return fault;
    }
    return authorization_commit(authorization, next, call->session->user_name, news);
}

static bool has_role(const struct Permission *permission, const void *id)
{
    return permission->roleId == *(const int32_t *)id;
}

static struct vim_fault *remove_role(struct vim_call *call, const struct RemoveAuthorizationRole_args *args)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct policy *next = authorization_begin(authorization);
    struct role *role = NULL;
    struct vim_fault *fault = find_own_role(next, args->roleId, &role);
    if (fault == NULL && policy_remove(next, has_role, &args->roleId) > 0 && args->failIfUsed) {
        fault = fault_remove_failed("role \"%s\" is in use", role->shown->name);
    }
    if (fault != NULL) {
        authorization_cancel(authorization, next);
        return fault;
    }
    GPtrArray *news = authorization_news_new();
    struct RoleRemovedEvent *event = RoleRemovedEvent_new();
    event->role = role_argument(role);
    authorization_news_add(news, (struct Event *)event,
                           g_strdup_printf("Role %s removed", role->shown->name));
    policy_remove_role(next, args->roleId);
    return authorization_commit(authorization, next, call->session->user_name, news);
}

/* The system's roles for those who have not logged in, or only pass by, are given to nobody. */
static bool is_grantable(int32_t role_id)
{
    return role_id != ROLE_ANONYMOUS && role_id != ROLE_VIEW;
}

/* Gives the destination's role in place of the source's, everywhere. */
static void merge(struct policy *next, int32_t source, int32_t destination)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, next->by_entity);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *grants = value;
        for (guint i = 0; i < grants->len; i++) {
            struct grant *grant = g_ptr_array_index(grants, i);
            if (grant->shown->roleId == source) {
                grant->shown->roleId = destination;
                grant->role = policy_role(next, destination);
            }
        }
    }
}

static struct vim_fault *merge_permissions(struct vim_call *call, const struct MergePermissions_args *args)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct vim_privilege_set held = {{0}};
    struct vim_fault *fault = held_by_caller(call, &call->server->root_folder, &held);
    if (fault != NULL) {
        return fault;
    }
    struct policy *next = authorization_begin(authorization);
    const struct role *source = policy_role(next, args->srcRoleId);
    const struct role *destination = policy_role(next, args->dstRoleId);
    if (source == NULL || destination == NULL) {
        fault = no_role(source == NULL ? args->srcRoleId : args->dstRoleId);
    } else if (!is_grantable(args->dstRoleId)) {
        fault =
            fault_invalid_argument("dstRoleId", "role \"%s\" is given to nobody", destination->shown->name);
    } else {
        fault = check_held(&source->privileges, &held, &call->server->root_folder);
    }
    if (fault == NULL) {
        fault = check_held(&destination->privileges, &held, &call->server->root_folder);
    }
    if (fault != NULL) {
        authorization_cancel(authorization, next);
        return fault;
    }
    merge(next, args->srcRoleId, args->dstRoleId);
    return authorization_commit(authorization, next, call->session->user_name, NULL);
}

/* ---- users and groups ------------------------------------------------------------------------------ */

bool authorization_group_exists(struct users *users, const char *group)
{
    g_autoptr(GPtrArray) list = users_list(users);
    for (guint i = 0; i < list->len; i++) {
        const struct user_info *user = g_ptr_array_index(list, i);
        if (g_strv_contains((const char *const *)user->groups, group)) {
            return true;
        }
    }
    return false;
}

/* The groups of a user who need not exist; freed with g_strfreev. */
static char **find_groups(struct users *users, const char *name)
{
    struct user_info *user = users_find(users, name);
    char **groups = user != NULL ? g_strdupv(user->groups) : NULL;
    user_info_free(user);
    return groups;
}

struct vim_fault *authorization_check_outranks(struct vim_call *call, const char *user_name)
{
    struct vim_server *server = call->server;
    struct vim_fault *fault = NULL;
    g_auto(GStrv) groups = find_groups(server->users, user_name);
    struct principal other = {user_name, (const char *const *)groups};
    struct principal caller = session_principal(call->session);
    vim_read_lock(server->inventory);
    const struct policy *policy = authorization_policy(server->authorization);
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, policy->by_entity);
    while (fault == NULL && g_hash_table_iter_next(&iter, &id, NULL)) {
        struct vim_privilege_set wanted;
        struct vim_object *entity = vim_inventory_find(server->inventory, id);
        if (entity != NULL && policy_level(policy, id, &other, true, &wanted, NULL)) {
            struct vim_privilege_set held = authorization_held(server->authorization, &caller, entity);
            fault = check_held(&wanted, &held, &entity->ref);
        }
    }
    vim_read_unlock(server->inventory);
    return fault;
}

/* ---- changing permissions ------------------------------------------------------------------------- */

static struct vim_fault *check_principals(struct vim_call *call, struct Permission *const *given, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const char *name = given[i]->principal;
        struct users *users = call->server->users;
        if (!(given[i]->group ? authorization_group_exists(users, name) : users_exists(users, name))) {
            return fault_user_not_found(name, true, "there is no %s \"%.100s\"",
                                        given[i]->group ? "group" : "user", name);
        }
    }
    return NULL;
}

/* Puts the given permissions into `next`; who has one there is given another. */
static struct vim_fault *put_all(struct policy *next, const struct vim_ref *entity,
                                 const struct vim_privilege_set *held, struct Permission *const *given,
                                 uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct Permission *permission = given[i];
        const struct role *role = policy_role(next, permission->roleId);
        if (role == NULL) {
            return no_role(permission->roleId);
        }
        if (!is_grantable(permission->roleId)) {
            return fault_invalid_argument("roleId", "role \"%s\" is given to nobody", role->shown->name);
        }
        struct vim_fault *fault = check_held(&role->privileges, held, entity);
        const struct grant *before = policy_find(next, entity->id, permission->principal, permission->group);
        if (fault == NULL && before != NULL) {
            fault = check_held(&before->role->privileges, held, entity);
        }
        if (fault != NULL) {
            return fault;
        }
        policy_put(next, entity, permission->principal, permission->group, permission->roleId,
                   permission->propagate);
    }
    return NULL;
}

/* What a change of permissions needs first: the caller's right to it, and what he holds there. */
static struct vim_fault *may_change(struct vim_call *call, const struct vim_ref *entity,
                                    struct vim_privilege_set *ret_held)
{
    struct vim_fault *fault = vim_call_require(call, entity, VIM_PRIVILEGE_AUTHORIZATION_MODIFY_PERMISSIONS);
    return fault != NULL ? fault : held_by_caller(call, entity, ret_held);
}

/* The entity of a reference that may name a base type. */
static struct vim_fault *find_entity(struct vim_call *call, const struct vim_ref *ref, struct vim_ref *ret)
{
    vim_read_lock(call->server->inventory);
    struct vim_object *object = vim_inventory_find_ref(call->server->inventory, ref);
    bool is_entity = object != NULL && vim_type_is(object->ref.type, &ManagedEntity_type);
    if (is_entity) {
        *ret = vim_ref_copy(&object->ref);
    }
    vim_read_unlock(call->server->inventory);
    return is_entity ? NULL : vim_call_gone(ref);
}

static struct vim_fault *set_entity(struct vim_call *call, const struct vim_ref *entity,
                                    struct Permission *const *given, uint32_t n)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct vim_privilege_set held = {{0}};
    struct vim_fault *fault = may_change(call, entity, &held);
    if (fault == NULL) {
        fault = check_principals(call, given, n);
    }
    if (fault != NULL) {
        return fault;
    }
    struct policy *next = authorization_begin(authorization);
    fault = put_all(next, entity, &held, given, n);
    if (fault != NULL) {
        authorization_cancel(authorization, next);
        return fault;
    }
    return authorization_commit(authorization, next, call->session->user_name, NULL);
}

static struct vim_fault *set_entity_permissions(struct vim_call *call,
                                                const struct SetEntityPermissions_args *args)
{
    struct vim_ref entity = {0};
    struct vim_fault *fault = find_entity(call, &args->entity, &entity);
    if (fault == NULL) {
        fault = set_entity(call, &entity, args->permission.items, args->permission.n);
    }
    vim_ref_clear(&entity);
    return fault;
}

/* The caller has to hold the roles that go, too. */
static struct vim_fault *check_all_held(GPtrArray *grants, const struct vim_privilege_set *held,
                                        const struct vim_ref *entity)
{
    struct vim_fault *fault = NULL;
    for (guint i = 0; fault == NULL && grants != NULL && i < grants->len; i++) {
        const struct grant *grant = g_ptr_array_index(grants, i);
        fault = check_held(&grant->role->privileges, held, entity);
    }
    return fault;
}

static struct vim_fault *reset_entity(struct vim_call *call, const struct vim_ref *entity,
                                      struct Permission *const *given, uint32_t n)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct vim_privilege_set held = {{0}};
    struct vim_fault *fault = may_change(call, entity, &held);
    if (fault == NULL) {
        fault = check_principals(call, given, n);
    }
    if (fault != NULL) {
        return fault;
    }
    struct policy *next = authorization_begin(authorization);
    fault = check_all_held(policy_entity(next, entity->id), &held, entity);
    if (fault == NULL) {
        policy_remove_entity(next, entity->id);
        fault = put_all(next, entity, &held, given, n);
    }
    if (fault != NULL) {
        authorization_cancel(authorization, next);
        return fault;
    }
    return authorization_commit(authorization, next, call->session->user_name, NULL);
}

static struct vim_fault *reset_entity_permissions(struct vim_call *call,
                                                  const struct ResetEntityPermissions_args *args)
{
    struct vim_ref entity = {0};
    struct vim_fault *fault = find_entity(call, &args->entity, &entity);
    if (fault == NULL) {
        fault = reset_entity(call, &entity, args->permission.items, args->permission.n);
    }
    vim_ref_clear(&entity);
    return fault;
}

static bool is_same(const struct Permission *permission, const void *other)
{
    return permission == other;
}

static struct vim_fault *remove_entity_permission(struct vim_call *call,
                                                  const struct RemoveEntityPermission_args *args)
{
    struct vim_authorization *authorization = call->server->authorization;
    struct vim_privilege_set held = {{0}};
    struct vim_fault *fault = may_change(call, &args->entity, &held);
    if (fault != NULL) {
        return fault;
    }
    struct policy *next = authorization_begin(authorization);
    const struct grant *grant = policy_find(next, args->entity.id, args->user, args->isGroup);
    if (grant == NULL) {
        fault = fault_not_found("\"%.100s\" has no permission on \"%s\" itself", args->user, args->entity.id);
    } else {
        fault = check_held(&grant->role->privileges, &held, &args->entity);
    }
    if (fault != NULL) {
        authorization_cancel(authorization, next);
        return fault;
    }
    policy_remove(next, is_same, grant->shown);
    return authorization_commit(authorization, next, call->session->user_name, NULL);
}

/* ---- showing permissions -------------------------------------------------------------------------- */

/* Adds the permissions of all entities that the caller may see and for which role_id (or NULL) fits. */
static void list_permissions(struct vim_call *call, const int32_t *role_id, void *array)
{
    struct vim_server *server = call->server;
    const struct policy *policy = authorization_policy(server->authorization);
    GHashTableIter iter;
    gpointer id, value;
    g_hash_table_iter_init(&iter, policy->by_entity);
    while (g_hash_table_iter_next(&iter, &id, &value)) {
        GPtrArray *grants = value;
        struct vim_object *entity = vim_inventory_find(server->inventory, id);
        bool visible = entity != NULL && vim_authorized(server->authorization, call->session, entity,
                                                        VIM_PRIVILEGE_SYSTEM_VIEW);
        for (guint i = 0; visible && i < grants->len; i++) {
            const struct grant *grant = g_ptr_array_index(grants, i);
            if (role_id == NULL || grant->shown->roleId == *role_id) {
                vim_array_add_object(array, vim_copy(grant->shown));
            }
        }
    }
}

static struct vim_fault *retrieve_all_permissions(struct vim_call *call,
                                                  const struct RetrieveAllPermissions_args *args,
                                                  struct RetrieveAllPermissions_result *ret)
{
    (void)args;
    vim_read_lock(call->server->inventory);
    list_permissions(call, NULL, &ret->returnval);
    vim_read_unlock(call->server->inventory);
    return NULL;
}

static struct vim_fault *retrieve_role_permissions(struct vim_call *call,
                                                   const struct RetrieveRolePermissions_args *args,
                                                   struct RetrieveRolePermissions_result *ret)
{
    vim_read_lock(call->server->inventory);
    bool found = policy_role(authorization_policy(call->server->authorization), args->roleId) != NULL;
    if (found) {
        list_permissions(call, &args->roleId, &ret->returnval);
    }
    vim_read_unlock(call->server->inventory);
    return found ? NULL : no_role(args->roleId);
}

/* Adds those of an entity; of one further up only what propagates and is not overruled further down. */
static void list_entity(const struct policy *policy, const char *id, bool is_above, GHashTable *overruled,
                        void *array)
{
    GPtrArray *grants = policy_entity(policy, id);
    for (guint i = 0; grants != NULL && i < grants->len; i++) {
        const struct Permission *shown = ((struct grant *)g_ptr_array_index(grants, i))->shown;
        if (is_above && !shown->propagate) {
            continue;
        }
        char *who = g_strconcat(shown->group ? "group " : "user ", shown->principal, NULL);
        if (g_hash_table_add(overruled, who)) {
            vim_array_add_object(array, vim_copy(shown));
        }
    }
}

static struct vim_fault *retrieve_entity_permissions(struct vim_call *call,
                                                     const struct RetrieveEntityPermissions_args *args,
                                                     struct RetrieveEntityPermissions_result *ret)
{
    struct vim_server *server = call->server;
    struct vim_fault *fault = vim_call_require(call, &args->entity, VIM_PRIVILEGE_SYSTEM_READ);
    if (fault != NULL) {
        return fault;
    }
    g_autoptr(GHashTable) overruled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    vim_read_lock(server->inventory);
    const struct policy *policy = authorization_policy(server->authorization);
    struct vim_object *entity = vim_inventory_find_ref(server->inventory, &args->entity);
    for (struct vim_object *at = entity; at != NULL;
         at = args->inherited ? authorization_parent(server->authorization, at) : NULL) {
        list_entity(policy, at->ref.id, at != entity, overruled, &ret->returnval);
    }
    vim_read_unlock(server->inventory);
    return NULL;
}

/* ---- asking about privileges ---------------------------------------------------------------------- */

/* The session with this key, with a reference. About those of others an administrator may ask. */
static struct vim_fault *find_session(struct vim_call *call, const char *key, struct vim_session **ret)
{
    struct vim_session *session = vim_session_find_key(call->server->sessions, key);
    struct vim_fault *fault = NULL;
    if (session == NULL) {
        return fault_invalid_argument("sessionId", "there is no such session");
    }
    if (strcmp(session->user_name, call->session->user_name) != 0) {
        fault = vim_call_require(call, &call->server->root_folder, VIM_PRIVILEGE_SESSIONS_VALIDATE_SESSION);
    }
    if (fault != NULL) {
        vim_session_unref(session);
        return fault;
    }
    *ret = session;
    return NULL;
}

/* The privileges with these ids, in this order. */
static struct vim_fault *read_list(char *const *ids, uint32_t n, enum vim_privilege **ret)
{
    g_autofree enum vim_privilege *list = g_new0(enum vim_privilege, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        list[i] = vim_privilege_by_id(ids[i]);
        if (list[i] == VIM_PRIVILEGE_BY_ARGUMENT) {
            return fault_invalid_argument("privId", "there is no privilege \"%.100s\"", ids[i]);
        }
    }
    *ret = g_steal_pointer(&list);
    return NULL;
}

static struct vim_fault *has_privilege_on_entity(struct vim_call *call,
                                                 const struct HasPrivilegeOnEntity_args *args,
                                                 struct HasPrivilegeOnEntity_result *ret)
{
    struct vim_server *server = call->server;
    g_autofree enum vim_privilege *list = NULL;
    struct vim_session *session = NULL;
    struct vim_fault *fault = read_list(args->privId.items, args->privId.n, &list);
    if (fault == NULL) {
        fault = find_session(call, args->sessionId, &session);
    }
    if (fault != NULL) {
        return fault;
    }
    vim_read_lock(server->inventory);
    struct vim_object *entity = vim_inventory_find_ref(server->inventory, &args->entity);
    for (uint32_t i = 0; entity != NULL && i < args->privId.n; i++) {
        bool has = vim_authorized(server->authorization, session, entity, list[i]);
        vim_array_add(&ret->returnval, &vim_type_boolean, &has);
    }
    vim_read_unlock(server->inventory);
    vim_session_unref(session);
    return entity != NULL ? NULL : vim_call_gone(&args->entity);
}

/* What somebody has of the listed privileges on one entity. (any inventory lock) */
static struct EntityPrivilege *entity_privilege(struct vim_authorization *authorization,
                                                const struct principal *who, struct vim_object *entity,
                                                const enum vim_privilege *list, uint32_t n)
{
    struct EntityPrivilege *about = EntityPrivilege_new();
    about->entity = vim_ref_copy(&entity->ref);
    for (uint32_t i = 0; i < n; i++) {
        struct PrivilegeAvailability *availability = PrivilegeAvailability_new();
        availability->privId = g_strdup(vim_privileges[list[i]].id);
        availability->isGranted = authorization_allows(authorization, who, entity, list[i]);
        vim_array_add_object(&about->privAvailability, availability);
    }
    return about;
}

/* Adds an EntityPrivilege for each entity; a fault when one does not exist. */
static struct vim_fault *entity_privileges(struct vim_call *call, const struct principal *who,
                                           const struct vim_ref *entities, uint32_t n_entities,
                                           const enum vim_privilege *list, uint32_t n, void *array)
{
    struct vim_server *server = call->server;
    const struct vim_ref *missing = NULL;
    vim_read_lock(server->inventory);
    for (uint32_t i = 0; i < n_entities && missing == NULL; i++) {
        struct vim_object *entity = vim_inventory_find_ref(server->inventory, &entities[i]);
        if (entity == NULL || entity->owner != NULL) {
            missing = &entities[i];
        } else {
            vim_array_add_object(array, entity_privilege(server->authorization, who, entity, list, n));
        }
    }
    vim_read_unlock(server->inventory);
    return missing != NULL ? vim_call_gone(missing) : NULL;
}

static struct vim_fault *has_privilege_on_entities(struct vim_call *call,
                                                   const struct HasPrivilegeOnEntities_args *args,
                                                   struct HasPrivilegeOnEntities_result *ret)
{
    g_autofree enum vim_privilege *list = NULL;
    struct vim_session *session = NULL;
    struct vim_fault *fault = read_list(args->privId.items, args->privId.n, &list);
    if (fault == NULL) {
        fault = find_session(call, args->sessionId, &session);
    }
    if (fault == NULL) {
        struct principal who = session_principal(session);
        fault = entity_privileges(call, &who, args->entity.items, args->entity.n, list, args->privId.n,
                                  &ret->returnval);
    }
    vim_session_unref(session);
    return fault;
}

/* Everybody may ask about himself; about others who may change their permissions. */
static struct vim_fault *may_ask(struct vim_call *call, const char *user, const struct vim_ref *entities,
                                 uint32_t n)
{
    bool himself = strcmp(user, call->session->user_name) == 0;
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < n && fault == NULL; i++) {
        fault = vim_call_require(call, &entities[i],
                                 himself ? VIM_PRIVILEGE_SYSTEM_VIEW
                                         : VIM_PRIVILEGE_AUTHORIZATION_MODIFY_PERMISSIONS);
    }
    return fault;
}

static struct vim_fault *has_user_privilege_on_entities(struct vim_call *call,
                                                        const struct HasUserPrivilegeOnEntities_args *args,
                                                        struct HasUserPrivilegeOnEntities_result *ret)
{
    g_autofree enum vim_privilege *list = NULL;
    struct vim_fault *fault = read_list(args->privId.items, args->privId.n, &list);
    if (fault == NULL) {
        fault = may_ask(call, args->userName, args->entities.items, args->entities.n);
    }
    if (fault == NULL) {
        g_auto(GStrv) groups = find_groups(call->server->users, args->userName);
        struct principal who = {args->userName, (const char *const *)groups};
        fault = entity_privileges(call, &who, args->entities.items, args->entities.n, list, args->privId.n,
                                  &ret->returnval);
    }
    return fault;
}

static struct vim_fault *fetch_user_privileges(struct vim_call *call,
                                               const struct FetchUserPrivilegeOnEntities_args *args,
                                               struct FetchUserPrivilegeOnEntities_result *ret)
{
    struct vim_server *server = call->server;
    struct vim_fault *fault = may_ask(call, args->userName, args->entities.items, args->entities.n);
    if (fault != NULL) {
        return fault;
    }
    g_auto(GStrv) groups = find_groups(server->users, args->userName);
    struct principal who = {args->userName, (const char *const *)groups};
    vim_read_lock(server->inventory);
    for (uint32_t i = 0; i < args->entities.n; i++) {
        struct vim_object *entity = vim_inventory_find_ref(server->inventory, &args->entities.items[i]);
        if (entity != NULL) { /* else it went between the check and now */
            struct UserPrivilegeResult *result = UserPrivilegeResult_new();
            struct vim_privilege_set held = authorization_held(server->authorization, &who, entity);
            result->entity = vim_ref_copy(&entity->ref);
            list_privileges(&result->privileges, &held, NULL);
            vim_array_add_object(&ret->returnval, result);
        }
    }
    vim_read_unlock(server->inventory);
    return NULL;
}

const struct AuthorizationManager_methods vim_authorization_manager_methods = {
    .AddAuthorizationRole = add_role,
    .RemoveAuthorizationRole = remove_role,
    .UpdateAuthorizationRole = update_role,
    .MergePermissions = merge_permissions,
    .RetrieveRolePermissions = retrieve_role_permissions,
    .RetrieveEntityPermissions = retrieve_entity_permissions,
    .RetrieveAllPermissions = retrieve_all_permissions,
    .SetEntityPermissions = set_entity_permissions,
    .ResetEntityPermissions = reset_entity_permissions,
    .RemoveEntityPermission = remove_entity_permission,
    .HasPrivilegeOnEntity = has_privilege_on_entity,
    .HasPrivilegeOnEntities = has_privilege_on_entities,
    .HasUserPrivilegeOnEntities = has_user_privilege_on_entities,
    .FetchUserPrivilegeOnEntities = fetch_user_privileges,
};
