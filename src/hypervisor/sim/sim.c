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
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIM_MAX_CPUS = 768, STATE_BYTES_MAX = 256 };

/* An image of a disk. The images of one disk lie in the array in the order of their chain, the top first. */
struct sim_image {
    int32_t key;
    struct hypervisor_image file;
};

/* A device with figures of its own. */
struct sim_device {
    int32_t key;
    bool nic;        /* a network adapter, not a drive */
    int64_t from_ms; /* what its machine had run when it was plugged in */
};

struct sim_vm {
    char *id; /* also the key in the table */
    enum hypervisor_vm_state state;
    char uuid[64]; /* of the configuration, "-" when it has none; ties a saved state to it */
    uint32_t seed; /* from the id */
    int32_t cpus;
    int32_t memory_mb;
    int64_t started_ms;         /* by the clock */
    int64_t ran_ms;             /* while running, before resumed_ms */
    int64_t resumed_ms;         /* when it last began to run; counts while RUNNING */
    struct sim_device *devices; /* drives and adapters, owned */
    size_t n_devices;
    GArray *images; /* of struct sim_image, owned */
    int lock_fd;    /* what its start gave us to keep open, owned, or -1 */
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

    if (vm->lock_fd >= 0) {
        close(vm->lock_fd);
    }
    g_free(vm->devices);
    g_array_unref(vm->images);
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

static bool identify(int fd, struct hypervisor_image *ret)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        return false;
    }
    *ret = (struct hypervisor_image){status.st_dev, status.st_ino};
    return true;
}

/* Puts an image on top of its disk, or at the bottom. */
static void add_image(struct sim_vm *vm, const struct hypervisor_file *file, bool top)
{
    struct sim_image image = {.key = file->device_key};
    if (!identify(file->fd, &image.file)) {
        return;
    }
    if (top) {
        g_array_prepend_val(vm->images, image);
    } else {
        g_array_append_val(vm->images, image);
    }
}

static void add_device(struct sim_vm *vm, const struct VirtualDevice *device, int64_t from_ms)
{
    bool nic = vim_is_a(device, &VirtualEthernetCard_type);
    if (nic || vim_is_a(device, &VirtualDisk_type)) {
        vm->devices = g_renew(struct sim_device, vm->devices, vm->n_devices + 1);
        vm->devices[vm->n_devices++] = (struct sim_device){device->key, nic, from_ms};
    }
}

static void remove_device(struct sim_vm *vm, int32_t key)
{
    size_t kept = 0;
    for (size_t i = 0; i < vm->n_devices; i++) {
        if (vm->devices[i].key != key) {
            vm->devices[kept++] = vm->devices[i];
        }
    }
    vm->n_devices = kept;
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
    vm->lock_fd = start->lock_fd >= 0 ? fcntl(start->lock_fd, F_DUPFD_CLOEXEC, 0) : -1;
    vm->state = HYPERVISOR_VM_RUNNING;
    g_strlcpy(vm->uuid, uuid_of(start->config), sizeof(vm->uuid));
    vm->seed = g_str_hash(start->id);
    vm->cpus = hardware->numCPU;
    vm->memory_mb = hardware->memoryMB;
    vm->started_ms = sim->clock_ms(sim->clock_data);
    vm->resumed_ms = vm->started_ms;
    vm->ran_ms = saved_ms;
    for (uint32_t i = 0; i < hardware->device.n; i++) {
        add_device(vm, hardware->device.items[i], saved_ms);
    }
    vm->images = g_array_new(FALSE, FALSE, sizeof(struct sim_image));
    for (size_t i = 0; i < start->n_files; i++) {
        add_image(vm, &start->files[i], false);
    }
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

/* A machine's saved state: see load_state. */
static char *state_text(const struct sim *sim, const struct sim_vm *vm)
{
    return g_strdup_printf("tenkyu-sim-state 1 %s %lld\n", vm->uuid, (long long)ran_ms(sim, vm));
}

static int write_state(const char *text, int fd, hypervisor_progress_fn progress, void *data,
                       char **ret_message)
{
    if (progress != NULL && !progress(data, 0)) {
        return hypervisor_fail(ret_message, -ECANCELED, "saving the memory was cancelled");
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
    return 0;
}

static int sim_suspend(struct hypervisor *hv, const char *id, int fd, hypervisor_progress_fn progress,
                       void *data, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    g_autofree char *text = state_text(sim, vm);
    g_mutex_unlock(&sim->lock);
    int error = write_state(text, fd, progress, data, ret_message);
    return error == 0 ? sim_stop(hv, id, ret_message) : error;
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

static int sim_send_keys(struct hypervisor *hv, const char *id, const struct hypervisor_key *keys, size_t n,
                         char **ret_message)
{
    (void)keys;
    (void)n;
    int error = check_vm(hv, id);
    return error != 0 ? error
                      : hypervisor_fail(ret_message, -ENOTSUP, "a simulated virtual machine has no keyboard");
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
    struct sim *sim = (struct sim *)hv;
    (void)config;
    (void)file;
    (void)ret_message;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    add_device(vm, device, ran_ms(sim, vm));
    g_mutex_unlock(&sim->lock);
    return 0;
}

static int sim_unplug(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                      char **ret_message)
{
    struct sim *sim = (struct sim *)hv;
    (void)ret_message;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    remove_device(vm, device->key);
    g_mutex_unlock(&sim->lock);
    return 0;
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

static int sim_get_images(struct hypervisor *hv, const char *id, int32_t device_key,
                          struct hypervisor_image **ret_images, size_t *ret_n, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;
    (void)ret_message;

    const struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    *ret_images = g_new0(struct hypervisor_image, vm->images->len + 1);
    *ret_n = 0;
    for (guint i = 0; i < vm->images->len; i++) {
        const struct sim_image *image = &g_array_index(vm->images, struct sim_image, i);
        if (image->key == device_key) {
            (*ret_images)[(*ret_n)++] = image->file;
        }
    }
    g_mutex_unlock(&sim->lock);
    return 0;
}

static int sim_snapshot(struct hypervisor *hv, const char *id, const struct hypervisor_snapshot *snapshot,
                        struct hypervisor_pause *ret, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    for (size_t i = 0; i < snapshot->n_overlays; i++) {
        add_image(vm, &snapshot->overlays[i], true);
    }
    g_autofree char *text = state_text(sim, vm);
    g_mutex_unlock(&sim->lock);
    *ret = (struct hypervisor_pause){0, true};
    return snapshot->memory_fd >= 0
               ? write_state(text, snapshot->memory_fd, snapshot->progress, snapshot->data, ret_message)
               : 0;
}

/* A simulated guest writes nothing, so there is nothing to copy. */
static int sim_commit(struct hypervisor *hv, const char *id, const struct hypervisor_commit *commit,
                      bool *ret_held, char **ret_message)
{
    struct sim *sim = (struct sim *)hv;
    struct hypervisor_image top;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    bool known = identify(commit->top_fd, &top), first = true;
    for (guint i = 0; known && i < vm->images->len; i++) {
        const struct sim_image *image = &g_array_index(vm->images, struct sim_image, i);
        if (image->key != commit->device_key) {
            continue;
        }
        if (image->file.device == top.device && image->file.inode == top.inode) {
            g_array_remove_index(vm->images, i);
            *ret_held = first && vm->state == HYPERVISOR_VM_RUNNING;
            break;
        }
        first = false;
    }
    g_mutex_unlock(&sim->lock);
    return *ret_held ? sim_pause(hv, id, ret_message) : 0;
}

static int sim_release(struct hypervisor *hv, const char *id, char **ret_message)
{
    return sim_unpause(hv, id, ret_message);
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

static int sim_get_device_stats(struct hypervisor *hv, const char *id, struct hypervisor_device_stats *ret)
{
    struct sim *sim = (struct sim *)hv;

    struct sim_vm *vm = lock_vm(sim, id);
    if (vm == NULL) {
        return -ENOENT;
    }
    int64_t ran = ran_ms(sim, vm);
    ret->cpus = g_new0(struct hypervisor_cpu_stats, vm->cpus);
    ret->n_cpus = (size_t)vm->cpus;
    for (size_t i = 0; i < ret->n_cpus; i++) { /* the guest spreads its load evenly */
        ret->cpus[i].run_ns = sim_model_cpu_time_ns(vm->seed, vm->cpus, ran) / vm->cpus;
        ret->cpus[i].ready_ns = sim_model_ready_ns(vm->seed, vm->cpus, ran);
    }
    ret->disks = g_new0(struct hypervisor_disk_stats, vm->n_devices);
    ret->nics = g_new0(struct hypervisor_nic_stats, vm->n_devices);
    for (size_t i = 0; i < vm->n_devices; i++) {
        const struct sim_device *device = &vm->devices[i];
        int64_t worked_ms = ran - device->from_ms;
        if (device->nic) {
            ret->nics[ret->n_nics].device_key = device->key;
            sim_model_nic(vm->seed, device->key, worked_ms, &ret->nics[ret->n_nics++]);
        } else {
            ret->disks[ret->n_disks].device_key = device->key;
            sim_model_disk(vm->seed, device->key, worked_ms, &ret->disks[ret->n_disks++]);
        }
    }
    ret->balloon_bytes = 0;
    g_mutex_unlock(&sim->lock);
    return 0;
}

/* Simulated machines have no devices, so any will do. */
static int sim_check_machine(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                             char **ret_message)
{
    (void)hv;
    (void)config;
    (void)ret_message;
    return 0;
}

static int sim_check_device(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                            const struct VirtualDevice *device, char **ret_message)
{
    (void)device;
    return sim_check_machine(hv, config, ret_message);
}

static int sim_open_nvram_template(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                                   int *ret_fd, char **ret_message)
{
    *ret_fd = -1;
    return sim_check_machine(hv, config, ret_message);
}

static const struct hypervisor_ops sim_ops = {
    .free = sim_free,
    .adopt = sim_adopt,
    .get_state = sim_get_state,
    .check_machine = sim_check_machine,
    .check_device = sim_check_device,
    .open_nvram_template = sim_open_nvram_template,
    .start = sim_start,
    .stop = sim_stop,
    .reset = sim_reset,
    .pause = sim_pause,
    .unpause = sim_unpause,
    .press_power = sim_press_power,
    .suspend = sim_suspend,
    .send_keys = sim_send_keys,
    .screenshot = sim_screenshot,
    .open_screen = sim_open_screen,
    .open_serial = sim_open_serial,
    .plug = sim_plug,
    .unplug = sim_unplug,
    .get_devices = sim_get_devices,
    .change_medium = sim_change_medium,
    .change_port = sim_change_medium, /* it has no media and no ports */
    .set_link = sim_set_link,
    .resize_disk = sim_resize_disk,
    .get_images = sim_get_images,
    .snapshot = sim_snapshot,
    .commit = sim_commit,
    .release = sim_release,
    .get_stats = sim_get_stats,
    .get_device_stats = sim_get_device_stats,
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
        .simulated = true,
    };
    sim->clock_ms = options->clock_ms != NULL ? options->clock_ms : machine_clock_ms;
    sim->clock_data = options->clock_data;
    sim->events = event_queue_new(options->event, options->event_data);
    g_mutex_init(&sim->lock);
    sim->vms = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_vm);
    *ret = &sim->base;
    return 0;
}
