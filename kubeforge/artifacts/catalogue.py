"""What exists: every file, image and distribution package a cluster needs, with official URL and SHA-256.

No I/O but reading its own data file.

A mirror is laid out like upstream's URLs: the path of a file is its URL without `https://`, host first
(`dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet`). A file that upstream ships inside an archive may lie there
unpacked, in a folder with the archive's name without its suffix (`…/containerd-static-2.3.7-linux-amd64/bin/ctr`).
Image archives, which upstream does not ship, lie below `kubeforge/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from kubeforge.artifacts.model import Versions

__all__ = [
    "ARCHIVES",
    "FILES",
    "IMAGES",
    "NODE_PACKAGES",
    "OWN_IMAGES",
    "PARTS",
    "Part",
    "UpstreamFile",
    "archive_path",
    "image_references",
    "known_digest",
    "mirror_path",
    "plain_path",
    "unpacked_path",
    "upstream_files",
]

_DATA: Final = Path(__file__).parent / "data" / "upstream-sha256.yaml"
_FLANNEL_CNI: Final = "1.9.1-flannel1"
"""Of the CNI plugin that Documentation/kube-flannel.yml of flannel 0.28.4 names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One upstream release file, for all versions and architectures.

    Args:
        name: as in the data file.
        component: the field of `Versions` that has its version; the fixed `version` wins.
        url: with {version} and {arch}.
        published: where upstream publishes its SHA-256, alone or as a `sha256sum` list; with the same fields and
            {url}.
        members: file name -> path in the archive; empty for a plain file, which then has the part's name.
        version: fixed version of what follows no component.
    """

    name: str
    component: str
    url: str
    published: str
    members: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None


_KUBERNETES: Final = "https://dl.k8s.io/release/v{version}/bin/linux/{arch}/"
_GITHUB: Final = "https://github.com/"
_CNI_PLUGINS: Final = (
    *("bandwidth", "bridge", "dhcp", "dummy", "firewall", "host-device", "host-local", "ipvlan", "loopback"),
    *("macvlan", "portmap", "ptp", "sbr", "static", "tap", "tuning", "vlan", "vrf"),
)

PARTS: Final[tuple[Part, ...]] = (
    *(
        Part(name=name, component="kubernetes", url=_KUBERNETES + name, published="{url}.sha256")
        for name in ("kubelet", "kubeadm", "kubectl")
    ),
    Part(
        name="etcd",
        component="etcd",
        url=_GITHUB + "etcd-io/etcd/releases/download/v{version}/etcd-v{version}-linux-{arch}.tar.gz",
        published=_GITHUB + "etcd-io/etcd/releases/download/v{version}/SHA256SUMS",
        members={name: f"etcd-v{{version}}-linux-{{arch}}/{name}" for name in ("etcd", "etcdctl", "etcdutl")},
    ),
    Part(
        name="containerd-static",
        component="containerd",
        url=_GITHUB + "containerd/containerd/releases/download/v{version}/"
        "containerd-static-{version}-linux-{arch}.tar.gz",
        published="{url}.sha256sum",
        members={name: f"bin/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    ),
    Part(
        name="runc",
        component="runc",
        url=_GITHUB + "opencontainers/runc/releases/download/v{version}/runc.{arch}",
        published=_GITHUB + "opencontainers/runc/releases/download/v{version}/runc.sha256sum",
    ),
    Part(
        name="cni-plugins",
        component="cni_plugins",
        url=_GITHUB
        + "containernetworking/plugins/releases/download/v{version}/cni-plugins-linux-{arch}-v{version}.tgz",
        published="{url}.sha256",
        members={f"cni/{name}": name for name in _CNI_PLUGINS},
    ),
    Part(
        name="flannel-cni",
        component="flannel",
        version=_FLANNEL_CNI,
        url=_GITHUB + "flannel-io/cni-plugin/releases/download/v{version}/"
        "cni-plugin-flannel-linux-{arch}-v{version}.tgz",
        published="{url}.sha256",
        members={"cni/flannel": "flannel-{arch}"},
    ),
)

IMAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kube-apiserver": "registry.k8s.io/kube-apiserver:v{kubernetes}",
        "kube-controller-manager": "registry.k8s.io/kube-controller-manager:v{kubernetes}",
        "kube-scheduler": "registry.k8s.io/kube-scheduler:v{kubernetes}",
        "kube-proxy": "registry.k8s.io/kube-proxy:v{kubernetes}",
        "etcd": "registry.k8s.io/etcd:{etcd}-0",
        "coredns": "registry.k8s.io/coredns/coredns:v{coredns}",
        "pause": "registry.k8s.io/pause:{pause}",
        "flannel": "ghcr.io/flannel-io/flannel:v{flannel}",
        "traefik": "docker.io/library/traefik:v{traefik}",
        "busybox": "docker.io/library/busybox:stable",
        "hello": "localhost/kubeforge/hello:1",
    }
)
"""Logical name -> reference, with the fields of `Versions`."""

OWN_IMAGES: Final = frozenset({"hello"})
"""Images that no registry has: only image archives bring them."""

ARCHIVES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "control-plane": (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "etcd",
            "coredns",
            "pause",
            "flannel",
        ),
        "node": ("kube-proxy", "coredns", "pause", "flannel"),
        "addons": ("traefik", "busybox", "hello"),
    }
)
"""Archive -> the images in it. A control plane needs `control-plane` alone, a worker `node`."""

NODE_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"debian": ("conntrack", "ethtool", "iproute2", "iptables", "kmod", "mount", "nftables", "socat", "util-linux")}
)
"""Distribution family -> packages whose programs kubelet, kubeadm's preflight and the CNI plugins call."""

FILES: Final[Mapping[str, Part]] = MappingProxyType(
    {name: part for part in PARTS for name in (part.members or {part.name: ""})}
)
"""File name -> the part that brings it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFile:
    """One part in one version for one architecture.

    Args:
        part: the row it comes from.
        version: without v.
        arch: amd64 or arm64.
        url: official URL.
        published: URL of upstream's digest.
        members: file name -> path in the archive.
        sha256: hex digest if the catalogue knows it.
    """

    part: Part
    version: str
    arch: str
    url: str
    published: str
    members: Mapping[str, str]
    sha256: str | None

    @property
    def label(self) -> str:
        """For people: `kubelet 1.36.3 amd64`."""
        return f"{self.part.name} {self.version} {self.arch}"


def upstream_files(versions: Versions, arch: str) -> Iterator[UpstreamFile]:
    """Yield every file of `PARTS` for given versions and one architecture."""
    for part in PARTS:
        version = part.version or getattr(versions, part.component)
        url = part.url.format(version=version, arch=arch)
        yield UpstreamFile(
            part=part,
            version=version,
            arch=arch,
            url=url,
            published=part.published.format(version=version, arch=arch, url=url),
            members={name: path.format(version=version, arch=arch) for name, path in part.members.items()},
            sha256=known_digest(part.name, version, arch),
        )


def image_references(versions: Versions, *, own: bool = True) -> dict[str, str]:
    """Return logical name -> full reference.

    Args:
        versions: of every component.
        own: whether images that no registry has are among them.
    """
    fields = {name: getattr(versions, name) for name in Versions.__dataclass_fields__}
    return {name: form.format(**fields) for name, form in IMAGES.items() if own or name not in OWN_IMAGES}


def known_digest(part: str, version: str, arch: str) -> str | None:
    """Return the hex SHA-256 of an upstream file, None where the data file has none."""
    return _digests().get(part, {}).get(version, {}).get(arch)


@cache
def _digests() -> dict[str, dict[str, dict[str, str]]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with _DATA.open("rb") as stream:
        loaded: dict[str, dict[str, dict[str, str]]] = yaml.load(stream, Loader=loader)  # noqa: S506 - a safe loader
    return loaded


def mirror_path(url: str) -> str:
    """Return the path of an upstream URL's file in a mirror."""
    return url.removeprefix("https://")


def unpacked_path(url: str, member: str) -> str:
    """Return the path in a mirror of an archive's member that lies there unpacked.

    Args:
        url: of the archive.
        member: path in the archive; where all of it lies in one folder with the archive's own name, that is dropped.
    """
    folder = mirror_path(url).removesuffix(".tar.gz").removesuffix(".tgz")
    return f"{folder}/{member.removeprefix(folder.rpartition('/')[2] + '/')}"


def plain_path(file: UpstreamFile, name: str) -> str:
    """Return the path in a mirror where one of its files lies by itself."""
    return unpacked_path(file.url, file.members[name]) if file.members else mirror_path(file.url)


def archive_path(versions: Versions, arch: str, name: str) -> str:
    """Return the path in a mirror of an image archive; beside it lies `.json` with what it holds.

    Args:
        versions: only Kubernetes' is in the path; the others are in the `.json`.
        arch: amd64 or arm64.
        name: a key of `ARCHIVES`.
    """
    return f"kubeforge/images/v{versions.kubernetes}/linux/{arch}/{name}.tar"
