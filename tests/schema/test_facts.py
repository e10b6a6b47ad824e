# SPDX-License-Identifier: Apache-2.0
"""The schema against the facts of the public API, as pyVmomi's tables have them: what both know
must be equal in kind, base, version, order, type and optionality. The schema may leave out optional
things; it may not leave out what is required, nor an enum's values. A deviation that is meant
stands in DEVIATIONS with its reason, and one that is gone must leave the table."""

from __future__ import annotations

import unittest

from common import load_api
from facts import FOLDER, Facts
from schema.model import Member, Method, Type, TypeRef

# What the tables do not hold because pyVmomi has it in its code, and what is ours alone.
NOT_IN_TABLES: dict[str, str] = {
    "LocalizedMethodFault": "made in VmomiSupport.py",
    "ManagedObject": "a class of VmomiSupport.py",
    "MethodFault": "made in VmomiSupport.py",
    "RuntimeFault": "made in VmomiSupport.py",
}

CENTER = "a single host has no such object, but clients name the type to it"
# What differs, in the comparison's words -> why.
DEVIATIONS: dict[str, str] = {
    "ClusterComputeResource.configuration: required, but missing": CENTER,
    "DistributedVirtualPortgroup.config: required, but missing": CENTER,
    "DistributedVirtualSwitch.capability: required, but missing": CENTER,
    "DistributedVirtualSwitch.config: required, but missing": CENTER,
    "DistributedVirtualSwitch.summary: required, but missing": CENTER,
    "EventManager.latestEvent: privilege is System.Read, fact is System.View":
        "everybody has System.View on managers, and an event tells of things that not everybody may read",
}


def show(ref: TypeRef | None) -> str:
    """A type as the schema's language spells it."""
    if ref is None:
        return "nothing"
    inner = f"({show(ref.task_result)})" if ref.task_result else ""
    return f"{ref.name}{inner}{'[]' if ref.array else ''}{'?' if ref.optional else ''}"


class Comparison:
    """Gathers the differences, one sentence each, beginning with the place."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def same(self, where: str, what: str, ours: str, fact: str) -> None:
        if ours != fact:
            self.found.append(f"{where}: {what} is {ours}, fact is {fact}")

    def order(self, where: str, ours: list[str], facts: list[str]) -> None:
        """Ours are among the facts, in their order."""
        for name in ours:
            if name not in facts:
                self.found.append(f"{where}.{name}: not a fact")
        known = [name for name in ours if name in facts]
        if known != [name for name in facts if name in known]:
            self.found.append(f"{where}: order is {' '.join(known)}, fact is {' '.join(facts)}")

    def members(self, where: str, ours: list[Member], facts: list[Member]) -> None:
        self.order(where, [m.name for m in ours], [m.name for m in facts])
        by_name = {m.name: m for m in ours}
        for fact in facts:
            mine = by_name.get(fact.name)
            if mine is not None:
                self.same(f"{where}.{fact.name}", "type", show(mine.type), show(fact.type))
                self.same(f"{where}.{fact.name}", "since", mine.since, fact.since)
            elif not fact.type.optional:
                self.found.append(f"{where}.{fact.name}: required, but missing")

    def method(self, ours: Method, fact: Method) -> None:
        where = ours.name
        self.same(where, "owner", ours.owner, fact.owner)
        self.same(where, "since", ours.since, fact.since)
        self.same(where, "result", show(ours.result), show(fact.result))
        self.same(where, "privilege", ours.privilege, fact.privilege)
        self.members(where, ours.params, fact.params)
        for name in ours.throws:
            if name not in fact.throws:
                self.found.append(f"{where}: throws {name}, which is not a fact")

    def type(self, ours: Type, fact: Type) -> None:
        self.same(ours.name, "kind", ours.kind, fact.kind)
        self.same(ours.name, "base", ours.base or "none", fact.base or "none")
        self.same(ours.name, "since", ours.since, fact.since)
        self.members(ours.name, ours.members, fact.members)
        needed = {m.name: m.privilege for m in fact.members}
        for mine in ours.members if ours.kind == "managed" else ():
            self.same(f"{ours.name}.{mine.name}", "privilege", mine.privilege or "System.Read",
                      needed.get(mine.name) or "System.Read")
        self.order(ours.name, [v.name for v in ours.values], [v.name for v in fact.values])
        for value in fact.values:
            if value.name not in {v.name for v in ours.values}:
                self.found.append(f"{ours.name}.{value.name}: value is missing")


@unittest.skipUnless(FOLDER.is_dir(), "python3-pyvmomi is not installed")
class FactsTest(unittest.TestCase):
    maxDiff = None

    def test_schema_agrees_with_the_facts(self) -> None:
        ours = load_api()
        facts = Facts(ours).schema
        comparison = Comparison()
        unknown: list[str] = []
        for t in ours.types.values():
            fact = facts.types.get(t.name)
            if fact is None:
                unknown.append(t.name)
            else:
                comparison.type(t, fact)
        methods = {m.name: m for m in facts.methods()}
        for method in ours.methods():
            if method.name in methods:
                comparison.method(method, methods[method.name])
            else:
                unknown.append(method.name)
        with self.subTest("differences"):
            self.assertEqual(sorted(comparison.found), sorted(DEVIATIONS))
        with self.subTest("known on both sides"):
            self.assertEqual(sorted(unknown), sorted(NOT_IN_TABLES))

    def test_tables_read_as_known(self) -> None:
        """Samples of each translation, so that a reader that reads nothing does not pass."""
        facts = Facts(load_api()).schema
        members = {f"{t.name}.{m.name}": m for t in facts.types.values() for m in t.members}
        for name, type_, since in (
                ("VirtualHardware.memoryMB", "int", "2.5"),
                ("VirtualHardware.numCoresPerSocket", "int?", "5.0"),
                ("VirtualMachine.layoutEx", "VirtualMachineFileLayoutEx?", "4.0"),
                ("TaskInfo.error", "LocalizedMethodFault?", "2.5"),
                ("TaskInfo.scheduledTask", "", ""),
                ("HostMultipathInfoLogicalUnit.lun", "string", "2.5"),
                ("PropertySpec.type", "string", "2.5"),
                ("AlarmEventArgument.alarm", "ExtensibleManagedObject", "2.5")):
            with self.subTest(name):
                member = members.get(name)
                self.assertEqual(show(member.type) if member else "", type_)
                self.assertEqual(member.since if member else "", since)
        self.assertNotIn("EventArgDesc.array", members)
        self.assertEqual(show(next(m.result for m in facts.methods() if m.name == "CreateVM_Task")),
                         "Task(VirtualMachine)")

    def test_comparison_finds_differences_of_types(self) -> None:
        facts = Facts(load_api()).schema
        fact = facts.types["VirtualDisk"]
        same = Comparison()
        same.type(fact, fact)
        self.assertEqual(same.found, [])
        wrong = Type("fault", "VirtualDisk", "VirtualController", "4.0", "", fact.place,
                     [fact.members[2], fact.members[1],
                      Member("sizeInBytes", TypeRef("long"), "4.0", "", fact.place)])
        different = Comparison()
        different.type(wrong, fact)
        self.assertEqual(different.found, [
            "VirtualDisk: kind is fault, fact is data",
            "VirtualDisk: base is VirtualController, fact is VirtualDevice",
            "VirtualDisk: since is 4.0, fact is 2.5",
            "VirtualDisk.sizeInBytes: not a fact",
            f"VirtualDisk: order is {fact.members[2].name} {fact.members[1].name}, fact is "
            + " ".join(m.name for m in fact.members),
            "VirtualDisk.capacityInKB: required, but missing"])

    def test_comparison_finds_differences_of_methods(self) -> None:
        facts = Facts(load_api()).schema
        fact = next(m for m in facts.methods() if m.name == "PowerOnVM_Task")
        self.assertGreater(len(fact.throws), 3)
        same = Comparison()
        same.method(fact, fact)
        self.assertEqual(same.found, [])
        wrong = Method("PowerOnVM_Task", TypeRef("Task", optional=True), "4.0", "", fact.place,
                       [Member("target", TypeRef("string"), "2.5", "", fact.place)], "System.View",
                       ["NotFound"], owner="HostSystem")
        different = Comparison()
        different.method(wrong, fact)
        self.assertEqual(len(different.found), 6, different.found)


if __name__ == "__main__":
    unittest.main()
