// SPDX-License-Identifier: Apache-2.0
/*
 * Errors of the client; see error.h.
 */
#include "cli/error.h"

#include <stdarg.h>

int cli_error_set(struct cli_error *error, enum cli_exit code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *message = g_strdup_vprintf(format, args); /* the arguments may point into the old error */
    va_end(args);
    cli_error_clear(error);
    error->code = code;
    error->message = message;
    return code;
}

static enum cli_exit code_of_fault(const char *fault)
{
    static const char *const not_found[] = {"NotFound", "ManagedObjectNotFound", "FileNotFound", NULL};
    if (g_strcmp0(fault, "NotAuthenticated") == 0) {
        return CLI_NOT_LOGGED_IN;
    }
    return fault != NULL && g_strv_contains(not_found, fault) ? CLI_NOT_FOUND : CLI_FAILED;
}

int cli_error_set_fault(struct cli_error *error, const char *fault, const char *message)
{
    const char *text = message != NULL && *message != '\0' ? message : fault;
    int code = cli_error_set(error, code_of_fault(fault), "%s", text != NULL ? text : "unknown error");
    error->fault = g_strdup(fault);
    return code;
}

gboolean cli_error_is(const struct cli_error *error, const char *fault)
{
    return g_strcmp0(error->fault, fault) == 0;
}

void cli_error_clear(struct cli_error *error)
{
    g_free(error->fault);
    g_free(error->message);
    *error = (struct cli_error){0};
}
