"""Groups and variables that are made of variables and facts: Ansible's `plugin: constructed`, with its options.

`compose` sets variables, `groups` puts a host into a group where an expression is true, `keyed_groups` makes groups of
values (Ansible's reference, "ansible.builtin.constructed"). As there, it sees the hosts of the sources read before it,
group variables of inventory files, those of group_vars/ only with `use_vars_plugins: true`, and the variables of `all`
only where a group is written below `all`. What is not defined on a host is passed over there, unless `strict: true`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from kubeforge.errors import InputError
from kubeforge.inventory.draft import Draft, Written, suggestion
from kubeforge.inventory.rendering import HostVars, compiles, looked_up
from kubeforge.inventory.yaml_nodes import Entry, YamlFile

__all__ = ["FACTS", "Variables", "read"]

_OPTIONS: Final = (
    "plugin", "compose", "groups", "keyed_groups", "strict", "use_vars_plugins", "use_extra_vars", "leading_separator",
)  # fmt: skip
_KEYED: Final = (
    "key", "prefix", "separator", "parent_group", "default_value", "trailing_separator",
)  # fmt: skip
FACTS: Final = frozenset({
    "ansible_all_ipv4_addresses", "ansible_all_ipv6_addresses", "ansible_architecture", "ansible_distribution",
    "ansible_distribution_major_version", "ansible_distribution_version", "ansible_facts", "ansible_hostname",
    "ansible_interfaces", "ansible_kernel", "ansible_memtotal_mb", "ansible_nodename", "ansible_os_family",
    "ansible_processor_vcpus", "ansible_service_mgr", "ansible_system",
})  # fmt: skip
"""What hosts tell of themselves, under Ansible's names; engine.fact_variables has just these."""
_UNSAFE: Final = re.compile(r"^[\d\W]|\W")

Variables = Callable[[bool, bool], Mapping[str, HostVars]]
"""Gives host -> variables as they are now; with those of group_vars/ and host_vars/, and with extra variables."""


_Named = Sequence[tuple[str, Written]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyed:
    """One entry of `keyed_groups`."""

    key: Written
    prefix: str = ""
    separator: str = "_"
    parent_group: str | None = None
    default_value: str | None = None
    trailing_separator: bool = True


def read(file: YamlFile, draft: Draft, variables: Variables) -> None:
    """Add what a file constructs to `draft`; what is wrong is added to its problems.

    Args:
        file: parsed, with `plugin: constructed`.
        draft: what the sources before it have filled.
        variables: of its hosts.
    """
    _Reader(file, draft, variables).read()


class _Reader:
    def __init__(self, file: YamlFile, draft: Draft, variables: Variables) -> None:
        self._file = file
        self._draft = draft
        self._variables = variables
        self._options = {entry.key: entry for entry in file.entries(file.root, "", "options (name: value)")}
        self._strict = self._switch("strict", default=False)
        self._leading = self._switch("leading_separator", default=True)
        self._factual: set[str] = set(FACTS)

    def read(self) -> None:
        """Construct everything: variables first, for groups may be made of them."""
        self._find_unknown(self._options.values(), _OPTIONS, "")
        compose = list(self._expressions("compose"))
        groups = list(self._expressions("groups"))
        keyed = list(self._keyed())
        if not self._draft.hosts:
            self._file.complain("no host is read before it: name it after the sources of its hosts", 1)
            return
        asked = (self._switch("use_vars_plugins", default=False), self._switch("use_extra_vars", default=False))
        for name, expression in compose:
            self._factual |= {name} if self._is_of_facts(expression) else set()
        known = self._variables(*asked)
        self._find_facts(compose, groups, keyed, known)
        for host, variables in known.items():
            for name, expression in compose:
                self._compose(host, name, expression, variables)
        for host, variables in self._variables(*asked).items():
            for name, expression in groups:
                value = self._evaluated(expression, f"groups.{name}", variables)
                if value is not None and value[0]:
                    self._join(host, _safe(name))
            for each in keyed:
                self._key(host, each, variables)

    def _find_facts(
        self, compose: _Named, groups: _Named, keyed: Sequence[_Keyed], known: Mapping[str, HostVars]
    ) -> None:
        """Note the hosts that lack facts which expressions look at, and the groups that are made of them."""
        looks = [*(made for _, made in (*compose, *groups)), *(each.key for each in keyed)]
        wanted = FACTS & {name for made in looks for name in _looked_up(made)}
        self._draft.wants_facts |= {host for host in known if any(name not in known[host] for name in wanted)}
        self._draft.of_facts |= dict.fromkeys(_safe(name) for name, made in groups if self._is_of_facts(made))
        for each in keyed:
            head = f"{each.prefix}{each.separator}" if each.prefix or self._leading else ""
            if head and self._is_of_facts(each.key):
                parents = [each.parent_group] if each.parent_group and "{" not in each.parent_group else []
                self._draft.of_facts |= dict.fromkeys([f"{_safe(head)}*", *parents])

    def _is_of_facts(self, expression: Written) -> bool:
        """Return whether an expression looks at facts, or at a variable that is composed of some."""
        return not self._factual.isdisjoint(_looked_up(expression))

    def _compose(self, host: str, name: str, expression: Written, variables: HostVars) -> None:
        found = self._evaluated(expression, f"compose.{name}", variables)
        if found is not None:
            value, secret = found
            made = Written(value, self._file.name, expression.line, literal=True, secret=secret)
            self._draft.hosts[host].vars[name] = made

    def _key(self, host: str, keyed: _Keyed, variables: HostVars) -> None:
        found = self._evaluated(keyed.key, "keyed_groups.key", variables)
        if found is None:
            return
        if found[1]:
            self._file.complain("a group would be named after a secret", keyed.key.line, "keyed_groups.key")
            return
        if _is_nothing(found[0]) and keyed.default_value is None and self._strict:
            self._file.complain(f"nothing comes out of it for host {host}", keyed.key.line, "keyed_groups.key")
        parent = self._parent(keyed, variables)
        for name in _names(found[0], keyed):
            separator = "" if not (keyed.prefix or self._leading) else keyed.separator
            group = _safe(f"{keyed.prefix}{separator}{name}")
            self._join(host, group)
            if parent:
                self._draft.group(parent, file=self._file.name, line=keyed.key.line)
                self._draft.groups[parent].children.setdefault(group, keyed.key.line)

    def _parent(self, keyed: _Keyed, variables: HostVars) -> str | None:
        """Return the group that a keyed group goes below; its name may be a template."""
        if keyed.parent_group is None:
            return None
        written = Written(keyed.parent_group, self._file.name, keyed.key.line)
        try:
            found = variables.rendered(written, "keyed_groups.parent_group")
        except InputError as error:
            self._missed(error, variables, written)
            return None
        return _safe(str(found[0]))

    def _join(self, host: str, group: str) -> None:
        self._draft.group(group, file=self._file.name).hosts.setdefault(host, None)

    def _evaluated(self, expression: Written, field: str, variables: HostVars) -> tuple[Any, bool] | None:
        """Return an expression's value, and whether it is secret; None where it cannot be had on this host."""
        try:
            return variables.evaluate(expression, field)
        except InputError as error:
            self._missed(error, variables, expression)
            return None

    def _missed(self, error: InputError, variables: HostVars, expression: Written) -> None:
        """Tell what cannot be had on a host, where `strict` wants that; of facts that still come, nothing."""
        if self._strict and not (self._draft.facts_come and self._is_of_facts(expression)):
            host, _ = variables.seen("inventory_hostname")
            self._draft.problems += [replace(each, message=f"{each.message} (host {host})") for each in error.problems]

    def _expressions(self, option: str) -> Iterator[tuple[str, Written]]:
        entry = self._options.get(option)
        for each in self._file.entries(entry.node if entry else None, option, "expressions (name: expression)"):
            written = self._expression(each, f"{option}.{each.key}")
            if written is not None:
                yield each.key, written

    def _expression(self, entry: Entry, field: str) -> Written | None:
        value = str(self._file.value(entry.node, field))
        wrong = compiles(value)
        if wrong is None:
            return Written(value, self._file.name, entry.line)
        hint = "; it is written without braces" if "{{" in value else ""
        self._file.complain(f"not a Jinja expression: {wrong}{hint}", entry.line, field)
        return None

    def _keyed(self) -> Iterator[_Keyed]:
        entry = self._options.get("keyed_groups")
        if entry is None:
            return
        if not isinstance(entry.node, yaml.SequenceNode):
            self._file.complain("expected a list of keyed groups (- key: …)", entry.line, "keyed_groups")
            return
        for node in entry.node.value:
            entries = {each.key: each for each in self._file.entries(node, "keyed_groups", "a keyed group (key: …)")}
            self._find_unknown(entries.values(), _KEYED, "keyed_groups.")
            if "key" not in entries:
                self._file.complain("a keyed group without its key", node.start_mark.line + 1, "keyed_groups")
                continue
            key = self._expression(entries.pop("key"), "keyed_groups.key")
            given = {name: self._given(each) for name, each in entries.items() if name in _KEYED}
            if key is not None:
                yield _Keyed(key=key, **given)

    def _given(self, entry: Entry) -> Any:
        """Return the value of an option beside a key: `on` and `no` are truth values in YAML, and a poor prefix."""
        value = self._file.value(entry.node, entry.key)
        wanted: type = bool if entry.key == "trailing_separator" else str
        if not isinstance(value, wanted):
            kind = "true or false" if wanted is bool else "text, in quotes where YAML takes it for something else"
            found = self._file.describe(entry.node)
            self._file.complain(f"expected {kind}, found {found}", entry.line, f"keyed_groups.{entry.key}")
        return value

    def _switch(self, name: str, *, default: bool) -> bool:
        entry = self._options.get(name)
        value = default if entry is None else self._file.value(entry.node, name)
        if not isinstance(value, bool):
            self._file.complain("expected true or false", entry.line if entry else None, name)
        return bool(value)

    def _find_unknown(self, entries: Iterable[Entry], known: tuple[str, ...], field: str) -> None:
        for entry in entries:
            if entry.key not in known:
                hint = suggestion(entry.key, known) or f"; known are {', '.join(known)}"
                self._file.complain(f"the option {entry.key} is not known{hint}", entry.line, f"{field}{entry.key}")


def _looked_up(expression: Written) -> frozenset[str]:
    return looked_up(str(expression.value))


def _is_nothing(value: Any) -> bool:
    """Return whether there is nothing to name a group by; zero is something, an empty list means no group."""
    return value is None or value is False or value == ""


def _names(value: Any, keyed: _Keyed) -> list[str]:
    """Return the names that a key's value stands for: a text, each of a list, each pair of a mapping."""
    if _is_nothing(value):
        return [] if keyed.default_value is None else [keyed.default_value]
    if isinstance(value, Mapping):
        return [_pair(str(name), part, keyed) for name, part in value.items()]
    values = value if isinstance(value, list | tuple) else [value]
    return [str(part if part != "" or keyed.default_value is None else keyed.default_value) for part in values]


def _pair(name: str, value: Any, keyed: _Keyed) -> str:
    if value == "" and keyed.default_value is not None:
        value = keyed.default_value
    elif value == "" and not keyed.trailing_separator:
        return name
    return f"{name}{keyed.separator}{value}"


def _safe(name: str) -> str:
    """Return a group's name with `_` for everything that is not a letter, a digit or `_`, as Ansible makes it."""
    return _UNSAFE.sub("_", name)
