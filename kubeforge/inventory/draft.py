"""What a format's reader fills: groups, hosts and variables as they were written, each value with its place.

The seam between formats and the rest: the reader of each format (YAML, INI, a program's JSON) fills a `Draft`, and
nothing after it needs to know. No merging, no rendering, no check of meaning here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from kubeforge.errors import Problem

__all__ = [
    "ALL",
    "UNGROUPED",
    "Draft",
    "DraftGroup",
    "DraftHost",
    "Place",
    "Variables",
    "Verbatim",
    "Written",
    "suggestion",
]

ALL: Final = "all"
UNGROUPED: Final = "ungrouped"


class Verbatim(str):
    """A text that is never rendered (`!unsafe`), wherever in a variable it stands."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A variable's value and its place.

    Args:
        value: as parsed; text may hold Jinja.
        file: path as the user gave it; None: the command line.
        line: 1-based.
        literal: never rendered, whatever is in it.
        secret: it stood in a file that ansible-vault has encrypted, or was made of something secret.
    """

    value: Any
    file: str | None = None
    line: int | None = None
    literal: bool = False
    secret: bool = False


Variables = dict[str, Written]
Place = tuple[str | None, int | None]
"""File and line."""


@dataclass(slots=True)
class DraftHost:
    """A host as far as it is read; `vars` are those beside its name."""

    name: str
    file: str | None = None
    line: int | None = None
    vars: Variables = field(default_factory=dict)


@dataclass(slots=True)
class DraftGroup:
    """A group as far as it is read; `hosts` and `children` are names -> line."""

    name: str
    file: str | None = None
    line: int | None = None
    hosts: dict[str, int | None] = field(default_factory=dict)
    children: dict[str, int | None] = field(default_factory=dict)
    vars: Variables = field(default_factory=dict)


@dataclass(slots=True)
class Draft:
    """Everything read so far, in the order it was written.

    Args:
        hosts: by name.
        groups: by name.
        problems: what is wrong.
        facts_come: whether facts are asked later, so that what lacks them is not missed yet.
        wants_facts: hosts whose facts constructed groups look at and do not have.
        of_facts: groups that facts make, where they fit a host: names, and globs of those that are named by values.
    """

    hosts: dict[str, DraftHost] = field(default_factory=dict)
    groups: dict[str, DraftGroup] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    facts_come: bool = False
    wants_facts: set[str] = field(default_factory=set)
    of_facts: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the groups that every inventory has, and that have their group_vars also where nobody wrote them."""
        self.group(ALL).children[UNGROUPED] = None
        self.group(UNGROUPED)

    def group(self, name: str, *, file: str | None = None, line: int | None = None) -> DraftGroup:
        """Return the group `name`, made now if it is new."""
        return self.groups.setdefault(name, DraftGroup(name, file, line))

    def host(self, name: str, *, file: str | None = None, line: int | None = None) -> DraftHost:
        """Return the host `name`, made now if it is new."""
        return self.hosts.setdefault(name, DraftHost(name, file, line))

    def add_host(self, name: str, group: DraftGroup, variables: Variables, *, place: Place, port: int | None) -> None:
        """Put a host into a group; a port written beside the name counts where the host is first named, as in Ansible.

        Args:
            name: without range and port.
            group: of this draft.
            variables: those beside its name.
            place: file and line.
            port: from `name:port`.
        """
        file, line = place
        if port is not None and name not in self.hosts:
            variables = {"ansible_port": Written(port, file, line), **variables}
        group.hosts.setdefault(name, line)
        self.host(name, file=file, line=line).vars.update(variables)


def suggestion(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return `; did you mean x?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""
