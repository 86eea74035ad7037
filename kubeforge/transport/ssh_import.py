"""Imports paramiko without invoke.

invoke is nearly half of what paramiko imports, for one keyword of ssh_config (`Match exec`). paramiko goes on where it
cannot be imported; `with_invoke` gives it back when an ssh_config needs it. fabric, which also needs invoke, imports it
itself.
"""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Final, cast

__all__ = ["import_paramiko", "with_invoke"]

_LOCK: Final = threading.Lock()  # what it guards, sys.modules, is the process's


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
