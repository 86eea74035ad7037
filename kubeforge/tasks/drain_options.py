"""What variables say about draining, for every task that drains. Registers no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from kubeforge.cluster.draining import DrainOptions
from kubeforge.errors import InputError, Problem
from kubeforge.spec.durations import parse_duration

__all__ = ["DEAD", "DEADLINE", "DELETE_LOCAL", "FORCE", "GRACE", "options_of", "seconds", "truth"]

GRACE: Final = "drain_grace"
DEADLINE: Final = "drain_deadline"
DELETE_LOCAL: Final = "drain_delete_local_storage"
FORCE: Final = "drain_force"
DEAD: Final = "drain_dead"
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off", "")
T = TypeVar("T")


def options_of(variables: Mapping[str, Any]) -> DrainOptions:
    """Return what variables say about draining.

    Args:
        variables: `drain_grace` and `drain_deadline` (seconds, or like `5m`), `drain_delete_local_storage`,
            `drain_force` and `drain_dead` (yes or no).

    Raises:
        InputError: some cannot be read; all of them.
    """
    problems: list[Problem] = []

    def value(name: str, read: Callable[[Any], T], default: T) -> T:
        given = variables.get(name)
        if given is None:
            return default
        try:
            return read(given)
        except ValueError as error:
            problems.append(Problem(message=str(error), field=name))
            return default

    grace: float = value(GRACE, seconds, -1.0)
    options = DrainOptions(
        grace=None if grace < 0 else int(grace),
        deadline=value(DEADLINE, seconds, DrainOptions().deadline),
        delete_local=value(DELETE_LOCAL, truth, False),
        force=value(FORCE, truth, False),
        dead=value(DEAD, truth, False),
    )
    if problems:
        raise InputError(problems)
    return options


def seconds(given: Any) -> float:
    """Return seconds, from a number of them or from `90s`, `5m`.

    Raises:
        ValueError: it is no span of time, or a negative one.
    """
    if isinstance(given, int | float):
        return float(given)
    text = str(given).strip()
    if text.isdigit():
        return float(text)
    return parse_duration(text).total_seconds()


def truth(given: Any) -> bool:
    """Return yes or no.

    Raises:
        ValueError: it is neither.
    """
    text = str(given).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(f"`{given}` is neither yes nor no")
    return text in _TRUE
