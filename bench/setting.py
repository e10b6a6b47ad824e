# SPDX-License-Identifier: Apache-2.0
"""What a measurement stands on: a temporary folder, the programs built in it, the release build of Tenkyu, and
processes that end with the run. It installs nothing; what is missing is named together with the command that
installs it."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
INSTALL = "packaging/debian/install build run bench"
SIMULATOR = Path("/usr/share/gocode/src/github.com/vmware/govmomi/simulator")
USER, PASSWORD = "root", "bench-password"  # bench/peer/main.go has the same


class BenchError(Exception):
    """The run cannot go on; the message says why, and what helps."""


def need(*programs: str | Path) -> None:
    """Programs by name, files by their path."""
    missing = [str(p) for p in programs if not (p.exists() if isinstance(p, Path) else shutil.which(p))]
    if missing:
        raise BenchError(f"missing: {', '.join(missing)}; install with: {INSTALL}")


def run(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a program to its end and returns what it wrote; its complaint becomes ours when it fails."""
    done = subprocess.run([str(c) for c in command], env=env, cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise BenchError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def end(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM, timeout_s: float = 60) -> None:
    """Asks a process to end, and ends it when it does not."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def read_until(process: subprocess.Popen[str], mark: str, timeout_s: float) -> str:
    """What a process writes up to the mark. Byte by byte: what follows stays in the pipe, where select()
    sees it."""
    assert process.stdout is not None
    deadline = time.monotonic() + timeout_s
    text = b""
    while not text.endswith(mark.encode()):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        byte = os.read(process.stdout.fileno(), 1) if ready else b""
        if not byte:
            why = "ended" if ready else f"did not answer within {timeout_s} s"
            raise BenchError(f"{process.args!r} {why}; it wrote {text.decode(errors='replace')!r}")
        text += byte
    return text.decode(errors="replace").removesuffix(mark)


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"process {pid} tells no memory")


@dataclass
class Setting:
    """Built once for a run. The folder is removed when it ends."""

    folder: Path
    program: Path  # the tenkyu that is measured
    client: Path   # bench/client.c

    @staticmethod
    def make(program: Path | None) -> Setting:
        need("cc")
        folder = Path(tempfile.mkdtemp(prefix="tenkyu-bench-"))
        try:
            client = folder / "client"
            run("cc", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-o", client, BENCH / "client.c")
            return Setting(folder, program or release_build(), client)
        except BaseException:
            shutil.rmtree(folder)
            raise

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def measure(self, port: int, *arguments: str) -> list[dict[str, float]]:
        """Runs the client against a server: what each of its lines tells, and `busy`, the part of the time
        that the client itself was on a processor. Near 1 it would measure itself."""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        written = run(self.client, str(port), USER, PASSWORD, *arguments)
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
        busy = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / wall
        lines = [dict(pair.split("=") for pair in line.split()) for line in written.splitlines()]
        return [{key: float(value) for key, value in line.items()} | {"busy": busy} for line in lines]

    def build_peer(self) -> Path:
        """The Go simulator. Its build takes a minute when GOCACHE does not name a cache that is kept."""
        need("go", SIMULATOR)
        peer = self.folder / "peer"
        env = {"HOME": str(self.folder), "GOCACHE": str(self.folder / "gocache"), **os.environ,
               "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
        run("go", "build", "-o", peer, BENCH / "peer" / "main.go", env=env)
        return peer


def release_build() -> Path:
    """The build that ./up makes and people run."""
    need("cc", "meson", "ninja")
    build = ROOT / "build-release"
    if not (build / "build.ninja").is_file():
        run("meson", "setup", build, ROOT, "-Doptimization=2", "-Db_sanitize=none", "-Dwerror=false")
    run("ninja", "-C", build, "tenkyu")
    return build / "tenkyu"
