# SPDX-License-Identifier: Apache-2.0
"""The Linux guest of the tests (tests/guest/build-guest) and its control shell.

    medium = guest.folder() / "demo.iso"          # made when it is not there yet
    shell = guest.Shell(a_connected_socket)       # of the VM's second serial port
    shell.wait_ready()
    assert shell.run("cat /sys/class/net/eth0/carrier") == "1"
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from functools import lru_cache
from pathlib import Path

_BUILDER = Path(__file__).resolve().parents[1] / "guest/build-guest"


# Who there is in the guest with an agent (tests/guest/agentfs/etc/shadow).
PASSWORDS = {"root": "root secret", "alice": "alice's p\u00e4ssword", "bob": "bob secret"}


class GuestError(Exception):
    """The guest did not answer, or a command in it failed."""


@lru_cache(maxsize=None)
def folder(kernel: str = "cloud", agent: bool = False) -> Path:
    """Where vmlinuz, initrd.gz and demo.iso are; of the guest with the QEMU guest agent if so wanted."""
    options = ["--agent"] if agent else []
    made = subprocess.run([_BUILDER, "--kernel", kernel, *options], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip())


class Stream:
    """What comes out of a serial port, and waiting for some of it. Owns the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.text = ""

    def close(self) -> None:
        self.socket.close()

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def expect(self, mark: str, timeout_s: float = 60) -> str:
        """Waits for the mark; returns what came before it and forgets both."""
        deadline = time.monotonic() + timeout_s
        while mark not in self.text:
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestError(f"no {mark!r} in {timeout_s} s; there was {self.text[-2000:]!r}")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise GuestError(f"the port was closed before {mark!r}; there was {self.text[-2000:]!r}")
            self.text += data.decode(errors="replace")
        before, _, self.text = self.text.partition(mark)
        return before


class Shell(Stream):
    """The guest's control shell (tests/guest/rootfs/sbin/control-shell)."""

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Waits until the shell answers. It may have been there long before the socket was: so it is asked,
        and asked again, because what is said to a port that the guest has not opened yet is lost."""
        deadline = time.monotonic() + timeout_s
        while True:
            mark = secrets.token_hex(4)
            self.send(f"\necho {mark[:4]}''{mark[4:]}\n")
            try:
                self.expect(mark + "\n", 1)
                return
            except GuestError:
                if time.monotonic() > deadline:
                    raise

    def run(self, command: str, timeout_s: float = 60) -> str:
        """What the command writes, without the last line end; it must succeed."""
        mark = secrets.token_hex(8)
        self.send(f"{{ {command}\n}} 2>&1; printf '\\n%s %s\\n' $? {mark}\n")
        output, _, status = self.expect(f" {mark}\n", timeout_s).rpartition("\n")
        output = output.removesuffix("\n")
        if status != "0":
            raise GuestError(f"{command!r} gave {status}: {output}")
        return output

    def wait_for(self, command: str, expected: str, timeout_s: float = 20) -> None:
        """Runs the command until it writes this, for what the guest itself takes a moment to see."""
        deadline = time.monotonic() + timeout_s
        while (output := self.run(command)) != expected:
            if time.monotonic() > deadline:
                raise GuestError(f"{command!r} still writes {output!r} after {timeout_s} s")
