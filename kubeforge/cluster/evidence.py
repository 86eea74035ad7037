"""What a component said before it failed: log lines of static pods, the kubelet's journal, containers that exited.

Read-only; used when a deadline has passed, so it may cost a second.
"""

from __future__ import annotations

import re
from typing import Final

from kubeforge.errors import KubeforgeError
from kubeforge.transport.base import Remote

__all__ = ["component_log", "kubelet_log", "pod_log"]

_LINES: Final = 12
_FILES: Final = 2  # newest logs: of the container that runs or died last, and of one beside it
_WIDTH: Final = 400
_KLOG: Final = re.compile(r"^[EFWI]\d{4} [\d:.]+ +\d+ ")  # level, date, time, process

# $1: prefix of pods' log folders, $2: lines, $3: files. The CRI prefix of each line (time, stream, flag) goes.
_POD_LOG: Final = r"""
files=$(ls -t /var/log/pods/"$1"*/*/*.log 2>/dev/null | head -n "$3")
[ -n "$files" ] || echo "-- no container of $1 has ever started here"
for file in $files; do
    printf -- '-- %s\n' "${file#/var/log/pods/}"
    tail -n "$2" "$file" | cut -d ' ' -f 4-
done
"""
# $1: what the lines are about, may be empty; $2: lines. Events that could not be sent say nothing about the cause.
_KUBELET_LOG: Final = r"""
for unit in kubelet containerd; do
    systemctl is-active --quiet "$unit" ||
        systemctl status --no-pager -n 3 "$unit" | grep -vE '^ *(Docs|CGroup|Tasks|Memory|CPU):'
done
about() { [ -z "$1" ] && cat || grep -F -- "$1"; }
journalctl -u kubelet --since -3min -o cat --no-pager -n 2000 |
    grep -E '^[EF][0-9]|rror:' | grep -vE 'Unable to write event|Failed creating a mirror pod' |
    about "$1" | tail -n "$2"
"""


def component_log(remote: Remote, component: str) -> list[str]:
    """Return the last lines of a static pod (`etcd`, `kube-apiserver`) and of the kubelet that should run it."""
    return pod_log(remote, f"kube-system_{component}-") + kubelet_log(remote, about=component, lines=4)


def pod_log(remote: Remote, prefix: str) -> list[str]:
    """Return the last lines of the newest containers of pods whose log folder (`NAMESPACE_NAME_UID`) begins so."""
    return _output(remote, ["sh", "-c", _POD_LOG, "sh", prefix, str(_LINES), str(_FILES)])


def kubelet_log(remote: Remote, *, about: str = "", lines: int = _LINES) -> list[str]:
    """Return the kubelet's errors of the last minutes, and how its unit and containerd's are where they do not run."""
    told = _output(remote, ["sh", "-c", _KUBELET_LOG, "sh", about, str(lines)])
    last = {_KLOG.sub("", line): line for line in told}  # the same complaint again and again is said once
    return [f"kubelet: {line}" for line in last.values()]


def unit_log(remote: Remote, unit: str) -> list[str]:
    """Return the last lines of a systemd unit; none where the host has no such unit."""
    last = ["--since", "-3min", "-o", "cat", "--no-pager", "-n", str(_LINES)]
    lines = _output(remote, ["journalctl", "-u", unit, *last])
    return [f"{unit.removesuffix('.service')}: {line}" for line in lines if line != "-- No entries --"]


def _output(remote: Remote, argv: list[str]) -> list[str]:
    try:
        completed = remote.run(argv, deadline=20.0, expect=range(256))
    except KubeforgeError as error:
        return [f"(not readable: {error.cause})"]
    text = (completed.stdout + completed.stderr).decode(errors="replace")
    return [line[:_WIDTH] for line in text.splitlines() if line.strip()]
