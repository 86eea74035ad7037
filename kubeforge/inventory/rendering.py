"""A host's variables, rendered when they are asked for: `ansible_host: 10.0.0.{{ number }}`.

Jinja2 in its sandbox with Ansible's everyday filters (`filters.py`), no lookups. A value that is one expression keeps
its type. Text without `{{` or `{%` is never parsed, and jinja2 not imported. What comes from a password variable, from
ansible-vault, or was made of either, is a `Secret` wherever it is read: of a mapping or a list, each text and number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from kubeforge.documents import holds_secret, revealed, shielded
from kubeforge.errors import InputError, Problem
from kubeforge.inventory.backslashes import with_backslashes
from kubeforge.inventory.draft import Verbatim, Written, suggestion
from kubeforge.inventory.vault import Refused, Sealed

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["SECRET_NAMES", "HostVars", "compiles", "looked_up"]

SECRET_NAMES: Final = frozenset({
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
})  # fmt: skip

_UNDEFINED: Final = re.compile(r"'(\w+)' is undefined")
_NEIGHBOURS: Final = "hostvars"
_OPENING: Final = ("{{", "{%")
_COMMENT: Final = "{#"
_BROKEN: Final = (ArithmeticError, AttributeError, TypeError, ValueError, LookupError, re.error)
"""What expressions and filters raise when a value is not what they expect."""

Lookup = Callable[[str], Any]
Template = Callable[[Lookup], Any]


@dataclass(frozen=True, slots=True)
class _Value:
    """A variable's value in the clear, and as readers get it: the same object where nothing in it is secret."""

    clear: Any
    shown: Any

    @property
    def secret(self) -> bool:
        return self.shown is not self.clear


class HostVars(Mapping[str, Any]):
    """Variables of one host.

    Args:
        written: merged, as they were written.
        magic: names that only templates see (`inventory_hostname`, `groups`, …); `hostvars` is host -> HostVars.

    Raises:
        InputError: from every access, when the value cannot be rendered or opened; names file and line.
    """

    __slots__ = ("_cache", "_magic", "_written")

    def __init__(self, written: Mapping[str, Written], magic: Mapping[str, Any] | None = None) -> None:
        self._written = written
        self._magic = magic or {}
        self._cache: dict[str, _Value] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._written:
            raise KeyError(name)
        return self._evaluate(name, ()).shown

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)

    def __contains__(self, name: object) -> bool:
        return name in self._written

    def __repr__(self) -> str:
        return f"HostVars({', '.join(self._written)})"

    def __getstate__(self) -> tuple[object, ...]:
        """Leave other hosts' variables behind; what was made of them goes along."""
        for name, written in self._written.items():
            if _NEIGHBOURS in str(written.value):
                self._evaluate(name, ())
        return self._written, {name: value for name, value in self._magic.items() if name != _NEIGHBOURS}, self._cache

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._written, self._magic, self._cache = state

    def place(self, name: str) -> Written:
        """Return the variable as it was written."""
        return self._written[name]

    def clear(self, name: str) -> tuple[Any, bool]:
        """Return a value in the clear, and whether it is secret: for what makes connections of it."""
        found = self._evaluate(name, ())
        return found.clear, found.secret

    def seen(self, name: str) -> tuple[Any, bool]:
        """Return what other hosts' templates see: a variable as `clear` gives it, or what is known of the host."""
        return self.clear(name) if name in self._written else (self._magic[name], False)

    def evaluate(self, expression: Written, field: str) -> tuple[Any, bool]:
        """Return what a Jinja expression (without braces) gives on this host, in the clear, and whether it is secret.

        Args:
            expression: with the place that errors name.
            field: for errors.

        Raises:
            InputError: it cannot be evaluated.
        """
        with_it = HostVars({**self._written, field: expression}, self._magic)
        return with_it._render(field, _expression(str(expression.value)), ())

    def rendered(self, template: Written, field: str) -> tuple[Any, bool]:
        """Return what a text with templates gives on this host; as `evaluate`."""
        return HostVars({**self._written, field: template}, self._magic).clear(field)

    def _evaluate(self, name: str, around: tuple[str, ...]) -> _Value:
        if name not in self._cache:
            written = self._written[name]
            inside = (*around, name)
            if name in around:
                raise self._problem(name, f"it needs itself: {' > '.join(inside)}")
            value, tainted = written.value, written.secret or name in SECRET_NAMES
            if not _is_plain(value):
                value = self._opened(name, value)
                if not written.literal:
                    value, touched = self._render(name, lambda look_up: _rendered(value, look_up), inside)
                    tainted = tainted or touched
            shown = shielded(value) if tainted else value
            hidden = tainted or holds_secret(value)
            self._cache[name] = _Value(revealed(value) if hidden else value, shown)
        return self._cache[name]

    def _opened(self, name: str, value: Any) -> Any:
        """Return a value with everything opened that ansible-vault had encrypted."""
        try:
            return _open(value)
        except UnicodeDecodeError as error:
            raise self._problem(name, "what is encrypted in it is not UTF-8 text") from error
        except Refused as error:
            raise self._problem(name, str(error)) from error

    def _render(self, name: str, template: Template, inside: tuple[str, ...]) -> tuple[Any, bool]:
        import jinja2  # noqa: PLC0415 - 40 ms, and most inventories need none

        touched: list[str] = []

        def look_up(wanted: str) -> Any:
            if wanted in self._written:
                found = self._evaluate(wanted, inside)
                touched.extend([wanted] if found.secret else ())
                return found.clear
            if wanted == _NEIGHBOURS and _NEIGHBOURS in self._magic:
                return _Neighbours(self._magic[_NEIGHBOURS], touched)
            return self._magic[wanted]

        try:
            return template(look_up), bool(touched)
        except jinja2.UndefinedError as error:
            hidden = "something in it, which is secret, is not defined"
            raise self._problem(name, hidden if self._hides(name) else self._undefined(str(error.message))) from error
        except jinja2.TemplateSyntaxError as error:
            why = "" if self._hides(name) else f": {error.message}"
            raise self._problem(name, f"not a Jinja expression{why}; `!unsafe` keeps braces as they are") from error
        except RecursionError as error:
            raise self._problem(name, "it needs itself, through hostvars") from error
        except (jinja2.TemplateError, *_BROKEN) as error:
            quoted = type(error).__name__ if touched or self._hides(name) else str(error)  # it may quote the secret
            raise self._problem(name, f"cannot be rendered: {quoted}") from error

    def _hides(self, name: str) -> bool:
        """Return whether nothing of a variable's text may be shown."""
        return self._written[name].secret or name in SECRET_NAMES

    def _undefined(self, message: str) -> str:
        match = _UNDEFINED.search(message)
        if match is None:
            return message
        return f"the variable {match[1]} is not defined{suggestion(match[1], (*self._written, *self._magic))}"

    def _problem(self, name: str, message: str) -> InputError:
        written = self._written[name]
        return InputError([Problem(message=message, file=written.file, line=written.line, field=name)])


class _Neighbours(Mapping[str, Any]):
    """Other hosts' variables as a template sees them: in the clear, noting whether anything secret was looked at."""

    def __init__(self, hosts: Mapping[str, HostVars], touched: list[str]) -> None:
        self._hosts = hosts
        self._touched = touched

    def __getitem__(self, host: str) -> Any:
        return _Neighbour(self._hosts[host], self._touched)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


class _Neighbour(Mapping[str, Any]):
    def __init__(self, variables: HostVars, touched: list[str]) -> None:
        self._variables = variables
        self._touched = touched

    def __getitem__(self, name: str) -> Any:
        value, secret = self._variables.seen(name)
        self._touched.extend([name] if secret else ())
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def compiles(expression: str) -> str | None:
    """Return why a text is no Jinja expression; None where it is one."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - see HostVars

    try:
        _expression(expression)
    except TemplateSyntaxError as error:
        return error.message or "not a Jinja expression"
    return None


def looked_up(expression: str) -> frozenset[str]:
    """Return the variables that an expression looks up."""
    return _names(f"{{{{ {expression} }}}}")


def _is_plain(value: Any) -> bool:
    """Return whether there is nothing to render and nothing to open."""
    if isinstance(value, str):
        return not (isinstance(value, Verbatim) or any(mark in value for mark in _OPENING))
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, Sealed)


def _open(value: Any) -> Any:
    """Return a copy in which everything encrypted is opened, as a Secret."""
    if isinstance(value, Sealed):
        secret = value.open()
        secret.reveal().decode()
        return secret
    if isinstance(value, Mapping):
        return {key: _open(part) for key, part in value.items()}
    return [_open(part) for part in value] if isinstance(value, list) else value


def _rendered(value: Any, look_up: Lookup) -> Any:
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, str):
        return value if _is_plain(value) else _template(value)(look_up)
    if isinstance(value, Mapping):
        return {key: _rendered(part, look_up) for key, part in value.items()}
    if isinstance(value, list):
        return [_rendered(part, look_up) for part in value]
    return value


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined  # noqa: PLC0415 - see HostVars
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415 - see HostVars

    from kubeforge.inventory.filters import FILTERS, TESTS  # noqa: PLC0415 - see HostVars

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters.update(FILTERS)
    environment.tests.update(TESTS)
    return environment


@lru_cache(maxsize=4096)
def _template(text: str) -> Template:
    """Return the compiled form of `text`, one for all hosts that share it."""
    text = with_backslashes(text, _environment())
    one = _one_expression(text)
    if one is not None:
        return _expression(one)
    template = _environment().from_string(text)
    names = _names(text)
    return lambda look_up: template.render(_values(names, look_up))


def _one_expression(text: str) -> str | None:
    """Return the expression that a text consists of, blanks around it aside; None where it is more, or less."""
    from jinja2 import nodes  # noqa: PLC0415 - see HostVars

    if _COMMENT in text:  # its place in the text is not known
        return None
    match _environment().parse(text.strip()).body:
        case [nodes.Output(nodes=[node])] if not isinstance(node, nodes.TemplateData):
            return text.strip()[2:-2].strip("+-")
    return None


@lru_cache(maxsize=4096)
def _expression(text: str) -> Template:
    """Return the compiled form of an expression; its value keeps its type."""
    from jinja2 import Undefined  # noqa: PLC0415 - see HostVars

    names = looked_up(text)
    expression = _environment().compile_expression(text, undefined_to_none=False)

    def evaluate(look_up: Lookup) -> Any:
        result = expression(_values(names, look_up))
        return str(result) if isinstance(result, Undefined) else result  # str() of an undefined one raises

    return evaluate


def _names(text: str) -> frozenset[str]:
    """Return the variables that a template's text looks up."""
    from jinja2 import meta  # noqa: PLC0415 - see HostVars

    return frozenset(meta.find_undeclared_variables(_environment().parse(text)))


def _values(names: frozenset[str], look_up: Lookup) -> dict[str, Any]:
    return {name: value for name in names if (value := _found(look_up, name)) is not _MISSING}


_MISSING: Final = object()


def _found(look_up: Lookup, name: str) -> Any:
    try:
        return look_up(name)
    except KeyError:
        return _MISSING
