"""Extra flags, configuration fields and feature gates: shape, and what kubeforge itself sets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kubeforge.errors import Problem
from kubeforge.spec.model import ClusterSpec, Component
from kubeforge.spec.releases import RELEASES
from kubeforge.spec.rules.findings import fault

__all__ = ["OWNED_FLAGS", "RULES", "components", "flag_fault", "gate_fault"]

_FLAG: Final = re.compile(r"[a-z][a-z0-9-]*")
_GATE: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_KEYS: Final = "kubeforge's own certificates and keys"
_CONFS: Final = "kubeforge's own kubeconfigs"
_MEMBERS: Final = "the hosts of the inventory"

# component -> flag -> where its value comes from
OWNED_FLAGS: Final[Mapping[str, Mapping[str, str]]] = {
    "api_server": {
        "advertise-address": "the host's `ip`",
        "secure-port": "endpoint.port",
        "service-cluster-ip-range": "network.services",
        "etcd-servers": _MEMBERS,
    }
    | dict.fromkeys(
        ("client-ca-file", "etcd-cafile", "etcd-certfile", "etcd-keyfile", "kubelet-client-certificate",
         "kubelet-client-key", "proxy-client-cert-file", "proxy-client-key-file", "requestheader-client-ca-file",
         "service-account-key-file", "service-account-signing-key-file", "tls-cert-file", "tls-private-key-file"),
        _KEYS,
    ),
    "controller_manager": {
        "cluster-cidr": "network.pods",
        "cluster-name": "name",
        "node-cidr-mask-size": "network.node_mask",
        "service-cluster-ip-range": "network.services",
    }
    | dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), _CONFS)
    | dict.fromkeys(
        ("client-ca-file", "cluster-signing-cert-file", "cluster-signing-key-file", "requestheader-client-ca-file",
         "root-ca-file", "service-account-private-key-file"),
        _KEYS,
    ),
    "scheduler": dict.fromkeys(("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"), _CONFS),
    "etcd": {"name": "the host's name", "data-dir": "kubeforge.spec.paths"}
    | dict.fromkeys(
        ("advertise-client-urls", "initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state",
         "initial-cluster-token", "listen-client-urls", "listen-peer-urls"),
        _MEMBERS,
    )
    | dict.fromkeys(
        ("cert-file", "key-file", "trusted-ca-file", "peer-cert-file", "peer-key-file", "peer-trusted-ca-file"), _KEYS
    ),
    "kubelet": {
        "cluster-domain": "network.domain",
        "cluster-dns": "network.services",
        "config": "kubelet.config",
        "container-runtime-endpoint": "kubeforge.spec.paths",
        "hostname-override": "the host's name",
        "node-ip": "the host's `ip`",
        "node-labels": "nodes.HOST.labels",
        "pod-manifest-path": "kubeforge.spec.paths",
        "register-with-taints": "nodes.HOST.taints",
    }
    | dict.fromkeys(("kubeconfig", "bootstrap-kubeconfig"), _CONFS),
    "kube_proxy": {
        "cluster-cidr": "network.pods",
        "config": "kube_proxy.config",
        "hostname-override": "the host's name",
        "proxy-mode": "network.proxy",
        "kubeconfig": _CONFS,
    },
}  # fmt: skip

# component -> field of its configuration object -> where its value comes from
OWNED_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "kubelet": {
        "clusterDNS": "network.services",
        "clusterDomain": "network.domain",
        "containerRuntimeEndpoint": "kubeforge.spec.paths",
        "featureGates": "kubelet.feature_gates",
        "staticPodPath": "kubeforge.spec.paths",
    },
    "kube_proxy": {
        "clusterCIDR": "network.pods",
        "featureGates": "kube_proxy.feature_gates",
        "mode": "network.proxy",
    },
}


def components(spec: ClusterSpec) -> Iterator[tuple[str, Component]]:
    """Yield the components that cluster.yml has a section for."""
    for name in OWNED_FLAGS:
        yield name, getattr(spec, name)


def flags(spec: ClusterSpec) -> Iterator[Problem]:
    """Flags are written without dashes, and are not those kubeforge sets."""
    for name, component in components(spec):
        for flag in component.extra_args:
            message = flag_fault(name, flag)
            if message:
                yield fault(message, name, "extra_args", flag)


def flag_fault(component: str, flag: str) -> str | None:
    """Say why a flag cannot be given, whether the component has it or not."""
    plain = flag.lstrip("-").partition("=")[0].replace("_", "-")
    if flag != plain or not _FLAG.fullmatch(flag):
        return f"write the flag's name only, without dashes in front or a value: `{plain}: VALUE`"
    if flag == "feature-gates":
        return f"set {component}.feature_gates instead"
    owner = OWNED_FLAGS[component].get(flag)
    return None if owner is None else f"kubeforge sets this flag; it follows from {owner}"


def dropped_flags(spec: ClusterSpec) -> Iterator[Problem]:
    """Kubelet and etcd do not start with a flag that the minor's have dropped."""
    row = next((row for row in RELEASES if row.minor == spec.minor), None)
    if row is None:
        return
    dropped = {
        "kubelet": [flag for flag in spec.kubelet.extra_args if flag in row.kubelet_flags_dropped],
        "etcd": [flag for flag in spec.etcd.extra_args if flag.startswith(row.etcd_flags_dropped)],
    }
    for name, gone in dropped.items():
        for flag in gone:
            yield fault(f"the {name} of {row.minor} has no such flag and would not start", name, "extra_args", flag)


def config_fields(spec: ClusterSpec) -> Iterator[Problem]:
    """Configuration objects are given without their header, and without the fields that follow from others."""
    configs: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("kubelet", spec.kubelet.config),
        ("kube_proxy", spec.kube_proxy.config),
    )
    for name, config in configs:
        for key in config:
            if key in ("apiVersion", "kind"):
                yield fault("leave this out; only the object's other fields go here", name, "config", key)
            elif key in OWNED_FIELDS[name]:
                yield fault(
                    f"kubeforge sets this field; it follows from {OWNED_FIELDS[name][key]}", name, "config", key
                )


def feature_gates(spec: ClusterSpec) -> Iterator[Problem]:
    """Feature gates are CamelCase names."""
    for name, component in components(spec):
        for gate in component.feature_gates:
            message = gate_fault(gate)
            if message:
                yield fault(message, name, "feature_gates", gate)


def gate_fault(gate: str) -> str | None:
    """Say why this cannot be a feature gate."""
    if _GATE.fullmatch(gate):
        return None
    better = "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_ .]", gate))
    hint = f"; {better}?" if _GATE.fullmatch(better) else ""
    return f"not the name of a feature gate, which is in CamelCase{hint}"


RULES: Final = (flags, dropped_flags, config_fields, feature_gates)
