# SPDX-License-Identifier: Apache-2.0
"""pyVmomi against a host with simulated machines: connecting, versions, machines, tasks, events, search, rights
and sessions. What the property collector does is in test_property_collector."""

from __future__ import annotations

import io
import re
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import vi
from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer
from pyVmomi.VmomiSupport import ManagedObject
from schema.__main__ import load
from tenkyu_host import ROOT, TenkyuHost
from vi import PC

VMS = 3
_VIM = "{urn:vim25}"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


class Case(unittest.TestCase):
    """A host for all tests of a class, and root's session for each test."""

    host: TenkyuHost
    tls = False

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("sim", tls=cls.tls, args=("--sim-vms", str(VMS)))
        cls.addClassCleanup(cls.host.close)

    def setUp(self) -> None:
        self.si = self.connect()
        self.content = self.si.content
        self.folder = vi.datacenter(self.si).vmFolder

    def connect(self, *args: Any, **more: Any) -> Any:
        si = vi.connect(self.host, *args, **more)
        self.addCleanup(Disconnect, si)
        return si

    def create_vm(self, name: str, **more: Any) -> Any:
        vm = vi.create_vm(self.si, name, **more)
        self.addCleanup(self.remove, vm)
        return vm

    def remove(self, vm: Any) -> None:
        try:
            if vm.runtime.powerState != "poweredOff":
                WaitForTask(vm.PowerOffVM_Task())
            WaitForTask(vm.Destroy_Task())
        except vmodl.fault.ManagedObjectNotFound:
            pass  # the test has done so

    def datastore_path(self, *parts: str) -> Path:
        return self.host.state.joinpath("datastores", "datastore1", *parts)


class Connecting(Case):
    tls = True

    def test_smart_connect(self) -> None:
        """As every sample begins: the newest common version, TLS, login."""
        address, port = self.host.address
        si = SmartConnect(host=address, port=port, user=self.host.user, pwd=self.host.password,
                          sslContext=vi.unverified())
        self.assertEqual("urn:vim25/6.7", si._stub.versionId.strip('"'))
        about = si.content.about
        self.assertEqual(("HostAgent", "6.7"), (about.apiType, about.apiVersion))
        session = si.content.sessionManager.currentSession
        self.assertEqual((self.host.user, address), (session.userName, session.ipAddress))
        self.assertIn("pyvmomi", session.userAgent)
        keys = [s.key for s in self.content.sessionManager.sessionList]
        self.assertIn(session.key, keys)
        Disconnect(si)
        self.assertNotIn(session.key, [s.key for s in self.content.sessionManager.sessionList])
        with self.assertRaises(vim.fault.NotAuthenticated):
            si.content.rootFolder.name

    def test_preferred_version(self) -> None:
        address, port = self.host.address
        si = SmartConnect(host=address, port=port, user=self.host.user, pwd=self.host.password,
                          preferredApiVersions=["vim.version.version9"], sslContext=vi.unverified())
        self.addCleanup(Disconnect, si)
        self.assertEqual("urn:vim25/5.5", si._stub.versionId.strip('"'))
        self.assertEqual(VMS, len(vi.datacenter(si).vmFolder.childEntity))

    def test_certificate_of_the_own_authority(self) -> None:
        """With the host's CA in hand a client may check the certificate."""
        context = vi.unverified()
        context.load_verify_locations(next(self.host.state.rglob("ca.pem")))
        context.check_hostname, context.verify_mode = True, vi.ssl.CERT_REQUIRED
        address, port = self.host.address
        si = SmartConnect(host=address, port=port, user=self.host.user, pwd=self.host.password, sslContext=context)
        self.addCleanup(Disconnect, si)
        self.assertEqual(self.host.user, si.content.sessionManager.currentSession.userName)

    def test_before_login(self) -> None:
        si = vim.ServiceInstance("ServiceInstance", vi.soap_stub(self.host))
        self.assertEqual("Tenkyu", si.content.about.vendor)
        for call in (si.CurrentTime, lambda: si.content.rootFolder.name, lambda: si.content.sessionManager.sessionList,
                     lambda: si.content.viewManager.CreateContainerView(si.content.rootFolder, [], True),
                     lambda: vim.VirtualMachine("no-such-vm", si._stub).PowerOn()):
            with self.assertRaises((vim.fault.NotAuthenticated, vmodl.fault.SecurityError)):
                call()

    def test_wrong_credentials(self) -> None:
        for user, password in ((self.host.user, "wrong"), ("nobody", self.host.password), (self.host.user, "")):
            manager = vim.ServiceInstance("ServiceInstance", vi.soap_stub(self.host)).content.sessionManager
            with self.assertRaises(vim.fault.InvalidLogin):
                manager.Login(user, password, None)
            with self.assertRaises(vim.fault.NotAuthenticated):
                manager.sessionList


class Versions(Case):
    """A client never sees a name that is newer than its version: many of them stop at one. What is looked at is what
    came over the wire, for pyVmomi fills in what it misses."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.schema, diagnostics = load([str(path) for path in (ROOT / "api").glob("*.api")])
        assert not diagnostics
        cls.methods = {m.name: m for m in cls.schema.methods()}
        cls.numbers = vi.version_names()

    def setUp(self) -> None:
        super().setUp()
        self.answers: list[ElementTree.Element] = []
        deserialize = SoapResponseDeserializer.Deserialize

        def keep(deserializer: Any, stream: Any, *more: Any) -> Any:
            text = stream.read()
            self.answers.append(ElementTree.fromstring(text))
            return deserialize(deserializer, io.BytesIO(text), *more)

        patch = mock.patch.object(SoapResponseDeserializer, "Deserialize", keep)
        patch.start()
        self.addCleanup(patch.stop)

    def is_newer(self, since: str, version: str) -> bool:
        return self.schema.version_index(since) > self.schema.version_index(version)

    def newer(self, element: ElementTree.Element, declared: str, version: str) -> Iterator[str]:
        """Names below an element that are newer than the version."""
        name = element.get(_XSI_TYPE, declared).rpartition(":")[2]
        if name.startswith("ArrayOf"):
            for item in element:
                yield from self.newer(item, "", version)
            return
        kind = self.schema.types.get(name)
        if kind is None or kind.kind == "managed":
            return  # a scalar or a reference
        if self.is_newer(kind.since, version):
            yield kind.name
        if kind.kind == "enum":
            since = {v.name: v.since for v in kind.values}[element.text or ""]
            if self.is_newer(since, version):
                yield f"{kind.name} {element.text}"
            return
        members = {m.name: m for m in self.schema.all_members(kind)}
        for child in element:
            member = members[child.tag.rpartition("}")[2]]
            if self.is_newer(member.since, version):
                yield f"{kind.name}.{member.name}"
            yield from self.newer(child, member.type.name, version)

    def properties(self, element: ElementTree.Element, version: str) -> Iterator[str]:
        """The same for the names of properties that were told."""
        for told in element.iter(_VIM + "objectSet" if element.find(f".//{_VIM}objectSet") is not None
                                 else _VIM + "returnval"):
            obj = told.find(_VIM + "obj")
            if obj is not None:
                members = self.schema.all_members(self.schema.types[obj.get("type", "")])
                since = {m.name: m.since for m in members}
                names = [n.text or "" for kind in ("propSet", "changeSet") for n in told.iterfind(f"{_VIM}{kind}/{_VIM}name")]
                yield from (f"{obj.get('type')}.{name}" for name in names
                            if self.is_newer(since[re.split(r"[.\[]", name)[0]], version))

    def check(self, version: str) -> None:
        """Nothing in the answers so far is newer than the version; forgets them."""
        found = set()
        values = 0
        for answer in self.answers:
            body = answer[0][0]
            method = self.methods.get(body.tag.rpartition("}")[2].removesuffix("Response"))
            if method is not None and method.result is not None:
                for value in body:
                    found |= set(self.newer(value, method.result.name, version))
                found |= set(self.properties(body, version))
                values += sum(1 for _ in body.iter())
        self.answers.clear()
        self.assertGreater(values, 30)
        self.assertEqual(set(), found)

    def nvme_vm(self, name: str) -> Any:
        vm = self.create_vm(name)
        self.add_nvme(vm)
        return vm

    def add_nvme(self, vm: Any) -> None:
        """A controller that came with 6.5."""
        controller = vim.vm.device.VirtualNVMEController(key=-7, busNumber=0)
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[vi.added(controller)])))

    def test_everything_in_every_version(self) -> None:
        self.nvme_vm("new hardware")
        managers = [m for m in vars(self.content).values() if isinstance(m, ManagedObject)]
        self.assertGreater(len(managers), 8)
        for version in (v.name for v in self.schema.versions):
            with self.subTest(version):
                content = self.connect(self.numbers[version]).RetrieveContent()
                pc = content.propertyCollector
                self.answers.clear()
                page = pc.RetrieveProperties([vi.filter_spec([content.rootFolder], vim.ManagedEntity, None,
                                                             vi.everything())])
                self.assertEqual(VMS + 1, len([o for o in page if isinstance(o.obj, vim.VirtualMachine)]))
                for manager in managers:
                    pc.RetrieveProperties([vi.filter_spec([manager], type(manager), None)])
                self.check(version)

    def test_the_test_sees_what_is_newer(self) -> None:
        vm = self.nvme_vm("to be seen")
        self.answers.clear()
        self.content.propertyCollector.RetrieveProperties([vi.filter_spec([vm], vim.VirtualMachine, None)])
        with self.assertRaisesRegex(AssertionError, "VirtualNVMEController"):
            self.check("6.0")

    def test_old_and_new_of_the_same(self) -> None:
        """An object of a type that the client does not know comes as the nearest one that it knows."""
        vm = self.nvme_vm("nvme")
        key = next(d.key for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualNVMEController))
        old = vim.VirtualMachine(vm._moId, self.connect(self.numbers["5.5"])._stub)
        device = next(d for d in old.config.hardware.device if d.key == key)
        self.assertEqual("vim.vm.device.VirtualController", type(device).__name__)

    def test_updates_in_an_old_version(self) -> None:
        vm = self.create_vm("watched")
        pc = self.connect(self.numbers["4.0"]).RetrieveContent().propertyCollector
        pc.CreateFilter(vi.filter_spec([vm], vim.VirtualMachine, None), True)
        self.answers.clear()
        first = pc.WaitForUpdates("")
        self.check("4.0")
        self.add_nvme(vm)
        self.answers.clear()
        names = [c.name for c in pc.WaitForUpdates(first.version).filterSet[0].objectSet[0].changeSet]
        self.assertIn("config.hardware.device", {name.partition("[")[0] for name in names})
        self.check("4.0")


class Machines(Case):
    def test_life(self) -> None:
        """Create, on, suspend, resume, reset, off, reconfigure, unregister, register, destroy, each with its effect."""
        vm = self.create_vm("life", disk_mb=8)
        self.assertEqual(("life", 64, "poweredOff"),
                         (vm.name, vm.config.hardware.memoryMB, vm.runtime.powerState))
        vmx = self.datastore_path("life", "life.vmx")
        self.assertIn('displayName = "life"', vmx.read_text())
        disk = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
        self.assertEqual(("[datastore1] life/life.vmdk", 8 << 10), (disk.backing.fileName, disk.capacityInKB))
        self.assertTrue(self.datastore_path("life", "life.vmdk").is_file())
        for call, state in (("PowerOnVM_Task", "poweredOn"), ("SuspendVM_Task", "suspended"),
                            ("PowerOnVM_Task", "poweredOn"), ("ResetVM_Task", "poweredOn"),
                            ("PowerOffVM_Task", "poweredOff")):
            WaitForTask(getattr(vm, call)())
            self.assertEqual(state, vm.runtime.powerState, call)
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(name="afterlife", numCPUs=2, memoryMB=128, annotation="a\n<b>")))
        self.assertEqual(("afterlife", 2, 128, "a\n<b>"), (vm.name, vm.config.hardware.numCPU,
                                                           vm.config.hardware.memoryMB, vm.config.annotation))
        self.assertIn('displayName = "afterlife"', vmx.read_text())
        path = vm.config.files.vmPathName
        vm.UnregisterVM()
        self.assertNotIn("afterlife", [v.name for v in self.folder.childEntity])
        self.assertTrue(vmx.is_file())
        task = self.folder.RegisterVM_Task(path=path, asTemplate=False, pool=vi.pool(self.si))
        WaitForTask(task)
        vm = task.info.result
        self.assertEqual(("afterlife", 2), (vm.name, vm.config.hardware.numCPU))
        WaitForTask(vm.Destroy_Task())
        self.assertFalse(vmx.parent.exists())

    def test_faults_of_tasks(self) -> None:
        vm = self.create_vm("faults")
        with self.assertRaises(vim.fault.InvalidPowerState) as caught:
            WaitForTask(vm.PowerOffVM_Task())
        self.assertEqual(("poweredOn", "poweredOff"), (caught.exception.requestedState, caught.exception.existingState))
        with self.assertRaises(vim.fault.DuplicateName):
            vi.create_vm(self.si, "faults")
        with self.assertRaises((vim.fault.InvalidDatastorePath, vim.fault.InvalidName, vmodl.fault.InvalidArgument)):
            spec = vi.vm_spec("escape")
            spec.files.vmPathName = "[datastore1] ../../escape/escape.vmx"
            WaitForTask(self.folder.CreateVM_Task(config=spec, pool=vi.pool(self.si)))
        self.assertEqual([], list(self.host.folder.rglob("escape")))

    def test_methods_and_types_that_do_not_fit(self) -> None:
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            vim.VirtualMachine("no-such-vm", self.si._stub).PowerOn()
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):  # it is there, but no VirtualMachine
            vim.VirtualMachine(vi.datacenter(self.si)._moId, self.si._stub).PowerOn()
        with self.assertRaises(vmodl.fault.NotSupported):
            self.folder.CreateFolder("new")
        with self.assertRaises(vim.fault.NumVirtualCpusNotSupported):
            WaitForTask(self.create_vm("cpus").ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=-1)))

    def test_names_with_all_kinds_of_characters(self) -> None:
        name = "Ångström & <天球> \"quoted\" 'single'"
        vm = self.create_vm(name)
        self.assertEqual(name, vm.name)
        self.assertEqual(name, vm.summary.config.name)
        self.assertIn(vm, self.content.viewManager.CreateContainerView(
            self.content.rootFolder, [vim.VirtualMachine], True).view)

    def test_lists_that_are_empty_are_lists(self) -> None:
        """Scripts loop over these without asking."""
        vm = self.create_vm("without network")
        self.assertEqual(([], []), (list(vm.network), list(vm.rootSnapshot)))
        self.assertIsNone(vm.snapshot)


class Tasks(Case):
    def test_info(self) -> None:
        vm = self.create_vm("task info")
        task = vm.PowerOnVM_Task()
        WaitForTask(task)
        info = task.info
        self.assertEqual(("success", "VirtualMachine.powerOn", vm, "task info", False),
                         (info.state, info.descriptionId, info.entity, info.entityName, info.cancelable))
        self.assertEqual("PowerOnVM_Task", info.name.info.wsdlName)
        self.assertEqual(self.host.user, info.reason.userName)
        self.assertTrue(info.queueTime <= info.startTime <= info.completeTime)
        self.assertIn(task, self.content.taskManager.recentTask)
        self.assertIn(task, vm.recentTask)
        labels = {d.key: d.label for d in self.content.taskManager.description.methodInfo}
        self.assertTrue(labels[info.descriptionId])

    def test_history(self) -> None:
        vm = self.create_vm("task history")
        for call in (vm.PowerOnVM_Task, vm.PowerOffVM_Task, vm.PowerOffVM_Task):
            WaitForTask(call(), raiseOnError=False) if call is not None else None
        spec = vim.TaskFilterSpec(entity=vim.TaskFilterSpec.ByEntity(entity=vm, recursion="self"))
        collector = self.content.taskManager.CreateCollectorForTasks(spec)
        self.addCleanup(collector.DestroyCollector)
        collector.RewindCollector()
        tasks: list[Any] = []
        while page := collector.ReadNextTasks(2):
            self.assertLessEqual(len(page), 2)
            tasks += page
        self.assertEqual([("VirtualMachine.powerOn", "success"), ("VirtualMachine.powerOff", "success"),
                          ("VirtualMachine.powerOff", "error")],
                         [(t.descriptionId, t.state) for t in tasks if t.descriptionId.startswith("VirtualMachine.power")])
        self.assertIsInstance(tasks[-1].error, vim.fault.InvalidPowerState)

    def test_a_task_that_a_client_reports_on(self) -> None:
        vm = self.create_vm("reported")
        task = self.content.taskManager.CreateTask(vm, "com.example.backup", "example", True).task
        task.SetTaskState("running", None, None)
        task.UpdateProgress(40)
        self.assertEqual(("running", 40), (task.info.state, task.info.progress))
        task.CancelTask()
        self.assertTrue(task.info.cancelled)
        task.SetTaskState("success", "result", None)
        self.assertEqual(("success", "result", None), (task.info.state, task.info.result, task.info.progress))

    def test_what_cannot_be_cancelled(self) -> None:
        task = self.create_vm("not cancelled").PowerOnVM_Task()
        WaitForTask(task)
        with self.assertRaises((vmodl.fault.NotSupported, vim.fault.InvalidState)):
            task.CancelTask()


class Events(Case):
    def by_entity(self, entity: Any, recursion: str = "self", **more: Any) -> Any:
        return vim.event.EventFilterSpec(
            entity=vim.event.EventFilterSpec.ByEntity(entity=entity, recursion=recursion), **more)

    def test_events_of_a_machine(self) -> None:
        vm = self.create_vm("eventful")
        WaitForTask(vm.PowerOnVM_Task())
        WaitForTask(vm.PowerOffVM_Task())
        latest = self.content.eventManager.latestEvent
        events = self.content.eventManager.QueryEvents(self.by_entity(vm))
        kinds = [type(e).__name__.rpartition(".")[2] for e in events]
        for kind in ("VmCreatedEvent", "VmStartingEvent", "VmPoweredOnEvent", "VmPoweredOffEvent"):
            self.assertIn(kind, kinds)
        self.assertEqual(sorted(e.key for e in events), [e.key for e in events])
        self.assertEqual(latest.key, events[-1].key)
        powered_on = next(e for e in events if isinstance(e, vim.event.VmPoweredOnEvent))
        self.assertEqual((vm, "eventful", self.host.user, vi.datacenter(self.si)),
                         (powered_on.vm.vm, powered_on.vm.name, powered_on.userName, powered_on.datacenter.datacenter))
        self.assertIn("eventful", powered_on.fullFormattedMessage)

    def test_filters(self) -> None:
        vm, other = self.create_vm("filtered"), self.create_vm("filtered out")
        WaitForTask(vm.PowerOnVM_Task())
        query = self.content.eventManager.QueryEvents
        names = {e.vm.name for e in query(self.by_entity(self.content.rootFolder, "all")) if e.vm}
        self.assertTrue({"filtered", "filtered out"} <= names)
        self.assertEqual({"filtered"}, {e.vm.name for e in query(self.by_entity(vm))})
        of_type = query(vim.event.EventFilterSpec(eventTypeId=["VmPoweredOnEvent"]))
        self.assertIn(vm._moId, [e.vm.vm._moId for e in of_type])
        self.assertNotIn(other._moId, [e.vm.vm._moId for e in of_type])
        latest = self.content.eventManager.latestEvent
        by_time = vim.event.EventFilterSpec.ByTime(beginTime=latest.createdTime)
        self.assertIn(latest.key, [e.key for e in query(vim.event.EventFilterSpec(time=by_time))])
        logins = query(vim.event.EventFilterSpec(eventTypeId=["UserLoginSessionEvent"]))
        self.assertIn(self.content.sessionManager.currentSession.key, [e.sessionId for e in logins])

    def test_history_collector(self) -> None:
        vm = self.create_vm("paged")
        for _ in range(3):
            WaitForTask(vm.PowerOnVM_Task())
            WaitForTask(vm.PowerOffVM_Task())
        all_keys = [e.key for e in self.content.eventManager.QueryEvents(self.by_entity(vm))]
        collector = self.content.eventManager.CreateCollectorForEvents(self.by_entity(vm))
        collector.SetCollectorPageSize(3)
        self.assertEqual(set(all_keys[-3:]), {e.key for e in collector.latestPage})
        collector.RewindCollector()
        keys: list[int] = []
        while page := collector.ReadNextEvents(4):
            keys += [e.key for e in page]
        self.assertEqual(all_keys, keys)
        WaitForTask(vm.PowerOnVM_Task())
        self.assertGreater(min(e.key for e in collector.ReadNextEvents(100)), keys[-1])
        collector.ResetCollector()
        self.assertTrue(collector.ReadPreviousEvents(2))
        collector.DestroyCollector()
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            collector.ReadNextEvents(1)

    def test_a_watched_latest_page(self) -> None:
        """As clients follow events: a collector's latestPage through the property collector."""
        vm = self.create_vm("followed")
        collector = self.content.eventManager.CreateCollectorForEvents(self.by_entity(vm))
        pc = self.content.propertyCollector
        pc.CreateFilter(vi.filter_spec([collector], vim.event.EventHistoryCollector, ["latestPage"]), True)
        version = pc.WaitForUpdatesEx("", PC.WaitOptions(maxWaitSeconds=10)).version
        WaitForTask(vm.PowerOnVM_Task())
        seen: set[str] = set()
        while not any("VmPoweredOnEvent" in kind for kind in seen):
            answer = pc.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=10))
            self.assertIsNotNone(answer, f"only {seen} were told")
            version = answer.version
            for _, _, value in vi.updates(answer)[collector._moId]:
                seen |= {type(e).__name__ for e in (value if isinstance(value, list) else [value])}

    def test_log_user_event(self) -> None:
        vm = self.create_vm("logged")
        self.content.eventManager.LogUserEvent(vm, "a <note> & more")
        event = self.content.eventManager.QueryEvents(self.by_entity(vm))[-1]
        self.assertIn("a <note> & more", event.fullFormattedMessage)


class Search(Case):
    def test_search_index(self) -> None:
        vm = self.create_vm("findable")
        index, datacenter = self.content.searchIndex, vi.datacenter(self.si)
        self.assertEqual(vm, index.FindByUuid(None, vm.config.uuid, True, False))
        self.assertEqual(vm, index.FindByUuid(datacenter, vm.config.instanceUuid, True, True))
        self.assertIsNone(index.FindByUuid(None, vm.config.uuid, True, True))
        self.assertEqual([vm], list(index.FindAllByUuid(None, vm.config.uuid, True, False)))
        self.assertEqual(vm, index.FindByDatastorePath(datacenter, vm.config.files.vmPathName))
        self.assertIsNone(index.FindByDatastorePath(datacenter, "[datastore1] no/such.vmx"))
        self.assertEqual(vm, index.FindByInventoryPath("ha-datacenter/vm/findable"))
        self.assertEqual(datacenter, index.FindByInventoryPath("/ha-datacenter"))
        self.assertIsNone(index.FindByInventoryPath("ha-datacenter/vm/nothing"))
        self.assertEqual(vm, index.FindChild(self.folder, "findable"))
        self.assertIsNone(index.FindChild(self.folder, "ha-datacenter"))
        self.assertIsNone(index.FindByIp(None, "192.0.2.1", True))
        self.assertIsNone(index.FindByDnsName(None, "nowhere.example", True))
        host = datacenter.hostFolder.childEntity[0].host[0]
        self.assertEqual(host, index.FindByUuid(None, host.hardware.systemInfo.uuid, False, False))
        uuid = vm.config.uuid
        WaitForTask(vm.Destroy_Task())
        self.assertIsNone(index.FindByUuid(None, uuid, True, False))


class Rights(Case):
    def setUp(self) -> None:
        super().setUp()
        self.authorization = self.content.authorizationManager
        spec = vim.host.LocalAccountManager.AccountSpecification(id="operator", password="0p-erator!", description="")
        self.content.accountManager.CreateUser(spec)
        self.addCleanup(self.content.accountManager.RemoveUser, "operator")

    def grant(self, entity: Any, role: int, propagate: bool = True) -> None:
        self.authorization.SetEntityPermissions(entity, [vim.AuthorizationManager.Permission(
            principal="operator", group=False, roleId=role, propagate=propagate)])

    def role(self, name: str) -> int:
        return int(next(r.roleId for r in self.authorization.roleList if r.name == name))

    def as_operator(self) -> Any:
        return self.connect(user="operator", password="0p-erator!")

    def test_users(self) -> None:
        found = self.content.userDirectory.RetrieveUserGroups(None, "oper", None, None, False, True, False)
        self.assertEqual(["operator"], [u.principal for u in found])
        with self.assertRaises(vim.fault.AlreadyExists):
            self.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(
                id="operator", password="An0ther-one"))
        self.grant(self.content.rootFolder, self.role("ReadOnly"))
        si = self.as_operator()
        self.content.accountManager.UpdateUser(vim.host.LocalAccountManager.AccountSpecification(
            id="operator", password="ch4nged-Password"))
        with self.assertRaises(vim.fault.InvalidLogin):
            self.as_operator()
        del si
        self.assertEqual("operator", self.connect(
            user="operator", password="ch4nged-Password").content.sessionManager.currentSession.userName)

    def test_without_any_permission(self) -> None:
        with self.assertRaises((vim.fault.NoPermission, vim.fault.InvalidLogin)):
            self.as_operator()

    def test_read_only(self) -> None:
        vm = self.create_vm("guarded")
        self.grant(self.content.rootFolder, self.role("ReadOnly"))
        si = self.as_operator()
        mine = vim.VirtualMachine(vm._moId, si._stub)
        self.assertEqual("guarded", mine.name)
        for call, privilege in ((mine.PowerOnVM_Task, "VirtualMachine.Interact.PowerOn"),
                                (mine.Destroy_Task, "VirtualMachine.Inventory.Delete"),
                                (lambda: si.content.sessionManager.TerminateSession(["x"]), "Sessions.TerminateSession"),
                                (lambda: si.content.authorizationManager.AddAuthorizationRole("mine", []),
                                 "Authorization.ModifyRoles")):
            with self.assertRaises(vim.fault.NoPermission) as caught:
                call()
            self.assertEqual(privilege, caught.exception.privilegeId)
        self.assertEqual("poweredOff", vm.runtime.powerState)

    def test_a_role_of_ones_own_on_one_machine(self) -> None:
        vm, other = self.create_vm("allowed"), self.create_vm("forbidden")
        role = self.authorization.AddAuthorizationRole("starter", ["VirtualMachine.Interact.PowerOn"])
        self.addCleanup(self.authorization.RemoveAuthorizationRole, role, False)
        self.grant(vm, role)
        si = self.as_operator()
        mine, others = (vim.VirtualMachine(v._moId, si._stub) for v in (vm, other))
        self.assertEqual("allowed", mine.name)
        mine.PowerOnVM_Task()
        vi.wait_property(self.si, vm, "runtime.powerState", "poweredOn")
        with self.assertRaises(vim.fault.NoPermission):
            others.PowerOnVM_Task()
        with self.assertRaises(vim.fault.NoPermission):
            mine.PowerOffVM_Task()
        self.authorization.UpdateAuthorizationRole(role, "starter", ["VirtualMachine.Interact.PowerOff"])
        mine.PowerOffVM_Task()  # holds at once, also for sessions that are there
        vi.wait_property(self.si, vm, "runtime.powerState", "poweredOff")
        self.assertEqual([("operator", role)], [(p.principal, p.roleId)
                                                for p in self.authorization.RetrieveEntityPermissions(vm, False)])
        session = next(s.key for s in self.content.sessionManager.sessionList if s.userName == "operator")
        self.assertEqual([False, True], [bool(allowed) for allowed in self.authorization.HasPrivilegeOnEntity(
            vm, session,
            ["VirtualMachine.Interact.PowerOn", "VirtualMachine.Interact.PowerOff"])])
        self.authorization.RemoveEntityPermission(vm, "operator", False)
        with self.assertRaises(vim.fault.NoPermission):
            mine.PowerOffVM_Task()

    def test_a_snapshot_is_guarded_with_its_machine(self) -> None:
        vm, other = self.create_vm("with a snapshot"), self.create_vm("with another")
        names = []
        for each in (vm, other):
            WaitForTask(each.CreateSnapshot_Task("kept", "", False, False))
            names.append(each.snapshot.currentSnapshot._moId)
        role = self.authorization.AddAuthorizationRole("renamer", ["VirtualMachine.State.RenameSnapshot"])
        self.addCleanup(self.authorization.RemoveAuthorizationRole, role, False)
        self.grant(vm, role)
        mine, others = (vim.vm.Snapshot(name, self.as_operator()._stub) for name in names)
        mine.RenameSnapshot("renamed", None)
        self.assertEqual("renamed", vm.snapshot.rootSnapshotList[0].name)
        for call in (lambda: others.RenameSnapshot("renamed", None), lambda: mine.RemoveSnapshot_Task(False)):
            with self.assertRaises(vim.fault.NoPermission):
                call()
        self.assertEqual("kept", other.snapshot.rootSnapshotList[0].name)

    def test_who_starts_a_task_can_follow_it(self) -> None:
        """A task is seen by who may read the machine that it is about, wherever his permission begins."""
        vm = self.create_vm("followed by its operator")
        other = self.create_vm("not followed")
        role = self.authorization.AddAuthorizationRole(
            "follower", ["VirtualMachine.Interact.PowerOn", "VirtualMachine.Inventory.Delete"])
        self.addCleanup(self.authorization.RemoveAuthorizationRole, role, False)
        self.grant(vm, role)
        stub = self.as_operator()._stub
        foreign = other.PowerOnVM_Task()
        WaitForTask(foreign)
        with self.assertRaises(vim.fault.NoPermission):
            vim.Task(foreign._moId, stub).info
        ours = vm.PowerOnVM_Task()
        WaitForTask(ours)
        self.assertEqual("success", vim.Task(ours._moId, stub).info.state)
        WaitForTask(vm.PowerOffVM_Task())
        task = vim.VirtualMachine(vm._moId, stub).Destroy_Task()  # nothing is left that could be readable
        WaitForTask(task)
        self.assertEqual(("success", "operator"), (task.info.state, task.info.reason.userName))

    def test_what_may_not_be_seen_is_missing_not_told(self) -> None:
        """A filter over all machines says of those that may not be read only that they are there."""
        vm, other = self.create_vm("shown"), self.create_vm("hidden")
        self.grant(vm, self.role("ReadOnly"))
        si = self.as_operator()
        content = si.content.propertyCollector.RetrieveProperties(
            [vi.filter_spec([vm, other], vim.VirtualMachine, ["name"])])
        told = {o.obj._moId: ([p.val for p in o.propSet], [type(m.fault).__name__ for m in o.missingSet]) for o in content}
        self.assertEqual((["shown"], []), told[vm._moId])
        self.assertEqual(([], ["vim.fault.NoPermission"]), told[other._moId])
        self.assertNotIn("hidden", str(content))

    def test_a_property_with_a_privilege_of_its_own_is_missing_beside_the_others(self) -> None:
        self.grant(self.content.rootFolder, self.role("ReadOnly"))
        si = self.as_operator()
        manager, collector = si.content.sessionManager, si.content.propertyCollector
        spec = vi.filter_spec([manager], vim.SessionManager, ["sessionList", "currentSession", "sessionList[\"x\"].key", "defaultLocale"])
        (told,) = collector.RetrieveProperties([spec])
        self.assertEqual(["currentSession", "defaultLocale"], [p.name for p in told.propSet])
        self.assertEqual("operator", told.propSet[0].val.userName)
        self.assertEqual([("sessionList", "Sessions.TerminateSession"), ('sessionList["x"].key', "Sessions.TerminateSession")],
                         [(m.path, m.fault.privilegeId) for m in told.missingSet])
        with self.assertRaises(vim.fault.NoPermission) as caught:
            manager.sessionList
        self.assertEqual("Sessions.TerminateSession", caught.exception.privilegeId)
        # As an update, when it enters and when it changes: another session begins.
        collector.CreateFilter(spec, False)
        first = collector.WaitForUpdatesEx("", None)
        (entered,) = first.filterSet[0].objectSet
        self.assertEqual({"currentSession", "defaultLocale"}, {c.name for c in entered.changeSet})
        self.assertEqual({"sessionList", 'sessionList["x"].key'}, {m.path for m in entered.missingSet})
        self.connect()
        options = vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=1)
        later = collector.WaitForUpdatesEx(first.version, options)
        for changed in (c for f in (later.filterSet if later else ()) for o in f.objectSet for c in o.changeSet):
            self.assertNotIn("sessionList", changed.name)
        # Who administers may.
        self.assertLessEqual({"root", "operator"}, {s.userName for s in self.content.sessionManager.sessionList})

    def test_roles_that_are_there(self) -> None:
        names = {r.name for r in self.authorization.roleList}
        self.assertLessEqual({"NoAccess", "Anonymous", "View", "ReadOnly", "Admin"}, names)
        self.assertIn("VirtualMachine.Interact.PowerOn", [p.privId for p in self.authorization.privilegeList])
        admin = self.role("Admin")
        self.assertIn(("root", admin), [(p.principal, p.roleId) for p in self.authorization.RetrieveAllPermissions()])
        with self.assertRaises(vmodl.MethodFault):
            self.authorization.RemoveAuthorizationRole(admin, False)
        with self.assertRaises(vim.fault.NotFound):
            self.authorization.RemoveAuthorizationRole(4711, False)


class Sessions(Case):
    def test_terminate(self) -> None:
        other = self.connect()
        manager = self.content.sessionManager
        key = other.content.sessionManager.currentSession.key
        self.assertTrue(manager.SessionIsActive(key, self.host.user))
        manager.TerminateSession([key])
        with self.assertRaises(vim.fault.NotAuthenticated):
            other.content.rootFolder.name
        self.assertNotIn(key, [s.key for s in manager.sessionList])
        self.assertFalse(manager.SessionIsActive(key, self.host.user))
        with self.assertRaises(vim.fault.NotFound):
            manager.TerminateSession([key])

    def test_what_a_session_made_goes_with_it(self) -> None:
        other = self.connect()
        view = other.content.viewManager.CreateContainerView(other.content.rootFolder, [], True)
        other.content.sessionManager.Logout()
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            vim.view.ContainerView(view._moId, self.si._stub).view

    def test_a_stolen_number_of_a_session_is_no_key(self) -> None:
        """What sessionList shows does not open a session."""
        stub = vi.soap_stub(self.host)
        stub.cookie = f'vmware_soap_session="{self.content.sessionManager.currentSession.key}"'
        with self.assertRaises(vim.fault.NotAuthenticated):
            vim.Folder(self.content.rootFolder._moId, stub).name

    def test_last_active_time(self) -> None:
        other = self.connect()
        key = other.content.sessionManager.currentSession.key

        def last_active() -> Any:
            return other.content.sessionManager.currentSession.lastActiveTime

        first = last_active()
        self.assertGreater(last_active(), first)
        self.assertGreaterEqual(first, other.content.sessionManager.currentSession.loginTime)
        self.assertEqual(key, other.content.sessionManager.currentSession.key)

    def test_clone(self) -> None:
        ticket = self.content.sessionManager.AcquireCloneTicket()
        clone = vim.ServiceInstance("ServiceInstance", vi.soap_stub(self.host))
        session = clone.content.sessionManager.CloneSession(ticket)
        self.addCleanup(clone.content.sessionManager.Logout)
        self.assertNotEqual(self.content.sessionManager.currentSession.key, session.key)
        self.assertEqual(self.host.user, session.userName)
        with self.assertRaises(vim.fault.InvalidLogin):
            vim.ServiceInstance("ServiceInstance", vi.soap_stub(self.host)).content.sessionManager.CloneSession(ticket)

    def test_leaked_sessions_cannot_fill_the_server(self) -> None:
        """A user's longest idle session makes room for his hundred and first."""
        first = self.connect()
        mine = vim.ServiceInstance("ServiceInstance", vi.soap_stub(self.host)).content.sessionManager
        ticket_si = self.connect()
        for _ in range(105):
            clone = vim.ServiceInstance("ServiceInstance", vi.soap_stub(self.host))
            clone.content.sessionManager.CloneSession(ticket_si.content.sessionManager.AcquireCloneTicket())
        del mine
        with self.assertRaises(vim.fault.NotAuthenticated):
            first.content.rootFolder.name
        self.assertLessEqual(len(ticket_si.content.sessionManager.sessionList), 100)


if __name__ == "__main__":
    unittest.main()
