"""Consoles and JSON lines, fed with events."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace

from rich.console import Console

from kubeforge.engine.events import (
    ActionSaid,
    ChangeDone,
    Event,
    Failure,
    HostDone,
    HostFacts,
    HostWaits,
    PlanReady,
    PlayStarted,
    RunStarted,
    StepFailed,
    StepStarted,
)
from kubeforge.report.console import LiveConsole
from kubeforge.report.json import JsonLines
from kubeforge.report.plain import PlainConsole

EVENTS: list[Event] = [
    RunStarted(run_id="r", mode="plan", playbook="apply", hosts=("cp1", "w1")),
    HostFacts(host="cp1", about="Debian 12", seconds=0.1),
    PlanReady(changes=3, hosts=2, seconds=0.2),
    RunStarted(run_id="r", mode="apply", playbook="apply", hosts=("cp1", "w1")),
    PlayStarted(play="Prepare", hosts=("cp1", "w1")),
    StepStarted(host="cp1", play="Prepare", step="os.prepare", changes=2),
    ChangeDone(host="cp1", play="Prepare", step="os.prepare", title="file /a", verb="create", why="missing", seconds=0),
    ActionSaid(host="cp1", step="etcd.ready", message="waits for [2] members"),
    ActionSaid(host="cp1", step="etcd.ready", message="waits for [2] members"),
]
FAILED = StepFailed(
    host="w1",
    play="Prepare",
    step="os.prepare",
    failure=Failure(error="OperationFailed", cause="exit status 1", host="w1", step="file /a", evidence=("no room",)),
)


def plain(*, verbose: bool = False) -> str:
    stream = io.StringIO()
    with PlainConsole(stream, verbose=verbose) as sink:
        for event in (*EVENTS, FAILED):
            sink(event)
    return stream.getvalue()


def test_plain_lines() -> None:
    assert plain().splitlines() == [
        "Prepare (2 hosts)",
        "  cp1: etcd.ready: waits for [2] members",
        "w1: file /a: exit status 1",
        "    no room",
    ]


def test_verbose_shows_changes() -> None:
    assert "  cp1: + file /a (missing)" in plain(verbose=True).splitlines()


def screen(sink: LiveConsole) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=80, height=20).print(sink)
    return [" ".join(line.split()) for line in stream.getvalue().splitlines() if line.strip()]


def live(*events: Event) -> LiveConsole:
    sink = LiveConsole(Console(file=io.StringIO(), width=80, force_terminal=True))
    for event in events:
        sink(event)
    return sink


def test_live_console_has_one_line_per_host() -> None:
    lines = screen(live(*EVENTS))
    assert len(lines) == 2
    assert lines[0].startswith("cp1 1/2 os.prepare: waits for [2] members")
    assert lines[1] == "w1 waits"


ORPHAN = HostWaits(host="w1", message="run r goes on there: 1 of 3 changes are made, now file /b", limit=180.0)


def test_plain_lines_say_what_is_waited_for_and_how_long_once() -> None:
    stream = io.StringIO()
    with PlainConsole(stream) as sink:
        for event in (EVENTS[0], ORPHAN, ORPHAN, replace(ORPHAN, message="2 of 3")):
            sink(event)
    assert stream.getvalue().splitlines() == [
        "  w1: waits, at most 3 min 00 s: run r goes on there: 1 of 3 changes are made, now file /b",
        "  w1: waits, at most 3 min 00 s: 2 of 3",
    ]


def test_live_console_says_what_is_waited_for_and_how_long() -> None:
    earlier = replace(ORPHAN, at=time.time() - 20.2)
    sink = live(EVENTS[0], earlier, replace(ORPHAN, message="[2] of 3"))
    assert screen(sink) == ["w1 waits 20 s of at most 3 min 00 s: [2] of 3", "cp1 is asked"]
    sink(HostFacts(host="w1", about="Debian 12", seconds=21))
    assert screen(sink) == ["cp1 is asked"]


def test_live_console_shows_failed_hosts_first() -> None:
    lines = screen(live(*EVENTS, FAILED, HostDone(host="cp1", play="Prepare", seconds=1)))
    assert lines == ["w1 failed", "cp1 1/2 done"]


def test_live_console_of_many_hosts_fits() -> None:
    hosts = tuple(f"n{number}" for number in range(200))
    lines = screen(live(RunStarted(run_id="r", mode="plan", playbook="p", hosts=hosts)))
    assert len(lines) <= 20
    assert lines[-1].endswith("more hosts")


def test_live_console_can_be_left_and_entered_again() -> None:
    stream = io.StringIO()
    sink = LiveConsole(Console(file=stream, width=80, force_terminal=True), verbose=True)
    for _ in range(2):
        with sink:
            for event in EVENTS:
                sink(event)
    assert stream.getvalue().count("+ file /a (missing)") == 2


def test_a_warning_of_an_action_stays_on_the_screen_and_comes_once() -> None:
    stream = io.StringIO()
    sink = LiveConsole(Console(file=stream, width=80, force_terminal=True))
    warning = ActionSaid(host="cp1", step="nodes.strangers", message="warning: node w9 is in the cluster")
    for event in (*EVENTS, warning, warning, PlanReady(changes=0, hosts=0, seconds=0.1)):
        sink(event)
    assert stream.getvalue().count("warning: cp1: node w9 is in the cluster") == 1
    assert "waits for" not in stream.getvalue(), "what is no warning goes with its line"


def test_json_lines() -> None:
    stream = io.StringIO()
    sink = JsonLines(stream)
    for event in (*EVENTS, FAILED):
        sink(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines[:2]] == ["RunStarted", "HostFacts"]
    assert lines[-1]["failure"]["evidence"] == ["no room"]
