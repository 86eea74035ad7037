"""The one function that quotes shell arguments."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

__all__ = ["join", "quote"]


def quote(argument: str) -> str:
    """Return `argument` as one POSIX-sh word."""
    return shlex.quote(argument)


def join(argv: Iterable[str]) -> str:
    """Return `argv` as one POSIX-sh command line."""
    return " ".join(map(quote, argv))
