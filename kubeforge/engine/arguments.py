"""Fills `{{ … }}` in a task's arguments for one host. Everything else in them is taken as written.

Jinja2 runs in its sandbox and knows variables and Ansible's everyday filters: no files, no commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubeforge.engine.model import Context
from kubeforge.engine.templating import Unfilled, evaluated, has_template
from kubeforge.errors import KubeforgeError

__all__ = ["filled", "names"]


def filled(arguments: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Return `arguments` with every template filled.

    A text that is one `{{ expression }}` becomes the expression's value with its type; other texts become text, and a
    text that prints a secret becomes a `Secret`. See `names` for what templates know.

    Raises:
        KubeforgeError: a name is unknown or a template is wrong.
    """
    if not any(map(has_template, arguments.values())):
        return dict(arguments)
    known = names(context)
    return {name: _fill(value, known, f"argument {name}") for name, value in arguments.items()}


def _fill(value: Any, known: Mapping[str, Any], name: str) -> Any:
    if isinstance(value, str):
        return _evaluate(value, known, name) if has_template(value) else value
    if isinstance(value, list):
        return [_fill(item, known, name) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, known, name) for key, item in value.items()}
    return value


def _evaluate(text: str, known: Mapping[str, Any], name: str) -> Any:
    try:
        return evaluated(text, known)
    except KubeforgeError as error:
        raise KubeforgeError(f"{name}: {error.cause}") from None


def names(context: Context) -> Mapping[str, Any]:
    """Return what templates know; put together once for a context.

    All variables, which may be templates themselves: the host's, under the play's, under those of the command line.
    `host` (name, address, groups), `facts` of the host, `hosts` (name -> host) and `hostvars` (name -> variables) of
    all, `groups`, `spec`; and, as in Ansible, `inventory_hostname` and `group_names`.
    """
    if not context.known:
        context.known.update(_names(context))
    return context.known


def _names(context: Context) -> dict[str, Any]:
    host = context.whose
    own: dict[str, Any] = {
        "host": host,
        "hosts": context.inventory.hosts,
        "hostvars": _HostVars(context),
        "groups": context.inventory.groups,
        "group_names": sorted(host.groups),
        "inventory_hostname": host.name,
        "spec": context.spec,
        "facts": _LazyFacts(context),
    }
    known: dict[str, Any] = {**host.vars, **own}
    said = {name: _Said(name, value, known) if has_template(value) else value for name, value in context.vars.items()}
    known |= {name: value for name, value in said.items() if name not in own}
    return known


class _Said(Unfilled):
    """A play's variable with a template in it; as in Ansible, it may name any other.

    Args:
        name: of the variable.
        said: as written.
        known: all names there are.
    """

    def __init__(self, name: str, said: Any, known: Mapping[str, Any]) -> None:
        self._name = name
        self._said = said
        self._known = known
        self._busy = False

    def value(self) -> Any:
        """Fill it."""
        if self._busy:
            raise KubeforgeError(f"the variable {self._name} needs itself")
        self._busy = True
        try:
            return _fill(self._said, self._known, f"variable {self._name}")
        finally:
            self._busy = False


class _LazyFacts:
    """The host's facts, asked only when a template looks at one."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context.mine, name)


class _HostVars(Mapping[str, Any]):
    """Every host's variables, by its name."""

    def __init__(self, context: Context) -> None:
        self._hosts = context.inventory.hosts

    def __getitem__(self, name: str) -> Any:
        return self._hosts[name].vars

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)
