// SPDX-License-Identifier: Apache-2.0
/*
 * Collectors: filters, versions, and waiting for changes. See property_collector.h.
 *
 * Versions of a collector count its answers. What answer N told is kept until the client asks with version
 * N, which says that it arrived; a client that asks with N - 1 has lost answer N and is told again.
 *
 *     ask ""       everything anew
 *     ask N        drop what was sent; tell what is pending     -> answer N + 1
 *     ask N - 1    pending = sent + pending; tell it            -> answer N + 1
 *     else         InvalidCollectorVersion
 */
#include "vim/property_collector.h"

#include <string.h>

#include "base/timer.h"
#include "vim/faults.h"
#include "vim/property_filter.h"
#include "vim/property_read.h"
#include "vim/session.h"
#include "vim/value.h"

enum {
    MAX_FILTERS = 1000, /* of one collector */
};

/* A filter of a collector, and what the client was last told of it. */
struct filter {
    struct vim_ref ref; /* of the PropertyFilter object; owned */
    struct property_filter *state;
    GPtrArray *sent; /* of struct property_update *, owned */
};

struct vim_collector {
    gatomicrefcount references;
    struct vim_server *server;
    struct vim_session *session; /* borrowed: a collector ends with its session */
    GMutex lock;                 /* guards all below */
    GPtrArray *filters;          /* of struct filter *, owned */
    uint64_t version;            /* of the last answer */
    struct vim_call *waiter;     /* parked, or NULL */
    bool ended;
};

/* A wait, kept with its call from the first park on. */
struct wait {
    struct vim_collector *collector; /* a reference */
    struct vim_call *call;
    int64_t deadline_ms; /* 0: none */
    uint64_t timer;      /* 0: none */
    bool cancelled;      /* under the collector's lock */
};

static void collector_ref(struct vim_collector *collector)
{
    g_atomic_ref_count_inc(&collector->references);
}

struct vim_collector *vim_collector_new(struct vim_server *server, struct vim_session *session)
{
    struct vim_collector *collector = g_new0(struct vim_collector, 1);
    g_atomic_ref_count_init(&collector->references);
    collector->server = server;
    collector->session = session;
    g_mutex_init(&collector->lock);
    collector->filters = g_ptr_array_new();
    return collector;
}

void vim_collector_unref(struct vim_collector *collector)
{
    if (collector != NULL && g_atomic_ref_count_dec(&collector->references)) {
        g_ptr_array_unref(collector->filters);
        g_mutex_clear(&collector->lock);
        g_free(collector);
    }
}

/* ---- waking --------------------------------------------------------------------------------------- */

/* Wakes the parked call, if any. (collector's lock) */
static void wake(struct vim_collector *collector)
{
    struct vim_call *call = g_steal_pointer(&collector->waiter);
    if (call != NULL) {
        vim_call_wake(call);
    }
}

/* A filter has something to tell. (collector's lock) */
static void news(void *data)
{
    wake(data);
}

static void cancel_wait(struct vim_collector *collector)
{
    if (collector->waiter != NULL) {
        ((struct wait *)collector->waiter->wait)->cancelled = true;
        wake(collector);
    }
}

static void expired(void *data)
{
    struct wait *wait = data;
    g_mutex_lock(&wait->collector->lock);
    if (wait->collector->waiter == wait->call) {
        wake(wait->collector);
    }
    g_mutex_unlock(&wait->collector->lock);
}

static void client_closed(void *data)
{
    struct wait *wait = data;
    g_mutex_lock(&wait->collector->lock);
    if (wait->collector->waiter == wait->call) {
        cancel_wait(wait->collector);
    }
    g_mutex_unlock(&wait->collector->lock);
}

static void wait_free(void *data)
{
    struct wait *wait = data;
    if (wait->timer != 0) {
        timer_cancel(wait->collector->server->timer, wait->timer);
    }
    vim_collector_unref(wait->collector);
    g_free(wait);
}

/* ---- filters -------------------------------------------------------------------------------------- */

static void filter_free(struct filter *filter)
{
    property_filter_free(filter->state);
    if (filter->sent != NULL) {
        g_ptr_array_unref(filter->sent);
    }
    vim_ref_clear(&filter->ref);
    g_free(filter);
}

/* What the PropertyFilter object keeps: its way back to the filter. */
struct filter_code {
    struct vim_collector *collector; /* a reference */
    struct filter *filter;
};

static void filter_code_free(void *data)
{
    struct filter_code *code = data;
    g_mutex_lock(&code->collector->lock);
    g_ptr_array_remove(code->collector->filters, code->filter);
    g_mutex_unlock(&code->collector->lock);
    filter_free(code->filter);
    vim_collector_unref(code->collector);
    g_free(code);
}

bool vim_collector_has(const struct vim_session *session, const struct vim_object *collector,
                       const struct vim_object *filter)
{
    /* The default collector is one object for all sessions; the others belong to one. */
    const struct vim_collector *wanted = collector->owner != NULL ? collector->code : session->collector;
    return wanted != NULL && ((const struct filter_code *)filter->code)->collector == wanted;
}

/* The collector that the call is for, with a reference. */
static struct vim_fault *collector_of(struct vim_call *call, struct vim_collector **ret)
{
    struct vim_server *server = call->server;
    struct vim_collector *found = NULL;
    if (call->session == NULL || vim_session_has_ended(call->session)) {
        return fault_not_authenticated(call->request.target, "System.View", "the session has ended");
    }
    if (vim_ref_equal(&call->request.target, &server->property_collector)) {
        g_mutex_lock(&call->session->lock);
        if (call->session->collector == NULL) {
            call->session->collector = vim_collector_new(server, call->session);
        }
        found = call->session->collector;
        collector_ref(found);
        g_mutex_unlock(&call->session->lock);
    } else {
        vim_read_lock(server->inventory);
        struct vim_object *object = vim_call_object(call);
        found = object != NULL ? object->code : NULL;
        if (found != NULL) {
            collector_ref(found);
        }
        vim_read_unlock(server->inventory);
    }
    if (found == NULL) {
        return vim_call_gone(&call->request.target);
    }
    *ret = found;
    return NULL;
}

void vim_collector_end(struct vim_collector *collector)
{
    struct vim_inventory *inventory = collector->server->inventory;
    vim_write_lock(inventory);
    for (;;) {
        g_mutex_lock(&collector->lock);
        struct filter *filter = collector->filters->len > 0 ? g_ptr_array_index(collector->filters, 0) : NULL;
        struct vim_object *object = filter != NULL ? vim_inventory_find_ref(inventory, &filter->ref) : NULL;
        g_mutex_unlock(&collector->lock);
        if (object == NULL) {
            break;
        }
        vim_session_disown(collector->session, object);
        vim_inventory_remove(inventory, object); /* takes the filter off the list */
    }
    g_mutex_lock(&collector->lock);
    collector->ended = true;
    cancel_wait(collector);
    g_mutex_unlock(&collector->lock);
    vim_write_unlock(inventory);
}

static char *session_object_id(const struct vim_session *session)
{
    g_autofree char *unique = g_uuid_string_random();
    return g_strdup_printf("session[%s]%s", session->key, unique);
}

/* A private object for PropertyFilter or PropertyCollector. (write lock) */
static struct vim_object *add_private(struct vim_call *call, const struct vim_type *type, void *code,
                                      void (*code_free)(void *code))
{
    g_autofree char *id = session_object_id(call->session);
    struct vim_object *object = vim_inventory_add(call->server->inventory, type, id, NULL);
    object->code = code;
    object->code_free = code_free;
    vim_session_own(call->session, object);
    return object;
}

static struct vim_fault *check_roots(struct vim_call *call, const struct property_spec *spec)
{
    for (guint i = 0; i < spec->roots->len && !spec->report_missing; i++) {
        const struct property_root *root = &g_array_index(spec->roots, struct property_root, i);
        struct vim_object *object = vim_inventory_find_ref(call->server->inventory, &root->ref);
        if (object == NULL || (object->owner != NULL && object->owner != call->session)) {
            return vim_call_gone(&root->ref);
        }
    }
    return NULL;
}

static struct vim_fault *create_filter(struct vim_call *call, const struct CreateFilter_args *args,
                                       struct CreateFilter_result *ret)
{
    struct vim_collector *collector = NULL;
    struct property_spec *spec = NULL;
    struct vim_fault *fault = collector_of(call, &collector);
    if (fault != NULL) {
        return fault;
    }
    fault = property_spec_new(args->spec, call->request.version, &spec);
    vim_write_lock(call->server->inventory);
    if (fault == NULL) {
        fault = check_roots(call, spec);
    }
    if (fault == NULL && collector->filters->len >= MAX_FILTERS) {
        fault = fault_invalid_request("a collector holds at most %d filters", MAX_FILTERS);
    }
    if (fault == NULL) {
        struct filter *filter = g_new0(struct filter, 1);
        filter->state = property_filter_new(call->server, call->session, spec, args->partialUpdates, news,
                                            collector, &collector->lock);
        struct filter_code *code = g_new0(struct filter_code, 1);
        code->collector = collector;
        collector_ref(collector);
        code->filter = filter;
        struct vim_object *object = add_private(call, &PropertyFilter_type, code, filter_code_free);
        struct PropertyFilter *properties = object->properties;
        properties->spec = vim_copy(args->spec);
        properties->partialUpdates = args->partialUpdates;
        filter->ref = vim_ref_copy(&object->ref);
        ret->returnval = vim_ref_copy(&object->ref);
        g_mutex_lock(&collector->lock);
        g_ptr_array_add(collector->filters, filter);
        wake(collector); /* a wait under way tells the new filter's objects */
        g_mutex_unlock(&collector->lock);
        spec = NULL;
    }
    vim_write_unlock(call->server->inventory);
    property_spec_free(spec);
    vim_collector_unref(collector);
    return fault;
}

static struct vim_fault *destroy_filter(struct vim_call *call, const struct DestroyPropertyFilter_args *args)
{
    (void)args;
    struct vim_inventory *inventory = call->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *object = vim_call_object(call);
    if (object != NULL) {
        vim_session_disown(call->session, object);
        vim_inventory_remove(inventory, object);
    }
    vim_write_unlock(inventory);
    return object != NULL ? NULL : vim_call_gone(&call->request.target);
}

static void collector_code_free(void *data)
{
    struct vim_collector *collector = data;
    g_mutex_lock(&collector->lock);
    collector->ended = true;
    cancel_wait(collector);
    g_mutex_unlock(&collector->lock);
    vim_collector_unref(collector);
}

static struct vim_fault *create_collector(struct vim_call *call,
                                          const struct CreatePropertyCollector_args *args,
                                          struct CreatePropertyCollector_result *ret)
{
    (void)args;
    struct vim_collector *collector = vim_collector_new(call->server, call->session);
    vim_write_lock(call->server->inventory);
    struct vim_object *object = add_private(call, &PropertyCollector_type, collector, collector_code_free);
    ret->returnval = vim_ref_copy(&object->ref);
    vim_write_unlock(call->server->inventory);
    return NULL;
}

static struct vim_fault *destroy_collector(struct vim_call *call,
                                           const struct DestroyPropertyCollector_args *args)
{
    (void)args;
    struct vim_collector *collector = NULL;
    if (vim_ref_equal(&call->request.target, &call->server->property_collector)) {
        return fault_invalid_request("the session's default collector ends with the session");
    }
    struct vim_fault *fault = collector_of(call, &collector);
    if (fault != NULL) {
        return fault;
    }
    vim_collector_end(collector);
    vim_collector_unref(collector);
    vim_write_lock(call->server->inventory);
    struct vim_object *object = vim_call_object(call);
    if (object != NULL) {
        vim_session_disown(call->session, object);
        vim_inventory_remove(call->server->inventory, object);
    }
    vim_write_unlock(call->server->inventory);
    return NULL;
}

/* ---- telling changes ------------------------------------------------------------------------------ */

struct update_fields {
    struct property_fields content;
    const struct vim_field *version, *filterSet, *truncated;     /* of UpdateSet */
    const struct vim_field *filter, *objectSet;                  /* of PropertyFilterUpdate */
    const struct vim_field *kind, *obj, *changeSet, *missingSet; /* of ObjectUpdate */
    const struct vim_field *name, *op, *val;                     /* of PropertyChange */
};

static void update_fields_init(struct update_fields *f)
{
    property_fields_init(&f->content);
    f->version = vim_field_by_name(&UpdateSet_type, "version", NULL);
    f->filterSet = vim_field_by_name(&UpdateSet_type, "filterSet", NULL);
    f->truncated = vim_field_by_name(&UpdateSet_type, "truncated", NULL);
    f->filter = vim_field_by_name(&PropertyFilterUpdate_type, "filter", NULL);
    f->objectSet = vim_field_by_name(&PropertyFilterUpdate_type, "objectSet", NULL);
    f->kind = vim_field_by_name(&ObjectUpdate_type, "kind", NULL);
    f->obj = vim_field_by_name(&ObjectUpdate_type, "obj", NULL);
    f->changeSet = vim_field_by_name(&ObjectUpdate_type, "changeSet", NULL);
    f->missingSet = vim_field_by_name(&ObjectUpdate_type, "missingSet", NULL);
    f->name = vim_field_by_name(&PropertyChange_type, "name", NULL);
    f->op = vim_field_by_name(&PropertyChange_type, "op", NULL);
    f->val = vim_field_by_name(&PropertyChange_type, "val", NULL);
}

struct change_writer {
    struct vim_call *call;
    const struct update_fields *fields;
};

static void write_change_value(void *data, const struct vim_value *value)
{
    struct change_writer *c = data;
    vim_write_any(&c->call->writer, c->fields->val, value->type, value->array, value->at);
}

static void write_change(struct vim_call *call, const struct update_fields *f, struct vim_object *object,
                         const struct vim_path *path, const char *name, bool removed)
{
    struct vim_writer *w = &call->writer;
    struct change_writer c = {call, f};
    int op = removed ? PropertyChangeOp_remove : PropertyChangeOp_assign;
    vim_write_begin(w, f->changeSet, &PropertyChange_type);
    vim_write_member(w, f->name, &name);
    vim_write_member(w, f->op, &op);
    if (!removed) {
        property_get(call, object, path, write_change_value, &c);
    }
    vim_write_end(w, f->changeSet);
}

static void note_value(void *data, const struct vim_value *value)
{
    (void)value;
    *(bool *)data = true;
}

static bool has_value(const struct vim_call *call, const struct vim_object *object,
                      const struct vim_path *path)
{
    bool found = false;
    property_get(call, object, path, note_value, &found);
    return found;
}

static void write_changes(struct vim_call *call, const struct update_fields *f,
                          const struct property_spec *spec, const struct property_plan *plan,
                          const struct property_update *update, const struct property_access *access)
{
    struct vim_object *object = access->object;
    vim_write_begin_array(&call->writer, f->changeSet);
    if (update->kind == ObjectUpdateKind_enter) {
        for (guint i = 0; i < plan->paths->len; i++) {
            const struct vim_path *path = g_ptr_array_index(plan->paths, i);
            if (property_may_read(access, path) && has_value(call, object, path)) {
                write_change(call, f, object, path, vim_path_text(path), false);
            }
        }
    } else {
        for (guint i = 0; i < update->paths->len; i++) {
            const char *text = g_ptr_array_index(update->paths, i);
            struct vim_path *path = vim_path_new(object->ref.type, text + 1);
            if (path != NULL && property_plan_tells(spec, plan, path) && property_may_read(access, path)) {
                write_change(call, f, object, path, text + 1, text[0] == '-');
            }
            vim_path_free(path);
        }
    }
    vim_write_end_array(&call->writer, f->changeSet);
}

static void write_update(struct vim_call *call, const struct update_fields *f, struct filter *filter,
                         const struct vim_reader *reader, struct property_update *update)
{
    struct vim_writer *w = &call->writer;
    struct vim_object *object = update->kind != ObjectUpdateKind_leave
                                    ? vim_inventory_find_ref(call->server->inventory, &update->ref)
                                    : NULL;
    vim_write_begin(w, f->objectSet, &ObjectUpdate_type);
    vim_write_member(w, f->kind, &update->kind);
    vim_write_member(w, f->obj, &update->ref);
    if (object != NULL) {
        struct property_spec *spec = property_filter_spec(filter->state);
        const struct property_plan *plan = property_spec_plan(spec, object->ref.type);
        const struct property_access access = property_access_new(reader, object);
        write_changes(call, f, spec, plan, update, &access);
        if (update->kind == ObjectUpdateKind_enter || !access.read) {
            property_write_missing(call, w, f->missingSet, &f->content, &access, plan);
        }
    }
    vim_write_end(w, f->objectSet);
}

static bool has_news(const struct vim_collector *collector)
{
    for (guint i = 0; i < collector->filters->len; i++) {
        if (property_filter_has_news(((struct filter *)g_ptr_array_index(collector->filters, i))->state)) {
            return true;
        }
    }
    return false;
}

/* Writes an UpdateSet of what is pending. (read lock and collector's lock) */
static void write_updates(struct vim_call *call, struct vim_collector *collector, guint max)
{
    struct update_fields f;
    update_fields_init(&f);
    struct vim_writer *w = &call->writer;
    struct vim_reader reader = vim_reader_new(call->server->authorization, call->session);
    const struct vim_field *field = vim_call_begin_result(call);
    collector->version++;
    g_autofree char *version = g_strdup_printf("%" G_GUINT64_FORMAT, collector->version);
    vim_write_begin(w, field, &UpdateSet_type);
    vim_write_member(w, f.version, &version);
    vim_write_begin_array(w, f.filterSet);
    for (guint i = 0; i < collector->filters->len && max > 0; i++) {
        struct filter *filter = g_ptr_array_index(collector->filters, i);
        if (!property_filter_has_news(filter->state)) {
            continue;
        }
        filter->sent = property_filter_take(filter->state, max);
        max -= filter->sent->len;
        vim_write_begin(w, f.filterSet, &PropertyFilterUpdate_type);
        vim_write_member(w, f.filter, &filter->ref);
        vim_write_begin_array(w, f.objectSet);
        for (guint k = 0; k < filter->sent->len; k++) {
            write_update(call, &f, filter, &reader, g_ptr_array_index(filter->sent, k));
        }
        vim_write_end_array(w, f.objectSet);
        vim_write_end(w, f.filterSet);
    }
    vim_write_end_array(w, f.filterSet);
    struct {
        bool set;
        bool value;
    } truncated = {true, true};
    if (has_news(collector)) {
        vim_write_member(w, f.truncated, &truncated);
    }
    vim_write_end(w, field);
}

/* Brings the collector to what the client's version says that it knows. (locks as write_updates) */
static struct vim_fault *accept_version(struct vim_collector *collector, const char *text)
{
    bool from_start = text == NULL || text[0] == '\0';
    guint64 version = 0;
    if (!from_start && !g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, &version, NULL)) {
        version = UINT64_MAX;
    }
    bool lost = !from_start && version + 1 == collector->version && version > 0;
    if (!from_start && !lost && (version != collector->version || version == 0)) {
        return fault_invalid_collector_version("\"%s\" is not a version of this collector", text);
    }
    for (guint i = 0; i < collector->filters->len; i++) {
        struct filter *filter = g_ptr_array_index(collector->filters, i);
        GPtrArray *sent = g_steal_pointer(&filter->sent);
        if (from_start) {
            property_filter_restart(filter->state);
        } else if (lost && sent != NULL) {
            property_filter_give_back(filter->state, g_steal_pointer(&sent));
        }
        if (sent != NULL) {
            g_ptr_array_unref(sent);
        }
    }
    return NULL;
}

static void park(struct vim_call *call, struct vim_collector *collector, int64_t deadline_ms)
{
    cancel_wait(collector); /* one wait at a time: the newer one counts */
    if (call->wait == NULL) {
        struct wait *wait = g_new0(struct wait, 1);
        wait->collector = collector;
        collector_ref(collector);
        wait->call = call;
        wait->deadline_ms = deadline_ms;
        call->wait = wait;
        call->wait_free = wait_free;
        call->wait_closed = client_closed;
        if (deadline_ms != 0) {
            wait->timer = timer_add(call->server->timer, deadline_ms, expired, wait);
        }
    }
    vim_call_park(call);
    collector->waiter = call;
}

/* deadline_ms: until when to wait; -1: not at all; 0: for ever. */
static struct vim_fault *updates(struct vim_call *call, const char *version, int64_t deadline_ms, guint max)
{
    struct vim_collector *collector = NULL;
    struct vim_fault *fault = collector_of(call, &collector);
    if (fault != NULL) {
        return fault;
    }
    struct vim_server *server = call->server;
    struct wait *wait = call->wait;
    int64_t now = server->environment.monotonic_ms(server->environment.data);
    vim_read_lock(server->inventory);
    g_mutex_lock(&collector->lock);
    if (collector->ended || (wait != NULL && wait->cancelled)) {
        fault = fault_request_canceled("the wait for updates was cancelled");
    } else if (wait == NULL) {
        fault = accept_version(collector, version);
    }
    if (wait != NULL) {
        deadline_ms = wait->deadline_ms;
    }
    if (fault == NULL && has_news(collector)) {
        write_updates(call, collector, max);
    } else if (fault == NULL && deadline_ms != -1 && (deadline_ms == 0 || now < deadline_ms)) {
        park(call, collector, deadline_ms);
        fault = VIM_PARKED;
    }
    g_mutex_unlock(&collector->lock);
    vim_read_unlock(server->inventory);
    vim_collector_unref(collector);
    return fault;
}

static struct vim_fault *wait_for_updates_ex(struct vim_call *call, const struct WaitForUpdatesEx_args *args)
{
    int64_t deadline_ms = 0;
    guint max = G_MAXUINT;
    if (args->options != NULL && args->options->maxObjectUpdates.set) {
        if (args->options->maxObjectUpdates.value <= 0) {
            return fault_invalid_argument("options.maxObjectUpdates", "maxObjectUpdates is greater than 0");
        }
        max = (guint)args->options->maxObjectUpdates.value;
    }
    if (args->options != NULL && args->options->maxWaitSeconds.set) {
        int64_t seconds = args->options->maxWaitSeconds.value;
        if (seconds < 0) {
            return fault_invalid_argument("options.maxWaitSeconds", "maxWaitSeconds is not negative");
        }
        deadline_ms = seconds == 0 ? -1
                                   : call->server->environment.monotonic_ms(call->server->environment.data) +
                                         seconds * 1000;
    }
    return updates(call, args->version, deadline_ms, max);
}

static struct vim_fault *wait_for_updates(struct vim_call *call, const struct WaitForUpdates_args *args)
{
    return updates(call, args->version, 0, G_MAXUINT);
}

static struct vim_fault *check_for_updates(struct vim_call *call, const struct CheckForUpdates_args *args)
{
    return updates(call, args->version, -1, G_MAXUINT);
}

static struct vim_fault *cancel_wait_for_updates(struct vim_call *call,
                                                 const struct CancelWaitForUpdates_args *args)
{
    (void)args;
    struct vim_collector *collector = NULL;
    struct vim_fault *fault = collector_of(call, &collector);
    if (fault == NULL) {
        g_mutex_lock(&collector->lock);
        cancel_wait(collector);
        g_mutex_unlock(&collector->lock);
        vim_collector_unref(collector);
    }
    return fault;
}

const struct PropertyCollector_methods vim_property_collector_methods = {
    .CreateFilter = create_filter,
    .RetrieveProperties = property_retrieve,
    .CheckForUpdates = check_for_updates,
    .WaitForUpdates = wait_for_updates,
    .CancelWaitForUpdates = cancel_wait_for_updates,
    .WaitForUpdatesEx = wait_for_updates_ex,
    .RetrievePropertiesEx = property_retrieve_ex,
    .ContinueRetrievePropertiesEx = property_continue,
    .CancelRetrievePropertiesEx = property_cancel,
    .CreatePropertyCollector = create_collector,
    .DestroyPropertyCollector = destroy_collector,
};

const struct PropertyFilter_methods vim_property_filter_methods = {
    .DestroyPropertyFilter = destroy_filter,
};
