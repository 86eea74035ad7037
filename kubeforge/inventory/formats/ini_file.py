"""Ansible's INI inventory: `[group]`, `[group:children]`, `[group:vars]`, hosts with `name=value` beside them.

The rules are those of Ansible's guide ("ansible.builtin.ini inventory"): lines before the first section are hosts of
`ungrouped`; a value is a Python literal where it can be read as one, else text (`1` is a number, `True` a truth value,
`true` and `yes` are text); beside a host, quotes are the shell's and `#` begins a comment; in a vars section the whole
rest of the line is the value. A group that appears in `:vars` or `:children` alone must be declared somewhere.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from dataclasses import dataclass, field
from typing import Any, Final

from kubeforge.errors import Problem
from kubeforge.inventory.draft import ALL, UNGROUPED, Draft, DraftGroup, Variables, Written, suggestion
from kubeforge.inventory.ranges import RangeError, expand, split_port
from kubeforge.inventory.texts import Text

__all__ = ["literal", "read"]

_SECTION: Final = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD: Final = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_KINDS: Final = ("hosts", "children", "vars")
_PLAIN: Final = re.compile(r"(?!\.\d)[A-Za-z_/.~][^'\"\\#]*")
_CONSTANTS: Final = frozenset({"True", "False", "None"})
_QUOTING: Final = frozenset("'\"\\#")


def read(text: Text, draft: Draft) -> None:
    """Read an inventory file into `draft`; what is wrong is added to its problems.

    Args:
        text: of the file.
        draft: filled.
    """
    reader = _Reader(text, draft)
    for number, line in enumerate(text.content.splitlines(), start=1):
        stripped = line.strip()
        if stripped and stripped[0] not in "#;":
            reader.line = number
            reader.read(stripped)
    reader.finish()


def literal(text: str) -> Any:
    """Return the Python literal that `text` is; the text itself where it is none, as in Ansible.

    Tuples and sets become lists, as in Ansible's JSON.
    """
    if not text or (_PLAIN.fullmatch(text) and text not in _CONSTANTS):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in what is only a path
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return text if isinstance(value, bytes | complex) or value is ... else value


@dataclass(slots=True)
class _Pending:
    """A group that is spoken of before it is declared: where, and the parents it will have."""

    line: int
    parents: list[DraftGroup] = field(default_factory=list)


class _Reader:
    def __init__(self, text: Text, draft: Draft) -> None:
        self.line = 0
        self._text = text
        self._draft = draft
        self._group = draft.group(UNGROUPED)
        self._kind = "hosts"
        self._declared = set(draft.groups)
        self._pending: dict[str, _Pending] = {}
        self._seen: dict[tuple[str, str], Variables] = {}

    def read(self, line: str) -> None:
        """Read one line that is neither empty nor a comment."""
        section = _SECTION.fullmatch(line)
        if section:
            self._section(section[1], section[2] or "hosts")
        elif line.startswith("[") and line.endswith("]"):
            self._complain(f"{self._quoted(line)} is no section: it has blanks or other signs inside")
        elif self._kind == "hosts":
            self._hosts(line)
        elif self._kind == "vars":
            self._variable(line)
        elif self._kind == "children":
            self._child(line)

    def finish(self) -> None:
        """Tell the groups that nobody declared."""
        for name, pending in self._pending.items():
            self.line = pending.line
            hint = suggestion(name, self._declared)
            self._complain(f"the group {name} is not declared anywhere{hint or f'; write [{name}] for an empty one'}")

    def _section(self, name: str, kind: str) -> None:
        self._kind = kind
        if kind not in _KINDS:
            known = suggestion(kind, _KINDS) or f"; a section is [{name}], [{name}:children] or [{name}:vars]"
            self._complain(f"[{name}:{kind}] is not known{known}")
            return
        self._group = self._draft.group(name, file=self._text.name, line=self.line)
        if kind == "vars":
            if name not in self._declared:
                self._pending.setdefault(name, _Pending(self.line))
            return
        self._declared.add(name)
        pending = self._pending.pop(name, None)
        for parent in pending.parents if pending else ():
            parent.children.setdefault(name, self.line)

    def _child(self, line: str) -> None:
        match = _CHILD.fullmatch(line)
        if match is None:
            self._complain(f"expected the name of a group, found {self._quoted(line)}")
        elif match[1] == ALL:
            self._complain("all cannot be a child: it holds every group already")
        elif match[1] in self._declared:
            self._group.children.setdefault(match[1], self.line)
        else:
            self._draft.group(match[1], file=self._text.name, line=self.line)
            self._pending.setdefault(match[1], _Pending(self.line)).parents.append(self._group)

    def _variable(self, line: str) -> None:
        name, equals, value = line.partition("=")
        if not equals:
            self._complain(f"expected name=value, found {self._quoted(line)}")
            return
        self._group.vars[name.strip()] = self._written(value.strip())

    def _hosts(self, line: str) -> None:
        try:
            words = shlex.split(line, comments=True) if _QUOTING & set(line) else line.split()
        except ValueError as error:
            self._complain(f"{str(error).lower()} in {self._quoted(line)}")
            return
        try:
            names, port = self._names(words[0])
        except RangeError as error:
            self._complain(str(error))
            return
        variables: Variables = {}
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if not equals:
                hint = "; a value with blanks needs quotes" if variables else ""
                self._complain(f"expected name=value beside a host, found {self._quoted(word)}{hint}")
                continue
            variables[name] = self._written(value)
        for host in names:
            self._find_twice(host, variables)
            self._draft.add_host(host, self._group, variables, place=(self._text.name, self.line), port=port)

    def _names(self, word: str) -> tuple[list[str], int | None]:
        """Return the hosts that a line begins with, and their port.

        Raises:
            RangeError: it cannot be read.
        """
        written, port = split_port(word)
        if written == "---":
            raise RangeError("`---` begins a YAML file: name it with .yml")
        if port is None and written.endswith(":"):
            raise RangeError(f"{self._quoted(word)} ends with a colon: a port is missing, or this is YAML (.yml)")
        return expand(written), port

    def _find_twice(self, host: str, variables: Variables) -> None:
        """A host twice in a group is fine; the same variable with another value is not (in Ansible the last wins)."""
        seen = self._seen.setdefault((self._group.name, host), {})
        for name, written in variables.items():
            first = seen.setdefault(name, written)
            if first.value != written.value:
                where = f"first in line {first.line} with another {name}"
                self._complain(f"{host} stands twice in [{self._group.name}], {where}")

    def _written(self, value: str) -> Written:
        return Written(literal(value), self._text.name, self.line, secret=self._text.secret)

    def _quoted(self, found: str) -> str:
        return "something else" if self._text.secret else repr(found)

    def _complain(self, message: str) -> None:
        group = self._group.name if self._kind == "hosts" else f"{self._group.name}:{self._kind}"
        problem = Problem(message=message, file=self._text.name, line=self.line, field=f"[{group}]")
        self._draft.problems.append(problem)
