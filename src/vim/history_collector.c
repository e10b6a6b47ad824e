// SPDX-License-Identifier: Apache-2.0
/*
 * TaskHistoryCollector and EventHistoryCollector. See history_collector.h.
 */
#include "vim/history_collector.h"

#include <string.h>

#include "vim/faults.h"
#include "vim/session.h"
#include "vim/value.h"

enum {
    DEFAULT_PAGE = 10, /* items in latestPage until SetCollectorPageSize */
};

struct collector {
    struct vim_watch end; /* on the object: tells when it is destroyed */
    struct vim_server *server;
    struct vim_history *history;       /* NULL when that is gone */
    struct vim_object *object;         /* lives longer than this */
    const struct vim_session *session; /* whose collector it is */
    void *filter;                      /* owned */
    uint32_t page_size;
    int64_t position; /* the number of the last item before the cursor */
};

void vim_history_init(struct vim_history *history,
                      struct vim_history_items (*select)(struct vim_server *server,
                                                         const struct vim_session *session,
                                                         const void *filter,
                                                         const struct vim_history_range *range))
{
    history->select = select;
    history->collectors = g_ptr_array_new();
}

void vim_history_clear(struct vim_history *history)
{
    for (guint i = 0; i < history->collectors->len; i++) {
        ((struct collector *)g_ptr_array_index(history->collectors, i))->history = NULL;
    }
    g_ptr_array_unref(history->collectors);
}

static struct vim_history_items latest_items(const struct collector *collector)
{
    struct vim_history_range range = {0, INT64_MAX, true, collector->page_size};
    return collector->history->select(collector->server, collector->session, collector->filter, &range);
}

static void refresh(struct collector *collector)
{
    struct vim_history_items items = latest_items(collector);
    vim_set(collector->object, "latestPage", &items.array);
}

void vim_history_changed(struct vim_history *history)
{
    for (guint i = 0; i < history->collectors->len; i++) {
        refresh(g_ptr_array_index(history->collectors, i));
    }
}

bool vim_history_lists(const void *strings, const char *string)
{
    const struct vim_array *array = strings;
    for (uint32_t i = 0; string != NULL && i < array->n; i++) {
        if (strcmp(((char **)array->items)[i], string) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static void collector_free(void *data)
{
    struct collector *collector = data;
    vim_free(collector->filter);
    g_free(collector);
}

static void collector_changed(struct vim_watch *watch, struct vim_object *object,
                              const struct vim_change *change)
{
    struct collector *collector = (struct collector *)watch; /* its first member */
    (void)object;
    if (change->path == NULL && collector->history != NULL) {
        g_ptr_array_remove_fast(collector->history->collectors, collector);
        collector->history = NULL;
    }
}

static unsigned count_collectors(const struct vim_history *history, const struct vim_session *session)
{
    unsigned n = 0;
    for (guint i = 0; i < history->collectors->len; i++) {
        n += ((struct collector *)g_ptr_array_index(history->collectors, i))->session == session;
    }
    return n;
}

struct vim_fault *vim_history_collect(struct vim_call *call, struct vim_history *history,
                                      const struct vim_type *type, const void *filter, struct vim_ref *ret)
{
    if (call->session == NULL || vim_session_has_ended(call->session)) {
        return fault_not_authenticated(call->request.target, "System.View", "the session has ended");
    }
    struct vim_fault *fault = NULL;
    vim_write_lock(call->server->inventory);
    if (count_collectors(history, call->session) >= VIM_HISTORY_MAX_COLLECTORS) {
        fault = fault_invalid_state("a session has at most %d collectors", VIM_HISTORY_MAX_COLLECTORS);
    } else {
        g_autofree char *unique = g_uuid_string_random();
        g_autofree char *id = g_strdup_printf("session[%s]%s", call->session->key, unique);
        struct collector *collector = g_new0(struct collector, 1);
        struct vim_object *object = vim_inventory_add(call->server->inventory, type, id, NULL);
        VIM_PROPERTIES(object, HistoryCollector)->filter = vim_any_object(vim_copy(filter));
        collector->server = call->server;
        collector->history = history;
        collector->object = object;
        collector->session = call->session;
        collector->filter = vim_copy(filter);
        collector->page_size = DEFAULT_PAGE;
        collector->end.changed = collector_changed;
        object->code = collector;
        object->code_free = collector_free;
        vim_watch_add(object, &collector->end);
        vim_session_own(call->session, object);
        g_ptr_array_add(history->collectors, collector);
        refresh(collector);
        *ret = vim_ref_copy(&object->ref);
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

/* ---- methods --------------------------------------------------------------------------------------- */

/* The call's collector (write lock), or NULL. */
static struct collector *own_collector(struct vim_call *call)
{
    struct vim_object *object = vim_call_object(call);
    struct collector *collector = object != NULL && object->owner == call->session ? object->code : NULL;
    return collector != NULL && collector->history != NULL ? collector : NULL;
}

static struct vim_fault *set_page_size(struct vim_call *call, const struct SetCollectorPageSize_args *args)
{
    if (args->maxCount < 1 || args->maxCount > VIM_HISTORY_MAX_PAGE) {
        return fault_invalid_argument("maxCount", "a page has 1 to %d items", VIM_HISTORY_MAX_PAGE);
    }
    vim_write_lock(call->server->inventory);
    struct collector *collector = own_collector(call);
    if (collector != NULL) {
        collector->page_size = (uint32_t)args->maxCount;
        refresh(collector);
    }
    vim_write_unlock(call->server->inventory);
    return collector != NULL ? NULL : vim_call_gone(&call->request.target);
}

static struct vim_fault *rewind_collector(struct vim_call *call, const struct RewindCollector_args *args)
{
    (void)args;
    vim_write_lock(call->server->inventory);
    struct collector *collector = own_collector(call);
    if (collector != NULL) {
        collector->position = 0;
    }
    vim_write_unlock(call->server->inventory);
    return collector != NULL ? NULL : vim_call_gone(&call->request.target);
}

static struct vim_fault *reset_collector(struct vim_call *call, const struct ResetCollector_args *args)
{
    (void)args;
    vim_write_lock(call->server->inventory);
    struct collector *collector = own_collector(call);
    if (collector != NULL) {
        struct vim_history_items items = latest_items(collector);
        collector->position = items.array.n > 0 ? items.last - 1 : 0;
        vim_field_clear(vim_field_by_name(collector->object->ref.type, "latestPage", NULL), &items.array);
    }
    vim_write_unlock(call->server->inventory);
    return collector != NULL ? NULL : vim_call_gone(&call->request.target);
}

static struct vim_fault *destroy_collector(struct vim_call *call, const struct DestroyCollector_args *args)
{
    (void)args;
    vim_write_lock(call->server->inventory);
    struct collector *collector = own_collector(call);
    if (collector != NULL) {
        struct vim_object *object = collector->object;
        vim_session_disown(call->session, object);
        vim_inventory_remove(call->server->inventory, object);
    }
    vim_write_unlock(call->server->inventory);
    return collector != NULL ? NULL : vim_call_gone(&call->request.target);
}

/* Reads from the cursor on and moves it; `ret` is the array member of a result. */
static struct vim_fault *read_items(struct vim_call *call, int32_t max, bool previous, void *ret)
{
    if (max < 1) {
        return fault_invalid_argument("maxCount", "maxCount must be at least 1");
    }
    struct vim_fault *fault = NULL;
    vim_write_lock(call->server->inventory);
    struct collector *collector = own_collector(call);
    if (collector == NULL) {
        fault = vim_call_gone(&call->request.target);
    } else {
        struct vim_history_range range = {
            .after = previous ? 0 : collector->position,
            .up_to = previous ? collector->position : INT64_MAX,
            .newest_first = previous,
            .max = (uint32_t)MIN(max, VIM_HISTORY_MAX_PAGE),
        };
        struct vim_history_items items =
            collector->history->select(call->server, call->session, collector->filter, &range);
        if (items.array.n > 0) {
            collector->position = previous ? items.last - 1 : items.last;
        }
        memcpy(ret, &items.array, sizeof(items.array));
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

static struct vim_fault *read_next_events(struct vim_call *call, const struct ReadNextEvents_args *args,
                                          struct ReadNextEvents_result *ret)
{
    return read_items(call, args->maxCount, false, &ret->returnval);
}

static struct vim_fault *read_previous_events(struct vim_call *call,
                                              const struct ReadPreviousEvents_args *args,
                                              struct ReadPreviousEvents_result *ret)
{
    return read_items(call, args->maxCount, true, &ret->returnval);
}

static struct vim_fault *read_next_tasks(struct vim_call *call, const struct ReadNextTasks_args *args,
                                         struct ReadNextTasks_result *ret)
{
    return read_items(call, args->maxCount, false, &ret->returnval);
}

static struct vim_fault *read_previous_tasks(struct vim_call *call, const struct ReadPreviousTasks_args *args,
                                             struct ReadPreviousTasks_result *ret)
{
    return read_items(call, args->maxCount, true, &ret->returnval);
}

const struct EventHistoryCollector_methods vim_event_history_collector_methods = {
    .SetCollectorPageSize = set_page_size,
    .RewindCollector = rewind_collector,
    .ResetCollector = reset_collector,
    .DestroyCollector = destroy_collector,
    .ReadNextEvents = read_next_events,
    .ReadPreviousEvents = read_previous_events,
};

const struct TaskHistoryCollector_methods vim_task_history_collector_methods = {
    .SetCollectorPageSize = set_page_size,
    .RewindCollector = rewind_collector,
    .ResetCollector = reset_collector,
    .DestroyCollector = destroy_collector,
    .ReadNextTasks = read_next_tasks,
    .ReadPreviousTasks = read_previous_tasks,
};
