"""etcd members on their hosts. A founding member's data are made before it starts, so its manifest is final at once.

See ADR 0042: with data that say who the members are, no member ever needs `initial-cluster-state=new`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.cluster.etcd import founding_snapshot
from kubeforge.cluster.etcd_survey import PUT_BACK, Standing, Survey, Verdict, quorum_lost
from kubeforge.documents import Object, dump
from kubeforge.engine.model import Action, Context
from kubeforge.errors import ConnectionFailed, UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.etcd import ETCD, restore_flags, settled
from kubeforge.manifests.etcd_service import service_unit
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.command import Command
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File, digest
from kubeforge.operations.kept_file import KeptFile
from kubeforge.operations.model import Entry, Operation, Queries
from kubeforge.operations.user import User
from kubeforge.spec.paths import BIN, ETCD_DATA, ETCD_FOUNDING, ETCD_RESTORE, ETCD_UNIT, ETCD_USER, ETCD_WAL
from kubeforge.tasks import etcd_runs, living, moving
from kubeforge.tasks.control_plane import api_server_of, api_servers
from kubeforge.tasks.etcd_members import FounderTurn, MemberJoins, MemberServes, MemberSpared, QuorumKept
from kubeforge.tasks.parking import ApiServerEnds, parks
from kubeforge.tasks.parts import is_another, program
from kubeforge.tasks.registry import task
from kubeforge.tasks.restoration import unfinished
from kubeforge.tasks.rolling import ArgumentsTaken, Spared, rolled

__all__ = ["install", "member", "quorum", "ready", "roll", "service"]

_PROGRAM: Final = f"{BIN}/etcd"
# $1 etcdutl, $2 snapshot, $3 data directory, $4 its owner, then the member's own flags. Restored beside and moved into
# place whole: a reboot in the middle leaves no half-made member. An etcd that refused to start may have left an empty
# database; with a log beside it, it would be data, and stays.
_FOUND: Final = (
    'utl=$1 snapshot=$2 data=$3 owner=$4; shift 4; [ ! -e "$data/member/wal" ]; rm -rf "$data/.founding" '
    '"$data/member"; "$utl" snapshot restore "$snapshot" --data-dir "$data/.founding" "$@"; '
    'chown -R "$owner:" "$data/.founding"; mv -T "$data/.founding/member" "$data/member"; rmdir "$data/.founding"'
)


def _reads(inventory: Inventory, host: Host) -> Queries:
    own = Queries(
        stats=(ETCD_WAL, _PROGRAM, *etcd_runs.SIGNS, manifest_path(API_SERVER)),
        hashes=(ETCD_UNIT,),
        reads=(ETCD_RESTORE,),
    )
    return Queries.merge((living.reads(inventory, host), own))


@task("etcd.quorum", reads=_reads)
def quorum(context: Context) -> Iterator[Action]:
    """Refuse a cluster that has lost more than half of its etcd members."""
    inventory = context.inventory
    if context.host in (*inventory.control_planes, *inventory.etcd_members):
        _refuse_half_restored(context)
        looks = [(host.name, _has_data_if_asked(context, host)) for host in inventory.etcd_members]
        found = Survey(standings=tuple(Standing(host=name, lacks="", has_data=data) for name, data in looks))
        gone = any(data is None for _, data in looks)
        if gone and found.holding and found.verdict is Verdict.LOST:
            raise quorum_lost(found, host=context.host.name, step="etcd.quorum")
    if etcd_runs.is_service(context.cluster) and context.host in inventory.control_planes:
        yield QuorumKept()  # a member sees it for itself


@task("etcd.install")
def install(context: Context) -> Iterator[Operation]:
    """The programs of etcd; where it is a service, its user."""
    if context.host not in context.inventory.etcd_members:
        return
    if etcd_runs.is_service(context.cluster):
        yield User(name=ETCD_USER, home=ETCD_DATA)
    yield Directory(path=BIN)
    # etcd itself on control planes, too: a member that lost its data joins outside of its pod.
    yield from (program(context, name, f"{BIN}/{name}") for name in ("etcd", "etcdctl", "etcdutl"))


@task("etcd.service", reads=_reads)
def service(context: Context) -> Iterator[Operation | Action]:
    """The etcd member of a host of its own, as a service; each serves before the next one is touched."""
    if etcd_runs.is_service(context.cluster) and context.host in context.inventory.etcd_members:
        if moving.members_moved(context):  # none of them serves before all have their new addresses: `etcd.addresses`
            yield from _member(context)
            return
        if _has_data(context, context.host):
            yield MemberSpared(changes=_is_restarted(context))
        yield from _member(context)
        yield MemberServes(name="etcd.service", alone=True)


@task("etcd.member", reads=_reads)
def member(context: Context) -> Iterator[Operation | Action]:
    """The etcd member of a control plane: founded together with all others where there is no cluster yet."""
    if not etcd_runs.is_service(context.cluster) and context.host in context.inventory.etcd_members:
        yield from _member(context)


@task("etcd.roll", reads=_reads)
def roll(context: Context) -> Iterator[Operation | Action]:
    """A member that lives gets its new manifest when the others can do without it, and must come back with it.

    An API server among others ends before, and comes back after it, with its new manifest at once.
    """
    if context.host not in context.inventory.etcd_members or not _lives_in_a_pod(context):
        return
    gate = Spared(name="etcd.gate", etcd=True, servers=api_servers(context))
    if not parks(context):
        yield from rolled(context, _pod(context), gates=(gate,), client=API_SERVER)
        return
    server, path = api_server_of(context), manifest_path(API_SERVER)
    kept = KeptFile(path=path, content=dump(server).encode(), mode=0o600, aside=living.aside(API_SERVER, path))
    gates = (ArgumentsTaken(pod=server), gate, ApiServerEnds())
    yield from rolled(context, _pod(context), gates=gates, beside=(kept,))
    yield from rolled(context, server, ended="it ended for its etcd's sake")


def _is_restarted(context: Context) -> bool:
    """Whether a service that was there when the run began gets another unit or another program."""
    seen = context.seen[context.host.name]
    unit, wanted = seen.hashes.get(ETCD_UNIT), digest(service_unit(context.cluster, context.host).encode())
    return isinstance(unit, str) and (unit != wanted or is_another(context, ETCD))


def _pod(context: Context) -> Object:
    return settled(context.cluster, context.host, context.parts.images)


@task("etcd.ready", reads=_reads)
def ready(context: Context) -> Iterator[Action]:
    """Wait until the etcd member serves and votes, but for one that `roll` changes or judges."""
    if context.host in context.inventory.etcd_members and not _is_judged_later(context):
        yield MemberServes()


def _member(context: Context) -> Iterator[Operation | Action]:
    host, members = context.host, context.inventory.etcd_members
    _refuse_move(context)
    yield etcd_runs.data_directory(context.cluster)
    if not _has_data(context, host):
        founding = (File(path=ETCD_FOUNDING, content=founding_snapshot(), mode=0o600), _founding(context))
        holding = [other for other in members if _has_data(context, other)]  # one that cannot be asked refuses
        if holding:
            yield MemberJoins(founding=founding)
        else:
            _refuse_lost(context)
            yield from founding
            place = members.index(host)
            if place and not etcd_runs.is_service(context.cluster):  # services are founded in a play of their own
                yield FounderTurn(after=members[place - 1].name)
    yield etcd_runs.no_joiner()
    if not _waits_for_its_turn(context):
        yield from etcd_runs.runs(context)


def _waits_for_its_turn(context: Context) -> bool:
    """Whether a member lives with another manifest: see `roll`."""
    return _lives_in_a_pod(context) and living.runs_otherwise(context, ETCD, dump(_pod(context)).encode())


def _is_judged_later(context: Context) -> bool:
    return _lives_in_a_pod(context) and living.has_its_turn(context, ETCD, dump(_pod(context)).encode())


def _lives_in_a_pod(context: Context) -> bool:
    """Whether there is a member that `roll` may change; one that lost its data does not live."""
    return not etcd_runs.is_service(context.cluster) and _has_data(context, context.host)


def _founding(context: Context) -> Command:
    """Make the data of an empty cluster that knows its members; the same cluster on every founding host."""
    host, spec = context.host, context.cluster
    flags = restore_flags(host, context.inventory.etcd_members)
    programs = (f"{BIN}/etcdutl", ETCD_FOUNDING, ETCD_DATA, etcd_runs.owner(spec))
    return Command(
        name=f"found the etcd member {host.name}",
        argv=("sh", "-euc", _FOUND, "sh", *programs, *flags),
        creates=ETCD_WAL,
    )


def _has_data(context: Context, host: Host) -> bool:
    return isinstance(context.seen[host.name].paths.get(ETCD_WAL), Entry)


def _has_data_if_asked(context: Context, host: Host) -> bool | None:
    """Return whether a host has a member's data; None where it cannot be asked."""
    try:
        return _has_data(context, host)
    except ConnectionFailed:
        return None


def _refuse_half_restored(context: Context) -> None:
    """Leave a restore that was cut off alone: some of its hosts may have old data still."""
    note = context.seen[context.host.name].contents.get(ETCD_RESTORE)
    if note is not None:
        raise UnfitHost(
            "etcd is being restored, and that was cut off; nothing was touched",
            host=context.host.name,
            step="etcd.quorum",
            remedy=f"go on with it: kubeforge etcd snapshot restore {unfinished(note) or 'NAME'}",
        )


def _refuse_lost(context: Context) -> None:
    """Never found a second, empty cluster where the data of the first are gone."""
    inventory = context.inventory
    for host in (*inventory.etcd_members, *inventory.control_planes):
        signs = etcd_runs.SIGNS if host in inventory.etcd_members else ()
        paths = context.seen[host.name].paths
        found = [path for path in (*signs, manifest_path(API_SERVER)) if isinstance(paths.get(path), Entry)]
        if found:
            raise UnfitHost(
                f"the cluster was founded ({host.name} has {found[0]}), but no member of etcd has its data any more",
                host=context.host.name,
                step="etcd.member",
                remedy=PUT_BACK,
            )


def _refuse_move(context: Context) -> None:
    """Members elsewhere than the spec says: what is founded now would be empty."""
    inventory = context.inventory
    elsewhere = [host for host in inventory.control_planes if host not in inventory.etcd_members]
    strays = [host.name for host in elsewhere if _has_data(context, host)]
    if strays:
        raise UnfitHost(
            f"etcd's data are on {', '.join(strays)}, which the inventory does not name as etcd members: "
            "etcd of a living cluster cannot be moved to other hosts yet",
            host=context.host.name,
            step="etcd.member",
            remedy="set etcd.topology back to stacked and drop group etcd, or reset the cluster first",
        )
