"""Takes a host back to what it was before kubeforge came. Logs in the journal, packages and loaded modules stay.

What act changed is taken back from the generations kept on the host; what Kubernetes made by itself at run time
(containers, mounts, links, firewall rules, data) no generation knows, so it is taken away by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.access import connect
from kubeforge.engine import generations
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiUnavailable
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.render import render
from kubeforge.operations.absent import Absent
from kubeforge.operations.model import Change, Entry, Operation, Queries, Verb
from kubeforge.operations.restore import Steps
from kubeforge.operations.shell import join
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import (
    BIN,
    CNI_CONF,
    CONTAINERD_DATA,
    CONTAINERD_NAMESPACE,
    CONTAINERD_SOCKET,
    CONTAINERD_UNIT,
    ETCD_DATA,
    ETCD_UNIT,
    KUBELET,
    KUBELET_UNIT,
    KUBERNETES,
    STATE,
)
from kubeforge.tasks.etcd_runs import UNIT
from kubeforge.tasks.registry import task
from kubeforge.tasks.rights import need_root

__all__ = ["Farewell", "NodeGone", "forget", "leaving", "remove", "stop"]

_DATA: Final = (
    KUBELET,
    ETCD_DATA,
    CONTAINERD_DATA,
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    "/run/containerd",
    "/run/flannel",
    "/run/nri",
    "/usr/libexec/kubernetes",
    "/etc/cni",
    "/opt/containerd",
)
_EMPTY: Final = ("/run/netns", "/lib/modules")
_MOUNTS: Final = (KUBELET, CONTAINERD_DATA, "/run/containerd")
_LINKS: Final = ("cni0", "flannel.1", "kube-ipvs0")
_CHAINS: Final = ("KUBE-", "FLANNEL-", "CNI-", "flanneld masq")
_NFT_TABLES: Final = ("ip:kube-proxy", "ip6:kube-proxy", "ip:flannel-ipv4", "ip6:flannel-ipv6")
_SIGNS: Final = (STATE, KUBERNETES, KUBELET, KUBELET_UNIT, CONTAINERD_UNIT, ETCD_DATA, ETCD_UNIT, CNI_CONF)
"""Paths of which one is there wherever kubeforge or kubeadm has been."""


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return Queries.merge((generations.LEDGER_QUERIES, Queries(stats=_SIGNS)))


@task("reset.stop", reads=_reads)
def stop(context: Context) -> Iterator[Operation]:
    """Stop the kubelet, end all containers, stop the container runtime; stop etcd where it is a service."""
    need_root(context, "reset.stop")
    leaving(context).add(context.host.name)
    if _is_touched(context):
        yield Unit(name="kubelet.service", enabled=False, state="stopped")
        script = render("reset/containers.sh", bin=BIN, namespace=CONTAINERD_NAMESPACE, socket=CONTAINERD_SOCKET)
        yield Steps(name="containers of Kubernetes", why="end with the cluster", lines=(script,), verb=Verb.STOP)
        yield Unit(name="containerd.service", enabled=False, state="stopped")
        if _is_there(context, ETCD_UNIT):
            yield Unit(name=UNIT, enabled=False, state="stopped")


@task("reset.forget", reads=_reads)
def forget(context: Context) -> Iterator[Action]:
    """Remove the node from a cluster that lives on without it."""
    yield NodeGone(node=context.host.name)


@task("reset.remove", reads=_reads)
def remove(context: Context) -> Iterator[Operation | Action]:
    """Remove mounts, links, firewall rules and data; put back every file, unit and parameter as it was."""
    if not _is_touched(context):
        return
    script = render(
        "reset/remains.sh", mounts=_MOUNTS, links=_LINKS, chains=_CHAINS, nft_tables=_NFT_TABLES, empty=_EMPTY
    )
    yield Steps(
        name="mounts, links, rules and data of Kubernetes",
        why="were made by it, or by its addons",
        lines=(f"set -- {join(_DATA)}", script),
        verb=Verb.REMOVE,
    )
    yield from generations.reset(generations.read_ledger(context.seen[context.host.name]))
    yield Absent(path=KUBERNETES, recursive=True, keep=False)
    yield Farewell()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGone(Action):
    """The Node object of a host that leaves; only where another control plane stays to be told.

    Args:
        node: its name.
    """

    node: str

    @property
    def title(self) -> str:
        """Names the object."""
        return f"object Node {self.node}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look whether it is there; a cluster that goes as a whole is not asked."""
        left = _staying(run)
        if not left:
            return []
        try:
            with_node = connect([partial(run.remote_of, name) for name in left]).get("v1", "Node", self.node)
        except ApiUnavailable as error:
            run.say(f"warning: the cluster cannot be told that {self.node} leaves: {error.cause}")
            return []
        return [Change(title=self.title, verb=Verb.REMOVE, why="leaves the cluster")] if with_node else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Delete it."""
        api = connect([partial(run.remote_of, name) for name in _staying(run)])
        gone = api.delete("v1", "Node", self.node)
        return [Change(title=self.title, verb=Verb.REMOVE, why="left the cluster")] if gone else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell(Action):
    """Our own folder on the host goes last: until then it keeps what was there before."""

    @property
    def title(self) -> str:
        """Names the folder."""
        return f"absent {STATE}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """It is there, or the changes before will have made it."""
        there = run.expected.changed or isinstance(run.context.seen[run.context.host.name].paths.get(STATE), Entry)
        return [self._change()] if there else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Remove it."""
        run.remote.run(generations.FAREWELL)
        return [self._change()]

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.REMOVE, why="is kubeforge's own")


def leaving(context: Context) -> set[str]:
    """Return the hosts this run resets; complete once all tasks have been asked."""
    return context.vault.once("reset.leaving", set[str])


def _staying(run: ActionContext) -> list[str]:
    gone = leaving(run.context)
    return [host.name for host in run.context.inventory.control_planes if host.name not in gone]


def _is_touched(context: Context) -> bool:
    return any(_is_there(context, path) for path in _SIGNS)


def _is_there(context: Context, path: str) -> bool:
    return isinstance(context.seen[context.host.name].paths.get(path), Entry)
