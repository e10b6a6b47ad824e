# SPDX-License-Identifier: Apache-2.0
"""Ansible's community.vmware collection as Debian has it, its modules unchanged. The playbooks are in ansible/; what they
did is looked at through pyVmomi and in the files. A playbook that is run again changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import unittest
from pathlib import Path
from typing import Any

import vi
from pyVmomi import vim
from tenkyu_host import TenkyuHost

PLAYBOOKS = Path(__file__).parent / "ansible"
NEW_PASSWORD = "Nine-Bricks-7"


class AnsibleTest(unittest.TestCase):
    """Test methods run in the order of their names: each goes on where the one before ended."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("qemu", tls=True, start=False)
        cls.addClassCleanup(cls.host.close)
        cls.host.start(port=443)  # vsphere_copy knows no other
        cls.instance = vi.connect(cls.host)
        cls.root = cls.instance.content.rootFolder.childEntity[0]
        cls.system = cls.root.hostFolder.childEntity[0].host[0]

    def run_playbook(self, name: str) -> int:
        """How many of its tasks changed something. All have to succeed."""
        address, port = self.host.address
        values = {
            "api_address": address,
            "api_port": port,
            "api_user": self.host.user,
            "api_password": self.host.password,
            "esxi": self.system.name,
            "out": str(self.host.folder),
            "new_password": NEW_PASSWORD,
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        extra = self.host.folder / "values.json"
        extra.write_text(json.dumps(values))
        environment = dict(os.environ, ANSIBLE_STDOUT_CALLBACK="json", ANSIBLE_LOCALHOST_WARNING="false",
                           ANSIBLE_HOME=str(self.host.folder / "ansible"), PYTHONPATH=str(PLAYBOOKS),
                           LC_ALL="C.UTF-8")
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"@{extra}", str(PLAYBOOKS / f"{name}.yml")],
            env=environment, capture_output=True, text=True, timeout=240, check=False)
        self.assertIn("{", done.stdout, done.stderr)
        told = json.loads(done.stdout[done.stdout.index("{"):])
        results = [(task["task"]["name"], task["hosts"]["localhost"]) for task in told["plays"][0]["tasks"]]
        for task, result in results:
            self.assertFalse(result.get("failed"), f"{task}: {result.get('msg')}\n{result.get('module_stderr', '')}")
        self.assertEqual(0, done.returncode, done.stderr)
        return sum(bool(result.get("changed")) for _, result in results)

    def machine(self) -> Any:
        return next(vm for vm in self.root.vmFolder.childEntity if vm.name == "web1")

    def test_1_machine(self) -> None:
        self.assertEqual(3, self.run_playbook("machine"))
        config = self.machine().config
        device = config.hardware.device
        self.assertEqual(("made by a playbook", 2, 64), (config.annotation, config.hardware.numCPU, config.hardware.memoryMB))
        self.assertEqual([64 << 10, 32 << 10], [d.capacityInKB for d in device if isinstance(d, vim.vm.device.VirtualDisk)])
        self.assertEqual(["00:50:56:01:02:03"], [d.macAddress for d in device if isinstance(d, vim.vm.device.VirtualE1000)])
        self.assertEqual("poweredOn", self.machine().runtime.powerState)
        self.assertEqual(1, len(self.host.qemu_processes()))

    def test_2_the_same_again_changes_nothing(self) -> None:
        self.assertEqual(0, self.run_playbook("machine"))

    def test_3_look(self) -> None:
        self.assertEqual(0, self.run_playbook("look"))

    def test_4_life(self) -> None:
        self.run_playbook("life")
        device = self.machine().config.hardware.device
        self.assertIn(48 << 10, [d.capacityInKB for d in device if isinstance(d, vim.vm.device.VirtualDisk)])
        self.assertTrue([d for d in device if isinstance(d, vim.vm.device.VirtualNVMEController)])
        self.assertEqual([8 << 10], [d.videoRamSizeInKB for d in device if isinstance(d, vim.vm.device.VirtualVideoCard)])
        self.assertIn("00:50:56:01:02:04", [d.macAddress for d in device if isinstance(d, vim.vm.device.VirtualVmxnet3)])
        self.assertEqual([], self.host.qemu_processes())
        self.assertEqual("poweredOff", self.machine().runtime.powerState)
        self.assertIsNone(self.machine().snapshot)
        self.assertTrue([p for p in self.host.folder.glob("*.png") if p.read_bytes().startswith(b"\x89PNG")])

    def test_5_files(self) -> None:
        self.run_playbook("files")
        kept = self.host.state / "datastores/datastore1/iso/files.yml"
        self.assertEqual((PLAYBOOKS / "files.yml").read_bytes(), kept.read_bytes())

    def test_6_host(self) -> None:
        self.run_playbook("host")
        self.assertTrue(self.system.runtime.inMaintenanceMode)
        vi.connect(self.host, user="alice", password=NEW_PASSWORD)  # a fault when he may not log in


if __name__ == "__main__":
    unittest.main()
