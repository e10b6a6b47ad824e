// SPDX-License-Identifier: Apache-2.0
/*
 * A client of QEMU's machine protocol (QMP) on a connected stream socket.
 *
 * The QEMU backend has one per virtual machine. Calls block with a deadline and may come from any number
 * of threads; a reader thread of its own matches the replies and hands events on. The peer is a process
 * that a guest may have taken over: what a message may cost is limited, and one that dies, talks nonsense or
 * never answers costs an error code, nothing else.
 *
 * The protocol: QEMU's docs/interop/qmp-spec.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct json_object;
struct qmp;

enum {
    QMP_LINE_MAX_BYTES = 16 << 20, /* one message; the largest real one, the schema, has about 0.2 MiB */
    QMP_DEPTH_MAX = 64,            /* nested objects and arrays in one message */
    QMP_VALUES_MAX = 100000,       /* values in one message; the schema has about 16,000 */
    QMP_FDS_MAX = 8,               /* descriptors in one command */
};

struct qmp_handler {
    /* An event, with its data (borrowed; NULL when there is none). On the reader thread; it must neither
     * call qmp_execute() nor qmp_free(). */
    void (*event)(void *data, const char *name, struct json_object *arguments);
    void *data;
};

/*
 * Takes over fd (also on failure), waits for the greeting and leaves negotiation mode.
 * -ETIMEDOUT, -ECONNRESET, -EPROTO as in qmp_execute().
 */
int qmp_new(int fd, const struct qmp_handler *handler, int timeout_ms, struct qmp **ret, char **ret_message);

/*
 * Runs a command and waits for its reply. arguments (or NULL) is consumed, as is usual with json-c. The
 * descriptors are borrowed and go along with the command. *ret (may be NULL) becomes the reply's "return",
 * to be put with json_object_put().
 *
 * -ETIMEDOUT: no reply within timeout_ms; the command may still take effect. -ECONNRESET: the peer is gone.
 * -EPROTO: it sent nonsense, and the connection is useless from now on. -ENOSYS: it has no such command.
 * -ENODEV: it has no such device. -EIO: the command failed. With each, *ret_message (may be NULL) says
 * more, for people (g_free).
 */
int qmp_execute(struct qmp *qmp, const char *command, struct json_object *arguments, const int *fds,
                size_t n_fds, int timeout_ms, struct json_object **ret, char **ret_message);

/* Blocks until the connection has ended and every event before its end has been handed on. To be called
 * when the peer is known to be dead. */
void qmp_join(struct qmp *qmp);

/* Closes the connection and frees; NULL is fine. No call may be running. */
void qmp_free(struct qmp *qmp);
