"""The static pods kube-apiserver, kube-controller-manager and kube-scheduler, equal to kubeadm's field by field.

Source: kubeadm phases/controlplane/{manifests,volumes}.go, read at v1.35.4 and v1.36.3. etcd's pod is in `etcd`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kubeforge.documents import Object
from kubeforge.manifests.arguments import (
    API_SERVER_TUNING,
    API_SERVER_TUNING_AMONG_OTHERS,
    CONTROLLER_MANAGER_TUNING,
    Argument,
    command,
    extra_arguments,
)
from kubeforge.manifests.config_files import api_server_files, api_server_mounts, scheduler_files, scheduler_mounts
from kubeforge.manifests.etcd import client_url
from kubeforge.manifests.static_pod import Mount, Probe, static_pod
from kubeforge.spec.addresses import local_api
from kubeforge.spec.model import ClusterSpec, Leveled
from kubeforge.spec.paths import (
    API_PORT,
    CONTROLLER_MANAGER_CONF,
    CONTROLLER_MANAGER_PORT,
    ETCD_CLIENT_PORT,
    PKI,
    SCHEDULER_CONF,
    SCHEDULER_PORT,
)

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host, Inventory

__all__ = [
    "API_SERVER",
    "CONTROLLER_MANAGER",
    "SCHEDULER",
    "api_server",
    "api_server_extra",
    "controller_manager",
    "controller_manager_extra",
    "scheduler",
    "scheduler_extra",
]

API_SERVER: Final = "kube-apiserver"
CONTROLLER_MANAGER: Final = "kube-controller-manager"
SCHEDULER: Final = "kube-scheduler"
_ADVERTISE: Final = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"
_ADMISSION: Final = ("NodeRestriction",)
_ANY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound
_PKI_MOUNT: Final = Mount(name="k8s-certs", path=PKI)
_CA_MOUNT: Final = Mount(name="ca-certs", path="/etc/ssl/certs")


def api_server(
    spec: ClusterSpec,
    inventory: Inventory,
    host: Host,
    images: Mapping[str, str],
    *,
    ca_directories: Sequence[str] = (),
) -> Object:
    """Return the API server's pod on one control plane.

    Args:
        spec: the cluster.
        inventory: everybody.
        host: the control plane.
        images: component -> reference.
        ca_directories: `Facts.ca_directories` of the host.
    """
    return static_pod(
        component=API_SERVER,
        image=images[API_SERVER],
        command=command(API_SERVER, _api_server_flags(spec, inventory, host), api_server_extra(spec, inventory)),
        probe=Probe(host=_probe_host(host.address), port=API_PORT, live="/livez", ready="/readyz", start="/livez"),
        mounts=_by_name(_PKI_MOUNT, _CA_MOUNT, *_ca_mounts(ca_directories), *api_server_mounts(spec)),
        requests={"cpu": "250m"},
        annotations={_ADVERTISE: local_api(host)},
    )


def controller_manager(spec: ClusterSpec, images: Mapping[str, str], *, ca_directories: Sequence[str] = ()) -> Object:
    """Return the controller manager's pod; the same on all control planes with the same directories."""
    extra = controller_manager_extra(spec)
    kubeconfig = Mount(name="kubeconfig", path=CONTROLLER_MANAGER_CONF, file=True)
    return static_pod(
        component=CONTROLLER_MANAGER,
        image=images[CONTROLLER_MANAGER],
        command=command(CONTROLLER_MANAGER, _controller_manager_flags(spec), extra),
        probe=Probe(host=_bound(extra), port=CONTROLLER_MANAGER_PORT, live="/healthz", ready=None, start="/healthz"),
        mounts=_by_name(_PKI_MOUNT, _CA_MOUNT, kubeconfig, *_ca_mounts(ca_directories)),
        requests={"cpu": "200m"},
    )


def scheduler(spec: ClusterSpec, images: Mapping[str, str]) -> Object:
    """Return the scheduler's pod; the same on all control planes."""
    extra = scheduler_extra(spec)
    return static_pod(
        component=SCHEDULER,
        image=images[SCHEDULER],
        command=command(SCHEDULER, _kubeconfig_flags(SCHEDULER_CONF), extra),
        probe=Probe(host=_bound(extra), port=SCHEDULER_PORT, live="/livez", ready="/readyz", start="/livez"),
        mounts=_by_name(Mount(name="kubeconfig", path=SCHEDULER_CONF, file=True), *scheduler_mounts(spec)),
        requests={"cpu": "100m"},
    )


def api_server_extra(spec: ClusterSpec, inventory: Inventory) -> tuple[Argument, ...]:
    """Return `apiServer.extraArgs`: how it ends, the spec's."""
    server = spec.api_server
    ours = dict(API_SERVER_TUNING)
    if len(inventory.control_planes) > 1:
        ours |= API_SERVER_TUNING_AMONG_OTHERS
    ours |= {file.flag: file.path for file in api_server_files(spec)}
    if server.admission.enable:
        ours["enable-admission-plugins"] = ",".join(dict.fromkeys((*_ADMISSION, *server.admission.enable)))
    if server.admission.disable:
        ours["disable-admission-plugins"] = ",".join(server.admission.disable)
    if server.audit is not None:
        ours["audit-log-path"] = server.audit.log
        if server.audit.log != "-":
            ours["audit-log-maxage"] = str(server.audit.max_age)
            ours["audit-log-maxbackup"] = str(server.audit.max_backups)
            ours["audit-log-maxsize"] = str(server.audit.max_size)
    return extra_arguments(server, ours={**_verbosity(server), **ours})


def controller_manager_extra(spec: ClusterSpec) -> tuple[Argument, ...]:
    """Return `controllerManager.extraArgs`: the tuning, the node mask where it is not the default, and the spec's."""
    mask = {} if spec.network.node_mask == 24 else {"node-cidr-mask-size": str(spec.network.node_mask)}
    ours = {**CONTROLLER_MANAGER_TUNING, **mask, **_verbosity(spec.controller_manager)}
    return extra_arguments(spec.controller_manager, ours=ours)


def scheduler_extra(spec: ClusterSpec) -> tuple[Argument, ...]:
    """Return `scheduler.extraArgs`."""
    files = {file.flag: file.path for file in scheduler_files(spec)}
    return extra_arguments(spec.scheduler, ours={**files, **_verbosity(spec.scheduler)})


def _verbosity(component: Leveled) -> dict[str, str]:
    return {} if component.log_level is None else {"v": str(component.log_level)}


def _api_server_flags(spec: ClusterSpec, inventory: Inventory, host: Host) -> dict[str, str]:
    flags = {
        "advertise-address": host.address,
        "allow-privileged": "true",
        "client-ca-file": f"{PKI}/ca.crt",
        "enable-admission-plugins": ",".join(_ADMISSION),
        "enable-bootstrap-token-auth": "true",
        "etcd-cafile": f"{PKI}/etcd/ca.crt",
        "etcd-certfile": f"{PKI}/apiserver-etcd-client.crt",
        "etcd-keyfile": f"{PKI}/apiserver-etcd-client.key",
        "etcd-servers": _etcd_servers(spec, inventory, host),
        "kubelet-client-certificate": f"{PKI}/apiserver-kubelet-client.crt",
        "kubelet-client-key": f"{PKI}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
        "proxy-client-cert-file": f"{PKI}/front-proxy-client.crt",
        "proxy-client-key-file": f"{PKI}/front-proxy-client.key",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": str(API_PORT),
        "service-account-issuer": f"https://kubernetes.default.svc.{spec.network.domain}",
        "service-account-key-file": f"{PKI}/sa.pub",
        "service-account-signing-key-file": f"{PKI}/sa.key",
        "service-cluster-ip-range": spec.network.services,
        "tls-cert-file": f"{PKI}/apiserver.crt",
        "tls-private-key-file": f"{PKI}/apiserver.key",
    }
    given = {*spec.api_server.extra_args, *(file.flag for file in api_server_files(spec))}
    if "authorization-config" not in given:  # the two exclude each other
        flags["authorization-mode"] = "Node,RBAC"
    return flags


def _etcd_servers(spec: ClusterSpec, inventory: Inventory, host: Host) -> str:
    """Return the member on the same host; all members where etcd stands apart."""
    if spec.etcd.topology == "external":
        return ",".join(client_url(member) for member in inventory.etcd_members)
    loopback = "[::1]" if ":" in host.address else "127.0.0.1"
    return f"https://{loopback}:{ETCD_CLIENT_PORT}"


def _controller_manager_flags(spec: ClusterSpec) -> dict[str, str]:
    return {
        **_kubeconfig_flags(CONTROLLER_MANAGER_CONF),
        "allocate-node-cidrs": "true",
        "client-ca-file": f"{PKI}/ca.crt",
        "cluster-cidr": spec.network.pods,
        "cluster-name": spec.name,
        "cluster-signing-cert-file": f"{PKI}/ca.crt",
        "cluster-signing-key-file": f"{PKI}/ca.key",
        "controllers": "*,bootstrapsigner,tokencleaner",
        "requestheader-client-ca-file": f"{PKI}/front-proxy-ca.crt",
        "root-ca-file": f"{PKI}/ca.crt",
        "service-account-private-key-file": f"{PKI}/sa.key",
        "service-cluster-ip-range": spec.network.services,
        "use-service-account-credentials": "true",
    }


def _kubeconfig_flags(path: str) -> dict[str, str]:
    return {
        "authentication-kubeconfig": path,
        "authorization-kubeconfig": path,
        "bind-address": "127.0.0.1",
        "kubeconfig": path,
        "leader-elect": "true",
    }


def _bound(extra: Sequence[Argument]) -> str | None:
    """Return where a component listens; None (the pod's address) where that is everywhere."""
    given = [value for name, value in extra if name == "bind-address"]
    return _probe_host(given[-1] if given else "127.0.0.1")


def _probe_host(address: str) -> str | None:
    return None if address in _ANY_ADDRESS else address


def _ca_mounts(directories: Sequence[str]) -> list[Mount]:
    """Mount what symbolic links in /etc/ssl/certs point to, where the host has it; kubeadm's names."""
    return [Mount(name=path.strip("/").replace("/", "-"), path=path) for path in directories]


def _by_name(*mounts: Mount) -> list[Mount]:
    return sorted(mounts, key=lambda mount: mount.name)
