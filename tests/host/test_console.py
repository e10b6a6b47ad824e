# SPDX-License-Identifier: Apache-2.0
"""The console: RFB (RFC 6143) over the WebSocket that a ticket opens, with a real guest that is typed to; and what
does not open one."""

from __future__ import annotations

import struct
import time
import unittest
from pathlib import Path
from typing import Any

from pyVmomi import vim

import guest
import vim_client as vi
from tenkyu_host import TenkyuHost

TICKET_LIFE_S = 30
RETURN = 0xFF0D  # X11's number of the key, as RFB has it
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Protocol": "binary"}


class Screen:
    """A client of RFB that knows raw pixels of 32 bits."""

    def __init__(self, stream: vi.WebSocket) -> None:
        self.stream = stream
        assert stream.read(12) == b"RFB 003.008\n"
        stream.sendall(b"RFB 003.008\n")
        assert 1 in stream.read(stream.read(1)[0])  # no further authentication: the ticket was it
        stream.sendall(b"\1")
        assert stream.read(4) == b"\0\0\0\0"
        stream.sendall(b"\1")  # others may look on
        self.width, self.height = struct.unpack(">HH", stream.read(4))
        assert stream.read(16)[0] == 32
        stream.read(struct.unpack(">I", stream.read(4))[0])  # a name
        stream.sendall(struct.pack(">BxHii", 2, 2, 0, -223))  # raw, and being told of a new size
        self.pixels = bytearray(4 * self.width * self.height)

    def type(self, text: str) -> None:
        for character in text:
            key = RETURN if character == "\n" else ord(character)
            for down in (1, 0):
                self.stream.sendall(struct.pack(">BBxxI", 4, down, key))

    def update(self, incremental: bool) -> None:
        """Asks for a picture, or for what is new in it, and waits for that."""
        self.stream.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))
        kind = self.stream.read(1)[0]
        while kind != 0:
            assert kind == 2, kind  # a bell
            kind = self.stream.read(1)[0]
        for _ in range(struct.unpack(">xH", self.stream.read(3))[0]):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self.stream.read(12))
            if encoding == -223:
                self.width, self.height = width, height
                self.pixels = bytearray(4 * width * height)
                continue
            assert encoding == 0, encoding
            for row in range(y, y + height):
                at = 4 * (row * self.width + x)
                self.pixels[at:at + 4 * width] = self.stream.read(4 * width)

    def wait_for(self, wanted: Any, what: str, timeout_s: float = 60) -> None:
        """Takes what is new until the picture is as wanted."""
        deadline = time.monotonic() + timeout_s
        while not wanted():
            assert time.monotonic() < deadline, what
            self.update(incremental=True)

    def lit(self) -> int:
        """How many pixels are not black."""
        return sum(self.pixels[at:at + 3] != b"\0\0\0" for at in range(0, len(self.pixels), 4))


class Console(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.host = TenkyuHost(hypervisor="qemu", tls=True)
        cls.addClassCleanup(cls.host.close)
        cls.client = vi.Client(cls.host)
        store = Path(cls.client.datacenter.datastore[0].info.path)
        for name in ("vmlinuz", "initrd.gz"):
            (store / name).write_bytes((guest.folder() / name).read_bytes())
        options = {"tenkyu.kernel": f"[{vi.DATASTORE}] vmlinuz", "tenkyu.initrd": f"[{vi.DATASTORE}] initrd.gz",
                   "tenkyu.append": "console=ttyS0,115200 console=tty0 panic=5 vt.global_cursor_default=0"}
        extra = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
        cls.vm = cls.client.create("console", vi.serial_file(f"[{vi.DATASTORE}] console/serial.txt"),
                                   vi.serial_console(), extraConfig=extra)
        cls.client.run(cls.vm.PowerOnVM_Task())
        cls.shell = guest.Shell(cls.client.websocket(cls.vm, "tenkyu.serial"))
        cls.addClassCleanup(cls.shell.close)
        cls.shell.wait_ready()
        cls.wait_in_guest("grep -q login: /dev/vcs1")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.shell.close()
        cls.client.run(cls.vm.PowerOffVM_Task())
        code = cls.host.stop()
        assert code == 0, f"the host ended with {code}\n{cls.host.log_text()[-4000:]}"

    @classmethod
    def wait_in_guest(cls, condition: str) -> None:
        """Until a shell's condition holds in the guest, which looks for 30 seconds."""
        told = cls.shell.run(f"for i in $(seq 300); do if {condition}; then echo so it is; break; fi; sleep 0.1; done")
        assert "so it is" in told, f"it does not come to: {condition}"

    def ticket(self, kind: str = "webmks") -> str:
        return str(self.vm.AcquireTicket(kind).ticket)

    def open(self, ticket: str) -> vi.WebSocket:
        address, port = self.host.address
        raw = vi.tls_context().wrap_socket(vi.socket.create_connection((address, port), 60))
        stream = vi.WebSocket(raw, f"/ticket/{ticket}")
        self.addCleanup(stream.close)
        return stream

    def status(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> int:
        """What an attempt at a connection is answered."""
        connection = self.client.connection()
        try:
            connection.request(method, path, headers=UPGRADE if headers is None else headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def test_typing_is_seen(self) -> None:
        """What is typed comes to the guest, and the guest's answer to the picture: of who types and of who looks on."""
        screen, other = Screen(self.open(self.ticket())), Screen(self.open(self.ticket("mks")))
        for one in (screen, other):
            one.update(incremental=False)
            self.assertGreater(one.lit(), 100)
        self.assertEqual(screen.pixels, other.pixels)
        before = bytes(screen.pixels)

        screen.type("root\n")
        self.wait_in_guest("grep -q '# ' /dev/vcs1")
        screen.type("clear\n")
        self.wait_in_guest("! grep -q login: /dev/vcs1")
        screen.wait_for(lambda: screen.pixels != before, "the picture does not change")
        screen.wait_for(lambda: screen.lit() < 1000, "the picture is not cleared")
        screen.type("echo typed-''here\n")
        self.wait_in_guest("grep -q typed-here /dev/vcs1")
        few = screen.lit()
        screen.wait_for(lambda: screen.lit() > few, "what was typed is not seen")
        for one in (screen, other):
            one.update(incremental=False)
        self.assertEqual(screen.pixels, other.pixels)
        self.assertNotEqual(before, screen.pixels)

    def press(self, *codes: int, **held: bool) -> int:
        """Keys by their USB numbers, as clients send them."""
        spec = vim.UsbScanCodeSpec
        modifiers = spec.ModifierType(**held) if held else None
        return int(self.vm.PutUsbScanCodes(spec(keyEvents=[
            spec.KeyEvent(usbHidCode=code, modifiers=modifiers) for code in codes])))

    def test_keys_by_their_usb_numbers(self) -> None:
        z, five, backspace = (key << 16 | 7 for key in (0x1D, 0x22, 0x2A))
        self.assertEqual(2, self.press(z, five, leftShift=True))
        self.assertEqual(1, self.press(z))
        self.wait_in_guest("grep -q 'Z%z' /dev/vcs1")
        self.assertEqual(3, self.press(backspace, backspace, backspace))
        self.wait_in_guest("! grep -q 'Z%z' /dev/vcs1")
        for wrong in (0x1D << 16, 0x1D << 16 | 12, 0x1D, 7, 0xFF << 16 | 7, 0x11D << 16 | 7, -1):
            with self.subTest(hex(wrong)), self.assertRaises(vi.vmodl.fault.InvalidArgument) as caught:
                self.press(z, wrong)
            self.assertEqual("spec.keyEvents[1].usbHidCode", caught.exception.invalidProperty)
        with self.assertRaises(vi.vmodl.fault.InvalidArgument):
            self.press(*[z] * 201)
        self.wait_in_guest("! grep -q zz /dev/vcs1")  # nothing of these was sent

    def test_a_ticket_opens_one_connection(self) -> None:
        ticket = self.ticket()
        Screen(self.open(ticket)).update(incremental=False)
        self.assertEqual(403, self.status(f"/ticket/{ticket}"))
        # An attempt that is none uses it up too.
        ticket = self.ticket()
        self.assertEqual(400, self.status(f"/ticket/{ticket}", headers={}))
        self.assertEqual(403, self.status(f"/ticket/{ticket}"))

    def test_what_is_no_ticket(self) -> None:
        ticket = self.ticket()
        self.assertRegex(ticket, "^[0-9a-f]{64}$")
        last = "0" if ticket[-1] != "0" else "1"
        for wrong in ("", "x", "0" * 64, ticket[:-1], ticket + "0", ticket[:-1] + last, ticket.upper() + "F", "/" + ticket,
                      "../ticket/" + ticket, "%00" + ticket, ticket + "/", ticket + "%2f", self.vm._moId, "*", "9" * 5000):
            with self.subTest(wrong[:80]):
                self.assertIn(self.status(f"/ticket/{wrong}"), (400, 403, 404))
        for path in ("/ticket", f"/tickets/{ticket}", f"/Ticket/{ticket}"):
            self.assertEqual(404, self.status(path), path)
        for kind in ("", "x", "WEBMKS", "guestControl", "mks "):
            with self.subTest(kind), self.assertRaises(vi.vmodl.fault.InvalidArgument) as caught:
                self.ticket(kind)
            self.assertEqual("ticketType", caught.exception.invalidProperty)
        Screen(self.open(ticket)).update(incremental=False)  # none of that was it

    def test_only_the_ticket_counts(self) -> None:
        """A page of another site has its visitor's cookie and its own Origin; neither opens anything. Whoever was
        given a ticket may hand it to a console page, wherever that comes from: so Origin is not looked at."""
        cookie = self.client.si._stub.cookie.split(";")[0]
        for origin in ("https://evil.example", "null", self.host.url):
            headers = {**UPGRADE, "Cookie": cookie, "Origin": origin}
            self.assertEqual(403, self.status(f"/ticket/{'0' * 64}", headers=headers))
            self.assertEqual(403, self.status(f"/ticket/{self.vm._moId}", headers=headers))
            self.assertEqual(101, self.status(f"/ticket/{self.ticket()}", headers={**UPGRADE, "Origin": origin}))

    def test_a_ticket_gets_old(self) -> None:
        ticket = self.ticket()
        given = time.monotonic()
        while time.monotonic() < given + TICKET_LIFE_S:
            # Those that are used at once are good all the time. The picture comes when there is something new.
            Screen(self.open(self.ticket())).update(incremental=False)
            self.shell.run("sleep 2")
        self.assertEqual(403, self.status(f"/ticket/{ticket}"))

    def test_a_machine_that_is_off(self) -> None:
        other = self.client.create("off")
        self.addCleanup(lambda: self.client.run(other.Destroy_Task()))
        with self.assertRaises(vim.fault.InvalidPowerState):
            other.AcquireTicket("webmks")
        with self.assertRaises(vim.fault.InvalidPowerState):
            other.PutUsbScanCodes(vim.UsbScanCodeSpec(keyEvents=[vim.UsbScanCodeSpec.KeyEvent(usbHidCode=0x40007)]))
        self.client.run(other.PowerOnVM_Task())
        ticket = other.AcquireTicket("webmks").ticket
        open_one = Screen(self.client.websocket(other, "webmks"))
        self.addCleanup(open_one.stream.close)
        self.client.run(other.PowerOffVM_Task())
        self.assertEqual(503, self.status(f"/ticket/{ticket}"))
        # Who is connected is told by the end of the connection.
        open_one.stream.settimeout(30)
        while open_one.stream.recv(65536):
            pass


if __name__ == "__main__":
    unittest.main()
