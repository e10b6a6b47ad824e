# SPDX-License-Identifier: Apache-2.0
"""Files of a machine that are damaged, or cut off: a fault that names the file, and everything else goes on."""

from __future__ import annotations

import shutil
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

import vim_client as vi
from tenkyu_host import TenkyuHost

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "half": lambda whole: whole[:len(whole) // 2] + b'\nlast = "',
    "bytes": lambda whole: bytes(range(256)) * 8,
    "zeros": lambda whole: bytes(4096),
}


class DamagedFiles(unittest.TestCase):
    host: TenkyuHost
    client: vi.Client

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="qemu", tls=True)
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.folder = Path(cls.client.datacenter.datastore[0].info.path)
        cls.client.create("sound", vi.controller(), vi.disk(8))

    @classmethod
    def tearDownClass(cls) -> None:
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    def machine(self, name: str) -> Any:
        return next(vm for vm in self.client.folder.childEntity if vm.summary.config.vmPathName.endswith(f"/{name}.vmx"))

    def restart(self) -> None:
        self.host.restart()
        type(self).client = vi.Client(self.host)

    def check_sound(self) -> None:
        """The rest of the host works."""
        vm = self.machine("sound")
        self.assertEqual("connected", vm.runtime.connectionState)
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(vm.PowerOffVM_Task())

    def damage(self, path: Path, kind: str) -> bytes:
        whole = path.read_bytes()
        path.write_bytes(DAMAGES[kind](whole))
        return whole

    def assert_told(self, task: Callable[[], Any], kinds: tuple[type, ...], name: str) -> None:
        with self.assertRaises(kinds) as caught:
            self.client.run(task())
        self.assertIn(name, caught.exception.msg)

    def test_configuration(self) -> None:
        vm = self.client.create("config", vi.controller(), vi.disk(8))
        path = self.folder / "config/config.vmx"
        for kind in DAMAGES:
            with self.subTest(kind):
                whole = self.damage(path, kind)
                self.restart()
                vm = self.machine("config")
                if kind == "empty":  # a configuration of defaults
                    self.assertIn(vm.runtime.connectionState, ("connected", "inaccessible"))
                else:
                    self.assertEqual("inaccessible", vm.runtime.connectionState)
                    with self.assertRaises(vmodl.MethodFault):
                        self.client.run(vm.PowerOnVM_Task())
                self.check_sound()
                vm.UnregisterVM()
                if kind != "empty":
                    self.assert_told(lambda: self.client.folder.RegisterVM_Task(
                        "[datastore1] config/config.vmx", None, False, self.client.pool),
                        (vim.fault.InvalidVmConfig, vim.fault.FileFault), "config.vmx")
                path.write_bytes(whole)
                self.client.run(self.client.folder.RegisterVM_Task("[datastore1] config/config.vmx", None, False,
                                                                   self.client.pool))
                vm = self.machine("config")
                self.client.run(vm.PowerOnVM_Task())
                self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.Destroy_Task())

    def test_disks(self) -> None:
        vm = self.client.create("disk", vi.controller(), vi.disk(8))
        faults = (vim.fault.InvalidDiskFormat, vim.fault.FileFault)
        for file in ("disk.vmdk", "disk.qcow2"):
            path = self.folder / "disk" / file
            for kind in DAMAGES:
                if (file, kind) == ("disk.qcow2", "half"):
                    continue  # its header is whole: a guest would read zeros
                with self.subTest(file=file, kind=kind):
                    whole = self.damage(path, kind)
                    self.assert_told(vm.PowerOnVM_Task, faults, "disk.")
                    self.assert_told(lambda: self.client.content.virtualDiskManager.CopyVirtualDisk_Task(
                        "[datastore1] disk/disk.vmdk", None, "[datastore1] copy.vmdk", None), faults, "disk")
                    self.restart()
                    vm = self.machine("disk")
                    self.check_sound()
                    path.write_bytes(whole)
                    self.restart()
                    vm = self.machine("disk")
                    self.client.run(vm.PowerOnVM_Task())
                    self.client.run(vm.PowerOffVM_Task())
        self.assertFalse((self.folder / "copy.vmdk").exists())
        self.client.run(vm.Destroy_Task())
        self.assertFalse((self.folder / "disk").exists())

    def test_snapshots(self) -> None:
        vm = self.client.create("snap", vi.controller(), vi.disk(8))
        self.client.run(vm.CreateSnapshot_Task("one", "", False, False))
        path = self.folder / "snap/snap.vmsd"
        for kind in DAMAGES:
            with self.subTest(kind):
                whole = self.damage(path, kind)
                kept = {each.name for each in (self.folder / "snap").iterdir()}
                self.restart()
                vm = self.machine("snap")
                if kind != "empty":
                    self.assert_told(lambda: vm.CreateSnapshot_Task("two", "", False, False),
                                     (vim.fault.FileFault, vim.fault.VmConfigFault, vim.fault.SnapshotFault), "snap")
                    self.assertEqual(kept, {each.name for each in (self.folder / "snap").iterdir()})
                self.check_sound()
                path.write_bytes(whole)
                self.restart()
                vm = self.machine("snap")
                self.assertEqual(["one"], [each.name for each in vm.snapshot.rootSnapshotList])
        self.client.run(vm.RemoveAllSnapshots_Task())
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.Destroy_Task())

    def test_a_folder_that_is_gone(self) -> None:
        """A datastore whose folder is away at a start stays in the list, and is back when that is."""
        away = self.host.folder / "away"
        away.mkdir()
        self.client.system.configManager.datastoreSystem.CreateLocalDatastore("away", str(away))
        vm = self.client.create("far", vi.controller(), vi.disk(8), files=vim.vm.FileInfo(vmPathName="[away]"))
        self.host.stop()
        hidden = away.rename(self.host.folder / "hidden")
        self.host.start()
        type(self).client = vi.Client(self.host)
        store = next(each for each in self.client.datacenter.datastore if each.name == "away")
        vm = self.machine("far")
        self.assertEqual((False, "inaccessible"), (store.summary.accessible, vm.runtime.connectionState))
        self.assert_told(lambda: store.browser.SearchDatastore_Task("[away]", None),
                         (vim.fault.InaccessibleDatastore,), "away")
        self.check_sound()
        self.client.system.configManager.datastoreSystem.CreateLocalDatastore("third", str(self.host.folder))
        self.restart()  # the list was written in between
        store = next(each for each in self.client.datacenter.datastore if each.name == "away")
        vm = self.machine("far")
        hidden.rename(away)
        store.RefreshDatastore()
        self.client.wait_until(vm, "runtime.connectionState", lambda state: state == "connected")
        self.client.wait_until(store, "summary.accessible", lambda accessible: accessible)
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.Destroy_Task())
        store.DestroyDatastore()
        self.assertEqual(["datastore1", "third"], sorted(each.name for each in self.client.datacenter.datastore))
        shutil.rmtree(away)


if __name__ == "__main__":
    unittest.main()
