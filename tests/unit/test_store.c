// SPDX-License-Identifier: Apache-2.0
/*
 * The store: what was saved comes back; a missing file is empty; damage is refused and named by its line; a
 * failed save leaves the old contents.
 */
#include "vim/store.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vim/types.h"

struct folder {
    char *dir;  /* scratch, removed at the end */
    char *path; /* of the store's file */
};

static void setup(struct folder *folder, gconstpointer data)
{
    (void)data;
    folder->dir = g_dir_make_tmp("test-store-XXXXXX", NULL);
    folder->path = g_build_filename(folder->dir, "store.json", NULL);
}

static void teardown(struct folder *folder, gconstpointer data)
{
    (void)data;
    g_unlink(folder->path);
    g_rmdir(folder->dir);
    g_free(folder->path);
    g_free(folder->dir);
}

static GPtrArray *sample(void)
{
    GPtrArray *objects = g_ptr_array_new_with_free_func(vim_free);
    struct Permission *permission = Permission_new();
    permission->entity = vim_ref_make(vim_type_by_name("Folder"), "ha-folder-root");
    permission->principal = g_strdup("line\nbreak, \"quotes\" and \xc3\xa9");
    permission->roleId = -1;
    permission->propagate = true;
    g_ptr_array_add(objects, permission);
    struct AuthorizationRole *role = AuthorizationRole_new();
    role->roleId = 7;
    role->name = g_strdup("");
    role->info = Description_new();
    role->info->label = g_strdup("a");
    role->info->summary = g_strdup("b");
    vim_array_add_string(&role->privilege, "System.View");
    vim_array_add_string(&role->privilege, "System.Read");
    g_ptr_array_add(objects, role);
    return objects;
}

static void assert_loads(const char *path, GPtrArray *expected)
{
    GPtrArray *loaded = NULL;
    char *message = NULL;
    g_assert_cmpint(vim_store_load(path, &loaded, &message), ==, 0);
    g_assert_null(message);
    g_assert_cmpuint(loaded->len, ==, expected->len);
    for (guint i = 0; i < expected->len; i++) {
        g_assert_true(vim_equal(g_ptr_array_index(loaded, i), g_ptr_array_index(expected, i)));
    }
    g_ptr_array_unref(loaded);
}

static void test_round_trip(struct folder *folder, gconstpointer data)
{
    (void)data;
    g_autoptr(GPtrArray) objects = sample();
    g_assert_cmpint(vim_store_save(folder->path, objects), ==, 0);
    assert_loads(folder->path, objects);
    struct stat status;
    g_assert_cmpint(stat(folder->path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(folder->path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3); /* two objects, and nothing after the last line */
    g_ptr_array_set_size(objects, 0);
    g_assert_cmpint(vim_store_save(folder->path, objects), ==, 0);
    assert_loads(folder->path, objects);
}

static void test_missing(struct folder *folder, gconstpointer data)
{
    (void)data;
    g_autoptr(GPtrArray) nothing = g_ptr_array_new();
    assert_loads(folder->path, nothing);
}

static void assert_refused(const char *path, const char *text, const char *line)
{
    g_autoptr(GPtrArray) untouched = g_ptr_array_new();
    GPtrArray *loaded = untouched;
    g_autofree char *message = NULL;
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(vim_store_load(path, &loaded, &message), ==, -EBADMSG);
    g_assert_true(loaded == untouched);
    g_assert_nonnull(strstr(message, path));
    g_assert_nonnull(strstr(message, line));
}

static void test_damage(struct folder *folder, gconstpointer data)
{
    (void)data;
#define GOOD "{\"_typeName\":\"KeyValue\",\"key\":\"a\",\"value\":\"b\"}\n"
    assert_refused(folder->path, GOOD GOOD "{\"_typeName\":\"KeyValue\",\"key\":\"a\"", "line 3");
    assert_refused(folder->path, GOOD "{\"_typeName\":\"KeyValue\",\"key\":\"a\"}\n", "line 2");
    assert_refused(folder->path, GOOD "\n{\"_typeName\":\"NoSuchType\"}\n", "line 3");
    assert_refused(folder->path, "{\"_typeName\":\"int\"}\n", "line 1");
    assert_refused(folder->path, "{\"_typeName\":\"Folder\"}\n", "line 1");
    assert_refused(folder->path, "{}\n", "line 1");
    assert_refused(folder->path, "17\n", "line 1");
    GPtrArray *loaded = NULL;
    g_assert_true(g_file_set_contents(folder->path, GOOD "\n" GOOD, -1, NULL));
    g_assert_cmpint(vim_store_load(folder->path, &loaded, NULL), ==, 0);
    g_assert_cmpuint(loaded->len, ==, 2);
    g_ptr_array_unref(loaded);
}

static void test_failed_save(struct folder *folder, gconstpointer data)
{
    (void)data;
    g_autoptr(GPtrArray) objects = sample();
    g_autoptr(GPtrArray) nothing = g_ptr_array_new();
    g_assert_cmpint(vim_store_save(folder->path, objects), ==, 0);
    /* A folder in place of the file that is to be written first makes the save fail, for root too. */
    g_autofree char *blocker = g_strconcat(folder->path, ".new~", NULL);
    g_assert_cmpint(g_mkdir(blocker, 0700), ==, 0);
    g_assert_cmpint(vim_store_save(folder->path, nothing), <, 0);
    assert_loads(folder->path, objects);
    g_assert_cmpint(g_rmdir(blocker), ==, 0);
    g_autofree char *nowhere = g_build_filename(folder->dir, "missing", "store.json", NULL);
    g_assert_cmpint(vim_store_save(nowhere, objects), ==, -ENOENT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/store/" name, struct folder, NULL, setup, fn, teardown)
    ADD("round-trip", test_round_trip);
    ADD("missing", test_missing);
    ADD("damage", test_damage);
    ADD("failed-save", test_failed_save);
    return g_test_run();
}
