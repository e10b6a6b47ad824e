# SPDX-License-Identifier: Apache-2.0
"""Reads .api files into a Schema. Every problem becomes a diagnostic `file:line: text`, and parsing
goes on."""

from __future__ import annotations

import re
from pathlib import Path

from .model import EnumValue, Member, Method, Named, Place, Schema, Type, TypeRef

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_TYPE = rf"(?P<type>{_NAME}(?:\({_NAME}(?:\[\])?\??\))?(?:\[\])?\??)"
_SINCE = r"(?:\s+since\s+(?P<since>[0-9.]+))?"
_TYPE_LINE = re.compile(rf"(?P<kind>data|fault|enum|managed)\s+(?P<name>{_NAME})"
                        rf"(?:\s*:\s*(?P<base>{_NAME}))?{_SINCE}\Z")
_NAMED_LINE = re.compile(r"(?P<kind>(version)|privilege)\s+"
                         r"(?P<name>(?(2)[0-9]+(?:\.[0-9]+)*|[A-Za-z0-9_.]+))\Z")
_MEMBER_LINE = re.compile(rf"(?P<name>{_NAME})\s+{_TYPE}{_SINCE}"
                          r"(?:\s+privilege\s+(?P<privilege>[A-Za-z0-9_.]+))?\Z")
_VALUE_LINE = re.compile(rf"(?P<name>[A-Za-z0-9_.\-]+){_SINCE}\Z")
_METHOD_LINE = re.compile(rf"method\s+(?P<name>{_NAME})(?:\s*->\s*{_TYPE})?{_SINCE}\Z")
_RUNS = ("blocking", "streaming", "parking")


def parse_type(text: str) -> TypeRef:
    optional = text.endswith("?")
    text = text.removesuffix("?")
    array = text.endswith("[]")
    text = text.removesuffix("[]")
    result: TypeRef | None = None
    if "(" in text:
        text, inner = text[:-1].split("(", 1)
        result = parse_type(inner)
    return TypeRef(text, array, optional, result)


class Parser:
    """Parses any number of files into one schema."""

    def __init__(self) -> None:
        self.schema = Schema()
        self.diagnostics: list[tuple[Place, str]] = []
        self._type: Type | None = None
        self._method: Method | None = None
        self._last_name = ""
        self._doc: list[str] = []

    def error(self, place: Place, text: str) -> None:
        self.diagnostics.append((place, text))

    def file(self, path: Path, shown_as: str) -> None:
        self._type = self._method = None
        self._last_name, self._doc = "", []
        for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            self._line(raw.rstrip(), Place(shown_as, number))
        if self._doc:
            self.error(Place(shown_as, number), "documentation with nothing after it")

    def _line(self, line: str, place: Place) -> None:
        if "\t" in line:
            self.error(place, "tab character; indent with spaces")
            return
        text, mark, doc = line.partition("##")
        if mark and not text.strip():
            self._doc.append(doc.strip())
            return
        indent = len(text) - len(text.lstrip())
        text = text.strip()
        if not text:
            return
        docs = " ".join(self._doc + ([doc.strip()] if mark else [])).strip()
        self._doc = []
        if text.startswith("#"):
            return
        if indent == 0:
            self._top(text, docs, place)
        elif indent == 4 and self._type is not None:
            self._inside(self._type, text, docs, place)
        elif indent == 8 and self._method is not None:
            self._in_method(self._method, text, docs, place)
        else:
            self.error(place, f"unexpected indentation of {indent} spaces")

    def _top(self, text: str, doc: str, place: Place) -> None:
        self._type = self._method = None
        if named := _NAMED_LINE.match(text):
            entry = Named(named["name"], doc, place)
            known = self.schema.versions if named["kind"] == "version" else self.schema.privileges
            if any(e.name == entry.name for e in known):
                self.error(place, f"duplicate {named['kind']} {entry.name}")
            known.append(entry)
            self._need_doc(doc, place, named["kind"], entry.name)
            return
        found = _TYPE_LINE.match(text)
        if not found:
            self.error(place, f"cannot read '{text}'")
            return
        name = found["name"]
        t = Type(found["kind"], name, found["base"] or "", found["since"] or "", doc, place)
        self._need_doc(doc, place, t.kind, name)
        if name in self.schema.types:
            first = self.schema.types[name].place
            self.error(place, f"duplicate type {name}, first at {first.file}:{first.line}")
        else:
            self.schema.types[name] = t
        if name < self._last_name:
            self.error(place,
                       f"order: {name} stands after {self._last_name}; types are sorted by name")
        self._last_name = name
        self._type = t

    def _inside(self, t: Type, text: str, doc: str, place: Place) -> None:
        self._method = None
        if t.kind == "enum":
            value = _VALUE_LINE.match(text)
            if not value:
                self.error(place, f"cannot read enum value '{text}'")
                return
            if any(v.name == value["name"] for v in t.values):
                self.error(place, f"duplicate value {t.name}.{value['name']}")
            t.values.append(EnumValue(value["name"], value["since"] or t.since, doc, place))
            self._need_doc(doc, place, "value", value["name"])
            return
        if t.kind == "managed":
            if method := _METHOD_LINE.match(text):
                result = parse_type(method["type"]) if method["type"] else None
                self._method = Method(method["name"], result, method["since"] or t.since, doc,
                                      place, owner=t.name)
                t.methods.append(self._method)
                self._need_doc(doc, place, "method", method["name"])
                return
            if not text.startswith("property "):
                self.error(place, f"expected 'property' or 'method', found '{text}'")
                return
            if t.methods:
                self.error(place, "order: properties come before methods")
            text = text.removeprefix("property ").strip()
        self._member(t.members, t.name, t.since, text, doc, place, t.kind == "managed")

    def _in_method(self, m: Method, text: str, doc: str, place: Place) -> None:
        word, _, rest = text.partition(" ")
        rest = rest.strip()
        if word == "param":
            if m.privilege or m.throws:
                self.error(place, "order: parameters come before 'privilege' and 'throws'")
            self._member(m.params, m.name, m.since, rest, doc, place)
        elif word == "privilege" and not m.privilege:
            m.privilege = rest
        elif word == "throws" and not m.throws:
            m.throws = rest.split()
        elif word == "runs" and not m.runs and rest in _RUNS:
            m.runs = rest
        else:
            self.error(place, f"cannot read '{text}' in method {m.name}")

    def _member(self, members: list[Member], owner: str, since: str, text: str, doc: str,
                place: Place, is_property: bool = False) -> None:
        found = _MEMBER_LINE.match(text)
        if not found:
            self.error(place, f"cannot read member '{text}' of {owner}")
            return
        if any(m.name == found["name"] for m in members):
            self.error(place, f"duplicate member {owner}.{found['name']}")
        if found["privilege"] and not is_property:
            self.error(place, f"{owner}.{found['name']} names a privilege; only properties and methods do")
        members.append(Member(found["name"], parse_type(found["type"]), found["since"] or since,
                              doc, place, found["privilege"] or ""))
        self._need_doc(doc, place, "member", found["name"])

    def _need_doc(self, doc: str, place: Place, kind: str, name: str) -> None:
        if not doc:
            self.error(place, f"missing documentation of {kind} {name}")
