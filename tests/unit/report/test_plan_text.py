"""Plans and results as text."""

from __future__ import annotations

import io
import json

import yaml
from rich.console import Console

from kubeforge.engine.events import Failure
from kubeforge.engine.plan import Plan, PlannedChange, PlannedStep
from kubeforge.engine.result import DoneChange, PlayTime, Remaining, RunResult
from kubeforge.operations.model import Diff, Verb
from kubeforge.report import plan as plan_report
from kubeforge.report import result as result_report

DIFF = Diff("/etc/hosts", "127.0.0.1 localhost\n", "127.0.0.1 localhost\n192.0.2.1 cp1\n")
HOSTS = PlannedChange(title="file /etc/hosts", verb=Verb.UPDATE, why="other content", digest="ab", size=9, diff=DIFF)
KEY = PlannedChange(title="file /etc/kubernetes/pki/ca.key", verb=Verb.CREATE, why="is missing", secret=True, size=5)
START = PlannedChange(title="unit kubelet.service", verb=Verb.START, why="is not running")


def step(host: str, *changes: PlannedChange, play: str = "Prepare") -> PlannedStep:
    return PlannedStep(host=host, play=play, step="os.prepare", action=False, changes=changes)


def plan_of(*steps: PlannedStep, failures: tuple[Failure, ...] = ()) -> Plan:
    return Plan(playbook="apply", hosts=("cp1", "w1", "w2"), plays=("Prepare", "Join"), steps=steps, failures=failures)


def test_same_changes_on_several_hosts_are_one_line() -> None:
    plan = plan_of(step("cp1", KEY, HOSTS), step("w1", HOSTS), step("w2", HOSTS), step("w1", START, play="Join"))
    assert plan_report.as_text(plan).splitlines() == [
        "Prepare",
        "  cp1",
        "    + file /etc/kubernetes/pki/ca.key               is missing",
        "    ~ file /etc/hosts                               other content",
        "  w1, w2",
        "    ~ file /etc/hosts                               other content",
        "",
        "Join",
        "  w1",
        "    ▶ unit kubelet.service                          is not running",
        "",
        "Plan: 1 to create, 3 to update, 1 to start.",
        "5 changes on 3 hosts of 3.",
    ]


def test_diff_is_shown_but_no_secret() -> None:
    text = plan_report.as_text(plan_of(step("cp1", KEY, HOSTS)), diff=True)
    assert "        +192.0.2.1 cp1" in text.splitlines()
    assert "(secret: not shown)" in text


def test_nothing_to_do() -> None:
    assert plan_report.as_text(plan_of()) == "No changes.\n"


def test_failures_come_first() -> None:
    failure = Failure(error="ConnectionFailed", cause="no route", exit_code=11, host="w1", step="connect", remedy="ask")
    lines = plan_report.as_text(plan_of(step("cp1", HOSTS), failures=(failure,))).splitlines()
    assert lines[:2] == ["w1: connect: no route", "  next: ask"]


def test_many_hosts_are_cut() -> None:
    names = tuple(f"n{number}" for number in range(20))
    plan = Plan(playbook="p", hosts=names, plays=("Prepare",), steps=tuple(step(name, HOSTS) for name in names))
    assert "  all 20 hosts" in plan_report.as_text(plan).splitlines()
    part = Plan(playbook="p", hosts=names, plays=("Prepare",), steps=tuple(step(name, HOSTS) for name in names[:9]))
    assert "  n0, n1, n2, n3, n4, n5 and 3 more" in plan_report.as_text(part).splitlines()


def test_json_and_yaml_say_the_same() -> None:
    plan = plan_of(step("cp1", KEY, HOSTS))
    data = json.loads(plan_report.as_json(plan))
    assert data == yaml.safe_load(plan_report.as_yaml(plan))
    assert Plan.from_data(data) == plan
    assert data["counts"] == {"create": 1, "update": 1}
    assert data["steps"][0]["changes"][0]["digest"] is None


def test_brackets_are_no_markup() -> None:
    odd = PlannedChange(title="file /etc/[bold]x[/bold]", verb=Verb.CREATE, why="[red]")
    stream = io.StringIO()
    plan_report.print_plan(plan_of(step("cp1", odd)), Console(file=stream, width=200))
    assert "file /etc/[bold]x[/bold]" in stream.getvalue()


def test_result_names_what_was_not_done() -> None:
    result = RunResult(
        run_id="r",
        done=(DoneChange(host="w1", title="file /a", verb="create", why="", seconds=0.1),),
        remaining=(Remaining(host="w2", play="Join", step="kubelet.join", titles=("a", "b")),),
        failures=(Failure(error="OperationFailed", cause="exit status 1", exit_code=13, host="w2", step="file /b"),),
        plays=(PlayTime(play="Join", seconds=61.2, hosts=2),),
        seconds=75.0,
    )
    lines = result_report.as_text(result).splitlines()
    assert lines[0] == "w2: file /b: exit status 1"
    assert lines[1] == "Not done: 2 changes in 1 step on 1 host:"
    assert "1 min 01 s" in lines[3]
    assert lines[-1] == "Failed after 1 min 15 s: 1 change made on 1 host. Run again to go on."
    assert json.loads(result_report.as_json(result))["exit_code"] == 13


def test_a_diff_of_nothing_but_ends_of_lines_says_so() -> None:
    for before, after in (("a\nb", "a\nb\n"), ("a\r\n", "a\n")):
        assert list(plan_report.diff_lines(Diff("/x", before, after))) == [("only the ends of lines differ", "dim")]
    assert list(plan_report.diff_lines(Diff("/x", "", ""))) == []
