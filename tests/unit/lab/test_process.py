"""Processes are known by more than their pid."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kubeforge.lab.process import Identity, replace_file


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_living_process(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity is not None
    assert identity.alive
    identity.write(tmp_path / "init.json")
    assert Identity.read(tmp_path / "init.json") == identity


def test_a_corpse_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity is not None
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, but not reaped
    assert not identity.alive
    assert Identity.of(sleeper.pid) is None


def test_a_reused_pid_is_somebody_else(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity is not None
    earlier = replace(identity, started=identity.started - 1)
    assert not earlier.alive
    assert not earlier.send(signal.SIGKILL)
    before_the_machines_reboot = replace(identity, boot="another")
    assert not before_the_machines_reboot.send(signal.SIGKILL)
    assert identity.alive, "nobody was killed for another one"


def test_sending(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity is not None
    assert identity.send(signal.SIGTERM)
    assert sleeper.wait(5) == -signal.SIGTERM
    assert not identity.send(signal.SIGTERM)


def test_no_identity_without_a_file(tmp_path: Path) -> None:
    assert Identity.read(tmp_path / "none") is None


def test_replacing_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, "one", 0o600)
    replace_file(path, "two", 0o600)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "two")]
    assert path.stat().st_mode & 0o777 == 0o600
