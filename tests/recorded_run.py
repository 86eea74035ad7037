"""A recorded run as the journal writes one, for tests of whatever reads it: three hosts, one failure, one diff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kubeforge.engine.events import WARNING
from kubeforge.engine.plan import Plan, PlannedChange, PlannedRemark, PlannedSaying, PlannedStep
from kubeforge.engine.records import RunRecord
from kubeforge.operations.model import Diff, Verb

BEGAN = 1_795_000_000.0
FIRST, SECOND = "20261118T110640-aaaaaa", "20261118T120640-bbbbbb"
NASTY = "<script>alert('x')</script> & more"
"""What no page may take for its own."""
HOSTS = {"cp1": "kube_control_plane", "w1": "kube_node", "w2": "kube_node"}
_DIFF = Diff("/etc/motd", f"old\n{NASTY}\n", "new\n")
_PLAY, _WAIT = "Prepare every host", "Wait"


def write_run(
    folder: Path, run_id: str = FIRST, *, failed: bool = True, cut: bool = False, hosts: int = 3, more: int = 0
) -> RunRecord:
    """Write a run below a cluster's folder.

    Args:
        folder: of the cluster.
        run_id: the run's.
        failed: whether w2 fails its second step.
        cut: whether the process was killed: no result, half a line at the end.
        hosts: how many; workers from the second on.
        more: how many steps each host does besides, in a play of their own before the others.
    """
    path = folder / run_id
    path.mkdir(parents=True)
    names = list(HOSTS)[:hosts] + [f"w{number}" for number in range(3, hosts)]
    (path / "plan.json").write_text(json.dumps(_plan(names).to_data()))
    (path / "site.json").write_text(json.dumps(_site(names)))
    lines = [json.dumps(event) for event in _events(names, failed=failed, more=more)]
    (path / "events.jsonl").write_text("\n".join(lines) + ('\n{"event": "Cha' if cut else "\n"))
    if not cut:
        (path / "result.json").write_text(json.dumps(_result(names, failed=failed)))
    return RunRecord(path)


def _plan(names: list[str]) -> Plan:
    motd = PlannedChange(title="file /etc/motd", verb=Verb.UPDATE, why="other content", digest="d", diff=_DIFF)
    key = PlannedChange(title="file /etc/key", verb=Verb.CREATE, why="is missing", secret=True)
    steps = [PlannedStep(host=name, play=_PLAY, step="os.prepare", action=False, changes=(motd, key)) for name in names]
    wait = PlannedChange(title="wait", verb=Verb.RUN, why="until it serves")
    steps += [PlannedStep(host=name, play=_WAIT, step="wait", action=True, changes=(wait,)) for name in names]
    remarks = (PlannedRemark(host="cp1", task="look", text="node w9 is nobody's"),)
    said = tuple(PlannedSaying(host=name, step="say where", text="rack 7") for name in names[:2])
    plays = (_PLAY, _WAIT)
    return Plan(playbook="apply", hosts=tuple(names), plays=plays, steps=tuple(steps), remarks=remarks, said=said)


def _site(names: list[str]) -> dict[str, Any]:
    hosts = [
        {"name": name, "address": f"192.0.2.{number}", "groups": [HOSTS.get(name, "kube_node")]}
        for number, name in enumerate(names, 1)
    ]
    return {"version": 1, "cluster": "demo", "kubernetes": "1.36.3", "endpoint": "first", "hosts": hosts}


def _events(names: list[str], *, failed: bool, more: int) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [
        {"event": "RunStarted", "at": BEGAN, "run_id": FIRST, "mode": "apply", "playbook": "apply", "hosts": names},
        {"event": "Warned", "at": BEGAN, "host": None, "message": "an earlier run was cut off"},
    ]
    for name in names:
        said += [event for number in range(more) for event in _step(name, number, more)]
        step = {"host": name, "play": _PLAY, "step": "os.prepare"}
        said.append({"event": "StepStarted", "at": BEGAN + 1, **step, "changes": 2})
        for title, verb, why in (
            ("file /etc/motd", "update", "other content"),
            ("file /etc/key", "create", "is missing"),
        ):
            change = {"title": title, "verb": verb, "why": why, "seconds": 0.5}
            said.append({"event": "ChangeDone", "at": BEGAN + 4, **step, **change})
        said.append({"event": "StepDone", "at": BEGAN + 5, **step, "changes": 2, "seconds": 4.0})
    said.append({"event": "PlayDone", "at": BEGAN + 5, "play": _PLAY, "seconds": 4.0})
    for name in names:
        said += _wait(name, failed=failed and name == "w2")
    return sorted(said, key=lambda event: event["at"])


def _step(name: str, number: int, steps: int) -> list[dict[str, Any]]:
    """Return one of the steps of the first second: its beginning, its change, its end."""
    began, seconds = BEGAN + number / steps, 0.5 / steps
    step = {"host": name, "play": "Every day's", "step": f"file.template, service.running {number}"}
    change = {"title": f"file /etc/app/{number}.conf", "verb": "update", "why": "other content", "seconds": seconds}
    return [
        {"event": "StepStarted", "at": began, **step, "changes": 1},
        {"event": "ChangeDone", "at": began + seconds, **step, **change},
        {"event": "StepDone", "at": began + seconds, **step, "changes": 1, "seconds": seconds},
    ]


def _wait(name: str, *, failed: bool) -> list[dict[str, Any]]:
    step = {"host": name, "play": _WAIT, "step": "wait"}
    said: list[dict[str, Any]] = [
        {"event": "StepStarted", "at": BEGAN + 5, **step, "changes": 1},
        {"event": "ActionSaid", "at": BEGAN + 6, "host": name, "step": "wait", "message": "nearly"},
    ]
    warned = ("node w9 is nobody's", "its clock is off") if name == "cp1" else ()
    said += [{**said[1], "message": f"{WARNING}{text}"} for text in warned]
    if failed:
        return [*said, {"event": "StepFailed", "at": BEGAN + 9, **step, "failure": _failure()}]
    change = {"title": "wait", "verb": "run", "why": "until it serves", "seconds": 2.0}
    done = {"event": "StepDone", "at": BEGAN + 7, **step, "changes": 1, "seconds": 2.0}
    return [*said, {"event": "ChangeDone", "at": BEGAN + 7, **step, **change}, done]


def _failure() -> dict[str, Any]:
    return {
        "error": "DeadlineExceeded",
        "cause": f"it does not serve: {NASTY}",
        "exit_code": 13,
        "host": "w2",
        "step": "wait",
        "remedy": "run again",
        "evidence": ["first line", "last line"],
    }


def _result(names: list[str], *, failed: bool) -> dict[str, Any]:
    remaining = [{"host": "w2", "play": _WAIT, "step": "wait", "titles": ["wait"]}] if failed else []
    return {
        "version": 1,
        "seconds": 10.0,
        "exit_code": 13 if failed else 0,
        "failures": [_failure()] if failed else [],
        "remaining": remaining,
        "hosts": names,
    }
