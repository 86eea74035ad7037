"""The note that act leaves on the host: what was begun, what is done, whether it ended.

    begin RUN COUNT
    changed TITLE      changes made earlier in the run: units that listen to them may still have to be restarted
    title INDEX TITLE  what will be done
    start INDEX
    done INDEX STATUS
    end | failed

A note without `end` or `failed` belongs to a script that still runs, or to one that a reboot cut off. Newlines and
backslashes in titles are escaped, so a line is a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kubeforge.operations.model import Observation
from kubeforge.spec import paths

__all__ = ["Interruption", "interrupted", "interrupted_in", "last_act", "opening"]


def opening(run_id: str, titles: Sequence[str], changed: Iterable[str]) -> str:
    """Return how a note begins."""
    lines = [f"begin {run_id} {len(titles)}"]
    lines += [f"changed {_escaped(title)}" for title in sorted(changed)]
    lines += [f"title {index} {_escaped(title)}" for index, title in enumerate(titles)]
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """An act that did not come to its end.

    Args:
        run_id: of the run.
        done: titles of finished changes.
        doubtful: title of the change that had begun: nobody knows how far it came.
        failed: title of the change that failed; then the act ended by itself.
        pending: titles that were never begun.
        changed: titles changed in that run, earlier or now; give them to the next plan, for units that listen.
    """

    run_id: str
    done: tuple[str, ...]
    doubtful: str | None
    failed: str | None
    pending: tuple[str, ...]
    changed: frozenset[str]

    def __str__(self) -> str:
        total = len(self.done) + len(self.pending) + (self.doubtful is not None) + (self.failed is not None)
        counted = f"{len(self.done)} of {total} changes were made"
        if self.failed is not None:
            return f"run {self.run_id} stopped at a failure: {counted}, then {self.failed} failed"
        if self.doubtful is not None:
            return f"run {self.run_id} was cut off: {counted}, and {self.doubtful} had begun"
        return f"run {self.run_id} was cut off: {counted}"


def interrupted_in(seen: Observation, note: str = paths.RUN_NOTE) -> Interruption | None:
    """Say what the last act on a host left undone, from an observation that asked for `reads=(note,)`."""
    return interrupted(seen.contents.get(note))


def interrupted(note: bytes | None) -> Interruption | None:
    """Say what the last act on a host left undone.

    Args:
        note: content of the note; None where there is none.

    Returns:
        None when the act came to its good end. Where the host's lock is held, the act still runs.
    """
    return None if (note or b"").rstrip().endswith(b"\nend") else last_act(note)


def last_act(note: bytes | None) -> Interruption | None:
    """Say what the last act on a host did and left, also where it came to its good end.

    Args:
        note: content of the note; None where there is none.
    """
    lines = (note or b"").decode("utf-8", "surrogateescape").split("\n")  # a title may hold a form feed
    words = [line.split(" ", 1) for line in lines if " " in line]
    if not words or words[0][0] != "begin":
        return None
    run_id = words[0][1].rpartition(" ")[0]
    earlier = {_plain(rest) for word, rest in words if word == "changed"}
    titles = {int(i): _plain(title) for i, _, title in (r.partition(" ") for w, r in words if w == "title")}
    started = {int(rest) for word, rest in words if word == "start"}
    ended = {int(i): int(status or -1) for i, _, status in (r.partition(" ") for w, r in words if w == "done")}
    good = [titles[i] for i, status in ended.items() if status == 0 and i in titles]
    failed = [titles[i] for i, status in ended.items() if status != 0 and i in titles]
    doubtful = [titles[i] for i in started - ended.keys() if i in titles]
    return Interruption(
        run_id=run_id,
        done=tuple(good),
        doubtful=doubtful[0] if doubtful else None,
        failed=failed[0] if failed else None,
        pending=tuple(title for i, title in titles.items() if i not in started),
        changed=frozenset({*earlier, *good, *doubtful, *failed}),
    )


def _escaped(title: str) -> str:
    return title.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _plain(title: str) -> str:
    parts = title.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)
