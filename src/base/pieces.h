// SPDX-License-Identifier: Apache-2.0
/*
 * Text that is made in pieces by several threads and put together in order by one. Large answers are
 * written so: the caller and helpers from a worker pool each take the next piece that nobody has begun.
 *
 * The caller never waits for a helper that has not begun: with a busy pool it makes all pieces itself. No
 * more than a few pieces are ahead of the one that is put in place, so that memory stays small however
 * long the text is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct worker_pool;

struct pieces {
    size_t n;             /* how many there are */
    unsigned max_helpers; /* threads beside the caller's; 0: none */
    /* Appends a piece to the empty `out`. On several threads at a time; locks that the caller of
     * pieces_make() holds are held meanwhile. */
    void (*make)(void *data, size_t piece, struct buffer *out);
    /* Takes each piece in order; false: no more are wanted. On the caller's thread. */
    bool (*take)(void *data, const struct buffer *made);
    void *data; /* for both; borrowed */
};

/* Makes the pieces and has them taken. When it returns, no thread works on any. Returns how many were
 * taken. */
size_t pieces_make(const struct pieces *pieces, struct worker_pool *pool);
