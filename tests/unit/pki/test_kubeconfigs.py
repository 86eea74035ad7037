from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime

import pytest
import yaml

from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import Identity, request, row
from kubeforge.pki.issue import Authority, authority, leaf, new_keys
from kubeforge.secret import Secret
from kubeforge.spec.model import KeyAlgorithm

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
IDENTITY = Identity(node="cp1", address="192.0.2.11")
ADMIN = kubeconfigs.TABLE[0]


@pytest.fixture(scope="module")
def ca() -> Authority:
    return authority(request(row("ca"), IDENTITY), new_keys(1, KeyAlgorithm.ECDSA_P256)[0], days=3650, now=NOW)


def admin(ca: Authority, server: str = "192.0.2.11:6443") -> Secret:
    issued = leaf(kubeconfigs.request(ADMIN), new_keys(1, KeyAlgorithm.ECDSA_P256)[0], ca, days=365, now=NOW)
    return kubeconfigs.with_certificate(
        cluster="demo", server=server, ca=ca.certificate, name=ADMIN.common_name, issued=issued
    )


BY_PATH = """
clusters: [{name: default-cluster, cluster: {certificate-authority: /etc/kubernetes/pki/ca.crt, server: 'https://a:1'}}]
"""


def test_where_a_kubelets_kubeconfig_leads(ca: Authority) -> None:
    ours = kubeconfigs.kubelet(cluster="demo", server="192.0.2.11:6443", ca=ca.certificate, node="w1")
    assert kubeconfigs.leads_to(ours, server="192.0.2.11:6443", ca=ca.certificate)
    assert not kubeconfigs.leads_to(ours, server="127.0.0.1:6443", ca=ca.certificate)
    assert not kubeconfigs.leads_to(ours, server="192.0.2.11:6443", ca=b"another")
    assert kubeconfigs.leads_to(BY_PATH.encode(), server="a:1", ca=ca.certificate)


@pytest.mark.parametrize("text", [b"", b"[]", b"clusters: []", b"clusters: [{cluster: }]", b"\0", b"clusters: {"])
def test_what_is_no_kubeconfig_leads_nowhere(text: bytes) -> None:
    assert not kubeconfigs.leads_to(text, server="a:1", ca=b"")


def test_the_table_is_the_contract() -> None:
    said = {candidate.path: (candidate.common_name, candidate.organization) for candidate in kubeconfigs.TABLE}
    assert said == {
        "/etc/kubernetes/admin.conf": ("kubernetes-admin", "kubeadm:cluster-admins"),
        "/etc/kubernetes/super-admin.conf": ("kubernetes-super-admin", "system:masters"),
        "/etc/kubernetes/controller-manager.conf": ("system:kube-controller-manager", ""),
        "/etc/kubernetes/scheduler.conf": ("system:kube-scheduler", ""),
    }
    local = {candidate.path for candidate in kubeconfigs.TABLE if candidate.server is kubeconfigs.Server.LOCAL}
    assert local == {"/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf"}
    assert [candidate.path for candidate in kubeconfigs.TABLE if candidate.first_only] == [
        "/etc/kubernetes/super-admin.conf"
    ]


def test_one_with_a_certificate(ca: Authority) -> None:
    document = yaml.safe_load(admin(ca).reveal())
    assert document["current-context"] == "kubernetes-admin@demo"
    assert document["clusters"][0]["cluster"]["server"] == "https://192.0.2.11:6443"
    assert b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]) == ca.certificate
    assert b64decode(document["users"][0]["user"]["client-key-data"]).startswith(b"-----BEGIN EC PRIVATE KEY")


def test_a_kubelets_names_its_certificate_by_path(ca: Authority) -> None:
    text = kubeconfigs.kubelet(cluster="demo", server="192.0.2.11:6443", ca=ca.certificate, node="cp1")
    user = yaml.safe_load(text)["users"][0]
    assert user["name"] == "system:node:cp1"
    assert user["user"] == {
        "client-certificate": "/var/lib/kubelet/pki/kubelet-client-current.pem",
        "client-key": "/var/lib/kubelet/pki/kubelet-client-current.pem",
    }
    asked = kubeconfigs.kubelet_client(IDENTITY)
    assert (asked.common_name, asked.organizations) == ("system:node:cp1", ("system:nodes",))


def test_bootstrap_keeps_its_token_to_itself(ca: Authority) -> None:
    token = Secret("abcdef.0123456789abcdef")
    made = kubeconfigs.bootstrap(cluster="demo", server="192.0.2.11:6443", ca=ca.certificate, token=token)
    assert "abcdef" not in repr(made)
    assert yaml.safe_load(made.reveal())["users"][0]["user"] == {"token": "abcdef.0123456789abcdef"}


def test_cluster_info_has_no_user(ca: Authority) -> None:
    document = yaml.safe_load(kubeconfigs.cluster_info(server="192.0.2.11:6443", ca=ca.certificate))
    assert document["users"] is None
    assert document["clusters"][0]["name"] == ""


def test_when_to_write_anew(ca: Authority) -> None:
    content = admin(ca)
    good = {"server": "192.0.2.11:6443", "ca": ca.certificate, "now": NOW}
    assert kubeconfigs.reasons(ADMIN, content, **good) == ()  # type: ignore[arg-type]  # three keyword arguments
    moved = kubeconfigs.reasons(ADMIN, content, server="api.example.net:6443", ca=ca.certificate, now=NOW)
    assert moved == ("it points at https://192.0.2.11:6443, not https://api.example.net:6443",)
    (other,) = kubeconfigs.reasons(kubeconfigs.TABLE[2], content, **good)[:1]  # type: ignore[arg-type]  # as above
    assert "its CN is kubernetes-admin" in other


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"users: [secret-key]", b"clusters: []\nusers: []"])
def test_rubbish_is_told_without_showing_it(ca: Authority, text: bytes) -> None:
    (told,) = kubeconfigs.reasons(ADMIN, Secret(text), server="a:1", ca=ca.certificate, now=NOW)
    assert "cannot be read" in told
    assert "secret-key" not in told
