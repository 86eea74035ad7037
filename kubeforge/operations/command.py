"""A command that runs unless what it makes is there, or a read-only command says that nothing is due."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from kubeforge.errors import InputError, Problem
from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join, quote
from kubeforge.secret import Secret

__all__ = ["Command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Operation):
    """One command, without a shell around it.

    Without `creates` and `unless` it runs at every apply.

    Args:
        argv: the command; it is shown in plans and process lists, so never a secret.
        creates: a path; where it exists, nothing is due. It is taken back with the generation.
        unless: a read-only command; where it succeeds, nothing is due.
        name: for the title, where argv is long.
        env: environment variables for it; never a secret.
        stdin: what it reads; empty input otherwise.
        deadline: seconds.
    """

    kind: ClassVar[str] = "command"

    argv: tuple[str, ...]
    creates: str | None = None
    unless: tuple[str, ...] | None = None
    name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: Secret | bytes | None = None
    deadline: float = 120.0

    def __post_init__(self) -> None:
        if not self.argv:
            raise InputError([Problem(message="command: argv is empty")])
        for name in self.env:
            if not name.isidentifier() or not name.isascii():
                raise InputError([Problem(message=f"command: {name!r} is no name for an environment variable")])
        if self.creates is not None:
            check_path(self.creates, self.kind)

    @property
    def title(self) -> str:
        """Its kind and name, or the command line."""
        return f"{self.kind} {self.name or join(self.argv)}"

    def observe(self) -> Queries:
        """Ask for what it makes, and whether it is due."""
        return Queries(
            stats=(self.creates,) if self.creates is not None else (),
            tests=(self.unless,) if self.unless is not None else (),
        )

    def decide(self, seen: Observation) -> Change | None:
        """Run it where it is due."""
        if self.creates is not None and entry_at(self.creates, seen, self.title) is not None:
            return None
        if self.unless is not None and seen.tests[self.unless] == 0:
            return None
        exports = tuple(f"export {name}={quote(value)}" for name, value in self.env.items())
        made = {} if self.creates is None else {self.creates: Entry(stat.S_IFREG | 0o644)}
        return Change(
            title=self.title,
            verb=Verb.RUN,
            why=f"{self.creates} is missing" if self.creates is not None else "is due",
            guard=self.observe(),
            effect=Observation(paths=made, tests={} if self.unless is None else {self.unless: 0}),
            payload=self.stdin,
            lines=(*exports, join(self.argv) + ("" if self.stdin is None else ' <"$P"')),
            touches=() if self.creates is None else (self.creates,),
            deadline=self.deadline,
            every_run=self.creates is None and self.unless is None,
        )
