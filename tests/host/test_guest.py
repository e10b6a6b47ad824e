# SPDX-License-Identifier: Apache-2.0
"""The guest of the other tests (tests/guest/build-guest) does what it says, under bare QEMU: when this passes
and a test of the host does not, the host is to blame."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

import guest

_QEMU = ("qemu-system-x86_64", "-nodefaults", "-machine", "pc-i440fx-7.2", "-accel", "tcg,thread=multi",
         "-m", "256", "-display", "none", "-vga", "std")


class Machine:
    """A QEMU with two serial ports and a monitor, all as sockets."""

    def __init__(self, *options: str) -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        command = list(_QEMU)
        for (_, far), name in zip(pairs, ("console", "control", "monitor"), strict=True):
            command += ["-chardev", f"socket,id={name},fd={far.fileno()}"]
        command += ["-serial", "chardev:console", "-serial", "chardev:control", "-qmp", "chardev:monitor"]
        self.process = subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL,
                                        pass_fds=[far.fileno() for _, far in pairs])
        for _, far in pairs:
            far.close()
        self.console = guest.Stream(pairs[0][0])
        self.shell = guest.Shell(pairs[1][0])
        self.monitor = guest.Stream(pairs[2][0])
        self.execute("qmp_capabilities")

    def execute(self, name: str, **arguments: object) -> None:
        self.monitor.send(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.monitor.expect('"return"')

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.console, self.shell, self.monitor):
            stream.close()


class Guest(unittest.TestCase):
    def start(self, *options: str) -> Machine:
        machine = Machine(*options)
        self.addCleanup(machine.close)
        return machine

    def test_boots_from_cd_and_powers_off_by_its_button(self) -> None:
        iso = guest.folder() / "demo.iso"
        machine = self.start("-drive", f"if=ide,media=cdrom,readonly=on,format=raw,file={iso}",
                             "-netdev", "user,id=n,restrict=on", "-device", "vmxnet3,netdev=n")
        machine.console.expect("login: ")
        machine.console.send("root\n")
        machine.console.expect("# ")
        machine.console.send("echo on $(tty)\n")
        machine.console.expect("on /dev/ttyS0")
        machine.shell.wait_ready()
        self.assertEqual("Linux", machine.shell.run("uname"))
        self.assertEqual("two\nlines", machine.shell.run("echo two; echo lines"))
        with self.assertRaisesRegex(guest.GuestError, "gave 3: words"):
            machine.shell.run("printf words; (exit 3)")
        self.assertIn("login:", machine.shell.run("cat /dev/vcs1"))  # what the screen shows
        self.assertEqual("TENKYU_GUEST", machine.shell.run("mount -t iso9660 /dev/sr0 /mnt; "
                                                           "dd if=/dev/sr0 bs=1 skip=32808 count=12 2>/dev/null"))
        machine.shell.run("until ip addr show eth0 | grep -q 10.0.2.15; do sleep 0.1; done")
        machine.execute("system_powerdown")
        self.assertEqual(0, machine.process.wait(60))

    def test_boots_from_disk_and_takes_new_hardware(self) -> None:
        iso = guest.folder() / "demo.iso"
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        disk = Path(temporary.name) / "disk"
        with open(disk, "wb") as file:
            file.truncate(8 << 20)
        machine = self.start("-device", "pvscsi,id=s", "-drive", f"if=none,id=d,format=raw,readonly=on,file={iso}",
                             "-device", "scsi-hd,drive=d,bootindex=0",
                             "-drive", f"if=none,id=e,format=raw,file={disk}")
        machine.shell.wait_ready()
        machine.execute("device_add", driver="scsi-hd", bus="s.0", drive="e", id="new", **{"scsi-id": 3})
        machine.shell.run("until [ -b /dev/sdb ]; do sleep 0.1; done; echo written >/dev/sdb; sync")
        self.assertTrue(disk.read_bytes().startswith(b"written\n"))


if __name__ == "__main__":
    unittest.main()
