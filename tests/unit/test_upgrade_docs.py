"""docs/upgrade-plan.md names every field, every kind of problem and every verdict, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from kubeforge.cluster.status.model import Problem
from kubeforge.cluster.upgrade import model
from kubeforge.cluster.upgrade.obstacles import TABLE

TEXT = (Path(__file__).parents[2] / "docs/upgrade-plan.md").read_text()
ROWS = {
    "path[]": model.Step,
    "choices[]": model.Choice,
    "hosts[]": model.HostStep,
    "addons[]": model.AddonStep,
    "restarts[]": model.Restart,
    "room[]": model.Need,
    "problems[]": Problem,
}


def row(name: str) -> str:
    """Return the line of the table that begins with a name."""
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}`")]
    return line


@pytest.mark.parametrize("name", ROWS)
def test_every_field_is_described(name: str) -> None:
    assert {field.name for field in fields(ROWS[name])} <= set(re.findall(r"`([a-z_]+)`", row(name)))


def test_every_part_is_described() -> None:
    named = {word for line in TEXT.splitlines() if line.startswith("| `") for word in re.findall(r"`([a-z_]+)", line)}
    parts = {field.name for field in fields(model.UpgradePlan)} - {"entered"}
    assert parts <= named
    assert f"`version` is {model.VERSION}." in TEXT


def test_every_kind_of_problem_is_described() -> None:
    told: dict[str, str] = {}
    ignorable: set[str] = set()
    for line in TEXT.partition("## Problems")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            told |= dict.fromkeys(re.findall(r"`([a-z-]+)`", cells[0]), cells[1])
            ignorable |= set(re.findall(r"`([a-z-]+)`\*", cells[0]))
    assert told == {kind: row.severity.value for kind, row in TABLE.items()}
    assert ignorable == {kind for kind, row in TABLE.items() if row.ignorable}


def test_every_verdict_is_described() -> None:
    assert all(f"`{verdict.value}`" in TEXT for verdict in model.Verdict)
    assert all(f"`{done.value}`" in row("hosts[]") for done in model.Done)
