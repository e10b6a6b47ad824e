// SPDX-License-Identifier: Apache-2.0
/*
 * Agents of running guests: who has a channel, opening it, and freezing file systems; see guest_agent.h.
 *
 * Opening asks QEMU and so may wait: it is done by workers. A connection that ends is opened anew after a
 * while, unless the machine has stopped.
 *
 * Lock: agents->lock guards the map and what is marked so; memory work only, and nothing is called under it
 * but the channel functions that return at once.
 */
#include "host/guest/guest_agent.h"

#include <errno.h>
#include <json-c/json.h>
#include <unistd.h>

#include "base/timer.h"
#include "base/worker_pool.h"
#include "host/guest/guest_channel.h"
#include "host/guest/guest_state.h"

enum {
    OPENERS = 2,           /* threads that open connections */
    MAX_WAITING = 100000,  /* machines that wait for one */
    REOPEN_BUSY_MS = 1000, /* somebody else's connection is about to end */
    REOPEN_MS = 60000,     /* a guest that sends nonsense by the megabyte, or a QEMU that does not obey */
    THAW_TIMEOUT_MS = 30000,
};

struct guest_agent {
    gatomicrefcount references;
    struct guest_agents *agents;
    struct vm *vm;                 /* a reference */
    struct guest_channel *channel; /* with the lock: a reference; NULL while there is none */
    uint64_t run;                  /* never given twice */
    bool running;                  /* with the lock: the agent answers */
    bool reset;              /* with the lock: the guest was reset, and its agent has not answered since */
    bool gone;               /* with the lock: the machine stopped; nothing is begun any more */
    uint64_t reopen;         /* with the lock: a timer, or 0 */
    int64_t frozen_until_ms; /* with the lock: when to thaw; 0: it was not frozen from here */
    int64_t frozen_count;    /* with the lock: file systems that were frozen; -1 while that is under way */
    struct guest_poll *poll; /* owned; the thread of the channels alone, while there is a channel */
};

struct guest_agents {
    struct host *host;
    struct worker_pool *openers;
    GMutex lock;
    struct guest_channels *channels; /* with the lock: made when the first is needed */
    bool stopping;                   /* with the lock */
    uint64_t runs;                   /* with the lock: how many numbers were given out */
    GHashTable *by_id;               /* with the lock: id -> struct guest_agent, a reference */
};

static struct guest_agent *agent_ref(struct guest_agent *agent)
{
    g_atomic_ref_count_inc(&agent->references);
    return agent;
}

static void agent_unref(struct guest_agent *agent)
{
    if (agent != NULL && g_atomic_ref_count_dec(&agent->references)) {
        guest_poll_free(agent->poll);
        vm_unref(agent->vm);
        g_free(agent);
    }
}

static void agent_unref_data(void *agent)
{
    agent_unref(agent);
}

/* ---- what the channel tells --------------------------------------------------------------------------- */

static void on_thawed(void *data, int error, struct json_object *reply, const char *message)
{
    VM_AUTO vm = data;
    (void)reply;
    if (error != 0) {
        g_warning("%s: its file systems may be frozen still: %s", vm->id, message);
    }
}

/* On the thread of the channels. */
static void thaw_stray(struct guest_agent *agent)
{
    guest_channel_submit(agent->channel, "guest-fsfreeze-thaw", NULL, THAW_TIMEOUT_MS, true, on_thawed,
                         vm_ref(agent->vm));
}

/* Is it frozen, and nobody here has done that? Then a host died between, or a revert brought that back. */
static void on_freeze_status(void *data, int error, struct json_object *reply, const char *message)
{
    struct guest_agent *agent = data;
    (void)message;
    g_mutex_lock(&agent->agents->lock);
    if (error == 0 && json_object_is_type(reply, json_type_string) &&
        g_str_equal(json_object_get_string(reply), "frozen") && agent->frozen_until_ms == 0 &&
        agent->channel != NULL) {
        thaw_stray(agent);
    }
    g_mutex_unlock(&agent->agents->lock);
    agent_unref(agent);
}

/* Returns whether a reset is why it does not answer. */
static bool set_running(struct guest_agent *agent, bool running)
{
    g_mutex_lock(&agent->agents->lock);
    agent->running = running && !agent->gone;
    bool reset = agent->reset;
    agent->reset = agent->reset && !running;
    bool frozen = agent->frozen_until_ms != 0;
    if (running && !frozen && agent->channel != NULL) {
        guest_channel_submit(agent->channel, "guest-fsfreeze-status", NULL, THAW_TIMEOUT_MS, false,
                             on_freeze_status, agent_ref(agent));
    }
    g_mutex_unlock(&agent->agents->lock);
    return reset;
}

static void on_ready(void *data)
{
    struct guest_agent *agent = data;
    (void)set_running(agent, true);
    guest_poll_ready(agent->poll);
}

static void on_lost(void *data)
{
    struct guest_agent *agent = data;
    guest_poll_lost(agent->poll, set_running(agent, false));
}

static void on_wake(void *data)
{
    struct guest_agent *agent = data;
    g_mutex_lock(&agent->agents->lock);
    bool frozen = agent->frozen_until_ms != 0;
    if (frozen && agent->frozen_count >= 0 && agent->frozen_until_ms <= timer_now_ms() &&
        agent->channel != NULL) {
        g_warning("%s: its file systems were frozen for too long and are let go", agent->vm->id);
        agent->frozen_until_ms = INT64_MAX; /* thaw once; that it was not whole, fsthaw finds by the count */
        thaw_stray(agent);
    }
    g_mutex_unlock(&agent->agents->lock);
    guest_poll_wake(agent->poll, frozen);
}

static void reopen_later(struct guest_agent *agent, int64_t delay_ms);

static void on_ended(void *data, int error)
{
    struct guest_agent *agent = data;
    g_mutex_lock(&agent->agents->lock);
    agent->running = false;
    struct guest_channel *channel = g_steal_pointer(&agent->channel);
    agent_ref(agent); /* without a channel nobody waits for this function any more */
    g_mutex_unlock(&agent->agents->lock);
    if (channel != NULL) {
        guest_poll_set_channel(agent->poll, NULL);
        guest_poll_lost(agent->poll, false);
        guest_channel_close(channel);
        guest_channel_unref(channel);
        if (error == -EPROTO) {
            g_warning("%s: its guest agent sent far too much; it is left alone for a while", agent->vm->id);
        }
        reopen_later(agent, error == -EPROTO ? REOPEN_MS : REOPEN_BUSY_MS);
    }
    agent_unref(agent);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static const struct guest_channel_handler handler = {
    .ready = on_ready, .lost = on_lost, .wake = on_wake, .ended = on_ended};

/* On a worker; takes the reference. */
static void open_run(void *data)
{
    struct guest_agent *agent = data;
    struct guest_agents *agents = agent->agents;
    g_autofree char *message = NULL;
    int fd = -1;
    g_mutex_lock(&agents->lock);
    bool wanted = !agent->gone && agent->channel == NULL;
    g_mutex_unlock(&agents->lock);
    int error = wanted ? hypervisor_vm_open_serial(agents->host->hypervisor, agent->vm->id,
                                                   HYPERVISOR_KEY_GUEST_AGENT, &fd, &message)
                       : -ENOENT;
    if (error == 0) {
        g_mutex_lock(&agents->lock);
        if (agent->gone || agent->channel != NULL) {
            close(fd);
        } else {
            struct guest_channel_handler mine = handler;
            mine.data = agent; /* its reference in the map lasts until the channel is closed */
            if (agents->channels == NULL) {
                agents->channels = guest_channels_new();
            }
            agent->channel = guest_channel_new(agents->channels, fd, &mine);
            guest_poll_set_channel(agent->poll, agent->channel);
        }
        g_mutex_unlock(&agents->lock);
    } else if (error != -ENOENT && error != -ENODEV && error != -ENOTSUP) {
        reopen_later(agent, error == -EBUSY ? REOPEN_BUSY_MS : REOPEN_MS);
    }
    agent_unref(agent);
}

/* (the lock, so that the workers are not gone) */
static void open_soon(struct guest_agent *agent)
{
    if (worker_pool_push(agent->agents->openers, open_run, agent_ref(agent)) != 0) {
        agent_unref(agent); /* the host is about to stop */
    }
}

/* On the timer's thread; takes the reference. */
static void on_reopen(void *data)
{
    struct guest_agent *agent = data;
    g_mutex_lock(&agent->agents->lock);
    agent->reopen = 0;
    if (!agent->gone) {
        open_soon(agent);
    }
    g_mutex_unlock(&agent->agents->lock);
    agent_unref(agent);
}

static void reopen_later(struct guest_agent *agent, int64_t delay_ms)
{
    g_mutex_lock(&agent->agents->lock);
    if (!agent->gone && agent->reopen == 0) {
        agent->reopen = timer_add(agent->agents->host->server->timer, timer_now_ms() + delay_ms, on_reopen,
                                  agent_ref(agent));
    }
    g_mutex_unlock(&agent->agents->lock);
}

/* ---- a machine's life ---------------------------------------------------------------------------------- */

/* Ends what an agent does; it is off the map already, and the caller's reference keeps it. */
static void stop(struct guest_agent *agent)
{
    struct guest_agents *agents = agent->agents;
    g_mutex_lock(&agents->lock);
    agent->gone = true;
    agent->running = false;
    struct guest_channel *channel = g_steal_pointer(&agent->channel);
    uint64_t reopen = agent->reopen;
    agent->reopen = 0;
    g_mutex_unlock(&agents->lock);
    if (timer_cancel(agents->host->server->timer, reopen)) {
        agent_unref(agent);
    }
    if (channel != NULL) {
        guest_channel_close(channel);
        guest_channel_unref(channel);
    }
}

static void remove_agent(struct guest_agents *agents, const char *id)
{
    gpointer key = NULL;
    gpointer value = NULL;
    g_mutex_lock(&agents->lock);
    g_hash_table_steal_extended(agents->by_id, id, &key, &value);
    g_mutex_unlock(&agents->lock);
    g_free(key);
    if (value != NULL) {
        stop(value);
        agent_unref(value);
    }
}

void guest_agent_connect(struct vm *vm, bool slept)
{
    struct guest_agents *agents = vm->host->guest_agents;
    struct guest_agent *agent = g_new0(struct guest_agent, 1);
    remove_agent(agents, vm->id);
    g_atomic_ref_count_init(&agent->references);
    agent->agents = agents;
    agent->vm = vm_ref(vm);
    agent->poll = guest_poll_new(vm, slept);
    g_mutex_lock(&agents->lock);
    agent->run = ++agents->runs;
    if (!agents->stopping) {
        g_hash_table_insert(agents->by_id, g_strdup(vm->id), agent_ref(agent));
        open_soon(agent);
    }
    g_mutex_unlock(&agents->lock);
    agent_unref(agent);
}

void guest_agent_disconnect(struct vm *vm)
{
    remove_agent(vm->host->guest_agents, vm->id);
}

static struct guest_agent *find(struct vm *vm)
{
    struct guest_agents *agents = vm->host->guest_agents;
    g_mutex_lock(&agents->lock);
    struct guest_agent *agent = g_hash_table_lookup(agents->by_id, vm->id);
    if (agent != NULL) {
        agent_ref(agent);
    }
    g_mutex_unlock(&agents->lock);
    return agent;
}

/* The agent's channel with a reference, or NULL. */
static struct guest_channel *channel_of(struct guest_agent *agent)
{
    g_mutex_lock(&agent->agents->lock);
    struct guest_channel *channel = agent->channel != NULL ? guest_channel_ref(agent->channel) : NULL;
    g_mutex_unlock(&agent->agents->lock);
    return channel;
}

void guest_agent_restart(struct vm *vm)
{
    struct guest_agent *agent = find(vm);
    struct guest_channel *channel = agent != NULL ? channel_of(agent) : NULL;
    if (channel != NULL) {
        g_mutex_lock(&agent->agents->lock);
        agent->reset = true;
        g_mutex_unlock(&agent->agents->lock);
        guest_channel_restart(channel);
        guest_channel_unref(channel);
    }
    agent_unref(agent);
}

bool guest_agent_is_running(struct vm *vm)
{
    struct guest_agents *agents = vm->host->guest_agents;
    g_mutex_lock(&agents->lock);
    const struct guest_agent *agent = g_hash_table_lookup(agents->by_id, vm->id);
    bool running = agent != NULL && agent->running;
    g_mutex_unlock(&agents->lock);
    return running;
}

uint64_t guest_agent_run(struct vm *vm)
{
    struct guest_agents *agents = vm->host->guest_agents;
    g_mutex_lock(&agents->lock);
    const struct guest_agent *agent = g_hash_table_lookup(agents->by_id, vm->id);
    uint64_t run = agent != NULL ? agent->run : 0;
    g_mutex_unlock(&agents->lock);
    return run;
}

void guest_agents_start(struct host *host)
{
    struct guest_agents *agents = host->guest_agents = g_new0(struct guest_agents, 1);
    const struct worker_pool_options openers = {
        .name = "guest-open", .max_threads = OPENERS, .max_queued = MAX_WAITING};
    agents->host = host;
    g_mutex_init(&agents->lock);
    agents->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, agent_unref_data);
    agents->openers = worker_pool_new(&openers);
}

void guest_agents_stop(struct host *host)
{
    struct guest_agents *agents = host->guest_agents;
    if (agents == NULL) {
        return;
    }
    g_mutex_lock(&agents->lock);
    agents->stopping = true;
    g_autoptr(GList) ids = g_hash_table_get_keys(agents->by_id);
    g_autoptr(GPtrArray) copies = g_ptr_array_new_with_free_func(g_free);
    for (GList *link = ids; link != NULL; link = link->next) {
        g_ptr_array_add(copies, g_strdup(link->data));
    }
    g_mutex_unlock(&agents->lock);
    for (guint i = 0; i < copies->len; i++) {
        remove_agent(agents, g_ptr_array_index(copies, i));
    }
    worker_pool_free(agents->openers);
    guest_channels_free(agents->channels);
}

void guest_agents_free(struct host *host)
{
    struct guest_agents *agents = g_steal_pointer(&host->guest_agents);
    if (agents != NULL) {
        g_hash_table_unref(agents->by_id);
        g_mutex_clear(&agents->lock);
        g_free(agents);
    }
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static int execute(struct guest_agent *agent, const char *command, struct json_object *arguments,
                   int timeout_ms, bool patient, struct json_object **ret, char **ret_message)
{
    struct guest_channel *channel = agent != NULL ? channel_of(agent) : NULL;
    if (channel == NULL) {
        json_object_put(arguments);
        if (ret_message != NULL) {
            *ret_message = g_strdup("no guest agent answers");
        }
        return -ENOTCONN;
    }
    int error = guest_channel_execute(channel, command, arguments, timeout_ms, patient, ret, ret_message);
    guest_channel_unref(channel);
    return error;
}

int guest_agent_execute(struct vm *vm, const char *command, struct json_object *arguments, int timeout_ms,
                        struct json_object **ret, char **ret_message)
{
    struct guest_agent *agent = find(vm);
    int error = execute(agent, command, arguments, timeout_ms, false, ret, ret_message);
    agent_unref(agent);
    return error;
}

struct vim_fault *guest_agent_fault(int error, const char *message)
{
    switch (error) {
    case 0:
        return NULL;
    case -ENOTCONN:
    case -ECONNRESET:
        return fault_tools_unavailable("%s", message);
    case -ENOSYS:
        return fault_not_supported("the guest agent: %s", message);
    case -ETIMEDOUT:
        return fault_timedout("%s", message);
    default:
        return fault_system_error(message, "the guest agent: %s", message);
    }
}

/* Takes the right to freeze; false when somebody has it. */
static bool begin_freeze(struct guest_agent *agent)
{
    g_mutex_lock(&agent->agents->lock);
    bool free_now = agent->frozen_until_ms == 0;
    if (free_now) {
        agent->frozen_until_ms = INT64_MAX;
        agent->frozen_count = -1;
    }
    g_mutex_unlock(&agent->agents->lock);
    return free_now;
}

static void set_frozen(struct guest_agent *agent, int64_t until_ms, int64_t count)
{
    g_mutex_lock(&agent->agents->lock);
    agent->frozen_until_ms = until_ms;
    agent->frozen_count = count;
    g_mutex_unlock(&agent->agents->lock);
}

struct vim_fault *guest_agent_fsfreeze(struct vm *vm)
{
    struct guest_agent *agent = find(vm);
    g_autofree char *message = NULL;
    struct json_object *reply = NULL;
    struct vim_fault *fault = NULL;
    if (agent != NULL && !begin_freeze(agent)) {
        agent_unref(agent);
        return fault_filesystem_quiesce_fault("the guest's file systems are frozen already");
    }
    int error =
        execute(agent, "guest-fsfreeze-freeze", NULL, GUEST_FREEZE_TIMEOUT_MS, false, &reply, &message);
    if (error == -ENOTCONN) {
        fault = fault_tools_unavailable("%s", message);
    } else if (error != 0) {
        /* Part of it may be frozen, or will be when the guest gets to it. */
        (void)execute(agent, "guest-fsfreeze-thaw", NULL, THAW_TIMEOUT_MS, true, NULL, NULL);
        fault = fault_filesystem_quiesce_fault("the guest's file systems could not be frozen: %s", message);
    }
    if (agent != NULL) {
        int64_t count = json_object_is_type(reply, json_type_int) ? json_object_get_int64(reply) : 0;
        set_frozen(agent, fault == NULL ? timer_now_ms() + GUEST_FROZEN_MAX_MS : 0, count);
    }
    json_object_put(reply);
    agent_unref(agent);
    return fault;
}

struct vim_fault *guest_agent_fsthaw(struct vm *vm)
{
    struct guest_agent *agent = find(vm);
    g_autofree char *message = NULL;
    struct json_object *reply = NULL;
    if (agent == NULL) {
        return fault_filesystem_quiesce_fault("the guest stopped while its file systems were frozen");
    }
    g_mutex_lock(&agent->agents->lock);
    int64_t frozen = agent->frozen_until_ms != 0 ? agent->frozen_count : -1;
    g_mutex_unlock(&agent->agents->lock);
    int error = execute(agent, "guest-fsfreeze-thaw", NULL, THAW_TIMEOUT_MS, true, &reply, &message);
    int64_t thawed = json_object_is_type(reply, json_type_int) ? json_object_get_int64(reply) : 0;
    /* If it did not answer, it is asked again as soon as it does: on_freeze_status. */
    set_frozen(agent, 0, 0);
    json_object_put(reply);
    agent_unref(agent);
    if (error != 0) {
        return fault_filesystem_quiesce_fault("the guest's file systems could not be thawed: %s", message);
    }
    if (frozen < 0 || thawed < frozen) {
        return fault_filesystem_quiesce_fault("the guest's file systems were thawed too early");
    }
    return NULL;
}
