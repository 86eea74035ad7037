"""node add, remove, replace: which playbooks they run, in which order, and what they refuse to combine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cli import root, runs
from kubeforge.cli.boundary import guarded
from kubeforge.cli.continuing import Continuing
from kubeforge.cli.passwords import Asked
from kubeforge.cli.runs import Choices, opened
from kubeforge.cluster import membership
from kubeforge.engine.result import RunResult
from kubeforge.spec.model import EndpointKind
from tests.unit.cli.test_lifecycle import NOTHING, SOMETHING, UNREACHABLE, FakeRun

USAGE = 64


class Cli:
    """The command line over fake runs, one for each playbook."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[tuple[str, Choices, bool]] = []
        self.runs: dict[str, FakeRun] = {}
        monkeypatch.setattr(runs, "opened", self._open)

    @contextmanager
    def _open(self, choices: Choices, playbook: str, *, parts: bool, change: Any) -> Iterator[FakeRun]:
        assert callable(change)
        self.opened.append((playbook, choices, parts))
        yield self.runs.setdefault(playbook, FakeRun(SOMETHING))

    def __call__(self, *words: str) -> int:
        return guarded(root, ["node", *words], "kubeforge")

    @property
    def books(self) -> Sequence[str]:
        return [book for book, _, _ in self.opened]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(monkeypatch)


@pytest.mark.parametrize(
    ("words", "books"),
    [
        ("add w3 -y", ["node-add"]),
        ("add -y", ["node-add"]),
        ("remove w3 w4 -y", ["node-remove"]),
        ("remove w3 --dead -y", ["node-remove"]),
        ("replace w3 w4 -y", ["node-add", "node-remove"]),
        ("replace w3 w4 --dead -y", ["node-remove", "node-add"]),
        ("replace w3 -y", ["node-remove", "node-add"]),
    ],
)
def test_playbooks(cli: Cli, words: str, books: list[str]) -> None:
    assert cli(*words.split()) == 0
    assert cli.books == books
    assert [parts for _, _, parts in cli.opened] == [book == "node-add" for book in books]
    assert all(run.did == ["plan", "show", "apply", "result"] for run in cli.runs.values())


def test_a_replacement_stops_at_the_first_run_that_does_not_end_well(cli: Cli) -> None:
    cli.runs["node-remove"] = FakeRun(UNREACHABLE, blocked=True)
    assert cli("replace", "w3", "--dead", "-y") == 11
    assert cli.books == ["node-remove"]


def test_a_replacement_goes_on_where_the_first_run_had_nothing_to_do(cli: Cli) -> None:
    cli.runs["node-remove"] = FakeRun(NOTHING)
    assert cli("replace", "w3", "--dead", "-y") == 0
    assert cli.books == ["node-remove", "node-add"]


def test_options_of_a_drain_are_variables(cli: Cli) -> None:
    assert cli("remove", "w3", "-y", "--grace", "5s", "--deadline", "10m", "--force", "-e", "x=1") == 0
    ((_, choices, _),) = cli.opened
    assert choices.variables == {"x": "1", "drain_grace": "5s", "drain_deadline": "10m", "drain_force": "yes"}


@pytest.mark.parametrize("words", ["add w3", "remove w3", "replace w3 w4"])
def test_a_plan_can_be_shown_alone(cli: Cli, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(*words.split(), "--check") == 0
    assert [run.did for run in cli.runs.values()] == [["plan", "show"]]
    assert "hosts.yml" not in capsys.readouterr().err


def test_tags_are_for_hosts_that_come(cli: Cli) -> None:
    assert cli("replace", "w3", "w4", "-y", "-t", "prepare") == 0
    assert [(book, choices.tags) for book, choices, _ in cli.opened] == [
        ("node-add", ("prepare",)),
        ("node-remove", ()),
    ]


@pytest.mark.parametrize("words", ["add w3 -l w3 -y", "remove -y", "add w3", "remove w3", "replace -y"])
def test_what_is_refused(cli: Cli, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(*words.split()) == USAGE
    assert cli.opened == []
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reminds"),
    [
        ("remove w3 w4", "Take w3, w4 out of hosts.yml"),
        ("replace w3 w4", "Take w3 out"),
        ("replace w3", ""),
        ("add w3", ""),
    ],
)
def test_what_only_a_person_can_do_is_named(
    cli: Cli, words: str, reminds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(*words.split(), "-y") == 0
    said = capsys.readouterr().err
    assert reminds in said if reminds else "hosts.yml" not in said


def test_a_run_that_fails_leaves_with_its_code(cli: Cli) -> None:
    failed = RunResult(run_id="r", failures=UNREACHABLE.failures)
    cli.runs["node-add"] = FakeRun(SOMETHING, failed)
    assert cli("add", "w3", "-y") == failed.exit_code


HOSTS = """
all:
  children:
    kube_control_plane: {hosts: {cp1: {ansible_host: 192.0.2.11}, cp2: {ansible_host: 192.0.2.12}}}
    kube_node: {hosts: {w1: {ansible_host: 192.0.2.21}}}
"""


@pytest.fixture
def choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choices:
    """The options of a run on an inventory of three hosts, all of which the cluster has."""
    (tmp_path / "hosts.yml").write_text(HOSTS)
    said = "name: demo\nkubernetes: 1.36.3\nnodes: {w1: {labels: {a: b}}, cp1: {labels: {c: d}}}\n"
    (tmp_path / "cluster.yml").write_text(said)
    census = membership.Census(nodes=frozenset({"cp1", "cp2", "w1"}))
    monkeypatch.setattr(membership, "census", lambda *_: census)
    return Choices(
        inventory_path=tmp_path,
        limit=None,
        tags=(),
        variables={},
        forks=None,
        verbose=0,
        asked=Asked(),
        output="json",
        continuing=Continuing(),
        executor=None,
        bulk=None,
    )


def test_a_run_has_no_way_to_a_host_that_is_dead(choices: Choices) -> None:
    with opened(choices, "node-remove", parts=False, change=membership.removing(["cp1"], dead=True)) as run:
        assert list(run.session.inventory.hosts) == ["cp2", "w1"]
        assert [host.address for host in run.session.inventory.gone] == ["192.0.2.11"]
        assert run.session.who.everyone == ("cp2", "w1")
        with pytest.raises(KeyError):
            run.session._remotes.remote("cp1")
        assert run.session._supplier is not None, "others are remade, which needs parts"
        assert run.spec is not None
        assert run.spec.endpoint.kind is EndpointKind.FIRST, "of one control plane"


def test_a_run_without_a_worker_needs_no_parts(choices: Choices) -> None:
    with opened(choices, "node-remove", parts=False, change=membership.removing(["w1"], dead=True)) as run:
        assert run.session._supplier is None
        assert run.spec is not None
        assert run.spec.endpoint.kind is EndpointKind.LOCALHOST
