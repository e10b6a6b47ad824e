#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run.py TARGET CORPUS SECONDS: runs a libFuzzer target on the files of CORPUS and then on what it makes of
them, with the words of CORPUS.dict where there is one. The findings of the run stay in <TARGET>.found in the
build folder, an input that fails there as crash-*: make it a unit test or a file of the corpus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    target, corpus, seconds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if not any(corpus.iterdir() if corpus.is_dir() else ()):
        print(f"{corpus} has no file to begin with", file=sys.stderr)
        return 1
    found = target.with_name(target.name + ".found")
    found.mkdir(exist_ok=True)
    words = corpus.with_suffix(".dict")
    # What a target keeps in files it keeps for one input: in memory it is several times as fast.
    environment = os.environ | ({"TMPDIR": "/dev/shm"} if os.access("/dev/shm", os.W_OK) else {})
    # New inputs go into the first folder; the second is read alone.
    return subprocess.run([target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                           "-max_len=65536", "-print_final_stats=1", f"-artifact_prefix={found}/",
                           *([f"-dict={words}"] if words.exists() else []),
                           found, corpus], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
