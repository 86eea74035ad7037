"""A distribution package, present or absent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from kubeforge.errors import InputError, Problem, UnfitHost
from kubeforge.operations.distributions import FAMILIES, MANAGERS, WORDS, Manager, family_of
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb

__all__ = ["Package", "Packages"]

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
        manager: what installs it; None: what the host's family of distributions has.
        deadline: seconds; downloading takes its time.
    """

    kind: ClassVar[str] = "package"
    open_ended: ClassVar[bool] = True

    name: str
    state: Literal["present", "absent"] = "present"
    manager: Manager | None = None
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
        return _asked((self.name,), self.manager)

    def decide(self, seen: Observation) -> Change | None:
        """Install or remove it."""
        installed, present = seen.packages.get(self.name) is not None, self.state == "present"
        if installed == present:
            return None
        manager = self.manager or _manager(seen, self.title)
        return Change(
            title=self.title,
            verb=Verb.CREATE if present else Verb.REMOVE,
            why="is not installed" if present else "is installed",
            guard=Queries(packages=(self.name,)),
            effect=Observation(packages={self.name: "planned" if present else None}),
            lines=(
                *_QUIET,
                *(_install(manager, (self.name,)) if present else (f"{_REMOVE[manager]} {self.name}",)),
            ),
            deadline=self.deadline,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(Operation):
    """Several packages, installed at once: a manager that is started for each of them takes its time.

    Args:
        names: as the distribution calls them.
        manager: what installs them; None: what the host's family of distributions has.
        deadline: seconds.
    """

    kind: ClassVar[str] = "packages"
    open_ended: ClassVar[bool] = True

    names: tuple[str, ...]
    manager: Manager | None = None
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
        return _asked(self.names, self.manager)

    def decide(self, seen: Observation) -> Change | None:
        """Install those that are missing."""
        missing = tuple(name for name in self.names if seen.packages.get(name) is None)
        if not missing:
            return None
        return Change(
            title=self.title,
            verb=Verb.CREATE,
            why=f"not installed: {', '.join(missing)}",
            guard=Queries(packages=self.names),
            effect=Observation(packages=dict.fromkeys(missing, "planned")),
            lines=(*_QUIET, *_install(self.manager or _manager(seen, self.title), missing)),
            deadline=self.deadline,
        )


def _asked(names: tuple[str, ...], manager: Manager | None) -> Queries:
    return Queries(packages=names, outputs=() if manager else (WORDS,))


def _manager(seen: Observation, step: str) -> Manager:
    """Return what the host's family has.

    Raises:
        UnfitHost: it is of none that is known.
    """
    words = seen.outputs.get(WORDS, "").split()
    family = family_of(words)
    if family is None:
        raise UnfitHost(
            f"a host that calls itself {' '.join(words) or 'nothing at all'} is of no family that is known here: "
            f"{', '.join(FAMILIES)}",
            step=step,
            remedy="install packages by command.run, or say in its /etc/os-release which family it is like (ID_LIKE)",
        )
    return MANAGERS[family]


def _install(manager: Manager, names: Sequence[str]) -> tuple[str, ...]:
    """Apt knows only what its lists hold: they are fetched when the first try fails, so at most once a change.

    Every manager takes names of what packages provide, too (`vim` on RHEL), and no run would ever find those installed.
    """
    install = f"{_INSTALL[manager]} {' '.join(names)}"
    retried = f"{install} || {{ apt-get -q update && {install}; }}" if manager == "apt" else install
    return (retried, f"for n in {' '.join(names)}; do {_THERE[manager == 'apt']} || {{ {_OTHERWISE}; }}; done")
