# SPDX-License-Identifier: Apache-2.0
"""The rules that a schema must keep beyond its grammar. Returns diagnostics and never stops at the
first, except that without any version nothing can be said about the rest."""

from __future__ import annotations

from .model import SCALARS, Member, Method, Place, Schema, Type, TypeRef


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class Checker:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.diagnostics: list[tuple[Place, str]] = []
        self._versions = [v.name for v in schema.versions]

    def error(self, place: Place, text: str) -> None:
        self.diagnostics.append((place, text))

    def run(self) -> list[tuple[Place, str]]:
        if not self.schema.versions:
            self.error(Place("(schema)", 0), "no version is declared")
            return self.diagnostics
        self._version_order()
        for t in self.schema.types.values():
            self._fill_since(t)
        for t in self.schema.types.values():
            self._type(t)
        self._method_names()
        return self.diagnostics

    def _version_order(self) -> None:
        """A version's position is its age, in the schema and on the wire's side of it."""
        for older, newer in zip(self.schema.versions, self.schema.versions[1:]):
            if _numbers(newer.name) < _numbers(older.name):
                self.error(newer.place, f"order: version {newer.name} stands after {older.name}")

    def _fill_since(self, t: Type) -> None:
        """What names no version is as old as its owner; a type that names none, as the oldest."""
        t.since = t.since or self._versions[0]
        for member in t.members:
            member.since = member.since or t.since
        for value in t.values:
            value.since = value.since or t.since
        for method in t.methods:
            method.since = method.since or t.since
            for param in method.params:
                param.since = param.since or method.since

    def _older(self, since: str, other: str) -> bool:
        """Whether `since` comes before `other`; unknown versions are reported elsewhere."""
        known = self._versions
        return since in known and other in known and known.index(since) < known.index(other)

    def _version(self, since: str, place: Place, floor: str, what: str) -> None:
        if since not in self._versions:
            self.error(place, f"unknown version {since}")
        elif self._older(since, floor):
            self.error(place, f"version goes backwards: {what} is since {since}, "
                              f"its owner since {floor}")

    def _type(self, t: Type) -> None:
        self._version(t.since, t.place, t.since, t.name)
        if t.name in SCALARS:
            self.error(t.place, f"{t.name} is a built-in type")
        if t.base:
            self._base(t)
        if t.kind == "enum" and not t.values:
            self.error(t.place, f"enum {t.name} has no values")
        for value in t.values:
            self._version(value.since, value.place, t.since, f"{t.name}.{value.name}")
        inherited = {m.name for part in self.schema.ancestry(t)[:-1] for m in part.members}
        for member in t.members:
            if member.name in inherited:
                self.error(member.place,
                           f"duplicate member {t.name}.{member.name}, inherited already")
            self._member(member, t.since, t.name)
        for method in t.methods:
            self._method(t, method)

    def _base(self, t: Type) -> None:
        base = self.schema.types.get(t.base)
        if base is None:
            self.error(t.place, f"unknown base type {t.base} of {t.name}")
            return
        if base.kind != t.kind or t.kind == "enum":
            self.error(t.place, f"{t.kind} {t.name} cannot extend {base.kind} {base.name}")
        if self._older(t.since, base.since):
            self.error(t.place, f"version goes backwards: {t.name} is since {t.since}, "
                                f"its base {base.name} since {base.since}")
        if self.schema.ancestry(t)[0].base in self.schema.types:
            self.error(t.place, f"{t.name} inherits from itself")

    def _member(self, member: Member, floor: str, owner: str) -> None:
        what = f"{owner}.{member.name}"
        if member.type.task_result is not None:
            self.error(member.place, f"{what} cannot name a task's result; only methods can")
        self._known(member.type, member.place, member.since, what)
        self._version(member.since, member.place, floor, what)
        if member.privilege and member.privilege not in {p.name for p in self.schema.privileges}:
            self.error(member.place, f"unknown privilege {member.privilege}")

    def _known(self, ref: TypeRef, place: Place, since: str, what: str) -> None:
        """The type exists, and clients that know the version of its user know it too."""
        if ref.task_result is not None:
            if ref.name != "Task":
                self.error(place, f"{ref.name} takes no result type; only Task does")
            self._known(ref.task_result, place, since, what)
        if ref.name in SCALARS:
            return
        used = self.schema.types.get(ref.name)
        if used is None:
            self.error(place, f"unknown type {ref.name}")
        elif self._older(since, used.since):
            self.error(place, f"version goes backwards: {what} is since {since}, "
                              f"its type {used.name} since {used.since}")

    def _method(self, t: Type, method: Method) -> None:
        self._version(method.since, method.place, t.since, f"{t.name}.{method.name}")
        for param in method.params:
            self._member(param, method.since, method.name)
        if method.result is not None:
            self._known(method.result, method.place, method.since, f"result of {method.name}")
        if not method.privilege:
            self.error(method.place, f"method {method.name} names no privilege")
        elif method.privilege != "by-argument" and \
                method.privilege not in {p.name for p in self.schema.privileges}:
            self.error(method.place, f"unknown privilege {method.privilege}")
        for name in sorted({name for name in method.throws if method.throws.count(name) > 1}):
            self.error(method.place, f"fault {name} is named twice")
        for name in method.throws:
            fault = self.schema.types.get(name)
            if fault is None or fault.kind != "fault":
                self.error(method.place, f"unknown fault {name}")

    def _method_names(self) -> None:
        """On the wire a method is known by its name alone, so a name belongs to one managed type;
        and X_Task's arguments are an XRequestType as those of X are."""
        seen: dict[str, Method] = {}
        for method in self.schema.methods():
            request = method.name.removesuffix("_Task")
            if request in seen:
                first = seen[request]
                at = f"{first.place.file}:{first.place.line}"
                if first.name == method.name:
                    self.error(method.place, f"duplicate method {method.name}, first at {at}")
                else:
                    self.error(method.place, f"{method.name} and {first.name} at {at} would "
                                             f"share {request}RequestType")
            seen.setdefault(request, method)
