"""What is done as somebody else on a host that is entered as root: by runuser(1), which is part of util-linux. Pure.

Looking stays root's, and so does what is kept of what was there before: only what a change does is done by the other
user, with that user's rights, HOME and groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Final

from kubeforge.errors import BecomeFailed
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries
from kubeforge.operations.shell import join, quote

__all__ = ["LOGIN", "AsUser", "as_user", "done_by", "tested_by"]

LOGIN: Final = ":login"
"""Stands for who logged in, whom sudo then made root; no user's name holds a colon."""

_LOGIN_NAME: Final = '"${SUDO_USER:-root}"'
_HOME: Final = 'HOME=$(getent passwd "$0" | cut -d: -f6) exec "$@"'
_RELAY: Final = f"exec runuser -u {_LOGIN_NAME} -- sh -c '{_HOME}' {_LOGIN_NAME} \"$@\""
_ROOT: Final = "root"
_OWN: Final = ("owner", "group")


def as_user(user: str, argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command as it runs as somebody else, with that user's HOME.

    Args:
        user: a name, or LOGIN; empty: whoever runs it.
        argv: the command.
    """
    if not user:
        return tuple(argv)
    if user == LOGIN:
        return ("sh", "-c", _RELAY, "sh", *argv)
    return ("runuser", "-u", user, "--", "sh", "-c", _HOME, user, *argv)


def tested_by(user: str, tests: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return read-only commands -> as they are run by `user`."""
    return {argv: as_user(user, argv) for argv in tests}


def done_by(user: str, change: Change) -> Change:
    """Return a change whose lines are run by `user`.

    What is staged is given to that user and handed over as an open file: the folder it lies in is root's alone.
    """
    run = join(as_user(user, ("sh", "-ec", "\n".join(("umask 022", "cd /", *change.lines)))))
    if change.payload is None:
        return replace(change, lines=(run,))
    name = _LOGIN_NAME if user == LOGIN else quote(user)
    return replace(change, lines=(f'chown -- {name} "$P"', 'exec 3<"$P"', "P=/dev/fd/3", run))


@dataclass(frozen=True, slots=True, kw_only=True)
class AsUser(Operation):
    """Another operation, done by somebody who is not root. What it makes is that user's.

    Args:
        operation: what shall be true.
        user: a name, or LOGIN.
        said: which of `owner` and `group` the playbook says itself; the others are the user's own.
    """

    kind: ClassVar[str] = "as-user"

    operation: Operation
    user: str
    said: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The operation's own."""
        return self.operation.title

    @property
    def open_ended(self) -> bool:
        """Whether the operation is."""
        return self.operation.open_ended

    @property
    def probe(self) -> str:
        """Prints the user's name and group; nothing where there is no such user."""
        name = _LOGIN_NAME if self.user == LOGIN else quote(self.user)
        return f"id -un -- {name} 2>/dev/null && id -gn -- {name}"

    def observe(self) -> Queries:
        """Ask what the operation asks, its tests as the user, and who that is."""
        asked = self.operation.observe()
        tests = tuple(tested_by(self.user, asked.tests).values())
        return replace(asked, tests=tests, outputs=(*asked.outputs, self.probe))

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the operation does.

        Raises:
            BecomeFailed: there is no such user, and nothing before makes one.
        """
        tests = tested_by(self.user, self.operation.observe().tests)
        name, group = self._who(seen)
        mine = self.operation if name == _ROOT else self._owned(name, group)
        told = {argv: seen.tests[asked] for argv, asked in tests.items() if asked in seen.tests}
        change = mine.decide(replace(seen, tests={**seen.tests, **told}))
        if change is None:
            return None
        guard = replace(change.guard, tests=tuple(tests.get(argv, argv) for argv in change.guard.tests))
        effect = replace(change.effect, tests={tests.get(argv, argv): now for argv, now in change.effect.tests.items()})
        change = replace(change, guard=guard, effect=effect)
        if name == _ROOT:
            return change
        effect = replace(effect, paths=_made(effect.paths, seen, name, group))
        return replace(done_by(name, change), why=f"{change.why} (as {name})", effect=effect)

    def _who(self, seen: Observation) -> tuple[str, str]:
        """Return the user's name and group; of one that is made before, as useradd gives them."""
        name, _, group = seen.outputs.get(self.probe, "").strip().partition("\n")
        if name:
            return name, group
        if not seen.changed.isdisjoint({f"account {self.user}", f"user {self.user}"}):
            return self.user, self.user
        raise BecomeFailed(
            f"there is no user {self.user} to become",
            step=self.title,
            remedy="make it before (user.present), or correct become_user",
        )

    def _owned(self, name: str, group: str) -> Operation:
        """Return the operation with the user in place of root, where the playbook says nothing of an owner.

        Raises:
            BecomeFailed: the playbook says that root is the owner.
        """
        operation: Any = self.operation
        wanted = dict(zip(_OWN, (name, group), strict=True))
        names = {one.name for one in fields(operation)} if is_dataclass(operation) else set()
        known = [one for one in _OWN if one in names and getattr(operation, one) == _ROOT]
        refused = [one for one in known if one in self.said]
        if refused:
            raise BecomeFailed(
                f"{name} cannot give anything to root, whom {' and '.join(refused)} name",
                step=self.title,
                remedy="leave it out, or do this as root (become_user: root)",
            )
        owned: Operation = replace(operation, **{one: wanted[one] for one in known}) if known else operation
        return owned


def _made(paths: Mapping[str, Any], seen: Observation, name: str, group: str) -> dict[str, Any]:
    """Return the paths of an effect: what was not there before is the user's."""

    def owned(path: str, entry: Any) -> Any:
        new = isinstance(entry, Entry) and entry.owner == _ROOT and seen.paths.get(path) is None
        return replace(entry, owner=name, group=group) if new else entry

    return {path: owned(path, entry) for path, entry in paths.items()}
