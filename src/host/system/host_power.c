// SPDX-License-Identifier: Apache-2.0
/*
 * HostSystem: maintenance mode, reboot and shutdown.
 *
 *   in use --EnterMaintenanceMode: no more power-ons--> entering --all machines are off--> in maintenance
 *     ^---------cancelled, or the time is over-------------'                                    |
 *     '-------------------------------------ExitMaintenanceMode---------------------------------'
 *
 * The file STATE/maintenance is made before maintenance mode is shown and goes before it is not shown any more.
 * The machine's own power is in the hands of the program that --power-program names; without one, the methods
 * are not supported.
 */
#include "host/system/host_power.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/value.h"

#define MAINTENANCE_FILE "maintenance"

enum { POLL_US = 200000 };

static void show(struct host *host, bool in_maintenance)
{
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_ID);
    vim_set_bool(object, "runtime.inMaintenanceMode", in_maintenance);
    vim_set_bool(object, "summary.runtime.inMaintenanceMode", in_maintenance);
    vim_write_unlock(host->server->inventory);
}

void host_maintenance_load(struct host *host)
{
    if (faccessat(host->state_fd, MAINTENANCE_FILE, F_OK, 0) == 0) {
        g_atomic_int_set(&host->maintenance, HOST_IN_MAINTENANCE);
        show(host, true);
    }
}

struct vim_fault *host_power_on_begin(struct host *host)
{
    g_atomic_int_inc(&host->powering_on);
    if (g_atomic_int_get(&host->maintenance) == HOST_IN_USE) {
        return NULL;
    }
    host_power_on_end(host);
    return fault_invalid_state("the host is in maintenance mode, or enters it");
}

void host_power_on_end(struct host *host)
{
    g_atomic_int_add(&host->powering_on, -1);
}

static bool any_machine_on(struct host *host)
{
    bool on = g_atomic_int_get(&host->powering_on) > 0;
    vim_read_lock(host->server->inventory);
    GPtrArray *objects = vim_inventory_objects(host->server->inventory);
    for (guint i = 0; i < objects->len && !on; i++) {
        const struct vim_object *object = g_ptr_array_index(objects, i);
        on =
            object->ref.type == &VirtualMachine_type &&
            VIM_PROPERTIES(object, VirtualMachine)->runtime->powerState == VirtualMachinePowerState_poweredOn;
    }
    vim_read_unlock(host->server->inventory);
    return on;
}

#define HOST_EVENT(host, task, type, ...)                                                 \
    vim_event_post_for((host)->server, (struct Event *)type##_new(), &(host)->about_host, \
                       (task) != NULL ? vim_task_user(task) : NULL, __VA_ARGS__)

/* ---- maintenance mode -------------------------------------------------------------------------------- */

struct entering {
    struct host *host;
    int timeout_s; /* 0 or less: no limit */
};

static struct vim_fault *wait_for_machines(struct vim_task *task, const struct entering *entering)
{
    int64_t until_us = g_get_monotonic_time() + entering->timeout_s * G_TIME_SPAN_SECOND;
    while (any_machine_on(entering->host)) {
        if (vim_task_is_cancelled(task)) {
            return fault_request_canceled("entering maintenance mode was cancelled");
        }
        if (entering->timeout_s > 0 && g_get_monotonic_time() >= until_us) {
            return fault_timedout("virtual machines are still on after %d s", entering->timeout_s);
        }
        g_usleep(POLL_US);
    }
    return NULL;
}

static struct vim_fault *enter_run(struct vim_task *task, void *data)
{
    struct entering *entering = data;
    struct host *host = entering->host;
    HOST_EVENT(host, task, EnteringMaintenanceModeEvent, "%s enters maintenance mode", host->name);
    struct vim_fault *fault = wait_for_machines(task, entering);
    if (fault == NULL) {
        int error = file_replace(host->state_fd, MAINTENANCE_FILE, "", 0, 0600);
        fault = error != 0 ? host_state_fault(error, "the host's state") : NULL;
    }
    if (fault != NULL) {
        g_atomic_int_set(&host->maintenance, HOST_IN_USE);
        HOST_EVENT(host, task, CanceledHostOperationEvent, "%s does not enter maintenance mode: %s",
                   host->name, fault->message);
        return fault;
    }
    g_atomic_int_set(&host->maintenance, HOST_IN_MAINTENANCE);
    show(host, true);
    HOST_EVENT(host, task, EnteredMaintenanceModeEvent, "%s is in maintenance mode", host->name);
    return NULL;
}

static void entering_free(void *data)
{
    struct entering *entering = data;
    /* A task that was cancelled in the queue has never run. */
    g_atomic_int_compare_and_exchange(&entering->host->maintenance, HOST_ENTERING_MAINTENANCE, HOST_IN_USE);
    g_free(entering);
}

static struct vim_fault *enter(struct vim_call *call, const struct EnterMaintenanceMode_Task_args *args,
                               struct EnterMaintenanceMode_Task_result *ret)
{
    struct host *host = call->server->hooks_data;
    if (!g_atomic_int_compare_and_exchange(&host->maintenance, HOST_IN_USE, HOST_ENTERING_MAINTENANCE)) {
        return fault_invalid_state("the host is in maintenance mode already, or enters it");
    }
    struct entering *entering = g_new0(struct entering, 1);
    entering->host = host;
    entering->timeout_s = args->timeout;
    const struct vim_task_spec spec = {
        .description_id = "HostSystem.enterMaintenanceMode",
        .entity = host->about_host,
        .run = enter_run,
        .data = entering,
        .data_free = entering_free,
        .cancelable = true,
    };
    return vim_task_start(call->server, call, &spec, &ret->returnval);
}

static struct vim_fault *exit_run(struct vim_task *task, void *data)
{
    struct host *host = data;
    if (g_atomic_int_get(&host->maintenance) != HOST_IN_MAINTENANCE) {
        return fault_invalid_state("the host is not in maintenance mode");
    }
    int error = file_remove(host->state_fd, MAINTENANCE_FILE);
    if (error != 0 && error != -ENOENT) {
        return host_state_fault(error, "the host's state");
    }
    g_atomic_int_set(&host->maintenance, HOST_IN_USE);
    show(host, false);
    HOST_EVENT(host, task, ExitMaintenanceModeEvent, "%s is in use again", host->name);
    return NULL;
}

static struct vim_fault *leave(struct vim_call *call, const struct ExitMaintenanceMode_Task_args *args,
                               struct ExitMaintenanceMode_Task_result *ret)
{
    struct host *host = call->server->hooks_data;
    const struct vim_task_spec spec = {
        .description_id = "HostSystem.exitMaintenanceMode",
        .entity = host->about_host,
        .run = exit_run,
        .data = host,
    };
    (void)args; /* it takes no time */
    return vim_task_start(call->server, call, &spec, &ret->returnval);
}

/* ---- power ------------------------------------------------------------------------------------------- */

struct powering {
    struct host *host;
    const char *word; /* what the program is told */
};

static void unblock_signals(void *data)
{
    sigset_t none;
    (void)data;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

static struct vim_fault *power_run(struct vim_task *task, void *data)
{
    const struct powering *powering = data;
    struct host *host = powering->host;
    const char *const argv[] = {host->power_program, powering->word, NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *words = NULL;
    int status = 0;
    struct HostShutdownEvent *event = HostShutdownEvent_new();
    event->reason = g_strdup(powering->word);
    vim_event_post_for(host->server, (struct Event *)event, &host->about_host, vim_task_user(task),
                       "%s: %s by %s", host->name, powering->word, vim_task_user(task));
    host_autostart_stop(host);
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, unblock_signals, NULL, NULL,
                      &words, &status, &error)) {
        return fault_system_error("power program", "%s", error->message);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fault_system_error("power program", "%s %s: %s", host->power_program, powering->word,
                                  words != NULL && g_strchomp(words)[0] != '\0' ? words : "it failed");
    }
    return NULL;
}

static struct vim_fault *power(struct vim_call *call, bool force, const char *word, const char *description,
                               struct vim_ref *ret)
{
    struct host *host = call->server->hooks_data;
    if (host->power_program == NULL) {
        return fault_not_supported("this host was started without --power-program, so it has no way to %s "
                                   "the machine",
                                   word);
    }
    if (!force && g_atomic_int_get(&host->maintenance) != HOST_IN_MAINTENANCE) {
        return fault_invalid_state("the host is not in maintenance mode, and force is not set");
    }
    struct powering *powering = g_new0(struct powering, 1);
    powering->host = host;
    powering->word = word;
    const struct vim_task_spec spec = {
        .description_id = description,
        .entity = host->about_host,
        .run = power_run,
        .data = powering,
        .data_free = g_free,
    };
    return vim_task_start(call->server, call, &spec, ret);
}

static struct vim_fault *reboot_host(struct vim_call *call, const struct RebootHost_Task_args *args,
                                     struct RebootHost_Task_result *ret)
{
    return power(call, args->force, "reboot", "HostSystem.reboot", &ret->returnval);
}

static struct vim_fault *shutdown_host(struct vim_call *call, const struct ShutdownHost_Task_args *args,
                                       struct ShutdownHost_Task_result *ret)
{
    return power(call, args->force, "poweroff", "HostSystem.shutdown", &ret->returnval);
}

static struct vim_fault *hardware_uptime(struct vim_call *call,
                                         const struct RetrieveHardwareUptime_args *args,
                                         struct RetrieveHardwareUptime_result *ret)
{
    struct host *host = call->server->hooks_data;
    (void)args;
    ret->returnval = (vim_now_us(call->server) - host->boot_time_us) / G_USEC_PER_SEC;
    return NULL;
}

const struct HostSystem_methods host_system_methods = {
    .EnterMaintenanceMode_Task = enter,
    .ExitMaintenanceMode_Task = leave,
    .RebootHost_Task = reboot_host,
    .ShutdownHost_Task = shutdown_host,
    .RetrieveHardwareUptime = hardware_uptime,
};
