// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as SOAP requests: refused with a fault, or read into arguments that are the same again after
 * they have been written. What can be read is then called on a server in memory (fuzz_server.h), whose
 * answers are well-formed.
 *
 * An input is a SOAPAction, a line end and an envelope; "----" on a line of its own begins the next request.
 */
#include <expat.h>

#include "fuzz_server.h"
#include "vim/parse.h"
#include "vim/soap.h"

static void check_xml(const char *body, size_t length)
{
    XML_Parser parser = XML_ParserCreateNS(NULL, '|');
    if (XML_Parse(parser, body, (int)length, XML_TRUE) != XML_STATUS_OK) {
        g_error("%s: %.*s", XML_ErrorString(XML_GetErrorCode(parser)), (int)length, body);
    }
    XML_ParserFree(parser);
}

static void write_request(const struct vim_request *request, struct buffer *out)
{
    struct vim_writer w = {.ops = &vim_soap_writer, .out = out, .version = vim_newest_version};
    const struct vim_type *type = request->method->args;

    buffer_printf(out,
                  "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\""
                  " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""
                  " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><Body><%s><_this type=\"%s\">",
                  request->method->name, request->target.type->name);
    soap_escape(out, request->target.id);
    buffer_append_literal(out, "</_this>");
    for (unsigned i = 0; i < type->n_fields; i++) {
        vim_write_member(&w, &type->fields[i], vim_field_at(&type->fields[i], request->args));
    }
    buffer_printf(out, "</%s></Body></Envelope>", request->method->name);
}

static void check_round_trip(const struct vim_request *request)
{
    struct vim_request again = {0};
    BUFFER_AUTO(text);
    BUFFER_AUTO(text_again);
    g_autofree char *action = g_strdup_printf("urn:vim25/%s", vim_versions[request->version].name);

    write_request(request, &text);
    struct vim_fault *fault = soap_parse_request(text.data, text.length, action, &again);
    if (fault != NULL) {
        g_error("%s: %s", fault->message, buffer_string(&text));
    }
    write_request(&again, &text_again);
    g_assert_cmpstr(buffer_string(&text), ==, buffer_string(&text_again));
    g_assert_true(again.method == request->method);
    g_assert_true(vim_ref_equal(&again.target, &request->target));
    /* An older client need not give what is newer; then a required text that is unset comes back empty. */
    g_assert_true(request->version < vim_newest_version || vim_equal(request->args, again.args));
    vim_request_clear(&again);
}

/* Whether the request can be read. */
static bool check_reader(const struct fuzz_part *part)
{
    struct vim_request request = {.version = 77};
    struct vim_fault *fault = soap_parse_request(part->body, part->length, part->head, &request);

    if (fault != NULL) {
        BUFFER_AUTO(answer);
        g_assert_cmpstr(fault->message, !=, "");
        g_assert_cmpint(request.version, ==, 77);
        g_assert_true(request.method == NULL && request.args == NULL && request.target.id == NULL);
        soap_write_fault(&answer, fault, vim_newest_version);
        check_xml(answer.data, answer.length);
        vim_fault_free(fault);
        return false;
    }
    check_round_trip(&request);
    vim_request_clear(&request);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    size_t left = size;
    struct fuzz_part part;
    bool readable = false;

    while (fuzz_next(&at, &left, &part)) {
        readable |= check_reader(&part);
        g_free(part.head);
    }
    if (!readable) {
        return 0;
    }
    struct fuzz_server fuzz;
    fuzz_server_open(&fuzz, check_xml);
    at = (const char *)data;
    left = size;
    while (fuzz_next(&at, &left, &part)) {
        fuzz_send(&fuzz, "POST", "/sdk", "text/xml; charset=utf-8", part.head, part.body, part.length);
        g_free(part.head);
    }
    fuzz_server_close(&fuzz);
    return 0;
}
