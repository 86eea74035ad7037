"""The action that makes Kubernetes objects as they shall be: compares what lives, applies what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.compare import differences, signed
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import component_log
from kubeforge.cluster.kinds import Obj, key_of, sort_key
from kubeforge.documents import revealed
from kubeforge.engine.model import Action, ActionContext
from kubeforge.errors import ApiError, ApiUnavailable
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import APPLY_DEADLINE

__all__ = ["Objects", "object_title"]

_NOT_FOUND: Final = 404  # the namespace: the API server makes its own ones shortly after it begins to serve
_FORBIDDEN: Final = 403  # RBAC's own roles are not there yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects(Action):
    """Objects that shall exist as written.

    Args:
        name: the action's title: `bootstrap.objects`.
        objects: as they shall be; a `Secret` inside is revealed when it is sent.
    """

    name: str
    objects: tuple[Obj, ...]

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Compare every object with the living one; where no API answers, nothing can be compared."""
        try:
            api = api_of(run)
            api.text("/livez/ping")
        except ApiUnavailable:
            return [_change(obj, Verb.CREATE, "is applied once the API serves") for obj in self._wanted()]
        return [change for _, change in _compared(api, self._wanted())]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Apply what differs, side by side."""
        api = api_of(run)
        due: list[tuple[Obj, Change]] = []
        self._waiting(run, "the API can be asked for objects", lambda: due.extend(_compared(api, self._wanted())))
        left = [obj for obj, _ in due]
        self._waiting(run, "the API takes all objects", lambda: _applied(api, left))
        run.say(f"{len(due)} objects applied")
        return [change for _, change in due]

    def _wanted(self) -> list[Obj]:
        return [signed(revealed(obj)) for obj in self.objects]

    def _waiting(self, run: ActionContext, name: str, step: Callable[[], None]) -> None:
        def lacks() -> str | None:
            try:
                step()
            except ApiError as error:
                if isinstance(error, ApiUnavailable) or error.status in (_NOT_FOUND, _FORBIDDEN):
                    return f"{error.step}: {error.cause}"
                raise
            return None

        condition = Condition(
            name=name,
            lacks=lacks,
            deadline=APPLY_DEADLINE,
            evidence=lambda: component_log(run.remote, "kube-apiserver"),
        )
        await_condition(condition, run, step=self.title)


def object_title(obj: Obj) -> str:
    """Return `object ConfigMap kube-system/kubeadm-config`."""
    _, kind, namespace, name = key_of(obj)
    return f"object {kind} {namespace + '/' if namespace else ''}{name}"


def _change(obj: Obj, verb: Verb, why: str) -> Change:
    return Change(title=object_title(obj), verb=verb, why=why)


def _compared(api: Api, wanted: Sequence[Obj]) -> list[tuple[Obj, Change]]:
    keys = [key_of(obj) for obj in wanted]
    live = api.each([partial(api.get, version, kind, name, space or None) for version, kind, space, name in keys])
    due = []
    for obj, now in zip(wanted, live, strict=True):
        different = differences(obj, now)
        if different:
            why = "is missing" if now is None else f"differs: {', '.join(different)}"
            due.append((obj, _change(obj, Verb.CREATE if now is None else Verb.UPDATE, why)))
    return due


def _applied(api: Api, left: list[Obj]) -> None:
    """Apply all that is left, namespaces and CRDs first, and strike what went well off the list."""
    errors: list[ApiError] = []

    def one(obj: Obj) -> None:
        try:
            api.apply(obj)
        except ApiError as error:
            errors.append(error)
        else:
            left.remove(obj)

    for stage in sorted({sort_key(obj) for obj in left}):
        api.each([partial(one, obj) for obj in list(left) if sort_key(obj) == stage])
        if errors:
            raise next((error for error in errors if not isinstance(error, ApiUnavailable)), errors[0])
