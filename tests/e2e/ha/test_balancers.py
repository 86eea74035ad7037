"""Three control planes: their birth, the way to the API, and what a client notices when one of them dies.

The tests follow one another on one cluster.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ha.client import SOME
from tests.e2e.ha.conftest import LONGEST, Ha, Record

pytestmark = pytest.mark.lab

LOCAL = "https://127.0.0.1:6443"
JOURNAL = "journalctl -u kubeforge-haproxy -o cat --no-pager -n 8"


def test_birth(ha: Ha) -> None:
    ha.apply().check(0)
    ha.ready()
    ha.until_good()  # kubelets show their static pods a moment later
    etcd = json.loads(ha.run("status", "-o", "json").check(0).out)["etcd"]
    assert (etcd["quorum"], len(etcd["members"])) == (True, 3)
    assert [one for one in etcd["members"] if one["learner"] or one["problem"]] == []


def test_a_second_apply_changes_nothing(ha: Ha) -> None:
    ha.run("plan", "--detailed-exitcode").check(0, "No changes.")


def test_all_founders_are_members_that_vote(ha: Ha) -> None:
    members = ha.etcdctl("cp2", "member", "list")["members"]
    assert sorted(one["name"] for one in members) == ["cp1", "cp2", "cp3"]
    assert not [one for one in members if one.get("isLearner")]


def test_no_member_would_found_a_cluster_of_its_own(ha: Ha) -> None:
    for name in ha.planes:
        assert "--initial-cluster-state=existing" in ha.sh(name, "cat /etc/kubernetes/manifests/etcd.yaml")
        assert "initial-cluster-state=new" not in ha.sh(name, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_no_component_was_restarted(ha: Ha) -> None:
    pods = ha.get("pods", "-n", "kube-system")["items"]
    restarts = {
        one["metadata"]["name"]: status["restartCount"] for one in pods for status in one["status"]["containerStatuses"]
    }
    assert len([name for name in restarts if name.startswith("kube-apiserver-")]) == 3
    assert not {name: count for name, count in restarts.items() if count}


def test_programs_of_a_node_ask_its_own_balancer(ha: Ha) -> None:
    assert f"server: {LOCAL}" in ha.sh("w1", "cat /etc/kubernetes/kubelet.conf")
    proxy = ha.get("configmap", "-n", "kube-system", "kube-proxy")["data"]["kubeconfig.conf"]
    assert f"server: {LOCAL}" in proxy
    for name in ha.planes:
        assert f"server: https://{ha.lab.host(name).address}:6443" in ha.sh(name, "cat /etc/kubernetes/admin.conf")


def test_dns_does_not_end_with_one_node(ha: Ha) -> None:
    pods = ha.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"]
    assert len({one["spec"]["nodeName"] for one in pods}) == len(pods) == 2


def kill_and_watch(ha: Ha, victim: str, server: str) -> Record:
    """Cut a control plane's power under a client on the worker; return what the client saw."""
    with ha.client("w1", server) as watched:
        ha.lab.host(victim).kill()
        wait_until(lambda: f"api/{victim} is DOWN" in ha.sh("w1", JOURNAL), seconds=10)
        watched.answered()
    return watched.record


def come_back(ha: Ha, victim: str) -> None:
    """Power on, and wait until all is as before."""
    ha.lab.host(victim).start()
    ha.until_good()
    members = ha.etcdctl(victim, "endpoint", "health", "--cluster")
    assert [one["health"] for one in members] == [True, True, True]


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_any_one_control_plane_dies(ha: Ha, role: str) -> None:
    leader = ha.leader()
    victim = leader if role == "leader" else next(name for name in ha.planes if name != leader)
    record = kill_and_watch(ha, victim, LOCAL)
    for loop in record.loops:
        assert record.gap(loop) < LONGEST, record.told()
    print(f"\n{role} {victim}\n{record.told()}")
    assert len(record.acknowledged) > SOME, record.told()
    come_back(ha, victim)
    assert set(record.acknowledged) <= ha.written()
    ha.run("kubectl", "--", "delete", "configmaps", "-n", "default", "--field-selector=metadata.name!=kube-root-ca.crt")
