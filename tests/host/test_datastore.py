# SPDX-License-Identifier: Apache-2.0
"""Files of datastores: the browser, FileManager, VirtualDiskManager and /folder over HTTP, through pyVmomi
and plain HTTP against a host with the simulated hypervisor."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import random
import socket
import ssl
import time
import unittest
from pathlib import Path
from urllib.parse import quote, urlencode

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from tenkyu_host import TenkyuHost

DS = "datastore1"
KIB_OF_DISK = 8 * 1024


def unverified() -> ssl.SSLContext:
    """TLS with a certificate that the host has just made for itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wait(task: vim.Task, timeout_s: float = 120) -> object:
    """The task's result; its fault is raised."""
    deadline = time.monotonic() + timeout_s
    while task.info.state in ("queued", "running"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{task.info.descriptionId} is {task.info.state}")
        time.sleep(0.02)
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


class DatastoreTest(unittest.TestCase):
    host: TenkyuHost
    tls: ssl.SSLContext

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="sim", tls=True)  # pyVmomi speaks nothing else
        cls.addClassCleanup(cls.host.close)
        cls.tls = unverified()
        address, port = cls.host.address
        cls.instance = SmartConnect(host=address, port=port, user=cls.host.user, pwd=cls.host.password,
                                    sslContext=cls.tls)
        cls.content = cls.instance.RetrieveContent()
        cls.files = cls.content.fileManager
        cls.disks = cls.content.virtualDiskManager
        cls.datacenter = cls.content.rootFolder.childEntity[0]
        cls.datastore = next(ds for ds in cls.datacenter.datastore if ds.name == DS)
        cls.path = Path(cls.datastore.info.path)

    @classmethod
    def tearDownClass(cls) -> None:
        """The host ends in good order, which is when a sanitizer tells of leaks."""
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    def setUp(self) -> None:
        self.folder = self.id().rpartition(".")[2]  # each test has a folder of its own
        (self.path / self.folder).mkdir()

    def ds(self, name: str) -> str:
        return f"[{DS}] {self.folder}/{name}"

    def on_disk(self, name: str = "") -> Path:
        return self.path / self.folder / name

    def names(self) -> list[str]:
        return sorted(os.listdir(self.on_disk()))

    def create_disk(self, name: str, kind: str = "thin", kib: int = KIB_OF_DISK) -> None:
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            capacityKb=kib, diskType=kind, adapterType="lsiLogic")
        result = wait(self.disks.CreateVirtualDisk_Task(name=self.ds(name), datacenter=None, spec=spec))
        self.assertEqual(self.ds(name), result)

    def create_vm(self, name: str) -> vim.VirtualMachine:
        disk = vim.vm.device.VirtualDisk(
            key=-2, controllerKey=-1, unitNumber=0, capacityInKB=KIB_OF_DISK,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName="", diskMode="persistent", thinProvisioned=True))
        controller = vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
        add = vim.vm.device.VirtualDeviceSpec.Operation.add
        spec = vim.vm.ConfigSpec(
            name=name, memoryMB=64, numCPUs=1, guestId="otherGuest64",
            files=vim.vm.FileInfo(vmPathName=f"[{DS}] {self.folder}/{name}.vmx"),
            deviceChange=[
                vim.vm.device.VirtualDeviceSpec(operation=add, device=controller),
                vim.vm.device.VirtualDeviceSpec(
                    operation=add, fileOperation=vim.vm.device.VirtualDeviceSpec.FileOperation.create,
                    device=disk)])
        pool = self.datacenter.hostFolder.childEntity[0].resourcePool
        vm = wait(self.datacenter.vmFolder.CreateVM_Task(config=spec, pool=pool))
        self.addCleanup(self.destroy, vm)
        return vm

    @staticmethod
    def destroy(vm: vim.VirtualMachine) -> None:
        try:
            if vm.runtime.powerState == "poweredOn":
                wait(vm.PowerOffVM_Task())
            wait(vm.Destroy_Task())
        except vmodl.fault.ManagedObjectNotFound:
            pass  # the test has unregistered it

    @staticmethod
    def disk_file(vm: vim.VirtualMachine) -> str:
        return next(device.backing.fileName for device in vm.config.hardware.device
                    if isinstance(device, vim.vm.device.VirtualDisk))


class Browser(DatastoreTest):
    def search(self, path: str | None = None, browser: object = None, **spec: object) -> object:
        flags = vim.host.DatastoreBrowser.FileInfo.Details(
            fileType=True, fileSize=True, modification=True, fileOwner=True)
        chosen = vim.host.DatastoreBrowser.SearchSpec(**{"details": flags, **spec})
        return wait((browser or self.datastore.browser).SearchDatastore_Task(
            datastorePath=path or f"[{DS}] {self.folder}", searchSpec=chosen))

    def found(self, **spec: object) -> list[str]:
        return [file.path for file in self.search(**spec).file]

    def fill(self, *names: str) -> None:
        for name in names:
            self.on_disk(name).write_bytes(b"x" * 10)

    def test_kinds_and_details(self) -> None:
        self.fill("a.vmx", "b.iso", "c.log", "d.nvram", "e.bin")
        self.on_disk("sub").mkdir()
        self.create_disk("disk.vmdk")
        results = self.search()
        self.assertEqual(f"[{DS}] {self.folder}", results.folderPath)
        self.assertEqual(self.datastore, results.datastore)
        kinds = {file.path: type(file) for file in results.file}
        query = vim.host.DatastoreBrowser
        self.assertEqual({
            "a.vmx": query.VmConfigInfo, "b.iso": query.IsoImageInfo, "c.log": query.VmLogInfo,
            "d.nvram": query.VmNvramInfo, "e.bin": query.FileInfo, "sub": query.FolderInfo,
            "disk.vmdk": query.VmDiskInfo}, kinds)
        files = {file.path: file for file in results.file}
        self.assertEqual(10, files["a.vmx"].fileSize)
        self.assertEqual("root", files["a.vmx"].owner)
        self.assertAlmostEqual(self.on_disk("a.vmx").stat().st_mtime,
                               files["a.vmx"].modification.timestamp(), places=2)
        disk = files["disk.vmdk"]
        self.assertEqual(KIB_OF_DISK, disk.capacityKb)
        self.assertTrue(disk.thin)
        self.assertEqual([self.ds("disk.qcow2")], disk.diskExtents)
        data = self.on_disk("disk.qcow2").stat()
        self.assertGreaterEqual(disk.fileSize, data.st_blocks * 512)

    def test_queries_select(self) -> None:
        self.fill("a.vmx", "b.iso", "c.iso", "lone.qcow2")
        self.on_disk("sub").mkdir()
        self.create_disk("disk.vmdk")
        query = vim.host.DatastoreBrowser
        self.assertEqual(["b.iso", "c.iso"], self.found(query=[query.IsoImageQuery()]))
        self.assertEqual(["disk.vmdk"], self.found(query=[query.VmDiskQuery()]))
        self.assertEqual(["a.vmx", "sub"], self.found(query=[query.VmConfigQuery(), query.FolderQuery()]))
        self.assertEqual(["a.vmx", "b.iso", "c.iso", "disk.vmdk", "lone.qcow2", "sub"], self.found())
        self.assertEqual("sub", self.found(sortFoldersFirst=True)[0])

    def test_queries_filter(self) -> None:
        query = vim.host.DatastoreBrowser
        self.on_disk("new.vmx").write_text('config.version = "8"\n')
        self.on_disk("old.vmx").write_text('config.version = "6"\n')
        self.on_disk("kind.vmtx").write_text('config.version = "8"\n')
        self.on_disk("broken.vmx").write_bytes(b"\x00\xff = = ")
        self.create_disk("thin.vmdk")
        self.create_disk("thick.vmdk", "preallocated")
        self.on_disk("broken.vmdk").write_bytes(b"# Disk DescriptorFile\nnonsense")

        def disks(**members: object) -> list[str]:
            return self.found(query=[query.VmDiskQuery(filter=query.VmDiskQuery.Filter(**members))])

        def configs(kind: type = query.VmConfigQuery, **members: object) -> list[str]:
            return self.found(query=[kind(filter=query.VmConfigQuery.Filter(**members))])

        self.assertEqual(["thin.vmdk"], disks(thin=True))
        self.assertEqual(["thick.vmdk"], disks(thin=False))
        self.assertEqual(["thick.vmdk", "thin.vmdk"], disks(matchHardwareVersion=[7, 14]))
        self.assertEqual([], disks(matchHardwareVersion=[7]))
        self.assertEqual(["thick.vmdk", "thin.vmdk"], disks(controllerType=[vim.vm.device.VirtualLsiLogicController]))
        self.assertEqual([], disks(controllerType=[vim.vm.device.VirtualIDEController]))
        self.assertEqual([], disks(encrypted=True))
        self.assertEqual(["kind.vmtx", "new.vmx"], configs(matchConfigVersion=[8]))
        self.assertEqual(["kind.vmtx"], configs(query.TemplateVmConfigQuery))
        self.assertEqual(["broken.vmdk", "thick.vmdk", "thin.vmdk"], self.found(query=[query.VmDiskQuery()]))

    def test_queries_tell_what_is_asked_for(self) -> None:
        query = vim.host.DatastoreBrowser
        self.create_disk("disk.vmdk")
        self.on_disk("a.vmx").write_text('config.version = "8"\n')

        def one(asked: object) -> object:
            (file,) = self.search(query=[asked]).file
            return file

        disk = one(query.VmDiskQuery(details=query.VmDiskQuery.Details(
            diskType=False, capacityKb=True, hardwareVersion=True, thin=True)))
        self.assertEqual((None, KIB_OF_DISK, 14, True, None, []),
                         (disk.diskType, disk.capacityKb, disk.hardwareVersion, disk.thin, disk.controllerType,
                          disk.diskExtents))
        self.assertIsNone(one(query.VmDiskQuery()).capacityKb)
        self.assertEqual(8, one(query.VmConfigQuery(details=query.VmConfigQuery.Details(
            configVersion=True))).configVersion)
        self.assertIsNone(one(query.VmConfigQuery()).configVersion)

    def test_a_file_is_deleted(self) -> None:
        self.create_disk("disk.vmdk")
        self.on_disk("sub").mkdir()
        browser = self.datastore.browser
        browser.DeleteFile(self.ds("disk.vmdk"))
        self.assertEqual(["sub"], os.listdir(self.on_disk()))
        with self.assertRaises(vim.fault.FileNotFound):
            browser.DeleteFile(self.ds("disk.vmdk"))
        with self.assertRaises(vim.fault.CannotDeleteFile):
            browser.DeleteFile(self.ds("sub"))

    def test_patterns(self) -> None:
        self.fill("a1.iso", "a2.iso", "B1.ISO", "a[1].txt", "äb.iso", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
        self.assertEqual(["a1.iso", "a2.iso"], self.found(matchPattern=["a?.iso"]))
        self.assertEqual(["B1.ISO", "a1.iso"],
                         self.found(matchPattern=["?1.iso"], searchCaseInsensitive=True))
        self.assertEqual(["a[1].txt"], self.found(matchPattern=["a[1]*"]))
        self.assertEqual(["äb.iso"], self.found(matchPattern=["?b*o"]))
        self.assertEqual([], self.found(matchPattern=["a*" * 60 + "b"]))  # and it does not take for ever

    def test_details_are_given_when_asked_for(self) -> None:
        self.fill("a.vmx")
        found = wait(self.datastore.browser.SearchDatastore_Task(datastorePath=f"[{DS}] {self.folder}")).file
        self.assertEqual([vim.host.DatastoreBrowser.FileInfo], [type(file) for file in found])
        self.assertIsNone(found[0].fileSize)
        self.assertIsNone(found[0].modification)
        self.assertIsNone(found[0].owner)

    def test_hidden_and_foreign_entries(self) -> None:
        self.fill("a.iso", "b.iso.new~", "bad\nname")
        (self.on_disk() / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
        self.on_disk("link").symlink_to("/etc/passwd")
        self.on_disk("out").symlink_to("/etc")
        os.mkfifo(self.on_disk("fifo"))
        self.assertEqual(["a.iso"], self.found())
        for path in (f"[{DS}] {self.folder}/out", f"[{DS}] {self.folder}/../..", f"[{DS}] /etc"):
            with self.subTest(path), self.assertRaises((vim.fault.FileFault, vim.fault.InvalidDatastore)):
                self.search(path)

    def test_sub_folders(self) -> None:
        self.on_disk("x/y").mkdir(parents=True)
        self.fill("1.vmx", "x/2.vmx", "x/y/3.vmx", "x/y/4.iso")
        results = wait(self.datastore.browser.SearchDatastoreSubFolders_Task(
            datastorePath=f"[{DS}] {self.folder}",
            searchSpec=vim.host.DatastoreBrowser.SearchSpec(
                query=[vim.host.DatastoreBrowser.VmConfigQuery()])))
        top = f"[{DS}] {self.folder}"
        self.assertEqual([(top, ["1.vmx"]), (f"{top}/x", ["2.vmx"]), (f"{top}/x/y", ["3.vmx"])],
                         [(result.folderPath, [file.path for file in result.file]) for result in results])

    def test_the_hosts_browser_knows_all_datastores(self) -> None:
        self.fill("a.vmx")
        browser = self.datacenter.hostFolder.childEntity[0].host[0].datastoreBrowser
        self.assertEqual(["a.vmx"], [file.path for file in self.search(browser=browser).file])

    def test_faults(self) -> None:
        self.fill("file")
        for path in (f"[{DS}] {self.folder}/none", f"[{DS}] {self.folder}/file"):
            with self.subTest(path), self.assertRaises(vim.fault.FileNotFound):
                self.search(path)
        with self.assertRaises(vim.fault.InvalidDatastorePath):
            self.search("datastore1/x")
        with self.assertRaises(vim.fault.InvalidDatastore):
            self.search("[none] x")


class Files(DatastoreTest):
    def delete(self, name: str) -> object:
        return wait(self.files.DeleteDatastoreFile_Task(name=self.ds(name), datacenter=self.datacenter))

    def copy(self, source: str, target: str, force: bool | None = None) -> object:
        return wait(self.files.CopyDatastoreFile_Task(
            sourceName=self.ds(source), destinationName=self.ds(target), force=force))

    def move(self, source: str, target: str, force: bool | None = None) -> object:
        return wait(self.files.MoveDatastoreFile_Task(
            sourceName=self.ds(source), destinationName=self.ds(target), force=force))

    def test_make_directory(self) -> None:
        self.files.MakeDirectory(name=self.ds("a"), datacenter=self.datacenter)
        self.assertTrue(self.on_disk("a").is_dir())
        with self.assertRaises(vim.fault.FileAlreadyExists):
            self.files.MakeDirectory(name=self.ds("a"))
        with self.assertRaises(vim.fault.FileNotFound):
            self.files.MakeDirectory(name=self.ds("b/c"), createParentDirectories=False)
        self.files.MakeDirectory(name=self.ds("b/c"), createParentDirectories=True)
        self.assertTrue(self.on_disk("b/c").is_dir())
        self.on_disk("file").write_text("")
        with self.assertRaises(vim.fault.FileFault):
            self.files.MakeDirectory(name=self.ds("file/c"), createParentDirectories=True)
        with self.assertRaises(vim.fault.InvalidDatastorePath):
            self.files.MakeDirectory(name=self.ds("a/../../../../tmp/x"))

    def test_delete(self) -> None:
        self.on_disk("tree/x/y").mkdir(parents=True)
        self.on_disk("tree/x/f").write_text("1")
        outside = self.host.folder / "outside"
        outside.mkdir(exist_ok=True)
        (outside / "kept").write_text("1")
        self.on_disk("tree/link").symlink_to(outside)
        self.on_disk("file").write_text("2")
        self.delete("file")
        self.delete("tree")
        self.assertEqual([], self.names())
        self.assertTrue((outside / "kept").exists())
        with self.assertRaises(vim.fault.FileNotFound):
            self.delete("file")
        for name in (f"[{DS}]", f"[{DS}] /"):
            with self.subTest(name), self.assertRaises(vim.fault.InvalidDatastorePath):
                wait(self.files.DeleteDatastoreFile_Task(name=name))

    def test_delete_takes_a_disks_data(self) -> None:
        self.create_disk("disk.vmdk")
        self.assertEqual(["disk.qcow2", "disk.vmdk"], self.names())
        self.delete("disk.vmdk")
        self.assertEqual([], self.names())

    def test_machines_keep_their_files(self) -> None:
        vm = self.create_vm("keeper")
        before = self.names()
        disk = self.disk_file(vm).rpartition("/")[2]
        for name in ("keeper.vmx", disk, disk.replace(".vmdk", ".qcow2")):
            with self.subTest(name), self.assertRaises(vim.fault.FileLocked):
                self.delete(name)
            with self.subTest(name), self.assertRaises(vim.fault.FileLocked):
                self.move(name, f"{name}.moved")
        with self.assertRaises(vim.fault.FileLocked):
            self.delete("")  # the folder
        self.on_disk("other.vmx").write_text("x")
        with self.assertRaises(vim.fault.FileLocked):
            self.copy("other.vmx", "keeper.vmx", force=True)
        self.assertEqual(sorted([*before, "other.vmx"]), self.names())
        self.copy(disk, "copy.vmdk")  # it is powered off
        wait(vm.PowerOnVM_Task())
        with self.assertRaises(vim.fault.FileLocked):
            self.copy(disk, "copy2.vmdk")

    def test_files_of_nobody_are_deleted(self) -> None:
        vm = self.create_vm("leaver")
        vm.UnregisterVM()
        self.delete("")
        self.assertFalse(self.on_disk().exists())

    def test_copy_file(self) -> None:
        data = random.Random(1).randbytes(3 * 1024 * 1024 + 17)
        with open(self.on_disk("a.iso"), "wb") as file:
            file.write(data)
            file.seek(64 * 1024 * 1024)  # and a hole
            file.write(b"end")
        self.copy("a.iso", "b.iso")
        self.assertEqual(self.on_disk("a.iso").read_bytes(), self.on_disk("b.iso").read_bytes())
        self.assertLess(self.on_disk("b.iso").stat().st_blocks * 512, 32 * 1024 * 1024)
        with self.assertRaises(vim.fault.FileAlreadyExists):
            self.copy("a.iso", "b.iso")
        self.on_disk("c.iso").write_text("small")
        self.copy("c.iso", "b.iso", force=True)
        self.assertEqual("small", self.on_disk("b.iso").read_text())
        with self.assertRaises(vim.fault.FileNotFound):
            self.copy("none", "d.iso")
        with self.assertRaises(vim.fault.FileNotFound):
            self.copy("c.iso", "none/d.iso")
        self.assertEqual(["a.iso", "b.iso", "c.iso"], self.names())

    def test_copy_folder(self) -> None:
        self.on_disk("t/x/empty").mkdir(parents=True)
        self.on_disk("t/x/f").write_text("content")
        self.on_disk("t/x/half.new~").write_text("x")
        self.on_disk("t/link").symlink_to("/etc/passwd")
        self.on_disk("u.new~/stale").mkdir(parents=True)  # what a crash leaves
        self.copy("t", "u")
        self.assertEqual("content", self.on_disk("u/x/f").read_text())
        self.assertTrue(self.on_disk("u/x/empty").is_dir())
        self.assertFalse(self.on_disk("u/x/half.new~").exists())
        self.assertFalse(self.on_disk("u/link").is_symlink())
        self.assertEqual(["t", "u"], self.names())
        with self.assertRaises(vim.fault.FileAlreadyExists):
            self.copy("t", "u", force=True)
        with self.assertRaises(vmodl.fault.InvalidArgument):
            self.copy("t", "t/inner")

    def test_copy_is_cancelled_without_a_trace(self) -> None:
        with open(self.on_disk("big"), "wb") as file:
            for _ in range(96):
                file.write(os.urandom(1024 * 1024) * 4)
        task = self.files.CopyDatastoreFile_Task(sourceName=self.ds("big"), destinationName=self.ds("copy"))
        try:
            task.CancelTask()
        except vim.fault.InvalidState:
            self.skipTest("the copy was over before it could be cancelled")
        try:
            wait(task)
        except vmodl.fault.RequestCanceled:
            self.assertEqual(["big"], self.names())
        else:
            self.assertEqual(["big", "copy"], self.names())  # it was cancelled too late

    def test_copy_and_move_take_a_disks_data(self) -> None:
        self.create_disk("a.vmdk")
        uuid = self.disks.QueryVirtualDiskUuid(name=self.ds("a.vmdk"))
        self.copy("a.vmdk", "b.vmdk")
        self.assertEqual(["a.qcow2", "a.vmdk", "b.qcow2", "b.vmdk"], self.names())
        self.assertIn('"b.qcow2"', self.on_disk("b.vmdk").read_text())
        self.assertEqual(self.on_disk("a.qcow2").read_bytes(), self.on_disk("b.qcow2").read_bytes())
        self.assertNotEqual(uuid, self.disks.QueryVirtualDiskUuid(name=self.ds("b.vmdk")))
        inode = self.on_disk("a.qcow2").stat().st_ino
        self.on_disk("sub").mkdir()
        self.move("a.vmdk", "sub/c.vmdk")
        self.assertEqual(["b.qcow2", "b.vmdk", "sub"], self.names())
        self.assertEqual(inode, self.on_disk("sub/c.qcow2").stat().st_ino)
        self.assertEqual(uuid, self.disks.QueryVirtualDiskUuid(name=self.ds("sub/c.vmdk")))
        with self.assertRaises(vim.fault.FileAlreadyExists):
            self.move("sub/c.vmdk", "b.vmdk")
        self.move("sub/c.vmdk", "b.vmdk", force=True)
        self.assertEqual(inode, self.on_disk("b.qcow2").stat().st_ino)
        self.assertEqual([], os.listdir(self.on_disk("sub")))

    def test_move(self) -> None:
        self.on_disk("t").mkdir()
        self.on_disk("t/f").write_text("1")
        self.on_disk("g").write_text("2")
        self.move("t", "u")
        self.assertEqual("1", self.on_disk("u/f").read_text())
        with self.assertRaises(vim.fault.FileAlreadyExists):
            self.move("g", "u/f")
        self.move("g", "u/f", force=True)
        self.assertEqual("2", self.on_disk("u/f").read_text())
        self.assertEqual(["u"], self.names())

    def test_between_datastores(self) -> None:
        other = self.host.folder / "second"
        other.mkdir()
        system = self.datacenter.hostFolder.childEntity[0].host[0].configManager.datastoreSystem
        system.CreateLocalDatastore(name="second", path=str(other))
        self.create_disk("d.vmdk")
        uuid = self.disks.QueryVirtualDiskUuid(name=self.ds("d.vmdk"))
        self.on_disk("t").mkdir()
        self.on_disk("t/f").write_text("1")
        wait(self.files.MoveDatastoreFile_Task(sourceName=self.ds("t"), destinationName="[second] t"))
        wait(self.files.MoveDatastoreFile_Task(sourceName=self.ds("d.vmdk"), destinationName="[second] d.vmdk"))
        self.assertEqual([], self.names())
        self.assertEqual(["d.qcow2", "d.vmdk", "t"], sorted(os.listdir(other)))
        self.assertEqual("1", (other / "t/f").read_text())
        self.assertEqual(uuid, self.disks.QueryVirtualDiskUuid(name="[second] d.vmdk"))

    def test_names_in_the_making_are_refused(self) -> None:
        self.on_disk("f").write_text("1")
        for method in (self.copy, self.move):
            with self.assertRaises(vim.fault.InvalidDatastorePath):
                method("f", "g.new~")

    def test_another_datacenter(self) -> None:
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            self.files.MakeDirectory(name=self.ds("x"), datacenter=vim.Datacenter("other", self.instance._stub))


class Disks(DatastoreTest):
    def info(self, name: str) -> object:
        flags = vim.host.DatastoreBrowser.FileInfo.Details(
            fileType=True, fileSize=True, modification=False, fileOwner=False)
        spec = vim.host.DatastoreBrowser.SearchSpec(details=flags, matchPattern=[name])
        return wait(self.datastore.browser.SearchDatastore_Task(
            datastorePath=f"[{DS}] {self.folder}", searchSpec=spec)).file[0]

    def copy(self, source: str, target: str, kind: str | None = None, force: bool = False) -> object:
        spec = None
        if kind is not None:
            spec = vim.VirtualDiskManager.VirtualDiskSpec(diskType=kind, adapterType="ide")
        return wait(self.disks.CopyVirtualDisk_Task(
            sourceName=self.ds(source), destName=self.ds(target), destSpec=spec, force=force))

    def test_create(self) -> None:
        for kind in ("thin", "preallocated", "eagerZeroedThick"):
            with self.subTest(kind):
                self.create_disk(f"{kind}.vmdk", kind)
                info = self.info(f"{kind}.vmdk")
                self.assertEqual(KIB_OF_DISK, info.capacityKb)
                self.assertEqual(kind == "thin", info.thin)
                self.assertEqual(kind != "thin", info.fileSize >= KIB_OF_DISK * 1024)
        with self.assertRaises(vim.fault.FileAlreadyExists):
            self.create_disk("thin.vmdk")
        with self.assertRaises(vim.fault.FileNotFound):
            self.create_disk("none/a.vmdk")
        with self.assertRaises(vim.fault.InvalidDatastorePath):
            self.create_disk("a.qcow2")
        for kind, kib in (("rdm", KIB_OF_DISK), ("thin", 0), ("thin", -1), ("thin", 63 << 30)):
            with self.subTest(kind=kind, kib=kib), self.assertRaises(vmodl.fault.InvalidArgument):
                self.create_disk("b.vmdk", kind, kib)

    def test_uuid(self) -> None:
        self.create_disk("a.vmdk")
        uuid = self.disks.QueryVirtualDiskUuid(name=self.ds("a.vmdk"))
        self.assertRegex(uuid, r"^([0-9a-f]{2} ){7}[0-9a-f]{2}-([0-9a-f]{2} ){7}[0-9a-f]{2}$")
        with self.assertRaises(vim.fault.FileNotFound):
            self.disks.QueryVirtualDiskUuid(name=self.ds("none.vmdk"))

    def test_delete(self) -> None:
        self.create_disk("a.vmdk")
        wait(self.disks.DeleteVirtualDisk_Task(name=self.ds("a.vmdk")))
        self.assertEqual([], self.names())
        self.on_disk("text.vmdk").write_text("not a disk")
        with self.assertRaises(vim.fault.FileFault):
            wait(self.disks.DeleteVirtualDisk_Task(name=self.ds("text.vmdk")))
        self.assertEqual(["text.vmdk"], self.names())

    def test_copy(self) -> None:
        self.create_disk("a.vmdk")
        self.assertEqual(self.ds("b.vmdk"), self.copy("a.vmdk", "b.vmdk"))
        self.assertTrue(self.info("b.vmdk").thin)
        self.copy("a.vmdk", "thick.vmdk", "preallocated")
        thick = self.info("thick.vmdk")
        self.assertFalse(thick.thin)
        self.assertIs(vim.vm.device.VirtualIDEController, thick.controllerType)
        self.assertGreaterEqual(thick.fileSize, KIB_OF_DISK * 1024)
        self.create_disk("eager.vmdk", "eagerZeroedThick")
        self.copy("eager.vmdk", "thin.vmdk", "thin")
        thin = self.info("thin.vmdk")
        self.assertTrue(thin.thin)
        self.assertLess(thin.fileSize, KIB_OF_DISK * 1024 // 2)
        with self.assertRaises(vim.fault.FileAlreadyExists):
            self.copy("a.vmdk", "b.vmdk")
        self.copy("thick.vmdk", "b.vmdk", force=True)
        self.assertFalse(self.info("b.vmdk").thin)
        self.copy("a.vmdk", "c.vmdk", "eagerZeroedThick")
        self.assertGreaterEqual(self.info("c.vmdk").fileSize, KIB_OF_DISK * 1024)
        self.assertFalse(any(name.endswith(".new~") for name in self.names()))

    def test_move(self) -> None:
        self.create_disk("a.vmdk")
        result = wait(self.disks.MoveVirtualDisk_Task(sourceName=self.ds("a.vmdk"), destName=self.ds("b.vmdk")))
        self.assertEqual(self.ds("b.vmdk"), result)
        self.assertEqual(["b.qcow2", "b.vmdk"], self.names())
        self.assertEqual(KIB_OF_DISK, self.info("b.vmdk").capacityKb)

    def extend(self, path: str, kib: int) -> object:
        return wait(self.disks.ExtendVirtualDisk_Task(name=path, newCapacityKb=kib, eagerZero=False))

    def test_extend(self) -> None:
        self.create_disk("a.vmdk")
        self.extend(self.ds("a.vmdk"), 2 * KIB_OF_DISK)
        self.assertEqual(2 * KIB_OF_DISK, self.info("a.vmdk").capacityKb)
        with self.assertRaises(vmodl.fault.InvalidArgument):
            self.extend(self.ds("a.vmdk"), KIB_OF_DISK)

    def test_extend_the_disk_of_a_machine(self) -> None:
        vm = self.create_vm("grower")
        path = self.disk_file(vm)
        self.extend(path, 2 * KIB_OF_DISK)
        self.assertEqual(2 * KIB_OF_DISK, next(
            device.capacityInKB for device in vm.config.hardware.device
            if isinstance(device, vim.vm.device.VirtualDisk)))
        wait(vm.PowerOnVM_Task())
        with self.assertRaises(vim.fault.FileLocked):
            self.extend(path, 3 * KIB_OF_DISK)
        with self.assertRaises(vim.fault.FileLocked):
            self.copy(path.rpartition("/")[2], "copy.vmdk")
        with self.assertRaises(vim.fault.FileLocked):
            wait(self.disks.DeleteVirtualDisk_Task(name=path))

    def test_data_that_name_other_files_are_not_resized(self) -> None:
        self.create_disk("a.vmdk")
        victim = self.host.folder / "victim"
        victim.write_bytes(b"x" * 4096)
        data = bytearray(self.on_disk("a.qcow2").read_bytes())
        name = str(victim).encode()
        data[8:20] = (1024).to_bytes(8, "big") + len(name).to_bytes(4, "big")
        data[1024:1024 + len(name)] = name
        self.on_disk("a.qcow2").write_bytes(data)
        with self.assertRaises(vim.fault.FileFault):
            self.extend(self.ds("a.vmdk"), 2 * KIB_OF_DISK)
        self.assertEqual(b"x" * 4096, victim.read_bytes())


class Folder(DatastoreTest):
    """/folder over HTTP."""

    def connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(*self.host.address, context=self.tls, timeout=60)
        self.addCleanup(connection.close)
        return connection

    def basic(self, password: str | None = None, user: str | None = None) -> dict[str, str]:
        pair = f"{user or self.host.user}:{password if password is not None else self.host.password}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def cookie(self) -> dict[str, str]:
        return {"Cookie": self.instance._stub.cookie.split(";")[0]}

    def url(self, name: str, datastore: str = DS) -> str:
        query = urlencode({"dcPath": "ha-datacenter", "dsName": datastore})
        return f"/folder/{quote(self.folder)}/{quote(name)}?{query}"

    def request(self, method: str, url: str, headers: dict[str, str] | None = None,
                body: object = None) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self.connect()
        connection.request(method, url, body=body, headers=self.cookie() if headers is None else headers)
        response = connection.getresponse()
        return response, response.read()

    def status(self, *args: object, **kwargs: object) -> int:
        return self.request(*args, **kwargs)[0].status

    def test_get(self) -> None:
        data = random.Random(2).randbytes(300_000)
        self.on_disk("a b&c.bin").write_bytes(data)
        for headers in (self.cookie(), self.basic(),
                        {"vmware-api-session-id": self.cookie()["Cookie"].split("=", 1)[1].strip('"')}):
            with self.subTest(next(iter(headers))):
                response, body = self.request("GET", self.url("a b&c.bin"), headers)
                self.assertEqual(200, response.status)
                self.assertEqual(data, body)
                self.assertEqual("application/octet-stream", response.getheader("Content-Type"))
                self.assertEqual("nosniff", response.getheader("X-Content-Type-Options"))
        response, body = self.request("HEAD", self.url("a b&c.bin"))
        self.assertEqual((200, b"", "300000"), (response.status, body, response.getheader("Content-Length")))
        response, body = self.request("GET", self.url("a b&c.bin"), {**self.cookie(), "Range": "bytes=10-19"})
        self.assertEqual((206, data[10:20]), (response.status, body))
        self.assertEqual("bytes 10-19/300000", response.getheader("Content-Range"))
        response, body = self.request("GET", self.url("a b&c.bin"), {**self.cookie(), "Range": "bytes=400000-"})
        self.assertEqual(416, response.status)

    def test_who_may(self) -> None:
        self.on_disk("f").write_text("1")
        for method in ("GET", "PUT", "DELETE"):
            for headers in ({}, self.basic("wrong"), self.basic(user="nobody"), {"Authorization": "Basic !!"},
                            {"Cookie": "vmware_soap_session=0000"}):
                with self.subTest(method=method, headers=headers):
                    body = b"new" if method == "PUT" else None
                    response, _ = self.request(method, self.url("f"), headers, body)
                    self.assertEqual(401, response.status)
                    self.assertTrue(response.getheader("WWW-Authenticate").startswith("Basic "))
        self.assertEqual("1", self.on_disk("f").read_text())

    def test_privileges(self) -> None:
        accounts = self.content.accountManager
        accounts.CreateUser(user=vim.host.LocalAccountManager.AccountSpecification(
            id="reader", password="Reading-9-books"))
        self.addCleanup(accounts.RemoveUser, userName="reader")
        roles = self.content.authorizationManager
        role = roles.AddAuthorizationRole(name="readers", privIds=["Datastore.Browse"])
        self.addCleanup(roles.RemoveAuthorizationRole, roleId=role, failIfUsed=False)
        roles.SetEntityPermissions(entity=self.datastore, permission=[vim.AuthorizationManager.Permission(
            principal="reader", group=False, roleId=role, propagate=True)])
        headers = self.basic("Reading-9-books", "reader")
        self.on_disk("f").write_text("1")
        self.assertEqual(200, self.status("GET", self.url("f"), headers))
        self.assertEqual(403, self.status("PUT", self.url("f"), headers, b"2"))
        self.assertEqual(403, self.status("DELETE", self.url("f"), headers))
        self.assertEqual("1", self.on_disk("f").read_text())
        instance = SmartConnect(host=self.host.address[0], port=self.host.address[1], user="reader",
                                pwd="Reading-9-books", sslContext=self.tls)
        self.addCleanup(Disconnect, instance)
        content = instance.RetrieveContent()
        for call in (lambda: content.fileManager.MakeDirectory(name=self.ds("x")),
                     lambda: content.fileManager.DeleteDatastoreFile_Task(name=self.ds("f")),
                     lambda: content.virtualDiskManager.DeleteVirtualDisk_Task(name=self.ds("f"))):
            with self.assertRaises(vim.fault.NoPermission):
                call()

    def test_not_found(self) -> None:
        self.on_disk("link").symlink_to("/etc/passwd")
        self.on_disk("half.new~").write_text("x")
        for name, expected in (("none", {404}), ("link", {403}), ("half.new~", {404})):
            with self.subTest(name):
                self.assertIn(self.status("GET", self.url(name)), expected)
        self.assertEqual(404, self.status("GET", self.url("x", "other")))
        self.assertEqual(404, self.status("GET", "/folder/x?dcPath=other&dsName=" + DS))
        self.assertEqual(400, self.status("GET", "/folder/x?dcPath=ha-datacenter"))
        self.assertEqual(404, self.status("GET", "/folders"))
        escape = f"/folder/{self.folder}/%2e%2e/%2e%2e/users.json?dcPath=ha-datacenter&dsName={DS}"
        self.assertEqual(400, self.status("GET", escape))
        self.assertEqual(405, self.status("POST", self.url("f"), body=b""))

    def test_listings(self) -> None:
        self.on_disk("<script>").write_text("x")
        self.on_disk("x.new~").write_text("x")
        self.on_disk("sub").mkdir()
        response, body = self.request("GET", "/folder?dcPath=ha-datacenter")
        self.assertEqual(200, response.status)
        self.assertIn(f"dsName={DS}".encode(), body)
        response, body = self.request("GET", self.url(""))
        self.assertEqual(200, response.status)
        self.assertTrue(response.getheader("Content-Type").startswith("text/html"))
        self.assertNotIn(b"<script>", body)
        self.assertIn(b"&lt;script&gt;", body)
        self.assertIn(f'"/folder/{self.folder}/sub/?'.encode(), body)
        self.assertNotIn(b"new~", body)

    def test_put(self) -> None:
        data = random.Random(3).randbytes(5 * 1024 * 1024 + 1)
        for headers in (self.cookie(), self.basic()):
            name = next(iter(headers))
            self.assertEqual(201, self.status("PUT", self.url(name), headers, data))
            self.assertEqual(hashlib.sha256(data).digest(),
                             hashlib.sha256(self.on_disk(name).read_bytes()).digest())
        self.assertEqual(200, self.status("PUT", self.url("Cookie"), body=b"short"))
        self.assertEqual(b"short", self.on_disk("Cookie").read_bytes())
        self.assertEqual(201, self.status("PUT", self.url("empty"), body=b""))
        self.assertEqual(b"", self.on_disk("empty").read_bytes())
        chunks = iter([b"one ", b"two ", data])
        self.assertEqual(201, self.status("PUT", self.url("chunked"), body=chunks))
        self.assertEqual(b"one two " + data, self.on_disk("chunked").read_bytes())
        self.assertEqual(["Authorization", "Cookie", "chunked", "empty"], self.names())

    def test_the_datacenter_may_be_a_path(self) -> None:
        self.on_disk("f").write_bytes(b"x")
        for datacenter, status in (("ha-datacenter", 200), ("/ha-datacenter", 200), ("//ha-datacenter", 404), ("other", 404)):
            url = f"/folder/{quote(self.folder)}/f?dcPath={datacenter}&dsName={DS}"
            self.assertEqual(status, self.status("GET", url), datacenter)

    def test_put_makes_the_folders_above(self) -> None:
        self.assertEqual(201, self.status("PUT", self.url("new/er/f"), body=b"x"))
        self.assertEqual(b"x", self.on_disk("new/er/f").read_bytes())

    def test_put_is_refused(self) -> None:
        self.on_disk("sub").mkdir()
        big = b"x" * 3_000_000
        self.assertEqual(409, self.status("PUT", self.url("sub"), body=b"x"))
        self.assertEqual(404, self.status("PUT", self.url("f.new~"), body=b"x"))
        self.assertEqual(404, self.status("PUT", self.url("f", "other"), body=b"x"))
        self.assertEqual(["sub"], self.names())
        connection = self.connect()
        connection.putrequest("PUT", self.url("huge"))
        for name, value in {**self.cookie(), "Content-Length": str(1 << 60)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        try:
            for _ in range(8):
                connection.send(big)
        except OSError:
            pass  # it has hung up, with an answer
        self.assertEqual(507, connection.getresponse().status)
        self.assertEqual(["sub"], self.names())

    def test_put_keeps_the_files_of_machines(self) -> None:
        vm = self.create_vm("owner")
        disk = self.disk_file(vm).rpartition("/")[2]
        before = {name: self.on_disk(name).read_bytes() for name in self.names()}
        for name in ("owner.vmx", disk, disk.replace(".vmdk", ".qcow2")):
            self.assertEqual(409, self.status("PUT", self.url(name), body=b"x"))
            self.assertEqual(409, self.status("DELETE", self.url(name)))
        self.assertEqual(before, {name: self.on_disk(name).read_bytes() for name in self.names()})
        self.assertEqual(200, self.status("GET", self.url("owner.vmx")))

    def wait_for(self, condition: object, what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.02)

    def half_upload(self, name: str) -> socket.socket:
        """An upload of which half has been written."""
        connection = self.tls.wrap_socket(socket.create_connection(self.host.address))
        self.addCleanup(connection.close)
        head = f"PUT {self.url(name)} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n"
        head += f"Cookie: {self.cookie()['Cookie']}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 1_000_000)
        self.wait_for(lambda: self.on_disk(f"{name}.new~").exists(), "the upload begins")
        return connection

    def test_put_that_breaks_off_leaves_nothing(self) -> None:
        self.on_disk("f").write_text("old")
        connection = self.half_upload("f")
        self.assertEqual("old", self.on_disk("f").read_text())
        connection.close()
        self.wait_for(lambda: self.names() == ["f"], "the new file is removed")
        self.assertEqual("old", self.on_disk("f").read_text())

    def test_two_uploads_of_one_file(self) -> None:
        connection = self.half_upload("f")
        self.assertEqual(409, self.status("PUT", self.url("f"), body=b"other"))
        connection.sendall(b"x" * 1_000_000)
        self.assertIn(b" 201 ", connection.recv(4096).split(b"\r\n")[0])
        self.assertEqual(2_000_000, self.on_disk("f").stat().st_size)
        self.assertEqual(["f"], self.names())

    def test_what_a_crash_leaves_is_written_over(self) -> None:
        self.on_disk("f.new~").write_text("half of something longer")
        self.assertEqual(201, self.status("PUT", self.url("f"), body=b"whole"))
        self.assertEqual(b"whole", self.on_disk("f").read_bytes())
        kept = self.on_disk("kept")
        kept.write_text("kept")
        os.link(kept, self.on_disk("g.new~"))
        self.assertEqual(201, self.status("PUT", self.url("g"), body=b"new"))
        self.assertEqual("kept", kept.read_text())

    def test_delete(self) -> None:
        self.on_disk("f").write_text("1")
        self.on_disk("sub").mkdir()
        self.create_disk("d.vmdk")
        self.assertEqual(204, self.status("DELETE", self.url("f")))
        self.assertEqual(404, self.status("DELETE", self.url("f")))
        self.assertEqual(409, self.status("DELETE", self.url("sub")))
        self.assertEqual(204, self.status("DELETE", self.url("d.vmdk"), self.basic()))
        self.assertEqual(["sub"], self.names())


class Plain(unittest.TestCase):
    """The same without TLS, where the body comes through another path of the server."""

    def test_put_and_get(self) -> None:
        with TenkyuHost(hypervisor="sim") as host:
            pair = base64.b64encode(f"{host.user}:{host.password}".encode()).decode()
            url = f"/folder/f.bin?dcPath=ha-datacenter&dsName={DS}"
            data = random.Random(4).randbytes(2_000_000)
            for method, body, expected in (("PUT", data, 201), ("GET", None, 200)):
                connection = http.client.HTTPConnection(*host.address, timeout=60)
                connection.request(method, url, body=body, headers={"Authorization": f"Basic {pair}"})
                response = connection.getresponse()
                answer = response.read()
                connection.close()
                self.assertEqual(expected, response.status, answer[:200])
            self.assertEqual(data, answer)

    def test_the_host_stops_during_an_upload(self) -> None:
        with TenkyuHost(hypervisor="sim") as host:
            pair = base64.b64encode(f"{host.user}:{host.password}".encode()).decode()
            head = f"PUT /folder/f?dcPath=ha-datacenter&dsName={DS} HTTP/1.1\r\nHost: x\r\n"
            head += f"Authorization: Basic {pair}\r\nContent-Length: 2000000\r\n\r\n"
            folder = host.state / "datastores" / DS
            with socket.create_connection(host.address) as connection:
                connection.sendall(head.encode() + b"x" * 1_000_000)
                deadline = time.monotonic() + 30
                while not (folder / "f.new~").exists():
                    self.assertLess(time.monotonic(), deadline, "the upload begins")
                    time.sleep(0.02)
                self.assertEqual(0, host.stop(), host.log_text())
            self.assertEqual([], os.listdir(folder))


if __name__ == "__main__":
    unittest.main()
