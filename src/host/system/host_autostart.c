// SPDX-License-Identifier: Apache-2.0
/*
 * HostAutoStartManager: virtual machines that start and stop with the machine.
 *
 * The configuration is in STATE/autostart.json, written before it is shown. Whether the machine has been
 * started since the last time is told by the kernel's boot id, kept in STATE/boot-id: it is written when
 * everything has been started, so a host program that dies on the way goes on at its next start, and one that
 * is only restarted starts nothing. Machines stop when the host program is told that the machine goes down
 * (SIGPWR, or ShutdownHost_Task).
 */
#include "host/system/host_power.h"

#include <string.h>

#include "base/file.h"
#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/store.h"
#include "vim/value.h"

#define BOOT_ID_FILE "boot-id"
#define CONFIG_FILE "autostart.json"

enum {
    POLL_US = 200000,
    DELAY_S = 120,          /* of the defaults, before somebody sets them */
    DELAY_MAX_S = 24 * 3600 /* what is asked for beyond is a mistake */
};

/* ---- the plan ---------------------------------------------------------------------------------------- */

static int compare_order(const void *a, const void *b)
{
    const struct AutoStartPowerInfo *const *x = a, *const *y = b;
    /* -1, any order, comes last. */
    unsigned first = (unsigned)(*x)->startOrder, second = (unsigned)(*y)->startOrder;
    return first < second ? -1 : first > second;
}

static bool same(const char *a, const char *b)
{
    return a != NULL && g_ascii_strcasecmp(a, b) == 0;
}

GArray *autostart_plan(const struct HostAutoStartManagerConfig *config, bool stop)
{
    const struct AutoStartDefaults *defaults = config->defaults;
    GArray *steps = g_array_new(FALSE, FALSE, sizeof(struct autostart_step));
    if (defaults == NULL || !defaults->enabled.value) {
        return steps;
    }
    g_autofree const struct AutoStartPowerInfo **sorted =
        g_memdup2(config->powerInfo.items, config->powerInfo.n * sizeof(*sorted));
    if (sorted != NULL) {
        qsort(sorted, config->powerInfo.n, sizeof(*sorted), compare_order);
    }
    for (uint32_t i = 0; i < config->powerInfo.n; i++) {
        const struct AutoStartPowerInfo *info = sorted[stop ? config->powerInfo.n - 1 - i : i];
        int32_t own = stop ? info->stopDelay : info->startDelay;
        int32_t common = stop ? defaults->stopDelay.value : defaults->startDelay.value;
        bool common_stop = info->stopAction == NULL || same(info->stopAction, "systemDefault");
        struct autostart_step step = {
            .vm = info->key,
            .delay_s = own < 0 ? common : own,
            .for_heartbeat = info->waitForHeartbeat == AutoStartWaitHeartbeatSetting_yes ||
                             (info->waitForHeartbeat == AutoStartWaitHeartbeatSetting_systemDefault &&
                              defaults->waitForHeartbeat.value),
            .action = common_stop ? defaults->stopAction : info->stopAction,
        };
        if (stop ? !same(step.action, "none") : same(info->startAction, "powerOn")) {
            g_array_append_val(steps, step);
        }
    }
    return steps;
}

/* ---- the configuration ------------------------------------------------------------------------------- */

static struct HostAutoStartManagerConfig *shown_config(struct host *host)
{
    vim_read_lock(host->server->inventory);
    const struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_AUTOSTART_ID);
    struct HostAutoStartManagerConfig *config =
        vim_copy(VIM_PROPERTIES(object, HostAutoStartManager)->config);
    vim_read_unlock(host->server->inventory);
    return config;
}

/* config is moved in. */
static void show(struct host *host, struct HostAutoStartManagerConfig *config)
{
    vim_write_lock(host->server->inventory);
    vim_set_data(vim_inventory_find(host->server->inventory, HOST_AUTOSTART_ID), "config", config);
    vim_write_unlock(host->server->inventory);
}

static struct HostAutoStartManagerConfig *config_new(void)
{
    struct HostAutoStartManagerConfig *config = HostAutoStartManagerConfig_new();
    config->defaults = AutoStartDefaults_new();
    vim_set_optional(&config->defaults->enabled, false);
    vim_set_optional(&config->defaults->startDelay, DELAY_S);
    vim_set_optional(&config->defaults->stopDelay, DELAY_S);
    vim_set_optional(&config->defaults->waitForHeartbeat, false);
    config->defaults->stopAction = g_strdup("powerOff");
    return config;
}

int host_autostart_load(struct host *host, char **ret_message)
{
    g_autofree char *path = g_build_filename(host->state_dir, CONFIG_FILE, NULL);
    g_autoptr(GPtrArray) objects = NULL;
    int error = vim_store_load(path, &objects, ret_message);
    if (error != 0) {
        return error;
    }
    bool found =
        objects->len > 0 && vim_is_a(g_ptr_array_index(objects, 0), &HostAutoStartManagerConfig_type);
    show(host, found ? vim_copy(g_ptr_array_index(objects, 0)) : config_new());
    return 0;
}

static bool is_one_of(const char *text, const char *const *words)
{
    while (*words != NULL && !same(text, *words)) {
        words++;
    }
    return *words != NULL;
}

static struct vim_fault *check_delay(const char *property, int32_t delay_s)
{
    return delay_s >= -1 && delay_s <= DELAY_MAX_S
               ? NULL
               : fault_invalid_argument(property, "%s: %d is not between -1 and %d seconds", property,
                                        delay_s, DELAY_MAX_S);
}

static struct vim_fault *check_defaults(const struct AutoStartDefaults *defaults)
{
    static const char *const actions[] = {"none", "powerOff", "suspend", "guestShutdown", NULL};
    struct vim_fault *fault = check_delay("spec.defaults.startDelay", defaults->startDelay.value);
    fault = fault == NULL ? check_delay("spec.defaults.stopDelay", defaults->stopDelay.value) : fault;
    if (fault == NULL && defaults->stopAction != NULL && !is_one_of(defaults->stopAction, actions)) {
        fault = fault_invalid_argument("spec.defaults.stopAction",
                                       "spec.defaults.stopAction: \"%s\" is not none, powerOff, suspend or "
                                       "guestShutdown",
                                       defaults->stopAction);
    }
    return fault;
}

static struct vim_fault *check_info(struct host *host, const struct AutoStartPowerInfo *info)
{
    static const char *const starts[] = {"none", "powerOn", NULL};
    static const char *const stops[] = {"none",          "powerOff",      "suspend",
                                        "guestShutdown", "systemDefault", NULL};
    VM_AUTO vm = vm_find(host, info->key.id);
    if (vm == NULL) {
        return vim_call_gone(&info->key);
    }
    if (info->startOrder != -1 && info->startOrder < 1) {
        return fault_invalid_argument("spec.powerInfo.startOrder",
                                      "spec.powerInfo.startOrder: %d is neither -1 nor 1 or more",
                                      info->startOrder);
    }
    if (!is_one_of(info->startAction, starts)) {
        return fault_invalid_argument("spec.powerInfo.startAction",
                                      "spec.powerInfo.startAction: \"%s\" is not none or powerOn",
                                      info->startAction);
    }
    if (!is_one_of(info->stopAction, stops)) {
        return fault_invalid_argument("spec.powerInfo.stopAction",
                                      "spec.powerInfo.stopAction: \"%s\" is not none, powerOff, suspend, "
                                      "guestShutdown or systemDefault",
                                      info->stopAction);
    }
    struct vim_fault *fault = check_delay("spec.powerInfo.startDelay", info->startDelay);
    return fault == NULL ? check_delay("spec.powerInfo.stopDelay", info->stopDelay) : fault;
}

/* What is set in spec replaces what is in config; a machine has one entry. */
static void apply(struct HostAutoStartManagerConfig *config, const struct HostAutoStartManagerConfig *spec)
{
    struct AutoStartDefaults *defaults = config->defaults;
    const struct AutoStartDefaults *wanted = spec->defaults;
    if (wanted != NULL) {
        defaults->enabled = wanted->enabled.set ? wanted->enabled : defaults->enabled;
        defaults->startDelay = wanted->startDelay.set ? wanted->startDelay : defaults->startDelay;
        defaults->stopDelay = wanted->stopDelay.set ? wanted->stopDelay : defaults->stopDelay;
        if (wanted->waitForHeartbeat.set) {
            defaults->waitForHeartbeat = wanted->waitForHeartbeat;
        }
        if (wanted->stopAction != NULL) {
            vim_set_string(&defaults->stopAction, wanted->stopAction);
        }
    }
    for (uint32_t i = 0; i < spec->powerInfo.n; i++) {
        const struct AutoStartPowerInfo *info = spec->powerInfo.items[i];
        for (uint32_t j = config->powerInfo.n; j > 0; j--) {
            if (vim_ref_equal(&config->powerInfo.items[j - 1]->key, &info->key)) {
                vim_array_remove(&config->powerInfo, &AutoStartPowerInfo_type, j - 1);
            }
        }
        vim_array_add_object(&config->powerInfo, vim_copy(info));
    }
}

/* Entries of machines that are no more have no meaning. */
static void forget_gone(struct host *host, struct HostAutoStartManagerConfig *config)
{
    for (uint32_t i = config->powerInfo.n; i > 0; i--) {
        VM_AUTO vm = vm_find(host, config->powerInfo.items[i - 1]->key.id);
        if (vm == NULL) {
            vim_array_remove(&config->powerInfo, &AutoStartPowerInfo_type, i - 1);
        }
    }
}

static struct vim_fault *reconfigure(struct vim_call *call, const struct ReconfigureAutostart_args *args)
{
    struct host *host = call->server->hooks_data;
    struct vim_fault *fault = args->spec->defaults != NULL ? check_defaults(args->spec->defaults) : NULL;
    for (uint32_t i = 0; i < args->spec->powerInfo.n && fault == NULL; i++) {
        fault = check_info(host, args->spec->powerInfo.items[i]);
    }
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *path = g_build_filename(host->state_dir, CONFIG_FILE, NULL);
    g_mutex_lock(&host->autostart); /* one change at a time: each is made of the one before */
    struct HostAutoStartManagerConfig *config = shown_config(host);
    forget_gone(host, config);
    apply(config, args->spec);
    g_autoptr(GPtrArray) objects = g_ptr_array_new();
    g_ptr_array_add(objects, config);
    int error = vim_store_save(path, objects);
    if (error == 0) {
        show(host, config);
    } else {
        vim_free(config);
    }
    g_mutex_unlock(&host->autostart);
    return error != 0 ? host_state_fault(error, CONFIG_FILE) : NULL;
}

/* ---- starting ---------------------------------------------------------------------------------------- */

static bool is_heard_of(struct vm *vm)
{
    vim_read_lock(vm->host->server->inventory);
    const struct vim_object *object = vim_inventory_find(vm->host->server->inventory, vm->id);
    bool heard = object != NULL &&
                 VIM_PROPERTIES(object, VirtualMachine)->guestHeartbeatStatus == ManagedEntityStatus_green;
    vim_read_unlock(vm->host->server->inventory);
    return heard;
}

/* Waits until it is time, or the condition holds; false when there is no more to wait for. */
static bool wait(struct host *host, struct vim_task *task, int seconds, bool (*condition)(struct vm *vm),
                 struct vm *vm)
{
    int64_t until_us = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    while (g_get_monotonic_time() < until_us && (condition == NULL || !condition(vm))) {
        if (g_atomic_int_get(&host->stopping) || vim_task_is_cancelled(task)) {
            return false;
        }
        g_usleep(POLL_US);
    }
    return true;
}

/* While machines are stopped because the machine goes down, none is started because it came up. */
static bool is_going_down(struct host *host)
{
    return g_atomic_int_get(&host->going_down) > 0;
}

static void start_machine(struct vim_task *task, struct vm *vm)
{
    VIM_FAULT_AUTO fault = vm_begin(vm, task);
    if (fault == NULL) {
        fault = vm_power_on(task, vm);
        vm_end(vm);
    }
    if (fault != NULL) {
        g_warning("%s does not start with the host: %s", vm->vmx_path, fault->message);
    }
}

static struct vim_fault *start_run(struct vim_task *task, void *data)
{
    struct host *host = data;
    struct HostAutoStartManagerConfig *config = shown_config(host);
    g_autoptr(GArray) steps = autostart_plan(config, false);
    bool go_on = true;
    for (guint i = 0; i < steps->len && go_on; i++) {
        const struct autostart_step *step = &g_array_index(steps, struct autostart_step, i);
        VM_AUTO vm = vm_find(host, step->vm.id);
        go_on = !is_going_down(host);
        if (!go_on || vm == NULL || vm_power_state(vm) == VirtualMachinePowerState_poweredOn) {
            continue;
        }
        start_machine(task, vm);
        vim_task_progress(task, (int)(100 * (i + 1) / steps->len));
        if (i + 1 < steps->len) {
            go_on = wait(host, task, step->delay_s, step->for_heartbeat ? is_heard_of : NULL, vm);
        }
    }
    vim_free(config);
    return go_on ? NULL : fault_request_canceled("machines were still to be started");
}

static char *boot_id(void)
{
    char *text = NULL;
    return g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL) ? g_strstrip(text)
                                                                                     : NULL;
}

static struct vim_fault *start_after_boot(struct vim_task *task, void *data)
{
    struct host *host = data;
    struct vim_fault *fault = start_run(task, data);
    g_autofree char *now = boot_id();
    if (fault == NULL && now != NULL) {
        int error = file_replace(host->state_fd, BOOT_ID_FILE, now, strlen(now), 0600);
        fault = error != 0 ? host_state_fault(error, BOOT_ID_FILE) : NULL;
    }
    return fault;
}

static struct vim_fault *start_task(struct vim_call *call, struct host *host, vim_task_fn run)
{
    struct vim_ref task = {0};
    const struct vim_task_spec spec = {
        .description_id = "HostAutoStartManager.autoPowerOn",
        .entity = host->about_host,
        .run = run,
        .data = host,
        .cancelable = true,
    };
    struct vim_fault *fault = vim_task_start(host->server, call, &spec, &task);
    vim_ref_clear(&task);
    return fault;
}

void host_autostart_begin(struct host *host)
{
    g_autofree char *now = boot_id();
    g_autofree char *last = NULL;
    if (file_read(host->state_fd, BOOT_ID_FILE, 256, &last, NULL) == 0 && g_strcmp0(now, last) == 0) {
        return;
    }
    VIM_FAULT_AUTO fault = start_task(NULL, host, start_after_boot);
    if (fault != NULL) {
        g_warning("machines do not start with the host: %s", fault->message);
    }
}

static struct vim_fault *power_on(struct vim_call *call, const struct AutoStartPowerOn_args *args)
{
    (void)args;
    return start_task(call, call->server->hooks_data, start_run);
}

/* ---- stopping ---------------------------------------------------------------------------------------- */

static bool is_off(struct vm *vm)
{
    return vm_power_state(vm) != VirtualMachinePowerState_poweredOn;
}

static struct vim_fault *stop_machine(struct vim_task *task, struct vm *vm, const struct autostart_step *step)
{
    if (same(step->action, "guestShutdown")) {
        VIM_FAULT_AUTO refused = vm_shutdown_guest(vm, NULL);
        if (refused != NULL) {
            g_warning("the guest of %s, asked to shut down: %s", vm->vmx_path, refused->message);
        }
        /* Also after an error: an agent that is ended by the shutdown itself tells of a failure. */
        if (wait(vm->host, task, step->delay_s, is_off, vm) && is_off(vm)) {
            return NULL;
        }
    }
    struct vim_fault *fault = vm_begin(vm, task);
    if (fault != NULL) {
        return fault;
    }
    if (!is_off(vm)) {
        fault = same(step->action, "suspend") ? vm_suspend(task, vm) : vm_power_off(task, vm);
    }
    vm_end(vm);
    return fault;
}

static struct vim_fault *stop_run(struct vim_task *task, struct host *host)
{
    struct HostAutoStartManagerConfig *config = shown_config(host);
    g_autoptr(GArray) steps = autostart_plan(config, true);
    for (guint i = 0; i < steps->len && !vim_task_is_cancelled(task); i++) {
        const struct autostart_step *step = &g_array_index(steps, struct autostart_step, i);
        VM_AUTO vm = vm_find(host, step->vm.id);
        if (vm == NULL || is_off(vm)) {
            continue;
        }
        VIM_FAULT_AUTO fault = stop_machine(task, vm, step);
        if (fault != NULL) {
            g_warning("%s does not stop with the host: %s", vm->vmx_path, fault->message);
        }
        vim_task_progress(task, (int)(100 * (i + 1) / steps->len));
    }
    vim_free(config);
    return NULL;
}

struct stopping {
    struct host *host;
    int *done; /* atomic, set when the task has ended; NULL: nobody waits */
};

static struct vim_fault *stop_task_run(struct vim_task *task, void *data)
{
    return stop_run(task, ((struct stopping *)data)->host);
}

/* Also when the task has never run. */
static void stopping_free(void *data)
{
    struct stopping *stopping = data;
    if (stopping->done != NULL) {
        g_atomic_int_set(stopping->done, 1);
    }
    g_free(stopping);
}

static struct vim_fault *stop_task(struct vim_call *call, struct host *host, int *done)
{
    struct vim_ref task = {0};
    struct stopping *stopping = g_new(struct stopping, 1);
    *stopping = (struct stopping){.host = host, .done = done};
    const struct vim_task_spec spec = {
        .description_id = "HostAutoStartManager.autoPowerOff",
        .entity = host->about_host,
        .run = stop_task_run,
        .data = stopping,
        .data_free = stopping_free,
        .cancelable = true,
    };
    struct vim_fault *fault = vim_task_start(host->server, call, &spec, &task);
    vim_ref_clear(&task);
    return fault;
}

void host_autostart_stop(struct host *host)
{
    int done = 0;
    g_atomic_int_inc(&host->going_down);
    VIM_FAULT_AUTO fault = stop_task(NULL, host, &done);
    if (fault != NULL) {
        g_warning("machines do not stop with the host: %s", fault->message);
    }
    while (fault == NULL && g_atomic_int_get(&done) == 0) {
        g_usleep(POLL_US);
    }
    g_atomic_int_add(&host->going_down, -1);
}

static struct vim_fault *power_off(struct vim_call *call, const struct AutoStartPowerOff_args *args)
{
    (void)args;
    return stop_task(call, call->server->hooks_data, NULL);
}

const struct HostAutoStartManager_methods host_autostart_methods = {
    .ReconfigureAutostart = reconfigure,
    .AutoStartPowerOn = power_on,
    .AutoStartPowerOff = power_off,
};
