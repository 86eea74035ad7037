"""Command lines of components: defaults sorted, then what the spec adds or replaces, as kubeadm orders them.

Source: kubeadm util/arguments.go (ArgumentsToCommand) at v1.36.3: an override drops every default of its name, and
overrides follow the defaults in the order they were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from kubeforge.spec.model import Component

__all__ = [
    "API_SERVER_TUNING",
    "API_SERVER_TUNING_AMONG_OTHERS",
    "CONTROLLER_MANAGER_TUNING",
    "Argument",
    "command",
    "extra_arguments",
]

FEATURE_GATES: Final = "feature-gates"

# The controller manager builds some forty controllers one after the other, at 20 requests a second by default: 5 s at
# every start of a leader, 1.5 s with these. It holds back token signatures, CSR approval and every Deployment.
CONTROLLER_MANAGER_TUNING: Final[Mapping[str, str]] = {"kube-api-burst": "2000", "kube-api-qps": "1000"}


# An API server that is told to end refuses what comes then with "try again" and closes its connections after 2 s. By
# default it waits for watches that nobody ends, until it is killed after 30 s (k8s.io/apiserver
# pkg/server/genericapiserver.go).
API_SERVER_TUNING: Final[Mapping[str, str]] = {"shutdown-send-retry-after": "true"}
# With others beside it, it first says at /readyz that it ends, and serves on until balancers have seen that: haproxy's
# checks here need 0.7 s (ADR 50). Then it ends its watches, 200 a second, and meanwhile who asks on a kept connection
# hears "try again"; without it all are closed at once, and a request that is on its way just then gets no answer.
API_SERVER_TUNING_AMONG_OTHERS: Final[Mapping[str, str]] = {
    "shutdown-delay-duration": "3s",
    "shutdown-watch-termination-grace-period": "2s",
}


class Argument(NamedTuple):
    """One flag, without dashes, and its value."""

    name: str
    value: str


def extra_arguments(
    component: Component, *, ours: Mapping[str, str] | None = None, gates: Mapping[str, bool] | None = None
) -> tuple[Argument, ...]:
    """Return what kubeadm's `extraArgs` of a component hold; manifests and kubeadm-config must say the same.

    Args:
        component: the spec's part; its `extra_args` win over everything.
        ours: flags kubeforge adds to kubeadm's defaults.
        gates: feature gates kubeadm sets by default, repeated here only where the spec sets more.
    """
    flags: dict[str, str | list[str]] = dict(ours or {})
    if component.feature_gates:
        merged = {**(gates or {}), **component.feature_gates}
        flags[FEATURE_GATES] = ",".join(f"{gate}={str(on).lower()}" for gate, on in sorted(merged.items()))
    flags |= component.extra_args
    return tuple(
        Argument(name, value)
        for name, values in sorted(flags.items())
        for value in ([values] if isinstance(values, str) else values)
    )


def command(program: str, defaults: Mapping[str, str], extra: Iterable[Argument]) -> list[str]:
    """Return the command of a container."""
    overrides = list(extra)
    replaced = {argument.name for argument in overrides}
    base = [Argument(name, value) for name, value in sorted(defaults.items()) if name not in replaced]
    return [program, *(f"--{name}={value}" for name, value in [*base, *overrides])]
