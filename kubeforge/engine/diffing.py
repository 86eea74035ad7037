"""Fetches old contents and attaches diffs to planned changes, where somebody wants to see them: a round trip a host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

from kubeforge.engine.events import Failure
from kubeforge.engine.executors import Executor
from kubeforge.engine.prepared import Prepared, guarded
from kubeforge.operations.diffs import attach_diffs, diffable
from kubeforge.operations.model import Queries
from kubeforge.transport.base import Remote

__all__ = ["with_diffs"]


def with_diffs(
    prepared: Sequence[Prepared], connect: Callable[[str], Remote], executor: Executor
) -> tuple[list[Prepared], list[Failure]]:
    """Return the steps with diffs on their changes, in the same order, and the hosts that could not be read."""
    by_turn: dict[tuple[str, str], list[Prepared]] = {}
    for step in prepared:
        by_turn.setdefault((step.host, step.place), []).append(step)

    def work(turn: tuple[str, str]) -> list[Prepared] | Failure:
        host, place = turn
        try:
            return _with_diffs(by_turn[turn], connect(place))
        except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
            return guarded(error, host=host, step="diff")

    done = dict(executor.each(work, list(by_turn)))
    failures = [outcome for turn in by_turn if isinstance(outcome := done[turn], Failure)]
    steps = {turn: iter(outcome) for turn, outcome in done.items() if not isinstance(outcome, Failure)}
    return [next(steps[turn]) for step in prepared if (turn := (step.host, step.place)) in steps], failures


def _with_diffs(steps: Sequence[Prepared], remote: Remote) -> list[Prepared]:
    changes = [change for step in steps for change in step.changes]
    paths = diffable(changes)
    contents = remote.observe(Queries(reads=paths)).contents if paths else {}
    rest = iter(attach_diffs(changes, contents))
    return [replace(step, changes=tuple(islice(rest, len(step.changes)))) for step in steps]
