"""Ansible's YAML inventory: groups with `hosts`, `vars` and `children`, nested as deep as one likes."""

from __future__ import annotations

from typing import Final

import yaml

from kubeforge.inventory.draft import ALL, Draft, DraftGroup, Variables, suggestion
from kubeforge.inventory.ranges import RangeError, expand, split_port
from kubeforge.inventory.yaml_nodes import Entry, YamlFile, is_empty

__all__ = ["read"]

_GROUP_KEYS: Final = ("hosts", "vars", "children")


def read(file: YamlFile, draft: Draft) -> None:
    """Read an inventory file into `draft`; what is wrong is added to its problems.

    Args:
        file: parsed.
        draft: filled.
    """
    reader = _Reader(file, draft)
    for entry in file.entries(file.root, "", "groups (all: hosts: ...)"):
        reader.group(entry, entry.key)


class _Reader:
    def __init__(self, file: YamlFile, draft: Draft) -> None:
        self._file = file
        self._draft = draft

    def group(self, entry: Entry, field: str) -> None:
        """Read one group and, below it, its children."""
        if not entry.key.strip():
            self._file.complain("a group without a name", entry.line, field)
            return
        group = self._draft.group(entry.key, file=self._file.name, line=entry.line)
        for part in self._file.entries(entry.node, field, "a group (hosts, vars, children)"):
            inner = f"{field}.{part.key}"
            if part.key == "hosts":
                self._hosts(part, group, inner)
            elif part.key == "vars":
                group.vars.update(self._file.variables(part.node, inner))
            elif part.key == "children":
                self._children(part, group, inner)
            else:
                known = ", ".join(_GROUP_KEYS)
                hint = suggestion(part.key, _GROUP_KEYS) or f"; a group has {known}"
                self._file.complain(f"{part.key} is not known in a group{hint}", part.line, inner)

    def _children(self, part: Entry, group: DraftGroup, field: str) -> None:
        for child in self._named(part, field, "groups (name: ...)"):
            if child.key == ALL:
                self._file.complain("all cannot be a child: it holds every group already", child.line, f"{field}.all")
                continue
            self.group(child, f"{field}.{child.key}")
            group.children.setdefault(child.key, child.line)

    def _hosts(self, part: Entry, group: DraftGroup, field: str) -> None:
        for entry in self._named(part, field, "hosts (name: variables), each ending with a colon"):
            self._host(entry, group, f"{field}.{entry.key}")

    def _named(self, part: Entry, field: str, what: str) -> list[Entry]:
        """Return the entries of `hosts` or `children`; a single text names one without anything, as in Ansible."""
        if isinstance(part.node, yaml.ScalarNode) and not is_empty(part.node):
            return [Entry(part.node.value, part.line, yaml.ScalarNode("tag:yaml.org,2002:null", ""))]
        return list(self._file.entries(part.node, field, what))

    def _host(self, entry: Entry, group: DraftGroup, field: str) -> None:
        written, port = split_port(entry.key)
        try:
            names = expand(written)
        except RangeError as error:
            self._file.complain(str(error), entry.line, field)
            return
        variables = self._host_variables(entry, field)
        for name in names:
            if not name.strip() or any(char.isspace() for char in name):
                self._file.complain(
                    "a host without a name" if not name.strip() else "a blank in a host's name", entry.line, field
                )
                continue
            self._draft.add_host(name, group, variables, place=(self._file.name, entry.line), port=port)

    def _host_variables(self, entry: Entry, field: str) -> Variables:
        if isinstance(entry.node, yaml.ScalarNode) and not is_empty(entry.node):
            found = self._file.describe(entry.node)
            meant = "…" if self._file.secret else entry.node.value
            hint = f"; did you mean {entry.key}: {{ansible_host: {meant}}}?"
            self._file.complain(f"expected variables (name: value), found {found}{hint}", entry.line, field)
            return {}
        return self._file.variables(entry.node, field)
