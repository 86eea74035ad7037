"""How long certificates are still valid, and whose authority a host has. Pure; sees public parts only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from kubeforge.cluster.status.probe import Answer, Asked
from kubeforge.cluster.status.rows import Certificate
from kubeforge.pki import verify

__all__ = ["certificates_of"]


def certificates_of(host: str, asked: Asked, answer: Answer, now: datetime) -> Iterator[Certificate]:
    """Yield what a host has of what it was asked for.

    Args:
        host: its name.
        asked: what was asked.
        answer: what it said.
        now: with time zone.
    """
    for path, (name, authority, rotates) in asked.certificates.items():
        if path in answer.certificates:
            pem = answer.certificates[path]
            yield _certificate(host, name, path, pem, now, authority=authority, rotates=rotates)
    for path, config in answer.kubeconfigs.items():
        if config.certificate:
            name = path.rpartition("/")[2]
            yield _certificate(host, name, path, config.certificate, now, authority=False, rotates=False)


def _certificate(
    host: str, name: str, path: str, pem: bytes, now: datetime, *, authority: bool, rotates: bool
) -> Certificate:
    try:
        found = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return Certificate(host=host, name=name, path=path, expires=None, days=None, authority=authority)
    end = found.not_valid_after_utc
    return Certificate(
        host=host,
        name=name,
        path=path,
        expires=end,
        days=(end - now).days,
        authority=authority,
        rotates=rotates,
        due=end - now < verify.warns_before(found, authority=authority, rotates=rotates),
    )
