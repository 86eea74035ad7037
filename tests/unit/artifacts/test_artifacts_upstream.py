"""Upstream's files: digests known, pinned or refused; archives unpacked once."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import pytest

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import FILES, UpstreamFile, upstream_files
from kubeforge.artifacts.download import Downloader
from kubeforge.artifacts.listing import versions_of
from kubeforge.artifacts.model import LocalFile, Progress, silent
from kubeforge.artifacts.upstream import LockFile, Upstream, published_digest, unpack, unpacked
from kubeforge.errors import ArtifactError

VERSIONS = versions_of("1.37")
"""A minor of which the catalogue knows no digest of Kubernetes' own files."""


def packed(file: UpstreamFile) -> bytes:
    """What upstream's server would give."""
    if not file.members:
        return f"upstream {file.part.name}".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in file.members.items():
            content = f"upstream {name}".encode()
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


class Site:
    """Stands for upstream: serves every file and its digest, and notes what is asked."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.asked: list[str] = []
        self.files = {file.url: file for file in upstream_files(VERSIONS, "amd64")}
        self.changed: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def text(self, url: str, part: str) -> str:
        self.asked.append(url)
        lines = [
            f"{hashlib.sha256(packed(file)).hexdigest()}  {file.url.rpartition('/')[2]}"
            for file in self.files.values()
            if file.published == url
        ]
        return "\n".join(lines)

    def fetch(self, wanted: list[object]) -> dict[str, LocalFile]:
        found = {}
        for download in wanted:
            url, sha256 = download.url, download.sha256  # type: ignore[attr-defined]  # a Download
            self.asked.append(url)
            data = packed(self.files[url]) + (b"!" if url in self.changed else b"")
            with self.cache.scratch("site") as folder:
                (folder / "file").write_bytes(data)
                found[sha256] = self.cache.add(folder / "file", sha256=sha256, part=url)
        return found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("kubeforge.artifacts.catalogue.known_digest", lambda *_args: None)
    made = Site(Cache(tmp_path / "cache"))
    made.files = {file.url: file for file in upstream_files(VERSIONS, "amd64")}
    return made


def upstream(site: Site, lock: Path | None) -> Upstream:
    connect = cast("Callable[[Cache, Progress], Downloader]", lambda _cache, _progress: site)
    return Upstream(site.cache, silent, LockFile(lock), connect)


def test_all_files_come_and_their_digests_are_pinned(site: Site, tmp_path: Path) -> None:
    lock = tmp_path / "artifacts.lock"
    assert upstream(site, lock).find(VERSIONS, "amd64") is None
    found = upstream(site, lock).obtain(VERSIONS, "amd64")
    assert {name: file.path.read_bytes() for name, file in found.items()} == {
        name: f"upstream {name}".encode() for name in FILES
    }
    assert set(LockFile(lock).read()) == set(site.files)
    assert lock.read_text().startswith("# Digests of upstream files")
    site.asked.clear()
    assert upstream(site, lock).find(VERSIONS, "amd64") == found
    assert upstream(site, lock).obtain(VERSIONS, "amd64") == found
    assert site.asked == []


def test_a_pinned_digest_is_not_asked_for_again_and_wins(site: Site, tmp_path: Path) -> None:
    lock = tmp_path / "artifacts.lock"
    url = next(url for url in site.files if url.endswith("/kubelet"))
    LockFile(lock).add({url: "0" * 64})
    with pytest.raises(ArtifactError, match="expected " + "0" * 64):
        upstream(site, lock).obtain(VERSIONS, "amd64")
    assert f"{url}.sha256" not in site.asked


def test_a_pin_is_never_replaced(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "artifacts.lock")
    lock.add({"u": "1" * 64})
    lock.add({"u": "2" * 64, "v": "3" * 64})
    assert lock.read() == {"u": "1" * 64, "v": "3" * 64}


def test_without_a_lock_file_an_unknown_digest_is_refused(site: Site) -> None:
    with pytest.raises(ArtifactError, match=r"no digest for https://dl\.k8s\.io") as caught:
        upstream(site, None).obtain(VERSIONS, "amd64")
    assert "artifacts.lock" in str(caught.value)


@pytest.mark.parametrize("text", ["- a list\n", "url: short\n", "{"])
def test_a_damaged_lock_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "artifacts.lock").write_text(text)
    with pytest.raises(ArtifactError, match=r"artifacts\.lock cannot be read"):
        LockFile(tmp_path / "artifacts.lock").read()


def file_named(name: str) -> UpstreamFile:
    return next(file for file in upstream_files(VERSIONS, "amd64") if file.part.name == name)


def test_published_digests_in_all_their_forms() -> None:
    digest = "a" * 64
    runc = file_named("runc")
    assert published_digest(f"{digest}\n", runc) == digest
    assert published_digest(f"{'b' * 64}  runc.arm64\n{digest} *./dist/runc.amd64\n", runc) == digest
    for text in ("", "<html>", f"{digest}  runc.arm64\n"):
        with pytest.raises(ArtifactError, match=r"no SHA-256 for runc\.amd64"):
            published_digest(text, runc)


def test_an_archive_without_a_member_is_an_error(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    file = file_named("containerd-static")
    with pytest.raises(ArtifactError, match="does not contain containerd-shim-runc-v2, ctr"):
        unpack(cache, file, cache.add_bytes(packed_only(file, "containerd")), silent)
    assert unpacked(cache, file, "0" * 64) is None
    with pytest.raises(ArtifactError, match="is no archive"):
        unpack(cache, file, cache.add_bytes(b"<html>"), silent)


def packed_only(file: UpstreamFile, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(file.members[name]), io.BytesIO())
    return buffer.getvalue()
