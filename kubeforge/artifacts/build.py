"""What `artifacts build` does: compile, pack images, lay out a mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.components import COMPONENTS
from kubeforge.artifacts.listing import versions_of
from kubeforge.artifacts.mirror import write_mirror
from kubeforge.artifacts.model import LocalFile, Progress, SourceChoice, SourceKind
from kubeforge.artifacts.resolve import resolve
from kubeforge.artifacts.source import Workshop, machine_arch
from kubeforge.errors import ArtifactError

__all__ = ["BuiltMirror", "build_components", "build_mirror"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltMirror:
    """A mirror that was laid out.

    Args:
        folder: where.
        sha256: hex digest of its SHA256SUMS.
    """

    folder: Path
    sha256: str


def build_components(
    names: Sequence[str], kubernetes: Sequence[str] | None, cache: Cache, progress: Progress
) -> dict[str, LocalFile]:
    """Compile components by name; returns label and program -> file.

    Args:
        names: as in `components`.
        kubernetes: versions of Kubernetes to compile, where it is among the names; None: all that are pinned.
        cache: where programs end up.
        progress: told of every package.

    Raises:
        ArtifactError: an unknown name, or it does not compile.
    """
    known = {row.name for row in COMPONENTS}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ArtifactError(
            f"no component is called {', '.join(unknown)}",
            step="artifacts build",
            remedy=f"there are {', '.join(sorted(known))}",
        )
    rows = [
        row
        for row in COMPONENTS
        if row.name in names and (row.name != "kubernetes" or kubernetes is None or row.version in kubernetes)
    ]
    made = Workshop(cache, progress).build_each(rows, machine_arch())
    return {f"{label} {name}": file for label, files in made.items() for name, file in files.items()}


def build_mirror(kubernetes: Sequence[str], folder: Path, cache: Cache, progress: Progress) -> BuiltMirror:
    """Compile all that clusters of these versions need and lay it out as a mirror, beside what is there.

    Raises:
        ArtifactError: a version is not pinned, or something does not compile.
    """
    arch = machine_arch()
    sha256 = ""
    for version in kubernetes:
        versions = versions_of(version)
        found = resolve(
            versions, arches=(arch,), source=SourceChoice(kind=SourceKind.SOURCE), cache=cache, progress=progress
        )
        sha256 = write_mirror(
            cache,
            folder,
            versions=versions,
            arch=arch,
            files={name: file for (name, _arch), file in found.files.items()},
            archives={name: archive for (name, _arch), archive in found.archives.items()},
        )
    return BuiltMirror(folder=folder.resolve(), sha256=sha256)
