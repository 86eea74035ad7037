"""Has a kubelet looked after all its static pods since it started? Asked through the API; read-only."""

from __future__ import annotations

from typing import Final

import httpx2

from kubeforge.cluster.api import Api
from kubeforge.errors import ApiUnavailable

__all__ = ["lacks_intake"]

_LOOKED_AFTER: Final = 'kubelet_desired_pods{static="true"}'


def lacks_intake(api: Api, node: str) -> str | None:
    """Say why a change of a static pod would not be followed at once; None: it would, or no API server can tell.

    A kubelet that has not heard from the API since it started passes over the removal of a static pod
    (pkg/kubelet/kubelet.go, deletePod), and whoever waits for volumes of that pod holds up its successor for 2 min 3 s
    (pkg/kubelet/volumemanager, podAttachAndMountTimeout; seen: a scheduler that followed after 124 s). What is looked
    for is counted in its first round over all pods, once it has heard from everybody (HandlePodCleanups).

    Args:
        api: of the cluster.
        node: the kubelet's.
    """
    try:
        status, body = api.text(f"/api/v1/nodes/{node}/proxy/metrics")
    except ApiUnavailable:
        return None
    if status != httpx2.codes.OK:
        return f"the kubelet cannot be asked for its pods yet: {body.strip()[:200]}"
    return None if _LOOKED_AFTER in body else "the kubelet has not looked after its static pods yet"
