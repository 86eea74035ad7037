"""What kubeadm expects on hosts: files, units, ports, processes, each by a table that is written down here anew.

Source: kubeadm's documentation and sources of 1.34 to 1.37 (cmd/kubeadm/app/constants, phases).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import yaml

from tests.e2e.conftest import BRIDGE, MAIN, OLDER, Cluster, wait_until

pytestmark = pytest.mark.clusters(MAIN, OLDER)

PKI, CONF, KUBELET = "/etc/kubernetes/pki", "/etc/kubernetes", "/var/lib/kubelet"
FILE, FOLDER, LINK = "f", "d", "l"

PAIRS = (
    *("ca", "apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-ca", "front-proxy-client"),
    *("etcd/ca", "etcd/server", "etcd/peer", "etcd/healthcheck-client"),
)
STATIC = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
CONFIGS = ("admin", "super-admin", "controller-manager", "scheduler", "kubelet")

EVERYWHERE = {
    CONF: (FOLDER, 0o755),
    PKI: (FOLDER, 0o755),
    f"{PKI}/ca.crt": (FILE, 0o644),
    f"{CONF}/manifests": (FOLDER, 0o700),
    f"{CONF}/kubelet.conf": (FILE, 0o600),
    KUBELET: (FOLDER, None),
    f"{KUBELET}/config.yaml": (FILE, 0o644),
    f"{KUBELET}/instance-config.yaml": (FILE, 0o644),
    f"{KUBELET}/kubeadm-flags.env": (FILE, 0o644),
    f"{KUBELET}/pki": (FOLDER, None),
    f"{KUBELET}/pki/kubelet-client-current.pem": (LINK, None),
    f"{KUBELET}/pki/kubelet-server-current.pem": (LINK, None),
    "/etc/systemd/system/kubelet.service": (FILE, 0o644),
    "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf": (FILE, 0o644),
    "/etc/systemd/system/containerd.service": (FILE, 0o644),
    "/etc/containerd/config.toml": (FILE, 0o644),
    "/etc/cni/net.d": (FOLDER, 0o755),
    "/opt/cni/bin": (FOLDER, 0o755),
    **{f"/opt/cni/bin/{name}": (LINK, None) for name in ("bridge", "flannel", "host-local", "loopback", "portmap")},
    **{f"/usr/local/bin/{name}": (LINK, None) for name in ("kubelet", "kubeadm", "kubectl", "containerd", "runc")},
    "/usr/local/bin/containerd-shim-runc-v2": (LINK, None),
    "/etc/sysctl.d/90-kubeforge.conf": (FILE, 0o644),
    "/etc/modules-load.d/kubeforge.conf": (FILE, 0o644),
    "/etc/hosts": (FILE, 0o644),
}
CONTROL_PLANE = {
    **{f"{PKI}/{name}.crt": (FILE, 0o644) for name in PAIRS},
    **{f"{PKI}/{name}.key": (FILE, 0o600) for name in PAIRS},
    f"{PKI}/etcd": (FOLDER, 0o755),
    f"{PKI}/sa.key": (FILE, 0o600),
    f"{PKI}/sa.pub": (FILE, 0o644),
    **{f"{CONF}/{name}.conf": (FILE, 0o600) for name in CONFIGS},
    **{f"{CONF}/manifests/{name}.yaml": (FILE, 0o600) for name in STATIC},
    "/var/lib/etcd": (FOLDER, 0o700),
    "/var/lib/etcd/member": (FOLDER, 0o700),
    "/usr/local/bin/etcd": (LINK, None),
    "/usr/local/bin/etcdctl": (LINK, None),
    "/usr/local/bin/etcdutl": (LINK, None),
}
# Everything below /etc/kubernetes is of the contract: nothing else may be there.
ON_WORKERS = {path for path in EVERYWHERE if path.startswith(f"{CONF}/")}
ON_CONTROL_PLANES = {path for path in (*EVERYWHERE, *CONTROL_PLANE) if path.startswith(f"{CONF}/")}

OPEN_EVERYWHERE = {"*:10250", "*:10256", "127.0.0.1:10248", "127.0.0.1:10249"}
OPEN_ON_CONTROL_PLANES = {
    *("*:6443", "127.0.0.1:10257", "127.0.0.1:10259"),
    *("127.0.0.1:2379", "{address}:2379", "{address}:2380", "127.0.0.1:2381"),
}


@dataclass(frozen=True)
class Entry:
    """What is at a path."""

    kind: str
    mode: int
    owner: str
    target: str


Trees = dict[str, dict[str, Entry]]


@pytest.fixture(scope="session")
def trees(cluster: Cluster) -> Trees:
    """Host -> path -> what is there, of everything that the contract may be about."""
    script = (
        "find /etc/kubernetes /etc/systemd/system /etc/containerd /etc/cni /etc/sysctl.d /etc/modules-load.d /etc/hosts"
        f" /opt/cni /usr/local/bin {KUBELET} /var/lib/etcd -path {KUBELET}/pods -prune"
        " -o -printf '%p\\t%y\\t%m\\t%u:%g\\t%l\\n' 2>/dev/null || :"
    )
    return {name: dict(map(_entry, cluster.sh(name, script).splitlines())) for name in cluster.names}


def _entry(line: str) -> tuple[str, Entry]:
    path, kind, mode, owner, target = line.split("\t")
    return path, Entry(kind, int(mode, 8), owner, target)


@pytest.mark.parametrize("path", sorted(EVERYWHERE))
def test_path_on_every_host(cluster: Cluster, trees: Trees, path: str) -> None:
    for name in cluster.names:
        check(trees, name, path, *EVERYWHERE[path])


@pytest.mark.parametrize("path", sorted(CONTROL_PLANE))
def test_path_on_control_planes(cluster: Cluster, trees: Trees, path: str) -> None:
    check(trees, cluster.first, path, *CONTROL_PLANE[path])


def check(trees: Trees, name: str, path: str, kind: str, mode: int | None) -> None:
    found = trees[name].get(path)
    assert found is not None, f"{name} has no {path}"
    assert (found.kind, found.owner) == (kind, "root:root"), f"{name}: {path}"
    if mode is not None:
        assert found.mode == mode, f"{name}: {path} is {found.mode:o}"
    elif kind != LINK:
        assert not found.mode & 0o022, f"{name}: others may write {path}"


def test_nothing_else_is_below_etc_kubernetes(cluster: Cluster, trees: Trees) -> None:
    """So no bootstrap-kubelet.conf either: it goes once the node has joined. And workers hold no key but their own."""
    for name in cluster.names:
        found = {path for path in trees[name] if path.startswith(f"{CONF}/")}
        assert found == (ON_CONTROL_PLANES if name == cluster.first else ON_WORKERS), name


@pytest.mark.clusters(MAIN, OLDER, BRIDGE)
def test_private_keys_are_roots_alone(cluster: Cluster) -> None:
    """Wherever they are: certificates, kubeconfigs, what kubeforge keeps of earlier states."""
    script = (
        "grep -rlE 'PRIVATE KEY|client-key-data' /etc /var/lib/kubelet/pki /var/lib/kubeforge /opt /root /tmp /run"
        " --exclude-dir=k8s.io --exclude-dir=store 2>/dev/null"
        " | grep -vE '^/(etc/ssh/|etc/ssl/|run/containerd/)' | xargs -r stat -c '%a %U %n'"
    )
    for name in cluster.names:
        listed = cluster.sh(name, script).splitlines()
        assert len(listed) >= (16 if name == cluster.first else 2), listed
        assert [line for line in listed if not re.match(r"[46]00 root ", line)] == [], name


def test_programs_are_links_into_the_store(cluster: Cluster, trees: Trees) -> None:
    """And everybody may run them: kubectl is for more than root."""
    for name in cluster.names:
        for path, found in trees[name].items():
            if path.startswith(("/usr/local/bin/", "/opt/cni/bin/")) and found.kind == LINK:
                assert re.fullmatch(r"/var/lib/kubeforge/store/sha256/[0-9a-f]{64}", found.target), path
        assert cluster.host(name).run("setpriv --reuid=nobody /usr/local/bin/kubectl version --client").rc == 0, name


@pytest.mark.parametrize("unit", ["containerd", "kubelet"])
def test_unit_runs_and_is_enabled(cluster: Cluster, unit: str) -> None:
    for name in cluster.names:
        service = cluster.host(name).service(unit)
        assert service.is_running, name
        assert service.is_enabled, name
        assert cluster.sh(name, f"systemctl show -p NRestarts --value {unit}").strip() == "0", name


def test_no_unit_has_failed(cluster: Cluster) -> None:
    for name in cluster.names:
        assert cluster.sh(name, "systemctl list-units --failed --plain --no-legend") == "", name


def test_ports(cluster: Cluster) -> None:
    """Exactly these: whatever speaks plainly, or to everybody without need, is on loopback."""
    for name in cluster.names:
        expected = OPEN_EVERYWHERE | (OPEN_ON_CONTROL_PLANES if name == cluster.first else set())
        wanted = {one.format(address=cluster.address(name)) for one in expected}
        rows = [line.split() for line in cluster.sh(name, "ss -Hltnp").splitlines()]
        # sshd is the host's own; containerd's port is for streams to the kubelet, on loopback, any free one
        listening = {row[3] for row in rows if not re.search(r'"(sshd|containerd)"', " ".join(row[5:]))}
        assert listening == wanted, name
        others = [row[3] for row in rows if '"containerd"' in " ".join(row[5:])]
        assert all(one.startswith("127.0.0.1:") for one in others), name


def test_flannel_speaks_vxlan(cluster: Cluster) -> None:
    for name in cluster.names:
        assert cluster.host(name).socket("udp://0.0.0.0:8472").is_listening, name
        assert cluster.host(name).interface("cni0").exists or name == cluster.first


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("staticPodPath", "/etc/kubernetes/manifests"),
        ("clusterDNS", ["10.96.0.10"]),
        ("clusterDomain", "cluster.local"),
        ("authentication.x509.clientCAFile", "/etc/kubernetes/pki/ca.crt"),
        ("authentication.anonymous.enabled", False),
        ("authentication.webhook.enabled", True),
        ("authorization.mode", "Webhook"),
        ("healthzBindAddress", "127.0.0.1"),
        ("healthzPort", 10248),
        ("rotateCertificates", True),
        ("serverTLSBootstrap", True),
        ("cgroupDriver", "systemd"),
        ("containerRuntimeEndpoint", "unix:///run/containerd/containerd.sock"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:1].isalpha() else "",
)
def test_kubelet_configuration(cluster: Cluster, where: str, said: Any) -> None:
    for name in cluster.names:
        value = yaml.safe_load(cluster.host(name).file(f"{KUBELET}/config.yaml").content_string)
        for part in where.split("."):
            value = value[part]
        assert value == said, name


def test_kubelet_reads_kubeadms_files(cluster: Cluster) -> None:
    for name in cluster.names:
        host = cluster.host(name)
        instance = yaml.safe_load(host.file(f"{KUBELET}/instance-config.yaml").content_string)
        assert instance["containerRuntimeEndpoint"] == "unix:///run/containerd/containerd.sock"
        flags = host.file(f"{KUBELET}/kubeadm-flags.env").content_string
        assert flags.startswith('KUBELET_KUBEADM_ARGS="')
        (process,) = host.process.filter(comm="kubelet")
        for word in (
            "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
            "--kubeconfig=/etc/kubernetes/kubelet.conf",
            "--config=/var/lib/kubelet/config.yaml",
            *flags.partition('"')[2].strip().rstrip('"').split(),
        ):
            assert word in process.args.split(), name
        assert "pod-infra-container-image" not in process.args, "the kubelet of 1.35 and newer refuses it"


@pytest.mark.parametrize(
    ("url", "on"),
    [
        ("https://{address}:6443/livez", "first"),
        ("https://{address}:6443/readyz", "first"),
        ("http://{address}:10256/healthz", "all"),
    ],
)
def test_health_from_outside(cluster: Cluster, url: str, on: str) -> None:
    for name in cluster.names if on == "all" else [cluster.first]:
        answer = httpx2.get(url.format(address=cluster.address(name)), verify=False, trust_env=False)
        assert answer.status_code == 200, f"{name}: {answer.text}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:10248/healthz", "http://127.0.0.1:2381/health"])
def test_health_from_within(cluster: Cluster, url: str) -> None:
    port, _, path = url.removeprefix("http://127.0.0.1:").partition("/")
    for name in cluster.names if port == "10248" else [cluster.first]:
        request = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET /{path} HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3"
        assert " 200 OK" in cluster.host(name).run(f'timeout 5 bash -c "{request}"').stdout, name


@pytest.mark.parametrize(
    ("key", "value"),
    [("net.ipv4.ip_forward", 1), ("net.bridge.bridge-nf-call-iptables", 1)],
)
def test_kernel_parameters(cluster: Cluster, key: str, value: int) -> None:
    for name in cluster.names:
        assert cluster.host(name).sysctl(key) == value, name


def test_no_swap(cluster: Cluster) -> None:
    """Hosts of the lab share the machine's memory: there is none, or kubeforge would have turned it off."""
    for name in cluster.names:
        assert len(cluster.host(name).file("/proc/swaps").content_string.splitlines()) == 1, name


def test_etcd_is_healthy_and_its_member_is_settled(cluster: Cluster) -> None:
    """With `initial-cluster-state=new` a member that lost its data would boot as a cluster of one."""
    manifest = cluster.host(cluster.first).file(f"{CONF}/manifests/etcd.yaml").content_string
    assert "--initial-cluster-state=existing" in manifest
    flags = " ".join(
        f"--{name} {PKI}/etcd/{file}"
        for name, file in (("cacert", "ca.crt"), ("cert", "healthcheck-client.crt"), ("key", "healthcheck-client.key"))
    )
    told = cluster.sh(cluster.first, f"etcdctl {flags} endpoint health 2>&1; etcdctl {flags} member list")
    assert "is healthy" in told
    assert f", started, {cluster.first}, https://{cluster.address(cluster.first)}:2380," in told


def test_every_image_is_there_before_it_is_needed(cluster: Cluster) -> None:
    """Nothing was pulled: no host of the lab reaches a registry."""
    wanted = {image for pod in cluster.get("pods", "-A")["items"] for image in _images(pod)}
    found = {image for name in cluster.names for image in cluster.sh(name, "ctr -n k8s.io images ls -q").split()}
    assert wanted <= found
    assert any(image.startswith(f"registry.k8s.io/kube-apiserver:v{cluster.variant.version}") for image in wanted)


def _images(pod: dict[str, Any]) -> list[str]:
    return [one["image"] for one in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))]


def test_hosts_know_each_other(cluster: Cluster) -> None:
    for name in cluster.names:
        for other in cluster.names:
            assert cluster.host(name).run(f"getent hosts {other}").stdout.split()[0] == cluster.address(other)


def test_pods_are_in_the_slices_of_kubernetes(cluster: Cluster) -> None:
    """The kubelet and containerd agree on systemd as cgroup driver."""
    wait_until(
        lambda: "kubepods-burstable-pod" in cluster.sh(cluster.first, "systemctl list-units --plain --no-legend"),
        seconds=5,
    )
