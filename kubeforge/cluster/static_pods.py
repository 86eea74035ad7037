"""Does a static pod run as its manifest says, and does it answer? Asked on its own host, needs no API. Read-only.

"Runs as its manifest says" means: a process with the manifest's command that was started after the manifest was
written. So a change that does not show in the command (an image, a mount, a file it reads) is waited for, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httpx2

from kubeforge.cluster.processes import lacks_command
from kubeforge.cluster.tunnel import get_plainly, get_unverified
from kubeforge.documents import Object
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.transport.base import Remote

__all__ = ["component_of", "lacks_answer", "lacks_pod", "starts"]

_SHOWN: Final = 200
_LOGS: Final = "/var/log/pods"
# $1: folder of all pods' logs, $2: how those of the component begin, $3: container, $4: a file. A pod with another
# manifest has another folder, made when it is first started; in it the kubelet numbers a container's starts (0.log,
# 1.log, ...) and keeps the last ones.
_STARTS: Final = r"""
for pod in $(find "$1" -maxdepth 1 -name "$2*" -newer "$4"); do
    find "$pod/$3" -name '*.log' -newer "$4"
done 2>/dev/null | sed 's,.*/,,; s,[.].*,,' | sort -n | tail -n 1
"""


def component_of(pod: Object) -> str:
    """Return the component a static pod is."""
    name: str = pod["metadata"]["name"]
    return name


def lacks_pod(remote: Remote, pod: Object, *, address: str, files: Sequence[str] = ()) -> str | None:
    """Say what a static pod lacks; None where it runs as its manifest says, and answers.

    Args:
        remote: its host.
        pod: as its manifest says.
        address: of the host, where the pod's probes name none.
        files: what it is made of and reads when it starts: it must have been started after they were written.
    """
    command: list[str] = pod["spec"]["containers"][0]["command"]
    return lacks_command(remote, command, files=files) or lacks_answer(remote, pod, address=address)


def lacks_answer(remote: Remote, pod: Object, *, address: str) -> str | None:
    """Ask what the kubelet's readiness probe asks (where there is none, its liveness probe); None: all is well.

    Args:
        remote: a host that reaches `address`; the pod's own where its probes name a loopback address.
        pod: as its manifest says.
        address: of the pod's host.
    """
    container = pod["spec"]["containers"][0]
    get = (container.get("readinessProbe") or container["livenessProbe"])["httpGet"]
    port = next(port["containerPort"] for port in container["ports"] if port["name"] == get["port"])
    ask = get_unverified if get["scheme"] == "HTTPS" else get_plainly
    status, body = ask(lambda: remote.open_tunnel(get.get("host", address), port), get["path"])
    if status == httpx2.codes.OK:
        return None
    name = component_of(pod)
    said = f"says {status}: {' '.join(body.split())[-_SHOWN:]}" if status else f"does not answer: {body[:_SHOWN]}"
    return f"{name} {said}"


def starts(remote: Remote, pod: Object, *, since: str = "") -> int:
    """Return how often a static pod's container was started since its manifest was written.

    Args:
        remote: its host.
        pod: as its manifest says.
        since: a file that was written when the manifest came, where that has an older time.
    """
    name = component_of(pod)
    argv = ["sh", "-c", _STARTS, "sh", _LOGS, f"kube-system_{name}-", name, since or manifest_path(name)]
    last = remote.run(argv).stdout.strip()
    return int(last) + 1 if last else 0
