"""Lab hosts as tests see them: by testinfra, and changed by kubeforge's own command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from testinfra import get_host
from testinfra.host import Host

from kubeforge.inventory.loader import load
from kubeforge.inventory.patterns import select
from kubeforge.lab.lab import Lab

__all__ = ["Applied", "LabHosts", "apply", "documents", "lab_name", "leftover"]

_PREFIX: Final = "pytest-"
_PERSIST: Final = 20  # seconds that a connection outlives the last question, so that each costs no login
_DEADLINE: Final = 1800.0
"""Seconds that one run of a playbook may take."""


class LabHosts(Mapping[str, Host]):
    """The hosts of a lab by name, each a testinfra host: `hosts["w1"].service("ssh").is_running`.

    Args:
        lab: it must be up.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._names = tuple(host.name for host in lab.hosts)
        self._known: dict[str, Host] = {}

    def __getitem__(self, name: str) -> Host:
        if name not in self._names:
            raise KeyError(f"{name}; the lab's hosts are {', '.join(self._names)}")
        if name not in self._known:
            folder = self._lab.paths.folder
            self._known[name] = get_host(
                f"ssh://{name}",
                ssh_config=str(self._lab.paths.ssh_config),
                controlpath=str(folder / f"{name}.mux"),
                controlpersist=_PERSIST,
            )
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def matching(self, pattern: str) -> list[Host]:
        """Return the hosts that a pattern selects: a group, a glob, `web:!w1`.

        Raises:
            InputError: it selects nobody.
        """
        return [self[host.name] for host in select(load(self._lab.inventory), pattern)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What one run of a playbook came to.

    Args:
        plan: what was to be done, as `-o json` gives it.
        result: what was done; None: nothing was to be done.
    """

    plan: Mapping[str, Any]
    result: Mapping[str, Any] | None

    @property
    def changes(self) -> list[str]:
        """What was changed: `HOST: TITLE`, in order."""
        done = self.result["done"] if self.result else ()
        return [f"{change['host']}: {change['title']}" for change in done]


def apply(lab: Lab, playbook: Path | str, *words: str) -> Applied:
    """Run a playbook on a lab's hosts, as a user does.

    Args:
        lab: whose inventory is used.
        playbook: its file.
        words: more of the command line: `-l`, `w1`, `-e`, `text=hello`.

    Raises:
        AssertionError: the run failed; the message holds all that it said.
    """
    call = "from kubeforge.cli import main; main()"
    verb = ("playbook", "run", str(playbook), "-i", str(lab.inventory), "--yes", "-o", "json")
    done = subprocess.run(
        [sys.executable, "-c", call, *verb, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE,
    )
    told = f"kubeforge {' '.join((*verb, *words))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told
    plan, *rest = documents(done.stdout)
    return Applied(plan=plan, result=rest[0] if rest else None)


def documents(text: str) -> list[Any]:
    """Return all JSON documents of a text, one after the other."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


def lab_name(pid: int) -> str:
    """Return the name of the lab of one session of tests."""
    return f"{_PREFIX}{pid}"


def leftover(names: Iterable[str], *, runs: Callable[[int], bool] | None = None) -> list[str]:
    """Return the labs of sessions that have ended without taking theirs down.

    Args:
        names: all labs.
        runs: whether a process is there; None: this machine's.
    """
    there = runs or (lambda pid: os.path.exists(f"/proc/{pid}"))  # noqa: PTH110 - no Path needed for a question
    found = ((name, re.fullmatch(rf"{_PREFIX}(\d+)", name)) for name in names)
    return [name for name, match in found if match and not there(int(match.group(1)))]
