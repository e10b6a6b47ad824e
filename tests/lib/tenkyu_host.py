# SPDX-License-Identifier: Apache-2.0
"""A Tenkyu host for tests: started in a temporary state folder, listening on a free loopback port.

    with TenkyuHost(hypervisor="sim") as host:
        connect(host.url, host.user, host.password)

The host's virtual machines end with it: close() (and leaving the `with`) also ends QEMU processes that
outlived the host agent, which stop() and kill9() leave alone, as a real host does. The binary is
$TENKYU_BINARY, else build/tenkyu of this checkout. Its output is kept in <folder>/host.log.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("TENKYU_BINARY", ROOT / "build" / "tenkyu"))


class HostError(Exception):
    """The host did not do what the helper asked of it; the message ends with the end of its log."""


class TenkyuHost:
    """One host. url, user, password and state are set when the constructor returns: it then answers."""

    url: str
    user: str
    password: str
    state: Path  # the state folder
    password_file: Path
    log: Path  # stdout and stderr of the host, all starts in one file

    def __init__(
        self,
        hypervisor: str = "sim",
        *,
        tls: bool = False,
        user: str = "root",
        password: str | None = None,
        state: Path | None = None,
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        start: bool = True,
        start_timeout_s: float = 60,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tenkyu-test-"))
        self.state = state if state is not None else self.folder / "state"
        self.user = user
        self.password = password if password is not None else secrets.token_urlsafe(12)
        self.password_file = self.folder / "password"
        self.password_file.write_text(self.password + "\n")
        self.password_file.chmod(0o600)
        self.log = self.folder / "host.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._hypervisor = hypervisor
        self._tls = tls
        self._args = args
        self._env = env
        self._port = 0  # chosen by the kernel at the first start, kept by restart()
        self._start_timeout_s = start_timeout_s
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> TenkyuHost:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self.process is not None, "the host is not running"
        return self.process.pid

    @property
    def address(self) -> tuple[str, int]:
        """IP address and port that the host listens on."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None and parts.port is not None
        return parts.hostname, parts.port

    def start(self, port: int | None = None) -> None:
        """Starts the host and waits until it answers requests; on another port than before if told so."""
        assert self.process is None, "the host runs already"
        self._port = port if port is not None else self._port
        fifo = self.folder / f"ready-{secrets.token_hex(4)}"
        os.mkfifo(fifo, 0o600)
        # Opened for writing too: the read end then never sees an end of file before the host has opened it.
        ready = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
        try:
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    self._command(fifo),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._env,
                )
            self.url = self._wait_ready(ready)
        finally:
            os.close(ready)
            fifo.unlink()
        self._port = self.address[1]

    def stop(self, timeout_s: float = 30) -> int:
        """Asks the host to end (SIGTERM) and returns its exit code. Virtual machines go on running."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill9(self) -> None:
        """Ends the host agent as a crash does."""
        self._end(signal.SIGKILL, 30)

    def restart(self) -> None:
        """Starts the host again on the same state and port, after an orderly stop if it still runs."""
        if self.process is not None:
            self.stop()
        self.start()

    def close(self) -> None:
        """Ends everything that this host started and removes its folder. Safe to call twice."""
        if self.process is not None:
            self.kill9()
        self._end_virtual_machines()
        self._unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unmount(self) -> None:
        """What datastores have mounted in the state folder outlives the host, and is not its to delete."""
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            point = line.split()[4]
            if point.startswith(f"{self.state}/") or point.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", point], check=True)

    def log_text(self) -> str:
        """All that the host has written to stdout and stderr."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _command(self, fifo: Path) -> list[str]:
        command = [str(BINARY), "host", "--state", str(self.state)]
        command += ["--listen", f"127.0.0.1:{self._port}", "--hypervisor", self._hypervisor]
        command += ["--user", self.user, "--password-file", str(self.password_file)]
        command += ["--ready-file", str(fifo)]
        if not self._tls:
            command.append("--plain-http")
        return command + list(self._args)

    def _wait_ready(self, ready: int) -> str:
        assert self.process is not None
        pidfd = os.pidfd_open(self.process.pid)
        deadline = time.monotonic() + self._start_timeout_s
        line = b""
        try:
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                readable, _, _ = select.select([ready, pidfd], [], [], max(0.0, left))
                if ready in readable:
                    line += os.read(ready, 4096)
                elif pidfd in readable:
                    code = self.process.wait()
                    self.process = None
                    raise HostError(f"the host ended with {code} before it was ready\n{self._log_end()}")
                else:
                    raise HostError(f"not ready in {self._start_timeout_s} s\n{self._log_end()}")
        finally:
            os.close(pidfd)
        return line.decode().strip().rstrip("/")

    def _end(self, how: signal.Signals, timeout_s: float) -> int:
        assert self.process is not None, "the host is not running"
        self.process.send_signal(how)
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise HostError(f"the host did not end in {timeout_s} s\n{self._log_end()}") from None
        self.process = None
        return code

    def _end_virtual_machines(self) -> None:
        for pid in self.qemu_processes():
            try:
                pidfd = os.pidfd_open(pid)
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                select.select([pidfd], [], [], 10)
                os.close(pidfd)
            except OSError:
                continue  # it has ended meanwhile

    def qemu_processes(self, vm_id: str = "") -> list[int]:
        """QEMU processes of this host, or of one virtual machine: each works in its machine's run folder."""
        run = str(self.state.resolve() / "run" / vm_id)
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and f"{os.readlink(entry / 'cwd')}/".startswith(f"{run}/") and \
                        b"qemu-system" in (entry / "cmdline").read_bytes().split(b"\0")[0]:
                    found.append(int(entry.name))
            except OSError:
                continue  # it has ended meanwhile
        return found

    def _log_end(self) -> str:
        return "--- end of the host's log\n" + self.log_text()[-4000:]
