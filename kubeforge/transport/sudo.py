"""How a command is wrapped to run as another user, and how sudo's refusal is told from the command's own failure.

The wrapped shell says a nonce on standard error before it does anything, so what stands before it is sudo's. With a
password: it goes first through standard input, and nothing else follows until the nonce came; the shell then reads
lines up to the nonce, so that a password which sudo did not want is never taken for input. Nothing secret is in argv.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from kubeforge.errors import BecomeFailed
from kubeforge.operations.shell import quote
from kubeforge.secret import Secret

__all__ = ["Sudo", "SudoExchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sudo:
    """Who to become.

    Args:
        host: inventory name, for messages.
        login: who logged in.
        user: who to become.
        password: of `login`; None: sudo must not want one.
    """

    host: str
    login: str
    user: str = "root"
    password: Secret | None = None

    def begin(self, command: str) -> SudoExchange:
        """Return the wrapping of one command."""
        return SudoExchange(self, command, secrets.token_hex(8))


@dataclass(slots=True)
class SudoExchange:
    """One wrapped command.

    Args:
        sudo: who to become.
        command: POSIX-sh command line.
        nonce: a word that nobody else says.
    """

    sudo: Sudo
    inner: str
    nonce: str
    _marker: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._marker = f"kubeforge-begun-{self.nonce}\n".encode()

    @property
    def command(self) -> str:
        """The command line for the login shell."""
        begun = f"echo kubeforge-begun-{self.nonce} >&2; "
        user = quote(self.sudo.user)
        if self.sudo.password is None:
            return f"exec sudo -n -H -u {user} -- sh -c {quote(begun + self.inner)}"
        skip = f'while IFS= read -r l && [ "$l" != {self.nonce} ]; do :; done; '
        prompt = quote(self._prompt.decode())
        return f"exec sudo -S -H -p {prompt} -u {user} -- sh -c {quote(begun + skip + self.inner)}"

    @property
    def _prompt(self) -> bytes:
        return f"kubeforge-password-{self.nonce}:".encode()

    @property
    def first(self) -> bytes:
        """What goes into standard input at once: the password's line, or nothing."""
        return b"" if self.sudo.password is None else self.sudo.password.reveal() + b"\n"

    @property
    def then(self) -> bytes:
        """What goes in once the command has begun, before its own input."""
        return b"" if self.sudo.password is None else f"{self.nonce}\n".encode()

    def begun(self, stderr: bytes) -> bool:
        """Return whether the command has begun; raise when sudo asked a second time.

        Raises:
            BecomeFailed: the password was refused.
        """
        if self._marker in stderr:
            return True
        if stderr.count(self._prompt) > 1:
            raise self._failure("sudo refuses the password", stderr)
        return False

    def own(self, stderr: bytes) -> bytes:
        """Return the command's part of standard error.

        Raises:
            BecomeFailed: it never began.
        """
        before, marker, after = stderr.partition(self._marker)
        if marker:
            return after
        raise self._failure(f"sudo does not make {self.sudo.login} {self.sudo.user}", before)

    def _failure(self, cause: str, said: bytes) -> BecomeFailed:
        text = said.replace(self._prompt, b"").decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        login = self.sudo.login
        if "not found" in text and "sudo" in text:
            remedy = "install sudo on the host, or log in as root (ansible_user: root)"
        elif self.sudo.password is not None:
            remedy = f"correct ansible_become_password (it is {login}'s own password)"
        else:
            remedy = f"set ansible_become_password, or allow it: '{login} ALL=(ALL) NOPASSWD: ALL' by visudo"
        return BecomeFailed(cause, host=self.sudo.host, step="sudo", evidence=lines[-10:], remedy=remedy)
