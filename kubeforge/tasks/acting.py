"""Operations that an action decides by itself; see `engine.acting`."""

from __future__ import annotations

from kubeforge.engine.acting import act, decided

__all__ = ["act", "decided"]
