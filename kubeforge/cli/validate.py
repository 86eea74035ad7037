"""`kubeforge validate`: what is wrong with inventory and cluster.yml. Asks no host."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only this verb needs
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from kubeforge.cli import options

if TYPE_CHECKING:
    from kubeforge.cli.session import Given, Input

__all__ = ["validate"]


@click.command()
@options.inventory
@options.variables
@options.output("table", "json", "yaml")
@click.pass_context
def validate(ctx: click.Context, inventory_path: Given, variables: Mapping[str, str], output: str) -> None:
    """Check inventory and cluster.yml; asks no host.

    Every problem is shown at once, with file, line and field. Warnings do not refuse.
    """
    from kubeforge.cli.boundary import show_warnings
    from kubeforge.cli.session import examine_input
    from kubeforge.errors import InputError

    found = examine_input(inventory_path, variables)
    if output == "table":
        show_warnings(found.warnings)
        found.required()
        click.echo(_summary(found))
        return
    from kubeforge.cli.answers import answer

    answer({"valid": not found.errors, "problems": [_plain(problem) for problem in found.problems]}, output)
    ctx.exit(InputError.exit_code if found.errors else 0)


def _summary(found: Input) -> str:
    inventory, spec = found.required()
    planes, workers = len(inventory.control_planes), len(inventory.workers)
    count = len(found.warnings)
    warned = f"; {count} warning{'s' if count > 1 else ''} above" if count else ""
    return (
        f"{found.path}: valid; cluster {spec.name}, Kubernetes {spec.kubernetes}, "
        f"control planes: {planes}, workers: {workers}{warned}"
    )


def _plain(problem: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(problem)
