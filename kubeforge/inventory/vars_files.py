"""`group_vars/` and `host_vars/` beside an inventory: YAML files, or folders of them, named for a group or a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kubeforge.errors import Problem
from kubeforge.inventory.draft import Draft, Variables
from kubeforge.inventory.yaml_nodes import YamlFile

__all__ = ["read"]

_SUFFIXES: Final = ("", ".yml", ".yaml", ".json")


def read(folder: Path, draft: Draft) -> None:
    """Read the variables files of every group and host of `draft`; files for others are passed over, as in Ansible.

    Args:
        folder: where the inventory file lies.
        draft: its `file_vars` are filled.
    """
    for kind, named in (("group_vars", draft.groups), ("host_vars", draft.hosts)):
        if (folder / kind).is_dir():
            for name, owner in named.items():
                owner.file_vars.update(_variables(folder / kind, name, draft.problems))


def _variables(folder: Path, name: str, problems: list[Problem]) -> Variables:
    found: Variables = {}
    for path in _files(folder, name):
        file = YamlFile(path, problems)
        found.update(file.variables(file.root, name))
    return found


def _files(folder: Path, name: str) -> Iterator[Path]:
    """Yield a folder's files before the single file, which wins; not hidden files, nor editors' copies."""
    if "/" in name:
        return
    for path in sorted((folder / name).rglob("*")) if (folder / name).is_dir() else ():
        if path.is_file() and path.suffix in _SUFFIXES and not path.name.startswith(".") and path.name[-1] != "~":
            yield path
    for suffix in _SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            yield path
