"""What a run came to, as frozen values: what was done, what was not, what went wrong. No rendering, no secrets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kubeforge.engine.carry_out import Done
from kubeforge.engine.events import Failure, as_data
from kubeforge.engine.prepared import Prepared
from kubeforge.errors import Interrupted

__all__ = ["DoneChange", "PlayTime", "Remaining", "RunResult", "done_of", "remaining_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayTime:
    """How long a play took, and on how many hosts it had something to do."""

    play: str
    seconds: float
    hosts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneChange:
    """One change that was made."""

    host: str
    title: str
    verb: str
    why: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """A planned step that was not carried out, or not wholly: the titles of the changes that are still to be made."""

    host: str
    play: str
    step: str
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run came to.

    Args:
        run_id: names it in the journal and on the hosts.
        done: changes made, by host in the order they were made.
        remaining: what is still to be done, in the plan's order.
        failures: what went wrong, in the order of time.
        plays: time of each play that had something to do.
        seconds: the whole run.
        interrupted: whether Ctrl-C ended it.
        journal: its directory, where one was written.
    """

    run_id: str
    done: tuple[DoneChange, ...] = ()
    remaining: tuple[Remaining, ...] = ()
    failures: tuple[Failure, ...] = ()
    plays: tuple[PlayTime, ...] = ()
    seconds: float = 0.0
    interrupted: bool = False
    journal: str | None = None

    @property
    def exit_code(self) -> int:
        """That of the first failure; 130 when Ctrl-C ended the run and nothing failed; else 0."""
        if self.failures:
            return self.failures[0].exit_code
        return Interrupted.exit_code if self.interrupted else 0

    @property
    def remaining_changes(self) -> int:
        """Planned changes that were not made."""
        return sum(len(step.titles) for step in self.remaining)

    def to_data(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data: dict[str, Any] = as_data(self)
        return {"version": 1, **data, "exit_code": self.exit_code}


def done_of(done: Iterable[tuple[str, Done]]) -> tuple[DoneChange, ...]:
    """Return the runner's record as values."""
    return tuple(
        DoneChange(
            host=host,
            title=each.change.title,
            verb=str(each.change.verb),
            why=each.change.why,
            seconds=each.seconds,
        )
        for host, each in done
    )


def remaining_of(
    left: Iterable[Prepared], made: Callable[[Prepared], Collection[str]], plays: Sequence[str]
) -> tuple[Remaining, ...]:
    """Return what is left of the plan.

    Args:
        left: steps that were not, or not wholly, carried out.
        made: returns the titles of the changes that a step had made before it failed.
        plays: names of all plays.
    """
    return tuple(
        Remaining(
            host=item.host,
            play=plays[item.play],
            step=item.step.title,
            titles=tuple(change.title for change in item.changes if change.title not in made(item)),
        )
        for item in left
    )
