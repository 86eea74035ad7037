"""`kubeforge upgrade …`: from one version to the next ones, and back. No logic here: each verb has its own module."""

from __future__ import annotations

from typing import Final

import click

from kubeforge.cli.lazy import LazyGroup, Verb

__all__ = ["VERBS", "upgrade"]

_UPGRADE: Final = "Commands"

VERBS: Final = {
    "plan": Verb("upgrade_plan", "plan", "Show what an upgrade would meet and do; changes nothing.", _UPGRADE),
    "apply": Verb("upgrade_apply", "apply", "Bring the cluster to another version, one minor at a time.", _UPGRADE),
    "rollback": Verb("upgrade_apply", "rollback", "Take the last upgrade back, half done or finished.", _UPGRADE),
}


@click.group(cls=LazyGroup, verbs=VERBS)
def upgrade() -> None:
    """Another version: what it would meet, there, and back."""
