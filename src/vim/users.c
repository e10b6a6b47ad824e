// SPDX-License-Identifier: Apache-2.0
/*
 * The user store. Changes are made to a copy of the table, which is written and then takes the place of
 * the table: so a failed write changes nothing, and nobody waits for the disk to read.
 */
#include "vim/users.h"

#include "base/file.h"
#include "base/timer.h"
#include "vim/password.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>

#define FILE_VERSION 1
#define MAX_FILE_BYTES (64 * 1024 * 1024)
#define FIRST_ID 1000
#define MAX_NAME 64
/* So many passwords are hashed at once: each takes a processor and 16 MiB. */
#define MAX_HASHING 2
#define FREE_FAILURES 5
#define MAX_WAIT_MS (15 * 60 * 1000)
#define FORGET_MS (30 * 60 * 1000) /* failures are forgotten so long after the last */
#define MAX_CULPRITS 4096

struct user {
    int id;
    char *name;
    char *full_name;
    char **groups;
    char *hash; /* crypt(5) */
};

/* A user name, real or not, with an address that failed to log in by it. */
struct culprit {
    char *key;
    unsigned failures;
    int64_t last_ms;
    int64_t wait_until_ms;
};

struct users {
    char *path;          /* users.json */
    char *password_path; /* root-password */
    char *no_hash;       /* what the password for a name that does not exist is checked against */
    int64_t (*now_ms)(void *data);
    void *now_data;

    GMutex change;        /* held by who changes the store, over the write; before lock */
    GMutex lock;          /* guards all below; memory only */
    GCond hashed;         /* n_hashing fell */
    GHashTable *table;    /* name -> struct user, owned; replaced as a whole */
    GHashTable *culprits; /* key -> struct culprit, owned */
    unsigned n_hashing;
};

/* --- Users ----------------------------------------------------------------------------------------- */

static void user_free(void *data)
{
    struct user *user = data;
    g_free(user->name);
    g_free(user->full_name);
    g_strfreev(user->groups);
    password_wipe(user->hash);
    g_free(user);
}

static char **copy_groups(const char *const *groups)
{
    return groups != NULL ? g_strdupv((char **)groups) : g_new0(char *, 1);
}

static struct user *user_new(int id, const char *name, const char *full_name, const char *const *groups,
                             const char *hash)
{
    struct user *user = g_new(struct user, 1);
    user->id = id;
    user->name = g_strdup(name);
    user->full_name = g_strdup(full_name ?: "");
    user->groups = copy_groups(groups);
    user->hash = g_strdup(hash);
    return user;
}

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, user_free);
}

static void table_put(GHashTable *table, struct user *user)
{
    g_hash_table_replace(table, user->name, user);
}

static GHashTable *table_copy(GHashTable *table)
{
    GHashTable *copy = table_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct user *user = value;
        table_put(copy, user_new(user->id, user->name, user->full_name, (const char *const *)user->groups,
                                 user->hash));
    }
    return copy;
}

/* The id of the next user. */
static int next_id(GHashTable *table)
{
    int id = FIRST_ID;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        id = MAX(id, ((const struct user *)value)->id + 1);
    }
    return id;
}

static bool is_name(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > MAX_NAME || (!g_ascii_isalnum(name[0]) && name[0] != '_')) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isalnum(name[i]) && strchr("._-@", name[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool are_texts(const char *full_name, const char *const *groups)
{
    bool good = full_name == NULL || g_utf8_validate(full_name, -1, NULL);
    for (size_t i = 0; good && groups != NULL && groups[i] != NULL; i++) {
        good = g_utf8_validate(groups[i], -1, NULL);
    }
    return good;
}

static int by_name(const void *a, const void *b)
{
    const struct user_info *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/* --- The file -------------------------------------------------------------------------------------- */

/* The string of a member; NULL when it is missing or something else. */
static const char *member_string(struct json_object *object, const char *name)
{
    struct json_object *member;
    return json_object_object_get_ex(object, name, &member) && json_object_is_type(member, json_type_string)
               ? json_object_get_string(member)
               : NULL;
}

static struct user *user_from_json(struct json_object *object)
{
    const char *name = member_string(object, "name");
    const char *full_name = member_string(object, "fullName");
    const char *hash = member_string(object, "passwordHash");
    struct json_object *groups, *id = NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    if (name == NULL || !is_name(name) || full_name == NULL || hash == NULL ||
        !json_object_object_get_ex(object, "id", &id) || !json_object_is_type(id, json_type_int) ||
        !json_object_object_get_ex(object, "groups", &groups) ||
        !json_object_is_type(groups, json_type_array)) {
        return NULL;
    }
    for (size_t i = 0; i < json_object_array_length(groups); i++) {
        struct json_object *group = json_object_array_get_idx(groups, i);
        if (!json_object_is_type(group, json_type_string)) {
            return NULL;
        }
        g_ptr_array_add(names, (gpointer)json_object_get_string(group));
    }
    g_ptr_array_add(names, NULL);
    return user_new(json_object_get_int(id), name, full_name, (const char *const *)names->pdata, hash);
}

static int table_from_json(const char *text, size_t length, GHashTable **ret)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *root = json_tokener_parse_ex(tokener, text, (int)length);
    struct json_object *version, *list = NULL;
    g_autoptr(GHashTable) table = table_new();

    bool good = root != NULL && json_object_is_type(root, json_type_object) &&
                json_object_object_get_ex(root, "version", &version) &&
                json_object_get_int(version) == FILE_VERSION &&
                json_object_object_get_ex(root, "users", &list) &&
                json_object_is_type(list, json_type_array) && json_object_array_length(list) > 0;
    for (size_t i = 0; good && i < json_object_array_length(list); i++) {
        struct user *user = user_from_json(json_object_array_get_idx(list, i));
        good = user != NULL;
        if (good) {
            table_put(table, user);
        }
    }
    json_object_put(root);
    json_tokener_free(tokener);
    if (!good) {
        return -EBADMSG;
    }
    *ret = g_steal_pointer(&table);
    return 0;
}

static struct json_object *user_to_json(const struct user *user)
{
    struct json_object *object = json_object_new_object();
    struct json_object *groups = json_object_new_array();

    for (char **group = user->groups; *group != NULL; group++) {
        json_object_array_add(groups, json_object_new_string(*group));
    }
    json_object_object_add(object, "id", json_object_new_int(user->id));
    json_object_object_add(object, "name", json_object_new_string(user->name));
    json_object_object_add(object, "fullName", json_object_new_string(user->full_name));
    json_object_object_add(object, "groups", groups);
    json_object_object_add(object, "passwordHash", json_object_new_string(user->hash));
    return object;
}

static int save(const char *path, GHashTable *table)
{
    struct json_object *root = json_object_new_object();
    struct json_object *list = json_object_new_array();
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(table), (GCompareFunc)strcmp);

    for (GList *link = names; link != NULL; link = link->next) {
        json_object_array_add(list, user_to_json(g_hash_table_lookup(table, link->data)));
    }
    json_object_object_add(root, "version", json_object_new_int(FILE_VERSION));
    json_object_object_add(root, "users", list);
    const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY);
    int r = file_replace(AT_FDCWD, path, text, strlen(text), 0600);
    json_object_put(root);
    return r;
}

/* --- Opening --------------------------------------------------------------------------------------- */

static int64_t system_now_ms(void *data)
{
    (void)data;
    return timer_now_ms();
}

/* The password's file comes first: the first start has happened when users.json is there. */
static int make_first_user(struct users *users, const struct users_options *options, char **ret_new_password,
                           char **ret_message)
{
    const char *name = options->first_user ?: "root";
    const char *const groups[] = {"Administrators", NULL};
    char *random = options->first_password == NULL ? password_random() : NULL;
    const char *password = options->first_password ?: random;
    char *hash = NULL;
    int r = is_name(name) ? 0 : -EINVAL;

    if (r == 0 && password_check_quality(password) != 0) {
        r = -EKEYREJECTED;
    }
    if (r == 0) {
        r = password_hash(password, &hash);
    }
    if (r == 0 && random != NULL) {
        char *line = g_strconcat(random, "\n", NULL);
        r = file_replace(AT_FDCWD, users->password_path, line, strlen(line), 0600);
        password_wipe(line);
    }
    if (r == 0) {
        users->table = table_new();
        table_put(users->table, user_new(FIRST_ID, name, "Administrator", groups, hash));
        r = save(users->path, users->table);
    }
    password_wipe(hash);
    if (r < 0) {
        password_wipe(random);
        *ret_message = g_strdup_printf("cannot make the first user \"%s\": %s", name, g_strerror(-r));
        return r;
    }
    *ret_new_password = random;
    return 0;
}

static int load(struct users *users, const struct users_options *options, char **ret_new_password,
                char **ret_message)
{
    char *text = NULL;
    size_t length = 0;

    int r = file_read(AT_FDCWD, users->path, MAX_FILE_BYTES, &text, &length);
    if (r == -ENOENT) {
        return make_first_user(users, options, ret_new_password, ret_message);
    }
    if (r == 0) {
        r = table_from_json(text, length, &users->table);
        explicit_bzero(text, length);
        g_free(text);
    }
    if (r < 0) {
        *ret_message = g_strdup_printf("cannot read the users in %s: %s", users->path,
                                       r == -EBADMSG ? "the file is damaged" : g_strerror(-r));
    }
    return r;
}

int users_open(const struct users_options *options, struct users **ret, char **ret_new_password,
               char **ret_message)
{
    struct users *users = g_new0(struct users, 1);
    char *new_password = NULL;

    users->path = g_build_filename(options->state_dir, "users.json", NULL);
    users->password_path = g_build_filename(options->state_dir, "root-password", NULL);
    users->now_ms = options->now_ms ?: system_now_ms;
    users->now_data = options->now_data;
    g_mutex_init(&users->change);
    g_mutex_init(&users->lock);
    g_cond_init(&users->hashed);
    users->culprits = g_hash_table_new(g_str_hash, g_str_equal);

    int r = password_hash("", &users->no_hash);
    if (r < 0) {
        *ret_message = g_strdup_printf("cannot hash passwords: %s", g_strerror(-r));
    } else {
        r = load(users, options, &new_password, ret_message);
    }
    if (r < 0) {
        users_free(users);
        return r;
    }
    *ret = users;
    *ret_new_password = new_password;
    return 0;
}

static void culprit_free(struct culprit *culprit)
{
    g_free(culprit->key);
    g_free(culprit);
}

void users_free(struct users *users)
{
    if (users == NULL) {
        return;
    }
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, users->culprits);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        culprit_free(value);
    }
    g_hash_table_unref(users->culprits);
    g_clear_pointer(&users->table, g_hash_table_unref);
    g_cond_clear(&users->hashed);
    g_mutex_clear(&users->lock);
    g_mutex_clear(&users->change);
    g_free(users->no_hash);
    g_free(users->password_path);
    g_free(users->path);
    g_free(users);
}

/* --- Reading --------------------------------------------------------------------------------------- */

void user_info_free(struct user_info *info)
{
    if (info != NULL) {
        g_free(info->name);
        g_free(info->full_name);
        g_strfreev(info->groups);
        g_free(info);
    }
}

static struct user_info *info_of(const struct user *user)
{
    struct user_info *info = g_new(struct user_info, 1);
    info->id = user->id;
    info->name = g_strdup(user->name);
    info->full_name = g_strdup(user->full_name);
    info->groups = g_strdupv(user->groups);
    return info;
}

bool users_exists(struct users *users, const char *name)
{
    g_mutex_lock(&users->lock);
    bool exists = g_hash_table_contains(users->table, name);
    g_mutex_unlock(&users->lock);
    return exists;
}

struct user_info *users_find(struct users *users, const char *name)
{
    g_mutex_lock(&users->lock);
    const struct user *user = g_hash_table_lookup(users->table, name);
    struct user_info *info = user != NULL ? info_of(user) : NULL;
    g_mutex_unlock(&users->lock);
    return info;
}

GPtrArray *users_list(struct users *users)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)user_info_free);
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&users->lock);
    g_hash_table_iter_init(&iter, users->table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_ptr_array_add(list, info_of(value));
    }
    g_mutex_unlock(&users->lock);
    g_ptr_array_sort(list, by_name);
    return list;
}

/* --- Changing -------------------------------------------------------------------------------------- */

/* Writes the table and lets it take the old one's place. Takes the table. Called with `change` held. */
static int commit(struct users *users, GHashTable *table)
{
    int r = save(users->path, table);
    if (r == 0) {
        g_mutex_lock(&users->lock);
        GHashTable *old = users->table;
        users->table = table;
        g_mutex_unlock(&users->lock);
        table = old;
    }
    g_hash_table_unref(table);
    return r;
}

/* A slot for hashing, of which there are few. */
static void hashing_begin(struct users *users)
{
    g_mutex_lock(&users->lock);
    while (users->n_hashing >= MAX_HASHING) {
        g_cond_wait(&users->hashed, &users->lock);
    }
    users->n_hashing++;
    g_mutex_unlock(&users->lock);
}

static void hashing_end(struct users *users)
{
    g_mutex_lock(&users->lock);
    users->n_hashing--;
    g_cond_signal(&users->hashed);
    g_mutex_unlock(&users->lock);
}

static int hash_checked(struct users *users, const char *password, char **ret)
{
    if (password_check_quality(password) != 0) {
        return -EKEYREJECTED;
    }
    hashing_begin(users);
    int r = password_hash(password, ret);
    hashing_end(users);
    return r;
}

int users_create(struct users *users, const char *name, const char *password, const char *full_name,
                 const char *const *groups)
{
    char *hash = NULL;

    if (!is_name(name) || !are_texts(full_name, groups)) {
        return -EINVAL;
    }
    int r = users_exists(users, name) ? -EEXIST : hash_checked(users, password, &hash);
    if (r < 0) {
        return r;
    }
    /* Only who holds `change` replaces the table: it may be read without the lock. */
    g_mutex_lock(&users->change);
    if (g_hash_table_contains(users->table, name)) {
        r = -EEXIST;
    } else {
        GHashTable *table = table_copy(users->table);
        table_put(table, user_new(next_id(table), name, full_name, groups, hash));
        r = commit(users, table);
    }
    g_mutex_unlock(&users->change);
    password_wipe(hash);
    return r;
}

int users_update(struct users *users, const char *name, const char *full_name, const char *const *groups)
{
    int r;

    if (!are_texts(full_name, groups)) {
        return -EINVAL;
    }
    g_mutex_lock(&users->change);
    const struct user *user = g_hash_table_lookup(users->table, name);
    if (user == NULL) {
        r = -ENOENT;
    } else {
        GHashTable *table = table_copy(users->table);
        table_put(table, user_new(user->id, name, full_name ?: user->full_name,
                                  groups != NULL ? groups : (const char *const *)user->groups, user->hash));
        r = commit(users, table);
    }
    g_mutex_unlock(&users->change);
    return r;
}

/* Removes root-password if it holds the password of that hash. */
static void remove_stale_password(struct users *users, const char *old_hash)
{
    char *text = NULL;

    if (file_read(AT_FDCWD, users->password_path, PASSWORD_MAX_BYTES, &text, NULL) != 0) {
        return;
    }
    text[strcspn(text, "\n")] = '\0';
    hashing_begin(users);
    bool stale = password_verify(text, old_hash);
    hashing_end(users);
    if (stale) {
        (void)file_remove(AT_FDCWD, users->password_path); /* it is worthless, not dangerous */
    }
    password_wipe(text);
}

int users_set_password(struct users *users, const char *name, const char *password)
{
    char *hash = NULL, *old_hash = NULL;
    int r = users_exists(users, name) ? hash_checked(users, password, &hash) : -ENOENT;

    if (r < 0) {
        return r;
    }
    g_mutex_lock(&users->change);
    const struct user *user = g_hash_table_lookup(users->table, name);
    if (user == NULL) {
        r = -ENOENT;
    } else {
        GHashTable *table = table_copy(users->table);
        old_hash = g_strdup(user->hash);
        table_put(table, user_new(user->id, name, user->full_name, (const char *const *)user->groups, hash));
        r = commit(users, table);
    }
    g_mutex_unlock(&users->change);
    if (r == 0) {
        remove_stale_password(users, old_hash);
    }
    password_wipe(old_hash);
    password_wipe(hash);
    return r;
}

int users_remove(struct users *users, const char *name)
{
    int r;

    g_mutex_lock(&users->change);
    if (!g_hash_table_contains(users->table, name)) {
        r = -ENOENT;
    } else if (g_hash_table_size(users->table) == 1) {
        r = -EBUSY;
    } else {
        GHashTable *table = table_copy(users->table);
        g_hash_table_remove(table, name);
        r = commit(users, table);
    }
    g_mutex_unlock(&users->change);
    return r;
}

/* --- Authenticating -------------------------------------------------------------------------------- */

/* Makes room for one more: forgets what is old, or else the one that has been quiet for longest. */
static void forget_culprits(struct users *users, int64_t now_ms)
{
    struct culprit *quietest = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, users->culprits);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct culprit *culprit = value;
        if (culprit->last_ms + FORGET_MS <= now_ms) {
            g_hash_table_iter_remove(&iter);
            culprit_free(culprit);
        } else if (quietest == NULL || culprit->last_ms < quietest->last_ms) {
            quietest = culprit;
        }
    }
    if (g_hash_table_size(users->culprits) >= MAX_CULPRITS) {
        g_hash_table_remove(users->culprits, quietest->key);
        culprit_free(quietest);
    }
}

/* Whether this name from this address must wait. Called locked. */
static bool must_wait(struct users *users, const char *key, int64_t now_ms)
{
    const struct culprit *culprit = g_hash_table_lookup(users->culprits, key);
    return culprit != NULL && now_ms < culprit->wait_until_ms;
}

/* Called locked. */
static void count_failure(struct users *users, const char *key, int64_t now_ms)
{
    struct culprit *culprit = g_hash_table_lookup(users->culprits, key);

    if (culprit == NULL) {
        if (g_hash_table_size(users->culprits) >= MAX_CULPRITS) {
            forget_culprits(users, now_ms);
        }
        culprit = g_new0(struct culprit, 1);
        culprit->key = g_strdup(key);
        g_hash_table_insert(users->culprits, culprit->key, culprit);
    } else if (culprit->last_ms + FORGET_MS <= now_ms) {
        culprit->failures = 0;
    }
    culprit->failures++;
    culprit->last_ms = now_ms;
    if (culprit->failures >= FREE_FAILURES) {
        unsigned doublings = MIN(culprit->failures - FREE_FAILURES, 20);
        culprit->wait_until_ms = now_ms + MIN(INT64_C(1000) << doublings, MAX_WAIT_MS);
    }
}

/* Called locked. */
static void forget_failures(struct users *users, const char *key)
{
    struct culprit *culprit = g_hash_table_lookup(users->culprits, key);
    if (culprit != NULL) {
        g_hash_table_remove(users->culprits, key);
        culprit_free(culprit);
    }
}

int users_authenticate(struct users *users, const char *name, const char *password, const char *peer,
                       char **ret_full_name)
{
    /* No name is longer or has a space; what is longer cannot fill the memory, and is no user. */
    g_autofree char *key = g_strdup_printf("%.*s %.64s", MAX_NAME + 1, name, peer);
    g_autofree char *full_name = NULL;

    /* Within the slot: otherwise many guesses at once would all come before the first one's failure. */
    hashing_begin(users);
    g_mutex_lock(&users->lock);
    bool waits = must_wait(users, key, users->now_ms(users->now_data));
    const struct user *user = g_hash_table_lookup(users->table, name);
    bool exists = user != NULL;
    char *hash = g_strdup(exists ? user->hash : users->no_hash);
    full_name = g_strdup(exists ? user->full_name : NULL);
    g_mutex_unlock(&users->lock);

    bool good = !waits && password_verify(password, hash) && exists;
    password_wipe(hash);

    g_mutex_lock(&users->lock);
    if (good) {
        forget_failures(users, key);
    } else if (!waits) {
        count_failure(users, key, users->now_ms(users->now_data));
    }
    g_mutex_unlock(&users->lock);
    hashing_end(users);
    if (!good) {
        return waits ? -EAGAIN : -EACCES;
    }
    if (ret_full_name != NULL) {
        *ret_full_name = g_steal_pointer(&full_name);
    }
    return 0;
}
