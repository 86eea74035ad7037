"""What tasks ask for on hosts: operating system, runtime, programs, images, etcd, kubelet, reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge import tasks
from kubeforge.errors import ArtifactError, UnfitHost
from kubeforge.operations.file import File
from kubeforge.operations.model import Entry, Observation
from kubeforge.operations.unit import Unit
from kubeforge.secret import Secret
from kubeforge.spec.paths import (
    BOOTSTRAP_KUBELET_CONF,
    CONTAINER_SCOPES,
    HOSTS,
    KUBELET_CLIENT_CURRENT,
    KUBELET_CONF,
    KUBELET_DROP_IN,
    KUBELET_UNIT,
    MANIFESTS,
    PKI,
)
from kubeforge.tasks import control_plane, images, kubelet, kubernetes, os, pki, runtime
from kubeforge.tasks.runtime_rolled import RuntimeRolled
from tests.conftest import make_sample

Make = Callable[..., Any]
ECDSA = {"pki": {"algorithm": "ECDSA-P256"}}


def titles(items: Any) -> list[str]:
    return [item.title for item in items]


def test_every_task_of_a_playbook_is_there_and_every_task_is_in_a_playbook() -> None:
    from kubeforge import resources
    from kubeforge.engine.playbook_loader import load

    registry = tasks.load()
    books = [load(path, registry) for path in sorted(resources.playbooks().glob("*.yml"))]
    used = {call.name for book in books for play in book.plays for call in play.tasks}
    for_any_host = {name for name, task in registry.items() if ".generic." in task.function.__module__}
    assert used - for_any_host == set(registry) - for_any_host
    assert all(task.summary for task in registry.values())


def test_os_prepare(site: Make) -> None:
    told = titles(site(os={"sysctls": {"vm.max_map_count": "1"}}).ask("w1", os.prepare))
    assert "package conntrack" in told
    assert "module br_netfilter" in told
    assert told.index("module br_netfilter") < told.index("sysctl net.bridge.bridge-nf-call-iptables")
    assert {"sysctl net.ipv4.ip_forward", "sysctl vm.max_map_count", "swap off", f"file {HOSTS}"} <= set(told)


def test_os_of_another_family_gets_no_debian_packages(site: Make) -> None:
    facts = {"os_like": frozenset({"rhel"})}
    assert not [title for title in titles(site(facts=facts).ask("w1", os.prepare)) if title.startswith("package")]


def test_swap_that_systemd_found_is_masked(site: Make) -> None:
    told = site(facts={"swap": ("/dev/zram0", "/swap-file")}).operations("w1", os.prepare)
    units = [operation for operation in told if isinstance(operation, Unit)]
    assert [unit.name for unit in units] == ["dev-zram0.swap", "swap\\x2dfile.swap"]
    assert all(unit.masked and unit.state == "stopped" for unit in units)


@pytest.mark.parametrize(
    "old",
    [
        "127.0.0.1 localhost\n",
        "127.0.0.1 localhost\n# >>> kubeforge: hosts of cluster old\n192.0.2.99 gone\n# <<< kubeforge\n",
        "127.0.0.1 localhost",
    ],
)
def test_hosts_file_has_one_block_of_ours(old: str) -> None:
    sample = make_sample(workers=1)
    text = os.hosts_file(old.encode(), "demo", sample.inventory)
    assert text == (
        b"127.0.0.1 localhost\n# >>> kubeforge: hosts of cluster demo\n192.0.2.11 cp1\n192.0.2.21 w1\n# <<< kubeforge\n"
    )
    assert os.hosts_file(text, "demo", sample.inventory) == text


def test_hosts_file_keeps_what_follows_our_block() -> None:
    sample = make_sample(workers=0)
    once = os.hosts_file(b"a\n", "demo", sample.inventory) + b"192.0.2.200 mine\n"
    assert b"192.0.2.200 mine\n" in os.hosts_file(once, "demo", sample.inventory)
    assert os.hosts_file(os.hosts_file(once, "demo", sample.inventory), "demo", sample.inventory).count(b"mine") == 1


def test_os_leaves_hosts_alone_where_told(site: Make) -> None:
    assert f"file {HOSTS}" not in titles(site(os={"manage_hosts": False}).ask("w1", os.prepare))


def test_runtime(site: Make) -> None:
    told = site(containerd={"mirrors": {"docker.io": ["http://10.0.0.1:5000"]}}).operations("w1", runtime.install)
    names = titles(told)
    assert {"artifact /usr/local/bin/runc", "artifact /opt/cni/bin/flannel", "artifact /opt/cni/bin/bridge"} <= set(
        names
    )
    assert "file /etc/containerd/certs.d/docker.io/hosts.toml" in names
    (unit,) = [operation for operation in told if isinstance(operation, Unit)]
    assert unit.listens == (
        "artifact /usr/local/bin/containerd",
        "file /etc/containerd/config.toml",
        "file /etc/systemd/system/containerd.service",
    )
    assert names[-1] == "unit containerd.service"


def test_mirrors_and_logins_come_and_go(site: Make) -> None:
    login = {"username": "u", "password": "s3cret"}
    told = {"mirrors": {"docker.io": ["http://10.0.0.1:5000"]}, "logins": {"a.example": login}}
    made = site(containerd=told)
    written = made.apply("w1", runtime.install)
    hosts, logins = "/etc/containerd/certs.d/docker.io/hosts.toml", "/var/lib/kubelet/config.json"
    assert {f"file {hosts}", f"file {logins}", "file /var/lib/kubeforge/registries"} <= set(written)
    assert made.hosts["w1"].state.paths[logins].permissions == 0o600
    assert made.changes("w1", runtime.install) == []
    without = site(containerd={"mirrors": told["mirrors"]})
    without.hosts = made.hosts
    assert without.apply("w1", runtime.install) == [f"absent {logins}", "file /var/lib/kubeforge/registries"]
    none = site()
    none.hosts = made.hosts
    assert none.apply("w1", runtime.install) == [f"absent {hosts}", "file /var/lib/kubeforge/registries"]
    assert none.changes("w1", runtime.install) == []


def test_containerd_of_a_node_that_lives_has_a_turn_of_its_own(site: Make) -> None:
    made = site()
    unit = "unit containerd.service"
    assert unit in titles(made.ask("w1", runtime.install))
    assert made.ask("w1", runtime.roll) == []
    made.hosts["w1"].put(KUBELET_CLIENT_CURRENT, b"by the kubelet")

    def units(task: Any) -> list[Unit]:
        return [one for one in made.operations("w1", task) if isinstance(one, Unit)]

    assert [unit.listens for unit in units(runtime.install)] == [()], "started, for images are imported next"
    rolled = [one for one in made.ask("w1", runtime.roll) if isinstance(one, RuntimeRolled)]
    assert "file /etc/containerd/config.toml" in rolled[0].unit.listens
    assert "file /etc/containerd/config.toml" not in titles(made.ask("w1", runtime.install))


def test_no_host_waits_long_for_its_containers_at_shutdown(site: Make) -> None:
    made = site()
    file = f"file {CONTAINER_SCOPES}"
    assert file in titles(made.ask("cp1", runtime.install))
    assert file in titles(made.ask("w1", runtime.install))


def test_runtime_for_an_architecture_without_parts(site: Make) -> None:
    with pytest.raises(ArtifactError, match="no containerd for riscv64") as raised:
        site(facts={"arch": "riscv64"}).ask("w1", runtime.install)
    assert raised.value.host == "w1"


def test_programs_of_each_role(site: Make) -> None:
    made = site()
    on_worker, on_control_plane = (set(titles(made.ask(name, kubernetes.install))) for name in ("w1", "cp1"))
    assert on_control_plane == on_worker
    assert "artifact /usr/local/bin/kubeadm" in on_worker


def test_a_host_of_etcd_alone_is_no_node(site: Make) -> None:
    made = site(etcd_hosts=1)
    for task in (runtime.install, kubernetes.install, images.load, kubelet.configure, kubelet.run):
        assert made.ask("e1", task) == []
    assert titles(made.ask("e1", os.prepare)) == [f"file {HOSTS}"]
    assert f"file {HOSTS}" in titles(made.ask("cp1", os.prepare))


def test_a_prepared_host_has_what_kubeadm_join_needs(site: Make) -> None:
    """The unit and its drop-in, enabled; it starts by itself once kubeadm has written its configuration."""
    made = site()
    told = made.apply("w1", kubernetes.install)
    assert {f"file {KUBELET_UNIT}", f"file {KUBELET_DROP_IN}", "unit kubelet.service"} <= set(told)
    (unit,) = [one for one in made.operations("w1", kubernetes.install) if isinstance(one, Unit)]
    assert (unit.enabled, unit.state) == (True, None)
    assert "ConditionPathExists=/var/lib/kubelet/config.yaml" in made.hosts["w1"].read(KUBELET_UNIT).decode()
    assert made.changes("w1", kubernetes.install) == []


def test_images_of_each_role(site: Make) -> None:
    made = site(addons={"ingress": {}})
    assert titles(made.ask("cp1", images.load)) == ["image control-plane/image:1"]
    assert titles(made.ask("w1", images.load)) == ["image node/image:1", "image addons/image:1"]
    assert titles(site().ask("w1", images.load)) == ["image node/image:1"]


def test_images_are_pulled_where_there_is_no_archive(site: Make) -> None:
    made = site(network={"cni": "bridge"})
    without = made.context("cp1", images.load).parts
    pulled = made.operations(
        "cp1", images.load, artifacts=type(without)(files={}, images=without.images, source="upstream")
    )
    references = set(pulled[0].images)
    assert any("kube-apiserver" in reference for reference in references)
    assert not any("flannel" in reference for reference in references), "nothing that this cluster has no use for"


def test_control_plane_manifests(site: Make) -> None:
    made = site(control_planes=2)
    assert made.ask("w1", control_plane.server) == made.ask("w1", control_plane.controllers) == []
    told = titles(made.operations("cp2", control_plane.server))
    assert told == [f"directory {MANIFESTS}", f"file {MANIFESTS}/kube-apiserver.yaml"]
    told = titles(made.operations("cp2", control_plane.controllers))
    assert told == [f"file {MANIFESTS}/kube-controller-manager.yaml", f"file {MANIFESTS}/kube-scheduler.yaml"]


def test_a_worker_asks_for_its_certificate_once(site: Make) -> None:
    made = site(**ECDSA)
    made.apply("cp1", pki.control_plane)
    told = made.apply("w1", kubelet.configure)
    assert f"file {BOOTSTRAP_KUBELET_CONF}" in told
    assert f"file {PKI}/ca.crt" in told
    assert f"file {KUBELET_CONF}" not in told, "the kubelet writes it"
    assert "kubelet.join" in titles(made.ask("w1", kubelet.join))
    assert made.apply("w1", kubelet.leave_bootstrap) == [f"absent {BOOTSTRAP_KUBELET_CONF}"]

    made.hosts["w1"].put(KUBELET_CLIENT_CURRENT, b"by the kubelet")
    made.begin()
    assert made.changes("w1", kubelet.configure) == []
    (unit,) = made.ask("w1", kubelet.join)
    assert unit == Unit(name="kubelet.service")
    assert [title for title in titles(made.ask("w1", kubelet.roll)) if title.startswith("unit")] == [
        "unit kubelet.service"
    ]


def test_workers_of_a_run_share_one_token_that_is_a_secret(site: Make) -> None:
    made = site(**ECDSA)
    contents = []
    for name in ("w1", "w2"):
        (file,) = [
            one
            for one in made.operations(name, kubelet.configure)
            if isinstance(one, File) and one.path == BOOTSTRAP_KUBELET_CONF
        ]
        contents.append(file.content)
    assert contents[0] == contents[1]
    assert isinstance(contents[0], Secret)


def test_a_control_plane_needs_nobody_to_sign(site: Make) -> None:
    made = site(**ECDSA)
    made.apply("cp1", pki.control_plane)
    told = made.apply("cp1", kubelet.configure)
    assert {f"file {KUBELET_CONF}", f"symlink {KUBELET_CLIENT_CURRENT}"} <= set(told)
    assert f"file {BOOTSTRAP_KUBELET_CONF}" not in told
    assert made.ask("cp1", kubelet.join) == []
    assert titles(made.ask("cp1", kubelet.run)) == ["unit kubelet.service"]
    made.begin()
    assert made.changes("cp1", kubelet.configure) == []


def test_a_control_planes_kubelet_may_renew_its_certificate(site: Make) -> None:
    made = site(**ECDSA)
    made.apply("cp1", pki.control_plane)
    made.apply("cp1", kubelet.configure)
    made.hosts["cp1"].overlay(
        Observation(paths={KUBELET_CLIENT_CURRENT: Entry(0o120777, target="/var/lib/kubelet/pki/kubelet-client-2.pem")})
    )
    made.begin()
    assert made.changes("cp1", kubelet.configure) == []


def test_a_worker_of_another_cluster_is_refused(site: Make) -> None:
    made, other = site(**ECDSA), site(**ECDSA)
    made.apply("cp1", pki.control_plane)
    other.apply("cp1", pki.control_plane)
    made.hosts["w1"].put(f"{PKI}/ca.crt", other.hosts["cp1"].file(f"{PKI}/ca.crt"))
    made.begin()
    with pytest.raises(UnfitHost, match="another cluster's"):
        made.ask("w1", kubelet.configure)
