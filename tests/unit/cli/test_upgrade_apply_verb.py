"""upgrade apply and rollback: which runs they open, what they ask, what becomes of cluster.yml. No host is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubeforge.cli import root, series
from kubeforge.cli.boundary import guarded
from kubeforge.engine.plan import Plan, PlannedChange, PlannedStep
from kubeforge.engine.result import RunResult
from kubeforge.errors import InputError, Problem
from kubeforge.operations.model import Verb
from kubeforge.tasks import upgrade_look

CHANGE = PlannedChange(title="file /etc/a", verb=Verb.CREATE, why="is missing")
STEP = PlannedStep(host="w1", play="Prepare", step="os.prepare", action=False, changes=(CHANGE,))
SOMETHING = Plan(playbook="upgrade", hosts=("w1",), plays=("Prepare",), steps=(STEP,))


class FakeRun:
    """A run that has something to do, and ends with a given code."""

    prose = True

    def __init__(self, done: list[Any], code: int) -> None:
        self.done, self.spec = done, SimpleNamespace(name="demo")
        failures = (SimpleNamespace(exit_code=code),) if code else ()
        self.result = RunResult(run_id="r", failures=failures)  # type: ignore[arg-type]  # only its code is asked

    def plan(self, *, diff: bool) -> Plan:
        return SOMETHING

    def blocked(self, plan: Plan) -> bool:
        return False

    def record(self, plan: Plan) -> None:
        """Nothing to write."""

    def show_plan(self, plan: Plan, *, diff: bool) -> None:
        pass

    def apply(self, plan: Plan) -> RunResult:
        self.done.append("applied")
        return self.result

    def show_result(self, result: RunResult) -> None:
        pass


class FakeEntered:
    """Stands for cli.series.Entered."""

    def __init__(self, file: Path, choices: Any) -> None:
        self.found, self.choices, self.inventory = SimpleNamespace(path=file), choices, None
        self.opened: list[Any] = []
        self.codes: list[int] = []
        self.refused: set[str] = set()

    @contextmanager
    def remotes(self) -> Iterator[Any]:
        yield SimpleNamespace(remote=None)

    def as_of(self, version: str) -> Any:
        def required() -> None:
            if version in self.refused:
                raise InputError([Problem(message=f"not with {version}")])

        return SimpleNamespace(required=required)

    @contextmanager
    def run(self, playbook: str, *, parts: bool, kubernetes: str, variables: dict[str, str]) -> Iterator[FakeRun]:
        assert parts
        self.opened.append((playbook, kubernetes, variables))
        yield FakeRun(self.opened, self.codes.pop(0) if self.codes else 0)


Call = Callable[..., tuple[int, FakeEntered]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return `call(*words, running=, codes=, refused=)`: its exit code and what it opened."""
    file = tmp_path / "cluster.yml"
    file.write_text("name: demo\nkubernetes: 1.35.4  # why\n")

    def made(
        *words: str, running: tuple[str, ...] = ("1.35.4",), codes: tuple[int, ...] = (), refused: tuple[str, ...] = ()
    ) -> tuple[int, FakeEntered]:
        kept: list[FakeEntered] = []

        @contextmanager
        def entered(choices: Any, *, kubernetes: str | None = None) -> Iterator[FakeEntered]:
            kept.append(FakeEntered(file, choices))
            kept[0].codes, kept[0].refused = list(codes), set(refused)
            yield kept[0]

        monkeypatch.setattr(series, "entered", entered)
        monkeypatch.setattr(upgrade_look, "versions_running", lambda *_: running)
        monkeypatch.setattr(upgrade_look, "before_upgrade", lambda *_: ("1.35.4", "snap"))
        return guarded(root, ["upgrade", *words], "kubeforge"), kept[0]

    return made


def version(inside: FakeEntered) -> str:
    return str(inside.found.path.read_text().splitlines()[1])


def test_one_step_and_the_file_says_it(call: Call) -> None:
    code, inside = call("apply", "1.36.3", "--yes")
    assert code == 0
    assert inside.opened == [("upgrade", "1.36.3", {"upgrade_target": "1.36.3", "upgrade_whole": "yes"}), "applied"]
    assert version(inside) == "kubernetes: 1.36.3  # why"


def test_several_minors_are_several_runs(call: Call) -> None:
    code, inside = call("apply", "1.37.0", "--via", "1.36.1", "--no-drain", "--yes")
    assert code == 0
    runs = [one for one in inside.opened if one != "applied"]
    assert [(name, step) for name, step, _ in runs] == [("upgrade", "1.36.1"), ("upgrade", "1.37.0")]
    assert {variables["upgrade_target"] for _, _, variables in runs} == {"1.37.0"}
    assert {variables["upgrade_drain"] for _, _, variables in runs} == {"no"}
    assert version(inside) == "kubernetes: 1.37.0  # why"


def test_a_step_that_fails_ends_it_and_the_file_stays(call: Call) -> None:
    code, inside = call("apply", "1.37.0", "--yes", codes=(13,))
    assert (code, len([one for one in inside.opened if one != "applied"])) == (13, 1)
    assert version(inside) == "kubernetes: 1.35.4  # why"


def test_what_only_the_last_step_refuses_is_said_before_the_first(call: Call) -> None:
    code, inside = call("apply", "1.37.0", "--yes", refused=("1.37.0",))
    assert (code, inside.opened) == (10, [])


@pytest.mark.parametrize("words", [("--limit", "web"), ("--tags", "prepare")])
def test_part_of_it_leaves_the_file_alone(
    call: Call, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, inside = call("apply", "1.36.3", *words, "--yes")
    assert code == 0
    assert "upgrade_whole" not in inside.opened[0][2]
    assert inside.opened[0][2].get("upgrade_limit") == ("web" if "--limit" in words else None)
    assert version(inside) == "kubernetes: 1.35.4  # why"
    assert "stays as it is until all hosts run 1.36.3" in capsys.readouterr().err


def test_a_file_that_cannot_be_changed_plainly_is_left_to_its_owner(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cluster.yml").write_text("name: demo\nkubernetes: &v 1.35.4\n")
    code, inside = call("apply", "1.36.3", "--yes")
    assert (code, version(inside)) == (0, "kubernetes: &v 1.35.4")
    assert "kubernetes: 1.36.3; until then apply refuses" in capsys.readouterr().err


def test_an_older_version_is_refused_with_the_way_back(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    code, inside = call("apply", "1.35.4", "--yes", running=("1.36.3",))
    assert (code, inside.opened) == (10, [])
    assert "kubeforge upgrade rollback" in capsys.readouterr().err


def test_nobody_is_asked_without_a_terminal(call: Call) -> None:
    with pytest.raises(IndexError):  # it did not even read the inventory
        call("apply", "1.36.3")


def test_rollback_opens_the_playbook_of_its_way(call: Call) -> None:
    code, inside = call("rollback", "--yes")
    assert (code, inside.opened[0]) == (0, ("upgrade-rollback", "1.35.4", {}))
    code, inside = call("rollback", "--from-snapshot", "--drain", "--yes")
    told = {"upgrade_drain": "yes", "rollback_way": "snapshot", "etcd_snapshot": "snap"}
    assert (code, inside.opened[0]) == (0, ("upgrade-rollback-snapshot", "1.35.4", told))


def test_rollback_is_about_all_hosts(call: Call) -> None:
    with pytest.raises(IndexError):
        call("rollback", "--yes", "--limit", "w1")
