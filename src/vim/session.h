// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions: who is logged in. A session is known by a secret key that the client sends as the cookie
 * vmware_soap_session or in the header vmware-api-session-id. It ends by logout, by an administrator, or
 * when nothing was heard of it for 30 minutes, or as long as is set (a parked wait counts as being heard). At most 100 per user
 * and 1,000 in all: the user's longest idle one ends first.
 *
 * Any thread; references are counted, so a call keeps its session while it runs.
 */
#pragma once

#include "vim/server.h"

struct vim_collector;

struct vim_session {
    gatomicrefcount references;
    struct vim_sessions *sessions; /* where it belongs; a reference */
    char *secret;                  /* what the client sends; never shown to others */
    char *key;                     /* the public name of the session, UserSession.key */
    char *user_name;
    char *full_name;
    char **groups; /* of the user, as they were at login; NULL-terminated, or NULL for none */
    char *locale;  /* under the lock below */
    char *ip_address;
    char *user_agent;
    int64_t login_time_us;
    int64_t last_active_us;          /* atomic; for people */
    int64_t last_heard_ms;           /* atomic; monotonic, for the idle limit */
    gint ended;                      /* atomic; set once */
    unsigned parked;                 /* atomic: waits under way */
    unsigned call_count;             /* atomic */
    GMutex lock;                     /* guards what follows */
    GHashTable *objects;             /* ids of the views, collectors and filters it owns */
    struct vim_collector *collector; /* the default one; made on first use */
    GPtrArray *cursors;              /* unfinished reads, oldest first; see vim_session_keep_cursor */
};

struct vim_sessions *vim_sessions_new(struct vim_server *server);
/* Ends all sessions, which wakes their parked calls. The inventory is still there; no lock held. */
void vim_sessions_free(struct vim_sessions *sessions);
/* Names the SessionManager, whose properties are kept current from here on (no lock held). */
void vim_sessions_attach(struct vim_sessions *sessions, const struct vim_ref *manager);
/* After how long silence sessions end, also those that are open; 0: never. Any thread. */
void vim_sessions_set_idle_limit(struct vim_sessions *sessions, int64_t limit_ms);
/* Ends sessions that were idle for too long and brings sessionList up to date. To be called about once a
 * minute, not on the timer's thread; an idle session is refused at its limit also without this. No lock held. */
void vim_sessions_expire(struct vim_sessions *sessions);
/* Ends all sessions of a user, such as one who was removed. No lock held. */
void vim_sessions_end_user(struct vim_sessions *sessions, const char *user_name);

/* The live session with this secret, with a reference, or NULL. Counts as being heard, and as a call. An
 * idle one that is over its limit is ended here, so no lock may be held. */
struct vim_session *vim_session_find(struct vim_sessions *sessions, const char *secret);
/* The live session with this public key, with a reference, or NULL. Does not count as being heard. */
struct vim_session *vim_session_find_key(struct vim_sessions *sessions, const char *key);
/* Counts as being heard: a wait of the session is over. */
void vim_session_touch(struct vim_session *session);
struct vim_session *vim_session_ref(struct vim_session *session);
void vim_session_unref(struct vim_session *session);
/* Checks name and password and makes a session: InvalidLogin, InvalidLocale, or NoPermission for a user who
 * has no permission on anything. locale and user_agent may be NULL. Blocks for the password's hash. */
struct vim_fault *vim_session_login(struct vim_sessions *sessions, const char *user, const char *password,
                                    const char *locale, const char *peer, const char *user_agent,
                                    struct vim_session **ret);
/* Ends a session: its objects are destroyed, its parked calls are woken and find it ended. Inventory lock
 * not held. */
void vim_session_end(struct vim_sessions *sessions, struct vim_session *session);
/* Whether it has ended while a call was under way. Any thread. */
bool vim_session_has_ended(struct vim_session *session);
/* As the API shows it. */
struct UserSession *vim_session_describe(const struct vim_session *session);

/* Gives an object to the session: only it sees it, and the object ends with it; when the session has ended
 * already, at the next vim_sessions_expire. (inventory write lock) */
void vim_session_own(struct vim_session *session, struct vim_object *object);
/* The object is being destroyed for another reason. (inventory write lock) */
void vim_session_disown(struct vim_session *session, struct vim_object *object);

/* Keeps what is left of a read (moved in) until the next page is asked for; of more than `max` the oldest
 * is freed. */
void vim_session_keep_cursor(struct vim_session *session, void *cursor, void (*cursor_free)(void *cursor),
                             unsigned max);
/* Takes the kept read for which matches(cursor, token) holds, or NULL. */
void *vim_session_take_cursor(struct vim_session *session, const char *token,
                              bool (*matches)(const void *cursor, const char *token));

/* The SessionManager's methods. */
extern const struct SessionManager_methods vim_session_manager_methods;
