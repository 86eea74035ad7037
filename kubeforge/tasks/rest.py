"""What the hosts that stay get when a control plane, a member of etcd or a balancer comes or goes: no more than that.

The tasks are those of `apply`. What would also bring another Kubernetes version (manifests, objects, addons) is left
out where the cluster runs another one than cluster.yml says: hosts die in the midst of upgrades, too, and to let one go
must not go on with an upgrade. ADR 0074.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.engine.model import Action, Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.membership import JOINING
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Operation, Queries
from kubeforge.spec.addresses import api_endpoint, endpoint_kind, local_api
from kubeforge.spec.model import EndpointKind
from kubeforge.tasks import addons, bootstrap, control_plane, endpoint, living, pki
from kubeforge.tasks.registry import task
from kubeforge.tasks.remark import Remark
from kubeforge.tasks.upgrade import servers_running

__all__ = ["one_version", "rest_addons", "rest_control_plane", "rest_endpoint", "rest_objects"]


def _reads(inventory: Inventory, host: Host) -> Queries:
    return Queries.merge((pki.reads(inventory, host), endpoint.reads(inventory, host)))


@task("rest.one_version", reads=living.reads)
def one_version(context: Context) -> Iterator[Action]:
    """Refuse to take hosts in where the cluster runs another version than they would, or is not there at all.

    Raises:
        UnfitHost: some control plane does not run what cluster.yml says, or none runs.
    """
    wanted = context.cluster.kubernetes
    found = _versions(context)
    if not found:
        raise UnfitHost(
            "there is no cluster that they could join: it runs no API server of kubeforge's",
            host=context.host.name,
            step="rest.one_version",
            remedy="kubeforge apply founds it with all hosts of the inventory",
        )
    others = {name: version for name, version in found.items() if version != wanted}
    if others:
        told = ", ".join(f"{name} {version}" for name, version in others.items())
        raise UnfitHost(
            f"cluster.yml says Kubernetes {wanted}, and the cluster runs another one ({told}); nothing was changed",
            host=context.host.name,
            step="rest.one_version",
            remedy="finish the change of versions first (kubeforge apply), or set kubernetes in cluster.yml back",
        )
    yield from ()


@task("rest.control_plane", reads=_reads)
def rest_control_plane(context: Context) -> Iterator[Operation | Action]:
    """API servers that have to know of other members of etcd, or of other control planes; one host at a time."""
    if _is_one(context):
        yield from control_plane.roll(context)
    else:
        yield _left(context, "its components stay as they are")


@task("rest.objects", reads=_reads)
def rest_objects(context: Context) -> Iterator[Action]:
    """kubeadm-config and cluster-info name the endpoint, and etcd's members where they are on hosts of their own."""
    yield from _told_others(context)
    if _is_one(context):
        yield from bootstrap.objects(context)
    else:
        yield _left(context, "kubeadm-config and cluster-info stay as they are")


@task("rest.addons", reads=_reads)
def rest_addons(context: Context) -> Iterator[Action]:
    """Pods on every node that ask the API at the endpoint."""
    if _is_one(context):
        yield from addons.apply(context)


@task("rest.endpoint", reads=_reads)
def rest_endpoint(context: Context) -> Iterator[Operation | Action]:
    """What led to the API before and does no more, once nobody uses it."""
    if _is_one(context):
        yield from endpoint.retire(context)


def _told_others(context: Context) -> Iterator[Remark]:
    """Say what somebody else's balancer has to do: nothing here can."""
    spec, inventory = context.cluster, context.inventory
    if endpoint_kind(spec, inventory) is EndpointKind.EXTERNAL:
        backends = ", ".join(map(local_api, inventory.control_planes))
        text = f"the balancer at {api_endpoint(spec, inventory)} is not ours: have it pass TCP on to {backends} alone"
        yield Remark(about="endpoint", text=text)


def _versions(context: Context) -> dict[str, str]:
    """Return the version of each API server that stays and can be asked; those that join have none yet."""
    new = context.inventory.groups.get(JOINING, ())
    return {name: version for name, version in servers_running(context).items() if name not in new}


def _is_one(context: Context) -> bool:
    return set(_versions(context).values()) <= {context.cluster.kubernetes}


def _left(context: Context, what: str) -> Remark:
    found = ", ".join(sorted(set(_versions(context).values())))
    wanted = context.cluster.kubernetes
    text = f"the cluster runs Kubernetes {found}, and cluster.yml says {wanted}: {what}; apply later"
    return Remark(about="rest", text=text)
