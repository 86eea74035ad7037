"""What a check is: a name, a question to one host, an answer. No I/O of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kubeforge.transport.base import Remote

__all__ = ["PATIENCE", "Answer", "Check"]

PATIENCE: Final = 5.0
"""Seconds an answer may take where the cluster is taken to be well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a check found on one host.

    Args:
        check: the check's name.
        host: inventory name.
        good: whether it passed.
        detail: what was seen, one clause.
    """

    check: str
    host: str
    good: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A read-only question.

    Args:
        name: `service`.
        asks: the question, as a sentence that is true when it passes.
        ask: asks it of a host, with so many seconds' patience; None where it passed, else what is wrong.
    """

    name: str
    asks: str
    ask: Callable[[Remote, float], str | None]

    def answer(self, remote: Remote, patience: float = PATIENCE) -> Answer:
        """Ask the question."""
        wrong = self.ask(remote, patience)
        return Answer(check=self.name, host=remote.host, good=wrong is None, detail=wrong or "")
