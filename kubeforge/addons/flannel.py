"""flannel over VXLAN. The CNI plugins `flannel`, `bridge` and `portmap` are on the nodes already (artifacts).

Three things differ from upstream's manifest, each met as a fault: flanneld asks the API endpoint, not the Service IP
that kube-proxy may not serve yet; the CNI configuration is written once subnet.env exists, and a stale one is removed
at boot; the interface is that of the node's address, not of the default route.

Source: flannel Documentation/kube-flannel.yml and pkg/subnet/kube/kube.go (NODE_NAME) at v0.28.4.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final

from kubeforge.addons.model import Cluster
from kubeforge.documents import Object
from kubeforge.manifests.objects import config_map
from kubeforge.manifests.rbac import account, binding, role, rule, service_account
from kubeforge.manifests.render import render
from kubeforge.spec.addresses import endpoint_port, inner_host
from kubeforge.spec.model import ClusterSpec, ProxyMode
from kubeforge.spec.paths import CNI_BOOT_CLEANUP, CNI_CONF, FLANNEL_CONFLIST, FLANNEL_SUBNET, FLANNEL_VXLAN_PORT

__all__ = ["WORKLOAD", "host_files", "objects"]

_SPACE: Final = "kube-flannel"
_NAME: Final = "flannel"
_CONFIG: Final = "kube-flannel-cfg"
_LABELS: Final = {"app": _NAME, "k8s-app": _NAME, "tier": "node"}
_SELECTOR: Final = {"app": _NAME}
WORKLOAD: Final = ("DaemonSet", _SPACE, "kube-flannel-ds")


def objects(cluster: Cluster) -> list[Object]:
    """Return flannel's objects."""
    rules = [
        rule([""], ["nodes"], ["get", "list", "watch"]),
        rule([""], ["nodes/status"], ["patch"]),
    ]
    data = _data(cluster.spec)
    labels = {"k8s-app": _NAME}
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": _SPACE, "labels": {**labels, "pod-security.kubernetes.io/enforce": "privileged"}},
        },
        service_account(_NAME, _SPACE, labels=labels),
        role(_NAME, rules),
        binding(_NAME, [account(_NAME, _SPACE)]),
        config_map(_CONFIG, data, namespace=_SPACE, labels=_LABELS),
        _daemon_set(cluster, data),
    ]


def host_files(_: ClusterSpec) -> dict[str, str]:
    """Return the rule for systemd-tmpfiles that removes a stale CNI configuration at boot."""
    return {CNI_BOOT_CLEANUP: render("flannel/tmpfiles.conf", conflist=FLANNEL_CONFLIST)}


def _data(spec: ClusterSpec) -> dict[str, str]:
    network = {
        "Network": spec.network.pods,
        "EnableNFTables": spec.network.proxy is ProxyMode.NFTABLES,
        "Backend": {"Type": "vxlan", "Port": FLANNEL_VXLAN_PORT},
    }
    delegate = {"hairpinMode": True, "isDefaultGateway": True}
    plugins = [
        {"type": "flannel", "delegate": delegate},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {
        "cni-conf.json": _json({"name": "cbr0", "cniVersion": "0.3.1", "plugins": plugins}),
        "net-conf.json": _json(network),
    }


def _json(value: Object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _daemon_set(cluster: Cluster, data: dict[str, str]) -> Object:
    digest = sha256("".join(data.values()).encode()).hexdigest()
    linux = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [linux]}]}
    pod: Object = {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        "containers": [_container(cluster)],
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccountName": _NAME,
        "tolerations": [{"operator": "Exists"}],
        "volumes": [
            {"name": "run", "hostPath": {"path": "/run/flannel", "type": "DirectoryOrCreate"}},
            {"name": "cni", "hostPath": {"path": CNI_CONF, "type": "DirectoryOrCreate"}},
            {"name": "flannel-cfg", "configMap": {"name": _CONFIG}},
            {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
        ],
    }
    # flanneld reads its configuration once: another one is another pod.
    metadata = {"annotations": {"kubeforge/configuration": digest[:16]}, "labels": dict(_LABELS)}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": WORKLOAD[2], "namespace": _SPACE, "labels": dict(_LABELS)},
        "spec": {
            "selector": {"matchLabels": dict(_SELECTOR)},
            "template": {"metadata": metadata, "spec": pod},
            "updateStrategy": {"type": "RollingUpdate"},
        },
    }


def _container(cluster: Cluster) -> Object:
    script = render("flannel/start.sh", subnet=FLANNEL_SUBNET, conflist=FLANNEL_CONFLIST)
    mounts = {
        "run": "/run/flannel",
        "cni": CNI_CONF,
        "flannel-cfg": "/etc/kube-flannel/",
        "xtables-lock": "/run/xtables.lock",
    }
    return {
        "name": "kube-flannel",
        "image": cluster.images[_NAME],
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", script, "start.sh"],
        "args": ["--ip-masq", "--kube-subnet-mgr", "--iface=$(NODE_IP)"],
        "env": [
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "EVENT_QUEUE_DEPTH", "value": "5000"},
            {"name": "CONT_WHEN_CACHE_NOT_READY", "value": "false"},
            # Before kube-proxy runs the Service IP leads nowhere, and a client waits 30 s for it.
            {"name": "KUBERNETES_SERVICE_HOST", "value": inner_host(cluster.spec, cluster.inventory)},
            {"name": "KUBERNETES_SERVICE_PORT", "value": str(endpoint_port(cluster.spec, cluster.inventory))},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "50Mi"}},
        "securityContext": {
            "privileged": False,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
