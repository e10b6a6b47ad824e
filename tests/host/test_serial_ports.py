#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Serial ports of a real guest: what it says arrives at the far end and what is said there arrives in it; over the
network and pipes, from both sides, encrypted, changed while it runs; and the far end comes and goes, and the host
does, while the guest runs on."""

from __future__ import annotations

import hashlib
import secrets
import socket
import ssl
import subprocess
import time
import unittest
from pathlib import Path
from typing import Any

import guest
import vim_client as vi
from tenkyu_host import TenkyuHost
from vim_client import vim, vmodl

Device = vim.vm.device
Port = Device.VirtualSerialPort
PATIENCE_S = 60


def port(key: int, backing: Any) -> Any:
    connect = Device.VirtualDevice.ConnectInfo(startConnected=True, connected=True, allowGuestControl=True)
    return Port(key=key, yieldOnPoll=True, backing=backing, connectable=connect)


def uri(service: str, direction: str, proxy: str | None = None) -> Any:
    return Port.URIBackingInfo(serviceURI=service, direction=direction, proxyURI=proxy)


def pipe(name: str, endpoint: str) -> Any:
    return Port.PipeBackingInfo(pipeName=name, endpoint=endpoint, noRxLoss=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def telnet_data(data: bytes) -> bytes:
    """What is left when telnet's commands are taken out."""
    out, at = bytearray(), 0
    while at < len(data):
        if data[at] != 255:
            out.append(data[at])
            at += 1
        elif data[at + 1:at + 2] == b"\xff":
            out.append(255)
            at += 2
        else:
            at += 3 if data[at + 1:at + 2] and data[at + 1] >= 251 else 2
    return bytes(out)


class SerialPorts(unittest.TestCase):
    """One machine: the first port is a file, the second the console with the shell, the third and fourth are those
    that are tried (ttyS2, ttyS3)."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="qemu", tls=True)
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        cls.store = Path(cls.client.datacenter.datastore[0].info.path)
        for name in ("vmlinuz", "initrd.gz"):
            (cls.store / name).write_bytes((guest.folder() / name).read_bytes())
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": "console=ttyS0,115200 panic=5"}
        extra = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
        cls.tcp = free_port()
        cls.vm = cls.client.create(
            "ports", vi.serial_file(f"[{vi.DATASTORE}] ports/serial.txt"), vi.serial_console(),
            vi.change(port(-402, uri(f"tcp://127.0.0.1:{cls.tcp}", "server"))),
            vi.change(port(-403, pipe("fourth", "server"))), extraConfig=extra)
        cls.client.run(cls.vm.PowerOnVM_Task())
        cls.enter()

    @classmethod
    def enter(cls) -> None:
        """Opens the shell, and in the guest the two ports, so that nothing that arrives is lost."""
        cls.shell = guest.Shell(cls.client.websocket(cls.vm, "tenkyu.serial"))
        cls.addClassCleanup(cls.shell.close)
        cls.shell.wait_ready()
        for n in (2, 3):
            cls.shell.run(f"[ -e /tmp/in{n} ] || {{ (stty raw -echo; exec cat >/tmp/in{n}) </dev/ttyS{n} & }}")
            cls.shell.wait_for(f"stty -a </dev/ttyS{n} 2>/dev/null | grep -c -e '-echo '", "1")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.shell.close()
        cls.client.run(cls.vm.PowerOffVM_Task())
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    def device(self, n: int) -> Any:
        return [d for d in self.vm.config.hardware.device if d.key == 9000 + n][0]

    def connect(self, n: int, backing: Any, connected: bool = True) -> None:
        device = self.device(n)
        device.backing = backing
        device.connectable.connected = connected
        self.client.reconfigure(self.vm, vi.change(device, "edit"))

    def call(self, address: Any, context: ssl.SSLContext | None = None) -> socket.socket:
        """Calls the guest's port."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE_S)
        self.addCleanup(connection.close)
        connection.connect(address)
        if context is not None:
            connection = context.wrap_socket(connection)
            self.addCleanup(connection.close)
        return connection

    def accept(self, server: socket.socket, context: ssl.SSLContext | None = None) -> socket.socket:
        """Is called by the guest's port."""
        server.settimeout(PATIENCE_S)
        connection, _ = server.accept()
        connection.settimeout(PATIENCE_S)
        self.addCleanup(connection.close)
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
            self.addCleanup(connection.close)
        return connection

    def pipe_path(self, name: str) -> str:
        return str(self.host.state / "pipes" / name)

    def converse(self, n: int, far: socket.socket) -> None:
        """A word from the far end to the guest, and one back. Each is repeated until it arrives, because what is
        said while nobody is connected is lost."""
        inward, outward = secrets.token_hex(8), secrets.token_hex(8)
        deadline = time.monotonic() + PATIENCE_S
        while inward not in self.shell.run(f"tail -c 2000 /tmp/in{n} | tr -d '\\000\\377'"):
            self.assertLess(time.monotonic(), deadline, "what is said does not arrive in the guest")
            far.sendall(f"<{inward}>".encode())
        got = b""
        far.settimeout(1)
        while outward not in telnet_data(got).decode(errors="replace"):
            self.assertLess(time.monotonic(), deadline, f"what the guest says does not arrive; {got!r} does")
            self.shell.run(f"echo '<{outward}>' >/dev/ttyS{n}")
            try:
                data = far.recv(65536)
            except TimeoutError:
                continue
            self.assertTrue(data, "the port has hung up")
            got += data
        far.settimeout(PATIENCE_S)

    def expect_end(self, far: socket.socket) -> None:
        far.settimeout(PATIENCE_S)
        try:
            while far.recv(65536):
                pass
        except ConnectionError:
            pass

    # ---- network -------------------------------------------------------------------------------------

    def test_called_by_tcp_and_telnet_and_callers_come_and_go(self) -> None:
        for scheme in ("tcp", "telnet"):
            self.connect(2, uri(f"{scheme}://127.0.0.1:{self.tcp}", "server"))
            for _ in range(2):
                far = self.call(("127.0.0.1", self.tcp))
                self.converse(2, far)
                far.close()
        self.assertEqual(f"telnet://127.0.0.1:{self.tcp}", self.device(2).backing.serviceURI)
        vmx = (self.store / "ports/ports.vmx").read_text()
        self.assertIn('serial2.fileType = "network"\n', vmx)
        self.assertIn(f'serial2.fileName = "telnet://127.0.0.1:{self.tcp}"\n', vmx)
        self.assertNotIn('serial2.network.endPoint = "client"\n', vmx)  # "server" is what it is without the key

    def test_calls_and_calls_again_when_the_far_end_restarts(self) -> None:
        for scheme in ("tcp", "telnet"):
            with socket.create_server(("127.0.0.1", 0)) as server:
                address = server.getsockname()
                self.connect(2, uri(f"{scheme}://127.0.0.1:{address[1]}", "client"))
                far = self.accept(server)
                self.converse(2, far)
                far.close()
                far = self.accept(server)
                self.converse(2, far)
            far.close()
            self.shell.run("true")  # nobody is there: the guest runs on
            with socket.create_server(address) as server:
                self.converse(2, self.accept(server))
        self.assertIn('serial2.network.endPoint = "client"\n', (self.store / "ports/ports.vmx").read_text())

    def test_a_far_end_that_does_not_read_stops_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.connect(2, uri(f"tcp://127.0.0.1:{server.getsockname()[1]}", "client"))
            far = self.accept(server)
            self.converse(2, far)
            self.shell.run("(yes too much | head -c 20000 >/dev/ttyS2) & true")
            self.shell.run("true")
            far.close()
            self.converse(2, self.accept(server))

    def test_encrypted_and_called(self) -> None:
        ca = self.host.state / "tls/ca.pem"
        context = ssl.create_default_context(cafile=ca)
        context_without = ssl.create_default_context()
        for scheme in ("telnets", "tcp4+ssl"):
            self.connect(2, uri(f"{scheme}://127.0.0.1:{self.tcp}", "server"))
            deadline = time.monotonic() + PATIENCE_S
            while True:  # it listens a moment after the change
                try:
                    far = self.call(("127.0.0.1", self.tcp))
                    break
                except ConnectionRefusedError:
                    self.assertLess(time.monotonic(), deadline)
            context.check_hostname = True
            far = context.wrap_socket(far, server_hostname="127.0.0.1")
            self.addCleanup(far.close)
            self.converse(2, far)
            far.close()
            with self.assertRaises(ssl.SSLCertVerificationError):
                context_without.wrap_socket(self.call(("127.0.0.1", self.tcp)), server_hostname="127.0.0.1")
            plain = self.call(("127.0.0.1", self.tcp))
            plain.sendall(b"no greeting of TLS\r\n")
            self.expect_end(plain)
            far = context.wrap_socket(self.call(("127.0.0.1", self.tcp)), server_hostname="127.0.0.1")
            self.addCleanup(far.close)
            self.converse(2, far)

    def make_certificate(self, name: str, signed: bool) -> tuple[ssl.SSLContext, str]:
        """A server's context, and the SHA-256 of its certificate; signed by the host's authority, or by itself."""
        folder, tls = self.host.state / f"far-{name}-{signed}", self.host.state / "tls"
        folder.mkdir(exist_ok=True)
        new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
               "-keyout", "far.key", "-out", "far.pem", "-days", "2", "-addext", f"subjectAltName=DNS:{name}"]
        if signed:
            new = [*new[:2], *new[3:-6], "-keyout", "far.key", "-out", "far.csr", "-addext", f"subjectAltName=DNS:{name}"]
        subprocess.run(new, cwd=folder, check=True, capture_output=True)
        if signed:
            subprocess.run(["openssl", "x509", "-req", "-in", "far.csr", "-CA", tls / "ca.pem", "-CAkey", tls / "ca.key", "-days", "2",
                            "-copy_extensions", "copy", "-out", "far.pem"], cwd=folder, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "far.pem", folder / "far.key")
        der = ssl.PEM_cert_to_DER_cert((folder / "far.pem").read_text())
        return context, hashlib.sha256(der).hexdigest()

    def test_encrypted_and_calls_whom_it_trusts(self) -> None:
        own, print_of_own = self.make_certificate("far.example", False)
        signed, _ = self.make_certificate("far.example", True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            base = f"ssl://127.0.0.1:{server.getsockname()[1]}"
            for parameters, context in (("", own), (f"#thumbprint={print_of_own}", own), ("#peerName=far.example", signed)):
                with self.subTest(parameters):
                    self.connect(2, uri(base + parameters, "client"))
                    self.converse(2, self.accept(server, context))
            for parameters, context in ((f"#thumbprint={'0' * 64}", own), ("#verify", own), ("#peerName=far.example", own),
                                        ("#peerName=other.example", signed)):
                with self.subTest(parameters):
                    self.connect(2, uri(base + parameters, "client"))
                    try:  # it greets, does not like what it sees, and hangs up, every time
                        for _ in range(2):
                            self.assertEqual(b"", self.accept(server, context).recv(100))
                    except (ssl.SSLError, ConnectionError):
                        pass
        self.shell.run("true")

    # ---- pipes -----------------------------------------------------------------------------------------

    def test_pipes_from_both_ends(self) -> None:
        self.connect(3, pipe("fourth", "server"))
        for _ in range(2):
            far = self.call(self.pipe_path("fourth"))
            self.converse(3, far)
            far.close()
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.pipe_path("fifth"))
            server.listen(1)
            self.connect(3, pipe("fifth", "client"))
            far = self.accept(server)
            self.converse(3, far)
            far.close()
            self.converse(3, self.accept(server))
        vmx = (self.store / "ports/ports.vmx").read_text()
        for line in ('serial3.fileType = "pipe"', 'serial3.fileName = "fifth"', 'serial3.pipe.endPoint = "client"',
                     'serial3.tryNoRxLoss = "TRUE"'):
            self.assertIn(line + "\n", vmx)

    def test_a_pipe_between_two_ports_and_nothing_is_lost(self) -> None:
        """More than any buffer on the way, with a reader that is slower than the pipe."""
        self.connect(2, pipe("between", "server"))
        self.connect(3, pipe("between", "client"))
        deadline = time.monotonic() + PATIENCE_S
        while "started" not in self.shell.run("tail -c 100 /tmp/in3"):  # until they are connected
            self.assertLess(time.monotonic(), deadline)
            self.shell.run("echo started >/dev/ttyS2")
        self.shell.run("seq 1 4000 >/tmp/sent; cat /tmp/sent >/dev/ttyS3")
        self.shell.wait_for("tail -n 1 /tmp/in2", "4000", PATIENCE_S)
        self.assertEqual("", self.shell.run("tail -n 3999 /tmp/in2 >/tmp/got; tail -n 3999 /tmp/sent | diff - /tmp/got | head -n 5"))

    # ---- changes -----------------------------------------------------------------------------------------

    def test_disconnected_and_connected_while_it_runs(self) -> None:
        here = uri(f"tcp://127.0.0.1:{self.tcp}", "server")
        self.connect(2, here)
        far = self.call(("127.0.0.1", self.tcp))
        self.converse(2, far)
        # A change that changes nothing of the port cuts nobody off.
        device = self.device(2)
        device.yieldOnPoll = False
        self.client.reconfigure(self.vm, vi.change(device, "edit"))
        self.assertFalse(self.device(2).yieldOnPoll)
        self.converse(2, far)
        self.connect(2, here, connected=False)
        self.expect_end(far)
        with self.assertRaises(ConnectionRefusedError):
            self.call(("127.0.0.1", self.tcp))
        self.shell.run("echo unheard >/dev/ttyS2")
        self.connect(2, here)
        self.converse(2, self.call(("127.0.0.1", self.tcp)))
        self.connect(2, Port.FileBackingInfo(fileName=f"[{vi.DATASTORE}] ports/third.txt"))
        self.shell.run("echo into a file >/dev/ttyS2")
        deadline = time.monotonic() + PATIENCE_S
        while "into a file" not in (self.store / "ports/third.txt").read_text(errors="replace"):
            self.assertLess(time.monotonic(), deadline)
        self.connect(2, here)
        self.converse(2, self.call(("127.0.0.1", self.tcp)))

    def test_a_change_that_fails_leaves_what_was(self) -> None:
        here = uri(f"tcp://127.0.0.1:{self.tcp}", "server")
        self.connect(2, here)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            with self.assertRaises(vim.fault.ResourceInUse) as caught:
                self.connect(2, uri(f"tcp://127.0.0.1:{taken.getsockname()[1]}", "server"))
            self.assertEqual(str(taken.getsockname()[1]), caught.exception.name)
        self.assertEqual(here.serviceURI, self.device(2).backing.serviceURI)
        self.converse(2, self.call(("127.0.0.1", self.tcp)))

    def test_suspended_and_resumed(self) -> None:
        self.connect(2, uri(f"tcp://127.0.0.1:{self.tcp}", "server"))
        self.connect(3, pipe("fourth", "server"), connected=False)
        self.client.run(self.vm.SuspendVM_Task())
        with self.assertRaises(ConnectionRefusedError):
            self.call(("127.0.0.1", self.tcp))
        self.client.run(self.vm.PowerOnVM_Task())
        self.enter()
        self.converse(2, self.call(("127.0.0.1", self.tcp)))
        self.assertFalse(self.device(3).connectable.connected)
        with self.assertRaises((ConnectionRefusedError, FileNotFoundError)):
            self.call(self.pipe_path("fourth"))
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.connect(2, uri(f"tcp://127.0.0.1:{server.getsockname()[1]}", "client"))
            self.accept(server)
            self.client.run(self.vm.SuspendVM_Task())
            self.client.run(self.vm.PowerOnVM_Task())
            self.enter()
            self.converse(2, self.accept(server))

    def test_the_host_dies_and_comes_back(self) -> None:
        """Who called stays connected, because QEMU has the connection; who is called is called again."""
        self.connect(2, uri(f"telnet://127.0.0.1:{self.tcp}", "server"))
        caller = self.call(("127.0.0.1", self.tcp))
        self.converse(2, caller)
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.connect(3, uri(f"tcp://127.0.0.1:{server.getsockname()[1]}", "client"))
            self.converse(3, self.accept(server))
            self.shell.close()
            self.host.kill9()
            self.host.start()
            type(self).client = vi.Client(self.host)
            (type(self).vm,) = [m for m in self.client.folder.childEntity if m.name == "ports"]
            self.assertTrue(self.device(3).connectable.connected)
            self.enter()
            self.converse(2, caller)
            self.converse(3, self.accept(server))

    # ---- refusals ----------------------------------------------------------------------------------------

    def test_what_is_refused_names_the_property(self) -> None:
        rows = ((uri("gopher://db:1", "client"), "serviceURI"), (uri("tcp://db,server=on:1", "client"), "serviceURI"),
                (uri("tcp://:443", "server"), "serviceURI"), (uri("unix:///run/systemd/private:1", "client"), "serviceURI"),
                (uri("tcp://db:1", "sideways"), "direction"), (pipe("/run/systemd/private", "client"), "pipeName"),
                (pipe("../run/monitor.sock", "client"), "pipeName"), (pipe("a", "sideways"), "endpoint"))
        before = self.vm.config.hardware.device
        for wrong, member in rows:
            with self.subTest(str(wrong)), self.assertRaises(vim.fault.InvalidDeviceBacking) as caught:
                self.connect(2, wrong)
            self.assertEqual(f"deviceChange[0].device.backing.{member}", caught.exception.property)
        with self.assertRaises(vmodl.fault.NotSupported) as caught:
            self.connect(2, uri("vSPC", "client", "telnet://vspc.example:13370"))
        self.assertIn("deviceChange[0].device.backing.proxyURI", caught.exception.msg)
        self.assertEqual([d.key for d in before], [d.key for d in self.vm.config.hardware.device])
        self.connect(2, uri(f"tcp://127.0.0.1:{self.tcp}", "server"))
        self.converse(2, self.call(("127.0.0.1", self.tcp)))

    def test_no_power_on_when_the_place_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            other = self.client.create("taken", vi.change(port(-400, uri(f"tcp://127.0.0.1:{taken.getsockname()[1]}", "server"))))
            self.addCleanup(lambda: self.client.run(other.Destroy_Task()))
            with self.assertRaises(vim.fault.ResourceInUse):
                self.client.run(other.PowerOnVM_Task())
        self.assertEqual("poweredOff", other.runtime.powerState)


if __name__ == "__main__":
    unittest.main()
