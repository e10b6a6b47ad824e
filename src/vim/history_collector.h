// SPDX-License-Identifier: Apache-2.0
/*
 * History collectors: cursors of a session over tasks or events, oldest to newest, with a page of the
 * newest ones that stays current. Tasks and events each are a struct vim_history, which the collectors
 * read. Everything is guarded by the inventory's lock.
 *
 * The cursor stands between two items. Reading the next items moves it behind the last one read, reading
 * previous ones in front of it. A new collector stands at the oldest item.
 */
#pragma once

#include "vim/server.h"

enum {
    VIM_HISTORY_MAX_PAGE = 1000,     /* items that one call gives */
    VIM_HISTORY_MAX_COLLECTORS = 32, /* of one kind and session */
};

/* Which items: those with numbers above `after` up to `up_to`, at most max, from the oldest or the newest. */
struct vim_history_range {
    int64_t after;
    int64_t up_to;
    bool newest_first;
    uint32_t max;
};

struct vim_history_items {
    struct vim_array array; /* copies, owned by the caller */
    int64_t last;           /* the number of the last item in the array */
};

/* Something that collectors read. Items have numbers that grow. */
struct vim_history {
    /* The items in the range that the filter lets pass and the session may see (any lock). */
    struct vim_history_items (*select)(struct vim_server *server, const struct vim_session *session,
                                       const void *filter, const struct vim_history_range *range);
    GPtrArray *collectors; /* that read it, borrowed */
};

void vim_history_init(struct vim_history *history,
                      struct vim_history_items (*select)(struct vim_server *server,
                                                         const struct vim_session *session,
                                                         const void *filter,
                                                         const struct vim_history_range *range));
/* The collectors that are left must not be used any more, but can still be destroyed. */
void vim_history_clear(struct vim_history *history);
/* There is a new item, or one has changed: brings all latestPage up to date (write lock). */
void vim_history_changed(struct vim_history *history);

/* Makes a collector of the type for the call's session, with a copy of the filter (no lock held). */
struct vim_fault *vim_history_collect(struct vim_call *call, struct vim_history *history,
                                      const struct vim_type *type, const void *filter, struct vim_ref *ret);

/* Whether a string is in an array of strings (char **, n). */
bool vim_history_lists(const void *strings, const char *string);

extern const struct EventHistoryCollector_methods vim_event_history_collector_methods;
extern const struct TaskHistoryCollector_methods vim_task_history_collector_methods;
