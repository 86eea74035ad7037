"""What our own images contain, and the three archives per Kubernetes version that carry them.

For clusters made of parts compiled from source; upstream's images are pulled by the nodes. How layers and archives are
written is in `oci`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import zstandard

from kubeforge.artifacts import userland as collected
from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import ARCHIVES, image_references
from kubeforge.artifacts.model import ImageArchive, LocalFile, Progress, ProgressEvent, Stage, Versions
from kubeforge.artifacts.oci import Entry, Image, make_image, make_layer, write_archive
from kubeforge.artifacts.userland import Userland, userland

__all__ = ["ImageRecipe", "archive_record", "archives", "find_archives", "recipes"]

_REVISION: Final = "1"
"""Raised when the recipes below change in a way their names do not show."""
_KIND: Final = "archive"
_ENVIRONMENT: Final = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
)
_CONTROL_PLANE: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
_ETCD: Final = ("etcd", "etcdctl", "etcdutl")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """One image before it is made.

    Args:
        layers: names of the layers, lowest first; keys of what `_layers` gives.
        entrypoint: what is run.
        command: default arguments.
        user: numeric user and group; empty: root.
    """

    layers: tuple[str, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    user: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """The `config` of the OCI image configuration."""
        given = {"Cmd": list(self.command), "Entrypoint": list(self.entrypoint), "User": self.user}
        return {"Env": list(_ENVIRONMENT), "WorkingDir": "/"} | {key: value for key, value in given.items() if value}


def recipes() -> dict[str, ImageRecipe]:
    """Return logical name -> recipe."""

    def kubernetes(name: str, *more: str) -> ImageRecipe:
        return ImageRecipe(layers=("base", "kubernetes", *more), entrypoint=(f"/usr/local/bin/{name}",))

    return {
        "kube-apiserver": kubernetes("kube-apiserver"),
        "kube-controller-manager": kubernetes("kube-controller-manager"),
        "kube-scheduler": kubernetes("kube-scheduler"),
        "kube-proxy": kubernetes("kube-proxy", "network"),
        "etcd": ImageRecipe(layers=("base", "etcd"), entrypoint=("/usr/local/bin/etcd",)),
        "coredns": ImageRecipe(layers=("base", "coredns"), entrypoint=("/coredns",)),
        "pause": ImageRecipe(layers=("pause",), entrypoint=("/pause",), user="65535:65535"),
        "flannel": ImageRecipe(layers=("base", "busybox", "network", "flannel"), entrypoint=("/opt/bin/flanneld",)),
        "traefik": ImageRecipe(layers=("base", "traefik"), entrypoint=("/usr/local/bin/traefik",)),
        "busybox": ImageRecipe(layers=("base", "busybox"), entrypoint=(), command=("sh",)),
        "hello": ImageRecipe(layers=("base", "hello"), entrypoint=("/hello",), user="65534:65534"),
    }


def archives(
    cache: Cache, versions: Versions, arch: str, programs: Mapping[str, LocalFile], progress: Progress
) -> dict[str, ImageArchive]:
    """Return the archives for a set of versions, making those that the cache has not.

    Args:
        cache: where they are kept.
        versions: decide the images' tags.
        arch: Go's spelling.
        programs: what was compiled, by name.
        progress: told of packing.
    """
    found = find_archives(cache, versions, arch, programs)
    if found is not None:
        return found
    with cache.lock(f"archives {versions.kubernetes} {arch}"):
        made = find_archives(cache, versions, arch, programs)
        return made or _make(cache, versions, arch, programs, progress)


def find_archives(
    cache: Cache, versions: Versions, arch: str, programs: Mapping[str, LocalFile]
) -> dict[str, ImageArchive] | None:
    """Return the archives if all of them are in the cache, else None."""
    found: dict[str, ImageArchive] = {}
    for name in ARCHIVES:
        recorded = cache.record(_KIND, _key(name, versions, arch, programs))
        files = cache.files(recorded)
        if recorded is None or files is None:
            return None
        found[name] = ImageArchive(file=files["archive"], images=recorded["images"])
    return found


def archive_record(versions: Versions, archive: ImageArchive) -> dict[str, Any]:
    """Return what lies beside an archive in a mirror: of which versions it is, and its images' digests."""
    return {
        "images": dict(archive.images),
        "versions": {name: getattr(versions, name) for name in Versions.__dataclass_fields__},
    }


def _key(archive: str, versions: Versions, arch: str, programs: Mapping[str, LocalFile]) -> str:
    """Return what decides about an archive's bytes, as one digest."""
    references = image_references(versions)
    known = recipes()
    lines = [_REVISION, collected.REVISION, zstandard.__version__, archive, arch]
    for image in ARCHIVES[archive]:
        lines.append(f"{references[image]} {known[image]!r}")
        for layer in known[image].layers:
            lines += [programs[name].sha256 for name in _PROGRAMS.get(layer, {})]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _make(
    cache: Cache, versions: Versions, arch: str, programs: Mapping[str, LocalFile], progress: Progress
) -> dict[str, ImageArchive]:
    """Write all archives and record them."""
    part = f"images {versions.kubernetes} {arch}"
    references = image_references(versions)
    land = userland(cache, arch, progress)
    made: dict[str, Image] = {}
    known = recipes()
    for done, (name, recipe) in enumerate(known.items()):
        progress(ProgressEvent(part=part, stage=Stage.PACK, done=done, total=len(known), text=name))
        layers = [make_layer(cache, layer, _entries(layer, programs, land)) for layer in recipe.layers]
        made[name] = make_image(references[name], arch, layers, recipe.settings)
    found: dict[str, ImageArchive] = {}
    for archive, names in ARCHIVES.items():
        with cache.scratch("archive") as folder:
            path = folder / f"{archive}.tar"
            write_archive(path, [made[name] for name in names])
            file = cache.add(path, part=f"archive {archive}")
        digests = {made[name].reference: made[name].digest for name in names}
        record = {"name": archive, "images": digests, "files": Cache.file_entries({"archive": file})}
        cache.write_record(_KIND, _key(archive, versions, arch, programs), record)
        found[archive] = ImageArchive(file=file, images=digests)
    progress(ProgressEvent(part=part, stage=Stage.PACK, done=len(known), total=len(known), finished=True))
    return found


_PROGRAMS: Final[Mapping[str, Mapping[str, str]]] = {
    "kubernetes": {"kube-apiserver": "/usr/local/bin/kubernetes"},
    "etcd": {"etcd": "/usr/local/bin/etcd"},
    "coredns": {"coredns": "/coredns"},
    "pause": {"pause": "/pause"},
    "flannel": {"flanneld": "/opt/bin/flanneld"},
    "traefik": {"traefik": "/usr/local/bin/traefik"},
    "hello": {"hello": "/hello"},
}
"""Layer -> program -> path in the layer."""

_LINKS: Final[Mapping[str, Mapping[str, str]]] = {
    "kubernetes": {f"/usr/local/bin/{name}": "kubernetes" for name in _CONTROL_PLANE},
    "etcd": {f"/usr/local/bin/{name}": "etcd" for name in _ETCD if name != "etcd"},
}
"""Layer -> path -> what it points at: the programs that look at the name they are called by."""


def _entries(layer: str, programs: Mapping[str, LocalFile], land: Userland) -> Iterable[Entry]:
    """Return what is in a layer."""
    own: Mapping[str, Callable[[], Iterable[Entry]]] = {
        "base": lambda: _base(land),
        "busybox": lambda: _busybox(land),
        "network": lambda: land.network,
    }
    if layer in own:
        return own[layer]()
    files = [Entry(path=path, source=programs[name]) for name, path in _PROGRAMS[layer].items()]
    links = [Entry(path=path, target=target) for path, target in _LINKS.get(layer, {}).items()]
    return [*files, *links]


def _base(land: Userland) -> list[Entry]:
    users = b"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
    return [
        Entry(path="/etc/passwd", data=users, mode=0o644),
        Entry(path="/etc/group", data=b"root:x:0:\nnogroup:x:65534:\n", mode=0o644),
        Entry(path="/etc/nsswitch.conf", data=b"hosts: files dns\n", mode=0o644),
        *land.etc,
        Entry(path="/tmp", mode=0o1777),  # noqa: S108 - a path in the image
        Entry(path="/var/tmp", mode=0o1777),  # noqa: S108 - a path in the image
        Entry(path="/run"),
        Entry(path="/root", mode=0o700),
    ]


def _busybox(land: Userland) -> list[Entry]:
    links = [Entry(path=f"/bin/{name}", target="busybox") for name in land.applets]
    return [Entry(path="/bin/busybox", source=land.busybox), *links]
