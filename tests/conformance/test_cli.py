# SPDX-License-Identifier: Apache-2.0
"""The command line client against a host: each command by its effect in the host's files and states, its
exit code, and its JSON document as tenkyu(1) describes it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import guest
from tenkyu_host import BINARY, ROOT, TenkyuHost

OK, FAILED, USAGE, NOT_FOUND, NOT_LOGGED_IN = range(5)  # exit codes
PROMPT = r"# (\x1b\[6n)?$"  # of the guest's shell, which asks a terminal where its cursor is


class Terminal:
    """A program with a terminal of its own. Owns both."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, env)

    def read_some(self, deadline: float) -> bool:
        """Reads what comes; False when the program has closed the terminal."""
        readable, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise AssertionError(f"nothing more came after: {self.text!r}")
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: the last program with this terminal has ended
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern: str, timeout_s: float = 60) -> None:
        """Waits until the text has this pattern."""
        deadline = time.monotonic() + timeout_s
        while not re.search(pattern, self.text):
            if not self.read_some(deadline):
                raise AssertionError(f"no {pattern!r} in {self.text!r}")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait(self, timeout_s: float = 60) -> int:
        """Waits for the end; the exit code."""
        deadline = time.monotonic() + timeout_s
        while self.read_some(deadline):
            pass
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


class CliCase(unittest.TestCase):
    """Runs commands with a configuration folder of its own for each test. Subclasses have a host."""

    host: TenkyuHost

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="test-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("TENKYU_")}
        self.env["XDG_CONFIG_HOME"] = str(self.folder / "config")
        self.env["TZ"] = "UTC"

    def run_cli(self, *words: str, env: dict[str, str] | None = None,
                expect: int = OK) -> subprocess.CompletedProcess[str]:
        """Runs a command without a terminal, and checks its exit code."""
        done = subprocess.run([BINARY, *words], env=self.env | (env or {}), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, start_new_session=True)
        self.assertEqual(expect, done.returncode, f"tenkyu {words}\n{done.stdout}{done.stderr}")
        if expect == OK:
            self.assertEqual("", done.stderr)
        return done

    def out(self, *words: str) -> str:
        return self.run_cli(*words).stdout

    def json(self, *words: str, expect: int = OK) -> Any:
        return json.loads(self.run_cli(*words, "--json", expect=expect).stdout)

    def error(self, expect: int, *words: str, env: dict[str, str] | None = None) -> str:
        """The message of a command that fails."""
        return self.run_cli(*words, env=env, expect=expect).stderr

    def terminal(self, *words: str) -> Terminal:
        return Terminal([str(BINARY), *words], self.env | {"TERM": "xterm"})

    def log_in(self) -> None:
        self.out("login", "--user", self.host.user, "--password-file", str(self.host.password_file),
                 self.host.url)

    def power(self, name: str) -> str | None:
        """What `vm list` says of a virtual machine; None when it is not there."""
        return next((vm["power"] for vm in self.json("vm", "list") if vm["name"] == name), None)


class SimCase(CliCase):
    """A simulated host, shared by the tests of a class; each is logged in."""

    datastore: Path  # its folder

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("sim")
        cls.addClassCleanup(cls.host.close)
        cls.datastore = cls.host.state / "datastores" / "datastore1"

    def setUp(self) -> None:
        super().setUp()
        self.log_in()

    def make(self, name: str, *options: str) -> None:
        self.out("vm", "create", name, *options)
        self.addCleanup(self.unmake, name)

    def unmake(self, name: str) -> None:
        """As far as the test has not done it."""
        for words in (["vm", "stop", name], ["vm", "destroy", "--yes", name]):
            subprocess.run([BINARY, *words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                           timeout=120)


class Snapshots(SimCase):
    def test_a_tree(self) -> None:
        self.make("web", "--disk", "8M")
        folder = self.datastore / "web"
        self.assertEqual([], self.json("snapshot", "list", "web"))
        self.out("snapshot", "create", "web", "one", "--description", "the first")
        self.assertTrue((folder / "web-Snapshot1.vmsn").exists())
        self.out("snapshot", "create", "web", "two")
        self.out("snapshot", "revert", "web", "one")
        self.out("vm", "start", "web")
        self.out("snapshot", "create", "web", "two", "--memory")
        self.assertTrue((folder / "web-Snapshot3.vmem").exists())
        lines = self.out("snapshot", "list", "web").splitlines()
        self.assertRegex(lines[0], r"^NAME +ID +NOW +TAKEN +HOLDS +DESCRIPTION")
        self.assertRegex(lines[1], r"^one +#1 .* disks +the first$")
        self.assertRegex(lines[2], r"^├─ two +#2 +- .* disks +-$")
        self.assertRegex(lines[3], r"^└─ two +#3 +here .* disks, memory +-$")
        (tree,) = self.json("snapshot", "list", "web")
        self.assertEqual(("one", "the first", 1, False), (tree["name"], tree["description"], tree["id"], tree["current"]))
        self.assertEqual([(2, False, "poweredOff"), (3, True, "poweredOn")],
                         [(c["id"], c["current"], c["state"]) for c in tree["children"]])
        self.assertIn("#2, #3", self.error(USAGE, "snapshot", "revert", "web", "two"))
        self.assertIn('no snapshot "three"', self.error(NOT_FOUND, "snapshot", "remove", "web", "three"))
        self.error(USAGE, "snapshot", "remove", "web")
        self.out("snapshot", "rename", "web", "#2", "off", "--description", "without memory")
        self.out("snapshot", "revert", "web", "off")
        self.assertEqual("off", self.power("web"))
        self.out("snapshot", "revert", "web", "#3", "--no-start")
        self.assertEqual("suspended", self.power("web"))
        self.out("snapshot", "revert", "web")
        self.assertEqual("on", self.power("web"))
        self.out("snapshot", "remove", "web", "off")
        self.assertFalse((folder / "web-Snapshot2.vmsn").exists())
        self.out("snapshot", "remove", "web", "--all")
        self.out("snapshot", "consolidate", "web")
        self.assertEqual([], self.json("snapshot", "list", "web"))
        self.assertEqual([], list(folder.glob("*Snapshot*")) + list(folder.glob("*-0*")))


class HostPower(SimCase):
    def test_autostart(self) -> None:
        for name in ("web", "db"):
            self.make(name)
        self.assertEqual((False, 120, "powerOff"), self.defaults())
        self.out("host", "autostart", "defaults", "--enable", "--delay", "30", "--stop", "guestShutdown")
        self.assertEqual((True, 30, "guestShutdown"), self.defaults())
        self.out("host", "autostart", "set", "web", "--order", "2")
        self.out("host", "autostart", "set", "db", "--order", "1", "--delay", "5", "--wait", "yes", "--stop", "suspend",
                 "--stop-delay", "0")
        machines = self.json("host", "autostart", "list")["machines"]
        keys = ("name", "order", "start", "start_delay_s", "wait", "stop", "stop_delay_s")
        self.assertEqual([("db", 1, "powerOn", 5, "yes", "suspend", 0),
                          ("web", 2, "powerOn", -1, "systemDefault", "systemDefault", -1)],
                         [tuple(m[key] for key in keys) for m in machines])
        lines = self.out("host", "autostart", "list").splitlines()
        self.assertRegex(lines[0], "^enabled; defaults: start delay 30 s, no wait for the guest, guestShutdown")
        self.assertRegex(lines[2], r"^ +1  db +powerOn +5 s +yes +suspend +0 s$")
        self.out("host", "autostart", "remove", "db")
        self.assertEqual({"db": ("none", "none"), "web": ("powerOn", "systemDefault")},
                         {m["name"]: (m["start"], m["stop"]) for m in self.json("host", "autostart", "list")["machines"]})
        self.error(USAGE, "host", "autostart", "set", "web", "--order", "0")
        self.error(USAGE, "host", "autostart", "defaults", "--wait", "maybe")
        self.error(USAGE, "host", "autostart", "defaults", "--enable", "--disable")
        self.error(NOT_FOUND, "host", "autostart", "set", "nobody")
        self.assertIn("is not none", self.error(FAILED, "host", "autostart", "set", "web", "--stop", "explode"))

    def defaults(self) -> tuple[bool, int, str]:
        defaults = self.json("host", "autostart", "list")["defaults"]
        return defaults["enabled"], defaults["start_delay_s"], defaults["stop"]

    def test_maintenance(self) -> None:
        self.make("web", "--start")
        self.assertIn("still on after 1 s", self.error(FAILED, "host", "maintenance", "enter", "--timeout", "1"))
        self.out("vm", "stop", "web")
        self.out("host", "maintenance", "enter")
        self.assertTrue(self.json("host", "show")[0]["maintenance"])
        self.assertIn("in maintenance mode", self.error(FAILED, "vm", "start", "web"))
        self.out("host", "maintenance", "exit")
        self.assertFalse(self.json("host", "show")[0]["maintenance"])
        self.out("vm", "start", "web")

    def test_power(self) -> None:
        self.assertIn("--yes", self.error(USAGE, "host", "reboot"))
        self.assertIn("--power-program", self.error(FAILED, "host", "shutdown", "--yes", "--force"))
        said = self.folder / "said"
        program = self.folder / "program"
        program.write_text(f'#!/bin/sh\necho "$1" >> {said}\n')
        program.chmod(0o755)
        with TenkyuHost("sim", args=("--power-program", str(program))) as self.host:
            self.log_in()
            self.assertIn("not in maintenance mode", self.error(FAILED, "host", "reboot", "--yes"))
            self.out("host", "reboot", "--yes", "--force")
            terminal = self.terminal("host", "shutdown", "--force")
            terminal.expect(r"\[yes/no\]")
            terminal.type("yes\n")
            self.assertEqual(OK, terminal.wait(), terminal.text)
        self.assertEqual("reboot\npoweroff\n", said.read_text())


class HostServices(SimCase):
    def test_options(self) -> None:
        key = "Config.HostAgent.vmacore.soap.sessionTimeout"
        self.out("host", "option", "set", key, "45")
        values = {o["key"]: o["value"] for o in self.json("host", "option", "list")}
        self.assertEqual(45, values[key])
        self.assertRegex(self.out("host", "option", "list", "Config."), rf"(?m)^{key} +45 +Minutes")
        self.assertEqual([], self.json("host", "option", "list", "Nothing."))
        self.error(USAGE, "host", "option", "set", key, "many")
        self.assertIn("not between", self.error(FAILED, "host", "option", "set", key, "10081"))
        self.assertIn("no option", self.error(FAILED, "host", "option", "set", "No.Such", "1"))

    def test_views_of_the_machine(self) -> None:
        (service,) = [s for s in self.json("host", "services") if s["key"] == "hostd"]
        self.assertEqual((True, "on", [f"{self.host.address[1]}/tcp in"]),
                         (service["running"], service["policy"], service["ports"]))
        self.assertRegex(self.out("host", "services"), rf"(?m)^hostd +running +on +{self.host.address[1]}/tcp in +Tenkyu")
        sensors = self.json("host", "health")
        self.assertEqual(1 + len(sensors), len(self.out("host", "health").splitlines()))

    def test_licenses(self) -> None:
        self.out("license", "add", "AAAAA-BBBBB", "--label", "bought=yesterday", "--label", "by=Jane")
        licenses = {li["key"]: li["labels"] for li in self.json("license", "list")}
        self.assertEqual({"bought": "yesterday", "by": "Jane"}, licenses["AAAAA-BBBBB"])
        self.assertIn("bought=yesterday, by=Jane", self.out("license", "list"))
        self.out("license", "remove", "AAAAA-BBBBB")
        self.assertNotIn("AAAAA-BBBBB", {li["key"] for li in self.json("license", "list")})
        self.error(USAGE, "license", "add", "AAAAA", "--label", "nothing")
        self.error(FAILED, "license", "remove", "AAAAA")


class VirtualMachines(SimCase):
    def test_create(self) -> None:
        self.make("web", "--cpus", "2", "--memory", "512M", "--disk", "1G", "--disk", "2G,thick,nvme",
                  "--nic", "VM Network,e1000", "--serial", "--option", "my.key=my value")
        vmx = (self.datastore / "web" / "web.vmx").read_text()
        self.assertRegex(vmx, r'(?m)^numvcpus = "2"$')
        self.assertRegex(vmx, r'(?m)^memsize = "512"$')
        self.assertRegex(vmx, r'(?m)^my\.key = "my value"$')
        self.assertTrue((self.datastore / "web" / "web.vmdk").is_file())
        vm = self.json("vm", "show", "web")
        self.assertEqual(("web", "off", 2, 512 << 20),
                         (vm["name"], vm["power"], vm["cpus"], vm["memory_bytes"]))
        self.assertEqual([(1 << 30, True, "pvscsi"), (2 << 30, False, "nvme")],
                         [(d["capacity_bytes"], d["thin"], d["controller"]) for d in vm["disks"]])
        self.assertEqual([("e1000", "VM Network")], [(n["model"], n["network"]) for n in vm["nics"]])
        self.assertEqual(1, len(vm["serial_ports"]))
        self.assertEqual("my value", vm["options"]["my.key"])
        text = self.out("vm", "show", "web")
        self.assertRegex(text, r"(?m)^memory +512 MiB$")
        self.assertIn("[datastore1] web/web.vmdk", text)

    def test_create_fails(self) -> None:
        self.make("web")
        self.assertIn('"web" is taken', self.error(FAILED, "vm", "create", "web"))
        self.error(NOT_FOUND, "vm", "create", "other", "--datastore", "nowhere")
        message = self.error(USAGE, "vm", "create", "other", "--disk", "big")
        self.assertIn('"big" is not a size', message)
        self.assertIn("usage: tenkyu vm create", message)
        self.assertIsNone(self.power("other"))
        self.assertFalse((self.datastore / "other").exists())

    def test_power(self) -> None:
        self.make("web", "--start")
        self.assertEqual("on", self.power("web"))
        for command, state in (("reset", "on"), ("suspend", "suspended"), ("resume", "on"), ("stop", "off"),
                               ("start", "on"), ("shutdown", "off")):
            with self.subTest(command=command):
                self.out("vm", command, "web")
                self.assertEqual(state, self.power("web"))
        self.assertIn("it is not suspended but off", self.error(FAILED, "vm", "resume", "web"))
        self.assertEqual("off", self.power("web"))

    def test_several(self) -> None:
        """A name that is not there stops all; a machine that cannot does not stop the others."""
        for name in ("a", "b", "c"):
            self.make(name)
        self.out("vm", "start", "b")
        self.assertIn('no virtual machine "d"', self.error(NOT_FOUND, "vm", "start", "a", "d"))
        self.assertEqual("off", self.power("a"))
        outcomes = self.json("vm", "start", "a", "b", "c", expect=FAILED)
        self.assertEqual([("a", True), ("b", False), ("c", True)], [(o["name"], o["ok"]) for o in outcomes])
        self.assertEqual("InvalidPowerState", outcomes[1]["error"]["fault"])
        self.assertEqual(["on", "on", "on"], [self.power(name) for name in ("a", "b", "c")])

    def test_names(self) -> None:
        self.make("Web Server")
        vm_id = self.json("vm", "show", "Web Server")["id"]
        self.assertEqual("Web Server", self.json("vm", "show", vm_id)["name"])
        self.assertIn('did you mean "Web Server"?', self.error(NOT_FOUND, "vm", "show", "web server"))

    def test_destroy(self) -> None:
        self.make("web", "--disk", "1G", "--start")
        self.assertIn("add --yes", self.error(USAGE, "vm", "destroy", "web"))
        self.assertIn("run `tenkyu vm stop web` first", self.error(FAILED, "vm", "destroy", "--yes", "web"))
        self.out("vm", "stop", "web")
        self.assertTrue((self.datastore / "web").is_dir())
        self.out("vm", "destroy", "--yes", "web")
        self.assertFalse((self.datastore / "web").exists())
        self.assertIsNone(self.power("web"))

    def test_destroy_asks(self) -> None:
        self.make("web")
        for answer, code, state in (("no", FAILED, "off"), ("yes", OK, None)):
            terminal = self.terminal("vm", "destroy", "web")
            terminal.expect(r"Delete with all files: web\? \[yes/no\]")
            terminal.type(answer + "\n")
            self.assertEqual(code, terminal.wait(), terminal.text)
            self.assertEqual(state, self.power("web"))

    def test_register(self) -> None:
        self.make("web")
        self.out("vm", "unregister", "web")
        self.assertIsNone(self.power("web"))
        self.assertTrue((self.datastore / "web" / "web.vmx").is_file())
        self.assertEqual("web", self.json("vm", "register", "[datastore1] web/web.vmx")["name"])
        self.assertEqual("off", self.power("web"))
        self.error(NOT_FOUND, "vm", "register", "[datastore1] no/no.vmx")
        self.error(USAGE, "vm", "register", "web/web.vmx")

    def test_screenshot(self) -> None:
        self.make("web", "--start")
        before = sorted(self.datastore.rglob("*"))
        picture = self.folder / "screen.png"
        self.out("vm", "screenshot", "web", str(picture))
        self.assertEqual(b"\x89PNG\r\n\x1a\n", picture.read_bytes()[:8])
        self.assertEqual(before, sorted(self.datastore.rglob("*")))  # nothing is left there
        self.out("vm", "stop", "web")
        self.error(FAILED, "vm", "screenshot", "web", str(self.folder / "other.png"))
        self.assertFalse((self.folder / "other.png").exists())

    def test_console_refused(self) -> None:
        self.make("web", "--serial")
        self.error(FAILED, "vm", "console", "web")
        self.out("vm", "start", "web")
        self.assertIn("there is no console: ", self.error(FAILED, "vm", "console", "web"))
        address = self.host.url.removeprefix("http")
        self.assertRegex(self.out("vm", "console", "web", "--url"), rf"^ws{re.escape(address)}/ticket/\w+\n$")

    def test_list(self) -> None:
        for name in ("vm10", "vm2", "天球"):
            self.make(name)
        self.assertEqual(["vm2", "vm10", "天球"], [vm["name"] for vm in self.json("vm", "list")])
        lines = self.out("vm", "list").splitlines()
        self.assertRegex(lines[0], r"^NAME +ID +POWER +CPUS +MEMORY ")
        column = lines[0].index("POWER")
        self.assertEqual("off", lines[1][column:].split()[0])
        self.assertEqual("off", lines[3][column - 2:].split()[0])  # its two letters are two columns wide each


class Host(SimCase):
    def test_show(self) -> None:
        (host,) = self.json("host", "show")
        self.assertEqual(("ha-host", self.host.url, "connected"),
                         (host["id"], host["url"], host["connection"]))
        self.assertGreater(host["memory_bytes"], 1 << 20)
        self.assertRegex(self.out("host", "show"), r"(?m)^state +connected$")

    def test_tasks_and_events(self) -> None:
        self.make("web", "--start")
        task = next(t for t in self.json("task", "list")
                    if t["target"] == "web" and t["operation"].startswith("PowerOnVM"))
        self.assertEqual(("success", self.host.user), (task["state"], task["user"]))
        self.assertRegex(task["completed"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
        self.assertRegex(self.out("task", "list"), r"PowerOnVM_Task +web +root +success")
        events = self.json("event", "list", "--count", "3")
        self.assertEqual(3, len(events))
        self.assertEqual("VmPoweredOnEvent", events[-1]["type"])
        self.assertEqual("web", events[-1]["target"])
        self.assertEqual(sorted(e["key"] for e in events), [e["key"] for e in events])
        self.error(USAGE, "event", "list", "--count", "0")

    def test_version(self) -> None:
        version = self.json("version")
        self.assertEqual(self.host.url, version["server"]["url"])
        self.out("logout")
        self.assertNotIn("server", self.json("version"))


class Datastores(SimCase):
    def test_list(self) -> None:
        (datastore,) = self.json("datastore", "list")
        self.assertEqual("datastore1", datastore["name"])
        self.assertGreater(datastore["capacity_bytes"], datastore["free_bytes"])
        self.assertRegex(self.out("datastore", "list"), r"(?m)^datastore1 .* ready ")

    def check_other_datastore(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual("other", self.json("datastore", "add", "other", "--folder", folder)["name"])
            self.error(USAGE, "datastore", "add", "third")
            self.error(USAGE, "datastore", "add", "third", "--folder", folder, "--nfs", "server:/vms")
            self.error(USAGE, "datastore", "add", "third", "--nfs", "server")
            self.error(FAILED, "datastore", "add", "third", "--nfs", "server.invalid:/vms")
            self.error(FAILED, "datastore", "rename", "other", "datastore1")
            self.out("datastore", "rename", "other", "spare")
            names = {each["name"]: each for each in self.json("datastore", "list")}
            self.assertEqual({"datastore1", "spare"}, set(names))
            spare = names["spare"]
            self.assertGreaterEqual(spare["provisioned_bytes"], spare["capacity_bytes"] - spare["free_bytes"])
            self.out("datastore", "remove", "spare")
            self.assertEqual(1, len(self.json("datastore", "list")))

    def test_put_and_get(self) -> None:
        data = os.urandom(5 << 20)
        source = self.folder / "100% söme file.bin"
        source.write_bytes(data)
        self.out("datastore", "mkdir", "[datastore1] deep/iso")
        self.check_other_datastore()
        self.out("datastore", "put", str(source), "[datastore1] deep/iso/")
        self.assertEqual(data, (self.datastore / "deep" / "iso" / source.name).read_bytes())
        target = self.folder / "back.bin"
        document = self.json("datastore", "get", f"[datastore1] deep/iso/{source.name}", str(target))
        self.assertEqual(str(target), document["to"])
        self.assertEqual(data, target.read_bytes())
        done = subprocess.run([BINARY, "datastore", "get", f"[datastore1] deep/iso/{source.name}", "-"],
                              env=self.env, capture_output=True, timeout=60)
        self.assertEqual(data, done.stdout)
        (file,) = self.json("datastore", "ls", "[datastore1] deep/iso")
        self.assertEqual((source.name, 5 << 20), (file["name"], file["size_bytes"]))
        (folder,) = self.json("datastore", "ls", "[datastore1] deep")
        self.assertEqual(("iso", "folder"), (folder["name"], folder["kind"]))
        table = self.out("datastore", "ls", "[datastore1] deep/iso")
        self.assertRegex(table, r"(?m)^ *5 MiB .* 100% söme file")
        self.error(USAGE, "datastore", "rm", "[datastore1] deep")
        self.assertTrue((self.datastore / "deep").exists())
        self.out("datastore", "rm", "--yes", "[datastore1] deep")
        self.assertFalse((self.datastore / "deep").exists())

    def test_get_fails(self) -> None:
        """What was in the target stays, and nothing else appears."""
        target = self.folder / "target"
        target.write_text("old")
        self.error(NOT_FOUND, "datastore", "get", "[datastore1] nothing", str(target))
        self.error(NOT_FOUND, "datastore", "get", "[nowhere] x", str(target))
        self.error(USAGE, "datastore", "get", "datastore1/x", str(target))
        self.assertNotEqual(OK, subprocess.run([BINARY, "datastore", "get", "[datastore1] ../../users.json",
                                                str(target)], env=self.env, capture_output=True).returncode)
        self.assertEqual("old", target.read_text())
        self.assertEqual({"target", "config"}, {path.name for path in self.folder.iterdir()})

    def test_put_fails(self) -> None:
        self.error(NOT_FOUND, "datastore", "put", str(self.folder / "missing"), "[datastore1] x")
        self.error(FAILED, "datastore", "put", str(self.folder), "[datastore1] x")
        self.assertFalse((self.datastore / "x").exists())

    def test_progress(self) -> None:
        source = self.folder / "file"
        source.write_bytes(b"x" * (3 << 20))
        terminal = self.terminal("datastore", "put", str(source), "[datastore1] file")
        self.assertEqual(OK, terminal.wait(), terminal.text)
        self.assertRegex(terminal.text, r"\[#* *\] [\d.]+ \wi?B of 3 MiB")
        self.assertRegex(terminal.text, r"\r\x1b\[K[^\r]*file is copied to \[datastore1\] file\.\r\n$")
        self.out("datastore", "rm", "--yes", "[datastore1] file")


class Sessions(SimCase):
    def test_session_file(self) -> None:
        file = self.folder / "config" / "tenkyu" / "session.json"
        self.assertEqual(0o600, file.stat().st_mode & 0o777)
        self.assertEqual(0o700, file.parent.stat().st_mode & 0o777)
        self.assertNotIn(self.host.password, file.read_text())
        self.out("logout")
        self.assertFalse(file.exists())
        self.assertIn("run `tenkyu login https://HOST`", self.error(NOT_LOGGED_IN, "vm", "list"))
        self.error(NOT_LOGGED_IN, "logout")

    def test_damaged_file(self) -> None:
        (self.folder / "config" / "tenkyu" / "session.json").write_text("{")
        self.assertIn("cannot be used", self.error(NOT_LOGGED_IN, "vm", "list"))
        self.log_in()
        self.out("vm", "list")

    def test_wrong_password(self) -> None:
        message = self.error(NOT_LOGGED_IN, "login", self.host.url, env={"TENKYU_PASSWORD": "wrong"})
        self.assertIn("does not accept this user name and password", message)
        self.out("vm", "list")  # the session before is still there

    def test_session_ended(self) -> None:
        """Ended on the server's side: the message says what to do, and a password helps by itself."""
        self.end_session()
        message = self.error(NOT_LOGGED_IN, "vm", "list")
        self.assertIn(f"has ended; run `tenkyu login {self.host.url}`", message)
        self.run_cli("vm", "list", env={"TENKYU_PASSWORD": self.host.password})

    def end_session(self) -> None:
        """Logs out behind the back of the remembered session."""
        file = self.folder / "config" / "tenkyu" / "session.json"
        text = file.read_text()
        self.out("logout")
        file.write_text(text)

    def test_environment(self) -> None:
        """A script needs no login, and leaves no session behind."""
        self.out("logout")
        password = {"TENKYU_URL": self.host.url, "TENKYU_PASSWORD": self.host.password}
        file = {"TENKYU_URL": self.host.url, "TENKYU_PASSWORD_FILE": str(self.host.password_file)}
        for environment in (password, file):
            self.run_cli("vm", "list", env=environment)
            events = json.loads(self.run_cli("event", "list", "--json", env=environment).stdout)
            kinds = [event["type"] for event in events]
            self.assertEqual(["UserLogoutSessionEvent", "UserLoginSessionEvent"], kinds[-2:])
        self.error(NOT_LOGGED_IN, "vm", "list", env={"TENKYU_URL": self.host.url})
        self.error(USAGE, "vm", "list", env=password | {"TENKYU_URL": "ftp://x"})
        self.assertFalse((self.folder / "config" / "tenkyu" / "session.json").exists())

    def test_unreachable(self) -> None:
        message = self.error(FAILED, "login", "--password-file", str(self.host.password_file),
                             "http://127.0.0.1:1")
        self.assertIn("cannot reach http://127.0.0.1:1", message)

    def test_asks_for_password(self) -> None:
        self.out("logout")
        terminal = self.terminal("login", self.host.url)
        terminal.expect("Password of root at ")
        terminal.type(self.host.password + "\n")
        self.assertEqual(OK, terminal.wait(), terminal.text)
        self.assertNotIn(self.host.password, terminal.text)
        self.out("vm", "list")


class Tls(CliCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost("sim", tls=True)
        cls.addClassCleanup(cls.host.close)

    def thumbprint(self) -> str:
        message = self.error(FAILED, "login", "--password-file", str(self.host.password_file), self.host.url)
        found = re.search(r"--thumbprint (\S+) ", message)
        assert found is not None, message
        return found[1]

    def log_in_with(self, *options: str, expect: int = OK) -> str:
        done = self.run_cli("login", "--password-file", str(self.host.password_file), *options, self.host.url,
                            expect=expect)
        return done.stdout + done.stderr

    def test_thumbprint(self) -> None:
        thumbprint = self.thumbprint()
        self.assertFalse((self.folder / "config").exists())
        self.log_in_with("--thumbprint", thumbprint.replace(":", "").lower())
        self.out("vm", "list")
        self.log_in_with()  # known by now
        wrong = thumbprint[:-1] + ("0" if thumbprint[-1] != "0" else "1")
        self.assertIn("has another thumbprint", self.log_in_with("--thumbprint", wrong, expect=FAILED))

    def test_asks(self) -> None:
        thumbprint = self.thumbprint()
        for answer, code in (("no", FAILED), ("yes", OK)):
            terminal = self.terminal("login", "--password-file", str(self.host.password_file), self.host.url)
            terminal.expect(r"Trust it from now on\? \[yes/no\]")
            self.assertIn(thumbprint, terminal.text)
            terminal.type(answer + "\n")
            self.assertEqual(code, terminal.wait(), terminal.text)
        self.out("vm", "list")

    def test_ca_file(self) -> None:
        self.log_in_with("--ca-file", str(self.host.state / "tls" / "ca.pem"))
        self.out("vm", "list")
        self.assertIn("is not trusted", self.log_in_with("--ca-file", "/etc/hostname", expect=FAILED))

    def test_insecure(self) -> None:
        self.log_in_with("--insecure")
        self.out("vm", "list")
        self.log_in_with(expect=FAILED)  # it is not remembered as trust

    def test_environment(self) -> None:
        environment = {"TENKYU_URL": self.host.url, "TENKYU_PASSWORD": self.host.password}
        self.error(FAILED, "vm", "list", env=environment)
        self.run_cli("vm", "list", env=environment | {"TENKYU_THUMBPRINT": self.thumbprint()})

    def test_another_key(self) -> None:
        """A host with another key at the same address gets nothing of the session."""
        self.log_in_with("--thumbprint", self.thumbprint())
        with TenkyuHost("sim", tls=True, start=False) as impostor:
            self.host.stop()
            try:
                impostor.start(port=self.host.address[1])
                message = self.error(FAILED, "vm", "list")
            finally:
                impostor.stop()
                self.host.start()
        self.assertIn("is not the one that was accepted at login; nothing was sent", message)


class Shell(CliCase):
    """What needs no host."""

    def test_usage(self) -> None:
        self.assertIn("usage: tenkyu COMMAND", self.out())
        self.assertEqual(self.out("help"), self.out("--help"))
        self.assertIn("there is no command", self.error(USAGE, "frobnicate"))
        self.assertIn("vm create", self.error(USAGE, "vm"))
        self.assertIn("NAME is missing", self.error(USAGE, "vm", "show"))
        self.assertIn("--firmware KIND", self.out("vm", "create", "--help"))

    def test_output_that_fails(self) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run([BINARY, "help"], env=self.env, stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(FAILED, done.returncode)

    def commands(self) -> list[str]:
        found = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)*)  ", self.out("help"))
        return [name for name in found if name != "host"]

    def test_manual(self) -> None:
        """The manual page has every command and every option."""
        page = (ROOT / "docs" / "man" / "tenkyu.1").read_text().replace("\\-", "-")
        self.assertGreater(len(self.commands()), 25)
        for command in self.commands():
            with self.subTest(command=command):
                self.assertRegex(page, rf"(?m)^\.BI? \"?tenkyu {command}\b")
                for option in re.findall(r"(?m)^  (--[a-z-]+)", self.out("help", *command.split())):
                    self.assertIn(option, page)

    def complete(self, *words: str) -> list[str]:
        """What bash offers for a command line whose last word is begun."""
        script = f"""
            source {ROOT}/completion/tenkyu
            COMP_WORDS=({BINARY} "$@"); COMP_CWORD=$#
            compopt() {{ :; }}
            _tenkyu
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", script, "bash", *words], env=self.env, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual("", done.stderr)
        return done.stdout.split("\n")[:-1]

    def test_completion(self) -> None:
        self.assertEqual(["datastore", "disk"], self.complete("d"))
        self.assertEqual(["--yes"], self.complete("vm", "destroy", "--y"))
        with TenkyuHost("sim") as self.host:
            self.log_in()
            for name in ("web 1", "web2", "mail"):
                self.out("vm", "create", name)
            self.assertEqual(["web\\ 1", "web2"], self.complete("vm", "start", "web"))
            self.assertEqual(["mail"], self.complete("vm", "start", "web2", "m"))
            self.assertEqual(["datastore1"], self.complete("vm", "create", "--datastore", ""))


class Console(CliCase):
    """A real guest."""

    def test_console(self) -> None:
        medium = guest.folder() / "demo.iso"
        with TenkyuHost("qemu", tls=True) as self.host:
            self.out("login", "--password-file", str(self.host.password_file), "--ca-file",
                     str(self.host.state / "tls" / "ca.pem"), self.host.url)
            self.out("datastore", "put", str(medium), "[datastore1] demo.iso")
            self.out("vm", "create", "web", "--memory", "256M", "--serial", "--start",
                     "--cdrom", "[datastore1] demo.iso")
            self.use_console()
            self.leave_by_signal()
            self.out("vm", "screenshot", "web", str(self.folder / "screen.png"))
            self.assertEqual(b"\x89PNG", (self.folder / "screen.png").read_bytes()[:4])
            self.out("vm", "shutdown", "web")
            self.assertEqual("off", self.power("web"))

    def use_console(self) -> None:
        """Log in at the guest's console and have it compute something."""
        terminal = self.terminal("vm", "console", "web")
        terminal.expect("Connected to the serial console of web")
        terminal.expect("login: $", 120)
        terminal.type("root\r")
        terminal.expect(PROMPT)
        terminal.type("echo answer=$((6 * 7))\r")
        terminal.expect("answer=42")
        terminal.type("sleep 1000\r")
        terminal.expect("sleep 1000\r\n")
        terminal.type("\x03")  # for the guest, not for the client
        terminal.expect(r"sleep 1000\r\n[\s\S]*" + PROMPT)
        terminal.type("\x1d")
        self.assertEqual(OK, terminal.wait(), terminal.text)

    def leave_by_signal(self) -> None:
        terminal = self.terminal("vm", "console", "web")
        terminal.expect("Connected")
        terminal.type("\r")
        terminal.expect(PROMPT)
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(OK, terminal.wait(), terminal.text)


if __name__ == "__main__":
    unittest.main()
