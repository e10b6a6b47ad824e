// SPDX-License-Identifier: Apache-2.0
/*
 * Counts the values of a JSON text. See json_count.h.
 */
#include "base/json_count.h"

#include <stdbool.h>

size_t json_count_values(const char *text, size_t length)
{
    size_t n = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        if (in_string && text[i] == '\\') {
            i++;
        } else if (text[i] == '"') {
            in_string = !in_string;
        } else if (!in_string && (text[i] == ',' || text[i] == '{' || text[i] == '[')) {
            n++;
        }
    }
    return n;
}
