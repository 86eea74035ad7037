"""Who the cluster has, beside who is written in the inventory; and the inventories of runs that change it. Read-only.

A run that takes hosts in or lets them go first asks the cluster whom it has: a host that was written into the inventory
for another day takes no part, and a host that was taken out of it can still be named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from kubeforge.cluster.access import connect
from kubeforge.cluster.api import Api
from kubeforge.cluster.etcd import Member, NotYet, members
from kubeforge.errors import ApiUnavailable, ConnectionFailed, KubeforgeError, OperationFailed
from kubeforge.inventory.membership import with_joining, with_leaving, without
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.etcd import peer_url
from kubeforge.transport.base import Remote

__all__ = [
    "Census",
    "Connect",
    "MembershipChange",
    "RemoteOf",
    "Step",
    "adding",
    "census",
    "is_of",
    "removing",
    "replacing",
    "take",
]

RemoteOf = Callable[[str], Remote]
Connect = Callable[[Inventory], RemoteOf]
"""Returns what gives the hosts of an inventory, and of no other."""
MembershipChange = Callable[[Inventory, Connect], Inventory]
"""Makes the inventory of a run out of the one that is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Whom the cluster has.

    Args:
        nodes: names of the Node objects.
        members: of etcd.
    """

    nodes: frozenset[str]
    members: tuple[Member, ...] = ()

    def has(self, inventory: Inventory, host: Host) -> bool:
        """Whether a host is in the cluster. Nothing there tells of a balancer alone, so it counts as in."""
        if host.name in self.nodes or any(is_of(host, member) for member in self.members):
            return True
        return host in inventory.load_balancers and not host.is_node and host not in inventory.etcd_members

    def known(self, inventory: Inventory) -> tuple[str, ...]:
        """Return the hosts of an inventory that the cluster has."""
        return tuple(host.name for host in inventory.cluster if self.has(inventory, host))

    def missing_nodes(self, inventory: Inventory) -> tuple[str, ...]:
        """Return hosts that should be nodes and are none."""
        return tuple(host.name for host in inventory.cluster if host.is_node and host.name not in self.nodes)

    def missing_members(self, inventory: Inventory) -> tuple[str, ...]:
        """Return hosts that should be members of etcd and are none."""
        hosts = inventory.etcd_members
        return tuple(host.name for host in hosts if not any(is_of(host, member) for member in self.members))

    def strange_nodes(self, inventory: Inventory) -> tuple[str, ...]:
        """Return nodes that the inventory does not know as such."""
        written = {host.name for host in inventory.cluster if host.is_node}
        return tuple(sorted(self.nodes - written))

    def strange_members(self, inventory: Inventory) -> tuple[Member, ...]:
        """Return members of etcd that are on no host which the inventory names for that."""
        hosts = inventory.etcd_members
        return tuple(member for member in self.members if not any(is_of(host, member) for host in hosts))


def is_of(host: Host, member: Member) -> bool:
    """Whether a member of etcd is a host's: by its name, or by its address where it never started."""
    return member.name == host.name if member.name else peer_url(host) in member.peer_urls


def take(api: Api, inventory: Inventory, remote_of: RemoteOf) -> Census:
    """Ask the API and etcd.

    Raises:
        ApiError: the API does not answer.
        KubeforgeError: no member of etcd does.
    """
    nodes = frozenset(str(node["metadata"]["name"]) for node in api.objects("v1", "Node"))
    return Census(nodes=nodes, members=_members(inventory, remote_of))


def census(inventory: Inventory, remote_of: RemoteOf) -> Census:
    """Ask a cluster outside of a run.

    Args:
        inventory: whose control planes and members of etcd are asked, until one answers.
        remote_of: name -> Remote.

    Raises:
        ApiError, KubeforgeError: see `take`.
    """
    api = connect([partial(remote_of, host.name) for host in inventory.control_planes])
    try:
        return take(api, inventory, remote_of)
    except ApiUnavailable as error:
        raise ApiUnavailable(
            error.cause,
            step="who is in the cluster",
            remedy="hosts come and go only where the API serves: kubeforge status says what is amiss",
        ) from error
    finally:
        api.close()


def _members(inventory: Inventory, remote_of: RemoteOf) -> tuple[Member, ...]:
    """Ask whichever member answers first; a host that is still to become one does not."""
    told: KubeforgeError | None = None
    for host in inventory.etcd_members:
        try:
            return members(remote_of(host.name))
        except (ConnectionFailed, NotYet, OperationFailed) as error:
            told = told or error
    raise told or KubeforgeError("the inventory has no member of etcd")


def adding(names: Sequence[str], *, dead: Sequence[str] = ()) -> MembershipChange:
    """Return what makes the inventory of a run that takes hosts in.

    Args:
        names: of the hosts; none: all that are written in the inventory and that the cluster has not.
        dead: hosts that are still written there and must not be asked.
    """

    def change(written: Inventory, connect_to: Connect) -> Inventory:
        inventory = without(written, dead)
        with_joining(inventory, names, known=inventory.hosts)  # wrong names are told before anybody is asked
        asked = without(inventory, names)  # who is new has nothing to tell
        known = census(asked, connect_to(asked)).known(inventory)
        wanted = names or tuple(host.name for host in inventory.cluster if host.name not in known)
        return with_joining(inventory, wanted, known=known)

    return change


def removing(names: Sequence[str], *, dead: bool, then: Sequence[str] = ()) -> MembershipChange:
    """Return what makes the inventory of a run that lets hosts go.

    Args:
        names: of the hosts.
        dead: they are not asked, not even now.
        then: hosts that will join afterwards; that they cannot is told before anybody has gone.
    """

    def change(inventory: Inventory, connect_to: Connect) -> Inventory:
        if then:
            with_joining(inventory, then, known=inventory.hosts)
        with_leaving(inventory, names, dead=dead, known=inventory.hosts)
        asked = without(inventory, names) if dead else inventory
        return with_leaving(inventory, names, dead=dead, known=census(asked, connect_to(asked)).known(inventory))

    return change


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One run of several that a verb needs.

    Args:
        playbook: name of a shipped one.
        change: makes its inventory.
        brings_parts: whether programs and images are put onto hosts.
    """

    playbook: str
    change: MembershipChange
    brings_parts: bool = False


def replacing(old: str, new: str, *, dead: bool) -> tuple[Step, ...]:
    """Return the runs that put a host in another's place.

    Whoever is dead goes first: a dead member of etcd counts among those of which more than half must serve, and one
    more member would not help (etcd.io/docs, "Runtime reconfiguration": replace a failed machine). So does a host that
    is to come back under its own name. Else the new one comes first, and at no moment there are fewer.
    """
    first = dead or old == new
    buried = [old] if dead and old != new else []
    comes = Step(playbook="node-add", change=adding([new], dead=buried), brings_parts=True)
    goes = Step(playbook="node-remove", change=removing([old], dead=dead, then=[new] if first else []))
    return (goes, comes) if first else (comes, goes)
