// SPDX-License-Identifier: Apache-2.0
/*
 * The local users: who may log in, with which password. The session manager authenticates by it, the
 * account manager changes it. Kept in STATE/users.json (0600, replaced as a whole); what is changed is on
 * disk before it counts.
 *
 * Guessing is slowed down: after five failures of one user name from one address each further one costs
 * a growing wait, up to 15 minutes. Names that do not exist take the same time and get the same answers.
 * All functions are safe from any thread; those that hash or write take tens of milliseconds.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct users;

/* What others may know of a user. Freed with user_info_free. */
struct user_info {
    char *name;
    char *full_name; /* never NULL; "" when there is none */
    char **groups;   /* NULL-terminated, never NULL */
    int id;          /* a number of his own, for clients that want one; nothing here goes by it */
};

struct users_options {
    const char *state_dir;
    const char *first_user;        /* made at the first start; NULL: "root" */
    const char *first_password;    /* NULL: a random one, also written to STATE/root-password (0600) */
    int64_t (*now_ms)(void *data); /* any monotonic clock, for the waits; NULL: the system's */
    void *now_data;
};

/*
 * Opens the store; the first start, when there is no users.json, makes the first user. 0 or a negative
 * errno with *ret_message, a sentence for people, freed with g_free: -EBADMSG the file is damaged (it is
 * left alone), -EKEYREJECTED the first password is too weak. *ret_new_password is the random password if
 * one was made, to be shown once and given to password_wipe(), else NULL.
 */
int users_open(const struct users_options *options, struct users **ret, char **ret_new_password,
               char **ret_message);
void users_free(struct users *users);

void user_info_free(struct user_info *info);

bool users_exists(struct users *users, const char *name);
/* NULL when there is no such user. */
struct user_info *users_find(struct users *users, const char *name);
/* All, of struct user_info, ordered by name; freed with g_ptr_array_unref. */
GPtrArray *users_list(struct users *users);

/*
 * The following change the store and return 0 or a negative errno: -EINVAL the name is not 1 to 64
 * characters of A-Z a-z 0-9 . _ - @ that begin with a letter, digit or _, or a text is not UTF-8;
 * -EKEYREJECTED the password may not be chosen (see password_check_quality); -ENOENT, -EEXIST the user;
 * others when writing fails, and then nothing has changed.
 */
int users_create(struct users *users, const char *name, const char *password, const char *full_name,
                 const char *const *groups);
/* NULL leaves the full name or the groups as they are. */
int users_update(struct users *users, const char *name, const char *full_name, const char *const *groups);
/* Also removes STATE/root-password when it is this user's old password, which is worth nothing now. */
int users_set_password(struct users *users, const char *name, const char *password);
/* -EBUSY for the last user: nobody could log in any more. */
int users_remove(struct users *users, const char *name);

/*
 * Checks a password. peer is the client's address without port. 0: *ret_full_name (may be NULL) is set,
 * freed with g_free. -EACCES: wrong user or password. -EAGAIN: too many failures, the password was not
 * looked at; clients are told the same as for -EACCES.
 */
int users_authenticate(struct users *users, const char *name, const char *password, const char *peer,
                       char **ret_full_name);
