"""etcd and Kubernetes started as the manifests say, with the certificates made here, fed with all objects.

Everything runs in a network namespace of its own that holds the control plane's address, so it can run beside labs.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kubeforge.addons import registry
from kubeforge.addons.model import Cluster
from kubeforge.documents import dump_all, revealed
from kubeforge.manifests import control_plane, etcd, objects
from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import Identity
from kubeforge.pki.issue import Authority, leaf, new_keys
from kubeforge.pki.tokens import BootstrapToken, new_token, token_secret
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.spec.paths import BOOTSTRAP_KUBELET_CONF, KUBELET_CLIENT_CURRENT, KUBELET_CONF

pytestmark = pytest.mark.lab
ADMIN = "/etc/kubernetes/super-admin.conf"


class Machine:
    """A network namespace with one address, a root folder, and programs that run there."""

    def __init__(self, program: Callable[[str], Path], root: Path, address: str) -> None:
        self.program, self.root = program, root
        # kubeadm wants an interface with a default route.
        steps = (
            "ip link set lo up",
            "ip link add eth0 type veth peer name eth1",
            "ip link set eth0 up",
            "ip link set eth1 up",
            f"ip addr add {address}/24 dev eth0",
            "ip route add default dev eth0",
            "echo up",
            "exec sleep infinity",
        )
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", " && ".join(steps)], stdout=subprocess.PIPE)
        self.running = [self.holder]
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"up\n"
        self.holder.stdout.close()

    def here(self, text: str) -> str:
        return text.replace("/etc/kubernetes", f"{self.root}/etc/kubernetes").replace(
            "/var/lib/etcd", f"{self.root}/etcd"
        )

    def words(self, name: str, *words: str) -> list[str]:
        inside = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", str(self.program(name))]
        return [*inside, *(self.here(word) for word in words)]

    def start(self, pod: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Start what a static pod would run."""
        (container,) = pod["spec"]["containers"]
        name, *flags = container["command"]
        with (self.root / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(self.words(name, *flags), stdout=log, stderr=log, cwd=self.root)
        self.running.append(process)
        return process

    def kubectl(self, *words: str, config: str = ADMIN, given: str | None = None) -> subprocess.CompletedProcess[str]:
        command = self.words("kubectl", "--kubeconfig", config, *words)
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False)

    def asked(self, *words: str) -> str:
        done = self.kubectl(*words)
        return done.stdout if done.returncode == 0 else ""

    def wait(self, name: str, condition: Callable[[], Any], *, seconds: float = 60) -> float:
        """Poll until a condition holds; return how long it took."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                logs = [f"== {log.name}\n" + log.read_text()[-1500:] for log in sorted(self.root.glob("*.log"))]
                pytest.fail(f"{name} did not come true in {seconds:.0f} s\n" + "\n".join(logs))
            time.sleep(0.1)
        return time.monotonic() - began

    def close(self) -> None:
        for process in reversed(self.running):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(version: str, sample: Any) -> Any:
    return sample(version, addons={"ingress": {}}, pki={"algorithm": "ECDSA-P256"})


@pytest.fixture
def authorities() -> dict[str, Authority]:
    return {}


@pytest.fixture
def machine(
    program: Any, tmp_path: Path, cluster: Any, make_pki: Any, authorities: dict[str, Authority]
) -> Iterator[Machine]:
    root = tmp_path / "root"
    files, made = make_pki(cluster)
    authorities |= made
    for path, content in files.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    machine = Machine(program, root, cluster.first.address)
    yield machine
    machine.close()


@pytest.fixture
def token() -> BootstrapToken:
    return new_token()


def serve(machine: Machine, cluster: Any) -> None:
    machine.start(etcd.founding(cluster.spec, cluster.inventory, cluster.first, cluster.images))
    machine.start(control_plane.api_server(cluster.spec, cluster.inventory, cluster.first, cluster.images))
    machine.wait("the API is ready", lambda: machine.asked("get", "--raw", "/readyz") == "ok")


def apply(machine: Machine, documents: list[dict[str, Any]]) -> None:
    """Static pods without their UID: it is for the kubelet, and no client may choose one."""
    for one in documents:
        one["metadata"].pop("uid", None)
    text = dump_all(documents)
    done = machine.kubectl(
        "apply", "--server-side", "--validate=strict", "--field-manager=kubeforge", "-f-", given=text
    )
    assert done.returncode == 0, done.stderr


def everything(cluster: Any, authorities: dict[str, Authority], token: BootstrapToken) -> list[dict[str, Any]]:
    inputs = Cluster(spec=cluster.spec, inventory=cluster.inventory, facts=cluster.facts, images=cluster.images)
    uploaded = objects.cluster_objects(
        cluster.spec, cluster.inventory, cluster.images, ca=authorities["ca"].certificate
    )
    return [*uploaded, revealed(token_secret(token, now=datetime.now(UTC))), *registry.objects(inputs)]


def test_a_cluster_comes_up(
    machine: Machine, cluster: Any, authorities: dict[str, Authority], token: BootstrapToken
) -> None:
    serve(machine, cluster)
    made = everything(cluster, authorities, token)
    apply(machine, made)
    apply(machine, made)
    assert machine.kubectl("auth", "can-i", "*", "*", config="/etc/kubernetes/admin.conf").stdout == "yes\n"
    machine.start(control_plane.controller_manager(cluster.spec, cluster.images))
    machine.start(control_plane.scheduler(cluster.spec, cluster.images))
    signed = f"jws-kubeconfig-{token.id}"
    machine.wait(
        "the bootstrap signer signs cluster-info",
        lambda: signed in machine.asked("-n", "kube-public", "get", "configmap", "cluster-info", "-o", "yaml"),
    )
    machine.wait(
        "the scheduler leads",
        lambda: "kube-scheduler" in machine.asked("-n", "kube-system", "get", "lease", "-o", "name"),
    )
    kubeadm_is_content(machine, cluster, authorities, token)
    a_worker_gets_its_certificate(machine, cluster, authorities, token)


def kubeadm_is_content(
    machine: Machine, cluster: Any, authorities: dict[str, Authority], token: BootstrapToken
) -> None:
    """`token list` and `certs check-expiration` read the cluster as one of kubeadm's: ConfigMaps, Node, annotations."""
    a_kubelet_had_registered(machine, cluster, authorities["ca"])
    told = {}
    for words in (("token", "list"), ("certs", "check-expiration")):
        command = machine.words("kubeadm", *words)
        command[3:3] = ["--rootfs", str(machine.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told[words[0]] = done.stderr + done.stdout
        assert done.returncode == 0, told
        assert "WARNING" not in told[words[0]]
    assert token.id in told["token"]
    assert "Falling back" not in told["certs"], told["certs"]
    assert told["certs"].count("364d") == 11


def a_kubelet_had_registered(machine: Machine, cluster: Any, ca: Authority) -> None:
    """Leave what the kubelet of cp1 would: its kubeconfig by path, its Node, the mirror pod of the API server."""
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    asked = kubeconfigs.kubelet_client(Identity.of(cluster.spec, cluster.inventory, cluster.first))
    issued = leaf(asked, key, ca, days=365, now=datetime.now(UTC))
    pem = machine.root / KUBELET_CLIENT_CURRENT.lstrip("/")
    pem.parent.mkdir(parents=True)
    pem.write_bytes(issued.certificate + issued.key.reveal())
    text = kubeconfigs.kubelet(cluster=cluster.spec.name, server="192.0.2.11:6443", ca=ca.certificate, node="cp1")
    (machine.root / KUBELET_CONF.lstrip("/")).write_bytes(text)
    pod = control_plane.api_server(cluster.spec, cluster.inventory, cluster.first, cluster.images)
    pod["metadata"]["name"] += "-cp1"
    pod["spec"]["nodeName"] = "cp1"
    pod.pop("status")
    apply(machine, [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "cp1"}}, pod])


def a_worker_gets_its_certificate(
    machine: Machine, cluster: Any, authorities: dict[str, Authority], token: BootstrapToken
) -> None:
    """With the token a kubelet's CSR is approved and signed by itself, as RBAC says."""
    config = kubeconfigs.bootstrap(
        cluster=cluster.spec.name, server="192.0.2.11:6443", ca=authorities["ca"].certificate, token=token.text
    )
    (machine.root / BOOTSTRAP_KUBELET_CONF.lstrip("/")).write_bytes(config.reveal())
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    subject = [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, "system:node:w1")]
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    asked = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "w1"},
        "spec": {
            "request": base64.b64encode(request.public_bytes(Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    }
    done = machine.kubectl("create", "-f-", config=BOOTSTRAP_KUBELET_CONF, given=json.dumps(asked))
    assert done.returncode == 0, done.stderr
    path = "-o=jsonpath={.status.certificate}"
    machine.wait("the CSR is signed", lambda: machine.asked("get", "csr", "w1", path))
    issued = x509.load_pem_x509_certificate(base64.b64decode(machine.asked("get", "csr", "w1", path)))
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authorities["ca"].certificate))
    for thing in ("kubeadm-config", "kubelet-config"):
        read = machine.kubectl("-n", "kube-system", "get", "configmap", thing, config=BOOTSTRAP_KUBELET_CONF)
        assert read.returncode == 0, read.stderr
    assert machine.kubectl("get", "pods", "-A", config=BOOTSTRAP_KUBELET_CONF).returncode != 0


def test_a_settled_member_starts_with_its_data_and_refuses_without(machine: Machine, cluster: Any) -> None:
    """kubespray#13261: with `new` (etcd's default) a member that lost its data boots an empty cluster of its own."""

    def health() -> bool:
        folder = "/etc/kubernetes/pki/etcd"
        flags = [f"--cacert={folder}/ca.crt", f"--cert={folder}/healthcheck-client.crt"]
        command = machine.words("etcdctl", *flags, f"--key={folder}/healthcheck-client.key", "endpoint", "health")
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    arguments = (cluster.spec, cluster.first, cluster.images)
    founder = machine.start(etcd.founding(cluster.spec, cluster.inventory, cluster.first, cluster.images))
    machine.wait("etcd is healthy", health)
    founder.kill()
    founder.wait()
    member = machine.start(etcd.settled(*arguments))
    machine.wait("etcd is healthy again", health)
    member.kill()
    member.wait()
    shutil.rmtree(machine.root / "etcd")
    empty = machine.start(etcd.settled(*arguments))
    machine.wait("etcd gives up", lambda: empty.poll() is not None)
    assert empty.returncode != 0


def test_the_api_serves_under_every_name_of_its_certificate(machine: Machine, cluster: Any) -> None:
    serve(machine, cluster)
    config = yaml.safe_load((machine.root / ADMIN.lstrip("/")).read_text())
    config["clusters"][0]["cluster"]["tls-server-name"] = "kubernetes.default.svc.cluster.local"
    (machine.root / "named.conf").write_text(yaml.safe_dump(config))
    assert machine.kubectl("get", "--raw", "/livez", config=str(machine.root / "named.conf")).stdout == "ok"
    config["clusters"][0]["cluster"]["tls-server-name"] = "elsewhere.example.net"
    (machine.root / "named.conf").write_text(yaml.safe_dump(config))
    assert "x509" in machine.kubectl("get", "--raw", "/livez", config=str(machine.root / "named.conf")).stderr
