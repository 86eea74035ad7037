"""etcd members on their hosts. A founding member's data are made before it starts, so its manifest is final at once.

See ADR 0042: with data that say who the members are, no member ever needs `initial-cluster-state=new`.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubeforge.cluster.etcd import founding_snapshot
from kubeforge.documents import dump
from kubeforge.engine.model import Context
from kubeforge.errors import UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.etcd import ETCD, peer_url, settled
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.command import Command
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Entry, Operation, Queries
from kubeforge.spec.paths import BIN, ETCD_DATA, ETCD_FOUNDING, ETCD_MEMBER, MANIFESTS
from kubeforge.tasks.registry import task

__all__ = ["member"]

# $1 etcdutl, $2 snapshot, $3 data directory, then the member's own flags. Restored beside and moved into place whole:
# a reboot in the middle leaves no half-made member.
_FOUND = (
    'utl=$1 snapshot=$2 data=$3; shift 3; rm -rf "$data/.founding"; '
    '"$utl" snapshot restore "$snapshot" --data-dir "$data/.founding" "$@"; '
    'mv -T "$data/.founding/member" "$data/member"; rmdir "$data/.founding"'
)


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return Queries(stats=(ETCD_MEMBER,))


@task("etcd.member", reads=_reads)
def member(context: Context) -> Iterator[Operation]:
    """The etcd member of this host: founded together with all others where there is no cluster yet."""
    host, inventory = context.host, context.inventory
    if host not in inventory.etcd_members:
        return
    yield Directory(path=ETCD_DATA, mode=0o700)
    if not _is_member(context, host):
        _refuse_join(context)
        yield File(path=ETCD_FOUNDING, content=founding_snapshot(), mode=0o600)
        yield _founding(inventory, host)
    yield Directory(path=MANIFESTS, mode=0o700)
    pod = settled(context.cluster, inventory, host, context.parts.images)
    yield File(path=manifest_path(ETCD), content=dump(pod).encode(), mode=0o600)


def _founding(inventory: Inventory, host: Host) -> Command:
    """Make the data of an empty cluster that knows its members; the same cluster on every founding host."""
    members = ",".join(f"{one.name}={peer_url(one)}" for one in inventory.etcd_members)
    flags = ("--name", host.name, "--initial-cluster", members, "--initial-advertise-peer-urls", peer_url(host))
    return Command(
        name=f"found the etcd member {host.name}",
        argv=("sh", "-euc", _FOUND, "sh", f"{BIN}/etcdutl", ETCD_FOUNDING, ETCD_DATA, *flags),
        creates=ETCD_MEMBER,
    )


def _is_member(context: Context, host: Host) -> bool:
    return isinstance(context.seen[host.name].paths.get(ETCD_MEMBER), Entry)


def _refuse_join(context: Context) -> None:
    """A member that is founded anew beside living ones would be a cluster of its own."""
    living = [host.name for host in context.inventory.etcd_members if _is_member(context, host)]
    if living:
        raise UnfitHost(
            f"it has no etcd data, but {', '.join(living)} has: a member cannot be added to a running cluster yet",
            host=context.host.name,
            step="etcd.member",
            remedy="take it out of the inventory, or reset the cluster and found it with all members",
        )
