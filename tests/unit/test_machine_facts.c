// SPDX-License-Identifier: Apache-2.0
/*
 * What files of a machine say of it, on a machine that is made of files.
 */
#include "host/system/machine_facts.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "vim/value.h"

/* A machine's root folder, gone with clear_machine(). */
struct machine {
    char *root;
};

static void set_up(struct machine *machine, gconstpointer data)
{
    (void)data;
    machine->root = g_dir_make_tmp("test-machine-XXXXXX", NULL);
    g_assert_nonnull(machine->root);
}

static void tear_down(struct machine *machine, gconstpointer data)
{
    const char *const argv[] = {"rm", "-rf", machine->root, NULL};
    (void)data;
    g_assert_true(
        g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(machine->root);
}

static void put(const struct machine *machine, const char *path, const char *text)
{
    g_autofree char *full = g_strconcat(machine->root, "/", path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static void put_link(const struct machine *machine, const char *path, const char *target)
{
    g_autofree char *full = g_strconcat(machine->root, "/", path, NULL);
    g_autofree char *folder = g_path_get_dirname(full);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_cmpint(symlink(target, full), ==, 0);
}

static void assert_servers(const struct machine *machine, const char *expected)
{
    struct HostDateTimeInfo *info = machine_date_time(machine->root, 0);
    g_autoptr(GString) servers = g_string_new(NULL);
    for (uint32_t i = 0; info->ntpConfig != NULL && i < info->ntpConfig->server.n; i++) {
        g_string_append_printf(servers, "%s%s", i > 0 ? " " : "", info->ntpConfig->server.items[i]);
    }
    g_assert_cmpstr(info->ntpConfig != NULL ? servers->str : "none", ==, expected);
    vim_free(info);
}

static void test_services(struct machine *machine, gconstpointer data)
{
    (void)data;
    g_assert_false(machine_runs(machine->root, "sshd"));
    put(machine, "proc/17/comm", "sshd\n");
    put(machine, "proc/self-made/comm", "chronyd\n");
    g_assert_true(machine_runs(machine->root, "sshd"));
    g_assert_false(machine_runs(machine->root, "ssh"));
    g_assert_false(machine_runs(machine->root, "chronyd"));
    g_assert_false(machine_enables(machine->root, "ssh.service"));
    put_link(machine, "etc/systemd/system/multi-user.target.wants/ssh.service", "/lib/nowhere");
    g_assert_true(machine_enables(machine->root, "ssh.service"));
    g_assert_false(machine_enables(machine->root, "chrony.service"));
}

static void test_clock(struct machine *machine, gconstpointer data)
{
    (void)data;
    g_assert_null(machine_clock(machine->root).process);
    assert_servers(machine, "none");
    put(machine, "etc/systemd/timesyncd.conf", "[Time]\n#NTP=commented.example\n");
    assert_servers(machine, "");
    put(machine, "etc/systemd/timesyncd.conf", "[Time]\nNTP=a.example  b.example\nFallbackNTP=c.example\n");
    assert_servers(machine, "a.example b.example");
    struct machine_clock clock = machine_clock(machine->root);
    g_assert_cmpstr(clock.unit, ==, "systemd-timesyncd.service");
    g_assert_false(clock.running);
    /* Of two that are installed, the one that runs. */
    put(machine, "etc/chrony/chrony.conf",
        "# server no.example\n  pool pool.example iburst maxsources 4\nserver 192.0.2.1\nmakestep 1 3\n");
    put(machine, "proc/3/comm", "systemd-timesyn\n");
    assert_servers(machine, "a.example b.example");
    g_assert_true(machine_clock(machine->root).running);
    put(machine, "proc/3/comm", "chronyd\n");
    assert_servers(machine, "pool.example 192.0.2.1");
    g_assert_false(machine_clock(machine->root).enabled);
    put_link(machine, "etc/systemd/system/multi-user.target.wants/chrony.service", "/lib/nowhere");
    g_assert_true(machine_clock(machine->root).enabled);
}

static void test_zones(struct machine *machine, gconstpointer data)
{
    (void)data;
    struct {
        struct HostDateTimeSystemTimeZone **items;
        uint32_t n;
    } zones = {0};
    put(machine, "usr/share/zoneinfo/tzdata.zi",
        "# version 1\nR A 1916 o - Jun 14 23s 1 S\nZ Europe/Vienna 1:5:21 - LMT 1893 Ap\n1 c CE%sT\n"
        "Z Etc/UTC 0 - UTC\nL Etc/UTC UTC\nL Europe/Vienna Europe/Elsewhere\n");
    g_autofree char *real = g_strconcat(machine->root, "/usr/share/zoneinfo/Europe", NULL);
    g_assert_cmpint(symlink("/usr/share/zoneinfo/Europe", real), ==, 0);
    put_link(machine, "etc/localtime", "/usr/share/zoneinfo/Europe/Vienna");
    machine_time_zones(machine->root, 1700000000, &zones);
    g_assert_cmpuint(zones.n, ==, 4);
    g_assert_cmpstr(zones.items[0]->key, ==, "Etc/UTC");
    g_assert_cmpstr(zones.items[1]->key, ==, "Europe/Elsewhere");
    g_assert_cmpstr(zones.items[2]->key, ==, "Europe/Vienna");
    g_assert_cmpstr(zones.items[2]->name, ==, "CET");
    g_assert_cmpint(zones.items[2]->gmtOffset, ==, 3600);
    g_assert_cmpstr(zones.items[3]->key, ==, "UTC");
    for (uint32_t i = 0; i < zones.n; i++) {
        vim_free(zones.items[i]);
    }
    g_free(zones.items);
    struct HostDateTimeInfo *info = machine_date_time(machine->root, 1690000000); /* in summer */
    g_assert_cmpstr(info->timeZone->key, ==, "Europe/Vienna");
    g_assert_cmpstr(info->timeZone->name, ==, "CEST");
    g_assert_cmpint(info->timeZone->gmtOffset, ==, 7200);
    vim_free(info);
}

/* The state of a sensor by its name; what it reads goes into the message. */
static const char *sensor(const struct HealthSystemRuntime *health, const char *name, int64_t reading)
{
    for (uint32_t i = 0; i < health->systemHealthInfo->numericSensorInfo.n; i++) {
        const struct HostNumericSensorInfo *info = health->systemHealthInfo->numericSensorInfo.items[i];
        if (strcmp(info->name, name) == 0) {
            g_assert_cmpint(info->currentReading, ==, reading);
            return info->healthState->key;
        }
    }
    return NULL;
}

static void test_no_sensors(struct machine *machine, gconstpointer data)
{
    (void)data;
    struct HealthSystemRuntime *health = machine_health(machine->root);
    g_assert_cmpuint(health->systemHealthInfo->numericSensorInfo.n, ==, 0);
    g_assert_cmpuint(health->hardwareStatusInfo->memoryStatusInfo.n, ==, 0);
    g_assert_cmpint(machine_health_status(health), ==, ManagedEntityStatus_gray);
    vim_free(health);
}

static void test_sensors(struct machine *machine, gconstpointer data)
{
    (void)data;
    put(machine, "sys/class/hwmon/hwmon0/name", "coretemp\n");
    put(machine, "sys/class/hwmon/hwmon0/temp1_input", "41000\n");
    put(machine, "sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n");
    put(machine, "sys/class/hwmon/hwmon0/temp1_max", "80000\n");
    put(machine, "sys/class/hwmon/hwmon0/temp1_crit", "100000\n");
    put(machine, "sys/class/hwmon/hwmon0/fan2_input", "900\n");
    put(machine, "sys/class/hwmon/hwmon0/in0_input", "12010\n");
    put(machine, "sys/class/hwmon/hwmon0/in1_input", "not a number\n");
    put(machine, "sys/class/thermal/thermal_zone0/type", "coretemp\n");
    put(machine, "sys/class/thermal/thermal_zone0/temp", "41000\n");
    put(machine, "sys/class/thermal/thermal_zone1/type", "acpitz\n");
    put(machine, "sys/class/thermal/thermal_zone1/temp", "30000\n");
    put(machine, "sys/class/thermal/thermal_zone1/trip_point_0_type", "critical\n");
    put(machine, "sys/class/thermal/thermal_zone1/trip_point_0_temp", "95000\n");
    struct HealthSystemRuntime *health = machine_health(machine->root);
    g_assert_cmpuint(health->systemHealthInfo->numericSensorInfo.n, ==, 4);
    g_assert_cmpstr(sensor(health, "coretemp Package id 0", 41000), ==, "green");
    g_assert_cmpstr(sensor(health, "coretemp fan2", 900), ==, "unknown");
    g_assert_cmpstr(sensor(health, "coretemp in0", 12010), ==, "unknown");
    g_assert_cmpstr(sensor(health, "acpitz", 30000), ==, "green");
    const struct HostNumericSensorInfo *first = health->systemHealthInfo->numericSensorInfo.items[0];
    g_assert_cmpstr(first->sensorType, ==, "temperature");
    g_assert_cmpint(first->unitModifier, ==, -3);
    g_assert_cmpint(machine_health_status(health), ==, ManagedEntityStatus_green);
    vim_free(health);

    put(machine, "sys/class/hwmon/hwmon0/temp1_input", "80000\n");
    health = machine_health(machine->root);
    g_assert_cmpint(machine_health_status(health), ==, ManagedEntityStatus_yellow);
    vim_free(health);
    put(machine, "sys/class/hwmon/hwmon0/temp1_input", "41000\n");
    put(machine, "sys/class/hwmon/hwmon0/fan2_alarm", "1\n");
    health = machine_health(machine->root);
    g_assert_cmpstr(sensor(health, "coretemp fan2", 900), ==, "yellow");
    vim_free(health);
    put(machine, "sys/class/thermal/thermal_zone1/temp", "95000\n");
    health = machine_health(machine->root);
    g_assert_cmpint(machine_health_status(health), ==, ManagedEntityStatus_red);
    vim_free(health);
}

static void assert_memory(const struct machine *machine, unsigned n, const char *name, const char *state)
{
    struct HealthSystemRuntime *health = machine_health(machine->root);
    g_assert_cmpuint(health->hardwareStatusInfo->memoryStatusInfo.n, ==, n);
    const struct HostHardwareElementInfo *last = health->hardwareStatusInfo->memoryStatusInfo.items[n - 1];
    g_assert_cmpstr(last->name, ==, name);
    g_assert_cmpstr(last->status->key, ==, state);
    vim_free(health);
}

static void test_memory(struct machine *machine, gconstpointer data)
{
    (void)data;
    put(machine, "sys/devices/system/edac/mc/mc0/ce_count", "0\n");
    put(machine, "sys/devices/system/edac/mc/mc0/ue_count", "0\n");
    assert_memory(machine, 1, "mc0", "Green");
    put(machine, "sys/devices/system/edac/mc/mc0/ce_count", "3\n");
    assert_memory(machine, 1, "mc0", "Yellow");
    put(machine, "sys/devices/system/edac/mc/mc0/dimm0/dimm_ce_count", "0\n");
    put(machine, "sys/devices/system/edac/mc/mc0/dimm1/dimm_ue_count", "1\n");
    put(machine, "sys/devices/system/edac/mc/mc0/dimm1/dimm_label", "CPU0_B1\n");
    assert_memory(machine, 2, "mc0 CPU0_B1", "Red");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, fn) g_test_add("/machine/" name, struct machine, NULL, set_up, fn, tear_down)
    TEST("services", test_services);
    TEST("clock", test_clock);
    TEST("zones", test_zones);
    TEST("no-sensors", test_no_sensors);
    TEST("sensors", test_sensors);
    TEST("memory", test_memory);
    return g_test_run();
}
