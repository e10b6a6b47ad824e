// SPDX-License-Identifier: Apache-2.0
/*
 * Faults as values. See fault.h; the typed constructors are generated.
 */
#include "vim/fault.h"

#include <string.h>

#include "vim/types.h"

enum {
    MAX_MESSAGE_BYTES = 4096,
};

/* Messages quote what clients send, which is cut here when it is long; and a cut, ours or that of a "%.100s", may
 * go through a character, which neither XML nor JSON can hold. */
static char *presentable(char *message)
{
    if (strnlen(message, MAX_MESSAGE_BYTES + 1) > MAX_MESSAGE_BYTES) {
        strcpy(message + MAX_MESSAGE_BYTES - strlen("..."), "...");
    }
    if (g_utf8_validate(message, -1, NULL)) {
        return message;
    }
    char *valid = g_utf8_make_valid(message, -1);
    g_free(message);
    return valid;
}

struct vim_fault *vim_fault_new(struct MethodFault *fault, const char *format, va_list args)
{
    struct vim_fault *made = g_new0(struct vim_fault, 1);
    made->fault = fault;
    made->message = presentable(g_strdup_vprintf(format, args));
    return made;
}

void vim_fault_free(struct vim_fault *fault)
{
    if (fault != NULL) {
        vim_free(fault->fault);
        g_free(fault->message);
        g_free(fault);
    }
}

struct vim_fault *vim_fault_copy(const struct vim_fault *fault)
{
    struct vim_fault *copy = g_new0(struct vim_fault, 1);
    copy->fault = vim_copy(fault->fault);
    copy->message = g_strdup(fault->message);
    return copy;
}

const struct vim_type *vim_fault_type(const struct vim_fault *fault)
{
    return fault->fault->vim_type;
}

struct LocalizedMethodFault *vim_fault_localized(const struct vim_fault *fault)
{
    struct LocalizedMethodFault *localized = LocalizedMethodFault_new();
    localized->fault = vim_copy(fault->fault);
    localized->localizedMessage = g_strdup(fault->message);
    return localized;
}
