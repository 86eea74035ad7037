"""What `apply` gives a host, the playbooks beside it give it too, or there is a reason here why they do not."""

from __future__ import annotations

import pytest
import yaml

from kubeforge.resources import playbook as playbook_file

LOOKS = "looks at the cluster, as cluster/membership.py does here"
LIVES = "changes what lives, or mends it"
ALONE = "an upgrade leaves it as it is"
CLUSTER = "is said of the whole cluster, by a task of their own"

LEFT_OUT: dict[str, dict[str, str]] = {
    "node-add": {
        **dict.fromkeys(("etcd.quorum", "upgrade.check", "endpoint.answers", "nodes.strangers"), LOOKS),
        **dict.fromkeys(("etcd.roll", "control_plane.roll", "kubelet.roll", "runtime.roll", "pki.mend"), LIVES),
        **dict.fromkeys(("addresses.moved", "addresses.settled", "addresses.pods", "etcd.addresses"), LIVES),
        "kubelet.resume": LIVES,
        **dict.fromkeys(("addons.apply", "bootstrap.objects", "endpoint.retire"), CLUSTER),
    },
    "upgrade": {
        **dict.fromkeys(("before.record", "kubelet.join", "kubelet.leave_bootstrap"), "hosts are members already"),
        **dict.fromkeys(("endpoint.install", "endpoint.balance", "endpoint.answers", "endpoint.retire"), ALONE),
        **dict.fromkeys(("bridge.routes", "checks.endpoint", "nodes.strangers", "pki.mend"), ALONE),
        **dict.fromkeys(("addresses.moved", "addresses.settled", "addresses.pods", "etcd.addresses"), ALONE),
        "kubelet.resume": LIVES,
        "control_plane.controllers": "control_plane.roll, as they live",
        **dict.fromkeys(("addons.apply", "bootstrap.objects"), CLUSTER),
    },
}


def tasks(playbook: str) -> set[str]:
    return {task for play in yaml.safe_load(playbook_file(playbook).read_bytes()) for task in play["tasks"]}


@pytest.mark.parametrize("playbook", LEFT_OUT)
def test_nothing_is_forgotten(playbook: str) -> None:
    assert tasks("apply") - tasks(playbook) == set(LEFT_OUT[playbook])
