# SPDX-License-Identifier: Apache-2.0
"""The WSDL as clients use it: Debian's python3-suds must load it and make the requests that a
server of the VI API expects, and read its answers and faults."""

from __future__ import annotations

import tempfile
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from common import load_api
from schema import emit_wsdl

try:
    from suds import WebFault  # type: ignore[import]
    from suds.client import Client  # type: ignore[import]
    from suds.sudsobject import Property  # type: ignore[import]
except ImportError:
    Client = None

V = "{urn:vim25}"
X = "{http://www.w3.org/2001/XMLSchema}"
W = "{http://schemas.xmlsoap.org/wsdl/}"
S = "{http://schemas.xmlsoap.org/wsdl/soap/}"
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

_ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>
%s
</soapenv:Body></soapenv:Envelope>"""


@unittest.skipIf(Client is None, "python3-suds is not installed")
class SudsTest(unittest.TestCase):
    client: Any
    folder: tempfile.TemporaryDirectory[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        for name, text in emit_wsdl.emit(load_api()).items():
            Path(cls.folder.name, name).write_text(text, encoding="utf-8")
        cls.client = Client(cls.url("vimService.wsdl"), cache=None)

    @classmethod
    def url(cls, name: str) -> str:
        return Path(cls.folder.name, name).as_uri()

    def reference(self, kind: str, value: str) -> Any:
        ref = Property(value)
        ref._type = kind
        return ref

    def sent(self, name: str, *args: Any) -> ET.Element:
        """The element that the client would put into the body of a call."""
        self.client.set_options(nosend=True)
        context = getattr(self.client.service, name)(*args)
        body = ET.fromstring(context.envelope).find(
            "{http://schemas.xmlsoap.org/soap/envelope/}Body")
        assert body is not None
        self.assertEqual(len(body), 1)
        return body[0]

    def answered(self, name: str, answer: str, *args: Any) -> Any:
        """What the client makes of an answer."""
        self.client.set_options(nosend=False)
        inject = {"reply": (_ANSWER % answer).encode()}
        return getattr(self.client.service, name)(*args, __inject=inject)

    def paths(self, element: ET.Element, above: str = "") -> list[str]:
        """Every leaf as path=text, in the order of the document."""
        found: list[str] = []
        for child in element:
            self.assertTrue(child.tag.startswith(V), child.tag)
            path = f"{above}/{child.tag.removeprefix(V)}"
            found += self.paths(child, path) if len(child) else [f"{path}={child.text}"]
        return found

    def test_create_vm(self) -> None:
        make = self.client.factory.create
        disk = make("ns0:VirtualDisk")
        disk.capacityInKB = 1024
        disk.controllerKey = 1000
        disk.key = -1
        change = make("ns0:VirtualDeviceConfigSpec")
        change.device = disk
        change.operation = "add"
        spec = make("ns0:VirtualMachineConfigSpec")
        spec.deviceChange = [change]
        spec.memoryMB = 64
        spec.name = "one & two"
        call = self.sent("CreateVM_Task", self.reference("Folder", "group-v3"), spec,
                         self.reference("ResourcePool", "resgroup-1"))
        self.assertEqual(call.tag, f"{V}CreateVM_Task")
        self.assertEqual(self.paths(call), [
            "/_this=group-v3", "/config/name=one & two", "/config/memoryMB=64",
            "/config/deviceChange/operation=add", "/config/deviceChange/device/key=-1",
            "/config/deviceChange/device/controllerKey=1000",
            "/config/deviceChange/device/capacityInKB=1024", "/pool=resgroup-1"])
        self.assertEqual(call[0].get("type"), "Folder")
        self.assertEqual(call[2].get("type"), "ResourcePool")
        device = call.find(f".//{V}device")
        assert device is not None
        self.assertEqual(device.get(XSI_TYPE, "").split(":")[-1], "VirtualDisk")

    def test_optional_parameter_is_left_out(self) -> None:
        call = self.sent("PowerOnVM_Task", self.reference("VirtualMachine", "1"))
        self.assertEqual(self.paths(call), ["/_this=1"])

    def test_call_without_arguments(self) -> None:
        call = self.sent("RetrieveServiceContent",
                         self.reference("ServiceInstance", "ServiceInstance"))
        self.assertEqual(self.paths(call), ["/_this=ServiceInstance"])

    def test_service_has_all_methods(self) -> None:
        schema = load_api()
        methods = self.client.wsdl.services[0].ports[0].methods
        self.assertEqual(set(methods), {m.name for m in schema.methods()})
        self.assertEqual(str(self.client.wsdl.services[0].ports[0].location), emit_wsdl.ADDRESS)
        action = methods["CurrentTime"].soap.action
        self.assertEqual(action.strip('"'), f"urn:vim25/{schema.versions[-1].name}")

    def test_answers(self) -> None:
        task = self.answered("PowerOnVM_Task",
                             '<PowerOnVM_TaskResponse xmlns="urn:vim25">'
                             '<returnval type="Task">task-7</returnval></PowerOnVM_TaskResponse>',
                             self.reference("VirtualMachine", "1"))
        self.assertEqual((task._type, task.value), ("Task", "task-7"))
        page = self.answered(
            "RetrievePropertiesEx",
            '<RetrievePropertiesExResponse xmlns="urn:vim25"><returnval><objects>'
            '<obj type="VirtualMachine">1</obj>'
            '<propSet><name>name</name><val xsi:type="xsd:string">a</val></propSet>'
            '<propSet><name>datastore</name><val xsi:type="ArrayOfManagedObjectReference">'
            '<ManagedObjectReference type="Datastore">ds-1</ManagedObjectReference></val></propSet>'
            '<propSet><name>d</name><val xsi:type="VirtualE1000"><key>4000</key></val></propSet>'
            '</objects></returnval></RetrievePropertiesExResponse>',
            self.reference("PropertyCollector", "pc"))
        name, datastore, device = (p.val for p in page.objects[0].propSet)
        self.assertEqual(name, "a")
        self.assertEqual(datastore.ManagedObjectReference[0].value, "ds-1")
        self.assertEqual(device.key, 4000)
        self.assertEqual(type(device).__name__, "VirtualE1000")

    def test_fault(self) -> None:
        self.client.set_options(nosend=False)
        fault = ('<soapenv:Fault><faultcode>ServerFaultCode</faultcode>'
                 '<faultstring>no</faultstring><detail>'
                 '<InvalidPowerStateFault xmlns="urn:vim25" xsi:type="InvalidPowerState">'
                 '<requestedState>poweredOn</requestedState>'
                 '<existingState>poweredOn</existingState>'
                 '</InvalidPowerStateFault></detail></soapenv:Fault>')
        with self.assertRaises(WebFault) as raised:
            self.client.service.PowerOnVM_Task(
                self.reference("VirtualMachine", "1"),
                __inject={"reply": (_ANSWER % fault).encode(), "status": 500})
        detail = raised.exception.fault.detail
        self.assertEqual(detail.InvalidPowerStateFault.existingState, "poweredOn")


class StructureTest(unittest.TestCase):
    """What stricter readers than suds insist on."""

    def setUp(self) -> None:
        files = emit_wsdl.emit(load_api())
        self.vim = ET.fromstring(files["vim.wsdl"])
        self.service = ET.fromstring(files["vimService.wsdl"])

    def declared(self, path: str) -> list[str]:
        return [e.get("name", "") for e in self.vim.findall(path)]

    def test_names_are_declared_once_and_exist(self) -> None:
        schema = f"{W}types/{X}schema"
        types = self.declared(f"{schema}/{X}complexType") + self.declared(f"{schema}/{X}simpleType")
        elements = self.declared(f"{schema}/{X}element")
        messages = self.declared(f"{W}message")
        for names in (types, elements, messages):
            self.assertEqual(len(names), len(set(names)))
        wanted_types = {e.get(a, "") for e in self.vim.iter() for a in ("type", "base")
                        if e.get(a, "").startswith("vim25:") and e.tag.startswith(X)}
        wanted_elements = {e.get("element", "") for e in self.vim.iter(f"{W}part")}
        wanted_messages = {e.get("message", "") for e in self.vim.iter() if e.get("message")}
        for wanted, known in ((wanted_types, types), (wanted_elements, elements),
                              (wanted_messages, messages)):
            self.assertTrue(wanted)
            self.assertEqual(wanted - {f"vim25:{name}" for name in known}, set())

    def test_binding_has_the_port_types_operations(self) -> None:
        def operations(path: str) -> list[tuple[str, list[str]]]:
            return [(o.get("name", ""), [f.get("name", "") for f in o.findall(f"{W}fault")])
                    for o in self.vim.findall(f"{path}/{W}operation")]
        self.assertEqual(operations(f"{W}portType"), operations(f"{W}binding"))
        for name, faults in operations(f"{W}portType"):
            self.assertEqual(len(faults), len(set(faults)), name)
            self.assertIn("RuntimeFault", faults)

    def test_service_imports_the_rest(self) -> None:
        imported = self.service.find(f"{W}import")
        address = self.service.find(f"{W}service/{W}port/{S}address")
        assert imported is not None and address is not None
        self.assertEqual(imported.get("location"), "vim.wsdl")
        self.assertEqual(imported.get("namespace"), self.vim.get("targetNamespace"))
        self.assertEqual(address.get("location"), emit_wsdl.ADDRESS)


if __name__ == "__main__":
    unittest.main()
