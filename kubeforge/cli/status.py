"""`kubeforge status`: what the cluster is like now. Changes nothing."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only this verb needs
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from kubeforge.cli import options

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked
    from kubeforge.cli.session import Given

__all__ = ["status"]


@click.command()
@options.inventory
@options.variables
@options.passwords()
@options.output("table", "json", "yaml")
@click.option("-v", "--verbose", is_flag=True, help="All nodes, every certificate, where each version runs.")
@click.pass_context
def status(
    ctx: click.Context,
    inventory_path: Given,
    variables: Mapping[str, str],
    output: str,
    asked: Asked,
    *,
    verbose: bool,
) -> None:
    """Show what the cluster is like now, and for everything that is wrong what mends it.

    Leaves with 0 where all is well (warnings do not count), 1 where something is amiss, 16 where no API server serves,
    11 where no control plane can be entered. docs/status.md describes the fields of -o json.
    """
    from kubeforge.cli.answers import answer
    from kubeforge.cli.boundary import console
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import examine_input
    from kubeforge.cluster.status.look import look
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.report.status import print_status

    inventory, spec = examine_input(inventory_path, variables).required()
    with entering(inventory, asked) as (known, connections):
        seen = look(known, spec, ConnectedRemotes(known, connections).remote)
    if output == "table":
        print_status(seen, console(stderr=False), everything=verbose)
    else:
        answer(seen.to_data(), output)
    ctx.exit(seen.exit_code)
