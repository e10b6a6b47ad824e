// SPDX-License-Identifier: Apache-2.0
/*
 * WebSocket (RFC 6455), the server's side: for consoles in a browser. The caller has found out which
 * machine the request is for and that its client may see it (a one-time ticket in the path does both; it
 * also makes checking Origin needless), and has a socket to its screen or serial port.
 *
 * Only masked frames of bounded length are taken, no extension is agreed to. A silent peer is pinged, and
 * given up if it does not answer.
 */
#pragma once

#include <stdbool.h>

struct http_request;
struct websocket;

/* Runs on a thread of its own, for as long as it likes; the connection ends when it returns. ws is NULL
 * when the connection did not come about: then it just frees data. */
typedef void (*websocket_fn)(void *data, struct websocket *ws);

/*
 * Answers the request: switches to WebSocket and calls fn(data, ws), or refuses what is not a proper
 * handshake with 400 or 426 and calls fn(data, NULL) before it returns. Of the subprotocols that the client
 * offers "binary" is chosen, or else "uint8utf8" (bytes as text, one character for each), or else none,
 * which means binary frames too.
 */
void websocket_accept(struct http_request *request, websocket_fn fn, void *data);

struct websocket_bridge_options {
    unsigned ping_ms;         /* ping a peer that was silent for so long, and give it up after three times
                                  that; 0: 30 s */
    unsigned max_frame_bytes; /* 0: 1 MiB */
};

/*
 * Carries bytes between the connection and fd (a socket, FIFO or terminal) until either ends: what the
 * client sends in data frames is written to fd, what is read from fd goes to the client. A slow side
 * slows the other down; at most some 100 KiB are held. The fd stays the caller's, and is made
 * non-blocking. Returns 0 when a side ended in the regular way, or a negative errno: -EPROTO the client
 * broke the protocol, -ETIMEDOUT it fell silent, -ECONNRESET it went away without closing; others are fd's.
 * For fn's thread. options may be NULL.
 */
int websocket_bridge(struct websocket *ws, int fd, const struct websocket_bridge_options *options);
