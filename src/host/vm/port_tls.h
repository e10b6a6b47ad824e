// SPDX-License-Identifier: Apache-2.0
/*
 * A connection of a serial port, encrypted or not: bytes in and out without waiting. Used by port_link.c, one thread
 * per stream. A server shows the certificate of the host (see vim/tls.h), as it is when a caller comes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct port_address;
struct port_stream;

/* Takes over the connected, non-blocking socket, also on failure. With TLS it greets the far end and checks what
 * the address asks for: -EACCES when that does not hold, -ECANCELED when wake_fd can be read. */
int port_stream_new(const struct port_address *address, const char *state_dir, int fd, int wake_fd,
                    struct port_stream **ret, char **ret_message);
void port_stream_free(struct port_stream *stream);

int port_stream_fd(const struct port_stream *stream);
/* Bytes have come and were taken off the socket: read, whatever poll(2) says. */
bool port_stream_is_pending(const struct port_stream *stream);
/* Like read(2) and send(2) of a non-blocking socket, with a negative errno. After -EAGAIN the same bytes are
 * written again. */
ssize_t port_stream_read(struct port_stream *stream, void *bytes, size_t length);
ssize_t port_stream_write(struct port_stream *stream, const void *bytes, size_t length);
