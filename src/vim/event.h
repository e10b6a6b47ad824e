// SPDX-License-Identifier: Apache-2.0
/*
 * Events: what happened, for people and for tools. The last 1,000 are in memory; EventManager.latestEvent
 * changes with each. An event belongs to the entity that it is about, and is seen by those who have
 * System.Read on that (or, when it is gone, on the nearest one above it that is still there; on the root
 * folder when it is about no entity). Any thread; guarded by the inventory's lock.
 */
#pragma once

#include "vim/server.h"

struct Event;

struct vim_events *vim_events_new(struct vim_server *server);
/* Before the inventory. */
void vim_events_free(struct vim_events *events);
/* Names the EventManager, which exists: its description is set, and from now on its latestEvent (no lock
 * held). */
void vim_events_attach(struct vim_events *events, const struct vim_ref *manager);

/* Posts an event, which is moved in: key and time are set here, and the chain id, unless it has one
 * already (see vim_event_chain_new); the sentence for people is made from format. userName may be NULL: the
 * system. (no lock held) */
void vim_event_post(struct vim_server *server, struct Event *event, const char *user_name, const char *format,
                    ...) G_GNUC_PRINTF(4, 5);
/* The same with the arguments that most events have filled in from the object: datacenter, compute
 * resource, host, vm, ds, net, as far as they are unset. `entity` may be gone. */
void vim_event_post_for(struct vim_server *server, struct Event *event, const struct vim_ref *entity,
                        const char *user_name, const char *format, ...) G_GNUC_PRINTF(5, 6);
/* A chain id that no event has: for events that belong together, such as those of a task. (no lock needed) */
int32_t vim_event_chain_new(struct vim_server *server);

extern const struct EventManager_methods vim_event_manager_methods;
