// SPDX-License-Identifier: Apache-2.0
/*
 * A request as both bindings hand it over: which method, on which object, with which arguments.
 */
#pragma once

#include "vim/method.h"

struct vim_request {
    const struct vim_method *method;
    struct vim_ref target; /* owned */
    void *args;            /* a struct <method>_args, owned */
    vim_version version;   /* what the client understands */
};

void vim_request_clear(struct vim_request *request);
/* The newest version of ours that is not newer than what the client names ("6.7.3", "8.0.1.0"); the
 * oldest for what cannot be read. */
vim_version vim_version_from_string(const char *name);
