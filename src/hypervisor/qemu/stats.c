// SPDX-License-Identifier: Apache-2.0
/*
 * What a running virtual machine uses, as far as kernel and QEMU tell. The functions have the contracts of
 * hypervisor.h.
 *
 * The process as a whole, and each virtual processor's thread, are read from /proc; only which threads these
 * are, and what drives have done, is asked of QEMU. That is asked with short deadlines: one QEMU that hangs
 * must not keep the figures of all others waiting.
 */
#include "hypervisor/qemu/device.h"
#include "hypervisor/qemu/qemu.h"
#include "hypervisor/qemu/qmp.h"

#include <json-c/json.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { QUERY_MS = 600 };

static int64_t boottime_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A short file of /proc as text. */
static bool read_short(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[MAX(n, 0)] = '\0';
    return n > 0;
}

int qemu_get_stats(struct hypervisor *hv, const char *id, struct hypervisor_stats *ret)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    char path[64], text[256];
    long long total_pages, resident_pages;
    struct timespec used;
    clockid_t clock;

    if (vm == NULL) {
        return -ENOENT;
    }
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)vm->process.pid);
    if (clock_getcpuclockid(vm->process.pid, &clock) != 0 || clock_gettime(clock, &used) < 0 ||
        !read_short(path, text, sizeof(text)) ||
        sscanf(text, "%lld %lld", &total_pages, &resident_pages) != 2) {
        return -ENOENT;
    }
    if (process_wait(&vm->process, 0) == 0) {
        return -ENOENT; /* it is dead, so the number may have been somebody else's all along */
    }
    ret->cpu_time_ns = (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
    ret->host_memory_bytes = resident_pages * sysconf(_SC_PAGESIZE);
    ret->uptime_ms = boottime_ms() - vm->record.started_ms;
    return 0;
}

/* An array from QEMU (json_object_put), or NULL. */
static struct json_object *ask(struct qemu_vm *vm, const char *command)
{
    struct json_object *reply = NULL;

    if (qmp_execute(vm->qmp, command, NULL, NULL, 0, QUERY_MS, &reply, NULL) != 0) {
        return NULL;
    }
    if (!json_object_is_type(reply, json_type_array)) {
        json_object_put(reply);
        return NULL;
    }
    return reply;
}

static int64_t number(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(object, name, &value) ? json_object_get_int64(value) : 0;
}

/* All processors, or none: half of them would look like a machine with fewer. */
static void read_cpus(struct qemu_vm *vm, struct hypervisor_device_stats *ret)
{
    struct json_object *reply = ask(vm, "query-cpus-fast");
    size_t n = reply != NULL ? json_object_array_length(reply) : 0;
    struct hypervisor_cpu_stats *cpus = g_new0(struct hypervisor_cpu_stats, n);
    bool complete = n > 0;

    for (size_t i = 0; i < n && complete; i++) {
        char path[64], text[128];
        long long run_ns, ready_ns;
        int thread = (int)number(json_object_array_get_idx(reply, i), "thread-id");
        snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)vm->process.pid, thread);
        complete = read_short(path, text, sizeof(text)) && sscanf(text, "%lld %lld", &run_ns, &ready_ns) == 2;
        if (complete) {
            cpus[i] = (struct hypervisor_cpu_stats){run_ns, ready_ns};
        }
    }
    json_object_put(reply);
    if (!complete) {
        g_free(cpus);
        return;
    }
    ret->cpus = cpus;
    ret->n_cpus = n;
}

/* The device of "dev-2000" or "/machine/peripheral/dev-2000/virtio-backend"; 0 for what is none of ours. */
static int32_t key_of_path(const char *path)
{
    static const char folder[] = "/machine/peripheral/";
    char name[QEMU_NAME_SIZE];

    path += g_str_has_prefix(path, folder) ? strlen(folder) : 0;
    g_strlcpy(name, path, MIN(sizeof(name), strcspn(path, "/") + 1));
    return qemu_device_key(name);
}

static void read_disks(struct qemu_vm *vm, struct hypervisor_device_stats *ret)
{
    struct json_object *reply = ask(vm, "query-blockstats");
    size_t n = reply != NULL ? json_object_array_length(reply) : 0;

    ret->disks = g_new0(struct hypervisor_disk_stats, n);
    for (size_t i = 0; i < n; i++) {
        struct json_object *drive = json_object_array_get_idx(reply, i);
        struct json_object *stats = NULL;
        int32_t key = key_of_path(qemu_json_string(drive, "qdev"));
        if (key != 0 && json_object_object_get_ex(drive, "stats", &stats)) {
            ret->disks[ret->n_disks++] = (struct hypervisor_disk_stats){
                .device_key = key,
                .reads = number(stats, "rd_operations"),
                .writes = number(stats, "wr_operations"),
                .read_bytes = number(stats, "rd_bytes"),
                .written_bytes = number(stats, "wr_bytes"),
                .read_ns = number(stats, "rd_total_time_ns"),
                .write_ns = number(stats, "wr_total_time_ns"),
            };
        }
    }
    json_object_put(reply);
}

int qemu_get_device_stats(struct hypervisor *hv, const char *id, struct hypervisor_device_stats *ret)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);

    if (vm == NULL) {
        return -ENOENT;
    }
    read_cpus(vm, ret);
    if (ret->n_cpus > 0) { /* else it does not answer, and would not now */
        read_disks(vm, ret);
    }
    return 0;
}
