"""What a run will do, as frozen values: no hosts, no rendering (report.plan), no secrets.

A Plan can be compared, written as JSON and read again. Bytes that a change uploads appear as digest and size; of a
secret not even the digest, as a short secret could be guessed from it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from kubeforge.engine.events import Failure, as_data
from kubeforge.operations.model import Change, Content, Diff, LocalContent, Verb
from kubeforge.secret import Secret

__all__ = ["Plan", "PlannedChange", "PlannedRemark", "PlannedSaying", "PlannedStep", "content_digest", "content_size"]

T = TypeVar("T")


def content_digest(content: Content | None) -> str | None:
    """Return the SHA-256 of a payload, in hex."""
    if content is None:
        return None
    return content.sha256 if isinstance(content, Secret | LocalContent) else hashlib.sha256(content).hexdigest()


def content_size(content: Content | None) -> int:
    """Return a payload's bytes."""
    if content is None:
        return 0
    return content.size if isinstance(content, LocalContent) else len(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """One change as the plan shows it.

    Args:
        title: what it is about, unique on its host.
        verb: what happens to it.
        why: one clause.
        task: the task that asked for it.
        digest: SHA-256 of what is uploaded; None for a secret and where nothing is.
        size: bytes uploaded.
        secret: whether what is uploaded is a secret.
        diff: the text before and after.
        every_run: whether nothing on the host will tell that it was done.
        repeatable: whether it may be done once more where that is not known.
    """

    title: str
    verb: Verb
    why: str
    task: str = ""
    digest: str | None = None
    size: int = 0
    secret: bool = False
    diff: Diff | None = None
    every_run: bool = False
    repeatable: bool = False

    @staticmethod
    def of(change: Change, task: str) -> PlannedChange:
        """Return what may be shown of `change`."""
        secret = isinstance(change.payload, Secret)
        return PlannedChange(
            title=change.title,
            verb=change.verb,
            why=change.why,
            task=task,
            digest=None if secret else content_digest(change.payload),
            size=content_size(change.payload),
            secret=secret,
            diff=None if secret else change.diff,
            every_run=change.every_run,
            repeatable=change.repeatable,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """What one step will do on one host; only steps with changes are in a plan.

    Args:
        host: inventory name.
        play: the play's name.
        step: the batch's tasks, or the action's title.
        action: whether it is an action.
        changes: in order.
    """

    host: str
    play: str
    step: str
    action: bool
    changes: tuple[PlannedChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRemark:
    """What an action warned of while the plan was made; nothing is done about it.

    Args:
        host: whose action.
        task: that gave it.
        text: what people read.
        details: the same for programs; which there are, depends on the task.
    """

    host: str
    task: str
    text: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSaying:
    """What an action told while the plan was made, as `debug.say` does: there is no record of the run yet.

    Args:
        host: whose action.
        step: the action's title.
        text: the message.
    """

    host: str
    step: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run will do.

    Args:
        playbook: its name.
        hosts: every host that takes part, in inventory order.
        plays: names, in order.
        steps: by play, then by host in inventory order, then in the host's order.
        failures: hosts that could not be planned, all of them.
        remarks: what stays as it is and should be known.
        said: what actions told while it was made.
    """

    playbook: str
    hosts: tuple[str, ...]
    plays: tuple[str, ...]
    steps: tuple[PlannedStep, ...] = ()
    failures: tuple[Failure, ...] = ()
    remarks: tuple[PlannedRemark, ...] = ()
    said: tuple[PlannedSaying, ...] = ()

    @property
    def changes(self) -> int:
        """Changes in all."""
        return sum(len(step.changes) for step in self.steps)

    @property
    def counts(self) -> dict[Verb, int]:
        """Changes by verb, in the order of Verb."""
        found = Counter(change.verb for step in self.steps for change in step.changes)
        return {verb: found[verb] for verb in Verb if found[verb]}

    @property
    def exit_code(self) -> int:
        """0, or that of the first failure."""
        return self.failures[0].exit_code if self.failures else 0

    @property
    def away(self) -> frozenset[str]:
        """Hosts that could not be reached."""
        return frozenset(failure.host for failure in self.failures if failure.host and failure.is_away)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def without_diffs(self) -> Plan:
        """Return the plan as it is where no diff was asked for."""
        return replace(
            self,
            steps=tuple(
                replace(step, changes=tuple(replace(change, diff=None) for change in step.changes))
                for step in self.steps
            ),
        )

    def to_data(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data: dict[str, Any] = as_data(self)
        return {"version": 1, **data, "counts": {str(verb): count for verb, count in self.counts.items()}}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_data` wrote; what a later version has written besides is left out."""
        return Plan(
            playbook=data["playbook"],
            hosts=tuple(data["hosts"]),
            plays=tuple(data["plays"]),
            steps=tuple(_step(step) for step in data["steps"]),
            failures=tuple(
                _made(Failure, {**failure, "evidence": tuple(failure["evidence"])}) for failure in data["failures"]
            ),
            remarks=tuple(_made(PlannedRemark, remark) for remark in data.get("remarks", ())),
            said=tuple(_made(PlannedSaying, told) for told in data.get("said", ())),
        )


def _step(data: Mapping[str, Any]) -> PlannedStep:
    changes = tuple(
        _made(
            PlannedChange,
            {**change, "verb": Verb(change["verb"]), "diff": _made(Diff, change["diff"]) if change["diff"] else None},
        )
        for change in data["changes"]
    )
    return _made(PlannedStep, {**data, "changes": changes})


def _made(kind: type[T], data: Mapping[str, Any]) -> T:
    names = {one.name for one in fields(kind)}  # type: ignore[arg-type]  # of the dataclasses above
    return kind(**{name: value for name, value in data.items() if name in names})
