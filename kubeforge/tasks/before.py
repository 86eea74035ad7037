"""What was in the directories of Kubernetes before the first change: apply lists it, and a reset leaves it alone.

Files that act writes are in the generations. This is about the rest: what the kubelet, containerd and pods write by
themselves, among which nobody could tell later what somebody else had put there. See ADR 0047.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kubeforge.engine.generations import Ledger, origins
from kubeforge.engine.model import Context
from kubeforge.errors import Unreadable
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.cleared import Cleared
from kubeforge.operations.listing import Listing, parse_listing, told
from kubeforge.operations.model import Entry, Listed, Observation, Operation, Queries
from kubeforge.spec.paths import BEFORE, LEDGER
from kubeforge.spec.runtime import RUNTIME_DIRECTORIES, RUNTIME_FILES, Depth, RuntimeDirectory
from kubeforge.tasks.registry import task
from kubeforge.tasks.remark import Remark

__all__ = ["BEFORE_QUERIES", "Land", "cleared", "lands", "record", "unknown"]

BEFORE_QUERIES: Final = Queries(
    reads=(BEFORE,),
    stats=tuple(directory.path for directory in RUNTIME_DIRECTORIES),
    trees=tuple(directory.path for directory in RUNTIME_DIRECTORIES if directory.named),
)
_UNKNOWN: Final = object()


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return Queries(stats=(LEDGER,))


@task("before.record", reads=_reads)
def record(context: Context) -> Iterator[Operation]:
    """List what is there already where Kubernetes will write; a reset leaves it alone."""
    # Where something was changed already, a list would tell Kubernetes' own files for somebody else's.
    if context.seen[context.host.name].paths.get(LEDGER) is None:
        yield Listing(
            path=BEFORE, trees=_of(Depth.TREE), folders=_of(Depth.ENTRIES), paths=_of(Depth.ITSELF), keep=RUNTIME_FILES
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Land:
    """One directory of Kubernetes on one host, as a reset finds it.

    Args:
        directory: which.
        stays: what was there before, itself and below; empty: nothing was; None: nobody knows.
    """

    directory: RuntimeDirectory
    stays: Mapping[str, Listed] | None

    @property
    def goes(self) -> bool:
        """Whether it was not there before."""
        return self.stays is not None and not self.stays


def lands(seen: Observation, ledger: Ledger) -> dict[str, Land]:
    """Return path -> what is known about every directory of Kubernetes.

    A kubeforge that made no list may have brought up the cluster: then only what its generations made is known.

    Args:
        seen: has answered `BEFORE_QUERIES`.
        ledger: of the host.

    Raises:
        Unreadable: the list is none.
    """
    content = seen.contents.get(BEFORE)
    try:
        listed = None if content is None else parse_listing(content)
    except ValueError as error:
        raise Unreadable(
            f"{BEFORE} is not the list that apply wrote: {error}",
            step="reset.remove",
            remedy="look at it, or remove it: then all that may have been there before stays",
        ) from error
    first = origins(ledger)
    found = {}
    for directory in RUNTIME_DIRECTORIES:
        if listed is not None:
            stays: Mapping[str, Listed] | None = dict(_below(listed, directory.path))
        else:
            stays = {} if first.get(directory.path, _UNKNOWN) is None else None
        found[directory.path] = Land(directory=directory, stays=stays)
    return found


def unknown(seen: Observation, ledger: Ledger) -> Iterator[Remark]:
    """Yield a word about the directories that stay because nobody knows what was there before, if there are any."""
    ours = {path for path, prior in origins(ledger).items() if prior is None}
    stay = []
    for path, land in lands(seen, ledger).items():
        if land.stays is None and land.directory.depth is not Depth.ITSELF and isinstance(seen.paths.get(path), Entry):
            names = told([one for one in _files(path, seen) if one not in ours], path)
            stay.append(f"{path} ({names})" if names else path)
    if stay:
        text = (
            f"these stay, as they may have been there before: {', '.join(stay)}. The kubeforge that brought up this "
            "cluster made no list of that: remove by hand what you do not need"
        )
        yield Remark(about="before", text=text)


def cleared(seen: Observation, ledger: Ledger) -> Iterator[Operation]:
    """Yield what takes all that came since out of those of Kubernetes' directories that are there."""
    known = {*origins(ledger), *RUNTIME_FILES}
    for path, land in lands(seen, ledger).items():
        stays = land.stays
        there = isinstance(seen.paths.get(path), Entry)
        if there and stays is not None and land.directory.depth is not Depth.ITSELF:
            strangers = tuple(one for one in _files(path, seen) if one not in stays and one not in known)
            yield Cleared(path=path, stays=stays, whole=land.directory.depth is Depth.ENTRIES, strangers=strangers)


def _files(path: str, seen: Observation) -> list[str]:
    """Return what is below a directory, where that was asked: all but directories."""
    return sorted(one for one, entry in seen.trees.get(path, {}).items() if entry.kind != "d")


def _of(depth: Depth) -> tuple[str, ...]:
    return tuple(directory.path for directory in RUNTIME_DIRECTORIES if directory.depth is depth)


def _below(listed: Mapping[str, Listed], top: str) -> Iterable[tuple[str, Listed]]:
    return ((path, entry) for path, entry in listed.items() if f"{path}/".startswith(f"{top}/"))
