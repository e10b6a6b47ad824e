// SPDX-License-Identifier: Apache-2.0
/*
 * GET /screen?id=<machine>: what its screen shows now, as PNG, as ESX has it. Who asks is known as for /folder
 * (http_login.h); libvirt's `virsh screenshot` reads it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/worker_pool.h"
#include "host/vm/vm.h"
#include "vim/http.h"
#include "vim/http_login.h"

struct screen_request {
    struct host *host;
    struct http_login login;
    char *id; /* owned */
};

static void screen_request_free(struct screen_request *screen)
{
    http_login_clear(&screen->login);
    g_free(screen->id);
    g_free(screen);
}

static void respond_picture(struct http_request *request, int fd)
{
    static const struct http_header fresh[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};
    struct stat st;
    if (fstat(fd, &st) != 0) {
        close(fd);
        http_respond_text(request, 500, "the picture is lost\n");
        return;
    }
    const struct http_file file = {
        .fd = fd,
        .size = (uint64_t)st.st_size,
        .content_type = "image/png",
        .headers = fresh,
    };
    http_respond_file(request, &file);
}

/* On a worker: checks who asks, and takes the picture. */
static void run(void *data)
{
    struct screen_request *screen = data;
    struct http_request *request = screen->login.request;
    g_autofree char *message = NULL;
    const struct vim_ref machine = {&VirtualMachine_type, screen->id};
    int fd = -1;
    if (!http_login_check(&screen->login)) {
        http_respond(request, 401, NULL, (struct buffer)BUFFER_INIT, http_login_challenge);
    } else if (!http_login_allows(&screen->login, &machine,
                                  VIM_PRIVILEGE_VIRTUAL_MACHINE_INTERACT_CREATE_SCREENSHOT)) {
        /* Whether there is one is not told to whom it does not concern. */
        http_respond_text(request, 404, "there is no such virtual machine, or you may not see its screen\n");
    } else if ((fd = memfd_create("tenkyu-screen", MFD_CLOEXEC)) < 0) {
        http_respond_text(request, 500, "there is no memory for the picture\n");
    } else if (hypervisor_vm_screenshot(screen->host->hypervisor, screen->id, fd, &message) != 0) {
        close(fd);
        http_respond_text(request, 503, "the virtual machine shows no picture: is it powered on?\n");
    } else {
        respond_picture(request, fd);
    }
    screen_request_free(screen);
}

bool host_screen_handle(struct host *host, struct http_request *request, const char *path)
{
    static const struct http_header allow[] = {{"Allow", "GET"}, {NULL, NULL}};
    if (strcmp(path, "/screen") != 0) {
        return false;
    }
    if (strcmp(http_request_method(request), "GET") != 0) {
        http_respond(request, 405, NULL, (struct buffer)BUFFER_INIT, allow);
        return true;
    }
    g_autofree char *id = http_request_query_value(request, "id");
    if (id == NULL) {
        http_respond_text(request, 400, "the query names no virtual machine (id)\n");
        return true;
    }
    struct screen_request *screen = g_new0(struct screen_request, 1);
    if (!http_login_take(host->server, request, &screen->login)) {
        g_free(screen);
        http_respond(request, 401, NULL, (struct buffer)BUFFER_INIT, http_login_challenge);
        return true;
    }
    screen->host = host;
    screen->id = g_steal_pointer(&id);
    http_request_detach(request);
    if (worker_pool_push(host->server->workers, run, screen) != 0) {
        screen_request_free(screen);
        http_respond_text(request, 503, "the server is busy; try again later\n");
    }
    return true;
}
