"""docs/status.md names every field and every kind of problem, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from kubeforge.cluster.status import model, rows
from kubeforge.cluster.status.remedies import TABLE

TEXT = (Path(__file__).parents[2] / "docs/status.md").read_text()
ROWS = {
    "kubernetes": rows.Kubernetes,
    "endpoint": rows.Endpoint,
    "dns[]": rows.Lookup,
    "hosts[]": rows.HostStatus,
    "nodes[]": rows.Node,
    "components[]": rows.Component,
    "etcd": rows.Etcd,
    "certificates[]": rows.Certificate,
    "versions[]": rows.Versions,
    "addons[]": rows.Addon,
    "runs[]": rows.Running,
    "problems[]": model.Problem,
}


def row(name: str) -> str:
    """Return the line of the table that begins with a name."""
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}`")]
    return line


@pytest.mark.parametrize("name", ROWS)
def test_every_field_is_described(name: str) -> None:
    inner = {"endpoint": (rows.Way,), "etcd": (rows.Member,)}.get(name, ())
    wanted = {field.name for kind in (ROWS[name], *inner) for field in fields(kind)}
    assert wanted <= set(re.findall(r"`([a-z_]+)`", row(name)))


def test_every_part_is_described() -> None:
    parts = {field.name for field in fields(model.ClusterStatus)}
    rows_of = {name.removesuffix("[]") for name in ROWS}
    assert parts - {"cluster", "asked", "invitations"} == rows_of
    assert row("invitations[]"), "plain ids"
    assert "`cluster`, `asked`" in TEXT
    assert f"`version` is {model.VERSION}." in TEXT


def test_every_kind_of_problem_is_described_with_its_severity() -> None:
    told: dict[str, str] = {}
    for line in TEXT.partition("## Problems")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            told |= dict.fromkeys(re.findall(r"`([a-z-]+)`", cells[0]), cells[1])
    assert told == {kind: row.severity.value for kind, row in TABLE.items()}


def test_every_verdict_is_described() -> None:
    assert all(f"`{verdict.value}`" in TEXT for verdict in model.Verdict)
