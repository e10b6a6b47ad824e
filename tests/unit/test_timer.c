// SPDX-License-Identifier: Apache-2.0
/*
 * The timer queue: order, cancelling before, during and from within the function, and many timers.
 */
#include "base/timer.h"

#include <glib.h>

struct fixture {
    struct timer_queue *queue;
    GMutex lock; /* guards all below */
    GCond changed;
    GString *order; /* a letter for each function that ran */
    bool entered;
    bool go_on;
    bool left;
    uint64_t own_handle;
    bool own_cancel;
    unsigned count;
};

struct letter {
    struct fixture *f;
    char letter;
};

static void setup(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->queue = timer_queue_new("test-timer");
    g_mutex_init(&f->lock);
    g_cond_init(&f->changed);
    f->order = g_string_new(NULL);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    timer_queue_free(f->queue);
    g_string_free(f->order, TRUE);
    g_cond_clear(&f->changed);
    g_mutex_clear(&f->lock);
}

static void write_letter(void *data)
{
    struct letter *letter = data;
    g_mutex_lock(&letter->f->lock);
    g_string_append_c(letter->f->order, letter->letter);
    g_cond_broadcast(&letter->f->changed);
    g_mutex_unlock(&letter->f->lock);
}

static void wait_length(struct fixture *f, gsize length)
{
    g_mutex_lock(&f->lock);
    while (f->order->len < length) {
        g_cond_wait(&f->changed, &f->lock);
    }
    g_mutex_unlock(&f->lock);
}

static void enter_and_wait(void *data)
{
    struct fixture *f = data;
    g_mutex_lock(&f->lock);
    f->entered = true;
    g_cond_broadcast(&f->changed);
    while (!f->go_on) {
        g_cond_wait(&f->changed, &f->lock);
    }
    f->left = true;
    g_mutex_unlock(&f->lock);
}

static gpointer let_go_on(gpointer data)
{
    struct fixture *f = data;
    g_mutex_lock(&f->lock);
    f->go_on = true;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
    return NULL;
}

static void test_order(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct letter a = {f, 'a'}, b = {f, 'b'}, c = {f, 'c'}, d = {f, 'd'};
    timer_add(f->queue, 0, enter_and_wait, f); /* holds the others back until all are added */
    int64_t now = timer_now_ms();
    timer_add(f->queue, now + 60, write_letter, &d);
    timer_add(f->queue, now + 30, write_letter, &b);
    timer_add(f->queue, now + 30, write_letter, &c);
    timer_add(f->queue, now - 1000, write_letter, &a);
    let_go_on(f);
    wait_length(f, 4);
    g_assert_cmpstr(f->order->str, ==, "abcd");
    g_assert_cmpint(timer_now_ms(), >=, now + 60);
}

static void test_cancel(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct letter a = {f, 'a'}, b = {f, 'b'};
    int64_t now = timer_now_ms();
    uint64_t first = timer_add(f->queue, now + 40, write_letter, &a);
    uint64_t second = timer_add(f->queue, now + 50, write_letter, &b);
    g_assert_true(timer_cancel(f->queue, first));
    g_assert_false(timer_cancel(f->queue, first));
    g_assert_false(timer_cancel(f->queue, 0));
    wait_length(f, 1);
    g_assert_cmpstr(f->order->str, ==, "b");
    g_assert_false(timer_cancel(f->queue, second));
}

static void test_cancel_waits(struct fixture *f, gconstpointer data)
{
    (void)data;
    uint64_t handle = timer_add(f->queue, 0, enter_and_wait, f);
    g_mutex_lock(&f->lock);
    while (!f->entered) {
        g_cond_wait(&f->changed, &f->lock);
    }
    g_mutex_unlock(&f->lock);
    GThread *thread = g_thread_new("go-on", let_go_on, f);
    g_assert_false(timer_cancel(f->queue, handle));
    g_assert_true(f->left); /* no lock: the function must have returned by now */
    g_thread_join(thread);
}

static void cancel_itself(void *data)
{
    struct fixture *f = data;
    g_mutex_lock(&f->lock);
    uint64_t own = f->own_handle;
    g_mutex_unlock(&f->lock);
    bool cancelled = timer_cancel(f->queue, own); /* must not wait for itself */
    g_mutex_lock(&f->lock);
    f->own_cancel = cancelled;
    f->left = true;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

static void test_cancel_from_itself(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->own_cancel = true;
    g_mutex_lock(&f->lock);
    f->own_handle = timer_add(f->queue, 0, cancel_itself, f);
    while (!f->left) {
        g_cond_wait(&f->changed, &f->lock);
    }
    g_mutex_unlock(&f->lock);
    g_assert_false(f->own_cancel);
}

static void count(void *data)
{
    struct fixture *f = data;
    g_mutex_lock(&f->lock);
    f->count++;
    g_cond_broadcast(&f->changed);
    g_mutex_unlock(&f->lock);
}

/* Every other one of many timers is cancelled, in a scattered order; exactly the others run. */
static void test_many(struct fixture *f, gconstpointer data)
{
    (void)data;
    enum { N = 20000 };
    g_autofree uint64_t *handles = g_new(uint64_t, N);
    int64_t far = timer_now_ms() + 3600 * 1000;
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    for (int i = 0; i < N; i++) {
        handles[i] = timer_add(f->queue, far + g_rand_int_range(rand, 0, 100000), count, f);
    }
    for (int i = 0; i < N; i++) {
        int j = (int)((i * 7919L) % N);
        g_assert_true(timer_cancel(f->queue, handles[j]));
        if (j % 2 == 0) {
            handles[j] = timer_add(f->queue, timer_now_ms() + j % 50, count, f);
        }
    }
    g_mutex_lock(&f->lock);
    while (f->count < N / 2) {
        g_cond_wait(&f->changed, &f->lock);
    }
    g_assert_cmpuint(f->count, ==, N / 2);
    g_mutex_unlock(&f->lock);
    timer_add(f->queue, far, count, f); /* freed unrun with the queue */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/timer/order", struct fixture, NULL, setup, test_order, teardown);
    g_test_add("/timer/cancel", struct fixture, NULL, setup, test_cancel, teardown);
    g_test_add("/timer/cancel-waits", struct fixture, NULL, setup, test_cancel_waits, teardown);
    g_test_add("/timer/cancel-from-itself", struct fixture, NULL, setup, test_cancel_from_itself, teardown);
    g_test_add("/timer/many", struct fixture, NULL, setup, test_many, teardown);
    return g_test_run();
}
