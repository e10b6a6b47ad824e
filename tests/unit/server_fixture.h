// SPDX-License-Identifier: Apache-2.0
/*
 * A server without a network for unit tests: an inventory of a few objects, a clock that stands until the
 * test moves it, users with passwords, and everything that is posted as an event in a list. What belongs to
 * rooms that are not under test (HTTP, dispatch, collectors, events) is answered here in its simplest form.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/file.h"
#include "vim/authorization.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/http.h"
#include "vim/password.h"
#include "vim/property_collector.h"
#include "vim/session.h"
#include "vim/types.h"
#include "vim/users.h"
#include "vim/value.h"

#define ROOT "ha-folder-root"
#define DATACENTER "ha-datacenter"
#define VM_FOLDER "ha-folder-vm"

struct fixture {
    struct vim_server server; /* first: the stubs below find the fixture by it */
    char *dir;                /* state folder, removed at the end */
    gint64 time_ms;           /* atomic; both clocks */
    GMutex lock;              /* guards the events */
    GPtrArray *events;        /* of struct Event *, owned; fullFormattedMessage and userName are set */
};

/* ---- stubs ---------------------------------------------------------------------------------------- */

/* Everybody's password is "right" unless he was given another one. */
struct users {
    GMutex lock;
    GHashTable *names; /* -> password; both owned */
    int error;         /* what changes answer with, when not 0 */
};

/* Who begins with "op" belongs to the operators; all but root are staff. */
static struct user_info *fixture_user(const char *name)
{
    const char *groups = g_str_has_prefix(name, "op") ? "operators staff" : "staff";
    struct user_info *user = g_new0(struct user_info, 1);
    user->name = g_strdup(name);
    user->full_name = g_strdup_printf("The %s", name);
    user->groups = g_strsplit(strcmp(name, "root") != 0 ? groups : "", " ", -1);
    return user;
}

void user_info_free(struct user_info *user)
{
    if (user != NULL) {
        g_free(user->name);
        g_free(user->full_name);
        g_strfreev(user->groups);
        g_free(user);
    }
}

struct user_info *users_find(struct users *users, const char *name)
{
    return users_exists(users, name) ? fixture_user(name) : NULL;
}

bool users_exists(struct users *users, const char *name)
{
    g_mutex_lock(&users->lock);
    bool exists = g_hash_table_contains(users->names, name);
    g_mutex_unlock(&users->lock);
    return exists;
}

static void fixture_user_free(void *user)
{
    user_info_free(user);
}

GPtrArray *users_list(struct users *users)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(fixture_user_free);
    g_mutex_lock(&users->lock);
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(users->names), (GCompareFunc)strcmp);
    for (GList *at = names; at != NULL; at = at->next) {
        g_ptr_array_add(list, fixture_user(at->data));
    }
    g_mutex_unlock(&users->lock);
    return list;
}

static int fixture_put_user(struct users *users, const char *name, const char *password, bool exists)
{
    if (users->error != 0 || users_exists(users, name) != exists) {
        return users->error != 0 ? users->error : exists ? -ENOENT : -EEXIST;
    }
    g_mutex_lock(&users->lock);
    g_hash_table_insert(users->names, g_strdup(name), g_strdup(password));
    g_mutex_unlock(&users->lock);
    return 0;
}

int users_create(struct users *users, const char *name, const char *password, const char *full_name,
                 const char *const *groups)
{
    g_assert_null(groups);
    (void)full_name;
    return fixture_put_user(users, name, password, false);
}

int users_set_password(struct users *users, const char *name, const char *password)
{
    return fixture_put_user(users, name, password, true);
}

int users_update(struct users *users, const char *name, const char *full_name, const char *const *groups)
{
    g_assert_nonnull(full_name);
    g_assert_null(groups);
    return users->error != 0 ? users->error : users_exists(users, name) ? 0 : -ENOENT;
}

int users_remove(struct users *users, const char *name)
{
    if (users->error != 0) {
        return users->error;
    }
    g_mutex_lock(&users->lock);
    bool removed = g_hash_table_remove(users->names, name);
    g_mutex_unlock(&users->lock);
    return removed ? 0 : -ENOENT;
}

int users_authenticate(struct users *users, const char *name, const char *password, const char *peer,
                       char **ret_full_name)
{
    g_assert_nonnull(peer);
    g_assert_null(ret_full_name);
    g_mutex_lock(&users->lock);
    bool right = g_strcmp0(g_hash_table_lookup(users->names, name), password) == 0;
    g_mutex_unlock(&users->lock);
    return right ? 0 : -EACCES;
}

int password_check_quality(const char *password)
{
    return strlen(password) < 4 ? -EINVAL : strlen(password) > 512 ? -E2BIG : 0;
}

struct http_request {
    bool tls;
    const char *peer;
    const char *user_agent;
};

const char *http_request_peer(const struct http_request *request)
{
    return request->peer;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    g_assert_cmpstr(name, ==, "User-Agent");
    return request->user_agent;
}

bool http_request_is_tls(const struct http_request *request)
{
    return request->tls;
}

struct vim_collector {
    int *ended; /* counts */
    int *freed;
};

void vim_collector_end(struct vim_collector *collector)
{
    ++*collector->ended;
}

void vim_collector_unref(struct vim_collector *collector)
{
    if (collector != NULL) {
        ++*collector->freed;
        g_free(collector);
    }
}

void vim_event_post(struct vim_server *server, struct Event *event, const char *user_name, const char *format,
                    ...)
{
    struct fixture *fixture = (struct fixture *)server;
    va_list args;
    va_start(args, format);
    event->fullFormattedMessage = g_strdup_vprintf(format, args);
    va_end(args);
    event->userName = g_strdup(user_name);
    vim_write_lock(server->inventory); /* as the real one: so a caller that holds it hangs here too */
    vim_write_unlock(server->inventory);
    g_mutex_lock(&fixture->lock);
    g_ptr_array_add(fixture->events, event);
    g_mutex_unlock(&fixture->lock);
}

int64_t vim_now_us(const struct vim_server *server)
{
    return server->environment.now_us(server->environment.data);
}

struct vim_fault *vim_call_gone(const struct vim_ref *ref)
{
    return fault_managed_object_not_found(*ref, "%s is gone", ref->id);
}

struct vim_object *vim_call_object(struct vim_call *call)
{
    return vim_inventory_find_ref(call->server->inventory, &call->request.target);
}

struct vim_fault *vim_call_require(struct vim_call *call, const struct vim_ref *ref,
                                   enum vim_privilege privilege)
{
    vim_read_lock(call->server->inventory);
    struct vim_object *object = vim_inventory_find_ref(call->server->inventory, ref);
    bool allowed =
        object != NULL && vim_authorized(call->server->authorization, call->session, object, privilege);
    vim_read_unlock(call->server->inventory);
    return object == NULL ? vim_call_gone(ref)
           : allowed      ? NULL
                          : fault_no_permission(*ref, vim_privileges[privilege].id, "missing");
}

/* ---- the server ----------------------------------------------------------------------------------- */

static int64_t fixture_now_us(void *data)
{
    return INT64_C(1600000000000000) +
           __atomic_load_n(&((struct fixture *)data)->time_ms, __ATOMIC_RELAXED) * 1000;
}

static int64_t fixture_now_ms(void *data)
{
    return __atomic_load_n(&((struct fixture *)data)->time_ms, __ATOMIC_RELAXED);
}

static inline void fixture_pass_ms(struct fixture *fixture, int64_t ms)
{
    __atomic_add_fetch(&fixture->time_ms, ms, __ATOMIC_RELAXED);
}

static inline struct vim_object *fixture_add(struct fixture *fixture, const struct vim_type *type,
                                             const char *id, const char *parent)
{
    struct vim_object *object = vim_inventory_add(fixture->server.inventory, type, id, NULL);
    struct vim_object *above = parent != NULL ? vim_inventory_find(fixture->server.inventory, parent) : NULL;
    if (above != NULL) {
        vim_set_reference(object, "parent", &above->ref);
        vim_set_text(object, "name", id);
    }
    return object;
}

/* ha-folder-root / ha-datacenter / ha-folder-vm / vm-1, vm-2; and the managers. */
static inline void fixture_fill(struct fixture *fixture)
{
    fixture->server.inventory = vim_inventory_new();
    fixture_add(fixture, &Folder_type, ROOT, NULL);
    fixture_add(fixture, &Datacenter_type, DATACENTER, ROOT);
    fixture_add(fixture, &Folder_type, VM_FOLDER, DATACENTER);
    fixture_add(fixture, &VirtualMachine_type, "vm-1", VM_FOLDER);
    fixture_add(fixture, &VirtualMachine_type, "vm-2", VM_FOLDER);
    fixture_add(fixture, &SessionManager_type, "ha-sessionmgr", NULL);
    fixture_add(fixture, &AuthorizationManager_type, "ha-authmgr", NULL);
    fixture_add(fixture, &UserDirectory_type, "ha-user-directory", NULL);
    fixture_add(fixture, &HostLocalAccountManager_type, "ha-localacctmgr", NULL);
}

static inline void fixture_add_user(struct fixture *fixture, const char *name)
{
    g_hash_table_insert(fixture->server.users->names, g_strdup(name), g_strdup("right"));
}

static inline void fixture_init(struct fixture *fixture)
{
    static const char *const names[] = {"root", "alice", "bob", "carol", "olga", "opal"};
    fixture->server.users = g_new0(struct users, 1);
    g_mutex_init(&fixture->server.users->lock);
    fixture->server.users->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        fixture_add_user(fixture, names[i]);
    }
    fixture->dir = g_dir_make_tmp("test-server-XXXXXX", NULL);
    fixture->time_ms = 5;
    g_mutex_init(&fixture->lock);
    fixture->events = g_ptr_array_new_with_free_func(vim_free);
    fixture->server.environment =
        (struct vim_environment){fixture_now_us, fixture_now_ms, fixture, fixture->dir};
    fixture->server.root_folder = vim_ref_make(&Folder_type, ROOT);
    fixture_fill(fixture);
}

static inline void fixture_clear(struct fixture *fixture)
{
    vim_inventory_free(fixture->server.inventory);
    vim_ref_clear(&fixture->server.root_folder);
    g_hash_table_unref(fixture->server.users->names);
    g_mutex_clear(&fixture->server.users->lock);
    g_free(fixture->server.users);
    g_ptr_array_unref(fixture->events);
    g_mutex_clear(&fixture->lock);
    g_assert_cmpint(file_remove_tree(AT_FDCWD, fixture->dir), ==, 0);
    g_free(fixture->dir);
}

static inline struct vim_object *fixture_object(struct fixture *fixture, const char *id)
{
    struct vim_object *object = vim_inventory_find(fixture->server.inventory, id);
    g_assert_nonnull(object);
    return object;
}

/* A call on a manager by a session, which may be NULL; to be cleared with fixture_call_clear. */
static inline struct vim_call fixture_call(struct fixture *fixture, const char *manager,
                                           struct vim_session *session)
{
    struct vim_call call = {.server = &fixture->server};
    call.request.target = vim_ref_copy(&fixture_object(fixture, manager)->ref);
    call.session = session != NULL ? vim_session_ref(session) : NULL;
    return call;
}

static inline void fixture_call_clear(struct vim_call *call)
{
    vim_session_unref(call->session);
    vim_ref_clear(&call->request.target);
    g_free(call->set_cookie);
}

/* ---- checks --------------------------------------------------------------------------------------- */

/* Frees the fault, which must be of this type. */
static inline void assert_fault(struct vim_fault *fault, const struct vim_type *type)
{
    g_assert_nonnull(fault);
    g_assert_cmpstr(vim_fault_type(fault)->name, ==, type->name);
    g_assert_cmpstr(fault->message, !=, "");
    vim_fault_free(fault);
}

static inline void assert_invalid_argument(struct vim_fault *fault, const char *property)
{
    g_assert_nonnull(fault);
    g_assert_true(vim_fault_type(fault) == &InvalidArgument_type);
    g_assert_cmpstr(((struct InvalidArgument *)fault->fault)->invalidProperty, ==, property);
    vim_fault_free(fault);
}

static inline void assert_ok(struct vim_fault *fault)
{
    if (fault != NULL) {
        g_error("unexpected %s: %s", vim_fault_type(fault)->name, fault->message);
    }
}

/* Frees what a method has put into its result. */
static inline void result_clear(const char *method, void *result)
{
    vim_clear_members(vim_method_by_name(method)->result, result);
}

/* The next event, which must be of this type; it stays in the fixture. */
static inline void *assert_event(struct fixture *fixture, guint *next, const struct vim_type *type)
{
    g_assert_cmpuint(*next, <, fixture->events->len);
    struct Event *event = g_ptr_array_index(fixture->events, *next);
    g_assert_cmpstr(event->vim_type->name, ==, type->name);
    ++*next;
    return event;
}
