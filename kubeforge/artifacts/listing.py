"""The catalogue as rows for people and programs. Says what is in the cache, and fetches nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import NODE_PACKAGES, image_references, upstream_files
from kubeforge.artifacts.components import component
from kubeforge.artifacts.model import Versions
from kubeforge.artifacts.upstream import unpacked
from kubeforge.errors import InputError, Problem
from kubeforge.spec.releases import minor_of, parse, release

__all__ = ["Row", "rows", "versions_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing a cluster needs.

    Args:
        kubernetes: the Kubernetes version it goes with.
        kind: file, image or package.
        name: of the part, image or package.
        version: without v; empty for packages.
        arch: architecture; empty where it does not matter.
        location: official URL or reference; a package's distribution family.
        sha256: known digest; empty: upstream's is pinned when it is first fetched.
        cached: upstream's file lies in the cache.
        source: it can be compiled from source.
    """

    kubernetes: str
    kind: str
    name: str
    version: str
    arch: str = ""
    location: str
    sha256: str = ""
    cached: bool = False
    source: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON and YAML."""
        return asdict(self)


def versions_of(kubernetes: str) -> Versions:
    """Return what goes with a Kubernetes version or minor.

    Raises:
        InputError: it is no version, or kubeforge has no row for that minor.
    """
    try:
        row = release(minor_of(kubernetes))
        patch = kubernetes.removeprefix("v") if len(parse(kubernetes)) > len(parse(row.minor)) else None
    except LookupError as error:
        raise InputError([Problem(message=str(error), field="--kubernetes")]) from None
    except ValueError:
        message = f"{kubernetes} is no version; write 1.36 or 1.36.3"
        raise InputError([Problem(message=message, field="--kubernetes")]) from None
    return Versions.of(row, patch)


def rows(wanted: Sequence[str], arches: Collection[str], cache: Cache) -> Iterator[Row]:
    """Yield every file, image and package.

    Args:
        wanted: Kubernetes versions or minors.
        arches: architectures.
        cache: asked for what it holds.
    """
    for kubernetes in wanted:
        versions = versions_of(kubernetes)
        for arch in arches:
            for file in upstream_files(versions, arch):
                pinned = component(file.part.component.replace("_", "-"), getattr(versions, file.part.component))
                yield Row(
                    kubernetes=versions.kubernetes,
                    kind="file",
                    name=file.part.name,
                    version=file.version,
                    arch=arch,
                    location=file.url,
                    sha256=file.sha256 or "",
                    cached=file.sha256 is not None and unpacked(cache, file, file.sha256) is not None,
                    source=pinned is not None,
                )
        for name, reference in image_references(versions).items():
            version = reference.rpartition(":")[2]
            yield Row(kubernetes=versions.kubernetes, kind="image", name=name, version=version, location=reference)
    for family, packages in NODE_PACKAGES.items():
        for package in packages:
            yield Row(kubernetes="", kind="package", name=package, version="", location=family)
