"""Three control planes of which one is cut off, etcd that loses its leaders while it is needed, a balancer not there.

Follows `test_balancers` and `test_changing` on the same cluster.
"""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.lab.faults import partitioned
from tests.e2e.conftest import wait_until
from tests.e2e.ha.conftest import LONGEST, QUICK, Ha
from tests.e2e.ha.test_balancers import JOURNAL, LOCAL
from tests.e2e.ha.test_changing import flag, respec, running

pytestmark = pytest.mark.lab


def all_serve(ha: Ha) -> bool:
    """Whether every member of etcd does, with its leader."""
    keys = "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt"
    key = "--key=/etc/kubernetes/pki/etcd/healthcheck-client.key"
    ask = f"etcdctl --command-timeout=2s --endpoints=https://127.0.0.1:2379 {keys} {key} endpoint health --cluster"
    return "yes" in ha.sh(ha.planes[-1], f"{ask} >/dev/null 2>&1 && echo yes || echo no")


def test_the_leader_is_cut_off(trio: Ha) -> None:
    """It lives, but nobody reaches it: who asks at the endpoint is served by the others, and nothing is done."""
    victim = trio.leader()
    with trio.client("w1", LOCAL) as watched, partitioned(trio.lab.host(victim)):
        wait_until(lambda: f"api/{victim} is DOWN" in trio.sh("w1", JOURNAL), seconds=10)
        watched.answered()
        assert f"kubeforge ssh {victim}" in trio.until_named("host-unreachable", victim)
        others = {one["kind"] for one in trio.problems()} - {"host-unreachable"}
        assert others <= {"addon-not-ready"}, "pods that run there are missed by their addons"
        trio.apply(*QUICK).check(11, "Nothing was done").names(
            victim, "connect", "no answer", "see that the host is up"
        )
    record = watched.record
    print(f"\n{victim}\n{record.told()}")
    for loop in record.loops:
        assert record.gap(loop) < LONGEST, record.told()
    trio.until_good()
    assert set(record.acknowledged) <= trio.written()
    # All at once: one by one, kubectl takes minutes.
    trio.run("kubectl", "--", "delete", "--raw", "/api/v1/namespaces/default/configmaps").check(0)


def test_a_leader_is_killed_whenever_there_is_one_while_it_applies(trio: Ha) -> None:
    """One dies as soon as all serve again, until the run has ended: it ends well all the same."""

    def change(data: dict[str, Any]) -> None:
        flag("max-mutating-requests-inflight", "201")(data)
        data["kubelet"]["config"]["maxPods"] = 99

    respec(trio, change)
    killed = []
    with trio.started() as run:
        while run.child.poll() is None:
            if all_serve(trio):
                killed.append(trio.leader())
                trio.sh(killed[-1], "pkill -KILL -x etcd")
        run.ended().check(0)
    print(f"\nkilled: {killed}")
    assert killed, "the run ended before a leader could be killed"
    trio.until_good()
    trio.run("plan", "--detailed-exitcode").check(0, "No changes.")
    assert {one["status"]["capacity"]["pods"] for one in trio.get("nodes")["items"]} == {"99"}
    assert running(trio, "kube-apiserver", "--max-mutating-requests-inflight=201") == trio.planes


def test_an_address_where_nobody_answers(trio: Ha) -> None:
    """A balancer that is not there yet: said while planning, and nobody is led to it."""
    silent = trio.lab.host("cp1").address.rpartition(".")[0] + ".241"
    was = respec(trio, lambda data: data.update(endpoint={"kind": "external", "address": silent}))
    said = trio.apply().check(12, "Nothing was done")
    (trio.inventory / "cluster.yml").write_text(was)
    said.names("w1", "endpoint.answers", "does not answer", "let that balancer lead to the API servers first")
    trio.run("plan", "--detailed-exitcode").check(0, "No changes.")
