"""The time zone of a host."""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from kubeforge.errors import Unreadable
from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.model import Change, Observation, Operation, Queries
from kubeforge.operations.symlink import Symlink

__all__ = ["TimeZone"]

_DATABASE: Final = "/usr/share/zoneinfo"
_LOCAL: Final = "/etc/localtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeZone(Operation):
    """The link by which programs know the zone: localtime(5).

    A zone that the host's database lacks is refused, as it would silently be UTC. A host without a database may get one
    by an operation before.

    Args:
        name: `Europe/Berlin`.
    """

    kind: ClassVar[str] = "timezone"

    name: str

    def __post_init__(self) -> None:
        check_path(self._zone, self.kind)

    @property
    def title(self) -> str:
        """Its kind and name."""
        return f"{self.kind} {self.name}"

    def observe(self) -> Queries:
        """Ask for the link, and whether there is such a zone."""
        return Queries(stats=(_LOCAL, _DATABASE, self._zone))

    def decide(self, seen: Observation) -> Change | None:
        """Link, or link anew.

        Raises:
            Unreadable: the host knows no such zone.
        """
        database, zone = (entry_at(path, seen, self.title) for path in (_DATABASE, self._zone))
        if database is not None and (zone is None or stat.S_ISDIR(zone.mode)):
            raise Unreadable(
                f"there is no time zone {self.name} below {_DATABASE}",
                step=self.title,
                remedy="timedatectl list-timezones tells the names of all",
            )
        change = Symlink(path=_LOCAL, target=self._zone).decide(seen)
        return change and replace(change, title=self.title, why=f"{_LOCAL} {change.why}")

    @property
    def _zone(self) -> str:
        return f"{_DATABASE}/{self.name}"
