"""kube-proxy: kubeadm's DaemonSet, ConfigMap and RBAC; iptables or nftables, said explicitly.

Source: kubeadm phases/addons/proxy/{proxy,manifests}.go and componentconfigs/kubeproxy.go at v1.36.3. The one
difference is the digest of its configuration in the template: kube-proxy reads it once, and another one is another pod.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from kubeforge.addons.model import Cluster
from kubeforge.documents import Object, dump, merged
from kubeforge.manifests.arguments import command, extra_arguments
from kubeforge.manifests.objects import config_map
from kubeforge.manifests.rbac import account, binding, config_map_role, group, service_account
from kubeforge.pki.tokens import BOOTSTRAP_GROUP
from kubeforge.spec.addresses import inner_endpoint

__all__ = ["CONFIG", "WORKLOAD", "configuration", "objects"]

_NAME: Final = "kube-proxy"
_SYSTEM: Final = "kube-system"
_FOLDER: Final = "/var/lib/kube-proxy"
_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
CONFIG: Final = "config.conf"
WORKLOAD: Final = ("DaemonSet", _SYSTEM, _NAME)


def objects(cluster: Cluster) -> list[Object]:
    """Return kube-proxy's objects."""
    data = {CONFIG: dump(configuration(cluster)), "kubeconfig.conf": dump(_kubeconfig(cluster))}
    return [
        service_account(_NAME, _SYSTEM),
        binding("kubeadm:node-proxier", [account(_NAME, _SYSTEM)], cluster_role="system:node-proxier"),
        *config_map_role(_NAME, _NAME, _SYSTEM, [group(BOOTSTRAP_GROUP)]),
        config_map(_NAME, data, labels={"app": _NAME}),
        _daemon_set(cluster, data),
    ]


def configuration(cluster: Cluster) -> Object:
    """Return the KubeProxyConfiguration, one for all nodes; the spec's `kube_proxy.config` laid over ours.

    Where one host cannot write nf_conntrack_max (a network namespace), kube-proxy is told to leave it alone on all:
    there is one ConfigMap, and a kube-proxy that is refused the write does not start.
    """
    spec = cluster.spec
    ours: Object = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": "::" if ":" in spec.network.pods else "0.0.0.0",  # noqa: S104 - kubeadm's; it serves /healthz
        "clientConnection": {"kubeconfig": f"{_FOLDER}/kubeconfig.conf"},
        "clusterCIDR": spec.network.pods,
        "mode": spec.network.proxy.value,
    }
    if not all(facts.conntrack_writable for facts in cluster.facts.values()):
        ours["conntrack"] = {"maxPerCore": 0}
    if spec.kube_proxy.log_level is not None:
        ours["logging"] = {"verbosity": spec.kube_proxy.log_level}
    if spec.kube_proxy.feature_gates:
        ours["featureGates"] = dict(spec.kube_proxy.feature_gates)
    return merged(ours, spec.kube_proxy.config)


def _kubeconfig(cluster: Cluster) -> Object:
    server = f"https://{inner_endpoint(cluster.spec, cluster.inventory)}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": {"certificate-authority": f"{_ACCOUNT}/ca.crt", "server": server}}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "namespace": "default", "user": "default"}}],
        "current-context": "default",
        "users": [{"name": "default", "user": {"tokenFile": f"{_ACCOUNT}/token"}}],
    }


def _daemon_set(cluster: Cluster, data: dict[str, str]) -> Object:
    labels = {"k8s-app": _NAME}
    extra = extra_arguments(cluster.spec.kube_proxy.model_copy(update={"feature_gates": {}}))
    flags = {"config": f"{_FOLDER}/{CONFIG}", "hostname-override": "$(NODE_NAME)"}
    container: Object = {
        "name": _NAME,
        "image": cluster.images[_NAME],
        "imagePullPolicy": "IfNotPresent",
        "command": command("/usr/local/bin/kube-proxy", flags, extra),
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"mountPath": _FOLDER, "name": _NAME},
            {"mountPath": "/run/xtables.lock", "name": "xtables-lock"},
            {"mountPath": "/lib/modules", "name": "lib-modules", "readOnly": True},
        ],
    }
    pod: Object = {
        "containers": [container],
        "hostNetwork": True,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "priorityClassName": "system-node-critical",
        "serviceAccountName": _NAME,
        "tolerations": [{"operator": "Exists"}],
        "volumes": [
            {"name": _NAME, "configMap": {"name": _NAME}},
            {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
            {"name": "lib-modules", "hostPath": {"path": "/lib/modules"}},
        ],
    }
    annotations = {"kubeforge/configuration": sha256("".join(data.values()).encode()).hexdigest()[:16]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": _NAME, "namespace": _SYSTEM, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"annotations": annotations, "labels": labels}, "spec": pod},
            "updateStrategy": {"type": "RollingUpdate"},
        },
    }
