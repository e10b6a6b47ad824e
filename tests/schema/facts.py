# SPDX-License-Identifier: Apache-2.0
"""Reads pyVmomi's type tables (Debian's python3-pyvmomi) into the schema's own model, so that the
two can be compared member by member. Used by test_facts.py. Names become those of the wire; what a
schema says in another way is translated here and nowhere else:

* a link to an object inside the same answer travels as the object's key, a string;
* a fault held as data travels in a LocalizedMethodFault;
* URIs, type names, method names and property paths are strings;
* a managed type that we do not have is the nearest ancestor that we have;
* a version between two of ours (2.5u2) counts as the older, anything before ours as the oldest;
* what only "legacy" or a version newer than ours knows is no fact for us: a client that asks for a
  version of ours refuses it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

from schema.model import EnumValue, Member, Method, Place, Schema, Type, TypeRef

FOLDER = Path("/usr/lib/python3/dist-packages/pyVmomi")
FILES = ("CoreTypes.py", "ServerObjects.py", "QueryTypes.py")
FLAGS = {"F_LINK": 1, "F_LINKABLE": 2, "F_OPTIONAL": 4, "F_SECRET": 8}

_NAMES = {"vmodl.DateTime": "dateTime", "vmodl.Binary": "binary", "anyType": "any",
          "vmodl.URI": "string", "vmodl.TypeName": "string", "vmodl.MethodName": "string",
          "vmodl.PropertyPath": "string", "vmodl.MethodFault": "LocalizedMethodFault",
          "vmodl.RuntimeFault": "RuntimeFault", "vmodl.ManagedObject": "ManagedObject"}
_BASES = {"vmodl.DataObject": "", "vmodl.DynamicData": "", "vmodl.ManagedObject": "",
          "vmodl.MethodFault": "MethodFault", "vmodl.RuntimeFault": "RuntimeFault"}

Row = tuple[Any, ...]
"""One call in a table: CreateDataType(vmodl name, wire name, base, version, members) and such."""


@dataclass
class Tables:
    """The calls as they stand in the files, by vmodl name."""
    data: dict[str, Row] = field(default_factory=dict)
    managed: dict[str, Row] = field(default_factory=dict)
    enums: dict[str, Row] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def _value(node: ast.expr) -> Any:
    """A literal in which the flags' names and `|` may stand."""
    if isinstance(node, ast.Name):
        return FLAGS[node.id]
    if isinstance(node, ast.BinOp):
        return int(_value(node.left)) | int(_value(node.right))
    if isinstance(node, ast.List):
        return [_value(e) for e in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(e) for e in node.elts)
    return ast.literal_eval(node)


def read() -> Tables:
    tables = Tables()
    into = {"CreateDataType": tables.data, "CreateManagedType": tables.managed,
            "CreateEnumType": tables.enums}
    for name in FILES:
        for node in ast.parse((FOLDER / name).read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
                continue
            call = node.value
            if not isinstance(call.func, ast.Name):
                continue
            if call.func.id in into:
                row = tuple(_value(arg) for arg in call.args)
                into[call.func.id][row[0]] = row
            elif call.func.id == "AddVersion":
                version, _, number = (_value(arg) for arg in call.args[:3])
                tables.versions[version] = number
    return tables


class Facts:
    """The tables as a Schema. `ours` tells which managed types and which versions there are."""

    def __init__(self, ours: Schema) -> None:
        self.tables = read()
        self.ours = ours
        self.schema = Schema(versions=ours.versions)
        for row in self._public(self.tables.data.values(), 3):
            self._add(self._data(row))
        for row in self._public(self.tables.managed.values(), 3):
            self._add(self._managed(row))
        for row in self._public(self.tables.enums.values(), 2):
            self._add(self._enum(row))

    def _add(self, t: Type) -> None:
        self.schema.types.setdefault(t.name, t)

    # ---- translation -----------------------------------------------------------------------------

    def since(self, version: str) -> str:
        """The schema's version of that age, or "" where the schema has none."""
        number = self.tables.versions[version]
        names = [v.name for v in self.ours.versions]
        if number in ("", "2.0", "2.5u2", "2.5u2server"):
            return names[0]
        return number if number in names else ""

    def _public(self, rows: Iterable[Row] | None, version_at: int) -> list[Row]:
        return [row for row in rows or () if self.since(row[version_at])]

    def _latest(self, version: str, floor: str) -> str:
        names = [v.name for v in self.ours.versions]
        return max(self.since(version), floor, key=names.index)

    def _nearest(self, vmodl: str) -> str:
        """The wire name of a managed type that we have, this one or an ancestor."""
        while vmodl in self.tables.managed:
            name = str(self.tables.managed[vmodl][1])
            if name in self.ours.types:
                return name
            vmodl = self.tables.managed[vmodl][2]
        return "ManagedObject"

    def ref(self, vmodl: str, flags: int) -> TypeRef:
        name = vmodl.removesuffix("[]")
        array = name != vmodl
        if flags & FLAGS["F_LINK"]:
            wire = "string"
        elif name in _NAMES:
            wire = _NAMES[name]
        elif name in self.tables.managed:
            wire = self._nearest(name)
        elif name in self.tables.data:
            wire = self.tables.data[name][1]
        elif name in self.tables.enums:
            wire = self.tables.enums[name][1]
        else:
            wire = name
        return TypeRef(wire, array, bool(flags & FLAGS["F_OPTIONAL"]))

    def _members(self, rows: Iterable[Row] | None, floor: str) -> list[Member]:
        return [Member(row[0], self.ref(row[1], row[3]), self._latest(row[2], floor), "", _NOWHERE,
                       (row[4] or "") if len(row) > 4 else "")
                for row in self._public(rows, 2)]

    # ---- types -----------------------------------------------------------------------------------

    def _is_fault(self, vmodl: str) -> bool:
        while vmodl in self.tables.data:
            vmodl = self.tables.data[vmodl][2]
        return vmodl in ("vmodl.MethodFault", "vmodl.RuntimeFault")

    def _data(self, row: Row) -> Type:
        vmodl, name, base, version, members = row
        since = self.since(version)
        kind = "fault" if self._is_fault(vmodl) else "data"
        wire_base = _BASES[base] if base in _BASES else self.tables.data[base][1]
        return Type(kind, name, wire_base, since, "", _NOWHERE, self._members(members, since))

    def _enum(self, row: Row) -> Type:
        _, name, version, values = row
        since = self.since(version)
        return Type("enum", name, "", since, "", _NOWHERE,
                    values=[EnumValue(value, since, "", _NOWHERE) for value in values])

    def _managed(self, row: Row) -> Type:
        _, name, base, version, properties, methods = row
        since = self.since(version)
        nearest = "" if base in _BASES else self._nearest(base)
        return Type("managed", name, "" if nearest == "ManagedObject" else nearest, since, "",
                    _NOWHERE, self._members(properties, since),
                    methods=[self._method(name, method, since)
                             for method in self._public(methods, 2)])

    def _method(self, owner: str, row: Row, floor: str) -> Method:
        _, name, version, params, (flags, result, task_result), privilege, faults = row
        since = self._latest(version, floor)
        answer: TypeRef | None = None
        if result == "vim.Task" and name.endswith("_Task"):
            answer = TypeRef("Task")
            if task_result != "void":
                answer.task_result = self.ref(task_result, flags)
        elif result != "void":
            answer = self.ref(result, flags)
        return Method(name, answer, since, "", _NOWHERE, self._members(params, since),
                      privilege or "by-argument",
                      [self.tables.data[fault][1] for fault in faults or ()
                       if fault in self.tables.data], owner=owner)


_NOWHERE = Place("pyVmomi", 0)
