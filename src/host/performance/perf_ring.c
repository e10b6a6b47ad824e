// SPDX-License-Identifier: Apache-2.0
/*
 * Packed rows in blocks of half a KiB. See perf_ring.h.
 *
 *   block:  [first tick, last tick, layout | row | row | row ...]
 *   row:    [one bit a column: changed; one: not one tick after the row before] [change, for each that has]
 *
 * Numbers are written with three bits in half a byte, low ones first, signs folded in; rows begin at a byte.
 * The first row of a block is told from zeroes, so each block can be read, and thrown away, by itself. A block
 * ends when it is full or when the columns change.
 */
#include "host/performance/perf_ring.h"

#include <string.h>

enum {
    BLOCK_BYTES = 448, /* of rows; more where a row needs it */
    NUMBER_BYTES_MAX = 11,
};

struct block {
    struct block *next;
    const struct perf_layout *layout;
    int64_t first;
    int64_t last;
    uint32_t size; /* of rows */
    uint32_t used;
    uint8_t rows[];
};

struct perf_ring {
    unsigned ticks;
    struct block *oldest;
    struct block *newest;
    int64_t *last; /* the newest row as it was packed, of newest->layout; owned */
};

bool perf_measure_grows(enum perf_measure measure)
{
    switch (measure) {
    case PERF_INTERVAL_MS:
    case PERF_UPTIME_S:
    case PERF_CPU_COUNT:
    case PERF_MEM_SIZE_KB:
    case PERF_MEM_USED_KB:
    case PERF_MEM_BALLOON_KB:
    case PERF_MEM_SWAP_KB:
    case PERF_MEM_SHARED_KB:
        return false;
    case PERF_CPU_TOTAL_MS:
    case PERF_CPU_RUN_MS:
    case PERF_CPU_READY_MS:
    case PERF_CPU_IDLE_MS:
    case PERF_MEM_SWAP_IN_KB:
    case PERF_MEM_SWAP_OUT_KB:
    case PERF_DISK_READS:
    case PERF_DISK_WRITES:
    case PERF_DISK_READ_KB:
    case PERF_DISK_WRITTEN_KB:
    case PERF_DISK_READ_US:
    case PERF_DISK_WRITE_US:
    case PERF_STORE_READS:
    case PERF_STORE_WRITES:
    case PERF_STORE_READ_KB:
    case PERF_STORE_WRITTEN_KB:
    case PERF_STORE_READ_US:
    case PERF_STORE_WRITE_US:
    case PERF_NET_RECEIVED_KB:
    case PERF_NET_SENT_KB:
    case PERF_NET_RECEIVED_PACKETS:
    case PERF_NET_SENT_PACKETS:
    case PERF_NET_RECEIVED_DROPPED:
    case PERF_NET_SENT_DROPPED:
    case PERF_NET_RECEIVED_ERRORS:
    case PERF_NET_SENT_ERRORS:
        return true;
    }
    g_assert_not_reached();
}

/* ---- layouts ---------------------------------------------------------------------------------------- */

struct perf_layouts {
    GHashTable *all; /* struct perf_layout, to itself */
};

static guint layout_hash(const void *key)
{
    const struct perf_layout *layout = key;
    guint hash = layout->n;
    for (guint i = 0; i < layout->n; i++) {
        hash = hash * 31 + (guint)layout->columns[i].measure;
        hash = hash * 31 + (guint)layout->columns[i].instance;
    }
    return hash;
}

static gboolean layout_equal(const void *a, const void *b)
{
    const struct perf_layout *x = a, *y = b;
    return x->n == y->n && memcmp(x->columns, y->columns, x->n * sizeof(x->columns[0])) == 0;
}

struct perf_layouts *perf_layouts_new(void)
{
    struct perf_layouts *layouts = g_new0(struct perf_layouts, 1);
    layouts->all = g_hash_table_new_full(layout_hash, layout_equal, g_free, NULL);
    return layouts;
}

void perf_layouts_free(struct perf_layouts *layouts)
{
    g_hash_table_unref(layouts->all);
    g_free(layouts);
}

const struct perf_layout *perf_layouts_get(struct perf_layouts *layouts, const struct perf_column *columns,
                                           guint n)
{
    struct perf_layout *wanted = g_malloc0(sizeof(*wanted) + n * sizeof(*columns));
    wanted->n = n;
    if (n > 0) {
        memcpy(wanted->columns, columns, n * sizeof(*columns));
    }
    const struct perf_layout *known = g_hash_table_lookup(layouts->all, wanted);
    if (known != NULL) {
        g_free(wanted);
        return known;
    }
    g_hash_table_add(layouts->all, wanted);
    return wanted;
}

/* ---- readings --------------------------------------------------------------------------------------- */

void perf_reading_init(struct perf_reading *reading)
{
    reading->columns = g_array_new(FALSE, FALSE, sizeof(struct perf_column));
    reading->values = g_array_new(FALSE, FALSE, sizeof(int64_t));
}

void perf_reading_clear(struct perf_reading *reading)
{
    g_array_unref(reading->columns);
    g_array_unref(reading->values);
}

void perf_reading_reset(struct perf_reading *reading)
{
    g_array_set_size(reading->columns, 0);
    g_array_set_size(reading->values, 0);
}

void perf_reading_add(struct perf_reading *reading, enum perf_measure measure, int32_t instance,
                      int64_t value)
{
    struct perf_column column = {(int32_t)measure, instance};
    g_array_append_val(reading->columns, column);
    g_array_append_val(reading->values, value);
}

/* ---- packing ---------------------------------------------------------------------------------------- */

/* A place in a packed row, in half bytes. */
struct cursor {
    uint8_t *bytes;
    size_t at;
};

static void put_half(struct cursor *cursor, unsigned half)
{
    if (cursor->at % 2 == 0) {
        cursor->bytes[cursor->at / 2] = (uint8_t)half;
    } else {
        cursor->bytes[cursor->at / 2] |= (uint8_t)(half << 4);
    }
    cursor->at++;
}

static unsigned get_half(struct cursor *cursor)
{
    unsigned half = cursor->bytes[cursor->at / 2] >> (cursor->at % 2 * 4) & 0xf;
    cursor->at++;
    return half;
}

static void put_number(struct cursor *cursor, int64_t number)
{
    uint64_t left = (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
    while (left >= 8) {
        put_half(cursor, (left & 7) | 8);
        left >>= 3;
    }
    put_half(cursor, (unsigned)left);
}

static int64_t get_number(struct cursor *cursor)
{
    uint64_t number = 0;
    unsigned shift = 0, half;
    do {
        half = get_half(cursor);
        number |= (uint64_t)(half & 7) << shift;
        shift += 3;
    } while (half & 8);
    return (int64_t)(number >> 1 ^ -(number & 1));
}

/* The bits of the columns, and one for the tick. */
static size_t mask_bytes(guint n)
{
    return (n + 1 + 7) / 8;
}

static size_t row_bytes_max(guint n)
{
    return mask_bytes(n) + (size_t)(n + 1) * NUMBER_BYTES_MAX;
}

/*
 * What is known of a row beforehand is taken out of its numbers before they are packed (sign -1), and put back
 * afterwards (sign 1): a machine's uptime rises with the ticks, and what it uses is mostly what its processors
 * do. All of it is modulo 2^64: nothing can be lost.
 */
static void adjust(const struct perf_layout *layout, int64_t tick, int64_t *values, int sign)
{
    uint64_t ran = 0;
    for (guint i = 0; i < layout->n; i++) {
        ran += layout->columns[i].measure == PERF_CPU_RUN_MS ? (uint64_t)values[i] : 0;
    }
    for (guint i = 0; i < layout->n; i++) {
        uint64_t known = layout->columns[i].measure == PERF_UPTIME_S       ? (uint64_t)tick * PERF_TICK_S
                         : layout->columns[i].measure == PERF_CPU_TOTAL_MS ? ran
                                                                           : 0;
        values[i] = (int64_t)(sign < 0 ? (uint64_t)values[i] - known : (uint64_t)values[i] + known);
    }
}

/* Packs a row that follows `before` (n numbers, or NULL for zeroes). Returns its length. */
static size_t pack(uint8_t *out, guint n, int64_t ticks, const int64_t *before, const int64_t *values)
{
    struct cursor cursor = {out, 2 * mask_bytes(n)};
    memset(out, 0, mask_bytes(n));
    for (guint i = 0; i <= n; i++) {
        int64_t change =
            i == n ? ticks - 1 : (int64_t)((uint64_t)values[i] - (uint64_t)(before != NULL ? before[i] : 0));
        if (change != 0) {
            out[i / 8] |= (uint8_t)(1 << i % 8);
            put_number(&cursor, change);
        }
    }
    return (cursor.at + 1) / 2;
}

/* Returns the length of the row. */
static size_t unpack(uint8_t *row, guint n, int64_t *tick, int64_t *values)
{
    struct cursor cursor = {row, 2 * mask_bytes(n)};
    int64_t ticks = 1;
    for (guint i = 0; i <= n; i++) {
        int64_t change = row[i / 8] >> i % 8 & 1 ? get_number(&cursor) : 0;
        if (i == n) {
            ticks += change;
        } else {
            values[i] = (int64_t)((uint64_t)values[i] + (uint64_t)change);
        }
    }
    *tick += ticks;
    return (cursor.at + 1) / 2;
}

/* ---- the ring --------------------------------------------------------------------------------------- */

struct perf_ring *perf_ring_new(unsigned ticks)
{
    struct perf_ring *ring = g_new0(struct perf_ring, 1);
    ring->ticks = ticks;
    return ring;
}

static void drop_all(struct perf_ring *ring)
{
    while (ring->oldest != NULL) {
        struct block *block = ring->oldest;
        ring->oldest = block->next;
        g_free(block);
    }
    ring->newest = NULL;
    g_clear_pointer(&ring->last, g_free);
}

void perf_ring_free(struct perf_ring *ring)
{
    if (ring != NULL) {
        drop_all(ring);
        g_free(ring);
    }
}

static void copy_row(void *data, int64_t tick, const struct perf_layout *layout, const int64_t *values)
{
    perf_ring_append(data, layout, tick, values);
}

/* Rare: it packs the older rows anew. */
static void drop_from(struct perf_ring *ring, int64_t tick)
{
    struct perf_ring kept = {.ticks = ring->ticks};
    perf_ring_each(ring, INT64_MIN, tick - 1, copy_row, &kept);
    drop_all(ring);
    *ring = kept;
}

static void drop_old(struct perf_ring *ring, int64_t tick)
{
    while (ring->oldest != ring->newest && ring->oldest->last <= tick - (int64_t)ring->ticks) {
        struct block *block = ring->oldest;
        ring->oldest = block->next;
        g_free(block);
    }
}

static void add_block(struct perf_ring *ring, const struct perf_layout *layout, int64_t tick,
                      const int64_t *values)
{
    g_autofree uint8_t *row = g_malloc(row_bytes_max(layout->n));
    size_t length = pack(row, layout->n, 1, NULL, values);
    size_t size = MAX((size_t)BLOCK_BYTES, 4 * length);
    struct block *block = g_malloc(sizeof(*block) + size);
    *block = (struct block){.layout = layout, .first = tick, .last = tick, .size = (uint32_t)size};
    memcpy(block->rows, row, length);
    block->used = (uint32_t)length;
    if (ring->newest == NULL || ring->newest->layout->n != layout->n) {
        g_free(ring->last);
        ring->last = g_new(int64_t, MAX(layout->n, 1));
    }
    if (ring->newest != NULL) {
        ring->newest->next = block;
    } else {
        ring->oldest = block;
    }
    ring->newest = block;
}

void perf_ring_append(struct perf_ring *ring, const struct perf_layout *layout, int64_t tick,
                      const int64_t *values)
{
    if (ring->newest != NULL && tick <= ring->newest->last) {
        drop_from(ring, tick);
    }
    struct block *block = ring->newest;
    size_t length = 0;
    g_autofree uint8_t *row = g_malloc(row_bytes_max(layout->n));
    g_autofree int64_t *adjusted = g_new(int64_t, layout->n + 1);
    for (guint i = 0; i < layout->n; i++) {
        adjusted[i] = values[i];
    }
    adjust(layout, tick, adjusted, -1);
    if (block != NULL && block->layout == layout) {
        length = pack(row, layout->n, tick - block->last, ring->last, adjusted);
    }
    if (length > 0 && block->used + length <= block->size) {
        memcpy(block->rows + block->used, row, length);
        block->used += (uint32_t)length;
        block->last = tick;
    } else {
        add_block(ring, layout, tick, adjusted);
    }
    for (guint i = 0; i < layout->n; i++) {
        ring->last[i] = adjusted[i];
    }
    drop_old(ring, tick);
}

static void each_of_block(struct block *block, int64_t after, int64_t until, perf_row_fn row, void *data)
{
    guint n = block->layout->n;
    g_autofree int64_t *packed = g_new0(int64_t, n + 1);
    g_autofree int64_t *values = g_new0(int64_t, n + 1);
    int64_t tick = block->first - 1;
    size_t at = 0;
    while (at < block->used) {
        at += unpack(block->rows + at, n, &tick, packed);
        if (tick > after && tick <= until) {
            memcpy(values, packed, n * sizeof(*values));
            adjust(block->layout, tick, values, 1);
            row(data, tick, block->layout, values);
        }
    }
}

void perf_ring_each(const struct perf_ring *ring, int64_t after, int64_t until, perf_row_fn row, void *data)
{
    for (struct block *block = ring->oldest; block != NULL; block = block->next) {
        if (block->last > after && block->first <= until) {
            each_of_block(block, after, until, row, data);
        }
    }
}

int64_t perf_ring_last(const struct perf_ring *ring)
{
    return ring->newest != NULL ? ring->newest->last : INT64_MIN;
}

size_t perf_ring_bytes(const struct perf_ring *ring)
{
    size_t bytes = sizeof(*ring);
    for (const struct block *block = ring->oldest; block != NULL; block = block->next) {
        bytes += sizeof(*block) + block->size;
    }
    return bytes + (ring->newest != NULL ? ring->newest->layout->n * sizeof(int64_t) : 0);
}
