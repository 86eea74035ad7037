"""Three control planes lose one while they are founded, and two when they serve: what is said then, and what mends it.

The tests follow one another on one cluster.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import remains, remove
from tests.e2e.faults.conftest import LABS, Forge
from tests.e2e.faults.test_status import look, until

pytestmark = pytest.mark.lab

DOWN = 16
QUICK = ("-e", "ansible_timeout=2")


@pytest.fixture(scope="module")
def three() -> Iterator[Forge]:
    """Bare hosts for three control planes."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    LABS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=LABS))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBEFORGE_LABS", str(folder))
            try:
                with Lab.up("quorum", control_planes=3, workers=0) as lab:
                    forge = Forge(lab, lab.inventory, folder / "state")
                    file = forge.inventory / "cluster.yml"
                    spec = {**yaml.safe_load(file.read_text()), "endpoint": {"kind": "first"}, "addons": {}}
                    file.write_text(yaml.safe_dump(spec))
                    yield forge
            finally:
                for left in remains():
                    remove(left)
    finally:
        shutil.rmtree(folder)


def kinds(told: dict[str, Any]) -> set[str]:
    return {one["kind"] for one in told["problems"]}


def test_a_founder_dies_during_the_birth(three: Forge) -> None:
    with three.started() as run:
        run.until(lambda: run.step("StepStarted", "cp2", "etcd.ready"))
        three.lab.host("cp2").kill()
        said = run.ended()
    assert said.code in {11, 13}, said.text
    said.check(said.code, "Not done:", "Run again to go on.").names("cp2", "", "", "")
    told = look(three, *QUICK)
    (remedy,) = [
        one["remedy"] for one in told["problems"] if (one["kind"], one["where"]) == ("host-unreachable", "cp2")
    ]
    assert remedy.startswith("see that it is up and can be entered: kubeforge ssh cp2")
    three.lab.host("cp2").start()
    three.good()


def test_three_are_well(three: Forge) -> None:
    told = until(three, lambda told: not told["problems"])
    assert told["etcd"]["needed"] == 2
    assert [member["answers"] for member in told["etcd"]["members"]] == [True] * 3
    assert sum(member["leader"] for member in told["etcd"]["members"]) == 1
    for component in ("kube-controller-manager", "kube-scheduler"):
        assert sum(bool(one["leader"]) for one in told["components"] if one["component"] == component) == 1


def test_one_dies(three: Forge) -> None:
    """Whoever leads after it: there is one, and nothing but the host is amiss."""
    three.lab.host("cp3").kill()
    told = until(three, lambda told: kinds(told) == {"host-unreachable"}, *QUICK)
    assert told["verdict"] == "degraded"
    assert told["etcd"]["quorum"] is True
    assert told["etcd"]["leader"] in ("cp1", "cp2")


def test_the_quorum_is_lost_and_recovered_as_it_says(three: Forge) -> None:
    before = three.sh("cp1", "find /etc/kubernetes /var/lib/kubeforge/generations -type f -newermt 1970-01-01 | sort")
    three.lab.host("cp2").kill()
    told = until(three, lambda told: "etcd-quorum-lost" in kinds(told), *QUICK, seconds=60)
    assert told["verdict"] == "down"
    problem = next(one for one in told["problems"] if one["kind"] == "etcd-quorum-lost")
    assert "1 of 3 members answer, 2 are needed; missing: cp2" in problem["message"]
    three.run("status", *QUICK).check(DOWN, "etcd has lost its quorum", "bring cp2, cp3 back")
    refused = three.apply(*QUICK)
    assert refused.code in (11, 12), refused.text
    assert "Nothing was done" in refused.err
    after = three.sh("cp1", "find /etc/kubernetes /var/lib/kubeforge/generations -type f -newermt 1970-01-01 | sort")
    assert after == before

    says = problem["remedy"].partition("only where they are gone for good: ")[2]
    command, _, then = says.partition(", then ")
    assert (command, then) == ("kubeforge etcd recover --from cp1", "kubeforge apply")
    three.run("etcd recover", "--from", "cp1", "--yes", *QUICK).check(0)
    told = until(three, lambda told: told["verdict"] == "degraded", *QUICK)
    assert (told["etcd"]["quorum"], told["etcd"]["leader"]) == (True, "cp1")
    members = {member["host"]: member["registered"] for member in told["etcd"]["members"]}
    assert members == {"cp1": True, "cp2": False, "cp3": False}
    three.run("kubectl", *QUICK, "--", "-n", "kube-system", "get", "configmap", "kubeadm-config").check(0)
