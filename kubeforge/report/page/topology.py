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
_REACH = 5
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
        line: SVG path from the row above to this one, round its title; empty for the first one.
    """

    title: str
    y: int
    boxes: tuple[Box, ...]
    line: str


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
    left, y = list(run.hosts), _MARGIN
    for group, title in (*_ROLES, ("", _OTHERS)):
        found = [host for host in left if not group or group in host.groups]
        if not found:
            continue
        left = [host for host in left if host not in found]
        boxes = _boxes(found, y + _HEAD, failed, changed)
        line = _line(rows[-1].boxes, boxes) if rows else ""
        rows.append(Row(title=title, y=y + _HEAD - 10, boxes=boxes, line=line))
        y = boxes[-1].y + boxes[-1].height + _GAP
    return Picture(rows=tuple(rows), height=y)


def _boxes(hosts: Sequence[HostRecord], top: int, failed: Collection[str], changed: Collection[str]) -> tuple[Box, ...]:
    small = len(hosts) > _MANY
    width, height = (_SMALL, _SMALL) if small else _BOX
    gap = _SMALL_GAP if small else _GAP
    columns = (WIDTH - 2 * _MARGIN + gap) // (width + gap) if small else _COLUMNS
    return tuple(
        Box(
            x=_begin(len(hosts) - number // columns * columns, columns, width, gap) + number % columns * (width + gap),
            y=top + number // columns * (height + gap),
            width=width,
            height=height,
            host=host,
            state="failed" if host.name in failed else "changed" if host.name in changed else "same",
            small=small,
        )
        for number, host in enumerate(hosts)
    )


def _begin(left: int, columns: int, width: int, gap: int) -> int:
    """Return the x of a line's first box: it stands in the middle, `left` being the boxes from there on."""
    return (WIDTH - min(left, columns) * (width + gap) + gap) // 2


def _line(above: Sequence[Box], below: Sequence[Box]) -> str:
    """Return a path that gathers what stands above, and one that parts to what stands below, the title between them."""
    bottom, top = above[-1].y + above[-1].height, below[0].y
    lowest = [box for box in above if box.y == above[-1].y]
    highest = [box for box in below if box.y == top]
    return _bus(lowest, bottom, bottom + _REACH) + _bus(highest, top, top - _REACH)


def _bus(boxes: Sequence[Box], edge: int, level: int) -> str:
    middles = [box.x + box.width // 2 for box in boxes]
    across = f"M{middles[0]} {level}H{middles[-1]}" if len(boxes) > 1 else ""
    return across + "".join(f"M{middle} {edge}V{level}" for middle in middles)
