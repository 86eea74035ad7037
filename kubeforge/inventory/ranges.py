"""Host ranges as Ansible writes them: `w[1:5]`, `web[01:50:2]`, `db-[a:f]`, several in one name."""

from __future__ import annotations

import re
import string
from itertools import product
from typing import Final

__all__ = ["RangeError", "expand", "split_port"]

_RANGE: Final = re.compile(r"\[([^\]]*)\]")
_NUMBERS: Final = re.compile(r"(\d*):(\d+)(?::(\d+))?")
_LETTERS: Final = re.compile(r"([A-Za-z]):([A-Za-z])(?::(\d+))?")
_PORT: Final = re.compile(r"(?P<name>(?:[^:\[\]]|\[[^\]]*\])+):(?P<port>\d{1,5})")
_IPV6: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\]")
_MAX_HOSTS: Final = 100_000


class RangeError(ValueError):
    """A range that cannot be read; the message says why."""


def expand(text: str) -> list[str]:
    """Return the names that `text` stands for; ends included, as in Ansible.

    Raises:
        RangeError: a bracket does not close, or what stands in it is no range.
    """
    if "[" not in text and "]" not in text:
        return [text]
    parts = _RANGE.split(text)
    literal, ranges = parts[0::2], parts[1::2]
    if any("[" in part or "]" in part for part in literal):
        raise RangeError("a bracket is not closed")
    values = [_values(each) for each in ranges]
    total = 1
    for each in values:
        total *= len(each)
    if total > _MAX_HOSTS:
        raise RangeError(f"{total} hosts in one line")
    return [
        "".join(part for pair in zip(literal, (*chosen, ""), strict=True) for part in pair)
        for chosen in product(*values)
    ]


def split_port(name: str) -> tuple[str, int | None]:
    """Return name and port of `name:2222`, `w[1:5]:2222` or `[2001:db8::1]:2222`, as Ansible allows."""
    match = _PORT.fullmatch(name)
    if match is None:
        return name, None
    address = _IPV6.fullmatch(match["name"])
    return address[1] if address else match["name"], int(match["port"])


def _values(text: str) -> list[str]:
    if match := _NUMBERS.fullmatch(text):
        return _numbers(match[1] or "0", match[2], int(match[3] or 1), text)
    if match := _LETTERS.fullmatch(text):
        letters = string.ascii_letters
        first, last = letters.index(match[1]), letters.index(match[2])
        return list(_stepped(letters, first, last, int(match[3] or 1), text))
    raise RangeError(f"[{text}] is not a range like [1:5], [01:50:2] or [a:f]")


def _numbers(first: str, last: str, step: int, text: str) -> list[str]:
    """Count with the first number's width, where it has leading zeros."""
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    if width and len(last) != width:
        raise RangeError(f"[{text}] begins with {width} digits and ends with {len(last)}")
    if int(last) - int(first) > _MAX_HOSTS:
        raise RangeError(f"[{text}] is more than {_MAX_HOSTS} hosts")
    found = [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)] if step else []
    if not found:
        raise RangeError(f"[{text}] holds nothing: it must rise, by a step of at least 1")
    return found


def _stepped(letters: str, first: int, last: int, step: int, text: str) -> str:
    found = letters[first : last + 1 : step] if step else ""
    if not found:
        raise RangeError(f"[{text}] holds nothing: it must rise, by a step of at least 1")
    return found
