// SPDX-License-Identifier: Apache-2.0
/*
 * The constant files under /sdk: which versions of the API are served, and its WSDL.
 */
#pragma once

#include <stdbool.h>

struct http_request;

/* Answers a GET of such a file; false when the path names none. Any thread. */
bool vim_server_file(struct http_request *request, const char *path);

/* The generated WSDL (from tools/embed.py): types and methods, and the service with a placeholder for its
 * address. */
extern const char vim_wsdl[];
extern const char vim_service_wsdl[];
