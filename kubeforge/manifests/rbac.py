"""Small makers of RBAC objects, and those kubeadm gives a cluster. Applies nothing.

Source: kubeadm phases/bootstraptoken/{node/tlsbootstrap,clusterinfo/clusterinfo}.go, phases/uploadconfig,
phases/kubelet/config.go, phases/copycerts, phases/kubeconfig (kubeadm:cluster-admins), at v1.36.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kubeforge.documents import Object
from kubeforge.pki.tokens import BOOTSTRAP_GROUP

__all__ = [
    "account",
    "binding",
    "cluster_rbac",
    "config_map_role",
    "group",
    "role",
    "rule",
    "service_account",
    "user",
]

_API: Final = "rbac.authorization.k8s.io"
_NODES: Final = "system:nodes"


def rule(groups: Sequence[str], resources: Sequence[str], verbs: Sequence[str], *, names: Sequence[str] = ()) -> Object:
    """Return a policy rule."""
    said: Object = {"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}
    return {**said, "resourceNames": list(names)} if names else said


def role(name: str, rules: Sequence[Object], *, namespace: str | None = None) -> Object:
    """Return a Role, or a ClusterRole where there is no namespace."""
    return {**_head("Role", name, namespace), "rules": list(rules)}


def binding(
    name: str, subjects: Sequence[Object], *, namespace: str | None = None, cluster_role: str | None = None
) -> Object:
    """Return a RoleBinding (ClusterRoleBinding without namespace) to the role of the same name or to a ClusterRole."""
    kind = "Role" if namespace is not None and cluster_role is None else "ClusterRole"
    reference = {"apiGroup": _API, "kind": kind, "name": cluster_role or name}
    return {**_head("RoleBinding", name, namespace), "roleRef": reference, "subjects": list(subjects)}


def group(name: str) -> Object:
    """Return a group as subject."""
    return {"apiGroup": _API, "kind": "Group", "name": name}


def user(name: str) -> Object:
    """Return a user as subject."""
    return {"apiGroup": _API, "kind": "User", "name": name}


def account(name: str, namespace: str) -> Object:
    """Return a service account as subject."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def service_account(name: str, namespace: str, *, labels: dict[str, str] | None = None) -> Object:
    """Return a ServiceAccount."""
    metadata: Object = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**metadata, **_labels(labels)}}


def config_map_role(name: str, config_map: str, namespace: str, subjects: Sequence[Object]) -> list[Object]:
    """Return Role and RoleBinding that let subjects read one ConfigMap."""
    rules = [rule([""], ["configmaps"], ["get"], names=[config_map])]
    return [role(name, rules, namespace=namespace), binding(name, subjects, namespace=namespace)]


def cluster_rbac() -> list[Object]:
    """Return everything kubeadm grants at init, but for kube-proxy's and CoreDNS' own."""
    joining = [group(BOOTSTRAP_GROUP)]
    both = [group(BOOTSTRAP_GROUP), group(_NODES)]
    certs_rules = [rule([""], ["secrets"], ["get"], names=["kubeadm-certs"])]
    system = "kube-system"
    return [
        binding("kubeadm:cluster-admins", [group("kubeadm:cluster-admins")], cluster_role="cluster-admin"),
        *config_map_role("kubeadm:nodes-kubeadm-config", "kubeadm-config", system, both),
        *config_map_role("kubeadm:kubelet-config", "kubelet-config", system, [group(_NODES), group(BOOTSTRAP_GROUP)]),
        role("kubeadm:kubeadm-certs", certs_rules, namespace=system),
        binding("kubeadm:kubeadm-certs", joining, namespace=system),
        *config_map_role(
            "kubeadm:bootstrap-signer-clusterinfo", "cluster-info", "kube-public", [user("system:anonymous")]
        ),
        binding("kubeadm:kubelet-bootstrap", joining, cluster_role="system:node-bootstrapper"),
        role("kubeadm:get-nodes", [rule([""], ["nodes"], ["get"])]),
        binding("kubeadm:get-nodes", joining),
        binding(
            "kubeadm:node-autoapprove-bootstrap",
            joining,
            cluster_role="system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        ),
        binding(
            "kubeadm:node-autoapprove-certificate-rotation",
            [group(_NODES)],
            cluster_role="system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        ),
        binding(
            "kubeadm:apiserver-kubelet-client",
            [user("kube-apiserver-kubelet-client")],
            cluster_role="system:kubelet-api-admin",
        ),
    ]


def _head(kind: str, name: str, namespace: str | None) -> Object:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": f"{_API}/v1", "kind": kind if namespace else f"Cluster{kind}", "metadata": metadata}


def _labels(labels: dict[str, str] | None) -> Object:
    return {"labels": dict(labels)} if labels else {}
