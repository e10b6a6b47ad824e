// SPDX-License-Identifier: Apache-2.0
/*
 * Roles and permissions as data: what authorization.c keeps, and authorization_manager.c changes. A policy
 * knows entities by their ids and users by their names only; the way up the inventory is its callers'.
 *
 * A policy belongs to one thread, or is only read. A change is made on a copy, saved, and then put in place
 * of the old one.
 */
#pragma once

#include "vim/authorization.h"

#include "vim/types.h"

enum {
    ROLE_ADMIN = -1,
    ROLE_READ_ONLY = -2,
    ROLE_VIEW = -3,
    ROLE_ANONYMOUS = -4,
    ROLE_NO_ACCESS = -5,
};

struct role {
    struct AuthorizationRole *shown; /* owned */
    struct vim_privilege_set privileges;
};

/* Who wants something. Borrowed. */
struct principal {
    const char *name;
    const char *const *groups; /* NULL-terminated, or NULL for none */
};

/* A permission with its role looked up. */
struct grant {
    struct Permission *shown; /* owned */
    const struct role *role;  /* of the same policy; shown->roleId */
};

struct policy {
    GHashTable *roles;     /* id -> struct role *, owned */
    GHashTable *by_entity; /* id -> GPtrArray of struct grant *, never empty; owned */
    int32_t next_role;     /* an id is not given twice while the program runs */
};

static inline bool vim_privilege_set_has(const struct vim_privilege_set *set, enum vim_privilege privilege)
{
    return set->bits[privilege / 64] >> (privilege % 64) & 1;
}
static inline void vim_privilege_set_add(struct vim_privilege_set *set, enum vim_privilege privilege)
{
    set->bits[privilege / 64] |= UINT64_C(1) << (privilege % 64);
}
/* The first privilege of `wanted` that is not in `held`; VIM_PRIVILEGE_BY_ARGUMENT when all are. */
enum vim_privilege vim_privilege_set_missing(const struct vim_privilege_set *wanted,
                                             const struct vim_privilege_set *held);
/* The privilege with this id, or VIM_PRIVILEGE_BY_ARGUMENT. */
enum vim_privilege vim_privilege_by_id(const char *id);

/* The roles that every server has, and no permission. */
struct policy *policy_new(void) G_GNUC_WARN_UNUSED_RESULT;
struct policy *policy_copy(const struct policy *policy) G_GNUC_WARN_UNUSED_RESULT;
void policy_free(struct policy *policy);

/* As kept in a file: roles of our own first, then permissions. The array owns its objects. */
GPtrArray *policy_objects(const struct policy *policy);
/* Reads them back; NULL when they do not fit together, and *ret_message says why. Privileges that this
 * program does not know are left out. */
struct policy *policy_from_objects(GPtrArray *objects, char **ret_message);

struct role *policy_role(const struct policy *policy, int32_t id);
struct role *policy_role_by_name(const struct policy *policy, const char *name);
/* All roles in the order of their ids; the array alone is the caller's. */
GPtrArray *policy_roles(const struct policy *policy);
/* Makes a role with a new id. */
struct role *policy_add_role(struct policy *policy, const char *name, const struct vim_privilege_set *set);
/* Changes a role; the privileges that nobody can be without are added to the set. */
void policy_set_role(struct role *role, const char *name, const struct vim_privilege_set *set);
/* The role must not be used by a permission any more. */
void policy_remove_role(struct policy *policy, int32_t id);

/* The permissions on an entity (struct grant *), or NULL. */
GPtrArray *policy_entity(const struct policy *policy, const char *entity);
struct grant *policy_find(const struct policy *policy, const char *entity, const char *principal, bool group);
/*
 * What the permissions on one entity give somebody: his own, or else those of his groups together. `here`: for
 * the entity itself; else for what is below it. false when they say nothing about him; ret_roles, which may be
 * NULL, is an array of int to which the ids of the roles are added.
 */
bool policy_level(const struct policy *policy, const char *entity, const struct principal *who, bool here,
                  struct vim_privilege_set *ret_set, struct vim_array *ret_roles);
/* Gives a permission in place of the one that the principal has there. The role must exist. */
void policy_put(struct policy *policy, const struct vim_ref *entity, const char *principal, bool group,
                int32_t role_id, bool propagate);
/* Removes the permissions for which gone(permission, data) holds; tells how many. */
unsigned policy_remove(struct policy *policy,
                       bool (*gone)(const struct Permission *permission, const void *data), const void *data);
void policy_remove_entity(struct policy *policy, const char *entity);
/* Whether some user is an administrator of this entity and all below it. */
bool policy_has_admin(const struct policy *policy, const char *root);
