// SPDX-License-Identifier: Apache-2.0
/*
 * Random numbers; see random.h.
 */
#include "base/random.h"

#include <errno.h>
#include <glib.h>
#include <sys/random.h>

void random_bytes(void *ret, size_t length)
{
    char *at = ret;
    while (length > 0) {
        ssize_t n = getrandom(at, length, 0);
        if (n < 0 && errno != EINTR) {
            g_error("the system gives no random numbers: %s", g_strerror(errno));
        }
        at += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
    }
}

char *random_hex(size_t length)
{
    g_autofree unsigned char *bytes = g_malloc(length);
    GString *text = g_string_sized_new(2 * length);
    random_bytes(bytes, length);
    for (size_t i = 0; i < length; i++) {
        g_string_append_printf(text, "%02x", bytes[i]);
    }
    return g_string_free(text, FALSE);
}
