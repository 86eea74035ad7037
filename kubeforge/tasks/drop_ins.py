"""Drop-ins that somebody put beside a unit of ours (`systemctl edit`): they change what runs, so they are drift."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from kubeforge.engine.model import Context
from kubeforge.operations.absent import Absent
from kubeforge.operations.model import Queries
from kubeforge.spec.paths import DROP_IN_FOLDERS

__all__ = ["foreign_drop_ins", "reads"]

_WHY = "a drop-in that cluster.yml does not know (os.keep_drop_ins)"


def reads(unit: str) -> Queries:
    """Ask for a unit's drop-ins."""
    return Queries(folders=_folders(unit))


def foreign_drop_ins(context: Context, unit: str, own: Collection[str] = ()) -> list[Absent]:
    """Return what takes a unit's drop-ins away that are neither ours nor kept by `os.keep_drop_ins`.

    Those that the distribution ships (/usr/lib), and those for all units, are not looked at.

    Args:
        context: of the host; its task must read `reads(unit)`.
        unit: with its suffix.
        own: paths of drop-ins that we wrote.
    """
    held = context.seen[context.host.name].folders
    kept = context.cluster.os.keep_drop_ins
    found = [f"{folder}/{name}" for folder in _folders(unit) for name in held.get(folder, ()) if _is_one(name)]
    return [
        Absent(path=path, reveal=True, why=_WHY)
        for path in found
        if path not in own and not any(fnmatchcase("/".join(path.split("/")[-2:]), pattern) for pattern in kept)
    ]


def _folders(unit: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{unit}.d" for folder in DROP_IN_FOLDERS)


def _is_one(name: str) -> bool:
    """Whether systemd reads it; a name with a dot in front is a file of ours on its way (docs/adr/0024)."""
    return name.endswith(".conf") and not name.startswith(".")
