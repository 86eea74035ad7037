"""Becoming root on a real sshd: sudo with a password, without one, and refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import (
    BecomeFailed,
)
from kubeforge.secret import Secret
from kubeforge.transport.ssh import SshTransport

Sshd = Any  # the classes of conftest.py, which cannot be imported
Client = Any
StartSshd = Callable[..., Any]


MIB = 1 << 20


def zeros(mib: int) -> Iterator[bytes]:
    """Yield so many MiB."""
    yield from (bytes(MIB) for _ in range(mib))


SUDO = """#!/bin/sh
# Stands in for sudo: wants the password 'geheim' unless told otherwise, three times at most.
mode=$(cat "${0%/*}/mode")
while [ $# -gt 0 ]; do
  case $1 in
    -n) quiet=1 ;; -S|-H) ;; -p) shift; prompt=$1 ;; -u) shift ;; --) shift; break ;;
  esac
  shift
done
if [ "$mode" = denied ]; then echo "ops is not in the sudoers file." >&2; exit 1; fi
if [ "$mode" = wanted ]; then
  [ -z "$quiet" ] || { echo "sudo: a password is required" >&2; exit 1; }
  for try in 1 2 3; do
    printf '%s' "$prompt" >&2
    IFS= read -r word || exit 1
    printf '%s\\n' "$word" >>"${0%/*}/tries"
    [ "$word" = geheim ] && exec "$@"
    sleep 0.2
    echo "Sorry, try again." >&2
  done
  exit 1
fi
exec "$@"
"""


class TestSudo:
    """With a stand-in for sudo; the real one, its users and its PAM are tested in the lab."""

    @pytest.fixture
    def enter(self, start_sshd: StartSshd, client: Client, tmp_path: Path) -> Callable[..., SshTransport]:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "sudo").write_text(SUDO)
        (folder / "sudo").chmod(0o755)
        server = start_sshd(f"SetEnv PATH={folder}:/usr/bin:/bin HOME={tmp_path}")

        def enter(mode: str, password: str | None) -> SshTransport:
            (folder / "mode").write_text(mode)
            secret = Secret(password) if password else None
            opened: SshTransport = client.open(server, become=True, become_user="app", become_password=secret)
            return opened

        return enter

    @pytest.mark.parametrize(("mode", "password"), [("free", None), ("free", "geheim"), ("wanted", "geheim")])
    def test_let(self, enter: Callable[..., SshTransport], mode: str, password: str | None) -> None:
        transport = enter(mode, password)
        for _ in range(2):
            done = transport.run("cat; echo own >&2; exit 3", [b"input\n", b"geheim\n"], deadline=5)
            assert (done.status, done.stdout, done.stderr) == (3, b"input\ngeheim\n", b"own\n")

    def test_much_input(self, enter: Callable[..., SshTransport]) -> None:
        done = enter("wanted", "geheim").run("wc -c", zeros(10), deadline=20)
        assert int(done.stdout) == 10 * MIB

    def test_wanted_and_not_given(self, enter: Callable[..., SshTransport]) -> None:
        with pytest.raises(BecomeFailed, match="does not make") as caught:
            enter("wanted", None).run("cat", zeros(5), deadline=10)
        assert caught.value.evidence == ("sudo: a password is required",)

    def test_wrong(self, enter: Callable[..., SshTransport], tmp_path: Path) -> None:
        with pytest.raises(BecomeFailed, match="refuses the password"):
            enter("wanted", "falsch").run("cat", [b"input\n"], deadline=10)
        assert (tmp_path / "bin" / "tries").read_text() == "falsch\n"  # once: no lock-out, no input taken for one

    def test_denied(self, enter: Callable[..., SshTransport]) -> None:
        with pytest.raises(BecomeFailed) as caught:
            enter("denied", "geheim").run("true", deadline=10)
        assert caught.value.evidence == ("ops is not in the sudoers file.",)

    def test_missing(self, start_sshd: StartSshd, client: Client, tmp_path: Path) -> None:
        server = start_sshd(f"SetEnv PATH={tmp_path} HOME={tmp_path}")
        with pytest.raises(BecomeFailed) as caught:
            client.open(server, become=True, become_user="app").run("true", deadline=10)
        assert "install sudo" in str(caught.value.remedy)

    def test_the_password_is_in_no_argument_list(self, enter: Callable[..., SshTransport]) -> None:
        transport = enter("wanted", "geheim")
        done = transport.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'", deadline=10)
        assert b"kubeforge-begun" in done.stdout
        assert b"geheim" not in done.stdout

    def test_who_is_it_already_needs_none(self, sshd: Sshd, client: Client) -> None:
        name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        transport = client.open(sshd, user=name, become=True, become_user=name)
        assert b"sudo" not in transport.run("tr '\\0' ' ' </proc/$$/cmdline", deadline=5).stdout
