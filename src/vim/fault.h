// SPDX-License-Identifier: Apache-2.0
/*
 * A fault: what an operation returns when it did not do what was asked. NULL is success.
 * The typed constructors are generated ("vim/faults.h"). Who stops a fault frees it, and logs it once.
 */
#pragma once

#include <glib.h>
#include <stdarg.h>

struct LocalizedMethodFault;
struct MethodFault;
struct vim_type;

struct vim_fault {
    struct MethodFault *fault; /* the typed fault, owned; its dynamic type says which */
    char *message;             /* a sentence for people, owned */
};

/* Takes ownership of `fault`. The message is made valid UTF-8 of some kilobytes at most. */
struct vim_fault *vim_fault_new(struct MethodFault *fault, const char *format, va_list args)
    G_GNUC_PRINTF(2, 0) G_GNUC_WARN_UNUSED_RESULT;
void vim_fault_free(struct vim_fault *fault);
struct vim_fault *vim_fault_copy(const struct vim_fault *fault) G_GNUC_WARN_UNUSED_RESULT;
const struct vim_type *vim_fault_type(const struct vim_fault *fault);
/* As it stands in TaskInfo.error and the like; the caller owns it. */
struct LocalizedMethodFault *vim_fault_localized(const struct vim_fault *fault);

/* For a local that frees itself: VIM_FAULT_AUTO fault = NULL; */
static inline void vim_fault_cleanup(struct vim_fault **fault)
{
    vim_fault_free(*fault);
}
#define VIM_FAULT_AUTO __attribute__((cleanup(vim_fault_cleanup))) struct vim_fault *
