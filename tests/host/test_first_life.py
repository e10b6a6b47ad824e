# SPDX-License-Identifier: Apache-2.0
"""A real guest through its life: a stock client makes a machine that boots a Linux from a CD; what the guest says on
its serial port shows that it lives, and QEMU's process shows what a crash of the agent leaves."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import unittest
from pathlib import Path
from typing import Any

import guest
from tenkyu_host import TenkyuHost

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))
import vi  # noqa: E402

Device = vi.vim.vm.device


def qemu_pids(host: TenkyuHost) -> list[int]:
    """The QEMU processes of this host, by the folder that they run in."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd").startswith(str(host.state)) and \
                    b"qemu-system" in (entry / "cmdline").read_bytes().split(b"\0")[0]:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class FirstLifeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.host = TenkyuHost("qemu")
        self.addCleanup(self.host.close)
        self.store = self.host.state / "datastores/datastore1"
        shutil.copy(guest.folder() / "demo.iso", self.store / "demo.iso")
        self.instance = vi.connect(self.host)

    def machine(self) -> Any:
        cdrom = Device.VirtualCdrom(key=-5, controllerKey=200, backing=Device.VirtualCdrom.IsoBackingInfo(
            fileName="[datastore1] demo.iso"), connectable=Device.VirtualDevice.ConnectInfo(
                startConnected=True, allowGuestControl=True, connected=True))
        serial = Device.VirtualSerialPort(key=-6, yieldOnPoll=True, backing=Device.VirtualSerialPort.FileBackingInfo(
            fileName="[datastore1] serial.txt"))
        made = vi.create_vm(self.instance, "life", disk_mb=64)
        vi.WaitForTask(made.ReconfigVM_Task(vi.vim.vm.ConfigSpec(memoryMB=256, deviceChange=[
            vi.added(cdrom), vi.added(serial), vi.added(vi.network_card())])))
        return made

    def said(self) -> str:
        path = self.store / "serial.txt"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_until(self, what: str, condition: Any, timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"{what} did not come; the guest said {self.said()[-500:]!r}")
            time.sleep(0.05)  # a file is asked again, not waited for

    def test_life(self) -> None:
        vm = self.machine()
        vi.WaitForTask(vm.PowerOnVM_Task())
        self.wait_until("the login prompt", lambda: "login:" in self.said())
        picture = vm.CreateScreenshot_Task()
        vi.WaitForTask(picture)
        png = self.store / str(picture.info.result).split("] ")[1]
        self.assertTrue(png.read_bytes().startswith(b"\x89PNG"))
        before = len(self.said())
        vi.WaitForTask(vm.SuspendVM_Task())
        self.assertEqual(("suspended", []), (vm.runtime.powerState, qemu_pids(self.host)))
        vi.WaitForTask(vm.PowerOnVM_Task())
        self.assertEqual("poweredOn", vm.runtime.powerState)
        self.assertEqual(before, len(self.said()), "the guest went on where it was and did not boot again")
        vi.WaitForTask(vm.ResetVM_Task())
        self.wait_until("a second login prompt", lambda: self.said().count("login:") >= 2)
        vi.WaitForTask(vm.PowerOffVM_Task())
        self.assertEqual([], qemu_pids(self.host))
        vi.WaitForTask(vm.Destroy_Task())
        self.assertEqual([], [p.name for p in self.store.rglob("*") if p.suffix in (".vmx", ".vmdk", ".qcow2")])

    def test_the_agent_is_killed_and_finds_its_machine(self) -> None:
        vm = self.machine()
        vi.WaitForTask(vm.PowerOnVM_Task())
        running = qemu_pids(self.host)
        self.host.kill9()
        self.assertEqual(running, qemu_pids(self.host), "the machine runs on without its agent")
        self.host.restart()
        self.instance = vi.connect(self.host)
        again = self.instance.content.searchIndex.FindByInventoryPath("ha-datacenter/vm/life")
        self.assertEqual("poweredOn", again.runtime.powerState)
        self.wait_until("the login prompt", lambda: "login:" in self.said())
        vi.WaitForTask(again.PowerOffVM_Task())
        self.assertEqual([], qemu_pids(self.host))

    def test_a_killed_qemu_is_seen(self) -> None:
        vm = self.machine()
        vi.WaitForTask(vm.PowerOnVM_Task())
        os.kill(qemu_pids(self.host)[0], signal.SIGKILL)
        self.wait_until("poweredOff", lambda: vm.runtime.powerState == "poweredOff", 20)
        vi.WaitForTask(vm.PowerOnVM_Task())
        self.assertEqual(1, len(qemu_pids(self.host)))
        vi.WaitForTask(vm.PowerOffVM_Task())


if __name__ == "__main__":
    unittest.main()
