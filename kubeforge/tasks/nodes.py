"""What a host is in the cluster: registered, labelled, tainted, with a serving certificate, Ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from cryptography import x509

from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import kubelet_log, pod_log
from kubeforge.cluster.kinds import Obj, condition_of, is_ready
from kubeforge.cluster.processes import lacks_kubelet
from kubeforge.cluster.serving import SIGNER, asker, faults, is_pending
from kubeforge.cluster.tunnel import served_certificate
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiError, ApiUnavailable
from kubeforge.inventory.model import CONTROL_PLANE, WORKERS, Host, Inventory
from kubeforge.manifests.kubelet import cluster_configuration
from kubeforge.operations.model import Change, Entry, Queries, Verb
from kubeforge.spec.addresses import node_ip
from kubeforge.spec.model import Taint
from kubeforge.spec.nodes import CONTROL_PLANE_TAINT, node_labels, node_taints
from kubeforge.spec.paths import KUBELET_PORT, KUBELET_SERVING_CURRENT, NODE_DEADLINE
from kubeforge.tasks import moving
from kubeforge.tasks.registry import task
from kubeforge.transport.base import Remote

__all__ = [
    "NodeReady",
    "as_wanted",
    "label_faults",
    "lacks_name",
    "ready",
    "registered_elsewhere",
    "taints_with",
]

_CONFLICT: Final = 409


def _reads(inventory: Inventory, host: Host) -> Queries:
    return Queries.merge((Queries(stats=(KUBELET_SERVING_CURRENT,)), moving.reads(inventory, host)))


@task("nodes.ready", reads=_reads)
def ready(context: Context) -> Iterator[Action]:
    """Wait until the node is registered, label and taint it, have its serving certificate signed, wait for Ready."""
    if context.host.groups & {CONTROL_PLANE, WORKERS}:
        yield as_wanted(context)


def as_wanted(context: Context, *, anew: bool = False) -> NodeReady:
    """Return the node of this host as the cluster shall see it; for `anew` see `NodeReady`."""
    return NodeReady(
        node=context.host.name,
        labels=tuple(node_labels(context.cluster, context.inventory, context.host).items()),
        taints=node_taints(context.cluster, context.inventory, context.host),
        health_port=int(cluster_configuration(context.cluster)["healthzPort"]),
        anew=anew,
        address=_address(context),
        moved=moving.moved(context) is not None,
    )


def _address(context: Context) -> str:
    """Return what the kubelet is told by --node-ip; nothing where a cloud's controller says it."""
    address = node_ip(context.host)
    return "" if address is None or "cloud-provider" in context.cluster.kubelet.extra_args else str(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReady(Action):
    """One node, as the cluster shall see it.

    Args:
        node: its name.
        labels: labels it has, beside others.
        taints: taints of ours it has, beside those that Kubernetes sets by itself.
        health_port: of its kubelet; 0: none.
        anew: whether its serving certificate was taken away in this run, so that it asks for another.
        address: that it shall be registered with; empty: any.
        moved: whether that is another one than before, so that its serving certificate must follow.
    """

    node: str
    labels: tuple[tuple[str, str], ...]
    taints: tuple[Taint, ...]
    health_port: int = 0
    anew: bool = False
    address: str = ""
    moved: bool = False

    @property
    def title(self) -> str:
        """Names the node."""
        return f"node {self.node}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say what the living node lacks."""
        if run.expected.changed:
            return [self._change("wait until it is registered and Ready after the changes above")]
        try:
            why = self._lacks(api_of(run), run)
        except ApiUnavailable as error:
            why = f"not known: {error.cause}"
        return [self._change(why)] if why else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Mark it as soon as it is registered, then wait until nothing is lacking."""
        api = api_of(run)

        def lacks() -> str | None:
            node = api.get("v1", "Node", self.node)
            if node is None:
                return "the node is not registered"
            self._mark(api, node)
            self._approve(api, run)
            # A node counts as Ready for 40 s after its kubelet has died, so the kubelet is asked, too.
            return self._lacks(api, run) or lacks_kubelet(run.remote, self.health_port)

        await_condition(
            Condition(
                name=f"node {self.node} is Ready",
                lacks=lacks,
                deadline=NODE_DEADLINE,
                evidence=lambda: self._words(run),
            ),
            run,
            step=self.title,
        )
        return [self._change("is Ready, labelled and tainted, and has its serving certificate")]

    def _words(self, run: ActionContext) -> list[str]:
        """Return the kubelet's complaints; where it lives, those of the pod network too, which Ready depends on."""
        dead = lacks_kubelet(run.remote, self.health_port)
        return kubelet_log(run.remote) + ([] if dead else pod_log(run.remote, "kube-flannel_"))

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.UPDATE, why=why)

    def _lacks(self, api: Api, run: ActionContext) -> str | None:
        node = api.get("v1", "Node", self.node)
        if node is None:
            return "is not registered"
        return self._wrong(node) or self._unready(node, run)

    def _wrong(self, node: Obj) -> str | None:
        """Say what a node should not be."""
        labels = label_faults(node, self.labels)
        if labels:
            return f"lacks the labels {', '.join(labels)}"
        if taints_with(node, self.taints) is not None:
            return "has other taints"
        return registered_elsewhere(node, self.address)

    def _unready(self, node: Obj, run: ActionContext) -> str | None:
        if not is_ready(node):
            return f"is not Ready: {condition_of(node, 'Ready').get('message') or 'it has not reported yet'}"
        if not _has_serving_certificate(run, anew=self.anew):
            return "has no serving certificate yet"
        return lacks_name(run.remote, self.address) if self.moved else None

    def _mark(self, api: Api, node: Obj) -> None:
        change: dict[str, Any] = {}
        if label_faults(node, self.labels):
            change["metadata"] = {"labels": dict(self.labels)}
        taints = taints_with(node, self.taints)
        if taints is not None:
            change["spec"] = {"taints": taints}
            # A list is replaced whole, so what others did to it meanwhile must not be lost.
            change.setdefault("metadata", {})["resourceVersion"] = node["metadata"]["resourceVersion"]
        if change:
            _unless_conflict(lambda: api.patch(node, change))

    def _approve(self, api: Api, run: ActionContext) -> None:
        requests = api.objects(
            "certificates.k8s.io/v1", "CertificateSigningRequest", fields={"spec.signerName": SIGNER}
        )
        for request in requests:
            if asker(request) == self.node and is_pending(request):
                self._judge(api, run, request)

    def _judge(self, api: Api, run: ActionContext, request: Obj) -> None:
        context = run.context
        own = {address.partition("/")[0] for listed in context.mine.addresses.values() for address in listed}
        wrong = faults(
            request,
            node=self.node,
            names={self.node, context.mine.hostname},
            addresses=own | {context.host.address},
        )
        name = request["metadata"]["name"]
        if wrong:
            raise ApiError(
                f"its request {name} for a serving certificate is refused: {'; '.join(wrong)}",
                host=self.node,
                step=self.title,
                remedy=f"find out who sent it: kubectl describe csr {name}; then kubectl certificate deny {name}",
            )
        run.say(f"serving certificate: {name} asks for its own names only, approved")
        approved = {
            "type": "Approved",
            "status": "True",
            "reason": "KubeforgeApproved",
            "message": "names and addresses are those of the node",
        }
        request.setdefault("status", {}).setdefault("conditions", []).append(approved)
        _unless_conflict(lambda: api.replace(request, subresource="approval"))


def label_faults(node: Obj, labels: Sequence[tuple[str, str]]) -> list[str]:
    """Return the labels a node lacks, `key=value`."""
    has = node["metadata"].get("labels") or {}
    return [f"{key}={value}" for key, value in labels if has.get(key) != value]


def taints_with(node: Obj, wanted: Sequence[Taint]) -> list[dict[str, str]] | None:
    """Return the node's taints with ours among them; None where they already are.

    Taints of `node.kubernetes.io` and of cloud providers are Kubernetes' own business; others that are not wanted stay
    too, because an administrator may have set them by hand. The control-plane taint is ours wherever it is.
    """
    has: list[dict[str, str]] = (node.get("spec") or {}).get("taints") or []
    known = {(taint["key"], taint["effect"]): taint.get("value") or "" for taint in has}
    ours = {(taint.key, str(taint.effect)): taint.value for taint in wanted}
    surplus = {(CONTROL_PLANE_TAINT.key, str(CONTROL_PLANE_TAINT.effect))} - ours.keys()
    if all(known.get(key) == value for key, value in ours.items()) and not surplus & known.keys():
        return None
    kept = [taint for taint in has if (taint["key"], taint["effect"]) not in {*ours, *surplus}]
    new = [
        {"key": key, "effect": effect, **({"value": value} if value else {})} for (key, effect), value in ours.items()
    ]
    return [*kept, *new]


def registered_elsewhere(node: Obj, address: str) -> str | None:
    """Say that a node is registered with other addresses only; None: with this one, or it has none yet."""
    listed = (node.get("status") or {}).get("addresses") or []
    known = [one["address"] for one in listed if one["type"] == "InternalIP"]
    if not address or not known or address in known:
        return None
    return f"is registered with {', '.join(known)}, not {address}"


def lacks_name(remote: Remote, address: str) -> str | None:
    """Say that a kubelet does not show a certificate for an address; it asks for one when it has another."""
    shown = served_certificate(partial(remote.open_tunnel, address, KUBELET_PORT))
    if shown is None:
        return f"its kubelet does not answer on {address}"
    try:
        names = x509.load_der_x509_certificate(shown).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return f"its serving certificate does not name {address}"
    known = map(str, names.value.get_values_for_type(x509.IPAddress))
    return None if address in known else f"its serving certificate does not name {address} yet"


def _has_serving_certificate(run: ActionContext, *, anew: bool) -> bool:
    path = KUBELET_SERVING_CURRENT
    if not anew and isinstance(run.context.seen[run.context.host.name].paths.get(path), Entry):
        return True
    return isinstance(run.remote.observe(Queries(stats=(path,))).paths.get(path), Entry)


def _unless_conflict(call: Any) -> None:
    """Make a change unless somebody else was faster: then the next poll sees what they did."""
    try:
        call()
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
