"""What the engine makes of the note that an act leaves on its host: told, what it owes made good, settled in the end.

A note without a good end stays until the host's next act. Where a later run finds nothing left to act on there, it
says so in the note; else every plan would tell of the old run for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from kubeforge.errors import KubeforgeError
from kubeforge.operations.shell import join, quote
from kubeforge.spec import paths
from kubeforge.transport.base import Remote
from kubeforge.transport.protocol.note import Interruption

__all__ = ["owed", "settle_all", "settling_command", "working"]

SHOW_BY_AGE = ("file ", "symlink ", "artifact ")
"""Kinds whose change a unit that listens sees by the time of modification (docs/adr/0022)."""


def working(left: Interruption | None) -> str:
    """Say how far an act is that goes on without its controller.

    Args:
        left: what its note says now; None: that it has just ended, or nothing.
    """
    if left is None:
        return "an earlier run still works there"
    begun = len(left.done) + (left.doubtful is not None)
    now = f", now {left.doubtful}" if left.doubtful else ""
    made = f"{len(left.done)} of {begun + len(left.pending)} changes are made{now}"
    return f"run {left.run_id} goes on there without its controller: {made}"


def owed(left: Interruption) -> frozenset[str]:
    """Return what an earlier run changed and nothing on the host shows: who listens may still be owed a restart."""
    return frozenset(title for title in left.changed if not title.startswith(SHOW_BY_AGE))


def settling_command(left: Interruption) -> tuple[str, ...]:
    """Return the command that ends a note; nothing where the note is another's by now, or an act still runs."""
    note = quote(paths.RUN_NOTE)
    script = f"grep -q {quote(f'^begin {left.run_id} ')} {note} && echo end >>{note}"
    return ("sh", "-c", f"[ ! -e {quote(paths.LOCK)} ] || {join(('flock', '-n', paths.LOCK, 'sh', '-c', script))}")


def settle_all(left: Mapping[str, Interruption], connect: Callable[[str], Remote]) -> Iterator[tuple[str, str]]:
    """End the notes of hosts where everything that they had left to do is done; yield a host and why its note stays.

    Args:
        left: host -> its note.
        connect: returns a host.
    """
    for host, note in left.items():
        try:
            connect(host).run(settling_command(note), expect=range(256))
        except KubeforgeError as error:
            yield host, f"the note of run {note.run_id} stays: {error.cause}"
