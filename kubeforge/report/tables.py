"""Tables as all reports have them: no frame, titles in bold, as wide as they are."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["NONE", "add_row", "print_table", "table_of"]

NONE: Final = "-"
"""An empty cell."""
_WIDEST: Final = 10_000


def table_of(*titles: str) -> Table:
    """Return an empty table with these columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=True, overflow="ignore")
    return table


def add_row(table: Table, *cells: str, style: str = "") -> None:
    """Add a row; an empty cell shows as `-`."""
    table.add_row(*(Text(cell or NONE) for cell in cells), style=style)


def print_table(table: Table, console: Console) -> None:
    """Print a table's lines as wide as they are, whatever the console's width: a pipe's is 80 and says nothing."""
    width = Measurement.get(console, console.options.update(width=_WIDEST), table).maximum
    for segments in console.render_lines(table, console.options.update(width=width), pad=False):
        line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
        line.rstrip()
        console.print(line, soft_wrap=True)
