// SPDX-License-Identifier: Apache-2.0
/*
 * Passwords as hashes: yescrypt, memory-hard (16 MiB and some tens of milliseconds each), in the format of
 * crypt(5). Called by the user store; safe from any thread.
 */
#pragma once

#include <stdbool.h>

#define PASSWORD_MIN_CHARACTERS 8
#define PASSWORD_MAX_BYTES 512 /* what crypt(3) takes */

/* Whether it may be chosen: 0; -EINVAL when it is too short, -E2BIG when too long, -EILSEQ when it is not
 * UTF-8. Passwords are bytes otherwise: nothing is trimmed or normalized. */
int password_check_quality(const char *password);

/* Hashes with a new random salt. 0 or a negative errno; *ret is freed with g_free. */
int password_hash(const char *password, char **ret);

/* Whether the password belongs to the hash; false for a hash that crypt(3) does not know. Takes the same
 * time for every wrong password. */
bool password_verify(const char *password, const char *hash);

/*
 * A new password: 20 characters that are not mistaken for one another, 115 bits. Freed with
 * password_wipe().
 */
char *password_random(void);

/* Overwrites and frees a password; NULL is allowed. */
void password_wipe(char *password);
