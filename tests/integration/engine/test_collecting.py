"""Many runs on real hosts: old generations and programs go, what was there at first comes back."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kubeforge.engine.collecting import KEPT
from kubeforge.engine.events import Collected, Warned
from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Inventory
from kubeforge.lab.lab import Lab
from kubeforge.spec.paths import GENERATIONS, STATE, STORE

pytestmark = pytest.mark.lab

RUNS = KEPT + 3
CHANGE = """
- {play: Files, hosts: w1, tasks: [kfit.files: {count: 5, text: TEXT}]}
- {play: Program, hosts: w1, tasks: [kfit.program: {file: FILE}]}
"""
BACK = "- {play: Back, hosts: w1, tasks: [kfit.taken_back]}"
LISTED = (
    "cd / && find etc usr/local -xdev -printf '%p %y %m %u %g %l\\n' | sort; "
    "find etc usr/local -xdev -type f -exec sha256sum {} + | sort"
)


def listed(lab: Lab) -> list[str]:
    return lab.host("w1").run(("sh", "-c", LISTED)).stdout.splitlines()


def names(lab: Lab, folder: str) -> list[str]:
    return lab.host("w1").run(("ls", folder)).stdout.split()


@pytest.mark.parametrize("user", ["root", "ops"])
def test_many_runs_then_back_to_the_first(lab: Lab, program: ModuleType, tmp_path: Path, user: str) -> None:
    inventory: Inventory = load(lab.inventory, extra_vars={"ansible_user": user, "ansible_become": user != "root"})
    host = lab.host("w1")
    host.run(("sh", "-c", "mkdir -m 750 /etc/kfit; echo mine >/etc/kfit/3; echo mine >/usr/local/bin/kfit"))
    before = listed(lab)
    collected: list[Any] = []
    for number in range(1, RUNS + 1):
        file = tmp_path / f"v{number}"
        file.write_text(f"#!/bin/sh\necho v{number}\n")
        file.chmod(0o755)
        events: list[Any] = []
        text = CHANGE.replace("TEXT", f"text{number}").replace("FILE", str(file))
        with program.session(inventory, text, [events.append]) as session:
            result = session.apply(session.plan())
        assert result.exit_code == 0, result.failures
        assert [event for event in events if isinstance(event, Warned)] == []
        collected += [event for event in events if isinstance(event, Collected)]
        with program.session(inventory, text) as session:
            assert not session.plan()
    assert [(event.generations, event.programs) for event in collected] == [(1, 0), (1, 1), (1, 1)]
    assert len([name for name in names(lab, GENERATIONS) if name[0].isdigit()]) == KEPT
    assert len(names(lab, STORE)) == KEPT + 1  # the one that is linked, and one of each generation to go back to
    assert host.run(("kfit",)).stdout == f"v{RUNS}\n"
    with program.session(inventory, BACK) as session:
        assert session.apply(session.plan()).exit_code == 0
    assert listed(lab) == before
    host.run(("rm", "-rf", STATE, "/etc/kfit", "/usr/local/bin/kfit"))
