"""Everything nodes need for given versions and architectures, out of the source that the user chose or that answers.

With everything in the cache this costs a few milliseconds: records are read and files are looked at, not hashed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import image_references
from kubeforge.artifacts.components import COMPONENTS, Component, component
from kubeforge.artifacts.images import archives, find_archives
from kubeforge.artifacts.mirror import Mirror
from kubeforge.artifacts.model import (
    ImageArchive,
    LocalFile,
    Progress,
    ProgressEvent,
    Resolved,
    SourceChoice,
    SourceKind,
    Stage,
    Versions,
    silent,
)
from kubeforge.artifacts.source import Workshop
from kubeforge.artifacts.upstream import PROBE_URL, LockFile, Upstream
from kubeforge.errors import ArtifactError

__all__ = ["components_of", "held", "resolve"]

_PROBE_SECONDS: Final = 3.0
_FIXED: Final = {"cni-flannel": "0.9.1", "hello": "1"}
"""Components that follow no field of `Versions`."""
_Parts = tuple[dict[str, LocalFile], dict[str, ImageArchive]]


def resolve(
    versions: Versions,
    *,
    arches: Collection[str],
    source: SourceChoice,
    cache: Cache,
    progress: Progress,
) -> Resolved:
    """Return verified files, image archives and references.

    Args:
        versions: of every component.
        arches: architectures of the hosts, Go's spelling.
        source: what the user chose.
        cache: where everything ends up.
        progress: told of every step.

    Raises:
        ArtifactError: something cannot be had, or is not what its digest says.
    """
    cache.sweep()
    if source.kind is SourceKind.MIRROR or (source.kind is SourceKind.AUTO and source.mirror is not None):
        return _from_mirror(versions, arches, source, cache, progress)
    if source.kind is SourceKind.UPSTREAM:
        return _from_upstream(versions, arches, source, cache, progress)
    if source.kind is SourceKind.SOURCE:
        return _from_source(versions, arches, cache, progress)
    return _automatic(versions, arches, source, cache, progress)


def held(versions: Versions, arch: str, source: SourceChoice, cache: Cache) -> Resolved | None:
    """Return what this machine has completely, and would be taken first; None: something must be had. No network.

    Args:
        versions: of every component.
        arch: of the hosts.
        source: what the user chose; a mirror is not looked at here.
        cache: where it would be.
    """
    if source.kind in (SourceKind.AUTO, SourceKind.UPSTREAM):
        files = Upstream(cache, silent, LockFile(source.lock)).find(versions, arch)
        if files is not None:
            return _merge(versions, {arch: (files, {})}, "upstream")
    if source.kind in (SourceKind.AUTO, SourceKind.SOURCE):
        return _compiled(versions, (arch,), cache, silent)
    return None


def components_of(versions: Versions) -> list[Component]:
    """Return the rows to compile for these versions.

    Raises:
        ArtifactError: a version is not among those pinned for compiling; the message lists all such, and what is.
    """
    names = dict.fromkeys(row.name for row in COMPONENTS)
    wanted = {name: _FIXED.get(name) or getattr(versions, name.replace("-", "_")) for name in names}
    found = {name: component(name, version) for name, version in wanted.items()}
    missing = [name for name, row in found.items() if row is None]
    if missing:
        raise ArtifactError(
            "not every version can be compiled from source",
            step="artifacts from source",
            evidence=[
                f"{name} {wanted[name]}: pinned are {', '.join(row.version for row in COMPONENTS if row.name == name)}"
                for name in missing
            ],
            remedy="name a pinned version, or take parts from upstream or a mirror (artifacts.source)",
        )
    return [row for row in found.values() if row is not None]


def _automatic(
    versions: Versions, arches: Collection[str], source: SourceChoice, cache: Cache, progress: Progress
) -> Resolved:
    """Take what is complete in the cache, else upstream if it answers, else compile."""
    upstream = Upstream(cache, progress, LockFile(source.lock))
    fetched = {arch: upstream.find(versions, arch) for arch in arches}
    if all(files is not None for files in fetched.values()):
        return _merge(versions, {arch: (files or {}, {}) for arch, files in fetched.items()}, "upstream")
    compiled = _compiled(versions, arches, cache, progress)
    if compiled is not None:
        return compiled
    from kubeforge.artifacts.download import answers  # noqa: PLC0415 - loads the HTTP client

    if answers(PROBE_URL, within=_PROBE_SECONDS):
        return _from_upstream(versions, arches, source, cache, progress)
    note = f"upstream does not answer within {_PROBE_SECONDS:.0f} s ({PROBE_URL}): compiling from source"
    progress(ProgressEvent(part="artifacts", stage=Stage.NOTE, text=note))
    rows = components_of(versions)
    minutes = max(1, round(sum(row.seconds for row in rows) / 60))
    note = f"{len(rows)} components, about {minutes} minutes on two cores the first time"
    progress(ProgressEvent(part="artifacts", stage=Stage.NOTE, text=note))
    return _from_source(versions, arches, cache, progress)


def _from_mirror(
    versions: Versions, arches: Collection[str], source: SourceChoice, cache: Cache, progress: Progress
) -> Resolved:
    if source.mirror is None:
        raise ArtifactError("artifacts.source is mirror, but no mirror is named", remedy="set artifacts.mirror")
    mirror = Mirror(cache, progress, location=source.mirror, sha256=source.sha256)
    parts = {arch: mirror.obtain(versions, arch) for arch in arches}
    return _merge(versions, parts, f"mirror {source.mirror}")


def _from_upstream(
    versions: Versions, arches: Collection[str], source: SourceChoice, cache: Cache, progress: Progress
) -> Resolved:
    upstream = Upstream(cache, progress, LockFile(source.lock))
    return _merge(versions, {arch: (upstream.obtain(versions, arch), {}) for arch in arches}, "upstream")


def _from_source(versions: Versions, arches: Collection[str], cache: Cache, progress: Progress) -> Resolved:
    workshop = Workshop(cache, progress)
    rows = components_of(versions)

    def make(arch: str) -> _Parts:
        programs = workshop.build(rows, arch)
        return programs, archives(cache, versions, arch, programs, progress)

    return _merge(versions, {arch: make(arch) for arch in arches}, "source")


def _compiled(versions: Versions, arches: Collection[str], cache: Cache, progress: Progress) -> Resolved | None:
    """Return what was compiled before, if it is complete; a version or a Go that is missing only means: no."""
    workshop = Workshop(cache, progress)
    parts: dict[str, _Parts] = {}
    for arch in arches:
        programs: dict[str, LocalFile] = {}
        try:
            for row in components_of(versions):
                files = workshop.find(row, arch)
                if files is None:
                    return None
                programs |= files
        except ArtifactError:
            return None
        images = find_archives(cache, versions, arch, programs)
        if images is None:
            return None
        parts[arch] = (programs, images)
    return _merge(versions, parts, "source")


def _merge(versions: Versions, parts: dict[str, _Parts], source: str) -> Resolved:
    """Put the architectures' parts together."""
    brought = bool(parts) and all(images for _files, images in parts.values())
    references = image_references(versions, own=brought)
    return Resolved(
        files={(name, arch): file for arch, (files, _images) in parts.items() for name, file in files.items()},
        archives={(name, arch): image for arch, (_files, images) in parts.items() for name, image in images.items()},
        images=references,
        source=source,
    )
