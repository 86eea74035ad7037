"""`kubeforge runs …` and `kubeforge report`: what recorded runs did. Asks no host; no logic here."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeforge.cli import options

if TYPE_CHECKING:
    from kubeforge.engine.records import RunRecord

__all__ = ["report", "runs"]

_cluster = click.option("--cluster", metavar="NAME", help="Whose runs, where no inventory is at hand.")
_run = click.argument("run", default="last")


@click.group()
def runs() -> None:
    """Runs that were recorded: list them, show one, compare two."""


@runs.command("list")
@options.inventory
@_cluster
@click.option("-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@options.output("table", "json", "yaml")
def list_(inventory_path: Path | None, cluster: str | None, number: int, output: str) -> None:
    """List runs, newest first."""
    from kubeforge.cli.answers import answer
    from kubeforge.cli.boundary import console
    from kubeforge.engine.records import recorded
    from kubeforge.report.runs import print_list

    found = recorded(_folder(inventory_path, cluster))[:number]
    if output == "table":
        print_list(found, console(stderr=False))
    else:
        answer([run.to_data() for run in found], output)


@runs.command()
@options.inventory
@_cluster
@_run
@options.output("table", "json", "yaml")
def show(inventory_path: Path | None, cluster: str | None, run: str, output: str) -> None:
    """Show what a run did: `last`, `last~1`, or a part of its name."""
    from kubeforge.cli.answers import answer
    from kubeforge.cli.boundary import console
    from kubeforge.engine.events import as_data
    from kubeforge.report.runs import print_run

    found = _found(inventory_path, cluster, run)
    if output == "table":
        print_run(found, console(stderr=False))
    else:
        parts = {"changes": found.changes, "problems": found.failures, "remarks": found.remarks}
        answer({**found.to_data(), **{name: as_data(rows) for name, rows in parts.items()}}, output)


@runs.command()
@options.inventory
@_cluster
@click.argument("first", default="last~1")
@click.argument("second", default="last")
@options.output("table", "json", "yaml")
def diff(inventory_path: Path | None, cluster: str | None, first: str, second: str, output: str) -> None:
    """Show how a run differs from an earlier one."""
    from kubeforge.cli.answers import answer
    from kubeforge.cli.boundary import console
    from kubeforge.report.runs import compared, print_difference

    both = _found(inventory_path, cluster, first), _found(inventory_path, cluster, second)
    if output == "table":
        print_difference(*both, console(stderr=False))
    else:
        answer(compared(*both).to_data(), output)


@click.command()
@options.inventory
@_cluster
@_run
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: RUN.html]")
def report(inventory_path: Path | None, cluster: str | None, run: str, target: Path | None) -> None:
    """Make one HTML page out of a run, to be opened anywhere without a network."""
    from kubeforge.report.page import as_html

    found = _found(inventory_path, cluster, run)
    written = target or Path(f"{found.run_id}.html")
    try:
        written.write_text(as_html(found), encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(written), error.strerror) from None
    click.echo(str(written))


def _found(inventory_path: Path | None, cluster: str | None, run: str) -> RunRecord:
    from kubeforge.engine.records import find

    return find(_folder(inventory_path, cluster), run)


def _folder(inventory_path: Path | None, cluster: str | None) -> Path:
    from kubeforge.cli.session import filed
    from kubeforge.engine.journal import runs_folder

    return runs_folder(cluster or filed(inventory_path))
