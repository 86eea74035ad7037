"""What is really broken, `status` names; and the command that it names mends it."""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from kubeforge.pki.certificates import Identity, Request, request, row
from kubeforge.pki.issue import Authority, Issued, authority, leaf, new_keys
from kubeforge.pki.kubeconfigs import user
from kubeforge.pki.verify import fingerprint
from kubeforge.secret import Secret
from kubeforge.spec.model import KeyAlgorithm

pytestmark = pytest.mark.lab

HEALTHY, DEGRADED, DOWN, UNREACHABLE = 0, 1, 16, 11
MANIFESTS, PKI = "/etc/kubernetes/manifests", "/etc/kubernetes/pki"
QUOTA = 16 << 20
ETCDCTL = f"etcdctl --cacert={PKI}/etcd/ca.crt --cert={PKI}/etcd/server.crt --key={PKI}/etcd/server.key"
QUICK = ("-e", "ansible_timeout=2")


@pytest.fixture(scope="module", autouse=True)
def small_etcd(forge: Any) -> None:
    """A good cluster whose etcd is soon full."""
    file = forge.inventory / "cluster.yml"
    spec = {**yaml.safe_load(file.read_text()), "etcd": {"extra_args": {"quota-backend-bytes": str(QUOTA)}}}
    file.write_text(yaml.safe_dump(spec))
    forge.good()
    until(forge, lambda told: told["good"])


def look(forge: Any, *words: str) -> dict[str, Any]:
    """Return what `status -o json` says; its exit code and its verdict must say the same."""
    said = forge.run("status", "-o", "json", *words)
    told: dict[str, Any] = json.loads(said.out)
    codes = {"healthy": HEALTHY, "degraded": DEGRADED, "down": DOWN, "unreachable": UNREACHABLE}
    assert said.code == codes[told["verdict"]], said.text
    assert told["good"] == (said.code == HEALTHY)
    return told


def until(forge: Any, what: Callable[[dict[str, Any]], object], *words: str, seconds: float = 120.0) -> dict[str, Any]:
    """Look until something is so, and return that look."""
    end = time.monotonic() + seconds
    while not what(told := look(forge, *words)):
        assert time.monotonic() < end, json.dumps(
            {key: told[key] for key in ("verdict", "problems", "nodes")}, indent=1
        )
    return told


def kinds(told: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["kind"], one["where"]) for one in told["problems"]}


def remedy(told: dict[str, Any], kind: str) -> str:
    return str(next(one["remedy"] for one in told["problems"] if one["kind"] == kind))


def mend(forge: Any, told: dict[str, Any], kind: str) -> None:
    """Do what the remedy says: its first command, as it stands there."""
    words = shlex.split(remedy(told, kind).partition(";")[0])
    assert words[0] == "kubeforge", words
    two = words[1] == "certs"
    verb, rest = " ".join(words[1 : 3 if two else 2]), words[3 if two else 2 :]
    forge.run(verb, *rest, *(["--yes"] if verb in ("apply", "certs renew") else [])).check(0)
    until(forge, lambda told: told["good"] and not told["problems"])


def test_all_is_well(forge: Any) -> None:
    told = until(forge, lambda told: not told["problems"])
    assert [(host["name"], host["kubelet"], host["runtime"]) for host in told["hosts"]] == [
        ("cp1", "active", "active"),
        ("w1", "active", "active"),
    ]
    assert all(node["ready"] and node["schedulable"] and node["in_inventory"] for node in told["nodes"])
    assert {one["component"]: (one["ready"], one["leader"]) for one in told["components"]} == {
        "kube-apiserver": (True, None),
        "kube-controller-manager": (True, True),
        "kube-scheduler": (True, True),
    }
    (member,) = told["etcd"]["members"]
    assert (told["etcd"]["quorum"], told["etcd"]["leader"], member["quota"]) == (True, "cp1", QUOTA)
    assert 0 < member["in_use"] <= member["size"] < QUOTA
    names = {(one["host"], one["name"]) for one in told["certificates"]}
    assert {("cp1", "apiserver"), ("cp1", "admin.conf"), ("cp1", "kubelet-server"), ("w1", "kubelet-client")} <= names
    assert {("cp1", "ca"), ("cp1", "etcd-ca"), ("cp1", "front-proxy-ca"), ("w1", "ca")} <= names
    assert all(one["days"] in (364, 365, 3649, 3650) for one in told["certificates"])
    assert all(one["ready"] == one["desired"] for one in told["addons"])
    assert {way["host"]: way["answers"] for way in told["endpoint"]["ways"]} == {"cp1": True, "w1": True}
    assert {one["version"] for one in told["versions"] if one["component"] in ("kubelet", "kube-apiserver")} == {
        "1.36.3"
    }


def test_no_key_leaves_a_host(forge: Any) -> None:
    """Neither in the answer nor in what a run of the verb says."""
    said = forge.run("status", "-o", "json", "-v")
    table = forge.run("status", "-v")
    for text in (said.out, said.err, table.out, table.err):
        assert "PRIVATE" not in text
        assert "-----BEGIN" not in text


def test_a_kubelet_is_stopped(forge: Any) -> None:
    forge.sh("w1", "systemctl stop kubelet")
    told = look(forge)
    assert kinds(told) == {("kubelet-down", "w1")}
    assert "w1: its kubelet is inactive" in forge.run("status").check(DEGRADED).out
    mend(forge, told, "kubelet-down")


def test_a_manifest_is_broken(forge: Any) -> None:
    forge.sh("cp1", f"echo '}}{{' >{MANIFESTS}/kube-scheduler.yaml")
    told = until(forge, lambda told: ("component-down", "cp1") in kinds(told))
    assert "kube-scheduler: " in next(one["message"] for one in told["problems"])
    mend(forge, told, "component-down")


def test_a_manifest_is_gone(forge: Any) -> None:
    forge.sh("cp1", f"rm {MANIFESTS}/kube-controller-manager.yaml")
    told = until(forge, lambda told: ("component-missing", "cp1") in kinds(told))
    mend(forge, told, "component-missing")


def test_a_host_dies(forge: Any) -> None:
    forge.lab.host("w1").kill()
    try:
        told = look(forge, *QUICK)
        assert kinds(told) == {("host-unreachable", "w1")}
        assert remedy(told, "host-unreachable").startswith("see that it is up and can be entered: kubeforge ssh w1")
        worker = next(host for host in told["hosts"] if host["name"] == "w1")
        assert (worker["reachable"], worker["kubelet"]) == (False, "")
        assert "unreachable" in forge.run("status", *QUICK).check(DEGRADED).out
    finally:
        forge.lab.host("w1").start()
    until(forge, lambda told: not told["problems"])


def test_nobody_can_be_entered(forge: Any) -> None:
    said = forge.run("status", "-e", "ansible_port=2222").check(UNREACHABLE, "no control plane can be entered")
    assert "refuses the connection" in said.out


@contextmanager
def without(forge: Any, *components: str) -> Iterator[None]:
    """Static pods of these components are gone from cp1."""
    for component in components:
        forge.sh("cp1", f"mv {MANIFESTS}/{component}.yaml /root/")
    try:
        yield
    finally:
        for component in components:
            forge.sh("cp1", f"[ ! -e /root/{component}.yaml ] || mv -n /root/{component}.yaml {MANIFESTS}/")


def test_no_api_server(forge: Any) -> None:
    """What the hosts say themselves is still told."""
    with without(forge, "kube-apiserver"):
        told = until(forge, lambda told: told["verdict"] == "down" and ("api-down", "") in kinds(told))
        assert told["etcd"]["leader"] == "cp1"
        assert [host["kubelet"] for host in told["hosts"]] == ["active", "active"]
        assert {node["ready"] for node in told["nodes"]} == {None}
        assert [way["answers"] for way in told["endpoint"]["ways"]] == [False, False]
        forge.run("status").check(DOWN, "the API does not answer", "next: kubeforge apply")
        mend(forge, told, "api-down")


def test_no_etcd(forge: Any) -> None:
    with without(forge, "etcd"):
        told = until(forge, lambda told: ("etcd-member-down", "cp1") in kinds(told) and told["verdict"] == "down")
        assert ("api-down-with-etcd", "") in kinds(told)
        mend(forge, told, "etcd-member-down")


def test_everything_on_the_control_plane_is_stopped(forge: Any) -> None:
    """Containers outlive kubelet and containerd."""
    forge.sh("cp1", "systemctl stop kubelet containerd")
    told = look(forge)
    assert {("kubelet-down", "cp1"), ("runtime-down", "cp1")} <= kinds(told)
    mend(forge, told, "runtime-down")


FILL = f"""
head -c 700000 /dev/zero | tr '\\0' x >/run/value
for n in $(seq 40); do {ETCDCTL} put kubeforge-test -- "$(head -c 100000 /run/value)" >/dev/null || break; done
for n in $(seq 200); do {ETCDCTL} put kubeforge-test -- "$(head -c 100000 /run/value)" >/dev/null 2>&1 || break; done
"""


def test_etcd_is_full(forge: Any) -> None:
    try:
        forge.sh("cp1", FILL)
        told = until(forge, lambda told: ("etcd-nospace", "") in kinds(told))
        assert told["etcd"]["members"][0]["alarms"] == ["NOSPACE"]
        assert "etcd takes no writes: its quota is used up on cp1" in forge.run("status").out
        says = remedy(told, "etcd-nospace")
        where, _, commands = says.partition(": ")
        assert where == "as root on cp1"
        forge.sh("cp1", commands.partition("; to let it grow")[0])
    finally:
        forge.sh("cp1", f"{ETCDCTL} del kubeforge-test >/dev/null; rm -f /run/value")
    until(forge, lambda told: not told["problems"])


def issued(forge: Any, says: Request, *, days: int, ago: int) -> Issued:
    """Return a certificate with an end of our choosing, signed by the cluster's own authority."""
    pair = [forge.sh("cp1", f"cat {path}").encode() for path in (row("ca").certificate, row("ca").key)]
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    signer = Authority(certificate=pair[0], key=Secret(pair[1]))
    return leaf(says, key, signer, days=days, now=datetime.now(tz=UTC) - timedelta(days=ago))


@pytest.mark.parametrize(("days", "ago", "kind"), [(30, 25, "certificate-expires"), (5, 9, "certificate-expired")])
def test_a_certificate_ends(forge: Any, days: int, ago: int, kind: str) -> None:
    says = request(row("apiserver-kubelet-client"), Identity(node="cp1", address="192.0.2.1"))
    certificate = issued(forge, says, days=days, ago=ago).certificate.decode()
    forge.sh("cp1", f"cat >{PKI}/apiserver-kubelet-client.crt <<'END'\n{certificate}END\n")
    told = look(forge)
    assert kinds(told) == {(kind, "cp1")}
    assert told["good"] == (kind == "certificate-expires"), "what only ends soon is a warning"
    mend(forge, told, kind)


def test_a_kubelets_certificate_has_ended(forge: Any) -> None:
    """The host was off for too long; its kubelet cannot ask for another with the one that has ended."""
    folder = "/var/lib/kubelet/pki"
    made = issued(forge, user("system:node:w1", ("system:nodes",)), days=5, ago=9)
    pem = (made.certificate + made.key.reveal()).decode()
    forge.sh(
        "w1",
        f"systemctl stop kubelet; umask 077; cat >{folder}/kubelet-client-ended.pem <<'END'\n{pem}END\n"
        f"ln -sf {folder}/kubelet-client-ended.pem {folder}/kubelet-client-current.pem; systemctl start kubelet",
    )
    told = until(forge, lambda told: ("kubelet-certificate-expired", "w1") in kinds(told))
    assert remedy(told, "kubelet-certificate-expired").endswith("kubelet-server --hosts w1")
    mend(forge, told, "kubelet-certificate-expired")
    forge.run("plan", "--detailed-exitcode").check(0, "No changes.")


def stranger() -> Authority:
    """Another cluster's authority."""
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    return authority(Request(common_name="kubernetes", authority=True), key, days=3650, now=datetime.now(tz=UTC))


FOREIGN = {
    "cp1": ("pki", "signed none of the certificates beside it", "kubeforge reset --limit cp1"),
    "w1": ("kubelet.configure", "is another cluster's", "kubeforge reset --limit w1"),
}


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_authority(forge: Any, host: str) -> None:
    """With its key, as it comes in a backup of the wrong cluster. Nothing is touched anywhere."""
    other = stranger()
    files = {"ca.crt": other.certificate, **({"ca.key": other.key.reveal()} if host == "cp1" else {})}
    for name, content in files.items():
        forge.sh(host, f"cp -p {PKI}/{name} /root/; cat >{PKI}/{name} <<'END'\n{content.decode()}END\n")
    tree = "find /etc /usr/local /var/lib/kubeforge /var/lib/kubelet/pki -type f -exec sha256sum {} + | sort"
    before = {name: forge.sh(name, tree) for name in ("cp1", "w1")}
    try:
        told = look(forge)
        assert ("authority-foreign", host) in kinds(told)
        said = forge.apply().check(12, "Nothing was done", fingerprint(other.certificate))
        said.names(host, *FOREIGN[host])
        assert {name: forge.sh(name, tree) for name in ("cp1", "w1")} == before
    finally:
        for name in files:
            forge.sh(host, f"mv /root/{name} {PKI}/")
    forge.run("plan", "--detailed-exitcode").check(0, "No changes.")
    until(forge, lambda told: not told["problems"])


def test_a_node_is_cordoned(forge: Any) -> None:
    forge.run("kubectl", "--", "cordon", "w1").check(0)
    told = look(forge)
    assert (told["verdict"], kinds(told)) == ("healthy", {("node-cordoned", "w1")})
    mend(forge, told, "node-cordoned")


def test_a_node_that_hosts_yml_does_not_know(forge: Any) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "stranger"}}
    forge.sh(
        "cp1",
        f"kubectl --kubeconfig=/etc/kubernetes/admin.conf create -f - <<'END'\n{json.dumps(node)}\nEND\n",
    )
    try:
        told = look(forge)
        assert {("node-foreign", "stranger"), ("node-not-ready", "stranger")} <= kinds(told)
        assert [one["name"] for one in told["nodes"] if not one["in_inventory"]] == ["stranger"]
    finally:
        forge.run("kubectl", "--", "delete", "node", "stranger").check(0)


def test_an_addon_is_gone(forge: Any) -> None:
    forge.run("kubectl", "--", "-n", "kube-system", "delete", "deployment", "coredns").check(0)
    told = look(forge)
    assert ("addon-missing", "coredns") in kinds(told)
    mend(forge, told, "addon-missing")


def test_a_run_that_works_and_one_that_was_cut_off(forge: Any) -> None:
    forge.sh("w1", "rm -f /usr/local/bin/kubectl /usr/local/bin/kubeadm")
    with forge.started() as run:
        run.until(lambda: any(each["event"] == "StepStarted" for each in run.events))
        run.send(signal.SIGSTOP)
        told = look(forge)
        assert ("run-active", "cp1") in kinds(told)
        assert "a run of kubeforge works on this cluster: " in str([one["what"] for one in told["runs"]])
        run.send(signal.SIGCONT)
        run.ended().check(0)
    until(forge, lambda told: not told["problems"])
    forge.sh("w1", "printf 'begin r0 2\\ntitle 0 file /a\\ntitle 1 file /b\\nstart 0\\n' >/var/lib/kubeforge/run")
    told = look(forge)
    assert kinds(told) == {("run-interrupted", "w1")}
    forge.sh("w1", "systemctl stop kubelet")  # something to do, so that a new note takes the old one's place
    forge.apply().check(0)
    until(forge, lambda told: not told["problems"])
