"""What the Kubernetes API says: nodes, static pods, leaders, addons, versions. Some lists, asked side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from kubeforge.addons.registry import enabled
from kubeforge.cluster.api import Api
from kubeforge.cluster.kinds import Obj
from kubeforge.cluster.serving import SIGNER, asker, is_pending
from kubeforge.cluster.status.rows import Addon, Node
from kubeforge.manifests.control_plane import CONTROLLER_MANAGER, SCHEDULER
from kubeforge.spec.model import ClusterSpec

__all__ = ["Pod", "Seen", "addons_of", "ask", "leaders_of", "nodes_of", "pods_of"]

_ROLE: Final = "node-role.kubernetes.io/"
_SYSTEM: Final = "kube-system"
_TICK: Final = 1.0  # second; times of nodes have no fractions
_LEASE: Final = 60.0  # seconds; both renew theirs every few seconds, and give way after 15
_GROUPS: Final = {"DaemonSet": "apps/v1", "Deployment": "apps/v1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the API said.

    Args:
        version: of the API server that answered, without v.
        nodes: all.
        pods: static pods of control planes.
        leases: of kube-system.
        requests: for serving certificates.
        workloads: (kind, namespace, name) -> the addon's object, None where it is missing.
        secrets: metadata of those of kube-system.
    """

    version: str
    nodes: Sequence[Obj] = ()
    pods: Sequence[Obj] = ()
    leases: Sequence[Obj] = ()
    requests: Sequence[Obj] = ()
    workloads: Mapping[tuple[str, str, str], Obj | None] = field(default_factory=dict)
    secrets: Sequence[Obj] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A static pod, as the kubelet mirrors it."""

    host: str
    component: str
    ready: bool
    version: str
    restarts: int


def ask(api: Api, spec: ClusterSpec) -> Seen:
    """Ask everything.

    Raises:
        ApiError: and ApiUnavailable.
    """
    wanted = [addon.workload for addon in enabled(spec) if addon.workload is not None]
    lists: list[Callable[[], Any]] = [
        partial(api.json, "/version"),
        partial(api.objects, "v1", "Node"),
        partial(api.objects, "v1", "Pod", namespace=_SYSTEM, labels={"tier": "control-plane"}),
        partial(api.objects, "coordination.k8s.io/v1", "Lease", namespace=_SYSTEM),
        partial(api.objects, "certificates.k8s.io/v1", "CertificateSigningRequest", fields={"spec.signerName": SIGNER}),
        partial(api.metadata, "v1", "Secret", namespace=_SYSTEM),
    ]
    lists += [partial(api.get, _GROUPS[kind], kind, name, namespace) for kind, namespace, name in wanted]
    version, nodes, pods, leases, requests, secrets, *workloads = api.each(lists)
    return Seen(
        version=str(version["gitVersion"]).removeprefix("v"),
        nodes=nodes,
        pods=pods,
        leases=leases,
        requests=requests,
        secrets=secrets,
        workloads=dict(zip(wanted, workloads, strict=True)),
    )


def nodes_of(
    seen: Seen | None, wanted: Sequence[str], inventory: Collection[str], started: Mapping[str, float]
) -> tuple[Node, ...]:
    """Return the nodes there should be, in this order, then those nobody asked for.

    Args:
        seen: what the API said; None: it did not answer.
        wanted: hosts that should be nodes.
        inventory: all hosts of the inventory.
        started: host -> when its kubelet was started, by the host's clock; 0: not known.
    """
    if seen is None:
        return tuple(Node(name=name) for name in wanted)
    waiting = {asker(one): str(one["metadata"]["name"]) for one in seen.requests if is_pending(one)}
    known = {str(node["metadata"]["name"]): node for node in seen.nodes}
    return tuple(
        _node(known[name], inventory, waiting.get(name, ""), started.get(name, 0.0))
        if name in known
        else Node(name=name, registered=False)
        for name in dict.fromkeys((*wanted, *known))
    )


def pods_of(seen: Seen | None) -> tuple[Pod, ...]:
    """Return the static pods."""
    return tuple(map(_pod, seen.pods)) if seen is not None else ()


def leaders_of(seen: Seen | None) -> dict[str, str]:
    """Return component -> the host that leads; empty text: nobody does.

    The newest lease of all tells the cluster's own time: an API server renews its own every few seconds.
    """
    leases = {lease["metadata"]["name"]: lease.get("spec") or {} for lease in (seen.leases if seen else ())}
    now = max((_time(lease) for lease in leases.values()), default=0.0)
    found = {}
    for component in (CONTROLLER_MANAGER, SCHEDULER):
        lease = leases.get(component, {})
        holder = str(lease.get("holderIdentity") or "")
        found[component] = holder.rpartition("_")[0] if now - _time(lease) < _LEASE else ""
    return found


def addons_of(seen: Seen | None, spec: ClusterSpec) -> tuple[Addon, ...]:
    """Return every addon that cluster.yml wants."""
    found = []
    for addon in enabled(spec):
        if addon.workload is None:
            found.append(Addon(name=addon.name))
            continue
        kind, namespace, name = addon.workload
        title = f"{kind} {namespace}/{name}"
        obj = seen.workloads.get(addon.workload) if seen is not None else None
        problem = "is missing" if seen is not None and obj is None else ""
        found.append(
            Addon(name=addon.name, workload=title, problem=problem) if obj is None else _addon(addon.name, title, obj)
        )
    return tuple(found)


def _addon(name: str, title: str, obj: Obj) -> Addon:
    status, spec = obj.get("status") or {}, obj["spec"]
    daemons = obj["kind"] == "DaemonSet"
    desired = int((status.get("desiredNumberScheduled") if daemons else spec.get("replicas", 1)) or 0)
    ready = int(status.get("numberReady" if daemons else "readyReplicas") or 0)
    return Addon(
        name=name,
        workload=title,
        desired=desired,
        ready=ready,
        version=_tag(spec["template"]["spec"]["containers"][0]["image"]),
        problem="" if ready >= desired else f"{ready} of {desired} pods are ready",
    )


def _node(node: Obj, inventory: Collection[str], waiting: str, started: float) -> Node:
    metadata, status = node["metadata"], node.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    # What stands there is of the kubelet before until this one reports: a host that was off for seconds is Ready still.
    reported = _stamp(ready.get("lastHeartbeatTime")) > started - _TICK
    good = ready.get("status") == "True" and reported
    addresses = [one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"]
    labels: Iterable[str] = metadata.get("labels") or ()
    return Node(
        name=metadata["name"],
        roles=tuple(sorted(key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE))),
        in_inventory=metadata["name"] in inventory,
        registered=True,
        ready=good,
        schedulable=not (node.get("spec") or {}).get("unschedulable"),
        version=str((status.get("nodeInfo") or {}).get("kubeletVersion", "")).removeprefix("v"),
        address=addresses[0] if addresses else "",
        pressure=tuple(
            sorted(kind for kind, one in conditions.items() if kind != "Ready" and one.get("status") == "True")
        ),
        problem=_why_not(ready, reported=reported),
        waiting=waiting,
    )


def _why_not(ready: Mapping[str, Any], *, reported: bool) -> str:
    """Return why a node is not Ready; empty: it is."""
    if ready.get("status") == "True":
        return "" if reported else "its kubelet has started anew and has not reported since"
    return str(ready.get("message") or "it has not reported yet")


def _pod(pod: Obj) -> Pod:
    states = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return Pod(
        host=pod["spec"].get("nodeName", ""),
        component=(pod["metadata"].get("labels") or {}).get("component", pod["metadata"]["name"]),
        ready=bool(states[0].get("ready")),
        version=_tag(pod["spec"]["containers"][0]["image"]),
        restarts=int(states[0].get("restartCount", 0)),
    )


def _tag(image: str) -> str:
    """Return an image's version, without v."""
    return image.partition("@")[0].rpartition(":")[2].removeprefix("v")


def _time(lease: Mapping[str, Any]) -> float:
    return _stamp(lease.get("renewTime"))


def _stamp(text: object) -> float:
    """Return seconds since the epoch; 0 where there is no time."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
