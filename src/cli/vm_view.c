// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual machines as documents; see vm_view.h.
 */
#include "cli/vm_view.h"

#include <string.h>

#include "cli/js.h"
#include "cli/vm_spec.h"

#define MIB ((int64_t)1024 * 1024)

const char *const cli_vm_summary_paths[] = {"name", "summary", NULL};
const char *const cli_vm_detail_paths[] = {"name", "summary", "config", NULL};

const char *cli_power_word(const char *power_state)
{
    static const struct {
        const char *api;
        const char *word;
    } words[] = {{"poweredOn", "on"}, {"poweredOff", "off"}, {"suspended", "suspended"}};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_strcmp0(power_state, words[i].api) == 0) {
            return words[i].word;
        }
    }
    return "unknown";
}

/* A number that may be missing becomes a member that is missing. */
static void add_number(json_object *document, const char *name, int64_t number, int64_t factor)
{
    if (number >= 0) {
        json_object_object_add(document, name, json_object_new_int64(number * factor));
    }
}

json_object *cli_vm_summary(json_object *object)
{
    json_object *config = js_at(object, "summary.config");
    json_object *runtime = js_at(object, "summary.runtime");
    json_object *stats = js_at(object, "summary.quickStats");
    bool is_on = g_strcmp0(js_text(runtime, "powerState"), "poweredOn") == 0;
    json_object *document =
        js_object(NULL, "id:s", js_text(object, "ref.value"), "name:s", js_text(object, "name"), "power:s",
                  cli_power_word(js_text(runtime, "powerState")), "connection:s",
                  js_text(runtime, "connectionState"), "guest:s", js_text(config, "guestId"), "guest_name:s",
                  js_text(config, "guestFullName"), "ip_address:s",
                  js_text(object, "summary.guest.ipAddress"), "path:s", js_text(config, "vmPathName"), NULL);
    add_number(document, "cpus", js_int(config, "numCpu", -1), 1);
    add_number(document, "memory_bytes", js_int(config, "memorySizeMB", -1), MIB);
    if (is_on) {
        add_number(document, "cpu_usage_mhz", js_int(stats, "overallCpuUsage", -1), 1);
        add_number(document, "memory_usage_bytes", js_int(stats, "hostMemoryUsage", -1), MIB);
        add_number(document, "uptime_seconds", js_int(stats, "uptimeSeconds", -1), 1);
    }
    return document;
}

static bool is_card(const char *type)
{
    static const char *const cards[] = {
        "VirtualE1000",   "VirtualE1000e",  "VirtualPCNet32",           "VirtualVmxnet",
        "VirtualVmxnet2", "VirtualVmxnet3", "VirtualSriovEthernetCard", NULL};
    return type != NULL && g_strv_contains(cards, type);
}

/* "VirtualVmxnet3" -> "vmxnet3". Freed with g_free. */
static char *short_type(const char *type)
{
    const char *name = type != NULL && g_str_has_prefix(type, "Virtual") ? type + strlen("Virtual") : type;
    return name != NULL ? g_ascii_strdown(name, -1) : NULL;
}

static json_object *controller_of(json_object *devices, json_object *device)
{
    int64_t key = js_int(device, "controllerKey", 0);
    for (size_t i = 0; i < js_length(devices); i++) {
        json_object *each = json_object_array_get_idx(devices, i);
        if (key != 0 && js_int(each, "key", 0) == key) {
            return each;
        }
    }
    return NULL;
}

static json_object *disk_document(json_object *devices, json_object *device)
{
    json_object *controller = controller_of(devices, device);
    g_autofree char *other = short_type(js_type(controller)); /* such as VirtualBusLogicController */
    const char *bus = cli_bus_name(js_type(controller));
    int64_t bytes = js_int(device, "capacityInBytes", -1);
    json_object *document = js_object(
        NULL, "key:l", js_int(device, "key", 0), "label:s", js_text(device, "deviceInfo.label"), "path:s",
        js_text(device, "backing.fileName"), "controller:s", bus != NULL ? bus : other, "unit:l",
        js_int(device, "unitNumber", 0), "thin:b", js_bool(device, "backing.thinProvisioned"), "mode:s",
        js_text(device, "backing.diskMode"), NULL);
    add_number(document, "capacity_bytes", bytes >= 0 ? bytes : js_int(device, "capacityInKB", -1),
               bytes >= 0 ? 1 : 1024);
    return document;
}

static json_object *card_document(json_object *device)
{
    g_autofree char *model = short_type(js_type(device));
    return js_object(NULL, "key:l", js_int(device, "key", 0), "label:s", js_text(device, "deviceInfo.label"),
                     "model:s", model, "mac:s", js_text(device, "macAddress"), "network:s",
                     js_text(device, "backing.deviceName"), "connected:b",
                     js_bool(device, "connectable.connected"), NULL);
}

static json_object *drive_document(json_object *device)
{
    return js_object(NULL, "key:l", js_int(device, "key", 0), "label:s", js_text(device, "deviceInfo.label"),
                     "path:s", js_text(device, "backing.fileName"), "connected:b",
                     js_bool(device, "connectable.connected"), NULL);
}

static json_object *options_document(json_object *extra_config)
{
    json_object *options = json_object_new_object();
    for (size_t i = 0; i < js_length(extra_config); i++) {
        json_object *option = json_object_array_get_idx(extra_config, i);
        json_object *value = js_unbox(js_at(option, "value"));
        if (js_text(option, "key") != NULL && value != NULL) {
            json_object_object_add(options, js_text(option, "key"), js_share(value));
        }
    }
    return options;
}

json_object *cli_vm_detail(json_object *object)
{
    json_object *document = cli_vm_summary(object);
    json_object *config = js_at(object, "config");
    json_object *devices = js_at(config, "hardware.device");
    json_object *disks = json_object_new_array();
    json_object *cards = json_object_new_array();
    json_object *drives = json_object_new_array();
    json_object *ports = json_object_new_array();
    for (size_t i = 0; i < js_length(devices); i++) {
        json_object *device = json_object_array_get_idx(devices, i);
        const char *type = js_type(device);
        if (g_strcmp0(type, "VirtualDisk") == 0) {
            json_object_array_add(disks, disk_document(devices, device));
        } else if (g_strcmp0(type, "VirtualCdrom") == 0) {
            json_object_array_add(drives, drive_document(device));
        } else if (g_strcmp0(type, "VirtualSerialPort") == 0) {
            json_object_array_add(ports, js_object(NULL, "key:l", js_int(device, "key", 0), "label:s",
                                                   js_text(device, "deviceInfo.label"), NULL));
        } else if (is_card(type)) {
            json_object_array_add(cards, card_document(device));
        }
    }
    json_object *more =
        js_object(NULL, "uuid:s", js_text(config, "uuid"), "firmware:s", js_text(config, "firmware"),
                  "hardware_version:s", js_text(config, "version"), "annotation:s",
                  js_text(config, "annotation"), "disks:o", disks, "nics:o", cards, "cdroms:o", drives,
                  "serial_ports:o", ports, "options:o", options_document(js_at(config, "extraConfig")), NULL);
    json_object_object_foreach (more, name, value) {
        json_object_object_add(document, name, js_share(value));
    }
    json_object_put(more);
    return document;
}
