"""How long it takes until something that is restarted serves again: a table of seconds. Estimates, all of them.

Figures with a source were measured on two cores with small clusters; they say what to expect, never what is waited for
(conditions have deadlines, see `spec.paths`).
Sources: "birth" is shared/docs/bring-up.md ("Component times", "Lost by kubeadm"), "parts" is shared/docs/parts.md
("Images"), "noop" and "upgrade" are docs/performance.md ("Applies with nothing to do", "Upgrades").
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
    "kube-apiserver": Duration(12.0, "upgrade: 10.7 to 12.7, 4 of them to end in order"),
    "kube-controller-manager": Duration(3.5, "upgrade: 3.2 to 4.0"),
    "kube-scheduler": Duration(3.6, "upgrade: 3.5 to 3.8"),
    "kubelet": Duration(1.5, "upgrade: 0.8 to 1.9"),
    "containerd": Duration(1.5, "upgrade: 0.8 to 1.9"),
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
