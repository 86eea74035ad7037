"""Plain data as JSON or YAML on stdout."""

# ruff: noqa: PLC0415 - only the form that is asked for is imported
from __future__ import annotations

from typing import Any

import click

__all__ = ["answer"]


def answer(data: Any, form: str) -> None:
    """Print plain data.

    Args:
        data: mappings, lists and scalars.
        form: `json` or `yaml`.
    """
    if form == "yaml":
        import yaml

        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)
    else:
        import json

        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
