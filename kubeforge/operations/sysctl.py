"""The live value of a kernel parameter; that it survives a reboot is a File in /etc/sysctl.d."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import InputError, Problem
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote

__all__ = ["Sysctl", "sysctl_path"]

_NAME = re.compile(r"[A-Za-z0-9_-]+([./][A-Za-z0-9_:-]+)+")


def sysctl_path(name: str) -> str:
    """Return where the kernel keeps a parameter.

    As in sysctl.d(5), `net.ipv4.conf.eth0/1.forwarding` is /proc/sys/net/ipv4/conf/eth0.1/forwarding, and so is
    `net/ipv4/conf/eth0.1/forwarding`: where the first separator is a slash, all stay what they are.
    """
    slash, dot = name.find("/"), name.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        return f"/proc/sys/{name}"
    return "/proc/sys/" + name.translate(str.maketrans("./", "/."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl(Operation):
    """A kernel parameter.

    Args:
        name: dotted: `net.ipv4.ip_forward`.
        value: words are separated by any white space.
    """

    kind: ClassVar[str] = "sysctl"

    name: str
    value: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError([Problem(message=f"sysctl: {self.name!r} is no name of a kernel parameter")])

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    def observe(self) -> Queries:
        """Ask the kernel for the value."""
        return Queries(sysctls=(self.name,))

    def decide(self, seen: Observation) -> Change | None:
        """Set it; one that the kernel does not know yet may come with a module loaded before."""
        now, wanted = seen.sysctls.get(self.name), " ".join(self.value.split())
        if now == wanted:
            return None
        return Change(
            title=self.title,
            verb=Verb.UPDATE,
            why="is not known to the kernel yet" if now is None else f"is {now}",
            guard=self.observe(),
            effect=Observation(sysctls={self.name: wanted}),
            lines=(self._line(wanted),),
            undo=() if now is None else (self._line(now),),
        )

    def _line(self, value: str) -> str:
        return f"printf '%s\\n' {quote(value)} >{quote(sysctl_path(self.name))}"
