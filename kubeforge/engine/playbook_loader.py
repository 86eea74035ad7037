"""Reads a playbook's YAML and checks it against the registry; names every problem at once, with its line.

It looks at no host and no inventory: whether a pattern selects anybody is found where the hosts are known.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kubeforge.engine.model import Task
from kubeforge.engine.playbook import Play, Playbook, Portion, TaskCall, suggestion
from kubeforge.errors import InputError, Problem

__all__ = ["load", "parse"]

PLAY_KEYS = (
    "play",
    "hosts",
    "tasks",
    "serial",
    "by_group",
    "order",
    "run_once",
    "tags",
    "max_failures",
    "ignore_unreachable",
    "vars",
    "facts",
)
ORDERS = ("inventory", "reverse_inventory")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
PORTION = re.compile(r"(\d{1,9})(%?)")


def load(path: Path, registry: Mapping[str, Task]) -> Playbook:
    """Read a playbook from a file.

    Raises:
        InputError: it cannot be read, or has problems; all of them.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError([Problem(message=f"the playbook cannot be read: {why}", file=str(path))]) from None
    return parse(text, registry, file=str(path))


def parse(text: str, registry: Mapping[str, Task], *, file: str = "playbook.yml") -> Playbook:
    """Make a Playbook of YAML text.

    Args:
        text: a list of plays.
        registry: the tasks there are, by name.
        file: what problems name.

    Raises:
        InputError: all problems at once.
    """
    reader = _Reader(file, registry)
    plays = reader.plays(text)
    if reader.problems:
        raise InputError(sorted(reader.problems, key=lambda problem: problem.line or 0))
    return Playbook(name=Path(file).stem, plays=tuple(plays), file=file)


class _Reader:
    """One reading of one playbook; works on YAML nodes, as only these know their lines."""

    def __init__(self, file: str, registry: Mapping[str, Task]) -> None:
        self.file = file
        self.registry = registry
        self.problems: list[Problem] = []

    def problem(self, node: yaml.Node | None, field: str | None, message: str) -> None:
        line = node.start_mark.line + 1 if node is not None else None
        self.problems.append(Problem(message=message, file=self.file, line=line, field=field))

    def plays(self, text: str) -> list[Play]:
        try:
            root = yaml.compose(text, Loader=LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = mark.line + 1 if mark else None
            self.problems.append(Problem(message=f"not YAML: {error.problem}", file=self.file, line=line))
            return []
        except yaml.YAMLError as error:
            self.problems.append(Problem(message=f"not YAML: {str(error).splitlines()[0]}", file=self.file))
            return []
        if not isinstance(root, yaml.SequenceNode) or not root.value:
            self.problem(root, None, "a playbook is a list of plays: `- play: …`")
            return []
        plays = [self.play(node) for node in root.value]
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
        keys = self.mapping(node, None, PLAY_KEYS)
        for required in ("play", "hosts", "tasks"):
            if required not in keys and isinstance(node, yaml.MappingNode):
                self.problem(node, required, "is missing")
        return Play(
            name=self.text(keys.get("play"), "play"),
            hosts=self.pattern(keys.get("hosts")),
            tasks=self.tasks(keys.get("tasks")),
            serial=self.serial(keys.get("serial")),
            by_group=self.flag(keys.get("by_group"), "by_group", default=False),
            reverse=self.reverse(keys.get("order")),
            run_once=self.flag(keys.get("run_once"), "run_once", default=False),
            tags=frozenset(self.words(keys.get("tags"), "tags")),
            max_failures=self.portion(keys["max_failures"], "max_failures", least=0)
            if "max_failures" in keys
            else Portion(0),
            ignore_unreachable=self.flag(keys.get("ignore_unreachable"), "ignore_unreachable", default=False),
            vars=self.value(keys["vars"], "vars", dict) if "vars" in keys else {},
            facts=self.flag(keys.get("facts"), "facts", default=True),
            line=node.start_mark.line + 1,
        )

    def mapping(self, node: yaml.Node, field: str | None, known: tuple[str, ...] | None) -> dict[str, yaml.Node]:
        """Return a mapping's values by key; doubles and unknown keys are problems."""
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, field, "a mapping is expected here")
            return {}
        keys: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in keys:
                self.problem(key_node, key, "is said twice")
            elif known is not None and key not in known:
                self.problem(key_node, key, f"is no key of a play{suggestion(key, known)}")
            else:
                keys[key] = value_node
        return keys

    def value(self, node: yaml.Node, field: str, kind: type) -> Any:
        """Return a node as plain data of one type, or an empty one of it."""
        made = self.construct(node, field)
        if not isinstance(made, kind):
            self.problem(node, field, f"a {_plain(kind)} is expected here, not {made!r}")
            return kind()
        return made

    def construct(self, node: yaml.Node, field: str) -> Any:
        loader = LOADER("")
        try:
            return loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            self.problem(node, field, str(error.problem))
            return None
        finally:
            loader.dispose()

    def text(self, node: yaml.Node | None, field: str) -> str:
        if node is None:
            return ""
        if isinstance(node, yaml.ScalarNode) and str(node.value).strip():
            return str(node.value)
        self.problem(node, field, "a text is expected here")
        return ""

    def pattern(self, node: yaml.Node | None) -> str:
        """Return the pattern of hosts; a list is joined, as in Ansible."""
        if isinstance(node, yaml.SequenceNode):
            return ",".join(self.words(node, "hosts"))
        return self.text(node, "hosts")

    def words(self, node: yaml.Node | None, field: str) -> list[str]:
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode):
            return [self.text(item, field) for item in node.value]
        return [word.strip() for word in self.text(node, field).split(",") if word.strip()]

    def flag(self, node: yaml.Node | None, field: str, *, default: bool) -> bool:
        return default if node is None else bool(self.value(node, field, bool))

    def reverse(self, node: yaml.Node | None) -> bool:
        """Read the order of hosts, in Ansible's words."""
        said = self.text(node, "order") or ORDERS[0]
        if said not in ORDERS:
            self.problem(node, "order", f"one of {', '.join(ORDERS)} is expected here{suggestion(said, ORDERS)}")
        return said == ORDERS[1]

    def serial(self, node: yaml.Node | None) -> tuple[Portion, ...]:
        if node is None:
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return tuple(self.portion(item, "serial", least=1) for item in items)

    def portion(self, node: yaml.Node, field: str, *, least: int) -> Portion:
        found = PORTION.fullmatch(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
        made = Portion(int(found[1]), percent=bool(found[2])) if found else None
        if made is None or made.amount < least or (made.percent and made.amount > 100):
            self.problem(node, field, f"a number of hosts (at least {least}) or a percentage (30%) is expected here")
            return Portion(max(least, 0))
        return made

    def tasks(self, node: yaml.Node | None) -> tuple[TaskCall, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.problem(node, "tasks", "a list of tasks is expected here")
            return ()
        calls = [self.call(item) for item in node.value]
        return tuple(call for call in calls if call is not None)

    def call(self, node: yaml.Node) -> TaskCall | None:
        """Read `name` or `{name: {arguments}}`."""
        arguments: dict[str, Any] = {}
        if isinstance(node, yaml.MappingNode):
            if len(node.value) != 1:
                self.problem(node, "tasks", "a task is `name` or `name: {arguments}`, one per item of the list")
                return None
            key, value = node.value[0]
            name = self.text(key, "tasks")
            if not (isinstance(value, yaml.ScalarNode) and value.value in {"", "~", "null"}):
                arguments = self.value(value, name, dict)
        else:
            name = self.text(node, "tasks")
        if not name:
            return None
        call = TaskCall(name=name, arguments=arguments, line=node.start_mark.line + 1)
        self.check_call(node, call)
        return call

    def check_call(self, node: yaml.Node, call: TaskCall) -> None:
        """Compare a call with its task's signature."""
        task = self.registry.get(call.name)
        if task is None:
            self.problem(node, "tasks", f"there is no task {call.name}{suggestion(call.name, list(self.registry))}")
            return
        parameters = list(inspect.signature(task.function).parameters.values())[1:]
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return
        known = [parameter.name for parameter in parameters]
        for name in call.arguments:
            if name not in known:
                self.problem(node, call.name, f"takes no argument {name}{suggestion(str(name), known)}")
        for parameter in parameters:
            if parameter.default is parameter.empty and parameter.name not in call.arguments:
                self.problem(node, call.name, f"needs the argument {parameter.name}")


def _plain(kind: type) -> str:
    return {bool: "yes or no", dict: "mapping"}.get(kind, kind.__name__)
