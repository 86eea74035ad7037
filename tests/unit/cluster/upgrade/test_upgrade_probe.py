"""The script that asks a host, run by a real sh on made-up files, and how its answer is taken apart."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.upgrade.probe import ask, parse, script
from kubeforge.cluster.upgrade.seen import Arguments, HostSeen
from kubeforge.errors import ConnectionFailed, ProtocolError
from kubeforge.spec import paths
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost

WORD = "kf0123"
MANIFEST = """apiVersion: v1
kind: Pod
spec:
  containers:
  - name: {name}
    image: {image}
    command: [{command}]
"""
PROGRAMS = {
    "bin/kubelet": "Kubernetes v1.35.4",
    "bin/kubeadm": "v1.35.4",
    "bin/kubectl": "Client Version: v1.35.4\nKustomize Version: v5.7.1",
    "bin/containerd": "containerd github.com/containerd/containerd/v2 v2.3.7 ",
    "bin/runc": "runc version 1.4.3",
    "cni/bridge": "CNI bridge plugin v1.9.1",
    "bin/ctr": "registry.k8s.io/pause:3.10.1\nregistry.k8s.io/etcd:3.6.16-0",
}


def host(folder: Path, files: dict[str, str]) -> HostSeen:
    """Ask a host whose directories are below a folder."""
    roots = {
        paths.BIN: "bin", paths.CNI_BIN: "cni", paths.MANIFESTS: "manifests", paths.STORE: "store",
        paths.CONTAINERD_DATA: "no/such/containerd", paths.ETCD_UNIT: "etcd.service",
        paths.KUBELET_FLAGS: "flags.env", paths.KUBELET_CONFIG: "config.yaml",
    }  # fmt: skip
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    text = script()
    for was, then in sorted(roots.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(was, str(folder / then))
    done = subprocess.run(["sh", "-c", text, "sh", WORD], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return parse("cp1", WORD, done.stdout)


def program(says: str) -> str:
    return f"#!/bin/sh\ncat <<'X'\n{says}\nX\n"


def test_a_control_plane(tmp_path: Path) -> None:
    server = MANIFEST.format(
        name="kube-apiserver",
        image="registry.k8s.io/kube-apiserver:v1.35.4",
        command="kube-apiserver, --secure-port=6443, '--feature-gates=A=true,B=false', --allow-privileged",
    )
    etcd = MANIFEST.format(name="etcd", image="registry.k8s.io/etcd:3.6.16-0@sha256:0", command="etcd, --name=cp1")
    seen = host(
        tmp_path,
        {
            **{name: program(says) for name, says in PROGRAMS.items()},
            "manifests/kube-apiserver.yaml": server,
            "manifests/etcd.yaml": etcd,
            "flags.env": 'KUBELET_KUBEADM_ARGS="--node-ip=192.0.2.1 --feature-gates=C=true"\n',
            "config.yaml": "featureGates: {D: true}\nevictionHard: {imagefs.available: 1%}\n",
            f"store/{'a' * 64}": "",
        },
    )
    assert seen.programs == {
        "kubelet": "1.35.4", "kubeadm": "1.35.4", "kubectl": "1.35.4", "containerd": "2.3.7", "runc": "1.4.3",
        "cni": "1.9.1",
    }  # fmt: skip
    assert seen.pods == {"etcd": "3.6.16", "kube-apiserver": "1.35.4"}
    assert seen.arguments == {
        "etcd": Arguments(flags=frozenset({"name"})),
        "api_server": Arguments(flags=frozenset({"secure-port", "allow-privileged"}), gates=frozenset("AB")),
        "kubelet": Arguments(flags=frozenset({"node-ip"}), gates=frozenset("CD")),
    }
    assert seen.images == {"registry.k8s.io/pause:3.10.1", "registry.k8s.io/etcd:3.6.16-0"}
    assert seen.stored == {"a" * 64}
    assert seen.evicts == 0.01
    assert seen.arch in ("amd64", "arm64")
    assert seen.store is not None
    assert seen.image_store is not None
    assert seen.store.mount == seen.image_store.mount, "what is not there yet lies on its parent's file system"
    assert 0 < seen.store.free <= seen.store.size == seen.image_store.size


def test_a_bare_host(tmp_path: Path) -> None:
    seen = host(tmp_path, {})
    assert not any((seen.programs, seen.pods, seen.arguments, seen.images, seen.stored))
    assert seen.evicts == 0.15


def test_etcd_on_a_host_of_its_own(tmp_path: Path) -> None:
    unit = "[Service]\nExecStart=/usr/local/bin/etcd --name e1 '--feature-gates=X=true'\n"
    seen = host(tmp_path, {"etcd.service": unit, "bin/etcd": program("etcd Version: 3.6.16\nGit SHA: x")})
    assert seen.programs == {"etcd": "3.6.16"}
    assert seen.arguments == {"etcd": Arguments(flags=frozenset({"name"}), gates=frozenset("X"))}


@pytest.mark.parametrize("broken", ["", "{[", "- a", "spec: {containers: []}", "spec: 5"])
def test_a_manifest_that_is_none(tmp_path: Path, broken: str) -> None:
    seen = host(tmp_path, {"manifests/kube-scheduler.yaml": broken, "config.yaml": broken})
    assert seen.pods == {}
    assert seen.arguments["scheduler"] == Arguments()


def test_a_program_that_says_nothing(tmp_path: Path) -> None:
    seen = host(tmp_path, {"bin/runc": program(""), "bin/kubelet": "#!/bin/sh\nexit 1\n", "cni/bridge": program("x")})
    assert seen.programs == {"runc": "", "kubelet": "", "cni": ""}


@pytest.mark.parametrize(
    ("limits", "share"),
    [("{memory.available: 100Mi}", 0.0), ("{imagefs.available: 2Gi}", 0.0), ("{imagefs.available: '12.5%'}", 0.125)],
)
def test_when_the_kubelet_evicts(tmp_path: Path, limits: str, share: float) -> None:
    assert host(tmp_path, {"config.yaml": f"evictionHard: {limits}\n"}).evicts == share


def test_an_answer_that_was_cut_off() -> None:
    with pytest.raises(ProtocolError) as caught:
        parse("w1", WORD, f"\n{WORD} arch\nx86_64\n")
    assert caught.value.host == "w1"


class Answers(MemoryHost):
    """Answers any command with a text, or with an error."""

    def __init__(self, text: str = "", error: Exception | None = None) -> None:
        super().__init__("w1")
        self.text, self.error = text, error

    def run(self, argv: Any, **_: Any) -> Completed:
        if self.error is not None:
            raise self.error
        return Completed(0, re.sub("WORD", argv[4], self.text).encode())


def test_a_host_that_gives_half_an_answer_says_so() -> None:
    assert ask(Answers("\nWORD arch\nx86_64\n")).why == "the host gave no whole answer"


def test_a_host_that_cannot_be_entered_is_the_callers_to_name() -> None:
    with pytest.raises(ConnectionFailed):
        ask(Answers(error=ConnectionFailed("no answer", host="w1")))
