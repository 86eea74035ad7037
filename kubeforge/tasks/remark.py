"""An action that only says something while the plan is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kubeforge.engine.model import Action, ActionContext
from kubeforge.operations.model import Change

__all__ = ["Remark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark(Action):
    """Names what the plan leaves as it is; changes nothing.

    Args:
        about: unique on its host: a path, a task.
        text: one or two sentences, with what to do.
    """

    about: str
    text: str

    @property
    def title(self) -> str:
        """Names what it is about."""
        return f"remark {self.about}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say it."""
        run.remark(self.text)
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - never called: nothing is planned
        """Do nothing."""
        return []
