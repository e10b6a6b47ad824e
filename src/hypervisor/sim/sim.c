// SPDX-License-Identifier: Apache-2.0
/*
 * The hypervisor that runs nothing: virtual machines in memory, with a model of their load.
 *
 * For tests of everything above the hypervisor, for labs of thousands of hosts in one process, and for
 * people who need a VI API to test against. A virtual machine costs about 300 bytes; every operation is
 * done at once. What a guest would do depends only on its id, its configuration and the clock of the
 * options, so a run with a scripted clock repeats exactly. Any thread may call; one lock guards the table.
 */
#include "hypervisor/hypervisor_ops.h"
#include "hypervisor/sim/sim_model.h"
#include "vim/types.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SIM_MAX_CPUS = 768, STATE_BYTES_MAX = 256 };

struct sim_vm {
    char *id; /* also the key in the table */
    enum hypervisor_vm_state state;
    char uuid[64]; /* of the configuration, "-" when it has none; ties a saved state to it */
    uint32_t seed; /* from the id */
    int32_t cpus;
    int32_t memory_mb;
    int64_t started_ms; /* by the clock */
    int64_t ran_ms;     /* while running, before resumed_ms */
    int64_t resumed_ms; /* when it last began to run; counts while RUNNING */
};

struct sim {
    struct hypervisor base;
    int64_t (*clock_ms)(void *data);
    void *clock_data;
    struct event_queue *events;
    GMutex lock;
    GHashTable *vms; /* with lock: id to struct sim_vm */
};

static int64_t machine_clock_ms(void *data)
{
    (void)data;
    return g_get_monotonic_time() / 1000;
}

static void free_vm(void *data)
{
    struct sim_vm *vm = data;

    g_free(vm->id);
    g_free(vm);
}

static void push(struct sim *sim, const char *id, enum hypervisor_event_kind kind,
                 enum hypervisor_vm_state state)
{
    struct hypervisor_event event = {.kind = kind, .state = state};
    event_queue_push(sim->events, id, &event);
}

/* Locks and finds. On success the caller unlocks; on failure it is unlocked already. */
static struct sim_vm *lock_vm(struct sim *sim, const char *id)
{
    g_mutex_lock(&sim->lock);
    struct sim_vm *vm = g_hash_table_lookup(sim->vms, id);
    if (vm == NULL) {
        g_mutex_unlock(&sim->lock);
    }
    return vm;
}

static int64_t ran_ms(const struct sim *sim, const struct sim_vm *vm)
{
    int64_t now_ms = sim->clock_ms(sim->clock_data);
    return vm->ran_ms + (vm->state == HYPERVISOR_VM_RUNNING ? now_ms - vm->resumed_ms : 0);
}

static void sim_free(struct hypervisor *hv)
{
    struct sim *sim = (struct sim *)hv;

    event_queue_free(sim->events);
    g_hash_table_unref(sim->vms);
    g_mutex_clear(&sim->lock);
    g_free(sim);
}

/* What is in memory ends with the process: there is never anything to adopt. */
static char **sim_adopt(struct hypervisor *hv)
{
    (void)hv;
    return g_new0(char *, 1);
}

static int sim_get_state(struct hypervisor *hv, const char *id, enum hypervisor_vm_state *ret)
{
    struct sim *sim = (struct sim *)hv;
    struct sim_vm *vm = lock_vm(sim, id);

    if (vm == NULL) {
        return -ENOENT;
    }
    *ret = vm->state;
    g_mutex_unlock(&sim->lock);
    return 0;
}

static const char *uuid_of(const struct VirtualMachineConfigInfo *config)
{
    return config->uuid != NULL && config->uuid[0] != '\0' ? config->uuid : "-";
}

/* A saved state is one line of text: it names the virtual machine and how long it has run. */
static int load_state(const struct hypervisor_start *start, int64_t *ret_ran_ms, char **ret_message)
{
    char text[STATE_BYTES_MAX] = "", uuid[64] = "";
    long long saved_ms;

    ssize_t n = pread(start->state_fd, text, sizeof(text) - 1, 0);
    if (n < 0) {
        return hypervisor_fail(ret_message, -errno, "the saved state cannot be read: %s", g_strerror(errno));
    }
    if (sscanf(text, "tenkyu-sim-state 1 %63s %lld", uuid, &saved_ms) != 2 || saved_ms < 0) {
        return hypervisor_fail(ret_message, -EINVAL, "the file is not a saved state");
    }
    if (strncmp(uuid, uuid_of(start->config), sizeof(uuid) - 1) != 0) {
        return hypervisor_fail(ret_message, -EINVAL, "the saved state belongs to another virtual machine");
    }
    *ret_ran_ms = saved_ms;
    return 0;
}

static int sim_start(struct hypervisor *hv, const struct hypervisor_start *start, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;
    const struct VirtualHardware *hardware = start->config->hardware;
    int64_t saved_ms = 0;

    if (hardware == NULL || hardware->numCPU < 1 || hardware->memoryMB < 1) {
        return hypervisor_fail(ret_message, -EINVAL, "the virtual machine has no processor or no memory");
    }
    if (start->state_fd >= 0) {
        int error = load_state(start, &saved_ms, ret_message);
        if (error != 0) {
            return error;
        }
    }
    g_mutex_lock(&sim->lock);
    if (g_hash_table_contains(sim->vms, start->id)) {
        g_mutex_unlock(&sim->lock);
        return hypervisor_fail(ret_message, -EEXIST, "the virtual machine runs already");
    }
    struct sim_vm *vm = g_new0(struct sim_vm, 1);
    vm->id = g_strdup(start->id);
    vm->state = HYPERVISOR_VM_RUNNING;
    g_strlcpy(vm->uuid, uuid_of(start->config), sizeof(vm->uuid));
    vm->seed = g_str_hash(start->id);
    vm->cpus = hardware->numCPU;
    vm->memory_mb = hardware->memoryMB;
    vm->started_ms = sim->clock_ms(sim->clock_data);
    vm->resumed_ms = vm->started_ms;
    vm->ran_ms = saved_ms;
    g_hash_table_insert(sim->vms, vm->id, vm);
    push(sim, start->id, HYPERVISOR_EVENT_STATE, HYPERVISOR_VM_RUNNING);
    g_mutex_unlock(&sim->lock);
    return 0;
}

static int sim_stop(struct hypervisor *hv, const char *id, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;
    (void)ret_message;

    if (lock_vm(sim, id) == NULL) {
        return -ENOENT;
    }
    g_hash_table_remove(sim->vms, id);
    push(sim, id, HYPERVISOR_EVENT_GONE, HYPERVISOR_VM_GONE);
    g_mutex_unlock(&sim->lock);
    return 0;
}

static int sim_reset(struct hypervisor *hv, const char *id, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;
    (void)ret_message;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    push(sim, id, HYPERVISOR_EVENT_RESET, vm->state);
    g_mutex_unlock(&sim->lock);
    return 0;
}

static int set_state(struct hypervisor *hv, const char *id, enum hypervisor_vm_state state)
{
    struct sim *sim = (struct sim *)hv;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    if (vm->state != state) {
        vm->ran_ms = ran_ms(sim, vm);
        vm->resumed_ms = sim->clock_ms(sim->clock_data);
        vm->state = state;
        push(sim, id, HYPERVISOR_EVENT_STATE, state);
    }
    g_mutex_unlock(&sim->lock);
    return 0;
}

static int sim_pause(struct hypervisor *hv, const char *id, char **ret_message)
{
    (void)ret_message;
    return set_state(hv, id, HYPERVISOR_VM_PAUSED);
}

static int sim_unpause(struct hypervisor *hv, const char *id, char **ret_message)
{
    (void)ret_message;
    return set_state(hv, id, HYPERVISOR_VM_RUNNING);
}

/* The guest obeys the power button at once. */
static int sim_press_power(struct hypervisor *hv, const char *id, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;
    (void)ret_message;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    if (vm->state == HYPERVISOR_VM_RUNNING) {
        g_hash_table_remove(sim->vms, id);
        push(sim, id, HYPERVISOR_EVENT_GUEST_SHUTDOWN, HYPERVISOR_VM_RUNNING);
        push(sim, id, HYPERVISOR_EVENT_GONE, HYPERVISOR_VM_GONE);
    }
    g_mutex_unlock(&sim->lock);
    return 0;
}

/* Writes all of it from the start of the file. */
static int write_file(int fd, const void *data, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = pwrite(fd, (const char *)data + done, length - done, (off_t)done);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return ftruncate(fd, (off_t)length) < 0 ? -errno : 0;
}

static int sim_suspend(struct hypervisor *hv, const char *id, int fd, hypervisor_progress_fn progress,
                       void *data, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    g_autofree char *text =
        g_strdup_printf("tenkyu-sim-state 1 %s %lld\n", vm->uuid, (long long)ran_ms(sim, vm));
    g_mutex_unlock(&sim->lock);

    if (progress != NULL && !progress(data, 0)) {
        return hypervisor_fail(ret_message, -ECANCELED, "suspending was cancelled");
    }
    int error = write_file(fd, text, strlen(text));
    if (error == 0 && fsync(fd) < 0) {
        error = -errno;
    }
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the state cannot be saved: %s", g_strerror(-error));
    }
    if (progress != NULL) {
        progress(data, 100);
    }
    return sim_stop(hv, id, ret_message);
}

static int sim_screenshot(struct hypervisor *hv, const char *id, int fd, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    uint32_t seed = vm->seed;
    g_mutex_unlock(&sim->lock);

    g_autoptr(GByteArray) png = sim_model_screen(seed);
    int error = write_file(fd, png->data, png->len);
    if (error != 0) {
        return hypervisor_fail(ret_message, error, "the picture cannot be written: %s", g_strerror(-error));
    }
    return 0;
}

/* For what needs a virtual machine that runs and does nothing visible to it. */
static int check_vm(struct hypervisor *hv, const char *id)
{
    enum hypervisor_vm_state state;
    return sim_get_state(hv, id, &state);
}

static int sim_open_screen(struct hypervisor *hv, const char *id, int *ret_fd, char **ret_message)
{
    (void)ret_fd;
    int error = check_vm(hv, id);
    return error != 0
               ? error
               : hypervisor_fail(ret_message, -ENOTSUP, "a simulated virtual machine has no live screen");
}

static int sim_open_serial(struct hypervisor *hv, const char *id, int32_t device_key, int *ret_fd,
                           char **ret_message)
{
    (void)device_key;
    (void)ret_fd;
    int error = check_vm(hv, id);
    return error != 0 ? error
                      : hypervisor_fail(ret_message, -ENOTSUP, "a simulated virtual machine says nothing");
}

static int sim_plug(struct hypervisor *hv, const char *id, const struct VirtualMachineConfigInfo *config,
                    const struct VirtualDevice *device, const struct hypervisor_file *file,
                    char **ret_message)
{
    (void)config;
    (void)device;
    (void)file;
    (void)ret_message;
    return check_vm(hv, id);
}

static int sim_unplug(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                      char **ret_message)
{
    (void)device;
    (void)ret_message;
    return check_vm(hv, id);
}

static int sim_get_devices(struct hypervisor *hv, const char *id, int32_t **ret_keys, size_t *ret_n,
                           char **ret_message)
{
    (void)hv;
    (void)id;
    (void)ret_keys;
    (void)ret_n;
    return hypervisor_fail(ret_message, -ENOTSUP, "simulated machines have no devices");
}

static int sim_change_medium(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                             const struct hypervisor_file *file, char **ret_message)
{
    (void)device;
    (void)file;
    (void)ret_message;
    return check_vm(hv, id);
}

static int sim_set_link(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                        bool connected, char **ret_message)
{
    (void)device;
    (void)connected;
    (void)ret_message;
    return check_vm(hv, id);
}

static int sim_resize_disk(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                           int64_t capacity_bytes, char **ret_message)
{
    (void)device;
    (void)capacity_bytes;
    (void)ret_message;
    return check_vm(hv, id);
}

static int sim_get_stats(struct hypervisor *hv, const char *id, struct hypervisor_stats *ret)
{
    struct sim *sim = (struct sim *)hv;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    int64_t ran = ran_ms(sim, vm);
    ret->cpu_time_ns = sim_model_cpu_time_ns(vm->seed, vm->cpus, ran);
    ret->host_memory_bytes = sim_model_memory_bytes(vm->seed, vm->memory_mb, ran);
    ret->uptime_ms = sim->clock_ms(sim->clock_data) - vm->started_ms;
    g_mutex_unlock(&sim->lock);
    return 0;
}

static const struct hypervisor_ops sim_ops = {
    .free = sim_free,
    .adopt = sim_adopt,
    .get_state = sim_get_state,
    .start = sim_start,
    .stop = sim_stop,
    .reset = sim_reset,
    .pause = sim_pause,
    .unpause = sim_unpause,
    .press_power = sim_press_power,
    .suspend = sim_suspend,
    .screenshot = sim_screenshot,
    .open_screen = sim_open_screen,
    .open_serial = sim_open_serial,
    .plug = sim_plug,
    .unplug = sim_unplug,
    .get_devices = sim_get_devices,
    .change_medium = sim_change_medium,
    .set_link = sim_set_link,
    .resize_disk = sim_resize_disk,
    .get_stats = sim_get_stats,
};

int hypervisor_sim_new(const struct hypervisor_options *options, struct hypervisor **ret, char **ret_message)
{
    (void)ret_message;
    struct sim *sim = g_new0(struct sim, 1);

    sim->base.ops = &sim_ops;
    sim->base.info = (struct hypervisor_info){
        .name = "sim",
        .version = "1",
        .accelerator = "sim",
        .max_cpus = SIM_MAX_CPUS,
    };
    sim->clock_ms = options->clock_ms != NULL ? options->clock_ms : machine_clock_ms;
    sim->clock_data = options->clock_data;
    sim->events = event_queue_new(options->event, options->event_data);
    g_mutex_init(&sim->lock);
    sim->vms = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_vm);
    *ret = &sim->base;
    return 0;
}
