"""Finds what kubeforge ships beside its code: playbooks and templates, in a checkout and in an installed wheel.

A wheel carries them below kubeforge/_shipped (see pyproject.toml); in a checkout they lie at its top, where people
look for them. It reads none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kubeforge.errors import InputError, KubeforgeError, Problem

__all__ = ["playbook", "playbooks", "templates"]

_PACKAGE: Final = Path(__file__).parent


def playbooks() -> Path:
    """Return the folder of the shipped playbooks."""
    return _folder("playbooks")


def templates() -> Path:
    """Return the folder of the shipped templates."""
    return _folder("templates")


def playbook(name: str) -> Path:
    """Return a shipped playbook.

    Args:
        name: of its file, without `.yml`: `apply`.

    Raises:
        InputError: there is none of that name; the message lists those there are.
    """
    path = playbooks() / f"{name}.yml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in playbooks().glob("*.yml")))
        raise InputError([Problem(message=f"no playbook is called {name}; there are: {known}", file=str(path))])
    return path


def _folder(name: str) -> Path:
    shipped, checkout = _PACKAGE / "_shipped" / name, _PACKAGE.parent / name
    for path in (shipped, checkout):
        if path.is_dir():
            return path
    raise KubeforgeError(
        f"kubeforge's {name} are missing: neither {shipped} nor {checkout} is there",
        remedy="install kubeforge again",
    )
