// SPDX-License-Identifier: Apache-2.0
/*
 * The .vmx dictionary; see vmx.h. A list of lines, each with its bytes as read, and an index from the
 * folded key to its line.
 */
#include "host/vm/vmx.h"

#include <errno.h>
#include <string.h>

#define BOM "\xef\xbb\xbf" /* a byte order mark in UTF-8 */

struct line {
    char *raw;           /* owned: the line without its end; NULL when it is to be made from the value */
    char *key;           /* owned; NULL: a comment or blank line */
    char *value;         /* owned: decoded; NULL with key */
    char *comment;       /* owned: what followed the value ("  # why"), or NULL */
    unsigned int number; /* in the file, from 1; 0: not from it */
};

struct vmx {
    GPtrArray *lines;  /* of struct line, owned */
    GHashTable *index; /* folded key, owned, to struct line, borrowed */
    size_t bytes;      /* of keys and values, to hold the limit of the file */
    bool bom;          /* the file began with a byte order mark */
    bool crlf;         /* its lines end in CRLF */
};

static void line_free(void *data)
{
    struct line *line = data;

    g_free(line->raw);
    g_free(line->key);
    g_free(line->value);
    g_free(line->comment);
    g_free(line);
}

struct vmx *vmx_new(void)
{
    struct vmx *vmx = g_new0(struct vmx, 1);

    vmx->lines = g_ptr_array_new_with_free_func(line_free);
    vmx->index = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return vmx;
}

void vmx_free(struct vmx *vmx)
{
    if (vmx != NULL) {
        g_hash_table_unref(vmx->index);
        g_ptr_array_unref(vmx->lines);
        g_free(vmx);
    }
}

static struct line *find(const struct vmx *vmx, const char *key)
{
    g_autofree char *folded = g_ascii_strdown(key, -1);

    return g_hash_table_lookup(vmx->index, folded);
}

/* --- values --- */

/* Bytes that cannot stand for themselves between the quotes. Tabs can: VMware leaves them. */
static bool needs_escape(char c)
{
    return c == '"' || c == '|' || c == 0x7f || ((unsigned char)c < 0x20 && c != '\t');
}

void vmx_escape(GString *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (needs_escape(*value)) {
            g_string_append_printf(out, "|%02X", (unsigned int)(unsigned char)*value);
        } else {
            g_string_append_c(out, *value);
        }
    }
}

int vmx_unescape(const char *text, size_t length, char **ret)
{
    g_autofree char *value = g_malloc(length + 1);
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        /* A '|' without two digits stands for itself: people write these files too. */
        if (c == '|' && i + 2 < length && g_ascii_isxdigit(text[i + 1]) && g_ascii_isxdigit(text[i + 2])) {
            c = (char)(g_ascii_xdigit_value(text[i + 1]) << 4 | g_ascii_xdigit_value(text[i + 2]));
            i += 2;
        }
        if (c == '\0') {
            return -EINVAL;
        }
        value[n++] = c;
    }
    value[n] = '\0';
    if (!g_utf8_validate(value, (gssize)n, NULL)) {
        return -EINVAL;
    }
    *ret = g_steal_pointer(&value);
    return 0;
}

static bool key_is_valid(const char *key, size_t length)
{
    /* In the first line, a byte order mark would be taken for the file's. */
    if (length == 0 || (length >= 3 && memcmp(key, BOM, 3) == 0)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)key[i];

        if (c <= ' ' || c == 0x7f || c == '=' || c == '"' || c == '#') {
            return false;
        }
    }
    return true;
}

/* --- parsing --- */

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    return p;
}

/*
 * Parses what follows the '='. `what` is set to the rule that was broken. A value without quotes ends at
 * the end of the line: old products wrote such.
 */
static int parse_value(struct line *line, const char *p, const char *end, const char **what)
{
    const char *close;

    if (p == end || *p != '"') {
        while (end > p && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }
        if (memchr(p, '"', (size_t)(end - p)) != NULL) {
            *what = "a quote in the middle of a value";
            return -EINVAL;
        }
        *what = "the value has a NUL or is not UTF-8";
        return vmx_unescape(p, (size_t)(end - p), &line->value);
    }
    p++;
    close = memchr(p, '"', (size_t)(end - p));
    if (close == NULL) {
        *what = "the closing quote is missing";
        return -EINVAL;
    }
    if (close + 1 < end) {
        const char *rest = skip_blanks(close + 1, end);

        if (rest < end && *rest != '#') {
            *what = "text after the closing quote";
            return -EINVAL;
        }
        line->comment = g_strndup(close + 1, (size_t)(end - close - 1));
    }
    *what = "the value has a NUL or is not UTF-8";
    return vmx_unescape(p, (size_t)(close - p), &line->value);
}

/* Parses one line without its end. */
static int parse_line(struct line *line, const char *p, const char *end, const char **what)
{
    const char *key = skip_blanks(p, end);
    const char *equals;
    const char *key_end;

    line->raw = g_strndup(p, (size_t)(end - p));
    if (key == end || *key == '#') {
        return 0;
    }
    equals = memchr(key, '=', (size_t)(end - key));
    if (equals == NULL) {
        *what = "expected key = \"value\"";
        return -EINVAL;
    }
    key_end = equals;
    while (key_end > key && (key_end[-1] == ' ' || key_end[-1] == '\t')) {
        key_end--;
    }
    if (!key_is_valid(key, (size_t)(key_end - key))) {
        *what = "not a valid key";
        return -EINVAL;
    }
    line->key = g_strndup(key, (size_t)(key_end - key));
    return parse_value(line, skip_blanks(equals + 1, end), end, what);
}

/* Adds a line with a key to the index. -EEXIST, -E2BIG. */
static int index_line(struct vmx *vmx, struct line *line, const char **what)
{
    g_autofree char *folded = g_ascii_strdown(line->key, -1);
    size_t key_bytes = strlen(line->key);
    size_t value_bytes = strlen(line->value);

    if (key_bytes > VMX_MAX_KEY_BYTES || value_bytes > VMX_MAX_VALUE_BYTES) {
        *what = "a key or value is too long";
        return -E2BIG;
    }
    if (g_hash_table_size(vmx->index) >= VMX_MAX_KEYS) {
        *what = "too many keys";
        return -E2BIG;
    }
    if (g_hash_table_contains(vmx->index, folded)) {
        *what = "the key was already set in an earlier line";
        return -EEXIST;
    }
    g_hash_table_insert(vmx->index, g_steal_pointer(&folded), line);
    vmx->bytes += key_bytes + value_bytes;
    return 0;
}

static int parse_lines(struct vmx *vmx, const char *p, const char *end, char **ret_message)
{
    unsigned int number = 0;

    while (p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *next = eol != NULL ? eol + 1 : end;
        const char *line_end = eol != NULL ? eol : end;
        struct line *line = g_new0(struct line, 1);
        const char *what = "";
        int r;

        g_ptr_array_add(vmx->lines, line);
        line->number = ++number;
        while (line_end > p && line_end[-1] == '\r') { /* two of them after some text transfers */
            line_end--;
            vmx->crlf = vmx->crlf || number == 1;
        }
        r = parse_line(line, p, line_end, &what);
        if (r == 0 && line->key != NULL) {
            r = index_line(vmx, line, &what);
        }
        if (r < 0) {
            *ret_message = g_strdup_printf("line %u: %s", number, what);
            return r == -E2BIG ? r : -EINVAL;
        }
        p = next;
    }
    return 0;
}

/*
 * A text that is not UTF-8, as UTF-8: by the encoding that it names, else by the one of Western Windows,
 * which Workstation means when it names none. NULL when that fails.
 */
static char *convert(const char *text, size_t length, gsize *ret_length)
{
    g_autoptr(GRegex) regex = g_regex_new("^[ \\t]*\\.encoding[ \\t]*=[ \\t]*\"([-A-Za-z0-9_]{1,32})\"",
                                          G_REGEX_CASELESS | G_REGEX_MULTILINE | G_REGEX_RAW, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *encoding = NULL;

    if (g_regex_match_full(regex, text, (gssize)length, 0, 0, &match, NULL)) {
        encoding = g_match_info_fetch(match, 1);
    }
    return g_convert(text, (gssize)length, "UTF-8", encoding != NULL ? encoding : "windows-1252", NULL,
                     ret_length, NULL);
}

int vmx_parse(const char *text, size_t length, struct vmx **ret, char **ret_message)
{
    g_autoptr(vmx) vmx = vmx_new();
    g_autofree char *converted = NULL;
    const char *p = text;
    const char *encoding;
    int r;

    if (length > VMX_MAX_BYTES) {
        *ret_message = g_strdup_printf("the file is larger than %d bytes", (int)VMX_MAX_BYTES);
        return -E2BIG;
    }
    if (memchr(text, '\0', length) != NULL) {
        *ret_message = g_strdup("the file contains a NUL; it is not a text");
        return -EINVAL;
    }
    if (length >= 3 && memcmp(p, BOM, 3) == 0) {
        vmx->bom = true;
        p += 3;
        length -= 3;
    }
    if (!g_utf8_validate_len(p, length, NULL)) {
        converted = convert(p, length, &length);
        if (converted == NULL || memchr(converted, '\0', length) != NULL) {
            *ret_message = g_strdup("the file is neither UTF-8 nor in the encoding that it names");
            return -EINVAL;
        }
        p = converted;
    }
    r = parse_lines(vmx, p, p + length, ret_message);
    if (r < 0) {
        return r;
    }
    /* From here on it is UTF-8, and must say so when it says anything. */
    encoding = vmx_get(vmx, ".encoding");
    if (converted != NULL || (encoding != NULL && g_ascii_strcasecmp(encoding, "UTF-8") != 0)) {
        r = vmx_set(vmx, ".encoding", "UTF-8");
        if (r < 0) {
            *ret_message = g_strdup("the file is too large as UTF-8");
            return r;
        }
    }
    *ret = g_steal_pointer(&vmx);
    return 0;
}

/* --- writing --- */

char *vmx_format(const struct vmx *vmx, size_t *ret_length)
{
    GString *out = g_string_sized_new(vmx->bytes + 64);

    if (vmx->bom) {
        g_string_append(out, BOM);
    }
    for (guint i = 0; i < vmx->lines->len; i++) {
        const struct line *line = vmx->lines->pdata[i];

        if (line->raw != NULL) {
            g_string_append(out, line->raw);
        } else {
            g_string_append_printf(out, "%s = \"", line->key);
            vmx_escape(out, line->value);
            g_string_append_printf(out, "\"%s", line->comment != NULL ? line->comment : "");
        }
        g_string_append(out, vmx->crlf ? "\r\n" : "\n");
    }
    if (ret_length != NULL) {
        *ret_length = out->len;
    }
    return g_string_free(out, FALSE);
}

/* --- access --- */

const char *vmx_get(const struct vmx *vmx, const char *key)
{
    const struct line *line = find(vmx, key);

    return line != NULL ? line->value : NULL;
}

unsigned int vmx_get_line(const struct vmx *vmx, const char *key)
{
    const struct line *line = find(vmx, key);

    return line != NULL ? line->number : 0;
}

int vmx_parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "t", "y"};
    static const char *const no[] = {"false", "no", "off", "0", "f", "n"};

    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        if (g_ascii_strcasecmp(text, yes[i]) == 0) {
            *ret = true;
            return 0;
        }
        if (g_ascii_strcasecmp(text, no[i]) == 0) {
            *ret = false;
            return 0;
        }
    }
    return -EINVAL;
}

int vmx_get_bool(const struct vmx *vmx, const char *key, bool *ret)
{
    const char *value = vmx_get(vmx, key);

    return value == NULL || value[0] == '\0' ? -ENOENT : vmx_parse_bool(value, ret);
}

int vmx_get_int(const struct vmx *vmx, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    const char *value = vmx_get(vmx, key);
    char *end;
    gint64 number;

    if (value == NULL || value[0] == '\0') {
        return -ENOENT;
    }
    if (value[0] != '-' && !g_ascii_isdigit(value[0])) {
        return -EINVAL; /* strtoll would skip spaces and take a '+' */
    }
    errno = 0;
    number = g_ascii_strtoll(value, &end, 10);
    if (*end != '\0' || end == value) {
        return -EINVAL;
    }
    if (errno == ERANGE || number < min || number > max) {
        return -ERANGE;
    }
    *ret = number;
    return 0;
}

static int change(struct vmx *vmx, struct line *line, const char *value)
{
    size_t bytes = vmx->bytes - strlen(line->value) + strlen(value);

    if (strcmp(line->value, value) == 0) {
        return 0; /* the line keeps its bytes */
    }
    if (bytes > VMX_MAX_BYTES / 2) {
        return -E2BIG;
    }
    g_free(line->value);
    line->value = g_strdup(value);
    g_clear_pointer(&line->raw, g_free);
    line->number = 0;
    vmx->bytes = bytes;
    return 0;
}

int vmx_set(struct vmx *vmx, const char *key, const char *value)
{
    struct line *line = find(vmx, key);
    const char *what;
    int r;

    if (!key_is_valid(key, strlen(key)) || !g_utf8_validate(key, -1, NULL) ||
        !g_utf8_validate(value, -1, NULL)) {
        return -EINVAL;
    }
    if (strlen(value) > VMX_MAX_VALUE_BYTES) {
        return -E2BIG;
    }
    if (line != NULL) {
        return change(vmx, line, value);
    }
    if (vmx->bytes + strlen(key) + strlen(value) > VMX_MAX_BYTES / 2) {
        return -E2BIG;
    }
    line = g_new0(struct line, 1);
    line->key = g_strdup(key);
    line->value = g_strdup(value);
    r = index_line(vmx, line, &what);
    if (r < 0) {
        line_free(line);
        return r;
    }
    g_ptr_array_add(vmx->lines, line);
    return 0;
}

int vmx_set_bool(struct vmx *vmx, const char *key, bool value)
{
    return vmx_set(vmx, key, value ? "TRUE" : "FALSE");
}

int vmx_set_int(struct vmx *vmx, const char *key, int64_t value)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, value);
    return vmx_set(vmx, key, text);
}

/* Takes the line at i out of the index and the list. */
static void remove_at(struct vmx *vmx, guint i)
{
    const struct line *line = vmx->lines->pdata[i];
    g_autofree char *folded = g_ascii_strdown(line->key, -1);

    vmx->bytes -= strlen(line->key) + strlen(line->value);
    g_hash_table_remove(vmx->index, folded);
    g_ptr_array_remove_index(vmx->lines, i);
}

bool vmx_remove(struct vmx *vmx, const char *key)
{
    struct line *line = find(vmx, key);
    guint i;

    if (line == NULL || !g_ptr_array_find(vmx->lines, line, &i)) {
        return false;
    }
    remove_at(vmx, i);
    return true;
}

void vmx_remove_prefix(struct vmx *vmx, const char *prefix)
{
    size_t length = strlen(prefix);

    for (guint i = vmx->lines->len; i-- > 0;) {
        const struct line *line = vmx->lines->pdata[i];

        if (line->key != NULL && g_ascii_strncasecmp(line->key, prefix, length) == 0) {
            remove_at(vmx, i);
        }
    }
}

bool vmx_next(const struct vmx *vmx, size_t *i, const char **ret_key, const char **ret_value)
{
    while (*i < vmx->lines->len) {
        const struct line *line = vmx->lines->pdata[(*i)++];

        if (line->key != NULL) {
            *ret_key = line->key;
            *ret_value = line->value;
            return true;
        }
    }
    return false;
}

/* --- UUIDs --- */

/* The 32 hex digits of a UUID in lower case, whatever stands between them. */
static int uuid_digits(const char *text, char ret[33])
{
    size_t n = 0;

    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '-') {
            continue;
        }
        if (!g_ascii_isxdigit(*text) || n == 32) {
            return -EINVAL;
        }
        ret[n++] = g_ascii_tolower(*text);
    }
    ret[n] = '\0';
    return n == 32 ? 0 : -EINVAL;
}

int vmx_uuid_to_api(const char *text, char ret[37])
{
    char d[33];

    if (uuid_digits(text, d) < 0) {
        return -EINVAL;
    }
    g_snprintf(ret, 37, "%.8s-%.4s-%.4s-%.4s-%s", d, d + 8, d + 12, d + 16, d + 20);
    return 0;
}

int vmx_uuid_from_api(const char *text, char ret[48])
{
    char d[33];
    char *out = ret;

    if (uuid_digits(text, d) < 0) {
        return -EINVAL;
    }
    for (int i = 0; i < 16; i++) {
        *out++ = d[2 * i];
        *out++ = d[2 * i + 1];
        *out++ = i == 15 ? '\0' : i == 7 ? '-' : ' ';
    }
    return 0;
}
