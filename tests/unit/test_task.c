// SPDX-License-Identifier: Apache-2.0
/*
 * Tasks: what their TaskInfo shows on the way, cancelling, shutdown, how long they stay, tasks that clients
 * report on, and task collectors.
 */
#include "vim/task.h"

#include "vim/history_collector.h"
#include "vim_fixture.h"

/* ---- work ------------------------------------------------------------------------------------------- */

/* Work that waits to be let go, and says how it went. */
struct work {
    GMutex lock; /* guards what follows */
    GCond changed;
    bool entered;
    bool may_go;
    bool freed;
    bool wait_for_cancel;    /* instead of being let go */
    struct vim_fault *fault; /* what it ends with; moved out */
    struct vim_any *result;
    int percent; /* -1: none */
};

static struct work work_new(void)
{
    struct work work = {.percent = -1};
    g_mutex_init(&work.lock);
    g_cond_init(&work.changed);
    return work;
}

static void work_clear(struct work *work)
{
    g_mutex_clear(&work->lock);
    g_cond_clear(&work->changed);
}

static struct vim_fault *work_run(struct vim_task *task, void *data)
{
    struct work *work = data;
    g_mutex_lock(&work->lock);
    work->entered = true;
    g_cond_broadcast(&work->changed);
    while (!work->may_go && !(work->wait_for_cancel && vim_task_is_cancelled(task))) {
        if (work->wait_for_cancel) {
            g_mutex_unlock(&work->lock);
            g_thread_yield();
            g_mutex_lock(&work->lock);
        } else {
            g_cond_wait(&work->changed, &work->lock);
        }
    }
    g_mutex_unlock(&work->lock);
    if (work->percent >= 0) {
        vim_task_progress(task, work->percent);
    }
    if (work->result != NULL) {
        vim_task_set_result(task, g_steal_pointer(&work->result));
    }
    return g_steal_pointer(&work->fault);
}

static void work_freed(void *data)
{
    struct work *work = data;
    g_mutex_lock(&work->lock);
    work->freed = true;
    g_cond_broadcast(&work->changed);
    g_mutex_unlock(&work->lock);
}

static void let_go(struct work *work)
{
    g_mutex_lock(&work->lock);
    work->may_go = true;
    g_cond_broadcast(&work->changed);
    g_mutex_unlock(&work->lock);
}

static void wait_until(struct work *work, const bool *condition)
{
    g_mutex_lock(&work->lock);
    while (!*condition) {
        g_cond_wait(&work->changed, &work->lock);
    }
    g_mutex_unlock(&work->lock);
}

/* ---- watching a task --------------------------------------------------------------------------------- */

struct observer {
    struct vim_watch watch;
    GMutex lock;
    GCond changed;
    bool ended;
    unsigned progress; /* how often it changed to a number */
};

static bool is_over(const struct TaskInfo *info)
{
    return info->state == TaskInfoState_success || info->state == TaskInfoState_error;
}

static void observed(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change)
{
    struct observer *observer = (struct observer *)watch;
    const struct TaskInfo *info = VIM_PROPERTIES(object, Task)->info;
    g_mutex_lock(&observer->lock);
    observer->progress += g_strcmp0(change->path, "info.progress") == 0 && info->progress.set;
    observer->ended = observer->ended || is_over(info);
    g_cond_broadcast(&observer->changed);
    g_mutex_unlock(&observer->lock);
}

static void observe(struct fixture *f, const struct vim_ref *task, struct observer *observer)
{
    *observer = (struct observer){.watch.changed = observed};
    g_mutex_init(&observer->lock);
    g_cond_init(&observer->changed);
    vim_write_lock(f->server.inventory);
    struct vim_object *object = fixture_find(f, task->id);
    observer->ended = is_over(VIM_PROPERTIES(object, Task)->info);
    vim_watch_add(object, &observer->watch);
    vim_write_unlock(f->server.inventory);
}

static void unobserve(struct fixture *f, const struct vim_ref *task, struct observer *observer)
{
    vim_write_lock(f->server.inventory);
    vim_watch_remove(fixture_find(f, task->id), &observer->watch);
    vim_write_unlock(f->server.inventory);
    g_mutex_clear(&observer->lock);
    g_cond_clear(&observer->changed);
}

static void wait_for_end(struct fixture *f, const struct vim_ref *task)
{
    struct observer observer;
    observe(f, task, &observer);
    g_mutex_lock(&observer.lock);
    while (!observer.ended) {
        g_cond_wait(&observer.changed, &observer.lock);
    }
    g_mutex_unlock(&observer.lock);
    unobserve(f, task, &observer);
}

/* A copy of the task's info. */
static struct TaskInfo *info_of(struct fixture *f, const struct vim_ref *task)
{
    vim_read_lock(f->server.inventory);
    struct TaskInfo *info = vim_copy(VIM_PROPERTIES(fixture_find(f, task->id), Task)->info);
    vim_read_unlock(f->server.inventory);
    return info;
}

static void assert_error(struct fixture *f, const struct vim_ref *task, const char *type)
{
    struct TaskInfo *info = info_of(f, task);
    g_assert_cmpint(info->state, ==, TaskInfoState_error);
    g_assert_cmpstr(info->error->fault->vim_type->name, ==, type);
    vim_free(info);
}

static enum TaskInfoState state_of(struct fixture *f, const struct vim_ref *task)
{
    struct TaskInfo *info = info_of(f, task);
    enum TaskInfoState state = info->state;
    vim_free(info);
    return state;
}

/* ---- starting ---------------------------------------------------------------------------------------- */

/* Starts the work as PowerOnVM_Task of vm-1 would; as the system when session is NULL. */
static struct vim_ref start(struct fixture *f, struct vim_session *session, struct work *work,
                            bool cancelable)
{
    struct vim_call call = fixture_call(f, session, &VirtualMachine_type, "vm-1");
    call.request.method = vim_method_by_name("PowerOnVM_Task");
    struct vim_task_spec spec = {
        .description_id = "VirtualMachine.powerOn",
        .entity = {&VirtualMachine_type, "vm-1"},
        .run = work_run,
        .data = work,
        .data_free = work_freed,
        .cancelable = cancelable,
    };
    struct vim_ref task = {0};
    assert_success(vim_task_start(&f->server, session != NULL ? &call : NULL, &spec, &task));
    return task;
}

static struct vim_fault *cancel(struct fixture *f, struct vim_session *session, const struct vim_ref *task)
{
    struct vim_call call = fixture_call(f, session, &Task_type, task->id);
    struct CancelTask_args args = {0};
    return vim_task_methods.CancelTask(&call, &args);
}

/* ---- life -------------------------------------------------------------------------------------------- */

static void test_success(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    work.result = vim_any_int(42);
    work.percent = 50;
    struct vim_ref task = start(f, &f->root, &work, true);
    wait_until(&work, &work.entered);
    struct TaskInfo *info = info_of(f, &task);
    g_assert_cmpstr(info->key, ==, task.id);
    g_assert_cmpstr(task.id, ==, "haTask-vm-1-vim.VirtualMachine.powerOn-1");
    g_assert_true(vim_ref_equal(&info->task, &task));
    g_assert_cmpstr(info->name, ==, "PowerOnVM_Task");
    g_assert_cmpstr(info->descriptionId, ==, "VirtualMachine.powerOn");
    g_assert_cmpstr(info->entity.id, ==, "vm-1");
    g_assert_cmpstr(info->entityName, ==, "one");
    g_assert_cmpint(info->state, ==, TaskInfoState_running);
    g_assert_true(info->cancelable);
    g_assert_false(info->cancelled);
    g_assert_cmpint(info->queueTime, ==, f->now_us);
    g_assert_cmpint(info->startTime, ==, f->now_us);
    g_assert_cmpint(info->completeTime, ==, 0);
    g_assert_cmpint(info->eventChainId, >, 0);
    g_assert_true(vim_is_a(info->reason, &TaskReasonUser_type));
    g_assert_cmpstr(((struct TaskReasonUser *)info->reason)->userName, ==, "root");
    vim_free(info);
    fixture_advance_ms(f, 1000);
    let_go(&work);
    wait_for_end(f, &task);
    g_assert_true(work.freed);
    info = info_of(f, &task);
    g_assert_cmpint(info->state, ==, TaskInfoState_success);
    g_assert_cmpint(info->completeTime, ==, f->now_us);
    g_assert_cmpint(info->completeTime - info->startTime, ==, 1000000);
    g_assert_true(info->result->type == &vim_type_int);
    g_assert_cmpint(*(int32_t *)info->result->value, ==, 42);
    g_assert_null(info->error);
    g_assert_false(info->progress.set);
    g_assert_false(info->cancelable);
    vim_free(info);
    vim_ref_clear(&task);
    work_clear(&work);
}

static void test_error(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    work.may_go = true;
    work.fault = fault_invalid_state("out of order");
    struct vim_ref task = start(f, NULL, &work, false);
    wait_for_end(f, &task);
    struct TaskInfo *info = info_of(f, &task);
    g_assert_cmpint(info->state, ==, TaskInfoState_error);
    g_assert_cmpstr(info->error->localizedMessage, ==, "out of order");
    g_assert_true(info->error->fault->vim_type == &InvalidState_type);
    g_assert_null(info->name);
    g_assert_true(vim_is_a(info->reason, &TaskReasonSystem_type));
    vim_free(info);
    vim_ref_clear(&task);
    work_clear(&work);
}

static struct vim_fault *progress_run(struct vim_task *task, void *data)
{
    static const int steps[] = {0, 0, 10, 10, 10, 200, 200, -5};
    struct work *work = data;
    wait_until(work, &work->may_go);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        vim_task_progress(task, steps[i]);
    }
    return NULL;
}

static void test_progress(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    struct vim_task_spec spec = {
        .description_id = "VirtualMachine.powerOn",
        .entity = {&VirtualMachine_type, "vm-1"},
        .run = progress_run,
        .data = &work,
    };
    struct vim_ref task = {0};
    assert_success(vim_task_start(&f->server, NULL, &spec, &task));
    struct observer observer;
    observe(f, &task, &observer);
    let_go(&work);
    wait_for_end(f, &task);
    g_assert_cmpuint(observer.progress, ==, 4); /* 0, 10, 100, 0 */
    unobserve(f, &task, &observer);
    vim_ref_clear(&task);
    work_clear(&work);
}

static void test_no_entity(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    work.may_go = true;
    struct vim_task_spec spec = {.description_id = "Some.thing", .run = work_run, .data = &work};
    struct vim_ref task = {0};
    assert_success(vim_task_start(&f->server, NULL, &spec, &task));
    wait_for_end(f, &task);
    struct TaskInfo *info = info_of(f, &task);
    g_assert_null(info->entity.id);
    g_assert_null(info->entityName);
    vim_free(info);
    vim_ref_clear(&task);
    work_clear(&work);
}

/* ---- cancelling --------------------------------------------------------------------------------------- */

static void test_cancel_running(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    work.wait_for_cancel = true;
    work.fault = fault_invalid_state("stopped half-way");
    struct vim_ref task = start(f, &f->root, &work, true);
    wait_until(&work, &work.entered);
    assert_success(cancel(f, &f->root, &task));
    wait_for_end(f, &task);
    struct TaskInfo *info = info_of(f, &task);
    g_assert_true(info->cancelled);
    g_assert_true(info->error->fault->vim_type == &RequestCanceled_type);
    g_assert_true(info->error->fault->faultCause->fault->vim_type == &InvalidState_type);
    vim_free(info);
    assert_fault(cancel(f, &f->root, &task), "InvalidState");
    vim_ref_clear(&task);
    work_clear(&work);
}

static void test_cancel_too_late(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    struct vim_ref task = start(f, &f->root, &work, true);
    wait_until(&work, &work.entered);
    assert_success(cancel(f, &f->root, &task));
    let_go(&work);
    wait_for_end(f, &task);
    g_assert_cmpint(state_of(f, &task), ==, TaskInfoState_success);
    vim_ref_clear(&task);
    work_clear(&work);
}

static void test_cancel_refused(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    struct work system = work_new();
    struct vim_ref task = start(f, &f->root, &work, false);
    struct vim_ref other = start(f, NULL, &system, true);
    assert_fault(cancel(f, &f->root, &task), "NotSupported");
    /* Others need a privilege on what the task works on. */
    fixture_deny(f, "guest", VIM_PRIVILEGE_GLOBAL_CANCEL_TASK, "vm-1");
    fixture_deny(f, "root", VIM_PRIVILEGE_GLOBAL_CANCEL_TASK, "vm-1");
    assert_fault(cancel(f, &f->guest, &task), "NoPermission");
    assert_fault(cancel(f, &f->root, &other), "NoPermission");
    g_hash_table_remove_all(f->authorization.denied);
    assert_success(cancel(f, &f->guest, &other));
    struct vim_ref gone = {&Task_type, "no-such"};
    assert_fault(cancel(f, &f->root, &gone), "ManagedObjectNotFound");
    let_go(&work);
    let_go(&system);
    wait_for_end(f, &task);
    wait_for_end(f, &other);
    vim_ref_clear(&task);
    vim_ref_clear(&other);
    work_clear(&work);
    work_clear(&system);
}

enum { THREADS = 64 };

static void test_cancel_queued(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work busy[THREADS];
    struct vim_ref tasks[THREADS];
    for (int i = 0; i < THREADS; i++) {
        busy[i] = work_new();
        tasks[i] = start(f, &f->root, &busy[i], false);
    }
    for (int i = 0; i < THREADS; i++) {
        wait_until(&busy[i], &busy[i].entered);
    }
    struct work work = work_new();
    struct vim_ref task = start(f, &f->root, &work, true);
    g_assert_cmpint(state_of(f, &task), ==, TaskInfoState_queued);
    assert_success(cancel(f, &f->root, &task));
    assert_error(f, &task, "RequestCanceled");
    for (int i = 0; i < THREADS; i++) {
        let_go(&busy[i]);
    }
    wait_until(&work, &work.freed);
    g_assert_false(work.entered);
    for (int i = 0; i < THREADS; i++) {
        wait_for_end(f, &tasks[i]);
        vim_ref_clear(&tasks[i]);
        work_clear(&busy[i]);
    }
    assert_error(f, &task, "RequestCanceled");
    vim_ref_clear(&task);
    work_clear(&work);
}

static void test_shutdown(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work busy[THREADS];
    struct vim_ref tasks[THREADS];
    for (int i = 0; i < THREADS; i++) {
        busy[i] = work_new();
        busy[i].wait_for_cancel = true;
        busy[i].fault = fault_request_canceled("stopped");
        tasks[i] = start(f, &f->root, &busy[i], true);
    }
    for (int i = 0; i < THREADS; i++) {
        wait_until(&busy[i], &busy[i].entered);
    }
    struct work work = work_new();
    struct vim_ref queued = start(f, &f->root, &work, false);
    vim_tasks_free(g_steal_pointer(&f->server.tasks));
    g_assert_false(work.entered);
    g_assert_true(work.freed);
    assert_error(f, &queued, "RequestCanceled");
    for (int i = 0; i < THREADS; i++) {
        assert_error(f, &tasks[i], "RequestCanceled");
        vim_ref_clear(&tasks[i]);
        work_clear(&busy[i]);
    }
    assert_fault(cancel(f, &f->root, &queued), "ManagedObjectNotFound");
    vim_ref_clear(&queued);
    work_clear(&work);
}

/* ---- lists ------------------------------------------------------------------------------------------- */

static struct TaskManager *manager(struct fixture *f)
{
    return VIM_PROPERTIES(fixture_find(f, "ha-taskmgr"), TaskManager);
}

static struct vim_ref run_one(struct fixture *f)
{
    struct work work = work_new();
    work.may_go = true;
    struct vim_ref task = start(f, &f->root, &work, false);
    wait_for_end(f, &task);
    work_clear(&work);
    return task;
}

static void test_recent(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref first = run_one(f);
    assert_ids(&manager(f)->recentTask, first.id);
    assert_ids(&VIM_PROPERTIES(fixture_find(f, "vm-1"), VirtualMachine)->recentTask, first.id);
    fixture_advance_ms(f, 10 * 60 * 1000);
    struct vim_ref second = run_one(f);
    g_assert_nonnull(vim_inventory_find(f->server.inventory, first.id));
    fixture_advance_ms(f, 1);
    struct vim_ref third = run_one(f);
    g_assert_null(vim_inventory_find(f->server.inventory, first.id));
    g_autofree char *expected = g_strjoin(" ", second.id, third.id, NULL);
    assert_ids(&manager(f)->recentTask, expected);
    assert_ids(&VIM_PROPERTIES(fixture_find(f, "vm-1"), VirtualMachine)->recentTask, expected);
    vim_ref_clear(&first);
    vim_ref_clear(&second);
    vim_ref_clear(&third);
}

static void test_recent_limit(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    struct vim_ref running = start(f, &f->root, &work, false);
    struct vim_ref first = run_one(f);
    for (int i = 0; i < 199; i++) {
        struct vim_ref task = run_one(f);
        vim_ref_clear(&task);
    }
    /* The oldest that has ended made room, and is still there. */
    g_assert_cmpuint(manager(f)->recentTask.n, ==, 200);
    g_autofree char *ids = fixture_ids(&manager(f)->recentTask);
    g_auto(GStrv) split = g_strsplit(ids, " ", -1);
    g_assert_true(g_strv_contains((const char *const *)split, running.id));
    g_assert_false(g_strv_contains((const char *const *)split, first.id));
    g_assert_nonnull(vim_inventory_find(f->server.inventory, first.id));
    let_go(&work);
    wait_for_end(f, &running);
    vim_ref_clear(&running);
    vim_ref_clear(&first);
    work_clear(&work);
}

static void test_ended_limit(struct fixture *f, gconstpointer data)
{
    (void)data;
    guint before = vim_inventory_objects(f->server.inventory)->len;
    struct vim_ref first = run_one(f);
    for (int i = 0; i < 1100; i++) {
        struct vim_ref task = run_one(f);
        vim_ref_clear(&task);
    }
    /* Young ones stay, however many. */
    g_assert_cmpuint(vim_inventory_objects(f->server.inventory)->len, ==, before + 1101);
    fixture_advance_ms(f, 61 * 1000);
    struct vim_ref last = run_one(f);
    g_assert_cmpuint(vim_inventory_objects(f->server.inventory)->len, ==, before + 1000);
    g_assert_null(vim_inventory_find(f->server.inventory, first.id));
    vim_ref_clear(&first);
    vim_ref_clear(&last);
}

/* The entity may go while its task runs. */
static void test_entity_goes(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    struct vim_ref task = start(f, &f->root, &work, false);
    vim_write_lock(f->server.inventory);
    fixture_remove_vm(f, "vm-1");
    vim_write_unlock(f->server.inventory);
    let_go(&work);
    wait_for_end(f, &task);
    g_assert_cmpint(state_of(f, &task), ==, TaskInfoState_success);
    vim_ref_clear(&task);
    work_clear(&work);
}

static void test_description(struct fixture *f, gconstpointer data)
{
    (void)data;
    const struct TaskDescription *description = manager(f)->description;
    bool found = false;
    for (uint32_t i = 0; i < description->methodInfo.n; i++) {
        found = found || strcmp(description->methodInfo.items[i]->key, "VirtualMachine.powerOn") == 0;
    }
    g_assert_true(found);
    g_assert_cmpuint(description->state.n, ==, 4);
    g_assert_cmpuint(description->reason.n, ==, 4);
    g_assert_cmpint(manager(f)->maxCollector, >, 0);
}

/* ---- tasks that clients report on --------------------------------------------------------------------- */

static struct vim_ref create(struct fixture *f, struct CreateTask_args *args)
{
    struct vim_call call = fixture_call(f, &f->root, &TaskManager_type, "ha-taskmgr");
    struct CreateTask_result result = {0};
    assert_success(vim_task_manager_methods.CreateTask(&call, args, &result));
    struct vim_ref task = vim_ref_copy(&result.returnval->task);
    vim_free(result.returnval);
    return task;
}

static struct vim_fault *report(struct fixture *f, const struct vim_ref *task, enum TaskInfoState state,
                                struct vim_any *result, struct LocalizedMethodFault *fault)
{
    struct vim_call call = fixture_call(f, &f->root, &Task_type, task->id);
    struct SetTaskState_args args = {.state = state, .result = result, .fault = fault};
    return vim_task_methods.SetTaskState(&call, &args);
}

static struct vim_fault *report_progress(struct fixture *f, const struct vim_ref *task, int percent)
{
    struct vim_call call = fixture_call(f, &f->root, &Task_type, task->id);
    struct UpdateProgress_args args = {.percentDone = percent};
    return vim_task_methods.UpdateProgress(&call, &args);
}

static void test_reported(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct CreateTask_args args = {
        .obj = fixture_ref(f, "vm-2"),
        .taskTypeId = "com.example.backup",
        .initiatedBy = "nightly",
        .cancelable = true,
        .activationId = "a-1",
    };
    struct vim_ref task = create(f, &args);
    assert_fault(report_progress(f, &task, 5), "InvalidState");
    assert_success(report(f, &task, TaskInfoState_running, NULL, NULL));
    assert_fault(report(f, &task, TaskInfoState_running, NULL, NULL), "InvalidState");
    assert_fault(report(f, &task, TaskInfoState_queued, NULL, NULL), "InvalidState");
    assert_fault(report_progress(f, &task, 101), "OutOfBounds");
    assert_success(report_progress(f, &task, 55));
    struct vim_call call = fixture_call(f, &f->root, &Task_type, task.id);
    struct LocalizableMessage *message = LocalizableMessage_new();
    message->key = g_strdup("com.example.copying");
    struct SetTaskDescription_args describe = {.description = message};
    assert_success(vim_task_methods.SetTaskDescription(&call, &describe));
    vim_free(message);
    assert_success(cancel(f, &f->root, &task));
    struct TaskInfo *info = info_of(f, &task);
    g_assert_cmpint(info->state, ==, TaskInfoState_running);
    g_assert_cmpint(info->progress.value, ==, 55);
    g_assert_true(info->cancelled);
    g_assert_cmpstr(info->descriptionId, ==, "com.example.backup");
    g_assert_cmpstr(info->activationId, ==, "a-1");
    g_assert_cmpstr(info->description->key, ==, "com.example.copying");
    g_assert_cmpstr(((struct TaskReasonUser *)info->reason)->userName, ==, "nightly");
    vim_free(info);
    struct vim_any *result = vim_any_string("done");
    assert_success(report(f, &task, TaskInfoState_success, result, NULL));
    vim_any_free(result);
    info = info_of(f, &task);
    g_assert_cmpint(info->state, ==, TaskInfoState_success);
    g_assert_cmpstr(vim_any_get_string(info->result), ==, "done");
    vim_free(info);
    assert_fault(report(f, &task, TaskInfoState_error, NULL, NULL), "InvalidState");
    assert_fault(report_progress(f, &task, 60), "InvalidState");
    vim_ref_clear(&task);
}

static void test_reported_error_and_parent(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct CreateTask_args args = {.obj = fixture_ref(f, "vm-2"), .taskTypeId = "a"};
    struct vim_ref top = create(f, &args);
    args.parentTaskKey = top.id;
    struct vim_ref middle = create(f, &args);
    args.parentTaskKey = middle.id;
    struct vim_ref low = create(f, &args);
    struct TaskInfo *info = info_of(f, &low);
    g_assert_cmpstr(info->parentTaskKey, ==, middle.id);
    g_assert_cmpstr(info->rootTaskKey, ==, top.id);
    vim_free(info);
    struct vim_call call = fixture_call(f, &f->root, &TaskManager_type, "ha-taskmgr");
    struct CreateTask_result result = {0};
    args.parentTaskKey = "vm-1";
    assert_fault(vim_task_manager_methods.CreateTask(&call, &args, &result), "InvalidArgument");
    args = (struct CreateTask_args){.obj = {&VirtualMachine_type, "vm-9"}, .taskTypeId = "a"};
    assert_fault(vim_task_manager_methods.CreateTask(&call, &args, &result), "ManagedObjectNotFound");
    assert_fault(report(f, &low, TaskInfoState_error, NULL, NULL), "InvalidArgument");
    struct vim_fault *fault = fault_timedout("too slow");
    struct LocalizedMethodFault *error = vim_fault_localized(fault);
    assert_success(report(f, &low, TaskInfoState_error, NULL, error));
    vim_fault_free(fault);
    vim_free(error);
    assert_error(f, &low, "Timedout");
    vim_ref_clear(&top);
    vim_ref_clear(&middle);
    vim_ref_clear(&low);
}

static void test_reported_only(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct work work = work_new();
    struct vim_ref task = start(f, &f->root, &work, true);
    assert_fault(report(f, &task, TaskInfoState_success, NULL, NULL), "NotSupported");
    assert_fault(report_progress(f, &task, 5), "NotSupported");
    let_go(&work);
    wait_for_end(f, &task);
    vim_ref_clear(&task);
    work_clear(&work);
}

/* ---- collectors ---------------------------------------------------------------------------------------- */

static struct vim_ref collect(struct fixture *f, struct TaskFilterSpec *filter)
{
    struct vim_call call = fixture_call(f, &f->root, &TaskManager_type, "ha-taskmgr");
    struct CreateCollectorForTasks_args args = {.filter = filter};
    struct CreateCollectorForTasks_result result = {0};
    assert_success(vim_task_manager_methods.CreateCollectorForTasks(&call, &args, &result));
    return result.returnval;
}

/* How many tasks pass the filter, which is freed. */
static uint32_t count(struct fixture *f, struct TaskFilterSpec *filter)
{
    struct vim_ref collector = collect(f, filter);
    vim_free(filter);
    struct vim_call call = fixture_call(f, &f->root, &TaskHistoryCollector_type, collector.id);
    struct ReadNextTasks_args args = {.maxCount = 100};
    struct ReadNextTasks_result result = {0};
    assert_success(vim_task_history_collector_methods.ReadNextTasks(&call, &args, &result));
    uint32_t n = result.returnval.n;
    vim_clear_members(vim_method_by_name("ReadNextTasks")->result, &result);
    struct DestroyCollector_args destroy = {0};
    assert_success(vim_task_history_collector_methods.DestroyCollector(&call, &destroy));
    g_assert_null(vim_inventory_find(f->server.inventory, collector.id));
    vim_ref_clear(&collector);
    return n;
}

static struct TaskFilterSpec *on_entity(struct fixture *f, const char *id,
                                        enum TaskFilterSpecRecursionOption recursion)
{
    struct TaskFilterSpec *filter = TaskFilterSpec_new();
    filter->entity = TaskFilterSpecByEntity_new();
    filter->entity->entity = vim_ref_copy(&fixture_find(f, id)->ref);
    filter->entity->recursion = recursion;
    return filter;
}

static struct TaskFilterSpec *in_state(enum TaskInfoState state)
{
    struct TaskFilterSpec *filter = TaskFilterSpec_new();
    vim_array_add(&filter->state, &TaskInfoState_type, &state);
    return filter;
}

static struct TaskFilterSpec *ended_since(int64_t begin_us)
{
    struct TaskFilterSpec *filter = TaskFilterSpec_new();
    filter->time = TaskFilterSpecByTime_new();
    filter->time->timeType = TaskFilterSpecTimeOption_completedTime;
    filter->time->beginTime = begin_us;
    return filter;
}

static void test_collector_filters(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref ended = run_one(f);
    int64_t then = f->now_us;
    fixture_advance_ms(f, 1000);
    struct CreateTask_args args = {.obj = fixture_ref(f, "vm-2"), .taskTypeId = "a", .activationId = "x"};
    struct vim_ref open = create(f, &args);
    g_assert_cmpuint(count(f, TaskFilterSpec_new()), ==, 2);
    g_assert_cmpuint(count(f, in_state(TaskInfoState_success)), ==, 1);
    g_assert_cmpuint(count(f, in_state(TaskInfoState_queued)), ==, 1);
    g_assert_cmpuint(count(f, in_state(TaskInfoState_error)), ==, 0);
    g_assert_cmpuint(count(f, ended_since(then)), ==, 1);
    g_assert_cmpuint(count(f, ended_since(then + 1)), ==, 0);
    g_assert_cmpuint(count(f, on_entity(f, "vm-1", TaskFilterSpecRecursionOption_self)), ==, 1);
    g_assert_cmpuint(count(f, on_entity(f, "vm-1", TaskFilterSpecRecursionOption_children)), ==, 0);
    g_assert_cmpuint(count(f, on_entity(f, "ha-folder-vm", TaskFilterSpecRecursionOption_self)), ==, 0);
    g_assert_cmpuint(count(f, on_entity(f, "ha-folder-vm", TaskFilterSpecRecursionOption_children)), ==, 2);
    g_assert_cmpuint(count(f, on_entity(f, "ha-host", TaskFilterSpecRecursionOption_all)), ==, 2);
    g_assert_cmpuint(count(f, on_entity(f, "net-1", TaskFilterSpecRecursionOption_all)), ==, 0);
    struct TaskFilterSpec *filter = TaskFilterSpec_new();
    vim_array_add_string(&filter->activationId, "x");
    g_assert_cmpuint(count(f, filter), ==, 1);
    filter = TaskFilterSpec_new();
    filter->alarm = vim_ref_copy(&fixture_find(f, "vm-1")->ref);
    g_assert_cmpuint(count(f, filter), ==, 0);
    /* Tasks on what the caller may not read are not there. */
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_READ, "vm-1");
    g_assert_cmpuint(count(f, TaskFilterSpec_new()), ==, 1);
    vim_ref_clear(&ended);
    vim_ref_clear(&open);
}

static void test_collector_page(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct TaskFilterSpec *filter = TaskFilterSpec_new();
    struct vim_ref collector = collect(f, filter);
    vim_free(filter);
    struct CreateTask_args args = {.obj = fixture_ref(f, "vm-2"), .taskTypeId = "a"};
    struct vim_ref task = create(f, &args);
    const struct TaskHistoryCollector *properties = fixture_find(f, collector.id)->properties;
    g_assert_cmpuint(properties->latestPage.n, ==, 1);
    g_assert_cmpint(properties->latestPage.items[0]->state, ==, TaskInfoState_queued);
    assert_success(report(f, &task, TaskInfoState_success, NULL, NULL));
    g_assert_cmpint(properties->latestPage.items[0]->state, ==, TaskInfoState_success);
    vim_ref_clear(&task);
    vim_ref_clear(&collector);
}

#define ADD(path, function) g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/task/success", test_success);
    ADD("/task/error", test_error);
    ADD("/task/progress", test_progress);
    ADD("/task/no-entity", test_no_entity);
    ADD("/task/cancel/running", test_cancel_running);
    ADD("/task/cancel/too-late", test_cancel_too_late);
    ADD("/task/cancel/refused", test_cancel_refused);
    ADD("/task/cancel/queued", test_cancel_queued);
    ADD("/task/shutdown", test_shutdown);
    ADD("/task/recent", test_recent);
    ADD("/task/recent-limit", test_recent_limit);
    ADD("/task/ended-limit", test_ended_limit);
    ADD("/task/entity-goes", test_entity_goes);
    ADD("/task/description", test_description);
    ADD("/task/reported/life", test_reported);
    ADD("/task/reported/error-and-parent", test_reported_error_and_parent);
    ADD("/task/reported/only", test_reported_only);
    ADD("/task/collector/filters", test_collector_filters);
    ADD("/task/collector/page", test_collector_page);
    return g_test_run();
}
