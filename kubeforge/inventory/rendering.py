"""A host's variables, rendered when they are asked for: `ansible_host: 10.0.0.{{ number }}`.

Plain Jinja2 in its sandbox, nothing of Ansible's own filters or lookups. A value that is one expression keeps its type.
What comes from a password variable is a `Secret`. Text without `{{` or `{%` is never parsed, and jinja2 not imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from kubeforge.errors import InputError, Problem
from kubeforge.inventory.draft import Written, suggestion
from kubeforge.secret import Secret

__all__ = ["SECRET_NAMES", "HostVars"]

SECRET_NAMES: Final = frozenset({
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
})  # fmt: skip

_ONE_EXPRESSION: Final = re.compile(r"\s*\{\{-?((?:(?!\{\{|\}\}).)*?)-?\}\}\s*", re.DOTALL)
_UNDEFINED: Final = re.compile(r"'(\w+)' is undefined")

Lookup = Callable[[str], Any]
Template = Callable[[Lookup], Any]


class HostVars(Mapping[str, Any]):
    """Variables of one host.

    Args:
        written: merged, as they were written.
        magic: names that only templates see (`inventory_hostname`, `groups`, …).

    Raises:
        InputError: from every access, when the value cannot be rendered; names file and line.
    """

    __slots__ = ("_cache", "_magic", "_written")

    def __init__(self, written: Mapping[str, Written], magic: Mapping[str, Any] | None = None) -> None:
        self._written = written
        self._magic = magic or {}
        self._cache: dict[str, tuple[Any, bool]] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._written:
            raise KeyError(name)
        value, secret = self._evaluate(name, ())
        return Secret(str(value)) if secret and value is not None else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)

    def __contains__(self, name: object) -> bool:
        return name in self._written

    def __repr__(self) -> str:
        return f"HostVars({', '.join(self._written)})"

    def place(self, name: str) -> Written:
        """Return the variable as it was written."""
        return self._written[name]

    def _evaluate(self, name: str, around: tuple[str, ...]) -> tuple[Any, bool]:
        """Return the value in the clear, and whether it is secret or made of something secret."""
        if name not in self._cache:
            written = self._written[name]
            inside = (*around, name)
            if name in around:
                raise self._problem(name, f"it needs itself: {' > '.join(inside)}")
            secret = name in SECRET_NAMES
            value = written.value
            if not written.literal and _has_template(value):
                value, tainted = self._render(name, value, inside)
                secret = secret or tainted
            self._cache[name] = (value, secret)
        return self._cache[name]

    def _render(self, name: str, value: Any, inside: tuple[str, ...]) -> tuple[Any, bool]:
        import jinja2  # noqa: PLC0415 - 40 ms, and most inventories need none

        tainted = False

        def look_up(wanted: str) -> Any:
            nonlocal tainted
            if wanted in self._written:
                found, secret = self._evaluate(wanted, inside)
                tainted = tainted or secret
                return found
            return self._magic[wanted]

        try:
            return _rendered(value, look_up), tainted
        except jinja2.UndefinedError as error:
            raise self._problem(name, self._undefined(str(error.message))) from error
        except jinja2.TemplateSyntaxError as error:
            raise self._problem(name, f"not a Jinja expression: {error.message}") from error
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise self._problem(name, f"cannot be rendered: {error}") from error

    def _undefined(self, message: str) -> str:
        match = _UNDEFINED.search(message)
        if match is None:
            return message
        return f"the variable {match[1]} is not defined{suggestion(match[1], (*self._written, *self._magic))}"

    def _problem(self, name: str, message: str) -> InputError:
        written = self._written[name]
        return InputError([Problem(message=message, file=written.file, line=written.line, field=name)])


def _has_template(value: Any) -> bool:
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(map(_has_template, value.values()))
    return isinstance(value, list) and any(map(_has_template, value))


def _rendered(value: Any, look_up: Lookup) -> Any:
    if isinstance(value, str):
        return _template(value)(look_up) if _has_template(value) else value
    if isinstance(value, Mapping):
        return {key: _rendered(part, look_up) for key, part in value.items()}
    if isinstance(value, list):
        return [_rendered(part, look_up) for part in value]
    return value


@lru_cache(maxsize=4096)
def _template(text: str) -> Template:
    """Return the compiled form of `text`, one for all hosts that share it."""
    from jinja2 import StrictUndefined, Undefined, meta  # noqa: PLC0415 - see HostVars
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415 - see HostVars

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    names = meta.find_undeclared_variables(environment.parse(text))
    one = _ONE_EXPRESSION.fullmatch(text)
    expression = environment.compile_expression(one[1], undefined_to_none=False) if one else None
    template = None if expression else environment.from_string(text)

    def render(look_up: Lookup) -> Any:
        values = {name: value for name in names if (value := _found(look_up, name)) is not _MISSING}
        if expression is None:
            assert template is not None
            return template.render(values)
        result = expression(values)
        return str(result) if isinstance(result, Undefined) else result  # str() of an undefined one raises

    return render


_MISSING: Final = object()


def _found(look_up: Lookup, name: str) -> Any:
    try:
        return look_up(name)
    except KeyError:
        return _MISSING
