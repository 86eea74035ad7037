"""The garbage collector's settings, in a process of their own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit, gc
from kubeforge.collector import collect_rarely
atexit.register(lambda: print(gc.get_freeze_count() > 0))  # registered before, so called after
before = gc.get_threshold()
collect_rarely()
print(gc.isenabled(), gc.get_threshold()[0] > 10 * before[0], gc.get_freeze_count() == 0)
"""


def test_rarely_while_it_runs_and_not_at_all_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True", "True"]


def test_a_library_leaves_it_alone() -> None:
    program = "import gc; before = gc.get_threshold(); import kubeforge.engine.run; print(gc.get_threshold() == before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
