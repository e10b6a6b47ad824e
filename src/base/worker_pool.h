// SPDX-License-Identifier: Apache-2.0
/*
 * A bounded pool of threads for jobs that block: tasks of virtual machines, file writes of uploads.
 *
 * Threads are started when a job finds none idle, up to a maximum, and end after a while without work.
 * The queue has a limit too, so that a flood is refused at the door and not by running out of memory.
 * Not GLib's thread pool: that one shares idle threads between pools, and its queue has no limit.
 * All functions are safe from any thread, except that a pool is not freed from one of its own jobs.
 */
#pragma once

#include <stdint.h>

struct worker_pool;

typedef void (*worker_fn)(void *data);

struct worker_pool_options {
    const char *name;     /* of the threads, at most 11 characters: a number is added; copied */
    unsigned max_threads; /* at least 1 */
    unsigned max_queued;  /* jobs that wait for a thread, not counting those that run */
    int64_t idle_ms;      /* an idle thread ends after this; 0 means 30 seconds */
};

struct worker_pool *worker_pool_new(const struct worker_pool_options *options);

/*
 * Queues fn(data) for a thread of the pool; jobs start in the order of their queueing. 0, or -EAGAIN when
 * the queue is full or no thread can be had, -ESHUTDOWN when the pool is being freed; data is the
 * caller's again then.
 */
int worker_pool_push(struct worker_pool *pool, worker_fn fn, void *data);

/* How many threads there are now, for statistics and tests. */
unsigned worker_pool_thread_count(struct worker_pool *pool);

/*
 * Accepts no more jobs (-ESHUTDOWN), runs those that are queued, joins the threads. Blocks until then: the
 * caller first makes long jobs end.
 */
void worker_pool_free(struct worker_pool *pool);
