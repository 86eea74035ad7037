"""etcd of three members on real hosts, apart and stacked: birth, data lost, quorum lost, recovery, reset. In order."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.etcd.conftest import Etcd
from tests.e2e.test_reset import difference

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LOST = "etcd has lost its quorum: of 3 members 2 must have their data, and 1 has"


def test_birth(etcd: Etcd) -> None:
    etcd.before.update(etcd.snapshots())
    etcd.apply().check(0)
    etcd.run("plan", "--detailed-exitcode").check(0, "No changes.")
    wait_until(lambda: etcd.run("status").code == 0, why=lambda: etcd.run("status").text)
    listed = etcd.listed(etcd.members[0])
    assert sorted(listed) == etcd.members
    etcd.kubectl("create", "configmap", "kept", "--from-literal=a=1")


def test_hosts_of_etcd_alone(etcd: Etcd) -> None:
    """A service of its own user, shut in; no kubelet, no containers; control planes cannot sign for etcd."""
    if etcd.topology != "external":
        pytest.skip("etcd runs on the control planes")
    for host in etcd.members:
        assert etcd.sh(host, "ps -C etcd -o user=").split() == ["etcd"]
        assert etcd.sh(host, "stat -c %U /var/lib/etcd/member/wal").strip() == "etcd"
        there = "ls -d /usr/local/bin/kubelet /etc/containerd /var/lib/kubelet /etc/sysctl.d/90-kubeforge.conf"
        assert etcd.sh(host, f"{there} 2>/dev/null || true") == ""
        said = etcd.sh(host, "systemctl show etcd -p CapabilityBoundingSet -p ProtectSystem -p NoNewPrivileges")
        assert set(said.split()) == {"CapabilityBoundingSet=", "ProtectSystem=strict", "NoNewPrivileges=yes"}
        listening = etcd.sh(host, "ss -Hltn 'sport >= 2379 and sport <= 2381'")
        assert sorted(re.findall(r"(\S+):(\d+) +\S+:\*", listening)) == [
            (address, port)
            for address, port in sorted(
                [("127.0.0.1", "2379"), ("127.0.0.1", "2381")]
                + [(etcd.lab.host(host).address, port) for port in ("2379", "2380")]
            )
        ]
        asks = (
            "etcdctl --command-timeout=2s --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt"
        )
        refused = etcd.sh(host, f"/usr/local/bin/{asks} endpoint health >/dev/null 2>&1 && echo taken || echo refused")
        assert refused.strip() == "refused", "nobody is served without a certificate"
    there = etcd.sh("cp1", "cd /etc/kubernetes; ls pki/etcd pki/apiserver-etcd-client.key; ls manifests")
    assert "ca.crt" in there
    assert "ca.key" not in there
    assert "etcd.yaml" not in there
    assert "apiserver" in etcd.sh("cp1", "kubeadm certs check-expiration"), "kubeadm takes the cluster for its own"


def test_a_member_that_lost_its_data_comes_back(etcd: Etcd) -> None:
    third = etcd.members[2]
    old = etcd.listed(etcd.members[0])
    etcd.lose_data(third)
    wait_until(lambda: f"{third}: etcd: it has no data" in " ".join(etcd.run("status").out.split()))
    problems = json.loads(etcd.run("status", "-o", "json").out)["problems"]
    (remedy,) = [one["remedy"] for one in problems if (one["kind"], one["where"]) == ("etcd-data-lost", third)]
    assert remedy.startswith(f"kubeforge apply --limit {third} takes it in anew")
    etcd.run("plan").check(0, f"its data are lost: member {old[third]['ID']:x} is removed")
    etcd.apply().check(0)
    new = etcd.listed(etcd.members[0])
    assert sorted(new) == etcd.members
    assert new[third]["ID"] != old[third]["ID"]
    assert not any(one.get("isLearner") for one in new.values())
    etcd.run("plan", "--detailed-exitcode").check(0, "No changes.")
    etcd.lab.host(third).reboot()
    wait_until(lambda: etcd.run("status").code == 0, why=lambda: etcd.run("status").text)
    assert sorted(etcd.listed(third)) == etcd.members


def test_two_hosts_that_do_not_answer(etcd: Etcd) -> None:
    first, *others = etcd.members
    for host in others:
        etcd.lab.host(host).kill()
    try:
        said = etcd.run("plan", "-e", "ansible_timeout=2").check(11)
        said.names(first, "etcd.quorum", LOST, f"bring {others[0]} and {others[1]} back")
    finally:
        for host in others:
            etcd.lab.host(host).start()
    wait_until(lambda: etcd.run("status").code == 0, seconds=90, why=lambda: etcd.run("status").text)


def test_most_of_the_data_lost(etcd: Etcd) -> None:
    """It is said, nothing is touched, and the command that is named brings everything back."""
    first, *others = etcd.members
    etcd.lose_data(*others)
    remedy = f"kubeforge etcd recover --from {first}, then kubeforge apply"
    told = etcd.run("status")
    assert told.code != 0
    told.check(told.code, "etcd has lost its quorum", f"kubeforge etcd recover --from {first}")
    made = {host: etcd.sh(host, "cat /var/lib/kubeforge/generations/ledger | sha256sum") for host in etcd.members}
    said = etcd.apply().check(12, "Nothing was done")
    for host in etcd.members:
        said.names(host, "etcd.", LOST, remedy)
    assert made == {host: etcd.sh(host, "cat /var/lib/kubeforge/generations/ledger | sha256sum") for host in made}
    etcd.run("etcd recover", "--from", others[0], "--yes").check(12, "no data of etcd to go on from", first)

    etcd.run("etcd recover", "--from", first, "--yes").check(0)
    assert list(etcd.listed(first)) == [first]
    etcd.apply().check(0)
    assert sorted(etcd.listed(first)) == etcd.members
    wait_until(lambda: etcd.run("status").code == 0, why=lambda: etcd.run("status").text)
    assert '"a":"1"' in etcd.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data}")
    # Every watch begins anew after a recovery: a node may lose sight of CoreDNS once more, and the plan would say so.
    wait_until(lambda: "No changes." in etcd.run("plan").out, why=lambda: etcd.run("plan").text)
    etcd.run("etcd recover", "--from", first, "--yes").check(12, "nothing is to be recovered")


def test_reset_leaves_nothing(etcd: Etcd) -> None:
    etcd.run("reset", "--yes").check(0)
    after = etcd.snapshots()
    found = {name: difference(etcd.before[name], after[name]) for name in etcd.before}
    assert not any(found.values()), found
