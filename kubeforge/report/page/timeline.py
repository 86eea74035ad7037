"""When each host did what, as places between 0 and 100 per cent of the run's time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubeforge.engine.records import RunRecord, StepRecord

__all__ = ["Bar", "Lane", "PlayBar", "lanes", "play_bars"]

_NARROWEST = 0.3
"""Per cent: what took no time shall be seen, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A step's place in a lane.

    Args:
        left: where it begins, per cent of the run.
        width: how long it took, per cent of the run.
        state: `done`, `failed` or `cut`, the last for one that had not ended when the record did.
        play: in which play.
        step: what was done.
        seconds: how long it took.
        changes: how many were made.
    """

    left: float
    width: float
    state: str
    play: str
    step: str
    seconds: float
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A host's steps in the order of time."""

    host: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayBar:
    """A play's place in the run; its colour goes round with `number`."""

    number: int
    play: str
    left: float
    width: float
    seconds: float


def lanes(run: RunRecord) -> tuple[Lane, ...]:
    """Return a lane for every host that did something, in inventory order."""
    by_host: dict[str, list[StepRecord]] = {}
    for step in run.steps:
        by_host.setdefault(step.host, []).append(step)
    names = [host.name for host in run.hosts] or list(by_host)
    return tuple(
        Lane(host=name, bars=tuple(_bar(run.span, step) for step in by_host[name])) for name in names if name in by_host
    )


def play_bars(run: RunRecord) -> tuple[PlayBar, ...]:
    """Return the plays that had something to do, from the first step's beginning to the last one's end."""
    plays: dict[str, list[StepRecord]] = {}
    for step in run.steps:
        plays.setdefault(step.play, []).append(step)
    return tuple(_play(run.span, number, play, steps) for number, (play, steps) in enumerate(plays.items(), 1))


def _play(span: tuple[float, float], number: int, play: str, steps: Iterable[StepRecord]) -> PlayBar:
    steps = list(steps)
    began = min(step.began for step in steps)
    ended = max(_end(span, step) for step in steps)
    left, width = _place(span, began, ended)
    return PlayBar(number=number, play=play, left=left, width=width, seconds=ended - began)


def _bar(span: tuple[float, float], step: StepRecord) -> Bar:
    ended = _end(span, step)
    left, width = _place(span, step.began, ended)
    state = "failed" if step.failed else "cut" if step.ended is None else "done"
    return Bar(
        left=left,
        width=width,
        state=state,
        play=step.play,
        step=step.step,
        seconds=ended - step.began,
        changes=step.changes,
    )


def _end(span: tuple[float, float], step: StepRecord) -> float:
    return span[1] if step.ended is None else step.ended


def _place(span: tuple[float, float], began: float, ended: float) -> tuple[float, float]:
    first, last = span
    whole = max(last - first, 0.001)
    width = max((ended - began) / whole * 100, _NARROWEST)
    return round(min((began - first) / whole * 100, 100 - width), 2), round(width, 2)
