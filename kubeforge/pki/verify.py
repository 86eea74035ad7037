"""Is an existing certificate still what it should be? Says every reason why not; issues nothing and reads no file.

The answer decides between "keep" and "issue anew", so it looks at what a certificate says, not at how it was made: the
kind of key is not enforced, a cluster may be moved to another algorithm certificate by certificate.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubeforge.pki.certificates import Request, Usage
from kubeforge.secret import Secret

__all__ = [
    "AUTHORITY_ENDS_SOON",
    "RENEW_BEFORE",
    "authority_fault",
    "fingerprint",
    "is_signed_by",
    "kubelet_overdue",
    "reasons",
    "soon",
    "time_left",
    "warns_before",
]

RENEW_BEFORE: Final = timedelta(days=30)
_SHARE: Final = 3
"""Of a certificate that is valid for less than 90 days it is the last third that counts as soon."""
_ROTATED: Final = 0.1
"""Of its life: a kubelet has renewed its own certificate by then, as it does so when 10 to 30 % are left."""
AUTHORITY_ENDS_SOON: Final = timedelta(days=180)
"""An authority with less than this needs a successor: what it signs ends with it, however many days were asked for."""
_USAGES: Final = {ExtendedKeyUsageOID.SERVER_AUTH: Usage.SERVER, ExtendedKeyUsageOID.CLIENT_AUTH: Usage.CLIENT}


def reasons(
    request: Request,
    certificate: bytes,
    *,
    now: datetime,
    signer: bytes | None = None,
    key: Secret | None = None,
    renew_before: timedelta = RENEW_BEFORE,
) -> tuple[str, ...]:
    """Return why a certificate must be issued anew; empty: keep it.

    Args:
        request: what it shall say.
        certificate: PEM.
        now: the moment to judge by, with time zone.
        signer: PEM of the authority that must have signed it; None: it signs itself.
        key: its private key, where it is at hand; its public part must be the certificate's.
        renew_before: the least time it must be valid from now on. For an authority give what its leaves need.
    """
    try:
        found = x509.load_pem_x509_certificate(certificate)
        issuer = x509.load_pem_x509_certificate(signer) if signer is not None else found
    except ValueError as error:
        return (f"it cannot be read: {error}",)
    return (
        *_subject(request, found),
        *_extensions(request, found),
        *_signature(found, issuer),
        *_validity(found, now, renew_before, None if signer is None else issuer.not_valid_after_utc),
        *_key(found, key),
    )


def authority_fault(certificate: bytes, *, now: datetime) -> str | None:
    """Return why an authority that is there already, perhaps a user's own, cannot sign what shall be valid now.

    Its name and its extensions are its owner's matter.

    Args:
        certificate: PEM.
        now: the moment to judge by, with time zone.
    """
    try:
        found = x509.load_pem_x509_certificate(certificate)
        authority = _read(found)[3]
    except ValueError as error:
        return f"it cannot be read: {error}"
    if not authority:
        return "it is no authority"
    return next(iter(_validity(found, now, timedelta(0), None)), None)


def time_left(certificate: bytes, now: datetime) -> timedelta:
    """Return how long a certificate is still valid; negative: since when not.

    Raises:
        ValueError: it is no certificate.
    """
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc - now


def soon(found: x509.Certificate, renew_before: timedelta = RENEW_BEFORE) -> timedelta:
    """Return with how much time left a certificate is renewed: at most `renew_before`, at most a third of its life."""
    return min(renew_before, (found.not_valid_after_utc - found.not_valid_before_utc) / _SHARE)


def kubelet_overdue(found: x509.Certificate) -> timedelta:
    """Return with how much time left a certificate that a kubelet renews by itself should be another one already."""
    return (found.not_valid_after_utc - found.not_valid_before_utc) * _ROTATED


def warns_before(found: x509.Certificate, *, authority: bool, rotates: bool) -> timedelta:
    """Return with how much time left people are told that a certificate ends.

    Args:
        found: the certificate.
        authority: whether it signs others.
        rotates: whether a kubelet renews it by itself.
    """
    if authority:
        return AUTHORITY_ENDS_SOON
    return kubelet_overdue(found) if rotates else soon(found)


def is_signed_by(certificate: bytes, signer: bytes) -> bool:
    """Return whether an authority signed a certificate; False also where either cannot be read."""
    try:
        found, issuer = (x509.load_pem_x509_certificate(one) for one in (certificate, signer))
    except ValueError:
        return False
    return not _signature(found, issuer)


def fingerprint(content: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate as openssl prints it; of anything else, its text's."""
    try:
        digest = x509.load_pem_x509_certificate(content).fingerprint(SHA256())
    except ValueError:
        digest = sha256(b"".join(content.split())).digest()
    return digest.hex(":").upper()


def _subject(request: Request, found: x509.Certificate) -> list[str]:
    common_names = [str(part.value) for part in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = {str(part.value) for part in found.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}
    told = []
    if common_names != [request.common_name]:
        told.append(f"its CN is {', '.join(common_names) or 'missing'}, not {request.common_name}")
    if organizations != set(request.organizations):
        said, meant = (", ".join(sorted(names)) or "none" for names in (organizations, request.organizations))
        told.append(f"its O is {said}, not {meant}")
    return told


def _extensions(request: Request, found: x509.Certificate) -> list[str]:
    told = []
    names, addresses, usages, authority = _read(found)
    if authority != request.authority:
        told.append("it is an authority" if authority else "it is no authority")
    if not request.authority and usages != set(request.usages):
        meant = ", ".join(sorted(usage.value for usage in request.usages))
        told.append(f"it is not for {meant} use and nothing else")
    if request.authority:
        return told
    missing = sorted({*request.names, *request.addresses} - names - addresses)
    surplus = sorted((names | addresses) - {*request.names, *request.addresses})
    if missing:
        told.append(f"it lacks {', '.join(missing)}")
    if surplus:
        told.append(f"it still names {', '.join(surplus)}")
    return told


def _read(found: x509.Certificate) -> tuple[set[str], set[str], set[Usage | str], bool]:
    """Return DNS names, addresses, usages and whether it may sign."""
    names: set[str] = set()
    addresses: set[str] = set()
    usages: set[Usage | str] = set()
    authority = False
    for extension in found.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            names = set(value.get_values_for_type(x509.DNSName))
            addresses = {str(address) for address in value.get_values_for_type(x509.IPAddress)}
        elif isinstance(value, x509.ExtendedKeyUsage):
            usages = {_USAGES.get(oid, oid.dotted_string) for oid in value}
        elif isinstance(value, x509.BasicConstraints):
            authority = value.ca
    return names, addresses, usages, authority


def _signature(found: x509.Certificate, issuer: x509.Certificate) -> list[str]:
    try:
        found.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return [f"it is not signed by {issuer.subject.rfc4514_string()}"]
    return []


def _validity(
    found: x509.Certificate, now: datetime, renew_before: timedelta, issuer_end: datetime | None
) -> list[str]:
    """Tell of a certificate that has ended or ends soon, unless a new one could not last longer than its authority."""
    end = found.not_valid_after_utc
    if found.not_valid_before_utc > now:
        return [f"it is valid only from {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"]
    if end <= now:
        return [f"it expired at {end:%Y-%m-%d %H:%M} UTC"]
    if end - now < soon(found, renew_before) and (issuer_end is None or end < issuer_end):
        left = end - now
        when = f"in {left.days} days, on {end:%Y-%m-%d}" if left.days else f"at {end:%Y-%m-%d %H:%M} UTC"
        return [f"it expires {when}"]
    return []


def _key(found: x509.Certificate, key: Secret | None) -> list[str]:
    if key is None:
        return []
    try:
        public = load_pem_private_key(key.reveal(), password=None).public_key()
    except (ValueError, TypeError):
        return ["its key cannot be read"]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return [] if public.public_bytes(*form) == found.public_key().public_bytes(*form) else ["its key is another one's"]
