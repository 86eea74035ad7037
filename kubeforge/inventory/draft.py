"""What a format's reader fills: groups, hosts and variables as they were written, each value with its place.

The seam between formats and the rest: a reader for another format (INI, a program's JSON) fills a `Draft`, and nothing
after it needs to know. No merging, no rendering, no check of meaning here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from kubeforge.errors import Problem

__all__ = ["ALL", "UNGROUPED", "Draft", "DraftGroup", "DraftHost", "Variables", "Written", "suggestion"]

ALL: Final = "all"
UNGROUPED: Final = "ungrouped"


@dataclass(frozen=True, slots=True)
class Written:
    """A variable's value and its place.

    Args:
        value: as parsed; text may hold Jinja.
        file: path as the user gave it; None: the command line.
        line: 1-based.
        literal: never rendered (`!unsafe`).
    """

    value: Any
    file: str | None = None
    line: int | None = None
    literal: bool = False


Variables = dict[str, Written]


@dataclass(slots=True)
class DraftHost:
    """A host as far as it is read; `vars` are those beside its name, `file_vars` those of host_vars."""

    name: str
    file: str | None = None
    line: int | None = None
    vars: Variables = field(default_factory=dict)
    file_vars: Variables = field(default_factory=dict)


@dataclass(slots=True)
class DraftGroup:
    """A group as far as it is read; `hosts` and `children` are names -> line; `file_vars` those of group_vars."""

    name: str
    file: str | None = None
    line: int | None = None
    hosts: dict[str, int | None] = field(default_factory=dict)
    children: dict[str, int | None] = field(default_factory=dict)
    vars: Variables = field(default_factory=dict)
    file_vars: Variables = field(default_factory=dict)


@dataclass(slots=True)
class Draft:
    """Everything read so far, in the order it was written."""

    hosts: dict[str, DraftHost] = field(default_factory=dict)
    groups: dict[str, DraftGroup] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def group(self, name: str, *, file: str | None = None, line: int | None = None) -> DraftGroup:
        """Return the group `name`, made now if it is new."""
        return self.groups.setdefault(name, DraftGroup(name, file, line))

    def host(self, name: str, *, file: str | None = None, line: int | None = None) -> DraftHost:
        """Return the host `name`, made now if it is new."""
        return self.hosts.setdefault(name, DraftHost(name, file, line))


def suggestion(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `; did you mean x?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""
