// SPDX-License-Identifier: Apache-2.0
/*
 * Datastore paths: what parses, what is refused and by which rule, and the arithmetic on paths.
 */
#include "host/storage/datastore_path.h"

#include <errno.h>
#include <string.h>

static void test_good(void)
{
    static const struct {
        const char *text, *datastore, *path, *formatted;
    } cases[] = {
        {"[datastore1] folder/file.vmdk", "datastore1", "folder/file.vmdk", "[datastore1] folder/file.vmdk"},
        {"[ds]file", "ds", "file", "[ds] file"},
        {"[ds]", "ds", "", "[ds]"},
        {"[ds] ", "ds", "", "[ds]"},
        {"[ds] a/", "ds", "a", "[ds] a"},
        {"[ds] a//b///", "ds", "a/b", "[ds] a/b"},
        {"[my store (1)] a b/c d", "my store (1)", "a b/c d", "[my store (1)] a b/c d"},
        {"[ds] \xe5\xa4\xa9/\xe7\x90\x83", "ds", "\xe5\xa4\xa9/\xe7\x90\x83",
         "[ds] \xe5\xa4\xa9/\xe7\x90\x83"},
        {"[ds] ..a/b..c/...", "ds", "..a/b..c/...", "[ds] ..a/b..c/..."},
        {"[ds] a]b[c", "ds", "a]b[c", "[ds] a]b[c"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        DATASTORE_PATH_AUTO(path);
        DATASTORE_PATH_AUTO(again);
        g_autofree char *formatted = NULL;
        const char *rule = NULL;

        g_assert_cmpint(datastore_path_parse(cases[i].text, -1, &path, &rule), ==, 0);
        g_assert_cmpstr(path.datastore, ==, cases[i].datastore);
        g_assert_cmpstr(path.path, ==, cases[i].path);
        formatted = datastore_path_format(path.datastore, path.path);
        g_assert_cmpstr(formatted, ==, cases[i].formatted);
        g_assert_cmpint(datastore_path_parse(formatted, -1, &again, &rule), ==, 0);
        g_assert_cmpstr(again.path, ==, path.path);
        g_assert_null(rule);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *text, *rule;
    } cases[] = {
        {"", "*brackets*"},
        {"datastore1/file", "*brackets*"},
        {" [ds] a", "*brackets*"},
        {"[ds a", "*brackets*"},
        {"[] a", "*empty*"},
        {"[a/b] c", "*name must not contain*"},
        {"[a[b] c", "*name must not contain*"},
        {"[ds] /etc/passwd", "*absolute*"},
        {"[ds]/etc/passwd", "*absolute*"},
        {"[ds] ..", "*'..'*"},
        {"[ds] ../x", "*'..'*"},
        {"[ds] a/../../x", "*'..'*"},
        {"[ds] a/..", "*'..'*"},
        {"[ds] a/./b", "*'..'*"},
        {"[ds]  a", "*space*"},
        {"[ds] a\nb", "*control*"},
        {"[ds] a\x7f", "*control*"},
        {"[ds] a\xc2\x85", "*control*"},
        {"[d\ts] a", "*control*"},
        {"[ds] \xff", "*UTF-8*"},
        {"[ds] \xc0\xae\xc0\xae/x", "*UTF-8*"}, /* ".." written too long */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct datastore_path path = {NULL, NULL};
        const char *rule = NULL;

        g_assert_cmpint(datastore_path_parse(cases[i].text, -1, &path, &rule), ==, -EINVAL);
        g_assert_true(g_pattern_match_simple(cases[i].rule, rule));
        g_assert_null(path.datastore);
        g_assert_null(path.path);
    }
}

static void test_limits(void)
{
    g_autofree char *name = g_strnfill(DATASTORE_COMPONENT_MAX, 'n');
    g_autofree char *good = g_strdup_printf("[%s] %s/%s", name, name, name);
    g_autofree char *long_component = g_strdup_printf("[ds] a/%sx", name);
    g_autofree char *long_datastore = g_strdup_printf("[%sx] a", name);
    g_autoptr(GString) text = g_string_new("[ds] ");
    DATASTORE_PATH_AUTO(path);
    struct datastore_path none = {NULL, NULL};
    const char *rule = NULL;

    g_assert_cmpint(datastore_path_parse(good, -1, &path, &rule), ==, 0);
    g_assert_cmpint(datastore_path_parse(long_component, -1, &none, &rule), ==, -ENAMETOOLONG);
    g_assert_cmpint(datastore_path_parse(long_datastore, -1, &none, &rule), ==, -ENAMETOOLONG);
    for (int i = 0; i < DATASTORE_PATH_MAX / 2; i++) {
        g_string_append(text, "a/");
    }
    g_string_append_c(text, 'a');
    datastore_path_clear(&path);
    g_assert_cmpint(datastore_path_parse(text->str, -1, &path, &rule), ==, 0);
    g_string_append_c(text, 'a');
    g_assert_cmpint(datastore_path_parse(text->str, -1, &none, &rule), ==, -ENAMETOOLONG);
    g_assert_cmpint(datastore_path_parse("[ds] a\0b", 8, &none, &rule), ==, -EINVAL);
    g_assert_true(g_pattern_match_simple("*NUL*", rule));
}

static void test_relative(void)
{
    g_autofree char *path = NULL;
    char *none = NULL;
    const char *rule = NULL;

    g_assert_cmpint(datastore_path_parse_relative("a/b/", -1, &path, &rule), ==, 0);
    g_assert_cmpstr(path, ==, "a/b");
    g_assert_cmpint(datastore_path_parse_relative("/a", -1, &none, &rule), ==, -EINVAL);
    g_assert_cmpint(datastore_path_parse_relative("a/..", -1, &none, &rule), ==, -EINVAL);
    g_assert_null(none);
}

#define ASSERT_TAKES(call, expected)          \
    do {                                      \
        g_autofree char *got = (call);        \
        g_assert_cmpstr(got, ==, (expected)); \
    } while (0)

static void test_arithmetic(void)
{
    ASSERT_TAKES(datastore_path_join("", "a"), "a");
    ASSERT_TAKES(datastore_path_join("a/b", "c"), "a/b/c");
    ASSERT_TAKES(datastore_path_dirname("a/b/c"), "a/b");
    ASSERT_TAKES(datastore_path_dirname("a"), "");
    ASSERT_TAKES(datastore_path_dirname(""), "");
    g_assert_cmpstr(datastore_path_basename("a/b"), ==, "b");
    g_assert_cmpstr(datastore_path_basename("b"), ==, "b");
    g_assert_cmpstr(datastore_path_basename(""), ==, "");
    ASSERT_TAKES(datastore_path_with_suffix("a.b/vm.vmx", ".vmdk"), "a.b/vm.vmdk");
    ASSERT_TAKES(datastore_path_with_suffix("a.b/vm", ".vmdk"), "a.b/vm.vmdk");
    ASSERT_TAKES(datastore_path_with_suffix("a/.hidden", ".x"), "a/.hidden.x");
    ASSERT_TAKES(datastore_path_with_suffix("vm.1.vmx", "-000001.vmdk"), "vm.1-000001.vmdk");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/datastore_path/good", test_good);
    g_test_add_func("/datastore_path/refused", test_refused);
    g_test_add_func("/datastore_path/limits", test_limits);
    g_test_add_func("/datastore_path/relative", test_relative);
    g_test_add_func("/datastore_path/arithmetic", test_arithmetic);
    return g_test_run();
}
