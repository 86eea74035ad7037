"""What a task takes, by its signature: arguments, which are needed, their types, what its docstring says of each.

The playbook's check, the JSON Schema and the reference pages all come from here. pydantic knows the types.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal

from kubeforge.engine.model import Task, TaskFunction
from kubeforge.secret import Secret

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Parameter", "Signature", "complaint", "fits", "schema_of", "signature"]

_ARGUMENT: Final = re.compile(r"^(\w+): (.*)$")
_WANTED: Final = {"sequence_str": "list", "mapping_type": "mapping", "dict_type": "mapping", "bool_type": "yes or no"}
_PLAIN: Final = frozenset({str, int, bool, float, NoneType})
_UNIONS: Final = (typing.Union, UnionType)
_LISTS: Final = (list, Sequence)
_MAPPINGS: Final = (dict, Mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument of a task.

    Args:
        name: as playbooks say it.
        hint: its type.
        annotation: the same with what `Annotated` says besides.
        required: whether it must be given.
        default: what it is otherwise.
        summary: what the docstring says of it.
    """

    name: str
    hint: Any
    annotation: Any
    required: bool
    default: Any
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a task takes.

    Args:
        parameters: by name, in order.
        is_open: whether it takes any others, too.
        text: its docstring, without the arguments.
    """

    parameters: Mapping[str, Parameter]
    is_open: bool
    text: str


def signature(task: Task) -> Signature:
    """Return what a task takes."""
    return _signature(task.function)


@lru_cache(maxsize=1024)
def _signature(function: TaskFunction) -> Signature:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    text, about = _documented(inspect.getdoc(function) or "")
    try:
        hints = typing.get_type_hints(function)
        annotations = typing.get_type_hints(function, include_extras=True)
    except NameError:  # a type that is imported for type checkers only
        hints, annotations = {}, {}
    taken = {
        parameter.name: Parameter(
            name=parameter.name,
            hint=hints.get(parameter.name, Any),
            annotation=annotations.get(parameter.name, Any),
            required=parameter.default is parameter.empty,
            default=None if parameter.default is parameter.empty else parameter.default,
            summary=about.get(parameter.name, ""),
        )
        for parameter in parameters
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return Signature(parameters=taken, is_open=is_open, text=text)


def _documented(doc: str) -> tuple[str, dict[str, str]]:
    """Return a docstring without its sections, and what its `Args:` say, by name."""
    text, _, rest = doc.partition("\nArgs:\n")
    about: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        found = _ARGUMENT.match(line[4:])
        if found and line.startswith("    ") and not line.startswith("     "):
            name = found[1]
            about[name] = found[2]
        elif name and line.strip():
            about[name] += f" {line.strip()}"
    return text.partition("\nRaises:\n")[0].strip(), about


def complaint(parameter: Parameter, value: Any) -> str | None:
    """Return why a value is none for a parameter; None: it is one."""
    if fits(parameter.hint, value) or (isinstance(value, Secret) and Secret in typing.get_args(parameter.hint)):
        return None
    from pydantic import ValidationError  # noqa: PLC0415 - 0.1 s that most playbooks do not need

    try:
        _adapter(parameter.hint).validate_python(value, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        inside = [str(part) for part in found[0]["loc"] if isinstance(part, int) or part in _keys(value)]
        wanted = " or ".join(dict.fromkeys(_wanted(one["type"], one["msg"]) for one in found))
        place = f" at {'.'.join(inside)}" if inside else ""
        return f"{wanted} is expected{place}" + ("" if _is_secret(value) else f", not {value!r}")
    return None


def fits(hint: Any, value: Any) -> bool:
    """Return whether a value is plainly of a type, as most in playbooks are; if not, pydantic is to be asked."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return hint is Any or (hint in _PLAIN and type(value) is hint)
    if origin in _UNIONS:
        return any(fits(one, value) for one in inside)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inside)
    if origin in _LISTS:
        return type(value) is list and all(fits(inside[0], item) for item in value)
    if origin in _MAPPINGS:
        return type(value) is dict and all(fits(inside[0], key) and fits(inside[1], value[key]) for key in value)
    return False


def _wanted(kind: str, message: str) -> str:
    """Return what pydantic wanted, in few words."""
    if kind in _WANTED:
        return _WANTED[kind]
    return message.removeprefix("Input should be ").removeprefix("a valid ").removeprefix("an instance of ")


def _keys(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Mapping) else ()


def _is_secret(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_secret, value.values()))
    return isinstance(value, Secret) or (isinstance(value, list) and any(map(_is_secret, value)))


def schema_of(parameter: Parameter) -> dict[str, Any]:
    """Return the JSON Schema of a parameter's values as they are written in a playbook; secrets are text there."""
    from pydantic.errors import PydanticInvalidForJsonSchema  # noqa: PLC0415 - only schemas need it
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415 - likewise
    from pydantic_core import PydanticOmit  # noqa: PLC0415 - likewise

    class Written(GenerateJsonSchema):
        def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:  # noqa: ARG002 - pydantic's
            raise PydanticOmit

    try:
        made = _adapter(parameter.hint).json_schema(schema_generator=Written)
    except (PydanticInvalidForJsonSchema, PydanticOmit):
        made = {"type": "string"}
    return {**made, "description": parameter.summary} if parameter.summary else made


@lru_cache(maxsize=1024)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter  # noqa: PLC0415 - see complaint

    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
