"""A kubelet that does not begin a static pod is started anew, once. Registers no task.

One that has had no answer from an API server since it began ends no pod whose manifest has gone (pkg/kubelet,
`deletePod`: `sourcesReady`), and begins no other of that name before (`allowPodStart`). After a reboot with an API
server that does not start, or with etcd at other addresses, no manifest would ever help. A new kubelet knows only what
lies there now.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from kubeforge.cluster.processes import lacks_command
from kubeforge.cluster.static_pods import component_of, starts
from kubeforge.documents import Object
from kubeforge.engine.model import ActionContext
from kubeforge.spec.paths import KUBELET_FOLLOWS
from kubeforge.tasks.ending import END, end_words

__all__ = ["Waked"]

# Nobody ends what the old kubelet ran: the new one would do so only once it has an API.
_WAKE: Final = f"""
systemctl is-active -q kubelet || exit 0
systemctl stop kubelet
{END}
systemctl start kubelet
"""


@dataclass(slots=True)
class Waked:
    """Looks once whether the kubelet has begun a pod; wakes it where it has not.

    Args:
        run: whose host it is.
        pod: as its manifest says.
        note: a file that was written when the manifest came, where that has an older time.
        since: when its manifest was there, by the monotonic clock.
        done: whether it has looked.
    """

    run: ActionContext
    pod: Object
    note: str = ""
    since: float = field(default_factory=time.monotonic)
    done: bool = False

    def seen(self, lacks: str | None) -> str | None:
        """Pass on what the pod lacks, after each look."""
        if lacks is None or self.done or time.monotonic() - self.since < KUBELET_FOLLOWS:
            return lacks
        self.done = True
        if not self._begun():
            name = component_of(self.pod)
            self.run.say(f"the kubelet has not begun {name} within {KUBELET_FOLLOWS:.0f} s: it is started anew")
            self.run.remote.run(["sh", "-c", _WAKE, "sh", *end_words(name, "KILL")])
        return lacks

    def _begun(self) -> bool:
        """Whether its container was ever started."""
        if starts(self.run.remote, self.pod, since=self.note):
            return True
        # Logs of a pod whose manifest came back may lie in a folder as old as the manifest.
        command = self.pod["spec"]["containers"][0]["command"]
        return bool(self.note) and lacks_command(self.run.remote, command, files=[self.note]) is None
