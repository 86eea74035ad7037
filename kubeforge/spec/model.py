"""The typed, frozen specification of a cluster, as `cluster.yml` says it. Shapes and defaults only.

Rules that look at more than one field, or at the inventory, are in `validate`; loading with file and line is in
`loader`. A spec that says nothing but name and version gives a good cluster.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Addons",
    "Artifacts",
    "ClusterSpec",
    "Cni",
    "Component",
    "Containerd",
    "Endpoint",
    "EndpointKind",
    "Etcd",
    "Ingress",
    "KeyAlgorithm",
    "KubeProxy",
    "Kubelet",
    "Network",
    "Node",
    "Os",
    "Pki",
    "ProxyMode",
    "Taint",
]


class Model(BaseModel):
    """Frozen, and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EndpointKind(StrEnum):
    """How clients reach the API servers."""

    FIRST = "first"
    EXTERNAL = "external"
    HAPROXY = "haproxy"
    KUBE_VIP = "kube-vip"
    LOCALHOST = "localhost"


class Cni(StrEnum):
    """Pod network."""

    FLANNEL = "flannel"
    BRIDGE = "bridge"


class ProxyMode(StrEnum):
    """How kube-proxy programs Services. IPVS is deprecated from 1.35 and goes in 1.40."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"


class KeyAlgorithm(StrEnum):
    """Names as in kubeadm's ClusterConfiguration.encryptionAlgorithm."""

    RSA_2048 = "RSA-2048"
    RSA_3072 = "RSA-3072"
    RSA_4096 = "RSA-4096"
    ECDSA_P256 = "ECDSA-P256"
    ECDSA_P384 = "ECDSA-P384"


class Endpoint(Model):
    """The address clients use for the API."""

    kind: EndpointKind | None = None
    """Default: `first` with one control plane, `localhost` with more."""
    address: str | None = None
    """Required for external (DNS name or address), haproxy and kube-vip (a free address of the nodes' network)."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Default: 6443; 8443 for haproxy on the control planes, whose API servers listen on 6443 of every address."""
    router_id: Annotated[int, Field(ge=1, le=255)] = 51
    """VRRP's name for the virtual address of haproxy; another cluster in the same network takes another."""


class Network(Model):
    """Addresses of pods and Services, and who carries them."""

    pods: str = "10.244.0.0/16"
    """CIDR, must not overlap Services or nodes."""
    services: str = "10.96.0.0/12"
    """CIDR; the first address is the API's, the tenth is DNS."""
    node_mask: Annotated[int, Field(ge=8, le=30)] = 24
    """Prefix length of each node's part of `pods` (IPv4)."""
    domain: str = "cluster.local"
    cni: Cni = Cni.FLANNEL
    proxy: ProxyMode = ProxyMode.IPTABLES


class Component(Model):
    """Extra settings of one control-plane component."""

    extra_args: dict[str, str | list[str]] = Field(default_factory=dict)
    """Flag without dashes -> value, or values for a flag given several times."""
    feature_gates: dict[str, bool] = Field(default_factory=dict)


class Etcd(Component):
    """etcd members."""

    topology: Literal["stacked", "external"] = "stacked"


class Kubelet(Component):
    """Kubelets of all nodes."""

    config: dict[str, Any] = Field(default_factory=dict)
    """Fields of KubeletConfiguration that replace ours; deep-merged."""


class KubeProxy(Component):
    """kube-proxy."""

    config: dict[str, Any] = Field(default_factory=dict)
    """Fields of KubeProxyConfiguration that replace ours; deep-merged."""


class Pki(Model):
    """Certificates."""

    algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048
    days: Annotated[int, Field(ge=1, le=3650)] = 365
    """Validity of leaf certificates."""
    ca_days: Annotated[int, Field(ge=1, le=36500)] = 3650
    api_server_sans: list[str] = Field(default_factory=list)
    """More names and addresses for the API server's certificate."""


class Taint(Model):
    """A node taint."""

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Node(Model):
    """Labels and taints of a host or of every host of a group."""

    labels: dict[str, str] = Field(default_factory=dict)
    taints: list[Taint] | None = None
    """None: the default (control planes are tainted); an empty list: none at all."""


class Containerd(Model):
    """The container runtime."""

    mirrors: dict[str, list[str]] = Field(default_factory=dict)
    """Registry host (or `*`) -> URLs to ask first."""


class Ingress(Model):
    """Ingress controller."""

    kind: Literal["traefik"] = "traefik"
    http_port: Annotated[int, Field(ge=1, le=65535)] = 80
    https_port: Annotated[int, Field(ge=1, le=65535)] = 443
    """Host ports on every worker."""


class Addons(Model):
    """What runs on the cluster beside kube-proxy, the CNI and CoreDNS."""

    ingress: Ingress | None = None


class Artifacts(Model):
    """Where the parts come from; in this order where `source` is auto: mirror, upstream, source."""

    source: Literal["auto", "mirror", "upstream", "source"] = "auto"
    mirror: str | None = None
    """Directory or URL laid out like upstream's paths."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest of the mirror's SHA256SUMS."""


class Os(Model):
    """Preparation of the operating system."""

    manage_hosts: bool = True
    """Write all cluster hosts into /etc/hosts."""
    sysctls: dict[str, str] = Field(default_factory=dict)
    """More kernel parameters."""
    keep_drop_ins: list[str] = Field(default_factory=list)
    """Drop-ins of kubelet and containerd that are yours and stay, as `containerd.service.d/proxy.conf`; globs."""


class ClusterSpec(Model):
    """One cluster."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    kubernetes: Annotated[str, Field(pattern=r"^1\.\d+\.\d+$")]
    """Version without `v`."""
    endpoint: Endpoint = Endpoint()
    network: Network = Network()
    etcd: Etcd = Etcd()
    api_server: Component = Component()
    controller_manager: Component = Component()
    scheduler: Component = Component()
    kubelet: Kubelet = Kubelet()
    kube_proxy: KubeProxy = KubeProxy()
    pki: Pki = Pki()
    nodes: dict[str, Node] = Field(default_factory=dict)
    """Host or group name -> labels and taints; a host's entry wins over its groups'."""
    containerd: Containerd = Containerd()
    addons: Addons = Addons()
    artifacts: Artifacts = Artifacts()
    os: Os = Os()

    @property
    def minor(self) -> str:
        """`1.36` of `1.36.3`."""
        return self.kubernetes.rpartition(".")[0]
