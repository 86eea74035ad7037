"""Drop-ins that people put beside our units are drift; what cluster.yml keeps is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.operations.diffs import attach_diffs, diffable
from kubeforge.operations.model import Queries, Verb
from kubeforge.spec.paths import KUBELET_DROP_IN
from kubeforge.tasks import kubelet, runtime

Make = Callable[..., Any]
FOLDER = KUBELET_DROP_IN.rpartition("/")[0]
OVERRIDE = f"{FOLDER}/override.conf"
QUICK = {"pki": {"algorithm": "ECDSA-P256"}}


def test_an_override_is_shown_taken_away_and_the_kubelet_restarted(site: Make) -> None:
    made = site(**QUICK)
    host = made.hosts["cp1"]
    made.apply("cp1", kubelet.configure)
    assert made.apply("cp1", kubelet.configure) == []

    host.put(OVERRIDE, b"[Service]\nNice=5\n")
    host.put(f"{FOLDER}/notes.txt", b"systemd does not read it")
    (change,) = made.changes("cp1", kubelet.configure)
    assert (change.title, change.verb) == (f"absent {OVERRIDE}", Verb.REMOVE)
    (shown,) = attach_diffs([change], host.observe(Queries(reads=diffable([change]))).contents)
    assert shown.diff is not None
    assert (shown.diff.before, shown.diff.after) == ("[Service]\nNice=5\n", "")

    (unit,) = made.operations("cp1", kubelet.run)
    assert f"absent {OVERRIDE}" in unit.listens
    assert made.apply("cp1", kubelet.configure) == [f"absent {OVERRIDE}"]
    assert made.apply("cp1", kubelet.configure) == []


@pytest.mark.parametrize("folder", ["/run/systemd/system", "/etc/systemd/system.control"])
def test_runtime_and_set_property(site: Make, folder: str) -> None:
    made = site(**QUICK)
    made.hosts["w1"].put(f"{folder}/containerd.service.d/50-CPUQuota.conf", b"[Service]\nCPUQuota=1%\n")
    told = [operation.title for operation in made.operations("w1", runtime.install)]
    assert f"absent {folder}/containerd.service.d/50-CPUQuota.conf" in told


def test_what_cluster_yml_keeps_stays(site: Make) -> None:
    made = site(os={"keep_drop_ins": ["containerd.service.d/*proxy.conf"]}, **QUICK)
    for name in ("http-proxy.conf", "other.conf"):
        made.hosts["w1"].put(f"/etc/systemd/system/containerd.service.d/{name}", b"[Service]\n")
    told = [operation.title for operation in made.operations("w1", runtime.install) if "service.d" in operation.title]
    assert told == ["absent /etc/systemd/system/containerd.service.d/other.conf"]
