"""A host that was down, or whose parts were restarted, does its part in the cluster again: the gate after each host.

Registers no task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubeforge.artifacts.catalogue import image_references
from kubeforge.artifacts.model import Versions
from kubeforge.cluster.access import api_of
from kubeforge.cluster.boots import lacks_ready
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.cordon import cordoned_by, node_of
from kubeforge.cluster.etcd import lacks_health
from kubeforge.cluster.evidence import component_log, kubelet_log
from kubeforge.cluster.processes import lacks_kubelet
from kubeforge.cluster.static_pods import lacks_answer
from kubeforge.documents import Object
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ConnectionFailed
from kubeforge.inventory.model import Host
from kubeforge.manifests.control_plane import API_SERVER, api_server
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.kubelet import cluster_configuration
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import NODE_DEADLINE
from kubeforge.spec.releases import release
from kubeforge.tasks.rolling import Spared

__all__ = ["Back", "back", "heartbeats", "spared"]


def spared(context: Context, name: str) -> Spared | None:
    """Return what asks whether the cluster can do without a host for a moment; None: it has nothing that all need.

    Args:
        context: of the host.
        name: the action's title.
    """
    inventory, host = context.inventory, context.host
    if host not in (*inventory.control_planes, *inventory.etcd_members):
        return None
    servers: tuple[tuple[str, Object], ...] = ()
    if host in inventory.control_planes:
        servers = tuple((one.address, _server(context, one)) for one in inventory.control_planes)
    return Spared(name=name, etcd=host in inventory.etcd_members, servers=servers)


def back(context: Context) -> Back:
    """Return what waits until the context's host does its part again."""
    inventory, host = context.inventory, context.host
    port = int(cluster_configuration(context.cluster)["healthzPort"]) if host.is_node else 0
    return Back(
        node=host.name if host.is_node else "",
        health_port=port,
        etcd=host in inventory.etcd_members,
        server=_server(context, host) if host in inventory.control_planes else None,
    )


def heartbeats(context: Context) -> dict[str, str]:
    """Return when kubelets last reported before this run took them down: node -> the Node's own words."""
    return context.vault.once("maintenance.heartbeats", dict[str, str])


def _server(context: Context, host: Host) -> Object:
    """Return the manifest of a host's API server; only how it is probed is of interest."""
    spec = context.cluster
    images = image_references(Versions.of(release(spec.kubernetes), spec.kubernetes))
    return api_server(spec, context.inventory, host, images, ca_directories=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Back(Action):
    """The host serves: its kubelet lives and its node is Ready, its etcd member has its vote, its API server answers.

    Args:
        node: its name; empty: it is none.
        health_port: of its kubelet; 0: none.
        etcd: whether it has a member.
        server: its API server's manifest; None: it has none.
    """

    node: str
    health_port: int = 0
    etcd: bool = False
    server: Object | None = None

    @property
    def title(self) -> str:
        """Says what is waited for."""
        return "host serves"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Wait where this run changes the host, or an earlier one was cut off between its cordon and its uncordon."""
        due = bool(run.expected.changed)
        if not due and self.node:
            due = cordoned_by(node_of(api_of(run), self.node)) is not None
        return [self._change()] if due else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait.

        Raises:
            DeadlineExceeded: it does not come; what is lacking is named, with the component's own last words.
        """
        condition = Condition(
            name="the host does its part in the cluster again",
            lacks=lambda: self._lacks(run),
            deadline=NODE_DEADLINE,
            evidence=lambda: self._words(run),
            remedy="mend what is shown above, then run the same command again: it goes on from here; until then no "
            "further host is touched, and a node that was drained stays cordoned (kubeforge uncordon gives it back)",
        )
        await_condition(condition, run, step=self.title)
        return [self._change()]

    def _lacks(self, run: ActionContext) -> str | None:
        try:
            remote = run.remote
        except ConnectionFailed as error:  # its network may be started again while it comes up
            return f"it does not answer: {error.cause}"
        if self.etcd and (why := lacks_health(remote)):
            return f"etcd: {why}"
        if self.server is not None and (why := lacks_answer(remote, self.server, address=run.context.host.address)):
            return why
        if not self.node:
            return None
        return lacks_kubelet(remote, self.health_port) or lacks_ready(
            api_of(run).get("v1", "Node", self.node), heartbeats(run.context).get(self.node, "")
        )

    def _words(self, run: ActionContext) -> list[str]:
        names = [name for name, due in ((ETCD, self.etcd), (API_SERVER, self.server is not None)) if due]
        words = [line for name in names for line in component_log(run.remote, name)]
        return words + (kubelet_log(run.remote) if self.node else [])

    def _change(self) -> Change:
        parts = [
            *(["etcd has its vote"] if self.etcd else []),
            *(["the API server answers"] if self.server is not None else []),
            *(["the node is Ready"] if self.node else []),
        ]
        return Change(title=self.title, verb=Verb.RUN, why=f"wait until {', '.join(parts) or 'it answers'}")
