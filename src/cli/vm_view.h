// SPDX-License-Identifier: Apache-2.0
/*
 * A virtual machine as the client shows it: one stable JSON document, made from what the API says, from
 * which the tables for people are made too. The documents are described in tenkyu(1).
 */
#pragma once

#include <json-c/json.h>

/* Properties to read for each of the two; NULL-terminated. */
extern const char *const cli_vm_summary_paths[];
extern const char *const cli_vm_detail_paths[];

/* From an object read by objects.h: the line of `vm list`. The caller owns the result. */
json_object *cli_vm_summary(json_object *object);
/* The same with devices and settings, for `vm show`. */
json_object *cli_vm_detail(json_object *object);
/* "on", "off", "suspended": what people call a power state of the API. */
const char *cli_power_word(const char *power_state);
