"""A picture of the hosts by what they are in the cluster: boxes in rows, lines from row to row. Pure.

Three boxes stand side by side, so that the picture can be read on a phone; many hosts of a kind become small squares.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kubeforge.engine.records import HostRecord, RunRecord
from kubeforge.inventory.model import CONTROL_PLANE, ETCD, LOAD_BALANCERS, WORKERS

__all__ = ["Box", "Picture", "Row", "picture"]

WIDTH = 390
"""Of the picture, in its own units: what a phone has."""
_MARGIN, _GAP, _HEAD = 10, 10, 26
_COLUMNS, _BOX = 3, (116, 44)
_MANY, _SMALL, _SMALL_GAP = 18, 12, 4
_ROLES = (
    (LOAD_BALANCERS, "Balancers of the API"),
    (CONTROL_PLANE, "Control planes"),
    (ETCD, "etcd"),
    (WORKERS, "Workers"),
)
_OTHERS = "Hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A host.

    Args:
        x, y, width, height: of the box.
        host: whom it stands for.
        state: `failed`, `changed` or `same`.
        small: whether there is no room for its name.
    """

    x: int
    y: int
    width: int
    height: int
    host: HostRecord
    state: str
    small: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hosts of a kind.

    Args:
        title: what they are.
        y: of the title.
        boxes: one for each.
        joined: y of the row above it that a line comes from; None: the first one.
    """

    title: str
    y: int
    boxes: tuple[Box, ...]
    joined: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All rows, from the way in downwards, and how high they are together."""

    rows: tuple[Row, ...]
    height: int
    width: int = WIDTH


def picture(run: RunRecord) -> Picture:
    """Return the picture of a run's hosts; each stands in the first row that it belongs to."""
    failed = {failure.host for failure in run.failures if failure.host}
    changed = {change.host for change in run.changes}
    rows: list[Row] = []
    left, y, above = list(run.hosts), _MARGIN, None
    for group, title in (*_ROLES, ("", _OTHERS)):
        found = [host for host in left if not group or group in host.groups]
        if not found:
            continue
        left = [host for host in left if host not in found]
        boxes = _boxes(found, y + _HEAD, failed, changed)
        rows.append(Row(title=title, y=y + _HEAD - 10, boxes=boxes, joined=above))
        above = boxes[-1].y + boxes[-1].height
        y = above + _GAP
    return Picture(rows=tuple(rows), height=y)


def _boxes(hosts: Sequence[HostRecord], top: int, failed: Collection[str], changed: Collection[str]) -> tuple[Box, ...]:
    small = len(hosts) > _MANY
    width, height = (_SMALL, _SMALL) if small else _BOX
    gap = _SMALL_GAP if small else _GAP
    columns = (WIDTH - 2 * _MARGIN + gap) // (width + gap) if small else _COLUMNS
    return tuple(
        Box(
            x=_MARGIN + number % columns * (width + gap),
            y=top + number // columns * (height + gap),
            width=width,
            height=height,
            host=host,
            state="failed" if host.name in failed else "changed" if host.name in changed else "same",
            small=small,
        )
        for number, host in enumerate(hosts)
    )
