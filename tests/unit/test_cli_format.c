// SPDX-License-Identifier: Apache-2.0
/*
 * Text of the command line client: sizes both ways, durations, widths, tables, and strings of a server
 * that must not reach a terminal as they are. JSON made and read by js.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/certificate.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/websocket.h"

static void check_bytes(int64_t bytes, const char *expected)
{
    g_autofree char *text = cli_format_bytes(bytes);
    g_assert_cmpstr(text, ==, expected);
}

static void test_format_bytes(void)
{
    check_bytes(0, "0 B");
    check_bytes(1023, "1023 B");
    check_bytes(1024, "1 KiB");
    check_bytes(1536, "1.5 KiB");
    check_bytes((int64_t)512 << 20, "512 MiB");
    check_bytes(((int64_t)1 << 30) - 1, "1.0 GiB");
    check_bytes((int64_t)123456789012, "115 GiB");
    check_bytes(INT64_MAX, "8 EiB");
}

static void check_size(const char *text, int64_t unit, int64_t expected)
{
    int64_t bytes = -1;
    int error = cli_parse_size(text, unit, &bytes);
    if (expected < 0) {
        g_assert_cmpint(error, ==, expected);
        g_assert_cmpint(bytes, ==, -1); /* untouched */
    } else {
        g_assert_cmpint(error, ==, 0);
        g_assert_cmpint(bytes, ==, expected);
    }
}

static void test_parse_size(void)
{
    check_size("512", 1 << 20, (int64_t)512 << 20);
    check_size("512M", 1, (int64_t)512 << 20);
    check_size("2g", 1, (int64_t)2 << 30);
    check_size("1.5T", 1, (int64_t)3 << 39);
    check_size("4 GiB", 1, (int64_t)4 << 30);
    check_size("10kb", 1, 10240);
    check_size("7B", 1 << 20, 7);
    const char *const bad[] = {"",    "G",    "-1G", "0",   "0G",  "1X",     "1GG", "0x10",
                               "inf", "1e30", "nan", "1 2", "5EB", "99999P", ".5G", NULL};
    for (unsigned i = 0; bad[i] != NULL; i++) {
        g_test_message("\"%s\"", bad[i]);
        check_size(bad[i], 1, -EINVAL);
    }
}

static void check_seconds(int64_t seconds, const char *expected)
{
    g_autofree char *text = cli_format_seconds(seconds);
    g_assert_cmpstr(text, ==, expected);
}

static void test_format_seconds(void)
{
    check_seconds(0, "0 s");
    check_seconds(59, "59 s");
    check_seconds(185, "3 min 5 s");
    check_seconds(3600, "1 h 0 min");
    check_seconds(86400 * 3 + 7200, "3 d 2 h");
}

static void test_format_time(void)
{
    g_autofree char *none = cli_format_time(NULL);
    g_autofree char *strange = cli_format_time("yesterday");
    g_autofree char *time = cli_format_time("2025-03-01T14:05:09.123456Z");
    g_assert_cmpstr(none, ==, "-");
    g_assert_cmpstr(strange, ==, "yesterday");
    g_assert_cmpstr(time, ==, "2025-03-01 15:05:09"); /* main() puts the test one hour east */
}

static void test_width(void)
{
    g_assert_cmpint(cli_width(""), ==, 0);
    g_assert_cmpint(cli_width("web"), ==, 3);
    g_assert_cmpint(cli_width("\u5929\u7403"), ==, 4); /* two wide characters */
    g_assert_cmpint(cli_width("e\u0301"), ==, 1);      /* a combining accent */
    g_assert_cmpint(cli_width("M\u00fcller"), ==, 6);
}

static void check_printable(const char *text, bool multi_line, const char *expected)
{
    g_autofree char *shown = cli_printable(text, multi_line);
    g_assert_cmpstr(shown, ==, expected);
}

static void test_printable(void)
{
    check_printable("plain \u5929", false, "plain \u5929");
    check_printable("\033[2Jgone", false, "\uFFFD[2Jgone");
    check_printable("two\nlines", false, "two\uFFFDlines");
    check_printable("two\nlines", true, "two\nlines");
    check_printable("\xc2\x9b"
                    "1m",
                    false, "\uFFFD1m"); /* the 8-bit form of ESC [ */
    check_printable("bad \xff byte", false, "bad \uFFFD byte");
    check_printable("a\u202eb", false, "a\uFFFDb");
}

static void check_path(const char *text, const char *datastore, const char *path)
{
    g_autofree char *found_datastore = NULL, *found_path = NULL;
    int error = cli_parse_datastore_path(text, &found_datastore, &found_path);
    g_assert_cmpint(error, ==, datastore != NULL ? 0 : -EINVAL);
    g_assert_cmpstr(found_datastore, ==, datastore);
    g_assert_cmpstr(found_path, ==, path);
}

static void test_datastore_path(void)
{
    check_path("[ds] a/b.iso", "ds", "a/b.iso");
    check_path("[my store]", "my store", "");
    check_path("[ds] ", "ds", "");
    check_path("ds/a", NULL, NULL);
    check_path("[]", NULL, NULL);
    check_path("[ds", NULL, NULL);
    check_path("[ds]a", NULL, NULL);
}

static void test_unescape(void)
{
    g_autofree char *name = cli_unescape_name("a%2fb%2Fc%5cd%25e%41%");
    g_assert_cmpstr(name, ==, "a/b/c\\d%e%41%");
}

static void test_table(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"NAME", ">N", "LAST", NULL});
    cli_table_add(table, "\u5929\u7403");
    cli_table_add(table, "7");
    cli_table_add(table, "x");
    cli_table_add(table, "web1\033");
    cli_table_printf(table, "%d", 100);
    cli_table_add(table, NULL);
    cli_table_print(table, out);
    fclose(out);
    g_assert_cmpstr(text, ==,
                    "NAME     N  LAST\n"
                    "\u5929\u7403     7  x\n"
                    "web1\uFFFD  100  -\n");
    free(text);
}

static void test_js_object(void)
{
    g_autoptr(json_object) object =
        js_object("T", "s:s", "x", "none:s", NULL, "i:i", 7, "l:l", (int64_t)1 << 40, "b:b", 1, "o:o",
                  js_array(js_ref("Task", "task-1"), NULL), NULL);
    g_assert_cmpstr(
        json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN), ==,
        "{\"_typeName\":\"T\",\"s\":\"x\",\"i\":7,\"l\":1099511627776,\"b\":true,\"o\":[{\"_typeName\":"
        "\"ManagedObjectReference\",\"type\":\"Task\",\"value\":\"task-1\"}]}");
}

static void test_js_at(void)
{
    g_autoptr(json_object) object =
        json_tokener_parse("{\"a\":{\"b\":{\"c\":1}},\"a.b\":{\"c\":\"deep\",\"d\":null},\"x\":{\"_"
                           "typeName\":\"string\",\"_value\":\"v\"}}");
    g_assert_cmpstr(js_text(object, "a.b.c"), ==, "deep"); /* the longest member name first */
    g_assert_null(js_text(object, "a.b.d"));
    g_assert_null(js_at(object, "a.x"));
    g_assert_null(js_at(NULL, "a"));
    g_assert_cmpint(js_int(object, "a.b.c", 9), ==, 9); /* not a number */
    g_assert_cmpstr(json_object_get_string(js_unbox(js_at(object, "x"))), ==, "v");
    g_assert_cmpuint(js_length(object), ==, 0);
}

static void check_url(const char *text, const char *expected)
{
    g_autofree char *url = NULL;
    g_assert_cmpint(cli_server_url(text, &url), ==, expected != NULL ? 0 : -EINVAL);
    g_assert_cmpstr(url, ==, expected);
}

static void test_url(void)
{
    check_url("host", "https://host");
    check_url("https://host/sdk", "https://host");
    check_url("https://host:443/", "https://host");
    check_url("http://127.0.0.1:8080", "http://127.0.0.1:8080");
    check_url("https://[::1]:8443/ui/", "https://[::1]:8443");
    check_url("host:8443", "https://host:8443");
    check_url("ftp://host", NULL);
    check_url("https://", NULL);
    check_url("https://root:secret@host", NULL);
    check_url("", NULL);
    g_assert_true(cli_server_is_local("http://127.0.0.1:1"));
    g_assert_true(cli_server_is_local("http://[::1]:1"));
    g_assert_false(cli_server_is_local("http://127.example.org"));
    g_assert_false(cli_server_is_local("http://host"));
}

static void test_thumbprint(void)
{
    static const char full[] = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF";
    static const char dotted[] = "01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:"
                                 "01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef";
    struct cli_certificate certificate;
    g_assert_true(cli_thumbprint_equal(full, dotted));
    g_assert_true(cli_thumbprint_equal(dotted, full));
    g_assert_false(cli_thumbprint_equal(full, "0123"));
    g_assert_false(cli_thumbprint_equal("0123", "0123")); /* a part says nothing */
    g_assert_false(cli_thumbprint_equal("", ""));
    g_assert_cmpint(cli_certificate_read("no certificate", &certificate), ==, -EINVAL);
}

static void test_websocket_accept(void)
{
    g_autofree char *accept = cli_websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="); /* RFC 6455, 1.3 */
    g_assert_cmpstr(accept, ==, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int main(int argc, char **argv)
{
    g_setenv("TZ", "UTC-1", TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/format/bytes", test_format_bytes);
    g_test_add_func("/cli/format/seconds", test_format_seconds);
    g_test_add_func("/cli/format/time", test_format_time);
    g_test_add_func("/cli/parse/size", test_parse_size);
    g_test_add_func("/cli/parse/datastore-path", test_datastore_path);
    g_test_add_func("/cli/parse/name", test_unescape);
    g_test_add_func("/cli/parse/url", test_url);
    g_test_add_func("/cli/parse/thumbprint", test_thumbprint);
    g_test_add_func("/cli/text/width", test_width);
    g_test_add_func("/cli/text/printable", test_printable);
    g_test_add_func("/cli/text/table", test_table);
    g_test_add_func("/cli/json/object", test_js_object);
    g_test_add_func("/cli/json/at", test_js_at);
    g_test_add_func("/cli/websocket/accept", test_websocket_accept);
    return g_test_run();
}
