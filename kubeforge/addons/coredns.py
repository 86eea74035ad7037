"""CoreDNS: kubeadm's Deployment, Service at the tenth Service IP, Corefile and RBAC.

Three things differ from kubeadm's: readiness is asked every second, not every ten (the first question always comes too
early, and a cluster has no DNS until the second), of several nodes none gets all replicas, and the pod says seccomp
RuntimeDefault.

Source: kubeadm phases/addons/dns/manifests.go at v1.36.3. CoreDNS reads a changed Corefile by itself.
"""

from __future__ import annotations

from typing import Final

from kubeforge.addons.model import Cluster
from kubeforge.documents import Object
from kubeforge.manifests.objects import config_map
from kubeforge.manifests.rbac import account, binding, role, rule, service_account
from kubeforge.manifests.render import render
from kubeforge.spec.addresses import dns_ip
from kubeforge.spec.nodes import CONTROL_PLANE_TAINT

__all__ = ["WORKLOAD", "objects"]

_NAME: Final = "coredns"
_SYSTEM: Final = "kube-system"
_LABELS: Final = {"k8s-app": "kube-dns"}
_REPLICAS: Final = 2
_ROLE: Final = "system:coredns"
WORKLOAD: Final = ("Deployment", _SYSTEM, _NAME)


def objects(cluster: Cluster) -> list[Object]:
    """Return CoreDNS' objects."""
    watched = ("endpoints", "services", "pods", "namespaces")
    rules = [
        rule([""], watched, ["list", "watch"]),
        rule(["discovery.k8s.io"], ["endpointslices"], ["list", "watch"]),
    ]
    return [
        service_account(_NAME, _SYSTEM),
        role(_ROLE, rules),
        binding(_ROLE, [account(_NAME, _SYSTEM)]),
        config_map(_NAME, {"Corefile": render("coredns/Corefile", domain=cluster.spec.network.domain)}),
        _service(dns_ip(cluster.spec)),
        _deployment(cluster.images[_NAME]),
    ]


def _service(address: str) -> Object:
    ports = (("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP"))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": _SYSTEM,
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
            "labels": {**_LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"},
        },
        "spec": {
            "clusterIP": address,
            "ports": [
                {"name": name, "port": port, "protocol": protocol, "targetPort": port} for name, port, protocol in ports
            ],
            "selector": dict(_LABELS),
        },
    }


def _deployment(image: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _NAME, "namespace": _SYSTEM, "labels": dict(_LABELS)},
        "spec": {
            "replicas": _REPLICAS,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "selector": {"matchLabels": dict(_LABELS)},
            "template": {"metadata": {"labels": dict(_LABELS)}, "spec": _pod(image)},
        },
    }


def _pod(image: str) -> Object:
    spread = {
        "labelSelector": {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]},
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = [{"weight": 100, "podAffinityTerm": spread}]
    # A preference is worth nothing at birth: the first node that is Ready would get all of them, and DNS would end
    # with it. Nodes that are registered and not Ready yet count here; a node that is alone gets all of them still.
    apart = {
        "labelSelector": {"matchLabels": dict(_LABELS)},
        "matchLabelKeys": ["pod-template-hash"],
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
    }
    return {
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}},
        "containers": [_container(image)],
        "dnsPolicy": "Default",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "priorityClassName": "system-cluster-critical",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccountName": _NAME,
        "topologySpreadConstraints": [apart],
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": CONTROL_PLANE_TAINT.key, "effect": CONTROL_PLANE_TAINT.effect},
        ],
        "volumes": [
            {"name": "config-volume", "configMap": {"name": _NAME, "items": [{"key": "Corefile", "path": "Corefile"}]}}
        ],
    }


def _container(image: str) -> Object:
    ports = (
        ("dns", 53, "UDP"),
        ("dns-tcp", 53, "TCP"),
        ("metrics", 9153, "TCP"),
        ("liveness-probe", 8080, "TCP"),
        ("readiness-probe", 8181, "TCP"),
    )
    return {
        "name": _NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": "liveness-probe", "scheme": "HTTP"},
            "initialDelaySeconds": 60,
            "timeoutSeconds": 5,
            "successThreshold": 1,
            "failureThreshold": 5,
        },
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "readiness-probe", "scheme": "HTTP"},
            "periodSeconds": 1,
        },
        "ports": [{"name": name, "containerPort": port, "protocol": protocol} for name, port, protocol in ports],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"mountPath": "/etc/coredns", "name": "config-volume", "readOnly": True}],
    }
