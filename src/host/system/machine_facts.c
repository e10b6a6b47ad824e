// SPDX-License-Identifier: Apache-2.0
/*
 * Services and clock of the machine: /proc, the links of systemd's units, the configuration of chrony,
 * systemd-timesyncd and ntpd, and the time zone files.
 */
#include "host/system/machine_facts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vim/value.h"

/* ---- services ---------------------------------------------------------------------------------------- */

bool machine_runs(const char *root, const char *name)
{
    g_autofree char *proc = g_strconcat(root, "/proc", NULL);
    g_autoptr(GDir) dir = g_dir_open(proc, 0, NULL);
    const char *entry = NULL;
    while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_strconcat(proc, "/", entry, "/comm", NULL);
        g_autofree char *text = NULL;
        if (g_ascii_isdigit(entry[0]) && g_file_get_contents(path, &text, NULL, NULL) &&
            strcmp(g_strchomp(text), name) == 0) {
            return true;
        }
    }
    return false;
}

bool machine_enables(const char *root, const char *unit)
{
    g_autofree char *system = g_strconcat(root, "/etc/systemd/system", NULL);
    g_autoptr(GDir) dir = g_dir_open(system, 0, NULL);
    const char *entry = NULL;
    while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL) {
        g_autofree char *link = g_strconcat(system, "/", entry, "/", unit, NULL);
        if (g_str_has_suffix(entry, ".wants") && g_file_test(link, G_FILE_TEST_IS_SYMLINK)) {
            return true;
        }
    }
    return false;
}

/* ---- clock ------------------------------------------------------------------------------------------- */

/* What may keep the clock right; the kernel cuts names of processes at 15 bytes. */
static const struct {
    const char *process, *unit, *config;
    const char *words[4]; /* that begin a line with a server */
} clocks[] = {
    {"chronyd", "chrony.service", "/etc/chrony/chrony.conf", {"server", "pool", "peer"}},
    {"chronyd", "chronyd.service", "/etc/chrony.conf", {"server", "pool", "peer"}},
    {"systemd-timesyn", "systemd-timesyncd.service", "/etc/systemd/timesyncd.conf", {"NTP"}},
    {"ntpd", "ntpsec.service", "/etc/ntpsec/ntp.conf", {"server", "pool", "peer"}},
    {"ntpd", "ntpd.service", "/etc/ntp.conf", {"server", "pool", "peer"}},
};

/* The one that runs, else the first one whose configuration is there; -1 for none. */
static int which_clock(const char *root, bool *ret_running)
{
    int found = -1;
    *ret_running = false;
    for (size_t i = 0; i < G_N_ELEMENTS(clocks); i++) {
        g_autofree char *config = g_strconcat(root, clocks[i].config, NULL);
        if (!g_file_test(config, G_FILE_TEST_EXISTS)) {
            continue;
        }
        if (machine_runs(root, clocks[i].process)) {
            *ret_running = true;
            return (int)i;
        }
        found = found < 0 ? (int)i : found;
    }
    return found;
}

struct machine_clock machine_clock(const char *root)
{
    struct machine_clock clock = {0};
    int i = which_clock(root, &clock.running);
    if (i >= 0) {
        clock.process = clocks[i].process;
        clock.unit = clocks[i].unit;
        clock.enabled = machine_enables(root, clock.unit);
    }
    return clock;
}

/* The words of a line of either form: "server NAME OPTION..." or "NTP=NAME NAME...". */
static void add_servers(struct HostNtpConfig *config, const char *line, const char *const *words)
{
    g_auto(GStrv) parts = g_strsplit_set(line, " \t=", -1);
    const char *first = NULL;
    for (char **part = parts; *part != NULL; part++) {
        if ((*part)[0] == '\0') {
            continue;
        }
        if (first == NULL) {
            first = *part;
            if (!g_strv_contains(words, first)) {
                return;
            }
            continue;
        }
        vim_array_add_string(&config->server, *part);
        if (strcmp(first, "NTP") != 0) {
            return; /* what follows is options */
        }
    }
}

static struct HostNtpConfig *ntp_config(const char *root)
{
    bool running = false;
    int i = which_clock(root, &running);
    if (i < 0) {
        return NULL;
    }
    struct HostNtpConfig *config = HostNtpConfig_new();
    g_autofree char *path = g_strconcat(root, clocks[i].config, NULL);
    g_autofree char *text = NULL;
    if (g_file_get_contents(path, &text, NULL, NULL)) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line != NULL; line++) {
            add_servers(config, g_strchug(*line), clocks[i].words);
        }
    }
    return config;
}

/* ---- time zones -------------------------------------------------------------------------------------- */

static struct HostDateTimeSystemTimeZone *zone_new(const char *root, const char *key, int64_t now_s)
{
    g_autofree char *path = g_strconcat(root, "/usr/share/zoneinfo/", key, NULL);
    g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(path);
    struct HostDateTimeSystemTimeZone *shown = HostDateTimeSystemTimeZone_new();
    int interval = zone != NULL ? g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, now_s) : -1;
    shown->key = g_strdup(key);
    shown->name = g_strdup(interval >= 0 ? g_time_zone_get_abbreviation(zone, interval) : key);
    shown->description = g_strdup(key);
    shown->gmtOffset = interval >= 0 ? g_time_zone_get_offset(zone, interval) : 0;
    return shown;
}

static char *local_zone(const char *root)
{
    g_autofree char *path = g_strconcat(root, "/etc/localtime", NULL);
    g_autofree char *target = g_file_read_link(path, NULL);
    const char *key = target != NULL ? strstr(target, "zoneinfo/") : NULL;
    return g_strdup(key != NULL ? key + strlen("zoneinfo/") : "UTC");
}

struct HostDateTimeInfo *machine_date_time(const char *root, int64_t now_s)
{
    struct HostDateTimeInfo *info = HostDateTimeInfo_new();
    g_autofree char *key = local_zone(root);
    info->timeZone = zone_new(root, key, now_s);
    info->ntpConfig = ntp_config(root);
    return info;
}

/* tzdata.zi has a line "Z NAME ..." for a zone and "L TARGET NAME" for another name of one. */
static const char *zone_of_line(char *line)
{
    char *name = strchr(line, ' ');
    if (name == NULL || name != line + 1 || (line[0] != 'Z' && line[0] != 'L')) {
        return NULL;
    }
    name++;
    if (line[0] == 'L') {
        name = strchr(name, ' ');
        name = name != NULL ? name + 1 : NULL;
    }
    if (name != NULL) {
        name[strcspn(name, " ")] = '\0';
    }
    return name;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void machine_time_zones(const char *root, int64_t now_s, void *array)
{
    g_autofree char *path = g_strconcat(root, "/usr/share/zoneinfo/tzdata.zi", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_auto(GStrv) lines = NULL;
    if (g_file_get_contents(path, &text, NULL, NULL)) {
        lines = g_strsplit(text, "\n", -1);
    }
    for (char **line = lines; line != NULL && *line != NULL; line++) {
        const char *name = zone_of_line(*line);
        if (name != NULL) {
            g_ptr_array_add(names, (char *)name);
        }
    }
    if (!g_ptr_array_find_with_equal_func(names, "UTC", g_str_equal, NULL)) {
        g_ptr_array_add(names, "UTC");
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        vim_array_add_object(array, zone_new(root, g_ptr_array_index(names, i), now_s));
    }
}
