# SPDX-License-Identifier: Apache-2.0
"""Writes api.md, the API reference: an index, then managed objects with their properties and
methods, data objects, faults, enums, privileges and versions. Every type named in it links to where
it is described."""

from __future__ import annotations

from .model import SCALARS, Member, Method, Schema, Type, TypeRef

_KINDS = (("managed", "Managed objects"), ("data", "Data objects"), ("fault", "Faults"),
          ("enum", "Enums"))


def _sentence(doc: str) -> str:
    if doc.split()[0].rstrip(",;:").islower():  # a name such as vmPathName keeps its spelling
        doc = doc[0].upper() + doc[1:]
    return doc if doc.endswith((".", "?", "!")) else doc + "."


def _cell(text: str) -> str:
    """Text that stands in a table: no column marks, and nothing that reads as HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;")


class Emitter:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.out: list[str] = []

    # ---- pieces ----------------------------------------------------------------------------------

    @staticmethod
    def link(name: str) -> str:
        return f"[{name}](#{name.lower()})"

    def type(self, ref: TypeRef) -> str:
        text = ref.name if ref.name in SCALARS else self.link(ref.name)
        if ref.task_result is not None:
            text += f" of {self.type(ref.task_result)}"
        return text + ("\\[\\]" if ref.array else "") + (", optional" if ref.optional else "")

    @staticmethod
    def since(since: str, floor: str) -> str:
        return f" Since {since}." if since != floor else ""

    def heading(self, t: Type) -> None:
        """The type's name, what it is, its place in the hierarchy."""
        oldest = self.schema.versions[0].name
        self.out += [f"### {t.name}", "", _cell(_sentence(t.doc)) + self.since(t.since, oldest), ""]
        parts: list[str] = []
        if t.base:
            parts.append(f"Extends {self.link(t.base)}.")
        below = [other for other in self.schema.of_kind(t.kind) if other.base == t.name]
        if below:
            parts.append(f"Extended by {', '.join(self.link(other.name) for other in below)}.")
        if parts:
            self.out += [" ".join(parts), ""]

    def members(self, members: list[Member], floor: str, title: str) -> None:
        if not members:
            return
        self.out += [f"| {title} | type | meaning |", "|---|---|---|"]
        for m in members:
            needs = f" Privilege: [{m.privilege}](#privileges)." if m.privilege else ""
            self.out.append(f"| `{m.name}` | {self.type(m.type)} | "
                            f"{_cell(_sentence(m.doc))}{self.since(m.since, floor)}{needs} |")
        self.out.append("")

    def method(self, method: Method, floor: str) -> None:
        self.out += [f"#### {method.name}", "",
                     _cell(_sentence(method.doc)) + self.since(method.since, floor), ""]
        self.members(method.params, method.since, "parameter")
        privilege = "decided by the arguments" if method.privilege == "by-argument" else \
            f"[{method.privilege}](#privileges)"
        facts = [f"Returns: {self.type(method.result) if method.result else 'nothing'}",
                 f"Privilege: {privilege}"]
        if method.throws:
            facts.append(f"Faults: {', '.join(self.link(name) for name in method.throws)}")
        self.out += [*(f"* {fact}" for fact in facts), ""]

    # ---- kinds of type ---------------------------------------------------------------------------

    def managed(self, t: Type) -> None:
        self.heading(t)
        self.members(t.members, t.since, "property")
        for method in t.methods:
            self.method(method, t.since)

    def data(self, t: Type) -> None:
        self.heading(t)
        self.members(t.members, t.since, "member")

    def enum(self, t: Type) -> None:
        self.heading(t)
        self.out += ["| value | meaning |", "|---|---|"]
        for value in t.values:
            self.out.append(f"| `{value.name}` | {_cell(_sentence(value.doc))}"
                            f"{self.since(value.since, t.since)} |")
        self.out.append("")

    def index(self) -> None:
        oldest = self.schema.versions[0].name
        self.out += [
            "# API reference", "",
            f"Made from `api/`. What names no version has been there since {oldest}. An optional "
            "member may be unset; an optional array that is empty is unset. A subtype has the "
            "members of its bases first. Data objects that extend nothing named here extend "
            "DynamicData, managed objects ManagedObject. Every method may also raise "
            + (self.link("RuntimeFault") if "RuntimeFault" in self.schema.types else "RuntimeFault")
            + " and its subtypes.", ""]
        for kind, title in _KINDS:
            types = self.schema.of_kind(kind)
            if types:
                self.out += [f"**[{title}](#{title.lower().replace(' ', '-')})**: "
                             + ", ".join(self.link(t.name) for t in types), ""]
        self.out += ["**[Privileges](#privileges)**, **[Versions](#versions)**", ""]

    def named(self) -> None:
        self.out += ["## Privileges", "", "| privilege | allows to |", "|---|---|"]
        self.out += [f"| `{p.name}` | {_cell(p.doc)} |" for p in self.schema.privileges]
        self.out += ["", "## Versions", "", "| version | |", "|---|---|"]
        self.out += [f"| {v.name} | {_cell(v.doc)} |" for v in self.schema.versions]

    def text(self) -> str:
        self.out = []
        self.index()
        write = {"managed": self.managed, "data": self.data, "fault": self.data, "enum": self.enum}
        for kind, title in _KINDS:
            types = self.schema.of_kind(kind)
            if types:
                self.out += [f"## {title}", ""]
            for t in types:
                write[kind](t)
        self.named()
        return "\n".join(self.out) + "\n"


def emit(schema: Schema) -> dict[str, str]:
    return {"api.md": Emitter(schema).text()}
