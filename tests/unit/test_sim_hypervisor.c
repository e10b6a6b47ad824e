// SPDX-License-Identifier: Apache-2.0
/*
 * The simulated hypervisor: life cycle and its events, saved states, determinism of the model, many virtual
 * machines, and what the common interface refuses.
 */
#include "hypervisor/hypervisor.h"
#include "hypervisor/sim/sim_model.h"
#include "vim/types.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture {
    struct hypervisor *hv;
    struct VirtualMachineConfigInfo *config;
    int64_t now_ms;
    GMutex lock;
    GCond changed;
    GString *log; /* with lock: "id:kind/state;" for each event */
};

static int64_t fixture_clock_ms(void *data)
{
    return ((struct fixture *)data)->now_ms;
}

static void on_event(void *data, const char *id, const struct hypervisor_event *event)
{
    struct fixture *fixture = data;

    g_mutex_lock(&fixture->lock);
    g_string_append_printf(fixture->log, "%s:%d/%d;", id, event->kind, event->state);
    g_cond_broadcast(&fixture->changed);
    g_mutex_unlock(&fixture->lock);
}

static void set_up(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    g_mutex_init(&fixture->lock);
    g_cond_init(&fixture->changed);
    fixture->log = g_string_new(NULL);
    fixture->now_ms = 1000000;
    fixture->config = vim_new(&VirtualMachineConfigInfo_type);
    vim_set_string(&fixture->config->uuid, "42000000-0000-0000-0000-000000000001");
    fixture->config->hardware = vim_new(&VirtualHardware_type);
    fixture->config->hardware->numCPU = 2;
    fixture->config->hardware->memoryMB = 1024;
    struct hypervisor_options options = {
        .event = on_event,
        .event_data = fixture,
        .clock_ms = fixture_clock_ms,
        .clock_data = fixture,
    };
    g_assert_cmpint(hypervisor_sim_new(&options, &fixture->hv, NULL), ==, 0);
}

static void tear_down(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    hypervisor_free(fixture->hv);
    vim_free(fixture->config);
    g_string_free(fixture->log, TRUE);
    g_mutex_clear(&fixture->lock);
    g_cond_clear(&fixture->changed);
}

static int start(struct fixture *fixture, const char *id, int state_fd)
{
    struct hypervisor_start what = {
        .id = id, .config = fixture->config, .state_fd = state_fd, .log_fd = -1, .lock_fd = -1};
    return hypervisor_vm_start(fixture->hv, &what, NULL);
}

/* Waits until the log ends with text, then checks all of it. */
static void expect_log(struct fixture *fixture, const char *text)
{
    int64_t end_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    g_mutex_lock(&fixture->lock);
    while (fixture->log->len < strlen(text) && g_cond_wait_until(&fixture->changed, &fixture->lock, end_us)) {
    }
    g_assert_cmpstr(fixture->log->str, ==, text);
    g_mutex_unlock(&fixture->lock);
}

static void test_life(struct fixture *fixture, gconstpointer data)
{
    enum hypervisor_vm_state state;
    (void)data;

    g_assert_cmpint(hypervisor_vm_get_state(fixture->hv, "vm-1", &state), ==, -ENOENT);
    g_assert_cmpint(start(fixture, "vm-1", -1), ==, 0);
    g_assert_cmpint(start(fixture, "vm-1", -1), ==, -EEXIST);
    g_assert_cmpint(hypervisor_vm_get_state(fixture->hv, "vm-1", &state), ==, 0);
    g_assert_cmpint(state, ==, HYPERVISOR_VM_RUNNING);
    g_assert_cmpint(hypervisor_vm_pause(fixture->hv, "vm-1", NULL), ==, 0);
    g_assert_cmpint(hypervisor_vm_unpause(fixture->hv, "vm-1", NULL), ==, 0);
    g_assert_cmpint(hypervisor_vm_reset(fixture->hv, "vm-1", NULL), ==, 0);
    g_assert_cmpint(hypervisor_vm_stop(fixture->hv, "vm-1", NULL), ==, 0);
    g_assert_cmpint(hypervisor_vm_stop(fixture->hv, "vm-1", NULL), ==, -ENOENT);
    g_assert_cmpint(start(fixture, "vm-1", -1), ==, 0);
    g_assert_cmpint(hypervisor_vm_press_power(fixture->hv, "vm-1", NULL), ==, 0);
    g_assert_cmpint(hypervisor_vm_get_state(fixture->hv, "vm-1", &state), ==, -ENOENT);
    expect_log(fixture, "vm-1:1/1;vm-1:1/2;vm-1:1/1;vm-1:2/1;vm-1:5/3;vm-1:1/1;vm-1:3/1;vm-1:5/3;");
}

static void test_refusals(struct fixture *fixture, gconstpointer data)
{
    g_autofree char *message = NULL;
    int fd;
    (void)data;

    g_assert_cmpint(start(fixture, "", -1), ==, -EINVAL);
    g_assert_cmpint(start(fixture, "../x", -1), ==, -EINVAL);
    g_assert_cmpint(start(fixture, "-x", -1), ==, -EINVAL);
    g_assert_cmpint(hypervisor_vm_reset(fixture->hv, "vm-1", &message), ==, -ENOENT);
    g_assert_nonnull(message);
    g_clear_pointer(&message, g_free);
    g_assert_cmpint(start(fixture, "vm-1", -1), ==, 0);
    g_assert_cmpint(hypervisor_vm_open_screen(fixture->hv, "vm-1", &fd, &message), ==, -ENOTSUP);
    g_assert_nonnull(message);
    fixture->config->hardware->numCPU = 0;
    g_assert_cmpint(start(fixture, "vm-2", -1), ==, -EINVAL);
}

static void test_stats(struct fixture *fixture, gconstpointer data)
{
    struct hypervisor_stats before, later, paused, resumed;
    (void)data;

    g_assert_cmpint(start(fixture, "vm-1", -1), ==, 0);
    fixture->now_ms += 60000;
    g_assert_cmpint(hypervisor_vm_get_stats(fixture->hv, "vm-1", &before), ==, 0);
    g_assert_cmpint(before.uptime_ms, ==, 60000);
    g_assert_cmpint(before.cpu_time_ns, >, 0);
    g_assert_cmpint(before.cpu_time_ns, <, 2 * 60000 * INT64_C(1000000));
    g_assert_cmpint(before.host_memory_bytes, >, 0);
    g_assert_cmpint(before.host_memory_bytes, <, INT64_C(1024) << 20);
    fixture->now_ms += 60000;
    g_assert_cmpint(hypervisor_vm_get_stats(fixture->hv, "vm-1", &later), ==, 0);
    g_assert_cmpint(later.cpu_time_ns, >, before.cpu_time_ns);

    g_assert_cmpint(hypervisor_vm_pause(fixture->hv, "vm-1", NULL), ==, 0);
    fixture->now_ms += 60000;
    g_assert_cmpint(hypervisor_vm_get_stats(fixture->hv, "vm-1", &paused), ==, 0);
    g_assert_cmpint(paused.cpu_time_ns, ==, later.cpu_time_ns);
    g_assert_cmpint(hypervisor_vm_unpause(fixture->hv, "vm-1", NULL), ==, 0);
    fixture->now_ms += 1;
    g_assert_cmpint(hypervisor_vm_get_stats(fixture->hv, "vm-1", &resumed), ==, 0);
    g_assert_cmpint(resumed.cpu_time_ns - paused.cpu_time_ns, <=, 2 * 1000000);
}

/* Over two hours in odd steps: never less than before, never more than the processors can give. */
static void test_model(void)
{
    for (uint32_t seed = 0; seed < 50; seed++) {
        int64_t last = 0;
        for (int64_t ms = 0; ms < 7200000; ms += 7919) {
            int64_t used = sim_model_cpu_time_ns(seed, 1, ms);
            g_assert_cmpint(used, >=, last);
            g_assert_cmpint(used - last, <=, 7919 * INT64_C(1000000));
            g_assert_cmpint(sim_model_memory_bytes(seed, 100, ms), <=, INT64_C(100) << 20);
            last = used;
        }
        g_assert_cmpint(last, ==, sim_model_cpu_time_ns(seed, 1, 7200000 / 7919 * 7919));
    }
}

static bool no_progress(void *data, int percent)
{
    (void)data;
    (void)percent;
    return false;
}

static void test_suspend(struct fixture *fixture, gconstpointer data)
{
    struct hypervisor_stats before, after;
    enum hypervisor_vm_state state;
    int fd = memfd_create("state", MFD_CLOEXEC), junk = memfd_create("junk", MFD_CLOEXEC);
    (void)data;

    g_assert_cmpint(start(fixture, "vm-1", -1), ==, 0);
    fixture->now_ms += 60000;
    g_assert_cmpint(hypervisor_vm_get_stats(fixture->hv, "vm-1", &before), ==, 0);
    g_assert_cmpint(hypervisor_vm_suspend(fixture->hv, "vm-1", fd, no_progress, NULL, NULL), ==, -ECANCELED);
    g_assert_cmpint(hypervisor_vm_get_state(fixture->hv, "vm-1", &state), ==, 0);
    g_assert_cmpint(hypervisor_vm_suspend(fixture->hv, "vm-1", fd, NULL, NULL, NULL), ==, 0);
    g_assert_cmpint(hypervisor_vm_get_state(fixture->hv, "vm-1", &state), ==, -ENOENT);

    g_assert_cmpint(start(fixture, "vm-1", junk), ==, -EINVAL);
    g_assert_cmpint(start(fixture, "vm-1", fd), ==, 0);
    g_assert_cmpint(hypervisor_vm_get_stats(fixture->hv, "vm-1", &after), ==, 0);
    g_assert_cmpint(after.cpu_time_ns, ==, before.cpu_time_ns);
    vim_set_string(&fixture->config->uuid, "42000000-0000-0000-0000-000000000002");
    g_assert_cmpint(start(fixture, "vm-2", fd), ==, -EINVAL);
    close(fd);
    close(junk);
}

static void test_screenshot(struct fixture *fixture, gconstpointer data)
{
    static const uint8_t end[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    uint8_t png[8192] = {0};
    int fd = memfd_create("png", MFD_CLOEXEC);
    (void)data;

    g_assert_cmpint(start(fixture, "vm-1", -1), ==, 0);
    g_assert_cmpint(hypervisor_vm_screenshot(fixture->hv, "vm-1", fd, NULL), ==, 0);
    ssize_t n = pread(fd, png, sizeof(png), 0);
    g_assert_cmpint(n, >, 100);
    g_assert_cmpint(memcmp(png, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16), ==, 0);
    g_assert_cmpint(memcmp(png + n - sizeof(end), end, sizeof(end)), ==, 0); /* its CRC is well known */
    close(fd);
}

static void test_many(struct fixture *fixture, gconstpointer data)
{
    enum hypervisor_vm_state state;
    (void)data;

    for (int i = 0; i < 10000; i++) {
        g_autofree char *id = g_strdup_printf("vm-%d", i);
        g_assert_cmpint(start(fixture, id, -1), ==, 0);
    }
    g_assert_cmpint(hypervisor_vm_get_state(fixture->hv, "vm-9999", &state), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add(name, struct fixture, NULL, set_up, function, tear_down)
    ADD("/sim_hypervisor/life", test_life);
    ADD("/sim_hypervisor/refusals", test_refusals);
    ADD("/sim_hypervisor/stats", test_stats);
    ADD("/sim_hypervisor/suspend", test_suspend);
    ADD("/sim_hypervisor/screenshot", test_screenshot);
    ADD("/sim_hypervisor/many", test_many);
    g_test_add_func("/sim_hypervisor/model", test_model);
    return g_test_run();
}
