# SPDX-License-Identifier: Apache-2.0
"""The property collector through pyVmomi: one-shot reads, filters, waits, versions, views."""

from __future__ import annotations

import threading
import time
import unittest
from typing import Any

import vi
import wire
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl
from tenkyu_host import TenkyuHost
from vi import PC

VMS = 6


class Case(unittest.TestCase):
    """A host with simulated machines for all tests of a class, and a session for each test."""

    host: TenkyuHost

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("sim", args=("--sim-vms", str(VMS)))
        cls.addClassCleanup(cls.host.close)

    def setUp(self) -> None:
        self.si = vi.connect(self.host)
        self.addCleanup(self.si.content.sessionManager.Logout)
        self.pc = self.si.content.propertyCollector
        self.root = self.si.content.rootFolder

    def vms(self, si: Any = None) -> list[Any]:
        return list(vi.datacenter(si or self.si).vmFolder.childEntity)

    def other_session(self) -> Any:
        """Somebody else, who makes the changes."""
        si = vi.connect(self.host)
        self.addCleanup(si.content.sessionManager.Logout)
        return si

    def create_vm(self, si: Any, name: str) -> Any:
        vm = vi.create_vm(si, name)
        self.addCleanup(self.destroy, vm)
        return vm

    def destroy(self, vm: Any) -> None:
        try:
            WaitForTask(vm.Destroy_Task())
        except vmodl.fault.ManagedObjectNotFound:
            pass  # the test has done so

    def set_memory(self, vm: Any, megabytes: int) -> None:
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=megabytes)))

    def wait(self, version: str | None = "", seconds: int | None = 10, most: int | None = None,
             pc: Any = None) -> Any:
        return (pc or self.pc).WaitForUpdatesEx(
            version, PC.WaitOptions(maxWaitSeconds=seconds, maxObjectUpdates=most))


class Reads(Case):
    def test_retrieve_properties(self) -> None:
        content = self.pc.RetrieveProperties([vi.filter_spec(self.vms(), vim.VirtualMachine,
                                                             ["name", "runtime.powerState"])])
        got = {o.obj._moId: {p.name: p.val for p in o.propSet} for o in content}
        self.assertEqual({vm._moId: {"name": vm.name, "runtime.powerState": "poweredOn"} for vm in self.vms()}, got)

    def test_all_properties_of_everything(self) -> None:
        """Recursive selection from the root as the SDK's samples do it, and every property of what is found."""
        spec = vi.filter_spec([self.root], vim.ManagedEntity, None, vi.everything())
        content = self.pc.RetrieveProperties([spec])
        kinds = [type(o.obj).__name__ for o in content]
        self.assertEqual(VMS, kinds.count("vim.VirtualMachine"))
        for kind, number in {"vim.Datacenter": 1, "vim.HostSystem": 1, "vim.ComputeResource": 1, "vim.ResourcePool": 1,
                             "vim.Datastore": 1, "vim.Network": 1, "vim.Folder": 5}.items():
            self.assertEqual(number, kinds.count(kind), kind)
        self.assertEqual(len(content), len({o.obj._moId for o in content}), "each object is reported once")
        for o in content:
            names = [p.name for p in o.propSet]
            self.assertIn("name", names)
            self.assertEqual(len(names), len(set(names)))
            self.assertEqual([], list(o.missingSet))

    def test_selection_by_type_and_skip(self) -> None:
        """Two kinds at once, each with its properties; what is skipped is passed through but not reported."""
        spec = vi.filter_spec([self.root], vim.VirtualMachine, ["name"], vi.everything(), skip=True)
        spec.propSet.append(PC.PropertySpec(type=vim.HostSystem, pathSet=["summary.hardware.numCpuCores"]))
        content = self.pc.RetrieveProperties([spec])
        got = {type(o.obj).__name__: [p.name for p in o.propSet] for o in content}
        self.assertEqual({"vim.VirtualMachine": ["name"], "vim.HostSystem": ["summary.hardware.numCpuCores"]}, got)
        folder = vi.datacenter(self.si).vmFolder
        spec = vi.filter_spec([folder], vim.ManagedEntity, ["name"], [vi.traversal(vim.Folder, "childEntity")], skip=True)
        self.assertNotIn(folder._moId, [o.obj._moId for o in self.pc.RetrieveProperties([spec])])

    def test_nested_paths(self) -> None:
        vm = self.vms()[0]
        disk = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
        paths = [f"config.hardware.device[{disk.key}].backing.fileName", "config.hardware.numCPU", "config.files",
                 "config.hardware.device"]
        content = self.pc.RetrieveProperties([vi.filter_spec([vm], vim.VirtualMachine, paths)])
        values = {p.name: p.val for p in content[0].propSet}
        self.assertEqual("[datastore1] ha-host_VM0/ha-host_VM0.vmdk", values[paths[0]])
        self.assertEqual(1, values[paths[1]])
        self.assertEqual("[datastore1] ha-host_VM0/ha-host_VM0.vmx", values[paths[2]].vmPathName)
        self.assertEqual([d.key for d in vm.config.hardware.device], [d.key for d in values[paths[3]]])

    def test_unset_property_is_left_out(self) -> None:
        content = self.pc.RetrieveProperties([vi.filter_spec(self.vms()[:1], vim.VirtualMachine, ["name", "snapshot"])])
        self.assertEqual(["name"], [p.name for p in content[0].propSet])

    def test_invalid_property(self) -> None:
        for path in ("bogus", "config.bogus", "config.hardware.device[4000].backing.bogus.more", "name.length", "", ".",
                     "config.", "config.hardware.device["):
            with self.subTest(path), self.assertRaises(vmodl.query.InvalidProperty) as caught:
                self.pc.RetrieveProperties([vi.filter_spec(self.vms()[:1], vim.VirtualMachine, [path])])
            self.assertEqual(path, caught.exception.name or "")

    def test_object_that_is_gone(self) -> None:
        gone = vim.VirtualMachine("no-such-vm", self.si._stub)
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound) as caught:
            self.pc.RetrieveProperties([vi.filter_spec([gone], vim.VirtualMachine, ["name"])])
        self.assertEqual("no-such-vm", caught.exception.obj._moId)
        spec = vi.filter_spec([gone, self.vms()[0]], vim.VirtualMachine, ["name"])
        spec.reportMissingObjectsInResults = True
        content = self.pc.RetrieveProperties([spec])
        self.assertEqual([self.vms()[0]._moId], [o.obj._moId for o in content])

    def test_pages(self) -> None:
        spec = vi.filter_spec([self.root], vim.VirtualMachine, ["name"], vi.everything())
        page = self.pc.RetrievePropertiesEx([spec], PC.RetrieveOptions(maxObjects=4))
        names = [o.propSet[0].val for o in page.objects]
        self.assertEqual(4, len(names))
        page2 = self.pc.ContinueRetrievePropertiesEx(page.token)
        names += [o.propSet[0].val for o in page2.objects]
        self.assertIsNone(page2.token)
        self.assertEqual(sorted(vm.name for vm in self.vms()), sorted(names))
        with self.assertRaises(vmodl.fault.InvalidArgument):
            self.pc.ContinueRetrievePropertiesEx(page.token)  # all was read

    def test_pages_of_exactly_all(self) -> None:
        spec = vi.filter_spec(self.vms(), vim.VirtualMachine, ["name"])
        page = self.pc.RetrievePropertiesEx([spec], PC.RetrieveOptions(maxObjects=VMS))
        self.assertEqual((VMS, None), (len(page.objects), page.token))

    def test_cancelled_pages(self) -> None:
        spec = vi.filter_spec(self.vms(), vim.VirtualMachine, ["name"])
        page = self.pc.RetrievePropertiesEx([spec], PC.RetrieveOptions(maxObjects=1))
        self.pc.CancelRetrievePropertiesEx(page.token)
        with self.assertRaises(vmodl.fault.InvalidArgument):
            self.pc.ContinueRetrievePropertiesEx(page.token)

    def test_pages_belong_to_their_session(self) -> None:
        spec = vi.filter_spec(self.vms(), vim.VirtualMachine, ["name"])
        page = self.pc.RetrievePropertiesEx([spec], PC.RetrieveOptions(maxObjects=1))
        with self.assertRaises(vmodl.fault.InvalidArgument):
            self.other_session().content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
        self.assertEqual(1, len(self.pc.ContinueRetrievePropertiesEx(page.token).objects))

    def test_several_specs(self) -> None:
        """Objects of each spec, in its order; an object that two specs select is told twice."""
        vm = self.vms()[0]
        page = self.pc.RetrievePropertiesEx([vi.filter_spec([vm], vim.VirtualMachine, ["name"]),
                                             vi.filter_spec([vm], vim.VirtualMachine, ["config.uuid"])],
                                            PC.RetrieveOptions())
        self.assertEqual([["name"], ["config.uuid"]], [[p.name for p in o.propSet] for o in page.objects])

    def test_nothing_found(self) -> None:
        spec = vi.filter_spec([self.root], vim.VirtualMachine, ["name"])
        self.assertIsNone(self.pc.RetrievePropertiesEx([spec], PC.RetrieveOptions()))
        self.assertEqual([], list(self.pc.RetrieveProperties([spec])))


class LargeReads(unittest.TestCase):
    """Reads of so many objects that several threads write the answer, in both bindings."""

    host: TenkyuHost
    MANY = 2000

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("sim", args=("--sim-vms", str(cls.MANY)))
        cls.addClassCleanup(cls.host.close)

    def session(self, binding: str) -> wire.Session:
        session = wire.Session(self.host, binding)
        self.addCleanup(session.close)
        session.login(self.host.user, self.host.password)
        return session

    def view(self, session: wire.Session) -> dict[str, str]:
        root = wire.ref("Folder", "ha-folder-root")
        made = session.call("ViewManager", "ViewManager", "CreateContainerView", container=root,
                            type=["VirtualMachine"], recursive=True)
        return wire.ref("ContainerView", made["value"])

    def spec(self, objects: list[dict[str, str]], paths: list[str], select: bool) -> dict[str, Any]:
        more: dict[str, Any] = {"skip": True, "selectSet": [
            {"_typeName": "TraversalSpec", "type": "ContainerView", "path": "view"}]} if select else {}
        return {"propSet": [{"type": "VirtualMachine", "pathSet": paths}],
                "objectSet": [{"obj": obj, **more} for obj in objects]}

    def pages(self, session: wire.Session, spec: dict[str, Any], **options: Any) -> list[list[Any]]:
        """(id, values) of each object, page by page."""
        collector = ("PropertyCollector", "ha-property-collector")
        found = []
        answer = session.call(*collector, "RetrievePropertiesEx", specSet=[spec], options=options)
        while True:
            objects = answer["objects"] if isinstance(answer["objects"], list) else [answer["objects"]]
            found.append([(o["obj"]["value"], o["propSet"]) for o in objects])
            if "token" not in answer:
                return found
            answer = session.call(*collector, "ContinueRetrievePropertiesEx", token=answer["token"])

    def test_same_as_small_reads(self) -> None:
        paths = ["name", "runtime.powerState", "config.files", "guest"]
        for binding in wire.BINDINGS:
            with self.subTest(binding):
                session = self.session(binding)
                whole = self.pages(session, self.spec([self.view(session)], paths, True))[0]
                self.assertEqual(self.MANY, len(dict(whole)))
                small = []
                for first in range(0, self.MANY, 50):
                    some = [wire.ref("VirtualMachine", moid) for moid, _ in whole[first:first + 50]]
                    small += self.pages(session, self.spec(some, paths, False))[0]
                self.assertEqual(small, whole)

    def test_pages_by_number(self) -> None:
        for binding in wire.BINDINGS:
            with self.subTest(binding):
                session = self.session(binding)
                spec = self.spec([self.view(session)], ["name"], True)
                whole = self.pages(session, spec)
                pages = self.pages(session, spec, maxObjects=701)
                self.assertEqual([self.MANY], [len(page) for page in whole])
                self.assertEqual([701, 701, self.MANY - 1402], [len(page) for page in pages])
                self.assertEqual(whole[0], sum(pages, []))

    def test_pages_by_size(self) -> None:
        """A page ends at 7 MiB or little more, and the next goes on with the object after its last."""
        for binding in wire.BINDINGS:
            with self.subTest(binding):
                session = self.session(binding)
                spec = self.spec([self.view(session)], ["config", "summary", "environmentBrowser", "name"], True)
                whole = self.pages(session, self.spec([self.view(session)], ["name"], True))[0]
                pages = self.pages(session, spec)
                self.assertGreater(len(pages), 1)
                self.assertEqual([moid for moid, _ in whole], [moid for page in pages for moid, _ in page])

    def test_while_machines_come_and_go(self) -> None:
        """Each machine that was there all the time is told once, by its own name."""
        admin = vi.connect(self.host)
        self.addCleanup(admin.content.sessionManager.Logout)
        session = self.session("json")
        spec = self.spec([self.view(session)], ["name"], True)
        before = {moid: values for moid, values in self.pages(session, spec)[0]}
        end = threading.Event()

        def change() -> None:
            while not end.is_set():
                vm = vi.create_vm(admin, "visitor")
                WaitForTask(vm.Destroy_Task())

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(20):
                objects = [o for page in self.pages(session, spec, maxObjects=900) for o in page]
                self.assertEqual(len(objects), len(dict(objects)))
                self.assertEqual(before, {moid: values for moid, values in objects if moid in before})
        finally:
            end.set()
            thread.join()


class Waits(Case):
    def test_first_answer_and_then_changes(self) -> None:
        vm = self.vms()[0]
        self.pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["name", "runtime.powerState", "snapshot"]), True)
        first = self.wait()
        self.assertEqual({vm._moId: [("enter", "", None), ("assign", "name", vm.name),
                                     ("assign", "runtime.powerState", "poweredOn")]}, vi.updates(first))
        self.assertFalse(first.truncated)
        other = vim.VirtualMachine(vm._moId, self.other_session()._stub)
        try:
            WaitForTask(other.PowerOffVM_Task())
            second = self.wait(first.version)
            self.assertEqual({vm._moId: [("assign", "runtime.powerState", "poweredOff")]}, vi.updates(second))
            self.assertNotEqual(first.version, second.version)
        finally:
            WaitForTask(other.PowerOnVM_Task())
        self.assertEqual({vm._moId: [("assign", "runtime.powerState", "poweredOn")]},
                         vi.updates(self.wait(second.version)))

    def test_a_parked_wait_is_woken(self) -> None:
        """The change comes while the wait is under way, and other calls of the session pass it."""
        vm = self.create_vm(self.other_session(), "parked")
        self.pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["config.hardware.memoryMB"]), True)
        version = self.wait().version
        answers: list[Any] = []
        waiting = vi.same_session(self.si).content.propertyCollector
        thread = threading.Thread(target=lambda: answers.append(self.wait(version, 60, pc=waiting)))
        thread.start()
        self.assertEqual("parked", vim.VirtualMachine(vm._moId, self.si._stub).name)
        self.set_memory(vm, 96)
        thread.join(30)
        self.assertEqual({vm._moId: [("assign", "config.hardware.memoryMB", 96)]}, vi.updates(answers[0]))

    def test_partial_updates(self) -> None:
        """With partial updates the part that changed is named, without them the property that was asked for."""
        other = self.other_session()
        vm = self.create_vm(other, "partial")
        spec = vi.filter_spec([vm], vim.VirtualMachine, ["config", "summary.config.memorySizeMB"])
        whole = self.pc.CreatePropertyCollector()
        self.pc.CreateFilter(spec, True)
        whole.CreateFilter(spec, False)
        versions = self.wait().version, self.wait(pc=whole).version
        self.set_memory(vm, 128)
        parts = {name: value for _, name, value in vi.updates(self.wait(versions[0]))[vm._moId]}
        self.assertEqual(128, parts["config.hardware.memoryMB"])
        self.assertEqual(128, parts["summary.config.memorySizeMB"])
        self.assertNotIn("config", parts)
        wholes = {name: value for _, name, value in vi.updates(self.wait(versions[1], pc=whole))[vm._moId]}
        self.assertEqual({"config", "summary.config.memorySizeMB"}, set(wholes))
        self.assertEqual(128, wholes["config"].hardware.memoryMB)

    def test_partial_updates_of_a_list(self) -> None:
        """A device that comes or goes is one change of its own, named by its key."""
        other = self.other_session()
        vm = self.create_vm(other, "devices")
        self.pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["config.hardware.device"]), True)
        version = self.wait().version
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[vi.added(vi.network_card())])))
        card = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualVmxnet3))
        update = self.wait(version)
        changes = {name: (op, value) for op, name, value in vi.updates(update)[vm._moId]}
        op, value = changes[f"config.hardware.device[{card.key}]"]
        self.assertIn(op, ("add", "assign"))
        self.assertEqual(card.macAddress, value.macAddress)
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(
            deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="remove", device=card)])))
        changes = {name: op for op, name, _ in vi.updates(self.wait(update.version))[vm._moId]}
        self.assertEqual("remove", changes[f"config.hardware.device[{card.key}]"])

    def test_changes_that_nobody_asked_for_wake_nobody(self) -> None:
        other = self.other_session()
        vm = self.create_vm(other, "quiet")
        self.pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["name"]), True)
        version = self.wait().version
        self.set_memory(vm, 160)
        self.assertIsNone(self.wait(version, 0))

    def test_time_out(self) -> None:
        self.pc.CreateFilter(vi.filter_spec(self.vms()[:1], vim.VirtualMachine, ["name"]), True)
        version = self.wait().version
        started = time.monotonic()
        self.assertIsNone(self.wait(version, 1))
        self.assertGreaterEqual(time.monotonic() - started, 0.95)
        self.assertIsNone(self.wait(version, 0))
        self.assertIsNone(self.pc.CheckForUpdates(version))

    def test_check_for_updates(self) -> None:
        vm = self.create_vm(self.other_session(), "checked")
        self.pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["config.hardware.memoryMB"]), True)
        first = self.pc.CheckForUpdates("")
        self.assertEqual("enter", vi.updates(first)[vm._moId][0][0])
        self.assertIsNone(self.pc.CheckForUpdates(first.version))
        self.set_memory(vm, 192)
        self.assertEqual({vm._moId: [("assign", "config.hardware.memoryMB", 192)]},
                         vi.updates(self.pc.CheckForUpdates(first.version)))

    def test_truncation(self) -> None:
        self.pc.CreateFilter(vi.filter_spec(self.vms(), vim.VirtualMachine, ["name"]), True)
        version, seen, sizes = "", set(), []
        while not sizes or truncated:
            answer = self.wait(version, most=4)
            found = vi.updates(answer)
            self.assertEqual(set(), seen & set(found), "nothing is told twice")
            seen |= set(found)
            sizes.append(len(found))
            version, truncated = answer.version, answer.truncated
        self.assertEqual([4, VMS - 4], sizes)
        self.assertIsNone(self.wait(version, 0))

    def test_limits_that_are_none(self) -> None:
        for options in (PC.WaitOptions(maxWaitSeconds=-1), PC.WaitOptions(maxObjectUpdates=0)):
            with self.assertRaises(vmodl.fault.InvalidArgument):
                self.pc.WaitForUpdatesEx("", options)

    def test_lost_answer(self) -> None:
        """Who asks again with the version before is told again, together with what has happened since."""
        vm = self.create_vm(self.other_session(), "lost")
        self.pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["config.hardware.memoryMB", "config.annotation"]),
                             True)
        first = self.wait().version
        self.set_memory(vm, 224)
        lost = self.wait(first)
        self.assertEqual({vm._moId: [("assign", "config.hardware.memoryMB", 224)]}, vi.updates(lost))
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="since")))
        again = self.wait(first)
        self.assertEqual({("assign", "config.hardware.memoryMB", 224), ("assign", "config.annotation", "since")},
                         set(vi.updates(again)[vm._moId]))
        self.assertIsNone(self.wait(again.version, 0))
        self.assertEqual([("enter", "", None)], [c for c in vi.updates(self.wait(""))[vm._moId] if c[0] == "enter"])

    def test_invalid_collector_version(self) -> None:
        self.pc.CreateFilter(vi.filter_spec(self.vms()[:1], vim.VirtualMachine, ["name"]), True)
        self.wait()
        for version in ("7", "-1", "0", "junk", "1 ", "99999999999999999999999"):
            with self.subTest(version), self.assertRaises(vmodl.query.InvalidCollectorVersion):
                self.wait(version, 0)

    def test_cancel_from_another_thread(self) -> None:
        self.pc.CreateFilter(vi.filter_spec(self.vms()[:1], vim.VirtualMachine, ["name"]), True)
        version = self.wait().version
        faults: list[Any] = []
        waiting = vi.same_session(self.si).content.propertyCollector

        def wait() -> None:
            try:
                self.wait(version, None, pc=waiting)
            except vmodl.fault.RequestCanceled as fault:
                faults.append(fault)

        thread = threading.Thread(target=wait)
        thread.start()
        deadline = time.monotonic() + 20
        while thread.is_alive() and time.monotonic() < deadline:  # it may not be parked yet
            self.pc.CancelWaitForUpdates()
            thread.join(0.05)
        self.assertEqual(1, len(faults))
        self.assertIsNone(self.wait(version, 0))  # the collector goes on

    def test_the_end_of_a_collector_ends_its_wait(self) -> None:
        collector = self.pc.CreatePropertyCollector()
        collector.CreateFilter(vi.filter_spec(self.vms()[:1], vim.VirtualMachine, ["name"]), True)
        version = self.wait(pc=collector).version
        faults: list[Any] = []
        waiting = PC(collector._moId, vi.same_session(self.si)._stub)
        parked = threading.Event()

        def wait() -> None:
            parked.set()
            try:
                self.wait(version, None, pc=waiting)
            except vmodl.MethodFault as fault:
                faults.append(fault)

        thread = threading.Thread(target=wait)
        thread.start()
        parked.wait()
        collector.Destroy()
        thread.join(30)
        self.assertIsInstance(faults[0], (vmodl.fault.RequestCanceled, vmodl.fault.ManagedObjectNotFound))
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            self.wait(version, 0, pc=collector)

    def test_collectors_are_independent(self) -> None:
        vm = self.create_vm(self.other_session(), "two collectors")
        one, two = self.pc.CreatePropertyCollector(), self.pc.CreatePropertyCollector()
        one.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["config.hardware.memoryMB"]), True)
        two.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["name"]), True)
        versions = self.wait(pc=one).version, self.wait(pc=two).version
        self.set_memory(vm, 256)
        self.assertIsNone(self.wait(versions[1], 0, pc=two))
        self.assertIn(vm._moId, vi.updates(self.wait(versions[0], pc=one)))
        self.assertEqual(([1], [1], []), ([len(one.filter)], [len(two.filter)], list(self.pc.filter)))
        one.Destroy()
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            one.CheckForUpdates("")
        self.assertIsNone(self.wait(versions[1], 0, pc=two))

    def test_filters_of_a_collector(self) -> None:
        vm = self.vms()[0]
        spec = vi.filter_spec([vm], vim.VirtualMachine, ["name"])
        first = self.pc.CreateFilter(spec, True)
        version = self.wait().version
        second = self.pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, ["config.uuid"]), False)
        self.assertEqual({first._moId, second._moId}, {f._moId for f in self.pc.filter})
        self.assertEqual((True, False), (first.partialUpdates, second.partialUpdates))
        self.assertEqual(["config.uuid"], list(second.spec.propSet[0].pathSet))
        answer = self.wait(version)  # only the new one has something to tell
        self.assertEqual([second._moId], [f.filter._moId for f in answer.filterSet])
        first.Destroy()
        self.assertEqual([second._moId], [f._moId for f in self.pc.filter])
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            first.Destroy()
        answer = self.wait("")
        self.assertEqual([second._moId], [f.filter._moId for f in answer.filterSet])

    def test_a_filter_that_cannot_be(self) -> None:
        with self.assertRaises(vmodl.query.InvalidProperty):
            self.pc.CreateFilter(vi.filter_spec(self.vms()[:1], vim.VirtualMachine, ["nonsense"]), True)
        gone = vim.VirtualMachine("no-such-vm", self.si._stub)
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            self.pc.CreateFilter(vi.filter_spec([gone], vim.VirtualMachine, ["name"]), True)
        self.assertEqual([], list(self.pc.filter))

    def test_wait_for_updates_without_ex(self) -> None:
        """As libvirt waits for its tasks."""
        vm = self.vms()[1]
        task = vm.PowerOffVM_Task()
        spec = vi.filter_spec([task], vim.Task, ["info.state"])
        task_filter = self.pc.CreateFilter(spec, False)
        version, state = None, None
        while state not in ("success", "error"):
            answer = self.pc.WaitForUpdates(version)
            version, state = answer.version, vi.updates(answer)[task._moId][-1][2]
        task_filter.Destroy()
        self.assertEqual(("success", "poweredOff"), (state, vm.runtime.powerState))
        WaitForTask(vm.PowerOnVM_Task())


class Views(Case):
    def watch(self, view: Any, kind: Any, paths: list[str]) -> str:
        """Watches what is in a view, as most tools do it. Returns the version after the first answer."""
        spec = vi.filter_spec([view], kind, paths, [vi.traversal(type(view), "view")], skip=True)
        self.pc.CreateFilter(spec, True)
        return self.wait().version

    def test_container_view_follows_the_inventory(self) -> None:
        view = self.si.content.viewManager.CreateContainerView(self.root, [vim.VirtualMachine], True)
        self.assertEqual(VMS, len(view.view))
        version = self.watch(view, vim.VirtualMachine, ["name", "runtime.powerState"])
        other = self.other_session()
        vm = self.create_vm(other, "comes and goes")
        self.assertIn(vm._moId, [o._moId for o in view.view])
        answer = self.wait(version)
        self.assertEqual({vm._moId: [("enter", "", None), ("assign", "name", "comes and goes"),
                                     ("assign", "runtime.powerState", "poweredOff")]}, vi.updates(answer))
        WaitForTask(vm.PowerOnVM_Task())
        answer = self.wait(answer.version)
        self.assertEqual({vm._moId: [("assign", "runtime.powerState", "poweredOn")]}, vi.updates(answer))
        WaitForTask(vm.PowerOffVM_Task())
        answer = self.wait(answer.version)
        WaitForTask(vm.Destroy_Task())
        answer = self.wait(answer.version)
        self.assertEqual({vm._moId: [("leave", "", None)]}, vi.updates(answer))
        self.assertNotIn(vm._moId, [o._moId for o in view.view])

    def test_container_views_of_types_and_depth(self) -> None:
        manager = self.si.content.viewManager
        folder = vi.datacenter(self.si).vmFolder
        for types, recursive, container, wanted in (
                ([], False, self.root, ["vim.Datacenter"]),
                ([vim.HostSystem, vim.Datastore], True, self.root, ["vim.Datastore", "vim.HostSystem"]),
                ([vim.VirtualMachine], False, self.root, []),
                ([vim.ManagedEntity], False, folder, ["vim.VirtualMachine"] * VMS)):
            view = manager.CreateContainerView(container, types, recursive)
            self.assertEqual(wanted, sorted(type(o).__name__ for o in view.view))
            self.assertIn(view._moId, [v._moId for v in manager.viewList])
            view.Destroy()
            self.assertNotIn(view._moId, [v._moId for v in manager.viewList])
            with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
                view.Destroy()

    def test_list_view(self) -> None:
        vms = self.vms()
        view = self.si.content.viewManager.CreateListView(vms[:2])
        version = self.watch(view, vim.VirtualMachine, ["name"])
        self.assertEqual([], view.Modify(add=[vms[2]], remove=[vms[0]]) or [])
        answer = self.wait(version)
        self.assertEqual({vms[2]._moId: ["enter", "assign"], vms[0]._moId: ["leave"]},
                         {moid: [c[0] for c in changes] for moid, changes in vi.updates(answer).items()})
        gone = vim.VirtualMachine("no-such-vm", self.si._stub)
        self.assertEqual(["no-such-vm"], [o._moId for o in view.Modify(add=[gone])])
        view.Reset(obj=vms[3:5])
        self.assertEqual({vms[1]._moId, vms[2]._moId, vms[3]._moId, vms[4]._moId}, set(vi.updates(self.wait(answer.version))))
        self.assertEqual([o._moId for o in vms[3:5]], [o._moId for o in view.view])

    def test_recursive_filter_follows_the_inventory(self) -> None:
        """Without a view: the selection itself is kept up to date."""
        spec = vi.filter_spec([self.root], vim.VirtualMachine, ["name"], vi.everything())
        self.pc.CreateFilter(spec, True)
        first = self.wait()
        self.assertEqual(VMS, len(vi.updates(first)))
        vm = self.create_vm(self.other_session(), "found by recursion")
        answer = self.wait(first.version)
        self.assertEqual({vm._moId: [("enter", "", None), ("assign", "name", "found by recursion")]}, vi.updates(answer))
        WaitForTask(vm.Destroy_Task())
        self.assertEqual({vm._moId: [("leave", "", None)]}, vi.updates(self.wait(answer.version)))

    def test_what_comes_and_goes_between_two_asks_is_not_told(self) -> None:
        view = self.si.content.viewManager.CreateContainerView(self.root, [vim.VirtualMachine], True)
        version = self.watch(view, vim.VirtualMachine, ["name"])
        vm = self.create_vm(self.other_session(), "unseen")
        WaitForTask(vm.Destroy_Task())
        self.assertIsNone(self.wait(version, 0))

    def test_things_of_another_session_do_not_exist(self) -> None:
        view = self.si.content.viewManager.CreateContainerView(self.root, [vim.VirtualMachine], True)
        collector = self.pc.CreatePropertyCollector()
        property_filter = collector.CreateFilter(vi.filter_spec(self.vms()[:1], vim.VirtualMachine, ["name"]), True)
        stub = self.other_session()._stub
        for call in (lambda: vim.view.ContainerView(view._moId, stub).view,
                     vim.view.ContainerView(view._moId, stub).Destroy,
                     PC(collector._moId, stub).Destroy,
                     lambda: PC(collector._moId, stub).CheckForUpdates(""),
                     PC.Filter(property_filter._moId, stub).Destroy):
            with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
                call()
        self.assertEqual(VMS, len(view.view))


if __name__ == "__main__":
    unittest.main()
