"""Writes another version of Kubernetes into a cluster.yml, and leaves every other byte as it is.

People keep that file under version control, with comments: so one value is replaced where it stands, and where it does
not stand as plain text nothing is done.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import yaml

__all__ = ["rewrite", "with_version"]

_FIELD: Final = "kubernetes"


def with_version(text: str, version: str) -> str | None:
    """Return a cluster.yml's text with another version; None: it is not written there as one plain value.

    Args:
        text: of the file.
        version: without `v`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    if not isinstance(root, yaml.MappingNode):
        return None
    found = [value for key, value in root.value if key.value == _FIELD]
    if len(found) != 1 or not isinstance(found[0], yaml.ScalarNode):
        return None
    node = found[0]
    # marks count characters of what was read, and a value of one word ends where its mark does
    begin, end = node.start_mark.index, node.end_mark.index
    quoted = node.style if node.style in ("'", '"') else ""
    if text[begin:end] != f"{quoted}{node.value}{quoted}":  # an alias, an anchor, a tag, an escape
        return None
    return f"{text[:begin]}{quoted}{version}{quoted}{text[end:]}"


def rewrite(file: Path, version: str) -> bool:
    """Write a version into a cluster.yml; return whether the file says it now.

    Args:
        file: the cluster.yml.
        version: without `v`.

    Raises:
        OSError: it cannot be read or written.
    """
    text = file.read_bytes().decode()
    changed = with_version(text, version)
    if changed is None:
        return False
    if changed != text:
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        beside.write_bytes(changed.encode())
        beside.chmod(file.stat().st_mode & 0o7777)
        beside.replace(file.resolve())
    return True
