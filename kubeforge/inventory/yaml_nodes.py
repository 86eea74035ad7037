"""A YAML text as nodes that know their lines, by libyaml where it is there. Knows nothing of inventories.

Double keys, which PyYAML lets pass, are problems. Dates stay text. `!unsafe` is text that is not rendered; `!vault`
becomes a `Sealed`, opened when it is asked for. Nothing of a text that was encrypted is quoted in a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from kubeforge.errors import Problem
from kubeforge.inventory.draft import Variables, Verbatim, Written
from kubeforge.inventory.texts import Text
from kubeforge.inventory.vault import Sealed, Vault, is_sealed
from kubeforge.yaml_errors import refuse_endless, syntax_problem

__all__ = ["Entry", "YamlFile", "is_empty"]

_BASE: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_SEALED: Final = ("!vault", "!vault-encrypted")
_JSON_FLOAT: Final = re.compile(r"-?\d+(\.\d+)?[eE][-+]?\d+$")


class _Loader(_BASE):  # type: ignore[misc,valid-type]  # libyaml's loader: ten times as fast, the same nodes
    """The safe loader without dates."""

    vault: Vault
    file: str


def _sealed(loader: _Loader, node: yaml.ScalarNode) -> Sealed:
    text = loader.construct_scalar(node).strip()
    if not is_sealed(text):
        raise ValueError("it is not a text that ansible-vault made: ansible-vault encrypt_string")
    loader.vault.probe(text, loader.file, line_of(node))
    return Sealed(text, loader.vault)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != _TIMESTAMP]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("!unsafe", lambda loader, node: Verbatim(loader.construct_scalar(node)))
for _tag in _SEALED:
    _Loader.add_constructor(_tag, _sealed)


class _JsonLoader(_Loader):
    """The same for JSON, where `1e3` is a number; in YAML 1.1 it is text."""


_JsonLoader.add_implicit_resolver("tag:yaml.org,2002:float", _JSON_FLOAT, list("-0123456789"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping: its text as written, its line, and its value's node."""

    key: str
    line: int
    node: yaml.Node


class YamlFile:
    """One file.

    Args:
        text: of an existing file; None: it could not be read, and its problem is told.
        problems: what is wrong is added here.
        vault: opens its encrypted values.
    """

    def __init__(self, text: Text | None, problems: list[Problem], vault: Vault) -> None:
        self.name = text.name if text else ""
        self.secret = text is not None and text.secret
        self._problems = problems
        self.root: yaml.Node | None = None
        if text is None:
            return
        try:
            self._loader = (_JsonLoader if text.name.endswith(".json") else _Loader)(text.content)
            self._loader.vault, self._loader.file = vault, text.name
            self.root = self._loader.get_single_node()
            if "*" in text.content:
                refuse_endless(self.root)
        except yaml.YAMLError as error:
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
            self.complain(f"expected {what}, found {self.describe(node)}", line_of(node), field)
            return
        self._find_doubles(node, field)
        self._loader.flatten_mapping(node)
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield Entry(key.value, line_of(key), value)
            else:
                self.complain(f"a key must be text, found {self.describe(key)}", line_of(key), field)

    def variables(self, node: yaml.Node | None, field: str) -> Variables:
        """Return a mapping's entries as variables."""
        found: Variables = {}
        for entry in self.entries(node, field, "variables (name: value)"):
            value = self.value(entry.node, f"{field}.{entry.key}")
            found[entry.key] = Written(value, self.name, entry.line, secret=self.secret)
        return found

    def value(self, node: yaml.Node, field: str) -> Any:
        """Return a node as plain data; None where it cannot be read, which is then a problem."""
        try:
            return self._loader.construct_object(node, deep=True)
        except (yaml.MarkedYAMLError, ValueError, TypeError) as error:
            tag = node.tag
            unread = tag.startswith("!") and tag not in _SEALED
            self.complain(f"{tag} is not read here" if unread else f"cannot be read: {error}", line_of(node), field)
            return None

    def describe(self, node: yaml.Node) -> str:
        """Return what a node is, in the words of a person; of an encrypted file, nothing of what it holds."""
        if isinstance(node, yaml.SequenceNode):
            return "a list"
        if isinstance(node, yaml.MappingNode):
            return "a mapping"
        kind = {"int": "the number", "float": "the number", "bool": "the truth value"}.get(node.tag.rpartition(":")[2])
        if self.secret:
            return "a single value"
        return f"{kind} {node.value}" if kind else f"the text {node.value!r}"

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
