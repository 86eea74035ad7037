"""kubeadm itself, run on a control plane, takes the cluster for one of its own."""

from __future__ import annotations

import re

import pytest

from kubeforge.pki.certificates import TABLE, Kind
from tests.e2e.conftest import BRIDGE, MAIN, OLDER, Cluster

pytestmark = pytest.mark.clusters(MAIN, OLDER, BRIDGE)

COMPLAINTS = re.compile(
    r"(?i:missing|unknown|invalid|error|fail|warning|deprecat|could ?n.t|cannot|not found|unable)|^[WEF]\d{4} ",
    re.MULTILINE,
)
CONFIGS = ("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf")


def kubeadm(cluster: Cluster, words: str) -> str:
    """Run kubeadm; return what it said, after making sure that it did not complain."""
    told = cluster.sh(cluster.first, f"kubeadm {words} 2>&1")
    assert not COMPLAINTS.search(told), told
    return told


def test_check_expiration(cluster: Cluster) -> None:
    told = kubeadm(cluster, "certs check-expiration")
    rows = {line.split()[0]: line for line in told.splitlines() if " UTC " in line}
    leaves = {row.name for row in TABLE if row.kind is Kind.LEAF} | set(CONFIGS)
    authorities = {row.name for row in TABLE if row.kind is Kind.AUTHORITY}
    assert set(rows) == leaves | authorities
    for name in leaves:
        assert "364d" in rows[name]
    for name in leaves | authorities:
        assert rows[name].split()[-1] == "no", f"{name} is managed from outside"
    assert 'Reading configuration from the "kubeadm-config" ConfigMap' in told


def test_token_list(cluster: Cluster) -> None:
    header, *rows = kubeadm(cluster, "token list").splitlines()
    assert header.split()[0] == "TOKEN"
    assert len(rows) == 1
    assert re.match(r"[a-z0-9]{6}\.[a-z0-9]{16} ", rows[0])
    assert "authentication,signing" in rows[0]
    assert rows[0].split()[-1] == "system:bootstrappers:kubeadm:default-node-token"


@pytest.mark.parametrize("step", ["same", "patch", "minor"])
def test_upgrade_plan(cluster: Cluster, step: str) -> None:
    """Its health check runs a Job in the cluster, so this says that pods run, too."""
    major, minor, patch = map(int, cluster.variant.version.split("."))
    target = {"same": (major, minor, patch), "patch": (major, minor, patch + 1), "minor": (major, minor + 1, 0)}[step]
    version = "v" + ".".join(map(str, target))
    told = kubeadm(cluster, f"upgrade plan {version}")
    assert f"Cluster version: {cluster.variant.version}" in told
    assert f"Target version: {version}" in told
    if step == "same":
        return
    assert f"kubeadm upgrade apply {version}" in told
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert re.search(rf"{component} +{cluster.first} +v{cluster.variant.version} +{version}", told), told
    for name in cluster.names:
        assert re.search(rf"kubelet +{name} +v{cluster.variant.version} +{version}", told), told
    configs = re.findall(r"(\S+\.config\.k8s\.io) +\S+ +\S+ +(\S+)", told)
    assert sorted(configs) == [("kubelet.config.k8s.io", "no"), ("kubeproxy.config.k8s.io", "no")]


def test_upgrade_diff_is_of_versions_only(cluster: Cluster) -> None:
    """So kubeadm would write the same static pods, but for the images' tags and their UIDs (docs/adr/0081)."""
    major, minor, patch = map(int, cluster.variant.version.split("."))
    told = kubeadm(cluster, f"upgrade diff v{major}.{minor}.{patch + 1}")
    changed = [line for line in told.splitlines() if re.match(r"[+-](?![+-])", line)]
    others = [
        line for line in changed if not re.match(r".    image: registry\.k8s\.io/kube-|-  uid: [0-9a-f]{32}$", line)
    ]
    if minor == 35:  # the folder of FlexVolumes, dropped by kubeadm 1.36, which kubeforge never mounts
        others = [line for line in others if not re.search(r"flexvolume|DirectoryOrCreate|hostPath|exec$", line)]
    assert changed
    assert others == []


def test_join_command(cluster: Cluster) -> None:
    """`kubeadm token create` makes one that leads to the same authority; then the token is taken back."""
    told = kubeadm(cluster, "token create --ttl 5m --print-join-command")
    token, digest = re.fullmatch(
        rf"kubeadm join {re.escape(cluster.address(cluster.first))}:6443 --token (\S+) "
        r"--discovery-token-ca-cert-hash sha256:([0-9a-f]{64})\s*",
        told,
    ).groups()  # type: ignore[union-attr]  # no match fails the test, too
    command = (
        "openssl x509 -in /etc/kubernetes/pki/ca.crt -noout -pubkey | openssl pkey -pubin -outform der | sha256sum"
    )
    assert cluster.sh(cluster.first, command).split()[0] == digest
    kubeadm(cluster, f"token delete {token}")
