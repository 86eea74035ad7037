"""Nothing half-written or damaged is ever used, and nothing is made twice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from kubeforge.artifacts.cache import CACHE_VARIABLE, Cache, cache_root, file_digest, remove_tree
from kubeforge.artifacts.model import LocalFile
from kubeforge.errors import ArtifactError


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def put(cache: Cache, data: bytes = b"content") -> LocalFile:
    return cache.add_bytes(data)


def test_a_blob_is_named_by_its_digest_read_only_and_found(cache: Cache) -> None:
    file = put(cache)
    assert file.sha256 == hashlib.sha256(b"content").hexdigest()
    assert file.path.name == file.sha256
    assert file.path.stat().st_mode & 0o222 == 0
    assert cache.blob(file.sha256, file.size) == file
    assert cache.blob("0" * 64) is None


def test_a_wrong_digest_is_refused_and_nothing_is_left(cache: Cache) -> None:
    with cache.scratch("test") as folder:
        source = folder / "file"
        source.write_bytes(b"x")
        with pytest.raises(ArtifactError, match="expected " + "0" * 64):
            cache.add(source, sha256="0" * 64, part="kubelet")
        assert not source.exists()
    assert not (cache.root / "blobs").exists()


def test_a_truncated_blob_is_removed(cache: Cache) -> None:
    file = put(cache)
    file.path.chmod(0o644)
    os.truncate(file.path, 3)
    assert cache.blob(file.sha256, file.size) is None
    assert not file.path.exists()


def test_a_blob_changed_at_equal_size_is_removed(cache: Cache) -> None:
    file = put(cache)
    file.path.chmod(0o644)
    file.path.write_bytes(b"CONTENT")
    assert cache.blob(file.sha256, file.size) is None
    assert not file.path.exists()


def test_a_touched_but_sound_blob_is_hashed_again_and_kept(cache: Cache) -> None:
    file = put(cache)
    os.utime(file.path)
    assert cache.blob(file.sha256) == file
    os.utime(file.path)
    before = file.path.stat().st_mtime_ns
    assert cache.blob(file.sha256) == file
    assert file.path.stat().st_mtime_ns != before


def test_a_warm_look_up_does_not_read_the_file(cache: Cache) -> None:
    file = put(cache)
    sealed = file.path.stat().st_mtime_ns
    file.path.chmod(0o644)
    file.path.write_bytes(b"CONTENT")
    os.utime(file.path, ns=(sealed, sealed))
    assert cache.blob(file.sha256, file.size) == file


def test_adding_what_is_there_mends_a_damaged_blob(cache: Cache) -> None:
    file = put(cache)
    file.path.chmod(0o644)
    file.path.write_bytes(b"CONTENT")
    assert put(cache) == file
    assert file.path.read_bytes() == b"content"


def test_a_record_that_is_damaged_or_whose_blob_is_gone_is_as_none(cache: Cache) -> None:
    file = put(cache)
    cache.write_record("kind", "key", {"files": Cache.file_entries({"a": file})})
    assert cache.files(cache.record("kind", "key")) == {"a": file}
    file.path.unlink()
    assert cache.files(cache.record("kind", "key")) is None
    (cache.root / "records/kind/key.json").write_text("{half")
    assert cache.record("kind", "key") is None
    assert cache.record("kind", "other") is None


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(TypeError):
        Cache.write_atomically(target, "not bytes")  # type: ignore[arg-type]  # the failure that is tested
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_scratch_is_removed_also_when_it_holds_read_only_folders(cache: Cache) -> None:
    with cache.scratch("go") as folder:
        (folder / "module").mkdir()
        (folder / "module" / "file").touch()
        (folder / "module").chmod(0o500)
    assert list((cache.root / "tmp").iterdir()) == []
    remove_tree(folder)


def test_sweep_removes_what_a_dead_process_left_and_nothing_else(cache: Cache) -> None:
    program = textwrap.dedent(f"""
        import os
        from pathlib import Path
        from kubeforge.artifacts.cache import Cache
        with Cache(Path({str(cache.root)!r})).scratch("dead") as folder:
            (folder / "big").write_bytes(b"x" * 1000)
            os._exit(9)
    """)
    subprocess.run([sys.executable, "-c", program], check=False)
    left = [path for path in (cache.root / "tmp").iterdir() if path.is_dir()]
    assert len(left) == 1
    with cache.scratch("alive") as folder:
        cache.sweep()
        assert folder.exists()
        assert not left[0].exists()


def test_a_lock_holds_between_threads_and_ends_with_its_holder(cache: Cache) -> None:
    order: list[str] = []
    holding, waiting = threading.Event(), threading.Event()

    def first() -> None:
        with cache.lock("thing"):
            holding.set()
            assert waiting.wait(5)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert holding.wait(5)
    with cache.lock("thing", waiting.set):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    with cache.lock("thing", lambda: pytest.fail("nobody holds it")), cache.lock("another"):
        pass


def test_the_cache_folder_is_the_environments_or_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "kubeforge"


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f") == (hashlib.sha256(b"abc").hexdigest(), 3)
