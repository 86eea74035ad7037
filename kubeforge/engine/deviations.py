"""Compares what is about to be done with what was planned. Pure.

A plan is a promise: apply does what it showed or nothing. So before a batch acts, the host is observed again, decided
again, and compared. Two things are told apart:

- Before this run has changed anything that the host could show, every difference was made by somebody else.
- Afterwards a step of this run may have done more than it foretold (a package brings a directory, or starts its unit).
  Then a planned change may turn out to be no longer needed, and a path that was missing may be there; but nothing that
  was not planned is done, and a file that the plan knew by its content must still have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kubeforge.engine.plan import content_digest
from kubeforge.operations.model import Change, Entry, Observation, Queries, UnreadablePath

__all__ = ["deviations"]


def deviations(
    planned: Sequence[Change], expected: Observation, decided: Sequence[Change], seen: Observation, *, untouched: bool
) -> list[str]:
    """Return what differs, one sentence each; empty: go on.

    Args:
        planned: the batch's changes in the plan.
        expected: what the plan took to hold when the batch begins.
        decided: the batch's changes now.
        seen: what holds now.
        untouched: whether nothing in this run can have changed the host yet.
    """
    found = [*_unplanned(planned, decided)]
    if untouched:
        now = {change.title for change in decided}
        found += [f"{change.title}: planned, and no longer needed" for change in planned if change.title not in now]
    guards = Queries.merge(change.guard for change in planned)
    found += _paths(guards, expected, seen, untouched=untouched)
    return list(dict.fromkeys(found))


def _unplanned(planned: Sequence[Change], decided: Sequence[Change]) -> Iterator[str]:
    shown: dict[str, set[str | None]] = {}  # one title may be there twice: what writes a file after another
    for change in planned:
        shown.setdefault(change.title, set()).add(content_digest(change.payload))
    for change in decided:
        before = shown.get(change.title)
        if before is None:
            yield f"{change.title}: {change.why}, and not in the plan"
        elif content_digest(change.payload) not in before:
            yield f"{change.title}: would now be written with other content than planned"


def _paths(guards: Queries, expected: Observation, seen: Observation, *, untouched: bool) -> Iterator[str]:
    """Yield what differs at the guarded paths, one sentence per path."""
    for path in dict.fromkeys((*guards.stats, *guards.hashes, *guards.reads)):
        before, now = expected.paths.get(path), seen.paths.get(path)
        known = path in expected.paths and path in seen.paths
        if untouched and known and not _alike(before, now):
            yield f"{path}: {_told(now)}; the plan saw: {_told(before)}"
        elif _other_content(path, expected, seen):
            yield f"{path}: has other content than the plan saw"


def _other_content(path: str, expected: Observation, seen: Observation) -> bool:
    """Whether both know the file's content, and it is not the same."""
    pairs = (expected.hashes.get(path), seen.hashes.get(path)), (expected.contents.get(path), seen.contents.get(path))
    return any(
        before is not None and now is not None and not isinstance(before, UnreadablePath) and before != now
        for before, now in pairs
    )


def _alike(before: Entry | UnreadablePath | None, now: Entry | UnreadablePath | None) -> bool:
    """Compare what the plan may know; `raw` has times and inodes, which the guard on the host compares."""
    if isinstance(before, Entry) and isinstance(now, Entry):
        return (before.mode, before.owner, before.group, before.target) == (
            now.mode,
            now.owner,
            now.group,
            now.target,
        )
    return type(before) is type(now)


def _told(entry: Entry | UnreadablePath | None) -> str:
    if entry is None:
        return "is missing"
    if isinstance(entry, UnreadablePath):
        return entry.why
    target = f" -> {entry.target}" if entry.target is not None else ""
    return f"{entry.permissions:04o} {entry.owner}:{entry.group}{target}"
