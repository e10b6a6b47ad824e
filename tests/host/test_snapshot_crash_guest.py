# SPDX-License-Identifier: Apache-2.0
"""The agent is killed at each step of operations on snapshots, while a guest runs through it all: it keeps what it
wrote, and nothing is left over. See test_snapshot_crash.py."""

from __future__ import annotations

import os
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import test_snapshot_crash
from test_snapshot import chain


class AgentKilled(test_snapshot_crash.GuestCrash):
    def walk(self, operation: Callable[[], Any], after: Callable[[Any], None]) -> int:
        """Cuts the operation off at each step. The guest goes on with new data after each, and after every few steps
        it boots from the files as they are then."""
        shell = self.start()
        sums = [self.put(shell, 0), self.put(shell, 1)]
        shell.close()
        after(self.vm())
        steps = 0
        for step in self.crashes(operation):
            steps = step
            with self.subTest(step=step):
                vm = self.vm()
                self.assertEqual("poweredOn", vm.runtime.powerState)
                self.check(vm)
                shell = self.shell()
                self.assertEqual(sums, [self.get(shell, 0), self.get(shell, 1)])
                sums[step % 2] = self.put(shell, step % 2)
                self.assertIn(chain(vm)[0].replace(".vmdk", ".qcow2"), self.opened(vm))
                if step % 7 == 0:
                    shell.close()
                    self.client.run(vm.PowerOffVM_Task())
                    self.client.run(vm.PowerOnVM_Task())
                    shell = self.shell()
                    self.assertEqual(sums, [self.get(shell, 0), self.get(shell, 1)])
                shell.close()
                after(vm)
        shell.close()
        shell = self.shell()
        self.assertEqual(sums, [self.get(shell, 0), self.get(shell, 1)])
        return steps

    def opened(self, vm: Any) -> set[str]:
        """The images that the process has open."""
        (pid,) = self.host.qemu_processes(vm._moId)
        return {Path(os.readlink(fd)).name for fd in Path(f"/proc/{pid}/fd").iterdir()}

    def test_create(self) -> None:
        def after(vm: Any) -> None:
            if vm.snapshot is not None:
                self.client.run(vm.RemoveAllSnapshots_Task())
        steps = self.walk(lambda: self.client.run(self.machines()[self.name].CreateSnapshot_Task("s", "", False, False)), after)
        self.assertGreater(steps, 20)

    def test_create_with_memory(self) -> None:
        def after(vm: Any) -> None:
            if vm.snapshot is not None:
                self.client.run(vm.RemoveAllSnapshots_Task())
        steps = self.walk(lambda: self.client.run(self.machines()[self.name].CreateSnapshot_Task("s", "", True, False)), after)
        self.assertGreater(steps, 25)

    def test_remove(self) -> None:
        def after(vm: Any) -> None:
            if vm.snapshot is None:
                self.client.run(vm.CreateSnapshot_Task("one", "", False, False))
                self.client.run(vm.CreateSnapshot_Task("two", "", False, False))
        steps = self.walk(lambda: self.client.run(self.machines()[self.name].RemoveAllSnapshots_Task()), after)
        self.assertGreater(steps, 40)


if __name__ == "__main__":
    unittest.main()
