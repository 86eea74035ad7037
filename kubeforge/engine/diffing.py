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
    by_host: dict[str, list[Prepared]] = {}
    for step in prepared:
        by_host.setdefault(step.host, []).append(step)

    def work(host: str) -> list[Prepared] | Failure:
        try:
            return _with_diffs(by_host[host], connect(host))
        except Exception as error:  # noqa: BLE001 - one host's failure is that host's outcome
            return guarded(error, host=host, step="diff")

    done = dict(executor.each(work, list(by_host)))
    failures = [outcome for host in by_host if isinstance(outcome := done[host], Failure)]
    steps = {host: iter(outcome) for host, outcome in done.items() if not isinstance(outcome, Failure)}
    return [next(steps[step.host]) for step in prepared if step.host in steps], failures


def _with_diffs(steps: Sequence[Prepared], remote: Remote) -> list[Prepared]:
    changes = [change for step in steps for change in step.changes]
    paths = diffable(changes)
    contents = remote.observe(Queries(reads=paths)).contents if paths else {}
    rest = iter(attach_diffs(changes, contents))
    return [replace(step, changes=tuple(islice(rest, len(step.changes)))) for step in steps]
