"""The filters and tests of Ansible that inventories use every day, for templates in variables and constructed groups.

Named and behaving as in Ansible's collection `ansible.builtin`. What is not here (lookups, `ipaddr`, …) is told by name
when a template asks for it; `quote` is left out, because shell words are quoted in one place, operations.shell. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

__all__ = ["FILTERS", "OF_TEXT", "TESTS"]

_TRUE: Final = frozenset({"yes", "on", "1", "true"})


def _bool(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    return value.lower() in _TRUE if isinstance(value, str) else value == 1


def _flags(*, ignorecase: bool, multiline: bool) -> re.RegexFlag:
    flags = re.IGNORECASE if ignorecase else re.RegexFlag(0)
    return flags | re.MULTILINE if multiline else flags


def _regex_replace(
    value: Any, pattern: str = "", replacement: str = "", ignorecase: bool = False, multiline: bool = False
) -> str:
    return re.sub(pattern, replacement, str(value), flags=_flags(ignorecase=ignorecase, multiline=multiline))


def _regex_search(value: Any, pattern: str, *groups: str, ignorecase: bool = False, multiline: bool = False) -> Any:
    r"""Return what matches, or the named groups (`'\\1'`, `'\\g<name>'`) as a list; None for no match."""
    found = re.search(pattern, str(value), _flags(ignorecase=ignorecase, multiline=multiline))
    if found is None or not groups:
        return found and found.group()
    names = [group.removeprefix("\\").removeprefix("g").strip("<>") for group in groups]
    return [found.group(int(name) if name.isdigit() else name) for name in names]


def _regex_findall(value: Any, pattern: str, multiline: bool = False, ignorecase: bool = False) -> list[Any]:
    return re.findall(pattern, str(value), _flags(ignorecase=ignorecase, multiline=multiline))


def _split(value: str, separator: str | None = None, limit: int = -1) -> list[str]:
    return value.split(separator, limit)


def _ternary(value: Any, yes: Any, no: Any, none: Any = None) -> Any:
    if value is None and none is not None:
        return none
    return yes if value else no


def _combine(*mappings: Mapping[str, Any], recursive: bool = False) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            below = result.get(key)
            deep = recursive and isinstance(below, Mapping) and isinstance(value, Mapping)
            result[key] = _combine(below, value, recursive=True) if deep and isinstance(below, Mapping) else value
    return result


def _dict2items(value: Mapping[str, Any], key_name: str = "key", value_name: str = "value") -> list[dict[str, Any]]:
    return [{key_name: key, value_name: part} for key, part in value.items()]


def _items2dict(value: Iterable[Mapping[str, Any]], key_name: str = "key", value_name: str = "value") -> dict[str, Any]:
    return {item[key_name]: item[value_name] for item in value}


def _unique(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    seen: set[Hashable] = set()
    for value in values:
        if isinstance(value, Hashable):
            if value not in seen:
                seen.add(value)
                found.append(value)
        elif value not in found:
            found.append(value)
    return found


def _unlike(values: Iterable[Any], case_sensitive: bool = False) -> list[Any]:
    """Return each value once; texts that differ in case alone are one, the first of them."""
    listed = list(values)
    if case_sensitive:
        return _unique(listed)
    folded = [value.lower() if isinstance(value, str) else value for value in listed]
    return [listed[folded.index(value)] for value in _unique(folded)]


def _flatten(values: Iterable[Any], levels: int | None = None, skip_nulls: bool = True) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, list | tuple) and levels != 0:
            found += _flatten(value, None if levels is None else levels - 1, skip_nulls)
        elif value is not None or not skip_nulls:
            found.append(value)
    return found


def _extract(item: Any, container: Any, morekeys: Any = None) -> Any:
    """Return `container[item]`, and what the further keys lead to inside of it."""
    more = [] if morekeys is None else morekeys if isinstance(morekeys, list) else [morekeys]
    for key in (item, *more):
        container = container[key]
    return container


def _hash(value: Any, algorithm: str = "sha1") -> str:
    return hashlib.new(algorithm, str(value).encode(), usedforsecurity=False).hexdigest()


def _matching(method: Callable[..., Any]) -> Callable[..., bool]:
    def test(value: Any, pattern: str = "", ignorecase: bool = False, multiline: bool = False) -> bool:
        return bool(method(pattern, str(value), _flags(ignorecase=ignorecase, multiline=multiline)))

    return test


def _regex(value: Any, pattern: str = "", ignorecase: bool = False, multiline: bool = False) -> bool:
    return bool(re.search(pattern, str(value), _flags(ignorecase=ignorecase, multiline=multiline)))


def _contains(value: Sequence[Any], item: Any) -> bool:
    return item in value


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "b64decode": lambda value: base64.b64decode(value).decode(),
    "b64encode": lambda value: base64.b64encode(str(value).encode()).decode(),
    "basename": lambda value: posixpath.basename(str(value)),
    "bool": _bool,
    "combine": _combine,
    "dict2items": _dict2items,
    "difference": lambda one, other: [value for value in _unique(one) if value not in other],
    "dirname": lambda value: posixpath.dirname(str(value)),
    "extract": _extract,
    "flatten": _flatten,
    "from_json": json.loads,
    "hash": _hash,
    "intersect": lambda one, other: [value for value in _unique(one) if value in other],
    "items2dict": _items2dict,
    "regex_escape": lambda value: re.escape(str(value)),
    "regex_findall": _regex_findall,
    "regex_replace": _regex_replace,
    "regex_search": _regex_search,
    "split": _split,
    "ternary": _ternary,
    "to_json": json.dumps,
    "union": lambda one, other: _unique([*one, *other]),
    "unique": _unlike,
}

OF_TEXT: Final = frozenset({
    "b64decode", "b64encode", "basename", "bool", "dirname", "from_json", "hash", "regex_escape", "regex_findall",
    "regex_replace", "regex_search", "split", "to_json", "match", "regex", "search",
})  # fmt: skip
"""Those that read or write texts; the others only put parts of mappings and lists elsewhere."""

TESTS: Final[Mapping[str, Callable[..., bool]]] = {
    "contains": _contains,
    "match": _matching(re.match),
    "regex": _regex,
    "search": _matching(re.search),
    "subset": lambda value, other: set(value) <= set(other),
    "superset": lambda value, other: set(value) >= set(other),
    "truthy": bool,
    "falsy": lambda value: not value,
}
