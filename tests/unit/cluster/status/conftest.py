"""A small cluster for `status` to look at: hosts in memory that answer its script, an API server on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import ConnectionFailed
from kubeforge.pki.certificates import Request, Usage
from kubeforge.pki.issue import Authority, Issued, authority, leaf, new_keys
from kubeforge.pki.kubeconfigs import with_certificate
from kubeforge.secret import Secret
from kubeforge.spec import paths
from kubeforge.spec.addresses import dns_ip, service_ip
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.transport.base import ByteSocket, Completed
from kubeforge.transport.memory import MemoryHost
from tests.conftest import Sample, make_sample
from tests.unit.small_dns import behind, dns_server

NOW = datetime.now(tz=UTC)
READY = [{"type": "Ready", "status": "True"}]
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def make_authority(name: str) -> Authority:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    return authority(Request(common_name=name, authority=True), key, days=3650, now=NOW)


def issue(ca: Authority, usage: Usage, *names: str, addresses: tuple[str, ...] = (), days: int = 365) -> Issued:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    request = Request(common_name="x", usages=(usage,), names=names, addresses=addresses)
    return leaf(request, key, ca, days=days, now=NOW)


class ApiServer:
    """Answers GETs from `answers`; anything else is not found. `ready` is its health; `refused` a status for all."""

    def __init__(self, folder: Path, served: Issued, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.ready: tuple[int, str] = (200, "ok")
        self.refused = 0
        pem = folder / "server.pem"
        pem.write_bytes(served.certificate + served.key.reveal())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                status, said = outer.ready if path in ("/readyz", "/livez", "/healthz") else (200, "")
                if outer.refused:
                    status, said = outer.refused, json.dumps({"kind": "Status", "code": outer.refused, "message": "no"})
                elif not said:
                    status = 200 if path in outer.answers else 404
                    found = outer.answers.get(path, {"kind": "Status", "code": 404, "message": path})
                    said = found if isinstance(found, str) else json.dumps(found)
                body = said.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name for it
                pass

        return Handler

    def open(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.server_port), timeout=5)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Asked(MemoryHost):
    """A host that answers the script of `status` with `parts`, and has an administrator's kubeconfig or not."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.parts: dict[str, str] = {}
        self.kubeconfig: Secret | None = None
        self.seconds = 0.0

    def run(self, argv: Sequence[str], **_: Any) -> Completed:
        if self.unreachable:
            raise ConnectionFailed(f"no answer from {self.host}", host=self.host, step="connect")
        self.ran.append(tuple(argv))
        if paths.ADMIN_CONF in argv and "--" not in argv:
            found = self.kubeconfig
            return Completed(66) if found is None else Completed(0, found.reveal())
        word = argv[4]
        told = "".join(f"\n{word} {name}\n{body}\n" for name, body in {**self.parts, "end": ""}.items())
        return Completed(0, told.encode())

    def open_tunnel(self, host: str, port: int) -> ByteSocket:
        if self.unreachable:
            raise ConnectionFailed(f"no answer from {self.host}", host=self.host, step="connect")
        opener = self.tunnels.get((host, port))
        if opener is None:
            raise ConnectionFailed(f"no tunnel to {host} port {port}", host=self.host, step="tunnel")
        return opener()


@dataclass
class World:
    """Hosts, and the API server that all control planes share."""

    sample: Sample
    ca: Authority
    server: ApiServer
    hosts: dict[str, Asked] = field(default_factory=dict)

    def remote(self, name: str) -> Asked:
        host = self.hosts[name]
        if host.unreachable:
            raise ConnectionFailed(f"no answer from {name}", host=name, step="connect", remedy="see that it is up")
        return host

    def stop_api(self) -> None:
        """No API server listens any more, on any host."""
        for host in self.hosts.values():
            host.tunnels = {key: opener for key, opener in host.tunnels.items() if key[1] != paths.API_PORT}
            host.parts["processes"] = host.parts["processes"].replace("kube-apiserver\n", "")

    def lose_quorum(self, *alive: str) -> None:
        """Only these members still run, and know no leader."""
        self.stop_api()
        for name, host in self.hosts.items():
            if name in alive:
                host.parts["etcd"] = status_of(name, leader=0)
            elif "etcd" in host.parts:
                host.parts["etcd"] = "Failed to get the status of endpoint (context deadline exceeded)\nnull"
                host.parts["processes"] = host.parts["processes"].replace("etcd\n", "")
            host.parts.pop("members", None)


def identity(name: str) -> int:
    return 0xA0 + int(name[2:])


def status_of(name: str, **changes: Any) -> str:
    said = {"header": {"member_id": identity(name)}, "version": "3.6.16", "dbSize": 4096, "dbSizeInUse": 4096}
    said |= {"leader": identity("cp1"), "raftIndex": 9, "raftAppliedIndex": 9, "dbSizeQuota": 1 << 31, **changes}
    return json.dumps([{"Endpoint": "x", "Status": said}])


def objects(sample: Sample) -> dict[str, Any]:
    """Return what an API server answers, by path."""
    planes = [host.name for host in sample.inventory.control_planes]
    nodes = [
        {
            "metadata": {
                "name": host.name,
                "labels": {"node-role.kubernetes.io/control-plane": ""} if host.name in planes else {},
            },
            "spec": {},
            "status": {
                "conditions": READY,
                "nodeInfo": {"kubeletVersion": "v1.36.3"},
                "addresses": [{"type": "InternalIP", "address": host.address}],
            },
        }
        for host in sample.inventory.cluster
    ]
    pods = [
        {
            "metadata": {"name": f"{one}-{plane}", "namespace": "kube-system", "labels": {"component": one}},
            "spec": {"nodeName": plane, "containers": [{"image": f"registry.k8s.io/{one}:v1.36.3"}]},
            "status": {"containerStatuses": [{"ready": True, "restartCount": 0}]},
        }
        for plane in planes
        for one in COMPONENTS
    ]
    time = "2026-11-21T16:00:00.000000Z"
    leases = [
        {"metadata": {"name": one}, "spec": {"holderIdentity": f"{planes[0]}_2f0e", "renewTime": time}}
        for one in COMPONENTS[1:]
    ]

    def workload(kind: str, image: str) -> dict[str, Any]:
        template = {"spec": {"containers": [{"image": image}]}}
        counts = {"desiredNumberScheduled": len(nodes), "numberReady": len(nodes), "readyReplicas": 2}
        return {"kind": kind, "metadata": {}, "spec": {"replicas": 2, "template": template}, "status": counts}

    daemons = "/apis/apps/v1/namespaces/{}/daemonsets/{}"
    return {
        "/version": {"gitVersion": "v1.36.3"},
        "/api/v1/nodes": {"items": nodes},
        "/api/v1/namespaces/kube-system/pods": {"items": pods},
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases": {"items": leases},
        "/apis/certificates.k8s.io/v1/certificatesigningrequests": {"items": []},
        "/api/v1/namespaces/kube-system/secrets": {"items": None},  # as it says of none
        daemons.format("kube-system", "kube-proxy"): workload("DaemonSet", "k/kube-proxy:v1.36.3"),
        daemons.format("kube-flannel", "kube-flannel-ds"): workload("DaemonSet", "k/flannel:v0.28"),
        "/apis/apps/v1/namespaces/kube-system/deployments/coredns": workload("Deployment", "k/coredns:v1.14.2"),
    }


def host_of(world: World, name: str) -> Asked:
    """Return a host of the cluster, as it is when all is well."""
    sample, ca, server = world.sample, world.ca, world.server
    plane = name in [host.name for host in sample.inventory.control_planes]
    first = sample.first.address
    host = Asked(name)
    config = f"    server: https://{first}:6443\n    certificate-authority-data: {b64encode(ca.certificate).decode()}\n"
    units = ("kubelet.service", "containerd.service")
    host.parts = {
        "units": "\n\n".join(f"Id={unit}\nActiveState=active" for unit in units),
        "manifests": "".join(f"{one}.yaml\n" for one in (*COMPONENTS, "etcd")) if plane else "",
        "processes": "".join(f"{one[:15]}\n" for one in (*COMPONENTS, "etcd")) if plane else "systemd\n",
        "clocks": "500.25 1763741000",
        "note": "",
        f"certificate {paths.PKI}/ca.crt": ca.certificate.decode(),
        f"kubeconfig {paths.KUBELET_CONF}": config,
    }
    spec = sample.spec
    resolver = behind(dns_server(service_ip(spec, 1)))
    host.tunnels = {(first, 6443): server.open, (dns_ip(spec), 53): resolver}
    if plane:
        admin = issue(ca, Usage.CLIENT)
        host.kubeconfig = with_certificate(
            cluster="demo", server=f"{first}:6443", ca=ca.certificate, name="admin", issued=admin
        )
        host.parts |= {"etcd": status_of(name), "members": members_of(sample)}
        host.tunnels |= {("127.0.0.1", port): server.open for port in (6443, 10257, 10259)}
    return host


def members_of(sample: Sample) -> str:
    rows = [
        {"ID": identity(host.name), "name": host.name, "peerURLs": [f"https://{host.address}:2380"]}
        for host in sample.inventory.etcd_members
    ]
    return json.dumps({"header": {}, "members": rows})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Return the maker of clusters: arguments as for `make_sample`."""
    made: list[World] = []

    def make(**arguments: Any) -> World:
        sample = make_sample(**{"control_planes": 3, "workers": 1, "endpoint": {"kind": "first"}, **arguments})
        ca = make_authority("kubernetes")
        addresses = tuple(host.address for host in sample.inventory.control_planes)
        served = issue(ca, Usage.SERVER, "kubernetes", addresses=addresses)
        one = World(sample, ca, ApiServer(tmp_path, served, objects(sample)))
        made.append(one)
        one.hosts = {name: host_of(one, name) for name in sample.inventory.hosts}
        return one

    yield make
    for one in made:
        one.server.close()
