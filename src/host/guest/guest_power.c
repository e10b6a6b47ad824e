// SPDX-License-Identifier: Apache-2.0
/*
 * Shutting down and restarting by the guest's own means: its agent is asked, and the call returns when the
 * guest has taken notice. Shutting down falls back to the power button where no agent answers; a restart has
 * no such button. The virtual hardware has no standby, so StandbyGuest is not supported.
 */
#include <errno.h>
#include <json-c/json.h>

#include "host/guest/guest_agent.h"
#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/session.h"
#include "vim/value.h"

enum {
    /* The agent answers to a shutdown only when it is refused. */
    REFUSAL_MS = 1500,
};

static void set_guest_state(struct vm *vm, const char *state)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find(inventory, vm->id);
    if (object != NULL &&
        VIM_PROPERTIES(object, VirtualMachine)->runtime->powerState == VirtualMachinePowerState_poweredOn) {
        vim_set_text(object, "guest.guestState", state);
    }
    vim_write_unlock(inventory);
}

/* -ENOTCONN: there is no agent. */
static int ask(struct vm *vm, const char *mode, char **ret_message)
{
    struct json_object *arguments = json_object_new_object();
    json_object_object_add(arguments, "mode", json_object_new_string(mode));
    int error = guest_agent_execute(vm, "guest-shutdown", arguments, REFUSAL_MS, NULL, ret_message);
    /* No answer is its yes; so is a machine that was quicker than the time-out. */
    return error == -ETIMEDOUT || error == -ECONNRESET ? 0 : error;
}

static struct vim_fault *begin(struct vim_call *call, struct vm **ret)
{
    struct vim_fault *fault = vm_of_call(call, ret);
    return fault == NULL ? vm_require_power(*ret, VirtualMachinePowerState_poweredOn) : fault;
}

/* Posts an event about the machine in the name of who called. */
#define GUEST_EVENT(vm, call, type, ...)                                              \
    do {                                                                              \
        struct vim_ref about_ = vm_reference(vm);                                     \
        vim_event_post_for((vm)->host->server, (struct Event *)type##_new(), &about_, \
                           (call)->session->user_name, __VA_ARGS__);                  \
    } while (0)

struct vim_fault *vm_shutdown_guest(struct vm *vm, const char *user)
{
    g_autofree char *message = NULL;
    int error = ask(vm, "powerdown", &message);
    if (error == -ENOTCONN || error == -ENOSYS) {
        g_clear_pointer(&message, g_free);
        error = hypervisor_vm_press_power(vm->host->hypervisor, vm->id, &message);
        if (error != 0) {
            return fault_system_error(g_strerror(-error), "%s",
                                      message != NULL ? message : g_strerror(-error));
        }
    }
    if (error != 0) {
        return guest_agent_fault(error, message);
    }
    set_guest_state(vm, "shuttingDown");
    struct vim_ref about = vm_reference(vm);
    vim_event_post_for(vm->host->server, (struct Event *)VmGuestShutdownEvent_new(), &about, user,
                       "the guest of %s was asked to shut down", vm->vmx_path);
    return NULL;
}

struct vim_fault *vm_shutdown_guest_call(struct vim_call *call, const struct ShutdownGuest_args *args)
{
    (void)args;
    VM_AUTO vm = NULL;
    struct vim_fault *fault = begin(call, &vm);
    return fault == NULL ? vm_shutdown_guest(vm, call->session->user_name) : fault;
}

struct vim_fault *vm_reboot_guest_call(struct vim_call *call, const struct RebootGuest_args *args)
{
    (void)args;
    VM_AUTO vm = NULL;
    g_autofree char *message = NULL;
    struct vim_fault *fault = begin(call, &vm);
    if (fault != NULL) {
        return fault;
    }
    int error = ask(vm, "reboot", &message);
    if (error != 0) {
        return guest_agent_fault(error, message);
    }
    set_guest_state(vm, "resetting");
    GUEST_EVENT(vm, call, VmGuestRebootEvent, "the guest of %s was asked to restart", vm->vmx_path);
    return NULL;
}
