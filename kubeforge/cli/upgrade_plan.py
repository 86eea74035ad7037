"""`kubeforge upgrade plan`: what an upgrade would meet and do. Changes nothing."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only this verb needs
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from kubeforge.cli import options

__all__ = ["plan"]


@click.command()
@click.argument("version", required=False)
@options.inventory
@options.variables
@options.output("table", "json", "yaml")
def plan(version: str | None, inventory_path: Path | None, variables: Mapping[str, str], output: str) -> None:
    """Show what an upgrade would meet and do; changes nothing."""
    from kubeforge.cli.session import examine_input

    examine_input(inventory_path, variables).required()
    raise click.UsageError(f"upgrade plan {version or ''} -o {output}: being written on this branch")
