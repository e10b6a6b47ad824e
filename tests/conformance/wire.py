# SPDX-License-Identifier: Apache-2.0
"""Clients that send what no client library would: both bindings of the VI API over the same calls, and bytes on a
socket.

    root = wire.Session(host, "soap")            # or "json"
    root.login(host.user, host.password)
    root.call("VirtualMachine", "vm-1", "Rename_Task", newName="x")

Arguments are those of VI/JSON; the SOAP session writes them as XML, in the order in which they are given. Answers are
dicts in both bindings: an object has its type in _typeName, and with SOAP every scalar is a string.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from tenkyu_host import TenkyuHost

BINDINGS = ("soap", "json")
RELEASE = "8.0.1.0"
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def ref(kind: str, moid: str) -> dict[str, str]:
    return {"_typeName": "ManagedObjectReference", "type": kind, "value": moid}


def text(value: str) -> dict[str, str]:
    """A string where any type may be."""
    return {"_typeName": "string", "_value": value}


class Fault(Exception):
    """A fault as both bindings tell it. `type` is its type, `body` its members."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.type = str(body.get("_typeName"))

    def id(self, member: str) -> str:
        """The id of an object that a member refers to."""
        value = self.body.get(member)
        return str(value["value"] if isinstance(value, dict) else value)


@dataclass
class Answer:
    """What came back over HTTP. status 0: the connection was closed without an answer."""
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


# ---- XML ---------------------------------------------------------------------------------------------------

def xml(name: str, value: Any) -> str:
    """A member as an element."""
    if isinstance(value, list):
        return "".join(xml(name, item) for item in value)
    if not isinstance(value, dict):
        spelled = str(value).lower() if isinstance(value, bool) else str(value)
        return f"<{name}>{escape(spelled)}</{name}>"
    kind = value.get("_typeName")
    if kind == "ManagedObjectReference":
        return f'<{name} type={quoteattr(value["type"])}>{escape(value["value"])}</{name}>'
    if "_value" in value:
        return f'<{name} xsi:type="xsd:{kind}">{escape(str(value["_value"]))}</{name}>'
    attribute = f' xsi:type="{kind}"' if kind else ""
    inner = "".join(xml(k, v) for k, v in value.items() if k != "_typeName")
    return f"<{name}{attribute}>{inner}</{name}>"


def envelope(inner: str) -> str:
    return ('<?xml version="1.0" encoding="UTF-8"?>'
            f'<soapenv:Envelope xmlns:soapenv="{_ENVELOPE}" xmlns:xsi="{_XSI}" '
            'xmlns:xsd="http://www.w3.org/2001/XMLSchema">'
            f"<soapenv:Body>{inner}</soapenv:Body></soapenv:Envelope>")


def soap_call(kind: str, moid: str, method: str, inner: str = "") -> str:
    return envelope(f'<{method} xmlns="urn:vim25"><_this type={quoteattr(kind)}>{escape(moid)}</_this>'
                    f"{inner}</{method}>")


def _plain(element: ElementTree.Element) -> Any:
    kind = element.get(f"{{{_XSI}}}type", "").rpartition(":")[2]
    if element.get("type"):
        return ref(str(element.get("type")), element.text or "")
    if len(element) == 0 and (element.text or not kind[:1].isupper()):
        return element.text or ""  # an enum names its type too
    found: dict[str, Any] = {"_typeName": kind} if kind else {}
    repeated = set()
    for child in element:
        name = child.tag.rpartition("}")[2]
        value = _plain(child)
        if name in repeated:
            found[name].append(value)
        elif name in found:
            found[name] = [found[name], value]
            repeated.add(name)
        else:
            found[name] = value
    return found


def soap_fault(body: bytes) -> dict[str, Any] | None:
    """The fault of an answer, which must be well-formed; None when there is none."""
    fault = ElementTree.fromstring(body).find(f"{{{_ENVELOPE}}}Body/{{{_ENVELOPE}}}Fault")
    if fault is None:
        return None
    detail = fault.find("detail")
    assert detail is not None and len(detail) == 1, body
    members = _plain(detail[0])
    found = members if isinstance(members, dict) else {}
    found.setdefault("_typeName", detail[0].tag.rpartition("}")[2].removesuffix("Fault"))
    found["message"] = fault.findtext("faultstring") or ""
    return found


# ---- the bindings -------------------------------------------------------------------------------------------

class Session:
    """One client of one binding, with a connection of its own."""

    def __init__(self, host: TenkyuHost, binding: str, timeout_s: float = 60) -> None:
        self.host = host
        self.binding = binding
        self.secret: str | None = None
        self.connection = http.client.HTTPConnection(*host.address, timeout=timeout_s)

    def close(self) -> None:
        self.connection.close()

    def send(self, method: str, path: str, body: bytes | None = None,
             headers: dict[str, str] | None = None) -> Answer:
        try:
            self.connection.request(method, path, body=body, headers=headers or {})
            response = self.connection.getresponse()
            return Answer(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
        except (http.client.HTTPException, OSError):
            self.connection.close()
            raise

    def path(self, kind: str, moid: str, name: str) -> str:
        if self.binding == "soap":
            return "/sdk"
        return f"/sdk/vim25/{RELEASE}/{quote(kind, safe='')}/{quote(moid, safe='')}/{quote(name, safe='')}"

    def headers(self) -> dict[str, str]:
        """Those of a call, with the session."""
        if self.binding == "soap":
            found = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"urn:vim25/{RELEASE}"'}
        else:
            found = {"Content-Type": "application/json"}
        if self.secret is not None:
            found |= {"Cookie": f'vmware_soap_session="{self.secret}"'}
        return found

    def body(self, kind: str, moid: str, method: str, arguments: dict[str, Any]) -> bytes:
        if self.binding == "soap":
            return soap_call(kind, moid, method, "".join(xml(k, v) for k, v in arguments.items())).encode()
        return json.dumps(arguments).encode()

    def value(self, answer: Answer) -> Any:
        """What a call has returned; its fault is raised."""
        if self.binding == "json":
            body = json.loads(answer.body) if answer.body else None
            if answer.status not in (200, 204):
                raise Fault(answer.status, body or {})
            return body
        fault = soap_fault(answer.body)
        assert (answer.status, fault is None) in ((200, True), (500, False)), answer
        if fault is not None:
            raise Fault(answer.status, fault)
        response = ElementTree.fromstring(answer.body).find(f"{{{_ENVELOPE}}}Body")
        assert response is not None
        values = [_plain(child) for child in response[0]]
        return values[0] if len(values) == 1 else values or None

    def send_call(self, kind: str, moid: str, method: str, body: bytes) -> Answer:
        return self.send("POST", self.path(kind, moid, method), body, self.headers())

    def call(self, kind: str, moid: str, method: str, **arguments: Any) -> Any:
        return self.value(self.send_call(kind, moid, method, self.body(kind, moid, method, arguments)))

    def login(self, user: str, password: str) -> None:
        body = {"userName": user, "password": password}
        answer = self.send_call("SessionManager", "ha-sessionmgr", "Login",
                                self.body("SessionManager", "ha-sessionmgr", "Login", body))
        self.value(answer)
        found = re.search(r'vmware_soap_session="([0-9a-f]+)"', answer.headers["set-cookie"])
        assert found is not None
        self.secret = found[1]

    def get(self, kind: str, moid: str, path: str) -> Any:
        """A property: by GET, or by RetrievePropertiesEx, whose fault for a property is raised."""
        if self.binding == "json":
            return self.value(self.send("GET", self.path(kind, moid, path), None, self.headers()))
        content = self.call("PropertyCollector", "ha-property-collector", "RetrievePropertiesEx",
                            **retrieve(ref(kind, moid), path))
        objects = content["objects"]
        if "missingSet" in objects:
            missing = objects["missingSet"]["fault"]
            raise Fault(200, {**missing["fault"], "message": missing.get("localizedMessage")})
        return objects["propSet"]["val"] if "propSet" in objects else None

    def wait(self, task: dict[str, str], timeout_s: float = 60) -> Any:
        """The task's result; its fault is raised."""
        collector = ("PropertyCollector", "ha-property-collector")
        made = self.call(*collector, "CreateFilter", partialUpdates=False,
                         spec=retrieve(task, "info.state")["specSet"][0])
        version, deadline = "", time.monotonic() + timeout_s
        while True:
            answer = self.call(*collector, "WaitForUpdatesEx", version=version, options={"maxWaitSeconds": 10})
            assert time.monotonic() < deadline, f"{task} does not end"
            if answer:
                version = answer["version"]
                if self._state(task) in ("success", "error"):
                    break
        self.call("PropertyFilter", made["value"], "DestroyPropertyFilter")
        info = self.get("Task", task["value"], "info")
        if self._state(task) == "error":
            raise Fault(0, {**info["error"]["fault"], "message": info["error"].get("localizedMessage", "")})
        return info.get("result")

    def _state(self, task: dict[str, str]) -> str:
        return str(self.get("Task", task["value"], "info.state"))

    def run(self, kind: str, moid: str, method: str, **arguments: Any) -> Any:
        """Calls a method and, when it makes a task, waits for that."""
        result = self.call(kind, moid, method, **arguments)
        return self.wait(result) if isinstance(result, dict) and result.get("type") == "Task" else result


def retrieve(obj: dict[str, str], *paths: str) -> dict[str, Any]:
    """Arguments of RetrievePropertiesEx."""
    return {"specSet": [{"_typeName": "PropertyFilterSpec",
                         "propSet": [{"_typeName": "PropertySpec", "type": obj["type"], "pathSet": list(paths)}],
                         "objectSet": [{"_typeName": "ObjectSpec", "obj": obj}]}],
            "options": {"_typeName": "RetrieveOptions"}}


# ---- bytes ----------------------------------------------------------------------------------------------------

def exchange(host: TenkyuHost, data: bytes, timeout_s: float = 60) -> list[Answer]:
    """Sends bytes, says that no more will come, and returns all answers until the server closes."""
    with socket.create_connection(host.address, timeout_s) as connection:
        received = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has hung up; what it said before is read below
        try:
            while more := connection.recv(65536):
                received += more
        except ConnectionError:
            pass
    return answers(received)


def answers(received: bytes) -> list[Answer]:
    """The answers in a stream."""
    found = []
    while received:
        head, mark, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert mark and re.match(r"HTTP/1\.[01] \d{3} ", lines[0]), received[:200]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        status = int(lines[0].split(" ")[1])
        if status != 100:
            found.append(Answer(status, rest[:length], headers))
        if headers.get("connection") == "close":
            break  # libmicrohttpd 0.9.75 sends the head of some of its refusals twice
        received = rest[length:]
    return found
