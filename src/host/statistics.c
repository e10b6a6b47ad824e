// SPDX-License-Identifier: Apache-2.0
/*
 * Quick statistics: every 20 seconds, as ESX does, a thread reads what each running virtual machine uses and
 * shows it in summary.quickStats; the host's sums go with it.
 */
#include "host/vm.h"
#include "vim/method.h"
#include "vim/value.h"

enum {
    INTERVAL_S = 20,
};

/* What was read the last time, to tell usage from totals. */
struct sample {
    int64_t cpu_time_ns;
    int64_t at_us;
};

static GPtrArray *running(struct host *host)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    vim_read_lock(host->server->inventory);
    GPtrArray *objects = vim_inventory_objects(host->server->inventory);
    for (guint i = 0; i < objects->len; i++) {
        const struct vim_object *object = g_ptr_array_index(objects, i);
        if (object->ref.type == &VirtualMachine_type &&
            VIM_PROPERTIES(object, VirtualMachine)->runtime->powerState ==
                VirtualMachinePowerState_poweredOn) {
            g_ptr_array_add(ids, g_strdup(object->ref.id));
        }
    }
    vim_read_unlock(host->server->inventory);
    return ids;
}

/* Processor use since the last sample, in MHz of this machine's processors. */
static int cpu_mhz(GHashTable *samples, const char *id, const struct hypervisor_stats *stats, int mhz)
{
    struct sample now = {stats->cpu_time_ns, g_get_monotonic_time()};
    const struct sample *before = g_hash_table_lookup(samples, id);
    int used = 0;
    if (before != NULL && now.at_us > before->at_us && now.cpu_time_ns >= before->cpu_time_ns) {
        double share =
            (double)(now.cpu_time_ns - before->cpu_time_ns) / 1000.0 / (double)(now.at_us - before->at_us);
        used = (int)(share * mhz);
    }
    g_hash_table_insert(samples, g_strdup(id), g_memdup2(&now, sizeof(now)));
    return used;
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

static void show_host(struct host *host, int mhz, int64_t memory_bytes)
{
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_ID);
    struct HostListSummaryQuickStats *quick =
        vim_copy(VIM_PROPERTIES(object, HostSystem)->summary->quickStats);
    vim_set_optional(&quick->overallCpuUsage, mhz);
    vim_set_optional(&quick->overallMemoryUsage, (int32_t)(memory_bytes >> 20));
    vim_set_optional(&quick->uptime, (int32_t)((vim_now_us(host->server) - host->boot_time_us) / 1000000));
    vim_set_data(object, "summary.quickStats", quick);
    vim_write_unlock(host->server->inventory);
}

static void round_of_samples(struct host *host, GHashTable *samples, int mhz)
{
    g_autoptr(GPtrArray) ids = running(host);
    int total_mhz = 0;
    int64_t total_bytes = 0;
    for (guint i = 0; i < ids->len && !g_atomic_int_get(&host->stopping); i++) {
        const char *id = g_ptr_array_index(ids, i);
        struct hypervisor_stats stats;
        if (hypervisor_vm_get_stats(host->hypervisor, id, &stats) == 0) {
            int used = cpu_mhz(samples, id, &stats, mhz);
            show(host, id, &stats, used);
            total_mhz += used;
            total_bytes += stats.host_memory_bytes;
        }
    }
    show_host(host, total_mhz, total_bytes);
    host_datastores_refresh(host);
}

static void *sample_thread(void *data)
{
    struct host *host = data;
    int mhz = host_cpu_mhz();
    g_autoptr(GHashTable) samples = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_mutex_lock(&host->statistics_lock);
    while (!g_atomic_int_get(&host->stopping)) {
        g_mutex_unlock(&host->statistics_lock);
        round_of_samples(host, samples, mhz);
        g_mutex_lock(&host->statistics_lock);
        gint64 until = g_get_monotonic_time() + INTERVAL_S * G_TIME_SPAN_SECOND;
        while (!g_atomic_int_get(&host->stopping) &&
               g_cond_wait_until(&host->statistics_wake, &host->statistics_lock, until)) {
        }
    }
    g_mutex_unlock(&host->statistics_lock);
    return NULL;
}

void host_statistics_start(struct host *host)
{
    host->statistics = g_thread_new("statistics", sample_thread, host);
}

void host_statistics_stop(struct host *host)
{
    if (host->statistics != NULL) {
        g_mutex_lock(&host->statistics_lock);
        g_cond_signal(&host->statistics_wake);
        g_mutex_unlock(&host->statistics_lock);
        g_thread_join(g_steal_pointer(&host->statistics));
    }
}
