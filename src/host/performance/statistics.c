// SPDX-License-Identifier: Apache-2.0
/*
 * The sampler. See statistics.h.
 *
 * A round: which machines run, and on which datastores their disks are, is copied under the inventory's lock;
 * each is read without any lock; what it has used since its last reading becomes a row of its ring. A machine
 * that is seen for the first time, or again after a power cycle or a change of its devices, is only read: its
 * first row is that of the next round. The host's row comes last: what the kernel tells of the machine, or,
 * with a simulated hypervisor, what the machines have used together.
 */
#include "host/performance/statistics.h"

#include <stdlib.h>
#include <string.h>

#include "host/performance/machine_load.h"
#include "host/vm/vm.h"
#include "vim/value.h"

enum {
    INTERVAL_US = STATISTICS_INTERVAL_S * 1000000,
    STORE_MEASURES = 6, /* from PERF_STORE_READS, and likewise from PERF_DISK_READS */
    NET_MEASURES = 8,   /* from PERF_NET_RECEIVED_KB */
};

/* What is kept of the host or of a machine. */
struct object {
    struct perf_ring *ring; /* NULL before the first row */
    const struct perf_layout *layout;
    int64_t *totals; /* the last reading, by layout; owned */
    int64_t read_us; /* when, monotonic */
};

struct statistics {
    struct host *host;
    int mhz; /* of a processor */
    GThread *thread;
    GMutex lock;                  /* for what follows; memory work only */
    GCond wake;                   /* of the thread, to stop */
    bool stopping;                /* with lock */
    GHashTable *objects;          /* with lock: id to struct object. Only the thread changes it. */
    struct perf_layouts *layouts; /* with lock */
    /* Of the thread alone: */
    struct machine_load *machine;
    GHashTable *stores; /* number of a datastore to int64_t[STORE_MEASURES]: what all machines have done */
    int64_t *together;  /* by measure: what all machines have used, for a simulated host */
};

/* A machine that runs, as a round needs it. */
struct target {
    char *id;
    int64_t memory_kb;
    guint first_place, n_places; /* in round.places */
};

/* Where a drive's data lies. */
struct place {
    int32_t device_key;
    int32_t store; /* N of datastore-N */
};

struct round {
    GArray *targets; /* of struct target */
    GArray *places;  /* of struct place */
    int64_t tick;
    int mhz_used;
    int64_t memory_used; /* bytes */
    struct perf_reading reading;
};

static void object_free(void *data)
{
    struct object *object = data;
    perf_ring_free(object->ring);
    g_free(object->totals);
    g_free(object);
}

/* ---- which machines run ------------------------------------------------------------------------------ */

static void add_places(struct round *round, const struct VirtualMachineConfigInfo *config)
{
    for (uint32_t i = 0; config->hardware != NULL && i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        const struct VirtualDeviceFileBackingInfo *backing =
            (const struct VirtualDeviceFileBackingInfo *)device->backing;
        if (vim_is_a(device, &VirtualDisk_type) && vim_is_a(backing, &VirtualDeviceFileBackingInfo_type) &&
            backing->datastore.id != NULL) {
            struct place place = {device->key, statistics_store_number(backing->datastore.id)};
            g_array_append_val(round->places, place);
        }
    }
}

static void find_targets(struct host *host, struct round *round)
{
    vim_read_lock(host->server->inventory);
    GPtrArray *objects = vim_inventory_objects(host->server->inventory);
    for (guint i = 0; i < objects->len; i++) {
        const struct vim_object *object = g_ptr_array_index(objects, i);
        const struct VirtualMachine *machine = object->properties;
        if (object->ref.type != &VirtualMachine_type || machine->config == NULL ||
            machine->runtime->powerState != VirtualMachinePowerState_poweredOn) {
            continue;
        }
        struct target target = {
            .id = g_strdup(object->ref.id),
            .memory_kb =
                machine->config->hardware != NULL ? (int64_t)machine->config->hardware->memoryMB * 1024 : 0,
            .first_place = round->places->len,
        };
        add_places(round, machine->config);
        target.n_places = round->places->len - target.first_place;
        g_array_append_val(round->targets, target);
    }
    vim_read_unlock(host->server->inventory);
}

static void target_clear(void *data)
{
    g_free(((struct target *)data)->id);
}

/* ---- from readings to rows --------------------------------------------------------------------------- */

/* Turns totals into what they have grown by, in place. False when a total fell: it began anew. */
static bool subtract(const struct perf_layout *layout, const int64_t *before, int64_t *values)
{
    for (guint i = 0; i < layout->n; i++) {
        if (perf_measure_grows((enum perf_measure)layout->columns[i].measure)) {
            values[i] -= before[i];
            if (values[i] < 0) {
                return false;
            }
        }
    }
    return true;
}

/* Keeps a reading. When it makes a row, *ret_row (round->reading's layout) is set, to be freed; else NULL. */
static void keep(struct statistics *statistics, const char *id, struct round *round, int64_t **ret_row)
{
    struct perf_reading *reading = &round->reading;
    int64_t now_us = g_get_monotonic_time();
    *ret_row = NULL;
    g_mutex_lock(&statistics->lock);
    struct object *object = g_hash_table_lookup(statistics->objects, id);
    if (object == NULL) {
        object = g_new0(struct object, 1);
        g_hash_table_insert(statistics->objects, g_strdup(id), object);
    }
    int64_t elapsed_ms = (now_us - object->read_us + 500) / 1000;
    if (object->layout != NULL && elapsed_ms < STATISTICS_INTERVAL_S * 500) { /* just after the start */
        g_mutex_unlock(&statistics->lock);
        return;
    }
    perf_reading_add(reading, PERF_INTERVAL_MS, 0, (elapsed_ms + 5) / 10 * 10); /* what packs well */
    guint n = reading->columns->len;
    const struct perf_column *columns = (const struct perf_column *)(void *)reading->columns->data;
    const int64_t *values = (const int64_t *)(void *)reading->values->data;
    bool same = object->layout != NULL && object->layout->n == n &&
                memcmp(object->layout->columns, columns, n * sizeof(*columns)) == 0;
    if (same) {
        g_autofree int64_t *row = g_memdup2(values, n * sizeof(*values));
        if (subtract(object->layout, object->totals, row)) {
            if (object->ring == NULL) {
                object->ring = perf_ring_new(STATISTICS_TICKS);
            }
            perf_ring_append(object->ring, object->layout, round->tick, row);
            *ret_row = g_steal_pointer(&row);
        }
    } else {
        object->layout = perf_layouts_get(statistics->layouts, columns, n);
        g_free(object->totals);
        object->totals = g_new(int64_t, n);
    }
    memcpy(object->totals, values, n * sizeof(*values));
    object->read_us = now_us;
    g_mutex_unlock(&statistics->lock);
}

/* The number of a measure in a reading's row. */
static int64_t find(const struct perf_reading *reading, const int64_t *row, enum perf_measure measure)
{
    for (guint i = 0; i < reading->columns->len; i++) {
        if (g_array_index(reading->columns, struct perf_column, i).measure == (int32_t)measure) {
            return row[i];
        }
    }
    return 0;
}

/* ---- one machine ------------------------------------------------------------------------------------- */

static void read_devices(const struct hypervisor_device_stats *stats, const struct target *target,
                         struct perf_reading *reading)
{
    for (size_t i = 0; i < stats->n_cpus; i++) {
        perf_reading_add(reading, PERF_CPU_RUN_MS, (int32_t)i, stats->cpus[i].run_ns / 1000000);
        perf_reading_add(reading, PERF_CPU_READY_MS, (int32_t)i, stats->cpus[i].ready_ns / 1000000);
    }
    if (stats->n_cpus > 0) {
        perf_reading_add(reading, PERF_CPU_COUNT, 0, (int64_t)stats->n_cpus);
    }
    for (size_t i = 0; i < stats->n_disks; i++) {
        const struct hypervisor_disk_stats *disk = &stats->disks[i];
        perf_reading_add(reading, PERF_DISK_READS, disk->device_key, disk->reads);
        perf_reading_add(reading, PERF_DISK_WRITES, disk->device_key, disk->writes);
        perf_reading_add(reading, PERF_DISK_READ_KB, disk->device_key, disk->read_bytes / 1024);
        perf_reading_add(reading, PERF_DISK_WRITTEN_KB, disk->device_key, disk->written_bytes / 1024);
        perf_reading_add(reading, PERF_DISK_READ_US, disk->device_key, disk->read_ns / 1000);
        perf_reading_add(reading, PERF_DISK_WRITE_US, disk->device_key, disk->write_ns / 1000);
    }
    for (size_t i = 0; i < stats->n_nics; i++) {
        const struct hypervisor_nic_stats *nic = &stats->nics[i];
        perf_reading_add(reading, PERF_NET_RECEIVED_KB, nic->device_key, nic->received_bytes / 1024);
        perf_reading_add(reading, PERF_NET_SENT_KB, nic->device_key, nic->sent_bytes / 1024);
        perf_reading_add(reading, PERF_NET_RECEIVED_PACKETS, nic->device_key, nic->received_packets);
        perf_reading_add(reading, PERF_NET_SENT_PACKETS, nic->device_key, nic->sent_packets);
        perf_reading_add(reading, PERF_NET_RECEIVED_DROPPED, nic->device_key, nic->received_dropped);
        perf_reading_add(reading, PERF_NET_SENT_DROPPED, nic->device_key, nic->sent_dropped);
    }
    if (stats->balloon_bytes >= 0) {
        perf_reading_add(reading, PERF_MEM_BALLOON_KB, 0, stats->balloon_bytes / 1024);
    }
    if (target->memory_kb > 0) {
        perf_reading_add(reading, PERF_MEM_SIZE_KB, 0, target->memory_kb);
    }
}

/* What a machine's row adds to the datastores that it uses, and to what all machines use together. */
static void add_up(struct statistics *statistics, const struct round *round, const struct target *target,
                   const int64_t *row)
{
    for (guint i = 0; i < round->reading.columns->len; i++) {
        const struct perf_column *column = &g_array_index(round->reading.columns, struct perf_column, i);
        statistics->together[column->measure] += row[i];
        int32_t n = column->measure - PERF_DISK_READS;
        if (n < 0 || n >= STORE_MEASURES) {
            continue;
        }
        for (guint p = target->first_place; p < target->first_place + target->n_places; p++) {
            const struct place *place = &g_array_index(round->places, struct place, p);
            int64_t *store = place->device_key == column->instance
                                 ? g_hash_table_lookup(statistics->stores, GINT_TO_POINTER(place->store))
                                 : NULL;
            if (store != NULL) {
                store[n] += row[i];
            }
        }
    }
}

static void show(struct host *host, const char *id, const struct hypervisor_stats *stats, int mhz)
{
    int32_t memory_mb = (int32_t)(stats->host_memory_bytes >> 20);
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, id);
    if (object != NULL) {
        struct VirtualMachineQuickStats *quick =
            vim_copy(VIM_PROPERTIES(object, VirtualMachine)->summary->quickStats);
        vim_set_optional(&quick->overallCpuUsage, mhz);
        vim_set_optional(&quick->hostMemoryUsage, memory_mb);
        vim_set_optional(&quick->uptimeSeconds, (int32_t)(stats->uptime_ms / 1000));
        vim_set_data(object, "summary.quickStats", quick);
    }
    vim_write_unlock(host->server->inventory);
}

static void sample_machine(struct statistics *statistics, struct round *round, const struct target *target)
{
    struct host *host = statistics->host;
    struct hypervisor_stats stats;
    struct hypervisor_device_stats devices;
    g_autofree int64_t *row = NULL;
    if (hypervisor_vm_get_stats(host->hypervisor, target->id, &stats) != 0 ||
        hypervisor_vm_get_device_stats(host->hypervisor, target->id, &devices) != 0) {
        return;
    }
    struct perf_reading *reading = &round->reading;
    perf_reading_reset(reading);
    perf_reading_add(reading, PERF_UPTIME_S, 0, stats.uptime_ms / 1000);
    perf_reading_add(reading, PERF_CPU_TOTAL_MS, 0, stats.cpu_time_ns / 1000000);
    perf_reading_add(reading, PERF_MEM_USED_KB, 0, stats.host_memory_bytes / 1024);
    read_devices(&devices, target, reading);
    hypervisor_device_stats_clear(&devices);
    keep(statistics, target->id, round, &row);
    int mhz = 0;
    if (row != NULL) {
        int64_t interval_ms = MAX(find(reading, row, PERF_INTERVAL_MS), 1);
        mhz = (int)(find(reading, row, PERF_CPU_TOTAL_MS) * statistics->mhz / interval_ms);
        add_up(statistics, round, target, row);
    }
    show(host, target->id, &stats, mhz);
    round->mhz_used += mhz;
    round->memory_used += stats.host_memory_bytes;
}

/* ---- the host ---------------------------------------------------------------------------------------- */

/* A host that is simulated has the processors and the memory that it shows, and what its machines leave. */
static void read_simulated(struct statistics *statistics, struct perf_reading *reading)
{
    int64_t *together = statistics->together;
    int cpus = (int)g_get_num_processors();
    int64_t up_ms = (vim_now_us(statistics->host->server) - statistics->host->boot_time_us) / 1000;
    perf_reading_add(reading, PERF_UPTIME_S, 0, up_ms / 1000);
    perf_reading_add(reading, PERF_CPU_COUNT, 0, cpus);
    perf_reading_add(reading, PERF_CPU_TOTAL_MS, 0, together[PERF_CPU_TOTAL_MS]);
    for (int i = 0; i < cpus; i++) {
        perf_reading_add(reading, PERF_CPU_RUN_MS, i, together[PERF_CPU_TOTAL_MS] / cpus);
    }
    perf_reading_add(reading, PERF_MEM_SIZE_KB, 0, host_memory_bytes() / 1024);
    perf_reading_add(reading, PERF_MEM_USED_KB, 0, together[PERF_MEM_USED_KB]);
    for (int i = 0; i < STORE_MEASURES; i++) {
        perf_reading_add(reading, (enum perf_measure)(PERF_DISK_READS + i), 0, together[PERF_DISK_READS + i]);
    }
    for (int i = 0; i < NET_MEASURES; i++) {
        perf_reading_add(reading, (enum perf_measure)(PERF_NET_RECEIVED_KB + i), 0,
                         together[PERF_NET_RECEIVED_KB + i]);
    }
}

static void sample_host(struct statistics *statistics, struct round *round)
{
    struct perf_reading *reading = &round->reading;
    GHashTableIter iter;
    void *key, *value;
    g_autofree int64_t *row = NULL;
    perf_reading_reset(reading);
    if (hypervisor_info(statistics->host->hypervisor)->simulated) {
        read_simulated(statistics, reading);
    } else {
        machine_load_read(statistics->machine, reading);
    }
    g_hash_table_iter_init(&iter, statistics->stores);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        for (int i = 0; i < STORE_MEASURES; i++) {
            perf_reading_add(reading, (enum perf_measure)(PERF_STORE_READS + i), GPOINTER_TO_INT(key),
                             ((int64_t *)value)[i]);
        }
    }
    keep(statistics, HOST_ID, round, &row);
}

static void show_host(struct host *host, const struct round *round)
{
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_ID);
    struct HostListSummaryQuickStats *quick =
        vim_copy(VIM_PROPERTIES(object, HostSystem)->summary->quickStats);
    vim_set_optional(&quick->overallCpuUsage, round->mhz_used);
    vim_set_optional(&quick->overallMemoryUsage, (int32_t)(round->memory_used >> 20));
    vim_set_optional(&quick->uptime, (int32_t)((vim_now_us(host->server) - host->boot_time_us) / 1000000));
    vim_set_data(object, "summary.quickStats", quick);
    vim_write_unlock(host->server->inventory);
}

/* ---- rounds ------------------------------------------------------------------------------------------ */

/* Which datastores there are: their totals begin with 0, also when no machine uses them. */
static void find_stores(struct statistics *statistics)
{
    g_autoptr(GHashTable) known = g_steal_pointer(&statistics->stores);
    statistics->stores = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    vim_read_lock(statistics->host->server->inventory);
    GPtrArray *objects = vim_inventory_objects(statistics->host->server->inventory);
    for (guint i = 0; i < objects->len; i++) {
        const struct vim_object *object = g_ptr_array_index(objects, i);
        if (object->ref.type == &Datastore_type) {
            void *number = GINT_TO_POINTER(statistics_store_number(object->ref.id));
            int64_t *totals = NULL;
            if (known == NULL || !g_hash_table_steal_extended(known, number, NULL, (void **)&totals)) {
                totals = g_new0(int64_t, STORE_MEASURES);
            }
            g_hash_table_insert(statistics->stores, number, totals);
        }
    }
    vim_read_unlock(statistics->host->server->inventory);
}

/* Forgets what has had no row for an hour, such as machines that are no more. */
static gboolean is_old(void *key, void *value, void *data)
{
    const struct object *object = value;
    (void)key;
    return g_get_monotonic_time() - object->read_us > (int64_t)STATISTICS_TICKS * INTERVAL_US ||
           (object->ring != NULL && perf_ring_last(object->ring) < *(int64_t *)data - STATISTICS_TICKS);
}

static bool is_stopping(struct statistics *statistics)
{
    g_mutex_lock(&statistics->lock);
    bool stopping = statistics->stopping;
    g_mutex_unlock(&statistics->lock);
    return stopping;
}

static void run_round(struct statistics *statistics)
{
    struct round round = {
        .targets = g_array_new(FALSE, FALSE, sizeof(struct target)),
        .places = g_array_new(FALSE, FALSE, sizeof(struct place)),
        .tick = vim_now_us(statistics->host->server) / INTERVAL_US,
    };
    g_array_set_clear_func(round.targets, target_clear);
    perf_reading_init(&round.reading);
    find_stores(statistics);
    find_targets(statistics->host, &round);
    statistics->together[PERF_MEM_USED_KB] = 0; /* an amount */
    for (guint i = 0; i < round.targets->len && !is_stopping(statistics); i++) {
        sample_machine(statistics, &round, &g_array_index(round.targets, struct target, i));
    }
    sample_host(statistics, &round);
    show_host(statistics->host, &round);
    host_datastores_refresh(statistics->host);
    g_mutex_lock(&statistics->lock);
    g_hash_table_foreach_remove(statistics->objects, is_old, &round.tick);
    g_mutex_unlock(&statistics->lock);
    g_array_unref(round.targets);
    g_array_unref(round.places);
    perf_reading_clear(&round.reading);
}

static void *sample_thread(void *data)
{
    struct statistics *statistics = data;
    while (!is_stopping(statistics)) {
        run_round(statistics);
        int64_t wait_us = INTERVAL_US - vim_now_us(statistics->host->server) % INTERVAL_US;
        int64_t until = g_get_monotonic_time() + wait_us;
        g_mutex_lock(&statistics->lock);
        while (!statistics->stopping && g_cond_wait_until(&statistics->wake, &statistics->lock, until)) {
        }
        g_mutex_unlock(&statistics->lock);
    }
    return NULL;
}

struct statistics *statistics_start(struct host *host)
{
    struct statistics *statistics = g_new0(struct statistics, 1);
    statistics->host = host;
    statistics->mhz = host_cpu_mhz();
    g_mutex_init(&statistics->lock);
    g_cond_init(&statistics->wake);
    statistics->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, object_free);
    statistics->layouts = perf_layouts_new();
    statistics->machine = machine_load_new("");
    statistics->together = g_new0(int64_t, PERF_NET_SENT_ERRORS + 1);
    statistics->thread = g_thread_new("statistics", sample_thread, statistics);
    return statistics;
}

void statistics_stop(struct statistics *statistics)
{
    if (statistics == NULL) {
        return;
    }
    g_mutex_lock(&statistics->lock);
    statistics->stopping = true;
    g_cond_signal(&statistics->wake);
    g_mutex_unlock(&statistics->lock);
    g_thread_join(statistics->thread);
}

void statistics_free(struct statistics *statistics)
{
    if (statistics == NULL) {
        return;
    }
    g_hash_table_unref(statistics->objects);
    g_clear_pointer(&statistics->stores, g_hash_table_unref);
    perf_layouts_free(statistics->layouts);
    machine_load_free(statistics->machine);
    g_free(statistics->together);
    g_mutex_clear(&statistics->lock);
    g_cond_clear(&statistics->wake);
    g_free(statistics);
}

/* ---- for queries ------------------------------------------------------------------------------------- */

int statistics_mhz(const struct statistics *statistics)
{
    return statistics->mhz;
}

int32_t statistics_store_number(const char *datastore_id)
{
    const char *dash = strrchr(datastore_id, '-');
    return dash != NULL ? atoi(dash + 1) : 0;
}

static void copy_row(void *data, int64_t tick, const struct perf_layout *layout, const int64_t *values)
{
    struct perf_row row = {tick, layout, g_memdup2(values, layout->n * sizeof(*values))};
    g_array_append_val((GArray *)data, row);
}

GArray *statistics_rows(struct statistics *statistics, const char *id, int64_t after, int64_t until)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct perf_row));
    g_mutex_lock(&statistics->lock);
    const struct object *object = g_hash_table_lookup(statistics->objects, id);
    if (object != NULL && object->ring != NULL) {
        int64_t oldest = perf_ring_last(object->ring) - STATISTICS_TICKS;
        perf_ring_each(object->ring, MAX(after, oldest), until, copy_row, rows);
    }
    g_mutex_unlock(&statistics->lock);
    return rows;
}

void statistics_rows_free(GArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        g_free((void *)g_array_index(rows, struct perf_row, i).values);
    }
    g_array_unref(rows);
}

const char *statistics_device_name(struct statistics *statistics, int32_t instance)
{
    if (hypervisor_info(statistics->host->hypervisor)->simulated) {
        return "sim0";
    }
    return machine_load_name(statistics->machine, instance);
}
