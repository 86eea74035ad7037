"""Hosts brought in by kubeadm's own `kubeadm join` are full members; kubeadm upgrades and resets what is here."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HERE, LONGEST, Cluster, wait_until
from tests.e2e.join.conftest import SPARE, list_hosts

# cgroup v1, which kubeadm wants to be told about although the kubelet's configuration accepts it
ANYHOW = "--ignore-preflight-errors=SystemVerification"
# 30 s: where the leader has just been reset, the others elect one first, and two cores are busy
ETCDCTL = (
    "etcdctl --command-timeout=30s --cacert /etc/kubernetes/pki/etcd/ca.crt "
    "--cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key"
)
SYSTEM = ("-n", "kube-system")


def invited(grown: Cluster, *words: str) -> dict[str, Any]:
    """Return what `token join-command` says, as data; the text form says the same command."""
    told: dict[str, Any] = json.loads(grown.forge("token join-command", *words, "-o", "json").stdout)
    return told


def known(grown: Cluster) -> dict[str, Any]:
    """Return the tokens as kubeforge lists them."""
    return {one["id"]: one for one in json.loads(grown.forge("token list", "-o", "json", "--reveal").stdout)}


def kubeadms(grown: Cluster) -> dict[str, Any]:
    """Return the tokens as kubeadm lists them."""
    decoder, found, rest = json.JSONDecoder(), [], grown.sh(grown.first, "kubeadm token list -o json").strip()
    while rest:
        one, end = decoder.raw_decode(rest)
        found.append(one)
        rest = rest[end:].strip()
    return {one["token"].partition(".")[0]: one for one in found}


def node(grown: Cluster, name: str) -> dict[str, Any]:
    """Return what `status` says of a node; nothing where it does not know it."""
    told = json.loads(grown.forge("status", "-o", "json", code=None).stdout)
    return next((one for one in told["nodes"] if one["name"] == name), {})


def approve_serving(grown: Cluster, name: str) -> None:
    """Do what `status` says of a node that waits for its serving certificate."""
    wait_until(lambda: node(grown, name).get("waiting"), why=lambda: str(node(grown, name)))
    problems = json.loads(grown.forge("status", "-o", "json", code=1).stdout)["problems"]
    (mend,) = [one["remedy"] for one in problems if (one["kind"], one["where"]) == ("serving-certificate-waits", name)]
    grown.kubectl(*mend.removeprefix("kubeforge kubectl -- ").split())
    wait_until(grown.is_good, seconds=120, why=lambda: grown.forge("status", code=None).stdout)


def members(grown: Cluster) -> dict[str, bool]:
    """Return etcd's members, and whether they are learners."""
    told = json.loads(grown.sh(grown.first, f"{ETCDCTL} member list -w json"))
    return {one["name"]: one.get("isLearner", False) for one in told["members"]}


def test_both_know_the_same_tokens(grown: Cluster) -> None:
    ours = json.loads(grown.forge("token create", "--ttl", "30m", "--description", "by kubeforge", "-o", "json").stdout)
    theirs = grown.sh(
        grown.first, "kubeadm token create --ttl 20m --usages authentication --description 'by kubeadm'"
    ).strip()
    id_of_theirs = theirs.partition(".")[0]
    here, there = known(grown), kubeadms(grown)
    assert set(here) == set(there)
    assert here[id_of_theirs]["token"] == theirs
    for one in (ours["id"], id_of_theirs):
        mine, other = here[one], there[one]
        assert mine["token"] == other["token"]
        assert mine["expires"] == other["expires"]
        assert mine["usages"] == other["usages"]
        assert mine["description"] == other["description"]
        assert mine["groups"] == other["groups"]
    assert 1700 < ours["seconds_left"] <= 1800
    wait_until(lambda: known(grown)[ours["id"]]["signed"])
    assert not known(grown)[id_of_theirs]["signed"], "it is for authentication only"

    grown.sh(grown.first, f"kubeadm token delete {ours['id']}")
    grown.forge("token delete", id_of_theirs)
    assert not {ours["id"], id_of_theirs} & (set(known(grown)) | set(kubeadms(grown)))
    grown.forge("token delete", id_of_theirs, code=16)


def test_the_list_shows_no_secret_unasked(grown: Cluster) -> None:
    secrets = [token["token"].partition(".")[2] for token in known(grown).values()]
    assert secrets
    for form in ("table", "json", "yaml"):
        told = grown.forge("token list", "-o", form).stdout
        assert not [secret for secret in secrets if secret in told]


def test_a_host_that_is_shown_another_authority_stays_out(grown: Cluster) -> None:
    told = invited(grown)
    (pin,) = told["ca_cert_hashes"]
    false = told["command"].replace(pin, "sha256:" + "0" * 64)
    said = grown.sh("w2", f"if {false} {ANYHOW} 2>&1; then exit 1; fi")
    assert "cluster CA found in cluster-info ConfigMap is invalid" in said
    assert node(grown, "w2") == {}
    grown.forge("token delete", told["token"].partition(".")[0])


def test_a_worker_joins(grown: Cluster) -> None:
    command = grown.forge("token join-command", "--ttl", "10m").stdout
    assert command.count("\n") == 1
    assert "This node has joined the cluster" in grown.sh("w2", f"{command.strip()} {ANYHOW} 2>&1")
    wait_until(lambda: node(grown, "w2").get("ready"), why=lambda: str(node(grown, "w2")))
    approve_serving(grown, "w2")


def test_its_pods_are_reached_and_reach_all(grown: Cluster) -> None:
    grown.kubectl("apply", "-f", "-", stdin=(HERE / "pages.yaml").read_text())
    for what in ("daemonset/hello", "daemonset/asker"):
        grown.kubectl("-n", "pages", "rollout", "status", what, "--timeout=60s")
    pods = grown.get("-n", "pages", "pods", "-l", "app=asker")["items"]
    (asker,) = [pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == "w2"]
    # by exec, which needs the kubelet's serving certificate
    address = grown.get("-n", "pages", "service", "hello")["spec"]["clusterIP"]
    ask = f"for n in $(seq 20); do timeout 10 wget -qO- http://{address}:80/; done"
    seen = grown.kubectl("-n", "pages", "exec", asker, "--", "sh", "-c", ask)
    assert {"w1", "w2"} <= set(re.findall(r"\bw[12]\b", seen)), seen
    grown.kubectl("-n", "pages", "exec", asker, "--", "nslookup", "kubernetes.default.svc.cluster.local")
    grown.kubectl("delete", "namespace", "pages", "--wait=true")


def test_a_line_in_the_inventory_makes_it_one_of_ours(grown: Cluster) -> None:
    before = node(grown, "w2")
    assert before["in_inventory"] is False
    list_hosts(grown, "w3")
    grown.forge("apply", "--yes")
    wait_until(grown.is_good)
    assert node(grown, "w2") == {**before, "in_inventory": True}
    assert "No changes." in grown.forge("plan", "--detailed-exitcode").stdout


def test_the_certificates_of_an_invitation_have_gone(grown: Cluster) -> None:
    """Their token ends before the invitation does, as after two hours: it is named, and kubeadm changes nothing."""
    told = invited(grown, "--control-plane", "--ttl", "6h")
    owner = grown.get(*SYSTEM, "secret", "kubeadm-certs")["metadata"]["ownerReferences"][0]["name"]
    ended = {"stringData": {"expiration": "2026-01-01T00:00:00Z"}}
    grown.kubectl("patch", *SYSTEM, "secret", owner, "--type=merge", "-p", json.dumps(ended))
    wait_until(lambda: "kubeadm-certs" not in grown.kubectl("get", *SYSTEM, "secrets", "-o", "name"))

    ours = told["token"].partition(".")[0]
    assert "kubeforge token join-command --control-plane" in known(grown)[ours]["problem"]
    status = json.loads(grown.forge("status", "-o", "json").stdout)
    (remedy,) = [one["remedy"] for one in status["problems"] if one["kind"] == "certificate-key-expired"]
    assert remedy.startswith("kubeforge token join-command --control-plane makes key and token anew;")
    assert f"kubeforge token delete {ours}" in remedy
    said = grown.sh("w3", f"if {told['command']} {ANYHOW} 2>&1; then exit 1; fi")
    assert 'Secret "kubeadm-certs" was not found' in said
    assert (node(grown, "w3"), members(grown)) == ({}, {grown.first: False})
    grown.forge("token delete", ours)
    assert json.loads(grown.forge("status", "-o", "json").stdout)["invitations"] == []


def test_a_control_plane_joins(grown: Cluster) -> None:
    told = invited(grown, "--control-plane")
    left = (datetime.fromisoformat(told["certificates_expire"]) - datetime.now(tz=UTC)).total_seconds()
    assert 7100 < left <= 7200
    said = grown.sh("w3", f"{told['command']} {ANYHOW} 2>&1")
    assert "a new control plane instance was created" in said
    assert members(grown) == {grown.first: False, "w3": False}
    approve_serving(grown, "w3")
    assert node(grown, "w3")["roles"] == ["control-plane"]
    status = json.loads(grown.forge("status", "-o", "json").stdout)
    on_it = {one["component"] for one in status["components"] if one["host"] == "w3" and one["ready"]}
    assert on_it == {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
    assert {one["host"]: one["in_inventory"] for one in status["etcd"]["members"]} == {grown.first: True, "w3": False}
    missing = [line for line in grown.sh("w3", "kubeadm certs check-expiration").splitlines() if "MISSING" in line]
    assert [line.split()[1] for line in missing] == ["super-admin.conf"], "which the first control plane alone has"
    same = "sha256sum /etc/kubernetes/pki/{ca,front-proxy-ca,etcd/ca}.{crt,key} /etc/kubernetes/pki/sa.{pub,key}"
    assert grown.sh("w3", f"bash -c '{same}'") == grown.sh(grown.first, f"bash -c '{same}'")
    assert "No changes." in grown.forge("plan", "--detailed-exitcode").stdout


def test_the_upload_goes_with_its_token(grown: Cluster) -> None:
    """kubeadm's own upload first: the later one replaces it whole, or it would outlive its own token."""
    grown.sh(grown.first, "kubeadm init phase upload-certs --upload-certs")
    invited(grown, "--control-plane")
    (owner,) = grown.get(*SYSTEM, "secret", "kubeadm-certs")["metadata"]["ownerReferences"]
    proxies = [one for one, token in known(grown).items() if token["description"].startswith("Proxy for managing TTL")]
    assert owner["name"].removeprefix("bootstrap-token-") in proxies
    grown.forge("token delete", owner["name"].removeprefix("bootstrap-token-"))
    wait_until(lambda: "kubeadm-certs" not in grown.kubectl("get", *SYSTEM, "secrets", "-o", "name"))
    grown.forge("apply", "--yes")  # kubeadm has written two RBAC objects in its own words


def test_kubeadm_renews_every_certificate(grown: Cluster) -> None:
    for name in (grown.first, "w3"):
        said = grown.sh(name, "kubeadm certs renew all 2>&1")
        assert "Done renewing certificates" in said
        assert len(re.findall(r"^certificate .* renewed$", said, re.MULTILINE)) == (11 if name == grown.first else 10)
    assert "No changes." in grown.forge("plan", "--detailed-exitcode").stdout


def test_kubeadm_upgrades_it_to_what_it_is(grown: Cluster) -> None:
    """Static pods are ours but for the UID (docs/adr/0081); what it writes in its own words, apply writes in ours."""
    version = f"v{grown.variant.version}"
    said = grown.sh(grown.first, f"kubeadm upgrade apply {version} --yes {ANYHOW} 2>&1")
    for component in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert f"Component {component} upgraded successfully!" in said.replace('"', "").replace("'", "")
    assert f'A control plane node of your cluster was upgraded to "{version}"' in said
    for name in ("w1", "w2"):
        assert "configuration for this node was successfully upgraded" in grown.sh(
            name, f"kubeadm upgrade node {ANYHOW} 2>&1"
        )
    wait_until(grown.is_good, seconds=120)
    grown.forge("apply", "--yes")
    wait_until(lambda: grown.forge("plan", "--detailed-exitcode", code=None).returncode == 0)
    wait_until(grown.is_good)


def test_kubeadm_resets_what_it_joined(grown: Cluster) -> None:
    for name in ("w2", "w3"):
        grown.kubectl("drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
    assert "Deleted contents of the etcd data directory" in grown.sh("w3", "kubeadm reset -f 2>&1")
    assert members(grown) == {grown.first: False}
    grown.sh("w2", "kubeadm reset -f")
    for name in ("w2", "w3"):
        grown.kubectl("delete", "node", name)
    list_hosts(grown, *SPARE)
    wait_until(grown.is_good, seconds=60)
    grown.forge("apply", "--yes")
    # the API server that went is an endpoint of its Service until its lease has run out
    wait_until(lambda: grown.forge("plan", "--detailed-exitcode", code=None).returncode == 0)


def test_a_host_that_was_reset_joins_again(grown: Cluster) -> None:
    grown.sh("w2", f"{invited(grown)['command']} {ANYHOW} 2>&1")
    wait_until(lambda: node(grown, "w2").get("ready"), why=lambda: str(node(grown, "w2")))


def test_nothing_secret_was_recorded(grown: Cluster) -> None:
    """Neither in the journals of runs nor in what kubeforge keeps on hosts."""
    secrets = [token["token"].partition(".")[2] for token in known(grown).values()]
    assert len(secrets) > 2
    words = "|".join(secrets)
    for folder in (grown.state, Path(grown.folder, "inventory")):
        done = subprocess.run(
            ["grep", "-rlE", words, str(folder)], capture_output=True, text=True, timeout=LONGEST, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
    # kubeadm keeps a copy of etcd below /etc/kubernetes/tmp
    places = "--exclude-dir=tmp /var/lib/kubeforge /etc /var/log"
    assert grown.sh(grown.first, f"grep -rlE '{words}' {places} || test $? = 1") == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_without_a_cluster_it_says_so(grown: Cluster, form: str) -> None:
    grown.sh(grown.first, "mv /etc/kubernetes/admin.conf /run/; mv /etc/kubernetes/super-admin.conf /run/")
    try:
        said = grown.forge("token join-command", "-o", form, code=16).stderr
    finally:
        grown.sh(grown.first, "mv /run/admin.conf /run/super-admin.conf /etc/kubernetes/")
    assert "no control plane leads to the API" in said
    assert "next: kubeforge apply founds the cluster" in said
