from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from kubeforge.engine.records import RunRecord
from kubeforge.report.runs import compared, print_difference, print_list, print_run
from tests.recorded_run import BEGAN, FIRST, SECOND, write_run


def console() -> Console:
    return Console(file=io.StringIO(), width=80, no_color=True, highlight=False)


def told(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_the_list_is_whole_on_a_narrow_screen(tmp_path: Path) -> None:
    screen = console()
    print_list([write_run(tmp_path / "demo", SECOND, failed=False), write_run(tmp_path / "demo")], screen)
    assert told(screen).splitlines() == [
        "RUN                     PLAYBOOK  BEGAN                TOOK  HOSTS  CHANGES  ENDED",
        f"{SECOND}  apply     2026-11-18 12:06:40  10 s  3      9        well",
        f"{FIRST}  apply     2026-11-18 11:06:40  10 s  3      8        failed, 1 change left",
    ]


def test_one_run_says_first_what_went_wrong(tmp_path: Path) -> None:
    screen = console()
    print_run(write_run(tmp_path / "demo"), screen)
    lines = told(screen).splitlines()
    assert lines[0] == "apply on demo, 2026-11-18 11:06:40 UTC: failed, 1 change left"
    assert lines[1].startswith("w2: wait: it does not serve")
    assert lines[2:5] == ["    first line", "    last line", "  next: run again"]
    assert lines[5:8] == [
        "warning: cp1: node w9 is nobody's",
        "warning: an earlier run was cut off",
        "warning: cp1: its clock is off",
    ]
    assert lines[8:11] == ["cp1 (3 changes)", "  ~ file /etc/motd  other content", "  + file /etc/key  is missing"]


def test_what_was_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    screen = console()
    print_run(run, screen)
    lines = told(screen).splitlines()
    assert lines[-4:-1] == ["Said", "  cp1, w1: rack 7  say where", "  cp1, w1, w2: nearly  wait"]


def test_of_much_that_was_said_the_last_is_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    event = {"event": "ActionSaid", "at": BEGAN + 9, "host": "w2", "step": "wait"}
    with (run.path / "events.jsonl").open("a") as file:
        for number in range(30):
            file.write(json.dumps({**event, "message": f"{number}\n{'x' * 200}"}) + "\n")
    screen = console()
    print_run(RunRecord(run.path), screen)
    lines = told(screen).splitlines()
    assert lines[-22] == "  … 12 earlier messages; kubeforge report has them all"
    assert [line.split()[1] for line in lines[-21:-1]] == [str(number) for number in range(10, 30)]
    assert {len(line) for line in lines[-21:-1]} == {len("  w2: ") + 160 + len("  wait")}


def test_two_runs_are_compared(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "demo"), write_run(tmp_path / "demo", SECOND, failed=False, hosts=2)
    found = compared(first, second)
    assert [(one.host, one.title) for one in found.first] == [("w2", "file /etc/motd"), ("w2", "file /etc/key")]
    assert (found.second, found.both, found.hosts) == ((), 6, (("w2",), ()))
    assert found.to_data()["failures"][1] == []
    screen = console()
    print_difference(first, second, screen)
    assert f"Only in {FIRST}: 2 changes\n  hosts: w2\n" in told(screen)
    assert "In both: 6 changes\n" in told(screen)
