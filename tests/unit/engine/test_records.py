from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.records import find, recorded
from kubeforge.errors import InputError
from tests.recorded_run import BEGAN, FIRST, SECOND, write_run


def test_what_a_session_records_is_read_again(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    with world.session("- {play: Write, hosts: all, tasks: [files.write]}", record=True) as session:
        result = session.apply(session.plan())
    (run,) = recorded(tmp_path / "runs" / "default")
    assert (run.run_id, run.exit_code, run.remaining) == (result.run_id, 0, 0)
    assert [(one.host, one.title, one.seconds) for one in sorted(run.changes, key=lambda one: one.host)] == [
        (one.host, one.title, one.seconds) for one in sorted(result.done, key=lambda one: one.host)
    ]
    assert [host.name for host in run.hosts] == ["cp1", "w1", "w2"]
    assert {step.host: step.changes for step in run.steps} == dict.fromkeys(("cp1", "w1", "w2"), run.made // 3)


def test_no_way_in_is_recorded(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path))
    with world.session("- {play: Write, hosts: all, tasks: [files.write]}", record=True) as session:
        path = Path(session.apply(session.plan()).journal)
    site = json.loads((path / "site.json").read_text())
    assert set(site) == {"version", "cluster", "kubernetes", "endpoint", "hosts", "once", "file"}
    assert {key for host in site["hosts"] for key in host} == {"name", "address", "groups"}


def test_a_failed_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    assert (run.made, run.remaining, run.exit_code, run.seconds, run.cluster) == (8, 1, 13, 10.0, "demo")
    (failure,) = run.failures
    assert (failure.host, failure.step, failure.evidence) == ("w2", "wait", ("first line", "last line"))
    (failed,) = [step for step in run.steps if step.failed]
    assert (failed.host, failed.began, failed.ended, failed.said) == ("w2", BEGAN + 5, BEGAN + 9, ("nearly",))
    assert [(one.host, one.text) for one in run.remarks] == [
        ("cp1", "node w9 is nobody's"),
        (None, "an earlier run was cut off"),
        ("cp1", "its clock is off"),
    ]
    assert [(one.host, one.step, one.text) for one in run.said][:3] == [
        ("cp1", "say where", "rack 7"),
        ("w1", "say where", "rack 7"),
        ("cp1", "wait", "nearly"),
    ]
    first = run.hosts[0]
    assert (first.name, first.address, first.groups) == ("cp1", "192.0.2.1", ("kube_control_plane",))


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    """Half a line stands at the end; a step had begun and never ended."""
    run = write_run(tmp_path / "demo", cut=True)
    lines = (run.path / "events.jsonl").read_text().splitlines()
    kept = [line for line in lines if '"StepDone"' not in line or '"w1"' not in line]
    (run.path / "events.jsonl").write_text("\n".join(kept))
    assert (run.result, run.exit_code, run.made) == (None, None, 8)
    assert run.seconds == 9.0
    assert {step.ended for step in run.steps if step.host == "w1"} == {None}
    assert run.remaining == run.plan.changes - 8 if run.plan else False


def test_runs_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    write_run(folder)
    write_run(folder, SECOND)
    (folder / "something else").mkdir()
    assert [run.run_id for run in recorded(folder)] == [SECOND, FIRST]
    for word, run_id in (
        ("last", SECOND),
        ("last~1", FIRST),
        ("aaaaaa", FIRST),
        ("20261118T12", SECOND),
        (FIRST, FIRST),
    ):
        assert find(folder, word).run_id == run_id


@pytest.mark.parametrize(
    ("word", "told"),
    [("2026", "means several runs"), ("zzz", "no run is called zzz"), ("last~2", "no run is called last~2")],
)
def test_a_name_that_means_no_run(tmp_path: Path, word: str, told: str) -> None:
    write_run(tmp_path / "demo")
    write_run(tmp_path / "demo", SECOND)
    with pytest.raises(InputError, match=told):
        find(tmp_path / "demo", word)


def test_nothing_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run is recorded here yet"):
        find(tmp_path / "nobody", "last")


def test_what_a_later_version_wrote_and_what_is_no_plan_hide_no_other_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    plan = json.loads((run.path / "plan.json").read_text())
    plan["steps"][0]["new"] = plan["steps"][0]["changes"][0]["new"] = 1
    (run.path / "plan.json").write_text(json.dumps(plan))
    write_run(tmp_path / "demo", SECOND)
    (tmp_path / "demo" / SECOND / "plan.json").write_text('{"steps": [3]}')
    broken, later = recorded(tmp_path / "demo")
    assert broken.plan is None
    assert later.plan is not None
    assert later.plan.changes == 9
