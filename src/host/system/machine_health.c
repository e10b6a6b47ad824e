// SPDX-License-Identifier: Apache-2.0
/*
 * Health of the machine: sensors of the kernel's hwmon and thermal classes, memory errors of EDAC. A machine
 * that has none, such as most virtual ones, has empty lists.
 */
#include "host/system/machine_facts.h"

#include <stdlib.h>
#include <string.h>

#include "vim/value.h"

/* Of one sensor or part; in the order of being worse. */
enum health { UNKNOWN, GREEN, YELLOW, RED };

static const struct {
    const char *sensor, *part; /* as the API calls it there and there */
} health_words[] = {
    [UNKNOWN] = {"unknown", "Unknown"},
    [GREEN] = {"green", "Green"},
    [YELLOW] = {"yellow", "Yellow"},
    [RED] = {"red", "Red"},
};

static struct ElementDescription *health_new(const char *key)
{
    struct ElementDescription *state = ElementDescription_new();
    state->key = g_strdup(key);
    state->label = g_strdup(key);
    state->summary = g_strdup(key);
    return state;
}

/* A file of one line, or NULL. */
static char *read_text(const char *folder, const char *name)
{
    g_autofree char *path = g_strconcat(folder, "/", name, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : NULL;
}

static bool read_number(const char *folder, const char *name, int64_t *ret)
{
    g_autofree char *text = read_text(folder, name);
    char *end = NULL;
    int64_t number = text != NULL ? g_ascii_strtoll(text, &end, 10) : 0;
    if (text == NULL || end == text || *end != '\0') {
        return false;
    }
    *ret = number;
    return true;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the entries of a folder that begin with prefix and end with suffix, in order. */
static GPtrArray *list(const char *folder, const char *prefix, const char *suffix)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *entry = NULL;
    while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL) {
        if (g_str_has_prefix(entry, prefix) && g_str_has_suffix(entry, suffix)) {
            g_ptr_array_add(names, g_strdup(entry));
        }
    }
    g_ptr_array_sort(names, compare_names);
    return names;
}

/* ---- sensors ----------------------------------------------------------------------------------------- */

/* Kinds of sensors by what their files are called (the kernel's hwmon sysfs interface). */
static const struct kind {
    const char *prefix, *type, *unit;
    int modifier;
} kinds[] = {
    {"temp", "temperature", "Degrees C", -3}, {"fan", "fan", "RPM", 0},      {"in", "voltage", "Volts", -3},
    {"power", "power", "Watts", -6},          {"curr", "other", "Amps", -3},
};

static void add_sensor(struct HostSystemHealthInfo *info, const struct kind *kind, const char *name,
                       const char *id, int64_t reading, enum health health)
{
    struct HostNumericSensorInfo *sensor = HostNumericSensorInfo_new();
    sensor->name = g_strdup(name);
    sensor->id = g_strdup(id);
    sensor->healthState = health_new(health_words[health].sensor);
    sensor->currentReading = reading;
    sensor->unitModifier = kind->modifier;
    sensor->baseUnits = g_strdup(kind->unit);
    sensor->sensorType = g_strdup(kind->type);
    vim_array_add_object(&info->numericSensorInfo, sensor);
}

static bool file_number(const char *folder, const char *sensor, const char *suffix, int64_t *ret)
{
    g_autofree char *name = g_strconcat(sensor, suffix, NULL);
    return read_number(folder, name, ret);
}

/* From the alarms that the chip raises, and the limits that it has. */
static enum health sensor_health(const char *folder, const char *sensor, int64_t reading)
{
    static const struct {
        const char *suffix;
        enum { ALARM, ABOVE, BELOW } rule;
        enum health health;
    } rules[] = {
        {"_crit_alarm", ALARM, RED},   {"_emergency_alarm", ALARM, RED}, {"_fault", ALARM, RED},
        {"_crit", ABOVE, RED},         {"_lcrit", BELOW, RED},           {"_alarm", ALARM, YELLOW},
        {"_max_alarm", ALARM, YELLOW}, {"_min_alarm", ALARM, YELLOW},    {"_max", ABOVE, YELLOW},
        {"_min", BELOW, YELLOW},
    };
    enum health health = UNKNOWN;
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        int64_t limit = 0;
        if (!file_number(folder, sensor, rules[i].suffix, &limit)) {
            continue;
        }
        bool bad = rules[i].rule == ALARM   ? limit != 0
                   : rules[i].rule == ABOVE ? limit > 0 && reading >= limit
                                            : reading < limit;
        health = MAX(health, bad ? rules[i].health : GREEN);
    }
    return health;
}

static void add_chip(struct HostSystemHealthInfo *info, const char *folder, const char *chip)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(GPtrArray) inputs = list(folder, kinds[i].prefix, "_input");
        for (guint j = 0; j < inputs->len; j++) {
            const char *input = g_ptr_array_index(inputs, j);
            g_autofree char *sensor = g_strndup(input, strlen(input) - strlen("_input"));
            g_autofree char *label_file = g_strconcat(sensor, "_label", NULL);
            g_autofree char *label = read_text(folder, label_file);
            g_autofree char *name = g_strconcat(chip, " ", label != NULL ? label : sensor, NULL);
            g_autofree char *base = g_path_get_basename(folder);
            g_autofree char *id = g_strconcat(base, "/", sensor, NULL);
            int64_t reading = 0;
            if (read_number(folder, input, &reading)) {
                add_sensor(info, &kinds[i], name, id, reading, sensor_health(folder, sensor, reading));
            }
        }
    }
}

/* Where a thermal zone becomes critical. */
static enum health zone_health(const char *folder, int64_t reading)
{
    g_autoptr(GPtrArray) types = list(folder, "trip_point_", "_type");
    enum health health = UNKNOWN;
    for (guint i = 0; i < types->len; i++) {
        const char *file = g_ptr_array_index(types, i);
        g_autofree char *type = read_text(folder, file);
        g_autofree char *point = g_strndup(file, strlen(file) - strlen("_type"));
        int64_t limit = 0;
        bool critical = g_strcmp0(type, "critical") == 0, hot = g_strcmp0(type, "hot") == 0;
        if ((critical || hot) && file_number(folder, point, "_temp", &limit) && limit > 0) {
            health = MAX(health, reading < limit ? GREEN : critical ? RED : YELLOW);
        }
    }
    return health;
}

static struct HostSystemHealthInfo *sensors(const char *root)
{
    struct HostSystemHealthInfo *info = HostSystemHealthInfo_new();
    g_autofree char *hwmon = g_strconcat(root, "/sys/class/hwmon", NULL);
    g_autofree char *thermal = g_strconcat(root, "/sys/class/thermal", NULL);
    g_autoptr(GPtrArray) chips = list(hwmon, "hwmon", "");
    g_autoptr(GPtrArray) zones = list(thermal, "thermal_zone", "");
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < chips->len; i++) {
        g_autofree char *folder = g_strconcat(hwmon, "/", g_ptr_array_index(chips, i), NULL);
        char *name = read_text(folder, "name");
        add_chip(info, folder, name != NULL ? name : g_ptr_array_index(chips, i));
        if (name != NULL) {
            g_hash_table_add(known, name);
        }
    }
    for (guint i = 0; i < zones->len; i++) {
        g_autofree char *folder = g_strconcat(thermal, "/", g_ptr_array_index(zones, i), NULL);
        g_autofree char *type = read_text(folder, "type");
        int64_t reading = 0;
        /* The kernel shows most zones as a chip of the same name too. */
        if (type != NULL && !g_hash_table_contains(known, type) && read_number(folder, "temp", &reading)) {
            add_sensor(info, &kinds[0], type, g_ptr_array_index(zones, i), reading,
                       zone_health(folder, reading));
        }
    }
    return info;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void add_part(struct HostHardwareStatusInfo *info, const char *name, enum health health)
{
    struct HostHardwareElementInfo *element = HostHardwareElementInfo_new();
    element->name = g_strdup(name);
    element->status = health_new(health_words[health].part);
    vim_array_add_object(&info->memoryStatusInfo, element);
}

/* Errors since the machine was started: what was corrected warns, what was not is bad. */
static void add_memory(struct HostHardwareStatusInfo *info, const char *folder, const char *prefix,
                       const char *name)
{
    g_autofree char *corrected_file = g_strconcat(prefix, "ce_count", NULL);
    g_autofree char *uncorrected_file = g_strconcat(prefix, "ue_count", NULL);
    int64_t corrected = 0, uncorrected = 0;
    bool known = read_number(folder, corrected_file, &corrected);
    known = read_number(folder, uncorrected_file, &uncorrected) || known;
    if (known) {
        add_part(info, name, uncorrected > 0 ? RED : corrected > 0 ? YELLOW : GREEN);
    }
}

static struct HostHardwareStatusInfo *parts(const char *root)
{
    struct HostHardwareStatusInfo *info = HostHardwareStatusInfo_new();
    g_autofree char *edac = g_strconcat(root, "/sys/devices/system/edac/mc", NULL);
    g_autoptr(GPtrArray) controllers = list(edac, "mc", "");
    for (guint i = 0; i < controllers->len; i++) {
        const char *controller = g_ptr_array_index(controllers, i);
        g_autofree char *folder = g_strconcat(edac, "/", controller, NULL);
        g_autoptr(GPtrArray) modules = list(folder, "dimm", "");
        if (modules->len == 0) {
            add_memory(info, folder, "", controller);
        }
        for (guint j = 0; j < modules->len; j++) {
            g_autofree char *module = g_strconcat(folder, "/", g_ptr_array_index(modules, j), NULL);
            g_autofree char *label = read_text(module, "dimm_label");
            g_autofree char *name =
                g_strconcat(controller, " ",
                            label != NULL && label[0] != '\0' ? label : g_ptr_array_index(modules, j), NULL);
            add_memory(info, module, "dimm_", name);
        }
    }
    return info;
}

struct HealthSystemRuntime *machine_health(const char *root)
{
    struct HealthSystemRuntime *health = HealthSystemRuntime_new();
    health->systemHealthInfo = sensors(root);
    health->hardwareStatusInfo = parts(root);
    return health;
}

static enum health worse(enum health health, const struct ElementDescription *state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(health_words); i++) {
        if (g_ascii_strcasecmp(state->key, health_words[i].sensor) == 0) {
            return MAX(health, (enum health)i);
        }
    }
    return health;
}

enum ManagedEntityStatus machine_health_status(const struct HealthSystemRuntime *runtime)
{
    enum health health = UNKNOWN;
    const struct HostSystemHealthInfo *readings = runtime->systemHealthInfo;
    const struct HostHardwareStatusInfo *status = runtime->hardwareStatusInfo;
    for (uint32_t i = 0; i < readings->numericSensorInfo.n; i++) {
        health = worse(health, readings->numericSensorInfo.items[i]->healthState);
    }
    for (uint32_t i = 0; i < status->memoryStatusInfo.n; i++) {
        health = worse(health, status->memoryStatusInfo.items[i]->status);
    }
    switch (health) {
    case UNKNOWN:
        return ManagedEntityStatus_gray;
    case GREEN:
        return ManagedEntityStatus_green;
    case YELLOW:
        return ManagedEntityStatus_yellow;
    case RED:
        return ManagedEntityStatus_red;
    }
    return ManagedEntityStatus_gray;
}
