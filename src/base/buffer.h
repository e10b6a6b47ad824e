// SPDX-License-Identifier: Apache-2.0
/*
 * A byte buffer that grows. The SOAP and JSON writers append to it at hundreds of megabytes a second, so
 * the appends are inline, and the common case is one comparison and one copy.
 *
 * An all-zero struct (BUFFER_INIT) is an empty buffer that owns nothing. There is always room for one
 * byte after the contents, so that buffer_string() and buffer_take() can end them with a NUL without
 * moving them. Running out of memory aborts, as everywhere with GLib. Not safe to share between threads.
 */
#pragma once

#include <glib.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

struct buffer {
    char *data;      /* owned, from g_malloc; NULL until the first append */
    size_t length;   /* bytes of contents */
    size_t capacity; /* bytes allocated; greater than length unless data is NULL */
};

#define BUFFER_INIT \
    {               \
        NULL, 0, 0  \
    }

/* Declares a local buffer that frees itself: BUFFER_AUTO(out); */
#define BUFFER_AUTO(name) __attribute__((cleanup(buffer_free))) struct buffer name = BUFFER_INIT

/* Makes room for `more` bytes and the ending NUL. The slow path of buffer_reserve(); not called directly. */
void buffer_grow(struct buffer *buffer, size_t more);

/* Room for `more` bytes at the returned place; buffer_commit() says how many of them were written. */
static inline char *buffer_reserve(struct buffer *buffer, size_t more)
{
    if (G_UNLIKELY(buffer->capacity - buffer->length <= more)) {
        buffer_grow(buffer, more);
    }
    return buffer->data + buffer->length;
}

/* Adds `written` bytes, at most as many as were reserved, to the contents. */
static inline void buffer_commit(struct buffer *buffer, size_t written)
{
    buffer->length += written;
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    if (length > 0) { /* data may be NULL then, which memcpy does not allow */
        memcpy(buffer_reserve(buffer, length), data, length);
        buffer->length += length;
    }
}

static inline void buffer_append_char(struct buffer *buffer, char c)
{
    *buffer_reserve(buffer, 1) = c;
    buffer->length++;
}

static inline void buffer_append_string(struct buffer *buffer, const char *string)
{
    buffer_append(buffer, string, strlen(string));
}

/* Appends a string literal; its length is known to the compiler, so the copy becomes a few stores. */
#define buffer_append_literal(buffer, literal) buffer_append((buffer), "" literal "", sizeof(literal) - 1)

void buffer_printf(struct buffer *buffer, const char *format, ...) G_GNUC_PRINTF(2, 3);
void buffer_vprintf(struct buffer *buffer, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

/* The contents, ended by a NUL that is not part of them; valid until the buffer changes. Never NULL. */
const char *buffer_string(struct buffer *buffer);

/*
 * Takes the contents, ended by a NUL, and leaves the buffer empty. Never NULL; to be freed with g_free.
 * ret_length (may be NULL) is set to the number of bytes without the NUL.
 */
char *buffer_take(struct buffer *buffer, size_t *ret_length) G_GNUC_WARN_UNUSED_RESULT;

/* Forgets the contents beyond `length`, which is at most the present one; keeps the memory for reuse. */
static inline void buffer_truncate(struct buffer *buffer, size_t length)
{
    buffer->length = length;
}

/* Frees the contents and leaves the buffer empty and usable. */
void buffer_free(struct buffer *buffer);
