# SPDX-License-Identifier: Apache-2.0
"""Bad input: Paths that lead out of a datastore, and requests of those who have no right to them. See bad_input.py."""

from __future__ import annotations

import glob
import itertools
import json
import shutil
import time
import unittest
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from schema.__main__ import load
from schema.model import Method, Schema, Type

import wire
from bad_input import DS, FOLDER_QUERY, PASSWORD, POOL, VM_FOLDER, Case, spec, tree
from tenkyu_host import ROOT
from wire import Fault, Session, ref, text


# All that may be called without a session. What the last four read is nothing (test_reading_without_a_session).
PUBLIC = {"RetrieveServiceContent", "Login", "CloneSession", "AcquireLocalTicket", "AcquireGenericServiceTicket",
          "RetrieveProperties", "RetrievePropertiesEx", "ContinueRetrievePropertiesEx", "CancelRetrievePropertiesEx"}
# They wait for news, or end what the walk goes on with.
NOT_WALKED = {"WaitForUpdates", "WaitForUpdatesEx", "Logout"}


class Rights(Case):
    """Every method of the schema, called by who may not."""

    schema: Schema
    known: dict[str, str]  # managed type -> id of an object of exactly this type

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.schema, diagnostics = load(sorted(glob.glob(str(ROOT / "api/*.api"))))
        assert not diagnostics
        cls.known = {"ServiceInstance": "ServiceInstance"}
        seen, todo = set(), [ref("ServiceInstance", "ServiceInstance")]
        while todo:
            obj = todo.pop()
            if (obj["type"], obj["value"]) in seen:
                continue
            seen.add((obj["type"], obj["value"]))
            cls.known.setdefault(obj["type"], obj["value"])
            arguments = wire.retrieve(obj)
            arguments["specSet"][0]["propSet"][0] |= {"all": True, "pathSet": []}
            todo += references(cls.root.call("PropertyCollector", "ha-property-collector", "RetrievePropertiesEx", **arguments))
        accounts = ("HostLocalAccountManager", cls.known["HostLocalAccountManager"])
        roles = {r["name"]: r["roleId"] for r in cls.root.get("AuthorizationManager", "ha-authmgr", "roleList")}
        for user, entity in (("reader", ref("Folder", "ha-folder-root")), ("viewer", ref("VirtualMachine", cls.known["VirtualMachine"]))):
            cls.root.call(*accounts, "CreateUser", user={"_typeName": "HostAccountSpec", "id": user, "password": PASSWORD})
            cls.root.call("AuthorizationManager", "ha-authmgr", "SetEntityPermissions", entity=entity,
                          permission=[{"_typeName": "Permission", "principal": user, "group": False, "roleId": roles["ReadOnly"],
                                       "propagate": True}])

    def object_of(self, kind: str) -> tuple[str, str]:
        """An object of the type, or one that would be."""
        for name, moid in self.known.items():
            if kind == "ManagedObject" or kind in (t.name for t in self.schema.ancestry(self.schema.types[name])):
                return name, moid
        return kind, "none"

    def value(self, kind: str, name: str) -> Any:
        """A value that is good enough to be looked at."""
        scalars: dict[str, Any] = {"boolean": True, "string": "x", "dateTime": "2026-01-01T00:00:00Z", "binary": "AAAA",
                                   "any": text("x"), "float": 1.0, "double": 1.0}
        paths = {"name", "sourceName", "datastorePath", "path", "destinationName", "destName"}
        if name == "ticketType":
            return "webmks"
        if kind == "string" and name in paths:
            return f"[{DS}] {'new' if name.startswith('dest') else 'readable'}"
        if kind in scalars or kind in ("byte", "short", "int", "long"):
            return scalars.get(kind, 1)
        declared = self.schema.types[kind]
        if declared.kind == "enum":
            return declared.values[0].name
        if declared.kind == "managed":
            return ref(*self.object_of(kind))
        members = {m.name: self.value(m.type.name, m.name) for m in self.schema.all_members(declared)
                   if not m.type.optional and not m.type.array}
        return {"_typeName": kind, **members}

    def methods(self) -> list[tuple[Type, Method, dict[str, Any]]]:
        found = []
        for owner in self.schema.of_kind("managed"):
            for method in owner.methods:
                arguments: dict[str, Any] = {}
                for param in method.params:
                    if not param.type.optional:
                        made = self.value(param.type.name, "" if owner.name == "AuthorizationManager" else param.name)
                        arguments[param.name] = [made] if param.type.array else made
                found.append((owner, method, arguments))
        return found

    def test_every_method_without_a_session(self) -> None:
        walked = 0
        for binding in wire.BINDINGS:
            for key in (None, "0" * 64):
                nobody = Session(self.host, binding)
                nobody.secret = key
                self.addCleanup(nobody.close)
                for owner, method, arguments in self.methods():
                    if method.name in PUBLIC:
                        self.assertEqual("System.Anonymous", method.privilege)
                        continue
                    with self.subTest(f"{binding}: {owner.name}.{method.name}"):
                        kind, moid = self.object_of(owner.name)
                        fault = self.fault("NotAuthenticated", nobody.call, kind, moid, method.name, **arguments)
                        self.assertEqual(moid, fault.id("object"))
                        walked += 1
        self.assertGreater(walked, 4 * 150)

    def test_reading_without_a_session(self) -> None:
        """Of all properties of all objects, only what a client needs to log in."""
        told = []
        nobody = Session(self.host, "json")
        self.addCleanup(nobody.close)
        for name, moid in self.known.items():
            for member in self.schema.all_members(self.schema.types[name]):
                for binding in wire.BINDINGS:
                    nobody.binding = binding
                    try:
                        nobody.get(name, moid, member.name)
                        told.append(f"{name}.{member.name}")
                    except Fault as fault:
                        self.assertEqual("NotAuthenticated", fault.type, (name, member.name, str(fault)))
        self.assertEqual({f"ServiceInstance.{name}" for name in ("content", "capability", "serverClock")}, set(told))
        for binding in wire.BINDINGS:
            nobody.binding = binding
            for method, arguments in (("ContinueRetrievePropertiesEx", {"token": "1"}), ("CancelRetrievePropertiesEx", {"token": "1"}),
                                      ("RetrievePropertiesEx", wire.retrieve(ref("VirtualMachine", "none"), "name"))):
                self.fault("InvalidArgument|NotAuthenticated|InvalidProperty|ManagedObjectNotFound", nobody.call,
                           "PropertyCollector", "ha-property-collector", method, **arguments)
            for method in ("AcquireLocalTicket", "AcquireGenericServiceTicket", "CloneSession"):
                arguments = next(a for _, m, a in self.methods() if m.name == method)
                self.fault("NotSupported|InvalidLogin", nobody.call, "SessionManager", "ha-sessionmgr", method, **arguments)

    def read_everything(self, user: str, holds: Callable[[str], set[str]]) -> tuple[int, int]:
        """All properties of an object of each type, over both bindings, by somebody who holds certain privileges on it:
        how many were read and how many not."""
        read = refused = 0
        for binding in wire.BINDINGS:
            session = self.session(binding, user, PASSWORD)
            for name, moid in self.known.items():
                for member in self.schema.all_members(self.schema.types[name]):
                    needed, held = member.privilege or "System.Read", holds(name)
                    with self.subTest(f"{binding}: {name}.{member.name} by {user}"):
                        try:
                            session.get(name, moid, member.name)
                            self.assertIn(needed, held, "it was told")
                            read += 1
                        except Fault as fault:
                            self.assertEqual(("NoPermission", needed, moid), (fault.type, fault.body.get("privilegeId"), fault.id("object")))
                            self.assertNotIn(needed, held)
                            refused += 1
        return read, refused

    def test_every_property_by_who_may_read_or_only_look(self) -> None:
        look = {"System.Anonymous", "System.View"}
        _, refused = self.read_everything("reader", lambda _: look | {"System.Read"})
        self.assertGreaterEqual(refused, 2)  # the sessions of others

        def holds(name: str) -> set[str]:
            """The viewer may read one machine. He sees the way there, and the services that all clients talk to."""
            if name in ("VirtualMachine", "VirtualMachineSnapshot", "Task", "ServiceInstance"):
                return look | {"System.Read"}
            entity = "ManagedEntity" in (t.name for t in self.schema.ancestry(self.schema.types[name]))
            return look if not entity or name == "Datacenter" else {"System.Anonymous"}
        read, refused = self.read_everything("viewer", holds)
        self.assertGreater(read, 100)
        self.assertGreater(refused, 100)

    def test_every_method_by_a_reader(self) -> None:
        """A user who may read everything and change nothing."""
        for binding in wire.BINDINGS:
            reader = self.session(binding, "reader", PASSWORD)
            for owner, method, arguments in self.methods():
                if method.name in NOT_WALKED | PUBLIC:
                    continue
                kind, moid = self.object_of(owner.name)
                if moid == "none":
                    continue  # of these, there is none yet
                with self.subTest(f"{binding}: {owner.name}.{method.name}"):
                    try:
                        reader.run(kind, moid, method.name, **arguments)
                        self.assertTrue(method.privilege.startswith("System.") or method.name in READING, "it was allowed")
                        continue
                    except Fault as fault:
                        caught = fault
                    if caught.type == "NoPermission":
                        self.assertTrue(caught.id("object"))
                        self.assertIn(caught.body["privilegeId"], {p.name for p in self.schema.privileges})
                    if not method.privilege.startswith("System.") and method.privilege != "by-argument":
                        self.assertEqual(("NoPermission", method.privilege, moid),
                                         (caught.type, caught.body.get("privilegeId"), caught.id("object")))
                    elif method.privilege == "by-argument" or owner.name == "VirtualDiskManager":
                        self.assertIn(caught.type, ("NoPermission", "NotSupported"), caught)
            answer = reader.send("PUT", f"/folder/readable?{FOLDER_QUERY}", b"changed", reader.headers())
            self.assertEqual(403, answer.status)
            self.assertEqual(403, reader.send("DELETE", f"/folder/readable?{FOLDER_QUERY}", None, reader.headers()).status)
            screen = f"/screen?id={self.known['VirtualMachine']}"
            self.assertEqual(404, reader.send("GET", screen, None, reader.headers()).status)
            self.assertEqual(401, reader.send("GET", screen).status)
            self.assertEqual(400, reader.send("GET", "/screen", None, reader.headers()).status)
            self.assertEqual(405, reader.send("POST", screen, b"", reader.headers()).status)


# Whose privilege depends on their arguments, and who may be called by a reader with those of the walk.
READING = {"RetrieveEntityPermissions", "RetrieveUserGroups", "FetchUserPrivilegeOnEntities", "HasUserPrivilegeOnEntities"}


def references(value: Any) -> list[dict[str, str]]:
    """All references to objects within an answer."""
    if isinstance(value, list):
        return [r for item in value for r in references(item)]
    if isinstance(value, dict):
        if value.get("_typeName") == "ManagedObjectReference":
            return [value]
        return [r for item in value.values() for r in references(item)]
    return []


ESCAPES = [
    f"[{DS}] ../secret", f"[{DS}] ../../outside/secret", f"[{DS}] ../../state/users.json", f"[{DS}] a/../../../users.json",
    f"[{DS}] poweredOff/../../../users.json", f"[{DS}] ..", f"[{DS}] .", f"[{DS}] ./x.vmx", f"[{DS}]/etc/passwd",
    f"[{DS}] /etc/passwd", f"[{DS}] //etc/passwd", "/etc/passwd", "../x", "x", "", " ", "[", "[]", "[] x", "[..] x", "[.] x",
    "[/] etc/passwd", "[../..] x", f"[{DS}", f"{DS}] x", f" [{DS}] x", f"[{DS} ] x", "[none] x", f"[{DS.upper()}] x",
    f"[{DS}] a\0b", f"[{DS}] \0", f"[{DS}\0] x", f"[{DS}] a\nb", f"[{DS}] \x1b[31m", f"[{DS}] {'a' * 256}.vmx", f"[{DS}] {'a/' * 1024}x",
    f"[{DS}] {'a' * 100_000}", f"[{'a' * 100_000}] x", "ds:///vmfs/volumes/x", "file:///etc/passwd", "nbd://127.0.0.1:1/x",
    "json:{}",
]
# Through symbolic links, which look like any other path.
LINKS = [f"[{DS}] {path}" for path in ("link/secret", "link/new.vmx", "link/new.vmdk", "etc/passwd", "file", "gone/new", "loop/x")]
SYNTAX = "InvalidDatastorePath|InvalidDatastore|InvalidArgument|InvalidRequest|InvalidName|FileNameTooLong|InvalidFolder"
FILES = SYNTAX + "|CannotAccessFile|FileNotFound|FileNotWritable|FileAlreadyExists|FileFault|InvalidDiskFormat|InvalidVmConfig" \
    "|FileLocked|NotADirectory|CannotCreateFile|CannotDeleteFile|InvalidDeviceBacking"


class Paths(Case):
    """Paths that lead out of a datastore, wherever a request can name one."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        (cls.datastore / "link").symlink_to(cls.outside)
        (cls.datastore / "etc").symlink_to("/etc")
        (cls.datastore / "file").symlink_to(cls.outside / "secret")
        (cls.datastore / "gone").symlink_to(cls.outside / "gone")
        (cls.datastore / "loop").symlink_to("loop")
        cls.root.run("VirtualDiskManager", "ha-vdiskmanager", "CreateVirtualDisk_Task", name=f"[{DS}] disk.vmdk",
                     spec={"_typeName": "FileBackedVirtualDiskSpec", "diskType": "thin", "adapterType": "lsiLogic", "capacityKb": 1024})
        cls.browser = cls.root.get("Datastore", cls.root.get("Datacenter", "ha-datacenter", "datastore")[0]["value"],
                                   "browser")["value"]

    def picture(self) -> dict[str, Any]:
        found = super().picture()
        found["state"].pop("vms.json", None)  # which counts machines that were begun
        return found

    def device(self, device: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"deviceChange": [{"_typeName": "VirtualDeviceConfigSpec", "operation": "add", **more, "device": device}]}

    def disk(self, path: str) -> dict[str, Any]:
        return {"_typeName": "VirtualDisk", "key": -1,
                "backing": {"_typeName": "VirtualDiskFlatVer2BackingInfo", "fileName": path, "diskMode": "persistent"},
                "controllerKey": 200, "unitNumber": 1, "capacityInKB": 1024}

    def drive(self, kind: str, backing: str, path: str, controller: int) -> dict[str, Any]:
        return {"_typeName": kind, "key": -1, "backing": {"_typeName": backing, "fileName": path},
                "connectable": {"_typeName": "VirtualDeviceConnectInfo", "startConnected": True, "allowGuestControl": True,
                                "connected": True}, "controllerKey": controller}

    def requests(self, path: str) -> dict[str, tuple[tuple[str, str, str], dict[str, Any]]]:
        """Every way to name a path, by a label."""
        make, change = (*VM_FOLDER, "CreateVM_Task"), ("VirtualMachine", self.vms["poweredOff"], "ReconfigVM_Task")
        files, disks, browser = ("FileManager", "ha-nfc-file-manager"), ("VirtualDiskManager", "ha-vdiskmanager"), \
            ("HostDatastoreBrowser", self.browser)
        good = f"[{DS}] readable"
        backed = {
            "disk": self.device(self.disk(path)), "new disk": self.device(self.disk(path), fileOperation="create"),
            "CD": self.device(self.drive("VirtualCdrom", "VirtualCdromIsoBackingInfo", path, 201)),
            "floppy": self.device(self.drive("VirtualFloppy", "VirtualFloppyImageBackingInfo", path, 400)),
            "serial port": self.device({"_typeName": "VirtualSerialPort", "key": -1, "backing": {
                "_typeName": "VirtualSerialPortFileBackingInfo", "fileName": path}, "yieldOnPoll": True}),
            "kernel": {"extraConfig": [{"_typeName": "OptionValue", "key": "tenkyu.kernel", "value": text(path)}]},
        }
        found = {f"{label} of a machine": (change, {"spec": more}) for label, more in backed.items()}
        found |= {f"{label} of a new machine": (make, {"config": spec("new") | more, "pool": POOL})
                  for label, more in backed.items()}
        found |= {
            "a machine's file": (make, {"config": spec("new") | {"files": {"vmPathName": path}}, "pool": POOL}),
            "register": ((*VM_FOLDER, "RegisterVM_Task"), {"path": path, "asTemplate": False, "pool": POOL}),
            "make a folder": ((*files, "MakeDirectory"), {"name": path, "createParentDirectories": True}),
            "delete": ((*files, "DeleteDatastoreFile_Task"), {"name": path}),
            "copy from": ((*files, "CopyDatastoreFile_Task"), {"sourceName": path, "destinationName": f"[{DS}] new", "force": True}),
            "copy to": ((*files, "CopyDatastoreFile_Task"), {"sourceName": good, "destinationName": path, "force": True}),
            "move from": ((*files, "MoveDatastoreFile_Task"), {"sourceName": path, "destinationName": f"[{DS}] new", "force": True}),
            "move to": ((*files, "MoveDatastoreFile_Task"), {"sourceName": good, "destinationName": path, "force": True}),
            "make a disk": ((*disks, "CreateVirtualDisk_Task"), {"name": path, "spec": {
                "_typeName": "FileBackedVirtualDiskSpec", "diskType": "thin", "adapterType": "lsiLogic", "capacityKb": 1024}}),
            "delete a disk": ((*disks, "DeleteVirtualDisk_Task"), {"name": path}),
            "extend a disk": ((*disks, "ExtendVirtualDisk_Task"), {"name": path, "newCapacityKb": 4096}),
            "a disk's UUID": ((*disks, "QueryVirtualDiskUuid"), {"name": path}),
            "copy a disk from": ((*disks, "CopyVirtualDisk_Task"), {"sourceName": path, "destName": f"[{DS}] new.vmdk"}),
            "copy a disk to": ((*disks, "CopyVirtualDisk_Task"), {"sourceName": f"[{DS}] disk.vmdk", "destName": path, "force": True}),
            "move a disk from": ((*disks, "MoveVirtualDisk_Task"), {"sourceName": path, "destName": f"[{DS}] new.vmdk"}),
            "move a disk to": ((*disks, "MoveVirtualDisk_Task"), {"sourceName": f"[{DS}] disk.vmdk", "destName": path, "force": True}),
            "browse": ((*browser, "SearchDatastore_Task"), {"datastorePath": path}),
            "browse below": ((*browser, "SearchDatastoreSubFolders_Task"), {"datastorePath": path}),
        }
        return found

    def no_way(self, call: Any) -> None:
        """A fault that neither tells what is outside nor where the datastore really is."""
        told = json.dumps(self.fault(FILES, call).body)
        self.assertNotIn(str(self.host.folder), told)
        self.assertNotRegex(told, "root:|secret\\W*$")

    def test_everywhere(self) -> None:
        before = tree(self.datastore)
        for binding, path in itertools.product(wire.BINDINGS, ESCAPES):
            for label, ((kind, moid, method), arguments) in self.requests(path).items():
                if path == "" and label.endswith("machine"):
                    continue  # lets the host choose, or is an empty drive
                with self.subTest(f"{binding}: {label}: {path[:60]!r}"):
                    self.no_way(lambda: self.roots[binding].run(kind, moid, method, **arguments))
            self.assertEqual(before, tree(self.datastore), path[:60])

    def test_through_links(self) -> None:
        """A machine may name a file that is not there yet; then it does not start."""
        before = tree(self.datastore)
        for binding, path in itertools.product(wire.BINDINGS, LINKS):
            run = self.roots[binding].run
            for label, ((kind, moid, method), arguments) in self.requests(path).items():
                if label.endswith("of a machine"):
                    continue  # the same code as for a new one
                if path.endswith(" file") and label in ("delete", "copy to", "move from", "move to"):
                    continue  # is about the link and not about where it leads: it is the datastore's own
                with self.subTest(f"{binding}: {label}: {path}"):
                    if method != "CreateVM_Task":
                        self.no_way(lambda: run(kind, moid, method, **arguments))
                        continue
                    try:
                        vm = run(kind, moid, method, **arguments)["value"]
                    except Fault as fault:
                        self.assertIn(fault.type, FILES.split("|"), fault)
                        continue
                    files = [d["backing"]["fileName"] for d in self.root.get("VirtualMachine", vm, "config.hardware.device")
                             if "fileName" in d.get("backing", {})]
                    if path in files or label.startswith("kernel"):
                        self.no_way(lambda: run("VirtualMachine", vm, "PowerOnVM_Task"))
                    else:
                        self.assertTrue(all(f.startswith(f"[{DS}] new/") for f in files), files)
                    run("VirtualMachine", vm, "Destroy_Task")
            self.assertEqual(before, tree(self.datastore), path)

    def test_in_a_configuration_file(self) -> None:
        """A .vmx and descriptors that somebody has uploaded: they are read, so what they name is checked again."""
        outside = str(self.outside / "secret")
        lines = [f'{key} = "{value}"' for key, value in (
            ("displayName", "crafted"), ("memSize", "64"), ("numvcpus", "1"), ("guestOS", "other-64"), ("config.version", "8"),
            ("virtualHW.version", "19"))]
        disk = ['scsi0.present = "TRUE"', 'scsi0.virtualDev = "pvscsi"', 'scsi0:0.present = "TRUE"']
        names = [outside, "/etc/passwd", "../../../outside/secret", "../link/secret", "../file", "../../../state/users.json",
                 f"/vmfs/volumes/{DS}/../../../outside/secret", "json:{}", "nbd:127.0.0.1:1", "a\\|00b"]
        crafted = [(label, [*more, line.format(name)], {}) for name in names for label, more, line in (
            ("disk", disk, 'scsi0:0.fileName = "{}"'),
            ("CD", ['ide1:0.present = "TRUE"', 'ide1:0.deviceType = "cdrom-image"', 'ide1:0.startConnected = "TRUE"'],
             'ide1:0.fileName = "{}"'),
            ("floppy", ['floppy0.present = "TRUE"', 'floppy0.fileType = "file"', 'floppy0.startConnected = "TRUE"'],
             'floppy0.fileName = "{}"'),
            ("serial port", ['serial0.present = "TRUE"', 'serial0.fileType = "file"', 'serial0.startConnected = "TRUE"'],
             'serial0.fileName = "{}"'),
            ("saved state", [], 'checkpoint.vmState = "{}"'), ("kernel", [], 'tenkyu.kernel = "{}"'),
            ("NVRAM", ['firmware = "efi"'], 'nvram = "{}"'))]
        for name in names:
            descriptor = ("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"
                          f'RW 2048 VMFS "{name}"\nddb.adapterType = "lsilogic"\n')
            crafted.append(("descriptor", [*disk, 'scsi0:0.fileName = "crafted.vmdk"'], {"crafted.vmdk": descriptor}))
            parent = descriptor.replace("parentCID=ffffffff", f'parentCID=fffffffe\nparentFileNameHint="{name}"')
            crafted.append(("parent", [*disk, 'scsi0:0.fileName = "crafted.vmdk"'],
                            {"crafted.vmdk": parent.replace(name, "crafted-flat.vmdk", 1), "crafted-flat.vmdk": "x" * 512}))
        folder = self.datastore / "crafted"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for label, more, files in crafted:
            with self.subTest(f"{label}: {more[-1]} {list(files.values())[-1:]}"):
                files = {"crafted.vmx": "\n".join(lines + more) + "\n", **files}
                for name, content in files.items():
                    answer = self.root.send("PUT", f"/folder/crafted/{quote(name)}?{FOLDER_QUERY}", content.encode(),
                                            self.root.headers())
                    self.assertIn(answer.status, (200, 201))
                try:
                    vm = self.root.run(*VM_FOLDER, "RegisterVM_Task", path=f"[{DS}] crafted/crafted.vmx", asTemplate=False,
                                       pool=POOL)["value"]
                except Fault as fault:
                    self.assertIn(fault.type, FILES.split("|"), fault)
                    continue
                try:
                    self.starts(vm, label, more[-1])
                finally:
                    self.root.run("VirtualMachine", vm, "UnregisterVM")
                    for path in folder.iterdir():
                        path.unlink()
        folder.rmdir()

    def starts(self, vm: str, label: str, line: str) -> None:
        """It does not, unless it takes no notice of what is named."""
        try:
            self.root.run("VirtualMachine", vm, "PowerOnVM_Task")
        except Fault as fault:
            self.assertIn(fault.type, FILES.split("|"), fault)
            return
        self.assertNotIn("secret", json.dumps(self.root.get("VirtualMachine", vm, "config.hardware.device")))
        self.root.run("VirtualMachine", vm, "PowerOffVM_Task")
        # "json:{}" is a strange name, but one of a file that a serial port may make in the machine's folder.
        self.assertTrue(label in ("saved state", "NVRAM") or (label == "serial port" and ":" in line), "it has started")

    def test_over_http(self) -> None:
        """/folder, with each way to spell a way out."""
        root = self.root
        before = tree(self.datastore)
        for path in ("/folder/../state/users.json", "/folder/../../outside/secret", "/folder/%2e%2e/%2e%2e/users.json",
                     "/folder/..%2f..%2fusers.json", "/folder/%2e%2e%2fx", "/folder/..", "/folder/.", "/folder/./readable",
                     "/folder/poweredOff/../readable", "/folder//etc/passwd", "/folder/%2fetc/passwd", "/folder/readable%00",
                     "/folder/%00", "/folder/%ff", "/folder/a%0ab", "/folder/link/secret", "/folder/link/new", "/folder/etc/passwd",
                     "/folder/etc", "/folder/file", "/folder/gone/new", "/folder/loop", "/folder/link/", "/folder/" + "a" * 256,
                     "/folder/" + "a/" * 1500, "/folderreadable", "/folder\\..\\readable",
                     "/%66older/../x", "/folder/a//../x"):
            for method in ("GET", "HEAD", "PUT", "DELETE", "POST"):
                if method == "DELETE" and path in ("/folder/etc", "/folder/file", "/folder/loop", "/folder/link/"):
                    continue  # takes the link away, and nothing else: it is the datastore's own
                with self.subTest(f"{method} {path[:60]}"):
                    body = b"changed" if method in ("PUT", "POST") else None
                    answer = root.send(method, f"{path}?{FOLDER_QUERY}", body, root.headers())
                    self.assertIn(answer.status, (400, 403, 404, 405, 409, 414), answer)
                    self.assertNotIn(b"root:", answer.body)
                    self.assertNotIn(b"secret", answer.body.replace(b"link/secret", b""))
        for query in ("dsName=..", "dsName=.", "dsName=", "dsName=../..", "dsName=%2fetc", f"dsName={DS}%00", f"dsName={DS}%ff",
                      f"dsName={DS}/..", f"dsName={DS}&dcPath=..", "dsName=%", "x" * 4000, "&&&=&="):
            for method in ("GET", "PUT", "DELETE"):
                with self.subTest(f"{method} ?{query[:60]}"):
                    answer = root.send(method, f"/folder/readable?{query}", b"changed" if method == "PUT" else None, root.headers())
                    self.assertIn(answer.status, (400, 404, 405), answer)
        self.assertEqual(before, tree(self.datastore))

    def test_patterns_and_names(self) -> None:
        """Names that are patterns, or that become names of files."""
        for binding in wire.BINDINGS:
            for pattern in ("../*", "../../*", "/etc/*", "link/*", "*/../../*", "[a", "a" * 10_000, "*" * 2000 + "x", "{a,b}"):
                with self.subTest(f"{binding}: {pattern[:40]}"):
                    started = time.monotonic()
                    try:
                        found = self.roots[binding].run(
                            "HostDatastoreBrowser", self.browser, "SearchDatastoreSubFolders_Task", datastorePath=f"[{DS}]",
                            searchSpec={"_typeName": "HostDatastoreBrowserSearchSpec", "matchPattern": [pattern]})
                        self.assertNotIn("secret", json.dumps(found))
                    except Fault as fault:
                        self.assertIn(fault.type, FILES.split("|"))
                    self.assertLess(time.monotonic() - started, 10)
            for name in ("../escaped", "../../outside/escaped", "/etc/escaped", "..", ".", "a/b", "link", "x\0y", "-rf", "%s%n"):
                with self.subTest(f"{binding}: machine {name!r}"):
                    try:
                        vm = self.roots[binding].run(*VM_FOLDER, "CreateVM_Task", config=spec(name), pool=POOL)["value"]
                    except Fault as fault:
                        self.assertIn(fault.type, ("InvalidName", "InvalidArgument", "InvalidRequest"), fault)
                        continue
                    vmx = self.root.get("VirtualMachine", vm, "config.files.vmPathName")
                    self.assertNotIn("..", vmx.split("/"))
                    self.assertFalse(vmx.startswith(f"[{DS}] link/"), vmx)
                    self.assertTrue((self.datastore / vmx.removeprefix(f"[{DS}] ")).is_file(), vmx)
                    self.roots[binding].run("VirtualMachine", vm, "Destroy_Task")


if __name__ == "__main__":
    unittest.main()
