# SPDX-License-Identifier: Apache-2.0
"""The whole life of a virtual machine with a real guest, driven by pyVmomi. What a test looks at is in the guest
(through a shell on a serial port that a ticket opens), in the datastore's files, or on the screen; never an
answer of the API alone."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import tempfile
import unittest
import zlib
from pathlib import Path
from typing import Any

from pyVmomi import vim

import guest
import vim_client as vi
from tenkyu_host import TenkyuHost

MIB = 1 << 20
# The test's own words on the kernel's command line show that it is the one that was asked for.
KERNEL_OPTIONS = "console=ttyS0,115200 console=tty0 panic=5 tenkyu.test=life"


class Life(unittest.TestCase):
    host: TenkyuHost
    client: vi.Client
    datastore: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="qemu", tls=True)
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.datastore = Path(cls.client.datacenter.datastore[0].info.path)
        for name in ("vmlinuz", "initrd.gz", "demo.iso"):
            cls.upload(guest.folder() / name, name)

    @classmethod
    def tearDownClass(cls) -> None:
        """The host ends in good order, which is when a sanitizer tells of leaks."""
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    @classmethod
    def upload(cls, source: Path, name: str) -> None:
        connection = cls.client.connection()
        with open(source, "rb") as file:
            connection.request("PUT", f"/folder/{name}?dcPath=ha-datacenter&dsName={vi.DATASTORE}", file,
                               {"Cookie": cls.client.si._stub.cookie})
            answer = connection.getresponse()
        assert answer.status == 201, f"PUT {name}: {answer.status} {answer.read()!r}"
        connection.close()

    # ---- a machine and its guest ---------------------------------------------------------------------

    def create(self, name: str, *changes: Any, kernel: bool = True) -> Any:
        """A machine with a disk of 64 MiB, a network adapter, a serial port into a file and one for the shell."""
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": KERNEL_OPTIONS} if kernel else {}
        extra = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
        vm = self.client.create(name, vi.controller(), vi.disk(64), vi.nic(),
                                vi.serial_file(f"[{vi.DATASTORE}] {name}/serial.txt"), vi.serial_console(),
                                *changes, extraConfig=extra)
        self.addCleanup(self.destroy, name)
        return vm

    def destroy(self, name: str) -> None:
        """The machine by its name: it may have been registered anew, or be gone."""
        for vm in self.client.folder.childEntity:
            if vm.name == name:
                if vm.runtime.powerState == "poweredOn":
                    self.client.run(vm.PowerOffVM_Task())
                self.client.run(vm.Destroy_Task())

    def power_on(self, vm: Any) -> guest.Shell:
        """Powers on, or resumes; returns when the guest's shell answers."""
        self.client.run(vm.PowerOnVM_Task())
        self.assertEqual("poweredOn", vm.runtime.powerState)
        return self.shell(vm)

    def shell(self, vm: Any) -> guest.Shell:
        shell = guest.Shell(self.client.websocket(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        return shell

    def power_off(self, vm: Any, shell: guest.Shell) -> None:
        self.client.run(vm.PowerOffVM_Task())
        shell.close()
        self.assertEqual("poweredOff", vm.runtime.powerState)
        self.assertEqual([], self.host.qemu_processes(vm._moId))

    def serial(self, name: str) -> str:
        return (self.datastore / name / "serial.txt").read_text(errors="replace")

    @staticmethod
    def write_pattern(shell: guest.Shell) -> str:
        """Fills the first MiB of the disk; its checksum."""
        shell.run("head -c 1048576 /dev/urandom >/tmp/pattern && "
                  "dd if=/tmp/pattern of=/dev/sda bs=65536 conv=fsync 2>/dev/null")
        return shell.run("md5sum </tmp/pattern")

    @staticmethod
    def read_pattern(shell: guest.Shell) -> str:
        """The checksum of what the disk itself gives, not the guest's memory."""
        return shell.run("echo 3 >/proc/sys/vm/drop_caches; head -c 1048576 /dev/sda | md5sum")

    # ---- tests ---------------------------------------------------------------------------------------

    def test_boots_from_cd_and_changes_its_medium(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "word").write_text("second medium\n")
            subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "SECOND", "-o", f"{folder}/b.iso",
                            f"{folder}/word"], check=True, stderr=subprocess.DEVNULL)
            self.upload(Path(folder) / "b.iso", "second.iso")
        vm = self.create("cd", vi.cdrom(f"[{vi.DATASTORE}] demo.iso"), kernel=False)
        shell = self.power_on(vm)
        label = "dd if=/dev/sr0 bs=1 skip=32808 count=32 2>/dev/null | tr -d ' '"
        self.assertEqual("TENKYU_GUEST", shell.run(label))
        self.assertIn("Log in as root", self.serial("cd"))  # its login, on the port into a file

        (drive,) = vi.find(vm, vim.vm.device.VirtualCdrom)
        drive.backing.fileName = f"[{vi.DATASTORE}] second.iso"
        self.client.reconfigure(vm, vi.change(drive, "edit"))
        # The guest takes a moment to see that the tray has been open.
        shell.wait_for(label, "SECOND")
        self.assertEqual("second medium", shell.run("mount -t iso9660 -o ro /dev/sr0 /mnt && cat /mnt/word && umount /mnt"))
        (drive,) = vi.find(vm, vim.vm.device.VirtualCdrom)
        drive.connectable.connected = False
        self.client.reconfigure(vm, vi.change(drive, "edit"))
        self.assertEqual("none", shell.run("head -c 2048 /dev/sr0 >/dev/null 2>&1 && echo there || echo none"))
        self.power_off(vm, shell)
        self.assertIn("second.iso", (self.datastore / "cd/cd.vmx").read_text())

    def test_what_is_kept(self) -> None:
        """Memory through suspend and resume; the disk through that, power off and on, and registering anew;
        processors and memory as reconfigured."""
        vm = self.create("kept")
        shell = self.power_on(vm)
        self.assertIn("tenkyu.test=life", shell.run("cat /proc/cmdline"))
        self.assertIn("Linux version", self.serial("kept"))
        self.assertEqual("1", shell.run("grep -c ^processor /proc/cpuinfo"))
        pattern = self.write_pattern(shell)
        self.assertEqual(pattern, self.read_pattern(shell))
        boot_id = shell.run("cat /proc/sys/kernel/random/boot_id")
        shell.run("(n=0; while :; do n=$((n + 1)); echo $n >/tmp/n.new; mv /tmp/n.new /tmp/n; sleep 0.1; done) "
                  ">/dev/null 2>&1 & until [ -s /tmp/n ]; do sleep 0.1; done")
        counted = int(shell.run("cat /tmp/n"))

        self.client.run(vm.SuspendVM_Task())
        shell.close()
        self.assertEqual("suspended", vm.runtime.powerState)
        self.assertEqual([], self.host.qemu_processes(vm._moId))
        self.assertGreater((self.datastore / "kept/kept.vmss").stat().st_size, 16 * MIB)
        shell = self.power_on(vm)
        self.assertEqual(boot_id, shell.run("cat /proc/sys/kernel/random/boot_id"))
        now = int(shell.run("cat /tmp/n"))
        self.assertGreaterEqual(now, counted)
        self.assertLess(now, counted + 600)  # it did not run meanwhile
        shell.run(f"until [ $(cat /tmp/n) -gt {now + 3} ]; do sleep 0.1; done")
        self.assertEqual(pattern, self.read_pattern(shell))
        self.assertFalse((self.datastore / "kept/kept.vmss").exists())

        self.power_off(vm, shell)
        self.client.reconfigure(vm, numCPUs=2, memoryMB=256)
        shell = self.power_on(vm)
        self.assertNotEqual(boot_id, shell.run("cat /proc/sys/kernel/random/boot_id"))
        self.assertEqual("2", shell.run("grep -c ^processor /proc/cpuinfo"))
        self.assertIn(int(shell.run("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")),
                      range(190 << 10, 256 << 10))
        self.assertEqual(pattern, self.read_pattern(shell))
        self.power_off(vm, shell)

        files = self.files("kept")
        vm.UnregisterVM()
        self.assertNotIn("kept", [m.name for m in self.client.folder.childEntity])
        self.assertEqual(files, self.files("kept"))
        vm = self.client.run(self.client.folder.RegisterVM_Task(f"[{vi.DATASTORE}] kept/kept.vmx", None, False,
                                                                self.client.pool, None))
        self.assertEqual(files, self.files("kept"))
        self.assertEqual((2, 256), (vm.config.hardware.numCPU, vm.config.hardware.memoryMB))
        shell = self.power_on(vm)
        self.assertEqual("2", shell.run("grep -c ^processor /proc/cpuinfo"))
        self.assertEqual(pattern, self.read_pattern(shell))
        self.power_off(vm, shell)

    def files(self, name: str) -> dict[str, str]:
        return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in (self.datastore / name).iterdir()}

    def test_reset(self) -> None:
        vm = self.create("reset")
        shell = self.power_on(vm)
        (pid,) = self.host.qemu_processes(vm._moId)
        self.assertEqual(1, self.serial("reset").count("Linux version"))
        shell.run("echo kept >/tmp/file")
        self.client.run(vm.ResetVM_Task())
        shell.wait_ready()
        self.assertEqual(2, self.serial("reset").count("Linux version"))
        self.assertEqual("gone", shell.run("[ -e /tmp/file ] || echo gone"))
        self.assertEqual([pid], self.host.qemu_processes(vm._moId))

    def test_new_hardware_while_it_runs(self) -> None:
        vm = self.create("plug")
        shell = self.power_on(vm)
        (controller,) = vi.find(vm, vim.vm.device.ParaVirtualSCSIController)
        self.assertEqual("eth0 lo", " ".join(shell.run("ls /sys/class/net").split()))
        shell.run("[ ! -e /dev/sdb ]")
        self.client.reconfigure(vm, vi.disk(32, controller.key), vi.nic())
        shell.run("until [ -b /dev/sdb ] && [ -e /sys/class/net/eth1 ]; do sleep 0.1; done")
        self.assertEqual(str(32 * MIB // 512), shell.run("cat /sys/block/sdb/size"))
        cards = vi.find(vm, vim.vm.device.VirtualEthernetCard)
        self.assertEqual([card.macAddress for card in cards],
                         shell.run("cat /sys/class/net/eth0/address /sys/class/net/eth1/address").split())
        shell.run("ip link set eth1 up; udhcpc -n -q -i eth1 -s /etc/dhcp >/dev/null 2>&1; ip addr show eth1 | grep -q 'inet '")
        shell.run("echo written by the guest >/dev/sdb; sync")

        first, second = vi.find(vm, vim.vm.device.VirtualDisk)
        data = self.datastore / "plug" / Path(second.backing.fileName).with_suffix(".qcow2").name
        self.assertIn(b"written by the guest", data.read_bytes())
        second.capacityInKB = 48 << 10
        self.client.reconfigure(vm, vi.change(second, "edit"))
        shell.run("echo 1 >/sys/block/sdb/device/rescan; until [ $(cat /sys/block/sdb/size) = 98304 ]; do sleep 0.1; done")
        self.client.reconfigure(vm, vi.change(second, "remove", "destroy"), vi.change(cards[1], "remove"))
        shell.run("until [ ! -e /dev/sdb ] && [ ! -e /sys/class/net/eth1 ]; do sleep 0.1; done")
        self.assertFalse(data.exists() or data.with_suffix(".vmdk").exists())
        self.assertTrue((self.datastore / "plug" / Path(first.backing.fileName).name).exists())

    def test_screen_statistics_and_the_guests_own_end(self) -> None:
        vm = self.create("screen")
        shell = self.power_on(vm)
        shell.run("until grep -q login: /dev/vcs1; do sleep 0.1; done")
        size = self.check_screenshot(vm)
        self.check_console(vm, size)
        quick = self.client.wait_until(vm, "summary.quickStats", lambda s: s.overallCpuUsage and s.hostMemoryUsage)
        self.assertGreater(quick.hostMemoryUsage, 20)  # MiB
        self.assertGreater(quick.uptimeSeconds, 0)
        shell.send("poweroff\n")
        self.client.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOff")
        event = self.client.wait_event(vm, vim.event.VmPoweredOffEvent)
        self.assertIn("the guest powered itself off", event.fullFormattedMessage)
        self.assertEqual([], self.host.qemu_processes(vm._moId))
        self.assertIn("reboot: Power down", self.serial("screen"))

        self.assertTrue((self.datastore / "screen").is_dir())
        self.client.run(vm.Destroy_Task())
        self.assertFalse((self.datastore / "screen").exists())

    def check_screenshot(self, vm: Any) -> tuple[int, int]:
        """A PNG with something on it; its width and height."""
        path = self.client.run(vm.CreateScreenshot_Task())
        self.assertTrue(path.startswith(f"[{vi.DATASTORE}] screen/"), path)
        width, height, pixels = read_png((self.datastore / path.partition("] ")[2]).read_bytes())
        self.assertGreater(width * height, 300 * 200)
        self.assertGreater(len(pixels), 1, "all pixels are the same")
        return width, height

    def check_console(self, vm: Any, size: tuple[int, int]) -> None:
        """RFB (RFC 6143) over the WebSocket: to the first picture."""
        ticket = vm.AcquireTicket("webmks").ticket
        console = self.client.websocket(vm, "webmks")
        self.addCleanup(console.close)
        self.assertEqual(b"RFB 003.008\n", console.read(12))
        console.sendall(b"RFB 003.008\n")
        types = console.read(console.read(1)[0])
        self.assertIn(1, types)  # None: the ticket was the authentication
        console.sendall(b"\x01")
        self.assertEqual(b"\0\0\0\0", console.read(4))
        console.sendall(b"\x01")  # shared
        width, height = struct.unpack(">HH", console.read(4))
        self.assertEqual(size, (width, height))
        pixel_bytes = console.read(16)[0] // 8
        console.read(struct.unpack(">I", console.read(4))[0])  # its name
        console.sendall(struct.pack(">BxHi", 2, 1, 0))  # raw pixels
        console.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        kind, rectangles = struct.unpack(">BxH", console.read(4))
        self.assertEqual(0, kind)
        colors = set()
        for _ in range(rectangles):
            _, _, w, h, encoding = struct.unpack(">HHHHi", console.read(12))
            self.assertEqual(0, encoding)
            data = console.read(w * h * pixel_bytes)
            colors |= {data[i:i + pixel_bytes] for i in range(0, len(data), pixel_bytes)}
        self.assertGreater(len(colors), 1)

        # A ticket opens one connection, and only one that was given out.
        for path, status in ((f"/ticket/{ticket}", 400), (f"/ticket/{ticket}", 403), ("/ticket/00", 403)):
            connection = self.client.connection()
            connection.request("GET", path)
            self.assertEqual(status, connection.getresponse().status, path)
            connection.close()


def read_png(data: bytes) -> tuple[int, int, set[bytes]]:
    """Width, height and the colours of a PNG of 8-bit RGB."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n"), data[:8]
    chunks = []
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + content)
        chunks.append((kind, content))
        at += 12 + length
    assert chunks[0][0] == b"IHDR" and chunks[-1][0] == b"IEND"
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, color, interlaced) == (8, 2, 0), chunks[0][1]
    raw = zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT"))
    stride = 3 * width
    assert len(raw) == (stride + 1) * height
    above, colors = bytes(stride), set()
    for row in range(height):
        start = row * (stride + 1)
        line = unfilter(raw[start], bytearray(raw[start + 1:start + 1 + stride]), above)
        colors |= {bytes(line[i:i + 3]) for i in range(0, stride, 3)}
        above = bytes(line)
    return width, height, colors


def unfilter(kind: int, line: bytearray, above: bytes) -> bytearray:
    """Undoes one of PNG's filters on a line of 3 bytes per pixel."""
    for i in range(len(line)) if kind else ():
        left, up, corner = (line[i - 3], above[i], above[i - 3]) if i >= 3 else (0, above[i], 0)
        if kind == 4:
            guess = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
        else:
            guess = (0, left, up, (left + up) // 2)[kind]
        line[i] = (line[i] + guess) & 0xFF
    return line


if __name__ == "__main__":
    unittest.main()
