// SPDX-License-Identifier: Apache-2.0
/*
 * The user store: first start, changes that survive a restart, damage, and waits after wrong passwords.
 */
#include "vim/users.h"

#include "vim/password.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
    char *dir;
    char *file;          /* users.json */
    char *password_file; /* root-password */
    struct users *users;
    int64_t now_ms; /* the store's clock */
};

static int64_t now_ms(void *data)
{
    return ((struct fixture *)data)->now_ms;
}

static int open_store(struct fixture *f, const char *user, const char *password, char **ret_new_password)
{
    g_autofree char *message = NULL;
    struct users_options options = {
        .state_dir = f->dir, .first_user = user, .first_password = password, .now_ms = now_ms, .now_data = f};
    int r = users_open(&options, &f->users, ret_new_password, &message);
    g_assert_true((r < 0) == (message != NULL));
    return r;
}

static void reopen(struct fixture *f)
{
    char *new_password = NULL;
    users_free(f->users);
    f->users = NULL;
    g_assert_cmpint(open_store(f, NULL, NULL, &new_password), ==, 0);
    g_assert_null(new_password);
}

static void setup_empty(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("test-users-XXXXXX", NULL);
    f->file = g_build_filename(f->dir, "users.json", NULL);
    f->password_file = g_build_filename(f->dir, "root-password", NULL);
    f->now_ms = 1000000;
}

static void setup(struct fixture *f, gconstpointer data)
{
    char *new_password = NULL;
    setup_empty(f, data);
    g_assert_cmpint(open_store(f, "admin", "password-1", &new_password), ==, 0);
    g_assert_null(new_password);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    users_free(f->users);
    g_autofree char *command = g_strdup_printf("rm -r '%s'", f->dir);
    g_assert_cmpint(system(command), ==, 0);
    g_free(f->dir);
    g_free(f->file);
    g_free(f->password_file);
}

static int log_in(struct fixture *f, const char *name, const char *password, const char *peer)
{
    return users_authenticate(f->users, name, password, peer, NULL);
}

static void assert_private(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
}

static void test_first_start(struct fixture *f, gconstpointer data)
{
    (void)data;
    char *password = NULL;
    g_autofree char *written = NULL, *full_name = NULL;
    g_assert_cmpint(open_store(f, NULL, NULL, &password), ==, 0);
    g_assert_cmpuint(strlen(password), ==, 20);
    assert_private(f->file);
    assert_private(f->password_file);
    g_assert_true(g_file_get_contents(f->password_file, &written, NULL, NULL));
    g_assert_cmpstr(g_strchomp(written), ==, password);
    g_assert_cmpint(users_authenticate(f->users, "root", password, "::1", &full_name), ==, 0);
    g_assert_cmpstr(full_name, ==, "Administrator");
    reopen(f);
    g_assert_cmpint(log_in(f, "root", password, "::1"), ==, 0);

    /* A first start that was cut off before users.json was there begins anew. */
    char *second = NULL;
    users_free(g_steal_pointer(&f->users));
    g_assert_cmpint(remove(f->file), ==, 0);
    g_assert_cmpint(open_store(f, NULL, NULL, &second), ==, 0);
    g_assert_cmpstr(second, !=, password);
    g_assert_cmpint(log_in(f, "root", second, "::1"), ==, 0);

    /* Another user's password does not touch the file; root's makes it worthless. */
    g_assert_cmpint(users_create(f->users, "other", "password-2", NULL, NULL), ==, 0);
    g_assert_cmpint(users_set_password(f->users, "other", "password-3"), ==, 0);
    g_assert_true(g_file_test(f->password_file, G_FILE_TEST_EXISTS));
    g_assert_cmpint(users_set_password(f->users, "root", "password-4"), ==, 0);
    g_assert_false(g_file_test(f->password_file, G_FILE_TEST_EXISTS));
    g_assert_cmpint(log_in(f, "root", second, "::1"), ==, -EACCES);
    password_wipe(password);
    password_wipe(second);
}

static void test_given_first_user(struct fixture *f, gconstpointer data)
{
    (void)data;
    char *password = NULL;
    g_assert_cmpint(open_store(f, "admin", "short", &password), ==, -EKEYREJECTED);
    g_assert_cmpint(open_store(f, "no good", "long enough", &password), ==, -EINVAL);
    g_assert_false(g_file_test(f->file, G_FILE_TEST_EXISTS));
    g_assert_cmpint(open_store(f, "admin", "long enough", &password), ==, 0);
    g_assert_null(password);
    g_assert_false(g_file_test(f->password_file, G_FILE_TEST_EXISTS));
    g_assert_cmpint(log_in(f, "admin", "long enough", "::1"), ==, 0);
    g_assert_false(users_exists(f->users, "root"));
}

static void test_changes(struct fixture *f, gconstpointer data)
{
    const char *const groups[] = {"Operators", "\xc3\xa9", NULL};
    const char *const none[] = {NULL};
    const char *const bad_groups[] = {"\xff", NULL};

    (void)data;
    g_assert_cmpint(users_create(f->users, "jo@site-1", "password-2", "Jo", groups), ==, 0);
    g_assert_cmpint(users_create(f->users, "jo@site-1", "password-2", "Jo", groups), ==, -EEXIST);
    g_assert_cmpint(users_create(f->users, "weak", "1234567", NULL, NULL), ==, -EKEYREJECTED);
    g_assert_cmpint(users_create(f->users, "bad", "password-2", "\xff", NULL), ==, -EINVAL);
    g_assert_cmpint(users_create(f->users, "bad", "password-2", NULL, bad_groups), ==, -EINVAL);
    static const char *const bad_names[] = {
        "",     " ",        "a b",
        "-a",   ".a",       "a/b",
        "a\nb", "\xc3\xa9", "a23456789012345678901234567890123456789012345678901234567890123456",
        NULL};
    for (size_t i = 0; bad_names[i] != NULL; i++) {
        g_assert_cmpint(users_create(f->users, bad_names[i], "password-2", NULL, NULL), ==, -EINVAL);
    }
    reopen(f);
    assert_private(f->file);
    struct user_info *info = users_find(f->users, "jo@site-1");
    g_assert_cmpstr(info->full_name, ==, "Jo");
    g_assert_cmpstrv(info->groups, groups);
    user_info_free(info);
    g_assert_cmpint(log_in(f, "jo@site-1", "password-2", "::1"), ==, 0);

    g_assert_cmpint(users_update(f->users, "jo@site-1", "Jo B", NULL), ==, 0);
    g_assert_cmpint(users_update(f->users, "nobody", "Jo B", NULL), ==, -ENOENT);
    g_assert_cmpint(users_update(f->users, "jo@site-1", "\xff", NULL), ==, -EINVAL);
    info = users_find(f->users, "jo@site-1");
    g_assert_cmpstr(info->full_name, ==, "Jo B");
    g_assert_cmpstrv(info->groups, groups);
    user_info_free(info);
    g_assert_cmpint(users_update(f->users, "jo@site-1", NULL, none), ==, 0);
    g_assert_cmpint(users_set_password(f->users, "jo@site-1", "password-3"), ==, 0);
    g_assert_cmpint(users_set_password(f->users, "jo@site-1", "1234567"), ==, -EKEYREJECTED);
    g_assert_cmpint(users_set_password(f->users, "nobody", "password-3"), ==, -ENOENT);
    reopen(f);
    info = users_find(f->users, "jo@site-1");
    g_assert_cmpstr(info->full_name, ==, "Jo B");
    g_assert_cmpstrv(info->groups, none);
    user_info_free(info);
    g_assert_cmpint(log_in(f, "jo@site-1", "password-2", "::1"), ==, -EACCES);
    g_assert_cmpint(log_in(f, "jo@site-1", "password-3", "::1"), ==, 0);

    g_autoptr(GPtrArray) list = users_list(f->users);
    g_assert_cmpuint(list->len, ==, 2);
    g_assert_cmpstr(((struct user_info *)list->pdata[0])->name, ==, "admin");
    g_assert_cmpstr(((struct user_info *)list->pdata[1])->name, ==, "jo@site-1");

    g_assert_cmpint(users_remove(f->users, "admin"), ==, 0);
    g_assert_cmpint(users_remove(f->users, "admin"), ==, -ENOENT);
    g_assert_cmpint(users_remove(f->users, "jo@site-1"), ==, -EBUSY);
    reopen(f);
    g_assert_null(users_find(f->users, "admin"));
    g_assert_true(users_exists(f->users, "jo@site-1"));
}

/* A change that cannot be written has not happened. */
static void test_write_failure(struct fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *away = g_strconcat(f->dir, "-away", NULL);
    g_assert_cmpint(rename(f->dir, away), ==, 0);
    g_assert_cmpint(users_create(f->users, "jo", "password-2", NULL, NULL), ==, -ENOENT);
    g_assert_cmpint(users_set_password(f->users, "admin", "password-2"), ==, -ENOENT);
    g_assert_false(users_exists(f->users, "jo"));
    g_assert_cmpint(log_in(f, "admin", "password-1", "::1"), ==, 0);
    g_assert_cmpint(rename(away, f->dir), ==, 0);
    g_assert_cmpint(users_create(f->users, "jo", "password-2", NULL, NULL), ==, 0);
}

static void test_damaged_file(struct fixture *f, gconstpointer data)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"version\":1,\"users\":[]}",
        "{\"version\":2,\"users\":[]}",
        "{\"version\":1,\"users\":[{}]}",
        "{\"version\":1,\"users\":[1]}",
        "{\"version\":1,\"users\":[{\"name\":\"a\",\"fullName\":\"\",\"groups\":[1],\"passwordHash\":\"x\"}]"
        "}",
        "{\"version\":1,\"users\":[{\"name\":\"a/"
        "\",\"fullName\":\"\",\"groups\":[],\"passwordHash\":\"x\"}]}",
        "{\"version\":1,\"users\":[{\"name\":\"a\",\"fullName\":\"\",\"groups\":[]}]}",
        NULL};
    char *password = NULL;

    (void)data;
    for (size_t i = 0; bad[i] != NULL; i++) {
        g_autofree char *after = NULL;
        g_assert_true(g_file_set_contents(f->file, bad[i], -1, NULL));
        g_assert_cmpint(open_store(f, NULL, NULL, &password), ==, -EBADMSG);
        g_assert_true(g_file_get_contents(f->file, &after, NULL, NULL));
        g_assert_cmpstr(after, ==, bad[i]); /* nobody's users are thrown away */
    }
}

static void test_waits(struct fixture *f, gconstpointer data)
{
    (void)data;
    /* A success in between begins the count anew. */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            g_assert_cmpint(log_in(f, "admin", "wrong", "10.0.0.1"), ==, -EACCES);
        }
        g_assert_cmpint(log_in(f, "admin", "password-1", "10.0.0.1"), ==, 0);
    }
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(log_in(f, "admin", "wrong", "10.0.0.1"), ==, -EACCES);
    }
    /* Now not even the right one is looked at, from there; from elsewhere it is. */
    g_assert_cmpint(log_in(f, "admin", "password-1", "10.0.0.1"), ==, -EAGAIN);
    g_assert_cmpint(log_in(f, "admin", "password-1", "10.0.0.2"), ==, 0);
    f->now_ms += 999;
    g_assert_cmpint(log_in(f, "admin", "password-1", "10.0.0.1"), ==, -EAGAIN);
    f->now_ms += 1;
    /* The waits double, up to a quarter of an hour. Asking meanwhile does not prolong them. */
    int64_t wait_ms = 2000;
    for (int i = 0; i < 12; i++) {
        g_assert_cmpint(log_in(f, "admin", "wrong", "10.0.0.1"), ==, -EACCES);
        f->now_ms += wait_ms - 1;
        g_assert_cmpint(log_in(f, "admin", "password-1", "10.0.0.1"), ==, -EAGAIN);
        f->now_ms += 1;
        wait_ms = MIN(wait_ms * 2, 15 * 60 * 1000);
    }
    g_assert_cmpint(log_in(f, "admin", "password-1", "10.0.0.1"), ==, 0);
    g_assert_cmpint(log_in(f, "admin", "wrong", "10.0.0.1"), ==, -EACCES);
    g_assert_cmpint(log_in(f, "admin", "password-1", "10.0.0.1"), ==, 0);
}

/* A name that does not exist is treated in the same way. */
static void test_unknown(struct fixture *f, gconstpointer data)
{
    (void)data;
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(log_in(f, "nobody", "", "10.0.0.1"), ==, -EACCES);
    }
    g_assert_cmpint(log_in(f, "nobody", "", "10.0.0.1"), ==, -EAGAIN);
    f->now_ms += 1000;
    g_assert_cmpint(log_in(f, "nobody", "", "10.0.0.1"), ==, -EACCES);
    g_assert_cmpint(log_in(f, "nobody", "", "10.0.0.1"), ==, -EAGAIN);
    /* Old failures are forgotten. */
    f->now_ms += 31 * 60 * 1000;
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(log_in(f, "nobody", "", "10.0.0.1"), ==, -EACCES);
    }
    g_assert_cmpint(log_in(f, "nobody", "", "10.0.0.1"), ==, -EAGAIN);
    g_assert_cmpint(log_in(f, "", "", ""), ==, -EACCES);
}

static gpointer guess_wrong(gpointer data)
{
    struct fixture *f = data;
    gint looked_at = 0;
    for (int i = 0; i < 5; i++) {
        looked_at += log_in(f, "admin", "wrong", "10.0.0.9") == -EACCES;
    }
    return GINT_TO_POINTER(looked_at);
}

/* Guessing with many connections at once gains no more than the guesses that are hashed at one time. */
static void test_parallel_guesses(struct fixture *f, gconstpointer data)
{
    (void)data;
    GThread *threads[6];
    int looked_at = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("guess", guess_wrong, f);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        looked_at += GPOINTER_TO_INT(g_thread_join(threads[i]));
    }
    g_assert_cmpint(looked_at, >=, 5);
    g_assert_cmpint(looked_at, <=, 6);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/users/first-start", struct fixture, NULL, setup_empty, test_first_start, teardown);
    g_test_add("/users/given-first-user", struct fixture, NULL, setup_empty, test_given_first_user, teardown);
    g_test_add("/users/changes", struct fixture, NULL, setup, test_changes, teardown);
    g_test_add("/users/write-failure", struct fixture, NULL, setup, test_write_failure, teardown);
    g_test_add("/users/damaged-file", struct fixture, NULL, setup_empty, test_damaged_file, teardown);
    g_test_add("/users/waits", struct fixture, NULL, setup, test_waits, teardown);
    g_test_add("/users/unknown", struct fixture, NULL, setup, test_unknown, teardown);
    g_test_add("/users/parallel-guesses", struct fixture, NULL, setup, test_parallel_guesses, teardown);
    return g_test_run();
}
