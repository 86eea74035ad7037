"""Ends a component's processes. Registers no task."""

from __future__ import annotations

from typing import Final

from kubeforge.spec.paths import COMM
from kubeforge.transport.base import Remote

__all__ = ["END", "end_component", "end_words"]

END: Final = r"""
for file in $(grep -lxsF -- "$2" /proc/[0-9]*/comm); do pid=${file%/comm}; kill -s "$1" "${pid#/proc/}" || true; done
"""
"""Shell; see `end_words`."""


def end_words(component: str, signal: str) -> tuple[str, str]:
    """Return what END is given: $1 the signal, $2 the name as far as the kernel keeps it."""
    return signal, component[:COMM]


def end_component(remote: Remote, component: str, signal: str) -> None:
    """Send a signal to every process of a component; where its kubelet runs, it is started again."""
    remote.run(["sh", "-c", END, "sh", *end_words(component, signal)])
