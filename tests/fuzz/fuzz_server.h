// SPDX-License-Identifier: Apache-2.0
/*
 * A server without a network for the fuzz targets of the bindings: requests come from an input, answers are
 * checked and counted. What is behind it is the real dispatch and the real code of everything that works in
 * memory (collector, views, sessions, tasks, events, search, roles), with one small inventory; nothing of a
 * host that touches files. HTTP and the users are stood in for. To be included once by a target.
 *
 * Each input gets a new server, so that no input depends on the ones before. Waits that are parked end with
 * the session; an answer that never comes is a hang, which libFuzzer reports.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "vim/authorization.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/history_collector.h"
#include "vim/http.h"
#include "vim/property_collector.h"
#include "vim/server.h"
#include "vim/session.h"
#include "vim/task.h"
#include "vim/types.h"
#include "vim/users.h"
#include "vim/value.h"
#include "vim/view.h"

struct fuzz_server {
    struct vim_server *server;
    struct users *users;
    char *dir; /* state folder, removed at the end */
    GMutex lock;
    GCond changed;    /* with lock: an answer came, or a request was parked */
    unsigned awaited; /* with lock: requests that have no answer yet */
    char *secret;     /* of the session of root, which every request uses */
    /* That the body of an answer is what the binding promises. Any thread. */
    void (*check_answer)(const char *body, size_t length);
};

/* ---- HTTP ------------------------------------------------------------------------------------------ */

struct http_request {
    struct fuzz_server *fuzz;
    char *method;
    char *path;
    char *content_type;
    char *soap_action; /* or NULL */
    char *body;
    size_t length;
    bool detached; /* with fuzz->lock */
    bool parked;   /* with fuzz->lock */
    bool answered; /* with fuzz->lock */
    bool waited;   /* with fuzz->lock: fuzz_send still looks at it */
};

static inline void request_free(struct http_request *request)
{
    g_free(request->method);
    g_free(request->path);
    g_free(request->content_type);
    g_free(request->soap_action);
    g_free(request->body);
    g_free(request);
}

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return g_str_equal(name, "Content-Type")            ? request->content_type
           : g_str_equal(name, "SOAPAction")            ? request->soap_action
           : g_str_equal(name, "vmware-api-session-id") ? request->fuzz->secret
                                                        : NULL;
}

const char *http_request_cookie(const struct http_request *request, const char *name)
{
    (void)request;
    (void)name;
    return NULL;
}

const char *http_request_peer(const struct http_request *request)
{
    (void)request;
    return "127.0.0.1";
}

bool http_request_is_tls(const struct http_request *request)
{
    (void)request;
    return true;
}

const char *http_request_body(const struct http_request *request, size_t *ret_length)
{
    *ret_length = request->length;
    return request->body;
}

void http_request_detach(struct http_request *request)
{
    g_mutex_lock(&request->fuzz->lock);
    g_assert_false(request->detached);
    request->detached = true;
    g_mutex_unlock(&request->fuzz->lock);
}

/* Only parked calls want to know. */
void http_request_on_closed(struct http_request *request, void (*fn)(void *data), void *data)
{
    (void)fn;
    (void)data;
    g_mutex_lock(&request->fuzz->lock);
    request->parked = true;
    g_cond_broadcast(&request->fuzz->changed);
    g_mutex_unlock(&request->fuzz->lock);
}

void http_respond(struct http_request *request, unsigned status, const char *content_type, struct buffer body,
                  const struct http_header *headers)
{
    struct fuzz_server *fuzz = request->fuzz;

    g_assert_cmpuint(status, >=, 200);
    g_assert_cmpuint(status, <, 600);
    g_assert_true(content_type != NULL || body.length == 0);
    for (; headers != NULL && headers->name != NULL; headers++) {
        g_assert_nonnull(headers->value);
    }
    if (body.length > 0) {
        fuzz->check_answer(body.data, body.length);
    }
    buffer_free(&body);
    g_mutex_lock(&fuzz->lock);
    g_assert_false(request->answered);
    request->answered = true;
    fuzz->awaited--;
    g_cond_broadcast(&fuzz->changed);
    bool last = !request->waited;
    g_mutex_unlock(&fuzz->lock);
    if (last) {
        request_free(request);
    }
}

void http_respond_text(struct http_request *request, unsigned status, const char *text)
{
    g_assert_nonnull(text);
    http_respond(request, status, NULL, (struct buffer)BUFFER_INIT, NULL);
}

/* ---- users ----------------------------------------------------------------------------------------- */

struct users {
    int unused;
};

void user_info_free(struct user_info *info)
{
    if (info != NULL) {
        g_free(info->name);
        g_free(info->full_name);
        g_strfreev(info->groups);
        g_free(info);
    }
}

bool users_exists(struct users *users, const char *name)
{
    (void)users;
    return g_str_equal(name, "root") || g_str_equal(name, "guest");
}

struct user_info *users_find(struct users *users, const char *name)
{
    if (!users_exists(users, name)) {
        return NULL;
    }
    struct user_info *info = g_new0(struct user_info, 1);
    info->name = g_strdup(name);
    info->full_name = g_strdup("");
    info->groups = g_strsplit("staff", " ", -1);
    return info;
}

static void info_free(void *info)
{
    user_info_free(info);
}

GPtrArray *users_list(struct users *users)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(info_free);
    g_ptr_array_add(list, users_find(users, "guest"));
    g_ptr_array_add(list, users_find(users, "root"));
    return list;
}

int users_create(struct users *users, const char *name, const char *password, const char *full_name,
                 const char *const *groups)
{
    (void)password;
    (void)full_name;
    (void)groups;
    return users_exists(users, name) ? -EEXIST : -EINVAL;
}

int users_update(struct users *users, const char *name, const char *full_name, const char *const *groups)
{
    (void)full_name;
    (void)groups;
    return users_exists(users, name) ? 0 : -ENOENT;
}

int users_set_password(struct users *users, const char *name, const char *password)
{
    (void)password;
    return users_exists(users, name) ? 0 : -ENOENT;
}

int users_remove(struct users *users, const char *name)
{
    return users_exists(users, name) ? -EBUSY : -ENOENT;
}

int users_authenticate(struct users *users, const char *name, const char *password, const char *peer,
                       char **ret_full_name)
{
    (void)peer;
    g_assert_null(ret_full_name);
    return users_exists(users, name) && g_str_equal(password, "right") ? 0 : -EACCES;
}

/* ---- the inventory --------------------------------------------------------------------------------- */

static inline struct vim_object *fuzz_entity(struct vim_inventory *inventory, const struct vim_type *type,
                                             const char *id, const char *parent, const char *list)
{
    struct vim_object *object = vim_inventory_add(inventory, type, id, NULL);
    vim_set_text(object, "name", id);
    if (parent != NULL) {
        struct vim_object *above = vim_inventory_find(inventory, parent);
        vim_set_reference(object, "parent", &above->ref);
        vim_ref_list_add(above, list, &object->ref);
    }
    return object;
}

static inline void fuzz_vm(struct vim_inventory *inventory, const char *id)
{
    struct vim_object *object = fuzz_entity(inventory, &VirtualMachine_type, id, "vm", "childEntity");
    struct VirtualMachine *vm = object->properties;
    vm->runtime = VirtualMachineRuntimeInfo_new();
    vm->runtime->powerState = VirtualMachinePowerState_poweredOff;
    vm->config = VirtualMachineConfigInfo_new();
    vm->config->name = g_strdup(id);
    vm->config->uuid = g_strdup("c0ffee00-0000-0000-0000-000000000001");
    vm->config->files = VirtualMachineFileInfo_new();
    vm->config->files->vmPathName = g_strdup("[ds] a/a.vmx");
    vm->config->hardware = VirtualHardware_new();
    struct VirtualDisk *disk = VirtualDisk_new();
    disk->key = 2000;
    disk->capacityInKB = 4;
    disk->backing = (struct VirtualDeviceBackingInfo *)VirtualDiskFlatVer2BackingInfo_new();
    vim_array_add_object(&vm->config->hardware->device, disk);
}

static const struct {
    size_t offset; /* of the reference in ServiceContent */
    const struct vim_type *type;
    const char *id; /* short, so that inputs find them */
    const void *methods;
} fuzz_managers[] = {
    {offsetof(struct ServiceContent, propertyCollector), &PropertyCollector_type, "pc",
     &vim_property_collector_methods},
    {offsetof(struct ServiceContent, viewManager), &ViewManager_type, "views", &vim_view_manager_methods},
    {offsetof(struct ServiceContent, sessionManager), &SessionManager_type, "sessions",
     &vim_session_manager_methods},
    {offsetof(struct ServiceContent, authorizationManager), &AuthorizationManager_type, "auth",
     &vim_authorization_manager_methods},
    {offsetof(struct ServiceContent, userDirectory), &UserDirectory_type, "users",
     &vim_user_directory_methods},
    {offsetof(struct ServiceContent, accountManager), &HostLocalAccountManager_type, "accounts",
     &vim_local_account_manager_methods},
    {offsetof(struct ServiceContent, taskManager), &TaskManager_type, "tasks", &vim_task_manager_methods},
    {offsetof(struct ServiceContent, eventManager), &EventManager_type, "events", &vim_event_manager_methods},
    {offsetof(struct ServiceContent, searchIndex), &SearchIndex_type, "search", &vim_search_index_methods},
};

static inline void fuzz_fill(struct vim_server *server)
{
    struct vim_inventory *inventory = server->inventory;
    fuzz_entity(inventory, &Folder_type, "root", NULL, NULL);
    fuzz_entity(inventory, &Folder_type, "vm", "root", "childEntity");
    fuzz_vm(inventory, "vm-1");
    fuzz_vm(inventory, "vm-2");
    struct vim_object *object = vim_inventory_add(inventory, &ServiceInstance_type, "ServiceInstance", NULL);
    struct ServiceContent *content = ServiceContent_new();
    VIM_PROPERTIES(object, ServiceInstance)->content = content;
    content->about = AboutInfo_new();
    content->rootFolder = vim_ref_make(&Folder_type, "root");
    for (size_t i = 0; i < G_N_ELEMENTS(fuzz_managers); i++) {
        struct vim_ref *at = (struct vim_ref *)(void *)((char *)content + fuzz_managers[i].offset);
        *at = vim_ref_make(fuzz_managers[i].type, fuzz_managers[i].id);
        vim_inventory_add(inventory, fuzz_managers[i].type, fuzz_managers[i].id, NULL);
        vim_server_implement(server, fuzz_managers[i].type, fuzz_managers[i].methods);
    }
    server->service_instance = vim_ref_copy(&object->ref);
    server->root_folder = vim_ref_copy(&content->rootFolder);
    server->property_collector = vim_ref_copy(&content->propertyCollector);
    vim_server_implement(server, &PropertyFilter_type, &vim_property_filter_methods);
    vim_server_implement(server, &ContainerView_type, &vim_container_view_methods);
    vim_server_implement(server, &ListView_type, &vim_list_view_methods);
    vim_server_implement(server, &InventoryView_type, &vim_inventory_view_methods);
    vim_server_implement(server, &Task_type, &vim_task_methods);
    vim_server_implement(server, &TaskHistoryCollector_type, &vim_task_history_collector_methods);
    vim_server_implement(server, &EventHistoryCollector_type, &vim_event_history_collector_methods);
}

/* ---- life ------------------------------------------------------------------------------------------ */

/* A clock that stands: no wait ends by itself. */
static int64_t fuzz_now_us(void *data)
{
    (void)data;
    return INT64_C(1700000000000000);
}

static int64_t fuzz_now_ms(void *data)
{
    (void)data;
    return 5;
}

static inline void fuzz_server_open(struct fuzz_server *fuzz,
                                    void (*check_answer)(const char *body, size_t length))
{
    char *message = NULL;

    *fuzz = (struct fuzz_server){.check_answer = check_answer};
    g_mutex_init(&fuzz->lock);
    g_cond_init(&fuzz->changed);
    fuzz->users = g_new0(struct users, 1);
    fuzz->dir = g_dir_make_tmp("fuzz-server-XXXXXX", NULL);
    struct vim_environment environment = {fuzz_now_us, fuzz_now_ms, fuzz, fuzz->dir};
    if (vim_server_new(&environment, fuzz->users, &fuzz->server, &message) != 0) {
        g_error("%s", message);
    }
    vim_write_lock(fuzz->server->inventory);
    fuzz_fill(fuzz->server);
    vim_write_unlock(fuzz->server->inventory);
    struct vim_ref sessions = {&SessionManager_type, (char *)"sessions"};
    struct vim_ref tasks = {&TaskManager_type, (char *)"tasks"};
    struct vim_ref events = {&EventManager_type, (char *)"events"};
    struct vim_ref auth = {&AuthorizationManager_type, (char *)"auth"};
    vim_sessions_attach(fuzz->server->sessions, &sessions);
    vim_tasks_attach(fuzz->server->tasks, &tasks);
    vim_events_attach(fuzz->server->events, &events);
    struct vim_session *session = NULL;
    if (vim_authorization_attach(fuzz->server->authorization, &auth, &message) != 0 ||
        vim_session_login(fuzz->server->sessions, "root", "right", NULL, "127.0.0.1", NULL, &session) !=
            NULL) {
        g_error("%s", message);
    }
    fuzz->secret = g_strdup(session->secret);
    vim_session_unref(session);
}

/* Sends a request and waits until it is answered or parked. The body is copied. */
static inline void fuzz_send(struct fuzz_server *fuzz, const char *method, const char *path,
                             const char *content_type, const char *soap_action, const char *body,
                             size_t length)
{
    struct http_request *request = g_new0(struct http_request, 1);
    request->fuzz = fuzz;
    request->method = g_strdup(method);
    request->path = g_strdup(path);
    request->content_type = g_strdup(content_type);
    request->soap_action = g_strdup(soap_action);
    request->body = g_memdup2(body, length); /* without a NUL: reading past it is seen */
    request->length = length;
    request->waited = true;
    g_mutex_lock(&fuzz->lock);
    fuzz->awaited++;
    g_mutex_unlock(&fuzz->lock);
    vim_server_begin(fuzz->server, request);
    vim_server_handle(fuzz->server, request);
    g_mutex_lock(&fuzz->lock);
    g_assert_true(request->answered || request->detached);
    while (!request->answered && !request->parked) {
        g_cond_wait(&fuzz->changed, &fuzz->lock);
    }
    bool answered = request->answered;
    request->waited = false;
    g_mutex_unlock(&fuzz->lock);
    if (answered) {
        request_free(request);
    }
}

static inline void fuzz_server_close(struct fuzz_server *fuzz)
{
    struct vim_session *session = vim_session_find(fuzz->server->sessions, fuzz->secret);
    if (session != NULL) { /* the input may have ended it itself */
        vim_session_end(fuzz->server->sessions, session);
        vim_session_unref(session);
    }
    g_mutex_lock(&fuzz->lock);
    while (fuzz->awaited > 0) {
        g_cond_wait(&fuzz->changed, &fuzz->lock);
    }
    g_mutex_unlock(&fuzz->lock);
    vim_server_free(fuzz->server);
    g_assert_cmpint(file_remove_tree(AT_FDCWD, fuzz->dir), ==, 0);
    g_free(fuzz->dir);
    g_free(fuzz->secret);
    g_free(fuzz->users);
    g_mutex_clear(&fuzz->lock);
    g_cond_clear(&fuzz->changed);
}

/* ---- inputs ---------------------------------------------------------------------------------------- */

/* One request of an input: a first line, of what the target likes, and a body. */
struct fuzz_part {
    char *head; /* owned; without NUL */
    const char *body;
    size_t length;
};

/* Takes the next request off an input, where a line "----" parts them. False at the end. */
static inline bool fuzz_next(const char **at, size_t *left, struct fuzz_part *ret)
{
    static const char border[] = "\n----\n";
    if (*left == 0) {
        return false;
    }
    const char *end = memmem(*at, *left, border, strlen(border));
    size_t length = end != NULL ? (size_t)(end - *at) : *left;
    const char *line = memchr(*at, '\n', length);
    size_t head = line != NULL ? (size_t)(line - *at) : length;
    ret->head = g_strndup(*at, head);
    ret->body = line != NULL ? line + 1 : *at + length;
    ret->length = (size_t)(*at + length - ret->body);
    length += end != NULL ? strlen(border) : 0;
    *at += length;
    *left -= length;
    return true;
}
