# SPDX-License-Identifier: Apache-2.0
"""Datastores on a file server (GlusterFS, real daemons): two hosts, each with a mount of its own, run a machine once;
a guest's data are there; the server goes away and comes back; what is refused."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

import file_server
import guest
import vim_client as vi
from tenkyu_host import TenkyuHost


def spec(name: str, path: str = "/good", **members: Any) -> Any:
    values = {"remoteHost": file_server.ADDRESS, "remotePath": path, "localPath": name, "accessMode": "readWrite",
              "type": "GLUSTERFS"}
    return vim.host.NasVolume.Specification(**{**values, **members})


def system(client: vi.Client) -> Any:
    return client.system.configManager.datastoreSystem


def store(client: vi.Client, name: str) -> Any:
    return next(each for each in client.datacenter.datastore if each.name == name)


def mounts() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if "fuse.glusterfs" in line]


def setUpModule() -> None:
    if os.geteuid() != 0:
        raise unittest.SkipTest("only root can mount")
    file_server.enter_namespaces()


class Locks(unittest.TestCase):
    """A volume that forgets locks, and lets who had them write on, is none for machines."""

    def test_it_is_refused(self) -> None:
        with tempfile.TemporaryDirectory(prefix="tenkyu-bricks-") as folder:
            server = file_server.Gluster(Path(folder), strict_locks=False)
            self.addCleanup(server.close)
            with TenkyuHost(tls=True) as host:
                client = vi.Client(host)
                with self.assertRaises(vim.fault.NasVolumeNotMounted) as caught:
                    system(client).CreateNasDatastore(spec("nas"))
                self.assertIn("strict-locks", caught.exception.msg)
                self.assertEqual([], mounts())
                self.assertEqual(["datastore1"], [each.name for each in client.datacenter.datastore])
                system(client).CreateNasDatastore(spec("nas", accessMode="readOnly"))  # nobody has locks there
                self.assertEqual(1, len(mounts()))


class RemoteDatastores(unittest.TestCase):
    first: vi.Client
    second: vi.Client

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="tenkyu-bricks-")
        cls.addClassCleanup(folder.cleanup)
        cls.bricks = Path(folder.name)
        cls.server = file_server.Gluster(cls.bricks)
        cls.addClassCleanup(cls.server.close)
        cls.hosts = []
        for _ in range(2):
            host = TenkyuHost(hypervisor="qemu", tls=True)
            cls.addClassCleanup(host.close)
            cls.hosts.append(host)
        cls.first, cls.second = (vi.Client(host) for host in cls.hosts)
        for client in (cls.first, cls.second):
            client.wait_event(system(client).CreateNasDatastore(spec("nas")), vim.event.NASDatastoreCreatedEvent)

    @classmethod
    def tearDownClass(cls) -> None:
        for host in cls.hosts:
            code = host.stop()
            assert code == 0, f"a host ended with {code}\n{host.log_text()[-4000:]}"

    def twin(self, vm: Any) -> Any:
        """The same machine, as the second host has it."""
        path = vm.config.files.vmPathName
        return self.second.run(self.second.folder.RegisterVM_Task(path, None, False, self.second.pool))

    def destroy(self, vm: Any) -> None:
        if vm.runtime.powerState == "poweredOn":
            self.first.run(vm.PowerOffVM_Task())
        self.first.run(vm.Destroy_Task())

    def test_what_it_is_shown_as(self) -> None:
        nas = store(self.first, "nas")
        self.assertIsInstance(nas.info, vim.host.NasDatastoreInfo)
        self.assertEqual(("GLUSTERFS", file_server.ADDRESS, "/good"),
                         (nas.info.nas.type, nas.info.nas.remoteHost, nas.info.nas.remotePath))
        self.assertEqual(("GLUSTERFS", True, True),
                         (nas.summary.type, nas.summary.accessible, nas.summary.multipleHostAccess))
        disk = os.statvfs(self.bricks)
        self.assertEqual(disk.f_blocks * disk.f_frsize >> 20, nas.summary.capacity >> 20)

    def test_what_is_refused(self) -> None:
        first = system(self.first)
        for members, property_name in (({"localPath": "a]b"}, "localPath"), ({"remoteHost": "-oexec"}, "remoteHost"), ({"remoteHost": "a;b"}, "remoteHost"),
                                       ({"remotePath": "good"}, "remotePath"), ({"remotePath": "/a b"}, "remotePath"),
                                       ({"accessMode": "write"}, "accessMode"), ({"type": "SMB9"}, "type"),
                                       ({"userName": "me"}, "userName"), ({"securityType": "SEC_KRB5"}, "securityType"),
                                       ({"remoteHostNames": ["a", "b"]}, "remoteHostNames")):
            with self.subTest(property_name), self.assertRaises(vmodl.fault.InvalidArgument) as caught:
                first.CreateNasDatastore(spec("other", **members))
            self.assertEqual(f"spec.{property_name}", caught.exception.invalidProperty)
        with self.assertRaises(vim.fault.AlreadyExists):
            first.CreateNasDatastore(spec("other"))
        with self.assertRaises(vim.fault.DuplicateName):
            first.CreateNasDatastore(spec("nas", "/other"))
        with self.assertRaises(vim.fault.NasVolumeNotMounted):
            first.CreateNasDatastore(spec("other", "/missing"))
        self.assertEqual(2, len(mounts()))
        self.assertEqual({"datastore1", "nas"}, {each.name for each in self.first.datacenter.datastore})

    def test_a_machine_runs_once(self) -> None:
        vm = self.first.create("once", vi.controller(), vi.disk(8), files=vim.vm.FileInfo(vmPathName="[nas]"))
        twin = self.twin(vm)
        self.first.run(vm.PowerOnVM_Task())
        for refused in (twin.PowerOnVM_Task, twin.Destroy_Task,
                        lambda: self.second.content.virtualDiskManager.ExtendVirtualDisk_Task(
                            "[nas] once/once.vmdk", None, 1 << 20)):
            with self.assertRaises(vim.fault.FileLocked):
                self.second.run(refused())
        (pid,) = self.hosts[0].qemu_processes(vm._moId)
        os.kill(pid, 9)
        self.first.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOff")
        self.second.run(twin.PowerOnVM_Task())
        with self.assertRaises(vim.fault.FileLocked):
            self.first.run(vm.PowerOnVM_Task())
        self.second.run(twin.PowerOffVM_Task())
        twin.UnregisterVM()
        self.first.run(vm.CreateSnapshot_Task("one", "", False, False))
        self.destroy(vm)
        self.assertFalse((self.bricks / "good/once").exists())

    def test_a_guest_and_a_server_that_goes_away(self) -> None:
        local = Path(store(self.first, vi.DATASTORE).info.path)
        for name in ("vmlinuz", "initrd.gz"):
            shutil.copy(guest.folder() / name, local / name)
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": "console=ttyS0,115200 quiet panic=5"}
        vm = self.first.create(
            "guest", vi.controller(), vi.disk(64), vi.serial_file("[nas] guest/serial.txt"), vi.serial_console(),
            files=vim.vm.FileInfo(vmPathName="[nas]"),
            extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in options.items()])
        self.first.run(vm.PowerOnVM_Task())
        shell = guest.Shell(self.first.websocket(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        shell.run("head -c 4194304 /dev/urandom >/tmp/a && dd if=/tmp/a of=/dev/sda bs=1048576 conv=fsync 2>/dev/null")
        nas, other = store(self.first, "nas"), store(self.first, vi.DATASTORE)
        self.server.away()
        nas.RefreshDatastore()  # looks now, and not within ten seconds
        try:
            self.first.wait_until(nas, "summary.accessible", lambda accessible: not accessible)
            self.assertEqual("red", nas.overallStatus)
            self.assertEqual("AllPathsDown_Start", nas.host[0].mountInfo.inaccessibleReason)
            # The rest of the host works.
            self.assertTrue(other.summary.accessible)
            self.first.run(other.browser.SearchDatastore_Task(f"[{vi.DATASTORE}]", None))
            with self.assertRaises(vim.fault.InaccessibleDatastore):
                self.first.run(nas.browser.SearchDatastore_Task("[nas]", None))
            with self.assertRaises(vim.fault.InaccessibleDatastore):
                self.first.run(self.first.content.virtualDiskManager.CreateVirtualDisk_Task(
                    "[nas] new.vmdk", None, vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
                        diskType="thin", adapterType="lsiLogic", capacityKb=1024)))
        finally:
            self.server.back()
        self.first.wait_until(nas, "summary.accessible", lambda accessible: accessible, 90)
        self.assertIsNone(nas.host[0].mountInfo.inaccessibleReason)
        # The guest has waited, and has what it wrote.
        self.assertEqual(shell.run("md5sum </tmp/a"),
                         shell.run("echo 3 >/proc/sys/vm/drop_caches; head -c 4194304 /dev/sda | md5sum"))
        # A host that starts while the server is away shows its machines as soon as it is back.
        self.first.run(vm.PowerOffVM_Task())
        path = vm.config.files.vmPathName
        self.restart_without_server(path, mounted=True)
        vm = self.restart_without_server(path, mounted=False)
        self.first.run(vm.PowerOnVM_Task())
        self.destroy(vm)

    def test_a_mount_that_dies(self) -> None:
        nas = store(self.second, "nas")
        point = nas.info.url.removeprefix("ds://").rstrip("/")
        for how in (self.kill_client, lambda mounted: file_server._run("umount", "-l", mounted)):
            before = len(self.told(nas))
            how(point)
            nas.RefreshDatastore()
            events = self.second.content.eventManager
            self.second.wait_until(events, "latestEvent", lambda _: len(self.told(nas)) > before)
            nas.RefreshDatastore()
            self.second.wait_until(events, "latestEvent", lambda _: len(self.told(nas)) > before + 1)
            self.assertEqual(["tenkyu.datastore.inaccessible", "tenkyu.datastore.accessible"], self.told(nas)[before:])
            self.second.run(nas.browser.SearchDatastore_Task("[nas]", None))
            self.assertIn(point, mounts())

    def told(self, nas: Any) -> list[str]:
        return [event.eventTypeId for event in self.second.events(nas)
                if isinstance(event, vim.event.EventEx) and event.eventTypeId.endswith("accessible")]

    @staticmethod
    def kill_client(point: str) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            words = (process / "cmdline").read_bytes().split(b"\0") if (process / "cmdline").exists() else []
            if point.encode() in words and b"glusterfs" in words[0]:
                os.kill(int(process.name), 9)

    def restart_without_server(self, path: str, mounted: bool) -> Any:
        host = self.hosts[0]
        host.stop()
        for point in mounts():
            if point.startswith(str(host.state)) and not mounted:
                file_server._run("umount", "-l", point)
        self.server.away()
        try:
            host.start()
            type(self).first = client = vi.Client(host)
            nas = store(client, "nas")
            self.assertFalse(nas.summary.accessible)
            vm = next(each for each in client.folder.childEntity if each.summary.config.vmPathName == path)
            self.assertEqual("inaccessible", vm.runtime.connectionState)
            with self.assertRaises(vim.fault.ResourceInUse):
                system(client).RemoveDatastore(nas)
        finally:
            self.server.back()
        nas.RefreshDatastore()
        client.wait_until(nas, "summary.accessible", lambda accessible: accessible, 90)
        client.wait_until(vm, "runtime.connectionState", lambda state: state == "connected")
        self.assertEqual("guest", vm.name)
        return vm

    def test_removed_and_read_only(self) -> None:
        (self.bricks / "other/file").write_bytes(b"contents")
        other = system(self.second).CreateNasDatastore(spec("other", "/other", accessMode="readOnly"))
        self.assertEqual("readOnly", other.host[0].mountInfo.accessMode)
        files = self.second.content.fileManager
        with self.assertRaises(vim.fault.FileNotWritable):
            files.MakeDirectory("[other] folder", None, False)
        found = self.second.run(other.browser.SearchDatastore_Task("[other]", None))
        self.assertEqual(["file"], [each.path for each in found.file])
        other.RenameDatastore("library")
        self.assertEqual(("library",) * 3, (other.name, other.summary.name, other.info.name))
        self.hosts[1].restart()
        type(self).second = vi.Client(self.hosts[1])
        library = store(self.second, "library")
        self.assertEqual("readOnly", library.host[0].mountInfo.accessMode)
        self.second.run(library.browser.SearchDatastore_Task("[library]", None))
        gone, again = self.second.run(system(self.second).RemoveDatastoreEx_Task([library, library]))
        self.assertIsNone(gone.fault)
        self.assertIsInstance(again.fault, vmodl.fault.ManagedObjectNotFound)
        self.assertEqual(2, len(mounts()))
        self.assertEqual({"datastore1", "nas"}, {each.name for each in self.second.datacenter.datastore})
        self.assertEqual(b"contents", (self.bricks / "other/file").read_bytes())
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            library.RefreshDatastore()


if __name__ == "__main__":
    unittest.main()
