# SPDX-License-Identifier: Apache-2.0
"""Writes the WSDL that SOAP clients start from, in two files as real servers have them: vim.wsdl
with the types, messages and binding of urn:vim25, and vimService.wsdl, which imports it and adds
the service of urn:vim25Service. The address in the latter is ADDRESS; the server puts its own in
its place as it answers. Style is document/literal: each message is one element, named like the
method."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from .model import SCALARS, Member, Method, Schema, Type, TypeRef

ADDRESS = "https://localhost/sdk/vimService"

_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- SPDX-License-Identifier: Apache-2.0 -->\n'
_XSD_NAMES = {"binary": "base64Binary", "any": "anyType"}


def _item_name(name: str, kind: str) -> str:
    """The element name of an item in an ArrayOf."""
    if kind == "managed":
        return "ManagedObjectReference"
    return "anyType" if name == "any" else name


class Emitter:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.out: list[str] = []
        self.depth = 0

    # ---- XML -------------------------------------------------------------------------------------

    def start(self, tag: str, **attributes: str) -> None:
        self._tag(tag, attributes, ">")
        self.depth += 1

    def end(self, tag: str) -> None:
        self.depth -= 1
        self.out.append(f"{'  ' * self.depth}</{tag}>")

    def empty(self, tag: str, **attributes: str) -> None:
        self._tag(tag, attributes, "/>")

    def _tag(self, tag: str, attributes: dict[str, str], close: str) -> None:
        text = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
        self.out.append(f"{'  ' * self.depth}<{tag}{text}{close}")

    # ---- types -----------------------------------------------------------------------------------

    def xml_type(self, name: str) -> str:
        if name in SCALARS:
            return f"xsd:{_XSD_NAMES.get(name, name)}"
        if self.schema.types[name].kind == "managed":
            return "vim25:ManagedObjectReference"
        return f"vim25:{name}"

    def element(self, name: str, ref: TypeRef) -> None:
        occurs: dict[str, str] = {}
        if ref.optional:
            occurs["minOccurs"] = "0"
        if ref.array:
            occurs["maxOccurs"] = "unbounded"
        self.empty("element", name=name, type=self.xml_type(ref.name), **occurs)

    def sequence(self, members: list[Member]) -> None:
        if not members:
            self.empty("sequence")
            return
        self.start("sequence")
        for member in members:
            self.element(member.name, member.type)
        self.end("sequence")

    def data(self, t: Type) -> None:
        """A data object or a fault, whose root stands alone."""
        base = self.schema.parent(t)
        self.start("complexType", name=t.name)
        if base:
            self.start("complexContent")
            self.start("extension", base=f"vim25:{base}")
            self.sequence(t.members)
            self.end("extension")
            self.end("complexContent")
        else:
            self.sequence(t.members)
        self.end("complexType")

    def enum(self, t: Type) -> None:
        self.start("simpleType", name=t.name)
        self.start("restriction", base="xsd:string")
        for value in t.values:
            self.empty("enumeration", value=value.name)
        self.end("restriction")
        self.end("simpleType")

    def reference(self) -> None:
        self.start("complexType", name="ManagedObjectReference")
        self.start("simpleContent")
        self.start("extension", base="xsd:string")
        self.empty("attribute", name="type", type="xsd:string")
        self.end("extension")
        self.end("simpleContent")
        self.end("complexType")

    def arrays(self) -> None:
        """An ArrayOf for each type there is: any of them can be the value of an `any`."""
        items = {_item_name(name, "scalar"): name for name in SCALARS}
        for t in self.schema.types.values():
            items.setdefault(_item_name(t.name, t.kind), t.name)
        for item, name in sorted(items.items()):
            self.start("complexType", name=f"ArrayOf{item[0].upper()}{item[1:]}")
            self.start("sequence")
            self.element(item, TypeRef(name, array=True, optional=True))
            self.end("sequence")
            self.end("complexType")

    def request(self, method: Method) -> None:
        """The elements of a call and its answer, and the type of the former."""
        request = f"{method.name.removesuffix('_Task')}RequestType"
        this = Member("_this", TypeRef(method.owner), method.since, "", method.place)
        self.start("complexType", name=request)
        self.sequence([this, *method.params])
        self.end("complexType")
        self.empty("element", name=method.name, type=f"vim25:{request}")
        self.start("element", name=f"{method.name}Response")
        self.start("complexType")
        if method.result is None:
            self.sequence([])
        else:
            self.sequence([Member("returnval", method.result, method.since, "", method.place)])
        self.end("complexType")
        self.end("element")

    def types(self) -> None:
        self.start("types")
        self.start("schema", xmlns="http://www.w3.org/2001/XMLSchema", targetNamespace="urn:vim25",
                   elementFormDefault="qualified")
        self.reference()
        for t in self.schema.of_kind("data", "fault"):
            self.data(t)
        for t in self.schema.of_kind("enum"):
            self.enum(t)
        self.arrays()
        for t in self.schema.of_kind("fault"):
            self.empty("element", name=f"{t.name}Fault", type=f"vim25:{t.name}")
        for method in self.methods():
            self.request(method)
        self.end("schema")
        self.end("types")

    # ---- messages, port and binding --------------------------------------------------------------

    def methods(self) -> list[Method]:
        return sorted(self.schema.methods(), key=lambda m: m.name)

    def faults(self, method: Method) -> list[tuple[str, str]]:
        """(name, message) of what a method may raise. RuntimeFault is always among it."""
        if "RuntimeFault" not in self.schema.types:
            return [(f"{name}Fault", f"{name}FaultMsg") for name in method.throws]
        return [(f"{name}Fault", f"{name}FaultMsg") for name in method.throws] + \
            [("RuntimeFault", "RuntimeFaultFaultMsg")]

    def message(self, name: str, part: str, element: str) -> None:
        self.start("message", name=name)
        self.empty("part", name=part, element=f"vim25:{element}")
        self.end("message")

    def messages(self) -> None:
        for t in self.schema.of_kind("fault"):
            self.message(f"{t.name}FaultMsg", "fault", f"{t.name}Fault")
        for method in self.methods():
            self.message(f"{method.name}RequestMsg", "parameters", method.name)
            self.message(f"{method.name}ResponseMsg", "parameters", f"{method.name}Response")

    def port(self) -> None:
        self.start("portType", name="VimPortType")
        for method in self.methods():
            self.start("operation", name=method.name)
            self.empty("input", message=f"vim25:{method.name}RequestMsg")
            self.empty("output", message=f"vim25:{method.name}ResponseMsg")
            for name, message in self.faults(method):
                self.empty("fault", name=name, message=f"vim25:{message}")
            self.end("operation")
        self.end("portType")

    def body(self, tag: str) -> None:
        self.start(tag)
        self.empty("soap:body", use="literal")
        self.end(tag)

    def binding(self) -> None:
        action = f"urn:vim25/{self.schema.versions[-1].name}"
        self.start("binding", name="VimBinding", type="vim25:VimPortType")
        self.empty("soap:binding", style="document",
                   transport="http://schemas.xmlsoap.org/soap/http")
        for method in self.methods():
            self.start("operation", name=method.name)
            self.empty("soap:operation", soapAction=action, style="document")
            self.body("input")
            self.body("output")
            for name, _ in self.faults(method):
                self.start("fault", name=name)
                self.empty("soap:fault", name=name, use="literal")
                self.end("fault")
            self.end("operation")
        self.end("binding")

    # ---- the files -------------------------------------------------------------------------------

    def definitions(self, target: str, **namespaces: str) -> None:
        self.out, self.depth = [], 0
        self.start("definitions", targetNamespace=target,
                   **{"xmlns": "http://schemas.xmlsoap.org/wsdl/",
                      "xmlns:soap": "http://schemas.xmlsoap.org/wsdl/soap/"}, **namespaces)

    def finish(self) -> str:
        self.end("definitions")
        return _HEADER + "\n".join(self.out) + "\n"

    def vim(self) -> str:
        self.definitions("urn:vim25", **{"xmlns:xsd": "http://www.w3.org/2001/XMLSchema",
                                         "xmlns:vim25": "urn:vim25"})
        self.types()
        self.messages()
        self.port()
        self.binding()
        return self.finish()

    def service(self) -> str:
        self.definitions("urn:vim25Service", **{"xmlns:interface": "urn:vim25"})
        self.empty("import", namespace="urn:vim25", location="vim.wsdl")
        self.start("service", name="VimService")
        self.start("port", name="VimPort", binding="interface:VimBinding")
        self.empty("soap:address", location=ADDRESS)
        self.end("port")
        self.end("service")
        return self.finish()


def emit(schema: Schema) -> dict[str, str]:
    e = Emitter(schema)
    return {"vim.wsdl": e.vim(), "vimService.wsdl": e.service()}
