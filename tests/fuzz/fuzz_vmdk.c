// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a .vmdk file: parsed, or refused with a message; what was parsed is the same again after it
 * has been written, and its data file, if it has one, is a plain name.
 */
#include <glib.h>
#include <string.h>

#include "host/storage/vmdk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(vmdk) vmdk = NULL;
    g_autoptr(vmdk) again = NULL;
    g_autofree char *message = NULL;
    g_autofree char *why = NULL;
    g_autofree char *text = NULL;
    g_autofree char *twice = NULL;
    const char *file;
    const char *format;

    if (vmdk_parse(data, size, &vmdk, &message) < 0) {
        g_assert_nonnull(message);
        return 0;
    }
    g_assert_cmpint(vmdk_get_capacity_bytes(vmdk), >=, 0);
    if (vmdk_get_data_file(vmdk, &file, &format, &why) == 0) {
        g_assert_null(strchr(file, '/'));
        g_assert_cmpstr(file, !=, "..");
        if (vmdk_get_capacity_bytes(vmdk) > 0) {
            g_assert_cmpint(vmdk_set_capacity_bytes(vmdk, vmdk_get_capacity_bytes(vmdk)), ==, 0);
        }
    }
    text = vmdk_format(vmdk, NULL);
    g_assert_cmpint(vmdk_parse(text, strlen(text), &again, &message), ==, 0);
    twice = vmdk_format(again, NULL);
    g_assert_cmpstr(text, ==, twice);
    return 0;
}
