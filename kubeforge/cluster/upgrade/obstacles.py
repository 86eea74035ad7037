"""THE table: every kind of problem that `upgrade plan` names, how bad it is, and what to do. Data.

An error stands in the way; a person who knows better makes it a warning by its name (`--ignore KIND`), where the table
allows that. `{where}` is the host, object or field, other names are given by those who judge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kubeforge.cluster.status.model import Problem, Severity
from kubeforge.errors import InputError
from kubeforge.errors import Problem as InputProblem
from kubeforge.spec.suggestions import did_you_mean

__all__ = ["TABLE", "Row", "check_ignored", "obstacle", "without"]

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of problem.

    Args:
        severity: how bad; an error stands in the way.
        remedy: what to do.
        ignorable: whether a person may go on all the same.
    """

    severity: Severity
    remedy: str
    ignorable: bool = False


TABLE: Final[Mapping[str, Row]] = {
    # where to
    "downgrade": Row(_ERROR, "name {now} or later; what an upgrade began is taken back by: kubeforge upgrade rollback"),
    "no-way": Row(_ERROR, "go to a minor that is known here first, with the tool that made this cluster"),
    "version-not-known": Row(_WARNING, "kubeforge was made with {newest}; a newer patch is likely to do, try it first"),
    "end-of-life": Row(_WARNING, "go on to a later minor: kubeforge upgrade plan lists them"),
    "half-done": Row(_NOTE, "go on: kubeforge upgrade apply; or back: kubeforge upgrade rollback"),
    "versions-mixed": Row(_WARNING, "see that nobody else upgrades this cluster just now; this upgrade makes them one"),
    # what runs
    "unhealthy": Row(_ERROR, "{mend}", ignorable=True),
    "run-active": Row(_ERROR, "wait until it has ended, then ask again"),
    "skew": Row(_ERROR, "{mend}"),
    "skew-now": Row(_WARNING, "going on mends it: API servers are changed first"),
    "recorded-differs": Row(_NOTE, "an upgrade writes it anew; see that nobody upgrades by kubeadm just now"),
    "etcd-step": Row(_ERROR, "bring etcd to {first} first: {mend}"),
    "not-seen": Row(_WARNING, "see why, then ask again: what is not known may stand in the way"),
    "unknown-version": Row(_WARNING, "see what runs there: kubeforge status -v; it counts as due"),
    # what cluster.yml and people have set
    "spec-refused": Row(_ERROR, "take it out of cluster.yml, or change it, before going to {step}"),
    "arguments-refused": Row(_ERROR, "change what cluster.yml gives it (extra_args, feature_gates) before {step}"),
    "flag-lost": Row(_WARNING, "what is not in cluster.yml goes when the component is changed; this one has to"),
    "flags-not-known": Row(_NOTE, "each binary is asked whether it takes its arguments before anything of it changes"),
    "api-requested": Row(
        _ERROR,
        "find who asks (audit log, user agents), and have them use a version that stays; an API server counts from its"
        " start, so of one that was mended it knows only after a restart. To go on all the same: --ignore {kind}",
        ignorable=True,
    ),
    "api-written": Row(_WARNING, "have {managers} write by a version that stays: kubectl convert, or a newer release"),
    "eviction-blocked": Row(_WARNING, "a drain would wait: give it another replica, or upgrade without drain"),
    # parts and room
    "part-missing": Row(_ERROR, "{mend}"),
    "part-doubtful": Row(_WARNING, "see that this machine reaches it; nothing is stopped before all parts are there"),
    "image-missing": Row(_ERROR, "see containerd.mirrors in cluster.yml, or take parts from a mirror with archives"),
    "image-doubtful": Row(
        _WARNING, "see that {where} reaches the registry; nothing is stopped before images are there"
    ),
    "compiles": Row(_NOTE, "to have it done before: kubeforge artifacts build --kubernetes {step}"),
    "room": Row(_ERROR, "free room on {where}: old images (crictl rmi --prune, or ctr), logs; or make it bigger"),
    "room-tight": Row(_WARNING, "free room on {where} before: old images, logs; or make it bigger"),
    "room-not-known": Row(_WARNING, "see with df on {where}"),
    # certificates
    "certificate-ends": Row(_WARNING, "kubeforge certs renew; an upgrade renews what it finds due"),
    "certificate-ended": Row(_ERROR, "renew it first: kubeforge certs renew"),
    "authority-ends": Row(_WARNING, "no upgrade makes a new authority; plan that apart"),
    # what it costs
    "api-pauses": Row(_NOTE, "with three control planes the others answer meanwhile"),
    "addon-goes-back": Row(_WARNING, "this kubeforge goes with {then}; what the newer one needs may be lacking"),
}


def obstacle(kind: str, where: str, message: str, **names: str) -> Problem:
    """Return a problem of the table, with its remedy filled in.

    Args:
        kind: of the table.
        where: what it is about.
        message: one sentence.
        **names: what the remedy names beside `where` and `kind`.
    """
    row = TABLE[kind]
    remedy = row.remedy.format(where=where, kind=kind, **names)
    return Problem(kind=kind, severity=row.severity, where=where, message=message, remedy=remedy)


def check_ignored(kinds: Iterable[str]) -> None:
    """Refuse names that are no kinds of problems, and kinds that nobody may ignore.

    Raises:
        InputError: all of them.
    """
    told = []
    may = [kind for kind, row in TABLE.items() if row.ignorable]
    for kind in kinds:
        if kind not in TABLE:
            told.append(f"there is no kind of problem called {kind}{did_you_mean(kind, may)}")
        elif not TABLE[kind].ignorable:
            told.append(f"{kind} cannot be ignored; those that can: {', '.join(may)}")
    if told:
        raise InputError([InputProblem(message=message, field="--ignore") for message in told])


def without(problems: Iterable[Problem], ignored: Collection[str]) -> tuple[Problem, ...]:
    """Return the problems, those of ignored kinds as warnings, the worst first; the same is told once."""
    order = tuple(Severity)
    same: dict[Problem, dict[str, None]] = {}
    for one in problems:
        known = replace(one, severity=_WARNING) if one.kind in ignored and TABLE[one.kind].ignorable else one
        same.setdefault(replace(known, where=""), {})[one.where] = None
    found = [replace(one, where=", ".join(filter(None, where))) for one, where in same.items()]
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))
