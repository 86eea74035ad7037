"""Routes between the pods of nodes, for the plain bridge CNI: each node gets one route for every other node.

Which node has which part of the pod network is decided by the cluster while nodes register, so no plan on bare hosts
can know it. A node that joins with `--limit` gets its own routes; the others get theirs in the next full run, and at
once where it joins by `kubeforge node add`. To a node that leaves nobody keeps a route.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubeforge.addons.bridge import pod_routes
from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiUnavailable
from kubeforge.inventory.model import CONTROL_PLANE, WORKERS
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Operation, Verb
from kubeforge.operations.unit import Unit
from kubeforge.spec.model import Cni
from kubeforge.spec.paths import POD_ROUTES, POD_ROUTES_UNIT
from kubeforge.tasks.acting import act, decided
from kubeforge.tasks.registry import task

__all__ = ["PodRoutes", "routes"]


@task("bridge.routes")
def routes(context: Context) -> Iterator[Action]:
    """Route to the pods of all other nodes, where the CNI is the plain bridge."""
    if context.cluster.network.cni is Cni.BRIDGE and context.host.groups & {CONTROL_PLANE, WORKERS}:
        yield PodRoutes()


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRoutes(Action):
    """A script with the routes, and the unit that runs it now and at boot."""

    @property
    def title(self) -> str:
        """Names its task."""
        return "bridge.routes"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Compare with the nodes there are; where there is no API yet, nothing is known."""
        try:
            cidrs = run.context.vault.once("bridge.planned", lambda: _cidrs(api_of(run), run.context))
        except ApiUnavailable:
            why = "which node has which pods is known once they are registered"
            return [Change(title=self.title, verb=Verb.UPDATE, why=why)]
        if not set(_names(run.context)) <= cidrs.keys():
            return [Change(title=self.title, verb=Verb.UPDATE, why="nodes join in this run")]
        return decided(run, self._operations(run, cidrs))

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Write the script and run it."""
        cidrs = run.context.vault.once("bridge.run", lambda: _cidrs(api_of(run), run.context))
        return act(run, self._operations(run, cidrs), step=self.title, remedy=f"on the host: sh {POD_ROUTES}")

    def _operations(self, run: ActionContext, cidrs: Mapping[str, str]) -> list[Operation]:
        context = run.context
        operations: list[Operation] = [Directory(path=POD_ROUTES.rpartition("/")[0])]
        files = pod_routes(context.cluster, context.inventory, context.host, cidrs)
        operations += [File(path=path, content=text.encode()) for path, text in files.items()]
        name = POD_ROUTES_UNIT.rpartition("/")[2]
        return [*operations, Unit(name=name, listens=tuple(f"file {path}" for path in files))]


def _cidrs(api: Api, context: Context) -> dict[str, str]:
    """Return name -> part of the pod network, of nodes that are to stay: one that leaves may still be registered."""
    found = {node["metadata"]["name"]: node["spec"].get("podCIDR") for node in api.objects("v1", "Node")}
    return {name: cidr for name, cidr in found.items() if cidr and name in _names(context)}


def _names(context: Context) -> list[str]:
    return [host.name for host in context.inventory.hosts.values() if host.groups & {CONTROL_PLANE, WORKERS}]
