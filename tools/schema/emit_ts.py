# SPDX-License-Identifier: Apache-2.0
"""Writes vim.ts: the API as TypeScript types, for clients of the VI/JSON binding (the web client
first of all). It holds types alone and so adds nothing to what a browser loads. A data object is an
interface; an enum a union of strings; a reference is typed by what it points at; each managed type
has an interface of properties and one of methods, tied together in ManagedTypes."""

from __future__ import annotations

from .model import SCALARS, Member, Method, Schema, Type, TypeRef

_NUMBERS = ("byte", "short", "int", "long", "float", "double")

_PRELUDE = """\
// SPDX-License-Identifier: Apache-2.0
// Made from api/ by tools/schema; not to be edited.

/** A whole number of 64 bits. Beyond Number.MAX_SAFE_INTEGER it loses its last digits. */
export type Long = number;
/** A time in ISO 8601. */
export type DateTime = string;
/** Bytes in base64. */
export type Binary = string;

/** A value that does not name its own type (a string, a number, an enum, an array), in an `any`. */
export interface Boxed {
    _typeName: string;
    _value: unknown;
}

/** A value of any type: it always names its type. */
export type Any = Boxed | Ref | (DynamicData & { _typeName: string });

/** A managed object by its id, of one of the types that are named. */
export interface RefOf<Kinds extends string> {
    _typeName: "ManagedObjectReference";
    type: Kinds;
    value: string;
}

/** A reference to a managed type or a subtype of it, for example Ref<"VirtualMachine">. */
export type Ref<T extends ManagedTypeName = ManagedTypeName> = RefOf<ManagedTypes[T]["kinds"]>;

export type ManagedTypeName = keyof ManagedTypes;
export type DataTypeName = keyof DataTypes;

/** The names of the methods that a managed type has. */
export type MethodName<T extends ManagedTypeName> = keyof ManagedTypes[T]["methods"];

/** The arguments of a method, and what it answers. */
export type Params<T extends ManagedTypeName, M extends MethodName<T>> =
    ManagedTypes[T]["methods"][M] extends { params: infer P } ? P : never;
export type Result<T extends ManagedTypeName, M extends MethodName<T>> =
    ManagedTypes[T]["methods"][M] extends { result: infer R } ? R : never;

/** What a client of the API offers; failures reject with a MethodFault. */
export interface Vim {
    call<T extends ManagedTypeName, M extends MethodName<T>>(
        type: T, id: string, method: M, params: Params<T, M>): Promise<Result<T, M>>;
}
"""


def _comment(lines: list[str], indent: str) -> list[str]:
    safe = [line.replace("*/", "*\\/") for line in lines]
    if len(safe) == 1:
        return [f"{indent}/** {safe[0]} */"]
    return [f"{indent}/** {safe[0]}", *(f"{indent} * {line}" for line in safe[1:]), f"{indent} */"]


def _union(names: list[str]) -> str:
    return " | ".join(f'"{name}"' for name in names)


class Emitter:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.out: list[str] = []

    @staticmethod
    def newer(since: str, floor: str) -> str:
        return f" Since {since}." if since != floor else ""

    # ---- types -----------------------------------------------------------------------------------

    def name(self, name: str) -> str:
        scalars = {"boolean": "boolean", "string": "string", "long": "Long",
                   "dateTime": "DateTime", "binary": "Binary", "any": "Any"}
        if name in _NUMBERS and name != "long":
            return "number"
        if name in SCALARS:
            return scalars[name]
        return f'Ref<"{name}">' if self.schema.types[name].kind == "managed" else name

    def type(self, ref: TypeRef) -> str:
        return self.name(ref.name) + ("[]" if ref.array else "")

    def member(self, m: Member, floor: str, indent: str) -> list[str]:
        optional = "?" if m.type.optional else ""
        return [*_comment([self.sentence(m.doc) + self.newer(m.since, floor)], indent),
                f"{indent}{m.name}{optional}: {self.type(m.type)};"]

    @staticmethod
    def sentence(doc: str) -> str:
        return doc if doc.endswith((".", "?", "!")) else doc + "."

    def discriminator(self, t: Type) -> str:
        """`_typeName`: required where an object's type would be in doubt without it."""
        if t.name == "DynamicData":
            return "_typeName?: string;"
        kinds = self.schema.subtypes(t)
        free = len(kinds) == 1 and not t.base
        return f"_typeName{'?' if free else ''}: {_union([k.name for k in kinds])};"

    def data(self, t: Type) -> None:
        self.out += _comment([t.doc + self.newer(t.since, self.schema.versions[0].name)], "")
        self.out.append(f"export interface {t.name}{self.extends(t, '')} {{")
        self.out.append(f"    {self.discriminator(t)}")
        for m in t.members:
            self.out += self.member(m, t.since, "    ")
        self.out += ["}", ""]

    def enum(self, t: Type) -> None:
        self.out += _comment([t.doc + self.newer(t.since, self.schema.versions[0].name)], "")
        self.out.append(f"export type {t.name} =")
        for value in t.values:
            self.out += _comment([self.sentence(value.doc) + self.newer(value.since, t.since)],
                                 "    ")
            self.out.append(f'    | "{value.name}"')
        self.out[-1] += ";"
        self.out.append("")

    # ---- managed types ---------------------------------------------------------------------------

    def extends(self, t: Type, suffix: str) -> str:
        """Faults are data objects too where they travel as such."""
        parent = self.schema.parent(t)
        if not parent and t.kind == "fault" and "DynamicData" in self.schema.types:
            parent = "DynamicData"
        return f" extends {parent}{suffix}" if parent else ""

    def method(self, method: Method, floor: str) -> None:
        lines = [method.doc + self.newer(method.since, floor),
                 f"Privilege: {method.privilege}."]
        if method.throws:
            lines.append(f"Throws: {', '.join(method.throws)}.")
        self.out += _comment(lines, "    ")
        self.out.append(f"    {method.name}: {{")
        if method.params:
            self.out.append("        params: {")
            for param in method.params:
                self.out += self.member(param, method.since, "            ")
            self.out.append("        };")
        else:
            self.out.append("        params: Record<string, never>;")
        result = method.result
        self.out.append(f"        result: {self.answer(result)};")
        if result is not None and result.name == "Task":
            self.out += ["        /** What the task's info.result holds in the end. */",
                         f"        taskResult: {self.answer(result.task_result)};"]
        self.out.append("    };")

    def answer(self, ref: TypeRef | None) -> str:
        if ref is None:
            return "void"
        return self.type(ref) + (" | undefined" if ref.optional else "")

    def managed(self, t: Type) -> None:
        doc = t.doc + self.newer(t.since, self.schema.versions[0].name)
        self.out += _comment([doc, "These are its properties."], "")
        self.out.append(f"export interface {t.name}Properties{self.extends(t, 'Properties')} {{")
        for m in t.members:
            self.out += self.member(m, t.since, "    ")
        self.out += ["}", "", f"/** The methods of {t.name}. */",
                     f"export interface {t.name}Methods{self.extends(t, 'Methods')} {{"]
        for method in t.methods:
            self.method(method, t.since)
        self.out += ["}", ""]

    def maps(self) -> None:
        self.out += ["/** Every managed type; `kinds` are the type and its subtypes. */",
                     "export interface ManagedTypes {"]
        for t in self.schema.of_kind("managed"):
            kinds = _union([k.name for k in self.schema.subtypes(t)])
            self.out += [f"    {t.name}: {{", f"        kinds: {kinds};",
                         f"        properties: {t.name}Properties;",
                         f"        methods: {t.name}Methods;", "    };"]
        self.out += ["}", "", "/** Every data object and fault by its name. */",
                     "export interface DataTypes {"]
        self.out += [f"    {t.name}: {t.name};" for t in self.schema.of_kind("data", "fault")]
        self.out += ["}", ""]

    def text(self) -> str:
        self.out = [_PRELUDE]
        self.maps()
        for t in self.schema.of_kind("enum"):
            self.enum(t)
        for t in self.schema.of_kind("data", "fault"):
            self.data(t)
        for t in self.schema.of_kind("managed"):
            self.managed(t)
        return "\n".join(self.out).rstrip() + "\n"


def emit(schema: Schema) -> dict[str, str]:
    return {"vim.ts": Emitter(schema).text()}
