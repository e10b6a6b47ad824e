// SPDX-License-Identifier: Apache-2.0
/* Made from api/ by tools/schema; not to be edited. */

#pragma once

#include "vim/fault.h"
#include "vim/types.h"

/* Each makes a fault; `format` is the sentence that a person reads. Strings and references
 * are copied. Nested objects and arrays are left unset for the caller to fill. */
/* The root of faults. */
struct vim_fault *fault_method_fault(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_WARN_UNUSED_RESULT;
/* Moved too far. */
struct vim_fault *fault_moved_too_far(int32_t steps, int32_t limit, enum Way way, struct vim_ref thing, const char *format, ...) G_GNUC_PRINTF(5, 6) G_GNUC_WARN_UNUSED_RESULT;
/* The root of faults that are not declared. */
struct vim_fault *fault_runtime_fault(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_WARN_UNUSED_RESULT;
