"""A click group that imports a command's module when that command is called, and not to list it in --help."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from kubeforge.spec.suggestions import did_you_mean

__all__ = ["LazyGroup", "Verb"]


@dataclass(frozen=True, slots=True)
class Verb:
    """One row of the table of verbs.

    Args:
        module: below kubeforge.cli.
        attribute: the click command there.
        summary: its line in --help, the same as the command's own first line.
        section: heading in --help.
    """

    module: str
    attribute: str
    summary: str
    section: str


class LazyGroup(click.Group):
    """A group over a table of verbs.

    Args:
        verbs: name -> row, in the order of --help.
    """

    def __init__(self, *, verbs: Mapping[str, Verb], **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]  # click's own keyword arguments, passed through
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        del ctx
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None: there is none of that name."""
        del ctx
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        command = getattr(importlib.import_module(f"kubeforge.cli.{verb.module}"), verb.attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command a line names, with a suggestion where there is none."""
        name = args[0]
        if name not in self._verbs and not name.startswith("-"):
            ctx.fail(f"no command is called {name}{did_you_mean(name, self._verbs)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, section by section."""
        del ctx
        for section in dict.fromkeys(verb.section for verb in self._verbs.values()):
            rows: Sequence[tuple[str, str]] = [
                (name, verb.summary) for name, verb in self._verbs.items() if verb.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)
