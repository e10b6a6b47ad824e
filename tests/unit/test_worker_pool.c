// SPDX-License-Identifier: Apache-2.0
/*
 * The worker pool: its limits of threads and queue, threads that end when idle, and the shutdown.
 */
#include "base/worker_pool.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

struct gate {
    GMutex lock; /* guards all below */
    GCond changed;
    unsigned entered;
    unsigned left;
    bool open;
};

static void setup(struct gate *gate, gconstpointer data)
{
    (void)data;
    g_mutex_init(&gate->lock);
    g_cond_init(&gate->changed);
}

static void teardown(struct gate *gate, gconstpointer data)
{
    (void)data;
    g_cond_clear(&gate->changed);
    g_mutex_clear(&gate->lock);
}

static void pass_gate(void *data)
{
    struct gate *gate = data;
    g_mutex_lock(&gate->lock);
    gate->entered++;
    g_cond_broadcast(&gate->changed);
    while (!gate->open) {
        g_cond_wait(&gate->changed, &gate->lock);
    }
    gate->left++;
    g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}

static void open_gate(struct gate *gate)
{
    g_mutex_lock(&gate->lock);
    gate->open = true;
    g_cond_broadcast(&gate->changed);
    g_mutex_unlock(&gate->lock);
}

static void wait_for(struct gate *gate, const unsigned *counter, unsigned value)
{
    g_mutex_lock(&gate->lock);
    while (*counter < value) {
        g_cond_wait(&gate->changed, &gate->lock);
    }
    g_mutex_unlock(&gate->lock);
}

static void test_limits(struct gate *gate, gconstpointer data)
{
    (void)data;
    struct worker_pool *pool =
        worker_pool_new(&(struct worker_pool_options){.name = "test", .max_threads = 2, .max_queued = 3});
    g_assert_cmpuint(worker_pool_thread_count(pool), ==, 0);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(worker_pool_push(pool, pass_gate, gate), ==, 0);
    }
    g_assert_cmpint(worker_pool_push(pool, pass_gate, gate), ==, -EAGAIN);
    wait_for(gate, &gate->entered, 2);
    g_assert_cmpint(worker_pool_push(pool, pass_gate, gate), ==, -EAGAIN);
    g_assert_cmpuint(gate->entered, ==, 2);
    g_assert_cmpuint(worker_pool_thread_count(pool), ==, 2);
    open_gate(gate);
    wait_for(gate, &gate->left, 5);
    worker_pool_free(pool);
    g_assert_cmpuint(gate->left, ==, 5);
}

static void test_unqueued(struct gate *gate, gconstpointer data)
{
    (void)data;
    struct worker_pool *pool =
        worker_pool_new(&(struct worker_pool_options){.name = "test", .max_threads = 1, .max_queued = 0});
    g_assert_cmpint(worker_pool_push(pool, pass_gate, gate), ==, 0);
    g_assert_cmpint(worker_pool_push(pool, pass_gate, gate), ==, -EAGAIN);
    open_gate(gate);
    worker_pool_free(pool);
    g_assert_cmpuint(gate->left, ==, 1);
}

static void test_idle_threads_end(struct gate *gate, gconstpointer data)
{
    (void)data;
    struct worker_pool *pool = worker_pool_new(
        &(struct worker_pool_options){.name = "test", .max_threads = 4, .max_queued = 4, .idle_ms = 10});
    for (unsigned round = 1; round <= 3; round++) {
        for (int i = 0; i < 4; i++) {
            g_assert_cmpint(worker_pool_push(pool, pass_gate, gate), ==, 0);
        }
        open_gate(gate);
        wait_for(gate, &gate->left, 4 * round);
        while (worker_pool_thread_count(pool) > 0) {
            g_usleep(1000);
        }
    }
    worker_pool_free(pool);
}

static gpointer free_pool(gpointer data)
{
    worker_pool_free(data);
    return NULL;
}

/* Freeing runs what is queued, and refuses what comes after. */
static void test_free_runs_queue(struct gate *gate, gconstpointer data)
{
    (void)data;
    struct worker_pool *pool =
        worker_pool_new(&(struct worker_pool_options){.name = "test", .max_threads = 1, .max_queued = 8});
    for (int i = 0; i < 6; i++) {
        g_assert_cmpint(worker_pool_push(pool, pass_gate, gate), ==, 0);
    }
    wait_for(gate, &gate->entered, 1);
    GThread *thread = g_thread_new("free", free_pool, pool);
    int r;
    unsigned extra = 0;
    while ((r = worker_pool_push(pool, pass_gate, gate)) != -ESHUTDOWN) {
        extra += r == 0; /* pushed before the other thread got the lock */
        g_thread_yield();
    }
    open_gate(gate);
    g_thread_join(thread);
    g_assert_cmpuint(gate->left, ==, 6 + extra);
}

static void add_one(void *data)
{
    g_atomic_int_inc((gint *)data);
}

static void test_many(struct gate *gate, gconstpointer data)
{
    (void)gate;
    (void)data;
    gint done = 0;
    struct worker_pool *pool =
        worker_pool_new(&(struct worker_pool_options){.name = "test", .max_threads = 4, .max_queued = 64});
    for (int i = 0; i < 50000;) {
        if (worker_pool_push(pool, add_one, &done) == 0) {
            i++;
        } else {
            g_thread_yield();
        }
    }
    worker_pool_free(pool);
    g_assert_cmpint(done, ==, 50000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/worker-pool/limits", struct gate, NULL, setup, test_limits, teardown);
    g_test_add("/worker-pool/unqueued", struct gate, NULL, setup, test_unqueued, teardown);
    g_test_add("/worker-pool/idle-threads-end", struct gate, NULL, setup, test_idle_threads_end, teardown);
    g_test_add("/worker-pool/free-runs-queue", struct gate, NULL, setup, test_free_runs_queue, teardown);
    g_test_add("/worker-pool/many", struct gate, NULL, setup, test_many, teardown);
    return g_test_run();
}
