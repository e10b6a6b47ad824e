# SPDX-License-Identifier: Apache-2.0
"""A pyVmomi session with a host under test, and what tests do with it again and again.

    client = Client(host)
    vm = client.create("web1", devices.pvscsi(), devices.disk(64))
    client.run(vm.PowerOnVM_Task())
    client.wait_until(vm, "runtime.powerState", lambda state: state == "poweredOff")

Every wait is a WaitForUpdatesEx: nothing here polls or sleeps.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any

from pyVmomi import SoapStubAdapter, vim, vmodl

from tenkyu_host import TenkyuHost

DATASTORE = "datastore1"
API_VERSION = "vim.version.version12"  # 6.7


class ClientError(Exception):
    """What was waited for did not come."""


def tls_context() -> ssl.SSLContext:
    """The host's certificate is its own; who it is shows by the password that it takes."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """One session. Its members are the objects that every standalone host has."""

    def __init__(self, host: TenkyuHost, user: str | None = None, password: str | None = None) -> None:
        self.host = host
        address, port = host.address
        if host.url.startswith("https:"):
            stub = SoapStubAdapter(address, port, version=API_VERSION, sslContext=tls_context())
        else:
            stub = SoapStubAdapter(address, -port, version=API_VERSION)  # how it is told of plain HTTP
        self.si = vim.ServiceInstance("ServiceInstance", stub)
        self.content = self.si.content
        self.content.sessionManager.Login(user or host.user, password or host.password, None)
        self.datacenter = self.content.rootFolder.childEntity[0]
        self.folder = self.datacenter.vmFolder
        self.pool = self.datacenter.hostFolder.childEntity[0].resourcePool
        self.system = self.datacenter.hostFolder.childEntity[0].host[0]

    def close(self) -> None:
        self.content.sessionManager.Logout()

    def wait_until(self, entity: Any, path: str, wanted: Callable[[Any], bool], timeout_s: float = 60) -> Any:
        """The value of a property once it is wanted; a property that is not set is None."""
        collector = self.content.propertyCollector
        spec = vmodl.query.PropertyCollector.FilterSpec(
            objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=entity)],
            propSet=[vmodl.query.PropertyCollector.PropertySpec(type=type(entity), pathSet=[path])])
        filter_ = collector.CreateFilter(spec, False)
        try:
            deadline = time.monotonic() + timeout_s
            version, value = "", None
            while True:
                left = max(1, int(deadline - time.monotonic()))
                options = vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=left)
                update = collector.WaitForUpdatesEx(version, options)
                if update is not None:
                    version = update.version
                    for change in (c for f in update.filterSet for o in f.objectSet for c in o.changeSet):
                        value = change.val if change.name == path else value
                    if wanted(value):
                        return value
                if time.monotonic() > deadline:
                    raise ClientError(f"{path} is {value!r} after {timeout_s} s")
        finally:
            filter_.Destroy()

    def run(self, task: Any, timeout_s: float = 120) -> Any:
        """Waits for the task: its result, or its fault as an exception."""
        info = self.wait_until(task, "info", lambda i: i.state in ("success", "error"), timeout_s)
        if info.state == "error":
            raise info.error
        return info.result

    def create(self, name: str, *changes: Any, **members: Any) -> Any:
        """Makes a machine of 160 MiB unless the members of its ConfigSpec say otherwise."""
        spec: dict[str, Any] = {"name": name, "memoryMB": 160, "numCPUs": 1, "guestId": "debian10_64Guest",
                                "files": vim.vm.FileInfo(vmPathName=f"[{DATASTORE}]")}
        spec |= members
        return self.run(self.folder.CreateVM_Task(vim.vm.ConfigSpec(deviceChange=list(changes), **spec),
                                                  self.pool))

    def reconfigure(self, vm: Any, *changes: Any, **members: Any) -> None:
        self.run(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=list(changes), **members)))

    def events(self, entity: Any) -> list[Any]:
        """All events about an object, oldest first."""
        about = vim.event.EventFilterSpec.ByEntity(entity=entity, recursion="self")
        return list(self.content.eventManager.QueryEvents(vim.event.EventFilterSpec(entity=about)))

    def wait_event(self, entity: Any, kind: type, timeout_s: float = 60) -> Any:
        """The newest event of a kind about an object, once there is one."""
        found: list[Any] = []

        def look(_: Any) -> bool:
            found[:] = [e for e in self.events(entity) if isinstance(e, kind)]
            return bool(found)

        self.wait_until(self.content.eventManager, "latestEvent", look, timeout_s)
        return found[-1]

    # ---- beside the VI API ---------------------------------------------------------------------------

    def connection(self) -> http.client.HTTPConnection:
        address, port = self.host.address
        if self.host.url.startswith("https:"):
            return http.client.HTTPSConnection(address, port, timeout=60, context=tls_context())
        return http.client.HTTPConnection(address, port, timeout=60)

    def websocket(self, vm: Any, kind: str) -> WebSocket:
        """Opens a console by a ticket."""
        ticket = vm.AcquireTicket(kind)
        address, port = self.host.address
        raw = socket.create_connection((address, port), 60)
        if self.host.url.startswith("https:"):
            raw = tls_context().wrap_socket(raw)
        return WebSocket(raw, f"/ticket/{ticket.ticket}")


class WebSocket:
    """A client's end of a WebSocket (RFC 6455) that carries bytes, with the methods of a socket that
    guest.Stream uses. Owns the connection."""

    def __init__(self, connection: socket.socket, path: str) -> None:
        self.connection = connection
        self.buffer = b""  # came from the connection and is not read yet
        self.payload = b""  # of frames, not read yet
        self.closed = False
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Protocol: binary\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            connection.close()
            raise ClientError(f"no WebSocket: {head.decode()!r} {self.buffer.decode()!r}")

    def settimeout(self, seconds: float) -> None:
        self.connection.settimeout(seconds)

    def close(self) -> None:
        self.connection.close()

    def sendall(self, data: bytes) -> None:
        self._send(2, data)

    def recv(self, size: int) -> bytes:
        """Some bytes; none when the other side has closed. What a time-out interrupts goes on later."""
        while not self.payload and not self.closed:
            self._frame()
        data, self.payload = self.payload[:size], self.payload[size:]
        return data

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = b""
        while len(data) < size:
            more = self.recv(size - len(data))
            if not more:
                raise ClientError(f"the WebSocket was closed after {len(data)} of {size} bytes")
            data += more
        return data

    def _more(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise ClientError("the connection was closed")
        self.buffer += data

    def _send(self, opcode: int, data: bytes) -> None:
        mask = os.urandom(4)
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        else:
            head += b"\xfe" + struct.pack(">H", len(data)) if len(data) < 65536 else \
                b"\xff" + struct.pack(">Q", len(data))
        body = bytes(byte ^ mask[i & 3] for i, byte in enumerate(data))
        self.connection.sendall(head + mask + body)

    def _need(self, size: int) -> None:
        while len(self.buffer) < size:
            self._more()

    def _frame(self) -> None:
        self._need(2)
        start, length = 2, self.buffer[1] & 0x7F
        if length >= 126:
            size = 2 if length == 126 else 8
            self._need(2 + size)
            start, length = 2 + size, int.from_bytes(self.buffer[2:2 + size], "big")
        self._need(start + length)
        opcode = self.buffer[0] & 0x0F
        data, self.buffer = self.buffer[start:start + length], self.buffer[start + length:]
        if opcode == 8:
            self.closed = True
        elif opcode == 9:
            self._send(10, data)
        elif opcode in (0, 1, 2):
            self.payload += data


# ---- device changes ------------------------------------------------------------------------------------

def change(device: Any, operation: str = "add", file_operation: str | None = None) -> Any:
    spec = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
    if file_operation is not None:
        spec.fileOperation = file_operation
    return spec


def controller(key: int = -1) -> Any:
    return change(vim.vm.device.ParaVirtualSCSIController(key=key, busNumber=0, sharedBus="noSharing"))


def disk(megabytes: int, controller_key: int = -1, file_name: str = "") -> Any:
    """A new thin disk; the unit is the host's choice."""
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=file_name, diskMode="persistent",
                                                            thinProvisioned=True)
    return change(vim.vm.device.VirtualDisk(key=-100, controllerKey=controller_key,
                                            capacityInKB=megabytes << 10, backing=backing), "add", "create")


def nic(key: int = -200) -> Any:
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    return change(vim.vm.device.VirtualVmxnet3(key=key, backing=backing))


def cdrom(file_name: str) -> Any:
    backing = vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=file_name)
    connectable = vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, connected=True,
                                                          allowGuestControl=True)
    return change(vim.vm.device.VirtualCdrom(key=-300, controllerKey=201, backing=backing,
                                             connectable=connectable))


def serial_file(file_name: str) -> Any:
    backing = vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName=file_name)
    return change(vim.vm.device.VirtualSerialPort(key=-400, yieldOnPoll=True, backing=backing))


def serial_console() -> Any:
    """A port that a ticket opens."""
    backing = vim.vm.device.VirtualSerialPort.URIBackingInfo(serviceURI="console", direction="server")
    return change(vim.vm.device.VirtualSerialPort(key=-401, yieldOnPoll=True, backing=backing))


def find(vm: Any, kind: type) -> list[Any]:
    """The machine's devices of a type, by key."""
    return sorted((d for d in vm.config.hardware.device if isinstance(d, kind)), key=lambda d: d.key)
