"""Reboots, and waiting until the host is back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kubeforge.cluster.boots import boot_of, lacks_new_boot, seconds_up, started_script
from kubeforge.cluster.conditions import Condition, until
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ConnectionFailed, DeadlineExceeded, OperationFailed
from kubeforge.operations.model import Change, Observation, Queries, Verb
from kubeforge.tasks.registry import task
from kubeforge.transport.base import Remote

__all__ = ["reboot"]

# Debian's and SUSE's packages leave a file; needs-restarting(1) of dnf-utils ends with 1 where a reboot is due.
_REQUIRED: Final = (
    "[ -e /run/reboot-required ] || [ -e /var/run/reboot-required ] || [ -e /run/reboot-needed ] || "
    "{ command -v needs-restarting >/dev/null && ! needs-restarting -r >/dev/null; }"
)
_STARTED: Final = frozenset({"running", "degraded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot(Action):
    """Reboots a host and waits until systemd there has started everything.

    Args:
        when: always, or only where the host says that it needs it.
        deadline: seconds until it must be back.
    """

    when: Literal["required", "always"]
    deadline: float

    @property
    def title(self) -> str:
        """What is done."""
        return "reboot"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Say whether it is due, or that this is known only later."""
        if self.when == "always":
            return [self._change("is asked for")]
        if _required(run.remote):
            return [self._change("the host says that it needs it")]
        if run.expected.changed:
            return [self._change("is asked after what is planned before: only if the host needs it then")]
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Reboot and wait.

        Raises:
            DeadlineExceeded: the host is not back in time.
            OperationFailed: it is this machine.
        """
        remote = run.remote
        if run.context.host.connection.kind == "local":
            raise OperationFailed(
                "this machine is not rebooted by its own run", host=remote.host, step=self.title, remedy="do it by hand"
            )
        if self.when == "required" and not _required(remote):
            return []
        before = boot_of(remote)
        run.say("rebooting")
        try:
            remote.run(("systemctl", "--no-block", "reboot"))
        except (ConnectionFailed, DeadlineExceeded):
            run.say("the connection ended with the host")  # it may go before it answers
        back = Condition(
            name="the host is back",
            deadline=self.deadline,
            lacks=lambda: _not_back(run, before),
            remedy="look at the host's console",
        )
        until(back, step=self.title, host=run.context.host.name, checkpoint=run.checkpoint)
        return [self._change("")]

    def traces(self) -> Queries:
        """Ask how long the host has been up."""
        return Queries(outputs=(started_script(),))

    def was_done(self, seen: Observation, began: float) -> bool | None:
        """Compare when it booted with when a run that was cut off began to reboot it."""
        up = seconds_up(seen.outputs.get(started_script(), ""))
        return None if up is None else time.time() - up > began

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RESTART, why=why, every_run=self.when == "always")


def _required(remote: Remote) -> bool:
    return remote.run(("sh", "-c", _REQUIRED), expect=range(256)).status == 0


def _not_back(run: ActionContext, before: str) -> str | None:
    lacks = lacks_new_boot(lambda: run.remote, before)
    if lacks is not None:
        return lacks
    try:
        state = run.remote.run(("systemctl", "is-system-running"), expect=range(256)).stdout.decode().strip()
    except (ConnectionFailed, DeadlineExceeded, OperationFailed) as error:
        return error.cause
    return None if state in _STARTED else f"systemd is {state or 'silent'}"


@task("host.reboot", aka=("reboot",))
def reboot(
    context: Context, *, when: Literal["required", "always"] = "required", deadline: float = 900
) -> Iterator[Action]:
    """Reboot and wait until the host is back, with everything started that starts at boot.

    Args:
        when: required: where the distribution says that it is needed; always, which is best for a handler.
        deadline: seconds until it must be back.
    """
    del context
    yield Reboot(when=when, deadline=deadline)
