"""Reads the tasks that a play lists: name, arguments, keywords, included lists; compares them with the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from kubeforge.engine.model import Task
from kubeforge.engine.playbook import TaskCall, suggestion
from kubeforge.engine.playbook_nodes import NodeReader
from kubeforge.engine.signatures import complaint, signature
from kubeforge.engine.templating import has_template, wrong_template

__all__ = ["BECOMING", "CALL_KEYS", "SURROUNDINGS", "CallReader", "Surroundings", "becoming"]

SURROUNDINGS: Final = ("environment", "chdir")
"""Keywords that are arguments of those tasks that take them: with which variables a command is run, and where."""

BECOMING: Final = ("become", "become_user")
CALL_KEYS: Final = ("name", "tags", "notify", "delegate_to", "run_once", "vars", *BECOMING, *SURROUNDINGS)
_PYTHON: Final = frozenset({"when", "loop", "until", "register", "block", "rescue", "retries", "failed_when"})
_SHAPE: Final = "a task is `name` or `name: {arguments}`, one per item of the list"
_MOST_INCLUDES: Final = 20

Surroundings = Mapping[str, Any]
"""What a play or a call says of SURROUNDINGS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReader:
    """Reads lists of tasks of one file.

    Args:
        nodes: the file's reader.
        registry: the tasks there are, by name.
        around: what the play says of SURROUNDINGS.
        file: for calls of an included file; None: they are the playbook's own.
        above: the files that lead here, outermost first.
        shared: keywords of the play or the include, over which each call's own lie.
    """

    nodes: NodeReader
    registry: Mapping[str, Task]
    around: Surroundings = field(default_factory=dict)
    file: str | None = None
    above: tuple[Path, ...] = ()
    shared: TaskCall = field(default_factory=lambda: TaskCall(name=""))

    def calls(self, node: yaml.Node | None, what: str) -> tuple[TaskCall, ...]:
        """Read `tasks:` or `handlers:`."""
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.nodes.problem(node, what, "a list of tasks is expected here")
            return ()
        return tuple(call for item in node.value for call in self.call(item))

    def call(self, node: yaml.Node) -> Sequence[TaskCall]:
        """Read `name`, `{name: {arguments}, keywords…}` or `{include: FILE, keywords…}`."""
        if not isinstance(node, yaml.MappingNode):
            name = self.nodes.text(node, "tasks")
            call = self._keywords({}, TaskCall(name=name, line=_line(node)))
            return [self._checked(node, node, call, {})] if name else []
        keys = self.nodes.mapping(node, None, None)
        others = [key for key in keys if key not in CALL_KEYS]
        if len(others) != 1:
            self._misshapen(node, others)
            return []
        (name,) = others
        call = self._keywords(keys, TaskCall(name=name, line=_line(node)))
        own: dict[str, Any] = {key: self._surrounding(keys[key], key) for key in SURROUNDINGS if key in keys}
        if name == "include":
            return self._included(keys[name], call, own)
        return [self._checked(node, keys[name], call, own)]

    def _misshapen(self, node: yaml.MappingNode, others: Sequence[str]) -> None:
        for key in others:
            if key in _PYTHON or key.startswith("with_"):
                message = "conditions and loops are Python: write a task in the .py file beside this playbook"
                self.nodes.problem(node, key, message)
                return
        named = [key for key in others if key in self.registry or "." in key]
        if len(named) != 1:
            self.nodes.problem(node, "tasks", _SHAPE)
            return
        for key in others:
            if key not in named:
                self.nodes.problem(node, key, f"is no keyword of a task{suggestion(key, CALL_KEYS)}")

    def _keywords(self, keys: Mapping[str, yaml.Node], call: TaskCall) -> TaskCall:
        nodes, shared = self.nodes, self.shared
        given = nodes.value(keys["vars"], "vars", dict) if "vars" in keys else {}
        return replace(
            call,
            file=self.file,
            label=nodes.text(keys.get("name"), "name"),
            own_tags=shared.own_tags | frozenset(nodes.words(keys.get("tags"), "tags")),
            notify=(*shared.notify, *nodes.words(keys.get("notify"), "notify")),
            delegate_to=nodes.text(keys.get("delegate_to"), "delegate_to") or shared.delegate_to,
            run_once=nodes.flag(keys.get("run_once"), "run_once", default=shared.run_once),
            vars={**shared.vars, **given},
            **becoming(nodes, keys, shared),
        )

    def _surrounding(self, node: yaml.Node, key: str) -> Any:
        return self.nodes.value(node, key, dict) if key == "environment" else self.nodes.text(node, key)

    def _included(self, node: yaml.Node, call: TaskCall, own: Surroundings) -> Sequence[TaskCall]:
        """Read the tasks of another file; its path is relative to the file that includes it."""
        name = self.nodes.text(node, "include")
        path = Path(self.nodes.file).parent / name
        if not name:
            return []
        if path in self.above or len(self.above) > _MOST_INCLUDES:
            self.nodes.problem(node, "include", f"{name} includes itself")
            return []
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            self.nodes.problem(node, "include", f"{name} cannot be read: {why}")
            return []
        reader = replace(
            self,
            nodes=NodeReader(str(path), self.nodes.problems),
            around=_over(self.around, own),
            file=str(path),
            above=(*self.above, path),
            shared=call,
        )
        items = reader.nodes.items(text, "a list of tasks is expected here: `- name: {arguments}`")
        return [made for item in items for made in reader.call(item)]

    def _checked(self, node: yaml.Node, value: yaml.Node, call: TaskCall, own: Surroundings) -> TaskCall:
        """Return the call with its arguments, compared with the task's signature."""
        arguments: dict[str, Any] = {}
        empty = isinstance(value, yaml.ScalarNode) and value.value in {"", "~", "null"}
        if value is not node and not empty:
            arguments = self.nodes.value(value, call.name, dict)
        task = self.registry.get(call.name)
        if task is None:
            self.nodes.problem(node, "tasks", f"there is no task {call.name}{self._near(call.name)}")
            return call
        taken = signature(task).parameters
        for key in own:
            if key not in taken:
                self.nodes.problem(node, key, f"means nothing to {call.name}, which runs no command of yours")
        around = {key: said for key, said in _over(self.around, own).items() if key in taken}
        call = replace(call, arguments={**around, **arguments})
        self._compare(node, _nodes_of(value), task, call)
        return call

    def _near(self, name: str) -> str:
        """Return the end of a sentence that helps: what others call so, or what looks alike."""
        last = name.rpartition(".")[2]
        known = next((task.name for task in self.registry.values() if last in task.aka), None)
        return f" (here it is {known})" if known else suggestion(name, list(self.registry))

    def _compare(self, node: yaml.Node, places: Mapping[str, yaml.Node], task: Task, call: TaskCall) -> None:
        expected = signature(task)
        if expected.is_open:
            return
        known = list(expected.parameters)
        for name, value in call.arguments.items():
            parameter, place = expected.parameters.get(name), places.get(name, node)
            if parameter is None:
                self.nodes.problem(place, call.name, f"takes no argument {name}{suggestion(str(name), known)}")
            elif has_template(value):
                self._templates(place, f"{call.name}.{name}", value)
            elif (why := complaint(parameter, value)) is not None:
                self.nodes.problem(place, f"{call.name}.{name}", why)
        for parameter in expected.parameters.values():
            if parameter.required and parameter.name not in call.arguments:
                self.nodes.problem(node, call.name, f"needs the argument {parameter.name}")

    def _templates(self, place: yaml.Node, field: str, value: Any) -> None:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for part in parts:
            self._templates(place, field, part)
        if isinstance(value, str) and (why := wrong_template(value)) is not None:
            self.nodes.problem(place, field, f"no template: {why}")


def becoming(nodes: NodeReader, keys: Mapping[str, yaml.Node], around: TaskCall) -> dict[str, Any]:
    """Return what is said of who does something, over what is said around it.

    As in Ansible `become` alone keeps the user that is named around it; `become_user` alone means `become: true`, too.
    """
    user = nodes.text(keys.get("become_user"), "become_user")
    said = nodes.flag(keys["become"], "become", default=False) if "become" in keys else None
    if said is False and user:
        nodes.problem(keys["become_user"], "become_user", "becomes nobody: `become: false` is said beside it")
    if user and (why := wrong_template(user)) is not None:
        nodes.problem(keys["become_user"], "become_user", f"no template: {why}")
    if user or said is False:
        return {"become": bool(user), "become_user": user}
    return {"become": said if said is not None else around.become, "become_user": around.become_user}


def _over(below: Surroundings, above: Surroundings) -> dict[str, Any]:
    """Put a call's surroundings over the play's; variables of the environment add up."""
    merged = {**below, **above}
    if "environment" in below and "environment" in above:
        merged["environment"] = {**below["environment"], **above["environment"]}
    return merged


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _nodes_of(node: yaml.Node) -> dict[str, yaml.Node]:
    """Return the keys of a mapping as nodes, for their lines."""
    return {str(key.value): key for key, _ in node.value} if isinstance(node, yaml.MappingNode) else {}
