# SPDX-License-Identifier: Apache-2.0
"""Writes the C side of a schema: types.h and types.c (structs and descriptors), faults.h and faults.c
(constructors), methods.h and methods.c (argument structs, method tables, dispatch table)."""

from __future__ import annotations

import re

from .model import Member, Method, Schema, Type, TypeRef

_KEYWORDS = {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
             "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
             "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch",
             "typedef", "union", "unsigned", "void", "volatile", "while", "bool", "true", "false"}
_SCALAR_C = {"boolean": "bool", "byte": "int8_t", "short": "int16_t", "int": "int32_t",
             "long": "int64_t", "float": "float", "double": "double", "string": "char *",
             "dateTime": "int64_t", "binary": "GBytes *", "any": "struct vim_any *"}
_NUMBERS = ("boolean", "byte", "short", "int", "long", "float", "double")
_BANNER = "// SPDX-License-Identifier: Apache-2.0\n/* Made from api/ by tools/schema; not to be edited. */\n"


def ident(name: str) -> str:
    """A wire name as a C identifier."""
    name = re.sub(r"\W", "_", name)
    return name + "_" if name in _KEYWORDS or name[0].isdigit() else name


def snake(name: str) -> str:
    """PowerOnVM_Task -> power_on_vm_task."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Emitter:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    # ---- types -------------------------------------------------------------------------------------

    def kind(self, name: str) -> str:
        return "scalar" if name in _SCALAR_C else self.schema.types[name].kind

    def c_type(self, name: str) -> str:
        kind = self.kind(name)
        if kind == "scalar":
            return _SCALAR_C[name]
        if kind == "enum":
            return f"enum {name}"
        return "struct vim_ref" if kind == "managed" else f"struct {name} *"

    def declare(self, ref: TypeRef, name: str) -> str:
        """`ref` as a C declaration of `name`."""
        c = self.c_type(ref.name)
        gap = "" if c.endswith("*") else " "
        if ref.array:
            return f"struct {{ {c}{gap}*items; uint32_t n; }} {name}"
        if ref.optional and ref.name in _NUMBERS:
            return f"struct {{ bool set; {c} value; }} {name}"
        return f"{c}{gap}{name}"

    def descriptor(self, name: str) -> str:
        return f"vim_type_{name}" if name in _SCALAR_C else f"{name}_type"

    def privilege(self, name: str) -> str:
        return f"VIM_PRIVILEGE_{snake(name.replace('.', '_').replace('-', '_')).upper().replace('__', '_')}"

    def field(self, struct: str, member: Member, is_property: bool) -> str:
        flags = [f for f, on in (("VIM_OPTIONAL", member.type.optional), ("VIM_ARRAY", member.type.array))
                 if on]
        tag = f"<{member.name}>"
        return (f'    {{"{member.name}", &{self.descriptor(member.type.name)}, "{tag}", '
                f"offsetof(struct {struct}, {ident(member.name)}), {' | '.join(flags) or '0'}, "
                f"{self.schema.version_index(member.since)}, {len(tag)}, "
                f"{self.privilege(member.privilege or 'System.Read') if is_property else 0}}},")

    def struct(self, name: str, members: list[Member]) -> list[str]:
        out = [f"struct {name} {{", "    const struct vim_type *vim_type;"]
        out += [f"    {self.declare(m.type, ident(m.name))}; /* {m.doc.replace('*/', '* /')} */" for m in members]
        return out + ["};", ""]

    def table(self, name: str, members: list[Member], are_properties: bool = False) -> list[str]:
        if not members:
            return []
        return [f"static const struct vim_field {name}_fields[] = {{",
                *(self.field(name, m, are_properties) for m in members), "};"]

    def descriptor_entry(self, t: Type) -> list[str]:
        since = self.schema.version_index(t.since)
        out: list[str] = []
        parts = [f".name = {quoted(t.name)}", f".doc = {quoted(t.doc)}", f".since = {since}"]
        if t.kind == "enum":
            out.append(f"static const char *const {t.name}_values[] = {{NULL, "
                       + ", ".join(quoted(v.name) for v in t.values) + "};")
            out.append(f"static const vim_version {t.name}_since[] = {{0, "
                       + ", ".join(str(self.schema.version_index(v.since)) for v in t.values) + "};")
            parts += [".kind = VIM_ENUM", f".size = sizeof(enum {t.name})", f".values = {t.name}_values",
                      f".values_since = {t.name}_since", f".n_values = {len(t.values)}"]
        else:
            members = self.schema.all_members(t)
            out += self.table(t.name, members, t.kind == "managed")
            parts += [f".kind = {'VIM_REF' if t.kind == 'managed' else 'VIM_DATA'}",
                      f".size = sizeof(struct {t.name})"]
            if members:
                parts += [f".fields = {t.name}_fields", f".n_fields = {len(members)}"]
            if base := self.schema.parent(t):
                parts.append(f".base = &{base}_type")
            if t.kind == "fault":
                parts.append(".is_fault = true")
            if len(self.schema.subtypes(t)) > 1:
                parts.append(".has_subtypes = true")
        return out + [f"const struct vim_type {t.name}_type = {{{', '.join(parts)}}};"]

    def types_h(self) -> str:
        out = [_BANNER, "#pragma once", "", '#include "vim/type.h"', '#include "vim/value.h"', ""]
        for t in self.schema.of_kind("enum"):
            out += [f"/* {t.doc} */", f"enum {t.name} {{", f"    {t.name}_unset = 0,"]
            out += [f"    {t.name}_{ident(v.name) if ident(v.name)[-1] != '_' else v.name},  /* {v.doc} */"
                    for v in t.values]
            out += ["};", ""]
        out += [f"struct {t.name};" for t in self.schema.of_kind("data", "fault", "managed")] + [""]
        for t in self.schema.of_kind("data", "fault", "managed"):
            out += [f"/* {t.doc} */"] + self.struct(t.name, self.schema.all_members(t))
        for t in self.schema.of_kind("data", "fault", "managed", "enum"):
            out.append(f"extern const struct vim_type {t.name}_type;")
        out.append("")
        for t in self.schema.of_kind("data", "fault", "managed"):
            out += [f"static inline struct {t.name} *{t.name}_new(void)", "{",
                    f"    return (struct {t.name} *)vim_new(&{t.name}_type);", "}"]
        out += ["", "enum vim_privilege {"]
        out += [f"    {self.privilege(p.name)},"
                for p in self.schema.privileges]
        out += ["    VIM_PRIVILEGE_BY_ARGUMENT, /* the method's own code decides */", "};"]
        out += ["enum {"] + [f"    VIM_VERSION_{v.name.replace('.', '_')}," for v in self.schema.versions] + ["};"]
        return "\n".join(out) + "\n"

    def types_c(self) -> str:
        out = [_BANNER, '#include "vim/types.h"', ""]
        types = self.schema.of_kind("data", "fault", "managed", "enum")
        for t in types:
            out += self.descriptor_entry(t)
        out += ["", "const struct vim_type *const vim_types[] = {"]
        out += [f"    &{t.name}_type," for t in types] + ["};"]
        out += ["const size_t vim_n_types = G_N_ELEMENTS(vim_types);", "",
                "const struct vim_version_info vim_versions[] = {"]
        out += [f"    {{{quoted(v.name)}}}," for v in self.schema.versions] + ["};"]
        out += [f"const vim_version vim_newest_version = {len(self.schema.versions) - 1};", "",
                "const struct vim_privilege_info vim_privileges[] = {"]
        out += [f"    {{{quoted(p.name)}, {quoted(p.doc)}}}," for p in self.schema.privileges] + ["};"]
        out += ["const size_t vim_n_privileges = G_N_ELEMENTS(vim_privileges);"]
        return "\n".join(out) + "\n"

    # ---- faults ------------------------------------------------------------------------------------

    def fault_params(self, t: Type) -> list[Member]:
        """The members that a constructor takes: all of the fault's own kind but nested objects."""
        own = [m for part in self.schema.ancestry(t) if part.name not in ("MethodFault", "RuntimeFault")
               for m in part.members]
        return [m for m in own if not m.type.array and self.kind(m.type.name) in ("scalar", "enum", "managed")
                and m.type.name not in ("any", "binary")]

    def fault_proto(self, t: Type) -> str:
        params = []
        for m in self.fault_params(t):
            c = self.c_type(m.type.name)
            c = "const char *" if c == "char *" else c
            params.append(f"{c}{'' if c.endswith('*') else ' '}{ident(m.name)}")
        params.append("const char *format, ...")
        return f"struct vim_fault *fault_{snake(t.name)}({', '.join(params)})"

    def faults_h(self) -> str:
        out = [_BANNER, "#pragma once", "", '#include "vim/fault.h"', '#include "vim/types.h"', "",
               "/* Each makes a fault; `format` is the sentence that a person reads. Strings and references",
               " * are copied. Nested objects and arrays are left unset for the caller to fill. */"]
        for t in self.schema.of_kind("fault"):
            n = len(self.fault_params(t))
            out += [f"/* {t.doc} */", self.fault_proto(t) +
                    f" G_GNUC_PRINTF({n + 1}, {n + 2}) G_GNUC_WARN_UNUSED_RESULT;"]
        return "\n".join(out) + "\n"

    def faults_c(self) -> str:
        out = [_BANNER, '#include "vim/faults.h"', ""]
        for t in self.schema.of_kind("fault"):
            out += [self.fault_proto(t), "{", f"    struct {t.name} *fault = {t.name}_new();"]
            for m in self.fault_params(t):
                name = ident(m.name)
                if m.type.name == "string":
                    out.append(f"    fault->{name} = g_strdup({name});")
                elif self.kind(m.type.name) == "managed":
                    out.append(f"    fault->{name} = vim_ref_copy(&{name});")
                elif m.type.optional and m.type.name in _NUMBERS:
                    out += [f"    fault->{name}.set = true;", f"    fault->{name}.value = {name};"]
                else:
                    out.append(f"    fault->{name} = {name};")
            out += ["    va_list args;", "    va_start(args, format);",
                    "    struct vim_fault *made = vim_fault_new((struct MethodFault *)fault, format, args);",
                    "    va_end(args);", "    return made;", "}", ""]
        return "\n".join(out) + "\n"

    # ---- methods -----------------------------------------------------------------------------------

    def result_member(self, method: Method) -> Member | None:
        if method.result is None:
            return None
        return Member("returnval", method.result, method.since, "what the method answers", method.place)

    def signature(self, method: Method, name: str) -> str:
        result = self.result_member(method)
        ret = ""
        if result is not None and method.runs not in ("streaming", "parking"):
            ret = f", struct {method.name}_result *ret"
        return f"struct vim_fault *{name}(struct vim_call *call, const struct {method.name}_args *args{ret})"

    def methods_h(self) -> str:
        out = [_BANNER, "#pragma once", "", '#include "vim/method.h"', '#include "vim/types.h"', ""]
        for method in self.schema.methods():
            out += [f"/* {method.doc} */"] + self.struct(f"{method.name}_args", method.params)
            result = self.result_member(method)
            if result is not None:
                out += self.struct(f"{method.name}_result", [result])
        for t in self.schema.of_kind("managed"):
            methods = self.schema.all_methods(t)
            if not methods:
                continue
            out += [f"/* What implements {t.name}; a method left NULL answers NotSupported. */",
                    f"struct {t.name}_methods {{"]
            out += [f"    {self.signature(m, f'(*{m.name})')};" for m in methods]
            out += ["};", ""]
        out += [f"extern const struct vim_class {t.name}_class;" for t in self.schema.of_kind("managed")]
        out += [f"extern const struct vim_method {m.name}_method;" for m in self.schema.methods()]
        return "\n".join(out) + "\n"

    def method_entry(self, method: Method) -> list[str]:
        name = method.name
        out = self.table(f"{name}_args", method.params)
        base = name.removesuffix("_Task")
        fields = f".fields = {name}_args_fields, .n_fields = {len(method.params)}, " if method.params else ""
        out.append(f"static const struct vim_type {name}_args_type = {{.name = \"{base}RequestType\", "
                   f".kind = VIM_DATA, {fields}.size = sizeof(struct {name}_args)}};")
        result = self.result_member(method)
        out += self.table(f"{name}_result", [result] if result else [])
        size = f"sizeof(struct {name}_result)" if result else "sizeof(struct vim_type *)"
        fields = f".fields = {name}_result_fields, .n_fields = 1, " if result else ""
        out.append(f"static const struct vim_type {name}_result_type = {{.name = \"{name}Response\", "
                   f".kind = VIM_DATA, {fields}.size = {size}}};")
        streamed = result is None or method.runs in ("streaming", "parking")
        out += [f"static struct vim_fault *call_{name}(void (*code)(void), struct vim_call *call, "
                "const void *args, void *ret)", "{",
                f"    {self.signature(method, '(*typed)')} =",
                f"        ({self.signature(method, '(*)')})code;"]
        out += ["    (void)ret;"] if streamed else []
        out += [f"    return typed(call, args{'' if streamed else ', ret'});", "}"]
        if method.throws:
            out.append(f"static const struct vim_type *const {name}_throws[] = {{"
                       + ", ".join(f"&{f}_type" for f in method.throws) + ", NULL};")
        runs = {"": "VIM_RUNS_INLINE", "blocking": "VIM_RUNS_BLOCKING", "streaming": "VIM_RUNS_STREAMING",
                "parking": "VIM_RUNS_PARKING"}[method.runs]
        out.append(f"const struct vim_method {name}_method = {{.name = \"{name}\", "
                   f".doc = {quoted(method.doc)}, .owner = &{method.owner}_type, "
                   f".args = &{name}_args_type, .result = &{name}_result_type, .invoke = call_{name}, "
                   + (f".throws = {name}_throws, " if method.throws else "")
                   + f".privilege = {self.privilege(method.privilege)}, .runs = {runs}, "
                   f".since = {self.schema.version_index(method.since)}}};")
        return out

    def methods_c(self) -> str:
        out = [_BANNER, '#include "vim/methods.h"', ""]
        for method in self.schema.methods():
            out += self.method_entry(method)
        for t in self.schema.of_kind("managed"):
            methods = self.schema.all_methods(t)
            if methods:
                out.append(f"static const struct vim_method *const {t.name}_class_methods[] = {{"
                           + ", ".join(f"&{m.name}_method" for m in methods) + "};")
            uses = f", .methods = {t.name}_class_methods, .n_methods = {len(methods)}" if methods else ""
            out.append(f"const struct vim_class {t.name}_class = {{.type = &{t.name}_type{uses}}};")
        by_name = sorted(m.name for m in self.schema.methods())
        out += ["", "const struct vim_method *const vim_methods[] = {"]
        out += [f"    &{name}_method," for name in by_name] + ["};"]
        out += ["const size_t vim_n_methods = G_N_ELEMENTS(vim_methods);", "",
                "const struct vim_class *const vim_classes[] = {"]
        out += [f"    &{t.name}_class," for t in self.schema.of_kind("managed")] + ["};"]
        out += ["const size_t vim_n_classes = G_N_ELEMENTS(vim_classes);"]
        return "\n".join(out) + "\n"


def emit(schema: Schema) -> dict[str, str]:
    e = Emitter(schema)
    return {"types.h": e.types_h(), "types.c": e.types_c(), "faults.h": e.faults_h(),
            "faults.c": e.faults_c(), "methods.h": e.methods_h(), "methods.c": e.methods_c()}
