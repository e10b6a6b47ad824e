// SPDX-License-Identifier: Apache-2.0
/*
 * Tells whether KVM on this machine can run an ordinary guest, without ever hanging the caller.
 *
 * Called once by the QEMU backend when it opens. That /dev/kvm opens and creates virtual machines says
 * little: a page-table based KVM does so too, runs firmware through its instruction emulator, and then
 * burns a processor for ever on the first real kernel. So the probe runs a few instructions that every
 * 64-bit kernel needs, in a child process with a deadline.
 */
#pragma once

/* What the child runs. Only async-signal-safe calls are allowed in it. The result is the exit status:
 * 0 is success, 1..125 is the caller's own. */
typedef int (*kvm_probe_fn)(const void *data);

/*
 * Runs fn in a forked child and kills it after deadline_ms. Returns its exit status (0..125),
 * -ETIMEDOUT when the deadline passed, -EIO when a signal ended it, or another negative errno when there
 * could be no child. Blocks for about deadline_ms at most. Any thread.
 */
int kvm_probe_run(kvm_probe_fn fn, const void *data, int deadline_ms);

/*
 * Returns 0 when an ordinary 64-bit guest runs on device ("/dev/kvm"), else a negative errno and in
 * *ret_reason (g_free; may be NULL) what was seen: -ENOENT or -EACCES when the device does not open,
 * -ENOTSUP when it does not do what a kernel needs, -ETIMEDOUT when it took longer than deadline_ms.
 */
int kvm_probe(const char *device, int deadline_ms, char **ret_reason);
