"""What `kubeforge certs renew` was asked for, as the variable that its playbook reads. Pure; registers no task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import TABLE, Kind
from kubeforge.spec.suggestions import did_you_mean

__all__ = ["ALL", "DUE", "KUBELET_CLIENT", "KUBELET_SERVER", "RENEW", "chosen", "renewable", "wants"]

RENEW: Final = "certs_renew"
"""Variable: `due`, `all`, or names with commas between them. Without it, a run renews what is due."""
ALL: Final = "all"
DUE: Final = "due"
KUBELET_CLIENT: Final = "kubelet-client"
KUBELET_SERVER: Final = "kubelet-server"


def renewable() -> tuple[str, ...]:
    """Return the names of what can be renewed, kubeadm's where kubeadm has one."""
    leaves = (row.name for row in TABLE if row.kind is Kind.LEAF)
    return (*leaves, *(row.name for row in kubeconfigs.TABLE), KUBELET_CLIENT, KUBELET_SERVER)


def chosen(names: Sequence[str], *, everything: bool) -> str:
    """Return the variable's value.

    Args:
        names: as on the command line; none: what is due.
        everything: all that can be renewed.

    Raises:
        InputError: a name is none, or an authority's.
    """
    known = renewable()
    authorities = [row.name for row in TABLE if row.kind is not Kind.LEAF]
    problems = [
        f"{name} is an authority or a shared key: a new one has to reach every host and client, which renew does not do"
        if name in authorities
        else f"no certificate is called {name}{did_you_mean(name, known)}"
        for name in names
        if name not in known
    ]
    if problems:
        raise InputError(
            [Problem(message=text, field="NAME") for text in problems], remedy=f"choose of: {', '.join(known)}"
        )
    return ALL if everything else ",".join(names) or DUE


def wants(context: Context, name: str, *, due: bool) -> bool:
    """Whether a certificate is issued anew.

    Args:
        context: of the run.
        name: as in `renewable`.
        due: whether it is missing, not right any more, or ends soon.
    """
    asked = str(context.vars.get(RENEW, DUE))
    if asked in (ALL, DUE):
        return due or asked == ALL
    return name in asked.split(",")
