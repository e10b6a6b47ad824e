# SPDX-License-Identifier: Apache-2.0
"""Bad input: Requests that HTTP does not know, too many of them, and too slow ones. See bad_input.py."""

from __future__ import annotations

import http.client
import itertools
import socket
import tempfile
import threading
import time
import unittest
import unittest.mock
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from schema.model import Type

import tenkyu_host
import wire
from bad_input import DS, PASSWORD, POOL, VM_FOLDER, Case, spec
from tenkyu_host import TenkyuHost
from wire import Fault, Session, ref


class Http(Case):
    """Requests that are none, each of which would power a machine off if it were understood leniently."""

    def head(self, binding: str, *lines: str, start: str = "", drop: tuple[str, ...] = ()) -> bytes:
        """The beginning of a request that powers the running machine off, without its body."""
        session = self.roots[binding]
        path = session.path("VirtualMachine", self.vms["poweredOn"], "PowerOffVM_Task")
        headers = {"Host": "test", **session.headers()}
        kept = [f"{k}: {v}" for k, v in headers.items() if k not in drop]
        return "\r\n".join([start or f"POST {path} HTTP/1.1", *kept, *lines]).encode("latin-1") + b"\r\n\r\n"

    def body(self, binding: str) -> bytes:
        return self.roots[binding].body("VirtualMachine", self.vms["poweredOn"], "PowerOffVM_Task", {})

    def refused(self, name: str, data: bytes, *statuses: int) -> None:
        """The answer is one of these, and there is no second one; 0: none at all."""
        with self.subTest(name):
            found = wire.exchange(self.host, data)
            self.assertLessEqual(len(found), 1, found)
            status = found[0].status if found else 0
            self.assertIn(status, statuses, found)

    def test_where_the_body_ends(self) -> None:
        """What a proxy might read in another way than this server."""
        for binding in wire.BINDINGS:
            body = self.body(binding)
            n = len(body)
            whole = self.head(binding, f"Content-Length: {n}") + body
            chunked = f"{n:x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
            for name, lines, sent in (
                ("the same length twice", [f"Content-Length: {n}", f"Content-Length: {n}"], body),
                ("two lengths", [f"Content-Length: {n}", "Content-Length: 0"], body),
                ("a list of lengths", [f"Content-Length: {n}, {n}"], body),
                ("length and encoding", [f"Content-Length: {n}", "Transfer-Encoding: chunked"], chunked),
                ("encoding and length", ["Transfer-Encoding: chunked", "Content-Length: 0"], chunked),
                ("smuggled behind a length", ["Content-Length: 0", "Transfer-Encoding: chunked"],
                 b"0\r\n\r\n" + whole),
                ("encoding twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], chunked),
                ("a negative length", ["Content-Length: -1"], body),
                ("a length with a sign", [f"Content-Length: +{n}"], body),
                ("a length in hex", [f"Content-Length: 0x{n:x}"], body),
                ("a length with a blank", [f"Content-Length: {n} 0"], body),
                ("an empty length", ["Content-Length: "], body),
                ("a length that overflows", [f"Content-Length: {(1 << 64) + n}"], body),
                ("a blank before the colon", [f"Content-Length : {n}"], body),
                ("a folded header", ["X-A: b", " c", f"Content-Length: {n}"], body),
                ("a NUL in a header", ["X-A: b\0c", f"Content-Length: {n}"], body),
                ("a control character in a header", ["X-A: b\x01c", f"Content-Length: {n}"], body),
                ("a header without a name", [": b", f"Content-Length: {n}"], body),
                ("a header without a colon", ["nothing", f"Content-Length: {n}"], body),
                ("two hosts", ["Host: other", f"Content-Length: {n}"], body),
            ):
                self.refused(f"{binding}: {name}", self.head(binding, *lines) + sent, 400, 413, 501, 0)
            self.refused(f"{binding}: another encoding",
                         self.head(binding, "Transfer-Encoding: gzip, chunked") + chunked, 400, 501)
            self.refused(f"{binding}: no host", self.head(binding, f"Content-Length: {n}", drop=("Host",)) + body, 400)

    def test_bad_chunks(self) -> None:
        for binding in wire.BINDINGS:
            body = self.body(binding)
            size = f"{len(body):x}".encode()
            for name, sent in (
                ("no number", b"x\r\n" + body + b"\r\n0\r\n\r\n"),
                ("empty", b"\r\n" + body + b"\r\n0\r\n\r\n"),
                ("negative", b"-" + size + b"\r\n" + body + b"\r\n0\r\n\r\n"),
                ("a sign", b"+" + size + b"\r\n" + body + b"\r\n0\r\n\r\n"),
                ("0x", b"0x" + size + b"\r\n" + body + b"\r\n0\r\n\r\n"),
                ("overflowing", b"1" + b"0" * 16 + size + b"\r\n" + body + b"\r\n0\r\n\r\n"),
                ("huge", b"f" * 16 + b"\r\n" + body + b"\r\n0\r\n\r\n"),
                ("too small", b"1\r\n" + body + b"\r\n0\r\n\r\n"),
                ("too large", b"ffff\r\n" + body + b"\r\n0\r\n\r\n"),
                ("no line end behind it", size + b"\r\n" + body + b"0\r\n\r\n"),
                ("never ended", size + b"\r\n" + body + b"\r\n"),
                ("a number without an end", b"0" * 100_000 + size),
                ("an extension without an end", size + b";" + b"a" * 100_000),
                ("trailers without an end", size + b"\r\n" + body + b"\r\n0\r\n" + b"X-A: b\r\n" * 20_000),
            ):
                # What comes after a bad chunk is not known to be a request, so there is no second answer. 500 is
                # what libmicrohttpd says of a chunk's head that does not fit its memory.
                self.refused(f"{binding}: {name}",
                             self.head(binding, "Transfer-Encoding: chunked") + sent, 400, 413, 431, 500, 0)

    def test_start_lines(self) -> None:
        path = self.root.path("VirtualMachine", self.vms["poweredOn"], "PowerOffVM_Task")
        tail = ["Content-Length: 2"]
        for name, start, statuses in (
            ("an unknown method", f"BREW {path} HTTP/1.1", (405,)),
            ("a method in small letters", f"post {path} HTTP/1.1", (405,)),
            ("a method of the future", f"{'M' * 5000} {path} HTTP/1.1", (405, 414, 431)),
            ("a tunnel", "CONNECT other:443 HTTP/1.1", (400, 404, 405)),
            ("an echo", f"TRACE {path} HTTP/1.1", (405,)),
            ("no method", f" {path} HTTP/1.1", (400, 405, 0)),
            ("no version", f"POST {path}", (400, 0)),
            ("HTTP of the future", f"POST {path} HTTP/3.0", (400, 505, 0)),
            ("not quite HTTP", f"POST {path} HTTQ/1.1", (400, 505, 0)),
            ("two blanks", f"POST  {path} HTTP/1.1", (400,)),
            ("a NUL in the path", f"POST {path}\0x HTTP/1.1", (400,)),
            ("a NUL, escaped", f"POST {path}%00 HTTP/1.1", (400,)),
            ("a bad escape", f"POST {path}%zz HTTP/1.1", (400,)),
            ("half an escape", f"POST {path}%2 HTTP/1.1", (400,)),
            ("no UTF-8", f"POST {path}%ff HTTP/1.1", (400,)),
            ("no slash", "POST sdk HTTP/1.1", (400,)),
            ("back out", f"POST /x/..{path} HTTP/1.1", (404,)),
            ("a slash too many", f"POST /{path} HTTP/1.1", (404,)),
            ("a slash, escaped", f"POST {path.replace('/PowerOff', '%2FPowerOff')}%2f HTTP/1.1", (404, 500)),
            ("a long path", f"POST {path}{'x' * 8_000} HTTP/1.1", (414, 431, 500)),
            ("a longer path", f"POST {path}{'x' * 100_000} HTTP/1.1", (414, 431)),
            ("a path of a megabyte", f"POST {path}{'x' * 1_000_000} HTTP/1.1", (414, 431, 0)),
            ("a long query", f"POST {path}?{'x' * 100_000} HTTP/1.1", (414, 431)),
        ):
            self.refused(name, self.head("json", *tail, start=start) + b"{}", *statuses)

    def test_too_much(self) -> None:
        for binding in wire.BINDINGS:
            body = self.body(binding)
            n = len(body)
            for name, line in (("a long header", "X-A: " + "b" * 40_000), ("a longer header", "X-A: " + "b" * 1_000_000),
                               ("a long name", "X" * 40_000 + ": b"), ("a long cookie", "Cookie: " + "a=b; " * 20_000),
                               ("many headers", "\r\n".join(["X-A: b"] * 20_000)),
                               ("a few too many headers", "\r\n".join(["X-A: b"] * 300))):
                self.refused(f"{binding}: {name}", self.head(binding, line, f"Content-Length: {n}") + body, 431, 413, 0)
            self.refused(f"{binding}: announced", self.head(binding, f"Content-Length: {1 << 30}") + body, 413)
            self.refused(f"{binding}: sent", self.head(binding, f"Content-Length: {17 << 20}") + body +
                         b" " * ((17 << 20) - n), 413, 0)
            chunks = b"".join(b"100000\r\n" + b" " * (1 << 20) + b"\r\n" for _ in range(17))
            self.refused(f"{binding}: in chunks", self.head(binding, "Transfer-Encoding: chunked") + chunks +
                         b"0\r\n\r\n", 413, 0)
            self.refused(f"{binding}: cut off", self.head(binding, f"Content-Length: {n + 10}") + body, 0, 400)

    def test_other_protocols(self) -> None:
        for name, data in (("nothing", b""), ("zeros", bytes(1000)), ("noise", bytes(range(256)) * 400),
                           ("TLS", bytes.fromhex("16030100c8010000c40303") + bytes(200)),
                           ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"), ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                           ("HTTP/0.9", b"GET /\r\n"), ("empty lines", b"\r\n" * 100_000),
                           ("one long line", b"a" * 1_000_000)):
            self.refused(name, data, 0, 400, 405, 414, 431, 505)
        body = self.body("json")
        length = f"Content-Length: {len(body)}"
        self.refused("an expectation", self.head("json", "Expect: the-unexpected", length), 0, 400, 417)
        for name in ("h2c", "websocket", "TLS/1.3"):
            head = self.head("json", f"Upgrade: {name}", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                             "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", start="GET / HTTP/1.1")
            self.assertEqual(200, wire.exchange(self.host, head)[0].status, name)  # an offer that need not be taken

    def test_a_session_is_one_value(self) -> None:
        """Keys that are none, and keys beside each other."""
        good = self.root.secret
        assert good is not None
        bad = ("", "x", "0" * 64, good[:-1], good + "0", good.upper(), "../" + good, good * 100, "\xff" * 64)
        for key, binding in itertools.product(bad, wire.BINDINGS):
            with self.subTest(key=key[:80], binding=binding):
                session = Session(self.host, binding)
                session.secret = key
                self.addCleanup(session.close)
                try:
                    self.fault("NotAuthenticated", session.call, "VirtualMachine", self.vms["poweredOn"],
                               "PowerOffVM_Task")
                except http.client.HTTPException:
                    self.fail("no answer")


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not hung up; takes what it has said."""
    try:
        while data := connection.recv(65536, socket.MSG_DONTWAIT):
            del data
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


class Load(Case):
    """Many clients that are slow, or that leave things behind, and one that is neither."""

    def connect(self, data: bytes = b"", receive_bytes: int = 0) -> socket.socket:
        connection = socket.socket()
        self.addCleanup(connection.close)
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.connect(self.host.address)
        connection.sendall(data)
        return connection

    def good_client(self, calls: int = 50) -> None:
        """A new one. What it asks for comes soon: seconds, where a stopped server would take for ever."""
        for binding in wire.BINDINGS:
            session = Session(self.host, binding, timeout_s=15)
            session.login(self.host.user, self.host.password)
            for _ in range(calls):
                self.assertEqual("poweredOn", session.get("VirtualMachine", self.vms["poweredOn"], "name"))
            session.call("SessionManager", "ha-sessionmgr", "Logout")
            session.close()

    def wait_closed(self, what: str, connections: list[socket.socket], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while any(is_open(c) for c in connections):
            self.assertLess(time.monotonic(), deadline, f"{what}: {sum(is_open(c) for c in connections)} are open still")
            time.sleep(0.2)

    def test_slow_clients(self) -> None:
        """Each kind by the hundred; those that send do so for ever, a byte at a time."""
        root = self.root
        path = root.path("VirtualMachine", self.vms["poweredOn"], "PowerOffVM_Task")
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nCookie: {root.headers()['Cookie']}\r\nContent-Type: application/json\r\n"
        silent = [self.connect() for _ in range(200)]
        headers = [self.connect(head.encode() + b"X-A: ") for _ in range(200)]
        bodies = [self.connect(head.encode() + b"Content-Length: 100000\r\n\r\n ") for _ in range(200)]
        chunks = [self.connect(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n") for _ in range(100)]
        readers = [self.connect(b"GET /sdk/vim.wsdl HTTP/1.1\r\nHost: x\r\n\r\n" * 20, 4096) for _ in range(100)]
        done = threading.Event()

        def drip() -> None:
            while not done.wait(1):
                for connection, data in [(c, b"a") for c in headers + bodies] + [(c, b"1\r\n \r\n") for c in chunks]:
                    try:
                        connection.send(data, socket.MSG_DONTWAIT)
                    except OSError:
                        continue  # it was cut off

        dripper = threading.Thread(target=drip)
        dripper.start()
        try:
            self.good_client()
            self.wait_closed("silent", silent, 60)
            self.wait_closed("slow headers", headers, 60)
            self.good_client()
            self.wait_closed("slow bodies", bodies, 60)
            self.wait_closed("slow chunks", chunks, 60)
            self.good_client()
        finally:
            done.set()
            dripper.join()
        for connection in readers:
            connection.close()

    def test_more_connections_than_allowed(self) -> None:
        early = self.session("json")
        early.get("VirtualMachine", self.vms["poweredOn"], "name")
        held = [self.connect() for _ in range(4200)]
        deadline = time.monotonic() + 30
        while not [c for c in held[4090:] if not is_open(c)]:
            self.assertLess(time.monotonic(), deadline, "there is no limit")
        self.assertEqual("poweredOn", early.get("VirtualMachine", self.vms["poweredOn"], "name"))
        for connection in held:
            connection.close()
        deadline = time.monotonic() + 30
        while True:
            try:
                self.good_client(1)
                break
            except (OSError, http.client.HTTPException):
                self.assertLess(time.monotonic(), deadline, "nobody is let in again")

    def test_few_descriptors(self) -> None:
        """Where the system allows few open files, connections leave enough of them to work with."""
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "tenkyu"
            script.write_text(f'#!/bin/sh\nulimit -n 256 && exec {tenkyu_host.BINARY} "$@"\n')
            script.chmod(0o755)
            with unittest.mock.patch.object(tenkyu_host, "BINARY", script), TenkyuHost("sim") as host:
                root = Session(host, "json")
                root.login(host.user, host.password)
                held = [socket.create_connection(host.address) for _ in range(600)]
                vm = root.run(*VM_FOLDER, "CreateVM_Task", config=spec("x"), pool=POOL)["value"]
                root.run("VirtualMachine", vm, "PowerOnVM_Task")
                self.assertTrue((host.state / "datastores" / DS / "x/x.vmx").is_file())
                for connection in held:
                    connection.close()
                root.close()

    def test_sessions_that_nobody_ends(self) -> None:
        """A program that logs in 2,000 times and never out. It has 100 sessions then, and others have theirs."""
        root = self.root
        accounts = ("HostLocalAccountManager", "ha-localacctmgr")
        role = next(r["roleId"] for r in root.get("AuthorizationManager", "ha-authmgr", "roleList") if r["name"] == "ReadOnly")
        for user in ("leaker", "other"):
            root.call(*accounts, "CreateUser", user={"_typeName": "HostAccountSpec", "id": user, "password": PASSWORD})
            self.addCleanup(root.call, *accounts, "RemoveUser", userName=user)
        root.call("AuthorizationManager", "ha-authmgr", "SetEntityPermissions", entity=ref("Folder", "ha-folder-root"), permission=[
            {"_typeName": "Permission", "principal": user, "group": False, "roleId": role, "propagate": True}
            for user in ("leaker", "other")])

        def leak(n: int) -> Session:
            session = Session(self.host, wire.BINDINGS[n % 2])
            session.login("leaker", PASSWORD)
            session.call("ViewManager", "ViewManager", "CreateContainerView", type=[], recursive=True,
                         container=ref("Folder", "ha-folder-root"))
            session.close()
            return session

        first = leak(0)
        with ThreadPoolExecutor(4) as pool:
            others = self.session("json", "other", PASSWORD)
            leaked = list(pool.map(leak, range(1, 2000)))
        sessions = [s["userName"] for s in root.get("SessionManager", "ha-sessionmgr", "sessionList")]
        self.assertEqual(100, sessions.count("leaker"))
        self.fault("NotAuthenticated", first.get, "VirtualMachine", self.vms["poweredOn"], "name")
        self.assertEqual("poweredOn", leaked[-1].get("VirtualMachine", self.vms["poweredOn"], "name"))
        self.assertEqual("poweredOn", others.get("VirtualMachine", self.vms["poweredOn"], "name"))
        self.good_client(1)
        root.call(*accounts, "RemoveUser", userName="leaker")
        sessions = [s["userName"] for s in root.get("SessionManager", "ha-sessionmgr", "sessionList")]
        self.assertEqual(0, sessions.count("leaker"))
        self.fault("NotAuthenticated", leaked[-1].get, "VirtualMachine", self.vms["poweredOn"], "name")
        root.call(*accounts, "CreateUser", user={"_typeName": "HostAccountSpec", "id": "leaker", "password": PASSWORD})

    def test_much_to_look_at(self) -> None:
        """Requests of a few megabytes must not cost the server minutes, least of all those of strangers."""
        vm = ref("VirtualMachine", self.vms["poweredOn"])
        many = wire.retrieve(vm, *[f"config.hardware.device[{n}].key" for n in range(60_000)])
        same = wire.retrieve(vm, *["name"] * 100_000)
        objects = wire.retrieve(vm, "name")
        objects["specSet"][0]["objectSet"] *= 30_000
        specs = wire.retrieve(vm, "name")
        specs["specSet"] *= 20_000
        names = [f"n{n}" for n in range(300)]
        selects = wire.retrieve(ref("Folder", "ha-folder-root"), "name")
        selects["specSet"][0]["propSet"][0]["type"] = "ManagedEntity"
        selects["specSet"][0]["objectSet"][0]["selectSet"] = [
            {"_typeName": "TraversalSpec", "name": name, "type": kind, "path": path,
             "selectSet": [{"_typeName": "SelectionSpec", "name": other} for other in names]}
            for name, (kind, path) in zip(names, itertools.cycle([("Folder", "childEntity"), ("Datacenter", "vmFolder"),
                                                                  ("ManagedEntity", "parent")]))]
        stranger = Session(self.host, "json")
        self.addCleanup(stranger.close)
        for binding in wire.BINDINGS:
            stranger.binding = binding
            for who, session in (("a user", self.roots[binding]), ("a stranger", stranger)):
                for what, arguments in (("many paths", many), ("one path often", same), ("one object often", objects),
                                        ("many specs", specs), ("many selections", selects)):
                    with self.subTest(f"{binding}: {who}: {what}"):
                        started = time.monotonic()
                        try:
                            session.call("PropertyCollector", "ha-property-collector", "RetrievePropertiesEx", **arguments)
                        except Fault as fault:
                            self.assertIn(fault.type, ("InvalidArgument", "InvalidRequest", "NotAuthenticated", "InvalidProperty"))
                        took = time.monotonic() - started
                        print(f"# {binding} {who} {what} {took:.2f}")
                        self.assertLess(took, 10)


if __name__ == "__main__":
    unittest.main()
