"""Bootstrap tokens, their Secret objects, and the hash of the cluster's authority that goes with them. Pure.

Source: k8s.io/cluster-bootstrap/token/{api,jws}, and kubeadm apis/bootstraptoken/v1/utils.go and util/pubkeypin, at
v1.36.3.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kubeforge.documents import Object
from kubeforge.secret import Secret

__all__ = [
    "BOOTSTRAP_GROUP",
    "OBJECT_PREFIX",
    "OBJECT_TYPE",
    "SIGNATURE_PREFIX",
    "TOKEN_LIFETIME",
    "USAGE_PREFIX",
    "BootstrapToken",
    "TokenUse",
    "ca_hashes",
    "is_bootstrap_group",
    "new_token",
    "parse_token",
    "signature",
    "token_id",
    "token_secret",
]

TOKEN_LIFETIME: Final = timedelta(hours=24)
BOOTSTRAP_GROUP: Final = "system:bootstrappers:kubeadm:default-node-token"
OBJECT_PREFIX: Final = "bootstrap-token-"
OBJECT_TYPE: Final = "bootstrap.kubernetes.io/token"
USAGE_PREFIX: Final = "usage-bootstrap-"
SIGNATURE_PREFIX: Final = "jws-kubeconfig-"
"""In kube-public/cluster-info, before the token's id: that token's signature of the kubeconfig beside it."""
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP: Final = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class TokenUse(StrEnum):
    """What a token is good for."""

    AUTHENTICATION = "authentication"  # whoever shows it may talk to the API as one of its groups
    SIGNING = "signing"  # cluster-info is signed with it, so that whoever holds it can trust what it reads there


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
        return f"{OBJECT_PREFIX}{self.id}"


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


def token_id(text: str) -> str:
    """Return the id that a text says, alone or as part of a whole token.

    Raises:
        ValueError: it is neither; the message does not show it.
    """
    if re.fullmatch(r"[a-z0-9]{6}", text):
        return text
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ValueError("a token's id is six characters of [a-z0-9], like abcdef")
    return match[1]


def is_bootstrap_group(name: str) -> bool:
    """Return whether tokens may put their bearers into a group of this name."""
    return _GROUP.fullmatch(name) is not None


def token_secret(
    token: BootstrapToken,
    *,
    now: datetime,
    lifetime: timedelta | None = TOKEN_LIFETIME,
    description: str = "",
    groups: Iterable[str] = (BOOTSTRAP_GROUP,),
    uses: Iterable[TokenUse] = tuple(TokenUse),
) -> Object:
    """Return the Secret object of a token; its secret part stays a `Secret` until `documents.revealed`.

    Args:
        token: the token.
        now: with time zone.
        lifetime: None: it never expires.
        description: for people.
        groups: groups of whoever shows it, beside system:bootstrappers.
        uses: what it is good for; nothing: it only lives as long as something else shall.
    """
    data: Object = {"token-id": token.id, "token-secret": token.secret}
    data |= {f"{USAGE_PREFIX}{use}": "true" for use in uses}
    if lifetime is not None:
        data["expiration"] = (now + lifetime).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if description:
        data["description"] = description
    joined = ",".join(groups)
    if joined:
        data["auth-extra-groups"] = joined
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": token.object_name, "namespace": "kube-system"},
        "type": OBJECT_TYPE,
        "stringData": data,
    }


def ca_hashes(bundle: bytes) -> tuple[str, ...]:
    """Return `sha256:HEX` of each authority's public key, as `--discovery-token-ca-cert-hash` wants it.

    Args:
        bundle: PEM certificates; more than one while authorities change.

    Raises:
        ValueError: it holds no certificate.
    """
    keys = (certificate.public_key() for certificate in x509.load_pem_x509_certificates(bundle))
    spki = (key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in keys)
    return tuple(f"sha256:{sha256(content).hexdigest()}" for content in spki)


def signature(content: str, token: BootstrapToken) -> str:
    """Return the detached JWS (RFC 7515, appendix F) of a text, as the controller manager's bootstrapsigner has it."""
    header = json.dumps({"alg": "HS256", "kid": token.id}, separators=(",", ":"))
    signed = f"{_base64url(header.encode())}.{_base64url(content.encode())}"
    digest = hmac.digest(token.secret.reveal(), signed.encode(), "sha256")
    return f"{_base64url(header.encode())}..{_base64url(digest)}"


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
