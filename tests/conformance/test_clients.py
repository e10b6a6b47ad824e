# SPDX-License-Identifier: Apache-2.0
"""Stock clients that nobody changed for us: virsh (libvirt's esx driver), rbvmomi and suds. Each test looks at
an effect through another client or in QEMU's process, not only at a success answer."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import unittest
from pathlib import Path
from typing import Any

import vi
from suds.client import Client
from suds.sudsobject import Property
from tenkyu_host import TenkyuHost


def qemu_pids(host: TenkyuHost) -> list[int]:
    """The QEMU processes of this host, by the folder that they run in."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd").startswith(str(host.state)) and \
                    b"qemu-system" in (entry / "cmdline").read_bytes().split(b"\0")[0]:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class VirshTest(unittest.TestCase):
    """virsh -c esx:// against real QEMU processes."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("qemu")
        cls.addClassCleanup(cls.host.close)
        cls.instance = vi.connect(cls.host)
        cls.vm = vi.create_vm(cls.instance, "web1", disk_mb=64)
        spec = vi.vim.vm.ConfigSpec(deviceChange=[vi.added(vi.network_card())])
        vi.WaitForTask(cls.vm.ReconfigVM_Task(spec))
        address = cls.host.url.split("//")[1]
        cls.uri = f"esx://{cls.host.user}@{address}/?transport=http&auto_answer=1"
        auth = cls.host.folder / "auth.conf"
        auth.write_text(f"[credentials-d]\nusername={cls.host.user}\npassword={cls.host.password}\n\n"
                        "[auth-esx-127.0.0.1]\ncredentials=d\n")
        cls.environment = dict(os.environ, LIBVIRT_AUTH_FILE=str(auth), LC_ALL="C.UTF-8")

    def virsh(self, *words: str) -> str:
        done = subprocess.run(["virsh", "-q", "-c", self.uri, *words], env=self.environment, timeout=60,
                              capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, f"virsh {words}: {done.stderr}")
        return done.stdout

    def state(self) -> str:
        return str(self.vm.runtime.powerState)

    def test_inventory(self) -> None:
        self.assertRegex(self.virsh("list", "--all"), r"web1\s+(running|shut off|paused)")
        self.assertIn("datastore1", self.virsh("pool-list"))
        self.assertIn("vSwitch0", self.virsh("net-list"))
        self.assertRegex(self.virsh("vol-list", "datastore1"), r"web1/web1.vmdk\s+\[datastore1\] web1/web1.vmdk")
        volume = self.virsh("vol-dumpxml", "web1/web1.vmdk", "datastore1")
        self.assertRegex(volume, r"<capacity unit='bytes'>67108864</capacity>")

    def test_descriptions(self) -> None:
        info = self.virsh("dominfo", "web1")
        self.assertRegex(info, r"Max memory:\s+65536 KiB")
        self.assertRegex(info, r"UUID:\s+" + self.vm.config.uuid)
        self.assertIn("[datastore1] web1/web1.vmdk", self.virsh("domblklist", "web1"))
        mac = [d.macAddress for d in self.vm.config.hardware.device if hasattr(d, "macAddress")][0]
        self.assertIn(mac, self.virsh("domiflist", "web1"))
        self.assertIn("<vmware:moref>" + self.vm._moId, self.virsh("dumpxml", "web1"))

    def test_life(self) -> None:
        self.assertEqual([], qemu_pids(self.host))
        self.virsh("start", "web1")
        self.assertEqual("poweredOn", self.state())
        first = qemu_pids(self.host)
        self.assertEqual(1, len(first))
        self.assertRegex(self.virsh("list"), r"web1\s+running")
        self.virsh("suspend", "web1")
        self.assertEqual("suspended", self.state())
        self.assertEqual([], qemu_pids(self.host))
        self.assertTrue(list(self.host.state.rglob("web1.vmss")))
        self.virsh("resume", "web1")
        self.assertEqual("poweredOn", self.state())
        self.assertNotEqual(first, qemu_pids(self.host))
        self.assertEqual([], list(self.host.state.rglob("web1.vmss")))
        self.virsh("destroy", "web1")
        self.assertEqual("poweredOff", self.state())
        self.assertEqual([], qemu_pids(self.host))

    def test_snapshots(self) -> None:
        self.virsh("snapshot-create-as", "web1", "one", "the first")
        self.assertTrue(list(self.host.state.rglob("web1-Snapshot*.vmsn")))
        self.virsh("snapshot-create-as", "web1", "two", "the second")
        listed = self.virsh("snapshot-list", "web1", "--tree")
        self.assertRegex(listed, r"(?s)one.*two")
        self.assertEqual("two", self.virsh("snapshot-current", "web1", "--name").strip())
        self.assertEqual("one", self.virsh("snapshot-parent", "web1", "two").strip())
        self.assertIn("<description>the first</description>", self.virsh("snapshot-dumpxml", "web1", "one"))
        self.virsh("snapshot-revert", "web1", "one")
        self.assertEqual("one", self.virsh("snapshot-current", "web1", "--name").strip())
        self.virsh("snapshot-delete", "web1", "two")
        self.virsh("start", "web1")
        self.virsh("snapshot-create-as", "web1", "running")
        self.assertTrue(list(self.host.state.rglob("web1-Snapshot*.vmem")))
        self.virsh("snapshot-revert", "web1", "running")
        self.assertEqual("poweredOn", self.state())
        self.virsh("destroy", "web1")
        self.virsh("snapshot-delete", "web1", "one", "--children")
        self.assertEqual("", self.virsh("snapshot-list", "web1").strip())
        self.assertEqual([], list(self.host.state.rglob("web1-*")))

    def test_the_screen_comes_as_a_stream(self) -> None:
        picture = self.host.folder / "screen.png"
        self.virsh("start", "web1")
        self.virsh("screenshot", "web1", str(picture))
        self.virsh("destroy", "web1")
        self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))

    def test_host(self) -> None:
        self.assertEqual(socket.gethostname(), self.virsh("hostname").strip())
        self.assertRegex(self.virsh("nodeinfo"), r"Memory size:\s+\d+ KiB")

    def test_volumes(self) -> None:
        self.virsh("vol-clone", "web1/web1.vmdk", "copy/copy.vmdk", "datastore1")
        kept = self.host.state / "datastores/datastore1/copy"
        self.assertTrue((kept / "copy.vmdk").exists())
        self.virsh("vol-delete", "[datastore1] copy/copy.vmdk")
        self.assertEqual([], list(kept.iterdir()))

    def test_a_description_makes_another_machine(self) -> None:
        """libvirt uploads a .vmx in which files have their paths on the host, and registers it."""
        xml = re.sub(r"<uuid>.*?</uuid>|<mac address=.*?/>|<vmware:moref>.*?</vmware:moref>", "",
                     self.virsh("dumpxml", "web1").replace("web1", "web2"))
        with socket.create_server(("127.0.0.1", 0)) as server:
            free = server.getsockname()[1]
        ports = ("<serial type='file'><source path='[datastore1] web2/words.txt'/></serial>"
                 f"<serial type='tcp'><source mode='bind' host='127.0.0.1' service='{free}'/><protocol type='telnet'/></serial>"
                 "<serial type='pipe'><source path='far'/></serial>")
        described = self.host.folder / "web2.xml"
        described.write_text(xml.replace("<video>", ports + "<video>"))
        self.virsh("vol-create-as", "datastore1", "web2/web2.vmdk", "32M", "--format", "vmdk")
        self.virsh("define", str(described))
        (made,) = [m for m in vi.datacenter(self.instance).vmFolder.childEntity if m.name == "web2"]
        self.assertEqual("[datastore1] web2/web2.vmx", made.config.files.vmPathName)
        files = {getattr(d.backing, "fileName", None) for d in made.config.hardware.device}
        self.assertLessEqual({"[datastore1] web2/web2.vmdk", "[datastore1] web2/words.txt"}, files)
        uris = [getattr(d.backing, "serviceURI", None) for d in made.config.hardware.device]
        self.assertIn(f"telnet://127.0.0.1:{free}", uris)
        again = self.virsh("dumpxml", "web2")
        self.assertIn("<source file='[datastore1] web2/web2.vmdk'/>", again)
        self.assertIn(f"<source mode='bind' host='127.0.0.1' service='{free}'/>", again)
        self.virsh("setvcpus", "web2", "2")
        self.assertEqual(2, made.config.hardware.numCPU)
        self.virsh("autostart", "web2")
        self.assertRegex(self.virsh("dominfo", "web2"), r"Autostart:\s+enable")
        before = qemu_pids(self.host)
        self.virsh("start", "web2")
        self.assertEqual(len(before) + 1, len(qemu_pids(self.host)))
        with socket.create_connection(("127.0.0.1", free), 30):
            pass
        self.virsh("destroy", "web2")
        self.virsh("undefine", "web2")
        self.assertEqual(["web1"], [m.name for m in vi.datacenter(self.instance).vmFolder.childEntity])
        self.virsh("vol-wipe", "web2/web2.vmdk", "datastore1")
        self.virsh("vol-delete", "[datastore1] web2/web2.vmdk")
        self.assertNotIn("web2.vmdk", self.virsh("vol-list", "datastore1"))

    def test_a_path_that_is_on_no_datastore_is_none(self) -> None:
        xml = self.virsh("dumpxml", "web1").replace("web1", "web3")
        described = self.host.folder / "web3.xml"
        for path in ("[elsewhere] web3/web3.vmdk", "[datastore1] ../../../web3.vmdk"):
            described.write_text(re.sub(r"<source file='.*?'/>", f"<source file='{path}'/>", xml))
            done = subprocess.run(["virsh", "-q", "-c", self.uri, "define", str(described)], env=self.environment, timeout=60,
                                  capture_output=True, text=True, check=False)
            self.assertNotEqual(0, done.returncode, path)
        self.assertEqual(["web1"], [m.name for m in vi.datacenter(self.instance).vmFolder.childEntity])

    def test_a_wrong_password_is_refused(self) -> None:
        auth = self.host.folder / "wrong.conf"
        auth.write_text("[credentials-d]\nusername=root\npassword=wrong\n\n[auth-esx-127.0.0.1]\ncredentials=d\n")
        done = subprocess.run(["virsh", "-c", self.uri, "list"], timeout=60, capture_output=True, text=True,
                              check=False, env=dict(self.environment, LIBVIRT_AUTH_FILE=str(auth)))
        self.assertNotEqual(0, done.returncode)
        self.assertIn("Login", done.stderr)


RUBY = """
require 'rbvmomi'
host, port, user, password = ARGV
vim = RbVmomi::VIM.connect(host: host, port: port.to_i, ssl: false, user: user, password: password, insecure: true)
dc = vim.serviceInstance.find_datacenter
vm = dc.find_vm('ha-host_VM1')
puts vm.name, vm.runtime.powerState
vm.PowerOffVM_Task.wait_for_completion
puts vm.runtime.powerState
begin
  vm.PowerOffVM_Task.wait_for_completion
rescue RbVmomi::Fault => fault
  puts fault.fault.class
end
"""


class SimulatedTest(unittest.TestCase):
    """Clients of other languages against simulated machines."""

    def setUp(self) -> None:
        self.host = TenkyuHost("sim", args=("--sim-vms", "3"))
        self.addCleanup(self.host.close)
        self.instance = vi.connect(self.host)

    def vm(self, name: str) -> Any:
        return self.instance.content.searchIndex.FindByInventoryPath(f"ha-datacenter/vm/{name}")

    def test_rbvmomi(self) -> None:
        address, port = self.host.url.split("//")[1].split(":")
        done = subprocess.run(["ruby", "-e", RUBY, address, port, self.host.user, self.host.password], timeout=60,
                              capture_output=True, text=True, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(["ha-host_VM1", "poweredOn", "poweredOff", "InvalidPowerState"],
                         [re.sub(r".*::", "", line) for line in done.stdout.split()])
        self.assertEqual("poweredOff", self.vm("ha-host_VM1").runtime.powerState)

    def test_suds_from_the_wsdl(self) -> None:
        def reference(kind: str, value: str) -> Any:
            made = Property(value)
            made._type = kind
            return made

        client = Client(self.host.url + "/sdk/vimService.wsdl", cache=None)
        service = client.service
        content = service.RetrieveServiceContent(reference("ServiceInstance", "ServiceInstance"))
        session = service.Login(content.sessionManager, self.host.user, self.host.password)
        self.assertEqual(self.host.user, session.userName)
        make = client.factory.create
        properties, walk, start, spec = (make(f"ns0:{name}") for name in (
            "PropertySpec", "TraversalSpec", "ObjectSpec", "PropertyFilterSpec"))
        properties.type, properties.all, properties.pathSet = "VirtualMachine", False, ["name"]
        walk.name, walk.type, walk.path, walk.skip = "children", "Folder", "childEntity", False
        start.obj, start.skip, start.selectSet = reference("Folder", "ha-folder-vm"), True, [walk]
        spec.propSet, spec.objectSet = [properties], [start]
        found = service.RetrieveProperties(content.propertyCollector, [spec])
        self.assertEqual({"ha-host_VM0", "ha-host_VM1", "ha-host_VM2"}, {o.propSet[0].val for o in found})
        target = [o.obj for o in found if o.propSet[0].val == "ha-host_VM2"][0]
        task = service.PowerOffVM_Task(target)
        vi.WaitForTask(vi.vim.Task(task.value, self.instance._stub))
        self.assertEqual("poweredOff", self.vm("ha-host_VM2").runtime.powerState)


if __name__ == "__main__":
    unittest.main()
