# SPDX-License-Identifier: Apache-2.0
"""EnvironmentBrowser through pyVmomi: what may be configured here, and that what it says is so."""

from __future__ import annotations

import unittest
from pathlib import Path

from pyVmomi import vim, vmodl

import vim_client as vi
from tenkyu_host import TenkyuHost


def values_of(enum: type) -> list[str]:
    return [str(value) for value in vars(enum).values() if isinstance(value, enum)]


class Environment(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="sim")
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.browser = cls.client.datacenter.hostFolder.childEntity[0].environmentBrowser

    def test_versions(self) -> None:
        versions = self.browser.QueryConfigOptionDescriptor()
        (default,) = [v.key for v in versions if v.defaultConfigOption]
        self.assertEqual(default, self.browser.QueryConfigOption(None, None).version)
        for version in versions:
            option = self.browser.QueryConfigOption(version.key, self.client.system)
            self.assertEqual(int(version.key.removeprefix("vmx-")), option.hardwareOptions.hwVersion)
        vm = self.client.create("default")
        self.assertEqual(default, vm.config.version)
        with self.assertRaises(vmodl.fault.InvalidArgument):
            self.browser.QueryConfigOption("vmx-99", None)

    def test_every_guest_of_the_api_is_there_and_consistent(self) -> None:
        option = self.browser.QueryConfigOption(None, None)
        guests = {g.id: g for g in option.guestOSDescriptor}
        identifiers = values_of(vim.vm.GuestOsDescriptor.GuestOsIdentifier)
        families = values_of(vim.vm.GuestOsDescriptor.GuestOsFamily)
        self.assertGreater(len(identifiers), 150)
        self.assertEqual([], [i for i in identifiers if i not in guests])
        self.assertEqual("otherGuest", option.guestOSDescriptor[option.guestOSDefaultIndex].id)
        self.assertEqual(len(guests), len(option.guestOSDescriptor))
        for guest in guests.values():
            self.assertIn(guest.recommendedDiskController, guest.supportedDiskControllerList, guest.id)
            self.assertIn(guest.recommendedEthernetCard, guest.supportedEthernetCard, guest.id)
            self.assertIn(guest.recommendedFirmware, guest.supportedFirmware, guest.id)
            self.assertLessEqual(guest.supportedMinMemMB, guest.recommendedMemMB, guest.id)
            self.assertLessEqual(guest.recommendedMemMB, guest.supportedMaxMemMB, guest.id)
            self.assertIn(guest.family, families, guest.id)
            # OVMF does not start from these: a recommendation must start.
            if guest.recommendedFirmware == "efi":
                self.assertIsNone(guest.recommendedSCSIController, guest.id)
        linux = guests["debian10_64Guest"]
        self.assertEqual(("linuxGuest", vim.vm.device.ParaVirtualSCSIController, vim.vm.device.VirtualVmxnet3),
                         (linux.family, linux.recommendedDiskController, linux.recommendedEthernetCard))

    def test_guests_that_are_asked_for(self) -> None:
        spec = vim.EnvironmentBrowser.ConfigOptionQuerySpec(guestId=["windows9_64Guest", "os2Guest"])
        option = self.browser.QueryConfigOptionEx(spec)
        self.assertEqual({"windows9_64Guest", "os2Guest"}, {g.id for g in option.guestOSDescriptor})
        kinds = [o.type for o in option.hardwareOptions.virtualDeviceOption]
        self.assertEqual(len(kinds), len(set(map(str, kinds))))
        self.assertEqual(8, len(option.defaultDevice))

    def test_target(self) -> None:
        target = self.browser.QueryConfigTarget(self.client.system)
        self.assertEqual([vi.DATASTORE], [d.name for d in target.datastore])
        self.assertEqual(self.client.datacenter.datastore[0].summary.capacity, target.datastore[0].datastore.capacity)
        self.assertEqual(["VM Network"], [n.name for n in target.network])
        self.assertEqual(self.client.system.summary.hardware.numCpuThreads, target.numCpus)
        pci = {p.name.rsplit("/")[-1] for p in target.pciPassthrough}
        known = Path("/sys/bus/pci/devices")
        self.assertEqual({p.name for p in known.iterdir()} if known.is_dir() else set(), pci)
        self.assertEqual(self.client.system.capability.screenshotSupported,
                         self.browser.QueryTargetCapabilities(None).screenshotSupported)


if __name__ == "__main__":
    unittest.main()
