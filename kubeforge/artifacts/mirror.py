"""A mirror: a folder or URL with files laid out like upstream's, and SHA256SUMS, which the spec pins by its digest.

Reads one as a source of parts, and writes one out of the cache. The layout's rule is in `catalogue`; `serve` offers a
mirror over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

from kubeforge.artifacts.cache import Cache, file_digest
from kubeforge.artifacts.catalogue import (
    ARCHIVES,
    UpstreamFile,
    archive_path,
    mirror_path,
    plain_path,
    upstream_files,
)
from kubeforge.artifacts.images import archive_record
from kubeforge.artifacts.model import Download, ImageArchive, LocalFile, Progress, Versions
from kubeforge.artifacts.upstream import connect, unpack, unpacked
from kubeforge.errors import ArtifactError
from kubeforge.spec.releases import parse

if TYPE_CHECKING:
    from kubeforge.artifacts.download import Downloader

__all__ = ["SUMS", "Mirror", "parse_sums", "write_mirror"]

SUMS: Final = "SHA256SUMS"
_KUBELET: Final = re.compile(r"dl\.k8s\.io/release/v(\d+\.\d+\.\d+)/bin/linux/[^/]+/kubelet$")
_STEP: Final = "artifacts mirror"
_SHOWN: Final = 8
"""Missing paths that an error lists."""


class Mirror:
    """A mirror as a source.

    Args:
        cache: where files end up.
        progress: told of downloads.
        location: directory, or http(s) or file URL.
        sha256: hex digest that its SHA256SUMS must have.
        connect: makes the downloader; for tests.
    """

    def __init__(
        self,
        cache: Cache,
        progress: Progress,
        *,
        location: str,
        sha256: str | None,
        connect: Callable[[Cache, Progress], Downloader] = connect,
    ) -> None:
        self._cache = cache
        self._progress = progress
        self._location = location.rstrip("/")
        self._sha256 = sha256
        self._connect = connect

    def obtain(self, versions: Versions, arch: str) -> tuple[dict[str, LocalFile], dict[str, ImageArchive]]:
        """Return files by name, and image archives by name (none where the mirror has none).

        Raises:
            ArtifactError: not pinned, not as pinned, or it lacks something.
        """
        sums = self._sums()
        plan = _plan(sums, versions, arch, self._location)
        with self._connect(self._cache, self._progress) as downloader:
            blobs = self._fetch({path: sums[path] for path in plan.paths()}, downloader)
        found = {name: blobs[path] for name, path in plan.plain.items()}
        for file in plan.packed:
            path = mirror_path(file.url)
            with self._cache.lock(f"unpack {sums[path]}"):
                if unpacked(self._cache, file, sums[path]) is None:
                    unpack(self._cache, file, blobs[path], self._progress)
            found |= unpacked(self._cache, file, sums[path]) or {}
        archives = {
            name: _archive(blobs[path], blobs[_beside(path)], versions, self._location)
            for name, path in plan.archives.items()
        }
        return found, archives

    def kubernetes(self) -> tuple[str, ...]:
        """Return the versions of Kubernetes that it has kubelets of, the oldest first.

        Raises:
            ArtifactError: not pinned, not as pinned, or not to be read.
        """
        found = {match.group(1) for path in self._sums() if (match := _KUBELET.match(path))}
        return tuple(sorted(found, key=parse))

    def check(self, versions: Versions, arch: str) -> tuple[Mapping[str, LocalFile], bool]:
        """Look whether it lists everything, and fetch nothing but its list.

        Returns:
            Name -> file, of image archives that the cache has already; and whether it has archives at all.

        Raises:
            ArtifactError: not pinned, not as pinned, or it lacks something.
        """
        sums = self._sums()
        archives = _plan(sums, versions, arch, self._location).archives
        blobs = {name: self._cache.blob(sums[path]) for name, path in archives.items()}
        return {name: blob for name, blob in blobs.items() if blob is not None}, bool(archives)

    def _sums(self) -> dict[str, str]:
        """Return path -> digest, out of a SHA256SUMS that is the pinned one."""
        if self._sha256 is None:
            raise ArtifactError(
                f"the mirror {self._location} is not pinned",
                step=_STEP,
                remedy=f"set artifacts.sha256 to the SHA-256 of its {SUMS} (`sha256sum {SUMS}`; `kubeforge artifacts "
                "build` prints it)",
            )
        blob = self._cache.blob(self._sha256)
        if blob is None:
            with self._connect(self._cache, self._progress) as downloader:
                blob = self._fetch({SUMS: self._sha256}, downloader)[SUMS]
        return parse_sums(blob.path.read_text(), self._location)

    def _fetch(self, wanted: Mapping[str, str], downloader: Downloader) -> dict[str, LocalFile]:
        """Return path -> file for path -> digest."""
        folder = _folder(self._location)
        if folder is not None:
            return {path: self._copy(folder / path, digest) for path, digest in wanted.items()}
        fetched = downloader.fetch(
            Download(part=path.rpartition("/")[2], url=f"{self._location}/{quote(path)}", sha256=digest)
            for path, digest in wanted.items()
        )
        return {path: fetched[digest] for path, digest in wanted.items()}

    def _copy(self, source: Path, digest: str) -> LocalFile:
        existing = self._cache.blob(digest)
        if existing is not None:
            return existing
        with self._cache.scratch("copy") as scratch:
            try:
                shutil.copyfile(source, scratch / "file")
            except OSError as error:
                raise ArtifactError(
                    f"cannot read {source}: {error.strerror}",
                    step=_STEP,
                    remedy="is artifacts.mirror the right folder?",
                ) from None
            return self._cache.add(scratch / "file", sha256=digest, part=str(source))


class _Plan:
    """Which paths of a mirror are needed."""

    def __init__(self) -> None:
        self.plain: dict[str, str] = {}
        self.packed: list[UpstreamFile] = []
        self.archives: dict[str, str] = {}

    def paths(self) -> Iterable[str]:
        """Yield every path to fetch."""
        yield from self.plain.values()
        yield from (mirror_path(file.url) for file in self.packed)
        for path in self.archives.values():
            yield from (path, _beside(path))


def _plan(sums: Mapping[str, str], versions: Versions, arch: str, location: str) -> _Plan:
    """Choose paths: a plain file before one in an archive; image archives where the mirror has all three."""
    plan = _Plan()
    missing: list[str] = []
    for file in upstream_files(versions, arch):
        names = file.members or {file.part.name: ""}
        plain = {name: plain_path(file, name) for name in names}
        if all(path in sums for path in plain.values()):
            plan.plain |= plain
        elif file.members and mirror_path(file.url) in sums:
            plan.packed.append(file)
        else:
            missing.append(mirror_path(file.url))
    if missing:
        raise ArtifactError(
            f"the mirror {location} lacks {len(missing)} files for Kubernetes {versions.kubernetes} {arch}",
            step=_STEP,
            evidence=missing[:_SHOWN],
            remedy=f"add them and their lines in {SUMS}, or make a mirror with `kubeforge artifacts build`",
        )
    archives = {name: archive_path(versions, arch, name) for name in ARCHIVES}
    if all(path in sums and _beside(path) in sums for path in archives.values()):
        plan.archives = archives
    return plan


def _archive(archive: LocalFile, record: LocalFile, versions: Versions, location: str) -> ImageArchive:
    """Read what lies beside an image archive, and refuse one of other versions."""
    content: dict[str, Any] = json.loads(record.path.read_bytes())
    found = ImageArchive(file=archive, images=content["images"])
    wanted = archive_record(versions, found)["versions"]
    if content["versions"] != wanted:
        raise ArtifactError(
            f"the image archives of {location} are of other versions",
            step=_STEP,
            evidence=[
                f"{name}: there {content['versions'].get(name)}, wanted {version}"
                for name, version in wanted.items()
                if content["versions"].get(name) != version
            ],
            remedy="make the mirror anew with `kubeforge artifacts build`",
        )
    return found


def write_mirror(
    cache: Cache,
    folder: Path,
    *,
    versions: Versions,
    arch: str,
    files: Mapping[str, LocalFile],
    archives: Mapping[str, ImageArchive],
) -> str:
    """Lay parts out as a mirror, beside what is there already.

    Args:
        cache: the files are links to its blobs where the file system allows, else copies.
        folder: the mirror.
        versions: decide the paths.
        arch: Go's spelling.
        files: by name, as `Resolved.files` has them; names that upstream does not ship as files are left out.
        archives: by name.

    Returns:
        Hex SHA-256 of SHA256SUMS, to be set as artifacts.sha256.
    """
    placed: dict[str, LocalFile] = {}
    for file in upstream_files(versions, arch):
        for name in file.members or {file.part.name: ""}:
            if name in files:
                placed[plain_path(file, name)] = files[name]
    for name, archive in archives.items():
        path = archive_path(versions, arch, name)
        record = json.dumps(archive_record(versions, archive), indent=1, sort_keys=True).encode() + b"\n"
        placed |= {path: archive.file, _beside(path): cache.add_bytes(record)}
    with cache.lock(f"mirror {folder.resolve()}"):
        for path, blob in placed.items():
            _place(blob, folder / path)
        sums = folder / SUMS
        known = parse_sums(sums.read_text(), str(folder)) if sums.exists() else {}
        kept = {path: digest for path, digest in known.items() if (folder / path).is_file()}
        kept |= {path: blob.sha256 for path, blob in placed.items()}
        text = "".join(f"{digest}  {path}\n" for path, digest in sorted(kept.items()))
        Cache.write_atomically(sums, text.encode())
    return file_digest(sums)[0]


def _place(blob: LocalFile, target: Path) -> None:
    """Link or copy a blob to its path, in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(blob.path):
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        try:
            os.link(blob.path, beside)
        except OSError:  # another file system
            shutil.copy2(blob.path, beside)
        beside.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def parse_sums(text: str, location: str) -> dict[str, str]:
    """Return path -> hex digest of a sha256sum list.

    Raises:
        ArtifactError: a line is none of sha256sum's, or a path leaves the mirror.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, _, path = line.partition("  ")
        clean = path.removeprefix("*").removeprefix("./")
        if len(digest) != 64 or not clean or clean.startswith("/") or ".." in clean.split("/"):
            raise ArtifactError(
                f"line {number} of {SUMS} in {location} is not `<digest>  <path>`",
                step=_STEP,
                remedy=f"make it with `find * -type f ! -name {SUMS} | sort | xargs sha256sum > {SUMS}`",
            )
        found[clean] = digest
    return found


def _folder(location: str) -> Path | None:
    """Return the folder that a location names, None for a URL over a network."""
    parts = urlsplit(location)
    if parts.scheme in {"http", "https"}:
        return None
    return Path(unquote(parts.path)) if parts.scheme == "file" else Path(location).expanduser()


def _beside(path: str) -> str:
    return path.removesuffix(".tar") + ".json"
