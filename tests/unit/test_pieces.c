// SPDX-License-Identifier: Apache-2.0
/*
 * Pieces made by several threads: their order, that several threads take part, that none is needed, and
 * that nothing is touched after the end.
 */
#include "base/pieces.h"

#include <glib.h>

#include "base/worker_pool.h"

enum { N = 500 };

struct text {
    GMutex lock; /* guards all but `out` */
    GCond changed;
    GHashTable *threads; /* that have made a piece */
    unsigned wanted;     /* threads that are waited for */
    unsigned made;       /* pieces */
    struct buffer out;
    unsigned enough; /* pieces to take; 0: all */
    unsigned taken;
};

static void setup(struct text *text, gconstpointer data)
{
    (void)data;
    g_mutex_init(&text->lock);
    g_cond_init(&text->changed);
    text->threads = g_hash_table_new(NULL, NULL);
}

static void teardown(struct text *text, gconstpointer data)
{
    (void)data;
    g_mutex_clear(&text->lock);
    g_cond_clear(&text->changed);
    g_hash_table_unref(text->threads);
    buffer_free(&text->out);
}

/* Appends "<number>", as often as the number says, so that pieces differ in length. The first pieces wait until
 * as many threads as wanted are here. */
static void make(void *data, size_t piece, struct buffer *out)
{
    struct text *text = data;

    g_assert_cmpuint(out->length, ==, 0);
    g_mutex_lock(&text->lock);
    g_hash_table_add(text->threads, g_thread_self());
    g_cond_broadcast(&text->changed);
    while (g_hash_table_size(text->threads) < text->wanted) {
        g_cond_wait(&text->changed, &text->lock);
    }
    text->made++;
    g_mutex_unlock(&text->lock);
    for (size_t i = 0; i <= piece; i++) {
        buffer_printf(out, "<%zu>", piece);
    }
}

static bool take(void *data, const struct buffer *made)
{
    struct text *text = data;

    buffer_append(&text->out, made->data, made->length);
    return ++text->taken != text->enough;
}

static void expect_text(struct text *text, size_t n)
{
    BUFFER_AUTO(expected);

    for (size_t piece = 0; piece < n; piece++) {
        for (size_t i = 0; i <= piece; i++) {
            buffer_printf(&expected, "<%zu>", piece);
        }
    }
    g_assert_cmpstr(buffer_string(&text->out), ==, buffer_string(&expected));
}

static void test_order(struct text *text, gconstpointer data)
{
    unsigned helpers = GPOINTER_TO_UINT(data);
    struct worker_pool *pool =
        worker_pool_new(&(struct worker_pool_options){.name = "pieces", .max_threads = 4, .max_queued = 16});
    struct pieces pieces = {N, helpers, make, take, text};

    text->wanted = helpers + 1; /* all threads must take part, or this never ends */
    g_assert_cmpuint(pieces_make(&pieces, pool), ==, N);
    expect_text(text, N);
    g_assert_cmpuint(text->made, ==, N);
    g_assert_cmpuint(g_hash_table_size(text->threads), ==, helpers + 1);
    worker_pool_free(pool);
}

static void test_enough(struct text *text, gconstpointer data)
{
    (void)data;
    struct worker_pool *pool =
        worker_pool_new(&(struct worker_pool_options){.name = "pieces", .max_threads = 4, .max_queued = 16});
    struct pieces pieces = {N, 3, make, take, text};

    text->enough = 20;
    g_assert_cmpuint(pieces_make(&pieces, pool), ==, 20);
    unsigned made = text->made;
    expect_text(text, 20);
    g_assert_cmpuint(made, <, 20 + 20); /* not far ahead of what was taken */
    worker_pool_free(pool);
    g_assert_cmpuint(text->made, ==, made); /* a helper that came late found nothing to do */
}

static void block(void *data)
{
    struct text *text = data;

    g_mutex_lock(&text->lock);
    while (text->wanted == 0) {
        g_cond_wait(&text->changed, &text->lock);
    }
    g_mutex_unlock(&text->lock);
}

/* A pool whose threads are all busy, and one whose queue is full, leave the work to the caller. */
static void test_busy_pool(struct text *text, gconstpointer data)
{
    unsigned max_queued = GPOINTER_TO_UINT(data);
    struct worker_pool *pool = worker_pool_new(
        &(struct worker_pool_options){.name = "pieces", .max_threads = 1, .max_queued = max_queued});
    struct pieces pieces = {N, 3, make, take, text};

    g_assert_cmpint(worker_pool_push(pool, block, text), ==, 0);
    g_assert_cmpuint(pieces_make(&pieces, pool), ==, N);
    expect_text(text, N);
    g_assert_cmpuint(g_hash_table_size(text->threads), ==, 1);
    g_mutex_lock(&text->lock);
    text->wanted = 1;
    g_cond_broadcast(&text->changed);
    g_mutex_unlock(&text->lock);
    worker_pool_free(pool);
    g_assert_cmpuint(text->made, ==, N);
}

static void test_none(struct text *text, gconstpointer data)
{
    (void)data;
    struct pieces pieces = {0, 0, make, take, text};

    g_assert_cmpuint(pieces_make(&pieces, NULL), ==, 0);
    g_assert_cmpuint(text->taken, ==, 0);
}

#define ADD(name, data, fn) g_test_add(name, struct text, data, setup, fn, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/pieces/alone", GUINT_TO_POINTER(0), test_order);
    ADD("/pieces/one-helper", GUINT_TO_POINTER(1), test_order);
    ADD("/pieces/three-helpers", GUINT_TO_POINTER(3), test_order);
    ADD("/pieces/enough", NULL, test_enough);
    ADD("/pieces/busy-pool", GUINT_TO_POINTER(16), test_busy_pool);
    ADD("/pieces/full-queue", GUINT_TO_POINTER(1), test_busy_pool);
    ADD("/pieces/none", NULL, test_none);
    return g_test_run();
}
