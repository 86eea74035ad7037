"""Variables of a run, read as what they mean. Registers no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from kubeforge.errors import InputError, Problem
from kubeforge.spec.durations import parse_seconds

__all__ = ["Reader", "flag", "span", "truth"]

_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off", "")
T = TypeVar("T")


class Reader:
    """Reads several variables, and tells of all that cannot be read.

    Args:
        variables: of the run.
    """

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._problems: list[Problem] = []

    def value(self, name: str, read: Callable[[Any], T], default: T) -> T:
        """Return what a variable says; `default` where it is not given, or cannot be read."""
        given = self._variables.get(name)
        if given is None:
            return default
        try:
            return read(given)
        except ValueError as error:
            self._problems.append(Problem(message=str(error), field=name))
            return default

    def check(self) -> None:
        """Refuse what could not be read.

        Raises:
            InputError: all of it.
        """
        if self._problems:
            raise InputError(self._problems, remedy="give it another value: -e NAME=VALUE")


def span(variables: Mapping[str, Any], name: str, default: float) -> float:
    """Return the seconds that a variable says: a number of them, or `90s`, `5m`.

    Raises:
        InputError: it is no span of time, or a negative one.
    """
    return _one(variables, name, parse_seconds, default)


def flag(variables: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Return whether a variable says yes.

    Raises:
        InputError: it says neither yes nor no.
    """
    return _one(variables, name, truth, default)


def truth(given: Any) -> bool:
    """Return yes or no.

    Raises:
        ValueError: it is neither.
    """
    text = str(given).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(f"`{given}` is neither yes nor no")
    return text in _TRUE


def _one(variables: Mapping[str, Any], name: str, read: Callable[[Any], T], default: T) -> T:
    reader = Reader(variables)
    found = reader.value(name, read, default)
    reader.check()
    return found
