// SPDX-License-Identifier: Apache-2.0
/*
 * The connection to a server: calls of VI/JSON, files of datastores, and the raw stream under a WebSocket.
 * One per command; everything blocks, on the calling thread. Operations return an exit code of cli.h and
 * set the error on failure.
 */
#pragma once

#include <curl/curl.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/error.h"
#include "cli/server.h"

struct cli_certificate;
struct cli_client;

/* The client copies what it needs of the server. Never fails. */
struct cli_client *cli_client_new(const struct cli_server *server);
void cli_client_free(struct cli_client *client);
/* "https://host:port" */
const char *cli_client_url(const struct cli_client *client);
/* The session's secret, or NULL: given by cli_client_new(), changed by what Login answers. */
const char *cli_client_session(const struct cli_client *client);
/* No call takes longer than this from now on; 0: no limit. */
void cli_client_set_timeout(struct cli_client *client, unsigned seconds);

/*
 * Calls a method. ref is borrowed; arguments are taken (NULL: none). *ret_result (may be NULL) is the bare
 * result, NULL when there is none, to be let go with json_object_put.
 */
int cli_client_call(struct cli_client *client, json_object *ref, const char *method, json_object *arguments,
                    json_object **ret_result, struct cli_error *error);
/* Reads a property; *ret_value is NULL when it is unset. */
int cli_client_get(struct cli_client *client, json_object *ref, const char *property, json_object **ret_value,
                   struct cli_error *error);

/* Called now and then during a transfer; total_bytes is -1 when it is not known. */
typedef void (*cli_transfer_fn)(void *data, int64_t done_bytes, int64_t total_bytes);
/* Sends `size` bytes of fd, from its start, to a path of the server (PUT). */
int cli_client_upload(struct cli_client *client, const char *path, int fd, int64_t size,
                      cli_transfer_fn progress, void *data, struct cli_error *error);
/* Writes what is at a path of the server (GET) to fd. On failure a part may be written. */
int cli_client_download(struct cli_client *client, const char *path, int fd, cli_transfer_fn progress,
                        void *data, struct cli_error *error);
/* Opens a connection, with TLS as the server is trusted, for raw bytes by curl_easy_send() and
 * curl_easy_recv(). *ret is ended with curl_easy_cleanup(). */
int cli_client_open(struct cli_client *client, CURL **ret, struct cli_error *error);

/*
 * Connects to an https server of which nothing is known yet, without sending anything. *ret_known: its
 * certificate is signed by an authority of this machine for that name. Else *ret describes it (all-zero
 * when known), to be freed with cli_certificate_clear().
 */
int cli_client_probe(const char *url, bool *ret_known, struct cli_certificate *ret, struct cli_error *error);
