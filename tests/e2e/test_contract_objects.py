"""What kubeadm expects in the API: ConfigMaps, RBAC, nodes, tokens, static pods, by tables written down here anew."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import yaml

from tests.e2e.conftest import BRIDGE, MAIN, OLDER, Cluster, wait_until

pytestmark = pytest.mark.clusters(MAIN, OLDER)

Object = dict[str, Any]
SYSTEM, PUBLIC = "kube-system", "kube-public"
JOINING, NODES = "system:bootstrappers:kubeadm:default-node-token", "system:nodes"
CSR = "system:certificates.k8s.io:certificatesigningrequests"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

CONFIG_MAPS = {
    (SYSTEM, "kubeadm-config"): {"ClusterConfiguration"},
    (SYSTEM, "kubelet-config"): {"kubelet"},
    (SYSTEM, "kube-proxy"): {"config.conf", "kubeconfig.conf"},
    (SYSTEM, "coredns"): {"Corefile"},
    (PUBLIC, "cluster-info"): {"kubeconfig"},
}
# namespace, name of the binding: kind and name of the role, subjects
BINDINGS = {
    (SYSTEM, "kubeadm:nodes-kubeadm-config"): ("Role/kubeadm:nodes-kubeadm-config", {JOINING, NODES}),
    (SYSTEM, "kubeadm:kubelet-config"): ("Role/kubeadm:kubelet-config", {JOINING, NODES}),
    (SYSTEM, "kubeadm:kubeadm-certs"): ("Role/kubeadm:kubeadm-certs", {JOINING}),
    (SYSTEM, "kube-proxy"): ("Role/kube-proxy", {JOINING}),
    (PUBLIC, "kubeadm:bootstrap-signer-clusterinfo"): (
        "Role/kubeadm:bootstrap-signer-clusterinfo",
        {"system:anonymous"},
    ),
    ("", "kubeadm:cluster-admins"): ("ClusterRole/cluster-admin", {"kubeadm:cluster-admins"}),
    ("", "kubeadm:kubelet-bootstrap"): ("ClusterRole/system:node-bootstrapper", {JOINING}),
    ("", "kubeadm:get-nodes"): ("ClusterRole/kubeadm:get-nodes", {JOINING}),
    ("", "kubeadm:node-autoapprove-bootstrap"): (f"ClusterRole/{CSR}:nodeclient", {JOINING}),
    ("", "kubeadm:node-autoapprove-certificate-rotation"): (f"ClusterRole/{CSR}:selfnodeclient", {NODES}),
    ("", "kubeadm:node-proxier"): ("ClusterRole/system:node-proxier", {"kube-system/kube-proxy"}),
    ("", "kubeadm:apiserver-kubelet-client"): (
        "ClusterRole/system:kubelet-api-admin",
        {"kube-apiserver-kubelet-client"},
    ),
    ("", "system:coredns"): ("ClusterRole/system:coredns", {"kube-system/coredns"}),
}
# namespace, name of the role: what it lets do
ROLES = {
    (SYSTEM, "kubeadm:nodes-kubeadm-config"): ("get", "configmaps", "kubeadm-config"),
    (SYSTEM, "kubeadm:kubelet-config"): ("get", "configmaps", "kubelet-config"),
    (SYSTEM, "kubeadm:kubeadm-certs"): ("get", "secrets", "kubeadm-certs"),
    (SYSTEM, "kube-proxy"): ("get", "configmaps", "kube-proxy"),
    (PUBLIC, "kubeadm:bootstrap-signer-clusterinfo"): ("get", "configmaps", "cluster-info"),
}
REQUESTS = {
    "etcd": {"cpu": "100m", "memory": "100Mi"},
    "kube-apiserver": {"cpu": "250m"},
    "kube-controller-manager": {"cpu": "200m"},
    "kube-scheduler": {"cpu": "100m"},
}
PKI = "/etc/kubernetes/pki"
FLAGS = {
    "kube-apiserver": (
        "advertise-address={address}",
        "allow-privileged=true",
        "authorization-mode=Node,RBAC",
        f"client-ca-file={PKI}/ca.crt",
        "enable-admission-plugins=NodeRestriction",
        "enable-bootstrap-token-auth=true",
        f"etcd-cafile={PKI}/etcd/ca.crt",
        f"etcd-certfile={PKI}/apiserver-etcd-client.crt",
        f"etcd-keyfile={PKI}/apiserver-etcd-client.key",
        "etcd-servers=https://127.0.0.1:2379",
        f"kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
        f"kubelet-client-key={PKI}/apiserver-kubelet-client.key",
        "kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        f"proxy-client-cert-file={PKI}/front-proxy-client.crt",
        f"proxy-client-key-file={PKI}/front-proxy-client.key",
        "requestheader-allowed-names=front-proxy-client",
        f"requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        "requestheader-extra-headers-prefix=X-Remote-Extra-",
        "requestheader-group-headers=X-Remote-Group",
        "requestheader-username-headers=X-Remote-User",
        "secure-port=6443",
        "service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"service-account-key-file={PKI}/sa.pub",
        f"service-account-signing-key-file={PKI}/sa.key",
        "service-cluster-ip-range=10.96.0.0/12",
        f"tls-cert-file={PKI}/apiserver.crt",
        f"tls-private-key-file={PKI}/apiserver.key",
    ),
    "kube-controller-manager": (
        "allocate-node-cidrs=true",
        "authentication-kubeconfig=/etc/kubernetes/controller-manager.conf",
        "authorization-kubeconfig=/etc/kubernetes/controller-manager.conf",
        "bind-address=127.0.0.1",
        f"client-ca-file={PKI}/ca.crt",
        "cluster-cidr=10.244.0.0/16",
        f"cluster-signing-cert-file={PKI}/ca.crt",
        f"cluster-signing-key-file={PKI}/ca.key",
        "controllers=*,bootstrapsigner,tokencleaner",
        "kubeconfig=/etc/kubernetes/controller-manager.conf",
        "leader-elect=true",
        f"requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        f"root-ca-file={PKI}/ca.crt",
        f"service-account-private-key-file={PKI}/sa.key",
        "service-cluster-ip-range=10.96.0.0/12",
        "use-service-account-credentials=true",
    ),
    "kube-scheduler": (
        "authentication-kubeconfig=/etc/kubernetes/scheduler.conf",
        "authorization-kubeconfig=/etc/kubernetes/scheduler.conf",
        "bind-address=127.0.0.1",
        "kubeconfig=/etc/kubernetes/scheduler.conf",
        "leader-elect=true",
    ),
    "etcd": (
        "advertise-client-urls=https://{address}:2379",
        f"cert-file={PKI}/etcd/server.crt",
        "client-cert-auth=true",
        "data-dir=/var/lib/etcd",
        "initial-advertise-peer-urls=https://{address}:2380",
        f"key-file={PKI}/etcd/server.key",
        "listen-client-urls=https://127.0.0.1:2379,https://{address}:2379",
        "listen-metrics-urls=http://127.0.0.1:2381",
        "listen-peer-urls=https://{address}:2380",
        "name={node}",
        f"peer-cert-file={PKI}/etcd/peer.crt",
        "peer-client-cert-auth=true",
        f"peer-key-file={PKI}/etcd/peer.key",
        f"peer-trusted-ca-file={PKI}/etcd/ca.crt",
        "snapshot-count=10000",
        f"trusted-ca-file={PKI}/etcd/ca.crt",
    ),
}


@pytest.fixture(scope="session")
def objects(cluster: Cluster) -> dict[tuple[str, str, str], Object]:
    """Kind, namespace, name -> object."""
    kinds = "configmaps,secrets,roles,rolebindings,clusterroles,clusterrolebindings,services,nodes,pods,csr"
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in cluster.get(f"{kinds},daemonsets,deployments,ingressclasses", "-A")["items"]
    }


Objects = dict[tuple[str, str, str], Object]


@pytest.mark.parametrize(("namespace", "name"), sorted(CONFIG_MAPS), ids="/".join)
def test_config_map(objects: Objects, namespace: str, name: str) -> None:
    keys = {key for key in objects["ConfigMap", namespace, name]["data"] if not key.startswith("jws-kubeconfig-")}
    assert keys == CONFIG_MAPS[namespace, name]


def test_cluster_configuration(cluster: Cluster, objects: Objects) -> None:
    text = objects["ConfigMap", SYSTEM, "kubeadm-config"]["data"]["ClusterConfiguration"]
    said = yaml.safe_load(text)
    assert (said["apiVersion"], said["kind"]) == ("kubeadm.k8s.io/v1beta4", "ClusterConfiguration")
    assert said["kubernetesVersion"] == f"v{cluster.variant.version}"
    assert said["clusterName"] == cluster.name
    assert said["networking"] == {
        "dnsDomain": "cluster.local",
        "podSubnet": "10.244.0.0/16",
        "serviceSubnet": "10.96.0.0/12",
    }
    assert said["certificatesDir"] == PKI
    assert said["etcd"]["local"]["dataDir"] == "/var/lib/etcd"
    running = objects["Pod", SYSTEM, f"etcd-{cluster.first}"]["spec"]["containers"][0]["image"]
    assert running == f"registry.k8s.io/etcd:{said['etcd']['local']['imageTag']}"


def test_kubelet_config_is_what_kubelets_have(cluster: Cluster, objects: Objects) -> None:
    """A node that joins by kubeadm gets the same; only what is a host's own is not in it."""
    shared = yaml.safe_load(objects["ConfigMap", SYSTEM, "kubelet-config"]["data"]["kubelet"])
    for name in cluster.names:
        own = yaml.safe_load(cluster.host(name).file("/var/lib/kubelet/config.yaml").content_string)
        assert shared.items() <= own.items()
        alone = {"containerRuntimeEndpoint", "resolvConf", "failCgroupV1"}
        if name not in cluster.workers:
            alone.add("crashLoopBackOff")  # ADR 68
            assert own["crashLoopBackOff"] == {"maxContainerRestartPeriod": "30s"}
        assert set(own) - set(shared) <= alone


def test_cluster_info_can_be_verified_with_the_token(objects: Objects) -> None:
    """As `kubeadm join` does: a detached JWS over the kubeconfig, HS256 with the token's secret, its id as key id."""
    data = objects["ConfigMap", PUBLIC, "cluster-info"]["data"]
    for (kind, _, name), secret in objects.items():
        if kind == "Secret" and name.startswith("bootstrap-token-"):
            values = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
            header, _, signature = data[f"jws-kubeconfig-{values['token-id']}"].split(".")
            signed = f"{header}.{_b64(data['kubeconfig'].encode())}".encode()
            good = hmac.new(values["token-secret"].encode(), signed, hashlib.sha256).digest()
            assert hmac.compare_digest(_b64(good), signature)
            return
    pytest.fail("there is no bootstrap token")


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def test_cluster_info_is_for_everybody(cluster: Cluster, objects: Objects) -> None:
    said = yaml.safe_load(objects["ConfigMap", PUBLIC, "cluster-info"]["data"]["kubeconfig"])
    (one,) = said["clusters"]
    assert one["cluster"]["server"] == f"https://{cluster.address(cluster.first)}:6443"
    assert base64.b64decode(one["cluster"]["certificate-authority-data"]).startswith(b"-----BEGIN CERTIFICATE-----")
    assert not said.get("users")
    api = f"https://{cluster.address(cluster.first)}:6443/api/v1/namespaces"
    with httpx2.Client(verify=False, trust_env=False) as nobody:  # as one who does not know the authority yet
        answer = nobody.get(f"{api}/{PUBLIC}/configmaps/cluster-info")
        assert answer.json()["data"] == objects["ConfigMap", PUBLIC, "cluster-info"]["data"]
        assert nobody.get(f"{api}/{SYSTEM}/configmaps/kubeadm-config").status_code == 403


@pytest.mark.clusters(MAIN, OLDER, BRIDGE)
def test_bootstrap_token(objects: Objects) -> None:
    tokens = [one for one in objects.values() if one.get("type") == "bootstrap.kubernetes.io/token"]
    assert len(tokens) == 1
    values = {key: base64.b64decode(value).decode() for key, value in tokens[0]["data"].items()}
    assert re.fullmatch(r"[a-z0-9]{6}", values["token-id"])
    assert re.fullmatch(r"[a-z0-9]{16}", values["token-secret"])
    assert tokens[0]["metadata"]["name"] == f"bootstrap-token-{values['token-id']}"
    assert tokens[0]["metadata"]["namespace"] == SYSTEM
    assert (values["usage-bootstrap-authentication"], values["usage-bootstrap-signing"]) == ("true", "true")
    assert values["auth-extra-groups"] == JOINING
    left = datetime.fromisoformat(values["expiration"]) - datetime.now(tz=UTC)
    assert timedelta() < left <= timedelta(hours=24)


def test_no_secret_but_the_token(objects: Objects) -> None:
    """No service account's token is kept as a Secret, no certificate is left behind."""
    types = {one["type"] for (kind, *_), one in objects.items() if kind == "Secret"}
    assert types == {"bootstrap.kubernetes.io/token"}


@pytest.mark.parametrize(("namespace", "name"), sorted(BINDINGS), ids="/".join)
def test_binding(objects: Objects, namespace: str, name: str) -> None:
    found = objects["RoleBinding" if namespace else "ClusterRoleBinding", namespace, name]
    subjects = {
        f"{one['namespace']}/{one['name']}" if one["kind"] == "ServiceAccount" else one["name"]
        for one in found["subjects"]
    }
    assert (f"{found['roleRef']['kind']}/{found['roleRef']['name']}", subjects) == BINDINGS[namespace, name]


@pytest.mark.parametrize(("namespace", "name"), sorted(ROLES), ids="/".join)
def test_role(objects: Objects, namespace: str, name: str) -> None:
    (rule,) = objects["Role", namespace, name]["rules"]
    found = (*rule["verbs"], *rule["resources"], *rule["resourceNames"])
    assert (rule["apiGroups"], found) == ([""], ROLES[namespace, name])


@pytest.mark.clusters(MAIN, OLDER, BRIDGE)
def test_nodes(cluster: Cluster, objects: Objects) -> None:
    nodes = {name: one for (kind, _, name), one in objects.items() if kind == "Node"}
    assert sorted(nodes) == sorted(cluster.names)
    for name, node in nodes.items():
        first, labels = name == cluster.first, node["metadata"]["labels"]
        assert {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{cluster.variant.version}"
        assert {"type": "InternalIP", "address": cluster.address(name)} in node["status"]["addresses"]
        assert {key: labels[key] for key in labels if CONTROL_PLANE in key} == ({CONTROL_PLANE: ""} if first else {})
        assert ("node.kubernetes.io/exclude-from-external-load-balancers" in labels) == first
        taints = [f"{one['key']}:{one['effect']}" for one in node["spec"].get("taints", ())]
        assert taints == ([f"{CONTROL_PLANE}:NoSchedule"] if first else [])
        assert re.fullmatch(r"10\.244\.\d+\.0/24", node["spec"]["podCIDR"])


@pytest.mark.clusters(MAIN, OLDER, BRIDGE)
def test_every_request_for_a_certificate_is_answered(cluster: Cluster, objects: Objects) -> None:
    requests = [one for (kind, *_), one in objects.items() if kind == "CertificateSigningRequest"]
    for one in requests:
        assert [condition["type"] for condition in one["status"]["conditions"]] == ["Approved"]
        assert one["status"]["certificate"]
    served = {one["spec"]["username"] for one in requests if one["spec"]["signerName"].endswith("/kubelet-serving")}
    assert served == {f"system:node:{name}" for name in cluster.names}
    joined = [one for one in requests if one["spec"]["signerName"].endswith("/kube-apiserver-client-kubelet")]
    assert len(joined) == len(cluster.workers), "only workers ask: their keys never leave them"
    assert all(one["spec"]["username"].startswith("system:bootstrap:") for one in joined)


@pytest.mark.parametrize("component", sorted(FLAGS))
def test_static_pod(cluster: Cluster, objects: Objects, component: str) -> None:
    pod = objects["Pod", SYSTEM, f"{component}-{cluster.first}"]
    meta, spec = pod["metadata"], pod["spec"]
    assert meta["annotations"]["kubernetes.io/config.source"] == "file"
    assert (meta["labels"]["component"], meta["labels"]["tier"]) == (component, "control-plane")
    assert (spec["hostNetwork"], spec["priorityClassName"]) == (True, "system-node-critical")
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["resources"]["requests"] == REQUESTS[component]
    assert {"startupProbe", "livenessProbe"} <= set(container)
    values = {"node": cluster.first, "address": cluster.address(cluster.first)}
    wanted = {"--" + flag.format(**values) for flag in FLAGS[component]}
    assert wanted <= set(container["command"]), sorted(wanted - set(container["command"]))
    (state,) = pod["status"]["containerStatuses"]
    assert (state["ready"], state["restartCount"]) == (True, 0)


def test_addresses_that_kubeadm_looks_for(cluster: Cluster, objects: Objects) -> None:
    address = cluster.address(cluster.first)
    for component, key, value in (
        ("kube-apiserver", "kube-apiserver.advertise-address.endpoint", f"{address}:6443"),
        ("etcd", "etcd.advertise-client-urls", f"https://{address}:2379"),
    ):
        annotations = objects["Pod", SYSTEM, f"{component}-{cluster.first}"]["metadata"]["annotations"]
        assert annotations[f"kubeadm.kubernetes.io/{key}"] == value


@pytest.mark.clusters(MAIN, OLDER, BRIDGE)
def test_every_pod_runs_and_none_was_restarted(cluster: Cluster) -> None:
    """Static pods count as ready 10 s after their start at the earliest: kubeadm's startup probe begins then."""

    def containers() -> dict[str, dict[str, Any]]:
        pods = cluster.get("pods", "-A")["items"]
        return {pod["metadata"]["name"]: one for pod in pods for one in pod["status"].get("containerStatuses", [{}])}

    wait_until(
        lambda: all(one.get("ready") for one in containers().values()),
        why=lambda: str({name: one for name, one in containers().items() if not one.get("ready")}),
    )
    assert {name: one["lastState"] for name, one in containers().items() if one["restartCount"]} == {}


def test_services(objects: Objects) -> None:
    assert objects["Service", "default", "kubernetes"]["spec"]["clusterIP"] == "10.96.0.1"
    dns = objects["Service", SYSTEM, "kube-dns"]
    assert dns["spec"]["clusterIP"] == "10.96.0.10"
    assert dns["spec"]["selector"] == {"k8s-app": "kube-dns"}
    ports = {(one["name"], one["protocol"], one["port"]) for one in dns["spec"]["ports"]}
    assert ports == {("dns", "UDP", 53), ("dns-tcp", "TCP", 53), ("metrics", "TCP", 9153)}


def test_addons(cluster: Cluster, objects: Objects) -> None:
    version = f"v{cluster.variant.version}"
    proxy = objects["DaemonSet", SYSTEM, "kube-proxy"]
    assert proxy["spec"]["template"]["spec"]["containers"][0]["image"] == f"registry.k8s.io/kube-proxy:{version}"
    assert proxy["status"]["numberReady"] == len(cluster.names)
    assert objects["Deployment", SYSTEM, "coredns"]["status"]["readyReplicas"] == 2
    assert objects["DaemonSet", "kube-flannel", "kube-flannel-ds"]["status"]["numberReady"] == len(cluster.names)
    assert objects["DaemonSet", "traefik", "traefik"]["status"]["numberReady"] == len(cluster.workers)
    assert objects["IngressClass", "", "traefik"]["spec"]["controller"] == "traefik.io/ingress-controller"


def test_kube_proxy_mode_is_said(objects: Objects) -> None:
    """Its default changes with 1.40; what is not said would then change with the upgrade."""
    text = objects["ConfigMap", SYSTEM, "kube-proxy"]["data"]["config.conf"]
    assert yaml.safe_load(text)["mode"] == "iptables"


def test_nothing_is_in_the_default_namespace(cluster: Cluster) -> None:
    assert json.loads(cluster.kubectl("get", "all", "-n", "default", "-o", "json"))["items"][0]["metadata"]["name"] == (
        "kubernetes"
    )
