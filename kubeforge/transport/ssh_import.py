"""Imports paramiko while the first connection is being made, and without invoke.

Importing is 0.1 s of work and connecting is two round trips of waiting, so they go on at the same time: `ssh_access`
finds a host and dials it without paramiko, and imports what needs paramiko after that.

invoke is nearly half of it, for one keyword of ssh_config (`Match exec`). paramiko goes on where invoke cannot be
imported; `with_invoke` gives it back when an ssh_config needs it. fabric, which also needs invoke, imports it itself.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from types import ModuleType
from typing import Final, cast

__all__ = ["import_ahead", "import_paramiko", "with_invoke"]

_LOCK: Final = threading.Lock()  # what it guards, sys.modules, is the process's


def import_ahead() -> None:
    """Begin to import all that a session needs; who imports it meanwhile waits for the rest of it."""
    if "paramiko" not in sys.modules:
        threading.Thread(target=_import_session, name="import paramiko").start()


def _import_session() -> None:
    with contextlib.suppress(ImportError):  # raised again, and told, where it is needed
        import_paramiko()
        importlib.import_module("kubeforge.transport.ssh_auth")
        importlib.import_module("kubeforge.transport.ssh")


def import_paramiko() -> None:
    """Import paramiko; without invoke where nobody has imported that yet."""
    with _LOCK:
        if "paramiko" in sys.modules or "invoke" in sys.modules:
            return
        sys.modules["invoke"] = cast(ModuleType, None)  # importing it raises ImportError, as documented for None
        try:
            importlib.import_module("paramiko")
        finally:
            del sys.modules["invoke"]


def with_invoke() -> None:
    """Let paramiko's ssh_config run the commands of `Match exec`."""
    with _LOCK:
        importlib.import_module("paramiko.config").invoke = importlib.import_module("invoke")  # type: ignore[attr-defined]  # its own name for it
