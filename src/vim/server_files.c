// SPDX-License-Identifier: Apache-2.0
/*
 * vimServiceVersions.xml, from which clients negotiate the version, and the WSDL: vimService.wsdl, which
 * names the service's address, imports vim.wsdl, which has the types and the methods.
 */
#include "vim/server_files.h"

#include <string.h>

#include "vim/http.h"
#include "vim/soap.h"
#include "vim/type.h"

static void respond_versions(struct http_request *request)
{
    struct buffer out = BUFFER_INIT;
    buffer_append_literal(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                                "<namespaces version=\"1.0\"><namespace><name>urn:vim25</name><version>");
    buffer_append_string(&out, vim_versions[vim_newest_version].name);
    buffer_append_literal(&out, "</version><priorVersions>");
    for (int v = vim_newest_version - 1; v >= 0; v--) {
        buffer_printf(&out, "<version>%s</version>", vim_versions[v].name);
    }
    buffer_append_literal(&out, "</priorVersions></namespace></namespaces>\n");
    http_respond(request, 200, "text/xml; charset=utf-8", out, NULL);
}

/* The WSDL names the address under which the client reached us. */
static void respond_service_wsdl(struct http_request *request)
{
    static const char placeholder[] = "https://localhost/sdk/vimService";
    const char *host = http_request_header(request, "Host");
    const char *at = strstr(vim_service_wsdl, placeholder);
    struct buffer out = BUFFER_INIT;
    if (at != NULL && host != NULL) {
        buffer_append(&out, vim_service_wsdl, (size_t)(at - vim_service_wsdl));
        buffer_append_string(&out, http_request_is_tls(request) ? "https://" : "http://");
        soap_escape(&out, host);
        buffer_append_literal(&out, "/sdk");
        at += strlen(placeholder);
    } else {
        at = vim_service_wsdl;
    }
    buffer_append_string(&out, at);
    http_respond(request, 200, "text/xml; charset=utf-8", out, NULL);
}

static void respond_wsdl(struct http_request *request)
{
    struct buffer out = BUFFER_INIT;
    buffer_append_string(&out, vim_wsdl);
    http_respond(request, 200, "text/xml; charset=utf-8", out, NULL);
}

bool vim_server_file(struct http_request *request, const char *path)
{
    if (strcmp(path, "/sdk/vimServiceVersions.xml") == 0) {
        respond_versions(request);
        return true;
    }
    if (strcmp(path, "/sdk/vimService.wsdl") == 0 || strcmp(path, "/sdk/vimService") == 0) {
        respond_service_wsdl(request);
        return true;
    }
    if (strcmp(path, "/sdk/vim.wsdl") == 0) {
        respond_wsdl(request);
        return true;
    }
    return false;
}
