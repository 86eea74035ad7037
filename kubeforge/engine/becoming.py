"""Who does what a task says: `become` and `become_user`, over what the inventory says of the host.

Only root may keep what was there before, so a host is entered as root wherever a playbook says anything of `become`;
what others do is done by root becoming them (operations.becoming), in the same round trips as everything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.engine.playbook import TaskCall
from kubeforge.inventory.model import Connection
from kubeforge.operations.attributes import beside
from kubeforge.operations.becoming import LOGIN, AsUser, as_user, done_by, tested_by
from kubeforge.operations.model import Change, Observation, Operation, Queries, Result
from kubeforge.operations.notified import Notified, Notifying
from kubeforge.secret import Secret
from kubeforge.transport.base import ByteSocket, Completed, Remote

__all__ = ["done_as", "enters_as_root", "raised", "user_of"]

_ROOT = "root"


def enters_as_root(connection: Connection) -> bool:
    """Return whether commands there run as root, as far as the inventory tells."""
    if connection.become:
        return connection.become_user == _ROOT
    return os.geteuid() == 0 if connection.kind == "local" else connection.user == _ROOT


def raised(connection: Connection, calls: Iterable[TaskCall]) -> Connection:
    """Return how a host is entered so that these calls can be done there; the same where nothing has to change."""
    said = [call for call in calls if call.become is not None]
    if connection.become:
        needed = any(call.become_user or not call.become for call in said)
    else:
        needed = any(call.become for call in said)
    if not needed or enters_as_root(connection):
        return connection
    asked = connection.become_user
    own = asked if connection.become else ""
    return replace(connection, become=True, become_user=_ROOT, own_user=own, asked_user=asked)


def user_of(call: TaskCall, connection: Connection, named: str) -> str:
    """Return who does a call: a name, or LOGIN; empty: who is entered.

    Args:
        call: says it, or nothing.
        connection: how the host is entered; see `raised`.
        named: its `become_user`, filled.
    """
    if call.become is False:
        user = LOGIN if connection.become else ""
    elif call.become:
        user = named or _asked(connection)
    elif connection.own_user is None:
        user = ""
    else:
        user = connection.own_user or LOGIN
    return "" if user == _ROOT else user


def _asked(connection: Connection) -> str:
    """Return who does what is done by `become: true` alone; empty: who is entered."""
    if connection.own_user is not None:
        return connection.asked_user
    return "" if connection.become else connection.become_user


def done_as(items: Iterable[Operation | Action], user: str, said: frozenset[str]) -> Iterator[Operation | Action]:
    """Yield what a task gave, done by `user`.

    Args:
        items: of the task.
        user: a name, or LOGIN.
        said: the arguments that the call gives.
    """
    for item in items:
        if isinstance(item, Operation):
            yield _operation(item, user, said)
        else:
            yield BecomingAction(action=item, user=user)


def _operation(item: Operation, user: str, said: frozenset[str]) -> Operation:
    if isinstance(item, Notified | Notifying):  # their stamps are root's
        return replace(item, operation=_operation(item.operation, user, said))
    return AsUser(operation=item, user=user, said=said & {"owner", "group"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BecomingAction(Action):
    """An action whose commands, reads and writes on its own host are done by somebody else.

    Args:
        action: as its task made it.
        user: a name, or LOGIN.
    """

    action: Action
    user: str

    @property
    def title(self) -> str:
        """The action's own."""
        return self.action.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Plan as the action does."""
        return self.action.plan(_Run(run, self.user))

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Do it."""
        return self.action.run(_Run(run, self.user))

    def traces(self) -> Queries:
        """As the action."""
        return self.action.traces()

    def was_done(self, seen: Observation, began: float) -> bool | None:
        """As the action."""
        return self.action.was_done(seen, began)


@dataclass(frozen=True, slots=True)
class _Run:
    """See model.ActionContext; its own host is another user's."""

    run: ActionContext
    user: str

    @property
    def context(self) -> Context:
        return self.run.context

    @property
    def remote(self) -> Remote:
        return _UserRemote(self.run.remote, self.user)

    @property
    def expected(self) -> Observation:
        return self.run.expected

    @property
    def pending(self) -> bool:
        return self.run.pending

    @property
    def run_id(self) -> str:
        return self.run.run_id

    def remote_of(self, host: str) -> Remote:
        return self.remote if host == self.context.host.name else self.run.remote_of(host)

    def say(self, message: str) -> None:
        self.run.say(message)

    def remark(self, text: str, **details: str) -> None:
        self.run.remark(text, **details)

    def checkpoint(self) -> None:
        self.run.checkpoint()


class _UserRemote:
    """A host on which somebody else runs, reads, writes and acts. Looking stays root's, but for tests."""

    def __init__(self, remote: Remote, user: str) -> None:
        self._remote = remote
        self._user = user

    @property
    def host(self) -> str:
        return self._remote.host

    def observe(self, queries: Queries) -> Observation:
        tests = tested_by(self._user, queries.tests)
        seen = self._remote.observe(replace(queries, tests=tuple(tests.values())))
        return replace(seen, tests={argv: seen.tests[asked] for argv, asked in tests.items()})

    def act(self, changes: Sequence[Change], seen: Observation, *, run_id: str) -> list[Result]:
        asked = Queries.merge(change.guard for change in changes).tests
        tests = tested_by(self._user, asked)
        mine = [self._done_by(change, tests) for change in changes]
        known = {tests.get(argv, argv): status for argv, status in seen.tests.items()}
        return self._remote.act(mine, replace(seen, tests=known), run_id=run_id)

    def _done_by(self, change: Change, tests: dict[tuple[str, ...], tuple[str, ...]]) -> Change:
        guard = replace(change.guard, tests=tuple(tests[argv] for argv in change.guard.tests))
        return replace(done_by(self._user, change), guard=guard)

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | Secret = b"",
        deadline: float = 60.0,
        expect: Sequence[int] = (0,),
    ) -> Completed:
        return self._remote.run(as_user(self._user, argv), stdin=stdin, deadline=deadline, expect=expect)

    def read(self, path: str) -> bytes:
        return self.run(("cat", "--", path)).stdout

    def write(self, path: str, content: bytes | Secret, *, mode: int = 0o600) -> None:
        script = 'umask 077; rm -f -- "$1"; cat >"$1"; chmod -- "$3" "$1"; mv -fT -- "$1" "$2"'
        self.run(("sh", "-ec", script, "write", beside(path), path, f"{mode:04o}"), stdin=content)

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        return self._remote.open_tunnel(host, port)

    def close(self) -> None:
        self._remote.close()
