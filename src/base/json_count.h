// SPDX-License-Identifier: Apache-2.0
/*
 * How many values a JSON text has, before anybody makes a tree of it: json-c takes some hundred bytes for
 * each, so that a few megabytes of "{},{},..." would become gigabytes. Any thread.
 */
#pragma once

#include <stddef.h>

/* Objects, arrays and what commas part: about as many as there are values. The text need not be JSON. */
size_t json_count_values(const char *text, size_t length);
