"""A value that nothing prints.

Secrets travel inside operations as `Secret`; only the transport's upload takes them out with `reveal()`. Every other
road (repr, str, format, JSON, pickle, diff, journal) shows a mask or refuses.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn

__all__ = ["MASK", "Secret"]

MASK = "••••••"


class Secret:
    """Bytes that must not be shown.

    Args:
        value: the secret bytes; text is taken as UTF-8.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes; the call marks the place where a secret leaves its shell."""
        return self._value

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes, for comparing with what is on a host."""
        return hashlib.sha256(self._value).hexdigest()

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised")
