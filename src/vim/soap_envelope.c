// SPDX-License-Identifier: Apache-2.0
/*
 * Envelopes of answers and faults (SOAP 1.1, section 4.4; the detail element is named after the fault).
 */
#include "vim/soap.h"
#include "vim/types.h"
#include "vim/writer.h"

#define ENVELOPE_BEGIN                                                              \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                  \
    "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"" \
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""                               \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>"
#define ENVELOPE_END "</soapenv:Body></soapenv:Envelope>"

void soap_begin_response(struct buffer *out, const struct vim_method *method)
{
    buffer_append_literal(out, ENVELOPE_BEGIN "<");
    buffer_append_string(out, method->name);
    buffer_append_literal(out, "Response xmlns=\"urn:vim25\">");
}

void soap_end_response(struct buffer *out, const struct vim_method *method)
{
    buffer_append_literal(out, "</");
    buffer_append_string(out, method->name);
    buffer_append_literal(out, "Response>" ENVELOPE_END);
}

void soap_write_fault(struct buffer *out, const struct vim_fault *fault, vim_version version)
{
    struct vim_writer w = {.ops = &vim_soap_writer, .out = out, .version = version};
    const struct vim_type *type = vim_writer_type(&w, vim_fault_type(fault));
    buffer_append_literal(out, ENVELOPE_BEGIN
                          "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>");
    soap_escape(out, fault->message);
    buffer_append_literal(out, "</faultstring><detail><");
    buffer_append_string(out, type->name);
    buffer_append_literal(out, "Fault xmlns=\"urn:vim25\" xsi:type=\"");
    buffer_append_string(out, type->name);
    buffer_append_literal(out, "\">");
    for (unsigned i = 0; i < type->n_fields; i++) {
        vim_write_member(&w, &type->fields[i], (const char *)fault->fault + type->fields[i].offset);
    }
    buffer_append_literal(out, "</");
    buffer_append_string(out, type->name);
    buffer_append_literal(out, "Fault></detail></soapenv:Fault>" ENVELOPE_END);
}
