"""What asks a person, on a terminal of its own: passwords, passphrases, a login shell. Real sshd, real sudo."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeforge.inventory.loader import load
from kubeforge.inventory.model import Connection
from kubeforge.lab.lab import Lab
from kubeforge.lab.recipe import PASSWORD, PASSWORD_USER
from kubeforge.transport.remote import ShellRemote

pytestmark = pytest.mark.lab

WITHIN = 30.0
PROGRAM = (sys.executable, "-c", "from kubeforge.cli import main; main()")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process, self.master = pty.fork()
        if self.process == 0:
            os.chdir("/")
            os.execv(PROGRAM[0], [*PROGRAM, *arguments])
        self.shown = ""

    def until(self, words: str) -> None:
        """Read until `words` are shown."""
        begin = len(self.shown)
        deadline = time.monotonic() + WITHIN
        while words not in self.shown[begin:]:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown

    def type(self, words: str) -> None:
        os.write(self.master, words.encode())

    def ended(self) -> int:
        """Read to the end; return the exit code."""
        while self._read():
            pass
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], WITHIN)
        try:
            piece = os.read(self.master, 4096) if ready else b""
        except OSError:  # the other end is closed
            piece = b""
        self.shown += piece.decode(errors="replace")
        return bool(piece)

    def close(self) -> None:
        if self.process:
            os.kill(self.process, 9)
            os.waitpid(self.process, 0)
        os.close(self.master)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.close()


@pytest.fixture
def way_in(lab: Lab) -> Connection:
    """How the lab's own inventory says that its host is reached."""
    return load(lab.inventory).hosts["cp1"].connection


@pytest.fixture
def bare(lab: Lab, way_in: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory that names no key and no password, for somebody who has neither agent nor keys."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "hosts.yml").write_text(
        f"all:\n  vars: {{ansible_ssh_common_args: -o UserKnownHostsFile={way_in.known_hosts[0]}}}\n  children:\n"
        f"    kube_control_plane: {{hosts: {{cp1: {{ansible_host: {way_in.address}}}}}}}\n"
    )
    (folder / "cluster.yml").write_text((lab.inventory / "cluster.yml").read_text())
    return folder


@pytest.fixture
def locked_key(way_in: Connection, tmp_path: Path) -> Path:
    """The lab's key, behind a passphrase."""
    key = tmp_path / "locked"
    assert way_in.key_file is not None
    key.write_bytes(way_in.key_file.read_bytes())
    key.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(key)], check=True)
    return key


BECOME = ("-e", f"ansible_user={PASSWORD_USER}", "-e", "ansible_become=true")


def with_key(key: Path) -> tuple[str, ...]:
    return ("-e", "ansible_user=root", "-e", f"ansible_ssh_private_key_file={key}")


def test_sudo_password(founded: ShellRemote, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("kubeconfig", "-K", *BECOME))
    terminal.until("sudo password: ")
    terminal.type(f"{PASSWORD}\n")
    assert terminal.ended() == 0, terminal.shown
    assert "current-context: cli-it" in terminal.shown
    assert PASSWORD not in terminal.shown.partition("sudo password: ")[2].splitlines()[0]


def test_wrong_sudo_password(plane: ShellRemote, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("kubeconfig", "--ask-become-pass", *BECOME))
    terminal.until("sudo password: ")
    terminal.type("wrong\n")
    assert terminal.ended() == 11, terminal.shown
    assert "sudo refuses the password" in terminal.shown


def test_login_password_serves_sudo_too(bare: Path, founded: ShellRemote, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("kubeconfig", "-i", str(bare), "-k", "-K", *BECOME))
    terminal.until("SSH password: ")
    terminal.type(f"{PASSWORD}\n")
    terminal.until("sudo password [the SSH password]: ")
    terminal.type("\n")
    assert terminal.ended() == 0, terminal.shown
    assert "current-context: cli-it" in terminal.shown


def test_no_terminal_to_ask_on(bare: Path) -> None:
    argv = [*PROGRAM, "reset", "--yes", "-i", str(bare), "-K"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "passwords are asked for on a terminal, and standard input is none" in done.stderr


def test_a_passphrase(bare: Path, locked_key: Path, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("ssh", "-i", str(bare), *with_key(locked_key), "cp1", "id -un"))
    for given in ("wrong", "open sesame"):
        terminal.until(f"Passphrase for {locked_key}: ")
        terminal.type(f"{given}\n")
    assert terminal.ended() == 0, terminal.shown
    assert terminal.shown.split()[-1] == "root"
    assert "sesame" not in terminal.shown


def test_a_passphrase_beside_the_live_display(bare: Path, locked_key: Path, terminals: list[Terminal]) -> None:
    """A run shows its hosts meanwhile; there is nothing of ours to be reset."""
    terminals.append(terminal := Terminal("reset", "-i", str(bare), *with_key(locked_key)))
    terminal.until(f"Passphrase for {locked_key}: ")
    terminal.type("open sesame\n")
    assert terminal.ended() == 0, terminal.shown
    assert "No changes." in terminal.shown


def test_without_a_terminal_the_locked_key_is_told(bare: Path, locked_key: Path) -> None:
    argv = [*PROGRAM, "ssh", "-i", str(bare), *with_key(locked_key), "cp1", "true"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 11
    assert f"the key file {locked_key} is encrypted and no passphrase was given" in done.stderr
    assert f"ssh-add {locked_key}" in done.stderr


def test_ctrl_c_at_a_passphrase_leaves_the_terminal_as_it_was(
    bare: Path, locked_key: Path, terminals: list[Terminal]
) -> None:
    terminals.append(terminal := Terminal("reset", "-i", str(bare), *with_key(locked_key)))
    before = termios.tcgetattr(terminal.master)
    terminal.until(f"Passphrase for {locked_key}: ")
    assert termios.tcgetattr(terminal.master)[3] & termios.ECHO == 0
    terminal.type("\x03")
    assert terminal.ended() == 130, terminal.shown
    assert termios.tcgetattr(terminal.master)[3] == before[3]


def test_a_login_shell(plane: ShellRemote, terminals: list[Terminal]) -> None:
    terminals.append(terminal := Terminal("ssh", "cp1"))
    terminal.until("root@cp1:")  # the prompt: what is typed before the terminal is made ready is dropped
    terminal.type("echo $((40 + 2)) $(tty); exit 3\n")
    terminal.until("42 /dev/pts/")
    assert terminal.ended() == 3, terminal.shown


@pytest.mark.parametrize("between", [(), ("--",), ("-e", "a=b", "--")])
def test_a_command_without_a_terminal(plane: ShellRemote, between: tuple[str, ...]) -> None:
    argv = [*PROGRAM, "ssh", "cp1", *between, "sh", "-c", "tr a-z A-Z; echo told >&2; exit 4"]
    done = subprocess.run(argv, input="said\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (4, "SAID\n", "told\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("cp2", "true"), "no host cp2 in the inventory; did you mean `cp1`?"), (("cp1",), "give a command")],
)
def test_what_cannot_be_logged_in_to(plane: ShellRemote, arguments: tuple[str, ...], words: str) -> None:
    argv = [*PROGRAM, "ssh", *arguments]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert words in done.stderr
