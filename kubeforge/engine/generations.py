"""What act kept on a host, and the operations that take it back: the last generation, or everything.

Read the ledger with `LEDGER_QUERIES`; decide the operations like any others (observe, fold, act). Nothing here touches
a host. Which paths a later run should prune is a policy that `managed_paths` only serves.

A generation is what one run changed on one host. Its changes are taken back newest first: the paths of each, then its
undo lines; units that did not run are stopped before, units that ran are started anew afterwards. A path that was
touched several times goes back to what was there first.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from kubeforge.operations.model import Observation, Operation, Queries, Verb
from kubeforge.operations.restore import Prior, Restore, RestoreUnit, Steps
from kubeforge.operations.shell import join, quote
from kubeforge.operations.unit import Unit
from kubeforge.spec import paths

__all__ = [
    "FAREWELL",
    "LEDGER_QUERIES",
    "Generation",
    "KeptChange",
    "Ledger",
    "Managed",
    "collect",
    "forgotten",
    "managed_paths",
    "origins",
    "read_ledger",
    "reset",
    "rollback",
    "taken_back",
]

LEDGER_QUERIES = Queries(reads=(paths.LEDGER,))
FAREWELL = ("rm", "-rf", "--one-file-system", "--", paths.LEDGER, paths.STATE)
"""The last command of a reset, after its operations: kubeforge's own folder goes.

The ledger goes first: cut off half-way, copies that it names would be missed for good.
"""

_ORIGIN = "origin"
_RUNNING = ("active", "activating", "reloading")
_ENABLED = ("enabled", "enabled-runtime", "linked", "linked-runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """A path that kubeforge wrote.

    Args:
        generation: the last one that touched it.
        run_id: of that generation.
        title: of the change.
    """

    generation: int
    run_id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptChange:
    """One change that was begun, and what was there before it.

    Args:
        title: as in the plan.
        verb: as in the plan.
        paths: path -> what was there before the act, None: nothing.
        undo: lines.
        units: name -> (load, active, unit file) state before.
    """

    title: str
    verb: str
    paths: Mapping[str, Prior | None]
    undo: tuple[str, ...]
    units: Mapping[str, tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What one run changed on a host.

    Args:
        number: from 1; 0 is what was folded together when old ones were collected.
        run_id: of the run.
        changes: oldest first.
        managed: of generation 0: what `managed_paths` said when it was folded.
        text: its lines of the ledger.
    """

    number: int
    run_id: str
    changes: tuple[KeptChange, ...]
    managed: Mapping[str, Managed] = field(default_factory=dict)
    text: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.number}-{self.run_id}" if self.number else _ORIGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Everything that is kept on a host.

    Args:
        generations: oldest first.
        folder: where the host keeps them.
    """

    generations: tuple[Generation, ...] = ()
    folder: str = paths.GENERATIONS


@dataclass(slots=True)
class _Act:
    """One act while the ledger is read."""

    run_id: str
    number: int
    rows: list[dict[str, Any]]
    copies: str
    begun: set[int] = field(default_factory=set)
    managed: dict[str, Managed] = field(default_factory=dict)
    text: bytes = b""


def read_ledger(seen: Observation, folder: str = paths.GENERATIONS) -> Ledger:
    """Return what a host has kept, from an observation that asked `LEDGER_QUERIES`.

    A line that was cut off by a crash is skipped: it was written before anything was changed.
    """
    acts: dict[tuple[int, int], _Act] = {}
    for text in seen.contents.get(posixpath.join(folder, "ledger"), b"").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        key = line["generation"], line.get("act", 0)
        if "forgotten" in line:
            acts = {known: act for known, act in acts.items() if known[0] != key[0]}
            continue
        if "changes" in line:
            name = _ORIGIN if key[0] == 0 else f"{key[0]}-{line['run']}/{key[1]}"
            acts[key] = _Act(line["run"], key[0], line["changes"], posixpath.join(folder, name))
            if key[0] == 0:
                acts[key].begun.update(range(len(line["changes"])))
                acts[key].managed = {path: Managed(**known) for path, known in line["managed"].items()}
        elif key in acts:
            acts[key].begun.add(line["begun"])
        if key in acts:
            acts[key].text += text + b"\n"
    return Ledger(generations=_generations(acts.values()), folder=folder)


def _generations(acts: Iterable[_Act]) -> tuple[Generation, ...]:
    found: dict[int, Generation] = {}
    for act in acts:
        changes = tuple(_kept(row, act.copies) for index, row in enumerate(act.rows) if index in act.begun)
        before = found.get(act.number)
        found[act.number] = Generation(
            number=act.number,
            run_id=act.run_id,
            changes=(*(before.changes if before else ()), *changes),
            managed=act.managed,
            text=(before.text if before else b"") + act.text,
        )
    return tuple(found[number] for number in sorted(found))


def _kept(row: Mapping[str, Any], copies: str) -> KeptChange:
    return KeptChange(
        title=row["title"],
        verb=row["verb"],
        paths={path: _prior(path, prior, copies) for path, prior in row["paths"].items()},
        undo=tuple(row["undo"]),
        units={name: (unit["load"], unit["active"], unit["file"]) for name, unit in row["units"].items()},
    )


def _prior(path: str, prior: Mapping[str, Any] | None, copies: str) -> Prior | None:
    if prior is None:
        return None
    return Prior(**prior, copy=f"{copies}{path}" if prior["kind"] == "copy" else "")


def managed_paths(ledger: Ledger) -> dict[str, Managed]:
    """Return every path that kubeforge wrote and did not remove again, with who wrote it last.

    What a playbook named in an earlier generation and no longer names is to be found by comparing with this.
    """
    found: dict[str, Managed] = {}
    for generation in ledger.generations:
        found.update(generation.managed)
        for change in generation.changes if generation.number else ():
            for path in change.paths:
                found[path] = Managed(generation=generation.number, run_id=generation.run_id, title=change.title)
                if change.verb == Verb.REMOVE:
                    del found[path]
    return found


def origins(ledger: Ledger) -> dict[str, Prior | None]:
    """Return every path that was ever touched, with what was there at first; None: nothing."""
    return {path: prior for path, (_, prior) in _first_touches(ledger.generations).items()}


def rollback(ledger: Ledger) -> list[Operation]:
    """Return the operations that take back the last generation; none when there is none.

    The last of them forgets it, so that the next rollback takes back the one before.
    """
    if not ledger.generations or ledger.generations[-1].number == 0:
        return []
    base = ledger.generations[-1].number - 1
    return [*taken_back(ledger, base), *forgotten(ledger, base)]


def taken_back(ledger: Ledger, base: int) -> list[Operation]:
    """Return the operations after which every path and unit is as it was after generation `base`."""
    later = [generation for generation in ledger.generations if generation.number > base]
    return _back(later, purge=False) if later else []


def forgotten(ledger: Ledger, base: int) -> list[Operation]:
    """Return the operations that forget the generations after `base`, newest first; to be done when they are back."""
    later = [generation for generation in ledger.generations if generation.number > base]
    return [_forgets(ledger, generation) for generation in reversed(later)]


def _forgets(ledger: Ledger, generation: Generation) -> Steps:
    line = json.dumps({"generation": generation.number, "forgotten": True}, separators=(",", ":"))
    return Steps(
        name=f"generation {generation.number}",
        why="is taken back",
        verb=Verb.REMOVE,
        lines=(
            f"printf '%s\\n' {quote(line)} >>{quote(posixpath.join(ledger.folder, 'ledger'))}",
            f"rm -rf -- {quote(posixpath.join(ledger.folder, generation.name))}",
        ),
    )


def reset(ledger: Ledger) -> list[Operation]:
    """Return the operations after which every path and unit is as it was before kubeforge came; then run `FAREWELL`.

    Directories that were not there go with everything in them, but never across a mount point.
    """
    return _back(ledger.generations, purge=True)


def _back(generations: Sequence[Generation], *, purge: bool) -> list[Operation]:
    """Newest first; units are stopped before and started afterwards."""
    kept = [(generation.number, change) for generation in generations for change in generation.changes]
    first: dict[str, int] = {}
    units: dict[str, tuple[str, str, str]] = {}
    for index, (_, change) in enumerate(kept):
        for path in change.paths:
            first.setdefault(path, index)
        for name, state in change.units.items():
            units.setdefault(name, state)
    middle: list[Operation] = []
    for index, (number, change) in reversed(list(enumerate(kept))):
        middle += [
            Restore(path=path, prior=prior, purge=purge)
            for path, prior in reversed(list(change.paths.items()))
            if first[path] == index
        ]
        if change.undo:
            name = f"undo {change.title} ({number}.{index})"
            middle.append(Steps(name=name, why=f"generation {number} is taken back", lines=change.undo))
    restored = tuple(operation.title for operation in middle)
    return [*_stopped(units), *middle, *_reloaded(first), *_started(units, restored)]


def _stopped(units: Mapping[str, tuple[str, str, str]]) -> Iterator[Operation]:
    for name, (_, active, file) in units.items():
        stop, disable = active not in _RUNNING, file not in _ENABLED
        if stop or disable:
            unit = Unit(name=name, state="stopped" if stop else None, enabled=False if disable else None)
            yield RestoreUnit(unit=unit, before=True)


def _reloaded(touched: Iterable[str]) -> Iterator[Operation]:
    if any(path.startswith("/etc/systemd/") for path in touched):
        yield Steps(name="systemd reloads", why="unit files went back", lines=("systemctl daemon-reload",))


def _started(units: Mapping[str, tuple[str, str, str]], restored: tuple[str, ...]) -> Iterator[Operation]:
    for name, (load, active, file) in units.items():
        runs, enabled = active in _RUNNING, file in _ENABLED
        if runs or enabled or load == "masked":
            unit = Unit(
                name=name,
                state="running" if runs else None,
                enabled=True if enabled else None,
                masked=True if load == "masked" else None,
                listens=restored if runs else (),
            )
            yield RestoreUnit(unit=unit)


def collect(ledger: Ledger, keep: int) -> list[Operation]:
    """Return the operation that folds all generations but the last `keep` into generation 0; none when there are none.

    Generation 0 knows what was before kubeforge came, so a reset still finds it; going back is then possible `keep`
    times. Copies are linked, not copied; the ledger is replaced before folders go, so a crash leaves only rubbish.
    """
    numbered = [generation for generation in ledger.generations if generation.number]
    old = numbered[: max(0, len(numbered) - keep)]
    if not old:
        return []
    folded, rest = [g for g in ledger.generations if not g.number] + old, numbered[len(old) :]
    first = _first_touches(folded)
    ledger_file = posixpath.join(ledger.folder, "ledger")
    content = _origin_line(folded, first) + b"".join(generation.text for generation in rest)
    lines = (
        *_links(ledger.folder, first.values()),
        f'cp -pT -- "$P" {quote(ledger_file + "~")}',
        f"mv -fT -- {quote(ledger_file + '~')} {quote(ledger_file)}",
        f"rm -rf -- {join(posixpath.join(ledger.folder, generation.name) for generation in old)}",
    )
    name = f"generations {old[0].number} to {old[-1].number}"
    same = Queries(hashes=(ledger_file,))  # whoever added a line since would lose it
    return [
        Steps(name=name, why=f"the last {keep} are kept", lines=lines, verb=Verb.REMOVE, payload=content, guard=same)
    ]


def _first_touches(generations: Iterable[Generation]) -> dict[str, tuple[str, Prior | None]]:
    """Path -> the path itself and what was there at first."""
    first: dict[str, tuple[str, Prior | None]] = {}
    for generation in generations:
        for change in generation.changes:
            for path, prior in change.paths.items():
                first.setdefault(path, (path, prior))
    return first


def _origin_line(generations: Sequence[Generation], first: Mapping[str, tuple[str, Prior | None]]) -> bytes:
    """All of `generations` as one line: of each path, unit and undo only what was first."""
    left, units, undone = dict(first), set[str](), set[str]()
    rows = []
    for change in (change for generation in generations for change in generation.changes):
        known = {path: _plain(left.pop(path)[1]) for path in change.paths if path in left}
        states = {name: state for name, state in change.units.items() if name not in units}
        undo = [] if change.title in undone else list(change.undo)
        units.update(states)
        undone.add(change.title)
        if known or states or undo:
            named = {name: dict(zip(("load", "active", "file"), state, strict=True)) for name, state in states.items()}
            rows.append({"title": change.title, "verb": change.verb, "paths": known, "undo": undo, "units": named})
    ours = managed_paths(Ledger(generations=tuple(generations)))
    managed = {path: asdict(known) for path, known in ours.items()}
    line = {"generation": 0, "act": 0, "run": _ORIGIN, "changes": rows, "managed": managed}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _plain(prior: Prior | None) -> dict[str, Any] | None:
    if prior is None:
        return None
    return {name: value for name, value in asdict(prior).items() if name != "copy"}


def _links(folder: str, first: Iterable[tuple[str, Prior | None]]) -> Iterator[str]:
    """Link the copies that are still needed into generation 0's folder, below their own paths."""
    origin = posixpath.join(folder, _ORIGIN)
    yield f"mkdir -p -- {quote(origin)}"
    bases: dict[str, list[str]] = {}
    for path, prior in first:
        if prior is not None and prior.kind == "copy":
            bases.setdefault(prior.copy.removesuffix(path), []).append(path)
    for base, found in bases.items():
        if base != origin:
            yield f"cd -- {quote(base)}"
            yield from (f"cp -al --parents -t {quote(origin)} -- {quote('.' + path)}" for path in found)
