"""certs: what is asked for, and with what it leaves. The look and the run have their own tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubeforge.cli import certs as module
from kubeforge.cli import root, runs
from kubeforge.cli.boundary import guarded
from kubeforge.cluster.certificates import Listed, Listing, State
from kubeforge.tasks.renewal import RENEW

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def listed(state: State, seconds: int) -> Listed:
    return Listed(host="cp1", name="apiserver", path="/p", state=state, seconds=seconds, ends=NOW, begins=NOW)


def seen(monkeypatch: pytest.MonkeyPatch, *found: Listed, silent: Mapping[str, str] | None = None) -> list[Any]:
    asked: list[Any] = []

    def look(*what: Any) -> Listing:
        asked.append(what)
        return Listing(asked=NOW, certificates=found, silent=silent or {})

    monkeypatch.setattr(module, "_seen", look)
    return asked


@pytest.mark.parametrize(
    ("found", "words", "code"),
    [
        ([listed(State.VALID, 9_000_000)], [], 0),
        ([listed(State.SOON, 90_000)], [], 3),
        ([listed(State.SOON, 90_000)], ["--warn-days", "1"], 0),
        ([listed(State.VALID, 9_000_000)], ["--warn-days", "400"], 3),
        ([listed(State.ENDED, -5)], ["--warn-days", "0"], 4),
    ],
)
def test_check_leaves_with_a_code_for_monitors(
    monkeypatch: pytest.MonkeyPatch, found: list[Listed], words: list[str], code: int
) -> None:
    seen(monkeypatch, *found)
    assert guarded(root, ["certs", "check", *words], "kubeforge") == code


def test_check_in_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen(monkeypatch, listed(State.ENDED, -90_000))
    assert guarded(root, ["certs", "check", "-o", "json"], "kubeforge") == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["good"]) == (1, False)
    assert (told["certificates"][0]["state"], told["certificates"][0]["days"]) == ("ended", -2)


def test_list_shows_all_and_leaves_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = seen(monkeypatch, listed(State.ENDED, -5))
    assert guarded(root, ["certs", "list", "--hosts", "kube_node", "-i", "somewhere"], "kubeforge") == 0
    assert "apiserver" in capsys.readouterr().out
    assert (asked[0][0], asked[0][3]) == (Path("somewhere"), "kube_node")
    seen(monkeypatch, silent={"w1": "no route"})
    assert guarded(root, ["certs", "list"], "kubeforge") == 11


@pytest.mark.parametrize(
    ("words", "wanted", "limit"),
    [
        ([], "due", None),
        (["--all", "--hosts", "cp1"], "all", "cp1"),
        (["apiserver", "etcd-peer", "-l", "cp2"], "apiserver,etcd-peer", "cp2"),
    ],
)
def test_renew_runs_its_playbook(
    monkeypatch: pytest.MonkeyPatch, words: list[str], wanted: str, limit: str | None
) -> None:
    opened: list[Any] = []

    @contextmanager
    def open_run(choices: Any, playbook: str, *, parts: bool) -> Iterator[Any]:
        opened.append((choices.variables[RENEW], choices.limit, playbook, parts))
        yield SimpleNamespace(plan=lambda **_: None)

    monkeypatch.setattr(runs, "opened", open_run)
    monkeypatch.setattr(module, "carry_out", lambda *_, **__: None)
    assert guarded(root, ["certs", "renew", "--yes", *words], "kubeforge") == 0
    assert opened == [(wanted, limit, "certs-renew", False)]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["ca"], 10), (["apisever"], 10), (["apiserver", "--all"], 64), (["--hosts", "a", "-l", "b"], 64)],
)
def test_what_makes_no_sense_is_refused(words: list[str], code: int) -> None:
    assert guarded(root, ["certs", "renew", "--yes", *words], "kubeforge") == code
