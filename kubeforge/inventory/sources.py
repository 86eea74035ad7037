"""What `-i` names: a file of any format, a folder of them, a program, or the hosts themselves (`a,b,`).

In a folder every file counts, sorted by name, folders below it too, as in Ansible; but of a cluster's folder, known by
its cluster.yml, only the file of its hosts is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from kubeforge.errors import Problem
from kubeforge.inventory import vars_files
from kubeforge.inventory.draft import UNGROUPED, Draft
from kubeforge.inventory.formats import yaml_file
from kubeforge.inventory.ranges import split_port
from kubeforge.inventory.texts import Text, read_text
from kubeforge.inventory.vault import Vault
from kubeforge.inventory.yaml_nodes import YamlFile

if TYPE_CHECKING:
    from kubeforge.inventory.formats.constructed import Variables

__all__ = ["CLUSTER_FILES", "DEADLINE", "HOSTS_FILES", "Sources", "folder_of"]

DEADLINE: Final = 120.0
"""Seconds that a program may take; a large cloud's inventory needs about a minute."""
CLUSTER_FILES: Final = ("cluster.yml", "cluster.yaml")
HOSTS_FILES: Final = (
    "hosts.yml", "hosts.yaml", "hosts.ini", "hosts", "inventory.yml", "inventory.yaml", "inventory.ini",
)  # fmt: skip
_YAML: Final = (".yml", ".yaml", ".json")
_PASSED_OVER: Final = (
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry", ".lock",
)  # fmt: skip
"""Endings of files in a folder that Ansible does not take for inventories, and ours."""
_VARS_FOLDERS: Final = frozenset({vars_files.GROUPS, vars_files.HOSTS, "vars_plugins"})
_INI_SECTION: Final = re.compile(r"^\[[^\]\s]+\]\s*(#.*)?$", re.MULTILINE)
_YAML_LINE: Final = re.compile(r"(---|\{|[^\s#:=]+:)(\s|$)")
_CONSTRUCTED: Final = ("constructed", "ansible.builtin.constructed")
_PROGRAM: Final = (b"#!", b"\x7fELF")


@dataclass(slots=True)
class Sources:
    """Reads sources one after the other into one draft.

    Args:
        draft: filled; problems are added to it.
        vault: opens what is encrypted.
        variables: what constructed groups are made of.
        deadline: seconds that a program may take.
    """

    draft: Draft
    vault: Vault
    variables: Variables
    deadline: float = DEADLINE

    def read(self, given: Path) -> None:
        """Read one source: a file, a folder, a program, or hosts with commas between them."""
        if "," in str(given) and not given.exists():
            self._hosts(str(given))
        elif not given.exists():
            self._complain("there is no such inventory", given)
        elif not given.is_dir():
            self._file(given)
        elif not self._folder(given):
            found = ", ".join(sorted(entry.name for entry in given.iterdir())[:8]) or "nothing"
            self._complain(f"there is no hosts.yml in this folder, nor another inventory (it holds {found})", given)

    def _hosts(self, listed: str) -> None:
        group = self.draft.group(UNGROUPED)
        for name in filter(None, map(str.strip, listed.split(","))):
            host, port = split_port(name)
            self.draft.add_host(host, group, {}, place=(None, None), port=port)

    def _folder(self, folder: Path) -> bool:
        """Read every inventory in a folder; return whether there is any."""
        names = sorted(entry.name for entry in folder.iterdir())
        if any(name in names for name in CLUSTER_FILES):
            names = [str(name) for name in HOSTS_FILES if name in names][:1]
        chosen = [name for name in names if not _is_passed_over(name)]
        for name in chosen:
            if (folder / name).is_dir():
                self._folder(folder / name)
            else:
                self._file(folder / name)
        return bool(chosen)

    def _file(self, path: Path) -> None:
        if _is_program(path):
            if os.access(path, os.X_OK):
                from kubeforge.inventory.formats import program  # noqa: PLC0415 - most inventories are YAML alone

                program.read(path, self.draft, self.vault, deadline=self.deadline)
            else:
                self._complain(f"it is a program that may not be run: chmod +x {path}", path)
            return
        if path.suffix == ".toml":
            self._complain("TOML inventories are not read; YAML, INI and programs are", path)
            return
        text = read_text(path, self.vault, self.draft.problems)
        if text is None:
            return
        if _is_yaml(path, text):
            self._yaml(text)
        else:
            from kubeforge.inventory.formats import ini_file  # noqa: PLC0415 - most inventories are YAML alone

            ini_file.read(text, self.draft)

    def _yaml(self, text: Text) -> None:
        file = YamlFile(text, self.draft.problems, self.vault)
        plugin = _plugin(file)
        if plugin is None:
            self._find_playbook(file)
            yaml_file.read(file, self.draft)
        elif plugin in _CONSTRUCTED:
            from kubeforge.inventory.formats import constructed  # noqa: PLC0415 - most inventories are YAML alone

            constructed.read(file, self.draft, self.variables)
        else:
            way = f"give a program that answers --list instead, e.g. `exec ansible-inventory -i {file.name} --list`"
            file.complain(f"the inventory plugin {plugin} is not served, only constructed is; {way}", 1, "plugin")

    def _find_playbook(self, file: YamlFile) -> None:
        first = file.root.value[:1] if isinstance(file.root, yaml.SequenceNode) else ()
        keys = {key.value for node in first if isinstance(node, yaml.MappingNode) for key, _ in node.value}
        if keys & {"hosts", "import_playbook", "play"}:
            file.complain("this is a playbook; where -i names a folder, every file in it is an inventory", 1)

    def _complain(self, message: str, path: Path) -> None:
        self.draft.problems.append(Problem(message=message, file=str(path)))


def folder_of(given: Path) -> Path | None:
    """Return the folder whose group_vars/ and host_vars/ belong to a source; None for hosts given by name."""
    if given.is_dir():
        return given
    return given.parent if given.exists() else None


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name in _VARS_FOLDERS or name.endswith(_PASSED_OVER)


def _is_program(path: Path) -> bool:
    if not path.is_file():  # of a pipe, `-i <(...)`, what is read here would be missed later
        return False
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_PROGRAM)
    except OSError:
        return False


def _is_yaml(path: Path, text: Text) -> bool:
    """Return whether a file is YAML; by its name, but INI is known by its sections, as Ansible falls back to it."""
    if path.suffix == ".json":
        return True
    if path.suffix in _YAML:
        return not _INI_SECTION.search(text.content)
    return not path.suffix and bool(_YAML_LINE.match(next(_significant(text.content.splitlines()), "")))


def _significant(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line.strip() and line.lstrip()[0] not in "#;")


def _plugin(file: YamlFile) -> str | None:
    """Return what `plugin:` says at the top of a file; None where it is not there."""
    if not isinstance(file.root, yaml.MappingNode):
        return None
    named = (value for key, value in file.root.value if getattr(key, "value", None) == "plugin")
    node = next(named, None)
    return node.value if isinstance(node, yaml.ScalarNode) else None
