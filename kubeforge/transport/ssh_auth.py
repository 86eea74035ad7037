"""Logging in: which key or password is offered, in which order, and what to say when none was taken.

Order: the inventory's key file, the agent's keys, ssh_config's or the usual key files, the password (as `password`,
else as `keyboard-interactive`). An encrypted file whose key the agent holds is signed for by the agent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from kubeforge.errors import AuthenticationFailed, ConnectionFailed
from kubeforge.secret import Secret
from kubeforge.transport.known_hosts import fingerprint
from kubeforge.transport.ssh_config import Endpoint
from kubeforge.transport.ssh_keys import KeyRing, agent_keys, is_encrypted, public_part

__all__ = ["log_in"]


def log_in(session: paramiko.Transport, endpoint: Endpoint, keys: KeyRing, password: Secret | None) -> None:
    """Authenticate `session`.

    Args:
        session: after the key exchange, its host key checked.
        endpoint: user and key files.
        keys: the run's key files.
        password: ansible_password.

    Raises:
        AuthenticationFailed: nothing was taken; says what was offered and what the host accepts.
        ConnectionFailed: the host stopped answering, or hung up.
    """
    _LogIn(session, endpoint, keys).run(password)


@dataclass(slots=True)
class _LogIn:
    session: paramiko.Transport
    endpoint: Endpoint
    keys: KeyRing
    offered: list[str] = field(default_factory=list)
    tried: set[bytes] = field(default_factory=set)
    passed_over: list[AuthenticationFailed] = field(default_factory=list)
    accepted: tuple[str, ...] = ()
    """What the host said it takes; empty until it refused something."""

    def run(self, password: Secret | None) -> None:
        try:
            if self._by_key() or (password is not None and self._by_password(password)) or self._by_nothing():
                return
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._broken(error) from error
        raise self._refused()

    def _by_key(self) -> bool:
        first = self.endpoint.key_file
        if first is not None and self._file_is_plain(first) and self._offer_file(first, required=True):
            return True
        others = [file for file in self.endpoint.identity_files if file.is_file() and file != first]
        if self._by_agent(first, others):
            return True
        if first is not None and self._offer_file(first, required=True):
            return True
        return any(self._offer_file(file, required=False) for file in others)

    def _file_is_plain(self, file: Path) -> bool:
        try:
            return not is_encrypted(file)
        except OSError:
            return True  # loading it says why it cannot be read

    def _by_agent(self, first: Path | None, others: list[Path]) -> bool:
        """Offer the agent's keys, those of the named files first; only those with IdentitiesOnly."""
        if not os.environ.get("SSH_AUTH_SOCK"):
            return False
        named = [public_part(file) for file in ([first] if first else []) + others]
        with agent_keys() as found:
            wanted = sorted(found, key=lambda key: key.asbytes() not in named)
            if self.endpoint.identities_only:
                wanted = [key for key in wanted if key.asbytes() in named]
            return any(self._offer(key, "the agent's key") for key in wanted)

    def _offer_file(self, file: Path, *, required: bool) -> bool:
        """Offer a file's key, unless the agent already offered the same one.

        Raises:
            AuthenticationFailed: a `required` file cannot be used.
        """
        if public_part(file) in self.tried:
            return False
        try:
            key = self.keys.load(file, host=self.endpoint.name)
        except AuthenticationFailed as error:
            if required:
                raise
            self.passed_over.append(error)
            return False
        return self._offer(key, f"key {file}")

    def _offer(self, key: paramiko.PKey, what: str) -> bool:
        blob = key.asbytes()
        if blob in self.tried:
            return False
        self.tried.add(blob)
        self.offered.append(f"{what} ({key.get_name()} {fingerprint(blob)})")
        return self._attempt(lambda: self.session.auth_publickey(self.endpoint.user, key))

    def _by_password(self, password: Secret) -> bool:
        text = password.reveal().decode()
        user = self.endpoint.user
        self.offered.append("password")
        if "password" in (self.accepted or ("password",)) and self._attempt(
            lambda: self.session.auth_password(user, text, fallback=False)
        ):
            return True
        if "keyboard-interactive" not in self.accepted:
            return False
        return self._attempt(lambda: self.session.auth_interactive(user, lambda _t, _i, asked: [text] * len(asked)))

    def _by_nothing(self) -> bool:
        """Ask to be let in as one is: the refusal names what the host accepts, which other refusals do not."""
        return not self.accepted and self._attempt(lambda: self.session.auth_none(self.endpoint.user))

    def _attempt(self, offer: Callable[[], list[str]]) -> bool:
        """Return whether the host let us in; after a partial success it wants one thing more, so go on."""
        try:
            self.accepted = tuple(offer()) or self.accepted
        except paramiko.BadAuthenticationType as error:
            self.accepted = tuple(error.allowed_types)
        except paramiko.AuthenticationException:
            if not self.session.is_active():
                raise
        return self.session.is_authenticated()

    def _refused(self) -> AuthenticationFailed:
        user, address = self.endpoint.user, self.endpoint.address
        if not self.offered:
            hints = [error.cause for error in self.passed_over]
            return AuthenticationFailed(
                f"there is nothing to log in with as {user}" + "".join(f"; {hint}" for hint in hints),
                host=self.endpoint.name,
                step="connect",
                remedy=(self.passed_over[0].remedy if self.passed_over else None)
                or "start ssh-agent and ssh-add a key, or set ansible_ssh_private_key_file or ansible_password",
            )
        port = "" if self.endpoint.port == 22 else f"-p {self.endpoint.port} "
        accepts = f"; it accepts: {', '.join(self.accepted)}" if self.accepted else ""
        return AuthenticationFailed(
            f"it does not let {user} in{accepts}",
            host=self.endpoint.name,
            step="connect",
            evidence=[f"offered: {what}" for what in self.offered],
            remedy=f"correct ansible_user, or install the key: ssh-copy-id {port}{user}@{address}",
        )

    def _broken(self, error: Exception) -> ConnectionFailed:
        if isinstance(error, paramiko.AuthenticationException) and "timeout" in str(error).lower():
            cause = f"it did not answer the login within {self.endpoint.timeout:g} s"
            remedy = "look at sshd's log on the host (slow DNS or PAM?); ansible_timeout sets the limit"
            return ConnectionFailed(cause, host=self.endpoint.name, step="connect", remedy=remedy)
        return AuthenticationFailed(
            f"it hung up while {self.endpoint.user} logged in",
            host=self.endpoint.name,
            step="connect",
            evidence=[f"offered: {what}" for what in self.offered],
            remedy="too many keys offered (MaxAuthTries)? name one by ansible_ssh_private_key_file, or set "
            "IdentitiesOnly in ssh_config; otherwise look at sshd's log on the host",
        )
