# SPDX-License-Identifier: Apache-2.0
"""Virtual disks and datastores, with QEMU and two hosts on one folder: locks, space, provisioning, modes. What
a test looks at is bytes: of files, or in a guest."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from collections.abc import Callable
from typing import Any

from pyVmomi import vim, vmodl

import guest
import vim_client as vi
from tenkyu_host import BINARY, TenkyuHost

MIB = 1 << 20


def wait_for(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """For what no client is told of: a file of an operation under way."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it has not come true")


class DiskTest(unittest.TestCase):
    """A host; machines and files of a test go with it."""

    host: TenkyuHost
    client: vi.Client
    datastore: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="qemu", tls=True)
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.datastore = Path(cls.client.datacenter.datastore[0].info.path)
        cls.disks = cls.client.content.virtualDiskManager

    @classmethod
    def tearDownClass(cls) -> None:
        """The host ends in good order, which is when a sanitizer tells of leaks."""
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    def create(self, name: str, *changes: Any, client: vi.Client | None = None, **members: Any) -> Any:
        vm = (client or self.client).create(name, vi.controller(), *changes, **members)
        self.addCleanup(self.destroy, name, client)
        return vm

    def destroy(self, name: str, client: vi.Client | None = None) -> None:
        """The machine by its name: the session may be another by now, and the machine may be gone."""
        client = client or self.client
        for vm in client.folder.childEntity:
            if vm.name == name:
                if vm.runtime.powerState == "poweredOn":
                    client.run(vm.PowerOffVM_Task())
                client.run(vm.Destroy_Task())

    # ---- a guest -------------------------------------------------------------------------------------

    @classmethod
    def upload_guest(cls) -> None:
        for name in ("vmlinuz", "initrd.gz"):
            (cls.datastore / name).write_bytes((guest.folder() / name).read_bytes())

    def linux(self, name: str, *changes: Any, **members: Any) -> Any:
        """A machine with the tests' guest, and a serial port for its shell."""
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": "console=ttyS0,115200 quiet panic=5"}
        extra = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
        return self.create(name, vi.serial_file(f"[{vi.DATASTORE}] {name}/serial.txt"), vi.serial_console(),
                           *changes, extraConfig=extra, **members)

    def power_on(self, vm: Any) -> guest.Shell:
        self.client.run(vm.PowerOnVM_Task())
        return self.shell(vm)

    def shell(self, vm: Any) -> guest.Shell:
        shell = guest.Shell(self.client.websocket(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        return shell

    @staticmethod
    def content(data: Path, kind: str = "qcow2") -> bytes:
        """What a guest would read of an image, by a reader that is not ours."""
        with tempfile.NamedTemporaryFile(prefix="tenkyu-raw-") as raw:
            subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", data, raw.name], check=True)
            return Path(raw.name).read_bytes()

    def md5(self, data: Path, length: int, kind: str = "qcow2") -> str:
        return hashlib.md5(self.content(data, kind)[:length]).hexdigest()

    def assert_fault(self, kind: type, words: str, run: Any, *args: Any) -> Any:
        """Runs a call, or waits for the task that it gives: it must end with the fault."""
        with self.assertRaises(kind) as caught:
            answer = run(*args)
            if isinstance(answer, vim.Task):
                self.client.run(answer)
        self.assertIn(words, caught.exception.msg)
        return caught.exception


class Locks(DiskTest):
    """Two hosts share a folder as a datastore of the same name."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.other = TenkyuHost(hypervisor="qemu", tls=True)
        cls.addClassCleanup(cls.other.close)
        cls.second = vi.Client(cls.other)
        folder = tempfile.TemporaryDirectory(prefix="tenkyu-shared-")
        cls.addClassCleanup(folder.cleanup)
        cls.shared = Path(folder.name)
        for client in (cls.client, cls.second):
            client.system.configManager.datastoreSystem.CreateLocalDatastore("shared", folder.name)

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        code = cls.other.stop()
        assert code == 0, f"the host ended with {code}\n{cls.other.log_text()[-4000:]}"

    def shared_machine(self, name: str) -> tuple[Any, Any]:
        """A machine that both hosts have registered; the first one made it."""
        vm = self.create(name, vi.disk(8), files=vim.vm.FileInfo(vmPathName="[shared]"))
        path = vm.config.files.vmPathName
        twin = self.second.run(self.second.folder.RegisterVM_Task(path, None, False, self.second.pool))
        self.addCleanup(self.forget, twin)
        return vm, twin

    def forget(self, twin: Any) -> None:
        if twin.runtime.powerState == "poweredOn":
            self.second.run(twin.PowerOffVM_Task())
        twin.UnregisterVM()

    def test_a_machine_runs_once(self) -> None:
        vm, twin = self.shared_machine("once")
        self.client.run(vm.PowerOnVM_Task())
        owner = (self.shared / "once/once.vmx.lck").read_text()
        self.assertIn(vm._moId, owner)
        for refused in (twin.PowerOnVM_Task, twin.Destroy_Task,
                        lambda: twin.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="theirs"))):
            with self.assertRaises(vim.fault.FileLocked) as caught:
                self.second.run(refused())
            self.assertIn(owner.strip(), caught.exception.msg)
        # The lock is the process's, not the agent's: it outlives a crash of that, and ends with the machine.
        self.host.kill9()
        with self.assertRaises(vim.fault.FileLocked):
            self.second.run(twin.PowerOnVM_Task())
        self.host.restart()
        type(self).client = vi.Client(self.host)
        vm = next(v for v in self.client.folder.childEntity if v.name == "once")
        self.assertEqual("poweredOn", vm.runtime.powerState)
        self.client.run(vm.PowerOffVM_Task())
        self.assertFalse((self.shared / "once/once.vmx.lck").exists())
        self.second.run(twin.PowerOnVM_Task())
        with self.assertRaises(vim.fault.FileLocked):
            self.client.run(vm.PowerOnVM_Task())
        self.second.run(twin.SuspendVM_Task())
        self.second.run(twin.PowerOffVM_Task())
        self.destroy("once")
        self.assertFalse((self.shared / "once").exists())

    def test_a_killed_process_leaves_no_lock(self) -> None:
        vm, twin = self.shared_machine("killed")
        self.client.run(vm.PowerOnVM_Task())
        (pid,) = self.host.qemu_processes(vm._moId)
        os.kill(pid, 9)
        self.client.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOff")
        self.second.run(twin.PowerOnVM_Task())
        self.second.run(twin.PowerOffVM_Task())
        self.destroy("killed")

    def test_a_disk_is_used_once(self) -> None:
        vm = self.create("disk", vi.disk(8), files=vim.vm.FileInfo(vmPathName="[shared]"))
        name = vi.find(vm, vim.vm.device.VirtualDisk)[0].backing.fileName
        # Another machine with the same disk, on either host.
        thieves = [(client, self.create(f"thief{n}", client=client)) for n, client in
                   enumerate((self.client, self.second))]
        for client, thief in thieves:
            (controller,) = vi.find(thief, vim.vm.device.VirtualSCSIController)
            add = vi.disk(8, controller.key, name)
            add.fileOperation = None
            client.reconfigure(thief, add)
        self.client.run(vm.PowerOnVM_Task())
        for client, thief in thieves:
            with self.assertRaises(vim.fault.FileLocked):
                client.run(thief.PowerOnVM_Task())
            with self.assertRaises(vim.fault.FileLocked):
                client.run(client.content.virtualDiskManager.CopyVirtualDisk_Task(
                    name, None, f"[{vi.DATASTORE}] copy.vmdk", None))
            (disk,) = vi.find(thief, vim.vm.device.VirtualDisk)  # its Destroy_Task would take the disk with it
            client.reconfigure(thief, vi.change(disk, "remove"))
        # The second host knows of no machine that has the disk, and sees the locks.
        disks, files = self.second.content.virtualDiskManager, self.second.content.fileManager
        data = name.replace(".vmdk", ".qcow2")
        for refused in (lambda: disks.CopyVirtualDisk_Task(name, None, "[shared] copy.vmdk", None),
                        lambda: disks.ExtendVirtualDisk_Task(name, None, 16 << 10),
                        lambda: disks.MoveVirtualDisk_Task(name, None, "[shared] moved.vmdk", None),
                        lambda: disks.DeleteVirtualDisk_Task(name),
                        lambda: files.DeleteDatastoreFile_Task(name),
                        lambda: files.DeleteDatastoreFile_Task(data),
                        lambda: files.DeleteDatastoreFile_Task("[shared] disk/disk.vmx.lck"),
                        lambda: files.DeleteDatastoreFile_Task("[shared] disk"),
                        lambda: files.CopyDatastoreFile_Task(data, None, "[shared] copy.qcow2", None),
                        lambda: files.CopyDatastoreFile_Task("[shared] disk", None, "[shared] copy", None),
                        lambda: files.MoveDatastoreFile_Task(data, None, "[shared] moved.qcow2", None),
                        lambda: files.MoveDatastoreFile_Task("[shared] disk", None, "[shared] moved", None)):
            with self.assertRaises(vim.fault.FileLocked):
                self.second.run(refused())
        self.assertEqual(["disk.qcow2", "disk.vmdk", "disk.vmx", "disk.vmx.lck", "tenkyu.log"],
                         sorted(os.listdir(self.shared / "disk")))
        self.assertEqual(["disk"], os.listdir(self.shared))
        self.client.run(vm.PowerOffVM_Task())
        self.second.run(disks.CopyVirtualDisk_Task(name, None, "[shared] copy.vmdk", None))
        self.second.run(disks.DeleteVirtualDisk_Task("[shared] copy.vmdk"))


@unittest.skipUnless(os.geteuid() == 0, "only root can mount the small file system that gets full")
class Space(DiskTest):
    """A datastore of its own small file system, and a guest that writes to it."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.upload_guest()
        folder = tempfile.TemporaryDirectory(prefix="tenkyu-small-")
        cls.addClassCleanup(folder.cleanup)
        cls.small = Path(folder.name)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs", cls.small], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.small], check=True)
        cls.client.system.configManager.datastoreSystem.CreateLocalDatastore("small", folder.name)

    def store(self) -> Any:
        """By name, as the session may be another by now."""
        return next(store for store in self.client.datacenter.datastore if store.name == "small")

    def machine(self, name: str, megabytes: int, store: str = "small") -> Any:
        return self.linux(name, vi.disk(megabytes, file_name=f"[{store}] {name}.vmdk"))

    def question(self, vm: Any) -> Any:
        return self.client.wait_until(vm, "runtime.question", lambda asked: asked is not None)

    def fill(self, vm: Any) -> tuple[guest.Shell, str]:
        """The guest writes 12 MiB, which do not fit beside the ballast; what it writes, and that it stands still."""
        ballast = self.small / "ballast"
        ballast.write_bytes(os.urandom(26 * MIB))
        self.addCleanup(ballast.unlink, missing_ok=True)
        shell = self.power_on(vm)
        shell.run("head -c 2097152 /dev/urandom >/tmp/piece; "
                  "for i in 1 2 3 4 5 6; do cat /tmp/piece; done | md5sum >/tmp/sum")
        written = shell.run("cat /tmp/sum")
        shell.send("for i in 0 1 2 3 4 5; do dd if=/tmp/piece of=/dev/sda bs=1048576 seek=$((i * 2)) conv=fsync "
                   "2>/dev/null; done; echo ALL-WRITTEN\n")
        return shell, written

    def check_written(self, shell: guest.Shell, written: str) -> None:
        shell.expect("ALL-WRITTEN\n", 60)
        self.assertEqual(written, shell.run("echo 3 >/proc/sys/vm/drop_caches; head -c 12582912 /dev/sda | md5sum"))

    def test_a_full_datastore_asks(self) -> None:
        vm = self.machine("full", 64)
        shell, written = self.fill(vm)
        asked = self.question(vm)
        self.assertIn("[small] full.vmdk", asked.text)
        self.assertEqual(["msg.hbacommon.outofspace"], [message.id for message in asked.message])
        self.assertEqual(["Retry", "Cancel"], [choice.summary for choice in asked.choice.choiceInfo])
        self.assertEqual(0, asked.choice.defaultIndex)
        self.assertEqual(asked.id, vm.summary.runtime.question.id)
        told = self.client.wait_event(vm, vim.event.VmMessageEvent)
        self.assertEqual(asked.text, told.message)
        retry, cancel = (choice.key for choice in asked.choice.choiceInfo)
        self.assert_fault(vmodl.fault.InvalidArgument, "answerChoice", vm.AnswerVM, asked.id, "maybe")
        self.assert_fault(vim.fault.ConcurrentAccess, "questionId", vm.AnswerVM, "1", retry)
        vm.AnswerVM(asked.id, retry)  # without more space it asks again, by another name
        again = self.client.wait_until(vm, "runtime.question", lambda q: q is not None and q.id != asked.id)
        self.assert_fault(vim.fault.ConcurrentAccess, "questionId", vm.AnswerVM, asked.id, retry)
        # An agent that finds the machine so asks too.
        self.host.kill9()
        self.host.restart()
        type(self).client = vi.Client(self.host)
        vm = next(v for v in self.client.folder.childEntity if v.name == "full")
        asked = self.question(vm)
        self.assertNotEqual(again.id, asked.id)
        (self.small / "ballast").unlink()
        vm.AnswerVM(asked.id, retry)
        self.client.wait_until(vm, "runtime.question", lambda q: q is None)
        shell.close()
        shell = self.shell(vm)
        shell.send("echo ALL-WRITTEN\n")  # what the interrupted console would have shown comes first
        self.check_written(shell, written)
        self.client.run(vm.PowerOffVM_Task())
        self.assertEqual(written.split()[0], self.md5(self.small / "full.qcow2", 12 * MIB))

    def test_cancel_powers_off(self) -> None:
        vm = self.machine("cancelled", 64)
        self.fill(vm)
        asked = self.question(vm)
        vm.AnswerVM(asked.id, asked.choice.choiceInfo[1].key)
        self.client.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOff")
        self.assertIsNone(vm.runtime.question)
        self.assertEqual([], self.host.qemu_processes(vm._moId))

    def test_virsh_answers(self) -> None:
        """libvirt answers questions by their default before it does what it is asked."""
        vm = self.machine("answered", 64)
        shell, written = self.fill(vm)
        self.question(vm)
        (self.small / "ballast").unlink()
        address, port = self.host.address
        auth = self.host.folder / "auth.conf"
        auth.write_text(f"[credentials-d]\nusername={self.host.user}\npassword={self.host.password}\n\n"
                        f"[auth-esx-{address}]\ncredentials=d\n")
        uri = f"esx://{self.host.user}@{address}:{port}/?no_verify=1&auto_answer=1"
        done = subprocess.run(["virsh", "-q", "-c", uri, "suspend", "answered"], text=True, capture_output=True,
                              env=dict(os.environ, LIBVIRT_AUTH_FILE=str(auth), LC_ALL="C.UTF-8"), timeout=60)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertEqual("suspended", vm.runtime.powerState)
        self.assertIsNone(vm.runtime.question)
        shell.close()
        shell = self.power_on(vm)
        self.client.wait_until(vm, "runtime.question", lambda q: q is None)
        shell.send("echo ALL-WRITTEN\n")
        self.check_written(shell, written)

    def test_figures(self) -> None:
        self.store().RefreshDatastore()
        before = self.store().summary.uncommitted
        vm = self.machine("figures", 1024)
        self.store().RefreshDatastore()
        summary = self.store().summary
        self.assertEqual(32 * MIB, summary.capacity)
        data = self.small / "figures.qcow2"
        self.assertEqual(before + 1024 * MIB - data.stat().st_blocks * 512, summary.uncommitted)
        self.assertGreater(summary.uncommitted, summary.freeSpace)  # more is promised than there is
        (disk,) = vi.find(vm, vim.vm.device.VirtualDisk)
        files = {file.name: file for file in vm.layoutEx.file}
        self.assertEqual(["config", "diskDescriptor", "diskExtent"], [file.type for file in vm.layoutEx.file])
        for name, path in (("[small] figures.vmdk", self.small / "figures.vmdk"), ("[small] figures.qcow2", data),
                           (vm.config.files.vmPathName, self.datastore / "figures/figures.vmx")):
            self.assertEqual(path.stat().st_blocks * 512, files[name].size)
        (layout,) = vm.layoutEx.disk
        self.assertEqual(disk.key, layout.key)
        self.assertEqual([[files["[small] figures.vmdk"].key, files["[small] figures.qcow2"].key]],
                         [list(unit.fileKey) for unit in layout.chain])
        usage = {one.datastore.name: one for one in vm.storage.perDatastoreUsage}
        self.assertEqual({"small", vi.DATASTORE}, set(usage))
        self.assertEqual(sum(f.size for f in vm.layoutEx.file), vm.summary.storage.committed)
        self.assertEqual(usage["small"].uncommitted, vm.summary.storage.uncommitted)
        # They follow what the guest writes, without being asked for more than a refresh.
        shell = self.power_on(vm)
        committed = usage["small"].committed
        shell.run("dd if=/dev/urandom of=/dev/sda bs=1048576 count=4 conv=fsync 2>/dev/null")
        vm.RefreshStorageInfo()
        usage = {one.datastore.name: one for one in vm.storage.perDatastoreUsage}
        self.assertGreaterEqual(usage["small"].committed, committed + 4 * MIB)
        self.assertEqual(1024 * MIB - data.stat().st_blocks * 512, usage["small"].uncommitted)
        types = {file.type for file in vm.layoutEx.file}
        self.assertIn("log", types)
        self.client.run(vm.SuspendVM_Task())
        self.assertIn("suspend", {file.type for file in vm.layoutEx.file})

    def test_a_guest_gives_space_back(self) -> None:
        vm = self.machine("trim", 64)
        shell = self.power_on(vm)
        data = self.small / "trim.qcow2"
        empty = data.stat().st_blocks * 512
        shell.run("dd if=/dev/urandom of=/dev/sda bs=1048576 count=16 conv=fsync 2>/dev/null")
        self.assertGreaterEqual(data.stat().st_blocks * 512, empty + 16 * MIB)
        shell.run("blkdiscard /dev/sda")
        self.assertLess(data.stat().st_blocks * 512, empty + 2 * MIB)
        self.assertEqual("0", shell.run("head -c 16777216 /dev/sda | tr -d '\\0' | wc -c"))
        # The same by a file system.
        shell.run("mke2fs -F /dev/sda >/dev/null 2>&1 && mount -t ext4 /dev/sda /mnt && "
                  "dd if=/dev/urandom of=/mnt/file bs=1048576 count=16 conv=fsync 2>/dev/null")
        full = data.stat().st_blocks * 512
        self.assertGreaterEqual(full, empty + 16 * MIB)
        shell.run("rm /mnt/file; sync; fstrim /mnt")
        self.assertLess(data.stat().st_blocks * 512, full - 15 * MIB)
        # Clients see what a machine that runs takes, without asking.
        committed = vm.summary.storage.committed
        shell.run("dd if=/dev/urandom of=/mnt/more bs=1048576 count=8 conv=fsync 2>/dev/null")
        self.client.wait_until(vm, "summary.storage.committed", lambda size: size >= committed + 7 * MIB)

    def test_low_space_is_told(self) -> None:
        store = self.store()
        store.RefreshDatastore()
        self.assertEqual("green", store.overallStatus)
        ballast = self.small / "weight"
        self.addCleanup(ballast.unlink, missing_ok=True)
        seen = []
        for used, status in ((25, "yellow"), (28, "red"), (0, "green")):
            ballast.write_bytes(b"\1" * used * MIB)
            store.RefreshDatastore()
            self.assertEqual(status, store.overallStatus)
            event = self.client.events(store)[-1]
            seen.append((event.eventTypeId, event.severity))
            self.assertIn("small", event.fullFormattedMessage)
            issues = [(issue.eventTypeId, issue.severity) for issue in store.configIssue]
            self.assertEqual([] if status == "green" else [seen[-1]], issues)
        self.assertEqual([("tenkyu.datastore.space.low", "warning"), ("tenkyu.datastore.space.low", "error"),
                          ("tenkyu.datastore.space.enough", "info")], seen)

    def test_over_commitment_is_told(self) -> None:
        store = self.store()

        def told() -> list[tuple[str, str]]:
            return [(event.eventTypeId, event.severity) for event in self.client.events(store)
                    if isinstance(event, vim.event.EventEx) and event.eventTypeId.startswith("tenkyu.datastore.space.")]

        before = len(told())
        vm = self.client.create("promise", vi.controller(), vi.disk(64, file_name="[small] promise.vmdk"))
        self.client.wait_until(store, "summary.uncommitted", lambda size: size is not None and size > 60 * MIB)
        self.assertGreater(store.summary.uncommitted, store.summary.freeSpace)
        self.client.wait_until(store, "summary", lambda _: len(told()) > before)
        self.assertEqual([("tenkyu.datastore.space.overcommitted", "warning")], told()[before:])
        self.client.run(vm.Destroy_Task())
        store.RefreshDatastore()
        self.assertEqual(0, store.summary.uncommitted)
        self.assertEqual(("tenkyu.datastore.space.covered", "info"), told()[-1])


class FolderTest(DiskTest):
    """Each test has a folder of its own, for disks that no machine has."""

    def setUp(self) -> None:
        self.folder = self.datastore / self.id().rpartition(".")[2]
        self.folder.mkdir()

    def path(self, name: str) -> str:
        return f"[{vi.DATASTORE}] {self.folder.name}/{name}"

    def make(self, name: str, kind: str, megabytes: int = 16) -> Path:
        """A disk with a MiB of known bytes at 1 MiB; the file with its data."""
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            capacityKb=megabytes << 10, diskType=kind, adapterType="lsiLogic")
        self.client.run(self.disks.CreateVirtualDisk_Task(self.path(name), None, spec))
        flat = kind == "flatMonolithic"
        data = self.folder / name.replace(".vmdk", "-flat.vmdk" if flat else ".qcow2")
        self.write(data, "raw" if flat else "qcow2")
        return data

    @staticmethod
    def write(data: Path, kind: str = "qcow2") -> None:
        subprocess.run(["qemu-io", "-f", kind, "-c", "write -P 0xab 1M 1M", data], check=True,
                       stdout=subprocess.DEVNULL)

    EXPECTED = b"\0" * MIB + b"\xab" * MIB + b"\0" * 14 * MIB

    def info(self, name: str) -> Any:
        """What the datastore browser tells of a disk."""
        browser = vim.host.DatastoreBrowser
        details = browser.VmDiskQuery.Details(capacityKb=True, thin=True, diskType=True, hardwareVersion=True)
        spec = browser.SearchSpec(query=[browser.VmDiskQuery(details=details)], matchPattern=[name],
                                  details=browser.FileInfo.Details(fileType=True, fileSize=True,
                                                                   modification=False, fileOwner=False))
        found = self.client.run(self.client.datacenter.datastore[0].browser.SearchDatastore_Task(
            f"[{vi.DATASTORE}] {self.folder.name}", spec))
        return found.file[0]

    @staticmethod
    def taken(data: Path) -> int:
        return data.stat().st_blocks * 512

    @staticmethod
    def written(data: Path) -> int:
        """Bytes that are really written, not only set aside (FS_IOC_FIEMAP)."""
        with open(data, "rb") as file:
            request = bytearray(struct.pack("=QQIIII", 0, 1 << 63, 1, 0, 512, 0) + bytes(56 * 512))
            fcntl.ioctl(file, 0xC020660B, request)
        total = 0
        for n in range(struct.unpack_from("=I", request, 20)[0]):
            length, flags = struct.unpack_from("=16xQ16xI", request, 32 + 56 * n)
            total += 0 if flags & 0x800 else length  # FIEMAP_EXTENT_UNWRITTEN
        return int(total)


class Provisioning(FolderTest):
    """How a disk's space is set aside, and what VirtualDiskManager makes of one that nobody uses."""

    def test_kinds(self) -> None:
        for kind in ("thin", "preallocated", "eagerZeroedThick", "flatMonolithic"):
            with self.subTest(kind):
                data = self.make(f"{kind}.vmdk", kind)
                self.assertEqual(self.EXPECTED, self.content(data, "raw" if "flat" in kind else "qcow2"))
                self.assertEqual(kind == "thin", self.taken(data) < 16 * MIB)
                self.assertEqual(kind in ("eagerZeroedThick", "flatMonolithic"), self.written(data) >= 16 * MIB)
                self.assertEqual(kind == "thin", self.info(f"{kind}.vmdk").thin)
        for spec in (vim.VirtualDiskManager.SeSparseVirtualDiskSpec(capacityKb=1024, diskType="seSparse",
                                                                    adapterType="lsiLogic"),
                     vim.VirtualDiskManager.DeviceBackedVirtualDiskSpec(device="/dev/null", diskType="rdm",
                                                                        adapterType="lsiLogic")):
            self.assert_fault(vmodl.fault.NotSupported, "spec", self.disks.CreateVirtualDisk_Task,
                              self.path("other.vmdk"), None, spec)

    def test_conversions(self) -> None:
        kinds = ("thin", "preallocated", "eagerZeroedThick", "flatMonolithic")
        for kind in kinds:
            self.make(f"{kind}.vmdk", kind)
            for to in kinds:
                with self.subTest(f"{kind} to {to}"):
                    spec = vim.VirtualDiskManager.VirtualDiskSpec(diskType=to, adapterType="lsiLogic")
                    self.client.run(self.disks.CopyVirtualDisk_Task(
                        self.path(f"{kind}.vmdk"), None, self.path(f"{kind}-{to}.vmdk"), None, spec))
                    flat = to == "flatMonolithic"
                    data = self.folder / (f"{kind}-{to}-flat.vmdk" if flat else f"{kind}-{to}.qcow2")
                    self.assertEqual(self.EXPECTED, self.content(data, "raw" if flat else "qcow2"))
                    self.assertEqual(to == "thin", self.taken(data) < 16 * MIB)
                    if to in kinds[2:]:
                        self.assertGreaterEqual(self.written(data), 16 * MIB)
                    self.assertEqual(to == "thin", self.info(f"{kind}-{to}.vmdk").thin)
        self.assertEqual([], [name for name in os.listdir(self.folder) if "~" in name])

    def test_in_place(self) -> None:
        thin = self.make("thin.vmdk", "thin")
        lazy = self.make("lazy.vmdk", "preallocated")
        self.assert_fault(vmodl.fault.NotSupported, "thin", self.disks.EagerZeroVirtualDisk_Task,
                          self.path("thin.vmdk"), None)
        self.assert_fault(vmodl.fault.NotSupported, "not thin", self.disks.ShrinkVirtualDisk_Task,
                          self.path("lazy.vmdk"), None)
        self.assert_fault(vmodl.fault.NotSupported, "copy", self.disks.ShrinkVirtualDisk_Task,
                          self.path("thin.vmdk"), None, False)
        # What the guest has written with zeros is given back.
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0 4M 4M", thin], check=True,
                       stdout=subprocess.DEVNULL)
        before = self.taken(thin)
        self.client.run(self.disks.ShrinkVirtualDisk_Task(self.path("thin.vmdk"), None))
        self.assertLess(self.taken(thin), before - 3 * MIB)
        self.assertEqual(self.EXPECTED, self.content(thin))
        # Clusters in the order opposite to the disk's.
        for offset in range(15, 8, -1):
            subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P 1 {offset}M 64k", thin], check=True,
                           stdout=subprocess.DEVNULL)
        content = self.content(thin)
        self.assertGreater(self.disks.QueryVirtualDiskFragmentation(self.path("thin.vmdk"), None), 10)
        self.client.run(self.disks.DefragmentVirtualDisk_Task(self.path("thin.vmdk"), None))
        self.assertLess(self.disks.QueryVirtualDiskFragmentation(self.path("thin.vmdk"), None), 5)
        self.assertEqual(content, self.content(thin))
        self.client.run(self.disks.InflateVirtualDisk_Task(self.path("thin.vmdk"), None))
        self.assertEqual(content, self.content(thin))
        self.assertGreaterEqual(self.written(thin), 16 * MIB)
        self.assertFalse(self.info("thin.vmdk").thin)
        self.client.run(self.disks.EagerZeroVirtualDisk_Task(self.path("lazy.vmdk"), None))
        self.assertGreaterEqual(self.written(lazy), 16 * MIB)
        self.assertEqual(self.EXPECTED, self.content(lazy))
        self.client.run(self.disks.ZeroFillVirtualDisk_Task(self.path("lazy.vmdk"), None))
        self.assertEqual(b"\0" * 16 * MIB, self.content(lazy))
        self.assertGreaterEqual(self.written(lazy), 16 * MIB)
        self.assertEqual([], [name for name in os.listdir(self.folder) if "~" in name])

    def test_parents_are_kept(self) -> None:
        """A disk that another one builds on is neither deleted nor changed; a copy of the other has both."""
        base = self.make("base.vmdk", "thin")
        self.make("top.vmdk", "thin")
        top = self.folder / "top.vmdk"
        cid = next(line for line in (self.folder / "base.vmdk").read_text().splitlines() if line.startswith("CID="))
        top.write_text(top.read_text().replace("parentCID=ffffffff", f"parent{cid}\nparentFileNameHint=\"base.vmdk\""))
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.folder / "top.qcow2", "16M"], check=True)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0xcd 3M 1M", self.folder / "top.qcow2"], check=True,
                       stdout=subprocess.DEVNULL)
        for refused in (self.disks.DeleteVirtualDisk_Task, self.disks.ZeroFillVirtualDisk_Task,
                        self.disks.InflateVirtualDisk_Task):
            self.assert_fault(vmodl.fault.NotSupported, "builds on", refused, self.path("base.vmdk"), None)
        self.assert_fault(vmodl.fault.NotSupported, "builds on",
                          self.client.content.fileManager.DeleteDatastoreFile_Task, self.path("base.vmdk"))
        self.assertEqual(self.EXPECTED, self.content(base))
        self.client.run(self.disks.CopyVirtualDisk_Task(self.path("top.vmdk"), None, self.path("whole.vmdk"), None))
        whole = self.EXPECTED[:3 * MIB] + b"\xcd" * MIB + self.EXPECTED[4 * MIB:]
        self.assertEqual(whole, self.content(self.folder / "whole.qcow2"))
        self.assertNotIn("parentFileNameHint", (self.folder / "whole.vmdk").read_text())

    def test_growing(self) -> None:
        for kind, eager in (("thin", False), ("preallocated", False), ("eagerZeroedThick", False),
                            ("flatMonolithic", False), ("preallocated", True)):
            with self.subTest(f"{kind} {eager}"):
                name = f"{kind}-{eager}.vmdk"
                data = self.make(name, kind)
                self.client.run(self.disks.ExtendVirtualDisk_Task(self.path(name), None, 24 << 10, eager))
                self.assertEqual(self.EXPECTED + b"\0" * 8 * MIB,
                                 self.content(data, "raw" if "flat" in kind else "qcow2"))
                self.assertEqual(24 << 10, self.info(name).capacityKb)
                self.assertEqual(kind == "thin", self.taken(data) < 24 * MIB)
                if kind != "thin":
                    added = 24 * MIB if kind != "preallocated" else 8 * MIB if eager else 0
                    self.assertEqual(added > 0, self.written(data) >= max(added, 8 * MIB))

    def test_identity_and_geometry(self) -> None:
        self.make("a.vmdk", "thin")
        uuid = "60 00 c2 9d 01 02 03 04-05 06 07 08 09 0a 0b 0c"
        self.disks.SetVirtualDiskUuid(self.path("a.vmdk"), None, uuid)
        self.assertEqual(uuid, self.disks.QueryVirtualDiskUuid(self.path("a.vmdk"), None))
        self.assertIn(f'ddb.uuid = "{uuid}"', (self.folder / "a.vmdk").read_text())
        self.assert_fault(vmodl.fault.InvalidArgument, "uuid", self.disks.SetVirtualDiskUuid, self.path("a.vmdk"),
                          None, "60 00")
        geometry = self.disks.QueryVirtualDiskGeometry(self.path("a.vmdk"), None)
        self.assertEqual((16 * MIB // 512 // (64 * 32), 64, 32), (geometry.cylinder, geometry.head, geometry.sector))

    def test_a_machine_shows_the_truth(self) -> None:
        vm = self.create("truth", vi.disk(16))
        (disk,) = vi.find(vm, vim.vm.device.VirtualDisk)
        self.assertEqual((True, False), (disk.backing.thinProvisioned, disk.backing.eagerlyScrub))
        name = disk.backing.fileName
        self.client.run(self.disks.InflateVirtualDisk_Task(name, None))
        (disk,) = vi.find(vm, vim.vm.device.VirtualDisk)
        self.assertEqual((False, True), (disk.backing.thinProvisioned, disk.backing.eagerlyScrub))
        self.assertEqual(0, vm.summary.storage.uncommitted)
        self.client.run(vm.PowerOnVM_Task())
        for refused in (self.disks.InflateVirtualDisk_Task, self.disks.ZeroFillVirtualDisk_Task,
                        self.disks.ShrinkVirtualDisk_Task, self.disks.DefragmentVirtualDisk_Task):
            self.assert_fault(vim.fault.FileLocked, "", refused, name, None)
        self.assert_fault(vim.fault.FileLocked, "", self.disks.SetVirtualDiskUuid, name, None, "0" * 32)
        # Grown while it runs: the new space is set aside, and no longer all written.
        disk.capacityInKB, disk.capacityInBytes = 24 << 10, 24 * MIB
        self.client.reconfigure(vm, vi.change(disk, "edit"))
        self.assertGreaterEqual(self.taken(self.datastore / "truth/truth.qcow2"), 24 * MIB)
        self.client.run(vm.PowerOffVM_Task())
        self.assertEqual(b"\0" * 24 * MIB, self.content(self.datastore / "truth/truth.qcow2"))
        path = vm.config.files.vmPathName
        vm.UnregisterVM()
        self.client.run(self.client.folder.RegisterVM_Task(path, None, False, self.client.pool))
        (vm,) = [one for one in self.client.folder.childEntity if one.name == "truth"]
        (disk,) = vi.find(vm, vim.vm.device.VirtualDisk)
        self.assertEqual((False, False, 24 << 10), (disk.backing.thinProvisioned, disk.backing.eagerlyScrub,
                                                    disk.capacityInKB))

    def test_cancel_and_crash_leave_nothing(self) -> None:
        self.make("a.vmdk", "thin", 512)
        task = self.disks.InflateVirtualDisk_Task(self.path("a.vmdk"), None)
        task.CancelTask()
        info = self.client.wait_until(task, "info", lambda i: i.state in ("success", "error"))
        self.assertEqual("error", info.state)
        self.assertIsInstance(info.error, vmodl.fault.RequestCanceled)
        self.assertEqual(["a.qcow2", "a.vmdk"], sorted(os.listdir(self.folder)))
        self.disks.InflateVirtualDisk_Task(self.path("a.vmdk"), None)
        new = self.folder / "a.qcow2.new~"
        wait_for(new.exists)
        self.host.kill9()
        self.host.restart()
        type(self).client = vi.Client(self.host)
        type(self).disks = self.client.content.virtualDiskManager
        self.assertEqual(["a.qcow2", "a.vmdk"], sorted(os.listdir(self.folder)))
        self.assertEqual(b"\xab" * MIB, self.content(self.folder / "a.qcow2")[MIB:2 * MIB])
        self.assertEqual([], os.listdir(self.host.state / "journal"))


class Foreign(FolderTest):
    """Disks of VMware's products: read, and never trusted."""

    KINDS = ("monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized")

    def convert(self, kind: str) -> None:
        with tempfile.NamedTemporaryFile(prefix="tenkyu-raw-") as raw:
            raw.write(self.EXPECTED)
            raw.flush()
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={kind}", raw.name,
                            self.folder / f"{kind}.vmdk"], check=True)

    def copy(self, source: str, target: str) -> Any:
        return self.disks.CopyVirtualDisk_Task(self.path(source), None, self.path(target), None)

    def test_kinds_are_imported(self) -> None:
        for kind in self.KINDS:
            with self.subTest(kind):
                self.convert(kind)
                self.client.run(self.copy(f"{kind}.vmdk", f"{kind}-copy.vmdk"))
                flat = kind.endswith("Flat")  # in one file: ESX's own kind, and so stays what it is
                data = self.folder / (f"{kind}-copy-flat.vmdk" if flat else f"{kind}-copy.qcow2")
                self.assertEqual(self.EXPECTED, self.content(data, "raw" if flat else "qcow2"))
                self.assertEqual(16 << 10, self.info(f"{kind}-copy.vmdk").capacityKb)
                self.assertTrue(self.disks.QueryVirtualDiskUuid(self.path(f"{kind}-copy.vmdk"), None))

    def test_a_machine_uses_flat_ones_and_refuses_others(self) -> None:
        for kind in ("monolithicFlat", "monolithicSparse"):
            self.convert(kind)
        vm = self.create("foreign")
        (controller,) = vi.find(vm, vim.vm.device.VirtualSCSIController)
        add = vi.disk(16, controller.key, self.path("monolithicSparse.vmdk"))
        add.fileOperation = None
        with self.assertRaises(vmodl.MethodFault) as caught:
            self.client.reconfigure(vm, add)
        self.assertIn("monolithicSparse", caught.exception.msg)
        add = vi.disk(16, controller.key, self.path("monolithicFlat.vmdk"))
        add.fileOperation = None
        self.client.reconfigure(vm, add)
        (disk,) = vi.find(vm, vim.vm.device.VirtualDisk)
        self.assertEqual((16 << 10, False), (disk.capacityInKB, disk.backing.thinProvisioned))
        self.client.run(vm.PowerOnVM_Task())
        (pid,) = self.host.qemu_processes(vm._moId)
        opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
        self.assertIn(str(self.folder / "monolithicFlat-flat.vmdk"), opened)
        self.client.run(vm.PowerOffVM_Task())
        self.client.run(vm.Destroy_Task())
        self.assertEqual(["monolithicSparse.vmdk"], os.listdir(self.folder))

    def test_hostile_descriptors(self) -> None:
        secret = self.host.folder / "secret"
        secret.write_bytes(b"S" * 16 * MIB)
        sectors = 16 * MIB // 512

        def descriptor(*extents: str, **header: str) -> bytes:
            lines = {"version": "1", "CID": "12345678", "parentCID": "ffffffff", "createType": '"monolithicFlat"'}
            text = ["# Disk DescriptorFile"] + [f"{key}={value}" for key, value in (lines | header).items()]
            return "\n".join([*text, *extents, ""]).encode()

        def sparse(sectors: int, text: bytes = b"") -> bytes:
            return struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", 1, 3, sectors, 128, 1 if text else 0, 20 if text else 0,
                               512, 0, 0, 128, 0, b"\n \r\n", 0).ljust(512, b"\0") + text.ljust(20 * 512, b"\0")

        stolen = descriptor(f'RW {sectors} FLAT "{secret}" 0')
        (self.folder / "link-flat.vmdk").symlink_to(secret)
        (self.folder / "short-flat.vmdk").write_bytes(b"x" * MIB)
        (self.folder / "inner.vmdk").write_bytes(sparse(0, stolen))
        loop = {"parentCID": "12345678", "parentFileNameHint": '"loop.vmdk"'}
        for name, content in {
            "absolute": stolen,
            "climbing": descriptor(f'RW {sectors} FLAT "../../../secret" 0'),
            "two": descriptor(f'RW {sectors} FLAT "/etc/passwd" 0', f'RW {sectors} FLAT "x" 0'),
            "link": descriptor(f'RW {sectors} FLAT "link-flat.vmdk" 0'),
            "short": descriptor(f'RW {sectors} FLAT "short-flat.vmdk" 0'),
            "protocol": descriptor(f'RW {sectors} FLAT "nbd:127.0.0.1:1" 0', "RW 1 ZERO"),
            "huge": descriptor(*['RW 9007199254740000 ZERO'] * 2),
            "many": descriptor(*["RW 1 ZERO"] * 70000),
            "disguise": sparse(0, stolen),
            "nested": descriptor(f'RW {sectors} SPARSE "inner.vmdk"'),
            "parent": sparse(sectors, descriptor("RW 1 ZERO", **loop)),
            "loop": descriptor(f'RW {sectors} QCOW2 "loop.qcow2"', **loop),
            "child": descriptor(f'RW {sectors} SPARSE "inner.vmdk"', parentCID="00000001"),
            "cowd": b"COWD" + b"\0" * 2000,
            "sesparse": bytes.fromhex("bebafeca00000000") + b"\0" * 2000,
            "rdm": descriptor(f'RW {sectors} VMFSRDM "x-rdm.vmdk"'),
            "garbage": bytes(range(256)) * 20,
        }.items():
            with self.subTest(name):
                (self.folder / f"{name}.vmdk").write_bytes(content)
                if name == "loop":
                    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.folder / "loop.qcow2", "16M"],
                                   check=True)
                with self.assertRaises((vim.fault.InvalidDiskFormat, vim.fault.FileFault)):
                    self.client.run(self.copy(f"{name}.vmdk", "copy.vmdk"))
                self.assertFalse([one for one in os.listdir(self.folder) if one.startswith("copy")])


class Modes(DiskTest):
    """Disk modes, with a guest that writes."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.upload_guest()

    @staticmethod
    def mode(megabytes: int, mode: str, **members: Any) -> Any:
        add = vi.disk(megabytes)
        add.device.backing.diskMode = mode
        for key, value in members.items():
            setattr(add.device.backing, key, value)
        return add

    def test_nonpersistent(self) -> None:
        vm = self.linux("thrown", self.mode(16, "independent_nonpersistent"))
        data = self.datastore / "thrown/thrown.qcow2"
        empty = data.read_bytes()
        shell = self.power_on(vm)
        written = "dd if=/dev/zero bs=65536 count=64 2>/dev/null | tr '\\0' x | dd of=/dev/sda conv=fsync 2>/dev/null"
        shell.run(written)
        self.assertEqual("4194304", shell.run("echo 3 >/proc/sys/vm/drop_caches; head -c 4194304 /dev/sda | tr -d '\\0' | wc -c"))
        self.assertEqual(empty, data.read_bytes())
        self.assertEqual(["serial.txt", "tenkyu.log", "thrown.qcow2", "thrown.vmdk", "thrown.vmx", "thrown.vmx.lck"],
                         sorted(os.listdir(self.datastore / "thrown")))
        self.assert_fault(vmodl.fault.NotSupported, "throws away", vm.SuspendVM_Task)
        self.assertEqual("poweredOn", vm.runtime.powerState)
        self.client.run(vm.PowerOffVM_Task())
        self.assertEqual(empty, data.read_bytes())
        shell.close()
        shell = self.power_on(vm)
        self.assertEqual("0", shell.run("head -c 4194304 /dev/sda | tr -d '\\0' | wc -c"))
        self.client.run(vm.PowerOffVM_Task())
        # The same disk, once it is persistent, keeps what is written.
        (disk,) = vi.find(vm, vim.vm.device.VirtualDisk)
        disk.backing.diskMode = "independent_persistent"
        self.client.reconfigure(vm, vi.change(disk, "edit"))
        self.assertIn('scsi0:0.mode = "independent-persistent"', (self.datastore / "thrown/thrown.vmx").read_text())
        shell.close()
        shell = self.power_on(vm)
        shell.run(written)
        self.client.run(vm.PowerOffVM_Task())
        self.assertEqual(b"x" * 4 * MIB, self.content(data)[:4 * MIB])

    def test_modes_that_there_are_not(self) -> None:
        for mode in ("undoable", "append", "sideways"):
            with self.assertRaises(vim.fault.InvalidDeviceBacking) as caught:
                self.create("none", self.mode(1, mode))
            self.assertEqual("deviceChange[1].device.backing.diskMode", caught.exception.property)
        for sharing, members in (("sharingMultiWriter", {}), ("sideways", {"eagerlyScrub": True})):
            with self.assertRaises(vim.fault.InvalidDeviceBacking) as caught:
                self.create("none", self.mode(1, "persistent", sharing=sharing, **members))
            self.assertEqual("deviceChange[1].device.backing.sharing", caught.exception.property)
        bus = vi.change(vim.vm.device.ParaVirtualSCSIController(key=-9, busNumber=1, sharedBus="virtualSharing"))
        with self.assertRaises(vim.fault.InvalidDeviceSpec) as caught:
            self.create("none", bus)
        self.assertEqual("deviceChange[1].device.sharedBus", caught.exception.property)

    def test_two_guests_share_a_disk(self) -> None:
        first = self.linux("share1", self.mode(16, "independent_persistent", sharing="sharingMultiWriter",
                                               eagerlyScrub=True, thinProvisioned=False))
        (disk,) = vi.find(first, vim.vm.device.VirtualDisk)
        self.assertEqual(16 * MIB, (self.datastore / "share1/share1-flat.vmdk").stat().st_size)
        add = self.mode(16, "independent_persistent", sharing="sharingMultiWriter")
        add.device.backing.fileName, add.fileOperation = disk.backing.fileName, None
        second = self.linux("share2", add)
        shells = [self.power_on(vm) for vm in (first, second)]
        for n, shell in enumerate(shells):  # each writes where the other does not
            shell.run(f"dd if=/dev/zero bs=65536 count=16 2>/dev/null | tr '\\0' {n} | "
                      f"dd of=/dev/sda bs=65536 seek={n * 16} conv=fsync 2>/dev/null")
        for shell in shells:
            self.assertEqual("1048576 1048576", shell.run(
                "echo 3 >/proc/sys/vm/drop_caches; echo $(for c in 0 1; do "
                "head -c 2097152 /dev/sda | tr -cd $c | wc -c; done)"))
        self.assert_fault(vim.fault.FileLocked, "", self.disks.CopyVirtualDisk_Task, disk.backing.fileName, None,
                          f"[{vi.DATASTORE}] copy.vmdk", None)
        for vm in (first, second):
            self.client.run(vm.PowerOffVM_Task())
        (device,) = vi.find(second, vim.vm.device.VirtualDisk)
        self.client.reconfigure(second, vi.change(device, "remove"))
        self.client.run(first.Destroy_Task())
        self.assertFalse((self.datastore / "share1").exists())


class CommandLine(FolderTest):
    """`tenkyu disk`: what each command leaves in the datastore."""

    def tenkyu(self, *words: str) -> str:
        env = {key: value for key, value in os.environ.items() if not key.startswith("TENKYU_")}
        env["XDG_CONFIG_HOME"] = str(self.host.folder / "config")
        done = subprocess.run([BINARY, *words], env=env, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, start_new_session=True)
        self.assertEqual(0, done.returncode, f"{words}: {done.stderr}")
        return done.stdout

    def setUp(self) -> None:
        super().setUp()
        self.tenkyu("login", "--insecure", "--user", self.host.user, "--password-file",
                    str(self.host.password_file), self.host.url)

    def test_life_of_a_disk(self) -> None:
        a, b = self.path("a.vmdk"), self.path("b.vmdk")
        self.tenkyu("disk", "create", a, "16M")
        self.write(self.folder / "a.qcow2")
        shown = json.loads(self.tenkyu("disk", "show", a, "--json"))
        self.assertEqual((a, 16 * MIB, True), (shown["path"], shown["capacity_bytes"], shown["thin"]))
        self.assertRegex(self.tenkyu("disk", "show", a), r"16 MiB .* thin +\[")
        self.tenkyu("disk", "copy", a, b, "--type", "flat")
        self.assertEqual(self.EXPECTED, (self.folder / "b-flat.vmdk").read_bytes())
        self.tenkyu("disk", "grow", a, "24M")
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0 4M 4M", self.folder / "a.qcow2"], check=True,
                       stdout=subprocess.DEVNULL)
        before = self.taken(self.folder / "a.qcow2")
        self.tenkyu("disk", "shrink", a)
        self.assertLess(self.taken(self.folder / "a.qcow2"), before)
        self.tenkyu("disk", "inflate", a)
        self.assertGreaterEqual(self.written(self.folder / "a.qcow2"), 24 * MIB)
        self.assertEqual(self.EXPECTED + b"\0" * 8 * MIB, self.content(self.folder / "a.qcow2"))
        for disk in (a, b):
            self.tenkyu("disk", "rm", disk, "--yes")
        self.assertEqual([], os.listdir(self.folder))


if __name__ == "__main__":
    unittest.main()
