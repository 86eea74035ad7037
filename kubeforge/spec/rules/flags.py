"""Flags and feature gates that a component does not know: it would not start with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.errors import Problem
from kubeforge.spec.component_flags import Known, known
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.releases import MINORS, release
from kubeforge.spec.rules.components import components, flag_fault, gate_fault
from kubeforge.spec.rules.findings import fault
from kubeforge.spec.suggestions import did_you_mean

__all__ = ["RULES"]

_PROGRAMS: Final = {
    "api_server": "kube-apiserver",
    "controller_manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "etcd": "etcd",
    "kubelet": "kubelet",
    "kube_proxy": "kube-proxy",
}


def _each(spec: ClusterSpec) -> Iterator[tuple[str, str, Known]]:
    """Yield the components whose version is known: name here, program and version, what it knows."""
    for name, _ in components(spec) if spec.minor in MINORS else ():
        table = known(name, spec.kubernetes)
        if table is not None:
            yield name, f"{_PROGRAMS[name]} of {spec.minor}", table


def unknown_flags(spec: ClusterSpec) -> Iterator[Problem]:
    """Every flag is one that the component's binary has."""
    for name, program, table in _each(spec):
        told = release(spec.kubernetes).kubelet_flags_dropped if name == "kubelet" else ()
        for flag in getattr(spec, name).extra_args:
            if flag not in table.flags and flag not in told and flag_fault(name, flag) is None:
                hint = did_you_mean(flag, table.flags)
                yield fault(f"{program} has no flag --{flag}{hint}", name, "extra_args", flag)


def unknown_gates(spec: ClusterSpec) -> Iterator[Problem]:
    """Every feature gate is one that the component's binary has, and may have that value."""
    for name, program, table in _each(spec):
        for gate, value in getattr(spec, name).feature_gates.items():
            where = (name, "feature_gates", gate)
            if gate_fault(gate) is not None:
                continue
            if gate not in table.gates:
                yield fault(f"{program} has no such feature gate{did_you_mean(gate, table.gates)}", *where)
            elif table.locked.get(gate, value) is not value:
                only = str(table.locked[gate]).lower()
                yield fault(f"in {program} this gate is settled: it can only be {only}; leave it out", *where)


def unknown_plugins(spec: ClusterSpec) -> Iterator[Problem]:
    """Every admission plugin is one that the API server has."""
    for name, program, table in _each(spec):
        if not table.admission or name != "api_server":
            continue
        for field in ("enable", "disable", "config"):
            for index, plugin in enumerate(getattr(spec.api_server.admission, field)):
                if plugin not in table.admission:
                    place = plugin if field == "config" else index
                    message = f"{program} has no admission plugin {plugin}{did_you_mean(plugin, table.admission)}"
                    yield fault(message, "api_server", "admission", field, place)


RULES: Final = (unknown_flags, unknown_gates, unknown_plugins)
