// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest shows of itself (VirtualMachine.guest and what is taken from it), asked of its agent now and then.
 *
 * A poll belongs to one running machine. Its functions run on the thread of the channels, one at a time,
 * and only do memory work.
 */
#pragma once

#include "host/vm/vm.h"

struct guest_channel;
struct guest_poll;
struct vim_object;

/* Shows that nothing is heard of a guest, and why: guestState. (write lock) */
void guest_state_reset(struct vim_object *object, const char *guest_state);

/* slept: the guest's clock stood (a resume, a revert), so it is set once. */
struct guest_poll *guest_poll_new(struct vm *vm, bool slept);
void guest_poll_free(struct guest_poll *poll);
/* Where to ask, borrowed; before any of the next three is called for it. */
void guest_poll_set_channel(struct guest_poll *poll, struct guest_channel *channel);
/* The agent answers; it does not any more (expected: the guest was reset); it is time (frozen: it may be asked for a
 * sign of life only). */
void guest_poll_ready(struct guest_poll *poll);
void guest_poll_lost(struct guest_poll *poll, bool expected);
void guest_poll_wake(struct guest_poll *poll, bool frozen);
