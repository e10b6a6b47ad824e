// SPDX-License-Identifier: Apache-2.0
/*
 * The .vmx file: a dictionary of `key = "value"` lines that describes a virtual machine to VMware's
 * products and to us. vmx_config.h maps it to the VI API; vmdk.c uses the same value syntax.
 *
 * Other programs and people write these files too, so what we do not understand survives: unknown keys,
 * comments, blank lines and the order of lines are written back as they were read, and a line whose value
 * does not change keeps its bytes. Keys are compared without regard to ASCII case. In a value, '|' and
 * two hex digits stand for a byte that the syntax does not allow ('"', '|', control characters).
 *
 * A `struct vmx` is not safe to share between threads while one of them changes it. Functions that can
 * fail return 0 or a negative errno.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VMX_MAX_BYTES = 4 * 1024 * 1024, /* of a file; real ones have some kilobytes */
    VMX_MAX_KEYS = 16384,
    VMX_MAX_KEY_BYTES = 255,
    VMX_MAX_VALUE_BYTES = 1024 * 1024, /* a cloud-init document in guestinfo.userdata */
};

typedef struct vmx vmx; /* only for g_autoptr(vmx) */
struct vmx;

struct vmx *vmx_new(void);

/*
 * Parses a file's contents. A byte order mark, CRLF line ends and a text in another encoding that the
 * file names (.encoding) are accepted. -EINVAL or -E2BIG: *ret_message names the line (g_free).
 */
int vmx_parse(const char *text, size_t length, struct vmx **ret, char **ret_message);

/* The file's contents, UTF-8, ended by a NUL that is not counted. To be freed with g_free. */
char *vmx_format(const struct vmx *vmx, size_t *ret_length);

void vmx_free(struct vmx *vmx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(vmx, vmx_free)

/* The value, decoded; NULL when there is none. Valid until the key changes or goes. */
const char *vmx_get(const struct vmx *vmx, const char *key);

/* TRUE, YES, ON, 1, T, Y and their opposites, in any case. -EINVAL: something else. */
int vmx_parse_bool(const char *text, bool *ret);

/*
 * A truth value as above. -ENOENT: no such key, or an empty value, which VMware's products write for
 * "not set". *ret stays as it is unless 0.
 */
int vmx_get_bool(const struct vmx *vmx, const char *key, bool *ret);

/* A decimal number, min to max. -ENOENT and -EINVAL as above, -ERANGE. */
int vmx_get_int(const struct vmx *vmx, const char *key, int64_t min, int64_t max, int64_t *ret);

/* The line of the file that a key was read from, from 1; 0 when it has been set since or is not there. */
unsigned int vmx_get_line(const struct vmx *vmx, const char *key);

/*
 * Sets a key, in its place when it exists, else at the end. -EINVAL: the key or value has what the file
 * cannot hold (not UTF-8; in keys also '=', '"', '#', white space). -E2BIG: beyond a limit above.
 */
int vmx_set(struct vmx *vmx, const char *key, const char *value);
int vmx_set_bool(struct vmx *vmx, const char *key, bool value);
int vmx_set_int(struct vmx *vmx, const char *key, int64_t value);

/* Whether there was such a key. */
bool vmx_remove(struct vmx *vmx, const char *key);

/* Removes every key that begins with prefix, without regard to case. */
void vmx_remove_prefix(struct vmx *vmx, const char *prefix);

/*
 * Walks the keys in the file's order: for (size_t i = 0; vmx_next(vmx, &i, &key, &value);) ...
 * The dictionary must not change meanwhile.
 */
bool vmx_next(const struct vmx *vmx, size_t *i, const char **ret_key, const char **ret_value);

/*
 * VMware's files write a UUID as "56 4d 12 34 56 78 9a bc-de f0 12 34 56 78 9a bc"; the VI API writes
 * "564d1234-5678-9abc-def0-123456789abc". Both take any of the two, in any case. -EINVAL.
 */
int vmx_uuid_to_api(const char *text, char ret[37]);
int vmx_uuid_from_api(const char *text, char ret[48]);

/* Appends value as the files write it, without the quotes around it. */
void vmx_escape(GString *out, const char *value);
/* Decodes length bytes between quotes. -EINVAL: a NUL, or not UTF-8. *ret is freed with g_free. */
int vmx_unescape(const char *text, size_t length, char **ret);
