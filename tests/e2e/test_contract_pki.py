"""Certificates, keys and kubeconfigs as kubeadm has them, read from the hosts with the cryptography package."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.e2e.conftest import MAIN, OLDER, Cluster

pytestmark = pytest.mark.clusters(MAIN, OLDER)

PKI, CONF = "/etc/kubernetes/pki", "/etc/kubernetes"
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
ETCD_SANS = ("{node}", "localhost", "{address}", "127.0.0.1", "::1")
API_SANS = (
    *("{node}", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    *("kubernetes.default.svc.cluster.local", "10.96.0.1", "{address}"),
)
BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """What a certificate says: CN, O, extended key usages, names, who signed."""

    cn: str
    o: tuple[str, ...] = ()
    usages: tuple[x509.ObjectIdentifier, ...] = (CLIENT,)
    sans: tuple[str, ...] = ()
    signer: str = "ca"


LEAVES = {
    "apiserver": Leaf(cn="kube-apiserver", usages=(SERVER,), sans=API_SANS),
    "apiserver-kubelet-client": Leaf(cn="kube-apiserver-kubelet-client", o=("{kubelet_client}",)),
    "apiserver-etcd-client": Leaf(cn="kube-apiserver-etcd-client", signer="etcd/ca"),
    "front-proxy-client": Leaf(cn="front-proxy-client", signer="front-proxy-ca"),
    "etcd/server": Leaf(cn="{node}", usages=(SERVER, CLIENT), sans=ETCD_SANS, signer="etcd/ca"),
    "etcd/peer": Leaf(cn="{node}", usages=(SERVER, CLIENT), sans=ETCD_SANS, signer="etcd/ca"),
    "etcd/healthcheck-client": Leaf(cn="kube-etcd-healthcheck-client", signer="etcd/ca"),
}
AUTHORITIES = {"ca": "kubernetes", "front-proxy-ca": "front-proxy-ca", "etcd/ca": "etcd-ca"}
KUBECONFIGS = {
    "admin": Leaf(cn="kubernetes-admin", o=("kubeadm:cluster-admins",)),
    "super-admin": Leaf(cn="kubernetes-super-admin", o=("system:masters",)),
    "controller-manager": Leaf(cn="system:kube-controller-manager"),
    "scheduler": Leaf(cn="system:kube-scheduler"),
}
# From these patches on the client certificate for kubelets is in no group; RBAC names the user instead.
KUBELET_CLIENT_GROUP = {"1.35.4": "kubeadm:cluster-admins", "1.36.3": ""}


@pytest.fixture(scope="session")
def files(cluster: Cluster) -> dict[str, bytes]:
    """Path -> content of everything below /etc/kubernetes on the control plane; never shown."""
    script = f"cd {CONF}; find . -type f ! -path './manifests/*' | while read f; do echo $f; base64 -w0 $f; echo; done"
    lines = cluster.sh(cluster.first, script).splitlines()
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return {f"{CONF}/{path.removeprefix('./')}": base64.b64decode(text) for path, text in pairs}


def certificate(files: Mapping[str, bytes], stem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files[f"{PKI}/{stem}.crt"])


def filled(cluster: Cluster, words: tuple[str, ...]) -> list[str]:
    values = {
        "node": cluster.first,
        "address": cluster.address(cluster.first),
        "kubelet_client": KUBELET_CLIENT_GROUP[cluster.variant.version],
    }
    return [word for word in (one.format(**values) for one in words) if word]


@pytest.mark.parametrize("stem", sorted(LEAVES))
def test_leaf(cluster: Cluster, files: dict[str, bytes], stem: str) -> None:
    row, found = LEAVES[stem], certificate(files, stem)
    says(cluster, found, row)
    found.verify_directly_issued_by(certificate(files, row.signer))
    assert found.issuer == certificate(files, row.signer).subject


def says(cluster: Cluster, found: x509.Certificate, row: Leaf) -> None:
    """Fail unless a certificate says what the row says, and nothing more."""
    assert names(found, NameOID.COMMON_NAME) == filled(cluster, (row.cn,))
    assert sorted(names(found, NameOID.ORGANIZATION_NAME)) == sorted(filled(cluster, row.o))
    assert len(list(found.subject)) == 1 + len(filled(cluster, row.o))
    assert sorted(sans(found)) == sorted(filled(cluster, row.sans))
    extended = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(extended) == set(row.usages)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment) == (True, True)
    assert not usage.value.key_cert_sign
    constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    lasts(found, timedelta(days=365))
    is_rsa_2048(found)


def names(found: x509.Certificate, kind: x509.ObjectIdentifier) -> list[str]:
    return [str(one.value) for one in found.subject.get_attributes_for_oid(kind)]


def sans(found: x509.Certificate) -> list[str]:
    try:
        value = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in value]


def lasts(found: x509.Certificate, wanted: timedelta) -> None:
    """Fail unless it is valid for this long from its making, and from five minutes before it (clocks differ)."""
    now = datetime.now(tz=UTC)
    assert timedelta() < now - found.not_valid_before_utc - BACKDATED < timedelta(hours=1)
    assert abs(found.not_valid_after_utc - found.not_valid_before_utc - BACKDATED - wanted) <= timedelta(seconds=1)
    assert found.serial_number > 1 << 32


def is_rsa_2048(found: x509.Certificate) -> None:
    key = found.public_key()
    assert isinstance(key, RSAPublicKey)
    assert key.key_size == 2048
    assert found.signature_hash_algorithm is not None
    assert found.signature_hash_algorithm.name == "sha256"


@pytest.mark.parametrize("stem", sorted(AUTHORITIES))
def test_authority(files: dict[str, bytes], stem: str) -> None:
    found = certificate(files, stem)
    assert names(found, NameOID.COMMON_NAME) == [AUTHORITIES[stem]]
    assert names(found, NameOID.ORGANIZATION_NAME) == []
    found.verify_directly_issued_by(found)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, True)
    constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, True)
    lasts(found, timedelta(days=3650))
    is_rsa_2048(found)


@pytest.mark.parametrize("stem", sorted({**LEAVES, **AUTHORITIES}))
def test_key_belongs_to_its_certificate(files: dict[str, bytes], stem: str) -> None:
    key = load_pem_private_key(files[f"{PKI}/{stem}.key"], password=None)
    assert spki(key.public_key()) == spki(certificate(files, stem).public_key())


def test_no_two_keys_are_the_same(files: dict[str, bytes]) -> None:
    keys = [content for path, content in files.items() if path.endswith(".key")]
    assert len(set(keys)) == len(keys) == len(LEAVES) + len(AUTHORITIES) + 1


def test_service_account_key_pair(files: dict[str, bytes]) -> None:
    private = load_pem_private_key(files[f"{PKI}/sa.key"], password=None)
    assert spki(private.public_key()) == spki(load_pem_public_key(files[f"{PKI}/sa.pub"]))


def spki(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


@pytest.mark.parametrize("name", sorted(KUBECONFIGS))
def test_kubeconfig(cluster: Cluster, files: dict[str, bytes], name: str) -> None:
    config = yaml.safe_load(files[f"{CONF}/{name}.conf"])
    (one,), (user,), (context,) = config["clusters"], config["users"], config["contexts"]
    assert config["current-context"] == context["name"]
    assert (context["context"]["cluster"], context["context"]["user"]) == (one["name"], user["name"])
    assert one["cluster"]["server"] == f"https://{cluster.address(cluster.first)}:6443"
    assert base64.b64decode(one["cluster"]["certificate-authority-data"]) == files[f"{PKI}/ca.crt"]
    found = x509.load_pem_x509_certificate(base64.b64decode(user["user"]["client-certificate-data"]))
    says(cluster, found, KUBECONFIGS[name])
    found.verify_directly_issued_by(certificate(files, "ca"))
    key = load_pem_private_key(base64.b64decode(user["user"]["client-key-data"]), password=None)
    assert spki(key.public_key()) == spki(found.public_key())


def test_kubelet_kubeconfigs_point_at_the_rotated_certificate(cluster: Cluster) -> None:
    for name in cluster.names:
        config = yaml.safe_load(cluster.sh(name, f"cat {CONF}/kubelet.conf"))
        ((user,), (one,)) = config["users"], config["clusters"]
        current = "/var/lib/kubelet/pki/kubelet-client-current.pem"
        assert user["user"] == {"client-certificate": current, "client-key": current}
        assert one["cluster"]["server"] == f"https://{cluster.address(cluster.first)}:6443"


def test_kubelet_client_certificates(cluster: Cluster, files: dict[str, bytes]) -> None:
    for name in cluster.names:
        text = cluster.sh(name, "openssl x509 -in /var/lib/kubelet/pki/kubelet-client-current.pem")
        found = x509.load_pem_x509_certificate(text.encode())
        assert names(found, NameOID.COMMON_NAME) == [f"system:node:{name}"]
        assert names(found, NameOID.ORGANIZATION_NAME) == ["system:nodes"]
        assert set(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {CLIENT}
        found.verify_directly_issued_by(certificate(files, "ca"))


def test_kubelets_serve_by_the_clusters_authority(cluster: Cluster, files: dict[str, bytes]) -> None:
    for name in cluster.names:
        served = ssl.get_server_certificate((cluster.address(name), 10250), timeout=5)
        found = x509.load_pem_x509_certificate(served.encode())
        found.verify_directly_issued_by(certificate(files, "ca"))
        assert names(found, NameOID.COMMON_NAME) == [f"system:node:{name}"]
        assert set(sans(found)) == {name, cluster.address(name)}


def test_the_api_server_serves_what_is_on_disk(cluster: Cluster, files: dict[str, bytes]) -> None:
    """Verified as a client does, by its address and by the name that every cluster has."""
    trusted = ssl.create_default_context(cadata=files[f"{PKI}/ca.crt"].decode())
    for name in (cluster.address(cluster.first), "kubernetes.default.svc.cluster.local"):
        with (
            socket.create_connection((cluster.address(cluster.first), 6443), timeout=5) as raw,
            trusted.wrap_socket(raw, server_hostname=name) as wrapped,
        ):
            served = wrapped.getpeercert(binary_form=True)
            assert served == certificate(files, "apiserver").public_bytes(Encoding.DER)
