"""Asks a person for passwords and passphrases: on the terminal, never from arguments, variables or a pipe.

What is typed stays in memory. A password typed counts for hosts whose inventory names none, as in Ansible.
"""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only connecting needs
from __future__ import annotations

import getpass
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeforge.secret import Secret

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory
    from kubeforge.transport.connect import Connections

__all__ = ["Asked", "entering", "typed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options ask for.

    Args:
        login: `-k`: the password to log in with.
        become: `-K`: the password that sudo wants.
    """

    login: bool = False
    become: bool = False


@contextmanager
def entering(
    inventory: Inventory,
    asked: Asked,
    aside: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[tuple[Inventory, Connections]]:
    """Ask for passwords now, and for the passphrases of key files as they are needed; close all connections in the end.

    Args:
        inventory: as loaded.
        asked: what the options say.
        aside: makes room on the terminal for a question.

    Yields:
        The inventory with the passwords, and connections that ask for passphrases where there is a terminal.

    Raises:
        click.UsageError: a password is to be asked for, and standard input is no terminal.
    """
    from kubeforge.transport.connect import Connections

    known = _with_passwords(inventory, asked)

    def passphrase(file: Path) -> Secret | None:
        with aside():
            return typed(f"Passphrase for {file}: ")

    person = passphrase if sys.stdin.isatty() else None
    with _echo_restored(), Connections(ask_passphrase=person) as connections:
        yield known, connections


def _with_passwords(inventory: Inventory, asked: Asked) -> Inventory:
    if not (asked.login or asked.become):
        return inventory
    if not sys.stdin.isatty():
        raise click.UsageError("passwords are asked for on a terminal, and standard input is none")
    login = typed("SSH password: ") if asked.login else None
    become = None
    if asked.become:
        default = " [the SSH password]" if login is not None else ""
        become = typed(f"sudo password{default}: ") or login
    return inventory.with_passwords(login=login, become=become)


def typed(question: str) -> Secret | None:
    """Return what a person types, unseen; None for nothing."""
    try:
        words = getpass.getpass(question)
    except EOFError:
        return None
    return Secret(words) if words else None


@contextmanager
def _echo_restored() -> Iterator[None]:
    """Leave the terminal as it was: a question may still wait on another thread when Ctrl-C ends the run."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
