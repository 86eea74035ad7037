"""A manifest that is replaced: the old one goes, its pod ends, the new one comes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kubeforge.operations.kept_manifest import KeptManifest, RestoredManifest
from kubeforge.operations.restore import Prior
from kubeforge.transport.memory import MemoryHost

OLD = "metadata:\n  uid: 0123abcd\n"


@pytest.fixture
def around(tmp_path: Path) -> Path:
    """A folder of programs: a cgroup is found some times, and whoever waits notes what he saw of the manifest."""
    programs = {
        "systemctl": 'test ! -e "$SCENE/off"',
        "find": 'echo "$@" >> "$SCENE/asked"; test "$(wc -l < "$SCENE/asked")" -gt "$TURNS" || echo pod',
        "grep": 'case $* in *kube-apiserver*) test ! -e "$SCENE/silent" ;; *) exec /bin/grep "$@" ;; esac',
        "sleep": 'echo "$1 $(ls "$SCENE/there")" >> "$SCENE/waited"',
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "there").mkdir()
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return tmp_path


def replaced(scene: Path, old: str, *, turns: int = 2) -> tuple[str, list[str]]:
    """Return what is there in the end, and how long was waited, each with what was there meanwhile."""
    path, aside, payload = scene / "there" / "x.yaml", scene / "aside" / "x.yaml", scene / "payload"
    path.write_text(old)
    payload.write_text("new")
    host = MemoryHost("h", files={str(path): old.encode()})
    file = KeptManifest(path=str(path), content=b"new", aside=str(aside))
    change = file.decide(host.observe(file.observe()))
    assert change is not None
    env = {"PATH": f"{scene / 'bin'}:{os.environ['PATH']}", "P": str(payload), "SCENE": str(scene), "TURNS": str(turns)}
    subprocess.run(["sh", "-euc", "\n".join(change.lines)], env=env, check=True)
    assert aside.read_text() == old
    waited = scene / "waited"
    return path.read_text(), waited.read_text().splitlines() if waited.exists() else []


def test_there_is_none_until_the_old_pod_has_ended(around: Path) -> None:
    assert replaced(around, OLD) == ("new", ["0.1 ", "0.1 ", "1.2 "])
    assert "*pod0123abcd*" in (around / "asked").read_text()


def test_beside_no_api_server_it_is_not_waited_for_long(around: Path) -> None:
    """The kubelet may never have had an answer from it, and would end no pod."""
    (around / "silent").touch()
    assert replaced(around, OLD, turns=1000) == ("new", ["0.1 "] * 100 + ["1.2 "])


def test_a_pod_that_cannot_be_found_is_not_waited_for(around: Path) -> None:
    assert replaced(around, "metadata: {}\n") == ("new", [])


def test_nobody_ends_it_where_no_kubelet_runs(around: Path) -> None:
    (around / "off").touch()
    assert replaced(around, OLD) == ("new", [])


def test_a_manifest_that_was_not_there_is_a_file_like_any_other() -> None:
    file = KeptManifest(path="/m/x.yaml", content=b"new", aside="/aside/x.yaml")
    change = file.decide(MemoryHost("h").observe(file.observe()))
    assert change is not None
    assert not any("systemctl" in line for line in change.lines)


def test_one_that_is_put_back_waits_as_well_and_the_host_still_lives(around: Path) -> None:
    """What it replaces lies aside meanwhile: by that a host whose power goes just then is known to live."""
    path, aside, copy = around / "there" / "x.yaml", around / "aside" / "x.yaml", around / "copy"
    path.write_text("metadata:\n  uid: fedc\nnew")
    copy.write_text(OLD)
    files = {str(path): path.read_bytes(), str(copy): OLD.encode()}
    restored = RestoredManifest(path=str(path), prior=Prior(kind="copy", copy=str(copy)), aside=str(aside))
    host = MemoryHost("h", files=files)
    change = restored.decide(host.observe(restored.observe()))
    assert change is not None
    env = {"PATH": f"{around / 'bin'}:{os.environ['PATH']}", "SCENE": str(around), "TURNS": "2"}
    subprocess.run(["sh", "-euc", "\n".join(change.lines)], env=env, check=True)
    assert (path.read_text(), aside.read_text()) == (OLD, "metadata:\n  uid: fedc\nnew")
    assert (around / "waited").read_text().splitlines()[0].split()[:1] == ["0.1"]
    assert "*podfedc*" in (around / "asked").read_text()


def test_one_that_is_missing_is_put_back_at_once() -> None:
    copy = Prior(kind="copy", copy="/copy")
    restored = RestoredManifest(path="/there/x.yaml", prior=copy, aside="/aside/x.yaml")
    host = MemoryHost("h", files={"/copy": OLD.encode()})
    change = restored.decide(host.observe(restored.observe()))
    assert change is not None
    assert not [line for line in change.lines if "systemctl" in line or "/aside" in line]
