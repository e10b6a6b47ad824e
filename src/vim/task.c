// SPDX-License-Identifier: Apache-2.0
/*
 * Tasks: their life, the TaskManager, and tasks that clients report on. See task.h.
 *
 * The lists of tasks are guarded by the inventory's lock, like the Task objects that they belong to. A
 * struct vim_task has a reference from the list, one from its Task object and one from its thread.
 */
#include "vim/task.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/timer.h"
#include "base/worker_pool.h"
#include "vim/authorization.h"
#include "vim/entity_tree.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/history_collector.h"
#include "vim/session.h"
#include "vim/task_description.h"
#include "vim/value.h"

enum {
    MAX_THREADS = 64,
    MAX_UNFINISHED = 20000,
    MAX_REPORTED = 1000,        /* unfinished ones that clients report on: they may forget them */
    MAX_ENDED = 1000,           /* of those that ended over KEEP_MS ago */
    MAX_RECENT = 200,           /* in recentTask */
    RECENT_MS = 10 * 60 * 1000, /* how long a task stays after its end */
    KEEP_MS = 60 * 1000,        /* how long it stays in any case */
    EXPIRE_EVERY_MS = 60 * 1000,
};

struct vim_task {
    gatomicrefcount references;
    struct vim_tasks *tasks; /* NULL after the server's tasks have ended */
    struct vim_server *server;
    struct vim_ref ref;    /* owned */
    struct vim_ref entity; /* owned; id NULL: none */
    char *user;            /* owned; "" for the system */
    GPtrArray *above;      /* ids of what was above the entity, nearest first; owned */
    int64_t number;        /* grows from task to task */
    int32_t event_chain;
    vim_task_fn run; /* NULL: a client reports on it */
    void *data;
    void (*data_free)(void *data);
    gint cancelled;         /* atomic */
    gint percent;           /* atomic; -1: unknown */
    struct vim_any *result; /* from the work, until the end; owned */
    bool ended;
    int64_t ended_ms; /* monotonic */
    GList *link;      /* in tasks->all */
};

struct vim_tasks {
    struct vim_server *server;
    struct worker_pool *pool;
    struct vim_ref manager; /* id NULL until it is attached */
    GQueue all;             /* of struct vim_task *, a reference, by number */
    GQueue ended;           /* of struct vim_task *, borrowed, in the order of their ends */
    GQueue recent;          /* of struct vim_task *, borrowed: those in recentTask, by number */
    int64_t last_number;
    unsigned reported; /* unfinished tasks that clients report on */
    bool stopping;
    uint64_t timer; /* 0: none */
    struct vim_history history;
};

static int64_t now_ms(const struct vim_tasks *tasks)
{
    const struct vim_environment *environment = &tasks->server->environment;
    return environment->monotonic_ms(environment->data);
}

static void task_unref(void *data)
{
    struct vim_task *task = data;
    if (!g_atomic_ref_count_dec(&task->references)) {
        return;
    }
    vim_ref_clear(&task->ref);
    vim_ref_clear(&task->entity);
    g_free(task->user);
    g_ptr_array_unref(task->above);
    vim_any_free(task->result);
    g_free(task);
}

static struct vim_task *task_ref(struct vim_task *task)
{
    g_atomic_ref_count_inc(&task->references);
    return task;
}

static void free_data(struct vim_task *task)
{
    if (task->data_free != NULL) {
        task->data_free(task->data);
    }
    task->data = NULL;
    task->data_free = NULL;
}

/* The Task object (any lock). */
static struct vim_object *task_object(const struct vim_task *task)
{
    return vim_inventory_find(task->server->inventory, task->ref.id);
}

static struct TaskInfo *task_info(const struct vim_task *task)
{
    return VIM_PROPERTIES(task_object(task), Task)->info;
}

/* ---- lists (write lock) ---------------------------------------------------------------------------- */

/* Adds or removes a task in recentTask of the manager and of its entity. */
static void list_recent(struct vim_tasks *tasks, const struct vim_task *task,
                        void (*change)(struct vim_object *object, const char *path,
                                       const struct vim_ref *ref))
{
    struct vim_inventory *inventory = tasks->server->inventory;
    struct vim_object *manager =
        tasks->manager.id != NULL ? vim_inventory_find_ref(inventory, &tasks->manager) : NULL;
    if (manager != NULL) {
        change(manager, "recentTask", &task->ref);
    }
    struct vim_object *entity =
        task->entity.id != NULL ? vim_inventory_find_ref(inventory, &task->entity) : NULL;
    if (entity != NULL && vim_type_is(entity->ref.type, &ManagedEntity_type)) {
        change(entity, "recentTask", &task->ref);
    }
}

static void recent_add(struct vim_tasks *tasks, struct vim_task *task)
{
    if (g_queue_get_length(&tasks->recent) >= MAX_RECENT) {
        GList *out = tasks->recent.head; /* the oldest that has ended, or else the oldest */
        for (GList *link = out; link != NULL; link = link->next) {
            if (((struct vim_task *)link->data)->ended) {
                out = link;
                break;
            }
        }
        list_recent(tasks, out->data, vim_ref_list_remove);
        g_queue_delete_link(&tasks->recent, out);
    }
    g_queue_push_tail(&tasks->recent, task);
    list_recent(tasks, task, vim_ref_list_add);
}

/* Forgets a task that is in no more than `all` and `recent`. */
static void forget(struct vim_tasks *tasks, struct vim_task *task)
{
    if (g_queue_remove(&tasks->recent, task)) {
        list_recent(tasks, task, vim_ref_list_remove);
    }
    g_queue_delete_link(&tasks->all, task->link);
    vim_inventory_remove(tasks->server->inventory, task_object(task));
    task_unref(task);
}

static void expire(struct vim_tasks *tasks)
{
    int64_t now = now_ms(tasks);
    struct vim_task *oldest = NULL;
    while ((oldest = g_queue_peek_head(&tasks->ended)) != NULL) {
        int64_t age = now - oldest->ended_ms;
        bool crowded = g_queue_get_length(&tasks->ended) > MAX_ENDED && age > KEEP_MS;
        if (age <= RECENT_MS && !crowded && g_queue_get_length(&tasks->ended) <= MAX_UNFINISHED) {
            break;
        }
        g_queue_pop_head(&tasks->ended);
        forget(tasks, oldest);
    }
}

static void on_timer(void *data);

static void arm_timer(struct vim_tasks *tasks)
{
    struct timer_queue *timer = tasks->server->timer;
    if (timer != NULL && tasks->timer == 0 && !tasks->stopping && !g_queue_is_empty(&tasks->ended)) {
        tasks->timer = timer_add(timer, timer_now_ms() + EXPIRE_EVERY_MS, on_timer, tasks);
    }
}

static void on_timer(void *data)
{
    struct vim_tasks *tasks = data;
    vim_write_lock(tasks->server->inventory);
    tasks->timer = 0;
    expire(tasks);
    arm_timer(tasks);
    vim_write_unlock(tasks->server->inventory);
}

/* ---- start and end (write lock) --------------------------------------------------------------------- */

static struct TaskReason *reason_new(const char *user)
{
    if (user[0] == '\0') {
        return (struct TaskReason *)TaskReasonSystem_new();
    }
    struct TaskReasonUser *reason = TaskReasonUser_new();
    reason->userName = g_strdup(user);
    return (struct TaskReason *)reason;
}

static char *task_id(const struct vim_task *task, const char *description_id)
{
    /* What a client's task is called must not get into ids, which are parts of URLs. */
    if (task->run == NULL) {
        return g_strdup_printf("task-%" PRId64, task->number);
    }
    return g_strdup_printf("haTask-%s-vim.%s-%" PRId64, task->entity.id != NULL ? task->entity.id : "",
                           description_id, task->number);
}

/* Makes the task with its Task object, queued. What is known of its info beforehand is moved in. */
static struct vim_task *task_new(struct vim_tasks *tasks, const struct vim_ref *entity, const char *user,
                                 vim_task_fn run, struct TaskInfo *info)
{
    struct vim_inventory *inventory = tasks->server->inventory;
    struct vim_task *task = g_new0(struct vim_task, 1);
    g_atomic_ref_count_init(&task->references);
    task->tasks = tasks;
    task->server = tasks->server;
    task->run = run;
    task->user = g_strdup(user);
    task->number = ++tasks->last_number;
    task->event_chain = vim_event_chain_new(tasks->server);
    task->percent = -1;
    const struct vim_object *object = entity->id != NULL ? vim_inventory_find_ref(inventory, entity) : NULL;
    task->entity = vim_ref_copy(object != NULL ? &object->ref : entity);
    task->above =
        object != NULL ? vim_entity_ancestors(inventory, object) : g_ptr_array_new_with_free_func(g_free);
    g_autofree char *id = task_id(task, info->descriptionId);
    task->ref = vim_ref_make(&Task_type, id);
    info->key = g_strdup(id);
    info->task = vim_ref_copy(&task->ref);
    if (object != NULL && vim_type_is(object->ref.type, &ManagedEntity_type)) {
        info->entity = vim_ref_copy(&object->ref);
        info->entityName = g_strdup(vim_entity_name(object));
    }
    info->state = TaskInfoState_queued;
    if (info->reason == NULL) {
        info->reason = reason_new(user);
    }
    info->queueTime = vim_now_us(tasks->server);
    info->eventChainId = task->event_chain;
    struct Task *properties = Task_new();
    properties->info = info;
    struct vim_object *made = vim_inventory_add(inventory, &Task_type, id, properties);
    made->code = task_ref(task);
    made->code_free = task_unref;
    g_queue_push_tail(&tasks->all, task);
    task->link = tasks->all.tail;
    recent_add(tasks, task);
    return task;
}

static void task_started(struct vim_task *task)
{
    struct vim_object *object = task_object(task);
    vim_set_time(object, "info.startTime", vim_now_us(task->server));
    vim_set_enum(object, "info.state", TaskInfoState_running);
    vim_history_changed(&task->tasks->history);
}

/* Shows the end. error (moved in) NULL: success with the result (moved in, may be NULL). */
static void task_ended(struct vim_task *task, struct LocalizedMethodFault *error, struct vim_any *result)
{
    struct vim_tasks *tasks = task->tasks;
    struct vim_object *object = task_object(task);
    vim_set_time(object, "info.completeTime", vim_now_us(task->server));
    vim_unset(object, "info.progress");
    vim_set_bool(object, "info.cancelable", false);
    enum TaskInfoState state = error != NULL ? TaskInfoState_error : TaskInfoState_success;
    if (error != NULL) {
        vim_set_data(object, "info.error", error);
        vim_any_free(result);
    } else if (result != NULL) {
        vim_set(object, "info.result", &result);
    }
    vim_set_enum(object, "info.state", state);
    if (task->run == NULL) {
        tasks->reported--;
    }
    task->ended = true;
    task->ended_ms = now_ms(tasks);
    g_queue_push_tail(&tasks->ended, task);
    expire(tasks);
    arm_timer(tasks);
    vim_history_changed(&tasks->history);
}

static void task_ended_by(struct vim_task *task, struct vim_fault *fault)
{
    struct LocalizedMethodFault *error = vim_fault_localized(fault);
    vim_fault_free(fault);
    task_ended(task, error, NULL);
}

/* ---- running ---------------------------------------------------------------------------------------- */

/* What a cancelled task ends with: RequestCanceled, with what stopped the work as its cause. */
static struct vim_fault *cancelled_fault(struct vim_fault *fault)
{
    if (vim_fault_type(fault) == &RequestCanceled_type) {
        return fault;
    }
    struct vim_fault *cancelled = fault_request_canceled("the task was cancelled");
    cancelled->fault->faultCause = vim_fault_localized(fault);
    vim_fault_free(fault);
    return cancelled;
}

/* Whether the work is to be done. */
static bool begin(struct vim_task *task)
{
    struct vim_inventory *inventory = task->server->inventory;
    vim_write_lock(inventory);
    bool ended = task->ended;
    bool stopping = task->tasks->stopping;
    if (!ended && !stopping) {
        task_started(task);
    }
    vim_write_unlock(inventory);
    return !ended && !stopping;
}

static void run_task(void *data)
{
    struct vim_task *task = data;
    struct vim_fault *fault = NULL;
    if (begin(task)) {
        fault = task->run(task, task->data);
    } else {
        fault = fault_request_canceled("the task was cancelled before it began");
    }
    free_data(task);
    vim_write_lock(task->server->inventory);
    if (task->ended) {
        vim_fault_free(fault); /* cancelled while it was queued */
    } else if (fault == NULL) {
        task_ended(task, NULL, g_steal_pointer(&task->result));
    } else {
        task_ended_by(task, vim_task_is_cancelled(task) ? cancelled_fault(fault) : fault);
    }
    vim_write_unlock(task->server->inventory);
    task_unref(task);
}

static bool is_full(const struct vim_tasks *tasks)
{
    unsigned unfinished = tasks->all.length - tasks->ended.length;
    return tasks->stopping || unfinished >= MAX_UNFINISHED;
}

static struct vim_fault *busy(void)
{
    return fault_system_error("busy", "too many tasks are under way; try again later");
}

struct vim_fault *vim_task_start(struct vim_server *server, struct vim_call *call,
                                 const struct vim_task_spec *spec, struct vim_ref *ret_task)
{
    struct vim_tasks *tasks = server->tasks;
    const char *user = call != NULL && call->session != NULL ? call->session->user_name : "";
    struct vim_task *task = NULL;
    vim_write_lock(server->inventory);
    if (!is_full(tasks)) {
        struct TaskInfo *info = TaskInfo_new();
        info->name =
            g_strdup(call != NULL && call->request.method != NULL ? call->request.method->name : NULL);
        info->descriptionId = g_strdup(spec->description_id);
        info->cancelable = spec->cancelable;
        task = task_new(tasks, &spec->entity, user, spec->run, info);
        task->data = spec->data;
        task->data_free = spec->data_free;
        task_ref(task); /* the thread's */
        vim_history_changed(&tasks->history);
    }
    vim_write_unlock(server->inventory);
    if (task == NULL) {
        if (spec->data_free != NULL) {
            spec->data_free(spec->data);
        }
        return busy();
    }
    struct vim_ref ref = vim_ref_copy(&task->ref); /* it may be over when push returns */
    if (worker_pool_push(tasks->pool, run_task, task) != 0) {
        vim_ref_clear(&ref);
        free_data(task);
        vim_write_lock(server->inventory);
        if (task->ended) { /* cancelled meanwhile */
            g_queue_remove(&tasks->ended, task);
        }
        forget(tasks, task);
        vim_history_changed(&tasks->history);
        vim_write_unlock(server->inventory);
        task_unref(task);
        return busy();
    }
    *ret_task = ref;
    return NULL;
}

struct vim_server *vim_task_server(struct vim_task *task)
{
    return task->server;
}

const struct vim_ref *vim_task_ref(const struct vim_task *task)
{
    return &task->ref;
}

const char *vim_task_user(const struct vim_task *task)
{
    return task->user;
}

int32_t vim_task_event_chain(const struct vim_task *task)
{
    return task->event_chain;
}

bool vim_task_is_cancelled(struct vim_task *task)
{
    return g_atomic_int_get(&task->cancelled) != 0;
}

/* Shows the percentage if the task is running (write lock). */
static void set_progress(struct vim_task *task, int32_t percent)
{
    struct {
        bool set;
        int32_t value;
    } progress = {true, percent};
    if (task_info(task)->state == TaskInfoState_running) {
        vim_set(task_object(task), "info.progress", &progress);
    }
}

void vim_task_progress(struct vim_task *task, int percent)
{
    percent = CLAMP(percent, 0, 100);
    if (g_atomic_int_get(&task->percent) == percent) {
        return;
    }
    g_atomic_int_set(&task->percent, percent);
    vim_write_lock(task->server->inventory);
    set_progress(task, percent);
    vim_write_unlock(task->server->inventory);
}

void vim_task_set_result(struct vim_task *task, struct vim_any *result)
{
    vim_any_free(task->result);
    task->result = result;
}

/* ---- selecting -------------------------------------------------------------------------------------- */

static bool is_visible(struct vim_server *server, const struct vim_session *session,
                       const struct vim_task *task)
{
    struct vim_inventory *inventory = server->inventory;
    struct vim_object *object =
        task->entity.id != NULL ? vim_inventory_find(inventory, task->entity.id) : NULL;
    for (guint i = 0; object == NULL && i < task->above->len; i++) {
        object = vim_inventory_find(inventory, g_ptr_array_index(task->above, i));
    }
    if (object == NULL) {
        object = vim_inventory_find_ref(inventory, &server->root_folder);
    }
    return object != NULL &&
           vim_authorized(server->authorization, session, object, VIM_PRIVILEGE_SYSTEM_READ);
}

static bool is_on_entity(const struct vim_task *task, const struct TaskFilterSpecByEntity *wanted)
{
    const char *id = wanted->entity.id;
    bool is_it = g_strcmp0(task->entity.id, id) == 0;
    bool is_below = !is_it && (g_ptr_array_find_with_equal_func(task->above, id, g_str_equal, NULL) ||
                               g_strcmp0(task->server->root_folder.id, id) == 0);
    switch (wanted->recursion) {
    case TaskFilterSpecRecursionOption_self:
        return is_it;
    case TaskFilterSpecRecursionOption_children:
        return is_below;
    case TaskFilterSpecRecursionOption_all:
    case TaskFilterSpecRecursionOption_unset:
        return is_it || is_below;
    }
    g_assert_not_reached();
}

static int64_t time_of(const struct TaskInfo *info, enum TaskFilterSpecTimeOption which)
{
    switch (which) {
    case TaskFilterSpecTimeOption_startedTime:
        return info->startTime;
    case TaskFilterSpecTimeOption_completedTime:
        return info->completeTime;
    case TaskFilterSpecTimeOption_queuedTime:
    case TaskFilterSpecTimeOption_unset:
        return info->queueTime;
    }
    g_assert_not_reached();
}

static bool is_within(const struct TaskInfo *info, const struct TaskFilterSpecByTime *wanted)
{
    int64_t time = time_of(info, wanted->timeType);
    return time != 0 && (wanted->beginTime == 0 || time >= wanted->beginTime) &&
           (wanted->endTime == 0 || time <= wanted->endTime);
}

static bool is_in_state(const struct TaskInfo *info, const struct TaskFilterSpec *filter)
{
    bool found = filter->state.n == 0;
    for (uint32_t i = 0; i < filter->state.n; i++) {
        found = found || filter->state.items[i] == info->state;
    }
    return found;
}

static bool is_of_chain(const struct TaskInfo *info, const struct TaskFilterSpec *filter)
{
    bool found = filter->eventChainId.n == 0;
    for (uint32_t i = 0; i < filter->eventChainId.n; i++) {
        found = found || filter->eventChainId.items[i] == info->eventChainId;
    }
    return found;
}

static bool passes(const struct vim_task *task, const struct TaskInfo *info,
                   const struct TaskFilterSpec *filter)
{
    if (filter->alarm.id != NULL || filter->scheduledTask.id != NULL) {
        return false; /* no task comes from one */
    }
    return is_in_state(info, filter) && is_of_chain(info, filter) &&
           (filter->time == NULL || is_within(info, filter->time)) &&
           (filter->activationId.n == 0 || vim_history_lists(&filter->activationId, info->activationId)) &&
           (filter->tag.n == 0 || vim_history_lists(&filter->tag, info->changeTag)) &&
           (filter->parentTaskKey.n == 0 || vim_history_lists(&filter->parentTaskKey, info->parentTaskKey)) &&
           (filter->rootTaskKey.n == 0 || vim_history_lists(&filter->rootTaskKey, info->rootTaskKey)) &&
           (filter->entity == NULL || is_on_entity(task, filter->entity));
}

static struct vim_history_items select_tasks(struct vim_server *server, const struct vim_session *session,
                                             const void *filter, const struct vim_history_range *range)
{
    struct vim_history_items items = {{NULL, 0}, 0};
    GQueue *all = &server->tasks->all;
    for (GList *link = range->newest_first ? all->tail : all->head;
         link != NULL && items.array.n < range->max; link = range->newest_first ? link->prev : link->next) {
        const struct vim_task *task = link->data;
        if (task->number > range->after && task->number <= range->up_to &&
            passes(task, task_info(task), filter) && is_visible(server, session, task)) {
            vim_array_add_object(&items.array, vim_copy(task_info(task)));
            items.last = task->number;
        }
    }
    return items;
}

/* ---- life ------------------------------------------------------------------------------------------- */

struct vim_tasks *vim_tasks_new(struct vim_server *server)
{
    struct vim_tasks *tasks = g_new0(struct vim_tasks, 1);
    tasks->server = server;
    tasks->pool = worker_pool_new(
        &(struct worker_pool_options){.name = "task", .max_threads = MAX_THREADS, .max_queued = UINT_MAX});
    g_queue_init(&tasks->all);
    g_queue_init(&tasks->ended);
    g_queue_init(&tasks->recent);
    vim_history_init(&tasks->history, select_tasks);
    return tasks;
}

static void ask_to_stop(struct vim_tasks *tasks)
{
    for (GList *link = tasks->all.head; link != NULL; link = link->next) {
        struct vim_task *task = link->data;
        if (!task->ended && task_info(task)->cancelable) {
            g_atomic_int_set(&task->cancelled, 1);
            vim_set_bool(task_object(task), "info.cancelled", true);
        }
    }
}

void vim_tasks_free(struct vim_tasks *tasks)
{
    if (tasks == NULL) {
        return;
    }
    struct vim_inventory *inventory = tasks->server->inventory;
    vim_write_lock(inventory);
    tasks->stopping = true;
    uint64_t timer = tasks->timer;
    ask_to_stop(tasks);
    vim_write_unlock(inventory);
    if (timer != 0) {
        timer_cancel(tasks->server->timer, timer);
    }
    worker_pool_free(tasks->pool);
    vim_write_lock(inventory);
    vim_history_clear(&tasks->history);
    g_queue_clear(&tasks->recent);
    g_queue_clear(&tasks->ended);
    for (GList *link = tasks->all.head; link != NULL; link = link->next) {
        ((struct vim_task *)link->data)->tasks = NULL;
    }
    g_queue_clear_full(&tasks->all, task_unref);
    vim_write_unlock(inventory);
    vim_ref_clear(&tasks->manager);
    g_free(tasks);
}

void vim_tasks_attach(struct vim_tasks *tasks, const struct vim_ref *manager)
{
    vim_write_lock(tasks->server->inventory);
    vim_ref_set(&tasks->manager, manager);
    struct vim_object *object = vim_inventory_find_ref(tasks->server->inventory, manager);
    int32_t max = VIM_HISTORY_MAX_COLLECTORS;
    vim_set(object, "maxCollector", &max);
    vim_set_data(object, "description", vim_task_description());
    for (GList *link = tasks->recent.head; link != NULL; link = link->next) {
        vim_ref_list_add(object, "recentTask", &((struct vim_task *)link->data)->ref);
    }
    vim_write_unlock(tasks->server->inventory);
}

/* ---- methods ---------------------------------------------------------------------------------------- */

/* The call's task (any lock), or NULL. */
static struct vim_task *own_task(struct vim_call *call)
{
    struct vim_object *object = vim_call_object(call);
    struct vim_task *task = object != NULL ? object->code : NULL;
    return task != NULL && task->tasks != NULL ? task : NULL;
}

/* NULL when the caller may cancel the call's task: his own, or with Global.CancelTask on its entity. */
static struct vim_fault *check_cancel(struct vim_call *call)
{
    struct vim_inventory *inventory = call->server->inventory;
    vim_read_lock(inventory);
    const struct vim_task *task = own_task(call);
    bool own = task != NULL && strcmp(task->user, call->session->user_name) == 0;
    const struct vim_object *entity =
        task != NULL && task->entity.id != NULL ? vim_inventory_find_ref(inventory, &task->entity) : NULL;
    struct vim_ref on = vim_ref_copy(entity != NULL ? &entity->ref : &call->request.target);
    vim_read_unlock(inventory);
    struct vim_fault *fault = own ? NULL : vim_call_require(call, &on, VIM_PRIVILEGE_GLOBAL_CANCEL_TASK);
    vim_ref_clear(&on);
    return fault;
}

static struct vim_fault *cancel_task(struct vim_call *call, const struct CancelTask_args *args)
{
    (void)args;
    struct vim_fault *fault = check_cancel(call);
    if (fault != NULL) {
        return fault;
    }
    vim_write_lock(call->server->inventory);
    struct vim_task *task = own_task(call);
    if (task == NULL) {
        fault = vim_call_gone(&call->request.target);
    } else if (task->ended) {
        fault = fault_invalid_state("the task has ended");
    } else if (!task_info(task)->cancelable) {
        fault = fault_not_supported("the task cannot be cancelled");
    } else {
        g_atomic_int_set(&task->cancelled, 1);
        vim_set_bool(task_object(task), "info.cancelled", true);
        if (task->run != NULL && task_info(task)->state == TaskInfoState_queued) {
            task_ended_by(task, fault_request_canceled("the task was cancelled before it began"));
        }
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

/* The call's task when it is one that clients report on and that is not over (write lock). */
static struct vim_fault *reported_task(struct vim_call *call, struct vim_task **ret)
{
    struct vim_task *task = own_task(call);
    if (task == NULL) {
        return vim_call_gone(&call->request.target);
    }
    if (task->run != NULL) {
        return fault_not_supported("the server itself reports on this task");
    }
    if (task->ended) {
        return fault_invalid_state("the task has ended");
    }
    *ret = task;
    return NULL;
}

static struct vim_fault *update_progress(struct vim_call *call, const struct UpdateProgress_args *args)
{
    if (args->percentDone < 0 || args->percentDone > 100) {
        return fault_out_of_bounds("percentDone", "percentDone must be 0 to 100");
    }
    struct vim_task *task = NULL;
    vim_write_lock(call->server->inventory);
    struct vim_fault *fault = reported_task(call, &task);
    if (fault == NULL && task_info(task)->state != TaskInfoState_running) {
        fault = fault_invalid_state("the task is not running");
    }
    if (fault == NULL) {
        set_progress(task, args->percentDone);
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

/* Moves a task to the state that its client reports (write lock). */
static struct vim_fault *set_state(struct vim_task *task, const struct SetTaskState_args *args)
{
    switch (args->state) {
    case TaskInfoState_running:
        if (task_info(task)->state != TaskInfoState_queued) {
            return fault_invalid_state("the task is running already");
        }
        task_started(task);
        return NULL;
    case TaskInfoState_success:
        task_ended(task, NULL,
                   args->result != NULL
                       ? vim_any_new(args->result->type, args->result->array, args->result->value)
                       : NULL);
        return NULL;
    case TaskInfoState_error:
        if (args->fault == NULL) {
            return fault_invalid_argument("fault", "the state error needs a fault");
        }
        task_ended(task, vim_copy(args->fault), NULL);
        return NULL;
    case TaskInfoState_queued:
    case TaskInfoState_unset:
        return fault_invalid_state("a task does not return to the queue");
    }
    g_assert_not_reached();
}

static struct vim_fault *set_task_state(struct vim_call *call, const struct SetTaskState_args *args)
{
    struct vim_task *task = NULL;
    vim_write_lock(call->server->inventory);
    struct vim_fault *fault = reported_task(call, &task);
    if (fault == NULL) {
        fault = set_state(task, args);
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

static struct vim_fault *set_task_description(struct vim_call *call,
                                              const struct SetTaskDescription_args *args)
{
    struct vim_task *task = NULL;
    vim_write_lock(call->server->inventory);
    struct vim_fault *fault = reported_task(call, &task);
    if (fault == NULL) {
        vim_set_data(task_object(task), "info.description", vim_copy(args->description));
    }
    vim_write_unlock(call->server->inventory);
    return fault;
}

/* The info of a new task's parent (any lock), or NULL. */
static const struct TaskInfo *parent_info(struct vim_call *call, const char *key)
{
    const struct vim_object *object = vim_inventory_find(call->server->inventory, key);
    return object != NULL && object->ref.type == &Task_type ? VIM_PROPERTIES(object, Task)->info : NULL;
}

/* (write lock) */
static struct vim_fault *create_reported(struct vim_call *call, const struct CreateTask_args *args,
                                         struct TaskInfo **ret)
{
    struct vim_server *server = call->server;
    const struct TaskInfo *parent = NULL;
    const struct vim_object *object = vim_inventory_find_ref(server->inventory, &args->obj);
    if (object == NULL || (object->owner != NULL && object->owner != call->session)) {
        return vim_call_gone(&args->obj);
    }
    if (args->parentTaskKey != NULL) {
        parent = parent_info(call, args->parentTaskKey);
        if (parent == NULL) {
            return fault_invalid_argument("parentTaskKey", "there is no task \"%s\"", args->parentTaskKey);
        }
    }
    if (is_full(server->tasks) || server->tasks->reported >= MAX_REPORTED) {
        return busy();
    }
    struct TaskInfo *info = TaskInfo_new();
    info->descriptionId = g_strdup(args->taskTypeId);
    info->cancelable = args->cancelable;
    info->activationId = g_strdup(args->activationId);
    if (parent != NULL) {
        info->parentTaskKey = g_strdup(parent->key);
        info->rootTaskKey = g_strdup(parent->rootTaskKey != NULL ? parent->rootTaskKey : parent->key);
    }
    bool named = args->initiatedBy != NULL && args->initiatedBy[0] != '\0';
    info->reason = reason_new(named ? args->initiatedBy : call->session->user_name);
    struct vim_task *task = task_new(server->tasks, &object->ref, call->session->user_name, NULL, info);
    server->tasks->reported++;
    vim_history_changed(&server->tasks->history);
    *ret = vim_copy(task_info(task));
    return NULL;
}

static struct vim_fault *create_task(struct vim_call *call, const struct CreateTask_args *args,
                                     struct CreateTask_result *ret)
{
    struct vim_fault *fault = vim_call_require(call, &args->obj, VIM_PRIVILEGE_SYSTEM_VIEW);
    if (fault != NULL) {
        return fault;
    }
    vim_write_lock(call->server->inventory);
    fault = create_reported(call, args, &ret->returnval);
    vim_write_unlock(call->server->inventory);
    return fault;
}

static struct vim_fault *create_collector(struct vim_call *call,
                                          const struct CreateCollectorForTasks_args *args,
                                          struct CreateCollectorForTasks_result *ret)
{
    struct vim_fault *fault = NULL;
    if (args->filter->entity != NULL) {
        fault = vim_call_require(call, &args->filter->entity->entity, VIM_PRIVILEGE_SYSTEM_VIEW);
    }
    return fault != NULL ? fault
                         : vim_history_collect(call, &call->server->tasks->history,
                                               &TaskHistoryCollector_type, args->filter, &ret->returnval);
}

const struct Task_methods vim_task_methods = {
    .CancelTask = cancel_task,
    .UpdateProgress = update_progress,
    .SetTaskState = set_task_state,
    .SetTaskDescription = set_task_description,
};

const struct TaskManager_methods vim_task_manager_methods = {
    .CreateCollectorForTasks = create_collector,
    .CreateTask = create_task,
};
