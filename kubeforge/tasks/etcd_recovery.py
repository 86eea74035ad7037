"""Etcd goes on from one member's data, where more than half of the members are gone for good. A person decides that.

What only the others had is given up. Old data are kept aside on every host. The other members come back by `apply`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import lacks_health
from kubeforge.cluster.etcd_survey import Survey, Verdict
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import ETCD_DB, ETCD_DEADLINE, ETCD_MEMBER
from kubeforge.tasks import etcd_runs
from kubeforge.tasks.acting import act
from kubeforge.tasks.etcd_data import aside, end_member, make_anew
from kubeforge.tasks.registry import task

__all__ = ["RECOVER_FROM", "Recovery", "recover"]

RECOVER_FROM: Final = "etcd_recover_from"
"""Variable that names the host whose data are taken."""

# Clients must not see revisions a second time that they have seen with other content: kubernetes.io, etcd disaster
# recovery; what they watch is compacted, so they list anew.
_BUMP: Final = ("--bump-revision", "1000000000", "--mark-compacted")


@task("etcd.recover")
def recover(context: Context) -> Iterator[Action]:
    """Make an etcd of one member out of the data of one host."""
    if context.vars.get(RECOVER_FROM) == context.host.name:
        yield Recovery()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery(Action):
    """The data of this host become all of etcd."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "etcd.recover"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say whose data are taken, and whose are given up.

        Raises:
            UnfitHost: etcd has its quorum, or can have it; this host is no member, or has no data.
        """
        found = etcd_runs.surveyed(run)
        self._refuse(run, found)
        others = [one.host for one in found.holding if one.host != run.context.host.name]
        changes = [
            self._change(f"the data on {name} are older or cut off, and are kept aside", name) for name in others
        ]
        return [*changes, self._change("its data become all of etcd, with this member alone; a copy is kept aside")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Put the others' data aside where they can be reached, then take this host's."""
        context, found = run.context, etcd_runs.surveyed(run)
        self._refuse(run, found)
        done = [self._put_aside(run, one.host) for one in found.holding if one.host != context.host.name]
        end_member(run, context.host, step=self.title)
        flags = ("--skip-hash-check", *_BUMP)
        make_anew(run, ETCD_DB, run.run_id, [context.host], flags, step=self.title)
        act(run, etcd_runs.started(context), step=self.title)
        self._wait(run)
        return [*done, self._change(f"its data are all of etcd; what was there before: {aside(run.run_id)}")]

    def _refuse(self, run: ActionContext, found: Survey) -> None:
        name = run.context.host.name
        if name not in [one.host for one in found.holding]:
            raise UnfitHost(
                "there are no data of etcd to go on from",
                host=name,
                step=self.title,
                remedy=f"hosts that have some: {', '.join(one.host for one in found.holding) or 'none'}",
            )
        if found.verdict is not Verdict.LOST:
            about = "serves" if found.serving else "has the data of more than half of its members"
            raise UnfitHost(
                f"etcd {about}: nothing is to be recovered, and nothing was touched",
                host=name,
                step=self.title,
                evidence=[one.about for one in found.standings if one.lacks is not None],
                remedy="kubeforge apply brings the members back; kubeforge status says what they lack",
            )

    def _put_aside(self, run: ActionContext, name: str) -> Change:
        end_member(run, run.context.inventory.hosts[name], step=self.title)
        run.remote_of(name).run(["mv", "-T", "--", ETCD_MEMBER, aside(run.run_id)])
        act(run, etcd_runs.kubelet(run.context.cluster), step=self.title, host=name)
        return self._change(f"the data on {name} are kept aside: {aside(run.run_id)}", name)

    def _wait(self, run: ActionContext) -> None:
        condition = Condition(
            name="etcd serves with this member alone",
            lacks=lambda: lacks_health(run.remote),
            deadline=ETCD_DEADLINE,
            evidence=lambda: etcd_runs.log(run.remote, run.context.cluster),
        )
        await_condition(condition, run, step=self.title)

    def _change(self, why: str, host: str = "") -> Change:
        return Change(title=f"{self.title} {host}".strip(), verb=Verb.RUN, why=why)
