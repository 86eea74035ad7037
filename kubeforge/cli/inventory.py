"""`kubeforge inventory …`: hosts, groups and variables as they are read. Asks no host, but for --facts."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubeforge.cli import options
from kubeforge.spec.suggestions import did_you_mean

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked
    from kubeforge.cli.session import Given
    from kubeforge.inventory.model import Inventory

__all__ = ["inventory"]


@click.group()
def inventory() -> None:
    """Hosts, groups and variables, as the inventory gives them."""


def _loaded(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all of these verbs have, and hand the inventory over, loaded."""

    @options.inventory
    @options.variables
    @click.option("--playbook-dir", type=click.Path(path_type=Path), help="Its group_vars and host_vars count, too.")
    @click.option("--facts", is_flag=True, help="Ask the hosts what they are, for constructed groups.")
    @options.passwords()
    @wraps(function)
    def command(
        inventory_path: Given,
        variables: Mapping[str, str],
        playbook_dir: Path | None,
        *,
        facts: bool,
        asked: Asked,
        **given: Any,
    ) -> None:
        from kubeforge.cli.boundary import show_warnings
        from kubeforge.cli.session import inventory_of

        found = inventory_of(inventory_path, variables, playbook_folder=playbook_dir)
        if facts:
            told = _facts(found, asked)
            found = inventory_of(inventory_path, variables, playbook_folder=playbook_dir, facts=told)
        show_warnings(found.warnings)
        function(found, **given)

    return command


@inventory.command("list")
@_loaded
@options.limit
@click.option("-y", "--yaml", "as_yaml", is_flag=True, help="As a YAML inventory; the same as -o yaml.")
@options.output("json", "yaml")
def list_(found: Inventory, limit: str | None, output: str, *, as_yaml: bool) -> None:
    """Print everything, in the form of `ansible-inventory --list`.

    Variables are shown as they were written, and secrets masked: password variables, and what is encrypted.
    """
    from kubeforge.cli.answers import answer
    from kubeforge.inventory.listing import as_list, as_tree

    form = "yaml" if as_yaml else output
    answer((as_tree if form == "yaml" else as_list)(found, _chosen(found, limit)), form)


@inventory.command()
@_loaded
@options.limit
def graph(found: Inventory, limit: str | None) -> None:
    """Draw the groups and their hosts, in the form of `ansible-inventory --graph`."""
    from kubeforge.inventory.listing import as_graph

    click.echo(as_graph(found, _chosen(found, limit)))


@inventory.command()
@_loaded
@click.argument("name")
@click.option("--raw", is_flag=True, help="As they were written, templates not rendered.")
@options.output("json", "yaml")
def host(found: Inventory, name: str, output: str, *, raw: bool) -> None:
    """Print a host's variables, rendered; all that cannot be are told, with file and line."""
    from kubeforge.cli.answers import answer
    from kubeforge.inventory.listing import rendered_variables, written_variables

    if name not in found.hosts:
        raise click.UsageError(f"there is no host {name} in the inventory{did_you_mean(name, found.hosts)}")
    answer((written_variables if raw else rendered_variables)(found.hosts[name]), output)


def _chosen(found: Inventory, limit: str | None) -> Collection[str] | None:
    from kubeforge.inventory.patterns import select

    return None if limit is None else {each.name for each in select(found, limit)}


def _facts(found: Inventory, asked: Asked) -> Mapping[str, Mapping[str, Any]]:
    """Ask all hosts what they are; who does not answer is told, and has no facts."""
    from kubeforge.cli.passwords import entering
    from kubeforge.engine.executors import ThreadExecutor
    from kubeforge.engine.fact_variables import variables_of
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.engine.surveying import survey

    with entering(found, asked) as (known, connections):
        answers = survey(list(known.hosts), ConnectedRemotes(known, connections).remote, ThreadExecutor())
    for one in answers:
        if one.failure:
            click.echo(f"{click.style('warning:', fg='yellow')} {one.failure}", err=True)
    return variables_of(answers)
