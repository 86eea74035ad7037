"""The nearest known word to one that is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["did_you_mean", "nearest"]

_CUTOFF: Final = 0.6
_FEW: Final = 12


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like `word`, ignoring case, `-` and `_`; None: none does."""
    plain = {_plain(name): name for name in known}
    found = get_close_matches(_plain(word), plain, n=1, cutoff=_CUTOFF)
    return plain[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that helps: the nearest word, else what is known where that is a short list."""
    names = sorted(known)
    match = nearest(word, names)
    if match is not None:
        return f"; did you mean `{match}`?"
    return f"; known here: {', '.join(names)}" if 0 < len(names) <= _FEW else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
