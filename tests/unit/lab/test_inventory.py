"""What a lab writes for its user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.inventory.loader import load as load_inventory
from kubeforge.lab.inventory import cluster_yaml, default_inventory, hosts_yaml, write
from kubeforge.lab.layout import LabPaths
from kubeforge.lab.record import LabRecord, Shape
from kubeforge.spec.addresses import balancer_hosts
from kubeforge.spec.loader import load as load_spec
from kubeforge.spec.model import ClusterSpec, EndpointKind


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    folder = tmp_path / "demo"
    folder.mkdir()
    return LabPaths(folder=folder)


def record(**shape: int) -> LabRecord:
    return LabRecord(name="demo", number=0, shape=Shape(**shape), kubernetes="1.35.4", image="/image")


def groups(record: LabRecord, paths: LabPaths) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(hosts_yaml(record, paths))
    return loaded["all"]["children"]  # type: ignore[no-any-return]  # yaml has no types


def test_groups_as_in_kubespray(paths: LabPaths) -> None:
    children = groups(record(workers=1), paths)
    assert children["kube_control_plane"]["hosts"] == {"cp1": {"ansible_host": "10.77.0.11"}}
    assert children["kube_node"]["hosts"] == {"w1": {"ansible_host": "10.77.0.51"}}
    assert "etcd" not in children, "without hosts of its own etcd is stacked"


def test_external_etcd(paths: LabPaths) -> None:
    both = record(etcd=3)
    assert list(groups(both, paths)["etcd"]["hosts"]) == ["e1", "e2", "e3"]
    assert yaml.safe_load(cluster_yaml(both))["etcd"] == {"topology": "external"}


def test_balancers_on_hosts_of_their_own(paths: LabPaths) -> None:
    wide = record(control_planes=3, load_balancers=2)
    assert list(groups(wide, paths)["kube_load_balancer"]["hosts"]) == ["lb1", "lb2"]
    write(wide, paths)
    inventory = load_inventory(paths.inventory)
    spec = load_spec(paths.inventory, inventory)
    assert (spec.endpoint.kind, spec.endpoint.address) == (EndpointKind.HAPROXY, "10.77.0.251")
    assert balancer_hosts(spec, inventory) == inventory.load_balancers
    assert "kube_load_balancer" not in groups(record(), paths)


def test_several_control_planes_can_be_applied(paths: LabPaths) -> None:
    several = record(control_planes=3)
    write(several, paths)
    assert load_spec(paths.inventory, load_inventory(paths.inventory)).endpoint.kind is EndpointKind.LOCALHOST


def test_a_folder_with_a_blank_stays_one_option(tmp_path: Path) -> None:
    paths = LabPaths(folder=tmp_path / "my labs" / "demo")
    variables = yaml.safe_load(hosts_yaml(record(), paths))["all"]["vars"]
    assert variables["ansible_ssh_common_args"] == f"-o 'UserKnownHostsFile={paths.known_hosts}'"


def test_cluster_yaml_is_a_spec() -> None:
    spec = ClusterSpec.model_validate(yaml.safe_load(cluster_yaml(record())))
    assert (spec.name, spec.kubernetes) == ("demo", "1.35.4")
    assert spec.kube_proxy.config["conntrack"]["maxPerCore"] == 0


def test_the_users_cluster_yaml_stays(paths: LabPaths) -> None:
    write(record(), paths)
    (paths.inventory / "cluster.yml").write_text("name: mine\n")
    write(record(workers=5), paths)
    assert (paths.inventory / "cluster.yml").read_text() == "name: mine\n"
    assert "w5" in (paths.inventory / "hosts.yml").read_text()


def test_no_default_inventory_of_a_lab_that_is_down(paths: LabPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_LABS", str(paths.folder.parent))
    assert default_inventory() is None
    # number 999 has no link on any machine
    LabRecord(name="demo", number=999, shape=Shape(), kubernetes="1.36.3", image="/i").write(paths.record)
    assert default_inventory() is None
