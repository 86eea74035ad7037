"""What hosts print, without the secrets that were sent to them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kubeforge.secret import MASK, Secret

__all__ = ["masked"]

SHORTEST_SECRET: Final = 6
"""Bytes; a shorter secret is not looked for in output, as it would mask ordinary words."""


def masked(output: bytes, payloads: Iterable[object]) -> str:
    """Return output as text, without any secret that was uploaded, whole or line by line."""
    for payload in payloads:
        if isinstance(payload, Secret):
            words = {payload.reveal(), *payload.reveal().splitlines()}
            for word in sorted(words, key=len, reverse=True):
                if len(word) >= SHORTEST_SECRET:
                    output = output.replace(word, MASK.encode())
    return output.decode("utf-8", "replace")
