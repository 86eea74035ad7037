"""A distribution package, present or absent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from kubeforge.errors import InputError, Problem
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb

__all__ = ["Manager", "Package", "Packages"]

Manager = Literal["apt", "dnf", "zypper"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:~-]*")
_APT = "apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends"
_INSTALL = {"apt": f"{_APT} install", "dnf": "dnf -y install", "zypper": "zypper --non-interactive install"}
_REMOVE = {"apt": f"{_APT} remove", "dnf": "dnf -y remove", "zypper": "zypper --non-interactive remove"}
_THERE = {
    True: "{ case $(dpkg-query -W -f '${db:Status-Abbrev}' -- $n) in ?i*) ;; *) false ;; esac; }",
    False: "rpm -q --qf '' -- $n >/dev/null",
}
_OTHERWISE = 'echo "$n is provided by a package of another name, which was installed: say that name" >&2; exit 1'
_QUIET = ("export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package(Operation):
    """A package of the host's distribution, of whatever version its sources offer.

    What was installed stays when a generation is taken back: others may use it by then.

    Args:
        name: as the distribution calls it.
        state: installed or not.
        manager: the host's package manager.
        deadline: seconds; downloading takes its time.
    """

    kind: ClassVar[str] = "package"
    open_ended: ClassVar[bool] = True

    name: str
    state: Literal["present", "absent"] = "present"
    manager: Manager = "apt"
    deadline: float = 900.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError([Problem(message=f"package: {self.name!r} is no name of a package")])

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    def observe(self) -> Queries:
        """Ask for the installed version."""
        return Queries(packages=(self.name,))

    def decide(self, seen: Observation) -> Change | None:
        """Install or remove it."""
        installed, present = seen.packages.get(self.name) is not None, self.state == "present"
        if installed == present:
            return None
        return Change(
            title=self.title,
            verb=Verb.CREATE if present else Verb.REMOVE,
            why="is not installed" if present else "is installed",
            guard=self.observe(),
            effect=Observation(packages={self.name: "planned" if present else None}),
            lines=(
                *_QUIET,
                *(_install(self.manager, (self.name,)) if present else (f"{_REMOVE[self.manager]} {self.name}",)),
            ),
            deadline=self.deadline,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(Operation):
    """Several packages, installed at once: a manager that is started for each of them takes its time.

    Args:
        names: as the distribution calls them.
        manager: the host's package manager.
        deadline: seconds.
    """

    kind: ClassVar[str] = "packages"
    open_ended: ClassVar[bool] = True

    names: tuple[str, ...]
    manager: Manager = "apt"
    deadline: float = 1800.0

    def __post_init__(self) -> None:
        for name in self.names:
            if not _NAME.fullmatch(name):
                raise InputError([Problem(message=f"packages: {name!r} is no name of a package")])

    @property
    def title(self) -> str:
        """Its kind and all names."""
        return f"{self.kind} {', '.join(self.names)}"

    def observe(self) -> Queries:
        """Ask for the installed versions."""
        return Queries(packages=self.names)

    def decide(self, seen: Observation) -> Change | None:
        """Install those that are missing."""
        missing = tuple(name for name in self.names if seen.packages.get(name) is None)
        if not missing:
            return None
        return Change(
            title=self.title,
            verb=Verb.CREATE,
            why=f"not installed: {', '.join(missing)}",
            guard=self.observe(),
            effect=Observation(packages=dict.fromkeys(missing, "planned")),
            lines=(*_QUIET, *_install(self.manager, missing)),
            deadline=self.deadline,
        )


def _install(manager: Manager, names: Sequence[str]) -> tuple[str, ...]:
    """Apt knows only what its lists hold: they are fetched when the first try fails, so at most once a change.

    Every manager takes names of what packages provide, too (`vim` on RHEL), and no run would ever find those installed.
    """
    install = f"{_INSTALL[manager]} {' '.join(names)}"
    retried = f"{install} || {{ apt-get -q update && {install}; }}" if manager == "apt" else install
    return (retried, f"for n in {' '.join(names)}; do {_THERE[manager == 'apt']} || {{ {_OTHERWISE}; }}; done")
