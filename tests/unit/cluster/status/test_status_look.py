"""A whole look, over hosts in memory and an API server on loopback: well, half dead, and dead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from kubeforge.cluster.status.look import look
from kubeforge.cluster.status.model import ClusterStatus, Severity, Verdict
from kubeforge.pki.certificates import Usage
from kubeforge.pki.upload import UPLOAD_ANNOTATION
from kubeforge.report.status import as_text
from kubeforge.spec import paths
from kubeforge.spec.addresses import dns_ip
from tests.unit.small_dns import behind, dns_server

from .conftest import World, issue, make_authority

Make = Callable[..., World]


def seen(world: World) -> ClusterStatus:
    status = look(world.sample.inventory, world.sample.spec, world.remote)
    assert as_text(status), "whatever is the matter, it can be shown"
    assert as_text(status, everything=True)
    return status


def told(status: ClusterStatus) -> set[tuple[str, str]]:
    return {(one.kind, one.where) for one in status.problems}


def test_all_is_well(world: Make) -> None:
    made = world()
    status = seen(made)
    assert told(status) == set()
    assert (status.verdict, status.exit_code) == (Verdict.HEALTHY, 0)
    assert status.kubernetes.version == "1.36.3"
    assert [(node.name, node.ready, node.roles) for node in status.nodes] == [
        ("cp1", True, ("control-plane",)),
        ("cp2", True, ("control-plane",)),
        ("cp3", True, ("control-plane",)),
        ("w1", True, ()),
    ]
    assert all(one.ready for one in status.components)
    assert [one.host for one in status.components if one.leader] == ["cp1", "cp1"]
    assert (status.etcd.leader, status.etcd.needed, len(status.etcd.members)) == ("cp1", 2, 3)
    assert [(way.host, way.answers) for way in status.endpoint.ways] == [(name, True) for name in made.hosts]
    assert [(one.host, one.answers) for one in status.dns] == [(name, True) for name in made.hosts]
    assert [(one.name, one.ready, one.desired) for one in status.addons] == [
        ("kube-proxy", 4, 4),
        ("flannel", 4, 4),
        ("coredns", 2, 2),
    ]


@pytest.mark.parametrize(("reported", "ready"), [("2025-11-21T16:03:08Z", False), ("2025-11-21T16:03:10Z", True)])
def test_what_is_known_of_a_node_is_of_the_kubelet_before(world: Make, reported: str, ready: bool) -> None:
    """Its host was off for some seconds: the API has it Ready until the kubelet there speaks."""
    made = world()
    started = "Id=kubelet.service\nActiveState=active\nExecMainStartTimestampMonotonic=490250000"
    made.hosts["w1"].parts |= {"units": f"{started}\n\nId=containerd.service\nActiveState=active"}
    made.hosts["w1"].parts["clocks"] = f"500.25 {int(datetime(2025, 11, 21, 16, 3, 20, tzinfo=UTC).timestamp())}"
    nodes = made.server.answers["/api/v1/nodes"]["items"]
    (node,) = [one for one in nodes if one["metadata"]["name"] == "w1"]
    node["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastHeartbeatTime": reported}]
    status = seen(made)
    assert told(status) == (set() if ready else {("node-not-ready", "w1")})
    if not ready:
        assert "has not reported since" in status.problems[0].message


def test_a_node_without_dns(world: Make) -> None:
    made = world()
    made.hosts["w1"].tunnels[(dns_ip(made.sample.spec), 53)] = behind(dns_server())
    status = seen(made)
    assert told(status) == {("dns-silent", "w1")}
    assert (status.verdict, status.exit_code) == (Verdict.DEGRADED, 1)


def test_one_command_per_host_and_one_for_the_way_in(world: Make) -> None:
    made = world()
    seen(made)
    commands = {name: len(host.ran) for name, host in made.hosts.items()}
    assert commands["w1"] == 1
    assert sorted(commands[name] for name in ("cp1", "cp2", "cp3")) == [1, 1, 2]


def test_an_invitation_whose_certificates_have_gone(world: Make) -> None:
    """Of Secrets only the metadata are asked for."""
    made = world()
    mine = {"name": "bootstrap-token-abcdef", "annotations": {UPLOAD_ANNOTATION: "owners"}}
    certs = {"name": "kubeadm-certs", "ownerReferences": [{"name": "bootstrap-token-owners"}]}
    listed = [{"metadata": mine}, {"metadata": certs}]
    made.server.answers["/api/v1/namespaces/kube-system/secrets"]["items"] = listed
    assert told(seen(made)) == set()
    listed.pop()
    status = seen(made)
    assert (status.verdict, told(status)) == (Verdict.HEALTHY, {("certificate-key-expired", "")})
    assert status.problems[0].remedy.startswith("kubeforge token join-command --control-plane makes")


@pytest.mark.parametrize(
    ("balancers", "address", "units"),
    [
        (2, "192.0.2.99", ["kubeforge-haproxy.service", "kubeforge-keepalived.service"]),
        (1, "192.0.2.31", ["kubeforge-haproxy.service"]),
    ],
    ids=["two share an address", "one has it"],
)
def test_balancers_on_hosts_of_their_own(world: Make, balancers: int, address: str, units: list[str]) -> None:
    made = world(load_balancers=balancers, endpoint={"kind": "haproxy", "address": address})
    made.hosts["lb1"].parts["units"] = "\n\n".join(f"Id={unit}\nActiveState=active" for unit in units)
    status = seen(made)
    hosts = {host.name: host for host in status.hosts}
    assert hosts["lb1"].roles == ("balancer",)
    assert list(hosts["lb1"].balancer) == units
    assert ("balancer-down", "lb1") not in told(status)


def test_control_planes_look_for_the_address_that_others_ask(world: Make) -> None:
    """Their own kubelets do not need it, so nothing else would tell that a balancer in front of them leads nowhere."""
    made = world(workers=0, endpoint={"kind": "external", "address": "192.0.2.99"})
    status = seen(made)
    assert {way.server for way in status.endpoint.ways} == {"https://192.0.2.99:6443"}
    assert told(status) == {("endpoint-silent", "")}
    assert status.problems[0].remedy.startswith("make the balancer at 192.0.2.99:6443 lead")


def test_one_control_plane_is_dead(world: Make) -> None:
    made = world()
    made.hosts["cp1"].unreachable = True
    for node in made.server.answers["/api/v1/nodes"]["items"]:
        if node["metadata"]["name"] == "cp1":
            node["status"] = {"conditions": [{"type": "Ready", "status": "Unknown", "message": "no news"}]}
    for name in ("cp2", "cp3"):
        made.hosts[name].parts["etcd"] = made.hosts[name].parts["etcd"].replace('"leader": 161', '"leader": 162')
    status = seen(made)
    assert told(status) == {("host-unreachable", "cp1")}
    assert "; its node is not Ready" in status.problems[0].message
    assert status.verdict is Verdict.DEGRADED
    assert (status.etcd.quorum, status.etcd.leader) == (True, "cp2")
    assert [one.answers for one in status.etcd.members] == [None, True, True]


def test_the_quorum_is_lost(world: Make) -> None:
    made = world()
    made.lose_quorum("cp2")
    status = seen(made)
    assert told(status) == {("etcd-quorum-lost", ""), ("api-down-with-etcd", "")}
    assert (status.verdict, status.exit_code) == (Verdict.DOWN, 16)
    first = status.problems[0]
    assert first.severity is Severity.CRITICAL
    quorum = next(one for one in status.problems if one.kind == "etcd-quorum-lost")
    assert "1 of 3 members answer, 2 are needed" in quorum.message
    assert "kubeforge etcd recover --from cp2" in quorum.remedy


def test_a_leader_that_has_lost_its_followers_does_not_count(world: Make) -> None:
    """It takes itself for the leader until its election timeout, and its API server for alive."""
    made = world()
    leader = made.hosts["cp1"].parts["etcd"]
    made.lose_quorum("cp1")
    made.hosts["cp1"].parts["etcd"] = leader
    status = seen(made)
    assert told(status) == {("etcd-quorum-lost", ""), ("api-down-with-etcd", "")}


def test_all_api_servers_are_down(world: Make) -> None:
    """The hosts still say how they are."""
    made = world()
    made.stop_api()
    made.hosts["w1"].parts["units"] = (
        "Id=kubelet.service\nActiveState=failed\n\nId=containerd.service\nActiveState=active"
    )
    status = seen(made)
    assert told(status) == {("api-down", ""), ("kubelet-down", "w1")}
    assert status.exit_code == 16
    assert (status.etcd.quorum, status.etcd.leader) == (True, "cp1"), "etcd is asked over SSH"
    assert [node.registered for node in status.nodes] == [None] * 4
    assert [one.days for one in status.certificates if one.name == "ca"] == [3649] * 4


def test_nobody_can_be_entered(world: Make) -> None:
    made = world()
    for host in made.hosts.values():
        host.unreachable = True
    status = seen(made)
    assert (status.verdict, status.exit_code) == (Verdict.UNREACHABLE, 11)
    assert ("control-plane-unreachable", "") in told(status)
    assert status.kubernetes.problem.startswith("cp1: no answer from cp1; cp2:")


def test_bare_hosts(world: Make) -> None:
    made = world(control_planes=1)
    for host in made.hosts.values():
        host.parts = {"units": "", "clocks": "1 1", "manifests": "", "processes": "systemd", "note": ""}
        host.kubeconfig = None
        host.tunnels.clear()
    made.hosts["cp1"].parts["etcd"] = "sh: 38: etcdctl: not found"
    status = seen(made)
    assert ("no-kubeconfig", "") in told(status)
    assert f"has no {paths.ADMIN_CONF}" in status.kubernetes.problem


def test_an_api_server_that_says_what_it_lacks(world: Make) -> None:
    made = world(control_planes=1)
    made.server.ready = (500, "[+]ping ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed: reason withheld\n")
    status = seen(made)
    messages = {one.message for one in status.problems if one.kind == "component-down"}
    assert "kube-apiserver: not ready: etcd, informer-sync" in messages


def test_a_stranger_at_the_endpoint_is_no_api(world: Make, tmp_path: Any) -> None:
    """Whoever answers there with another authority's certificate is not the cluster."""
    from .conftest import ApiServer, objects

    made = world()
    folder = tmp_path / "other"
    folder.mkdir()
    other = issue(make_authority("elsewhere"), Usage.SERVER, "kubernetes", addresses=(made.sample.first.address,))
    stranger = ApiServer(folder, other, objects(made.sample))
    try:
        made.hosts["w1"].tunnels[made.sample.first.address, 6443] = stranger.open
        status = seen(made)
    finally:
        stranger.close()
    assert told(status) == {("endpoint-silent", "w1")}
    assert "certificate verify failed" in status.problems[0].message


def test_nodes_that_others_joined_and_hosts_that_never_did(world: Make) -> None:
    made = world()
    listed = made.server.answers["/api/v1/nodes"]["items"]
    foreign = {**listed[-1], "metadata": {"name": "w9", "labels": {}}}
    made.server.answers["/api/v1/nodes"]["items"] = [*listed[:-1], foreign]
    status = seen(made)
    assert told(status) == {("node-missing", "w1"), ("node-foreign", "w9")}
    assert [(node.name, node.in_inventory, node.registered) for node in status.nodes[3:]] == [
        ("w1", True, False),
        ("w9", False, True),
    ]


def test_runs_are_told(world: Make) -> None:
    made = world()
    made.hosts["cp1"].parts[f"held {paths.CLUSTER_LOCK}"] = "ann@desk, since 9:00, run r7"
    made.hosts["w1"].parts["note"] = "begin r6 1\ntitle 0 file /a\nstart 0\n"
    made.hosts["cp2"].parts["note"] = "begin r6 1\ntitle 0 file /a\nstart 0\n"
    made.hosts["cp2"].parts[f"held {paths.LOCK}"] = ""
    status = seen(made)
    assert [(one.host, one.kind) for one in status.runs] == [("cp1", "lock"), ("cp2", "busy"), ("w1", "interrupted")]
    assert "ann@desk" in status.runs[0].what
    assert "had begun" in status.runs[2].what


def test_credentials_that_the_api_refuses(world: Make) -> None:
    """An administrator's certificate that has ended: the API server lives, and tells us nothing."""
    made = world(control_planes=1)
    made.server.refused = 401
    status = seen(made)
    assert told(status) == {("api-refuses", "")}
    assert status.exit_code == 16
    assert [one.ready for one in status.components] == [True] * 3


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_the_data_are_plain(world: Make, form: str) -> None:
    import json

    import yaml

    data = seen(world(control_planes=1)).to_data()
    assert (data["version"], data["verdict"], data["good"]) == (1, "healthy", True)
    again = json.loads(json.dumps(data)) if form == "json" else yaml.safe_load(yaml.safe_dump(data))
    assert again == data
