"""Words and signs that all reports share: symbols of changes, spans of time, counted things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from kubeforge.engine.events import Failure
from kubeforge.engine.plan import Plan
from kubeforge.operations.model import Verb

__all__ = ["STYLES", "SYMBOLS", "counted", "failure_lines", "hosts_named", "sized", "span", "summary"]

SYMBOLS: Mapping[str, str] = MappingProxyType(
    {
        Verb.CREATE: "+",
        Verb.UPDATE: "~",
        Verb.REMOVE: "-",
        Verb.START: "▶",
        Verb.RESTART: "↻",
        Verb.STOP: "■",
        Verb.RUN: "▸",
    }
)
STYLES: Mapping[str, str] = MappingProxyType(
    {
        Verb.CREATE: "green",
        Verb.UPDATE: "yellow",
        Verb.REMOVE: "red",
        Verb.START: "green",
        Verb.RESTART: "yellow",
        Verb.STOP: "red",
        Verb.RUN: "cyan",
    }
)


_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def counted(number: int, thing: str) -> str:
    """Return `1 change`, `2 changes`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def span(seconds: float) -> str:
    """Return a span of time for people: `0.42 s`, `38 s`, `2 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def sized(number: int) -> str:
    """Return bytes for people: `512 B`, `5.0 MiB`; nothing where none are known."""
    if not number:
        return ""
    size, unit = float(number), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{number} B"


def summary(plan: Plan) -> str:
    """Return the plan in one line."""
    if not plan:
        return "No changes." if not plan.failures else "No changes could be planned."
    parts = ", ".join(f"{count} to {verb}" for verb, count in plan.counts.items())
    return f"Plan: {parts}."


def failure_lines(failure: Failure) -> list[str]:
    """Return a failure as lines: where and what, the evidence, what to do."""
    return str(failure).splitlines()


def hosts_named(hosts: Sequence[str], total: int, *, shown: int = 6) -> str:
    """Return hosts in one line: all of them by name, or the first few and how many more.

    Args:
        hosts: names.
        total: hosts of the whole run; when these are all of many, that is said instead.
        shown: names before it is cut.
    """
    if len(hosts) <= shown:
        return ", ".join(hosts)
    if len(hosts) == total:
        return f"all {total} hosts"
    return f"{', '.join(hosts[:shown])} and {len(hosts) - shown} more"
