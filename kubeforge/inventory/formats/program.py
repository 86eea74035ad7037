"""Dynamic inventories: a program that answers `--list`, and `--host NAME` where `_meta.hostvars` is not in its answer.

The shape is Ansible's ("Developing dynamic inventory"): groups as `{"hosts": […], "vars": {…}, "children": […]}`, as a
list of hosts, or, with none of these keys, as variables of a host that is named like the group. `__ansible_vault` and
`__ansible_unsafe` are how `ansible-inventory --list` writes `!vault` and `!unsafe`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from kubeforge.errors import Problem
from kubeforge.inventory.draft import Draft, Variables, Verbatim, Written
from kubeforge.inventory.programs import ProgramError, output_of
from kubeforge.inventory.vault import Sealed, Vault

__all__ = ["read"]

_META: Final = "_meta"
_KEYS: Final = ("hosts", "vars", "children")
_AT_ONCE: Final = 8  # `--host` calls
_SEALED: Final = "__ansible_vault"
_UNSAFE: Final = "__ansible_unsafe"


def read(path: Path, draft: Draft, vault: Vault, *, deadline: float) -> None:
    """Ask a program and fill `draft` with its answer; what is wrong is added to its problems.

    Args:
        path: an executable.
        draft: filled.
        vault: opens its encrypted values.
        deadline: seconds for each call.
    """
    reader = _Reader(path, draft, vault, deadline)
    answer = reader.ask("--list")
    if answer is not None:
        reader.take(answer)


class _Reader:
    def __init__(self, path: Path, draft: Draft, vault: Vault, deadline: float) -> None:
        self._path = path
        self._draft = draft
        self._vault = vault
        self._deadline = deadline
        self._hosts: dict[str, None] = {}

    def ask(self, *arguments: str) -> Mapping[str, Any] | None:
        """Return the program's answer; None where it has none, which is then a problem."""
        try:
            said = output_of(self._path, arguments, deadline=self._deadline).decode()
            if not said.strip() and arguments[0] == "--host":
                return {}
            answer = json.loads(said)
        except ProgramError as error:
            self._complain(str(error))
        except ValueError as error:
            self._complain(f"`{' '.join(arguments)}` did not answer with JSON: {error}")
        else:
            if isinstance(answer, dict):
                return answer
            self._complain(f"`{' '.join(arguments)}` must answer with an object, not with {_kind(answer)}")
        return None

    def take(self, answer: Mapping[str, Any]) -> None:
        """Fill the draft."""
        for name, data in answer.items():
            if name != _META:
                self._group(name, data)
        meta = answer.get(_META)
        told = meta.get("hostvars") if isinstance(meta, dict) else None
        for host, variables in self._ask_each() if told is None else self._told(told):
            self._draft.host(host, file=str(self._path)).vars.update(self._variables(variables, host))

    def _told(self, told: Any) -> Iterable[tuple[str, Any]]:
        if not isinstance(told, dict):
            self._complain(f"expected an object, found {_kind(told)}", f"{_META}.hostvars")
            return ()
        return [(host, told.get(host) or {}) for host in self._hosts]

    def _ask_each(self) -> Iterable[tuple[str, Any]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = pool.map(lambda host: self.ask("--host", host) or {}, self._hosts)
            return list(zip(self._hosts, answers, strict=True))

    def _group(self, name: str, data: Any) -> None:
        group = self._draft.group(name, file=str(self._path))
        if not isinstance(data, dict):
            data = {"hosts": data}
        elif not any(key in data for key in _KEYS):
            data = {"hosts": [name], "vars": data}
        for host in self._names(data.get("hosts", []), f"{name}.hosts"):
            self._hosts[host] = None
            self._draft.add_host(host, group, {}, place=(str(self._path), None), port=None)
        group.vars.update(self._variables(data.get("vars", {}), f"{name}.vars"))
        for child in self._names(data.get("children", []), f"{name}.children"):
            self._draft.group(child, file=str(self._path))
            group.children.setdefault(child, None)

    def _names(self, found: Any, field: str) -> list[str]:
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            return found
        self._complain(f"expected a list of names, found {_kind(found)}", field)
        return []

    def _variables(self, found: Any, field: str) -> Variables:
        if isinstance(found, dict):
            return {name: Written(self._plain(value), str(self._path)) for name, value in found.items()}
        self._complain(f"expected an object, found {_kind(found)}", field)
        return {}

    def _plain(self, value: Any) -> Any:
        """Return a value with Ansible's marks for encrypted and unsafe texts replaced by what they mark."""
        if isinstance(value, list):
            return [self._plain(part) for part in value]
        if not isinstance(value, dict):
            return value
        if list(value) == [_SEALED]:
            text = str(value[_SEALED]).strip()
            self._vault.probe(text, str(self._path), None)
            return Sealed(text, self._vault)
        if list(value) == [_UNSAFE]:
            return Verbatim(value[_UNSAFE])
        return {key: self._plain(part) for key, part in value.items()}

    def _complain(self, message: str, field: str | None = None) -> None:
        self._draft.problems.append(Problem(message=message, file=str(self._path), field=field))


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "a truth value"}
    return kinds.get(type(value), "a number")
