// SPDX-License-Identifier: Apache-2.0
/*
 * Text to scalars, names to types, and what must be there. Used by the SOAP and the JSON reader.
 */
#include "vim/parse.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "vim/faults.h"
#include "vim/request.h"

static bool parse_integer(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (!g_ascii_isdigit(digits[0])) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    int64_t number = g_ascii_strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < min || number > max) {
        return false;
    }
    *ret = number;
    return true;
}

static bool parse_boolean(const char *text, bool *ret)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0) {
        *ret = true;
        return true;
    }
    if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0) {
        *ret = false;
        return true;
    }
    return false;
}

/* The years 1 to 9999, UTC: what vim_write_date_time can spell. */
static const int64_t first_second = INT64_C(-62135596800);
static const int64_t last_second = INT64_C(253402300799);

static bool parse_date_time(const char *text, int64_t *ret)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, utc);
    if (time == NULL) {
        return false;
    }
    int64_t seconds = g_date_time_to_unix(time);
    if (seconds < first_second || seconds > last_second) { /* which the zone can bring about */
        return false;
    }
    int64_t time_us = seconds * 1000000 + g_date_time_get_microsecond(time);
    *ret = time_us != 0 ? time_us : 1; /* 0 is how a time that is unset lies in memory */
    return true;
}

static bool parse_binary(const char *text, GBytes **ret)
{
    if (text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n ")] !=
        '\0') {
        return false;
    }
    gsize length;
    guchar *data = g_base64_decode(text, &length);
    *ret = g_bytes_new_take(data, length);
    return true;
}

static bool parse_double(const char *text, double *ret)
{
    char *end = NULL;
    double number = g_ascii_strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number)) { /* an answer could not spell infinity */
        return false;
    }
    *ret = number;
    return true;
}

bool vim_parse_text(const struct vim_type *type, const char *text, void *at)
{
    int64_t number;
    double real;
    switch ((enum vim_kind)type->kind) {
    case VIM_BOOLEAN:
        return parse_boolean(text, at);
    case VIM_BYTE:
        return parse_integer(text, INT8_MIN, INT8_MAX, &number) && (*(int8_t *)at = (int8_t)number, true);
    case VIM_SHORT:
        return parse_integer(text, INT16_MIN, INT16_MAX, &number) && (*(int16_t *)at = (int16_t)number, true);
    case VIM_INT:
        return parse_integer(text, INT32_MIN, INT32_MAX, &number) && (*(int32_t *)at = (int32_t)number, true);
    case VIM_LONG:
        return parse_integer(text, INT64_MIN, INT64_MAX, at);
    case VIM_FLOAT:
        return parse_double(text, &real) && fabs(real) <= FLT_MAX && (*(float *)at = (float)real, true);
    case VIM_DOUBLE:
        return parse_double(text, at);
    case VIM_STRING:
        *(char **)at = g_strdup(text);
        return true;
    case VIM_DATE_TIME:
        return parse_date_time(text, at);
    case VIM_BINARY:
        return parse_binary(text, at);
    case VIM_ENUM: {
        int value = vim_enum_by_name(type, text);
        *(int *)at = value;
        return value != 0;
    }
    case VIM_REF:
    case VIM_DATA:
    case VIM_ANY:
        return false;
    }
    g_assert_not_reached();
}

struct vim_fault *vim_parse_ref(const struct vim_type *declared, const char *type_name, const char *id,
                                struct vim_ref *ret)
{
    const struct vim_type *type = type_name != NULL ? vim_type_by_name(type_name) : declared;
    if (type == NULL || type->kind != VIM_REF) {
        return fault_invalid_type(type_name, "\"%s\" is not a managed object type of this server", type_name);
    }
    if (vim_type_is(declared, type)) {
        type = declared; /* a base type was named; who gets the reference relies on the declared one */
    } else if (!vim_type_is(type, declared)) {
        return fault_invalid_type(type_name, "a %s is not a %s", type_name, declared->name);
    }
    if (id[0] == '\0') {
        return fault_invalid_request("a reference to %s has no id", type->name);
    }
    *ret = vim_ref_make(type, id);
    return NULL;
}

struct vim_fault *vim_parse_type(const struct vim_type *declared, const char *name, const char *member,
                                 const struct vim_type **ret)
{
    const struct vim_type *type = declared;
    if (name != NULL) {
        type = strcmp(name, "base64Binary") == 0 ? &vim_type_binary : vim_type_by_name(name);
        if (type != NULL && declared->kind == VIM_REF && strcmp(name, "ManagedObjectReference") == 0) {
            type = declared;
        }
        bool fits = type != NULL && type->kind != VIM_ANY &&
                    (declared->kind == VIM_ANY || type == declared ||
                     (declared->kind == VIM_DATA && vim_type_is(type, declared)));
        if (!fits) {
            return fault_invalid_type(member, "\"%s\" is not a type that \"%s\" (%s) may hold", name, member,
                                      declared->name);
        }
    } else if (declared->kind == VIM_ANY) {
        return fault_invalid_type(member, "\"%s\" may hold any type, so its type must be named", member);
    }
    *ret = type;
    return NULL;
}

const struct vim_type *vim_parse_array_type(const char *name)
{
    if (!g_str_has_prefix(name, "ArrayOf")) {
        return NULL;
    }
    name += strlen("ArrayOf");
    g_autofree char *lower = g_strdup(name);
    lower[0] = g_ascii_tolower(lower[0]);
    if (strcmp(lower, "anyType") == 0) {
        return &vim_type_any;
    }
    if (strcmp(lower, "base64Binary") == 0) {
        return &vim_type_binary;
    }
    const struct vim_type *type = vim_type_by_name(name);
    if (type == NULL) {
        type = vim_type_by_name(lower);
    }
    /* References know their types themselves, and their array has one name only, whatever they are of. */
    bool of_references =
        strcmp(name, "ManagedObjectReference") == 0 || (type != NULL && type->kind == VIM_REF);
    return of_references ? vim_type_by_name("ManagedObject") : type;
}

struct vim_fault *vim_check_required(const struct vim_type *type, const struct vim_seen *seen,
                                     vim_version version)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        bool given = seen->bits[i / 64] >> (i % 64) & 1;
        /* An empty array and a missing one look the same in XML. */
        if (!given && !(field->flags & (VIM_OPTIONAL | VIM_ARRAY)) && field->since <= version) {
            return fault_invalid_argument(field->name, "required member \"%s\" of %s is missing", field->name,
                                          type->name);
        }
    }
    return NULL;
}

void vim_request_clear(struct vim_request *request)
{
    vim_ref_clear(&request->target);
    if (request->args != NULL) {
        vim_free(request->args);
    }
    *request = (struct vim_request){0};
}

vim_version vim_version_from_string(const char *name)
{
    vim_version best = 0;
    double wanted = name != NULL ? g_ascii_strtod(name, NULL) : 0; /* "6.7.3" reads as 6.7 */
    for (vim_version v = 0; v <= vim_newest_version; v++) {
        if (g_ascii_strtod(vim_versions[v].name, NULL) <= wanted) {
            best = v;
        }
    }
    return best;
}
