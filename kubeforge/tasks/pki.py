"""Certificates, keys and kubeconfigs of control planes and etcd members; kept where they are right, else issued."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final

from kubeforge.engine.model import Action, Context
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Entry, Observation, Operation, Queries
from kubeforge.pki import kubeconfigs, verify
from kubeforge.pki.certificates import (
    KEY_MODE,
    PUBLIC_MODE,
    Identity,
    Kind,
    Request,
    Row,
    Scope,
    has_key,
    request,
    rows_for,
)
from kubeforge.pki.issue import Issued
from kubeforge.secret import Secret
from kubeforge.spec.addresses import endpoint_kind, inner_endpoint, local_api
from kubeforge.spec.model import EndpointKind
from kubeforge.spec.paths import (
    CONTROLLER_MANAGER_CONF,
    ETCD_PKI,
    ETCD_USER,
    KUBELET_CLIENT_CURRENT,
    KUBERNETES,
    PKI,
    SCHEDULER_CONF,
)
from kubeforge.tasks import living, moving
from kubeforge.tasks.registry import task
from kubeforge.tasks.renewal import wants
from kubeforge.tasks.served import SERVED, CertificatesServed
from kubeforge.tasks.trust import Trust, now, trust_of
from kubeforge.tasks.trust import reads as trust_reads

__all__ = ["control_plane", "etcd", "has_ended", "mend", "reads", "replaced_kubeconfigs", "roll"]


_COMPONENTS_OWN: Final = (CONTROLLER_MANAGER_CONF, SCHEDULER_CONF)
"""Read when the component starts, and never again."""


def reads(inventory: Inventory, host: Host) -> Queries:
    """Ask for every certificate of a host, and which kubeconfigs it has."""
    configs = Queries(stats=(*(row.path for row in kubeconfigs.TABLE), KUBELET_CLIENT_CURRENT))
    return Queries.merge((trust_reads(inventory, host), living.reads(inventory, host), configs))


@task("pki.control_plane", reads=reads)
def control_plane(context: Context) -> Iterator[Operation]:
    """Certificates, keys and kubeconfigs of a control plane."""
    if context.host in context.inventory.control_planes:
        yield from _files(context)


@task("pki.etcd", reads=reads)
def etcd(context: Context) -> Iterator[Operation]:
    """Certificates and keys of an etcd member on a host of its own."""
    if context.host in context.inventory.etcd_members and context.host not in context.inventory.control_planes:
        yield from _files(context)


def _files(context: Context) -> Iterator[Operation]:
    rows = rows_for(context.inventory, context.host)
    for path in (KUBERNETES, PKI, ETCD_PKI):
        yield Directory(path=path)
    trust = trust_of(context)
    issued = _issued(context)
    replaced = {row.name for row in _replaced(context, rows)}
    for row in rows:
        if row.scope is Scope.SHARED:
            yield from _shared(context, trust, row)
        elif row.name not in replaced:
            yield from _own(context, row, issued)
    anew = replaced_kubeconfigs(context)
    for config in _kubeconfig_rows(context):
        if config.path not in anew:
            yield File(path=config.path, content=_kubeconfig(context, trust, config, issued), mode=KEY_MODE)


@task("pki.roll", reads=reads)
def roll(context: Context) -> Iterator[Operation | Action]:
    """Certificates that are in use are replaced host by host: who serves with them takes the new ones by itself."""
    replaced = _replaced(context, rows_for(context.inventory, context.host))
    issued = _issued(context) if replaced else {}
    for row in replaced:
        yield from _own(context, row, issued)
    served = {row.name: issued[row.certificate].certificate for row in replaced if row.name in SERVED}
    if served:
        yield CertificatesServed(certificates=tuple(served.items()))


@task("pki.mend", reads=reads)
def mend(context: Context) -> Iterator[Operation]:
    """Certificates that have ended are replaced on all hosts before anybody waits; and kubeconfigs that people use.

    Members of etcd refuse one another's ended certificates, so the first that is renewed alone serves nobody. Nothing
    gets worse by it: who serves with them reads them again by itself.
    """
    if not living.is_founded(context):
        return
    for row in _replaced(context, rows_for(context.inventory, context.host)):
        if has_ended(context, row.certificate):
            yield from _own(context, row, _issued(context))
    trust = trust_of(context)
    for config in _kubeconfig_rows(context):
        if config.path not in _COMPONENTS_OWN:
            yield File(path=config.path, content=_kubeconfig(context, trust, config, _issued(context)), mode=KEY_MODE)


def has_ended(context: Context, path: str) -> bool:
    """Whether a certificate of this host is not valid any more, or cannot be read; not where there is none."""
    known = context.seen[context.host.name].contents.get(path)
    try:
        return known is not None and verify.time_left(known, now(context)) <= timedelta(0)
    except ValueError:
        return True


def replaced_kubeconfigs(context: Context) -> dict[str, Secret]:
    """Return path -> content of the kubeconfigs that components of this host run with and that must be others."""
    if not living.lives(context, context.host.name):
        return {}
    issued = _issued(context)
    here, trust = context.seen[context.host.name], trust_of(context)
    return {
        row.path: content
        for row in _kubeconfig_rows(context)
        if row.path in _COMPONENTS_OWN and row.path in issued and _is_there(here, row.path)
        if (content := _kubeconfig(context, trust, row, issued)) is not None
    }


def _issued(context: Context) -> Mapping[str, Issued]:
    """Issue what the host lacks: at once, because keys are searched for side by side; once, for plan and apply."""

    def sign() -> Mapping[str, Issued]:
        trust, rows = trust_of(context), rows_for(context.inventory, context.host)
        wanted = {**_wanted_certificates(context, trust, rows), **_wanted_kubeconfigs(context, trust)}
        return trust.sign(wanted) if wanted else {}

    return context.vault.once((context.host.name, "issued"), sign)


def _replaced(context: Context, rows: Iterable[Row]) -> list[Row]:
    """Return the host's own certificates that somebody uses and that must be others."""
    here = context.seen[context.host.name]
    own = [row for row in rows if row.scope is not Scope.SHARED and row.certificate in here.contents]
    if not own or not living.is_founded(context) or moving.moved(context) is not None:
        return []
    issued = _issued(context)
    return [row for row in own if row.certificate in issued]


def _shared(context: Context, trust: Trust, row: Row) -> Iterator[Operation]:
    """Give a host what all share. The key comes first: a certificate without a key would pass for an external one."""
    here = context.seen[context.host.name]
    there = _is_there(here, row.key)
    external = row.kind is Kind.AUTHORITY and row.name in trust.public and not _has_anyone(trust, row)
    if not external and has_key(context.inventory, context.host, row):
        mine = there and row.certificate in here.contents
        yield File(path=row.key, content=None if mine else trust.key(row.name), mode=KEY_MODE)
    yield File(path=row.certificate, content=trust.certificate(row.name), mode=PUBLIC_MODE)


def _own(context: Context, row: Row, issued: Mapping[str, Issued]) -> Iterator[Operation]:
    new = issued.get(row.certificate)
    known = context.seen[context.host.name].contents.get(row.certificate)
    owner = ETCD_USER if row.read_by_etcd and context.cluster.etcd.topology == "external" else "root"
    yield File(path=row.key, content=None if new is None else new.key, mode=KEY_MODE, owner=owner, group=owner)
    yield File(path=row.certificate, content=known if new is None else new.certificate, mode=PUBLIC_MODE)


def _wanted_certificates(context: Context, trust: Trust, rows: Iterable[Row]) -> dict[str, tuple[Request, str]]:
    """Say which of the host's own certificates are missing or not right (any more)."""
    here = context.seen[context.host.name]
    identity = Identity.of(context.cluster, context.inventory, context.host)
    wanted = {}
    for row in rows:
        if row.scope is Scope.SHARED:
            continue
        says, signer = request(row, identity), row.signer or row.name
        known = here.contents.get(row.certificate) if _is_there(here, row.key) else None
        signed_by, at = trust.certificate(signer), now(context)
        due = known is None or bool(verify.reasons(says, known, signer=signed_by, now=at))
        if wants(context, row.name, due=due):
            wanted[row.certificate] = (says, signer)
    return wanted


def _wanted_kubeconfigs(context: Context, trust: Trust) -> dict[str, tuple[Request, str]]:
    """Say which kubeconfigs are. They hold keys, so they are read as secrets, and only where they exist."""
    here = context.seen[context.host.name]
    ca = trust.certificate("ca")
    wanted = {}
    for row in _kubeconfig_rows(context):
        known = context.vault.fetch(context.host.name, row.path) if _is_there(here, row.path) else None
        server, at = _server(context, row), now(context)
        due = known is None or bool(kubeconfigs.reasons(row, known, server=server, ca=ca, now=at))
        if wants(context, row.name, due=due):
            wanted[row.path] = (kubeconfigs.request(row), "ca")
    return wanted


def _kubeconfig(context: Context, trust: Trust, row: kubeconfigs.Row, issued: Mapping[str, Issued]) -> Secret | None:
    new = issued.get(row.path)
    if new is None:
        return None
    return kubeconfigs.with_certificate(
        cluster=context.cluster.name,
        server=_server(context, row),
        ca=trust.certificate("ca"),
        name=row.common_name,
        issued=new,
    )


def _kubeconfig_rows(context: Context) -> list[kubeconfigs.Row]:
    planes = [host.name for host in context.inventory.control_planes]
    if context.host.name not in planes:
        return []
    return [row for row in kubeconfigs.TABLE if not row.first_only or context.host.name == planes[0]]


def _server(context: Context, row: kubeconfigs.Row) -> str:
    """Return where a kubeconfig points: not at loopback, as admin.conf is what `kubeadm token` tells others."""
    local = endpoint_kind(context.cluster, context.inventory) is EndpointKind.LOCALHOST
    if local or row.server is kubeconfigs.Server.LOCAL:
        return local_api(context.host)
    return inner_endpoint(context.cluster, context.inventory)


def _has_anyone(trust: Trust, row: Row) -> bool:
    return any(_is_there(trust.context.seen[name], row.key) for name in trust.holders[row.name])


def _is_there(here: Observation, path: str) -> bool:
    return isinstance(here.paths.get(path), Entry)
