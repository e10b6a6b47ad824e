// SPDX-License-Identifier: Apache-2.0
/*
 * The graph of a filter and its pending changes. See property_filter.h.
 */
#include "vim/property_filter.h"

#include <string.h>

#include "vim/types.h"
#include "vim/value.h"

struct member;

/* An object reached with a certain list of selections to follow from it. */
struct node {
    struct member *member;
    GPtrArray *next; /* of struct property_select *, borrowed from the spec */
    bool skip;
    bool root;         /* reached from the spec itself */
    unsigned in;       /* edges that lead here; the node goes with the last */
    unsigned mark;     /* of the last search for what is still reachable */
    GPtrArray **edges; /* for each of next: nodes that it leads to; owned arrays */
};

/* An object that the filter knows. */
struct member {
    struct vim_watch watch; /* first: the watch is the member */
    struct property_filter *filter;
    struct vim_object *object;
    GPtrArray *nodes;  /* of struct node *, owned */
    unsigned reported; /* nodes that are not skipped */
};

struct property_filter {
    struct vim_server *server;
    const struct vim_session *session;
    struct property_spec *spec; /* owned */
    bool partial_updates;
    GHashTable *members; /* struct vim_object * -> struct member * (owned) */
    unsigned mark;
    void (*news)(void *data);
    void *news_data;
    GMutex *pending_lock;
    GPtrArray *pending;        /* of struct property_update *, oldest first, NULL where taken back */
    GHashTable *pending_by_id; /* id -> struct property_update * in pending */
};

/* ---- pending changes ------------------------------------------------------------------------------ */

void property_update_free(void *data)
{
    struct property_update *update = data;
    if (update != NULL) {
        vim_ref_clear(&update->ref);
        g_ptr_array_unref(update->paths);
        g_free(update);
    }
}

static struct property_update *update_new(const struct vim_ref *ref, int kind)
{
    struct property_update *update = g_new0(struct property_update, 1);
    update->ref = vim_ref_copy(ref);
    update->kind = kind;
    update->paths = g_ptr_array_new_with_free_func(g_free);
    return update;
}

static void add_path(struct property_update *update, const char *path, bool removed)
{
    for (guint i = 0; i < update->paths->len; i++) {
        char *known = g_ptr_array_index(update->paths, i);
        if (strcmp(known + 1, path) == 0) {
            known[0] = removed ? '-' : '=';
            return;
        }
    }
    g_ptr_array_add(update->paths, g_strconcat(removed ? "-" : "=", path, NULL));
}

static void append(struct property_filter *filter, struct property_update *update)
{
    g_ptr_array_add(filter->pending, update);
    g_hash_table_insert(filter->pending_by_id, update->ref.id, update);
}

static void forget(struct property_filter *filter, struct property_update *update)
{
    g_hash_table_remove(filter->pending_by_id, update->ref.id);
    g_ptr_array_remove(filter->pending, update);
    property_update_free(update);
}

/* Adds news of an object to what the client does not know yet. (collector's lock) */
static void note(struct property_filter *filter, const struct vim_ref *ref, int kind, const char *path,
                 bool removed)
{
    struct property_update *known = g_hash_table_lookup(filter->pending_by_id, ref->id);
    if (known == NULL) {
        known = update_new(ref, kind);
        if (kind == ObjectUpdateKind_modify) {
            add_path(known, path, removed);
        }
        append(filter, known);
    } else if (kind == ObjectUpdateKind_modify) {
        if (known->kind == ObjectUpdateKind_modify) {
            add_path(known, path, removed);
        } /* entering: all is told anyway; left: nothing more to tell */
    } else if (kind == ObjectUpdateKind_leave && known->kind == ObjectUpdateKind_enter) {
        forget(filter, known); /* it came and went unseen */
    } else {
        known->kind = kind; /* left after changes, or came back after it left */
        g_ptr_array_set_size(known->paths, 0);
    }
}

static void tell(struct property_filter *filter, const struct vim_ref *ref, int kind, const char *path,
                 bool removed)
{
    g_mutex_lock(filter->pending_lock);
    note(filter, ref, kind, path, removed);
    filter->news(filter->news_data);
    g_mutex_unlock(filter->pending_lock);
}

bool property_filter_has_news(const struct property_filter *filter)
{
    return filter->pending->len > 0;
}

GPtrArray *property_filter_take(struct property_filter *filter, guint max)
{
    guint n = MIN(max, filter->pending->len);
    GPtrArray *taken = g_ptr_array_new_full(n, property_update_free);
    for (guint i = 0; i < n; i++) {
        struct property_update *update = g_ptr_array_index(filter->pending, i);
        g_hash_table_remove(filter->pending_by_id, update->ref.id);
        g_ptr_array_add(taken, update);
    }
    if (n > 0) {
        g_ptr_array_remove_range(filter->pending, 0, n);
    }
    return taken;
}

void property_filter_give_back(struct property_filter *filter, GPtrArray *updates)
{
    GPtrArray *newer = filter->pending;
    filter->pending = g_ptr_array_new();
    g_hash_table_remove_all(filter->pending_by_id);
    for (guint i = 0; i < updates->len; i++) {
        append(filter, g_ptr_array_index(updates, i));
    }
    for (guint i = 0; i < newer->len; i++) {
        struct property_update *update = g_ptr_array_index(newer, i);
        struct property_update *older = g_hash_table_lookup(filter->pending_by_id, update->ref.id);
        if (older == NULL) {
            append(filter, update);
            continue;
        }
        if (update->kind != ObjectUpdateKind_modify) {
            note(filter, &update->ref, update->kind, NULL, false);
        }
        for (guint k = 0; update->kind == ObjectUpdateKind_modify && k < update->paths->len; k++) {
            const char *path = g_ptr_array_index(update->paths, k);
            note(filter, &update->ref, update->kind, path + 1, path[0] == '-');
        }
        property_update_free(update);
    }
    g_ptr_array_unref(newer);
    g_ptr_array_set_free_func(updates, NULL); /* they live in pending again */
    g_ptr_array_unref(updates);
}

/* ---- the graph ------------------------------------------------------------------------------------ */

static struct node *enter(struct property_filter *filter, struct vim_object *object, bool skip,
                          GPtrArray *next);

static bool is_selected(struct property_filter *filter, const struct vim_type *type)
{
    return property_spec_plan(filter->spec, type)->selected;
}

static void changed(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change);

static struct member *member_of(struct property_filter *filter, struct vim_object *object)
{
    struct member *member = g_hash_table_lookup(filter->members, object);
    if (member == NULL) {
        member = g_new0(struct member, 1);
        member->watch.changed = changed;
        member->filter = filter;
        member->object = object;
        member->nodes = g_ptr_array_new();
        g_hash_table_insert(filter->members, object, member);
        vim_watch_add(object, &member->watch);
    }
    return member;
}

static void follow(struct property_filter *filter, struct node *node, guint i, const struct vim_ref *ref)
{
    struct vim_object *target = vim_inventory_find_ref(filter->server->inventory, ref);
    if (target == NULL || (target->owner != NULL && target->owner != filter->session)) {
        return;
    }
    const struct property_select *select = g_ptr_array_index(node->next, i);
    struct node *to = enter(filter, target, select->skip, select->next);
    to->in++;
    g_ptr_array_add(node->edges[i], to);
}

static void follow_all(struct property_filter *filter, struct node *node, guint i)
{
    g_autoptr(GPtrArray) targets = g_ptr_array_new();
    property_select_follow(g_ptr_array_index(node->next, i), node->member->object, targets);
    for (guint k = 0; k < targets->len; k++) {
        follow(filter, node, i, g_ptr_array_index(targets, k));
    }
}

static struct node *enter(struct property_filter *filter, struct vim_object *object, bool skip,
                          GPtrArray *next)
{
    struct member *member = member_of(filter, object);
    for (guint i = 0; i < member->nodes->len; i++) {
        struct node *known = g_ptr_array_index(member->nodes, i);
        if (known->next == next && known->skip == skip) {
            return known;
        }
    }
    struct node *node = g_new0(struct node, 1);
    node->member = member;
    node->next = next;
    node->skip = skip;
    node->edges = g_new0(GPtrArray *, MAX(next->len, 1));
    g_ptr_array_add(member->nodes, node);
    if (!skip && member->reported++ == 0 && is_selected(filter, object->ref.type)) {
        tell(filter, &object->ref, ObjectUpdateKind_enter, NULL, false);
    }
    for (guint i = 0; i < next->len; i++) {
        node->edges[i] = g_ptr_array_new();
        follow_all(filter, node, i);
    }
    return node;
}

static void member_free(struct member *member)
{
    vim_watch_remove(member->object, &member->watch);
    g_hash_table_remove(member->filter->members, member->object);
    g_ptr_array_unref(member->nodes);
    g_free(member);
}

static void leave(struct property_filter *filter, struct node *node);

/* What is not reachable from a root any more but holds itself in a circle goes. */
static void mark_from(struct node *node, unsigned mark)
{
    if (node->mark == mark) {
        return;
    }
    node->mark = mark;
    for (guint i = 0; i < node->next->len; i++) {
        for (guint k = 0; k < node->edges[i]->len; k++) {
            mark_from(g_ptr_array_index(node->edges[i], k), mark);
        }
    }
}

static struct node *find_unmarked(struct property_filter *filter, unsigned mark)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, filter->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct member *member = value;
        for (guint i = 0; i < member->nodes->len; i++) {
            struct node *node = g_ptr_array_index(member->nodes, i);
            if (node->mark != mark) {
                return node;
            }
        }
    }
    return NULL;
}

static void drop_unreachable(struct property_filter *filter)
{
    unsigned mark = ++filter->mark;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, filter->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct member *member = value;
        for (guint i = 0; i < member->nodes->len; i++) {
            struct node *node = g_ptr_array_index(member->nodes, i);
            if (node->root) {
                mark_from(node, mark);
            }
        }
    }
    for (struct node *node = find_unmarked(filter, mark); node != NULL; node = find_unmarked(filter, mark)) {
        leave(filter, node);
    }
}

/* An edge to the node is gone. Returns whether a circle may be left that nothing leads to. */
static bool release(struct property_filter *filter, struct node *node)
{
    node->in--;
    if (node->in == 0 && !node->root) {
        leave(filter, node);
        return false;
    }
    return !node->root;
}

static void leave(struct property_filter *filter, struct node *node)
{
    struct member *member = node->member;
    if (!g_ptr_array_remove(member->nodes, node)) {
        return; /* on its way out already: a circle */
    }
    if (!node->skip && --member->reported == 0 && is_selected(filter, member->object->ref.type)) {
        tell(filter, &member->object->ref, ObjectUpdateKind_leave, NULL, false);
    }
    for (guint i = 0; i < node->next->len; i++) {
        for (guint k = 0; k < node->edges[i]->len; k++) {
            struct node *to = g_ptr_array_index(node->edges[i], k);
            if (to != node) {
                release(filter, to);
            }
        }
        g_ptr_array_unref(node->edges[i]);
    }
    g_free(node->edges);
    g_free(node);
    if (member->nodes->len == 0) {
        member_free(member);
    }
}

static bool drop_edge(struct property_filter *filter, struct node *node, guint i, const char *id)
{
    for (guint k = 0; k < node->edges[i]->len; k++) {
        struct node *to = g_ptr_array_index(node->edges[i], k);
        if (strcmp(to->member->object->ref.id, id) == 0) {
            g_ptr_array_remove_index_fast(node->edges[i], k);
            return release(filter, to);
        }
    }
    return false;
}

/* The property that a node's i-th selection follows has changed. */
static bool refollow(struct property_filter *filter, struct node *node, guint i,
                     const struct vim_change *change)
{
    if (change->ref_added != NULL) {
        follow(filter, node, i, change->ref_added);
        return false;
    }
    if (change->ref_removed != NULL) {
        return drop_edge(filter, node, i, change->ref_removed->id);
    }
    /* Enter the new targets before leaving the old ones, so that what stays is not told as a change. */
    GPtrArray *old = node->edges[i];
    node->edges[i] = g_ptr_array_new();
    follow_all(filter, node, i);
    bool circle = false;
    for (guint k = 0; k < old->len; k++) {
        circle |= release(filter, g_ptr_array_index(old, k));
    }
    g_ptr_array_unref(old);
    return circle;
}

static bool concerns(const char *asked, const char *changed_path)
{
    return strcmp(asked, changed_path) == 0 || vim_path_is_inside(changed_path, asked) ||
           vim_path_is_inside(asked, changed_path);
}

static void note_properties(struct member *member, const struct vim_change *change)
{
    struct property_filter *filter = member->filter;
    const struct property_plan *plan = property_spec_plan(filter->spec, member->object->ref.type);
    for (guint i = 0; member->reported > 0 && i < plan->paths->len; i++) {
        const char *asked = vim_path_text(g_ptr_array_index(plan->paths, i));
        if (!concerns(asked, change->path)) {
            continue;
        }
        bool nested = filter->partial_updates && vim_path_is_inside(change->path, asked);
        bool same = strcmp(asked, change->path) == 0;
        tell(filter, &member->object->ref, ObjectUpdateKind_modify, nested ? change->path : asked,
             change->removed && (nested || same));
    }
}

/* The object is being destroyed: nothing leads to it and nothing is followed from it any more. */
static void destroyed(struct member *member)
{
    struct property_filter *filter = member->filter;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, filter->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct member *other = value;
        for (guint i = 0; i < other->nodes->len; i++) {
            struct node *node = g_ptr_array_index(other->nodes, i);
            for (guint e = 0; e < node->next->len; e++) {
                for (guint k = node->edges[e]->len; k > 0; k--) {
                    struct node *to = g_ptr_array_index(node->edges[e], k - 1);
                    if (to->member == member) {
                        g_ptr_array_remove_index_fast(node->edges[e], k - 1);
                        to->in--;
                    }
                }
            }
        }
    }
    while (member->nodes->len > 1) {
        leave(filter, g_ptr_array_index(member->nodes, member->nodes->len - 1));
    }
    leave(filter, g_ptr_array_index(member->nodes, 0)); /* frees the member */
    drop_unreachable(filter);
}

static bool has_edges(const struct member *member)
{
    for (guint i = 0; i < member->nodes->len; i++) {
        const struct node *node = g_ptr_array_index(member->nodes, i);
        if (node->in > 0) {
            return true;
        }
    }
    return false;
}

static void leave_all(struct member *member)
{
    struct property_filter *filter = member->filter;
    for (guint n = member->nodes->len; n > 0; n--) {
        leave(filter, g_ptr_array_index(member->nodes, n - 1)); /* the last frees the member */
    }
}

static bool still_there(struct property_filter *filter, struct vim_object *object, struct node *node)
{
    const struct member *member = g_hash_table_lookup(filter->members, object);
    return member != NULL && g_ptr_array_find(member->nodes, node, NULL);
}

static void changed(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change)
{
    struct member *member = (struct member *)watch;
    struct property_filter *filter = member->filter;
    if (change->path == NULL) {
        /* As a rule whoever removes an object has taken it off its parent's lists before. */
        if (has_edges(member)) {
            destroyed(member);
        } else {
            leave_all(member);
        }
        return;
    }
    note_properties(member, change);
    bool circle = false;
    /* What leaves because of the change may, around a circle, be a node of this very object. */
    g_autoptr(GPtrArray) nodes = g_ptr_array_copy(member->nodes, NULL, NULL);
    for (guint k = 0; k < nodes->len; k++) {
        struct node *node = g_ptr_array_index(nodes, k);
        for (guint i = 0; still_there(filter, object, node) && i < node->next->len; i++) {
            const struct property_select *select = g_ptr_array_index(node->next, i);
            if (vim_type_is(object->ref.type, select->type) &&
                concerns(vim_path_text(select->path), change->path)) {
                circle |= refollow(filter, node, i, change);
            }
        }
    }
    if (circle) {
        drop_unreachable(filter);
    }
}

/* ---- life ----------------------------------------------------------------------------------------- */

struct property_filter *property_filter_new(struct vim_server *server, const struct vim_session *session,
                                            struct property_spec *spec, bool partial_updates,
                                            void (*news)(void *data), void *data, GMutex *pending_lock)
{
    struct property_filter *filter = g_new0(struct property_filter, 1);
    filter->server = server;
    filter->session = session;
    filter->spec = spec;
    filter->partial_updates = partial_updates;
    filter->members = g_hash_table_new(NULL, NULL);
    filter->news = news;
    filter->news_data = data;
    filter->pending_lock = pending_lock;
    filter->pending = g_ptr_array_new();
    filter->pending_by_id = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < spec->roots->len; i++) {
        const struct property_root *root = &g_array_index(spec->roots, struct property_root, i);
        struct vim_object *object = vim_inventory_find_ref(server->inventory, &root->ref);
        if (object != NULL && (object->owner == NULL || object->owner == session)) {
            enter(filter, object, root->skip, root->next)->root = true;
        }
    }
    return filter;
}

void property_filter_free(struct property_filter *filter)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, filter->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct member *member = value;
        vim_watch_remove(member->object, &member->watch);
        for (guint i = 0; i < member->nodes->len; i++) {
            struct node *node = g_ptr_array_index(member->nodes, i);
            for (guint e = 0; e < node->next->len; e++) {
                g_ptr_array_unref(node->edges[e]);
            }
            g_free(node->edges);
            g_free(node);
        }
        g_ptr_array_unref(member->nodes);
        g_free(member);
    }
    g_hash_table_unref(filter->members);
    g_hash_table_unref(filter->pending_by_id);
    g_ptr_array_set_free_func(filter->pending, property_update_free);
    g_ptr_array_unref(filter->pending);
    property_spec_free(filter->spec);
    g_free(filter);
}

struct property_spec *property_filter_spec(struct property_filter *filter)
{
    return filter->spec;
}

void property_filter_restart(struct property_filter *filter)
{
    g_hash_table_remove_all(filter->pending_by_id);
    g_ptr_array_set_free_func(filter->pending, property_update_free);
    g_ptr_array_unref(filter->pending);
    filter->pending = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, filter->members);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct member *member = value;
        if (member->reported > 0 && is_selected(filter, member->object->ref.type)) {
            append(filter, update_new(&member->object->ref, ObjectUpdateKind_enter));
        }
    }
}
