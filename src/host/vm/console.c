// SPDX-License-Identifier: Apache-2.0
/*
 * Consoles: a ticket (AcquireTicket) opens one connection to /ticket/<ticket>, a WebSocket that carries the
 * screen (RFB, "webmks" and "mks") or the first serial port ("tenkyu.serial"). Screenshots.
 *
 * A ticket is 32 random bytes, good for one connection within 30 seconds, and needs no session: that is how
 * a console program is handed a connection without its user's password.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "base/file.h"
#include "host/vm/port_address.h"
#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/http.h"
#include "vim/value.h"
#include "vim/websocket.h"

enum {
    TICKET_LIFE_MS = 30000,
    MAX_TICKETS = 1000,
    TICKET_BYTES = 32,
};

struct ticket {
    char *vm_id;
    bool serial;
    int64_t expires_ms;
};

static void ticket_free(void *data)
{
    struct ticket *ticket = data;
    g_free(ticket->vm_id);
    g_free(ticket);
}

static int64_t now_ms(const struct host *host)
{
    return host->server->environment.monotonic_ms(host->server->environment.data);
}

static gboolean is_expired(gpointer key, gpointer value, gpointer data)
{
    (void)key;
    return ((struct ticket *)value)->expires_ms < *(int64_t *)data;
}

/* (host.lock) */
static void drop_expired(struct host *host)
{
    int64_t now = now_ms(host);
    if (host->tickets == NULL) {
        host->tickets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, ticket_free);
    }
    g_hash_table_foreach_remove(host->tickets, is_expired, &now);
}

void host_tickets_free(struct host *host)
{
    if (host->tickets != NULL) {
        g_hash_table_unref(host->tickets);
    }
}

struct vim_fault *vm_acquire_ticket_call(struct vim_call *call, const struct AcquireTicket_args *args,
                                         struct AcquireTicket_result *ret)
{
    struct host *host = call->server->hooks_data;
    bool serial = g_str_equal(args->ticketType, "tenkyu.serial");
    VM_AUTO vm = NULL;
    if (!serial && !g_str_equal(args->ticketType, "webmks") && !g_str_equal(args->ticketType, "mks")) {
        return fault_invalid_argument("ticketType", "ticketType: \"%s\" is not webmks, mks or tenkyu.serial",
                                      args->ticketType);
    }
    struct vim_fault *fault = vim_call_require(call, &call->request.target,
                                               VIM_PRIVILEGE_VIRTUAL_MACHINE_INTERACT_CONSOLE_INTERACT);
    if (fault == NULL) {
        fault = vm_of_call(call, &vm);
    }
    if (fault == NULL) {
        fault = vm_require_power(vm, VirtualMachinePowerState_poweredOn);
    }
    if (fault != NULL) {
        return fault;
    }
    struct ticket *ticket = g_new0(struct ticket, 1);
    ticket->vm_id = g_strdup(vm->id);
    ticket->serial = serial;
    ticket->expires_ms = now_ms(host) + TICKET_LIFE_MS;
    char *text = random_hex(TICKET_BYTES);
    ret->returnval = VirtualMachineTicket_new();
    ret->returnval->ticket = g_strdup(text);
    ret->returnval->cfgFile = g_strdup(vm->vmx_path);
    ret->returnval->sslThumbprint = g_strdup(host->thumbprint);
    vim_set_optional(&ret->returnval->port, http_server_port(host->http, 0));
    g_mutex_lock(&host->lock);
    drop_expired(host);
    bool full = g_hash_table_size(host->tickets) >= MAX_TICKETS;
    if (!full) {
        g_hash_table_insert(host->tickets, text, ticket);
    }
    g_mutex_unlock(&host->lock);
    if (full) {
        g_free(text);
        ticket_free(ticket);
        return fault_system_error("too many tickets", "too many tickets wait to be used; try again later");
    }
    vm_event(vm, (struct vim_task *)NULL, VmAcquiredTicketEvent, "a ticket for %s of %s was given out",
             args->ticketType, vm->vmx_path);
    return NULL;
}

static struct ticket *take_ticket(struct host *host, const char *text)
{
    gpointer key = NULL;
    gpointer value = NULL;
    g_mutex_lock(&host->lock);
    drop_expired(host);
    g_hash_table_steal_extended(host->tickets, text, &key, &value);
    g_mutex_unlock(&host->lock);
    g_free(key);
    return value;
}

/* The device key of the first serial port that is a console, or 0. */
static int32_t serial_key(struct vm *vm)
{
    int32_t key = 0;
    struct VirtualMachineConfigInfo *config = vm_config(vm);
    for (uint32_t i = 0; config != NULL && key == 0 && i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        PORT_ADDRESS_AUTO address = {0};
        VIM_FAULT_AUTO fault = port_address_of(device, 0, &address);
        if (fault == NULL && address.kind == PORT_CONSOLE) {
            key = device->key;
        }
    }
    vim_free(config);
    return key;
}

static int open_console(struct host *host, const struct ticket *ticket, int *ret_fd, char **ret_message)
{
    VM_AUTO vm = vm_find(host, ticket->vm_id);
    if (vm == NULL) {
        *ret_message = g_strdup("the virtual machine is gone");
        return -ENOENT;
    }
    if (!ticket->serial) {
        return hypervisor_vm_open_screen(host->hypervisor, vm->id, ret_fd, ret_message);
    }
    int32_t key = serial_key(vm);
    if (key == 0) {
        *ret_message = g_strdup("the virtual machine has no serial port that is a console");
        return -ENOENT;
    }
    return hypervisor_vm_open_serial(host->hypervisor, vm->id, key, ret_fd, ret_message);
}

/* On a thread of the connection: carries bytes until one side ends. */
static void bridge(void *data, struct websocket *ws)
{
    int fd = GPOINTER_TO_INT(data);
    if (ws != NULL) {
        (void)websocket_bridge(ws, fd, NULL); /* however it ends, the console is over */
    }
    close(fd);
}

bool host_ticket_handle(struct host *host, struct http_request *request, const char *path)
{
    if (!g_str_has_prefix(path, "/ticket/")) {
        return false;
    }
    struct ticket *ticket = take_ticket(host, path + strlen("/ticket/"));
    if (ticket == NULL) {
        http_respond_text(request, 403, "this ticket is not known, used up, or too old\n");
        return true;
    }
    int fd = -1;
    g_autofree char *message = NULL;
    int error = open_console(host, ticket, &fd, &message);
    if (error != 0) {
        http_respond_text(request, error == -EBUSY ? 409 : 503, message);
    } else {
        websocket_accept(request, bridge, GINT_TO_POINTER(fd));
    }
    ticket_free(ticket);
    return true;
}

/* ---- screenshot ------------------------------------------------------------------------------------- */

/* The picture goes beside the machine's files: "name-<n>.png", as the VI API's CreateScreenshot_Task does. */
static struct vim_fault *screenshot_run(struct vim_task *task, struct vm *vm, void *data)
{
    (void)data;
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    struct vim_fault *fault = vm_require_power(vm, VirtualMachinePowerState_poweredOn);
    if (fault == NULL) {
        fault = host_resolve(vm->host, vm->vmx_path, "vmPathName", &datastore, &path);
    }
    if (fault != NULL) {
        return fault;
    }
    int fd = -1;
    g_autofree char *picture = NULL;
    int error = -EEXIST;
    for (int n = 0; error == -EEXIST; n++) {
        g_autofree char *suffix = g_strdup_printf("-%d.png", n);
        g_free(picture);
        picture = datastore_path_with_suffix(path, suffix);
        error = file_open(datastore->fd, picture, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd);
    }
    if (error == 0) {
        error = hypervisor_vm_screenshot(vm->host->hypervisor, vm->id, fd, &message);
        close(fd);
        if (error != 0) {
            (void)file_remove(datastore->fd, picture);
        }
    }
    g_autofree char *shown = datastore_path_format(datastore->name, picture);
    if (error != 0) {
        return host_file_fault(shown, error, message != NULL ? message : "the picture cannot be written");
    }
    vim_task_set_result(task, vim_any_string(shown));
    return NULL;
}

struct vim_fault *vm_screenshot_call(struct vim_call *call, const struct CreateScreenshot_Task_args *args,
                                     struct CreateScreenshot_Task_result *ret)
{
    (void)args;
    return vm_task_start(call, "VirtualMachine.createScreenshot", screenshot_run, NULL, NULL, false,
                         &ret->returnval);
}
