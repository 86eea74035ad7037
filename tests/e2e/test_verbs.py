"""Every verb that talks about a cluster, as a user types it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import MAIN, OLDER, Cluster, wait_until

COMPONENTS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}


def test_validate(cluster: Cluster) -> None:
    cluster.forge("validate")


@pytest.mark.clusters(MAIN, OLDER)
def test_status_as_a_table(cluster: Cluster) -> None:
    told = cluster.forge("status").stdout
    version = cluster.variant.version
    assert told.startswith(f"Cluster {cluster.name}, Kubernetes v{version}: all is well\n")
    for name in cluster.names:
        (line,) = [line for line in told.splitlines() if line.split()[:1] == [name] and cluster.address(name) in line]
        assert line.split()[2:4] == ["yes", version]
    assert f"answers on {len(cluster.names)} of {len(cluster.names)} nodes" in told


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_status_as_data(cluster: Cluster, form: str) -> None:
    told = yaml.safe_load(cluster.forge("status", "-o", form).stdout)
    assert (told["version"], told["verdict"], told["good"], told["problems"]) == (1, "healthy", True, [])
    assert {node["name"]: node["ready"] for node in told["nodes"]} == dict.fromkeys(cluster.names, True)
    assert {one["component"] for one in told["components"]} == COMPONENTS - {"etcd"}
    assert all(one["host"] == cluster.first and one["ready"] for one in told["components"])
    assert [(one["host"], one["answers"]) for one in told["etcd"]["members"]] == [(cluster.first, True)]
    assert {one["days"] for one in told["certificates"]} <= {364, 365, 3649, 3650}


def test_status_says_what_is_amiss(cluster: Cluster) -> None:
    manifest, aside = "/etc/kubernetes/manifests/kube-scheduler.yaml", "/run/kube-scheduler.yaml"
    cluster.sh(cluster.first, f"mv {manifest} {aside}")
    try:
        wait_until(lambda: not cluster.is_good(), seconds=60)
        told = json.loads(cluster.forge("status", "-o", "json", code=1).stdout)
        assert (told["verdict"], told["good"]) == ("degraded", False)
        assert "kube-scheduler" not in [one["component"] for one in told["components"] if one["ready"]]
        assert "has no manifest of kube-scheduler" in cluster.forge("status", code=1).stdout
    finally:
        cluster.sh(cluster.first, f"mv {aside} {manifest}")
    wait_until(cluster.is_good, seconds=120)


def test_plan_of_one_host(cluster: Cluster) -> None:
    worker = cluster.workers[0]
    told = json.loads(cluster.forge("plan", "-o", "json", "--limit", worker).stdout)
    assert told["hosts"] == [worker]
    assert told["steps"] == []


def test_limit_by_group_and_exclusion(cluster: Cluster) -> None:
    told = json.loads(cluster.forge("plan", "-o", "json", "--limit", f"kube_node:!{cluster.workers[0]}").stdout)
    assert told["hosts"] == cluster.workers[1:]


def test_limit_to_nobody_is_refused(cluster: Cluster) -> None:
    done = cluster.forge("plan", "--limit", "nobody", code=None)
    assert done.returncode not in (0, 1)
    assert "nobody" in done.stderr


def test_tags(cluster: Cluster) -> None:
    whole = json.loads(cluster.forge("plan", "-o", "json").stdout)
    told = json.loads(cluster.forge("plan", "-o", "json", "--tags", "prepare").stdout)
    assert told["steps"] == []
    assert set(told["plays"]) < set(whole["plays"])
    done = cluster.forge("plan", "--tags", "prepares", code=None)
    assert done.returncode not in (0, 1)
    assert "prepares" in done.stderr


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_plan_as_data(cluster: Cluster, form: str) -> None:
    told = yaml.safe_load(cluster.forge("plan", "-o", form, "--limit", cluster.workers[0]).stdout)
    assert (told["version"], told["playbook"], told["steps"], told["failures"]) == (1, "apply", [], [])


def test_kubeconfig_is_an_administrators(cluster: Cluster) -> None:
    config = yaml.safe_load(cluster.forge("kubeconfig").stdout)
    (one,) = config["clusters"]
    assert one["name"] == config["current-context"] == cluster.name
    assert one["cluster"]["server"] == f"https://{cluster.address(cluster.first)}:6443"
    other = yaml.safe_load(cluster.forge("kubeconfig", "--server", "https://api.example.test:443").stdout)
    assert other["clusters"][0]["cluster"]["server"] == "https://api.example.test:443"


def test_kubeconfig_merged_is_used_from_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    mine = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "mine", "cluster": {"server": "https://192.0.2.1:6443"}}],
        "users": [{"name": "me", "user": {"token": "x"}}],
        "contexts": [{"name": "mine", "context": {"cluster": "mine", "user": "me", "namespace": "shop"}}],
        "current-context": "mine",
    }
    target = tmp_path / "config"
    target.write_text(yaml.safe_dump(mine))
    cluster.forge("kubeconfig", "--merge", "-o", str(target))
    merged = yaml.safe_load(target.read_text())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {context["name"] for context in merged["contexts"]} == {"mine", cluster.name}
    assert merged["contexts"][0] == mine["contexts"][0]
    assert merged["current-context"] == cluster.name
    # a worker has nothing but this file: over stdin, as its argv is for everybody to see
    script = f"""cache=$(mktemp -d); trap 'rm -r "$cache"' EXIT  # it would be in /root
kubectl --cache-dir="$cache" --kubeconfig=/dev/stdin get nodes -o name <<'EOF'
{target.read_text()}
EOF
"""
    assert sorted(cluster.sh(cluster.workers[0], script).split()) == sorted(f"node/{name}" for name in cluster.names)


def test_kubectl_hands_over_its_exit_code_and_input(cluster: Cluster) -> None:
    assert cluster.forge("kubectl", "--", "get", "namespace", "nothing", code=1).stderr.startswith("Error from server")
    made = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-hand"}})
    assert cluster.kubectl("create", "-n", "kube-public", "-f", "-", stdin=made) == "configmap/by-hand created\n"
    cluster.kubectl("delete", "-n", "kube-public", "configmap", "by-hand")


def test_kubectl_is_an_administrator(cluster: Cluster) -> None:
    assert cluster.kubectl("auth", "can-i", "*", "*", "-A").strip() == "yes"
    version = json.loads(cluster.kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"] == f"v{cluster.variant.version}"
