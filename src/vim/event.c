// SPDX-License-Identifier: Apache-2.0
/*
 * Events: posting, keeping and selecting them, and the EventManager. See event.h.
 *
 * An event is kept with the ids of what it is about and of all that was above that when it happened: by
 * then, filters can ask for the events below a folder even when the machine has gone since.
 */
#include "vim/event.h"

#include <string.h>

#include "vim/authorization.h"
#include "vim/entity_tree.h"
#include "vim/event_description.h"
#include "vim/faults.h"
#include "vim/history_collector.h"
#include "vim/session.h"
#include "vim/value.h"

enum {
    MAX_EVENTS = 1000,
    MAX_MESSAGE_BYTES = 8192, /* of LogUserEvent */
};

struct record {
    struct Event *event; /* owned */
    char *subject;       /* the id of what it is about; owned */
    GPtrArray *above;    /* of ids, nearest first, the root folder's last; owned */
};

struct vim_events {
    struct vim_server *server;
    struct vim_ref manager; /* id NULL until it is attached */
    GQueue records;         /* of struct record *, oldest first, owned */
    gint last_key;          /* of an event or a chain; atomic */
    struct vim_history history;
};

static void record_free(void *data)
{
    struct record *record = data;
    vim_free(record->event);
    g_free(record->subject);
    g_ptr_array_unref(record->above);
    g_free(record);
}

/* ---- what an event is about ----------------------------------------------------------------------- */

/* The name and the reference of an EntityEventArgument: every kind of it adds just the reference. */
static struct vim_ref *argument_ref(void *argument)
{
    const struct vim_type *type = *(const struct vim_type *const *)argument;
    return vim_field_at(&type->fields[type->n_fields - 1], argument);
}

static void *argument_new(const struct vim_type *type, const char *name, const struct vim_ref *ref)
{
    void *argument = vim_new(type);
    vim_set_string(&((struct EntityEventArgument *)argument)->name, name);
    vim_ref_set(argument_ref(argument), ref);
    return argument;
}

/* The most specific thing that the event names, or NULL. Types with an argument of their own come first. */
static const struct vim_ref *event_subject(struct Event *event)
{
    static const char *const members[] = {"managedObject", "vm",   "entity",          "datastore", "ds",
                                          "net",           "host", "computeResource", "datacenter"};
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        const struct vim_field *field = vim_field_by_name(event->vim_type, members[i], NULL);
        if (field == NULL) {
            continue;
        }
        void *at = vim_field_at(field, event);
        if (field->type->kind == VIM_REF && ((struct vim_ref *)at)->id != NULL) {
            return at;
        }
        void *argument = field->type->kind == VIM_DATA ? *(void **)at : NULL;
        if (vim_is_a(argument, &EntityEventArgument_type) && argument_ref(argument)->id != NULL) {
            return argument_ref(argument);
        }
    }
    return NULL;
}

/* Sets the argument, unless it is there or the object is not. */
static void set_argument(struct Event *event, const char *member, const struct vim_object *object)
{
    const struct vim_field *field = vim_field_by_name(event->vim_type, member, NULL);
    if (object == NULL || field == NULL || !vim_type_is(field->type, &EntityEventArgument_type)) {
        return;
    }
    void **at = vim_field_at(field, event);
    if (*at == NULL) {
        *at = argument_new(field->type, vim_entity_name(object), &object->ref);
    }
}

static void set_template(struct Event *event, const struct VirtualMachine *vm)
{
    if (vim_is_a(event, &VmEvent_type)) {
        ((struct VmEvent *)event)->template = (vm->config != NULL && vm->config->template) ||
                                              (vm->config == NULL && vm->summary != NULL &&
                                               vm->summary->config != NULL && vm->summary->config->template);
    }
}

/* Fills in where the object is (any lock). */
static void set_arguments(struct vim_inventory *inventory, struct Event *event, struct vim_object *object)
{
    const struct vim_type *type = object->ref.type;
    struct vim_object *place = object; /* from where the compute resource is found */
    if (vim_type_is(type, &VirtualMachine_type)) {
        const struct VirtualMachine *vm = object->properties;
        set_template(event, vm);
        set_argument(event, "vm", object);
        place = vm->runtime != NULL && vm->runtime->host.id != NULL
                    ? vim_inventory_find_ref(inventory, &vm->runtime->host)
                    : NULL;
    } else if (vim_type_is(type, &Datastore_type)) {
        set_argument(event, "ds", object);
        set_argument(event, "datastore", object);
    } else if (vim_type_is(type, &Network_type)) {
        set_argument(event, "net", object);
    }
    if (place != NULL && vim_type_is(place->ref.type, &HostSystem_type)) {
        set_argument(event, "host", place);
    }
    set_argument(event, "entity", object);
    set_argument(event, "computeResource", vim_entity_enclosing(inventory, place, &ComputeResource_type));
    set_argument(event, "datacenter", vim_entity_enclosing(inventory, object, &Datacenter_type));
}

/* The entity is gone: the event names it all the same. */
static void set_gone(struct Event *event, const struct vim_ref *entity)
{
    if (vim_type_is(entity->type, &VirtualMachine_type) && event->vm == NULL) {
        event->vm = argument_new(&VmEventArgument_type, entity->id, entity);
    }
}

/* ---- posting ---------------------------------------------------------------------------------------- */

static struct vim_history_items select_events(struct vim_server *server, const struct vim_session *session,
                                              const void *filter, const struct vim_history_range *range);

struct vim_events *vim_events_new(struct vim_server *server)
{
    struct vim_events *events = g_new0(struct vim_events, 1);
    events->server = server;
    g_queue_init(&events->records);
    vim_history_init(&events->history, select_events);
    return events;
}

void vim_events_free(struct vim_events *events)
{
    if (events != NULL) {
        vim_history_clear(&events->history);
        g_queue_clear_full(&events->records, record_free);
        vim_ref_clear(&events->manager);
        g_free(events);
    }
}

void vim_events_attach(struct vim_events *events, const struct vim_ref *manager)
{
    vim_write_lock(events->server->inventory);
    vim_ref_set(&events->manager, manager);
    struct vim_object *object = vim_inventory_find_ref(events->server->inventory, manager);
    int32_t max = VIM_HISTORY_MAX_COLLECTORS;
    vim_set(object, "maxCollector", &max);
    vim_set_data(object, "description", vim_event_description());
    const struct record *last = g_queue_peek_tail(&events->records);
    if (last != NULL) {
        vim_set_data(object, "latestEvent", vim_copy(last->event));
    }
    vim_write_unlock(events->server->inventory);
}

int32_t vim_event_chain_new(struct vim_server *server)
{
    return g_atomic_int_add(&server->events->last_key, 1) + 1;
}

/* What is above the subject: it, or else whatever the event names and is still there. (any lock) */
static GPtrArray *find_above(struct vim_events *events, struct Event *event, const struct vim_ref *subject)
{
    struct vim_inventory *inventory = events->server->inventory;
    struct vim_object *object = subject != NULL ? vim_inventory_find(inventory, subject->id) : NULL;
    GPtrArray *above =
        object != NULL ? vim_entity_ancestors(inventory, object) : g_ptr_array_new_with_free_func(g_free);
    void *const arguments[] = {event->host, event->computeResource, event->datacenter};
    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++) {
        const char *id = arguments[i] != NULL ? argument_ref(arguments[i])->id : NULL;
        bool same = id == NULL || (subject != NULL && strcmp(id, subject->id) == 0);
        if (!same && !g_ptr_array_find_with_equal_func(above, id, g_str_equal, NULL)) {
            g_ptr_array_add(above, g_strdup(id));
        }
    }
    const char *root = events->server->root_folder.id;
    if (root != NULL && !g_ptr_array_find_with_equal_func(above, root, g_str_equal, NULL)) {
        g_ptr_array_add(above, g_strdup(root));
    }
    return above;
}

/* Posts an event that is complete but for key, chain, time and sentence. */
static void post(struct vim_server *server, struct Event *event, const struct vim_ref *entity,
                 const char *user_name, char *sentence)
{
    struct vim_events *events = server->events;
    struct vim_inventory *inventory = server->inventory;
    vim_set_string(&event->userName, user_name != NULL ? user_name : "");
    g_free(event->fullFormattedMessage);
    event->fullFormattedMessage = sentence;
    vim_write_lock(inventory);
    event->key = g_atomic_int_add(&events->last_key, 1) + 1;
    event->createdTime = vim_now_us(server);
    if (event->chainId == 0) {
        event->chainId = event->key;
    }
    struct vim_object *object = entity != NULL ? vim_inventory_find(inventory, entity->id) : NULL;
    if (object != NULL) {
        set_arguments(inventory, event, object);
    } else if (entity != NULL) {
        set_gone(event, entity);
    }
    struct record *record = g_new0(struct record, 1);
    const struct vim_ref *subject = entity != NULL ? entity : event_subject(event);
    record->event = event;
    record->subject = g_strdup(subject != NULL ? subject->id : server->root_folder.id);
    record->above = find_above(events, event, subject);
    g_queue_push_tail(&events->records, record);
    if (g_queue_get_length(&events->records) > MAX_EVENTS) {
        record_free(g_queue_pop_head(&events->records));
    }
    struct vim_object *manager =
        events->manager.id != NULL ? vim_inventory_find_ref(inventory, &events->manager) : NULL;
    if (manager != NULL) {
        vim_set_data(manager, "latestEvent", vim_copy(event));
    }
    vim_history_changed(&events->history);
    vim_write_unlock(inventory);
}

void vim_event_post(struct vim_server *server, struct Event *event, const char *user_name, const char *format,
                    ...)
{
    va_list args;
    va_start(args, format);
    char *sentence = g_strdup_vprintf(format, args);
    va_end(args);
    post(server, event, NULL, user_name, sentence);
}

void vim_event_post_for(struct vim_server *server, struct Event *event, const struct vim_ref *entity,
                        const char *user_name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *sentence = g_strdup_vprintf(format, args);
    va_end(args);
    post(server, event, entity, user_name, sentence);
}

/* ---- selecting -------------------------------------------------------------------------------------- */

static bool is_visible(struct vim_server *server, const struct vim_session *session,
                       const struct record *record)
{
    struct vim_object *object =
        record->subject != NULL ? vim_inventory_find(server->inventory, record->subject) : NULL;
    for (guint i = 0; object == NULL && i < record->above->len; i++) {
        object = vim_inventory_find(server->inventory, g_ptr_array_index(record->above, i));
    }
    return object != NULL &&
           vim_authorized(server->authorization, session, object, VIM_PRIVILEGE_SYSTEM_READ);
}

static bool is_on_entity(const struct record *record, const struct EventFilterSpecByEntity *wanted)
{
    const char *id = wanted->entity.id;
    bool is_it = g_strcmp0(record->subject, id) == 0;
    bool is_below = !is_it && g_ptr_array_find_with_equal_func(record->above, id, g_str_equal, NULL);
    switch (wanted->recursion) {
    case EventFilterSpecRecursionOption_self:
        return is_it;
    case EventFilterSpecRecursionOption_children:
        return is_below;
    case EventFilterSpecRecursionOption_all:
    case EventFilterSpecRecursionOption_unset:
        return is_it || is_below;
    }
    g_assert_not_reached();
}

static bool is_by_user(const struct Event *event, const struct EventFilterSpecByUsername *wanted)
{
    if (event->userName[0] == '\0') {
        return wanted->systemUser;
    }
    return wanted->userList.n == 0 || vim_history_lists(&wanted->userList, event->userName);
}

/* Whether one of the names is the event's class or one that it extends. */
static bool is_of_class(const struct Event *event, const void *names)
{
    for (const struct vim_type *type = event->vim_type; type != NULL; type = type->base) {
        if (vim_history_lists(names, type->name)) {
            return true;
        }
    }
    return false;
}

/* Whether one of the ids, with or without "vim.event.", is the event's. */
static bool has_type_id(const struct Event *event, const void *ids)
{
    const char *id = vim_event_type_id(event);
    g_autofree char *prefixed = g_strconcat("vim.event.", id, NULL);
    return vim_history_lists(ids, id) || vim_history_lists(ids, prefixed);
}

static bool passes(const struct record *record, const struct EventFilterSpec *filter)
{
    const struct Event *event = record->event;
    const struct EventFilterSpecByTime *time = filter->time;
    if (filter->alarm.id != NULL || filter->scheduledTask.id != NULL) {
        return false; /* no event comes from one */
    }
    return (time == NULL || ((time->beginTime == 0 || event->createdTime >= time->beginTime) &&
                             (time->endTime == 0 || event->createdTime <= time->endTime))) &&
           (!filter->eventChainId.set || filter->eventChainId.value == event->chainId) &&
           (filter->userName == NULL || is_by_user(event, filter->userName)) &&
           (filter->category.n == 0 || vim_history_lists(&filter->category, vim_event_category(event))) &&
           (filter->type.n == 0 || is_of_class(event, &filter->type)) &&
           (filter->eventTypeId.n == 0 || has_type_id(event, &filter->eventTypeId)) &&
           (filter->tag.n == 0 || vim_history_lists(&filter->tag, event->changeTag)) &&
           (filter->entity == NULL || is_on_entity(record, filter->entity));
}

static struct vim_history_items select_events(struct vim_server *server, const struct vim_session *session,
                                              const void *filter, const struct vim_history_range *range)
{
    const struct EventFilterSpec *wanted = filter;
    struct vim_history_items items = {{NULL, 0}, 0};
    GQueue *records = &server->events->records;
    for (GList *link = range->newest_first ? records->tail : records->head;
         link != NULL && items.array.n < range->max; link = range->newest_first ? link->prev : link->next) {
        const struct record *record = link->data;
        if (record->event->key > range->after && record->event->key <= range->up_to &&
            passes(record, wanted) && is_visible(server, session, record)) {
            struct Event *copy = vim_copy(record->event);
            if (wanted->disableFullMessage.set && wanted->disableFullMessage.value) {
                vim_set_string(&copy->fullFormattedMessage, NULL);
            }
            vim_array_add_object(&items.array, copy);
            items.last = record->event->key;
        }
    }
    return items;
}

/* ---- methods ---------------------------------------------------------------------------------------- */

static struct vim_fault *check_filter(struct vim_call *call, const struct EventFilterSpec *filter)
{
    if (filter->maxCount.set && filter->maxCount.value < 1) {
        return fault_invalid_argument("filter.maxCount", "maxCount must be at least 1");
    }
    return filter->entity != NULL ? vim_call_require(call, &filter->entity->entity, VIM_PRIVILEGE_SYSTEM_VIEW)
                                  : NULL;
}

static struct vim_fault *query_events(struct vim_call *call, const struct QueryEvents_args *args,
                                      struct QueryEvents_result *ret)
{
    const struct EventFilterSpec *filter = args->filter;
    struct vim_fault *fault = check_filter(call, filter);
    if (fault != NULL) {
        return fault;
    }
    struct vim_history_range range = {
        .up_to = INT64_MAX,
        .newest_first = true, /* so that maxCount leaves out old ones */
        .max = filter->maxCount.set ? (uint32_t)filter->maxCount.value : MAX_EVENTS,
    };
    vim_read_lock(call->server->inventory);
    struct vim_history_items items = select_events(call->server, call->session, filter, &range);
    vim_read_unlock(call->server->inventory);
    void **all = items.array.items;
    for (uint32_t i = 0; i < items.array.n / 2; i++) {
        void *swapped = all[i];
        all[i] = all[items.array.n - 1 - i];
        all[items.array.n - 1 - i] = swapped;
    }
    memcpy(&ret->returnval, &items.array, sizeof(items.array));
    return NULL;
}

static struct vim_fault *create_collector(struct vim_call *call,
                                          const struct CreateCollectorForEvents_args *args,
                                          struct CreateCollectorForEvents_result *ret)
{
    struct vim_fault *fault = check_filter(call, args->filter);
    return fault != NULL ? fault
                         : vim_history_collect(call, &call->server->events->history,
                                               &EventHistoryCollector_type, args->filter, &ret->returnval);
}

static struct vim_fault *log_user_event(struct vim_call *call, const struct LogUserEvent_args *args)
{
    struct vim_fault *fault = vim_call_require(call, &args->entity, VIM_PRIVILEGE_GLOBAL_LOG_EVENT);
    if (fault != NULL) {
        return fault;
    }
    if (strlen(args->msg) > MAX_MESSAGE_BYTES) {
        return fault_invalid_argument("msg", "a message has at most %d bytes", MAX_MESSAGE_BYTES);
    }
    struct GeneralUserEvent *event = GeneralUserEvent_new();
    event->message = g_strdup(args->msg);
    vim_event_post_for(call->server, (struct Event *)event, &args->entity, call->session->user_name,
                       "User logged event: %s", args->msg);
    return NULL;
}

/* The sentence of an event from a client: its message, or what its type means. */
static char *posted_sentence(const struct Event *event)
{
    const struct vim_field *field = vim_field_by_name(event->vim_type, "message", NULL);
    const char *message =
        field != NULL && field->type->kind == VIM_STRING ? *(char *const *)vim_field_at(field, event) : NULL;
    if (message == NULL) {
        message = event->fullFormattedMessage;
    }
    return g_strdup(message != NULL ? message : event->vim_type->doc);
}

static struct vim_fault *post_event(struct vim_call *call, const struct PostEvent_args *args)
{
    if (!vim_event_is_concrete(args->eventToPost->vim_type)) {
        return fault_invalid_event("%s is only a base of events", args->eventToPost->vim_type->name);
    }
    if (vim_is_a(args->eventToPost, &TaskEvent_type) && args->taskInfo == NULL) {
        return fault_invalid_event("a TaskEvent needs taskInfo");
    }
    struct Event *event = vim_copy(args->eventToPost);
    event->chainId = 0;
    if (vim_is_a(event, &TaskEvent_type)) {
        struct TaskEvent *task_event = (struct TaskEvent *)event;
        vim_free(task_event->info);
        task_event->info = vim_copy(args->taskInfo);
        event->chainId = args->taskInfo->eventChainId;
    }
    struct vim_ref subject = {0};
    const struct vim_ref *named = event_subject(event);
    if (named != NULL) {
        subject = vim_ref_copy(named);
    }
    post(call->server, event, named != NULL ? &subject : NULL, call->session->user_name,
         posted_sentence(event));
    vim_ref_clear(&subject);
    return NULL;
}

static struct vim_fault *retrieve_argument_description(struct vim_call *call,
                                                       const struct RetrieveArgumentDescription_args *args,
                                                       struct RetrieveArgumentDescription_result *ret)
{
    (void)call;
    const char *name = g_str_has_prefix(args->eventTypeId, "vim.event.")
                           ? args->eventTypeId + strlen("vim.event.")
                           : args->eventTypeId;
    const struct vim_type *type = vim_type_by_name(name);
    if (type == NULL || !vim_type_is(type, &Event_type)) {
        return fault_invalid_argument("eventTypeId", "there is no event type \"%s\"", args->eventTypeId);
    }
    vim_event_describe_arguments(type, &ret->returnval);
    return NULL;
}

const struct EventManager_methods vim_event_manager_methods = {
    .RetrieveArgumentDescription = retrieve_argument_description,
    .CreateCollectorForEvents = create_collector,
    .LogUserEvent = log_user_event,
    .QueryEvents = query_events,
    .PostEvent = post_event,
};
