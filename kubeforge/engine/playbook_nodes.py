"""Reads YAML nodes as the values a playbook is made of; every problem is noted with its line, none is raised.

It works on nodes, as only these know their lines.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from kubeforge.engine.playbook import Portion, suggestion
from kubeforge.errors import Problem
from kubeforge.yaml_errors import refuse_endless, syntax_problem

__all__ = ["NodeReader"]

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
PORTION: Final = re.compile(r"(\d{1,9})(%?)")
_ENCRYPTED: Final = "what is encrypted belongs into group_vars/ or host_vars/, of the inventory or beside the playbook"
_PLAIN: Final = {bool: "yes or no", dict: "mapping"}


class NodeReader:
    """One reading of one file.

    Args:
        file: what problems name.
        problems: where they are noted; several files of one playbook share the list.
    """

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems

    def problem(self, node: yaml.Node | None, field: str | None, message: str) -> None:
        """Note a problem at a node's line."""
        line = node.start_mark.line + 1 if node is not None else None
        self.problems.append(Problem(message=message, file=self.file, line=line, field=field))

    def items(self, text: str, what: str) -> list[yaml.Node]:
        """Return the items of a document that is a list; none where it is not, with a problem.

        Args:
            text: the file's.
            what: the list in words, for the problem.
        """
        try:
            root = yaml.compose(text, Loader=LOADER)
            refuse_endless(root)
        except yaml.YAMLError as error:
            self.problems.append(syntax_problem(error, self.file))
            return []
        if not isinstance(root, yaml.SequenceNode) or not root.value:
            self.problem(root, None, what)
            return []
        return list(root.value)

    def mapping(
        self, node: yaml.Node, field: str | None, known: tuple[str, ...] | None, what: str = "a play"
    ) -> dict[str, yaml.Node]:
        """Return a mapping's values by key; doubles and unknown keys are problems."""
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, field, "a mapping is expected here")
            return {}
        keys: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in keys:
                self.problem(key_node, key, "is said twice")
            elif known is not None and key not in known:
                self.problem(key_node, key, f"is no key of {what}{suggestion(key, known)}")
            else:
                keys[key] = value_node
        return keys

    def line_of(self, node: yaml.Node, key: str) -> int | None:
        """Return the line of a mapping's key; None where there is none."""
        keys = [each for each, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        return next((each.start_mark.line + 1 for each in keys if each.value == key), None)

    def value(self, node: yaml.Node, field: str, kind: type) -> Any:
        """Return a node as plain data of one type, or an empty one of it."""
        known = len(self.problems)
        made = self.construct(node, field)
        if len(self.problems) > known:
            return kind()
        if not isinstance(made, kind):
            self.problem(node, field, f"a {_PLAIN.get(kind, kind.__name__)} is expected here, not {made!r}")
            return kind()
        return made

    def construct(self, node: yaml.Node, field: str) -> Any:
        """Return a node as plain data."""
        loader = LOADER("")
        try:
            return loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            self.problem(node, field, _ENCRYPTED if "'!vault'" in str(error.problem) else str(error.problem))
            return None
        except (ValueError, AttributeError) as error:  # it looks like a date or a number, and is none: 2026-02-30
            self.problem(node, field, f"no value of YAML: {error}; put what is text between quotes")
            return None
        finally:
            loader.dispose()

    def text(self, node: yaml.Node | None, field: str) -> str:
        """Return a text; empty where there is none."""
        if node is None:
            return ""
        if isinstance(node, yaml.ScalarNode) and str(node.value).strip():
            return str(node.value)
        self.problem(node, field, "a text is expected here")
        return ""

    def words(self, node: yaml.Node | None, field: str) -> list[str]:
        """Return a list of words, or those of one text with commas between."""
        if node is None:
            return []
        if isinstance(node, yaml.SequenceNode):
            return [self.text(item, field) for item in node.value]
        return [word.strip() for word in self.text(node, field).split(",") if word.strip()]

    def flag(self, node: yaml.Node | None, field: str, *, default: bool) -> bool:
        """Return yes or no."""
        return default if node is None else bool(self.value(node, field, bool))

    def choice(self, node: yaml.Node | None, field: str, known: tuple[str, ...]) -> str:
        """Return one of some words, the first where nothing is said."""
        word = self.text(node, field) if node is not None else known[0]
        if word in known:
            return word
        if word:
            self.problem(node, field, f"one of {', '.join(known)} is expected here{suggestion(word, known)}")
        return known[0]

    def portion(self, node: yaml.Node, field: str, *, least: int) -> Portion:
        """Return a number of hosts or a percentage."""
        found = PORTION.fullmatch(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
        made = Portion(int(found[1]), percent=bool(found[2])) if found else None
        if made is None or made.amount < least or (made.percent and made.amount > 100):
            self.problem(node, field, f"a number of hosts (at least {least}) or a percentage (30%) is expected here")
            return Portion(max(least, 0))
        return made
