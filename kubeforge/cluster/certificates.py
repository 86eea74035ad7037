"""Every certificate on the hosts of a cluster: what it says, and how long it lasts. Reads public parts only.

The question is `status`'s own, one round trip per host: see `cluster.status.probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography import x509

from kubeforge.cluster.status.probe import Answer, Asked, asked_of, probe
from kubeforge.errors import ConnectionFailed, KubeforgeError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.pki import verify
from kubeforge.transport.base import Remote

__all__ = ["ENDED", "ENDS_SOON", "VERSION", "Listed", "Listing", "State", "certificates_on", "listing"]

VERSION: Final = 1
ENDS_SOON: Final = 3
ENDED: Final = 4
"""Exit codes of `certs check`; see `errors`."""
_THREADS: Final = 32


class State(StrEnum):
    """How a certificate stands."""

    VALID = "valid"
    SOON = "ends soon"
    ENDED = "ended"
    NOT_YET = "not valid yet"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One certificate on one host.

    Args:
        host: inventory name.
        name: as `certs renew` takes it; `ca in admin.conf` for the authority in a kubeconfig.
        path: its file.
        state: how it stands at the moment of the look.
        authority: whether it signs others.
        renewed_by: `certs renew`, `kubelet` (by itself), or empty for authorities.
        subject: as RFC 4514 writes it, as are issuers.
        issuer: who signed it.
        sans: names and addresses it is for.
        begins: UTC; None: it cannot be read.
        ends: UTC; None: it cannot be read.
        seconds: left; negative: since when it has ended; None: it cannot be read.
    """

    host: str
    name: str
    path: str
    state: State
    authority: bool = False
    renewed_by: str = ""
    subject: str = ""
    issuer: str = ""
    sans: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None
    seconds: int | None = None

    @property
    def days(self) -> int | None:
        """Whole days left; negative once it has ended."""
        return None if self.seconds is None else self.seconds // 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The certificates of some hosts.

    Args:
        asked: when, UTC.
        certificates: the shortest-lived first.
        silent: host that could not be asked -> why.
    """

    asked: datetime
    certificates: tuple[Listed, ...]
    silent: Mapping[str, str]

    @property
    def exit_code(self) -> int:
        """0 all is well; ENDS_SOON; ENDED (unreadable, not valid yet, none at all, too); 11 a host was silent."""
        states = {one.state for one in self.certificates}
        if states - {State.VALID, State.SOON} or not (states or self.silent):
            return ENDED
        if self.silent:
            return ConnectionFailed.exit_code
        return ENDS_SOON if State.SOON in states else 0

    def warned(self, before: timedelta) -> Listing:
        """Return it with another idea of what is soon, the same for every certificate."""

        def judged(one: Listed) -> Listed:
            if one.state not in (State.VALID, State.SOON) or one.seconds is None:
                return one
            return replace(one, state=State.SOON if one.seconds < before.total_seconds() else State.VALID)

        return replace(self, certificates=tuple(map(judged, self.certificates)))

    def to_data(self) -> dict[str, Any]:
        """Return plain JSON data; docs/certificates.md describes it."""
        rows = [{**asdict(one), "days": one.days} for one in self.certificates]
        return {
            "version": VERSION,
            "asked": _text(self.asked),
            "good": self.exit_code == 0,
            "certificates": [{key: _text(value) for key, value in row.items()} for row in rows],
            "silent": dict(self.silent),
        }


def listing(inventory: Inventory, hosts: Sequence[Host], remote_of: Callable[[str], Remote]) -> Listing:
    """Ask hosts for their certificates, side by side; one that cannot be asked is named in the result.

    Args:
        inventory: everybody.
        hosts: whom to ask.
        remote_of: host name -> Remote.
    """
    asked = datetime.now(tz=UTC)

    def ask(host: Host) -> tuple[str, list[Listed] | str]:
        what = replace(asked_of(inventory, host), etcd=False)
        try:
            return host.name, list(certificates_on(host.name, what, probe(remote_of(host.name), what), asked))
        except KubeforgeError as error:
            return host.name, error.cause

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        answers = list(pool.map(ask, hosts))
    found = [one for _, answer in answers if not isinstance(answer, str) for one in answer]
    found.sort(key=lambda one: (one.seconds is not None, one.seconds or 0, one.host, one.path, one.name))
    silent = {host: answer for host, answer in answers if isinstance(answer, str)}
    return Listing(asked=asked, certificates=tuple(found), silent=silent)


def certificates_on(host: str, asked: Asked, answer: Answer, now: datetime) -> Iterator[Listed]:
    """Yield what one host has, also inside of kubeconfigs.

    Args:
        host: its name.
        asked: what was asked.
        answer: what it said.
        now: with time zone.
    """
    for path, (name, authority, rotates) in asked.certificates.items():
        if path in answer.certificates:
            owner = "" if authority else "kubelet" if rotates else "certs renew"
            yield _listed(host, name, path, answer.certificates[path], now, authority=authority, owner=owner)
    for path, config in answer.kubeconfigs.items():
        name = path.rpartition("/")[2]
        if config.certificate:
            yield _listed(host, name, path, config.certificate, now, authority=False, owner="certs renew")
        if config.authority:
            yield _listed(host, f"ca in {name}", path, config.authority, now, authority=True, owner="")


def _listed(host: str, name: str, path: str, pem: bytes, now: datetime, *, authority: bool, owner: str) -> Listed:
    try:
        found = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return Listed(host=host, name=name, path=path, state=State.UNREADABLE, authority=authority, renewed_by=owner)
    return Listed(
        host=host,
        name=name,
        path=path,
        state=_state(found, now, authority=authority, rotates=owner == "kubelet"),
        authority=authority,
        renewed_by=owner,
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        sans=_sans(found),
        begins=found.not_valid_before_utc,
        ends=found.not_valid_after_utc,
        seconds=int((found.not_valid_after_utc - now).total_seconds()),
    )


def _state(found: x509.Certificate, now: datetime, *, authority: bool, rotates: bool) -> State:
    begin, end = found.not_valid_before_utc, found.not_valid_after_utc
    if end <= now:
        return State.ENDED
    if begin > now:
        return State.NOT_YET
    soon = verify.warns_before(found, authority=authority, rotates=rotates)
    return State.SOON if end - now < soon else State.VALID


def _sans(found: x509.Certificate) -> tuple[str, ...]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def _text(value: Any) -> Any:
    """Turn what JSON and YAML do not know into text."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, StrEnum) else value
