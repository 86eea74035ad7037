"""Files that components of the control plane read besides their manifests. Their names tell what is in them.

So a manifest that names another file is the only thing that changes for a component: it is restarted by it, and the old
manifest put back finds the old file (ADR 58). kubeadm-config says the same flags and volumes, so kubeadm keeps them.

Source: apiserver.config.k8s.io/v1, audit.k8s.io/v1 and kubescheduler.config.k8s.io/v1 as of v1.36.3; all are the same
from 1.35 to 1.37.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from kubeforge.documents import Object, dump, merged
from kubeforge.manifests.static_pod import Mount
from kubeforge.spec.model import ClusterSpec, Oidc
from kubeforge.spec.paths import COMPONENT_CONFIG, SCHEDULER_CONF

__all__ = ["ConfigFile", "api_server_files", "api_server_mounts", "scheduler_files", "scheduler_mounts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """One file.

    Args:
        flag: without dashes: by which the component is told of it.
        path: with a digest of the content in it.
        content: mode 0600.
    """

    flag: str
    path: str
    content: bytes


def api_server_files(spec: ClusterSpec) -> tuple[ConfigFile, ...]:
    """Return what the API server reads, by flag."""
    server = spec.api_server
    found = {}
    if server.admission.config:
        found["admission-control-config-file"] = _file("admission", _admission(server.admission.config))
    if server.audit is not None:
        found["audit-policy-file"] = _file("audit-policy", server.audit.policy.as_object())
    if server.authentication or server.oidc:
        found["authentication-config"] = _file("authentication", _authentication(spec))
    if server.authorization:
        chain = {"authorizers": server.authorization}
        found["authorization-config"] = _file("authorization", _headed("AuthorizationConfiguration", chain))
    return tuple(ConfigFile(flag=flag, path=path, content=content) for flag, (path, content) in sorted(found.items()))


def scheduler_files(spec: ClusterSpec) -> tuple[ConfigFile, ...]:
    """Return what the scheduler reads."""
    if not spec.scheduler.config:
        return ()
    ours: Object = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": SCHEDULER_CONF},
        "leaderElection": {"leaderElect": True},
    }
    path, content = _file("scheduler", merged(ours, spec.scheduler.config))
    return (ConfigFile(flag="config", path=path, content=content),)


def api_server_mounts(spec: ClusterSpec) -> tuple[Mount, ...]:
    """Return what the API server needs to see of its host for these files, and for its audit log."""
    mounts = [_MOUNT] if api_server_files(spec) else []
    audit = spec.api_server.audit
    if audit is not None and audit.log != "-":
        mounts.append(Mount(name="audit-log", path=audit.log.rpartition("/")[0], read_only=False))
    return tuple(mounts)


def scheduler_mounts(spec: ClusterSpec) -> tuple[Mount, ...]:
    """Return what the scheduler needs to see of its host for its file."""
    return (_MOUNT,) if scheduler_files(spec) else ()


_MOUNT = Mount(name="kubeforge-config", path=COMPONENT_CONFIG)


def _file(stem: str, document: Object) -> tuple[str, bytes]:
    content = dump(document).encode()
    return f"{COMPONENT_CONFIG}/{stem}-{hashlib.sha256(content).hexdigest()[:12]}.yaml", content


def _headed(kind: str, fields: dict[str, Any]) -> Object:
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": kind, **fields}


def _admission(config: dict[str, dict[str, Any]]) -> Object:
    plugins = [{"name": name, "configuration": fields} for name, fields in sorted(config.items())]
    return _headed("AdmissionConfiguration", {"plugins": plugins})


def _authentication(spec: ClusterSpec) -> Object:
    given = spec.api_server.authentication
    tokens = [*given.get("jwt", []), *(_issuer(one) for one in spec.api_server.oidc)]
    return _headed("AuthenticationConfiguration", {**given, **({"jwt": tokens} if tokens else {})})


def _issuer(oidc: Oidc) -> Object:
    issuer: Object = {"url": oidc.issuer, "audiences": list(oidc.audiences)}
    if len(oidc.audiences) > 1:
        issuer["audienceMatchPolicy"] = "MatchAny"
    if oidc.ca is not None:
        issuer["certificateAuthority"] = oidc.ca
    mappings: Object = {"username": {"claim": oidc.username_claim, "prefix": oidc.username_prefix}}
    if oidc.groups_claim is not None:
        mappings["groups"] = {"claim": oidc.groups_claim, "prefix": oidc.groups_prefix}
    return {"issuer": issuer, "claimMappings": mappings}
