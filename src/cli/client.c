// SPDX-License-Identifier: Apache-2.0
/*
 * The connection to a server, by libcurl; see client.h.
 */
#include "cli/client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/version.h"
#include "cli/certificate.h"
#include "cli/js.h"

/* The release that this client was written against; servers answer in its terms. */
#define RELEASE "6.7"

enum {
    MAX_DEPTH = 256,               /* of a JSON answer; snapshots may nest deeply */
    MAX_ANSWER_BYTES = 1 << 30,    /* of JSON: a guard against endless answers */
    MAX_REFUSAL_BYTES = 64 * 1024, /* of the text that explains a failed transfer */
    CONNECT_TIMEOUT_S = 20,
};

struct cli_client {
    CURL *curl; /* one connection is kept and used for all calls */
    struct cli_server server;
    unsigned timeout_s;
    char curl_error[CURL_ERROR_SIZE];
};

/* ---- a request's settings ------------------------------------------------------------------------- */

static void set_trust(CURL *curl, const struct cli_server *server)
{
    bool checked = server->trust == CLI_TRUST_SYSTEM || server->trust == CLI_TRUST_CA_FILE;
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, checked ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, checked ? 2L : 0L);
    if (server->trust == CLI_TRUST_PIN) {
        curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, server->pin);
    } else if (server->trust == CLI_TRUST_CA_FILE) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, server->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

/* What all connections have in common. Redirects are not followed: a session must not go elsewhere. */
static void set_common(CURL *curl, const struct cli_server *server, char *error_text)
{
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text);
    error_text[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tenkyu/" TENKYU_VERSION);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    if (cli_server_is_local(server->url)) {
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    }
    set_trust(curl, server);
}

static struct curl_slist *session_headers(const struct cli_client *client)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json, */*");
    if (client->server.session != NULL) {
        g_autofree char *id = g_strdup_printf("vmware-api-session-id: %s", client->server.session);
        headers = curl_slist_append(headers, id);
    }
    return headers;
}

static int transport_error(const struct cli_client *client, CURLcode result, struct cli_error *error)
{
    const char *url = client->server.url;
    const char *why = client->curl_error[0] != '\0' ? client->curl_error : curl_easy_strerror(result);
    if (result == CURLE_SSL_PINNEDPUBKEYNOTMATCH) {
        return cli_error_set(error, CLI_FAILED,
                             "the certificate of %s is not the one that was accepted at login; nothing was "
                             "sent. If the host was set up anew, check its thumbprint and run "
                             "`tenkyu login --thumbprint SHA256 %s`",
                             url, url);
    }
    if (result == CURLE_PEER_FAILED_VERIFICATION) {
        return cli_error_set(error, CLI_FAILED,
                             "the certificate of %s is not trusted (%s); run `tenkyu login %s`", url, why,
                             url);
    }
    if (result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST) {
        return cli_error_set(error, CLI_FAILED, "cannot reach %s: %s; check the address and that it runs",
                             url, why);
    }
    return cli_error_set(error, CLI_FAILED, "the connection to %s failed: %s", url, why);
}

/* ---- life ----------------------------------------------------------------------------------------- */

struct cli_client *cli_client_new(const struct cli_server *server)
{
    struct cli_client *client = g_new0(struct cli_client, 1);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    client->curl = curl_easy_init();
    g_assert(client->curl != NULL); /* fails for want of memory alone */
    client->server = (struct cli_server){
        .url = g_strdup(server->url),
        .user = g_strdup(server->user),
        .session = g_strdup(server->session),
        .trust = server->trust,
        .pin = g_strdup(server->pin),
        .thumbprint = g_strdup(server->thumbprint),
        .ca_file = g_strdup(server->ca_file),
    };
    return client;
}

void cli_client_free(struct cli_client *client)
{
    if (client != NULL) {
        curl_easy_cleanup(client->curl);
        cli_server_clear(&client->server);
        g_free(client);
    }
}

const char *cli_client_url(const struct cli_client *client)
{
    return client->server.url;
}

const char *cli_client_session(const struct cli_client *client)
{
    return client->server.session;
}

void cli_client_set_timeout(struct cli_client *client, unsigned seconds)
{
    client->timeout_s = seconds;
}

/* ---- calls ---------------------------------------------------------------------------------------- */

static size_t take_answer(char *bytes, size_t size, size_t n, void *data)
{
    struct buffer *answer = data;
    if (answer->length + size * n > MAX_ANSWER_BYTES) {
        return 0;
    }
    buffer_append(answer, bytes, size * n);
    return size * n;
}

/* Login answers with the session in a header. */
static size_t take_header(char *bytes, size_t size, size_t n, void *data)
{
    static const char name[] = "vmware-api-session-id:";
    struct cli_client *client = data;
    if (size * n >= strlen(name) && g_ascii_strncasecmp(bytes, name, strlen(name)) == 0) {
        g_free(client->server.session);
        client->server.session = g_strstrip(g_strndup(bytes + strlen(name), size * n - strlen(name)));
    }
    return size * n;
}

static int parse_answer(const struct cli_client *client, const struct buffer *answer, json_object **ret,
                        struct cli_error *error)
{
    *ret = NULL;
    if (answer->length == 0) {
        return CLI_OK;
    }
    json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    *ret = json_tokener_parse_ex(tokener, answer->data, (int)answer->length);
    enum json_tokener_error result = json_tokener_get_error(tokener);
    if (result == json_tokener_continue) {
        /* A bare number is complete only when something follows it. */
        *ret = json_tokener_parse_ex(tokener, "", 1);
        result = json_tokener_get_error(tokener);
    }
    json_tokener_free(tokener);
    if (result != json_tokener_success) {
        return cli_error_set(error, CLI_FAILED, "%s answered with something that is not JSON; is it a host?",
                             client->server.url);
    }
    return CLI_OK;
}

static int http_error(const struct cli_client *client, long status, const struct buffer *answer,
                      struct cli_error *error)
{
    g_autoptr(json_object) fault = NULL;
    struct cli_error ignored = {0};
    if (parse_answer(client, answer, &fault, &ignored) == CLI_OK && js_type(fault) != NULL) {
        const char *name = js_type(fault);
        if (strcmp(name, "NotAuthenticated") == 0) {
            cli_error_set(error, CLI_NOT_LOGGED_IN, "the session at %s has ended; run `tenkyu login %s`",
                          client->server.url, client->server.url);
            error->fault = g_strdup(name);
            return CLI_NOT_LOGGED_IN;
        }
        return cli_error_set_fault(error, name, js_text(fault, "message"));
    }
    cli_error_clear(&ignored);
    g_autofree char *text = g_strndup(answer->data != NULL ? answer->data : "", MIN(answer->length, 200));
    g_strstrip(text);
    if (status == 401) {
        return cli_error_set(error, CLI_NOT_LOGGED_IN, "the session at %s has ended; run `tenkyu login %s`",
                             client->server.url, client->server.url);
    }
    return cli_error_set(error, status == 404 ? CLI_NOT_FOUND : CLI_FAILED, "%s answered with status %ld%s%s",
                         client->server.url, status, *text != '\0' ? ": " : "", text);
}

/* Sends what is set up in client->curl, and reads a JSON answer. */
static int perform(struct cli_client *client, struct curl_slist *headers, json_object **ret,
                   struct cli_error *error)
{
    BUFFER_AUTO(answer);
    CURL *curl = client->curl;
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)client->timeout_s);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, client);
    CURLcode result = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (result != CURLE_OK) {
        return transport_error(client, result, error);
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 204) {
        return http_error(client, status, &answer, error);
    }
    g_autoptr(json_object) value = NULL;
    int code = parse_answer(client, &answer, &value, error);
    if (code == CLI_OK && ret != NULL) {
        *ret = g_steal_pointer(&value);
    }
    return code;
}

/* Ready for a request of this member of this object; what an earlier request set is gone. */
static void begin(struct cli_client *client, json_object *ref, const char *member)
{
    g_autofree char *id = g_uri_escape_string(js_ref_id(ref), NULL, FALSE);
    g_autofree char *url = g_strdup_printf("%s/sdk/vim25/" RELEASE "/%s/%s/%s", client->server.url,
                                           js_ref_type(ref), id, member);
    curl_easy_reset(client->curl); /* keeps the connection */
    set_common(client->curl, &client->server, client->curl_error);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
}

int cli_client_call(struct cli_client *client, json_object *ref, const char *method, json_object *arguments,
                    json_object **ret_result, struct cli_error *error)
{
    g_autoptr(json_object) body = arguments != NULL ? arguments : json_object_new_object();
    const char *text = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN);
    begin(client, ref, method);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
    struct curl_slist *headers = session_headers(client);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:"); /* a large body must not wait for a go-ahead */
    return perform(client, headers, ret_result, error);
}

int cli_client_get(struct cli_client *client, json_object *ref, const char *property, json_object **ret_value,
                   struct cli_error *error)
{
    begin(client, ref, property);
    return perform(client, session_headers(client), ret_value, error);
}

/* ---- files ---------------------------------------------------------------------------------------- */

struct transfer {
    struct cli_client *client;
    int fd;
    int64_t position_bytes; /* upload: of the next byte to send */
    int file_error;         /* negative errno of reading or writing fd, or 0 */
    struct buffer refusal;  /* the answer's text, when it is not what was asked for */
    cli_transfer_fn progress;
    void *data;
};

static size_t send_file(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *transfer = data;
    ssize_t got;
    do {
        got = pread(transfer->fd, bytes, size * n, transfer->position_bytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        transfer->file_error = -errno;
        return CURL_READFUNC_ABORT;
    }
    transfer->position_bytes += got;
    return (size_t)got;
}

/* curl goes back to the start when a kept connection turns out to be closed. */
static int seek_file(void *data, curl_off_t offset, int origin)
{
    struct transfer *transfer = data;
    if (origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    transfer->position_bytes = offset;
    return CURL_SEEKFUNC_OK;
}

/* What the server says instead of what was asked for. */
static size_t receive_refusal(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *transfer = data;
    size_t room = MAX_REFUSAL_BYTES - transfer->refusal.length;
    buffer_append(&transfer->refusal, bytes, MIN(size * n, room));
    return size * n;
}

static size_t receive_file(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *transfer = data;
    long status = 0;
    curl_easy_getinfo(transfer->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        return receive_refusal(bytes, size, n, data);
    }
    transfer->file_error = file_write_all(transfer->fd, bytes, size * n);
    return transfer->file_error == 0 ? size * n : 0;
}

static int on_progress(void *data, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    struct transfer *transfer = data;
    bool uploads = up_total > 0;
    if (transfer->progress != NULL && (up > 0 || down > 0)) {
        int64_t total = uploads ? up_total : down_total;
        transfer->progress(transfer->data, uploads ? up : down, total > 0 ? total : -1);
    }
    return 0;
}

static int perform_transfer(struct transfer *transfer, struct curl_slist *headers, struct cli_error *error)
{
    struct cli_client *client = transfer->client;
    CURL *curl = client->curl;
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    /* A transfer may take days, but not stand still. */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 120L);
    CURLcode result = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->file_error != 0) {
        return cli_error_set(error, CLI_FAILED, "the local file: %s", g_strerror(-transfer->file_error));
    }
    /* A server that refuses an upload may close before all of it is sent; what it said counts then. */
    if (status >= 400) {
        return http_error(client, status, &transfer->refusal, error);
    }
    if (result != CURLE_OK) {
        return transport_error(client, result, error);
    }
    if (status < 200 || status >= 300) {
        return http_error(client, status, &transfer->refusal, error);
    }
    return CLI_OK;
}

static void begin_transfer(struct cli_client *client, const char *path)
{
    g_autofree char *url = g_strconcat(client->server.url, path, NULL);
    curl_easy_reset(client->curl);
    set_common(client->curl, &client->server, client->curl_error);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_PATH_AS_IS, 1L); /* the server judges paths, not curl */
    if (client->server.session != NULL) {
        g_autofree char *cookie = g_strdup_printf("vmware_soap_session=%s", client->server.session);
        curl_easy_setopt(client->curl, CURLOPT_COOKIE, cookie);
    }
}

int cli_client_upload(struct cli_client *client, const char *path, int fd, int64_t size,
                      cli_transfer_fn progress, void *data, struct cli_error *error)
{
    struct transfer transfer = {.client = client, .fd = fd, .progress = progress, .data = data};
    begin_transfer(client, path);
    curl_easy_setopt(client->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(client->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(client->curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(client->curl, CURLOPT_READFUNCTION, send_file);
    curl_easy_setopt(client->curl, CURLOPT_READDATA, &transfer);
    curl_easy_setopt(client->curl, CURLOPT_SEEKFUNCTION, seek_file);
    curl_easy_setopt(client->curl, CURLOPT_SEEKDATA, &transfer);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, receive_refusal);
    struct curl_slist *headers = session_headers(client);
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
    int code = perform_transfer(&transfer, headers, error);
    buffer_free(&transfer.refusal);
    return code;
}

int cli_client_download(struct cli_client *client, const char *path, int fd, cli_transfer_fn progress,
                        void *data, struct cli_error *error)
{
    struct transfer transfer = {.client = client, .fd = fd, .progress = progress, .data = data};
    begin_transfer(client, path);
    curl_easy_setopt(client->curl, CURLOPT_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, receive_file);
    int code = perform_transfer(&transfer, session_headers(client), error);
    buffer_free(&transfer.refusal);
    return code;
}

/* ---- other connections ---------------------------------------------------------------------------- */

int cli_client_open(struct cli_client *client, CURL **ret, struct cli_error *error)
{
    CURL *curl = curl_easy_init();
    g_assert(curl != NULL);
    set_common(curl, &client->server, client->curl_error);
    curl_easy_setopt(curl, CURLOPT_URL, client->server.url);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    CURLcode result = curl_easy_perform(curl);
    if (result != CURLE_OK) {
        curl_easy_cleanup(curl);
        return transport_error(client, result, error);
    }
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL); /* it belongs to the client */
    *ret = curl;
    return CLI_OK;
}

/* The first certificate of the chain, as PEM; NULL when there is none. */
static char *first_certificate(CURL *curl)
{
    struct curl_certinfo *info = NULL;
    if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
        info->num_of_certs < 1) {
        return NULL;
    }
    for (struct curl_slist *line = info->certinfo[0]; line != NULL; line = line->next) {
        if (g_str_has_prefix(line->data, "Cert:")) {
            return g_strdup(line->data + strlen("Cert:"));
        }
    }
    return NULL;
}

int cli_client_probe(const char *url, bool *ret_known, struct cli_certificate *ret, struct cli_error *error)
{
    struct cli_server server = {.url = (char *)url, .trust = CLI_TRUST_SYSTEM};
    struct cli_client *client = cli_client_new(&server);
    CURL *curl = NULL;
    int code = CLI_OK;
    g_autofree char *pem = NULL;
    struct cli_certificate certificate = {0};
    bool known = false;

    set_common(client->curl, &client->server, client->curl_error);
    curl_easy_setopt(client->curl, CURLOPT_URL, url);
    curl_easy_setopt(client->curl, CURLOPT_CONNECT_ONLY, 1L);
    CURLcode result = curl_easy_perform(client->curl);
    known = result == CURLE_OK;
    if (result == CURLE_PEER_FAILED_VERIFICATION) {
        client->server.trust = CLI_TRUST_ANY; /* to look at it; nothing is sent */
        curl = curl_easy_init();
        g_assert(curl != NULL);
        set_common(curl, &client->server, client->curl_error);
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
        result = curl_easy_perform(curl);
        pem = first_certificate(curl);
    }
    if (result != CURLE_OK) {
        code = transport_error(client, result, error);
    } else if (!known && (pem == NULL || cli_certificate_read(pem, &certificate) != 0)) {
        code = cli_error_set(error, CLI_FAILED, "%s shows no certificate that can be read", url);
    } else {
        *ret_known = known;
        *ret = certificate;
    }
    curl_easy_cleanup(curl);
    cli_client_free(client);
    return code;
}
