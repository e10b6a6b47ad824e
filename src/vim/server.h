// SPDX-License-Identifier: Apache-2.0
/*
 * The server core that a host and a center share: it turns requests of both bindings into calls of typed
 * methods on managed objects, after checking session, object, privilege and arguments.
 *
 * A server is made, given an inventory and implementations of classes, and then opened to the network. It
 * has no state outside struct vim_server: many can live in one process.
 */
#pragma once

#include "vim/fault.h"
#include "vim/inventory.h"
#include "vim/methods.h"
#include "vim/request.h"
#include "vim/writer.h"

struct http_request;
struct timer_queue;
struct users;
struct vim_authorization;
struct vim_events;
struct vim_sessions;
struct vim_tasks;
struct worker_pool;

/* What a server gets from outside: time, and where it keeps its state. */
struct vim_environment {
    int64_t (*now_us)(void *data);       /* wall clock, microseconds since 1970 */
    int64_t (*monotonic_ms)(void *data); /* for time-outs */
    void *data;
    const char *state_dir; /* absolute; belongs to this server alone */
};

struct vim_server {
    struct vim_environment environment;
    struct vim_inventory *inventory;
    struct vim_sessions *sessions;
    struct vim_authorization *authorization;
    struct vim_tasks *tasks;
    struct vim_events *events;
    struct users *users;         /* borrowed */
    struct worker_pool *workers; /* for blocking methods */
    struct worker_pool *wakers;  /* for calls that were parked */
    struct timer_queue *timer;
    uint64_t expiry;                   /* the timer that ends idle sessions */
    struct vim_ref service_instance;   /* owned */
    struct vim_ref root_folder;        /* owned; where permissions start */
    struct vim_ref property_collector; /* owned; every session's default collector */
    const void **code;       /* by class, in the order of vim_classes: a struct <Type>_methods, or NULL */
    const char *first_admin; /* who is administrator at the first start; NULL: root; borrowed */
    const struct vim_server_hooks *hooks;
    void *hooks_data;
};

/* What host and center add to HTTP beyond the API, such as /folder and tickets. */
struct vim_server_hooks {
    /* At header time of any path that the core does not know; see http_server_options.begin. */
    void (*begin)(void *data, struct http_request *request, const char *path);
    /* A complete request whose path the core does not know; false: answer 404. */
    bool (*handle)(void *data, struct http_request *request, const char *path);
};

enum vim_binding { VIM_SOAP = 1, VIM_JSON };

/* One call on its way through the house. Belongs to one thread at a time. */
struct vim_call {
    struct vim_server *server;
    struct vim_session *session; /* a reference; NULL before login */
    struct vim_request request;
    enum vim_binding binding;
    struct http_request *http;
    struct buffer out;
    struct vim_writer writer; /* writes into out */
    bool detached;            /* the HTTP request was detached */
    bool begun;               /* vim_call_begin_result was called */
    char *set_cookie;         /* a session cookie to hand out, owned, or NULL */
    /* For parking methods: their own data from the first park on, freed with the call. */
    void *wait;
    void (*wait_free)(void *wait);
    void (*wait_closed)(void *wait); /* the client went away: end the wait; any thread */
};

/* Makes a server without a network and with an empty inventory; roles and permissions are read from the
 * state folder. On failure *ret_message is a sentence for people. */
int vim_server_new(const struct vim_environment *environment, struct users *users, struct vim_server **ret,
                   char **ret_message);
/* Waits for the tasks under way; no call may come any more. For stopping what the tasks use. */
void vim_server_finish_tasks(struct vim_server *server);
void vim_server_free(struct vim_server *server);

/* Registers the code of a class: `methods` is its struct <Type>_methods and must outlive the server. A
 * class without code of its own uses its base's table where it has one (structs begin alike). */
void vim_server_implement(struct vim_server *server, const struct vim_type *type, const void *methods);
/* The implementation of a method for objects of this class, or NULL. */
void (*vim_server_code(const struct vim_server *server, const struct vim_type *type,
                       const struct vim_method *method))(void);

/* The handlers to give to the HTTP server; data is the struct vim_server. */
void vim_server_begin(void *data, struct http_request *request);
void vim_server_handle(void *data, struct http_request *request);

/* ---- for the code of methods ---------------------------------------------------------------------- */

/* Streaming methods: from here on the answer is written to call->writer, inside the field "returnval". */
const struct vim_field *vim_call_begin_result(struct vim_call *call);

/*
 * Parking methods: the call is to wait. Its method sets call->wait, stores the call where a wake will find
 * it, holding the lock that waking takes, calls this under that lock, and returns VIM_PARKED. When the call
 * is woken the method runs again from the start.
 */
void vim_call_park(struct vim_call *call);
extern struct vim_fault vim_parked;
#define VIM_PARKED (&vim_parked)
/* Runs a parked call again on a worker thread. The caller has taken it from where it was stored. Any thread;
 * takes no lock of the caller's. */
void vim_call_wake(struct vim_call *call);

/* Checks a privilege on an object (no lock held): NoPermission, or NULL. */
struct vim_fault *vim_call_require(struct vim_call *call, const struct vim_ref *object,
                                   enum vim_privilege privilege);
/* The object that the call is for (any lock held): NULL when it is gone by now. */
struct vim_object *vim_call_object(struct vim_call *call);
/* The same, as a fault to return when it is gone. */
struct vim_fault *vim_call_gone(const struct vim_ref *ref);
int64_t vim_now_us(const struct vim_server *server);
