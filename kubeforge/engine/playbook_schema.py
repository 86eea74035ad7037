"""The JSON Schema of playbooks, for editors: made of the registry, so that it knows every task and argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from kubeforge.engine.model import Task
from kubeforge.engine.playbook import Order
from kubeforge.engine.signatures import schema_of, signature

__all__ = ["playbook_schema"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE: Final = {"type": "string", "pattern": r"\{\{|\{%"}
_WORDS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_PORTION: Final = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%?$"}]}
_VARS: Final = {"type": "object"}
_AROUND: Final[Mapping[str, Any]] = {
    "become": {"type": "boolean", "description": "As root, or as become_user; false: as who logs in."},
    "become_user": {"type": "string", "description": "Who does this, instead of root."},
    "environment": {"type": "object", "description": "Environment variables of commands."},
    "chdir": {"type": "string", "description": "Working directory of commands."},
}
_CALL: Final[Mapping[str, Any]] = {
    "name": {"type": "string", "description": "What a handler is notified by."},
    "tags": {**_WORDS, "description": "Words that select this task, beside its name and subject."},
    "notify": {**_WORDS, "description": "Handlers that run when this changes something."},
    "delegate_to": {"type": "string", "description": "Another host to do this on; localhost: this machine."},
    "run_once": {"type": "boolean", "description": "Only the first host of the play does this."},
    "vars": {**_VARS, "description": "Variables, over those of the play."},
    **_AROUND,
}
_PLAY: Final[Mapping[str, Any]] = {
    "play": {"type": "string", "description": "Its name, unique in the playbook."},
    "hosts": {**_WORDS, "description": "Pattern: names, groups, globs; a:b, a:&b, a:!b."},
    "tasks": {"$ref": "#/$defs/tasks"},
    "handlers": {"$ref": "#/$defs/tasks"},
    "serial": {"anyOf": [_PORTION, {"type": "array", "items": _PORTION}], "description": "Hosts at a time."},
    "by_group": {"type": "boolean", "description": "Each group of nodes of cluster.yml in its own batches."},
    "order": {"enum": list(get_args(Order)), "description": "In which hosts take their turns."},
    "run_once": {"type": "boolean", "description": "Only the first host takes part."},
    "tags": {**_WORDS, "description": "Words that select the play."},
    "max_failures": {**_PORTION, "description": "Hosts that may fail before the run stops."},
    "max_fail_percentage": {**_PORTION, "description": "Percentage of each batch that may fail before the run stops."},
    "ignore_unreachable": {"type": "boolean", "description": "Hosts that cannot be reached are left out, not failed."},
    "vars": {**_VARS, "description": "Variables for tasks and templates."},
    "facts": {"type": "boolean", "description": "Whether the hosts' facts are gathered beforehand."},
    **_AROUND,
}


def playbook_schema(registry: Mapping[str, Task]) -> dict[str, Any]:
    """Return the JSON Schema of a playbook.

    Args:
        registry: the tasks there are, by name.
    """
    names = sorted(registry)
    play = {
        "type": "object",
        "properties": dict(_PLAY),
        "required": ["play", "hosts", "tasks"],
        "additionalProperties": False,
    }
    return {
        "$schema": _DIALECT,
        "title": "kubeforge playbook",
        "type": "array",
        "minItems": 1,
        "items": play,
        "$defs": {"tasks": {"type": "array", "minItems": 1, "items": _call(registry, names)}},
    }


def _call(registry: Mapping[str, Task], names: list[str]) -> dict[str, Any]:
    bare = [name for name in names if not _needs(registry[name])]
    included = {"include": {"type": "string", "description": "Another file with a list of tasks."}}
    mapping = {
        "type": "object",
        "properties": {**_CALL, **included, **{name: _arguments(registry[name]) for name in names}},
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in ("include", *names)],
    }
    return {"anyOf": [{"enum": bare}, mapping]}


def _needs(task: Task) -> list[str]:
    return [parameter.name for parameter in signature(task).parameters.values() if parameter.required]


def _arguments(task: Task) -> dict[str, Any]:
    taken = signature(task)
    made: dict[str, Any] = {
        "type": "object" if _needs(task) else ["object", "null"],
        "description": task.summary,
        "properties": {
            name: {"anyOf": [schema_of(parameter), _TEMPLATE]} for name, parameter in taken.parameters.items()
        },
        "required": _needs(task),
        "additionalProperties": taken.is_open,
    }
    return made
