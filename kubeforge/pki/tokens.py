"""Bootstrap tokens, their Secret objects, and the hash of the cluster's authority that goes with them. Pure.

Source: k8s.io/cluster-bootstrap/token/api and kubeadm apis/bootstraptoken/v1/utils.go, util/pubkeypin, at v1.36.3.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kubeforge.documents import Object
from kubeforge.secret import Secret

__all__ = ["BOOTSTRAP_GROUP", "TOKEN_LIFETIME", "BootstrapToken", "ca_hash", "new_token", "parse_token", "token_secret"]

TOKEN_LIFETIME: Final = timedelta(hours=24)
BOOTSTRAP_GROUP: Final = "system:bootstrappers:kubeadm:default-node-token"
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapToken:
    """A token with which kubelets ask for their first certificate.

    Args:
        id: six characters; public, the name of its Secret ends in it.
        secret: sixteen characters.
    """

    id: str
    secret: Secret

    @property
    def text(self) -> Secret:
        """The whole token, `id.secret`."""
        return Secret(f"{self.id}.".encode() + self.secret.reveal())

    @property
    def object_name(self) -> str:
        """Name of its Secret in kube-system."""
        return f"bootstrap-token-{self.id}"


def new_token() -> BootstrapToken:
    """Return a fresh random token."""
    return BootstrapToken(id=_random(6), secret=Secret(_random(16)))


def parse_token(text: Secret) -> BootstrapToken:
    """Return the token a text says.

    Raises:
        ValueError: it is none; the message does not show it.
    """
    match = _TOKEN.fullmatch(text.reveal().decode(errors="replace"))
    if match is None:
        raise ValueError("a bootstrap token looks like abcdef.0123456789abcdef: [a-z0-9]{6}.[a-z0-9]{16}")
    return BootstrapToken(id=match[1], secret=Secret(match[2]))


def token_secret(
    token: BootstrapToken,
    *,
    now: datetime,
    lifetime: timedelta | None = TOKEN_LIFETIME,
    description: str = "",
    groups: tuple[str, ...] = (BOOTSTRAP_GROUP,),
) -> Object:
    """Return the Secret object of a token; its secret part stays a `Secret` until `documents.revealed`.

    Args:
        token: the token.
        now: with time zone.
        lifetime: None: it never expires.
        description: for people.
        groups: groups of whoever shows it, beside system:bootstrappers.
    """
    data: Object = {
        "token-id": token.id,
        "token-secret": token.secret,
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
    }
    if lifetime is not None:
        data["expiration"] = (now + lifetime).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if description:
        data["description"] = description
    if groups:
        data["auth-extra-groups"] = ",".join(groups)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": token.object_name, "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    }


def ca_hash(certificate: bytes) -> str:
    """Return `sha256:HEX` of an authority's public key, as `--discovery-token-ca-cert-hash` wants it.

    Raises:
        ValueError: it is no certificate.
    """
    public = x509.load_pem_x509_certificate(certificate).public_key()
    return "sha256:" + sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
