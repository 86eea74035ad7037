"""A system user with a group of its own name, for a service to run as."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import InputError, Problem
from kubeforge.operations.attributes import check_path
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import join

__all__ = ["User"]

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_NOLOGIN = "/usr/sbin/nologin"
_NO_SUCH_USER = 6  # userdel(8): gone already


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Operation):
    """A system user that cannot log in. One that is there is left as it is.

    Args:
        name: of user and group.
        home: its home directory; not made.
    """

    kind: ClassVar[str] = "user"
    open_ended: ClassVar[bool] = True

    name: str
    home: str = "/nonexistent"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError([Problem(message=f"user: {self.name!r} is no name of a user")])
        check_path(self.home, self.kind)

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    def observe(self) -> Queries:
        """Ask whether there is such a user, wherever users are kept."""
        return Queries(tests=(self._known,))

    @property
    def _known(self) -> tuple[str, ...]:
        return ("getent", "passwd", self.name)

    def decide(self, seen: Observation) -> Change | None:
        """Make it; taken back, it goes with its group."""
        if seen.tests[self._known] == 0:
            return None
        options = ("--system", "--user-group", "--no-create-home", "--home-dir", self.home, "--shell", _NOLOGIN)
        return Change(
            title=self.title,
            verb=Verb.CREATE,
            why="is missing",
            guard=self.observe(),
            effect=Observation(tests={self._known: 0}),
            lines=(join(("useradd", *options, "--", self.name)),),
            undo=(f"{join(('userdel', '--', self.name))} || [ $? -eq {_NO_SUCH_USER} ]",),
        )
