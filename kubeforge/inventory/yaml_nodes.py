"""A YAML file as nodes that know their lines, by libyaml where it is there. Knows nothing of inventories.

Double keys, which PyYAML lets pass, are problems. Dates stay text. `!unsafe` is text that is not rendered; `!vault`
cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from kubeforge.errors import Problem
from kubeforge.inventory.draft import Variables, Written
from kubeforge.yaml_errors import syntax_problem

__all__ = ["YamlFile", "describe"]

_BASE: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_INI_GROUP: Final = re.compile(r"^\[[\w:.-]+\]\s*$", re.MULTILINE)


class _Loader(_BASE):  # type: ignore[misc,valid-type]  # libyaml's loader: ten times as fast, the same nodes
    """The safe loader without dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != _TIMESTAMP]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("!unsafe", yaml.SafeLoader.construct_yaml_str)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping: its text as written, its line, and its value's node."""

    key: str
    line: int
    node: yaml.Node


class YamlFile:
    """One file.

    Args:
        path: an existing file.
        problems: what is wrong is added here.
    """

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.name = str(path)
        self._problems = problems
        self.root: yaml.Node | None = None
        try:
            text = path.read_text(encoding="utf-8")
            if _INI_GROUP.search(text):
                self.complain("this is Ansible's INI format; only YAML is read: ansible-inventory --list --yaml", None)
                return
            self._loader = _Loader(text)
            self.root = self._loader.get_single_node()
        except OSError as error:
            self.complain(f"cannot be read: {error.strerror}", None)
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            problems.append(syntax_problem(error, self.name))

    def complain(self, message: str, line: int | None, field: str | None = None) -> None:
        """Add a problem of this file."""
        self._problems.append(Problem(message=message, file=self.name, line=line, field=field))

    def entries(self, node: yaml.Node | None, field: str, what: str) -> Iterator[Entry]:
        """Yield the entries of a mapping; an empty node has none, anything else is a problem.

        Args:
            node: perhaps a mapping.
            field: dotted path for messages.
            what: what the mapping should hold, for messages.
        """
        if node is None or is_empty(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self.complain(f"expected {what}, found {describe(node)}", line_of(node), field)
            return
        self._find_doubles(node, field)
        self._loader.flatten_mapping(node)
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield Entry(key.value, line_of(key), value)
            else:
                self.complain(f"a key must be text, found {describe(key)}", line_of(key), field)

    def variables(self, node: yaml.Node | None, field: str) -> Variables:
        """Return a mapping's entries as variables."""
        found: Variables = {}
        for entry in self.entries(node, field, "variables (name: value)"):
            value = self._value(entry.node, f"{field}.{entry.key}")
            found[entry.key] = Written(value, self.name, entry.line, literal=entry.node.tag == "!unsafe")
        return found

    def _value(self, node: yaml.Node, field: str) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (yaml.MarkedYAMLError, ValueError, TypeError) as error:
            tag = node.tag
            message = f"{tag} is not read here" if tag.startswith("!") else f"cannot be read: {error}"
            if tag == "!vault":
                message = "values encrypted by ansible-vault are not read; keep the secret in a file of its own"
            self.complain(message, line_of(node), field)
            return None

    def _find_doubles(self, node: yaml.MappingNode, field: str) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                self.complain(f"{key.value} stands here twice, first in line {seen[key.value]}", line_of(key), field)
            seen.setdefault(key.value, line_of(key))


def line_of(node: yaml.Node) -> int:
    """Return the 1-based line on which a node begins."""
    return int(node.start_mark.line) + 1


def is_empty(node: yaml.Node) -> bool:
    """Return whether nothing, `null` or `~` is written."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def describe(node: yaml.Node) -> str:
    """Return what a node is, in the words of a person."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    kind = {"int": "the number", "float": "the number", "bool": "the truth value"}.get(node.tag.rpartition(":")[2])
    return f"{kind} {node.value}" if kind else f"the text {node.value!r}"
