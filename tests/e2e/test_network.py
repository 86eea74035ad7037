"""What a cluster is for: pods that reach each other and are reached, by Service, NodePort, DNS and ingress.

The pods that ask are Debian's static busybox: its wget needs an address and a port and has no -T; names are nslookup's.
"""

from __future__ import annotations

import base64
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kubeforge.pki.certificates import Request, Usage
from kubeforge.pki.issue import authority, leaf, new_keys
from kubeforge.spec.model import KeyAlgorithm
from tests.e2e.conftest import BRIDGE, MAIN, OLDER, Cluster, wait_until

pytestmark = pytest.mark.clusters(MAIN, OLDER, BRIDGE)

NAME = "hello.example.test"
HELLO = "Hello from a pod of kubeforge"
API, DNS = "10.96.0.1", "10.96.0.10"
DOMAIN = "cluster.local"


def pods(cluster: Cluster, app: str) -> dict[str, dict[str, str]]:
    """Return node -> name and address of its pod."""
    return {
        pod["spec"]["nodeName"]: {"name": pod["metadata"]["name"], "ip": pod["status"]["podIP"]}
        for pod in cluster.get("pods", "-n", "pages", "-l", f"app={app}")["items"]
    }


@pytest.fixture(scope="session")
def askers(cluster: Cluster, pages: str) -> dict[str, str]:
    """Worker -> name of the pod there that asks."""
    return {node: pod["name"] for node, pod in pods(cluster, "asker").items()}


def from_every(cluster: Cluster, askers: dict[str, str], script: str) -> dict[str, str]:
    """Run a script in the pod that asks, on every worker at once."""

    def ask(pod: str) -> str:
        return cluster.kubectl("-n", "pages", "exec", pod, "--", "sh", "-ec", script)

    with ThreadPoolExecutor() as pool:
        return dict(zip(askers, pool.map(ask, askers.values()), strict=True))


def page(url: str, host: str | None = None) -> httpx2.Response:
    """Ask from this machine, which is no part of the cluster."""
    return httpx2.get(url, headers={"Host": host} if host else {}, trust_env=False, timeout=5)


def test_pods_run_on_workers_only(cluster: Cluster, pages: str) -> None:
    assert sorted(pods(cluster, "hello")) == sorted(cluster.workers)


def test_service_by_address(cluster: Cluster, askers: dict[str, str]) -> None:
    address = cluster.get("service", "hello", "-n", "pages")["spec"]["clusterIP"]
    for node, said in from_every(cluster, askers, f"timeout 10 wget -qO- http://{address}:80/").items():
        assert HELLO in said, node


def test_service_from_every_host(cluster: Cluster, pages: str) -> None:
    """Hosts, the control plane too, use Services as pods do: the API server calls webhooks so."""
    address = cluster.get("service", "hello", "-n", "pages")["spec"]["clusterIP"]
    for name in cluster.names:
        assert HELLO in cluster.sh(name, _fetch(address, 80)), name


def test_dns_from_a_pod_on_every_worker(cluster: Cluster, askers: dict[str, str]) -> None:
    address = cluster.get("service", "hello", "-n", "pages")["spec"]["clusterIP"]
    script = f"""
nslookup kubernetes.default.svc.{DOMAIN} | tail -n +3
nslookup hello.pages.svc.{DOMAIN} | tail -n +3
nslookup {API} | tail -n +3
! nslookup nothing.pages.svc.{DOMAIN}
cat /etc/resolv.conf
"""
    for node, said in from_every(cluster, askers, script).items():
        assert f"Address: {API}" in said or f"Address 1: {API}" in said, f"{node}: {said}"
        assert address in said, f"{node}: {said}"
        assert f"kubernetes.default.svc.{DOMAIN}" in said, f"{node}: {said}"
        assert f"nameserver {DNS}" in said
        assert f"search pages.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}" in said


def test_every_dns_server_answers_every_worker(cluster: Cluster, askers: dict[str, str]) -> None:
    servers = [
        pod["status"]["podIP"] for pod in cluster.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"]
    ]
    assert len(servers) == 2
    script = "\n".join(f"nslookup kubernetes.default.svc.{DOMAIN} {server}" for server in servers)
    from_every(cluster, askers, script)


def test_pods_reach_pods_on_other_nodes(cluster: Cluster, askers: dict[str, str]) -> None:
    addresses = [pod["ip"] for pod in pods(cluster, "hello").values()]
    script = "\n".join(f"timeout 10 wget -qO- http://{address}:8080/" for address in addresses)
    for node, said in from_every(cluster, askers, script).items():
        assert said.count(HELLO) == len(addresses), node
        for name in cluster.workers:
            assert f"node: {name}" in said, f"{node} does not reach {name}"


def test_every_host_reaches_every_pod(cluster: Cluster, pages: str) -> None:
    for name in cluster.names:
        for node, pod in pods(cluster, "hello").items():
            assert HELLO in cluster.sh(name, _fetch(pod["ip"], 8080)), f"{name} to the pod on {node}"


def _fetch(address: str, port: int) -> str:
    """Return a script for a host that has neither curl nor wget."""
    return f"""timeout 10 bash -c 'exec 3<>/dev/tcp/{address}/{port}
printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'"""


def test_service_spreads_requests(cluster: Cluster, pages: str) -> None:
    url = f"http://{cluster.address(cluster.workers[0])}:30080/"
    seen: set[str] = set()

    def is_spread() -> bool:
        seen.update(line for line in page(url).text.splitlines() if line.startswith("node:"))
        return len(seen) == len(cluster.workers)

    wait_until(is_spread, seconds=10, why=lambda: f"only {seen} answered")


def test_node_port_from_outside_on_every_node(cluster: Cluster, pages: str) -> None:
    for name in cluster.names:
        assert HELLO in page(f"http://{cluster.address(name)}:30080/").text, name


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [(NAME, "/shop", 200), (NAME, "/shop/cart", 200), (NAME, "/", 404), ("other.test", "/shop", 404)],
    ids=["path", "below", "other-path", "other-host"],
)
def test_ingress_from_outside(cluster: Cluster, pages: str, host: str, path: str, status: int) -> None:
    for worker in cluster.workers:
        url = f"http://{cluster.address(worker)}{path}"
        wait_until(partial(_answers, url, host, status), seconds=20, why=lambda: page(url, host).text)  # noqa: B023 - called within


def _answers(url: str, host: str, status: int) -> bool:
    answer = page(url, host)
    return answer.status_code == status and (HELLO in answer.text) == (status == 200)


def test_ingress_from_pods(cluster: Cluster, askers: dict[str, str]) -> None:
    script = "\n".join(
        f"timeout 10 wget -qO- --header 'Host: {NAME}' http://{cluster.address(worker)}:80/shop"
        for worker in cluster.workers
    )
    for node, said in from_every(cluster, askers, script).items():
        assert said.count(HELLO) == len(cluster.workers), node


@pytest.fixture(scope="session")
def trusted(cluster: Cluster, pages: str) -> ssl.SSLContext:
    """A certificate for the ingress, by an authority of ours, as a Secret in the cluster; what trusts it."""
    ca_key, key = new_keys(2, KeyAlgorithm.ECDSA_P256)
    now = datetime.now(tz=UTC)
    ca = authority(Request(common_name="a shop's authority", authority=True), ca_key, days=2, now=now)
    issued = leaf(Request(common_name=NAME, usages=(Usage.SERVER,), names=(NAME,)), key, ca, days=1, now=now)
    data = {"tls.crt": issued.certificate, "tls.key": issued.key.reveal()}
    secret: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "hello-tls", "namespace": pages},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(secret))
    return ssl.create_default_context(cadata=ca.certificate.decode())


def test_ingress_with_tls(cluster: Cluster, trusted: ssl.SSLContext) -> None:
    for worker in cluster.workers:
        wait_until(partial(_by_tls, cluster.address(worker), trusted), seconds=20)


def _by_tls(address: str, trusted: ssl.SSLContext) -> bool:
    with httpx2.Client(transport=httpx2.HTTPTransport(verify=trusted), trust_env=False) as client:
        try:
            answer = client.get(f"https://{address}/shop", headers={"Host": NAME}, extensions={"sni_hostname": NAME})
        except httpx2.ConnectError:  # its own certificate, until it has seen the Secret
            return False
    return HELLO in answer.text and "by https" in answer.text


def test_logs(cluster: Cluster, askers: dict[str, str]) -> None:
    """The API server asks each kubelet, and verifies its certificate."""
    for pod in askers.values():
        assert cluster.kubectl("-n", "pages", "logs", pod) == "asker is here\n"
    for component in ("kube-apiserver", "etcd"):
        assert cluster.kubectl("-n", "kube-system", "logs", f"{component}-{cluster.first}", "--tail=1")


def test_exec_hands_over_input_and_exit_code(cluster: Cluster, askers: dict[str, str]) -> None:
    for pod in askers.values():
        argv = ("kubectl", "--", "-n", "pages", "exec", "-i", pod, "--", "sh", "-c", "cat; exit 7")
        assert cluster.forge(*argv, stdin="said\n", code=7).stdout == "said\n"


def test_port_forward(cluster: Cluster, pages: str, tmp_path: Path) -> None:
    """Through two tunnels: SSH to the API server, the API server to the kubelet."""
    with cluster.started("kubectl", "--", "-n", "pages", "port-forward", "service/hello", ":80") as process:
        assert process.stdout
        told = process.stdout.readline()
        assert told.startswith("Forwarding from 127.0.0.1:"), told
        port = told.split(" -> ")[0].rpartition(":")[2]
        assert HELLO in page(f"http://127.0.0.1:{port}/").text
