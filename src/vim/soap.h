// SPDX-License-Identifier: Apache-2.0
/*
 * The SOAP binding: reads requests into typed arguments and writes answers, by descriptors.
 * The rules are those of the VI API's WSDL and of SOAP 1.1. All functions may be called from any thread.
 */
#pragma once

#include "base/buffer.h"
#include "vim/fault.h"
#include "vim/request.h"
#include "vim/writer.h"

/*
 * Reads an envelope. Malformed XML, DOCTYPE, too deep or too many elements, unknown elements and types,
 * missing members: a fault (InvalidRequest, InvalidType, InvalidArgument, MethodNotFound), and *ret is as
 * it was. soap_action may be NULL; it carries the client's version ("urn:vim25/6.5").
 */
struct vim_fault *soap_parse_request(const char *body, size_t length, const char *soap_action,
                                     struct vim_request *ret);

/* The answer's envelope up to where its returnval goes, and from there to the end. */
void soap_begin_response(struct buffer *out, const struct vim_method *method);
void soap_end_response(struct buffer *out, const struct vim_method *method);
/* A whole answer that is a fault; goes with HTTP status 500. */
void soap_write_fault(struct buffer *out, const struct vim_fault *fault, vim_version version);

/* Appends text with XML's special characters escaped. */
void soap_escape(struct buffer *out, const char *text);
