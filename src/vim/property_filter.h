// SPDX-License-Identifier: Apache-2.0
/*
 * A filter: the graph of what its selection reaches, kept current by watches, and what of it has changed
 * since the client was last told.
 *
 *   root --select--> node --select--> node ...      a node is (object, what to follow from it)
 *   member: an object with at least one node; it has the watch, and it is reported when one of its nodes
 *   is not skipped
 *
 * Everything here needs the inventory's write lock, except what reads or clears pending changes: that needs
 * the collector's lock, which is taken inside of it.
 */
#pragma once

#include "vim/property_spec.h"
#include "vim/server.h"

struct property_filter;

/* Something to tell the client about one object. */
struct property_update {
    struct vim_ref ref; /* owned */
    int kind;           /* enum ObjectUpdateKind */
    GPtrArray *paths;   /* of a modify: '=' or '-' and a path, in order of their first change; owned */
};

struct property_filter *property_filter_new(struct vim_server *server, const struct vim_session *session,
                                            struct property_spec *spec, bool partial_updates,
                                            void (*news)(void *data), void *data, GMutex *pending_lock);
void property_filter_free(struct property_filter *filter);

/* Takes up to max updates, oldest first (collector's lock): an array of struct property_update * that the
 * caller owns. */
GPtrArray *property_filter_take(struct property_filter *filter, guint max);
/* Gives back updates that the client did not receive; they come before newer ones (collector's lock). */
void property_filter_give_back(struct property_filter *filter, GPtrArray *updates);
bool property_filter_has_news(const struct property_filter *filter);
/* Forgets what is pending and reports every member as entering (write lock and collector's lock). */
void property_filter_restart(struct property_filter *filter);
struct property_spec *property_filter_spec(struct property_filter *filter);
void property_update_free(void *update);
