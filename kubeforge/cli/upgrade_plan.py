"""`kubeforge upgrade plan`: what an upgrade would meet and do. Changes nothing."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only this verb needs
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeforge.cli import options

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked

__all__ = ["plan"]


@click.command()
@click.argument("version", required=False)
@options.inventory
@options.variables
@options.passwords()
@options.output("table", "json", "yaml")
@click.option("--ignore", "ignored", multiple=True, metavar="KIND", help="A problem that shall not stand in the way.")
@click.option("-v", "--verbose", is_flag=True, help="Every host and every restart, however many.")
@click.pass_context
def plan(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    version: str | None,
    inventory_path: Path | None,
    variables: Mapping[str, str],
    output: str,
    ignored: tuple[str, ...],
    asked: Asked,
    *,
    verbose: bool,
) -> None:
    """Show what an upgrade would meet and do; changes nothing.

    VERSION is a patch (1.36.3) or a minor (1.36); without it, the versions that the cluster can go to are listed, and
    one of them is looked at. Leaves with 0 where it can go, 12 where something stands in the way, 11 where no control
    plane can be entered. docs/upgrade-plan.md describes the fields of -o json and the kinds of problems.
    """
    from kubeforge.cli.answers import answer
    from kubeforge.cli.boundary import console
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import examine_input, shelf
    from kubeforge.cluster.upgrade.look import look
    from kubeforge.cluster.upgrade.obstacles import check_ignored
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.report.upgrade import print_plan

    given = examine_input(inventory_path, variables)
    inventory, spec = given.required()
    check_ignored(ignored)
    with entering(inventory, asked) as (known, connections):
        remote_of = ConnectedRemotes(known, connections).remote
        made = look(known, spec, remote_of, shelf(spec, given.path), version=version, ignored=ignored)
    if output == "table":
        print_plan(made, console(stderr=False), everything=verbose)
    else:
        answer(made.to_data(), output)
    ctx.exit(made.exit_code)
