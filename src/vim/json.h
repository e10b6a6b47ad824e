// SPDX-License-Identifier: Apache-2.0
/*
 * The VI/JSON binding: POST /sdk/vim25/<release>/<Type>/<moid>/<method> with the parameters as one object.
 * Also the form in which this program keeps data objects in files. Any thread.
 */
#pragma once

#include "base/buffer.h"
#include "vim/fault.h"
#include "vim/request.h"
#include "vim/writer.h"

/*
 * Reads the parameters of a call. `release`, `type`, `id` and `method` come from the path, or from a GET of
 * a property (vim_json_get). An empty body is an object without members. Faults as soap_parse_request.
 */
struct vim_fault *json_parse_request(const char *body, size_t length, const char *release, const char *type,
                                     const char *id, const char *method, struct vim_request *ret);

/* The method's result as the whole body; nothing when it has none. */
void json_write_result(struct vim_writer *w, const struct vim_method *method, const void *result);
void json_write_fault(struct buffer *out, const struct vim_fault *fault, vim_version version);

/* An object as JSON, and back: what is kept in files. `type` is what it must be or extend. */
void json_write_object(struct buffer *out, const void *object);
struct vim_fault *json_read_object(const char *text, size_t length, const struct vim_type *type, void **ret);

/* Appends a quoted and escaped JSON string. */
void json_write_string(struct buffer *out, const char *text);
