// SPDX-License-Identifier: Apache-2.0
/*
 * The model of simulated guests; see sim_model.h. Integers only, so that it is the same everywhere.
 */
#include "hypervisor/sim/sim_model.h"

enum {
    SCREEN_WIDTH = 128, /* pixels, one bit each */
    SCREEN_HEIGHT = 96,
    SCREEN_STARS = 40,
    MEMORY_FILL_MS = 20 * 60 * 1000,
    ACTIVITY_MS = 5 * 60 * 1000,
    ACTIVITIES = 12, /* then they repeat */
};

/* The n-th draw from a seed; the mixing of splitmix64. */
static uint64_t draw(uint32_t seed, uint32_t n)
{
    uint64_t x = ((uint64_t)seed << 32 | n) + 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* The area under a load that goes from low to high and back within period, up to x: permille times ms. */
static int64_t area(int64_t low, int64_t high, int64_t period_ms, int64_t x_ms)
{
    int64_t whole = period_ms * (low + high) / 2;
    int64_t u = x_ms % period_ms;
    int64_t rising = MIN(u, period_ms - u);
    int64_t part = low * rising + (high - low) * rising * rising / period_ms;

    return x_ms / period_ms * whole + (u == rising ? part : whole - part);
}

int64_t sim_model_cpu_time_ns(uint32_t seed, int32_t cpus, int64_t ran_ms)
{
    int64_t low = 10 + (int64_t)(draw(seed, 0) % 150);
    int64_t high = low + (int64_t)(draw(seed, 1) % 600);
    int64_t period_ms = 2 * (5 * 60 * 1000 + (int64_t)(draw(seed, 2) % (10 * 60 * 1000)));
    int64_t phase_ms = (int64_t)(draw(seed, 3) % (uint64_t)period_ms);

    int64_t used = area(low, high, period_ms, phase_ms + ran_ms) - area(low, high, period_ms, phase_ms);
    return used * cpus * 1000; /* a permille of a millisecond is 1000 ns */
}

int64_t sim_model_memory_bytes(uint32_t seed, int32_t memory_mb, int64_t ran_ms)
{
    int64_t first = 100 + (int64_t)(draw(seed, 4) % 200);
    int64_t last = first + (int64_t)(draw(seed, 5) % 600);
    int64_t permille = first + (last - first) * MIN(ran_ms, MEMORY_FILL_MS) / MEMORY_FILL_MS;

    return ((int64_t)memory_mb << 20) / 1000 * permille;
}

int64_t sim_model_ready_ns(uint32_t seed, int32_t cpus, int64_t ran_ms)
{
    return sim_model_cpu_time_ns(seed, cpus, ran_ms) / cpus / (40 + (int64_t)(draw(seed, 6) % 200));
}

/* The n-th five minutes of a machine's hour: most are quiet. Permille. */
static int64_t activity(uint32_t seed, uint32_t n)
{
    uint64_t drawn = draw(seed, 32 + n);
    return drawn % 3 == 0 ? (int64_t)(100 + drawn / 3 % 900) : 10;
}

/* How often something has happened by ran_ms that happens up to `most` times a second when all is busy. Drives
 * and adapters do the same every hour. */
static int64_t events(uint32_t seed, uint32_t n, int64_t most, int64_t ran_ms)
{
    int64_t hour = 0, part = 0;
    int64_t into_ms = ran_ms % (ACTIVITIES * ACTIVITY_MS);
    for (uint32_t i = 0; i < ACTIVITIES; i++) {
        int64_t permille = activity(seed, i);
        int64_t left_ms = into_ms - (int64_t)i * ACTIVITY_MS;
        hour += permille * ACTIVITY_MS;
        part += permille * CLAMP(left_ms, 0, ACTIVITY_MS);
    }
    int64_t permille_ms = ran_ms / (ACTIVITIES * ACTIVITY_MS) * hour + part;
    return permille_ms / 1000 * (1 + (int64_t)(draw(seed, n) % (uint64_t)most)) / 1000;
}

void sim_model_disk(uint32_t seed, int32_t key, int64_t ran_ms, struct hypervisor_disk_stats *ret)
{
    uint32_t n = 100 + 8 * (uint32_t)key;
    ret->reads = events(seed, n, 60, ran_ms);
    ret->writes = events(seed, n + 1, 90, ran_ms);
    ret->read_bytes = ret->reads * (4096 << draw(seed, n + 2) % 4);
    ret->written_bytes = ret->writes * (4096 << draw(seed, n + 3) % 3);
    ret->read_ns = ret->reads * (200000 + (int64_t)(draw(seed, n + 4) % 6000000));
    ret->write_ns = ret->writes * (300000 + (int64_t)(draw(seed, n + 5) % 9000000));
}

void sim_model_nic(uint32_t seed, int32_t key, int64_t ran_ms, struct hypervisor_nic_stats *ret)
{
    uint32_t n = 100 + 8 * (uint32_t)key;
    ret->received_packets = events(seed, n, 300, ran_ms);
    ret->sent_packets = events(seed, n + 1, 200, ran_ms);
    ret->received_bytes = ret->received_packets * (100 + (int64_t)(draw(seed, n + 2) % 900));
    ret->sent_bytes = ret->sent_packets * (100 + (int64_t)(draw(seed, n + 3) % 500));
    ret->received_dropped = 0;
    ret->sent_dropped = 0;
}

static void append_be32(GByteArray *out, uint32_t value)
{
    uint32_t be = GUINT32_TO_BE(value);
    g_byte_array_append(out, (const uint8_t *)&be, sizeof(be));
}

/* CRC-32 as in the PNG specification, annex D. */
static uint32_t crc32_of(const uint8_t *data, size_t length)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}

/* Adler-32, RFC 1950. */
static uint32_t adler32_of(const uint8_t *data, size_t length)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < length; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static void append_chunk(GByteArray *out, const char *type, const uint8_t *data, size_t length)
{
    append_be32(out, (uint32_t)length);
    guint start = out->len;
    g_byte_array_append(out, (const uint8_t *)type, 4);
    g_byte_array_append(out, data, (guint)length);
    append_be32(out, crc32_of(out->data + start, length + 4));
}

GByteArray *sim_model_screen(uint32_t seed)
{
    static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t header[] = {0, 0, 0, SCREEN_WIDTH, 0, 0, 0, SCREEN_HEIGHT, 1, 0, 0, 0, 0};
    enum { ROW_BYTES = 1 + SCREEN_WIDTH / 8, IMAGE_BYTES = ROW_BYTES * SCREEN_HEIGHT };
    uint8_t image[IMAGE_BYTES] = {0}; /* each row begins with its filter type, 0 */

    for (uint32_t star = 0; star < SCREEN_STARS; star++) {
        uint64_t place = draw(seed, 16 + star);
        uint32_t x = (uint32_t)(place % SCREEN_WIDTH), y = (uint32_t)(place / SCREEN_WIDTH % SCREEN_HEIGHT);
        image[y * ROW_BYTES + 1 + x / 8] |= (uint8_t)(0x80 >> x % 8);
    }
    /* One stored (not compressed) block, RFC 1951. */
    const uint8_t block[] = {
        0x78, 0x01, 1, IMAGE_BYTES & 0xff, IMAGE_BYTES >> 8, ~IMAGE_BYTES & 0xff, ~IMAGE_BYTES >> 8 & 0xff,
    };
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_byte_array_append(data, block, sizeof(block));
    g_byte_array_append(data, image, sizeof(image));
    append_be32(data, adler32_of(image, sizeof(image)));

    GByteArray *out = g_byte_array_new();
    g_byte_array_append(out, signature, sizeof(signature));
    append_chunk(out, "IHDR", header, sizeof(header));
    append_chunk(out, "IDAT", data->data, data->len);
    append_chunk(out, "IEND", NULL, 0);
    return out;
}
