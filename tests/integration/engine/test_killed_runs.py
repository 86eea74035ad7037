"""A controller that gets SIGKILL at any moment, again and again, and goes on: no command without a guard ran twice."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from kubeforge.errors import InputError
from kubeforge.inventory.model import Inventory
from kubeforge.lab.lab import Lab

pytestmark = pytest.mark.lab

PROGRAM = Path(__file__).with_name("program.py")
BOOK = """
- {play: First, hosts: all, tasks: [{kfit.once: {numbers: [0, 1, 2]}}]}
- {play: Second, hosts: all, serial: 1, tasks: [{kfit.once: {numbers: [3, 4]}}]}
- {play: Third, hosts: all, tasks: [{kfit.once: {numbers: [5, 6, 7]}}]}
"""
COUNT = 8
EVENTS = 40  # after which it is killed, at most; all of it are some 136
ATTEMPTS = 200


def interrupted(inventory: Inventory, events: int, seconds: float, *, resume: bool) -> int:
    """Run the program and kill it so many seconds after so many events; return its exit code."""
    argv = [sys.executable, str(PROGRAM), str(inventory.source), BOOK, *(["resume"] if resume else [])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        if sum(1 for _ in itertools.islice(child.stdout, events)) == events:
            time.sleep(seconds)
            child.kill()
        child.communicate()
        return child.returncode


def begun(state: Path) -> bool:
    """Whether a run is recorded that may have changed something."""
    return any(state.glob("runs/*/*/plan.json"))


def test_no_command_twice(lab: Lab, inventory: Inventory, state: Path, program: ModuleType) -> None:
    seed = int(time.time())
    moments = random.Random(seed)
    killed = 0
    for _ in range(ATTEMPTS):
        code = interrupted(inventory, moments.randint(0, EVENTS), moments.uniform(0, 0.1), resume=begun(state))
        if code != -signal.SIGKILL:
            break
        killed += 1
    assert code in {0, InputError.exit_code}, f"seed {seed}"  # killed when all was done: nothing to go on with
    assert killed > 1, f"seed {seed}: it was never killed"
    for name in inventory.hosts:
        lines = lab.host(name).run(("sh", "-c", f"cat {program.ONCE}-*")).stdout.split()
        assert lines == [name] * COUNT, f"seed {seed}, {killed} times killed"
    last = max(state.glob("runs/*/*/result.json"), key=lambda file: file.stat().st_mtime_ns)
    assert json.loads(last.read_text())["remaining"] == []
