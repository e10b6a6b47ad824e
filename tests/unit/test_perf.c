// SPDX-License-Identifier: Apache-2.0
/*
 * Performance counters: packed rows against plain ones, the values of counters, and the machine's figures
 * from a made-up /proc.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "host/performance/machine_load.h"
#include "host/performance/perf_counters.h"
#include "hypervisor/sim/sim_model.h"
#include "vim/value.h"

/* ---- rings ------------------------------------------------------------------------------------------- */

struct expected {
    GArray *rows; /* of struct perf_row, with the numbers that were put in */
    guint next;
};

static void check_row(void *data, int64_t tick, const struct perf_layout *layout, const int64_t *values)
{
    struct expected *expected = data;
    g_assert_cmpuint(expected->next, <, expected->rows->len);
    const struct perf_row *row = &g_array_index(expected->rows, struct perf_row, expected->next++);
    g_assert_cmpint(tick, ==, row->tick);
    g_assert_true(layout == row->layout);
    g_assert_cmpmem(values, layout->n * sizeof(*values), row->values, layout->n * sizeof(*values));
}

static const struct perf_layout *some_layout(struct perf_layouts *layouts, guint n)
{
    struct perf_column columns[64];
    for (guint i = 0; i < n; i++) {
        columns[i] = (struct perf_column){PERF_CPU_RUN_MS, (int32_t)i};
    }
    return perf_layouts_get(layouts, columns, n);
}

/* Random rows, gaps and changes of columns: what is read is what was put in, and an hour of it is there. */
static void test_ring_keeps_rows(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(g_test_rand_int());
    struct perf_layouts *layouts = perf_layouts_new();
    struct perf_ring *ring = perf_ring_new(180);
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct perf_row));
    const struct perf_layout *layout = some_layout(layouts, 13);
    int64_t tick = 90000000;
    for (int i = 0; i < 1000; i++) {
        tick += g_rand_int_range(random, 0, 20) == 0 ? g_rand_int_range(random, 1, 50) : 1;
        if (g_rand_int_range(random, 0, 50) == 0) {
            layout = some_layout(layouts, (guint)g_rand_int_range(random, 0, 64));
        }
        int64_t *values = g_new0(int64_t, layout->n + 1);
        for (guint c = 0; c < layout->n; c++) {
            int64_t bits = (int64_t)((uint64_t)g_rand_int(random) << 32 | g_rand_int(random));
            values[c] = g_rand_boolean(random) ? 0 : bits >> g_rand_int_range(random, 0, 63);
        }
        perf_ring_append(ring, layout, tick, values);
        struct perf_row row = {tick, layout, values};
        g_array_append_val(rows, row);
    }
    struct expected expected = {rows, 0};
    while (g_array_index(rows, struct perf_row, expected.next).tick <= tick - 180) {
        expected.next++;
    }
    guint first = expected.next;
    perf_ring_each(ring, tick - 180, INT64_MAX, check_row, &expected);
    g_assert_cmpuint(expected.next, ==, rows->len);

    expected.next = first; /* a part of it */
    int64_t until = g_array_index(rows, struct perf_row, first + 3).tick;
    perf_ring_each(ring, g_array_index(rows, struct perf_row, first).tick - 1, until, check_row, &expected);
    g_assert_cmpuint(expected.next, ==, first + 4);
    g_assert_cmpint(perf_ring_last(ring), ==, tick);
    for (guint i = 0; i < rows->len; i++) {
        g_free((void *)g_array_index(rows, struct perf_row, i).values);
    }
    perf_ring_free(ring);
    perf_layouts_free(layouts);
}

static void count_row(void *data, int64_t tick, const struct perf_layout *layout, const int64_t *values)
{
    (void)tick;
    (void)layout;
    (void)values;
    ++*(int *)data;
}

static void test_ring_forgets(void)
{
    struct perf_layouts *layouts = perf_layouts_new();
    struct perf_ring *ring = perf_ring_new(180);
    const struct perf_layout *layout = some_layout(layouts, 16);
    int64_t values[16] = {0};
    for (int64_t tick = 1; tick <= 100000; tick++) {
        values[3] = tick % 7;
        perf_ring_append(ring, layout, tick, values);
    }
    g_assert_cmpuint(perf_ring_bytes(ring), <, 4096); /* 180 rows of 16 numbers, one changing */
    int n = 0;
    perf_ring_each(ring, INT64_MIN, INT64_MAX, count_row, &n);
    g_assert_cmpint(n, >=, 180);
    g_assert_cmpint(n, <, 400);

    perf_ring_append(ring, layout, 99990, values); /* the clock was set back */
    g_assert_cmpint(perf_ring_last(ring), ==, 99990);
    int left = 0;
    perf_ring_each(ring, INT64_MIN, INT64_MAX, count_row, &left);
    g_assert_cmpint(left, ==, n - 10);
    perf_ring_append(ring, layout, 5, values);
    left = 0;
    perf_ring_each(ring, INT64_MIN, INT64_MAX, count_row, &left);
    g_assert_cmpint(left, ==, 1);
    perf_ring_free(ring);
    perf_layouts_free(layouts);
}

/* What 10,000 machines cost is this times 10,000: an hour of a busy simulated one. */
static void test_ring_is_small(void)
{
    enum { MACHINES = 100 };
    struct perf_layouts *layouts = perf_layouts_new();
    size_t bytes = 0;
    for (uint32_t seed = 0; seed < MACHINES; seed++) {
        struct perf_ring *ring = perf_ring_new(180);
        int64_t before[19] = {0};
        for (int64_t tick = 0; tick < 360; tick++) {
            int64_t ms = tick * 20000, now[19], row[19];
            struct hypervisor_disk_stats disk;
            struct hypervisor_nic_stats nic;
            sim_model_disk(seed, 2000, ms, &disk);
            sim_model_nic(seed, 4000, ms, &nic);
            struct perf_reading reading;
            perf_reading_init(&reading);
            int64_t cpu_ms = sim_model_cpu_time_ns(seed, 1, ms) / 1000000;
            perf_reading_add(&reading, PERF_CPU_TOTAL_MS, 0, cpu_ms);
            perf_reading_add(&reading, PERF_CPU_RUN_MS, 0, cpu_ms);
            perf_reading_add(&reading, PERF_CPU_READY_MS, 0, sim_model_ready_ns(seed, 1, ms) / 1000000);
            perf_reading_add(&reading, PERF_DISK_READS, 2000, disk.reads);
            perf_reading_add(&reading, PERF_DISK_WRITES, 2000, disk.writes);
            perf_reading_add(&reading, PERF_DISK_READ_KB, 2000, disk.read_bytes / 1024);
            perf_reading_add(&reading, PERF_DISK_WRITTEN_KB, 2000, disk.written_bytes / 1024);
            perf_reading_add(&reading, PERF_DISK_READ_US, 2000, disk.read_ns / 1000);
            perf_reading_add(&reading, PERF_DISK_WRITE_US, 2000, disk.write_ns / 1000);
            perf_reading_add(&reading, PERF_NET_RECEIVED_KB, 4000, nic.received_bytes / 1024);
            perf_reading_add(&reading, PERF_NET_SENT_KB, 4000, nic.sent_bytes / 1024);
            perf_reading_add(&reading, PERF_NET_RECEIVED_PACKETS, 4000, nic.received_packets);
            perf_reading_add(&reading, PERF_NET_SENT_PACKETS, 4000, nic.sent_packets);
            perf_reading_add(&reading, PERF_NET_RECEIVED_DROPPED, 4000, 0);
            perf_reading_add(&reading, PERF_NET_SENT_DROPPED, 4000, 0);
            perf_reading_add(&reading, PERF_UPTIME_S, 0, ms / 1000);
            perf_reading_add(&reading, PERF_MEM_USED_KB, 0, sim_model_memory_bytes(seed, 1024, ms) / 1024);
            perf_reading_add(&reading, PERF_MEM_SIZE_KB, 0, 1 << 20);
            perf_reading_add(&reading, PERF_INTERVAL_MS, 0, 20000);
            g_assert_cmpuint(reading.values->len, ==, G_N_ELEMENTS(now));
            memcpy(now, reading.values->data, sizeof(now));
            for (size_t i = 0; i < G_N_ELEMENTS(now); i++) {
                const struct perf_column *column = &g_array_index(reading.columns, struct perf_column, i);
                bool grows = perf_measure_grows((enum perf_measure)column->measure);
                row[i] = grows ? now[i] - before[i] : now[i];
            }
            memcpy(before, now, sizeof(before));
            if (tick > 0) {
                const void *columns = reading.columns->data;
                perf_ring_append(ring, perf_layouts_get(layouts, columns, reading.columns->len), tick, row);
            }
            perf_reading_clear(&reading);
        }
        bytes += perf_ring_bytes(ring);
        perf_ring_free(ring);
    }
    g_test_message("%zu bytes for an hour", bytes / MACHINES);
    g_assert_cmpuint(bytes / MACHINES, <, 3700);
    perf_layouts_free(layouts);
}

static void test_layouts_are_shared(void)
{
    struct perf_layouts *layouts = perf_layouts_new();
    g_assert_true(some_layout(layouts, 5) == some_layout(layouts, 5));
    g_assert_true(some_layout(layouts, 5) != some_layout(layouts, 6));
    perf_layouts_free(layouts);
}

/* ---- counters ---------------------------------------------------------------------------------------- */

static char *name(const void *data, const char *group, const struct perf_column *column)
{
    (void)data;
    if (strcmp(group, "datastore") == 0) {
        return g_strdup("store");
    }
    return column->instance == 9 ? NULL : g_strdup_printf("i%d", column->instance);
}

struct sample {
    struct perf_reading reading;
    struct perf_layouts *layouts;
    struct perf_row row;
    struct perf_object object;
};

static void sample_open(struct sample *sample)
{
    *sample = (struct sample){.layouts = perf_layouts_new(), .object = {PERF_OF_VM, 2000, name, NULL}};
    perf_reading_init(&sample->reading);
    static const struct {
        enum perf_measure measure;
        int32_t instance;
        int64_t value;
    } numbers[] = {
        {PERF_INTERVAL_MS, 0, 20000},    {PERF_CPU_COUNT, 0, 2},         {PERF_CPU_TOTAL_MS, 0, 12000},
        {PERF_CPU_RUN_MS, 0, 10000},     {PERF_CPU_RUN_MS, 1, 1000},     {PERF_CPU_READY_MS, 0, 500},
        {PERF_CPU_READY_MS, 1, 0},       {PERF_MEM_SIZE_KB, 0, 1 << 20}, {PERF_MEM_USED_KB, 0, 1 << 18},
        {PERF_DISK_READS, 1, 400},       {PERF_DISK_READS, 2, 0},        {PERF_DISK_READS, 9, 100},
        {PERF_DISK_WRITES, 1, 40},       {PERF_DISK_WRITES, 2, 10},      {PERF_DISK_READ_KB, 1, 4000},
        {PERF_DISK_READ_KB, 2, 0},       {PERF_DISK_WRITTEN_KB, 1, 400}, {PERF_DISK_WRITTEN_KB, 2, 60},
        {PERF_DISK_READ_US, 1, 1000000}, {PERF_DISK_READ_US, 2, 0},      {PERF_DISK_WRITE_US, 1, 40000},
        {PERF_DISK_WRITE_US, 2, 90000},  {PERF_UPTIME_S, 0, 77},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        perf_reading_add(&sample->reading, numbers[i].measure, numbers[i].instance, numbers[i].value);
    }
    const struct perf_reading *reading = &sample->reading;
    sample->row = (struct perf_row){
        .tick = 1,
        .layout =
            perf_layouts_get(sample->layouts, (const void *)reading->columns->data, reading->columns->len),
        .values = (const void *)reading->values->data,
    };
}

static void sample_close(struct sample *sample)
{
    perf_reading_clear(&sample->reading);
    perf_layouts_free(sample->layouts);
}

static void test_values(void)
{
    static const struct {
        int32_t key;
        const char *instance;
        int64_t value;
    } expected[] = {
        {2, "", 3000}, /* 12 s of 40 */
        {6, "", 1200}, /* 0.6 processors of 2 GHz */
        {6, "i0", 1000},   {6, "i1", 100},    {11, "", 40000 - 11000 - 500},
        {11, "i1", 19000}, {12, "", 500},     {12, "i0", 500},
        {14, "", 12000},   {24, "", 2500},    {98, "", 1 << 18},
        {125, "", 223},                  /* 4460 KB in 20 s */
        {128, "", 500},    {133, "", 9}, /* the second disk's writes */
        {155, "", 77},     {171, "i1", 20},   {171, "i2", 0},
        {173, "i1", 200},  {175, "i1", 3}, /* 2.5 ms */
        {175, "i2", 0},    {176, "i2", 9},    {178, "store", 25},
        {532, "i1", 2500}, {533, "i2", 9000}, {402, "", 11000},
        {404, "", 125},    {143, "", -1},     {171, "nothing", -1},
        {388, "", -1},     {90, "", -1},
    };
    struct sample sample;
    sample_open(&sample);
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        int64_t value = 0;
        const struct perf_counter *counter = perf_counter_by_key(expected[i].key);
        g_assert_nonnull(counter);
        perf_values(counter, &sample.object, expected[i].instance, &sample.row, 1, &value);
        if (value != expected[i].value) {
            g_test_message("%s.%s of \"%s\"", counter->group, counter->name, expected[i].instance);
        }
        g_assert_cmpint(value, ==, expected[i].value);
    }
    sample_close(&sample);
}

static char *instances(const struct sample *sample, int32_t key)
{
    g_autoptr(GPtrArray) names = perf_instances(perf_counter_by_key(key), &sample->object, &sample->row, 1);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(",", (char **)names->pdata);
}

static void test_instances(void)
{
    struct sample sample;
    sample_open(&sample);
    g_autofree char *mhz = instances(&sample, 6), *disks = instances(&sample, 171),
                    *stores = instances(&sample, 178), *net = instances(&sample, 143),
                    *usage = instances(&sample, 2);
    g_assert_cmpstr(mhz, ==, ",i0,i1");
    g_assert_cmpstr(disks, ==, "i1,i2"); /* 9 has no name: it is no disk any more */
    g_assert_cmpstr(stores, ==, "store");
    g_assert_cmpstr(net, ==, ""); /* none, not one that is always 0 */
    g_assert_cmpstr(usage, ==, "");
    sample_close(&sample);
}

static void test_table(void)
{
    int32_t last = 0;
    for (size_t i = 0; i < perf_n_counters; i++) {
        const struct perf_counter *counter = &perf_counters[i];
        g_assert_cmpint(counter->key, >, last);
        g_assert_true(perf_counter_by_key(counter->key) == counter);
        struct PerfCounterInfo *info = perf_counter_info(counter);
        g_assert_cmpstr(info->nameInfo->key, ==, counter->name);
        g_assert_nonnull(info->unitInfo->label);
        g_assert_cmpint(info->rollupType, !=, 0);
        vim_free(info);
        last = counter->key;
    }
    g_assert_null(perf_counter_by_key(1));
    g_assert_null(perf_counter_by_key(100000));
    vim_free(perf_description());
}

/* ---- the machine ------------------------------------------------------------------------------------- */

static void put(const char *root, const char *path, const char *text)
{
    g_autofree char *full = g_build_filename(root, path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static int64_t number(const struct perf_reading *reading, enum perf_measure measure, int32_t instance)
{
    for (guint i = 0; i < reading->columns->len; i++) {
        const struct perf_column *column = &g_array_index(reading->columns, struct perf_column, i);
        if (column->measure == (int32_t)measure && column->instance == instance) {
            return g_array_index(reading->values, int64_t, i);
        }
    }
    return -1;
}

static void test_machine(void)
{
    g_autofree char *root = g_dir_make_tmp("tenkyu-perf-XXXXXX", NULL);
    put(root, "proc/uptime", "4711.25 9000.00\n");
    put(root, "proc/stat",
        "cpu  300 20 100 4000 50 10 20 0 0 0\ncpu0 200 20 50 2000 30 10 10 0 0 0\n"
        "cpu1 100 0 50 2000 20 0 10 0 0 0\nintr 5 6 7\n");
    put(root, "proc/meminfo",
        "MemTotal:  1000000 kB\nMemFree: 10 kB\nMemAvailable: 600000 kB\n"
        "SwapTotal: 5000 kB\nSwapFree: 4000 kB\n");
    put(root, "proc/vmstat", "nr_free_pages 5\npswpin 100\npswpout 200\n");
    put(root, "proc/diskstats",
        " 253 0 vda 100 5 2048 300 50 6 4096 900 0 1 2\n"
        " 253 1 vda1 100 5 2048 300 50 6 4096 900 0 1 2\n   7 0 loop0 1 2 3 4 5 6 7 8 9 1 1\n");
    put(root, "proc/net/dev",
        "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop\n"
        "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
        "  eth0: 1048576 20 1 2 0 0 0 0 2048 30 3 4 0 0 0 0\n");
    put(root, "sys/block/vda/device/model", "x");
    put(root, "sys/class/net/eth0/device/vendor", "x");
    struct machine_load *load = machine_load_new(root);
    struct perf_reading reading;
    perf_reading_init(&reading);
    machine_load_read(load, &reading);
    g_assert_cmpint(number(&reading, PERF_UPTIME_S, 0), ==, 4711);
    g_assert_cmpint(number(&reading, PERF_CPU_COUNT, 0), ==, 2);
    g_assert_cmpint(number(&reading, PERF_CPU_TOTAL_MS, 0), ==, 4500);
    g_assert_cmpint(number(&reading, PERF_CPU_RUN_MS, 0), ==, 2900);
    g_assert_cmpint(number(&reading, PERF_CPU_IDLE_MS, 1), ==, 20200);
    g_assert_cmpint(number(&reading, PERF_MEM_USED_KB, 0), ==, 400000);
    g_assert_cmpint(number(&reading, PERF_MEM_SWAP_KB, 0), ==, 1000);
    g_assert_cmpint(number(&reading, PERF_DISK_READ_KB, 0), ==, 1024);
    g_assert_cmpint(number(&reading, PERF_DISK_WRITE_US, 0), ==, 900000);
    g_assert_cmpstr(machine_load_name(load, 0), ==, "vda");
    g_assert_cmpint(number(&reading, PERF_NET_RECEIVED_KB, 1), ==, 1024);
    g_assert_cmpint(number(&reading, PERF_NET_SENT_DROPPED, 1), ==, 4);
    g_assert_cmpstr(machine_load_name(load, 1), ==, "eth0");
    g_assert_null(machine_load_name(load, 2));
    g_assert_cmpint(number(&reading, PERF_MEM_SHARED_KB, 0), ==, -1); /* it is not told */
    perf_reading_clear(&reading);
    machine_load_free(load);
    g_autofree char *command = g_strdup_printf("rm -r '%s'", root);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/perf/ring/keeps-rows", test_ring_keeps_rows);
    g_test_add_func("/perf/ring/forgets", test_ring_forgets);
    g_test_add_func("/perf/ring/is-small", test_ring_is_small);
    g_test_add_func("/perf/layouts", test_layouts_are_shared);
    g_test_add_func("/perf/values", test_values);
    g_test_add_func("/perf/instances", test_instances);
    g_test_add_func("/perf/table", test_table);
    g_test_add_func("/perf/machine", test_machine);
    return g_test_run();
}
