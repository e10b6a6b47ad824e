// SPDX-License-Identifier: Apache-2.0
/*
 * Passwords: hashes that verify only what they were made of, the quality rule, random ones.
 */
#include "vim/password.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static void test_hash(void)
{
    g_autofree char *hash = NULL, *again = NULL;
    g_assert_cmpint(password_hash("correct horse", &hash), ==, 0);
    g_assert_cmpint(password_hash("correct horse", &again), ==, 0);
    g_assert_true(g_str_has_prefix(hash, "$y$")); /* yescrypt */
    g_assert_cmpstr(hash, !=, again);             /* the salts differ */
    g_assert_true(password_verify("correct horse", hash));
    g_assert_true(password_verify("correct horse", again));
    g_assert_false(password_verify("correct horsf", hash));
    g_assert_false(password_verify("correct hors", hash));
    g_assert_false(password_verify("correct horse ", hash));
    g_assert_false(password_verify("", hash));
}

static void test_foreign_hashes(void)
{
    static const char *const bad[] = {"", "*", "*0", "!", "x", "$y$", "$nonsense$abc$def", NULL};
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_assert_false(password_verify("password", bad[i]));
        g_assert_false(password_verify(bad[i], bad[i]));
    }
    /* A hash of another method that crypt(3) knows is as good: SHA-512 here. */
    g_assert_true(password_verify("Hello world!", "$6$tenkyu$mt/aUX8EVZW/1tY4FxOAx9ZKcMcr8ys0AEF"
                                                  "vKiXWAfg5NOYWjUlSoAsNeCbqa/6uv63fGWr6Ok298FAa.2Pdz0"));
}

static void test_quality(void)
{
    g_autofree char *longest = g_strnfill(PASSWORD_MAX_BYTES - 1, 'a');
    g_autofree char *too_long = g_strnfill(PASSWORD_MAX_BYTES, 'a');
    g_autofree char *hash = NULL;
    g_assert_cmpint(password_check_quality("1234567"), ==, -EINVAL);
    g_assert_cmpint(password_check_quality("12345678"), ==, 0);
    g_assert_cmpint(password_check_quality("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), ==, -EINVAL); /* 4 */
    g_assert_cmpint(password_check_quality("1234567\xff"), ==, -EILSEQ);
    g_assert_cmpint(password_check_quality(longest), ==, 0);
    g_assert_cmpint(password_check_quality(too_long), ==, -E2BIG);
    /* What passes can be hashed, with all of it counting. */
    g_assert_cmpint(password_hash(longest, &hash), ==, 0);
    g_assert_true(password_verify(longest, hash));
    longest[PASSWORD_MAX_BYTES - 2] = 'b';
    g_assert_false(password_verify(longest, hash));
    g_assert_cmpint(password_hash(too_long, &hash), <, 0);
}

static void test_random(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < 1000; i++) {
        char *password = password_random();
        g_assert_cmpuint(strlen(password), ==, 20);
        g_assert_cmpuint(strcspn(password, "0Oo1Il5S \n"), ==, 20);
        g_assert_true(g_hash_table_add(seen, password));
        g_assert_cmpint(password_check_quality(password), ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/password/hash", test_hash);
    g_test_add_func("/password/foreign-hashes", test_foreign_hashes);
    g_test_add_func("/password/quality", test_quality);
    g_test_add_func("/password/random", test_random);
    return g_test_run();
}
