# SPDX-License-Identifier: Apache-2.0
"""./up from nothing to a login on the demo VM's serial console, Ctrl-C, and once more on what it has kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

import guest

ROOT = Path(__file__).resolve().parents[2]


class Up(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory(prefix="tenkyu-up-")
        self.addCleanup(temporary.cleanup)
        self.home = Path(temporary.name)
        # A home of its own, so that the person's sessions and demo stay as they are.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        self.environment |= {
            "HOME": str(self.home),
            "TENKYU_BUILD": str(ROOT / "build-release"),
            "TENKYU_GUEST_CACHE": str(guest.folder().parent),
        }
        # Sanitizers are for the developer's build; this one is as people get it.
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TENKYU_BINARY"):
            self.environment.pop(name, None)

    def start(self, *options: str) -> tuple[subprocess.Popen[bytes], guest.Stream]:
        """Runs ./up as at a terminal: a process group of its own, which Ctrl-C reaches as a whole."""
        near, far = socket.socketpair()
        process = subprocess.Popen([ROOT / "up", *options], env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=far, stderr=far, start_new_session=True)
        far.close()
        output = guest.Stream(near)
        self.addCleanup(output.close)
        self.addCleanup(self.stop, process)
        return process, output

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        return process.wait(60)

    def tenkyu(self, *arguments: str) -> str:
        return subprocess.run([ROOT / "run", "tenkyu", *arguments], env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout

    def qemu_processes(self) -> int:
        """How many VMs run from this state: QEMU gets its files as descriptors, its log as the output."""
        count = 0
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(path / "exe").rpartition("/")[2].startswith("qemu-system"):
                    count += os.readlink(path / "fd/1").startswith(str(self.home))
            except OSError:
                continue  # it has ended, or is somebody else's
        return count

    def expect_login(self) -> None:
        near, far = socket.socketpair()
        console = subprocess.Popen([ROOT / "run", "tenkyu", "vm", "console", "demo"], env=self.environment,
                                   stdin=far, stdout=far)
        far.close()
        stream = guest.Stream(near)
        try:
            stream.send("\n")  # it may have shown its prompt already
            stream.expect("guest login: ", 120)
            stream.send("root\n")
            stream.expect("# ")
            stream.send("uname -r\n")
            stream.expect("-cloud-amd64")
        finally:
            stream.close()
            console.terminate()
            console.wait(30)

    def test_up(self) -> None:
        process, output = self.start("--listen", "127.0.0.1:0")
        said = output.expect("Ctrl-C powers the demo off", 500)  # the build takes most of the time
        self.assertRegex(said, r"creating the demo VM[\s\S]*user +root\s+password +\S+")
        self.assertIn("demo", self.tenkyu("vm", "list"))
        self.assertEqual(1, self.qemu_processes())
        self.expect_login()

        self.assertEqual(0, self.stop(process))
        output.expect("All is kept in ")
        self.assertEqual(0, self.qemu_processes())

        process, output = self.start("--listen", "127.0.0.1:0")
        said = output.expect("Ctrl-C powers the demo off", 120)
        self.assertNotIn("creating the demo", said)
        self.expect_login()
        self.assertEqual(0, self.stop(process))

    def test_a_port_in_use_is_said(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            process, output = self.start("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
            output.expect("the host did not start", 500)
            self.assertEqual(1, process.wait(30))

    def test_wrong_usage(self) -> None:
        for options in (["--nonsense"], ["--state"], ["host"]):
            process, output = self.start(*options)
            output.expect("usage: ./up")
            self.assertEqual(2, process.wait(30))


if __name__ == "__main__":
    unittest.main()
