// SPDX-License-Identifier: Apache-2.0
/*
 * The parts of the growable buffer that are not worth inlining: growth, formatted text, hand-over.
 */
#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>

enum {
    BUFFER_FIRST_CAPACITY = 256, /* fits most small answers without a second allocation */
};

void buffer_grow(struct buffer *buffer, size_t more)
{
    size_t capacity = MAX(buffer->capacity, (size_t)BUFFER_FIRST_CAPACITY);

    if (more >= (size_t)PTRDIFF_MAX - buffer->length) {
        g_error("buffer: %zu more bytes after %zu do not fit in memory", more, buffer->length);
    }
    while (capacity - buffer->length <= more) {
        /* Doubling makes n appends cost O(n). It cannot wrap: the sum above is below PTRDIFF_MAX. */
        capacity *= 2;
    }
    buffer->data = g_realloc(buffer->data, capacity);
    buffer->capacity = capacity;
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
{
    va_list again;
    size_t room = buffer->capacity - buffer->length;
    int length;

    va_copy(again, args);
    length = vsnprintf(buffer->data != NULL ? buffer->data + buffer->length : NULL, room, format, args);
    if (length < 0) {
        g_error("buffer: bad format '%s'", format);
    }
    if ((size_t)length >= room) {
        char *end = buffer_reserve(buffer, (size_t)length);

        vsnprintf(end, (size_t)length + 1, format, again);
    }
    va_end(again);
    buffer_commit(buffer, (size_t)length);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_vprintf(buffer, format, args);
    va_end(args);
}

const char *buffer_string(struct buffer *buffer)
{
    *buffer_reserve(buffer, 0) = '\0';
    return buffer->data;
}

char *buffer_take(struct buffer *buffer, size_t *ret_length)
{
    char *data;

    buffer_string(buffer);
    data = buffer->data;
    if (ret_length != NULL) {
        *ret_length = buffer->length;
    }
    *buffer = (struct buffer)BUFFER_INIT;
    return data;
}

void buffer_free(struct buffer *buffer)
{
    g_free(buffer->data);
    *buffer = (struct buffer)BUFFER_INIT;
}
