"""Compares Kubernetes objects as they shall be with those that live. Pure.

What we apply carries the digest of itself in an annotation: a field that is no longer wanted shows as another digest,
a field that somebody changed by hand shows as a difference, and what somebody added by hand is found by its owner (see
`surplus`). What the API server and controllers add is not looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from kubeforge.cluster.kinds import Obj
from kubeforge.cluster.surplus import Path, aligned, dotted, merge_key, surplus
from kubeforge.documents import dump

__all__ = ["DIGEST", "differences", "signed", "texts"]

DIGEST: Final = "kubeforge.dev/applied"
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
    _compare(wanted, live, (), found)
    found += [str(one) for one in surplus(wanted, live)]
    return tuple(found[:_SHOWN])


def texts(wanted: Obj, live: Obj | None) -> tuple[str, str]:
    """Return the object before and after as YAML, for a diff: what we have a say in, and nothing else.

    Args:
        wanted: as it shall be, not signed.
        live: as it is; None: there is none.
    """
    if live is None:
        return "", dump(wanted)
    extra = {one.path for one in surplus(wanted, live, dropped=True)}
    return dump(_projected(wanted, live, (), extra)), dump(wanted)


def _compare(wanted: Any, live: Any, path: Path, found: list[str]) -> None:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for name, value in wanted.items():
            _compare(value, live.get(name), (*path, str(name)), found)
    elif isinstance(wanted, list) and isinstance(live, list):
        others = aligned(wanted, live)
        named = merge_key(wanted, live) is not None
        if None in others or (not named and len(others) != len(wanted)):
            found.append(dotted(path))
            return
        for number, (one, other) in enumerate(zip(wanted, others, strict=True)):
            _compare(one, other, (*path, number), found)
    elif not _same(wanted, live):
        found.append(dotted(path))


def _same(wanted: Any, live: Any) -> bool:
    """Compare as JSON does: 1 is 1.0. Null asks for nothing; of what is empty the API server may leave nothing."""
    return wanted is None or bool(wanted == live) or (live is None and wanted in ({}, [], "", False, 0))


def _projected(wanted: Any, live: Any, path: Path, extra: Collection[Path]) -> Any:
    """Return of `live` what `wanted` names, and what is extra; equal parts as `wanted` writes them."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        named = {
            name: _projected(value, live.get(name), (*path, name), extra)
            for name, value in wanted.items()
            if name in live or _same(value, None)
        }
        return named | {name: value for name, value in live.items() if (*path, name) in extra}
    if isinstance(wanted, list) and isinstance(live, list):
        numbers = {id(item): number for number, item in enumerate(live)}
        others = aligned(wanted, live)
        if merge_key(wanted, live) is None:
            return (
                live
                if len(others) != len(wanted)
                else [
                    _projected(one, other, (*path, number), extra)
                    for number, (one, other) in enumerate(zip(wanted, others, strict=True))
                ]
            )
        kept = [
            _projected(one, other, (*path, numbers[id(other)]), extra)
            for one, other in zip(wanted, others, strict=True)
            if other is not None
        ]
        return kept + [item for number, item in enumerate(live) if (*path, number) in extra]
    return wanted if _same(wanted, live) else live
