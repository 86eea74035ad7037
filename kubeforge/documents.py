"""Kubernetes objects and configuration as plain dicts: deterministic YAML, deep merge, secrets inside. No I/O.

Keys are sorted, as kubeadm and the API server sort them, so the same dict always gives the same bytes and a diff shows
only what changed. It knows nothing of any kind of object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from kubeforge.secret import Secret
from kubeforge.yaml_errors import refuse_endless

__all__ = ["Object", "dump", "dump_all", "holds_secret", "load", "merged", "revealed", "shielded"]

Object = dict[str, Any]

# Plain scalars that a YAML 1.2 or Go reader takes for numbers or truth values while PyYAML takes them for text.
_NUMBER_ELSEWHERE: Final = re.compile(
    r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?)|[yYnN]"
)
_BASE: Final[type[yaml.SafeDumper]] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's: ten times as fast


class _Dumper(_BASE):  # type: ignore[misc,valid-type]  # libyaml's dumper where it is there: ten times as fast
    """Block style, no aliases, text quoted where any reader could take it for something else."""

    def ignore_aliases(self, data: object) -> bool:
        """Write equal parts out in full."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else "'" if _NUMBER_ELSEWHERE.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, keys sorted, ending in a newline.

    Raises:
        yaml.representer.RepresenterError: it holds what YAML cannot say; a `Secret` above all (see `revealed`).
    """
    return yaml.dump(document, Dumper=_Dumper, default_flow_style=False, sort_keys=True, width=1_000_000)


def dump_all(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return several documents as one YAML stream."""
    return "---\n".join(dump(document) for document in documents)


def load(text: str | bytes) -> Any:
    """Return what one YAML document says.

    Raises:
        yaml.YAMLError: it is none.
    """
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        refuse_endless(root)
        return None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    """Return `base` with `over` laid over it: dicts merge key by key, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def revealed(value: Any) -> Any:
    """Return a copy with every `Secret` replaced by its text: for the moment it is sent to the API, and only then."""
    if isinstance(value, Secret):
        return value.reveal().decode()
    if isinstance(value, Mapping):
        return {key: revealed(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [revealed(part) for part in value]
    return value


def holds_secret(value: Any) -> bool:
    """Return whether there is a `Secret` anywhere inside."""
    if isinstance(value, Mapping):
        return any(holds_secret(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(holds_secret(part) for part in value)
    return isinstance(value, Secret)


def shielded(value: Any) -> Any:
    """Return a copy in which every text and number is a `Secret`; truth values tell nothing."""
    if isinstance(value, Mapping):
        return {key: shielded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [shielded(part) for part in value]
    return value if value is None or isinstance(value, bool | Secret) else Secret(str(value))
