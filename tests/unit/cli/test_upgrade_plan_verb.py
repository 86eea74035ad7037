"""`upgrade plan`: what it takes, how it leaves, in which forms it answers. What it says has its own tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from kubeforge.cli import root
from kubeforge.cli.boundary import guarded
from kubeforge.cli.upgrade import VERBS, upgrade
from kubeforge.cluster.status.model import Problem, Severity
from kubeforge.cluster.upgrade import look as looking
from kubeforge.cluster.upgrade.model import UpgradePlan
from tests.unit.cluster.upgrade.conftest import NOW

HOSTS = "all: {children: {kube_control_plane: {hosts: {cp1: {ansible_host: 192.0.2.11}}}}}\n"
PLAN = UpgradePlan(cluster="demo", asked=NOW, now="1.35.4", wanted="1.36.3")
PROBLEM = Problem(kind="room", severity=Severity.ERROR, where="cp1", message="too little", remedy="free some")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "cluster.yml").write_text("name: demo\nkubernetes: 1.35.4\n")
    return tmp_path


def said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str, plan: UpgradePlan = PLAN
) -> tuple[int, list[dict[str, Any]]]:
    """Call the verb over a look that is given; return its exit code and what the look was asked for."""
    asked: list[dict[str, Any]] = []

    def look(inventory: Any, spec: Any, remote_of: Any, shelf: Any, **more: Any) -> UpgradePlan:
        asked.append({"name": spec.name, "hosts": list(inventory.hosts), **more})
        return plan

    monkeypatch.setattr(looking, "look", look)
    return guarded(root, ["upgrade", "plan", "-i", str(folder), *words], "kubeforge"), asked


def test_table_of_verbs_is_true() -> None:
    for name, verb in VERBS.items():
        command = upgrade.get_command(click.Context(upgrade), name)
        assert command is not None
        assert command.help is not None
        assert (command.name, command.help.splitlines()[0]) == (name, verb.summary)


def test_nothing_stands_in_the_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, asked = said(folder, monkeypatch, "1.36", "--ignore", "unhealthy")
    assert code == 0
    assert asked == [{"name": "demo", "hosts": ["cp1"], "version": "1.36", "ignored": ("unhealthy",)}]
    assert "nothing to do" in capsys.readouterr().out


def test_something_does(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plan = UpgradePlan(cluster="demo", asked=NOW, now="1.35.4", wanted="1.36.3", problems=(PROBLEM,))
    code, asked = said(folder, monkeypatch, "-o", "json", plan=plan)
    assert (code, asked[0]["version"]) == (12, None)
    data = json.loads(capsys.readouterr().out)
    assert (data["verdict"], data["good"], data["problems"][0]["kind"]) == ("blocked", False, "room")


def test_nobody_can_be_entered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = UpgradePlan(cluster="demo", asked=NOW, now="", wanted="1.36.3", entered=False)
    assert said(folder, monkeypatch, plan=plan)[0] == 11


def test_names_that_cannot_be_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, asked = said(folder, monkeypatch, "--ignore", "downgrade", "--ignore", "nothing")
    assert (code, asked) == (10, [])
    told = capsys.readouterr().err
    assert "downgrade cannot be ignored" in told
    assert "there is no kind of problem called nothing" in told


def test_what_is_wrong_with_the_input_comes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cluster.yml").write_text("name: demo\nkubernetes: 1.12.0\n")
    assert said(folder, monkeypatch) == (10, [])
    assert "cluster.yml:2: kubernetes" in capsys.readouterr().err


def test_a_version_that_nobody_knows_asks_no_host(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real look: the host of this inventory does not exist."""
    (folder / "cluster.yml").write_text("name: demo\nkubernetes: 1.35.4\nartifacts: {source: source}\n")
    assert guarded(root, ["upgrade", "plan", "1.99", "-i", str(folder)], "kubeforge") == 10
    assert "Kubernetes 1.99 is not supported" in capsys.readouterr().err
