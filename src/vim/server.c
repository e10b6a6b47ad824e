// SPDX-License-Identifier: Apache-2.0
/*
 * The way of a call: from a complete HTTP request to the code of a method, and back. See server.h.
 *
 *   vim_server_handle -> read_soap / read_json -> start -> check -> run -> finish
 *                                                           |  ^
 *                                                      parked  woken (on a worker)
 */
#include "vim/server.h"

#include <errno.h>
#include <string.h>

#include "base/timer.h"
#include "base/worker_pool.h"
#include "vim/authorization.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/http.h"
#include "vim/json.h"
#include "vim/property_collector.h"
#include "vim/server_files.h"
#include "vim/session.h"
#include "vim/soap.h"
#include "vim/task.h"
#include "vim/users.h"
#include "vim/value.h"

enum {
    EXPIRY_INTERVAL_MS = 60000, /* between looks for sessions that were idle for too long */
};

/* ---- answering ------------------------------------------------------------------------------------ */

static void call_free(struct vim_call *call)
{
    if (call->wait_free != NULL) {
        call->wait_free(call->wait);
    }
    vim_session_unref(call->session);
    vim_request_clear(&call->request);
    buffer_free(&call->out);
    g_free(call->set_cookie);
    g_free(call);
}

static void respond(struct vim_call *call, unsigned status)
{
    struct http_header headers[3] = {{NULL, NULL}};
    size_t n = 0;
    if (call->set_cookie != NULL) {
        headers[n++] = (struct http_header){"Set-Cookie", call->set_cookie};
    }
    if (call->set_cookie != NULL && call->binding == VIM_JSON && call->session != NULL) {
        headers[n++] = (struct http_header){"vmware-api-session-id", call->session->secret};
    }
    struct buffer body = call->out;
    call->out = (struct buffer)BUFFER_INIT;
    http_respond(call->http, status,
                 call->binding == VIM_JSON ? "application/json" : "text/xml; charset=utf-8", body, headers);
    call_free(call);
}

static void respond_fault(struct vim_call *call, struct vim_fault *fault)
{
    buffer_truncate(&call->out, 0);
    if (call->binding == VIM_JSON) {
        json_write_fault(&call->out, fault, call->request.version);
    } else {
        soap_write_fault(&call->out, fault, call->request.version);
    }
    vim_fault_free(fault);
    respond(call, 500);
}

const struct vim_field *vim_call_begin_result(struct vim_call *call)
{
    call->begun = true;
    if (call->binding == VIM_SOAP) {
        soap_begin_response(&call->out, call->request.method);
    }
    return &call->request.method->result->fields[0];
}

/* ---- running -------------------------------------------------------------------------------------- */

static void finish(struct vim_call *call, struct vim_fault *fault, const void *result)
{
    const struct vim_method *method = call->request.method;
    if (fault != NULL) {
        respond_fault(call, fault);
        return;
    }
    if (call->binding == VIM_JSON) {
        if (!call->begun) {
            json_write_result(&call->writer, method, result);
        }
        respond(call, call->out.length > 0 ? 200 : 204);
        return;
    }
    if (!call->begun) {
        soap_begin_response(&call->out, method);
        if (method->result->n_fields > 0) {
            const struct vim_field *field = &method->result->fields[0];
            vim_write_member(&call->writer, field, vim_field_at(field, result));
        }
    }
    soap_end_response(&call->out, method);
    respond(call, 200);
}

static void run(struct vim_call *call)
{
    const struct vim_method *method = call->request.method;
    void (*code)(void) = vim_server_code(call->server, call->request.target.type, method);
    if (code == NULL) {
        finish(call, fault_not_supported("%s is not supported by this server", method->name), NULL);
        return;
    }
    if (method->runs == VIM_RUNS_STREAMING || method->runs == VIM_RUNS_PARKING) {
        /* A result that nobody writes is an optional one that is unset. */
        g_autofree void *nothing = vim_new(method->result);
        struct vim_fault *fault = method->invoke(code, call, call->request.args, NULL);
        if (fault != VIM_PARKED) { /* a parked call may be woken, answered and freed by now */
            finish(call, fault, nothing);
        }
        return;
    }
    void *result = vim_new(method->result);
    struct vim_fault *fault = method->invoke(code, call, call->request.args, result);
    finish(call, fault, result);
    vim_free(result);
}

static void run_blocking(void *data)
{
    run(data);
}

struct vim_fault *vim_call_gone(const struct vim_ref *ref)
{
    return fault_managed_object_not_found(*ref, "%s \"%s\" does not exist", ref->type->name, ref->id);
}

struct vim_object *vim_call_object(struct vim_call *call)
{
    return vim_inventory_find_ref(call->server->inventory, &call->request.target);
}

struct vim_fault *vim_call_require(struct vim_call *call, const struct vim_ref *ref,
                                   enum vim_privilege privilege)
{
    struct vim_server *server = call->server;
    vim_read_lock(server->inventory);
    struct vim_object *object = vim_inventory_find_ref(server->inventory, ref);
    bool allowed = object != NULL && vim_authorized(server->authorization, call->session, object, privilege);
    vim_read_unlock(server->inventory);
    if (object == NULL) {
        return vim_call_gone(ref);
    }
    const char *id = vim_privileges[privilege].id;
    return allowed ? NULL : fault_no_permission(*ref, id, "%s on %s is needed for this", id, ref->id);
}

static bool class_has(const struct vim_class *class, const struct vim_method *method)
{
    return vim_type_is(class->type, method->owner);
}

/* Session, object, method of its class, privilege: in this order, so that nobody learns of an object
 * before he has logged in. */
static struct vim_fault *check(struct vim_call *call)
{
    struct vim_server *server = call->server;
    const struct vim_method *method = call->request.method;
    struct vim_ref *target = &call->request.target;
    bool anonymous = method->privilege == VIM_PRIVILEGE_SYSTEM_ANONYMOUS;
    if (call->session == NULL && !anonymous) {
        const char *id = method->privilege == VIM_PRIVILEGE_BY_ARGUMENT
                             ? vim_privileges[VIM_PRIVILEGE_SYSTEM_VIEW].id
                             : vim_privileges[method->privilege].id;
        return fault_not_authenticated(*target, id, "the session is not authenticated; log in first");
    }
    struct vim_fault *fault = NULL;
    bool allowed = true;
    vim_read_lock(server->inventory);
    struct vim_object *object = vim_inventory_find_ref(server->inventory, target);
    if (object == NULL || (object->owner != NULL && object->owner != call->session)) {
        fault = vim_call_gone(target);
    } else if (!class_has(object->class, method)) {
        fault = fault_method_not_found(object->ref, method->name, "%s has no method %s",
                                       object->ref.type->name, method->name);
    } else {
        target->type = object->ref.type; /* the client may have named a base type */
        if (!anonymous && method->privilege != VIM_PRIVILEGE_BY_ARGUMENT) {
            allowed = vim_authorized(server->authorization, call->session, object, method->privilege);
        }
    }
    vim_read_unlock(server->inventory);
    if (fault == NULL && !allowed) {
        const char *id = vim_privileges[method->privilege].id;
        fault =
            fault_no_permission(*target, id, "%s on \"%s\" is needed for %s", id, target->id, method->name);
    }
    return fault;
}

/* Takes a request that was read, or the fault that reading it gave. */
static void start(struct vim_call *call, struct vim_fault *fault)
{
    if (fault == NULL) {
        fault = check(call);
    }
    call->writer = (struct vim_writer){
        .ops = call->binding == VIM_JSON ? &vim_json_writer : &vim_soap_writer,
        .out = &call->out,
        .version = call->request.version,
    };
    if (fault != NULL) {
        respond_fault(call, fault);
    } else if (call->request.method->runs == VIM_RUNS_BLOCKING) {
        call->detached = true;
        http_request_detach(call->http);
        if (worker_pool_push(call->server->workers, run_blocking, call) != 0) {
            respond_fault(call, fault_system_error("busy", "the server is busy; try again later"));
        }
    } else {
        run(call);
    }
}

/* ---- parking -------------------------------------------------------------------------------------- */

static void on_closed(void *data)
{
    struct vim_call *call = data;
    call->wait_closed(call->wait);
}

void vim_call_park(struct vim_call *call)
{
    if (!call->detached) {
        call->detached = true;
        http_request_detach(call->http);
        http_request_on_closed(call->http, on_closed, call);
    }
    g_atomic_int_inc(&call->session->parked);
}

static void run_woken(void *data)
{
    struct vim_call *call = data;
    vim_session_touch(call->session);
    (void)g_atomic_int_dec_and_test(&call->session->parked);
    run(call);
}

void vim_call_wake(struct vim_call *call)
{
    /* This pool's queue has no limit: the number of parked calls has one. */
    int error = worker_pool_push(call->server->wakers, run_woken, call);
    g_assert(error == 0);
}

/* ---- reading -------------------------------------------------------------------------------------- */

static struct vim_call *call_new(struct vim_server *server, struct http_request *http,
                                 enum vim_binding binding)
{
    struct vim_call *call = g_new0(struct vim_call, 1);
    call->server = server;
    call->http = http;
    call->binding = binding;
    call->request.version = vim_newest_version;
    const char *secret = http_request_header(http, "vmware-api-session-id");
    if (secret == NULL) {
        secret = http_request_cookie(http, "vmware_soap_session");
    }
    if (secret != NULL) {
        call->session = vim_session_find(server->sessions, secret);
    }
    return call;
}

/* A cross-site form cannot send these content types, so a stolen click cannot call a method. */
static bool content_type_is(const struct http_request *http, const char *const *allowed)
{
    const char *given = http_request_header(http, "Content-Type");
    for (; given != NULL && *allowed != NULL; allowed++) {
        size_t length = strlen(*allowed);
        if (g_ascii_strncasecmp(given, *allowed, length) == 0 && strchr(" ;", given[length]) != NULL) {
            return true;
        }
    }
    return false;
}

static void read_soap(struct vim_server *server, struct http_request *http)
{
    static const char *const allowed[] = {"text/xml", "application/soap+xml", NULL};
    if (!content_type_is(http, allowed)) {
        http_respond_text(http, 415, "SOAP requests have Content-Type text/xml\n");
        return;
    }
    struct vim_call *call = call_new(server, http, VIM_SOAP);
    size_t length = 0;
    const char *body = http_request_body(http, &length);
    start(call, soap_parse_request(body, length, http_request_header(http, "SOAPAction"), &call->request));
}

/* What a GET of a property is: RetrievePropertiesEx of one, answered with the bare value. */
static void read_property(struct vim_call *call, char **parts)
{
    call->request.version = vim_version_from_string(parts[0]);
    call->writer = (struct vim_writer){&vim_json_writer, &call->out, call->request.version};
    struct vim_fault *fault = vim_property_write(call, parts[1], parts[2], parts[3]);
    if (fault != NULL) {
        respond_fault(call, fault);
    } else {
        respond(call, call->out.length > 0 ? 200 : 204);
    }
}

/* An answer to what is not even a call. As JSON too: REST clients stop at anything else. */
static void refuse_json(struct http_request *http, unsigned status, struct vim_fault *fault)
{
    struct buffer body = BUFFER_INIT;
    json_write_fault(&body, fault, vim_newest_version);
    vim_fault_free(fault);
    http_respond(http, status, "application/json", body, NULL);
}

/* /sdk/vim25/<release>/<Type>/<moid>/<method or property> */
static void read_json(struct vim_server *server, struct http_request *http, const char *rest)
{
    static const char *const allowed[] = {"application/json", NULL};
    g_auto(GStrv) parts = g_strsplit(rest, "/", 5);
    bool is_get = strcmp(http_request_method(http), "GET") == 0;
    if (g_strv_length(parts) != 4) {
        refuse_json(http, 404,
                    fault_invalid_request("VI/JSON paths are /sdk/vim25/<release>/<Type>/<moid>/<method>"));
        return;
    }
    if (!is_get && strcmp(http_request_method(http), "POST") != 0) {
        refuse_json(http, 405, fault_invalid_request("GET reads a property, POST calls a method"));
        return;
    }
    size_t length = 0;
    const char *body = http_request_body(http, &length);
    if (!is_get && (length > 0 || http_request_cookie(http, "vmware_soap_session") != NULL) &&
        !content_type_is(http, allowed)) {
        refuse_json(http, 415, fault_invalid_request("VI/JSON requests have Content-Type application/json"));
        return;
    }
    struct vim_call *call = call_new(server, http, VIM_JSON);
    if (is_get) {
        read_property(call, parts);
        return;
    }
    start(call, json_parse_request(body, length, parts[0], parts[1], parts[2], parts[3], &call->request));
}

void vim_server_begin(void *data, struct http_request *request)
{
    struct vim_server *server = data;
    const char *path = http_request_path(request);
    if (!g_str_has_prefix(path, "/sdk") && server->hooks != NULL && server->hooks->begin != NULL) {
        server->hooks->begin(server->hooks_data, request, path);
    }
}

void vim_server_handle(void *data, struct http_request *request)
{
    struct vim_server *server = data;
    const char *path = http_request_path(request);
    bool is_post = strcmp(http_request_method(request), "POST") == 0;
    bool is_get = strcmp(http_request_method(request), "GET") == 0;
    if (is_post && (strcmp(path, "/sdk") == 0 || strcmp(path, "/sdk/") == 0)) {
        read_soap(server, request);
    } else if (g_str_has_prefix(path, "/sdk/vim25/")) {
        read_json(server, request, path + strlen("/sdk/vim25/"));
    } else if (is_get && vim_server_file(request, path)) {
        return;
    } else if (server->hooks == NULL || !server->hooks->handle(server->hooks_data, request, path)) {
        http_respond_text(request, 404, "not found\n");
    }
}

struct vim_fault vim_parked;

/* ---- life ----------------------------------------------------------------------------------------- */

int64_t vim_now_us(const struct vim_server *server)
{
    return server->environment.now_us(server->environment.data);
}

static int server_load(struct vim_server *server, char **ret_message)
{
    server->inventory = vim_inventory_new();
    server->workers = worker_pool_new(
        &(struct worker_pool_options){.name = "worker", .max_threads = 32, .max_queued = 4096});
    server->wakers = worker_pool_new(
        &(struct worker_pool_options){.name = "waker", .max_threads = 4, .max_queued = UINT_MAX});
    server->timer = timer_queue_new("timer");
    server->events = vim_events_new(server);
    server->tasks = vim_tasks_new(server);
    server->sessions = vim_sessions_new(server);
    server->authorization = vim_authorization_new(server, ret_message);
    return server->authorization != NULL ? 0 : -EIO;
}

static void expiry_due(void *data);

static void arm_expiry(struct vim_server *server)
{
    server->expiry = timer_add(server->timer, timer_now_ms() + EXPIRY_INTERVAL_MS, expiry_due, server);
}

static void expire_sessions(void *data)
{
    struct vim_server *server = data;
    vim_sessions_expire(server->sessions);
    arm_expiry(server);
}

/* On the timer's thread, which must not wait. */
static void expiry_due(void *data)
{
    struct vim_server *server = data;
    if (worker_pool_push(server->wakers, expire_sessions, server) != 0) {
        arm_expiry(server);
    }
}

int vim_server_new(const struct vim_environment *environment, struct users *users, struct vim_server **ret,
                   char **ret_message)
{
    struct vim_server *server = g_new0(struct vim_server, 1);
    server->environment = *environment;
    server->users = users;
    server->code = g_new0(const void *, vim_n_classes);
    int error = server_load(server, ret_message);
    if (error != 0) {
        vim_server_free(server);
        return error;
    }
    arm_expiry(server);
    *ret = server;
    return 0;
}

void vim_server_finish_tasks(struct vim_server *server)
{
    vim_tasks_free(g_steal_pointer(&server->tasks));
}

void vim_server_free(struct vim_server *server)
{
    if (server == NULL) {
        return;
    }
    /* The expiry's job may arm its timer again until the pool that it runs in is gone. */
    if (server->timer != NULL) {
        timer_cancel(server->timer, server->expiry);
        worker_pool_free(server->wakers);
        timer_cancel(server->timer, server->expiry);
    }
    vim_tasks_free(server->tasks);
    vim_sessions_free(server->sessions);
    worker_pool_free(server->workers);
    timer_queue_free(server->timer);
    vim_events_free(server->events);
    vim_inventory_free(server->inventory);
    vim_authorization_free(server->authorization);
    vim_ref_clear(&server->service_instance);
    vim_ref_clear(&server->root_folder);
    vim_ref_clear(&server->property_collector);
    g_free(server->code);
    g_free(server);
}

static size_t class_index(const struct vim_type *type)
{
    const struct vim_class *class = vim_class_of(type);
    for (size_t i = 0; i < vim_n_classes; i++) {
        if (vim_classes[i] == class) {
            return i;
        }
    }
    g_assert_not_reached();
}

void vim_server_implement(struct vim_server *server, const struct vim_type *type, const void *methods)
{
    server->code[class_index(type)] = methods;
}

/* The tables are structs of function pointers in the order of the class's methods, so the n-th pointer is
 * the n-th method's code. */
void (*vim_server_code(const struct vim_server *server, const struct vim_type *type,
                       const struct vim_method *method))(void)
{
    for (const struct vim_type *at = type; at != NULL; at = at->base) {
        const void *table = server->code[class_index(at)];
        const struct vim_class *class = vim_class_of(at);
        for (size_t i = 0; table != NULL && i < class->n_methods; i++) {
            if (class->methods[i] == method) {
                void (*code)(void);
                memcpy(&code, (const char *)table + i * sizeof(code), sizeof(code));
                if (code != NULL) {
                    return code;
                }
            }
        }
    }
    return NULL;
}
