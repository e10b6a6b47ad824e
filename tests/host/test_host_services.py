# SPDX-License-Identifier: Apache-2.0
"""The managers of a host beside its virtual machines: options, licenses, services, ports, clock, health."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
import unittest
from pathlib import Path
from typing import Any

from pyVmomi import VmomiSupport, vim, vmodl

import vim_client as vi
from tenkyu_host import TenkyuHost

TIMEOUT = "Config.HostAgent.vmacore.soap.sessionTimeout"
OWN_LICENSE = "00000-00000-00000-00000-00000"


class SimCase(unittest.TestCase):
    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.host = TenkyuHost("sim", **self.options)
        self.addCleanup(self.host.close)
        self.connect()

    def connect(self) -> None:
        self.client = vi.Client(self.host)
        self.content = self.client.content
        self.system = self.client.system
        self.managers = self.system.configManager

    def restart(self) -> None:
        """The host program dies and is started again."""
        self.host.kill9()
        self.host.start()
        self.connect()

    def user(self, name: str, *privileges: str) -> vi.Client:
        """A session of a user who has these privileges on everything."""
        spec = vim.host.LocalAccountManager.AccountSpecification(id=name, password="a long password")
        self.content.accountManager.CreateUser(spec)
        authorization = self.content.authorizationManager
        role = authorization.AddAuthorizationRole(f"role of {name}", list(privileges))
        authorization.SetEntityPermissions(self.content.rootFolder, [vim.AuthorizationManager.Permission(
            principal=name, group=False, roleId=role, propagate=True)])
        return vi.Client(self.host, name, "a long password")

    def invalid(self, name: str, method: Any, *arguments: Any) -> None:
        with self.assertRaises(vmodl.fault.InvalidArgument) as caught:
            method(*arguments)
        self.assertEqual(name, caught.exception.invalidProperty)


class Options(SimCase):
    def values(self, manager: Any) -> dict[str, Any]:
        return {o.key: o.value for o in manager.setting}

    def set(self, manager: Any, **values: Any) -> None:
        manager.UpdateOptions([vim.option.OptionValue(key=k.replace("_", "."), value=v) for k, v in values.items()])

    def set_timeout(self, manager: Any, value: Any) -> None:
        manager.UpdateOptions([vim.option.OptionValue(key=TIMEOUT, value=value)])

    def test_query(self) -> None:
        for manager in (self.managers.advancedOption, self.content.setting):
            self.assertEqual(30, self.values(manager)[TIMEOUT])
            self.assertEqual([30], [o.value for o in manager.QueryOptions(TIMEOUT)])
            self.assertIn(TIMEOUT, [o.key for o in manager.QueryOptions("Config.HostAgent.")])
            self.assertEqual(self.values(manager), {o.key: o.value for o in manager.QueryOptions()})
            for name in ("Config.HostAgent", "No.Such", "config."):
                with self.assertRaises(vim.fault.InvalidName):
                    manager.QueryOptions(name)
            definitions = {d.key: d for d in manager.supportedOption}
            self.assertEqual(set(self.values(manager)), set(definitions))
            self.assertEqual((0, 30), (definitions[TIMEOUT].optionType.min,
                                       definitions[TIMEOUT].optionType.defaultValue))
        self.assertEqual(set(self.values(manager)), {o.key for o in self.system.config.option})

    def test_update(self) -> None:
        advanced, setting = self.managers.advancedOption, self.content.setting
        self.set_timeout(advanced, VmomiSupport.vmodlTypes["int"](45))
        self.set_timeout(setting, VmomiSupport.vmodlTypes["long"](50))
        self.restart()
        for manager in (self.managers.advancedOption, self.content.setting):
            self.assertEqual(50, self.values(manager)[TIMEOUT])

    def test_bad_input_changes_nothing(self) -> None:
        manager = self.managers.advancedOption
        good = vim.option.OptionValue(key=TIMEOUT, value=VmomiSupport.vmodlTypes["int"](45))
        for value in (-1, 10081, "45", True):
            bad = vim.option.OptionValue(key=TIMEOUT, value=value)
            with self.subTest(value=value):
                self.invalid("changedValue.value", manager.UpdateOptions, [good, bad])
        with self.assertRaises(vim.fault.InvalidName) as caught:
            manager.UpdateOptions([good, vim.option.OptionValue(key="No.Such", value=1)])
        self.assertEqual("No.Such", caught.exception.name)
        self.assertEqual(30, self.values(manager)[TIMEOUT])
        self.assertFalse((self.host.state / "options.json").exists())

    def test_privileges(self) -> None:
        configurer = self.user("configurer", "Host.Config.AdvancedConfig")
        setter = self.user("setter", "Global.Settings")
        self.set_timeout(configurer.system.configManager.advancedOption, 40)
        self.set_timeout(setter.content.setting, 41)
        for manager in (configurer.content.setting, setter.system.configManager.advancedOption):
            with self.assertRaises(vim.fault.NoPermission):
                self.set_timeout(manager, 42)
        self.assertEqual(41, self.values(self.content.setting)[TIMEOUT])

    def test_a_file_of_another_version(self) -> None:
        self.set_timeout(self.content.setting, 45)
        path = self.host.state / "options.json"
        line = json.loads(path.read_text().splitlines()[0])
        path.write_text(path.read_text() + json.dumps(line | {"key": "Of.Tomorrow"}) + "\n")
        self.restart()
        self.assertEqual(45, self.values(self.content.setting)[TIMEOUT])
        self.assertIn("an option is left out", self.host.log_text())


class Licenses(SimCase):
    def licenses(self) -> dict[str, dict[str, str]]:
        return {li.licenseKey: {la.key: la.value for la in li.labels} for li in self.manager.licenses}

    def connect(self) -> None:
        super().connect()
        self.manager = self.content.licenseManager

    def test_nothing_is_locked(self) -> None:
        self.assertEqual({OWN_LICENSE: {}}, self.licenses())
        self.assertEqual(self.manager, self.managers.licenseManager)
        self.assertTrue(self.manager.sourceAvailable)
        self.assertEqual([], self.manager.QuerySupportedFeatures())
        self.assertEqual([], self.manager.QueryLicenseSourceAvailability())
        self.assertTrue(self.manager.QueryLicenseUsage(self.system).sourceAvailable)
        (own,) = self.manager.licenses
        self.assertEqual((0, self.manager.licensedEdition), (own.total, own.editionKey))

    def test_keys_and_labels_are_kept(self) -> None:
        label = vim.KeyValue(key="bought", value="2012-03-04")
        added = self.manager.AddLicense("AAAAA-BBBBB", [label])
        self.assertEqual(("AAAAA-BBBBB", "bought"), (added.licenseKey, added.labels[0].key))
        self.manager.AddLicense("AAAAA-CCCCC")
        self.manager.UpdateLicenseLabel("AAAAA-BBBBB", "bought", "2013-01-01")
        self.manager.UpdateLicenseLabel("AAAAA-BBBBB", "by", "Jane")
        self.manager.UpdateLicenseLabel("AAAAA-CCCCC", "gone", "soon")
        self.manager.RemoveLicenseLabel("AAAAA-CCCCC", "gone")
        self.restart()
        self.assertEqual({OWN_LICENSE: {}, "AAAAA-BBBBB": {"bought": "2013-01-01", "by": "Jane"},
                          "AAAAA-CCCCC": {}}, self.licenses())
        self.manager.RemoveLicense("AAAAA-BBBBB")
        self.assertEqual({OWN_LICENSE, "AAAAA-CCCCC"}, set(self.licenses()))
        self.assertEqual("XXXXX", self.manager.DecodeLicense("XXXXX").licenseKey)
        self.assertNotIn("XXXXX", self.licenses())

    def test_bad_input(self) -> None:
        for key in ("", "no spaces", "ä", "x" * 257):
            self.invalid("licenseKey", self.manager.AddLicense, key)
            self.invalid("licenseKey", self.manager.DecodeLicense, key)
        self.invalid("licenseKey", self.manager.RemoveLicense, "AAAAA")
        self.invalid("licenseKey", self.manager.RemoveLicense, OWN_LICENSE)
        self.invalid("licenseKey", self.manager.UpdateLicenseLabel, "AAAAA", "a", "b")
        self.invalid("licenseKey", self.manager.RemoveLicenseLabel, "AAAAA", "a")
        self.assertEqual({OWN_LICENSE: {}}, self.licenses())


class Views(SimCase):
    """What the machine does by itself is shown as it is, and is not ours to change."""

    def test_services(self) -> None:
        system = self.managers.serviceSystem
        services = {s.key: s for s in system.serviceInfo.service}
        self.assertTrue(services["hostd"].running and services["hostd"].required)
        comms = set()
        for path in Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):
                comms.add(path.read_text().strip())
        self.assertEqual("sshd" in comms, "TSM-SSH" in services and services["TSM-SSH"].running)
        system.RefreshServices()
        self.assertEqual(sorted(services), sorted(s.key for s in system.serviceInfo.service))
        for method, *more in ((system.StartService,), (system.StopService,), (system.RestartService,),
                              (system.UninstallService,), (system.UpdateServicePolicy, "off")):
            with self.assertRaises(vmodl.fault.NotSupported):
                method("hostd", *more)

    def test_ports(self) -> None:
        system = self.managers.firewallSystem
        info = system.firewallInfo
        (ruleset,) = [r for r in info.ruleset if r.key == services_ruleset(self.managers)]
        self.assertEqual([(self.host.address[1], "inbound", "tcp")],
                         [(r.port, r.direction, r.protocol) for r in ruleset.rule])
        self.assertEqual((False, False), (info.defaultPolicy.incomingBlocked, info.defaultPolicy.outgoingBlocked))
        system.RefreshFirewall()
        for method, argument in ((system.EnableRuleset, ruleset.key), (system.DisableRuleset, ruleset.key),
                                 (system.UpdateDefaultPolicy, info.defaultPolicy)):
            with self.assertRaises(vmodl.fault.NotSupported):
                method(argument)

    def test_clock(self) -> None:
        system = self.managers.dateTimeSystem
        now = datetime.datetime.now(datetime.timezone.utc)
        self.assertLess(abs((system.QueryDateTime() - now).total_seconds()), 10)
        zones = {z.key: z for z in system.QueryAvailableTimeZones()}
        self.assertGreater(len(zones), 100)
        self.assertEqual((32400, "JST"), (zones["Asia/Tokyo"].gmtOffset, zones["Asia/Tokyo"].name))
        here = system.dateTimeInfo.timeZone
        self.assertEqual(time.localtime().tm_gmtoff, here.gmtOffset)
        system.RefreshDateTimeSystem()
        with self.assertRaises(vmodl.fault.NotSupported):
            system.UpdateDateTime(now)
        with self.assertRaises(vmodl.fault.NotSupported):
            system.UpdateDateTimeConfig(vim.host.DateTimeConfig(timeZone="Asia/Tokyo"))

    def test_health(self) -> None:
        system = self.managers.healthStatusSystem
        system.RefreshHealthStatusSystem()
        shown = {s.name for s in system.runtime.systemHealthInfo.numericSensorInfo}
        self.assertEqual(any(Path("/sys/class").glob("hwmon/hwmon*/*_input")) or
                         any(Path("/sys/class").glob("thermal/thermal_zone*")), bool(shown))
        self.assertEqual(shown, {s.name for s in
                                 self.system.runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo})
        self.assertEqual(self.system.overallStatus, self.system.summary.overallStatus)
        with self.assertRaises(vmodl.fault.NotSupported):
            system.ResetSystemHealthInfo()


def services_ruleset(managers: Any) -> str:
    """The ruleset that the service of the host needs."""
    (service,) = [s for s in managers.serviceSystem.serviceInfo.service if s.key == "hostd"]
    return service.ruleset[0]


if __name__ == "__main__":
    unittest.main()
