"""Values that cross other people's processes: pickled, encrypted and authenticated, passwords and keys among them.

A scheduler keeps what passes it in memory, shows it on its page and may log it: it sees bytes. The key is a file that
controller and workers have; whoever has it can make workers do anything, and nothing is unpickled without it.
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kubeforge import __version__
from kubeforge.errors import InputError, Problem, ProtocolError
from kubeforge.secret import Secret

__all__ = ["KEY_VARIABLE", "Seal"]

KEY_VARIABLE: Final = "KUBEFORGE_EXECUTOR_KEY"
"""Names the file with the key, on the controller and on every worker."""

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12  # NIST SP 800-38D, 8.2: 96 random bits
_ABOUT: Final = f"kubeforge {__version__}".encode()  # what another version packed is not opened


class Seal:
    """Packs and opens values.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @staticmethod
    def of_environment(environment: Mapping[str, str] = os.environ) -> Seal:
        """Return the seal with this process's key.

        Raises:
            InputError: there is no key, others may read it, or it is none.
        """
        name = environment.get(KEY_VARIABLE)
        if not name:
            raise _unusable("is not set", None)
        path = Path(name)
        try:
            is_private = path.stat().st_mode & 0o077 == 0
            key = path.read_bytes()
        except OSError as error:
            raise _unusable(f"cannot be read: {error.strerror}", path) from None
        if not is_private:
            raise _unusable("others may read it", path)
        if len(key) != _KEY_BYTES:
            raise _unusable(f"has {len(key)} bytes, and a key has {_KEY_BYTES}", path)
        return Seal(key)

    def close(self, value: Any) -> bytes:
        """Return `value` as bytes that tell nothing but their length.

        Raises:
            TypeError: something in it is no plain value.
        """
        packed = io.BytesIO()
        pickler = pickle.Pickler(packed, protocol=pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = copyreg.dispatch_table | {Secret: _packed_secret}
        try:
            pickler.dump(value)
        except (pickle.PicklingError, AttributeError) as error:
            raise TypeError(f"this cannot go to another process: {error}") from None
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, packed.getvalue(), _ABOUT)

    def open(self, sealed: bytes) -> Any:
        """Return what was closed.

        Raises:
            ProtocolError: it was closed with another key or by another version, or was changed on its way.
        """
        try:
            packed = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _ABOUT)
        except (InvalidTag, ValueError):
            raise ProtocolError(
                "what came through the executor cannot be opened: another key, another version, or changed on its way",
                step="executor",
                remedy=f"give workers and controller the same kubeforge and the same file in {KEY_VARIABLE}",
            ) from None
        return pickle.loads(packed)  # noqa: S301 - authenticated: it is from who has the key


def _packed_secret(secret: Secret) -> tuple[Callable[[], Secret], tuple[()]]:
    return partial(Secret, secret.reveal()), ()


def _unusable(why: str, path: Path | None) -> InputError:
    remedy = f"head -c {_KEY_BYTES} /dev/urandom >KEY with mode 0600, the same on every worker, and {KEY_VARIABLE}=KEY"
    return InputError(
        [Problem(message=f"the executor's key ({KEY_VARIABLE}) {why}", file=str(path or ""))], remedy=remedy
    )
