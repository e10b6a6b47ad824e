# SPDX-License-Identifier: Apache-2.0
"""Bad input: Messages that are none, and requests at the wrong time or for the wrong object. See bad_input.py."""

from __future__ import annotations

import itertools
import json
import os
import time
import unittest
from typing import Any

from schema.model import Method, Type

import wire
from bad_input import DS, FOLDER_QUERY, PASSWORD, POOL, VM_FOLDER, Case, spec, tree
from wire import Fault, Session, ref, text


def off_xml(inner: str = "", this: str = '<_this type="VirtualMachine">@</_this>', method: str = "PowerOffVM_Task",
            attributes: str = ' xmlns="urn:vim25"') -> str:
    """A call of SOAP that powers off; "@" stands for the id of the running machine."""
    return wire.envelope(f"<{method}{attributes}>{this}{inner}</{method}>")


def bomb(levels: int) -> str:
    """Entities that grow tenfold with each level."""
    lines = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, levels))
    return f"<!DOCTYPE x [<!ENTITY e0 'PowerOffVM_Task'>{lines}]>"


def with_doctype(doctype: str, entity: str = "@") -> str:
    return off_xml(this=f'<_this type="VirtualMachine">{entity}</_this>').replace("?>", "?>" + doctype, 1)


BAD_XML: dict[str, str | bytes] = {
    "empty": "", "a blank": " ", "text": "PowerOffVM_Task", "JSON": "{}", "a NUL": "\0", "noise": bytes(range(256)),
    "cut off": off_xml()[:-10], "cut off early": off_xml()[:60], "something behind it": off_xml() + "<x/>",
    "two of them": off_xml() * 2, "a tag that is not closed": off_xml("<host>"),
    "a tag closed twice": off_xml("</_this>"), "an attribute twice": off_xml(attributes=' xmlns="urn:vim25" a="" a=""'),
    "a prefix that is not bound": off_xml(method="v:PowerOffVM_Task"), "a loose ampersand": off_xml("&"),
    "an unknown entity": off_xml("&nbsp;"), "a character that XML has not": off_xml("&#0;"),
    "one more": off_xml("&#x1f;"), "half a surrogate": off_xml("&#xd800;"), "a NUL inside": off_xml("\0"),
    "a control character": off_xml("\x01"), "a CDATA that does not end": off_xml("<![CDATA[ "),
    "a comment that does not end": off_xml("<!-- "), "an instruction that does not end": off_xml("<?x "),
    "no UTF-8": off_xml(this='<_this type="VirtualMachine">@\xff</_this>').encode("latin-1"),
    "UTF-8 cut off": off_xml().encode()[:-40] + b"\xe3\x81",
    "too long a form of UTF-8": off_xml("~").encode().replace(b"~", b"\xc0\xaf"),
    "a surrogate in UTF-8": off_xml("~").encode().replace(b"~", b"\xed\xa0\x80"),
    "an encoding that lies": off_xml().replace("UTF-8", "UTF-16"),
    "an unknown encoding": off_xml().replace("UTF-8", "EBCDIC-CP-US"),
    "half of UTF-16": off_xml().encode("utf-16")[:-1],
    "a DOCTYPE": with_doctype("<!DOCTYPE x>"), "an outer DTD": with_doctype('<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
    "an outer DTD by HTTP": with_doctype('<!DOCTYPE x PUBLIC "-//x" "http://127.0.0.1:1/x.dtd">'),
    "an entity": with_doctype("<!DOCTYPE x [<!ENTITY e '@'>]>", "&e;"),
    "an outer entity": with_doctype('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "&e;"),
    "a parameter entity": with_doctype('<!DOCTYPE x [<!ENTITY % e SYSTEM "file:///etc/passwd"> %e;]>'),
    "a bomb": with_doctype(bomb(20), "&e19;"), "an entity of itself": with_doctype("<!DOCTYPE x [<!ENTITY e '&e;'>]>", "&e;"),
    "quadratic": with_doctype(f"<!DOCTYPE x [<!ENTITY e '{'a' * 100_000}'>]>", "&e;" * 1000),
    "deep": "<a>" * 1_000_000, "deep and whole": off_xml("<a>" * 100_000 + "</a>" * 100_000),
    "deep beside it": off_xml().replace("<soapenv:Body>", "<soapenv:Header>" + "<a>" * 1000 + "</a>" * 1000 +
                                        "</soapenv:Header><soapenv:Body>"),
    "deep in itself": off_xml("<host>" * 1000 + "</host>" * 1000),
    "many attributes": off_xml(attributes=' xmlns="urn:vim25"' + "".join(f' a{n}=""' for n in range(50_000))) + "<",
    "a long name": off_xml(f"<{'a' * 1_000_000}/>"),
    "not an envelope": off_xml().replace("Envelope", "Package"),
    "an envelope of SOAP 1.2": off_xml().replace("http://schemas.xmlsoap.org/soap/envelope/",
                                                 "http://www.w3.org/2003/05/soap-envelope"),
    "no body": off_xml().replace("Body", "Torso"), "an empty body": wire.envelope(""),
    "two calls": wire.envelope('<PowerOffVM_Task xmlns="urn:vim25"><_this type="VirtualMachine">@</_this>'
                               "</PowerOffVM_Task>" * 2),
    "no object": off_xml(this=""), "an object without id": off_xml(this='<_this type="VirtualMachine"/>'),
    "two objects": off_xml(this='<_this type="VirtualMachine">@</_this>' * 2),
    "an object in an object": off_xml(this='<_this type="VirtualMachine"><_this>@</_this></_this>'),
    "an unknown type": off_xml(this='<_this type="Machine">@</_this>'),
    "a type that is no object's": off_xml(this='<_this type="VirtualMachineConfigSpec">@</_this>'),
    "another object's method": off_xml(this='<_this type="Folder">ha-folder-vm</_this>'),
    "an unknown method": off_xml(method="ExplodeVM_Task"), "no method": off_xml(method="VirtualMachine"),
    "an unknown element": off_xml("<bogus/>"), "a reference to nothing": off_xml(method="PowerOnVM_Task", inner="<host/>"),
    "a reference of another type": off_xml(method="PowerOnVM_Task", inner='<host type="Datastore">ha-host</host>'),
}


DEEP = 100_000
BAD_JSON: dict[str, str | bytes] = {
    "a blank": " ", "text": "PowerOffVM_Task", "XML": "<a/>", "a NUL": "\0", "noise": bytes(range(256)),
    "cut off": "{", "cut in a name": '{"host', "cut in an escape": '{"host\\u12', "an array": "[]", "a number": "7",
    "a string": '"{}"', "null": "null", "true": "true", "NaN": "NaN", "a comment": "{/**/}", "two of them": "{}{}",
    "something behind it": "{} x", "a NUL behind it": "{}\0", "a comma too many": '{"host": null,}',
    "no quotes": "{host: null}", "other quotes": "{'host': null}", "a byte order mark": "\ufeff{}",
    "UTF-16": "{}".encode("utf-16"), "Latin-1": '{"h\xf6st": null}'.encode("latin-1"),
    "a surrogate in UTF-8": b'{"a\xed\xa0\x80": null}', "too long a form of UTF-8": b'{"a\xc0\xaf": null}',
    "an unknown member": '{"bogus": 1}', "an unknown member that is unset": '{"bogus": null}',
    "a NUL in a name": '{"ho\\u0000st": null}', "a name cut by a NUL": '{"_typeName\\u0000": "x", "x": 1}',
    "deep": '{"a":' * DEEP + "1" + "}" * DEEP, "deep arrays": '{"a":' + "[" * DEEP + "]" * DEEP + "}",
    "deep and cut": "[" * 1_000_000, "many": '{"a": [' + "1," * 2_000_000 + "1]}",
    "a long name": '{"' + "a" * 1_000_000 + '": 1}',
    "a long number": '{"a": ' + "1" * 1_000_000 + "}",
}


class Messages(Case):
    """Well-framed requests with bodies that are none, or that call for nothing."""

    def test_bad_xml(self) -> None:
        root = self.roots["soap"]
        for name, body in BAD_XML.items():
            with self.subTest(name):
                data = (body.encode() if isinstance(body, str) else body).replace(b"@", self.vms["poweredOn"].encode())
                started = time.monotonic()
                self.fault("InvalidRequest|InvalidArgument|InvalidType|MethodNotFound",
                           root.value, root.send("POST", "/sdk", data, root.headers()))
                self.assertLess(time.monotonic() - started, 10)

    def test_bad_json(self) -> None:
        root = self.roots["json"]
        for name, body in BAD_JSON.items():
            with self.subTest(name):
                data = body.encode() if isinstance(body, str) else body
                started = time.monotonic()
                self.fault("InvalidRequest|InvalidArgument|InvalidType", root.value,
                           root.send_call("VirtualMachine", self.vms["poweredOn"], "PowerOffVM_Task", data))
                self.assertLess(time.monotonic() - started, 10)
        for kind, moid, method, expected in (
                ("VirtualMachine", self.vms["poweredOn"], "ExplodeVM_Task", "MethodNotFound"),
                ("Machine", self.vms["poweredOn"], "PowerOffVM_Task", "InvalidType"),
                ("string", self.vms["poweredOn"], "PowerOffVM_Task", "InvalidType"),
                ("VirtualMachineConfigSpec", self.vms["poweredOn"], "PowerOffVM_Task", "InvalidType"),
                ("Folder", "ha-folder-vm", "PowerOffVM_Task", "MethodNotFound"),
                ("Folder", self.vms["poweredOn"], "PowerOffVM_Task", "ManagedObjectNotFound|MethodNotFound"),
                ("VirtualMachine", self.vms["poweredOn"] + "x", "PowerOffVM_Task", "ManagedObjectNotFound"),
                ("VirtualMachine", "x" * 4000, "PowerOffVM_Task", "ManagedObjectNotFound"),
                ("VirtualMachine", "\u5929 \"<&", "PowerOffVM_Task", "ManagedObjectNotFound")):
            with self.subTest(f"{kind}/{moid[:50]}/{method}"):
                self.fault(expected, root.call, kind, moid, method)

    def test_arguments(self) -> None:
        """Arguments of the wrong type or value, or that are missing: each is named. Nothing is made of the good
        ones beside them."""
        config = ("VirtualMachine", self.vms["poweredOff"], "ReconfigVM_Task")
        make = (*VM_FOLDER, "CreateVM_Task")
        device = {"_typeName": "VirtualDeviceConfigSpec", "operation": "add"}
        option = {"_typeName": "OptionValue", "key": "k"}
        nic = {"_typeName": "VirtualVmxnet3", "key": -1}
        calls: list[tuple[tuple[str, str, str], dict[str, Any], str, str]] = [
            (make, {}, "InvalidArgument", "config"),
            (make, {"config": spec("x")}, "InvalidArgument", "pool"),
            (make, {"config": None, "pool": POOL}, "InvalidArgument|InvalidRequest", "config"),
            (config, {}, "InvalidArgument", "spec"),
            (config, {"spec": 7}, "InvalidArgument|InvalidRequest", "spec"),
            (config, {"spec": {"name": "changed", "bogus": 1}}, "InvalidRequest", ""),
            (config, {"spec": {"name": "changed"}, "bogus": 1}, "InvalidRequest", ""),
            (config, {"spec": {"_typeName": "Bogus", "name": "changed"}}, "InvalidType", "spec"),
            (config, {"spec": {"_typeName": "VirtualDisk", "name": "changed"}}, "InvalidType", "spec"),
            (config, {"spec": {"_typeName": "VirtualMachine", "name": "changed"}}, "InvalidType", "spec"),
            (config, {"spec": {"name": "changed", "deviceChange": [{"operation": "add"}]}}, "InvalidArgument", "device"),
            (config, {"spec": {"name": "changed", "deviceChange": [device | {"device": {"_typeName": "VirtualDevice"}}]}},
             "InvalidArgument", "key"),
            (config, {"spec": {"name": "changed", "deviceChange": [device | {"device": {"key": -1}, "operation": "explode"}]}},
             "InvalidArgument", "operation"),
            (config, {"spec": {"name": "changed", "deviceChange": [device | {"device": {"key": -1}, "operation": ""}]}},
             "InvalidArgument", "operation"),
            (config, {"spec": {"name": "changed", "extraConfig": [option | {"value": {"_typeName": "int", "_value": "x"}}]}},
             "InvalidArgument", "value"),
            (config, {"spec": {"name": "changed", "extraConfig": [option | {"value": {"_typeName": "Bogus"}}]}},
             "InvalidType", "value"),
            (config, {"spec": {"name": "changed", "deviceChange": [
                device | {"device": nic | {"backing": {"_typeName": "VirtualDiskFlatVer2BackingInfo"}}}]}},
             "InvalidArgument", "fileName"),
            (config, {"spec": {"name": "changed", "deviceChange": [
                device | {"device": nic | {"backing": {"_typeName": "VirtualMachineConfigSpec"}}}]}},
             "InvalidType", "backing"),
            (("VirtualMachine", self.vms["poweredOff"], "PowerOnVM_Task"), {"host": ref("Datastore", "x")},
             "InvalidType", "Datastore"),
            (("VirtualMachine", self.vms["poweredOff"], "PowerOnVM_Task"), {"host": ref("HostSystem", "x")},
             "InvalidArgument|ManagedObjectNotFound", "host"),
            (("SessionManager", "ha-sessionmgr", "TerminateSession"), {"sessionId": ["a" * 99 + "\u5929" * 10]},
             "NotFound", ""),
            (("Folder", "ha-folder-vm", "Rename_Task"), {"newName": ""}, "InvalidName|InvalidArgument|NotSupported", ""),
        ]
        numbers = {"memoryMB": (0, -4, 3, 1 << 31, 1 << 62, (1 << 63) - 1, -(1 << 63), 1 << 64, 1.5, "4", "", True, [4], "1e3"),
                   "numCPUs": (0, -1, 1 << 31, 65536, 1 << 40, 0.5, "one", [], "NaN"),
                   "numCoresPerSocket": (-1, 3, 1 << 31)}
        for member, values in numbers.items():
            calls += [(config, {"spec": {"annotation": "changed", member: value}},
                       "InvalidArgument|InvalidRequest|NumVirtualCpusNotSupported", member) for value in values]
        for binding in wire.BINDINGS:
            for (kind, moid, method), arguments, faults, member in calls:
                if binding == "soap" and method == "ReconfigVM_Task" and self._same_in_xml(arguments):
                    continue
                with self.subTest(f"{binding}: {method} {str(arguments)[:200]}"):
                    fault = self.fault(faults, self.roots[binding].run, kind, moid, method, **arguments)
                    if member and fault.type == "InvalidArgument":
                        # Innermost or by its path.
                        named = str(fault.body["invalidProperty"])
                        self.assertEqual(member, named.rpartition(".")[2] if "." in named else named)
                    elif member and fault.type == "InvalidType":
                        self.assertEqual(member, fault.body.get("argument"))

    @staticmethod
    def _same_in_xml(arguments: dict[str, Any]) -> bool:
        """In XML a number has no quotes, and an array of one is a value."""
        value = arguments.get("spec", {}).get("memoryMB") if isinstance(arguments.get("spec"), dict) else None
        cpus = arguments["spec"].get("numCPUs") if isinstance(arguments.get("spec"), dict) else None
        return value in ("4", [4]) and value is not True or cpus == []

    def test_order_does_not_matter(self) -> None:
        """The schema has an order; a request that has another one means the same, so none of it is lost."""
        turned = {"pool": POOL, "config": {"memoryMB": 128, "numCPUs": 2, "name": "turned", "guestId": "otherGuest64",
                                           "files": {"vmPathName": f"[{DS}]"}}}
        for binding in wire.BINDINGS:
            root = self.roots[binding]
            moid = root.run(*VM_FOLDER, "CreateVM_Task", **turned)["value"]
            try:
                self.assertEqual(("turned", "128", "2"), (
                    root.get("VirtualMachine", moid, "name"),
                    str(root.get("VirtualMachine", moid, "config.hardware.memoryMB")),
                    str(root.get("VirtualMachine", moid, "config.hardware.numCPU"))))
            finally:
                root.run("VirtualMachine", moid, "Destroy_Task")
        self.assertEqual([DS], os.listdir(self.datastore.parent))
        self.before["state"] = tree(self.host.state)  # which counts the machines that there were

    def test_what_xml_cannot_say(self) -> None:
        """Text that JSON brings in and that must not break the answers of the other binding."""
        vm = self.vms["poweredOff"]
        for value in ("a\x01b", "\x1b[31m", "\ufffe", "\u2028", "]]>", "<&\"'>", "\U0001f600", "a\r\nb\tc"):
            with self.subTest(repr(value)):
                try:
                    self.root.run("VirtualMachine", vm, "ReconfigVM_Task", spec={"annotation": value})
                except Fault as fault:
                    self.assertIn(fault.type, ("InvalidArgument", "InvalidRequest"))
                    continue
                self.assertEqual(value, self.root.get("VirtualMachine", vm, "config.annotation"))
                shown = self.roots["soap"].get("VirtualMachine", vm, "config.annotation")
                self.assertEqual(value.replace("\x01", "\ufffd").replace("\x1b", "\ufffd").replace("\ufffe", "\ufffd"), shown)
        self.root.run("VirtualMachine", vm, "ReconfigVM_Task", spec={"annotation": ""})
        self.before = self.picture()

    def test_long_values_come_back_short(self) -> None:
        """What is wrong is quoted; but not all of it."""
        for binding in wire.BINDINGS:
            root = self.roots[binding]
            for value in ("x" * 1_000_000, "\u5929" * 300_000, "&<>" * 300_000):
                with self.subTest(f"{binding}: {value[:3]}"):
                    body = root.body("VirtualMachine", self.vms["poweredOff"], "ReconfigVM_Task",
                                     {"spec": {"memoryMB": value}})
                    answer = root.send_call("VirtualMachine", self.vms["poweredOff"], "ReconfigVM_Task", body)
                    self.fault("InvalidArgument", root.value, answer)
                    self.assertLess(len(answer.body), 50_000)  # with its escapes

    def test_a_form_of_another_site(self) -> None:
        """What a browser sends to another site without asking has the cookie, and one of three content types."""
        vm = self.vms["poweredOn"]
        for binding in wire.BINDINGS:
            root = self.roots[binding]
            body = root.body("VirtualMachine", vm, "PowerOffVM_Task", {})
            for given in ("text/plain", "text/plain; charset=text/xml", "application/x-www-form-urlencoded",
                          "multipart/form-data; boundary=application/json", "text/xmlx", "application/jsonx", "", "*/*", None):
                for origin in ({}, {"Origin": "https://evil.example", "Referer": "https://evil.example/x"}):
                    with self.subTest(f"{binding}: {given} {origin}"):
                        headers = {"Cookie": root.headers()["Cookie"], **origin}
                        if given is not None:
                            headers["Content-Type"] = given
                        answer = root.send("POST", root.path("VirtualMachine", vm, "PowerOffVM_Task"), body, headers)
                        self.assertEqual(415, answer.status, answer)
                        self.assertNotIn("access-control-allow-origin", answer.headers)
            for method in ("OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "GET"):
                with self.subTest(f"{binding}: {method}"):
                    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
                               "Access-Control-Request-Headers": "content-type", **root.headers()}
                    answer = root.send(method, root.path("VirtualMachine", vm, "PowerOffVM_Task"), None, headers)
                    self.assertGreaterEqual(answer.status, 400)
                    self.assertNotIn("access-control-allow-origin", answer.headers)
        for method in ("POST", "OPTIONS"):
            answer = self.root.send(method, f"/folder/readable?{FOLDER_QUERY}", b"changed",
                                    {"Cookie": self.root.headers()["Cookie"], "Content-Type": "text/plain"})
            self.assertGreaterEqual(answer.status, 400)
        set_cookie = self.session_cookie()
        for attribute in ("HttpOnly", "SameSite=Lax"):
            self.assertIn(attribute, set_cookie)

    def session_cookie(self) -> str:
        session = Session(self.host, "json")
        self.addCleanup(session.close)
        body = json.dumps({"userName": self.host.user, "password": self.host.password}).encode()
        return session.send_call("SessionManager", "ha-sessionmgr", "Login", body).headers["set-cookie"]


class State(Case):
    """Requests that are well made, at the wrong time or for the wrong object."""

    def test_power(self) -> None:
        memory = {"spec": {"annotation": "changed", "memoryMB": 128}}
        on, off = "poweredOn", "poweredOff"
        # What needs which state.
        needs: list[tuple[str, dict[str, Any], str]] = [
            ("PowerOffVM_Task", {}, on), ("ResetVM_Task", {}, on), ("SuspendVM_Task", {}, on), ("ShutdownGuest", {}, on),
            ("AcquireTicket", {"ticketType": "webmks"}, on), ("CreateScreenshot_Task", {}, on),
            ("PowerOnVM_Task", {}, off), ("Destroy_Task", {}, off), ("UnregisterVM", {}, off), ("ReconfigVM_Task", memory, off),
        ]
        may_too = {("PowerOffVM_Task", "suspended"), ("PowerOnVM_Task", "suspended"), ("Destroy_Task", "suspended"),
                   ("UnregisterVM", "suspended")}
        for binding, (method, arguments, wanted), state in itertools.product(wire.BINDINGS, needs, self.vms):
            if state == wanted or (method, state) in may_too:
                continue
            with self.subTest(f"{binding}: {method} of {state}"):
                fault = self.fault("InvalidPowerState", self.roots[binding].run, "VirtualMachine", self.vms[state],
                                   method, **arguments)
                self.assertEqual((wanted, state), (fault.body.get("requestedState"), fault.body["existingState"]))

    def test_names_that_are_taken(self) -> None:
        """The fault tells the name, and who has it."""
        vm, other = self.vms["poweredOff"], self.vms["poweredOn"]
        self.before.pop("state")  # which counts machines that were begun
        for binding in wire.BINDINGS:
            run = self.roots[binding].run
            for call in (
                lambda: run(*VM_FOLDER, "CreateVM_Task", config=spec("poweredOn"), pool=POOL),
                lambda: run("ResourcePool", "ha-root-pool", "CreateChildVM_Task", config=spec("poweredOn")),
                lambda: run("VirtualMachine", vm, "Rename_Task", newName="poweredOn"),
                lambda: run("VirtualMachine", vm, "ReconfigVM_Task", spec={"annotation": "changed", "name": "poweredOn"}),
            ):
                fault = self.fault("DuplicateName", call)
                self.assertEqual(("poweredOn", other), (fault.body["name"], fault.id("object")))
            fault = self.fault("AlreadyExists", run, *VM_FOLDER, "RegisterVM_Task", asTemplate=False, pool=POOL,
                               path=f"[{DS}] poweredOn/poweredOn.vmx", name="another name")
            self.assertEqual(other, fault.body["name"])
            fault = self.fault("DuplicateName", run, "HostDatastoreSystem", "ha-datastoresystem", "CreateLocalDatastore",
                               name=DS, path=str(self.outside))
            self.assertEqual(DS, fault.body["name"])
            self.fault("AlreadyExists", run, "HostLocalAccountManager", "ha-localacctmgr", "CreateUser",
                       user={"_typeName": "HostAccountSpec", "id": self.host.user, "password": PASSWORD})
            self.fault("AlreadyExists", run, "AuthorizationManager", "ha-authmgr", "AddAuthorizationRole",
                       name="Admin", privIds=[])
        names = sorted(os.listdir(self.datastore))
        self.assertEqual(["poweredOff", "poweredOn", "readable", "suspended"], names)

    def picture(self) -> dict[str, Any]:
        found = super().picture()
        return found if not hasattr(self, "before") or "state" in self.before else \
            {k: v for k, v in found.items() if k != "state"}

    def test_names_that_are_none(self) -> None:
        vm = self.vms["poweredOff"]
        for binding in wire.BINDINGS:
            for name in ("", " ", "a/b", "..", "a" * 81, "a" * 10_000, "a\nb", "\u5929" * 81):
                with self.subTest(f"{binding}: {name[:20]!r}"):
                    try:
                        self.roots[binding].run("VirtualMachine", vm, "Rename_Task", newName=name)
                    except Fault as fault:
                        self.assertIn(fault.type, ("InvalidName", "InvalidArgument"))
                        continue
                    # A name is not a file's: it may have anything in it, escaped, but it leads nowhere.
                    self.assertTrue(self.roots[binding].get("VirtualMachine", vm, "name"))
                    self.roots[binding].run("VirtualMachine", vm, "Rename_Task", newName="poweredOff")

    def test_properties_that_are_none(self) -> None:
        vm = self.vms["poweredOn"]
        for binding in wire.BINDINGS:
            root = self.roots[binding]
            for path in ("bogus", "config.bogus", "config.hardware.device.bogus", "config.hardware.device[2000].bogus", "Name",
                         "name.x", "config..name", ".name", "name.", "config.hardware.device[", "config.hardware.device[2000",
                         "config.hardware.device[]", "name[0]", "a" * 1000, "config." * 500 + "x",
                         "*", "%s%n", "\u5929"):
                with self.subTest(f"{binding}: {path[:50]}"):
                    fault = self.fault("InvalidProperty", root.get, "VirtualMachine", vm, path)
                    self.assertEqual(path, fault.body["name"])
            self.fault("InvalidProperty|InvalidArgument|InvalidRequest", root.call, "PropertyCollector",
                       "ha-property-collector", "RetrievePropertiesEx", **wire.retrieve(ref("VirtualMachine", vm), ""))
            made = wire.retrieve(ref("VirtualMachine", vm), "bogus")["specSet"][0]
            fault = self.fault("InvalidProperty", root.call, "PropertyCollector", "ha-property-collector",
                               "CreateFilter", spec=made, partialUpdates=False)
            self.assertEqual("bogus", fault.body["name"])

    def test_objects_that_are_none(self) -> None:
        vm = self.vms["poweredOn"]
        for binding in wire.BINDINGS:
            root = self.roots[binding]
            for kind, moid, types in (
                ("VirtualMachine", "vm-4711", "ManagedObjectNotFound"), ("VirtualMachine", vm + " ", "ManagedObjectNotFound"),
                ("VirtualMachine", vm.upper(), "ManagedObjectNotFound"), ("VirtualMachine", ".." + vm, "ManagedObjectNotFound"),
                ("VirtualMachine", "\u5929", "ManagedObjectNotFound"), ("Datastore", vm, "ManagedObjectNotFound"),
                ("Task", "haTask-none", "ManagedObjectNotFound"), ("PropertyFilter", "x", "ManagedObjectNotFound"),
                ("Bogus", vm, "InvalidType"), ("string", vm, "InvalidType"), ("virtualMachine", vm, "InvalidType")):
                for label, call in (
                        ("get", lambda k=kind, m=moid: root.get(k, m, "name" if k == "VirtualMachine" else "x")),
                        ("call", lambda k=kind, m=moid: root.call(k, m, "PowerOffVM_Task"))):
                    with self.subTest(f"{binding}: {label} {kind} {moid}"):
                        fault = self.fault(types + ("|MethodNotFound|InvalidProperty" if kind != "VirtualMachine" else ""), call)
                        if fault.type == "ManagedObjectNotFound":
                            self.assertEqual(moid, fault.id("obj"))

    def test_other_sessions_objects(self) -> None:
        """What one session made does not exist for another."""
        for binding in wire.BINDINGS:
            root, other = self.roots[binding], self.session(binding)
            view = root.call("ViewManager", "ViewManager", "CreateContainerView", type=[], recursive=True,
                             container=ref("Folder", "ha-folder-root"))
            made = root.call("PropertyCollector", "ha-property-collector", "CreateFilter", partialUpdates=False,
                             spec=wire.retrieve(ref("Folder", "ha-folder-root"), "name")["specSet"][0])
            for what, method in ((view, "DestroyView"), (made, "DestroyPropertyFilter")):
                self.fault("ManagedObjectNotFound", other.call, what["type"], what["value"], method)
                root.call(what["type"], what["value"], method)


if __name__ == "__main__":
    unittest.main()
