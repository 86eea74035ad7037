"""Which flags, feature gates and admission plugins the components of a version know, as their own binaries say.

The tables in `data/` are written by `scripts/component-flags`; a test compares them with the binaries. A version that
has none is not judged here: on a living cluster the component itself is asked before anything is touched (ADR 59).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from kubeforge.spec.releases import minor_of, release

__all__ = ["Known", "known"]

_ETCD: Final = "etcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one component knows.

    Args:
        flags: without dashes.
        gates: feature gates.
        locked: gates that can have one value only.
        admission: admission plugins; empty but for the API server.
    """

    flags: frozenset[str]
    gates: frozenset[str]
    locked: Mapping[str, bool]
    admission: frozenset[str] = frozenset()


def known(component: str, version: str) -> Known | None:
    """Return what a component knows; None: there is no table for that version.

    Args:
        component: as cluster.yml names it: `api_server`.
        version: of Kubernetes.
    """
    if component == _ETCD:
        table = _table(f"flags-etcd-{minor_of(release(version).etcd)}.json")
    else:
        table = _table(f"flags-kubernetes-{minor_of(version)}.json")
    if table is None:
        return None
    return Known(
        flags=frozenset(table["flags"][component]),
        gates=frozenset(table["gates"]),
        locked=table["locked"],
        admission=frozenset(table.get("admission", ())),
    )


@cache
def _table(name: str) -> dict[str, Any] | None:
    file = resources.files("kubeforge.spec").joinpath("data", name)
    table: dict[str, Any] | None = json.loads(file.read_text()) if file.is_file() else None
    return table
