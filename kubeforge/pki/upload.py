"""What control planes share, sealed for its way through the API to one that joins (the Secret kubeadm-certs). Pure.

A stolen Secret is worth nothing without the certificate key, which never enters the cluster, and the Secret goes when
the token that owns it does.

Source: kubeadm phases/copycerts/copycerts.go, util/crypto and constants.go (2 h, 32 bytes), at v1.36.3.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kubeforge.documents import Object
from kubeforge.pki.certificates import TABLE, Scope
from kubeforge.pki.tokens import OBJECT_PREFIX
from kubeforge.secret import Secret
from kubeforge.spec.paths import PKI

__all__ = [
    "CERTS_LIFETIME",
    "CERTS_OBJECT",
    "OWNER_DESCRIPTION",
    "UPLOAD_ANNOTATION",
    "certs_secret",
    "new_certificate_key",
    "outlived",
    "sealed",
    "shared_files",
]

CERTS_OBJECT: Final = "kubeadm-certs"
CERTS_LIFETIME: Final = timedelta(hours=2)
OWNER_DESCRIPTION: Final = "Proxy for managing TTL for the kubeadm-certs secret"
UPLOAD_ANNOTATION: Final = "kubeforge.dev/certificates"
"""On the token of an invitation: id of the token that owns the upload it needs. kubeadm pays no heed to it."""
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_EXTERNAL_ETCD: Final = {
    "external-etcd-ca.crt": "caFile",
    "external-etcd.crt": "certFile",
    "external-etcd.key": "keyFile",
}


def new_certificate_key() -> Secret:
    """Return a fresh certificate key, as `kubeadm join --certificate-key` takes it: 64 hex digits."""
    return Secret(os.urandom(_KEY_BYTES).hex())


def shared_files(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return what a joining control plane needs: name in the Secret -> path on a control plane.

    Args:
        configuration: the living cluster's ClusterConfiguration, because kubeadm asks for what that one says.
    """
    folder = str(configuration.get("certificatesDir") or PKI)
    external = (configuration.get("etcd") or {}).get("external")
    files = {}
    for row in TABLE:
        if row.scope is not Scope.SHARED or (external and row.name == "etcd-ca"):
            continue
        for path in (row.certificate, row.key):
            below = path.removeprefix(f"{PKI}/")
            files[below.replace("/", "-")] = f"{folder}/{below}"
    if external:
        files |= {name: str(external[field]) for name, field in _EXTERNAL_ETCD.items()}
    return files


def sealed(content: Secret, key: Secret) -> bytes:
    """Return nonce and AES-256-GCM ciphertext.

    Args:
        content: of a file.
        key: the certificate key.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(bytes.fromhex(key.reveal().decode())).encrypt(nonce, content.reveal(), None)


def certs_secret(files: Mapping[str, Secret], key: Secret, owner: Mapping[str, Any]) -> Object:
    """Return the Secret kubeadm-certs.

    Args:
        files: name in the Secret -> content.
        key: the certificate key.
        owner: the living Secret of the token that it goes with.
    """
    metadata = owner["metadata"]
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": CERTS_OBJECT, "namespace": "kube-system", "ownerReferences": [reference]},
        "type": "Opaque",
        "data": {name: b64encode(sealed(content, key)).decode() for name, content in files.items()},
    }


def outlived(secrets: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the ids of tokens that invite control planes to certificates that have gone, or were uploaded anew since.

    Args:
        secrets: metadata of the Secrets of kube-system.
    """
    listed = {str(one["name"]): one for one in secrets}
    owners = {owner["name"] for owner in listed.get(CERTS_OBJECT, {}).get("ownerReferences") or ()}
    needs = {name: (one.get("annotations") or {}).get(UPLOAD_ANNOTATION) for name, one in listed.items()}
    return tuple(
        sorted(
            name.removeprefix(OBJECT_PREFIX)
            for name, owner in needs.items()
            if owner is not None and f"{OBJECT_PREFIX}{owner}" not in owners
        )
    )
