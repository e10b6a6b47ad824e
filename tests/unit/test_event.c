// SPDX-License-Identifier: Apache-2.0
/*
 * Events: what posting fills in, filters, who sees what, collectors, and what clients post.
 */
#include "vim/event.h"

#include "vim/history_collector.h"
#include "vim_fixture.h"

static struct EventManager *manager(struct fixture *f)
{
    return VIM_PROPERTIES(fixture_find(f, "ha-eventmgr"), EventManager);
}

static void post_vm(struct fixture *f, const struct vim_type *type, const char *vm, const char *user)
{
    struct vim_ref ref = {&VirtualMachine_type, (char *)vm};
    vim_event_post_for(&f->server, vim_new(type), &ref, user, "%s on %s", type->name, vm);
}

/* ---- posting ----------------------------------------------------------------------------------------- */

static void test_post_for_vm(struct fixture *f, gconstpointer data)
{
    (void)data;
    VIM_PROPERTIES(fixture_find(f, "vm-1"), VirtualMachine)->config->template = true;
    post_vm(f, &VmPoweredOnEvent_type, "vm-1", "root");
    const struct Event *event = manager(f)->latestEvent;
    g_assert_true(event->vim_type == &VmPoweredOnEvent_type);
    g_assert_cmpint(event->key, >, 0);
    g_assert_cmpint(event->chainId, ==, event->key);
    g_assert_cmpint(event->createdTime, ==, f->now_us);
    g_assert_cmpstr(event->userName, ==, "root");
    g_assert_cmpstr(event->fullFormattedMessage, ==, "VmPoweredOnEvent on vm-1");
    g_assert_cmpstr(event->vm->name, ==, "one");
    g_assert_cmpstr(event->vm->vm.id, ==, "vm-1");
    g_assert_cmpstr(event->host->name, ==, "localhost.local");
    g_assert_cmpstr(event->host->host.id, ==, "ha-host");
    g_assert_cmpstr(event->computeResource->computeResource.id, ==, "ha-compute-res");
    g_assert_cmpstr(event->datacenter->datacenter.id, ==, "ha-datacenter");
    g_assert_null(event->ds);
    g_assert_true(((const struct VmEvent *)event)->template);
}

static void test_post_for_others(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref ref = fixture_ref(f, "ds-1");
    vim_event_post_for(&f->server, vim_new(&DatastoreDestroyedEvent_type), &ref, NULL, "gone");
    const struct Event *event = manager(f)->latestEvent;
    g_assert_cmpstr(event->userName, ==, "");
    g_assert_cmpstr(event->ds->datastore.id, ==, "ds-1");
    g_assert_cmpstr(((const struct DatastoreEvent *)event)->datastore->name, ==, "local");
    g_assert_cmpstr(event->datacenter->name, ==, "ha-datacenter");
    g_assert_null(event->host);
    ref = fixture_ref(f, "net-1");
    vim_event_post_for(&f->server, vim_new(&GeneralEvent_type), &ref, NULL, "net");
    g_assert_cmpstr(manager(f)->latestEvent->net->network.id, ==, "net-1");
    ref = fixture_ref(f, "ha-host");
    vim_event_post_for(&f->server, vim_new(&GeneralHostInfoEvent_type), &ref, NULL, "host");
    g_assert_cmpstr(manager(f)->latestEvent->host->host.id, ==, "ha-host");
    g_assert_cmpstr(manager(f)->latestEvent->computeResource->name, ==, "localhost");
    /* What is there already stays; what is gone is still named. */
    struct VmRemovedEvent *removed = VmRemovedEvent_new();
    removed->vm = VmEventArgument_new();
    removed->vm->name = g_strdup("was one");
    removed->vm->vm = vim_ref_make(&VirtualMachine_type, "vm-9");
    struct vim_ref gone = {&VirtualMachine_type, "vm-9"};
    vim_event_post_for(&f->server, (struct Event *)removed, &gone, NULL, "removed");
    g_assert_cmpstr(manager(f)->latestEvent->vm->name, ==, "was one");
    post_vm(f, &VmRemovedEvent_type, "vm-8", NULL);
    g_assert_cmpstr(manager(f)->latestEvent->vm->name, ==, "vm-8");
    g_assert_cmpstr(manager(f)->latestEvent->vm->vm.id, ==, "vm-8");
}

static void test_chain(struct fixture *f, gconstpointer data)
{
    (void)data;
    int32_t chain = vim_event_chain_new(&f->server);
    struct Event *event = (struct Event *)GeneralEvent_new();
    event->chainId = chain;
    vim_event_post(&f->server, event, NULL, "first");
    g_assert_cmpint(manager(f)->latestEvent->chainId, ==, chain);
    g_assert_cmpint(manager(f)->latestEvent->key, >, chain);
    g_assert_cmpint(vim_event_chain_new(&f->server), >, manager(f)->latestEvent->key);
}

/* ---- queries ------------------------------------------------------------------------------------------ */

/* The messages of the events that pass the filter, which is freed, with "; " between; freed with g_free. */
static char *query(struct fixture *f, struct EventFilterSpec *filter)
{
    struct vim_call call = fixture_call(f, &f->root, &EventManager_type, "ha-eventmgr");
    struct QueryEvents_args args = {.filter = filter};
    struct QueryEvents_result result = {0};
    assert_success(vim_event_manager_methods.QueryEvents(&call, &args, &result));
    GString *messages = g_string_new(NULL);
    for (uint32_t i = 0; i < result.returnval.n; i++) {
        const char *message = result.returnval.items[i]->fullFormattedMessage;
        g_string_append_printf(messages, "%s%s", i > 0 ? "; " : "", message != NULL ? message : "(none)");
    }
    vim_clear_members(vim_method_by_name("QueryEvents")->result, &result);
    vim_free(filter);
    return g_string_free(messages, FALSE);
}

#define assert_query(f, filter, expected)           \
    do {                                            \
        g_autofree char *found_ = query(f, filter); \
        g_assert_cmpstr(found_, ==, expected);      \
    } while (0)

static struct EventFilterSpec *on_entity(struct fixture *f, const char *id,
                                         enum EventFilterSpecRecursionOption recursion)
{
    struct EventFilterSpec *filter = EventFilterSpec_new();
    filter->entity = EventFilterSpecByEntity_new();
    filter->entity->entity = vim_ref_copy(&fixture_find(f, id)->ref);
    filter->entity->recursion = recursion;
    return filter;
}

/* A filter with one string in one of its arrays. */
static struct EventFilterSpec *with_string(const char *member, const char *string)
{
    struct EventFilterSpec *filter = EventFilterSpec_new();
    vim_array_add_string(vim_field_at(vim_field_by_name(&EventFilterSpec_type, member, NULL), filter),
                         string);
    return filter;
}

/* One event of each of several sorts, a second apart. */
static void post_some(struct fixture *f)
{
    post_vm(f, &VmPoweredOnEvent_type, "vm-1", "root");
    fixture_advance_ms(f, 1000);
    post_vm(f, &VmFailedToPowerOnEvent_type, "vm-2", NULL);
    fixture_advance_ms(f, 1000);
    struct vim_ref host = fixture_ref(f, "ha-host");
    vim_event_post_for(&f->server, vim_new(&GeneralHostInfoEvent_type), &host, "guest", "host");
    fixture_advance_ms(f, 1000);
    vim_event_post(&f->server, vim_new(&UserLogoutSessionEvent_type), "guest", "logout");
}

#define ON "VmPoweredOnEvent on vm-1"
#define FAILED "VmFailedToPowerOnEvent on vm-2"

static void test_query_entity(struct fixture *f, gconstpointer data)
{
    (void)data;
    post_some(f);
    assert_query(f, EventFilterSpec_new(), ON "; " FAILED "; host; logout");
    assert_query(f, on_entity(f, "vm-1", EventFilterSpecRecursionOption_self), ON);
    assert_query(f, on_entity(f, "vm-1", EventFilterSpecRecursionOption_children), "");
    assert_query(f, on_entity(f, "ha-folder-vm", EventFilterSpecRecursionOption_self), "");
    assert_query(f, on_entity(f, "ha-folder-vm", EventFilterSpecRecursionOption_children), ON "; " FAILED);
    assert_query(f, on_entity(f, "ha-host", EventFilterSpecRecursionOption_self), "host");
    assert_query(f, on_entity(f, "ha-host", EventFilterSpecRecursionOption_children), ON "; " FAILED);
    assert_query(f, on_entity(f, "ha-host", EventFilterSpecRecursionOption_all), ON "; " FAILED "; host");
    assert_query(f, on_entity(f, "ha-folder-root", EventFilterSpecRecursionOption_all),
                 ON "; " FAILED "; host; logout");
    assert_query(f, on_entity(f, "ha-folder-root", EventFilterSpecRecursionOption_self), "logout");
    assert_query(f, on_entity(f, "ds-1", EventFilterSpecRecursionOption_all), "");
    /* What was below a folder stays so for its events. */
    vim_write_lock(f->server.inventory);
    fixture_remove_vm(f, "vm-1");
    vim_write_unlock(f->server.inventory);
    assert_query(f, on_entity(f, "ha-folder-vm", EventFilterSpecRecursionOption_all), ON "; " FAILED);
}

static void test_query_others(struct fixture *f, gconstpointer data)
{
    (void)data;
    int64_t start = f->now_us;
    post_some(f);
    assert_query(f, with_string("category", "error"), FAILED);
    assert_query(f, with_string("category", "info"), ON "; host; logout");
    assert_query(f, with_string("type", "VmEvent"), ON "; " FAILED);
    assert_query(f, with_string("type", "VmPoweredOnEvent"), ON);
    assert_query(f, with_string("eventTypeId", "VmPoweredOnEvent"), ON);
    assert_query(f, with_string("eventTypeId", "vim.event.VmPoweredOnEvent"), ON);
    assert_query(f, with_string("eventTypeId", "VmEvent"), "");
    assert_query(f, with_string("tag", "x"), "");
    struct EventFilterSpec *filter = EventFilterSpec_new();
    filter->time = EventFilterSpecByTime_new();
    filter->time->beginTime = start + 1000000;
    filter->time->endTime = start + 2000000;
    assert_query(f, filter, FAILED "; host");
    filter = EventFilterSpec_new();
    filter->userName = EventFilterSpecByUsername_new();
    filter->userName->systemUser = true;
    vim_array_add_string(&filter->userName->userList, "root");
    assert_query(f, filter, ON "; " FAILED);
    filter = EventFilterSpec_new();
    filter->userName = EventFilterSpecByUsername_new();
    assert_query(f, filter, ON "; host; logout");
    filter = EventFilterSpec_new();
    vim_set_optional(&filter->maxCount, 2);
    assert_query(f, filter, "host; logout");
    filter = EventFilterSpec_new();
    vim_set_optional(&filter->disableFullMessage, true);
    vim_set_optional(&filter->maxCount, 1);
    assert_query(f, filter, "(none)");
    filter = EventFilterSpec_new();
    vim_set_optional(&filter->eventChainId, manager(f)->latestEvent->chainId);
    assert_query(f, filter, "logout");
    filter = EventFilterSpec_new();
    filter->alarm = vim_ref_copy(&fixture_find(f, "vm-1")->ref);
    assert_query(f, filter, "");
}

static void test_query_refused(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_call call = fixture_call(f, &f->root, &EventManager_type, "ha-eventmgr");
    struct EventFilterSpec *filter = on_entity(f, "vm-1", EventFilterSpecRecursionOption_self);
    struct QueryEvents_args args = {.filter = filter};
    struct QueryEvents_result result = {0};
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_VIEW, "vm-1");
    assert_fault(vim_event_manager_methods.QueryEvents(&call, &args, &result), "NoPermission");
    vim_set_string(&filter->entity->entity.id, "vm-9");
    assert_fault(vim_event_manager_methods.QueryEvents(&call, &args, &result), "ManagedObjectNotFound");
    vim_set_optional(&filter->maxCount, 0);
    assert_fault(vim_event_manager_methods.QueryEvents(&call, &args, &result), "InvalidArgument");
    vim_free(filter);
}

static void test_hidden(struct fixture *f, gconstpointer data)
{
    (void)data;
    post_some(f);
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_READ, "vm-1");
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_READ, "ha-folder-root");
    assert_query(f, EventFilterSpec_new(), FAILED "; host");
    /* When it is gone, what was above it decides. */
    vim_write_lock(f->server.inventory);
    fixture_remove_vm(f, "vm-1");
    vim_write_unlock(f->server.inventory);
    assert_query(f, EventFilterSpec_new(), ON "; " FAILED "; host");
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_READ, "ha-folder-vm");
    assert_query(f, EventFilterSpec_new(), FAILED "; host");
}

static void test_limit(struct fixture *f, gconstpointer data)
{
    (void)data;
    for (int i = 0; i < 1005; i++) {
        vim_event_post(&f->server, vim_new(&GeneralEvent_type), NULL, "%d", i);
    }
    g_autofree char *all = query(f, EventFilterSpec_new());
    g_assert_true(g_str_has_prefix(all, "5; 6; "));
    g_assert_true(g_str_has_suffix(all, "; 1003; 1004"));
}

/* ---- collectors ---------------------------------------------------------------------------------------- */

static struct vim_ref collect(struct fixture *f, struct vim_session *session, struct EventFilterSpec *filter)
{
    struct vim_call call = fixture_call(f, session, &EventManager_type, "ha-eventmgr");
    struct CreateCollectorForEvents_args args = {.filter = filter};
    struct CreateCollectorForEvents_result result = {0};
    assert_success(vim_event_manager_methods.CreateCollectorForEvents(&call, &args, &result));
    vim_free(filter);
    return result.returnval;
}

/* Checks the messages in an array of events, with spaces between. */
static void assert_messages(const void *array, const char *expected)
{
    const struct vim_array *events = array;
    g_autoptr(GString) messages = g_string_new(NULL);
    for (uint32_t i = 0; i < events->n; i++) {
        const struct Event *event = ((struct Event **)events->items)[i];
        g_string_append_printf(messages, "%s%s", i > 0 ? " " : "", event->fullFormattedMessage);
    }
    g_assert_cmpstr(messages->str, ==, expected);
}

static void assert_next(struct fixture *f, const struct vim_ref *collector, int max, const char *expected)
{
    struct vim_call call = fixture_call(f, &f->root, &EventHistoryCollector_type, collector->id);
    struct ReadNextEvents_args args = {.maxCount = max};
    struct ReadNextEvents_result result = {0};
    assert_success(vim_event_history_collector_methods.ReadNextEvents(&call, &args, &result));
    assert_messages(&result.returnval, expected);
    vim_clear_members(vim_method_by_name("ReadNextEvents")->result, &result);
}

static void assert_previous(struct fixture *f, const struct vim_ref *collector, int max, const char *expected)
{
    struct vim_call call = fixture_call(f, &f->root, &EventHistoryCollector_type, collector->id);
    struct ReadPreviousEvents_args args = {.maxCount = max};
    struct ReadPreviousEvents_result result = {0};
    assert_success(vim_event_history_collector_methods.ReadPreviousEvents(&call, &args, &result));
    assert_messages(&result.returnval, expected);
    vim_clear_members(vim_method_by_name("ReadPreviousEvents")->result, &result);
}

static void post_numbers(struct fixture *f, int from, int to)
{
    for (int i = from; i <= to; i++) {
        vim_event_post(&f->server, vim_new(&GeneralEvent_type), NULL, "%d", i);
    }
}

static void test_collector_reads(struct fixture *f, gconstpointer data)
{
    (void)data;
    post_numbers(f, 1, 6);
    struct vim_ref collector = collect(f, &f->root, with_string("type", "GeneralEvent"));
    assert_previous(f, &collector, 10, "");
    assert_next(f, &collector, 4, "1 2 3 4");
    assert_next(f, &collector, 4, "5 6");
    assert_next(f, &collector, 4, "");
    post_vm(f, &VmPoweredOnEvent_type, "vm-1", NULL);
    post_numbers(f, 7, 7);
    assert_next(f, &collector, 4, "7");
    assert_previous(f, &collector, 2, "7 6");
    assert_previous(f, &collector, 2, "5 4");
    assert_next(f, &collector, 1, "4");
    struct vim_call call = fixture_call(f, &f->root, &EventHistoryCollector_type, collector.id);
    struct RewindCollector_args rewind = {0};
    assert_success(vim_event_history_collector_methods.RewindCollector(&call, &rewind));
    assert_next(f, &collector, 2, "1 2");
    struct SetCollectorPageSize_args size = {.maxCount = 3};
    assert_success(vim_event_history_collector_methods.SetCollectorPageSize(&call, &size));
    struct ResetCollector_args reset = {0};
    assert_success(vim_event_history_collector_methods.ResetCollector(&call, &reset));
    assert_previous(f, &collector, 2, "4 3");
    assert_success(vim_event_history_collector_methods.ResetCollector(&call, &reset));
    assert_next(f, &collector, 10, "5 6 7");
    vim_ref_clear(&collector);
}

static void test_collector_page(struct fixture *f, gconstpointer data)
{
    (void)data;
    post_numbers(f, 1, 12);
    struct vim_ref collector = collect(f, &f->root, with_string("type", "GeneralEvent"));
    const struct EventHistoryCollector *properties = fixture_find(f, collector.id)->properties;
    assert_messages(&properties->latestPage, "12 11 10 9 8 7 6 5 4 3");
    g_assert_true(properties->filter->type == &EventFilterSpec_type);
    struct vim_call call = fixture_call(f, &f->root, &EventHistoryCollector_type, collector.id);
    struct SetCollectorPageSize_args size = {.maxCount = 3};
    assert_success(vim_event_history_collector_methods.SetCollectorPageSize(&call, &size));
    assert_messages(&properties->latestPage, "12 11 10");
    post_numbers(f, 13, 13);
    post_vm(f, &VmPoweredOnEvent_type, "vm-1", NULL);
    assert_messages(&properties->latestPage, "13 12 11");
    size.maxCount = 0;
    assert_fault(vim_event_history_collector_methods.SetCollectorPageSize(&call, &size), "InvalidArgument");
    size.maxCount = 1001;
    assert_fault(vim_event_history_collector_methods.SetCollectorPageSize(&call, &size), "InvalidArgument");
    struct ReadNextEvents_args none = {.maxCount = 0};
    struct ReadNextEvents_result result = {0};
    assert_fault(vim_event_history_collector_methods.ReadNextEvents(&call, &none, &result),
                 "InvalidArgument");
    vim_ref_clear(&collector);
}

static void test_collector_life(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref first = collect(f, &f->root, EventFilterSpec_new());
    for (int i = 1; i < VIM_HISTORY_MAX_COLLECTORS; i++) {
        struct vim_ref collector = collect(f, &f->root, EventFilterSpec_new());
        vim_ref_clear(&collector);
    }
    struct vim_call call = fixture_call(f, &f->root, &EventManager_type, "ha-eventmgr");
    struct EventFilterSpec *filter = EventFilterSpec_new();
    struct CreateCollectorForEvents_args args = {.filter = filter};
    struct CreateCollectorForEvents_result result = {0};
    assert_fault(vim_event_manager_methods.CreateCollectorForEvents(&call, &args, &result), "InvalidState");
    struct vim_ref other = collect(f, &f->guest, vim_copy(filter));
    /* Another session's collector cannot be used. */
    struct DestroyCollector_args destroy = {0};
    call = fixture_call(f, &f->root, &EventHistoryCollector_type, other.id);
    assert_fault(vim_event_history_collector_methods.DestroyCollector(&call, &destroy),
                 "ManagedObjectNotFound");
    call = fixture_call(f, &f->root, &EventHistoryCollector_type, first.id);
    assert_success(vim_event_history_collector_methods.DestroyCollector(&call, &destroy));
    assert_fault(vim_event_history_collector_methods.DestroyCollector(&call, &destroy),
                 "ManagedObjectNotFound");
    struct vim_ref again = collect(f, &f->root, vim_copy(filter));
    fixture_session_end(f, &f->root);
    post_numbers(f, 1, 1);
    g_assert_null(vim_inventory_find(f->server.inventory, again.id));
    vim_free(filter);
    vim_ref_clear(&first);
    vim_ref_clear(&other);
    vim_ref_clear(&again);
}

/* ---- what clients do ------------------------------------------------------------------------------------ */

static void test_log_user_event(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_call call = fixture_call(f, &f->root, &EventManager_type, "ha-eventmgr");
    struct LogUserEvent_args args = {.entity = fixture_ref(f, "vm-1"), .msg = "100% done"};
    assert_success(vim_event_manager_methods.LogUserEvent(&call, &args));
    const struct GeneralUserEvent *event = (const void *)manager(f)->latestEvent;
    g_assert_true(event->vim_type == &GeneralUserEvent_type);
    g_assert_cmpstr(event->message, ==, "100% done");
    g_assert_cmpstr(event->fullFormattedMessage, ==, "User logged event: 100% done");
    g_assert_cmpstr(event->entity->entity.id, ==, "vm-1");
    g_assert_cmpstr(event->userName, ==, "root");
    assert_query(f, with_string("category", "user"), "User logged event: 100% done");
    g_autofree char *long_message = g_strnfill(10000, 'x');
    args.msg = long_message;
    assert_fault(vim_event_manager_methods.LogUserEvent(&call, &args), "InvalidArgument");
    fixture_deny(f, "root", VIM_PRIVILEGE_GLOBAL_LOG_EVENT, "vm-1");
    assert_fault(vim_event_manager_methods.LogUserEvent(&call, &args), "NoPermission");
}

static void test_post_event(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_call call = fixture_call(f, &f->root, &EventManager_type, "ha-eventmgr");
    struct EventEx *event = EventEx_new();
    event->key = 77;
    event->chainId = 78;
    event->createdTime = 1;
    event->userName = g_strdup("somebody");
    event->eventTypeId = g_strdup("com.example.alert");
    event->severity = g_strdup("warning");
    event->message = g_strdup("hot");
    event->host = HostEventArgument_new();
    event->host->name = g_strdup("h");
    event->host->host = vim_ref_copy(&fixture_find(f, "ha-host")->ref);
    struct PostEvent_args args = {.eventToPost = (struct Event *)event};
    assert_success(vim_event_manager_methods.PostEvent(&call, &args));
    const struct Event *posted = manager(f)->latestEvent;
    g_assert_cmpint(posted->key, !=, 77);
    g_assert_cmpint(posted->chainId, ==, posted->key);
    g_assert_cmpint(posted->createdTime, ==, f->now_us);
    g_assert_cmpstr(posted->userName, ==, "root");
    g_assert_cmpstr(posted->fullFormattedMessage, ==, "hot");
    assert_query(f, with_string("eventTypeId", "com.example.alert"), "hot");
    assert_query(f, with_string("category", "warning"), "hot");
    assert_query(f, on_entity(f, "ha-host", EventFilterSpecRecursionOption_self), "hot");
    vim_free(event);
    struct Event *base = (struct Event *)VmEvent_new();
    base->userName = g_strdup("");
    args.eventToPost = base;
    assert_fault(vim_event_manager_methods.PostEvent(&call, &args), "InvalidEvent");
    vim_free(base);
    struct TaskEvent *task_event = TaskEvent_new();
    args.eventToPost = (struct Event *)task_event;
    assert_fault(vim_event_manager_methods.PostEvent(&call, &args), "InvalidEvent");
    args.taskInfo = TaskInfo_new();
    args.taskInfo->key = g_strdup("task-1");
    args.taskInfo->eventChainId = 5;
    assert_success(vim_event_manager_methods.PostEvent(&call, &args));
    g_assert_cmpstr(((struct TaskEvent *)manager(f)->latestEvent)->info->key, ==, "task-1");
    g_assert_cmpint(manager(f)->latestEvent->chainId, ==, 5);
    vim_free(args.taskInfo);
    vim_free(task_event);
}

static void test_description(struct fixture *f, gconstpointer data)
{
    (void)data;
    const struct EventDescription *description = manager(f)->description;
    g_assert_cmpuint(description->category.n, ==, 4);
    const char *on = NULL;
    const char *failed = NULL;
    for (uint32_t i = 0; i < description->eventInfo.n; i++) {
        const struct EventDescriptionEventDetail *detail = description->eventInfo.items[i];
        g_assert_cmpstr(detail->key, !=, "VmEvent");
        on = strcmp(detail->key, "VmPoweredOnEvent") == 0 ? detail->category : on;
        failed = strcmp(detail->key, "VmFailedToPowerOnEvent") == 0 ? detail->category : failed;
    }
    g_assert_cmpstr(on, ==, "info");
    g_assert_cmpstr(failed, ==, "error");
    struct vim_call call = fixture_call(f, &f->root, &EventManager_type, "ha-eventmgr");
    struct RetrieveArgumentDescription_args args = {.eventTypeId = "VmRenamedEvent"};
    struct RetrieveArgumentDescription_result result = {0};
    assert_success(vim_event_manager_methods.RetrieveArgumentDescription(&call, &args, &result));
    const struct EventArgDesc *last = result.returnval.items[result.returnval.n - 1];
    g_assert_cmpstr(last->name, ==, "newName");
    g_assert_cmpstr(last->type, ==, "string");
    vim_clear_members(vim_method_by_name("RetrieveArgumentDescription")->result, &result);
    args.eventTypeId = "VirtualMachine";
    assert_fault(vim_event_manager_methods.RetrieveArgumentDescription(&call, &args, &result),
                 "InvalidArgument");
}

#define ADD(path, function) g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/event/post/vm", test_post_for_vm);
    ADD("/event/post/others", test_post_for_others);
    ADD("/event/post/chain", test_chain);
    ADD("/event/query/entity", test_query_entity);
    ADD("/event/query/others", test_query_others);
    ADD("/event/query/refused", test_query_refused);
    ADD("/event/query/hidden", test_hidden);
    ADD("/event/limit", test_limit);
    ADD("/event/collector/reads", test_collector_reads);
    ADD("/event/collector/page", test_collector_page);
    ADD("/event/collector/life", test_collector_life);
    ADD("/event/client/log-user-event", test_log_user_event);
    ADD("/event/client/post-event", test_post_event);
    ADD("/event/description", test_description);
    return g_test_run();
}
