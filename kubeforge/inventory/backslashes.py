"""Backslashes in templates, as Ansible has them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["with_backslashes"]


def with_backslashes(text: str, environment: Environment) -> str:
    r"""Return a text with doubled backslashes in the quotes inside of `{{ }}`: there they are signs like others.

    So has Ansible it in inventories and playbooks, that nobody need write `'\\1'` for a group of a regular expression;
    but not inside of `{% %}`, nor in expressions without braces, nor in template files.

    Args:
        text: of an inventory or a playbook.
        environment: whose signs begin and end an expression.

    Raises:
        jinja2.TemplateSyntaxError: it is no template.
    """
    if "\\" not in text:
        return text
    parts: list[str] = []
    inside = False
    for _, kind, part in environment.lex(text):
        inside = kind == "variable_begin" or (inside and kind != "variable_end")
        quoted = inside and kind == "string"
        parts.append(_doubled(part) if quoted else part)
    return "".join(parts)


def _doubled(quoted: str) -> str:
    mark = quoted[0]
    body = quoted[1:-1].replace("\\", "\\\\").replace(mark, f"\\{mark}")
    return f"{mark}{body}{mark}"
