// SPDX-License-Identifier: Apache-2.0
/*
 * What both bindings write alike: times, numbers, names of types.
 */
#include "vim/writer.h"

#include <math.h>
#include <string.h>

const struct vim_type *vim_writer_type(const struct vim_writer *w, const struct vim_type *type)
{
    while (type->since > w->version && type->base != NULL) {
        type = type->base;
    }
    return type;
}

static char *two_digits(char *at, unsigned number)
{
    at[0] = (char)('0' + number / 10 % 10);
    at[1] = (char)('0' + number % 10);
    return at + 2;
}

void vim_write_date_time(struct buffer *out, int64_t time_us)
{
    int64_t seconds = time_us / 1000000;
    int64_t us = time_us % 1000000;
    if (us < 0) {
        us += 1000000;
        seconds--;
    }
    int64_t days = seconds / 86400;
    int64_t in_day = seconds % 86400;
    if (in_day < 0) {
        in_day += 86400;
        days--;
    }
    /* Days since 1970 to a date of the proleptic Gregorian calendar, in eras of 400 years from March. */
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned day_of_era = (unsigned)(z - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    unsigned year = (unsigned)((int64_t)year_of_era + era * 400 + (month <= 2 ? 1 : 0));

    char *at = buffer_reserve(out, 32);
    char *start = at;
    at = two_digits(at, year / 100);
    at = two_digits(at, year);
    *at++ = '-';
    at = two_digits(at, month);
    *at++ = '-';
    at = two_digits(at, day);
    *at++ = 'T';
    at = two_digits(at, (unsigned)(in_day / 3600));
    *at++ = ':';
    at = two_digits(at, (unsigned)(in_day / 60 % 60));
    *at++ = ':';
    at = two_digits(at, (unsigned)(in_day % 60));
    *at++ = '.';
    at = two_digits(at, (unsigned)(us / 10000));
    at = two_digits(at, (unsigned)(us / 100));
    at = two_digits(at, (unsigned)us);
    *at++ = 'Z';
    buffer_commit(out, (size_t)(at - start));
}

static char *put_integer(char *at, int64_t number)
{
    char digits[20];
    unsigned n = 0;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        *at++ = '-';
    }
    while (n > 0) {
        *at++ = digits[--n];
    }
    return at;
}

static char *put_double(char *at, double number, bool single)
{
    if (!isfinite(number)) {
        number = 0; /* neither binding has a portable spelling for it */
    }
    g_ascii_formatd(at, VIM_NUMBER_BYTES, single ? "%.9g" : "%.17g", number);
    return at + strlen(at);
}

char *vim_put_number(char *to, const struct vim_type *type, const void *at)
{
    switch ((enum vim_kind)type->kind) {
    case VIM_BOOLEAN: {
        bool value = *(const bool *)at;
        memcpy(to, value ? "true\0" : "false", 5);
        return to + (value ? 4 : 5);
    }
    case VIM_BYTE:
        return put_integer(to, *(const int8_t *)at);
    case VIM_SHORT:
        return put_integer(to, *(const int16_t *)at);
    case VIM_INT:
        return put_integer(to, *(const int32_t *)at);
    case VIM_LONG:
        return put_integer(to, *(const int64_t *)at);
    case VIM_FLOAT:
        return put_double(to, (double)*(const float *)at, true);
    case VIM_DOUBLE:
        return put_double(to, *(const double *)at, false);
    case VIM_STRING:
    case VIM_DATE_TIME:
    case VIM_BINARY:
    case VIM_ENUM:
    case VIM_REF:
    case VIM_DATA:
    case VIM_ANY:
        break;
    }
    g_assert_not_reached();
}

bool vim_writable_any(const struct vim_writer *w, const struct vim_type *type, bool array, const void *value)
{
    return vim_writer_type(w, type)->since <= w->version && (array || vim_writable(w, type, value));
}

void vim_write_array_type_name(struct buffer *out, const struct vim_type *type)
{
    buffer_append_literal(out, "ArrayOf");
    if (type->kind == VIM_REF) {
        buffer_append_literal(out, "ManagedObjectReference");
    } else if (type->kind == VIM_ANY) {
        buffer_append_literal(out, "AnyType");
    } else if (type->kind == VIM_BINARY) {
        buffer_append_literal(out, "Base64Binary");
    } else {
        buffer_append_char(out, g_ascii_toupper(type->name[0]));
        buffer_append_string(out, type->name + 1);
    }
}
