// SPDX-License-Identifier: Apache-2.0
/*
 * Reads and writes process records; see record.h.
 */
#include "hypervisor/qemu/record.h"

#include "base/file.h"
#include "hypervisor/qemu/process.h"

#include <errno.h>
#include <glib.h>
#include <json-c/json.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 65536 };

#define RECORD_NAME "process.json"

static const char *const phase_names[] = {
    [RECORD_STARTING] = "starting",
    [RECORD_RUNNING] = "running",
    [RECORD_SUSPENDING] = "suspending",
    [RECORD_HELD] = "held",
};

int record_write(int folder_fd, const struct record *record)
{
    g_autofree char *boot_id = process_boot_id();
    struct json_object *json = json_object_new_object();

    json_object_object_add(json, "phase", json_object_new_string(phase_names[record->phase]));
    json_object_object_add(json, "boot_id", json_object_new_string(boot_id));
    json_object_object_add(json, "pid", json_object_new_int(record->pid));
    json_object_object_add(json, "start_ticks", json_object_new_uint64(record->start_ticks));
    if (record->tpm_pid != 0) {
        json_object_object_add(json, "tpm_pid", json_object_new_int(record->tpm_pid));
        json_object_object_add(json, "tpm_start_ticks", json_object_new_uint64(record->tpm_start_ticks));
    }
    json_object_object_add(json, "slot", json_object_new_int(record->slot));
    json_object_object_add(json, "started_ms", json_object_new_int64(record->started_ms));
    json_object_object_add(json, "output_offset", json_object_new_int64(record->output_offset));
    const char *text = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY);
    int error = file_replace(folder_fd, RECORD_NAME, text, strlen(text), 0600);
    json_object_put(json);
    return error;
}

static int64_t get_int(struct json_object *json, const char *name)
{
    struct json_object *member;
    return json_object_object_get_ex(json, name, &member) ? json_object_get_int64(member) : -1;
}

static const char *get_string(struct json_object *json, const char *name)
{
    struct json_object *member;
    return json_object_object_get_ex(json, name, &member) ? json_object_get_string(member) : "";
}

static int parse(struct json_object *json, struct record *ret)
{
    struct record record = {
        .pid = (pid_t)get_int(json, "pid"),
        .start_ticks = (uint64_t)get_int(json, "start_ticks"),
        .tpm_pid = (pid_t)MAX(get_int(json, "tpm_pid"), 0),
        .tpm_start_ticks = (uint64_t)get_int(json, "tpm_start_ticks"),
        .slot = (int32_t)get_int(json, "slot"),
        .started_ms = get_int(json, "started_ms"),
        .output_offset = get_int(json, "output_offset"),
    };
    g_autofree char *boot_id = process_boot_id();

    for (size_t i = 1; i < G_N_ELEMENTS(phase_names); i++) {
        if (g_strcmp0(get_string(json, "phase"), phase_names[i]) == 0) {
            record.phase = (enum record_phase)i;
        }
    }
    if (record.phase == 0 || record.pid < 2) {
        return -EPROTO;
    }
    if (g_strcmp0(get_string(json, "boot_id"), boot_id) != 0) {
        return -ESTALE;
    }
    *ret = record;
    return 0;
}

int record_read(int folder_fd, struct record *ret)
{
    g_autofree char *text = NULL;

    int error = file_read(folder_fd, RECORD_NAME, RECORD_BYTES_MAX, &text, NULL);
    if (error != 0) {
        return error;
    }
    struct json_object *json = json_tokener_parse(text);
    error = json_object_is_type(json, json_type_object) ? parse(json, ret) : -EPROTO;
    json_object_put(json);
    return error;
}
