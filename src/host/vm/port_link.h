// SPDX-License-Identifier: Apache-2.0
/*
 * Serial ports whose far end the host reaches: it calls (direction or endpoint "client"), and it encrypts.
 *
 *   guest - QEMU - pair of sockets - link, a thread of ours - [TLS] - TCP or pipe - far end
 *
 * A link calls, or waits to be called, and again whenever a connection has ended; the guest never waits for it:
 * what it says while nobody is connected is lost. When the host's server restarts, its links are made anew.
 * Plain servers need no link: QEMU has the listening socket.
 *
 * All functions are safe from any thread; only port_links_stop waits.
 */
#pragma once

#include "host/vm/vm.h"

struct port_links;

/* At the start of a host, before machines are adopted; at its end, before the hypervisor goes; and when nothing
 * calls any more. */
void port_links_start(struct host *host);
void port_links_stop(struct host *host);
void port_links_free(struct host *host);

/* The machine runs, or the port was connected: a link for each that needs one. One that is there stays as it is. */
void port_links_begin(struct vm *vm);
void port_link_begin(struct vm *vm, const struct VirtualDevice *device);
/* The port is changed, or the machine does not run any more: when these return nothing is connected anew. */
void port_link_end(struct vm *vm, int32_t device_key);
void port_links_end(struct vm *vm);
