"""What somebody changed by hand is shown by the plan and put right by apply: all at once, as it costs the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import MAIN, Cluster

pytestmark = pytest.mark.clusters(MAIN)

CHANGES = 2
PKI, MANIFESTS = "/etc/kubernetes/pki", "/etc/kubernetes/manifests"

# host, what is done to it, the plan's line for it
ON_HOSTS = (
    ("w1", "echo '# by hand' >>/var/lib/kubelet/config.yaml", "file /var/lib/kubelet/config.yaml"),
    ("w1", "sed -i /kubeforge/d /etc/hosts", "file /etc/hosts"),
    ("w1", "sysctl -qw net.ipv4.ip_forward=0", "sysctl net.ipv4.ip_forward"),
    ("w1", "rm /usr/local/bin/kubectl", "artifact /usr/local/bin/kubectl"),
    ("w2", "systemctl stop kubelet", "unit kubelet.service"),
    ("w2", "systemctl disable -q containerd", "unit containerd.service"),
    ("w2", "ctr -n k8s.io images rm registry.k8s.io/pause:3.10.2 >/dev/null", "image "),
    ("cp1", f"chmod 644 {PKI}/ca.key", f"file {PKI}/ca.key"),
    ("cp1", f"rm {PKI}/apiserver-etcd-client.crt", f"file {PKI}/apiserver-etcd-client.crt"),
    ("cp1", f"echo '# by hand' >>{MANIFESTS}/kube-scheduler.yaml", f"file {MANIFESTS}/kube-scheduler.yaml"),
)
# what is patched, how, the plan's line for it
OBJECTS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("-n kube-system configmap kubeadm-config", {"data": {"ClusterConfiguration": "x"}}, "kube-system/kubeadm-config"),
    ("clusterrolebinding kubeadm:get-nodes", {"subjects": []}, "object ClusterRoleBinding kubeadm:get-nodes"),
    ("-n kube-system deployment coredns", {"spec": {"replicas": 1}}, "object Deployment kube-system/coredns"),
    ("node cp1", {"spec": {"taints": None}}, "node cp1"),
)


def planned(cluster: Cluster, code: int) -> dict[str, set[str]]:
    """Return the titles that a plan has for each host."""
    told = json.loads(cluster.forge("plan", "-o", "json", "--detailed-exitcode", code=code).stdout)
    titles: dict[str, set[str]] = {name: set() for name in cluster.names}
    for step in told["steps"]:
        titles[step["host"]] |= {change["title"] for change in step["changes"]}
    return titles


def test_drift_of_hosts(cluster: Cluster) -> None:
    for host, script, _ in ON_HOSTS:
        cluster.sh(host, script)
    found = planned(cluster, CHANGES)
    missing = [(host, title) for host, _, title in ON_HOSTS if not any(title in one for one in found[host])]
    assert not missing, found
    cluster.forge("apply", "--yes")
    assert not any(planned(cluster, 0).values())
    assert cluster.is_good()


def test_drift_of_objects(cluster: Cluster) -> None:
    for words, patch, _ in OBJECTS:
        cluster.kubectl("patch", *words.split(), "--type=merge", "-p", json.dumps(patch))
    cluster.kubectl("-n", "kube-system", "delete", "configmap", "kubelet-config")
    found = planned(cluster, CHANGES)[cluster.first]
    expected = [title for *_, title in OBJECTS] + ["object ConfigMap kube-system/kubelet-config"]
    assert not [title for title in expected if not any(title in one for one in found)], found
    cluster.forge("apply", "--yes")
    assert not any(planned(cluster, 0).values())
    assert cluster.get("-n", "kube-system", "configmap", "kubelet-config")["data"]


def test_plan_shows_what_is_different_inside(cluster: Cluster) -> None:
    cluster.sh("w1", "echo 'net.ipv4.ip_forward = 0' >>/etc/sysctl.d/90-kubeforge.conf")
    told = cluster.forge("plan", "--diff", "--limit", "w1").stdout
    assert "-net.ipv4.ip_forward = 0" in told.replace("- net", "-net"), told
    cluster.forge("apply", "--yes", "--limit", "w1")
    assert cluster.forge("plan", "--detailed-exitcode").stdout.strip() == "No changes."
