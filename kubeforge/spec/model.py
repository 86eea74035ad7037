"""The typed, frozen specification of a cluster, as `cluster.yml` says it. Shapes and defaults only.

Rules that look at more than one field, or at the inventory, are in `validate`; loading with file and line is in
`loader`. A spec that says nothing but name and version gives a good cluster.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from kubeforge.spec.audit import AuditPolicy
from kubeforge.spec.base import Model
from kubeforge.spec.durations import parse_duration

__all__ = [
    "Addons",
    "AdmissionPlugins",
    "ApiServer",
    "Artifacts",
    "Audit",
    "AuditPolicy",
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
    "Leveled",
    "Login",
    "Network",
    "Node",
    "Oidc",
    "Os",
    "Pki",
    "ProxyMode",
    "Scheduler",
    "Snapshots",
    "Taint",
    "Upgrade",
    "UpgradeGroup",
]


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


class Leveled(Component):
    """A component of Kubernetes, which all log in the same way."""

    log_level: Annotated[int, Field(ge=0, le=10)] | None = None
    """`-v`: 0 is next to nothing, 2 the usual, 10 everything. Default: the component's own."""


class Snapshots(Model):
    """Snapshots that hosts of etcd take by themselves, and how many of all snapshots they keep."""

    schedule: Annotated[str, Field(pattern=r"^[A-Za-z0-9*][A-Za-z0-9 *,:/.~_+-]*$")] | None = "*-*-* 00/12:00:00"
    """systemd's OnCalendar, as `hourly` or `*-*-* 03:00:00`, in the host's time zone; null: none by themselves."""
    keep: Annotated[int, Field(ge=1)] = 5
    """How many of the scheduled ones a host keeps, and how many of those that were asked for."""
    days: Annotated[int, Field(ge=1)] = 30
    """Age at which a snapshot goes, however few there are; the newest of each kind stays."""


class Etcd(Component):
    """etcd members."""

    topology: Literal["stacked", "external"] = "stacked"
    snapshots: Snapshots = Snapshots()


class AdmissionPlugins(Model):
    """Admission plugins beside the API server's own defaults."""

    enable: list[str] = Field(default_factory=list)
    """On, beside NodeRestriction and the defaults."""
    disable: list[str] = Field(default_factory=list)
    config: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Plugin -> its configuration, with apiVersion and kind."""


class Audit(Model):
    """Who did what, as the API server writes it down."""

    policy: AuditPolicy
    log: str = "/var/log/kubernetes/audit/audit.log"
    """Absolute path on control planes, or `-`: the API server's own output."""
    max_age: Annotated[int, Field(ge=0)] = 30
    """Days that an old log file is kept."""
    max_backups: Annotated[int, Field(ge=0)] = 10
    max_size: Annotated[int, Field(ge=1)] = 100
    """MiB at which a log file is put aside."""


class Oidc(Model):
    """People log in with tokens of an OpenID Connect issuer."""

    issuer: str
    """URL, https."""
    audiences: Annotated[list[str], Field(min_length=1)]
    """Client ids whose tokens are accepted."""
    username_claim: str = "sub"
    username_prefix: str = "oidc:"
    """In front of every name, so that nobody is taken for a user of Kubernetes' own; may be empty."""
    groups_claim: str | None = None
    groups_prefix: str = "oidc:"
    ca: str | None = None
    """PEM of the authority that signs the issuer's certificate; None: those the host trusts."""


class ApiServer(Leveled):
    """API servers."""

    admission: AdmissionPlugins = AdmissionPlugins()
    audit: Audit | None = None
    oidc: list[Oidc] = Field(default_factory=list)
    authentication: dict[str, Any] = Field(default_factory=dict)
    """Fields of AuthenticationConfiguration; `jwt` is added to by `oidc`."""
    authorization: list[dict[str, Any]] = Field(default_factory=list)
    """`authorizers` of AuthorizationConfiguration, in order; none: Node, RBAC."""


class Scheduler(Leveled):
    """Schedulers."""

    config: dict[str, Any] = Field(default_factory=dict)
    """Fields of KubeSchedulerConfiguration, above all `profiles`: one for each scheduler that pods may name."""


class Kubelet(Leveled):
    """Kubelets of all nodes."""

    config: dict[str, Any] = Field(default_factory=dict)
    """Fields of KubeletConfiguration that replace ours; deep-merged."""


class KubeProxy(Leveled):
    """kube-proxy."""

    config: dict[str, Any] = Field(default_factory=dict)
    """Fields of KubeProxyConfiguration that replace ours; deep-merged."""


class Pki(Model):
    """Certificates."""

    algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048
    days: Annotated[int, Field(ge=1, le=3650)] = 365
    """Validity of leaf certificates."""
    validity: Annotated[str, Field(pattern=r"^(\d+(\.\d+)?(h|m|s))+$")] | None = None
    """A span as `12h` or `45m`, in place of `days`: for trials, and where certificates shall be short-lived."""
    ca_days: Annotated[int, Field(ge=1, le=36500)] = 3650
    api_server_sans: list[str] = Field(default_factory=list)
    """More names and addresses for the API server's certificate."""

    @property
    def lifetime(self) -> timedelta:
        """How long a leaf certificate is valid from the moment it is issued."""
        return timedelta(days=self.days) if self.validity is None else parse_duration(self.validity)


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


class Login(Model):
    """Who pulls images from a registry; the password stands here or in a file of its own."""

    username: str
    password: SecretStr | None = None
    password_file: str | None = None
    """Path, relative to cluster.yml; a newline at the end does not count."""


class Containerd(Model):
    """The container runtime."""

    mirrors: dict[str, list[str]] = Field(default_factory=dict)
    """Registry host (or `*`) -> URLs to ask first."""
    logins: dict[str, Login] = Field(default_factory=dict)
    """Registry host -> who pulls from it; for every pod of the cluster."""


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


Count = Annotated[str, Field(pattern=r"^([1-9]\d{0,4}|([1-9]\d?|100)%)$")]
"""A number of hosts, or a share of them: `2`, `25%`."""


class UpgradeGroup(Model):
    """How the nodes of one group are upgraded."""

    serial: list[Count] = Field(default_factory=list)
    """Sizes of the batches; the last one repeats. Default: as everybody else."""
    max_unavailable: Count | None = None
    """Nodes of the group that may be cordoned or not Ready at a time, for whatever reason."""
    drain: bool | None = None
    """Whether pods leave a node first. Default: as everybody else."""


class Upgrade(Model):
    """How `kubeforge upgrade apply` treats the nodes."""

    drain: bool | None = None
    """Whether pods leave a node first. Default: where its kubelet goes to another minor."""
    groups: dict[str, UpgradeGroup] = Field(default_factory=dict)
    """Group of the inventory -> how; groups come in this order, nodes of no group after them."""


class ClusterSpec(Model):
    """One cluster."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    kubernetes: Annotated[str, Field(pattern=r"^1\.\d+\.\d+$")]
    """Version without `v`."""
    endpoint: Endpoint = Endpoint()
    network: Network = Network()
    etcd: Etcd = Etcd()
    api_server: ApiServer = ApiServer()
    controller_manager: Leveled = Leveled()
    scheduler: Scheduler = Scheduler()
    kubelet: Kubelet = Kubelet()
    kube_proxy: KubeProxy = KubeProxy()
    pki: Pki = Pki()
    nodes: dict[str, Node] = Field(default_factory=dict)
    """Host or group name -> labels and taints; a host's entry wins over its groups'."""
    containerd: Containerd = Containerd()
    addons: Addons = Addons()
    artifacts: Artifacts = Artifacts()
    os: Os = Os()
    upgrade: Upgrade = Upgrade()

    @property
    def minor(self) -> str:
        """`1.36` of `1.36.3`."""
        return self.kubernetes.rpartition(".")[0]
