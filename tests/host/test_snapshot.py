# SPDX-License-Identifier: Apache-2.0
"""Snapshots with real disks and a real guest: what a test looks at are the bytes that the guest reads, its memory,
and the files on the datastore."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import unittest
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

import guest
import vim_client as vi
from tenkyu_host import TenkyuHost

Disk = vim.vm.device.VirtualDisk
MIB = 1 << 20


def flat(trees: Any) -> dict[str, Any]:
    """All snapshots of the trees, by name."""
    found = {}
    for tree in trees or []:
        found |= {tree.name: tree, **flat(tree.childSnapshotList)}
    return found


def snapshots(vm: Any) -> dict[str, Any]:
    return flat(vm.snapshot.rootSnapshotList) if vm.snapshot is not None else {}


def shape(trees: Any) -> list[Any]:
    return [(tree.name, shape(tree.childSnapshotList)) for tree in trees or []]


def chain(vm: Any, index: int = 0) -> list[str]:
    """The files of a disk, the top first, without datastore and folder."""
    backing, names = vi.find(vm, Disk)[index].backing, []
    while backing is not None:
        names.append(backing.fileName.rpartition("/")[2])
        backing = backing.parent
    return names


class SnapshotTest(unittest.TestCase):
    hypervisor = "sim"
    host: TenkyuHost
    client: vi.Client
    datastore: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor=cls.hypervisor)
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.datastore = Path(cls.client.datacenter.datastore[0].info.path)

    @classmethod
    def tearDownClass(cls) -> None:
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    def destroy(self, name: str) -> None:
        for vm in self.client.folder.childEntity:
            if vm.name == name:
                if vm.runtime.powerState == "poweredOn":
                    self.client.run(vm.PowerOffVM_Task())
                self.client.run(vm.Destroy_Task())
        self.assertFalse((self.datastore / name).exists())

    def files(self, name: str) -> set[str]:
        return {p.name for p in (self.datastore / name).iterdir()} - {"tenkyu.log", "serial.txt"}

    def take(self, vm: Any, name: str, memory: bool = False, quiesce: bool = False) -> Any:
        made = self.client.run(vm.CreateSnapshot_Task(name, f"about {name}", memory, quiesce))
        self.assertEqual(made, vm.snapshot.currentSnapshot)
        self.assertEqual(made, snapshots(vm)[name].snapshot)
        return made


def write(datastore: Path, name: str, file: str, pattern: int, offset: int, size: int = MIB) -> None:
    """Writes into an image as a guest would, through the chain that its descriptor says."""
    subprocess.run(["qemu-io", "-c", f"write -q -P {pattern} {offset} {size}", image(datastore, name, file)],
                   check=True)


def reads(datastore: Path, name: str, file: str, pattern: int, offset: int, size: int = MIB) -> bool:
    made = subprocess.run(["qemu-io", "-r", "-c", f"read -q -P {pattern} {offset} {size}",
                           image(datastore, name, file)], stdout=subprocess.PIPE, text=True)
    return made.returncode == 0 and "failed" not in made.stdout


def image(datastore: Path, name: str, file: str) -> str:
    """A disk with all that it builds on, for qemu-io."""
    text = (datastore / name / file).read_text()
    parent = re.search(r'parentFileNameHint="(.*)"', text)
    data = datastore / name / re.search(r'QCOW2 "(.*)"', text).group(1)  # type: ignore[union-attr]
    backing = image(datastore, name, parent.group(1)).removeprefix("json:") if parent else "null"
    return f'json:{{"driver":"qcow2","file":{{"driver":"file","filename":"{data}"}},"backing":{backing}}}'


class PoweredOff(SnapshotTest):
    def create(self, name: str, *changes: Any) -> Any:
        vm = self.client.create(name, vi.controller(), vi.disk(8), *changes)
        self.addCleanup(self.destroy, name)
        return vm

    def holds(self, vm: Any, *patterns: int) -> None:
        """The machine's disk has these patterns, one in each MiB."""
        top = chain(vm)[0]
        for n, pattern in enumerate(patterns):
            self.assertTrue(reads(self.datastore, vm.name, top, pattern, n * MIB), (top, n, pattern))

    def write(self, vm: Any, pattern: int, at: int) -> None:
        write(self.datastore, vm.name, chain(vm)[0], pattern, at * MIB)

    def test_a_tree(self) -> None:
        vm = self.create("tree")
        self.assertIsNone(vm.snapshot)
        self.write(vm, 1, 0)
        one = self.take(vm, "one")
        self.assertEqual({"tree.vmx", "tree.vmsd", "tree.vmdk", "tree.qcow2", "tree-000001.vmdk",
                          "tree-000001.qcow2", "tree-Snapshot1.vmsn"}, self.files("tree"))
        self.assertEqual(["tree-000001.vmdk", "tree.vmdk"], chain(vm))
        self.write(vm, 2, 1)
        two = self.take(vm, "two")
        self.write(vm, 3, 0)
        self.holds(vm, 3, 2)
        self.assertEqual([("one", [("two", [])])], shape(vm.snapshot.rootSnapshotList))
        self.assertEqual([one], list(vm.rootSnapshot))
        self.assertEqual([two], list(one.childSnapshot))
        self.assertEqual(vm, two.vm)
        self.assertEqual("[datastore1] tree/tree-000001.vmdk", vi.find(two, Disk)[0].backing.fileName)
        self.assertEqual(("about one", "poweredOff", 1), (lambda t: (t.description, t.state, t.id))(
            vm.snapshot.rootSnapshotList[0]))

        self.client.run(one.RevertToSnapshot_Task())
        self.holds(vm, 1, 0)
        self.assertEqual(one, vm.snapshot.currentSnapshot)
        self.assertNotIn("tree-000002.vmdk", self.files("tree"))  # the state that was left
        self.write(vm, 4, 1)
        three = self.take(vm, "three")
        self.assertEqual([("one", [("two", []), ("three", [])])], shape(vm.snapshot.rootSnapshotList))
        self.write(vm, 5, 2)
        self.holds(vm, 1, 4, 5)

        # What two others build on stays; as soon as it is one, they are merged.
        self.client.run(one.RemoveSnapshot_Task(False))
        self.assertEqual([("two", []), ("three", [])], shape(vm.snapshot.rootSnapshotList))
        self.assertFalse(vm.runtime.consolidationNeeded)
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            one.RevertToSnapshot_Task()
        self.holds(vm, 1, 4, 5)
        self.client.run(two.RevertToSnapshot_Task())
        self.holds(vm, 1, 2)
        self.client.run(vm.snapshot.rootSnapshotList[1].snapshot.RevertToSnapshot_Task())
        self.holds(vm, 1, 4, 0)
        self.client.run(two.RemoveSnapshot_Task(False))
        self.holds(vm, 1, 4, 0)
        self.assertEqual(2, len(chain(vm)))
        self.client.run(three.RemoveSnapshot_Task(False))
        self.holds(vm, 1, 4, 0)
        self.assertIsNone(vm.snapshot)
        self.assertEqual(["tree.vmdk"], chain(vm))
        self.assertEqual({"tree.vmx", "tree.vmsd", "tree.vmdk", "tree.qcow2"}, self.files("tree"))
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(vm.PowerOffVM_Task())

    def test_the_list_is_vmware_s(self) -> None:
        vm = self.create("list")
        self.take(vm, "first")
        path = self.datastore / "list/list.vmsd"
        lines = dict(re.findall(r'^(\S+) = "(.*)"$', path.read_text(), re.M))
        self.assertEqual(("1", "1", "1"), tuple(lines[f"snapshot.{k}"] for k in ("numSnapshots", "current", "lastUID")))
        self.assertEqual({"uid": "1", "filename": "list-Snapshot1.vmsn", "displayName": "first", "numDisks": "1",
                          "description": "about first", "disk0.fileName": "list.vmdk", "disk0.node": "scsi0:0"},
                         {k[10:]: v for k, v in lines.items() if k.startswith("snapshot0.") and "createTime" not in k})
        created = (int(lines["snapshot0.createTimeHigh"]) << 32) + (int(lines["snapshot0.createTimeLow"]) & 0xffffffff)
        self.assertAlmostEqual(snapshots(vm)["first"].createTime.timestamp(), created / 1e6, delta=1)
        # What others write there survives, with its snapshot.
        path.write_text(path.read_text() + 'snapshot.mru0.uid = "1"\nsnapshot0.clone0 = "/x.vmx"\nanother = "key"\n')
        second = self.take(vm, "second")
        second.RenameSnapshot("zweiter", "neu")
        self.assertEqual(("zweiter", "neu"), (lambda t: (t.name, t.description))(snapshots(vm)["zweiter"]))
        with self.assertRaises(vim.fault.InvalidName):
            second.RenameSnapshot("", None)
        self.client.run(vm.RevertToCurrentSnapshot_Task())
        self.client.run(snapshots(vm)["first"].snapshot.RemoveSnapshot_Task(False))
        text = path.read_text()
        self.assertIn('another = "key"', text)
        self.assertNotIn("clone0", text)
        self.assertIn('snapshot0.displayName = "zweiter"', text)
        # Another program's file that makes no sense is a fault, and nothing changes.
        path.write_text(text.replace('snapshot0.uid = "2"', 'snapshot0.uid = "x"'))
        before = self.files("list")
        for attempt in (lambda: vm.CreateSnapshot_Task("x", "", False, False), lambda: vm.RemoveAllSnapshots_Task()):
            with self.assertRaises(vim.fault.InvalidSnapshotFormat):
                self.client.run(attempt())
        self.assertEqual(before, self.files("list"))
        path.write_text(text)

    def test_many_levels(self) -> None:
        vm = self.create("deep")
        for n in range(32):
            self.write(vm, n + 1, n % 8)
            self.take(vm, f"level {n + 1}")
        self.assertEqual(33, len(chain(vm)))
        with self.assertRaises(vim.fault.TooManySnapshotLevels):
            self.client.run(vm.CreateSnapshot_Task("one more", "", False, False))
        self.assertEqual(33, len(chain(vm)))
        self.holds(vm, *range(25, 33))
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(snapshots(vm)["level 9"].snapshot.RevertToSnapshot_Task())
        self.holds(vm, 9, 2, 3, 4, 5, 6, 7, 8)
        self.client.run(snapshots(vm)["level 2"].snapshot.RemoveSnapshot_Task(True))
        self.assertEqual(["level 1"], list(snapshots(vm)))
        self.holds(vm, 9, 2, 3, 4, 5, 6, 7, 8)
        self.client.run(vm.RemoveAllSnapshots_Task())
        self.holds(vm, 9, 2, 3, 4, 5, 6, 7, 8)
        self.assertEqual(["deep.vmdk"], chain(vm))
        self.assertEqual({"deep.vmx", "deep.vmsd", "deep.vmdk", "deep.qcow2"}, self.files("deep"))

    def test_consolidation_can_wait(self) -> None:
        vm = self.create("later")
        self.write(vm, 1, 0)
        self.take(vm, "a")
        self.write(vm, 2, 1)
        self.take(vm, "b")
        self.client.run(vm.RemoveAllSnapshots_Task(consolidate=False))
        self.assertIsNone(vm.snapshot)
        self.assertTrue(vm.runtime.consolidationNeeded)
        self.assertEqual(3, len(chain(vm)))
        self.host.restart()
        type(self).client = vi.Client(self.host)
        (vm,) = [v for v in self.client.folder.childEntity if v.name == "later"]
        self.assertTrue(vm.runtime.consolidationNeeded)
        self.client.run(vm.ConsolidateVMDisks_Task())
        self.assertFalse(vm.runtime.consolidationNeeded)
        self.assertEqual(["later.vmdk"], chain(vm))
        self.holds(vm, 1, 2)

    def test_what_the_tree_keeps(self) -> None:
        """Restart, unregister and register, rename; reverting the configuration."""
        vm = self.create("kept")
        self.take(vm, "small")
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        self.client.reconfigure(vm, vi.disk(8, controller.key), memoryMB=192, annotation="grown")
        self.take(vm, "grown")
        self.assertEqual(2, len(vi.find(vm, Disk)))
        expected = shape(vm.snapshot.rootSnapshotList)
        self.host.restart()
        type(self).client = vi.Client(self.host)
        (vm,) = [v for v in self.client.folder.childEntity if v.name == "kept"]
        self.assertEqual(expected, shape(vm.snapshot.rootSnapshotList))
        self.client.run(vm.Rename_Task("kept2"))
        vm.UnregisterVM()
        vm = self.client.run(self.client.folder.RegisterVM_Task("[datastore1] kept/kept.vmx", None, False,
                                                                self.client.pool))
        self.assertEqual(expected, shape(vm.snapshot.rootSnapshotList))
        self.assertEqual(192, snapshots(vm)["grown"].snapshot.config.hardware.memoryMB)
        self.client.run(snapshots(vm)["small"].snapshot.RevertToSnapshot_Task())
        self.assertEqual((160, 1, "kept2"), (vm.config.hardware.memoryMB, len(vi.find(vm, Disk)), vm.name))
        self.client.run(snapshots(vm)["grown"].snapshot.RevertToSnapshot_Task())
        self.assertEqual((192, 2), (vm.config.hardware.memoryMB, len(vi.find(vm, Disk))))
        self.client.run(vm.Rename_Task("kept"))

    def test_reconfiguration_with_snapshots(self) -> None:
        vm = self.create("fixed")
        self.take(vm, "one")
        (disk,) = vi.find(vm, Disk)
        disk.capacityInKB *= 2
        disk.capacityInBytes = None
        with self.assertRaises(vim.fault.InvalidDeviceOperation):
            self.client.reconfigure(vm, vi.change(disk, "edit"))
        (disk,) = vi.find(vm, Disk)
        self.client.reconfigure(vm, vi.change(disk, "remove", "destroy"))
        self.assertEqual([], vi.find(vm, Disk))
        self.assertIn("fixed.qcow2", self.files("fixed"))  # the snapshot's
        self.assertNotIn("fixed-000001.qcow2", self.files("fixed"))
        # A file of a snapshot is in use, though no disk of the machine names it.
        manager = self.client.content.fileManager
        for name in ("fixed.vmdk", "fixed-Snapshot1.vmsn", "fixed.vmsd"):
            with self.assertRaises(vim.fault.FileLocked):
                self.client.run(manager.DeleteDatastoreFile_Task(f"[datastore1] fixed/{name}",
                                                                 self.client.datacenter))
        self.client.run(vm.RevertToCurrentSnapshot_Task())
        self.assertEqual(1, len(vi.find(vm, Disk)))
        self.assertEqual(8 << 10, vi.find(vm, Disk)[0].capacityInKB)

    def test_independent_disks_are_left_out(self) -> None:
        vm = self.create("part")
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        free = vi.disk(8, controller.key)
        free.device.backing.diskMode = "independent_persistent"
        self.client.reconfigure(vm, free)
        write(self.datastore, "part", "part_1.vmdk", 7, 0)
        snapshot = self.take(vm, "one")
        self.assertEqual(["part_1.vmdk"], chain(vm, 1))
        write(self.datastore, "part", "part_1.vmdk", 8, 0)
        self.client.run(snapshot.RevertToSnapshot_Task())
        self.assertTrue(reads(self.datastore, "part", "part_1.vmdk", 8, 0))
        self.client.run(vm.PowerOnVM_Task())
        with self.assertRaises(vim.fault.MemorySnapshotOnIndependentDisk):
            self.client.run(vm.CreateSnapshot_Task("memory", "", True, False))
        self.client.run(vm.PowerOffVM_Task())

    def test_refusals(self) -> None:
        vm = self.create("no")
        with self.assertRaises(vim.fault.NotFound):
            self.client.run(vm.RevertToCurrentSnapshot_Task())
        with self.assertRaises(vim.fault.InvalidName):
            vm.CreateSnapshot_Task("", "", False, False)
        self.client.reconfigure(vm, flags=vim.vm.FlagInfo(snapshotDisabled=True))
        with self.assertRaises(vim.fault.SnapshotDisabled):
            self.client.run(vm.CreateSnapshot_Task("x", "", False, False))
        self.client.reconfigure(vm, flags=vim.vm.FlagInfo(snapshotDisabled=False, snapshotLocked=True))
        with self.assertRaises(vim.fault.SnapshotLocked):
            self.client.run(vm.CreateSnapshot_Task("x", "", False, False))
        self.client.reconfigure(vm, flags=vim.vm.FlagInfo(snapshotLocked=False))
        self.assertEqual({"no.vmx", "no.vmdk", "no.qcow2"}, self.files("no"))
        # An image that another program has made to name a parent itself is not opened.
        self.take(vm, "x")
        overlay = self.datastore / "no/no-000001.qcow2"
        subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", overlay], check=True)
        with self.assertRaises(vim.fault.VimFault):
            self.client.run(vm.PowerOnVM_Task())
        subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", "", overlay], check=True)

    def test_layout(self) -> None:
        vm = self.create("files")
        self.client.run(vm.PowerOnVM_Task())
        snapshot = self.take(vm, "memory", memory=True)
        self.assertEqual("poweredOn", snapshots(vm)["memory"].state)
        names = {f.key: (f.name.rpartition("/")[2], f.type) for f in vm.layoutEx.file}
        (layout,) = vm.layoutEx.snapshot
        self.assertEqual((snapshot, ("files-Snapshot1.vmsn", "snapshotData"), ("files-Snapshot1.vmem", "snapshotMemory")),
                         (layout.key, names[layout.dataKey], names[layout.memoryKey]))
        self.assertEqual([["files.vmdk", "files.qcow2"]],
                         [[names[k][0] for k in unit.fileKey] for unit in layout.disk[0].chain])
        self.assertEqual([["files.vmdk", "files.qcow2"], ["files-000001.vmdk", "files-000001.qcow2"]],
                         [[names[k][0] for k in unit.fileKey] for unit in vm.layoutEx.disk[0].chain])
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.RevertToCurrentSnapshot_Task(suppressPowerOn=True))
        self.assertEqual("suspended", vm.runtime.powerState)
        self.client.run(vm.PowerOffVM_Task())
        self.assertIn("files-Snapshot1.vmem", self.files("files"))
        self.client.run(vm.RevertToCurrentSnapshot_Task())
        self.assertEqual("poweredOn", vm.runtime.powerState)
        self.assertIn("files-Snapshot1.vmem", self.files("files"))
        self.client.run(vm.SuspendVM_Task())
        again = self.take(vm, "suspended")
        self.assertEqual("suspended", snapshots(vm)["suspended"].state)
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(again.RevertToSnapshot_Task())
        self.assertEqual("suspended", vm.runtime.powerState)
        self.client.run(vm.PowerOnVM_Task())
        self.client.run(vm.RemoveAllSnapshots_Task())
        self.assertEqual({"files.vmx", "files.vmsd", "files.vmdk", "files.qcow2"},
                         self.files("files") - {"files.vmx.lck"})


# Writes on and on: the round number into every block of 4 KiB of a MiB, one block after the other, to the disk itself.
WRITER = """cat >/tmp/writer <<'END'
n=0
while [ ! -f /tmp/stop ]; do
    n=$((n+1))
    yes "round $n" | head -c 1048576 >/tmp/round
    dd if=/tmp/round of=/dev/sda bs=65536 seek=256 oflag=direct conv=notrunc 2>/dev/null || break
    md5sum </tmp/round >/tmp/sum
    echo $n >/tmp/n
done
END
rm -f /tmp/stop; sh /tmp/writer >/dev/null 2>&1 & echo $! >/tmp/writer.pid"""
OPTIONS = "console=ttyS0,115200 console=tty0 panic=5"


class Running(SnapshotTest):
    """A guest that writes all the while."""

    hypervisor = "qemu"

    def start(self, name: str, memory: int = 160) -> tuple[Any, guest.Shell]:
        for file in ("vmlinuz", "initrd.gz"):
            if not (self.datastore / file).exists():
                shutil.copy(guest.folder() / file, self.datastore / file)
        options = {"tenkyu.kernel": "[datastore1] vmlinuz", "tenkyu.initrd": "[datastore1] initrd.gz",
                   "tenkyu.append": OPTIONS}
        vm = self.client.create(name, vi.controller(), vi.disk(64), vi.serial_file(f"[datastore1] {name}/serial.txt"),
                                vi.serial_console(), memoryMB=memory,
                                extraConfig=[vim.option.OptionValue(key=k, value=v) for k, v in options.items()])
        self.addCleanup(self.destroy, name)
        self.client.run(vm.PowerOnVM_Task())
        return vm, self.shell(vm)

    def shell(self, vm: Any) -> guest.Shell:
        shell = guest.Shell(self.client.websocket(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        return shell

    @staticmethod
    def put(shell: guest.Shell, mib: int) -> str:
        """Fills a MiB of the disk with something new; its checksum."""
        shell.run("head -c 1048576 /dev/urandom >/tmp/pattern && "
                  f"dd if=/tmp/pattern of=/dev/sda bs=1048576 seek={mib} conv=fsync,notrunc 2>/dev/null")
        return shell.run("md5sum </tmp/pattern")

    @staticmethod
    def get(shell: guest.Shell, mib: int) -> str:
        return shell.run("echo 3 >/proc/sys/vm/drop_caches; "
                         f"dd if=/dev/sda bs=1048576 skip={mib} count=1 2>/dev/null | md5sum")

    def writer(self, shell: guest.Shell) -> None:
        shell.run(WRITER)
        shell.run("until [ -s /tmp/n ]; do sleep 0.1; done")

    def stop_writer(self, shell: guest.Shell) -> None:
        """What it wrote last is what the disk has."""
        shell.run("touch /tmp/stop; wait $(cat /tmp/writer.pid) 2>/dev/null; while kill -0 $(cat /tmp/writer.pid) 2>/dev/null; do sleep 0.1; done")
        self.assertEqual(shell.run("cat /tmp/sum"), self.get(shell, 16))

    def images(self, vm: Any) -> list[str]:
        """The files of disks that the machine's process has open, by their descriptors."""
        (pid,) = self.host.qemu_processes(vm._moId)
        links = {str((fd).resolve()) for fd in Path(f"/proc/{pid}/fd").iterdir()}
        return sorted(Path(link).name for link in links if ".qcow2" in link)

    def test_disks_under_a_writing_guest(self) -> None:
        vm, shell = self.start("busy")
        sums = [self.put(shell, 0)]
        self.writer(shell)
        for n in range(1, 5):
            self.take(vm, f"s{n}")
            sums.append(self.put(shell, n))
        self.assertEqual(5, len(chain(vm)))
        self.assertEqual(sums, [self.get(shell, n) for n in range(5)])
        # The one in the middle, the oldest, the newest.
        for name, depth in (("s2", 4), ("s1", 3), ("s4", 2)):
            self.client.run(snapshots(vm)[name].snapshot.RemoveSnapshot_Task(False))
            self.assertEqual(depth, len(chain(vm)))
            self.assertEqual(sums, [self.get(shell, n) for n in range(5)])
        self.assertEqual(sorted(f.replace(".vmdk", ".qcow2") for f in chain(vm)), self.images(vm))
        self.client.run(vm.RemoveAllSnapshots_Task())
        self.assertEqual(["busy.vmdk"], chain(vm))
        self.assertEqual(["busy.qcow2"], self.images(vm))  # nothing deleted takes space still
        self.stop_writer(shell)
        self.assertEqual(sums, [self.get(shell, n) for n in range(5)])
        # Again, and all of it once more from the files.
        self.writer(shell)
        self.take(vm, "again")
        sums[0] = self.put(shell, 0)
        self.stop_writer(shell)
        last = self.get(shell, 16)
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.RemoveAllSnapshots_Task())
        self.client.run(vm.PowerOnVM_Task())
        shell = self.shell(vm)
        self.assertEqual([*sums, last], [self.get(shell, n) for n in (0, 1, 2, 3, 4, 16)])
        self.client.run(vm.PowerOffVM_Task())
        checked = subprocess.run(["qemu-img", "check", self.datastore / "busy/busy.qcow2"], stdout=subprocess.PIPE)
        self.assertEqual(0, checked.returncode, checked.stdout)

    def test_memory(self) -> None:
        """The guest goes on at the moment of the snapshot, with disk and memory of the same moment."""
        vm, shell = self.start("memory")
        boot = shell.run("cat /proc/sys/kernel/random/boot_id")
        self.writer(shell)
        before = self.put(shell, 0)
        shell.run("echo one >/tmp/word")
        one = self.take(vm, "one", memory=True)
        self.assertEqual("poweredOn", snapshots(vm)["one"].state)
        shell.run("echo two >/tmp/word")
        after = self.put(shell, 0)
        disk_only = self.take(vm, "disk only")
        shell.run("echo three >/tmp/word")
        self.client.run(one.RevertToSnapshot_Task())
        self.assertEqual("poweredOn", vm.runtime.powerState)
        shell.close()
        shell = self.shell(vm)
        self.assertEqual((boot, "one", before),
                         (shell.run("cat /proc/sys/kernel/random/boot_id"), shell.run("cat /tmp/word"), self.get(shell, 0)))
        self.stop_writer(shell)  # which went on with what it was at
        self.put(shell, 0)
        self.client.run(one.RevertToSnapshot_Task())  # as often as one likes
        shell.close()
        shell = self.shell(vm)
        self.assertEqual(("one", before), (shell.run("cat /tmp/word"), self.get(shell, 0)))
        self.stop_writer(shell)
        # Without memory the guest boots anew, from the disk of then.
        self.client.run(disk_only.RevertToSnapshot_Task())
        self.assertEqual("poweredOff", vm.runtime.powerState)
        shell.close()
        self.client.run(vm.PowerOnVM_Task())
        shell = self.shell(vm)
        self.assertNotEqual(boot, shell.run("cat /proc/sys/kernel/random/boot_id"))
        self.assertEqual(after, self.get(shell, 0))
        self.client.run(vm.RevertToCurrentSnapshot_Task())
        self.assertEqual("poweredOff", vm.runtime.powerState)
        shell.close()
        self.client.run(one.RevertToSnapshot_Task(suppressPowerOn=True))
        self.assertEqual("suspended", vm.runtime.powerState)
        self.client.run(vm.PowerOnVM_Task())
        shell = self.shell(vm)
        self.assertEqual("one", shell.run("cat /tmp/word"))
        self.client.run(vm.RemoveAllSnapshots_Task())
        self.stop_writer(shell)
        self.assertEqual(before, self.get(shell, 0))
        self.assertNotIn("memory-Snapshot1.vmem", self.files("memory"))

    def test_devices_of_a_chain(self) -> None:
        """Hot plug of a disk while there are snapshots; suspend and resume; 32 levels of a guest that runs."""
        vm, shell = self.start("levels")
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        first = self.put(shell, 0)
        for n in range(32):
            self.take(vm, str(n))
        self.client.reconfigure(vm, vi.disk(8, controller.key))
        shell.run("until [ -b /dev/sdb ]; do sleep 0.1; done; echo data | dd of=/dev/sdb conv=fsync 2>/dev/null")
        self.client.run(snapshots(vm)["31"].snapshot.RemoveSnapshot_Task(False))
        self.take(vm, "both")
        disk = vi.find(vm, Disk)[1]
        self.client.reconfigure(vm, vi.change(disk, "remove", "destroy"))
        shell.run("until [ ! -b /dev/sdb ]; do sleep 0.1; done")
        self.assertEqual(33, len(self.images(vm)))  # nothing of the disk that is gone
        self.client.run(vm.SuspendVM_Task())
        shell.close()
        self.client.run(vm.PowerOnVM_Task())
        shell = self.shell(vm)
        self.assertEqual(first, self.get(shell, 0))
        second = self.put(shell, 1)
        self.client.run(vm.RemoveAllSnapshots_Task(), 300)
        self.assertEqual((first, second), (self.get(shell, 0), self.get(shell, 1)))
        self.assertEqual(["levels.qcow2"], self.images(vm))

    def test_cancel(self) -> None:
        """A removal that is cancelled leaves a chain to be consolidated, a snapshot that is cancelled leaves nothing."""
        vm, shell = self.start("cancel", memory=512)
        shell.run("echo here >/tmp/word; yes words | head -c 150000000 >/tmp/fill")
        done = threading.Event()

        def run(task: Any) -> str:
            self.client.wait_until(task, "info.state", lambda s: s != "queued")
            try:
                task.CancelTask()
            except vim.fault.InvalidState:
                pass  # it was quicker
            try:
                self.client.run(task)
            except vmodl.fault.RequestCanceled:
                done.set()
                return "cancelled"
            return "done"

        for _ in range(10):
            outcome = run(vm.CreateSnapshot_Task("memory", "", True, False))
            self.assertEqual(outcome == "done", "memory" in snapshots(vm))
            if outcome == "cancelled":
                self.assertEqual(["cancel.vmdk"], chain(vm))
                self.assertFalse(vm.runtime.consolidationNeeded)
                break
            self.client.run(vm.RemoveAllSnapshots_Task())
        self.assertTrue(done.is_set())
        self.assertEqual({"cancel.vmdk", "cancel.qcow2"},
                         {f for f in self.files("cancel") if not f.startswith("cancel.vmx")} - {"cancel.vmsd"})
        self.assertEqual("here", shell.run("cat /tmp/word"))


if __name__ == "__main__":
    unittest.main()
