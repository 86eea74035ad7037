"""A YAML file as plain data that remembers where each value was written. Knows nothing of clusters.

Double keys, which PyYAML lets pass, are problems. Scalars are kept as written, too: `1.30` without quotes is a number
to YAML and text to us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from kubeforge.errors import Problem
from kubeforge.yaml_errors import syntax_problem

__all__ = ["Document", "FieldPath", "field_name", "read"]

FieldPath = tuple[str | int, ...]

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a YAML file says.

    Args:
        file: path as it shall be shown.
        data: mappings with text keys, lists and scalars; None for an empty file.
        lines: field path -> 1-based line.
        literals: field path of each plain scalar -> its text as written.
        unreadable: field paths whose values could not be taken; a problem says so already.
        problems: syntax errors and double keys.
    """

    file: str
    data: Any = None
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    literals: Mapping[FieldPath, str] = field(default_factory=dict)
    unreadable: frozenset[FieldPath] = frozenset()
    problems: tuple[Problem, ...] = ()

    def line(self, path: FieldPath) -> int | None:
        """Return the line of a field, else of the nearest field around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def problem(self, message: str, path: FieldPath = (), *, warning: bool = False) -> Problem:
        """Return a problem with this file, the line of a field, and the field's name."""
        return Problem(
            message=message, file=self.file, line=self.line(path), field=field_name(path) or None, warning=warning
        )


def field_name(path: FieldPath) -> str:
    """Render a field path as users read it: `nodes.w1.taints[0].key`; odd keys in quotes: `labels["a.b/c"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "_").isidentifier() or part.isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def read(path: Path) -> Document:
    """Read a YAML file; what is wrong with it comes back as problems.

    Args:
        path: an existing file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return _Reader(path.read_text(encoding="utf-8"), str(path)).document()
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        return Document(file=str(path), problems=(syntax_problem(error, str(path)),))


class _Loader(yaml.SafeLoader):
    """SafeLoader that leaves dates as text: no field of ours is a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != _TIMESTAMP]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Reader:
    """Walks the node tree of one file."""

    def __init__(self, text: str, file: str) -> None:
        self._loader = _Loader(text)
        self._file = file
        self._lines: dict[FieldPath, int] = {}
        self._literals: dict[FieldPath, str] = {}
        self._unreadable: set[FieldPath] = set()
        self._problems: list[Problem] = []

    def document(self) -> Document:
        node = self._loader.get_single_node()
        data = None if node is None else self._value(node, (), ())
        return Document(
            file=self._file,
            data=data,
            lines=self._lines,
            literals=self._literals,
            unreadable=frozenset(self._unreadable),
            problems=tuple(self._problems),
        )

    def _value(self, node: yaml.Node, path: FieldPath, around: tuple[int, ...]) -> Any:
        if id(node) in around:
            self._unreadable.add(path)
            self._complain(node, path, "an alias inside of what it stands for")
            return None
        inside = (*around, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, inside)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(child, (*path, index), inside) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.style is None:
            self._literals[path] = node.value
        try:
            return self._loader.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError):
            self._unreadable.add(path)
            self._complain(node, path, f"`{node.value}` with tag {node.tag} is not understood here")
            return None

    def _item(self, node: yaml.Node, path: FieldPath, around: tuple[int, ...]) -> Any:
        self._lines[path] = node.start_mark.line + 1
        return self._value(node, path, around)

    def _mapping(self, node: yaml.MappingNode, path: FieldPath, around: tuple[int, ...]) -> dict[str, Any]:
        self._find_doubles(node, path)
        self._loader.flatten_mapping(node)
        data = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._unreadable.add(path)
                self._complain(key, path, "a name must be plain text; does a value begin with `{` and need quotes?")
                continue
            here = (*path, key.value)
            self._lines[here] = key.start_mark.line + 1
            data[key.value] = self._value(value, here, around)
        return data

    def _find_doubles(self, node: yaml.MappingNode, path: FieldPath) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            if key.value in first:
                self._complain(key, (*path, key.value), f"given twice; the first is on line {first[key.value]}")
            first.setdefault(key.value, line)

    def _complain(self, node: yaml.Node, path: FieldPath, message: str) -> None:
        line = node.start_mark.line + 1
        self._problems.append(Problem(message=message, file=self._file, line=line, field=field_name(path) or None))
