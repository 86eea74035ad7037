"""A cluster's API in a dictionary, and how an action gets it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from kubeforge.cluster.kinds import Obj, key_of
from kubeforge.errors import ApiError, ApiUnavailable


@dataclass
class MemoryApi:
    """An API in a dictionary; the next calls raise `errors`, in order, and the first `refusals` reviews say no."""

    objects_: dict[tuple[str, str, str, str], Obj] = field(default_factory=dict)
    errors: list[ApiError] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refusals: int = 0

    def _trouble(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def text(self, _path: str) -> tuple[int, str]:
        self._trouble()
        return 200, "ok"

    def get(self, version: str, kind: str, name: str, space: str | None = None) -> Obj | None:
        return deepcopy(self.objects_.get((version, kind, space or "", name)))

    def apply(self, obj: Obj) -> Obj:
        self._trouble()
        self.applied.append(obj["metadata"]["name"])
        self.objects_[key_of(obj)] = deepcopy(obj)
        return obj

    def each(self, calls: Any) -> list[Any]:
        return [call() for call in calls]

    def objects(self, version: str, kind: str, **_: Any) -> list[Obj]:
        return [deepcopy(obj) for key, obj in self.objects_.items() if key[:2] == (version, kind)]

    def post(self, path: str, body: Obj) -> Obj:
        assert path.endswith("/subjectaccessreviews")
        self._trouble()
        self.asked.append(body["spec"]["user"])
        return {"status": {"allowed": len(self.asked) > self.refusals}}

    def patch(self, obj: Obj, change: Any) -> Obj:
        live = self.objects_[key_of(obj)]
        live["metadata"].setdefault("labels", {}).update(change.get("metadata", {}).get("labels", {}))
        live["spec"].update(change.get("spec", {}))
        return live

    def replace(self, obj: Obj, *, subresource: str = "") -> Obj:
        assert subresource in ("approval", "")
        self.objects_[key_of(obj)] = deepcopy(obj)
        return obj

    def delete(self, version: str, kind: str, name: str, space: str | None = None) -> bool:
        return self.objects_.pop((version, kind, space or "", name), None) is not None


@dataclass
class FixedAccess:
    """Stands for cluster.access.Access."""

    client: MemoryApi | None

    def api(self, _run: Any) -> MemoryApi:
        if self.client is None:
            raise ApiUnavailable("no control plane leads to the API")
        return self.client

    own = api

    def renew(self) -> None:
        pass
