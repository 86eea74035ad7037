"""The record of runs on the controller: one directory per run, old ones collected.

    ~/.local/state/kubeforge/runs/<cluster>/<run id>/plan.json, events.jsonl, result.json

Written by the engine, read by people and by `--resume`. It holds names, counts, titles and messages, and the diffs that
were shown; never a secret.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from kubeforge.engine.events import ChangeDone, Event, as_data
from kubeforge.errors import KubeforgeError
from kubeforge.spec.naming import cluster_name

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["KEEP", "Journal", "filed_by", "filed_under", "runs_folder"]

KEEP = 50
"""Runs kept per cluster; and as many of those that began nothing, which shall not push out the others."""

UNBEGUN = "unbegun"
"""Empty file in the record of a run that began nothing."""

STATE_VARIABLE = "KUBEFORGE_STATE"
PLACES = frozenset({"hosts", "inventory"})
"""Names that say nothing about which cluster an inventory is of."""

RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")


def runs_folder(cluster: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where a cluster's runs are recorded; `KUBEFORGE_STATE` overrides the user's state folder."""
    given = environment.get(STATE_VARIABLE)
    if given:
        state = Path(given)
    else:
        from platformdirs import user_state_path  # noqa: PLC0415 - 5 ms

        state = user_state_path("kubeforge")
    return state / "runs" / (re.sub(r"[^A-Za-z0-9._-]", "_", cluster).lstrip(".") or "default")


def filed_under(inventory: Inventory, cluster: str | None = None) -> str:
    """Return what the record of a run is filed under; see `filed_by`.

    Args:
        inventory: of the run.
        cluster: the name of the cluster that the run is about; None: it is about none.
    """
    return cluster or filed_by(inventory.source)


def filed_by(source: Path | None) -> str:
    """Return what runs over an inventory are filed under: the name in its cluster.yml, else one of its path.

    Args:
        source: the inventory's path; of several, the first.
    """
    named = cluster_name(source) if source else None
    if named:
        return named
    names = [source.stem, *(parent.name for parent in source.absolute().parents)] if source else []
    return next((name for name in names if name and name not in PLACES), "default")


class Journal:
    """One run's record; a sink for events. Closing it collects old runs.

    Args:
        folder: of the cluster's runs.
        run_id: `20261121T103500-ab12cd`, so that names sort by time.
        begins: whether the run is going to do anything.

    Attributes:
        path: the run's directory.
        broken: why the record is not whole; None: it is.

    Raises:
        KubeforgeError: it cannot be written.
    """

    def __init__(self, folder: Path, run_id: str, *, begins: bool = True) -> None:
        self.path = folder / run_id
        self.broken: str | None = None
        try:
            self.path.mkdir(parents=True, mode=0o700)
            if not begins:
                _private(self.path / UNBEGUN).close()
            self._events = _private(self.path / "events.jsonl")
        except OSError as error:
            raise KubeforgeError(
                f"the run cannot be recorded in {self.path}: {error.strerror}",
                step="journal",
                remedy=f"make the folder writable, or set {STATE_VARIABLE} to another",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what could not be written is known already
            self._events.close()
        _collect(self.path.parent)

    def __call__(self, event: Event) -> None:
        """Record one event. A full disk here must not end what runs on hosts: then `broken` says why it stopped."""
        if self.broken is None:
            try:
                self._events.write(json.dumps(as_data(event), ensure_ascii=False) + "\n")
                self._events.flush()
                if isinstance(event, ChangeDone) and event.every_run:  # known nowhere else once the host's note is gone
                    os.fsync(self._events.fileno())
            except OSError as error:
                self.broken = error.strerror or str(error)

    def write(self, name: str, data: Mapping[str, Any]) -> None:
        """Write `name`.json, whole or not at all; where that fails `broken` says why."""
        target = self.path / f"{name}.json"
        temporary = target.with_suffix(".new")
        try:
            with _private(temporary) as file:
                json.dump(data, file, ensure_ascii=False, indent=1)
            temporary.replace(target)
        except OSError as error:
            self.broken = error.strerror or str(error)


def _private(path: Path) -> TextIO:
    """Open a new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")


def _collect(folder: Path) -> None:
    """Remove all but the newest runs of either kind."""
    kinds: dict[bool, list[Path]] = {}
    for run in sorted(entry for entry in folder.iterdir() if RUN_ID.fullmatch(entry.name)):
        kinds.setdefault((run / UNBEGUN).exists(), []).append(run)
    for runs in kinds.values():
        for old in runs[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)
