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
        since: when its manifest was there, by the monotonic clock.
        done: whether it has looked.
    """

    run: ActionContext
    pod: Object
    since: float = field(default_factory=time.monotonic)
    done: bool = False

    def seen(self, lacks: str | None) -> str | None:
        """Pass on what the pod lacks, after each look."""
        if lacks is None or self.done or time.monotonic() - self.since < KUBELET_FOLLOWS:
            return lacks
        self.done = True
        if starts(self.run.remote, self.pod) == 0:
            name = component_of(self.pod)
            self.run.say(f"the kubelet has not begun {name} within {KUBELET_FOLLOWS:.0f} s: it is started anew")
            self.run.remote.run(["sh", "-c", _WAKE, "sh", *end_words(name, "KILL")])
        return lacks
