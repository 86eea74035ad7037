"""A systemd unit: running or not, enabled or not, restarted when something it listens to changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from kubeforge.errors import Unreadable
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, UnitState, Verb
from kubeforge.operations.shell import quote

__all__ = ["Unit", "masked"]

_RUNNING = frozenset({"active", "activating", "reloading"})
_STANDING = frozenset({"enabled", "static", "indirect", "alias", "generated"})  # nothing to enable, or done
_LINKS = ("mask", "unmask", "enable", "disable")  # these reload by themselves, a quarter of a second each
_FILES = ("file ", "symlink ", "artifact ")  # kinds whose title names a path with an honest time of modification


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit(Operation):
    """A systemd unit.

    It is restarted when an operation named in `listens` changes, and also when a file named there is younger than
    the running unit: so a run that was cut off between the file and the restart is made good by the next one.

    Args:
        name: with its suffix: `kubelet.service`.
        enabled: starts at boot; None: left as it is.
        state: now; None: left as it is (but it is still restarted when it runs and `listens` fires).
        listens: titles of operations (`file /etc/x`).
        masked: cannot be started at all; None: left as it is.
        deadline: seconds that starting may take.
    """

    kind: ClassVar[str] = "unit"

    name: str
    enabled: bool | None = True
    state: Literal["running", "stopped"] | None = "running"
    listens: tuple[str, ...] = ()
    masked: bool | None = None
    deadline: float = 120.0

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    def observe(self) -> Queries:
        """Ask systemd, and for the age of what it listens to."""
        return Queries(stats=tuple(self._heard().values()), units=(self.name,))

    def decide(self, seen: Observation) -> Change | None:
        """Mask, enable, and then stop, restart or start."""
        now = seen.units[self.name]
        if now.load == "unknown":
            raise Unreadable("systemd gave no answer", step=self.title, remedy="is systemd running on this host?")
        if now.load == "not-found" and self.state != "running" and not self.enabled and not self.masked:
            return None  # nothing to stop, disable or unmask
        if now.load == "masked" and self.masked is None and self._wants_it() and not self._replaced(seen):
            raise masked(self.name, self.title)
        steps = [*self._masking(now), *self._enabling(now), *self._running(now, seen)]
        reload = now.need_reload or (now.load == "not-found" and bool(steps)) or self._own_file_changed(seen)
        if reload and (steps or now.load != "not-found"):
            steps = _reloading(steps)
        if not steps:
            return None
        quoted = quote(self.name)
        return Change(
            title=self.title,
            verb=steps[-1][1],
            why=", ".join(dict.fromkeys(why for _, _, why in steps if why)),
            guard=self._guard(verb for verb, _, _ in steps),
            effect=Observation(units={self.name: self._after(now)}),
            lines=tuple(
                f"systemctl {verb}" if verb == "daemon-reload" else f"systemctl {verb} -- {quoted}"
                for verb, _, _ in steps
            ),
            deadline=self.deadline,
        )

    def _wants_it(self) -> bool:
        return self.state == "running" or bool(self.enabled)

    def _replaced(self, seen: Observation) -> bool:
        """Whether a file of its own takes the place of the mask, a link to /dev/null."""
        return f"file /etc/systemd/system/{self.name}" in seen.changed

    def _guard(self, verbs: Iterable[str]) -> Queries:
        """Nothing where it is stopped or restarted: what ends again and again may do so between two looks."""
        return Queries() if {"stop", "restart"} & {*verbs} else Queries(units=(self.name,))

    def _masking(self, now: UnitState) -> list[tuple[str, Verb, str]]:
        is_masked = now.load == "masked"
        if self.masked is None or self.masked == is_masked:
            return []
        return [("mask", Verb.UPDATE, "is not masked")] if self.masked else [("unmask", Verb.UPDATE, "is masked")]

    def _enabling(self, now: UnitState) -> list[tuple[str, Verb, str]]:
        if self.enabled and now.file not in _STANDING:
            return [("enable", Verb.UPDATE, "is not enabled")]
        if self.enabled is False and now.file in ("enabled", "enabled-runtime", "linked", "linked-runtime"):
            return [("disable", Verb.UPDATE, "is enabled")]
        return []

    def _running(self, now: UnitState, seen: Observation) -> list[tuple[str, Verb, str]]:
        runs = now.active in _RUNNING
        if self.state == "stopped":
            return [("stop", Verb.STOP, f"is {now.active}")] if runs else []
        if runs and (due := self._due(now, seen)):
            return [("restart", Verb.RESTART, due)]
        if runs or self.state is None:
            return []
        failed = [("reset-failed", Verb.UPDATE, "has failed")] if now.active == "failed" else []
        return [*failed, ("start", Verb.START, f"is {now.active}")]

    def _heard(self) -> dict[str, str]:
        """Title -> path, for what this listens to and what has one."""
        return {title: title.split(" ", 1)[1] for title in self.listens if title.startswith(_FILES)}

    def _due(self, now: UnitState, seen: Observation) -> str:
        """Why a restart is due; empty when none is."""
        changed = [title for title in self.listens if title in seen.changed]
        if changed:
            return f"changed: {', '.join(changed)}"
        younger = [
            path
            for path in self._heard().values()
            if now.since is not None
            and isinstance(entry := seen.paths.get(path), Entry)
            and (entry.modified or 0) > now.since
        ]
        return f"older than {', '.join(younger)}" if younger else ""

    def _own_file_changed(self, seen: Observation) -> bool:
        listened = [title for title in self.listens if "/systemd/" in title]
        own = [title for title in seen.changed if f"/systemd/system/{self.name}" in title]
        return bool(own) or any(title in seen.changed for title in listened)

    def _after(self, now: UnitState) -> UnitState:
        after = replace(now, load="masked" if self.masked else "loaded", need_reload=False, since=None)
        if self.enabled is not None and not (self.enabled and now.file in _STANDING):
            after = replace(after, file="enabled" if self.enabled else "disabled")
        if self.state is not None:
            after = replace(after, active="active" if self.state == "running" else "inactive")
        return after


def _reloading(steps: list[tuple[str, Verb, str]]) -> list[tuple[str, Verb, str]]:
    """Put the reload before what starts anything; enabling, which would reload once more, comes before it."""
    reload = ("daemon-reload", Verb.UPDATE, "" if steps else "its unit file changed")
    links = [(f"--no-reload {verb}", kind, why) for verb, kind, why in steps if verb in _LINKS]
    return [*links, reload, *(step for step in steps if step[0] not in _LINKS)]


def masked(name: str, step: str) -> Unreadable:
    """Return the error for a unit that shall run and is masked."""
    return Unreadable(
        f"{name} is masked, so nothing can start it",
        step=step,
        remedy=f"where that is not meant: service.masked: {{name: {name}, masked: no}}",
    )
