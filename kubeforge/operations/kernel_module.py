"""A kernel module, loaded now; that it is loaded at boot is a File in /etc/modules-load.d."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from kubeforge.errors import InputError, Problem
from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb

__all__ = ["KernelModule"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelModule(Operation):
    """A kernel module that is loaded, or whose code is built into the kernel.

    It stays loaded when a generation is taken back: by then others may use it.

    Args:
        name: as modprobe knows it.
    """

    kind: ClassVar[str] = "module"

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError([Problem(message=f"module: {self.name!r} is no name of a kernel module")])

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    def observe(self) -> Queries:
        """Ask whether the kernel has it."""
        return Queries(modules=(self.name,))

    def decide(self, seen: Observation) -> Change | None:
        """Load it. What the first line says is seen only when the second one fails."""
        if seen.modules.get(self.name, False):
            return None
        hint = (
            f"kernel module {self.name} is neither loaded nor built in. Where loading fails, the host is a container "
            "or its kernel has no loadable modules: load it on the machine below, or use a kernel that has it."
        )
        return Change(
            title=self.title,
            verb=Verb.START,
            why="is not loaded",
            guard=self.observe(),
            effect=Observation(modules={self.name: True}),
            lines=(f"echo '{hint}'", f"modprobe -- {self.name}"),
        )
