"""Takes a host back to what it was before kubeforge came. Logs in the journal, packages and loaded modules stay.

What act changed is taken back from the generations kept on the host; what Kubernetes made by itself at run time
(containers, mounts, links, firewall rules, data) no generation knows: it is taken away by name, or as what came to its
directories since (see `before`). A host without a record of ours is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.access import connect
from kubeforge.engine import generations
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiUnavailable
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.render import render
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, Verb
from kubeforge.operations.restore import Steps
from kubeforge.operations.shell import join
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import (
    BIN,
    CONTAINERD_DATA,
    CONTAINERD_NAMESPACE,
    CONTAINERD_RUN,
    CONTAINERD_SOCKET,
    CONTAINERD_STORE,
    ETCD_UNIT,
    KUBELET,
    KUBELET_CONF,
    STATE,
)
from kubeforge.spec.runtime import Depth
from kubeforge.tasks.before import BEFORE_QUERIES, Land, cleared, lands, unknown
from kubeforge.tasks.etcd_runs import UNIT
from kubeforge.tasks.registry import task
from kubeforge.tasks.remark import Remark
from kubeforge.tasks.rights import need_root

__all__ = ["Farewell", "NodeGone", "forget", "leaving", "remove", "stop"]

_LINKS: Final = ("cni0", "flannel.1", "kube-ipvs0")
_CHAINS: Final = ("KUBE-", "FLANNEL-", "CNI-", "flanneld masq")
_NFT_TABLES: Final = ("ip:kube-proxy", "ip6:kube-proxy", "ip:flannel-ipv4", "ip6:flannel-ipv6")
_OF_PODS: Final = (f"io.containerd.runtime.v2.task/{CONTAINERD_NAMESPACE}", "io.containerd.grpc.v1.cri")
"""What in containerd's directories is of pods alone."""
_UNTOUCHED: Final = (
    f"{KUBELET_CONF} is there, but nothing says that kubeforge ever changed this host: it is left as it is. What "
    "kubeadm made, `kubeadm reset` takes away"
)


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    here = Queries(stats=(STATE, KUBELET_CONF, ETCD_UNIT))
    return Queries.merge((generations.LEDGER_QUERIES, BEFORE_QUERIES, here))


@task("reset.stop", reads=_reads)
def stop(context: Context) -> Iterator[Operation | Action]:
    """Stop the kubelet, end all containers, stop the container runtime; stop etcd where it is a service."""
    need_root(context, "reset.stop")
    leaving(context).add(context.host.name)
    ledger = _ledger(context)
    if not ledger.generations:
        if _has(context, KUBELET_CONF):
            yield Remark(about="reset", text=_UNTOUCHED)
        return
    land = lands(_seen(context), ledger)[CONTAINERD_DATA]
    shared = _has(context, CONTAINERD_DATA) and (land.stays is None or CONTAINERD_STORE in land.stays)
    yield Unit(name="kubelet.service", enabled=False, state="stopped")
    script = render(
        "reset/containers.sh", bin=BIN, namespace=CONTAINERD_NAMESPACE, socket=CONTAINERD_SOCKET, shared=shared
    )
    why = "and images end with the cluster; what others keep in containerd stays" if shared else "end with the cluster"
    yield Steps(name="containers of Kubernetes", why=why, lines=(script,), verb=Verb.STOP)
    yield Unit(name="containerd.service", enabled=False, state="stopped")
    if _has(context, ETCD_UNIT):
        yield Unit(name=UNIT, enabled=False, state="stopped")


@task("reset.forget", reads=_reads)
def forget(context: Context) -> Iterator[Action]:
    """Remove the node from a cluster that lives on without it."""
    yield NodeGone(node=context.host.name)


@task("reset.remove", reads=_reads)
def remove(context: Context) -> Iterator[Operation | Action]:
    """Remove mounts, links, firewall rules and data; put back every file, unit and parameter as it was."""
    seen, ledger = _seen(context), _ledger(context)
    if ledger.generations:
        yield from unknown(seen, ledger)
        yield _remains(lands(seen, ledger), seen)
        yield from cleared(seen, ledger)
        yield from generations.reset(ledger)
    if ledger.generations or (_has(context, STATE) and not _has(context, KUBELET_CONF)):
        yield Farewell()  # also where an earlier one was cut off


def _remains(found: Mapping[str, Land], seen: Observation) -> Steps:
    """What is no file goes: mounts first, because directories are not removed across them.

    A directory that a pod's start makes between the plan and the end of all pods goes here, too.
    """
    missing = {path for path in found if not isinstance(seen.paths.get(path), Entry)}
    alone = {path for path, land in found.items() if land.directory.depth is Depth.ITSELF}
    late = [path for path, land in found.items() if land.goes and path in missing - alone]
    empty = [path for path, land in found.items() if path in alone and not land.stays]
    script = render(
        "reset/remains.sh",
        mounts=tuple(_mounts(found)),
        links=_LINKS,
        chains=_CHAINS,
        nft_tables=_NFT_TABLES,
        empty=empty,
    )
    stays = found[KUBELET].stays or {}
    folders = "".join(f"{path}\n" for path, entry in stays.items() if entry.kind == "d")
    return Steps(
        name="mounts, links and rules of Kubernetes",
        why="were made by it, or by its addons",
        lines=(f"set -- {join(late)}", script),
        verb=Verb.REMOVE,
        payload=folders.encode("utf-8", "surrogateescape"),
    )


def _mounts(found: Mapping[str, Land]) -> Iterator[str]:
    """Yield below which paths everything mounted is of pods."""
    if found[KUBELET].stays is None:
        yield from (f"{KUBELET}/pods", f"{KUBELET}/plugins/kubernetes.io")
    else:
        yield KUBELET
    for path in (CONTAINERD_DATA, CONTAINERD_RUN):
        if found[path].goes:
            yield path
        else:
            yield from (f"{path}/{name}" for name in _OF_PODS)


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
            run.remark(f"the cluster cannot be told that {self.node} leaves: {error.cause}")
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


def _seen(context: Context) -> Observation:
    return context.seen[context.host.name]


def _ledger(context: Context) -> generations.Ledger:
    return generations.read_ledger(_seen(context))


def _has(context: Context, path: str) -> bool:
    return isinstance(_seen(context).paths.get(path), Entry)
