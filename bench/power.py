# SPDX-License-Identifier: Apache-2.0
"""Power operations with real QEMU: through the API of a host, through libvirt, and of a bare QEMU. All three have
the same hardware: one processor, 256 MiB, a PVSCSI disk, a vmxnet3 adapter with user-mode networking, VGA,
balloon, random numbers and the guest agent's channel. bench/run calls measure().

libvirt's daemon is the user's own (qemu:///session), private to the run, and spares itself the cgroups and
security labels of a system daemon. Its client is one virsh that stays connected: what is timed is the
operation alone. The bare QEMU gets the very command line that the host made, and no other user to run as.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from figures import Comparison, ratio_at_most
from setting import PASSWORD, USER, BenchError, Setting, end, need, read_until, run
from tenkyu_host import TenkyuHost

NAME = "bench"
START_S = 60
PROMPT = "virsh # "
UNPRIVILEGED = "nobody"  # whose libvirt it is when the run is root's, for whom there is no session daemon
EMULATOR = Path("/usr/bin/qemu-system-x86_64")

DOMAIN = f"""
<domain type='@KIND@'>
  <name>{NAME}</name> <memory unit='MiB'>256</memory> <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
  <features><acpi/><apic/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>{EMULATOR}</emulator>
    <controller type='scsi' index='0' model='vmpvscsi'/>
    <controller type='usb' model='none'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/> <source file='@DISK@'/> <target dev='sda' bus='scsi'/>
    </disk>
    <interface type='user'><model type='vmxnet3'/></interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <video><model type='vga'/></video>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='builtin'/></rng>
  </devices>
</domain>
"""


# ---- through the API ------------------------------------------------------------------------------------

class Ours:
    """A host with one machine, which is off between the rounds."""

    def __init__(self, setting: Setting, host: TenkyuHost) -> None:
        self.setting = setting
        self.host = host
        environment = {**os.environ, "HOME": str(setting.folder), "XDG_CONFIG_HOME": str(setting.folder)}

        def tenkyu(*arguments: str) -> None:
            run(setting.program, *arguments, env=environment)
        tenkyu("login", host.url, "--user", USER, "--password-file", str(host.password_file))
        tenkyu("vm", "create", NAME, "--memory", "256M", "--disk", "1G", "--nic", "VM Network", "--start")
        pid, = host.qemu_processes()
        self.command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        files = {path.resolve() for path in Path(f"/proc/{pid}/fd").iterdir()}
        self.disk, = (path for path in files if path.suffix == ".qcow2")
        tenkyu("vm", "stop", NAME)

    def round(self) -> tuple[float, float]:
        """Milliseconds of a power on and of a power off: from the call to the update that tells of it."""
        on, off = self.setting.measure(self.host.address[1], "power", "1", NAME)
        assert on["on"] == 1 and off["on"] == 0, "the machine was not off"
        return on["first_ms"], off["first_ms"]


# ---- through libvirt --------------------------------------------------------------------------------------

class Libvirt:
    """A private daemon, a connected virsh, and a machine that is off between the rounds."""

    def __init__(self, folder: Path, stack: ExitStack, kvm: bool) -> None:
        self.account: dict[str, Any] = {}
        folder.mkdir()
        socket_folder = folder / "run"
        # libvirt puts sockets deep below the configuration, and the path of a socket is 107 bytes long at most.
        folders = {"HOME": folder / "home", "XDG_RUNTIME_DIR": socket_folder, "XDG_CONFIG_HOME": folder / "c",
                   "XDG_CACHE_HOME": folder / "cache"}
        for path in folders.values():
            path.mkdir()
        disk, domain, settings = folder / "disk.qcow2", folder / "domain.xml", folder / "libvirtd.conf"
        run("qemu-img", "create", "-q", "-f", "qcow2", disk, "1G")
        domain.write_text(DOMAIN.replace("@DISK@", str(disk)).replace("@KIND@", "kvm" if kvm else "qemu"))
        settings.write_text(f'unix_sock_dir = "{socket_folder}"\nauth_unix_rw = "none"\n'
                            f'log_outputs = "3:file:{folder}/log"\n')
        if os.geteuid() == 0:
            self.account = {"user": UNPRIVILEGED, "group": "nogroup", "extra_groups": []}
            folder.parent.chmod(0o711)
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, UNPRIVILEGED, "nogroup")
        self.environment = {"PATH": os.environ["PATH"]} | {k: str(v) for k, v in folders.items()}
        daemon = self.start("libvirtd", "-f", str(settings), "-p", str(folder / "pid"))
        stack.callback(end, daemon)
        uri = f"qemu:///session?socket={socket_folder}/libvirt-sock"
        wait_for_socket(socket_folder / "libvirt-sock", daemon)
        self.shell = self.start("virsh", "-q", "-c", uri)
        stack.callback(end, self.shell)
        read_until(self.shell, PROMPT, START_S)
        self.ask(f"define {domain}")
        stack.callback(self.forget)

    def start(self, *command: str) -> subprocess.Popen[str]:
        need(command[0])
        return subprocess.Popen(command, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, env=self.environment, **self.account)

    def ask(self, command: str) -> float:
        """Milliseconds until virsh asks for the next command."""
        assert self.shell.stdin is not None
        begin = time.monotonic()
        self.shell.stdin.write(command + "\n")
        told = read_until(self.shell, PROMPT, START_S)
        if "error:" in told:
            raise BenchError(f"virsh: {told}")
        return (time.monotonic() - begin) * 1000

    def round(self) -> tuple[float, float]:
        on = self.ask(f"start {NAME}")
        time.sleep(0.02)  # as long as the client lets ours run
        return on, self.ask(f"destroy {NAME}")

    def forget(self) -> None:
        """Ends a machine that a failed round has left behind; the daemon does not."""
        try:
            self.ask(f"destroy {NAME}")
        except BenchError:
            pass  # it is off, as it should be


def wait_for_socket(path: Path, daemon: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
            return
        except OSError:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise BenchError("libvirtd did not start") from None
            time.sleep(0.05)


# ---- bare -----------------------------------------------------------------------------------------------

class Monitor:
    """The least of a QMP client."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")
        self.lines.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str) -> None:
        self.socket.sendall(json.dumps({"execute": command}).encode())
        while True:
            answer = json.loads(self.lines.readline() or '{"error": "QEMU has ended"}')
            if "error" in answer:
                raise BenchError(f"{command}: {answer['error']}")
            if "return" in answer:
                return

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@contextmanager
def passed_files(ours: Ours, folder: Path) -> Iterator[tuple[list[str], list[int]]]:
    """The host's command line with sockets and the disk of our own in place of those that the host passed."""
    passed: list[int] = []
    command: list[str] = []
    for option in ours.command:
        found = re.search(r"(?:^|,)fd=([0-9]+)", option)
        if found is not None:
            if option.startswith("socket,"):
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(folder / f"bare-{found[1]}"))
                listener.listen(1)
                passed.append(listener.detach())
            else:
                passed.append(os.open(ours.disk, os.O_RDWR))
            option = option[:found.start(1)] + str(passed[-1]) + option[found.end(1):]
        command.append(option)
    try:
        yield command, passed
    finally:
        for fd in passed:
            os.close(fd)
        for path in folder.glob("bare-*"):
            path.unlink()


def bare_round(ours: Ours, folder: Path) -> float:
    """Milliseconds from fork to a running guest."""
    number = next(m[1] for o in ours.command if (m := re.match(r"socket,id=monitor,fd=([0-9]+)", o)))
    with passed_files(ours, folder) as (command, passed):
        begin = time.monotonic()
        process = subprocess.Popen(command, pass_fds=passed, text=True, stdin=subprocess.DEVNULL, cwd=folder)
        try:
            monitor = Monitor(folder / f"bare-{number}")
            monitor.execute("cont")
            took = (time.monotonic() - begin) * 1000
            monitor.close()
        finally:
            process.kill()
            process.wait()
    return took


# ---- rounds ---------------------------------------------------------------------------------------------

def measure(setting: Setting, rounds: int, with_peer: bool) -> list[Comparison]:
    need(EMULATOR, "qemu-img", *(("libvirtd", "virsh") if with_peer else ()))
    bare = Comparison("PowerOnVM_Task, until the machine runs", "ms", "bare QEMU", "ours/peer", ratio_at_most(1.3))
    on = Comparison("PowerOnVM_Task beside virsh start", "ms", "libvirt", "ours/peer", ratio_at_most(0.2))
    off = Comparison("PowerOffVM_Task beside virsh destroy", "ms", "libvirt", "ours/peer", ratio_at_most(0.1))
    with ExitStack() as stack:
        host = stack.enter_context(TenkyuHost("qemu", user=USER, password=PASSWORD))
        ours = Ours(setting, host)
        kvm = "kvm" in ours.command[ours.command.index("-accel") + 1]
        libvirt = Libvirt(setting.folder / "libvirt", stack, kvm) if with_peer else None
        for i in range(rounds + 1):
            ours_on, ours_off = ours.round()
            bare_on = bare_round(ours, setting.folder)
            figures = [(on, ours_on), (bare, ours_on), (off, ours_off)]
            peers = [(bare, bare_on)]
            if libvirt is not None:
                peer_on, peer_off = libvirt.round()
                peers += [(on, peer_on), (off, peer_off)]
            if i > 0:  # the first has warmed up
                for comparison, figure in figures:
                    comparison.ours.append(figure)
                for comparison, figure in peers:
                    comparison.peer.append(figure)
                print(f"round {i} of {rounds}", file=sys.stderr)
    return [on, bare, off]
