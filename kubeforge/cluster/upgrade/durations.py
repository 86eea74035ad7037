"""How long it takes until something that is restarted serves again: a table of seconds. Estimates, all of them.

Figures with a source were measured on two cores with small clusters; they say what to expect, never what is waited for
(conditions have deadlines, see `spec.paths`). No run of a whole upgrade has been measured for docs/performance.md yet.
Sources: "birth" is shared/docs/bring-up.md ("Component times", "Lost by kubeadm"), "parts" is shared/docs/parts.md
("Images"), "noop" is docs/performance.md ("Applies with nothing to do").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["DURATIONS", "IMPORT", "PLANNING", "Duration"]


@dataclass(frozen=True, slots=True)
class Duration:
    """One row.

    Args:
        seconds: until it serves again.
        source: where the figure comes from; empty: it is a guess, nobody has measured it.
    """

    seconds: float
    source: str = ""


_CONTAINER: Final = 1.3  # birth: from the kubelet's sync loop until containers run

DURATIONS: Final[Mapping[str, Duration]] = {
    "etcd": Duration(_CONTAINER + 0.9, "birth: containers 1.3, serves 0.9 after its start"),
    "kube-apiserver": Duration(_CONTAINER + 3.5, "birth: containers 1.3, readyz 3.5 after its start"),
    "kube-controller-manager": Duration(_CONTAINER + 5.0, "birth: containers 1.3, controllers 5 at a leader's start"),
    "kube-scheduler": Duration(_CONTAINER + 1.0),
    "kubelet": Duration(0.6 + 1.0, "birth: sync loop 0.6, Ready about 1 after its start"),
    "containerd": Duration(2.0),
    "kube-proxy": Duration(_CONTAINER + 1.0),
    "flannel": Duration(_CONTAINER + 1.0),
    "coredns": Duration(_CONTAINER + 2.0),
    "traefik": Duration(_CONTAINER + 2.0),
}
"""What is restarted -> how long it is away."""

PLANNING: Final = Duration(2.0, "noop: 1.5 to 2.0 for three control planes and two workers")
"""Once for each minor or patch on the way."""

IMPORT: Final = Duration(5.0, "parts: images imported in 3 to 5 on three hosts at once")
"""Once for each minor or patch on the way, on all hosts side by side; uploads depend on the network."""
