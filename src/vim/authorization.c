// SPDX-License-Identifier: Apache-2.0
/*
 * The policy in force: its decisions, its file, its changes, and how the inventory shows it. See
 * authorization.h.
 *
 * The policy is read under any inventory lock and put in place under the write lock, so decisions take no
 * lock of their own. Lock order: `change`, then the inventory. A change is on disk before it is in force. Only
 * permissions of a destroyed entity go first and are saved afterwards: their entity's id is never given again.
 */
#include "vim/authorization_internal.h"

#include <errno.h>
#include <string.h>

#include "base/worker_pool.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/session.h"
#include "vim/store.h"
#include "vim/value.h"

struct vim_authorization {
    struct vim_server *server;
    char *path;             /* of the file; owned */
    GMutex change;          /* held from begin to commit */
    struct policy *policy;  /* owned; under the inventory's lock */
    struct vim_ref manager; /* the AuthorizationManager; under the inventory's lock */
    struct vim_watch watch; /* on all entities that have permissions */
    bool is_new;            /* there was no file: nobody has a permission yet; set before threads begin */
    gint unsaved;           /* atomic: the policy has lost a destroyed entity that the file still has */
};

/* ---- decisions ------------------------------------------------------------------------------------ */

struct vim_object *authorization_parent(const struct vim_authorization *authorization,
                                        const struct vim_object *entity)
{
    const struct vim_ref *parent = &VIM_PROPERTIES(entity, ManagedEntity)->parent;
    return parent->id != NULL ? vim_inventory_find(authorization->server->inventory, parent->id) : NULL;
}

static const struct TaskInfo *task_info(const struct vim_object *object)
{
    return vim_type_is(object->ref.type, &Task_type) ? VIM_PROPERTIES(object, Task)->info : NULL;
}

/* What stands for the object in the tree of permissions: itself, a snapshot's machine, what a task works on, or the
 * root folder. */
static struct vim_object *entity_of(const struct vim_authorization *authorization, struct vim_object *object)
{
    struct vim_inventory *inventory = authorization->server->inventory;
    const struct vim_ref *root = &authorization->server->root_folder;
    if (vim_type_is(object->ref.type, &ManagedEntity_type)) {
        return object;
    }
    if (vim_type_is(object->ref.type, &VirtualMachineSnapshot_type)) {
        return vim_inventory_find(inventory, VIM_PROPERTIES(object, VirtualMachineSnapshot)->vm.id);
    }
    const struct TaskInfo *task = task_info(object);
    struct vim_object *entity =
        task != NULL && task->entity.id != NULL ? vim_inventory_find(inventory, task->entity.id) : NULL;
    if (entity != NULL && vim_type_is(entity->ref.type, &ManagedEntity_type)) {
        return entity;
    }
    return root->id != NULL ? vim_inventory_find(inventory, root->id) : NULL;
}

/* Whether it is one of the services that every client talks to: the property collector, a manager, a view. Who has
 * logged in sees them, also after the last machine that he had permissions on is gone. */
static bool is_service(const struct vim_object *object)
{
    return !vim_type_is(object->ref.type, &ManagedEntity_type) &&
           !vim_type_is(object->ref.type, &Task_type) &&
           !vim_type_is(object->ref.type, &VirtualMachineSnapshot_type);
}

/* Whether it is a task that he has started: he may follow it, also when what it worked on is no more. */
static bool is_own_task(const struct principal *who, const struct vim_object *object)
{
    const struct TaskInfo *task = task_info(object);
    return task != NULL && vim_is_a(task->reason, &TaskReasonUser_type) &&
           g_strcmp0(((const struct TaskReasonUser *)task->reason)->userName, who->name) == 0;
}

struct principal session_principal(const struct vim_session *session)
{
    return (struct principal){session->user_name, (const char *const *)session->groups};
}

/* What the nearest permissions from the object upwards give; false when there are none. ret_roles as in
 * policy_level. */
static bool nearest(const struct vim_authorization *authorization, const struct principal *who,
                    struct vim_object *object, struct vim_privilege_set *ret_set, struct vim_array *ret_roles)
{
    struct vim_object *start = entity_of(authorization, object);
    for (struct vim_object *at = start; at != NULL; at = authorization_parent(authorization, at)) {
        if (policy_level(authorization->policy, at->ref.id, who, at == start, ret_set, ret_roles)) {
            return true;
        }
    }
    return false;
}

/* Whether somebody has access to something below the object: then he sees the way there. */
static bool has_access_below(const struct vim_authorization *authorization, const struct principal *who,
                             struct vim_object *object)
{
    const struct vim_object *above = entity_of(authorization, object);
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, authorization->policy->by_entity);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        struct vim_privilege_set set;
        bool has_access = policy_level(authorization->policy, id, who, true, &set, NULL) &&
                          vim_privilege_set_has(&set, VIM_PRIVILEGE_SYSTEM_VIEW);
        struct vim_object *at = has_access ? vim_inventory_find(authorization->server->inventory, id) : NULL;
        for (; at != NULL; at = authorization_parent(authorization, at)) {
            if (at == above) {
                return true;
            }
        }
    }
    return false;
}

bool authorization_allows(const struct vim_authorization *authorization, const struct principal *who,
                          struct vim_object *object, enum vim_privilege privilege)
{
    struct vim_privilege_set set;
    if (privilege == VIM_PRIVILEGE_SYSTEM_ANONYMOUS || privilege == VIM_PRIVILEGE_BY_ARGUMENT) {
        return true;
    }
    if (nearest(authorization, who, object, &set, NULL) && vim_privilege_set_has(&set, privilege)) {
        return true;
    }
    bool looks = privilege == VIM_PRIVILEGE_SYSTEM_VIEW || privilege == VIM_PRIVILEGE_SYSTEM_READ;
    if (looks && is_own_task(who, object)) {
        return true;
    }
    return privilege == VIM_PRIVILEGE_SYSTEM_VIEW &&
           (is_service(object) || has_access_below(authorization, who, object));
}

bool vim_authorized(struct vim_authorization *authorization, const struct vim_session *session,
                    struct vim_object *object, enum vim_privilege privilege)
{
    if (session == NULL) {
        return privilege == VIM_PRIVILEGE_SYSTEM_ANONYMOUS;
    }
    struct principal who = session_principal(session);
    return authorization_allows(authorization, &who, object, privilege);
}

struct vim_privilege_set authorization_held(const struct vim_authorization *authorization,
                                            const struct principal *who, struct vim_object *object)
{
    struct vim_privilege_set held = {{0}};
    (void)nearest(authorization, who, object, &held, NULL); /* nothing is held when there is none */
    vim_privilege_set_add(&held, VIM_PRIVILEGE_SYSTEM_ANONYMOUS);
    if (!vim_privilege_set_has(&held, VIM_PRIVILEGE_SYSTEM_VIEW) &&
        has_access_below(authorization, who, object)) {
        vim_privilege_set_add(&held, VIM_PRIVILEGE_SYSTEM_VIEW);
    }
    return held;
}

void vim_effective_roles(struct vim_authorization *authorization, const struct vim_session *session,
                         struct vim_object *object, struct vim_array *ret)
{
    struct vim_privilege_set set;
    struct principal who = session_principal(session);
    (void)nearest(authorization, &who, object, &set, ret);
}

struct vim_reader vim_reader_new(struct vim_authorization *authorization, const struct vim_session *session)
{
    struct vim_reader reader = {authorization, session, false};
    const char *root = authorization->server->root_folder.id;
    if (session == NULL || root == NULL) {
        return reader;
    }
    struct principal who = session_principal(session);
    struct vim_privilege_set set;
    bool reads_root = policy_level(authorization->policy, root, &who, true, &set, NULL) &&
                      vim_privilege_set_has(&set, VIM_PRIVILEGE_SYSTEM_READ);
    bool reads_below = policy_level(authorization->policy, root, &who, false, &set, NULL) &&
                       vim_privilege_set_has(&set, VIM_PRIVILEGE_SYSTEM_READ);
    reader.everything = reads_root && reads_below;
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, authorization->policy->by_entity);
    while (reader.everything && g_hash_table_iter_next(&iter, &id, NULL)) {
        reader.everything =
            strcmp(id, root) == 0 || !policy_level(authorization->policy, id, &who, true, &set, NULL);
    }
    return reader;
}

const struct policy *authorization_policy(const struct vim_authorization *authorization)
{
    return authorization->policy;
}

/* ---- the file ------------------------------------------------------------------------------------- */

static int save(const struct vim_authorization *authorization, const struct policy *policy)
{
    g_autoptr(GPtrArray) objects = policy_objects(policy);
    return vim_store_save(authorization->path, objects);
}

/* Saves what is in force. Should that fail, the next change or the end of the program tries again. */
static void save_again(void *data)
{
    struct vim_authorization *authorization = data;
    struct vim_inventory *inventory = authorization->server->inventory;
    g_mutex_lock(&authorization->change);
    g_atomic_int_set(&authorization->unsaved, 0);
    vim_read_lock(inventory);
    struct policy *policy = policy_copy(authorization->policy);
    vim_read_unlock(inventory);
    if (save(authorization, policy) != 0) {
        g_atomic_int_set(&authorization->unsaved, 1);
    }
    policy_free(policy);
    g_mutex_unlock(&authorization->change);
}

static void save_later(struct vim_authorization *authorization)
{
    struct worker_pool *workers = authorization->server->workers;
    if (g_atomic_int_compare_and_exchange(&authorization->unsaved, 0, 1) && workers != NULL) {
        (void)worker_pool_push(workers, save_again, authorization);
    }
}

/* An entity with permissions has changed; only its destruction is of interest. (inventory write lock) */
static void entity_changed(struct vim_watch *watch, struct vim_object *object,
                           const struct vim_change *change)
{
    struct vim_authorization *authorization =
        (struct vim_authorization *)((char *)watch - offsetof(struct vim_authorization, watch));
    if (change->path == NULL) {
        policy_remove_entity(authorization->policy, object->ref.id);
        save_later(authorization);
    }
}

struct vim_authorization *vim_authorization_new(struct vim_server *server, char **ret_message)
{
    g_autofree char *path = g_build_filename(server->environment.state_dir, "authorization.json", NULL);
    g_autoptr(GPtrArray) objects = NULL;
    g_autofree char *wrong = NULL;
    if (vim_store_load(path, &objects, ret_message) != 0) {
        return NULL;
    }
    struct policy *policy = policy_from_objects(objects, &wrong);
    if (policy == NULL) {
        *ret_message = g_strdup_printf("%s: %s", path, wrong);
        return NULL;
    }
    struct vim_authorization *authorization = g_new0(struct vim_authorization, 1);
    authorization->server = server;
    authorization->path = g_steal_pointer(&path);
    authorization->policy = policy;
    authorization->is_new = objects->len == 0;
    authorization->watch.changed = entity_changed;
    g_mutex_init(&authorization->change);
    return authorization;
}

void vim_authorization_free(struct vim_authorization *authorization)
{
    if (authorization == NULL) {
        return;
    }
    if (g_atomic_int_get(&authorization->unsaved)) {
        (void)save(authorization, authorization->policy); /* else the next start leaves the entity out */
    }
    policy_free(authorization->policy);
    vim_ref_clear(&authorization->manager);
    g_mutex_clear(&authorization->change);
    g_free(authorization->path);
    g_free(authorization);
}

/* ---- what the inventory shows --------------------------------------------------------------------- */

/* "VirtualMachine.Config.AddNewDisk" as "Virtual machine config add new disk". */
static char *label_of(const char *id)
{
    GString *label = g_string_new(NULL);
    for (const char *at = id; *at != '\0'; at++) {
        bool is_upper = g_ascii_isupper(*at);
        bool word_begins = is_upper && at > id && (g_ascii_islower(at[-1]) || g_ascii_islower(at[1]));
        bool is_acronym = is_upper && !g_ascii_islower(at[1]);
        if ((word_begins || *at == '.') && label->len > 0 && label->str[label->len - 1] != ' ') {
            g_string_append_c(label, ' ');
        }
        if (*at != '.') {
            g_string_append_c(label, label->len == 0 || is_acronym ? *at : g_ascii_tolower(*at));
        }
    }
    return g_string_free(label, FALSE);
}

static struct ElementDescription *describe(const char *key, const char *label, const char *summary)
{
    struct ElementDescription *description = ElementDescription_new();
    description->key = g_strdup(key);
    description->label = label_of(label);
    description->summary = g_strdup(summary != NULL ? summary : description->label);
    return description;
}

static void publish_privileges(struct vim_object *manager)
{
    struct vim_array list = {0};
    struct AuthorizationDescription *description = AuthorizationDescription_new();
    g_autofree char *last_group = NULL; /* the table is sorted by group */
    for (size_t i = 0; i < vim_n_privileges; i++) {
        const char *id = vim_privileges[i].id;
        const char *dot = strrchr(id, '.');
        struct AuthorizationPrivilege *privilege = AuthorizationPrivilege_new();
        privilege->privId = g_strdup(id);
        privilege->name = g_strdup(dot + 1);
        privilege->privGroupName = g_strndup(id, (size_t)(dot - id));
        vim_array_add_object(&description->privilege, describe(id, dot + 1, vim_privileges[i].doc));
        if (g_strcmp0(last_group, privilege->privGroupName) != 0) {
            vim_set_string(&last_group, privilege->privGroupName);
            vim_array_add_object(&description->privilegeGroup, describe(last_group, last_group, NULL));
        }
        vim_array_add_object(&list, privilege);
    }
    vim_set(manager, "privilegeList", &list);
    vim_set_data(manager, "description", description);
}

static void publish_roles(struct vim_object *manager, const struct policy *policy)
{
    struct vim_array list = {0};
    g_autoptr(GPtrArray) roles = policy_roles(policy);
    for (guint i = 0; i < roles->len; i++) {
        vim_array_add_object(&list, vim_copy(((struct role *)g_ptr_array_index(roles, i))->shown));
    }
    vim_set(manager, "roleList", &list);
}

static void publish_entity(struct vim_object *entity, GPtrArray *grants)
{
    struct vim_array list = {0};
    for (guint i = 0; grants != NULL && i < grants->len; i++) {
        vim_array_add_object(&list, vim_copy(((struct grant *)g_ptr_array_index(grants, i))->shown));
    }
    vim_set(entity, "permission", &list);
}

/* ---- events --------------------------------------------------------------------------------------- */

static void news_free(void *data)
{
    struct authorization_news *news = data;
    vim_free(news->event);
    g_free(news->sentence);
    g_free(news);
}

GPtrArray *authorization_news_new(void)
{
    return g_ptr_array_new_with_free_func(news_free);
}

void authorization_news_add(GPtrArray *news, struct Event *event, char *sentence)
{
    struct authorization_news *added = g_new0(struct authorization_news, 1);
    added->event = event;
    added->sentence = sentence;
    g_ptr_array_add(news, added);
}

static struct RoleEventArgument *role_argument(const struct role *role)
{
    struct RoleEventArgument *argument = RoleEventArgument_new();
    argument->roleId = role->shown->roleId;
    argument->name = g_strdup(role->shown->name);
    return argument;
}

/* `event` is a kind of PermissionEvent. */
static void add_permission_news(GPtrArray *news, void *event, const struct vim_object *entity,
                                const struct Permission *permission, const char *what)
{
    struct PermissionEvent *filled = event;
    const char *name = VIM_PROPERTIES(entity, ManagedEntity)->name;
    filled->entity = ManagedEntityEventArgument_new();
    filled->entity->name = g_strdup(name);
    filled->entity->entity = vim_ref_copy(&entity->ref);
    filled->principal = g_strdup(permission->principal);
    filled->group = permission->group;
    authorization_news_add(news, event,
                           g_strdup_printf("Permission for %s on %s %s", permission->principal,
                                           name != NULL ? name : entity->ref.id, what));
}

/* Tells of one entity's permissions what differs. Both lists may be NULL. */
static void compare_grants(GPtrArray *news, const struct vim_object *entity, const struct policy *old,
                           const struct policy *new)
{
    GPtrArray *before = policy_entity(old, entity->ref.id);
    GPtrArray *after = policy_entity(new, entity->ref.id);
    for (guint i = 0; after != NULL && i < after->len; i++) {
        const struct grant *grant = g_ptr_array_index(after, i);
        const struct Permission *shown = grant->shown;
        const struct grant *other = policy_find(old, entity->ref.id, shown->principal, shown->group);
        if (other == NULL) {
            struct PermissionAddedEvent *added = PermissionAddedEvent_new();
            added->role = role_argument(grant->role);
            added->propagate = shown->propagate;
            add_permission_news(news, added, entity, shown, "added");
        } else if (!vim_equal(shown, other->shown)) {
            struct PermissionUpdatedEvent *updated = PermissionUpdatedEvent_new();
            updated->role = role_argument(grant->role);
            updated->propagate = shown->propagate;
            updated->prevRole = role_argument(other->role);
            vim_set_optional(&updated->prevPropagate, other->shown->propagate);
            add_permission_news(news, updated, entity, shown, "changed");
        }
    }
    for (guint i = 0; before != NULL && i < before->len; i++) {
        const struct Permission *shown = ((struct grant *)g_ptr_array_index(before, i))->shown;
        if (policy_find(new, entity->ref.id, shown->principal, shown->group) == NULL) {
            add_permission_news(news, PermissionRemovedEvent_new(), entity, shown, "removed");
        }
    }
}

/* ---- changes -------------------------------------------------------------------------------------- */

struct policy *authorization_begin(struct vim_authorization *authorization)
{
    struct vim_inventory *inventory = authorization->server->inventory;
    g_mutex_lock(&authorization->change);
    vim_read_lock(inventory);
    struct policy *copy = policy_copy(authorization->policy);
    vim_read_unlock(inventory);
    return copy;
}

void authorization_cancel(struct vim_authorization *authorization, struct policy *next)
{
    policy_free(next);
    g_mutex_unlock(&authorization->change);
}

static bool entity_is_gone(const struct Permission *permission, const void *inventory)
{
    struct vim_object *found = vim_inventory_find((struct vim_inventory *)inventory, permission->entity.id);
    return found == NULL || !vim_type_is(found->ref.type, &ManagedEntity_type);
}

/* Puts the policy in force. Entities of either policy are shown anew and watched or not. (inventory write lock,
 * `change`) */
static void put_in_force(struct vim_authorization *authorization, struct policy *next, GPtrArray *news)
{
    struct vim_inventory *inventory = authorization->server->inventory;
    struct policy *old = authorization->policy;
    g_autoptr(GHashTable) entities = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, old->by_entity);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        g_hash_table_add(entities, id);
    }
    g_hash_table_iter_init(&iter, next->by_entity);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        g_hash_table_add(entities, id);
    }
    g_hash_table_iter_init(&iter, entities);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        struct vim_object *entity = vim_inventory_find(inventory, id);
        if (entity == NULL) {
            continue;
        }
        vim_watch_remove(entity, &authorization->watch);
        compare_grants(news, entity, old, next);
        publish_entity(entity, policy_entity(next, id));
        if (policy_entity(next, id) != NULL) {
            vim_watch_add(entity, &authorization->watch);
        }
    }
    struct vim_object *manager = vim_inventory_find_ref(inventory, &authorization->manager);
    if (manager != NULL) {
        publish_roles(manager, next);
    }
    authorization->policy = next;
    policy_free(old);
}

struct vim_fault *authorization_commit(struct vim_authorization *authorization, struct policy *next,
                                       const char *user_name, GPtrArray *given_news)
{
    struct vim_server *server = authorization->server;
    g_autoptr(GPtrArray) news = given_news != NULL ? given_news : authorization_news_new();
    if (!policy_has_admin(next, server->root_folder.id)) {
        authorization_cancel(authorization, next);
        return fault_auth_minimum_admin_permission(
            "at least one user has to stay an administrator of everything");
    }
    int error = save(authorization, next);
    if (error != 0) {
        authorization_cancel(authorization, next);
        return fault_system_error(g_strerror(-error), "the change could not be saved: %s",
                                  g_strerror(-error));
    }
    g_atomic_int_set(&authorization->unsaved, 0);
    vim_write_lock(server->inventory);
    if (policy_remove(next, entity_is_gone, server->inventory) > 0) {
        save_later(authorization); /* destroyed while the file was written */
    }
    put_in_force(authorization, next, news);
    vim_write_unlock(server->inventory);
    for (guint i = 0; i < news->len; i++) {
        struct authorization_news *told = g_ptr_array_index(news, i);
        vim_event_post(server, g_steal_pointer(&told->event), user_name, "%s", told->sentence);
    }
    g_mutex_unlock(&authorization->change);
    return NULL;
}

int vim_authorization_attach(struct vim_authorization *authorization, const struct vim_ref *manager,
                             char **ret_message)
{
    struct vim_server *server = authorization->server;
    g_autoptr(GPtrArray) nobody_is_told = authorization_news_new();
    struct policy *next = authorization_begin(authorization);
    vim_read_lock(server->inventory);
    bool changed = policy_remove(next, entity_is_gone, server->inventory) > 0;
    vim_read_unlock(server->inventory);
    if (authorization->is_new) {
        policy_put(next, &server->root_folder, server->first_admin != NULL ? server->first_admin : "root",
                   false, ROLE_ADMIN, true);
        changed = true;
    }
    if (!policy_has_admin(next, server->root_folder.id)) {
        *ret_message = g_strdup_printf("%s leaves nobody as administrator; without that file root is it",
                                       authorization->path);
        authorization_cancel(authorization, next);
        return -EBADMSG;
    }
    int error = changed ? save(authorization, next) : 0;
    if (error != 0) {
        *ret_message = g_strdup_printf("%s cannot be written: %s", authorization->path, g_strerror(-error));
        authorization_cancel(authorization, next);
        return error;
    }
    authorization->is_new = false;
    vim_write_lock(server->inventory);
    vim_ref_set(&authorization->manager, manager);
    struct vim_object *object = vim_inventory_find_ref(server->inventory, manager);
    if (object != NULL) {
        publish_privileges(object);
    }
    put_in_force(authorization, next, nobody_is_told);
    vim_write_unlock(server->inventory);
    g_mutex_unlock(&authorization->change);
    return 0;
}
