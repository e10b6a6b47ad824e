// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a .vmx file: parsed or refused with a message, and what was parsed is the same again after
 * it has been written, also when every line has been made anew. As a machine's configuration it is refused
 * with a message, or writing it back changes no byte.
 */
#include <glib.h>

#include "host/vm/vmx.h"
#include "host/vm/vmx_config.h"
#include "vim/value.h"

static void check_same(const struct vmx *a, const struct vmx *b)
{
    size_t i = 0;
    size_t j = 0;
    const char *key;
    const char *value;
    const char *other_key;
    const char *other_value;

    while (vmx_next(a, &i, &key, &value)) {
        g_assert_true(vmx_next(b, &j, &other_key, &other_value));
        g_assert_cmpstr(key, ==, other_key);
        g_assert_cmpstr(value, ==, other_value);
        g_assert_cmpstr(vmx_get(a, key), ==, value);
    }
    g_assert_false(vmx_next(b, &j, &other_key, &other_value));
}

static struct vmx *parse_again(const struct vmx *vmx)
{
    struct vmx *again = NULL;
    char *message = NULL;
    size_t length = 0;
    g_autofree char *text = vmx_format(vmx, &length);

    g_assert_cmpint(vmx_parse(text, length, &again, &message), ==, 0);
    return again;
}

static void check_config(struct vmx *vmx)
{
    struct VirtualMachineConfigInfo *config = NULL;
    g_autofree char *message = NULL;
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;

    if (vmx_get(vmx, "config.version") == NULL) {
        vmx_set(vmx, "config.version", "8"); /* else it would be taken for a new file, and completed */
    }
    if (vmx_get(vmx, "displayName") == NULL) {
        vmx_set(vmx, "displayName", "x"); /* else it would get the file's name */
    }
    if (vmx_to_config(vmx, "ds", "vms/a.vmx", NULL, NULL, &config, &message) < 0) {
        g_assert_nonnull(message);
        return;
    }
    before = vmx_format(vmx, NULL);
    g_assert_cmpint(vmx_update(vmx, config, &message), ==, 0);
    after = vmx_format(vmx, NULL);
    g_assert_cmpstr(before, ==, after);
    vim_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(vmx) parsed = NULL;
    g_autoptr(vmx) again = NULL;
    g_autoptr(vmx) rebuilt = vmx_new();
    g_autoptr(vmx) rebuilt_again = NULL;
    g_autofree char *message = NULL;
    const char *key;
    const char *value;
    size_t i = 0;

    if (vmx_parse((const char *)data, size, &parsed, &message) < 0) {
        g_assert_nonnull(message);
        return 0;
    }
    again = parse_again(parsed);
    check_same(parsed, again);
    while (vmx_next(parsed, &i, &key, &value)) {
        bool flag;
        int64_t number;
        char uuid[37];

        vmx_get_bool(parsed, key, &flag);
        vmx_get_int(parsed, key, -100, INT64_MAX, &number);
        vmx_uuid_to_api(value, uuid);
        g_assert_cmpint(vmx_set(rebuilt, key, value), ==, 0);
    }
    rebuilt_again = parse_again(rebuilt);
    check_same(rebuilt, rebuilt_again);
    check_config(parsed);
    return 0;
}
