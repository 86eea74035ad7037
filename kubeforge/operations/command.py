"""A command that runs unless what it makes is there, or a read-only command says that nothing is due."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from kubeforge.errors import InputError, Problem
from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.becoming import as_user
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join, quote
from kubeforge.secret import Secret

__all__ = ["Command", "check_env", "exports"]


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
        removes: a path; where it is missing, nothing is due.
        user: who runs it and `unless`; empty: root.
        chdir: where both are run; empty: the root directory.
        ok: exit statuses that are good.
        deadline: seconds.
    """

    kind: ClassVar[str] = "command"
    open_ended: ClassVar[bool] = True

    argv: tuple[str, ...]
    creates: str | None = None
    unless: tuple[str, ...] | None = None
    name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: Secret | bytes | None = None
    removes: str | None = None
    user: str = ""
    chdir: str = ""
    ok: tuple[int, ...] = (0,)
    deadline: float = 120.0

    def __post_init__(self) -> None:
        if not self.argv:
            raise InputError([Problem(message="command: argv is empty")])
        if not self.ok:
            raise InputError([Problem(message="command: no exit status is good")])
        check_env(self.env, self.kind)
        for path in (self.creates, self.removes, self.chdir or None):
            if path is not None:
                check_path(path, self.kind)

    @property
    def title(self) -> str:
        """Its kind and name, or the command line."""
        return f"{self.kind} {self.name or join(self.argv)}"

    def observe(self) -> Queries:
        """Ask for what it makes, and whether it is due."""
        return Queries(
            stats=tuple(path for path in (self.creates, self.removes) if path is not None),
            tests=() if self._test is None else (self._test,),
        )

    @property
    def _test(self) -> tuple[str, ...] | None:
        """`unless`, as the command itself is run."""
        if self.unless is None or not (self.user or self.chdir or self.env):
            return self.unless
        lines = (*exports(self.env), *_inside(self.chdir), f"exec {join(as_user(self.user, self.unless))}")
        return ("sh", "-ec", "\n".join(lines))

    def decide(self, seen: Observation) -> Change | None:
        """Run it where it is due."""
        if self.creates is not None and entry_at(self.creates, seen, self.title) is not None:
            return None
        if self.removes is not None and entry_at(self.removes, seen, self.title) is None:
            return None
        if self._test is not None and seen.tests[self._test] == 0:
            return None
        paths: dict[str, Entry | None] = (
            {} if self.creates is None else {self.creates: Entry(stat.S_IFREG | 0o644, made=True)}
        )
        paths |= {} if self.removes is None else {self.removes: None}
        return Change(
            title=self.title,
            verb=Verb.RUN,
            why=self._why,
            guard=self.observe(),
            effect=Observation(paths=paths, tests={} if self._test is None else {self._test: 0}),
            payload=self.stdin,
            lines=(*exports(self.env), *_inside(self.chdir), self._line()),
            touches=() if self.creates is None else (self.creates,),
            deadline=self.deadline,
            every_run=self.creates is None and self.unless is None,
        )

    @property
    def _why(self) -> str:
        if self.creates is not None:
            return f"{self.creates} is missing"
        return "is due" if self.removes is None else f"{self.removes} is there"

    def _line(self) -> str:
        line = join(as_user(self.user, self.argv)) + ("" if self.stdin is None else ' <"$P"')
        if self.ok == (0,):
            return line
        good = " || ".join(f"[ $r -eq {status} ]" for status in self.ok)
        return f"r=0; {line} || r=$?; {good}"


def check_env(env: Mapping[str, str], what: str) -> None:
    """Refuse names that a shell would not take for variables', or take for more than that.

    Raises:
        InputError: names one.
    """
    for name in env:
        if not name.isidentifier() or not name.isascii():
            raise InputError([Problem(message=f"{what}: {name!r} is no name for an environment variable")])


def exports(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines that set environment variables."""
    return tuple(f"export {name}={quote(value)}" for name, value in env.items())


def _inside(folder: str) -> tuple[str, ...]:
    return (f"cd -- {quote(folder)}",) if folder else ()
