"""What act writes into the ledger before the first change: what was there, and how to take it back.

The ledger is a file of JSON lines below the generations' folder. Each act that has something to keep adds one line
before its first change, then one line as each change begins. Bytes of regular files (and of whole trees that are
removed) are copied into `GENERATION/ACT/` below their own path; everything else fits into the line.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kubeforge.errors import KubeforgeError
from kubeforge.operations.model import Change, Entry, Observation

__all__ = ["Record", "record"]


@dataclass(frozen=True, slots=True)
class Record:
    """What one act keeps.

    Args:
        line: end of the ledger's line, after the numbers that only the host knows; empty: nothing is to be kept.
        copies: paths to copy, with everything below them.
    """

    line: str
    copies: tuple[str, ...]


def record(changes: Sequence[Change], seen: Observation, run_id: str) -> Record:
    """Return what is to be kept before `changes` are made on what was `seen`."""
    rows = [_row(change, seen) for change in changes]
    if not any(row["paths"] or row["undo"] or row["units"] for row in rows):
        return Record("", ())
    copies = [path for row in rows for path, prior in row["paths"].items() if prior and prior["kind"] == "copy"]
    line = json.dumps({"run": run_id, "changes": rows}, separators=(",", ":"))
    return Record(f"{line[1:]}\n", tuple(dict.fromkeys(copies)))


def _row(change: Change, seen: Observation) -> dict[str, Any]:
    return {
        "title": change.title,
        "verb": str(change.verb),
        "paths": {path: _prior(path, path in change.deep, change, seen) for path in change.touches},
        "undo": list(change.undo),
        "units": {
            name: {"load": state.load, "active": state.active, "file": state.file}
            for name in change.effect.units
            if (state := seen.units.get(name)) is not None
        },
    }


def _prior(path: str, deep: bool, change: Change, seen: Observation) -> dict[str, Any] | None:
    """What was at `path`: None for nothing, a link's target, a directory's attributes, or "copy"."""
    if path not in seen.paths:
        raise KubeforgeError(
            f"touches {path}, which was not observed",
            step=change.title,
            remedy="the operation's observe() must ask for every path that its change touches",
        )
    entry = seen.paths[path]
    if not isinstance(entry, Entry):
        return None
    owned = {"owner": entry.owner, "group": entry.group}
    if stat.S_ISLNK(entry.mode):
        return {"kind": "link", "target": entry.target, **owned}
    if stat.S_ISDIR(entry.mode) and not deep:
        return {"kind": "directory", "mode": entry.permissions, **owned}
    return {"kind": "copy", "deep": stat.S_ISDIR(entry.mode)}
