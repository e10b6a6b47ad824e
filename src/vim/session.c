// SPDX-License-Identifier: Apache-2.0
/*
 * Who is logged in: the table of sessions, their limits and their end, and the SessionManager. See
 * session.h.
 *
 * Locks, outermost first: inventory, the table's, one session's. A session leaves the table first (then
 * nobody finds it), and loses its objects after that, so both ways to its end may run at once.
 */
#include "vim/session.h"

#include <string.h>

#include "base/random.h"
#include "vim/authorization.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/http.h"
#include "vim/property_collector.h"
#include "vim/users.h"
#include "vim/value.h"

enum {
    IDLE_LIMIT_MS = 30 * 60 * 1000, /* unless it is set */
    MAX_SESSIONS = 1000,
    MAX_USER_SESSIONS = 100,
    TICKET_LIFE_MS = 30 * 1000,
    MAX_TICKETS = 1000, /* of more the oldest is forgotten */
    SECRET_BYTES = 32,
    MAX_SHOWN_BYTES = 256,         /* of names that come from outside and are shown to others */
    MAX_MESSAGE_BYTES = 64 * 1024, /* of the notice that every session sees */
    MAX_LOCALE_LENGTH = 32,
};

#define DEFAULT_LOCALE "en"

struct vim_sessions {
    gatomicrefcount references; /* the server's, and one of each session */
    struct vim_server *server;
    int64_t idle_limit_ms;  /* atomic; 0: none */
    GMutex lock;            /* guards what follows */
    GHashTable *by_secret;  /* -> struct vim_session *, a reference */
    GHashTable *by_key;     /* -> struct vim_session *, borrowed */
    GPtrArray *orphans;     /* sessions that got an object after their end; references */
    GQueue tickets;         /* of struct ticket *, oldest first */
    struct vim_ref manager; /* the SessionManager; id NULL until it is known */
};

/* Lets its bearer have a session like another one, once. */
struct ticket {
    char *secret;
    char *session_key; /* whose copy it gives */
    int64_t end_ms;    /* monotonic */
};

/* A read that was cut into pages. */
struct cursor {
    void *data;
    void (*data_free)(void *data);
};

static int64_t now_ms(const struct vim_sessions *sessions)
{
    const struct vim_environment *environment = &sessions->server->environment;
    return environment->monotonic_ms(environment->data);
}

/* Text from outside as others may be shown it: valid, without control characters, of limited length. */
static char *shown_text(const char *text)
{
    size_t length = text != NULL ? strnlen(text, MAX_SHOWN_BYTES) : 0;
    g_autofree char *cut = g_strndup(text != NULL ? text : "", length);
    char *shown = g_utf8_make_valid(cut, -1);
    for (char *at = shown; *at != '\0'; at++) {
        if (g_ascii_iscntrl(*at)) {
            *at = '?';
        }
    }
    return shown;
}

static void ticket_free(struct ticket *ticket)
{
    g_free(ticket->secret);
    g_free(ticket->session_key);
    g_free(ticket);
}

static void cursor_free(void *data)
{
    struct cursor *cursor = data;
    if (cursor->data != NULL) {
        cursor->data_free(cursor->data);
    }
    g_free(cursor);
}

/* ---- the table ------------------------------------------------------------------------------------ */

struct vim_sessions *vim_sessions_new(struct vim_server *server)
{
    struct vim_sessions *sessions = g_new0(struct vim_sessions, 1);
    sessions->idle_limit_ms = IDLE_LIMIT_MS;
    g_atomic_ref_count_init(&sessions->references);
    sessions->server = server;
    g_mutex_init(&sessions->lock);
    sessions->by_secret = g_hash_table_new(g_str_hash, g_str_equal);
    sessions->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    sessions->orphans = g_ptr_array_new();
    g_queue_init(&sessions->tickets);
    return sessions;
}

static void sessions_unref(struct vim_sessions *sessions)
{
    if (!g_atomic_ref_count_dec(&sessions->references)) {
        return;
    }
    g_hash_table_unref(sessions->by_secret);
    g_hash_table_unref(sessions->by_key);
    g_ptr_array_unref(sessions->orphans);
    vim_ref_clear(&sessions->manager);
    g_mutex_clear(&sessions->lock);
    g_free(sessions);
}

struct vim_session *vim_session_ref(struct vim_session *session)
{
    g_atomic_ref_count_inc(&session->references);
    return session;
}

void vim_session_unref(struct vim_session *session)
{
    if (session == NULL || !g_atomic_ref_count_dec(&session->references)) {
        return;
    }
    vim_collector_unref(session->collector);
    g_ptr_array_unref(session->cursors);
    g_hash_table_unref(session->objects);
    g_mutex_clear(&session->lock);
    g_free(session->secret);
    g_free(session->key);
    g_free(session->user_name);
    g_free(session->full_name);
    g_strfreev(session->groups);
    g_free(session->locale);
    g_free(session->ip_address);
    g_free(session->user_agent);
    sessions_unref(session->sessions);
    g_free(session);
}

static struct vim_session *session_new(struct vim_sessions *sessions, const struct user_info *user,
                                       const char *locale, const char *peer, const char *user_agent)
{
    struct vim_session *session = g_new0(struct vim_session, 1);
    g_atomic_ref_count_init(&session->references);
    g_atomic_ref_count_inc(&sessions->references);
    session->sessions = sessions;
    session->secret = random_hex(SECRET_BYTES);
    session->key = g_uuid_string_random();
    session->user_name = g_strdup(user->name);
    session->full_name = g_strdup(user->full_name);
    session->groups = g_strdupv(user->groups);
    session->locale = g_strdup(locale);
    session->ip_address = g_strdup(peer != NULL ? peer : "");
    session->user_agent = shown_text(user_agent);
    session->login_time_us = vim_now_us(sessions->server);
    session->last_active_us = session->login_time_us;
    session->last_heard_ms = now_ms(sessions);
    g_mutex_init(&session->lock);
    session->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    session->cursors = g_ptr_array_new_with_free_func(cursor_free);
    return session;
}

void vim_session_touch(struct vim_session *session)
{
    int64_t time_us = vim_now_us(session->sessions->server);
    __atomic_store_n(&session->last_active_us, time_us, __ATOMIC_RELAXED);
    __atomic_store_n(&session->last_heard_ms, now_ms(session->sessions), __ATOMIC_RELAXED);
}

/* For how long nothing was heard of the session; a wait under way counts as being heard. */
static int64_t idle_ms(const struct vim_session *session, int64_t now)
{
    if (g_atomic_int_get(&session->parked) > 0) {
        return 0;
    }
    return now - __atomic_load_n(&session->last_heard_ms, __ATOMIC_RELAXED);
}

bool vim_session_has_ended(struct vim_session *session)
{
    return g_atomic_int_get(&session->ended);
}

/* Takes the session off the table; its reference is the caller's then. NULL when that has been done
 * before. (table's lock) */
static struct vim_session *take_off(struct vim_sessions *sessions, struct vim_session *session)
{
    if (!g_hash_table_remove(sessions->by_secret, session->secret)) {
        return NULL;
    }
    g_hash_table_remove(sessions->by_key, session->key);
    g_atomic_int_set(&session->ended, 1);
    return session;
}

/* Takes off the table all sessions for which `chosen` holds. (table's lock) */
static void take_off_all(struct vim_sessions *sessions, GPtrArray *ended,
                         bool (*chosen)(struct vim_session *session, const void *data), const void *data)
{
    GHashTableIter iter;
    gpointer session;
    g_hash_table_iter_init(&iter, sessions->by_secret);
    while (g_hash_table_iter_next(&iter, NULL, &session)) {
        if (chosen(session, data)) {
            g_hash_table_iter_remove(&iter);
            g_hash_table_remove(sessions->by_key, ((struct vim_session *)session)->key);
            g_atomic_int_set(&((struct vim_session *)session)->ended, 1);
            g_ptr_array_add(ended, session);
        }
    }
}

/* Brings sessionList up to date. (inventory write lock) */
static void publish(struct vim_sessions *sessions)
{
    struct vim_object *manager = sessions->manager.id != NULL
                                     ? vim_inventory_find_ref(sessions->server->inventory, &sessions->manager)
                                     : NULL;
    if (manager == NULL) {
        return;
    }
    struct vim_array list = {0};
    g_mutex_lock(&sessions->lock);
    GHashTableIter iter;
    gpointer session;
    g_hash_table_iter_init(&iter, sessions->by_key);
    while (g_hash_table_iter_next(&iter, NULL, &session)) {
        vim_array_add_object(&list, vim_session_describe(session));
    }
    g_mutex_unlock(&sessions->lock);
    vim_set(manager, "sessionList", &list);
}

static void publish_locked(struct vim_sessions *sessions)
{
    vim_write_lock(sessions->server->inventory);
    publish(sessions);
    vim_write_unlock(sessions->server->inventory);
}

/* ---- the end -------------------------------------------------------------------------------------- */

/* Destroys what the session owns. One at a time: an object may take others with it. (inventory write lock) */
static void destroy_objects(struct vim_session *session)
{
    for (;;) {
        g_mutex_lock(&session->lock);
        GHashTableIter iter;
        gpointer id = NULL;
        g_hash_table_iter_init(&iter, session->objects);
        if (g_hash_table_iter_next(&iter, &id, NULL)) {
            g_hash_table_iter_steal(&iter);
        }
        g_mutex_unlock(&session->lock);
        if (id == NULL) {
            return;
        }
        struct vim_inventory *inventory = session->sessions->server->inventory;
        struct vim_object *object = vim_inventory_find(inventory, id);
        if (object != NULL && object->owner == session) {
            vim_inventory_remove(inventory, object);
        }
        g_free(id);
    }
}

static void clean_up(struct vim_session *session)
{
    struct vim_inventory *inventory = session->sessions->server->inventory;
    g_mutex_lock(&session->lock);
    struct vim_collector *collector = session->collector; /* stays until the last reference goes */
    GPtrArray *cursors = session->cursors;
    session->cursors = g_ptr_array_new_with_free_func(cursor_free);
    g_mutex_unlock(&session->lock);
    g_ptr_array_unref(cursors);
    if (collector != NULL) {
        vim_collector_end(collector);
    }
    vim_write_lock(inventory);
    destroy_objects(session);
    publish(session->sessions);
    vim_write_unlock(inventory);
}

static void post_logout(const struct vim_session *session)
{
    struct UserLogoutSessionEvent *event = UserLogoutSessionEvent_new();
    event->ipAddress = g_strdup(session->ip_address);
    event->userAgent = g_strdup(session->user_agent);
    event->sessionId = g_strdup(session->key);
    event->loginTime = session->login_time_us;
    vim_set_optional(&event->callCount, (int64_t)g_atomic_int_get(&session->call_count));
    vim_event_post(session->sessions->server, (struct Event *)event, session->user_name,
                   "User %s@%s logged out", session->user_name, session->ip_address);
}

/* What follows being taken off the table; drops the table's reference. No lock held. */
static void finish_end(struct vim_session *session)
{
    clean_up(session);
    post_logout(session);
    vim_session_unref(session);
}

static void finish_all(GPtrArray *ended)
{
    for (guint i = 0; i < ended->len; i++) {
        finish_end(g_ptr_array_index(ended, i));
    }
}

void vim_session_end(struct vim_sessions *sessions, struct vim_session *session)
{
    g_mutex_lock(&sessions->lock);
    struct vim_session *ended = take_off(sessions, session);
    g_mutex_unlock(&sessions->lock);
    if (ended != NULL) {
        finish_end(ended);
    }
}

static bool belongs_to(struct vim_session *session, const void *user_name)
{
    return strcmp(session->user_name, user_name) == 0;
}

void vim_sessions_end_user(struct vim_sessions *sessions, const char *user_name)
{
    g_autoptr(GPtrArray) ended = g_ptr_array_new();
    g_mutex_lock(&sessions->lock);
    take_off_all(sessions, ended, belongs_to, user_name);
    g_mutex_unlock(&sessions->lock);
    finish_all(ended);
}

static bool is_over_limit(struct vim_session *session, const void *now)
{
    int64_t now_is = *(const int64_t *)now;
    if (g_atomic_int_get(&session->parked) > 0) {
        /* so that the time starts from the end of the wait */
        __atomic_store_n(&session->last_heard_ms, now_is, __ATOMIC_RELAXED);
    }
    int64_t limit = __atomic_load_n(&session->sessions->idle_limit_ms, __ATOMIC_RELAXED);
    return limit > 0 && idle_ms(session, now_is) > limit;
}

static GPtrArray *take_orphans(struct vim_sessions *sessions)
{
    GPtrArray *orphans = sessions->orphans;
    sessions->orphans = g_ptr_array_new();
    return orphans;
}

static void clean_up_orphans(GPtrArray *orphans)
{
    for (guint i = 0; i < orphans->len; i++) {
        clean_up(g_ptr_array_index(orphans, i));
        vim_session_unref(g_ptr_array_index(orphans, i));
    }
}

void vim_sessions_set_idle_limit(struct vim_sessions *sessions, int64_t limit_ms)
{
    __atomic_store_n(&sessions->idle_limit_ms, limit_ms, __ATOMIC_RELAXED);
}

void vim_sessions_expire(struct vim_sessions *sessions)
{
    g_autoptr(GPtrArray) ended = g_ptr_array_new();
    int64_t now = now_ms(sessions);
    g_mutex_lock(&sessions->lock);
    take_off_all(sessions, ended, is_over_limit, &now);
    g_autoptr(GPtrArray) orphans = take_orphans(sessions);
    g_mutex_unlock(&sessions->lock);
    finish_all(ended);
    clean_up_orphans(orphans);
    publish_locked(sessions);
}

static bool is_any(struct vim_session *session, const void *data)
{
    (void)session;
    (void)data;
    return true;
}

void vim_sessions_free(struct vim_sessions *sessions)
{
    if (sessions == NULL) {
        return;
    }
    g_autoptr(GPtrArray) ended = g_ptr_array_new();
    g_mutex_lock(&sessions->lock);
    take_off_all(sessions, ended, is_any, NULL);
    g_autoptr(GPtrArray) orphans = take_orphans(sessions);
    g_queue_clear_full(&sessions->tickets, (GDestroyNotify)ticket_free);
    g_mutex_unlock(&sessions->lock);
    g_ptr_array_extend_and_steal(orphans, g_ptr_array_ref(ended));
    clean_up_orphans(orphans); /* no events: nobody logged out */
    sessions_unref(sessions);
}

/* ---- finding -------------------------------------------------------------------------------------- */

struct vim_session *vim_session_find(struct vim_sessions *sessions, const char *secret)
{
    struct vim_session *ended = NULL;
    int64_t now = now_ms(sessions);
    g_mutex_lock(&sessions->lock);
    struct vim_session *found = g_hash_table_lookup(sessions->by_secret, secret);
    if (found != NULL && is_over_limit(found, &now)) {
        ended = take_off(sessions, found);
        found = NULL;
    } else if (found != NULL) {
        vim_session_ref(found);
    }
    g_mutex_unlock(&sessions->lock);
    if (ended != NULL) {
        finish_end(ended);
    } else if (found != NULL) {
        vim_session_touch(found);
        g_atomic_int_inc(&found->call_count);
    }
    return found;
}

struct vim_session *vim_session_find_key(struct vim_sessions *sessions, const char *key)
{
    int64_t now = now_ms(sessions);
    g_mutex_lock(&sessions->lock);
    struct vim_session *found = g_hash_table_lookup(sessions->by_key, key);
    if (found != NULL && !is_over_limit(found, &now)) {
        vim_session_ref(found);
    } else {
        found = NULL;
    }
    g_mutex_unlock(&sessions->lock);
    return found;
}

struct UserSession *vim_session_describe(const struct vim_session *session)
{
    GMutex *lock = (GMutex *)&session->lock;
    struct UserSession *shown = UserSession_new();
    shown->key = g_strdup(session->key);
    shown->userName = g_strdup(session->user_name);
    shown->fullName = g_strdup(session->full_name);
    shown->loginTime = session->login_time_us;
    shown->lastActiveTime = __atomic_load_n(&session->last_active_us, __ATOMIC_RELAXED);
    g_mutex_lock(lock);
    shown->locale = g_strdup(session->locale);
    g_mutex_unlock(lock);
    shown->messageLocale = g_strdup(DEFAULT_LOCALE);
    shown->ipAddress = g_strdup(session->ip_address);
    shown->userAgent = g_strdup(session->user_agent);
    shown->callCount = g_atomic_int_get(&session->call_count);
    return shown;
}

void vim_sessions_attach(struct vim_sessions *sessions, const struct vim_ref *manager)
{
    struct vim_inventory *inventory = sessions->server->inventory;
    vim_write_lock(inventory);
    vim_ref_set(&sessions->manager, manager);
    struct vim_object *object = vim_inventory_find_ref(inventory, manager);
    struct vim_array message_locales = {0};
    struct vim_array locales = {0};
    vim_array_add_string(&message_locales, DEFAULT_LOCALE);
    vim_array_add_string(&locales, DEFAULT_LOCALE);
    vim_array_add_string(&locales, "en_US");
    vim_set_text(object, "defaultLocale", DEFAULT_LOCALE);
    vim_set(object, "messageLocaleList", &message_locales);
    vim_set(object, "supportedLocaleList", &locales);
    publish(sessions);
    vim_write_unlock(inventory);
}

/* ---- what a session keeps ------------------------------------------------------------------------- */

void vim_session_own(struct vim_session *session, struct vim_object *object)
{
    struct vim_sessions *sessions = session->sessions;
    object->owner = session;
    g_mutex_lock(&session->lock);
    g_hash_table_add(session->objects, g_strdup(object->ref.id));
    g_mutex_unlock(&session->lock);
    /* Who ends a session sets `ended` before he takes the inventory's lock to destroy its objects: if it is
     * not set here, he will find this one. */
    if (vim_session_has_ended(session)) {
        g_mutex_lock(&sessions->lock);
        if (!g_ptr_array_find(sessions->orphans, session, NULL)) {
            g_ptr_array_add(sessions->orphans, vim_session_ref(session));
        }
        g_mutex_unlock(&sessions->lock);
    }
}

void vim_session_disown(struct vim_session *session, struct vim_object *object)
{
    g_mutex_lock(&session->lock);
    g_hash_table_remove(session->objects, object->ref.id);
    g_mutex_unlock(&session->lock);
}

void vim_session_keep_cursor(struct vim_session *session, void *data, void (*data_free)(void *cursor),
                             unsigned max)
{
    g_autoptr(GPtrArray) forgotten = g_ptr_array_new_with_free_func(cursor_free);
    struct cursor *cursor = g_new0(struct cursor, 1);
    cursor->data = data;
    cursor->data_free = data_free;
    g_mutex_lock(&session->lock);
    g_ptr_array_add(session->cursors, cursor);
    while (session->cursors->len > max) {
        g_ptr_array_add(forgotten, g_ptr_array_steal_index(session->cursors, 0));
    }
    g_mutex_unlock(&session->lock);
}

void *vim_session_take_cursor(struct vim_session *session, const char *token,
                              bool (*matches)(const void *cursor, const char *token))
{
    void *data = NULL;
    g_mutex_lock(&session->lock);
    for (guint i = 0; i < session->cursors->len && data == NULL; i++) {
        struct cursor *cursor = g_ptr_array_index(session->cursors, i);
        if (matches(cursor->data, token)) {
            data = g_steal_pointer(&cursor->data);
            g_ptr_array_remove_index(session->cursors, i);
        }
    }
    g_mutex_unlock(&session->lock);
    return data;
}

/* ---- the beginning -------------------------------------------------------------------------------- */

/* The session that has to end so that the user may have another one, or NULL. (table's lock) */
static struct vim_session *one_too_many(struct vim_sessions *sessions, const char *user)
{
    int64_t now = now_ms(sessions);
    struct vim_session *longest = NULL, *users_longest = NULL;
    unsigned users_count = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, sessions->by_key);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct vim_session *session = value;
        int64_t idle = idle_ms(session, now);
        if (longest == NULL || idle > idle_ms(longest, now)) {
            longest = session;
        }
        if (strcmp(session->user_name, user) == 0) {
            users_count++;
            if (users_longest == NULL || idle > idle_ms(users_longest, now)) {
                users_longest = session;
            }
        }
    }
    if (users_count >= MAX_USER_SESSIONS) {
        return users_longest;
    }
    if (g_hash_table_size(sessions->by_key) >= MAX_SESSIONS) {
        return users_longest != NULL ? users_longest : longest;
    }
    return NULL;
}

/* Puts a new session on the table; makes room for it when there is none. No lock held. */
static void begin(struct vim_sessions *sessions, struct vim_session *session)
{
    struct vim_session *ended = NULL;
    g_mutex_lock(&sessions->lock);
    struct vim_session *other = one_too_many(sessions, session->user_name);
    if (other != NULL) {
        ended = take_off(sessions, other);
    }
    g_hash_table_insert(sessions->by_secret, session->secret, vim_session_ref(session));
    g_hash_table_insert(sessions->by_key, session->key, session);
    g_mutex_unlock(&sessions->lock);
    if (ended != NULL) {
        finish_end(ended);
    }
    publish_locked(sessions);

    struct UserLoginSessionEvent *event = UserLoginSessionEvent_new();
    event->ipAddress = g_strdup(session->ip_address);
    event->userAgent = g_strdup(session->user_agent);
    event->locale = g_strdup(session->locale);
    event->sessionId = g_strdup(session->key);
    vim_event_post(sessions->server, (struct Event *)event, session->user_name, "User %s@%s logged in as %s",
                   session->user_name, session->ip_address, session->user_agent);
}

/* All messages are English, so any locale is as good as another; but it must be one. */
static struct vim_fault *check_locale(const char *locale)
{
    bool good = g_ascii_isalpha(locale[0]) && strlen(locale) <= MAX_LOCALE_LENGTH;
    for (const char *at = locale; *at != '\0'; at++) {
        good = good && (g_ascii_isalnum(*at) || strchr("_-.@", *at) != NULL);
    }
    return good ? NULL : fault_invalid_locale("this is not the name of a locale");
}

static struct vim_fault *refuse(struct vim_sessions *sessions, const char *user, const char *peer)
{
    g_autofree char *shown = shown_text(user);
    const char *address = peer != NULL ? peer : "";
    struct BadUsernameSessionEvent *event = BadUsernameSessionEvent_new();
    event->ipAddress = g_strdup(address);
    vim_event_post(sessions->server, (struct Event *)event, shown, "Cannot log in %s@%s", shown, address);
    return fault_invalid_login("the user name or the password is wrong");
}

/* A user without any permission would see nothing; he is told so at once. */
static struct vim_fault *check_permission(struct vim_server *server, const struct vim_session *session)
{
    vim_read_lock(server->inventory);
    struct vim_object *root = vim_inventory_find_ref(server->inventory, &server->root_folder);
    bool allowed =
        root != NULL && vim_authorized(server->authorization, session, root, VIM_PRIVILEGE_SYSTEM_VIEW);
    vim_read_unlock(server->inventory);
    return allowed ? NULL
                   : fault_no_permission(server->root_folder, "System.View",
                                         "this user has no permission on anything here");
}

struct vim_fault *vim_session_login(struct vim_sessions *sessions, const char *user, const char *password,
                                    const char *locale, const char *peer, const char *user_agent,
                                    struct vim_session **ret)
{
    struct users *users = sessions->server->users;
    const char *chosen = locale != NULL && locale[0] != '\0' ? locale : DEFAULT_LOCALE;
    struct vim_fault *fault = check_locale(chosen);
    if (fault != NULL) {
        return fault;
    }
    struct user_info *info = NULL;
    if (users_authenticate(users, user, password, peer != NULL ? peer : "", NULL) == 0) {
        info = users_find(users, user); /* NULL when he was removed meanwhile */
    }
    if (info == NULL) {
        return refuse(sessions, user, peer);
    }
    struct vim_session *session = session_new(sessions, info, chosen, peer, user_agent);
    user_info_free(info);
    fault = check_permission(sessions->server, session);
    if (fault != NULL) {
        vim_session_unref(session);
        return fault;
    }
    begin(sessions, session);
    *ret = session;
    return NULL;
}

/* ---- the SessionManager --------------------------------------------------------------------------- */

static const char *call_peer(const struct vim_call *call)
{
    return call->http != NULL ? http_request_peer(call->http) : "";
}

static const char *call_user_agent(const struct vim_call *call)
{
    return call->http != NULL ? http_request_header(call->http, "User-Agent") : NULL;
}

/* The call goes on as the new session's, which is moved in, and its client learns the secret. */
static void hand_out(struct vim_call *call, struct vim_session *session)
{
    bool secure = call->http != NULL && http_request_is_tls(call->http);
    vim_session_unref(call->session);
    call->session = session;
    g_free(call->set_cookie);
    call->set_cookie = g_strdup_printf("vmware_soap_session=\"%s\"; Path=/; HttpOnly; SameSite=Lax%s",
                                       session->secret, secure ? "; Secure" : "");
}

static struct vim_fault *login(struct vim_call *call, const struct Login_args *args, struct Login_result *ret)
{
    struct vim_session *session = NULL;
    struct vim_fault *fault =
        vim_session_login(call->server->sessions, args->userName, args->password, args->locale,
                          call_peer(call), call_user_agent(call), &session);
    if (fault == NULL) {
        hand_out(call, session);
        ret->returnval = vim_session_describe(session);
    }
    return fault;
}

static struct vim_fault *logout(struct vim_call *call, const struct Logout_args *args)
{
    (void)args;
    vim_session_end(call->server->sessions, call->session);
    return NULL;
}

static struct vim_fault *update_service_message(struct vim_call *call,
                                                const struct UpdateServiceMessage_args *args)
{
    if (strlen(args->message) > MAX_MESSAGE_BYTES) {
        return fault_invalid_argument("message", "the message is longer than %d bytes", MAX_MESSAGE_BYTES);
    }
    vim_write_lock(call->server->inventory);
    struct vim_object *manager = vim_call_object(call);
    if (manager != NULL) {
        vim_set_text(manager, "message", args->message);
    }
    vim_write_unlock(call->server->inventory);
    return manager != NULL ? NULL : vim_call_gone(&call->request.target);
}

static void post_terminated(const struct vim_call *call, const struct vim_session *session)
{
    struct SessionTerminatedEvent *event = SessionTerminatedEvent_new();
    event->sessionId = g_strdup(session->key);
    event->terminatedUsername = g_strdup(session->user_name);
    vim_event_post(call->server, (struct Event *)event, call->session->user_name,
                   "A session of user %s was ended by %s", session->user_name, call->session->user_name);
}

static struct vim_fault *terminate_session(struct vim_call *call, const struct TerminateSession_args *args)
{
    struct vim_sessions *sessions = call->server->sessions;
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)vim_session_unref);
    /* All are found before the first one ends, so that a wrong key changes nothing. */
    for (uint32_t i = 0; i < args->sessionId.n; i++) {
        const char *key = args->sessionId.items[i];
        struct vim_session *session = vim_session_find_key(sessions, key);
        if (session == NULL) {
            return fault_not_found("there is no session \"%.100s\"", key);
        }
        g_ptr_array_add(found, session);
        if (session == call->session) {
            return fault_invalid_argument("sessionId", "a session does not terminate itself; it logs out");
        }
    }
    for (guint i = 0; i < found->len; i++) {
        struct vim_session *session = g_ptr_array_index(found, i);
        vim_session_end(sessions, session);
        post_terminated(call, session);
    }
    return NULL;
}

static struct vim_fault *set_locale(struct vim_call *call, const struct SetLocale_args *args)
{
    struct vim_fault *fault = check_locale(args->locale);
    if (fault == NULL) {
        g_mutex_lock(&call->session->lock);
        vim_set_string(&call->session->locale, args->locale);
        g_mutex_unlock(&call->session->lock);
        publish_locked(call->server->sessions);
    }
    return fault;
}

static struct vim_fault *session_is_active(struct vim_call *call, const struct SessionIsActive_args *args,
                                           struct SessionIsActive_result *ret)
{
    struct vim_session *session = vim_session_find_key(call->server->sessions, args->sessionID);
    ret->returnval = session != NULL && strcmp(session->user_name, args->userName) == 0;
    vim_session_unref(session);
    return NULL;
}

/* Forgets tickets that are too old, and the oldest so that there is room for one. (table's lock) */
static void forget_tickets(struct vim_sessions *sessions)
{
    int64_t now = now_ms(sessions);
    struct ticket *oldest;
    while ((oldest = g_queue_peek_head(&sessions->tickets)) != NULL &&
           (oldest->end_ms <= now || sessions->tickets.length >= MAX_TICKETS)) {
        ticket_free(g_queue_pop_head(&sessions->tickets));
    }
}

static struct vim_fault *acquire_clone_ticket(struct vim_call *call,
                                              const struct AcquireCloneTicket_args *args,
                                              struct AcquireCloneTicket_result *ret)
{
    (void)args;
    struct vim_sessions *sessions = call->server->sessions;
    struct ticket *ticket = g_new0(struct ticket, 1);
    ticket->secret = random_hex(SECRET_BYTES);
    ticket->session_key = g_strdup(call->session->key);
    ticket->end_ms = now_ms(sessions) + TICKET_LIFE_MS;
    ret->returnval = g_strdup(ticket->secret);
    g_mutex_lock(&sessions->lock);
    forget_tickets(sessions);
    g_queue_push_tail(&sessions->tickets, ticket);
    g_mutex_unlock(&sessions->lock);
    return NULL;
}

/* Takes the ticket with this secret: the key of its session, to be freed, or NULL. */
static char *redeem(struct vim_sessions *sessions, const char *secret)
{
    char *key = NULL;
    int64_t now = now_ms(sessions);
    g_mutex_lock(&sessions->lock);
    for (GList *at = sessions->tickets.head; at != NULL; at = at->next) {
        struct ticket *ticket = at->data;
        if (strcmp(ticket->secret, secret) == 0) {
            key = ticket->end_ms > now ? g_strdup(ticket->session_key) : NULL;
            g_queue_delete_link(&sessions->tickets, at);
            ticket_free(ticket);
            break;
        }
    }
    g_mutex_unlock(&sessions->lock);
    return key;
}

static struct vim_fault *clone_session(struct vim_call *call, const struct CloneSession_args *args,
                                       struct CloneSession_result *ret)
{
    struct vim_sessions *sessions = call->server->sessions;
    g_autofree char *key = redeem(sessions, args->cloneTicket);
    struct vim_session *original = key != NULL ? vim_session_find_key(sessions, key) : NULL;
    if (original == NULL) {
        return fault_invalid_login("the ticket is not valid, was used before, or is too old");
    }
    struct user_info user = {
        .name = original->user_name,
        .full_name = original->full_name,
        .groups = original->groups,
    };
    g_mutex_lock(&original->lock);
    g_autofree char *locale = g_strdup(original->locale);
    g_mutex_unlock(&original->lock);
    struct vim_session *session =
        session_new(sessions, &user, locale, call_peer(call), call_user_agent(call));
    vim_session_unref(original);
    begin(sessions, session);
    hand_out(call, session);
    ret->returnval = vim_session_describe(session);
    return NULL;
}

const struct SessionManager_methods vim_session_manager_methods = {
    .UpdateServiceMessage = update_service_message,
    .Login = login,
    .Logout = logout,
    .TerminateSession = terminate_session,
    .SetLocale = set_locale,
    .SessionIsActive = session_is_active,
    .AcquireCloneTicket = acquire_clone_ticket,
    .CloneSession = clone_session,
};
