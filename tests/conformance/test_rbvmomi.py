# SPDX-License-Identifier: Apache-2.0
"""rbvmomi, by rbvmomi.rb: after each of its steps this looks with another client, and at the files, whether what it
was told has happened."""

from __future__ import annotations

import json
import subprocess
import unittest
from pathlib import Path
from typing import Any

import vi
from pyVmomi import vim, vmodl
from tenkyu_host import TenkyuHost

SCRIPT = Path(__file__).with_name("rbvmomi.rb")


class Ruby:
    """The script, step by step."""

    def __init__(self, host: TenkyuHost, tls: bool) -> None:
        address, port = host.address
        self.process = subprocess.Popen(["ruby", SCRIPT, address, str(port), "ssl" if tls else "plain", host.user],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer(host.password)

    def answer(self, text: str = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def step(self) -> dict[str, Any]:
        """The facts of the step that has just been done; the next one waits for answer()."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return dict(json.loads(line)) if line else {"step": "end"}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


class RbVmomi(unittest.TestCase):
    def start(self, tls: bool) -> tuple[TenkyuHost, Ruby, Any]:
        host = TenkyuHost("sim", tls=tls)
        self.addCleanup(host.close)
        ruby = Ruby(host, tls)
        self.addCleanup(ruby.close)
        return host, ruby, vi.connect(host)

    def test_life_of_a_machine(self) -> None:
        host, ruby, si = self.start(tls=False)

        def expect(name: str, **facts: Any) -> dict[str, Any]:
            found = ruby.step()
            self.assertEqual(name, found["step"])
            self.assertEqual(facts, {key: found[key] for key in facts})
            return found

        def sessions() -> list[str]:
            return [s.key for s in si.content.sessionManager.sessionList]

        session = expect("connect", rev="5.5", api="6.7")["session"]
        self.assertIn(session, sessions())
        ruby.answer()
        expect("refused", fault="InvalidLogin")
        ruby.answer()
        made = expect("create", macs=1, disks=["[datastore1] ruby/ruby.vmdk"])
        folder = host.state / "datastores/datastore1/ruby"
        self.assertIn('ruby.was.here = "yes"', (folder / "ruby.vmx").read_text())
        self.assertTrue((folder / "ruby.vmdk").is_file())
        vm = vim.VirtualMachine(made["id"], si._stub)
        self.assertEqual("ruby", vm.name)
        ruby.answer()
        expect("on", state="poweredOn")
        self.assertEqual("poweredOn", vm.runtime.powerState)
        ruby.answer()
        expect("on twice", fault="InvalidPowerState")
        ruby.answer()
        expect("collect", properties={"name": "ruby", "runtime.powerState": "poweredOn", "config.hardware.memoryMB": 64})
        ruby.answer()
        expect("reconfigure", memory=128)
        self.assertEqual(("poweredOff", 128, "by ruby"),
                         (vm.runtime.powerState, vm.config.hardware.memoryMB, vm.config.annotation))
        ruby.answer()
        expect("view", names=["ruby"])
        ruby.answer()
        expect("snapshot", title="x", below=["y"])
        self.assertEqual("y", vm.snapshot.rootSnapshotList[0].childSnapshotList[0].name)
        ruby.answer()
        expect("revert", current=True)
        self.assertEqual("by ruby", vm.snapshot.rootSnapshotList[0].description)
        ruby.answer()
        expect("remove", left=True)
        self.assertEqual([], list(folder.glob("*.vmsn")))
        ruby.answer()
        expect("upgrade", fault="NotSupported")
        ruby.answer()
        expect("destroy", left=[])
        self.assertFalse(folder.exists())
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            vm.name
        ruby.answer()
        expect("logout")
        self.assertNotIn(session, sessions())
        ruby.answer()
        expect("end")
        self.assertEqual(0, ruby.process.wait(30))

    def test_over_tls(self) -> None:
        _, ruby, si = self.start(tls=True)
        step = ruby.step()
        self.assertEqual("connect", step["step"])
        self.assertIn(step["session"], [s.key for s in si.content.sessionManager.sessionList])


if __name__ == "__main__":
    unittest.main()
