"""Fills `{{ … }}` in a task's arguments for one host. Everything else in them is taken as written.

Jinja2 runs in its sandbox and knows variables only: no filters of ours, no files, no commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubeforge.engine.model import Context
from kubeforge.errors import KubeforgeError

__all__ = ["filled"]

OPENING = "{{"
WHOLE = re.compile(r"\s*\{\{((?:(?!\}\}).)*)\}\}\s*", re.DOTALL)


def filled(arguments: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Return `arguments` with every template filled.

    A text that is one `{{ expression }}` becomes the expression's value with its type; other texts become text.
    Names: `host` (name, address, groups), `groups`, `facts` of the host, `spec`, and all variables: the host's, under
    the play's, under those of the command line.

    Raises:
        KubeforgeError: a name is unknown or a template is wrong.
    """
    return {name: _fill(value, context, name) for name, value in arguments.items()}


def _fill(value: Any, context: Context, name: str) -> Any:
    if isinstance(value, str):
        return _render(value, context, name) if OPENING in value else value
    if isinstance(value, list):
        return [_fill(item, context, name) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, context, name) for key, item in value.items()}
    return value


def _render(text: str, context: Context, name: str) -> Any:
    from jinja2 import StrictUndefined, TemplateError  # noqa: PLC0415 - 40 ms that most playbooks do not need
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415 - likewise

    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    names = _names(context)
    try:
        whole = WHOLE.fullmatch(text)
        if whole:
            value = environment.compile_expression(whole[1], undefined_to_none=False)(**names)
            if isinstance(value, StrictUndefined):
                str(value)  # raises, with the name that is unknown
            return value
        return environment.from_string(text).render(names)
    except TemplateError as error:
        raise KubeforgeError(f"argument {name}: {text!r} cannot be filled: {error}") from None


def _names(context: Context) -> dict[str, Any]:
    own: dict[str, Any] = {
        "host": context.host,
        "groups": context.inventory.groups,
        "spec": context.spec,
        "facts": _LazyFacts(context),
    }
    return {**context.host.vars, **context.vars, **own}


class _LazyFacts:
    """The host's facts, asked only when a template looks at one."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context.mine, name)
