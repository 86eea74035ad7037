"""A group of users."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from kubeforge.errors import InputError, Problem
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join, quote

__all__ = ["NAME", "Group"]

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?")
"""Of a user or group, as the useradd and groupadd of Debian and RHEL take it; what is longer they refuse."""
_NO_SUCH_GROUP = 6  # groupdel(8): gone already


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Operation):
    """A group.

    Args:
        name: as in /etc/group.
        gid: its number; None: any.
        system: whether a new one gets a number of the system's range.
        state: there or not.
    """

    kind: ClassVar[str] = "group"

    name: str
    gid: int | None = None
    system: bool = False
    state: Literal["present", "absent"] = "present"

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError([Problem(message=f"group: {self.name!r} is no name of a group")])

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    @property
    def probe(self) -> str:
        """Prints the group's line."""
        return f"getent group {quote(self.name)}"

    def observe(self) -> Queries:
        """Ask whether there is one, wherever groups are kept."""
        return Queries(outputs=(self.probe,))

    def decide(self, seen: Observation) -> Change | None:
        """Make it, give it another number, or remove it."""
        fields = seen.outputs.get(self.probe, "").strip().split(":")
        there = len(fields) >= 3
        if self.state == "absent":
            return self._change(Verb.REMOVE, "is there", ("groupdel", "--", self.name), "") if there else None
        number = ("--gid", str(self.gid)) if self.gid is not None else ()
        if not there:
            options = (*number, *(("--system",) if self.system else ()))
            added = f"{self.name}:x:{'' if self.gid is None else self.gid}:"
            return self._change(Verb.CREATE, "is missing", ("groupadd", *options, "--", self.name), added)
        if self.gid is None or fields[2] == str(self.gid):
            return None
        changed = ":".join([*fields[:2], str(self.gid), *fields[3:]])
        return self._change(Verb.UPDATE, f"gid is {fields[2]}", ("groupmod", *number, "--", self.name), changed)

    def _change(self, verb: Verb, why: str, argv: tuple[str, ...], after: str) -> Change:
        gone = f"{join(('groupdel', '--', self.name))} || [ $? -eq {_NO_SUCH_GROUP} ]"
        return Change(
            title=self.title,
            verb=verb,
            why=why,
            effect=Observation(outputs={self.probe: after}),
            lines=(join(argv),),
            undo=(gone,) if verb is Verb.CREATE else (),
        )
