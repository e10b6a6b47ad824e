// SPDX-License-Identifier: Apache-2.0
/*
 * Roles and permissions as data. See authorization_policy.h.
 */
#include "vim/authorization_policy.h"

#include <string.h>

#include "vim/value.h"

static const struct {
    int32_t id;
    const char *name;
    const char *label;
    const char *summary;
} system_roles[] = {
    {ROLE_ADMIN, "Admin", "Administrator", "Everything"},
    {ROLE_READ_ONLY, "ReadOnly", "Read-only", "See objects and all their properties, but change nothing"},
    {ROLE_VIEW, "View", "View",
     "See that objects exist; everybody has it on what lies above his permissions"},
    {ROLE_ANONYMOUS, "Anonymous", "Anonymous", "What is allowed without logging in"},
    {ROLE_NO_ACCESS, "NoAccess", "No access", "Nothing; takes away what a permission further up gives"},
};

/* ---- privileges ----------------------------------------------------------------------------------- */

enum vim_privilege vim_privilege_by_id(const char *id)
{
    for (size_t i = 0; i < vim_n_privileges; i++) {
        if (strcmp(vim_privileges[i].id, id) == 0) {
            return (enum vim_privilege)i;
        }
    }
    return VIM_PRIVILEGE_BY_ARGUMENT;
}

enum vim_privilege vim_privilege_set_missing(const struct vim_privilege_set *wanted,
                                             const struct vim_privilege_set *held)
{
    for (size_t i = 0; i < vim_n_privileges; i++) {
        enum vim_privilege privilege = (enum vim_privilege)i;
        if (vim_privilege_set_has(wanted, privilege) && !vim_privilege_set_has(held, privilege)) {
            return privilege;
        }
    }
    return VIM_PRIVILEGE_BY_ARGUMENT;
}

static struct vim_privilege_set system_privileges(int32_t id)
{
    struct vim_privilege_set set = {{0}};
    size_t n = id == ROLE_ADMIN       ? vim_n_privileges
               : id == ROLE_READ_ONLY ? VIM_PRIVILEGE_SYSTEM_READ + 1
               : id == ROLE_VIEW      ? VIM_PRIVILEGE_SYSTEM_VIEW + 1
               : id == ROLE_ANONYMOUS ? VIM_PRIVILEGE_SYSTEM_ANONYMOUS + 1
                                      : 0;
    for (size_t i = 0; i < n; i++) {
        vim_privilege_set_add(&set, (enum vim_privilege)i);
    }
    return set;
}

/* ---- life ----------------------------------------------------------------------------------------- */

static void role_free(void *data)
{
    struct role *role = data;
    vim_free(role->shown);
    g_free(role);
}

static void grant_free(void *data)
{
    struct grant *grant = data;
    vim_free(grant->shown);
    g_free(grant);
}

static void grants_free(void *data)
{
    g_ptr_array_unref(data);
}

static struct policy *policy_empty(void)
{
    struct policy *policy = g_new0(struct policy, 1);
    policy->roles = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, role_free);
    policy->by_entity = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, grants_free);
    policy->next_role = 1;
    return policy;
}

static void set_privileges(struct role *role, const struct vim_privilege_set *set)
{
    for (uint32_t i = role->shown->privilege.n; i > 0; i--) {
        vim_array_remove(&role->shown->privilege, &vim_type_string, i - 1);
    }
    role->privileges = *set;
    for (size_t i = 0; i < vim_n_privileges; i++) {
        if (vim_privilege_set_has(set, (enum vim_privilege)i)) {
            vim_array_add_string(&role->shown->privilege, vim_privileges[i].id);
        }
    }
}

static struct role *insert_role(struct policy *policy, int32_t id)
{
    struct role *role = g_new0(struct role, 1);
    role->shown = AuthorizationRole_new();
    role->shown->roleId = id;
    role->shown->info = Description_new();
    g_hash_table_insert(policy->roles, GINT_TO_POINTER(id), role);
    policy->next_role = MAX(policy->next_role, id + 1);
    return role;
}

struct policy *policy_new(void)
{
    struct policy *policy = policy_empty();
    g_assert(vim_n_privileges <= 8 * sizeof(struct vim_privilege_set));
    for (size_t i = 0; i < G_N_ELEMENTS(system_roles); i++) {
        struct vim_privilege_set set = system_privileges(system_roles[i].id);
        struct role *role = insert_role(policy, system_roles[i].id);
        role->shown->system = true;
        role->shown->name = g_strdup(system_roles[i].name);
        role->shown->info->label = g_strdup(system_roles[i].label);
        role->shown->info->summary = g_strdup(system_roles[i].summary);
        set_privileges(role, &set);
    }
    return policy;
}

struct policy *policy_copy(const struct policy *policy)
{
    struct policy *copy = policy_empty();
    GHashTableIter iter;
    gpointer value;
    copy->next_role = policy->next_role;
    g_hash_table_iter_init(&iter, policy->roles);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct role *role = value;
        struct role *made = g_new0(struct role, 1);
        made->shown = vim_copy(role->shown);
        made->privileges = role->privileges;
        g_hash_table_insert(copy->roles, GINT_TO_POINTER(made->shown->roleId), made);
    }
    g_hash_table_iter_init(&iter, policy->by_entity);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *grants = value;
        for (guint i = 0; i < grants->len; i++) {
            const struct Permission *shown = ((struct grant *)g_ptr_array_index(grants, i))->shown;
            policy_put(copy, &shown->entity, shown->principal, shown->group, shown->roleId, shown->propagate);
        }
    }
    return copy;
}

void policy_free(struct policy *policy)
{
    if (policy != NULL) {
        g_hash_table_unref(policy->by_entity);
        g_hash_table_unref(policy->roles);
        g_free(policy);
    }
}

/* ---- roles ---------------------------------------------------------------------------------------- */

struct role *policy_role(const struct policy *policy, int32_t id)
{
    return g_hash_table_lookup(policy->roles, GINT_TO_POINTER(id));
}

struct role *policy_role_by_name(const struct policy *policy, const char *name)
{
    GHashTableIter iter;
    gpointer role;
    g_hash_table_iter_init(&iter, policy->roles);
    while (g_hash_table_iter_next(&iter, NULL, &role)) {
        if (strcmp(((struct role *)role)->shown->name, name) == 0) {
            return role;
        }
    }
    return NULL;
}

static gint compare_roles(gconstpointer a, gconstpointer b)
{
    int32_t x = (*(struct role *const *)a)->shown->roleId;
    int32_t y = (*(struct role *const *)b)->shown->roleId;
    return x < y ? -1 : x > y;
}

GPtrArray *policy_roles(const struct policy *policy)
{
    GPtrArray *roles = g_ptr_array_new();
    GHashTableIter iter;
    gpointer role;
    g_hash_table_iter_init(&iter, policy->roles);
    while (g_hash_table_iter_next(&iter, NULL, &role)) {
        g_ptr_array_add(roles, role);
    }
    g_ptr_array_sort(roles, compare_roles);
    return roles;
}

void policy_set_role(struct role *role, const char *name, const struct vim_privilege_set *set)
{
    struct vim_privilege_set with_system = *set;
    vim_privilege_set_add(&with_system, VIM_PRIVILEGE_SYSTEM_ANONYMOUS);
    vim_privilege_set_add(&with_system, VIM_PRIVILEGE_SYSTEM_VIEW);
    vim_privilege_set_add(&with_system, VIM_PRIVILEGE_SYSTEM_READ);
    vim_set_string(&role->shown->name, name);
    vim_set_string(&role->shown->info->label, name);
    vim_set_string(&role->shown->info->summary, name);
    set_privileges(role, &with_system);
}

struct role *policy_add_role(struct policy *policy, const char *name, const struct vim_privilege_set *set)
{
    struct role *role = insert_role(policy, policy->next_role);
    policy_set_role(role, name, set);
    return role;
}

void policy_remove_role(struct policy *policy, int32_t id)
{
    g_hash_table_remove(policy->roles, GINT_TO_POINTER(id));
}

/* ---- permissions ---------------------------------------------------------------------------------- */

GPtrArray *policy_entity(const struct policy *policy, const char *entity)
{
    return g_hash_table_lookup(policy->by_entity, entity);
}

struct grant *policy_find(const struct policy *policy, const char *entity, const char *principal, bool group)
{
    GPtrArray *grants = policy_entity(policy, entity);
    for (guint i = 0; grants != NULL && i < grants->len; i++) {
        struct grant *grant = g_ptr_array_index(grants, i);
        if (grant->shown->group == group && strcmp(grant->shown->principal, principal) == 0) {
            return grant;
        }
    }
    return NULL;
}

static bool is_in(const struct principal *who, const char *group)
{
    return who->groups != NULL && g_strv_contains(who->groups, group);
}

bool policy_level(const struct policy *policy, const char *entity, const struct principal *who, bool here,
                  struct vim_privilege_set *ret_set, struct vim_array *ret_roles)
{
    GPtrArray *grants = policy_entity(policy, entity);
    if (grants == NULL) {
        return false; /* by far the most common */
    }
    struct vim_privilege_set set = {{0}};
    bool found = false;
    const struct grant *own = policy_find(policy, entity, who->name, false);
    if (own != NULL && !here && !own->shown->propagate) {
        own = NULL;
    }
    for (guint i = 0; i < grants->len; i++) {
        const struct grant *grant = g_ptr_array_index(grants, i);
        const struct Permission *shown = grant->shown;
        bool counts = own != NULL
                          ? grant == own
                          : shown->group && (here || shown->propagate) && is_in(who, shown->principal);
        if (!counts) {
            continue;
        }
        found = true;
        for (size_t n = 0; n < G_N_ELEMENTS(set.bits); n++) {
            set.bits[n] |= grant->role->privileges.bits[n];
        }
        if (ret_roles != NULL) {
            vim_array_add(ret_roles, &vim_type_int, &shown->roleId);
        }
    }
    if (found) {
        *ret_set = set;
    }
    return found;
}

void policy_put(struct policy *policy, const struct vim_ref *entity, const char *principal, bool group,
                int32_t role_id, bool propagate)
{
    struct grant *grant = policy_find(policy, entity->id, principal, group);
    if (grant == NULL) {
        GPtrArray *grants = policy_entity(policy, entity->id);
        if (grants == NULL) {
            grants = g_ptr_array_new_with_free_func(grant_free);
            g_hash_table_insert(policy->by_entity, g_strdup(entity->id), grants);
        }
        grant = g_new0(struct grant, 1);
        grant->shown = Permission_new();
        grant->shown->entity = vim_ref_copy(entity);
        grant->shown->principal = g_strdup(principal);
        grant->shown->group = group;
        g_ptr_array_add(grants, grant);
    }
    grant->shown->roleId = role_id;
    grant->shown->propagate = propagate;
    grant->role = policy_role(policy, role_id);
    g_assert(grant->role != NULL);
}

unsigned policy_remove(struct policy *policy,
                       bool (*gone)(const struct Permission *permission, const void *data), const void *data)
{
    unsigned removed = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, policy->by_entity);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *grants = value;
        for (guint i = grants->len; i > 0; i--) {
            const struct grant *grant = g_ptr_array_index(grants, i - 1);
            if (gone(grant->shown, data)) {
                g_ptr_array_remove_index(grants, i - 1);
                removed++;
            }
        }
        if (grants->len == 0) {
            g_hash_table_iter_remove(&iter);
        }
    }
    return removed;
}

void policy_remove_entity(struct policy *policy, const char *entity)
{
    g_hash_table_remove(policy->by_entity, entity);
}

bool policy_has_admin(const struct policy *policy, const char *root)
{
    GPtrArray *grants = root != NULL ? policy_entity(policy, root) : NULL;
    for (guint i = 0; grants != NULL && i < grants->len; i++) {
        const struct Permission *shown = ((struct grant *)g_ptr_array_index(grants, i))->shown;
        if (shown->roleId == ROLE_ADMIN && !shown->group && shown->propagate) {
            return true;
        }
    }
    return false;
}

/* ---- in a file ------------------------------------------------------------------------------------ */

GPtrArray *policy_objects(const struct policy *policy)
{
    GPtrArray *objects = g_ptr_array_new_with_free_func(vim_free);
    g_autoptr(GPtrArray) roles = policy_roles(policy);
    for (guint i = 0; i < roles->len; i++) {
        const struct role *role = g_ptr_array_index(roles, i);
        if (!role->shown->system) {
            g_ptr_array_add(objects, vim_copy(role->shown));
        }
    }
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, policy->by_entity);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *grants = value;
        for (guint i = 0; i < grants->len; i++) {
            g_ptr_array_add(objects, vim_copy(((struct grant *)g_ptr_array_index(grants, i))->shown));
        }
    }
    return objects;
}

static bool load_role(struct policy *policy, const struct AuthorizationRole *shown, char **ret_message)
{
    if (shown->roleId < 1 || shown->roleId == INT32_MAX || policy_role(policy, shown->roleId) != NULL ||
        policy_role_by_name(policy, shown->name) != NULL) {
        *ret_message =
            g_strdup_printf("role %d \"%s\" is not valid, or is there twice", shown->roleId, shown->name);
        return false;
    }
    struct vim_privilege_set set = {{0}};
    for (uint32_t i = 0; i < shown->privilege.n; i++) {
        enum vim_privilege privilege = vim_privilege_by_id(shown->privilege.items[i]);
        if (privilege != VIM_PRIVILEGE_BY_ARGUMENT) {
            vim_privilege_set_add(&set, privilege);
        }
    }
    policy_set_role(insert_role(policy, shown->roleId), shown->name, &set);
    return true;
}

static bool load_permission(struct policy *policy, const struct Permission *shown, char **ret_message)
{
    if (shown->entity.id == NULL || policy_role(policy, shown->roleId) == NULL) {
        *ret_message = g_strdup_printf("a permission of \"%s\" has no entity, or role %d does not exist",
                                       shown->principal, shown->roleId);
        return false;
    }
    policy_put(policy, &shown->entity, shown->principal, shown->group, shown->roleId, shown->propagate);
    return true;
}

struct policy *policy_from_objects(GPtrArray *objects, char **ret_message)
{
    struct policy *policy = policy_new();
    for (guint i = 0; i < objects->len; i++) {
        const void *object = g_ptr_array_index(objects, i);
        bool good = false;
        if (vim_is_a(object, &AuthorizationRole_type)) {
            good = load_role(policy, object, ret_message);
        } else if (vim_is_a(object, &Permission_type)) {
            good = load_permission(policy, object, ret_message);
        } else {
            *ret_message = g_strdup("something that is neither a role nor a permission");
        }
        if (!good) {
            policy_free(policy);
            return NULL;
        }
    }
    return policy;
}
