"""What all static pods of a control plane have in common. Knows no component.

Source: kubeadm util/staticpod/utils.go at v1.36.3. Fields that the API defaults are left out, as kubeadm leaves them
out, so that the text is the same field by field; but for the UID, which kubeadm leaves to the kubelet (ADR 81).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubeforge.documents import Object, merged
from kubeforge.spec.paths import MANIFESTS

__all__ = ["PROBE_PORT", "Mount", "Probe", "identified", "manifest_path", "static_pod", "version_in"]

PROBE_PORT: Final = "probe-port"
_PRIORITY: Final = 2_000_001_000  # of system-node-critical; a static pod must say it itself
_HEALTH_CHECK_TIMEOUT: Final = 240  # seconds; kubeadm's controlPlaneComponentHealthCheck
_PERIOD: Final = 10
_IMAGE: Final = re.compile(r"^ *(?:- )?image: *[\"']?([^\s\"'@]+)", re.MULTILINE)
_VERSION: Final = re.compile(r"v?(\d+\.\d+\.\d+)")
_UID_LENGTH: Final = 32  # hexadecimal digits, as the kubelet's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A path of the host at the same place in the container.

    Args:
        name: of the volume.
        path: on both sides.
        file: whether it is a file.
        read_only: whether the container may not write there.
    """

    name: str
    path: str
    file: bool = False
    read_only: bool = True

    @property
    def host_path_type(self) -> str:
        """What the kubelet makes where nothing is."""
        return "FileOrCreate" if self.file else "DirectoryOrCreate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Where a component says that it lives.

    Args:
        host: None: the pod's address.
        port: of the probe-port.
        live: path of the liveness probe.
        ready: path of the readiness probe; None: it has none.
        start: path of the startup probe.
        scheme: HTTP or HTTPS.
    """

    host: str | None
    port: int
    live: str
    ready: str | None
    start: str
    scheme: str = "HTTPS"


def manifest_path(component: str) -> str:
    """Return where a component's manifest lies; mode 0600."""
    return f"{MANIFESTS}/{component}.yaml"


def version_in(manifest: bytes) -> str | None:
    """Return the version in the tag of a pod's image, without `v`, and without etcd's `-0`; None: it does not tell.

    The text is not parsed: that costs every run 6 ms for each manifest.
    """
    image = _IMAGE.search(manifest.decode(errors="replace"))
    version = None if image is None else _VERSION.match(image[1].rpartition(":")[2])
    return None if version is None else version[1]


def static_pod(
    *,
    component: str,
    image: str,
    command: Sequence[str],
    probe: Probe,
    mounts: Sequence[Mount],
    requests: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Return the pod of one component."""
    metadata: Object = {
        "name": component,
        "namespace": "kube-system",
        "labels": {"component": component, "tier": "control-plane"},
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    container: Object = {
        "name": component,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "ports": [{"name": PROBE_PORT, "containerPort": probe.port, "protocol": "TCP"}],
        "resources": {"requests": dict(requests)},
        "volumeMounts": [_volume_mount(mount) for mount in mounts],
        **_probes(probe),
    }
    return identified(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "containers": [container],
                "hostNetwork": True,
                "priority": _PRIORITY,
                "priorityClassName": "system-node-critical",
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                "volumes": [_volume(mount) for mount in sorted(mounts, key=lambda mount: mount.name)],
            },
            "status": {},
        }
    )


def identified(pod: Object) -> Object:
    """Return a static pod with a UID that tells its content.

    One without gets it from the kubelet: a hash over the pod as that kubelet's Go structs hold it, by that kubelet's
    hash function (pkg/kubelet/config/common.go, applyDefaults). Both differ between minors, so a kubelet of another
    minor takes every static pod for another one and starts it anew, etcd among them, past every gate (ADR 81).
    """
    uid = hashlib.sha256(json.dumps(pod, sort_keys=True).encode()).hexdigest()[:_UID_LENGTH]
    return merged(pod, {"metadata": {"uid": uid}})


def _probes(probe: Probe) -> Object:
    probes = {
        "livenessProbe": _http(probe, probe.live, failures=8, initial=_PERIOD, period=_PERIOD),
        "startupProbe": _http(
            probe, probe.start, failures=_HEALTH_CHECK_TIMEOUT // _PERIOD, initial=_PERIOD, period=_PERIOD
        ),
    }
    if probe.ready is not None:
        probes["readinessProbe"] = _http(probe, probe.ready, failures=3, initial=0, period=1)
    return probes


def _http(probe: Probe, path: str, *, failures: int, initial: int, period: int) -> Object:
    get: Object = {"path": path, "port": PROBE_PORT, "scheme": probe.scheme}
    if probe.host is not None:
        get["host"] = probe.host
    settings: dict[str, Any] = {"httpGet": get, "failureThreshold": failures, "periodSeconds": period}
    if initial:
        settings["initialDelaySeconds"] = initial
    return {**settings, "timeoutSeconds": 15}


def _volume_mount(mount: Mount) -> Object:
    entry: Object = {"name": mount.name, "mountPath": mount.path}
    return {**entry, "readOnly": True} if mount.read_only else entry


def _volume(mount: Mount) -> Object:
    return {"name": mount.name, "hostPath": {"path": mount.path, "type": mount.host_path_type}}
