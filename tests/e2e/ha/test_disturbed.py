"""Several control planes: etcd loses its leaders while they are needed, and a balancer that is not there is refused.

Follows `test_balancers` on the same cluster.
"""

from __future__ import annotations

import pytest

from tests.e2e.ha.conftest import Ha, spec_of

pytestmark = pytest.mark.lab


def all_serve(ha: Ha) -> bool:
    """Whether every member of etcd does, with its leader."""
    keys = "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt"
    key = "--key=/etc/kubernetes/pki/etcd/healthcheck-client.key"
    ask = f"etcdctl --command-timeout=2s --endpoints=https://127.0.0.1:2379 {keys} {key} endpoint health --cluster"
    return "yes" in ha.sh(ha.planes[-1], f"{ask} >/dev/null 2>&1 && echo yes || echo no")


def test_a_leader_is_killed_whenever_there_is_one_while_it_applies(ha: Ha) -> None:
    """One dies as soon as all serve again, until the run has ended: it ends well all the same."""
    spec_of(ha, kubelet={"config": {"maxPods": 99}})
    killed = 0
    with ha.started() as run:
        while run.child.poll() is None:
            if all_serve(ha):
                ha.sh(ha.leader(), "pkill -KILL -x etcd")
                killed += 1
        run.ended().check(0)
    assert killed, "the run ended before a leader could be killed"
    ha.until_good(180)  # the kubelet waits longer for each start of the same pod
    ha.run("plan", "--detailed-exitcode").check(0, "No changes.")
    assert {one["status"]["capacity"]["pods"] for one in ha.get("nodes")["items"]} == {"99"}


def test_an_address_where_nobody_answers(ha: Ha) -> None:
    """A balancer that is not there yet: said while planning, and nobody is led to it."""
    silent = ha.lab.host("cp1").address.rpartition(".")[0] + ".241"
    was = (ha.inventory / "cluster.yml").read_text()
    spec_of(ha, endpoint={"kind": "external", "address": silent})
    said = ha.apply().check(12, "Nothing was done")
    (ha.inventory / "cluster.yml").write_text(was)
    said.names("w1", "endpoint.answers", "does not answer", "let that balancer lead to the API servers first")
    ha.run("plan", "--detailed-exitcode").check(0, "No changes.")
