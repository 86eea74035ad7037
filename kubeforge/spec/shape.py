"""From plain data to the typed spec; pydantic's errors in the words of the one who wrote the file.

Two things a writer means are read so, not refused: a number or `true` where text is wanted is the text as written
(`v: 4`, `"1.30"` without quotes), and a section with nothing in it is a section not written.
Rules over several fields are in `validate`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kubeforge.errors import Problem
from kubeforge.spec.document import Document, FieldPath, field_name
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.releases import RECOMMENDED, RELEASES
from kubeforge.spec.suggestions import did_you_mean, nearest

__all__ = ["Shaped", "shape"]

_STAND_IN: Final = {"name": "demo", "kubernetes": RECOMMENDED}
_CONTAINERS: Final = frozenset({"model_type", "model_attributes_type", "dict_type", "list_type", "dataclass_type"})
_KINDS: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a section of `name: value` lines",
    "model_type": "a section of `name: value` lines",
    "model_attributes_type": "a section of `name: value` lines",
    "list_type": "a list",
}
_PATTERNS: Final[dict[FieldPath, str]] = {
    ("name",): "lower-case letters, digits and `-`, at most 63, beginning and ending with a letter or digit",
    ("kubernetes",): f"a full version without v, such as {RECOMMENDED}",
    ("artifacts", "sha256"): "64 hexadecimal digits: `sha256sum SHA256SUMS` of the mirror",
}
# (field, value) -> why it is not offered
_NOT_OFFERED: Final = {
    ("proxy", "ipvs"): "Kubernetes deprecates ipvs from 1.35",
    ("kind", "ingress-nginx"): "ingress-nginx is archived since 2026-03",
    ("kind", "nginx"): "ingress-nginx is archived since 2026-03",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """What came of a document.

    Args:
        spec: the typed spec; where there are problems, without the fields that have them. None: nothing could be saved.
        problems: what is wrong with single fields.
        dropped: the fields that were left out or stood in for; rules about these say nothing of worth.
    """

    spec: ClusterSpec | None
    problems: tuple[Problem, ...] = ()
    dropped: tuple[FieldPath, ...] = ()


def shape(document: Document) -> Shaped:
    """Build the spec from a document whose data is a mapping."""
    data = copy.deepcopy(document.data)
    found = _errors(data)
    while _mend(data, found, document):
        found = _errors(data)
    if not found:
        return Shaped(spec=ClusterSpec.model_validate(data))
    told = [(path, errors) for path, errors in found.items() if path not in document.unreadable]
    problems = tuple(_problem(document, path, errors) for path, errors in told)
    for path in found:
        _drop(data, path)
    spec = None if _errors(data) else ClusterSpec.model_validate(data)
    return Shaped(spec=spec, problems=problems, dropped=tuple(found))


def _errors(data: Any) -> dict[FieldPath, list[ErrorDetails]]:
    """Return pydantic's errors by the field they are about; a union's members report the same field."""
    try:
        ClusterSpec.model_validate(data)
    except ValidationError as error:
        found: dict[FieldPath, list[ErrorDetails]] = {}
        for details in error.errors(include_url=False):
            found.setdefault(_path(data, details), []).append(details)
        # a union complains of the whole and of its parts: the parts say more
        around = {path[:length] for path in found for length in range(len(path))}
        return {path: errors for path, errors in found.items() if path not in around}
    return {}


def _path(data: Any, details: ErrorDetails) -> FieldPath:
    """Return the part of pydantic's `loc` that leads through the data; the rest names members of unions."""
    path: list[str | int] = []
    for part in details["loc"]:
        present = (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int))
        if present:
            data = data[part]
            path.append(part)
        elif details["type"] == "missing" and part == details["loc"][-1]:
            path.append(part)
    return tuple(path)


def _mend(data: Any, found: dict[FieldPath, list[ErrorDetails]], document: Document) -> bool:
    """Read what the writer meant; return whether anything was changed."""
    mended = False
    for path, errors in found.items():
        kinds = {error["type"] for error in errors}
        value = _at(data, path)
        if "string_type" in kinds and value is not None and path in document.literals and not isinstance(value, str):
            _at(data, path[:-1])[path[-1]] = document.literals[path]
            mended = True
        elif kinds & _CONTAINERS and value is None and path and isinstance(path[-1], str) and _has(data, path):
            del _at(data, path[:-1])[path[-1]]
            mended = True
    return mended


def _has(data: Any, path: FieldPath) -> bool:
    around = _at(data, path[:-1])
    return isinstance(around, dict) and path[-1] in around


def _at(data: Any, path: FieldPath) -> Any:
    for part in path:
        if isinstance(data, dict):
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
        else:
            return None
    return data


def _drop(data: Any, path: FieldPath) -> None:
    """Take a field out, so that the rest can be looked at; required ones get a stand-in."""
    around = _at(data, path[:-1])
    if isinstance(around, list) and isinstance(path[-1], int):
        around[path[-1] :] = []  # later items keep no index; the list has a problem anyway
    elif isinstance(around, dict) and path:
        around.pop(path[-1], None)
        if len(path) == 1 and path[0] in _STAND_IN:
            around[path[0]] = _STAND_IN[str(path[0])]


def _problem(document: Document, path: FieldPath, errors: list[ErrorDetails]) -> Problem:
    first = errors[0]
    kind, value = first["type"], first.get("input")
    if kind == "extra_forbidden":
        message = _unknown(path)
    elif kind == "missing":
        message = f"missing; add `{path[-1]}: {_STAND_IN.get(str(path[-1]), '…')}`"
    elif kind in ("enum", "literal_error"):
        message = _not_a_choice(path, value, str(first.get("ctx", {}).get("expected", "")))
    elif kind == "string_pattern_mismatch":
        message = _wrong_pattern(path, str(value))
    elif kind.startswith(("greater_than", "less_than")):
        message = f"{value} is out of range: {_limit(first)}"
    elif kind in _KINDS:
        wanted = " or ".join(dict.fromkeys(_KINDS.get(error["type"], error["type"]) for error in errors))
        message = (
            f"empty; give it {wanted}, or leave the line out"
            if value is None
            else (f"must be {wanted}, and is {_described(value)}")
        )
    else:
        message = first["msg"]
    return document.problem(message, path)


def _unknown(path: FieldPath) -> str:
    word = str(path[-1])
    here = _fields(_model_at(path[:-1]))
    if nearest(word, here) is None:
        home = next(_homes(word, ClusterSpec, ()), None)
        if home is not None:
            return "unknown field here; it belongs to " + (f"`{field_name(home)}`" if home else "the top level")
    return f"unknown field{did_you_mean(word, here)}"


def _homes(word: str, model: type[BaseModel], path: FieldPath) -> Iterator[FieldPath]:
    """Yield the sections that have a field of that name, nearest to the top first."""
    if word in model.model_fields:
        yield path
    for name in model.model_fields:
        inner = _model_at((*path, name))
        if inner is not None:
            yield from _homes(word, inner, (*path, name))


def _model_at(path: FieldPath) -> type[BaseModel] | None:
    """Return the model that a field path leads to; None: something freer."""
    annotation: Any = ClusterSpec
    for part in path:
        model = _model_in(annotation)
        if model is not None and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
        else:
            annotation = next(iter(get_args(annotation)[-1:]), None)
    return _model_in(annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    options = [option for option in get_args(annotation) if isinstance(option, type) and issubclass(option, BaseModel)]
    is_mapping = getattr(annotation, "__origin__", None) in (dict, list)
    return options[0] if options and not is_mapping else None


def _fields(model: type[BaseModel] | None) -> list[str]:
    return list(model.model_fields) if model else []


def _not_a_choice(path: FieldPath, value: Any, expected: str) -> str:
    choices = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    why = _NOT_OFFERED.get((str(path[-1]), str(value)))
    if why:
        return f"`{value}` is not offered ({why}); choose {' or '.join(choices)}"
    return f"`{value}` is not offered; choose {' or '.join(choices)}"


def _wrong_pattern(path: FieldPath, value: str) -> str:
    if path == ("kubernetes",):
        row = next((row for row in RELEASES if value.removeprefix("v") == row.minor), None)
        if row is not None:
            return f"`{value}` is a minor; write a full version, such as {row.kubernetes}"
        if value.startswith("v"):
            return f"`{value}` will not do; write {value[1:]}, without v"
    return f"`{value}` will not do: must be {_PATTERNS.get(path, 'in another form')}"


def _limit(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    return ", ".join(f"{words[key]} {value}" for key, value in context.items() if key in words)


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    return f"`{value}`"
