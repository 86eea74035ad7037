"""What somebody changed by hand is shown by the plan and put right by apply: all at once, as it costs the same."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.e2e.conftest import MAIN, Cluster

pytestmark = pytest.mark.clusters(MAIN)

CHANGES = 2
PKI, MANIFESTS = "/etc/kubernetes/pki", "/etc/kubernetes/manifests"
UNITS, DROP_INS = "/etc/systemd/system", "/etc/systemd/system/kubelet.service.d"
EDIT = "KUBECONFIG=/etc/kubernetes/admin.conf KUBECACHEDIR=/tmp/kube-cache KUBE_EDITOR={editor} kubectl edit {what}"
DIGEST = "kubeforge.dev/applied"

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
    ("cp1", f"sed -i s/RestartSec=2/RestartSec=60/ {UNITS}/kubelet.service", f"file {UNITS}/kubelet.service"),
    ("cp1", f"echo 'Environment=A=b' >>{DROP_INS}/10-kubeadm.conf", f"file {DROP_INS}/10-kubeadm.conf"),
    ("w2", f"printf '[Service]\\nNice=5\\n' >{DROP_INS}/override.conf", f"absent {DROP_INS}/override.conf"),
)
# what is patched, how, the plan's line for it
OBJECTS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("-n kube-system configmap kubeadm-config", {"data": {"ClusterConfiguration": "x"}}, "kube-system/kubeadm-config"),
    ("clusterrolebinding kubeadm:get-nodes", {"subjects": []}, "object ClusterRoleBinding kubeadm:get-nodes"),
    ("-n kube-system deployment coredns", {"spec": {"replicas": 1}}, "object Deployment kube-system/coredns"),
    ("node cp1", {"spec": {"taints": None}}, "node cp1"),
)
# what `kubectl edit` is told to edit, how (sed), the plan's title, what the diff takes back and puts in its place
EDITS = (
    ("-n kube-system configmap kubeadm-config", "s/dnsDomain: .*/dnsDomain: other/", "dnsDomain: other"),
    ("-n kube-system configmap kubelet-config", "s/rotateCertificates: true/rotateCertificates: false/", "false"),
    ("-n kube-system configmap kube-proxy", "s/^    mode: .*/    mode: ipvs/", "mode: ipvs"),
    ("-n kube-system configmap coredns", "s/cache 30/cache 31/", "cache 31"),
    ("-n kube-public configmap cluster-info", "/^data:/a\\  extra: added", "extra: added"),
    ("-n kube-system role kubeadm:kubelet-config", "s/- kubelet-config/- anything/", "- anything"),
    ("-n kube-system rolebinding kubeadm:kubelet-config", "s/name: system:nodes/name: mallory/", "name: mallory"),
    ("clusterrole kubeadm:get-nodes", "s/- get/- list/", "- list"),
    ("clusterrolebinding kubeadm:node-autoapprove-bootstrap", "s/name: system:boot.*/name: mallory/", "name: mallory"),
    ("-n kube-system serviceaccount coredns", "/^kind:/iautomountServiceAccountToken: false", "automountService"),
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
    # while the taint was away, other tests' DaemonSets came, whose images only workers have
    cluster.kubectl("-n", "pages", "delete", "pods", "--field-selector=spec.nodeName=cp1", "--ignore-not-found")


def test_plan_shows_what_is_different_inside(cluster: Cluster) -> None:
    cluster.sh("w1", "echo 'net.ipv4.ip_forward = 0' >>/etc/sysctl.d/90-kubeforge.conf")
    told = cluster.forge("plan", "--diff", "--limit", "w1").stdout
    assert "-net.ipv4.ip_forward = 0" in told.replace("- net", "-net"), told
    cluster.forge("apply", "--yes", "--limit", "w1")
    assert cluster.forge("plan", "--detailed-exitcode").stdout.strip() == "No changes."


def edited(cluster: Cluster, what: str, script: str) -> None:
    """Edit an object as somebody does who has an editor open; our annotation stays what it was."""
    before = cluster.get(*what.split())["metadata"]["annotations"][DIGEST]
    done = cluster.sh(cluster.first, EDIT.format(editor=shlex.quote(f"sed -i {shlex.quote(script)}"), what=what))
    assert "edited" in done
    assert cluster.get(*what.split())["metadata"]["annotations"][DIGEST] == before


def test_what_kubectl_edit_changed_shows_with_its_diff(cluster: Cluster) -> None:
    was = {what: cluster.get(*what.split()) for what, *_ in EDITS}
    for what, script, _ in EDITS:
        edited(cluster, what, script)
    told = json.loads(cluster.forge("plan", "--diff", "-o", "json", "--detailed-exitcode", code=CHANGES).stdout)
    changes = {one["title"].casefold(): one for step in told["steps"] for one in step["changes"]}
    for what, _, text in EDITS:
        *space, kind, name = what.removeprefix("-n ").split()
        change = changes.pop(f"object {kind} {''.join(f'{one}/' for one in space)}{name}")
        gone = set(change["diff"]["before"].splitlines()) - set(change["diff"]["after"].splitlines())
        assert any(text in line for line in gone), (what, gone)
        assert len(gone) <= 2, "nothing but the edit differs"
    assert not [title for title in changes if title.startswith("object ")], "and nothing else"
    assert "-  extra: added" in cluster.forge("plan", "--diff").stdout
    cluster.forge("apply", "--yes")
    assert not any(planned(cluster, 0).values())
    for what, before in was.items():
        now = cluster.get(*what.split())
        for part in ("data", "rules", "subjects", "automountServiceAccountToken"):
            assert now.get(part) == before.get(part), what


def test_a_role_that_a_binding_never_had(cluster: Cluster) -> None:
    """No update may change roleRef, so the binding is made anew."""
    cluster.kubectl("delete", "clusterrolebinding", "kubeadm:get-nodes")
    cluster.kubectl(
        "create", "clusterrolebinding", "kubeadm:get-nodes", "--clusterrole=cluster-admin", "--user=mallory"
    )
    told = cluster.forge("plan", "--diff", "--detailed-exitcode", code=CHANGES).stdout
    assert "roleRef cannot be changed, so it is deleted and made anew" in told
    assert "-  name: cluster-admin" in told
    cluster.forge("apply", "--yes")
    assert not any(planned(cluster, 0).values())
    assert cluster.get("clusterrolebinding", "kubeadm:get-nodes")["roleRef"]["name"] == "kubeadm:get-nodes"


def test_a_container_beside_ours_goes_and_stays_away(cluster: Cluster) -> None:
    """Server-side apply leaves it to its owner."""
    beside = {"name": "beside", "image": "registry.k8s.io/pause:3.10.2"}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [beside]}}}})
    cluster.kubectl("-n", "kube-system", "patch", "deployment", "coredns", "--type=strategic", "-p", patch)
    assert any("Deployment kube-system/coredns" in title for title in planned(cluster, CHANGES)[cluster.first])
    cluster.forge("apply", "--yes")
    assert not any(planned(cluster, 0).values())
    pod = cluster.get("-n", "kube-system", "deployment", "coredns")["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["coredns"]
    cluster.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")


def test_keys_are_never_shown(cluster: Cluster) -> None:
    """Neither the one that was there nor the one that will be."""
    kept = "/root/was.key"
    cluster.sh(cluster.first, f"cp -p {PKI}/apiserver.key {kept}; echo '-----BEGIN hunter2' >{PKI}/apiserver.key")
    cluster.sh(cluster.first, f"rm {PKI}/apiserver.crt; sed -i 's/^users:/users: #hunter2/' /etc/kubernetes/admin.conf")
    for form in ("table", "json"):
        said = cluster.forge("plan", "--diff", "-o", form, "--detailed-exitcode", code=CHANGES)
        assert f"file {PKI}/apiserver.key" in said.stdout
        for word in ("hunter2", "PRIVATE KEY", "client-key-data"):
            assert word not in said.stdout + said.stderr
    cluster.forge("apply", "--yes")
    cluster.sh(cluster.first, f"rm {kept}")
    assert not any(planned(cluster, 0).values())
    assert cluster.is_good()
