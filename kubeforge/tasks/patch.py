"""Packages and kernel of the hosts' own distribution: what is due, host by host, with the node drained around it.

What is due is asked before anything is touched, so that the plan names each package; a host with nothing due is left
alone. A run that was killed is gone on with: an interrupted dpkg is brought to its end, a node that was cordoned for it
is uncordoned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import InputError, Problem, UnfitHost
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Change, Queries, Verb
from kubeforge.operations.system_upgrade import Look, SystemUpgrade, busy_script, look_of, look_script
from kubeforge.spec.paths import APT_DEADLINE, REBOOT_DEADLINE
from kubeforge.tasks.acting import act
from kubeforge.tasks.drain import Drain
from kubeforge.tasks.drain_options import options_of
from kubeforge.tasks.host_back import back, spared
from kubeforge.tasks.reboot import Reboot, When
from kubeforge.tasks.registry import task
from kubeforge.tasks.variables import flag, span

__all__ = ["AWAY", "DRAIN", "REBOOT", "Packages", "check", "drain", "gate", "packages", "reboot", "serves"]

REBOOT: Final = "patch_reboot"
"""Variable: `auto`, `always`, `never`."""
AWAY: Final = "patch_reboot_deadline"
"""Variable: how long a host may be away; seconds, or like `15m`."""
DRAIN: Final = "patch_drain"
"""Variable: whether pods leave a node before it is patched; yes unless it says no."""


def _reads(inventory: Inventory, host: Host) -> Queries:  # noqa: ARG001 - the same on every host
    return Queries(outputs=(look_script(),))


@task("patch.check", reads=_reads)
def check(context: Context) -> Iterator[Action]:
    """Refuse a host that cannot be patched, before any other is touched: no apt, sources that cannot be fetched."""
    look = _look(context)
    _when(context)
    problems = [*look.errors, *look.refused]
    cause = "its packages cannot be upgraded" if problems else "it has no apt, and kubeforge patches Debian's family"
    if problems or not look.apt:
        raise UnfitHost(
            f"{cause}; nothing was done",
            host=context.host.name,
            step="patch.check",
            evidence=problems,
            remedy="correct /etc/apt/sources.list and sources.list.d there, or leave the host out by --limit"
            if problems
            else "leave it out by --limit, and patch it by its own means",
        )
    yield from ()


@task("patch.gate", reads=_reads)
def gate(context: Context) -> Iterator[Action]:
    """Wait until the cluster can do without this host's etcd member and API server, where anything is due on it."""
    asked = spared(context, "patch.gate")
    if asked is not None and _is_due(context):
        yield asked


@task("patch.drain", reads=_reads)
def drain(context: Context) -> Iterator[Action]:
    """Let the pods leave the node, where anything is due on it."""
    if context.host.is_node and _is_due(context) and flag(context.vars, DRAIN, default=True):
        yield Drain(node=context.host.name, options=options_of(context.vars))


@task("patch.packages", reads=_reads)
def packages(context: Context) -> Iterator[Action]:
    """Upgrade the distribution's packages; those of Kubernetes and the container runtime stay."""
    look = _look(context)
    if look.stale:
        yield Packages(look=look)


@task("patch.reboot", reads=_reads)
def reboot(context: Context) -> Iterator[Action]:
    """Reboot the host where it wants that, or where it is asked for, and wait until it answers."""
    look, when, within = _look(context), _when(context), span(context.vars, AWAY, REBOOT_DEADLINE)
    if when is When.ALWAYS:
        yield Reboot(why="is asked for", always=True, within=within)
    elif when is When.AUTO and (look.reboot or look.stale):
        yield Reboot(why=look.reboot, within=within)


@task("patch.serves")
def serves(context: Context) -> Iterator[Action]:
    """Wait until the host does its part again, before the next one is touched."""
    yield back(context)


def _look(context: Context) -> Look:
    return look_of(context.seen[context.host.name].outputs[look_script()])


def _when(context: Context) -> When:
    given = str(context.vars.get(REBOOT, When.AUTO))
    try:
        return When(given)
    except ValueError:
        words = ", ".join(When)
        raise InputError([Problem(message=f"`{given}` is none of {words}", field=REBOOT)]) from None


def _is_due(context: Context) -> bool:
    look, when = _look(context), _when(context)
    return look.stale or when is When.ALWAYS or (when is When.AUTO and bool(look.reboot))


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages(Action):
    """The host's packages are what its sources offer.

    Args:
        look: what was seen when the run began.
    """

    look: Look

    @property
    def title(self) -> str:
        """Its task's name."""
        return "patch.packages"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Name each package, and what was left half done."""
        if self.look.busy:
            run.remark("somebody else installs packages there just now; they are waited for")
        return _changes(self.look)

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Do what is due by now: the lists are fetched once more.

        Raises:
            DeadlineExceeded: somebody else installs packages there, and does not end.
            OperationFailed: apt or dpkg failed; its last words are in the evidence.
        """
        condition = Condition(
            name="nobody else installs packages",
            lacks=lambda: "apt or dpkg runs there" if _asked(run, busy_script()).busy else None,
            deadline=APT_DEADLINE,
            evidence=lambda: _installing(run),
        )
        await_condition(condition, run, step=self.title)
        look = _asked(run, look_script())
        run.say(f"{len(look.upgrades) or 'its'} packages are upgraded")
        remedy = "mend what apt says, then run the same command again: it goes on from here, and ends what dpkg began"
        act(run, [SystemUpgrade()], step=self.title, remedy=remedy)
        return _changes(look)


def _installing(run: ActionContext) -> list[str]:
    """Return the processes that install packages."""
    told = run.remote.run(["ps", "-eo", "pid,etime,args"], expect=range(256)).stdout.decode("utf-8", "replace")
    return [line for line in told.splitlines() if any(word in line for word in ("apt", "dpkg", "unattended"))]


def _asked(run: ActionContext, script: str) -> Look:
    return look_of(run.remote.observe(Queries(outputs=(script,))).outputs[script])


def _changes(look: Look) -> list[Change]:
    changes = []
    if look.broken:
        named = ", ".join(look.half) or "its own notes"
        why = f"was interrupted ({named}): it is brought to its end; what is upgraded then is not known yet"
        changes.append(Change(title="dpkg", verb=Verb.RUN, why=why))
    for one in look.upgrades:
        verb = Verb.UPDATE if one.before else Verb.CREATE
        why = f"{one.before} becomes {one.after}" if one.before else f"{one.after} is needed by others"
        changes.append(Change(title=f"package {one.name}", verb=verb, why=why))
    return changes
