"""Whoever changes a host must be root there; said before anything else is found wrong."""

from __future__ import annotations

from kubeforge.engine.model import Context
from kubeforge.errors import BecomeFailed

__all__ = ["need_root"]


def need_root(context: Context, step: str) -> None:
    """Refuse to go on as somebody else.

    Args:
        context: of the host.
        step: the task that asks.

    Raises:
        BecomeFailed: commands there do not run as root.
    """
    uid = context.mine.uid
    if uid == 0:
        return
    user = context.host.connection.user or f"user {uid}"
    raise BecomeFailed(
        f"everything there runs as {user}, who is not root",
        host=context.host.name,
        step=step,
        remedy=f"set ansible_become: true in the inventory, so that {user} uses sudo, or enter as root (ansible_user)",
    )
