// SPDX-License-Identifier: Apache-2.0
/*
 * Passwords through libcrypt's crypt_r, with the cost that the library recommends for yescrypt.
 */
#include "vim/password.h"

#include <crypt.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define RANDOM_CHARACTERS 20

int password_check_quality(const char *password)
{
    if (strlen(password) > PASSWORD_MAX_BYTES - 1) {
        return -E2BIG;
    }
    if (!g_utf8_validate(password, -1, NULL)) {
        return -EILSEQ;
    }
    return g_utf8_strlen(password, -1) >= PASSWORD_MIN_CHARACTERS ? 0 : -EINVAL;
}

/* Runs crypt_r; *ret is freed with g_free. */
static int run_crypt(const char *password, const char *setting, char **ret)
{
    struct crypt_data *data = g_new0(struct crypt_data, 1); /* 32 KiB: not for the stack */
    int r = 0;

    errno = 0;
    const char *hash = crypt_r(password, setting, data);
    if (hash == NULL || hash[0] == '*') { /* "*0" and "*1" say that it failed */
        r = errno != 0 ? -errno : -EINVAL;
    } else {
        *ret = g_strdup(hash);
    }
    explicit_bzero(data, sizeof(*data)); /* it holds a copy of the password */
    g_free(data);
    return r;
}

int password_hash(const char *password, char **ret)
{
    char *setting = crypt_gensalt_ra("$y$", 0, NULL, 0);
    if (setting == NULL) {
        return -errno;
    }
    int r = run_crypt(password, setting, ret);
    free(setting);
    return r;
}

/* Compares without stopping at the first difference. */
static bool is_equal(const char *a, const char *b)
{
    size_t length = strlen(a);
    unsigned char difference = 0;

    if (length != strlen(b)) {
        return false; /* the lengths of hashes are no secret */
    }
    for (size_t i = 0; i < length; i++) {
        difference |= (unsigned char)(a[i] ^ b[i]);
    }
    return difference == 0;
}

bool password_verify(const char *password, const char *hash)
{
    char *computed = NULL;

    if (run_crypt(password, hash, &computed) < 0) {
        return false;
    }
    bool equal = is_equal(computed, hash);
    password_wipe(computed);
    return equal;
}

char *password_random(void)
{
    /* Without 0 O o, 1 I l, and 5 S. */
    static const char alphabet[] = "2346789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRTUVWXYZ";
    const unsigned n = sizeof(alphabet) - 1;
    unsigned char byte;
    char *password = g_new0(char, RANDOM_CHARACTERS + 1);

    for (int i = 0; i < RANDOM_CHARACTERS;) {
        random_bytes(&byte, 1);
        if (byte < 256 / n * n) { /* otherwise the first letters would be more likely */
            password[i++] = alphabet[byte % n];
        }
    }
    return password;
}

void password_wipe(char *password)
{
    if (password != NULL) {
        explicit_bzero(password, strlen(password));
        g_free(password);
    }
}
