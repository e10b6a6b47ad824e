// SPDX-License-Identifier: Apache-2.0
/*
 * One-shot reads: RetrieveProperties, RetrievePropertiesEx with pages. See property_collector.h.
 *
 * The selection is walked first, which gives the list of objects; then they are written page by page, the
 * objects of a large page by several threads. What is left of a read after a page waits in the session as a
 * cursor, known to the client by its token.
 */
#include "vim/property_read.h"

#include <string.h>

#include "base/pieces.h"
#include "vim/faults.h"
#include "vim/json.h"
#include "vim/property_collector.h"
#include "vim/session.h"
#include "vim/value.h"

enum {
    /* A page of RetrievePropertiesEx ends when it is this large. It is made in memory: 7 MiB, and the piece
     * that goes beyond, fit into a buffer of 8. */
    PAGE_BYTES = 7 << 20,
    PIECE = 64,       /* objects that a thread writes at a time */
    ALONE = 4,        /* pieces that are written before another thread would have begun */
    MAX_HELPERS = 3,  /* other threads that write for one read */
    MAX_CURSORS = 16, /* unfinished reads of one session; the oldest gives way */
};

void property_fields_init(struct property_fields *fields)
{
    fields->objects = vim_field_by_name(&RetrieveResult_type, "objects", NULL);
    fields->token = vim_field_by_name(&RetrieveResult_type, "token", NULL);
    fields->obj = vim_field_by_name(&ObjectContent_type, "obj", NULL);
    fields->propSet = vim_field_by_name(&ObjectContent_type, "propSet", NULL);
    fields->missingSet = vim_field_by_name(&ObjectContent_type, "missingSet", NULL);
    fields->name = vim_field_by_name(&DynamicProperty_type, "name", NULL);
    fields->val = vim_field_by_name(&DynamicProperty_type, "val", NULL);
    fields->missing_path = vim_field_by_name(&MissingProperty_type, "path", NULL);
    fields->missing_fault = vim_field_by_name(&MissingProperty_type, "fault", NULL);
}

/* Adds the session's own objects of a type to a list; filters only if they are of this collector. */
static void list_own(const struct vim_call *call, const struct vim_type *type,
                     const struct vim_object *collector, void *list)
{
    struct vim_session *session = call->session;
    GHashTableIter iter;
    gpointer id;
    g_mutex_lock(&session->lock);
    g_hash_table_iter_init(&iter, session->objects);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        const struct vim_object *own = vim_inventory_find(call->server->inventory, id);
        if (own != NULL && vim_type_is(own->ref.type, type) &&
            (collector == NULL || vim_collector_has(session, collector, own))) {
            vim_array_add_ref(list, &own->ref);
        }
    }
    g_mutex_unlock(&session->lock);
}

/* Some properties are others for each caller, so they are not kept in the inventory: a set of properties
 * that has just this one, to be freed, or NULL when the path names no such property. */
static void *property_of_caller(const struct vim_call *call, const struct vim_object *object,
                                const char *path)
{
    if (object->ref.type == &SessionManager_type && g_str_has_prefix(path, "currentSession")) {
        struct SessionManager *seen = SessionManager_new();
        seen->currentSession = vim_session_describe(call->session);
        return seen;
    }
    if (object->ref.type == &ViewManager_type && strcmp(path, "viewList") == 0) {
        struct ViewManager *seen = ViewManager_new();
        list_own(call, &View_type, NULL, &seen->viewList);
        return seen;
    }
    if (object->ref.type == &PropertyCollector_type && strcmp(path, "filter") == 0) {
        struct PropertyCollector *seen = PropertyCollector_new();
        list_own(call, &PropertyFilter_type, object, &seen->filter);
        return seen;
    }
    if (strcmp(path, "effectiveRole") == 0 && vim_is_a(object->properties, &ManagedEntity_type)) {
        struct ManagedEntity *seen = vim_new(object->ref.type);
        vim_effective_roles(call->server->authorization, call->session, (struct vim_object *)object,
                            (struct vim_array *)(void *)&seen->effectiveRole);
        return seen;
    }
    return NULL;
}

/* A value that the client's version does not have is not told: there is nothing to put in its place. */
static bool is_newer_enum(const struct vim_call *call, const struct vim_value *value)
{
    return value->type->kind == VIM_ENUM && !value->array &&
           value->type->values_since[*(const int *)value->at] > call->request.version;
}

void property_get(const struct vim_call *call, const struct vim_object *object, const struct vim_path *path,
                  property_value_fn fn, void *data)
{
    struct vim_value value;
    void *of_caller = call->session != NULL ? property_of_caller(call, object, vim_path_text(path)) : NULL;
    if (vim_path_get(path, of_caller != NULL ? of_caller : object->properties, &value) &&
        !is_newer_enum(call, &value)) {
        fn(data, &value);
    }
    vim_free(of_caller);
}

struct dynamic_property {
    struct vim_writer *writer;
    const struct property_fields *fields;
    const char *name;
};

static void write_dynamic_property(void *data, const struct vim_value *value)
{
    struct dynamic_property *p = data;
    struct vim_writer *w = p->writer;
    vim_write_begin(w, p->fields->propSet, &DynamicProperty_type);
    vim_write_member(w, p->fields->name, &p->name);
    vim_write_any(w, p->fields->val, value->type, value->array, value->at);
    vim_write_end(w, p->fields->propSet);
}

/* What anybody may read before he logs in: where to log in. */
static bool is_public(const struct vim_object *object)
{
    return object->ref.type == &ServiceInstance_type;
}

struct property_access property_access_new(const struct vim_reader *reader, struct vim_object *object)
{
    bool in = reader->session != NULL;
    struct property_access access = {.reader = reader, .object = object, .is_public = is_public(object)};
    access.read = in && vim_may_read(reader, object);
    access.view = access.read || (in && vim_authorized(reader->authorization, reader->session, object,
                                                       VIM_PRIVILEGE_SYSTEM_VIEW));
    return access;
}

bool property_may_read(const struct property_access *access, const struct vim_path *path)
{
    enum vim_privilege privilege = vim_path_privilege(path);
    if (access->is_public || access->reader->session == NULL) {
        return access->is_public;
    }
    if (privilege == VIM_PRIVILEGE_SYSTEM_READ) {
        return access->read;
    }
    if (privilege == VIM_PRIVILEGE_SYSTEM_VIEW) {
        return access->view;
    }
    return vim_authorized(access->reader->authorization, access->reader->session, access->object, privilege);
}

/* NotAuthenticated, or NoPermission with the privilege that the path's property needs. */
static struct vim_fault *missing_fault(const struct vim_call *call, const struct vim_ref *ref,
                                       const struct vim_path *path)
{
    const char *privilege = vim_privileges[vim_path_privilege(path)].id;
    return call->session == NULL
               ? fault_not_authenticated(*ref, privilege, "the session is not authenticated; log in first")
               : fault_no_permission(*ref, privilege, "%s is needed to read this", privilege);
}

static void write_missing(const struct vim_call *call, struct vim_writer *w, const struct vim_field *field,
                          const struct property_fields *fields, const struct vim_object *object,
                          const struct vim_path *path)
{
    const char *text = vim_path_text(path);
    VIM_FAULT_AUTO fault = missing_fault(call, &object->ref, path);
    struct LocalizedMethodFault *localized = vim_fault_localized(fault);
    vim_write_begin(w, field, &MissingProperty_type);
    vim_write_member(w, fields->missing_path, &text);
    vim_write_member(w, fields->missing_fault, &localized);
    vim_write_end(w, field);
    vim_free(localized);
}

void property_write_missing(const struct vim_call *call, struct vim_writer *w, const struct vim_field *field,
                            const struct property_fields *fields, const struct property_access *access,
                            const struct property_plan *plan)
{
    bool begun = false;
    for (guint i = 0; i < plan->paths->len; i++) {
        const struct vim_path *path = g_ptr_array_index(plan->paths, i);
        if (property_may_read(access, path)) {
            continue;
        }
        if (!begun) {
            vim_write_begin_array(w, field);
            begun = true;
        }
        write_missing(call, w, field, fields, access->object, path);
    }
    if (begun) {
        vim_write_end_array(w, field);
    }
}

/* ---- walking a selection -------------------------------------------------------------------------- */

/* An object of a read and how to report it. The reference outlives the lock between pages. */
struct read_item {
    struct vim_ref ref;               /* owned */
    const struct property_plan *plan; /* of its spec, which the cursor keeps */
};

struct property_cursor {
    char *token;
    GPtrArray *specs; /* of struct property_spec *, owned */
    GArray *items;    /* of struct read_item */
    guint next;
    guint page_size; /* objects */
};

static void spec_free(void *spec)
{
    property_spec_free(spec);
}

static void item_clear(void *data)
{
    vim_ref_clear(&((struct read_item *)data)->ref);
}

static void cursor_free(void *data)
{
    struct property_cursor *cursor = data;
    if (cursor != NULL) {
        g_free(cursor->token);
        g_ptr_array_unref(cursor->specs);
        g_array_unref(cursor->items);
        g_free(cursor);
    }
}

struct walk {
    const struct vim_call *call;
    GHashTable *visited;  /* (object, selection list) pairs */
    GHashTable *reported; /* objects */
    GArray *items;
    struct property_spec *spec;
};

struct visit {
    const struct vim_object *object;
    const GPtrArray *next;
};

static guint visit_hash(gconstpointer key)
{
    const struct visit *visit = key;
    return g_direct_hash(visit->object) * 31 + g_direct_hash(visit->next);
}

static gboolean visit_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(struct visit)) == 0;
}

static bool is_hidden(const struct vim_call *call, const struct vim_object *object)
{
    return object->owner != NULL && object->owner != call->session;
}

/* Depth first with an own stack: a selection may run as deep as a client's folders. */
static void walk_from(struct walk *walk, struct vim_object *root, bool skip, GPtrArray *next)
{
    struct vim_inventory *inventory = walk->call->server->inventory;
    struct step {
        struct vim_object *object;
        GPtrArray *next;
        bool skip;
    };
    g_autoptr(GArray) stack = g_array_new(FALSE, FALSE, sizeof(struct step));
    g_autoptr(GPtrArray) targets = g_ptr_array_new();
    struct step first = {root, next, skip};
    g_array_append_val(stack, first);
    while (stack->len > 0) {
        struct step step = g_array_index(stack, struct step, stack->len - 1);
        g_array_set_size(stack, stack->len - 1);
        const struct property_plan *plan = property_spec_plan(walk->spec, step.object->ref.type);
        if (!step.skip && plan->selected && g_hash_table_add(walk->reported, step.object)) {
            struct read_item item = {vim_ref_copy(&step.object->ref), plan};
            g_array_append_val(walk->items, item);
        }
        struct visit visit = {step.object, step.next};
        if (step.next->len == 0 || g_hash_table_contains(walk->visited, &visit)) {
            continue;
        }
        g_hash_table_add(walk->visited, g_memdup2(&visit, sizeof(visit)));
        for (guint i = step.next->len; i > 0; i--) {
            const struct property_select *select = g_ptr_array_index(step.next, i - 1);
            g_ptr_array_set_size(targets, 0);
            property_select_follow(select, step.object, targets);
            for (guint k = targets->len; k > 0; k--) {
                struct vim_object *object =
                    vim_inventory_find_ref(inventory, g_ptr_array_index(targets, k - 1));
                if (object != NULL && !is_hidden(walk->call, object)) {
                    struct step into = {object, select->next, select->skip};
                    g_array_append_val(stack, into);
                }
            }
        }
    }
}

/* All objects that the spec reports, in order. (read lock) */
static struct vim_fault *walk_spec(const struct vim_call *call, struct property_spec *spec, GArray *items)
{
    g_autoptr(GHashTable) visited = g_hash_table_new_full(visit_hash, visit_equal, g_free, NULL);
    g_autoptr(GHashTable) reported = g_hash_table_new(NULL, NULL);
    struct walk walk = {call, visited, reported, items, spec};
    for (guint i = 0; i < spec->roots->len; i++) {
        const struct property_root *root = &g_array_index(spec->roots, struct property_root, i);
        struct vim_object *object = vim_inventory_find_ref(call->server->inventory, &root->ref);
        if (object != NULL && !is_hidden(call, object)) {
            walk_from(&walk, object, root->skip, root->next);
        } else if (!spec->report_missing) {
            return vim_call_gone(&root->ref);
        }
    }
    return NULL;
}

static struct vim_fault *open_read(struct vim_call *call, struct PropertyFilterSpec *const *specs, uint32_t n,
                                   struct property_cursor **ret)
{
    struct property_cursor *cursor = g_new0(struct property_cursor, 1);
    cursor->specs = g_ptr_array_new_with_free_func(spec_free);
    cursor->items = g_array_new(FALSE, FALSE, sizeof(struct read_item));
    g_array_set_clear_func(cursor->items, item_clear);
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < n && fault == NULL; i++) {
        struct property_spec *spec = NULL;
        fault = property_spec_new(specs[i], call->request.version, &spec);
        if (fault == NULL) {
            g_ptr_array_add(cursor->specs, spec);
            vim_read_lock(call->server->inventory);
            fault = walk_spec(call, spec, cursor->items);
            vim_read_unlock(call->server->inventory);
        }
    }
    if (fault != NULL) {
        cursor_free(cursor);
        return fault;
    }
    *ret = cursor;
    return NULL;
}

/* ---- writing objects ------------------------------------------------------------------------------ */

/* A page while it is written. Its threads work under the read lock of the one that called. */
struct page {
    struct vim_call *call; /* its writer is the calling thread's */
    const struct property_fields *fields;
    const struct vim_field *field; /* the array of the objects */
    struct vim_reader reader;
    const struct read_item *items; /* the first of the page */
    size_t n;                      /* at most so many */
    size_t max_bytes;              /* of the whole answer */
};

/* Writes an ObjectContent as an item of the array `field`. */
static void write_object(const struct page *page, struct vim_writer *w, const struct property_plan *plan,
                         struct vim_object *object)
{
    const struct vim_call *call = page->call;
    const struct property_fields *fields = page->fields;
    struct property_access access = property_access_new(&page->reader, object);
    bool begun = false, missing = false;
    vim_write_begin(w, page->field, &ObjectContent_type);
    vim_write_member(w, fields->obj, &object->ref);
    for (guint i = 0; i < plan->paths->len; i++) {
        const struct vim_path *path = g_ptr_array_index(plan->paths, i);
        if (!property_may_read(&access, path)) {
            missing = true;
            continue;
        }
        if (!begun) {
            vim_write_begin_array(w, fields->propSet);
            begun = true;
        }
        struct dynamic_property property = {w, fields, vim_path_text(path)};
        property_get(call, object, path, write_dynamic_property, &property);
    }
    if (begun) {
        vim_write_end_array(w, fields->propSet);
    }
    if (missing) {
        property_write_missing(call, w, fields->missingSet, fields, &access, plan);
    }
    vim_write_end(w, page->field);
}

/* Writes the objects of a piece. Those that are gone by now are left out. */
static void write_piece(const struct page *page, size_t piece, struct vim_writer *w)
{
    for (size_t i = piece * PIECE; i < MIN((piece + 1) * PIECE, page->n); i++) {
        const struct read_item *item = &page->items[i];
        struct vim_object *object = vim_inventory_find_ref(page->call->server->inventory, &item->ref);
        if (object != NULL) {
            write_object(page, w, item->plan, object);
        }
    }
}

static void make_piece(void *data, size_t piece, struct buffer *out)
{
    const struct page *page = data;
    struct vim_writer w = page->call->writer;
    w.out = out;
    write_piece(page, piece, &w);
}

static bool take_piece(void *data, const struct buffer *made)
{
    const struct page *page = data;
    vim_write_items(&page->call->writer, made);
    return page->call->out.length < page->max_bytes;
}

/* Writes pieces until all are written or the answer is large enough. How many were written. */
static size_t write_pieces(struct page *page)
{
    size_t n = (page->n + PIECE - 1) / PIECE;
    if (n > ALONE) {
        unsigned helpers = MIN(g_get_num_processors() - 1, MAX_HELPERS);
        struct pieces pieces = {n, helpers, make_piece, take_piece, page};
        return pieces_make(&pieces, page->call->server->workers);
    }
    size_t written = 0;
    while (written < n && page->call->out.length < page->max_bytes) {
        write_piece(page, written++, &page->call->writer);
    }
    return written;
}

/* Writes up to max objects as items of `field`. */
static void write_page(struct vim_call *call, struct property_cursor *cursor, const struct vim_field *field,
                       const struct property_fields *fields, guint max, size_t max_bytes)
{
    struct page page = {.call = call, .fields = fields, .field = field, .max_bytes = max_bytes};
    page.items = &g_array_index(cursor->items, struct read_item, cursor->next);
    page.n = MIN(cursor->items->len - cursor->next, max);
    vim_read_lock(call->server->inventory);
    if (call->session != NULL) {
        page.reader = vim_reader_new(call->server->authorization, call->session);
    }
    vim_write_begin_array(&call->writer, field);
    size_t written = write_pieces(&page) * PIECE;
    cursor->next += (guint)MIN(written, page.n);
    vim_write_end_array(&call->writer, field);
    vim_read_unlock(call->server->inventory);
}

struct vim_fault *property_retrieve(struct vim_call *call, const struct RetrieveProperties_args *args)
{
    struct property_cursor *cursor = NULL;
    struct vim_fault *fault = open_read(call, args->specSet.items, args->specSet.n, &cursor);
    if (fault == NULL) {
        struct property_fields fields;
        property_fields_init(&fields);
        write_page(call, cursor, vim_call_begin_result(call), &fields, G_MAXUINT, SIZE_MAX);
        cursor_free(cursor);
    }
    return fault;
}

/* ---- pages ---------------------------------------------------------------------------------------- */

/* Moves what was appended after `end` to `place`. The token comes before the objects on the wire, but whether
 * there is one is known after them. */
static void move_before(struct buffer *out, size_t place, size_t end)
{
    size_t length = out->length - end;
    g_autofree char *moved = g_memdup2(out->data + end, length);
    memmove(out->data + place + length, out->data + place, end - place);
    memcpy(out->data + place, moved, length);
}

static struct vim_fault *write_result(struct vim_call *call, struct property_cursor *cursor)
{
    struct property_fields fields;
    property_fields_init(&fields);
    const struct vim_field *field = vim_call_begin_result(call);
    vim_write_begin(&call->writer, field, &RetrieveResult_type);
    size_t before = call->out.length;
    /* Without a session there is nobody to keep the rest for. */
    size_t max_bytes = call->session != NULL ? PAGE_BYTES : SIZE_MAX;
    write_page(call, cursor, fields.objects, &fields, cursor->page_size, max_bytes);
    bool more = cursor->next < cursor->items->len;
    if (more) {
        if (cursor->token == NULL) {
            cursor->token = g_uuid_string_random();
        }
        size_t end = call->out.length;
        vim_write_member(&call->writer, fields.token, &cursor->token);
        move_before(&call->out, before, end);
    }
    vim_write_end(&call->writer, field);
    if (more) {
        vim_session_keep_cursor(call->session, cursor, cursor_free, MAX_CURSORS);
    } else {
        cursor_free(cursor);
    }
    return NULL;
}

static guint page_size(const struct RetrieveOptions *options)
{
    return options != NULL && options->maxObjects.set && options->maxObjects.value > 0
               ? (guint)options->maxObjects.value
               : G_MAXUINT;
}

struct vim_fault *property_retrieve_ex(struct vim_call *call, const struct RetrievePropertiesEx_args *args)
{
    struct property_cursor *cursor = NULL;
    struct vim_fault *fault = open_read(call, args->specSet.items, args->specSet.n, &cursor);
    if (fault != NULL) {
        return fault;
    }
    if (cursor->items->len == 0) {
        cursor_free(cursor); /* nothing found is no result at all */
        return NULL;
    }
    cursor->page_size = call->session != NULL ? page_size(args->options) : G_MAXUINT;
    return write_result(call, cursor);
}

static bool has_token(const void *cursor, const char *token)
{
    return strcmp(((const struct property_cursor *)cursor)->token, token) == 0;
}

static struct vim_fault *take_cursor(struct vim_call *call, const char *token, struct property_cursor **ret)
{
    struct property_cursor *cursor =
        call->session != NULL ? vim_session_take_cursor(call->session, token, has_token) : NULL;
    if (cursor == NULL) {
        return fault_invalid_argument("token", "no read waits under the token \"%s\"", token);
    }
    *ret = cursor;
    return NULL;
}

struct vim_fault *property_continue(struct vim_call *call,
                                    const struct ContinueRetrievePropertiesEx_args *args)
{
    struct property_cursor *cursor = NULL;
    struct vim_fault *fault = take_cursor(call, args->token, &cursor);
    return fault != NULL ? fault : write_result(call, cursor);
}

struct vim_fault *property_cancel(struct vim_call *call, const struct CancelRetrievePropertiesEx_args *args)
{
    struct property_cursor *cursor = NULL;
    struct vim_fault *fault = take_cursor(call, args->token, &cursor);
    if (fault == NULL) {
        cursor_free(cursor);
    }
    return fault;
}

/* ---- VI/JSON's GET -------------------------------------------------------------------------------- */

static void write_bare(void *data, const struct vim_value *value)
{
    struct vim_call *call = data;
    struct vim_field field = {
        .name = "returnval", .type = value->type, .flags = value->array ? VIM_ARRAY : 0, .open_tag = ""};
    vim_write_member(&call->writer, &field, value->at);
}

/* Whether the caller may read the property of the object, which may be NULL: nobody learns before login what
 * there is. (read lock) */
static struct vim_fault *check_read(struct vim_call *call, struct vim_object *object,
                                    const struct vim_ref *ref, const struct vim_path *path)
{
    if (call->session != NULL && (object == NULL || is_hidden(call, object))) {
        return vim_call_gone(ref);
    }
    struct vim_reader reader = vim_reader_new(call->server->authorization, call->session);
    struct property_access access = {.reader = &reader};
    if (object != NULL) {
        access = property_access_new(&reader, object);
    }
    return property_may_read(&access, path) ? NULL : missing_fault(call, ref, path);
}

struct vim_fault *vim_property_write(struct vim_call *call, const char *type_name, const char *id,
                                     const char *text)
{
    const struct vim_type *type = vim_type_by_name(type_name);
    struct vim_inventory *inventory = call->server->inventory;
    if (type == NULL || type->kind != VIM_REF) {
        return fault_invalid_type(type_name, "\"%s\" is not a managed object type", type_name);
    }
    struct vim_path *path = vim_path_new(type, text);
    if (path == NULL) {
        return fault_invalid_property(text, "%s has no property \"%s\"", type->name, text);
    }
    struct vim_ref ref = {type, (char *)id};
    vim_read_lock(inventory);
    struct vim_object *object = vim_inventory_find_ref(inventory, &ref);
    struct vim_fault *fault = check_read(call, object, &ref, path);
    if (fault == NULL) {
        property_get(call, object, path, write_bare, call);
    }
    vim_read_unlock(inventory);
    vim_path_free(path);
    return fault;
}
