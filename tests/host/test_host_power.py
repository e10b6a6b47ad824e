# SPDX-License-Identifier: Apache-2.0
"""Machines that start and stop with the host, maintenance mode, and the machine's own power. Whether the machine
has been started anew is told by the kernel's boot id, which the host keeps in STATE/boot-id: a test that takes
that file away has started the machine anew as far as the host can see."""

from __future__ import annotations

import os
import shutil
import signal
import unittest
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

import guest
import vim_client as vi
from tenkyu_host import TenkyuHost

AutoStart = vim.host.AutoStartManager
WAIT = AutoStart.AutoPowerInfo.WaitHeartbeatSetting
POWERED_ON = (vim.event.VmPoweredOnEvent,)
STOPPED = (vim.event.VmPoweredOffEvent, vim.event.VmSuspendedEvent)
KERNEL_OPTIONS = "console=ttyS0,115200 console=tty0 panic=5"


class PowerCase(unittest.TestCase):
    hypervisor = "sim"

    def setUp(self) -> None:
        self.host = TenkyuHost(self.hypervisor, start=False)
        self.addCleanup(self.host.close)
        self.said = self.host.folder / "power-program-said"
        self.program = self.host.folder / "power-program"
        self.write_program(f'echo "$1" >> {self.said}')
        self.host._args = ("--power-program", str(self.program))
        self.start()

    def write_program(self, line: str) -> None:
        self.program.write_text(f"#!/bin/sh\n{line}\n")
        self.program.chmod(0o755)

    def start(self) -> None:
        self.host.start()
        self.client = vi.Client(self.host)
        self.system = self.client.system
        self.manager = self.system.configManager.autoStartManager

    def boot(self) -> None:
        """Starts the host on a machine that has been started anew."""
        if self.host.process is not None:
            self.host.stop()
        (self.host.state / "boot-id").unlink(missing_ok=True)
        self.start()

    def vm(self, name: str) -> Any:
        return next(vm for vm in self.client.folder.childEntity if vm.name == name)

    def configure(self, *infos: Any, **defaults: Any) -> None:
        self.manager.ReconfigureAutostart(AutoStart.Config(
            defaults=AutoStart.SystemDefaults(enabled=True, **defaults), powerInfo=list(infos)))

    def info(self, vm: Any, order: int = -1, **members: Any) -> Any:
        values: dict[str, Any] = {"key": vm, "startOrder": order, "startDelay": 0, "waitForHeartbeat": WAIT.no,
                                  "startAction": "powerOn", "stopDelay": -1, "stopAction": "systemDefault"}
        return AutoStart.AutoPowerInfo(**(values | members))

    def happened(self, kinds: tuple[type, ...]) -> list[Any]:
        """Events of these kinds about any machine, oldest first."""
        events = self.client.content.eventManager.QueryEvents(vim.event.EventFilterSpec())
        return sorted((e for e in events if isinstance(e, kinds)), key=lambda e: e.key)

    def names(self, kinds: tuple[type, ...]) -> list[str]:
        return [e.vm.name for e in self.happened(kinds)]

    def wait_task(self, description: str) -> Any:
        """The info of the newest task of this kind once it has ended."""
        manager = self.client.content.taskManager
        found: list[Any] = []

        def look(_: Any) -> bool:
            found[:] = [t.info for t in manager.recentTask if t.info.descriptionId == description]
            return bool(found)

        self.client.wait_until(manager, "recentTask", look)
        return self.client.wait_until(found[-1].task, "info", lambda i: i.state in ("success", "error"))

    def fails(self, fault: type, task: Any) -> Any:
        with self.assertRaises(fault) as caught:
            self.client.run(task)
        return caught.exception


class Start(PowerCase):
    def test_order_and_delays(self) -> None:
        a, b, c, d = (self.client.create(name) for name in "abcd")
        self.configure(self.info(c), self.info(b, 1, startDelay=2), self.info(a, 2, startDelay=-1),
                       self.info(d, 3, startAction="none"), startDelay=1)
        self.host.restart()
        self.client = vi.Client(self.host)
        self.assertEqual([], self.names(POWERED_ON), "the machine has not been started anew")
        self.boot()
        self.assertEqual("success", self.wait_task("HostAutoStartManager.autoPowerOn").state)
        self.assertEqual(["b", "a", "c"], self.names(POWERED_ON))
        times = [e.createdTime for e in self.happened(POWERED_ON)]
        self.assertGreaterEqual((times[1] - times[0]).total_seconds(), 2)
        self.assertGreaterEqual((times[2] - times[1]).total_seconds(), 1)
        self.assertEqual("poweredOff", self.vm("d").runtime.powerState)
        self.assertEqual(Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                         (self.host.state / "boot-id").read_text())

    def test_a_host_that_dies_on_the_way_goes_on_at_its_next_start(self) -> None:
        a, b = (self.client.create(name) for name in "ab")
        self.configure(self.info(a, 1, startDelay=3600), self.info(b, 2))
        self.boot()
        self.client.wait_until(self.vm("a"), "runtime.powerState", lambda state: state == "poweredOn")
        self.host.kill9()
        self.start()
        # Simulated machines end with the host program: so a is started again, and b waits again.
        self.client.wait_until(self.vm("a"), "runtime.powerState", lambda state: state == "poweredOn")
        self.assertEqual(["a"], self.names(POWERED_ON))
        (task,) = [t for t in self.client.content.taskManager.recentTask
                   if t.info.descriptionId == "HostAutoStartManager.autoPowerOn"]
        task.CancelTask()
        self.fails(vmodl.fault.RequestCanceled, task)
        self.assertFalse((self.host.state / "boot-id").exists())

    def test_one_that_fails_does_not_stop_the_others(self) -> None:
        a, b = (self.client.create(name) for name in "ab")
        self.configure(self.info(a, 1), self.info(b, 2))
        self.host.stop()
        shutil.rmtree(self.host.state / "datastores/datastore1/a")
        self.boot()
        self.client.wait_until(self.vm("b"), "runtime.powerState", lambda state: state == "poweredOn")

    def test_disabled(self) -> None:
        self.configure(self.info(self.client.create("a"), 1))
        self.manager.ReconfigureAutostart(AutoStart.Config(defaults=AutoStart.SystemDefaults(enabled=False)))
        self.boot()
        self.wait_task("HostAutoStartManager.autoPowerOn")
        self.assertEqual("poweredOff", self.vm("a").runtime.powerState)

    def test_by_hand(self) -> None:
        vm = self.client.create("a")
        self.configure(self.info(vm, 1))
        self.manager.AutoStartPowerOn()
        self.client.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOn")
        self.manager.AutoStartPowerOff()
        self.client.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOff")


class Configuration(PowerCase):
    def test_at_first(self) -> None:
        defaults = self.manager.config.defaults
        self.assertEqual((False, 120, 120, False, "powerOff"),
                         (defaults.enabled, defaults.startDelay, defaults.stopDelay, defaults.waitForHeartbeat,
                          defaults.stopAction))
        self.assertEqual([], self.manager.config.powerInfo)

    def test_changes_add_up_and_outlive_a_crash(self) -> None:
        a, b = (self.client.create(name) for name in "ab")
        self.configure(self.info(a, 1), stopAction="suspend")
        self.configure(self.info(b, 2), stopDelay=7)
        self.configure(self.info(a, 5, stopAction="guestShutdown"))
        self.host.kill9()
        self.start()
        config = self.manager.config
        self.assertEqual(("suspend", 7, 120), (config.defaults.stopAction, config.defaults.stopDelay,
                                               config.defaults.startDelay))
        self.assertEqual({"a": (5, "guestShutdown"), "b": (2, "systemDefault")},
                         {i.key.name: (i.startOrder, i.stopAction) for i in config.powerInfo})

    def test_a_machine_that_is_gone_goes_from_the_list(self) -> None:
        a, b = (self.client.create(name) for name in "ab")
        self.configure(self.info(a, 1), self.info(b, 2))
        self.client.run(a.Destroy_Task())
        self.configure()
        self.assertEqual(["b"], [i.key.name for i in self.manager.config.powerInfo])

    def test_bad_input_changes_nothing(self) -> None:
        vm = self.client.create("a")
        gone = self.client.create("gone")
        self.client.run(gone.Destroy_Task())
        good = self.info(vm, 1)
        bad = {
            "spec.powerInfo.startOrder": [self.info(vm, 0), self.info(vm, -2)],
            "spec.powerInfo.startAction": [self.info(vm, startAction="suspend")],
            "spec.powerInfo.stopAction": [self.info(vm, stopAction="powerOn")],
            "spec.powerInfo.startDelay": [self.info(vm, startDelay=-2), self.info(vm, startDelay=86401)],
            "spec.powerInfo.stopDelay": [self.info(vm, stopDelay=-2)],
        }
        for name, infos in bad.items():
            for info in infos:
                with self.subTest(property=name), self.assertRaises(vmodl.fault.InvalidArgument) as caught:
                    self.configure(good, info)
                self.assertEqual(name, caught.exception.invalidProperty)
        for name, members in {"startDelay": {"startDelay": -2}, "stopDelay": {"stopDelay": 90000},
                              "stopAction": {"stopAction": "systemDefault"}}.items():
            with self.subTest(property=name), self.assertRaises(vmodl.fault.InvalidArgument) as caught:
                self.configure(good, **members)
            self.assertEqual(f"spec.defaults.{name}", caught.exception.invalidProperty)
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            self.configure(good, self.info(gone))
        self.assertEqual((False, []), (self.manager.config.defaults.enabled, self.manager.config.powerInfo))
        self.assertFalse((self.host.state / "autostart.json").exists())


class Stop(PowerCase):
    def test_the_machine_goes_down(self) -> None:
        """SIGPWR: in the reverse order, each as it says; what is not in the list goes on."""
        names = ("first", "second", "third", "stays", "other")
        first, second, third, stays, other = (self.client.create(name) for name in names)
        for vm in (first, second, third, stays, other):
            self.client.run(vm.PowerOnVM_Task())
        self.configure(self.info(first, 1, stopAction="suspend"), self.info(second, 2),
                       self.info(third, 3, stopAction="guestShutdown", stopDelay=60), self.info(stays, 4, stopAction="none"),
                       stopAction="powerOff", stopDelay=0)
        self.manager.AutoStartPowerOff()
        self.client.wait_until(first, "runtime.powerState", lambda state: state == "suspended")
        self.assertEqual(["third", "second", "first"], self.names(STOPPED))
        self.assertEqual(["poweredOn", "poweredOn"], [vm.runtime.powerState for vm in (stays, other)])
        self.client.run(first.PowerOnVM_Task())
        assert self.host.process is not None
        self.host.process.send_signal(signal.SIGPWR)
        self.host.process.send_signal(signal.SIGTERM)  # which systemd sends after that
        self.assertEqual(0, self.host.process.wait(60))
        self.host.process = None
        self.start()
        self.assertEqual("suspended", self.vm("first").runtime.powerState)

    def test_shutdown_and_reboot(self) -> None:
        vm = self.client.create("a")
        self.configure(self.info(vm, 1, stopAction="suspend"))
        self.client.run(vm.PowerOnVM_Task())
        for method in (self.system.ShutdownHost_Task, self.system.RebootHost_Task):
            with self.assertRaises(vim.fault.InvalidState):
                self.client.run(method(False))
        self.assertFalse(self.said.exists())
        vmx = Path(self.client.datacenter.datastore[0].info.path) / "a"
        self.write_program(f'ls {vmx} > {self.said}; echo "$1" >> {self.said}')
        self.client.run(self.system.ShutdownHost_Task(True))
        self.assertEqual("poweroff", self.said.read_text().splitlines()[-1])
        self.assertIn(".vmss", self.said.read_text(), "the machine was suspended before the program was called")
        self.assertEqual("suspended", vm.runtime.powerState)
        event = self.client.wait_event(self.system, vim.event.HostShutdownEvent)
        self.assertEqual(("poweroff", "root"), (event.reason, event.userName))
        self.client.run(self.system.EnterMaintenanceMode_Task(0))
        self.client.run(self.system.RebootHost_Task(False))
        self.assertEqual("reboot", self.said.read_text().splitlines()[-1])

    def test_a_power_program_that_fails(self) -> None:
        self.write_program('echo "not today" >&2; exit 3')
        error = self.fails(vmodl.fault.SystemError, self.system.RebootHost_Task(True))
        self.assertIn("not today", error.msg)
        self.program.unlink()
        self.fails(vmodl.fault.SystemError, self.system.RebootHost_Task(True))

    def test_no_power_program(self) -> None:
        self.assertTrue(self.system.capability.rebootSupported)
        self.host._args = ()
        self.host.restart()
        self.client = vi.Client(self.host)
        for method in (self.client.system.ShutdownHost_Task, self.client.system.RebootHost_Task):
            with self.assertRaises(vmodl.fault.NotSupported):
                method(True)
        self.assertFalse(self.client.system.capability.rebootSupported)


class Maintenance(PowerCase):
    def wait_mode(self, on: bool) -> None:
        self.client.wait_until(self.system, "runtime.inMaintenanceMode", lambda mode: mode is on)

    def test_waits_for_machines_and_lets_none_start(self) -> None:
        a, b = (self.client.create(name) for name in "ab")
        self.client.run(a.PowerOnVM_Task())
        task = self.system.EnterMaintenanceMode_Task(0, True)
        self.client.wait_event(self.system, vim.event.EnteringMaintenanceModeEvent)
        self.fails(vim.fault.InvalidState, b.PowerOnVM_Task())
        with self.assertRaises(vim.fault.InvalidState):
            self.system.EnterMaintenanceMode_Task(0)
        self.assertFalse(self.system.runtime.inMaintenanceMode)
        self.client.run(a.PowerOffVM_Task())
        self.client.run(task)
        self.assertTrue(self.system.runtime.inMaintenanceMode)
        self.assertTrue(self.system.summary.runtime.inMaintenanceMode)
        self.client.wait_event(self.system, vim.event.EnteredMaintenanceModeEvent)
        self.host.kill9()
        self.boot()
        self.assertTrue(self.system.runtime.inMaintenanceMode, "it outlives the host program and the machine")
        self.fails(vim.fault.InvalidState, self.vm("a").PowerOnVM_Task())
        self.client.run(self.system.ExitMaintenanceMode_Task(0))
        self.wait_mode(False)
        self.client.run(self.vm("a").PowerOnVM_Task())
        self.fails(vim.fault.InvalidState, self.system.ExitMaintenanceMode_Task(0))
        self.host.restart()
        self.assertFalse(vi.Client(self.host).system.runtime.inMaintenanceMode)

    def test_time_out_and_cancel(self) -> None:
        vm = self.client.create("a")
        self.client.run(vm.PowerOnVM_Task())
        self.fails(vim.fault.Timedout, self.system.EnterMaintenanceMode_Task(1))
        task = self.system.EnterMaintenanceMode_Task(0)
        task.CancelTask()
        self.fails(vmodl.fault.RequestCanceled, task)
        self.assertFalse(self.system.runtime.inMaintenanceMode)
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.PowerOnVM_Task())

    def test_what_starts_with_the_host_does_not_in_maintenance_mode(self) -> None:
        self.configure(self.info(self.client.create("a"), 1))
        self.client.run(self.system.EnterMaintenanceMode_Task(0))
        self.boot()
        self.wait_task("HostAutoStartManager.autoPowerOn")
        self.assertEqual("poweredOff", self.vm("a").runtime.powerState)

    def test_uptime(self) -> None:
        since_boot = float(Path("/proc/uptime").read_text().split()[0])
        self.assertAlmostEqual(since_boot, self.system.RetrieveHardwareUptime(), delta=60)


class RealGuests(PowerCase):
    hypervisor = "qemu"

    def create(self, name: str) -> Any:
        store = Path(self.client.datacenter.datastore[0].info.path)
        for file in ("vmlinuz", "initrd.gz"):
            if not (store / file).exists():
                shutil.copy(guest.folder(agent=True) / file, store / file)
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": KERNEL_OPTIONS}
        extra = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
        return self.client.create(name, vi.serial_file(f"[{vi.DATASTORE}] {name}/serial.txt"), vi.serial_console(),
                                  memoryMB=256, extraConfig=extra)

    def test_with_the_machine(self) -> None:
        """The second starts when the first one's agent is heard of, long before the delay is over; when the
        machine goes down, guests are shut down, and one that does not listen is powered off."""
        self.configure(self.info(self.create("a"), 1, startDelay=3600, waitForHeartbeat=WAIT.yes),
                       self.info(self.client.create("deaf"), 2), stopAction="guestShutdown", stopDelay=90)
        self.boot()
        self.client.wait_until(self.vm("deaf"), "runtime.powerState", lambda state: state == "poweredOn", 180)
        self.assertEqual("green", self.vm("a").guestHeartbeatStatus)
        self.configure(self.info(self.vm("deaf"), 2, stopDelay=1))
        processes = self.host.qemu_processes()
        self.assertEqual(2, len(processes))
        assert self.host.process is not None
        self.host.process.send_signal(signal.SIGPWR)
        self.assertEqual(0, self.host.process.wait(150))
        self.host.process = None
        self.assertEqual([], [pid for pid in processes if os.path.exists(f"/proc/{pid}")])
        serial = (self.host.state / "datastores/datastore1/a/serial.txt").read_text(errors="replace")
        self.assertIn("Power down", serial[-2000:])
        self.assertNotIn("Kernel panic", serial)


if __name__ == "__main__":
    unittest.main()
