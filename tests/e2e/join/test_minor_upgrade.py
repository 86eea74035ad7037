"""Somebody walks away from kubeforge: kubeadm looks after three control planes, and takes them to the next minor.

And comes back: apply keeps what it finds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Cluster, Variant, wait_until
from tests.e2e.join.conftest import SPEC, bare, edited
from tests.e2e.join.test_join import ANYHOW, invited, known, kubeadms, members, node

OLD, NEW = "1.35.4", "1.36.3"
PLANES = ("cp1", "cp2", "cp3")
# What packages would do before kubeadm is called: the programs of the new version take their places.
INSTALLED = """
for name in kubelet kubeadm kubectl; do
  for file in $(ls -td /var/lib/kubeforge/store/sha256/*); do
    ln -sfn "$file" "/root/$name"
    case $("/root/$name" --version 2>&1; "/root/$name" version 2>&1) in
      *v{version}*) mv -f "/root/$name" "/usr/local/bin/$name"; break ;;
    esac
  done
done
"""


@pytest.fixture(scope="module")
def left(labs: Path) -> Iterator[Cluster]:
    """A cluster of the older minor, each worker with its balancer; programs and images of the newer one lie there."""
    spec = {"kubelet": SPEC["kubelet"]}
    with bare(labs, "kf-leave", Variant(version=OLD, workers=1, spec=spec), "--control-planes", "3") as cluster:
        cluster.forge("apply", "--yes")
        edited(cluster.folder / "inventory/cluster.yml", {"kubernetes": NEW})
        cluster.forge("apply", "--yes", "--tags", "prepare")
        for name in (*PLANES, "w1"):
            cluster.sh(name, INSTALLED.format(version=NEW))
            assert cluster.sh(name, "kubeadm version -o short").strip() == f"v{NEW}"
        yield cluster


def until_good(left: Cluster) -> None:
    """Wait until status finds nothing amiss.

    One pod of CoreDNS was not ready after 120 s once, under load; a kubelet waits up to 2 min 3 s for a pod's volumes
    before it tries again, and API servers restart here. Should that not be it, `describe` says what is.
    """

    def why() -> str:
        pods = left.kubectl("describe", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")
        return left.forge("status", code=None).stdout + pods

    wait_until(left.is_good, seconds=240, why=why)


def test_kubeadm_knows_and_renews_the_certificates_of_each(left: Cluster) -> None:
    for name in PLANES:
        told = left.sh(name, "kubeadm certs check-expiration 2>&1")
        missing = [line.split()[1] for line in told.splitlines() if "MISSING" in line]
        assert missing == ([] if name == left.first else ["super-admin.conf"])
        said = left.sh(name, "kubeadm certs renew all 2>&1")
        assert len(re.findall(r"^certificate .* renewed$", said, re.MULTILINE)) == (11 if name == left.first else 10)
    until_good(left)


def test_tokens_are_the_same_wherever_one_asks(left: Cluster) -> None:
    made = left.sh("cp2", "kubeadm token create --ttl 20m --print-join-command").split()
    token = made[made.index("--token") + 1]
    number = token.partition(".")[0]
    assert known(left)[number]["token"] == kubeadms(left)[number]["token"] == token
    left.sh("cp3", f"kubeadm token delete {number}")
    assert number not in known(left)


def test_kubeadm_takes_the_first_control_plane_to_the_next_minor(left: Cluster) -> None:
    assert f"kubeadm upgrade apply v{NEW}" in left.sh(left.first, f"kubeadm upgrade plan v{NEW} {ANYHOW} 2>&1")
    said = left.sh(left.first, f"kubeadm upgrade apply v{NEW} --yes {ANYHOW} 2>&1")
    assert f'A control plane node of your cluster was upgraded to "v{NEW}"' in said
    left.sh(left.first, "systemctl restart kubelet")


@pytest.mark.parametrize("name", ["cp2", "w1"])
def test_and_then_others(left: Cluster, name: str) -> None:
    said = left.sh(name, f"kubeadm upgrade node {ANYHOW} 2>&1")
    assert "configuration for this node was successfully upgraded" in said
    left.sh(name, "systemctl restart kubelet")


def test_the_last_control_plane_is_reset_and_joins_at_the_next_minor(left: Cluster) -> None:
    assert "Deleted contents of the etcd data directory" in left.sh("cp3", "kubeadm reset -f 2>&1")
    assert members(left) == {"cp1": False, "cp2": False}
    left.kubectl("delete", "node", "cp3")
    assert node(left, "cp3")["registered"] is False
    said = left.sh("cp3", f"{invited(left, '--control-plane')['command']} {ANYHOW} 2>&1")
    assert "a new control plane instance was created" in said
    assert members(left) == dict.fromkeys(PLANES, False)
    wait_until(lambda: node(left, "cp3").get("ready"), why=lambda: str(node(left, "cp3")))


def test_a_worker_is_reset_and_joins_again(left: Cluster) -> None:
    left.sh("w1", "kubeadm reset -f")
    left.kubectl("delete", "node", "w1")
    assert "This node has joined the cluster" in left.sh("w1", f"{invited(left)['command']} {ANYHOW} 2>&1")
    wait_until(lambda: node(left, "w1").get("ready"), why=lambda: str(node(left, "w1")))


def test_all_are_of_it_and_apply_takes_them_as_they_are(left: Cluster) -> None:
    """What kubeadm wrote in its own words, apply writes in ours."""
    left.forge("apply", "--yes")
    # apply waits until CoreDNS answers, not until the last of its pods is of the new template
    until_good(left)
    assert "No changes." in left.forge("plan", "--detailed-exitcode").stdout
    status = json.loads(left.forge("status", "-o", "json").stdout)
    assert status["kubernetes"]["version"] == NEW
    assert {one["version"] for one in (*status["nodes"], *status["components"])} == {NEW}
    assert (status["etcd"]["quorum"], len(status["etcd"]["members"])) == (True, 3)
