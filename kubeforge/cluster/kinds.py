"""The kinds of Kubernetes objects kubeforge handles: their plural, and whether they live in a namespace. Data.

Objects are plain dictionaries everywhere, so that nothing a newer API server knows is lost on the way. A kind that is
not in the table (of a CRD) is asked of the API once, see `api.Api`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["KINDS", "Kind", "Obj", "condition_of", "is_ready", "key_of", "sort_key"]

Obj = dict[str, Any]
"""A Kubernetes object, as JSON has it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of objects.

    Args:
        api_version: `v1`, `apps/v1`.
        kind: `ConfigMap`.
        plural: `configmaps`.
        namespaced: whether its objects live in namespaces.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def path(self) -> str:
        """`api/v1` or `apis/apps/v1`."""
        return f"{'apis' if '/' in self.api_version else 'api'}/{self.api_version}"


_RBAC: Final = "rbac.authorization.k8s.io/v1"
KINDS: Final = {
    (kind.api_version, kind.kind): kind
    for kind in (
        Kind("v1", "Namespace", "namespaces", namespaced=False),
        Kind("v1", "Node", "nodes", namespaced=False),
        Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False),
        Kind("v1", "ConfigMap", "configmaps"),
        Kind("v1", "Event", "events"),
        Kind("v1", "Pod", "pods"),
        Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
        Kind("v1", "Secret", "secrets"),
        Kind("v1", "Service", "services"),
        Kind("v1", "ServiceAccount", "serviceaccounts"),
        Kind("apps/v1", "DaemonSet", "daemonsets"),
        Kind("apps/v1", "Deployment", "deployments"),
        Kind("apps/v1", "ReplicaSet", "replicasets"),
        Kind("apps/v1", "StatefulSet", "statefulsets"),
        Kind("batch/v1", "CronJob", "cronjobs"),
        Kind("batch/v1", "Job", "jobs"),
        Kind("certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", namespaced=False),
        Kind("coordination.k8s.io/v1", "Lease", "leases"),
        Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
        Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
        Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False),
        Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
        Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
        Kind(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
        Kind(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
        Kind(_RBAC, "Role", "roles"),
        Kind(_RBAC, "RoleBinding", "rolebindings"),
        Kind("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False),
        Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False),
        Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False),
        Kind("apiregistration.k8s.io/v1", "APIService", "apiservices", namespaced=False),
    )
}

_FIRST: Final = ("Namespace", "CustomResourceDefinition", "PriorityClass")


def key_of(obj: Obj) -> tuple[str, str, str, str]:
    """Return (apiVersion, kind, namespace, name); the namespace is empty for objects without one."""
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace") or "", metadata["name"]


def condition_of(obj: Obj | None, kind: str) -> dict[str, Any]:
    """Return a condition of an object's status; empty: nobody has said anything of it."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {})


def is_ready(obj: Obj) -> bool:
    """Whether a node's kubelet reports that it can run pods; whether a pod's containers serve."""
    return condition_of(obj, "Ready").get("status") == "True"


def sort_key(obj: Obj) -> int:
    """Return 0 for what others need to exist first (namespaces, CRDs), 1 for all others."""
    return 0 if obj["kind"] in _FIRST else 1
