// SPDX-License-Identifier: Apache-2.0
/*
 * Views of sessions. See view.h.
 *
 * A container view keeps a node for everything that it has reached from its container:
 *
 *   container --> folder --> VM <-- pool <-- compute resource <-- folder <-- container
 *
 * A node is there as long as an edge leads to it; an edge is an entry in a child property such as
 * Folder.childEntity. Nodes that can have children are watched, so that an object that comes or goes costs
 * the same in a large view as in a small one. Adding or removing an edge that is (not) there already does
 * nothing: a watch may be told twice when another one is taken away meanwhile.
 *
 * All nodes are guarded by the inventory's write lock.
 */
#include "vim/view.h"

#include <string.h>

#include "vim/authorization.h"
#include "vim/entity_tree.h"
#include "vim/faults.h"
#include "vim/session.h"
#include "vim/value.h"

enum {
    MAX_SESSION_OBJECTS = 10000, /* views and the like of one session */
    MAX_SINGLE_REMOVALS = 16,    /* more than these make a list anew: each one searches the list */
};

struct container_view {
    struct vim_inventory *inventory;
    struct vim_object *object; /* the ContainerView: lives longer than this */
    struct vim_watch end;      /* on it */
    GPtrArray *types;          /* of struct vim_type: what is listed; NULL: everything */
    bool recursive;
    GHashTable *nodes; /* id -> struct node *, owned */
};

struct node {
    struct vim_watch watch;
    struct container_view *view;
    struct vim_ref ref;   /* owned; its id is the key in view->nodes */
    GHashTable *children; /* set of struct node *; NULL: what is below does not count */
    unsigned parents;     /* edges that lead here */
    bool watched;
    bool listed; /* is in the property `view` */
};

static void node_free(void *data)
{
    struct node *node = data;
    if (node->children != NULL) {
        g_hash_table_unref(node->children);
    }
    vim_ref_clear(&node->ref);
    g_free(node);
}

static void container_view_free(void *data)
{
    struct container_view *view = data;
    g_hash_table_unref(view->nodes);
    if (view->types != NULL) {
        g_ptr_array_unref(view->types);
    }
    g_free(view);
}

/* ---- coming and going ----------------------------------------------------------------------------- */

static void container_changed(struct vim_watch *watch, struct vim_object *object,
                              const struct vim_change *change);

static bool is_wanted(const struct container_view *view, const struct vim_type *type)
{
    for (guint i = 0; view->types != NULL && i < view->types->len; i++) {
        if (vim_type_is(type, g_ptr_array_index(view->types, i))) {
            return true;
        }
    }
    return view->types == NULL;
}

/* A new node; one whose children count is watched. */
static struct node *node_add(struct container_view *view, struct vim_object *object, bool follow)
{
    struct node *node = g_new0(struct node, 1);
    node->view = view;
    node->ref = vim_ref_copy(&object->ref);
    g_hash_table_insert(view->nodes, node->ref.id, node);
    if (follow) {
        node->children = g_hash_table_new(NULL, NULL);
        node->watch.changed = container_changed;
        node->watched = true;
        vim_watch_add(object, &node->watch);
    }
    return node;
}

/* What vim_entity_children and its caller share. */
struct expansion {
    struct node *parent;
    GPtrArray *fresh;     /* nodes whose children are still to be looked at */
    GHashTable *outdated; /* set of struct node * that are no children any more, or NULL */
};

static void add_edge(void *data, const struct vim_ref *ref)
{
    struct expansion *expansion = data;
    struct container_view *view = expansion->parent->view;
    struct node *child = g_hash_table_lookup(view->nodes, ref->id);
    if (child == NULL) {
        struct vim_object *object = vim_inventory_find(view->inventory, ref->id);
        bool follow = object != NULL && view->recursive && vim_entity_is_container(object->ref.type);
        bool listed = object != NULL && is_wanted(view, object->ref.type);
        if (!follow && !listed) {
            return;
        }
        child = node_add(view, object, follow);
        child->listed = listed;
        if (listed) {
            vim_ref_list_add(view->object, "view", &child->ref);
        }
        if (follow) {
            g_ptr_array_add(expansion->fresh, child);
        }
    }
    if (g_hash_table_add(expansion->parent->children, child)) {
        child->parents++;
    }
    if (expansion->outdated != NULL) {
        g_hash_table_remove(expansion->outdated, child);
    }
}

/* Looks at the children of these nodes, and of what is found by that. Takes the array. */
static void expand(struct container_view *view, GPtrArray *fresh)
{
    for (guint i = 0; i < fresh->len; i++) {
        struct expansion expansion = {g_ptr_array_index(fresh, i), fresh, NULL};
        const struct vim_object *object = vim_inventory_find(view->inventory, expansion.parent->ref.id);
        if (object != NULL) {
            vim_entity_children(object, add_edge, &expansion);
        }
    }
    g_ptr_array_unref(fresh);
}

/* Takes a node off that no edge leads to. */
static void node_remove(struct node *node)
{
    struct container_view *view = node->view;
    if (node->watched) {
        vim_watch_remove(vim_inventory_find(view->inventory, node->ref.id), &node->watch);
    }
    if (node->listed) {
        vim_ref_list_remove(view->object, "view", &node->ref);
    }
    g_hash_table_remove(view->nodes, node->ref.id);
}

/* Removes an edge, and everything that only it led to. */
static void drop_edge(struct node *parent, struct node *child)
{
    if (!g_hash_table_remove(parent->children, child) || --child->parents > 0) {
        return;
    }
    g_autoptr(GPtrArray) unreached = g_ptr_array_new();
    g_ptr_array_add(unreached, child);
    for (guint i = 0; i < unreached->len; i++) {
        struct node *node = g_ptr_array_index(unreached, i);
        if (node->children != NULL) {
            GHashTableIter iter;
            gpointer below;
            g_hash_table_iter_init(&iter, node->children);
            while (g_hash_table_iter_next(&iter, &below, NULL)) {
                if (--((struct node *)below)->parents == 0) {
                    g_ptr_array_add(unreached, below);
                }
            }
        }
    }
    for (guint i = 0; i < unreached->len; i++) {
        node_remove(g_ptr_array_index(unreached, i));
    }
}

/* A child property was set as a whole. */
static void compare_children(struct node *node, const struct vim_object *object)
{
    g_autoptr(GHashTable) outdated = g_hash_table_new(NULL, NULL);
    GHashTableIter iter;
    gpointer child;
    g_hash_table_iter_init(&iter, node->children);
    while (g_hash_table_iter_next(&iter, &child, NULL)) {
        g_hash_table_add(outdated, child);
    }
    struct expansion expansion = {node, g_ptr_array_new(), outdated};
    vim_entity_children(object, add_edge, &expansion);
    expand(node->view, expansion.fresh);
    g_hash_table_iter_init(&iter, outdated);
    while (g_hash_table_iter_next(&iter, &child, NULL)) {
        drop_edge(node, child);
    }
}

static void container_changed(struct vim_watch *watch, struct vim_object *object,
                              const struct vim_change *change)
{
    struct node *node = (struct node *)watch; /* its first member */
    if (change->path == NULL) {
        node->watched = false; /* the list of watches ends with the object */
        return;
    }
    if (!vim_entity_is_child_property(object->ref.type, change->path)) {
        return;
    }
    if (change->ref_added != NULL) {
        struct expansion expansion = {node, g_ptr_array_new(), NULL};
        add_edge(&expansion, change->ref_added);
        expand(node->view, expansion.fresh);
    } else if (change->ref_removed != NULL) {
        struct node *child = g_hash_table_lookup(node->view->nodes, change->ref_removed->id);
        if (child != NULL) {
            drop_edge(node, child);
        }
    } else {
        compare_children(node, object);
    }
}

/* The view is destroyed: by its session or by DestroyView. */
static void view_changed(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change)
{
    if (change->path != NULL) {
        return;
    }
    const struct container_view *view = object->code;
    g_assert(watch == &view->end);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, view->nodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct node *node = value;
        if (node->watched) {
            vim_watch_remove(vim_inventory_find(view->inventory, node->ref.id), &node->watch);
            node->watched = false;
        }
    }
}

/* ---- making ---------------------------------------------------------------------------------------- */

static struct vim_fault *check_session(struct vim_call *call)
{
    if (call->session == NULL || vim_session_has_ended(call->session)) {
        return fault_not_authenticated(call->request.target, "System.View", "the session has ended");
    }
    g_mutex_lock(&call->session->lock);
    guint n = call->session->objects != NULL ? g_hash_table_size(call->session->objects) : 0;
    g_mutex_unlock(&call->session->lock);
    return n < MAX_SESSION_OBJECTS
               ? NULL
               : fault_invalid_request("a session has at most %d views and filters", MAX_SESSION_OBJECTS);
}

/* A view of the call's session. (write lock) */
static struct vim_object *add_view(struct vim_call *call, const struct vim_type *type)
{
    g_autofree char *unique = g_uuid_string_random();
    g_autofree char *id = g_strdup_printf("session[%s]%s", call->session->key, unique);
    struct vim_object *object = vim_inventory_add(call->server->inventory, type, id, NULL);
    vim_session_own(call->session, object);
    return object;
}

/* Types of the VI API that this server knows but has no objects of: clients ask for them all the same. */
static bool is_absent_type(const char *name)
{
    static const char *const absent[] = {
        "ClusterComputeResource",
        "DistributedVirtualPortgroup",
        "DistributedVirtualSwitch",
        "OpaqueNetwork",
        "StoragePod",
        "VmwareDistributedVirtualSwitch",
        "VirtualApp",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++) {
        if (strcmp(absent[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* *ret is NULL for all types. */
static struct vim_fault *read_types(const struct CreateContainerView_args *args, GPtrArray **ret)
{
    GPtrArray *types = args->type.n > 0 ? g_ptr_array_new() : NULL;
    for (uint32_t i = 0; i < args->type.n; i++) {
        const struct vim_type *type = vim_type_by_name(args->type.items[i]);
        if (type != NULL && type->kind == VIM_REF) {
            g_ptr_array_add(types, (void *)type);
        } else if (!is_absent_type(args->type.items[i])) {
            g_ptr_array_unref(types);
            return fault_invalid_argument("type", "\"%s\" is no type of managed entities",
                                          args->type.items[i]);
        }
    }
    *ret = types;
    return NULL;
}

/* Whether the session may know of the object (any lock): it is there, and is not another session's. */
static bool is_visible(struct vim_call *call, struct vim_object *object)
{
    return object != NULL && (object->owner == NULL || object->owner == call->session) &&
           vim_authorized(call->server->authorization, call->session, object, VIM_PRIVILEGE_SYSTEM_VIEW);
}

static void container_view_start(struct vim_call *call, const struct CreateContainerView_args *args,
                                 GPtrArray *types, struct vim_object *container, struct vim_object *object)
{
    struct container_view *view = g_new0(struct container_view, 1);
    view->inventory = call->server->inventory;
    view->object = object;
    view->types = types;
    view->recursive = args->recursive;
    view->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, node_free);
    view->end.changed = view_changed;
    struct ContainerView *properties = object->properties;
    vim_ref_set(&properties->container, &container->ref);
    properties->recursive = args->recursive;
    for (uint32_t i = 0; i < args->type.n; i++) {
        vim_array_add_string(&properties->type, args->type.items[i]);
    }
    GPtrArray *fresh = g_ptr_array_new();
    struct node *root = node_add(view, container, true);
    root->parents = 1; /* the view itself */
    g_ptr_array_add(fresh, root);
    expand(view, fresh);
    object->code = view;
    object->code_free = container_view_free;
    vim_watch_add(object, &view->end);
}

static struct vim_fault *create_container_view(struct vim_call *call,
                                               const struct CreateContainerView_args *args,
                                               struct CreateContainerView_result *ret)
{
    GPtrArray *types = NULL;
    struct vim_fault *fault = check_session(call);
    if (fault == NULL) {
        fault = vim_call_require(call, &args->container, VIM_PRIVILEGE_SYSTEM_VIEW);
    }
    if (fault == NULL) {
        fault = read_types(args, &types);
    }
    if (fault != NULL) {
        return fault;
    }
    struct vim_inventory *inventory = call->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *container = vim_inventory_find_ref(inventory, &args->container);
    if (container == NULL) {
        fault = vim_call_gone(&args->container);
    } else if (!vim_entity_is_container(container->ref.type)) {
        fault = fault_invalid_argument("container", "a %s contains nothing", container->ref.type->name);
    } else {
        struct vim_object *object = add_view(call, &ContainerView_type);
        container_view_start(call, args, g_steal_pointer(&types), container, object);
        ret->returnval = vim_ref_copy(&object->ref);
    }
    vim_write_unlock(inventory);
    if (types != NULL) {
        g_ptr_array_unref(types);
    }
    return fault;
}

static struct vim_fault *create_inventory_view(struct vim_call *call,
                                               const struct CreateInventoryView_args *args,
                                               struct CreateInventoryView_result *ret)
{
    (void)args;
    struct vim_fault *fault = check_session(call);
    if (fault != NULL) {
        return fault;
    }
    vim_write_lock(call->server->inventory);
    struct vim_object *object = add_view(call, &InventoryView_type);
    vim_ref_list_add(object, "view", &call->server->root_folder);
    ret->returnval = vim_ref_copy(&object->ref);
    vim_write_unlock(call->server->inventory);
    return NULL;
}

static struct vim_fault *destroy_view(struct vim_call *call, const struct DestroyView_args *args)
{
    (void)args;
    struct vim_inventory *inventory = call->server->inventory;
    struct vim_fault *fault = NULL;
    vim_write_lock(inventory);
    struct vim_object *object = vim_call_object(call);
    if (object == NULL || object->owner != call->session) {
        fault = vim_call_gone(&call->request.target);
    } else {
        vim_session_disown(call->session, object);
        vim_inventory_remove(inventory, object);
    }
    vim_write_unlock(inventory);
    return fault;
}

/* ---- list views ------------------------------------------------------------------------------------ */

/* A list of references in the making, without repetitions. */
struct ref_list {
    struct vim_array refs; /* owned */
    GHashTable *ids;       /* of the refs; the keys are theirs */
};

static struct ref_list ref_list_new(void)
{
    return (struct ref_list){{NULL, 0}, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
}

static void ref_list_add(struct ref_list *list, const struct vim_ref *ref)
{
    if (g_hash_table_add(list->ids, g_strdup(ref->id))) {
        vim_array_add_ref(&list->refs, ref);
    }
}

static void refs_clear(struct vim_array *refs)
{
    for (uint32_t i = 0; i < refs->n; i++) {
        vim_ref_clear(&((struct vim_ref *)refs->items)[i]);
    }
    g_free(refs->items);
    *refs = (struct vim_array){NULL, 0};
}

/* Adds the visible ones of the objects to `list`, the others to `missing` (any lock). */
static void resolve(struct vim_call *call, const struct vim_ref *refs, uint32_t n, struct ref_list *list,
                    void *missing)
{
    for (uint32_t i = 0; i < n; i++) {
        struct vim_object *object = vim_inventory_find_ref(call->server->inventory, &refs[i]);
        if (is_visible(call, object)) {
            ref_list_add(list, &object->ref);
        } else {
            vim_array_add_ref(missing, &refs[i]);
        }
    }
}

/* Makes the list the content of the view, and frees it (write lock). */
static void set_view(struct vim_object *object, struct ref_list *list)
{
    vim_set(object, "view", &list->refs);
    g_hash_table_unref(list->ids);
}

/* The call's ListView (write lock), or NULL. */
static struct vim_object *own_list_view(struct vim_call *call)
{
    struct vim_object *object = vim_call_object(call);
    return object != NULL && object->owner == call->session ? object : NULL;
}

static struct vim_fault *create_list_view(struct vim_call *call, const struct CreateListView_args *args,
                                          struct CreateListView_result *ret)
{
    struct vim_fault *fault = check_session(call);
    if (fault != NULL) {
        return fault;
    }
    struct ref_list list = ref_list_new();
    struct vim_array missing = {NULL, 0};
    vim_write_lock(call->server->inventory);
    resolve(call, args->obj.items, args->obj.n, &list, &missing);
    if (missing.n > 0) {
        fault = vim_call_gone(missing.items);
        refs_clear(&list.refs);
        g_hash_table_unref(list.ids);
    } else {
        struct vim_object *object = add_view(call, &ListView_type);
        set_view(object, &list);
        ret->returnval = vim_ref_copy(&object->ref);
    }
    vim_write_unlock(call->server->inventory);
    refs_clear(&missing);
    return fault;
}

/* What the other view holds (any lock); a fault when it is not the session's. */
static struct vim_fault *read_view(struct vim_call *call, const struct vim_ref *ref, struct ref_list *ret)
{
    const struct vim_object *view = vim_inventory_find_ref(call->server->inventory, ref);
    if (view == NULL || view->owner != call->session ||
        !vim_type_is(view->ref.type, &ManagedObjectView_type)) {
        return vim_call_gone(ref);
    }
    *ret = ref_list_new();
    const struct ManagedObjectView *properties = view->properties;
    for (uint32_t i = 0; i < properties->view.n; i++) {
        ref_list_add(ret, &properties->view.items[i]);
    }
    return NULL;
}

static struct vim_fault *create_list_view_from_view(struct vim_call *call,
                                                    const struct CreateListViewFromView_args *args,
                                                    struct CreateListViewFromView_result *ret)
{
    struct vim_fault *fault = check_session(call);
    if (fault != NULL) {
        return fault;
    }
    struct ref_list list;
    vim_write_lock(call->server->inventory);
    fault = read_view(call, &args->view, &list);
    if (fault == NULL) {
        struct vim_object *object = add_view(call, &ListView_type);
        set_view(object, &list);
        ret->returnval = vim_ref_copy(&object->ref);
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

/* Takes objects off the view: single ones one by one, many by making the list anew. */
static void remove_from_view(struct vim_object *object, const struct vim_ref *refs, uint32_t n)
{
    if (n <= MAX_SINGLE_REMOVALS) {
        for (uint32_t i = 0; i < n; i++) {
            vim_ref_list_remove(object, "view", &refs[i]);
        }
        return;
    }
    g_autoptr(GHashTable) gone = g_hash_table_new(g_str_hash, g_str_equal);
    for (uint32_t i = 0; i < n; i++) {
        g_hash_table_add(gone, refs[i].id);
    }
    const struct ListView *properties = object->properties;
    struct ref_list list = ref_list_new();
    for (uint32_t i = 0; i < properties->view.n; i++) {
        if (!g_hash_table_contains(gone, properties->view.items[i].id)) {
            ref_list_add(&list, &properties->view.items[i]);
        }
    }
    set_view(object, &list);
}

static struct vim_fault *modify_list_view(struct vim_call *call, const struct ModifyListView_args *args,
                                          struct ModifyListView_result *ret)
{
    struct vim_fault *fault = NULL;
    vim_write_lock(call->server->inventory);
    struct vim_object *object = own_list_view(call);
    if (object == NULL) {
        fault = vim_call_gone(&call->request.target);
    } else {
        struct ref_list wanted = ref_list_new();
        resolve(call, args->add.items, args->add.n, &wanted, &ret->returnval);
        remove_from_view(object, args->remove.items, args->remove.n);
        const struct ListView *properties = object->properties;
        for (uint32_t i = 0; i < properties->view.n; i++) {
            g_hash_table_remove(wanted.ids, properties->view.items[i].id);
        }
        for (uint32_t i = 0; i < wanted.refs.n; i++) {
            const struct vim_ref *ref = &((const struct vim_ref *)wanted.refs.items)[i];
            if (g_hash_table_contains(wanted.ids, ref->id)) {
                vim_ref_list_add(object, "view", ref);
            }
        }
        refs_clear(&wanted.refs);
        g_hash_table_unref(wanted.ids);
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

static struct vim_fault *reset_list_view(struct vim_call *call, const struct ResetListView_args *args,
                                         struct ResetListView_result *ret)
{
    struct vim_fault *fault = NULL;
    vim_write_lock(call->server->inventory);
    struct vim_object *object = own_list_view(call);
    if (object == NULL) {
        fault = vim_call_gone(&call->request.target);
    } else {
        struct ref_list list = ref_list_new();
        resolve(call, args->obj.items, args->obj.n, &list, &ret->returnval);
        set_view(object, &list);
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

static struct vim_fault *reset_list_view_from_view(struct vim_call *call,
                                                   const struct ResetListViewFromView_args *args)
{
    struct ref_list list;
    vim_write_lock(call->server->inventory);
    struct vim_object *object = own_list_view(call);
    struct vim_fault *fault =
        object == NULL ? vim_call_gone(&call->request.target) : read_view(call, &args->view, &list);
    if (fault == NULL) {
        set_view(object, &list);
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

const struct ViewManager_methods vim_view_manager_methods = {
    .CreateInventoryView = create_inventory_view,
    .CreateContainerView = create_container_view,
    .CreateListView = create_list_view,
    .CreateListViewFromView = create_list_view_from_view,
};

const struct ContainerView_methods vim_container_view_methods = {.DestroyView = destroy_view};

const struct ListView_methods vim_list_view_methods = {
    .DestroyView = destroy_view,
    .ModifyListView = modify_list_view,
    .ResetListView = reset_list_view,
    .ResetListViewFromView = reset_list_view_from_view,
};

const struct InventoryView_methods vim_inventory_view_methods = {.DestroyView = destroy_view};
