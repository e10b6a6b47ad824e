// SPDX-License-Identifier: Apache-2.0
/*
 * Pieces by several threads. They are begun in order and lie in a ring until they are taken:
 *
 *       taken            begun
 *   ──────┼────────────────┼──────────────────
 *   gone  │ made or in work │ nobody's yet       begun - taken is at most RING
 *
 * A helper may start after all is done, so what it looks at is counted by references.
 */
#include "base/pieces.h"

#include "base/worker_pool.h"

enum {
    RING = 8, /* pieces between the first that is not taken and the last that is begun */
};

struct slot {
    struct buffer out; /* used again for the pieces that come by */
    bool made;         /* and not taken yet */
};

struct work {
    gatomicrefcount references;
    GMutex lock;     /* guards all below, but a slot's `out` is its maker's, then the caller's */
    GCond changed;   /* a piece was made or taken, or the work has ended */
    bool ended;      /* no piece is begun any more; `pieces` may be gone */
    size_t begun;    /* pieces */
    size_t taken;    /* pieces */
    unsigned making; /* threads that make one now */
    const struct pieces *pieces;
    struct slot ring[RING];
};

static void unref(struct work *work)
{
    if (g_atomic_ref_count_dec(&work->references)) {
        for (unsigned i = 0; i < RING; i++) {
            buffer_free(&work->ring[i].out);
        }
        g_mutex_clear(&work->lock);
        g_cond_clear(&work->changed);
        g_free(work);
    }
}

/* Makes the next piece, without the lock meanwhile. False when there is none, or no room. (lock) */
static bool make_next(struct work *work)
{
    if (work->begun == work->pieces->n || work->begun == work->taken + RING) {
        return false;
    }
    size_t piece = work->begun++;
    struct slot *slot = &work->ring[piece % RING];
    work->making++;
    g_mutex_unlock(&work->lock);
    buffer_truncate(&slot->out, 0);
    work->pieces->make(work->pieces->data, piece, &slot->out);
    g_mutex_lock(&work->lock);
    work->making--;
    slot->made = true;
    g_cond_broadcast(&work->changed);
    return true;
}

static void help(void *data)
{
    struct work *work = data;

    g_mutex_lock(&work->lock);
    while (!work->ended && work->begun < work->pieces->n) {
        if (!make_next(work)) {
            g_cond_wait(&work->changed, &work->lock);
        }
    }
    g_mutex_unlock(&work->lock);
    unref(work);
}

/* Has the next piece taken, without the lock meanwhile. False when it was the last that is wanted. (lock) */
static bool take_next(struct work *work, struct slot *slot)
{
    g_mutex_unlock(&work->lock);
    bool more = work->pieces->take(work->pieces->data, &slot->out);
    g_mutex_lock(&work->lock);
    slot->made = false;
    work->taken++;
    g_cond_broadcast(&work->changed);
    return more;
}

size_t pieces_make(const struct pieces *pieces, struct worker_pool *pool)
{
    struct work *work = g_new0(struct work, 1);

    g_atomic_ref_count_init(&work->references);
    g_mutex_init(&work->lock);
    g_cond_init(&work->changed);
    work->pieces = pieces;
    for (unsigned i = 0; i < pieces->max_helpers; i++) {
        g_atomic_ref_count_inc(&work->references);
        if (worker_pool_push(pool, help, work) != 0) {
            unref(work);
            break;
        }
    }
    g_mutex_lock(&work->lock);
    for (bool more = true; more && work->taken < pieces->n;) {
        struct slot *slot = &work->ring[work->taken % RING];
        if (slot->made) {
            more = take_next(work, slot);
        } else if (!make_next(work)) {
            g_cond_wait(&work->changed, &work->lock);
        }
    }
    work->ended = true;
    g_cond_broadcast(&work->changed);
    while (work->making > 0) {
        g_cond_wait(&work->changed, &work->lock);
    }
    size_t taken = work->taken;
    g_mutex_unlock(&work->lock);
    unref(work);
    return taken;
}
