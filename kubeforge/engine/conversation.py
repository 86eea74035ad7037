"""What an action holds while it plans and runs: its host, other hosts, a place to speak. See model.ActionContext."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kubeforge.engine.events import WARNING, ActionSaid, Events
from kubeforge.engine.model import Context
from kubeforge.errors import Interrupted
from kubeforge.operations.model import Observation
from kubeforge.transport.base import Remote

__all__ = ["Conversation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """See model.ActionContext.

    Args:
        context: what tasks know.
        title: the action's.
        expected: what will hold on the host after the changes planned before.
        pending: whether any change is planned before this action.
        connect: host name -> Remote.
        events: where `say` goes.
        stopping: whether Ctrl-C was pressed.
        run_id: names the run; empty while planning.
        elsewhere: while planning: host -> what this turn will have changed there.
        remarked: told every remark and its details.
        heard: told every other message.
    """

    context: Context
    title: str
    expected: Observation
    pending: bool
    connect: Callable[[str], Remote]
    events: Events
    stopping: Callable[[], bool]
    run_id: str = ""
    elsewhere: Mapping[str, Observation] = field(default_factory=dict)
    remarked: Callable[[str, Mapping[str, str]], None] = lambda *_: None
    heard: Callable[[str], None] = lambda _: None

    @property
    def remote(self) -> Remote:
        """The action's host."""
        return self.connect(self.context.host.name)

    def remote_of(self, host: str) -> Remote:
        """Another host of the inventory."""
        return self.connect(host)

    def say(self, message: str) -> None:
        """Show progress."""
        self._show(message)
        self.heard(message)

    def remark(self, text: str, **details: str) -> None:
        """Warn."""
        self._show(f"{WARNING}{text}")
        self.remarked(text, details)

    def checkpoint(self) -> None:
        """Stop here if Ctrl-C was pressed."""
        if self.stopping():
            raise Interrupted("stopped while waiting", host=self.context.host.name, step=self.title)

    def _show(self, message: str) -> None:
        self.events.emit(ActionSaid(host=self.context.whose.name, step=self.title, message=message))
