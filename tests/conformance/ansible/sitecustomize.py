# SPDX-License-Identifier: Apache-2.0
"""Found by Python at its start where this folder is in PYTHONPATH. Gives Debian's pyVmomi the one name of a newer
one that Ansible's modules use: a JSON encoder of data objects."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
from types import ModuleType
from typing import Any


def add_encoder(module: ModuleType) -> None:
    class VmomiJSONEncoder(json.JSONEncoder):
        def __init__(self, *, strip_dynamic: bool = False, **options: Any) -> None:
            super().__init__(**options)
            self.left_out = ("dynamicType", "dynamicProperty") if strip_dynamic else ()

        def default(self, o: Any) -> Any:
            if isinstance(o, module.DataObject):
                return {p.name: getattr(o, p.name) for p in o._GetPropertyList() if p.name not in self.left_out}
            return str(o)  # a reference, a time

    module.VmomiJSONEncoder = VmomiJSONEncoder  # type: ignore[attr-defined]


class Finder(importlib.abc.MetaPathFinder):
    """Loads pyVmomi's module as everybody does, and adds the name to it."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        if fullname != "pyVmomi.VmomiSupport":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None and spec.loader is not None
        run = spec.loader.exec_module

        def run_and_add(module: ModuleType) -> None:
            run(module)
            add_encoder(module)

        spec.loader.exec_module = run_and_add  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
