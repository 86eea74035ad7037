"""kubectl is played by small shell scripts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kubeforge.cluster.kubectl import on_path, run
from kubeforge.errors import ArtifactError
from kubeforge.secret import Secret


def script(folder: Path, text: str) -> Path:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_sees_the_kubeconfig_and_nothing_of_it_is_on_a_disk(tmp_path: Path) -> None:
    program = script(
        tmp_path, f'cat "$KUBECONFIG" "$KUBECONFIG" > {tmp_path}/seen; echo "$KUBECONFIG" >> {tmp_path}/seen'
    )
    assert run(program, [], Secret("key\n")) == 0
    lines = (tmp_path / "seen").read_text().splitlines()
    assert lines[:2] == ["key", "key"]
    assert lines[2].startswith("/proc/self/fd/")


def test_arguments_are_passed_as_they_are(tmp_path: Path) -> None:
    program = script(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/seen')
    run(program, ["get", "pods", "-o", "a b", "$(x)", ""], Secret(""))
    assert (tmp_path / "seen").read_text() == "get\npods\n-o\na b\n$(x)\n\n"


@pytest.mark.parametrize(("text", "code"), [("exit 3", 3), ("kill -TERM $$", 128 + signal.SIGTERM)])
def test_exit_code(tmp_path: Path, text: str, code: int) -> None:
    assert run(script(tmp_path, text), [], Secret("")) == code


def test_interrupt_ends_the_child_only(tmp_path: Path) -> None:
    """The child gets the terminal's SIGINT itself; we wait for what it makes of it."""
    program = script(tmp_path, f"trap 'exit 7' INT; kill -INT {os.getpid()} $$; sleep 5")
    before = signal.getsignal(signal.SIGINT)
    assert run(program, [], Secret("")) == 7
    assert signal.getsignal(signal.SIGINT) is before


def test_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be started: No such file"):
        run(tmp_path / "missing", [], Secret(""))


@pytest.mark.parametrize(
    ("says", "fits"),
    [
        ('echo \'{"clientVersion": {"gitVersion": "v1.36.0"}}\'', True),
        ('echo \'{"clientVersion": {"gitVersion": "v1.37.2-vendor+x"}}\'', True),
        ('echo \'{"clientVersion": {"gitVersion": "v1.32.4-dispatcher"}}\'', False),
        ('echo \'{"clientVersion": {"gitVersion": "latest"}}\'', False),
        ("echo nonsense", False),
        ("echo []", False),
        ("exit 1", False),
    ],
)
def test_own_kubectl_is_taken_where_its_version_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, *, fits: bool
) -> None:
    program = script(tmp_path, says).rename(tmp_path / "kubectl")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert on_path("1.36.3") == (program if fits else None)


def test_no_kubectl_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert on_path("1.36.3") is None
