// SPDX-License-Identifier: Apache-2.0
/*
 * The threads behind serial ports; see port_link.h.
 *
 *   wait -> call, or be called -> [agree on TLS] -> take QEMU's end -> carry bytes -> wait
 *
 * A thread belongs to nobody: it has a reference of its link and ends by itself when that is cancelled. Only the
 * stop of the host waits until all have ended.
 */
#include "host/vm/port_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vm/port_address.h"
#include "host/vm/port_tls.h"
#include "vim/value.h"

enum {
    RETRY_MS = 2000,    /* between attempts */
    TAKE_RETRY_MS = 50, /* while QEMU has not noticed the end of the connection before */
    TAKE_ATTEMPTS = 100,
    BUFFER_BYTES = 4096,
};

struct port_links {
    struct host *host;
    GMutex lock;
    GCond ended;
    GHashTable *by_port; /* "vm-1/9000" -> struct link *, each with a reference */
    unsigned threads;    /* that have not ended */
    bool stopping;
};

struct link {
    gatomicrefcount references;
    struct port_links *links;
    struct port_address address;
    char *vm_id;
    int32_t device_key;
    int wake_fd;    /* an eventfd that can be read once it is cancelled */
    int listen_fd;  /* of a server, or -1; the thread's own */
    GMutex taking;  /* while QEMU's end is taken, so that nobody takes it after the cancel */
    bool cancelled; /* under taking */
    bool quiet;     /* the thread's own: what keeps it from connecting has been logged */
};

/* What has come from one side and waits for the other. */
struct carried {
    char bytes[BUFFER_BYTES];
    size_t begin;
    size_t end;
};

static void link_unref(struct link *link)
{
    if (!g_atomic_ref_count_dec(&link->references)) {
        return;
    }
    if (link->listen_fd >= 0) {
        close(link->listen_fd);
    }
    close(link->wake_fd);
    port_address_clear(&link->address);
    g_mutex_clear(&link->taking);
    g_free(link->vm_id);
    g_free(link);
}

static void cancel(struct link *link)
{
    g_mutex_lock(&link->taking);
    link->cancelled = true;
    g_mutex_unlock(&link->taking);
    (void)eventfd_write(link->wake_fd, 1);
}

/* Cancels and forgets; for the table of links. */
static void end_link(void *data)
{
    cancel(data);
    link_unref(data);
}

/* Sleeps; false when the link was cancelled meanwhile. */
static bool pause_for(const struct link *link, int ms)
{
    struct pollfd polled = {.fd = link->wake_fd, .events = POLLIN};
    return TEMP_FAILURE_RETRY(poll(&polled, 1, ms)) == 0;
}

/* Says once, until it works again, what keeps the port from being connected. */
static void complain(struct link *link, int error, const char *message)
{
    if (!link->quiet && error != -ECANCELED) {
        g_message("%s: serial port %d is not connected: %s", link->vm_id, link->device_key,
                  message != NULL ? message : g_strerror(-error));
    }
    link->quiet = true;
}

/* A socket of somebody who calls. */
static int be_called(struct link *link, int *ret_fd)
{
    struct pollfd polled[] = {{.fd = -1, .events = POLLIN}, {.fd = link->wake_fd, .events = POLLIN}};
    if (link->listen_fd < 0) {
        int error = port_address_listen(&link->address, link->links->host->state_fd, &link->listen_fd);
        if (error != 0) {
            return error;
        }
        (void)fcntl(link->listen_fd, F_SETFL, O_NONBLOCK); /* who called may have gone before we look */
    }
    polled[0].fd = link->listen_fd;
    if (TEMP_FAILURE_RETRY(poll(polled, G_N_ELEMENTS(polled), -1)) < 0 || polled[1].revents != 0) {
        return -ECANCELED;
    }
    int fd = accept4(link->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    *ret_fd = fd;
    return 0;
}

/* The far end, ready to speak. */
static int reach(struct link *link, struct port_stream **ret, char **ret_message)
{
    const struct host *host = link->links->host;
    int fd = -1;
    int error = link->address.server ? be_called(link, &fd)
                                     : port_address_call(&link->address, host->state_fd, link->wake_fd, &fd);
    return error != 0 ? error
                      : port_stream_new(&link->address, host->state_dir, fd, link->wake_fd, ret, ret_message);
}

/* QEMU's end of the port. */
static int take(struct link *link, int *ret_fd, char **ret_message)
{
    int error = -EBUSY;
    for (int attempt = 0; attempt < TAKE_ATTEMPTS && error == -EBUSY; attempt++) {
        g_clear_pointer(ret_message, g_free);
        g_mutex_lock(&link->taking);
        error = link->cancelled ? -ECANCELED
                                : hypervisor_vm_open_serial(link->links->host->hypervisor, link->vm_id,
                                                            link->device_key, ret_fd, ret_message);
        g_mutex_unlock(&link->taking);
        if (error == -EBUSY && !pause_for(link, TAKE_RETRY_MS)) {
            error = -ECANCELED;
        }
    }
    return error;
}

static short events_for(const struct carried *from, const struct carried *to)
{
    return (short)((from->end == from->begin ? POLLIN : 0) | (to->end > to->begin ? POLLOUT : 0));
}

/* Fills an empty buffer; false at the end of the connection. */
static bool fill(struct carried *buffer, struct port_stream *stream, int fd)
{
    if (buffer->end > buffer->begin) {
        return true;
    }
    ssize_t n = stream != NULL
                    ? port_stream_read(stream, buffer->bytes, sizeof(buffer->bytes))
                    : TEMP_FAILURE_RETRY(recv(fd, buffer->bytes, sizeof(buffer->bytes), MSG_DONTWAIT));
    int error = stream == NULL && n < 0 ? -errno : (int)MIN(n, 0);
    if (error == -EAGAIN) {
        return true;
    }
    buffer->begin = 0;
    buffer->end = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static bool drain(struct carried *buffer, struct port_stream *stream, int fd)
{
    size_t length = buffer->end - buffer->begin;
    if (length == 0) {
        return true;
    }
    const char *bytes = buffer->bytes + buffer->begin;
    ssize_t n = stream != NULL ? port_stream_write(stream, bytes, length)
                               : TEMP_FAILURE_RETRY(send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL));
    int error = stream == NULL && n < 0 ? -errno : (int)MIN(n, 0);
    buffer->begin += n > 0 ? (size_t)n : 0;
    return n >= 0 || error == -EAGAIN;
}

/* Carries bytes both ways until one side ends, or the link is cancelled. A side that does not read makes the other
 * wait: QEMU's then loses what the guest says, and what is said to the guest waits for it. */
static void carry(const struct link *link, struct port_stream *far, int near_fd)
{
    g_autofree struct carried *in = g_new0(struct carried, 1);
    g_autofree struct carried *out = g_new0(struct carried, 1);
    for (bool open = true; open;) {
        short far_events = events_for(in, out);
        short near_events = events_for(out, in);
        struct pollfd polled[] = {
            /* A side that we want nothing of is left alone: that it has hung up would be told for ever. */
            {.fd = far_events != 0 ? port_stream_fd(far) : -1, .events = far_events},
            {.fd = near_events != 0 ? near_fd : -1, .events = near_events},
            {.fd = link->wake_fd, .events = POLLIN},
        };
        bool pending = in->end == in->begin && port_stream_is_pending(far);
        if (TEMP_FAILURE_RETRY(poll(polled, G_N_ELEMENTS(polled), pending ? 0 : -1)) < 0 ||
            polled[2].revents != 0) {
            return;
        }
        open = (polled[0].revents == 0 && !pending) || fill(in, far, -1);
        open = open && (polled[1].revents == 0 || fill(out, NULL, near_fd));
        /* What came last is for the other side still, as far as it takes it. */
        bool delivered = drain(in, NULL, near_fd) && drain(out, far, -1);
        open = open && delivered;
    }
}

/* One connection, from its beginning to its end. */
static int connect_once(struct link *link)
{
    struct port_stream *far = NULL;
    g_autofree char *message = NULL;
    int near_fd = -1;
    int error = reach(link, &far, &message);
    if (error == 0) {
        error = take(link, &near_fd, &message);
    }
    if (error == 0) {
        link->quiet = false;
        carry(link, far, near_fd);
        close(near_fd);
    } else {
        complain(link, error, message);
    }
    port_stream_free(far);
    return error;
}

static void *link_main(void *data)
{
    struct link *link = data;
    struct port_links *links = link->links;
    int delay_ms = 0;
    int error = 0;
    while (error != -ENODEV &&
           pause_for(link, delay_ms)) { /* -ENODEV: the running machine has it disconnected */
        error = connect_once(link);
        /* A server is ready for the next caller at once. */
        delay_ms = link->address.server && link->listen_fd >= 0 ? 0 : RETRY_MS;
    }
    link_unref(link);
    g_mutex_lock(&links->lock);
    links->threads--;
    g_cond_broadcast(&links->ended);
    g_mutex_unlock(&links->lock);
    return NULL;
}

/* (links.lock) */
static void start_link(struct port_links *links, const char *vm_id, int32_t key, struct port_address *address,
                       char *name)
{
    struct link *link = g_new0(struct link, 1);
    g_atomic_ref_count_init(&link->references);
    link->links = links;
    link->address = *address;
    *address = (struct port_address){0};
    link->vm_id = g_strdup(vm_id);
    link->device_key = key;
    link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    link->listen_fd = -1;
    g_mutex_init(&link->taking);
    g_atomic_ref_count_inc(&link->references);
    GThread *thread = g_thread_try_new("serial-port", link_main, link, NULL);
    if (thread == NULL) {
        g_warning("%s: serial port %d has no thread", vm_id, key);
        link_unref(link);
        link_unref(link);
        g_free(name);
        return;
    }
    g_thread_unref(thread);
    links->threads++;
    g_hash_table_insert(links->by_port, name, link);
}

void port_link_begin(struct vm *vm, const struct VirtualDevice *device)
{
    struct port_links *links = vm->host->port_links;
    PORT_ADDRESS_AUTO address = {0};
    VIM_FAULT_AUTO fault = port_address_of(device, 0, &address);
    bool connected = device->connectable == NULL || device->connectable->connected;
    if (fault != NULL || !connected || !port_address_is_linked(&address) ||
        hypervisor_info(vm->host->hypervisor)->simulated) {
        return;
    }
    char *name = g_strdup_printf("%s/%d", vm->id, device->key);
    g_mutex_lock(&links->lock);
    if (links->stopping || g_hash_table_contains(links->by_port, name)) {
        g_free(name);
    } else {
        start_link(links, vm->id, device->key, &address, name);
    }
    g_mutex_unlock(&links->lock);
}

void port_links_begin(struct vm *vm)
{
    if (hypervisor_info(vm->host->hypervisor)->simulated) {
        return;
    }
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    for (uint32_t i = 0; config != NULL && i < config->hardware->device.n; i++) {
        port_link_begin(vm, config->hardware->device.items[i]);
    }
    vim_free(config);
}

/* Ends the links whose name is this, or begins so. */
static void end_links(struct port_links *links, const char *prefix, bool whole)
{
    GHashTableIter iterator;
    gpointer name = NULL;
    gpointer link = NULL;
    g_autoptr(GPtrArray) ended = g_ptr_array_new_with_free_func(end_link);
    g_mutex_lock(&links->lock);
    g_hash_table_iter_init(&iterator, links->by_port);
    while (g_hash_table_iter_next(&iterator, &name, &link)) {
        if (whole ? g_str_equal(name, prefix) : g_str_has_prefix(name, prefix)) {
            g_hash_table_iter_steal(&iterator);
            g_free(name);
            g_ptr_array_add(ended, link); /* without our lock: a link may be waiting for QEMU */
        }
    }
    g_mutex_unlock(&links->lock);
}

void port_link_end(struct vm *vm, int32_t device_key)
{
    g_autofree char *name = g_strdup_printf("%s/%d", vm->id, device_key);
    end_links(vm->host->port_links, name, true);
}

void port_links_end(struct vm *vm)
{
    g_autofree char *prefix = g_strdup_printf("%s/", vm->id);
    end_links(vm->host->port_links, prefix, false);
}

void port_links_start(struct host *host)
{
    struct port_links *links = g_new0(struct port_links, 1);
    links->host = host;
    g_mutex_init(&links->lock);
    g_cond_init(&links->ended);
    links->by_port = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    host->port_links = links;
}

void port_links_stop(struct host *host)
{
    struct port_links *links = host->port_links;
    if (links == NULL) {
        return;
    }
    g_mutex_lock(&links->lock);
    links->stopping = true;
    g_mutex_unlock(&links->lock);
    end_links(links, "", false);
    g_mutex_lock(&links->lock);
    while (links->threads > 0) {
        g_cond_wait(&links->ended, &links->lock);
    }
    g_mutex_unlock(&links->lock);
}

void port_links_free(struct host *host)
{
    struct port_links *links = host->port_links;
    if (links == NULL) {
        return;
    }
    g_hash_table_unref(links->by_port);
    g_cond_clear(&links->ended);
    g_mutex_clear(&links->lock);
    g_free(links);
    host->port_links = NULL;
}
