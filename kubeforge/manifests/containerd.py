"""containerd's files: config.toml, registry mirrors, systemd unit. For containerd 2.x.

Source: containerd docs/cri/config.md and cmd/containerd/server/config at v2.3.7. Version 4 of the configuration (2.3)
differs from 3 (2.0) only in sections that are not used here, but a 3 given to 2.3 is migrated at every start.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from kubeforge.manifests.render import render
from kubeforge.secret import Secret
from kubeforge.spec.model import ClusterSpec, Cni, Login
from kubeforge.spec.paths import (
    BIN,
    CNI_BIN,
    CNI_CONF,
    CNI_TEMPLATE,
    CONTAINERD_CERTS,
    CONTAINERD_CONFIG,
    CONTAINERD_DATA,
)
from kubeforge.spec.releases import parse, release

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubeforge.engine.model import Facts

__all__ = ["CAP_SYS_RESOURCE", "config_toml", "logins", "registry_hosts", "scopes", "unit"]

CAP_SYS_RESOURCE: Final = 24  # bit in a capability mask, include/uapi/linux/capability.h
_DOCKER_HUB: Final = "https://registry-1.docker.io"


def config_toml(spec: ClusterSpec, facts: Facts, images: Mapping[str, str], *, version: str | None = None) -> str:
    """Return config.toml.

    Args:
        spec: the cluster.
        facts: of the host; without CAP_SYS_RESOURCE no OOM score can be lowered.
        images: component -> reference; `pause` is the sandbox image, pinned against garbage collection.
        version: containerd's; default: the release's.
    """
    containerd = parse(version or release(spec.kubernetes).containerd)
    return render(
        "containerd/config.toml",
        version=4 if containerd >= (2, 3) else 3,
        root=CONTAINERD_DATA,
        sandbox=images["pause"],
        certs=CONTAINERD_CERTS,
        restrict_oom_score_adj=not facts.capabilities >> CAP_SYS_RESOURCE & 1,
        cni_bin=CNI_BIN,
        cni_conf=CNI_CONF,
        cni_template=CNI_TEMPLATE if spec.network.cni is Cni.BRIDGE else None,
        runc=f"{BIN}/runc",
    )


def registry_hosts(spec: ClusterSpec) -> dict[str, str]:
    """Return path -> text of a hosts.toml for every registry that has mirrors; `*` holds for all others."""
    return {
        f"{CONTAINERD_CERTS}/{'_default' if registry == '*' else registry}/hosts.toml": render(
            "containerd/hosts.toml", registry=registry, server=_server(registry), mirrors=mirrors
        )
        for registry, mirrors in sorted(spec.containerd.mirrors.items())
    }


def logins(spec: ClusterSpec) -> Secret | None:
    """Return the kubelet's config.json (docker's format), by which it pulls for every pod; None: nobody logs in."""
    if not spec.containerd.logins:
        return None
    auths = {
        registry: {"auth": b64encode(f"{login.username}:{_password(login)}".encode()).decode()}
        for registry, login in sorted(spec.containerd.logins.items())
    }
    return Secret(json.dumps({"auths": auths}, indent=1) + "\n")


def unit() -> str:
    """Return containerd.service."""
    return render("containerd/containerd.service", bin=BIN, config=CONTAINERD_CONFIG)


def scopes() -> str:
    """Return the drop-in that limits how long a host's shutdown waits for a container."""
    return render("containerd/scopes.conf")


def _password(login: Login) -> str:
    return "" if login.password is None else login.password.get_secret_value()


def _server(registry: str) -> str | None:
    """Return who is asked last: the registry itself."""
    if registry == "*":
        return None
    return _DOCKER_HUB if registry == "docker.io" else f"https://{registry}"
