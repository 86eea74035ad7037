"""Vault passwords from files, and from programs that print them, as Ansible has them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kubeforge.errors import InputError, Problem
from kubeforge.inventory.programs import ProgramError, output_of
from kubeforge.inventory.vault import DEFAULT_LABEL, VaultPassword
from kubeforge.secret import Secret

__all__ = ["given", "read_password"]

_CLIENT: Final = "-client"
_DEADLINE: Final = 120.0  # seconds: a key ring may have to be unlocked by a person first


def read_password(path: Path, label: str) -> VaultPassword:
    """Return the password that a file holds, or that a program prints; without blanks and newlines around it.

    Args:
        path: a file; where it is executable it is run, and told the label (`--vault-id LABEL`) where its name ends in
            `-client`, as in Ansible.
        label: of the texts that the password is for.

    Raises:
        InputError: there is no such file, the program fails, or there is nothing in it.
    """
    try:
        found = _printed(path, label) if os.access(path, os.X_OK) and path.is_file() else path.read_bytes()
    except ProgramError as error:
        raise _wrong(path, str(error)) from error
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from error
    if not found.strip():
        raise _wrong(path, "there is no password in it")
    return VaultPassword(label=label, password=Secret(found.strip()))


def given(passwords: Iterable[Secret | Path]) -> tuple[VaultPassword, ...]:
    """Return passwords that a script gives: themselves, or by files and programs; raises as `read_password` does."""
    return tuple(
        VaultPassword(password=one) if isinstance(one, Secret) else read_password(one, DEFAULT_LABEL)
        for one in passwords
    )


def _printed(path: Path, label: str) -> bytes:
    arguments = ["--vault-id", label] if path.stem.endswith(_CLIENT) else []
    return output_of(path, arguments, deadline=_DEADLINE)


def _wrong(path: Path, message: str) -> InputError:
    return InputError([Problem(message=f"the vault password: {message}", file=str(path))])
