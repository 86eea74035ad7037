"""Tables and problems as reports of clusters show them: as wide as they are, without colour where nobody wants any."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from kubeforge.cluster.status.model import Problem, Severity

__all__ = ["NONE", "add_row", "in_plain_text", "new_table", "plain_table", "print_table", "problem_lines", "rendered"]

NONE: Final = "-"
_WIDEST: Final = 10_000
_STYLES: Final = {
    Severity.CRITICAL: "bold red",
    Severity.ERROR: "red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
}
_SIGNS: Final = {Severity.CRITICAL: "!!", Severity.ERROR: "!!", Severity.WARNING: " !", Severity.NOTE: " i"}


def in_plain_text(show: Callable[[Console], None]) -> str:
    """Return what a function prints, without colour."""
    console = Console(file=io.StringIO(), width=_WIDEST, highlight=False, markup=False, no_color=True)
    show(console)
    assert isinstance(console.file, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def rendered(table: Table, console: Console) -> Iterator[Text]:
    """Yield a table's lines as wide as they are, whatever the console's width: a pipe's is 80 and says nothing."""
    width = Measurement.get(console, console.options.update(width=_WIDEST), table).maximum
    for segments in console.render_lines(table, console.options.update(width=width), pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()
        yield line


def print_table(table: Table, console: Console) -> None:
    """Print a table as wide as it is."""
    for line in rendered(table, console):
        console.print(line, soft_wrap=True)


def new_table(*titles: str) -> Table:
    """Return a table with these columns and no lines."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        made.add_column(title, no_wrap=True, overflow="ignore")
    return made


def plain_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as text; an empty cell is shown as `-`."""
    table = new_table(*titles)
    for row in rows:
        add_row(table, *row)
    return in_plain_text(lambda console: print_table(table, console))


def add_row(table: Table, *cells: str, style: str = "") -> None:
    """Add a line; an empty cell is shown as `-`."""
    table.add_row(*(Text(cell or NONE) for cell in cells), style=style)


def problem_lines(problem: Problem) -> Iterator[Text]:
    """Yield a problem in two lines: what it is, and what to do."""
    style = _STYLES[problem.severity]
    line = Text(f"  {_SIGNS[problem.severity]} ", style=style)
    where = f"{problem.where}: " if problem.where else ""
    first = (problem.message.splitlines() or [""])[0]
    yield line.append(f"{where}{first}", style=style).append(f"  ({problem.kind})", style="dim")
    yield Text(f"       next: {problem.remedy}")
