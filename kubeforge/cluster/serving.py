"""Judges a kubelet's request for a serving certificate: does it ask for its own node's names and addresses only? Pure.

Nobody in a cluster approves such requests by itself (kubeadm's docs leave it to the operator), because a node could
ask for another's name. What is checked here is what the signer demands (pkg/controller/certificates, kubelet-serving:
O and CN, key usages, no other kinds of names) and, beyond it, that names and addresses are those of that very node.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from kubeforge.cluster.kinds import Obj

__all__ = ["SIGNER", "asker", "faults", "is_pending"]

SIGNER: Final = "kubernetes.io/kubelet-serving"
_NODE_USER: Final = "system:node:"
_NODE_GROUP: Final = "system:nodes"
_USAGES: Final = ({"digital signature", "server auth"}, {"digital signature", "key encipherment", "server auth"})


def asker(request: Obj) -> str:
    """Return the node that asks; empty where it is no node."""
    user: str = request["spec"].get("username", "")
    return user.removeprefix(_NODE_USER) if user.startswith(_NODE_USER) else ""


def is_pending(request: Obj) -> bool:
    """Return whether nobody has approved, denied or signed it yet."""
    status = request.get("status") or {}
    return not status.get("conditions") and not status.get("certificate")


def faults(request: Obj, *, node: str, names: Collection[str], addresses: Collection[str]) -> tuple[str, ...]:
    """Say why a request must not be approved; empty: approve it.

    Args:
        request: the CertificateSigningRequest.
        node: the node it should be of.
        names: DNS names that are this node's.
        addresses: IP addresses that are this node's.
    """
    spec = request["spec"]
    found = []
    if spec.get("signerName") != SIGNER:
        found.append(f"its signer is {spec.get('signerName')}")
    if asker(request) != node or _NODE_GROUP not in spec.get("groups", ()):
        found.append(f"it was sent by {spec.get('username')}, not by the node {node}")
    if set(spec.get("usages", ())) not in _USAGES:
        found.append(f"it wants to be used for {', '.join(spec.get('usages', ()))}")
    try:
        asked = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
    except (ValueError, KeyError, binascii.Error):
        return (*found, "it holds no certificate request")
    return (*found, *_content(asked, node, names, addresses))


def _content(
    asked: x509.CertificateSigningRequest, node: str, names: Collection[str], addresses: Collection[str]
) -> list[str]:
    found = [] if asked.is_signature_valid else ["its signature is wrong"]
    common = [part.value for part in asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [part.value for part in asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if common != [_NODE_USER + node] or groups != [_NODE_GROUP]:
        found.append(f"its subject is {asked.subject.rfc4514_string()}")
    try:
        sans = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [*found, "it names no host"]
    foreign = [name for name in sans.get_values_for_type(x509.DNSName) if name not in names]
    foreign += [str(one) for one in sans.get_values_for_type(x509.IPAddress) if str(one) not in addresses]
    foreign += [repr(one) for one in sans if not isinstance(one, x509.DNSName | x509.IPAddress)]
    return found + ([f"it names {', '.join(foreign)}, which is not this node"] if foreign else [])
