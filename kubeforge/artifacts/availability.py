"""Which versions a source of parts has, and what it lacks of one: looked up, not fetched.

The same order as in `resolve`: what is named, else what is here, else upstream where it answers, else source. Nothing
is written but a mirror's digest list, which goes into the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import image_references, upstream_files
from kubeforge.artifacts.components import COMPONENTS
from kubeforge.artifacts.mirror import Mirror
from kubeforge.artifacts.model import LocalFile, Resolved, SourceChoice, SourceKind, Versions, silent
from kubeforge.artifacts.resolve import components_of, held
from kubeforge.artifacts.upstream import PROBE_URL
from kubeforge.errors import ArtifactError
from kubeforge.spec.releases import RELEASES, parse

__all__ = ["Availability", "Shelf"]

_WITHIN: Final = 3.0  # seconds for one question
_THREADS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """The parts of one version for one architecture.

    Args:
        versions: of every component.
        arch: Go's spelling.
        source: where they would come from: `mirror …`, `upstream`, `source`.
        missing: what cannot be had, each with its reason.
        doubtful: what could not be asked for.
        files: name -> file, of those that are on this machine.
        archives: name of an image archive -> file, likewise.
        pulls: whether nodes pull their images.
        compiles: seconds that compiling would take; 0: nothing is compiled.
    """

    versions: Versions
    arch: str
    source: str
    missing: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    files: Mapping[str, LocalFile] = field(default_factory=dict)
    archives: Mapping[str, LocalFile] = field(default_factory=dict)
    pulls: bool = False
    compiles: int = 0

    @property
    def images(self) -> dict[str, str]:
        """Logical name -> reference."""
        return image_references(self.versions, own=not self.pulls)


class Shelf:
    """What can be had.

    Args:
        source: what the user chose.
        cache: what is here.
        exists: asks a server for a file; for tests.
    """

    def __init__(
        self, source: SourceChoice, cache: Cache, *, exists: Callable[[str], bool | None] | None = None
    ) -> None:
        self._source = source
        self._cache = cache
        self._exists = exists or _asked
        self._online: bool | None = None

    def kubernetes(self) -> tuple[str, ...]:
        """Return the versions of Kubernetes that can be had, the oldest first.

        Raises:
            ArtifactError: a mirror cannot be read.
        """
        if self._mirrored:
            return self._mirror().kubernetes()
        pinned = {row.version for row in COMPONENTS if row.name == "kubernetes"}
        known = {row.kubernetes for row in RELEASES}
        match self._source.kind:
            case SourceKind.SOURCE:
                found = pinned
            case SourceKind.UPSTREAM:
                found = known
            case _:
                found = known if self._upstream_answers() else pinned
        return tuple(sorted(found, key=parse))

    def look(self, versions: Versions, arch: str) -> Availability:
        """Return what there is of one version.

        Args:
            versions: of every component.
            arch: Go's spelling.
        """
        if self._mirrored:
            return self._in_mirror(versions, arch)
        here = held(versions, arch, self._source, self._cache)
        if here is not None:
            return _held(here, versions, arch)
        kind = self._source.kind
        if kind is SourceKind.UPSTREAM or (kind is SourceKind.AUTO and self._upstream_answers()):
            return self._upstream(versions, arch)
        return _compiled(versions, arch)

    @property
    def _mirrored(self) -> bool:
        named = self._source.mirror is not None
        return self._source.kind is SourceKind.MIRROR or (self._source.kind is SourceKind.AUTO and named)

    def _mirror(self) -> Mirror:
        if self._source.mirror is None:
            raise ArtifactError("artifacts.source is mirror, but no mirror is named", remedy="set artifacts.mirror")
        return Mirror(self._cache, silent, location=self._source.mirror, sha256=self._source.sha256)

    def _upstream_answers(self) -> bool:
        if self._online is None:
            self._online = self._exists(PROBE_URL) is not None
        return self._online

    def _in_mirror(self, versions: Versions, arch: str) -> Availability:
        made = partial(Availability, versions=versions, arch=arch, source=f"mirror {self._source.mirror}")
        try:
            archives, whole = self._mirror().check(versions, arch)
        except ArtifactError as error:
            return made(missing=tuple(_told(error)))
        return made(archives=archives, pulls=not whole)

    def _upstream(self, versions: Versions, arch: str) -> Availability:
        urls = [file.url for file in upstream_files(versions, arch)]
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            found = dict(zip(urls, pool.map(self._exists, urls), strict=True))
        return Availability(
            versions=versions,
            arch=arch,
            source="upstream",
            missing=tuple(f"{url} is not there" for url, there in found.items() if there is False),
            doubtful=tuple(f"{url} does not answer" for url, there in found.items() if there is None),
            pulls=True,
        )


def _held(here: Resolved, versions: Versions, arch: str) -> Availability:
    return Availability(
        versions=versions,
        arch=arch,
        source=here.source,
        files={name: file for (name, _), file in here.files.items()},
        archives={name: archive.file for (name, _), archive in here.archives.items()},
        pulls=not here.archives,
    )


def _compiled(versions: Versions, arch: str) -> Availability:
    made = partial(Availability, versions=versions, arch=arch, source="source")
    try:
        rows = components_of(versions)
    except ArtifactError as error:
        return made(missing=tuple(_told(error)))
    return made(compiles=sum(row.seconds for row in rows))


def _told(error: ArtifactError) -> Iterator[str]:
    yield from error.evidence or (error.cause,)


def _asked(url: str) -> bool | None:
    from kubeforge.artifacts.download import exists  # noqa: PLC0415 - loads the HTTP client

    return exists(url, within=_WITHIN)
