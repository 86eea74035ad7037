"""Options that say with which passwords ansible-vault's files and values are opened; under Ansible's names.

They stand at every verb that reads an inventory. What they say lies in click's context, not in every verb's arguments,
and a file, a program or a person is asked when the inventory is loaded.
"""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only an encrypted inventory needs
from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from kubeforge.inventory.vault import Vault, VaultPassword

__all__ = ["opened_vault", "vault_passwords"]

F = TypeVar("F", bound=Callable[..., Any])
_META: Final = "kubeforge.vault"
_OPENED: Final = "kubeforge.vault.passwords"
_PROMPT: Final = "prompt"
_VARIABLES: Final = ("KUBEFORGE_VAULT_PASSWORD_FILE", "ANSIBLE_VAULT_PASSWORD_FILE")


@dataclass(frozen=True, slots=True)
class _Source:
    """Where one password comes from: its label (Ansible's vault id), and a path, or `prompt`."""

    label: str
    source: str


def vault_passwords(function: F) -> F:
    """Add the options to a verb; see `opened_vault` for what they lead to."""
    for decorate in (_ask, _file, _id):
        function = decorate(function)
    return function


def opened_vault() -> Vault:
    """Return the vault with the passwords that the verb's options name, read now.

    Raises:
        InputError: a file is missing or empty, or a program fails.
        click.UsageError: a password is to be asked for, and standard input is no terminal.
    """
    from kubeforge.inventory.vault import Vault

    context = click.get_current_context(silent=True)
    if context is None:
        return Vault()
    if _OPENED not in context.meta:  # a person is asked once, however often the inventory is loaded
        sources: list[_Source] = context.meta.get(_META, [])
        context.meta[_OPENED] = [_password(source) for source in dict.fromkeys(sources)]
    return Vault(context.meta[_OPENED])


def _password(source: _Source) -> VaultPassword:
    from kubeforge.inventory.vault import DEFAULT_LABEL, VaultPassword
    from kubeforge.inventory.vault_passwords import read_password

    if source.source != _PROMPT:
        return read_password(Path(source.source).expanduser(), source.label or DEFAULT_LABEL)
    from kubeforge.cli.passwords import typed

    if not sys.stdin.isatty():
        raise click.UsageError("the vault password is asked for on a terminal, and standard input is none")
    named = f" ({source.label})" if source.label else ""
    words = typed(f"Vault password{named}: ")
    if words is None:
        raise click.UsageError("no vault password was typed")
    return VaultPassword(label=source.label or DEFAULT_LABEL, password=words)


def _noted(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep what an option says for `opened_vault`."""
    if param.name == "ask_vault_pass":
        found = [_Source("", _PROMPT)] if value else []
    elif param.name == "vault_id":
        parts = [text.partition("@") for text in value]  # without `@` it is a source alone
        found = [_Source(label, source) if at else _Source("", label) for label, at, source in parts]
    else:
        found = [_Source("", text) for text in value]
    ctx.meta.setdefault(_META, []).extend(found)


_ask = click.option(
    "-J", "--ask-vault-pass", is_flag=True, expose_value=False, callback=_noted,
    help="Ask for the password of what ansible-vault has encrypted.",
)  # fmt: skip
_file = click.option(
    "--vault-password-file", multiple=True, type=click.Path(), metavar="PATH", expose_value=False,
    callback=_noted, envvar=_VARIABLES, show_envvar=True, help="File with that password, or a program that prints it.",
)  # fmt: skip
_id = click.option(
    "--vault-id", multiple=True, metavar="[LABEL@]SOURCE", expose_value=False, callback=_noted,
    help="The same for what is labelled so; SOURCE is a path or `prompt`.",
)  # fmt: skip
