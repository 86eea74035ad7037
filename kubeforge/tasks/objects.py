"""The action that makes Kubernetes objects as they shall be: compares what lives, applies what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.compare import differences, signed, texts
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import component_log
from kubeforge.cluster.kinds import Obj, key_of, sort_key
from kubeforge.cluster.surplus import immutable, surplus, without
from kubeforge.documents import holds_secret, revealed
from kubeforge.engine.model import Action, ActionContext
from kubeforge.errors import ApiError, ApiUnavailable, ConnectionFailed
from kubeforge.operations.model import Change, Diff, Verb
from kubeforge.secret import Secret
from kubeforge.spec.paths import APPLY_DEADLINE
from kubeforge.tasks.etcd_runs import Bereft

__all__ = ["Objects", "object_title"]

_NOT_FOUND: Final = 404  # the namespace: the API server makes its own ones shortly after it begins to serve
_FORBIDDEN: Final = 403  # RBAC's own roles are not there yet
_CONFLICT: Final = 409  # somebody was faster
_PASSING: Final = (_NOT_FOUND, _FORBIDDEN, _CONFLICT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects(Action):
    """Objects that shall exist as written.

    Args:
        name: the action's title: `bootstrap.objects`.
        objects: as they shall be; a `Secret` inside is revealed when it is sent.
        judge: is shown what a living cluster would get, while planning; raises what it refuses.
    """

    name: str
    objects: tuple[Obj, ...]
    judge: Callable[[ActionContext, Obj], None] | None = None

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Compare every object with the living one; where no API answers, nothing can be compared.

        An API server lives on for a while when its etcd is dead: it answers, and has nothing to tell.
        """
        try:
            api = api_of(run)
            api.text("/livez/ping")
            due = _compared(api, self.objects)
        except ApiUnavailable:
            return [_change(obj, Verb.CREATE, "is applied once the API serves") for obj in self.objects]
        if self.judge is not None:
            for one in due:
                self.judge(run, one.obj)
        return [one.change for one in due]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Apply what differs, side by side."""
        api = api_of(run)
        due: list[_Due] = []
        self._waiting(run, "the API can be asked for objects", lambda: due.extend(_compared(api, self.objects)))
        left = list(due)
        self._waiting(run, "the API takes all objects", lambda: _applied(api, left))
        run.say(f"{len(due)} objects applied")
        return [one.change for one in due]

    def _waiting(self, run: ActionContext, name: str, step: Callable[[], None]) -> None:
        bereft = Bereft(run.remote, run.context.cluster, run.context.host)

        def lacks() -> str | None:
            try:
                step()
            except ApiError as error:
                lacking = f"{error.step}: {error.cause}"
                if isinstance(error, ApiUnavailable):
                    with suppress(ConnectionFailed):  # of a host that reboots: then no API server there is in the way
                        bereft.seen(lacking)
                elif error.status not in _PASSING:
                    raise
                return lacking
            return None

        condition = Condition(
            name=name,
            lacks=lacks,
            deadline=APPLY_DEADLINE,
            evidence=lambda: component_log(run.remote, "kube-apiserver"),
        )
        await_condition(condition, run, step=self.title)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """An object that is not as it shall be.

    Args:
        obj: as it is sent.
        change: what the plan says of it.
        anew: whether it must be deleted first.
    """

    obj: Obj
    change: Change
    anew: bool = False


def object_title(obj: Obj) -> str:
    """Return `object ConfigMap kube-system/kubeadm-config`."""
    _, kind, namespace, name = key_of(obj)
    return f"object {kind} {namespace + '/' if namespace else ''}{name}"


def _change(obj: Obj, verb: Verb, why: str, live: Obj | None = None) -> Change:
    """Return the change of one object, with a diff, but for what holds a secret."""
    if obj["kind"] == "Secret" or holds_secret(obj):
        return Change(title=object_title(obj), verb=verb, why=why, payload=Secret(b""))
    before, after = texts(obj, live)
    return Change(title=object_title(obj), verb=verb, why=why, diff=Diff(object_title(obj), before, after))


def _compared(api: Api, wanted: Sequence[Obj]) -> list[_Due]:
    keys = [key_of(obj) for obj in wanted]
    live = api.each([partial(api.get, version, kind, name, space or None) for version, kind, space, name in keys])
    due = []
    for obj, now in zip(wanted, live, strict=True):
        said = signed(revealed(obj))
        different = differences(said, now)
        if not different:
            continue
        fixed = immutable(said, now) if now is not None else ""
        why = "is missing" if now is None else f"differs: {', '.join(different)}"
        why += f"; {fixed} cannot be changed, so it is deleted and made anew" if fixed else ""
        change = _change(obj, Verb.CREATE if now is None else Verb.UPDATE, why, now)
        due.append(_Due(obj=said, change=change, anew=bool(fixed)))
    return due


def _applied(api: Api, left: list[_Due]) -> None:
    """Apply all that is left, namespaces and CRDs first, and strike what went well off the list."""
    errors: list[ApiError] = []

    def one(due: _Due) -> None:
        try:
            _settle(api, due)
        except ApiError as error:
            errors.append(error)
        else:
            left.remove(due)

    for stage in sorted({sort_key(due.obj) for due in left}):
        api.each([partial(one, due) for due in list(left) if sort_key(due.obj) == stage])
        if errors:
            raise next((error for error in errors if not isinstance(error, ApiUnavailable)), errors[0])


def _settle(api: Api, due: _Due) -> None:
    """Make one object as it shall be, and take out what others put into it."""
    if due.anew:
        version, kind, space, name = key_of(due.obj)
        api.delete(version, kind, name, space or None)
    live = api.apply(due.obj)
    found = surplus(due.obj, live)
    if found:
        api.replace(without(live, found))
