// SPDX-License-Identifier: Apache-2.0
/*
 * Tasks: long operations that a client can watch and cancel. Each runs on a thread of a bounded pool with
 * blocking calls. A Task object shows its state. Completed ones stay for ten minutes, but of more than
 * 1,000 those that ended over a minute ago go: a client that started thousands at once can still see the
 * outcome of each. recentTask shows the 200 newest of them. A client can also make tasks of its own and say itself how they fare (CreateTask).
 *
 *   queued --> running --> success | error       a cancelled task that stops for it: error RequestCanceled
 *      '--------------------------^              (cancelled while queued, or the server stops: never runs)
 */
#pragma once

#include "vim/server.h"

struct vim_task;

/* The work of a task, on a task thread. NULL is success. A fault of a task that was cancelled becomes
 * RequestCanceled; success remains success, as the work was done. */
typedef struct vim_fault *(*vim_task_fn)(struct vim_task *task, void *data);

struct vim_task_spec {
    const char *description_id; /* "VirtualMachine.powerOn", as the VI API names operations */
    struct vim_ref entity;      /* what it works on; borrowed; id NULL: nothing in particular */
    vim_task_fn run;
    void *data;                    /* moved in; freed by data_free after the run, or when it never runs */
    void (*data_free)(void *data); /* may be NULL; on the task's thread, before the task shows its end */
    bool cancelable;
};

struct vim_tasks *vim_tasks_new(struct vim_server *server);
/* Starts no more tasks, asks the cancelable ones to stop, ends those that are queued and waits for those
 * that run. Before the timer and the inventory. */
void vim_tasks_free(struct vim_tasks *tasks);
/* Names the TaskManager, which exists: its description is set, and from now on its recentTask (no
 * lock held). */
void vim_tasks_attach(struct vim_tasks *tasks, const struct vim_ref *manager);

/* Makes the Task and queues it (no lock held). `call` (its session is the reason) may be NULL: the system
 * itself. When too many wait, SystemError; spec->data is freed then. */
struct vim_fault *vim_task_start(struct vim_server *server, struct vim_call *call,
                                 const struct vim_task_spec *spec, struct vim_ref *ret_task);

/* From the work, and from threads that work for it: */
struct vim_server *vim_task_server(struct vim_task *task);
const struct vim_ref *vim_task_ref(const struct vim_task *task);
const char *vim_task_user(const struct vim_task *task); /* "" for the system */
/* TaskInfo.eventChainId: to be set as the chainId of the events that the task causes. */
int32_t vim_task_event_chain(const struct vim_task *task);
bool vim_task_is_cancelled(struct vim_task *task);
/* 0 to 100 percent; costs nothing while it does not change. (no lock held) */
void vim_task_progress(struct vim_task *task, int percent);
/* The result, moved in. */
void vim_task_set_result(struct vim_task *task, struct vim_any *result);

extern const struct Task_methods vim_task_methods;
extern const struct TaskManager_methods vim_task_manager_methods;
