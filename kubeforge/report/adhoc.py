"""Output of commands on many hosts: line by line as it comes, or once for all hosts that said the same."""

from __future__ import annotations

import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import IO

from rich.console import Console
from rich.text import Text

from kubeforge.engine.adhoc import Answer, alike
from kubeforge.report.words import counted, span

__all__ = ["Lines", "as_data", "print_ends", "print_groups"]

_LONGEST = 64 * 1024
"""Bytes of a line without an end that are shown at once."""
_CONTINUES = 0x80
"""The upper two bits of a byte that begins no character in UTF-8."""


class Lines:
    """Shows what hosts print, whole lines only, each behind its host's name; with one host as it is.

    Args:
        hosts: everybody who may print; their names are put in one column.
        out: bytes go there.
    """

    def __init__(self, hosts: Sequence[str], out: IO[bytes] | None = None) -> None:
        self._width = max(map(len, hosts), default=0)
        self._alone = len(hosts) == 1
        self._out = out or sys.stdout.buffer
        self._begun: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def __call__(self, host: str, piece: bytes) -> None:
        """Show what is whole of what a host has printed; on any thread."""
        with self._lock:
            if self._alone:
                self._out.write(piece)
                self._out.flush()
                return
            *lines, rest = (self._begun.pop(host, b"") + piece).split(b"\n")
            if len(rest) > _LONGEST:
                lines, rest = [*lines, rest], b""
            if rest:
                self._begun[host] = rest
            self._show(host, lines)

    def end(self, host: str) -> None:
        """Show what a host has printed without a newline."""
        with self._lock:
            rest = self._begun.pop(host, b"")
            self._show(host, [rest] if rest else [])

    def _show(self, host: str, lines: Sequence[bytes]) -> None:
        name = f"{host:<{self._width}} | ".encode()
        self._out.write(b"".join(name + line + b"\n" for line in lines))
        self._out.flush()


def print_groups(answers: Sequence[Answer], console: Console) -> None:
    """Print each different answer once, the one that most hosts gave first."""
    for group in alike(answers):
        first = group[0]
        names = ", ".join(answer.host for answer in group)
        head = Text(f"{counted(len(group), 'host')}: ", style="bold").append(names)
        console.print(head.append(f"  {_end(first)}", style="dim" if first.good else "red"), soft_wrap=True)
        for line in _output(first):
            console.print(Text(f"  {line}"), soft_wrap=True)


def print_ends(answers: Sequence[Answer], console: Console) -> None:
    """Print how it ended where it did not end well, and one line about all."""
    bad = [answer for answer in answers if not answer.good]
    for answer in bad:
        console.print(Text(f"{answer.host}: {_end(answer)}", style="red"), soft_wrap=True)
        if answer.failure and answer.failure.remedy:
            console.print(Text(f"  next: {answer.failure.remedy}"), soft_wrap=True)
    longest = max((answer.seconds for answer in answers), default=0.0)
    told = (
        f"{counted(len(answers) - len(bad), 'host')} of {len(answers)} ended with 0, the slowest after {span(longest)}"
    )
    console.print(Text(told, style="bold red" if bad else "dim"), soft_wrap=True)


def as_data(answers: Sequence[Answer]) -> list[dict[str, object]]:
    """Return answers as plain data; output that is no UTF-8 stands there byte for byte, too, as `output_base64`."""
    return [
        {
            "host": answer.host,
            "status": answer.status,
            **_output_data(answer),
            "size": answer.size,
            "sha256": answer.digest,
            "seconds": answer.seconds,
            "failure": answer.failure.cause if answer.failure else None,
        }
        for answer in answers
    ]


def _output_data(answer: Answer) -> dict[str, str]:
    kept = answer.output
    if answer.size > len(kept):  # where it was cut, a character may have been, too
        kept = kept[next((place for place in range(len(kept[:4])) if kept[place] & 0xC0 != _CONTINUES), 0) :]
    try:
        return {"output": kept.decode("utf-8")}
    except UnicodeDecodeError:
        shown = answer.output.decode("utf-8", "replace")
        return {"output": shown, "output_base64": b64encode(answer.output).decode("ascii")}


def _end(answer: Answer) -> str:
    return answer.failure.cause if answer.failure else f"status {answer.status}"


def _output(answer: Answer) -> Iterator[str]:
    hidden = answer.size - len(answer.output)
    if hidden:
        yield f"… {hidden} bytes before this are not shown"
    yield from answer.output.decode("utf-8", "replace").splitlines()
