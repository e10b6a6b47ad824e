// SPDX-License-Identifier: Apache-2.0
/*
 * Figures of the machine. See machine_load.h. The formats: proc(5), and the kernel's
 * Documentation/admin-guide/iostats.rst.
 */
#include "host/performance/machine_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512, NAME_BYTES = 64 };

struct machine_load {
    char *root;
    GMutex lock;
    GPtrArray *names; /* with lock: of disks and adapters, by instance; only grows, by what is hardware */
};

struct machine_load *machine_load_new(const char *root)
{
    struct machine_load *load = g_new0(struct machine_load, 1);
    load->root = g_strdup(root);
    g_mutex_init(&load->lock);
    load->names = g_ptr_array_new_with_free_func(g_free);
    return load;
}

void machine_load_free(struct machine_load *load)
{
    if (load != NULL) {
        g_free(load->root);
        g_mutex_clear(&load->lock);
        g_ptr_array_unref(load->names);
        g_free(load);
    }
}

const char *machine_load_name(struct machine_load *load, int32_t instance)
{
    const char *name = NULL;
    g_mutex_lock(&load->lock);
    if (instance >= 0 && (guint)instance < load->names->len) {
        name = g_ptr_array_index(load->names, (guint)instance);
    }
    g_mutex_unlock(&load->lock);
    return name;
}

static int32_t instance_of(struct machine_load *load, const char *name)
{
    guint i = 0;
    g_mutex_lock(&load->lock);
    while (i < load->names->len && strcmp(g_ptr_array_index(load->names, i), name) != 0) {
        i++;
    }
    if (i == load->names->len) {
        g_ptr_array_add(load->names, g_strdup(name));
    }
    g_mutex_unlock(&load->lock);
    return (int32_t)i;
}

static char *read_file(const struct machine_load *load, const char *path)
{
    g_autofree char *full = g_strconcat(load->root, path, NULL);
    char *text = NULL;
    return g_file_get_contents(full, &text, NULL, NULL) ? text : NULL;
}

/* Whether /sys/class/net/NAME or /sys/block/NAME has a device behind it. */
static bool is_hardware(const struct machine_load *load, const char *folder, const char *name)
{
    g_autofree char *path = g_strconcat(load->root, folder, name, "/device", NULL);
    return access(path, F_OK) == 0;
}

static int64_t ticks_to_ms(long long ticks)
{
    return ticks * 1000 / sysconf(_SC_CLK_TCK);
}

/* The line of all processors gives the total, so that it does not fall when one is taken away. */
static void read_cpus(struct machine_load *load, struct perf_reading *reading)
{
    g_autofree char *text = read_file(load, "/proc/stat");
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    int64_t count = 0;
    for (char **line = lines; *line != NULL && g_str_has_prefix(*line, "cpu"); line++) {
        long long user, nice, kernel, idle, waiting, irq = 0, softirq = 0;
        const char *figures = strchr(*line, ' ');
        if (figures == NULL || sscanf(figures, "%lld %lld %lld %lld %lld %lld %lld", &user, &nice, &kernel,
                                      &idle, &waiting, &irq, &softirq) < 5) {
            continue;
        }
        int64_t busy_ms = ticks_to_ms(user + nice + kernel + irq + softirq);
        if (g_ascii_isdigit((*line)[3])) {
            int32_t number = atoi(*line + 3);
            perf_reading_add(reading, PERF_CPU_RUN_MS, number, busy_ms);
            perf_reading_add(reading, PERF_CPU_IDLE_MS, number, ticks_to_ms(idle + waiting));
            count++;
        } else {
            perf_reading_add(reading, PERF_CPU_TOTAL_MS, 0, busy_ms);
        }
    }
    if (count > 0) {
        perf_reading_add(reading, PERF_CPU_COUNT, 0, count);
    }
}

/* A number behind a word at the start of a line; -1 when there is none. */
static int64_t figure(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, word, length) == 0 && (line[length] == ' ' || line[length] == ':')) {
            return g_ascii_strtoll(line + length + 1, NULL, 10);
        }
    }
    return -1;
}

static void read_memory(struct machine_load *load, struct perf_reading *reading)
{
    g_autofree char *memory = read_file(load, "/proc/meminfo");
    g_autofree char *paging = read_file(load, "/proc/vmstat");
    g_autofree char *shared = read_file(load, "/sys/kernel/mm/ksm/pages_sharing");
    int64_t page_kb = sysconf(_SC_PAGESIZE) / 1024;
    int64_t total = memory != NULL ? figure(memory, "MemTotal") : -1;
    if (total > 0) {
        perf_reading_add(reading, PERF_MEM_SIZE_KB, 0, total);
        perf_reading_add(reading, PERF_MEM_USED_KB, 0, total - figure(memory, "MemAvailable"));
        perf_reading_add(reading, PERF_MEM_SWAP_KB, 0,
                         figure(memory, "SwapTotal") - figure(memory, "SwapFree"));
    }
    if (paging != NULL && figure(paging, "pswpin") >= 0) {
        perf_reading_add(reading, PERF_MEM_SWAP_IN_KB, 0, figure(paging, "pswpin") * page_kb);
        perf_reading_add(reading, PERF_MEM_SWAP_OUT_KB, 0, figure(paging, "pswpout") * page_kb);
    }
    if (shared != NULL) {
        perf_reading_add(reading, PERF_MEM_SHARED_KB, 0, g_ascii_strtoll(shared, NULL, 10) * page_kb);
    }
}

static void read_disks(struct machine_load *load, struct perf_reading *reading)
{
    g_autofree char *text = read_file(load, "/proc/diskstats");
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        char name[NAME_BYTES];
        long long reads, read_sectors, read_ms, writes, written_sectors, write_ms;
        if (sscanf(*line, " %*d %*d %63s %lld %*d %lld %lld %lld %*d %lld %lld", name, &reads, &read_sectors,
                   &read_ms, &writes, &written_sectors, &write_ms) != 7 ||
            !is_hardware(load, "/sys/block/", name)) {
            continue;
        }
        int32_t instance = instance_of(load, name);
        perf_reading_add(reading, PERF_DISK_READS, instance, reads);
        perf_reading_add(reading, PERF_DISK_WRITES, instance, writes);
        perf_reading_add(reading, PERF_DISK_READ_KB, instance, read_sectors * SECTOR_BYTES / 1024);
        perf_reading_add(reading, PERF_DISK_WRITTEN_KB, instance, written_sectors * SECTOR_BYTES / 1024);
        perf_reading_add(reading, PERF_DISK_READ_US, instance, read_ms * 1000);
        perf_reading_add(reading, PERF_DISK_WRITE_US, instance, write_ms * 1000);
    }
}

static void read_network(struct machine_load *load, struct perf_reading *reading)
{
    g_autofree char *text = read_file(load, "/proc/net/dev");
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        char name[NAME_BYTES];
        long long in_bytes, in_packets, in_errors, in_dropped, out_bytes, out_packets, out_errors,
            out_dropped;
        if (sscanf(*line, " %63[^: ]: %lld %lld %lld %lld %*d %*d %*d %*d %lld %lld %lld %lld", name,
                   &in_bytes, &in_packets, &in_errors, &in_dropped, &out_bytes, &out_packets, &out_errors,
                   &out_dropped) != 9 ||
            !is_hardware(load, "/sys/class/net/", name)) {
            continue;
        }
        int32_t instance = instance_of(load, name);
        perf_reading_add(reading, PERF_NET_RECEIVED_KB, instance, in_bytes / 1024);
        perf_reading_add(reading, PERF_NET_SENT_KB, instance, out_bytes / 1024);
        perf_reading_add(reading, PERF_NET_RECEIVED_PACKETS, instance, in_packets);
        perf_reading_add(reading, PERF_NET_SENT_PACKETS, instance, out_packets);
        perf_reading_add(reading, PERF_NET_RECEIVED_DROPPED, instance, in_dropped);
        perf_reading_add(reading, PERF_NET_SENT_DROPPED, instance, out_dropped);
        perf_reading_add(reading, PERF_NET_RECEIVED_ERRORS, instance, in_errors);
        perf_reading_add(reading, PERF_NET_SENT_ERRORS, instance, out_errors);
    }
}

void machine_load_read(struct machine_load *load, struct perf_reading *reading)
{
    g_autofree char *uptime = read_file(load, "/proc/uptime");
    if (uptime != NULL) {
        perf_reading_add(reading, PERF_UPTIME_S, 0, g_ascii_strtoll(uptime, NULL, 10));
    }
    read_cpus(load, reading);
    read_memory(load, reading);
    read_disks(load, reading);
    read_network(load, reading);
}
