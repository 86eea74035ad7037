"""A plan as text, JSON or YAML. Text groups by play and folds what is the same on several hosts into one line.

Prepare every host
cp1, w1, w2
+ file /etc/hosts                 other content
▶ unit containerd.service         is not running

Plan: 3 to create, 3 to start.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import yaml
from rich.console import Console
from rich.text import Text

from kubeforge.engine.plan import Plan, PlannedChange, PlannedStep
from kubeforge.errors import Problem
from kubeforge.operations.model import Diff
from kubeforge.report.words import STYLES, SYMBOLS, counted, failure_lines, hosts_named, summary

__all__ = ["as_json", "as_text", "as_yaml", "diff_lines", "print_plan"]

TITLE_WIDTH = 44
MAX_DIFF_LINES = 200
"""Lines of one file's diff that text shows; JSON has all of them."""


def as_json(plan: Plan, warnings: Iterable[Problem] = ()) -> str:
    """Return the plan as JSON; `Plan.from_data` reads it.

    Args:
        plan: what will be done.
        warnings: about the input.
    """
    data = {**plan.to_data(), "warnings": [asdict(warning) for warning in warnings]}
    return json.dumps(data, ensure_ascii=False, indent=2)


def as_yaml(plan: Plan, warnings: Iterable[Problem] = ()) -> str:
    """Return the plan as YAML, with the same fields as the JSON."""
    plain = json.loads(as_json(plan, warnings))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))


def as_text(plan: Plan, *, diff: bool = False) -> str:
    """Return the plan as plain text, without colour."""
    return "\n".join(line.plain for line in _lines(plan, diff=diff)) + "\n"


def print_plan(plan: Plan, console: Console, *, diff: bool = False, failures: bool = True) -> None:
    """Print the plan, in colour where the console has any.

    Args:
        plan: what will be done.
        console: where to.
        diff: also what changes inside of files.
        failures: also hosts that could not be planned; not where a console has shown them already.
    """
    for line in _lines(plan, diff=diff, failures=failures):
        console.print(line, soft_wrap=True)


def _lines(plan: Plan, *, diff: bool, failures: bool = True) -> Iterator[Text]:
    for failure in plan.failures if failures else ():
        for number, line in enumerate(failure_lines(failure)):
            yield Text(line, style="bold red" if number == 0 else "")
        yield Text()
    for play in plan.plays:
        steps = [step for step in plan.steps if step.play == play]
        if steps:
            yield Text(play, style="bold")
            for hosts, changes in _folded(steps):
                yield Text(f"  {hosts_named(hosts, len(plan.hosts))}", style="cyan")
                for change in changes:
                    yield from _change(change, diff=diff)
            yield Text()
    yield Text(summary(plan), style="bold")
    if plan:
        concerned = {step.host for step in plan.steps}
        yield Text(f"{counted(plan.changes, 'change')} on {counted(len(concerned), 'host')} of {len(plan.hosts)}.")


def _folded(steps: Sequence[PlannedStep]) -> Iterator[tuple[list[str], list[PlannedChange]]]:
    """Yield runs of changes with the hosts that have exactly these, hosts with the same work together."""
    work: dict[str, list[PlannedChange]] = {}
    for step in steps:
        work.setdefault(step.host, []).extend(step.changes)
    alike: dict[tuple[tuple[object, ...], ...], list[str]] = {}
    for host, changes in work.items():
        alike.setdefault(tuple(map(_shown, changes)), []).append(host)
    for hosts in alike.values():
        yield hosts, work[hosts[0]]


def _shown(change: PlannedChange) -> tuple[object, ...]:
    """Return what makes two changes look the same: contents may differ from host to host, as certificates do."""
    return change.title, change.verb, change.why, change.diff


def _change(change: PlannedChange, *, diff: bool) -> Iterator[Text]:
    style = STYLES.get(change.verb, "")
    line = Text("    ")
    line.append(f"{SYMBOLS.get(change.verb, '*')} ", style=style)
    line.append(f"{change.title:<{TITLE_WIDTH}}")
    line.append(f"  {change.why}", style="dim")
    line.rstrip()
    yield line
    if diff and change.diff is not None:
        yield from (Text(f"        {text}", style=shade) for text, shade in diff_lines(change.diff))
    elif diff and change.secret:
        yield Text("        (secret: not shown)", style="dim")


def diff_lines(diff: Diff) -> Iterator[tuple[str, str]]:
    """Yield the unified diff's lines with their colours, cut at MAX_DIFF_LINES."""
    before, after = diff.before.splitlines(), diff.after.splitlines()
    lines = list(difflib.unified_diff(before, after, f"{diff.path} (now)", diff.path, lineterm="", n=2))
    if not lines and diff.before != diff.after:
        yield "only the ends of lines differ", "dim"
    for line in lines[:MAX_DIFF_LINES]:
        shade = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
        yield line, "bold" if line.startswith(("+++", "---")) else shade
    if len(lines) > MAX_DIFF_LINES:
        yield f"… {len(lines) - MAX_DIFF_LINES} more lines", "dim"
