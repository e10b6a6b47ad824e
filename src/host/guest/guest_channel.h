// SPDX-License-Identifier: Apache-2.0
/*
 * Connections to agents in guests (qemu-guest-agent, QEMU's qga/qapi-schema.json): one thread serves all.
 *
 * host/guest/guest_agent.c has a channel for each running virtual machine. A command waits for the commands before it,
 * because the agent does one after the other. The peer is a guest, that is, anybody: what it sends is
 * limited in size and nesting, an answer that does not come costs a time-out, and one that is nonsense makes
 * the channel find the agent's voice again (guest-sync-delimited), which drops whatever came before. A guest that
 * floods is not listened to any longer.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct guest_channel;
struct guest_channels;
struct json_object;

enum {
    GUEST_ANSWER_MAX_BYTES = 1 << 20, /* one answer; 48 KiB of a file are 64 KiB of it */
    GUEST_DEPTH_MAX = 16,             /* nested objects and arrays in one answer */
    GUEST_TEXT_MAX_BYTES = 512,       /* of an agent's words that are shown to people */
};

/* What a channel tells of its own accord. On the thread of all channels, without a lock, one after the other; they
 * must be quick: memory work only. */
struct guest_channel_handler {
    void (*ready)(void *data); /* the agent answers: for the first time, or again */
    void (*lost)(void *data);  /* it does not any more */
    void (*wake)(void *data);  /* guest_channel_wake_at */
    /* The connection is over, by the peer (-ECONNRESET) or because it sent too much (-EPROTO). Nothing follows. */
    void (*ended)(void *data, int error);
    void *data;
};

/* How a command ended: on the thread of all channels, exactly once. reply (borrowed; "return" of the answer) is
 * NULL unless error is 0; message (borrowed) is for people, never NULL with an error. */
typedef void (*guest_reply_fn)(void *data, int error, struct json_object *reply, const char *message);

struct guest_channels *guest_channels_new(void);
/* Ends the thread. All channels must have been closed; not on the thread itself. */
void guest_channels_free(struct guest_channels *channels);

/* Takes over fd, a stream socket, and begins to look for an agent. The caller owns one reference. */
struct guest_channel *guest_channel_new(struct guest_channels *channels, int fd,
                                        const struct guest_channel_handler *handler);
struct guest_channel *guest_channel_ref(struct guest_channel *channel);
void guest_channel_unref(struct guest_channel *channel);

/*
 * Sends a command when its turn comes. arguments (or NULL) is consumed, as is usual with json-c.
 *
 * -ENOTCONN: no agent answers now (with `patient`, only after timeout_ms without one). -ETIMEDOUT: no answer in time;
 * the command may still take effect. -ENOSYS: the agent does not know, or is not allowed, this command.
 * -EIO: it failed in the guest, and the message is the agent's. -EPROTO: the answer is nonsense. -ECONNRESET: the
 * channel was closed or lost meanwhile.
 */
void guest_channel_submit(struct guest_channel *channel, const char *command, struct json_object *arguments,
                          int timeout_ms, int patient, guest_reply_fn fn, void *data);
/* The same, waiting for the outcome. Not on the thread of the channels. *ret (may be NULL) is put with
 * json_object_put; *ret_message (may be NULL) is set with an error (g_free). */
int guest_channel_execute(struct guest_channel *channel, const char *command, struct json_object *arguments,
                          int timeout_ms, int patient, struct json_object **ret, char **ret_message);

/* Calls handler.wake once at this time (timer_now_ms); a later call replaces the time, 0 unsets it. */
void guest_channel_wake_at(struct guest_channel *channel, int64_t at_ms);
/* The guest was reset: what is under way fails, and the agent is looked for anew. */
void guest_channel_restart(struct guest_channel *channel);
/* Ends the channel: commands under way fail, and when this returns no callback runs or will. On the thread of the
 * channels it returns at once, and nothing but what fails follows. Not while holding a lock that a callback takes. */
void guest_channel_close(struct guest_channel *channel);
