"""What of a path is set aside before a change, until somebody has seen that the new state is good. Pure.

Shared by KeptFile and KeptArtifact: what lies aside already is older and was good, as whoever replaced it last was cut
off before it could say so of its own; so it is never overwritten.
"""

from __future__ import annotations

import posixpath
import stat
from dataclasses import replace

from kubeforge.operations.attributes import beside, entry_at
from kubeforge.operations.model import Change, Entry, Observation
from kubeforge.operations.shell import quote

__all__ = ["keeping", "keeping_file"]


def keeping_file(change: Change, seen: Observation, now: Entry, *, path: str, aside: str) -> Change:
    """Return a change that sets aside the file it replaces, with its mode and owner; see `keeping`.

    Args:
        change: of `path`.
        seen: what it was decided on.
        now: the file that is there and goes.
        path: where.
        aside: where a copy of it is kept.
    """
    kept = Entry(stat.S_IFREG | now.permissions, now.owner, now.group)
    return keeping(change, seen, path=path, aside=aside, copy="cp -pT", kept=kept)


def keeping(change: Change, seen: Observation, *, path: str, aside: str, copy: str, kept: Entry) -> Change:
    """Return a change that sets aside what it replaces, unless something lies there already.

    Args:
        change: of `path`.
        seen: what it was decided on.
        path: what is there and goes.
        aside: where a copy of it is kept.
        copy: the command that copies without following a link aside: `cp -pT` for a file, `cp -dT` for a link.
        kept: what will lie there.
    """
    if entry_at(aside, seen, change.title) is not None:
        return change
    temporary, folder = quote(beside(aside)), quote(posixpath.dirname(aside))
    lines = (
        f"mkdir -p -m 0700 -- {folder}",
        f"{copy} --remove-destination -- {quote(path)} {temporary}",
        f"mv -fT -- {temporary} {quote(aside)}",
    )
    hashes = {aside: seen.hashes[path]} if kept.target is None and path in seen.hashes else {}
    effect = Observation(paths={aside: kept}, hashes=hashes)
    return replace(change, lines=(*lines, *change.lines), effect=change.effect.overlaid(effect))
