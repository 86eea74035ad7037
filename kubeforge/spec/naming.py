"""Where an inventory's cluster.yml lies, and what it calls the cluster. Reads no more of it, and judges nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kubeforge.inventory.sources import CLUSTER_FILES
from kubeforge.spec.document import read

__all__ = ["FILE_NAMES", "cluster_name", "locate"]

FILE_NAMES: Final = CLUSTER_FILES


def locate(path: Path) -> Path:
    """Return the cluster.yml of an inventory's directory, of a file in it, or the path itself if it is one."""
    if path.name in FILE_NAMES:
        return path
    folder = path if path.is_dir() else path.parent
    return next((folder / name for name in FILE_NAMES if (folder / name).exists()), folder / FILE_NAMES[0])


def cluster_name(path: Path) -> str | None:
    """Return the name that stands in an inventory's cluster.yml; None where there is none, or it cannot be read.

    Args:
        path: as in `locate`.
    """
    file = locate(path)
    try:
        data = read(file).data if file.is_file() else None
    except OSError:
        return None
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) and name else None
