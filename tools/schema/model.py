# SPDX-License-Identifier: Apache-2.0
"""What a schema says, as plain data. Filled by parse.py, checked by check.py, read by emitters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator

SCALARS = ("boolean", "byte", "short", "int", "long", "float", "double", "string", "dateTime",
           "binary", "any")


@dataclass(frozen=True)
class Place:
    """Where something stands in the schema's files."""
    file: str
    line: int


@dataclass
class TypeRef:
    """A type as a member names it: `VirtualDevice[]?`, or `Task(VirtualMachine)`."""
    name: str
    array: bool = False
    optional: bool = False
    task_result: TypeRef | None = None


@dataclass
class Member:
    """A field of a data object, a property, or a parameter."""
    name: str
    type: TypeRef
    since: str
    doc: str
    place: Place
    privilege: str = ""  # of a property, what reading it needs; "" is System.Read


@dataclass
class EnumValue:
    name: str
    since: str
    doc: str
    place: Place


@dataclass
class Method:
    name: str
    result: TypeRef | None
    since: str
    doc: str
    place: Place
    params: list[Member] = field(default_factory=list)
    privilege: str = ""
    throws: list[str] = field(default_factory=list)
    runs: str = ""
    owner: str = ""


@dataclass
class Type:
    """A data object, fault, enum or managed object."""
    kind: str  # data, fault, enum, managed
    name: str
    base: str
    since: str
    doc: str
    place: Place
    members: list[Member] = field(default_factory=list)
    values: list[EnumValue] = field(default_factory=list)
    methods: list[Method] = field(default_factory=list)


@dataclass
class Named:
    """A version or a privilege."""
    name: str
    doc: str
    place: Place


@dataclass
class Schema:
    versions: list[Named] = field(default_factory=list)
    privileges: list[Named] = field(default_factory=list)
    types: dict[str, Type] = field(default_factory=dict)

    def version_index(self, name: str) -> int:
        """The position of a version, oldest first."""
        for i, version in enumerate(self.versions):
            if version.name == name:
                return i
        raise KeyError(name)

    def of_kind(self, *kinds: str) -> list[Type]:
        return sorted((t for t in self.types.values() if t.kind in kinds), key=lambda t: t.name)

    def ancestry(self, t: Type) -> list[Type]:
        """The type's bases from the root down to the type itself."""
        chain: list[Type] = []
        seen: set[str] = set()
        at: Type | None = t
        while at is not None and at.name not in seen:
            seen.add(at.name)
            chain.insert(0, at)
            at = self.types.get(at.base) if at.base else None
        return chain

    def all_members(self, t: Type) -> list[Member]:
        return [m for part in self.ancestry(t) for m in part.members]

    def all_methods(self, t: Type) -> list[Method]:
        return [m for part in self.ancestry(t) for m in part.methods]

    def parent(self, t: Type) -> str:
        """The base that a type names, or the root that it has without naming it."""
        root = {"data": "DynamicData", "managed": "ManagedObject"}.get(t.kind, "")
        return t.base or (root if root in self.types and root != t.name else "")

    def subtypes(self, t: Type) -> list[Type]:
        """The type itself, then everything that descends from it, by name."""
        if t.name == "ManagedObject":
            return [t, *(other for other in self.of_kind("managed") if other is not t)]
        below = [other for other in self.of_kind(t.kind)
                 if other is not t and t in self.ancestry(other)]
        return [t, *below]

    def methods(self) -> Iterator[Method]:
        for t in self.of_kind("managed"):
            yield from t.methods
