"""What each host remembers of an upgrade: where it began, and whether it has arrived. Pure.

A host keeps two small files: the record, written before anything else is changed, and a mark, written when the whole
cluster has arrived. Between the two, generations newer than the record's are not folded, so that a rollback finds them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from kubeforge.spec.paths import UPGRADE, UPGRADE_FINISHED

__all__ = ["Finished", "Record", "folds_after", "is_open", "read_finished", "read_open", "read_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a host remembers of an upgrade's begin.

    Args:
        old: version of Kubernetes that the cluster ran, the oldest where several.
        new: version that it shall run in the end.
        base: the last generation before it; 0: there was none.
        begun: seconds since 1970; the same in a host's record and mark.
        brings: references of images that came with it and were not there before.
    """

    old: str
    new: str
    base: int
    begun: int
    brings: tuple[str, ...] = ()

    def text(self) -> bytes:
        """Return what its file holds."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n"

    def towards(self, new: str, brings: Collection[str]) -> Record:
        """Return the record of the same upgrade that goes on, perhaps to another version, and brings more images."""
        return replace(self, new=new, brings=tuple(sorted({*self.brings, *brings})))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The mark that an upgrade has arrived.

    Args:
        begun: of the record.
        generation: the last one that belongs to it.
    """

    begun: int
    generation: int

    def text(self) -> bytes:
        """Return what its file holds."""
        return json.dumps(asdict(self), sort_keys=True).encode() + b"\n"


def read_record(content: bytes | None) -> Record | None:
    """Return a record; None: there is none, or what there is is not one."""
    try:
        told = json.loads(content or b"null")
        return None if told is None else Record(**{**told, "brings": tuple(told["brings"])})
    except (ValueError, TypeError, KeyError):
        return None


def read_finished(content: bytes | None) -> Finished | None:
    """Return a mark; None: there is none, or what there is is not one."""
    try:
        told = json.loads(content or b"null")
        return None if told is None else Finished(**told)
    except (ValueError, TypeError):
        return None


def is_open(record: Record | None, finished: Finished | None) -> bool:
    """Whether an upgrade was begun and has not arrived."""
    return record is not None and (finished is None or finished.begun != record.begun)


def read_open(contents: Mapping[str, bytes]) -> Record | None:
    """Return the record of an upgrade that has not arrived, of what a host has under `UPGRADE` and `UPGRADE_FINISHED`.

    None: there is none.
    """
    record = read_record(contents.get(UPGRADE))
    return record if is_open(record, read_finished(contents.get(UPGRADE_FINISHED))) else None


def folds_after(numbers: Sequence[int], keep: int, record: Record | None, finished: Finished | None) -> int:
    """Return how many of a host's last generations stay, so that an upgrade can be taken back.

    All of one that is under way; those of one that has arrived as long as fewer than `keep` runs came after it.

    Args:
        numbers: of its generations, ascending.
        keep: how many stay anyhow.
        record: of the last upgrade.
        finished: its mark.
    """
    if record is None:
        return keep
    since = sum(number > record.base for number in numbers)
    if is_open(record, finished):
        return max(keep, since)
    assert finished is not None
    later = sum(number > finished.generation for number in numbers)
    return max(keep, since) if later < keep else keep
