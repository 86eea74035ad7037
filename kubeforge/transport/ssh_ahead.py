"""Imports all that a session needs while the first connection is being made.

Importing is 0.1 s of work and connecting is two round trips of waiting, so they go on at the same time: `ssh_access`
finds a host and dials it without paramiko, and imports what needs paramiko after that.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading

from kubeforge.transport.ssh_import import import_paramiko

__all__ = ["import_ahead"]


def import_ahead() -> None:
    """Begin to import it; who imports it meanwhile waits for the rest of it."""
    if "paramiko" not in sys.modules:
        threading.Thread(target=_import_session, name="import paramiko").start()


def _import_session() -> None:
    with contextlib.suppress(ImportError):  # raised again, and told, where it is needed
        import_paramiko()
        importlib.import_module("kubeforge.transport.ssh_auth")
        importlib.import_module("kubeforge.transport.ssh")
