"""API servers of hosts that leave: pods that ask the Service `kubernetes` are not led to who has gone.

Each API server writes itself into that Service through etcd, and out of it when it ends in order; an entry of one that
cannot is taken away by another once its lease has ended, 15 s, and until then every second or third connection of a pod
to the API goes nowhere (kubernetes/pkg/controlplane/reconcilers/lease.go). So each that lives ends before its member
leaves etcd, and the run waits for the entries of the dead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.inventory.membership import REMADE, departing
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Change, Entry, Queries, Verb
from kubeforge.spec.paths import GATE_DEADLINE
from kubeforge.tasks.parking import ApiServerEnds
from kubeforge.tasks.registry import task

__all__ = ["ServiceForgets", "end_api_server", "leave_service"]

_MANIFEST: Final = manifest_path(API_SERVER)


def _reads(_inventory: Inventory, _host: Host) -> Queries:
    return Queries(stats=(_MANIFEST,))


@task("nodes.end_api_server", reads=_reads)
def end_api_server(context: Context) -> Iterator[Action]:
    """End the API server of a host that leaves, in order, while its member is still one of etcd's."""
    if context.inventory.group(REMADE) and isinstance(context.seen[context.host.name].paths.get(_MANIFEST), Entry):
        yield ApiServerEnds()


@task("nodes.leave_service")
def leave_service(context: Context) -> Iterator[Action]:
    """Wait until the Service `kubernetes` leads to nobody who has left."""
    hosts = departing(context.inventory)
    if hosts and context.inventory.group(REMADE):
        yield ServiceForgets(addresses=tuple(host.address for host in hosts))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceForgets(Action):
    """The Service `kubernetes` leads to none of these addresses.

    Args:
        addresses: of hosts that leave.
    """

    addresses: tuple[str, ...]

    @property
    def title(self) -> str:
        """Its task's name."""
        return "nodes.leave_service"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look whether it does."""
        return [self._change()] if self._lacks(run) else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait until it does not.

        Raises:
            DeadlineExceeded: nobody takes them out.
        """
        condition = Condition(
            name="the Service kubernetes leads to those that stay",
            lacks=lambda: self._lacks(run),
            deadline=GATE_DEADLINE,
            remedy="see that no kube-apiserver runs any more on the hosts that left, then run the same command again",
        )
        await_condition(condition, run, step=self.title)
        return [self._change()]

    def _lacks(self, run: ActionContext) -> str | None:
        found = api_of(run).get("discovery.k8s.io/v1", "EndpointSlice", "kubernetes", "default") or {}
        there = {address for endpoint in found.get("endpoints") or () for address in endpoint["addresses"]}
        left = sorted(there & set(self.addresses))
        return f"it leads to {', '.join(left)}" if left else None

    def _change(self) -> Change:
        return Change(
            title=self.title, verb=Verb.RUN, why=f"wait until pods are not led to {', '.join(self.addresses)}"
        )
