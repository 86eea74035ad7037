"""plan, apply and reset: what they ask, show and leave with. The run itself is the engine's and has its own tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubeforge.cli import root, runs
from kubeforge.cli.boundary import guarded
from kubeforge.cli.runs import Choices
from kubeforge.engine.events import Failure
from kubeforge.engine.plan import Plan, PlannedChange, PlannedStep
from kubeforge.engine.playbook import Play, Playbook
from kubeforge.engine.result import RunResult
from kubeforge.engine.run import Session
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations.model import Verb

CHANGE = PlannedChange(title="file /etc/a", verb=Verb.CREATE, why="is missing")
STEP = PlannedStep(host="w1", play="Prepare", step="os.prepare", action=False, changes=(CHANGE,))
FAILURE = Failure(error="ConnectionFailed", cause="no route to host", exit_code=11, host="w2")
NOTHING = Plan(playbook="apply", hosts=("w1",), plays=("Prepare",))
SOMETHING = Plan(playbook="apply", hosts=("w1",), plays=("Prepare",), steps=(STEP,))
UNREACHABLE = Plan(playbook="apply", hosts=("w1", "w2"), plays=("Prepare",), steps=(STEP,), failures=(FAILURE,))


class FakeRun:
    """A run whose plan and result are given."""

    prose = True

    def __init__(self, plan: Plan, result: RunResult | None = None, *, blocked: bool = False) -> None:
        self.refused = blocked
        self.planned, self.result = plan, result or RunResult(run_id="r")
        self.spec = SimpleNamespace(name="demo")
        self.did: list[str] = []

    def plan(self, *, diff: bool) -> Plan:
        self.did.append("plan with contents" if diff else "plan")
        return self.planned

    def blocked(self, plan: Plan) -> bool:
        return self.refused

    def record(self, plan: Plan) -> None:
        assert plan is self.planned
        self.did.append("record")

    def show_plan(self, plan: Plan, *, diff: bool) -> None:
        self.did.append("show diff" if diff else "show")

    def apply(self, plan: Plan) -> RunResult:
        assert plan is self.planned
        self.did.append("apply")
        return self.result

    def show_result(self, result: RunResult) -> None:
        self.did.append("result")


class Cli:
    """The command line over a fake run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[tuple[Choices, str, bool]] = []
        self.run: FakeRun = FakeRun(NOTHING)
        monkeypatch.setattr(runs, "opened", self._open)
        self._monkeypatch = monkeypatch

    @contextmanager
    def _open(self, choices: Choices, playbook: str, *, parts: bool) -> Iterator[FakeRun]:
        self.opened.append((choices, playbook, parts))
        yield self.run

    def __call__(self, arguments: Sequence[str], run: FakeRun, typed: str | None = None) -> int:
        """Run a command line; `typed` is what the user answers on a terminal, None: there is no terminal."""
        self.run = run
        self._monkeypatch.setattr("sys.stdin", _Keyboard(typed))
        return guarded(root, arguments, "kubeforge")


class _Keyboard:
    def __init__(self, typed: str | None) -> None:
        self._lines = (typed or "").splitlines(keepends=True)
        self._terminal = typed is not None

    def isatty(self) -> bool:
        return self._terminal

    def readline(self, *_: Any) -> str:
        return self._lines.pop(0) if self._lines else ""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(monkeypatch)


@pytest.mark.parametrize(
    ("plan", "arguments", "code"),
    [
        (NOTHING, [], 0),
        (SOMETHING, [], 0),
        (NOTHING, ["--detailed-exitcode"], 0),
        (SOMETHING, ["--detailed-exitcode"], 2),
        (UNREACHABLE, [], 11),
        (UNREACHABLE, ["--detailed-exitcode"], 11),
    ],
)
def test_plan(cli: Cli, plan: Plan, arguments: list[str], code: int) -> None:
    run = FakeRun(plan)
    assert cli(["plan", *arguments], run) == code
    assert run.did == ["plan", "show"]


def test_options_reach_the_run(cli: Cli) -> None:
    words = "plan --diff -i here -l w1 -t a,b --tags c -e x=1 -e y=a=b -f 3 -vv -o json"
    run = FakeRun(NOTHING)
    assert cli(words.split(), run) == 0
    ((choices, playbook, parts),) = cli.opened
    assert (playbook, parts) == ("apply", True)
    assert (str(choices.inventory_path), choices.limit, choices.tags) == ("here", "w1", ("a", "b", "c"))
    assert (choices.variables, choices.forks, choices.verbose) == ({"x": "1", "y": "a=b"}, 3, 2)
    assert choices.output == "json"
    assert run.did == ["plan with contents", "show diff"]


@pytest.mark.parametrize("verb", ["apply", "reset"])
def test_asks_nobody_where_there_is_no_terminal(cli: Cli, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun(SOMETHING)
    assert cli([verb], run) == 64
    assert run.did == []
    assert f"{verb} asks before it changes anything, and there is no terminal to ask on: give --yes" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(("verb", "playbook", "parts"), [("apply", "apply", True), ("reset", "reset", False)])
def test_yes_asks_nothing(cli: Cli, verb: str, playbook: str, *, parts: bool) -> None:
    run = FakeRun(SOMETHING)
    assert cli([verb, "--yes"], run) == 0
    assert run.did == ["plan", "show", "apply", "result"]
    assert cli.opened[0][1:] == (playbook, parts)


@pytest.mark.parametrize(
    ("verb", "typed", "done"),
    [
        ("apply", "y\n", True),
        ("apply", "n\n", False),
        ("apply", "\n", False),
        ("reset", "demo\n", True),
        ("reset", "y\n", False),
    ],
)
def test_question(cli: Cli, verb: str, typed: str, *, done: bool) -> None:
    run = FakeRun(SOMETHING)
    assert cli([verb], run, typed) == (0 if done else 1)
    assert ("apply" in run.did) is done


def test_end_of_input_at_the_question(cli: Cli) -> None:
    run = FakeRun(SOMETHING)
    assert cli(["apply"], run, "") == 130
    assert run.did == ["plan", "show"]


def test_nothing_to_do_asks_nothing(cli: Cli) -> None:
    run = FakeRun(NOTHING)
    assert cli(["apply"], run, "") == 0
    assert run.did == ["plan", "show", "record"]


def test_a_plan_that_would_not_be_carried_out_is_not_asked_about(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun(UNREACHABLE, blocked=True)
    assert cli(["apply"], run, "y\n") == 11
    assert run.did == ["plan", "record"]
    said = f"Nothing was done: {FAILURE.host} could not be planned. Run again when it is put right."
    assert said in capsys.readouterr().err


def test_programs_get_the_plan_that_is_not_carried_out(cli: Cli) -> None:
    run = FakeRun(UNREACHABLE, blocked=True)
    run.prose = False
    assert cli(["apply", "--yes", "-o", "json"], run) == 11
    assert run.did == ["plan", "show", "record"]


def test_a_record_that_cannot_be_written_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("a file")
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    hosts = {"w1": Host(name="w1", connection=Connection(address="192.0.2.1"))}
    inventory = Inventory(hosts=hosts, groups={"all": ("w1",)})
    book = Playbook(name="apply", plays=(Play(name="A", hosts="all", tasks=()),))
    with Session(inventory=inventory, playbook=book, registry={}) as session:
        runs.Run(session, None, runs.display_for(verbose=False), "table").record(NOTHING)
    assert "warning: the run cannot be recorded in" in capsys.readouterr().err


def test_who_is_left_out_is_named_and_the_exit_code_says_so(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun(UNREACHABLE, RunResult(run_id="r", failures=(FAILURE,)))
    assert cli(["apply", "-y"], run) == 11
    assert run.did == ["plan", "show", "apply", "result"]
    assert "Without w2: what is due there waits until this runs again." in capsys.readouterr().err
