"""Bootstrap tokens as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from kubeforge.cluster.tokens import KnownToken
from kubeforge.report.words import span

__all__ = ["as_text"]

_TITLES: Final = ("TOKEN", "LEFT", "EXPIRES", "USAGES", "GROUPS", "DESCRIPTION")
_NONE: Final = "-"


def as_text(tokens: Sequence[KnownToken], now: datetime, *, reveal: bool) -> str:
    """Return the table; what is wrong with a token stands at the end of its line.

    Args:
        tokens: in order.
        now: what the remaining time is counted from.
        reveal: show whole tokens.
    """
    rows = [_TITLES, *(_row(token, now, reveal=reveal) for token in tokens)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    problems = ["", *(f"!! {token.problem}" if token.problem else "" for token in tokens)]
    return "".join(f"{line}\n" for line in _lines(rows, widths, problems))


def _lines(rows: Sequence[Sequence[str]], widths: Sequence[int], problems: Sequence[str]) -> Iterator[str]:
    for row, problem in zip(rows, problems, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join((*cells, problem)).rstrip()


def _row(token: KnownToken, now: datetime, *, reveal: bool) -> tuple[str, ...]:
    ends = token.expires
    left = "for ever" if ends is None else span(max(0.0, (ends - now).total_seconds()))
    if token.token is None:
        left = _NONE
    return (
        token.text(reveal=reveal),
        left,
        _NONE if ends is None else ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        ",".join(token.usages) or _NONE,
        ",".join(token.groups) or _NONE,
        token.description or _NONE,
    )
