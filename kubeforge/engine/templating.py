"""Jinja2 for arguments and template files: strict, in its sandbox, and a secret in a text makes the text a secret.

A `Secret` among the variables is revealed only where a template prints it, and what was printed into is a `Secret`
then: no diff, plan or journal shows it. Ansible's filters make secrets of secrets (`b64encode`); one that an expression
takes apart otherwise (`~`, `upper`) would come out as its mask; that is an error, not a file full of dots.
"""

from __future__ import annotations

import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeforge.documents import holds_secret, revealed, shielded
from kubeforge.errors import InputError, KubeforgeError, Problem
from kubeforge.inventory.backslashes import with_backslashes
from kubeforge.inventory.filters import FILTERS, OF_TEXT, TESTS
from kubeforge.secret import MASK, Secret
from kubeforge.spec.suggestions import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Template, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["Unfilled", "compiled_file", "evaluated", "has_template", "rendered", "rendered_file", "wrong_template"]

_UNDEFINED: Final = re.compile(r"'(\w+)' is undefined")
_PRINTED: Final = "__kubeforge_secrets__"
_REVEALED: Final = "__kubeforge_revealed__"
_JINJAS: Final = ("float", "int", "tojson", "urlencode")
"""Filters of Jinja2 itself that would silently make something else of a secret's mask."""
_TAKEN_APART: Final = "a secret is taken apart; print it whole: `{{ password }}`"


class Unfilled(ABC):
    """A variable that is a template itself, filled when another one names it."""

    @abstractmethod
    def value(self) -> Any:
        """Return what it says.

        Raises:
            KubeforgeError: it needs itself, a name is unknown, or the template is wrong.
        """


def has_template(value: Any) -> bool:
    """Return whether a text, or one within lists and mappings, is to be filled."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(map(has_template, value.values()))
    return isinstance(value, list) and any(map(has_template, value))


def evaluated(text: str, names: Mapping[str, Any]) -> Any:
    """Return what one text of a playbook says: an expression's value with its type, else text.

    Raises:
        KubeforgeError: a name is unknown, or the template is wrong.
    """
    from jinja2 import Template, TemplateError, Undefined  # noqa: PLC0415 - 40 ms that most playbooks do not need

    try:
        compiled = _compiled(text)
        if isinstance(compiled, Template):
            return _printed(compiled, names, text)
        value = compiled(names)
        if isinstance(value, Undefined):
            str(value)  # raises, with the name that is unknown
    except TemplateError as error:
        raise KubeforgeError(f"{text!r} cannot be filled: {_told(error, names)}") from None
    except KubeforgeError:
        raise
    except Exception as error:  # noqa: BLE001 - filters are given anything, and raise anything
        raise KubeforgeError(f"{text!r} cannot be filled: {error}") from None
    if isinstance(value, str) and MASK in value:
        raise KubeforgeError(f"{text!r} cannot be filled: {_TAKEN_APART}")
    return value


def rendered(text: str, names: Mapping[str, Any]) -> str | Secret:
    """Return a text of a playbook as text, whatever it holds; raises as `evaluated` does."""
    value = evaluated(text, names) if has_template(text) else text
    return value if isinstance(value, Secret) else str(value)


def rendered_file(path: Path, names: Mapping[str, Any]) -> str | Secret:
    """Return what a template file says; it may include others beside it.

    Raises:
        InputError: it is missing, or wrong: with the file and line where it is.
    """
    from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError  # noqa: PLC0415 - see evaluated

    try:
        return _printed(compiled_file(path), names, path)
    except InputError:
        raise
    except (TemplateNotFound, TemplateSyntaxError) as error:  # of one that it includes
        raise _no_template(error, path) from None
    except TemplateError as error:
        file, line = _place(error, path)
        raise InputError([Problem(message=_told(error, names), file=file, line=line)]) from None
    except Exception as error:  # noqa: BLE001 - likewise
        file, line = _place(error, path)
        raise InputError([Problem(message=f"cannot be filled: {error}", file=file, line=line)]) from None


def compiled_file(path: Path) -> Template:
    """Return a template file that Jinja2 has read; it knows the filters and tests there are.

    Raises:
        InputError: it is missing, or wrong: with the file and line where it is.
    """
    from jinja2 import TemplateNotFound, TemplateSyntaxError  # noqa: PLC0415 - see evaluated

    try:
        return _environment(path.parent).get_template(path.name)
    except (TemplateNotFound, TemplateSyntaxError) as error:
        raise _no_template(error, path) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError([Problem(message=f"cannot be read: {why}", file=str(path))]) from None


def _no_template(error: TemplateError, path: Path) -> InputError:
    from jinja2 import TemplateNotFound, TemplateSyntaxError  # noqa: PLC0415 - see evaluated

    if isinstance(error, TemplateSyntaxError):
        message = f"no template: {error.message}"
        return InputError([Problem(message=message, file=error.filename or str(path), line=error.lineno)])
    part = error.name if isinstance(error, TemplateNotFound) else None
    message = "there is no such template" if part == path.name else f"there is no template {part}"
    return InputError([Problem(message=message, file=str(path))])


def wrong_template(text: str) -> str | None:
    """Return what is wrong with the form of a text of a playbook; None: nothing."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - see evaluated

    try:
        _compiled(text)
    except TemplateSyntaxError as error:
        return _wrong_form(text) or str(error.message)
    return None


def _wrong_form(text: str) -> str | None:
    """Return what the parser says of a whole text: better words than those for an expression cut out of it."""
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - see evaluated

    try:
        _environment(None).parse(text)
    except TemplateSyntaxError as error:
        return str(error.message)
    return None


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Any:
    """Return an expression or a template, made once for all hosts."""
    environment = _environment(None)
    text = with_backslashes(text, environment)
    words = [(kind, word) for _, kind, word in environment.lex(text)]
    kinds = [kind for kind, _ in words]
    if kinds and (kinds[0], kinds[-1], kinds.count("variable_end")) == ("variable_begin", "variable_end", 1):
        expression = "".join(word for _, word in words[1:-1])
        return environment.compile_expression(expression, undefined_to_none=False)
    return environment.from_string(text)


@lru_cache(maxsize=64)
def _environment(folder: Path | None) -> SandboxedEnvironment:
    from jinja2 import FileSystemLoader, StrictUndefined, nodes, pass_context  # noqa: PLC0415 - see evaluated
    from jinja2.runtime import Context  # noqa: PLC0415 - see evaluated
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415 - see evaluated

    class Filling(Context):
        def resolve_or_missing(self, key: str) -> Any:
            found = super().resolve_or_missing(key)
            return found.value() if isinstance(found, Unfilled) else found

    @pass_context
    def finalize(context: Context, value: Any) -> Any:
        if not isinstance(value, Secret):
            return value
        printed = context.get(_PRINTED)
        if printed is None:
            raise KubeforgeError("a macro cannot print a secret: import it `with context`")
        printed.append(value)
        return value.reveal().decode()

    class Sandbox(SandboxedEnvironment):
        def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
            return {**self.globals, **(d or {})}  # copied for every filling; Jinja2's own chain of two takes far longer

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return not isinstance(obj, Secret) and super().is_safe_attribute(obj, attr, value)

        def _generate(self, source: nodes.Template, *given: Any, **named: Any) -> str:
            for compared in list(source.find_all(nodes.Compare)):  # what comes of it is yes or no, and tells nothing
                compared.expr = nodes.Filter(compared.expr, _REVEALED, [], [], None, None)
                for operand in compared.ops:
                    operand.expr = nodes.Filter(operand.expr, _REVEALED, [], [], None, None)
            return super()._generate(source, *given, **named)

    environment = Sandbox(
        undefined=StrictUndefined,
        autoescape=False,
        finalize=finalize,
        keep_trailing_newline=True,
        trim_blocks=folder is not None,
        loader=FileSystemLoader(folder) if folder else None,
    )
    environment.context_class = Filling
    ansibles = {name: function if name not in OF_TEXT else _shielding(function) for name, function in FILTERS.items()}
    jinjas = {name: _shielding(environment.filters[name]) for name in _JINJAS}
    environment.filters.update({**jinjas, **ansibles, _REVEALED: _revealed})
    environment.tests.update(
        {name: function if name not in OF_TEXT else _shielding(function) for name, function in TESTS.items()}
    )
    return environment


def _revealed(value: Any) -> Any:
    """Return what is compared: a secret's text, also among the items of a list."""
    is_list = isinstance(value, list | tuple) and any(isinstance(item, Secret) for item in value)
    return revealed(value) if is_list or isinstance(value, Secret) else value


def _shielding(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter or test of texts that works on secrets, too: what it makes of one is a secret."""

    @wraps(function)
    def shielding(*given: Any, **named: Any) -> Any:
        if not (holds_secret(given) or holds_secret(named)):
            return function(*given, **named)
        return shielded(function(*revealed(given), **revealed(named)))

    return shielding


def _printed(template: Template, names: Mapping[str, Any], source: str | Path) -> str | Secret:
    """Return what a template makes of names; `source`: its text, or the file that has it."""
    secrets: list[Secret] = []
    text = template.render({**names, _PRINTED: secrets})
    if MASK in text and MASK not in (source if isinstance(source, str) else source.read_text(encoding="utf-8")):
        raise KubeforgeError(_TAKEN_APART)
    return Secret(text) if secrets else text


def _told(error: Exception, names: Mapping[str, Any]) -> str:
    found = _UNDEFINED.search(str(error))
    if found is None:
        return str(error)
    known = [name for name in names if not name.startswith("_")]
    return f"the variable {found[1]} is not defined{did_you_mean(found[1], known)}"


def _place(error: Exception, path: Path) -> tuple[str, int | None]:
    """Return file and line in the templates where an error came up; Jinja2 writes them into the traceback."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == path.parent
    ]
    return (frames[-1].filename, frames[-1].lineno) if frames else (str(path), None)
