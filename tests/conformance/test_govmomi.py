# SPDX-License-Identifier: Apache-2.0
"""govmomi, the Go library under govc and Terraform's provider, as Debian has it. govmomi/main.go is built and run; what
it did is looked at in the files and through pyVmomi."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path
from urllib.parse import quote

import vi
from tenkyu_host import TenkyuHost

SOURCE = Path(__file__).parent / "govmomi"


class GovmomiTest(unittest.TestCase):
    def test_a_working_day(self) -> None:
        host = TenkyuHost("qemu", tls=True)
        self.addCleanup(host.close)
        instance = vi.connect(host)
        vm = vi.create_vm(instance, "web1", disk_mb=64)
        client = host.folder / "client"
        environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="",
                           GOCACHE=str(Path(os.environ.get("TENKYU_BUILD", "build")).resolve() / "go-cache"))
        subprocess.run(["go", "build", "-o", str(client), "."], cwd=SOURCE, env=environment, timeout=400, check=True)
        address = host.url.split("//")[1]
        url = f"https://{quote(host.user)}:{quote(host.password)}@{address}/sdk"
        done = subprocess.run([str(client), url, "web1"], capture_output=True, text=True, timeout=150, check=False)
        self.assertEqual(0, done.returncode, done.stderr + done.stdout)
        told = done.stdout.splitlines()
        fault = told.pop(11)
        self.assertRegex(fault, "^fault the virtual machine is poweredOff")
        compute = instance.content.rootFolder.childEntity[0].hostFolder.childEntity[0].name
        self.assertEqual([
            "about HostAgent", f"pool /ha-datacenter/host/{compute}/Resources", "path /ha-datacenter/vm/web1",
            "machines 1", "machine web1 64", "disks 2", "cards 1",
            "state poweredOn", "snapshot VirtualMachineSnapshot", "state poweredOn", "state poweredOff",
            "size 16", "gone true", "counter true", "event VmPoweredOnEvent", "logged out true"], told)
        self.assertTrue((host.state / "datastores/datastore1/web1/more.vmdk").exists())
        self.assertIsNone(vm.snapshot)
        self.assertEqual([], host.qemu_processes())


if __name__ == "__main__":
    unittest.main()
