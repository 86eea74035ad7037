"""Python's garbage collector in a process that lives for one command: importing is most of a short run's CPU.

The collector looks for cycles of objects that nobody holds. Modules and classes are held to the end, yet it walks them
all again and again while they are imported, and once more when the process leaves: a quarter of the CPU of a run that
has nothing to do. Everything else is freed by reference counts as ever.
"""

from __future__ import annotations

import atexit
import gc
from typing import Final

__all__ = ["collect_rarely"]

_YOUNG: Final = 50_000  # objects made and not yet freed between two looks at the new ones; Python's own: 700


def collect_rarely() -> None:
    """Look for garbage rarely, and not at all when leaving. For programs, first thing; a library must not."""
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
