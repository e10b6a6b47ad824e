// SPDX-License-Identifier: Apache-2.0
/*
 * A server core without a network for tests of what runs in it: a small inventory, a clock that stands
 * until it is moved, sessions made by hand. Sessions, authorization and dispatch are stood in for here, so
 * that a test says itself who may do what. To be included once by a test program.
 *
 *   ha-folder-root
 *     ha-datacenter
 *       ha-folder-vm          vm-1 "one", vm-2 "two"
 *       ha-folder-host        ha-compute-res: ha-host, ha-root-pool
 *       ha-folder-datastore   ds-1 "local"
 *       ha-folder-network     net-1 "VM Network"
 */
#pragma once

#include <string.h>

#include "base/timer.h"
#include "vim/authorization.h"
#include "vim/entity_tree.h"
#include "vim/event.h"
#include "vim/faults.h"
#include "vim/server.h"
#include "vim/session.h"
#include "vim/task.h"
#include "vim/value.h"

/* Who may not do what: "user privilege object", with the privilege's id. */
struct vim_authorization {
    GHashTable *denied;
};

struct fixture {
    struct vim_server server;
    struct vim_authorization authorization;
    int64_t now_us; /* of both clocks; atomic */
    struct vim_session root;
    struct vim_session guest;
};

/* ---- what other parts of the server do ------------------------------------------------------------- */

bool vim_authorized(struct vim_authorization *authorization, const struct vim_session *session,
                    struct vim_object *object, enum vim_privilege privilege)
{
    g_autofree char *key =
        g_strdup_printf("%s %s %s", session->user_name, vim_privileges[privilege].id, object->ref.id);
    return !g_hash_table_contains(authorization->denied, key);
}

void vim_session_own(struct vim_session *session, struct vim_object *object)
{
    g_mutex_lock(&session->lock);
    object->owner = session;
    g_hash_table_add(session->objects, g_strdup(object->ref.id));
    g_mutex_unlock(&session->lock);
}

void vim_session_disown(struct vim_session *session, struct vim_object *object)
{
    g_mutex_lock(&session->lock);
    g_hash_table_remove(session->objects, object->ref.id);
    g_mutex_unlock(&session->lock);
}

bool vim_session_has_ended(struct vim_session *session)
{
    return g_atomic_int_get(&session->ended) != 0;
}

int64_t vim_now_us(const struct vim_server *server)
{
    return server->environment.now_us(server->environment.data);
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
    vim_read_lock(call->server->inventory);
    struct vim_object *object = vim_inventory_find_ref(call->server->inventory, ref);
    bool allowed =
        object != NULL && vim_authorized(call->server->authorization, call->session, object, privilege);
    vim_read_unlock(call->server->inventory);
    if (object == NULL) {
        return vim_call_gone(ref);
    }
    return allowed ? NULL : fault_no_permission(*ref, vim_privileges[privilege].id, "denied");
}

/* ---- the inventory ---------------------------------------------------------------------------------- */

static inline int64_t fixture_now_us(void *data)
{
    return __atomic_load_n(&((struct fixture *)data)->now_us, __ATOMIC_SEQ_CST);
}

static inline int64_t fixture_now_ms(void *data)
{
    return fixture_now_us(data) / 1000;
}

static inline void fixture_advance_ms(struct fixture *f, int64_t ms)
{
    __atomic_add_fetch(&f->now_us, ms * 1000, __ATOMIC_SEQ_CST);
}

static inline struct vim_object *fixture_find(struct fixture *f, const char *id)
{
    struct vim_object *object = vim_inventory_find(f->server.inventory, id);
    if (object == NULL) {
        g_error("there is no object %s", id);
    }
    return object;
}

/* Adds an entity below its parent, which lists it in `list` when that is given. (write lock) */
static inline struct vim_object *fixture_add(struct fixture *f, const struct vim_type *type, const char *id,
                                             const char *name, const char *parent, const char *list)
{
    struct vim_object *object = vim_inventory_add(f->server.inventory, type, id, NULL);
    vim_set_text(object, "name", name);
    if (parent != NULL) {
        struct vim_object *above = fixture_find(f, parent);
        vim_set_reference(object, "parent", &above->ref);
        if (list != NULL) {
            vim_ref_list_add(above, list, &object->ref);
        }
    }
    return object;
}

/* Adds a virtual machine in ha-folder-vm, on the host and in the root pool. (write lock) */
static inline struct vim_object *fixture_add_vm(struct fixture *f, const char *id, const char *name)
{
    struct vim_object *host = fixture_find(f, "ha-host");
    struct vim_object *pool = fixture_find(f, "ha-root-pool");
    struct VirtualMachine *vm = VirtualMachine_new();
    vm->name = g_strdup(name);
    vm->parent = vim_ref_copy(&fixture_find(f, "ha-folder-vm")->ref);
    vm->resourcePool = vim_ref_copy(&pool->ref);
    vm->runtime = VirtualMachineRuntimeInfo_new();
    vm->runtime->host = vim_ref_copy(&host->ref);
    vm->config = VirtualMachineConfigInfo_new();
    vm->config->uuid = g_strdup_printf("bios-%s", id);
    vm->config->instanceUuid = g_strdup_printf("instance-%s", id);
    vm->config->files = VirtualMachineFileInfo_new();
    vm->config->files->vmPathName = g_strdup_printf("[local] %s/%s.vmx", name, name);
    struct vim_object *object = vim_inventory_add(f->server.inventory, &VirtualMachine_type, id, vm);
    vim_ref_list_add(host, "vm", &object->ref);
    vim_ref_list_add(pool, "vm", &object->ref);
    vim_ref_list_add(fixture_find(f, "ha-folder-vm"), "childEntity", &object->ref);
    return object;
}

/* The way back. (write lock) */
static inline void fixture_remove_vm(struct fixture *f, const char *id)
{
    struct vim_object *object = fixture_find(f, id);
    vim_ref_list_remove(fixture_find(f, "ha-folder-vm"), "childEntity", &object->ref);
    vim_ref_list_remove(fixture_find(f, "ha-root-pool"), "vm", &object->ref);
    vim_ref_list_remove(fixture_find(f, "ha-host"), "vm", &object->ref);
    vim_inventory_remove(f->server.inventory, object);
}

static inline void fixture_build(struct fixture *f)
{
    static const struct {
        const char *id, *name, *property;
    } folders[] = {
        {"ha-folder-vm", "vm", "vmFolder"},
        {"ha-folder-host", "host", "hostFolder"},
        {"ha-folder-datastore", "datastore", "datastoreFolder"},
        {"ha-folder-network", "network", "networkFolder"},
    };
    struct vim_object *root = fixture_add(f, &Folder_type, "ha-folder-root", "root", NULL, NULL);
    f->server.root_folder = vim_ref_copy(&root->ref);
    struct vim_object *datacenter =
        fixture_add(f, &Datacenter_type, "ha-datacenter", "ha-datacenter", "ha-folder-root", "childEntity");
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        struct vim_object *folder =
            fixture_add(f, &Folder_type, folders[i].id, folders[i].name, "ha-datacenter", NULL);
        vim_set_reference(datacenter, folders[i].property, &folder->ref);
    }
    struct vim_object *compute =
        fixture_add(f, &ComputeResource_type, "ha-compute-res", "localhost", "ha-folder-host", "childEntity");
    fixture_add(f, &HostSystem_type, "ha-host", "localhost.local", "ha-compute-res", "host");
    struct vim_object *pool =
        fixture_add(f, &ResourcePool_type, "ha-root-pool", "Resources", "ha-compute-res", NULL);
    vim_set_reference(compute, "resourcePool", &pool->ref);
    struct vim_object *datastore =
        fixture_add(f, &Datastore_type, "ds-1", "local", "ha-folder-datastore", "childEntity");
    vim_ref_list_add(datacenter, "datastore", &datastore->ref);
    fixture_add(f, &Network_type, "net-1", "VM Network", "ha-folder-network", "childEntity");
    fixture_add_vm(f, "vm-1", "one");
    fixture_add_vm(f, "vm-2", "two");
    vim_inventory_add(f->server.inventory, &TaskManager_type, "ha-taskmgr", NULL);
    vim_inventory_add(f->server.inventory, &EventManager_type, "ha-eventmgr", NULL);
    vim_inventory_add(f->server.inventory, &ViewManager_type, "ViewManager", NULL);
    vim_inventory_add(f->server.inventory, &SearchIndex_type, "ha-searchindex", NULL);
}

static inline void fixture_session_init(struct vim_session *session, const char *user)
{
    g_mutex_init(&session->lock);
    session->key = g_strconcat("key-of-", user, NULL);
    session->user_name = g_strdup(user);
    session->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

/* Ends a session as the server does: what it owns is destroyed. */
static inline void fixture_session_end(struct fixture *f, struct vim_session *session)
{
    g_atomic_int_set(&session->ended, 1);
    vim_write_lock(f->server.inventory);
    g_autofree char **ids = (char **)g_hash_table_get_keys_as_array(session->objects, NULL);
    for (char **id = ids; *id != NULL; id++) {
        vim_inventory_remove(f->server.inventory, fixture_find(f, *id));
    }
    g_hash_table_remove_all(session->objects);
    vim_write_unlock(f->server.inventory);
}

static inline void fixture_session_clear(struct vim_session *session)
{
    g_hash_table_unref(session->objects);
    g_free(session->user_name);
    g_free(session->key);
    g_mutex_clear(&session->lock);
}

static inline void fixture_setup(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->now_us = INT64_C(1700000000000000);
    f->server.environment.now_us = fixture_now_us;
    f->server.environment.monotonic_ms = fixture_now_ms;
    f->server.environment.data = f;
    f->authorization.denied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    f->server.authorization = &f->authorization;
    f->server.inventory = vim_inventory_new();
    f->server.timer = timer_queue_new("test-timer");
    fixture_session_init(&f->root, "root");
    fixture_session_init(&f->guest, "guest");
    vim_write_lock(f->server.inventory);
    fixture_build(f);
    vim_write_unlock(f->server.inventory);
    f->server.events = vim_events_new(&f->server);
    f->server.tasks = vim_tasks_new(&f->server);
    vim_events_attach(f->server.events, &fixture_find(f, "ha-eventmgr")->ref);
    vim_tasks_attach(f->server.tasks, &fixture_find(f, "ha-taskmgr")->ref);
}

static inline void fixture_teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_tasks_free(f->server.tasks);
    fixture_session_end(f, &f->root);
    fixture_session_end(f, &f->guest);
    timer_queue_free(f->server.timer);
    vim_events_free(f->server.events);
    vim_inventory_free(f->server.inventory);
    fixture_session_clear(&f->root);
    fixture_session_clear(&f->guest);
    g_hash_table_unref(f->authorization.denied);
    vim_ref_clear(&f->server.root_folder);
}

/* ---- calls and what they answer --------------------------------------------------------------------- */

/* A call of the session on the object with this id, which may be gone; nothing of it is to be freed. */
static inline struct vim_call fixture_call(struct fixture *f, struct vim_session *session,
                                           const struct vim_type *type, const char *id)
{
    struct vim_call call = {.server = &f->server, .session = session};
    call.request.target = (struct vim_ref){type, (char *)id};
    return call;
}

static inline void fixture_deny(struct fixture *f, const char *user, enum vim_privilege privilege,
                                const char *id)
{
    g_hash_table_add(f->authorization.denied,
                     g_strdup_printf("%s %s %s", user, vim_privileges[privilege].id, id));
}

static inline struct vim_ref fixture_ref(struct fixture *f, const char *id)
{
    return fixture_find(f, id)->ref;
}

#define assert_success(fault_)                                                                         \
    do {                                                                                               \
        struct vim_fault *fault_is_ = (fault_);                                                        \
        if (fault_is_ != NULL) {                                                                       \
            g_error("line %d: %s: %s", __LINE__, vim_fault_type(fault_is_)->name, fault_is_->message); \
        }                                                                                              \
    } while (0)

#define assert_fault(fault_, type_name)                                    \
    do {                                                                   \
        struct vim_fault *fault_is_ = (fault_);                            \
        g_assert_nonnull(fault_is_);                                       \
        g_assert_cmpstr(vim_fault_type(fault_is_)->name, ==, (type_name)); \
        vim_fault_free(fault_is_);                                         \
    } while (0)

static inline gint fixture_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The ids in an array of references, sorted, with spaces between; freed with g_free. */
static inline char *fixture_ids(const void *array)
{
    const struct vim_array *refs = array;
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    for (uint32_t i = 0; i < refs->n; i++) {
        g_ptr_array_add(ids, ((const struct vim_ref *)refs->items)[i].id);
    }
    g_ptr_array_sort(ids, fixture_compare);
    g_ptr_array_add(ids, NULL);
    return g_strjoinv(" ", (char **)ids->pdata);
}

#define assert_ids(array, expected)                 \
    do {                                            \
        g_autofree char *ids_ = fixture_ids(array); \
        g_assert_cmpstr(ids_, ==, (expected));      \
    } while (0)
