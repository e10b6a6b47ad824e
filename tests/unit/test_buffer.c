// SPDX-License-Identifier: Apache-2.0
/*
 * The growable buffer: contents survive every growth, the ending NUL is not counted, a taken buffer
 * starts again from nothing.
 */
#include "base/buffer.h"

#include <stdint.h>

static void test_empty(void)
{
    BUFFER_AUTO(buffer);
    size_t length = 99;
    g_autofree char *taken = NULL;

    buffer_append(&buffer, NULL, 0);
    g_assert_null(buffer.data);
    taken = buffer_take(&buffer, &length);
    g_assert_cmpstr(taken, ==, "");
    g_assert_cmpuint(length, ==, 0);
    g_assert_null(buffer.data);
}

static void test_appends(void)
{
    BUFFER_AUTO(buffer);

    buffer_append_literal(&buffer, "<a>");
    buffer_append_char(&buffer, '\0');
    buffer_append_string(&buffer, "xyz");
    buffer_append(&buffer, "12345", 3);
    g_assert_cmpmem(buffer.data, buffer.length, "<a>\0xyz123", 10);
    g_assert_cmpint(buffer_string(&buffer)[10], ==, '\0');
    g_assert_cmpuint(buffer.length, ==, 10);
    buffer_truncate(&buffer, 3);
    g_assert_cmpstr(buffer_string(&buffer), ==, "<a>");
}

/* Appends of every size around the places where the buffer grows. */
static void test_growth(void)
{
    char piece[700];

    for (size_t i = 0; i < sizeof(piece); i++) {
        piece[i] = (char)('a' + i % 26);
    }
    for (size_t size = 1; size < sizeof(piece); size++) {
        BUFFER_AUTO(buffer);

        for (int i = 0; i < 5; i++) {
            buffer_append(&buffer, piece, size);
            g_assert_cmpuint(buffer.capacity, >, buffer.length);
        }
        g_assert_cmpuint(buffer.length, ==, 5 * size);
        for (int i = 0; i < 5; i++) {
            g_assert_cmpmem(buffer.data + (size_t)i * size, size, piece, size);
        }
    }
}

static void test_reserve(void)
{
    BUFFER_AUTO(buffer);
    char *end = buffer_reserve(&buffer, 1000);

    memset(end, 'r', 1000);
    buffer_commit(&buffer, 10);
    g_assert_cmpstr(buffer_string(&buffer), ==, "rrrrrrrrrr");
}

/* Formatted text that fits, that exactly does not fit, and that is far longer than what there is. */
static void test_printf(void)
{
    for (int width = 200; width < 600; width++) {
        BUFFER_AUTO(buffer);
        g_autofree char *expected = g_strdup_printf("ab%*d|7", width, 5);

        buffer_append_literal(&buffer, "ab");
        buffer_printf(&buffer, "%*d", width, 5);
        buffer_printf(&buffer, "|%d", 7);
        g_assert_cmpstr(buffer_string(&buffer), ==, expected);
        g_assert_cmpuint(buffer.length, ==, strlen(expected));
    }
}

static void test_take(void)
{
    struct buffer buffer = BUFFER_INIT;
    size_t length = 0;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    buffer_append_literal(&buffer, "one");
    first = buffer_take(&buffer, &length);
    g_assert_cmpuint(length, ==, 3);
    buffer_append_literal(&buffer, "two");
    second = buffer_take(&buffer, NULL);
    g_assert_cmpstr(first, ==, "one");
    g_assert_cmpstr(second, ==, "two");
    g_assert_null(buffer.data);
}

/* A length that no memory can hold must end the process, not wrap around to a small allocation. */
static void test_overflow(void)
{
    if (g_test_subprocess()) {
        BUFFER_AUTO(buffer);

        buffer_append_literal(&buffer, "x");
        buffer_reserve(&buffer, SIZE_MAX - 1);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*do not fit in memory*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/buffer/empty", test_empty);
    g_test_add_func("/buffer/appends", test_appends);
    g_test_add_func("/buffer/growth", test_growth);
    g_test_add_func("/buffer/reserve", test_reserve);
    g_test_add_func("/buffer/printf", test_printf);
    g_test_add_func("/buffer/take", test_take);
    g_test_add_func("/buffer/overflow", test_overflow);
    return g_test_run();
}
