// SPDX-License-Identifier: Apache-2.0
/*
 * A host from start to stop. The order of the start matters:
 *
 *   state folder locked -> users, TLS -> hypervisor -> server core -> inventory -> datastores
 *   -> journal recovered -> virtual machines shown, running ones adopted -> network opened
 */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/file.h"
#include "base/timer.h"
#include "host/guest/guest_agent.h"
#include "host/system/host_facts.h"
#include "host/system/host_license.h"
#include "host/system/host_options.h"
#include "host/system/host_power.h"
#include "host/sim_population.h"
#include "host/performance/statistics.h"
#include "host/storage/datastore_watch.h"
#include "host/vm/port_link.h"
#include "host/vm/vm.h"
#include "vim/http.h"
#include "vim/tls.h"
#include "vim/users.h"
#include "vim/value.h"

static int64_t now_us(void *data)
{
    (void)data;
    return g_get_real_time();
}

static int64_t monotonic_ms(void *data)
{
    (void)data;
    return timer_now_ms();
}

/* One host to a state folder: the lock goes with the process. */
static int open_state(struct host *host, const char *path, char **ret_message)
{
    if (g_mkdir_with_parents(path, 0700) != 0) {
        *ret_message = g_strdup_printf("%s: %s", path, g_strerror(errno));
        return -errno;
    }
    g_autofree char *current = g_get_current_dir();
    host->state_dir = g_canonicalize_filename(path, current);
    host->state_fd = open(host->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (host->state_fd < 0) {
        *ret_message = g_strdup_printf("%s: %s", path, g_strerror(errno));
        return -errno;
    }
    if (flock(host->state_fd, LOCK_EX | LOCK_NB) != 0) {
        *ret_message = g_strdup_printf("%s is in use by another host", path);
        return -EBUSY;
    }
    return 0;
}

/* The part of "ADDR:PORT" that is an address, without brackets; "" for all addresses. */
static char *address_of(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    char *address = colon != NULL ? g_strndup(listen, (size_t)(colon - listen)) : g_strdup(listen);
    size_t length = strlen(address);
    if (address[0] == '[' && length > 1) {
        address[length - 1] = '\0';
        memmove(address, address + 1, length - 1);
    }
    return address;
}

static int open_tls(struct host *host, const struct host_options *options, struct tls_credentials **ret,
                    char **ret_message)
{
    g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);
    for (const char *const *listen = options->listen; *listen != NULL; listen++) {
        g_ptr_array_add(addresses, address_of(*listen));
    }
    g_ptr_array_add(addresses, NULL);
    struct tls_options tls = {
        .state_dir = host->state_dir,
        .host_name = host->name,
        .addresses = (const char *const *)addresses->pdata,
        .now_s = now_us(NULL) / 1000000,
    };
    int error = tls_credentials_load(&tls, ret, ret_message);
    if (error == 0) {
        host->thumbprint = g_strdup((*ret)->sha1_thumbprint);
        host->fingerprint = g_strdup((*ret)->sha256_thumbprint);
    }
    return error;
}

static int open_hypervisor(struct host *host, const struct host_options *options, char **ret_message)
{
    g_autofree char *run_dir = g_build_filename(host->state_dir, "run", NULL);
    struct hypervisor_options hv = {
        .run_dir = run_dir,
        .accelerator = options->accelerator,
        .event = vm_on_event,
        .event_data = host,
    };
    if (strcmp(options->hypervisor, "qemu") == 0) {
        return hypervisor_qemu_new(&hv, &host->hypervisor, ret_message);
    }
    if (strcmp(options->hypervisor, "sim") == 0) {
        return hypervisor_sim_new(&hv, &host->hypervisor, ret_message);
    }
    *ret_message = g_strdup_printf("there is no hypervisor \"%s\"; qemu and sim are", options->hypervisor);
    return -EINVAL;
}

enum {
    MAX_CONNECTIONS = 4096,
};

/* ---- HTTP beside the API ----------------------------------------------------------------------------- */

static void hook_begin(void *data, struct http_request *request, const char *path)
{
    if (g_str_has_prefix(path, "/folder")) {
        host_folder_begin(data, request);
    }
}

static bool hook_handle(void *data, struct http_request *request, const char *path)
{
    struct host *host = data;
    if (host_folder_handle(host, request, path) || host_ticket_handle(host, request, path) ||
        host_screen_handle(host, request, path)) {
        return true;
    }
    if (strcmp(path, "/") == 0) {
        http_respond_text(request, 200, "Tenkyu host. The VI API is at /sdk; see `tenkyu help`.\n");
        return true;
    }
    return false;
}

static const struct vim_server_hooks hooks = {.begin = hook_begin, .handle = hook_handle};

/* Connections get half of the open files that the system allows: machines and their files need the others. */
static unsigned max_connections(void)
{
    struct rlimit files;
    return getrlimit(RLIMIT_NOFILE, &files) == 0 ? (unsigned)MIN(files.rlim_cur / 2, MAX_CONNECTIONS) : 0;
}

static int open_network(struct host *host, const struct host_options *options,
                        const struct tls_credentials *tls, char **ret_message)
{
    struct http_server_options http = {
        .listen = options->listen,
        .tls_cert_pem = tls != NULL ? tls->cert_pem : NULL,
        .tls_key_pem = tls != NULL ? tls->key_pem : NULL,
        .max_connections = max_connections(),
        .begin = vim_server_begin,
        .handler = vim_server_handle,
        .data = host->server,
    };
    return http_server_new(&http, &host->http, ret_message);
}

/* ---- start and stop ---------------------------------------------------------------------------------- */

static int fill(struct host *host, const struct host_options *options, char **ret_message)
{
    host->server->hooks = &hooks;
    host->server->hooks_data = host;
    host_inventory_build(host);
    int error = host_datastores_load(host, ret_message);
    if (error == 0) {
        error = registry_load(host, ret_message);
    }
    if (error != 0) {
        return error;
    }
    journal_recover(host);
    registry_show(host);
    if (options->sim_vms > 0) {
        sim_population_make(host, options->sim_vms);
    }
    host_maintenance_load(host);
    error = host_autostart_load(host, ret_message);
    if (error == 0) {
        error = host_options_load(host, ret_message);
    }
    if (error == 0) {
        error = host_license_load(host, ret_message);
    }
    return error == 0 ? host_inventory_attach(host, ret_message) : error;
}

static int start(struct host *host, const struct host_options *options, char **ret_message)
{
    struct sysinfo info;
    struct tls_credentials *tls = NULL;
    struct vim_environment environment = {.now_us = now_us, .monotonic_ms = monotonic_ms};
    host->boot_time_us = sysinfo(&info) == 0 ? now_us(NULL) - info.uptime * INT64_C(1000000) : 0;
    host->plain_http = options->plain_http;
    host->power_program = g_strdup(options->power_program);
    host->name = g_strdup(g_get_host_name());
    host->listen = g_strdupv((char **)options->listen);
    host->about_host = vim_ref_make(&HostSystem_type, HOST_ID);
    int error = open_state(host, options->state_dir, ret_message);
    if (error == 0) {
        struct users_options users = {
            .state_dir = host->state_dir,
            .first_user = options->user,
            .first_password = options->password,
        };
        error = users_open(&users, &host->users, &host->first_password, ret_message);
    }
    if (error == 0 && !host->plain_http) {
        error = open_tls(host, options, &tls, ret_message);
    }
    if (error == 0) {
        error = open_hypervisor(host, options, ret_message);
    }
    environment.state_dir = host->state_dir;
    if (error == 0) {
        error = vim_server_new(&environment, host->users, &host->server, ret_message);
    }
    if (error == 0) {
        host->server->first_admin = options->user;
    }
    if (error == 0) {
        guest_agents_start(host);
        port_links_start(host);
        error = fill(host, options, ret_message);
    }
    if (error == 0) {
        host->statistics = statistics_start(host);
        host->datastore_watch = datastore_watch_start(host);
        error = open_network(host, options, tls, ret_message);
    }
    if (error == 0) {
        host->facts = host_facts_start(host);
        host_autostart_begin(host);
    }
    tls_credentials_free(tls);
    return error;
}

int host_new(const struct host_options *options, struct host **ret, char **ret_message)
{
    struct host *host = g_new0(struct host, 1);
    host->state_fd = -1;
    host->nowhere_fd = -1;
    g_mutex_init(&host->registry);
    g_mutex_init(&host->datastore_list);
    g_mutex_init(&host->autostart);
    g_mutex_init(&host->options);
    g_mutex_init(&host->lock);
    host->reserved_names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int error = start(host, options, ret_message);
    if (error != 0) {
        host_free(host);
        return error;
    }
    *ret = host;
    return 0;
}

void host_free(struct host *host)
{
    if (host == NULL) {
        return;
    }
    g_atomic_int_set(&host->stopping, 1);
    host_facts_free(host->facts); /* before the server, whose ports it shows */
    http_server_free(host->http); /* no calls any more */
    statistics_stop(host->statistics);
    datastore_watch_stop(host->datastore_watch);
    if (host->server != NULL) {
        vim_server_finish_tasks(host->server);
    }
    guest_agents_stop(host);
    port_links_stop(host);
    hypervisor_free(host->hypervisor); /* no events any more */
    vim_server_free(host->server);
    statistics_free(host->statistics);
    guest_agents_free(host);
    port_links_free(host);
    host_datastores_free(host);
    host_tickets_free(host);
    users_free(host->users);
    if (host->registered != NULL) {
        g_hash_table_unref(host->registered);
    }
    g_hash_table_unref(host->reserved_names);
    if (host->state_fd >= 0) {
        close(host->state_fd);
    }
    vim_ref_clear(&host->about_host);
    g_mutex_clear(&host->registry);
    g_mutex_clear(&host->datastore_list);
    g_mutex_clear(&host->autostart);
    g_mutex_clear(&host->options);
    g_mutex_clear(&host->lock);
    g_free(host->state_dir);
    g_free(host->power_program);
    g_free(host->name);
    g_strfreev(host->listen);
    g_free(host->first_password);
    g_free(host->thumbprint);
    g_free(host->fingerprint);
    g_free(host);
}

void host_stop_machines(struct host *host)
{
    host_autostart_stop(host);
}

char *host_url(const struct host *host, unsigned n)
{
    uint16_t port = http_server_port(host->http, n);
    if (port == 0) {
        return NULL;
    }
    g_autofree char *address = address_of(host->listen[n]);
    const char *shown = address[0] != '\0' ? address : host->name;
    return g_strdup_printf(strchr(shown, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u",
                           host->plain_http ? "http" : "https", shown, port);
}

const char *host_first_password(const struct host *host)
{
    return host->first_password;
}

const char *host_fingerprint(const struct host *host)
{
    return host->fingerprint;
}
