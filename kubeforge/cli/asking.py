"""What verbs that only ask hosts have in common: their options, and the connections. No logic here."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeforge.cli import options

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked
    from kubeforge.inventory.model import Inventory
    from kubeforge.transport.base import Remote

__all__ = ["asking", "read_options"]


def read_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a verb that asks hosts and changes nothing."""
    decorated: Any = options.output("table", "json", "yaml")(function)
    for option in (options.passwords(), options.variables, options.inventory):
        decorated = option(decorated)
    added: Callable[..., None] = decorated
    return added


@contextmanager
def asking(
    given: Path | None, variables: Mapping[str, str], asked: Asked
) -> Iterator[tuple[Inventory, Callable[[str], Remote]]]:
    """Give the inventory, and what connects to its hosts while the block runs."""
    from kubeforge.cli.passwords import entering
    from kubeforge.cli.session import examine_input
    from kubeforge.engine.remotes import ConnectedRemotes

    inventory, _ = examine_input(given, variables).required()
    with entering(inventory, asked) as (known, connections), closing(ConnectedRemotes(known, connections)) as remotes:
        yield known, remotes.remote
