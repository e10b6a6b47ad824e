# SPDX-License-Identifier: Apache-2.0
"""Virtual hardware as real guests find it: machines that start from a disk on every controller, by BIOS and by EFI,
on both boards, with every network adapter; secure boot and a TPM; sound, USB and ports. The machines cover the pairs
that matter, not every combination, and run two at a time. What is looked at is in the guest, through its shell."""

from __future__ import annotations

import socket
import subprocess
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyVmomi import vim, vmodl

import guest
import vim_client as vi
from tenkyu_host import TenkyuHost

BUILD_DISK = Path(__file__).resolve().parents[1] / "guest/build-disk"
READY_S = 150  # for a guest, on a machine that is busy

Device = vim.vm.device
CONTROLLERS = {
    "lsi": (Device.VirtualLsiLogicController, "sym53c8xx"),
    "sas": (Device.VirtualLsiLogicSASController, "mptsas"),
    "pvscsi": (Device.ParaVirtualSCSIController, "vmw_pvscsi"),
    "virtio": (Device.ParaVirtualSCSIController, "virtio"),
    "virtio-blk": (Device.ParaVirtualSCSIController, "virtio"),
    "ide": (None, "ata_piix"),
    "ahci": (Device.VirtualAHCIController, "ahci"),
    "nvme": (Device.VirtualNVMEController, "nvme"),
}
CARDS = {
    "vmxnet3": (Device.VirtualVmxnet3, "vmxnet3"),
    "e1000": (Device.VirtualE1000, "e1000"),
    "e1000e": (Device.VirtualE1000e, "e1000e"),
    "pcnet": (Device.VirtualPCNet32, "pcnet32"),
    "virtio": (Device.VirtualVmxnet3, "virtio_net"),
}


@dataclass
class Machine:
    """One row of the matrix."""
    controller: str
    card: str
    firmware: str = "bios"
    chipset: str = "440bx"
    secure: bool = False
    devices: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.firmware}-{self.chipset}-{self.controller}-{self.card}"


MATRIX = [
    Machine("lsi", "pcnet"),
    Machine("sas", "e1000", chipset="q35"),
    Machine("pvscsi", "vmxnet3", chipset="q35"),
    Machine("ide", "e1000e"),
    Machine("ahci", "virtio"),
    Machine("nvme", "e1000e", chipset="q35"),
    Machine("virtio", "virtio"),
    Machine("virtio-blk", "vmxnet3", firmware="efi", chipset="440bx"),
    Machine("nvme", "vmxnet3", firmware="efi", chipset="q35"),
    Machine("ahci", "e1000", firmware="efi", chipset="q35"),
    Machine("virtio", "pcnet", firmware="efi", chipset="q35"),
    Machine("ide", "e1000", firmware="efi", chipset="q35"),
]


def connected(kind: Any, key: int, **members: Any) -> Any:
    return kind(key=key, connectable=Device.VirtualDevice.ConnectInfo(
        startConnected=True, connected=True, allowGuestControl=True), **members)


def card(kind: Any) -> Any:
    backing = Device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    return vi.change(connected(kind, -200, backing=backing))


class Devices(unittest.TestCase):
    host: TenkyuHost
    client: vi.Client
    datastore: Path
    image: Path

    @classmethod
    def setUpClass(cls) -> None:
        made = subprocess.run([BUILD_DISK], check=True, stdout=subprocess.PIPE, text=True)
        cls.image = Path(made.stdout.strip())
        cls.host = TenkyuHost(hypervisor="qemu")
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.datastore = Path(cls.client.datacenter.datastore[0].info.path)
        cls.lock = threading.Lock()

    @classmethod
    def tearDownClass(cls) -> None:
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    # ---- a machine -----------------------------------------------------------------------------------

    def create(self, client: vi.Client, row: Machine, name: str = "") -> Any:
        """The machine of a row, whose disk has the bootable image in it."""
        name = name or row.name
        kind = CONTROLLERS[row.controller][0]
        options = {"tenkyu.chipset": row.chipset}
        changes = [card(CARDS[row.card][0]), vi.serial_file(f"[{vi.DATASTORE}] {name}/serial.txt"),
                   vi.serial_console(), *row.devices]
        key = 200
        if kind is not None:
            key = -1
            members = {"sharedBus": "noSharing"} if "SCSI" in kind.__name__ or "Lsi" in kind.__name__ else {}
            changes.insert(0, vi.change(kind(key=key, busNumber=0, **members)))
        if row.controller.startswith("virtio"):
            options["scsi0.tenkyu.virtualDev"] = row.controller
        if row.card == "virtio":
            options["ethernet0.tenkyu.virtualDev"] = "virtio"
        changes.append(vi.disk(64, key))
        extra = [vim.option.OptionValue(key=k, value=v) for k, v in options.items()]
        boot = vim.vm.BootOptions(efiSecureBootEnabled=row.secure)
        vm = client.create(name, *changes, extraConfig=extra, firmware=row.firmware, bootOptions=boot,
                           memoryMB=320 if row.firmware == "efi" else 192)
        self.addCleanup(self.destroy, name)
        (disk,) = vi.find(vm, Device.VirtualDisk)
        data = self.datastore / Path(disk.backing.fileName.partition("] ")[2]).with_suffix(".qcow2")
        subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", self.image, data], check=True)
        return vm

    def destroy(self, name: str) -> None:
        for vm in self.client.folder.childEntity:
            if vm.name == name:
                if vm.runtime.powerState == "poweredOn":
                    self.client.run(vm.PowerOffVM_Task())
                self.client.run(vm.Destroy_Task())
                self.assertFalse((self.datastore / name).exists(), name)

    def start(self, client: vi.Client, vm: Any) -> guest.Shell:
        """Powers on; the guest's shell once it answers. Nothing is said to the port before the guest has it:
        firmware and boot loader listen there too."""
        name = vm.name
        shell_port = client.websocket
        client.run(vm.PowerOnVM_Task())
        shell = guest.Shell(shell_port(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        try:
            shell.expect("GUEST-READY\n", READY_S)
        except guest.GuestError as error:
            said = (self.datastore / name / "serial.txt").read_text(errors="replace")
            raise AssertionError(f"{name} does not start: {error}; its first port says {said[-600:]!r}") from None
        return shell

    # ---- starting from disks -------------------------------------------------------------------------

    def check_row(self, row: Machine) -> str:
        client = vi.Client(self.host)  # one for each thread
        vm = self.create(client, row)
        shell = self.start(client, vm)
        self.assertEqual(row.firmware, shell.run("[ -d /sys/firmware/efi ] && echo efi || echo bios"), row.name)
        board = shell.run("cat /sys/class/dmi/id/product_version")
        self.assertIn("q35" if row.chipset == "q35" else "i440fx", board, row.name)
        drivers = shell.run("for d in /sys/bus/pci/devices/*; do [ -e $d/driver ] && "
                            "basename $(readlink $d/driver); done; ls /sys/bus/virtio/drivers/*/virtio* -d 2>/dev/null; true")
        driver = CONTROLLERS[row.controller][1]
        # A Q35 has SATA where the 440BX has IDE.
        self.assertIn("ahci" if (row.controller, row.chipset) == ("ide", "q35") else driver, drivers, row.name)
        label = "dd if=/dev/{} bs=1 skip=32808 count=32 2>/dev/null | tr -d ' '"
        disk = shell.run("for b in /sys/block/*; do case ${b##*/} in sr*|fd*|loop*|ram*) ;; *) echo ${b##*/};; esac; done")
        self.assertEqual("TENKYU_DISK", shell.run(label.format(disk)), row.name)
        self.assertIn(CARDS[row.card][1].replace("virtio_net", "virtio"), drivers, row.name)
        shell.wait_for("cat /sys/class/net/eth0/carrier", "1")
        mac = vi.find(vm, Device.VirtualEthernetCard)[0].macAddress
        self.assertEqual(mac, shell.run("cat /sys/class/net/eth0/address"))
        shell.wait_for("ip addr show eth0 | sed -n 's/^ *inet \\([0-9.]*\\).*/\\1/p'", "10.0.2.15", 40)
        if row.name == "bios-q35-pvscsi-vmxnet3":
            self.check_hot_plug(client, vm, shell)
        client.run(vm.PowerOffVM_Task())
        shell.close()
        if row.name == "efi-q35-nvme-vmxnet3":
            self.check_secured_later(client, vm)
        client.close()
        return row.name

    def check_secured_later(self, client: vi.Client, vm: Any) -> None:
        """The keys are in the variables from the beginning, so that a switch is all that it takes."""
        client.reconfigure(vm, bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True, enterBIOSSetup=False))
        shell = self.start(client, vm)
        self.assertIn("Secure boot enabled", shell.run("dmesg | grep -i 'secure *boot'"))
        client.run(vm.PowerOffVM_Task())
        shell.close()

    def check_hot_plug(self, client: vi.Client, vm: Any, shell: guest.Shell) -> None:
        """Into a root port that was there beforehand; nothing else moves."""
        before = shell.run("readlink -f /sys/class/net/eth0/device")
        client.reconfigure(vm, card(Device.VirtualE1000e))
        shell.run("until [ -e /sys/class/net/eth1 ]; do sleep 0.1; done")
        self.assertEqual(before, shell.run("readlink -f /sys/class/net/eth0/device"))
        self.assertIn("0000:00:15.0/", shell.run("readlink -f /sys/class/net/eth1/device"))
        client.reconfigure(vm, vi.change(vi.find(vm, Device.VirtualEthernetCard)[1], "remove"))
        shell.run("until [ ! -e /sys/class/net/eth1 ]; do sleep 0.1; done")

    def test_every_controller_adapter_firmware_and_board(self) -> None:
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(self.check_row, MATRIX))
        self.assertEqual([row.name for row in MATRIX], done)
        self.assertEqual(set(CONTROLLERS), {row.controller for row in MATRIX})
        self.assertEqual(set(CARDS), {row.card for row in MATRIX})

    # ---- what else is on a board ---------------------------------------------------------------------

    def test_secure_boot_tpm_sound_usb_and_ports(self) -> None:
        printer = f"[{vi.DATASTORE}] tpm/printer.txt"
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            uri = Device.VirtualSerialPort.URIBackingInfo(serviceURI=f"tcp://127.0.0.1:{port}", direction="client")
            row = Machine("nvme", "e1000e", firmware="efi", chipset="q35", secure=True, devices=[
                vi.change(Device.VirtualTPM(key=-10)),
                vi.change(connected(Device.VirtualHdAudioCard, -11, backing=Device.VirtualSoundCard.DeviceBackingInfo(deviceName=""))),
                vi.change(Device.VirtualUSBXHCIController(key=-12, busNumber=0)),
                vi.change(connected(Device.VirtualSerialPort, -13, yieldOnPoll=True, backing=uri)),
                vi.change(connected(Device.VirtualParallelPort, -14,
                                    backing=Device.VirtualParallelPort.FileBackingInfo(fileName=printer)))])
            vm = self.create(self.client, row, "tpm")
            shell = self.start(self.client, vm)
            self.assertIn("Secure boot enabled", shell.run("dmesg | grep -i 'secure *boot'"))
            self.assertEqual("tpm0", shell.run("ls /sys/class/tpm"))
            self.assertEqual("2", shell.run("cat /sys/class/tpm/tpm0/tpm_version_major"))
            classes = shell.run("cat /sys/bus/pci/devices/*/class").split()
            self.assertIn("0x040300", classes)  # HD audio
            self.assertIn("0x0c0330", classes)  # xHCI
            self.assertIn("QEMU USB Tablet", shell.run("cat /sys/bus/usb/devices/*/product"))
            connection, _ = server.accept()
            shell.run("stty -F /dev/ttyS2 raw -echo; echo out of the third port >/dev/ttyS2")
            stream = guest.Stream(connection)
            self.addCleanup(stream.close)
            stream.expect("out of the third port")
        shell.run("cat /sys/class/tpm/tpm0/pcr-sha256/0")
        shell.run("modprobe parport_pc 2>/dev/null; true")
        state = self.datastore / "tpm/tpm.tpm/tpm2-00.permall"
        self.assertTrue(state.is_file())
        (pid,) = self.host.qemu_processes(vm._moId)
        self.check_adopted(vm, shell, pid)
        self.assertEqual(0, state.stat().st_uid)
        self.assertTrue((self.datastore / "tpm/tpm.nvram").is_file())

    def swtpm_of(self, vm: Any) -> list[int]:
        run = str(self.host.state.resolve() / "run" / vm._moId)
        return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/exe")
                if self.link(p).endswith("/swtpm") and self.link(p.parent / "cwd") == run]

    @staticmethod
    def link(path: Path) -> str:
        try:
            return str(path.readlink())
        except OSError:
            return ""

    def check_adopted(self, vm: Any, shell: guest.Shell, pid: int) -> None:
        """The TPM lives through the host's death, and ends with its QEMU."""
        (tpm,) = self.swtpm_of(vm)
        self.assertNotEqual(0, Path(f"/proc/{tpm}").stat().st_uid)
        shell.close()
        self.host.kill9()
        self.host.start()
        type(self).client = vi.Client(self.host)
        (vm,) = [m for m in self.client.folder.childEntity if m.name == "tpm"]
        self.assertEqual("poweredOn", vm.runtime.powerState)
        self.assertEqual([pid], self.host.qemu_processes(vm._moId))
        self.assertEqual([tpm], self.swtpm_of(vm))
        shell = guest.Shell(self.client.websocket(vm, "tenkyu.serial"))
        self.addCleanup(shell.close)
        shell.wait_ready()
        self.assertEqual(64, len(shell.run("cat /sys/class/tpm/tpm0/pcr-sha256/0")))
        self.client.run(vm.PowerOffVM_Task())
        self.assertEqual([], self.swtpm_of(vm))

    # ---- refusals ------------------------------------------------------------------------------------

    def refused(self, fault: type, *changes: Any, **members: Any) -> Any:
        before = sorted(p.name for p in self.datastore.iterdir())
        with self.assertRaises(fault) as caught:
            self.client.create("refused", *changes, **members)
        self.assertEqual(before, sorted(p.name for p in self.datastore.iterdir()))
        return caught.exception

    def test_what_there_is_not_is_refused_when_it_is_asked_for(self) -> None:
        unsupported = vim.fault.DeviceNotSupported
        self.refused(unsupported, vi.change(Device.VirtualBusLogicController(key=-1, busNumber=0, sharedBus="noSharing")))
        self.refused(unsupported, card(Device.VirtualVmxnet2))
        self.refused(unsupported, card(Device.VirtualVmxnet))
        self.refused(vim.fault.InvalidDeviceSpec, vi.change(Device.VirtualTPM(key=-1)))  # without EFI
        fault = self.refused(vmodl.fault.InvalidArgument, firmware="efi",
                             bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True),
                             extraConfig=[vim.option.OptionValue(key="tenkyu.chipset", value="440bx")])
        self.assertIn("q35", fault.msg)
        fault = self.refused(vmodl.fault.InvalidArgument, firmware="openboot")
        self.assertEqual("firmware", fault.invalidProperty)
        self.refused(vmodl.fault.InvalidArgument, vPMCEnabled=True)
        self.refused(vmodl.fault.InvalidArgument, flags=vim.vm.FlagInfo(vvtdEnabled=True))

    def test_board_goes_with_firmware(self) -> None:
        vm = self.client.create("board", firmware="efi")
        self.addCleanup(self.destroy, "board")
        chipset = lambda: {o.key: o.value for o in vm.config.extraConfig}.get("tenkyu.chipset")
        self.assertEqual("q35", chipset())
        vmx = self.datastore / "board/board.vmx"
        self.assertIn('firmware = "efi"', vmx.read_text())
        self.assertEqual(0o600, vmx.stat().st_mode & 0o777)
        self.client.reconfigure(vm, firmware="bios")
        self.assertIsNone(chipset())
        self.client.run(vm.PowerOnVM_Task())
        with self.assertRaises(vim.fault.InvalidPowerState):
            self.client.reconfigure(vm, firmware="efi")
        with self.assertRaises(vim.fault.InvalidPowerState):
            self.client.reconfigure(vm, extraConfig=[vim.option.OptionValue(key="tenkyu.chipset", value="q35")])
        self.client.run(vm.PowerOffVM_Task())


if __name__ == "__main__":
    unittest.main()
