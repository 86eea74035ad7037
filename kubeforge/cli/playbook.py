"""Playbooks of one's own: `playbook run`, `playbook check`, `playbook schema`."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import carry_out, confirmed, run_options

if TYPE_CHECKING:
    from kubeforge.cli.runs import Choices
    from kubeforge.cli.session import Given

__all__ = ["playbook"]

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def playbook() -> None:
    """Playbooks of your own: run, check, and their JSON Schema."""


@playbook.command()
@_file
@run_options
@click.option("-C", "--check", is_flag=True, help="Show what would be done; change nothing.")
@click.option("-D", "--diff", is_flag=True, help="Show what changes inside of files.")
@options.yes
def run(choices: Choices, *, file: Path, check: bool, diff: bool, yes: bool) -> None:
    """Do what a playbook says.

    The plan is shown first, and exactly that is done. Tasks of your own come from the Python file of the same name
    beside the playbook, and from tasks.py there.
    """
    from kubeforge.cli.books import opened_book
    from kubeforge.cli.runs import refuse_without_terminal

    if not yes and not check:
        refuse_without_terminal("playbook run")
    with opened_book(choices, file) as opened:
        made = opened.plan(diff=diff)
        if check:
            opened.show_plan(made, diff=diff)
            click.get_current_context().exit(made.exit_code)
        carry_out(opened, made, diff=diff, agreed=confirmed(yes=yes))


@playbook.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@options.inventory
def check(files: tuple[Path, ...], *, inventory_path: Given) -> None:
    """Find unknown tasks, wrong arguments and broken templates in playbooks; asks no host.

    Where an inventory is given, also plays that are for nobody there, and groups that it does not have.
    """
    from kubeforge.cli.books import checked

    for file, found in checked(files, inventory_path):
        tasks = sum(len(play.tasks) for play in found.plays)
        click.echo(f"{file}: {len(found.plays)} plays, {tasks} tasks, nothing wrong")


@playbook.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@options.output("json", "yaml")
def schema(file: Path | None, output: str) -> None:
    r"""Print the JSON Schema of playbooks, for editors; with FILE, it knows the tasks beside that playbook, too.

    \b
      kubeforge playbook schema site.yml > playbook.schema.json
      # yaml-language-server: $schema=playbook.schema.json
    """
    from kubeforge.cli.answers import answer
    from kubeforge.engine.playbook_schema import playbook_schema
    from kubeforge.tasks.beside import registry_for

    answer(playbook_schema(registry_for(file or Path("playbook.yml"))), output)
