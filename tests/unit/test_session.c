// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions: login and its refusals, idle time, limits, what ends with a session, clone tickets, the
 * SessionManager's methods, and logins and ends from several threads at once.
 */
#include "server_fixture.h"

#define MINUTES(n) ((int64_t)(n)*60 * 1000)

static const struct SessionManager_methods *const methods = &vim_session_manager_methods;

static void setup(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    char *message = NULL;
    fixture_init(fixture);
    fixture->server.sessions = vim_sessions_new(&fixture->server);
    fixture->server.authorization = vim_authorization_new(&fixture->server, &message);
    g_assert_cmpint(vim_authorization_attach(fixture->server.authorization,
                                             &fixture_object(fixture, "ha-authmgr")->ref, &message),
                    ==, 0);
    vim_sessions_attach(fixture->server.sessions, &fixture_object(fixture, "ha-sessionmgr")->ref);
    g_assert_null(message);
}

static void teardown(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    vim_sessions_free(fixture->server.sessions);
    vim_authorization_free(fixture->server.authorization);
    fixture_clear(fixture);
}

static struct SessionManager *manager(struct fixture *fixture)
{
    return VIM_PROPERTIES(fixture_object(fixture, "ha-sessionmgr"), SessionManager);
}

static struct vim_session *login(struct fixture *fixture, const char *user)
{
    struct vim_session *session = NULL;
    assert_ok(
        vim_session_login(fixture->server.sessions, user, "right", NULL, "192.0.2.1", "test", &session));
    return session;
}

/* Lets another user than root log in. */
static void give_role(struct fixture *fixture, const char *user)
{
    fixture_add_user(fixture, user);
    struct vim_session *root = login(fixture, "root");
    struct vim_call call = fixture_call(fixture, "ha-authmgr", root);
    struct Permission permission = {&Permission_type, .principal = (char *)user, .roleId = -2,
                                    .propagate = true};
    struct Permission *list[] = {&permission};
    struct SetEntityPermissions_args args = {.entity = fixture->server.root_folder, .permission = {list, 1}};
    assert_ok(vim_authorization_manager_methods.SetEntityPermissions(&call, &args));
    vim_session_end(fixture->server.sessions, root);
    vim_session_unref(root);
    fixture_call_clear(&call);
}

static void assert_live(struct fixture *fixture, struct vim_session *session, bool live)
{
    struct vim_session *found = vim_session_find_key(fixture->server.sessions, session->key);
    g_assert_true(found == (live ? session : NULL));
    g_assert_true(vim_session_has_ended(session) == !live);
    vim_session_unref(found);
}

/* ---- login ---------------------------------------------------------------------------------------- */

static void test_login(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    guint next = 0;
    struct http_request http = {.tls = true, .peer = "192.0.2.7", .user_agent = "agent\x01 of \xff mine"};
    struct vim_call call = fixture_call(fixture, "ha-sessionmgr", NULL);
    struct Login_args args = {.userName = "root", .password = "right", .locale = "de_DE"};
    struct Login_result result = {0};
    call.http = &http;
    assert_ok(methods->Login(&call, &args, &result));
    const struct UserSession *seen = result.returnval;
    g_assert_cmpstr(seen->userName, ==, "root");
    g_assert_cmpstr(seen->fullName, ==, "The root");
    g_assert_cmpstr(seen->locale, ==, "de_DE");
    g_assert_cmpstr(seen->messageLocale, ==, "en");
    g_assert_cmpstr(seen->ipAddress, ==, "192.0.2.7");
    g_assert_cmpstr(seen->userAgent, ==, "agent? of \xef\xbf\xbd mine");
    g_assert_cmpint(seen->loginTime, ==, vim_now_us(&fixture->server));

    g_autofree char *cookie = g_strdup_printf(
        "vmware_soap_session=\"%s\"; Path=/; HttpOnly; SameSite=Lax; Secure", call.session->secret);
    g_assert_cmpstr(call.set_cookie, ==, cookie);
    g_assert_cmpuint(strlen(call.session->secret), >=, 32);
    g_assert_null(strstr(call.session->secret, seen->key));
    struct vim_session *found = vim_session_find(fixture->server.sessions, call.session->secret);
    g_assert_true(found == call.session);
    vim_session_unref(found);
    g_assert_null(vim_session_find(fixture->server.sessions, seen->key));

    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 1);
    g_assert_cmpstr(manager(fixture)->sessionList.items[0]->key, ==, seen->key);
    struct UserLoginSessionEvent *event = assert_event(fixture, &next, &UserLoginSessionEvent_type);
    g_assert_cmpstr(event->userName, ==, "root");
    g_assert_cmpstr(event->sessionId, ==, seen->key);

    http.tls = false;
    vim_free(result.returnval);
    g_autofree char *old_secret = g_strdup(call.session->secret);
    assert_ok(methods->Login(&call, &args, &result)); /* again, on top of a session */
    g_assert_null(strstr(call.set_cookie, "Secure"));
    g_assert_cmpstr(call.session->secret, !=, old_secret);
    vim_free(result.returnval);
    fixture_call_clear(&call);
}

static void test_refused(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    guint next = 0;
    struct vim_session *session = NULL;
    struct vim_sessions *sessions = fixture->server.sessions;
    assert_fault(vim_session_login(sessions, "root", "wrong", NULL, "192.0.2.1", NULL, &session),
                 &InvalidLogin_type);
    struct BadUsernameSessionEvent *event = assert_event(fixture, &next, &BadUsernameSessionEvent_type);
    g_assert_cmpstr(event->ipAddress, ==, "192.0.2.1");
    g_assert_cmpstr(event->userName, ==, "root");
    assert_fault(vim_session_login(sessions, "nob\nody", "right", NULL, "192.0.2.1", NULL, &session),
                 &InvalidLogin_type);
    event = assert_event(fixture, &next, &BadUsernameSessionEvent_type);
    g_assert_cmpstr(event->userName, ==, "nob?ody");
    assert_fault(vim_session_login(sessions, "root", "right", "../etc", "192.0.2.1", NULL, &session),
                 &InvalidLocale_type);
    assert_fault(vim_session_login(sessions, "alice", "right", NULL, "192.0.2.1", NULL, &session),
                 &NoPermission_type); /* she has none yet */
    g_assert_null(session);
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 0);
    g_assert_cmpuint(fixture->events->len, ==, next);
    give_role(fixture, "alice");
    vim_session_unref(login(fixture, "alice"));
}

/* ---- time and limits ------------------------------------------------------------------------------ */

static void test_idle(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    struct vim_sessions *sessions = fixture->server.sessions;
    struct vim_session *session = login(fixture, "root");
    fixture_pass_ms(fixture, MINUTES(30));
    struct vim_session *found = vim_session_find(sessions, session->secret); /* heard just in time */
    g_assert_true(found == session);
    vim_session_unref(found);
    struct UserSession *seen = vim_session_describe(session);
    g_assert_cmpint(seen->lastActiveTime, ==, vim_now_us(&fixture->server));
    g_assert_cmpint(seen->callCount, ==, 1);
    vim_free(seen);
    fixture_pass_ms(fixture, MINUTES(30) + 1);
    g_assert_null(vim_session_find_key(sessions, session->key));
    g_assert_null(vim_session_find(sessions, session->secret));
    assert_live(fixture, session, false);
    vim_session_unref(session);
}

static void test_expiry(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    struct vim_sessions *sessions = fixture->server.sessions;
    struct vim_session *found_late = login(fixture, "root");
    fixture_pass_ms(fixture, 1);
    struct vim_session *swept = login(fixture, "root");
    struct vim_session *parked = login(fixture, "root");
    g_atomic_int_inc(&parked->parked);
    fixture_pass_ms(fixture, MINUTES(30));
    vim_sessions_expire(sessions);
    assert_live(fixture, found_late, false);
    assert_live(fixture, swept, true);
    fixture_pass_ms(fixture, 1);
    g_assert_null(vim_session_find(sessions, swept->secret)); /* refused without a sweep */
    assert_live(fixture, swept, false);
    assert_live(fixture, parked, true);
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 1);

    vim_sessions_set_idle_limit(sessions, MINUTES(1)); /* also for those that are open */
    struct vim_session *brief = login(fixture, "root");
    fixture_pass_ms(fixture, MINUTES(1) + 1);
    vim_sessions_expire(sessions);
    assert_live(fixture, brief, false);
    vim_sessions_set_idle_limit(sessions, 0); /* never */
    struct vim_session *forever = login(fixture, "root");
    fixture_pass_ms(fixture, MINUTES(100000));
    vim_sessions_expire(sessions);
    assert_live(fixture, forever, true);
    vim_session_end(sessions, forever);
    vim_session_unref(forever);
    vim_session_unref(brief);
    vim_sessions_set_idle_limit(sessions, MINUTES(30));

    vim_sessions_expire(sessions); /* the parked one's time starts at the end of its wait */
    g_atomic_int_add(&parked->parked, -1);
    fixture_pass_ms(fixture, MINUTES(30));
    vim_sessions_expire(sessions);
    assert_live(fixture, parked, true);
    vim_session_touch(parked);
    fixture_pass_ms(fixture, MINUTES(30));
    vim_sessions_expire(sessions);
    assert_live(fixture, parked, true);
    fixture_pass_ms(fixture, 1);
    vim_sessions_expire(sessions);
    assert_live(fixture, parked, false);
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 0);
    guint last = fixture->events->len - 1;
    struct UserLogoutSessionEvent *event = assert_event(fixture, &last, &UserLogoutSessionEvent_type);
    g_assert_cmpstr(event->sessionId, ==, parked->key);
    vim_session_unref(found_late);
    vim_session_unref(swept);
    vim_session_unref(parked);
}

static void test_user_limit(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    give_role(fixture, "alice");
    struct vim_session *hers = login(fixture, "alice");
    struct vim_session *of_root[100];
    for (int i = 0; i < 100; i++) {
        fixture_pass_ms(fixture, 1);
        of_root[i] = login(fixture, "root");
    }
    fixture_pass_ms(fixture, 1);
    vim_session_touch(of_root[0]);
    assert_live(fixture, of_root[1], true);
    vim_write_lock(fixture->server.inventory);
    vim_session_own(of_root[1], fixture_add(fixture, &ListView_type, "view-1", NULL));
    vim_write_unlock(fixture->server.inventory);
    vim_session_unref(login(fixture, "root"));
    assert_live(fixture, of_root[0], true);
    assert_live(fixture, of_root[1], false); /* the longest idle one of this user */
    g_assert_null(vim_inventory_find(fixture->server.inventory, "view-1"));
    assert_live(fixture, of_root[2], true);
    assert_live(fixture, hers, true);
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 101);
    for (int i = 0; i < 100; i++) {
        vim_session_unref(of_root[i]);
    }
    vim_session_unref(hers);
}

static void test_total_limit(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    struct vim_session *first = login(fixture, "root");
    struct vim_session *second = NULL;
    for (int i = 0; i < 10; i++) {
        g_autofree char *user = g_strdup_printf("user%d", i);
        give_role(fixture, user);
        for (int n = 0; n < (i < 9 ? 100 : 99); n++) {
            fixture_pass_ms(fixture, 1);
            struct vim_session *session = login(fixture, user);
            if (second == NULL) {
                second = vim_session_ref(session);
            }
            vim_session_unref(session);
        }
    }
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 1000);
    assert_live(fixture, first, true);
    vim_session_touch(first);
    vim_session_unref(login(fixture, "root")); /* has one himself, which goes */
    assert_live(fixture, first, false);
    assert_live(fixture, second, true);
    give_role(fixture, "alice"); /* by a session of root, in place of his other one */
    vim_session_unref(login(fixture, "user9"));
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 1000);
    vim_session_unref(login(fixture, "alice")); /* has none: the longest idle one of all goes */
    assert_live(fixture, second, false);
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 1000);
    vim_session_unref(first);
    vim_session_unref(second);
}

/* ---- the end -------------------------------------------------------------------------------------- */

struct owned {
    struct fixture *fixture;
    struct vim_session *session;
    const char *takes_along; /* id of an object that goes with this one, or NULL */
    int *freed;
};

static void owned_free(void *data)
{
    struct owned *owned = data;
    ++*owned->freed;
    if (owned->takes_along != NULL) {
        struct vim_object *other = vim_inventory_find(owned->fixture->server.inventory, owned->takes_along);
        if (other != NULL) {
            vim_session_disown(owned->session, other);
            vim_inventory_remove(owned->fixture->server.inventory, other);
        }
    }
    g_free(owned);
}

static void own(struct fixture *fixture, struct vim_session *session, const char *id, const char *takes_along,
                int *freed)
{
    struct owned *owned = g_new0(struct owned, 1);
    *owned = (struct owned){fixture, session, takes_along, freed};
    vim_write_lock(fixture->server.inventory);
    struct vim_object *object = fixture_add(fixture, &ListView_type, id, NULL);
    object->code = owned;
    object->code_free = owned_free;
    vim_session_own(session, object);
    g_assert_true(object->owner == session);
    vim_write_unlock(fixture->server.inventory);
}

static void cursor_count_free(void *cursor)
{
    ++*(int *)cursor;
}

static void test_end(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    int freed = 0, ended = 0, collector_freed = 0, cursors_freed = 0;
    struct vim_session *session = login(fixture, "root");
    struct vim_session *other = login(fixture, "root");
    own(fixture, session, "view-1", "view-3", &freed);
    own(fixture, session, "view-2", NULL, &freed);
    own(fixture, session, "view-3", NULL, &freed);
    own(fixture, session, "view-4", NULL, &freed);
    own(fixture, other, "view-5", NULL, &freed);
    session->collector = g_new0(struct vim_collector, 1);
    *session->collector = (struct vim_collector){&ended, &collector_freed};
    vim_session_keep_cursor(session, &cursors_freed, cursor_count_free, 16);
    vim_write_lock(fixture->server.inventory);
    vim_session_disown(session, fixture_object(fixture, "view-2"));
    vim_write_unlock(fixture->server.inventory);

    guint next = fixture->events->len;
    struct vim_call call = fixture_call(fixture, "ha-sessionmgr", session);
    assert_ok(methods->Logout(&call, NULL));
    assert_live(fixture, session, false);
    g_assert_null(vim_session_find(fixture->server.sessions, session->secret));
    g_assert_cmpint(freed, ==, 3);
    g_assert_cmpint(cursors_freed, ==, 1);
    g_assert_nonnull(vim_inventory_find(fixture->server.inventory, "view-2"));
    g_assert_nonnull(vim_inventory_find(fixture->server.inventory, "view-5"));
    g_assert_null(vim_inventory_find(fixture->server.inventory, "view-4"));
    g_assert_cmpint(ended, ==, 1);
    g_assert_cmpint(collector_freed, ==, 0); /* the call under way may still use it */
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 1);
    struct UserLogoutSessionEvent *event = assert_event(fixture, &next, &UserLogoutSessionEvent_type);
    g_assert_cmpstr(event->sessionId, ==, session->key);
    vim_session_end(fixture->server.sessions, session); /* nothing more */
    g_assert_cmpuint(fixture->events->len, ==, next);

    own(fixture, session, "view-6", NULL, &freed); /* by a call that was under way */
    vim_session_unref(session);
    fixture_call_clear(&call);
    g_assert_cmpint(collector_freed, ==, 0);
    vim_sessions_expire(fixture->server.sessions);
    g_assert_null(vim_inventory_find(fixture->server.inventory, "view-6"));
    g_assert_cmpint(collector_freed, ==, 1);
    g_assert_cmpint(freed, ==, 4);
    vim_session_end(fixture->server.sessions, other);
    g_assert_null(vim_inventory_find(fixture->server.inventory, "view-5"));
    vim_session_unref(other);
    vim_write_lock(fixture->server.inventory);
    vim_inventory_remove(fixture->server.inventory, fixture_object(fixture, "view-2"));
    vim_write_unlock(fixture->server.inventory);
    g_assert_cmpint(freed, ==, 6);
}

static void test_end_user(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    give_role(fixture, "alice");
    struct vim_session *hers = login(fixture, "alice");
    struct vim_session *hers_too = login(fixture, "alice");
    struct vim_session *root = login(fixture, "root");
    vim_sessions_end_user(fixture->server.sessions, "alice");
    assert_live(fixture, hers, false);
    assert_live(fixture, hers_too, false);
    assert_live(fixture, root, true);
    vim_session_unref(hers);
    vim_session_unref(hers_too);
    vim_session_unref(root);
}

static void test_terminate(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    struct vim_session *root = login(fixture, "root");
    struct vim_session *other = login(fixture, "root");
    struct vim_call call = fixture_call(fixture, "ha-sessionmgr", root);
    char *keys[] = {other->key, (char *)"no such"};
    struct TerminateSession_args args = {.sessionId = {keys, 2}};
    assert_fault(methods->TerminateSession(&call, &args), &NotFound_type);
    assert_live(fixture, other, true); /* all or nothing */
    keys[1] = root->key;
    assert_invalid_argument(methods->TerminateSession(&call, &args), "sessionId");
    assert_live(fixture, other, true);
    args.sessionId.n = 1;
    guint next = fixture->events->len;
    assert_ok(methods->TerminateSession(&call, &args));
    assert_live(fixture, other, false);
    assert_event(fixture, &next, &UserLogoutSessionEvent_type);
    struct SessionTerminatedEvent *event = assert_event(fixture, &next, &SessionTerminatedEvent_type);
    g_assert_cmpstr(event->sessionId, ==, other->key);
    vim_session_unref(root);
    vim_session_unref(other);
    fixture_call_clear(&call);
}

/* ---- the rest of the SessionManager --------------------------------------------------------------- */

static char *ticket_of(struct fixture *fixture, struct vim_session *session)
{
    struct vim_call call = fixture_call(fixture, "ha-sessionmgr", session);
    struct AcquireCloneTicket_result result = {0};
    assert_ok(methods->AcquireCloneTicket(&call, NULL, &result));
    fixture_call_clear(&call);
    return result.returnval;
}

static struct vim_fault *clone_by(struct fixture *fixture, char *ticket, char **ret_key)
{
    struct vim_call call = fixture_call(fixture, "ha-sessionmgr", NULL);
    struct CloneSession_args args = {.cloneTicket = ticket};
    struct CloneSession_result result = {0};
    struct vim_fault *fault = methods->CloneSession(&call, &args, &result);
    if (fault == NULL) {
        g_assert_cmpstr(result.returnval->key, ==, call.session->key);
        g_assert_nonnull(strstr(call.set_cookie, call.session->secret));
        *ret_key = g_strdup(result.returnval->key);
        vim_free(result.returnval);
    }
    fixture_call_clear(&call);
    return fault;
}

static void test_clone(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    struct vim_session *root = login(fixture, "root");
    g_autofree char *used = ticket_of(fixture, root);
    g_autofree char *late = ticket_of(fixture, root);
    g_autofree char *key = NULL;
    assert_ok(clone_by(fixture, used, &key));
    g_assert_cmpstr(key, !=, root->key);
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 2);
    assert_fault(clone_by(fixture, used, &key), &InvalidLogin_type);
    assert_fault(clone_by(fixture, (char *)"guess", &key), &InvalidLogin_type);
    fixture_pass_ms(fixture, 30 * 1000);
    assert_fault(clone_by(fixture, late, &key), &InvalidLogin_type);
    g_autofree char *orphan = ticket_of(fixture, root);
    g_autofree char *first = ticket_of(fixture, root);
    vim_session_end(fixture->server.sessions, root);
    assert_fault(clone_by(fixture, orphan, &key), &InvalidLogin_type);
    vim_session_unref(root);

    root = login(fixture, "root");
    g_free(first);
    first = ticket_of(fixture, root);
    for (int i = 0; i < 1000; i++) { /* tickets do not pile up: the oldest gives way */
        g_free(ticket_of(fixture, root));
    }
    assert_fault(clone_by(fixture, first, &key), &InvalidLogin_type);
    vim_session_unref(root);
}

static void test_small_methods(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    struct vim_session *root = login(fixture, "root");
    struct vim_call call = fixture_call(fixture, "ha-sessionmgr", root);
    assert_ok(methods->SetLocale(&call, &(struct SetLocale_args){.locale = "ja"}));
    g_assert_cmpstr(manager(fixture)->sessionList.items[0]->locale, ==, "ja");
    assert_fault(methods->SetLocale(&call, &(struct SetLocale_args){.locale = ""}), &InvalidLocale_type);
    assert_fault(methods->SetLocale(&call, &(struct SetLocale_args){.locale = "a b"}), &InvalidLocale_type);
    assert_ok(methods->UpdateServiceMessage(&call, &(struct UpdateServiceMessage_args){.message = "Hello"}));
    g_assert_cmpstr(manager(fixture)->message, ==, "Hello");
    g_autofree char *endless = g_strnfill(65537, 'x');
    assert_invalid_argument(
        methods->UpdateServiceMessage(&call, &(struct UpdateServiceMessage_args){.message = endless}),
        "message");

    struct SessionIsActive_args args = {.sessionID = root->key, .userName = "root"};
    struct SessionIsActive_result result = {0};
    assert_ok(methods->SessionIsActive(&call, &args, &result));
    g_assert_true(result.returnval);
    args.userName = "alice";
    assert_ok(methods->SessionIsActive(&call, &args, &result));
    g_assert_false(result.returnval);
    args = (struct SessionIsActive_args){.sessionID = "none", .userName = "root"};
    assert_ok(methods->SessionIsActive(&call, &args, &result));
    g_assert_false(result.returnval);
    g_assert_cmpstr(manager(fixture)->defaultLocale, ==, "en");
    g_assert_null(methods->ImpersonateUser);
    fixture_call_clear(&call);
    vim_session_unref(root);
}

static bool is_number(const void *cursor, const char *token)
{
    return *(const int *)cursor == atoi(token);
}

static void forget_number(void *cursor)
{
    *(int *)cursor = 0;
}

static void test_cursors(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    int numbers[] = {1, 2, 3};
    struct vim_session *root = login(fixture, "root");
    vim_session_keep_cursor(root, &numbers[0], forget_number, 2);
    vim_session_keep_cursor(root, &numbers[1], forget_number, 2);
    vim_session_keep_cursor(root, &numbers[2], forget_number, 2);
    g_assert_cmpint(numbers[0], ==, 0);
    g_assert_null(vim_session_take_cursor(root, "1", is_number));
    g_assert_true(vim_session_take_cursor(root, "2", is_number) == &numbers[1]);
    g_assert_null(vim_session_take_cursor(root, "2", is_number));
    vim_session_end(fixture->server.sessions, root);
    g_assert_cmpint(numbers[1], ==, 2); /* is its taker's */
    g_assert_cmpint(numbers[2], ==, 0);
    vim_session_unref(root);
}

/* ---- threads -------------------------------------------------------------------------------------- */

static void *come_and_go(void *data)
{
    struct fixture *fixture = data;
    for (int i = 0; i < 200; i++) {
        struct vim_session *session = login(fixture, "root");
        struct vim_session *found = vim_session_find(fixture->server.sessions, session->secret);
        g_assert_true(found == session);
        g_autofree char *id = g_strdup_printf("view-%s", session->key);
        vim_write_lock(fixture->server.inventory);
        vim_session_own(session, fixture_add(fixture, &ListView_type, id, NULL));
        vim_write_unlock(fixture->server.inventory);
        if (i % 10 == 0) {
            vim_sessions_expire(fixture->server.sessions);
        }
        vim_session_end(fixture->server.sessions, session);
        vim_session_unref(found);
        vim_session_unref(session);
    }
    return NULL;
}

static void test_threads(struct fixture *fixture, gconstpointer data)
{
    (void)data;
    GThread *threads[4];
    guint before = vim_inventory_objects(fixture->server.inventory)->len;
    for (int i = 0; i < 4; i++) {
        threads[i] = g_thread_new("login", come_and_go, fixture);
    }
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpuint(vim_inventory_objects(fixture->server.inventory)->len, ==, before);
    g_assert_cmpuint(manager(fixture)->sessionList.n, ==, 0);
    g_assert_cmpuint(fixture->events->len, ==, 2 * 4 * 200);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/session/" name, struct fixture, NULL, setup, fn, teardown)
    ADD("login", test_login);
    ADD("refused", test_refused);
    ADD("idle", test_idle);
    ADD("expiry", test_expiry);
    ADD("user-limit", test_user_limit);
    ADD("total-limit", test_total_limit);
    ADD("end", test_end);
    ADD("end-user", test_end_user);
    ADD("terminate", test_terminate);
    ADD("clone", test_clone);
    ADD("small-methods", test_small_methods);
    ADD("cursors", test_cursors);
    ADD("threads", test_threads);
    return g_test_run();
}
