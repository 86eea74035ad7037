"""Compares Kubernetes objects as they shall be with those that live. Pure.

What we apply carries the digest of itself in an annotation: a field that is no longer wanted shows as another digest,
a field that somebody changed by hand shows as a difference. What the API server and controllers add is not looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kubeforge.cluster.kinds import Obj

__all__ = ["DIGEST", "differences", "signed"]

DIGEST: Final = "kubeforge.dev/applied"
_LIST_KEYS: Final = ("name", "key", "containerPort", "mountPath", "ip")
_SHOWN: Final = 4


def signed(obj: Obj) -> Obj:
    """Return a copy of `obj` with the annotation that carries its digest."""
    digest = hashlib.sha256(json.dumps(obj, sort_keys=True).encode()).hexdigest()[:32]
    metadata = obj["metadata"]
    annotations = {**(metadata.get("annotations") or {}), DIGEST: digest}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def differences(wanted: Obj, live: Obj | None) -> tuple[str, ...]:
    """Say where `live` is not as `wanted` (already signed).

    Returns:
        Dotted field paths, at most a few; `("is missing",)` where there is no such object; empty: nothing to do.
    """
    if live is None:
        return ("is missing",)
    found: list[str] = []
    _compare(wanted, live, "", found)
    return tuple(found[:_SHOWN])


def _compare(wanted: Any, live: Any, path: str, found: list[str]) -> None:
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            _note(wanted, path, found)
            return
        for name, value in wanted.items():
            _compare(value, live.get(name), f"{path}.{name}" if path else str(name), found)
    elif isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            _note(wanted, path, found)
            return
        for index, (one, other) in enumerate(zip(wanted, _aligned(wanted, live), strict=True)):
            _compare(one, other, f"{path}[{index}]", found)
    elif not _same(wanted, live):
        _note(wanted, path, found)


def _note(wanted: Any, path: str, found: list[str]) -> None:
    # An empty mapping or list, null and "" are dropped by the API server: their absence is no difference.
    if wanted not in ({}, [], None, "", False, 0):
        found.append(path)


def _same(wanted: Any, live: Any) -> bool:
    # JSON's numbers: 1 and 1.0; a null, false, 0 or "" that is wanted is as good as absent.
    return bool(wanted == live) or (live is None and wanted in (None, "", False, 0))


def _aligned(wanted: Sequence[Any], live: Sequence[Any]) -> list[Any]:
    """Bring `live` into the order of `wanted` where their items have a merge key."""
    for key in _LIST_KEYS:
        if all(isinstance(item, Mapping) and key in item for item in (*wanted, *live)):
            by_key = {item[key]: item for item in live}
            if len(by_key) == len(live):
                return [by_key.get(item[key]) for item in wanted]
    return list(live)
