# SPDX-License-Identifier: Apache-2.0
"""A real file server, GlusterFS, in network and mount namespaces of the test's own.

    file_server.enter_namespaces()       # once, before anything is started
    server = file_server.Gluster(folder) # its volumes: "good" and "other", with strict locks
    server.away(); server.back()         # its address is gone, and there again
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

ADDRESS = "10.77.0.1"
_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_PRIVATE = ("/var/log/glusterfs", "/run/gluster")

# All in a process namespace: it ends with its first process, and so do the daemons that they start.
_SERVE = """
set -e
mkdir -p /var/lib/glusterd
for folder in /var/lib/glusterd /run/gluster; do mount -t tmpfs tmpfs $folder; done
glusterd --log-level WARNING
for try in $(seq 100); do gluster --mode=script volume list >/dev/null 2>&1 && break; sleep 0.1; done
for volume in good other; do
    mkdir -p "$1/$volume"
    gluster --mode=script volume create $volume "$2:$1/$volume" force
done
for volume in good other; do  # the last word is that of all volumes, in Debian's version
    gluster --mode=script volume set $volume client.strict-locks "$3"
    gluster --mode=script volume start $volume
done
echo READY
cat
"""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def enter_namespaces() -> None:
    """This process, and what it starts, see a loopback interface only, and their mounts are their own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _run("mount", "--make-rprivate", "/")
    _run("ip", "link", "set", "lo", "up")
    for folder in _PRIVATE:
        os.makedirs(folder, exist_ok=True)
        _run("mount", "-t", "tmpfs", "tmpfs", folder)


class Gluster:
    """glusterd with its volumes, until close()."""

    def __init__(self, folder: Path, strict_locks: bool = True) -> None:
        self.folder = folder
        self.back()
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _SERVE, "sh", folder, ADDRESS,
             "on" if strict_locks else "off"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            if line == "READY\n":
                return
            said += line
        self.close()
        raise RuntimeError(f"the file server did not start: {said}")

    def away(self) -> None:
        """Packets to it lead nowhere."""
        _run("ip", "address", "del", f"{ADDRESS}/32", "dev", "lo")

    def back(self) -> None:
        _run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.away()
