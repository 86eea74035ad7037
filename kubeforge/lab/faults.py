"""Faults to inject into a lab, by the name of a host. What each does is in `host.Host`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from kubeforge.lab import preflight
from kubeforge.lab.host import Host

__all__ = ["FAULTS", "inject", "partitioned"]

FAULTS: Final[Mapping[str, Callable[[Host], None]]] = {
    "partition": Host.partition,
    "heal": Host.heal,
    "kill": Host.kill,
    "reboot": Host.reboot,
    "start": Host.start,
    "stop": Host.stop,
}
"""Verb -> what it does. Delays and losses are not among them: many kernels come without netem."""


def inject(verb: str, host: Host) -> None:
    """Do one thing of FAULTS to a host.

    Raises:
        LabError: it did not work, or the caller is not root.
    """
    preflight.need_root()
    FAULTS[verb](host)


@contextmanager
def partitioned(*hosts: Host) -> Iterator[None]:
    """Cut some hosts off from the network for a while; they are connected again in any case."""
    try:
        for host in hosts:
            host.partition()
        yield
    finally:
        for host in hosts:
            host.heal()
