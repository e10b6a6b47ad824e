// SPDX-License-Identifier: Apache-2.0
/*
 * The PropertyCollector: reads properties of many objects at once, and tells sessions what changed.
 *
 * One-shot reads walk the selection under the read lock and write their answer as they go. A filter keeps
 * what its selection reached as a graph, hangs a watch on each object, and is told of changes by the
 * inventory; a change costs what it touches, not what the filter holds. A parked wait owns no thread.
 */
#pragma once

#include "vim/server.h"

struct vim_collector;

/* A collector for a session; freed with its last reference. */
struct vim_collector *vim_collector_new(struct vim_server *server, struct vim_session *session);
void vim_collector_unref(struct vim_collector *collector);
/* Ends it: filters go, a parked call is woken and finds it ended. No lock held. */
void vim_collector_end(struct vim_collector *collector);

/* Whether a PropertyFilter of the session belongs to this PropertyCollector. (any lock, session's lock) */
bool vim_collector_has(const struct vim_session *session, const struct vim_object *collector,
                       const struct vim_object *filter);

/* Writes one property as the bare value (a GET of VI/JSON). Nothing when it is unset. */
struct vim_fault *vim_property_write(struct vim_call *call, const char *type, const char *id,
                                     const char *path);

extern const struct PropertyCollector_methods vim_property_collector_methods;
extern const struct PropertyFilter_methods vim_property_filter_methods;
