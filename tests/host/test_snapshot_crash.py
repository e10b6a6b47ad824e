# SPDX-License-Identifier: Apache-2.0
"""What is left of operations on snapshots when the agent is killed at each of their steps, QEMU is killed, or the
disk is full: the old state or the new one, nothing leaked, and the bytes that the guest wrote. The steps are
counted by crash_point.c (see test_crash.py)."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyVmomi import vim

import guest
import test_snapshot
import vim_client as vi
from crash import BROKEN, STEPS_MAX, CrashTest, tree
from test_snapshot import Disk, chain, reads, shape, snapshots, write

MIB = 1 << 20


class SnapshotCrash(CrashTest):
    name = "web"

    def vm(self) -> Any:
        """The machine, when the host is through with tidying up."""
        vm = self.machines()[self.name]
        self.client.wait_until(vm, "runtime.consolidationNeeded", lambda needed: not needed)
        for task in self.client.content.taskManager.recentTask:
            if task.info.state in ("queued", "running"):
                self.client.run(task)
        return self.machines()[self.name]

    def files(self) -> set[str]:
        ignored = {"tenkyu.log", "serial.txt", f"{self.name}.vmx.lck"}
        return {p.name for p in (self.datastore / self.name).iterdir()} - ignored

    def expected_files(self, vm: Any) -> set[str]:
        """What the machine and its snapshots name, and nothing else."""
        names = {f"{self.name}.vmx"} | ({f"{self.name}.vmsd"} & self.files())
        for config in [vm.config, *(t.snapshot.config for t in snapshots(vm).values())]:
            for device in config.hardware.device:
                backing = device.backing if isinstance(device, Disk) else None
                while backing is not None:
                    name = backing.fileName.rpartition("/")[2]
                    names |= {name, name.replace(".vmdk", ".qcow2")}
                    backing = backing.parent
        for file in vm.layoutEx.file:
            if file.type in ("snapshotData", "snapshotMemory"):
                key = file.key
                if any(key in (s.dataKey, s.memoryKey) for s in vm.layoutEx.snapshot):
                    names.add(file.name.rpartition("/")[2])
        return names

    def check(self, vm: Any) -> None:
        self.check_no_traces()
        self.assertEqual(self.expected_files(vm), self.files())
        self.assertEqual([], [f for f in self.files() if f.endswith("~")])


class PoweredOff(SnapshotCrash):
    """Killed at each step, with disks whose contents tell where they come from."""

    def create(self) -> Any:
        return self.client.create(self.name, vi.controller(), vi.disk(8))

    def write(self, pattern: int, at: int) -> None:
        write(self.datastore, self.name, chain(self.vm())[0], pattern, at * MIB)

    def holds(self, vm: Any, *patterns: int) -> None:
        for n, pattern in enumerate(patterns):
            self.assertTrue(reads(self.datastore, self.name, chain(vm)[0], pattern, n * MIB), (n, pattern))

    def run_on(self, vm: Any) -> None:
        """The files are such that a machine runs on them."""
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(vm.PowerOffVM_Task())

    def test_create(self) -> None:
        self.create()
        self.write(1, 0)
        old, present = self.files(), []
        for step in self.crashes(lambda: self.client.run(self.machines()[self.name].CreateSnapshot_Task("s", "", False, False))):
            with self.subTest(step=step):
                vm = self.vm()
                self.check(vm)
                self.holds(vm, 1)
                present.append("s" in snapshots(vm))
                if not present[-1]:
                    self.assertEqual((old, ["web.vmdk"]), (self.files() - {"web.vmsd"}, chain(vm)))
                else:
                    self.assertEqual(2, len(chain(vm)))
                    self.client.run(vm.RemoveAllSnapshots_Task())
                self.run_on(vm)
        self.assertGreater(len(present), 15)
        self.assertEqual(sorted(present), present)
        self.assertEqual({False, True}, set(present))

    def make_two(self) -> None:
        self.write(1, 0)
        self.client.run(self.vm().CreateSnapshot_Task("one", "", False, False))
        self.write(2, 1)
        self.client.run(self.vm().CreateSnapshot_Task("two", "", False, False))
        self.write(3, 2)

    def test_revert(self) -> None:
        self.create()
        self.make_two()
        done = []
        for step in self.crashes(lambda: self.client.run(snapshots(self.machines()[self.name])["one"].snapshot.RevertToSnapshot_Task())):
            with self.subTest(step=step):
                vm = self.vm()
                self.check(vm)
                done.append(vm.snapshot.currentSnapshot == snapshots(vm)["one"].snapshot)
                self.holds(vm, *((1, 0, 0) if done[-1] else (1, 2, 3)))
                self.run_on(vm)
                if done[-1]:
                    self.client.run(snapshots(vm)["two"].snapshot.RevertToSnapshot_Task())
                    self.write(3, 2)
        self.assertGreater(len(done), 12)
        self.assertEqual(sorted(done), done)
        self.assertEqual({False, True}, set(done))

    def remove(self, name: str, left: list[Any]) -> None:
        self.create()
        self.make_two()
        done = []
        for step in self.crashes(lambda: self.client.run(snapshots(self.machines()[self.name])[name].snapshot.RemoveSnapshot_Task(False))):
            with self.subTest(step=step):
                vm = self.vm()
                self.check(vm)
                self.holds(vm, 1, 2, 3)
                done.append(name not in snapshots(vm))
                self.assertEqual(2 if done[-1] else 3, len(chain(vm)))
                self.run_on(vm)
                if done[-1]:
                    self.assertEqual(left, shape(vm.snapshot.rootSnapshotList))
                    self.client.run(vm.RemoveAllSnapshots_Task())
                    self.holds(vm, 1, 2, 3)
                    self.make_two()
        self.assertGreater(len(done), 12)
        self.assertEqual(sorted(done), done)
        self.assertEqual({False, True}, set(done))

    def test_remove_the_first(self) -> None:
        self.remove("one", [("two", [])])

    def test_remove_the_last(self) -> None:
        self.remove("two", [("one", [])])

    def test_destroy(self) -> None:
        self.create()
        self.make_two()
        for step in self.crashes(lambda: self.client.run(self.machines()[self.name].Destroy_Task())):
            with self.subTest(step=step):
                self.check_no_traces()
                if self.name in self.machines():
                    self.check(self.vm())
                else:
                    self.assertEqual({}, tree(self.datastore))
                    self.create()
                    self.make_two()
        self.assertEqual({}, tree(self.datastore))

    def test_no_space_at_each_step(self) -> None:
        """Every call that may find the disk full does so once."""
        def operations() -> list[Callable[[], Any]]:
            return [lambda: self.vm().CreateSnapshot_Task("new", "", False, False),
                    lambda: snapshots(self.vm())["one"].snapshot.RevertToSnapshot_Task(),
                    lambda: self.vm().RemoveAllSnapshots_Task()]

        self.create()
        self.make_two()
        for index, operation in enumerate(operations()):
            done = False
            for step in range(1, STEPS_MAX):
                with self.subTest(operation=index, step=step):
                    before = self.vm().snapshot
                    self.point.arm(step, errno.ENOSPC)
                    fault = None
                    try:
                        self.client.run(operation())
                    except vim.fault.VimFault as caught:
                        fault = caught
                    hit = self.point.disarm()
                    vm = self.machines()[self.name]
                    if vm.runtime.consolidationNeeded:
                        self.client.run(vm.ConsolidateVMDisks_Task())
                    vm = self.vm()
                    self.check(vm)
                    done = done or fault is None or (index == 2 and vm.snapshot is None)
                    if fault is not None:
                        self.assertIsInstance(fault, vim.fault.NoDiskSpace)
                    if fault is not None and not done:
                        self.assertEqual(shape(before.rootSnapshotList), shape(vm.snapshot.rootSnapshotList))
                    self.holds(vm, *((1, 0, 0) if index == 2 or (index == 1 and done) else (1, 2, 3)))
                    if not hit or (index == 2 and done):
                        break
            else:
                self.fail(f"{STEPS_MAX} steps")
            self.assertTrue(done)


class GuestCrash(SnapshotCrash):
    """What tests of a machine with a guest in it share."""

    hypervisor = "qemu"
    put = staticmethod(test_snapshot.Running.put)
    get = staticmethod(test_snapshot.Running.get)

    def start(self) -> guest.Shell:
        for file in ("vmlinuz", "initrd.gz"):
            shutil.copy(guest.folder() / file, self.datastore / file)
        options = {"tenkyu.kernel": "[datastore1] vmlinuz", "tenkyu.initrd": "[datastore1] initrd.gz",
                   "tenkyu.append": "console=ttyS0,115200 quiet"}
        vm = self.client.create(self.name, vi.controller(), vi.disk(64),
                                vi.serial_file(f"[datastore1] {self.name}/serial.txt"), vi.serial_console(),
                                extraConfig=[vim.option.OptionValue(key=k, value=v) for k, v in options.items()])
        self.client.run(vm.PowerOnVM_Task())
        return self.shell()

    def shell(self) -> guest.Shell:
        shell = guest.Shell(self.client.websocket(self.machines()[self.name], "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        return shell


class BothKilled(GuestCrash):
    def test_agent_and_qemu_are_killed(self) -> None:
        """Both at once, at every third step of a removal, as a boot takes its time: what the guest had flushed is there
        when it boots again."""
        shell = self.start()
        sums = [self.put(shell, 0), self.put(shell, 1)]
        for step in range(1, STEPS_MAX, 3):
            vm = self.vm()
            if vm.snapshot is None:
                self.client.run(vm.CreateSnapshot_Task("one", "", False, False))
                sums[1] = self.put(shell, 1)
            (pid,) = self.host.qemu_processes(vm._moId)
            shell.close()
            self.point.arm(step)
            try:
                self.client.run(vm.RemoveAllSnapshots_Task())
            except BROKEN:
                pass
            if not self.point.disarm():
                return
            with os.fdopen(os.pidfd_open(pid), "rb") as ended:
                os.kill(pid, signal.SIGKILL)
                select.select([ended], [], [], 30)
            self.recover()
            vm = self.vm()
            self.assertEqual("poweredOff", vm.runtime.powerState)
            self.check(vm)
            self.client.run(vm.PowerOnVM_Task())
            shell = self.shell()
            with self.subTest(step=step):
                self.assertEqual(sums, [self.get(shell, 0), self.get(shell, 1)])
        self.fail(f"{STEPS_MAX} steps")


if __name__ == "__main__":
    unittest.main()
