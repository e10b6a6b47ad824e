// SPDX-License-Identifier: Apache-2.0
/*
 * The QEMU backend with real QEMU processes (TCG, firmware only, no guest system needed): life, confinement,
 * devices, saved states, and what is left after deaths of QEMU and of the server.
 */
#include "hypervisor/hypervisor.h"
#include "tests/unit/hypervisor_config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVENT_SECONDS = 60 };

struct fixture {
    char *folder; /* all of a test's files */
    char *run_dir;
    struct hypervisor *hv;
    struct VirtualMachineConfigInfo *config;
    struct VirtualDisk *disk;
    struct VirtualDevice *cdrom, *network, *serial;
    int disk_fd, iso_fd, log_fd;
    GMutex lock;
    GCond changed;
    GPtrArray *events; /* with lock: "id kind reason", kinds as numbers */
};

static void on_event(void *data, const char *id, const struct hypervisor_event *event)
{
    struct fixture *fixture = data;

    g_mutex_lock(&fixture->lock);
    g_ptr_array_add(fixture->events, g_strdup_printf("%s %d %s", id, event->kind,
                                                     event->reason != NULL ? event->reason : "-"));
    g_cond_broadcast(&fixture->changed);
    g_mutex_unlock(&fixture->lock);
}

/* Waits for an event with this beginning, removes it and those before it, and returns it. */
static char *expect_event(struct fixture *fixture, const char *id, enum hypervisor_event_kind kind)
{
    g_autofree char *prefix = g_strdup_printf("%s %d ", id, kind);
    int64_t end_us = g_get_monotonic_time() + EVENT_SECONDS * G_TIME_SPAN_SECOND;
    char *found = NULL;

    g_mutex_lock(&fixture->lock);
    while (found == NULL) {
        for (guint i = 0; i < fixture->events->len && found == NULL; i++) {
            if (g_str_has_prefix(g_ptr_array_index(fixture->events, i), prefix)) {
                found = g_strdup((char *)g_ptr_array_index(fixture->events, i) + strlen(prefix));
                g_ptr_array_remove_range(fixture->events, 0, i + 1);
            }
        }
        if (found == NULL && !g_cond_wait_until(&fixture->changed, &fixture->lock, end_us)) {
            g_error("no event %s in time", prefix);
        }
    }
    g_mutex_unlock(&fixture->lock);
    return found;
}

static void run_command(const char *command)
{
    int status;

    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static void open_hypervisor(struct fixture *fixture)
{
    struct hypervisor_options options = {
        .run_dir = fixture->run_dir,
        .accelerator = "tcg",
        .event = on_event,
        .event_data = fixture,
    };
    g_autofree char *message = NULL;

    if (hypervisor_qemu_new(&options, &fixture->hv, &message) != 0) {
        g_error("%s", message);
    }
}

static int open_file(struct fixture *fixture, const char *name, int flags)
{
    g_autofree char *path = g_build_filename(fixture->folder, name, NULL);
    int fd = open(path, flags | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void set_up(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    g_mutex_init(&fixture->lock);
    g_cond_init(&fixture->changed);
    fixture->events = g_ptr_array_new_with_free_func(g_free);
    fixture->folder = g_dir_make_tmp("tenkyu-qemu-XXXXXX", NULL);
    fixture->run_dir = g_build_filename(fixture->folder, "run", NULL);
    g_autofree char *create =
        g_strdup_printf("qemu-img create -q -f qcow2 %s/disk.qcow2 1G", fixture->folder);
    run_command(create);
    g_autofree char *iso = g_build_filename(fixture->folder, "cd.iso", NULL);
    g_autofree char *zeros = g_malloc0(1 << 20);
    g_assert_true(g_file_set_contents(iso, zeros, 1 << 20, NULL));
    fixture->disk_fd = open_file(fixture, "disk.qcow2", O_RDWR);
    fixture->iso_fd = open_file(fixture, "cd.iso", O_RDONLY);
    fixture->log_fd = open_file(fixture, "vm.log", O_WRONLY | O_APPEND | O_CREAT);

    fixture->config = config_new("test, with a comma", 2, 64);
    config_add_controller(fixture->config, &ParaVirtualSCSIController_type, 1000, 0);
    config_add_controller(fixture->config, &VirtualIDEController_type, 200, 0);
    config_add_controller(fixture->config, &VirtualUSBController_type, 7000, 0);
    fixture->disk = config_add_unit(fixture->config, &VirtualDisk_type, 2000, 1000, 0);
    fixture->cdrom = config_add_unit(fixture->config, &VirtualCdrom_type, 3000, 200, 0);
    fixture->network =
        (struct VirtualDevice *)config_add_network(fixture->config, &VirtualVmxnet3_type, 4000);
    fixture->serial = config_add(fixture->config, &VirtualSerialPort_type, 9000);
    fixture->serial->backing = vim_new(&VirtualSerialPortURIBackingInfo_type);
    open_hypervisor(fixture);
}

static void tear_down(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    hypervisor_free(fixture->hv);
    vim_free(fixture->config);
    close(fixture->disk_fd);
    close(fixture->iso_fd);
    close(fixture->log_fd);
    g_autofree char *remove = g_strdup_printf("rm -rf %s", fixture->folder);
    run_command(remove);
    g_ptr_array_unref(fixture->events);
    g_mutex_clear(&fixture->lock);
    g_cond_clear(&fixture->changed);
    g_free(fixture->folder);
    g_free(fixture->run_dir);
}

static int start_with(struct fixture *fixture, const char *id, int state_fd, char **ret_message)
{
    struct hypervisor_file files[] = {
        {.device_key = 2000, .fd = fixture->disk_fd, .format = "qcow2"},
        {.device_key = 3000, .fd = fixture->iso_fd, .format = "raw", .read_only = true},
    };
    struct hypervisor_start what = {
        .id = id,
        .config = fixture->config,
        .files = files,
        .n_files = 2,
        .state_fd = state_fd,
        .log_fd = fixture->log_fd,
        .lock_fd = -1,
    };
    return hypervisor_vm_start(fixture->hv, &what, ret_message);
}

static void start(struct fixture *fixture, const char *id, int state_fd)
{
    g_autofree char *message = NULL;

    if (start_with(fixture, id, state_fd, &message) != 0) {
        g_error("%s", message);
    }
}

#define CHECK(call)                                                      \
    do {                                                                 \
        g_autofree char *message = NULL;                                 \
        int error_ = (call);                                             \
        if (error_ != 0) {                                               \
            g_error("%s: %s (%s)", #call, g_strerror(-error_), message); \
        }                                                                \
    } while (0)

static void assert_state(struct fixture *fixture, const char *id, enum hypervisor_vm_state wanted)
{
    enum hypervisor_vm_state state = HYPERVISOR_VM_GONE;
    int error = hypervisor_vm_get_state(fixture->hv, id, &state);

    g_assert_true(error == 0 || error == -ENOENT);
    g_assert_cmpint(state, ==, wanted);
}

/* The process of a virtual machine, from its record. */
static pid_t find_pid(struct fixture *fixture, const char *id)
{
    g_autofree char *path = g_build_filename(fixture->run_dir, id, "process.json", NULL);
    g_autofree char *text = NULL;
    int pid = 0;

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        const char *at = strstr(text, "\"pid\":");
        g_assert_nonnull(at);
        g_assert_cmpint(sscanf(at, "\"pid\":%d", &pid), ==, 1);
    }
    return pid;
}

/* Whether the process runs: one that is dead and not collected yet by init does not. */
static bool is_alive(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, ") Z ") == NULL &&
           strstr(text, ") X ") == NULL;
}

static char *status_field(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = NULL, *prefix = g_strdup_printf("\n%s:", name);

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    const char *at = strstr(text, prefix);
    g_assert_nonnull(at);
    at += strlen(prefix);
    return g_strstrip(g_strndup(at, strcspn(at, "\n")));
}

static void test_life(struct fixture *fixture, gconstpointer data)
{
    struct hypervisor_stats stats;
    (void)data;

    start(fixture, "vm-1", -1);
    assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
    g_assert_cmpint(start_with(fixture, "vm-1", -1, NULL), ==, -EEXIST);
    CHECK(hypervisor_vm_get_stats(fixture->hv, "vm-1", &stats));
    g_assert_cmpint(stats.cpu_time_ns, >, 1000000);
    g_assert_cmpint(stats.host_memory_bytes, >, 10 << 20);
    g_assert_cmpint(stats.uptime_ms, >=, 0);
    CHECK(hypervisor_vm_reset(fixture->hv, "vm-1", &message));
    g_free(expect_event(fixture, "vm-1", HYPERVISOR_EVENT_RESET));
    CHECK(hypervisor_vm_pause(fixture->hv, "vm-1", &message));
    assert_state(fixture, "vm-1", HYPERVISOR_VM_PAUSED);
    CHECK(hypervisor_vm_unpause(fixture->hv, "vm-1", &message));
    assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
    CHECK(hypervisor_vm_press_power(fixture->hv, "vm-1", &message));
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
    g_autofree char *reason = expect_event(fixture, "vm-1", HYPERVISOR_EVENT_GONE);
    g_assert_cmpstr(reason, ==, "-");
    assert_state(fixture, "vm-1", HYPERVISOR_VM_GONE);
    g_autofree char *folder = g_build_filename(fixture->run_dir, "vm-1", NULL);
    g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    start(fixture, "vm-1", -1);
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
}

static void test_confinement(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    if (geteuid() != 0) {
        g_test_skip("users of their own need root");
        return;
    }
    start(fixture, "vm-1", -1);
    pid_t pid = find_pid(fixture, "vm-1");
    g_autofree char *uid = status_field(pid, "Uid"), *gid = status_field(pid, "Gid");
    g_autofree char *groups = status_field(pid, "Groups"), *seccomp = status_field(pid, "Seccomp");
    g_autofree char *privileges = status_field(pid, "NoNewPrivs");
    g_assert_cmpstr(uid, ==, "1879048192\t1879048192\t1879048192\t1879048192");
    g_assert_cmpstr(gid, ==, uid);
    g_assert_cmpstr(groups, ==, "");
    g_assert_cmpstr(seccomp, ==, "2");
    g_assert_cmpstr(privileges, ==, "1");
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
        g_autofree char *set = status_field(pid, sets[i]);
        g_assert_cmpstr(set, ==, "0000000000000000");
    }
    g_assert_cmpint(getsid(pid), ==, pid);

    /* Another virtual machine is another user. */
    struct hypervisor_start what = {
        .id = "vm-2", .config = fixture->config, .state_fd = -1, .log_fd = -1, .lock_fd = -1};
    vim_array_remove(&fixture->config->hardware->device, &VirtualDevice_type, 3); /* the disk, in use */
    CHECK(hypervisor_vm_start(fixture->hv, &what, &message));
    g_autofree char *uid_2 = status_field(find_pid(fixture, "vm-2"), "Uid");
    g_assert_true(g_str_has_prefix(uid_2, "1879048193\t"));
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-2", &message));
}

static void test_screen(struct fixture *fixture, gconstpointer data)
{
    int png = memfd_create("png", MFD_CLOEXEC), screen = -1, serial = -1, second = -1;
    char bytes[16] = "";
    (void)data;

    start(fixture, "vm-1", -1);
    CHECK(hypervisor_vm_screenshot(fixture->hv, "vm-1", png, &message));
    g_assert_cmpint(pread(png, bytes, 8, 0), ==, 8);
    g_assert_cmpint(memcmp(bytes, "\x89PNG\r\n\x1a\n", 8), ==, 0);
    struct stat status;
    g_assert_cmpint(fstat(png, &status), ==, 0);
    g_assert_cmpint(status.st_size, >, 100);
    CHECK(hypervisor_vm_screenshot(fixture->hv, "vm-1", png, &message));

    CHECK(hypervisor_vm_open_screen(fixture->hv, "vm-1", &screen, &message));
    g_assert_cmpint(recv(screen, bytes, 12, MSG_WAITALL), ==, 12);
    g_assert_cmpint(memcmp(bytes, "RFB 003.008\n", 12), ==, 0);
    g_assert_cmpint(send(screen, bytes, 12, 0), ==, 12);
    g_assert_cmpint(recv(screen, bytes, 2, MSG_WAITALL), ==, 2);
    g_assert_cmpint(memcmp(bytes, "\x01\x01", 2), ==, 0); /* one security type: None */
    close(screen);

    CHECK(hypervisor_vm_open_serial(fixture->hv, "vm-1", 9000, &serial, &message));
    g_assert_cmpint(hypervisor_vm_open_serial(fixture->hv, "vm-1", 9000, &second, NULL), ==, -EBUSY);
    g_assert_cmpint(hypervisor_vm_open_serial(fixture->hv, "vm-1", 9001, &second, NULL), ==, -ENODEV);
    close(serial);
    CHECK(hypervisor_vm_open_serial(fixture->hv, "vm-1", HYPERVISOR_KEY_GUEST_AGENT, &serial, &message));
    close(serial);
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
    close(png);
}

static void test_devices(struct fixture *fixture, gconstpointer data)
{
    g_autofree char *create = g_strdup_printf("qemu-img create -q -f qcow2 %s/b.qcow2 64M", fixture->folder);
    (void)data;

    run_command(create);
    start(fixture, "vm-1", -1);
    struct VirtualDevice *disk = config_add_unit(fixture->config, &VirtualDisk_type, 2001, 1000, 1);
    struct hypervisor_file file = {
        .device_key = 2001, .fd = open_file(fixture, "b.qcow2", O_RDWR), .format = "qcow2"};
    for (int round = 0; round < 2; round++) {
        CHECK(hypervisor_vm_plug(fixture->hv, "vm-1", fixture->config, disk, &file, &message));
        g_assert_cmpint(hypervisor_vm_plug(fixture->hv, "vm-1", fixture->config, disk, &file, NULL), <, 0);
        CHECK(hypervisor_vm_unplug(fixture->hv, "vm-1", disk, &message));
    }
    CHECK(hypervisor_vm_resize_disk(fixture->hv, "vm-1", (struct VirtualDevice *)fixture->disk,
                                    INT64_C(2) << 30, &message));
    CHECK(hypervisor_vm_set_link(fixture->hv, "vm-1", fixture->network, false, &message));
    CHECK(hypervisor_vm_set_link(fixture->hv, "vm-1", fixture->network, true, &message));
    struct VirtualDevice *card =
        (struct VirtualDevice *)config_add_network(fixture->config, &VirtualE1000_type, 4001);
    CHECK(hypervisor_vm_plug(fixture->hv, "vm-1", fixture->config, card, NULL, &message));

    struct hypervisor_file iso = {
        .device_key = 3000, .fd = fixture->iso_fd, .format = "raw", .read_only = true};
    CHECK(hypervisor_vm_change_medium(fixture->hv, "vm-1", fixture->cdrom, NULL, &message));
    CHECK(hypervisor_vm_change_medium(fixture->hv, "vm-1", fixture->cdrom, &iso, &message));
    CHECK(hypervisor_vm_change_medium(fixture->hv, "vm-1", fixture->cdrom, &iso, &message));
    CHECK(hypervisor_vm_change_medium(fixture->hv, "vm-1", fixture->cdrom, NULL, &message));
    close(file.fd);
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
    g_autofree char *check = g_strdup_printf("qemu-img check -q %s/disk.qcow2", fixture->folder);
    run_command(check);
}

/* A new overlay over the fixture's disk. */
static int open_overlay(struct fixture *fixture)
{
    g_autofree char *create =
        g_strdup_printf("qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 %s/top.qcow2", fixture->folder);

    run_command(create);
    return open_file(fixture, "top.qcow2", O_RDWR);
}

static void add_controllers_and_cards(struct VirtualMachineConfigInfo *config)
{
    config_add_controller(config, &VirtualIDEController_type, 200, 0);
    config_add_controller(config, &VirtualIDEController_type, 201, 1);
    config_add_controller(config, &VirtualLsiLogicController_type, 1000, 0);
    config_add_controller(config, &VirtualLsiLogicSASController_type, 1001, 1);
    config_add_controller(config, &ParaVirtualSCSIController_type, 1002, 2);
    config_add_controller(config, &VirtualAHCIController_type, 15000, 0);
    config_add_controller(config, &VirtualNVMEController_type, 31000, 0);
    config_add_controller(config, &VirtualUSBXHCIController_type, 14000, 0);
    struct VirtualUSBController *usb = config_add_controller(config, &VirtualUSBController_type, 7000, 0);
    vim_set_optional(&usb->ehciEnabled, true);
    config_add_network(config, &VirtualE1000_type, 4000);
    config_add_network(config, &VirtualE1000e_type, 4001);
    config_add_network(config, &VirtualPCNet32_type, 4002);
    config_set_connected((struct VirtualDevice *)config_add_network(config, &VirtualVmxnet3_type, 4009),
                         false);
}

/* QEMU takes every device that the planner knows, all at once. */
static void test_every_device(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        const struct vim_type *type;
        int32_t key, controller, unit;
    } drives[] = {
        {&VirtualDisk_type, 2000, 1000, 0},   {&VirtualDisk_type, 2016, 1001, 7},
        {&VirtualDisk_type, 2032, 1002, 15},  {&VirtualDisk_type, 3000, 200, 0},
        {&VirtualCdrom_type, 3003, 201, 1},   {&VirtualCdrom_type, 16000, 15000, 0},
        {&VirtualDisk_type, 16005, 15000, 5}, {&VirtualDisk_type, 32000, 31000, 0},
        {&VirtualFloppy_type, 8000, 400, 0},
    };
    struct VirtualMachineConfigInfo *config = config_new("every device", 2, 64);
    struct hypervisor_file files[G_N_ELEMENTS(drives) + 2];
    size_t n_files = 0;
    (void)data;

    add_controllers_and_cards(config);
    for (size_t i = 0; i < G_N_ELEMENTS(drives); i++) {
        bool cd = drives[i].type == &VirtualCdrom_type;
        g_autofree char *name = g_strdup_printf("%d.raw", drives[i].key);
        int fd = open_file(fixture, name, O_RDWR | O_CREAT);
        g_assert_cmpint(ftruncate(fd, 1440 * 1024), ==, 0);
        config_add_unit(config, drives[i].type, drives[i].key, drives[i].controller, drives[i].unit);
        files[n_files++] = (struct hypervisor_file){
            .device_key = drives[i].key,
            .fd = fd,
            .format = "raw",
            .read_only = cd,
        };
    }
    struct VirtualDevice *port = config_add(config, &VirtualSerialPort_type, 9000);
    port->backing = vim_new(&VirtualSerialPortFileBackingInfo_type);
    files[n_files++] = (struct hypervisor_file){
        .device_key = 9000,
        .fd = open_file(fixture, "serial.txt", O_RDWR | O_CREAT),
        .format = "raw",
    };
    /* A disk of a chain: the top grows, its parent is only read, though the descriptor could write. */
    close(files[0].fd);
    files[0] = (struct hypervisor_file){
        .device_key = 2000,
        .fd = open_overlay(fixture),
        .format = "qcow2",
    };
    files[n_files++] =
        (struct hypervisor_file){.device_key = 2000, .fd = fixture->disk_fd, .format = "qcow2"};

    struct hypervisor_start what = {
        .id = "vm-1",
        .config = config,
        .files = files,
        .n_files = n_files,
        .state_fd = -1,
        .log_fd = fixture->log_fd,
        .lock_fd = -1,
    };
    CHECK(hypervisor_vm_start(fixture->hv, &what, &message));
    assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
    for (size_t i = 0; i + 1 < n_files; i++) {
        close(files[i].fd);
    }
    vim_free(config);
}

static bool cancel_at_once(void *data, int percent)
{
    (void)percent;
    *(bool *)data = true;
    return false;
}

static bool go_on(void *data, int percent)
{
    *(int *)data = percent;
    return true;
}

static void test_suspend(struct fixture *fixture, gconstpointer data)
{
    int state = open_file(fixture, "state", O_RDWR | O_CREAT), percent = -1;
    g_autofree char *refusal = NULL;
    bool asked = false;
    (void)data;

    start(fixture, "vm-1", -1);
    int error = hypervisor_vm_suspend(fixture->hv, "vm-1", state, cancel_at_once, &asked, NULL);
    if (error != 0) { /* else it was done before it could be asked */
        g_assert_cmpint(error, ==, -ECANCELED);
        g_assert_true(asked);
        assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
        CHECK(hypervisor_vm_suspend(fixture->hv, "vm-1", state, go_on, &percent, &message));
        g_assert_cmpint(percent, ==, 100);
    }
    g_free(expect_event(fixture, "vm-1", HYPERVISOR_EVENT_GONE));
    assert_state(fixture, "vm-1", HYPERVISOR_VM_GONE);
    start(fixture, "vm-1", state);
    assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));

    /* Garbage is refused with QEMU's own words, and leaves nothing behind. */
    g_assert_cmpint(pwrite(state, "garbage garbage", 15, 0), ==, 15);
    g_assert_cmpint(start_with(fixture, "vm-1", state, &refusal), <, 0);
    g_test_message("a broken state: %s", refusal);
    assert_state(fixture, "vm-1", HYPERVISOR_VM_GONE);
    start(fixture, "vm-1", -1);
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
    close(state);
}

static void test_failures(struct fixture *fixture, gconstpointer data)
{
    g_autofree char *message = NULL;
    (void)data;

    /* Two virtual machines on one disk: the image's lock holds although the host has it open too. */
    start(fixture, "vm-1", -1);
    g_assert_cmpint(start_with(fixture, "vm-2", -1, &message), <, 0);
    g_test_message("a disk in use: %s", message);
    g_assert_nonnull(strstr(message, "lock"));
    g_clear_pointer(&message, g_free);

    pid_t pid = find_pid(fixture, "vm-1");
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    g_autofree char *reason = expect_event(fixture, "vm-1", HYPERVISOR_EVENT_GONE);
    g_test_message("a killed QEMU: %s", reason);
    g_assert_nonnull(strstr(reason, "signal 9"));
    assert_state(fixture, "vm-1", HYPERVISOR_VM_GONE);

    /* A file that is no image. */
    g_assert_cmpint(ftruncate(fixture->disk_fd, 0), ==, 0);
    g_assert_cmpint(start_with(fixture, "vm-1", -1, &message), <, 0);
    g_test_message("no image: %s", message);
    g_autofree char *folder = g_build_filename(fixture->run_dir, "vm-1", NULL);
    g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
}

static void test_adopt(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    start(fixture, "vm-1", -1);
    struct hypervisor_options second = {.run_dir = fixture->run_dir, .accelerator = "tcg"};
    struct hypervisor *other;
    g_assert_cmpint(hypervisor_qemu_new(&second, &other, NULL), ==, -EBUSY);

    hypervisor_free(fixture->hv);
    open_hypervisor(fixture);
    g_assert_cmpint(start_with(fixture, "vm-1", -1, NULL), ==, -EEXIST);
    g_auto(GStrv) ids = hypervisor_adopt(fixture->hv);
    g_assert_cmpuint(g_strv_length(ids), ==, 1);
    g_assert_cmpstr(ids[0], ==, "vm-1");
    assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
    CHECK(hypervisor_vm_reset(fixture->hv, "vm-1", &message));
    g_free(expect_event(fixture, "vm-1", HYPERVISOR_EVENT_RESET));
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));

    /* What dies while there is no server is tidied away. */
    start(fixture, "vm-1", -1);
    pid_t pid = find_pid(fixture, "vm-1");
    hypervisor_free(fixture->hv);
    kill(pid, SIGKILL);
    open_hypervisor(fixture);
    g_auto(GStrv) none = hypervisor_adopt(fixture->hv);
    while (g_strv_length(none) > 0) { /* the kill takes a moment; then there is nothing */
        g_free(expect_event(fixture, "vm-1", HYPERVISOR_EVENT_GONE));
        g_strfreev(none);
        none = hypervisor_adopt(fixture->hv);
    }
    start(fixture, "vm-1", -1);
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
}

/* A server that is killed in the middle of starting, again and again at another moment: there is either
 * nothing or a virtual machine that the next one adopts. */
static void test_server_killed(struct fixture *fixture, gconstpointer data)
{
    int adopted = 0;
    (void)data;

    hypervisor_free(fixture->hv);
    fixture->hv = NULL;
    for (int round = 0; round < 40; round++) {
        pid_t server = fork();
        if (server == 0) {
            open_hypervisor(fixture);
            start(fixture, "vm-1", -1);
            pause();
        }
        g_usleep((gulong)(2000 + round * 5000)); /* not to synchronise: to hit another moment each time */
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
        pid_t pid = find_pid(fixture, "vm-1");

        open_hypervisor(fixture);
        g_auto(GStrv) ids = hypervisor_adopt(fixture->hv);
        if (g_strv_length(ids) == 1) {
            assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
            CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
            adopted++;
        }
        g_assert_true(pid == 0 || !is_alive(pid));
        g_autofree char *folder = g_build_filename(fixture->run_dir, "vm-1", NULL);
        g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
        hypervisor_free(fixture->hv);
        fixture->hv = NULL;
    }
    g_test_message("%d of 40 adopted", adopted);
    g_assert_cmpint(adopted, >, 0);
    g_assert_cmpint(adopted, <, 40);
}

static bool die(void *data, int percent)
{
    (void)data;
    (void)percent;
    return raise(SIGKILL) == 0;
}

/* A server that dies while it saves a state, at the latest with all of it saved: the guest runs on. */
static void test_killed_in_suspend(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    hypervisor_free(fixture->hv);
    fixture->hv = NULL;
    pid_t server = fork();
    if (server == 0) {
        open_hypervisor(fixture);
        start(fixture, "vm-1", -1);
        hypervisor_vm_suspend(fixture->hv, "vm-1", open_file(fixture, "state", O_RDWR | O_CREAT), die, NULL,
                              NULL);
        _exit(1);
    }
    int status;
    g_assert_cmpint(waitpid(server, &status, 0), ==, server);
    g_assert_true(WIFSIGNALED(status));
    open_hypervisor(fixture);
    g_auto(GStrv) ids = hypervisor_adopt(fixture->hv);
    g_assert_cmpuint(g_strv_length(ids), ==, 1);
    assert_state(fixture, "vm-1", HYPERVISOR_VM_RUNNING);
    CHECK(hypervisor_vm_reset(fixture->hv, "vm-1", &message));
    CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
}

static int compare_ms(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

/* Says how long starting and stopping take; asserts nothing. */
static void test_times(struct fixture *fixture, gconstpointer data)
{
    enum { ROUNDS = 11 };
    double start_ms[ROUNDS], stop_ms[ROUNDS];
    (void)data;

    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = g_get_monotonic_time();
        start(fixture, "vm-1", -1);
        start_ms[round] = (double)(g_get_monotonic_time() - begin) / 1000;
        begin = g_get_monotonic_time();
        CHECK(hypervisor_vm_stop(fixture->hv, "vm-1", &message));
        stop_ms[round] = (double)(g_get_monotonic_time() - begin) / 1000;
    }
    qsort(start_ms, ROUNDS, sizeof(double), compare_ms);
    qsort(stop_ms, ROUNDS, sizeof(double), compare_ms);
    g_test_message("start %.1f ms (min %.1f, max %.1f), stop %.1f ms (min %.1f, max %.1f)",
                   start_ms[ROUNDS / 2], start_ms[0], start_ms[ROUNDS - 1], stop_ms[ROUNDS / 2], stop_ms[0],
                   stop_ms[ROUNDS - 1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add(name, struct fixture, NULL, set_up, function, tear_down)
    ADD("/hypervisor_qemu/life", test_life);
    ADD("/hypervisor_qemu/confinement", test_confinement);
    ADD("/hypervisor_qemu/screen", test_screen);
    ADD("/hypervisor_qemu/devices", test_devices);
    ADD("/hypervisor_qemu/every_device", test_every_device);
    ADD("/hypervisor_qemu/suspend", test_suspend);
    ADD("/hypervisor_qemu/failures", test_failures);
    ADD("/hypervisor_qemu/adopt", test_adopt);
    ADD("/hypervisor_qemu/server_killed", test_server_killed);
    ADD("/hypervisor_qemu/killed_in_suspend", test_killed_in_suspend);
    ADD("/hypervisor_qemu/times", test_times);
    return g_test_run();
}
