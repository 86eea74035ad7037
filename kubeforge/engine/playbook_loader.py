"""Reads a playbook's YAML and checks it against the registry; names every problem at once, with its line.

It looks at no host and no inventory: whether a pattern selects anybody is found where the hosts are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast, get_args

import yaml

from kubeforge.engine.model import Task
from kubeforge.engine.playbook import Order, Play, Playbook, Portion, TaskCall, suggestion
from kubeforge.engine.playbook_calls import BECOMING, SURROUNDINGS, CallReader, becoming
from kubeforge.engine.playbook_nodes import NodeReader
from kubeforge.errors import InputError, Problem
from kubeforge.resources import playbooks

__all__ = ["PLAY_KEYS", "load", "parse"]

PLAY_KEYS: Final = (
    "play", "hosts", "tasks", "handlers", "serial", "by_group", "order", "run_once", "tags", "max_failures",
    "max_fail_percentage", "ignore_unreachable", "vars", "facts", *BECOMING, *SURROUNDINGS,
)  # fmt: skip


def load(path: Path, registry: Mapping[str, Task]) -> Playbook:
    """Read a playbook from a file; one in the folder of kubeforge's own is one of these.

    Raises:
        InputError: it cannot be read, or has problems; all of them.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError([Problem(message=f"the playbook cannot be read: {why}", file=str(path))]) from None
    return replace(parse(text, registry, file=str(path)), shipped=_is_shipped(path))


def _is_shipped(path: Path) -> bool:
    return path.resolve().parent == playbooks().resolve()


def parse(text: str, registry: Mapping[str, Task], *, file: str = "playbook.yml") -> Playbook:
    """Make a Playbook of YAML text.

    Args:
        text: a list of plays.
        registry: the tasks there are, by name.
        file: what problems name; included files are looked for beside it.

    Raises:
        InputError: all problems at once.
    """
    reader = _Reader(file, registry)
    plays = reader.plays(text)
    if reader.problems:
        raise InputError(sorted(reader.problems, key=lambda one: (one.file != file, one.file or "", one.line or 0)))
    return Playbook(name=Path(file).stem, plays=tuple(plays), file=file)


class _Reader:
    """One reading of one playbook."""

    def __init__(self, file: str, registry: Mapping[str, Task]) -> None:
        self.file = file
        self.registry = registry
        self.problems: list[Problem] = []
        self.nodes = NodeReader(file, self.problems)

    def plays(self, text: str) -> list[Play]:
        plays = [self.play(node) for node in self.nodes.items(text, "a playbook is a list of plays: `- play: …`")]
        self.unique_names(plays)
        return plays

    def unique_names(self, plays: list[Play]) -> None:
        seen: dict[str, int | None] = {}
        for play in plays:
            if play.name in seen:
                message = f"a play with this name is already on line {seen[play.name]}"
                self.problems.append(Problem(message=message, file=self.file, line=play.line, field="play"))
            seen[play.name] = play.line

    def play(self, node: yaml.Node) -> Play:
        nodes = self.nodes
        keys = nodes.mapping(node, None, PLAY_KEYS)
        for required in ("play", "hosts", "tasks"):
            if required not in keys and isinstance(node, yaml.MappingNode):
                nodes.problem(node, required, "is missing")
        shared = TaskCall(name="", **becoming(nodes, keys, TaskCall(name="")))
        above = (Path(self.file),)
        calls = CallReader(nodes=nodes, registry=self.registry, around=self.around(keys), above=above, shared=shared)
        play = Play(
            name=nodes.text(keys.get("play"), "play"),
            hosts=self.pattern(keys.get("hosts")),
            tasks=calls.calls(keys.get("tasks"), "tasks"),
            handlers=calls.calls(keys.get("handlers"), "handlers"),
            serial=self.serial(keys.get("serial")),
            by_group=nodes.flag(keys.get("by_group"), "by_group", default=False),
            order=cast("Order", nodes.choice(keys.get("order"), "order", get_args(Order))),
            run_once=nodes.flag(keys.get("run_once"), "run_once", default=False),
            tags=frozenset(nodes.words(keys.get("tags"), "tags")),
            max_failures=self.max_failures(keys),
            each_batch="max_fail_percentage" in keys and "serial" in keys,
            ignore_unreachable=nodes.flag(keys.get("ignore_unreachable"), "ignore_unreachable", default=False),
            vars=nodes.value(keys["vars"], "vars", dict) if "vars" in keys else {},
            facts=nodes.flag(keys.get("facts"), "facts", default=True),
            line=node.start_mark.line + 1,
            hosts_line=nodes.line_of(node, "hosts"),
        )
        self.problems += _unheard(play, self.file)
        return play

    def around(self, keys: Mapping[str, yaml.Node]) -> dict[str, Any]:
        """Read what the play says of the surroundings of its commands."""
        nodes = self.nodes
        return {
            key: nodes.value(keys[key], key, dict) if key == "environment" else nodes.text(keys[key], key)
            for key in SURROUNDINGS
            if key in keys
        }

    def pattern(self, node: yaml.Node | None) -> str:
        """Return the pattern of hosts; a list is joined, as in Ansible."""
        if isinstance(node, yaml.SequenceNode):
            return ",".join(self.nodes.words(node, "hosts"))
        return self.nodes.text(node, "hosts")

    def serial(self, node: yaml.Node | None) -> tuple[Portion, ...]:
        if node is None:
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return tuple(self.nodes.portion(item, "serial", least=1) for item in items)

    def max_failures(self, keys: Mapping[str, yaml.Node]) -> Portion:
        """Read `max_failures`, or Ansible's `max_fail_percentage`, which is a percentage with or without its sign."""
        ours, theirs = keys.get("max_failures"), keys.get("max_fail_percentage")
        if ours is not None and theirs is not None:
            self.nodes.problem(theirs, "max_fail_percentage", "says the same as max_failures: give one of them")
        if theirs is not None:
            said = self.nodes.portion(theirs, "max_fail_percentage", least=0)
            return replace(said, percent=True)
        return Portion(0) if ours is None else self.nodes.portion(ours, "max_failures", least=0)


def _unheard(play: Play, file: str) -> Iterator[Problem]:
    """Yield what is wrong between those that notify and the handlers."""
    known = [handler.label for handler in play.handlers]
    for number, handler in enumerate(play.handlers):
        if not handler.label:
            yield _at(
                handler, file, "handlers", "a handler needs a name, by which it is notified: `name: restart nginx`"
            )
        elif handler.label in known[:number]:
            yield _at(handler, file, "handlers", f"another handler is called {handler.label!r}, too")
    for call in (*play.tasks, *play.handlers):
        for label in call.notify:
            if label not in known:
                message = f"the play has no handler {label!r}{suggestion(label, known)}"
                yield _at(call, file, "notify", message)


def _at(call: TaskCall, file: str, field: str, message: str) -> Problem:
    return Problem(message=message, file=call.file or file, line=call.line, field=field)
