"""Hosts whose addresses have changed: their control plane is stopped, so that all of it starts anew with the new ones.

What follows is the work of the tasks that write those files anyway; they write them at once, see `moving`. ADR 0078.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.draining import is_mirror, pods_of
from kubeforge.cluster.evidence import kubelet_log
from kubeforge.cluster.kinds import Obj
from kubeforge.cluster.processes import processes
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.inventory.model import CONTROL_PLANE, Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.operations.absent import Absent
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Entry, Queries, Verb
from kubeforge.operations.unit import Unit
from kubeforge.spec.paths import COMPONENT_DEADLINE, MOVED_FROM, NODE_DEADLINE
from kubeforge.tasks import etcd_runs, moving
from kubeforge.tasks.acting import act
from kubeforge.tasks.ending import end_component
from kubeforge.tasks.moving import Move
from kubeforge.tasks.registry import task

__all__ = ["AddressSettled", "HostMoved", "PodsFollow", "moved", "pods", "settled"]

_ENDED: Final = {API_SERVER: "KILL", CONTROLLER_MANAGER: "TERM", SCHEDULER: "TERM"}
"""Component -> signal. In order, an API server without its etcd waits for answers of etcd."""


def _reads(inventory: Inventory, host: Host) -> Queries:
    return moving.reads(inventory, host)


@task("addresses.moved", reads=_reads)
def moved(context: Context) -> Iterator[Action]:
    """Stop the control plane of a host that has another address, and note the old one until everything has followed."""
    move = moving.moved(context)
    if move is not None and moving.is_under_way(context):
        yield HostMoved(move=move)


@task("addresses.pods", reads=_reads)
def pods(context: Context) -> Iterator[Action]:
    """Pods on the network of a host that has moved are started anew: what they said of themselves is fixed for life."""
    move = moving.moved(context)
    if move is not None and context.host.is_node:
        yield PodsFollow(move=move)


@task("addresses.settled", reads=_reads)
def settled(context: Context) -> Iterator[Action]:
    """Everything has followed: the old address is forgotten."""
    move = moving.moved(context)
    if move is not None:
        yield AddressSettled(move=move)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMoved(Action):
    """The address is another one.

    Args:
        move: from where to where.
    """

    move: Move

    @property
    def title(self) -> str:
        """Names what has changed."""
        return "address"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say it, and what follows; once, though a control plane may be among the workers of another play."""
        return [] if self.title in run.expected.changed else [self._change(run.context)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Note the old address, then stop what was made for it.

        The kubelet goes first, and stays down until all manifests are written: one that has not reached its API server
        since it started never ends a static pod (ADR 0060), and the old one leads nowhere.
        """
        note = File(path=MOVED_FROM, content=f"{self.move.old}\n".encode(), mode=0o600)
        act(run, [note], step=self.title)  # its folder is there since the host was first changed
        if CONTROL_PLANE in run.context.host.groups:
            act(run, [Unit(name="kubelet.service", enabled=None, state="stopped")], step=self.title)
            etcd_runs.end(run.remote, run.context.cluster, self._before(run.context.host))
            for component, signal in _ENDED.items():
                end_component(run.remote, component, signal)
            condition = Condition(
                name="the control plane of the old address has ended",
                lacks=lambda: self._still_runs(run),
                deadline=COMPONENT_DEADLINE,
                evidence=lambda: kubelet_log(run.remote),
                remedy="see what keeps it on the host (ps, systemctl status kubelet), then apply again",
            )
            await_condition(condition, run, step=self.title)
        return [self._change(run.context)]

    def _before(self, host: Host) -> Host:
        """Return the host as what runs on it calls it."""
        return replace(host, vars={**host.vars, "ip": self.move.old})

    def _still_runs(self, run: ActionContext) -> str | None:
        running = [name for name in _ENDED if processes(run.remote, name)]
        if running:
            return f"{', '.join(running)} still runs"
        return None if etcd_runs.is_service(run.context.cluster) else etcd_runs.still_runs(run.remote, run.context.host)

    def _change(self, context: Context) -> Change:
        host, inventory = context.host, context.inventory
        follows = ["certificates, kubeconfigs, manifests"] if host in inventory.control_planes else []
        follows += ["peer URL of its etcd member"] if host in inventory.etcd_members else []
        follows += ["kubelet and node"] if host.is_node else []
        why = f"{self.move.old} -> {self.move.new}; what follows: {', '.join(follows)}"
        return Change(title=self.title, verb=Verb.UPDATE, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsFollow(Action):
    """No pod on the host's network says the old address, or has read it when it started.

    Some keep the old one for life (pkg/kubelet/kubelet_pods.go, generateAPIPodStatus: "They are immutable once set").
    Others get the new one when the kubelet starts, and go on with what they have read: seen with flannel, which told
    the other nodes the old address, and no packet came. Those of a controller are deleted; mirror pods are the
    kubelet's own.

    Args:
        move: of the host.
    """

    move: Move

    @property
    def title(self) -> str:
        """Names its task."""
        return "addresses.pods"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - known once the node has followed
        """Say it."""
        return [self._change("pods on the host's network start anew, with its new address")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Delete them until none is left; a pod that nobody would make again is left alone, and named."""
        api, deleted, named = api_of(run), set[str](), set[str]()
        noted = run.remote.observe(Queries(stats=(MOVED_FROM,))).paths[MOVED_FROM]
        since = noted.modified if isinstance(noted, Entry) else None

        def lacks() -> str | None:
            stale = [pod for pod in self._own(api) if self._says(pod) or _is_older(pod, since)]
            for pod in stale:
                self._renew(run, api, pod, deleted, named)
            waiting = [_name(pod) for pod in stale if _name(pod) not in named]
            return f"{', '.join(waiting)} still goes by {self.move.old}" if waiting else None

        condition = Condition(
            name=f"no pod on the host's network goes by {self.move.old}",
            lacks=lacks,
            deadline=NODE_DEADLINE,
            evidence=lambda: kubelet_log(run.remote),
        )
        await_condition(condition, run, step=self.title)
        return [self._change(f"{len(deleted)} pods on the host's network started anew")]

    def _own(self, api: Api) -> Iterator[Obj]:
        """Yield the pods on the host's network that somebody could start anew."""
        for pod in pods_of(api, self.move.host):
            ours = pod["spec"].get("hostNetwork") and pod["spec"].get("nodeName") == self.move.host
            if ours and not is_mirror(pod):
                yield pod

    def _says(self, pod: Obj) -> bool:
        return bool((pod.get("status") or {}).get("podIP") == self.move.old)

    def _renew(self, run: ActionContext, api: Api, pod: Obj, deleted: set[str], named: set[str]) -> None:
        name = _name(pod)
        if not pod["metadata"].get("ownerReferences"):
            if name not in named:
                run.remark(f"{name} says {self.move.old}, and no controller would make it again: it stays")
            named.add(name)
        elif name not in deleted:
            run.say(f"{name} starts anew")
            api.delete("v1", "Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
            deleted.add(name)

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSettled(Action):
    """The note of the old address goes. The last of all: while it lies there, a run that was cut off is gone on with.

    Args:
        move: of the host.
    """

    move: Move

    @property
    def title(self) -> str:
        """Names its task."""
        return "addresses.settled"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - its task gives it only where it is due
        """Say it."""
        return [Change(title=self.title, verb=Verb.REMOVE, why=f"{self.move.old} is forgotten")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Remove it."""
        act(run, [Absent(path=MOVED_FROM, keep=False)], step=self.title)
        return self.plan(run)


def _name(pod: Obj) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _is_older(pod: Obj, since: float | None) -> bool:
    """Whether a container of it ran before `since`, seconds since 1970 by the host's own clock."""
    states = [one.get("state", {}).get("running", {}) for one in (pod.get("status") or {}).get("containerStatuses", ())]
    begun = [datetime.fromisoformat(state["startedAt"]).timestamp() for state in states if state.get("startedAt")]
    return since is not None and any(moment < since for moment in begun)
