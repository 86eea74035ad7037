"""Upstream's own releases: fetched, verified, unpacked into the cache. Nodes pull upstream's images by themselves.

The digest comes from the catalogue. Where that has none, the one upstream publishes beside the file is fetched over
TLS once and pinned in the user's `artifacts.lock`; from then on the file must have it.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import UpstreamFile, upstream_files
from kubeforge.artifacts.model import Download, LocalFile, Progress, ProgressEvent, Stage, Versions
from kubeforge.documents import load
from kubeforge.errors import ArtifactError

if TYPE_CHECKING:
    from kubeforge.artifacts.download import Downloader

__all__ = ["PROBE_URL", "LockFile", "Upstream", "connect", "published_digest", "unpack", "unpacked"]

PROBE_URL: Final = "https://dl.k8s.io/release/stable.txt"
"""What is asked to learn whether upstream can be reached."""
_KIND: Final = "unpacked"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_HEADER: Final = """\
# Digests of upstream files that kubeforge's catalogue does not know, as upstream published them when this cluster
# first asked. Keep this file beside cluster.yml, under version control: a file that differs from it is refused.
"""


def connect(cache: Cache, progress: Progress) -> Downloader:
    """Return a downloader. The HTTP client costs 0.1 s to import, and a warm cache needs none."""
    from kubeforge.artifacts.download import Downloader  # noqa: PLC0415 - see above

    return Downloader(cache, progress)


class LockFile:
    """URL -> hex digest, kept in YAML.

    Args:
        path: None: nothing is pinned and nothing can be.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def read(self) -> dict[str, str]:
        """Return what is pinned.

        Raises:
            ArtifactError: the file is not a mapping of URLs to digests.
        """
        if self.path is None or not self.path.exists():
            return {}
        try:
            loaded = load(self.path.read_bytes()) or {}
        except yaml.YAMLError as error:
            raise self._damaged(str(error)) from None
        if not isinstance(loaded, dict) or not all(_DIGEST.fullmatch(str(value)) for value in loaded.values()):
            raise self._damaged("it must map URLs to SHA-256 digests")
        return {str(url): str(digest) for url, digest in loaded.items()}

    def add(self, pinned: Mapping[str, str]) -> None:
        """Pin more; what is pinned already stays as it is."""
        if self.path is not None and pinned:
            content = {**pinned, **self.read()}
            text = _HEADER + yaml.safe_dump(content, sort_keys=True, width=1000)
            Cache.write_atomically(self.path, text.encode())

    def _damaged(self, why: str) -> ArtifactError:
        return ArtifactError(
            f"{self.path} cannot be read: {why}", step="artifacts", remedy="restore it, or delete it to pin anew"
        )


class Upstream:
    """Upstream as a source.

    Args:
        cache: where files end up.
        progress: told of downloads.
        lock: pinned digests.
        connect: makes the downloader; for tests.
    """

    def __init__(
        self,
        cache: Cache,
        progress: Progress,
        lock: LockFile,
        connect: Callable[[Cache, Progress], Downloader] = connect,
    ) -> None:
        self._cache = cache
        self._progress = progress
        self._lock = lock
        self._connect = connect

    def find(self, versions: Versions, arch: str) -> dict[str, LocalFile] | None:
        """Return all files by name if the cache has them, else None. Touches no network."""
        pinned = self._lock.read()
        found: dict[str, LocalFile] = {}
        for file in upstream_files(versions, arch):
            digest = file.sha256 or pinned.get(file.url)
            files = unpacked(self._cache, file, digest) if digest else None
            if files is None:
                return None
            found |= files
        return found

    def obtain(self, versions: Versions, arch: str) -> dict[str, LocalFile]:
        """Return all files by name, fetching those that are missing.

        Raises:
            ArtifactError: a file or its digest cannot be had, or it is not what its digest says.
        """
        wanted = list(upstream_files(versions, arch))
        with self._connect(self._cache, self._progress) as downloader:
            digests = self._digests(wanted, downloader)
            missing = [file for file in wanted if unpacked(self._cache, file, digests[file.url]) is None]
            fetched = downloader.fetch(
                Download(part=file.label, url=file.url, sha256=digests[file.url]) for file in missing
            )
        for file in missing:
            digest = digests[file.url]
            with self._cache.lock(f"unpack {digest}"):
                if unpacked(self._cache, file, digest) is None:
                    unpack(self._cache, file, fetched[digest], self._progress)
        found: dict[str, LocalFile] = {}
        for file in wanted:
            found |= unpacked(self._cache, file, digests[file.url]) or {}
        return found

    def _digests(self, wanted: Iterable[UpstreamFile], downloader: Downloader) -> dict[str, str]:
        """Return URL -> digest: known, pinned, or published now and then pinned."""
        pinned = self._lock.read()
        found: dict[str, str] = {}
        fresh: dict[str, str] = {}
        for file in wanted:
            digest = file.sha256 or pinned.get(file.url)
            if digest is None:
                if self._lock.path is None:
                    raise ArtifactError(
                        f"the catalogue has no digest for {file.url}",
                        step=f"artifact {file.label}",
                        remedy="run with an inventory, so that the digest can be pinned in its artifacts.lock",
                    )
                text = downloader.text(file.published, file.label)
                digest = fresh[file.url] = published_digest(text, file)
                note = f"digest of {file.label} pinned in {self._lock.path}"
                self._progress(ProgressEvent(part=file.label, stage=Stage.NOTE, text=note))
            found[file.url] = digest
        self._lock.add(fresh)
        return found


def published_digest(text: str, file: UpstreamFile) -> str:
    """Return a file's digest out of what upstream publishes: a digest alone, or lines of sha256sum.

    Raises:
        ArtifactError: the file is not in it.
    """
    name = file.url.rpartition("/")[2]
    for line in text.splitlines():
        words = line.split()
        if not words or not _DIGEST.fullmatch(words[0]):
            continue
        if len(words) == 1 or words[1].lstrip("*").rpartition("/")[2] == name:
            return words[0]
    raise ArtifactError(
        f"{file.published} has no SHA-256 for {name}",
        step=f"artifact {file.label}",
        remedy="that version may not exist; see `kubeforge artifacts list`, or name another version",
    )


def unpacked(cache: Cache, file: UpstreamFile, digest: str) -> dict[str, LocalFile] | None:
    """Return the files of a release by name if the cache has them: itself, or the members of its archive."""
    if not file.members:
        blob = cache.blob(digest)
        return None if blob is None else {file.part.name: blob}
    files = cache.files(cache.record(_KIND, digest))
    return files if files is not None and files.keys() >= file.members.keys() else None


def unpack(cache: Cache, file: UpstreamFile, fetched: LocalFile, progress: Progress) -> None:
    """Take the members that are wanted out of a verified archive; the archive itself is not kept.

    Raises:
        ArtifactError: a member is missing, or it is no archive.
    """
    if not file.members:
        return
    progress(ProgressEvent(part=file.label, stage=Stage.UNPACK))
    found: dict[str, LocalFile] = {}
    names = {path: name for name, path in file.members.items()}
    with cache.scratch("unpack") as folder:
        try:
            with tarfile.open(fetched.path, "r:*") as archive:
                for member in archive:
                    name = names.get(member.name.removeprefix("./"))
                    content = archive.extractfile(member) if name is not None and member.isfile() else None
                    if name is not None and content is not None:
                        with (folder / "member").open("wb") as stream:
                            shutil.copyfileobj(content, stream, 1 << 20)
                        found[name] = cache.add(folder / "member", part=name)
        except tarfile.TarError as error:
            raise ArtifactError(f"{file.url} is no archive: {error}", step=f"artifact {file.label}") from None
    missing = sorted(file.members.keys() - found.keys())
    if missing:
        raise ArtifactError(
            f"{file.url} does not contain {', '.join(missing)}",
            step=f"artifact {file.label}",
            remedy="upstream changed what it ships; please report it",
        )
    cache.write_record(_KIND, fetched.sha256, {"url": file.url, "files": Cache.file_entries(found)})
    fetched.path.unlink(missing_ok=True)
    progress(ProgressEvent(part=file.label, stage=Stage.UNPACK, finished=True))
