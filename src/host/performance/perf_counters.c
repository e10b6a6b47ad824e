// SPDX-License-Identifier: Apache-2.0
/*
 * The table of counters, and what makes values of rows. See perf_counters.h; docs/performance-counters.md
 * says the same for people.
 */
#include "host/performance/perf_counters.h"

#include <string.h>

#include "vim/value.h"

#define AVERAGE PerfSummaryType_average
#define LATEST PerfSummaryType_latest
#define SUMMATION PerfSummaryType_summation
#define RATE PerfStatsType_rate
#define DELTA PerfStatsType_delta
#define ABSOLUTE PerfStatsType_absolute
#define UNIT(name) PerformanceManagerUnit_##name
/* Rules by formula and measures: of the whole and of its parts alike, of either alone, of each by another. */
#define ALL(formula, a, b)                    \
    {                                         \
        PERF_##formula, PERF_##a, PERF_##a, b \
    }
#define WHOLE(formula, a, b)           \
    {                                  \
        PERF_##formula, PERF_##a, 0, b \
    }
#define PARTS(formula, a, b)           \
    {                                  \
        PERF_##formula, 0, PERF_##a, b \
    }
#define BOTH(formula, whole, part, b)                \
    {                                                \
        PERF_##formula, PERF_##whole, PERF_##part, b \
    }
#define VM(...) [PERF_OF_VM] = __VA_ARGS__
#define HOST(...) [PERF_OF_HOST] = __VA_ARGS__

/* A counter in three lines. */
/* clang-format off */
const struct perf_counter perf_counters[] = {
    {2, "cpu", "usage", AVERAGE, RATE, UNIT(percent), 1, 3,
     "CPU usage", "Share of the processors in use",
     {VM(WHOLE(TIME_SHARE, CPU_TOTAL_MS, 0)), HOST(BOTH(TIME_SHARE, CPU_TOTAL_MS, CPU_RUN_MS, 0))}},
    {6, "cpu", "usagemhz", AVERAGE, RATE, UNIT(megaHertz), 1, 3,
     "CPU usage in MHz", "Processor cycles used",
     {VM(BOTH(MHZ, CPU_TOTAL_MS, CPU_RUN_MS, 0)), HOST(WHOLE(MHZ, CPU_TOTAL_MS, 0))}},
    {11, "cpu", "wait", SUMMATION, DELTA, UNIT(millisecond), 3, 3,
     "CPU wait", "Time for which virtual processors had nothing to do",
     {VM(ALL(REST, CPU_RUN_MS, PERF_CPU_READY_MS))}},
    {12, "cpu", "ready", SUMMATION, DELTA, UNIT(millisecond), 1, 3,
     "CPU ready", "Time for which virtual processors had to wait for a processor of the host",
     {VM(ALL(SUM, CPU_READY_MS, 0))}},
    {13, "cpu", "idle", SUMMATION, DELTA, UNIT(millisecond), 2, 3,
     "CPU idle", "Time for which processors did nothing",
     {HOST(ALL(SUM, CPU_IDLE_MS, 0))}},
    {14, "cpu", "used", SUMMATION, DELTA, UNIT(millisecond), 3, 3,
     "CPU used", "Processor time used",
     {VM(BOTH(SUM, CPU_TOTAL_MS, CPU_RUN_MS, 0)), HOST(BOTH(SUM, CPU_TOTAL_MS, CPU_RUN_MS, 0))}},
    {24, "mem", "usage", AVERAGE, ABSOLUTE, UNIT(percent), 1, 3,
     "Memory usage", "Memory of the host in use, in relation to what the machine or the host has",
     {VM(WHOLE(SHARE, MEM_USED_KB, PERF_MEM_SIZE_KB)), HOST(WHOLE(SHARE, MEM_USED_KB, PERF_MEM_SIZE_KB))}},
    {37, "mem", "shared", AVERAGE, ABSOLUTE, UNIT(kiloBytes), 2, 3,
     "Memory shared", "Memory that need not be kept because equal pages are kept once",
     {HOST(WHOLE(SUM, MEM_SHARED_KB, 0))}},
    {49, "mem", "swapused", AVERAGE, ABSOLUTE, UNIT(kiloBytes), 2, 3,
     "Swap in use", "Memory that lies on the host's swap devices",
     {HOST(WHOLE(SUM, MEM_SWAP_KB, 0))}},
    {85, "mem", "swapinRate", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 1, 3,
     "Swap in rate", "Memory read back from the host's swap devices",
     {HOST(WHOLE(RATE, MEM_SWAP_IN_KB, 0))}},
    {86, "mem", "swapoutRate", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 1, 3,
     "Swap out rate", "Memory written to the host's swap devices",
     {HOST(WHOLE(RATE, MEM_SWAP_OUT_KB, 0))}},
    {90, "mem", "vmmemctl", AVERAGE, ABSOLUTE, UNIT(kiloBytes), 1, 3,
     "Ballooned memory", "Memory that guests have given back",
     {VM(WHOLE(SUM, MEM_BALLOON_KB, 0))}},
    {98, "mem", "consumed", AVERAGE, ABSOLUTE, UNIT(kiloBytes), 1, 3,
     "Memory consumed", "Memory of the host in use",
     {VM(WHOLE(SUM, MEM_USED_KB, 0)), HOST(WHOLE(SUM, MEM_USED_KB, 0))}},
    {125, "disk", "usage", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 1, 3,
     "Disk usage", "Data read and written, over all disks",
     {VM(WHOLE(RATE, DISK_READ_KB, PERF_DISK_WRITTEN_KB)),
      HOST(ALL(RATE, DISK_READ_KB, PERF_DISK_WRITTEN_KB))}},
    {128, "disk", "numberRead", SUMMATION, DELTA, UNIT(number), 3, 3,
     "Reads", "Read requests",
     {VM(WHOLE(SUM, DISK_READS, 0)), HOST(ALL(SUM, DISK_READS, 0))}},
    {129, "disk", "numberWrite", SUMMATION, DELTA, UNIT(number), 3, 3,
     "Writes", "Write requests",
     {VM(WHOLE(SUM, DISK_WRITES, 0)), HOST(ALL(SUM, DISK_WRITES, 0))}},
    {130, "disk", "read", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 3,
     "Disk read rate", "Data read",
     {VM(WHOLE(RATE, DISK_READ_KB, 0)), HOST(ALL(RATE, DISK_READ_KB, 0))}},
    {131, "disk", "write", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 3,
     "Disk write rate", "Data written",
     {VM(WHOLE(RATE, DISK_WRITTEN_KB, 0)), HOST(ALL(RATE, DISK_WRITTEN_KB, 0))}},
    {133, "disk", "maxTotalLatency", LATEST, ABSOLUTE, UNIT(millisecond), 1, 3,
     "Highest disk latency", "Mean time of a request, on the disk where it is longest",
     {VM(WHOLE(LATENCY_MAX, DISK_READS, 0)), HOST(WHOLE(LATENCY_MAX, DISK_READS, 0))}},
    {136, "disk", "numberReadAveraged", AVERAGE, RATE, UNIT(number), 1, 3,
     "Reads per second", "Read requests per second",
     {VM(WHOLE(RATE, DISK_READS, 0)), HOST(ALL(RATE, DISK_READS, 0))}},
    {137, "disk", "numberWriteAveraged", AVERAGE, RATE, UNIT(number), 1, 3,
     "Writes per second", "Write requests per second",
     {VM(WHOLE(RATE, DISK_WRITES, 0)), HOST(ALL(RATE, DISK_WRITES, 0))}},
    {143, "net", "usage", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 1, 3,
     "Network usage", "Data received and sent",
     {VM(ALL(RATE, NET_RECEIVED_KB, PERF_NET_SENT_KB)),
      HOST(ALL(RATE, NET_RECEIVED_KB, PERF_NET_SENT_KB))}},
    {146, "net", "packetsRx", SUMMATION, DELTA, UNIT(number), 2, 3,
     "Packets received", "Packets received",
     {VM(ALL(SUM, NET_RECEIVED_PACKETS, 0)), HOST(ALL(SUM, NET_RECEIVED_PACKETS, 0))}},
    {147, "net", "packetsTx", SUMMATION, DELTA, UNIT(number), 2, 3,
     "Packets sent", "Packets sent",
     {VM(ALL(SUM, NET_SENT_PACKETS, 0)), HOST(ALL(SUM, NET_SENT_PACKETS, 0))}},
    {148, "net", "received", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 3,
     "Receive rate", "Data received",
     {VM(ALL(RATE, NET_RECEIVED_KB, 0)), HOST(ALL(RATE, NET_RECEIVED_KB, 0))}},
    {149, "net", "transmitted", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 3,
     "Send rate", "Data sent",
     {VM(ALL(RATE, NET_SENT_KB, 0)), HOST(ALL(RATE, NET_SENT_KB, 0))}},
    {155, "sys", "uptime", LATEST, ABSOLUTE, UNIT(second), 1, 3,
     "Uptime", "Time since the start",
     {VM(WHOLE(SUM, UPTIME_S, 0)), HOST(WHOLE(SUM, UPTIME_S, 0))}},
    {171, "virtualDisk", "numberReadAveraged", AVERAGE, RATE, UNIT(number), 1, 3,
     "Reads per second", "Read requests per second to the virtual disk",
     {VM(PARTS(RATE, DISK_READS, 0))}},
    {172, "virtualDisk", "numberWriteAveraged", AVERAGE, RATE, UNIT(number), 1, 3,
     "Writes per second", "Write requests per second to the virtual disk",
     {VM(PARTS(RATE, DISK_WRITES, 0))}},
    {173, "virtualDisk", "read", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 2,
     "Read rate", "Data read from the virtual disk",
     {VM(PARTS(RATE, DISK_READ_KB, 0))}},
    {174, "virtualDisk", "write", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 2,
     "Write rate", "Data written to the virtual disk",
     {VM(PARTS(RATE, DISK_WRITTEN_KB, 0))}},
    {175, "virtualDisk", "totalReadLatency", AVERAGE, ABSOLUTE, UNIT(millisecond), 1, 3,
     "Read latency", "Mean time of a read from the virtual disk",
     {VM(PARTS(LATENCY_MS, DISK_READ_US, PERF_DISK_READS))}},
    {176, "virtualDisk", "totalWriteLatency", AVERAGE, ABSOLUTE, UNIT(millisecond), 1, 3,
     "Write latency", "Mean time of a write to the virtual disk",
     {VM(PARTS(LATENCY_MS, DISK_WRITE_US, PERF_DISK_WRITES))}},
    {178, "datastore", "numberReadAveraged", AVERAGE, RATE, UNIT(number), 1, 3,
     "Reads per second", "Read requests per second of virtual machines to the datastore",
     {VM(PARTS(RATE, DISK_READS, 0)), HOST(PARTS(RATE, STORE_READS, 0))}},
    {179, "datastore", "numberWriteAveraged", AVERAGE, RATE, UNIT(number), 1, 3,
     "Writes per second", "Write requests per second of virtual machines to the datastore",
     {VM(PARTS(RATE, DISK_WRITES, 0)), HOST(PARTS(RATE, STORE_WRITES, 0))}},
    {180, "datastore", "read", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 2,
     "Read rate", "Data that virtual machines read from the datastore",
     {VM(PARTS(RATE, DISK_READ_KB, 0)), HOST(PARTS(RATE, STORE_READ_KB, 0))}},
    {181, "datastore", "write", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 2,
     "Write rate", "Data that virtual machines write to the datastore",
     {VM(PARTS(RATE, DISK_WRITTEN_KB, 0)), HOST(PARTS(RATE, STORE_WRITTEN_KB, 0))}},
    {182, "datastore", "totalReadLatency", AVERAGE, ABSOLUTE, UNIT(millisecond), 1, 3,
     "Read latency", "Mean time of a virtual machine's read from the datastore",
     {VM(PARTS(LATENCY_MS, DISK_READ_US, PERF_DISK_READS)),
      HOST(PARTS(LATENCY_MS, STORE_READ_US, PERF_STORE_READS))}},
    {183, "datastore", "totalWriteLatency", AVERAGE, ABSOLUTE, UNIT(millisecond), 1, 3,
     "Write latency", "Mean time of a virtual machine's write to the datastore",
     {VM(PARTS(LATENCY_MS, DISK_WRITE_US, PERF_DISK_WRITES)),
      HOST(PARTS(LATENCY_MS, STORE_WRITE_US, PERF_STORE_WRITES))}},
    {184, "datastore", "maxTotalLatency", LATEST, ABSOLUTE, UNIT(millisecond), 3, 3,
     "Highest datastore latency", "Mean time of a request, on the datastore or disk where it is longest",
     {VM(WHOLE(LATENCY_MAX, DISK_READS, 0)), HOST(WHOLE(LATENCY_MAX, STORE_READS, 0))}},
    {388, "cpu", "utilization", AVERAGE, RATE, UNIT(percent), 2, 3,
     "CPU utilization", "Share of time for which a processor was busy",
     {HOST(ALL(TIME_SHARE, CPU_RUN_MS, 0))}},
    {395, "cpu", "totalCapacity", AVERAGE, ABSOLUTE, UNIT(megaHertz), 2, 3,
     "CPU capacity", "Processor cycles that there are",
     {HOST(WHOLE(CLOCK, CPU_COUNT, 0))}},
    {402, "cpu", "run", SUMMATION, DELTA, UNIT(millisecond), 2, 3,
     "CPU run", "Time for which virtual processors ran",
     {VM(ALL(SUM, CPU_RUN_MS, 0))}},
    {404, "cpu", "readiness", AVERAGE, RATE, UNIT(percent), 4, 4,
     "CPU readiness", "Share of time for which virtual processors had to wait for a processor of the host",
     {VM(ALL(TIME_SHARE, CPU_READY_MS, 0))}},
    {419, "mem", "totalCapacity", AVERAGE, ABSOLUTE, UNIT(megaBytes), 2, 3,
     "Memory capacity", "Memory that there is",
     {HOST(WHOLE(SUM_MB, MEM_SIZE_KB, 0))}},
    {446, "disk", "commands", SUMMATION, DELTA, UNIT(number), 2, 3,
     "Disk requests", "Read and write requests",
     {HOST(PARTS(SUM, DISK_READS, PERF_DISK_WRITES))}},
    {449, "disk", "totalReadLatency", AVERAGE, ABSOLUTE, UNIT(millisecond), 2, 3,
     "Disk read latency", "Mean time of a read",
     {HOST(PARTS(LATENCY_MS, DISK_READ_US, PERF_DISK_READS))}},
    {453, "disk", "totalWriteLatency", AVERAGE, ABSOLUTE, UNIT(millisecond), 2, 3,
     "Disk write latency", "Mean time of a write",
     {HOST(PARTS(LATENCY_MS, DISK_WRITE_US, PERF_DISK_WRITES))}},
    {459, "disk", "commandsAveraged", AVERAGE, RATE, UNIT(number), 2, 3,
     "Disk requests per second", "Read and write requests per second",
     {HOST(PARTS(RATE, DISK_READS, PERF_DISK_WRITES))}},
    {460, "net", "droppedRx", SUMMATION, DELTA, UNIT(number), 2, 3,
     "Received packets dropped", "Packets that came and were dropped",
     {VM(ALL(SUM, NET_RECEIVED_DROPPED, 0)), HOST(ALL(SUM, NET_RECEIVED_DROPPED, 0))}},
    {461, "net", "droppedTx", SUMMATION, DELTA, UNIT(number), 2, 3,
     "Sent packets dropped", "Packets that should have gone and were dropped",
     {VM(ALL(SUM, NET_SENT_DROPPED, 0)), HOST(ALL(SUM, NET_SENT_DROPPED, 0))}},
    {462, "net", "bytesRx", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 3,
     "Data received", "Data received",
     {VM(ALL(RATE, NET_RECEIVED_KB, 0)), HOST(ALL(RATE, NET_RECEIVED_KB, 0))}},
    {463, "net", "bytesTx", AVERAGE, RATE, UNIT(kiloBytesPerSecond), 2, 3,
     "Data sent", "Data sent",
     {VM(ALL(RATE, NET_SENT_KB, 0)), HOST(ALL(RATE, NET_SENT_KB, 0))}},
    {468, "net", "errorsRx", SUMMATION, DELTA, UNIT(number), 2, 3,
     "Receive errors", "Packets that came with errors",
     {HOST(ALL(SUM, NET_RECEIVED_ERRORS, 0))}},
    {469, "net", "errorsTx", SUMMATION, DELTA, UNIT(number), 2, 3,
     "Send errors", "Packets that could not be sent",
     {HOST(ALL(SUM, NET_SENT_ERRORS, 0))}},
    {532, "virtualDisk", "readLatencyUS", LATEST, ABSOLUTE, UNIT(microsecond), 4, 4,
     "Read latency in us", "Mean time of a read from the virtual disk",
     {VM(PARTS(LATENCY_US, DISK_READ_US, PERF_DISK_READS))}},
    {533, "virtualDisk", "writeLatencyUS", LATEST, ABSOLUTE, UNIT(microsecond), 4, 4,
     "Write latency in us", "Mean time of a write to the virtual disk",
     {VM(PARTS(LATENCY_US, DISK_WRITE_US, PERF_DISK_WRITES))}},
};
/* clang-format on */
const size_t perf_n_counters = G_N_ELEMENTS(perf_counters);

const struct perf_counter *perf_counter_by_key(int32_t key)
{
    size_t from = 0, to = perf_n_counters;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (perf_counters[middle].key == key) {
            return &perf_counters[middle];
        }
        if (perf_counters[middle].key < key) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return NULL;
}

/* ---- as the API shows them -------------------------------------------------------------------------- */

static struct ElementDescription *element(const char *key, const char *label, const char *summary)
{
    struct ElementDescription *described = ElementDescription_new();
    described->key = g_strdup(key);
    described->label = g_strdup(label);
    described->summary = g_strdup(summary);
    return described;
}

static const struct {
    const char *key;
    const char *label;
} groups[] = {
    {"cpu", "CPU"},
    {"mem", "Memory"},
    {"disk", "Disk"},
    {"virtualDisk", "Virtual disk"},
    {"datastore", "Datastore"},
    {"net", "Network"},
    {"sys", "System"},
};

static struct ElementDescription *group_of(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        if (strcmp(groups[i].key, key) == 0) {
            return element(key, groups[i].label, groups[i].label);
        }
    }
    g_assert_not_reached();
}

/* Labels of units, by enum. The summary is the documentation of the schema. */
static const char *const unit_labels[] = {
    [UNIT(percent)] = "%",
    [UNIT(kiloBytes)] = "KB",
    [UNIT(megaBytes)] = "MB",
    [UNIT(megaHertz)] = "MHz",
    [UNIT(number)] = "num",
    [UNIT(microsecond)] = "µs",
    [UNIT(millisecond)] = "ms",
    [UNIT(second)] = "s",
    [UNIT(kiloBytesPerSecond)] = "KBps",
    [UNIT(megaBytesPerSecond)] = "MBps",
    [UNIT(watt)] = "W",
    [UNIT(joule)] = "J",
    [UNIT(celsius)] = "°C",
    [UNIT(teraBytes)] = "TB",
};

struct PerfCounterInfo *perf_counter_info(const struct perf_counter *counter)
{
    struct PerfCounterInfo *info = PerfCounterInfo_new();
    const char *unit = PerformanceManagerUnit_type.values[counter->unit];
    info->key = counter->key;
    info->nameInfo = element(counter->name, counter->label, counter->summary);
    info->groupInfo = group_of(counter->group);
    info->unitInfo = element(unit, unit_labels[counter->unit], unit_labels[counter->unit]);
    info->rollupType = counter->rollup;
    info->statsType = counter->stats;
    vim_set_optional(&info->level, counter->level);
    vim_set_optional(&info->perDeviceLevel, counter->device_level);
    return info;
}

struct PerformanceDescription *perf_description(void)
{
    static const char *const rollups[] = {
        [AVERAGE] = "Mean of the values of the interval",
        [PerfSummaryType_maximum] = "Largest value of the interval",
        [PerfSummaryType_minimum] = "Smallest value of the interval",
        [LATEST] = "Newest value of the interval",
        [SUMMATION] = "Sum over the interval",
        [PerfSummaryType_none] = "As measured",
    };
    static const char *const kinds[] = {
        [ABSOLUTE] = "An amount",
        [DELTA] = "By how much something grew in the interval",
        [RATE] = "In relation to time",
    };
    struct PerformanceDescription *description = PerformanceDescription_new();
    for (int i = 1; i < (int)G_N_ELEMENTS(rollups); i++) {
        const char *name = PerfSummaryType_type.values[i];
        vim_array_add_object(&description->counterType, element(name, name, rollups[i]));
    }
    for (int i = 1; i < (int)G_N_ELEMENTS(kinds); i++) {
        const char *name = PerfStatsType_type.values[i];
        vim_array_add_object(&description->statsType, element(name, name, kinds[i]));
    }
    return description;
}

/* ---- values ----------------------------------------------------------------------------------------- */

static bool has_measure(const struct perf_layout *layout, enum perf_measure measure)
{
    for (guint i = 0; i < layout->n; i++) {
        if (layout->columns[i].measure == (int32_t)measure) {
            return true;
        }
    }
    return false;
}

static void add_once(GPtrArray *names, char *name)
{
    for (guint i = 0; i < names->len; i++) {
        if (strcmp(g_ptr_array_index(names, i), name) == 0) {
            g_free(name);
            return;
        }
    }
    g_ptr_array_add(names, name);
}

GPtrArray *perf_instances(const struct perf_counter *counter, const struct perf_object *object,
                          const struct perf_row *rows, size_t n_rows)
{
    const struct perf_rule *rule = &counter->rules[object->kind];
    const struct perf_layout *layout = NULL;
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (size_t r = 0; r < n_rows && rule->formula != PERF_NONE; r++) {
        if (rows[r].layout == layout) {
            continue;
        }
        layout = rows[r].layout;
        if (rule->whole != 0 && has_measure(layout, rule->whole)) {
            add_once(names, g_strdup(""));
        }
        for (guint i = 0; i < layout->n && rule->part != 0; i++) {
            const struct perf_column *column = &layout->columns[i];
            char *name = column->measure == (int32_t)rule->part
                             ? object->name(object->name_data, counter->group, column)
                             : NULL;
            if (name != NULL) {
                add_once(names, name);
            }
        }
    }
    return names;
}

/* The columns of a layout that belong to an instance. */
struct selection {
    const struct perf_layout *layout;
    GArray *columns; /* of guint */
};

static void select_columns(struct selection *selection, const struct perf_counter *counter,
                           const struct perf_object *object, const char *instance,
                           const struct perf_layout *layout)
{
    selection->layout = layout;
    g_array_set_size(selection->columns, 0);
    for (guint i = 0; i < layout->n; i++) {
        bool wanted = instance[0] == '\0';
        if (!wanted) {
            g_autofree char *name = object->name(object->name_data, counter->group, &layout->columns[i]);
            wanted = g_strcmp0(name, instance) == 0;
        }
        if (wanted) {
            g_array_append_val(selection->columns, i);
        }
    }
}

/* The sum of a measure over the selection; *ret_n: how many columns it is of. */
static int64_t sum(const struct selection *selection, const int64_t *values, enum perf_measure measure,
                   int64_t *ret_n)
{
    int64_t total = 0, n = 0;
    for (guint i = 0; i < selection->columns->len; i++) {
        guint c = g_array_index(selection->columns, guint, i);
        if (selection->layout->columns[c].measure == (int32_t)measure) {
            total += values[c];
            n++;
        }
    }
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return total;
}

/* What there is one of, whatever is selected. */
static int64_t single(const struct perf_row *row, enum perf_measure measure, int64_t fallback)
{
    for (guint i = 0; i < row->layout->n; i++) {
        if (row->layout->columns[i].measure == (int32_t)measure) {
            return row->values[i];
        }
    }
    return fallback;
}

static int64_t divide(int64_t a, int64_t b)
{
    return b > 0 ? (a + b / 2) / b : 0;
}

/* first: the first of the six measures that drives, or datastores, have. */
static int64_t longest_latency_ms(const struct selection *selection, const int64_t *values, int32_t first)
{
    int64_t longest_us = 0;
    for (guint i = 0; i < selection->columns->len; i++) {
        guint c = g_array_index(selection->columns, guint, i);
        const struct perf_column *column = &selection->layout->columns[c];
        if (column->measure != first) {
            continue;
        }
        int64_t of[6] = {0};
        for (guint j = 0; j < selection->layout->n; j++) {
            int32_t n = selection->layout->columns[j].measure - first;
            if (n >= 0 && n < 6 && selection->layout->columns[j].instance == column->instance) {
                of[n] = values[j];
            }
        }
        longest_us = MAX(longest_us, MAX(divide(of[4], of[0]), divide(of[5], of[1])));
    }
    return divide(longest_us, 1000);
}

static int64_t value_of(const struct perf_rule *rule, enum perf_measure measure, const struct perf_row *row,
                        const struct selection *selection, bool whole, int mhz)
{
    int64_t n = 0;
    int64_t a = sum(selection, row->values, measure, &n);
    int64_t b = rule->b != 0 ? sum(selection, row->values, rule->b, NULL) : 0;
    int64_t interval_ms = single(row, PERF_INTERVAL_MS, 0);
    int64_t cpus = whole ? single(row, PERF_CPU_COUNT, 1) : 1;
    if (n == 0) {
        return -1;
    }
    switch (rule->formula) {
    case PERF_NONE:
        return -1;
    case PERF_SUM:
        return a + b;
    case PERF_SUM_MB:
        return a >> 10;
    case PERF_RATE:
        return divide((a + b) * 1000, interval_ms);
    case PERF_MHZ:
        return divide(a * mhz, interval_ms);
    case PERF_CLOCK:
        return a * mhz;
    case PERF_TIME_SHARE:
        return MIN(divide(a * 10000, interval_ms * cpus), 10000);
    case PERF_SHARE:
        return MIN(divide(a * 10000, b), 10000);
    case PERF_REST:
        return MAX(interval_ms * cpus - a - b, 0);
    case PERF_LATENCY_MS:
        return divide(divide(a, b), 1000);
    case PERF_LATENCY_US:
        return divide(a, b);
    case PERF_LATENCY_MAX:
        return longest_latency_ms(selection, row->values, (int32_t)measure);
    }
    g_assert_not_reached();
}

void perf_values(const struct perf_counter *counter, const struct perf_object *object, const char *instance,
                 const struct perf_row *rows, size_t n_rows, int64_t *ret)
{
    const struct perf_rule *rule = &counter->rules[object->kind];
    bool whole = instance[0] == '\0';
    enum perf_measure measure = whole ? rule->whole : rule->part;
    struct selection selection = {.columns = g_array_new(FALSE, FALSE, sizeof(guint))};
    for (size_t r = 0; r < n_rows; r++) {
        if (rows[r].layout != selection.layout) {
            select_columns(&selection, counter, object, instance, rows[r].layout);
        }
        ret[r] = measure != 0 ? value_of(rule, measure, &rows[r], &selection, whole, object->mhz) : -1;
    }
    g_array_unref(selection.columns);
}
