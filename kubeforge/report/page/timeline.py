"""When each host did what: places between 0 and 100 per cent of the run's time, and the steps as rows to read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from kubeforge.engine.records import RunRecord, StepRecord

__all__ = ["Bar", "Lane", "PlayBar", "lanes", "play_bars", "shown_first"]

_NARROWEST = 0.3
"""Per cent: what took no time shall be seen, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A step's place in a lane.

    Args:
        left: where it begins, per cent of the run.
        width: how long it took, per cent of the run.
        state: `done`, `failed` or `cut`, the last for one that had not ended when the record did.
        began: seconds after the run's first event.
        seconds: how long it took.
        record: what is recorded of it.
    """

    left: float
    width: float
    state: str
    began: float
    seconds: float
    record: StepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A host's steps in the order of time."""

    host: str
    bars: tuple[Bar, ...]

    @property
    def whole(self) -> bool:
        """Whether all of its steps ended well."""
        return all(bar.state == "done" for bar in self.bars)

    @property
    def by_play(self) -> Iterator[tuple[str, Iterator[Bar]]]:
        """Its bars, those of one play together."""
        return groupby(self.bars, lambda bar: bar.record.play)


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


def shown_first(lanes: Sequence[Lane], most: int) -> tuple[tuple[Lane, ...], tuple[Lane, ...]]:
    """Return the lanes to show at once, and the others; both in the order they have.

    Args:
        lanes: of a run.
        most: shown at once, and besides all where something did not end well.
    """
    left = most - sum(not lane.whole for lane in lanes)
    shown: list[Lane] = []
    others: list[Lane] = []
    for lane in lanes:
        left -= lane.whole
        (shown if left >= 0 or not lane.whole else others).append(lane)
    return tuple(shown), tuple(others)


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
        began=step.began - span[0],
        seconds=ended - step.began,
        record=step,
    )


def _end(span: tuple[float, float], step: StepRecord) -> float:
    return span[1] if step.ended is None else step.ended


def _place(span: tuple[float, float], began: float, ended: float) -> tuple[float, float]:
    first, last = span
    whole = max(last - first, 0.001)
    width = max((ended - began) / whole * 100, _NARROWEST)
    return round(min((began - first) / whole * 100, 100 - width), 2), round(width, 2)
