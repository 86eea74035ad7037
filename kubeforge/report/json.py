"""Events as JSON lines, for programs that watch a run."""

from __future__ import annotations

import json
from typing import TextIO

from kubeforge.engine.events import Event, as_data

__all__ = ["JsonLines"]


class JsonLines:
    """A sink that writes one JSON object per event and line.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self._stream.write(json.dumps(as_data(event), ensure_ascii=False) + "\n")
        self._stream.flush()
