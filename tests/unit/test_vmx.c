// SPDX-License-Identifier: Apache-2.0
/*
 * The .vmx dictionary: files of other products survive byte for byte, values and keys are exact, bad
 * files name the line.
 */
#include "host/vm/vmx.h"

#include <errno.h>
#include <string.h>

static struct vmx *parse(const char *text)
{
    struct vmx *vmx = NULL;
    g_autofree char *message = NULL;

    g_assert_cmpint(vmx_parse(text, strlen(text), &vmx, &message), ==, 0);
    g_assert_null(message);
    return vmx;
}

static void assert_format(const struct vmx *vmx, const char *expected)
{
    size_t length = 0;
    g_autofree char *text = vmx_format(vmx, &length);

    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpuint(length, ==, strlen(expected));
}

static const char sample[] = "#!/usr/bin/vmware\n"
                             ".encoding = \"UTF-8\"\n"
                             "config.version = \"8\"\n"
                             "\n"
                             "  displayName   =\"say |22hi|22|0Athere\"  # a name\n"
                             "MemSize = \"1024\"\n"
                             "numvcpus = 2\n"
                             "scsi0:0.fileName = \"C:\\disks\\a.vmdk\"\n"
                             "empty = \"\"\n"
                             "scsi0.present = \"true\"\n"
                             "vendor.thing = \"\xc3\xa4 | 100|% =#\"\n";

static void test_round_trip(void)
{
    g_autoptr(vmx) vmx = parse(sample);
    g_autoptr(vmx) empty = parse("");
    g_autoptr(vmx) no_end = parse("a = \"1\"");
    g_autoptr(vmx) windows = parse("\xef\xbb\xbf"
                                   "a = \"1\"\r\n\r\nb = \"2\"\r\n");

    assert_format(vmx, sample);
    assert_format(empty, "");
    assert_format(no_end, "a = \"1\"\n");
    assert_format(windows, "\xef\xbb\xbf"
                           "a = \"1\"\r\n\r\nb = \"2\"\r\n");
    g_assert_cmpstr(vmx_get(windows, "a"), ==, "1");
    g_assert_cmpint(vmx_set(windows, "c", "3"), ==, 0);
    assert_format(windows, "\xef\xbb\xbf"
                           "a = \"1\"\r\n\r\nb = \"2\"\r\nc = \"3\"\r\n");
}

static void test_get(void)
{
    g_autoptr(vmx) vmx = parse(sample);
    bool flag = false;
    int64_t number = 0;

    g_assert_cmpstr(vmx_get(vmx, "DISPLAYNAME"), ==, "say \"hi\"\nthere");
    g_assert_cmpstr(vmx_get(vmx, "numvcpus"), ==, "2");
    g_assert_cmpstr(vmx_get(vmx, "scsi0:0.filename"), ==, "C:\\disks\\a.vmdk");
    g_assert_cmpstr(vmx_get(vmx, "empty"), ==, "");
    g_assert_cmpstr(vmx_get(vmx, "vendor.thing"), ==, "\xc3\xa4 | 100|% =#");
    g_assert_null(vmx_get(vmx, "scsi0"));
    g_assert_cmpuint(vmx_get_line(vmx, "memsize"), ==, 6);
    g_assert_cmpuint(vmx_get_line(vmx, "missing"), ==, 0);

    g_assert_cmpint(vmx_get_bool(vmx, "scsi0.present", &flag), ==, 0);
    g_assert_true(flag);
    g_assert_cmpint(vmx_get_bool(vmx, "empty", &flag), ==, -ENOENT);
    g_assert_cmpint(vmx_get_bool(vmx, "missing", &flag), ==, -ENOENT);
    g_assert_cmpint(vmx_get_bool(vmx, "memsize", &flag), ==, -EINVAL);
    g_assert_true(flag);
    g_assert_cmpint(vmx_get_int(vmx, "memsize", 4, 4096, &number), ==, 0);
    g_assert_cmpint(number, ==, 1024);
    g_assert_cmpint(vmx_get_int(vmx, "memsize", 4, 1023, &number), ==, -ERANGE);
    g_assert_cmpint(vmx_get_int(vmx, "memsize", 1025, 4096, &number), ==, -ERANGE);
    g_assert_cmpint(vmx_get_int(vmx, "displayName", 0, 1, &number), ==, -EINVAL);
    g_assert_cmpint(vmx_get_int(vmx, "empty", 0, 1, &number), ==, -ENOENT);
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        int error;
        int64_t number;
    } cases[] = {
        {"0", 0, 0},
        {"-5", 0, -5},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {" 1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"-", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1.5", -EINVAL, 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(vmx) vmx = vmx_new();
        int64_t number = 0;

        g_assert_cmpint(vmx_set(vmx, "n", cases[i].text), ==, 0);
        g_assert_cmpint(vmx_get_int(vmx, "n", INT64_MIN, INT64_MAX, &number), ==, cases[i].error);
        g_assert_cmpint(number, ==, cases[i].number);
    }
}

static void test_change(void)
{
    g_autoptr(vmx) vmx =
        parse("# top\nA = \"1\"   # why\n  b=\"2\"\nscsi0.x = \"3\"\nSCSI0:1.y = \"4\"\nend = \"5\"\n");
    const char *key;
    const char *value;
    size_t i = 0;

    g_assert_cmpint(vmx_set(vmx, "a", "x\"y|z\n"), ==, 0);
    g_assert_cmpint(vmx_set(vmx, "B", "2"), ==, 0); /* the same: not touched */
    g_assert_cmpint(vmx_set_bool(vmx, "flag", true), ==, 0);
    g_assert_cmpint(vmx_set_int(vmx, "number", -7), ==, 0);
    vmx_remove_prefix(vmx, "Scsi0");
    g_assert_true(vmx_remove(vmx, "END"));
    g_assert_false(vmx_remove(vmx, "end"));
    assert_format(vmx, "# top\nA = \"x|22y|7Cz|0A\"   # why\n  b=\"2\"\nflag = \"TRUE\"\nnumber = \"-7\"\n");
    g_assert_cmpstr(vmx_get(vmx, "A"), ==, "x\"y|z\n");
    g_assert_cmpuint(vmx_get_line(vmx, "A"), ==, 0);
    g_assert_true(vmx_next(vmx, &i, &key, &value));
    g_assert_cmpstr(key, ==, "A");
    g_assert_true(vmx_next(vmx, &i, &key, &value));
    g_assert_cmpstr(key, ==, "b");
    g_assert_cmpstr(value, ==, "2");
    g_assert_true(vmx_next(vmx, &i, &key, &value) && vmx_next(vmx, &i, &key, &value));
    g_assert_false(vmx_next(vmx, &i, &key, &value));
}

static void test_refused(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a = \"1\"\n\nnonsense\n", "line 3: expected*"},
        {"a = \"1\nb = \"2\"\n", "line 1: the closing quote*"},
        {"a = \"1\" b\n", "line 1: text after*"},
        {"a = \"1\"2\"\n", "line 1: text after*"},
        {"a = 1\"2\n", "line 1: a quote*"},
        {" = \"1\"\n", "line 1: not a valid key*"},
        {"a b = \"1\"\n", "line 1: not a valid key*"},
        {"a = \"1\"\nb = \"1\"\nA = \"2\"\n", "line 3: the key was already*"},
        {"a = \"|00\"\n", "line 1: the value has a NUL*"},
        {"a = \"|FF\"\n", "line 1: the value has a NUL*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct vmx *vmx = NULL;
        g_autofree char *message = NULL;

        g_assert_cmpint(vmx_parse(cases[i].text, strlen(cases[i].text), &vmx, &message), ==, -EINVAL);
        g_assert_null(vmx);
        g_assert_nonnull(message);
        if (!g_pattern_match_simple(cases[i].message, message)) {
            g_error("%s", message);
        }
    }
}

static void test_limits(void)
{
    g_autoptr(GString) many = g_string_new(NULL);
    g_autofree char *long_value = g_strnfill(VMX_MAX_VALUE_BYTES + 1, 'v');
    g_autofree char *long_key = g_strnfill(VMX_MAX_KEY_BYTES + 1, 'k');
    g_autofree char *large = g_strnfill(VMX_MAX_BYTES + 1, '\n');
    struct vmx *none = NULL;
    g_autoptr(vmx) vmx = vmx_new();
    char *message = NULL;

    g_assert_cmpint(vmx_parse(large, strlen(large), &none, &message), ==, -E2BIG);
    g_clear_pointer(&message, g_free);
    g_assert_cmpint(vmx_parse("a = \"\0\"", 7, &none, &message), ==, -EINVAL);
    g_clear_pointer(&message, g_free);
    for (int i = 0; i <= VMX_MAX_KEYS; i++) {
        g_string_append_printf(many, "k%d = \"\"\n", i);
    }
    g_assert_cmpint(vmx_parse(many->str, many->len, &none, &message), ==, -E2BIG);
    g_assert_cmpstr(message, ==, "line 16385: too many keys");
    g_clear_pointer(&message, g_free);
    g_assert_null(none);

    g_assert_cmpint(vmx_set(vmx, "k", long_value), ==, -E2BIG);
    g_assert_cmpint(vmx_set(vmx, long_key, "v"), ==, -E2BIG);
    g_assert_cmpint(vmx_set(vmx, "k", "\xff"), ==, -EINVAL);
    g_assert_cmpint(vmx_set(vmx, "", "v"), ==, -EINVAL);
    g_assert_cmpint(vmx_set(vmx, "a=b", "v"), ==, -EINVAL);
    g_assert_cmpint(vmx_set(vmx, "a\nb", "v"), ==, -EINVAL);
    g_assert_cmpint(vmx_set(vmx, "#a", "v"), ==, -EINVAL);
    assert_format(vmx, "");
    long_value[VMX_MAX_VALUE_BYTES] = '\0';
    g_assert_cmpint(vmx_set(vmx, "k", long_value), ==, 0);
    long_value[VMX_MAX_VALUE_BYTES - 1] = '\0';
    g_assert_cmpint(vmx_set(vmx, "l", long_value), ==, -E2BIG); /* together beyond what a file may have */
    g_assert_null(vmx_get(vmx, "l"));
}

static void test_encoding(void)
{
    g_autoptr(vmx) japanese = parse(".encoding = \"Shift_JIS\"\ndisplayName = \"\x93\x56\x8b\x85\"\n");
    g_autoptr(vmx) western = parse("displayName = \"M\xfcller\"\n");
    g_autoptr(vmx) ascii = parse(".encoding = \"windows-1252\"\n");
    struct vmx *none = NULL;
    g_autofree char *message = NULL;
    const char *bad = ".encoding = \"no-such-thing\"\na = \"\xff\"\n";

    g_assert_cmpstr(vmx_get(japanese, "displayName"), ==, "\xe5\xa4\xa9\xe7\x90\x83");
    g_assert_cmpstr(vmx_get(japanese, ".encoding"), ==, "UTF-8");
    assert_format(western, "displayName = \"M\xc3\xbcller\"\n.encoding = \"UTF-8\"\n");
    assert_format(ascii, ".encoding = \"UTF-8\"\n");
    g_assert_cmpint(vmx_parse(bad, strlen(bad), &none, &message), ==, -EINVAL);
}

static void test_uuid(void)
{
    char api[37] = "";
    char file[48] = "";

    g_assert_cmpint(vmx_uuid_to_api("56 4D 12 34 56 78 9a bc-de f0 12 34 56 78 9a bc", api), ==, 0);
    g_assert_cmpstr(api, ==, "564d1234-5678-9abc-def0-123456789abc");
    g_assert_cmpint(vmx_uuid_from_api(api, file), ==, 0);
    g_assert_cmpstr(file, ==, "56 4d 12 34 56 78 9a bc-de f0 12 34 56 78 9a bc");
    g_assert_cmpint(vmx_uuid_to_api("564d1234", api), ==, -EINVAL);
    g_assert_cmpint(vmx_uuid_to_api("564d1234-5678-9abc-def0-123456789abcd", api), ==, -EINVAL);
    g_assert_cmpint(vmx_uuid_to_api("564d1234-5678-9abc-def0-123456789abz", api), ==, -EINVAL);
    g_assert_cmpint(vmx_uuid_from_api("", file), ==, -EINVAL);
    g_assert_cmpstr(api, ==, "564d1234-5678-9abc-def0-123456789abc");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmx/round-trip", test_round_trip);
    g_test_add_func("/vmx/get", test_get);
    g_test_add_func("/vmx/numbers", test_numbers);
    g_test_add_func("/vmx/change", test_change);
    g_test_add_func("/vmx/refused", test_refused);
    g_test_add_func("/vmx/limits", test_limits);
    g_test_add_func("/vmx/encoding", test_encoding);
    g_test_add_func("/vmx/uuid", test_uuid);
    return g_test_run();
}
