"""The content-addressed cache: blobs named by their SHA-256, and records that say what they are.

    blobs/sha256/<digest>      files, read-only, each complete and verified before it got its name
    records/<kind>/<key>.json  named results (a compiled component, an unpacked archive): which blobs they are
    partial/<digest>           downloads under way, resumed by the next run
    locks/<name>               flock files, so that two processes never make the same thing
    tmp/<name>/                scratch folders; one whose maker is dead is removed by the next run

A blob is written elsewhere, synced and renamed, so a half-written one never has a name. Its modification time is set
to a constant when it has been verified: anything written to it later shows, and it is then hashed again. So a warm
look-up costs one stat for each file, however big.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kubeforge.artifacts.model import LocalFile
from kubeforge.errors import ArtifactError

__all__ = ["CACHE_VARIABLE", "Cache", "cache_root", "file_digest"]

CACHE_VARIABLE: Final = "KUBEFORGE_CACHE"
_VERIFIED_NS: Final = 946_684_800_000_000_000
"""Modification time of a verified blob: 2000-01-01."""
_BLOB_MODE: Final = 0o555
"""Readable and executable by all: a mirror's folder shows the same inode under the program's name."""


def cache_root() -> Path:
    """Return the cache folder: KUBEFORGE_CACHE, else the platform's user cache (`~/.cache/kubeforge`)."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path  # noqa: PLC0415 - costs 5 ms, and only the default needs it

    return user_cache_path("kubeforge")


def file_digest(path: Path) -> tuple[str, int]:
    """Return a file's hex SHA-256 and its size in bytes."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return digest, stream.tell()


class Cache:
    """One cache folder. Safe to use by several threads and processes at once.

    Args:
        root: the folder; made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def default() -> Cache:
        """Return the user's cache."""
        return Cache(cache_root())

    # blobs

    def blob_path(self, sha256: str) -> Path:
        """Return where the blob of that digest lies, or would lie."""
        return self.root / "blobs" / "sha256" / sha256

    def blob(self, sha256: str, size: int | None = None) -> LocalFile | None:
        """Return a verified blob, or None where it is missing or damaged; a damaged one is removed.

        Args:
            sha256: hex digest.
            size: bytes it must have, if known.
        """
        path = self.blob_path(sha256)
        try:
            seen = path.lstat()
        except FileNotFoundError:
            return None
        sound = stat.S_ISREG(seen.st_mode) and size in (None, seen.st_size)
        if sound and seen.st_mtime_ns != _VERIFIED_NS:
            sound = file_digest(path)[0] == sha256
            if sound:
                self._seal(path)
        if not sound:
            path.unlink(missing_ok=True)
            return None
        return LocalFile(path=path, sha256=sha256, size=seen.st_size)

    def add(
        self, source: Path, *, sha256: str | None = None, hashed: str | None = None, part: str = "file"
    ) -> LocalFile:
        """Take a file into the cache: hash it, sync it, give it its name.

        Args:
            source: a file below `tmp` or `partial` of this cache; it is moved, so it is gone afterwards.
            sha256: the digest it must have.
            hashed: the digest it has, where whoever wrote it computed that on the way; default: it is read.
            part: what it is, for the error.

        Raises:
            ArtifactError: the digest is another; the source is removed.
        """
        found = hashed or file_digest(source)[0]
        if sha256 is not None and found != sha256:
            source.unlink()
            raise ArtifactError(
                f"its SHA-256 is {found}, expected {sha256}",
                step=f"artifact {part}",
                remedy="the file was damaged or changed on its way; run again, or look at where it comes from",
            )
        with source.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            os.fsync(stream.fileno())
        target = self.blob_path(found)
        existing = self.blob(found, size)
        if existing is not None:
            source.unlink()
            return existing
        target.parent.mkdir(parents=True, exist_ok=True)
        self._seal(source)
        source.replace(target)
        _sync_folder(target.parent)
        return LocalFile(path=target, sha256=found, size=size)

    def add_bytes(self, data: bytes) -> LocalFile:
        """Take bytes into the cache."""
        with self.scratch("bytes") as folder:
            path = folder / "data"
            path.write_bytes(data)
            return self.add(path)

    @staticmethod
    def _seal(path: Path) -> None:
        path.chmod(_BLOB_MODE)
        os.utime(path, ns=(_VERIFIED_NS, _VERIFIED_NS))

    # records

    def record(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return what was recorded under a key, or None (also where the record cannot be read as one)."""
        try:
            found = json.loads((self.root / "records" / kind / f"{key}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write_record(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Write a record atomically."""
        target = self.root / "records" / kind / f"{key}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.write_atomically(target, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")

    def files(self, recorded: Mapping[str, Any] | None) -> dict[str, LocalFile] | None:
        """Return the files of a record (`{"files": {name: [sha256, size]}}`), or None if any is missing."""
        if recorded is None:
            return None
        found: dict[str, LocalFile] = {}
        for name, (sha256, size) in recorded["files"].items():
            blob = self.blob(sha256, size)
            if blob is None:
                return None
            found[name] = blob
        return found

    @staticmethod
    def file_entries(files: Mapping[str, LocalFile]) -> dict[str, list[str | int]]:
        """Return the form in which `files` reads them back."""
        return {name: [file.sha256, file.size] for name, file in files.items()}

    @staticmethod
    def write_atomically(target: Path, data: bytes) -> None:
        """Replace a file's content: written beside it, synced, renamed."""
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with beside.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        _sync_folder(target.parent)

    # locks and scratch

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold an exclusive lock; it ends with its holder, however that ends.

        Args:
            name: what must not be made twice at once; any text.
            waiting: called once if another process or thread holds it.
        """
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / hashlib.sha256(name.encode()).hexdigest()[:32]).open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Give a new folder on the cache's file system; it is removed at the end, or by a later run."""
        parent = self.root / "tmp"
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
        marker = parent / f"{folder.name}.lock"
        with (parent / f"{folder.name}.new").open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            Path(stream.name).rename(marker)  # `sweep` sees it only once it is locked
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                remove_tree(folder)
                marker.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove scratch folders whose makers are dead."""
        for marker in sorted((self.root / "tmp").glob("*.lock")):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), marker.open("ab") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(marker.with_suffix(""))
                marker.unlink()


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, also what is read-only (as Go's module cache is)."""
    for parent, _names, _files in os.walk(folder):
        if not os.access(parent, os.W_OK):
            Path(parent).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=not folder.exists())


def _sync_folder(folder: Path) -> None:
    """Make a rename in that folder last through a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
