"""A static pod's manifest: the old one goes first, and the new one comes once the old pod has ended. ADR 97.

A kubelet that finds a new manifest in the old one's place ends the old pod and has the new one wait: it looks again
after 10 to 15 s (pkg/kubelet/pod_workers.go, allowPodStart: backOffPeriod with a jitter of a half). One that finds it
when it is done with the old pod starts it at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from kubeforge.operations.attributes import check_path, entry_at
from kubeforge.operations.kept import keeping_file
from kubeforge.operations.kept_file import KeptFile
from kubeforge.operations.model import Change, Observation, Queries, Verb
from kubeforge.operations.restore import Restore
from kubeforge.operations.shell import quote

__all__ = ["KeptManifest", "RestoredManifest"]

_LONGEST: Final = 600  # tenths of a second: what a pod may take to end (30 s), and the kubelet to see it
# The same where no API server runs beside it: a kubelet that never had an answer from it ends no pod (sourcesReady in
# pkg/kubelet), whoever waits; one that had ends those of the other components within a second or two.
_ALONE: Final = 100
# The kubelet looks at its containers every second (genericPlegRelistPeriod), and only then is done with the pod.
# Nothing on the host shows that; the pod's cgroup may be gone before (seen: 0.3 s).
_LOOKS: Final = 1.2
# $1: manifest, $2: how long at most, $3: the same without an API server, $4: what the kubelet needs after that. A pod
# that does not say its UID (kubeadm's) cannot be found, and where no kubelet runs nobody ends it.
_ENDED: Final = r"""
uid=$(sed -n "s/^  uid: \([0-9a-f]*\)$/\1/p" "$1")
rm -f -- "$1"
[ -n "$uid" ] && systemctl is-active -q kubelet || exit 0
left=$2
grep -qxsF kube-apiserver /proc/[0-9]*/comm || left=$3
while [ "$left" -gt 0 ] && find /sys/fs/cgroup/kubepods* /sys/fs/cgroup/*/kubepods* -maxdepth 2 -type d \
    -name "*pod$uid*" 2>/dev/null | grep -q .; do left=$((left - 1)); sleep 0.1; done
sleep "$4"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptManifest(KeptFile):
    """A KeptFile that a kubelet follows: where it is replaced, there is no manifest until the old pod has ended.

    All of it happens on the host in one go, whoever is still there to see it.
    """

    def decide(self, seen: Observation) -> Change | None:
        """Decide as the file does; a manifest that is replaced goes before the new one comes."""
        change = KeptFile.decide(self, seen)
        if change is None or change.payload is None or change.verb is not Verb.UPDATE:
            return change
        return _gone_first(change, self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredManifest(Restore):
    """A Restore that a kubelet follows, in the same order; what it replaces is set aside, so that the host still lives.

    Args:
        aside: absolute path of the copy.
    """

    aside: str

    def __post_init__(self) -> None:
        Restore.__post_init__(self)
        check_path(self.aside, self.kind)

    def observe(self) -> Queries:
        """Ask what Restore asks, and whether something is set aside."""
        return Queries.merge((Restore.observe(self), Queries(stats=(self.aside,))))

    def decide(self, seen: Observation) -> Change | None:
        """Decide as Restore does; a manifest that is there goes before the other one comes."""
        change = Restore.decide(self, seen)
        now = entry_at(self.path, seen, self.title)
        if change is None or change.verb is not Verb.UPDATE or now is None:
            return change
        return keeping_file(_gone_first(change, self.path), seen, now, path=self.path, aside=self.aside)


def _gone_first(change: Change, path: str) -> Change:
    """Have the last line, which renames the new manifest into place, wait until the old one's pod has ended."""
    *staged, renamed = change.lines
    ended = f"sh -c {quote(_ENDED)} sh {quote(path)} {_LONGEST} {_ALONE} {_LOOKS}"
    return replace(change, lines=(*staged, ended, renamed))
