"""The kubelet's files: configuration for all, what one host adds, flags, systemd unit and drop-in.

One configuration holds for the cluster and lies in the ConfigMap kubelet-config; what differs by host lies in its
instance-config.yaml, which kubeadm lays over the ConfigMap's when it upgrades a node. config.yaml is the two together.

Source: kubeadm componentconfigs/kubelet.go, phases/kubelet/{config,flags}.go, and the drop-in of upstream's packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubeforge.documents import Object, dump, merged
from kubeforge.inventory.model import CONTROL_PLANE
from kubeforge.manifests.arguments import command, extra_arguments
from kubeforge.manifests.render import render
from kubeforge.spec.addresses import dns_ip, node_ip
from kubeforge.spec.model import ClusterSpec, Taint
from kubeforge.spec.nodes import node_taints
from kubeforge.spec.paths import (
    BIN,
    BOOTSTRAP_KUBELET_CONF,
    CRI_ENDPOINT,
    KUBELET_CONF,
    KUBELET_CONFIG,
    KUBELET_FLAGS,
    KUBELET_HEALTH_PORT,
    MANIFESTS,
    PKI,
)
from kubeforge.spec.releases import release

if TYPE_CHECKING:
    from kubeforge.engine.model import Facts
    from kubeforge.inventory.model import Host, Inventory

__all__ = ["cluster_configuration", "config_yaml", "drop_in", "flags_env", "instance_config_yaml", "unit"]

_LONGEST_PAUSE: Final = "30s"
"""Between two starts of a container that ends again and again, on a control plane; without it five minutes (ADR 68)."""
_MANIFESTS_READ: Final = "2s"
"""How often static pods' manifests are read without having been told of a change; 20 s if nothing is said (ADR 62)."""
_PAUSE_GATE: Final = "KubeletCrashLoopBackOffMax"
"""On by default from 1.35 on (pkg/features/kube_features.go)."""


def cluster_configuration(spec: ClusterSpec) -> Object:
    """Return the KubeletConfiguration all nodes share; the spec's `kubelet.config` laid over ours."""
    ours: Object = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "clusterDNS": [dns_ip(spec)],
        "clusterDomain": spec.network.domain,
        "fileCheckFrequency": _MANIFESTS_READ,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": KUBELET_HEALTH_PORT,
        "rotateCertificates": True,
        # Signed by the cluster, so that whoever asks a kubelet can verify it; somebody must approve the CSR.
        "serverTLSBootstrap": True,
        "staticPodPath": MANIFESTS,
    }
    if spec.kubelet.log_level is not None:
        ours["logging"] = {"verbosity": spec.kubelet.log_level}
    if spec.kubelet.feature_gates:
        ours["featureGates"] = dict(spec.kubelet.feature_gates)
    return merged(ours, spec.kubelet.config)


def instance_config_yaml(spec: ClusterSpec, host: Host, facts: Facts) -> str:
    """Return instance-config.yaml: what this host alone says."""
    return dump(_instance(spec, host, facts))


def config_yaml(spec: ClusterSpec, host: Host, facts: Facts) -> str:
    """Return config.yaml, which the kubelet reads."""
    return dump(merged(cluster_configuration(spec), _instance(spec, host, facts)))


def flags_env(spec: ClusterSpec, inventory: Inventory, host: Host, facts: Facts) -> str:
    """Return kubeadm-flags.env: name and address of the node, taints it registers with, the spec's extra flags.

    The address is said because a kubelet left alone takes that of the default route, which on a machine with a second
    network is the wrong one; where the inventory has only a name, it is left alone.
    """
    flags: dict[str, str] = {}
    if host.name != facts.hostname:
        flags["hostname-override"] = host.name
    address = node_ip(host)
    if address is not None:
        flags["node-ip"] = str(address)
    taints = node_taints(spec, inventory, host)
    if taints:
        flags["register-with-taints"] = ",".join(_flag(taint) for taint in taints)
    _, *words = command("kubelet", flags, extra_arguments(spec.kubelet.model_copy(update={"feature_gates": {}})))
    return f'KUBELET_KUBEADM_ARGS="{" ".join(words)}"\n'


def unit() -> str:
    """Return kubelet.service."""
    return render("kubelet/kubelet.service", bin=BIN, config=KUBELET_CONFIG)


def drop_in() -> str:
    """Return 10-kubeadm.conf, by which kubeadm's files reach the kubelet."""
    return render(
        "kubelet/10-kubeadm.conf",
        bin=BIN,
        bootstrap_kubeconfig=BOOTSTRAP_KUBELET_CONF,
        kubeconfig=KUBELET_CONF,
        config=KUBELET_CONFIG,
        flags=KUBELET_FLAGS,
    )


def _instance(spec: ClusterSpec, host: Host, facts: Facts) -> Object:
    said: Object = {"containerRuntimeEndpoint": CRI_ENDPOINT}
    given = spec.kubelet.config
    if facts.resolv_conf != "/etc/resolv.conf" and "resolvConf" not in given:
        said["resolvConf"] = facts.resolv_conf
    if facts.cgroup == 1 and release(spec.kubernetes).fail_cgroup_v1 and "failCgroupV1" not in given:
        said["failCgroupV1"] = False
    if CONTROL_PLANE in host.groups and _pauses_are_set(spec) and "crashLoopBackOff" not in given:
        said["crashLoopBackOff"] = {"maxContainerRestartPeriod": _LONGEST_PAUSE}
    return said


def _pauses_are_set(spec: ClusterSpec) -> bool:
    """Whether the kubelet takes `crashLoopBackOff`: with its gate off it would refuse to start."""
    gates = spec.kubelet.feature_gates
    return gates.get(_PAUSE_GATE, gates.get("AllBeta", True))


def _flag(taint: Taint) -> str:
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
