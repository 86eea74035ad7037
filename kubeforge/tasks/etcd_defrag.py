"""Gives the room that etcd's databases hold without need back to the disk: one member at a time, the leader last.

A member answers nobody while it does so (etcd.io/docs/v3.6/op-guide/maintenance), so the others must be able to do
without it; and who is asked most, the leader, goes when all others are done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import etcdctl, lacks_health
from kubeforge.cluster.quorum import lacks_quorum_without
from kubeforge.cluster.status.etcd import look_at_etcd
from kubeforge.cluster.status.rows import Etcd, Member
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.manifests.etcd import client_url
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import ETCD_DEADLINE, GATE_DEADLINE, SNAPSHOT_DEADLINE
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.registry import task

__all__ = ["Defragmented", "defrag"]

_WORTH: Final = 0.1  # of the database
_LEAST: Final = 1 << 20  # bytes; a small one is always half empty
_MEBIBYTE: Final = 1 << 20
_NO_SPACE: Final = "NOSPACE"


@task("etcd.defrag")
def defrag(context: Context) -> Iterator[Action]:
    """Defragment all members of etcd, one at a time, the leader last."""
    members = context.inventory.etcd_members
    if members and context.host == members[0]:
        yield Defragmented()


@dataclass(frozen=True, slots=True, kw_only=True)
class Defragmented(Action):
    """No database of etcd holds much room without need, and no alarm about room is left."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "etcd.defrag"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask every member how much it would give back.

        Raises:
            UnfitHost: a member does not serve.
        """
        seen = _seen(run)
        sick = [f"{one.host or one.id}: {one.problem}" for one in seen.members if one.problem]
        if sick:
            raise UnfitHost(
                "not all members of etcd serve; nothing was touched",
                host=run.context.host.name,
                step=self.title,
                evidence=sick,
                remedy="kubeforge status says what mends them",
            )
        return [*(_change(one) for one in _due(seen)), *_alarmed(seen)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Take one after the other, each behind the quorum of the others and its own health."""
        done = []
        for one in _due(_seen(run)):
            run.checkpoint()
            self._wait(run, "etcd can do without it for a moment", partial(_lacks_others, run, one.host), GATE_DEADLINE)
            remote = run.remote_of(one.host)
            remote.run(
                etcdctl("defrag", f"--command-timeout={int(SNAPSHOT_DEADLINE)}s"), deadline=SNAPSHOT_DEADLINE + 10
            )
            self._wait(run, f"the member on {one.host} serves", partial(lacks_health, remote), ETCD_DEADLINE)
            run.say(f"{one.host}: had {_size(one.size)}, of which {_size(one.in_use)} were in use")
            done.append(_change(one))
        return [*done, *self._disarm(run)]

    def _disarm(self, run: ActionContext) -> list[Change]:
        """End the alarm about room, once there is some; a member that is corrupt stays one."""
        seen = _seen(run)
        found = _alarmed(seen)
        if found and all(one.size < one.quota for one in seen.members):
            run.remote.run(etcdctl("alarm", "disarm"))
            return found
        return []

    def _wait(self, run: ActionContext, name: str, lacks: partial[str | None], deadline: float) -> None:
        condition = Condition(
            name=name,
            lacks=lacks,
            deadline=deadline,
            evidence=lambda: etcd_runs.log(run.remote, run.context.cluster),
            remedy="bring back the members that do not serve: kubeforge status; then run it again",
        )
        await_condition(condition, run, step=self.title)


def _seen(run: ActionContext) -> Etcd:
    return look_at_etcd(run.context.inventory.etcd_members, run.remote_of)


def _due(seen: Etcd) -> list[Member]:
    """Return the members that would give back what is worth it, the leader last."""
    worth = [one for one in seen.members if one.size - one.in_use > max(_LEAST, int(one.size * _WORTH))]
    return sorted(worth, key=lambda one: one.leader)


def _alarmed(seen: Etcd) -> list[Change]:
    """Return the end of the alarm about room, where that is the only kind there is: all are disarmed together."""
    kinds = {kind for one in seen.members for kind in one.alarms}
    why = "etcd refuses to write since its room was used up; it has some again"
    return [Change(title=f"alarm {_NO_SPACE}", verb=Verb.REMOVE, why=why)] if kinds == {_NO_SPACE} else []


def _lacks_others(run: ActionContext, host: str) -> str | None:
    members = run.context.inventory.etcd_members
    return lacks_quorum_without(run.remote_of(host), host, [client_url(member) for member in members])


def _change(one: Member) -> Change:
    why = f"uses {_size(one.in_use)} of {_size(one.size)}{'; leads, so it is the last' if one.leader else ''}"
    return Change(title=f"etcd.defrag {one.host}", verb=Verb.RUN, why=why)


def _size(number: int) -> str:
    return f"{number / _MEBIBYTE:.1f} MiB"
