"""What the events of a recorded run come to: changes, steps, warnings, messages. Pure; `records` reads the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubeforge.engine.events import WARNING

__all__ = [
    "ChangeRecord",
    "Data",
    "RemarkRecord",
    "SaidRecord",
    "StepRecord",
    "changes_of",
    "said_of",
    "steps_of",
    "warnings_of",
]

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRecord:
    """A change that was made.

    Args:
        host: where.
        play: in which play.
        step: in which step.
        title: what it was about.
        verb: what happened to it.
        why: one clause.
        seconds: how long it took.
    """

    host: str
    play: str
    step: str
    title: str
    verb: str
    why: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RemarkRecord:
    """What stopped nothing and should be known.

    Args:
        host: whose; None: nobody's in particular.
        text: one or two sentences.
    """

    host: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidRecord:
    """What an action told.

    Args:
        host: whose.
        step: the action's title.
        text: the message.
    """

    host: str
    step: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A host's step.

    Args:
        host: where.
        play: in which play.
        step: the batch's tasks, or the action's title.
        began: seconds since the epoch.
        ended: seconds since the epoch; None: it had not ended when the record did.
        failed: whether it failed.
        changes: how many it made; of one that failed, before it did.
        said: what an action told meanwhile; its warnings are among the run's remarks.
    """

    host: str
    play: str
    step: str
    began: float
    ended: float | None = None
    failed: bool = False
    changes: int = 0
    said: tuple[str, ...] = ()


def changes_of(events: Iterable[Data]) -> Iterator[ChangeRecord]:
    """Yield the changes that were made, in the order of time."""
    fields = ChangeRecord.__dataclass_fields__
    for event in events:
        if event["event"] == "ChangeDone":
            yield ChangeRecord(**{name: event[name] for name in fields})


def warnings_of(events: Iterable[Data]) -> Iterator[RemarkRecord]:
    """Yield what was warned of, in the order of time."""
    for event in events:
        said = str(event.get("message", ""))
        if event["event"] == "Warned" or (event["event"] == "ActionSaid" and said.startswith(WARNING)):
            yield RemarkRecord(host=event["host"], text=said.removeprefix(WARNING))


def said_of(events: Iterable[Data]) -> Iterator[SaidRecord]:
    """Yield what actions told, in the order of time."""
    for event in filter(_is_said, events):
        yield SaidRecord(host=event["host"], step=event["step"], text=event["message"])


def _is_said(event: Data) -> bool:
    return event["event"] == "ActionSaid" and not str(event["message"]).startswith(WARNING)


def steps_of(events: Iterable[Data]) -> list[StepRecord]:
    """Return every step that was begun, in that order: beginnings and ends put together."""
    done: list[StepRecord] = []
    running: dict[str, dict[str, Any]] = {}
    for event in events:
        kind, host = event["event"], str(event.get("host"))
        if kind == "StepStarted":
            running[host] = {
                "host": host,
                "play": event["play"],
                "step": event["step"],
                "began": event["at"],
                "said": [],
            }
        elif host not in running:
            continue
        elif _is_said(event):
            running[host]["said"].append(event["message"])
        elif kind == "ChangeDone":
            running[host]["changes"] = running[host].get("changes", 0) + 1
        elif kind in {"StepDone", "StepFailed"}:
            done.append(_step(running.pop(host), ended=event["at"], failed=kind == "StepFailed"))
    return sorted([*done, *(_step(one) for one in running.values())], key=lambda step: step.began)


def _step(parts: Mapping[str, Any], *, ended: float | None = None, failed: bool = False) -> StepRecord:
    return StepRecord(**{**parts, "said": tuple(parts["said"])}, ended=ended, failed=failed)
