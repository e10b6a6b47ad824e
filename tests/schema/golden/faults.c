// SPDX-License-Identifier: Apache-2.0
/* Made from api/ by tools/schema; not to be edited. */

#include "vim/faults.h"

struct vim_fault *fault_method_fault(const char *format, ...)
{
    struct MethodFault *fault = MethodFault_new();
    va_list args;
    va_start(args, format);
    struct vim_fault *made = vim_fault_new((struct MethodFault *)fault, format, args);
    va_end(args);
    return made;
}

struct vim_fault *fault_moved_too_far(int32_t steps, int32_t limit, enum Way way, struct vim_ref thing, const char *format, ...)
{
    struct MovedTooFar *fault = MovedTooFar_new();
    fault->steps = steps;
    fault->limit.set = true;
    fault->limit.value = limit;
    fault->way = way;
    fault->thing = vim_ref_copy(&thing);
    va_list args;
    va_start(args, format);
    struct vim_fault *made = vim_fault_new((struct MethodFault *)fault, format, args);
    va_end(args);
    return made;
}

struct vim_fault *fault_runtime_fault(const char *format, ...)
{
    struct RuntimeFault *fault = RuntimeFault_new();
    va_list args;
    va_start(args, format);
    struct vim_fault *made = vim_fault_new((struct MethodFault *)fault, format, args);
    va_end(args);
    return made;
}

