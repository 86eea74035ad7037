"""A mirror is believed only if its list is the pinned one; what is written can be read again."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import FILES, archive_path, mirror_path, upstream_files
from kubeforge.artifacts.images import archive_record
from kubeforge.artifacts.listing import versions_of
from kubeforge.artifacts.mirror import SUMS, Mirror, parse_sums, write_mirror
from kubeforge.artifacts.model import ImageArchive, LocalFile, silent
from kubeforge.artifacts.serve import server
from kubeforge.errors import ArtifactError

VERSIONS = versions_of("1.36.3")


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, str]:
    """A mirror of small files, and the digest of its list."""
    cache = Cache(tmp_path / "maker")
    files = {name: cache.add_bytes(f"file {name}".encode()) for name in FILES}
    kinds = ("control-plane", "node", "addons")
    images = {
        name: ImageArchive(file=cache.add_bytes(name.encode()), images={f"h/{name}:1": "sha256:1"}) for name in kinds
    }
    folder = tmp_path / "mirror"
    return folder, write_mirror(cache, folder, versions=VERSIONS, arch="amd64", files=files, archives=images)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def obtain(cache: Cache, location: object, sha256: str | None) -> tuple[dict[str, LocalFile], dict[str, ImageArchive]]:
    return Mirror(cache, silent, location=str(location), sha256=sha256).obtain(VERSIONS, "amd64")


def check(files: dict[str, LocalFile], archives: dict[str, ImageArchive]) -> None:
    assert set(files) == set(FILES)
    for name, file in files.items():
        assert file.path.read_bytes() == f"file {name}".encode()
    assert archives["node"].file.path.read_bytes() == b"node"
    assert archives["node"].images == {"h/node:1": "sha256:1"}


def test_a_folder_is_read_back(cache: Cache, made: tuple[Path, str]) -> None:
    check(*obtain(cache, *made))
    check(*obtain(cache, made[0].as_uri(), made[1]))


@pytest.fixture
def url(made: tuple[Path, str]) -> Iterator[str]:
    with server(made[0], ("127.0.0.1", 0), lambda _line: None) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/"
        listening.shutdown()
        thread.join()


def test_a_url_is_read_and_then_no_longer_needed(cache: Cache, made: tuple[Path, str], url: str) -> None:
    check(*obtain(cache, url, made[1]))
    check(*obtain(cache, "http://127.0.0.1:9/gone", made[1]))


def test_an_unpinned_mirror_is_refused(cache: Cache, made: tuple[Path, str]) -> None:
    with pytest.raises(ArtifactError, match="not pinned") as caught:
        obtain(cache, made[0], None)
    assert "artifacts.sha256" in str(caught.value)


def test_a_changed_list_is_refused(cache: Cache, made: tuple[Path, str]) -> None:
    (made[0] / SUMS).write_text((made[0] / SUMS).read_text() + f"{'0' * 64}  more\n")
    with pytest.raises(ArtifactError, match=f"expected {made[1]}"):
        obtain(cache, *made)


def test_a_changed_file_is_refused(cache: Cache, made: tuple[Path, str]) -> None:
    path = made[0] / "dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet"
    path.unlink()
    path.write_bytes(b"evil")
    with pytest.raises(ArtifactError, match=r"^artifact \S+/kubelet: its SHA-256 is \w+, expected"):
        obtain(cache, *made)


def test_what_is_missing_is_listed(cache: Cache, made: tuple[Path, str]) -> None:
    folder, digest = made
    with pytest.raises(ArtifactError, match=r"lacks \d+ files for Kubernetes 1.36.3 arm64") as caught:
        Mirror(cache, silent, location=str(folder), sha256=digest).obtain(VERSIONS, "arm64")
    assert "kubelet" in str(caught.value)
    (folder / "dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubeadm").unlink()
    with pytest.raises(ArtifactError, match=r"cannot read .*kubeadm"):
        obtain(cache, *made)


def test_a_folder_that_is_not_there(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot read"):
        obtain(cache, tmp_path / "none", "0" * 64)


def test_archives_of_other_versions_are_refused(cache: Cache, made: tuple[Path, str]) -> None:
    folder, _ = made
    path = folder / archive_path(VERSIONS, "amd64", "node").replace(".tar", ".json")
    other = json.loads(path.read_text())
    other["versions"]["coredns"] = "1.0.0"
    path.unlink()
    path.write_text(json.dumps(other))
    sums = parse_sums((folder / SUMS).read_text(), "x")
    sums[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    text = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    (folder / SUMS).write_text(text)
    with pytest.raises(ArtifactError, match="other versions") as caught:
        obtain(cache, folder, hashlib.sha256(text.encode()).hexdigest())
    assert "coredns: there 1.0.0" in str(caught.value)


def test_upstreams_own_archives_do_as_well(cache: Cache, tmp_path: Path) -> None:
    folder, lines = tmp_path / "copied", []
    for file in upstream_files(VERSIONS, "amd64"):
        data = b"file " + file.part.name.encode()
        if file.members:
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as archive:
                for name, path in file.members.items():
                    info = tarfile.TarInfo(f"./{path}")
                    info.size = len(content := f"file {name}".encode())
                    archive.addfile(info, io.BytesIO(content))
            data = gzip.compress(buffer.getvalue())
        target = folder / mirror_path(file.url)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {mirror_path(file.url)}\n")
    text = "".join(lines)
    (folder / SUMS).write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    for _round in ("cold", "warm"):
        files, archives = obtain(cache, folder, digest)
        assert {name: file.path.read_bytes() for name, file in files.items()} == {
            name: f"file {name}".encode() for name in FILES
        }
        assert archives == {}


def test_a_second_version_joins_the_first(tmp_path: Path, made: tuple[Path, str], cache: Cache) -> None:
    folder, digest = made
    older = versions_of("1.35.4")
    files = {name: cache.add_bytes(f"old {name}".encode()) for name in FILES}
    second = write_mirror(cache, folder, versions=older, arch="amd64", files=files, archives={})
    assert second != digest
    assert second == write_mirror(cache, folder, versions=older, arch="amd64", files=files, archives={})
    found, _ = Mirror(cache, silent, location=str(folder), sha256=second).obtain(older, "amd64")
    assert found["kubelet"].path.read_bytes() == b"old kubelet"
    # what both versions share has been replaced; what only the first has is still there
    assert (folder / "dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet").read_bytes() == b"file kubelet"


@pytest.mark.parametrize("line", ["short  file", f"{'0' * 64}  ../up", f"{'0' * 64}  /root", f"{'0' * 64} one-space"])
def test_bad_lines_are_refused(line: str) -> None:
    with pytest.raises(ArtifactError, match="line 2 of SHA256SUMS in there"):
        parse_sums(f"{'1' * 64}  fine\n{line}\n", "there")


def test_the_forms_of_sha256sum() -> None:
    assert parse_sums(f"{'1' * 64}  ./a\n{'2' * 64}  *b c\n", "x") == {"a": "1" * 64, "b c": "2" * 64}


def test_the_record_beside_an_archive(made: tuple[Path, str]) -> None:
    path = made[0] / archive_path(VERSIONS, "amd64", "addons").replace(".tar", ".json")
    written = json.loads(path.read_text())
    blob = LocalFile(path=path, sha256="", size=0)
    assert written == archive_record(VERSIONS, ImageArchive(file=blob, images={"h/addons:1": "sha256:1"}))
