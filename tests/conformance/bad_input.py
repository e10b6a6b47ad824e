# SPDX-License-Identifier: Apache-2.0
"""What the tests of bad input share. Each goes through the wire to a running host and back; after it the host answers, has
logged no error, and shows the same inventory and has the same files as before. What a request names would be easy to see
if it had any effect: nearly all of them try to power a machine off, or to touch a file."""

from __future__ import annotations

import hashlib
import os
import unittest
from pathlib import Path
from typing import Any

import wire
from tenkyu_host import TenkyuHost
from wire import Fault, Session, ref

DS = "datastore1"
VM_FOLDER = ("Folder", "ha-folder-vm")
POOL = ref("ResourcePool", "ha-root-pool")
FOLDER_QUERY = f"dcPath=ha-datacenter&dsName={DS}"
PASSWORD = "Plain-0ld-password"


def tree(folder: Path) -> dict[str, str]:
    """All that is beneath a folder: what it is, its mode, and a digest of what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        content = os.readlink(path) if path.is_symlink() else \
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = f"{stat.st_mode:o} {content}"
    return found


class Case(unittest.TestCase):
    """A host with a machine in each power state, a file that may be read, and a folder outside of the datastore that
    nobody may reach."""

    host: TenkyuHost
    vms: dict[str, str]  # power state -> id

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("sim")
        cls.addClassCleanup(cls.host.close)
        cls.roots = {binding: cls.session(binding) for binding in wire.BINDINGS}
        cls.root = cls.roots["json"]
        cls.datastore = cls.host.state / "datastores" / DS
        cls.outside = cls.host.folder / "outside"
        cls.outside.mkdir()
        (cls.outside / "secret").write_text("secret")
        cls.vms = {}
        for state, methods in (("poweredOff", ()), ("poweredOn", ("PowerOnVM_Task",)),
                               ("suspended", ("PowerOnVM_Task", "SuspendVM_Task"))):
            moid = cls.root.run(*VM_FOLDER, "CreateVM_Task", config=spec(state), pool=POOL)["value"]
            for method in methods:
                cls.root.run("VirtualMachine", moid, method)
            cls.vms[state] = moid
        (cls.datastore / "readable").write_text("readable")

    @classmethod
    def tearDownClass(cls) -> None:
        """The host ends in good order, which is when a sanitizer tells of leaks."""
        if cls.host.process is not None:
            code = cls.host.stop()
            assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    @classmethod
    def session(cls, binding: str, user: str | None = None, password: str | None = None) -> Session:
        session = Session(cls.host, binding)
        session.login(user or cls.host.user, password or cls.host.password)
        cls.addClassCleanup(session.close)
        return session

    def setUp(self) -> None:
        self.before = self.picture()
        self.addCleanup(self.unchanged)

    def picture(self) -> dict[str, Any]:
        root = self.root
        found: dict[str, Any] = {"state": tree(self.host.state), "outside": tree(self.outside)}
        found["vms"] = root.get(*VM_FOLDER, "childEntity")
        for vm in found["vms"]:
            for path in ("name", "config", "runtime.powerState", "layoutEx.file"):
                found[f"{vm['value']}.{path}"] = root.get("VirtualMachine", vm["value"], path)
        found["datastores"] = root.get("Datacenter", "ha-datacenter", "datastore")
        found["roles"] = root.get("AuthorizationManager", "ha-authmgr", "roleList")
        found["permissions"] = root.call("AuthorizationManager", "ha-authmgr", "RetrieveAllPermissions")
        found["message"] = root.get("SessionManager", "ha-sessionmgr", "message")
        return found

    def unchanged(self) -> None:
        assert self.host.process is not None
        self.assertIsNone(self.host.process.poll(), self.host.log_text()[-4000:])
        after = self.picture()
        for key in self.before.keys() | after.keys():
            self.assertEqual(self.before.get(key), after.get(key), key)
        self.assertNotRegex(self.host.log_text(), "CRITICAL|ERROR|Sanitizer|runtime error")

    def fault(self, kinds: str, call: Any, *arguments: Any, **more: Any) -> Fault:
        """Makes the call, which must end in one of these faults; the fault."""
        with self.assertRaises(Fault) as caught:
            call(*arguments, **more)
        self.assertIn(caught.exception.type, kinds.split("|"), caught.exception)
        self.assertTrue(caught.exception.body.get("message"), caught.exception)
        return caught.exception


def spec(name: str, **more: Any) -> dict[str, Any]:
    """Arguments of CreateVM_Task, in the order of their type."""
    return {"_typeName": "VirtualMachineConfigSpec", "name": name, "guestId": "otherGuest64",
            "files": {"_typeName": "VirtualMachineFileInfo", "vmPathName": f"[{DS}]"},
            "numCPUs": 1, "memoryMB": 64, **more}
