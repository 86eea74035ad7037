from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.addons import bridge, flannel, kube_proxy, registry, traefik
from kubeforge.addons.model import Cluster
from kubeforge.documents import dump_all
from kubeforge.spec.paths import CNI_TEMPLATE, POD_ROUTES, POD_ROUTES_UNIT

Make = Callable[..., Any]
Check = Callable[[str, str], None]
EVERYTHING: dict[str, Any] = {"addons": {"ingress": {}}}


def of(sample: Any) -> Cluster:
    return Cluster(spec=sample.spec, inventory=sample.inventory, facts=sample.facts, images=sample.images)


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (workload,) = [made for made in objects if made["kind"] in ("DaemonSet", "Deployment")]
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    return pod


def test_goldens(of_minor: Any, minor: str, sample: Make, golden: Check) -> None:
    cluster = of(sample(of_minor.spec.kubernetes, **EVERYTHING))
    for addon in registry.enabled(cluster.spec):
        golden(f"{minor}/addons/{addon.name}.yaml", dump_all(addon.objects(cluster)))


def test_golden_of_nftables(sample: Make, golden: Check) -> None:
    cluster = of(sample(network={"proxy": "nftables"}))
    golden("nftables/kube-proxy.yaml", dump_all(kube_proxy.objects(cluster)))
    golden("nftables/flannel.yaml", dump_all(flannel.objects(cluster)))


def test_what_is_enabled(sample: Make) -> None:
    def names(**spec: Any) -> list[str]:
        return [addon.name for addon in registry.enabled(sample(**spec).spec)]

    assert names() == ["kube-proxy", "flannel", "coredns"]
    assert names(network={"cni": "bridge"}, **EVERYTHING) == ["kube-proxy", "bridge", "coredns", "traefik"]
    assert len({addon.name for addon in registry.ADDONS}) == len(registry.ADDONS)


@pytest.mark.parametrize("cni", ["flannel", "bridge"])
def test_what_counts_as_there_is_among_the_objects(sample: Make, cni: str) -> None:
    cluster = of(sample(network={"cni": cni}, **EVERYTHING))
    for addon in registry.enabled(cluster.spec):
        made = [
            (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in addon.objects(cluster)
        ]
        assert len(set(made)) == len(made)
        assert addon.workload is None or addon.workload in made


def test_namespaces_come_before_what_is_in_them(sample: Make) -> None:
    seen = {None, "kube-system"}
    for made in registry.objects(of(sample(**EVERYTHING))):
        if made["kind"] == "Namespace":
            seen.add(made["metadata"]["name"])
        assert made["metadata"].get("namespace") in seen


def test_selectors_match_their_pods(sample: Make) -> None:
    for made in registry.objects(of(sample(**EVERYTHING))):
        if made["kind"] in ("DaemonSet", "Deployment"):
            wanted = made["spec"]["selector"]["matchLabels"].items()
            assert wanted <= made["spec"]["template"]["metadata"]["labels"].items()


def test_only_kube_proxy_is_privileged(sample: Make) -> None:
    for addon in registry.enabled(sample(**EVERYTHING).spec):
        for container in pod_of(addon.objects(of(sample(**EVERYTHING))))["containers"]:
            assert bool(container["securityContext"].get("privileged")) == (addon.name == "kube-proxy")


def test_one_host_that_cannot_write_conntracks_limit_decides_for_all(sample: Make) -> None:
    assert "conntrack" not in kube_proxy.configuration(of(sample()))
    cluster = sample(facts={"conntrack_writable": False})
    mixed = {**sample().facts, "w2": cluster.facts["w2"]}
    said = kube_proxy.configuration(Cluster(spec=cluster.spec, inventory=cluster.inventory, facts=mixed, images={}))
    assert said["conntrack"] == {"maxPerCore": 0}


def test_kube_proxys_spec_wins(sample: Make) -> None:
    spec = {"config": {"conntrack": {"min": 1000}, "mode": "nftables"}, "extra_args": {"v": "4"}}
    cluster = of(sample(facts={"conntrack_writable": False}, kube_proxy=spec))
    said = kube_proxy.configuration(cluster)
    assert (said["conntrack"], said["mode"]) == ({"maxPerCore": 0, "min": 1000}, "nftables")
    assert pod_of(kube_proxy.objects(cluster))["containers"][0]["command"][-1] == "--v=4"


def test_dns_is_at_the_tenth_address(sample: Make) -> None:
    made = registry.objects(of(sample(network={"services": "10.32.0.0/16", "domain": "example.local"})))
    (service,) = [one for one in made if one["kind"] == "Service"]
    assert service["spec"]["clusterIP"] == "10.32.0.10"
    corefile = next(one for one in made if one["metadata"]["name"] == "coredns" and one["kind"] == "ConfigMap")
    assert "kubernetes example.local in-addr.arpa" in corefile["data"]["Corefile"]


def test_flannel_asks_the_endpoint_and_takes_the_nodes_interface(sample: Make) -> None:
    cluster = of(sample(endpoint={"kind": "external", "address": "api.example.net", "port": 8443}))
    container = pod_of(flannel.objects(cluster))["containers"][0]
    said = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (said["KUBERNETES_SERVICE_HOST"], said["KUBERNETES_SERVICE_PORT"]) == ("api.example.net", "8443")
    assert "--iface=$(NODE_IP)" in container["args"]


def test_flannel_follows_the_proxy_and_rolls_when_changed(sample: Make) -> None:
    def network(**spec: Any) -> tuple[dict[str, Any], str]:
        made = flannel.objects(of(sample(**spec)))
        (settings,) = [one["data"]["net-conf.json"] for one in made if one["kind"] == "ConfigMap"]
        return json.loads(settings), made[-1]["spec"]["template"]["metadata"]["annotations"]["kubeforge/configuration"]

    plain, first = network()
    nft, second = network(network={"proxy": "nftables"})
    assert (plain["EnableNFTables"], nft["EnableNFTables"]) == (False, True)
    assert first != second


def run_start(folder: Path, seconds: str) -> subprocess.CompletedProcess[str]:
    """Run flannel's start script with its paths moved into a folder and a flanneld that does as little."""
    script = pod_of_script().replace("/run/flannel", f"{folder}/run").replace("/etc/cni/net.d", f"{folder}/cni")
    script = script.replace("/etc/kube-flannel", f"{folder}/config").replace("/opt/bin/flanneld", f"{folder}/flanneld")
    flanneld = (
        f'#!/bin/sh\necho "$@"\nls {folder}/cni\nsleep {seconds}\necho A=1 > {folder}/run/subnet.env\nsleep 0.4\n'
    )
    (folder / "flanneld").write_text(flanneld)
    (folder / "flanneld").chmod(0o755)
    return subprocess.run(["sh", "-c", script, "start.sh", "--a", "b c"], check=True, capture_output=True, text=True)


def pod_of_script() -> str:
    from kubeforge.manifests.render import render
    from kubeforge.spec.paths import FLANNEL_CONFLIST, FLANNEL_SUBNET

    return render("flannel/start.sh", subnet=FLANNEL_SUBNET, conflist=FLANNEL_CONFLIST)


def test_flannels_start_removes_the_stale_one_and_writes_after_the_subnet(tmp_path: Path) -> None:
    for name in ("run", "cni", "config"):
        (tmp_path / name).mkdir()
    (tmp_path / "config/cni-conf.json").write_text("new")
    (tmp_path / "cni/10-flannel.conflist").write_text("stale")
    done = run_start(tmp_path, "0.3")
    assert done.stdout == "--a b c\n", "the stale one was there, or an argument was lost"
    assert (tmp_path / "cni/10-flannel.conflist").read_text() == "new"
    assert [path.name for path in (tmp_path / "cni").iterdir()] == ["10-flannel.conflist"]


def test_flannels_restart_leaves_the_node_ready(tmp_path: Path) -> None:
    """subnet.env is still there when only the pod starts anew: pods of the node must not lose their network."""
    for name in ("run", "cni", "config"):
        (tmp_path / name).mkdir()
    (tmp_path / "config/cni-conf.json").write_text("new")
    (tmp_path / "cni/10-flannel.conflist").write_text("old")
    (tmp_path / "run/subnet.env").write_text("A=1\n")
    assert "10-flannel.conflist" in run_start(tmp_path, "0").stdout


def test_the_bridge_has_files_on_hosts_and_nothing_on_the_cluster(sample: Make) -> None:
    cluster = of(sample(network={"cni": "bridge"}))
    assert bridge.objects(cluster) == []
    (template,) = registry.host_files(cluster.spec).items()
    assert template[0] == CNI_TEMPLATE
    assert '"subnet": "{{.PodCIDR}}"' in template[1]
    assert json.loads(bridge.conflist("10.244.3.0/24"))["plugins"][0]["ipam"]["ranges"] == [
        [{"subnet": "10.244.3.0/24"}]
    ]


def test_routes_lead_to_everybody_else(sample: Make, golden: Check, tmp_path: Path) -> None:
    cluster = sample(network={"cni": "bridge"})
    cidrs = {"cp1": "10.244.0.0/24", "w1": "10.244.1.0/24", "w2": "10.244.2.0/24", "stranger": "10.244.9.0/24"}
    host = cluster.inventory.hosts["w1"]
    files = bridge.pod_routes(cluster.spec, cluster.inventory, host, cidrs)
    assert list(files) == [POD_ROUTES, POD_ROUTES_UNIT]
    golden("bridge/pod-routes.sh", files[POD_ROUTES])
    golden("bridge/pod-routes.service", files[POD_ROUTES_UNIT])
    (tmp_path / "script").write_text(files[POD_ROUTES])
    subprocess.run(["sh", "-n", str(tmp_path / "script")], check=True)
    alone = sample(workers=0, network={"cni": "bridge"})
    script = bridge.pod_routes(alone.spec, alone.inventory, alone.first, {"cp1": "10.244.0.0/24"})[POD_ROUTES]
    assert "route replace" not in script
    assert "masquerade" in script


def test_traefik_runs_on_workers_or_else_where_there_is_room(sample: Make) -> None:
    with_workers = pod_of(traefik.objects(of(sample(**EVERYTHING))))
    assert "tolerations" not in with_workers
    assert "DoesNotExist" in json.dumps(with_workers["affinity"])
    alone = pod_of(traefik.objects(of(sample(workers=0, **EVERYTHING))))
    assert "affinity" not in alone
    assert alone["tolerations"][0]["key"] == "node-role.kubernetes.io/control-plane"


def test_traefiks_ports(sample: Make) -> None:
    cluster = of(sample(addons={"ingress": {"http_port": 8080, "https_port": 8443}}))
    ports = pod_of(traefik.objects(cluster))["containers"][0]["ports"]
    assert [(port["name"], port.get("hostPort")) for port in ports] == [
        ("traefik", None),
        ("web", 8080),
        ("websecure", 8443),
    ]


def test_all_is_yaml(sample: Make) -> None:
    made = registry.objects(of(sample(**EVERYTHING)))
    assert list(yaml.safe_load_all(dump_all(made))) == made
