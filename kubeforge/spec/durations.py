"""Spans of time as people write them on a command line: Go's notation, which kubeadm and kubectl take. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

__all__ = ["parse_duration", "parse_seconds"]

_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")


def parse_duration(text: str) -> timedelta:
    """Return the span that `24h`, `1h30m`, `90s` or `0` says.

    Raises:
        ValueError: it is none.
    """
    if text == "0":
        return timedelta()
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(f"`{text}` is no duration; write it like 24h, 90m or 1h30m")
    return timedelta(seconds=sum(float(part[1]) * _SECONDS[part[2]] for part in parts))


def parse_seconds(given: object) -> float:
    """Return the seconds that a number of them says, or a span like `90s`.

    Raises:
        ValueError: it is neither, or negative.
    """
    text = str(given).strip()
    try:
        number = float(text)
    except ValueError:
        return parse_duration(text).total_seconds()
    if not 0 <= number < float("inf"):
        raise ValueError(f"`{text}` is no duration; write it like 24h, 90m or 1h30m")
    return number
