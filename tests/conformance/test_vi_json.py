# SPDX-License-Identifier: Apache-2.0
"""VI/JSON with nothing but the standard library, as scripts and govc use it: POST of methods, GET of properties,
faults, sessions by header, releases."""

from __future__ import annotations

import json
import unittest
import urllib.error
import urllib.request
from typing import Any

import vi
from pyVim.task import WaitForTask
from pyVmomi import vim
from tenkyu_host import TenkyuHost

NEWEST = "8.0.1.0"  # what clients of VI/JSON name; it is served as the newest that there is


class Fault(Exception):
    """An answer with HTTP status 500: its body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.type = body.get("_typeName")


class Api:
    """A client. Every reply must be JSON by its Content-Type, also those that are refusals."""

    def __init__(self, host: TenkyuHost, release: str = NEWEST) -> None:
        self.url = f"{host.url}/sdk/vim25"
        self.release = release
        self.session: str | None = None

    def send(self, method: str, path: str, body: bytes | None = None,
             content_type: str | None = "application/json") -> tuple[int, Any, Any]:
        """Status, headers and decoded body."""
        headers = {"vmware-api-session-id": self.session} if self.session else {}
        if content_type and body is not None:
            headers["Content-Type"] = content_type
        request = urllib.request.Request(f"{self.url}/{path}", data=body, headers=headers, method=method)
        if body is not None and content_type is None:
            request.add_unredirected_header("Content-Type", "")  # else urllib makes one up
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, got, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, got, text = error.code, error.headers, error.read()
        assert got["Content-Type"] == "application/json", f"{method} {path}: {status} {got['Content-Type']}"
        return status, got, json.loads(text) if text else None

    def result(self, answer: tuple[int, Any, Any]) -> Any:
        status, _, body = answer
        if status not in (200, 204):
            raise Fault(status, body)
        assert (status == 204) == (body is None)
        return body

    def call(self, kind: str, moid: str, method: str, **arguments: Any) -> Any:
        return self.result(self.send("POST", f"{self.release}/{kind}/{moid}/{method}", json.dumps(arguments).encode()))

    def get(self, kind: str, moid: str, path: str) -> Any:
        return self.result(self.send("GET", f"{self.release}/{kind}/{moid}/{path}"))

    def login(self, user: str, password: str) -> Any:
        status, headers, body = self.send("POST", f"{self.release}/SessionManager/ha-sessionmgr/Login",
                                          json.dumps({"userName": user, "password": password}).encode())
        if status != 200:
            raise Fault(status, body)
        self.session = headers["vmware-api-session-id"]
        return body

    def wait(self, task: dict[str, str]) -> dict[str, Any]:
        """The task's info when it has ended, by a filter of the property collector."""
        collector = ("PropertyCollector", "ha-property-collector")
        spec = {"_typeName": "PropertyFilterSpec",
                "objectSet": [{"_typeName": "ObjectSpec", "obj": task}],
                "propSet": [{"_typeName": "PropertySpec", "type": "Task", "pathSet": ["info"]}]}
        made = self.call(*collector, "CreateFilter", spec=spec, partialUpdates=False)
        version, info = "", {"state": ""}
        while info["state"] not in ("success", "error"):
            answer = self.call(*collector, "WaitForUpdatesEx", version=version,
                               options={"_typeName": "WaitOptions", "maxWaitSeconds": 30})
            version = answer["version"]
            info = answer["filterSet"][0]["objectSet"][0]["changeSet"][-1]["val"]
        self.call("PropertyFilter", made["value"], "DestroyPropertyFilter")
        return info


class ViJson(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("sim", args=("--sim-vms", "3"))
        cls.addClassCleanup(cls.host.close)
        cls.si = vi.connect(cls.host)
        cls.vms = list(vi.datacenter(cls.si).vmFolder.childEntity)

    def api(self, release: str = NEWEST) -> Api:
        api = Api(self.host, release)
        api.login(self.host.user, self.host.password)
        return api

    def fault(self, kind: str, call: Any, *arguments: Any, **more: Any) -> dict[str, Any]:
        with self.assertRaises(Fault) as caught:
            call(*arguments, **more)
        self.assertEqual((500, kind), (caught.exception.status, caught.exception.type))
        self.assertTrue(caught.exception.body["message"])
        return caught.exception.body

    def test_session(self) -> None:
        api = Api(self.host)
        body = api.login(self.host.user, self.host.password)
        self.assertEqual(("UserSession", self.host.user), (body["_typeName"], body["userName"]))
        self.assertNotEqual(body["key"], api.session)
        self.assertEqual(body["key"], api.get("SessionManager", "ha-sessionmgr", "currentSession")["key"])
        self.assertIn(body["key"], [s.key for s in self.si.content.sessionManager.sessionList])
        self.assertIsNone(api.call("SessionManager", "ha-sessionmgr", "Logout"))
        self.fault("NotAuthenticated", api.get, "Folder", "ha-folder-vm", "name")
        self.assertNotIn(body["key"], [s.key for s in self.si.content.sessionManager.sessionList])

    def test_before_login(self) -> None:
        api = Api(self.host)
        content = api.call("ServiceInstance", "ServiceInstance", "RetrieveServiceContent")
        self.assertEqual({"_typeName": "ManagedObjectReference", "type": "SessionManager", "value": "ha-sessionmgr"},
                         content["sessionManager"])
        self.assertEqual(content, api.get("ServiceInstance", "ServiceInstance", "content"))
        self.fault("InvalidLogin", api.login, self.host.user, "wrong")
        self.fault("NotAuthenticated", api.get, "VirtualMachine", self.vms[0]._moId, "name")
        self.fault("NotAuthenticated", api.get, "VirtualMachine", "no-such-vm", "name")  # the same: nothing is told
        self.fault("NotAuthenticated", api.call, "VirtualMachine", self.vms[0]._moId, "PowerOffVM_Task")
        api.session = "0" * 64
        self.fault("NotAuthenticated", api.get, "VirtualMachine", self.vms[0]._moId, "name")

    def test_get_of_properties(self) -> None:
        api, vm = self.api(), self.vms[0]
        for path in ("name", "config", "config.hardware.numCPU", "runtime.powerState", "network", "rootSnapshot",
                     "config.hardware.device[4000].macAddress", "parent"):
            value = api.get("VirtualMachine", vm._moId, path)
            if path == "config":
                self.assertEqual(("VirtualMachineConfigInfo", vm.config.uuid), (value["_typeName"], value["uuid"]))
                self.assertEqual([d.key for d in vm.config.hardware.device],
                                 [d["key"] for d in value["hardware"]["device"]])
            elif path == "parent":
                self.assertEqual(("Folder", vm.parent._moId), (value["type"], value["value"]))
            elif path in ("network", "rootSnapshot"):
                self.assertEqual([o._moId for o in getattr(vm, path)], [r["value"] for r in value])
            elif path.startswith("config.hardware.device"):
                self.assertEqual(next(d.macAddress for d in vm.config.hardware.device if d.key == 4000), value)
            else:
                self.assertEqual({"name": vm.name, "config.hardware.numCPU": 1, "runtime.powerState": "poweredOn"}[path], value)
        self.assertIsNone(api.get("VirtualMachine", vm._moId, "snapshot"))
        self.fault("InvalidProperty", api.get, "VirtualMachine", vm._moId, "bogus")
        self.fault("InvalidProperty", api.get, "VirtualMachine", vm._moId, "config.bogus")
        self.fault("ManagedObjectNotFound", api.get, "VirtualMachine", "no-such-vm", "name")

    def test_life_of_a_machine(self) -> None:
        """A machine that is made, started, changed and destroyed, seen through SOAP."""
        api = self.api()
        config = {"_typeName": "VirtualMachineConfigSpec", "name": "json", "guestId": "otherGuest64",
                  "memoryMB": 64, "numCPUs": 1, "files": {"_typeName": "VirtualMachineFileInfo", "vmPathName": "[datastore1]"},
                  "extraConfig": [{"_typeName": "OptionValue", "key": "made.by",
                                   "value": {"_typeName": "string", "_value": "json \u5929"}}]}
        pool = {"_typeName": "ManagedObjectReference", "type": "ResourcePool", "value": vi.pool(self.si)._moId}
        task = api.call("Folder", "ha-folder-vm", "CreateVM_Task", config=config, pool=pool)
        info = api.wait(task)
        self.assertEqual("success", info["state"], info)
        moid = info["result"]["value"]
        vm = vim.VirtualMachine(moid, self.si._stub)
        self.assertEqual(("json", 64), (vm.name, vm.config.hardware.memoryMB))
        self.assertIn("json \u5929", [o.value for o in vm.config.extraConfig if o.key == "made.by"])
        self.assertEqual("success", api.wait(api.call("VirtualMachine", moid, "PowerOnVM_Task"))["state"])
        self.assertEqual("poweredOn", vm.runtime.powerState)
        info = api.wait(api.call("VirtualMachine", moid, "PowerOnVM_Task"))
        self.assertEqual(("error", "InvalidPowerState", "poweredOn"),
                         (info["state"], info["error"]["fault"]["_typeName"], info["error"]["fault"]["existingState"]))
        WaitForTask(vm.PowerOffVM_Task())
        self.assertEqual("poweredOff", api.get("VirtualMachine", moid, "runtime.powerState"))
        self.assertEqual("success", api.wait(api.call("VirtualMachine", moid, "Destroy_Task"))["state"])
        self.fault("ManagedObjectNotFound", api.get, "VirtualMachine", moid, "name")
        self.assertFalse((self.host.state / "datastores/datastore1/json").exists())

    def test_retrieve_properties(self) -> None:
        api = self.api()
        view = api.call("ViewManager", "ViewManager", "CreateContainerView", type=["VirtualMachine"], recursive=True,
                        container={"_typeName": "ManagedObjectReference", "type": "Folder", "value": "ha-folder-root"})
        spec = {"_typeName": "PropertyFilterSpec",
                "objectSet": [{"_typeName": "ObjectSpec", "obj": view, "skip": True,
                               "selectSet": [{"_typeName": "TraversalSpec", "type": "ContainerView", "path": "view"}]}],
                "propSet": [{"_typeName": "PropertySpec", "type": "VirtualMachine",
                             "pathSet": ["name", "config.hardware.memoryMB", "config.hardware.device", "network"]}]}
        collector = ("PropertyCollector", "ha-property-collector")
        page = api.call(*collector, "RetrievePropertiesEx", specSet=[spec], options={"_typeName": "RetrieveOptions", "maxObjects": 2})
        objects = page["objects"]
        self.assertEqual(2, len(objects))
        page = api.call(*collector, "ContinueRetrievePropertiesEx", token=page["token"])
        self.assertNotIn("token", page)
        objects += page["objects"]
        told = {o["obj"]["value"]: {p["name"]: p["val"] for p in o["propSet"]} for o in objects}
        self.assertEqual({v._moId for v in self.vms}, set(told))
        for vm in self.vms:
            # A value in a place that may hold any type says what it is.
            self.assertEqual({"_typeName": "string", "_value": vm.name}, told[vm._moId]["name"])
            self.assertEqual({"_typeName": "int", "_value": 1024}, told[vm._moId]["config.hardware.memoryMB"])
            self.assertEqual("ArrayOfVirtualDevice", told[vm._moId]["config.hardware.device"]["_typeName"])
            self.assertEqual("ArrayOfManagedObjectReference", told[vm._moId]["network"]["_typeName"])

    def test_faults(self) -> None:
        api, vm = self.api(), self.vms[0]
        body = self.fault("ManagedObjectNotFound", api.call, "VirtualMachine", "no-such-vm", "PowerOnVM_Task")
        self.assertEqual("no-such-vm", body["obj"]["value"])
        self.fault("MethodNotFound", api.call, "Datacenter", "ha-datacenter", "PowerOnVM_Task")
        self.fault("MethodNotFound", api.call, "VirtualMachine", vm._moId, "Explode")
        self.fault("NotSupported", api.call, "Folder", "ha-folder-vm", "CreateFolder", name="new")
        body = self.fault("InvalidArgument", api.call, "Folder", "ha-folder-vm", "CreateVM_Task")
        self.assertEqual("config", body["invalidProperty"])
        self.fault("InvalidRequest", api.call, "VirtualMachine", vm._moId, "PowerOnVM_Task", bogus=1)
        self.assertEqual("poweredOn", vm.runtime.powerState)

    def test_bodies_that_are_none(self) -> None:
        api = self.api()
        path = f"{NEWEST}/VirtualMachine/{self.vms[1]._moId}/PowerOffVM_Task"
        for body in (b"{", b"[]", b"null", b'"text"', b'{"host": 7}', b'{"host": {}}', b"\xff\xfe", b"{}{}",
                     b'{"a":' * 1000 + b"1" + b"}" * 1000):
            status, _, answer = api.send("POST", path, body)
            self.assertEqual(500, status, body[:40])
            self.assertIn(answer["_typeName"], ("InvalidRequest", "InvalidArgument"), body[:40])
        self.assertEqual("poweredOn", self.vms[1].runtime.powerState)

    def test_a_form_of_another_site_calls_nothing(self) -> None:
        """What a browser sends without asking has another content type."""
        api = self.api()
        path = f"{NEWEST}/VirtualMachine/{self.vms[1]._moId}/PowerOffVM_Task"
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
            self.assertEqual(415, api.send("POST", path, b"{}", content_type)[0])
        self.assertEqual("poweredOn", self.vms[1].runtime.powerState)
        self.assertEqual(200, api.send("POST", path, b"{}", "application/json; charset=utf-8")[0])
        vi.wait_property(self.si, self.vms[1], "runtime.powerState", "poweredOff")
        WaitForTask(self.vms[1].PowerOnVM_Task())

    def test_paths_that_are_none(self) -> None:
        api = self.api()
        for path in ("", NEWEST, f"{NEWEST}/VirtualMachine", f"{NEWEST}/VirtualMachine/x", f"{NEWEST}/a/b/c/d"):
            for method in ("GET", "POST"):
                status, _, body = api.send(method, path, b"{}" if method == "POST" else None)
                self.assertEqual((404, "InvalidRequest"), (status, body["_typeName"]), path)
        for method in ("PUT", "DELETE", "PATCH"):
            self.assertEqual(405, api.send(method, f"{NEWEST}/VirtualMachine/{self.vms[0]._moId}/name", b"{}")[0])
        self.fault("InvalidType", api.get, "NoSuchType", "x", "name")
        self.fault("InvalidType", api.get, "VirtualMachineConfigSpec", "x", "name")

    def test_releases(self) -> None:
        """The release in the path is the client's version: older clients see no newer names."""
        key = next(d.key for d in self.vms[0].config.hardware.device)
        told = {}
        for release in (NEWEST, "7.0", "6.7", "6.5", "5.5", "2.5"):
            api = self.api(release)
            config = api.get("VirtualMachine", self.vms[0]._moId, "config")
            self.assertIn(key, [d["key"] for d in config["hardware"]["device"]])
            told[release] = set(config)
        self.assertEqual(told["6.7"], told[NEWEST])
        self.assertEqual(told["6.7"], told["7.0"])
        self.assertLess(told["2.5"], told["5.5"])
        self.assertLessEqual(told["5.5"], told["6.7"])
        self.assertIn("instanceUuid", told["5.5"])
        self.assertNotIn("instanceUuid", told["2.5"])

    def test_numbers_and_times(self) -> None:
        api = self.api()
        disk = next(d for d in api.get("VirtualMachine", self.vms[0]._moId, "config.hardware.device")
                    if d["_typeName"] == "VirtualDisk")
        self.assertEqual(10 << 30, disk["capacityInBytes"])
        self.assertRegex(api.call("ServiceInstance", "ServiceInstance", "CurrentTime"), r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
        memory = api.get("HostSystem", "ha-host", "hardware.memorySize")
        self.assertEqual(vi.datacenter(self.si).hostFolder.childEntity[0].host[0].hardware.memorySize, memory)


if __name__ == "__main__":
    unittest.main()
