"""Compiling: which Go, what is compiled again and what not, and what a failure says. With a stand-in for `go`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from kubeforge.artifacts import golang
from kubeforge.artifacts.build import build_components
from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.components import COMPONENTS, COMPONENTS_FOLDER, Component, component
from kubeforge.artifacts.gobuild import require_compiler
from kubeforge.artifacts.golang import find_go, wanted_go
from kubeforge.artifacts.model import ProgressEvent, Stage, silent
from kubeforge.artifacts.source import Workshop, built_key, machine_arch
from kubeforge.errors import ArtifactError

GO = """#!/bin/sh
echo "$@" >>"$GO_CALLS"
case $1 in
list) printf 'one\\ntwo\\n' ;;
build)
    while [ "$1" != -o ]; do shift; done
    [ -z "$GO_FAILS" ] || { echo "# broken" >&2; echo "main.go:1: $GO_FAILS" >&2; exit 1; }
    echo "go: downloading x" >&2; echo one >&2; echo two >&2
    echo "$GOARCH $CGO_ENABLED $GOFLAGS $GOTOOLCHAIN ${GOOS} ${GOEXPERIMENT-none} $3" >"$2" ;;
esac
"""


def goroot(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "VERSION").write_text(f"go{version}\ntime 2026\n")
    program = folder / "bin/go"
    program.write_text(GO)
    program.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def only_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No toolchain but the test's own; returns the file with the calls."""
    monkeypatch.setattr(golang, "_USUAL", ())
    real = sysconfig.get_path
    hidden = {"platlib", "purelib"}
    monkeypatch.setattr(sysconfig, "get_path", lambda n: str(tmp_path / "site") if n in hidden else real(n))
    root = goroot(tmp_path / "go", "1.26.8")
    monkeypatch.setenv("PATH", f"{root / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("GO_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("GO_FAILS", "")
    monkeypatch.setenv("GOEXPERIMENT", "surprise")
    (tmp_path / "calls").touch()
    return tmp_path / "calls"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def row(name: str) -> Component:
    return next(each for each in COMPONENTS if each.name == name)


def test_a_component_is_compiled_once(cache: Cache, only_these: Path) -> None:
    events: list[ProgressEvent] = []
    made = Workshop(cache, events.append).build([row("etcd")], machine_arch())
    assert set(made) == {"etcd", "etcdctl", "etcdutl"}
    assert len({file.sha256 for file in made.values()}) == 1
    written = made["etcd"].path.read_text().split()
    assert written == [machine_arch(), "0", "-mod=readonly", "-modcacherw", "local", "linux", "none", "."]
    assert (events[-1].stage, events[-1].done, events[-1].total, events[-1].finished) == (Stage.COMPILE, 2, 2, True)
    calls = only_these.read_text()
    assert Workshop(cache, silent).build([row("etcd")], machine_arch()) == made
    assert only_these.read_text() == calls
    assert list((cache.root / "tmp").iterdir()) == [], "the module and build caches are gone"


def test_two_at_once_compile_once(cache: Cache, only_these: Path) -> None:
    workshops = [Workshop(cache, silent) for _ in range(3)]
    threads = [threading.Thread(target=each.build, args=([row("hello")], machine_arch())) for each in workshops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert only_these.read_text().count("build ") == 1


def test_flags(cache: Cache, only_these: Path) -> None:
    Workshop(cache, silent).build([row("pause")], machine_arch())
    call = only_these.read_text().splitlines()[-1]
    assert "-trimpath -buildvcs=false -ldflags -s -w -X main.version=3.10.2 -o" in call


def test_what_decides_is_in_the_key() -> None:
    go = find_go((1, 20, 0))
    keys = {
        built_key(row("etcd"), "amd64", go),
        built_key(row("etcd"), "arm64", go),
        built_key(row("pause"), "amd64", go),
        built_key(row("etcd"), "amd64", golang.Go(root=go.root, version=(1, 99, 0))),
    }
    assert len(keys) == 4


def test_a_failure_shows_the_compilers_words_and_leaves_nothing(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO_FAILS", "undefined: thing")
    with pytest.raises(ArtifactError, match=r"etcd 3\.6\.16 does not compile") as caught:
        Workshop(cache, silent).build([row("etcd")], machine_arch())
    assert "main.go:1: undefined: thing" in caught.value.evidence
    assert "etcd-3.6.16.log" in str(caught.value)
    assert list((cache.root / "tmp").iterdir()) == []
    assert Workshop(cache, silent).find(row("etcd"), machine_arch()) is None


def test_another_architecture_is_refused(cache: Cache) -> None:
    other = "arm64" if machine_arch() == "amd64" else "amd64"
    with pytest.raises(ArtifactError, match=f"parts for {other} cannot be compiled"):
        Workshop(cache, silent).build([row("pause")], other)


def test_too_little_room_is_refused_before_anything_is_done(
    cache: Cache, only_these: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubeforge.artifacts.source._ROOM", 1 << 60)
    with pytest.raises(ArtifactError, match="GiB free below"):
        Workshop(cache, silent).build([row("pause")], machine_arch())
    assert only_these.read_text() == ""


def test_the_machines_go_is_taken_if_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_go((1, 26, 8)).version == (1, 26, 8)
    with pytest.raises(ArtifactError, match=r"needs Go 1\.27\.0 or newer; found: 1\.26\.8 in "):
        find_go((1, 27, 0))
    goroot(tmp_path / "site/go", "1.27.3")
    assert find_go((1, 27, 0)).text == "1.27.3"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_go((1, 20, 0)).version == (1, 27, 3)


def test_the_wrapper_beside_python_is_no_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "go/bin/python"))
    with pytest.raises(ArtifactError, match="found: none"):
        find_go((1, 20, 0))


def test_wanted_go_is_read(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.26\n")
    assert wanted_go(tmp_path / "go.mod") == (1, 26, 0)
    (tmp_path / "go.mod").write_text("module x\n")
    with pytest.raises(ArtifactError, match="no Go version"):
        wanted_go(tmp_path / "go.mod")
    for each in COMPONENTS:
        assert wanted_go(COMPONENTS_FOLDER / each.folder / "go.mod") < (1, 27, 0)


def test_a_missing_c_compiler_or_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ArtifactError, match="there is no gcc, pkg-config") as caught:
        require_compiler(row("runc"))
    assert "apt-get install gcc libc6-dev pkg-config libseccomp-dev" in str(caught.value)
    for name in ("gcc", "pkg-config"):
        (folder / name).write_text('#!/bin/sh\n[ "$2" != libseccomp ]\n')
        (folder / name).chmod(0o755)
    with pytest.raises(ArtifactError, match="there is no libseccomp") as caught:
        require_compiler(row("runc"))
    assert str(caught.value).endswith("apt-get install libseccomp-dev")
    require_compiler(row("flannel"))


def test_components_by_name(cache: Cache, only_these: Path) -> None:
    made = build_components(["pause", "kubernetes"], ["1.36.3"], cache, silent)
    assert "pause 3.10.2 pause" in made
    assert "kubernetes 1.36.3 kubelet" in made
    assert not any("1.35.4" in name for name in made)
    with pytest.raises(ArtifactError, match="no component is called kubelt") as caught:
        build_components(["kubelt"], None, cache, silent)
    assert "kubernetes" in str(caught.value)
    assert component("pause", "0") is None


def test_no_process_is_left_when_the_caller_stops(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "go/bin/go"
    program.write_text('#!/bin/sh\n[ "$1" = list ] && exit 0\necho $$ >"$GO_CALLS"\necho one >&2\nexec sleep 100\n')

    def stop(event: ProgressEvent) -> None:
        if event.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workshop(cache, stop).build([row("pause")], machine_arch())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "calls").read_text()), 0)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs util-linux")
def test_no_process_and_no_folder_is_left_when_the_caller_is_killed(cache: Cache, tmp_path: Path) -> None:
    calls, program = tmp_path / "calls", tmp_path / "go/bin/go"
    program.write_text('#!/bin/sh\n[ "$1" = list ] && exit 0\necho $$ >"$GO_CALLS"\nexec sleep 100\n')
    build = (
        "import sys; from pathlib import Path; from kubeforge.artifacts.build import build_components;"
        "from kubeforge.artifacts.cache import Cache; from kubeforge.artifacts.model import silent;"
        "build_components(['pause'], None, Cache(Path(sys.argv[1])), silent)"
    )
    with subprocess.Popen([sys.executable, "-c", build, str(cache.root)]) as process:
        wait_until(lambda: calls.read_text().strip() != "")
        process.kill()
    compiler = int(calls.read_text())
    wait_until(lambda: not alive(compiler))
    program.write_text(GO)
    Workshop(cache, silent).build([row("hello")], machine_arch())
    assert list((cache.root / "tmp").iterdir()) == []


def alive(process: int) -> bool:
    """Whether it runs; one that is dead and not yet reaped by whoever adopted it does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true: Callable[[], bool]) -> None:
    for attempt in Retrying(stop=stop_after_delay(10), wait=wait_fixed(0.01), reraise=True):
        with attempt:
            assert true()
