"""What `-e` says, as in Ansible: `KEY=VALUE …`, variables as YAML or JSON (`{ports: [22, 443]}`), `@FILE` with such."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

__all__ = ["read"]


def read(values: Sequence[str]) -> dict[str, Any]:
    """Return the variables of all options, later ones over earlier ones.

    Raises:
        click.BadParameter: one is neither of the three, or its file cannot be read.
    """
    variables: dict[str, Any] = {}
    for value in values:
        variables |= _read(value)
    return variables


def _read(value: str) -> dict[str, Any]:
    if value.startswith("@"):
        try:
            text = Path(value[1:]).expanduser().read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"{value[1:]}: {getattr(error, 'strerror', None) or error}") from None
        return _mapping(text, value[1:])
    if value.startswith("{"):
        return _mapping(value, value)
    key, equals, rest = value.partition("=")
    if not equals or not key.isidentifier():
        raise click.BadParameter(f"`{value}` is not KEY=VALUE, {{KEY: VALUE}} or @FILE")
    pairs = [word.partition("=") for word in value.split()]
    if all(equals and name.isidentifier() for name, equals, _ in pairs) and not {"'", '"'} & set(value):
        return {name: said for name, _, said in pairs}  # as in Ansible: one -e, several variables
    return {key: rest}


def _mapping(text: str, source: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - --help reads no YAML

    from kubeforge import documents  # noqa: PLC0415 - likewise

    if text.startswith("$ANSIBLE_VAULT;"):
        raise click.BadParameter(
            f"{source} is encrypted; put it into group_vars/all/ of the inventory, where it is read"
        )
    try:
        found = documents.load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: it looks like a date, and is none
        raise click.BadParameter(f"{source}: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) and key.isidentifier() for key in found):
        raise click.BadParameter(f"{source}: variables are expected, NAME: VALUE")
    return found
