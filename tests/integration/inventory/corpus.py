"""The corpus: inventories in the style of real ones, written for this project; and how each is given to a program.

A source is a file or folder below corpus/; a few need more than that, and stand in the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["CASES", "CORPUS", "PASSWORD_FILE", "Case"]

CORPUS: Final = Path(__file__).parent / "corpus"
PASSWORD_FILE: Final = CORPUS / "vault-password"


@dataclass(frozen=True, slots=True)
class Case:
    """One inventory.

    Args:
        name: of its file or folder.
        sources: what `-i` names, below corpus/.
        playbook: folder of the playbook, below corpus/.
    """

    name: str
    sources: tuple[str, ...]
    playbook: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The sources."""
        return tuple(CORPUS / source for source in self.sources)

    @property
    def playbook_folder(self) -> Path | None:
        """The playbook's folder."""
        return CORPUS / self.playbook if self.playbook else None


_SPECIAL: Final = (
    Case("two-sources", ("two-sources/first.ini", "two-sources/second")),
    Case("playbook", ("playbook/inventory",), "playbook"),
)
_NAMES: Final = sorted(path.name for path in CORPUS.iterdir() if path != PASSWORD_FILE)
CASES: Final = tuple(next((case for case in _SPECIAL if case.name == name), Case(name, (name,))) for name in _NAMES)
