// SPDX-License-Identifier: Apache-2.0
/*
 * The worker pool: one lock, a queue of jobs and a count of the busy threads. A thread that ends by
 * itself cannot join itself: it leaves its handle in `ended`, and whoever comes next joins it.
 */
#include "base/worker_pool.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

#define DEFAULT_IDLE_MS 30000

struct worker_job {
    worker_fn fn;
    void *data; /* the pusher's */
};

struct worker_pool {
    char *name;
    unsigned max_threads;
    unsigned max_queued;
    int64_t idle_ms;
    GMutex lock;          /* guards all below */
    GCond work;           /* a job was queued, or stopping */
    GCond gone;           /* a thread has ended */
    GQueue jobs;          /* of struct worker_job, owned */
    GSList *ended;        /* of GThread: threads to be joined */
    unsigned n_threads;   /* that have not ended */
    unsigned n_busy;      /* of these, that run a job */
    unsigned next_number; /* for the name of the next thread */
    bool stopping;
};

struct worker_pool *worker_pool_new(const struct worker_pool_options *options)
{
    struct worker_pool *pool = g_new0(struct worker_pool, 1);
    pool->name = g_strdup(options->name);
    pool->max_threads = MAX(options->max_threads, 1);
    pool->max_queued = options->max_queued;
    pool->idle_ms = options->idle_ms > 0 ? options->idle_ms : DEFAULT_IDLE_MS;
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->work);
    g_cond_init(&pool->gone);
    g_queue_init(&pool->jobs);
    return pool;
}

/* Waits for a job; NULL when the thread has been idle for too long or nothing is left to do. */
static struct worker_job *wait_for_job(struct worker_pool *pool)
{
    gint64 until_us = g_get_monotonic_time() + pool->idle_ms * 1000;
    struct worker_job *job;
    bool in_time = true;

    while ((job = g_queue_pop_head(&pool->jobs)) == NULL && !pool->stopping && in_time) {
        in_time = g_cond_wait_until(&pool->work, &pool->lock, until_us);
    }
    return job;
}

static gpointer worker_thread(gpointer data)
{
    struct worker_pool *pool = data;
    struct worker_job *job;

    g_mutex_lock(&pool->lock);
    while ((job = wait_for_job(pool)) != NULL) {
        pool->n_busy++;
        g_mutex_unlock(&pool->lock);
        job->fn(job->data);
        g_free(job);
        g_mutex_lock(&pool->lock);
        pool->n_busy--;
    }
    pool->n_threads--;
    pool->ended = g_slist_prepend(pool->ended, g_thread_self());
    g_cond_signal(&pool->gone);
    g_mutex_unlock(&pool->lock);
    return NULL;
}

static void join_all(GSList *threads)
{
    for (GSList *link = threads; link != NULL; link = link->next) {
        g_thread_join(link->data);
    }
    g_slist_free(threads);
}

/* Called locked. False when the system gives no thread. */
static bool start_thread(struct worker_pool *pool)
{
    g_autofree char *name = g_strdup_printf("%.11s-%u", pool->name, pool->next_number++ % 1000);
    if (g_thread_try_new(name, worker_thread, pool, NULL) == NULL) {
        return false;
    }
    pool->n_threads++;
    return true;
}

/* Called locked. Makes sure that a thread will come for one more job. */
static int make_room(struct worker_pool *pool)
{
    if (pool->stopping) {
        return -ESHUTDOWN;
    }
    /* A thread that is not busy is on its way to the queue, also when it has only just been started. */
    if (pool->jobs.length < pool->n_threads - pool->n_busy) {
        return 0;
    }
    if (pool->n_threads < pool->max_threads && start_thread(pool)) {
        return 0;
    }
    guint64 n_free = pool->n_threads - pool->n_busy; /* wide: max_queued may be UINT_MAX */
    return pool->n_threads > 0 && pool->jobs.length < n_free + pool->max_queued ? 0 : -EAGAIN;
}

int worker_pool_push(struct worker_pool *pool, worker_fn fn, void *data)
{
    g_mutex_lock(&pool->lock);
    int r = make_room(pool);
    if (r == 0) {
        struct worker_job *job = g_new(struct worker_job, 1);
        *job = (struct worker_job){fn, data};
        g_queue_push_tail(&pool->jobs, job);
        g_cond_signal(&pool->work);
    }
    GSList *ended = g_steal_pointer(&pool->ended);
    g_mutex_unlock(&pool->lock);
    join_all(ended);
    return r;
}

unsigned worker_pool_thread_count(struct worker_pool *pool)
{
    g_mutex_lock(&pool->lock);
    unsigned n = pool->n_threads;
    g_mutex_unlock(&pool->lock);
    return n;
}

void worker_pool_free(struct worker_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    g_mutex_lock(&pool->lock);
    pool->stopping = true;
    g_cond_broadcast(&pool->work);
    while (pool->n_threads > 0) {
        g_cond_wait(&pool->gone, &pool->lock);
    }
    GSList *ended = g_steal_pointer(&pool->ended);
    g_mutex_unlock(&pool->lock);
    join_all(ended);

    g_cond_clear(&pool->gone);
    g_cond_clear(&pool->work);
    g_mutex_clear(&pool->lock);
    g_free(pool->name);
    g_free(pool);
}
