"""What lives in an object although nobody asked for it in cluster.yml, and how it is taken out. Pure.

Server-side apply takes back what it once set itself. What somebody else added stays: a key of a ConfigMap that `kubectl
edit` put in, a container beside ours. Who owns a field is said by `metadata.managedFields`: fields of Kubernetes' own
components and defaults of the API server are no surplus, labels, annotations and the status never are.

Source: kubernetes.io/docs/reference/using-api/server-side-apply, structured-merge-diff's fieldpath (`f:`, `k:`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from kubeforge.cluster.kinds import Obj

__all__ = ["OURS", "Path", "Surplus", "aligned", "dotted", "immutable", "merge_key", "surplus", "without"]

OURS: Final = "kubeforge"
Path = tuple[str | int, ...]
"""Where something is in an object: names of fields, positions in lists."""

_LIST_KEYS: Final = ("name", "key", "containerPort", "mountPath", "ip")
# What these own in our objects is their work, or (kubectl rollout) how people restart pods.
_COMPONENTS: Final = frozenset(
    {OURS, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl-rollout"}
)
_NEVER: Final = ("apiVersion", "kind", "metadata", "status")
# kind -> field that no update may change: the object is deleted and made anew
_IMMUTABLE: Final[Mapping[str, Path]] = {
    "ClusterRoleBinding": ("roleRef",),
    "RoleBinding": ("roleRef",),
    "DaemonSet": ("spec", "selector"),
    "Deployment": ("spec", "selector"),
    "Service": ("spec", "clusterIP"),
    "IngressClass": ("spec", "controller"),
    "PriorityClass": ("value",),
}


@dataclass(frozen=True, slots=True)
class Surplus:
    """Something that is there and shall not be.

    Args:
        path: where, in the living object.
        by: the field manager that owns it; empty where it does not matter who.
    """

    path: Path
    by: str = ""

    def __str__(self) -> str:
        return dotted(self.path) + (f" (added by {self.by})" if self.by else "")


def dotted(path: Path) -> str:
    """Return `spec.containers[0].image`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def surplus(wanted: Obj, live: Obj, *, dropped: bool = False) -> tuple[Surplus, ...]:
    """Return what lives and is not wanted.

    Args:
        wanted: the object as it shall be.
        live: as it is.
        dropped: also what we set ourselves earlier; the next apply takes it back by itself.
    """
    others = _COMPONENTS - {OURS} if dropped else _COMPONENTS
    fields = [
        (entry.get("manager", ""), entry.get("fieldsV1") or {})
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("manager") not in others and not entry.get("subresource")
    ]
    return tuple({found.path: found for found in _below(wanted, live, fields, ())}.values())


def without(live: Obj, found: Sequence[Surplus]) -> Obj:
    """Return a copy of `live` without its surplus, and without the claims of those who put it there.

    Their other claims are on defaults, which would pass for surplus as long as somebody claims them.
    """
    pruned = deepcopy(live)
    claims = pruned["metadata"].get("managedFields") or ()
    kept = [one for one in claims if one.get("manager") in _COMPONENTS or one.get("subresource")]
    pruned["metadata"]["managedFields"] = kept
    for one in sorted(found, key=_last_first, reverse=True):
        parent: Any = pruned
        for part in one.path[:-1]:
            parent = parent[part]
        del parent[one.path[-1]]
    return pruned


def immutable(wanted: Obj, live: Obj) -> str:
    """Name what must be changed and cannot be, so that the object is deleted and made anew; empty: nothing."""
    if live.get("immutable") and not wanted.get("immutable"):
        return "immutable"
    path = _IMMUTABLE.get(wanted["kind"], ())
    meant, found = _at(wanted, path), _at(live, path)
    return dotted(path) if path and meant is not None and found is not None and meant != found else ""


def merge_key(*lists: Sequence[Any]) -> str | None:
    """Return the field that names the items of lists, where there is one; None: only their order does."""
    for key in _LIST_KEYS:
        if all(isinstance(item, Mapping) and key in item for items in lists for item in items) and all(
            len({item[key] for item in items}) == len(items) for items in lists
        ):
            return key
    return None


def aligned(wanted: Sequence[Any], live: Sequence[Any]) -> list[Any]:
    """Bring `live` into the order of `wanted` where their items have a name; None stands for what is missing."""
    key = merge_key(wanted, live)
    if key is None:
        return list(live)
    by_key = {item[key]: item for item in live}
    return [by_key.get(item[key]) for item in wanted]


_Claims = Sequence[tuple[str, Mapping[str, Any]]]


def _below(wanted: Any, live: Any, claims: _Claims, path: Path) -> Iterator[Surplus]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for name, value in live.items():
            if not path and name in _NEVER:
                continue
            deeper = [(by, tree[f"f:{name}"]) for by, tree in claims if f"f:{name}" in tree]
            if name in wanted:
                yield from _below(wanted[name], value, deeper, (*path, name))
            elif deeper:
                yield Surplus((*path, name), deeper[0][0])
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _in_list(wanted, live, claims, path)


def _in_list(wanted: list[Any], live: list[Any], claims: _Claims, path: Path) -> Iterator[Surplus]:
    """Whoever put an item into a list of named ones: it is not one of those that are wanted."""
    key = merge_key(wanted, live)
    if key is None:
        return  # apply replaces it as a whole
    named = {item[key]: item for item in wanted}
    for number, item in enumerate(live):
        if item[key] in named:
            deeper = [(by, tree[one]) for by, tree in claims for one in tree if _is_of(one, item)]
            yield from _below(named[item[key]], item, deeper, (*path, number))
        else:
            yield Surplus((*path, number))


def _is_of(claim: str, item: Mapping[str, Any]) -> bool:
    """Whether a claim such as `k:{"name":"a"}` is about this item of a list."""
    if not claim.startswith("k:"):
        return False
    keys: Mapping[str, Any] = json.loads(claim[2:])
    return all(item.get(name) == value for name, value in keys.items())


def _at(obj: Any, path: Path) -> Any:
    for part in path:
        obj = obj.get(part) if isinstance(obj, Mapping) else None
    return obj


def _last_first(one: Surplus) -> tuple[str, ...]:
    """Sort so that, from the end, what is taken out does not move what is still to go."""
    return tuple(f"{part:09}" if isinstance(part, int) else part for part in one.path)
