"""`kubeforge status`: what the cluster is like now. Changes nothing."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only this verb needs
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kubeforge.cli import options

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked

__all__ = ["status"]

_AMISS: Final = 1


@click.command()
@options.inventory
@options.variables
@options.passwords()
@options.output("table", "json", "yaml")
@click.pass_context
def status(
    ctx: click.Context, inventory_path: Path | None, variables: Mapping[str, str], output: str, asked: Asked
) -> None:
    """Show what the cluster is like now.

    Nodes, control plane, etcd and certificates. Leaves with 0 where all is well, with 1 where something is amiss.
    """
    from kubeforge.cli.answers import answer
    from kubeforge.cli.boundary import console
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import examine_input
    from kubeforge.cluster.status import look
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.report.status import print_status

    inventory, spec = examine_input(inventory_path, variables).required()
    with entering(inventory, asked) as (known, connections):
        seen = look(known, ConnectedRemotes(known, connections).remote)
    if output == "table":
        print_status(seen, spec.name, console(stderr=False))
    else:
        answer(seen.as_json(), output)
    ctx.exit(0 if seen.good else _AMISS)
