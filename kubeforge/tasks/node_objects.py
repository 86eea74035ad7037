"""What the cluster's API holds of hosts that come or go: pods that move, Node objects, and who is on one side only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubeforge.cluster.access import api_of
from kubeforge.cluster.draining import DrainOptions
from kubeforge.cluster.membership import Census, take
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import KubeforgeError
from kubeforge.inventory.membership import LEAVING, departing
from kubeforge.inventory.model import Inventory
from kubeforge.operations.model import Change
from kubeforge.tasks.drain import Cordon, Drain
from kubeforge.tasks.drain_options import options_of
from kubeforge.tasks.registry import task
from kubeforge.tasks.reset import NodeGone

__all__ = ["IfNode", "Strangers", "bury", "clear", "close", "forget", "strangers"]

_NODE, _MEMBER = "node", "etcd-member"
_INVENTORY, _CLUSTER = "inventory", "cluster"


@task("nodes.close")
def close(context: Context) -> Iterator[Action]:
    """Let no new pods come to any of several nodes that leave, so that none moves from one to the next."""
    if len(context.inventory.group(LEAVING)) > 1:
        yield IfNode(node=context.host.name, action=Cordon(node=context.host.name))


@task("nodes.clear")
def clear(context: Context) -> Iterator[Action]:
    """Evict the pods of a node that leaves; the options are those of a drain."""
    drain = Drain(node=context.host.name, options=options_of(context.vars), lasting=True)
    yield IfNode(node=context.host.name, action=drain)


@task("nodes.bury")
def bury(context: Context) -> Iterator[Action]:
    """Delete the pods of dead nodes: nobody will say that they have ended, and until then none takes their place."""
    for host in context.inventory.gone:
        yield IfNode(node=host.name, action=Drain(node=host.name, options=DrainOptions(dead=True), lasting=True))


@task("nodes.forget")
def forget(context: Context) -> Iterator[Action]:
    """Delete the Node objects of hosts that leave; what belongs to them (leases, pods) Kubernetes takes away itself."""
    for host in departing(context.inventory):
        yield NodeGone(node=host.name)


@task("nodes.strangers")
def strangers(context: Context) -> Iterator[Action]:
    """Say who is in the cluster and not in the inventory, and the reverse; changes nothing."""
    del context
    yield Strangers()


@dataclass(frozen=True, slots=True, kw_only=True)
class IfNode(Action):
    """An action about a node, where there is that node: a run that was cut off may have gone further.

    Args:
        node: its name.
        action: about it.
    """

    node: str
    action: Action

    @property
    def title(self) -> str:
        """The action's own."""
        return self.action.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask the action, where there is the node."""
        return self.action.plan(run) if self._is_there(run) else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Do it, where there still is the node."""
        return self.action.run(run) if self._is_there(run) else []

    def _is_there(self, run: ActionContext) -> bool:
        return api_of(run).get("v1", "Node", self.node) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers(Action):
    """Says who is on one side only. Changes nothing; where nobody can be asked it says nothing: others will."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "nodes.strangers"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask the API and etcd, and compare."""
        try:
            found = take(api_of(run), run.context.inventory, run.remote_of)
        except KubeforgeError:
            return []
        for text, details in _told(run.context.inventory, found):
            run.remark(text, **details)
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []


def _told(inventory: Inventory, found: Census) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what people are told of each, and what programs are; docs/nodes.md says the latter."""
    for name in found.strange_nodes(inventory):
        advice = f"add it to hosts.yml, or let it go: kubeforge node remove {name} --dead"
        yield (
            f"node {name} is in the cluster and not in the inventory, and nothing is done there: {advice}",
            {"kind": _NODE, "name": name, "missing_from": _INVENTORY},
        )
    for member in found.strange_members(inventory):
        name = member.name or f"{member.id} ({', '.join(member.peer_urls)}, never started)"
        let_go = f"kubeforge node remove {member.name} --dead" if member.name else "etcdctl member remove"
        yield (
            f"member {name} of etcd is on no host that the inventory names for it; let it go by: {let_go}",
            {"kind": _MEMBER, "name": member.name, "id": member.id, "missing_from": _INVENTORY},
        )
    if not found.nodes:
        return
    for name in found.missing_nodes(inventory):
        yield (
            f"{name} is in the inventory and not a node of the cluster: apply, or kubeforge node add {name}, joins it",
            {"kind": _NODE, "name": name, "missing_from": _CLUSTER},
        )
    for name in found.missing_members(inventory):
        yield (
            f"{name} should be a member of etcd and is none: apply, or kubeforge node add {name}, brings it in",
            {"kind": _MEMBER, "name": name, "missing_from": _CLUSTER},
        )
