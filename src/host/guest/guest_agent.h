// SPDX-License-Identifier: Apache-2.0
/*
 * The agents in the guests of a host: who runs has a channel, whose agent is asked now and then for what the guest
 * shows (host/guest/guest_state.c) and at once for what somebody wants of it.
 *
 * All functions are safe from any thread; those that say so block.
 */
#pragma once

#include "host/vm/vm.h"

struct guest_agents;
struct json_object;

/* At the start of a host, before machines are adopted; at its end, before the hypervisor goes; and when nothing
 * calls any more. */
void guest_agents_start(struct host *host);
void guest_agents_stop(struct host *host);
void guest_agents_free(struct host *host);

/* The machine runs (or was found running): its agent is looked for. slept: the guest's clock stood, as after a
 * resume, and is set. Then: it was reset; it does not run any more. Called by vm_set_power_state and by events. */
void guest_agent_connect(struct vm *vm, bool slept);
void guest_agent_restart(struct vm *vm);
void guest_agent_disconnect(struct vm *vm);

/* Whether an agent answers now. */
bool guest_agent_is_running(struct vm *vm);
/* A number for the time from the machine's power-on, or this host's finding it, to its power-off; 0: it is off. */
uint64_t guest_agent_run(struct vm *vm);

/* A command of the agent; blocks. Arguments, errors and outputs as in guest_channel_execute. */
int guest_agent_execute(struct vm *vm, const char *command, struct json_object *arguments, int timeout_ms,
                        struct json_object **ret, char **ret_message);
/* ToolsUnavailable, NotSupported (the agent has no such command), Timedout or SystemError for what
 * guest_agent_execute returned. */
struct vim_fault *guest_agent_fault(int error, const char *message);

/*
 * Freezes the guest's file systems (writes wait) so that an image of its disks is consistent, and lets
 * go of them again. Blocks: the freeze for up to GUEST_FREEZE_TIMEOUT_MS, usually well below a second.
 *
 * Freeze: ToolsUnavailable when no agent answers; FilesystemQuiesceFault when it could not: nothing is frozen then.
 * Thaw: to be called after every freeze that returned NULL, whatever happened. FilesystemQuiesceFault: the guest had
 * been thawed before (an agent lets go after GUEST_FROZEN_MAX_MS, or somebody inside did), so what
 * was taken of its disks is not consistent. A host that dies in between thaws when it finds the guest again.
 */
enum {
    GUEST_FREEZE_TIMEOUT_MS = 30000,
    GUEST_FROZEN_MAX_MS = 60000,
};
struct vim_fault *guest_agent_fsfreeze(struct vm *vm);
struct vim_fault *guest_agent_fsthaw(struct vm *vm);
