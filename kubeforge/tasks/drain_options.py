"""What variables say about draining, for every task that drains. Registers no task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kubeforge.cluster.draining import DrainOptions
from kubeforge.spec.durations import parse_seconds
from kubeforge.tasks.variables import Reader, truth

__all__ = ["DEAD", "DEADLINE", "DELETE_LOCAL", "FORCE", "GRACE", "options_of"]

GRACE: Final = "drain_grace"
DEADLINE: Final = "drain_deadline"
DELETE_LOCAL: Final = "drain_delete_local_storage"
FORCE: Final = "drain_force"
DEAD: Final = "drain_dead"


def options_of(variables: Mapping[str, Any]) -> DrainOptions:
    """Return what variables say about draining.

    Args:
        variables: `drain_grace` and `drain_deadline` (seconds, or like `5m`), `drain_delete_local_storage`,
            `drain_force` and `drain_dead` (yes or no).

    Raises:
        InputError: some cannot be read; all of them.
    """
    told = Reader(variables)
    grace: float = told.value(GRACE, parse_seconds, -1.0)
    options = DrainOptions(
        grace=None if grace < 0 else int(grace),
        deadline=told.value(DEADLINE, parse_seconds, DrainOptions().deadline),
        delete_local=told.value(DELETE_LOCAL, truth, False),
        force=told.value(FORCE, truth, False),
        dead=told.value(DEAD, truth, False),
    )
    told.check()
    return options
