// SPDX-License-Identifier: Apache-2.0
/*
 * The KVM probe never hangs and never believes a device only because it opens.
 */
#include "hypervisor/qemu/kvm_probe.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <unistd.h>

static int child_returns(const void *data)
{
    return *(const int *)data;
}

static int child_hangs(const void *data)
{
    (void)data;
    while (pause() != 0) {
    }
    return 0;
}

static int child_crashes(const void *data)
{
    (void)data;
    raise(SIGKILL);
    return 0;
}

static void test_run_returns_status(void)
{
    int status = 7;

    g_assert_cmpint(kvm_probe_run(child_returns, &status, 10000), ==, 7);
    status = 0;
    g_assert_cmpint(kvm_probe_run(child_returns, &status, 10000), ==, 0);
}

static void test_run_kills_at_deadline(void)
{
    g_assert_cmpint(kvm_probe_run(child_hangs, NULL, 50), ==, -ETIMEDOUT);
}

static void test_run_reports_crash(void)
{
    g_assert_cmpint(kvm_probe_run(child_crashes, NULL, 10000), ==, -EIO);
}

static void test_no_device(void)
{
    g_autofree char *reason = NULL;

    g_assert_cmpint(kvm_probe("/nonexistent/kvm", 1000, &reason), ==, -ENOENT);
    g_assert_nonnull(reason);
}

static void test_not_kvm(void)
{
    g_autofree char *reason = NULL;

    g_assert_cmpint(kvm_probe("/dev/null", 1000, &reason), ==, -ENOTSUP);
    g_assert_nonnull(reason);
}

/* Whatever this machine has, there is an answer, and a reason exactly when it is no. */
static void test_this_machine(void)
{
    g_autofree char *reason = NULL;

    int error = kvm_probe("/dev/kvm", 500, &reason);
    g_test_message("KVM: %d %s", error, reason != NULL ? reason : "usable");
    g_assert_cmpint(error, <=, 0);
    g_assert_true((error != 0) == (reason != NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kvm_probe/run/status", test_run_returns_status);
    g_test_add_func("/kvm_probe/run/deadline", test_run_kills_at_deadline);
    g_test_add_func("/kvm_probe/run/crash", test_run_reports_crash);
    g_test_add_func("/kvm_probe/no_device", test_no_device);
    g_test_add_func("/kvm_probe/not_kvm", test_not_kvm);
    g_test_add_func("/kvm_probe/this_machine", test_this_machine);
    return g_test_run();
}
