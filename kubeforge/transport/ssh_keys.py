"""Keys to log in with: key files loaded once per run, passphrases asked for once, the agent's keys.

Does not decide which key is offered when; that is ssh_auth.py. paramiko is imported when a key is read.
"""

# ruff: noqa: PLC0415
from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from kubeforge.errors import AuthenticationFailed
from kubeforge.secret import Secret

if TYPE_CHECKING:
    import paramiko

__all__ = ["AskPassphrase", "KeyRing", "agent_keys", "public_part"]

AskPassphrase = Callable[[Path], Secret | None]
"""Asks a person for a key file's passphrase, again where the last one was wrong; None: given up."""

_TRIES = 3

_OPENSSH_MAGIC = b"openssh-key-v1\0"


class KeyRing:
    """Key files, each read once; safe for threads.

    Args:
        ask: called for each encrypted file that is needed, up to three times, never twice at the same time.
    """

    def __init__(self, ask: AskPassphrase | None = None) -> None:
        self._ask = ask
        self._keys: dict[Path, paramiko.PKey | AuthenticationFailed] = {}
        self._lock = Lock()

    def load(self, path: Path, *, host: str) -> paramiko.PKey:
        """Return the key in `path`.

        Raises:
            AuthenticationFailed: missing, unreadable, not a private key, or encrypted and no right passphrase given.
        """
        with self._lock:
            found = self._keys.get(path)
            if found is None:
                try:
                    found = self._read(path)
                except AuthenticationFailed as error:
                    found = error
                self._keys[path] = found
        if isinstance(found, AuthenticationFailed):
            raise AuthenticationFailed(found.cause, host=host, step="connect", remedy=found.remedy)
        return found

    def _read(self, path: Path) -> paramiko.PKey:
        from cryptography.exceptions import UnsupportedAlgorithm
        from paramiko import PKey, SSHException
        from paramiko.pkey import UnknownKeyType

        try:
            if is_encrypted(path):
                return self._decrypt(path)
            return PKey.from_path(path)
        except OSError as error:
            raise AuthenticationFailed(
                f"the key file {path} cannot be read: {error.strerror}",
                remedy="correct ansible_ssh_private_key_file (relative to the inventory) or IdentityFile",
            ) from error
        except (ValueError, TypeError, SSHException, UnknownKeyType, UnsupportedAlgorithm) as error:
            raise AuthenticationFailed(
                f"{path} is not a private key that can be used ({type(error).__name__})",
                remedy="name the private key, not the .pub file; ed25519, ECDSA and RSA are understood",
            ) from error

    def _decrypt(self, path: Path) -> paramiko.PKey:
        from paramiko import PKey, SSHException

        remedy = f"give it to the agent: ssh-add {path}"
        cause = f"the key file {path} is encrypted and no passphrase was given"
        for _ in range(_TRIES):
            passphrase = self._ask(path) if self._ask else None
            if passphrase is None:
                break
            try:
                return PKey.from_path(path, passphrase.reveal())  # type: ignore[arg-type]  # it does want bytes
            except (ValueError, SSHException):
                cause = f"the passphrase does not open {path}"
        raise AuthenticationFailed(cause, remedy=remedy)


def is_encrypted(path: Path) -> bool:
    """Return whether a private key file wants a passphrase, from its header alone.

    Raises:
        OSError: it cannot be read.
    """
    text = path.read_bytes()
    body = _openssh_body(text)
    if body is None:
        return b"ENCRYPTED" in text
    size = int.from_bytes(body[len(_OPENSSH_MAGIC) :][:4], "big")
    return body[len(_OPENSSH_MAGIC) + 4 :][:size] != b"none"


def public_part(path: Path) -> bytes | None:
    """Return the public key that belongs to a private key file, without its passphrase.

    It stands in the clear in OpenSSH's format (PROTOCOL.key), else beside it in `.pub`; None where it is in neither.
    """
    try:
        body = _openssh_body(path.read_bytes())
    except OSError:
        return None
    if body is not None:
        return _first_public(body)
    try:
        words = path.with_name(path.name + ".pub").read_text(errors="replace").split()
        return base64.b64decode(words[1])
    except (OSError, IndexError, ValueError):
        return None


def _openssh_body(text: bytes) -> bytes | None:
    begin, end = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
    start, stop = text.find(begin), text.find(end)
    if start < 0 or stop < 0:
        return None
    try:
        body = base64.b64decode(b"".join(text[start + len(begin) : stop].split()))
    except ValueError:
        return None
    return body if body.startswith(_OPENSSH_MAGIC) else None


def _first_public(body: bytes) -> bytes:
    """Return the fourth string: after cipher, KDF and KDF options comes the count, then the public keys."""
    at = len(_OPENSSH_MAGIC)
    for _ in range(3):
        at += 4 + int.from_bytes(body[at : at + 4], "big")
    at += 4
    size = int.from_bytes(body[at : at + 4], "big")
    return body[at + 4 : at + 4 + size]


@contextmanager
def agent_keys() -> Iterator[tuple[paramiko.AgentKey, ...]]:
    """Give the agent's keys; empty where SSH_AUTH_SOCK names none. An agent's socket serves one caller at a time."""
    from paramiko import Agent, SSHException

    try:
        agent = Agent()
    except (OSError, SSHException):
        yield ()
        return
    try:
        yield agent.get_keys()
    finally:
        agent.close()
