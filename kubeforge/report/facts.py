"""What hosts are, as a table or as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from kubeforge.engine.events import as_data as plain
from kubeforge.engine.surveying import Surveyed
from kubeforge.report.tables import add_row, new_table, print_table

__all__ = ["as_data", "print_facts"]

_GIB: Final = 2**30


def print_facts(found: Sequence[Surveyed], console: Console) -> None:
    """Print the facts that people ask for; JSON has all of them."""
    table = new_table("HOST", "SYSTEM", "KERNEL", "ARCH", "CPUS", "MEMORY", "FREE ON /", "ADDRESSES")
    for one in found:
        if one.facts is None:
            continue
        known = one.facts
        free = known.disks.get("/", (0, 0))[0]
        own = [address for name, each in known.addresses.items() if name != "lo" for address in each]
        cells = (known.os_name, known.kernel, known.arch, str(known.cpus), f"{known.memory / _GIB:.1f} GiB")
        add_row(table, one.host, *cells, f"{free / _GIB:.1f} GiB", ", ".join(own))
    if table.row_count:
        print_table(table, console)
    for one in found:
        if one.failure:
            console.print(Text(str(one.failure), style="red"), soft_wrap=True)


def as_data(found: Sequence[Surveyed]) -> dict[str, Any]:
    """Return all facts by host; of one that did not answer the reason, as `failure`."""
    return {one.host: _plain(one) for one in found}


def _plain(one: Surveyed) -> dict[str, Any]:
    if one.facts is None:
        return {"failure": one.failure.cause if one.failure else ""}
    data: dict[str, Any] = plain(one.facts)
    data["listening"] = {f"{protocol}/{port}": name for (protocol, port), name in one.facts.listening.items()}
    return data
