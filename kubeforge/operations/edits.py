"""Changes inside of a text: one line, or a block between two marks. Pure text to text; see `Edited`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

from kubeforge.errors import InputError, Problem

__all__ = ["BlockEdit", "Edit", "LineEdit"]

_DOS = "\r\n"


class Edit(Protocol):
    """What shall be true inside of a text."""

    @property
    def label(self) -> str:
        """What it is about, unique in its file."""

    def apply(self, text: str) -> str:
        """Return the text as it shall be; applied twice it changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEdit:
    """One line.

    Args:
        line: without its end.
        match: a regular expression; the last line it is found in becomes `line`. None: a line equal to it.
        state: there, or nowhere; absent: every line that matches goes.
        after: where no line matches, it goes below the last line in which this expression is found, else to the end.
        before: likewise, above the first one.
    """

    line: str = ""
    match: str | None = None
    state: Literal["present", "absent"] = "present"
    after: str | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        if "\n" in self.line or not (self.line or self.match):
            raise InputError([Problem(message=f"line: {self.line!r} is not one line; a block takes several")])
        for expression in (self.match, self.after, self.before):
            _compiled(expression)

    @property
    def label(self) -> str:
        """The line, or what it is found by."""
        return self.line or str(self.match)

    def apply(self, text: str) -> str:
        """Return the text with the line, or without."""
        rows, end = _rows(text)
        found = [number for number, row in enumerate(rows) if self._is_it(row)]
        if self.state == "absent":
            kept = [row for number, row in enumerate(rows) if number not in found]
            return text if len(kept) == len(rows) else _joined(kept, end)
        if self.line in rows and (not self._is_it(self.line) or rows[found[-1]] == self.line):
            return text
        if found:
            rows[found[-1]] = self.line
        else:
            rows.insert(_place(rows, self.after, self.before), self.line)
        return _joined(rows, end)

    def _is_it(self, row: str) -> bool:
        return row == self.line if self.match is None else re.search(self.match, row) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEdit:
    """Some lines between two marks that tell them again.

    Args:
        name: of the block, unique in its file.
        block: its lines.
        comment: what begins a comment there.
        state: there, or nowhere.
        after: where there is no such block yet, it goes below the last line in which this expression is found.
        before: likewise, above the first one; the end of the file is where a block goes otherwise.
    """

    name: str
    block: str = ""
    comment: str = "#"
    state: Literal["present", "absent"] = "present"
    after: str | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        if "\n" in self.name or not self.name.strip():
            raise InputError([Problem(message=f"block: {self.name!r} is no name of a block")])
        for expression in (self.after, self.before):
            _compiled(expression)

    @property
    def label(self) -> str:
        """The block's name."""
        return f"block {self.name}"

    @property
    def _marks(self) -> tuple[str, str]:
        return f"{self.comment} >>> kubeforge: {self.name}", f"{self.comment} <<< kubeforge: {self.name}"

    def apply(self, text: str) -> str:
        """Return the text with the block in the place of an earlier one, or without."""
        rows, newline = _rows(text)
        begin, end = self._marks
        wanted = [begin, *_rows(self.block)[0], end] if self.state == "present" else []
        if begin in rows:
            first = rows.index(begin)
            last = rows.index(end, first) if end in rows[first:] else first
            new = [*rows[:first], *wanted, *rows[last + 1 :]]
        else:
            at = _place(rows, self.after, self.before)
            new = [*rows[:at], *wanted, *rows[at:]]
        return text if new == rows else _joined(new, newline)


def _place(rows: list[str], after: str | None, before: str | None) -> int:
    """Return where something new goes."""
    if before is not None:
        return next((number for number, row in enumerate(rows) if re.search(before, row)), len(rows))
    if after is not None:
        return max((number + 1 for number, row in enumerate(rows) if re.search(after, row)), default=len(rows))
    return len(rows)


def _rows(text: str) -> tuple[list[str], str]:
    """Return a text's lines, and how they end; form feeds and other signs that Python takes for ends stay in them."""
    end = _DOS if text.count(_DOS) == text.count("\n") > 0 else "\n"
    rows = text.split(end)
    return (rows if rows[-1] else rows[:-1]), end


def _joined(rows: list[str], end: str) -> str:
    return "".join(f"{row}{end}" for row in rows)


def _compiled(expression: str | None) -> None:
    try:
        re.compile(expression or "")
    except re.error as error:
        raise InputError([Problem(message=f"{expression!r} is no regular expression: {error}")]) from None
