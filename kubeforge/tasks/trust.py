"""Which authorities a run trusts and signs with: those that hosts already have, or new ones where there is no cluster.

Nothing is read or made before it is needed: where every certificate is right, no authority's key leaves its host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from kubeforge.engine.model import Context
from kubeforge.errors import ConnectionFailed, UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Entry, Queries
from kubeforge.pki.certificates import TABLE, Identity, Kind, Request, Row, Scope, request, row
from kubeforge.pki.issue import Authority, Issued, KeyPair, authority, key_pair, leaf, new_keys
from kubeforge.pki.verify import fingerprint, is_signed_by
from kubeforge.secret import Secret
from kubeforge.spec.paths import ETCD_MEMBER, KUBELET_CONF

__all__ = ["Trust", "now", "reads", "trust_of"]

_FOREIGN: Final = (
    "if {host} shall leave that other cluster: kubeforge reset --limit {host}; if it was changed by mistake, put the"
    " file of this cluster back; or take {host} out of the inventory"
)
_SHARED: Final = tuple(candidate for candidate in TABLE if candidate.scope is Scope.SHARED)


def reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - every host may belong to another cluster
    """Ask for every public certificate of a host, for its keys' existence, and for signs of a cluster's life."""
    return Queries(
        reads=tuple(candidate.certificate for candidate in TABLE),
        stats=(*(candidate.key for candidate in TABLE), ETCD_MEMBER, KUBELET_CONF),
    )


def now(context: Context) -> datetime:
    """Return the moment all certificates of the run are judged and issued by."""
    return context.vault.once("now", lambda: datetime.now(tz=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The shared certificates and keys of one cluster.

    Args:
        context: of any host.
        public: row name -> certificate (public key for `sa`), for what hosts already have.
        holders: row name -> hosts that have it, in inventory order.
    """

    context: Context
    public: Mapping[str, bytes]
    holders: Mapping[str, tuple[str, ...]]

    def certificate(self, name: str) -> bytes:
        """Return a shared certificate, or public key, made now if there is no cluster yet."""
        known = self.public.get(name)
        return known if known is not None else self._made()[name][0]

    def key(self, name: str) -> Secret:
        """Return a shared private key, read from a host that has it.

        Raises:
            UnfitHost: the certificate is there and its key is nowhere (an external authority).
        """
        if name not in self.public:
            return self._made()[name][1]
        candidate = row(name)
        for holder in self.holders[name]:
            if isinstance(self.context.seen[holder].paths.get(candidate.key), Entry):
                return self.context.vault.fetch(holder, candidate.key)
        raise UnfitHost(
            f"{candidate.certificate} is there, but no host has {candidate.key}, and it is needed to sign",
            host=self.holders[name][0],
            step="pki",
            remedy="put the key back, or give every certificate that it should sign",
        )

    def authority(self, name: str) -> Authority:
        """Return an authority that can sign, one object for all hosts: its key is read once.

        Raises:
            UnfitHost: its certificate and key do not belong together, or the key is nowhere.
        """
        return self.context.vault.once(("trust.authority", name), lambda: self._opened(name))

    def _opened(self, name: str) -> Authority:
        found = Authority(certificate=self.certificate(name), key=self.key(name))
        _ = found.opened
        return found

    def sign(self, wanted: Mapping[str, tuple[Request, str]]) -> Mapping[str, Issued]:
        """Return new certificates with new keys.

        Args:
            wanted: any name -> what the certificate shall say, and the row name of its authority.
        """
        spec = self.context.cluster
        keys, days = new_keys(len(wanted), spec.pki.algorithm), spec.pki.lifetime / timedelta(days=1)
        return {
            name: leaf(says, key, self.authority(signer), days=days, now=now(self.context))
            for (name, (says, signer)), key in zip(wanted.items(), keys, strict=True)
        }

    def _made(self) -> Mapping[str, tuple[bytes, Secret]]:
        """Make what no host has; all of it at once, because keys are searched for side by side."""
        return self.context.vault.once("trust.made", lambda: dict(self._make()))

    def _make(self) -> Iterator[tuple[str, tuple[bytes, Secret]]]:
        spec = self.context.cluster
        missing = [candidate for candidate in _SHARED if candidate.name not in self.public]
        nobody = Identity(node="", address="")  # shared rows say the same on every host
        for candidate, key in zip(missing, new_keys(len(missing), spec.pki.algorithm), strict=True):
            made: Authority | KeyPair
            if candidate.kind is Kind.AUTHORITY:
                made = authority(request(candidate, nobody), key, days=spec.pki.ca_days, now=now(self.context))
                yield candidate.name, (made.certificate, made.key)
            else:
                made = key_pair(key)
                yield candidate.name, (made.public, made.private)


def trust_of(context: Context) -> Trust:
    """Find out what hosts have.

    Raises:
        UnfitHost: hosts have different authorities, an authority signed nothing of what lies beside it, or a cluster
            lives whose authority is nowhere.
    """
    return context.vault.once("trust", lambda: _found(context))


def _found(context: Context) -> Trust:
    inventory = context.inventory
    members = {host.name for host in (*inventory.control_planes, *inventory.etcd_members)}
    public: dict[str, bytes] = {}
    holders: dict[str, tuple[str, ...]] = {}
    seen, silent = _asked(context, [host.name for host in inventory.cluster if host.name in members])
    for candidate in _SHARED:
        having = {name: there[candidate.certificate] for name, there in seen.items() if candidate.certificate in there}
        if having:
            public[candidate.name] = _agreed(candidate, having)
            holders[candidate.name] = tuple(having)
            _refuse_foreign(context, candidate, public[candidate.name], holders[candidate.name])
    missing = [candidate for candidate in _SHARED if candidate.name not in public]
    if missing and silent is not None:
        raise silent  # it may have what the others have not
    if missing:
        _refuse_lost(context, missing, members)
    return Trust(context=context, public=public, holders=holders)


def _asked(context: Context, hosts: Sequence[str]) -> tuple[Mapping[str, Mapping[str, bytes]], ConnectionFailed | None]:
    """Return what hosts have, of those that answer: a node joins while one control plane of several is away.

    Returns:
        Host -> its files; and why the first of those that do not answer does not.
    """
    found: dict[str, Mapping[str, bytes]] = {}
    silent = None
    for host in hosts:
        try:
            found[host] = context.seen[host].contents
        except ConnectionFailed as error:
            silent = silent or error
    return found, silent


def _agreed(candidate: Row, having: Mapping[str, bytes]) -> bytes:
    """Return what most hosts have, of equally many what the first has.

    Raises:
        UnfitHost: some have something else.
    """
    texts = [b"".join(content.split()) for content in having.values()]
    ours = max(texts, key=texts.count)
    others = [name for name, text in zip(having, texts, strict=True) if text != ours]
    if not others:
        return next(iter(having.values()))
    first = others[0]
    right = [name for name in having if name not in others]
    raise UnfitHost(
        f"its {candidate.certificate} is not that of {', '.join(right)}: it belongs to another cluster",
        host=first,
        step="pki",
        evidence=[f"{name}: SHA-256 {fingerprint(content)}" for name, content in having.items()],
        remedy=_FOREIGN.format(host=first),
    )


def _refuse_foreign(context: Context, candidate: Row, content: bytes, hosts: Sequence[str]) -> None:
    """Refuse an authority that signed none of the certificates that lie beside it: the cluster lives with another."""
    leaves = [one for one in TABLE if one.signer == candidate.name]
    for host in hosts:
        there = context.seen[host].contents
        beside = [one for one in leaves if one.certificate in there]
        if beside and not any(is_signed_by(there[one.certificate], content) for one in beside):
            raise UnfitHost(
                f"its {candidate.certificate} signed none of the certificates beside it: it is another cluster's",
                host=host,
                step="pki",
                evidence=[
                    f"{candidate.certificate}: SHA-256 {fingerprint(content)}",
                    *(f"not signed by it: {one.certificate}" for one in beside),
                ],
                remedy=f"bring back the {candidate.certificate} and key of this cluster, from a backup or another"
                f" control plane; if {host} shall leave its old cluster: kubeforge reset --limit {host}",
            )


def _refuse_lost(context: Context, missing: list[Row], members: set[str]) -> None:
    """Never make a second authority beside a cluster that lives with the first."""
    for name in sorted(members):
        if isinstance(context.seen[name].paths.get(ETCD_MEMBER), Entry):
            lost = ", ".join(candidate.certificate for candidate in missing)
            raise UnfitHost(
                f"etcd has data here, but no control plane has {lost}",
                host=name,
                step="pki",
                remedy="put the files back from a snapshot, or give the cluster up with `kubeforge reset`",
            )
