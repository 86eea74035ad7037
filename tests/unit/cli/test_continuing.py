"""--resume, --retry-failed, --doubtful, --bulk and --executor: what they say, and which run they choose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cli import root, runs
from kubeforge.cli.boundary import guarded
from kubeforge.cli.continuing import Continuing
from kubeforge.cli.runs import Choices
from kubeforge.engine.plan import Plan
from kubeforge.engine.playbook import Portion
from kubeforge.errors import InputError
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.transport.connect import Connections
from tests.recorded_run import write_run


class Opened:
    """A run with nothing to do."""

    prose = True

    def plan(self, *, diff: bool) -> Plan:
        return Plan(playbook="apply", hosts=(), plays=())

    def blocked(self, plan: Plan) -> bool:
        return False

    def record(self, plan: Plan) -> None:
        """Nothing to write."""

    def show_plan(self, plan: Plan, *, diff: bool) -> None:
        """Nothing to show."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Choices]:
    found: list[Choices] = []

    @contextmanager
    def opened(choices: Choices, playbook: str, *, parts: bool) -> Iterator[Any]:
        found.append(choices)
        yield Opened()

    monkeypatch.setattr(runs, "opened", opened)
    return found


@pytest.mark.parametrize(
    ("words", "continuing"),
    [
        ("", Continuing()),
        ("--resume", Continuing(resume="last")),
        ("--resume ab12cd --doubtful skip", Continuing(resume="ab12cd", doubtful="skip")),
        ("--retry-failed", Continuing(retry_failed=True)),
        ("--retry-failed --resume", Continuing(resume="last", retry_failed=True)),
        ("--resume --yes", Continuing(resume="last")),
    ],
)
def test_words(said: list[Choices], words: str, continuing: Continuing) -> None:
    assert guarded(root, ["apply", *words.split(), "--yes"], "kubeforge") == 0
    assert said[0].continuing == continuing


def test_doubtful_alone_means_nothing(said: list[Choices], capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(root, ["apply", "--yes", "--doubtful", "redo"], "kubeforge") == 64
    assert "give --resume" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["apply 1.36.3", "rollback"])
@pytest.mark.parametrize("option", ["--resume", "--retry-failed", "--doubtful"])
def test_upgrades_go_on_by_the_same_command(words: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So they do not offer what goes on with a recorded run."""
    assert guarded(root, ["upgrade", *words.split(), "--yes", option], "kubeforge") == 64
    assert "No such option" in capsys.readouterr().err
    guarded(root, ["upgrade", words.partition(" ")[0], "--help"], "kubeforge")
    told = capsys.readouterr().out
    assert option not in told
    assert "--forks" in told


@pytest.mark.parametrize(("word", "bulk"), [("5", Portion(5)), ("30%", Portion(30, percent=True))])
def test_bulk(said: list[Choices], word: str, bulk: Portion) -> None:
    assert guarded(root, ["plan", "--bulk", word, "--executor", "dask://h:1"], "kubeforge") == 0
    assert (said[0].bulk, said[0].executor) == (bulk, "dask://h:1")


def test_every_session_is_of_the_choices(said: list[Choices]) -> None:
    assert guarded(root, ["plan", "--bulk", "2", "--forks", "3"], "kubeforge") == 0
    hosts = {"w1": Host(name="w1", connection=Connection(address="192.0.2.1"))}
    inventory = Inventory(hosts=hosts, groups={"all": ("w1",), "kube_control_plane": ("w1",)})
    display = runs.display_for(verbose=False)
    with (
        Connections() as connections,
        runs.session_of(
            said[0],
            runs.loaded("reset"),
            inventory,
            connections,
            spec=None,
            display=display,
            artifacts=None,
            going_on=(None, ("w1",)),
        ) as session,
    ):
        assert {play.bulk for play in session.who.playbook.plays} == {Portion(2)}
        assert session.who.everyone == ("w1",)


@pytest.mark.parametrize("word", ["0", "many", "101%", "-1"])
def test_bulk_that_is_none(said: list[Choices], word: str) -> None:
    assert guarded(root, ["plan", f"--bulk={word}"], "kubeforge") == 64
    assert said == []


def test_the_run_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    run = write_run(tmp_path / "runs" / "demo")
    assert Continuing().of("demo", run.playbook) == (None, None)
    resume, within = Continuing(resume="last", retry_failed=True).of("demo", run.playbook)
    assert resume is not None
    assert resume.run.run_id == run.run_id
    assert within == ("w2",)
    assert Continuing(retry_failed=True).of("demo", run.playbook) == (None, ("w2",))
    with pytest.raises(InputError, match="no run of reset"):
        Continuing(resume="last").of("demo", "reset")


def test_the_last_run_is_none_of_another_playbook_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    run = write_run(tmp_path / "runs" / "demo")
    site = json.loads((run.path / "site.json").read_text())
    (run.path / "site.json").write_text(json.dumps({**site, "file": "/web/apply.yml"}))
    resume, _ = Continuing(resume="last").of("demo", run.playbook, "/web/apply.yml")
    assert resume is not None
    for other in ("/db/apply.yml", ""):
        with pytest.raises(InputError, match="no run of apply"):
            Continuing(resume="last").of("demo", run.playbook, other)
    named, _ = Continuing(resume=run.run_id).of("demo", run.playbook, "/moved/apply.yml")
    assert named is not None
