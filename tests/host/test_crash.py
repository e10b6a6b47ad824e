# SPDX-License-Identifier: Apache-2.0
"""What is left when something ends without warning: the agent killed at every step of an operation, QEMU killed,
the disk full. The steps are counted by crash_point.c, which is preloaded into the agent: for n = 1, 2, ... the
operation is begun and cut off at its n-th step, until it comes through."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyVmomi import vim

import guest
import vim_client as vi
from crash import STEPS_MAX, CrashTest, tree
from tenkyu_host import TenkyuHost

class KilledAtEachStep(CrashTest):
    def test_create(self) -> None:
        present = []
        for step in self.crashes(lambda: self.client.create("web", vi.controller(), vi.disk(8), vi.disk(8))):
            with self.subTest(step=step):
                self.check_no_traces()
                vm = self.machines().get("web")
                present.append(vm is not None)
                if vm is None:
                    self.assertEqual({}, tree(self.datastore))
                else:
                    self.check_complete(vm)
                    self.destroy(vm)
        self.assertGreater(len(present), 15)
        self.assertEqual(sorted(present), present)  # once it is there, it stays
        self.assertEqual({False, True}, set(present))
        self.check_complete(self.machines()["web"])
        self.destroy(self.machines()["web"])

    def check_complete(self, vm: Any) -> None:
        self.assertEqual("connected", vm.runtime.connectionState)
        self.assertEqual(["web/", "web/web.qcow2", "web/web.vmdk", "web/web.vmx", "web/web_1.qcow2",
                          "web/web_1.vmdk"], sorted(tree(self.datastore)))
        self.client.run(vm.PowerOnVM_Task())
        self.assertEqual("poweredOn", vm.runtime.powerState)
        self.client.run(vm.PowerOffVM_Task())

    def reconfigure_table(self, file_name: str, new_files: set[str]) -> None:
        """A new disk for a machine that has one: it is there with its files, or there is no trace of it."""
        vm = self.client.create("web", vi.controller(), vi.disk(8))
        before, vmx = set(tree(self.datastore)), self.datastore / "web/web.vmx"
        old, present = vmx.read_bytes(), []
        for step in self.crashes(lambda: self.add_disk(file_name)):
            with self.subTest(step=step):
                self.check_no_traces()
                vm = self.machines()["web"]
                disks = vi.find(vm, vim.vm.device.VirtualDisk)
                present.append(len(disks) == 2)
                if len(disks) == 1:
                    self.assertEqual((before, old), (set(tree(self.datastore)), vmx.read_bytes()))
                else:
                    self.assertEqual(before | new_files, set(tree(self.datastore)))
                    self.client.run(vm.PowerOnVM_Task())
                    self.client.run(vm.PowerOffVM_Task())
                    self.client.reconfigure(vm, vi.change(disks[1], "remove", "destroy"))
                    before.add("web/tenkyu.log")
                    self.assertEqual(before, set(tree(self.datastore)))
                    old = vmx.read_bytes()
        self.assertGreater(len(present), 10)
        self.assertEqual(sorted(present), present)
        self.assertEqual({False, True}, set(present))
        self.assertEqual(before | new_files, set(tree(self.datastore)))

    def add_disk(self, file_name: str) -> None:
        vm = self.machines()["web"]
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        self.client.reconfigure(vm, vi.disk(8, controller.key, file_name))

    def test_reconfigure_with_a_new_disk(self) -> None:
        self.reconfigure_table("", {"web/web_1.vmdk", "web/web_1.qcow2"})

    def test_reconfigure_with_a_new_disk_in_another_folder(self) -> None:
        """Which the .vmx names by another form of path."""
        (self.datastore / "other").mkdir()
        self.reconfigure_table(f"[{vi.DATASTORE}] other/data.vmdk", {"other/data.vmdk", "other/data.qcow2"})

    def test_reconfigure_that_destroys_a_disk(self) -> None:
        vm = self.client.create("web", vi.controller())
        present = []

        def remove() -> None:
            vm = self.machines()["web"]
            self.client.reconfigure(vm, vi.change(vi.find(vm, vim.vm.device.VirtualDisk)[0], "remove", "destroy"))

        self.add_disk("")
        for step in self.crashes(remove):
            with self.subTest(step=step):
                self.check_no_traces()
                vm = self.machines()["web"]
                present.append(bool(vi.find(vm, vim.vm.device.VirtualDisk)))
                files = {"web/", "web/web.vmx"} | ({"web/web.vmdk", "web/web.qcow2"} if present[-1] else set())
                self.assertEqual(files, set(tree(self.datastore)))
                if not present[-1]:
                    self.add_disk("")
        self.assertEqual(sorted(present, reverse=True), present)
        self.assertEqual({False, True}, set(present))

    def test_destroy(self) -> None:
        present = []
        self.client.create("web", vi.controller(), vi.disk(8))
        files = set(tree(self.datastore))
        for step in self.crashes(lambda: self.client.run(self.machines()["web"].Destroy_Task())):
            with self.subTest(step=step):
                self.check_no_traces()
                present.append("web" in self.machines())
                self.assertEqual(files if present[-1] else set(), set(tree(self.datastore)))
                if not present[-1]:
                    self.client.create("web", vi.controller(), vi.disk(8))
        self.assertEqual(sorted(present, reverse=True), present)
        self.assertEqual({False, True}, set(present))
        self.assertEqual({}, tree(self.datastore))


class NoSpaceTest(CrashTest):
    """Every call that may find the disk full does so once: the fault is NoDiskSpace, and all is as before."""

    def full(self, operation: Callable[[], Any]) -> int:
        """How many steps found it full."""
        for step in range(1, STEPS_MAX):
            before = tree(self.datastore), tree(self.host.state / "journal"), sorted(self.machines())
            registered = (self.host.state / "vms.json").read_bytes()
            self.point.arm(step, errno.ENOSPC)
            fault = None
            try:
                operation()
            except vim.fault.VimFault as caught:
                fault = caught
            if not self.point.disarm():
                self.assertIsNone(fault)
                return step - 1
            with self.subTest(step=step):
                self.assertIsInstance(fault, vim.fault.NoDiskSpace)
                self.assertEqual(before, (tree(self.datastore), tree(self.host.state / "journal"),
                                          sorted(self.machines())))
                self.assertEqual(registered, (self.host.state / "vms.json").read_bytes())
        self.fail(f"{STEPS_MAX} steps")


class NoSpaceAtEachStep(NoSpaceTest):
    def test_create_and_reconfigure(self) -> None:
        self.client.create("first")
        self.assertGreater(self.full(lambda: self.client.create("web", vi.controller(), vi.disk(8))), 8)
        vm = self.machines()["web"]
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        add = vi.disk(8, controller.key)
        self.assertGreater(self.full(lambda: self.client.reconfigure(vm, add)), 5)
        self.assertEqual(2, len(vi.find(vm, vim.vm.device.VirtualDisk)))
        self.client.run(vm.PowerOnVM_Task())


class FullDatastore(unittest.TestCase):
    def test_a_file_system_that_is_full(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root mounts a small file system")
        host = TenkyuHost("sim")
        self.addCleanup(host.close)
        small = host.folder / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=True)
        client = vi.Client(host)
        system = client.system.configManager.datastoreSystem
        system.CreateLocalDatastore("small", str(small))
        place = vim.vm.FileInfo(vmPathName="[small]")
        vm = client.create("fits", vi.controller(), vi.disk(8), files=place)
        before = tree(small)
        with self.assertRaises(vim.fault.NoDiskSpace):
            client.create("big", vi.controller(), vi.disk(8), vi.disk(8), vi.disk(8), files=place)
        self.assertEqual(before, tree(small))
        self.assertEqual(["fits"], [m.name for m in client.folder.childEntity])
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        disks = [vi.disk(8, controller.key) for _ in range(3)]
        with self.assertRaises(vim.fault.NoDiskSpace):
            client.reconfigure(vm, *disks)
        self.assertEqual(before, tree(small))
        thick = vi.disk(8, controller.key)
        thick.device.backing.thinProvisioned = False
        with self.assertRaises(vim.fault.NoDiskSpace):
            client.reconfigure(vm, thick)
        self.assertEqual(before, tree(small))
        # To the last byte: now nothing fits, not even a line more in the .vmx.
        filler = os.open(small / "filler", os.O_WRONLY | os.O_CREAT)
        with self.assertRaisesRegex(OSError, "No space left"):
            while True:
                os.write(filler, bytes(4096))
        os.close(filler)
        with self.assertRaises(vim.fault.NoDiskSpace):
            client.reconfigure(vm, annotation="words " * 2000)
        self.assertEqual(before, {name: data for name, data in tree(small).items() if name != "filler"})
        (small / "filler").unlink()
        client.reconfigure(vm, annotation="words")
        client.run(vm.PowerOnVM_Task())
        self.assertEqual([], list((host.state / "journal").iterdir()))


class RunningMachines(NoSpaceTest):
    hypervisor = "qemu"

    def open_disks(self) -> list[str]:
        """The data files that the one QEMU has open; one that was removed meanwhile ends in \" (deleted)\"."""
        (process,) = self.host.qemu_processes()
        links = {os.readlink(fd) for fd in Path(f"/proc/{process}/fd").iterdir()}
        return sorted(name.removeprefix(f"{self.datastore}/") for name in links if ".qcow2" in name)

    def start_guest(self) -> tuple[Any, guest.Shell]:
        for name in ("vmlinuz", "initrd.gz"):
            shutil.copy(guest.folder() / name, self.datastore / name)
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": "console=ttyS0,115200 quiet"}
        vm = self.client.create("guest", vi.controller(), vi.disk(8), vi.serial_file(f"[{vi.DATASTORE}] serial.txt"),
                                vi.serial_console(),
                                extraConfig=[vim.option.OptionValue(key=k, value=v) for k, v in options.items()])
        self.client.run(vm.PowerOnVM_Task())
        return vm, self.shell(vm)

    def shell(self, vm: Any) -> guest.Shell:
        shell = guest.Shell(self.client.websocket(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        return shell

    def test_the_agent_is_killed(self) -> None:
        """Its machines run on; the next agent finds them, and all its operations work on them."""
        vm, shell = self.start_guest()
        shell.run("echo here >/tmp/word")
        boot_id = shell.run("cat /proc/sys/kernel/random/boot_id")
        running = self.host.qemu_processes()
        self.assertEqual(1, len(running))
        self.host.kill9()
        self.assertEqual(running, self.host.qemu_processes())
        self.host.start()
        self.client = vi.Client(self.host)
        vm = self.machines()["guest"]
        self.assertEqual("poweredOn", vm.runtime.powerState)
        self.assertEqual(running, self.host.qemu_processes(vm._moId))
        shell = self.shell(vm)
        self.assertEqual(boot_id, shell.run("cat /proc/sys/kernel/random/boot_id"))
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        self.client.reconfigure(vm, vi.disk(8, controller.key))
        shell.run("until [ -b /dev/sdb ]; do sleep 0.1; done")
        self.client.run(vm.SuspendVM_Task())
        self.assertEqual([], self.host.qemu_processes())

        self.host.kill9()  # a suspended machine stays one, too
        self.host.start()
        self.client = vi.Client(self.host)
        vm = self.machines()["guest"]
        self.assertEqual("suspended", vm.runtime.powerState)
        self.client.run(vm.PowerOnVM_Task())
        self.assertEqual("here", self.shell(vm).run("cat /tmp/word"))

        # The guest ends while nobody looks: the next agent finds the machine off.
        (pid,) = self.host.qemu_processes()
        self.host.kill9()
        with os.fdopen(os.pidfd_open(pid), "rb") as ended:
            os.kill(pid, signal.SIGKILL)
            select.select([ended], [], [], 30)
        self.host.start()
        self.client = vi.Client(self.host)
        vm = self.machines()["guest"]
        self.assertEqual("poweredOff", vm.runtime.powerState)
        self.client.run(vm.Destroy_Task())

    def test_qemu_is_killed(self) -> None:
        vm = self.client.create("a", vi.controller(), vi.disk(8))
        other = self.client.create("b", vi.controller(), vi.disk(8))
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(other.PowerOnVM_Task())
        (pid,) = self.host.qemu_processes(vm._moId)
        os.kill(pid, signal.SIGKILL)
        self.client.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOff")
        event = self.client.wait_event(vm, vim.event.VmPoweredOffEvent)
        self.assertRegex(event.fullFormattedMessage, r"\ba\.vmx: .*\b(9|[Kk]ill)")
        self.assertEqual("poweredOn", other.runtime.powerState)
        self.assertEqual(1, len(self.host.qemu_processes(other._moId)))
        self.client.run(vm.PowerOnVM_Task())
        self.assertEqual(1, len(self.host.qemu_processes(vm._moId)))
        for each in (vm, other):
            self.client.run(each.PowerOffVM_Task())
        self.assertEqual([], self.host.qemu_processes())

    def test_no_space_at_each_step_of_a_change(self) -> None:
        """What was changed of the running machine by then is changed back."""
        vm = self.client.create("web", vi.controller(), vi.disk(8), vi.disk(16))
        self.client.run(vm.PowerOnVM_Task())
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        _, second = vi.find(vm, vim.vm.device.VirtualDisk)
        changes = [vi.change(second, "remove", "destroy"), vi.disk(8, controller.key)]
        old, seen = ["web/web.qcow2", "web/web_1.qcow2"], []
        self.assertEqual(old, self.open_disks())

        def change() -> None:
            try:
                self.client.reconfigure(vm, *changes)
            finally:
                seen.append(self.open_disks())
        self.assertGreater(self.full(change), 5)
        self.assertEqual([old] * (len(seen) - 1) + [["web/web.qcow2", "web/web_2.qcow2"]], seen)

    def test_killed_at_each_step_of_a_hot_plug(self) -> None:
        """The machine runs through it all, and has the disk or can get it still."""
        vm = self.client.create("web", vi.controller(), vi.disk(8))
        present = []
        self.client.run(vm.PowerOnVM_Task())
        before, running = set(tree(self.datastore)), self.host.qemu_processes()
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        for step in self.crashes(lambda: self.client.reconfigure(vm, vi.disk(8, controller.key))):
            with self.subTest(step=step):
                self.check_no_traces()
                vm = self.machines()["web"]
                self.assertEqual((running, "poweredOn"), (self.host.qemu_processes(), vm.runtime.powerState))
                disks = vi.find(vm, vim.vm.device.VirtualDisk)
                present.append(len(disks) == 2)
                new = {"web/web_1.vmdk", "web/web_1.qcow2"} if present[-1] else set()
                self.assertEqual(before | new, set(tree(self.datastore)))
                disk_files = ["web/web.qcow2", "web/web_1.qcow2"] if present[-1] else ["web/web.qcow2"]
                self.assertEqual(disk_files, self.open_disks())
                if present[-1]:
                    self.client.reconfigure(vm, vi.change(disks[1], "remove", "destroy"))
            vm = self.machines()["web"]
        self.assertGreater(len(present), 15)
        self.assertEqual(sorted(present), present)
        self.assertEqual({False, True}, set(present))
        self.assertEqual(2, len(vi.find(vm, vim.vm.device.VirtualDisk)))
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.Destroy_Task())
        self.assertEqual({}, tree(self.datastore))


if __name__ == "__main__":
    unittest.main()
