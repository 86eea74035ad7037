"""kubeadm as the other contender: scripted as well as its documentation allows, on hosts that are prepared already.

`plain` is kubeadm with its defaults: workers joined in parallel, further control planes meanwhile and one after the
other, as etcd takes one learner at a time. `tuned` is what a patient person gets out of it by hand: the controller
manager's client limits raised, leader election retried quickly, workers handed a discovery file instead of polling for
the token's signature, the pod network applied as soon as the API answers.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from kubeforge.addons import flannel
from kubeforge.addons.model import Cluster
from kubeforge.inventory.loader import load as load_inventory
from kubeforge.lab import Lab
from kubeforge.manifests import kubelet as kubelet_files
from kubeforge.spec import paths
from kubeforge.spec.loader import load as load_spec
from kubeforge.spec.model import Endpoint, EndpointKind
from kubeforge.spec.releases import release

KUBEADM_YAML = "/root/kubeadm.yaml"
TOKEN = "abcdef.0123456789abcdef"  # a lab's, for minutes
CERTIFICATE_KEY = "0123456789abcdef" * 4  # the same
TUNING = [
    {"name": "kube-api-qps", "value": "1000"},
    {"name": "kube-api-burst", "value": "2000"},
    {"name": "leader-elect-retry-period", "value": "250ms"},
]


def write_units(lab: Lab) -> None:
    """The kubelet's unit and drop-in, as kubeadm's packages bring them; the same files for every contender."""
    for host in lab.hosts:
        folder = paths.KUBELET_DROP_IN.rpartition("/")[0]
        host.run(["mkdir", "-p", folder, paths.MANIFESTS])
        for path, text in (
            (paths.KUBELET_UNIT, kubelet_files.unit()),
            (paths.KUBELET_DROP_IN, kubelet_files.drop_in()),
        ):
            host.run(["tee", path], stdin=text)
        host.run(["systemctl", "daemon-reload"])


def config(lab: Lab, *, tuned: bool) -> str:
    """InitConfiguration and friends, with what hosts in namespaces need."""
    version = yaml.safe_load((lab.inventory / "cluster.yml").read_text())["kubernetes"]
    row = release(version.rpartition(".")[0])
    registration = {"criSocket": paths.CRI_ENDPOINT, "ignorePreflightErrors": ["all"]}
    api = {"apiVersion": "kubeadm.k8s.io/v1beta4"}
    documents: list[dict[str, Any]] = [
        {
            **api,
            "kind": "InitConfiguration",
            "bootstrapTokens": [{"token": TOKEN, "ttl": "1h0m0s"}],
            "localAPIEndpoint": {"advertiseAddress": lab.host("cp1").address},
            "nodeRegistration": registration,
            "certificateKey": CERTIFICATE_KEY,
        },
        {
            **api,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{version}",
            # no balancer: whatever one costs is in kubeforge's figure only
            "controlPlaneEndpoint": f"{lab.host('cp1').address}:{paths.API_PORT}",
            "networking": {"podSubnet": "10.244.0.0/16"},
            "etcd": {"local": {"imageTag": f"{row.etcd}-0"}},
            "dns": {"imageTag": f"v{row.coredns}"},
            "controllerManager": {"extraArgs": TUNING if tuned else []},
        },
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "evictionHard": {"imagefs.available": "1%", "nodefs.available": "1%"},
        },
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "conntrack": {"maxPerCore": 0},
        },
    ]
    return "---\n".join(yaml.safe_dump(document) for document in documents)


def pod_network(lab: Lab) -> str:
    """Our own flannel objects, so that all contenders run the same network."""
    inventory = load_inventory(lab.inventory)
    spec = load_spec(lab.inventory, inventory).model_copy(update={"endpoint": Endpoint(kind=EndpointKind.FIRST)})
    images = {"flannel": f"ghcr.io/flannel-io/flannel:v{release(spec.minor).flannel}"}
    objects = flannel.objects(Cluster(spec=spec, inventory=inventory, facts={}, images=images))
    return "---\n".join(yaml.safe_dump(item) for item in objects)


def plain(lab: Lab) -> None:
    """Init, pod network, then all workers at once by token."""
    plane = lab.host("cp1")
    objects = pod_network(lab)
    plane.run(["tee", KUBEADM_YAML], stdin=config(lab, tuned=False))
    plane.run(["kubeadm", "init", "--upload-certs", f"--config={KUBEADM_YAML}"])
    kubectl(lab, "apply", "-f", "-", stdin=objects)
    everywhere(lab, plane.run(["kubeadm", "token", "create", "--print-join-command"]).stdout.split())


def tuned(lab: Lab) -> None:
    """The pod network as soon as the API answers; workers by a discovery file, as soon as init has ended."""
    plane = lab.host("cp1")
    objects = pod_network(lab)
    plane.run(["tee", KUBEADM_YAML], stdin=config(lab, tuned=True))
    with ThreadPoolExecutor(1) as pool:
        init = pool.submit(plane.run, ["kubeadm", "init", "--upload-certs", f"--config={KUBEADM_YAML}"])
        while not init.done():
            if kubectl(lab, "apply", "-f", "-", stdin=objects, check=False):
                break
            time.sleep(0.2)
        init.result()
    discovery = kubectl_output(lab, "get", "configmap", "cluster-info", "-n", "kube-public", "-o", "json")
    for host in lab.hosts[1:]:
        host.run(["tee", "/root/discovery.conf"], stdin=json.loads(discovery)["data"]["kubeconfig"])
    everywhere(lab, ["kubeadm", "join", "--discovery-file=/root/discovery.conf", f"--tls-bootstrap-token={TOKEN}"])


def everywhere(lab: Lab, join: list[str]) -> None:
    """Join all workers at the same time, and control planes one after the other meanwhile."""
    words = [*join, "--ignore-preflight-errors=all"]
    control = ["--control-plane", f"--certificate-key={CERTIFICATE_KEY}"]

    def join_planes() -> None:
        for host in lab.hosts[1:]:
            if host.role != "worker":
                host.run([*words, *control, f"--apiserver-advertise-address={host.address}"])

    with ThreadPoolExecutor(8) as pool:
        joining = [pool.submit(host.run, words) for host in lab.hosts if host.role == "worker"]
        join_planes()
        for one in joining:
            one.result()


def kubectl(lab: Lab, *words: str, stdin: str | None = None, check: bool = True) -> bool:
    """Run kubectl on the control plane; say whether it succeeded."""
    argv = ["kubectl", f"--kubeconfig={paths.ADMIN_CONF}", *words]
    return lab.host("cp1").run(argv, stdin=stdin, check=check).returncode == 0


def kubectl_output(lab: Lab, *words: str) -> str:
    """What kubectl prints."""
    return lab.host("cp1").run(["kubectl", f"--kubeconfig={paths.ADMIN_CONF}", *words]).stdout
