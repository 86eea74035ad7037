from __future__ import annotations

import subprocess

import pytest

from kubeforge.errors import BecomeFailed
from kubeforge.secret import Secret
from kubeforge.transport.sudo import Sudo, SudoExchange


def exchange(password: str | None = None, command: str = "true") -> SudoExchange:
    secret = Secret(password) if password is not None else None
    return Sudo(host="w1", login="ops", password=secret).begin(command)


def run_inner(one: SudoExchange, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    words = subprocess.run(
        ["sh", "-c", "printf '%s\\0' " + one.command.split(" -- ", 1)[1]], capture_output=True, check=True
    ).stdout.split(b"\0")[:-1]
    return subprocess.run(words, input=stdin, capture_output=True, check=False)


def test_without_password_sudo_must_not_ask() -> None:
    one = exchange()
    assert one.command.startswith("exec sudo -n -H -u root -- sh -c ")
    assert one.first == one.then == b""


def test_the_password_is_never_in_the_command() -> None:
    one = exchange("geheim")
    assert "geheim" not in one.command
    assert one.first == b"geheim\n"
    assert "geheim" not in repr(one)


@pytest.mark.parametrize("command", ["printf 'a b'; exit 3", "sh -c 'eval \"$(cat)\"'"])
def test_the_command_arrives_unchanged(command: str) -> None:
    done = run_inner(exchange(command=command), b"printf 'a b'; exit 3")
    assert (done.returncode, done.stdout) == (3, b"a b")


@pytest.mark.parametrize("asked", [True, False])
def test_the_password_never_reaches_the_command(asked: bool) -> None:
    """Whether sudo took its line or not: the command sees its own input only."""
    one = exchange("geheim", "cat")
    stdin = (b"" if asked else one.first) + one.then + b"input\nmore"
    done = run_inner(one, stdin)
    assert done.stdout == b"input\nmore"
    assert one.begun(done.stderr)
    assert one.own(done.stderr) == b""


def test_what_the_command_says_is_its_own() -> None:
    one = exchange(command="echo oops >&2")
    done = run_inner(one, b"")
    assert one.own(b"sudo: unable to resolve host w1\n" + done.stderr) == b"oops\n"


@pytest.mark.parametrize(
    ("password", "said", "cause", "remedy"),
    [
        (None, b"sudo: a password is required\n", "does not make ops root", "NOPASSWD"),
        (None, b"sh: 1: exec: sudo: not found\n", "does not make ops root", "install sudo"),
        ("x", b"ops is not in the sudoers file.\n", "does not make ops root", "ansible_become_password"),
    ],
)
def test_refusals(password: str | None, said: bytes, cause: str, remedy: str) -> None:
    with pytest.raises(BecomeFailed, match=cause) as caught:
        exchange(password).own(said)
    assert said.decode().strip() in caught.value.evidence
    assert remedy in str(caught.value.remedy)


def test_a_second_question_means_a_wrong_password() -> None:
    one = exchange("falsch")
    prompt = f"kubeforge-password-{one.nonce}:".encode()
    assert not one.begun(prompt)
    with pytest.raises(BecomeFailed, match="refuses the password") as caught:
        one.begun(prompt + b"Sorry, try again.\n" + prompt)
    assert caught.value.evidence == ("Sorry, try again.",)
