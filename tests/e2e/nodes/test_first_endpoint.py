"""Where the first control plane is the endpoint, its death cuts workers off; its removal leads them to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.nodes.conftest import Fleet, fleet

pytestmark = [pytest.mark.lab, pytest.mark.slow]

TRIO = ("cp1", "cp2", "cp3")


@pytest.fixture(scope="module")
def herd() -> Iterator[Fleet]:
    """Three control planes of which the first is the endpoint, and a worker."""
    spec = {"endpoint": {"kind": "first"}}
    with fleet("first", *TRIO, "w1", spec=spec, control_planes=3, workers=1) as made:
        yield made


def server(herd: Fleet, host: str, file: str) -> str:
    """Return where a kubeconfig on a host leads."""
    return herd.sh(host, f"sed -n 's/^ *server: //p' /etc/kubernetes/{file}").strip().strip("'\"")


def test_workers_are_led_to_the_next_first(herd: Fleet) -> None:
    first, second = (f"https://{herd.lab.host(name).address}:6443" for name in ("cp1", "cp2"))
    assert server(herd, "w1", "kubelet.conf") == first
    herd.lab.host("cp1").kill()
    wait_until(lambda: not herd.nodes()["w1"], seconds=90, why=lambda: "its kubelet asks somebody else")
    with herd.wire() as wire:
        herd.run("node remove", "cp1", "--dead", "--yes").check(0)
    assert herd.lab.host("cp1").address not in wire.asked, wire.asked
    assert server(herd, "w1", "kubelet.conf") == second
    assert server(herd, "cp3", "admin.conf") == second
    wait_until(lambda: herd.nodes() == dict.fromkeys(("cp2", "cp3", "w1"), True), why=lambda: str(herd.nodes()))
    proxy = herd.get("configmap", "-n", "kube-system", "kube-proxy")["data"]["kubeconfig.conf"]
    assert second in proxy
    info = herd.get("configmap", "-n", "kube-public", "cluster-info")["data"]["kubeconfig"]
    assert second in info
    herd.write("cp2", "cp3", "w1")
    herd.whole()


def test_the_living_first_leaves_and_workers_are_led_on(herd: Fleet) -> None:
    herd.run("node remove", "cp2", "--yes").check(0)
    assert server(herd, "w1", "kubelet.conf") == f"https://{herd.lab.host('cp3').address}:6443"
    assert herd.members("cp3") == {"cp3": True}
    herd.write("cp3", "w1")
    herd.whole()
