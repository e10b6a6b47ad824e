# SPDX-License-Identifier: Apache-2.0
"""Performance counters: a guest that works shows it, one that does nothing shows that too, and queries are
answered as the VI API says. A sample takes 20 seconds; the tests wait for samples by the property that changes
with each."""

from __future__ import annotations

import datetime
import unittest
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

import guest
import vim_client as vi
from tenkyu_host import TenkyuHost

PM = vim.PerformanceManager
KERNEL_OPTIONS = "console=ttyS0,115200 panic=5"


class Queries:
    """Asks one manager, by names instead of keys."""

    def __init__(self, client: vi.Client) -> None:
        self.client = client
        self.manager = client.content.perfManager
        self.keys = {f"{c.groupInfo.key}.{c.nameInfo.key}.{c.rollupType}": c.key for c in self.manager.perfCounter}
        self.names = {key: name for name, key in self.keys.items()}

    def spec(self, entity: Any, *counters: str, instance: str = "*", **members: Any) -> Any:
        ids = [PM.MetricId(counterId=self.keys[name], instance=instance) for name in counters]
        return PM.QuerySpec(entity=entity, metricId=ids, intervalId=20, **members)

    def query(self, entity: Any, *counters: str, **members: Any) -> dict[tuple[str, str], list[int]]:
        """Values by counter and instance."""
        (metric,) = self.manager.QueryPerf([self.spec(entity, *counters, **members)])
        return {(self.names[s.id.counterId], s.id.instance): list(s.value) for s in metric.value}

    def times(self, entity: Any) -> list[datetime.datetime]:
        (metric,) = self.manager.QueryPerf([self.spec(entity)])
        return [s.timestamp for s in metric.sampleInfo]

    def wait_samples(self, entity: Any, n: int) -> None:
        """Until n more samples are there than now; quickStats of the host comes last in a round."""
        before = len(self.times(entity))
        self.client.wait_until(self.client.system, "summary.quickStats",
                               lambda _: len(self.times(entity)) >= before + n, 45 + 20 * n)


class RealGuest(unittest.TestCase):
    def setUp(self) -> None:
        self.host = TenkyuHost(hypervisor="qemu")
        self.addCleanup(self.host.close)
        self.client = vi.Client(self.host)
        self.queries = Queries(self.client)
        store = Path(self.client.datacenter.datastore[0].info.path)
        for name in ("vmlinuz", "initrd.gz"):
            (store / name).write_bytes((guest.folder() / name).read_bytes())

    def test_work_is_seen(self) -> None:
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": KERNEL_OPTIONS}
        extra = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
        vm = self.client.create("busy", vi.controller(), vi.disk(64), vi.nic(),
                                vi.serial_file(f"[{vi.DATASTORE}] busy/serial.txt"), vi.serial_console(),
                                extraConfig=extra, numCPUs=2)
        self.client.run(vm.PowerOnVM_Task())
        shell = guest.Shell(self.client.websocket(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        self.queries.wait_samples(vm, 2)  # the second is of a guest that only waits
        shell.run("dd if=/dev/zero of=/dev/sda bs=65536 count=256 conv=fsync 2>/dev/null; (while :; do :; done) >/dev/null 2>&1 &")
        self.queries.wait_samples(vm, 2)

        cpu = self.queries.query(vm, "cpu.usage.average", "cpu.run.summation", "cpu.ready.summation")
        usage = cpu["cpu.usage.average", ""]
        self.assertGreater(usage[-1], 2000, cpu)  # one of two processors, on a machine that others use too
        self.assertLess(usage[1], usage[-1] / 2, cpu)
        self.assertEqual({"", "0", "1"}, {i for name, i in cpu if name == "cpu.run.summation"})
        run = [cpu["cpu.run.summation", i][-1] for i in ("0", "1")]
        self.assertGreater(sum(run), 8000, cpu)
        self.assertEqual(sum(run), cpu["cpu.run.summation", ""][-1])

        disk = self.queries.query(vm, "virtualDisk.write.average", "virtualDisk.numberWriteAveraged.average",
                                  "disk.numberWrite.summation", "datastore.write.average")
        written_kb = 20 * sum(v for v in disk["virtualDisk.write.average", "scsi0:0"] if v > 0)
        self.assertAlmostEqual(16384, written_kb, delta=1024, msg=str(disk))
        self.assertGreater(sum(disk["disk.numberWrite.summation", ""]), 10)
        self.assertEqual(disk["virtualDisk.write.average", "scsi0:0"], disk["datastore.write.average", vi.DATASTORE])

        memory = self.queries.query(vm, "mem.consumed.average", "mem.usage.average", "sys.uptime.latest")
        self.assertGreater(memory["mem.consumed.average", ""][-1], 30 << 10)
        uptime = memory["sys.uptime.latest", ""]
        self.assertAlmostEqual(20, uptime[-1] - uptime[-2], delta=2)

        # Nobody counts what goes through address translation in user space: so it is not said to be nothing.
        self.assertEqual({}, self.queries.query(vm, "net.usage.average", "net.packetsRx.summation"))

        host = self.queries.query(self.client.system, "cpu.usage.average", "cpu.idle.summation", "mem.usage.average",
                                  "datastore.write.average", "sys.uptime.latest")
        self.assertGreater(host["cpu.usage.average", ""][-1], 2000)
        self.assertTrue(0 < host["mem.usage.average", ""][-1] < 10000)
        self.assertGreater(20 * sum(host["datastore.write.average", vi.DATASTORE]), 15000)

        quick = vm.summary.quickStats
        self.assertGreater(quick.overallCpuUsage, 100)
        times = self.queries.times(vm)
        self.assertTrue(all(t.second % 20 == 0 and t.microsecond == 0 for t in times), times)

        # What it did stays to be asked for when it is off, and nothing new comes.
        self.client.run(vm.PowerOffVM_Task())
        self.queries.wait_samples(self.client.system, 1)
        self.assertEqual(len(times), len([t for t in self.queries.times(vm) if t <= times[-1]]))


class SimulatedMachines(unittest.TestCase):
    host: TenkyuHost
    client: vi.Client
    queries: Queries

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="sim", args=("--sim-vms", "3"))
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.queries = Queries(cls.client)
        cls.vm = cls.client.folder.childEntity[0]
        cls.queries.wait_samples(cls.vm, 2)

    def test_normal_and_csv_say_the_same(self) -> None:
        end = self.queries.times(self.vm)[-1]
        spec = self.queries.spec(self.vm, "cpu.usage.average", "net.usage.average", endTime=end)
        (normal,) = self.queries.manager.QueryPerf([spec])
        spec.format = "csv"
        (csv,) = self.queries.manager.QueryPerf([spec])
        self.assertIsInstance(csv, PM.EntityMetricCSV)
        self.assertEqual(",".join(f"20,{s.timestamp:%Y-%m-%dT%H:%M:%SZ}" for s in normal.sampleInfo), csv.sampleInfoCSV)
        self.assertEqual([(s.id.counterId, s.id.instance, ",".join(map(str, s.value))) for s in normal.value],
                         [(s.id.counterId, s.id.instance, s.value) for s in csv.value])
        self.assertEqual(["", "", "4000"], [s.id.instance for s in normal.value])
        self.assertTrue(all(len(s.value) == len(normal.sampleInfo) for s in normal.value))
        self.assertTrue(any(v > 0 for v in normal.value[0].value))

    def test_time_and_number_of_samples(self) -> None:
        times = self.queries.times(self.vm)
        name = "cpu.usagemhz.average"
        values = self.queries.query(self.vm, name, instance="", endTime=times[-1])[name, ""]
        self.assertEqual(values[1:], self.queries.query(self.vm, name, instance="", startTime=times[0],
                                                        endTime=times[-1])[name, ""])
        self.assertEqual(values[:1], self.queries.query(self.vm, name, instance="", endTime=times[0])[name, ""])
        self.assertEqual(values[-1:], self.queries.query(self.vm, name, instance="", endTime=times[-1],
                                                         maxSample=1)[name, ""])
        later = times[-1] + datetime.timedelta(hours=1)
        self.assertEqual({}, self.queries.query(self.vm, name, startTime=later))

    def test_instances(self) -> None:
        name = "cpu.usagemhz.average"
        self.assertEqual({(name, ""), (name, "0")}, set(self.queries.query(self.vm, name)))
        self.assertEqual({(name, "0")}, set(self.queries.query(self.vm, name, instance="0")))
        self.assertEqual({}, self.queries.query(self.vm, name, instance="9"))

    def test_what_there_is(self) -> None:
        manager = self.queries.manager
        available = {(self.queries.names[m.counterId], m.instance)
                     for m in manager.QueryAvailablePerfMetric(self.vm, None, None, 20)}
        (everything,) = manager.QueryPerf([PM.QuerySpec(entity=self.vm)])
        self.assertEqual(available, {(self.queries.names[s.id.counterId], s.id.instance) for s in everything.value})
        self.assertIn(("virtualDisk.totalReadLatency.average", "scsi0:0"), available)
        self.assertEqual([], list(manager.QueryAvailablePerfMetric(self.vm, None, None, 300)))
        summary = manager.QueryPerfProviderSummary(self.vm)
        self.assertEqual((True, False, 20), (summary.currentSupported, summary.summarySupported, summary.refreshRate))
        self.assertEqual(["cpu.usage"], [f"{c.groupInfo.key}.{c.nameInfo.key}" for c in manager.QueryPerfCounter([2])])
        self.assertEqual(len(manager.perfCounter), len(manager.QueryPerfCounterByLevel(4)))
        self.assertEqual({1}, {c.level for c in manager.QueryPerfCounterByLevel(1)})

    def test_composite(self) -> None:
        answer = self.queries.manager.QueryPerfComposite(self.queries.spec(self.client.system, "cpu.used.summation",
                                                                           instance=""))
        self.assertEqual(self.client.system, answer.entity.entity)
        self.assertEqual({vm._moId for vm in self.client.folder.childEntity},
                         {child.entity._moId for child in answer.childEntity})

    def test_refusals(self) -> None:
        manager = self.queries.manager
        for spec, wrong in (
                (PM.QuerySpec(entity=self.vm, intervalId=300), "querySpec.intervalId"),
                (PM.QuerySpec(entity=self.vm, maxSample=0), "querySpec.maxSample"),
                (PM.QuerySpec(entity=self.vm, format="xml"), "querySpec.format"),
                (PM.QuerySpec(entity=self.vm, metricId=[PM.MetricId(counterId=99999, instance="")]),
                 "querySpec.metricId"),
                (PM.QuerySpec(entity=self.client.folder), "querySpec.entity")):
            with self.subTest(wrong), self.assertRaises(vmodl.fault.InvalidArgument) as raised:
                manager.QueryPerf([PM.QuerySpec(entity=self.vm), spec])
            self.assertEqual(wrong, raised.exception.invalidProperty)
        with self.assertRaises(vmodl.fault.InvalidArgument):
            manager.QueryPerfCounter([99999])
        with self.assertRaises(vmodl.fault.InvalidArgument):
            manager.QueryPerfCounterByLevel(5)
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            manager.QueryPerf([PM.QuerySpec(entity=vim.VirtualMachine("vm-99999", self.client.si._stub))])
        with self.assertRaises(vmodl.fault.NotSupported):
            manager.RemovePerfInterval(300)


if __name__ == "__main__":
    unittest.main()
