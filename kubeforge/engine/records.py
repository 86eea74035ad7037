"""Recorded runs, read again: which there are, what each planned, did and came to. The journal writes them.

A run that was killed has no result and may end in half a line; what it wrote until then is whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from kubeforge.engine.journal import RUN_ID
from kubeforge.engine.plan import Plan
from kubeforge.engine.recorded_events import (
    ChangeRecord,
    Data,
    RemarkRecord,
    SaidRecord,
    StepRecord,
    changes_of,
    said_of,
    steps_of,
    warnings_of,
)
from kubeforge.errors import InputError, Problem

__all__ = [
    "LAST",
    "ChangeRecord",
    "FailureRecord",
    "HostRecord",
    "RemarkRecord",
    "RunRecord",
    "SaidRecord",
    "StepRecord",
    "find",
    "recorded",
]

LAST: Final = "last"
"""Names the newest run; `last~1` the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """A host as the run knew it.

    Args:
        name: of the inventory.
        address: among the cluster's hosts; empty where the record does not say.
        groups: of the inventory, sorted.
    """

    name: str
    address: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """What went wrong.

    Args:
        host: where; None: nowhere in particular.
        step: what was being done.
        cause: one sentence.
        remedy: what to do next.
        evidence: log lines, oldest first.
    """

    host: str | None
    step: str | None
    cause: str
    remedy: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """A run's directory in the journal; files are read when they are asked for.

    Args:
        path: the directory; its name is the run's id.
    """

    path: Path

    @property
    def run_id(self) -> str:
        """Names it here and on the hosts."""
        return self.path.name

    @cached_property
    def plan(self) -> Plan | None:
        """What it was going to do; None where that was not recorded wholly, or is no plan."""
        data = _json(self.path / "plan.json")
        try:
            return Plan.from_data(data) if data else None
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    @cached_property
    def result(self) -> Data | None:
        """What it came to; None: it was cut off."""
        return _json(self.path / "result.json")

    @cached_property
    def events(self) -> tuple[Data, ...]:
        """What happened, in order."""
        return tuple(_lines(self.path / "events.jsonl"))

    @cached_property
    def site(self) -> Data:
        """What was recorded of the hosts and the cluster; nothing in records of older versions."""
        return _json(self.path / "site.json") or {}

    @cached_property
    def resumed(self) -> Data:
        """Which run it went on with, as `run`, and what was `told` of that by hosts; nothing where it began anew."""
        return _json(self.path / "resumed.json") or {}

    @property
    def cluster(self) -> str:
        """What it was about."""
        return str(self.site.get("cluster") or self.path.parent.name)

    @property
    def playbook(self) -> str:
        """Its playbook's name."""
        return self.plan.playbook if self.plan is not None else ""

    @property
    def began(self) -> datetime:
        """When it began."""
        return datetime.strptime(self.run_id.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)

    @cached_property
    def span(self) -> tuple[float, float]:
        """First and last event, seconds since the epoch."""
        times = [float(event["at"]) for event in self.events] or [self.began.timestamp()]
        return times[0], times[-1]

    @property
    def seconds(self) -> float:
        """How long applying took; until the last event where it was cut off."""
        first, last = self.span
        return float(self.result["seconds"]) if self.result else last - first

    @property
    def exit_code(self) -> int | None:
        """How it ended; None: it was cut off."""
        return int(self.result["exit_code"]) if self.result else None

    @cached_property
    def hosts(self) -> tuple[HostRecord, ...]:
        """Everybody who took part, in inventory order."""
        known = {
            host["name"]: HostRecord(name=host["name"], address=host["address"], groups=tuple(host["groups"]))
            for host in self.site.get("hosts", ())
        }
        names = (
            self.plan.hosts
            if self.plan is not None
            else next((event["hosts"] for event in self.events if "hosts" in event), ())
        )
        return tuple(known.get(name, HostRecord(name=name)) for name in names)

    @cached_property
    def changes(self) -> tuple[ChangeRecord, ...]:
        """The changes that were made, in the order of time."""
        return tuple(changes_of(self.events))

    @cached_property
    def failures(self) -> tuple[FailureRecord, ...]:
        """What went wrong, in the order of time."""
        told = self.result["failures"] if self.result else [e["failure"] for e in self.events if "failure" in e]
        return tuple(
            FailureRecord(
                host=one.get("host"),
                step=one.get("step"),
                cause=one["cause"],
                remedy=one.get("remedy"),
                evidence=tuple(one.get("evidence", ())),
            )
            for one in told
        )

    @cached_property
    def remarks(self) -> tuple[RemarkRecord, ...]:
        """What was warned of, in the plan and then in the order of time, each once."""
        planned = self.plan.remarks if self.plan is not None else ()
        told = [RemarkRecord(host=one.host, text=one.text) for one in planned]
        return tuple(dict.fromkeys([*told, *warnings_of(self.events)]))

    @cached_property
    def said(self) -> tuple[SaidRecord, ...]:
        """What actions told, while planning and then in the order of time; not what they warned of."""
        planned = self.plan.said if self.plan is not None else ()
        told = (SaidRecord(host=one.host, step=one.step, text=one.text) for one in planned)
        return (*told, *said_of(self.events))

    @cached_property
    def steps(self) -> tuple[StepRecord, ...]:
        """Every step that was begun, in that order."""
        return tuple(steps_of(self.events))

    @property
    def has_begun(self) -> bool:
        """Whether anything was: not where nothing was to do, or something was in the way from the start."""
        return bool(self.steps)

    @property
    def was_idle(self) -> bool:
        """Whether nothing was to do, and nothing in the way."""
        return self.plan is not None and not self.plan and not self.failures

    @property
    def remaining(self) -> int:
        """Planned changes that were not made."""
        planned = self.plan.changes if self.plan is not None else 0
        return sum(len(step["titles"]) for step in self.result["remaining"]) if self.result else planned - self.made

    @property
    def made(self) -> int:
        """Changes that were made."""
        return len(self.changes)

    def to_data(self) -> dict[str, Any]:
        """Return the run in a few plain values."""
        return {
            "run_id": self.run_id,
            "cluster": self.cluster,
            "playbook": self.playbook,
            "began": self.began.isoformat(),
            "seconds": self.seconds,
            "hosts": [host.name for host in self.hosts],
            "changed": self.made,
            "remaining": self.remaining,
            "failures": len(self.failures),
            "exit_code": self.exit_code,
        }


def recorded(folder: Path) -> list[RunRecord]:
    """Return the runs recorded below a cluster's folder, newest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return [RunRecord(path) for path in sorted(filter(_is_run, found), key=_order, reverse=True)]


def _is_run(path: Path) -> bool:
    return RUN_ID.fullmatch(path.name) is not None


def _order(path: Path) -> tuple[str, int, str]:
    """Order runs by time: names tell the second, the file system which of two within one came later."""
    plan = path / "plan.json"
    return path.name.partition("-")[0], plan.stat().st_mtime_ns if plan.exists() else 0, path.name


def find(folder: Path, word: str) -> RunRecord:
    """Return the run that a word means.

    Args:
        folder: of the cluster's runs.
        word: `last`, `last~N`, a run's id, or the beginning or end of one.

    Raises:
        InputError: there is none, or more than one.
    """
    runs = recorded(folder)
    name, _, back = word.partition("~")
    if name == LAST and (not back or back.isdigit()):
        found = runs[int(back or 0) :][:1]
    else:
        found = [run for run in runs if run.run_id.startswith(word) or run.run_id.endswith(word)]
    if len(found) == 1:
        return found[0]
    raise InputError([Problem(message=_unclear(word, found or runs, many=bool(found)), file=str(folder))])


def _unclear(word: str, runs: Sequence[RunRecord], *, many: bool) -> str:
    if not runs:
        return "no run is recorded here yet"
    names = ", ".join(run.run_id for run in runs[:5]) + (", …" if len(runs) > 5 else "")
    return f"{word} means several runs: {names}" if many else f"no run is called {word}; the newest are: {names}"


def _json(path: Path) -> Data | None:
    try:
        data: Data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data


def _lines(path: Path) -> list[Data]:
    """Return the whole lines; a process that was killed may have left half of one."""
    found: list[Data] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
