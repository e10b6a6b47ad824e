# SPDX-License-Identifier: Apache-2.0
"""suds, a SOAP client that knows nothing but the WSDL: fence agents and OpenStack's driver stand on it. And the WSDL
itself, as any client fetches it."""

from __future__ import annotations

import ssl
import tempfile
import unittest
import urllib.request
from typing import Any
from xml.etree import ElementTree

import vi
from suds.cache import DocumentCache
from suds.client import Client
from suds.sudsobject import Property
from suds.transport.http import HttpTransport
from suds import WebFault
from tenkyu_host import TenkyuHost

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"


class Transport(HttpTransport):
    """With cookies, as suds has it, and TLS to a host whose certificate is its own."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self.context = context

    def u2handlers(self) -> list[Any]:
        return super().u2handlers() + [urllib.request.HTTPSHandler(context=self.context or vi.unverified())]


def reference(kind: str, moid: str) -> Property:
    """A managed object, as suds users write it."""
    found = Property(moid)
    found._type = kind
    return found


class Suds(unittest.TestCase):
    def start(self, tls: bool) -> TenkyuHost:
        host = TenkyuHost("sim", tls=tls, args=("--sim-vms", "2"))
        self.addCleanup(host.close)
        return host

    def client(self, host: TenkyuHost) -> Client:
        cache = tempfile.TemporaryDirectory(prefix="tenkyu-suds-")
        self.addCleanup(cache.cleanup)
        # The location comes from the WSDL, which is the point.
        return Client(f"{host.url}/sdk/vimService.wsdl", transport=Transport(vi.unverified()),
                      cache=DocumentCache(location=cache.name), timeout=60)

    def login(self, client: Client, host: TenkyuHost) -> Any:
        content = client.service.RetrieveServiceContent(reference("ServiceInstance", "ServiceInstance"))
        client.service.Login(content.sessionManager, host.user, host.password)
        return content

    def retrieve(self, client: Client, content: Any, obj: Any, kind: str, paths: list[str],
                 traversal: tuple[str, str] | None = None) -> dict[str, dict[str, Any]]:
        """Properties by object id."""
        make = client.factory.create
        properties = make("ns0:PropertySpec")
        properties.type, properties.all, properties.pathSet = kind, False, paths
        start = make("ns0:ObjectSpec")
        start.obj, start.skip = obj, traversal is not None
        if traversal:
            select = make("ns0:TraversalSpec")
            select.type, select.path, select.skip = *traversal, False
            start.selectSet = [select]
        else:
            start.selectSet = []
        spec = make("ns0:PropertyFilterSpec")
        spec.propSet, spec.objectSet = [properties], [start]
        options = make("ns0:RetrieveOptions")
        result = client.service.RetrievePropertiesEx(content.propertyCollector, [spec], options)
        return {o.obj.value: {p.name: p.val for p in o.propSet} for o in result.objects}

    def wait(self, client: Client, content: Any, task: Any) -> Any:
        """The task's state when it has ended, by a filter of the property collector."""
        make = client.factory.create
        properties = make("ns0:PropertySpec")
        properties.type, properties.all, properties.pathSet = "Task", False, ["info.state"]
        start = make("ns0:ObjectSpec")
        start.obj, start.skip, start.selectSet = task, False, []
        spec = make("ns0:PropertyFilterSpec")
        spec.propSet, spec.objectSet = [properties], [start]
        made = client.service.CreateFilter(content.propertyCollector, spec, False)
        version, state = "", None
        while state not in ("success", "error"):
            answer = client.service.WaitForUpdates(content.propertyCollector, version)
            version = answer.version
            state = answer.filterSet[0].objectSet[0].changeSet[-1].val
        client.service.DestroyPropertyFilter(made)
        return state

    def use(self, tls: bool) -> None:
        host = self.start(tls)
        si = vi.connect(host)
        client = self.client(host)
        self.assertEqual(f"{host.url}/sdk", str(client.wsdl.services[0].ports[0].location))
        content = self.login(client, host)
        self.assertEqual("HostAgent", content.about.apiType)
        vm = vi.create_vm(si, "from suds <&>")
        mine = reference("VirtualMachine", vm._moId)
        folder = reference("Folder", vi.datacenter(si).vmFolder._moId)
        found = self.retrieve(client, content, folder, "VirtualMachine", ["name", "runtime.powerState"],
                              ("Folder", "childEntity"))
        self.assertEqual({v._moId: {"name": v.name, "runtime.powerState": v.runtime.powerState}
                          for v in vi.datacenter(si).vmFolder.childEntity}, found)
        config = self.retrieve(client, content, mine, "VirtualMachine", ["config"])[vm._moId]["config"]
        self.assertEqual("VirtualMachineConfigInfo", type(config).__name__)
        self.assertEqual([d.key for d in vm.config.hardware.device], [d.key for d in config.hardware.device])
        task = client.service.PowerOnVM_Task(mine)
        self.assertEqual("success", self.wait(client, content, task))
        self.assertEqual("poweredOn", vm.runtime.powerState)
        with self.assertRaises(WebFault) as caught:
            client.service.PowerOnVM_Task(reference("VirtualMachine", "no-such-vm"))
        self.assertIn("ManagedObjectNotFoundFault", str(caught.exception.fault.detail))
        client.service.Logout(content.sessionManager)
        with self.assertRaises(WebFault):
            client.service.PowerOffVM_Task(mine)
        self.assertEqual("poweredOn", vm.runtime.powerState)

    def test_plain_http(self) -> None:
        self.use(tls=False)

    def test_tls(self) -> None:
        self.use(tls=True)

    def test_wsdl_files(self) -> None:
        """vimService.wsdl imports vim.wsdl, and names the address under which the client came."""
        host = self.start(tls=False)
        port = host.address[1]

        def get(path: str, name: str) -> ElementTree.Element:
            request = urllib.request.Request(f"{host.url}{path}", headers={"Host": f"{name}:{port}"})
            with urllib.request.urlopen(request) as answer:
                self.assertEqual("text/xml; charset=utf-8", answer.headers["Content-Type"])
                return ElementTree.fromstring(answer.read())

        service = get("/sdk/vimService.wsdl", "some.name.example")
        self.assertEqual(["vim.wsdl"], [i.get("location") for i in service.iter(_WSDL + "import")])
        self.assertEqual([f"http://some.name.example:{port}/sdk"],
                         [a.get("location") for a in service.iter(_SOAP + "address")])
        types = get("/sdk/vim.wsdl", "localhost")
        self.assertEqual("urn:vim25", types.get("targetNamespace"))
        operations = {o.get("name") for o in types.iterfind(f"{_WSDL}portType/{_WSDL}operation")}
        self.assertIn("PowerOnVM_Task", operations)
        versions = get("/sdk/vimServiceVersions.xml", "localhost")
        self.assertEqual("urn:vim25", versions.findtext("namespace/name"))
        self.assertEqual("6.7", versions.findtext("namespace/version"))
        self.assertIn("2.5", [v.text for v in versions.iterfind("namespace/priorVersions/version")])


if __name__ == "__main__":
    unittest.main()
