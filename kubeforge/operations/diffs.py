"""Text before and after, for the plan: attached to changes once the old contents are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kubeforge.operations.model import Change, Diff, LocalContent, Verb
from kubeforge.secret import Secret

__all__ = ["attach_diffs", "diffable"]

_LIMIT = 64 * 1024  # bytes; more than that nobody reads in a plan


def diffable(changes: Sequence[Change]) -> tuple[str, ...]:
    """Return the paths whose old content is needed: ask `Queries(reads=…)` for them, only where a diff is wanted."""
    return tuple(
        dict.fromkeys(path for change in changes if (path := _text_path(change)) and change.verb is not Verb.CREATE)
    )


def attach_diffs(changes: Sequence[Change], contents: Mapping[str, bytes]) -> list[Change]:
    """Return the changes with a diff where one may be shown.

    None is shown for secrets, for what is no text before or after, and beyond 64 KiB. A second change of the same path
    is compared with what the first one leaves.

    Args:
        changes: in order.
        contents: path -> what is there now, for what `diffable` named.
    """
    now = dict(contents)
    done = []
    for change in changes:
        path = _text_path(change)
        if path is not None and not isinstance(change.payload, Secret | LocalContent):
            before = b"" if change.verb is Verb.CREATE else now.get(path)
            after = change.payload or b""
            texts = _text(before), _text(after)
            now[path] = after
            if texts[0] is not None and texts[1] is not None:
                change = replace(change, diff=Diff(path, texts[0], texts[1]))  # noqa: PLW2901 - the same, with its diff
        done.append(change)
    return done


def _text_path(change: Change) -> str | None:
    """The file that a change writes or removes, and that anybody may see."""
    if change.reveals:
        return change.reveals
    if not isinstance(change.payload, bytes) or len(change.touches) != 1:
        return None
    (path,) = change.touches
    return path if path in change.effect.hashes else None


def _text(content: bytes | None) -> str | None:
    if content is None or len(content) > _LIMIT or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
