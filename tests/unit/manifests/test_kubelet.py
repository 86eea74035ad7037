from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from kubeforge.documents import dump
from kubeforge.manifests import kubelet

Check = Callable[[str, str], None]


def test_goldens(of_minor: Any, minor: str, golden: Check) -> None:
    spec, inventory, facts = of_minor.spec, of_minor.inventory, of_minor.facts
    golden(f"{minor}/kubelet/kubelet-config.yaml", dump(kubelet.cluster_configuration(spec)))
    for name in ("cp1", "w1"):
        host = inventory.hosts[name]
        golden(f"{minor}/kubelet/config-{name}.yaml", kubelet.config_yaml(spec, host, facts[name]))
        golden(f"{minor}/kubelet/instance-config-{name}.yaml", kubelet.instance_config_yaml(spec, host, facts[name]))
        text = kubelet.flags_env(spec, inventory, host, facts[name])
        golden(f"{minor}/kubelet/kubeadm-flags-{name}.env", text)


def test_unit_and_drop_in(golden: Check) -> None:
    golden("kubelet.service", kubelet.unit())
    golden("10-kubeadm.conf", kubelet.drop_in())


def test_cgroup_v1_only_where_found(sample: Callable[..., Any]) -> None:
    old = sample(facts={"cgroup": 1})
    assert (
        yaml.safe_load(kubelet.config_yaml(old.spec, old.inventory.hosts["w1"], old.facts["w1"]))["failCgroupV1"]
        is False
    )
    assert "failCgroupV1" not in kubelet.cluster_configuration(old.spec), "one old host must not loosen all"
    new = sample()
    assert "failCgroupV1" not in kubelet.config_yaml(new.spec, new.inventory.hosts["w1"], new.facts["w1"])


def test_a_control_plane_is_started_again_soon(sample: Callable[..., Any]) -> None:
    """Its containers end while nobody serves; they shall not wait five minutes when somebody does."""

    def pause(name: str, **kubelet_spec: Any) -> Any:
        one = sample(kubelet=kubelet_spec)
        return yaml.safe_load(kubelet.config_yaml(one.spec, one.inventory.hosts[name], one.facts[name])).get(
            "crashLoopBackOff"
        )

    assert pause("cp1") == {"maxContainerRestartPeriod": "30s"}
    assert pause("w1") is None
    own = {"maxContainerRestartPeriod": "5s"}
    assert pause("cp1", config={"crashLoopBackOff": own}) == own
    assert pause("cp1", feature_gates={"KubeletCrashLoopBackOffMax": False}) is None, "it would not start"
    assert pause("cp1", feature_gates={"AllBeta": False}) is None
    assert pause("cp1", feature_gates={"AllBeta": False, "KubeletCrashLoopBackOffMax": True}) is not None


def test_what_a_host_adds_survives_kubeadm(sample: Callable[..., Any]) -> None:
    """`kubeadm upgrade node` lays instance-config.yaml over the ConfigMap's configuration."""
    cluster = sample(facts={"cgroup": 1, "resolv_conf": "/run/systemd/resolve/resolv.conf"})
    shared = kubelet.cluster_configuration(cluster.spec)
    instance = yaml.safe_load(
        kubelet.instance_config_yaml(cluster.spec, cluster.inventory.hosts["w1"], cluster.facts["w1"])
    )
    assert instance["resolvConf"] == "/run/systemd/resolve/resolv.conf"
    assert {**shared, **instance} == yaml.safe_load(
        kubelet.config_yaml(cluster.spec, cluster.inventory.hosts["w1"], cluster.facts["w1"])
    )


def test_the_spec_wins(sample: Callable[..., Any]) -> None:
    cluster = sample(
        facts={"cgroup": 1},
        kubelet={
            "config": {
                "evictionHard": {"nodefs.available": "1%"},
                "authentication": {"webhook": {"cacheTTL": "1m"}},
                "failCgroupV1": True,
            },
            "feature_gates": {"NodeSwap": True},
        },
    )
    said = yaml.safe_load(kubelet.config_yaml(cluster.spec, cluster.inventory.hosts["w1"], cluster.facts["w1"]))
    assert said["evictionHard"] == {"nodefs.available": "1%"}
    assert said["authentication"]["webhook"] == {"enabled": True, "cacheTTL": "1m"}
    assert said["failCgroupV1"] is True
    assert said["featureGates"] == {"NodeSwap": True}


def test_flags(sample: Callable[..., Any]) -> None:
    cluster = sample(
        facts={"hostname": "localhost.localdomain"},
        nodes={"w1": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoExecute"}]}},
        kubelet={"extra_args": {"v": "2"}, "feature_gates": {"NodeSwap": True}},
    )
    host = cluster.inventory.hosts["w1"]
    assert kubelet.flags_env(cluster.spec, cluster.inventory, host, cluster.facts["w1"]) == (
        'KUBELET_KUBEADM_ARGS="--hostname-override=w1 --node-ip=192.0.2.21 '
        '--register-with-taints=gpu=yes:NoExecute --v=2"\n'
    )
