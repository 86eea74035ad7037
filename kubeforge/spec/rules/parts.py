"""Versions, where the parts come from, registries, kernel parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from kubeforge.errors import Problem
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.releases import parse, release
from kubeforge.spec.rules.findings import caution, fault

__all__ = ["RULES"]

_SCHEMES: Final = ("http", "https")
_REGISTRY: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?")
_SYSCTL: Final = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_*-]+)+")
# kubeforge.tasks.os sets these; pods do not reach each other otherwise
_OWNED_SYSCTLS: Final = {
    "net.ipv4.ip_forward": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
}


def version(spec: ClusterSpec) -> Iterator[Problem]:
    """The minor must have a row; a patch newer than it is tried, with a word."""
    try:
        row = release(spec.kubernetes)
    except LookupError as error:
        yield fault(str(error.args[0]), "kubernetes")
        return
    if parse(spec.kubernetes) > parse(row.kubernetes):
        yield caution(
            f"{spec.kubernetes} is newer than {row.kubernetes}, the newest this kubeforge was made with", "kubernetes"
        )


def mirror(spec: ClusterSpec) -> Iterator[Problem]:
    """A mirror is trusted by its digest list, and that by the digest in the spec."""
    parts = spec.artifacts
    if parts.source == "mirror" and parts.mirror is None:
        yield fault("source is `mirror`, and artifacts.mirror names none", "artifacts", "source")
    if parts.mirror is not None and parts.sha256 is None:
        yield fault("a mirror needs artifacts.sha256: `sha256sum SHA256SUMS` of the mirror", "artifacts", "sha256")
    if parts.mirror is None and parts.sha256 is not None:
        yield fault("a digest without artifacts.mirror", "artifacts", "sha256")
    if parts.mirror is not None and "://" in parts.mirror and not _is_url(parts.mirror):
        yield fault(f"`{parts.mirror}` is neither a directory nor an http(s) URL", "artifacts", "mirror")
    if parts.mirror is not None and parts.source in ("upstream", "source"):
        yield caution(f"not used, because source is `{parts.source}`", "artifacts", "mirror")


def registries(spec: ClusterSpec) -> Iterator[Problem]:
    """Registry mirrors are registry hosts and http(s) URLs."""
    for registry, urls in spec.containerd.mirrors.items():
        where = ("containerd", "mirrors", registry)
        if registry != "*" and not _REGISTRY.fullmatch(registry):
            yield fault("not a registry's host name (or `*`): no scheme, no path", *where)
        for index, url in enumerate(urls):
            if not _is_url(url):
                yield fault(f"`{url}` is not an http(s) URL", *where, index)


def logins(spec: ClusterSpec) -> Iterator[Problem]:
    """Who logs in at a registry has one password."""
    for registry, login in spec.containerd.logins.items():
        where = ("containerd", "logins", registry)
        if not _REGISTRY.fullmatch(registry):
            yield fault("not a registry's host name: no scheme, no path", *where)
        if ":" in login.username:
            yield fault("a user name cannot have a colon in it", *where, "username")
        if login.password is None and login.password_file is None:
            yield fault("needs password or password_file", *where)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname)


def sysctls(spec: ClusterSpec) -> Iterator[Problem]:
    """Kernel parameters are dotted names; those that Kubernetes needs stay."""
    for key, value in spec.os.sysctls.items():
        if not _SYSCTL.fullmatch(key):
            yield fault("not a kernel parameter, such as vm.max_map_count", "os", "sysctls", key)
        elif key in _OWNED_SYSCTLS and value != _OWNED_SYSCTLS[key]:
            yield fault(f"must stay {_OWNED_SYSCTLS[key]}: pods would not reach each other", "os", "sysctls", key)


RULES: Final = (version, mirror, registries, logins, sysctls)
