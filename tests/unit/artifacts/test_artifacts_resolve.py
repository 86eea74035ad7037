"""Which source is taken, and what comes back."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from kubeforge.artifacts import golang
from kubeforge.artifacts import resolve as module
from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.catalogue import ARCHIVES, FILES, upstream_files
from kubeforge.artifacts.components import COMPONENTS_FOLDER
from kubeforge.artifacts.golang import find_go, wanted_go
from kubeforge.artifacts.images import archives
from kubeforge.artifacts.listing import rows, versions_of
from kubeforge.artifacts.mirror import write_mirror
from kubeforge.artifacts.model import LocalFile, ProgressEvent, Resolved, SourceChoice, SourceKind, silent
from kubeforge.artifacts.resolve import components_of, resolve
from kubeforge.artifacts.source import built_key, machine_arch
from kubeforge.artifacts.upstream import LockFile
from kubeforge.artifacts.userland import REVISION
from kubeforge.errors import ArtifactError, InputError

VERSIONS = versions_of("1.36.3")
ARCH = machine_arch()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers, and there is a Go that must never be called."""
    monkeypatch.setattr(module, "PROBE_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr(golang, "_USUAL", (tmp_path / "go",))
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(tmp_path / "site"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    (tmp_path / "go/bin").mkdir(parents=True)
    (tmp_path / "go/bin/go").touch()
    (tmp_path / "go/VERSION").write_text("go1.26.8\n")


def compiled(cache: Cache) -> dict[str, LocalFile]:
    """Put everything into the cache as if it had been compiled."""
    made: dict[str, LocalFile] = {}
    for row in components_of(VERSIONS):
        files = {name: cache.add_bytes(f"built {name}".encode()) for target in row.targets for name in target.names}
        go = find_go(wanted_go(COMPONENTS_FOLDER / row.folder / "go.mod"))
        cache.write_record("built", built_key(row, ARCH, go), {"files": Cache.file_entries(files)})
        made |= files
    record = {"applets": ["sh"], "files": Cache.file_entries({"busybox": cache.add_bytes(b"busybox")})}
    cache.write_record("userland", f"{REVISION}-{ARCH}", record)
    archives(cache, VERSIONS, ARCH, made, silent)
    return made


def fetched(cache: Cache, lock: Path) -> None:
    """Put everything into the cache as if it had come from upstream."""
    pins = {}
    for file in upstream_files(VERSIONS, ARCH):
        if file.members:
            members = {name: cache.add_bytes(f"upstream {name}".encode()) for name in file.members}
            digest = hashlib.sha256(file.url.encode()).hexdigest()
            cache.write_record("unpacked", digest, {"files": Cache.file_entries(members)})
            pins[file.url] = digest
        else:
            pins[file.url] = cache.add_bytes(f"upstream {file.part.name}".encode()).sha256
    LockFile(lock).add(pins)


def run(cache: Cache, **choice: object) -> Resolved:
    source = SourceChoice(**choice)  # type: ignore[arg-type]  # the tests' own keywords
    return resolve(VERSIONS, arches=[ARCH], source=source, cache=cache, progress=silent)


def test_what_was_compiled_is_taken_without_asking_anybody(cache: Cache) -> None:
    compiled(cache)
    found = run(cache)
    assert found.source == "source"
    assert {name for name, _arch in found.files} >= set(FILES)
    assert found.files["kubelet", ARCH].path.read_bytes() == b"built kubelet"
    assert set(found.archives) == {(name, ARCH) for name in ARCHIVES}
    assert found.images["hello"] == "localhost/kubeforge/hello:1"
    for archive in found.archives.values():
        assert set(archive.images) <= set(found.images.values())
    assert run(cache, kind=SourceKind.SOURCE) == found


def test_upstreams_own_files_win_if_they_are_complete(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubeforge.artifacts.catalogue.known_digest", lambda *_args: None)
    compiled(cache)
    lock = tmp_path / "artifacts.lock"
    fetched(cache, lock)
    found = run(cache, lock=lock)
    assert found.source == "upstream"
    assert found.archives == {}
    assert "hello" not in found.images
    assert found.images["kube-proxy"] == "registry.k8s.io/kube-proxy:v1.36.3"
    assert found.files["cni/bridge", ARCH].path.read_bytes() == b"upstream cni/bridge"
    assert run(cache, lock=lock, kind=SourceKind.UPSTREAM) == found


def test_a_named_mirror_is_taken_even_if_the_cache_is_complete(cache: Cache, tmp_path: Path) -> None:
    compiled(cache)
    files = {name: cache.add_bytes(f"mirrored {name}".encode()) for name in FILES}
    folder = tmp_path / "mirror"
    digest = write_mirror(cache, folder, versions=VERSIONS, arch=ARCH, files=files, archives={})
    found = run(cache, mirror=str(folder), sha256=digest)
    assert found.source == f"mirror {folder}"
    assert found.files["kubelet", ARCH].path.read_bytes() == b"mirrored kubelet"
    assert found.archives == {}
    with pytest.raises(ArtifactError, match="no mirror is named"):
        run(cache, kind=SourceKind.MIRROR)


def test_if_nobody_answers_it_is_compiled_and_said(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "go/bin/go").unlink()
    events: list[ProgressEvent] = []
    with pytest.raises(ArtifactError, match="compiling needs Go"):
        resolve(VERSIONS, arches=[ARCH], source=SourceChoice(), cache=cache, progress=events.append)
    assert "upstream does not answer within" in events[0].text
    assert "components, about" in events[1].text


def test_a_version_that_is_not_pinned_is_named_with_those_that_are(cache: Cache) -> None:
    with pytest.raises(ArtifactError) as caught:
        resolve(
            versions_of("1.36.1"),
            arches=[ARCH],
            source=SourceChoice(kind=SourceKind.SOURCE),
            cache=cache,
            progress=silent,
        )
    assert "kubernetes 1.36.1: pinned are 1.36.3, 1.35.4" in str(caught.value)


def test_one_lost_file_makes_the_cache_incomplete(cache: Cache, tmp_path: Path) -> None:
    made = compiled(cache)
    made["cni/portmap"].path.unlink()
    (tmp_path / "go/bin/go").unlink()
    with pytest.raises(ArtifactError):
        run(cache)


def test_the_http_client_is_imported_only_where_something_is_fetched() -> None:
    program = "import sys, kubeforge.artifacts.resolve; sys.exit('httpx2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_catalogue_as_rows(cache: Cache) -> None:
    found = list(rows(["1.36.3", "1.37"], ["amd64"], cache))
    kinds = {row.kind for row in found}
    assert kinds == {"file", "image", "package"}
    kubelet = next(row for row in found if (row.kind, row.name, row.kubernetes) == ("file", "kubelet", "1.36.3"))
    assert (kubelet.source, kubelet.cached, kubelet.arch) == (True, False, "amd64")
    assert len(kubelet.sha256) == 64
    newer = next(row for row in found if (row.kind, row.name, row.kubernetes) == ("file", "kubelet", "1.37.0"))
    assert (newer.source, newer.sha256) == (False, "")
    assert newer.as_dict()["location"].endswith("v1.37.0/bin/linux/amd64/kubelet")


def test_versions_by_minor_patch_or_not_at_all() -> None:
    assert versions_of("v1.36.1").kubernetes == "1.36.1"
    assert versions_of("1.35").coredns == "1.13.1"
    for wrong in ("1.99", "latest", "1"):
        with pytest.raises(InputError):
            versions_of(wrong)
