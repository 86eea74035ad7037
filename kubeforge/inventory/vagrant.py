"""Dynamic inventory of Vagrant's machines: `python -m kubeforge.inventory.vagrant --machines FILE --list`.

Who there is, and in which groups, says the table that the Vagrantfile reads too; how a machine is reached now says
`vagrant ssh-config`. All but `main` and what it calls last is pure. The answer has the shape of Ansible's dynamic
inventories, so Ansible can use it as well.

`vagrant ssh-config` prints, for each machine, a block of ssh_config(5): HostName, User, Port, UserKnownHostsFile,
StrictHostKeyChecking, PasswordAuthentication, IdentityFile (several where there are several keys, quoted where a path
has spaces), IdentitiesOnly, LogLevel and others. It fails when one of the machines does not run.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from kubeforge.errors import InputError, KubeforgeError, Problem

__all__ = ["Access", "Machine", "inventory_data", "main", "parse_machines", "parse_ssh_config"]

_KEYS: Final = frozenset({"box", "cpus", "memory", "address", "groups", "vars"})
_DEADLINE: Final = 100.0
"""Seconds for one command: below those that a dynamic inventory may take as a whole."""
_KEY_TYPES: Final = "ed25519,ecdsa,rsa"
_SSH_PORT: Final = 22
_WORD: Final = re.compile(r'"([^"]*)"|(\S+)')
"""Of ssh_config(5), where only double quotes quote; a folder may well be o'brien's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One row of the table.

    Args:
        name: inventory name, and Vagrant's.
        address: on the private network; None: it has none.
        groups: of the inventory.
        vars: more variables of the host.
    """

    name: str
    address: str | None
    groups: tuple[str, ...]
    vars: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How Vagrant enters one machine.

    Args:
        address: host name or address to connect to.
        port: TCP port.
        user: to log in as.
        key: file of the private key, the first of them; None: Vagrant names none.
    """

    address: str
    port: int
    user: str
    key: str | None


def parse_machines(text: str, *, file: str = "machines.yml") -> tuple[Machine, ...]:
    """Return the machines of a table.

    Args:
        text: YAML: `defaults` and `machines`, each name with its row.
        file: its path, for errors.

    Raises:
        InputError: it is no such table; all problems.
    """
    try:
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        raise InputError([Problem(message=f"not YAML: {error}", file=file, line=line)]) from error
    rows = table.get("machines") if isinstance(table, dict) else None
    if not isinstance(rows, dict) or not rows:
        raise InputError([Problem(message="expected at least one machine, by its name", file=file, field="machines")])
    defaults = table.get("defaults") or {}
    problems = [
        Problem(message=message, file=file, field=f"machines.{name}")
        for name, row in {"defaults": defaults, **rows}.items()
        for message in _wrong(row or {})
    ]
    if problems:
        raise InputError(problems)
    return tuple(_machine(str(name), {**defaults, **(row or {})}) for name, row in rows.items())


def _wrong(row: Any) -> list[str]:
    if not isinstance(row, dict):
        return [f"expected a row of {', '.join(sorted(_KEYS))}, not {row!r}"]
    found = [f"unknown: {key}; known are {', '.join(sorted(_KEYS))}" for key in row if key not in _KEYS]
    if not isinstance(row.get("groups", []), list):
        found.append("groups must be a list of names")
    if not isinstance(row.get("vars", {}), dict):
        found.append("vars must be names with values")
    return found


def _machine(name: str, row: Mapping[str, Any]) -> Machine:
    groups = tuple(str(group) for group in row.get("groups", ()))
    return Machine(name=name, address=row.get("address"), groups=groups, vars=row.get("vars", {}))


def parse_ssh_config(text: str) -> dict[str, Access]:
    """Return how each machine is reached, from what `vagrant ssh-config` prints.

    Args:
        text: its standard output.

    Raises:
        KubeforgeError: a machine has no HostName; so it is not what Vagrant prints.
    """
    blocks: dict[str, dict[str, str]] = {}
    block: dict[str, str] = {}
    for line in text.splitlines():
        keyword, _, value = line.strip().partition(" ")
        if keyword.lower() == "host":
            block = blocks.setdefault(value.strip(), {})
        elif value:
            block.setdefault(keyword.lower(), value.strip())  # the first one counts, as in ssh_config(5)
    return {name: _access(name, found) for name, found in blocks.items()}


def _access(name: str, found: Mapping[str, str]) -> Access:
    if "hostname" not in found:
        raise KubeforgeError(
            "vagrant ssh-config names no HostName for it",
            host=name,
            evidence=[f"{keyword} {value}" for keyword, value in found.items()],
            remedy="vagrant ssh-config",
        )
    key = _WORD.match(found.get("identityfile", ""))
    port = int(found.get("port", _SSH_PORT))
    return Access(
        address=found["hostname"], port=port, user=found.get("user", "vagrant"), key=key and (key[1] or key[2])
    )


def inventory_data(machines: Sequence[Machine], access: Mapping[str, Access], *, known_hosts: Path) -> dict[str, Any]:
    """Return the answer to `--list`, with all variables in `_meta`.

    Args:
        machines: who there is.
        access: how they are reached, by name.
        known_hosts: file with their host keys; keys are never taken on trust, whatever Vagrant does itself.

    Raises:
        KubeforgeError: Vagrant knows other machines than the table.
    """
    names = [machine.name for machine in machines]
    other = [*(f"{name} is not Vagrant's" for name in names if name not in access)]
    other += [f"{name} is not in the table" for name in access if name not in names]
    if other:
        raise KubeforgeError(
            "Vagrant's machines are not those of the table",
            evidence=other,
            remedy="vagrant status; is this the Vagrantfile that reads the table?",
        )
    groups: dict[str, dict[str, list[str]]] = {}
    for machine in machines:
        for group in machine.groups or ("ungrouped",):
            groups.setdefault(group, {"hosts": []})["hosts"].append(machine.name)
    hostvars = {machine.name: _variables(machine, access[machine.name], known_hosts) for machine in machines}
    return {**groups, "_meta": {"hostvars": hostvars}}


def _variables(machine: Machine, access: Access, known_hosts: Path) -> dict[str, Any]:
    variables = {
        "ansible_host": access.address,
        "ansible_port": access.port,
        "ansible_user": access.user,
        "ansible_become": True,
        "ansible_ssh_common_args": f"-o {shlex.quote(f'UserKnownHostsFile={known_hosts}')}",
    }
    if access.key:
        variables["ansible_ssh_private_key_file"] = access.key
    if machine.address:
        # where Vagrant forwards a port, the address to connect to is not the one the machines know each other by
        variables["ip"] = machine.address
    return {**variables, **machine.vars}


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer as a dynamic inventory does; return the exit code."""
    parser = argparse.ArgumentParser(prog="inventory/vagrant/hosts", description=__doc__.partition("\n")[0])
    parser.add_argument("--machines", type=Path, required=True, metavar="FILE", help="the table of machines")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="print the inventory as JSON")
    what.add_argument("--host", metavar="NAME", help="print a host's variables as JSON")
    what.add_argument("--host-keys", action="store_true", help="print the machines' keys, for known_hosts")
    asked = parser.parse_args(arguments)
    try:
        return _answer(asked)
    except KubeforgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _answer(asked: argparse.Namespace) -> int:
    folder = asked.machines.resolve().parent
    try:
        machines = parse_machines(asked.machines.read_text(encoding="utf-8"), file=str(asked.machines))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError([Problem(message=why, file=str(asked.machines))]) from error
    access = parse_ssh_config(_output(["vagrant", "ssh-config"], folder, remedy="vagrant up"))
    data = inventory_data(machines, access, known_hosts=folder / "known_hosts")
    if asked.host_keys:
        for each in access.values():
            print(_host_keys(each, folder), end="")
        return 0
    answer = data["_meta"]["hostvars"].get(asked.host, {}) if asked.host else data
    print(json.dumps(answer, indent=2))
    return 0


def _host_keys(access: Access, folder: Path) -> str:
    scan = ["ssh-keyscan", "-T", "10", "-t", _KEY_TYPES, "-p", str(access.port), access.address]
    keys = _output(scan, folder, remedy="vagrant status")
    if not keys.strip():  # older ones end with 0 all the same
        raise KubeforgeError("no key was answered", step=" ".join(scan), remedy="vagrant status")
    return keys


def _output(argv: Sequence[str], folder: Path, *, remedy: str) -> str:
    """Return what a command prints."""
    step = " ".join(argv)
    try:
        done = subprocess.run(
            argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_DEADLINE
        )
    except FileNotFoundError as error:
        raise KubeforgeError(f"there is no {argv[0]}", step=step, remedy=f"install {argv[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise KubeforgeError(f"it did not end within {_DEADLINE:g} s", step=step, remedy=remedy) from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise KubeforgeError(f"it ended with {done.returncode}", step=step, evidence=words, remedy=remedy)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
