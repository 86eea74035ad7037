"""The way to the API: balancers on workers, on control planes or on hosts of their own; the address they share.

What a spec chose before goes when nobody uses it any more: `endpoint.retire` waits for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.addons import registry
from kubeforge.checks.cluster import endpoint as endpoint_check
from kubeforge.checks.model import PATIENCE
from kubeforge.cluster.access import api_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.documents import dump
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import CONTROL_PLANE, Host, Inventory
from kubeforge.manifests import balancer
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.absent import Absent
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Entry, Operation, Queries, Verb
from kubeforge.operations.unit import Unit
from kubeforge.pki import kubeconfigs
from kubeforge.spec.addresses import balancer_hosts, endpoint_kind, inner_endpoint
from kubeforge.spec.model import EndpointKind
from kubeforge.spec.paths import (
    HAPROXY_CONFIG,
    HAPROXY_UNIT,
    KEEPALIVED_CONFIG,
    KEEPALIVED_UNIT,
    KUBELET_CONF,
    MANIFESTS,
    NODE_DEADLINE,
    OWN_CONFIG,
)
from kubeforge.tasks.packages import packages
from kubeforge.tasks.registry import task
from kubeforge.tasks.rollouts import Workload, behind, old_template

__all__ = ["Answers", "RolledOut", "answers", "balance", "install", "reads", "retire"]

_PACKAGED: Final = {"haproxy": HAPROXY_UNIT, "keepalived": KEEPALIVED_UNIT}
"""Package -> our unit of its program. The package's own unit has its own name."""
_CONFIGS: Final = {HAPROXY_UNIT: HAPROXY_CONFIG, KEEPALIVED_UNIT: KEEPALIVED_CONFIG}
_KUBE_VIP: Final = manifest_path(balancer.KUBE_VIP)


def reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    """Ask for the balancers of ours that are there, and for units of their programs' own."""
    return Queries(stats=(*_CONFIGS, _KUBE_VIP), units=tuple(f"{name}.service" for name in _PACKAGED))


def _where_it_leads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - each host its own
    """Read a worker's kubelet.conf: it names its key by path. A control plane's is never read."""
    return Queries() if CONTROL_PLANE in host.groups else Queries(reads=(KUBELET_CONF,))


@task("endpoint.answers", reads=_where_it_leads)
def answers(context: Context) -> Iterator[Action]:
    """A balancer of somebody else's answers the workers of a living cluster before anybody is led to it."""
    known = context.seen[context.host.name].contents.get(KUBELET_CONF)
    if known is None or endpoint_kind(context.cluster, context.inventory) is not EndpointKind.EXTERNAL:
        return
    if not kubeconfigs.leads_to(known, server=inner_endpoint(context.cluster, context.inventory)):
        yield Answers()


@task("endpoint.install", reads=reads)
def install(context: Context) -> Iterator[Operation]:
    """Packages of the balancer that this host is, or none."""
    for name, unit in _PACKAGED.items():
        if unit not in _units(context):
            continue
        # Their own units would start as soon as they are installed. One that an administrator runs is left alone.
        if context.seen[context.host.name].units[f"{name}.service"].load in ("not-found", "masked"):
            yield Unit(name=f"{name}.service", enabled=None, state=None, masked=True)
        yield from packages(context.mine, (name,))


@task("endpoint.balance")
def balance(context: Context) -> Iterator[Operation]:
    """The balancer of this host runs: haproxy, keepalived where an address is shared, or kube-vip."""
    spec, inventory = context.cluster, context.inventory
    units = _units(context)
    if units:
        yield Directory(path=OWN_CONFIG)
    for path, text in units.items():
        config = _CONFIGS[path]
        yield File(path=config, content=_config(context, config).encode())
        yield File(path=path, content=text.encode())
        yield Unit(name=path.rpartition("/")[2], listens=(f"file {config}", f"file {path}"))
    if _runs_kube_vip(context):
        yield Directory(path=MANIFESTS, mode=0o700)
        pod = balancer.kube_vip(spec, inventory, interface=_interface(context))
        yield File(path=_KUBE_VIP, content=dump(pod).encode(), mode=0o600)


@task("endpoint.retire", reads=reads)
def retire(context: Context) -> Iterator[Operation | Action]:
    """What led to the API before, and does no more, goes; after everything on the nodes has left it."""
    kept = {*_units(context), *([_KUBE_VIP] if _runs_kube_vip(context) else [])}
    seen = context.seen[context.host.name].paths
    gone = [path for path in (KEEPALIVED_UNIT, HAPROXY_UNIT, _KUBE_VIP) if path not in kept]
    gone = [path for path in gone if isinstance(seen.get(path), Entry)]
    if gone:
        yield RolledOut(workloads=tuple(one.workload for one in registry.enabled(context.cluster) if one.workload))
    for path in gone:
        if path in _CONFIGS:
            yield Unit(name=path.rpartition("/")[2], enabled=False, state="stopped")
            yield Absent(path=_CONFIGS[path])
        yield Absent(path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Action):
    """Refuses an external endpoint that does not answer: nothing that a run does could make it."""

    @property
    def title(self) -> str:
        """Its task's name."""
        return "endpoint.answers"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask from this worker.

        Raises:
            UnfitHost: nobody answers there.
        """
        context = run.context
        why = endpoint_check(context.cluster, context.inventory).ask(run.remote, PATIENCE)
        if why is not None:
            raise UnfitHost(
                f"the endpoint that the cluster shall be led to does not answer: {why}",
                host=context.host.name,
                step=self.title,
                remedy="let that balancer lead to the API servers first, or correct endpoint.address in cluster.yml",
            )
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledOut(Action):
    """Every pod of some DaemonSets is of the newest template, so none asks an endpoint that was.

    Args:
        workloads: other kinds than DaemonSets are not looked at.
    """

    workloads: tuple[Workload, ...]

    @property
    def title(self) -> str:
        """Names its task."""
        return "endpoint.left"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - nothing needs to be asked
        """It is asked for only where something goes."""
        return [Change(title=self.title, verb=Verb.RUN, why="wait until no pod uses the endpoint that was")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait until all are rolled out; one host asks for all of them."""
        run.context.vault.once("endpoint.left", lambda: self._wait(run))
        return [Change(title=self.title, verb=Verb.RUN, why="no pod uses the endpoint that was")]

    def _wait(self, run: ActionContext) -> bool:
        everywhere = [one for one in self.workloads if one[0] == "DaemonSet"]
        condition = Condition(
            name="the pods on all nodes use the new endpoint",
            lacks=lambda: next(behind(api_of(run), everywhere, lambda _, found: old_template(found)), None),
            deadline=NODE_DEADLINE,
            remedy="see why the pods do not start (kubectl -n kube-system get pods -o wide), then run again",
        )
        await_condition(condition, run, step=self.title)
        return True


def _units(context: Context) -> dict[str, str]:
    """Return unit path -> text of the balancers this host runs."""
    spec, inventory = context.cluster, context.inventory
    if context.host not in balancer_hosts(spec, inventory):
        return {}
    units = {HAPROXY_UNIT: balancer.haproxy_unit(spec, inventory)}
    if balancer.shares_address(spec, inventory):
        units[KEEPALIVED_UNIT] = balancer.keepalived_unit()
    return units


def _config(context: Context, path: str) -> str:
    spec, inventory = context.cluster, context.inventory
    if path == HAPROXY_CONFIG:
        return balancer.haproxy_config(spec, inventory)
    return balancer.keepalived_config(spec, inventory, context.host, interface=_interface(context))


def _runs_kube_vip(context: Context) -> bool:
    kube_vip = endpoint_kind(context.cluster, context.inventory) is EndpointKind.KUBE_VIP
    return kube_vip and context.host in context.inventory.control_planes


def _interface(context: Context) -> str:
    """Return the interface that has the host's address."""
    for name, listed in context.mine.addresses.items():
        if any(address.partition("/")[0] == context.host.address for address in listed):
            return name
    raise UnfitHost(
        f"no interface has its address {context.host.address}, so none can have the endpoint's",
        host=context.host.name,
        step="endpoint.balance",
        remedy=f"set `ip` of {context.host.name} in the inventory to an address it has",
    )
