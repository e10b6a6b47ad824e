// SPDX-License-Identifier: Apache-2.0
/*
 * A WebSocket client (RFC 6455) over a connection of cli_client_open(): bytes in, bytes out. Frames are
 * libwslay's; the opening handshake is ours. Debian's libcurl is built without WebSockets.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/error.h"

struct cli_websocket;

/* Takes binary data as it comes, on the thread of cli_websocket_work(). */
typedef void (*cli_websocket_fn)(void *data, const unsigned char *bytes, size_t length);

/*
 * Asks the server at `url` ("https://host:port") for a WebSocket at a path, and waits for the answer.
 * curl is taken, also on failure. An exit code; on failure error says what the server said.
 */
int cli_websocket_new(CURL *curl, const char *url, const char *path, cli_websocket_fn receive, void *data,
                      struct cli_websocket **ret, struct cli_error *error);
void cli_websocket_free(struct cli_websocket *websocket);

/* The socket to poll, and for what (POLLIN and POLLOUT). */
int cli_websocket_fd(const struct cli_websocket *websocket);
short cli_websocket_events(const struct cli_websocket *websocket);
/* Queues bytes as one message, to go out with cli_websocket_work(). */
void cli_websocket_send(struct cli_websocket *websocket, const void *bytes, size_t length);
/* Bytes queued that are not out yet: a caller stops reading its source while these are many. */
size_t cli_websocket_queued(const struct cli_websocket *websocket);
/* Begins to close; the server's answer ends cli_websocket_work(). */
void cli_websocket_close(struct cli_websocket *websocket);
/* Sends and receives what is possible without waiting. false: the connection has ended. To be called first
 * before any poll: bytes may have come with the handshake, or lie decrypted in TLS. */
bool cli_websocket_work(struct cli_websocket *websocket);
/* Whether it ended as both sides agreed, not by a broken connection. */
bool cli_websocket_closed_well(const struct cli_websocket *websocket);

/* The value of Sec-WebSocket-Accept that answers a key. Freed with g_free. */
char *cli_websocket_accept(const char *key);
