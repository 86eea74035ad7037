"""OCI layers, images and archives out of local files, without a registry; the same input gives the same bytes.

Layers are tar in zstd, with sorted entries, owner root and time 0. Several images of an archive share a layer that is
in both. What the images contain is in `images`.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import zstandard

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.model import LocalFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Entry", "Image", "Layer", "make_image", "make_layer", "write_archive"]

_LEVEL: Final = 9
"""37 MB of 156 in 1.6 s on two cores; 3 gives 40 in 0.4 s, 12 gives 36 in 3.2 s."""
_THREADS: Final = 2
"""Any number but 0 gives the same bytes."""
_CREATED: Final = "1970-01-01T00:00:00Z"
_CHUNK: Final = 1 << 20
_KIND: Final = "layer"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path in a layer; exactly one of `source`, `data`, `target` is given, or none for a directory.

    Args:
        path: absolute.
        mode: permissions; not for links.
        source: a file to copy.
        data: bytes to write.
        target: where a symbolic link points.
    """

    path: str
    mode: int = 0o755
    source: LocalFile | None = None
    data: bytes | None = None
    target: str | None = None

    @property
    def identity(self) -> str:
        """What decides about its bytes in the layer."""
        content = hashlib.sha256(self.data).hexdigest() if self.data is not None else None
        digest = self.source.sha256 if self.source is not None else content
        return f"{self.path} {self.mode:o} {digest} {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A compressed layer in the cache.

    Args:
        name: for the image's history.
        file: tar in zstd.
        diff_id: hex SHA-256 of the tar.
    """

    name: str
    file: LocalFile
    diff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image for one architecture.

    Args:
        reference: full name with tag.
        arch: Go's spelling.
        manifest: its bytes.
        config: its bytes.
        layers: lowest first.
    """

    reference: str
    arch: str
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The manifest's digest, `sha256:…`."""
        return _digest(self.manifest)


def make_layer(cache: Cache, name: str, entries: Iterable[Entry]) -> Layer:
    """Return the layer of these entries, compressed once and then found again.

    Args:
        cache: where it is kept.
        name: for the image's history.
        entries: in any order; parent directories are added.
    """
    listed = sorted(_with_parents(entries), key=lambda entry: entry.path)
    identity = "\n".join([zstandard.__version__, str(_LEVEL), *(entry.identity for entry in listed)])
    key = hashlib.sha256(identity.encode()).hexdigest()[:32]
    recorded = cache.record(_KIND, key)
    files = cache.files(recorded)
    if recorded is not None and files is not None:
        return Layer(name=name, file=files["layer"], diff_id=recorded["diff_id"])
    with cache.scratch("layer") as folder:
        path = folder / "layer"
        diff_id = _write_layer(path, listed)
        file = cache.add(path, part=f"layer {name}")
    cache.write_record(_KIND, key, {"name": name, "diff_id": diff_id, "files": Cache.file_entries({"layer": file})})
    return Layer(name=name, file=file, diff_id=diff_id)


def make_image(reference: str, arch: str, layers: Sequence[Layer], settings: Mapping[str, Any]) -> Image:
    """Return an image.

    Args:
        reference: full name with tag.
        arch: Go's spelling.
        layers: lowest first.
        settings: of the OCI image configuration's `config` (Entrypoint, Cmd, Env, User, WorkingDir).
    """
    config = _json(
        {
            "architecture": arch,
            "config": dict(settings),
            "created": _CREATED,
            "history": [{"created": _CREATED, "created_by": f"kubeforge: {layer.name}"} for layer in layers],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in layers]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                    "digest": f"sha256:{layer.file.sha256}",
                    "size": layer.file.size,
                }
                for layer in layers
            ],
        }
    )
    return Image(reference=reference, arch=arch, manifest=manifest, config=config, layers=tuple(layers))


def write_archive(path: Path, images: Sequence[Image]) -> None:
    """Write an OCI image layout as an uncompressed tar (its layers are compressed already)."""
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                _descriptor(_MANIFEST, image.manifest)
                | {
                    "platform": {"architecture": image.arch, "os": "linux"},
                    "annotations": {
                        "io.containerd.image.name": image.reference,
                        "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
                    },
                }
                for image in sorted(images, key=lambda image: image.reference)
            ],
        }
    )
    blobs: dict[str, bytes | LocalFile] = {}
    for image in images:
        blobs |= {_digest(data): data for data in (image.manifest, image.config)}
        blobs |= {f"sha256:{layer.file.sha256}": layer.file for layer in image.layers}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        _put(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _put(archive, "index.json", index)
        for digest, content in sorted(blobs.items()):
            _put(archive, f"blobs/{digest.replace(':', '/')}", content)


def _put(archive: tarfile.TarFile, name: str, content: bytes | LocalFile) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if isinstance(content, bytes):
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    else:
        info.size = content.size
        with content.path.open("rb") as stream:
            archive.addfile(info, stream)


def _write_layer(path: Path, entries: Iterable[Entry]) -> str:
    """Write tar in zstd; returns the tar's hex SHA-256."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=_THREADS)
    with path.open("wb") as stream, compressor.stream_writer(stream) as packed:
        tee = _Tee(packed)
        with tarfile.open(fileobj=tee, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=_CHUNK) as archive:
            for entry in entries:
                _add(archive, entry)
        return tee.digest.hexdigest()


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.lstrip("/"))
    info.mode = entry.mode
    if entry.target is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        archive.addfile(info)
    elif entry.source is not None:
        info.size = entry.source.size
        with entry.source.path.open("rb") as stream:
            archive.addfile(info, stream)
    elif entry.data is not None:
        info.size = len(entry.data)
        archive.addfile(info, io.BytesIO(entry.data))
    else:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """Add every directory that is missing; a path given twice is an error of whoever lists the layer."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in found:
            raise ValueError(f"{entry.path} is in the layer twice")
        found[entry.path] = entry
    for path in list(found):
        parent = path.rpartition("/")[0]
        while parent:
            found.setdefault(parent, Entry(path=parent))
            parent = parent.rpartition("/")[0]
    return list(found.values())


class _Tee(io.RawIOBase):
    """A file that hashes what it passes on."""

    def __init__(self, target: IO[bytes]) -> None:
        super().__init__()
        self.digest = hashlib.sha256()
        self._target = target

    def write(self, data: Buffer) -> int:
        self.digest.update(data)
        return self._target.write(data)


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
