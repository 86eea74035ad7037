"""A host reboots, and is waited for until it answers with a new boot. Registers no task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kubeforge.cluster.access import api_of
from kubeforge.cluster.boots import boot_of, heartbeat, lacks_new_boot
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.engine.model import Action, ActionContext
from kubeforge.errors import ApiError, ConnectionFailed, DeadlineExceeded
from kubeforge.operations.model import Change, Queries, Verb
from kubeforge.operations.system_upgrade import look_of, reboot_script
from kubeforge.spec.paths import REBOOT_DEADLINE
from kubeforge.tasks.host_back import heartbeats

__all__ = ["Reboot", "When"]


class When(StrEnum):
    """When a host is rebooted."""

    AUTO = "auto"
    """Where it says that it wants to be."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot(Action):
    """The host has rebooted, and answers.

    Args:
        why: what is known beforehand; empty: its packages may ask for it once they are upgraded.
        always: whether it reboots whatever it says.
        within: seconds that it may be away.
    """

    why: str = ""
    always: bool = False
    within: float = REBOOT_DEADLINE

    @property
    def title(self) -> str:
        """Says what happens."""
        return "reboot"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - its task gives it only where it may be due
        """Say why, or that it is not known yet."""
        return [self._change(self.why or "where the upgraded packages ask for it: not known yet")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Reboot it and wait.

        Raises:
            DeadlineExceeded: it does not come back.
            OperationFailed: it refuses to reboot.
        """
        why = self.why if self.always else self._asks(run)
        if not why:
            run.say("no reboot is needed")
            return []
        run.checkpoint()
        before = boot_of(run.remote)
        self._note_heartbeat(run)
        run.say("reboots")
        try:
            run.remote.run(["systemctl", "reboot"], deadline=30.0)
        except (ConnectionFailed, DeadlineExceeded):
            run.say("went down while it was told to")
        condition = Condition(
            name="the host answers after its reboot",
            lacks=lambda: lacks_new_boot(lambda: run.remote, before),
            deadline=self.within,
            remedy="look at its console; once it is up, run the same command again: it goes on from here. A host that "
            "will never come back is replaced: kubeforge node replace",
        )
        await_condition(condition, run, step=self.title)
        return [self._change(why)]

    def _asks(self, run: ActionContext) -> str:
        script = reboot_script()
        return look_of(run.remote.observe(Queries(outputs=(script,))).outputs[script]).reboot

    def _note_heartbeat(self, run: ActionContext) -> None:
        """Keep what the node says now: after the reboot it counts for nothing."""
        host = run.context.host
        if not host.is_node:
            return
        try:
            heartbeats(run.context)[host.name] = heartbeat(api_of(run).get("v1", "Node", host.name))
        except ApiError as error:
            run.remark(f"what the node reports now is not known: {error.cause}")

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RESTART, why=why, every_run=self.always)
