"""The kubeconfigs of a cluster: the table of kubeadm's five, and how any is written. Issues no certificate itself.

Source: kubeadm phases/kubeconfig/kubeconfig.go (getKubeConfigSpecsBase) and util/kubeconfig, read at v1.36.3.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import yaml

from kubeforge.documents import Object, dump, load
from kubeforge.pki import verify
from kubeforge.pki.certificates import Identity, Request, Usage
from kubeforge.pki.issue import Issued
from kubeforge.secret import Secret
from kubeforge.spec.paths import (
    ADMIN_CONF,
    CONTROLLER_MANAGER_CONF,
    KUBELET_CLIENT_CURRENT,
    SCHEDULER_CONF,
    SUPER_ADMIN_CONF,
)

__all__ = [
    "TABLE",
    "Row",
    "Server",
    "bootstrap",
    "cluster_info",
    "kubelet",
    "kubelet_client",
    "leads_to",
    "public_parts",
    "reasons",
    "request",
    "user",
    "with_certificate",
]


class Server(StrEnum):
    """Which API server a kubeconfig points at."""

    CLUSTER = "cluster"  # controlPlaneEndpoint
    LOCAL = "local"  # the one on the same host


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kubeconfig on control planes, mode 0600.

    Args:
        path: where it lies.
        common_name: CN of its client certificate, and the name of its user.
        organization: O; empty: none.
        server: where it points.
        first_only: only on the control plane that founded the cluster.
    """

    path: str
    common_name: str
    organization: str = ""
    server: Server = Server.CLUSTER
    first_only: bool = False

    @property
    def name(self) -> str:
        """Its file's name, as in `kubeadm certs renew NAME`."""
        return self.path.rpartition("/")[2]


TABLE: Final[tuple[Row, ...]] = (
    Row(path=ADMIN_CONF, common_name="kubernetes-admin", organization="kubeadm:cluster-admins"),
    Row(
        path=SUPER_ADMIN_CONF,
        common_name="kubernetes-super-admin",
        organization="system:masters",
        first_only=True,
    ),
    Row(path=CONTROLLER_MANAGER_CONF, common_name="system:kube-controller-manager", server=Server.LOCAL),
    Row(path=SCHEDULER_CONF, common_name="system:kube-scheduler", server=Server.LOCAL),
)


def request(row: Row) -> Request:
    """Return what the client certificate of a row says; the cluster's `ca` signs it."""
    return user(row.common_name, (row.organization,) if row.organization else ())


def user(name: str, groups: tuple[str, ...] = ()) -> Request:
    """Return what the client certificate of any user says."""
    return Request(common_name=name, organizations=groups, usages=(Usage.CLIENT,))


def kubelet_client(identity: Identity) -> Request:
    """Return what a kubelet's client certificate says (kubelet-client-current.pem)."""
    return user(f"system:node:{identity.node}", ("system:nodes",))


def with_certificate(*, cluster: str, server: str, ca: bytes, name: str, issued: Issued) -> Secret:
    """Return a kubeconfig that carries certificate and key.

    Args:
        cluster: the cluster's name.
        server: `host:port`.
        ca: PEM of the authority that signs the API server's certificate.
        name: name of the user in it.
        issued: client certificate and key.
    """
    credentials = {"client-certificate-data": _encoded(issued.certificate), "client-key-data": _encoded(issued.key)}
    return Secret(dump(_config(cluster, server, ca, name, credentials)))


def kubelet(*, cluster: str, server: str, ca: bytes, node: str) -> bytes:
    """Return kubelet.conf as `kubeadm init` leaves it: certificate and key by path, so that rotation is seen."""
    credentials = {"client-certificate": KUBELET_CLIENT_CURRENT, "client-key": KUBELET_CLIENT_CURRENT}
    return dump(_config(cluster, server, ca, f"system:node:{node}", credentials)).encode()


def bootstrap(*, cluster: str, server: str, ca: bytes, token: Secret) -> Secret:
    """Return bootstrap-kubelet.conf: with it a kubelet asks for its certificate; removed once it has it."""
    credentials = {"token": token.reveal().decode()}
    return Secret(dump(_config(cluster, server, ca, "tls-bootstrap-token-user", credentials)))


def cluster_info(*, server: str, ca: bytes) -> str:
    """Return the kubeconfig in kube-public/cluster-info: address and authority, no user."""
    document: Object = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": _cluster(server, ca)}],
        "contexts": None,
        "current-context": "",
        "users": None,
    }
    return dump(document)


def public_parts(content: bytes) -> tuple[str, bytes, bytes]:
    """Return server URL, authority (PEM) and client certificate (PEM) of a kubeconfig; never its key.

    Raises:
        ValueError: it is none, or carries no certificate.
    """
    try:
        document: Any = load(content)
        cluster = document["clusters"][0]["cluster"]
        certificate = document["users"][0]["user"]["client-certificate-data"]
        return str(cluster["server"]), b64decode(cluster["certificate-authority-data"]), b64decode(certificate)
    except (yaml.YAMLError, LookupError, TypeError) as error:
        # The text of the error may quote the file, and the file holds a key.
        raise ValueError(f"no kubeconfig with a client certificate ({type(error).__name__})") from None


def leads_to(content: bytes, *, server: str, ca: bytes | None = None) -> bool:
    """Tell whether a kubeconfig points at a server under an authority; what is in it of keys is not looked at.

    Args:
        content: what is on the host.
        server: `host:port`.
        ca: PEM of the cluster's authority, which it carries, or names by a path that is not followed; None: any.
    """
    try:
        cluster: Any = load(content)["clusters"][0]["cluster"]
        if ca is None:
            return bool(cluster.get("server") == f"https://{server}")
        carried = cluster.get("certificate-authority-data")
        trusted = "certificate-authority" in cluster if carried is None else b64decode(carried).split() == ca.split()
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError):
        return False
    return trusted and cluster.get("server") == f"https://{server}"


def reasons(row: Row, content: Secret, *, server: str, ca: bytes, now: datetime) -> tuple[str, ...]:
    """Return why a kubeconfig of the table must be written anew; empty: keep it.

    Args:
        row: its row.
        content: what is on the host.
        server: `host:port` it shall point at.
        ca: PEM of the cluster's authority.
        now: the moment to judge by.
    """
    try:
        url, authority, certificate = public_parts(content.reveal())
    except ValueError as error:
        return (f"it cannot be read: {error}",)
    told = [] if url == f"https://{server}" else [f"it points at {url}, not https://{server}"]
    told += [] if authority.strip() == ca.strip() else ["its authority is not the cluster's"]
    return (*told, *verify.reasons(request(row), certificate, signer=ca, now=now))


def _config(cluster: str, server: str, ca: bytes, name: str, credentials: dict[str, str]) -> Object:
    context = f"{name}@{cluster}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": _cluster(server, ca)}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": name}}],
        "current-context": context,
        "users": [{"name": name, "user": credentials}],
    }


def _cluster(server: str, ca: bytes) -> dict[str, str]:
    return {"certificate-authority-data": _encoded(ca), "server": f"https://{server}"}


def _encoded(value: bytes | Secret) -> str:
    return b64encode(value.reveal() if isinstance(value, Secret) else value).decode()
