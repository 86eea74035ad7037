"""Which boot of a host this is, and how its node reports since: told apart even where a reboot takes two seconds.

The kernel makes an id at every boot (proc(5), random/boot_id). In a container it is the machine's, so the start of the
first process belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kubeforge.cluster.kinds import Obj, condition_of, is_ready
from kubeforge.errors import ConnectionFailed, DeadlineExceeded, HostKeyRefused, OperationFailed
from kubeforge.transport.base import Remote

__all__ = ["boot_of", "heartbeat", "lacks_new_boot", "lacks_ready", "seconds_up", "started_script"]

_BOOT: Final = "cat /proc/sys/kernel/random/boot_id; sed 's/^.*) //' /proc/1/stat | cut -d ' ' -f 20"
_ANSWER: Final = 10.0  # seconds
# proc(5): the start of the first process is in clock ticks since the machine's boot, as uptime counts seconds since it
_STARTED: Final = (
    "read -r up _ </proc/uptime; echo \"$up $(sed 's/^.*) //' /proc/1/stat | cut -d ' ' -f 20) $(getconf CLK_TCK)\""
)


def boot_of(remote: Remote) -> str:
    """Return what is the same as long as a host does not reboot.

    Raises:
        ConnectionFailed: it does not answer.
        DeadlineExceeded: it does not answer in time.
    """
    return " ".join(remote.run(["sh", "-c", _BOOT], deadline=_ANSWER).stdout.decode("ascii", "replace").split())


def started_script() -> str:
    """Return the read-only script that asks how long a host has been up; `seconds_up` reads its answer."""
    return _STARTED


def seconds_up(answer: str) -> float | None:
    """Return how long ago a host's first process began; None: it does not say."""
    try:
        up, start, ticks = map(float, answer.split())
        age = up - start / ticks
    except (ValueError, ZeroDivisionError):
        return None
    return age if age >= 0 else None


def lacks_new_boot(remote_of: Callable[[], Remote], before: str) -> str | None:
    """Say why a host is not back from its reboot; None: it answers, and has booted since.

    Args:
        remote_of: connects; raises ConnectionFailed as long as it cannot.
        before: `boot_of` it, before the reboot.

    Raises:
        HostKeyRefused: something else answers in its place.
    """
    remote: Remote | None = None
    try:
        remote = remote_of()
        now = boot_of(remote)
    except HostKeyRefused:
        raise
    except (ConnectionFailed, DeadlineExceeded, OperationFailed) as error:
        if remote is not None:
            remote.close()  # a connection that went without a word would be asked again and again
        return f"it does not answer: {error.cause}"
    return "it has not gone down yet" if now == before else None


def heartbeat(node: Obj | None) -> str:
    """Return when a node's kubelet last said how it is, as the Node tells; empty: never."""
    return str(condition_of(node, "Ready").get("lastHeartbeatTime") or "")


def lacks_ready(node: Obj | None, since: str = "") -> str | None:
    """Say why a node does not count as Ready; None where it does.

    A Node goes on saying Ready for 40 s after its kubelet has died, so what was said before does not count.

    Args:
        node: the object; None: there is none.
        since: its heartbeat before its kubelet went.
    """
    if node is None:
        return "the node is not registered"
    if since and heartbeat(node) == since:
        return "its kubelet has not reported since"
    if is_ready(node):
        return None
    told = condition_of(node, "Ready").get("message")
    return f"the node is not Ready: {told or 'it has not reported yet'}"
