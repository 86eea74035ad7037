"""The values of the artifacts package: what is asked for, what comes back, how progress is told. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubeforge.spec.releases import Release

__all__ = [
    "ARCHES",
    "Download",
    "ImageArchive",
    "LocalFile",
    "Progress",
    "ProgressEvent",
    "Resolved",
    "SourceChoice",
    "SourceKind",
    "Stage",
    "Versions",
    "silent",
]

ARCHES = ("amd64", "arm64")
"""Architectures in Go's and upstream's spelling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One file to fetch.

    Args:
        part: what it is, for progress and errors.
        url: where it is.
        sha256: the hex digest it must have.
    """

    part: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A verified file in the cache, never modified.

    Args:
        path: where it lies.
        sha256: its hex digest.
        size: bytes.
    """

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageArchive:
    """An OCI archive that `ctr -n k8s.io images import` takes.

    Args:
        file: the archive.
        images: full reference -> manifest digest (`sha256:…`), as `ctr images ls` shows them after the import.
    """

    file: LocalFile
    images: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """One version of each component, all without `v`."""

    kubernetes: str
    etcd: str
    containerd: str
    runc: str
    cni_plugins: str
    flannel: str
    coredns: str
    traefik: str
    pause: str

    @staticmethod
    def of(release: Release, kubernetes: str | None = None) -> Versions:
        """Return what goes with a Kubernetes minor.

        Args:
            release: the minor's row.
            kubernetes: a patch of that minor; default: the row's.
        """
        return Versions(
            kubernetes=kubernetes or release.kubernetes,
            etcd=release.etcd,
            containerd=release.containerd,
            runc=release.runc,
            cni_plugins=release.cni_plugins,
            flannel=release.flannel,
            coredns=release.coredns,
            traefik=release.traefik,
            pause=release.pause,
        )


class SourceKind(StrEnum):
    """Where parts come from."""

    AUTO = "auto"
    MIRROR = "mirror"
    UPSTREAM = "upstream"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChoice:
    """What the user wants of sources.

    Args:
        kind: auto: the mirror if one is named, else what the cache already holds completely, else upstream if it
            answers, else compiled from source.
        mirror: directory or URL, laid out as `catalogue.mirror_path` says.
        sha256: hex digest of the mirror's SHA256SUMS.
        lock: file that keeps digests fetched from upstream, `artifacts.lock` beside cluster.yml; None: upstream
            files without a digest in the catalogue are refused.
    """

    kind: SourceKind = SourceKind.AUTO
    mirror: str | None = None
    sha256: str | None = None
    lock: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Everything nodes need, on this machine.

    Args:
        files: (name, architecture) -> file; names: kubelet, kubeadm, kubectl, etcd, etcdctl, etcdutl, containerd,
            containerd-shim-runc-v2, ctr, runc, cni/bridge, cni/flannel and the other plugins. Several names may be
            the same file (a program that looks at the name it is called by).
        archives: (`control-plane`, `node` or `addons`, architecture) -> archive. Empty where nodes pull by
            reference.
        images: logical name (`kube-apiserver`) -> full reference.
        source: `mirror …`, `upstream` or `source`.
    """

    files: Mapping[tuple[str, str], LocalFile]
    archives: Mapping[tuple[str, str], ImageArchive] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    source: str


class Stage(StrEnum):
    """What is being done to a part."""

    WAIT = "wait"
    DOWNLOAD = "download"
    UNPACK = "unpack"
    COMPILE = "compile"
    PACK = "pack"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """One thing to show.

    Args:
        part: what it is about, e.g. `kubelet amd64`.
        stage: what is done to it; NOTE: `text` is a sentence for the user.
        done: bytes (or packages, when compiling) so far.
        total: of how many; None: not known.
        remaining: seconds, estimated; None: not known.
        finished: True on the part's last event.
        text: more to say.
    """

    part: str
    stage: Stage
    done: int = 0
    total: int | None = None
    remaining: float | None = None
    finished: bool = False
    text: str = ""


Progress = Callable[[ProgressEvent], None]
"""Told of every step; called from several threads."""


def silent(_event: ProgressEvent) -> None:
    """Show nothing."""
