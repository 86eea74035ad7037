"""Traefik as ingress controller: on every worker, at its host ports; host and path rules, TLS from Secrets.

Where the inventory has no worker it runs on the control planes. Ingress objects only: its CRDs are not installed.

Source: Traefik's reference for the kubernetesIngress provider (RBAC, options) and the pod security of its Helm chart,
at v3.6.12.
"""

from __future__ import annotations

from typing import Final

from kubeforge.addons.model import Cluster
from kubeforge.documents import Object
from kubeforge.manifests.rbac import account, binding, role, rule, service_account
from kubeforge.spec.model import Ingress
from kubeforge.spec.nodes import CONTROL_PLANE_TAINT

__all__ = ["CLASS", "WORKLOAD", "objects"]

_NAME: Final = "traefik"
_LABELS: Final = {"app.kubernetes.io/name": _NAME, "app.kubernetes.io/managed-by": "kubeforge"}
_SELECTOR: Final = {"app.kubernetes.io/name": _NAME}
_USER: Final = 65532  # distroless' nonroot
_READ: Final = ("get", "list", "watch")
CLASS: Final = "traefik"
WORKLOAD: Final = ("DaemonSet", _NAME, _NAME)


def objects(cluster: Cluster) -> list[Object]:
    """Return Traefik's objects."""
    ingress = cluster.spec.addons.ingress or Ingress()
    rules = [
        rule([""], ["services", "secrets", "nodes"], _READ),
        rule(["discovery.k8s.io"], ["endpointslices"], ["list", "watch"]),
        rule(["networking.k8s.io"], ["ingresses", "ingressclasses"], _READ),
        rule(["networking.k8s.io"], ["ingresses/status"], ["update"]),
    ]
    return [
        _namespace(),
        service_account(_NAME, _NAME, labels=_LABELS),
        role(_NAME, rules),
        binding(_NAME, [account(_NAME, _NAME)]),
        _class(),
        _daemon_set(cluster, ingress),
    ]


def _namespace() -> Object:
    # Host ports are beyond Pod Security's baseline; everything else in the pod is restricted.
    labels = {**_LABELS, "pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAME, "labels": labels}}


def _class() -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
            "labels": dict(_LABELS),
        },
        "spec": {"controller": "traefik.io/ingress-controller"},
    }


def _daemon_set(cluster: Cluster, ingress: Ingress) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": _NAME, "namespace": _NAME, "labels": dict(_LABELS)},
        "spec": {
            "selector": {"matchLabels": dict(_SELECTOR)},
            "template": {"metadata": {"labels": dict(_LABELS)}, "spec": _pod(cluster, ingress)},
            # A host port is free only once the old pod is gone.
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        },
    }


def _pod(cluster: Cluster, ingress: Ingress) -> Object:
    pod: Object = {
        "containers": [_container(cluster.images[_NAME], ingress)],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "securityContext": {
            "runAsGroup": _USER,
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "serviceAccountName": _NAME,
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    if cluster.inventory.workers:
        worker = {"key": CONTROL_PLANE_TAINT.key, "operator": "DoesNotExist"}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [worker]}]}
        return {**pod, "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}
    return {**pod, "tolerations": [{"key": CONTROL_PLANE_TAINT.key, "effect": CONTROL_PLANE_TAINT.effect}]}


def _container(image: str, ingress: Ingress) -> Object:
    ports = (("web", 8000, ingress.http_port), ("websecure", 8443, ingress.https_port))
    probe = {"httpGet": {"path": "/ping", "port": "traefik", "scheme": "HTTP"}, "timeoutSeconds": 2}
    return {
        "name": _NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--entryPoints.traefik.address=:8080",
            "--entryPoints.web.address=:8000",
            "--entryPoints.websecure.address=:8443",
            "--entryPoints.websecure.http.tls=true",
            "--ping=true",
            "--providers.kubernetesIngress=true",
            f"--providers.kubernetesIngress.ingressClass={CLASS}",
            "--providers.kubernetesIngress.strictPrefixMatching=true",
        ],
        "ports": [
            {"name": "traefik", "containerPort": 8080, "protocol": "TCP"},
            *(
                {"name": name, "containerPort": port, "hostPort": host_port, "protocol": "TCP"}
                for name, port, host_port in ports
            ),
        ],
        "livenessProbe": {**probe, "failureThreshold": 3, "initialDelaySeconds": 2, "periodSeconds": 10},
        "readinessProbe": {**probe, "failureThreshold": 2, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's own, empty
    }
