#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tap.py FILE.py [TEST ...]: runs the unittest cases of a file and reports each as a line of TAP, so that
the build counts single tests. What a test or a program that it starts prints goes to stderr."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import traceback
import unittest
from pathlib import Path
from types import TracebackType
from typing import TextIO

_Error = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class TapResult(unittest.TestResult):
    """Writes a line for each test as it ends. A failed subtest, or a failed clean-up after a test that
    passed, fails its test: the verdict is given once, when the test stops."""

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self.out = out
        self.count = 0
        self.ok = True
        self.verdict: tuple[bool, str] | None = None
        self.started = 0.0

    def point(self, name: str, ok: bool, remark: str = "") -> None:
        self.count += 1
        self.ok = self.ok and ok
        name = name.replace("#", "no. ")
        self.out.write(f"{'ok' if ok else 'not ok'} {self.count} {name}{remark}\n")
        self.out.flush()

    def fail(self, test: unittest.TestCase, error: _Error) -> None:
        print(f"--- {test.id()}", file=sys.stderr)
        traceback.print_exception(*error)
        sys.stderr.flush()
        if self.started:
            self.verdict = (False, "")
        else:  # a class or module that could not be set up or cleaned up
            self.point(test.id(), False)

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.verdict = None
        self.started = time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:
        took = time.monotonic() - self.started
        self.started = 0.0
        ok, remark = self.verdict or (True, "")
        self.point(test.id(), ok, remark)
        self.out.write(f"# {took:.2f} s\n")
        super().stopTest(test)

    def addError(self, test: unittest.TestCase, err: _Error) -> None:
        super().addError(test, err)
        self.fail(test, err)

    def addFailure(self, test: unittest.TestCase, err: _Error) -> None:
        super().addFailure(test, err)
        self.fail(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: _Error | None) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.fail(subtest, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        remark = f" # SKIP {' '.join(reason.split()) or 'no reason given'}"
        if not self.started:
            self.point(test.id(), True, remark)
        elif self.verdict is None:
            self.verdict = (True, remark)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.verdict = (False, "")


def load(path: Path) -> unittest.TestSuite:
    """The cases of a file, which finds the modules beside it."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    if len(sys.argv) > 2:
        return unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:], module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def main() -> int:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    result = TapResult(out)
    try:
        suite = load(Path(sys.argv[1]).resolve())
    except unittest.SkipTest as skip:
        out.write(f"1..1\nok 1 {Path(sys.argv[1]).stem} # SKIP {skip}\n")
        return 0
    if suite.countTestCases() == 0:
        result.point(f"{sys.argv[1]} has no test", False)
    suite.run(result)
    out.write(f"1..{result.count}\n")
    out.flush()
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
