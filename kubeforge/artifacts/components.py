"""What can be compiled from Go modules: one row per pinned `components/<folder>`, and how it is compiled. Data.

The folder's go.mod and go.sum pin every module, and go.sum's digests are what proves that the right source was
compiled. A new version is a new go.mod/go.sum (`go get`, `go mod tidy`) and the version in its row; a test checks that
the two agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kubeforge.spec.releases import parse

__all__ = ["COMPONENTS", "COMPONENTS_FOLDER", "Component", "Target", "component", "newest"]

COMPONENTS_FOLDER: Final = Path(__file__).parent / "components"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One `go build`.

    Args:
        package: import path; `.` is the component's own main.go.
        names: the programs it makes; several where one binary looks at the name it is called by.
        tags: build tags.
    """

    package: str
    names: tuple[str, ...]
    tags: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One pinned module and what is compiled of it.

    Args:
        name: as the command line calls it, and the field of `Versions` with - for _.
        version: without v; what go.mod pins.
        folder: below `components/`.
        module: import path whose version is `version`; empty for our own programs.
        targets: what is compiled.
        variables: Go string variables set at link time.
        cgo: C is needed, so gcc is; linked statically.
        libraries: C libraries it needs, as (name for pkg-config, Debian package).
        seconds: what it took on 2 cores with nothing cached, to estimate the remaining time.
    """

    name: str
    version: str
    folder: str
    module: str
    targets: tuple[Target, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    cgo: bool = False
    libraries: tuple[tuple[str, str], ...] = ()
    seconds: int = 5

    @property
    def label(self) -> str:
        """For people: `etcd 3.6.16`."""
        return f"{self.name} {self.version}"

    @property
    def link_flags(self) -> str:
        """What `go build -ldflags` is given."""
        stamps = [f"-X {name}={value}" for name, value in self.variables.items()]
        return " ".join(["-s", "-w", *(["-linkmode external", "-extldflags -static"] if self.cgo else []), *stamps])


_KUBERNETES_PROGRAMS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
    "kubectl",
)
_CONTAINERD: Final = "github.com/containerd/containerd/v2"
_CONTAINERD_TAGS: Final = "urfave_cli_no_docs,osusergo,netgo,static_build"
_CNI: Final = "github.com/containernetworking/plugins"
_TRAEFIK: Final = "github.com/traefik/traefik/v3"
_CNI_PLUGINS: Final = {
    "main": ("bridge", "dummy", "host-device", "ipvlan", "loopback", "macvlan", "ptp", "tap", "vlan"),
    "ipam": ("dhcp", "host-local", "static"),
    "meta": ("bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf"),
}


def _kubernetes(version: str) -> Component:
    minor = version.rpartition(".")[0]
    stamp = {
        "gitVersion": f"v{version}",
        "gitMajor": minor.partition(".")[0],
        "gitMinor": minor.partition(".")[2],
        "gitCommit": "unknown",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return Component(
        name="kubernetes",
        version=version,
        folder=f"kubernetes-{minor}",
        module="k8s.io/kubernetes",
        targets=(Target(package=".", names=_KUBERNETES_PROGRAMS, tags="selinux,notest,grpcnotrace"),),
        variables={f"{package}.{key}": value for package in packages for key, value in stamp.items()},
        seconds=280,
    )


def _coredns(version: str) -> Component:
    return Component(
        name="coredns",
        version=version,
        folder=f"coredns-{version.rpartition('.')[0]}",
        module="github.com/coredns/coredns",
        targets=(Target(package="github.com/coredns/coredns", names=("coredns",), tags="grpcnotrace"),),
        seconds=85,
    )


def _pause(version: str) -> Component:
    return Component(
        name="pause",
        version=version,
        folder="pause",
        module="",
        targets=(Target(package=".", names=("pause",)),),
        variables={"main.version": version},
    )


COMPONENTS: Final[tuple[Component, ...]] = (
    _kubernetes("1.36.3"),
    _kubernetes("1.35.4"),
    Component(
        name="etcd",
        version="3.6.16",
        folder="etcd",
        module="go.etcd.io/etcd/server/v3",
        targets=(Target(package=".", names=("etcd", "etcdctl", "etcdutl")),),
        variables={"go.etcd.io/etcd/api/v3/version.GitSHA": "v3.6.16"},
        seconds=30,
    ),
    Component(
        name="containerd",
        version="2.3.7",
        folder="containerd",
        module=_CONTAINERD,
        targets=(
            Target(package=f"{_CONTAINERD}/cmd/containerd", names=("containerd",), tags=_CONTAINERD_TAGS),
            Target(
                package=f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
                names=("containerd-shim-runc-v2",),
                tags=f"{_CONTAINERD_TAGS},no_grpc",
            ),
            Target(package=f"{_CONTAINERD}/cmd/ctr", names=("ctr",), tags=_CONTAINERD_TAGS),
        ),
        variables={f"{_CONTAINERD}/version.Version": "v2.3.7"},
        seconds=55,
    ),
    Component(
        name="runc",
        version="1.4.3",
        folder="runc",
        module="github.com/opencontainers/runc",
        targets=(
            Target(
                package="github.com/opencontainers/runc",
                names=("runc",),
                tags="seccomp,urfave_cli_no_docs,netgo,osusergo",
            ),
        ),
        variables={"main.version": "1.4.3"},
        cgo=True,
        libraries=(("libseccomp", "libseccomp-dev"),),
        seconds=15,
    ),
    Component(
        name="cni-plugins",
        version="1.9.1",
        folder="cni-plugins",
        module=_CNI,
        targets=tuple(
            Target(package=f"{_CNI}/plugins/{kind}/{name}", names=(f"cni/{name}",))
            for kind, names in _CNI_PLUGINS.items()
            for name in names
        ),
        variables={f"{_CNI}/pkg/utils/buildversion.BuildVersion": "v1.9.1"},
        seconds=10,
    ),
    Component(
        name="cni-flannel",
        version="0.9.1",
        folder="cni-flannel",
        module=_CNI,
        targets=(Target(package=f"{_CNI}/plugins/meta/flannel", names=("cni/flannel",)),),
        variables={f"{_CNI}/pkg/utils/buildversion.BuildVersion": "v0.9.1"},
    ),
    Component(
        name="flannel",
        version="0.28.4",
        folder="flannel",
        module="github.com/flannel-io/flannel",
        targets=(Target(package="github.com/flannel-io/flannel", names=("flanneld",), tags="netgo,osusergo"),),
        variables={"github.com/flannel-io/flannel/pkg/version.Version": "v0.28.4"},
        cgo=True,
        seconds=65,
    ),
    _coredns("1.14.2"),
    _coredns("1.13.1"),
    Component(
        name="traefik",
        version="3.6.12",
        folder="traefik",
        module=_TRAEFIK,
        targets=(Target(package=f"{_TRAEFIK}/cmd/traefik", names=("traefik",)),),
        variables={f"{_TRAEFIK}/pkg/version.Version": "v3.6.12"},
        seconds=280,
    ),
    _pause("3.10.2"),
    _pause("3.10.1"),
    Component(
        name="hello",
        version="1",
        folder="hello",
        module="",
        targets=(Target(package=".", names=("hello",)),),
        variables={"main.version": "1"},
    ),
)


def component(name: str, version: str) -> Component | None:
    """Return the row of a component in a version, None where it is not pinned here."""
    return next((row for row in COMPONENTS if (row.name, row.version) == (name, version)), None)


def newest(name: str) -> str:
    """Return the newest pinned version of a component."""
    return max((row.version for row in COMPONENTS if row.name == name), key=parse)
